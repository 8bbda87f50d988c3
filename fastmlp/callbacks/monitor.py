"""When a monitored value is better than another: "min", "max", or what its name says."""

import math
import warnings
from collections.abc import Mapping
from typing import Any

from ..errors import check_number, check_text, check_whole, finite_number

# metrics that are better when greater, as far as their names tell
GREATER = ("acc", "auc", "r2", "precision", "recall", "f1")


def check_mode(mode: object) -> str:
    """Return "auto", "min" or "max", or raise ValueError."""
    if not isinstance(mode, str) or mode not in ("auto", "min", "max"):
        raise ValueError(f"mode must be 'auto', 'min' or 'max', got {mode!r}")
    return str(mode)


class Monitor:
    """Reads one value of the logs and compares it.

    Parameters
    ----------
    name : str
        Its key in the logs.
    mode : {"auto", "min", "max"}
        Which direction is better; "auto" follows the name.
    min_delta : float
        What an improvement must exceed; its sign does not matter.
    """

    def __init__(self, name: str, mode: str, min_delta: float) -> None:
        self.name = check_text("monitor", name)
        greater = any(word in name for word in GREATER)
        self.sign = 1.0 if check_mode(mode) == "max" or (mode == "auto" and greater) else -1.0
        self.min_delta = abs(finite_number("min_delta", min_delta))

    @property
    def worst(self) -> float:
        """What everything is better than."""
        return -self.sign * math.inf

    def better(self, value: float, reference: float) -> bool:
        """Say whether a value is better than another by more than ``min_delta``."""
        return self.sign * (value - reference) > self.min_delta

    def read(self, owner: str, logs: Mapping[str, float] | None) -> float | None:
        """Return the value; without it, warn and return None."""
        value = (logs or {}).get(self.name)
        if value is None:
            warnings.warn(
                f"{owner} monitors {self.name!r}, which is not available; there is {', '.join(logs or {})}",
                stacklevel=3,
            )
        return value


def check_counted(state: Mapping[str, Any]) -> None:
    """Raise ValueError or TypeError unless the best value in a state is a number, and the others are counts."""
    for name, value in state.items():
        if name == "best":
            check_number(name, value)
        else:
            check_whole(name, value)
