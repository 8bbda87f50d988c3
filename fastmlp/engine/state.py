"""What training changes beside the parameters, and what is minimised and measured: a model's state between runs."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..kernels import memory
from ..kernels.callback import Callback
from ..kernels.jit import SIMD_WIDTH
from ..losses import Custom, Loss
from ..losses.kinds import PARAMETERS
from ..metrics import Metric
from ..metrics.kinds import METRIC_FIELDS
from ..optimizers import LBFGS, Optimizer
from ..optimizers.base import FACTORS
from ..optimizers.lbfgs import Minimization
from ..optimizers.table import is_common as is_common_optimizer
from . import tables as t
from .interruption import new_job
from .parameters import penalties
from .plan import Plan
from .stages import constrain
from .turns import Turns

NOTHING = np.empty(0, np.float32)


class _Kept(NamedTuple):
    """What a run may not find changed when others have used the session meanwhile."""

    objective: t.Objective
    measured: object
    metrics: list[tuple[str, Metric, int]]
    sums: t.Float64
    update: t.Update
    optimizer: Optimizer | None
    seen: dict[str, Any]
    slots: dict[str, float]


class State:
    """An objective, an optimizer with its slots, and what a training counts.

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
        self._minimization: Minimization | None = None
        # a loss of the user's
        self._callback: Callback | None = None
        # whether the optimizer's update is an extension
        self._extended = False
        self._slots: dict[str, float] = {}
        self._job = new_job()
        self._metrics: list[tuple[str, Metric, int]] = []
        self._sums = memory.few_zeros(t.METRIC_SUMS)
        # what asked for the present objective and what the optimizer's settings were, so as not to do it again
        self._measured: object = None
        self._seen: dict[str, Any] = {}
        self.turns = plan.turns = Turns(plan.network)

    def measures(self, purpose: object) -> bool:
        """Say whether the objective is the one that was set for this purpose."""
        return self._measured is purpose

    def set_objective(
        self, loss: Loss, metrics: list[tuple[str, Metric, bool]], *, logits: bool, purpose: object = None
    ) -> None:
        """Say what is minimised and measured.

        Parameters
        ----------
        metrics : list of (str, Metric, bool)
            Keys, metrics, and whether rows count by their weights.
        logits : bool
            Whether the loss takes the last layer's z.
        purpose : object, optional
            What :meth:`measures` then knows.
        """
        self._callback = loss.callback() if isinstance(loss, Custom) else None
        self._measured = purpose
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
        self._sums = memory.few_zeros(t.METRIC_SUMS + sums)
        self._objective = t.Objective(
            loss.compiled_parameters(), np.array(table, np.int64).reshape(-1, METRIC_FIELDS),
            np.array(parameters, np.float64),
        )  # fmt: skip
        self._job[t.LOSS_KIND] = loss.compiled_kind(logits)
        self._job[t.LOGITS] = logits
        self._job[t.PENALISED] = bool(self.plan.network.penalties[:, :2].any())

    def set_optimizer(self, optimizer: Optimizer) -> None:
        """Take the optimizer's present settings; its slots start anew when it is another one, or has others."""
        # what it counts is no setting
        self._seen["batches"] = optimizer.batches
        if optimizer is self._optimizer and vars(optimizer) == self._seen:
            optimizer.batches = self.iterations
            return
        settings, slots = optimizer.settings(), optimizer.slots
        if not self.has_slots_of(optimizer):
            room = memory.zeros(len(slots) * self.plan.network.parameters.size)
            parts = dict(zip(slots, np.split(room, max(1, len(slots))), strict=False))
            update = t.Update(
                NOTHING, room, parts.get("average", NOTHING), parts.get("accumulated", NOTHING), settings,
                memory.zeros(FACTORS), memory.zeros((len(self.plan.network.items), 2), np.float64),
            )  # fmt: skip
            # in one line: Ctrl-C may come in any
            self._optimizer, self._slots, self._update = optimizer, slots, update
            self._start_slots()
        self._update = self._update._replace(settings=settings)
        self._seen = dict(vars(optimizer))
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
            # not by its own way to set one, which looks for users' slips
            vars(self._optimizer)["batches"] = batches

    def take_averages(self) -> None:
        """Put the averages of the trained parameters in their place, where the optimizer keeps averages."""
        averages = self._update.averages
        if averages.size and self.iterations:
            with self.turns.lock:
                for index, row in enumerate(self.plan.network.variables):
                    offset, size = int(row[t.OFFSET]), int(row[t.SIZE])
                    if row[t.TRAINABLE]:
                        self.plan.network.parameters[offset : offset + size] = averages[offset : offset + size]
                    if row[t.TRAINABLE] and row[t.CONSTRAINT]:
                        # the average of what fulfils a constraint need not; Keras leaves it so
                        constrain(self.plan.network, memory.zeros(2 * SIMD_WIDTH), index, 0, 1)

    def minimization(self, optimizer: LBFGS) -> Minimization:
        """Return what the optimizer's iterations go on from; it is new with another optimizer."""
        if self._minimization is None or self._minimization.settings is not optimizer:
            self._minimization = Minimization(optimizer)
        return self._minimization

    def has_slots_of(self, optimizer: Optimizer | LBFGS | None) -> bool:
        """Say whether the slots are those of an optimizer with its present settings."""
        return isinstance(optimizer, Optimizer) and optimizer is self._optimizer and optimizer.slots == self._slots

    def slots(self) -> list[t.Float32]:
        """Return views of the optimizer's slots, each of which lies as the parameters do."""
        return list(self._update.slots.reshape(len(self._slots), self.plan.network.parameters.size))

    def counts(self) -> dict[str, int]:
        """Return what a training counts: with seed, weights and slots it decides how the training goes on."""
        return {"epochs": self.epochs_trained, "iterations": self.iterations, "draws": int(self._job[t.DRAWS])}

    def set_counts(self, epochs: int, iterations: int, draws: int) -> None:
        """Go on counting from what :meth:`counts` returned."""
        self.epochs_trained = epochs
        self._count(iterations)
        self._job[t.DRAWS] = draws

    def restore(self, put_back: Callable[[], None]) -> None:
        """Have the parameters put back to what they were, and forget the optimizer's moments."""
        with self.turns.lock:
            put_back()
            self._start_slots()

    def snapshot(self) -> Callable[[], None]:
        """Return a function that puts everything that training changes back to what it is now, bit by bit."""
        parameters, job = self.plan.network.parameters.copy(), self._job.copy()
        state = self._state()
        batches, epochs = self.iterations, self.epochs_trained
        slots, sums = self._update.slots.copy(), self._sums.copy()

        def put_back() -> None:
            np.copyto(self.plan.network.parameters, parameters)
            # an optimizer that was new then is new again
            self._count(0)
            self._go_back(state, batches)
            self.epochs_trained = epochs
            np.copyto(self._update.slots, slots)
            np.copyto(self._sums, sums)
            np.copyto(self._job, job)

        return put_back

    def _state(self) -> _Kept:
        return _Kept(
            self._objective, self._measured, self._metrics, self._sums, self._update, self._optimizer, self._seen,
            self._slots,
        )  # fmt: skip

    def _go_back(self, state: _Kept, batches: int) -> None:
        """Have the state of a while ago, when the optimizer had seen so many batches."""
        (
            self._objective, self._measured, self._metrics, self._sums, self._update, self._optimizer, self._seen,
            self._slots,
        ) = state  # fmt: skip
        self._count(batches)

    def draw_as(self, other: "State") -> None:
        """Take the same noise as another session next."""
        self._job[t.DRAWS] = other._job[t.DRAWS]

    def follows(self, purpose: object, optimizer: object) -> bool:
        """Say whether the objective is that of a purpose, and the optimizer has the settings that it had last."""
        if self._measured is not purpose or optimizer is not self._optimizer:
            return False
        settings = vars(optimizer)
        self._seen["batches"] = settings["batches"]
        return bool(settings == self._seen)

    @property
    def centred(self) -> bool:
        """Whether a metric wants to know what a run's targets are near to."""
        return any(metric.centred for _, metric, _ in self._metrics)

    def sums(self) -> t.Float64:
        """Return a copy of the running sums of the present epoch."""
        return self._sums.copy()

    def results(self) -> dict[str, float]:
        """Return the loss and the metrics of the rows so far; the loss of an evaluation is with the penalties."""
        sums = self._sums
        logs = {"loss": sums.item(t.LOSS_SUM) / sums.item(t.ROW_SUM)}
        for name, metric, first in self._metrics:
            start = t.METRIC_SUMS + first
            result = metric.result(sums[start : start + metric.sums_needed(self.plan.units)])
            logs[name] = float(np.asarray(result).item())
        if self._job[t.PENALISED] and self._job[t.MODE] == t.EVALUATE:
            logs["loss"] += float(penalties(self.plan.network, int(sums[t.ROW_SUM])))
        return logs


def no_update(items: int) -> t.Update:
    """Return an update of no optimizer."""
    return t.Update(
        NOTHING, NOTHING, NOTHING, NOTHING, np.zeros(0), memory.zeros(FACTORS), memory.zeros((items, 2), np.float64)
    )
