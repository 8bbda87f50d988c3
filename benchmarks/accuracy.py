"""Worst errors of the kernels against float64: ``python -m benchmarks.accuracy [--page docs/accuracy.md]``.

Needs a checkout: formulas in float64 are those of ``tests/naive.py``.
"""

import argparse
import datetime
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp import Input, LayerNormalization, Sequential, __version__, activations, losses
from fastmlp import optimizers as optimizers_table
from fastmlp.kernels import gemm, vmath
from fastmlp.kernels.jit import SIMD_WIDTH, kernel
from fastmlp.kernels.softmax import softmax_forward
from fastmlp.losses.table import loss_value_and_grad
from fastmlp.optimizers.base import FACTORS
from fastmlp.optimizers.table import optimizer_step, step_factors

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import naive
from scipy import special

FUNCTIONS = {
    "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "tanh": np.tanh, "sigmoid": special.expit,
    "softplus": lambda x: np.logaddexp(0.0, x), "erf": special.erf,
}  # fmt: skip
# beyond, the squares in the float64 formulas are not what is asked
LARGEST = 1e30
# gradients, of which optimizers keep squares
LARGEST_GRADIENT = 1e15
# optimizers with their defaults, and what takes another way through their steps
OPTIMIZERS = [
    *((kind, {}) for kind in dict.fromkeys(optimizers_table.TABLE.values()) if kind is not optimizers_table.LBFGS),
    (optimizers_table.SGD, {"momentum": 0.9, "nesterov": True}), (optimizers_table.Adam, {"amsgrad": True}),
    (optimizers_table.RMSprop, {"centered": True, "momentum": 0.9}),
]  # fmt: skip


class Worst(NamedTuple):
    """The worst errors of one kernel.

    Attributes
    ----------
    ulp : float
        In units in the last place of the exact result.
    scaled : float
        In units in the last place of the exact result or of 1, whichever is larger: what counts where terms cancel.
    """

    name: str
    ulp: float
    scaled: float
    numbers: int


def numbers(count: int = 20_011) -> NDArray[np.float32]:
    """Return subnormals, both ends of the range, what is near 0, 1 and where functions bend, and all sizes between."""
    powers = np.logspace(-45, np.log10(LARGEST), count)
    near = np.concatenate([edge + np.linspace(-1e-5, 1e-5, 101) for edge in (0, 0.5, 1, 3, 10, 17, 88.7, 104)])
    sides = np.concatenate([powers, near, np.linspace(0, 20, count)])
    return np.concatenate([sides, -sides]).astype(np.float32)


def compare(name: str, got: NDArray[np.float32], exact: NDArray[np.float64]) -> Worst:
    """Return the worst errors; NaN and infinity must be where they are in float32 of the exact result."""
    with np.errstate(over="ignore"):
        rounded = exact.astype(np.float32)
    if not (np.isnan(got) == np.isnan(rounded)).all():
        raise AssertionError(f"{name}: NaN is not where it should be")
    finite = np.isfinite(rounded) & np.isfinite(got)
    if not (got[~finite & ~np.isnan(got)] == rounded[~finite & ~np.isnan(got)]).all():
        raise AssertionError(f"{name}: infinity is not where it should be")
    error = np.abs(got[finite].astype(np.float64) - exact[finite])
    size = np.abs(exact[finite])
    last_place = [np.ldexp(1.0, np.maximum(np.frexp(least)[1], -125) - 24) for least in (size, np.maximum(size, 1.0))]
    ulp, scaled = (float(np.max(error / unit, initial=0.0)) for unit in last_place)
    return Worst(name, ulp, scaled, got.size)


def elementary(x: NDArray[np.float32]) -> Iterator[Worst]:
    """Yield the errors of the functions that the others are made of."""
    for name, formula in FUNCTIONS.items():
        out = np.empty_like(x)
        _over(getattr(vmath, name))(x, out)
        with np.errstate(all="ignore"):
            yield compare(name, out, formula(x.astype(np.float64)))


def _over(function: Callable[..., Any]) -> Any:
    def loop(values: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        for i in range(values.size):
            out[i] = function(values[i])

    return kernel(loop)


def of_activations(x: NDArray[np.float32]) -> Iterator[Worst]:
    """Yield the errors of every activation and of its slope."""
    for kind in dict.fromkeys(activations.TABLE.values()):
        function = kind()
        if function.compiled_kind == activations.SOFTMAX:
            z = x[: x.size // 11 * 11].reshape(-1, 11).copy()
            exact = naive.softmax(z.astype(np.float64))
            softmax_forward(z.reshape(-1), 0, 11, len(z), 11, 11)
            yield compare("softmax", z.reshape(-1), exact.reshape(-1))
            continue
        values, slopes = x.copy(), np.empty_like(x)
        activations.elementwise(
            function.compiled_kind, np.float32(function.parameter), values, 0, slopes, 0, x.size, True
        )
        with np.errstate(all="ignore"):
            z = x.astype(np.float64)
            yield compare(function.name, values, naive.ACTIVATIONS[function.name](z, **vars(function)))
            slope = naive.ACTIVATION_BACKWARD[function.name](z, np.ones(z.size), **vars(function))
            # on which side of its kinks a hard sigmoid is, rounding decides
            sure = (abs(abs(z) - 3) > 1e-6) | (function.compiled_kind != activations.HARD_SIGMOID)
            yield compare(f"slope of {function.name}", slopes[sure], slope[sure])


def of_losses() -> Iterator[Worst]:
    """Yield the errors of every loss of a row of three outputs, and of its gradient beside the largest part."""
    rng = np.random.default_rng(0)
    for kind in dict.fromkeys(losses.TABLE.values()):
        for logits in (False, True) if hasattr(kind, "from_logits") else (False,):
            loss = kind(from_logits=True) if logits else kind()
            values, wanted, slopes, wanted_slopes = [], [], [], []
            for size in (1e-40, 1e-30, 1e-3, 0.1, 1.0, 10.0, 80.0, 1e4, 1e15, 1e30):
                for _ in range(40):
                    out = (rng.standard_normal((1, 3)) * size).astype(np.float32)
                    if (not logits and loss.target_range[0] == 0) or (not logits and "categorical" in loss.name):
                        out = np.clip(np.abs(out), 1e-6, None) / np.float32(1 + np.abs(out).sum())
                    y = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 1)]
                    gradient = np.empty(3, np.float32)
                    label = y.argmax(1).astype(np.float32) if loss.sparse else y
                    values.append(
                        loss_value_and_grad(
                            loss.compiled_kind(logits),
                            loss.compiled_parameters(),
                            out.reshape(-1),
                            label.reshape(-1),
                            np.empty(0, np.float32),
                            1,
                            3,
                            1,
                            np.empty(15, np.float32),
                            gradient,
                        )
                    )
                    _, value, slope = naive.loss_value_and_gradient(loss.name, label, out, **naive.settings(loss))
                    scale = max(1.0, np.abs(slope).max())
                    wanted.append(value)
                    slopes += list(gradient / np.float32(scale))
                    wanted_slopes += list(slope.reshape(-1) / np.float32(scale))
            name = f"{loss.name} from logits" if logits else loss.name
            yield compare(name, np.array(values, np.float32), np.array(wanted))
            yield compare(f"gradient of {name}", np.array(slopes, np.float32), np.array(wanted_slopes))


def of_optimizers(x: NDArray[np.float32]) -> Iterator[Worst]:
    """Yield the errors of what two steps make of parameters that are 0, with a learning rate of 1."""
    # whole vectors
    x = x[: x.size // SIMD_WIDTH * SIMD_WIDTH]
    gradients = [np.clip(factor * x, -LARGEST_GRADIENT, LARGEST_GRADIENT).astype(np.float32) for factor in (1, 0.5)]
    for kind, settings in OPTIMIZERS:
        optimizer = kind(learning_rate=1.0, **settings)
        twin = getattr(naive, kind.__name__)(**{**settings, "learning_rate": 1.0})
        factors, w = np.zeros(FACTORS, np.float32), np.zeros(x.size, np.float32)
        starts = list(optimizer.slots.values())
        # a step looks at three slots, whether it has them or not
        slots = np.repeat(np.float32([*starts, 0, 0, 0][: max(3, len(starts))]), x.size)
        exact = [np.zeros(x.size)]
        with np.errstate(under="ignore"):
            for step, g in enumerate(gradients, start=1):
                step_factors(optimizer.kind, optimizer.settings(), step, factors)
                optimizer_step(optimizer.kind, factors, w, 0, g, 0, slots, x.size)
                twin.step(exact, [g.astype(np.float64)])
        options = ", ".join(f"{name}={value}" for name, value in settings.items())
        # Lion takes the sign of a tenth of a gradient, which may be 0 in float32
        sure = (np.abs(x) > 1e-36) | (x == 0) | (kind is not optimizers_table.Lion)
        yield compare(f"steps of {optimizer.name}{f' ({options})' if options else ''}", w[sure], exact[0][sure])


def _beside(name: str, got: NDArray[np.float32], exact: NDArray[np.float64], size: NDArray[np.float64]) -> Worst:
    """The worst errors, of which the second column is beside the size of what is added."""
    worst = compare(name, got.reshape(-1), exact.reshape(-1))
    return worst._replace(scaled=float(np.max(np.abs(got - exact) / np.spacing(size.astype(np.float32)), initial=0.0)))


def of_products() -> Iterator[Worst]:
    """Yield the errors of the three products of a dense layer: sizes from 1e-12 to 1e12, and rows that cancel."""
    rng = np.random.default_rng(0)
    batch, inputs, units = 37, 103, 29

    def spread(*shape: int) -> NDArray[np.float32]:
        found = rng.standard_normal(shape) * 10.0 ** rng.uniform(-12, 12, shape)
        # the second half takes away what the first one has added, but for a millionth
        found[:, shape[1] // 2 : shape[1] // 2 * 2] = -found[:, : shape[1] // 2] * (1 + 1e-6)
        return found.astype(np.float32)

    def rows_of(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        out = np.zeros((gemm.padded_rows(len(matrix)), gemm.leading_dimension(matrix.shape[1])), np.float32)
        out[: len(matrix), : matrix.shape[1]] = matrix
        return out

    def panel(matrix: NDArray[np.float32], rows: int) -> NDArray[np.float32]:
        out = np.zeros((rows, gemm.PANEL), np.float32)
        out[: len(matrix), : matrix.shape[1]] = matrix
        return out

    nothing = np.zeros(gemm.PANEL, np.float32)
    units = min(units, gemm.PANEL)
    # x w, and dz w^T, which is the same function with another operand
    for name, depth in (("x w", inputs), ("dz w^T", units)):
        x, w = spread(batch, depth), np.abs(spread(depth, units))
        left, out = rows_of(x), np.empty((gemm.padded_rows(batch), gemm.PANEL), np.float32)
        right = panel(w, gemm.padded_rows(depth))
        gemm.panel_product(
            nothing, 0, left.reshape(-1), 0, left.shape[1], right.reshape(-1), 0, True, depth,
            out.reshape(-1), 0, gemm.PANEL, len(out), False,
        )  # fmt: skip
        exact, size = x.astype(np.float64) @ w, np.abs(x).astype(np.float64) @ w
        yield _beside(f"product {name} of {depth} terms", out[:batch, :units], exact, size)
    x, dz = spread(inputs, batch).T.copy(), spread(units, batch).T.copy()
    rows = gemm.padded_rows(inputs)
    left, right, dw = rows_of(x), panel(dz, batch), np.empty((rows, gemm.PANEL), np.float32)
    gemm.panel_gradient(
        left.reshape(-1),
        0,
        left.shape[1],
        right.reshape(-1),
        0,
        gemm.PANEL,
        batch,
        dw.reshape(-1),
        0,
        True,
        rows,
        False,
    )
    exact, size = x.T.astype(np.float64) @ dz, np.abs(x.T).astype(np.float64) @ np.abs(dz)
    yield _beside(f"product x^T dz of {batch} terms", dw[:inputs, :units], exact, size)


def of_normalizations() -> Iterator[Worst]:
    """Yield the errors of standardised rows, whose mean is up to a thousand times what they vary."""
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((64, 31)) + 10.0 ** rng.uniform(-3, 3, (64, 1))).astype(np.float32)
    model = Sequential([Input((31,)), LayerNormalization(epsilon=1e-3)], seed=0)
    wide = x.astype(np.float64)
    deviations = np.sqrt(wide.var(axis=1, keepdims=True) + 1e-3)
    exact = (wide - wide.mean(axis=1, keepdims=True)) / deviations
    size = np.abs(wide).max(axis=1, keepdims=True) / deviations + 0 * wide
    yield _beside("layer normalization", model(x), exact, size)


def measure() -> list[Worst]:
    """Return the errors of all of them."""
    x = numbers()
    return [
        *elementary(x), *of_activations(x), *of_losses(), *of_products(), *of_normalizations(), *of_optimizers(x),
    ]  # fmt: skip


def page(found: list[Worst]) -> str:
    """Return the page with the table."""
    lines = [
        "# How exact the kernels are",
        "",
        "Worst errors against the same formulas in float64, over inputs that are meant to be hard: subnormal numbers,",
        "1e-45 to 1e30 of both signs, neighbours of the places where functions bend, outputs of 1e-40 to 1e30. An",
        "*ulp* is the distance between two float32 numbers at the exact result. Where a result is a small difference",
        "of two numbers, such as the slope `1 - a * a` of tanh, few or none of its digits are left. What counts there",
        "is the error beside numbers of size 1, in the second column. NaN and infinities were where they belong in all",
        "of them. Gradients of losses are compared beside the largest one of a row, products beside the sum of the",
        "terms' sizes (from 1e-24 to 1e24, half of which cancel), and normalization beside the largest number that it",
        "standardises. Optimizers make two steps from 0 with gradients of 1e-45 to 1e15 and a learning rate of 1.",
        "",
        f"Written by `python -m benchmarks.accuracy --page docs/accuracy.md` on {datetime.date.today()}: "
        f"fastmlp {__version__}, Python {platform.python_version()}, NumPy {np.__version__}, {platform.machine()} with "
        f"vectors of {SIMD_WIDTH}, 1 thread.",
        "",
        "| kernel | ulp | ulp of the result or of 1 | numbers |",
        "| --- | ---: | ---: | ---: |",
        *(f"| {one.name} | {one.ulp:.3g} | {one.scaled:.2f} | {one.numbers:,} |" for one in found),
        "",
    ]
    return "\n".join(line.rstrip() for line in lines)


def main(*arguments: str) -> None:
    """Print the table, or write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy")
    parser.add_argument("--page", type=Path, help="the file to write")
    given = parser.parse_args(arguments)
    text = page(measure())
    if given.page:
        given.page.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
