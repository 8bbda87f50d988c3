"""Data that come block by block, each a batch: what is such data, and the blocks of an epoch."""

import reprlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import Any, NoReturn

import numpy as np

from .engine.feed import Feed
from .rows import is_sparse

# what NumPy reads as an array though it could be gone through
ARRAYS = (Sequence, Mapping, Set, bytearray, memoryview, np.ndarray, np.generic)
END = object()


def are_blocks(x: object) -> bool:
    """Say whether data are gone through block by block: iterators, and iterables that are no arrays nor sequences.

    A sequence is an array, unless it holds tuples that begin with an array of rows.
    """
    if isinstance(x, (list, tuple)) and x and isinstance(x[0], tuple) and x[0]:
        return getattr(x[0][0], "ndim", 0) >= 2
    if isinstance(x, ARRAYS) or hasattr(x, "__array__") or hasattr(x, "__array_interface__") or is_sparse(x):
        return False
    try:
        # such as array.array
        memoryview(x)  # type: ignore[arg-type]
    except TypeError:
        return isinstance(x, Iterable) or hasattr(x, "__getitem__")
    return False


def refuse(method: str, **arguments: object) -> None:
    """Raise ValueError for an argument that goes with arrays alone and was given with blocks."""
    reasons = {
        "y": "the targets are the second of each block",
        "sample_weight": "the weights are the third of each block",
        "batch_size": "each block is a batch",
        "validation_batch_size": "each block is a batch",
        "validation_split": "give validation_data",
        "rows": "blocks are of rows already",
        "validation_rows": "give validation_data",
    }
    for name, value in arguments.items():
        unset = value is None or (name == "validation_split" and not value)
        if not unset:
            raise ValueError(f"{name} must not be given to {method} with data that come in blocks: {reasons[name]}")


def missing_targets(x: object) -> NoReturn:
    """Raise TypeError for data that are no blocks, where no targets were given."""
    if callable(x) and not hasattr(x, "__array__"):
        raise TypeError(f"x must be an array, or an iterable of blocks, got the function {x!r}; call it to get one")
    raise TypeError(
        "y must be given with an array x, got None; without it, x must be an iterable of blocks (x, y) or "
        f"(x, y, sample_weight) of arrays, got {reprlib.repr(x)} of type {type(x).__name__}"
    )


class Blocks:
    """The blocks of an iterable, epoch by epoch.

    What can be gone through again begins anew in each epoch, unless there is a number of steps: then an epoch goes on
    where the one before has stopped, as in Keras.

    Parameters
    ----------
    name : str
        Of the argument, for messages.
    source : iterable, or object with ``__len__`` and ``__getitem__``
        The latter as ``keras.utils.PyDataset``: an item is a block, and ``on_epoch_begin`` and ``on_epoch_end`` are
        called where they exist.
    steps : int, optional
        Blocks of an epoch; by default all.
    check : callable
        Makes a feed of a block, or raises ValueError or TypeError.
    resume : bool
        Whether an epoch of so many steps goes on where the last one has stopped.
    """

    def __init__(
        self, name: str, source: Any, steps: int | None, check: Callable[[Any], Feed], *, resume: bool = True
    ) -> None:
        self.name, self.source, self.steps, self.check, self.resume = name, source, steps, check, resume
        self._indexed = hasattr(source, "__len__") and hasattr(source, "__getitem__")
        # what is its own iterator can be gone through once
        self._once = not self._indexed and iter(source) is source
        self._iterator: Iterator[Any] | None = None
        self._first: Any = END

    @property
    def length(self) -> int | None:
        """How many blocks an epoch has, if that is known."""
        whole = len(self.source) if hasattr(self.source, "__len__") else None
        return whole if self.steps is None else self.steps

    def begin(self) -> bool:
        """Begin an epoch by fetching its first block; say whether there is one."""
        self._tell("on_epoch_begin")
        if self._iterator is None or not (self.steps and self.resume):
            self._iterator = self._anew()
            self._first = next(self._iterator, END)
        else:
            self._first = next(self._iterator, END)
            if self._first is END and not self._once:
                # the last epoch ended with the last block
                self._iterator = self._anew()
                self._first = next(self._iterator, END)
        return self._first is not END

    def must_begin(self) -> None:
        """Begin the first epoch, and check its first block, which may build the model.

        Raises
        ------
        ValueError, TypeError
            When there is no block, or the first one does not fit.
        """
        if not self.begin():
            raise ValueError(f"{self.name} must have at least one block, and has none")
        self._checked(0, self._first)

    def feeds(self) -> Iterator[Feed]:
        """The epoch's blocks, checked."""
        block, self._first = self._first, END
        number = 0
        while block is not END:
            yield self._checked(number, block)
            number += 1
            if number == self.steps:
                return
            assert self._iterator is not None
            block = next(self._iterator, END)
        if not self._once:
            self._iterator = None
        if self.steps is not None:
            self.warn()

    def end(self) -> None:
        """End an epoch."""
        self._tell("on_epoch_end")

    def warn(self) -> None:
        """Warn that there are too few blocks, in Keras' words."""
        argument = "steps_per_epoch * epochs" if self.resume else "validation_steps" if self.name != "x" else "steps"
        warnings.warn(
            f"Your input ran out of data; interrupting training. Make sure that your dataset or generator can generate "
            f"at least `{argument}` batches ({self.name} has no more; a generator can be read once).",
            stacklevel=2,
        )

    def _anew(self) -> Iterator[Any]:
        if self._indexed:
            return (self.source[index] for index in range(len(self.source)))
        return iter(self.source)

    def _checked(self, number: int, block: Any) -> Feed:
        try:
            return self.check(block)
        except (ValueError, TypeError) as error:
            raise type(error)(f"block {number} of {self.name}: {error}") from None

    def _tell(self, hook: str) -> None:
        called = getattr(self.source, hook, None)
        if callable(called):
            called()


def unpacked(block: Any, *, targets: bool) -> tuple[Any, Any, Any]:
    """Return x, y and sample weights of a block; the latter two are None where they are not in it.

    Raises
    ------
    ValueError
        For anything but a tuple or a list of up to three; without ``targets`` x alone will do.
    """
    # a list that is no array, such as the [x, y] of PyTorch's loaders
    arrays = isinstance(block, list) and bool(block) and (targets or getattr(block[0], "ndim", 0) >= 2)
    parts = isinstance(block, tuple) or arrays
    if parts and (2 if targets else 1) <= len(block) <= 3:
        x, y, weights = (*block, None, None)[:3]
        return x, y, weights
    if not parts and not targets:
        return block, None, None
    got = f"{len(block)} elements" if isinstance(block, (tuple, list)) else reprlib.repr(block)
    raise ValueError(f"it must be {'' if targets else 'x, '}(x, y) or (x, y, sample_weight), got {got}")
