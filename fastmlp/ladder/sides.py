"""The libraries that are compared: what each is called, and how to get a trainer of it for a case."""

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

from ..errors import unknown_name
from .cases import Case, Float32


class UnsupportedCaseError(ValueError):
    """A library cannot train this network; the message says what it lacks."""


class Side(Protocol):
    """One library's trainer of a case: it keeps the data and the state, so that training goes on."""

    def train(self, epochs: int) -> list[float]:
        """Train on all rows in their order, and return the mean loss of each epoch."""


@dataclass(frozen=True)
class Library:
    """What is known of a library without importing it."""

    title: str
    distribution: str
    """Its name on PyPI."""
    needs: str
    """The module that must be there."""
    home: str
    """The module beside this one with its trainer, which is called as ``make(case, x, y, weights)``."""


LIBRARIES = {
    "fastmlp": Library("fastmlp", "fastmlp", "numba", "fastmlp_side"),
    "numpy": Library("NumPy", "numpy", "numpy", "numpy_side"),
    "torch": Library("PyTorch", "torch", "torch", "torch_side"),
    "torch-compiled": Library("PyTorch, compiled", "torch", "torch", "torch_compiled_side"),
    "jax": Library("JAX", "jax", "jax", "jax_side"),
    "sklearn": Library("scikit-learn", "scikit-learn", "sklearn", "sklearn_side"),
}

# Compiling takes longer than measuring, and needs a C++ compiler: only where it is asked for.
DEFAULT = tuple(name for name in LIBRARIES if name != "torch-compiled")


def check_names(names: Sequence[str]) -> list[str]:
    """Return the libraries of these names in the order of the table.

    Raises
    ------
    ValueError
        For an unknown name, with the nearest ones.
    """
    for name in names:
        if name not in LIBRARIES:
            raise unknown_name("library", name, LIBRARIES)
    return [name for name in LIBRARIES if name in names]


def missing(name: str) -> str | None:
    """Say what to install for a library that is not there; None if it is."""
    library = LIBRARIES[name]
    if importlib.util.find_spec(library.needs):
        return None
    return f"{library.title} is not installed (pip install {library.distribution})"


def version_of(name: str) -> str:
    """Return the version of an installed library."""
    from .. import __version__

    if name == "fastmlp":
        return __version__  # it may run from its sources
    try:
        return version(LIBRARIES[name].distribution)
    except PackageNotFoundError:
        return "unknown"


def make_side(name: str, case: Case, x: Float32, y: Any, weights: Sequence[Float32]) -> Side:
    """Return a library's trainer.

    Parameters
    ----------
    name : str
        A key of `LIBRARIES`.
    case : Case
        The network.
    x, y : ndarray
        The rows of an epoch, as :func:`~fastmlp.ladder.cases.make_data` makes them.
    weights : sequence of ndarray
        Kernel (K, N) and bias (N,) of each layer, to start from; they are copied.

    Raises
    ------
    UnsupportedCaseError
        The library cannot train this network.
    """
    home = importlib.import_module(f".{LIBRARIES[name].home}", __package__)
    side: Side = home.make(case, x, y, weights)
    return side
