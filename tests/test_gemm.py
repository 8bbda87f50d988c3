"""The three products against float64 NumPy, between guard values, at every kind of edge."""

import os
import subprocess
import sys

import numpy as np
import pytest

from fastmlp.kernels import gemm, narrow
from fastmlp.kernels.jit import JIT_DISABLED, SIMD_WIDTH

GUARD = np.float32(12345.678)
MARGIN = 64
TALL, W = gemm.TALL_ROWS, SIMD_WIDTH

SHAPES = [
    (1, 1, 1), (2, 1, 3), (1, 7, 1), (3, 2, W), (4, W, W - 1), (5, W - 1, W + 1), (TALL - 1, W + 1, 2 * W),
    (TALL, 2 * W, 2 * W + 1), (TALL + 1, 2 * W + 1, 2 * W - 1), (2 * TALL + 4, 3, 3 * W), (13, 37, 71), (32, 20, 64),
    (29, 131, 5), (7, 5, 149),
]  # fmt: skip


class Guarded:
    """A flat buffer with guard values on both sides, filled with NaN."""

    def __init__(self, size: int, fill: float = np.nan) -> None:
        self.whole = np.full(size + 2 * MARGIN, GUARD)
        self.whole[MARGIN : MARGIN + size] = fill
        self.flat = self.whole[MARGIN : MARGIN + size]

    def intact(self) -> bool:
        return bool((self.whole[:MARGIN] == GUARD).all() and (self.whole[-MARGIN:] == GUARD).all())


def panels(matrix: np.ndarray, panel_rows: int) -> np.ndarray:
    rows, columns = matrix.shape
    padded = np.zeros((panel_rows, gemm.padded_columns(columns)), np.float32)
    padded[:rows, :columns] = matrix
    starts = range(0, padded.shape[1], gemm.PANEL)
    return np.concatenate([padded[:, start : start + gemm.PANEL].reshape(-1) for start in starts])


def strided(matrix: np.ndarray, fill: float = 0.0) -> np.ndarray:
    rows, columns = matrix.shape
    out = np.full((gemm.padded_rows(rows), gemm.leading_dimension(columns)), fill, np.float32)
    out[:, : gemm.padded_columns(columns)] = 0
    out[:rows, :columns] = matrix
    return out


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(list(shape)).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("batch", "inputs", "units"), SHAPES)
def test_forward(batch, inputs, units):
    x, w, b = numbers(batch, inputs), numbers(inputs, units), numbers(units)
    left = strided(x, np.nan)
    rows, columns, stride = gemm.padded_rows(batch), gemm.padded_columns(units), gemm.leading_dimension(units)
    panel_rows = gemm.padded_rows(inputs)
    first = np.zeros(columns, np.float32)
    first[:units] = b
    out = Guarded(rows * stride)
    gemm.rows_product(
        first, 0, left.reshape(-1), 0, left.shape[1], panels(w, panel_rows), 0, panel_rows, inputs, columns, out.flat,
        0, stride, rows,
    )  # fmt: skip
    z = out.flat.reshape(rows, stride)
    expected = x.astype(np.float64) @ w + b
    np.testing.assert_allclose(z[:batch, :units], expected, rtol=0, atol=2e-6 * np.sqrt(inputs + 1))
    assert (z[:batch, units:columns] == 0).all(), "padding columns must stay zero"
    assert np.isnan(z[:, columns:]).all(), "nothing is written past the padded columns"
    assert out.intact()


@pytest.mark.parametrize(("batch", "inputs", "units"), SHAPES)
def test_backward_multiplies_the_slopes(batch, inputs, units):
    dz, w, slope = numbers(batch, units), numbers(inputs, units), numbers(batch, inputs)
    left = strided(dz, np.nan)
    rows = gemm.padded_rows(batch)
    panel_rows, columns = gemm.padded_columns(gemm.padded_rows(inputs)), gemm.padded_columns(units)
    wt = np.zeros((columns, panel_rows), np.float32)
    wt[:units, :inputs] = w.T
    out = Guarded(rows * gemm.leading_dimension(inputs))
    slopes = out.flat.reshape(rows, -1)
    slopes[...] = strided(slope)
    for first in range(0, panel_rows, gemm.PANEL):
        width = min(gemm.PANEL, panel_rows - first)
        transposed = Guarded(columns * width)
        gemm.transpose_panel(panels(w, panel_rows), 0, panel_rows, columns, first, width, transposed.flat, 0)
        np.testing.assert_array_equal(transposed.flat, wt[:, first : first + width].reshape(-1))
        assert transposed.intact()
        if first < gemm.padded_columns(inputs):
            gemm.panel_product(
                np.zeros(gemm.PANEL, np.float32), 0, left.reshape(-1), 0, left.shape[1], transposed.flat, 0,
                width == gemm.PANEL, units, out.flat, first, slopes.shape[1], rows, True,
            )  # fmt: skip
    expected = (dz.astype(np.float64) @ w.T) * slope
    np.testing.assert_allclose(slopes[:batch, :inputs], expected, rtol=0, atol=1e-5 * np.sqrt(units))
    assert out.intact()


@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize(("batch", "inputs", "units"), [*SHAPES, (0, 3, 5)])
def test_weights_and_bias_gradient(batch, inputs, units, add):
    x, dz = numbers(batch, inputs), numbers(batch, units)
    rows, columns = gemm.padded_rows(inputs), gemm.padded_columns(units)
    before = panels(numbers(inputs, units), rows) if add else np.full(rows * columns, np.nan, np.float32)
    dw, db = Guarded(rows * columns), Guarded(columns, 2.0 if add else np.nan)
    dw.flat[...] = before
    left, right = strided(x), strided(dz)
    for column in range(0, columns, gemm.PANEL):
        gemm.panel_gradient(
            left.reshape(-1), 0, left.shape[1], right.reshape(-1), column, right.shape[1], batch, dw.flat,
            column * rows, columns - column >= gemm.PANEL, rows, add,
        )  # fmt: skip
    gemm.bias_gradient(right.reshape(-1), 0, right.shape[1], batch, columns, db.flat, 0, add)
    expected = panels((x.T.astype(np.float64) @ dz).astype(np.float32), rows) + (before if add else 0)
    np.testing.assert_allclose(dw.flat, expected, rtol=0, atol=2e-6 * np.sqrt(batch + 1))
    np.testing.assert_allclose(db.flat[:units], dz.sum(axis=0) + 2 * add, rtol=0, atol=1e-5)
    assert dw.intact()
    assert db.intact()


@pytest.mark.parametrize("units", range(1, narrow.NARROW_UNITS + 1))
@pytest.mark.parametrize(("batch", "inputs"), [(1, 1), (3, W - 1), (4, W), (5, 2 * W + 1), (TALL + 3, 71), (32, 64)])
def test_narrow_forward(batch, inputs, units):
    x, w, b = numbers(batch, inputs), numbers(inputs, units), numbers(units)
    left = strided(x)
    rows, stride = gemm.padded_rows(batch), gemm.leading_dimension(units)
    columns = gemm.padded_columns(inputs)
    out = Guarded(rows * stride)
    transposed = np.pad(w.T, ((0, 0), (0, columns - inputs)))
    narrow.narrow_forward(
        b, 0, left.reshape(-1), 0, left.shape[1], panels(transposed, gemm.LOW_ROWS), 0, gemm.LOW_ROWS, columns, units,
        out.flat, 0, stride, rows,
    )  # fmt: skip
    z = out.flat.reshape(rows, stride)
    expected = x.astype(np.float64) @ w + b
    np.testing.assert_allclose(z[:batch, :units], expected, rtol=0, atol=2e-6 * np.sqrt(inputs + 1))
    assert np.isnan(z[:, units:]).all(), "nothing is written beside the outputs"
    assert out.intact()


def test_a_row_has_the_same_bits_whatever_tile_it_is_in():
    x, w = numbers(2 * TALL + 4, 33), numbers(33, 40)
    panel_rows, columns = gemm.padded_rows(33), gemm.padded_columns(40)
    stride = gemm.leading_dimension(40)
    results = []
    for batch in (4, TALL, TALL + 4, 2 * TALL + 4):
        left = strided(x[:batch])
        out = np.empty(gemm.padded_rows(batch) * stride, np.float32)
        gemm.rows_product(
            np.zeros(columns, np.float32), 0, left.reshape(-1), 0, left.shape[1], panels(w, panel_rows), 0, panel_rows,
            33, columns, out, 0, stride, gemm.padded_rows(batch),
        )  # fmt: skip
        results.append(out.reshape(-1, stride)[:4, :40].tobytes())
    assert len(set(results)) == 1


def test_tile_heights_cover_every_padded_number_of_rows():
    for rows in range(1, 200):
        padded = gemm.padded_rows(rows)
        assert rows <= padded < rows + max(gemm.GRANULE, gemm.LOW_ROWS)
        left = padded
        while left:
            height = gemm.next_height(left)
            assert height in (gemm.TALL_ROWS, gemm.MIDDLE_ROWS, gemm.LOW_ROWS)
            left -= height
            assert left >= 0
    assert gemm.padded_rows(0) == 0


def test_long_rows_have_an_odd_number_of_cache_lines():
    for columns in range(1, 2000):
        stride = gemm.leading_dimension(columns)
        assert stride >= gemm.padded_columns(columns) >= columns
        assert stride % W == 0
        assert stride < gemm.LONG_ROW or stride // gemm.CACHE_LINE % 2 == 1


@pytest.mark.skipif("FASTMLP_SIMD_WIDTH" in os.environ, reason="this is the run with a forced width")
@pytest.mark.parametrize("width", ["4", "8", "16"])
def test_other_vector_widths(width):
    environment = {**os.environ, "FASTMLP_SIMD_WIDTH": width}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def test_unknown_vector_width_is_refused():
    code = "import fastmlp.kernels.jit"
    environment = {**os.environ, "FASTMLP_SIMD_WIDTH": "5"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "FASTMLP_SIMD_WIDTH must be 4, 8 or 16, got '5'" in done.stderr


@pytest.mark.skipif(not JIT_DISABLED, reason="machine code does not check bounds; the stand-in does")
def test_the_numpy_tile_checks_bounds():
    from fastmlp.kernels import simd

    with pytest.raises(IndexError, match="a tile covers elements"):
        simd.tile_load(simd.TileShape(2, 1), np.zeros(W, np.float32), 0, W)
