"""Optimizers: configuration and the compiled update of a flat range of parameters.

To add one: write a file with its step kernel and its class, whose ``kind`` no other has, and give it a place in
``table.py``: a line in ``TABLE``, a branch in ``optimizer_step`` and, if settings alone do not say what a step needs,
one in ``step_factors``. Formulas, names and defaults are Keras 3's.
"""

from . import schedules
from .adagrad import Adagrad
from .adam import Adam, AdamW
from .base import Optimizer
from .lbfgs import LBFGS
from .lion import Lion
from .nadam import Nadam
from .rmsprop import RMSprop
from .sgd import SGD
from .table import TABLE, get

__all__ = [
    "LBFGS",
    "SGD",
    "TABLE",
    "Adagrad",
    "Adam",
    "AdamW",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "get",
    "schedules",
]
