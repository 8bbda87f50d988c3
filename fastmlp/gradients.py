"""The gradients of a loss, layer by layer, as ``Sequential.gradients`` returns them."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from .errors import unknown_name

if TYPE_CHECKING:
    from .engine.plan import Plan
    from .layers import Dense

Float32 = NDArray[np.float32]


class LayerGradients(NamedTuple):
    """The derivatives of the loss with respect to one layer's weights.

    Attributes
    ----------
    name : str
        The layer's.
    dw : float32 (K, N)
        By the kernel.
    db : float32 (N,) or None
        By the bias; None for a layer without one.
    """

    name: str
    dw: Float32
    db: Float32 | None

    @property
    def arrays(self) -> list[Float32]:
        """The arrays in the order of the layer's ``get_weights``."""
        return [self.dw] if self.db is None else [self.dw, self.db]


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
        sizes = ", ".join(f"{layer.name} {norm(layer.arrays):.3g}" for layer in self._layers)
        return f"<Gradients of loss {self.loss:.4g}; norms: {sizes}>"


def norm(arrays: Sequence[NDArray[Any]]) -> float:
    """Return the Euclidean norm of some arrays together, summed in float64."""
    return float(np.sqrt(sum(float(np.sum(np.square(array, dtype=np.float64))) for array in arrays)))


def by_layer(plan: "Plan", layers: Sequence["Dense"], loss: float, flat: Float32) -> Gradients:
    """Return gradients that lie as the plan's parameters do, as arrays of the layers."""
    there = plan.over(flat)
    found = []
    for index, layer in enumerate(layers):
        dw, db = there.read_dense(index)
        found.append(LayerGradients(str(layer.name), dw, db if layer.use_bias else None))
    return Gradients(loss, found)
