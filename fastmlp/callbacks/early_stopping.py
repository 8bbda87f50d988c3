"""EarlyStopping: ends a training that no longer improves."""

from collections.abc import Mapping
from typing import Any

from ..errors import check_flag, check_verbose, check_whole, finite_number
from ..hooks import Callback, Logs
from ..inputs import check_array, check_finite
from .monitor import Monitor, check_counted


class EarlyStopping(Callback):
    """Stop when a monitored value has not improved for some epochs.

    Parameters
    ----------
    monitor : str
        A key of the logs.
    min_delta : float
        What an improvement must exceed.
    patience : int
        Epochs without an improvement after which training stops.
    verbose : {0, 1}
        Whether to print a line.
    mode : {"auto", "min", "max"}
        Which direction is better; "auto" follows the name.
    baseline : float, optional
        A value that must be improved upon for the patience to be renewed.
    restore_best_weights : bool
        Whether the weights of the best epoch are put back at the end, whatever ended the training.
    start_from_epoch : int
        Epochs to wait before the first look.

    Attributes
    ----------
    stopped_epoch : int
        The epoch that was the last one, 0 if training was not stopped.
    best, best_epoch : float, int
        The best value and its epoch.
    """

    counted = ("wait", "stopped_epoch", "best_epoch", "best", "best_weights")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__()
        self._monitor = Monitor(monitor, mode, min_delta)
        self.monitor, self.patience = monitor, check_whole("patience", patience)
        self.verbose = check_verbose(verbose)
        self.baseline = None if baseline is None else finite_number("baseline", baseline)
        self.restore_best_weights = check_flag("restore_best_weights", restore_best_weights)
        self.start_from_epoch = check_whole("start_from_epoch", start_from_epoch)
        self.min_delta = self._monitor.min_delta
        self._reset()

    def _reset(self) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = self._monitor.worst
        self.best_weights: list[Any] | None = None

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; see :meth:`Callback.set_state`."""
        counted = {name: value for name, value in state.items() if name != "best_weights"}
        check_counted(counted)
        best, own = state["best_weights"], [weight.shape for weight in self.model.get_weights()]
        if best is not None:
            best = [check_array("best_weights", weight) for weight in best]
            for weight in best:
                check_finite("best_weights", weight)
            if [weight.shape for weight in best] != own:
                raise ValueError("best_weights must have the shapes of the model's weights")
        super().set_state({**counted, "best_weights": best})

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start anew."""
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare, and stop when patience is over."""
        value = self._monitor.read("EarlyStopping", logs)
        if value is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self._monitor.better(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self._monitor.better(value, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Put the best weights back."""
        if self.stopped_epoch > 0 and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose:
                print(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)
