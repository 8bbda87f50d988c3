"""What a training run leaves behind: losses and metrics, epoch by epoch."""

import html
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .errors import check_number, check_text, check_whole
from .hooks import Callback

if TYPE_CHECKING:
    import numpy as np

# epochs that a table shows
LAST_EPOCHS = 5


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
        self.params: dict[str, Any] = {} if params is None else dict(params)
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}
        # in which epochs there is a value of a name
        self._epochs: dict[str, list[int]] = {}

    def set_model(self, model: Any) -> None:
        """Nothing: a record does not keep the model alive."""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Start a new record."""
        self.epoch, self.history, self._epochs = [], {}, {}

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Add an epoch."""
        self.append(epoch, logs or {})

    def get_state(self) -> dict[str, Any]:
        """Return the record."""
        return {
            "epoch": self.epoch,
            "keys": list(self.history),
            "values": list(self.history.values()),
            "epochs": [self.epochs_of(name) for name in self.history],
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on with a record; see :meth:`Callback.set_state`."""
        epoch = [check_whole("an epoch", number) for number in state["epoch"]]
        keys = [check_text("a key of the history", key) for key in state["keys"]]
        values = [[check_number("a value of the history", value) for value in column] for column in state["values"]]
        epochs = [[check_whole("an epoch", number) for number in column] for column in state["epochs"]]
        if len(set(keys)) != len(keys) or [len(each) for each in values] != [len(each) for each in epochs]:
            raise ValueError("a history must have as many epochs as values of each key")
        history, known = dict(zip(keys, values, strict=True)), dict(zip(keys, epochs, strict=True))
        self.epoch, self.history, self._epochs = epoch, history, known

    def append(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Add a finished epoch, counted from 0, with the values computed in it."""
        epoch, history = int(epoch), self.history
        self.epoch.append(epoch)
        for name, value in logs.items():
            if name in history:
                history[name].append(float(value))
                self._epochs.setdefault(name, []).append(epoch)
            else:
                history[name], self._epochs[name] = [float(value)], [epoch]

    def epochs_of(self, name: str) -> list[int]:
        """Return the epochs, counted from 0, to which the values of a name belong.

        Parameters
        ----------
        name : str
            A key of `history`.

        Raises
        ------
        KeyError
            When there are no values of that name.
        """
        count = len(self.history[name])
        known = self._epochs.get(name, [])
        # somebody may have changed `history` by hand
        return list(known) if len(known) == count else self.epoch[-count:]

    @property
    def best_epoch(self) -> int | None:
        """The epoch, counted from 0, with the lowest ``val_loss``, or without validation the lowest ``loss``.

        None when there is no such value.
        """
        name = "val_loss" if "val_loss" in self.history else "loss"
        pairs = zip(self.history.get(name, []), self.epochs_of(name) if name in self.history else [], strict=False)
        finite = [(value, epoch) for value, epoch in pairs if math.isfinite(value)]
        return min(finite)[1] if finite else None

    def plot(self, ax: Any = None) -> "np.ndarray[Any, np.dtype[np.object_]]":
        """Draw loss and metrics over the epochs; see :func:`fastmlp.plotting.history`.

        Parameters
        ----------
        ax : sequence of matplotlib.axes.Axes, optional
            One for the loss and one for each metric; a new figure by default.

        Returns
        -------
        ndarray of matplotlib.axes.Axes

        Raises
        ------
        ImportError
            When Matplotlib is not installed.
        """
        from .plotting import history

        return history(self, ax)

    def _table(self) -> tuple[list[str], list[list[str]]]:
        """The headings, and the best epoch and the last ones with their values, as texts."""
        from .display import number

        by_epoch: dict[int, dict[str, float]] = {epoch: {} for epoch in self.epoch}
        for name, values in self.history.items():
            for epoch, value in zip(self.epochs_of(name), values, strict=False):
                by_epoch.setdefault(epoch, {})[name] = value
        best = self.best_epoch
        shown = self.epoch[-LAST_EPOCHS:]
        if best is not None and best not in shown:
            shown = [best, *shown]
        rows = []
        for epoch in shown:
            cells = [number(by_epoch[epoch][name]) if name in by_epoch[epoch] else "" for name in self.history]
            rows.append([f"{'best: ' if epoch == best else ''}{epoch + 1}", *cells])
        return ["epoch", *self.history], rows

    def __str__(self) -> str:
        """A table of the best epoch and the last ones."""
        if not self.epoch:
            return repr(self)
        table = [row for part in self._table() for row in ([part] if part and isinstance(part[0], str) else part)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in table]
        return "\n".join([self._heading(), *(line.rstrip() for line in lines)])

    def _heading(self) -> str:
        count = len(self.epoch)
        return f"History of {count} epoch{'' if count == 1 else 's'}"

    def _repr_html_(self) -> str:
        """The same table for a notebook."""
        from .display import html_table

        if not self.epoch:
            return f"<p>{html.escape(self._heading())}</p>"
        headings, rows = self._table()
        return html_table(self._heading(), headings, rows, bold=[row[0].startswith("best") for row in rows])

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self.history.items() if values)
        best = self.best_epoch
        known = f" (best: {best + 1})" if best is not None and len(self.epoch) > 1 else ""
        return f"<{self._heading()}{known}{': ' if last else ''}{last}>"
