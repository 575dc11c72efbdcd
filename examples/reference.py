#!/usr/bin/python3
"""Check float32 softmax results against a reference of higher precision.

The softmax is taken over the last axis.  Exits with 1 where an error is
larger than LIMIT.
"""

import argparse
import sys

try:
    import numpy as np
except ImportError as error:
    sys.exit(f"{error}: install the Debian package python3-numpy "
             "and run this script with /usr/bin/python3")

LIMIT = 3.25  # ULP of float32
FLT_MIN = np.finfo(np.float32).tiny


def softmax(logits):
    # longdouble has 64 bits of precision on x86-64 and at least the 53 of
    # double elsewhere; both leave float32's 24 far behind.
    x = logits.astype(np.longdouble)
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def largest_ulp_error(result, exact):
    """Largest distance, in spacings of the float32 nearest to `exact`.

    Where both values are below FLT_MIN they are left out, since there a
    result may be flushed to zero.
    """
    # Written so that NaN, which compares false, counts as an error.
    counted = ~(np.maximum(np.abs(result), exact) < FLT_MIN)
    ulp = np.spacing(exact[counted].astype(np.float32))
    return np.max(np.abs(result[counted] - exact[counted]) / ulp)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logits", help=".npy file")
    parser.add_argument("probabilities", help=".npy file, float32")
    arguments = parser.parse_args()

    logits = np.load(arguments.logits)
    result = np.load(arguments.probabilities)
    if result.dtype != np.float32:
        sys.exit(f"probabilities are {result.dtype}, not float32")
    if result.shape != logits.shape:
        sys.exit(f"shapes differ: logits {logits.shape}, "
                 f"probabilities {result.shape}")

    error = largest_ulp_error(result, softmax(logits))
    row_sums = result.sum(axis=-1, dtype=np.longdouble)
    print(f"largest error:             {error:.4f} ULP (limit {LIMIT})")
    print(f"largest row-sum deviation: {np.max(np.abs(row_sums - 1)):.3e}")

    try:
        from sklearn.utils.extmath import softmax as sklearn_softmax
    except ImportError:
        print("scikit-learn:              not installed, not compared")
    else:
        rows = logits.astype(np.float64).reshape(-1, logits.shape[-1])
        other = sklearn_softmax(rows).reshape(logits.shape)
        print(f"against scikit-learn:      "
              f"{largest_ulp_error(result, other):.4f} ULP (in float64)")

    if not error <= LIMIT:  # true for NaN as well
        sys.exit(1)


if __name__ == "__main__":
    main()
