"""Noise on rows in training: a function of a seed, a draw and the place, with no state to keep."""

import numpy as np
from numpy.typing import NDArray

from . import vmath
from .jit import kernel, scalar
from .random import NOISE_STREAM, philox

Buffer = NDArray[np.float32]
Words = NDArray[np.uint32]

DROPOUT, GAUSSIAN = 1, 2

ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)
SQRT_TWO = np.float32(2**0.5)
# dropout decides by 16 bits
LEVELS = 65536
LOW_HALF = np.uint32(LEVELS - 1)
HALF_BITS = np.uint32(16)
WORDS_A_BLOCK = 4
TO_UNIT = np.float32(2.0**-31)
# Giles, "Approximating the erfinv function", GPU Computing Gems 2 (2010), table 5: in w - 2.5 for w = -log(1 - x^2)
# below 5, and in sqrt(w) - 3 beyond
CENTRE = tuple(
    np.float32(c)
    for c in (1.50140941, 0.246640727, -0.00417768164, -0.00125372503, 0.00021858087, -4.39150654e-06,
              -3.5233877e-06, 3.43273939e-07, 2.81022636e-08)
)  # fmt: skip
TAIL = tuple(
    np.float32(c)
    for c in (2.83297682, 1.00167406, 0.00943887047, -0.0076224613, 0.00573950773, -0.00367342844,
              0.00134934322, 0.000100950558, -0.000200214257)
)  # fmt: skip
WHERE_THE_TAIL_BEGINS = np.float32(5)
CENTRE_SHIFT, TAIL_SHIFT = np.float32(2.5), np.float32(3)


@kernel
def random_words(words: Words, count: int, seed: np.uint64, draw: int, stream: int, row: int) -> None:
    """Fill ``words`` with at least ``count`` random words; block b of Philox gives the words b, b + n, b + 2 n...

    In this order neighbouring blocks write neighbouring words, and LLVM makes vectors of them.
    """
    blocks = -(-count // WORDS_A_BLOCK)
    first, second = words[:blocks], words[blocks : 2 * blocks]
    third, fourth = words[2 * blocks : 3 * blocks], words[3 * blocks : 4 * blocks]
    base = np.uint64(row) << np.uint64(32)
    for b in range(blocks):
        w0, w1, w2, w3 = philox(base | np.uint64(b), np.uint64(draw), NOISE_STREAM + np.uint64(stream), seed)
        first[b], second[b], third[b], fourth[b] = np.uint32(w0), np.uint32(w1), np.uint32(w2), np.uint32(w3)


@kernel
def dropout_row(values: Buffer, slopes: Buffer, words: Words, rate: np.float32) -> None:
    """Drop elements of a row and of its slopes, and scale the others by 1 / (1 - rate).

    The lower halves of the words serve the first elements, the upper halves the others.
    """
    dropped = round(rate * LEVELS)
    limit = np.uint32(dropped)
    # the share that is kept in fact
    keep = np.float32(LEVELS / (LEVELS - dropped))
    count = values.size
    words_used = (count + 1) // 2
    for i in range(words_used):
        factor = keep if (words[i] & LOW_HALF) >= limit else ZERO
        values[i] *= factor
        slopes[i] *= factor
    upper, upper_slopes = values[words_used:count], slopes[words_used:count]
    for i in range(upper.size):
        factor = keep if (words[i] >> HALF_BITS) >= limit else ZERO
        upper[i] *= factor
        upper_slopes[i] *= factor


@scalar
def normal(word: np.uint32) -> np.float32:
    """Return the normal quantile of a word taken as a number in (-1, 1): sqrt(2) erfinv(x), within 5.6."""
    x = (np.float32(np.int32(word)) + HALF) * TO_UNIT
    x = x if abs(x) < ONE else np.float32(0.99999994) * x
    w = -vmath.log((ONE - x) * (ONE + x))
    c = w - CENTRE_SHIFT
    t = np.sqrt(w) - TAIL_SHIFT
    centre = CENTRE[8]
    tail = TAIL[8]
    for k in range(7, -1, -1):
        centre = centre * c + CENTRE[k]
        tail = tail * t + TAIL[k]
    return SQRT_TWO * x * (centre if w < WHERE_THE_TAIL_BEGINS else tail)


@kernel
def gaussian_row(values: Buffer, words: Words, deviation: np.float32) -> None:
    """Add normal noise to a row."""
    for i in range(values.size):
        values[i] += deviation * normal(words[i])
