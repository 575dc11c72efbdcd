"""Single rows from level 1 cache to far out of cache, by every algorithm on every instruction set: what experiments 1 and 3 look
at."""

from report import style

ALGORITHMS = ("three-pass-recompute", "three-pass-reload", "two-pass", "two-pass-stream", "store-and-rescale")
ROOFLINES = ("read", "copy", "stream-copy")
SHORTEST_ROW = 1 << 8
# The portable code computes each multiply-add by a function call: it waits for arithmetic at every length.
LONGEST_SCALAR_ROW = {"quick": 1 << 16, "full": 1 << 20}
BYTES_PER_ELEMENT = 8  # of input and output together


def steps(suite):
    exponents = range(SHORTEST_ROW.bit_length() - 1, suite.effort.largest_row.bit_length(), 1 if suite.effort.name == "full" else 2)
    return [suite.step(f"a row of {style.power_of_two(1 << exponent)} elements", "softmax_bench", regex(suite, 1 << exponent))
            for exponent in exponents]


def regex(suite, n):
    isas = "[a-z0-9]+" if n <= LONGEST_SCALAR_ROW[suite.effort.name] else "(?!scalar)[a-z0-9]+"
    return f"(({'|'.join(ALGORITHMS)}|operator)/isa:{isas}|{'|'.join(ROOFLINES)})/threads:1/rows:1/channels:{n}/warm/real_time"


def measurements(results, what, isa=None):
    """Elements -> measurement."""
    fields = {"isa": isa} if isa else {}
    return results.by("channels", what=what, threads=1, rows=1, buffering="warm", **fields)


def times(results, what, isa=None):
    """Elements -> nanoseconds an element."""
    return {n: each.ns for n, each in measurements(results, what, isa).items() if n >= SHORTEST_ROW}


def longest(results, isa):
    return max(measurements(results, "two-pass", isa), default=None)


def cache_factor(results, n):
    """By how much input and output together exceed the last-level cache that is reported."""
    return n * BYTES_PER_ELEMENT / int(results.context["last_level_bytes"])


def size_text(n):
    return f"{style.power_of_two(n)} elements ({style.power_of_two(n * BYTES_PER_ELEMENT)}B in and out)"
