"""The activation functions and their derivatives, side by side."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..activations import TABLE, Activation
from .canvas import COLOURS, several_axes

Z = np.linspace(-4, 4, 401)
# values beyond are cut, or an exponential would make all others flat
LIMITS = (-1.6, 3.2)
# half a step of the difference quotient: its error and that of float32 are both below 1e-4
HALF_STEP = 2.0**-8
# what the other units have where a function runs over a whole row
OTHERS = (0.0, 1.0)


def _rows(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Units (n, 3) of which the first has the values z."""
    return np.column_stack([z, *(np.full(z.size, other) for other in OTHERS)])


def _derivative(function: Any, z: NDArray[np.float64]) -> NDArray[np.float64]:
    """The central difference quotient of a function of an array, in float64 from float32 values."""
    # in float32 both ends are exact, so the quotient is one of the function and not of the rounding
    high, low = (z + HALF_STEP).astype(np.float32), (z - HALF_STEP).astype(np.float32)
    rise: NDArray[np.float64] = function(high).astype(np.float64) - function(low).astype(np.float64)
    return rise / (high.astype(np.float64) - low.astype(np.float64))


def activations(*, ax: Any = None) -> "np.ndarray[Any, np.dtype[np.object_]]":
    """Draw every activation of ``fastmlp.activations.TABLE`` and its derivative.

    A function of a whole row, such as softmax, is drawn for three units: the first has z, the others 0 and 1; the
    derivative is that of the first output by its own z.

    Parameters
    ----------
    ax : sequence of matplotlib.axes.Axes, optional
        One for each function; a new figure by default.

    Returns
    -------
    ndarray of matplotlib.axes.Axes
        In the order of ``TABLE``.
    """
    count = len(TABLE)
    columns = 5 if count % 5 == 0 else 4
    axes = several_axes(ax, count, columns, (2.1 * columns, 0.9 + 1.8 * -(-count // columns)))
    for one, (name, kind) in zip(axes, TABLE.items(), strict=True):
        _draw(one, name, kind())
    handles, labels = axes[0].get_legend_handles_labels()
    if ax is None:
        axes[0].figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)
    else:
        axes[0].legend(handles, labels, fontsize="small")
    return np.array(axes, object)


def _draw(ax: Any, name: str, function: Activation) -> None:
    """Draw one function on its axes."""
    values = function(_rows(Z))
    # a function of single numbers does not care what the other units have
    by_row = not np.allclose(values[:, 0], function(Z[:, None])[:, 0])
    slope = _derivative(lambda z: function(_rows(z.astype(np.float64)))[:, 0], Z)
    ax.axhline(0, color="grey", linewidth=0.6, zorder=0)
    ax.axvline(0, color="grey", linewidth=0.6, zorder=0)
    ax.plot(Z, values[:, 0], color=COLOURS[0], linewidth=2, label="function")
    ax.plot(Z, slope, "--", color=COLOURS[1], linewidth=1.5, label="derivative")
    if by_row:
        for other, constant in enumerate(OTHERS, start=1):
            ax.plot(Z, values[:, other], color="grey", linewidth=1)
            ax.annotate(f"of {constant:g}", (Z[0], values[0, other]), (3, 2), textcoords="offset points", fontsize=7)
        ax.set_title(f"{name} of (z, {', '.join(f'{other:g}' for other in OTHERS)})", fontsize=10)
        ax.set_ylim(-0.25, 1.1)
        ax.set_yticks([0, 0.5, 1])
    else:
        ax.set_title(name, fontsize=10)
        ax.set_ylim(LIMITS)
    ax.set_xlim(Z[0], Z[-1])
    ax.tick_params(labelsize=8)
