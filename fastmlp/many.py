"""Many models at once: each trains in a thread of its own, on rows of the same arrays."""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, overload

import numpy as np

from .candidates import Fit, Model, candidates, places_of
from .display import metrics
from .errors import check_count
from .history import History
from .inputs import check_array, check_x, floats
from .jobs import run_jobs, shown
from .model import Sequential
from .seeds import check_seed


class Fits(Sequence[Fit]):
    """What :func:`fit_many` returns: a sequence of :class:`Fit`, in the order of the models."""

    def __init__(self, fits: Iterable[Fit]) -> None:
        self._fits = list(fits)

    def __len__(self) -> int:
        return len(self._fits)

    @overload
    def __getitem__(self, index: int) -> Fit: ...
    @overload
    def __getitem__(self, index: slice) -> "Fits": ...
    def __getitem__(self, index: int | slice) -> "Fit | Fits":
        return Fits(self._fits[index]) if isinstance(index, slice) else self._fits[index]

    def __repr__(self) -> str:
        return f"<Fits: {len(self)} models, {sum(fit.error is not None for fit in self)} failed>"

    @property
    def models(self) -> list[Sequential]:
        """The models that were trained to the end."""
        return [fit.model for fit in self if fit.model is not None and fit.error is None]

    @property
    def histories(self) -> list[History]:
        """Their histories."""
        return [fit.history for fit in self if fit.history is not None]

    @property
    def errors(self) -> dict[int, Exception]:
        """What ended the others, by their numbers."""
        return {number: fit.error for number, fit in enumerate(self) if fit.error is not None}


def fit_many(
    models_or_configs: "Model | Sequence[Model]",
    x: Any,
    y: Any,
    *,
    seeds: Sequence[int] | None = None,
    subsets: Sequence[Any] | None = None,
    folds: Any = None,
    settings: Sequence[Mapping[str, Any]] | None = None,
    n_jobs: int | None = None,
    verbose: str | int = "auto",
    callbacks: Callable[[int], Any] | None = None,
    **arguments: Any,
) -> Fits:
    """Train many models on the same data, one in each thread, with the bits of training each alone.

    Parameters
    ----------
    models_or_configs : Sequential or dict, or list of Sequential, dict and callables
        Compiled models, which are trained in place; or configs: what ``model.get_config()`` returns, and
        ``"compile_config"`` with what ``model.get_compile_config()`` returns, or with arguments of ``compile``. In a
        list, a function without arguments is called for a compiled model in the thread that trains it. One model, or
        one config, is a pattern for as many copies as there are seeds, subsets, folds or settings.
    x, y : array_like
        As for :meth:`Sequential.fit`; not copied for any model.
    seeds : list of int, optional
        A seed for each copy of the one model, whose initial weights follow from it. Without them all copies begin with
        the model's own weights.
    subsets : list of array_like of int, optional
        The rows that each model trains on, such as those of a bootstrap.
    folds : int, or iterable of (rows, validation_rows), or object with ``split(x, y)``, optional
        What each model trains and validates on: as many parts in the order of rows, pairs of indices, or a splitter of
        scikit-learn's. With as many seeds, each pair has one; or there is one model for each fold.
    settings : list of dict, optional
        Arguments of :meth:`Sequential.fit` for each model, such as ``{"epochs": 20, "class_weight": {0: 1, 1: 5}}``,
        which go before those for all.
    n_jobs : int, optional
        Models at the same time, :func:`fastmlp.get_num_threads` by default. What threads are left go to the models.
        Inside of ``joblib.parallel_config`` with processes or a cluster (``"loky"``, ``"dask"``, ``"ray"``), models are
        sent there and come back, and by default there are as many at a time as joblib has been told to use, or can.
    verbose : {"auto", 0, 1, 2}
        Nothing (0), a bar over all models (1), a line for each (2); "auto" is a bar on a terminal, else nothing.
    callbacks : callable, optional
        Called with a model's number for its list of callbacks, where the model is trained.
    **arguments
        Of :meth:`Sequential.fit`, for every model: ``epochs``, ``batch_size``, ``sample_weight``...

    Returns
    -------
    Fits
        A sequence of (model, history, error) in the order of the models. A model that fails ends no other; a warning
        says so.

    Raises
    ------
    ValueError, TypeError
        For lists that do not belong together, what is no model or no argument of ``fit``, and folds or subsets that
        are none; nothing is trained.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp import Dense, Input, Sequential
    >>> model = Sequential([Input((1,)), Dense(8, "tanh"), Dense(1)])
    >>> model.compile("adam", "mse")
    >>> x = np.linspace(-2, 2, 200).reshape(-1, 1)
    >>> fits = fit_many(model, x, np.sin(x), folds=5, seeds=range(5), epochs=3, verbose=0)
    >>> [len(fit.history.history["val_loss"]) for fit in fits]
    [3, 3, 3, 3, 3]
    """
    # converted and laid out once
    features = x if isinstance(x, np.ndarray) else check_x(x, None)
    targets = floats(check_array("y", y))
    places = places_of(len(features), y, subsets, folds)
    checked = None if seeds is None else [check_seed(seed) for seed in seeds]
    jobs = candidates(models_or_configs, places, checked, settings, arguments, callbacks)
    if n_jobs is not None:
        check_count("n_jobs", n_jobs)
    with shown(verbose, len(jobs), "Model") as show:
        done = run_jobs(jobs, (features, targets), n_jobs, lambda number, fit: show(number, lambda: _told(fit)))
    fits = Fits(job.taken(fit) for job, fit in zip(jobs, done, strict=True))
    if fits.errors:
        number, error = next(iter(fits.errors.items()))
        warnings.warn(
            f"{len(fits.errors)} of {len(fits)} models failed; model {number}: {type(error).__name__}: {error}",
            RuntimeWarning, stacklevel=2,
        )  # fmt: skip
    return fits


def _told(fit: Fit) -> str:
    """What became of a model, in a line."""
    if fit.history is None:
        return f"{type(fit.error).__name__}: {fit.error}"
    return metrics({name: values[-1] for name, values in fit.history.history.items()})
