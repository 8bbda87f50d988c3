"""What every loss has, and the loop of those that look at one output at a time."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..configs import Configured
from ..errors import check_flag, finite_number
from ..kernels import memory
from ..kernels.jit import kernel
from ..names import own_name
from ..rows import paired_rows
from .kinds import PARAMETERS

Buffer = NDArray[np.float32]
Element = Callable[..., tuple[np.float32, np.float32]]

ZERO, HALF, ONE, TWO = (np.float32(value) for value in (0, 0.5, 1, 2))
# Keras' fuzz factor: probabilities stay this far from 0 and 1
EPSILON = np.float32(1e-7)
ONE_LESS_EPSILON = np.float32(1 - 1e-7)


@kernel
def elements(
    element: Element,
    c: np.float32,
    outputs: Buffer,
    targets: Buffer,
    rows: int,
    columns: int,
    values: Buffer,
    gradient: Buffer,
) -> None:
    """Values and slopes of an elementwise loss with one parameter at most."""
    for i in range(rows * columns):
        value, slope = element(targets[i], outputs[i], c)
        values[i] = value
        gradient[i] = slope


@dataclass(frozen=True)
class Loss(Configured):
    """What training minimises: the mean over the batch (weighted: ``sum(w * l) / B``, as in Keras)."""

    kind: ClassVar[int]
    # by default that of the class; it is in messages alone
    # None only until __post_init__
    name: str = field(default=None, kw_only=True, repr=False)  # type: ignore[assignment]
    sparse: ClassVar[bool] = False
    # the activation whose output this loss can take as logits instead, and the kind that does
    logits_of: ClassVar[str | None] = None
    logits_kind: ClassVar[int] = -1
    target_range: ClassVar[tuple[float, float]] = (-math.inf, math.inf)

    def __post_init__(self) -> None:
        own_name(self)

    @property
    def parameters(self) -> tuple[float, ...]:
        """The numbers that the compiled loss takes, at most ``PARAMETERS``."""
        return ()

    def compiled_parameters(self) -> Buffer:
        """Return the parameters as the compiled loss takes them: float32 (``PARAMETERS``,)."""
        row = np.zeros(PARAMETERS, np.float32)
        row[: len(self.parameters)] = self.parameters
        return row

    def compiled_kind(self, logits: bool) -> int:
        """Which compiled loss serves, given outputs that are ``logits`` or not."""
        return self.logits_kind if logits or getattr(self, "from_logits", False) else self.kind

    def __call__(self, y_true: Any, y_pred: Any) -> float:
        """Return the mean loss of arrays of targets and outputs, as a float.

        Parameters
        ----------
        y_true, y_pred : array_like
            (B, N) or (B,); sparse targets (B,) or (B, 1) class numbers.

        Raises
        ------
        ValueError
            When the shapes do not belong together, there is no row, or a label is no class number.
        """
        # the table knows every loss, so it can only be looked at when there are some
        from .table import loss_value_and_grad

        targets, outputs = paired_rows(y_true, y_pred, sparse=self.sparse)
        rows, columns = outputs.shape
        summed = loss_value_and_grad(
            self.compiled_kind(False), self.compiled_parameters(), outputs.reshape(-1), targets.reshape(-1),
            np.empty(0, np.float32), rows, columns, rows, memory.empty(rows * (columns + 2)),
            memory.empty(outputs.size),
        )  # fmt: skip
        return float(summed / rows)


@dataclass(frozen=True)
class SmoothedCrossentropy(Loss):
    """A cross-entropy of targets in [0, 1] whose labels can be smoothed."""

    target_range = (0.0, 1.0)
    from_logits: bool = False
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flag("from_logits", self.from_logits)
        finite_number("label_smoothing", self.label_smoothing, at_least=0, at_most=1)

    @property
    def parameters(self) -> tuple[float, ...]:
        """``label_smoothing``."""
        return (self.label_smoothing,)
