"""What a training run leaves behind: losses and metrics, epoch by epoch."""

from collections.abc import Mapping
from typing import Any

from .hooks import Callback


class History(Callback):
    """The record that ``fit`` returns, with the attributes of Keras' History.

    Parameters
    ----------
    params : mapping, optional
        What the run was started with, such as ``{"epochs": 10, "steps": 469}``; copied.

    Attributes
    ----------
    epoch : list of int
        The finished epochs, counted from 0.
    history : dict of str to list of float
        The values of each loss and metric, in the order of `epoch`; a value that was not computed in every
        epoch has a shorter list.
    params : dict
        As given.
    """

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}
        self.params: dict[str, Any] = dict(params or {})

    def set_model(self, model: Any) -> None:
        """Nothing: a record does not keep the model alive."""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Start a new record."""
        self.epoch, self.history = [], {}

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Add an epoch."""
        self.append(epoch, logs or {})

    def get_state(self) -> dict[str, Any]:
        """Return the record."""
        return {"epoch": self.epoch, "keys": list(self.history), "values": list(self.history.values())}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on with a record."""
        self.epoch = list(state["epoch"])
        self.history = dict(zip(state["keys"], state["values"], strict=True))

    def append(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Add a finished epoch, counted from 0, with the values computed in it."""
        self.epoch.append(int(epoch))
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))

    def __repr__(self) -> str:
        count = len(self.epoch)
        last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self.history.items())
        return f"<History of {count} epoch{'' if count == 1 else 's'}{': ' if last else ''}{last}>"
