"""The loop over epochs, and what it calls between them."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import display
from .callbacks import BackupAndRestore, Callback, History, TerminateOnNaN
from .engine.feed import Feed
from .engine.session import Session
from .errors import TrainingDivergedError
from .hooks import Logs, overrides
from .saving.backup import NOWHERE, Place


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

    def _epoch(self, epoch: int, place: Place) -> Logs | None:
        """One epoch and its validation; a diverged one is undone, and None where that is to end the run.

        An epoch that a backup was made in the midst of goes on from its step.
        """
        session, callbacks = self.session, self.callbacks
        self.progress.epoch_begin(epoch)
        if not place.step:
            callbacks.call("on_epoch_begin", epoch, None)
        session.set_optimizer(self.model.optimizer)
        session.keep()
        if self.by_batch and place.step < self.steps:
            callbacks.call("on_train_batch_begin", place.step, None)
        finite = session.train_epoch(
            self.feed, self.batch, shuffled=self.shuffle, watch=self._watch, steps=self.steps,
            steps_a_call=1 if self.by_batch else None, first_step=place.step, sums=place.sums,
        )  # fmt: skip
        if not finite:
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
        logs = session.results()
        if self.validation is not None and (epoch + 1) % self.validation_freq == 0:
            callbacks.call("on_test_begin", None)
            judged = session.evaluate(self.validation, self.validation_batch)
            callbacks.call("on_test_end", dict(judged))
            logs.update({f"val_{name}": value for name, value in judged.items()})
        callbacks.epoch_end(epoch, logs)
        self.progress.epoch_end(epoch, logs)
        return logs


def class_weights(class_weight: Any, targets: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows' weights times those of their classes."""
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
