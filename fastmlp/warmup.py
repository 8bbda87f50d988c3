"""``python -m fastmlp warmup``: compile every kernel that a program may need, ahead of it.

For a container build, say: the cache folder then comes with the image, and the first ``fit`` loads its kernels.
"""

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from . import activations, losses, metrics
from .engine.ranks import warm_up_told
from .kernels import cache, jit
from .layers import Dense, Dropout, Input
from .model import Sequential

if TYPE_CHECKING:
    from rich.console import Console


def steps() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield what to run, with what it compiles; each needs the ones before."""
    x, y = np.zeros((2, 1), np.float32), np.zeros((2, 1), np.float32)
    model = Sequential([Input(shape=(1,)), Dense(1, kernel_regularizer="l2")], seed=0)
    model.compile("sgd", "mse")
    yield "training and evaluation", lambda: model.fit(x, y, verbose=0, validation_data=(x, y))
    other = Sequential([Input(shape=(1,)), Dropout(0.5), Dense(1, "elu")], seed=0)
    other.compile("nadam", "mae", metrics=["r2"])
    yield "what few models need", lambda: other.fit(x, y, verbose=0)
    yield "steps of a stream", lambda: model.train_on_batch(x, y)
    yield "sums of several processes", warm_up_told
    yield "prediction", lambda: model.predict(x)
    yield "outputs of layers", lambda: model.forward(x)
    yield "activations of arrays", lambda: [activations.ReLU()(x), activations.Softmax()(x)]
    yield "losses of arrays", lambda: losses.MeanSquaredError()(y, y)
    yield "metrics of arrays", lambda: metrics.MeanSquaredError()(y, y)


def run(console: "Console") -> int:
    """Compile or load everything, with progress; 0 if the kernels are now kept for other processes, else 1."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    if jit.JIT_DISABLED:
        text = "NUMBA_DISABLE_JIT is set: kernels run as plain Python, so there is nothing to compile."
        console.print(text, soft_wrap=True)
        return 1
    folder = cache.cache_folder()
    begun = perf_counter()
    work = list(steps())
    columns = TextColumn("Compiling {task.description:24}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(work))
        for name, function in work:
            progress.update(task, description=name)
            if not console.is_terminal:
                console.print(f"Compiling {name}", highlight=False)
            function()
            progress.advance(task)
    seconds = perf_counter() - begun
    if folder is None:
        text = f"Compiled in {seconds:.1f} s, but no cache folder can be used: see python -m fastmlp info."
        console.print(text, highlight=False, soft_wrap=True)
        return 1
    console.print(f"Kernels are ready ({seconds:.1f} s) and kept in {folder}.", highlight=False, soft_wrap=True)
    return 0
