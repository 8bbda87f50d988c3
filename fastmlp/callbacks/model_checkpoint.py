"""ModelCheckpoint: saves the model while it trains."""

import contextlib
import os
from collections.abc import Mapping
from typing import Any

from ..errors import TrainingDivergedError, check_flag
from ..hooks import Callback, Logs
from .frequency import check_save_freq
from .monitor import Monitor, check_counted


class ModelCheckpoint(Callback):
    """Save the model, or its weights, at the end of epochs or every so many batches.

    A model that :func:`fastmlp.load_model` has loaded from an epoch's file goes on with
    ``fit(..., initial_epoch=epoch)`` as if it had never stopped. The callback is called after all others, so that the
    file has the learning rate and the history that they leave.

    Parameters
    ----------
    filepath : path
        The file, such as ``"best.safetensors"``; ``"{epoch:02d}-{val_loss:.2f}.safetensors"`` becomes the number of
        the epoch, counted from 1, and a value of the logs, and ``{batch}`` the number of the batch.
    monitor : str
        A key of the logs, for ``save_best_only``.
    verbose : {0, 1}
        Whether to print a line for each file.
    save_best_only : bool
        Whether to save only when the monitored value is better than ever before.
    save_weights_only : bool
        Whether to save with :meth:`Sequential.save_weights`.
    mode : {"auto", "min", "max"}
        Which direction is better; "auto" follows the name.
    save_freq : "epoch" or int
        When to save. Of a number of batches, files are made in the midst of epochs, and a training that goes on from
        such a file begins its epoch again.
    initial_value_threshold : float, optional
        What the first value must be better than.

    Attributes
    ----------
    best : float
        The best value so far; it is kept from one ``fit`` to the next.
    """

    order = 1
    first_rank_only = True
    counted = ("best", "batches", "epoch")

    def __init__(
        self,
        filepath: str | bytes | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__()
        self.filepath, self.monitor, self.verbose = os.fsdecode(filepath), monitor, verbose
        self.save_best_only = check_flag("save_best_only", save_best_only)
        self.save_weights_only = check_flag("save_weights_only", save_weights_only)
        self.save_freq = save_freq
        self._every = check_save_freq(save_freq)
        self._monitor = Monitor(monitor, mode, 0.0)
        self.best = self._monitor.worst if initial_value_threshold is None else float(initial_value_threshold)
        self.batches = self.epoch = 0
        if self._every:
            # an attribute of its own: a hook of single batches costs time wherever there is one
            self.on_train_batch_end = self._after_batch  # type: ignore[method-assign]

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; see :meth:`Callback.set_state`."""
        check_counted(state)
        super().set_state(state)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Take note of the epoch."""
        self.epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save, if that is when to."""
        if not self._every:
            self._save(epoch, logs or {}, {})

    def _after_batch(self, batch: int, logs: Logs | None = None) -> None:
        self.batches += 1
        if self.batches >= self._every:
            self.batches = 0
            # what has diverged is told at the end of the epoch
            with contextlib.suppress(TrainingDivergedError):
                self._save(self.epoch, logs or {}, {"batch": batch + 1})

    def _save(self, epoch: int, logs: Logs, numbers: dict[str, int]) -> None:
        """Save, unless only what is best is wanted and this is not."""
        value = self.best
        if self.save_best_only:
            found = self._monitor.read("ModelCheckpoint", logs)
            if found is None or not self._monitor.better(found, self.best):
                return
            value = found
        values = {"epoch": epoch + 1, **numbers, **logs}
        try:
            path = self.filepath.format(**values)
        except (LookupError, ValueError) as error:
            raise ValueError(
                f"filepath {self.filepath!r} must have names of the logs in its braces, of which there are "
                f"{', '.join(values)}: {type(error).__name__}: {error}"
            ) from None
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        # not before: a file that could not be written is no best one
        self.best = value
        if self.verbose:
            print(f"Epoch {epoch + 1}: saving model to {path}")
