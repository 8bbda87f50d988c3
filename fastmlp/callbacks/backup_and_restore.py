"""BackupAndRestore: a run of ``fit`` that is interrupted goes on where it was."""

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ModelFileError, TrainingDivergedError, check_flag
from ..hooks import Callback, Logs
from ..saving.backup import Place, Setup, resume_backup, setup, write_backup
from ..saving.durable import leftovers
from .frequency import check_save_freq
from .monitor import check_counted

FILE, PREVIOUS = "training.safetensors", "previous.safetensors"


class BackupAndRestore(Callback):
    """Keep a backup of the whole training, and begin with it where there is one.

    After an interruption, run the same program again: with the same data, model and callbacks ``fit`` goes on from the
    backup and ends with the same bits as if nothing had happened, history included. The seed is the backup's. The
    states of other callbacks (:meth:`Callback.get_state`) are kept too, and so are settings of the optimizer that
    callbacks have changed. The first backup is made before the first step; once something has been trained, the
    learning rate is the backup's, too.

    Parameters
    ----------
    backup_dir : path
        A folder for this run alone; it is made where it is missing.
    save_freq : "epoch" or int
        Make a backup after every epoch, or every so many batches.
    double_checkpoint : bool
        Whether to keep the backup before the last one as well, for a disk that damages files. An interruption does not.
    delete_checkpoint : bool
        Whether to delete the backup when the training is over.

    Raises
    ------
    ModelFileError
        By ``fit``, when the backup is damaged, or of another model, optimizer, list of callbacks, or number of rows or
        batch size. Deleting the folder lets the training begin anew.
    RuntimeError
        By ``fit``, when something was changed meanwhile that no backup could bring back, such as what layers are
        trained, or the loss.
    """

    order = 2
    first_rank_only = True
    counted = ("batches",)

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        self.backup_dir = Path(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = check_flag("double_checkpoint", double_checkpoint)
        self.delete_checkpoint = check_flag("delete_checkpoint", delete_checkpoint)
        self._every = check_save_freq(save_freq)
        self.batches = self._epoch = 0
        self._others: Sequence[Callback] = ()
        # how the training was set up where it began, and whether the last backup is known to be whole
        self._setup: Setup = {}
        self._sound = False
        if self._every:
            # an attribute of its own: a hook of single batches costs time wherever there is one
            self.on_train_batch_end = self._after_batch  # type: ignore[method-assign]

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; see :meth:`Callback.set_state`."""
        check_counted(state)
        super().set_state(state)

    def resume(self, others: Sequence[Callback], first: int) -> Place:
        """Bring the model and the other callbacks to where the backup is; without one, begin with epoch ``first``."""
        self.batches = 0
        self._sound = False
        self._others = others
        self.backup_dir.mkdir(parents=True, exist_ok=True)
        path, previous = self.backup_dir / FILE, self.backup_dir / PREVIOUS
        for left in (*leftovers(path), *leftovers(previous)):
            left.unlink(missing_ok=True)
        self._setup = setup(self.model, self.params, first)
        failures: list[Exception] = []
        for each in (path, previous):
            try:
                place, self._setup = resume_backup(each, self.model, [*others, self], self._setup)
            except FileNotFoundError:
                continue
            except (ModelFileError, OSError) as error:
                failures.append(error)
                continue
            self._epoch, self._sound = place.epoch, each == path
            return place
        if failures:
            # what is wrong with the last one
            raise failures[0]
        place = Place(first)
        self._save(place)
        return place

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Take note of the epoch."""
        self._epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Make a backup, if that is when to."""
        if not self._every:
            self._save(Place(epoch + 1, stopped=self.model.stop_training, logs=logs))

    def _after_batch(self, batch: int, logs: Logs | None = None) -> None:
        self.batches += 1
        # an epoch that is cut short is done again from an earlier backup, and cut short again
        if self.batches >= self._every and not self.model.stop_training:
            self.batches = 0
            # what has diverged is told at the end of the epoch
            with contextlib.suppress(TrainingDivergedError):
                self._save(Place(self._epoch, batch + 1, self.model._session.sums(), logs=logs))

    def _save(self, place: Place) -> None:
        path = self.backup_dir / FILE
        if self.double_checkpoint and self._sound:
            path.replace(self.backup_dir / PREVIOUS)
        self._sound = False
        write_backup(path, self.model, [*self._others, self], place, self._setup)
        self._sound = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Delete the backup."""
        if self.delete_checkpoint:
            for name in (FILE, PREVIOUS):
                (self.backup_dir / name).unlink(missing_ok=True)
