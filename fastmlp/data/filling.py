"""Rows of a source on their way into memory: read, checked, and made float32."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SourceError
from ..inputs import check_finite, check_sample_weight, check_y
from ..losses import Loss
from .reader import Raw
from .source import Source

Float32 = NDArray[np.float32]
# numbers that are copied and then looked at while they are in the cache
CACHED = 1 << 16
# what makes factors of rows from their targets and weights
Weigh = Callable[[Float32, Float32], Float32]


def copy_finite(raw: Any, out: Float32, first: int) -> None:
    """Copy features, an array (n, ...) or columns, to float32 (n, features).

    Raises
    ------
    ValueError
        When one is not finite in float32; the message counts rows from ``first``.
    """
    if isinstance(raw, list):
        finite = _copy_columns(raw, out)
        names = [(f"column {number} of the features", column) for number, column in enumerate(raw)]
    else:
        finite = _copy_rows(raw.reshape(out.shape), out)
        names = [("x", raw)]
    # a sum of large numbers may be infinite
    if not finite:
        for name, array in names:
            check_finite(name, array, first_row=first)


def _copy_rows(raw: NDArray[Any], out: Float32) -> bool:
    rows = max(1, CACHED // out.shape[1])
    finite = True
    for start in range(0, len(out), rows):
        part = out[start : start + rows]
        np.copyto(part, raw[start : start + rows], casting="unsafe")
        finite = finite and bool(np.isfinite(np.add.reduce(part, axis=None)))
    return finite


def _copy_columns(raw: list[NDArray[Any]], out: Float32) -> bool:
    rows = max(1, CACHED // out.shape[1])
    finite = True
    for start in range(0, len(out), rows):
        part, at = out[start : start + rows], 0
        for column in raw:
            width = 1 if column.ndim == 1 else column.shape[1]
            np.copyto(
                part[:, at : at + width], column[start : start + rows].reshape(len(part), width), casting="unsafe"
            )
            at += width
        finite = finite and bool(np.isfinite(np.add.reduce(part, axis=None)))
    return finite


class Filling:
    """Reads rows of a source for one purpose.

    Parameters
    ----------
    source : Source
        What to read.
    units : int
        Of the model's output.
    loss : Loss, optional
        What targets must suit; None reads features alone.
    weigh : callable, optional
        Makes the factors of rows.
    """

    def __init__(self, source: Source, units: int, loss: Loss | None, weigh: Weigh | None = None) -> None:
        self._reader, self._units, self._loss, self._weigh = source.reader, units, loss, weigh

    def __call__(self, first: int, last: int, x: Float32, y: Float32, weights: Float32) -> None:
        """Read the rows from ``first`` to ``last`` into float32 arrays.

        Raises
        ------
        ValueError, TypeError, SourceError
            With the rows in the message.
        """
        try:
            raw = self._reader.read(first, last, targets=self._loss is not None)
            copy_finite(raw.x, x, first)
            if self._loss is not None:
                self._fill_targets(raw, first, y, weights)
            # arrays of a map must be gone before its pages
            del raw
            self._reader.release(first, last)
        except SourceError:
            raise
        except (ValueError, TypeError) as error:
            raise type(error)(f"rows {first} to {last - 1} of the source: {error}") from None

    def _fill_targets(self, raw: Raw, first: int, y: Float32, weights: Float32) -> None:
        assert self._loss is not None
        check_finite("y", raw.y, first_row=first)
        y[...] = check_y(raw.y, len(y), self._units, self._loss)
        own = check_sample_weight(raw.weights, len(y))
        factors = own if self._weigh is None else self._weigh(y, own)
        if factors.size:
            weights[...] = factors

    def centre(self, rows: int) -> NDArray[np.float64]:
        """Return the means of the first targets."""
        assert self._loss is not None
        raw = self._reader.read(0, rows, targets=True)
        targets = check_y(raw.y, rows, self._units, self._loss)
        return np.asarray(targets.mean(axis=0, dtype=np.float64))


def load(source: Source) -> Raw:
    """Return all rows of a source that fit: features as float32, the rest as they are stored."""
    reader = source.reader
    x = np.empty((source.rows, int(np.prod(reader.shape))), np.float32)
    others: list[list[Any]] = []
    bounds = source.layout.bounds
    with np.errstate(all="ignore"):
        for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            try:
                raw = reader.read(first, last, targets=True)
                copy_finite(raw.x, x[first:last], first)
            except (ValueError, TypeError) as error:
                raise type(error)(f"rows {first} to {last - 1} of the source: {error}") from None
            # copies, for what is mapped is given back
            others.append([None if part is None else np.array(part) for part in raw[1:]])
            del raw
            reader.release(first, last)
    y, weights = (None if parts[0] is None else np.concatenate(parts) for parts in zip(*others, strict=True))
    return Raw(x.reshape(source.rows, *reader.shape), y, weights)
