"""Measures the paper's experiments and writes the report. scripts/bench.sh builds what it needs and runs it."""

import argparse
import pathlib
import sys

from report import accuracy, coverage, measure, microarchitectures, page, passes, peers, recomputing, small_rows, threads, tuning
from report import two_pass
from report.results import Results, write

# In the order of the page. Each module has steps(suite), what is to be measured, and sections(results).
EXPERIMENTS = (recomputing, passes, two_pass, tuning, threads, peers, accuracy, small_rows, microarchitectures)


def parse_arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench.sh", description=__doc__)
    parser.add_argument("--build-dir", type=pathlib.Path, default=measure.ROOT / "build" / "bench", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=pathlib.Path, default=measure.ROOT / "build" / "report")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--quick", dest="effort", action="store_const", const=measure.QUICK, help="a few minutes; the default")
    mode.add_argument("--full", dest="effort", action="store_const", const=measure.FULL, help="longer rows, more repetitions")
    mode.add_argument("--from", dest="source", type=pathlib.Path, metavar="results.json", help="draw it without measuring")
    parser.set_defaults(effort=measure.QUICK)
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    arguments.output.mkdir(parents=True, exist_ok=True)
    source = arguments.source
    if source is None:
        suite = measure.Suite(arguments.build_dir, arguments.effort)
        steps = {step.title: step for experiment in EXPERIMENTS for step in experiment.steps(suite)}  # some share steps
        source = arguments.output / "results.json"
        for measured in measure.measure(suite, list(steps.values())):
            write(measured, source)
    results = Results.read(source)
    missing = coverage.missing(results)
    sections = [section for experiment in EXPERIMENTS for section in experiment.sections(results)]
    page.write(results, sections, arguments.output, missing)
    print(f"{arguments.output / 'index.html'} is the report")
    if missing or results.failed:
        sys.exit("No result for: " + ", ".join([*missing, *results.failed]))


if __name__ == "__main__":
    main()
