"""JAX's side of a comparison: a whole epoch is one compiled call, which updates its state in place."""

from collections.abc import Sequence
from functools import partial
from math import log
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .cases import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Case, Float32

ACTIVATIONS = {
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "elu": jax.nn.elu,
    "gelu": partial(jax.nn.gelu, approximate=False),
}
# Two steps of a small network in one turn of the loop take some 5 % less than one; more do not help.
UNROLL = 2


def objective(case: Case, weights: Sequence[jax.Array], x: jax.Array, y: jax.Array) -> jax.Array:
    """Return the mean loss of a batch."""
    a = x
    last = len(weights) // 2 - 1
    for layer in range(last + 1):
        a = a @ weights[2 * layer] + weights[2 * layer + 1]
        if layer < last:
            a = ACTIVATIONS[case.activation](a)
    if case.loss == "mse":
        return jnp.mean(jnp.square(a - y))
    if case.loss == "bce":
        return jnp.mean(jax.nn.softplus(a) - a * y)
    # comparing with all labels is fused into the loop over them, where an indexed read would be a loop of its own
    mine = y[:, None] == jnp.arange(a.shape[1], dtype=y.dtype)
    return jnp.mean(jax.nn.logsumexp(a, axis=1) - jnp.sum(jnp.where(mine, a, 0), axis=1))


def new_state(weights: Sequence[Float32]) -> Any:
    """Return the weights, both moments of Adam, and the number of steps."""
    start = [jnp.array(w) for w in weights]
    moments = [[jnp.zeros_like(w) for w in start] for _ in range(2)]
    return start, *moments, jnp.zeros((), jnp.float32)


def train_step(case: Case, state: Any, batch: Any) -> Any:
    """Return the state after a step with Adam, and the sum of the samples' losses before it."""
    weights, means, squares, t = state
    mean, gradients = jax.value_and_grad(partial(objective, case))(weights, *batch)
    t = t + 1
    # 1 - beta^t, without the float32 difference of two numbers close to 1
    corrections = [-jnp.expm1(t * log(beta)) for beta in (BETA_1, BETA_2)]
    alpha = LEARNING_RATE * jnp.sqrt(corrections[1]) / corrections[0]
    means = [BETA_1 * m + (1 - BETA_1) * g for m, g in zip(means, gradients, strict=True)]
    squares = [BETA_2 * v + (1 - BETA_2) * g * g for v, g in zip(squares, gradients, strict=True)]
    weights = [w - alpha * m / (jnp.sqrt(v) + EPSILON) for w, m, v in zip(weights, means, squares, strict=True)]
    return (weights, means, squares, t), mean * len(batch[0])


def train_epoch(case: Case, state: Any, full: Any, rest: Any) -> Any:
    """Return the state after an epoch, and its mean loss."""
    state, totals = jax.lax.scan(partial(train_step, case), state, full, unroll=UNROLL)
    total = jnp.sum(totals)
    if len(rest[0]):
        state, last = train_step(case, state, rest)
        total += last
    return state, total / case.rows


class JaxSide:
    """A state that each epoch's call donates to the next."""

    def __init__(self, case: Case, x: Float32, y: Any, weights: Sequence[Float32]) -> None:
        targets = y.astype(np.int32) if case.loss == "ce" else y.reshape(len(y), -1)
        whole = case.rows // case.batch * case.batch
        self.full = tuple(
            jnp.asarray(array[:whole].reshape(-1, case.batch, *array.shape[1:])) for array in (x, targets)
        )
        self.rest = tuple(jnp.asarray(array[whole:]) for array in (x, targets))
        self.state = new_state(weights)
        self.epoch = jax.jit(partial(train_epoch, case), donate_argnums=0)

    def train(self, epochs: int) -> list[float]:
        """Train on all rows in their order, and return the mean loss of each epoch."""
        losses = []
        for _ in range(epochs):
            self.state, mean = self.epoch(self.state, self.full, self.rest)
            losses.append(mean)
        return [float(mean) for mean in losses]  # waits for the last epoch


make = JaxSide
