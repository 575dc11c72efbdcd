"""Experiment 4: every variant of every kernel of the algorithms and of short rows, and where the one that is taken stands among them."""

import re
import statistics

from report import passes, style
from report.measure import PORTABLE, Step
from report.section import NOT_IN_PAPER, NOT_MEASURED, Figure, Section, Table

import generate
import tune

# First part of the names of these results, which are to be compared with each other alone: other experiments measure some of
# the variants, too, at other times.
WHAT = "tuning"
CLOSE, NEAR = 1.02, 1.05  # to the best variant
WORST_COLOUR = 1.5
LEVELS_OF_BASELINES = 2  # they are tuned nowhere: L1 and L2
PAPER = ("Its abstract says nothing of unroll and accumulators. XNNPACK's benchmark of the three algorithms (bench/f32-softmax.cc) takes one "
         "variant of each kernel.")


def steps(suite):
    names = suite.names("microkernels_bench")
    kernels, isas = passes.lists()
    isas = [isa for isa in isas if isa.name in suite.isas]
    others = {name for isa, functions in passes.functions_of_algorithms(suite).items() for name in passes.others(isa, functions)}
    return [Step(f"variants of {kernel.name}", lambda regex="|".join(names_of(names, kernel, isas)): run(suite, regex))
            for kernel in kernels if kernel.name.replace("-", "_") not in others]


def names_of(names, kernel, isas):
    """Of all variants: where the library uses them, or in cache; the portable ones at sizes of which it makes no seconds."""
    functions = {variant.function: isa for isa in isas for variant in generate.variants_of(kernel, isa)}
    sizes = sorted({size_of(name) for name in names if name.startswith("read/")})[:LEVELS_OF_BASELINES]
    return [name for name in names if (isa := functions.get(name.partition("/")[0]))
            and (isa.name != PORTABLE or size_of(name) <= tune.LARGEST_PORTABLE_SIZE)
            and (name.endswith("/tuning") if kernel.archive == "production" else name.endswith("/warm") and size_of(name) in sizes)]


def size_of(name):
    return int(re.search(r"/n:(\d+)", name)[1])


def run(suite, regex):
    file = suite.run("microkernels_bench", regex, *suite.interleaved)
    for entry in file["benchmarks"]:
        entry["name"], entry["run_name"] = (f"{WHAT}/function:{entry[key]}" for key in ("name", "run_name"))
    return file


def times(results, kernel, isa):
    """Variant -> size -> nanoseconds an element."""
    found = {variant.name: {(each.fields.get("row"), each.fields["n"]): each.ns
                            for each in results.find(what=WHAT, function=variant.function)}
             for variant in generate.variants_of(kernel, isa)}
    return {name: by_size for name, by_size in found.items() if by_size}


def spread(by_size):
    """Of a variant: half the range, relative to the median, mean over the sizes."""
    return statistics.mean(each.relative / 2 for each in by_size.values())


def taken(results, kernel, isa):
    """The variant of dispatch, or of a baseline that of the three-pass algorithms; None where nothing tells."""
    if kernel.archive == "production":
        return generate.variants_of(kernel, isa)[0].name
    used = {functions[key] for functions in passes.algorithms_of(results, isa.name).values()
            if (key := kernel.name.replace("-", "_")) in functions}
    return next((variant.name for variant in generate.variants_of(kernel, isa) if variant.function in used), None)


def surfaces(results, isa):
    """Kernel's name -> (kernel, variant -> size -> Spread, variant -> time relative to the best, the variant taken)."""
    kernels, _ = passes.lists()
    measured = {kernel.name: (kernel, found) for kernel in kernels if (found := times(results, kernel, isa))}
    return {name: (kernel, found, tune.relative_times(found), taken(results, kernel, isa))
            for name, (kernel, found) in measured.items()}


def heat_map(ax, isa, kernel, found, relative, chosen):
    variants = [variant for variant in generate.variants_of(kernel, isa) if variant.name in relative]
    tiles = sorted({variant.tile for variant in variants})
    accumulators = sorted({variant.accumulators for variant in variants})
    grid = [[float("nan")] * len(accumulators) for _ in tiles]
    for variant in variants:
        x, y = accumulators.index(variant.accumulators), tiles.index(variant.tile)
        grid[y][x] = value = relative[variant.name]
        dark = value > 1 + (WORST_COLOUR - 1) * 0.6
        ax.text(x, y, f"{value:.2f} ± {100 * spread(found[variant.name]):.0f} %", ha="center", va="center", fontsize=10,
                color="white" if dark else style.BLACK)
        if variant.name == chosen:
            style.frame(ax, x, y)
    image = ax.imshow(grid, cmap="YlOrBr", vmin=1.0, vmax=WORST_COLOUR, aspect="auto", origin="lower")
    ax.set_xticks(range(len(accumulators)), accumulators)
    ax.set_yticks(range(len(tiles)), tiles)
    ax.grid(visible=False)
    ax.set_title(kernel.name)
    return image


def figure(isa, surfaces):
    columns = 3
    rows = -(-len(surfaces) // columns)
    plot, axes = style.axes(columns=columns, rows=rows, height=2.3)
    for ax, surface in zip(axes, surfaces.values()):
        image = heat_map(ax, isa, *surface)
    for ax in axes[len(surfaces):]:
        ax.set_visible(False)
    plot.supxlabel("accumulators")
    plot.supylabel("unroll: elements of an iteration")
    plot.colorbar(image, ax=axes, label="time / time of the best variant", extend="max", shrink=0.5, aspect=40)
    return Figure(f"tuning-{isa.name}", f"{isa.name}: time of each variant relative to the best one's, geometric mean over the sizes, ± half "
                  "the range; absent variants are blank. The frame is round the variant that dispatch takes; of the "
                  "baselines, the one that the three-pass algorithms take.", plot)


def sentence(isa, surfaces):
    of_taken = {f"{name} {chosen}": relative[chosen] for name, (_, _, relative, chosen) in surfaces.items() if chosen in relative}
    far = [f"{name} ({ratio:.2f} times)" for name, ratio in of_taken.items() if ratio > NEAR]
    within = [sum(ratio <= limit for ratio in of_taken.values()) for limit in (CLOSE, NEAR)]
    return (f"{isa.name}: of {len(of_taken)} kernels the variant that is taken is within 2 % of the best seen here for {within[0]}, within "
            f"5 % for {within[1]}; not for: {', '.join(far) or 'none'}.")


def row(isa, name, kernel, found, relative, chosen):
    best = min(relative, key=relative.get)
    noise = statistics.median(spread(by_size) for by_size in found.values())
    return [isa.name, name, chosen or "", f"{relative[chosen]:.3f}" if chosen in relative else "", best, f"± {100 * noise:.1f} %"]


def sections(results):
    title = "Unroll and accumulators"
    _, isas = passes.lists()
    measured = {isa.name: (isa, found) for isa in isas if isa.name in results.isas and (found := surfaces(results, isa))}
    if not measured:
        return [Section(title, PAPER, [], NOT_MEASURED)]
    seen = [sentence(isa, found) for isa, found in measured.values()]
    seen.append("Variants are chosen once, by scripts/tune.py, and not anew on each machine; those of the baselines are XNNPACK's. What is "
                "within the spread may be chance.")
    rows = [row(isa, name, *surface) for isa, found in measured.values() for name, surface in found.items()]
    table = Table("The variant that is taken, its time relative to the best one's, and the spread: median over the variants",
                  ["ISA", "kernel", "taken", "time", "best here", "spread"], rows)
    return [Section(title, PAPER, seen, NOT_IN_PAPER, [figure(isa, found) for isa, found in measured.values()], [table])]
