"""examples/llama computes the model of examples/pytorch: its logits are within float's error of those in double, here by NumPy.

    llama_test.py Llama      the program that LLAMA names
    llama_test.py PyTorch    models.py, and that the program writes its text; takes Debian's python3-torch
"""

import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

import numpy as np

EXAMPLES = pathlib.Path(__file__).resolve().parent.parent / "examples"
WEIGHTS = EXAMPLES / "pytorch/weights/llama.bin"
LLAMA = os.environ["LLAMA"]
PROMPT = "\nAnd the LORD said unto Moses, Go down to the river"
sys.dont_write_bytecode = True


def softmax(x):
    y = np.exp(x - x.max(-1, keepdims=True))
    return y / y.sum(-1, keepdims=True)


def normalized(x, weight):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * weight


class Model:
    """From its file, in double."""

    def __init__(self, path):
        file = path.read_bytes()
        self.width, self.layers, self.heads, self.kv_heads, self.hidden, self.context, count = struct.unpack_from("<7I", file, 8)
        place = 36
        self.pieces = []
        for _ in range(count):
            self.pieces.append(file[place + 1:place + 1 + file[place]].decode())
            place += 1 + file[place]
        self.weights = np.frombuffer(file, "<f2", offset=place).astype(np.float64)

    def encode(self, text):
        numbers = []
        while text:
            piece = max((piece for piece in self.pieces if text.startswith(piece)), key=len)
            numbers.append(self.pieces.index(piece))
            text = text[len(piece):]
        return numbers

    def rotated(self, x):
        """x of [heads, positions, head width]: its pairs as complex numbers, turned."""
        frequencies = 10000.0 ** (-np.arange(0, x.shape[2], 2) / x.shape[2])
        turned = (x[..., ::2] + 1j * x[..., 1::2]) * np.exp(1j * np.outer(np.arange(x.shape[1]), frequencies))
        return np.stack([turned.real, turned.imag], -1).reshape(x.shape)

    def logits(self, numbers):
        place = 0

        def take(*shape):
            nonlocal place
            place += int(np.prod(shape))
            return self.weights[place - int(np.prod(shape)):place].reshape(shape)

        def heads_of(x, heads):
            return x.reshape(len(numbers), heads, -1).transpose(1, 0, 2)

        w, kv = self.width, self.width // self.heads * self.kv_heads
        embedding = take(len(self.pieces), w)
        x = embedding[numbers]
        mask = np.triu(np.full((len(numbers),) * 2, -np.inf), 1)
        for _ in range(self.layers):
            attention_norm, hidden_norm, query, key, value = take(w), take(w), take(w, w), take(kv, w), take(kv, w)
            output, gate, up, down = take(w, w), take(self.hidden, w), take(self.hidden, w), take(w, self.hidden)
            y = normalized(x, attention_norm)
            q = self.rotated(heads_of(y @ query.T, self.heads))
            k, v = self.rotated(heads_of(y @ key.T, self.kv_heads)), heads_of(y @ value.T, self.kv_heads)
            k, v = (np.repeat(z, self.heads // self.kv_heads, 0) for z in (k, v))
            y = softmax(q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[2]) + mask) @ v
            x = x + y.transpose(1, 0, 2).reshape(x.shape) @ output.T
            y = normalized(x, hidden_norm)
            g = y @ gate.T
            x = x + (g / (1 + np.exp(-g)) * (y @ up.T)) @ down.T
        result = normalized(x, take(w)) @ embedding.T
        if place != len(self.weights):
            raise ValueError("the file holds another number of weights")
        return result


def llama(*arguments, succeeds=True):
    result = subprocess.run([LLAMA, *arguments], capture_output=True, encoding="utf-8", timeout=120)
    if (result.returncode == 0) != succeeds:
        raise AssertionError(f"{arguments}: {result.returncode}, {result.stderr}")
    return result


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = Model(WEIGHTS)
        cls.numbers = cls.model.encode(PROMPT)
        cls.exact = cls.model.logits(cls.numbers)

    def assert_logits(self, logits):
        np.testing.assert_allclose(logits, self.exact, rtol=0, atol=2e-5 * np.abs(self.exact).max())


class Llama(Case):
    def test_logits(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "logits"
            llama(WEIGHTS, PROMPT, "--logits", path)
            self.assert_logits(np.fromfile(path, np.float32).reshape(self.exact.shape))

    def test_greedy_text(self):
        """Step by step with the cache, as the whole sequence anew gives it."""
        numbers = list(self.numbers)
        for _ in range(24):
            numbers.append(int(self.model.logits(numbers)[-1].argmax()))
        text = llama(WEIGHTS, PROMPT, "--pieces", "24").stdout
        self.assertEqual(text, "".join(self.model.pieces[i] for i in numbers) + "\n")

    def test_draws_by_probability(self):
        """A first piece's share of many draws is about its probability under the temperature."""
        shares = softmax(self.exact[-1] / 0.7)
        likeliest = self.model.pieces[int(shares.argmax())]
        draws = 60
        hits = sum(llama(WEIGHTS, PROMPT, "--pieces", "1", "--temperature", "0.7", "--seed", str(seed)).stdout ==
                   PROMPT + likeliest + "\n" for seed in range(draws))
        share = shares.max()
        self.assertLess(abs(hits - draws * share), 4 * np.sqrt(draws * share * (1 - share)) + 1)

    def test_fills_the_context(self):
        report = llama(WEIGHTS, PROMPT, "--pieces", "1000", "--temperature", "1").stderr
        self.assertIn(f" {self.model.context - len(self.numbers)} pieces", report)
        llama(WEIGHTS, PROMPT * 100, succeeds=False)

    def test_bad_input(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "weights"
            data = WEIGHTS.read_bytes()
            for wrong in (b"", b"another", data[:-1], data + b"\0", data[:8] + b"\0" * 4 + data[12:]):
                path.write_bytes(wrong)
                self.assertIn("llama: ", llama(path, PROMPT, succeeds=False).stderr)
        for arguments in ([], [WEIGHTS], [WEIGHTS, ""], [WEIGHTS, "\t"], [WEIGHTS, PROMPT, "--pieces"],
                          [WEIGHTS, PROMPT, "--pieces", "x"], [WEIGHTS, PROMPT, "--none", "1"], ["/none", PROMPT]):
            self.assertNotEqual(llama(*arguments, succeeds=False).stderr, "")


class PyTorch(Case):
    def test_logits_and_text(self):
        sys.path.insert(0, str(EXAMPLES / "pytorch"))
        import models
        import torch
        decoder = models.Decoder.load(WEIGHTS)
        self.assertEqual(decoder.vocabulary.encode(PROMPT), self.numbers)
        with torch.no_grad():
            self.assert_logits(decoder(torch.tensor([self.numbers]))[0].numpy())
        text = PROMPT + decoder.vocabulary.decode(decoder.generate(self.numbers, 60)) + "\n"
        self.assertEqual(llama(WEIGHTS, PROMPT, "--pieces", "60").stdout, text)


if __name__ == "__main__":
    unittest.main()
