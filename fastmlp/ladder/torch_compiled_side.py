"""PyTorch's side of a comparison with the whole step in one compiled graph: forward, gradients and Adam.

``torch.compile`` leaves the calls of autograd and of the optimizer between its graphs, and those are most of the
time of a small network; ``torch.func`` puts the gradients into the same graph. It needs a C++ compiler.
"""

import os
import shutil
from collections.abc import Sequence
from math import sqrt
from typing import Any

import torch
from torch.nn import functional

from .cases import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Case, Float32
from .sides import UnsupportedCaseError
from .torch_side import batches

COMPILERS = ("g++", "clang++", "c++", "cl")
Tensors = list[torch.Tensor]

ACTIVATIONS: dict[str, Any] = {
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "elu": functional.elu,
    "gelu": functional.gelu,
}
LOSSES: dict[str, Any] = {
    "mse": functional.mse_loss,
    "bce": functional.binary_cross_entropy_with_logits,
    "ce": functional.cross_entropy,
}


class TorchCompiledSide:
    """A function of a step under ``torch.compile``."""

    def __init__(self, case: Case, x: Float32, y: Any, weights: Sequence[Float32]) -> None:
        if not any(map(shutil.which, [os.environ.get("CXX", ""), *COMPILERS])):
            raise UnsupportedCaseError("torch.compile finds no C++ compiler")
        self.weights = [torch.from_numpy(w.T.copy() if w.ndim == 2 else w.copy()) for w in weights]
        self.means = [torch.zeros_like(w) for w in self.weights]
        self.squares = [torch.zeros_like(w) for w in self.weights]
        self.batches = batches(case, x, y)
        self.rows = case.rows
        self.iterations = 0
        activation, loss, layers = ACTIVATIONS[case.activation], LOSSES[case.loss], len(case.sizes) - 1

        def objective(weights: Tensors, rows: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            a = rows
            for layer in range(layers):
                a = functional.linear(a, weights[2 * layer], weights[2 * layer + 1])
                if layer < layers - 1:
                    a = activation(a)
            return loss(a, targets)

        def step(
            weights: Tensors,
            means: Tensors,
            squares: Tensors,
            rows: torch.Tensor,
            targets: torch.Tensor,
            alpha: torch.Tensor,
            total: torch.Tensor,
        ) -> None:
            gradients, mean = torch.func.grad_and_value(objective)(weights, rows, targets)
            for w, g, m, v in zip(weights, gradients, means, squares, strict=True):
                m.mul_(BETA_1).add_(g, alpha=1 - BETA_1)
                v.mul_(BETA_2).addcmul_(g, g, value=1 - BETA_2)
                w.sub_(alpha * m / (v.sqrt() + EPSILON))
            total.add_(mean, alpha=len(rows))

        self.step = torch.compile(step, fullgraph=True, dynamic=False)

    def train(self, epochs: int) -> list[float]:
        """Train on all rows in their order, and return the mean loss of each epoch."""
        return [self._epoch() for _ in range(epochs)]

    def _epoch(self) -> float:
        total = torch.zeros(())
        for rows, targets in self.batches:
            self.iterations += 1
            t = self.iterations
            # a tensor, since each new number would be compiled anew
            alpha = torch.tensor(LEARNING_RATE * sqrt(1 - BETA_2**t) / (1 - BETA_1**t))
            self.step(self.weights, self.means, self.squares, rows, targets, alpha, total)
        return float(total) / self.rows


make = TorchCompiledSide
