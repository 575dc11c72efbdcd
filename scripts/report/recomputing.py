"""Experiment 1: three-pass softmax, recomputing exponentials against storing and reloading them."""

from report import lengths, style
from report.results import Ratio
from report.section import NOT_MEASURED, Figure, Section

RECOMPUTE, RELOAD = "three-pass-recompute", "three-pass-reload"

steps = lengths.steps


def figure(results):
    isas = [isa for isa in results.isas if lengths.times(results, RELOAD, isa)]
    plot, axes = style.axes(columns=len(isas))
    for ax, isa in zip(axes, isas):
        for what in (RECOMPUTE, RELOAD):
            style.line(ax, what, lengths.times(results, what, isa))
        style.sizes_axis(ax)
        style.cache_lines(ax, results.context)
        ax.set_ylim(bottom=0)
        ax.set_title(isa)
        ax.set_ylabel("ns per element")
        ax.legend()
    return Figure("recomputing", "Three-pass softmax of a row, one thread; lower is better.", plot)


def sections(results):
    return [Section("Recomputing or reloading exponentials", "", [], NOT_MEASURED, [figure(results)])]
