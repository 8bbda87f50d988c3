"""Sums over ranges, against float64."""

import numpy as np
import pytest

from fastmlp.kernels.sums import LANES, sum_of, total_of


@pytest.mark.parametrize("size", [0, 1, LANES - 1, LANES, LANES + 1, 2 * LANES, 3 * LANES + 5, 1531])
@pytest.mark.parametrize("squared", [False, True])
def test_sums(size, squared):
    values = np.random.default_rng(size).normal(0, 3, size).astype(np.float32)
    exact = values.astype(np.float64)
    expected = (exact**2).sum() if squared else np.abs(exact).sum()
    assert sum_of(values, squared) == pytest.approx(expected, rel=1e-14)
    assert total_of(values) == pytest.approx(exact.sum(), rel=1e-14, abs=1e-13)


def test_nothing_is_lost_in_float32():
    values = np.array([1e30, 1.0, -1e-30] * 11, np.float32)
    assert sum_of(values, True) == pytest.approx(11e60, rel=1e-6)
    assert np.isnan(sum_of(np.array([1.0, np.nan], np.float32), True))
    assert sum_of(np.array([-np.inf], np.float32), False) == np.inf
