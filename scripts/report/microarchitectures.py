"""Experiment 8: what arithmetic costs on processors that are not at hand, predicted by llvm-mca (scripts/mca.py)."""

import matplotlib.colors as colors
import matplotlib.ticker as ticker

from report import style
from report.measure import Step
from report.section import NOT_IN_PAPER, NOT_MEASURED, Figure, Section, Table

import generate
import mca

WHAT = "llvm-mca"
TITLE = "Other microarchitectures"
CPUS = {"skylake-avx512": "Skylake-X", "broadwell": "Broadwell", "znver2": "Zen 2", "znver4": "Zen 4", "neoverse-n1": "Neoverse N1"}
ALGORITHMS = {  # and the kernels of their passes
    "two-pass": ("f32-raddextexp", "f32-vscaleextexp"),
    "store-and-rescale": ("f32-raddstoreextexp", "f32-vmulextc"),
    "three-pass-recompute": ("f32-rmax", "f32-raddexpminusmax", "f32-vscaleexpminusmax"),
    "three-pass-reload": ("f32-rmax", "f32-raddstoreexpminusmax", "f32-vmulc"),
}
THREE_PASS = ("three-pass-recompute", "three-pass-reload")
EXPONENTIALS_ALONE = ("f32-softmax", "f32-softmax-transposed", "f32-log-softmax", "f32-log-softmax-transposed")  # their main loop is one of several that an element passes through
PAPER = ("Its abstract says that two-pass is faster out of cache on Skylake-X, Broadwell and Zen 2. It says nothing of what arithmetic alone takes "
         "there, which is what can be predicted without these processors.")


def steps(suite):
    return [Step("predictions by llvm-mca", lambda: {"context": {}, "benchmarks": benchmarks(generate.load_list()["KERNELS"])}, rounds=1)]


def benchmarks(kernels):
    """As Google Benchmark writes them; times are cycles."""
    predictions, problems = mca.predict_all(kernels)
    label = mca.versions() if predictions else ""
    return [*[entry(known, cpu, cycles, label) for known in predictions for cpu, cycles in known.cycles_per_element.items()],
            *[{**named(f"{WHAT}/{what}"), "error_occurred": True, "error_message": why} for what, why in problems.items()]]


def named(name):
    return {"name": name, "run_name": name, "run_type": "iteration", "threads": 1}


def entry(known, cpu, cycles, label):
    return {**named(f"{WHAT}/kernel:{known.kernel}/isa:{known.isa}/variant:{known.variant}/cpu:{cpu}"), "iterations": 1,
            "real_time": cycles * known.elements, "cpu_time": cycles * known.elements, "time_unit": "cycles", "label": label,
            "cycles_per_element": cycles, "elements": known.elements, "instructions": known.instructions,
            "fmas_per_vector": known.fmas_per_vector}


def columns(results):
    """(ISA, processor) that have predictions, in the order of the page."""
    found = {(each.fields["isa"], each.fields["cpu"]) for each in results.find(what=WHAT)}
    return [(isa.name, cpu) for isa in generate.load_isas() for cpu in CPUS if (isa.name, cpu) in found]


def best(results, kernel, column):
    """(cycles per element, variant) of the fastest that is predicted, or None. Of a production kernel only that of dispatch is."""
    isa, cpu = column
    return min(((each.spread("cycles_per_element").median, each.fields["variant"])
                for each in results.find(what=WHAT, kernel=kernel, isa=isa, cpu=cpu)), default=None)


def kernels(results):
    found = {each.fields["kernel"] for each in results.find(what=WHAT)}
    return [kernel.name for kernel in generate.load_list()["KERNELS"] if kernel.name in found]


def cycles(results, column):
    """Algorithm -> cycles per element of all its passes."""
    passes = {algorithm: [best(results, kernel, column) for kernel in needed] for algorithm, needed in ALGORITHMS.items()}
    return {algorithm: sum(found for found, _ in of_passes) for algorithm, of_passes in passes.items() if None not in of_passes}


def better_three_pass(of_algorithms):
    return min(THREE_PASS, key=of_algorithms.get)


def kernel_text(kernel):
    return f"{kernel} (exponentials alone)" if kernel in EXPONENTIALS_ALONE else kernel


def kernels_figure(results):
    names, places = kernels(results), columns(results)
    plot, [ax] = style.axes(height=1.2 + 0.42 * len(names), width=style.PAGE_WIDTH)
    cells = [[best(results, kernel, place) for place in places] for kernel in names]
    values = [[cell[0] if cell else float("nan") for cell in row] for row in cells]
    known = [value for row in values for value in row if value == value]
    norm = colors.LogNorm(min(known), max(known))
    image = ax.imshow(values, cmap="YlOrBr", norm=norm, aspect="auto")
    for y, row in enumerate(cells):
        for x, cell in enumerate(row):
            if cell:
                ax.text(x, y, f"{cell[0]:.2f}", ha="center", va="center", fontsize=11, color="white" if norm(cell[0]) > 0.7 else style.BLACK)
    ax.set_xticks(range(len(places)), [f"{CPUS[cpu]}\n{isa}" for isa, cpu in places])
    ax.set_yticks(range(len(names)), [kernel_text(name) for name in names])
    ax.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False)
    ax.grid(visible=False)
    plot.colorbar(image, ax=ax, label="cycles per element", ticks=ticker.LogLocator(subs=(1.0, 2.0, 5.0)), format="{x:g}")
    return Figure("microarchitectures", "Predicted cycles per element of each kernel's main loop, with all data in level 1 cache: the variant of "
                  "dispatch, and of baselines (f32-raddexpminusmax, f32-vscaleexpminusmax, f32-raddstoreexpminusmax, f32-vmulc) the best "
                  "for each processor.", plot)


def algorithms_figure(results):
    places = [place for place in columns(results) if cycles(results, place)]
    isas = list(dict.fromkeys(isa for isa, _ in places))
    plot, axes = style.axes(columns=len(isas), width_ratios=[1 + sum(isa == each for each, _ in places) for isa in isas])
    for ax, isa in zip(axes, isas):
        cpus = [cpu for each, cpu in places if each == isa]
        for group, cpu in enumerate(cpus):
            for index, (algorithm, value) in enumerate(cycles(results, (isa, cpu)).items()):
                x = group + 0.2 * (index - 1.5)
                ax.bar(x, value, 0.19, color=style.SERIES[algorithm][1], label=style.label_of(algorithm) if group == 0 else None)
                ax.annotate(f"{value:.2f}", (x, value), (0, 3), textcoords="offset points", ha="center", va="bottom", fontsize=8, rotation=90)
        ax.set_xticks(range(len(cpus)), [CPUS[cpu] for cpu in cpus])
        ax.set_xlim(-0.6, len(cpus) - 0.4)
        ax.margins(y=0.15)
        ax.grid(axis="x", visible=False)
        ax.set_title(isa)
        ax.set_ylabel("cycles per element")
    style.legend_below(plot, axes[0])
    return Figure("microarchitectures-algorithms", "The sum of an algorithm's passes, predicted: arithmetic in level 1 cache. Lower is better; the "
                  "scales differ.", plot)


def against(ours, theirs):
    """'two-pass 1.11 (1.05 times as long)'."""
    return f"{ours:.2f} ({ours / theirs:.2f} times as long)"


def sentence(results, column):
    isa, cpu = column
    of_algorithms = cycles(results, column)
    three_pass = better_three_pass(of_algorithms)
    theirs = of_algorithms[three_pass]
    return (f"{CPUS[cpu]}, {isa}: {style.label_of(three_pass)}, the better three-pass, is predicted to take {theirs:.2f} cycles an element; two-pass "
            f"{against(of_algorithms['two-pass'], theirs)}, store and rescale {against(of_algorithms['store-and-rescale'], theirs)}.")


def summary(results, places):
    def faster(algorithm):
        return [f"{CPUS[cpu]} ({isa})" for isa, cpu in places
                if (found := cycles(results, (isa, cpu)))[algorithm] < found[better_three_pass(found)]]
    return (f"In cache two-pass, which computes two exponentials an element, is predicted to be faster than the better three-pass on: "
            f"{', '.join(faster('two-pass')) or 'none'}; store and rescale, which computes one, on: "
            f"{', '.join(faster('store-and-rescale')) or 'none'}.")


def cell_text(cell):
    return f"{cell[0]:.3f} ({cell[1]})" if cell else ""


def sections(results):
    if not results.find(what=WHAT):
        return [Section(TITLE, PAPER, [], NOT_MEASURED)]
    places = columns(results)
    header = [f"{CPUS[cpu]}, {isa}" for isa, cpu in places]
    seen = ["Nothing here was measured: llvm-mca computes from LLVM's tables of a processor how long a loop takes where all data are in level 1 "
            f"cache and every branch is predicted ({results.find(what=WHAT)[0].label}).",
            "What is done once a row, a block or a tile is left out; of kernels that pass over a row several times in cache "
            f"({', '.join(EXPONENTIALS_ALONE)}) it is the exponentials alone. Ours are the variants that dispatch takes, whether "
            "or not they suit a processor; the baselines are at their best on each."]
    tables = [Table("Predicted cycles per element of each kernel (variant)", ["kernel", *header],
                    [[kernel_text(kernel), *[cell_text(best(results, kernel, place)) for place in places]] for kernel in kernels(results)])]
    figures = [kernels_figure(results)]
    complete = [place for place in places if len(cycles(results, place)) == len(ALGORITHMS)]
    if complete:
        seen += [summary(results, complete), *[sentence(results, place) for place in complete]]
        tables.append(Table("Predicted cycles per element of each algorithm in cache", ["ISA", "processor", *[style.label_of(each) for each in ALGORITHMS]],
                            [[isa, CPUS[cpu], *[f"{value:.2f}" for value in cycles(results, (isa, cpu)).values()]] for isa, cpu in complete],
                            reproduction=True))
        figures.append(algorithms_figure(results))
    return [Section(TITLE, PAPER, seen, NOT_IN_PAPER, figures, tables)]
