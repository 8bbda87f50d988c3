"""The shape of a sample."""

from ..errors import check_count
from .base import Shape


class Input:
    """The shape of one sample, as the first element of a model.

    Parameters
    ----------
    shape : tuple of int
        ``(features,)``, or that of an image such as ``(28, 28)``, which :class:`Flatten` makes a row of.

    Raises
    ------
    ValueError
        When the shape is no tuple of positive numbers.
    """

    def __init__(self, shape: Shape) -> None:
        if not isinstance(shape, (tuple, list)) or not shape:
            raise ValueError(f"shape must be a tuple such as (20,) or (28, 28), got {shape!r}")
        self.shape = tuple(check_count(f"shape[{axis}]", size) for axis, size in enumerate(shape))

    def __repr__(self) -> str:
        return f"Input(shape={self.shape})"
