"""Losses: what training minimises, by name or as objects.

A file here has one group of them, each with its formula as a kernel and its class. To add one, write
``(y, p, c) -> (value, slope)`` for target ``y``, output ``p`` and parameter ``c`` in such a file (or a kernel over
rows, as for the focal ones), its class, a number in ``kinds``, and in ``table`` a branch of
``loss_value_and_grad`` and a place in :data:`TABLE`.
"""

from .base import Loss
from .binary import BinaryCrossentropy, BinaryFocalCrossentropy
from .categorical import CategoricalCrossentropy, CategoricalFocalCrossentropy, SparseCategoricalCrossentropy
from .custom import Custom
from .divergence import KLDivergence
from .hinge import Hinge
from .regression import Huber, LogCosh, MeanAbsoluteError, MeanSquaredError, Poisson, Quantile
from .table import ALIASES, TABLE, get

__all__ = [
    "ALIASES",
    "TABLE",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "Custom",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Poisson",
    "Quantile",
    "SparseCategoricalCrossentropy",
    "get",
]
