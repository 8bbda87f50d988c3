"""What ``fit``, ``evaluate`` and ``predict`` do with a Source that is larger than its windows."""

from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .data.filling import Filling, load
from .data.given import as_source
from .data.source import Source
from .engine.predictor import Predictor
from .engine.session import Session
from .engine.stream import Stream
from .fitting import Run, class_weights
from .hooks import Logs
from .judging import Hooks
from .losses import Loss
from .saving.backup import Place

if TYPE_CHECKING:
    from .model import Sequential

Float32 = NDArray[np.float32]
# targets whose mean is subtracted before squares are summed
FIRST_TARGETS = 1024
REASONS = {
    "y": "give it to Source",
    "sample_weight": "give it to Source",
    "validation_split": "its rows are read in blocks and none are put aside; give validation_data, which may be arrays "
    "or another Source",
    "rows": "make a Source of these rows",
    "validation_rows": "give validation_data, which may be arrays or another Source",
    "optimizer": "LBFGS takes all rows at once, as arrays; a Source needs an optimizer such as 'adam'",
    "shuffle": "a Source has an order of its own; True or False will do",
}


def sourced(
    method: str, x: Any, y: Any = None, sample_weight: Any = None, **of_arrays: Any
) -> tuple[Source | None, Any, Any, Any]:
    """Return data as a Source that is larger than memory should be, or None, and x, y and sample weights as arrays.

    Parameters
    ----------
    **of_arrays
        Arguments of the method that go with arrays alone.

    Raises
    ------
    ValueError
        When such an argument was given with a Source.
    """
    if type(x) is np.ndarray:
        # what most calls have; to find out what else it might be takes some microseconds
        return None, x, y, sample_weight
    given = {name: value for name, value in of_arrays.items() if value is not None and value is not False}
    source = as_source(x, y, sample_weight, as_array=bool(given))
    if source is None:
        return None, x, y, sample_weight
    own = {"y": y, "sample_weight": sample_weight} if source is x else {}
    if source is x or not source.fits:
        for name, value in {**own, **given}.items():
            if value is not None:
                what = (
                    "a Source" if source is x else f"{source.rows} rows of x, more than the {source.window} of a window"
                )
                who = "the optimizer LBFGS" if name == "optimizer" else name
                raise ValueError(f"{who} must not be given to {method} with {what}: {REASONS[name]}")
    if not source.fits:
        return source, None, None, None
    return None, *load(source)


def make_stream(
    model: "Sequential",
    source: Source,
    loss: Loss | None,
    purpose: str,
    batch: int,
    *,
    class_weight: Any = None,
    shuffled: bool = False,
    steps: int | None = None,
) -> Stream:
    """Return what reads a source for a model, which its shape may build.

    Parameters
    ----------
    loss : Loss, optional
        None for features alone.
    purpose : str
        What the rows are for, in messages.
    batch : int
        Rows of a batch.
    steps : int, optional
        How many batches an epoch takes.
    """
    reader = source.reader
    row = np.zeros((1, *reader.shape), np.float32)
    columns, weighted = 0, False
    weigh: Callable[[Float32, Float32], Float32] | None = None
    if loss is None:
        model._features(row)
    else:
        if not reader.has_targets:
            raise ValueError(f"the Source must have y (target, with a dataset) to {purpose}")
        weighted = reader.weighted or class_weight is not None
        targets = np.zeros((1, *reader.target_shape), np.float32)
        model._checked(row, targets, np.ones(1) if weighted else None, loss, purpose)
        columns = 1 if loss.sparse else model._ready().plan.units
        if class_weight is not None:
            weigh = _by_class(class_weight, loss)
    if batch > source.window:
        raise ValueError(
            f"batch_size must be at most the {source.window} rows that the Source has in memory together, got {batch}; "
            "give Source a larger block_rows, block_bytes or buffer"
        )
    return Stream(
        source.layout, Filling(source, model._ready().plan.units, loss, weigh), row.size, columns, weighted=weighted,
        batch=batch, shuffled=shuffled, limit=None if steps is None else steps * batch,
    )  # fmt: skip


def _by_class(class_weight: Any, loss: Loss) -> Callable[[Float32, Float32], Float32]:
    return lambda targets, weights: class_weights(class_weight, targets, weights, loss)


def set_centre(stream: Stream, session: Session) -> None:
    """Read some targets, if a metric wants to know what they are near to."""
    if session.centred and stream.centre is None:
        fill = stream.fill
        assert isinstance(fill, Filling)
        stream.centre = fill.centre(min(stream.rows, FIRST_TARGETS))


class StreamRun(Run):
    """One call of ``fit`` with a Source; a thread reads ahead, also over the end of an epoch."""

    def train(self, first: int, last: int) -> None:
        """Train the epochs from ``first`` to ``last``."""
        assert isinstance(self.data, Stream)
        self._last = last
        with self.data.closing():
            set_centre(self.data, self.session)
            super().train(first, last)

    def _epoch(self, epoch: int, place: Place) -> Logs | None:
        self._more_to_come = epoch + 1 < self._last
        return super()._epoch(epoch, place)

    def _train_rows(self, place: Place, steps_a_call: int | None) -> bool:
        assert isinstance(self.data, Stream)
        session = self.session
        parts = self.data.parts(
            int(session.seed), session.epochs_trained, place.step * self.batch, more=self._more_to_come
        )
        return session.train_parts(parts, self.batch, watch=self._watch, steps_a_call=steps_a_call, sums=place.sums)


def predict_stream(
    predictor: Predictor, stream: Stream, units: int, hooks: Hooks, watch: Callable[[int], None]
) -> Float32:
    """Return the outputs for the rows of a source; with hooks, by batch."""
    outputs = np.empty((stream.limit, units), np.float32)
    with stream.closing(), closing(stream.parts()) as parts:
        for begin, feed in parts:
            step = stream.batch if hooks else feed.rows
            for first in range(0, feed.rows, step):
                hooks.begin()
                made = predictor(feed.part(first, first + step).x)
                done = begin + first + len(made)
                outputs[done - len(made) : done] = made
                hooks.end(partial(dict, outputs=made))
                watch(done)
    return outputs
