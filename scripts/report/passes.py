"""Experiment 2: every pass of every algorithm alone, against what the memory can do."""

import functools
import re

from report import lengths, style
from report.results import Ratio
from report.section import Figure, Section, Table, agreement

import generate

ROOFLINES = lengths.ROOFLINES
LEVELS = ("L1", "L2", "memory")  # as microkernels_bench labels its sizes
AT_MEMORYS_SPEED = 0.8  # of the roofline
NOISE = 1.05  # what exceeds the roofline by less is not worth a word
IN_PLACE = ("f32_vmulc", "f32_vmulextc")  # as the algorithms call them
PREFETCHING = ("f32_raddextexp",)  # src/kernels/sum.j2
SHORT_ROW_KERNELS = {"f32_softmax": 64, "f32_softmax_transposed": 8, "f32_log_softmax": 64, "f32_log_softmax_transposed": 8, "f32_softmax_columns": 21, "f32_topk": 64}  # and a row's length: the operator's, not an algorithm's
LEVEL_OF_OTHERS = "L2"  # where kernels are measured that the paper does not have
PAPER = ("Its abstract says that in a well-optimised implementation, on processors for high-performance computing, all passes of three-pass "
         "are limited by memory bandwidth.")


def function_name(isa, kernel, variant):
    return f"smx_{kernel}_ukernel__{isa}_{variant}"


def passes_of(label, isa):
    """'f32_rmax u64_acc4, f32_vmulc u32' -> {'f32_rmax': 'smx_f32_rmax_ukernel__avx2_u64_acc4', ...}."""
    named = [each.split(" ") for each in label.split(", ")]
    return {kernel: function_name(isa, kernel, variant) for kernel, variant in named}


def algorithms_of(results, isa):
    """Algorithm -> kernel -> function, as the labels of the algorithms' runs tell."""
    found = {each.fields["what"]: passes_of(each.label, isa) for each in results.find(isa=isa, threads=1)
             if each.fields["what"] in lengths.ALGORITHMS}
    return {algorithm: found[algorithm] for algorithm in lengths.ALGORITHMS if algorithm in found}


def functions_of_algorithms(suite):
    """ISA -> functions."""
    functions = {isa: set() for isa in suite.isas}
    for entry in suite.probe["benchmarks"]:
        algorithm, isa = re.match(r"([-a-z]+)/isa:([a-z0-9]+)/", entry["name"]).groups()
        if algorithm in lengths.ALGORITHMS:
            functions[isa] |= set(passes_of(entry["label"], isa).values())
    return functions


def steps(suite):
    names = suite.names("microkernels_bench")
    sizes = sorted({int(match[1]) for name in names if (match := re.match(r"read/n:(\d+)/", name))})
    sizes = {"L1": sizes[0], "L2": sizes[1], "memory": sizes[-1]}
    functions = functions_of_algorithms(suite)
    short = [f"{dispatched(kernel, isa)}/row:{row}/n:[0-9]+/warm/tuning" for kernel, row in SHORT_ROW_KERNELS.items()
             for isa in suite.isas]
    rest = [function for isa in suite.isas for function in others(isa, functions[isa]).values()]
    return [*[suite.step(f"passes, {level}", "microkernels_bench", regex(suite, functions, level, n)) for level, n in sizes.items()],
            suite.step("kernels of short rows", "microkernels_bench", "|".join(short)),
            suite.step("kernels of other types and operators", "microkernels_bench",
                       f"({'|'.join(rest)})/n:{sizes[LEVEL_OF_OTHERS]}/warm/tuning")]


def regex(suite, functions, level, n):
    isas = suite.vector_isas if level == "memory" else suite.isas
    names = [*ROOFLINES, *sorted(set().union(*[functions[isa] for isa in isas]))]
    return f"({'|'.join(names)})/n:{n}/warm(/tuning)?"


@functools.cache
def lists():
    return generate.load_list()["KERNELS"], generate.load_isas()


def dispatched(kernel, isa):
    """The function of the variant that dispatch takes."""
    kernels, isas = lists()
    [kernel_row] = [each for each in kernels if each.name.replace("-", "_") == kernel]
    [isa_record] = [each for each in isas if each.name == isa]
    return generate.variants_of(kernel_row, isa_record)[0].function


def others(isa, taken):
    """Kernel -> function, of those of the library that are not among the functions `taken` by algorithms, nor of short rows."""
    kernels = [kernel.name.replace("-", "_") for kernel in generate.production_kernels()]
    functions = {kernel: dispatched(kernel, isa) for kernel in kernels if kernel not in SHORT_ROW_KERNELS}
    return {kernel: function for kernel, function in functions.items() if function not in taken}


def measured(results, function, level):
    """The measurement of a pass, or of a roofline, in a level of the memory."""
    found = [each for each in results.find(what=function, buffering="warm") if each.label == level and "n" in each.fields]
    return found[0] if found else None


def limit(results, measurement, level):
    """The roofline of a pass: reading, or the better way of copying."""
    names = ("read",) if measurement.bytes_per_element == 4 else ("copy", "stream-copy")
    candidates = [each for name in names if (each := measured(results, name, level))]
    return max(candidates, key=lambda each: each.gigabytes_per_second.median, default=None)


def of_limit(results, measurement, level):
    return Ratio.of(measurement.gigabytes_per_second, limit(results, measurement, level).gigabytes_per_second)


def bars_of(results, isa):
    """(algorithm, kernel, function), a bar each."""
    return [(algorithm, kernel, function) for algorithm, functions in algorithms_of(results, isa).items()
            for kernel, function in functions.items()]


def figure(results, isa):
    levels = [level for level in LEVELS if any(measured(results, function, level) for _, _, function in bars_of(results, isa))]
    bars = bars_of(results, isa)
    plot, axes = style.axes(columns=len(levels), height=5.6, sharey=True)
    for ax, level in zip(axes, levels):
        for position, (algorithm, _, function) in enumerate(bars):
            if each := measured(results, function, level):
                rate = each.gigabytes_per_second
                ax.barh(position, rate.median, 0.75, color=style.SERIES[algorithm][1], xerr=[[rate.median - rate.lower],
                        [rate.upper - rate.median]], capsize=3, error_kw={"elinewidth": 1})
        for name in ROOFLINES:
            if each := measured(results, name, level):
                rate = each.gigabytes_per_second
                ax.axvline(rate.median, color=style.BLACK, linestyle=style.ROOFLINE_DASHES[name], label=style.label_of(name), linewidth=1.4)
                ax.axvspan(rate.lower, rate.upper, color=style.GREY, alpha=0.15, linewidth=0)
        n = measured(results, bars[0][2], level).fields["n"]
        ax.set_title(f"{level}: {style.power_of_two(n)} elements")
        ax.set_xlabel("GB/s")
        ax.set_xlim(left=0)
        ax.grid(axis="y", visible=False)
    axes[0].set_yticks(range(len(bars)), [f"{style.label_of(algorithm)}: {kernel.removeprefix('f32_')}" for algorithm, kernel, _ in bars])
    axes[0].invert_yaxis()
    style.legend_below(plot, axes[0])
    plot.suptitle(f"{isa}: bytes really moved")
    return Figure(f"passes-{isa}", f"Every pass alone on {isa}, one thread, with the machine's reading and copying as lines.", plot)


def explanation(kernel):
    """Why a pass may beat the roofline."""
    if kernel in IN_PLACE:
        return "it works in place, so that it touches half the lines that a copy does and fetches none only to overwrite it"
    if kernel in PREFETCHING:
        return "it prefetches, which the plain loop of the read roofline does not"
    return "this report has no explanation, so take the figure for an error"


def above_roofline(results, isa, level):
    """Sentences on passes that beat the roofline by more than both spreads."""
    sentences = []
    for kernel, function in {kernel: function for _, kernel, function in bars_of(results, isa)}.items():
        each = measured(results, function, level)
        if each is None or limit(results, each, level) is None or of_limit(results, each, level).lower <= NOISE:
            continue
        sentences.append(f"{isa}, {level}: {kernel} is at {of_limit(results, each, level).value:.2f} of its roofline: "
                         f"{explanation(kernel)}.")
    return sentences


def at_memorys_speed(results, isa):
    """Kernel -> share of the roofline out of cache."""
    functions = {kernel: function for _, kernel, function in bars_of(results, isa)}
    return {kernel: of_limit(results, each, "memory") for kernel, function in functions.items()
            if (each := measured(results, function, "memory"))}


def wrong_bytes(results, isa):
    """Algorithms whose bytes are not the sum of those of their passes."""
    wrong = []
    for algorithm, functions in algorithms_of(results, isa).items():
        of_passes = [measured(results, function, "L1") for function in functions.values()]
        whole = results.find(what=algorithm, isa=isa)[0].bytes_per_element
        if None not in of_passes and whole != sum(each.bytes_per_element for each in of_passes):
            wrong.append(algorithm)
    return wrong


def out_of_cache(results):
    """A sentence on the size that stands for memory."""
    return [f"Out of cache is a row of {lengths.size_text(each.fields['n'])}, {lengths.beyond(results, each.fields['n'])}."
            for each in [measured(results, "read", "memory")] if each]


def table(results, isa):
    rows = []
    for kernel, function in {kernel: function for _, kernel, function in bars_of(results, isa)}.items():
        row, per_element = [function], ""
        for level in LEVELS:
            each = measured(results, function, level)
            per_element = f"{each.bytes_per_element}" if each else per_element
            row.append(f"{each.gigabytes_per_second.median:.1f} ({of_limit(results, each, level).value:.0%})" if each else "")
        rows.append([row[0], per_element, *row[1:]])
    for name in ROOFLINES:
        each = [measured(results, name, level) for level in LEVELS]
        rows.append([style.label_of(name), f"{each[0].bytes_per_element}" if each[0] else "",
                     *[f"{one.gigabytes_per_second.median:.1f}" if one else "" for one in each]])
    return Table(f"{isa}: GB/s, and the share of the roofline", ["pass", "bytes an element", *LEVELS], rows, reproduction=True)


def table_of_others(results, isas):
    found = {isa: others(isa, {function for _, _, function in bars_of(results, isa)}) for isa in isas}
    rows = [[kernel, *[style.spread_text(each.ns) if (each := measured(results, found[isa].get(kernel), LEVEL_OF_OTHERS)) else ""
                       for isa in isas]] for kernel in found[isas[0]]]
    return Table(f"Kernels of other types and operators, in {LEVEL_OF_OTHERS}: ns an element", ["kernel", *isas], rows)


THREE_PASS = ("f32_rmax", "f32_raddexpminusmax", "f32_vscaleexpminusmax", "f32_raddstoreexpminusmax", "f32_vmulc")


def sections(results):
    isas = [isa for isa in results.isas if any(measured(results, function, "L1") for _, _, function in bars_of(results, isa))]
    seen, claims = out_of_cache(results), []
    for isa in isas:
        shares = at_memorys_speed(results, isa)
        fast = [kernel for kernel, share in shares.items() if share.value >= AT_MEMORYS_SPEED]
        slow = [f"{kernel} ({share.value:.0%})" for kernel, share in shares.items() if kernel not in fast]
        if shares:
            seen.append(f"{isa}, out of cache: {', '.join(fast) or 'no pass'} run at {AT_MEMORYS_SPEED:.0%} of the memory's speed or more; "
                        f"slower than that: {', '.join(slow) or 'none'}.")
        claims += [kernel in fast for kernel in shares if kernel in THREE_PASS]
        for level in LEVELS:
            seen += above_roofline(results, isa, level)
        seen += [f"{isa}: the bytes of {algorithm} are not those of its passes, which is an error." for algorithm in wrong_bytes(results, isa)]
    return [Section("Each pass alone: which run at the memory's speed", PAPER, seen, agreement(claims), [figure(results, isa) for isa in isas if at_memorys_speed(results, isa)],
                    [*[table(results, isa) for isa in isas], *([table_of_others(results, isas)] if isas else [])])]
