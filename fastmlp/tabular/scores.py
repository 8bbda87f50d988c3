"""How good predictions are, beside those of somebody who has seen the target's values alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..metrics import confusion_matrix, mean_squared_error
from .scaling import Float64
from .target import Target

# probabilities below it are taken as it, so that one mistake does not make the log loss infinite
LEAST_PROBABILITY = 1e-7


@dataclass(frozen=True)
class Scores:
    """The scores of predictions.

    Attributes
    ----------
    rows : int
        How many there are.
    model, baseline : dict of str to float
        The scores by their names, of the model and of a constant: the class that most training rows have, with the
        classes' shares as probabilities, or the mean of the training rows.
    classes : list of (str, float, float, float, int)
        Precision, recall, F1 and rows of each class; NaN where there is nothing to divide by.
    constant : str
        What the baseline predicts.
    """

    rows: int
    model: dict[str, float]
    baseline: dict[str, float]
    classes: list[tuple[str, float, float, float, int]]
    constant: str


def score_classes(
    target: Target, true: NDArray[np.int64], probabilities: NDArray[np.float32], shares: Float64
) -> Scores:
    """Return the scores for class numbers (n,), probabilities (n, classes) and the training rows' shares (classes,)."""
    count = len(target.classes)
    constant = np.broadcast_to(shares, probabilities.shape)
    table = confusion_matrix(true, probabilities.argmax(axis=1), count)
    return Scores(
        len(true), _of_classes(target, true, probabilities), _of_classes(target, true, constant),
        [(name, *_of_one(table, place)) for place, name in enumerate(target.classes)],
        target.classes[int(shares.argmax())],
    )  # fmt: skip


def score_numbers(true: Float64, predicted: Float64, mean: float) -> Scores:
    """Return the scores for numbers (n,) and the training rows' mean."""
    return Scores(len(true), _of_numbers(true, predicted), _of_numbers(true, np.full(len(true), mean)), [], f"{mean:g}")


def _of_classes(target: Target, true: NDArray[np.int64], probabilities: NDArray[np.floating]) -> dict[str, float]:
    chosen = probabilities.argmax(axis=1)
    recalls = [float((chosen[true == place] == place).mean()) for place in np.unique(true)]
    own = np.clip(probabilities[np.arange(len(true)), true].astype(np.float64), LEAST_PROBABILITY, 1)
    found = {
        "accuracy": float((chosen == true).mean()),
        "balanced accuracy": float(np.mean(recalls)),
        "log loss": float(-np.log(own).mean()),
    }
    if target.outputs == 1 and 0 < true.sum() < len(true):
        found["ROC AUC"] = _area(true == 1, probabilities[:, 1])
    return found


def _area(positive: NDArray[np.bool_], score: NDArray[np.floating]) -> float:
    """Return the area under the ROC curve: how often a positive row has the higher score, where equal ones count half.

    This is the Mann-Whitney statistic, from mean ranks.
    """
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positives, negatives = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def _of_one(table: NDArray[np.int64], place: int) -> tuple[float, float, float, int]:
    right, rows, chosen = (int(number) for number in (table[place, place], table[place].sum(), table[:, place].sum()))
    precision, recall, balance = (
        right / whole if whole else float("nan") for whole in (chosen, rows, (chosen + rows) / 2)
    )
    return precision, recall, balance, rows


def _of_numbers(true: Float64, predicted: Float64) -> dict[str, float]:
    spread = float(np.var(true))
    error = mean_squared_error(true, predicted)
    return {
        "RMSE": float(np.sqrt(error)),
        "MAE": float(np.abs(true - predicted).mean()),
        "R2": 1 - error / spread if spread else float("nan"),
    }
