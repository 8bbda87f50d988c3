"""A plan with its training memory: runs epochs in calls short enough that Python stays responsive."""

import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import TrainingDivergedError
from ..inputs import check_indices, surely_finite
from ..kernels import memory
from ..kernels.jit import machine_code
from ..kernels.random import shuffle
from ..kernels.unraised import nothing_dropped
from ..losses.table import is_common as is_common_loss
from ..metrics.kinds import FIRST_PARAMETER, LAST_PARAMETER, R2, WEIGHTED
from ..threads import Team
from . import tables as t
from .again import FINITE, REFUSED, Again
from .epoch import FINISHED, run_steps
from .extensions import custom_loss_address, loss_address, metric_address, update_address
from .feed import NO_ORDER, Feed
from .interruption import begin_looking
from .pace import (
    FLOPS_A_SECOND,
    FLOPS_A_THREAD_AND_RUN,
    FLOPS_A_THREAD_AND_STEP,
    MOST_BLOCKS,
    SECONDS_A_CALL,
    SHORTEST,
    Pace,
    item_shares,
    row_shares,
    threads_for,
)
from .parameters import GROUP
from .plan import Plan
from .ranks import Ranks
from .state import NOTHING, State, no_update
from .workspace import Cut, Room, cut_batch, make_workspace

# a step that is a run by itself is made by one thread in any case below this
AGAIN = 2 * FLOPS_A_THREAD_AND_RUN
# Multiply-adds of an update, which cannot be interrupted: above that, all gradients are made first (for 1 to 3 % of a
# step's time), and only the optimizer's part is left to it.
LONGEST_UPDATE = 6_000_000_000
# Parameters for which the optimizer's part alone takes so long that it is left half done: every weight is from before
# the step or from after it.
LARGEST_UPDATE = 25_000_000
# bounds of targets
ANY = -np.inf, np.inf
# called with the rows so far; True ends the run
Watch = Callable[[int], bool | None]
# called with the number of rows, returns the order of an epoch
Order = Callable[[int], Any]


class _Size(NamedTuple):
    """How batches of one size are worked on."""

    cut: Cut
    rows: int
    flops: float
    pace: Pace


# sizes and workspaces that are kept
MOST_SIZES, MOST_ROOMS = 64, 4


class Session(State):
    """How one model is trained and evaluated: runs over rows, cut into compiled calls.

    Parameters
    ----------
    plan : Plan
        The model's tables and parameters.
    seed : int
        Of the shuffling.
    """

    def __init__(self, plan: Plan, seed: int) -> None:
        super().__init__(plan, seed)
        # where extensions are, and for what they were looked up
        self._wanted: tuple[object, ...] = ()
        self._found = (t.NOWHERE,) * 4
        self._sizes: dict[tuple[bool, int, bool], _Size] = {}
        self._rooms: dict[tuple[object, ...], Room] = {}
        self._again: Again | None = None
        # of a row, as the penalties have it
        self._worth = math.nan
        # words of a leader alone; with helpers, who may come late, each call has words of its own
        self._sync = t.new_words(1)
        # its machine code after the first call
        self._run_steps = run_steps
        self._called = False

    def _size(self, batch: int, *, training: bool) -> _Size:
        """How batches of so many rows are worked on; the sizes of late are kept."""
        whole = self._callback is not None
        found = self._sizes.get((training, batch, whole))
        if found is None:
            if len(self._sizes) >= MOST_SIZES:
                self._sizes.clear()
            cut = cut_batch(self.plan, batch, training=training, whole=whole)
            rows = batch if training else cut.block
            flops = (self.plan.training_flops if training else self.plan.forward_flops) * rows
            found = self._sizes[training, batch, whole] = _Size(cut, rows, flops, Pace())
        return found

    def _space(self, cut: Cut, batch: int, pieces: int, threads: int, feed: Feed, *, training: bool) -> t.Workspace:
        """The workspace for a run, with the job's numbers about it; the last few are kept, also for fewer rows."""
        metric_sums, weighted = self._sums.size - t.METRIC_SUMS, feed.weights.size > 0
        key = (cut, threads, feed.columns, metric_sums, training, weighted)
        room = self._rooms.get(key)
        if room is None or room.batch < batch or room.pieces < pieces:
            if len(self._rooms) >= MOST_ROOMS:
                self._rooms.clear()
            room = self._rooms[key] = make_workspace(
                self.plan, cut, batch, feed.columns, metric_sums, threads=threads, training=training,
                weighted=weighted, pieces=pieces,
            )  # fmt: skip
        job = self._job
        job[t.PIECE], job[t.BLOCK], job[t.SHARDS], job[t.CAPACITY] = cut.piece, cut.block, cut.shards, room.capacity
        job[t.PACK_ROOM], job[t.TARGET_COLUMNS] = self.plan.pack_floats, feed.columns
        job[t.WORD_ROOM], job[t.CONSTRAINED] = self.plan.word_room, self.plan.constrained
        return room.space

    def _centre(self, feed: Feed, ranks: Ranks | None) -> None:
        """Tell metrics that want to know where the middle of a run's targets is."""
        if not self.centred:
            return
        # a copy: a run around this one has its own
        parameters = self._objective.metric_parameters.copy()
        for (_, metric, _), row in zip(self._metrics, self._objective.metrics, strict=True):
            if metric.centred:
                centre = feed.centre if ranks is None else partial(ranks.centre, feed)
                parameters[row[FIRST_PARAMETER] : row[LAST_PARAMETER]] = centre(weighted=bool(row[WEIGHTED]))
        self._objective = self._objective._replace(metric_parameters=parameters)

    def _addresses(self, space: t.Workspace) -> None:
        """Say where the extensions are that a run needs; what is not yet in memory is compiled or loaded."""
        self.plan.prepare(space)
        job = self._job
        rare = any(metric.kind >= R2 for _, metric, _ in self._metrics)
        updates = self._extended and job[t.MODE] == t.TRAIN
        wanted = int(job[t.LOSS_KIND]), self._callback, rare, updates
        if wanted != self._wanted:
            whole = self.plan.network, space, self._objective, self._update
            common = is_common_loss(wanted[0])
            address = custom_loss_address if self._callback is not None else loss_address
            losses = t.NOWHERE if common else address(whole)
            callback = t.NOWHERE if self._callback is None else self._callback.address
            metrics = metric_address(whole) if rare else t.NOWHERE
            self._found = losses, callback, metrics, update_address(whole) if updates else t.NOWHERE
            self._wanted = wanted
        job[t.LOSS_AT], job[t.LOSS_CALLBACK], job[t.METRICS_AT], job[t.UPDATES_AT] = self._found

    def _gradients(self, shards: int, threads: int, batch: int, *, met: bool = False) -> None:
        """Make room for the gradients that a run keeps; ``met``: for what is told to other ranks as well."""
        size = self.plan.network.parameters.size
        whole = (
            met
            or self._job[t.CLIPS] >= t.BY_NORM
            or (shards == 0 and size <= LARGEST_UPDATE and batch * size > LONGEST_UPDATE)
        )
        self._job[t.WHOLE] = whole
        self._job[t.PARTIAL] = not met and size > LARGEST_UPDATE and self._job[t.MODE] == t.TRAIN
        told = t.MET_SUMS + 2 * (t.PIECE_METRICS + self._sums.size - t.METRIC_SUMS) if met else 0
        needed = shards * size + (size + told if whole else threads * GROUP)
        if self._update.gradients.size != needed:
            self._update = self._update._replace(gradients=memory.zeros(needed))

    def _begin(self, feed: Feed, mode: int, kept_sums: t.Float64 | None = None, ranks: Ranks | None = None) -> None:
        """Start a run, and its sums, with its first rows; ``kept_sums``: go on with these."""
        # not the old ones, which a run around this one goes on with
        self._sums = memory.few_zeros(self._sums.size) if kept_sums is None else memory.copied(kept_sums)
        self._centre(feed, ranks)
        self._job[t.MODE] = mode
        self._value_rows(feed.worth)

    def _value_rows(self, worth: float) -> None:
        """Say what a row counts for, where penalties are divided by rows."""
        if self.plan.divided and worth != self._worth:
            worths = self.plan.network.penalties[:, 3]
            worths[worths > 0] = self._worth = worth

    def _go(
        self,
        feed: Feed,
        batch_size: int,
        order: NDArray[np.int64] = NO_ORDER,
        watch: Watch | None = None,
        *,
        limit: int | None = None,
        steps_a_call: int | None = None,
        first_step: int = 0,
        again: bool = False,
        ranks: Ranks | None = None,
    ) -> None:
        """Go on with a run, with these rows; a loss that is not finite ends it.

        ``again``: this may be a stream of such batches, all rows in their order. With ``ranks`` a batch has rows at
        all of them, ``batch_size`` together.
        """
        job = self._job
        training = bool(job[t.MODE] != t.EVALUATE)
        share = None if ranks is None else ranks.share(self.plan, feed.rows, batch_size)
        if ranks is None or share is None:
            cut, size, flops, pace = self._size(batch_size, training=training)
            most, total, steps = size, feed.rows, -(-feed.rows // size)
        else:
            cut, size, most, total, steps = share.cut, share.full.rows, share.most, share.total, share.steps
            flops, pace = float(self.plan.training_flops * size), share.pace
            order = ranks.own(share, order)
        order, all_steps = feed.ordered(order), steps
        if limit is not None:
            steps = min(steps, limit)
        longest = steps if feed.direct else max(1, feed.block // max(size, 1))
        if training:
            shares = -(-most // cut.piece)
            pieces = shares if ranks is None or share is None else -(-share.full.batch // cut.piece)
            threads = threads_for(min(shares, cut.shards or shares), flops / FLOPS_A_THREAD_AND_STEP, flops * steps)
        else:
            longest = min(longest, MOST_BLOCKS)
            pieces = shares = min(longest, steps)
            threads = threads_for(shares, shares, flops * steps)
        if steps_a_call is not None:
            longest = min(longest, steps_a_call)
        job[t.BATCH_SIZE], job[t.SAMPLES], job[t.ITERATION] = size, total, self.iterations
        job[t.MEETING_AT], job[t.IN_ORDER] = t.NOWHERE, ranks is not None and ranks.in_order
        seconds_a_step = flops / FLOPS_A_SECOND + 1e-6
        step = first_step
        with Team(threads) as team:
            space = self._space(cut, most, pieces, team.size, feed, training=training)
            if training:
                self._gradients(cut.shards, team.size, size, met=ranks is not None)
            self._addresses(space)
            meeting = None
            if ranks is not None and share is not None:
                parameters = self.plan.network.parameters.size
                met = self._update.gradients[cut.shards * parameters :]
                meeting = ranks.meeting(met, self._sums, parameters, job, space)
                share.place_in(job, meeting)
            while step < steps:
                # of an evaluation each thread has a block
                least = 1 if training else team.size
                stop = min(step + min(longest, max(least, int(SECONDS_A_CALL / seconds_a_step))), steps)
                first, last = step * size, total if stop == all_steps else stop * size
                data, origin = feed.data(order, first, last)
                threads = pace.threads(team.size)
                job[t.FIRST_STEP], job[t.LAST_STEP] = step, stop
                job[t.ORIGIN], job[t.SHUFFLED], job[t.THREADS] = origin, data.order.size > 0, threads
                job[t.ITEM_SHARES] = item_shares(len(self.plan.network.items), threads)
                job[t.ROW_SHARES] = row_shares(most, cut, threads) if training else -(-(last - first) // cut.block)
                work = flops / 2 / threads * SECONDS_A_CALL / seconds_a_step
                looking = begin_looking(job, work, long=seconds_a_step > SECONDS_A_CALL)
                kept = self.plan.moving_statistics() if looking is not None and training else None
                job[t.LOSS_FAILED] = 0
                begun = time.perf_counter()
                try:
                    self._call(team, threads, space, data)
                finally:
                    if kept is not None and job[t.ITERATION] == self.iterations:
                        # a step that was given up has not been made: averages have not seen its batch
                        self.plan.set_moving_statistics(kept)
                    self._count(int(job[t.ITERATION]))
                if looking is not None:
                    looking.raise_error()
                if meeting is not None:
                    meeting.raise_error()
                    if job[t.LAST_STEP] < stop:
                        # a rank wanted to end the epoch
                        steps = stop = int(job[t.LAST_STEP])
                elif again and looking is None and job[t.MODE] == t.TRAIN and flops < AGAIN:
                    self._keep_step(space, feed)
                if self._sums[t.DIVERGED] or stop == step:
                    return
                seconds_a_step = max(SHORTEST, time.perf_counter() - begun) / (stop - step)
                pace.record(threads, seconds_a_step)
                step = stop
                done = last if share is None else min(step * share.full.batch, share.samples)
                if watch is not None and self._watched(watch, done):
                    return

    def _keep_step(self, space: t.Workspace, feed: Feed) -> None:
        """Remember a step that was a run by itself, for others like it."""
        # rows of any type are floats when they are made again; what is centred would be by the targets of that step
        if self._callback is None and isinstance(feed.x, np.ndarray) and not self.centred:
            self._again = Again(
                run_steps, self.plan.network, space, self._objective, self._update, self._job, self._sums, self._sync,
                feed,
            )  # fmt: skip

    def _step(self, feed: Feed) -> None:
        """Go on with a run by one batch of all rows."""
        whole = feed.whole if feed.chosen is None and self._job[t.MODE] == t.TRAIN else None
        if whole is None or self._step_again(whole.x, whole.y, whole.weights) == REFUSED:
            self._go(feed, feed.rows, again=feed.chosen is None)

    def _step_again(self, x: Any, y: Any, weights: t.Float32, bounds: tuple[float, float] = ANY) -> int:
        """Go on with a run by the step of last time with other rows; ``REFUSED`` if they do not fit."""
        again = self._again
        if again is None or not again.fits(self._objective, self._update, x, y, weights):
            return REFUSED
        try:
            made = again.make(x, y, weights, bounds, self._sums, self.iterations)
        finally:
            self._count(int(self._job[t.ITERATION]))
        if self.plan.custom:
            self._raise_custom()
        return made

    def _watched(self, watch: Watch, rows: int) -> bool:
        """Call ``watch``, which may use this session itself, and go back to the run's own state."""
        with self.aside():
            return bool(watch(rows))

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Go back to the present state at the end; what the state refers to may not be written to meanwhile."""
        with self.turns.lock:
            state, batches, job = self._state(), self.iterations, self._job.copy()
            try:
                yield
            finally:
                self._go_back(state, batches)
                self._job[...] = job

    def _call(self, team: Team | None, threads: int, space: t.Workspace, data: t.Data) -> None:
        """Lead one compiled call, and have the team help."""
        sync = self._sync if threads == 1 else t.new_words(threads)
        arguments = (
            self.plan.network, space, self._objective, self._update, data, self._job, self._sums, sync
        )  # fmt: skip
        try:
            helping = nullcontext() if team is None else team.helping(run_steps, (*arguments, True), threads - 1)
            with helping, nullcontext() if self._callback is None else nothing_dropped():
                self._run_steps(*arguments, False)
        except BaseException:
            # helpers wait for a leader whom Ctrl-C may have kept from coming
            sync[t.QUEUES :: t.QUEUE_WORDS] = FINISHED
            raise
        if not self._called:
            self._run_steps, self._called = machine_code(run_steps), True
        if self.plan.custom:
            self._raise_custom()
        if self._callback is not None:
            self._callback.raise_error()
            if self._job[t.LOSS_FAILED]:
                raise RuntimeError(
                    f"the loss {self._callback.name} has raised an exception, which was printed, or its gradient has "
                    "not y_pred's shape"
                )

    def _raise_custom(self) -> None:
        """Raise what an activation of the user's has met with."""
        self.plan.raise_error(finite=bool(not self._sums[t.DIVERGED] and np.isfinite(self._sums[t.LOSS_SUM])))

    def train_epoch(
        self,
        feed: Feed,
        batch_size: int,
        *,
        shuffled: bool | Order,
        watch: Watch,
        steps: int | None = None,
        steps_a_call: int | None = None,
        first_step: int = 0,
        sums: t.Float64 | None = None,
        ranks: Ranks | None = None,
    ) -> bool:
        """Train on every row once, or for so many steps; return False if a loss or a weight is not finite.

        An epoch that has come to ``first_step`` before goes on from there, with what :meth:`sums` returned then.
        """
        order = NO_ORDER
        if callable(shuffled):
            order = check_indices("the order that shuffle returns", shuffled(feed.rows), feed.rows, feed.rows)
            if ranks is not None and not ranks.sharded:
                # a user's function may draw another one at every rank
                order = np.array(order)
                ranks.wire.broadcast(order, 0)
        elif shuffled:
            order = memory.empty(feed.rows, np.int64)
            shuffle(order, self.seed, np.uint64(self.epochs_trained))
        with self.turns.lock:
            self._begin(feed, t.TRAIN, sums, ranks)
            self._go(
                feed, batch_size, order, watch, limit=steps, steps_a_call=steps_a_call, first_step=first_step,
                ranks=ranks,
            )  # fmt: skip
            return self._trained()

    def train_parts(
        self,
        parts: Generator[tuple[int, Feed], None, None],
        batch_size: int,
        *,
        watch: Watch,
        steps_a_call: int | None = None,
        sums: t.Float64 | None = None,
    ) -> bool:
        """Train on an epoch that comes in parts; return False if a loss or a weight is not finite.

        Parameters
        ----------
        parts : generator of (int, Feed)
            An epoch's row, and the feed that begins there. All but the last are of whole batches.
        sums : float64 array, optional
            What :meth:`sums` returned where an epoch goes on.
        """
        with self.turns.lock:
            self._parts(parts, t.TRAIN, batch_size, watch, steps_a_call, sums)
            return self._trained()

    def _parts(
        self,
        parts: Generator[tuple[int, Feed], None, None],
        mode: int,
        batch_size: int,
        watch: Watch,
        steps_a_call: int | None = None,
        sums: t.Float64 | None = None,
    ) -> None:
        """A run over feeds of whole batches."""
        ended = begun = False
        with closing(parts):
            for first, feed in parts:
                if not begun:
                    self._begin(feed, mode, sums)
                    begun = True

                def watched(rows: int, first: int = first) -> bool:
                    nonlocal ended
                    ended = bool(watch(first + rows))
                    return ended

                self._go(feed, batch_size, watch=watched, steps_a_call=steps_a_call)
                if ended or self._sums[t.DIVERGED]:
                    return
        if not begun and sums is not None:
            # an epoch of which all rows are done
            self._sums, self._job[t.MODE] = memory.copied(sums), mode

    def train_batch(self, feed: Feed, put_back: Callable[[], None]) -> dict[str, float]:
        """Make one step with all rows, and return what it has measured.

        Raises
        ------
        TrainingDivergedError
            If the loss or a weight is not finite, after ``put_back`` has put back the weights.
        """
        with self.turns.lock:
            self._begin(feed, t.TRAIN)
            self._step(feed)
            return self._measured_step(self._trained(), put_back)

    def _measured_step(self, finite: bool, put_back: Callable[[], None]) -> dict[str, float]:
        if not finite:
            self.restore(put_back)
            raise TrainingDivergedError("the step diverged: the loss or a weight became NaN or infinite")
        return self.results()

    def train_again(self, x: Any, y: Any, weights: t.Float32, bounds: tuple[float, float]) -> dict[str, float] | None:
        """Make the step of last time with other rows, as :meth:`train_batch` does.

        Rows are checked here; None, and nothing is done, where they do not fit or that would be another step.
        """
        self._sums = memory.few_zeros(self._sums.size)
        self._value_rows(1.0)
        made = self._step_again(x, y, weights, bounds)
        if made == REFUSED:
            return None
        self.epochs_trained += 1
        return self._measured_step(made == FINITE and not self._sums[t.DIVERGED], self.turns.restore)

    def train_blocks(self, blocks: Iterable[Feed], watch: Watch | None = None) -> bool:
        """Train on feeds, each of them one batch, as on an epoch; return False if a loss or a weight is not finite.

        Between steps ``blocks`` and ``watch`` may use this session.
        """
        with self.turns.lock:
            self._each(blocks, t.TRAIN, watch)
            return self._trained()

    def _trained(self) -> bool:
        """Count an epoch; say whether everything is finite."""
        self.epochs_trained += 1
        parameters = self.plan.network.parameters
        # NaN is handed on by all three
        return not self._sums[t.DIVERGED] and (
            surely_finite(parameters) or bool(np.isfinite(parameters.min()) and np.isfinite(parameters.max()))
        )

    def _each(self, blocks: Iterable[Feed], mode: int, watch: Watch | None) -> None:
        """A run over feeds, each of them one batch."""
        rows = 0
        for feed in self._outside(blocks):
            if rows == 0:
                self._begin(feed, mode)
            self._step(feed)
            rows += feed.rows
            if self._sums[t.DIVERGED] or (watch is not None and self._watched(watch, rows)):
                return

    def _outside(self, blocks: Iterable[Feed]) -> Iterator[Feed]:
        """The feeds; whoever makes them may use this session."""
        iterator = iter(blocks)
        while True:
            with self.aside():
                feed = next(iterator, None)
            if feed is None:
                return
            yield feed

    def gradients(self, feed: Feed, ranks: Ranks | None = None) -> tuple[dict[str, float], t.Float32]:
        """Return the loss (with penalties) and the metrics of all rows as one batch, and the loss' gradients.

        The gradients, which are not clipped, lie as the parameters do. Nothing is changed, and a loss that is not
        finite is no error here. Rows that have to be converted are so by the block; then no stage may depend on all
        rows of a batch. With ``ranks``, which share the rows, they are those of all.
        """
        size = self.plan.network.parameters.size
        # a loss of the user's sees all rows at once
        blocks = [feed] if feed.direct or self._callback is not None else list(feed.blocks())
        with self.aside():
            self._update = no_update(len(self.plan.network.items))
            # whole gradients are what clipping by a norm begins with
            self._job[t.CLIPS] = t.BY_NORM
            self._begin(feed, t.GRADIENTS, ranks=ranks)
            total: t.Float32 = NOTHING
            for block in blocks:
                self._value_rows(block.worth)
                self._go(block, block.rows if ranks is None else ranks.all_of(block.rows), ranks=ranks)
                whole = int(self._job[t.SHARDS]) * size
                gradients = self._update.gradients[whole : whole + size]
                if len(blocks) == 1:
                    total = gradients
                else:
                    share = gradients * np.float32(block.rows / feed.rows)
                    total = total + share if total.size else share
            return self.results(), total

    def evaluate(
        self, feed: Feed, batch_size: int, *, watch: Watch | None = None, ranks: Ranks | None = None
    ) -> dict[str, float]:
        """Return the loss (with penalties) and the metrics over every row; ``ranks`` share the rows."""
        with self.turns.lock:
            self._begin(feed, t.EVALUATE, ranks=ranks)
            part = feed if ranks is None else ranks.part(feed)
            if part.rows:
                self._go(part, min(batch_size, part.rows), watch=watch)
            if ranks is not None:
                ranks.wire.add(self._sums)
            return self.results()

    def evaluate_parts(
        self, parts: Generator[tuple[int, Feed], None, None], batch_size: int, watch: Watch
    ) -> dict[str, float]:
        """Return the loss (with penalties) and the metrics over parts of a run; see :meth:`train_parts`."""
        with self.turns.lock:
            self._parts(parts, t.EVALUATE, batch_size, watch)
            return self.results()

    def evaluate_blocks(self, blocks: Iterable[Feed], *, watch: Watch | None = None) -> dict[str, float]:
        """Return the loss (with penalties) and the metrics over every row of feeds."""
        with self.turns.lock:
            self._each(blocks, t.EVALUATE, watch)
            return self.results()
