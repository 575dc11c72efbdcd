"""How all figures look: colours of Okabe and Ito, which the colour-blind can tell apart, and one marker each besides."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import matplotlib.ticker as ticker  # noqa: E402

plt.rcParams.update({
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "font.size": 11,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "svg.hashsalt": "smxpack",  # the same figure has the same bytes
})

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = (
    "#000000", "#e69f00", "#56b4e9", "#009e73", "#d0b000", "#0072b2", "#d55e00", "#cc79a7")
GREY = "#777777"
BROWN = "#8b5a2b"
CYCLE = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, YELLOW, BLACK)

# name -> (what the legend says, colour, marker); the same in every figure.
SERIES = {
    "three-pass-recompute": ("three-pass, recomputing", ORANGE, "s"),
    "three-pass-reload": ("three-pass, reloading", VERMILION, "D"),
    "two-pass": ("two-pass", BLUE, "o"),
    "two-pass-stream": ("two-pass, streaming stores", SKY, "^"),
    "store-and-rescale": ("store and rescale", PURPLE, "v"),
    "operator": ("operator (its own choice)", BLACK, "*"),
    "smxpack": ("SMXPACK", BLACK, "*"),
    "XNNPACK": ("XNNPACK", GREEN, "X"),
    "oneDNN": ("oneDNN", YELLOW, "P"),
    "PyTorch": ("PyTorch", SKY, "<"),
    "ONNX Runtime": ("ONNX Runtime", BROWN, ">"),
    "expf loop": ("expf loop", GREY, "p"),
    "read": ("read", GREY, ""),
    "copy": ("copy (memcpy)", GREY, ""),
    "stream-copy": ("non-temporal copy", GREY, ""),
}
ROOFLINE_DASHES = {"read": ":", "copy": "--", "stream-copy": "-."}


def label_of(name):
    return SERIES[name][0] if name in SERIES else name


PAGE_WIDTH = 11.4  # inches: figures are shown as large as they are drawn


def axes(columns=1, rows=1, height=4.0, width=None, **options):
    """A figure and its axes, as a list."""
    size = (width or min(5.7 * columns, PAGE_WIDTH), height * rows)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, **options)
    return figure, list(grid.flat)


def line(ax, name, points, label=None, colour=None, marker=None):
    """A line through medians, with a band from the least to the greatest sample. `points` is x -> Spread."""
    default_label, default_colour, default_marker = SERIES.get(name, (name, CYCLE[len(ax.lines) % len(CYCLE)], "o"))
    colour = colour or default_colour
    x = list(points)
    ax.plot(x, [each.median for each in points.values()], color=colour, marker=marker if marker is not None else default_marker,
            linestyle=ROOFLINE_DASHES.get(name, "-"), label=label or default_label)
    ax.fill_between(x, [each.lower for each in points.values()], [each.upper for each in points.values()], color=colour,
                    alpha=0.2, linewidth=0)


def bars(ax, position, spread, colour, width=0.8, label=None):
    """A bar of the median, with an error bar from the least to the greatest sample."""
    ax.bar(position, spread.median, width, color=colour, label=label,
           yerr=[[spread.median - spread.lower], [spread.upper - spread.median]], capsize=3, ecolor=BLACK,
           error_kw={"elinewidth": 1})


def power_of_two(n):
    """1024 -> '1 Ki', 1000 -> '1000'."""
    for unit, shift in (("Gi", 30), ("Mi", 20), ("Ki", 10)):
        if n >= 1 << shift and n % 1024 == 0:
            return f"{n / (1 << shift):.4g} {unit}"
    return f"{n:.0f}"


def sizes_axis(ax, label="elements in the row"):
    """Powers of two on a logarithmic axis."""
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_locator(ticker.LogLocator(base=2, subs=(1.0,), numticks=5))
    ax.xaxis.set_major_formatter(ticker.FuncFormatter(lambda n, _: power_of_two(n)))
    ax.set_xlabel(label)


def log_values(ax, which="y", subs=(1.0, 2.0, 5.0)):
    """Plain numbers on a logarithmic axis, the multiples `subs` of powers of ten."""
    ax.set(**{f"{which}scale": "log"})
    axis = ax.yaxis if which == "y" else ax.xaxis
    axis.set_major_locator(ticker.LogLocator(base=10, subs=subs, numticks=20))
    axis.set_minor_locator(ticker.NullLocator())
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.10g}"))


def legend_below(figure, ax, columns=4):
    """One legend for all axes."""
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper left", bbox_to_anchor=(0.02, 0.0), ncol=columns)


def frame(ax, x, y):
    """Round a cell of a heat map."""
    ax.add_patch(plt.Rectangle((x - 0.47, y - 0.46), 0.94, 0.92, fill=False, edgecolor=BLUE, linewidth=3, zorder=3))


def spread_text(spread):
    return f"{spread.median:.3g} [{spread.lower:.3g}, {spread.upper:.3g}]"


def ratio_text(ratio):
    return f"{ratio.value:.2f} [{ratio.lower:.2f}, {ratio.upper:.2f}]"


def cache_lines(ax, context):
    """Where input and output together fill each cache."""
    for level in ("l1", "l2", "last_level"):
        elements = int(context[f"{level}_bytes"]) / 8
        low, high = ax.get_xlim()
        if low < elements < high:
            ax.axvline(elements, color=GREY, linewidth=0.8, alpha=0.7)
            ax.annotate({"last_level": "LLC"}.get(level, level.upper()), (elements, 0.99), xycoords=("data", "axes fraction"),
                        ha="right", va="top", rotation=90, fontsize=9, color=GREY)


def save(figure, path):
    """Both an SVG and a PNG; returns the SVG's text."""
    svg, png = path.with_suffix(".svg"), path.with_suffix(".png")
    figure.plot.savefig(svg, metadata={"Date": None}, bbox_inches="tight")
    figure.plot.savefig(png, bbox_inches="tight")
    plt.close(figure.plot)
    return svg.read_text()
