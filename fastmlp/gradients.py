"""The gradients of a loss, layer by layer, as ``Sequential.gradients`` returns them."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from .errors import unknown_name
from .layers import Dense, Layer
from .layers.base import nested

if TYPE_CHECKING:
    from .engine.plan import Plan

Float32 = NDArray[np.float32]


class LayerGradients(NamedTuple):
    """The derivatives of the loss with respect to one layer's weights.

    Attributes
    ----------
    name : str
        The layer's.
    arrays : list of float32 arrays
        In the order and shapes of the layer's ``get_weights``; zeros for a weight that is not trained.
    labels : list of str
        What each array is called: "dw" and "db" of a dense layer.
    trained : list of bool
        Whether each weight is trained.
    """

    name: str
    arrays: list[Float32]
    labels: list[str]
    trained: list[bool]

    def _array(self, label: str) -> Float32:
        if label not in self.labels:
            raise AttributeError(f"layer {self.name!r} has no {label}: it has {', '.join(self.labels) or 'no weights'}")
        return self.arrays[self.labels.index(label)]

    @property
    def dw(self) -> Float32:
        """By a dense layer's kernel, (K, N)."""
        return self._array("dw")

    @property
    def db(self) -> Float32 | None:
        """By a dense layer's bias, (N,); None where it has none."""
        return None if self.labels == ["dw"] else self._array("db")


class Gradients(Sequence[LayerGradients]):
    """The loss and its gradients: a sequence of :class:`LayerGradients`, by index or by a layer's name.

    Attributes
    ----------
    loss : float
        The mean over the rows, with the regularizers' penalties.
    """

    def __init__(self, loss: float, layers: Sequence[LayerGradients]) -> None:
        self.loss = loss
        self._layers = tuple(layers)

    @property
    def arrays(self) -> list[Float32]:
        """All arrays, in the order and shapes of the model's ``get_weights``."""
        return [array for layer in self._layers for array in layer.arrays]

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[LayerGradients]:
        return iter(self._layers)

    @overload
    def __getitem__(self, key: int | str) -> LayerGradients: ...

    @overload
    def __getitem__(self, key: slice) -> tuple[LayerGradients, ...]: ...

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, str):
            return self._layers[key]
        for layer in self._layers:
            if layer.name == key:
                return layer
        raise KeyError(str(unknown_name("layer", key, [layer.name for layer in self._layers])))

    def __repr__(self) -> str:
        sizes = ", ".join(f"{layer.name} {norm(layer.arrays):.3g}" for layer in self._layers if layer.arrays)
        return f"<Gradients of loss {self.loss:.4g}; norms: {sizes}>"


def norm(arrays: Sequence[NDArray[Any]]) -> float:
    """Return the Euclidean norm of some arrays together, summed in float64."""
    return float(np.sqrt(sum(float(np.sum(np.square(array, dtype=np.float64))) for array in arrays)))


def by_layer(plan: "Plan", layers: Sequence[Layer], loss: float, flat: Float32) -> Gradients:
    """Return gradients that lie as the plan's parameters do, as arrays of the layers."""
    there = plan.over(flat)
    places = plan.places()
    found = []
    for layer in layers:
        parts = layer.weights_of_parts()
        arrays = [
            there.read(places[weight]) if trained else np.zeros(weight.shape, np.float32) for weight, trained in parts
        ]
        labels = [label for one in nested([layer]) for label in _labels(one, layer)]
        found.append(LayerGradients(str(layer.name), arrays, labels, [own for _, own in parts]))
    return Gradients(loss, found)


def _labels(layer: Layer, outer: Layer) -> list[str]:
    """What the gradients of a layer's own weights are called, with its name where it is inside another one."""
    names = ["dw", "db"] if isinstance(layer, Dense) else [f"d{name}" for name in layer.own_weights()]
    names = names[: len(layer.own_weights())]
    return names if layer is outer else [f"{layer.name} {name}" for name in names]
