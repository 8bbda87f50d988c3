"""A model as one Python file that needs NumPy alone."""

import base64
import inspect
import json
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .. import __version__, activations
from ..saving.durable import replace_file
from . import numpy_functions
from .operations import Flat, Float32, Function, NormaliseRows, Part, Prediction, Product, Scale, Skip, prediction

if TYPE_CHECKING:
    from ..model import Sequential

HEAD = '''"""Predictions of a neural network in plain NumPy: ``predict(x)``, x {inputs}, returns {outputs}.

Written by fastmlp {version}, which is not needed here; the weights are below.
"""

import base64

import numpy as np

'''
PREDICT = '''
def predict(x):
    """Return the outputs {outputs}, float32, of the network for inputs x {inputs}."""
    x = np.asarray(x, np.float32)
    if x.ndim != {axes} or x.shape[1:] != {shape}:
        raise ValueError(f"x must have the shape {inputs}, got {{x.shape}}")
'''
WEIGHTS = '''    return x


def floats(shape, text):
    """Return the array whose little-endian float32 bytes are in a base64 text."""
    return np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32).reshape(shape)


W = {}
'''


class _Program:
    """The lines of ``predict``, the functions that it calls, and the weights that it reads."""

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self.lines: list[str] = []
        self.functions: dict[str, Callable[..., Any]] = {}
        self.weights: dict[str, Float32] = {}
        self._depth = 0
        self._add(parts)

    def _add(self, parts: tuple[Part, ...]) -> None:
        for part in parts:
            self.lines.append(f"# {_text(part.name)} ({part.kind}): {_shape(part.shape)}")
            for operation in part.operations:
                if isinstance(operation, Product):
                    kernel = self._weight(part, "kernel", operation.kernel)
                    bias = self._term(part, "bias", operation.bias)
                    self.lines.append(f"x = x @ {kernel}{bias}")
                elif isinstance(operation, Scale):
                    centred = "x"
                    if operation.centre is not None:
                        centred = f"(x - {self._weight(part, 'centre', operation.centre)})"
                    factor = self._weight(part, "factor", operation.factor)
                    self.lines.append(f"x = {centred} * {factor}{self._term(part, 'offset', operation.offset)}")
                elif isinstance(operation, NormaliseRows):
                    self._call(numpy_functions.normalise_rows, operation.epsilon)
                    gamma = "" if operation.gamma is None else f" * {self._weight(part, 'gamma', operation.gamma)}"
                    beta = self._term(part, "beta", operation.beta)
                    if gamma or beta:
                        self.lines.append(f"x = x{gamma}{beta}")
                elif isinstance(operation, Function):
                    self._call(*_function(operation.activation))
                elif isinstance(operation, Flat):
                    self.lines.append(f"x = x.reshape(len(x), {part.shape[0]})")
                elif isinstance(operation, Skip):
                    self._skip(operation)

    def _skip(self, skip: Skip) -> None:
        self._depth += 1
        # nested ones are named by their depth
        name = f"skip{self._depth}"
        self.lines.append(f"{name} = x")
        self._add(skip.parts)
        self.lines.append(f"x = {name} + x")
        self._depth -= 1

    def _weight(self, part: Part, name: str, value: Float32) -> str:
        """Keep an array; return the expression that reads it."""
        self.weights[f"{part.name}.{name}"] = value
        return f"W[{_text(f'{part.name}.{name}')}]"

    def _term(self, part: Part, name: str, value: Float32 | None) -> str:
        return "" if value is None else f" + {self._weight(part, name, value)}"

    def _call(self, function: Callable[..., Any], *arguments: float) -> None:
        self.functions[function.__name__] = function
        shown = ", ".join(["x", *(repr(float(argument)) for argument in arguments)])
        self.lines.append(f"x = {function.__name__}({shown})")


def _function(activation: activations.Activation) -> tuple[Any, ...]:
    """The function and its further arguments."""
    if isinstance(activation, activations.GELU) and activation.approximate:
        return (numpy_functions.gelu_tanh,)
    function = getattr(numpy_functions, activation.name)
    count = len(inspect.signature(function).parameters) - 1
    return (function, *([activation.parameter] * count))


def _text(text: str) -> str:
    """A literal on one line, whatever is in the name of a layer."""
    return json.dumps(text)


def _shape(shape: tuple[int, ...]) -> str:
    return f"(rows, {', '.join(map(str, shape))})"


def _pieces(computed: Prediction) -> Iterator[bytes]:
    program = _Program(computed.parts)
    inputs, outputs = _shape(computed.inputs), _shape((computed.outputs,))
    shown = {"inputs": inputs, "outputs": outputs, "axes": len(computed.inputs) + 1, "shape": computed.inputs}
    yield HEAD.format(**shown, version=__version__).encode()
    for function in program.functions.values():
        yield f"\n{inspect.getsource(function)}\n".encode()
    yield PREDICT.format(**shown).encode()
    yield "".join(f"    {line}\n" for line in program.lines).encode()
    yield WEIGHTS.encode()
    for name, value in program.weights.items():
        text = base64.encodebytes(value.astype("<f4").tobytes())
        yield f'W[{_text(name)}] = floats({value.shape}, """\n'.encode() + text + b'""")\n'


def export_numpy(model: "Sequential", path: str | os.PathLike[str]) -> None:
    """Write a model as one Python file whose ``predict(x)`` needs NumPy alone.

    The file has no other dependency and reads no other file: the weights are in it, to the bit. It is readable, a line
    or two for each layer. ``predict`` takes and returns what :meth:`Sequential.predict` does, up to the rounding of
    float32.

    Parameters
    ----------
    model : Sequential
        With weights.
    path : path
        Where to; a file there is replaced, and is the old or the new one whole at any moment.

    Raises
    ------
    TypeError
        For a custom activation, or a layer of a class that is not this package's own.
    NotBuiltError
        When the model has no weights yet.
    TrainingDivergedError
        When a weight is not finite.
    OSError
        When the file cannot be written.

    Examples
    --------
    >>> import runpy, tempfile
    >>> import numpy as np
    >>> from fastmlp import Dense, Input, Sequential
    >>> model = Sequential([Input(shape=(2,)), Dense(3, "relu"), Dense(1)], seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_numpy(model, f"{folder}/network.py")
    ...     predict = runpy.run_path(f"{folder}/network.py")["predict"]
    >>> bool(np.allclose(predict([[1, 2]]), model.predict([[1, 2]])))
    True
    """
    replace_file(path, _pieces(prediction(model, "a NumPy file")))
