#!/usr/bin/env python3
"""Chooses the variant of every production kernel that dispatch takes, by measuring all of them on this machine.

    cmake --build --preset release --target tune       builds what it measures, and runs
    scripts/tune.py                                    measures what is built in build/release
    scripts/tune.py --isa avx2 --kernel f32-softmax    these alone
    scripts/tune.py --quick                            a report of short runs, by which nothing is chosen

For each ISA that runs here and each kernel, one run of bench/microkernels_bench interleaves all variants at the sizes
at which the library uses the kernel (names that end in /tuning). A variant's time is the geometric mean, over these
sizes, of its median relative to the best one's. The fastest is chosen; of those within TIE of it, the one of the
smallest code. Where the runs spread more than NOISE, the variant stays what it was. The choices go to src/isa/tuned.json, and scripts/generate.py makes src/gen of it. ISAs that do not run
here keep what they have.

build/tune/report.md and report.json hold what was seen, and what scripts/mca.py predicts for other processors.

Run it with /usr/bin/python3, which has Jinja2, and with nothing else running.
"""

import argparse
import collections
import dataclasses
import datetime
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

import generate
import mca

PACKAGES = ["binutils", "python3-jinja2", "clang-format-14"]
TIE = 0.02
NOISE = 0.1  # median over variants and sizes of the distance of the quartiles, relative to the median
LARGEST_PORTABLE_SIZE = 1 << 20  # elements; ISAs for all processors wait for arithmetic at every size, for seconds at large ones
THOROUGH = ["--benchmark_repetitions=15", "--benchmark_min_time=0.02"]
QUICK = ["--benchmark_repetitions=3", "--benchmark_min_time=0.002"]


@dataclasses.dataclass
class Times:
    """Of a variant at a size, in ns per element."""

    median: float
    spread: float  # distance of the quartiles, relative to the median

    @classmethod
    def of(cls, samples):
        median = statistics.median(samples)
        lower, _, upper = statistics.quantiles(samples, n=4)
        return cls(median, (upper - lower) / median)


def relative_times(times):
    """Variant -> geometric mean over the sizes of its median relative to the best one's, of variant -> size -> Times."""
    sizes = next(iter(times.values())).keys()
    best = {size: min(of_variant[size].median for of_variant in times.values()) for size in sizes}
    return {
        variant: statistics.geometric_mean([of_variant[size].median / best[size] for size in sizes])
        for variant, of_variant in times.items()
    }


def choose(relative, code_bytes):
    """The fastest variant; of those within TIE of it, that of the smallest code."""
    limit = min(relative.values()) * (1 + TIE)
    return min((variant for variant in relative if relative[variant] <= limit),
               key=lambda variant: (code_bytes[variant], relative[variant]))


class Bench:
    def __init__(self, build_dir, effort):
        self.program = build_dir / "bench" / "microkernels_bench"
        if not self.program.exists():
            sys.exit(f"{self.program} is not there: cmake --build {build_dir} --target microkernels_bench")
        self.effort = effort
        listed = subprocess.run([self.program, "--benchmark_list_tests"], stdout=subprocess.PIPE, text=True, check=True)
        self.names = listed.stdout.split()

    def runs(self, isa):
        return any(f"_ukernel__{isa.name}_" in name and not name.endswith("/unsupported") for name in self.names)

    def names_to_tune_by(self, variant):
        names = [name for name in self.names if name.startswith(variant.function + "/") and name.endswith("/tuning")]
        if not names:
            sys.exit(f"{self.program} has no size to tune {variant.function} by: build it anew, or let the kernel's pass in "
                     "bench/microkernels_bench.cc say where the library uses it")
        if variant.isa.processors:
            return names
        return [name for name in names if int(re.search(r"/n:(\d+)", name)[1]) <= LARGEST_PORTABLE_SIZE]

    def measure(self, variants):
        """Variant -> size -> Times."""
        functions = {variant.function: variant.name for variant in variants}
        names = [name for variant in variants for name in self.names_to_tune_by(variant)]
        out = mca.REPORTS / "run.json"
        command = [self.program, f"--benchmark_filter=^({'|'.join(names)})$", "--benchmark_enable_random_interleaving=true",
                   *self.effort, f"--benchmark_out={out}", "--benchmark_out_format=json"]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        samples = {name: collections.defaultdict(list) for name in functions.values()}
        for run in sorted(json.loads(out.read_text())["benchmarks"], key=lambda run: run["family_index"]):
            if run["run_type"] == "iteration":
                function, size = run["run_name"].removesuffix("/tuning").split("/", 1)
                samples[functions[function]][f"{run['label']}, {size}"].append(run["time_per_element"] * 1e9)
        return {name: {size: Times.of(seen) for size, seen in sizes.items()} for name, sizes in samples.items()}

    def code_bytes(self, variants):
        """Variant -> size of its function."""
        symbols = subprocess.run(["nm", "-S", "--defined-only", self.program], stdout=subprocess.PIPE, text=True, check=True)
        sizes = {fields[3]: int(fields[1], 16) for line in symbols.stdout.splitlines() if len(fields := line.split()) == 4}
        return {variant.name: sizes[variant.function] for variant in variants}


def machine(build_dir):
    """The processor, and the compiler of the kernels."""
    cpu = re.search(r"^Model name:\s*(.+)$", subprocess.run("lscpu", stdout=subprocess.PIPE, text=True, check=True).stdout, re.M)
    compiler = re.search(r"^CMAKE_CXX_COMPILER:\w+=(.+)$", (build_dir / "CMakeCache.txt").read_text(), re.M)[1]
    version = subprocess.run([compiler, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[0]
    return f"{cpu[1] if cpu else os.uname().machine}, {os.cpu_count()} CPUs; {version}"


def tune(bench, isa, kernel):
    """What was seen of a kernel on an ISA, and the choice."""
    variants = generate.variants_of(kernel, isa)
    times = bench.measure(variants)
    relative, code_bytes = relative_times(times), bench.code_bytes(variants)
    noise = statistics.median(seen.spread for of_variant in times.values() for seen in of_variant.values())
    before = variants[0].name
    return dict(
        isa=isa.name,
        kernel=kernel.name,
        before=before,
        chosen=choose(relative, code_bytes) if noise <= NOISE else before,
        noise=noise,
        variants=[
            dict(
                variant=name,
                code_bytes=code_bytes[name],
                relative_time=relative[name],
                ns_per_element={size: dataclasses.asdict(seen) for size, seen in times[name].items()},
            )
            for name in sorted(times, key=relative.get)
        ],
    )


def write_choices(results, circumstances):
    tuned = json.loads(generate.TUNED.read_text())
    for result in results:
        if result["noise"] > NOISE:
            continue
        seen = next(each for each in result["variants"] if each["variant"] == result["chosen"])
        medians = {size: round(times["median"], 4) for size, times in seen["ns_per_element"].items()}
        entry = {"variant": result["chosen"], "ns_per_element": medians, **circumstances}
        tuned.setdefault(result["isa"], {})[result["kernel"]] = entry
    generate.TUNED.write_text(json.dumps(tuned, indent=2) + "\n")


def summary(result):
    noisy = ", too noisy to choose" if result["noise"] > NOISE else ""
    return f"{result['isa']} {result['kernel']}: {result['chosen']} (before: {result['before']}{noisy})"


def markdown(report):
    lines = ["# Tuning", "", f"{report['machine']}; {report['date']}; `{report['command']}`", "",
             "Medians in ns per element ± distance of the quartiles in percent. *time* is relative to the best variant at each",
             f"size, geometric mean; of variants within {TIE:.0%} of the fastest the smallest code is chosen. Where the median of the",
             f"distances is more than {NOISE:.0%}, the choice stays what it was."]
    for result in report["kernels"]:
        sizes = list(result["variants"][0]["ns_per_element"])
        lines += ["", f"## {summary(result)}", "",
                  "| variant | code bytes | time | " + " | ".join(sizes) + " |", "|---" * (3 + len(sizes)) + "|"]
        for seen in result["variants"]:
            name = f"**{seen['variant']}**" if seen["variant"] == result["chosen"] else seen["variant"]
            times = [f"{each['median']:.4f} ± {100 * each['spread']:.1f}" for each in seen["ns_per_element"].values()]
            lines.append("| " + " | ".join([name, str(seen["code_bytes"]), f"{seen['relative_time']:.3f}", *times]) + " |")
    lines += ["", "# llvm-mca", "", "Cycles per element of the main loop of the variants that are dispatched now (scripts/mca.py).",
              "", mca.table(*report["mca"]), ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build-dir", type=pathlib.Path, default=generate.ROOT / "build" / "release")
    parser.add_argument("--isa", action="append", help="tune this ISA alone; may be repeated")
    parser.add_argument("--kernel", action="append", help="tune this kernel alone; may be repeated")
    parser.add_argument("--quick", action="store_true", help="short runs; choose nothing")
    arguments = parser.parse_args()
    mca.install_packages(*PACKAGES)
    mca.REPORTS.mkdir(parents=True, exist_ok=True)
    bench = Bench(arguments.build_dir, QUICK if arguments.quick else THOROUGH)
    results = []
    for isa in generate.load_isas():
        if arguments.isa and isa.name not in arguments.isa:
            continue
        if not bench.runs(isa):
            print(f"{isa.name}: does not run here")
            continue
        for kernel in generate.production_kernels():
            if arguments.kernel and kernel.name not in arguments.kernel:
                continue
            results.append(tune(bench, isa, kernel))
            print(summary(results[-1]), flush=True)
    circumstances = {"machine": machine(arguments.build_dir), "date": datetime.date.today().isoformat()}
    if not arguments.quick:
        write_choices(results, circumstances)
        subprocess.run([sys.executable, generate.ROOT / "scripts" / "generate.py"], check=True)
    report = dict(circumstances, command=" ".join(sys.argv), kernels=results,
                  mca=mca.predict_all(generate.production_kernels()))
    (mca.REPORTS / "report.json").write_text(json.dumps(report, indent=2, default=dataclasses.asdict) + "\n")
    (mca.REPORTS / "report.md").write_text(markdown(report))
    print(f"{mca.REPORTS / 'report.md'} says what was seen" + (" (--quick: nothing was chosen)" if arguments.quick else ""))


if __name__ == "__main__":
    main()
