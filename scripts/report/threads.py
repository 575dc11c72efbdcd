"""Experiment 5: threads, over a batch that grows with them (weak scaling), over a fixed one, and over a single row (strong)."""

from report import lengths, style
from report.results import Ratio
from report.section import Figure, Section, Table, agreement

BATCH = (256, 4096)  # rows a thread in weak scaling, channels; as softmax_bench has them
FIXED = ((256, 4096), (1024, 1024), (16, 32000))
PAPER = ("Memory bandwidth limits softmax on all cores as on one, so that with threads over a batch the two-pass algorithm keeps its lead. "
         "Splitting one row over threads is not in the paper.")
FAIR = 0.7  # of what the best copy gains by the same threads


def steps(suite):
    subjects = f"(operator/isa:({'|'.join(suite.vector_isas)})|{'|'.join(lengths.ROOFLINES)})"
    growing = f"rows:[0-9][0-9][0-9]+/channels:{BATCH[1]}"  # and the fixed batch of as many channels
    shapes = [growing, *[f"rows:{rows}/channels:{channels}" for rows, channels in FIXED if channels != BATCH[1]]]
    return [*lengths.steps(suite),
            *[suite.step(f"threads, {shape}", "softmax_bench", f"{subjects}/threads:[0-9]+/{shape}/warm/real_time") for shape in shapes]]


def by_threads(results, what, rows, channels, isa=None):
    fields = {"isa": isa} if isa else {}
    return results.by("threads", what=what, rows=rows, channels=channels, buffering="warm", **fields)


def weak(results, what, isa=None):
    """Threads -> measurement of as many rows a thread."""
    fields = {"isa": isa} if isa else {}
    found = results.find(what=what, channels=BATCH[1], buffering="warm", **fields)
    return dict(sorted((each.fields["threads"], each) for each in found
                       if each.fields.get("rows") == BATCH[0] * each.fields.get("threads", 0)))


def speedups(measurements):
    """Threads -> how many times the elements per second of one thread."""
    return {threads: Ratio.of(measurements[1].ns, each.ns) for threads, each in measurements.items() if 1 in measurements}


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


def scaling_figure(results, isas):
    shapes = [shape for shape in FIXED if by_threads(results, "operator", *shape, isas[0])]
    plot, axes = style.axes(columns=2, rows=-(-(1 + len(shapes)) // 2))
    def of_each(measured):
        return {f"operator, {isa}": speedups(measured("operator", isa)) for isa in isas} | {
            name: speedups(measured(name)) for name in lengths.ROOFLINES}
    plot_speedups(axes[0], of_each(lambda what, isa=None: weak(results, what, isa)),
                  f"weak: {BATCH[0]} rows a thread × {BATCH[1]}")
    for ax, (rows, channels) in zip(axes[1:], shapes):
        plot_speedups(ax, of_each(lambda what, isa=None: by_threads(results, what, rows, channels, isa)), f"strong: {rows} × {channels}")
    for ax in axes[1 + len(shapes):]:
        ax.set_visible(False)
    style.legend_below(plot, axes[0])
    return Figure("threads-batch", "Batches on several threads: the operator, and what reading and copying gain by the same threads.", plot)


def most_threads(results):
    return max((each.fields["threads"] for each in results.find(what="operator", rows=1)), default=1)


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
        ax.set_ylim(bottom=0)
        ax.set_title(f"one row, {isa}")
        ax.set_ylabel("ns per element")
        ax.legend()
    return Figure("threads-row", "One row split over threads, by its length; lower is better.", plot)


def speedup_text(ratio):
    return f"{ratio.value:.2f} times [{ratio.lower:.2f}, {ratio.upper:.2f}]"


def sections(results):
    most = most_threads(results)
    isas = [isa for isa in results.isas if len(by_threads(results, "operator", *FIXED[0], isa)) > 1]
    if most == 1 or not isas:
        return [Section("Threads", PAPER, ["This machine has one processor, or threads were not measured."], agreement([]))]
    seen, claims, rows = [], [], []
    cases = [(f"{BATCH[0]} rows a thread × {BATCH[1]}", lambda what, isa=None: weak(results, what, isa))]
    cases += [(f"{shape[0]} × {shape[1]}", lambda what, isa=None, shape=shape: by_threads(results, what, *shape, isa)) for shape in FIXED]
    cases += [(f"1 × {n}", lambda what, isa=None, n=n: by_threads(results, what, 1, n, isa))
              for n in lengths.times(results, "operator", isas[0], most)]
    for title, measured in cases:
        floor = best_floor(results, measured).get(most)
        for isa in isas:
            ratio = speedups(measured("operator", isa)).get(most)
            if ratio is None:
                continue
            rows.append([title, isa, style.spread_text(measured("operator", isa)[1].ns), style.spread_text(measured("operator", isa)[most].ns),
                         style.ratio_text(ratio), style.ratio_text(floor) if floor else ""])
            if floor and not title.startswith("1 ×"):
                claims.append(ratio.value >= FAIR * floor.value)
    for isa in isas:
        weak_ratio, weak_floor = speedups(weak(results, "operator", isa)).get(most), best_floor(results, cases[0][1]).get(most)
        if weak_ratio and weak_floor:
            seen.append(f"{isa}, rows grow with threads: {most} threads compute {speedup_text(weak_ratio)} as many elements in a second as one; "
                        f"copying gains {weak_floor.value:.2f} times.")
        ratios = {n: speedups(by_threads(results, "operator", 1, n, isa))[most] for n in lengths.times(results, "operator", isa, most)}
        split = [n for n, ratio in ratios.items() if ratio.lower > 1.0]
        if split:
            seen.append(f"{isa}, one row: faster on {most} threads from {style.power_of_two(min(split))} elements on, and "
                        f"{speedup_text(ratios[max(split)])} as fast at {style.power_of_two(max(split))}.")
        else:
            seen.append(f"{isa}, one row: {most} threads are not faster at any length measured.")
    table = Table(f"The operator in ns per element on 1 and on {most} threads, and the speed-up beside that of the fastest copy",
                  ["rows × channels", "ISA", "1 thread", f"{most} threads", "speed-up", "copy's speed-up"], rows, reproduction=True)
    seen.append(f"Taken to agree where a batch gains at least {FAIR:.0%} of what the fastest copy gains by the same threads.")
    return [Section("Threads", PAPER, seen, agreement(claims), [scaling_figure(results, isas), row_figure(results, isas)], [table])]
