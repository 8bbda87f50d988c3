"""A plan with its training memory: runs epochs in calls short enough that Python stays responsive."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from ..kernels.callback import Callback
from ..kernels.jit import JIT_DISABLED
from ..kernels.random import shuffle
from ..losses import Custom, Loss
from ..losses.kinds import PARAMETERS
from ..losses.table import is_common as is_common_loss
from ..metrics import METRIC_FIELDS, Metric
from ..metrics.kinds import FIRST_PARAMETER, LAST_PARAMETER, R2, WEIGHTED
from ..optimizers import LBFGS, Optimizer
from ..optimizers.base import FACTORS
from ..optimizers.table import is_common as is_common_optimizer
from ..threads import Team, get_num_threads
from . import tables as t
from .epoch import run_steps
from .extensions import custom_loss_address, loss_address, metric_address, update_address
from .feed import NO_ORDER, Feed
from .pace import Pace
from .parameters import GROUP, penalties
from .plan import Plan, aligned
from .workspace import Cut, cut_batch, make_workspace

# Ctrl-C, the progress bar and other threads get their turn this often
SECONDS_A_CALL = 0.05
# what a slow core manages; only the first call of a run is sized by it
FLOPS_A_SECOND = 5e9
# With less work a step than this for each thread, waiting for each other takes more than it saves; with less
# a run, waking another thread does.
FLOPS_A_THREAD_AND_STEP = 250_000
FLOPS_A_THREAD_AND_RUN = 20_000_000
# blocks of an evaluation or prediction that are run by one call at most: they have sums of their own
MOST_BLOCKS = 256

NOTHING = np.empty(0, np.float32)
# called with the rows so far; True ends the run
Watch = Callable[[int], bool | None]


class Session:
    """What one model needs to train, evaluate and predict.

    Parameters
    ----------
    plan : Plan
        The model's tables and parameters.
    seed : int
        Of the shuffling.
    """

    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan = plan
        self.seed = np.uint64(seed)
        self.epochs_trained = 0
        self.iterations = 0
        self._objective = t.Objective(
            np.zeros(PARAMETERS, np.float32), np.zeros((0, METRIC_FIELDS), np.int64), np.zeros(0)
        )
        self._update = no_update(0)
        self._optimizer: Optimizer | None = None
        # a loss of the user's
        self._callback: Callback | None = None
        # whether the optimizer's update is an extension
        self._extended = False
        self._slots: dict[str, float] = {}
        self._job = np.zeros(t.JOB_FIELDS, np.int64)
        self._metrics: list[tuple[str, Metric, int]] = []
        self._sums = np.zeros(t.METRIC_SUMS)
        self._spaces: dict[tuple[object, ...], tuple[t.Workspace, int]] = {}
        self._paces: dict[tuple[bool, int], Pace] = {}
        self._kept = NOTHING
        # job, sums and workspaces are one set a model, and the compiled calls leave the GIL
        self._lock = threading.RLock()

    def set_objective(self, loss: Loss, metrics: list[tuple[str, Metric, bool]], *, logits: bool) -> None:
        """Say what is minimised and measured.

        Parameters
        ----------
        metrics : list of (str, Metric, bool)
            Keys, metrics, and whether rows count by their weights.
        logits : bool
            Whether the loss takes the last layer's z.
        """
        self._metrics = []
        sums = 0
        table: list[tuple[int, ...]] = []
        parameters: list[float] = []
        for name, metric, weighted in metrics:
            self._metrics.append((name, metric, sums))
            own = metric.parameters(self.plan.units)
            table.append((metric.kind, sums, weighted, len(parameters), len(parameters) + len(own)))
            parameters += own
            sums += metric.sums_needed(self.plan.units)
        self._sums = np.zeros(t.METRIC_SUMS + sums)
        self._objective = t.Objective(
            loss.compiled_parameters(), np.array(table, np.int64).reshape(-1, METRIC_FIELDS),
            np.array(parameters, np.float64),
        )  # fmt: skip
        self._job[t.LOSS_KIND] = loss.compiled_kind(logits)
        self._job[t.LOGITS] = logits
        self._callback = loss.callback() if isinstance(loss, Custom) else None
        self._job[t.PENALISED] = bool(self.plan.network.penalties.any())

    def set_optimizer(self, optimizer: Optimizer) -> None:
        """Take the optimizer's present settings; its slots start anew when it is another one, or has others."""
        settings, slots = optimizer.settings(), optimizer.slots
        if not self.has_slots_of(optimizer):
            self._optimizer, self._slots = optimizer, slots
            memory = aligned(len(slots) * self.plan.network.parameters.size)
            parts = dict(zip(slots, np.split(memory, max(1, len(slots))), strict=False))
            self._update = t.Update(
                NOTHING, memory, parts.get("average", NOTHING), parts.get("accumulated", NOTHING), settings,
                np.zeros(FACTORS, np.float32), np.zeros((len(self.plan.network.items), 2)),
            )  # fmt: skip
            self._start_slots()
        self._update = self._update._replace(settings=settings)
        optimizer.batches = self.iterations
        self._job[t.OPTIMIZER] = optimizer.kind
        self._extended = not is_common_optimizer(optimizer, settings)
        self._job[t.CLIPS] = (
            t.BY_VALUE if optimizer.clipvalue is not None
            else t.BY_NORM if optimizer.clipnorm is not None
            else t.BY_GLOBAL_NORM if optimizer.global_clipnorm is not None
            else t.UNCLIPPED
        )  # fmt: skip

    def _start_slots(self) -> None:
        """Let the optimizer begin."""
        parts = self._update.slots.reshape(len(self._slots), self.plan.network.parameters.size)
        parts[...] = np.array(list(self._slots.values()), np.float32)[:, None]
        self._count(0)

    def _count(self, batches: int) -> None:
        """Say how many batches the optimizer has seen."""
        self.iterations = batches
        if self._optimizer is not None:
            self._optimizer.batches = batches

    def take_averages(self) -> None:
        """Put the averages of the trained parameters in their place, where the optimizer keeps averages."""
        averages = self._update.averages
        if averages.size and self.iterations:
            for row in self.plan.network.variables:
                offset, size = int(row[t.OFFSET]), int(row[t.SIZE])
                if row[t.TRAINABLE]:
                    self.plan.network.parameters[offset : offset + size] = averages[offset : offset + size]

    def has_slots_of(self, optimizer: Optimizer | LBFGS | None) -> bool:
        """Say whether the slots are those of an optimizer with its present settings."""
        return isinstance(optimizer, Optimizer) and optimizer is self._optimizer and optimizer.slots == self._slots

    def slots(self) -> list[t.Float32]:
        """Return views of the optimizer's slots, each of which lies as the parameters do."""
        return list(self._update.slots.reshape(-1, self.plan.network.parameters.size))

    def counts(self) -> dict[str, int]:
        """Return what a training counts: with seed, weights and slots it decides how the training goes on."""
        return {"epochs": self.epochs_trained, "iterations": self.iterations, "draws": int(self._job[t.DRAWS])}

    def set_counts(self, epochs: int, iterations: int, draws: int) -> None:
        """Go on counting from what :meth:`counts` returned."""
        self.epochs_trained = epochs
        self._count(iterations)
        self._job[t.DRAWS] = draws

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Keep trainings and evaluations in other threads waiting."""
        with self._lock:
            yield

    def keep(self) -> None:
        """Remember the parameters, for :meth:`restore`."""
        if self._kept.size == 0:
            self._kept = aligned(self.plan.network.parameters.size)
        np.copyto(self._kept, self.plan.network.parameters)

    def restore(self) -> None:
        """Put back the remembered parameters, and forget the optimizer's moments."""
        np.copyto(self.plan.network.parameters, self._kept)
        self._start_slots()

    def snapshot(self) -> Callable[[], None]:
        """Return a function that puts everything that training changes back to what it is now, bit by bit."""
        parameters, job = self.plan.network.parameters.copy(), self._job.copy()
        state = self._objective, self._metrics, self._sums, self._update, self._optimizer, self._slots
        batches, epochs = self.iterations, self.epochs_trained
        slots, kept, sums = self._update.slots.copy(), self._kept.copy(), self._sums.copy()

        def put_back() -> None:
            np.copyto(self.plan.network.parameters, parameters)
            # an optimizer that was new then is new again
            self._count(0)
            self._objective, self._metrics, self._sums, self._update, self._optimizer, self._slots = state
            self._count(batches)
            self.epochs_trained = epochs
            self._kept = kept
            np.copyto(self._update.slots, slots)
            np.copyto(self._sums, sums)
            np.copyto(self._job, job)

        return put_back

    def _space(self, cut: Cut, batch: int, pieces: int, threads: int, feed: Feed, *, training: bool) -> t.Workspace:
        """The workspace for a run, with the job's numbers about it; the last few are kept."""
        metric_sums = self._sums.size - t.METRIC_SUMS
        key = (cut, batch, pieces, threads, feed.columns, metric_sums, training, bool(feed.weights.size))
        if key not in self._spaces:
            if len(self._spaces) >= 4:
                self._spaces.clear()
            self._spaces[key] = make_workspace(
                self.plan, cut, batch, feed.columns, metric_sums, threads=threads, training=training,
                weighted=bool(feed.weights.size), pieces=pieces,
            )  # fmt: skip
        space, capacity = self._spaces[key]
        job = self._job
        job[t.PIECE], job[t.BLOCK], job[t.SHARDS], job[t.CAPACITY] = cut.piece, cut.block, cut.shards, capacity
        job[t.PACK_ROOM], job[t.TARGET_COLUMNS] = self.plan.pack_floats, feed.columns
        job[t.WORD_ROOM], job[t.CONSTRAINED] = self.plan.word_room, self.plan.constrained
        return space

    def _centre(self, feed: Feed) -> None:
        """Tell metrics that want to know where the middle of a run's targets is."""
        for (_, metric, _), row in zip(self._metrics, self._objective.metrics, strict=True):
            if metric.centred:
                own = self._objective.metric_parameters[row[FIRST_PARAMETER] : row[LAST_PARAMETER]]
                own[...] = feed.centre(weighted=bool(row[WEIGHTED]))

    def _addresses(self, space: t.Workspace, mode: int) -> None:
        """Say where the extensions are that a run needs; what is not yet in memory is compiled or loaded."""
        self.plan.prepare(space)
        job, whole = self._job, (self.plan.network, space, self._objective, self._update)
        rare = any(metric.kind >= R2 for _, metric, _ in self._metrics)
        if self._callback is not None:
            job[t.LOSS_AT], job[t.LOSS_CALLBACK] = custom_loss_address(whole), self._callback.address
        else:
            job[t.LOSS_AT] = t.NOWHERE if is_common_loss(job[t.LOSS_KIND]) else loss_address(whole)
        job[t.METRICS_AT] = metric_address(whole) if rare else t.NOWHERE
        job[t.UPDATES_AT] = update_address(whole) if self._extended and mode == t.TRAIN else t.NOWHERE

    def _gradients(self, shards: int, threads: int) -> None:
        """Make room for the gradients that a run keeps."""
        size = self.plan.network.parameters.size
        needed = shards * size + (size if self._job[t.CLIPS] >= t.BY_NORM else threads * GROUP)
        if self._update.gradients.size != needed:
            self._update = self._update._replace(gradients=aligned(needed))

    def _run(
        self,
        feed: Feed,
        batch_size: int,
        order: NDArray[np.int64],
        watch: Watch,
        *,
        mode: int,
        limit: int | None = None,
        steps_a_call: int | None = None,
        first_step: int = 0,
        kept_sums: t.Float64 | None = None,
    ) -> None:
        training = mode != t.EVALUATE
        cut = cut_batch(self.plan, batch_size, training=training, whole=self._callback is not None)
        size = batch_size if training else cut.block
        steps = -(-feed.rows // size)
        if limit is not None:
            steps = min(steps, limit)
        longest = steps if feed.direct else max(1, feed.block // size)
        flops = (self.plan.training_flops if training else self.plan.forward_flops) * size
        if training:
            pieces = shares = -(-size // cut.piece)
            threads = threads_for(min(shares, cut.shards or shares), flops / FLOPS_A_THREAD_AND_STEP, flops * steps)
        else:
            longest = min(longest, MOST_BLOCKS)
            pieces = shares = min(longest, steps)
            threads = threads_for(shares, shares, flops * steps)
        if steps_a_call is not None:
            longest = min(longest, steps_a_call)
        job, sums = self._job, self._sums
        sums[...] = 0 if kept_sums is None else kept_sums
        self._centre(feed)
        job[t.MODE] = mode
        job[t.BATCH_SIZE], job[t.SAMPLES], job[t.ITERATION] = size, feed.rows, self.iterations
        seconds_a_step = flops / FLOPS_A_SECOND + 1e-6
        pace = self._paces.setdefault((training, size), Pace())
        step = first_step
        with Team(threads) as team:
            space = self._space(cut, size, pieces, team.size, feed, training=training)
            if training:
                self._gradients(cut.shards, team.size)
            self._addresses(space, mode)
            while step < steps:
                stop = min(step + max(1, min(longest, int(SECONDS_A_CALL / seconds_a_step))), steps)
                first, last = step * size, min(stop * size, feed.rows)
                data, origin = feed.data(order, first, last)
                job[t.FIRST_STEP], job[t.LAST_STEP] = step, stop
                job[t.ORIGIN], job[t.SHUFFLED] = origin, data.order.size > 0
                threads = job[t.THREADS] = pace.threads(team.size)
                begun = time.perf_counter()
                self._call(team, threads, space, data)
                seconds_a_step = (time.perf_counter() - begun) / (stop - step)
                pace.record(threads, seconds_a_step)
                self._count(int(job[t.ITERATION]))
                if sums[t.DIVERGED]:
                    return
                step = stop
                if self._watched(watch, last):
                    return

    def _watched(self, watch: Watch, rows: int) -> bool:
        """Call ``watch``, which may use this session itself, and go back to the run's own state."""
        with self.aside():
            return bool(watch(rows))

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Go back to the present state at the end; what the state refers to may not be written to meanwhile."""
        with self._lock:
            state = self._objective, self._metrics, self._sums, self._update, self._optimizer, self._slots
            batches = self.iterations
            job = self._job.copy()
            try:
                yield
            finally:
                self._objective, self._metrics, self._sums, self._update, self._optimizer, self._slots = state
                self._count(batches)
                self._job[...] = job

    def _call(self, team: Team, threads: int, space: t.Workspace, data: t.Data) -> None:
        """Lead one compiled call, and have the team help."""
        sync = np.zeros(t.SYNC_WORDS, np.int64)
        arguments = (
            self.plan.network, space, self._objective, self._update, data, self._job, self._sums, sync
        )  # fmt: skip
        if threads > 1:
            team.help(run_steps, (*arguments, True), threads - 1)
        run_steps(*arguments, False)
        if self._callback is not None:
            self._callback.raise_error()

    def sums(self) -> t.Float64:
        """Return a copy of the running sums of the present epoch."""
        return self._sums.copy()

    def results(self) -> dict[str, float]:
        """Return the loss and the metrics of the rows so far."""
        sums = self._sums
        logs = {"loss": float(sums[t.LOSS_SUM] / sums[t.ROW_SUM])}
        for name, metric, first in self._metrics:
            start = t.METRIC_SUMS + first
            result = metric.result(sums[start : start + metric.sums_needed(self.plan.units)])
            logs[name] = float(np.asarray(result).item())
        return logs

    def train_epoch(
        self,
        feed: Feed,
        batch_size: int,
        *,
        shuffled: bool,
        watch: Watch,
        steps: int | None = None,
        steps_a_call: int | None = None,
        first_step: int = 0,
        sums: t.Float64 | None = None,
    ) -> bool:
        """Train on every row once, or for so many steps; return False if a loss or a weight is not finite.

        An epoch that has come to ``first_step`` before goes on from there, with what :meth:`sums` returned then.
        """
        order = NO_ORDER
        if shuffled:
            order = np.empty(feed.rows, np.int64)
            shuffle(order, self.seed, np.uint64(self.epochs_trained))
        with self._lock:
            self._run(
                feed, batch_size, order, watch, mode=t.TRAIN, limit=steps, steps_a_call=steps_a_call,
                first_step=first_step, kept_sums=sums,
            )  # fmt: skip
            self.epochs_trained += 1
            if self._sums[t.DIVERGED]:
                return False
            # NaN is handed on by both
            parameters = self.plan.network.parameters
            return bool(np.isfinite(parameters.min()) and np.isfinite(parameters.max()))

    def draw_as(self, other: "Session") -> None:
        """Take the same noise as another session next."""
        self._job[t.DRAWS] = other._job[t.DRAWS]

    def gradients(self, feed: Feed) -> tuple[dict[str, float], t.Float32]:
        """Return the loss (with penalties) and the metrics of all rows as one batch, and the loss' gradients.

        The gradients, which are not clipped, lie as the parameters do. Nothing is changed, and a loss that is not
        finite is no error here.
        """
        with self.aside():
            size = self.plan.network.parameters.size
            self._sums = np.zeros_like(self._sums)
            self._update = no_update(len(self.plan.network.items))
            # whole gradients are what clipping by a norm begins with
            self._job[t.CLIPS] = t.BY_NORM
            self._run(feed, feed.rows, NO_ORDER, lambda rows: None, mode=t.GRADIENTS)
            return self.results(), self._update.gradients[self._update.gradients.size - size :]

    def evaluate(self, feed: Feed, batch_size: int, *, watch: Watch = lambda rows: None) -> dict[str, float]:
        """Return the loss (with penalties) and the metrics over every row."""
        with self._lock:
            self._run(feed, batch_size, NO_ORDER, watch, mode=t.EVALUATE)
            logs = self.results()
        if self._job[t.PENALISED]:
            logs["loss"] += float(penalties(self.plan.network))
        return logs


def no_update(items: int) -> t.Update:
    """Return an update of no optimizer."""
    return t.Update(
        NOTHING, NOTHING, NOTHING, NOTHING, np.zeros(0), np.zeros(FACTORS, np.float32), np.zeros((items, 2))
    )


def threads_for(shares: int, by_step: float, flops: float) -> int:
    """Return how many threads to use: for so many shares, as a step has work for, for a run of so many flops."""
    if JIT_DISABLED:
        return 1
    return int(max(1, min(get_num_threads(), shares, by_step, flops / FLOPS_A_THREAD_AND_RUN)))
