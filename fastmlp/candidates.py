"""What :func:`fastmlp.fit_many` trains: models, each with its rows and its own arguments of ``fit``."""

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .callbacks import Callback
from .errors import unknown_name
from .history import History
from .inputs import check_indices
from .model import Sequential
from .saving.state import adopt

# arguments of fit that are given to all models at once, or otherwise
GIVEN_OTHERWISE = {
    "rows": "subsets or folds",
    "validation_rows": "folds",
    "callbacks": "callbacks, a function of the model's number",
    "verbose": "verbose, which is one for all models",
}
FIT_ARGUMENTS = [name for name in inspect.signature(Sequential.fit).parameters if name not in ("self", "x", "y")]
OWN_ARGUMENTS = [name for name in FIT_ARGUMENTS if name not in GIVEN_OTHERWISE]
CONFIG_KEYS = ("name", "seed", "input_shape", "layers", "compile_config")


Model = Sequential | Mapping[str, Any] | Callable[[], Sequential]


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


class Candidate:
    """A model to be trained with others; see :class:`fastmlp.jobs.Job`.

    Parameters
    ----------
    number : int
        Its place among the models.
    model : Sequential or callable
        Compiled, or what makes a model that is.
    arguments : dict
        Of :meth:`Sequential.fit`, without the data.
    callbacks : callable, optional
        Returns the list of callbacks for a number.
    """

    def __init__(
        self,
        number: int,
        model: Sequential | Callable[[], Sequential],
        arguments: dict[str, Any],
        callbacks: Callable[[int], list[Callback]] | None,
    ) -> None:
        self.number, self.arguments, self.callbacks = number, arguments, callbacks
        self.model: Any = model
        self._running: Sequential | None = None

    def run(self, features: Any, targets: Any) -> Fit:
        """Train the model, and return it with its history or with the error that has ended it."""
        model = self.model if isinstance(self.model, Sequential) else None
        try:
            if model is None:
                model = _made(self.model())
            self._running = model
            own = self.callbacks(self.number) if self.callbacks is not None else None
            return Fit(model, model.fit(features, targets, verbose=0, callbacks=own, **self.arguments), None)
        except Exception as error:
            return Fit(model, None, error)
        finally:
            self._running = None

    def stop(self) -> None:
        """End the training with its step, if it goes on."""
        model = self._running
        if model is not None:
            model.stop_training = True

    def taken(self, fit: Fit) -> Fit:
        """Return what became of the model, which takes over what a copy of it has learned in another process."""
        if not isinstance(self.model, Sequential) or fit.model is None or fit.model is self.model:
            return fit
        adopt(self.model, fit.model)
        return fit._replace(model=self.model)


def candidates(
    models: Any,
    places: list[dict[str, Any]],
    seeds: list[int] | None,
    settings: Sequence[Mapping[str, Any]] | None,
    arguments: Mapping[str, Any],
    callbacks: Callable[[int], list[Callback]] | None,
) -> list[Candidate]:
    """Return what is to be trained.

    Parameters
    ----------
    models, seeds, settings, arguments, callbacks
        Of :func:`fastmlp.fit_many`.
    places : list of dict
        Of :func:`places_of`.

    Raises
    ------
    ValueError, TypeError
        For lists that do not belong together, what is no model, and what ``fit`` does not take.
    """
    _check_arguments("fit_many", arguments)
    own = list(settings or ())
    for number, setting in enumerate(own):
        _check_arguments(f"settings[{number}]", setting)
    for name, given in (("seeds", seeds), ("settings", settings)):
        if given is not None and not given:
            raise ValueError(f"{name} must have one element at least, got {given!r}")
    counts = {"seeds": seeds, "settings": own, "subsets or folds": places}
    made = _models(models, seeds, {name: len(given) for name, given in counts.items() if given})
    places, own = places or [{}] * len(made), own or [{}] * len(made)
    return [
        Candidate(number, model, {**arguments, **own[number], **places[number]}, callbacks)
        for number, model in enumerate(made)
    ]


def _check_arguments(where: str, arguments: Any) -> None:
    """Raise TypeError or ValueError for what is no argument of ``fit`` that models have each for themselves."""
    if not isinstance(arguments, Mapping):
        raise TypeError(f"{where} must be a dict of arguments of fit, got {arguments!r}")
    for name in arguments:
        if name in GIVEN_OTHERWISE:
            raise TypeError(f"{where} must not have {name!r}, which is given by {GIVEN_OTHERWISE[name]}")
        if name not in OWN_ARGUMENTS:
            raise unknown_name(f"argument of fit in {where}", name, OWN_ARGUMENTS)


def places_of(rows: int, y: Any, subsets: Sequence[Any] | None, folds: Any) -> list[dict[str, Any]]:
    """Return the rows of each model, as arguments of ``fit``; nothing where all take all."""
    if subsets is not None and folds is not None:
        raise ValueError("subsets and folds must not both be given")
    if subsets is not None:
        return _some("subsets", [{"rows": check_indices(f"subsets[{i}]", one, rows)} for i, one in enumerate(subsets)])
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
    return _some("folds", places)


def _some(name: str, places: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not places:
        raise ValueError(f"{name} must have one element at least, got none")
    return places


def _models(
    models: Any, seeds: list[int] | None, counts: Mapping[str, int]
) -> "list[Sequential | Callable[[], Sequential]]":
    """As many models as are to be trained, or functions that make them; ``counts`` are the lengths of other lists."""
    pattern = _configured("the config", models) if isinstance(models, Mapping) else models
    if isinstance(pattern, Sequential):
        if len(set(counts.values())) > 1:
            told = ", ".join(f"{count} {name}" for name, count in counts.items())
            raise ValueError(f"there must be as many seeds as settings, subsets or folds, got {told}")
        pattern._compiled()
        if not counts:
            return [pattern]
        chosen = seeds or [pattern.seed] * next(iter(counts.values()))
        # here, so that a model that has no copies is an error at once; the others are made while some train
        first = _twin(pattern, chosen[0])
        return [first, *(partial(_twin, pattern, seed) for seed in chosen[1:])]
    if seeds is not None:
        raise ValueError("seeds are for copies of one model; several models have their own")
    given = list(models)
    if not given:
        raise ValueError("models must be one model, or a list of at least one")
    made: list[Sequential | Callable[[], Sequential]] = []
    for number, model in enumerate(given):
        model = _configured(f"models[{number}]", model) if isinstance(model, Mapping) else model
        if not callable(model):
            raise TypeError(
                f"models[{number}] must be a Sequential, a config, or a function that makes one, got {model!r}"
            )
        if isinstance(model, Sequential) and any(model is other for other in made):
            raise ValueError(f"models[{number}] is in the list twice; give its copies, or one model and seeds")
        made.append(model)
    for name, count in counts.items():
        if count != len(made):
            raise ValueError(f"there must be as many models as {name}, got {len(made)} and {count}")
    return made


def _configured(where: str, config: Mapping[str, Any]) -> Sequential:
    """A compiled model made of plain data."""
    missing = [key for key in CONFIG_KEYS if key not in config]
    if missing:
        raise ValueError(
            f"{where} must have the keys of model.get_config() and 'compile_config', which is "
            f"model.get_compile_config() or a dict of arguments of compile; {', '.join(map(repr, missing))} is missing"
        )
    architecture = {name: value for name, value in config.items() if name != "compile_config"}
    how = config["compile_config"]
    try:
        model = Sequential.from_config(architecture)
        if not isinstance(how, Mapping):
            raise TypeError(f"compile_config must be a dict of arguments of compile, got {how!r}")
        # an optimizer of one model's is no other's
        model.compile_from_config(copy.deepcopy(dict(how)))
    except (ValueError, TypeError) as error:
        raise type(error)(f"{where}: {error}") from error
    return model


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
