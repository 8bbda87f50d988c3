"""LearningRateFinder: tries learning rates from tiny to huge in one short run, and suggests one."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import TrainingDivergedError, check_count, finite_number
from .fitting import chosen_batch
from .model import Sequential
from .optimizers import LBFGS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# what the loss of a step keeps of the ones before it; with 100 steps over eight decades this is about one decade
SMOOTHING = 0.9
# steps that hardly learn, and show the loss to start from
FIRST_STEPS = 10
FEWEST_STEPS = 20


class LearningRateFinder:
    """Sweep the learning rate exponentially over the steps of a short training, and see where the loss falls.

    This is the range test of Smith (arXiv 1506.01186, section 3.3), with the names of PyTorch Lightning's finder. The
    model trains with its own optimizer; afterwards its weights, the optimizer's moments and everything else are what
    they were before, to the bit.

    Parameters
    ----------
    min_lr, max_lr : float
        The learning rates of the first and of the last step.
    num_training_steps : int
        Steps, of a batch each; rows are gone through several times where there are not enough.
    early_stop_threshold : float, optional
        The sweep ends when the smoothed loss is more than so many times the lowest one, or not finite; None goes
        on to the end.

    Attributes
    ----------
    learning_rates, losses : list of float
        The learning rate of each step that was made, and its loss.

    Examples
    --------
    >>> from fastmlp import Dense, Input, LearningRateFinder, Sequential, datasets
    >>> (x, y), _ = datasets.load_digits()
    >>> model = Sequential([Input(shape=(64,)), Dense(32, activation="relu"), Dense(10, activation="softmax")], seed=0)
    >>> model.compile("adam", "sparse_categorical_crossentropy")
    >>> finder = LearningRateFinder().find(model, x, y)
    >>> model.optimizer.learning_rate = finder.suggestion
    """

    def __init__(
        self,
        min_lr: float = 1e-7,
        max_lr: float = 10.0,
        num_training_steps: int = 100,
        early_stop_threshold: float | None = 4.0,
    ) -> None:
        self.min_lr, self.max_lr = finite_number("min_lr", min_lr), finite_number("max_lr", max_lr)
        if not 0 < self.min_lr < self.max_lr:
            raise ValueError(f"min_lr must be more than 0 and less than max_lr, got {min_lr!r} and {max_lr!r}")
        self.num_training_steps = check_count("num_training_steps", num_training_steps)
        if self.num_training_steps < FEWEST_STEPS:
            raise ValueError(f"num_training_steps must be at least {FEWEST_STEPS}, got {num_training_steps}")
        self.early_stop_threshold = early_stop_threshold
        if early_stop_threshold is not None:
            self.early_stop_threshold = finite_number("early_stop_threshold", early_stop_threshold, at_least=1)
        self.learning_rates: list[float] = []
        self.losses: list[float] = []
        # of each step's batch, with the weights from before the sweep
        self._before: list[float] = []

    def __repr__(self) -> str:
        found = f"{len(self.losses)} steps, suggestion {self.suggestion!r}" if self.losses else "not run yet"
        return f"<LearningRateFinder: {found}>"

    def find(
        self,
        model: Sequential,
        x: Any,
        y: Any,
        batch_size: int | str | None = None,
        sample_weight: Any = None,
    ) -> "LearningRateFinder":
        """Make the sweep, and return this finder.

        Parameters
        ----------
        model : Sequential
            A compiled model. Where it has no weights yet, the data build it.
        x, y, sample_weight : array_like
            As for ``fit``.
        batch_size : int or "auto", optional
            Rows a step, as for ``fit``.

        Raises
        ------
        NotCompiledError
            When the model has no loss and optimizer.
        ValueError, TypeError
            For data that do not fit.
        """
        if not isinstance(model, Sequential):
            raise TypeError(f"model must be a Sequential, got {model!r}")
        optimizer, loss = model._compiled()
        if isinstance(optimizer, LBFGS):
            raise ValueError("LBFGS has no learning rate to find; compile the model with an optimizer such as 'adam'")
        if optimizer.schedule is not None:
            raise ValueError(
                f"the optimizer's learning rate follows {optimizer.schedule!r}, so there is none to find; compile the "
                "model with a number as learning_rate"
            )
        features, targets, weights = model._checked(x, y, sample_weight, loss, "train on")
        batch = chosen_batch(batch_size, len(features))
        session = model._ready()
        if isinstance(features, np.ndarray):
            features = features.reshape(len(features), *(model._inputs or ()))
        own_rate = optimizer.learning_rate
        # not the model's generator, which is to be as before
        order = np.random.default_rng(model.seed).permutation(len(features))
        self.learning_rates, self.losses, self._before = [], [], []
        batches = [order[at : at + batch] for at in range(0, len(order), batch)][: self.num_training_steps]
        data = [(features[rows], targets[rows], weights[rows] if weights.size else None) for rows in batches]
        rates = np.geomspace(self.min_lr, self.max_lr, self.num_training_steps).tolist()
        with session.turns.fitting():
            put_back = session.snapshot()
            try:
                before = [_loss_of(model.test_on_batch(*arrays, return_dict=True)) for arrays in data]
                for step, rate in enumerate(rates):
                    number = step % len(data)
                    optimizer.learning_rate = rate
                    try:
                        value = _loss_of(model.train_on_batch(*data[number], return_dict=True))
                    except TrainingDivergedError:
                        break
                    self.learning_rates.append(rate)
                    self.losses.append(value)
                    self._before.append(before[number])
                    if self._diverges():
                        break
            finally:
                optimizer.learning_rate = own_rate
                put_back()
        return self

    def _diverges(self) -> bool:
        if self.early_stop_threshold is None:
            return False
        forward = _mean_so_far(np.array(self.losses))
        lowest = float(forward.min())
        # a loss may be negative, where a multiple of it means nothing
        return lowest > 0 and float(forward[-1]) > self.early_stop_threshold * lowest

    @property
    def smoothed(self) -> list[float]:
        """The losses without most of their noise.

        From each is taken how much harder its batch was than others before the sweep. The rest goes through
        exponential means from both sides, which do not lag behind. What rises above the start by more than the loss
        has fallen is cut, so that the divergence at the end does not outweigh what was before it.
        """
        if not self.losses:
            return []
        before = np.array(self._before)
        start = float(before.mean())
        losses = np.array(self.losses) - before + start
        losses = np.minimum(losses, 2 * start - losses.min())
        both = (_mean_so_far(losses) + _mean_so_far(losses[::-1])[::-1]) / 2
        return [float(value) for value in both]

    @property
    def suggestion(self) -> float | None:
        """The learning rate in the middle of the fall: where the smoothed loss is half-way from its start to its end.

        The end of the fall is the lowest loss. In the middle is about where it falls fastest, which is the usual
        suggestion, but a single noisy step cannot pass for it. None before a sweep, and when the loss does not fall.
        """
        if len(self.losses) < FEWEST_STEPS:
            return None
        smoothed = np.array(self.smoothed)
        lowest = int(smoothed.argmin())
        start = float(np.median(smoothed[:FIRST_STEPS]))
        # of noise alone, the first steps would be as low
        if lowest < FIRST_STEPS or not smoothed[lowest] < smoothed[:FIRST_STEPS].min():
            return None
        above = np.flatnonzero(smoothed[:lowest] >= (start + smoothed[lowest]) / 2)
        return self.learning_rates[int(above[-1])]

    def plot(self, ax: Any = None) -> "Axes":
        """Draw the loss over the learning rate, with the suggestion marked.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            A new figure by default.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ValueError
            Before a sweep, or when it made no step.
        ImportError
            When Matplotlib is not installed.
        """
        if not self.losses:
            raise ValueError("there is nothing to draw: call find(model, x, y) first")
        from .plotting import learning_rates

        return learning_rates(self.learning_rates, self.losses, self.smoothed, self.suggestion, ax=ax)


def _loss_of(logs: Any) -> float:
    """The loss of what was returned as a dict."""
    return float(logs["loss"])


def _mean_so_far(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """The exponential mean of the losses up to each, with the bias of its start taken away (as in Adam)."""
    means = np.empty(len(losses))
    mean = 0.0
    for step, value in enumerate(losses):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * value
        means[step] = mean / (1 - math.pow(SMOOTHING, step + 1))
    return means
