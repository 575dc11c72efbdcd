"""examples/pytorch gives what PyTorch gives, and a model runs on it unchanged.

SMXPACK_PYTORCH names the extension. torch.ops.smxpack.calls tells whether SMXPACK or PyTorch has computed.
"""

import concurrent.futures
import copy
import itertools
import math
import multiprocessing
import os
import subprocess
import sys
import unittest

import torch
from torch import nn
from torch.nn import functional

EXTENSION = os.environ["SMXPACK_PYTORCH"]
torch.ops.load_library(EXTENSION)
smxpack = torch.ops.smxpack

TINY = torch.finfo(torch.float32).tiny
SHAPES = [(1,), (7,), (1000,), (3, 1), (5, 40), (1, 4097), (2, 3, 50), (4, 8, 5, 33), (2, 3, 4, 5, 6), (2, 40000)]
# Elements that both have, and the error of one rounding to them.
DTYPES = {torch.float32: 2.0**-24, torch.bfloat16: 2.0**-8}
FUNCTIONS = [torch.softmax, torch.log_softmax]


def logits(shape, dtype=torch.float32, sigma=4.0):
    generator = torch.Generator().manual_seed(sum(shape) + len(shape))
    return (sigma * torch.randn(shape, generator=generator)).to(dtype)


def error(actual, exact, function):
    """The largest error as header and contract count it: relative of softmax, and of logarithms to the larger of it and 1."""
    scale = exact.abs().clamp(min=TINY if function is torch.softmax else 1.0)
    return ((actual.double() - exact).abs() / scale).max().item()


class Case(unittest.TestCase):
    def computed(self, function, *arguments, by_smxpack=True, **keywords):
        """function(*arguments, **keywords), which SMXPACK has computed, or has not."""
        before = smxpack.calls()
        result = function(*arguments, **keywords)
        self.assertEqual(smxpack.calls() > before, by_smxpack)
        return result

    def by_pytorch(self, function, *arguments, **keywords):
        smxpack.enable(False)
        try:
            return self.computed(function, *arguments, by_smxpack=False, **keywords)
        finally:
            smxpack.enable(True)

    def assert_near(self, actual, original, exact, function):
        """Within the error that smxpack.h states, and as near to PyTorch's result as that is to the exact one."""
        self.assertEqual((actual.dtype, actual.shape, actual.stride()), (original.dtype, original.shape, original.stride()))
        bound = 4.3 * 2.0**-23 if function is torch.softmax else 2.0**-22
        if actual.dtype != torch.float32:
            bound += DTYPES[actual.dtype]
        self.assertLessEqual(error(actual, exact, function), bound)
        self.assertLessEqual(error(actual, original.double(), function), (bound + error(original, exact, function)) * 1.1)

    def assert_agrees(self, function, x, dim):
        original = self.by_pytorch(function, x, dim)
        actual = self.computed(function, x, dim)
        self.assert_near(actual, original, function(x.double(), dim), function)
        return actual


class Results(Case):
    def test_every_dimension_of_every_shape(self):
        for function, dtype, shape in itertools.product(FUNCTIONS, DTYPES, SHAPES):
            for dim in range(-len(shape), len(shape)):
                with self.subTest(function=function.__name__, dtype=dtype, shape=shape, dim=dim):
                    self.assert_agrees(function, logits(shape, dtype), dim)

    def test_a_number(self):
        for function, dim in itertools.product(FUNCTIONS, (0, -1)):
            self.assertEqual(self.computed(function, torch.tensor(3.0), dim).item(), 1.0 if function is torch.softmax else 0.0)

    def test_half_which_pytorch_lacks(self):
        for function in FUNCTIONS:
            x = logits((5, 300), torch.float16)
            actual = self.computed(function, x, -1)
            self.assertEqual(actual.dtype, torch.float16)
            exact = function(x.double(), -1)
            self.assertLessEqual(((actual.double() - exact).abs() - 2.0**-11 * exact.abs()).max().item(), 2.0**-25)

    def test_strides(self):
        x = logits((6, 10, 12, 14))
        forms = {
            "transposed": x.transpose(1, 3),
            "transposed rows": x[0, 0].t(),
            "gaps": x[:, ::2, :, 1:9],
            "every other column": x[..., ::2],
            "channels last": x.contiguous(memory_format=torch.channels_last),
            "expanded": x[:1, :, :1].expand(6, 10, 12, 14),
            "expanded rows": x[..., :1].expand(6, 10, 12, 14),
            "permuted": x.permute(2, 0, 3, 1),
        }
        for (name, view), function in itertools.product(forms.items(), FUNCTIONS):
            for dim in range(view.dim()):
                with self.subTest(function=function.__name__, name=name, dim=dim):
                    actual = self.assert_agrees(function, view, dim)
                    self.assertTrue(torch.equal(actual, function(view.contiguous(), dim)))

    def test_special_rows(self):
        inf, nan = math.inf, math.nan
        rows = torch.tensor([[1.0, 2.0, 3.0, 4.0], [-inf, 0.0, 1.0, -inf], [-inf] * 4, [inf, 0.0, 1.0, 2.0],
                             [nan, 0.0, 1.0, 2.0], [3.4e38, -3.4e38, 0.0, 1.0], [-1e9, -1e9, 0.0, -1e20]])
        for function, (x, dim) in itertools.product(FUNCTIONS, [(rows, 1), (rows.t().contiguous(), 0)]):
            original = self.by_pytorch(function, x, dim)
            torch.testing.assert_close(self.computed(function, x, dim), original, equal_nan=True)

    def test_bits_do_not_depend_on_threads(self):
        threads = torch.get_num_threads()
        for function, (shape, dim) in itertools.product(FUNCTIONS, [((64, 3000), 1), ((300, 4000), 0), ((2, 300, 2000), 1), ((1, 9), 1)]):
            x = logits(shape)
            results = []
            for count in (1, 2, 3, 8):
                torch.set_num_threads(count)
                results.append(self.computed(function, x, dim))
            torch.set_num_threads(threads)
            for result in results[1:]:
                self.assertTrue(torch.equal(result, results[0]))


class Arguments(Case):
    def test_empty(self):
        for function, (shape, dim) in itertools.product(FUNCTIONS, [((0,), 0), ((0, 5), 1), ((2, 0, 3), 1), ((2, 0, 3), -1)]):
            self.assertEqual(self.computed(function, torch.empty(shape), dim, by_smxpack=False).shape, shape)

    def test_double_goes_to_pytorch(self):
        x = logits((3, 5), torch.float64)
        for function in FUNCTIONS:
            actual = self.computed(function, x, -1, by_smxpack=False)
            self.assertTrue(torch.equal(actual, self.by_pytorch(function, x, -1)))

    def test_errors_are_pytorchs(self):
        for function, x, dim, exception in [(torch.softmax, torch.ones(2, 3), 2, IndexError),
                                            (torch.log_softmax, torch.ones(2, 3), -3, IndexError),
                                            (torch.softmax, torch.ones(2, 3, dtype=torch.int32), 0, RuntimeError)]:
            with self.assertRaises(exception) as original:
                self.by_pytorch(function, x, dim)
            with self.assertRaises(exception) as actual:
                function(x, dim)
            self.assertEqual(str(actual.exception), str(original.exception))
        for operator in (torch.ops.aten._softmax, torch.ops.aten._log_softmax):
            with self.assertRaisesRegex(RuntimeError, "half to float"):
                operator(torch.ones(2, 3, dtype=torch.float16), 1, True)

    def test_dtype_argument(self):
        x = logits((4, 9), torch.bfloat16)
        actual = self.computed(torch.softmax, x, -1, dtype=torch.float32)
        self.assertTrue(torch.equal(actual, torch.softmax(x.float(), -1)))
        self.computed(torch.softmax, x, -1, dtype=torch.float64, by_smxpack=False)

    def test_out(self):
        for operator, function in ((torch.ops.aten._softmax.out, torch.softmax), (torch.ops.aten._log_softmax.out, torch.log_softmax)):
            x = logits((4, 6, 9))
            for dim in range(3):
                expected = function(x, dim)
                out = torch.full_like(x, 7.0)
                self.assertIs(self.computed(operator, x, dim, False, out=out), out)
                self.assertTrue(torch.equal(out, expected))

                in_place = x.clone()
                self.computed(operator, in_place, dim, False, out=in_place)
                self.assertTrue(torch.equal(in_place, expected))

    def test_out_with_gaps(self):
        x = logits((4, 6, 9))
        for dim in (1, 2):  # that of dimension 0 PyTorch writes to the wrong places
            out = torch.full((4, 6, 12), 7.0)
            self.computed(torch.ops.aten._softmax.out, x, dim, False, out=out[..., :9])
            self.assertTrue(torch.equal(out[..., :9], torch.softmax(x, dim)))
            self.assertTrue((out[..., 9:] == 7.0).all())

    def test_out_that_overlaps(self):
        """As PyTorch has it: of what it reads it makes a copy where that is not contiguous."""
        def shifted():
            memory = logits((100,))
            torch.ops.aten._softmax.out(memory[:64].view(8, 8).t(), 1, False, out=memory[:64].view(8, 8))
            return memory
        torch.testing.assert_close(self.computed(shifted), self.by_pytorch(shifted))

    def test_out_is_resized(self):
        x = logits((4, 9))
        out = torch.empty(0)
        torch.ops.aten._softmax.out(x, 1, False, out=out)
        torch.testing.assert_close(out, torch.softmax(x, 1))

    def test_loads_without_a_word(self):
        program = "import sys, torch; torch.ops.load_library(sys.argv[1]); torch.softmax(torch.ones(2), 0)"
        result = subprocess.run([sys.executable, "-c", program, EXTENSION], capture_output=True, encoding="utf-8", timeout=120)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))

    def test_enable(self):
        x = logits((3, 5))
        self.by_pytorch(torch.softmax, x, 1)
        self.computed(torch.softmax, x, 1)


class Gradients(Case):
    def test_they_are_pytorchs(self):
        for function, shape in itertools.product(FUNCTIONS, [(9,), (5, 40), (2, 3, 50), (4, 8, 5, 33)]):
            for dim in range(len(shape)):
                def gradient():
                    x = logits(shape, sigma=1.0).requires_grad_()
                    y = function(x, dim)
                    (y * torch.linspace(-1, 1, y.numel()).view(shape)).sum().backward()
                    return x.grad
                with self.subTest(function=function.__name__, shape=shape, dim=dim):
                    torch.testing.assert_close(self.computed(gradient), self.by_pytorch(gradient), rtol=1e-5, atol=1e-6)

    def test_they_are_those_of_differences(self):
        """By central differences of a function in double, of which float's results are too coarse."""
        x = logits((3, 7), sigma=1.0)
        weights = torch.linspace(-1, 1, 21).view(3, 7)
        for function in FUNCTIONS:
            leaf = x.clone().requires_grad_()
            self.computed(lambda: (function(leaf, 1) * weights).sum().backward())
            step = 1e-5
            for i in range(x.numel()):
                above, below = x.double().flatten(), x.double().flatten()
                above[i] += step
                below[i] -= step
                above, below = ((function(z.view(3, 7), 1) * weights).sum() for z in (above, below))
                self.assertAlmostEqual(leaf.grad.flatten()[i].item(), ((above - below) / (2 * step)).item(), delta=1e-5)

    def test_cross_entropy_in_training(self):
        def losses():
            torch.manual_seed(0)
            model = nn.Linear(20, 10)
            optimizer = torch.optim.SGD(model.parameters(), 0.5)
            x, classes = torch.randn(64, 20), torch.arange(64) % 10
            result = []
            for _ in range(20):
                loss = functional.cross_entropy(model(x), classes)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                result.append(loss.item())
            return torch.tensor(result)
        actual = self.computed(losses)
        torch.testing.assert_close(actual, self.by_pytorch(losses))
        self.assertLess(actual[-1], 0.7 * actual[0])


class Masked(Case):
    def assert_agrees_masked(self, x, mask, dim, mask_type):
        # PyTorch's own writes to the wrong places where its arguments are not contiguous.
        original = self.by_pytorch(torch._masked_softmax, x.contiguous(), mask.contiguous(), dim, mask_type)
        actual = self.computed(torch._masked_softmax, x, mask, dim, mask_type)
        self.assert_near(actual, original, torch.softmax(x.double().masked_fill(mask, -math.inf), -1), torch.softmax)
        return actual

    def test_every_dtype_and_form(self):
        for shape in [(4097,), (5, 40), (3, 4, 17, 17), (2, 8, 100, 1000)]:
            mask = torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.3
            for dtype, dim, mask_type in itertools.product(DTYPES, (None, -1, len(shape) - 1), (1, 2)):
                with self.subTest(shape=shape, dtype=dtype, dim=dim, mask_type=mask_type):
                    actual = self.assert_agrees_masked(logits(shape, dtype), mask, dim, mask_type)
                    self.assertTrue((actual[mask] == 0).all())

    def test_strides(self):
        x = logits((6, 10, 12))
        self.assert_agrees_masked(x.transpose(0, 2), (x > 1).transpose(0, 2), -1, 2)
        self.assert_agrees_masked(x, (x[:, :1] > 1).expand(x.shape), -1, 2)

    def test_rows_without_keys(self):
        x, mask = logits((2, 5)), torch.tensor([[False] * 5, [True] * 5])
        original = self.by_pytorch(torch._masked_softmax, x, mask, -1, 2)
        actual = self.computed(torch._masked_softmax, x, mask, -1, 2)
        torch.testing.assert_close(actual, original, equal_nan=True)
        self.assertTrue(actual[1].isnan().all() and not actual[0].isnan().any())

    def test_the_rest_goes_to_pytorch(self):
        x = logits((2, 3, 5, 5))
        for dim in (0, 1, 2):
            self.computed(torch._masked_softmax, x, x > 0, dim, 2, by_smxpack=False)
        self.computed(torch._masked_softmax, x.double(), x > 0, -1, 2, by_smxpack=False)
        self.computed(torch._masked_softmax, x[:0], x[:0] > 0, -1, 2, by_smxpack=False)
        for mask, mask_type in [(x, 2), (x > 0, 0), (x > 0, 3), (x > 0, None), ((x > 0)[0], 2), (torch.ones(2, 5) > 0, 1)]:
            with self.assertRaises(RuntimeError):
                torch._masked_softmax(x, mask, -1, mask_type)


class Models(Case):
    def test_encoder(self):
        """torch.nn's own, on its path in C++, which masks padding in aten::_masked_softmax, and on the one in Python."""
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
        model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
        x = torch.randn(3, 20, 32)
        padding = torch.arange(20) >= torch.tensor([[20], [13], [5]])
        for context, mask in itertools.product((torch.enable_grad, torch.no_grad, torch.inference_mode), (None, padding)):
            with context():
                actual = self.computed(model, x, src_key_padding_mask=mask)
                torch.testing.assert_close(actual, self.by_pytorch(model, x, src_key_padding_mask=mask), rtol=1e-5, atol=1e-5)

    def test_autocast(self):
        model = nn.MultiheadAttention(32, 4, batch_first=True)
        x = torch.randn(2, 9, 32)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            actual, _ = self.computed(model, x, x, x)
            original, _ = self.by_pytorch(model, x, x, x)
        torch.testing.assert_close(actual, original, rtol=2e-2, atol=2e-2)

    def test_script_and_copies(self):
        model = nn.Sequential(nn.Linear(6, 6), nn.Softmax(-1))
        x = torch.randn(4, 6)
        expected = self.computed(model, x)
        self.assertTrue(torch.equal(self.computed(torch.jit.script(model), x), expected))
        self.assertTrue(torch.equal(self.computed(copy.deepcopy(model), x), expected))


def softmax_in_child(x):
    return torch.softmax(x, -1)


class Threads(Case):
    def test_callers_at_once(self):
        inputs = [logits((50 + i, 500)) for i in range(16)]
        expected = [torch.softmax(x, -1) for x in inputs]
        with concurrent.futures.ThreadPoolExecutor(8) as executor:
            for _ in range(5):
                for actual, right in zip(executor.map(lambda x: torch.softmax(x, -1), inputs), expected):
                    self.assertTrue(torch.equal(actual, right))

    def test_forked_worker(self):
        """As a DataLoader's, which computes on one thread."""
        x = logits((300, 500))
        expected = torch.softmax(x, -1)
        with multiprocessing.get_context("fork").Pool(1, torch.set_num_threads, (1,)) as pool:
            self.assertTrue(torch.equal(pool.apply_async(softmax_in_child, (x,)).get(60), expected))


if __name__ == "__main__":
    unittest.main()
