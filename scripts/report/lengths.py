"""Single rows from level 1 cache to far out of cache, by every algorithm on every instruction set, and by the operator on
several threads: what experiments 1, 3 and 5 look at."""

from report import style

ALGORITHMS = ("three-pass-recompute", "three-pass-reload", "two-pass", "two-pass-stream", "store-and-rescale")
ROOFLINES = ("read", "copy", "stream-copy")
SHORTEST_ROW = 1 << 11
EXPONENT_STEP = {"quick": 3, "full": 1}
LONGEST_SCALAR_ROW = {"quick": 1 << 16, "full": 1 << 20}
BYTES_PER_ELEMENT = 8  # of input and output together


def steps(suite):
    exponents = range(SHORTEST_ROW.bit_length() - 1, suite.effort.largest_row.bit_length(), EXPONENT_STEP[suite.effort.name])
    return [suite.step(f"a row of {style.power_of_two(1 << exponent)} elements", "softmax_bench", regex(suite, 1 << exponent))
            for exponent in exponents]


def regex(suite, n):
    isas = "|".join(suite.isas if n <= LONGEST_SCALAR_ROW[suite.effort.name] else suite.vector_isas)
    return (f"(({'|'.join(ALGORITHMS)})/isa:({isas})/threads:1|(operator/isa:({isas})|{'|'.join(ROOFLINES)})/threads:[0-9]+)"
            f"/rows:1/channels:{n}/warm/real_time")


def measurements(results, what, isa=None, threads=1):
    """Elements -> measurement."""
    fields = {"isa": isa} if isa else {}
    found = results.by("channels", what=what, threads=threads, rows=1, buffering="warm", **fields)
    return {n: each for n, each in found.items() if n >= SHORTEST_ROW}


def times(results, what, isa=None, threads=1):
    """Elements -> nanoseconds an element."""
    return {n: each.ns for n, each in measurements(results, what, isa, threads).items()}


def longest(results, isa):
    return max(measurements(results, "two-pass", isa), default=None)


def cache_factor(results, n):
    """By how much input and output together exceed the last-level cache that is reported."""
    return n * BYTES_PER_ELEMENT / int(results.context["last_level_bytes"])


def largest_in(results, level, lengths):
    """The longest row that fills at most half of a cache, or None."""
    return max((n for n in lengths if n * BYTES_PER_ELEMENT <= int(results.context[f"{level}_bytes"]) / 2), default=None)


def beyond(results, n):
    """How far out of cache a row is, and whether that is as far as it should be."""
    factor = cache_factor(results, n)
    short = "" if factor >= 4.0 else ", less than the four times that were aimed at"
    return f"{factor:.1f} times the last-level cache{short}"


ROW_HEADER = "elements (in and out)"


def row_text(n):
    """For tables, under ROW_HEADER."""
    return f"{style.power_of_two(n)} ({style.power_of_two(n * BYTES_PER_ELEMENT)}B)"


def size_text(n):
    return f"{style.power_of_two(n)} elements ({style.power_of_two(n * BYTES_PER_ELEMENT)}B in and out)"
