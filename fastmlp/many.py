"""Many models at once: each trains in a thread of its own, on rows of the same arrays."""

import copy
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from time import perf_counter
from typing import Any, NamedTuple, overload

import numpy as np

from .callbacks import Callback
from .display import Bar, duration, metrics, progress
from .errors import check_count
from .history import History
from .inputs import check_array, check_indices, check_x, floats
from .model import Sequential
from .seeds import check_seed
from .threads import get_num_threads, limited


class Fit(NamedTuple):
    """What became of one model.

    Attributes
    ----------
    model : Sequential or None
        The model, trained if all went well; None where a function did not make one.
    history : History or None
        As ``fit`` returns it; None after an error.
    error : Exception or None
        What ended the training before its time.
    """

    model: Sequential | None
    history: History | None
    error: Exception | None


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
    models: "Sequential | Sequence[Sequential | Callable[[], Sequential]]",
    x: Any,
    y: Any,
    *,
    seeds: Sequence[int] | None = None,
    subsets: Sequence[Any] | None = None,
    folds: Any = None,
    n_jobs: int | None = None,
    verbose: str | int = "auto",
    callbacks: Callable[[int], Any] | None = None,
    **arguments: Any,
) -> Fits:
    """Train many models on the same data, one in each thread, with the bits of training each alone.

    Parameters
    ----------
    models : Sequential, or list of Sequential and callables
        Compiled models, which are trained in place; a function without arguments is called for one in the thread that
        trains it. One model is a pattern for as many copies as there are seeds, subsets or folds.
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
    n_jobs : int, optional
        Models at the same time, :func:`fastmlp.get_num_threads` by default. What threads are left go to the models.
    verbose : {"auto", 0, 1, 2}
        Nothing (0), a bar over all models (1), a line for each (2); "auto" is a bar on a terminal, else nothing.
    callbacks : callable, optional
        Called with a model's number for its list of callbacks.
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
        For lists that do not belong together, and folds or subsets that are none; nothing is trained.

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
    if "rows" in arguments or "validation_rows" in arguments:
        raise TypeError("rows and validation_rows are given by subsets and folds")
    # converted and laid out once
    features = x if isinstance(x, np.ndarray) else check_x(x, None)
    targets = floats(check_array("y", y))
    places = _places(len(features), y, subsets, folds)
    made = _models(models, None if seeds is None else [check_seed(seed) for seed in seeds], len(places) or None)
    places = places or [{}] * len(made)
    jobs = get_num_threads() if n_jobs is None else check_count("n_jobs", n_jobs)
    jobs = min(jobs, len(made))
    threads = max(1, get_num_threads() // jobs)
    running: dict[int, Sequential] = {}

    def fit(number: int) -> Fit:
        model = made[number]
        try:
            if not isinstance(model, Sequential):
                model = _made(model())
            running[number] = model
            own: list[Callback] | None = callbacks(number) if callbacks is not None else None
            with limited(threads):
                history = model.fit(features, targets, verbose=0, callbacks=own, **places[number], **arguments)
            return Fit(model, history, None)
        except Exception as error:
            return Fit(model if isinstance(model, Sequential) else None, None, error)
        finally:
            running.pop(number, None)

    with ThreadPoolExecutor(jobs, "fastmlp-many") as pool, _shown(verbose, len(made)) as show:
        futures = [pool.submit(fit, number) for number in range(len(made))]
        try:
            for future in as_completed(futures):
                show(futures.index(future), future.result())
        except BaseException:
            # such as Ctrl-C: nothing begins any more, and what goes on ends with its step
            pool.shutdown(wait=False, cancel_futures=True)
            for model in list(running.values()):
                model.stop_training = True
            raise
    fits = Fits(future.result() for future in futures)
    if fits.errors:
        number, error = next(iter(fits.errors.items()))
        warnings.warn(
            f"{len(fits.errors)} of {len(fits)} models failed; model {number}: {type(error).__name__}: {error}",
            RuntimeWarning, stacklevel=2,
        )  # fmt: skip
    return fits


def _places(rows: int, y: Any, subsets: Sequence[Any] | None, folds: Any) -> list[dict[str, Any]]:
    """The rows of each model, as arguments of fit; nothing where all take all."""
    if subsets is not None and folds is not None:
        raise ValueError("subsets and folds must not both be given")
    if subsets is not None:
        return [{"rows": check_indices(f"subsets[{i}]", subset, rows)} for i, subset in enumerate(subsets)]
    if folds is None:
        return []
    if isinstance(folds, (int, np.integer)) and not isinstance(folds, bool):
        if not 2 <= folds <= rows:
            raise ValueError(f"folds must be from 2 to the {rows} rows, got {folds}")
        parts = np.array_split(np.arange(rows), folds)
        folds = [(np.concatenate(parts[:i] + parts[i + 1 :]), part) for i, part in enumerate(parts)]
    elif hasattr(folds, "split"):
        folds = folds.split(np.empty((rows, 1)), y)
    places = []
    for number, pair in enumerate(folds):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise ValueError(f"folds[{number}] must be (rows, validation_rows), got {pair!r}")
        names = ("rows", "validation_rows")
        places.append({n: check_indices(f"{n} of folds[{number}]", p, rows) for n, p in zip(names, pair, strict=True)})
    return places


def _models(models: Any, seeds: list[int] | None, places: int | None) -> "list[Sequential | Callable[[], Sequential]]":
    """As many models as are to be trained, or functions that make them."""
    if isinstance(models, Sequential):
        if seeds is not None and places is not None and len(seeds) != places:
            raise ValueError(f"there must be as many seeds as subsets or folds, got {len(seeds)} and {places}")
        models._compiled()
        if seeds is None:
            return [models] if places is None else [_twin(models, models.seed) for _ in range(places)]
        return [_twin(models, seed) for seed in seeds]
    if seeds is not None:
        raise ValueError("seeds are for copies of one model; several models have their own")
    made = list(models)
    if not made:
        raise ValueError("models must be one model, or a list of at least one")
    for number, model in enumerate(made):
        if not callable(model):
            raise TypeError(f"models[{number}] must be a Sequential or a function that makes one, got {model!r}")
        if isinstance(model, Sequential) and any(model is other for other in made[:number]):
            raise ValueError(f"models[{number}] is in the list twice; give its copies, or one model and seeds")
    if places is not None and places != len(made):
        raise ValueError(f"there must be as many models as subsets or folds, got {len(made)} and {places}")
    return made


def _twin(model: Sequential, seed: int) -> Sequential:
    """A model of the same layers, compiled alike: with weights of its own by another seed, else with the same ones."""
    twin = Sequential.from_config({**model.get_config(), "seed": seed})
    optimizer, loss = model._compiled()
    twin.compile(copy.deepcopy(optimizer), loss, model._metrics, model._weighted_metrics)
    if seed == model.seed and model.built:
        twin.set_weights(model.get_weights())
    return twin


def _made(model: Any) -> Sequential:
    if not isinstance(model, Sequential):
        raise TypeError(f"a function among models must return a Sequential, got {model!r}")
    return model


@contextmanager
def _shown(verbose: str | int, total: int) -> Iterator[Callable[[int, Fit], None]]:
    """Show what is done as much as asked for; yields what is to be called with each model that is."""
    shown = progress(verbose)
    if isinstance(shown, Bar):
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (TextColumn("Models"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        with Progress(*columns, transient=True) as bar:
            task = bar.add_task("", total=total)
            yield lambda number, fit: bar.advance(task)
    elif verbose == 2:
        begun = perf_counter()

        def line(number: int, fit: Fit) -> None:
            logs = {} if fit.history is None else {name: values[-1] for name, values in fit.history.history.items()}
            what = metrics(logs) if fit.error is None else f"{type(fit.error).__name__}: {fit.error}"
            print(f"Model {number + 1}/{total}  {duration(perf_counter() - begun)}  {what}", flush=True)

        yield line
    else:
        yield lambda number, fit: None
