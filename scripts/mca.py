#!/usr/bin/env python3
"""Predicts what the main loop of every production kernel takes on processors that are not at hand, by llvm-mca.

    scripts/mca.py             prints a table, in cycles per element, and writes build/tune/mca.json

Of each kernel and ISA it takes the variant of dispatch. src/gen is compiled to assembly with the flags of a release
build, by the ISA's compiler (<processor>-linux-gnu-g++). The main loop is the innermost loop without branches that
holds fused multiply-adds and takes the most elements per iteration; the elements are counted by its vector loads.
llvm-mca assumes that loads hit L1 and that branches are predicted: this is arithmetic alone.

Run it with /usr/bin/python3, which has Jinja2.
"""

import argparse
import collections
import dataclasses
import json
import pathlib
import re
import shutil
import subprocess
import typing

import generate

# LLVM 16 takes Cortex-A57 for Neoverse N1, and Zen 4 for half as fast as it is.
PACKAGES = ["binutils", "g++", "g++-aarch64-linux-gnu", "llvm-19", "python3-jinja2"]
REPORTS = generate.ROOT / "build" / "tune"
# As CMakeLists.txt has them for a release.
FLAGS = "-O3 -DNDEBUG -std=c++17 -fPIC -ffp-contract=off -fno-exceptions -fno-rtti -fvisibility=hidden".split()
CPUS = {  # as LLVM names them
    "skylake-avx512": "x86_64",
    "broadwell": "x86_64",
    "znver2": "x86_64",
    "znver4": "x86_64",
    "neoverse-n1": "aarch64",
}


class Unpredictable(Exception):
    """Says why there is no prediction."""


def install_packages(packages):
    script = 'source scripts/packages.sh && require_packages "$@"'
    subprocess.run(["bash", "-c", script, "bash", *packages], cwd=generate.ROOT, check=True)


@dataclasses.dataclass
class Assembly:
    """What must be known of an assembly language, as GCC writes it."""

    jump: re.Pattern  # calls and returns too
    call: re.Pattern  # and its target
    fma: re.Pattern
    register: re.Pattern  # that an address may consist of; the first is its base
    write: re.Pattern  # to such a register; every group is one
    step: re.Pattern  # adds a number to such a register
    load: re.Pattern  # of whole vectors: not of scalars, not masked, not broadcast
    floats: typing.Callable  # that a match of `load` loads


ASSEMBLIES = {
    "x86_64": Assembly(
        jump=re.compile(r"(j\w+|call|ret)\b"),
        call=re.compile(r"call ([\w.$]+)"),
        fma=re.compile(r"vfn?m(add|sub)"),
        register=re.compile(r"%r\w+"),
        write=re.compile(r"(?!cmp|test).*?(%r\w+)$"),
        step=re.compile(r"(?P<sign>add|sub)q \$(?P<by>-?\d+), (?P<to>%r\w+)$"),
        load=re.compile(
            r"v(?!\w*(mask|broadcast)|\w*s[sd] |mov[dq] )\w+ .*?(?P<address>(?P<displacement>-?\d*)\([^)]*\)), .*?%(?P<size>[xyz])mm\d+$"
        ),
        floats=lambda load: {"x": 4, "y": 8, "z": 16}[load["size"]],
    ),
    "aarch64": Assembly(
        jump=re.compile(r"(bl?r?|ret|[ct]bn?z|b\.?(eq|ne|cs|cc|hs|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le))( |$)"),
        call=re.compile(r"bl ([\w.$]+)"),
        fma=re.compile(r"fn?ml[as]|fn?m(add|sub)"),
        register=re.compile(r"x\d+"),
        write=re.compile(r"(?!st|cmp|tst|prfm)\w+ (x\d+),|.*\[(x\d+)\], |.*\[(x\d+),.*\]!"),
        step=re.compile(r"(?P<sign>add|sub) (?P<to>x\d+), (?P=to), #?(?P<by>\d+)$"),
        load=re.compile(
            r"(ldr q\d+, |ldp (?P<pair>q\d+), q\d+, |ld[1-4] \{v(?P<first>\d+)\.\w+( - v(?P<last>\d+)\.\w+)?\}, )"
            r"(?P<address>\[x\d+(, (?P<displacement>-?\d+))?.*)$"
        ),
        floats=lambda load: 4 * (2 if load["pair"] else int(load["last"] or load["first"] or 0) - int(load["first"] or 0) + 1),
    ),
}


def functions(text):
    """Name -> labels and instructions, of the assembly text of a file."""
    names = set(re.findall(r"^\s*\.type\s+([^,\s]+),\s*[@%]function", text, re.MULTILINE))
    bodies = {}
    body = None
    for line in (line.strip() for line in text.splitlines()):
        label = line[:-1] if line.endswith(":") else None
        if label in names:
            body = bodies[label] = []
        elif line.startswith(".size"):
            body = None
        elif body is not None and line and (label or not line.startswith((".", "#", "//"))):
            body.append(re.sub(r"\s+", " ", line))
    return bodies


def reachable(name, bodies, assembly):
    """A function's own lines, then those of the functions of the same file that it calls."""
    names = [name]
    for caller in names:
        called = [match[1] for line in bodies[caller] if (match := assembly.call.match(line))]
        names += [other for other in dict.fromkeys(called) if other in bodies and other not in names]
    return [bodies[each] for each in names]


def straight_loops(body, assembly):
    """The instructions of each innermost loop without a branch but the last."""
    labels = {line[:-1]: at for at, line in enumerate(body) if line.endswith(":")}
    previous_jump = -1
    for at, line in enumerate(body):
        if line.endswith(":") or not assembly.jump.match(line):
            continue
        start = labels.get(re.split(r"[\s,]+", line)[-1])
        if start is not None and previous_jump < start < at:
            yield [instruction for instruction in body[start:at + 1] if not instruction.endswith(":")]
        previous_jump = at


def elements_per_iteration(loop, assembly):
    """Floats of the vector loads whose address moves on, each address once: constants and what was spilled stay."""
    writes = [match for instruction in loop if (match := assembly.write.match(instruction))]
    moving = {register for match in writes for register in match.groups() if register}
    moved = collections.Counter()  # register -> bytes since the iteration began
    loads = {}
    for instruction in loop:
        if step := assembly.step.match(instruction):
            moved[step["to"]] += int(step["by"]) * (1 if step["sign"] == "add" else -1)
        elif load := assembly.load.match(instruction):
            registers = assembly.register.findall(load["address"])
            if moving.intersection(registers):
                loads[tuple(registers), moved[registers[0]] + int(load["displacement"] or 0)] = assembly.floats(load)
    return sum(loads.values())


def main_loop(name, bodies, assembly):
    """(instructions, elements per iteration) of a function's main loop."""
    if name not in bodies:
        raise Unpredictable("the assembly does not hold the function")
    loops = [loop for body in reachable(name, bodies, assembly) for loop in straight_loops(body, assembly)]
    loops = [loop for loop in loops if any(assembly.fma.match(instruction) for instruction in loop)]
    if not loops:
        raise Unpredictable("no innermost loop without branches holds a fused multiply-add")
    elements, _, loop = max((elements_per_iteration(loop, assembly), len(loop), loop) for loop in loops)
    if elements == 0:
        raise Unpredictable("no loop with fused multiply-adds loads whole vectors from an address that moves on")
    return loop, elements


def compile_kernel(isa, kernel, processor):
    source = generate.GEN / isa.name / f"{kernel.name}.cc"
    command = [f"{processor}-linux-gnu-g++", *FLAGS, *isa.flags, "-I", generate.ROOT, "-S", source, "-o", "-"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def cycles_per_iteration(loop, cpu):
    tool = shutil.which("llvm-mca-19") or "llvm-mca"
    command = [tool, f"-mtriple={CPUS[cpu]}-linux-gnu", f"-mcpu={cpu}", "-json"]
    run = subprocess.run(command, input="\n".join(loop), capture_output=True, text=True)
    if run.returncode != 0:
        if "unsupported instruction" in run.stderr:
            raise Unpredictable(f"{cpu}: llvm-mca knows the processor without an instruction of the loop")
        raise Unpredictable(f"{cpu}: {run.stderr}")
    summary = json.loads(run.stdout)["CodeRegions"][0]["SummaryView"]
    return summary["TotalCycles"] / summary["Iterations"]


def predict(isa, kernel):
    """What is known of a kernel's main loop, as mca.json has it."""
    variant = generate.variants_of(kernel, isa)[0]
    known = dict(isa=isa.name, kernel=kernel.name, variant=variant.name, cycles_per_element={}, problems=[])
    for processor in isa.processors:
        try:
            if processor not in ASSEMBLIES:
                raise Unpredictable("its assembly language is not known here")
            assembly = ASSEMBLIES[processor]
            loop, elements = main_loop(variant.function, functions(compile_kernel(isa, kernel, processor)), assembly)
        except Unpredictable as problem:
            known["problems"].append(f"{processor}: {problem}")
            continue
        known |= dict(elements=elements, instructions=len(loop))
        if elements != variant.tile:
            known["problems"].append(f"the loop loads {elements} elements, and the list has {variant.tile}")
        for cpu in (cpu for cpu in CPUS if CPUS[cpu] == processor):
            try:
                known["cycles_per_element"][cpu] = round(cycles_per_iteration(loop, cpu) / elements, 4)
            except Unpredictable as problem:
                known["problems"].append(str(problem))
    return known


def predict_all():
    """Of every ISA but those for all processors: they emulate fused multiply-add."""
    isas = [isa for isa in generate.load_isas() if isa.processors]
    return [predict(isa, kernel) for isa in isas for kernel in generate.production_kernels()]


def table(predictions):
    """In Markdown."""
    lines = ["| ISA | kernel | variant | elements | instructions | " + " | ".join(CPUS) + " |", "|---" * (5 + len(CPUS)) + "|"]
    for known in predictions:
        cycles = [f"{known['cycles_per_element'][cpu]:.3f}" if cpu in known["cycles_per_element"] else "-" for cpu in CPUS]
        counts = [str(known.get(count, "-")) for count in ("elements", "instructions")]
        lines.append("| " + " | ".join([known["isa"], known["kernel"], known["variant"], *counts, *cycles]) + " |")
    kernels = collections.defaultdict(list)
    for known in predictions:
        for problem in known["problems"]:
            kernels[known["isa"], problem].append(known["kernel"])
    problems = [f"- {isa}, {problem}: {', '.join(names)}" for (isa, problem), names in kernels.items()]
    return "\n".join([*lines, "", *problems])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    install_packages(PACKAGES)
    predictions = predict_all()
    print(table(predictions))
    REPORTS.mkdir(parents=True, exist_ok=True)
    (REPORTS / "mca.json").write_text(json.dumps(predictions, indent=2) + "\n")


if __name__ == "__main__":
    main()
