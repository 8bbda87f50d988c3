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

from fastmlp import __version__, activations, losses
from fastmlp.kernels import vmath
from fastmlp.kernels.jit import SIMD_WIDTH, kernel
from fastmlp.kernels.softmax import softmax_forward
from fastmlp.losses.table import loss_value_and_grad

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import naive
from scipy import special

FUNCTIONS = {
    "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "tanh": np.tanh, "sigmoid": special.expit,
    "softplus": lambda x: np.logaddexp(0.0, x), "erf": special.erf,
}  # fmt: skip
# beyond, the squares in the float64 formulas are not what is asked
LARGEST = 1e30


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
            for size in (1e-30, 1e-3, 0.1, 1.0, 10.0, 80.0):
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


def measure() -> list[Worst]:
    """Return the errors of all of them."""
    x = numbers()
    return [*elementary(x), *of_activations(x), *of_losses()]


def page(found: list[Worst]) -> str:
    """Return the page with the table."""
    lines = [
        "# How exact the kernels are",
        "",
        "Worst errors against the same formulas in float64, over inputs that are meant to be hard: subnormal numbers,",
        "1e-45 to 1e30 of both signs, neighbours of the places where functions bend, and logits up to some 200. An",
        "*ulp* is the distance between two float32 numbers at the exact result. Where a result is a small difference",
        "of two numbers, such as the slope `1 - a * a` of tanh, few or none of its digits are left. What counts there",
        "is the error beside numbers of size 1, in the second column. NaN and infinities were where they belong in all",
        "of them. Gradients of losses are compared beside the largest one of a row.",
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
