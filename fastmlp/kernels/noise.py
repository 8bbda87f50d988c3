"""Noise on rows in training: a function of a seed, a draw and the place, with no state to keep."""

import numpy as np
from numpy.typing import NDArray

from . import vmath
from .jit import kernel, scalar
from .random import NOISE_STREAM, philox

Buffer = NDArray[np.float32]
Words = NDArray[np.uint32]

DROPOUT, GAUSSIAN = 1, 2

ZERO, HALF = np.float32(0), np.float32(0.5)
MINUS_TWO = np.float32(-2)
# dropout decides by 16 bits
LEVELS = 65536
LOW_HALF = np.uint32(LEVELS - 1)
HALF_BITS = np.uint32(16)
WORDS_A_BLOCK = 4
TO_UNIT = np.float32(2.0**-31)
ONE_BIT, TO_SIGN = np.uint32(1), np.uint32(31)
# sin(pi t / 2) / t and cos(pi t / 2) in t^2 on |t| <= 1, within 1e-8 and 7e-8: minimax fits as in vmath
SINE = tuple(np.float32(c) for c in (1.5707963, -0.6459628, 0.07968618, -0.004668948, 0.00014928478))
COSINE = tuple(np.float32(c) for c in (0.99999994, -1.2336977, 0.25364742, -0.020804573, 0.00085483585))


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
def normal_pair(first: np.uint32, second: np.uint32) -> tuple[np.float32, np.float32]:
    """Return two independent normal numbers, within 6.7, of two random words (Box & Muller, Ann. Math. Stat. 29, 1958).

    They are a point's coordinates: its distance is ``sqrt(-2 log u)`` with u in (0, 1] from 31 bits of the first word,
    its angle from -pi / 2 to pi / 2 follows from the second one, and the bit that is left mirrors the point.
    """
    u = (np.float32(np.int32(first >> ONE_BIT)) + HALF) * TO_UNIT
    distance = np.sqrt(MINUS_TWO * vmath.log_normal(u))
    t = np.float32(np.int32(second)) * TO_UNIT
    square = t * t
    s, c = SINE, COSINE
    sine = t * (s[0] + square * (s[1] + square * (s[2] + square * (s[3] + square * s[4]))))
    cosine = c[0] + square * (c[1] + square * (c[2] + square * (c[3] + square * c[4])))
    return distance * sine, vmath.mirrored(distance * cosine, first << TO_SIGN)


@kernel
def gaussian_row(values: Buffer, words: Words, deviation: np.float32) -> None:
    """Add normal noise to a row of an even number of elements: a pair's to one in each half."""
    pairs = values.size // 2
    lower, upper, others = values[:pairs], values[pairs : 2 * pairs], words[pairs : 2 * pairs]
    for i in range(pairs):
        one, other = normal_pair(words[i], others[i])
        lower[i] += deviation * one
        upper[i] += deviation * other
