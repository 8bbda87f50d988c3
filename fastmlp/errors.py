"""The exceptions of the package, and the checks whose messages every module words alike."""

import difflib
import math
import numbers
from collections.abc import Iterable

import numpy as np

__all__ = [
    "FastMLPError",
    "ModelBusyError",
    "ModelFileError",
    "NotBuiltError",
    "NotCompiledError",
    "SourceError",
    "TrainingDivergedError",
]

FLOAT32_LARGEST = float(np.finfo(np.float32).max)


class FastMLPError(Exception):
    """What all errors of this package's own share; wrong arguments raise ValueError and TypeError instead."""


class TrainingDivergedError(FastMLPError, ArithmeticError):
    """The loss or a weight became NaN or infinite during training."""


class NotCompiledError(FastMLPError, RuntimeError):
    """A model was asked to train or to evaluate before ``compile`` gave it a loss and an optimizer."""


class ModelFileError(FastMLPError, ValueError):
    """A file, or pickled bytes, that are no whole model of this package's, or not one that fits."""


class TableError(FastMLPError, ValueError):
    """A table that cannot be read, learnt from or predicted; the message names column, row and value."""


class SourceError(FastMLPError, RuntimeError):
    """Rows of a :class:`fastmlp.data.Source` could not be read; the message says which, and the cause is chained."""


class ModelBusyError(FastMLPError, RuntimeError):
    """A model was asked to train or to evaluate in one thread while another one is in ``fit``."""


class NotBuiltError(FastMLPError, RuntimeError):
    """Weights were asked for before the model knew the size of its input."""


def unknown_name(kind: str, name: object, valid: Iterable[str]) -> ValueError:
    """Build the error for a name that is in no table, with the closest names that are.

    Parameters
    ----------
    kind : str
        What was named, such as ``"activation"``.
    name : object
        What was given.
    valid : iterable of str
        The names that would do, in the order in which to list them.

    Returns
    -------
    ValueError
        To be raised by the caller, so that the traceback ends there.
    """
    names = list(valid)
    close = difflib.get_close_matches(name.lower(), names, n=2, cutoff=0.55) if isinstance(name, str) else []
    hint = f": did you mean {' or '.join(map(repr, close))}?" if close else "."
    return ValueError(f"unknown {kind} {name!r}{hint} Valid names: {', '.join(names)}")


def finite_number(
    argument: str, value: object, *, at_least: float = -math.inf, at_most: float = FLOAT32_LARGEST
) -> float:
    """Check that an argument is a real number that is finite in float32, and return it as a float.

    Parameters
    ----------
    argument : str
        Its name, for the message.
    value : object
        What was given.
    at_least, at_most : float
        The smallest and the largest value allowed.

    Raises
    ------
    TypeError
        Not a real number (a bool is none).
    ValueError
        NaN, infinite, too large for float32, less than `at_least` or more than `at_most`.
    """
    if at_most < FLOAT32_LARGEST:
        allowed = f"a number from {at_least:g} to {at_most:g}"
    else:
        allowed = "a finite number" if at_least == -math.inf else f"a finite number of at least {at_least:g}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{argument} must be {allowed}, got {value!r} of type {type(value).__name__}")
    number = float(value)
    if not max(at_least, -FLOAT32_LARGEST) <= number <= at_most:
        large = " (float32 ends at 3.4e+38)" if FLOAT32_LARGEST < abs(number) < math.inf else ""
        raise ValueError(f"{argument} must be {allowed}, got {number:g}{large}")
    return number


def check_flag(argument: str, value: object) -> bool:
    """Return a bool, or raise TypeError: a number in the place of an option is more likely a slip than a choice."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{argument} must be True or False, got {value!r} of type {type(value).__name__}")
    return bool(value)


def check_whole(name: str, value: object, *, at_least: int = 0) -> int:
    """Return an integer of at least so much, or raise ValueError."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < at_least:
        raise ValueError(f"{name} must be an integer from {at_least}, got {value!r}")
    return int(value)


def check_number(name: str, value: object) -> float:
    """Return a number, which may be NaN or infinite, as a float, or raise TypeError."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    return float(value)


def check_verbose(value: object) -> int:
    """Return 0 or 1, for a callback that prints nothing or its lines, or raise ValueError."""
    if not isinstance(value, (int, np.integer)) or value not in (0, 1):
        raise ValueError(f"verbose must be 0 (nothing) or 1 (a line for what happens), got {value!r}")
    return int(value)


def check_text(name: str, value: object) -> str:
    """Return a text that is not empty and that a file can hold, or raise TypeError or ValueError."""
    if not isinstance(value, str) or not value:
        raise TypeError(f"{name} must be a text, got {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} must be a text without lone surrogates, got {value!r}") from None
    return value


def check_count(name: str, value: object) -> int:
    """Return a positive integer, or raise ValueError."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}")
    return int(value)
