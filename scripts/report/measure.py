"""Runs what experiments ask for, with progress, and writes results.json."""

import dataclasses
import datetime
import functools
import json
import os
import pathlib
import subprocess
import tempfile
import time
import typing

from report import results

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PORTABLE = "scalar"


@dataclasses.dataclass(frozen=True)
class Effort:
    name: str
    rounds: int  # through all steps, so that samples of one benchmark are minutes apart
    repetitions: int  # in a round, interleaved at random with what they are compared with
    min_time: float  # seconds of a repetition
    largest_row: int  # elements; memory may allow less


QUICK = Effort("quick", rounds=2, repetitions=3, min_time=0.004, largest_row=1 << 26)
FULL = Effort("full", rounds=3, repetitions=5, min_time=0.01, largest_row=1 << 28)


@dataclasses.dataclass(frozen=True)
class Step:
    """A run of a benchmark program, of a few seconds: what it measures is interleaved and may be compared."""

    title: str
    run: typing.Callable  # () -> a file in Google Benchmark's format, as a dictionary
    rounds: int = 0  # in place of the effort's, where it is not 0


class Suite:
    """The programs of a build directory, and how thoroughly they are run."""

    def __init__(self, build_dir, effort):
        self.build_dir = build_dir
        self.effort = dataclasses.replace(effort, largest_row=min(effort.largest_row, largest_row_in_memory()))

    @functools.cached_property
    def probe(self):
        """A short run of every algorithm: which instruction sets there are, and which microkernels each takes."""
        return self.run("softmax_bench", "[-a-z]+/isa:[a-z0-9]+/threads:1/rows:1/channels:64/warm/real_time",
                        "--benchmark_min_time=0.0001")

    @property
    def isas(self):
        return self.probe["context"]["isas"].split()

    @property
    def vector_isas(self):
        """All but the portable one, which computes each multiply-add by a function call and waits for arithmetic at every
        length, for seconds at large ones."""
        return [isa for isa in self.isas if isa != PORTABLE]

    @property
    def interleaved(self):
        return ("--benchmark_enable_random_interleaving=true", f"--benchmark_repetitions={self.effort.repetitions}",
                f"--benchmark_min_time={self.effort.min_time}")

    def command(self, program, *options):
        return [self.build_dir / "bench" / program, *options]

    def run(self, program, regex, *options):
        """A file in Google Benchmark's format, of the benchmarks whose whole names match (a POSIX extended expression)."""
        with tempfile.TemporaryDirectory() as directory:
            out = pathlib.Path(directory) / "out.json"
            command = self.command(program, f"--benchmark_filter=^({regex})$", "--benchmark_out_format=json",
                                   f"--benchmark_out={out}", *options)
            environment = {**os.environ, "SMXPACK_BENCH_LARGEST_ROW": str(self.effort.largest_row)}
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode != 0 or not out.exists() or not out.stat().st_size:
                raise RuntimeError(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}")
            return json.loads(out.read_text())

    def step(self, title, program, regex):
        """All that match, interleaved."""
        return Step(title, lambda: self.run(program, regex, *self.interleaved))


def memory_bytes():
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def largest_row_in_memory():
    """The largest power of two of which input and output fill at most half of the memory."""
    elements = memory_bytes() // 2 // 8
    return 1 << (elements.bit_length() - 1)


def commit():
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True)
    return done.stdout.strip() or "unknown"


def measure(suite, steps):
    """The contents of results.json."""
    started, load_before = datetime.datetime.now(datetime.timezone.utc), os.getloadavg()
    todo = [step for round in range(suite.effort.rounds) for step in steps if round < (step.rounds or suite.effort.rounds)]
    files, begin = [], time.monotonic()
    for index, step in enumerate(todo):
        elapsed = time.monotonic() - begin
        left = f", about {elapsed / index * (len(todo) - index):.0f} s left" if index >= len(steps) else ""
        print(f"[{index + 1}/{len(todo)}] {elapsed:4.0f} s{left}: {step.title}", flush=True)
        files.append(step.run())
    context = {
        **next(file["context"] for file in files if "isas" in file["context"]),
        "date": started.isoformat(timespec="seconds"),
        "mode": suite.effort.name,
        "rounds": suite.effort.rounds,
        "repetitions_a_round": suite.effort.repetitions,
        "seconds": round(time.monotonic() - begin),
        "load_avg": list(load_before),
        "load_avg_after": list(os.getloadavg()),
        "memory_bytes": memory_bytes(),
        "kernel": " ".join([os.uname().sysname, os.uname().release, os.uname().machine]),
        "commit": commit(),
    }
    del context["executable"], context["host_name"]
    return {"context": context, "benchmarks": results.merge(files)}
