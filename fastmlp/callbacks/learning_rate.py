"""Callbacks that change the learning rate between epochs."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import check_verbose, check_whole, finite_number
from ..hooks import Callback, Logs
from .monitor import Monitor, check_counted


class LearningRateScheduler(Callback):
    """Set the learning rate before each epoch.

    Parameters
    ----------
    schedule : callable
        ``schedule(epoch, learning_rate)``, or ``schedule(epoch)``, returns the new learning rate, from 0.
    verbose : {0, 1}
        Whether to print a line an epoch.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        if not callable(schedule):
            raise TypeError(f"schedule must be a function of the epoch and the learning rate, got {schedule!r}")
        self.schedule, self.verbose = schedule, check_verbose(verbose)
        self._takes_rate = _takes_two(schedule)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Ask the schedule."""
        rate_before = (float(self.model.optimizer.learning_rate),) if self._takes_rate else ()
        found = self.schedule(epoch, *rate_before)
        rate = finite_number(f"what schedule returns for epoch {epoch}", found, at_least=0)
        self.model.optimizer.learning_rate = rate
        if self.verbose:
            print(f"Epoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate:g}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Log the learning rate."""
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


def _takes_two(function: Callable[..., Any]) -> bool:
    """Say whether a function can be called with two arguments."""
    try:
        inspect.signature(function).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:
        # some functions of C do not say what they take
        return True
    return True


class ReduceLROnPlateau(Callback):
    """Reduce the learning rate when a monitored value has stopped improving.

    Parameters
    ----------
    monitor : str
        A key of the logs.
    factor : float
        What the learning rate is multiplied with, from 0 and below 1.
    patience : int
        Epochs without an improvement after which it is reduced.
    verbose : {0, 1}
        Whether to print a line.
    mode : {"auto", "min", "max"}
        Which direction is better; "auto" follows the name.
    min_delta : float
        What an improvement must exceed.
    cooldown : int
        Epochs to wait after a reduction.
    min_lr : float
        The lowest learning rate.
    """

    counted = ("best", "wait", "cooldown_counter")

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__()
        self._monitor = Monitor(monitor, mode, min_delta)
        self.factor = finite_number("factor", factor, at_least=0, at_most=1)
        if self.factor == 1:
            raise ValueError("factor must be below 1, or nothing is reduced, got 1")
        self.monitor, self.patience = monitor, check_whole("patience", patience)
        self.verbose, self.cooldown = check_verbose(verbose), check_whole("cooldown", cooldown)
        self.min_lr = finite_number("min_lr", min_lr, at_least=0)
        self.min_delta = self._monitor.min_delta
        self._reset()

    def _reset(self) -> None:
        self.best = self._monitor.worst
        self.wait = self.cooldown_counter = 0

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; see :meth:`Callback.set_state`."""
        check_counted(state)
        super().set_state(state)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start anew."""
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare, and reduce when patience is over."""
        rate = float(self.model.optimizer.learning_rate)
        value = self._monitor.read("ReduceLROnPlateau", logs)
        if logs is not None:
            logs["learning_rate"] = rate
        if value is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self._monitor.better(value, self.best):
            self.best, self.wait = value, 0
        elif self.cooldown_counter <= 0:
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_lr:
                rate = max(rate * self.factor, self.min_lr)
                self.model.optimizer.learning_rate = rate
                self.cooldown_counter, self.wait = self.cooldown, 0
                if self.verbose:
                    print(f"Epoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {rate:g}.")
