"""Layers: what a user says of them, and their weights while no model holds them.

A layer lays itself out as *stages* of a chain (``engine/chain.py``), which is what the compiled loops know. To add
one: a class with ``output_shape``, ``_make_weights`` and ``lay`` in a file of this folder.
"""

from .base import Layer
from .base import Shape as Shape
from .base import Weight as Weight
from .base import Weights as Weights
from .dense import Dense
from .input import Input
from .noise import Dropout, GaussianNoise
from .normalization import BatchNormalization, LayerNormalization, Normalization
from .pointwise import Activation, Flatten, Rescaling
from .residual import Residual

TABLE: dict[str, type[Layer]] = {
    layer.__name__: layer
    for layer in (
        Activation, BatchNormalization, Dense, Dropout, Flatten, GaussianNoise, LayerNormalization, Normalization,
        Rescaling, Residual,
    )
}  # fmt: skip

# what the engine takes from here beside these, imported above, is no part of what users are promised
__all__ = [
    "TABLE", "Activation", "BatchNormalization", "Dense", "Dropout", "Flatten", "GaussianNoise", "Input", "Layer",
    "LayerNormalization", "Normalization", "Rescaling", "Residual",
]  # fmt: skip
