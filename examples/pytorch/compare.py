#!/usr/bin/python3
"""Runs the models of models.py with PyTorch's own softmax and with SMXPACK's, and prints a table.

    compare.py libsmxpack_pytorch.so

OMP_NUM_THREADS says how many threads PyTorch takes. With the folder of MNIST in MNIST (train.py), digits are read as well.
"""

import copy
import math
import statistics
import sys
import time

import torch
from torch.nn import functional

import models
import train

ROUNDS = 15
SOFTMAX = ("aten::_softmax", "aten::_log_softmax", "aten::_masked_softmax")


class Restoring:
    name = "encoder, 512 letters, 8 heads"
    lengths = (512,)

    def __init__(self):
        self.model = models.load_weights(models.Restorer(), models.Restorer.FILE)
        shape = len(self.lengths), max(self.lengths)
        self.letters = torch.tensor(list(models.SAMPLE.read_bytes()))[:shape[0] * shape[1]].view(shape)
        self.padding = torch.arange(shape[1]) >= torch.tensor(self.lengths)[:, None]
        self.gone = ~self.padding & (torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.15)
        self.input = self.letters.masked_fill(self.gone, models.Restorer.LEFT_OUT)

    def step(self, model):
        with torch.inference_mode():
            return model(self.input, self.padding if self.padding.any() else None)[~self.padding]

    def says(self):
        filled = self.input.clone()
        filled[~self.padding] = self.step(self.model).argmax(-1)
        right = (filled == self.letters)[self.gone].float().mean().item()
        filled = torch.where(self.gone, filled, self.letters)
        texts = ("".join(chr(code) if code else "_" for code in row[:76].tolist()) for row in (self.input[0], filled[0]))
        return f"{100 * right:.1f} % of the letters right\n" + "\n".join(texts)


class PaddedRestoring(Restoring):
    name = "encoder, 512 and 300 letters, padded"
    lengths = (512, 300)


class Reading:
    name = "language model, 512 pieces"

    def __init__(self):
        self.model = models.Decoder.load()
        self.numbers = torch.tensor(self.model.vocabulary.encode(models.SAMPLE.read_text()))

    def step(self, model):
        with torch.no_grad():
            return model(self.numbers[None, :512])

    def says(self):
        return ""


class Writing(Reading):
    name = "language model, writing 16 pieces"

    def step(self, model):
        return torch.tensor(model.generate(self.numbers[:32].tolist(), 16))

    def says(self):
        return self.model.vocabulary.decode(self.numbers[:32].tolist() + self.step(self.model).tolist()).strip()


class Learning(Reading):
    name = "language model, a step of training on 8 x 128 pieces"

    def step(self, model):
        sample = self.numbers[:8 * 129].view(8, 129)
        model.zero_grad()
        loss = functional.cross_entropy(model(sample[:, :-1]).flatten(0, 1), sample[:, 1:].flatten())
        loss.backward()
        return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


class ReadingDigits:
    name = "digits, 256 images in 49 patches"

    def __init__(self):
        self.model = models.load_weights(models.Digits(), models.Digits.FILE)
        self.images, self.digits = train.mnist("t10k")

    def step(self, model):
        with torch.inference_mode():
            return model(self.images[:256].to(next(model.parameters()).dtype))

    def says(self):
        with torch.inference_mode():
            right = torch.cat([self.model(x).argmax(1) for x in self.images.split(500)]) == self.digits
        return f"{100 * right.float().mean().item():.2f} % of the test images right"


def clock():
    """Seconds; of one thread those that it has run, so that other programs count less."""
    return time.thread_time() if torch.get_num_threads() == 1 else time.perf_counter()


def milliseconds(work, is_on):
    torch.ops.smxpack.enable(is_on)
    start = clock()
    work.step(work.model)
    return 1e3 * (clock() - start)


def share(work, is_on):
    """Of softmax in the time of all operators, by the fastest step of each."""
    torch.ops.smxpack.enable(is_on)
    softmax, own = {}, {}
    for _ in range(ROUNDS):
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            work.step(work.model)
        for event in profile.key_averages():
            own[event.key] = min(own.get(event.key, math.inf), event.self_cpu_time_total)
            if event.key in SOFTMAX:
                softmax[event.key] = min(softmax.get(event.key, math.inf), event.cpu_time_total)
    return sum(softmax.values()) / sum(own.values())


def error(work, exact, is_on):
    """The largest, beside the largest number of the exact result."""
    torch.ops.smxpack.enable(is_on)
    return ((work.step(work.model) - exact).abs().max() / exact.abs().max()).item()


def row(work):
    exact = work.step(copy.deepcopy(work.model).double())
    before, after = (f"{error(work, exact, is_on):.1e}" for is_on in (False, True))
    times = [[milliseconds(work, is_on) for is_on in (False, True)] for _ in range(ROUNDS)]
    original, smxpack = (statistics.median(column) for column in zip(*times))
    return (f"| {work.name} | {original:.2f} ms | {smxpack:.2f} ms | {original / smxpack:.2f} "
            f"| {100 * share(work, False):.1f} % | {100 * share(work, True):.1f} % | {before} | {after} |")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.ops.load_library(sys.argv[1])
    works = [Restoring, PaddedRestoring, Reading, Writing, Learning]
    if train.has_mnist():
        works.append(ReadingDigits)

    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads; medians of runs in turn\n")
    print("| work | PyTorch | SMXPACK | times | softmax before | after | error before | after |")
    print("|---|---|---|---|---|---|---|---|")
    works = [work() for work in works]
    for work in works:
        print(row(work), flush=True)
    for work in works:
        says = work.says()
        if says:
            print(f"\n{work.name}: {says}")


if __name__ == "__main__":
    main()
