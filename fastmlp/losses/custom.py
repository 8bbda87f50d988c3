"""Losses of users."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from ..configs import custom_object, knowing
from ..errors import check_flag
from ..kernels.callback import Callback, loss_callback, value_and_gradient
from ..rows import paired_rows
from .base import Loss
from .kinds import CUSTOM


@dataclass(frozen=True)
class Custom(Loss):
    """Any function ``(y_true, y_pred) -> (value, d_value / d_y_pred)`` over arrays; ``compile`` takes it as it is, too.

    A function that Numba has jitted stays in the compiled loop. A Python function is called once a batch, with the GIL,
    by one thread; what it raises ends the training. Numba prints what a jitted function raises, and forgets it; a
    RuntimeError follows that names the function.

    Parameters
    ----------
    function : callable
        Takes float32 arrays of targets and outputs (B, N) and returns the batch's loss, a number (usually a mean over
        the rows), and its gradient (B, N).
    sparse : bool
        Whether targets are class numbers; ``y_true`` is then (B,).

    Notes
    -----
    The whole batch is given at once, so sample weights cannot be applied from outside: training with them is refused.

    Examples
    --------
    >>> def mean_quartic(y_true, y_pred):
    ...     d = y_pred - y_true
    ...     return (d**4).mean(), 4 * d**3 / d.size
    >>> Custom(mean_quartic)([[0.0], [0.0]], [[1.0], [2.0]])
    8.5
    """

    kind = CUSTOM
    function: Callable[..., Any] | None = None
    sparse: bool = field(default=False, kw_only=True)  # type: ignore[misc]
    name = "custom"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flag("sparse", self.sparse)
        if not callable(self.function):
            raise TypeError(f"function must be a function of (y_true, y_pred), got {self.function!r}")

    @property
    def function_name(self) -> str:
        """What the function is called, which is all that configs and files have of it."""
        return str(getattr(self.function, "__name__", type(self.function).__name__))

    def get_config(self) -> dict[str, Any]:
        """Return the function's name, and the kind of targets."""
        return {"function": self.function_name, "sparse": self.sparse}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """Make the loss of a function that has a name; see :meth:`Configured.from_config`."""
        with knowing(custom_objects):
            return cls(custom_object("loss function", config["function"]), sparse=config["sparse"])

    def callback(self) -> Callback:
        """Return the function as the compiled loop calls it."""
        assert self.function is not None
        return loss_callback(self.function, sparse=self.sparse)

    def __call__(self, y_true: Any, y_pred: Any) -> float:
        """Return the loss of arrays of targets and outputs; see :meth:`Loss.__call__`."""
        assert self.function is not None
        targets, outputs = paired_rows(y_true, y_pred, sparse=self.sparse)
        return value_and_gradient(self.function, targets[:, 0] if self.sparse else targets, outputs)[0]
