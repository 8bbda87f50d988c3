"""The table of networks: every comparison of losses and every timing takes its rungs from here."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import unknown_name

# Adam as Keras has it, the same for every side.
LEARNING_RATE, BETA_1, BETA_2, EPSILON = 1e-3, 0.9, 0.999, 1e-7

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """A network, and the rows of an epoch."""

    name: str
    sizes: tuple[int, ...]
    """Inputs, units of every hidden layer, outputs."""
    activation: str
    """Of the hidden layers: "relu", "sigmoid", "tanh", "elu" or "gelu"."""
    loss: str
    """"mse" of a linear output, "bce" of a sigmoid, or "ce" of a softmax (with integer labels)."""
    batch: int
    rows: int

    @property
    def output(self) -> str:
        """Activation of the last layer."""
        return {"mse": "linear", "bce": "sigmoid", "ce": "softmax"}[self.loss]

    @property
    def network(self) -> str:
        """The sizes as people write them, such as 64-128-10."""
        return "-".join(map(str, self.sizes))

    @property
    def steps(self) -> int:
        """Steps in an epoch; the last one may have fewer rows."""
        return -(-self.rows // self.batch)

    @property
    def products(self) -> int:
        """Multiplications in the forward pass of an epoch."""
        return self.rows * sum(K * N for K, N in zip(self.sizes[:-1], self.sizes[1:], strict=True))

    @property
    def flops_per_step(self) -> float:
        """Useful floating-point operations of a mean step: the products, and nothing else.

        Each layer has three of 2 B K N operations: forward, the gradient of the weights, and the gradient of
        its input, which the first layer does not need.
        """
        first = self.rows * self.sizes[0] * self.sizes[1]
        return 2 * (3 * self.products - first) / self.steps

    def as_dict(self) -> dict[str, Any]:
        """Return what :meth:`from_dict` makes the case of."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Case":
        """Make a case of what has been through JSON."""
        return cls(**{**fields, "sizes": tuple(fields["sizes"])})


RUNGS = (
    Case("coffee", (2, 25, 15, 1), "sigmoid", "bce", 32, 6400),
    Case("chains", (4, 32, 16, 4), "tanh", "mse", 10000, 100000),
    Case("tabular", (20, 64, 64, 1), "relu", "mse", 32, 6400),
    Case("digits", (64, 128, 10), "relu", "ce", 64, 6400),
    Case("mnist128", (784, 128, 10), "relu", "ce", 128, 5120),
    Case("mnist512", (784, 512, 512, 10), "relu", "ce", 128, 1280),
    Case("wide1024", (1024, 1024, 1024, 10), "relu", "ce", 256, 1024),
)

# Shapes that no kernel was made for.
OTHER_SHAPES = (
    Case("odd", (37, 53, 29, 3), "relu", "ce", 32, 3200),
    Case("primes", (101, 103, 7), "tanh", "mse", 61, 3050),
    Case("shallow", (100, 101, 7), "relu", "ce", 100, 5000),
    Case("batch8", (20, 64, 64, 1), "relu", "mse", 8, 1600),
    Case("batch1000", (20, 64, 64, 1), "relu", "mse", 1000, 20000),
    Case("deep", (32, 64, 64, 64, 64, 64, 64, 10), "relu", "ce", 64, 3200),
    Case("outputs2000", (64, 128, 2000), "relu", "ce", 128, 2560),
    Case("elu", (64, 128, 128, 10), "elu", "ce", 64, 3200),
    Case("gelu", (64, 128, 128, 10), "gelu", "ce", 64, 3200),
)

GROUPS = {"rungs": RUNGS, "other": OTHER_SHAPES, "all": RUNGS + OTHER_SHAPES}


def choose(names: Iterable[str]) -> list[Case]:
    """Return the cases of these names in the order of the table; a group's name stands for all of its cases.

    Raises
    ------
    ValueError
        For an unknown name, with the nearest ones.
    """
    table = {case.name: case for case in GROUPS["all"]}
    wanted: set[str] = set()
    for name in names:
        if name not in table and name not in GROUPS:
            raise unknown_name("case", name, [*table, *GROUPS])
        wanted |= {case.name for case in GROUPS.get(name) or (table[name],)}
    return [case for case in table.values() if case.name in wanted]


def make_data(case: Case, seed: int = 0) -> tuple[Float32, NDArray[Any]]:
    """Return x and y: the targets follow the features through a linear map with noise.

    The noise keeps the loss away from zero however long a benchmark trains.
    """
    rng = np.random.default_rng(seed)
    K, N = case.sizes[0], case.sizes[-1]
    x = rng.standard_normal((case.rows, K), np.float32)
    z = x @ (rng.standard_normal((K, N), np.float32) / np.float32(np.sqrt(K)))
    z += rng.standard_normal(z.shape, np.float32) / np.float32(2)
    if case.loss == "ce":
        return x, np.argmax(z, axis=1)
    if case.loss == "bce":
        return x, (z > 0).astype(np.float32)
    return x, z


def start_weights(case: Case, seed: int = 0) -> list[Float32]:
    """Return the weights that all sides start from: Glorot uniform kernels (K, N), and biases (N,) of zero."""
    rng = np.random.default_rng(seed)
    weights: list[Float32] = []
    for K, N in zip(case.sizes[:-1], case.sizes[1:], strict=True):
        limit = np.sqrt(6 / (K + N))
        weights += [rng.uniform(-limit, limit, (K, N)).astype(np.float32), np.zeros(N, np.float32)]
    return weights
