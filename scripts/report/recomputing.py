"""Experiment 1: three-pass softmax, recomputing exponentials against storing and reloading them."""

from report import lengths, measure, style
from report.results import Ratio
from report.section import Figure, Section, Table, agreement

RECOMPUTE, RELOAD = "three-pass-recompute", "three-pass-reload"
PAPER = ("Its abstract says that two variants of three-pass are analysed, and that memory bandwidth limits all of their passes; which variant "
         "wins it does not say. By our count recomputing moves 4N elements and computes 2N exponentials, reloading moves 5N and computes N: "
         "where memory limits, recomputing has to win. That alone is judged, out of cache; in cache the paper's abstract claims nothing.")

steps = lengths.steps


def reload_over_recompute(results, isa):
    """Elements -> how much longer reloading takes."""
    recompute, reload = (lengths.times(results, what, isa) for what in (RECOMPUTE, RELOAD))
    return {n: Ratio.of(reload[n], recompute[n]) for n in reload if n in recompute}


def figure(results, isas):
    plot, axes = style.axes(columns=len(isas))
    for ax, isa in zip(axes, isas):
        for what in (RECOMPUTE, RELOAD):
            style.line(ax, what, lengths.times(results, what, isa))
        style.sizes_axis(ax)
        style.cache_lines(ax, results.context)
        ax.set_ylim(bottom=0)
        ax.set_title(isa)
        ax.set_ylabel("ns per element")
    style.legend_below(plot, axes[0])
    return Figure("recomputing", "Three-pass softmax of one row, one thread, by its length; lower is better. Vertical lines: input and "
                  "output fill a cache.", plot)


def winner(ratio):
    if ratio.lower > 1.0:
        return f"recomputing is {ratio.value:.2f} times as fast"
    if ratio.upper < 1.0:
        return f"reloading is {1 / ratio.value:.2f} times as fast"
    return f"neither is faster beyond the spread (ratio {ratio.value:.2f})"


def sections(results):
    isas = [isa for isa in results.isas if reload_over_recompute(results, isa)]
    seen, claims, rows = [], [], []
    for isa in isas:
        ratios = reload_over_recompute(results, isa)
        in_cache = lengths.largest_in(results, "l2", ratios)
        if in_cache:
            seen.append(f"{isa}, in level 2 cache ({lengths.size_text(in_cache)}): {winner(ratios[in_cache])}.")
        longest = max(ratios)
        if lengths.cache_factor(results, longest) > 1.0:
            seen.append(f"{isa}, {lengths.beyond(results, longest)} ({lengths.size_text(longest)}): {winner(ratios[longest])}.")
            claims.append(ratios[longest].lower > 1.0)
        else:
            seen.append(f"{isa}: rows are measured up to {lengths.size_text(longest)}, "
                        f"{'for it waits for arithmetic at every length' if isa == measure.PORTABLE else 'which is not out of cache'}.")
        recompute, reload = (lengths.times(results, what, isa) for what in (RECOMPUTE, RELOAD))
        rows += [[isa, lengths.row_text(n), style.spread_text(recompute[n]), style.spread_text(reload[n]), style.ratio_text(ratio)]
                 for n, ratio in ratios.items()]
    table = Table("Nanoseconds an element, median [range]",
                  ["ISA", lengths.ROW_HEADER, "recomputing", "reloading", "reloading / recomputing"], rows)
    return [Section("Three-pass: recomputing or reloading exponentials", PAPER, seen, agreement(claims),
                    [figure(results, isas)] if isas else [], [table])]
