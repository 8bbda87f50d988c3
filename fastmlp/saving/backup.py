"""Backups: a model's file with, besides, where a run of ``fit`` is and what its callbacks have counted."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..configs import decode, encode
from ..errors import ModelFileError
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


def write_backup(
    path: str | os.PathLike[str], model: "Sequential", callbacks: Sequence[Callback], place: Place
) -> None:
    """Replace a backup; see :func:`resume_backup`."""
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
    document["content"] = "backup"
    document["run"] = {
        "epoch": place.epoch,
        "step": place.step,
        "stopped": place.stopped,
        "logs": None if place.logs is None else {name: encode(value) for name, value in place.logs.items()},
        "callbacks": states,
    }
    replace_file(path, pack(document, tensors))


def resume_backup(path: str | os.PathLike[str], model: "Sequential", callbacks: Sequence[Callback]) -> Place:
    """Bring a model, which stays the same object, and callbacks to where they were when a backup was made.

    Raises
    ------
    ModelFileError
        When the file is damaged, or of a model or callbacks other than these; nothing is changed.
    """
    source = describe(path)
    document, tensors = unpack(read_file(path), source)
    run = document.get("run")
    if document.get("content") != "backup" or not isinstance(run, dict):
        raise ModelFileError(f"{source} is no backup of a training")
    try:
        names, own = [each["class_name"] for each in run["callbacks"]], [type(each).__name__ for each in callbacks]
        states = [_decode(each["state"], tensors) for each in run["callbacks"]]
        sums = tensors.pop("run.sums", None)
        logs = None if run["logs"] is None else {str(name): float(decode(v)) for name, v in run["logs"].items()}
        place = Place(int(run["epoch"]), int(run["step"]), sums, bool(run["stopped"]), logs)
    except state.BAD_CONTENT as error:
        raise ModelFileError(f"{source} has no run that could go on: {type(error).__name__}: {error}") from error
    if names != own:
        raise ModelFileError(f"{source} was made with the callbacks {names}, and this run has {own}")
    if (place.step == 0) != (sums is None) or (sums is not None and sums.shape != model._ready().sums().shape):
        raise ModelFileError(f"{source} has no sums that fit the run's metrics")
    for callback, kept in zip(callbacks, states, strict=True):
        if not isinstance(kept, dict) or kept.keys() != callback.get_state().keys():
            raise ModelFileError(f"{source} has no state of {type(callback).__name__} as it is now")
    _take_over(model, state.restore({**document, "content": "model"}, tensors, source), source)
    for callback, kept in zip(callbacks, states, strict=True):
        callback.set_state(kept)
    model.stop_training = place.stopped
    return place


def _take_over(model: "Sequential", kept: "Sequential", source: str) -> None:
    """Bring a model to where another one is that was made alike."""
    session, other = model._ready(), kept._session
    own, theirs = _setup(model), _setup(kept)
    for name in own:
        if own[name] != theirs[name]:
            raise ModelFileError(f"{source} is of another training: its {name} was {theirs[name]}, now {own[name]}")
    # of the same class, since the setup is
    optimizer, its = model.optimizer, kept.optimizer
    if other is None or not (isinstance(its, LBFGS) or other.has_slots_of(its)):
        raise ModelFileError(f"{source} has no training that could go on")
    model.set_weights(kept.get_weights())
    if isinstance(optimizer, LBFGS) and isinstance(its, LBFGS):
        session.minimization(optimizer).memory = other.minimization(its).memory
    elif isinstance(optimizer, Optimizer) and isinstance(its, Optimizer):
        if not isinstance(encode(vars(its)["learning_rate"]), dict):
            optimizer.learning_rate = its.learning_rate
        session.set_optimizer(optimizer)
        for slot, value in zip(session.slots(), other.slots(), strict=True):
            np.copyto(slot, value)
    session.set_counts(**other.counts())
    model.seed, session.seed = kept.seed, other.seed
    session.plan.seed_noise(kept.seed)
    model._generator.bit_generator.state = kept._generator.bit_generator.state


def _setup(model: "Sequential") -> dict[str, Any]:
    """What must be the same: all but the seed, and a learning rate that callbacks may have changed."""
    config, compiled = model.get_config(), model.get_compile_config() or {}
    optimizer = compiled.get("optimizer")
    if optimizer is not None:
        arguments = dict(optimizer["config"])
        if not isinstance(arguments.get("learning_rate"), dict):
            arguments.pop("learning_rate", None)
        optimizer = {**optimizer, "config": arguments}
    return {
        "input shape": config["input_shape"],
        "list of layers": config["layers"],
        **compiled,
        "optimizer": optimizer,
        "built": model.built,
    }


def _encode(value: Any, name: str, tensors: Tensors) -> Any:
    """Return a state as plain data that refer to arrays, which are added to the tensors under names of their own."""
    if isinstance(value, np.ndarray) and value.dtype in (np.float32, np.float64, np.int64):
        tensors[f"{name}.state"] = value
        return {"tensor": f"{name}.state"}
    if isinstance(value, dict):
        return {"members": {str(key): _encode(each, f"{name}.{key}", tensors) for key, each in value.items()}}
    if isinstance(value, (list, tuple)):
        return [_encode(each, f"{name}.{number}", tensors) for number, each in enumerate(value)]
    return encode(value)


def _decode(data: Any, tensors: Tensors) -> Any:
    """Return what :func:`_encode` was given; the arrays are removed from the tensors."""
    if isinstance(data, list):
        return [_decode(each, tensors) for each in data]
    if isinstance(data, Mapping) and data.keys() == {"tensor"}:
        return np.array(tensors.pop(data["tensor"]))
    if isinstance(data, Mapping) and data.keys() == {"members"}:
        return {key: _decode(each, tensors) for key, each in data["members"].items()}
    return decode(data)
