"""The loop over epochs, and what it calls between them."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import display
from .callbacks import BackupAndRestore, Callback, History, TerminateOnNaN
from .engine.feed import Feed
from .engine.session import Session
from .errors import TrainingDivergedError, check_count
from .hooks import Logs, overrides
from .losses import Custom, Loss
from .optimizers.lbfgs import LBFGS, Minimization
from .optimizers.line_search import Point
from .saving.backup import NOWHERE, Place

DEFAULT_BATCH = 32
# what "auto" chooses between; docs/design.md has the measurements
SMALLEST_BATCH, LARGEST_BATCH = 32, 1024


class Callbacks:
    """The callbacks of one run, with its history, which is the last to hear of an epoch.

    Parameters
    ----------
    callbacks : Callback, iterable of Callback, or None
        As given to ``fit``; the first History among them is the one that ``fit`` returns.
    """

    def __init__(self, callbacks: Any) -> None:
        given = [callbacks] if isinstance(callbacks, Callback) else callbacks
        if not isinstance(given, (Iterable, type(None))) or isinstance(given, (str, bytes)):
            raise TypeError(f"callbacks must be a list of fastmlp.callbacks.Callback, got {callbacks!r}")
        self.members: list[Callback] = list(given or ())
        for callback in self.members:
            if not isinstance(callback, Callback):
                raise TypeError(f"callbacks must hold instances of fastmlp.callbacks.Callback, got {callback!r}")
        own = next((callback for callback in self.members if isinstance(callback, History)), None)
        self.history: History = own if own is not None else History()
        others = [callback for callback in self.members if callback is not self.history]
        self.members = sorted(others, key=lambda callback: callback.order)
        self.backups = [callback for callback in self.members if isinstance(callback, BackupAndRestore)]
        if len(self.backups) > 1:
            raise ValueError("callbacks must hold one BackupAndRestore at most")

    def start(self, model: Any, params: Mapping[str, Any]) -> None:
        """Tell everyone about the model and the run."""
        for callback in (*self.members, self.history):
            callback.set_params(params)
            callback.set_model(model)

    def call(self, hook: str, *arguments: Any) -> None:
        """Call one hook of everyone."""
        for callback in self.members:
            getattr(callback, hook)(*arguments)

    def epoch_end(self, epoch: int, logs: Logs) -> None:
        """Tell everyone about the end of an epoch, and the history before those who keep what it holds."""
        before = [callback for callback in self.members if callback.order <= 0]
        try:
            for callback in before:
                callback.on_epoch_end(epoch, logs)
        finally:
            self.history.on_epoch_end(epoch, logs)
        for callback in self.members[len(before) :]:
            callback.on_epoch_end(epoch, logs)

    def resume(self, first: int) -> Place:
        """Return where the run begins: at epoch ``first``, or where a backup has brought everyone."""
        place = None
        for backup in self.backups:
            place = backup.resume([self.history, *(member for member in self.members if member is not backup)])
        return place if place is not None else Place(first)

    @property
    def by_batch(self) -> bool:
        """Whether anyone wants to hear of single steps."""
        hooks = ("on_train_batch_begin", "on_train_batch_end")
        return any(overrides(callback, hook) for callback in self.members for hook in hooks)


class Run:
    """One call of ``fit`` after its checks."""

    def __init__(
        self,
        model: Any,
        session: Session,
        feed: Feed,
        validation: Feed | None,
        callbacks: Callbacks,
        progress: display.Progress,
        *,
        batch: int,
        steps: int,
        validation_batch: int,
        validation_freq: int,
        shuffle: bool,
    ) -> None:
        self.model, self.session, self.feed, self.validation = model, session, feed, validation
        self.callbacks, self.progress = callbacks, progress
        self.batch, self.steps, self.shuffle = batch, steps, shuffle
        self.validation_batch, self.validation_freq = validation_batch, validation_freq
        self.by_batch = callbacks.by_batch

    def train(self, first: int, last: int) -> None:
        """Train the epochs from ``first`` to ``last``."""
        self.model.stop_training = False
        self.callbacks.history.on_train_begin()
        self.callbacks.call("on_train_begin", None)
        place = self.callbacks.resume(first)
        if place.step > self.steps:
            raise ValueError(f"the backup was made in step {place.step} of an epoch, and epochs have {self.steps} now")
        logs = place.logs
        for epoch in range(last if place.stopped else place.epoch, last):
            result = self._epoch(epoch, place)
            place = NOWHERE
            if result is None:
                break
            logs = result
            if self.model.stop_training:
                break
        self.session.take_averages()
        self.callbacks.call("on_train_end", logs)

    def _watch(self, rows: int) -> bool:
        """What happens between compiled calls; True ends the epoch."""
        self.progress.update(rows, self.session.results())
        if not self.by_batch:
            return False
        step = -(-rows // self.batch)
        self.callbacks.call("on_train_batch_end", step - 1, self.session.results())
        if self.model.stop_training:
            return True
        if step < self.steps:
            self.callbacks.call("on_train_batch_begin", step, None)
        return False

    def _train(self, place: Place) -> Logs | None:
        """Train on the rows once, or on what is left of them; None if a loss or a weight is not finite."""
        self.session.set_optimizer(self.model.optimizer)
        finite = self.session.train_epoch(
            self.feed, self.batch, shuffled=self.shuffle, watch=self._watch, steps=self.steps,
            steps_a_call=1 if self.by_batch else None, first_step=place.step, sums=place.sums,
        )  # fmt: skip
        return self.session.results() if finite else None

    def _epoch(self, epoch: int, place: Place) -> Logs | None:
        """One epoch and its validation; a diverged one is undone, and None where that is to end the run.

        An epoch that a backup was made in the midst of goes on from its step.
        """
        session, callbacks = self.session, self.callbacks
        self.progress.epoch_begin(epoch)
        if not place.step:
            callbacks.call("on_epoch_begin", epoch, None)
        session.keep()
        if self.by_batch and place.step < self.steps:
            callbacks.call("on_train_batch_begin", place.step, None)
        logs = self._train(place)
        if logs is None:
            session.restore()
            if any(isinstance(callback, TerminateOnNaN) for callback in callbacks.members):
                print(f"Epoch {epoch + 1}: invalid loss, terminating training")
                self.model.stop_training = True
                return None
            raise TrainingDivergedError(
                f"training diverged in epoch {epoch + 1}: the loss or a weight became NaN or infinite. The weights "
                "are those from before that epoch. Try a smaller learning_rate, clipnorm=1.0, or scaled features "
                "and targets."
            )
        if self.validation is not None and (epoch + 1) % self.validation_freq == 0:
            callbacks.call("on_test_begin", None)
            judged = session.evaluate(self.validation, self.validation_batch)
            callbacks.call("on_test_end", dict(judged))
            logs.update({f"val_{name}": value for name, value in judged.items()})
        callbacks.epoch_end(epoch, logs)
        self.progress.epoch_end(epoch, logs)
        return logs


class FullBatchRun(Run):
    """One call of ``fit`` with L-BFGS, whose iterations are the epochs."""

    def train(self, first: int, last: int) -> None:
        """Make the iterations from ``first`` to ``last``."""
        self.optimizer: LBFGS = self.model.optimizer
        self.minimization = Minimization(self.optimizer, self._point)
        super().train(first, last)

    def _point(self, place: NDArray[np.float32]) -> Point:
        """What the loss is there; the weights are then those of the place."""
        np.copyto(self.session.plan.network.parameters, place)
        logs, gradient = self.session.gradients(self.feed)
        return Point(place, logs["loss"], gradient.astype(np.float64), logs)

    def _train(self, place: Place) -> Logs | None:
        """Make an iteration; None if the loss is not finite where it begins."""
        parameters = self.session.plan.network.parameters
        try:
            found = self.minimization.iterate(parameters)
        except BaseException:
            # such as Ctrl-C in the midst of a line search
            self.session.restore()
            raise
        np.copyto(parameters, found.place)
        if not np.isfinite(found.value):
            return None
        logs = dict(found.logs)
        self.progress.update(self.feed.rows, logs)
        if self.by_batch:
            self.callbacks.call("on_train_batch_end", 0, logs)
        if self.optimizer.status:
            self.model.stop_training = True
        return logs


def class_weights(
    class_weight: Any, targets: NDArray[np.float32], weights: NDArray[np.float32], loss: Loss
) -> NDArray[np.float32]:
    """Return the rows' weights times those of their classes."""
    if isinstance(loss, Custom) and (weights.size or class_weight is not None):
        argument = "class_weight" if class_weight is not None else "sample_weight"
        raise ValueError(
            f"{argument} cannot be used with a loss of one's own, which gets the whole batch and returns one number; "
            "hand the weights over as a further column of y"
        )
    if class_weight is None:
        return weights
    if not isinstance(class_weight, Mapping):
        raise TypeError(f"class_weight must be a dict of class numbers and weights, got {class_weight!r}")
    for key, value in class_weight.items():
        number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
        if not number or not 0 <= value < np.inf:
            raise ValueError(f"class_weight must have finite weights that are not negative, got {value!r} for {key!r}")
    classes = targets.argmax(axis=1) if targets.shape[1] > 1 else targets[:, 0]
    if not (classes == np.floor(classes)).all():
        raise ValueError("class_weight needs targets that are classes, but y has fractions")
    present, inverse = np.unique(classes.astype(np.int64), return_inverse=True)
    missing = [int(number) for number in present if number not in class_weight]
    if missing:
        raise ValueError(f"class_weight must have a weight for every class in y, and has none for {missing}")
    highest = max(1, int(present[-1])) if targets.shape[1] == 1 else targets.shape[1] - 1
    unknown = [key for key in class_weight if not isinstance(key, (int, np.integer)) or not key >= 0]
    if targets.shape[1] > 1:
        unknown += [key for key in class_weight if key not in unknown and key > highest]
    if unknown:
        raise ValueError(f"class_weight must have class numbers from 0 as keys, got {unknown}")
    factors = np.array([class_weight[int(number)] for number in present], np.float32)[inverse]
    return factors * weights if weights.size else factors


def automatic_batch(rows: int) -> int:
    """Return the batch size for so many rows of training: the power of two below their square root, 32 to 1024.

    An epoch then has about as many steps as a batch has rows, and enough for an optimizer even if the data are few.
    """
    return min(LARGEST_BATCH, max(SMALLEST_BATCH, 1 << (math.isqrt(rows).bit_length() - 1)))


def chosen_batch(batch_size: object, rows: int) -> int:
    """Return the number that an argument ``batch_size`` stands for, or raise ValueError."""
    if batch_size is None:
        return DEFAULT_BATCH
    if isinstance(batch_size, str):
        if batch_size != "auto":
            raise ValueError(f"batch_size must be a positive integer or 'auto', got {batch_size!r}")
        return automatic_batch(rows)
    return check_count("batch_size", batch_size)
