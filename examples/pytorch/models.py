"""Three models in plain PyTorch, none of which knows of SMXPACK, and the files of their weights.

`Decoder` is a language model in llama's manner, which ../llama.c runs as well. `Restorer` is an encoder that reads text with
letters left out, and `Digits` one that reads images of digits.
"""

import math
import pathlib
import struct

import numpy as np
import torch
from torch import nn
from torch.nn import functional

WEIGHTS = pathlib.Path(__file__).resolve().parent / "weights"
SAMPLE = WEIGHTS / "sample.txt"  # verses that no model has learnt


class Pieces:
    """A vocabulary of strings. Text is cut into the longest one at each place."""

    def __init__(self, pieces):
        self.pieces = pieces
        self.numbers = {piece: i for i, piece in enumerate(pieces)}
        self.longest = max(map(len, pieces))

    def encode(self, text):
        numbers, i = [], 0
        while i < len(text):
            length = next(n for n in range(min(self.longest, len(text) - i), 0, -1) if text[i:i + n] in self.numbers)
            numbers.append(self.numbers[text[i:i + length]])
            i += length
        return numbers

    def decode(self, numbers):
        return "".join(self.pieces[i] for i in numbers)


class RmsNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * self.weight


def rotations(length, width):
    """Of each position the complex numbers that its pairs of elements are turned by (RoPE, arXiv:2104.09864)."""
    frequencies = 10000.0 ** (-torch.arange(0, width, 2) / width)
    return torch.polar(torch.ones(length, width // 2), torch.outer(torch.arange(length), frequencies))


def rotate(x, turns):
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turns).flatten(-2)


class DecoderLayer(nn.Module):
    def __init__(self, width, heads, kv_heads, hidden):
        super().__init__()
        self.heads, self.kv_heads, self.head_width = heads, kv_heads, width // heads
        self.attention_norm, self.hidden_norm = RmsNorm(width), RmsNorm(width)
        self.query = nn.Linear(width, heads * self.head_width, bias=False)
        self.key = nn.Linear(width, kv_heads * self.head_width, bias=False)
        self.value = nn.Linear(width, kv_heads * self.head_width, bias=False)
        self.output = nn.Linear(heads * self.head_width, width, bias=False)
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x, turns, mask, cache):
        batch, length, _ = x.shape
        y = self.attention_norm(x)
        q = rotate(self.query(y).view(batch, length, self.heads, -1).transpose(1, 2), turns)
        k = rotate(self.key(y).view(batch, length, self.kv_heads, -1).transpose(1, 2), turns)
        v = self.value(y).view(batch, length, self.kv_heads, -1).transpose(1, 2)
        if cache is not None:
            k, v = (torch.cat([old, new], 2) for old, new in zip(cache, (k, v))) if cache else (k, v)
            cache[:] = k, v
        shared = self.heads // self.kv_heads
        k, v = (z.repeat_interleave(shared, 1) for z in (k, v))
        logits = q @ k.transpose(2, 3) / math.sqrt(self.head_width) + mask
        y = torch.softmax(logits, -1) @ v
        x = x + self.output(y.transpose(1, 2).flatten(2))
        y = self.hidden_norm(x)
        return x + self.down(functional.silu(self.gate(y)) * self.up(y))


class Decoder(nn.Module):
    """Logits of the next piece at each place. `cache`, a list for each layer, holds keys and values of what came before."""

    MAGIC = b"SMXLLAMA"
    SIZES = ("width", "layers", "heads", "kv_heads", "hidden", "context")

    def __init__(self, pieces, width=128, layers=3, heads=4, kv_heads=2, hidden=208, context=512):
        super().__init__()
        self.vocabulary = Pieces(pieces)
        self.sizes = {name: value for name, value in locals().items() if name in self.SIZES}
        self.context = context
        self.embedding = nn.Embedding(len(pieces), width)
        self.layers = nn.ModuleList(DecoderLayer(width, heads, kv_heads, hidden) for _ in range(layers))
        self.norm = RmsNorm(width)
        self.register_buffer("turns", rotations(context, width // heads), persistent=False)
        self.register_buffer("mask", torch.full((context, context), -math.inf).triu(1), persistent=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                scale = math.sqrt(2 * layers) if "output" in name or "down" in name else 1
                nn.init.normal_(parameter, std=0.05 / scale)

    def forward(self, numbers, caches=None):
        start = caches[0][0].shape[2] if caches and caches[0] else 0
        end = start + numbers.shape[1]
        x = self.embedding(numbers)
        for i, layer in enumerate(self.layers):
            x = layer(x, self.turns[start:end], self.mask[start:end, :end], caches[i] if caches else None)
        return functional.linear(self.norm(x), self.embedding.weight)

    @torch.no_grad()
    def generate(self, numbers, count):
        """The `count` likeliest next pieces, one after the other."""
        caches = [[] for _ in self.layers]
        feed, result = torch.tensor([numbers]), []
        for _ in range(count):
            result.append(self(feed, caches)[0, -1].argmax().item())
            feed = torch.tensor([result[-1:]])
        return result

    # The file: MAGIC; the SIZES and the number of pieces as uint32; of each piece its length, a byte, and its bytes; then the
    # parameters in the order of state_dict, row-major, float16. Little-endian.
    def save(self, path):
        with open(path, "wb") as file:
            file.write(self.MAGIC)
            file.write(struct.pack("<7I", *self.sizes.values(), len(self.vocabulary.pieces)))
            for piece in self.vocabulary.pieces:
                file.write(bytes([len(piece)]) + piece.encode("ascii"))
            for parameter in self.state_dict().values():
                file.write(parameter.numpy().astype("<f2").tobytes())

    @classmethod
    def load(cls, path=WEIGHTS / "llama.bin"):
        with open(path, "rb") as file:
            if file.read(8) != cls.MAGIC:
                raise ValueError(f"{path} is not of a Decoder")
            *sizes, count = struct.unpack("<7I", file.read(28))
            pieces = [file.read(file.read(1)[0]).decode("ascii") for _ in range(count)]
            model = cls(pieces, **dict(zip(cls.SIZES, sizes)))
            for parameter in model.parameters():
                data = np.frombuffer(file.read(2 * parameter.numel()), "<f2").astype(np.float32)
                parameter.data = torch.from_numpy(data).view(parameter.shape)
        return model.eval()


def save_weights(model, path):
    np.savez_compressed(path, **{name: p.numpy().astype(np.float16) for name, p in model.state_dict().items()})


def load_weights(model, path):
    with np.load(path) as arrays:
        model.load_state_dict({name: torch.from_numpy(arrays[name].astype(np.float32)) for name in arrays})
    return model.eval()


def encoder(width, heads, hidden, layers):
    layer = nn.TransformerEncoderLayer(width, heads, hidden, dropout=0.0, batch_first=True, norm_first=True)
    return nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)


class Restorer(nn.Module):
    """The logits of each letter, of ASCII text in which some are LEFT_OUT."""

    FILE = WEIGHTS / "restorer.npz"
    LEFT_OUT = 0
    CODES = 128

    def __init__(self, width=96, heads=8, hidden=160, layers=2, context=512):
        super().__init__()
        self.context = context
        self.embedding = nn.Embedding(self.CODES, width)
        self.neighbours = nn.Conv1d(width, width, 5, padding=2)
        self.encoder = encoder(width, heads, hidden, layers)
        angles = rotations(context, width)
        self.register_buffer("positions", torch.cat([angles.real, angles.imag], 1), persistent=False)
        nn.init.normal_(self.embedding.weight, std=width ** -0.5)

    def forward(self, codes, padding=None, start=0):
        x = self.embedding(codes) * self.embedding.embedding_dim ** 0.5
        x = self.neighbours(x.transpose(1, 2)).transpose(1, 2) + self.positions[start:start + codes.shape[1]]
        return functional.linear(self.encoder(x, src_key_padding_mask=padding), self.embedding.weight)


class Digits(nn.Module):
    """The logits of ten digits, of images of 28 x 28 in patches of 4 x 4."""

    FILE = WEIGHTS / "digits.npz"

    def __init__(self, width=48, heads=4, hidden=96, layers=2):
        super().__init__()
        self.patches = nn.Linear(16, width)
        self.places = nn.Parameter(0.1 * torch.randn(49, width))
        self.encoder = encoder(width, heads, hidden, layers)
        self.classes = nn.Linear(width, 10)

    def forward(self, images):
        patches = images.unflatten(1, (7, 4)).unflatten(3, (7, 4)).transpose(2, 3).flatten(3).flatten(1, 2)
        return self.classes(self.encoder(self.patches(patches) + self.places).mean(1))
