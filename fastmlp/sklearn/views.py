"""An estimator's ``coefs_`` and ``intercepts_``: arrays that may be written to, though kernels lie in panels."""

from collections.abc import Sequence
from typing import Any, Self

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
        self.layers = layers
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
        if not len(self.coefs) == len(self.intercepts) == len(self.layers):
            raise ValueError(f"coefs_ and intercepts_ must have {len(self.layers)} arrays each")
        for number, layer in enumerate(self.layers):
            given = [self.coefs[number], self.intercepts[number]]
            if not all(map(np.array_equal, given, self._seen[number])):
                layer.set_weights(given)
                self._seen[number] = layer.get_weights()
                for arrays, weight in zip((self.coefs, self.intercepts), self._seen[number], strict=True):
                    if not _takes_floats(arrays[number]):
                        arrays[number] = weight.copy()

    def replace(self, name: str, arrays: Any) -> None:
        """Have other arrays in ``coefs`` or ``intercepts``, or raise as :meth:`push` and change nothing."""
        mine: list[Any] = getattr(self, name)
        before = mine[:]
        try:
            mine[:] = [np.array(array, np.float32) for array in arrays]
            self.push()
        except BaseException:
            mine[:] = before
            raise

    def refreshed(self) -> Self:
        """Return these lists, after :meth:`push` and :meth:`pull`."""
        self.push()
        self.pull()
        return self

    def pull(self) -> None:
        """Write the layers' present weights into the arrays."""
        for number, layer in enumerate(self.layers):
            self._seen[number] = layer.get_weights()
            for arrays, weight in zip((self.coefs, self.intercepts), self._seen[number], strict=True):
                np.copyto(arrays[number], weight)


def _takes_floats(array: object) -> bool:
    return isinstance(array, np.ndarray) and array.dtype.kind == "f" and array.flags.writeable
