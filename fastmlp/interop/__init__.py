"""Models of other libraries, and models for places without this one."""

from .numpy_file import export_numpy
from .pytorch import from_torch, to_torch
from .scikit import from_sklearn

__all__ = ["export_numpy", "from_sklearn", "from_torch", "to_torch"]
