"""Diagnostics: what goes on in each layer while a model trains."""

from typing import Any

import numpy as np

from .. import display
from ..errors import check_count
from ..gradients import norm
from ..hooks import Callback, Logs
from ..inputs import check_array

# The bounds of activations that flatten out at both ends.
BOUNDS = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "hard_sigmoid": (0.0, 1.0), "softsign": (-1.0, 1.0)}
# An output is saturated within this share of the range from a bound: beyond 0.0125 and 0.9875 for the sigmoid, and
# 0.975 in size for tanh. The slope there is below 5 % of its largest.
SATURATED = 0.0125
# When a summary says so: a gradient so much smaller than the largest layer's, and shares of units or outputs.
VANISHING, MANY = 1e-3, 0.5


class Diagnostics(Callback):
    """Record the size of gradients, weights and updates of each layer, and its dead or saturated units.

    After each epoch the gradients and the layers' outputs are computed for the same few rows, which costs about two
    steps with a batch of that size. Nothing about the training changes.

    Parameters
    ----------
    x, y : array_like
        Rows to look at, as for ``fit``; usually some of the training data. They should be in no order, or the
        first ones say little about the rest.
    rows : int
        How many rows from the beginning are used at most.

    Attributes
    ----------
    epoch : list of int
        The recorded epochs.
    history : dict of str to dict of str to list of float
        For each layer by name and each epoch of the last training; the first three of layers with weights:

        - ``gradient_norm``: the Euclidean norm of the gradients of all its weights together;
        - ``weight_norm``: that of the weights;
        - ``update_ratio``: the norm of their change over the epoch, relative to ``weight_norm`` before it;
        - ``dead`` (layers with a ReLU): the share of units that are 0 for every row, and so learn nothing;
        - ``saturated`` (only sigmoid, tanh, hard_sigmoid and softsign layers): the share of outputs within 1.25 % of
          the range from a bound, where the slope is next to nothing.

    Examples
    --------
    >>> import fastmlp
    >>> model = fastmlp.Sequential([fastmlp.Dense(4, "relu"), fastmlp.Dense(1)], seed=0)
    >>> model.compile("sgd", "mse")
    >>> x, y = [[0.0, 1.0], [1.0, 0.0]], [0.0, 1.0]
    >>> diagnostics = fastmlp.callbacks.Diagnostics(x, y)
    >>> _ = model.fit(x, y, epochs=3, verbose=0, callbacks=[diagnostics])
    >>> sorted(diagnostics.history["dense"])
    ['dead', 'gradient_norm', 'update_ratio', 'weight_norm']
    """

    def __init__(self, x: Any, y: Any, rows: int = 512) -> None:
        super().__init__()
        self.rows = check_count("rows", rows)
        self._x, self._y = (check_array(name, values) for name, values in (("x", x), ("y", y)))
        if self._x.ndim == 0 or self._y.ndim == 0 or len(self._x) != len(self._y):
            raise ValueError(
                f"x and y must have as many rows as each other, got the shapes {self._x.shape} and {self._y.shape}"
            )
        # a copy: the rows are the same at every look
        self._x, self._y = self._x[: self.rows].copy(), self._y[: self.rows].copy()
        self.epoch: list[int] = []
        self.history: dict[str, dict[str, list[float]]] = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start a new record."""
        self.epoch, self.history = [], {}
        self._before = [layer.get_weights() for layer in self.model.layers]

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Look at every layer."""
        gradients, outputs = self.model.gradients(self._x, self._y), self.model.forward(self._x)
        after = [layer.get_weights() for layer in self.model.layers]
        self.epoch.append(int(epoch))
        for layer, gradient, output, old, new in zip(
            self.model.layers, gradients, outputs, self._before, after, strict=True
        ):
            found = {}
            if new:
                moved = norm([now.astype(np.float64) - then for now, then in zip(new, old, strict=True)])
                size = norm(old)
                found = {
                    "gradient_norm": norm(gradient.arrays),
                    "weight_norm": norm(new),
                    "update_ratio": moved / size if size else (np.inf if moved else 0.0),
                }
            activation = getattr(layer, "activation", None)
            kind = activation.name if activation else ""
            if kind == "relu":
                found["dead"] = float((output.a == 0).all(axis=0).mean())
            elif kind in BOUNDS:
                low, high = BOUNDS[kind]
                margin = SATURATED * (high - low)
                found["saturated"] = float(((output.a < low + margin) | (output.a > high - margin)).mean())
            record = self.history.setdefault(str(layer.name), {}) if found else {}
            for name, value in found.items():
                record.setdefault(name, []).append(value)
        self._before = after

    def table(self) -> str:
        """Return the last epoch as a table with a line for each layer.

        Remarks stand where a gradient is less than a thousandth of the largest layer's ("vanishing"), or where more
        than half of the units are dead or of the outputs saturated.
        """
        sizes_of = [record["gradient_norm"][-1] for record in self.history.values() if "gradient_norm" in record]
        largest = max(sizes_of, default=0.0)
        rows = []
        for name, record in self.history.items():
            last = {key: values[-1] for key, values in record.items()}
            remarks = ["vanishing gradient"] if last.get("gradient_norm", largest) < VANISHING * largest else []
            remarks += [f"{key} units" for key in ("dead", "saturated") if last.get(key, 0.0) > MANY]
            shares = [f"{last[key]:.0%}" if key in last else "" for key in ("dead", "saturated")]
            sizes = [
                f"{last[key]:.2e}" if key in last else "" for key in ("gradient_norm", "weight_norm", "update_ratio")
            ]
            rows.append((name, *sizes, *shares, ", ".join(remarks)))
        return display.table(
            ("Layer", "Gradient", "Weights", "Update / weights", "Dead", "Saturated", "Remarks"), rows, words=(0, 6)
        )

    def summary(self) -> None:
        """Print :meth:`table`."""
        title = f"Diagnostics of epoch {self.epoch[-1] + 1}" if self.epoch else "Diagnostics: no epoch yet"
        print(f"{title}\n{self.table()}")
