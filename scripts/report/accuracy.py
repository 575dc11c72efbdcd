"""Experiment 7, first half: the error of every softmax against the length of the row."""

import math
import re

from report import measure, peers, style
from report.results import parse_name
from report.section import NOT_IN_PAPER, NOT_MEASURED, Figure, Section, Table

PROGRAM = "peers/accuracy_bench"
LONGEST = {"quick": 1 << 24, "full": 1 << 28}
SHORT = 1 << 16  # up to here in one step
BYTES_PER_ELEMENT = 16  # input, output and reference
OURS = ("two-pass", "store-and-rescale", "smxpack")
INPUTS = {"normal": "normally distributed logits (deviation 4)", "equal": "equal logits"}
MOST_ULPS = 3.25  # of ours, as the header has it
LEAST_DRAWN = 0.1  # ULP: a logarithmic axis has no 0
TITLE = "Error against the length of the row"
PAPER = "Its abstract says nothing of errors."


def steps(suite):
    """Each row is computed once, for the same input gives the same error again."""
    if not suite.path(PROGRAM).exists():
        return []
    longest = min(LONGEST[suite.effort.name], measure.largest_row_in_memory(BYTES_PER_ELEMENT))
    lengths = sorted({int(re.search(r"/channels:(\d+)", name)[1]) for name in suite.names(PROGRAM)})
    short = [n for n in lengths if n <= SHORT]
    return [step(suite, f"errors, rows of up to {short[-1]}", short),
            *[step(suite, f"errors, rows of {n}", [n]) for n in lengths if SHORT < n <= longest]]


def step(suite, title, lengths):
    regex = f"accuracy/.*/channels:({'|'.join(map(str, lengths))})/iterations:1"
    return measure.Step(title, lambda: suite.run(PROGRAM, regex), rounds=1)


def errors(results, kind):
    """Subject -> channels -> largest error in ULP, infinite where it failed, of rows of one kind of input."""
    measured = [(each.fields, each.entries[0]["max_ulp"]) for each in results.find(what="accuracy")]
    measured += [(fields, math.inf) for fields in map(parse_name, results.failed)]
    found = {}
    for fields, ulp in measured:
        if fields["what"] == "accuracy" and fields["input"] == kind:
            found.setdefault(fields["subject"], {})[fields["channels"]] = ulp
    return {subject: dict(sorted(by_length.items())) for subject, by_length in found.items()}


def is_ours(results, subject):
    return peers.isa_of(results, subject) is not None and subject.startswith(OURS)


def figure(results, found):
    plot, axes = style.axes(columns=len(found), height=4.8, sharey=True)
    for ax, (kind, by_subject) in zip(axes, found.items()):
        drawn = [subject for subject in by_subject if peers.isa_of(results, subject) in (None, results.isas[0])]
        for index, subject in enumerate(drawn):
            label, colour, marker = peers.look(results, subject)
            ax.plot(list(by_subject[subject]), [max(ulp, LEAST_DRAWN) for ulp in by_subject[subject].values()], color=colour, marker=marker,
                    markersize=12 - 8 * index / len(drawn), label=label)  # what is covered shows round the edges
        ax.axhline(MOST_ULPS, color=style.BLUE, linewidth=1, linestyle="--", label=f"{MOST_ULPS} ULP, the header's bound")
        style.sizes_axis(ax)
        style.log_values(ax, subs=(1.0,))
        ax.set_title(INPUTS[kind])
    axes[0].set_ylabel("largest error, ULP")
    style.legend_below(plot, axes[0])
    return Figure("accuracy", "Largest error of an element against softmax in double precision, by the length of the row; lower is better. "
                  f"Errors below {LEAST_DRAWN} ULP are drawn there. One draw of the logits, the same for all. Where errors are the same, "
                  "lines cover each other, and larger marks are below.", plot)


def ulp_text(error):
    return f"{error:.2f}" if error < 100 else f"{error:.0f}"


def range_text(by_subject, n):
    low, high = (pick(by_subject, key=lambda subject: by_subject[subject][n]) for pick in (min, max))
    texts = [ulp_text(by_subject[subject][n]) for subject in (low, high)]
    return f"{texts[0]} ULP ({low}) to {texts[1]} ULP ({high})" if texts[0] != texts[1] else f"{texts[0]} ULP"


def promise(ours):
    """Whether the header's bound holds."""
    broken = [f"{subject} with {ulp_text(ulp)} ULP at {style.power_of_two(n)} elements" for subject, by_length in ours.items()
              for n, ulp in by_length.items() if ulp > MOST_ULPS]
    worst = max(ours.values(), key=lambda by_length: max(by_length.values()))
    n, longest = max(worst, key=worst.get), max(worst)
    holds = f"does not hold: {', '.join(broken)}" if broken else "holds at every length"
    return (f"that this library is off by at most {MOST_ULPS} ULP {holds}. Its largest error is {ulp_text(worst[n])} ULP, at "
            f"{style.power_of_two(n)} elements; at the longest row it is {ulp_text(worst[longest])} ULP.")


def sameness(ours):
    """Whether errors are as the same bits would have them."""
    first, *others = ours.values()
    same = all(each == first for each in others)
    return (f"the errors of {', '.join(ours)} are {'' if same else 'not all '}the same at every length, as results with the same bits "
            f"{'have' if same else 'would have'} them.")


def sentences(results, kind, by_subject):
    ours = {subject: each for subject, each in by_subject.items() if is_ours(results, subject)}
    others = {subject: each for subject, each in by_subject.items() if subject not in ours}
    lengths = list(next(iter(ours.values())))
    shortest, longest = lengths[0], lengths[-1]
    start = INPUTS[kind].capitalize()
    yield f"{start}, rows of {shortest} to {style.power_of_two(longest)} elements: {promise(ours)}"
    yield f"{start}: {sameness(ours)}"
    beyond = {subject: each for subject, each in others.items() if max(each.values()) > MOST_ULPS}
    within = [subject for subject in others if subject not in beyond]
    if beyond:
        yield (f"{start}: off by more are others, by {range_text(beyond, shortest)} at {shortest} elements, and by "
               f"{range_text(beyond, longest)} at {style.power_of_two(longest)}.")
    if within:
        yield f"{start}: within {MOST_ULPS} ULP at all these lengths, too: {', '.join(within)}."


def table(results, kind, by_subject):
    lengths = list(next(iter(by_subject.values())))
    rows = [[peers.look(results, subject)[0], *map(ulp_text, by_length.values())] for subject, by_length in by_subject.items()]
    return Table(f"Largest error in ULP, {INPUTS[kind]}, by the elements of a row", ["", *map(style.power_of_two, lengths)], rows)


def sections(results):
    found = {kind: by_subject for kind in INPUTS if (by_subject := errors(results, kind))}
    if not found:
        return [Section(TITLE, PAPER, [], NOT_MEASURED)]
    seen = [sentence for kind, by_subject in found.items() for sentence in sentences(results, kind, by_subject)]
    return [Section(TITLE, PAPER, seen + peers.absent_sentences(results), NOT_IN_PAPER, [figure(results, found)],
                    [table(results, kind, by_subject) for kind, by_subject in found.items()])]
