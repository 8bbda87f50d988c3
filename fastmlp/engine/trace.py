"""What every layer makes of some rows: z and a, for looking inside a network.

Training and prediction do not keep z. Here the kernels of both run layer by layer, over a table that ends with
the layer in question, and what they leave is copied out. The entry is compiled or loaded when it is first used.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..kernels.gemm import padded_rows
from ..kernels.jit import entry
from .plan import Plan, aligned
from .rows import activate, compact, forward
from .session import MOST_BLOCKS
from .tables import LEFT, LEFT_STRIDE, OUT, OUT_STRIDE, UNITS, Float32, Network
from .workspace import cut_batch


class LayerOutputs(NamedTuple):
    """What one layer made of some rows.

    Attributes
    ----------
    name : str
        The layer's.
    z : float32 (B, N)
        ``x w + b``.
    a : float32 (B, N)
        ``activation(z)``.
    """

    name: str
    z: Float32
    a: Float32


@entry
def trace_layer(network: Network, activations: Float32, capacity: int, rows: int, z: Float32, a: Float32) -> None:
    """Run the one layer of ``network`` over the first ``rows`` rows of its place in ``activations``.

    Parameters
    ----------
    network : Network
        A model's, with the tables of one layer.
    activations : flat buffer
        Slabs of ``capacity`` rows.
    z, a : float32 (rows, N), flat
        Overwritten.
    """
    layer = network.layers[0]
    out, stride, units = layer[OUT] * capacity, layer[OUT_STRIDE], layer[UNITS]
    padded = padded_rows(rows)
    # the last z is left as it is, and the only layer is the last one; slopes are not written here
    forward(network, activations, activations, capacity, 0, padded, False)
    compact(activations, out, stride, rows, units, z)
    activate(network, activations, activations, capacity, 0, 0, padded, False)
    compact(activations, out, stride, rows, units, a)


def trace(plan: Plan, names: Sequence[str], x: NDArray[Any]) -> list[LayerOutputs]:
    """Return z and a of every layer for checked features (n, K) of any real dtype and layout."""
    rows = len(x)
    layers = plan.network.layers
    found = [
        LayerOutputs(name, np.empty((rows, layer[UNITS]), np.float32), np.empty((rows, layer[UNITS]), np.float32))
        for name, layer in zip(names, layers, strict=True)
    ]
    capacity = cut_batch(plan, MOST_BLOCKS, training=False).block
    activations = aligned(capacity * plan.row_floats)
    stride = layers[0, LEFT_STRIDE]
    inputs = activations[layers[0, LEFT] * capacity :][: capacity * stride].reshape(capacity, stride)
    for first in range(0, rows, capacity):
        last = min(first + capacity, rows)
        inputs[: last - first, : plan.inputs] = x[first:last]
        for index, layer in enumerate(found):
            one = plan.network._replace(
                layers=layers[index : index + 1],
                activation_parameters=plan.network.activation_parameters[index : index + 1],
            )
            trace_layer(
                one, activations, capacity, last - first, layer.z[first:last].reshape(-1),
                layer.a[first:last].reshape(-1),
            )  # fmt: skip
    return found
