"""A stack of layers: how they are put together, and their weights."""

import threading
from collections.abc import Iterable
from math import prod
from operator import attrgetter
from typing import Any

import numpy as np

from . import display
from .engine.chain import Chain
from .engine.plan import Plan
from .engine.predictor import Predictor
from .engine.session import Session
from .errors import NotBuiltError, check_text
from .layers import Activation, Dense, Input, Layer, Shape, Weights
from .layers.base import give_names, nested
from .seeds import check_seed, next_seed

TRAINABLE = attrgetter("_trainable")


class Stack:
    """Layers on top of each other, built as soon as they know the shape of a sample.

    Parameters
    ----------
    layers, name, seed
        See :class:`fastmlp.Sequential`.
    """

    def __init__(
        self,
        layers: Iterable[Input | Layer] | None = None,
        name: str | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        if not isinstance(layers, (Iterable, type(None))) or isinstance(layers, (str, bytes)):
            raise TypeError(f"layers must be a list such as [Input(shape=(2,)), Dense(1)], got {layers!r}")
        self.name = "sequential" if name in (None, "") else check_text("name", name)
        self.seed = next_seed() if seed is None else check_seed(seed)
        self._layers: list[Layer] = []
        self._inputs: Shape | None = None
        self._built_layers: list[Layer] = []
        self._built_trainable: list[bool] = []
        self._plan: Plan | None = None
        self._session: Session | None = None
        self._predictor: Predictor | None = None
        # calls of fit that go on: nothing is rebuilt meanwhile
        self._running = 0
        # two threads may see the first data at once
        self._building = threading.RLock()
        self._generator = np.random.default_rng(self.seed)
        try:
            for layer in layers or ():
                self._put(layer)
            # once for all of them
            self._build_rows()
        except Exception:
            for layer in self._layers:
                layer.taken = False
            raise

    def __repr__(self) -> str:
        return f"Sequential({self._layers!r}, name={self.name!r})"

    @property
    def layers(self) -> list[Layer]:
        """The layers without the input, as a new list."""
        return list(self._layers)

    @property
    def input_shape(self) -> tuple[int | None, ...] | None:
        """The shape of a batch of inputs, such as ``(None, 64)``; None while it is not known."""
        return None if self._inputs is None else (None, *self._inputs)

    @property
    def output_shape(self) -> tuple[int | None, ...] | None:
        """The shape of a batch of outputs, such as ``(None, 10)``; None while that of the inputs is not known."""
        return None if self._inputs is None else (None, *self._output_shape(self._inputs))

    @property
    def built(self) -> bool:
        """Whether the weights exist."""
        return self._plan is not None

    @property
    def trainable(self) -> bool:
        """Whether training changes any of the layers; setting it sets all of them."""
        return any(layer.trainable for layer in self._built_layers)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self._layers:
            layer.trainable = value

    def add(self, layer: Input | Layer) -> None:
        """Put a layer on top of the stack.

        Raises
        ------
        TypeError
            For anything but :class:`Input` and layers.
        ValueError
            For an input that is not first, a name that is taken, or a layer that is in use.
        """
        names = {each: each.name for each in nested([layer])} if isinstance(layer, Layer) else {}
        self._put(layer)
        try:
            self._build_rows()
        except Exception:
            # such as an initializer's; the stack is as it was
            self._layers.pop().taken = False
            for each, name in names.items():
                each.name = name
            self._build_rows()
            raise

    def _put(self, layer: Input | Layer) -> None:
        """Put a layer on top, which is not built yet; raises as :meth:`add`."""
        if isinstance(layer, Input):
            if self._layers or self._inputs is not None:
                raise ValueError("Input must be the first element of a model, and there can be only one")
            self._inputs = layer.shape
            return
        if not isinstance(layer, Layer):
            raise TypeError(f"layers must be Input or a layer such as Dense, got {layer!r}")
        if layer.taken:
            raise ValueError(f"layer {layer.name!r} already belongs to a model; make a new one for this model")
        if self._inputs is not None:
            layer.check_inputs(self._output_shape(self._inputs))
        give_names(layer, {other.name for other in nested(self._layers)})
        self._detach()
        self._layers.append(layer)
        layer.taken = True

    def pop(self) -> Layer:
        """Take the top layer off and return it, with its weights.

        Raises
        ------
        IndexError
            When there is none.
        """
        if not self._layers:
            raise IndexError("there is no layer to pop: the model is empty")
        self._detach()
        layer = self._layers.pop()
        layer.taken = False
        self._build_rows()
        return layer

    def _build_rows(self) -> None:
        """Build the model, if it has an input and its outputs are rows by now."""
        if self._layers and self._inputs is not None and len(self._output_shape(self._inputs)) == 1:
            self.build()

    def _output_shape(self, shape: Shape) -> Shape:
        """The shape of one sample's outputs."""
        for layer in self._layers:
            shape = layer.output_shape(shape)
        return shape

    def _detach(self) -> None:
        """Give the layers their weights back, so that the stack can change."""
        if self._running:
            raise RuntimeError("the layers of a model cannot change while it trains")
        if self._plan is not None:
            self._plan.detach()
        self._plan = self._session = self._predictor = None

    def build(self, input_shape: tuple[int | None, ...] | None = None) -> None:
        """Draw the initial weights.

        Parameters
        ----------
        input_shape : tuple, optional
            ``(features,)`` or ``(None, features)``, or that of an image such as ``(None, 28, 28)``; not needed where
            the model has an :class:`Input`.

        Raises
        ------
        ValueError
            Without layers, without a shape, or with another one than the model has.
        """
        if not self._layers:
            raise ValueError("the model has no layers: add at least one Dense")
        if input_shape is not None:
            if not isinstance(input_shape, (tuple, list)) or not input_shape:
                raise ValueError(f"input_shape must be (features,) or (None, features), got {input_shape!r}")
            shape = Input(tuple(input_shape[1:] if len(input_shape) > 1 else input_shape)).shape  # type: ignore[arg-type]
            if self._inputs is not None and self._inputs != shape:
                raise ValueError(f"input_shape must be the model's {self._inputs}, got {shape}")
            self._inputs = shape
        if self._inputs is None:
            raise ValueError("input_shape is needed: give the model an Input, or build((features,))")
        with self._building:
            if self._plan is None:
                self._plan_for(self._inputs)

    def _plan_for(self, shape: Shape) -> None:
        """Make the weights and what works with them, for samples of that shape."""
        chain = Chain(prod(shape))
        for layer in self._layers:
            layer.check_inputs(shape)
            if not layer.built:
                layer.build(shape, self._generator)
            shape = layer.output_shape(shape)
        if len(shape) != 1:
            raise ValueError(f"the model's outputs must be rows, got samples of the shape {shape}; add Flatten()")
        for layer in self._layers:
            chain.lay(layer)
        chain.finish()
        plan = Plan(chain, self.seed)
        session = Session(plan, self.seed)
        self._built_layers = list(nested(self._layers))
        self._built_trainable = self._trainable()
        self._predictor, self._session, self._plan = Predictor(plan, session.turns), session, plan

    def _trainable(self) -> list[bool]:
        """What each layer that the model was built with says of its own weights."""
        # not by the property, which takes twice as long: train_on_batch asks in every call
        return list(map(TRAINABLE, self._built_layers))

    def _ready(self, shape: Shape | None = None) -> Session:
        """The session of the built model; the shape of a sample may build it."""
        if self._session is None and shape is not None:
            self.build((None, *shape))
        if self._session is not None and not self._running and self._built_trainable != self._trainable():
            # a layer was frozen or thawed
            with self._building:
                self._detach()
                self.build()
        if self._session is None:
            raise NotBuiltError("the model has no weights yet: give it an Input, call build, or fit it")
        return self._session

    def get_weights(self) -> Weights:
        """Return copies of all weights: kernel and bias of each layer in turn."""
        with self._ready().turns.reading() as network:
            return [weight.read(network.parameters) for layer in self._layers for weight, _ in layer.weights_of_parts()]

    def set_weights(self, weights: Any) -> None:
        """Replace all weights, given in the order and shapes of :meth:`get_weights`.

        Raises
        ------
        ValueError, TypeError
            When the number of arrays or a shape is not right, or a number is not finite; nothing is changed.
        ModelBusyError
            While another thread is in ``fit``.
        """
        session = self._ready()
        if not isinstance(weights, Iterable):
            raise TypeError(f"weights must be a list of arrays, got {weights!r}")
        arrays = list(weights)
        counts = [len(layer.get_weights()) for layer in self._layers]
        if len(arrays) != sum(counts):
            raise ValueError(f"weights must be a list of {sum(counts)} arrays, got {len(arrays)}")
        at = 0
        with session.turns.changing() as put_back:
            try:
                for layer, count in zip(self._layers, counts, strict=True):
                    layer.set_weights(arrays[at : at + count])
                    at += count
            except BaseException:
                put_back()
                raise

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return a layer by its name or its index.

        Raises
        ------
        ValueError
            When there is none such, or not exactly one of name and index is given.
        """
        if (name is None) == (index is None):
            raise ValueError("give either name or index")
        if index is not None:
            if isinstance(index, bool) or not isinstance(index, (int, np.integer)):
                raise TypeError(f"index must be a whole number, got {index!r}")
            if not -len(self._layers) <= index < len(self._layers):
                raise ValueError(f"index must be below the number of layers, {len(self._layers)}, got {index}")
            return self._layers[index]
        for layer in self._layers:
            if layer.name == name:
                return layer
        raise ValueError(f"no layer is named {name!r}; there are {[layer.name for layer in self._layers]}")

    def count_params(self) -> int:
        """Return the number of weights."""
        self._ready()
        return sum(layer.count_params() for layer in self._layers)

    def _table(self) -> list[tuple[str, str, str, str]]:
        """Name and type, output shape, number of weights and activation of each layer, ready to show."""
        rows: list[tuple[str, str, str, str]] = []
        shape = self._inputs
        for layer in self._layers:
            if shape is not None:
                shape = layer.output_shape(shape)
            elif isinstance(layer, Dense):
                shape = (layer.units,)
            shown = "?" if shape is None else str((None, *shape))
            params = f"{layer.count_params():,}" if layer.built else "?"
            activation = layer.activation.name if isinstance(layer, (Dense, Activation)) else ""
            rows.append((f"{layer.name} ({type(layer).__name__})", shown, params, activation))
        return rows

    def summary(self) -> None:
        """Print a table of the layers, their output shapes and their numbers of weights."""
        parts = [part for layer in self._layers if layer.built for part in layer.weights_of_parts()]
        total = sum(prod(weight.shape) for weight, _ in parts)
        trained = sum(prod(weight.shape) for weight, own in parts if own)
        print(display.summary_table(self.name, [row[:3] for row in self._table()], total, trained))

    def _repr_html_(self) -> str:
        """The table of the layers for a notebook."""
        total = f"{self.count_params():,} parameters" if self.built else "not built yet"
        headings = ["Layer (type)", "Output shape", "Parameters", "Activation"]
        return display.html_table(f'Model: "{self.name}"', headings, self._table(), below=total)
