"""Time of single kernels against NumPy: products, activations and optimizer steps."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastmlp.activations import (
    ELU,
    GELU,
    SELU,
    Activation,
    Exponential,
    HardSigmoid,
    LeakyReLU,
    Mish,
    ReLU,
    Sigmoid,
    SiLU,
    Softplus,
    Softsign,
    Tanh,
    elementwise,
)
from fastmlp.kernels import memory
from fastmlp.kernels.gemm import (
    PANEL,
    leading_dimension,
    padded_columns,
    padded_rows,
    panel_gradient,
    rows_product,
)
from fastmlp.kernels.jit import entry
from fastmlp.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from fastmlp.optimizers.base import FACTORS
from fastmlp.optimizers.table import optimizer_step, step_factors

Array = NDArray[np.float32]

NUMBERS = 65536
PARAMETERS = 1_000_000
# NumPy goes over the parameters in blocks that stay in the cache, as the baseline does
BLOCK = 65536
WARMUP_ROUNDS, ROUNDS = 5, 200

SHAPES = ((32, 64, 64), (64, 784, 128), (128, 512, 512), (256, 1024, 1024))  # B, K, N


def measure(benchmark: Any, group: str, row: str, implementation: str, function: Callable[[], Any]) -> None:
    """Time a function and say which cell of the printed tables it is."""
    benchmark.group = f"{group} {row}"
    benchmark.extra_info.update(table=group, row=row, implementation=implementation, calls=1)
    benchmark(function)


def rows_buffer(array: Array) -> Array:
    """Lay out rows as the engine does."""
    rows, columns = array.shape
    stride = leading_dimension(columns)
    buffer = memory.zeros(padded_rows(rows) * stride)
    buffer.reshape(-1, stride)[:rows, :columns] = array
    return buffer


def panel_views(buffer: Array, rows: int, columns: int) -> list[tuple[slice, Array]]:
    """Return the columns and a view of each panel."""
    views = []
    for column in range(0, columns, PANEL):
        width = min(PANEL, columns - column)
        view = buffer[column * rows : (column + width) * rows].reshape(rows, width)
        views.append((slice(column, column + width), view))
    return views


class Forward:
    """``z (B,N) = x (B,K) w (K,N)``."""

    def __init__(self, B: int, K: int, N: int) -> None:
        rng = np.random.default_rng(0)
        self.shape = B, K, N
        self.x, self.w = rng.standard_normal((B, K), np.float32), rng.standard_normal((K, N), np.float32)
        self.z = np.empty((B, N), np.float32)
        self.K_rows, self.N_columns = padded_rows(K), padded_columns(N)
        self.left, self.left_stride = rows_buffer(self.x), leading_dimension(K)
        self.zeros, self.panels = memory.zeros(self.N_columns), memory.zeros(self.K_rows * self.N_columns)
        padded = np.zeros((self.K_rows, self.N_columns), np.float32)
        padded[:K, :N] = self.w
        for columns, view in panel_views(self.panels, self.K_rows, self.N_columns):
            view[...] = padded[:, columns]
        self.out_stride = leading_dimension(N)
        self.out = memory.zeros(padded_rows(B) * self.out_stride)

    def fastmlp(self) -> None:
        """Run the kernel."""
        B, K, _ = self.shape
        rows_product(
            self.zeros, 0, self.left, 0, self.left_stride, self.panels, 0, self.K_rows, K, self.N_columns,
            self.out, 0, self.out_stride, padded_rows(B),
        )  # fmt: skip

    def numpy(self) -> None:
        """Run the NumPy expression."""
        np.matmul(self.x, self.w, out=self.z)

    def results(self) -> tuple[Array, Array]:
        """Return both products as plain arrays."""
        B, _, N = self.shape
        return self.out.reshape(-1, self.out_stride)[:B, :N], self.z


@entry
def kernel_gradient(
    x: Array, x_stride: int, dz: Array, dz_stride: int, batch: int, dw: Array, rows: int, columns: int
) -> None:
    """The gradients of all panels of a kernel."""
    for column in range(0, columns, PANEL):
        panel_gradient(
            x, 0, x_stride, dz, column, dz_stride, batch, dw, column * rows, columns - column >= PANEL, rows, False
        )


class Gradient:
    """``dw (K,N) = x^T (K,B) dz (B,N)``."""

    def __init__(self, B: int, K: int, N: int) -> None:
        rng = np.random.default_rng(0)
        self.shape = B, K, N
        self.x, self.dz = rng.standard_normal((B, K), np.float32), rng.standard_normal((B, N), np.float32)
        self.dw = np.empty((K, N), np.float32)
        self.K_rows, self.N_columns = padded_rows(K), padded_columns(N)
        self.left, self.left_stride = rows_buffer(self.x), leading_dimension(K)
        self.right, self.right_stride = rows_buffer(self.dz), leading_dimension(N)
        self.out = memory.zeros(self.K_rows * self.N_columns)

    def fastmlp(self) -> None:
        """Run the kernel."""
        kernel_gradient(
            self.left, self.left_stride, self.right, self.right_stride, self.shape[0], self.out, self.K_rows,
            self.N_columns,
        )  # fmt: skip

    def numpy(self) -> None:
        """Run the NumPy expression."""
        np.matmul(self.x.T, self.dz, out=self.dw)

    def results(self) -> tuple[Array, Array]:
        """Return both products as plain arrays."""
        _, K, N = self.shape
        panels = [view for _, view in panel_views(self.out, self.K_rows, self.N_columns)]
        return np.concatenate(panels, axis=1)[:K, :N], self.dw


@pytest.mark.parametrize("implementation", ["fastmlp", "numpy"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize("product", [Forward, Gradient], ids=["rows_product", "panel_gradient"])
def test_product(benchmark, product, shape, implementation):
    work = product(*shape)
    work.fastmlp()
    work.numpy()
    ours, theirs = work.results()
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * float(np.max(np.abs(theirs))))
    row = f"{product.__name__.lower()} {'x'.join(map(str, shape))}"
    measure(benchmark, "product", row, implementation, getattr(work, implementation))


def _sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def _softplus(z: Array) -> Array:
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def _gelu(z: Array) -> Array:
    # NumPy has no erf: Abramowitz & Stegun, 7.1.26
    s = np.abs(z) * np.float32(0.5**0.5)
    t = 1 / (1 + 0.3275911 * s)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return 0.5 * z * (1 + np.copysign(1 - series * np.exp(-s * s), z))


def _gelu_tanh(z: Array) -> Array:
    return 0.5 * z * (1 + np.tanh(np.float32((2 / np.pi) ** 0.5) * (z + 0.044715 * z * z * z)))


def _selu(z: Array) -> Array:
    return 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * np.expm1(np.minimum(z, 0)))


ACTIVATIONS: dict[str, tuple[Activation, Callable[[Array], Array]]] = {
    "relu": (ReLU(), lambda z: np.maximum(z, 0)),
    "sigmoid": (Sigmoid(), _sigmoid),
    "tanh": (Tanh(), np.tanh),
    "elu": (ELU(), lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0)))),
    "selu": (SELU(), _selu),
    "softplus": (Softplus(), _softplus),
    "leaky_relu": (LeakyReLU(), lambda z: np.where(z > 0, z, np.float32(0.2) * z)),
    "gelu": (GELU(), _gelu),
    "gelu_tanh": (GELU(approximate=True), _gelu_tanh),
    "silu": (SiLU(), lambda z: z * _sigmoid(z)),
    "softsign": (Softsign(), lambda z: z / (1 + np.abs(z))),
    "hard_sigmoid": (HardSigmoid(), lambda z: np.clip(z / 6 + 0.5, 0, 1)),
    "exponential": (Exponential(), np.exp),
    "mish": (Mish(), lambda z: z * np.tanh(_softplus(z))),
}


@pytest.mark.parametrize("implementation", ["fastmlp", "numpy"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(benchmark, name, implementation):
    activation, expression = ACTIVATIONS[name]
    source = np.random.default_rng(0).standard_normal(NUMBERS, np.float32)
    kind, parameter = activation.compiled_kind, np.float32(activation.parameter)
    z, nothing = source.copy(), np.empty(0, np.float32)

    def fastmlp() -> None:
        elementwise(kind, parameter, z, 0, nothing, 0, NUMBERS, False)

    fastmlp()
    np.testing.assert_allclose(z, expression(source), rtol=1e-4, atol=1e-5)
    benchmark.group = f"activation {name}"
    benchmark.extra_info.update(table="activation", row=name, implementation=implementation, calls=1)
    # the kernel works in place, so every round begins with the same numbers
    benchmark.pedantic(
        fastmlp if implementation == "fastmlp" else lambda: expression(z),
        setup=lambda: np.copyto(z, source),
        rounds=ROUNDS,
        warmup_rounds=WARMUP_ROUNDS,
    )


def _sgd(o: SGD, t: int, w: Array, g: Array, slots: Array) -> None:
    if not o.momentum:
        w -= o.learning_rate * g
        return
    velocity, step = slots[0], o.learning_rate * g
    velocity *= o.momentum
    velocity -= step
    if o.nesterov:
        w -= step
        w += o.momentum * velocity
    else:
        w += velocity


def _adam(o: Adam, t: int, w: Array, g: Array, slots: Array) -> None:
    m, v = slots[0], slots[1]
    if o.weight_decay:
        w *= 1 - o.learning_rate * o.weight_decay
    m *= o.beta_1
    m += (1 - o.beta_1) * g
    v *= o.beta_2
    v += (1 - o.beta_2) * (g * g)
    if o.amsgrad:
        v = np.maximum(slots[2], v, out=slots[2])
    alpha = o.learning_rate * (1 - o.beta_2**t) ** 0.5 / (1 - o.beta_1**t)
    w -= alpha * m / (np.sqrt(v) + o.epsilon)


def _rmsprop(o: RMSprop, t: int, w: Array, g: Array, slots: Array) -> None:
    v = slots[0]
    v *= o.rho
    v += (1 - o.rho) * (g * g)
    spread = v
    if o.centered:
        mean = slots[2]
        mean *= o.rho
        mean += (1 - o.rho) * g
        spread = v - mean * mean
    step = o.learning_rate * g / np.sqrt(spread + o.epsilon)
    if o.momentum:
        velocity = slots[1]
        velocity *= o.momentum
        velocity += step
        step = velocity
    w -= step


OPTIMIZERS: dict[str, tuple[Optimizer, Callable[..., None]]] = {
    "sgd": (SGD(), _sgd),
    "sgd momentum": (SGD(momentum=0.9), _sgd),
    "sgd nesterov": (SGD(momentum=0.9, nesterov=True), _sgd),
    "adam": (Adam(), _adam),
    "adam amsgrad": (Adam(amsgrad=True), _adam),
    "adamw": (AdamW(), _adam),
    "rmsprop": (RMSprop(), _rmsprop),
    "rmsprop centered momentum": (RMSprop(centered=True, momentum=0.9), _rmsprop),
}


class Updates:
    """An optimizer's steps, both implementations; the gradients' signs alternate, for a variance."""

    def __init__(self, optimizer: Optimizer, expression: Callable[..., None]) -> None:
        rng = np.random.default_rng(0)
        self.optimizer, self.expression, self.settings = optimizer, expression, optimizer.settings()
        gradients = rng.standard_normal(PARAMETERS, np.float32)
        self.gradients = gradients, -gradients
        start = rng.standard_normal(PARAMETERS, np.float32)
        self.ours, self.theirs = start.copy(), start.copy()
        self.our_slots, self.their_slots = (np.zeros((len(optimizer.slots), PARAMETERS), np.float32) for _ in "ab")
        self.factors = np.zeros(FACTORS, np.float32)
        self.flat_slots = self.our_slots.reshape(-1)
        self.iterations = {"fastmlp": 0, "numpy": 0}

    def fastmlp(self) -> None:
        """Run the kernel."""
        self.iterations["fastmlp"] += 1
        gradients = self.gradients[self.iterations["fastmlp"] % 2]
        step_factors(self.optimizer.kind, self.settings, self.iterations["fastmlp"], self.factors)
        optimizer_step(self.optimizer.kind, self.factors, self.ours, 0, gradients, 0, self.flat_slots, PARAMETERS)

    def numpy(self) -> None:
        """Run the NumPy expression."""
        self.iterations["numpy"] += 1
        gradients = self.gradients[self.iterations["numpy"] % 2]
        for start in range(0, PARAMETERS, BLOCK):
            block = slice(start, start + BLOCK)
            self.expression(
                self.optimizer, self.iterations["numpy"], self.theirs[block], gradients[block],
                self.their_slots[:, block],
            )  # fmt: skip


@pytest.mark.parametrize("implementation", ["fastmlp", "numpy"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer(benchmark, name, implementation):
    updates = Updates(*OPTIMIZERS[name])
    for _ in range(2):
        updates.fastmlp()
        updates.numpy()
    np.testing.assert_allclose(updates.ours, updates.theirs, rtol=1e-4, atol=1e-5)
    measure(benchmark, "optimizer", name, implementation, getattr(updates, implementation))
