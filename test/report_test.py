"""The report (scripts/report): its statistics, what it merges, and a page made of a short run of the benches.

    report_test.py <build directory>
"""

import dataclasses
import json
import os
import pathlib
import re
import statistics
import sys
import tempfile
import unittest
from html import unescape

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "scripts"))
sys.dont_write_bytecode = True

from report import accuracy, coverage, lengths, measure, microarchitectures, page, passes, peers, recomputing  # noqa: E402
from report import section, small_rows, style, threads, tuning, two_pass  # noqa: E402
from report.results import Ratio, Results, Spread, merge, parse_name, write  # noqa: E402

import generate  # noqa: E402
import mca  # noqa: E402

BUILD_DIR = pathlib.Path(sys.argv.pop())
EXPERIMENTS = (recomputing, passes, two_pass, tuning, threads, peers, accuracy, small_rows, microarchitectures)
# Of a benchmark, after two rounds of two repetitions; the errors and the peers' times are measured in one round.
SAMPLES = {"peers": peers.SAMPLES["quick"], "accuracy": 1}
REDUCTIONS = {"rmax", "raddexpminusmax", "raddextexp", "rmax_columns", "raddlanes_columns", "topk"}  # or nearly so
BYTES_OF_ALGORITHM = {"two-pass": 12, "two-pass-stream": 12, "store-and-rescale": 16, "three-pass-recompute": 16, "three-pass-reload": 20}


class Statistics(unittest.TestCase):
    def test_median_and_range(self):
        spread = Spread.of([5.0, 1.0, 3.0], [2.0, 4.0])
        self.assertEqual((spread.lower, spread.median, spread.upper, spread.rounds), (1.0, 3.0, 5.0, (3.0, 3.0)))
        self.assertAlmostEqual(spread.relative, 4 / 3)

    def test_one_sample_has_no_spread(self):
        self.assertEqual(Spread.of([2.0]).relative, 0.0)

    def test_ratio_is_bounded_by_those_of_the_rounds(self):
        ratio = Ratio.of(Spread.of([4.0, 4.0], [6.0, 6.0], [9.0]), Spread.of([2.0, 2.0], [2.0, 2.0], [9.0]))
        self.assertEqual((ratio.value, ratio.lower, ratio.upper), (3.0, 1.0, 3.0))

    def test_ratio_of_a_single_round_is_bounded_by_those_of_its_samples(self):
        ratio = Ratio.of(Spread.of([1.0, 2.0, 3.0]), Spread.of([1.0, 1.0, 1.0]))
        self.assertEqual((ratio.value, ratio.lower, ratio.upper), (2.0, 1.0, 3.0))

    def test_agreement(self):
        self.assertEqual([section.agreement(claims) for claims in ([], [True], [True, False], [False])],
                         [section.NOT_MEASURED, section.YES, section.PARTLY, section.NO])

    def test_fields_of_names(self):
        self.assertEqual(parse_name("two-pass/isa:avx2/threads:1/rows:1/channels:64/warm/real_time"),
                         {"what": "two-pass", "isa": "avx2", "threads": 1, "rows": 1, "channels": 64, "buffering": "warm"})
        self.assertEqual(parse_name("smx_f32_rmax_ukernel__avx2_u64/n:2048/rotated/tuning"),
                         {"what": "smx_f32_rmax_ukernel__avx2_u64", "n": 2048, "buffering": "rotated"})

    def test_merging_numbers_repetitions_anew_and_drops_aggregates(self):
        def file(*times):
            runs = [{"run_name": "a", "run_type": "iteration", "repetition_index": index, "repetitions": len(times), "real_time": time}
                    for index, time in enumerate(times)]
            return {"benchmarks": [*runs, {"run_name": "a", "run_type": "aggregate", "real_time": 0.0}]}
        merged = merge([file(1.0, 2.0), file(3.0)])
        self.assertEqual([(each["repetition_index"], each["repetitions"], each["round"], each["real_time"]) for each in merged],
                         [(0, 3, 0, 1.0), (1, 3, 0, 2.0), (2, 3, 1, 3.0)])


def sections_of(results):
    return [each for experiment in EXPERIMENTS for each in experiment.sections(results)]


class ShortRun(unittest.TestCase):
    """Everything that is not out of cache, in very short runs: figures of no worth, and all that the page is made of."""

    @classmethod
    def setUpClass(cls):
        effort = dataclasses.replace(measure.QUICK, rounds=2, repetitions=2, min_time=0.0001, largest_row=1 << 14)
        suite = measure.Suite(BUILD_DIR, effort)
        # Peers have steps where they were built.
        steps = {step.title: step for experiment in EXPERIMENTS if experiment is not threads for step in experiment.steps(suite)}
        # For they take longer.
        left_out = re.compile(r"passes, (L2|memory)|small rows, (?!8 |1024 )|variants of (?!f32-rmax|f32-vmulc)|predictions by")
        cls.first_file, *_, cls.file = measure.measure(suite, [step for title, step in steps.items() if not left_out.match(title)])
        cls.results = Results(cls.file["context"], cls.file["benchmarks"])

    def test_has_every_repetition_of_its_rounds(self):
        for each in self.results.measurements:
            self.assertEqual(len(each.entries), SAMPLES.get(each.fields["what"], 4), each.name)

    def test_context_tells_machine_and_load(self):
        context = self.results.context
        for key in ("processor", "isas", "compiler", "compiler_flags", "l1_bytes", "l1_source", "load_avg", "load_avg_after", "date",
                    "memory_bytes", "kernel", "commit"):
            self.assertTrue(context[key], key)
        self.assertTrue(0 <= context["busy_processors"] <= os.cpu_count())
        self.assertTrue(0 <= context["stolen"] <= 1)

    def test_every_kernel_of_the_list_has_a_result(self):
        self.assertEqual(coverage.missing(self.results), [])

    def test_a_kernel_without_a_result_is_told(self):
        isa = self.results.isas[0]
        without = Results(self.file["context"], [each for each in self.file["benchmarks"]
                                                 if not each["name"].startswith(f"smx_f32_rmax_ukernel__{isa}_")])
        self.assertEqual(coverage.missing(without), [f"f32-rmax on {isa}"])
        self.assertIn(f"f32-rmax on {isa}", " ".join(page.warnings(without, coverage.missing(without))))

    def test_a_run_that_is_cut_can_be_drawn_and_is_told(self):
        with tempfile.TemporaryDirectory() as name:
            path = pathlib.Path(name) / "results.json"
            write(self.first_file, path)
            cut = Results.read(path)
            page.write(cut, sections_of(cut), pathlib.Path(name))
            html = unescape((pathlib.Path(name) / "index.html").read_text())
        self.assertEqual(len(cut.measurements), len({each["run_name"] for each in self.first_file["benchmarks"]}))
        self.assertIn(f"The run was cut: 1 of its {self.file['context']['steps']} steps", html)
        self.assertNotIn("The run was cut", " ".join(page.warnings(self.results, [])))

    def test_bytes_of_every_pass(self):
        measured = [each for each in self.results.measurements if "_ukernel__" in each.name]
        self.assertTrue(measured)
        for each in measured:
            *types, base = re.search(r"smx_(?:(b?f\d+|q[us]8)_)(?:(b?f\d+|q[us]8)_)?(\w+)_ukernel__", each.name).groups()
            read, written = (generate.BYTES[type] for type in (types[0], types[-1] or types[0]))
            written = generate.BYTES["f32"] if base == "pack_columns" else written  # a panel
            self.assertEqual(each.bytes_per_element, read if base in REDUCTIONS else read + written, each.name)
        for name, expected in (("read", 4), ("copy", 8), ("stream-copy", 8)):
            self.assertEqual(passes.measured(self.results, name, "L1").bytes_per_element, expected)

    def test_bytes_of_algorithms_are_those_of_their_passes(self):
        for isa in self.results.isas:
            self.assertEqual(passes.wrong_bytes(self.results, isa), [])
            for algorithm, expected in BYTES_OF_ALGORITHM.items():
                for each in lengths.measurements(self.results, algorithm, isa).values():
                    self.assertEqual(each.bytes_per_element, expected, each.name)

    def test_page_is_whole_and_needs_no_network(self):
        sections = sections_of(self.results)
        with tempfile.TemporaryDirectory() as name:
            directory = pathlib.Path(name)
            page.write(self.results, sections, directory)
            html = unescape((directory / "index.html").read_text())
            tables = (directory / "reproducing-the-paper.md").read_text()
            for figure in [figure for each in sections for figure in each.figures]:
                self.assertTrue((directory / f"{figure.name}.png").read_bytes().startswith(b"\x89PNG"))
                self.assertIn("<svg", (directory / f"{figure.name}.svg").read_text())
        self.assertEqual(set(re.findall(r'(?:src|href)="(\w+:|//)', html)), {"data:"})
        self.assertEqual(html.count("<img "), sum(len(each.figures) for each in sections))
        for each in sections:
            self.assertTrue(each.title in html and each.title in tables, each.title)

    def test_surfaces_have_every_variant_relative_to_the_best(self):
        kernels, isas = passes.lists()
        for isa in (each for each in isas if each.name in self.results.isas):
            surfaces = tuning.surfaces(self.results, isa)
            self.assertEqual(set(surfaces), {"f32-rmax", "f32-vmulc"})
            for kernel, _, relative, taken in surfaces.values():
                self.assertEqual(len(relative), len(kernel.variants), kernel.name)
                self.assertGreaterEqual(min(relative.values()), 1.0)
                self.assertIn(taken, relative)

    def test_a_variant_that_is_taken_and_slow_is_told(self):
        _, isas = passes.lists()
        [isa] = [each for each in isas if each.name == self.results.isas[0]]
        _, _, _, taken = tuning.surfaces(self.results, isa)["f32-rmax"]
        start = f"{tuning.WHAT}/function:smx_f32_rmax_ukernel__{isa.name}_{taken}/"
        slowed = [{**each, "time_per_element": 100 * each["time_per_element"]} if each["run_name"].startswith(start) else each
                  for each in self.file["benchmarks"]]
        [section_of_slowed] = tuning.sections(Results(self.file["context"], slowed))
        [told] = [sentence for sentence in section_of_slowed.seen if sentence.startswith(f"{isa.name}:")]
        self.assertIn(f"f32-rmax {taken} (", told.partition("not for:")[2])

    def test_page_agrees_with_the_file(self):
        isa = self.results.isas[0]
        times = [each["time_per_element"] * 1e9 for each in self.file["benchmarks"]
                 if each["run_name"] == f"three-pass-reload/isa:{isa}/threads:1/rows:1/channels:2048/warm/real_time"]
        [row] = [row for row in recomputing.sections(self.results)[0].tables[0].rows if row[0] == isa and row[1].startswith("2 Ki")]
        self.assertTrue(row[3].startswith(f"{statistics.median(times):.3g} ["), row)


# As peers_bench and accuracy_bench give them: nanoseconds an element of each sample, and errors in ULP.
PEERS_CONTEXT = {"isas": "avx2 scalar", "absent_peers": "PyTorch (libtorch-dev)"}
TIMES = {
    (4096, 64): {("roofline", "copy"): (0.1, 0.11, 0.12), ("peer", "oneDNN"): (0.6, 0.7, 0.8), ("peer", "expf loop"): (0.5, 0.6, 0.7),
                 ("peer", "three-pass-reload avx2"): (0.45, 0.5, 0.55), ("ours", "smxpack avx2"): (0.2, 0.25, 0.3)},
    (1, 1000): {("roofline", "copy"): (0.1, 0.1, 0.1), ("peer", "oneDNN"): (0.09, 0.09, 0.09), ("peer", "expf loop"): (0.5, 0.6, 0.7),
                ("peer", "three-pass-reload avx2"): (0.2, 0.2, 0.2), ("ours", "smxpack avx2"): (0.3, 0.36, 0.4)},
}
ERRORS = {
    "normal": {"two-pass avx2": {10: 2.5, 1 << 20: 2.0}, "smxpack avx2": {10: 2.5, 1 << 20: 2.0},
               "three-pass-reload avx2": {10: 17.0, 1 << 20: 800.0}, "oneDNN": {10: 18.0, 1 << 20: 900.0}},
    "equal": {"two-pass avx2": {10: 0.2, 1 << 20: 0.0}, "smxpack avx2": {10: 0.2, 1 << 20: 0.0},
              "three-pass-reload avx2": {10: 0.2, 1 << 20: 0.0}, "oneDNN": {10: 0.2, 1 << 20: 4.0}},
}


def peers_results(times, context=PEERS_CONTEXT):
    benchmarks = [{"run_name": f"peers/isa:avx2/role:{role}/subject:{subject}/threads:1/rows:{rows}/channels:{channels}/warm",
                   "run_type": "iteration", "time_per_element": ns * 1e-9, "label": f"version of {subject}"}
                  for (rows, channels), of_shape in times.items() for (role, subject), samples in of_shape.items() for ns in samples]
    return Results(context, benchmarks)


def accuracy_results(errors, context=PEERS_CONTEXT):
    return Results(context, [{"run_name": f"accuracy/subject:{subject}/input:{kind}/channels:{n}/iterations:1", "run_type": "iteration",
                              "max_ulp": ulp} for kind, of_kind in errors.items() for subject, by_length in of_kind.items()
                             for n, ulp in by_length.items()])


class Measuring(unittest.TestCase):
    def test_a_step_that_fails_is_told_and_the_others_go_on(self):
        suite = measure.Suite(BUILD_DIR, dataclasses.replace(measure.QUICK, rounds=1))
        steps = [measure.Step("broken", lambda: suite.output("softmax_bench", "--no-such-option")),
                 measure.Step("sound", lambda: {"context": {}, "benchmarks": [{"run_name": "a", "run_type": "iteration"}]})]
        *_, file = measure.measure(suite, steps)
        results = Results(file["context"], file["benchmarks"])
        self.assertEqual([each.name for each in results.measurements], ["a"])
        self.assertIn("broken: ", " ".join(page.warnings(results, [])))


class PeersPage(unittest.TestCase):
    def section(self, times=None, context=PEERS_CONTEXT):
        [found] = peers.sections(peers_results(times or TIMES, context))
        for figure in found.figures:
            self.addCleanup(style.plt.close, figure.plot)
        return found

    def test_figure_has_medians_and_ranges_of_the_samples(self):
        [ax] = self.section().figures[0].plot.axes
        drawn = {bars.get_label(): bars for bars in ax.containers}
        self.assertEqual(set(drawn), {"oneDNN", "expf loop", "three-pass, reloading, avx2", "SMXPACK, avx2"})
        for subject, label in (("oneDNN", "oneDNN"), ("smxpack avx2", "SMXPACK, avx2")):
            points, _, [ranges] = drawn[label]
            expected = [Spread.of(samples) for of_shape in TIMES.values() for (_, name), samples in of_shape.items() if name == subject]
            for got, spread in zip(points.get_xdata(), expected, strict=True):
                self.assertAlmostEqual(got, spread.median)
            for got, spread in zip(ranges.get_segments(), expected, strict=True):
                self.assertAlmostEqual(got[0][0], spread.lower)
                self.assertAlmostEqual(got[1][0], spread.upper)
        self.assertEqual(ax.get_xscale(), "log")
        self.assertEqual([each.get_text() for each in ax.get_yticklabels()], ["4096 × 64", "1 × 1000"])

    def test_floor_is_the_copy_of_each_shape(self):
        [ax] = self.section().figures[0].plot.axes
        floor = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == style.ROOFLINE_DASHES["copy"]]
        self.assertEqual(len(floor), 2)
        for got, expected in zip(floor, (0.11, 0.1)):
            self.assertAlmostEqual(got, expected)

    def test_faster_and_slower_shapes_are_told(self):
        seen = self.section().seen
        ratios = (0.7 / 0.25, 0.09 / 0.36)
        self.assertIn("the libraries (oneDNN)", seen[0])
        self.assertIn("faster beyond the spread at 1 of 2 shapes; slower at: 1 × 1000 (oneDNN, 4.00 times)", seen[0])
        self.assertIn(f"geometric mean of the ratios is {statistics.geometric_mean(ratios):.2f}", seen[0])
        self.assertIn(f"geometric mean of the ratios is {statistics.geometric_mean((0.5 / 0.25, 0.09 / 0.36)):.2f}", seen[1])

    def test_what_beats_the_copy_is_told(self):
        told = [sentence for sentence in self.section().seen if sentence.startswith("Faster than memcpy")]
        self.assertEqual(told, ["Faster than memcpy, which asks for an explanation: oneDNN at 1 × 1000."])

    def test_absent_peers_are_told(self):
        self.assertIn("PyTorch (libtorch-dev)", self.section().seen[-1])
        self.assertNotIn("Left out", " ".join(self.section(context={**PEERS_CONTEXT, "absent_peers": ""}).seen))

    def test_table_agrees_with_the_samples(self):
        of_subjects, of_shapes = self.section().tables
        [row] = [row for row in of_subjects.rows if row[0] == "oneDNN"]
        self.assertEqual(row[1:], ["peer", "version of oneDNN", f"{statistics.geometric_mean((0.7 / 0.25, 0.09 / 0.36)):.2f}", "1 / 1"])
        cells = dict(zip(of_shapes.header, of_shapes.rows[0]))
        self.assertEqual((cells["fastest peer"], cells["oneDNN"]), ("three-pass-reload avx2", "0.7 [0.6, 0.8]"))

    def test_without_peers_nothing_is_claimed(self):
        self.assertEqual(peers.sections(Results({}, []))[0].agrees, section.NOT_MEASURED)
        with tempfile.TemporaryDirectory() as empty:
            suite = measure.Suite(pathlib.Path(empty), measure.QUICK)
            self.assertEqual((peers.steps(suite), accuracy.steps(suite)), ([], []))


class AccuracyPage(unittest.TestCase):
    def section(self, errors):
        [found] = accuracy.sections(accuracy_results(errors))
        for figure in found.figures:
            self.addCleanup(style.plt.close, figure.plot)
        return found

    def test_figure_has_the_errors_that_were_measured(self):
        axes = self.section(ERRORS).figures[0].plot.axes
        for ax, of_kind in zip(axes, ERRORS.values(), strict=True):
            drawn = {line.get_label(): line for line in ax.lines}
            for subject, label in (("smxpack avx2", "SMXPACK, avx2"), ("oneDNN", "oneDNN")):
                self.assertEqual(list(drawn[label].get_xdata()), list(of_kind[subject]))
                self.assertEqual(list(drawn[label].get_ydata()), [max(ulp, accuracy.LEAST_DRAWN) for ulp in of_kind[subject].values()])
            self.assertEqual((ax.get_xscale(), ax.get_yscale()), ("log", "log"))

    def test_what_holds_is_told_with_what_the_others_are_off_by(self):
        seen = " ".join(self.section(ERRORS).seen)
        self.assertIn("at most 3.25 ULP holds at every length. Its largest error is 2.50 ULP, at 10 elements; at the longest row it is 2.00",
                      seen)
        self.assertIn("off by more are others, by 17.00 ULP (three-pass-reload avx2) to 18.00 ULP (oneDNN) at 10 elements, and by 800 ULP", seen)
        self.assertIn("Equal logits: within 3.25 ULP at all these lengths, too: three-pass-reload avx2.", seen)

    def test_a_broken_promise_is_told(self):
        broken = {**ERRORS, "normal": {**ERRORS["normal"], "smxpack avx2": {10: 2.5, 1 << 20: 3.5}}}
        seen = " ".join(self.section(broken).seen)
        self.assertIn("does not hold: smxpack avx2 with 3.50 ULP at 1 Mi elements", seen)
        self.assertIn("are not all the same", seen)

    def test_nan_breaks_the_promise(self):
        results = accuracy_results(ERRORS)
        results.failed["accuracy/subject:smxpack avx2/input:normal/channels:1048576/iterations:1"] = "gives NaN or infinity"
        self.assertEqual(accuracy.errors(results, "normal")["smxpack avx2"], {10: 2.5, 1 << 20: float("inf")})
        self.assertIn("does not hold: smxpack avx2 with inf ULP at 1 Mi elements", accuracy.promise(
            {"smxpack avx2": accuracy.errors(results, "normal")["smxpack avx2"]}))

    def test_table_agrees_with_the_file(self):
        table = self.section(ERRORS).tables[0]
        self.assertEqual(table.header[1:], ["10", "1 Mi"])
        self.assertIn(["oneDNN", "18.00", "900"], table.rows)


class Predictions(unittest.TestCase):
    @staticmethod
    def results_of(benchmarks):
        return Results({}, merge([{"context": {}, "benchmarks": benchmarks}]))

    def test_of_a_kernel_on_every_instruction_set(self):
        kernels, isas = passes.lists()
        results = self.results_of(microarchitectures.benchmarks([each for each in kernels if each.name == "f32-raddextexp"]))
        self.assertEqual(results.failed, {})
        columns = {"avx512f": {"skylake-avx512", "znver4"}, "avx2": {"skylake-avx512", "broadwell", "znver2", "znver4"}, "neon": {"neoverse-n1"}}
        self.assertEqual(set(microarchitectures.columns(results)), {(isa, cpu) for isa, cpus in columns.items() for cpu in cpus})
        for each in results.measurements:
            [isa] = [isa for isa in isas if isa.name == each.fields["isa"]]
            [entry] = each.entries
            self.assertGreater(entry["cycles_per_element"], entry["fmas_per_vector"] / isa.width / 4)  # none has more than four units
            # The exponential is the same expression everywhere, and a vector takes it once.
            self.assertEqual(entry["fmas_per_vector"], results.measurements[0].entries[0]["fmas_per_vector"], each.name)
        [section_of_kernel] = microarchitectures.sections(results)
        [figure], [table] = section_of_kernel.figures, section_of_kernel.tables
        self.assertEqual([row[0] for row in table.rows], ["f32-raddextexp"])
        with tempfile.TemporaryDirectory() as name:
            self.assertIn("<svg", style.save(figure, pathlib.Path(name) / figure.name))

    def test_an_algorithm_is_the_sum_of_its_passes_and_the_best_baselines(self):
        cycles = {("f32-raddextexp", "u32"): 1.0, ("f32-vscaleextexp", "u32"): 2.0, ("f32-raddstoreextexp", "u32"): 1.25,
                  ("f32-vmulextc", "u32"): 0.5, ("f32-rmax", "u32"): 0.25, ("f32-raddexpminusmax", "u32"): 1.5,
                  ("f32-vscaleexpminusmax", "u32"): 1.75, ("f32-raddstoreexpminusmax", "u32"): 9.0,
                  ("f32-raddstoreexpminusmax", "u64_acc2"): 1.5, ("f32-vmulc", "u32"): 0.25}
        predictions = [mca.Prediction("avx2", kernel, variant, "", 32, 80, 7.0, {"znver2": value}) for (kernel, variant), value in cycles.items()]
        results = self.results_of([microarchitectures.entry(known, cpu, value, "") for known in predictions
                                   for cpu, value in known.cycles_per_element.items()])
        self.assertEqual(microarchitectures.cycles(results, ("avx2", "znver2")),
                         {"two-pass": 3.0, "store-and-rescale": 1.75, "three-pass-recompute": 3.5, "three-pass-reload": 2.0})
        [section_of_all] = microarchitectures.sections(results)
        told = " ".join(section_of_all.seen)
        self.assertIn("three-pass, reloading, the better three-pass, is predicted to take 2.00 cycles an element; two-pass 3.00 (1.50 times as long)", told)
        self.assertIn("predicted to be faster than the better three-pass on: none; store and rescale, which computes one, on: Zen 2 (avx2).", told)
        self.assertEqual(section_of_all.tables[1].rows, [["avx2", "Zen 2", "3.00", "1.75", "3.50", "2.00"]])

    def test_a_kernel_without_a_prediction_is_told(self):
        [unknown] = [dataclasses.replace(each, base="unknown") for each in passes.lists()[0] if each.name == "f32-rmax"]
        results = self.results_of(microarchitectures.benchmarks([unknown]))
        self.assertEqual(set(results.failed), {f"llvm-mca/f32-unknown on {isa}" for isa in ("avx512f", "avx2", "neon")})
        [section_of_none] = microarchitectures.sections(results)
        self.assertEqual(section_of_none.agrees, section.NOT_MEASURED)


if __name__ == "__main__":
    unittest.main()
