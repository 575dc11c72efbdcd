"""The page, with its figures inside, and the page of the documentation."""

import base64
import pathlib

import jinja2

from report import style

QUIET_PROCESSORS = 0.3
QUIET_STOLEN = 0.02
TEMPLATES = pathlib.Path(__file__).resolve().parent


def data_uri(svg):
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def bytes_text(n):
    return style.power_of_two(int(n)) + "B"


def machine(context):
    """Rows of what the page says of the machine and the run."""
    caches = ", ".join(f"{name} {bytes_text(context[f'{level}_bytes'])} ({context[f'{level}_source']})"
                       for name, level in (("L1d", "l1"), ("L2", "l2"), ("last level", "last_level")))
    return [
        ("Processor", f"{context['processor']}, {context['num_cpus']} CPUs, {context['mhz_per_cpu']} MHz"),
        ("Instruction sets", context["isas"]),
        ("Caches", caches),
        ("Memory", bytes_text(context["memory_bytes"])),
        ("Kernel", context["kernel"]),
        ("Compiler", f"{context['compiler']}, {context['compiler_flags']}"),
        ("Commit", context["commit"]),
        ("Run", f"{context['date']}, {context['mode']}, {context['rounds']} rounds of {context['repetitions_a_round']} repetitions, "
                f"{context['seconds']} s"),
        ("Others", f"{context['busy_processors']:.2f} processors busy before the run; {context['stolen']:.1%} of all processors' time "
                   "taken by the host of the virtual machine during it"),
    ]


def warnings(results, missing):
    """Sentences for the top of the page; `missing` are kernels without a result."""
    sentences = [f"{name}: {why}." for name, why in results.failed.items()]
    if missing:
        sentences.append("Kernels of the list without a result: " + ", ".join(missing) + ".")
    if results.context["steps_done"] < results.context["steps"]:
        sentences.append(f"The run was cut: {results.context['steps_done']} of its {results.context['steps']} steps were done.")
    if results.context["busy_processors"] > QUIET_PROCESSORS:
        sentences.append(f"Something else was running: {results.context['busy_processors']:.2f} processors were busy before the run began. "
                         "The figures are those of a busy machine.")
    if results.context["stolen"] > QUIET_STOLEN:
        sentences.append(f"The host of this virtual machine took {results.context['stolen']:.1%} of its processors' time: figures spread.")
    return sentences


def write(results, sections, directory, missing=()):
    """index.html, reproducing-the-paper.md for docs, and an SVG and a PNG a figure."""
    figures = {figure.name: data_uri(style.save(figure, directory / figure.name))
               for section in sections for figure in section.figures}
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=jinja2.select_autoescape(["html.j2"]),
                                     undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    for template in ("index.html.j2", "reproducing-the-paper.md.j2"):
        text = environment.get_template(template).render(machine=machine(results.context), context=results.context,
                                                         sections=sections, figures=figures,
                                                         warnings=warnings(results, missing))
        (directory / template.removesuffix(".j2")).write_text(text)
