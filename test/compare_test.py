"""scripts/compare.py tells a change from chance."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "scripts"))
sys.dont_write_bytecode = True

import compare  # noqa: E402


class Compare(unittest.TestCase):
    def verdicts(self, before, after):
        return {row[0]: row[5] for row in compare.compare(before, after)}

    def test_verdicts(self):
        base = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5]
        before = {"slower": base, "faster": base, "same": base, "few": [1.0], "gone": base}
        after = {"slower": [2 * x for x in base], "faster": [x / 2 for x in base], "same": base[::-1], "few": [9.0]}
        self.assertEqual(self.verdicts(before, after),
                         {"slower": "slower", "faster": "faster", "same": "same", "few": "too few samples"})

    def test_what_agrees(self):
        before = {"overlap": [1.0, 2.0], "apart": [1.0, 2.0], "one sample": [1.0]}
        after = {"overlap": [1.9, 3.0], "apart": [2.1, 3.0], "one sample": [2.0]}
        self.assertIn("1 of 2 agree", compare.summary(before, after, compare.compare(before, after)))

    def test_correction(self):
        self.assertEqual(compare.corrected([0.01, 0.04, 0.03]), [0.03, 0.04, 0.04])


if __name__ == "__main__":
    unittest.main()
