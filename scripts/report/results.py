"""What was measured: a file in Google Benchmark's JSON format, with every repetition."""

import dataclasses
import functools
import json
import operator
import statistics


@dataclasses.dataclass(frozen=True)
class Spread:
    """Median, least and greatest of all samples. Quartiles would tell how much a moment's samples differ, and not how far a machine
    drifts within a run: those of two runs overlap for six benchmarks in ten, these for nearly all."""

    median: float
    lower: float
    upper: float
    rounds: tuple  # of each round the median, or of a single one all samples: what is compared side by side

    @classmethod
    def of(cls, *rounds):
        """Of the samples of each round."""
        samples = [sample for of_round in rounds for sample in of_round]
        return cls(statistics.median(samples), min(samples), max(samples),
                   tuple(map(statistics.median, rounds)) if len(rounds) > 1 else tuple(samples))

    @property
    def relative(self):
        """Distance of the bounds, relative to the median."""
        return (self.upper - self.lower) / self.median


@dataclasses.dataclass(frozen=True)
class Ratio:
    """Of two medians; the bounds are the least and the greatest of the rounds' ratios: what is compared was interleaved in each."""

    value: float
    lower: float
    upper: float

    @classmethod
    def of(cls, numerator, denominator):
        value = numerator.median / denominator.median
        ratios = [value, *map(operator.truediv, numerator.rounds, denominator.rounds)]
        return cls(value, min(ratios), max(ratios))


@dataclasses.dataclass(frozen=True)
class Measurement:
    """All repetitions of one benchmark."""

    name: str
    fields: dict  # of the name: see parse_name
    label: str
    entries: tuple  # as Google Benchmark wrote them

    def spread(self, counter, scale=1.0):
        rounds = {}
        for entry in self.entries:
            rounds.setdefault(entry.get("round", 0), []).append(entry[counter] * scale)
        return Spread.of(*rounds.values())

    @functools.cached_property
    def ns(self):
        """Nanoseconds an element."""
        return self.spread("time_per_element", 1e9)

    @functools.cached_property
    def gigabytes_per_second(self):
        return self.spread("bytes_per_second", 1e-9)

    @functools.cached_property
    def bytes_per_element(self):
        first = self.entries[0]
        return round(first["bytes_per_second"] / first["items_per_second"])


def parse_name(name):
    """'two-pass/isa:avx2/threads:1/rows:1/channels:64/warm/real_time' -> {'what': 'two-pass', 'isa': 'avx2', 'threads': 1, ...,
    'buffering': 'warm'}."""
    what, *parts = name.split("/")
    fields = {"what": what}
    for part in parts:
        key, colon, value = part.partition(":")
        if colon:
            fields[key] = int(value) if value.isdecimal() else value
        elif part in ("warm", "rotated"):
            fields["buffering"] = part
    return fields


class Results:
    def __init__(self, context, benchmarks):
        """`benchmarks` as in the file. Aggregates are not looked at: they are computed here, over all rounds."""
        self.context = context
        entries = {}
        self.failed = {}  # name -> why
        for entry in benchmarks:
            if entry.get("error_occurred"):
                self.failed[entry["run_name"]] = entry["error_message"]
            elif entry["run_type"] == "iteration":
                entries.setdefault(entry["run_name"], []).append(entry)
        self.measurements = [Measurement(name, parse_name(name), each[0].get("label", ""), tuple(each))
                             for name, each in entries.items()]

    @classmethod
    def read(cls, path):
        file = json.loads(path.read_text())
        return cls(file["context"], file["benchmarks"])

    def find(self, **fields):
        """Measurements whose names have all of these fields."""
        return [each for each in self.measurements if all(each.fields.get(key) == value for key, value in fields.items())]

    def one(self, **fields):
        """The only measurement of these fields, or None."""
        found = self.find(**fields)
        if len(found) > 1:
            raise ValueError(f"{fields} does not say which of {[each.name for each in found]}")
        return found[0] if found else None

    def by(self, key, **fields):
        """Value of the field `key` -> measurement, in the order of values."""
        found = {each.fields[key]: each for each in self.find(**fields) if key in each.fields}
        return dict(sorted(found.items()))

    @property
    def isas(self):
        """Those that ran, widest first."""
        return self.context["isas"].split()


def merge(files):
    """One list of the benchmarks of many: a benchmark that occurs in several keeps all its repetitions, numbered anew, and the
    round of each. Aggregates are dropped, for they would be those of a part."""
    merged = {}  # name -> rounds of entries
    for file in files:
        of_file = {}
        for entry in file["benchmarks"]:
            if entry["run_type"] == "iteration":
                of_file.setdefault(entry["run_name"], []).append(entry)
        for name, entries in of_file.items():
            merged.setdefault(name, []).append(entries)
    return [numbered for rounds in merged.values() for numbered in number(rounds)]


def number(rounds):
    """The entries of a benchmark's rounds in one list."""
    entries = [{**entry, "round": index} for index, of_round in enumerate(rounds) for entry in of_round]
    return [{**entry, "repetition_index": index, "repetitions": len(entries)} for index, entry in enumerate(entries)]


def write(file, path):
    """One benchmark a line. What the file had stays until all is written."""
    benchmarks = ",\n".join(map(json.dumps, file["benchmarks"]))
    part = path.with_suffix(".part")
    part.write_text(f'{{"context": {json.dumps(file["context"], indent=1)},\n"benchmarks": [\n{benchmarks}\n]}}\n')
    part.replace(path)
