"""A shuffling trainer of each library for :mod:`benchmarks.time_to_accuracy`.

Each shuffles by its own means, so the orders of rows differ; the start weights and the hyper-parameters do not.
"""

import importlib
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastmlp.ladder.cases import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Case

Array = np.ndarray[Any, Any]


class FastmlpTrainer:
    """``fit``, an epoch a call."""

    modules = ("fastmlp.model",)

    def __init__(self, case: Case, x: Array, y: Array, weights: Sequence[Array], seed: int) -> None:
        from fastmlp import Dense, Input, Sequential
        from fastmlp.optimizers import Adam

        hidden = [Dense(units, activation=case.activation) for units in case.sizes[1:-1]]
        layers = [Input(shape=(case.sizes[0],)), *hidden, Dense(case.sizes[-1], activation="softmax")]
        self.model = Sequential(layers, seed=seed)
        self.model.compile(Adam(LEARNING_RATE, BETA_1, BETA_2, EPSILON), loss="sparse_categorical_crossentropy")
        self.model.set_weights(weights)
        self.x, self.y, self.batch = x, y, case.batch

    def epoch(self) -> None:
        """Train on all rows in a new order."""
        self.model.fit(self.x, self.y, batch_size=self.batch, verbose=0)

    def labels(self, x: Array) -> Array:
        """Return the predicted classes."""
        return np.argmax(self.model.predict(x, batch_size=1024), axis=1)


class TorchTrainer:
    """The loop of :mod:`fastmlp.ladder.torch_side`; a batch is a selection from one permutation an epoch."""

    modules = ("torch", "fastmlp.ladder.torch_side")

    def __init__(self, case: Case, x: Array, y: Array, weights: Sequence[Array], seed: int) -> None:
        import torch

        from fastmlp.ladder.torch_side import TorchSide

        torch.manual_seed(seed)
        self.x, self.y, self.batch = torch.from_numpy(x), torch.from_numpy(y.astype(np.int64)), case.batch
        side = TorchSide(case, x, y.astype(np.int64), weights)
        self.network, self.loss, self.optimizer = side.network, side.loss, side.optimizer

    def epoch(self) -> None:
        """Train on all rows in a new order."""
        import torch

        for chosen in torch.randperm(len(self.x)).split(self.batch):
            self.optimizer.zero_grad(set_to_none=True)
            self.loss(self.network(self.x[chosen]), self.y[chosen]).backward()
            self.optimizer.step()

    def labels(self, x: Array) -> Array:
        """Return the predicted classes."""
        import torch

        with torch.no_grad():
            return self.network(torch.from_numpy(x)).argmax(dim=1).numpy()


class JaxTrainer:
    """The compiled epoch of :mod:`fastmlp.ladder.jax_side` with a permutation in the same call."""

    modules = ("jax", "fastmlp.ladder.jax_side")

    def __init__(self, case: Case, x: Array, y: Array, weights: Sequence[Array], seed: int) -> None:
        import jax
        import jax.numpy as jnp

        from fastmlp.ladder.jax_side import ACTIVATIONS, new_state, train_step

        whole = case.rows // case.batch * case.batch

        def shuffled(state: Any, key: Any, x: Any, y: Any) -> Any:
            order = jax.random.permutation(key, case.rows)

            def step(state: Any, chosen: Any) -> Any:
                return train_step(case, state, (x[chosen], y[chosen]))

            state, _ = jax.lax.scan(step, state, order[:whole].reshape(-1, case.batch))
            return step(state, order[whole:])[0] if whole < case.rows else state

        def labels(weights: Any, x: Any) -> Any:
            for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
                x = ACTIVATIONS[case.activation](x @ kernel + bias)
            return jnp.argmax(x @ weights[-2] + weights[-1], axis=1)

        self.state = new_state(weights)
        self.key = jax.random.key(seed)
        self.x, self.y = jnp.asarray(x), jnp.asarray(y.astype(np.int32))
        self.run, self.predict, self.split = jax.jit(shuffled, donate_argnums=0), jax.jit(labels), jax.random.split

    def epoch(self) -> None:
        """Train on all rows in a new order."""
        self.key, key = self.split(self.key)
        self.state = self.run(self.state, key, self.x, self.y)

    def labels(self, x: Array) -> Array:
        """Return the predicted classes."""
        return np.asarray(self.predict(self.state[0], x))


class SklearnTrainer:
    """``partial_fit``, an epoch a call, after the start weights are written as in the ladder."""

    modules = ("sklearn.neural_network", "fastmlp.ladder.sklearn_side")

    def __init__(self, case: Case, x: Array, y: Array, weights: Sequence[Array], seed: int) -> None:
        from fastmlp.ladder.sklearn_side import SklearnSide

        self.x, self.y = x, y
        # its first fit makes the arrays, and would train for an epoch: on the fewest rows that have all classes
        few = np.unique(y, return_index=True)[1]
        self.model = SklearnSide(case, x[few], y[few], weights).model
        # an instance, since a number would give every partial_fit the same order
        self.model.set_params(shuffle=True, random_state=np.random.RandomState(seed))
        self.started = False

    def epoch(self) -> None:
        """Train on all rows in a new order."""
        if self.started:
            self.model.partial_fit(self.x, self.y)
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that one epoch does not converge
            self.model.fit(self.x, self.y)
        self.started = True

    def labels(self, x: Array) -> Array:
        """Return the predicted classes."""
        return self.model.predict(x)


TRAINERS: dict[str, Any] = {
    "fastmlp": FastmlpTrainer,
    "torch": TorchTrainer,
    "jax": JaxTrainer,
    "sklearn": SklearnTrainer,
}


def import_for(name: str) -> Any:
    """Import what a library's trainer needs, and return the trainer's class."""
    for module in TRAINERS[name].modules:
        importlib.import_module(module)
    return TRAINERS[name]
