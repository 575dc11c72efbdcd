"""Experiment 3: two-pass softmax against both three-pass algorithms, and against the memory traffic that each needs."""

from report import lengths, style
from report.results import Ratio
from report.section import Figure, Section, Table, agreement

TWO_PASS = "two-pass"
OURS = (TWO_PASS, "two-pass-stream", "operator")
THREE_PASS = ("three-pass-recompute", "three-pass-reload")
CLAIMED = {"avx512f": "up to 28 % (Skylake-X)", "avx2": "up to 18 % (Skylake-X); gains on Broadwell and Zen 2"}
PAPER = ("Its abstract says that out of cache two-pass softmax is up to 28 % faster than three-pass with AVX512 and up to 18 % with AVX2 on "
         "Skylake-X, and faster on Broadwell and Zen 2; not over which three-pass variant: here it is the better one. By our count two-pass "
         "moves 3N elements in place of 4N or 5N.")

steps = lengths.steps


def best_three_pass(results, isa, n):
    return min((lengths.times(results, what, isa)[n] for what in THREE_PASS), key=lambda spread: spread.median)


def gain(results, what, isa, n):
    """How much longer the better three-pass algorithm takes."""
    return Ratio.of(best_three_pass(results, isa, n), lengths.times(results, what, isa)[n])


def gain_text(ratio):
    return f"{100 * (ratio.value - 1):+.0f} % [{100 * (ratio.lower - 1):+.0f}, {100 * (ratio.upper - 1):+.0f}]"


def out_of_cache(results, isa):
    """The longest row, where it is out of cache."""
    longest = lengths.longest(results, isa)
    return longest if longest and lengths.cache_factor(results, longest) > 1.0 else None


def times_figure(results, isas):
    plot, axes = style.axes(columns=len(isas), height=4.6)
    for ax, isa in zip(axes, isas):
        for name in lengths.ROOFLINES:
            style.line(ax, name, {n: spread for n, spread in lengths.times(results, name).items()
                                  if n <= lengths.longest(results, isa)})
        for what in (*THREE_PASS, *OURS):
            style.line(ax, what, lengths.times(results, what, isa))
        style.sizes_axis(ax)
        style.log_values(ax)
        style.cache_lines(ax, results.context)
        ax.set_title(isa)
        ax.set_ylabel("ns per element")
    style.legend_below(plot, axes[0])
    return Figure("two-pass", "Softmax of one row, one thread, by its length, over the time that reading and copying it take; lower is "
                  "better.", plot)


def gains_figure(results, isas):
    plot, axes = style.axes(columns=len(isas))
    for ax, isa in zip(axes, isas):
        for what in OURS:
            ratios = {n: gain(results, what, isa, n) for n in lengths.times(results, what, isa)}
            _, colour, marker = style.SERIES[what]
            ax.plot(list(ratios), [100 * (ratio.value - 1) for ratio in ratios.values()], color=colour, marker=marker,
                    label=style.label_of(what))
            ax.fill_between(list(ratios), [100 * (ratio.lower - 1) for ratio in ratios.values()],
                            [100 * (ratio.upper - 1) for ratio in ratios.values()], color=colour, alpha=0.2, linewidth=0)
        ax.axhline(0, color=style.BLACK, linewidth=0.8)
        style.sizes_axis(ax)
        style.cache_lines(ax, results.context)
        ax.set_title(isa)
        ax.set_ylabel("faster than the better three-pass, %")
    style.legend_below(plot, axes[0])
    return Figure("two-pass-gain", "How much faster than the better of the three-pass algorithms, by the row's length; bands are the "
                  "least and the greatest of the rounds' ratios.", plot)


def traffic(results, what, isa, n):
    """Floats an element: those that are moved, and with the lines that are fetched only to be overwritten. Streaming stores fetch
    none, and a second write finds the line that the pass has read."""
    moved = lengths.measurements(results, what, isa)[n].bytes_per_element // 4
    return moved, moved + (what != "two-pass-stream")


def traffic_figure(results, isa, n):
    names = (*THREE_PASS, "two-pass", "two-pass-stream")
    plot, (times, moved) = style.axes(columns=2)
    for position, what in enumerate(names):
        colour = style.SERIES[what][1]
        style.bars(times, position, lengths.times(results, what, isa)[n], colour)
        counted, allocated = traffic(results, what, isa, n)
        moved.bar(position - 0.2, counted, 0.38, color=colour)
        moved.bar(position + 0.2, allocated, 0.38, color=colour, alpha=0.5, hatch="//", edgecolor="white")
        moved.annotate(f"{counted}N", (position - 0.2, counted), ha="center", va="bottom")
        moved.annotate(f"{allocated}N", (position + 0.2, allocated), ha="center", va="bottom")
    for ax in (times, moved):
        ax.set_xticks(range(len(names)), [style.label_of(what).replace(", ", ",\n") for what in names], fontsize=9)
        ax.grid(axis="x", visible=False)
    times.set_ylabel("ns per element")
    times.set_title(f"{isa}: time, {style.power_of_two(n)} elements")
    moved.set_ylabel("elements moved / N")
    moved.set_title("traffic; hatched: with write-allocate")
    return Figure(f"traffic-{isa}", f"{isa}: time out of cache beside the traffic that each algorithm needs.", plot)


def sections(results):
    isas = [isa for isa in results.isas if lengths.longest(results, isa)]
    seen, claims, rows, figures = [], [], [], []
    seen.append(f"The last-level cache is taken to be what the {results.context['last_level_source']} says, "
                f"{style.power_of_two(int(results.context['last_level_bytes']))}B: in a virtual machine it is the host's whole one, of which a "
                "process has a part, so that what exceeds it is out of cache in any case.")
    for isa in isas:
        n = out_of_cache(results, isa)
        if n is None:
            seen.append(f"{isa}: the longest row measured, {lengths.size_text(lengths.longest(results, isa))}, is not out of cache.")
            continue
        gains = {what: gain(results, what, isa, n) for what in OURS}
        claims.append(gains[TWO_PASS].lower > 1.0)
        seen.append(f"{isa}, {lengths.beyond(results, n)}: over the better three-pass, two-pass gains {gain_text(gains[TWO_PASS])}; "
                    f"with streaming stores {gain_text(gains['two-pass-stream'])}; the operator as it is "
                    f"{gain_text(gains['operator'])} (it takes {lengths.measurements(results, 'operator', isa)[n].label}).")
        rows.append([isa, CLAIMED.get(isa, "none"), lengths.row_text(n), *[gain_text(each) for each in gains.values()]])
        three, two = (traffic(results, what, isa, n)[1] for what in (THREE_PASS[0], TWO_PASS))
        seen.append(f"{isa}: traffic with write-allocate would give {100 * (three / two - 1):+.0f} % over recomputing.")
        figures.append(traffic_figure(results, isa, n))
    table = Table("Out of cache, faster than the better of the three-pass algorithms, median [least and greatest of the rounds]",
                  ["ISA", "the paper", lengths.ROW_HEADER, "two-pass", "two-pass, streaming stores", "operator"], rows, reproduction=True)
    by_length = [[isa, lengths.row_text(n), *[style.spread_text(spread) if (spread := lengths.times(results, what, isa).get(n)) else ""
                                               for what in (*THREE_PASS, *OURS)]]
                 for isa in isas for n in lengths.times(results, TWO_PASS, isa)]
    details = Table("Nanoseconds an element, median [range]",
                    ["ISA", lengths.ROW_HEADER, *[style.label_of(what) for what in (*THREE_PASS, *OURS)]], by_length)
    drawn = [times_figure(results, isas), gains_figure(results, isas)] if isas else []
    return [Section("Two-pass against three-pass", PAPER, seen, agreement(claims), [*drawn, *figures], [table, details])]
