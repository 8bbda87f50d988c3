"""docs/losses.md: every loss there is what its formula says, and its gradient is that of its value."""

import numpy as np
import pages
import pytest

PAGE = pages.DOCS / "losses.md"
RNG = np.random.default_rng(0)
Y = RNG.uniform(0.2, 2, (7, 3))
A = RNG.uniform(0.2, 2, (7, 3))
SIGNS = np.where(RNG.random((7, 3)) < 0.5, -1.0, 1.0)
ONE_HOT = np.eye(3)[RNG.integers(0, 3, 7)]
ZEROS_AND_ONES = (SIGNS + 1) / 2
SHARES = RNG.uniform(0.05, 0.95, (7, 3))


@pytest.fixture(scope="module")
def space():
    """What the page defines."""
    names = {}
    for block in pages.blocks(PAGE)[:-1]:
        pages.run_python(block, PAGE, names)
    return names


def angle(y, a):
    return -np.mean(
        [row @ other / np.linalg.norm(row) / np.linalg.norm(other) for row, other in zip(y, a, strict=True)]
    )


def rival(y, a):
    return np.mean([max(0, max(a[i][y[i] == 0]) - a[i][y[i] == 1][0] + 1) for i in range(len(y))])


def overlap(y, a, alpha, beta):
    right = np.sum(y * a)
    return 1 - right / (right + alpha * np.sum((1 - y) * a) + beta * np.sum(y * (1 - a)))


LOSSES = {
    "mean_absolute_percentage_error": (Y, A, lambda y, a: 100 * np.mean(abs(a - y) / abs(y))),
    "mean_squared_logarithmic_error": (Y, A, lambda y, a: np.mean(np.log((1 + a) / (1 + y)) ** 2)),
    "cosine_similarity": (Y, A - 1, angle),
    "squared_hinge": (SIGNS, A - 1, lambda y, a: np.mean(np.where(y * a < 1, 1 - y * a, 0) ** 2)),
    "categorical_hinge": (ONE_HOT, A * 2, rival),
    "dice": (ZEROS_AND_ONES, SHARES, lambda y, a: overlap(y, a, 0.5, 0.5)),
    "tversky": (ZEROS_AND_ONES, SHARES, lambda y, a: overlap(y, a, 0.3, 0.7)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_values_and_gradients(name, space):
    y, a, formula = LOSSES[name]
    value, gradient = space[name](y, a)
    assert value == pytest.approx(formula(y, a), rel=1e-6)
    assert gradient.shape == a.shape
    step = 1e-6
    for place in np.ndindex(*a.shape):
        up, down = a.copy(), a.copy()
        up[place] += step
        down[place] -= step
        difference = (space[name](y, up)[0] - space[name](y, down)[0]) / (2 * step)
        assert gradient[place] == pytest.approx(difference, rel=1e-5, abs=1e-8)


@pytest.mark.jit_only
def test_the_example_trains(space):
    first, last = map(float, pages.run_python(pages.blocks(PAGE)[-1], PAGE, dict(space)).split())
    assert last < 0.7 * first


def test_the_page_has_no_other_loss(space):
    functions = {name for name, value in space.items() if callable(value) and name.islower()}
    assert functions == set(LOSSES)
