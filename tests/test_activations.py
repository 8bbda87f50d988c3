"""Activations at the ends of the number range; test_gradients.py has their values and slopes in between."""

import naive
import numpy as np
import pytest

from fastmlp import activations

FUNCTIONS = [kind() for kind in activations.TABLE.values() if kind.name != "softmax"]
FUNCTIONS += [
    activations.GELU(approximate=True),
    activations.ELU(alpha=-2.0),
    activations.LeakyReLU(negative_slope=0.0),
]
EXTREMES = np.array([0, 1e-45, 1e-38, 1e-4, 17, 88, 89, 104, 1e3, 1e4, 1e10, 1e19, 1e30, 3e38], np.float32)
EXTREMES = np.concatenate([EXTREMES, -EXTREMES])


@pytest.mark.parametrize("function", FUNCTIONS, ids=repr)
def test_values_and_slopes_at_the_extremes(function):
    values, slopes = EXTREMES.copy(), np.empty_like(EXTREMES)
    activations.elementwise(
        function.compiled_kind, np.float32(function.parameter), values, 0, slopes, 0, values.size, True
    )
    with np.errstate(all="ignore"):
        z = EXTREMES.astype(float)
        expected = naive.ACTIVATIONS[function.name](z, **vars(function)).astype(np.float32)
        derivative = naive.ACTIVATION_BACKWARD[function.name](z, np.ones(z.size), **vars(function)).astype(np.float32)
    np.testing.assert_array_equal(function(EXTREMES), values)
    np.testing.assert_allclose(values, expected, rtol=2e-6, atol=1.2e-7)
    np.testing.assert_allclose(slopes, derivative, rtol=2e-6, atol=1.2e-7)


@pytest.mark.parametrize("function", FUNCTIONS, ids=repr)
def test_nan_stays(function):
    assert np.isnan(function([np.nan])).all()
