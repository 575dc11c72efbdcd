"""Experiment 7, second half: small and tiny rows, the operator against the three-pass kernels called without an operator."""

from report import lengths, style
from report.results import Ratio
from report.section import NOT_IN_PAPER, NOT_MEASURED, Figure, Section, Table

ELEMENTS = 1 << 16  # of a batch, as softmax_bench has it
LARGEST = 1024
CHANNELS = (8, 10, 16, 24, 32, 48, 64, 100, 128, 197, 256, 512, 1000, 1024)
PEERS = ("three-pass-recompute", "three-pass-reload")
WHATS = (*PEERS, "operator")
PAPER = "Its abstract speaks of inputs that are out of cache only."


def steps(suite):
    every = "|".join(WHATS)
    return [suite.step(f"small rows, {channels} channels", "softmax_bench",
                       f"({every})/isa:[a-z0-9]+/threads:1/rows:({ELEMENTS // channels}|1)/channels:{channels}/warm/real_time")
            for channels in CHANNELS]


def batch(results, what, isa):
    found = results.by("channels", what=what, isa=isa, threads=1, buffering="warm")
    return {channels: each.ns for channels in found if channels in CHANNELS
            for each in results.find(what=what, isa=isa, threads=1, rows=ELEMENTS // channels, channels=channels, buffering="warm")}


def single(results, what, isa):
    return {channels: each.ns for channels, each in
            results.by("channels", what=what, isa=isa, threads=1, rows=1, buffering="warm").items() if channels <= LARGEST}


def best_peer(results, rows_of, isa, channels):
    return min((rows_of(results, what, isa)[channels] for what in PEERS), key=lambda spread: spread.median)


def gains(results, rows_of, isa):
    return {channels: Ratio.of(best_peer(results, rows_of, isa, channels), spread)
            for channels, spread in rows_of(results, "operator", isa).items()}


def figure(results, isas):
    plot, axes = style.axes(columns=len(isas), rows=2)
    for index, (rows_of, title) in enumerate(((batch, "a batch of 64 Ki elements"), (single, "one row"))):
        for ax, isa in zip(axes[index * len(isas):], isas):
            for what in WHATS:
                style.line(ax, what, rows_of(results, what, isa))
            style.sizes_axis(ax, "channels")
            style.log_values(ax)
            ax.set_title(f"{isa}: {title}")
            ax.set_ylabel("ns per element")
    style.legend_below(plot, axes[0])
    return Figure("small-rows", "Rows of 8 to 1024 channels, one thread, warm; the operator's figures include its setup. Lower is better.", plot)


def sentence(isa, what, ratios):
    faster = [channels for channels, ratio in ratios.items() if ratio.lower > 1.0]
    slower = [str(channels) for channels, ratio in ratios.items() if ratio.upper < 1.0]
    best = max(ratios, key=lambda channels: ratios[channels].value)
    return (f"{isa}, {what}: the operator is faster than the better three-pass at {len(faster)} of {len(ratios)} lengths, at most "
            f"{ratios[best].value:.1f} times ({best} channels); slower at: {', '.join(slower) or 'none'}.")


def sections(results):
    title = "Small and tiny rows"
    isas = [isa for isa in results.isas if batch(results, "operator", isa)]
    if not isas:
        return [Section(title, PAPER, [], NOT_MEASURED)]
    seen, rows = [], []
    for isa in isas:
        for what, rows_of in (("batch", batch), ("one row", single)):
            ratios = gains(results, rows_of, isa)
            seen.append(sentence(isa, what, ratios))
            rows += [[isa, what, str(channels), *[style.spread_text(rows_of(results, each, isa)[channels]) for each in WHATS],
                      style.ratio_text(ratio)] for channels, ratio in ratios.items()]
    table = Table("Nanoseconds an element, median [range]",
                  ["ISA", "rows", "channels", *[style.label_of(what) for what in WHATS], "better three-pass / operator"], rows)
    return [Section(title, PAPER, seen, NOT_IN_PAPER, [figure(results, isas)], [table])]
