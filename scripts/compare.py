#!/usr/bin/env python3
"""What changed between two runs of benchmarks, files in Google Benchmark's JSON format with repetitions.

    scripts/compare.py before.json after.json
    scripts/compare.py before.json after.json --fail-on-regression 5    exits with 1 where one is slower by more than 5 %

A change counts as one where the Mann-Whitney U test, corrected for the number of benchmarks (Benjamini and Hochberg),
finds it at a level of 0.05. Google Benchmark's own compare.py neither corrects nor has an exit code to go by. The last line
tells how many agree within their spread, which for scripts/bench.sh is the range of all samples.

Needs SciPy (Debian: python3-scipy); run it with /usr/bin/python3.
"""

import argparse
import collections
import json
import pathlib
import statistics
import sys

from scipy.stats import mannwhitneyu

LEVEL = 0.05
FEWEST_SAMPLES = 4  # below, no difference reaches the level


def samples(path):
    """Name -> times of its repetitions."""
    times = collections.defaultdict(list)
    for entry in json.loads(pathlib.Path(path).read_text())["benchmarks"]:
        if entry.get("run_type", "iteration") == "iteration" and not entry.get("error_occurred"):
            times[entry["name"]].append(entry.get("time_per_element", entry["real_time"]))
    return times


def corrected(p_values):
    """By Benjamini and Hochberg: the rate of false discoveries at which each would be one."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__, reverse=True)
    result, least = [1.0] * len(p_values), 1.0
    for rank, index in zip(range(len(p_values), 0, -1), order):
        least = result[index] = min(least, p_values[index] * len(p_values) / rank)
    return result


def compare(before, after):
    """(name, median before, median after, ratio, corrected p or None, verdict) of what both have."""
    names = [name for name in before if name in after and min(before[name]) > 0 and min(after[name]) > 0]
    tested = [name for name in names if min(len(before[name]), len(after[name])) >= FEWEST_SAMPLES]
    p_values = corrected([mannwhitneyu(before[name], after[name], alternative="two-sided").pvalue for name in tested])
    p_of = dict(zip(tested, p_values))
    rows = []
    for name in names:
        a, b, p = statistics.median(before[name]), statistics.median(after[name]), p_of.get(name)
        verdict = "too few samples" if p is None else "same" if p >= LEVEL or a == b else "slower" if b > a else "faster"
        rows.append((name, a, b, b / a, p, verdict))
    return rows


def agree(before, after):
    """Whether the ranges of two benchmarks' samples overlap."""
    return min(before) <= max(after) and min(after) <= max(before)


def summary(before, after, rows):
    """How many benchmarks of several samples agree."""
    several = [name for name, *_ in rows if min(len(before[name]), len(after[name])) > 1]
    agreeing = sum(agree(before[name], after[name]) for name in several)
    return f"{agreeing} of {len(several)} agree: the ranges of their samples overlap"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--fail-on-regression", type=float, metavar="PERCENT")
    arguments = parser.parse_args()
    before, after = samples(arguments.before), samples(arguments.after)
    rows = compare(before, after)
    if not rows:
        sys.exit("The files have no benchmark in common.")
    width = max(len(row[0]) for row in rows)
    print(f"{'benchmark':{width}} {'before':>10} {'after':>10} {'ratio':>7} {'p':>7}  verdict")
    for name, a, b, ratio, p, verdict in rows:
        print(f"{name:{width}} {a:10.4g} {b:10.4g} {ratio:7.3f} {'-' if p is None else format(p, '.4f'):>7}  {verdict}")
    print(summary(before, after, rows))
    limit = arguments.fail_on_regression
    if limit is not None and any(row[5] == "slower" and row[3] > 1 + limit / 100 for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
