#!/usr/bin/python3
"""Count word pairs in English text and write next-word logits.

The text is the glosses of WordNet 3.0 and the King James Bible, as Debian
packages them.  The model is a bigram model with interpolated Kneser-Ney
smoothing.

Writes next to this script:
  vocabulary_logits.npy    float32, one row per context, one column per word
  vocabulary_words.txt     the word of each column, one a line
  vocabulary_contexts.txt  the word that precedes, for each row, one a line
"""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

try:
    import numpy as np
except ImportError as error:
    sys.exit(f"{error}: install the Debian package python3-numpy "
             "and run this script with /usr/bin/python3")

HERE = Path(__file__).resolve().parent
WORDNET = Path("/usr/share/wordnet")
BIBLE = Path("/usr/bin/bible")
BIBLE_TEXT = Path("/usr/lib/bible.data")

CONTEXTS = ("the of in he she was great good "
            "king queen river water house old united computer").split()
LEAST_COUNT = 2      # a word seen less often counts as UNKNOWN
UNKNOWN = "<unk>"    # always column 0

PHRASE_END = re.compile(r'[.;:?!"()]')
WORD = re.compile(r"[a-z]+(?:['-][a-z]+)*")


def wordnet_glosses():
    for part in ("noun", "verb", "adj", "adv"):
        path = WORDNET / f"data.{part}"
        if not path.exists():
            sys.exit(f"{path} is missing: "
                     "install the Debian package wordnet-base")
        for line in path.read_text(encoding="ascii").splitlines():
            _, bar, gloss = line.partition("|")
            if bar:  # the licence at the top of the file has no gloss
                yield gloss


def bible_verses():
    if not (BIBLE.exists() and BIBLE_TEXT.exists()):
        sys.exit(f"{BIBLE} or {BIBLE_TEXT} is missing: "
                 "install the Debian packages bible-kjv and bible-kjv-text")
    # The text is stored compressed; -f prints one verse a line, "Ge1:1 ...".
    output = subprocess.run(
        [BIBLE, "-p", BIBLE_TEXT.parent, "-f", "gen1:1-rev22:21"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True,
        encoding="ascii").stdout
    for line in output.splitlines():
        yield line.partition(" ")[2]


def split_phrases(text):
    """Lists of lower-case words; no word pair spans the end of a phrase."""
    for phrase in PHRASE_END.split(text.lower()):
        words = WORD.findall(phrase)
        if words:
            yield words


def make_vocabulary(phrases):
    counts = Counter(word for phrase in phrases for word in phrase)
    kept = [word for word in counts if counts[word] >= LEAST_COUNT]
    # Equal counts in alphabetical order, so that every run agrees.
    kept.sort(key=lambda word: (-counts[word], word))
    print(f"{counts.total()} words read, {len(counts)} distinct, "
          f"{len(kept)} seen {LEAST_COUNT} times or more")
    return [UNKNOWN] + kept


def count_pairs(phrases, number):
    """Distinct word pairs as arrays: first, second, how often."""
    size = len(number)
    phrase_start = size  # stands before the first word of a phrase
    keys = []
    for phrase in phrases:
        first = phrase_start
        for word in phrase:
            second = number.get(word, number[UNKNOWN])
            keys.append(first * size + second)
            first = second
    distinct, counts = np.unique(keys, return_counts=True)
    return distinct // size, distinct % size, counts


def kneser_ney_logits(first, second, counts, contexts, size):
    """Logarithms of the smoothed counts of every word after each context.

    Divided by the count of their context these would be the probabilities;
    that division is left to softmax.
    """
    once, twice = np.sum(counts == 1), np.sum(counts == 2)
    discount = once / (once + 2 * twice)  # Ney, Essen and Kneser's estimate

    # A word is likely in a new place when it follows many different words,
    # however often it is seen: "states" mostly follows "united".
    # No share is zero: the phrase start counts as a word before.
    continuation = np.bincount(second, minlength=size) / len(second)

    smoothed = np.empty((len(contexts), size))
    for row, context in zip(smoothed, contexts):
        seen = first == context
        row[:] = discount * np.sum(seen) * continuation
        row[second[seen]] += counts[seen] - discount
    return np.log(smoothed)


def print_likeliest(logits, words):
    for context, row in zip(CONTEXTS, logits.astype(np.float64)):
        weights = np.exp(row - row.max())
        probabilities = weights / weights.sum()
        best = np.argsort(-probabilities, kind="stable")[:5]
        print(f"{context:>9}:", ", ".join(
            f"{words[i]} {probabilities[i]:.4f}" for i in best))


def main():
    phrases = [phrase
               for text in (*wordnet_glosses(), *bible_verses())
               for phrase in split_phrases(text)]
    words = make_vocabulary(phrases)
    number = {word: i for i, word in enumerate(words)}

    first, second, counts = count_pairs(phrases, number)
    print(f"{len(counts)} distinct word pairs")
    logits = kneser_ney_logits(first, second, counts,
                               [number[word] for word in CONTEXTS],
                               len(words)).astype(np.float32)
    # "Some rare word" is of no use as a next word.  Masked, it gets the
    # probability 0 and softmax shares its part out among the others.
    logits[:, number[UNKNOWN]] = -np.inf

    np.save(HERE / "vocabulary_logits.npy", logits)
    for name, lines in (("words", words), ("contexts", CONTEXTS)):
        (HERE / f"vocabulary_{name}.txt").write_text(
            "".join(f"{line}\n" for line in lines), encoding="ascii")

    print(f"logits {logits.shape[0]} x {logits.shape[1]}, "
          f"from {logits[:, 1:].min():.2f} to {logits[:, 1:].max():.2f}")
    print_likeliest(logits, words)


if __name__ == "__main__":
    main()
