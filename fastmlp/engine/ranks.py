"""Several processes that train one model together: who has which rows of a batch, and how their gradients meet.

Every rank makes the gradients of its rows. Between the two phases of a step they are added, by one message over all
ranks with the sums of the step behind the gradients; the optimizer's step is then the same for all. In order, each
rank goes on from the gradients of the one before instead, so that every sum is made as one process would make it.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..kernels import memory
from ..kernels.jit import kernel
from ..kernels.meeting import Meeting
from . import tables as t
from .epoch import add_pieces
from .feed import NO_ORDER, Feed
from .pace import Pace
from .parameters import shard_pieces
from .plan import Plan
from .workspace import Cut, cut_batch

Numbers = NDArray[np.float32] | NDArray[np.float64] | NDArray[np.int64]


class Wire(Protocol):
    """What carries arrays between ranks. Every method but ``send`` and ``receive`` is called by all ranks at a time."""

    rank: int
    size: int

    def add(self, array: Numbers) -> None:
        """Replace an array by the sum of all ranks' arrays."""

    def broadcast(self, array: Numbers, root: int) -> None:
        """Replace an array by that of rank ``root``."""

    def gather(self, array: Numbers, counts: list[int]) -> None:
        """Fill a flat array with the parts of all ranks in their order, of so many numbers; one's own is there."""

    def send(self, array: Numbers, to: int) -> None:
        """Send an array to one rank."""

    def receive(self, array: Numbers, source: int) -> None:
        """Fill an array with what one rank sends."""


class Part(NamedTuple):
    """Which rows of a batch a rank has."""

    batch: int
    rows: int
    place: int


class Share(NamedTuple):
    """What a rank has of every batch of an epoch.

    Attributes
    ----------
    cut : Cut
        Of the rows here.
    full, short : Part
        Of all batches but the last one, and of the last one.
    samples, total : int
        Rows of the epoch in all ranks, and here.
    steps : int
        Of the epoch.
    first_shard, all_shards : int
        Which of the shards that one process would make are here; only in order.
    pace : Pace
        How many threads are worth their while.
    """

    cut: Cut
    full: Part
    short: Part
    samples: int
    total: int
    steps: int
    first_shard: int
    all_shards: int
    pace: Pace

    @property
    def most(self) -> int:
        """Rows here in a step, at most."""
        return max(self.full.rows, self.short.rows)

    def place_in(self, job: t.Int64, meeting: Meeting) -> None:
        """Write the numbers of a run to its job."""
        job[t.BATCH_SIZE], job[t.SAMPLES] = self.full.rows, self.total
        job[t.MEETING_AT] = meeting.address
        _, _, job[t.PLACE] = self.full
        job[t.ALL_ROWS] = self.full.batch
        job[t.SHORT_STEP] = self.steps - 1
        job[t.SHORT_ALL_ROWS], job[t.SHORT_ROWS], job[t.SHORT_PLACE] = self.short
        job[t.FIRST_SHARD], job[t.ALL_SHARDS] = self.first_shard, self.all_shards


def _even(count: int, rank: int, size: int) -> tuple[int, int]:
    """First and last of ``count`` things that a rank has; the first ranks have one more where they are uneven."""
    each, more = divmod(count, size)
    first = rank * each + min(rank, more)
    return first, first + each + (rank < more)


@kernel
def finite_loss(pieces: t.Float64, count: int) -> bool:
    """Say whether the loss of so many pieces of a step is finite."""
    loss = np.float64(0)
    for piece in range(count):
        loss += pieces[piece, t.PIECE_LOSS]
    return bool(np.isfinite(loss))


@kernel
def tell_sums(pieces: t.Float64, count: int, told: t.Float32) -> None:
    """Write the sums of a step's pieces, each as two float32 numbers, and whether the loss is finite."""
    told[:] = 0
    if not finite_loss(pieces, count):
        told[t.MET_FINITE] = np.float32(np.nan)
        return
    for i in range(pieces.shape[1]):
        total = np.float64(0)
        for piece in range(count):
            total += pieces[piece, i]
        told[t.MET_SUMS + 2 * i] = np.float32(total)
        told[t.MET_SUMS + 2 * i + 1] = np.float32(total - np.float64(np.float32(total)))


@kernel
def add_told(told: t.Float32, sums: t.Float64) -> None:
    """Add what all processes have written to an epoch's sums."""
    sums[t.LOSS_SUM] += np.float64(told[t.MET_FINITE])
    for i in range((told.size - t.MET_SUMS) // 2):
        total = np.float64(told[t.MET_SUMS + 2 * i]) + np.float64(told[t.MET_SUMS + 2 * i + 1])
        sums[t.LOSS_SUM if i == t.PIECE_LOSS else t.METRIC_SUMS + i - t.PIECE_METRICS] += total


def warm_up_told() -> None:
    """Compile what is called when gradients meet, or load it."""
    pieces, sums = memory.zeros((1, t.PIECE_METRICS), np.float64), memory.zeros(t.METRIC_SUMS, np.float64)
    told = memory.zeros(t.MET_SUMS + 2 * t.PIECE_METRICS)
    tell_sums(pieces, 1, told)
    add_told(told, sums)
    finite_loss(pieces, 1)
    add_pieces(pieces, sums, 1)


class Ranks:
    """The processes of a training, seen from one of them.

    Parameters
    ----------
    wire : Wire
        Between them.
    in_order : bool
        Whether sums are to have the bits that one process would get.
    sharded : bool
        Whether every rank has rows of its own, as many as all others; else all have all rows.
    wants_end : callable
        Asked in every step; where it says so at one rank, the epoch ends before this step for all.
    """

    def __init__(self, wire: Wire, *, in_order: bool, sharded: bool, wants_end: Callable[[], bool]) -> None:
        self.wire, self.in_order, self.sharded, self.wants_end = wire, in_order, sharded, wants_end
        self._shares: dict[tuple[int, int], Share] = {}

    def all_of(self, rows: int) -> int:
        """How many rows there are in all ranks, of which ``rows`` are known here."""
        return rows * self.wire.size if self.sharded else rows

    def share(self, plan: Plan, rows: int, batch: int) -> Share:
        """What this rank has of batches of ``batch`` rows in all ranks, of an epoch of ``rows`` that are known here."""
        found = self._shares.get((rows, batch))
        if found is None:
            found = self._shares[rows, batch] = self._share(plan, self.all_of(rows), batch)
        return found

    def aligned(self, plan: Plan) -> bool:
        """Whether ranks have whole pieces: for sums in order, and for stages that standardise by the batch."""
        return self.in_order or bool(plan.network.barriers.size)

    def _share(self, plan: Plan, samples: int, batch: int) -> Share:
        steps = -(-samples // batch)
        rest = samples - (steps - 1) * batch
        rank, size = self.wire.rank, self.wire.size
        shards, first_shard = 0, 0
        if self.aligned(plan):
            whole = cut_batch(plan, batch, training=True)
            shards = whole.shards
            first_shard, last_shard = _even(shards, rank, size)
            cut = Cut(whole.piece, whole.block, last_shard - first_shard)
            full, short = (self._part(each, whole) for each in (batch, rest))
        else:
            full, short = (Part(each, last - first, first) for each, (first, last) in (
                (batch, _even(batch, rank, size)), (rest, _even(rest, rank, size)),
            ))  # fmt: skip
            cut = cut_batch(plan, max(full.rows, short.rows, 1), training=True)
        total = (steps - 1) * full.rows + short.rows
        return Share(cut, full, short, samples, total, steps, first_shard, shards, Pace())

    def _part(self, batch: int, cut: Cut) -> Part:
        """Whole pieces, or whole shards where gradients are made by shards."""
        rank, size = self.wire.rank, self.wire.size
        pieces = -(-batch // cut.piece)
        if cut.shards:
            begin, end = _even(cut.shards, rank, size)
            first, _ = shard_pieces(begin, cut.shards, pieces)
            last, _ = shard_pieces(end, cut.shards, pieces)
        else:
            first, last = _even(pieces, rank, size)
        low, high = (min(piece * cut.piece, batch) for piece in (first, last))
        return Part(batch, high - low, low)

    def own(self, share: Share, order: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of an epoch that are this rank's, step by step; an empty ``order`` is the rows' own."""
        if self.sharded:
            return order
        if order is NO_ORDER:
            order = np.arange(share.samples)
        whole = (share.steps - 1) * share.full.batch
        low, high = share.full.place, share.full.place + share.full.rows
        full = order[:whole].reshape(share.steps - 1, share.full.batch)[:, low:high]
        last = order[whole:][share.short.place : share.short.place + share.short.rows]
        return np.concatenate((full.ravel(), last))

    def part(self, feed: Feed) -> Feed:
        """The rows of an evaluation that are this rank's."""
        return feed if self.sharded else feed.part(*_even(feed.rows, self.wire.rank, self.wire.size))

    def centre(self, feed: Feed, *, weighted: bool) -> NDArray[np.float64]:
        """The mean of each column of the targets of all ranks."""
        own = feed.centre(weighted=weighted)
        if not self.sharded:
            return own
        chosen = slice(None) if feed.chosen is None else feed.chosen
        weight = float(feed.weights[chosen].sum()) if weighted and feed.weights.size else float(feed.rows)
        sums = np.append(own * weight, weight)
        self.wire.add(sums)
        return np.asarray(sums[:-1] / sums[-1])

    def meeting(
        self, gradients: t.Float32, sums: t.Float64, parameters: int, job: t.Int64, space: t.Workspace
    ) -> Meeting:
        """What the compiled loop calls between the phases of a step.

        Parameters
        ----------
        gradients : float32 (parameters + MET_SUMS + ...,)
            Those of the rows here, and what is told behind them.
        sums : float64
            The running sums of the epoch.
        parameters : int
            How many gradients there are.
        job : int64
            The numbers of the run.
        space : Workspace
            With the sums of pieces here, and, where stages standardise by a batch, the statistics of all its pieces.
        """
        meet = self._gradients_meet(gradients, sums, parameters, job, space.sums)
        statistics = space.piece_statistics
        if not statistics.size:
            return Meeting(meet)
        flat, each = statistics.reshape(-1), statistics[0].size

        def meet_either() -> bool:
            pieces = int(job[t.MET_PIECES])
            if not pieces:
                return meet()
            if pieces > 0 and self._any_wants_end():
                return True
            parts = (_even(abs(pieces), rank, self.wire.size) for rank in range(self.wire.size))
            self.wire.gather(flat, [(last - first) * each for first, last in parts])
            return False

        return Meeting(meet_either)

    def _any_wants_end(self) -> bool:
        flags = np.array([self.wants_end()], np.int64)
        self.wire.add(flags)
        return bool(flags[0])

    def _gradients_meet(
        self, gradients: t.Float32, sums: t.Float64, parameters: int, job: t.Int64, pieces: t.Float64
    ) -> Callable[[], bool]:
        told, add, wants_end = gradients[parameters:], self.wire.add, self.wants_end
        if self.in_order:
            return _Turns(self, gradients, sums, told, job, pieces).meet

        def meet() -> bool:
            tell_sums(pieces, int(job[t.TOLD_PIECES]), told)
            if wants_end():
                told[t.MET_END] = 1
            add(gradients)
            if told[t.MET_END]:
                return True
            add_told(told, sums)
            return False

        return meet


class _Turns:
    """The meetings of a run in order: one before the gradients are made, and one after."""

    def __init__(
        self, ranks: Ranks, gradients: t.Float32, sums: t.Float64, told: t.Float32, job: t.Int64, pieces: t.Float64
    ) -> None:
        self.ranks, self.gradients, self.sums, self.told = ranks, gradients, sums, told
        self.job, self.pieces = job, pieces
        self.before = sums.copy()
        self.begun = False

    def meet(self) -> bool:
        """Wait for the rank before; or let the next one go on, and wait for the last."""
        self.begun = not self.begun
        return self._receive() if self.begun else self._hand_on()

    def _receive(self) -> bool:
        wire = self.ranks.wire
        np.copyto(self.before, self.sums)
        if wire.rank == 0:
            self.gradients[:] = 0
        else:
            for array in (self.gradients, self.sums):
                wire.receive(array, wire.rank - 1)
        return False

    def _hand_on(self) -> bool:
        wire, count = self.ranks.wire, int(self.job[t.TOLD_PIECES])
        last = wire.size - 1
        if not finite_loss(self.pieces, count):
            self.told[t.MET_FINITE] = np.nan
        add_pieces(self.pieces, self.sums, count)
        if self.ranks.wants_end():
            self.told[t.MET_END] += 1
        for array in (self.gradients, self.sums):
            if wire.rank < last:
                wire.send(array, wire.rank + 1)
        for array in (self.gradients, self.sums):
            wire.broadcast(array, last)
        if not self.told[t.MET_END]:
            return False
        # the step is not made
        np.copyto(self.sums, self.before)
        return True
