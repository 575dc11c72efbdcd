"""Experiment 5: threads, over a batch that grows with them (weak scaling), over a fixed one, and over a single row (strong)."""

from report import lengths, style
from report.results import Ratio
from report.section import NOT_IN_PAPER, NOT_MEASURED, Figure, Section, Table

# Rows a thread in weak scaling, channels; as softmax_bench has them. They are measured as fixed batches, too.
IN_CACHE = (256, 4096)
OUT_OF_CACHE = (2, 1 << 23)
FIXED = (IN_CACHE, OUT_OF_CACHE, (1024, 1024), (16, 32000))
COMPARED = ("three-pass-recompute", "three-pass-reload", "two-pass")
PAPER = "Its abstract says nothing of threads."


def steps(suite):
    subjects = f"(({'|'.join(COMPARED)}|operator)/isa:({'|'.join(suite.vector_isas)})|{'|'.join(lengths.ROOFLINES)})"
    return [*lengths.steps(suite), *[
        suite.step(f"threads over rows of {channels} channels", "softmax_bench",
                   f"{subjects}/threads:[0-9]+/rows:{rows_regex(rows, channels)}/channels:{channels}/warm/real_time")
        for rows, channels in FIXED]]


def rows_regex(rows, channels):
    """A fixed batch, and where it is one that grows with the threads, all of those: not single rows, and not few short ones."""
    return {IN_CACHE: "[0-9][0-9][0-9]+", OUT_OF_CACHE: "([2-9]|[0-9][0-9]+)"}.get((rows, channels), rows)


def fixed(results, shape, what, isa=None):
    """Threads -> measurement of the same rows."""
    fields = {"isa": isa} if isa else {}
    return results.by("threads", what=what, rows=shape[0], channels=shape[1], buffering="warm", **fields)


def growing(results, shape, what, isa=None):
    """Threads -> measurement of as many rows a thread."""
    fields = {"isa": isa} if isa else {}
    found = results.find(what=what, channels=shape[1], buffering="warm", **fields)
    return dict(sorted((each.fields["threads"], each) for each in found
                       if each.fields.get("rows") == shape[0] * each.fields.get("threads", 0)))


def most_threads(results):
    return max((each.fields["threads"] for each in results.find(what="operator", rows=1)), default=1)


def one_row(results, n, what, isa=None):
    """Threads -> measurement of a single row."""
    return fixed(results, (1, n), what, isa)


def speedups(measurements):
    """Threads -> how many times the elements per second of one thread."""
    return {threads: Ratio.of(measurements[1].ns, each.ns) if threads > 1 else Ratio(1.0, 1.0, 1.0)
            for threads, each in measurements.items() if 1 in measurements}


def best_floor(results, threads_of):
    """The speed-up of the way of copying that is fastest on all threads; threads_of(name) is threads -> measurement."""
    found = [measured for name in ("copy", "stream-copy") if len(measured := threads_of(name)) > 1]
    return speedups(min(found, key=lambda measured: measured[max(measured)].ns.median)) if found else {}


def plot_speedups(ax, series, title):
    """`series` is name -> threads -> Ratio."""
    most = 1
    for name, ratios in series.items():
        if not ratios:
            continue
        _, colour, marker = style.SERIES.get(name, (name, style.CYCLE[len(ax.lines) % len(style.CYCLE)], "o"))
        x, values = list(ratios), [ratio.value for ratio in ratios.values()]
        ax.errorbar(x, values, [[ratio.value - ratio.lower for ratio in ratios.values()],
                                [ratio.upper - ratio.value for ratio in ratios.values()]], color=colour, marker=marker or "x",
                    linestyle=style.ROOFLINE_DASHES.get(name, "-"), capsize=3, label=style.label_of(name))
        most = max(most, *x)
    ax.plot([1, most], [1, most], color=style.GREY, linewidth=0.8, label="ideal")
    ax.set_xticks(sorted({threads for ratios in series.values() for threads in ratios}))
    ax.set_xlabel("threads")
    ax.set_ylabel("times one thread's speed")
    ax.set_ylim(bottom=0)
    ax.set_title(title)


def batches_figure(results, isas):
    panels = [(f"weak: {rows} rows a thread × {style.power_of_two(channels)}", growing, (rows, channels)) for rows, channels in (IN_CACHE, OUT_OF_CACHE)]
    panels += [(f"strong: {rows} × {style.power_of_two(channels)}", fixed, (rows, channels)) for rows, channels in FIXED]
    plot, axes = style.axes(columns=2, rows=len(panels) // 2)
    for ax, (title, measured, shape) in zip(axes, panels):
        plot_speedups(ax, {f"operator, {isa}": speedups(measured(results, shape, "operator", isa)) for isa in isas} | {
            name: speedups(measured(results, shape, name)) for name in lengths.ROOFLINES}, title)
    style.legend_below(plot, axes[0])
    return Figure("threads-batch", "Batches on several threads: the operator, and what reading and copying gain by the same threads.", plot)


def algorithms_figure(results, isas):
    plot, axes = style.axes(columns=len(isas))
    for ax, isa in zip(axes, isas):
        for what in (*COMPARED, "operator"):
            style.line(ax, what, {threads: each.ns for threads, each in growing(results, OUT_OF_CACHE, what, isa).items()})
        ax.set_xticks(list(growing(results, OUT_OF_CACHE, "operator", isa)))
        ax.set_xlabel("threads")
        ax.set_ylabel("ns per element")
        ax.set_ylim(bottom=0)
        ax.set_title(f"{isa}: {OUT_OF_CACHE[0]} rows a thread × {style.power_of_two(OUT_OF_CACHE[1])}")
    style.legend_below(plot, axes[0])
    return Figure("threads-algorithms", "Weak scaling out of cache: every thread has its own rows; elements are those of all threads. Lower "
                  "is better.", plot)


def row_figure(results, isas):
    most = most_threads(results)
    counts = sorted({each.fields["threads"] for each in results.find(what="operator", rows=1)})
    plot, axes = style.axes(columns=len(isas))
    for ax, isa in zip(axes, isas):
        for index, threads in enumerate(counts):
            style.line(ax, f"{threads} threads" if threads > 1 else "1 thread",
                       lengths.times(results, "operator", isa, threads), colour=style.CYCLE[index % len(style.CYCLE)])
        style.line(ax, "stream-copy", lengths.times(results, "stream-copy", threads=most), label=f"non-temporal copy, {most} threads")
        style.sizes_axis(ax)
        style.log_values(ax)
        ax.set_title(f"one row, {isa}")
        ax.set_ylabel("ns per element")
    style.legend_below(plot, axes[0])
    return Figure("threads-row", "One row split over threads, by its length; lower is better.", plot)


def speedup_text(ratio):
    return f"{ratio.value:.2f} times [{ratio.lower:.2f}, {ratio.upper:.2f}]"


def two_pass_gain(results, isa, threads):
    """How much longer the better three-pass algorithm takes when every thread has its rows out of cache."""
    times = {what: growing(results, OUT_OF_CACHE, what, isa)[threads].ns for what in COMPARED}
    two_pass = times.pop("two-pass")
    return Ratio.of(min(times.values(), key=lambda spread: spread.median), two_pass)


def table(results, isas, most):
    cases = [(f"{rows} a thread × {channels}", growing, (rows, channels)) for rows, channels in (IN_CACHE, OUT_OF_CACHE)]
    cases += [(f"{rows} × {channels}", fixed, (rows, channels)) for rows, channels in FIXED]
    cases += [(f"1 × {n}", one_row, n) for n in lengths.times(results, "operator", isas[0], most)]
    rows = []
    for title, measured, shape in cases:
        floor = best_floor(results, lambda name: measured(results, shape, name)).get(most)
        for isa in isas:
            times = measured(results, shape, "operator", isa)
            rows.append([title, isa, style.spread_text(times[1].ns), style.spread_text(times[most].ns),
                         style.ratio_text(speedups(times)[most]), style.ratio_text(floor) if floor else ""])
    return Table(f"The operator in ns per element on 1 and on {most} threads, and the speed-up beside that of the fastest copy",
                 ["rows × channels", "ISA", "1 thread", f"{most} threads", "speed-up", "copy's speed-up"], rows, reproduction=True)


def sections(results):
    most = most_threads(results)
    isas = [isa for isa in results.isas if all(len(fixed(results, shape, "operator", isa)) > 1 for shape in FIXED)]
    if not isas:
        return [Section("Threads", PAPER, ["This machine has one processor, or threads were not measured."], NOT_MEASURED)]
    seen = []
    for isa in isas:
        gain = two_pass_gain(results, isa, most)
        seen.append(f"{isa}, {most} threads, each with {OUT_OF_CACHE[0]} rows of {style.power_of_two(OUT_OF_CACHE[1])} elements: two-pass is "
                    f"{gain.value:.2f} [{gain.lower:.2f}, {gain.upper:.2f}] times as fast as the better three-pass.")
        for shape in (IN_CACHE, OUT_OF_CACHE):
            floor = best_floor(results, lambda name: growing(results, shape, name))
            seen.append(f"{isa}, the operator, {shape[0]} rows a thread of {style.power_of_two(shape[1])}: {most} threads compute "
                        f"{speedup_text(speedups(growing(results, shape, 'operator', isa))[most])} as many elements in a second as one; copying "
                        f"gains {floor[most].value:.2f} times.")
        ratios = {n: speedups(one_row(results, n, "operator", isa))[most] for n in lengths.times(results, "operator", isa, most)}
        faster = [n for n, ratio in ratios.items() if ratio.lower > 1.0]
        seen.append(f"{isa}, one row: faster on {most} threads from {style.power_of_two(min(faster))} elements on, and "
                    f"{speedup_text(ratios[max(faster)])} as fast at {style.power_of_two(max(faster))}." if faster else
                    f"{isa}, one row: {most} threads are not faster beyond the spread at any length measured.")
    return [Section("Threads", PAPER, seen, NOT_IN_PAPER,
                    [algorithms_figure(results, isas), batches_figure(results, isas), row_figure(results, isas)], [table(results, isas, most)])]
