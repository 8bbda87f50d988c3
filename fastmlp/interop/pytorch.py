"""Models from PyTorch, and for it."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .. import activations
from ..layers import Activation, BatchNormalization, Dense, Dropout, Flatten, Input, Layer, LayerNormalization, Shape

if TYPE_CHECKING:
    from ..model import Sequential


# above it log(1 + exp(z)) is z in float32
LEAST_THRESHOLD = 16


def _refuse(module: Any, why: str) -> ValueError:
    return ValueError(f"{module!r} has no counterpart in fastmlp: {why}")


def _softplus(module: Any) -> activations.Activation:
    if module.beta != 1:
        raise _refuse(module, "beta must be 1")
    if module.threshold < LEAST_THRESHOLD:
        raise _refuse(module, f"threshold must be at least {LEAST_THRESHOLD}, where float32 knows no difference")
    return activations.Softplus()


def _softmax(module: Any) -> activations.Activation:
    if module.dim not in (1, -1):
        raise _refuse(module, "dim must be given, and be 1 or -1, the features of a row")
    return activations.Softmax()


# from a module of torch.nn to the activation
ACTIVATIONS: Mapping[str, Callable[[Any], activations.Activation]] = {
    "ELU": lambda module: activations.ELU(module.alpha),
    "GELU": lambda module: activations.GELU(module.approximate == "tanh"),
    "Hardsigmoid": lambda module: activations.HardSigmoid(),
    "LeakyReLU": lambda module: activations.LeakyReLU(module.negative_slope),
    "Mish": lambda module: activations.Mish(),
    "ReLU": lambda module: activations.ReLU(),
    "SELU": lambda module: activations.SELU(),
    "SiLU": lambda module: activations.SiLU(),
    "Sigmoid": lambda module: activations.Sigmoid(),
    "Softmax": _softmax,
    "Softplus": _softplus,
    "Softsign": lambda module: activations.Softsign(),
    "Tanh": lambda module: activations.Tanh(),
}


def _dense(module: Any) -> Layer:
    return Dense(module.out_features, use_bias=module.bias is not None)


def _dropout(module: Any) -> Layer:
    if module.p == 1:
        raise _refuse(module, "p must be below 1, or nothing is left in training; leave it out for predictions alone")
    return Dropout(module.p)


def _check_eps(module: Any) -> None:
    if not module.eps > 0:
        raise _refuse(module, "eps must be greater than 0")


def _batch_normalization(module: Any) -> Layer:
    _check_eps(module)
    if module.running_mean is None:
        raise _refuse(module, "it must keep running averages (track_running_stats=True)")
    if module.momentum is None:
        raise _refuse(module, "momentum must be a number, since moving averages here are exponential ones")
    # PyTorch's momentum is the weight of the batch, Keras' that of the average
    return BatchNormalization(1 - module.momentum, module.eps, center=module.affine, scale=module.affine)


def _layer_normalization(module: Any) -> Layer:
    _check_eps(module)
    if len(module.normalized_shape) != 1:
        raise _refuse(module, "normalized_shape must be (features,)")
    return LayerNormalization(module.eps, center=module.bias is not None, scale=module.weight is not None)


def _flatten(module: Any) -> Layer:
    if module.start_dim != 1 or module.end_dim != -1:
        raise _refuse(module, "start_dim must be 1 and end_dim -1")
    return Flatten()


LAYERS: Mapping[str, Callable[[Any], Layer]] = {
    "BatchNorm1d": _batch_normalization,
    "Dropout": _dropout,
    "Flatten": _flatten,
    "LayerNorm": _layer_normalization,
    "Linear": _dense,
}


def _features(module: Any) -> int | None:
    """The number of inputs, of a module that knows it."""
    name = type(module).__name__
    if name == "Linear":
        return int(module.in_features)
    if name == "BatchNorm1d":
        return int(module.num_features)
    return int(module.normalized_shape[-1]) if name == "LayerNorm" else None


def _arrays(module: Any) -> list[Any]:
    """The weights in the order and shapes of the layer's."""
    tensors = [getattr(module, name, None) for name in ("weight", "bias", "running_mean", "running_var")]
    arrays = [tensor.detach().cpu().double().numpy() for tensor in tensors if tensor is not None]
    return [arrays[0].T, *arrays[1:]] if type(module).__name__ == "Linear" else arrays


def _leaves(module: Any, nn: Any) -> Iterator[Any]:
    """The modules inside Sequentials, without those that do nothing."""
    for child in module:
        if type(child) is nn.Sequential:
            yield from _leaves(child, nn)
        elif type(child) is not nn.Identity:
            yield child


def _check_plain(module: Any) -> None:
    """Raise ValueError where something is done to a module's inputs, weights or outputs that its class does not say."""
    from torch.nn.utils import parametrize

    for name, each in module.named_modules():
        extras = {
            "parametrizations": parametrize.is_parametrized(each),
            "forward hooks (such as those of weight_norm, spectral_norm and pruning)": (
                each._forward_hooks or each._forward_pre_hooks
            ),
            "a forward of its own": "forward" in vars(each),
        }
        for what, there in extras.items():
            if there:
                called = f"module {name!r} ({type(each).__name__})" if name else "the network"
                raise ValueError(f"{called} has {what}, which have no counterpart in fastmlp; remove them first")


def from_torch(module: Any, input_shape: Shape | None = None) -> "Sequential":
    """Return a model with the same predictions as a network of PyTorch's in evaluation mode.

    Parameters
    ----------
    module : torch.nn.Sequential
        Of Linear, BatchNorm1d, LayerNorm, Dropout, Flatten, Identity, Sequential, and the activations ELU, GELU,
        Hardsigmoid, LeakyReLU, Mish, ReLU, SELU, SiLU, Sigmoid, Softmax, Softplus, Softsign and Tanh. Its weights are
        rounded to float32.
    input_shape : tuple of int, optional
        The shape of one sample, where a Flatten is to get other samples than rows; by default ``(features,)`` as the
        first module with weights takes them.

    Returns
    -------
    Sequential
        Not compiled, with all layers trainable.

    Raises
    ------
    TypeError
        When `module` is no torch.nn.Sequential.
    ValueError
        For a module or a setting that has no counterpart, for forward hooks and parametrizations, or when no module
        says how many features there are.
    ImportError
        When PyTorch is not installed.
    """
    from torch import nn

    from ..model import Sequential

    if type(module) is not nn.Sequential:
        raise TypeError(f"module must be a torch.nn.Sequential, got {type(module).__name__}")
    _check_plain(module)
    leaves = list(_leaves(module, nn))
    for leaf in leaves:
        name = type(leaf).__name__
        if type(leaf) is not getattr(nn, name, None) or (name not in LAYERS and name not in ACTIVATIONS):
            raise _refuse(leaf, f"these modules have one: {', '.join(sorted([*LAYERS, *ACTIVATIONS]))}")
    if input_shape is None:
        counts = [count for count in map(_features, leaves) if count is not None]
        if not counts:
            raise ValueError("input_shape is needed, since no module says how many features it takes")
        input_shape = (counts[0],)
    shape = Input(input_shape).shape
    weights: list[Any] = []
    stack: list[Layer] = []
    for leaf in leaves:
        name = type(leaf).__name__
        if name in LAYERS:
            layer = LAYERS[name](leaf)
            if _features(leaf) not in (None, shape[-1]):
                raise ValueError(f"{leaf!r} gets {shape[-1]} features from what is before it")
            shape = layer.output_shape(shape)
            stack.append(layer)
            weights += _arrays(leaf)
            continue
        activation = ACTIVATIONS[name](leaf)
        below = stack[-1] if stack else None
        if isinstance(below, Dense) and isinstance(below.activation, activations.Linear):
            below.activation = activation
        else:
            stack.append(Activation(activation))
    model = Sequential([Input(shape=input_shape), *stack])
    model.build()
    model.set_weights(weights)
    return model


def _activation_module(activation: activations.Activation, nn: Any) -> Any:
    """The module of an activation; None for the linear one."""
    if type(activation) is not activations.TABLE.get(activation.name) or isinstance(
        activation, activations.Exponential
    ):
        raise ValueError(f"the activation {activation.name!r} has no counterpart in torch.nn")
    if isinstance(activation, activations.Linear):
        return None
    if isinstance(activation, activations.ELU):
        return nn.ELU(float(activation.alpha))
    if isinstance(activation, activations.LeakyReLU):
        return nn.LeakyReLU(float(activation.negative_slope))
    if isinstance(activation, activations.GELU):
        return nn.GELU("tanh" if activation.approximate else "none")
    if isinstance(activation, activations.Softmax):
        return nn.Softmax(-1)
    name = type(activation).__name__
    return getattr(nn, {"HardSigmoid": "Hardsigmoid"}.get(name, name))()


def _modules(layer: Layer, torch: Any) -> Iterator[Any]:
    nn = torch.nn
    weights = {name: torch.from_numpy(weight.read()) for name, weight in layer.own_weights().items()}
    features = layer.input_shape[-1] if layer.input_shape else 0
    if type(layer) is Dense:
        linear = nn.Linear(features, layer.units, bias=layer.use_bias)
        _load(linear, {"weight": weights["kernel"].T.contiguous(), "bias": weights.get("bias")}, torch)
        yield linear
        yield _activation_module(layer.activation, nn)
    elif type(layer) is Activation:
        yield _activation_module(layer.activation, nn)
    elif type(layer) is Dropout:
        yield nn.Dropout(layer.rate)
    elif type(layer) is Flatten:
        yield nn.Flatten()
    elif type(layer) is BatchNormalization:
        affine = layer.center or layer.scale
        normalization = nn.BatchNorm1d(features, layer.epsilon, 1 - layer.momentum, affine)
        averages = {"running_mean": weights["moving_mean"], "running_var": weights["moving_variance"]}
        _load(normalization, {"weight": weights.get("gamma"), "bias": weights.get("beta"), **averages}, torch)
        yield normalization
    elif type(layer) is LayerNormalization:
        affine = layer.center or layer.scale
        normalization = nn.LayerNorm(features, layer.epsilon, affine)
        _load(normalization, {"weight": weights.get("gamma"), "bias": weights.get("beta")}, torch)
        yield normalization
    else:
        raise ValueError(f"layer {layer.name!r} of the class {type(layer).__name__} has no counterpart in torch.nn")


def _load(module: Any, values: Mapping[str, Any], torch: Any) -> None:
    """Set parameters; one that the layer does not have keeps its start, 1 or 0, and is not to be trained."""
    with torch.no_grad():
        for name, value in values.items():
            target = getattr(module, name)
            if value is not None:
                target.copy_(value)
            elif target is not None:
                target.requires_grad_(False)


def to_torch(model: "Sequential") -> Any:
    """Return a network of PyTorch's with the same predictions.

    Parameters
    ----------
    model : Sequential
        With weights, of the layers Dense, Activation, BatchNormalization, LayerNormalization, Dropout and Flatten.

    Returns
    -------
    torch.nn.Sequential
        In evaluation mode, float32, on the CPU, with copies of the weights; those of layers that are not trainable
        require no gradient. Its samples have the shape of the model's.

    Raises
    ------
    ValueError
        For a layer or an activation that torch.nn has no module for.
    TypeError
        When `model` is no model.
    NotBuiltError
        When the model has no weights yet.
    ImportError
        When PyTorch is not installed.
    """
    import torch

    from ..model import Sequential
    from ..saving.model import paused

    if not isinstance(model, Sequential):
        raise TypeError(f"model must be a fastmlp.Sequential, got {model!r} of type {type(model).__name__}")
    model._ready()
    with paused(model):
        modules = [
            module if layer.trainable else module.requires_grad_(False)
            for layer in model.layers
            for module in _modules(layer, torch)
            if module is not None
        ]
    return torch.nn.Sequential(*modules).eval()
