"""Readers of arguments, for :mod:`argparse`."""

import argparse
import math
from collections.abc import Callable


def whole_number(low: int, high: float) -> Callable[[str], int]:
    """Return what reads a number from ``low`` to ``high``."""
    allowed = f"of at least {low}" if high == math.inf else f"from {low} to {high}"

    def read(text: str) -> int:
        value = int(text) if text.removeprefix("-").isdecimal() else None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be a whole number {allowed}, got {text!r}")
        return value

    return read


def seconds(text: str) -> float:
    """Read a time of more than nothing, up to an hour."""
    value = float(text)
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError(f"must be more than 0 and at most 3600, got {text}")
    return value


def share(text: str) -> float:
    """Read a share of rows to keep out, from 0 to 0.9."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 0.9:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 0.9, got {text!r}")
    return value


def layer_sizes(text: str) -> tuple[int, ...]:
    """Read units of layers, such as ``64,64``."""
    parts = text.split(",")
    if not all(part.strip().isdecimal() and 1 <= int(part) <= 65_536 for part in parts):
        raise argparse.ArgumentTypeError(f"must be units of layers such as 64,64, each from 1 to 65536, got {text!r}")
    return tuple(map(int, parts))


def named_kind(text: str) -> tuple[str, str]:
    """Read the kind of a column, such as ``zip=category``."""
    name, equals, kind = text.rpartition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"must be COLUMN=KIND such as zip=category, got {text!r}")
    return name, kind
