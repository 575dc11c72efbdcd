"""The tables of docs/edge_cases.md are what the libraries answer.

    edge_cases_test.py SMXPACK SciPy NumPy    checks these columns; PyTorch's takes Debian's python3-torch

SMXPACK_LIBRARY names the shared library.
"""

import pathlib
import re
import sys
import unittest

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "python"))
sys.dont_write_bytecode = True

DIGITS = 6e-3  # relative: three digits are shown
NOT_THERE = "–"


def smxpack_functions():
    import smxpack
    return {name: getattr(smxpack, name) for name in ("softmax", "log_softmax", "logsumexp")}


def scipy_functions():
    import scipy.special
    return {"softmax": lambda x: scipy.special.softmax(x, axis=-1),
            "log_softmax": lambda x: scipy.special.log_softmax(x, axis=-1),
            "logsumexp": lambda x: scipy.special.logsumexp(x, axis=-1)}


def numpy_functions():
    def softmax(x):
        return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
    return {"softmax": softmax,
            "log_softmax": lambda x: np.log(softmax(x)),
            "logsumexp": lambda x: np.logaddexp.reduce(x, axis=-1)}


def pytorch_functions():
    import torch
    return {name: lambda x, function=getattr(torch, name): function(torch.from_numpy(x), -1).numpy()
            for name in ("softmax", "log_softmax", "logsumexp")}


LIBRARIES = {"SMXPACK": smxpack_functions, "SciPy": scipy_functions, "NumPy": numpy_functions, "PyTorch": pytorch_functions}


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def tables():
    """(function, dtype, row, whether masked rows are zeros, {column: answer}) of each line of the tables."""
    function = columns = None
    for line in (ROOT / "docs" / "edge_cases.md").read_text(encoding="utf-8").splitlines():
        heading = re.fullmatch(r"## (\w+) of (\w+)", line)
        if heading:
            function, dtype = heading.groups()
        elif line.startswith("| row "):
            columns = cells(line)[1:]
        elif function and line.startswith("| `"):
            row, *answers = cells(line)
            yield function, dtype, re.match("`(.*)`", row)[1], row.endswith("*zeros*"), dict(zip(columns, answers, strict=True))


def numbers(text):
    return np.atleast_1d(eval(text, {"inf": np.inf, "nan": np.nan, "zeros": np.zeros, "empty": np.empty}))


def answer_of(cell):
    return cell.strip("*")


class EdgeCases(unittest.TestCase):
    columns = ["SMXPACK", "SciPy", "NumPy"]

    def check(self, call, cell):
        if cell == "ValueError":
            self.assertRaises(ValueError, call)
            return
        result = np.atleast_1d(call())
        if cell == "empty":
            self.assertEqual(result.size, 0)
            return
        answer = numbers(cell)
        np.testing.assert_allclose(result, answer if answer.size > 1 else answer[0], rtol=DIGITS, atol=0)

    def test_answers(self):
        for column in self.columns:
            functions = LIBRARIES[column]()
            checked = 0
            for function, dtype, row, zeros, answers in tables():
                options = {"masked_rows_to_zero": True} if zeros else {}
                if answers[column] == NOT_THERE:
                    continue
                with self.subTest(column, function=function, dtype=dtype, row=row, zeros=zeros):
                    with np.errstate(all="ignore"):
                        x = numbers(row).astype(dtype)
                        self.check(lambda: functions[function](x, **options), answer_of(answers[column]))
                checked += 1
            self.assertGreater(checked, 50)

    def test_differences_are_bold(self):
        for function, _, row, _, answers in tables():
            for column, answer in answers.items():
                with self.subTest(function, row=row, column=column):
                    differs = answer_of(answer) not in (answers["SMXPACK"], NOT_THERE)
                    self.assertEqual(answer.startswith("**"), differs)


if __name__ == "__main__":
    EdgeCases.columns = sys.argv[1:] or EdgeCases.columns
    unittest.main(argv=sys.argv[:1])
