"""Settings as plain data, and objects made from them again: names resolve in closed tables and nowhere else.

Plain data are what JSON knows: None, bools, numbers, texts, lists and dicts. An object of this package within them is
``{"kind": "activation", "class_name": "ELU", "config": {"alpha": 0.5}}``, and a number that is not finite, which
JSON has no way to write, is ``{"float": "inf"}``. A function of a user's is written by its name alone; whoever makes an
object of such data says what functions there are, by their names.
"""

import dataclasses
import functools
import inspect
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self

import numpy as np

from .errors import unknown_name

OBJECT_KEYS = {"kind", "class_name", "config"}
NOT_FINITE = {str(number): number for number in (math.inf, -math.inf, math.nan)}

# the functions of the user's that are known while objects are made
# nobody writes to the default
_custom_objects: ContextVar[Mapping[str, Any]] = ContextVar("custom objects", default={})  # noqa: B039


@contextmanager
def knowing(custom_objects: Mapping[str, Any] | None) -> Iterator[None]:
    """Have names of functions stand for these; None leaves it as it is."""
    if custom_objects is None:
        yield
        return
    if not isinstance(custom_objects, Mapping):
        raise TypeError(f"custom_objects must be a dict of names and functions, got {custom_objects!r}")
    token = _custom_objects.set(custom_objects)
    try:
        yield
    finally:
        _custom_objects.reset(token)


def custom_object(kind: str, name: object) -> Any:
    """Return what a name stands for at present.

    Raises
    ------
    ValueError
        When nobody has said so.
    """
    known = _custom_objects.get()
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"custom_objects must have the {kind} of the user's own {name!r}, and has {sorted(known)}")
    return known[name]


def names_of_arguments(kind: type[Any]) -> tuple[str, ...]:
    """Return the names of a constructor's arguments in their order; which takes 0.1 ms for the first time."""
    if kind not in _names:
        _names[kind] = tuple(inspect.signature(kind).parameters)
    return _names[kind]


_names: dict[Any, tuple[str, ...]] = {}


class Configured:
    """What can be written down as plain data, and made again from them.

    A dataclass is written by its fields. Another class keeps each argument of its constructor in an attribute of that
    name.
    """

    def _arguments(self) -> dict[str, Any]:
        """The arguments that make an equal object."""
        own: type[Any] = type(self)
        if dataclasses.is_dataclass(own):
            return {field.name: vars(self)[field.name] for field in dataclasses.fields(own) if field.init}
        return {name: getattr(self, name) for name in names_of_arguments(own)}

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal object, as plain data.

        Raises
        ------
        TypeError
            When one of them is an object of a class that is not this package's own.
        """
        return {name: encode(value) for name, value in self._arguments().items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """Make an object of this class from what :meth:`get_config` returned.

        Parameters
        ----------
        config : dict
            Arguments as plain data.
        custom_objects : dict, optional
            Functions of one's own by the names that the config has; see :func:`fastmlp.load_model`.

        Raises
        ------
        TypeError, ValueError
            For a name that is in no table, or what the constructor does not take.
        """
        if not isinstance(config, Mapping) or not all(isinstance(name, str) for name in config):
            raise TypeError(f"the config of {cls.__name__} must be a dict of its arguments, got {config!r}")
        with knowing(custom_objects):
            return cls(**{name: decode(value) for name, value in config.items()})


@functools.cache
def tables() -> dict[str, dict[str, type[Any]]]:
    """Return every class that a config may name, by its kind and its name."""
    # these modules need this one first
    from . import activations, constraints, initializers, layers, losses, metrics, optimizers, regularizers
    from .optimizers import schedules

    known: dict[str, Mapping[str, type[Any]]] = {
        "activation": {**activations.TABLE, "custom": activations.Custom},
        "constraint": constraints.TABLE,
        "initializer": initializers.TABLE,
        "layer": layers.TABLE,
        "loss": {**losses.TABLE, "custom": losses.Custom},
        "metric": metrics.TABLE,
        "optimizer": optimizers.TABLE,
        "regularizer": regularizers.TABLE,
        "schedule": schedules.TABLE,
    }
    return {kind: {member.__name__: member for member in table.values()} for kind, table in known.items()}


def encode(value: Any) -> Any:
    """Return ``value`` as plain data.

    Raises
    ------
    TypeError
        For an object of a class that is in no table, such as one's own subclass.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, np.ndarray):
        return encode(value.tolist())
    if isinstance(value, (list, tuple)):
        return [encode(element) for element in value]
    if isinstance(value, Configured):
        name = type(value).__name__
        for kind, table in tables().items():
            if table.get(name) is type(value):
                return {"kind": kind, "class_name": name, "config": value.get_config()}
    raise TypeError(
        f"{value!r} of type {type(value).__name__} cannot be written down: only numbers, texts, lists and objects of "
        "fastmlp's own classes can; save_weights writes a model's weights alone"
    )


def decode(data: Any) -> Any:
    """Return what plain data stand for.

    Raises
    ------
    TypeError, ValueError
        For a dict that stands for nothing, or a name that is in no table.
    """
    if isinstance(data, (list, tuple)):
        return [decode(element) for element in data]
    if not isinstance(data, dict):
        return data
    if data.keys() == {"float"}:
        if data["float"] not in NOT_FINITE:
            raise unknown_name("float", data["float"], NOT_FINITE)
        return NOT_FINITE[data["float"]]
    if data.keys() != OBJECT_KEYS:
        raise TypeError(f"an object must have the keys {sorted(OBJECT_KEYS)}, got {sorted(map(repr, data))[:8]}")
    kind, name = data["kind"], data["class_name"]
    if not isinstance(kind, str) or kind not in tables():
        raise unknown_name("kind", kind, tables())
    if not isinstance(name, str) or name not in tables()[kind]:
        raise unknown_name(kind, name, tables()[kind])
    return tables()[kind][name].from_config(data["config"])
