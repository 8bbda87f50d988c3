"""Rows that a thread reads ahead while the compiled loops train on those that it has read."""

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .feed import NO_WEIGHTS, Feed
from .portions import EpochOrder, Layout

Float32 = NDArray[np.float32]
# reads the rows from a first one to the one before a last one, checks them, and writes features, targets and weights
Fill = Callable[[int, int, Float32, Float32, Float32], None]
# An epoch's row, and the feed that begins with it.
Part = tuple[int, Feed]

# Windows in memory: one to train on, and one that is filled.
BUFFERS = 2
# how long whoever waits for a read takes to hear of Ctrl-C where signals do not wake it, and how long the end of a
# read is waited for, after Ctrl-C and otherwise
SECONDS_A_LOOK, SECONDS_AFTER_A_SIGNAL, SECONDS_TO_END = 0.05, 0.05, 10.0


class _Buffer(NamedTuple):
    """Memory for a window, and for rows that the window before leaves."""

    x: Float32
    y: Float32
    weights: Float32
    order: NDArray[np.int64]


class _Left(NamedTuple):
    """Rows of a window that have not filled a batch."""

    buffer: _Buffer
    # where they are in it
    places: NDArray[np.int64] | slice
    # whether nobody but the reader has had the buffer
    kept: bool


class Stream:
    """Rows that are read window by window.

    Parameters
    ----------
    layout : Layout
        How the rows are cut.
    fill : callable
        Reads and checks rows; called in another thread.
    features, columns : int
        Of a row's features and targets.
    weighted : bool
        Whether rows have weights.
    batch : int
        Rows of a batch, at most as many as a window has. Every part but an epoch's last is of whole batches.
    shuffled : bool
        Whether an epoch has an order of its own.
    limit : int, optional
        How many rows of its order an epoch takes; by default all.
    centre : float64 array (columns,), optional
        What metrics subtract from targets so that no figures cancel; anything near their mean.
    """

    def __init__(
        self,
        layout: Layout,
        fill: Fill,
        features: int,
        columns: int,
        *,
        weighted: bool,
        batch: int,
        shuffled: bool,
        limit: int | None = None,
        centre: NDArray[np.float64] | None = None,
    ) -> None:
        self.layout, self.fill, self.batch, self.shuffled = layout, fill, batch, shuffled
        self.features, self.columns, self.weighted, self.centre = features, columns, weighted, centre
        self.rows = layout.rows
        self.limit = self.rows if limit is None else min(limit, self.rows)
        self._buffers: list[_Buffer] = []
        self._reading: _Reading | None = None

    def parts(
        self, seed: int = 0, epoch: int = 0, first: int = 0, *, more: bool = False
    ) -> Generator[Part, None, None]:
        """Yield an epoch from its row ``first``, the beginning of a batch; the rows last until the next part.

        With ``more``, the next epoch is read ahead.
        """
        wanted = (seed, epoch, first)
        if self._reading is None or self._reading.ahead != wanted:
            self.close()
            if not self._buffers:
                self._buffers = [self._buffer() for _ in range(BUFFERS)]
            # known before it starts: Ctrl-C may come in any line
            self._reading = _Reading(self, self._buffers, wanted)
            self._reading.more = more
            self._reading.start()
        reading = self._reading
        reading.more = more
        complete = False
        try:
            while True:
                part = reading.next()
                if part is None:
                    break
                yield part
            complete = True
        finally:
            reading.ahead = (seed, epoch + 1, 0) if complete and more else None
            if reading.ahead is None:
                reading.stop(0)

    @contextmanager
    def closing(self) -> Iterator[None]:
        """End the reading at the end; after Ctrl-C, and the like, without waiting for a read."""
        patient = False
        try:
            yield
            patient = True
        except Exception:
            patient = True
            raise
        finally:
            self.close(patient=patient)

    def close(self, *, patient: bool = True) -> None:
        """End the reading; a read that goes on is waited for, for a while if ``patient``, and ends its thread."""
        reading, self._reading = self._reading, None
        if reading is not None and not reading.stop(SECONDS_TO_END if patient else SECONDS_AFTER_A_SIGNAL):
            # it may still write to them
            self._buffers = []

    def _buffer(self) -> _Buffer:
        rows = self.layout.window + self.batch - 1
        return _Buffer(
            np.empty((rows, self.features), np.float32),
            np.empty((rows, self.columns), np.float32),
            np.empty(rows if self.weighted else 0, np.float32),
            np.empty(rows if self.shuffled else 0, np.int64),
        )


class _Reading:
    """A thread that fills buffers, epoch after epoch."""

    def __init__(self, stream: Stream, buffers: list[_Buffer], ahead: tuple[int, int, int]) -> None:
        self._stream, self.more = stream, False
        # the epoch, and where in it, that the next part is of; None after an end before its time
        self.ahead: tuple[int, int, int] | None = ahead
        self._free: queue.SimpleQueue[_Buffer | None] = queue.SimpleQueue()
        self._ready: queue.SimpleQueue[tuple[_Buffer, Part] | BaseException | None] = queue.SimpleQueue()
        for buffer in buffers:
            self._free.put(buffer)
        self._used: _Buffer | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fastmlp reads ahead", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self, seconds: float) -> bool:
        """Have the thread end, and wait so long for it; say whether it has."""
        self._stop.set()
        self._free.put(None)
        if self._thread.ident is None:
            return True
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def next(self) -> Part | None:
        """Return the next part, or None at the end of an epoch; what the part before has used is read into again."""
        if self._used is not None:
            self._free.put(self._used)
            self._used = None
        while True:
            try:
                found = self._ready.get(timeout=SECONDS_A_LOOK)
                break
            except queue.Empty:
                continue
        if found is None:
            return None
        if isinstance(found, BaseException):
            raise found
        self._used, part = found
        return part

    def _run(self) -> None:
        assert self.ahead is not None
        seed, number, first = self.ahead
        try:
            # what is not finite is found and told
            with np.errstate(all="ignore"):
                while not self._stop.is_set():
                    order = self._stream.layout.epoch(seed, number, shuffled=self._stream.shuffled)
                    if not self._read(order, first):
                        return
                    self._ready.put(None)
                    if not self.more:
                        return
                    number, first = number + 1, 0
        except BaseException as error:
            # raised where the rows are waited for
            self._ready.put(error)

    def _read(self, order: EpochOrder, done: int) -> bool:
        """Read an epoch of which so many rows are done; False if it was stopped."""
        stream = self._stream
        window, limit = stream.layout.window, stream.limit
        left: _Left | None = None
        for number in range(done // window, stream.layout.windows):
            begin = number * window
            if done >= limit:
                break
            end = min(begin + window, stream.rows)
            buffer = self._free.get()
            if buffer is None or self._stop.is_set():
                return False
            carried = max(begin - done, 0)
            if left is not None:
                self._carry(left, buffer, carried)
            at = carried
            for first, last in order.runs(number):
                stop = at + last - first
                weights = buffer.weights[at:stop] if stream.weighted else buffer.weights
                stream.fill(first, last, buffer.x[at:stop], buffer.y[at:stop], weights)
                if self._stop.is_set():
                    return False
                at = stop
            if order.shuffled:
                buffer.order[:carried] = np.arange(carried)
                order.mix(number, buffer.order[carried:at])
                buffer.order[carried:at] += carried
            # whole batches, of which the first may begin in the midst of the window
            ready = limit if end >= limit else end // stream.batch * stream.batch
            skipped = max(done - begin, 0)
            taken = ready - done
            if taken > 0:
                self._ready.put((buffer, (done, self._feed(buffer, skipped, skipped + taken, order.shuffled))))
            rest = slice(skipped + taken, at)
            left = _Left(buffer, buffer.order[rest] if order.shuffled else rest, taken <= 0)
            done = ready
        return True

    def _carry(self, left: _Left, buffer: _Buffer, count: int) -> None:
        """Copy the rows that a window has left to the beginning of the next one."""
        for source, target in zip(left.buffer[:3], buffer[:3], strict=True):
            if source.size and count:
                target[:count] = source[left.places]
        if left.kept:
            self._free.put(left.buffer)

    def _feed(self, buffer: _Buffer, first: int, last: int, shuffled: bool) -> Feed:
        """The rows of a buffer from ``first`` to ``last`` of its order."""
        weights = buffer.weights if buffer.weights.size else NO_WEIGHTS
        if shuffled:
            feed = Feed(buffer.x, buffer.y, weights, chosen=buffer.order[first:last])
        else:
            feed = Feed(buffer.x[first:last], buffer.y[first:last], weights[first:last])
        if self._stream.centre is not None:
            feed.set_centre(self._stream.centre)
        return feed
