"""The loop over epochs, and what it calls between them."""

import io
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext, redirect_stdout
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import display, judging
from .agreement import checksum
from .blocks import Blocks
from .callbacks import BackupAndRestore, Callback, History, TerminateOnNaN
from .distributed import Group, at_all_ranks
from .engine.feed import Feed
from .engine.session import Order, Session
from .engine.stream import Stream
from .errors import TrainingDivergedError, check_count
from .hooks import Logs, overrides
from .losses import Custom, Loss
from .optimizers.lbfgs import LBFGS
from .optimizers.line_search import Point
from .saving.backup import NOWHERE, Place

DEFAULT_BATCH = 32
# where the callbacks are that are this package's own in all they do
CALLBACKS = f"{BackupAndRestore.__module__.rpartition('.')[0]}."
# what "auto" chooses between; docs/design.md has the measurements
SMALLEST_BATCH, LARGEST_BATCH = 32, 1024


class Callbacks:
    """The callbacks of one run, with its history, which is the last to hear of an epoch.

    Parameters
    ----------
    callbacks : Callback, iterable of Callback, or None
        As given to ``fit``; the first History among them is the one that ``fit`` returns.
    group : Group, optional
        The processes that train together, of which the first one alone writes and prints.
    """

    def __init__(self, callbacks: Any, group: Group | None = None) -> None:
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
        self.group = group
        silent = group is not None and not group.first
        # those whose hooks are called
        self.hearing = [callback for callback in self.members if not (silent and callback.first_rank_only)]
        self._silent = silent
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
        for callback in self.hearing:
            self._call(callback, hook, *arguments)

    def _call(self, callback: Callback, hook: str, *arguments: Any) -> None:
        # what users' functions print may be about this rank
        own = type(callback).__module__.startswith(CALLBACKS)
        with redirect_stdout(io.StringIO()) if self._silent and own else nullcontext():
            getattr(callback, hook)(*arguments)

    def epoch_end(self, epoch: int, logs: Logs) -> None:
        """Tell everyone about the end of an epoch, and the history before those who keep what it holds."""
        before = [callback for callback in self.hearing if callback.order <= 0]
        try:
            for callback in before:
                self._call(callback, "on_epoch_end", epoch, logs)
        finally:
            self.history.on_epoch_end(epoch, logs)
        for callback in self.hearing[len(before) :]:
            self._call(callback, "on_epoch_end", epoch, logs)

    def resume(self, first: int) -> Place:
        """Return where the run begins: at epoch ``first``, or where a backup has brought everyone."""
        if not self.backups:
            return Place(first)
        (backup,) = self.backups
        others = [self.history, *(member for member in self.members if member is not backup)]
        if self.group is None:
            return backup.resume(others, first)
        # the others need not see the first rank's disk
        if self.group.first:
            place = backup.resume(others, first)
            told = place, [callback.get_state() for callback in others], backup.model.stop_training
            self.group.from_first(told)
        else:
            place, states, stopped = self.group.from_first(None)
            for callback, state in zip(others, states, strict=True):
                callback.set_state(state)
            backup.model.stop_training = stopped
        return place

    @property
    def by_batch(self) -> bool:
        """Whether anyone wants to hear of single steps."""
        hooks = ("on_train_batch_begin", "on_train_batch_end")
        return any(overrides(callback, hook) for callback in self.hearing for hook in hooks)


class TrainingData(NamedTuple):
    """What ``fit`` trains on, after its checks.

    Attributes
    ----------
    data : Feed, Blocks or Stream
        Rows, blocks of which the first epoch has begun, or rows that are read meanwhile.
    validation : Feed or None
        The share of the rows that is kept out.
    batch_size : int or None
        As it was asked for; None with blocks.
    steps : int or None
        Of an epoch; None where nobody knows.
    owners : int
        How many processes have as many rows of their own.
    """

    data: Feed | Blocks | Stream
    validation: Feed | None
    batch_size: int | None
    steps: int | None
    owners: int = 1

    @property
    def samples(self) -> int | None:
        """All rows, where their number is known."""
        return None if isinstance(self.data, Blocks) else self.data.rows * self.owners

    @property
    def order(self) -> str | None:
        """What the order of rows follows from beside the seed, where they are read in blocks."""
        if not isinstance(self.data, Stream):
            return None
        return f"{len(self.data.layout.bounds) - 1} blocks, {self.data.layout.window} rows at a time"

    @property
    def batch(self) -> int:
        """Rows of a batch, at most; 1 with blocks."""
        return min(self.batch_size or 1, self.samples or 1)

    @property
    def samples_an_epoch(self) -> int | None:
        """Rows of an epoch, where their number is known."""
        return None if self.samples is None or self.steps is None else min(self.samples, self.steps * self.batch)


class Run:
    """One call of ``fit`` after its checks."""

    def __init__(
        self,
        model: Any,
        session: Session,
        data: Feed | Blocks | Stream,
        validation: Feed | Blocks | Stream | None,
        callbacks: Callbacks,
        progress: display.Progress,
        *,
        batch: int,
        steps: int | None,
        validation_batch: int,
        validation_freq: int,
        shuffle: bool | Order,
        group: Group | None = None,
    ) -> None:
        self.group, self.ranks = group, None if group is None else group.ranks(model)
        self.model, self.session, self.data, self.validation = model, session, data, validation
        self.callbacks, self.progress = callbacks, progress
        self.batch, self.steps, self.shuffle = batch, steps, shuffle
        self.validation_batch, self.validation_freq = validation_batch, validation_freq
        self.by_batch, self.validated = callbacks.by_batch, False

    def train(self, first: int, last: int) -> None:
        """Train the epochs from ``first`` to ``last``."""
        self.model.stop_training = False
        self.callbacks.history.on_train_begin()
        self.callbacks.call("on_train_begin", None)
        place = self.callbacks.resume(first)
        if self.group is not None and self.callbacks.backups:
            if place.step:
                # what the epoch goes back to should it diverge
                begun = self.session.turns.kept().copy()
                self.group.wire.broadcast(begun, 0)
                if not self.group.first:
                    np.copyto(self.session.plan.network.parameters, begun)
                    self.session.turns.keep()
            start_alike(self.model, self.session, self.group)
        logs = place.logs
        begin = last if place.stopped else place.epoch
        for epoch in range(begin, last):
            if epoch > begin and not self._more():
                break
            result = self._epoch(epoch, place)
            place = NOWHERE
            if result is None:
                break
            logs = result
            if self.model.stop_training:
                break
        self.session.take_averages()
        self.callbacks.call("on_train_end", logs)

    def _more(self) -> bool:
        """Whether there are data for another epoch."""
        return True

    def _watch(self, rows: int) -> bool:
        """What happens between compiled calls; True ends the epoch."""
        assert self.steps is not None
        self.progress.update(rows, self.session.results())
        step = -(-rows // self.batch)
        # several ranks end together, before the next step
        alone = self.ranks is None
        if not self.by_batch:
            # another thread may say so
            return alone and bool(self.model.stop_training)
        with self.session.turns.open():
            self.callbacks.call("on_train_batch_end", step - 1, self.session.results())
            if self.model.stop_training:
                return alone
            if step < self.steps:
                self.callbacks.call("on_train_batch_begin", step, None)
        return False

    def _train(self, place: Place) -> Logs | None:
        """Train on the rows once, or on what is left of them; None if a loss or a weight is not finite."""
        assert self.steps is not None
        self.session.set_optimizer(self.model.optimizer)
        if self.by_batch and place.step < self.steps:
            self.callbacks.call("on_train_batch_begin", place.step, None)
        return self.session.results() if self._train_rows(place, 1 if self.by_batch else None) else None

    def _train_rows(self, place: Place, steps_a_call: int | None) -> bool:
        """Have the session train on them; False if a loss or a weight is not finite."""
        assert isinstance(self.data, Feed)
        return self.session.train_epoch(
            self.data, self.batch, shuffled=self.shuffle, watch=self._watch, steps=self.steps,
            steps_a_call=steps_a_call, first_step=place.step, sums=place.sums, ranks=self.ranks,
        )  # fmt: skip

    def _epoch(self, epoch: int, place: Place) -> Logs | None:
        """One epoch and its validation; a diverged one is undone, and None where that is to end the run.

        An epoch that a backup was made in the midst of goes on from its step.
        """
        session, callbacks = self.session, self.callbacks
        self.progress.epoch_begin(epoch)
        if not place.step:
            callbacks.call("on_epoch_begin", epoch, None)
            session.turns.keep()
        self._check_alike(epoch)
        logs = self._train(place)
        self._stop_together()
        if logs is None:
            session.restore(session.turns.restore)
            if any(isinstance(callback, TerminateOnNaN) for callback in callbacks.members):
                if self.group is None or self.group.first:
                    print(f"Epoch {epoch + 1}: invalid loss, terminating training")
                self.model.stop_training = True
                return None
            error = TrainingDivergedError(
                f"training diverged in epoch {epoch + 1}: the loss or a weight became NaN or infinite. The weights "
                "are those from before that epoch. Try a smaller learning_rate, clipnorm=1.0, or scaled features "
                "and targets."
            )
            raise error if self.group is None else at_all_ranks(error)
        if self.validation is not None and (epoch + 1) % self.validation_freq == 0:
            logs.update({f"val_{name}": value for name, value in self._validate(self.validation).items()})
        callbacks.epoch_end(epoch, logs)
        self._stop_together()
        self.progress.epoch_end(epoch, logs)
        return logs

    def _check_alike(self, epoch: int) -> None:
        """Raise RuntimeError unless all ranks begin an epoch with the same weights and settings."""
        if self.group is not None:
            optimizer = self.model.optimizer
            settings = np.zeros(0) if isinstance(optimizer, LBFGS) else optimizer.settings()
            digest = checksum(self.session.plan.network.parameters, settings)
            self.group.check_alike(digest, f"before epoch {epoch + 1} the weights or the optimizer's settings")

    def _stop_together(self) -> None:
        """Have all ranks stop where one is to."""
        if self.group is not None:
            self.model.stop_training = self.group.any(bool(self.model.stop_training))

    def _validate(self, data: Feed | Blocks | Stream) -> Logs:
        """The loss and the metrics of the validation data, or nothing where no blocks are left."""
        if isinstance(data, Blocks):
            if not self.validated:
                data.must_begin()
            elif not data.begin():
                data.warn()
                return {}
        self.validated = True
        self.callbacks.call("on_test_begin", None)
        ranks = self.ranks
        if ranks is not None and (ranks.in_order or judging.Hooks(self.callbacks.members, *judging.TEST_HOOKS)):
            # every rank takes all rows: for the bits of one process, or for a hook, which may be one of one rank
            ranks = None
        logs = judging.evaluate(
            self.session, data, self.validation_batch, self.callbacks.hearing, lambda rows, logs: None, ranks
        )  # fmt: skip
        if isinstance(data, Blocks):
            data.end()
        self.callbacks.call("on_test_end", dict(logs))
        return logs


class BlockRun(Run):
    """One call of ``fit`` with blocks, each of them a batch; the first epoch of the blocks has begun."""

    def _more(self) -> bool:
        """Begin an epoch of the blocks."""
        assert isinstance(self.data, Blocks)
        found = self.data.begin()
        if not found:
            self.data.warn()
        return found

    def _train(self, place: Place) -> Logs | None:
        """Train on an epoch of blocks; None if a loss or a weight is not finite."""
        assert isinstance(self.data, Blocks)
        self.session.set_optimizer(self.model.optimizer)
        self.step = self.rows = 0
        watched = self.by_batch or self.progress.moves
        finite = self.session.train_blocks(self._feeds(self.data), self._watch if watched else None)
        self.data.end()
        if not finite:
            return None
        logs = self.session.results()
        self.progress.update(self.rows, logs)
        return logs

    def _feeds(self, blocks: Blocks) -> Iterator[Feed]:
        """The blocks, of which callbacks and the progress are told."""
        for self.step, feed in enumerate(blocks.feeds()):
            if self.by_batch:
                with self.session.turns.open():
                    self.callbacks.call("on_train_batch_begin", self.step, None)
            self.rows += feed.rows
            yield feed

    def _watch(self, rows: int) -> bool:
        """What happens after a block; True ends the epoch."""
        self.progress.update(rows, self.session.results())
        if not self.by_batch:
            return False
        with self.session.turns.open():
            self.callbacks.call("on_train_batch_end", self.step, self.session.results())
        return bool(self.model.stop_training)


class FullBatchRun(Run):
    """One call of ``fit`` with L-BFGS, whose iterations are the epochs."""

    def train(self, first: int, last: int) -> None:
        """Make the iterations from ``first`` to ``last``."""
        self.optimizer: LBFGS = self.model.optimizer
        self.minimization = self.session.minimization(self.optimizer)
        self.minimization.begin(self._point)
        super().train(first, last)

    def _point(self, place: NDArray[np.float32]) -> Point:
        """What the loss is there; the weights are then those of the place."""
        np.copyto(self.session.plan.network.parameters, place)
        assert isinstance(self.data, Feed)
        logs, gradient = self.session.gradients(self.data, self.ranks)
        return Point(place, logs["loss"], gradient.astype(np.float64), logs)

    def _train(self, place: Place) -> Logs | None:
        """Make an iteration; None if the loss is not finite where it begins."""
        assert isinstance(self.data, Feed)
        if place.step:
            # a backup was made when all was done but to end the epoch
            return dict(place.logs or {})
        if self.by_batch:
            self.callbacks.call("on_train_batch_begin", 0, None)
        parameters = self.session.plan.network.parameters
        # places of a line search are nobody else's
        with self.session.turns.lock:
            try:
                found = self.minimization.iterate(parameters)
            except BaseException:
                # such as Ctrl-C in the midst of it
                self.session.restore(self.session.turns.restore)
                raise
            np.copyto(parameters, found.place)
        if not np.isfinite(found.value):
            return None
        logs = dict(found.logs)
        self.progress.update(self.data.rows, logs)
        if self.by_batch:
            self.callbacks.call("on_train_batch_end", 0, logs)
        if self.optimizer.status:
            self.model.stop_training = True
        return logs


def start_alike(model: Any, session: Session, group: Group) -> None:
    """Bring all ranks to where the first one is: weights, the optimizer's slots, counts and seeds."""
    minimization = session.minimization(model.optimizer) if isinstance(model.optimizer, LBFGS) else None
    own = (
        model.seed, int(session.seed), model._generator.bit_generator.state, session.counts(), vars(model.optimizer),
        None if minimization is None else minimization.memory,
    )  # fmt: skip
    seed, session_seed, state, counts, settings, memory = group.from_first(own)
    group.wire.broadcast(session.plan.network.parameters, 0)
    if not group.first:
        vars(model.optimizer).update(settings)
    if minimization is None:
        session.set_optimizer(model.optimizer)
        for slot in session.slots():
            group.wire.broadcast(slot, 0)
    elif not group.first:
        minimization.memory = memory
    session.set_counts(**counts)
    model.seed, session.seed = seed, np.uint64(session_seed)
    session.plan.seed_noise(seed)
    model._generator.bit_generator.state = state


def class_weights(
    class_weight: Any, targets: NDArray[np.float32], weights: NDArray[np.float32], loss: Loss
) -> NDArray[np.float32]:
    """Return the rows' weights times those of their classes."""
    if class_weight is None and not weights.size:
        return weights
    if isinstance(loss, Custom):
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
