"""A counter-based generator: random numbers as a function of (seed, stream, counter), with no state to keep.

Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
"""

import numpy as np
from numpy.typing import NDArray

from .jit import entry, kernel

LOW = np.uint64(0xFFFFFFFF)
SHIFT = np.uint64(32)
MULTIPLIER_0, MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL_0, WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
ROUNDS = 10

# Words of the counter that tell the uses of one seed apart.
SHUFFLE_STREAM, NOISE_STREAM = np.uint64(1), np.uint64(1 << 16)


@kernel
def philox(
    counter: np.uint64, stream: np.uint64, use: np.uint64, seed: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """Return four words of 32 random bits for a counter.

    Parameters
    ----------
    counter, stream, use : uint64
        The block's number (64 bits), and two words (32 bits each) that tell sequences apart.
    seed : uint64
        The key.
    """
    c0, c1, c2, c3 = counter & LOW, counter >> SHIFT, stream & LOW, use & LOW
    k0, k1 = seed & LOW, seed >> SHIFT
    for _ in range(ROUNDS):
        p0, p1 = MULTIPLIER_0 * c0, MULTIPLIER_1 * c2
        c0, c1, c2, c3 = (p1 >> SHIFT) ^ c1 ^ k0, p1 & LOW, (p0 >> SHIFT) ^ c3 ^ k1, p0 & LOW
        k0, k1 = (k0 + WEYL_0) & LOW, (k1 + WEYL_1) & LOW
    return c0, c1, c2, c3


@entry
def shuffle(order: NDArray[np.int64], seed: np.uint64, epoch: np.uint64) -> None:
    """Write a random permutation of 0, 1, ... that follows from the seed and the epoch alone.

    Fisher & Yates' shuffle (Knuth, TAOCP 2, algorithm P); a number below n is the high half of n times 32
    random bits, whose bias is below n / 2^32.

    Parameters
    ----------
    order : int64 array
        Overwritten; at most 2^32 elements.
    seed : uint64
        The model's seed.
    epoch : uint64
        The number of epochs trained so far.
    """
    for i in range(order.size):
        order[i] = i
    block = (np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0))
    for drawn in range(order.size - 1):
        word = drawn & 3
        if word == 0:
            block = philox(np.uint64(drawn >> 2), epoch, SHUFFLE_STREAM, seed)
        last = order.size - 1 - drawn
        bits = block[0] if word == 0 else block[1] if word == 1 else block[2] if word == 2 else block[3]
        other = np.int64((bits * np.uint64(last + 1)) >> SHIFT)
        order[last], order[other] = order[other], order[last]
