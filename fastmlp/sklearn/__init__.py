"""Estimators for scikit-learn: its ``MLPClassifier`` and ``MLPRegressor``, trained by fastmlp and with more to set.

``MLPEnsembleClassifier`` and ``MLPEnsembleRegressor`` are bags of them, trained at once.
"""

from .classifier import MLPClassifier
from .ensemble_classifier import MLPEnsembleClassifier
from .ensemble_regressor import MLPEnsembleRegressor
from .regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPEnsembleClassifier", "MLPEnsembleRegressor", "MLPRegressor"]
