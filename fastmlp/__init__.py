"""fastmlp: trains multi-layer perceptrons on the CPU, fast.

Names load when they are first used, so that ``import fastmlp`` costs next to nothing; Numba is imported with
the first model.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from . import (
        activations,
        callbacks,
        constraints,
        data,
        datasets,
        distributed,
        errors,
        initializers,
        layers,
        losses,
        metrics,
        onnx,
        optimizers,
        plotting,
        regularizers,
    )  # fmt: skip
    from .history import History
    from .interop import export_numpy, from_sklearn, from_torch, to_torch
    from .layers import (
        Activation,
        BatchNormalization,
        Dense,
        Dropout,
        Flatten,
        GaussianNoise,
        Input,
        LayerNormalization,
        Normalization,
        Rescaling,
        Residual,
    )  # fmt: skip
    from .learning_rate_finder import LearningRateFinder
    from .model import Sequential
    from .saving import load_model
    from .seeds import set_random_seed
    from .threads import get_num_threads, set_num_threads

_MODULES = (
    "activations",
    "callbacks",
    "constraints",
    "data",
    "datasets",
    "distributed",
    "errors",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "onnx",
    "optimizers",
    "plotting",
    "regularizers",
)
_LAYERS = (
    "Activation", "BatchNormalization", "Dense", "Dropout", "Flatten", "GaussianNoise", "Input", "LayerNormalization",
    "Normalization", "Rescaling", "Residual",
)  # fmt: skip
_HOMES = {
    **dict.fromkeys(_LAYERS, "layers"),
    "History": "history",
    "LearningRateFinder": "learning_rate_finder",
    "Sequential": "model",
    "Ensemble": "ensemble",
    "fit_many": "many",
    **dict.fromkeys(("export_numpy", "from_sklearn", "from_torch", "to_torch"), "interop"),
    "get_num_threads": "threads",
    "load_model": "saving",
    "set_num_threads": "threads",
    "set_random_seed": "seeds",
}

__all__ = [
    "Activation",
    "BatchNormalization",
    "Dense",
    "Dropout",
    "Ensemble",
    "Flatten",
    "GaussianNoise",
    "History",
    "Input",
    "LayerNormalization",
    "LearningRateFinder",
    "Normalization",
    "Rescaling",
    "Residual",
    "Sequential",
    "__version__",
    "activations",
    "callbacks",
    "constraints",
    "data",
    "datasets",
    "distributed",
    "errors",
    "export_numpy",
    "fit_many",
    "from_sklearn",
    "from_torch",
    "get_num_threads",
    "initializers",
    "layers",
    "load_model",
    "losses",
    "metrics",
    "onnx",
    "optimizers",
    "plotting",
    "regularizers",
    "set_num_threads",
    "set_random_seed",
    "to_torch",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
