"""Softmax and its cross-entropy over strided rows, against float64, with guards around what is written."""

import numpy as np
import pytest
from naive import softmax

from fastmlp.kernels.softmax import softmax_crossentropy, softmax_forward

GUARD = np.float32(77)
# columns, width that is written, stride
BLOCKS = [
    (1, 1, 1),
    (1, 16, 16),
    (10, 10, 10),
    (10, 16, 16),
    (16, 16, 16),
    (17, 32, 37),
    (101, 112, 112),
    (130, 144, 176),
]


def block(rows, columns, stride, scale=3.0):
    """Logits with some extreme rows, guards in the gaps between the rows."""
    z = np.random.default_rng(rows + columns).normal(0, scale, (rows, columns)).astype(np.float32)
    z[::5] *= 100
    z[1::7] -= 500
    loose = np.full((rows, stride), GUARD, np.float32)
    loose[:, :columns] = z
    return z.astype(np.float64), loose


@pytest.mark.parametrize(("columns", "width", "stride"), BLOCKS)
@pytest.mark.parametrize("rows", [1, 4, 13])
def test_forward_is_softmax_and_pads_with_zeros(rows, columns, width, stride):
    z, loose = block(rows, columns, stride)
    flat = np.concatenate([np.full(5, GUARD), loose.reshape(-1), np.full(16, GUARD)])
    softmax_forward(flat, 5, stride, rows, columns, width)
    result = flat[5:-16].reshape(rows, stride)
    np.testing.assert_allclose(result[:, :columns], softmax(z), rtol=2e-6, atol=1e-30)
    assert (result[:, columns:width] == 0).all()
    assert (result[:, width:] == GUARD).all()
    assert (flat[:5] == GUARD).all()
    assert (flat[-16:] == GUARD).all()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(("columns", "width", "stride"), BLOCKS)
def test_crossentropy_and_its_gradient(columns, width, stride, sparse, weighted):
    rows, share, smoothing = 11, np.float32(0.25), np.float32(0 if sparse else 0.1)
    rng = np.random.default_rng(columns)
    z, loose = block(rows, columns, stride)
    labels = rng.integers(0, columns, rows)
    soft = np.eye(columns)[labels] if sparse else rng.dirichlet(np.ones(columns), rows)
    weights = rng.uniform(0, 2, rows).astype(np.float32) if weighted else np.empty(0, np.float32)
    values, gradient = np.full(3 * rows, np.nan, np.float32), np.full(rows * stride + 16, GUARD)
    before = loose.copy()
    softmax_crossentropy(
        loose.reshape(-1), 0, stride, (labels if sparse else soft).astype(np.float32).reshape(-1), sparse, smoothing,
        weights, share, rows, columns, values, gradient, 0, stride, width,
    )  # fmt: skip
    y = soft.astype(np.float32).astype(np.float64) * (1 - smoothing) + smoothing / columns
    largest = z.max(axis=1, keepdims=True)
    log_total = np.log(np.exp(z - largest).sum(axis=1, keepdims=True))
    expected = (y * (log_total - (z - largest))).sum(axis=1)
    np.testing.assert_allclose(values[:rows], expected, rtol=3e-6, atol=1e-6)
    factors = share * (weights.astype(np.float64) if weighted else np.ones(rows))
    slopes = (softmax(z) * y.sum(axis=1, keepdims=True) - y) * factors[:, None]
    result = gradient[:-16].reshape(rows, stride)
    np.testing.assert_allclose(result[:, :columns], slopes, rtol=1e-5, atol=1e-7)
    assert (result[:, columns:width] == 0).all()
    assert (result[:, width:] == GUARD).all()
    assert (gradient[-16:] == GUARD).all()
    np.testing.assert_array_equal(loose, before)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_padding_is_zero_beside_what_is_not_finite(wrong):
    rows, columns, width = 3, 5, 16
    z = np.zeros((rows, width), np.float32)
    z[1, 2] = wrong
    gradient = np.full(rows * width, GUARD)
    softmax_crossentropy(
        z.reshape(-1), 0, width, np.zeros(rows, np.float32), True, np.float32(0), np.empty(0, np.float32),
        np.float32(1), rows, columns, np.empty(3 * rows, np.float32), gradient, 0, width, width,
    )  # fmt: skip
    softmax_forward(z.reshape(-1), 0, width, rows, columns, width)
    for block_of in (z, gradient.reshape(rows, width)):
        assert np.isnan(block_of[1, :columns]).all()
        assert np.isfinite(block_of[[0, 2], :columns]).all()
        assert (block_of[:, columns:] == 0).all()
