"""A plan with its training memory: runs epochs in calls short enough that Python stays responsive."""

import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..kernels.random import shuffle
from ..losses import Loss
from ..metrics import Metric
from ..optimizers import Optimizer
from . import epoch as loops
from .feed import NO_ORDER, Feed
from .plan import Plan, Workspace, aligned, make_workspace

# Ctrl-C, the progress bar and other threads get their turn this often
SECONDS_A_CALL = 0.05
# what a slow core manages; only the first call of a run is sized by it
FLOPS_A_SECOND = 5e9

NOTHING = np.empty(0, np.float32)
Watch = Callable[[int], None]


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
        self._objective = loops.Objective(np.zeros(1, np.float32), np.zeros((0, 2), np.int64), np.zeros(0))
        self._update = loops.Update(NOTHING, NOTHING, np.zeros(0))
        self._optimizer: Optimizer | None = None
        self._job = np.zeros(loops.JOB_FIELDS, np.int64)
        self._metrics: list[tuple[str, Metric, int]] = []
        self._sums = np.zeros(loops.METRIC_SUMS)
        self._spaces: dict[tuple[int, int, bool, bool], tuple[Workspace, int]] = {}
        # job, sums and workspaces are one set a model, and the compiled calls leave the GIL
        self._lock = threading.RLock()

    def set_objective(self, loss: Loss, metrics: list[tuple[str, Metric]], *, logits: bool) -> None:
        """Say what is minimised and measured; ``logits``: the loss takes the last layer's z."""
        self._metrics = []
        sums = 0
        for name, metric in metrics:
            self._metrics.append((name, metric, sums))
            sums += metric.sums_needed(self.plan.units)
        self._sums = np.zeros(loops.METRIC_SUMS + sums)
        self._objective = loops.Objective(
            np.array([loss.parameter], np.float32),
            np.array([(metric.kind, first) for _, metric, first in self._metrics], np.int64).reshape(-1, 2),
            np.array([float(metric.parameter) for _, metric, _ in self._metrics]),
        )
        self._job[loops.LOSS_KIND] = loss.compiled_kind(logits)
        self._job[loops.LOGITS] = logits
        self._job[loops.PENALISED] = bool(self.plan.network.penalties.any())

    def set_optimizer(self, optimizer: Optimizer) -> None:
        """Take the optimizer's present settings; its slots start at zero when it is another one."""
        size = self.plan.network.parameters.size
        if optimizer is not self._optimizer or self._update.slots.size != optimizer.slots * size:
            self._optimizer = optimizer
            self.iterations = 0
            self._update = loops.Update(aligned(size), aligned(optimizer.slots * size), optimizer.settings())
        self._update = self._update._replace(settings=optimizer.settings())
        self._job[loops.OPTIMIZER] = optimizer.kind
        self._job[loops.CLIPS] = optimizer.clips

    def reset_optimizer(self) -> None:
        """Forget the optimizer's moments."""
        self._update.slots[...] = 0
        self.iterations = 0

    def _space(self, batch_size: int, feed: Feed, *, training: bool) -> tuple[Workspace, int]:
        key = (batch_size, feed.columns, training, bool(feed.weights.size))
        if key not in self._spaces:
            if len(self._spaces) >= 4:
                self._spaces.clear()
            self._spaces[key] = make_workspace(
                self.plan, batch_size, feed.columns, training=training, weighted=bool(feed.weights.size)
            )
        return self._spaces[key]

    def _run(
        self,
        mode: int,
        feed: Feed,
        batch_size: int,
        order: NDArray[np.int64],
        out: NDArray[np.float32],
        watch: Watch,
    ) -> None:
        space, capacity = self._space(batch_size, feed, training=mode == loops.TRAIN)
        job, sums = self._job, self._sums
        sums[...] = 0
        job[loops.MODE] = mode
        job[loops.BATCH_SIZE], job[loops.CAPACITY], job[loops.SAMPLES] = batch_size, capacity, feed.rows
        job[loops.TARGET_COLUMNS] = feed.columns
        job[loops.ITERATION] = self.iterations
        steps = -(-feed.rows // batch_size)
        longest = steps if feed.direct else max(1, feed.block // batch_size)
        seconds_a_step = self.plan.flops_per_row * batch_size / FLOPS_A_SECOND + 1e-6
        step = 0
        while step < steps:
            stop = min(step + max(1, min(longest, int(SECONDS_A_CALL / seconds_a_step))), steps)
            first, last = step * batch_size, min(stop * batch_size, feed.rows)
            data, origin = feed.data(order, first, last)
            job[loops.FIRST_STEP], job[loops.LAST_STEP] = step, stop
            job[loops.ORIGIN], job[loops.SHUFFLED] = origin, data.order.size > 0
            begun = time.perf_counter()
            loops.run_steps(self.plan.network, space, self._objective, self._update, data, job, sums, out)
            seconds_a_step = (time.perf_counter() - begun) / (stop - step)
            self.iterations = int(job[loops.ITERATION])
            if sums[loops.DIVERGED]:
                return
            step = stop
            watch(last)

    def results(self) -> dict[str, float]:
        """Return the loss and the metrics of the rows so far."""
        sums = self._sums
        logs = {"loss": float(sums[loops.LOSS_SUM] / sums[loops.ROW_SUM])}
        for name, metric, first in self._metrics:
            start = loops.METRIC_SUMS + first
            logs[name] = metric.result(sums[start : start + metric.sums_needed(self.plan.units)])
        return logs

    def train_epoch(self, feed: Feed, batch_size: int, *, shuffled: bool, watch: Watch) -> bool:
        """Train on every row once; return False if a loss or a weight is not finite."""
        order = NO_ORDER
        if shuffled:
            order = np.empty(feed.rows, np.int64)
            shuffle(order, self.seed, np.uint64(self.epochs_trained))
        with self._lock:
            self._run(loops.TRAIN, feed, batch_size, order, NOTHING, watch)
            self.epochs_trained += 1
            return not self._sums[loops.DIVERGED] and bool(np.isfinite(self.plan.network.parameters).all())

    def evaluate(self, feed: Feed, batch_size: int) -> dict[str, float]:
        """Return the loss (with penalties) and the metrics over every row."""
        with self._lock:
            self._run(loops.EVALUATE, feed, batch_size, NO_ORDER, NOTHING, lambda rows: None)
            logs = self.results()
        if self._job[loops.PENALISED]:
            logs["loss"] += float(loops.penalties(self.plan.network, NOTHING, False))
        return logs

    def predict(self, feed: Feed, batch_size: int) -> NDArray[np.float32]:
        """Return the outputs (n, N)."""
        out = np.empty(feed.rows * self.plan.units, np.float32)
        with self._lock:
            self._run(loops.PREDICT, feed, batch_size, NO_ORDER, out, lambda rows: None)
        return out.reshape(feed.rows, self.plan.units)
