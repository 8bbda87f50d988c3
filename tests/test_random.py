"""The counter-based generator: published vectors, and what a shuffle must be."""

import numpy as np
import pytest

from fastmlp.kernels.random import philox, shuffle

# The known-answer vectors of the Random123 distribution for philox4x32-10: counter words, key words, output.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_philox_known_answers(counter, key, expected):
    words = philox(
        np.uint64(counter[0] | counter[1] << 32),
        np.uint64(counter[2]),
        np.uint64(counter[3]),
        np.uint64(key[0] | key[1] << 32),
    )
    assert tuple(int(word) for word in words) == expected


def permutation(size: int, seed: int, epoch: int) -> np.ndarray:
    order = np.full(size, -1, np.int64)
    shuffle(order, np.uint64(seed), np.uint64(epoch))
    return order


@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, 100])
def test_a_permutation(size):
    assert sorted(permutation(size, 3, 0)) == list(range(size))


def test_follows_from_seed_and_epoch():
    assert (permutation(50, 1, 2) == permutation(50, 1, 2)).all()
    assert (permutation(50, 1, 2) != permutation(50, 1, 3)).any()
    assert (permutation(50, 1, 2) != permutation(50, 2, 2)).any()


def test_all_orders_of_four_are_equally_likely():
    draws = 2400
    counts: dict[tuple[int, ...], int] = {}
    for epoch in range(draws):
        order = tuple(permutation(4, 9, epoch).tolist())
        counts[order] = counts.get(order, 0) + 1
    expected = draws / 24
    statistic = sum((count - expected) ** 2 / expected for count in counts.values())
    assert len(counts) == 24
    # the 99.99 % point of chi squared with 23 degrees of freedom is 57.1
    assert statistic < 57.1
