"""Runs what experiments ask for, with progress, and writes results.json."""

import dataclasses
import datetime
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import typing

from report import results

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PORTABLE = "scalar"
NOT_OF_THE_MACHINE = ("host_name", "executable")  # in the context of a program


@dataclasses.dataclass(frozen=True)
class Effort:
    name: str
    rounds: int  # through all steps, so that samples of one benchmark are minutes apart
    repetitions: int  # in a round, interleaved at random with what they are compared with
    min_time: float  # seconds of a repetition
    largest_row: int  # elements; memory may allow less


QUICK = Effort("quick", rounds=2, repetitions=3, min_time=0.004, largest_row=1 << 26)
FULL = Effort("full", rounds=5, repetitions=3, min_time=0.01, largest_row=1 << 28)


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

    def path(self, program):
        return self.build_dir / "bench" / program

    def output(self, program, *options):
        """What a program prints."""
        command = [str(self.path(program)), *options]
        environment = {**os.environ, "SMXPACK_BENCH_LARGEST_ROW": str(self.effort.largest_row)}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def names(self, program):
        """Of all benchmarks that it has."""
        return self.output(program, "--benchmark_list_tests").splitlines()

    def file(self, program, option, *options):
        """What a program writes into the file that the option names: in Google Benchmark's format."""
        with tempfile.TemporaryDirectory() as directory:
            out = pathlib.Path(directory) / "out.json"
            self.output(program, f"{option}={out}", *options)
            if not out.exists() or not out.stat().st_size:
                raise RuntimeError(f"{program} {' '.join(options)} measured nothing")
            return json.loads(out.read_text())

    def run(self, program, regex, *options):
        """The benchmarks whose whole names match (a POSIX extended expression)."""
        return self.file(program, "--benchmark_out", "--benchmark_out_format=json", f"--benchmark_filter=^({regex})$", *options)

    def step(self, title, program, regex):
        """All that match, interleaved."""
        return Step(title, lambda: self.run(program, regex, *self.interleaved))


def memory_bytes():
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def largest_row_in_memory(bytes_per_element=8):
    """The largest power of two of which so much, by default input and output, fills at most half of the memory."""
    elements = memory_bytes() // 2 // bytes_per_element
    return 1 << (elements.bit_length() - 1)


@dataclasses.dataclass
class ProcessorTimes:
    """Ticks of all processors since the system began, as Linux counts them."""

    total: int
    idle: int
    stolen: int  # which the host of a virtual machine gave to others

    @classmethod
    def now(cls):
        user, nice, system, idle, iowait, irq, softirq, steal = map(int, pathlib.Path("/proc/stat").read_text().split()[1:9])
        return cls(user + nice + system + idle + iowait + irq + softirq + steal, idle + iowait, steal)

    def since(self, before):
        return ProcessorTimes(self.total - before.total, self.idle - before.idle, self.stolen - before.stolen)


def busy_processors(seconds=2):
    """How many are at work while this program waits."""
    before = ProcessorTimes.now()
    time.sleep(seconds)
    times = ProcessorTimes.now().since(before)
    return (1 - times.idle / max(times.total, 1)) * os.cpu_count()


def commit():
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True)
    return done.stdout.strip() or "unknown"


def run_step(step):
    """A file in Google Benchmark's format; of a step that fails, as a benchmark that fails is told there."""
    try:
        return step.run()
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return {"context": {}, "benchmarks": [{"run_name": step.title, "run_type": "iteration", "error_occurred": True,
                                               "error_message": str(error)}]}


def measure(suite, steps):
    """After each step the contents of results.json so far, so that a run that is cut loses nothing."""
    todo = [step for round in range(suite.effort.rounds) for step in steps if round < (step.rounds or suite.effort.rounds)]
    circumstances = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "mode": suite.effort.name,
        "rounds": suite.effort.rounds,
        "repetitions_a_round": suite.effort.repetitions,
        "steps": len(todo),
        "load_avg": list(os.getloadavg()),
        "busy_processors": busy_processors(),
        "memory_bytes": memory_bytes(),
        "kernel": " ".join([os.uname().sysname, os.uname().release, os.uname().machine]),
        "commit": commit(),
    }
    files, begin, times = [], time.monotonic(), ProcessorTimes.now()
    for index, step in enumerate(todo):
        elapsed = time.monotonic() - begin
        left = f", about {elapsed / index * (len(todo) - index):.0f} s left" if index >= len(steps) else ""
        print(f"[{index + 1}/{len(todo)}] {elapsed:4.0f} s{left}: {step.title}", flush=True)
        files.append(run_step(step))
        of_programs = {key: value for file in files for key, value in file["context"].items() if key not in NOT_OF_THE_MACHINE}
        so_far = {"steps_done": len(files), "seconds": round(time.monotonic() - begin), "load_avg_after": list(os.getloadavg()),
                  "stolen": (taken := ProcessorTimes.now().since(times)).stolen / max(taken.total, 1)}
        yield {"context": {**of_programs, **circumstances, **so_far}, "benchmarks": results.merge(files)}
