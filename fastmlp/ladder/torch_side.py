"""PyTorch's side of a comparison: the training loop as people write it, without what slows it down.

The rows are tensors, cut into batches beforehand; the optimizer is the fused one; gradients are dropped and
not zeroed; the loss is read once an epoch.
"""

from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np
import torch

from .cases import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Case, Float32

ACTIVATIONS = {
    "relu": torch.nn.ReLU,
    "sigmoid": torch.nn.Sigmoid,
    "tanh": torch.nn.Tanh,
    "elu": torch.nn.ELU,
    "gelu": torch.nn.GELU,
}
LOSSES = {"mse": torch.nn.MSELoss, "bce": torch.nn.BCEWithLogitsLoss, "ce": torch.nn.CrossEntropyLoss}


def batches(case: Case, x: Float32, y: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return the batches of an epoch."""
    rows = torch.from_numpy(x)
    targets = torch.from_numpy(np.ascontiguousarray(y if case.loss == "ce" else y.reshape(len(y), -1)))
    return list(zip(rows.split(case.batch), targets.split(case.batch), strict=True))


class TorchSide:
    """Modules, autograd and the fused Adam."""

    def __init__(self, case: Case, x: Float32, y: Any, weights: Sequence[Float32]) -> None:
        modules: list[torch.nn.Module] = []
        for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
            linear = torch.nn.Linear(*kernel.shape)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(kernel.T))
                linear.bias.copy_(torch.from_numpy(bias))
            modules += [linear, ACTIVATIONS[case.activation]()]
        self.network = torch.nn.Sequential(*modules[:-1])
        self.loss = LOSSES[case.loss]()
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), lr=LEARNING_RATE, betas=(BETA_1, BETA_2), eps=EPSILON, fused=True
        )
        self.batches = batches(case, x, y)
        self.rows = case.rows
        self.iterations = 0

    def train(self, epochs: int) -> list[float]:
        """Train on all rows in their order, and return the mean loss of each epoch."""
        return [self._epoch() for _ in range(epochs)]

    def _epoch(self) -> float:
        network, loss, optimizer = self.network, self.loss, self.optimizer
        settings = optimizer.param_groups[0]
        total = torch.zeros(())
        for rows, targets in self.batches:
            # PyTorch adds epsilon to the square root of the bias-corrected variance, Keras to that of the
            # variance itself. With this one the two are the same.
            self.iterations += 1
            settings["eps"] = EPSILON / sqrt(1 - BETA_2**self.iterations)
            optimizer.zero_grad(set_to_none=True)
            mean = loss(network(rows), targets)
            mean.backward()
            optimizer.step()
            total.add_(mean.detach(), alpha=len(rows))
        return float(total) / self.rows


make = TorchSide
