"""Layers that add noise in training, and do nothing otherwise.

Noise is a function of a seed, the step, the layer and the place in the batch: the same for any number of threads.
"""

from typing import TYPE_CHECKING

from ..errors import finite_number
from ..kernels.noise import DROPOUT, GAUSSIAN
from ..seeds import check_seed
from .base import Layer

if TYPE_CHECKING:
    from ..engine.chain import Chain


class Dropout(Layer):
    """Set inputs to 0 at random and scale the others by ``1 / (1 - rate)`` (Srivastava et al., JMLR 15, 2014).

    Parameters
    ----------
    rate : float
        The share that is dropped, from 0 to below 1, in steps of 2^-16.
    seed : int, optional
        By default it follows from the model's.
    name : str, optional
        A name, unique in the model.
    """

    def __init__(self, rate: float, seed: int | None = None, name: str | None = None) -> None:
        self.rate = finite_number("rate", rate, at_least=0, at_most=1)
        if self.rate == 1:
            raise ValueError("rate must be below 1, got 1: nothing would be left")
        self.seed = None if seed is None else check_seed(seed)
        super().__init__(name)

    def __repr__(self) -> str:
        return f"Dropout({self.rate}, name={self.name!r})"

    def lay(self, chain: "Chain") -> None:
        """Add the mask to the stage before, or a stage."""
        if self.rate:
            chain.noise(DROPOUT, self.rate, self.seed)


class GaussianNoise(Layer):
    """Add normal noise of mean 0.

    Parameters
    ----------
    stddev : float
        Its standard deviation.
    seed : int, optional
        By default it follows from the model's.
    name : str, optional
        A name, unique in the model.
    """

    def __init__(self, stddev: float, seed: int | None = None, name: str | None = None) -> None:
        self.stddev = finite_number("stddev", stddev, at_least=0)
        self.seed = None if seed is None else check_seed(seed)
        super().__init__(name)

    def __repr__(self) -> str:
        return f"GaussianNoise({self.stddev}, name={self.name!r})"

    def lay(self, chain: "Chain") -> None:
        """Add the noise to the stage before, or a stage."""
        if self.stddev:
            chain.noise(GAUSSIAN, self.stddev, self.seed)
