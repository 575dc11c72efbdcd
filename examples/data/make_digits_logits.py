#!/usr/bin/python3
"""Train a classifier of handwritten digits and write its logits.

Writes next to this script:
  digits_logits.npy   float32, 1797 images x 10 classes
  digits_classes.txt  the class of each column, one a line
"""

import sys
from pathlib import Path

try:
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
except ImportError as error:
    sys.exit(f"{error}: install the Debian package python3-sklearn "
             "and run this script with /usr/bin/python3")

HERE = Path(__file__).resolve().parent


def main():
    digits = load_digits()
    pixels = digits.data / 16  # grey levels 0..16 become 0..1
    train_pixels, test_pixels, train_labels, test_labels = train_test_split(
        pixels, digits.target, test_size=0.25, stratify=digits.target,
        random_state=0)

    model = LogisticRegression(max_iter=1000)  # multinomial with its default
    model.fit(train_pixels, train_labels)      # solver: one softmax per row

    # decision_function is the last step before softmax; every image gets a
    # row, in the order of the data set, so that rows are easy to look up.
    logits = model.decision_function(pixels).astype(np.float32)
    np.save(HERE / "digits_logits.npy", np.ascontiguousarray(logits))
    (HERE / "digits_classes.txt").write_text(
        "".join(f"{name}\n" for name in model.classes_), encoding="ascii")

    print(f"trained on {len(train_labels)} images")
    print(f"accuracy on the {len(test_labels)} held-out images: "
          f"{model.score(test_pixels, test_labels):.4f}")
    print(f"logits {logits.shape[0]} x {logits.shape[1]}, "
          f"from {logits.min():.2f} to {logits.max():.2f}")


if __name__ == "__main__":
    main()
