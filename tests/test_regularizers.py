import dataclasses

import numpy as np
import pytest

from fastmlp import regularizers
from fastmlp.regularizers import L1, L1L2, L2

WEIGHTS = np.array([[1.0, -2.0], [0.5, 0.0]], np.float32)


@pytest.mark.parametrize(
    ("regularizer", "l1", "l2", "penalty"),
    [
        (L1(0.5), 0.5, 0.0, 1.75),
        (L2(0.5), 0.0, 0.5, 2.625),
        (L1L2(0.5, 2.0), 0.5, 2.0, 12.25),
        (L1L2(), 0.0, 0.0, 0.0),
        (L1(), 0.01, 0.0, 0.035),
        (L2(), 0.0, 0.01, 0.0525),
    ],
)
def test_penalty(regularizer, l1, l2, penalty):
    assert (regularizer.l1, regularizer.l2) == (l1, l2)
    result = regularizer(WEIGHTS)
    assert type(result) is float
    assert result == pytest.approx(penalty, rel=1e-12)
    assert type(regularizer)(**regularizer.get_config()) == regularizer


def test_large_arrays_are_summed_in_double():
    weights = np.full(1_000_000, 0.1, np.float32)
    value = float(np.float32(0.1))
    assert L1L2(1.0, 1.0)(weights) == pytest.approx(1e6 * (value + value**2), rel=1e-12)


def test_get():
    assert regularizers.get(None) is None
    regularizer = L2(1)
    assert regularizers.get(regularizer) is regularizer
    assert {name: type(regularizers.get(name)) for name in ("l1", "l2", "l1_l2")} == regularizers.TABLE
    with pytest.raises(ValueError, match=r"unknown regularizer 'l3'\. Valid names: l1, l2, l1_l2"):
        regularizers.get("l3")
    for wrong in (L2, 0.01):
        with pytest.raises(TypeError, match="regularizer must be a name or an instance such as"):
            regularizers.get(wrong)


@pytest.mark.parametrize("kind", [L1, L2, L1L2])
def test_factors_are_checked_and_fixed(kind):
    for wrong in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"^l[12] must be a finite number of at least 0, got "):
            kind(wrong)
    with pytest.raises(TypeError, match=r"^l[12] must be a finite number of at least 0, got '1'"):
        kind("1")
    name = next(iter(kind().get_config()))
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(kind(), name, 1.0)
