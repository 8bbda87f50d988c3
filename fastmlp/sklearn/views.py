"""An estimator's ``coefs_`` and ``intercepts_``: arrays that may be written to, though kernels lie in panels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..layers import Dense

Float32 = NDArray[np.float32]


class Views:
    """Weights of dense layers, as lists of arrays for the user; what is written to them becomes the layers' weights.

    Kernels of a plan lie in panels, of which there is no view with two dimensions. The arrays are copies, compared with
    what they were before every use of the network: nothing for those who never ask for them.

    Parameters
    ----------
    layers : list of Dense
        All of them have a bias.
    """

    def __init__(self, layers: Sequence[Dense]) -> None:
        self._layers = layers
        self.coefs: list[Any] = []
        self.intercepts: list[Any] = []
        self._seen: list[list[Float32]] = [layer.get_weights() for layer in layers]
        for kernel, bias in self._seen:
            self.coefs.append(kernel.copy())
            self.intercepts.append(bias.copy())

    def push(self) -> None:
        """Give the layers what has been written to the lists or their arrays.

        Raises
        ------
        ValueError
            For another number of arrays, another shape, or what is not finite.
        """
        if not len(self.coefs) == len(self.intercepts) == len(self._layers):
            raise ValueError(f"coefs_ and intercepts_ must have {len(self._layers)} arrays each")
        for number, layer in enumerate(self._layers):
            given = [self.coefs[number], self.intercepts[number]]
            if not all(map(np.array_equal, given, self._seen[number])):
                layer.set_weights(given)
                self._seen[number] = layer.get_weights()

    def pull(self) -> None:
        """Write the layers' present weights into the arrays."""
        for number, layer in enumerate(self._layers):
            self._seen[number] = layer.get_weights()
            for arrays, weight in zip((self.coefs, self.intercepts), self._seen[number], strict=True):
                np.copyto(arrays[number], weight)
