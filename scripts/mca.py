#!/usr/bin/env python3
"""Predicts what the main loop of every kernel takes on processors that are not at hand, by llvm-mca.

    scripts/mca.py             prints a table, in cycles per element, and writes build/tune/mca.json

Of a production kernel it takes the variant of dispatch, of a baseline all variants. src/gen is compiled to assembly with
the flags of a release build, by the ISA's compiler (<processor>-linux-gnu-g++). Of the innermost loops without branches,
the main loop is the one with the most exponentials, which end in a shift to a float's exponent. Of several such it is the one with the
fewest fused multiply-adds, for those of masks have more, and the longest of these: a sum has its loop twice, and but for its last block
runs the one that also looks ahead for the next block's maximum. Without exponentials, the most fused multiply-adds decide.
Its elements follow from how far an iteration moves the addresses of vectors on, those of columns from the number of its exponentials,
and must agree with the list.

llvm-mca assumes that loads hit L1 and that branches are predicted: this is arithmetic alone, without what is done once a
block or a row.

Run it with /usr/bin/python3, which has Jinja2.
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import generate

REPORTS = generate.ROOT / "build" / "tune"
# As CMakeLists.txt has them for a release.
FLAGS = "-O3 -DNDEBUG -std=c++17 -fPIC -ffp-contract=off -fno-exceptions -fno-rtti -fvisibility=hidden".split()
# LLVM 16 takes Cortex-A57 for Neoverse N1, and Zen 4 for half as fast as it is.
TOOL = "llvm-mca-19"
CPUS = {  # as LLVM names them
    "skylake-avx512": "x86_64",
    "broadwell": "x86_64",
    "znver2": "x86_64",
    "znver4": "x86_64",
    "neoverse-n1": "aarch64",
}
# A main loop takes the variant's tile, and moves on by as much, but for these: it moves on by an accumulator's part, and
# takes as much of each accumulator's block.
SUMS_OF_BLOCKS = ("raddextexp", "raddstoreextexp")
# Their strides are parameters, which the list cannot be held against: where there are exponentials, these are counted, and of the
# others there are no predictions.
UNPREDICTED = ("pack-columns", "rmax-columns", "raddlanes-columns", "vmulextc-columns", "vsubextc-columns", "columns-to-rows", "rows-to-columns",
               "topk")


class Unpredictable(Exception):
    """Says why there is no prediction."""


def install_packages(*packages):
    """These, and what runs here."""
    script = 'source scripts/packages.sh && require_packages "${mca_packages[@]}" "$@"'
    subprocess.run(["bash", "-c", script, "bash", *packages], cwd=generate.ROOT, check=True)


@dataclasses.dataclass
class Assembly:
    """What must be known of an assembly language, as GCC writes it."""

    jump: re.Pattern  # calls and returns too
    fma: re.Pattern
    exponential: re.Pattern  # one instruction of each
    steps: list  # patterns of what moves a register on that an address may consist of, by a number or as far as another
    vector: re.Pattern  # reads or writes a vector at an address: base, index and what the index is multiplied by


ASSEMBLIES = {
    "x86_64": Assembly(
        jump=re.compile(r"(j\w+|call|ret)\b"),
        fma=re.compile(r"vfn?m(add|sub)"),
        exponential=re.compile(r"vpslld \$(20|23), "),
        steps=[
            re.compile(r"(?P<sign>add|sub)q \$(?P<by>-?\d+), (?P<to>%r\w+)$"),
            re.compile(r"leaq (?P<by>-?\d+)\((?P<to>%r\w+)\), (?P=to)$"),
        ],
        vector=re.compile(r"v.*\((?P<base>%r\w+)(,(?P<index>%r\w+)(,(?P<scale>\d))?)?\).*"),
    ),
    "aarch64": Assembly(
        jump=re.compile(r"(bl?r?|ret|[ct]bn?z|b\.?(eq|ne|cs|cc|hs|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le))( |$)"),
        fma=re.compile(r"fn?ml[as]|fn?m(add|sub)"),
        exponential=re.compile(r"shl v.*, (20|23)$"),
        steps=[
            re.compile(r"(?P<sign>add|sub) (?P<to>x\d+), (?P=to), #?(?P<by>\d+)$"),
            re.compile(r".*\[(?P<to>x\d+)\], #?(?P<by>-?\d+)$"),  # after a load or store
            re.compile(r".*\[(?P<to>x\d+), #?(?P<by>-?\d+)\]!$"),  # before it
            re.compile(r"mov (?P<to>x\d+), (?P<moved>x\d+)$"),  # to where another has been moved
        ],
        vector=re.compile(r"(ld|st)\w+ [dq{].*\[(?P<base>\w+)(, (?P<index>x\d+)(, lsl (?P<shift>\d))?)?.*"),
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


def reachable(name, bodies):
    """A function's own lines, then those of the functions of the same file that it names: it may call them by address."""
    names = [name]
    for caller in names:
        named = [word for line in bodies[caller] for word in re.findall(r"[\w.$]+", line)]
        names += [other for other in dict.fromkeys(named) if other in bodies and other not in names]
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


def count(loop, pattern):
    return sum(bool(pattern.match(instruction)) for instruction in loop)


def main_loop(name, bodies, assembly):
    """The instructions of a function's main loop."""
    if name not in bodies:
        raise Unpredictable("the assembly does not hold the function")
    loops = [loop for body in reachable(name, bodies) for loop in straight_loops(body, assembly)]
    if not loops:
        raise Unpredictable("it has no innermost loop without branches")

    def precedence(loop):
        exponentials, fmas = count(loop, assembly.exponential), count(loop, assembly.fma)
        return exponentials, -fmas if exponentials > 0 else fmas, len(loop)

    return max(loops, key=precedence)


def strides(loop, assembly):
    """Bytes by which an iteration moves the addresses of vectors on. Those of constants and of what was spilled stay."""
    moved = collections.Counter()  # register -> bytes
    for step in (match for instruction in loop for pattern in assembly.steps if (match := pattern.match(instruction))):
        by = step.groupdict()
        moved[by["to"]] += int(by.get("by") or moved[by.get("moved")]) * (-1 if by.get("sign") == "sub" else 1)
    found = set()
    for vector in (match for instruction in loop if (match := assembly.vector.match(instruction))):
        address = vector.groupdict()
        multiplier = int(address.get("scale") or 1) << int(address.get("shift") or 0)
        found.add(moved[address["base"]] + moved[address["index"]] * multiplier)
    return found - {0}


def elements_of(loop, variant, assembly):
    """Elements that an iteration of the main loop takes."""
    kernel = variant.kernel
    if kernel.base.endswith("-columns"):
        elements = count(loop, assembly.exponential) * variant.isa.width
        if variant.tile not in (elements, elements * variant.accumulators):
            raise Unpredictable(f"its main loop has exponentials of {elements} elements, and in the list it is {variant.name}")
        return elements
    by_block = kernel.base in SUMS_OF_BLOCKS
    elements = variant.tile // variant.accumulators if by_block else variant.tile
    expected = {elements * generate.BYTES[type] for type in (kernel.input, kernel.output)}
    moved = strides(loop, assembly)
    if not moved or not moved <= expected:
        raise Unpredictable(f"its main loop moves on by {sorted(moved)} bytes, and in the list it is {variant.name}")
    return variant.tile


def run(command, **options):
    if shutil.which(command[0]) is None:
        raise Unpredictable(f"{command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise Unpredictable(f"{command[0]}: {done.stderr}")
    return done.stdout


def compile_kernel(isa, kernel, processor):
    source = generate.GEN / isa.name / f"{kernel.name}.cc"
    return run([f"{processor}-linux-gnu-g++", *FLAGS, *isa.flags, "-I", generate.ROOT, "-S", source, "-o", "-"])


def cycles_per_iteration(loops, cpu):
    """Of each loop; of none where the processor has not all of the instructions."""
    regions = [["/* LLVM-MCA-BEGIN loop */", *loop, "/* LLVM-MCA-END loop */"] for loop in loops]
    command = [TOOL, f"-mtriple={CPUS[cpu]}-linux-gnu", f"-mcpu={cpu}", "-json", "-instruction-info=false", "-resource-pressure=false"]
    try:
        answer = run(command, input="\n".join(line for region in regions for line in region))
    except Unpredictable as problem:
        if "unsupported instruction" in str(problem):
            return []
        raise
    summaries = [region["SummaryView"] for region in json.loads(answer)["CodeRegions"]]
    return [each["TotalCycles"] / each["Iterations"] for each in summaries]


@dataclasses.dataclass
class Prediction:
    isa: str
    kernel: str
    variant: str
    function: str
    elements: int  # of an iteration of the main loop
    instructions: int
    fmas_per_vector: float
    cycles_per_element: dict  # by processor


def predict(isa, kernel):
    """A prediction for each variant of the kernel's first file: that of dispatch, or all of a baseline."""
    variants = generate.sources_of(kernel, isa)[0].variants
    predictions = []
    for processor in isa.processors:
        if processor not in ASSEMBLIES:
            raise Unpredictable(f"the assembly language of {processor} is not known here")
        assembly, bodies = ASSEMBLIES[processor], functions(compile_kernel(isa, kernel, processor))
        loops = [main_loop(variant.function, bodies, assembly) for variant in variants]
        elements = [elements_of(loop, variant, assembly) for loop, variant in zip(loops, variants)]
        cycles = {cpu: cycles_per_iteration(loops, cpu) for cpu in CPUS if CPUS[cpu] == processor}
        predictions += [Prediction(isa.name, kernel.name, variants[v].name, variants[v].function, elements[v], len(loops[v]),
                                   count(loops[v], assembly.fma) * isa.width / elements[v],
                                   {cpu: round(each[v] / elements[v], 4) for cpu, each in cycles.items() if each})
                        for v in range(len(variants))]
    return predictions


def attempt(isa, kernel):
    """Predictions, or why there are none."""
    try:
        return predict(isa, kernel), {}
    except Unpredictable as problem:
        return [], {f"{kernel.name} on {isa.name}": str(problem)}


def predict_all(kernels):
    """Of every ISA but those for all processors, which emulate fused multiply-add: the predictions, and '<kernel> on <ISA>' ->
    why there is none."""
    checked = [kernel for kernel in kernels if kernel.base not in UNPREDICTED]
    pairs = [(isa, kernel) for isa in generate.load_isas() if isa.processors for kernel in checked]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        attempts = list(pool.map(attempt, *zip(*pairs)))
    return [known for found, _ in attempts for known in found], {what: why for _, problems in attempts for what, why in problems.items()}


def versions():
    """Of what predicts and compiles."""
    return ", ".join(re.search(r"LLVM version \S+|\S+-g\+\+.* \S+", run([tool, "--version"]))[0]
                     for tool in (TOOL, *(f"{processor}-linux-gnu-g++" for processor in ASSEMBLIES)))


def table(predictions, problems):
    """In Markdown."""
    lines = ["| ISA | kernel | variant | elements | instructions | " + " | ".join(CPUS) + " |", "|---" * (5 + len(CPUS)) + "|"]
    for known in predictions:
        cycles = [f"{known.cycles_per_element[cpu]:.3f}" if cpu in known.cycles_per_element else "-" for cpu in CPUS]
        lines.append("| " + " | ".join([known.isa, known.kernel, known.variant, str(known.elements), str(known.instructions), *cycles]) + " |")
    return "\n".join([*lines, *(f"\n{what}: {why}" for what, why in problems.items())])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    install_packages("python3-jinja2")
    predictions, problems = predict_all(generate.load_list()["KERNELS"])
    print(table(predictions, problems))
    REPORTS.mkdir(parents=True, exist_ok=True)
    (REPORTS / "mca.json").write_text(json.dumps([dataclasses.asdict(known) for known in predictions], indent=2) + "\n")
    if problems:
        sys.exit(1)


if __name__ == "__main__":
    main()
