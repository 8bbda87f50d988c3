"""What a model file holds: a model as a document of plain data and named tensors, and a model made from them.

A tensor is named after its layer and what it is there, ``dense.kernel``; a layer inside another one has a name of its
own in the model, and needs no more. An optimizer's slots are ``dense.kernel.slot0`` and so on, in their weight's shape:
how the compiled loops lay them out depends on the machine.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import activations, losses
from ..configs import decode, encode, knowing
from ..engine.session import Session
from ..errors import ModelFileError, TrainingDivergedError
from ..history import History
from ..layers import Input, Layer, Shape, Weight
from ..layers.base import nested
from ..metrics import Metric
from ..optimizers import LBFGS
from ..optimizers.lbfgs import Memory
from .container import Tensors

if TYPE_CHECKING:
    from ..model import Sequential

# A file of a few bytes can ask for much memory by layers without weights: for a sample's numbers, all layers together
# may have this many, or as many as there are weights; and every layer takes time.
MOST_NUMBERS_OF_A_SAMPLE = 1 << 24
MOST_LAYERS = 4096
# numbers that all metrics together may sum up, in each piece of a batch
MOST_SUMS = 1 << 18
LARGEST_COUNT = 2**63 - 1
# how the names of tensors end that are none of weights: slots, and what a backup has besides
SLOT = ".slot"
NO_WEIGHT = re.compile("slot[0-9]+|start|state|sums")

# what may go wrong while objects are made from what a file says
BAD_CONTENT = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError, MemoryError)


def named_weights(layers: Iterable[Layer]) -> Iterator[tuple[str, Weight]]:
    """Yield all weights there are, with the names of their tensors."""
    for layer in nested(layers):
        for name, weight in layer.own_weights().items():
            yield f"{layer.name}.{name}", weight


def finite(tensor: Any) -> bool:
    """Say whether there is no NaN and nothing infinite in a tensor."""
    return tensor.size == 0 or bool(np.isfinite(tensor.min()) and np.isfinite(tensor.max()))


def capture_weights(model: "Sequential") -> tuple[dict[str, Any], Tensors]:
    """Return a document and tensors that hold a model's weights.

    Raises
    ------
    TrainingDivergedError
        When one is not finite, as in the midst of an epoch that diverges.
    """
    tensors = {name: weight.read() for name, weight in named_weights(model.layers)}
    for name, tensor in tensors.items():
        if not finite(tensor):
            raise TrainingDivergedError(f"{name} is not finite, and is not saved")
    return {"content": "weights"}, tensors


def capture(model: "Sequential", *, optimizer: bool = True) -> tuple[dict[str, Any], Tensors]:
    """Return a document and tensors that hold all of a model, with or without how it was compiled and trained.

    Raises
    ------
    TypeError
        When something in the model is of a class that is in no table of this package.
    TrainingDivergedError
        When a weight is not finite.
    """
    _, tensors = capture_weights(model)
    document: dict[str, Any] = {
        "content": "model",
        "config": model.get_config(),
        "built": model.built,
        "shapes": {layer.name: layer.input_shape for layer in nested(model.layers) if layer.built},
        "generator": model._generator.bit_generator.state,
    }
    if optimizer:
        document["compile"] = model.get_compile_config()
        document["history"] = None if model.history is None else encode_history(model.history)
        document["training"], slots = capture_training(model)
        tensors |= slots
    return document, tensors


def capture_training(model: "Sequential") -> tuple[dict[str, int] | None, Tensors]:
    """Return the counts and the slots of a training that would go on, or None and nothing."""
    session = model._session
    if session is None or model._built_trainable != model._trainable():
        return None, {}
    counts = {**session.counts(), "slots": 0}
    slots: Sequence[NDArray[Any]]
    if isinstance(model.optimizer, LBFGS):
        memory = session.minimization(model.optimizer).memory
        if memory is None or not np.array_equal(memory.place, session.plan.network.parameters):
            return counts, {}
        counts["standing"] = memory.standing
        slots = [vector for pair in memory.pairs for vector in pair]
    elif session.has_slots_of(model.optimizer):
        slots = session.slots()
    else:
        return {**counts, "iterations": 0}, {}
    trained, tensors = session.plan.trained(), {}
    for name, weight in named_weights(model.layers):
        if id(weight) in trained:
            for number, slot in enumerate(slots):
                tensors[f"{name}{SLOT}{number}"] = session.plan.read(trained[id(weight)], slot)
    return {**counts, "slots": len(slots)}, tensors


def encode_history(history: History) -> dict[str, Any]:
    """Return a history as plain data."""
    return {
        "params": {name: encode(value) for name, value in history.params.items()},
        "state": {name: encode(value) for name, value in history.get_state().items()},
    }


def decode_history(data: Mapping[str, Any]) -> History:
    """Make a history of what :func:`encode_history` returned."""
    history = History({name: decode(value) for name, value in data["params"].items()})
    history.set_state({name: decode(value) for name, value in data["state"].items()})
    return history


def skeleton(model_class: "type[Sequential]", config: Mapping[str, Any]) -> "Sequential":
    """Make a model of layers without weights from its config."""
    unknown = sorted(config.keys() - {"name", "seed", "input_shape", "layers"})
    if unknown or not isinstance(config["layers"], list):
        raise TypeError(f"a model's config has the keys name, seed, input_shape and layers, and maybe not {unknown}")
    if len(config["layers"]) > MOST_LAYERS:
        raise ValueError(f"a model may have at most {MOST_LAYERS} layers, got {len(config['layers'])}")
    try:
        layers = decode(config["layers"])
    except RecursionError:
        raise ValueError("the layers are nested too deeply") from None
    if sum(1 for _ in nested(layer for layer in layers if isinstance(layer, Layer))) > MOST_LAYERS:
        raise ValueError(f"a model may have at most {MOST_LAYERS} layers, with those inside others")
    # a model that has no input yet is not built while layers are added
    model = model_class(layers, name=config["name"], seed=config["seed"])
    if config["input_shape"] is not None:
        model._inputs = Input(config["input_shape"]).shape
    return model


def custom_objects(model: "Sequential") -> dict[str, Any]:
    """Return the functions of the user's in a model, by the names that stand for them in a document.

    Raises
    ------
    ValueError
        When different ones have the same name.
    """
    found: dict[str, Any] = {}
    own = [model.loss, *(getattr(layer, "activation", None) for layer in nested(model.layers))]
    for each in own:
        if isinstance(each, losses.Custom):
            name, what = each.function_name, each.function
        elif isinstance(each, activations.Custom):
            name, what = each.name, each
        else:
            continue
        if found.setdefault(name, what) != what:
            raise ValueError(
                f"there are different functions of the name {name!r}, which is all that a file has of them"
            )
    return found


def restore(
    document: Mapping[str, Any], tensors: Tensors, source: str, known: Mapping[str, Any] | None = None
) -> "Sequential":
    """Make a model of what :func:`capture` returned, from anywhere, with functions of the user's by their names.

    Raises
    ------
    ModelFileError
        When the two do not make a model.
    """
    # that module needs this one first
    from ..model import Sequential

    if document.get("content") != "model":
        raise ModelFileError(
            f"{source} holds {document.get('content')!r}, not a whole model; load_weights loads weights alone"
        )
    with knowing(known or {}):
        try:
            return _restore(Sequential, document, dict(tensors))
        except ModelFileError as error:
            raise ModelFileError(f"{source}: {error}") from None
        except BAD_CONTENT as error:
            raise ModelFileError(
                f"{source} does not describe a model that this fastmlp can make: {type(error).__name__}: {error}"
            ) from error


def _restore(model_class: "type[Sequential]", document: Mapping[str, Any], tensors: Tensors) -> "Sequential":
    model = skeleton(model_class, document["config"])
    _check_size(model, tensors)
    shapes = document["shapes"]
    for layer in nested(model.layers):
        if layer.name in shapes:
            shape = Input(shapes[layer.name]).shape
            layer.take(shape, _take(tensors, str(layer.name), layer.weight_shapes(shape)))
    if document["built"]:
        for layer in nested(model.layers):
            if not layer.built:
                # building the model would draw them, of any size
                raise ModelFileError(f"the model is built, and there are no weights of layer {layer.name!r}")
        model.build()
    model._generator.bit_generator.state = document["generator"]
    if document.get("compile") is not None:
        model.compile_from_config(document["compile"])
        _check_metrics(model)
    if document.get("history") is not None:
        model.history = decode_history(document["history"])
    if document.get("training") is not None:
        restore_training(model, document["training"], tensors)
    if tensors:
        raise ModelFileError(f"there are tensors that belong to no layer: {', '.join(sorted(tensors)[:3])}")
    return model


def _take(
    tensors: Tensors, layer: str, shapes: Mapping[str, Shape], ending: str = "", dtype: Any = np.float32
) -> Tensors:
    """Remove and return the tensors of a layer, by the names of its weights, after a check of shapes and numbers."""
    taken = {}
    for name, shape in shapes.items():
        key = f"{layer}.{name}{ending}"
        if key not in tensors:
            raise ModelFileError(f"tensor {key!r} is missing")
        tensor = tensors.pop(key)
        if tensor.shape != shape or tensor.dtype != dtype:
            raise ModelFileError(f"tensor {key!r} must be {np.dtype(dtype)} {shape}, got {tensor.dtype} {tensor.shape}")
        if not ending.startswith(SLOT) and not finite(tensor):
            raise ModelFileError(f"tensor {key!r} must be finite, and holds NaN or an infinite number")
        taken[name] = tensor
    return taken


def take_weights(model: "Sequential", tensors: Tensors, ending: str = "") -> list[Any]:
    """Remove and return what a built model's weights are among tensors, in the order of ``get_weights``."""
    values: list[Any] = []
    for layer in nested(model.layers):
        shapes = {name: weight.shape for name, weight in layer.own_weights().items()}
        values += _take(tensors, str(layer.name), shapes, ending).values()
    return values


def restore_training(model: "Sequential", counts: Mapping[str, Any], tensors: Tensors) -> None:
    """Let a model go on training from there; removes what it takes from the tensors."""
    numbers = [counts[name] for name in ("epochs", "iterations", "draws", "slots")] + [counts.get("standing", 0)]
    if not all(type(number) is int and 0 <= number <= LARGEST_COUNT for number in numbers):
        raise ModelFileError(f"the counts of the training must be integers from 0, got {dict(counts)}")
    epochs, iterations, draws, slots, standing = numbers
    session: Session | None = model._session
    if session is None:
        raise ModelFileError("there is a training, but the model is not built")
    if model.optimizer is None:
        if slots or iterations:
            raise ModelFileError("there are steps of an optimizer, but the model has none")
    elif isinstance(model.optimizer, LBFGS):
        most = 2 * model.optimizer.maxcor
        if slots % 2 or slots > most:
            raise ModelFileError(f"the optimizer has pairs of slots, {most} at most, got {slots}")
        parameters = session.plan.network.parameters
        vectors = [np.zeros(parameters.size) for _ in range(slots)]
        _take_slots(model, session, vectors, tensors)
        pairs = list(zip(vectors[::2], vectors[1::2], strict=True))
        session.minimization(model.optimizer).memory = Memory(parameters.copy(), standing, pairs)
    else:
        session.set_optimizer(model.optimizer)
        # without steps, the slots are as the optimizer begins with them
        if slots != len(session.slots()) and (slots or iterations):
            raise ModelFileError(f"the optimizer has {len(session.slots())} slots, got {slots}")
        _take_slots(model, session, session.slots()[:slots], tensors)
    session.set_counts(epochs, iterations, draws)


def adopt(model: "Sequential", trained: "Sequential") -> None:
    """Have a model take over what a copy of it has learned: weights, where the training stands, and the history.

    The copy may have been built by its training, and have changed its optimizer's settings, such as the learning rate.

    Raises
    ------
    ModelBusyError
        While another thread is in ``fit`` of the model.
    """
    if trained.built and not model.built:
        assert trained.input_shape is not None
        model.build(trained.input_shape)
    model._generator.bit_generator.state = trained._generator.bit_generator.state
    if model.optimizer is not None:
        vars(model.optimizer).update(vars(trained.optimizer))
    if trained.built:
        model.set_weights(trained.get_weights())
        counts, slots = capture_training(trained)
        if counts is not None:
            restore_training(model, counts, dict(slots))
    model.history, model.stop_training = trained.history, trained.stop_training


def _take_slots(model: "Sequential", session: Session, slots: Sequence[NDArray[Any]], tensors: Tensors) -> None:
    """Fill slots, each of which lies as the parameters do, with the tensors that are theirs."""
    trained = session.plan.trained()
    for layer in nested(model.layers):
        own = {name: weight for name, weight in layer.own_weights().items() if id(weight) in trained}
        shapes = {name: weight.shape for name, weight in own.items()}
        for number, slot in enumerate(slots):
            for name, value in _take(tensors, str(layer.name), shapes, f"{SLOT}{number}", slot.dtype).items():
                session.plan.write(trained[id(own[name])], value, slot)


def _check_size(model: "Sequential", tensors: Tensors) -> None:
    """Refuse a model that would need much more memory than there are weights."""
    if model._inputs is None:
        return
    numbers = prod(model._inputs) + sum(map(prod, _shapes(model.layers, model._inputs)))
    if numbers > max(MOST_NUMBERS_OF_A_SAMPLE, sum(tensor.size for tensor in tensors.values())):
        raise ValueError(f"a sample would have {numbers} numbers in all layers, for which there are too few weights")


def _check_metrics(model: "Sequential") -> None:
    """Refuse metrics that would need much memory."""
    if model._plan is None:
        return
    units = model._plan.units
    metrics = [each for each in (*model._metrics, *model._weighted_metrics) if isinstance(each, Metric)]
    sums = sum(metric.sums_needed(units) for metric in metrics)
    if sums > MOST_SUMS:
        raise ValueError(f"the metrics would sum up {sums} numbers, and {MOST_SUMS} are the most")


def _shapes(layers: Iterable[Layer], shape: Shape) -> Iterator[Shape]:
    """Yield the shape of one sample's outputs of each layer."""
    for layer in layers:
        yield from _shapes(layer.inner, shape)
        shape = layer.output_shape(shape)
        yield shape


def read_weights(model: "Sequential", tensors: Tensors, source: str) -> list[Any]:
    """Return a model's weights among tensors, in its order, or raise ModelFileError if they are not the same ones."""
    rest = {name: tensor for name, tensor in tensors.items() if not NO_WEIGHT.fullmatch(name.rpartition(".")[2])}
    try:
        values = take_weights(model, rest)
        if rest:
            raise ModelFileError(f"there are weights of layers that the model does not have: {sorted(rest)[0]!r}")
    except ModelFileError as error:
        raise ModelFileError(f"{source} is of another model: {error}") from None
    return values
