"""Experiment 6: the operator beside those of other libraries, as far as they are installed, over the copy of the same bytes."""

import statistics

from report import style
from report.measure import Step
from report.results import Ratio
from report.section import NOT_IN_PAPER, NOT_MEASURED, Figure, Section, Table

PROGRAM = "peers/peers_bench"
SAMPLES = {"quick": 5, "full": 5}  # a round; for each, all take their turn in an order that is shuffled anew
ROUNDS = {"quick": 1, "full": 0}  # 0: as many as of everything else
FLOOR = "copy"
LOOP = "expf loop"  # what a compiler makes of it
TITLE = "Against other libraries"
PAPER = "The claim is about algorithms, not about the libraries that are installed here."


def steps(suite):
    """One for each shape that is shorter than the longest row; none where the peers were not built."""
    if not suite.path(PROGRAM).exists():
        return []
    shapes = [tuple(map(int, line.split("x"))) for line in suite.output(PROGRAM, "--list-shapes").split()]
    return [Step(f"peers, {rows} rows of {channels}", lambda rows=rows, channels=channels: suite.file(
                PROGRAM, "--json", f"--shape={rows}x{channels}", f"--rounds={SAMPLES[suite.effort.name]}"), ROUNDS[suite.effort.name])
            for rows, channels in shapes if rows * channels < suite.effort.largest_row]


def shapes(results):
    """(rows, channels) -> subject -> measurement, in the order in which they were measured; all have the same subjects. Of softmax
    of floats over the last axis: names tell other problems."""
    found = {}
    for each in results.find(what="peers", function=None, type=None, axis=None):
        found.setdefault((each.fields["rows"], each.fields["channels"]), {})[each.fields["subject"]] = each
    return found


def of_role(measured, *roles):
    """Of the measurements of a shape."""
    return {subject: each for subject, each in measured.items() if each.fields["role"] in roles}


def ours(measured):
    [operator] = of_role(measured, "ours").values()
    return operator


def fastest(measured, subjects):
    return min((measured[subject] for subject in subjects), key=lambda each: each.ns.median)


def ratio(measured, subject):
    """How much longer a subject takes than the operator."""
    return Ratio.of(measured[subject].ns, ours(measured).ns)


def ratios_to_fastest(by_shape, subjects):
    """Shape -> how much longer the fastest of the subjects takes."""
    return {shape: ratio(measured, fastest(measured, subjects).fields["subject"]) for shape, measured in by_shape.items()}


def isa_of(results, subject):
    """The instruction set of a subject of this library, or None."""
    last = subject.rpartition(" ")[2]
    return last if last in results.isas else None


def look(results, subject):
    """Label, colour and marker; of ours, whose names end in an instruction set, those that other figures have."""
    isa = isa_of(results, subject)
    if isa is None:
        return style.SERIES.get(subject, (subject, style.BLACK, "."))
    label, colour, marker = style.SERIES[subject.removesuffix(f" {isa}")]
    return f"{label}, {isa}", colour, marker


def shape_text(shape):
    return f"{shape[0]} × {shape[1]}"


def figure(results, by_shape):
    subjects = list(of_role(next(iter(by_shape.values())), "peer", "ours", "aside"))
    plot, [ax] = style.axes(height=1.5 + 0.75 * len(by_shape), width=style.PAGE_WIDTH)
    for index, subject in enumerate(subjects):
        dots(ax, results, subject, 0.7 * (index / len(subjects) - 0.5), [measured[subject] for measured in by_shape.values()])
    for position, measured in enumerate(by_shape.values()):
        floor(ax, position, measured[FLOOR].ns)
    style.log_values(ax, "x")
    ax.set_yticks(range(len(by_shape)), map(shape_text, by_shape))
    ax.set_ylim(len(by_shape) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("ns per element")
    ax.set_ylabel("rows × channels")
    style.legend_below(plot, ax)
    return Figure("peers", "Time of each library's softmax, one thread, buffers warm; medians and ranges, towards the left is better. "
                  "Within a shape heights only keep marks apart. Hollow: on a lesser instruction set, beside the comparison.", plot)


def dots(ax, results, subject, offset, measured):
    """Of a subject, one a shape; hollow where it is not compared with."""
    label, colour, marker = look(results, subject)
    times = [each.ns for each in measured]
    ax.errorbar([each.median for each in times], [position + offset for position in range(len(times))],
                xerr=[[each.median - each.lower for each in times], [each.upper - each.median for each in times]],
                fmt=marker, color=colour, markersize=8, capsize=2, label=label,
                markerfacecolor="white" if measured[0].fields["role"] == "aside" else colour)


def floor(ax, position, copy):
    """Across the strip of a shape."""
    strip = [position - 0.45, position + 0.45]
    ax.plot([copy.median] * 2, strip, color=style.GREY, linestyle=style.ROOFLINE_DASHES[FLOOR],
            label=style.label_of(FLOOR) if position == 0 else None)
    ax.fill_betweenx(strip, copy.lower, copy.upper, color=style.GREY, alpha=0.2, linewidth=0)
    ax.axhline(position + 0.5, color=style.GREY, linewidth=0.5, alpha=0.5)


def geometric_mean(ratios):
    return statistics.geometric_mean(each.value for each in ratios)


def peers_of(by_shape):
    return list(of_role(next(iter(by_shape.values())), "peer"))


def comparison(by_shape, subjects, whom):
    ratios = ratios_to_fastest(by_shape, subjects)
    faster = sum(each.lower > 1.0 for each in ratios.values())
    slower = [f"{shape_text(shape)} ({fastest(by_shape[shape], subjects).fields['subject']}, {1 / each.value:.2f} times)"
              for shape, each in ratios.items() if each.upper < 1.0]
    return (f"Against the fastest of {whom} at each shape, the operator is faster beyond the spread at {faster} of {len(ratios)} shapes; "
            f"slower at: {', '.join(slower) or 'none'}. The geometric mean of the ratios is {geometric_mean(ratios.values()):.2f}.")


def sentences(results, by_shape):
    peers = peers_of(by_shape)
    libraries = [subject for subject in peers if isa_of(results, subject) is None and subject != LOOP]
    if libraries:
        yield comparison(by_shape, libraries, f"the libraries ({', '.join(libraries)})")
    yield comparison(by_shape, peers, "all peers, the bare three-pass kernels and a loop over expf among them,")
    over_copy = {shape: Ratio.of(ours(measured).ns, measured[FLOOR].ns) for shape, measured in by_shape.items()}
    nearest = min(over_copy, key=lambda shape: over_copy[shape].value)
    yield (f"Copying the same elements (memcpy) is the floor: the operator takes {over_copy[nearest].value:.2f} "
           f"[{over_copy[nearest].lower:.2f}, {over_copy[nearest].upper:.2f}] times as long where it comes nearest, at "
           f"{shape_text(nearest)}, and {max(each.value for each in over_copy.values()):.1f} times at most.")
    below = [f"{subject} at {shape_text(shape)}" for shape, measured in by_shape.items()
             for subject, each in of_role(measured, "peer", "ours", "aside").items() if each.ns.upper < measured[FLOOR].ns.lower]
    if below:
        yield f"Faster than memcpy, which asks for an explanation: {', '.join(below)}."


def absent_sentences(results):
    absent = results.context["absent_peers"]
    return [f"Left out, for they were not installed when this was built: {absent}."] if absent else []


def subjects_table(results, by_shape):
    """A row for each subject: its version, and how it fares over all shapes."""
    rows = []
    for subject, each in next(iter(by_shape.values())).items():
        row = [look(results, subject)[0], each.fields["role"], each.label]
        if each.fields["role"] in ("peer", "aside"):
            ratios = [ratio(measured, subject) for measured in by_shape.values()]
            row += [f"{geometric_mean(ratios):.2f}",
                    f"{sum(each.lower > 1.0 for each in ratios)} / {sum(each.upper < 1.0 for each in ratios)}"]
        rows.append(row + [""] * (5 - len(row)))
    return Table("What is compared; how many times as long it takes as the operator, geometric mean over the shapes, and at how many "
                 "shapes the operator is faster and slower beyond the spread", ["subject", "role", "version", "times", "faster / slower"],
                 rows)


def times_table(results, by_shape):
    peers = peers_of(by_shape)
    ratios = ratios_to_fastest(by_shape, peers)
    rows = [[shape_text(shape), style.ratio_text(ratios[shape]), fastest(measured, peers).fields["subject"],
             *[style.spread_text(each.ns) for each in measured.values()]] for shape, measured in by_shape.items()]
    subjects = next(iter(by_shape.values()))
    return Table("Fastest peer / operator, and nanoseconds an element of each, median [range]",
                 ["rows × channels", "ratio", "fastest peer", *[look(results, subject)[0] for subject in subjects]], rows)


def sections(results):
    by_shape = shapes(results)
    if not by_shape:
        return [Section(TITLE, PAPER, [], NOT_MEASURED)]
    seen = [*sentences(results, by_shape), *absent_sentences(results)]
    return [Section(TITLE, PAPER, seen, NOT_IN_PAPER, [figure(results, by_shape)],
                    [subjects_table(results, by_shape), times_table(results, by_shape)])]
