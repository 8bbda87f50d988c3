"""Checks of an estimator's parameters, before anything is trained."""

import math
from typing import Any

import numpy as np

from .. import optimizers
from ..errors import check_count, check_flag, finite_number, unknown_name
from ..optimizers.schedules import LearningRateSchedule
from .network import function

SOLVERS = ("lbfgs", "sgd", "adam")
LEARNING_RATES = ("constant", "invscaling", "adaptive")
FLAGS = ("shuffle", "warm_start", "nesterovs_momentum", "early_stopping", "batch_norm")
# the names of numbers, with their least and largest values and whether these are excluded
RANGES = {
    "alpha": (0.0, math.inf, False, False),
    "l1": (0.0, math.inf, False, False),
    "learning_rate_init": (0.0, math.inf, True, False),
    "power_t": (0.0, math.inf, False, False),
    "tol": (0.0, math.inf, False, False),
    "momentum": (0.0, 1.0, False, False),
    "validation_fraction": (0.0, 1.0, False, True),
    "beta_1": (0.0, 1.0, False, True),
    "beta_2": (0.0, 1.0, False, True),
    "epsilon": (0.0, math.inf, True, False),
    "dropout": (0.0, 1.0, False, True),
}


def check_parameters(estimator: Any) -> None:
    """Raise ValueError or TypeError for a parameter that is out of its range, with its name and what would do."""
    for name, (low, high, above, below) in RANGES.items():
        value = finite_number(name, getattr(estimator, name))
        if not low <= value <= high or (above and value == low) or (below and value == high):
            least = f"above {low:g}" if above else f"at least {low:g}"
            most = "" if high == math.inf else f" and {'below' if below else 'at most'} {high:g}"
            raise ValueError(f"{name} must be {least}{most}, got {value!r}")
    for name in FLAGS:
        check_flag(name, getattr(estimator, name))
    for name in ("max_iter", "max_fun"):
        check_count(name, getattr(estimator, name))
    if estimator.n_iter_no_change != math.inf:
        check_count("n_iter_no_change", estimator.n_iter_no_change)
    if not (isinstance(estimator.batch_size, str) and estimator.batch_size == "auto"):
        check_count("batch_size", estimator.batch_size)
    for name, valid in (("solver", SOLVERS), ("learning_rate", LEARNING_RATES)):
        if getattr(estimator, name) not in valid:
            raise unknown_name(name, getattr(estimator, name), valid)
    if isinstance(estimator.verbose, bool) or not isinstance(estimator.verbose, (int, np.integer)):
        check_flag("verbose", estimator.verbose)
    if estimator.n_jobs is not None and (
        isinstance(estimator.n_jobs, bool)
        or not isinstance(estimator.n_jobs, (int, np.integer))
        or not estimator.n_jobs
    ):
        raise ValueError(f"n_jobs must be None, a number of threads, or -1 for all, got {estimator.n_jobs!r}")
    if estimator.schedule is not None and not isinstance(estimator.schedule, LearningRateSchedule):
        raise TypeError(f"schedule must be one of fastmlp.optimizers.schedules, got {estimator.schedule!r}")
    if estimator.schedule is not None and (estimator.optimizer is not None or estimator.solver == "lbfgs"):
        raise ValueError("schedule belongs to the solvers 'sgd' and 'adam'; give an optimizer object its own")
    if estimator.optimizer is not None:
        optimizers.get(estimator.optimizer)
    hidden_layers(estimator)


def hidden_layers(estimator: Any) -> list[tuple[int, Any]]:
    """Return units and activation of each hidden layer, after a check.

    Raises
    ------
    ValueError, TypeError
        For sizes that are no positive integers, unknown activations, or another number of these than of layers.
    """
    given = estimator.hidden_layer_sizes
    sizes = [check_count("hidden_layer_sizes", size) for size in (given if np.iterable(given) else [given])]
    names = estimator.activation
    if not isinstance(names, (list, tuple)):
        names = [names] * len(sizes)
    if len(names) != len(sizes):
        raise ValueError(f"activation must have a name for each of {len(sizes)} hidden layers, got {len(names)}")
    for name in [*names, *([] if sizes else [estimator.activation])]:
        function(name)
    return list(zip(sizes, names, strict=True))


def keep(arguments: dict[str, Any]) -> None:
    """Keep the arguments of a constructor, its ``vars()``, unchecked, as scikit-learn wants it."""
    own = arguments.pop("self")
    for name, value in arguments.items():
        if name != "__class__":
            setattr(own, name, value)
