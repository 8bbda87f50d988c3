"""The seed that models without one of their own take theirs from."""

import numpy as np

_generator = np.random.default_rng()


def check_seed(seed: object) -> int:
    """Return a seed as an int, or raise ValueError."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
        raise ValueError(f"seed must be an integer from 0 to 2**64 - 1, got {seed!r}")
    return int(seed)


def set_random_seed(seed: int) -> None:
    """Make every model created from now on without a ``seed`` reproducible.

    Parameters
    ----------
    seed : int
        From 0 to 2**64 - 1. Initial weights, shuffling and every other random choice follow from it and
        from the order in which models are created.
    """
    global _generator
    _generator = np.random.default_rng(check_seed(seed))


def next_seed() -> int:
    """Return the seed for the next model."""
    return int(_generator.integers(2**63))
