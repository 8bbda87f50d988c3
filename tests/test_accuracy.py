"""The worst errors of kernels against float64, as the page about them has them."""

import pytest

pytest.importorskip("scipy")
from benchmarks import accuracy

pytestmark = pytest.mark.jit_only

# units in the last place of the result or of 1: slopes of products of three functions lose most
LARGEST_ERROR = 6.0
# its factor (1 - p)^2 cancels where a probability is near 1
LESS_EXACT = {"gradient of categorical_focal_crossentropy": 10.0}
# where nothing cancels: of the result itself
EXACT = {
    "exp",
    "expm1",
    "log",
    "log1p",
    "tanh",
    "sigmoid",
    "softplus",
    "erf",
    "exponential",
    "relu",
    "softsign",
    "selu",
}


def test_errors_of_every_kernel():
    found = accuracy.measure()
    assert len(found) > 75
    for one in found:
        assert one.scaled <= LESS_EXACT.get(one.name, LARGEST_ERROR), one
        if one.name in EXACT:
            assert one.ulp <= 2, one
    text = accuracy.page(found)
    assert all(f"| {one.name} |" in text for one in found)


def test_an_error_is_seen():
    x = accuracy.numbers(11)
    assert accuracy.compare("same", x, x.astype(float)).ulp == 0
    wrong = x.copy()
    wrong[x == 20] *= 1.0001
    assert accuracy.compare("wrong", wrong, x.astype(float)).scaled > 100
    for value in (float("nan"), float("inf")):
        wrong[0] = value
        with pytest.raises(AssertionError, match="is not where it should be"):
            accuracy.compare("wrong", wrong, x.astype(float))
