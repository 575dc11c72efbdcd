"""python/smxpack.py gives what NumPy and SciPy give in higher precision.

SMXPACK_LIBRARY names the shared library.
"""

import concurrent.futures
import multiprocessing
import os
import pathlib
import pickle
import subprocess
import sys
import unittest

import numpy as np
import scipy.special

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "examples")]
sys.dont_write_bytecode = True

import reference  # noqa: E402
import smxpack  # noqa: E402

SHAPES = [(1,), (7,), (1000,), (3, 1), (5, 40), (4, 1025), (2, 3, 50), (2, 40000), (0, 5), (2, 0, 3)]
F32, F16, BF16 = np.dtype(np.float32), np.dtype(np.float16), smxpack.bfloat16
PAIRS = [(F32, F32), (F16, F16), (BF16, BF16), (F16, F32), (BF16, F32), (F32, F16), (F32, BF16)]
FUNCTIONS = {smxpack.softmax: scipy.special.softmax, smxpack.log_softmax: scipy.special.log_softmax}
TILE = 16384


def rounded(values, dtype):
    """Numbers of more precision as elements of a dtype, to nearest even, below the smallest normal number 0 unless float16."""
    if dtype != BF16:
        elements = values.astype(dtype)
        return np.where(np.abs(elements) < np.finfo(F32).tiny, dtype.type(0), elements) if dtype == F32 else elements
    mantissa, exponent = np.frexp(values.astype(np.float64))
    floats = np.ldexp(np.rint(np.ldexp(mantissa, 8)), exponent - 8).astype(F32)
    floats[np.abs(floats) < np.finfo(F32).tiny] = 0
    return (floats.view(np.uint32) >> 16).astype(np.uint16).view(BF16)


def as_floats(elements):
    if elements.dtype != BF16:
        return elements.astype(F32)
    return (elements.view(np.uint16).astype(np.uint32) << 16).view(F32)


def bits(elements):
    return elements.view(np.uint32 if elements.dtype == F32 else np.uint16)


def logits(shape, dtype=F32, sigma=4):
    generator = np.random.default_rng(list(shape))
    return rounded(sigma * generator.standard_normal(shape), dtype)


class Results(unittest.TestCase):
    def assert_close(self, actual, exact, function):
        """As close as smxpack.h says; `exact` is of more precision."""
        if actual.size == 0:
            return
        if actual.dtype == F32 and function is smxpack.softmax:
            self.assertLessEqual(reference.largest_ulp_error(actual, exact), reference.LIMIT)
        elif actual.dtype == F32:
            self.assertLessEqual(np.max(np.abs(actual - exact) / np.maximum(np.abs(exact), 1)), 2 * 2.0**-23)
        else:
            steps = np.abs(bits(actual).astype(int) - bits(rounded(exact, actual.dtype)).astype(int))
            self.assertLessEqual(steps.max(), 1)
            self.assertLessEqual(np.count_nonzero(steps), max(1, steps.size // 1000))

    def test_agree_with_scipy(self):
        for function, scipy_function in FUNCTIONS.items():
            for shape in SHAPES:
                for input_dtype, output_dtype in PAIRS:
                    with self.subTest(function.__name__, shape=shape, input=input_dtype, output=output_dtype):
                        x = logits(shape, input_dtype)
                        y = function(x, dtype=output_dtype)
                        self.assertEqual((y.shape, y.dtype), (shape, output_dtype))
                        exact = np.empty(shape, np.longdouble)
                        if exact.size:
                            exact = scipy_function(as_floats(x).astype(np.longdouble), axis=-1)
                        self.assert_close(y, exact, function)

    def test_logsumexp_agrees_with_scipy_and_numpy(self):
        for shape in SHAPES:
            for dtype in (F32, F16, BF16):
                with self.subTest(shape=shape, dtype=dtype):
                    x = logits(shape, dtype)
                    y = smxpack.logsumexp(x)
                    self.assertEqual((y.shape, y.dtype), (shape[:-1], F32))
                    if x.size == 0:
                        continue
                    wide = as_floats(x).astype(np.longdouble)
                    self.assert_close(y, scipy.special.logsumexp(wide, axis=-1), smxpack.logsumexp)
                    np.testing.assert_allclose(y, np.logaddexp.reduce(wide, axis=-1), rtol=3e-7, atol=3e-7)

    def test_wide_range_agrees_with_scipy(self):
        for sigma in (30, 1000):
            x = logits((5, 3000), sigma=sigma)
            exact = scipy.special.softmax(x.astype(np.longdouble), axis=-1)
            self.assert_close(smxpack.softmax(x), exact, smxpack.softmax)

    def test_scale(self):
        x = logits((5, 3000))
        for scale in (0.125, 1 / 3, -2.5, 1e-20):
            exact = np.longdouble(F32.type(scale)) * x.astype(np.longdouble)
            self.assert_close(smxpack.softmax(x, scale=scale), scipy.special.softmax(exact, axis=-1), smxpack.softmax)
            self.assert_close(smxpack.log_softmax(x, scale=scale), scipy.special.log_softmax(exact, axis=-1), smxpack.log_softmax)
            self.assert_close(smxpack.logsumexp(x, scale=scale), scipy.special.logsumexp(exact, axis=-1), smxpack.logsumexp)
            sums = smxpack.partial_sum(x, scale=scale)
            pieces = smxpack.scale_by_partial_sum(x, sums, scale=scale)
            np.testing.assert_array_equal(pieces, smxpack.softmax(x, scale=scale))
        with self.assertRaisesRegex(RuntimeError, "smx_set_scale: smx_status_invalid_parameter"):
            smxpack.softmax(x, scale=np.inf)
        with self.assertRaisesRegex(RuntimeError, "smx_merge_partial_sums: smx_status_invalid_parameter"):
            smxpack.merge_partial_sums(smxpack.partial_sum(x), smxpack.partial_sum(x, scale=2))

    def test_masked_rows(self):
        x = np.full((2, 3), -np.inf, F32)
        self.assertTrue(np.isnan(smxpack.softmax(x)).all())
        self.assertTrue((smxpack.softmax(x, masked_rows_to_zero=True) == 0).all())
        self.assertTrue((smxpack.log_softmax(x, masked_rows_to_zero=True) == -np.inf).all())
        sums = smxpack.partial_sum(x)
        self.assertTrue((smxpack.scale_by_partial_sum(x, sums, masked_rows_to_zero=True) == 0).all())


class Quantized(unittest.TestCase):
    def exact(self, x, input_scale):
        return scipy.special.softmax(np.float64(np.float32(input_scale)) * x.astype(np.float64), axis=-1)

    def test_agrees_with_scipy(self):
        for dtype, least in ((np.uint8, 0), (np.int8, -128)):
            x = np.random.default_rng(1).integers(least, least + 256, (20, 300), dtype)
            for input_scale, output_scale, zero_point in ((0.1, 1 / 256, None), (0.03, 0.001, 5), (1.0, 1 / 255, 127)):
                p = self.exact(x, input_scale)
                steps = p / np.float64(np.float32(output_scale)) + (least if zero_point is None else zero_point)
                y = smxpack.softmax_quantized(x, input_scale, output_scale=output_scale, output_zero_point=zero_point)
                self.assertEqual(y.dtype, dtype)
                self.assertLessEqual(np.abs(y - np.clip(steps, least, least + 255)).max(), 0.5003)
                floats = smxpack.softmax_quantized(x, input_scale, dtype=F32, threads=2)
                np.testing.assert_allclose(floats, p, rtol=4e-7, atol=1e-37)

    def test_scale_and_in_place(self):
        x = np.random.default_rng(2).integers(0, 256, (3, 50), np.uint8)
        expected = smxpack.softmax_quantized(x, 0.25)
        np.testing.assert_array_equal(smxpack.softmax_quantized(x, 0.5, scale=0.5), expected)
        self.assertIs(smxpack.softmax_quantized(x, 0.25, out=x), x)
        np.testing.assert_array_equal(x, expected)

    def test_bad_arguments(self):
        x = np.zeros((2, 3), np.uint8)
        for bad in (np.zeros(3, np.float32), np.zeros(3, np.int16)):
            self.assertRaisesRegex(TypeError, "neither uint8 nor int8", smxpack.softmax_quantized, bad, 1.0)
        self.assertRaisesRegex(TypeError, "neither uint8 nor int8", smxpack.softmax_quantized, x, 1.0, dtype=np.float16)
        self.assertRaisesRegex(TypeError, "neither float32", smxpack.softmax, x)
        for arguments in (dict(input_scale=0.0), dict(input_scale=1.0, output_scale=-1.0), dict(input_scale=1.0, output_zero_point=256)):
            self.assertRaisesRegex(RuntimeError, "smx_status_invalid_parameter", smxpack.softmax_quantized, x, **arguments)
        self.assertRaisesRegex(RuntimeError, "smx_status_unsupported_parameter", smxpack.softmax_quantized, x, 1.0, dtype=np.int8)


class PartialSums(unittest.TestCase):
    def test_pieces_of_tiles_give_the_bits_of_the_whole(self):
        for dtype in (F32, F16, BF16):
            x = logits((3, 2 * TILE + 100), dtype)
            pieces = np.split(x, [TILE, 2 * TILE], axis=-1)
            sums = [pickle.loads(pickle.dumps(smxpack.partial_sum(piece))) for piece in pieces]
            for order in ([0, 1, 2], [2, 0, 1]):
                total = smxpack.merge_partial_sums(*[sums[i] for i in order])
                y = np.concatenate([smxpack.scale_by_partial_sum(piece, total) for piece in pieces], axis=-1)
                np.testing.assert_array_equal(bits(y), bits(smxpack.softmax(x)))

    def test_one_row(self):
        x = logits((10,))
        sums = smxpack.partial_sum(x)
        self.assertEqual(sums.shape, ())
        before = sums.copy()
        twice = smxpack.merge_partial_sums(sums, sums)
        np.testing.assert_array_equal(smxpack.scale_by_partial_sum(x, twice), smxpack.softmax(x) / 2)
        self.assertEqual(sums, before)

    def test_scales_in_place_and_by_sums_with_gaps(self):
        x = logits((4, 100))
        expected = smxpack.softmax(x)
        sums = np.repeat(smxpack.partial_sum(x), 2)[::2]
        self.assertIs(smxpack.scale_by_partial_sum(x, sums, out=x), x)
        np.testing.assert_array_equal(x, expected)

    def test_sums_anywhere_in_memory(self):
        x = logits((4, 100))
        sums = np.stack([smxpack.partial_sum(row) for row in x])
        unaligned = np.frombuffer(b"\0" + sums.tobytes(), np.uint8)[1:].view(sums.dtype)
        for array in (sums, unaligned):
            np.testing.assert_array_equal(smxpack.scale_by_partial_sum(x, array), smxpack.softmax(x))
            np.testing.assert_array_equal(smxpack.merge_partial_sums(array), sums)

    def test_bad_sums(self):
        x = logits((4, 100))
        sums = smxpack.partial_sum(x)
        for bad in (sums[:3], sums.reshape(2, 2), np.zeros(4), np.zeros((4, 48), np.uint8)):
            self.assertRaises(ValueError, smxpack.scale_by_partial_sum, x, bad)
            self.assertRaises(ValueError, smxpack.merge_partial_sums, sums, bad)
        self.assertRaises(ValueError, smxpack.merge_partial_sums, np.zeros(4))


class MoeGate(unittest.TestCase):
    def chosen(self, scores, k):
        return np.argsort(-scores, axis=-1, kind="stable")[..., :k]

    def test_agrees_with_numpy(self):
        for shape, k in (((7, 64), 8), ((2, 3, 33), 33), ((5,), 1), ((0, 8), 2)):
            for dtype in (F32, F16, BF16):
                x = logits(shape, dtype)
                wide = as_floats(x).astype(np.longdouble)
                probabilities = scipy.special.softmax(wide, axis=-1) if x.size else wide
                indices = self.chosen(wide, k)
                for scores, normalize, all_weights in (
                    ("softmax", False, probabilities),
                    ("softmax", True, probabilities),
                    ("logits", False, probabilities),
                    ("sigmoid", False, 1 / (1 + np.exp(-wide))),
                    ("sigmoid", True, 1 / (1 + np.exp(-wide))),
                ):
                    with self.subTest(shape=shape, dtype=dtype, scores=scores, normalize=normalize):
                        weights, chosen = smxpack.moe_gate(x, k, scores, normalize=normalize, dtype=F32)
                        exact = np.take_along_axis(all_weights, indices, axis=-1)
                        if normalize or scores == "logits":
                            exact = exact / exact.sum(axis=-1, keepdims=True)
                        self.assertEqual((weights.dtype, chosen.dtype, chosen.shape), (F32, np.int32, shape[:-1] + (k,)))
                        np.testing.assert_array_equal(chosen, indices)
                        np.testing.assert_allclose(weights, exact, rtol=1e-6)

    def test_bias_scale_and_threads(self):
        x = logits((600, 40))
        bias = np.where(np.arange(40) % 2 == 0, F32.type(0), F32.type(-np.inf))
        weights, indices = smxpack.moe_gate(x, 3, "sigmoid", bias, scale=-0.25, threads=2)
        scores = 1 / (1 + np.exp(0.25 * x.astype(np.longdouble)))
        np.testing.assert_array_equal(indices, self.chosen(scores + bias, 3))
        np.testing.assert_allclose(weights, np.take_along_axis(scores, indices, axis=-1), rtol=1e-6)

    def test_masked_rows(self):
        x = np.full((2, 5), -np.inf, F32)
        weights, indices = smxpack.moe_gate(x, 2, masked_rows_to_zero=True)
        np.testing.assert_array_equal(indices, [[0, 1]] * 2)
        self.assertTrue((weights == 0).all())
        self.assertTrue(np.isnan(smxpack.moe_gate(x, 2)[0]).all())

    def test_bad_arguments(self):
        x = logits((3, 8))
        self.assertRaises(ValueError, smxpack.moe_gate, x, 2, "tanh")
        self.assertRaises(ValueError, smxpack.moe_gate, x, 2, bias=np.zeros(7, F32))
        with self.assertRaisesRegex(RuntimeError, "smx_setup_moe_gate_nc: smx_status_invalid_parameter"):
            smxpack.moe_gate(x, 9)


class Arrays(unittest.TestCase):
    """Memory layouts, each with results that do not depend on it."""

    def views(self, dtype):
        wide = logits((6, 90), dtype)
        cube = logits((3, 4, 20), dtype)
        return {
            "row stride": wide[:, 7:47],
            "every other row": wide[::2],
            "rows reversed": wide[::-1],
            "every other column": wide[:, ::2],
            "columns reversed": wide[:, ::-1],
            "transposed": wide.T,
            "column order": np.asfortranarray(wide),
            "broadcast": np.broadcast_to(wide[0], (5, 90)),
            "planes with gaps": cube[:, :3, 2:18],
            "rows with gaps": cube[..., 2:18],
            "axes swapped": cube.swapaxes(0, 1),
            "one row": wide[2:3, 5:],
            "one column": wide[:, 4:5],
            "unaligned": np.frombuffer(b"\0" + wide.tobytes(), np.uint8)[1:].view(dtype).reshape(wide.shape),
        }

    def test_inputs(self):
        for dtype in (F32, F16, BF16):
            for name, x in self.views(dtype).items():
                with self.subTest(name, dtype=dtype):
                    copy = x.copy()
                    np.testing.assert_array_equal(smxpack.softmax(x), smxpack.softmax(copy))
                    np.testing.assert_array_equal(smxpack.logsumexp(x), smxpack.logsumexp(copy))
                    np.testing.assert_array_equal(x, copy)

    def test_outputs(self):
        for name, view in self.views(F32).items():
            if not view.flags.writeable:
                continue
            with self.subTest(name):
                x = view.copy()
                memory = view if view.base is None else view.base
                surroundings = memory.copy()
                expected = smxpack.softmax(x)
                self.assertIs(smxpack.softmax(x, out=view), view)
                np.testing.assert_array_equal(view, expected)
                view[...] = x
                np.testing.assert_array_equal(memory, surroundings)

    def test_in_place(self):
        for name, x in self.views(F32).items():
            if x.flags.writeable:
                with self.subTest(name):
                    expected = smxpack.softmax(x.copy())
                    self.assertIs(smxpack.softmax(x, out=x), x)
                    np.testing.assert_array_equal(x, expected)

    def test_output_over_another_part_of_the_input(self):
        for shift in (1, 50, 1000):
            memory = logits((5000,))
            x, out = memory[:4000].reshape(4, 1000), memory[shift:4000 + shift].reshape(4, 1000)
            expected = smxpack.softmax(x.copy())
            smxpack.softmax(x, out=out)
            np.testing.assert_array_equal(out, expected)

    def test_narrower_output_over_the_input(self):
        x = logits((4, 100))
        expected = smxpack.softmax(x, dtype=F16)
        out = x.view(F16)[:, :100]
        smxpack.softmax(x, out=out)
        np.testing.assert_array_equal(out, expected)

    def test_views_are_not_copied(self):
        x = logits((64, 40000))[:, :39999]
        for function in (smxpack._rows, lambda array: smxpack._destination(array, array, None)):
            self.assertEqual(function(x).ctypes.data, x.ctypes.data)
            self.assertEqual(function(x).strides, x.strides)


class Axes(unittest.TestCase):
    FUNCTIONS = (smxpack.softmax, smxpack.log_softmax)

    def assert_right(self, x, axis, function, **arguments):
        last = np.ascontiguousarray(np.moveaxis(x, axis, -1))
        expected = np.moveaxis(function(last), -1, axis)
        y = function(x, axis=axis, **arguments)
        np.testing.assert_array_equal(bits(np.ascontiguousarray(y)), bits(np.ascontiguousarray(expected)))
        return y

    def test_every_axis(self):
        for dtype in (F32, F16, BF16):
            x = logits((3, 5, 40, 7), dtype)
            for axis in (0, 1, 2, 3, -1, -2, -4):
                for function in self.FUNCTIONS:
                    self.assert_right(x, axis, function, threads=2)

    def test_views(self):
        x = logits((6, 30, 20))
        for view in (x[::2], x[:, ::3], x[..., ::2], x[:, :7, 3:9], x[::-1], x.T, np.asfortranarray(x), x[:, :1], x[..., 4:5],
                     np.broadcast_to(x[0], (4, 30, 20))):
            for axis in range(3):
                before = view.copy()
                self.assert_right(view, axis, smxpack.softmax)
                np.testing.assert_array_equal(view, before)

    def test_outputs(self):
        x = logits((6, 30, 20))
        for axis in range(3):
            out = np.empty((6, 60, 40), F32)[:, ::2, :20]
            self.assertIs(self.assert_right(x, axis, smxpack.softmax, out=out), out)
            half = np.empty(x.shape, F16)
            smxpack.softmax(x, axis=axis, out=half)
            np.testing.assert_array_equal(half, smxpack.softmax(x, axis=axis).astype(F16))
            y = x.copy()
            expected = smxpack.softmax(x, axis=axis)
            self.assertIs(smxpack.softmax(y, axis=axis, out=y), y)
            np.testing.assert_array_equal(y, expected)
            memory = np.concatenate([x.ravel(), np.zeros(50, F32)])
            shifted = memory[50:].reshape(x.shape)
            smxpack.softmax(memory[:x.size].reshape(x.shape), axis=axis, out=shifted)
            np.testing.assert_array_equal(shifted, expected)

    def test_arrays_that_are_taken_as_they_are(self):
        x = logits((6, 30, 20))
        self.assertEqual(smxpack._as_slices(x, 1), ((6, 30, 20), (600, 20)))
        self.assertEqual(smxpack._as_slices(x, 0), ((1, 6, 600), (0, 600)))
        self.assertEqual(smxpack._as_slices(x[:, 3:9], 1), ((6, 6, 20), (600, 20)))
        self.assertEqual(smxpack._as_slices(x.swapaxes(0, 1), 1), ((30, 6, 20), (20, 600)))  # the axis is the outermost
        self.assertIsNone(smxpack._as_slices(x[..., ::2], 1))

    def test_bad_axes(self):
        x = logits((3, 40))
        for axis in (2, -3):
            self.assertRaises(ValueError, smxpack.softmax, x, axis=axis)
        self.assertRaises(ValueError, smxpack.softmax, np.empty((0, 3), F32), axis=0)
        self.assertRaises(ValueError, smxpack.softmax, x, axis=0, threads=0)
        self.assertRaises(ValueError, smxpack.logsumexp, x, axis=0)
        self.assertEqual(smxpack.softmax(np.empty((3, 0), F32), axis=0).shape, (3, 0))

    def test_masked_columns(self):
        x = np.full((3, 2), -np.inf, F32)
        self.assertTrue((smxpack.softmax(x, axis=0, masked_rows_to_zero=True) == 0).all())
        self.assertTrue((smxpack.log_softmax(x, axis=0, masked_rows_to_zero=True) == -np.inf).all())



class Attention(unittest.TestCase):
    """The formula of smxpack.h in double precision."""

    def exact(self, x, mask, scale, softcap, causal, slopes, sinks):
        s = scale * x.astype(np.float64)
        s = softcap * np.tanh(s / softcap) if softcap else s
        positions = np.arange(x.shape[-2])[:, None] + x.shape[-1] - x.shape[-2]
        distances = np.arange(x.shape[-1]) - positions
        s = s - np.float64(slopes)[:, None, None] * np.abs(distances)
        s = np.where(mask, s, -np.inf) if mask.dtype == np.bool_ else s + mask
        s = np.where(distances > 0, -np.inf, s) if causal else s
        s = np.concatenate([s, np.broadcast_to(np.float64(sinks)[:, None, None], (*s.shape[:-1], 1))], -1)
        return scipy.special.softmax(s, -1)[..., :-1], scipy.special.logsumexp(s, -1)

    def test_agrees_with_the_formula(self):
        x = logits((2, 3, 5, 70))
        arguments = {"scale": 0.5, "softcap": 20.0, "causal": True, "slopes": [0.5, 0.25, 0.125], "sinks": [1, 0, -2]}
        for mask in logits((5, 70)), logits((2, 1, 5, 70)) > -2, np.ones((2, 1, 1, 1), bool):
            for threads in 1, 2:
                actual, logarithms = smxpack.attention_softmax(x, mask, return_logsumexp=True, threads=threads, **arguments)
                exact, exact_logarithms = self.exact(x, mask, **arguments)
                np.testing.assert_allclose(actual, exact, rtol=2e-5)
                np.testing.assert_allclose(logarithms, exact_logarithms, rtol=1e-5, atol=1e-5)

    def test_without_options_is_softmax(self):
        x = logits((2, 3, 5, 70), F16)
        np.testing.assert_array_equal(smxpack.attention_softmax(x, scale=0.25), smxpack.softmax(x, scale=0.25))

    def test_padding_and_positions(self):
        x = logits((2, 1, 1, 9))
        actual = smxpack.attention_softmax(x, key_lengths=[4, 9], first_positions=[3, 6], causal=True, window=3)
        for entry, seen in enumerate([slice(1, 4), slice(4, 7)]):
            np.testing.assert_array_equal(actual[entry, 0, 0, seen], smxpack.softmax(x[entry, 0, 0, seen]))
            self.assertEqual(np.count_nonzero(actual[entry]), 3)

    def test_bad_arguments(self):
        x = logits((2, 3, 5, 70))
        for bad in {"mask": np.zeros((4, 70), F32)}, {"sinks": [1, 2]}, {"threads": 0}, {"key_lengths": [1]}:
            with self.assertRaises(ValueError):
                smxpack.attention_softmax(x, **bad)
        with self.assertRaises(ValueError):
            smxpack.attention_softmax(x[0])
        with self.assertRaises(TypeError):
            smxpack.attention_softmax(x, np.zeros((5, 70), np.int32))

class Calls(unittest.TestCase):
    def test_axis(self):
        x = logits((3, 40))
        np.testing.assert_array_equal(smxpack.softmax(x, axis=1), smxpack.softmax(x, axis=-1))

    def test_bad_arrays(self):
        x = logits((3, 40))
        for dtype in (np.float64, np.int32, np.uint16, ">f4", np.complex64):
            self.assertRaises(TypeError, smxpack.softmax, x.astype(dtype))
            self.assertRaises(TypeError, smxpack.softmax, x, dtype=dtype)
        for shape in ((), (0,), (3, 0)):
            self.assertRaises(ValueError, smxpack.softmax, np.empty(shape, F32))
        read_only = x.copy()
        read_only.flags.writeable = False
        for out in (read_only, x[:2], np.empty((3, 41), F32), list(range(40))):
            self.assertRaises(ValueError, smxpack.softmax, x, out=out, dtype=F32)
        self.assertRaises(ValueError, smxpack.softmax, x, out=np.empty((3, 40), F16), dtype=F32)
        self.assertRaises(ValueError, smxpack.softmax, x, threads=0)

    def test_unsupported_pair(self):
        with self.assertRaisesRegex(RuntimeError, "smx_create_softmax_nc: smx_status_unsupported_parameter"):
            smxpack.softmax(logits((3, 40), F16), dtype=BF16)

    def test_threads(self):
        for shape in ((300, 1000), (1, 200000)):
            x = logits(shape)
            expected = smxpack.softmax(x)
            for threads in (2, 3):
                np.testing.assert_array_equal(smxpack.softmax(x, threads=threads), expected)

    def test_calls_from_many_threads(self):
        x = logits((50, 2000))
        expected = smxpack.softmax(x)
        with concurrent.futures.ThreadPoolExecutor(8) as executor:
            for y in executor.map(lambda threads: smxpack.softmax(x, threads=threads), [1, 2] * 50):
                np.testing.assert_array_equal(y, expected)

    def test_after_a_fork(self):
        x = logits((300, 1000))
        expected = smxpack.softmax(x, threads=2)
        with multiprocessing.get_context("fork").Pool(1) as processes:
            y = processes.apply_async(smxpack.softmax, (x,), {"threads": 2}).get(timeout=60)
        np.testing.assert_array_equal(y, expected)

    def test_missing_library(self):
        environment = dict(os.environ, SMXPACK_LIBRARY="/nonexistent/libsmxpack.so", PYTHONPATH=str(ROOT / "python"))
        result = subprocess.run([sys.executable, "-c", "import smxpack"], env=environment, capture_output=True, text=True)
        self.assertIn("/nonexistent/libsmxpack.so: cannot open", result.stderr)
        self.assertNotEqual(result.returncode, 0)


if __name__ == "__main__":
    unittest.main()
