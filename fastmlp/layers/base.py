"""What all layers share: a name, weights, and how they become stages of a plan."""

import copy
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ..configs import Configured, names_of_arguments
from ..errors import NotBuiltError, check_flag, check_text
from ..inputs import check_array, check_finite

if TYPE_CHECKING:
    from ..engine.chain import Chain
    from ..engine.plan import Plan
    from ..engine.turns import Turns

Float32 = NDArray[np.float32]
Weights = list[Float32]
Shape = tuple[int, ...]

# where a new word begins in the name of a class
CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")


class Weight:
    """One array of a layer: its own while no model is built with it, then a place in a plan's flat buffer.

    Parameters
    ----------
    value : float32 array
        What it starts from.
    """

    def __init__(self, value: Float32) -> None:
        self.shape = value.shape
        self._own: Float32 | None = value
        self._plan: Plan | None = None
        self._variable = -1

    def read(self, parameters: Float32 | None = None) -> Float32:
        """Return a copy of the present value, or of what it is in a buffer that lies as the plan's does."""
        if self._plan is not None:
            return self._plan.read(self._variable, parameters)
        assert self._own is not None
        return self._own.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Weight":
        """Return the value without the plan."""
        return Weight(self.read())

    @property
    def turns(self) -> "Turns | None":
        """Whose turn it is to read and write the value, where a model has it."""
        return None if self._plan is None else self._plan.turns

    def write(self, value: Float32) -> None:
        """Take on a value of the same shape."""
        if self._plan is not None:
            self._plan.write(self._variable, value)
        else:
            self._own = value

    def attach(self, plan: "Plan", variable: int) -> None:
        """Move the value into a plan's buffer."""
        value = self.read()
        self._own, self._plan, self._variable = None, plan, variable
        self.write(value)

    def detach(self) -> None:
        """Take the value out of the plan."""
        self._own, self._plan = self.read(), None


class Layer(Configured):
    """A layer of a model.

    Parameters
    ----------
    name : str, optional
        A name, unique in the model; by default that of the class, with a number.
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = None if name is None else check_text("name", name)
        self.built = False
        # whether a model has it in its stack
        self.taken = False
        self._trainable = True
        self._weights: list[Weight] = []
        self._input_shape: Shape | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a layer that no model has, with weights of its own."""
        twin = memo[id(self)] = type(self).__new__(type(self))
        vars(twin).update(copy.deepcopy(vars(self), memo))
        twin.taken = False
        for layer in twin.inner:
            layer.taken = True
        return twin

    def __setattr__(self, name: str, value: Any) -> None:
        # a model is compiled once from what its layers say, and files are written from what they say then
        if vars(self).get("built") and name != "name" and name in names_of_arguments(type(self)):
            raise AttributeError(f"{name} of layer {self.name!r} cannot change once it is built; make a new layer")
        super().__setattr__(name, value)

    @property
    def inner(self) -> "list[Layer]":
        """The layers inside this one."""
        return []

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights; set it to False to freeze the layer, from the next ``fit`` on.

        The optimizer then begins anew, as after ``compile``.
        """
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = check_flag("trainable", value)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal layer, as plain data, and whether it is trained."""
        return {**super().get_config(), "trainable": self._trainable}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """Make a layer, without weights, from what :meth:`get_config` returned.

        Everything as for :meth:`fastmlp.configs.Configured.from_config`.
        """
        if not isinstance(config, Mapping):
            raise TypeError(f"the config of {cls.__name__} must be a dict of its arguments, got {config!r}")
        arguments = {name: value for name, value in config.items() if name != "trainable"}
        layer = super().from_config(arguments, custom_objects)
        if "trainable" in config:
            layer.trainable = config["trainable"]
        return layer

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of one sample's outputs for inputs of that shape.

        Raises
        ------
        ValueError
            For a shape that the layer cannot take.
        """
        return shape

    def build(self, shape: Shape, generator: np.random.Generator) -> None:
        """Draw initial weights for samples of that shape."""
        weights = self._make_weights(shape, generator)
        # all or none, should an initializer raise
        self._weights, self._input_shape, self.built = weights, shape, True

    def _make_weights(self, shape: Shape, generator: np.random.Generator) -> list[Weight]:
        return []

    def weight_shapes(self, shape: Shape) -> dict[str, Shape]:
        """Return the names and shapes of the layer's own weights, in Keras' order, for inputs of a shape."""
        return {}

    @property
    def input_shape(self) -> Shape | None:
        """The shape of a sample that the weights are made for; None before there are any."""
        return self._input_shape

    def own_weights(self) -> dict[str, Weight]:
        """Return the weights that are not those of layers inside, by name; nothing before they are made."""
        if self._input_shape is None:
            return {}
        return dict(zip(self.weight_shapes(self._input_shape), self._weights, strict=True))

    def take(self, shape: Shape, weights: Mapping[str, Float32]) -> None:
        """Be built for inputs of a shape with given weights, of the names and shapes of :meth:`weight_shapes`."""
        self._weights = [Weight(weights[name]) for name in self.weight_shapes(shape)]
        self._input_shape, self.built = shape, True

    def lay(self, chain: "Chain") -> None:
        """Add the layer's stages to a chain."""

    def check_inputs(self, shape: Shape) -> None:
        """Raise ValueError if the layer cannot take inputs of that shape, or has weights for another one."""
        self.output_shape(shape)
        own = self._input_shape if self._weights and self._input_shape else shape
        if own != shape:
            raise ValueError(
                f"layer {self.name!r} has weights for {_features(own)}, but would get {_features(shape)} here"
            )

    def weights_of_parts(self) -> list[tuple[Weight, bool]]:
        """Return every weight, and whether it is trained."""
        return [(weight, self._trainable) for weight in self._weights]

    def get_weights(self) -> Weights:
        """Return copies of the weights, in Keras' order, as :meth:`Sequential.get_weights` does.

        Raises
        ------
        NotBuiltError
            When there are none yet.
        """
        self._must_be_built()
        weights = [weight for weight, _ in self.weights_of_parts()]
        turns = weights[0].turns if weights else None
        if turns is None:
            return [weight.read() for weight in weights]
        with turns.reading() as network:
            return [weight.read(network.parameters) for weight in weights]

    def _must_be_built(self) -> None:
        if not self.built:
            raise NotBuiltError(f"layer {self.name!r} has no weights yet: build the model, or give it an Input")

    def set_weights(self, weights: Any) -> None:
        """Replace the weights.

        Parameters
        ----------
        weights : list of array_like
            In the order and shapes of :meth:`get_weights`; converted to float32.

        Raises
        ------
        ValueError, TypeError
            When the number of arrays or a shape is not right, or a number is not finite; nothing is changed.
        ModelBusyError
            While another thread is in ``fit`` of the model.
        """
        given = self._checked(weights)
        parts = self.weights_of_parts()
        turns = parts[0][0].turns if parts else None
        with nullcontext() if turns is None else turns.changing():
            self._write(given)

    def _write(self, arrays: Weights) -> None:
        """Replace the weights by arrays that have been checked."""
        for (weight, _), array in zip(self.weights_of_parts(), arrays, strict=True):
            weight.write(array)

    def _checked(self, weights: Any) -> Weights:
        """The weights to be set, as float32 arrays of the right number and shapes."""
        self._must_be_built()
        shapes = [weight.shape for weight, _ in self.weights_of_parts()]
        if not isinstance(weights, Iterable):
            raise TypeError(f"weights of layer {self.name!r} must be a list of arrays, got {weights!r}")
        given = [check_array(f"weights of layer {self.name!r}", weight) for weight in weights]
        if [array.shape for array in given] != shapes:
            got = [array.shape for array in given]
            raise ValueError(f"weights of layer {self.name!r} must have the shapes {shapes}, got {got}")
        for array in given:
            check_finite(f"weights of layer {self.name!r}", array, "set finite numbers")
        self._check_values(given)
        return [np.array(array, np.float32) for array in given]

    def _check_values(self, weights: Sequence[NDArray[Any]]) -> None:
        """Raise ValueError if weights of the right shapes have values that cannot be."""

    def count_params(self) -> int:
        """Return the number of weights.

        Raises
        ------
        NotBuiltError
            When there are none yet.
        """
        self._must_be_built()
        return sum(int(np.prod(weight.shape)) for weight, _ in self.weights_of_parts())


def nested(layers: Iterable[Layer]) -> Iterator[Layer]:
    """Yield layers, and after each one those inside it."""
    for layer in layers:
        yield layer
        yield from nested(layer.inner)


def give_names(layer: Layer, names: set[str | None]) -> None:
    """Give a layer, and those inside it, names that are not among ``names``: its class in words, with a number.

    Raises
    ------
    ValueError
        When a layer has a name that is taken.
    """
    own = list(nested([layer]))
    for each in own:
        if each.name is not None:
            if each.name in names:
                raise ValueError(f"layer names must be unique, and there is a layer {each.name!r} already")
            names.add(each.name)
    for each in own:
        if each.name is None:
            stem = CAPITAL.sub("_", type(each).__name__).lower()
            count = sum(1 for name in names if name and name.startswith(stem))
            candidates = (f"{stem}_{i}" if i else stem for i in range(count, count + len(names) + 1))
            each.name = next(name for name in candidates if name not in names)
            names.add(each.name)


def _features(shape: Shape) -> str:
    return f"{shape[0]} features" if len(shape) == 1 else f"samples of the shape {shape}"


def one_row(layer: str, shape: Shape) -> int:
    """Return the number of features of a sample, or raise ValueError where it is no row of them."""
    if len(shape) != 1:
        raise ValueError(f"{layer} takes rows of features, got samples of the shape {shape}; put Flatten() before it")
    return shape[0]
