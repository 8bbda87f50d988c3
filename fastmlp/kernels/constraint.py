"""Constraints on a kernel: by the norm of each unit's weights, or by the sign. Formulas are Keras 3's."""

import numpy as np
from numpy.typing import NDArray

from .gemm import PANEL
from .jit import kernel

Buffer = NDArray[np.float32]

# Keras' fuzz factor beside a norm
EPSILON = 1e-7


@kernel
def clip_negative(w: Buffer) -> None:
    """``w = max(w, 0)``."""
    for i in range(w.size):
        w[i] = max(w[i], np.float32(0))


@kernel
def _place(panel_rows: int, panel_columns: int, narrow: bool, k: int, unit: int) -> int:
    """Where the weight from input ``k`` to ``unit`` lies in a kernel's panels, those of w or (``narrow``) of w^T."""
    row, column = (unit, k) if narrow else (k, unit)
    panel = column // PANEL * PANEL
    width = min(PANEL, panel_columns - panel)
    return int(panel * panel_rows + row * width + column - panel)


@kernel
def constrain_norm(
    w: Buffer, panel_rows: int, panel_columns: int, narrow: bool, inputs: int, unit: int, limit: np.float32,
    at_most: bool,
) -> None:  # fmt: skip
    """Scale the weights of one unit to the norm ``limit``, or with ``at_most`` only where theirs is larger.

    ``w *= wanted / (1e-7 + norm)``.
    """
    total = np.float64(0)
    for k in range(inputs):
        value = np.float64(w[_place(panel_rows, panel_columns, narrow, k, unit)])
        total += value * value
    norm = np.sqrt(total)
    wanted = min(norm, np.float64(limit)) if at_most else np.float64(limit)
    factor = np.float32(wanted / (EPSILON + norm))
    for k in range(inputs):
        w[_place(panel_rows, panel_columns, narrow, k, unit)] *= factor
