"""Models as ONNX files, for ONNX Runtime and whatever else reads them; needs the extra ``onnx``.

``onnx`` itself is imported by :func:`export` alone.
"""

import os
from collections.abc import Callable, Mapping
from math import pi, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from . import __version__, activations
from .errors import check_text
from .interop.operations import (
    Flat,
    Float32,
    Function,
    NormaliseRows,
    Operation,
    Part,
    Product,
    Scale,
    Skip,
    prediction,
)
from .saving.durable import replace_file

if TYPE_CHECKING:
    from .model import Sequential

# The oldest set of operators with LayerNormalization, and the version of the file format that came with it (ONNX 1.12,
# ONNX Runtime 1.12, 2022): old runtimes read it, new ones read it as well.
OPSET = 17
IR_VERSION = 8
# Protocol Buffers end at 2 GiB; the rest is for everything but weights.
MOST_BYTES = 2**31 - 2**24

__all__ = ["OPSET", "export"]


class _Graph:
    """Nodes and constants as they are added; ``value`` is the name of what the last node has made."""

    def __init__(self, onnx: Any, input_name: str, output_name: str) -> None:
        self._helper = onnx.helper
        self._numpy_helper = onnx.numpy_helper
        self._taken = {input_name, output_name}
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._numbers: dict[float, str] = {}
        self.value = input_name

    def _name(self, stem: str) -> str:
        """A name like `stem` that nothing has, in the texts that protocol buffers can hold."""
        stem = name = stem.encode("utf-8", "replace").decode()
        count = 1
        while name in self._taken:
            name = f"{stem}_{count}"
            count += 1
        self._taken.add(name)
        return name

    def constant(self, name: str, value: Float32) -> str:
        """Add an array, and return its name."""
        name = self._name(name)
        self.constants.append(self._numpy_helper.from_array(value, name))
        return name

    def number(self, value: float) -> str:
        """Add a number that all who need it share, and return its name."""
        if value not in self._numbers:
            self._numbers[value] = self.constant(f"{value:g}", np.array(value, np.float32))
        return self._numbers[value]

    def node(self, operator: str, layer: str, *inputs: str, **attributes: Any) -> str:
        """Add a node, and return the name of its result."""
        self.value = self._name(f"{layer}.{operator}")
        self.nodes.append(self._helper.make_node(operator, inputs, [self.value], name=self.value, **attributes))
        return self.value


def _gelu(graph: _Graph, layer: str, z: str, activation: activations.Activation) -> None:
    """Add z (1 + erf(z / sqrt(2))) / 2, or the tanh form; Gelu is an operator from opset 20 only."""
    if isinstance(activation, activations.GELU) and activation.approximate:
        cube = graph.node("Mul", layer, graph.node("Mul", layer, z, z), z)
        inner = graph.node("Add", layer, z, graph.node("Mul", layer, cube, graph.number(0.044715)))
        bent = graph.node("Tanh", layer, graph.node("Mul", layer, inner, graph.number(sqrt(2 / pi))))
    else:
        bent = graph.node("Erf", layer, graph.node("Mul", layer, z, graph.number(sqrt(0.5))))
    half = graph.node("Mul", layer, z, graph.number(0.5))
    graph.node("Mul", layer, half, graph.node("Add", layer, bent, graph.number(1.0)))


def _silu(graph: _Graph, layer: str, z: str, activation: activations.Activation) -> None:
    graph.node("Mul", layer, z, graph.node("Sigmoid", layer, z))


def _mish(graph: _Graph, layer: str, z: str, activation: activations.Activation) -> None:
    graph.node("Mul", layer, z, graph.node("Tanh", layer, graph.node("Softplus", layer, z)))


# activations that are an operator, with its attributes but for the activation's parameter
OPERATORS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "elu": ("Elu", {}),
    "exponential": ("Exp", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "leaky_relu": ("LeakyRelu", {}),
    "relu": ("Relu", {}),
    "selu": ("Selu", {}),
    "sigmoid": ("Sigmoid", {}),
    "softmax": ("Softmax", {"axis": -1}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "tanh": ("Tanh", {}),
}
WITH_ALPHA = ("elu", "leaky_relu")
# activations that are several
COMPOSED: Mapping[str, Callable[[_Graph, str, str, activations.Activation], None]] = {
    "gelu": _gelu,
    "mish": _mish,
    "silu": _silu,
}


def _add_function(graph: _Graph, layer: str, activation: activations.Activation) -> None:
    if activation.name in COMPOSED:
        COMPOSED[activation.name](graph, layer, graph.value, activation)
        return
    operator, attributes = OPERATORS[activation.name]
    alpha = {"alpha": float(activation.parameter)} if activation.name in WITH_ALPHA else {}
    graph.node(operator, layer, graph.value, **attributes, **alpha)


def _add_operation(graph: _Graph, part: Part, operation: Operation) -> None:
    layer = part.name
    if isinstance(operation, Product):
        inputs = [graph.value, graph.constant(f"{layer}.kernel", operation.kernel)]
        if operation.bias is not None:
            inputs.append(graph.constant(f"{layer}.bias", operation.bias))
        graph.node("Gemm", layer, *inputs)
    elif isinstance(operation, Scale):
        # a BatchNormalization of ONNX's is often folded into one factor and offset, which loses digits
        if operation.centre is not None:
            graph.node("Sub", layer, graph.value, graph.constant(f"{layer}.centre", operation.centre))
        graph.node("Mul", layer, graph.value, graph.constant(f"{layer}.factor", operation.factor))
        if operation.offset is not None:
            graph.node("Add", layer, graph.value, graph.constant(f"{layer}.offset", operation.offset))
    elif isinstance(operation, NormaliseRows):
        gamma = np.ones(part.shape, np.float32) if operation.gamma is None else operation.gamma
        inputs = [graph.value, graph.constant(f"{layer}.gamma", gamma)]
        if operation.beta is not None:
            inputs.append(graph.constant(f"{layer}.beta", operation.beta))
        graph.node("LayerNormalization", layer, *inputs, axis=-1, epsilon=float(operation.epsilon))
    elif isinstance(operation, Function):
        _add_function(graph, layer, operation.activation)
    elif isinstance(operation, Flat):
        graph.node("Flatten", layer, graph.value, axis=1)
    elif isinstance(operation, Skip):
        entrance = graph.value
        _add_parts(graph, operation.parts)
        graph.node("Add", layer, entrance, graph.value)


def _add_parts(graph: _Graph, parts: tuple[Part, ...]) -> None:
    for part in parts:
        for operation in part.operations:
            _add_operation(graph, part, operation)


def export(
    model: "Sequential",
    path: str | os.PathLike[str],
    *,
    input_name: str = "input",
    output_name: str = "output",
) -> None:
    """Write a model as an ONNX file of opset 17, with its weights inside.

    The graph has one input (batch, ...), float32, and one output (batch, units), for any number of rows. It computes
    what :meth:`Sequential.predict` does, up to the rounding of float32.

    Parameters
    ----------
    model : Sequential
        With weights.
    path : path
        Where to; a file there is replaced, and is the old or the new one whole at any moment.
    input_name, output_name : str
        What the graph calls its input and its output.

    Raises
    ------
    ImportError
        When the package ``onnx`` is not installed.
    TypeError
        For a custom activation, or a layer of a class that is not this package's own.
    ValueError
        When input and output have the same name, or the weights do not fit into the 2 GiB of an ONNX file.
    NotBuiltError
        When the model has no weights yet.
    TrainingDivergedError
        When a weight is not finite.
    OSError
        When the file cannot be written.
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError('fastmlp.onnx needs the package onnx: pip install "fastmlp[onnx]"') from error
    if check_text("input_name", input_name) == check_text("output_name", output_name):
        raise ValueError(f"input_name and output_name must differ, got {input_name!r} for both")
    computed = prediction(model, "ONNX")
    size = 4 * model.count_params()
    if size > MOST_BYTES:
        raise ValueError(f"an ONNX file holds at most 2 GiB, and the weights are {size / 2**30:.1f} GiB; use save")

    graph = _Graph(onnx, input_name, output_name)
    _add_parts(graph, computed.parts)
    if not graph.nodes:
        graph.node("Identity", "output", graph.value)
    # nothing reads what the last node makes but whoever runs the graph
    graph.nodes[-1].output[0] = output_name

    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    written = helper.make_graph(
        graph.nodes,
        model.name.encode("utf-8", "replace").decode() or "sequential",
        [helper.make_tensor_value_info(input_name, float32, ["batch", *computed.inputs])],
        [helper.make_tensor_value_info(output_name, float32, ["batch", computed.outputs])],
        graph.constants,
    )
    proto = helper.make_model(
        written,
        producer_name="fastmlp",
        producer_version=__version__,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    replace_file(path, [proto.SerializeToString(deterministic=True)])
