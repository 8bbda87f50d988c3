"""Evaluation and prediction of rows or blocks, with the hooks of single batches."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .blocks import Blocks
from .callbacks import Callback
from .engine.feed import Feed
from .engine.predictor import Predictor
from .engine.ranks import Ranks
from .engine.session import Session
from .engine.stream import Stream
from .hooks import Logs, overrides
from .rows import Rows

Float32 = NDArray[np.float32]
TEST_HOOKS = ("on_test_batch_begin", "on_test_batch_end")
PREDICT_HOOKS = ("on_predict_batch_begin", "on_predict_batch_end")


class Hooks:
    """The callbacks that want to hear of single batches, by those of their hooks that do something."""

    def __init__(self, members: Iterable[Callback], begin: str, end: str) -> None:
        members = list(members)
        self._begin, self._end = (
            [getattr(member, hook) for member in members if overrides(member, hook)] for hook in (begin, end)
        )
        self.number = -1

    def __bool__(self) -> bool:
        return bool(self._begin or self._end)

    def begin(self) -> None:
        """A batch begins."""
        self.number += 1
        for hook in self._begin:
            hook(self.number, None)

    def end(self, logs: Callable[[], dict[str, Any]]) -> None:
        """A batch has ended; ``logs`` makes what each hook gets."""
        for hook in self._end:
            hook(self.number, logs())


def evaluate(
    session: Session,
    data: Feed | Blocks | Stream,
    batch: int,
    members: Iterable[Callback],
    watch: Callable[[int, Logs], None],
    ranks: Ranks | None = None,
) -> Logs:
    """Return the loss and the metrics of rows, or of an epoch of blocks that has begun.

    Rows go through in pieces that suit the caches, unless a hook of single batches wants them by ``batch``.

    Parameters
    ----------
    watch : callable
        Called with the rows so far and their logs, now and then.
    ranks : Ranks, optional
        Who share the rows, but where a hook wants them.
    """
    hooks = Hooks(members, *TEST_HOOKS)
    if isinstance(data, Feed) and not hooks:
        return session.evaluate(
            data, min(batch, data.rows), watch=lambda rows: watch(rows, session.results()), ranks=ranks
        )

    if isinstance(data, Stream) and not hooks:
        with data.closing():
            return session.evaluate_parts(data.parts(), data.batch, lambda rows: watch(rows, session.results()))

    def feeds() -> Iterator[Feed]:
        for feed in data.feeds() if isinstance(data, Blocks) else _parts(data, batch):
            with session.turns.open():
                hooks.begin()
            yield feed

    def after(rows: int) -> None:
        with session.turns.open():
            hooks.end(session.results)
        watch(rows, session.results())

    with data.closing() if isinstance(data, Stream) else nullcontext():
        return session.evaluate_blocks(feeds(), watch=after)


def _parts(data: Feed | Stream, batch: int) -> Iterator[Feed]:
    for feed in [data] if isinstance(data, Feed) else (feed for _, feed in data.parts()):
        for first in range(0, feed.rows, batch):
            yield feed.part(first, first + batch)


def predict(
    predictor: Predictor, data: Rows | Blocks, batch: int, hooks: Hooks, watch: Callable[[int], None]
) -> Float32:
    """Return the outputs for rows, or for an epoch of blocks that has begun; see :func:`evaluate`."""
    if not isinstance(data, Blocks) and not (hooks and len(data)):
        return predictor(data, watch)
    if isinstance(data, Blocks):
        parts: Iterable[Rows] = (feed.x for feed in data.feeds())
    else:
        parts = (data[first : first + batch] for first in range(0, len(data), batch))
    outputs: list[Float32] = []
    rows = 0
    for part in parts:
        hooks.begin()
        made = predictor(part)
        outputs.append(made)
        rows += len(made)
        hooks.end(partial(dict, outputs=made))
        watch(rows)
    return np.concatenate(outputs)
