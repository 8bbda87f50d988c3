"""Backups: a model's file with, besides, where a run of ``fit`` is and what its callbacks have counted."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..configs import decode, encode
from ..engine.session import Session
from ..engine.tables import METRIC_SUMS
from ..errors import ModelFileError, check_flag, check_number, check_text, check_whole
from ..hooks import Callback, Logs
from ..optimizers import LBFGS, Optimizer
from . import state
from .container import Tensors, describe, pack, read_file, unpack
from .durable import replace_file

if TYPE_CHECKING:
    from ..model import Sequential


class Place(NamedTuple):
    """Where in a run a backup is made."""

    epoch: int
    # steps of that epoch that are done, and the running sums of its loss and metrics
    step: int = 0
    sums: NDArray[np.float64] | None = None
    # whether a callback has ended the training, and the last epoch's logs
    stopped: bool = False
    logs: Logs | None = None


NOWHERE = Place(0)
# how a training is set up, as plain data by what messages call it
Setup = dict[str, Any]
# of the setup: how rows are read, None with arrays, which backups of earlier versions do not say
ORDER = "reading of rows"
# how the names of the weights end that an epoch began with
START = ".start"


def setup(model: "Sequential", params: Mapping[str, Any], first: int) -> Setup:
    """Return how the model and the data of ``fit`` are set up, which must be the same where a training goes on."""
    return {
        **_model_setup(model),
        "first epoch": first,
        "batch size": params["batch_size"],
        "number of rows": params["samples"],
        "number of steps": params["steps"],
        ORDER: params["order"],
    }


def _model_setup(model: "Sequential") -> Setup:
    config, compiled = model.get_config(), model.get_compile_config() or {}
    return {"input shape": config["input_shape"], "list of layers": config["layers"], **compiled}


def write_backup(
    path: str | os.PathLike[str], model: "Sequential", callbacks: Sequence[Callback], place: Place, start: Setup
) -> None:
    """Replace a backup; see :func:`resume_backup`.

    Raises
    ------
    RuntimeError
        When the setup is not what it was at the start, but for an optimizer's settings: nobody could go on from it.
    TypeError
        When a callback's state cannot be written down.
    """
    for name, value in _model_setup(model).items():
        alike = name == "optimizer" and value["class_name"] == start[name]["class_name"]
        if value != start[name] and not alike:
            raise RuntimeError(
                f"no backup can be made from which the training could go on: the {name} was changed while it trains"
            )
    document, tensors = state.capture(model)
    states = []
    for number, callback in enumerate(callbacks):
        try:
            own = _encode(callback.get_state(), f"callback.{number}", tensors)
        except TypeError as error:
            raise TypeError(f"the state of {type(callback).__name__}: {error}") from None
        states.append({"class_name": type(callback).__name__, "state": own})
    if place.sums is not None:
        tensors["run.sums"] = place.sums
        # what the epoch goes back to should it diverge
        kept = model._ready().turns.kept()
        tensors |= {f"{name}{START}": weight.read(kept) for name, weight in state.named_weights(model.layers)}
    document["content"] = "backup"
    document["run"] = {
        "epoch": place.epoch,
        "step": place.step,
        "stopped": place.stopped,
        "logs": None if place.logs is None else {name: encode(value) for name, value in place.logs.items()},
        "callbacks": states,
        "setup": start,
    }
    replace_file(path, pack(document, tensors))


def resume_backup(
    path: str | os.PathLike[str], model: "Sequential", callbacks: Sequence[Callback], own: Setup
) -> tuple[Place, Setup]:
    """Bring a model, which stays the same object, and callbacks to where they were when a backup was made.

    Parameters
    ----------
    own : dict
        The present :func:`setup`.

    Returns
    -------
    Place, dict
        Where that was, and the setup at the start of the training.

    Raises
    ------
    ModelFileError
        When the file is damaged, or of a model, data or callbacks other than these; nothing is changed.
    """
    source = describe(path)
    document, tensors = unpack(read_file(path), source)
    session = model._ready()
    if document.get("content") != "backup":
        raise ModelFileError(f"{source} is no backup of a training")
    try:
        run = document["run"]
        start = run["setup"]
        check_whole("first epoch", start["first epoch"])
        _check_setup(own, start, {**start, **(document["compile"] or {})})
        names, present = [each["class_name"] for each in run["callbacks"]], [type(each).__name__ for each in callbacks]
        if names != present:
            raise ValueError(f"it was made with the callbacks {names}, and this run has {present}")
        place = _place(run, tensors.pop("run.sums", None), own["number of steps"], session.sums())
        kept_weights = state.take_weights(model, tensors, START) if place.step else None
        states = [_decode(each["state"], tensors) for each in run["callbacks"]]
        for callback, kept in zip(callbacks, states, strict=True):
            if kept.keys() != callback.get_state().keys():
                raise ValueError(f"it has no state of {type(callback).__name__} as it is now")
        other = state.restore({**document, "content": "model"}, tensors, source, state.custom_objects(model))
        if other._session is None or not (
            isinstance(other.optimizer, LBFGS) or other._session.has_slots_of(other.optimizer)
        ):
            raise ValueError("it has no training that could go on")
        _set_states(callbacks, states)
    except state.BAD_CONTENT as error:
        raise ModelFileError(f"{source} is no backup from which this training could go on: {error}") from error
    if kept_weights is not None:
        model.set_weights(kept_weights)
        session.turns.keep()
    # before anything was trained, a learning rate is what the user says now, such as after a divergence
    begun = place.step > 0 or place.epoch > start["first epoch"]
    _take_over(model, session, other, other._session, with_rate=begun)
    model.stop_training = place.stopped
    return place, start


def _check_setup(own: Setup, start: Setup, then: Setup) -> None:
    """Raise ValueError unless the setup is as it was at the start, but for settings that callbacks have changed since.

    The model in hand may have been in the interrupted run, and have any value of these.
    """
    for name, value in own.items():
        if name == "first epoch":
            continue
        one: Any = value
        other: Any = start.get(name) if name == ORDER else start[name]
        if name == "optimizer":
            one, other = (_unchanged(each, start[name], then[name]) for each in (one, other))
        if one != other:
            raise ValueError(f"it is of another training, whose {name} was {start.get(name)}, and now is {value}")


def _unchanged(optimizer: Setup, start: Setup, then: Setup) -> Setup:
    """An optimizer without settings that were changed, and without a learning rate that could be."""
    steady = {
        name: value
        for name, value in optimizer["config"].items()
        if start["config"].get(name) == then["config"].get(name)
        and (name != "learning_rate" or isinstance(value, Mapping))
    }
    return {**optimizer, "config": steady}


def _place(run: Mapping[str, Any], sums: Any, steps: int | None, own_sums: NDArray[np.float64]) -> Place:
    """Where the run was, checked."""
    epoch, step = (check_whole(name, run[name]) for name in ("epoch", "step"))
    if step > (steps or 0):
        raise ValueError(f"it was made in step {step} of an epoch of {steps} steps")
    if (step == 0) != (sums is None):
        raise ValueError("it has sums, but no step, or no sums")
    if sums is not None and (
        sums.shape != own_sums.shape or sums.dtype != own_sums.dtype or not np.isfinite(sums[:METRIC_SUMS]).all()
    ):
        raise ValueError("its sums do not fit the run's metrics")
    logs = run["logs"]
    if logs is not None:
        logs = {check_text("a key of the logs", name): check_number(name, decode(v)) for name, v in logs.items()}
    return Place(epoch, step, sums, check_flag("stopped", run["stopped"]), logs)


def _set_states(callbacks: Sequence[Callback], states: Sequence[Any]) -> None:
    """Give all callbacks their states, or none of them."""
    before = [callback.get_state() for callback in callbacks]
    try:
        for callback, kept in zip(callbacks, states, strict=True):
            callback.set_state(kept)
    except Exception as error:
        for each, own in zip(callbacks, before, strict=True):
            each.set_state(own)
        raise ValueError(f"the state of {type(callback).__name__}: {error}") from error


def _take_over(model: "Sequential", session: Session, kept: "Sequential", other: Session, *, with_rate: bool) -> None:
    """Bring a model to where another one is that was made alike."""
    model.set_weights(kept.get_weights())
    optimizer, its = model.optimizer, kept.optimizer
    assert optimizer is not None
    assert its is not None
    for field in dataclasses.fields(its):
        if field.init and (with_rate or field.name != "learning_rate"):
            vars(optimizer)[field.name] = vars(its)[field.name]
    if isinstance(optimizer, LBFGS) and isinstance(its, LBFGS):
        session.minimization(optimizer).memory = other.minimization(its).memory
    elif isinstance(optimizer, Optimizer):
        session.set_optimizer(optimizer)
        for slot, value in zip(session.slots(), other.slots(), strict=True):
            np.copyto(slot, value)
    session.set_counts(**other.counts())
    model.seed, session.seed = kept.seed, other.seed
    session.plan.seed_noise(kept.seed)
    model._generator.bit_generator.state = kept._generator.bit_generator.state


def _encode(value: Any, name: str, tensors: Tensors) -> Any:
    """Return a state as plain data that refer to arrays, which are added to the tensors under names of their own."""
    if isinstance(value, np.ndarray):
        wide = _wide(value.dtype)
        while f"{name}.state" in tensors:
            # keys may have dots
            name += "_"
        tensors[f"{name}.state"] = value.astype(wide)
        return {"tensor": f"{name}.state", "dtype": value.dtype.str}
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"the keys of a dict must be texts, got {list(value)}")
        return {"members": {key: _encode(each, f"{name}.{key}", tensors) for key, each in value.items()}}
    if isinstance(value, (list, tuple)):
        return [_encode(each, f"{name}.{number}", tensors) for number, each in enumerate(value)]
    return encode(value)


def _wide(dtype: np.dtype[Any]) -> type[np.int64 | np.float32 | np.float64]:
    """Return what arrays of a dtype are kept as; all bits come back."""
    if dtype.kind in "biu":
        return np.int64
    if dtype.kind == "f" and dtype.itemsize <= 8:
        return np.float64 if dtype.itemsize == 8 else np.float32
    raise TypeError(f"an array of the dtype {dtype} cannot be written down")


def _decode(data: Any, tensors: Tensors) -> Any:
    """Return what :func:`_encode` was given; the arrays are removed from the tensors."""
    if isinstance(data, list):
        return [_decode(each, tensors) for each in data]
    if isinstance(data, Mapping) and data.keys() == {"tensor", "dtype"}:
        dtype = np.dtype(data["dtype"])
        _wide(dtype)
        # a copy, which may be written to
        return np.array(tensors.pop(data["tensor"])).astype(dtype)
    if isinstance(data, Mapping) and data.keys() == {"members"}:
        return {key: _decode(each, tensors) for key, each in data["members"].items()}
    return decode(data)
