"""Estimators for scikit-learn: its ``MLPClassifier`` and ``MLPRegressor``, trained by fastmlp and with more to set."""

from .classifier import MLPClassifier
from .regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
