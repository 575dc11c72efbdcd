"""The report (scripts/report): its statistics, what it merges, and a page made of a short run of the benches.

    report_test.py <build directory>
"""

import dataclasses
import json
import pathlib
import re
import statistics
import sys
import tempfile
import unittest
from html import unescape

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "scripts"))
sys.dont_write_bytecode = True

from report import coverage, lengths, measure, page, passes, recomputing, section, small_rows, threads, tuning, two_pass  # noqa: E402
from report.results import Ratio, Results, Spread, merge, parse_name  # noqa: E402

BUILD_DIR = pathlib.Path(sys.argv.pop())
REDUCTIONS = {"rmax", "raddexpminusmax", "raddextexp"}
BYTES_OF_ALGORITHM = {"two-pass": 12, "two-pass-stream": 12, "store-and-rescale": 16, "three-pass-recompute": 16, "three-pass-reload": 20}


class Statistics(unittest.TestCase):
    def test_median_and_quartiles(self):
        spread = Spread.of([5.0, 1.0, 3.0, 2.0, 4.0])
        self.assertEqual((spread.lower, spread.median, spread.upper), (2.0, 3.0, 4.0))
        self.assertAlmostEqual(spread.relative, 2 / 3)

    def test_one_sample_has_no_spread(self):
        self.assertEqual(Spread.of([2.0]).relative, 0.0)

    def test_ratio_is_bounded_by_opposite_quartiles(self):
        ratio = Ratio.of(Spread(4.0, 3.0, 6.0, ()), Spread(2.0, 1.0, 3.0, ()))
        self.assertEqual((ratio.value, ratio.lower, ratio.upper), (2.0, 1.0, 6.0))

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
        self.assertEqual([(each["repetition_index"], each["repetitions"], each["real_time"]) for each in merged],
                         [(0, 3, 1.0), (1, 3, 2.0), (2, 3, 3.0)])


class ShortRun(unittest.TestCase):
    """Everything that is not out of cache, in very short runs: figures of no worth, and all that the page is made of."""

    @classmethod
    def setUpClass(cls):
        effort = dataclasses.replace(measure.QUICK, rounds=2, repetitions=2, min_time=0.0001, largest_row=1 << 14)
        suite = measure.Suite(BUILD_DIR, effort)
        steps = {step.title: step for experiment in (recomputing, passes, two_pass, tuning, small_rows)
                 for step in experiment.steps(suite)}
        # For they take longer.
        left_out = re.compile(r"passes, (L2|memory)|small rows, (?!8 |1024 )|variants of (?!f32-rmax|f32-vmulc)")
        cls.file = measure.measure(suite, [step for title, step in steps.items() if not left_out.match(title)])
        cls.results = Results(cls.file["context"], cls.file["benchmarks"])

    def test_has_every_repetition_of_its_rounds(self):
        for each in self.results.measurements:
            self.assertEqual(len(each.entries), 2 if each.fields["what"] == tuning.WHAT else 4, each.name)

    def test_context_tells_machine_and_load(self):
        context = self.results.context
        for key in ("processor", "isas", "compiler", "compiler_flags", "l1_bytes", "l1_source", "load_avg", "load_avg_after", "date",
                    "memory_bytes", "kernel", "commit"):
            self.assertTrue(context[key], key)

    def test_every_kernel_of_the_list_has_a_result(self):
        self.assertEqual(coverage.missing(self.results), [])

    def test_a_kernel_without_a_result_is_told(self):
        isa = self.results.isas[0]
        without = Results(self.file["context"], [each for each in self.file["benchmarks"]
                                                 if not each["name"].startswith(f"smx_f32_rmax_ukernel__{isa}_")])
        self.assertEqual(coverage.missing(without), [f"f32-rmax on {isa}"])
        self.assertIn(f"f32-rmax on {isa}", " ".join(page.warnings(without, coverage.missing(without))))

    def test_bytes_of_every_pass(self):
        measured = [each for each in self.results.measurements if "_ukernel__" in each.name]
        self.assertTrue(measured)
        for each in measured:
            *types, base = re.search(r"smx_(?:(b?f\d+)_)(?:(b?f\d+)_)?(\w+)_ukernel__", each.name).groups()
            read, written = (int(type[-2:]) // 8 for type in (types[0], types[-1] or types[0]))
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
        sections = [each for experiment in (recomputing, passes, two_pass, tuning, threads, small_rows)
                    for each in experiment.sections(self.results)]
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


if __name__ == "__main__":
    unittest.main()
