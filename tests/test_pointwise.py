"""Rows that are copied and multiplied in vectors, the last one in part: nothing beside them is touched."""

import numpy as np
import pytest

from fastmlp.kernels import pointwise
from fastmlp.kernels.gemm import padded_columns
from fastmlp.kernels.jit import SIMD_WIDTH as W

COLUMNS = [1, 2, 3, W - 1, W, W + 1, 2 * W - 1, 2 * W, 37]
GUARD = np.float32(-12345)


def guarded(rows, stride):
    """Rows of NaN between guards, and the whole."""
    whole = np.full(rows * stride + 2 * W, GUARD)
    whole[W : W + rows * stride] = np.nan
    return whole[W : W + rows * stride].reshape(rows, stride), whole


def intact(whole):
    return (whole[:W] == GUARD).all() and (whole[-W:] == GUARD).all()


@pytest.mark.parametrize("rows", [0, 1, 5])
@pytest.mark.parametrize("columns", COLUMNS)
def test_rows_are_spread_and_padded_with_zeros(rows, columns):
    width = padded_columns(columns)
    source = np.random.default_rng(0).standard_normal((rows, columns), np.float32)
    target, whole = guarded(rows, width + 3)
    pointwise.copy_rows(source.reshape(-1), 0, columns, whole, W, width + 3, rows, columns, width)
    np.testing.assert_array_equal(target[:, :columns], source)
    assert (target[:, columns:width] == 0).all()
    assert np.isnan(target[:, width:]).all()
    assert intact(whole)


@pytest.mark.parametrize("rows", [0, 1, 5])
@pytest.mark.parametrize("columns", COLUMNS)
def test_rows_are_packed(rows, columns):
    stride = padded_columns(columns)
    source = np.random.default_rng(0).standard_normal((rows, stride), np.float32)
    target, whole = guarded(rows, columns)
    pointwise.copy_rows(source.reshape(-1), 0, stride, whole, W, columns, rows, columns, columns)
    np.testing.assert_array_equal(target, source[:, :columns])
    assert intact(whole)


@pytest.mark.parametrize("rows", [0, 1, 5])
@pytest.mark.parametrize("columns", COLUMNS)
def test_slopes_are_multiplied_and_padding_becomes_zero(rows, columns):
    width = padded_columns(columns)
    rng = np.random.default_rng(0)
    gradient, slopes = (rng.standard_normal((rows, columns), np.float32) for _ in range(2))
    target, whole = guarded(rows, width + 3)
    target[:, :columns] = slopes
    pointwise.multiply_rows(whole, W, width + 3, gradient.reshape(-1), rows, columns, width)
    np.testing.assert_array_equal(target[:, :columns], slopes * gradient)
    assert (target[:, columns:width] == 0).all()
    assert np.isnan(target[:, width:]).all()
    assert intact(whole)
