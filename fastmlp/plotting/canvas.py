"""What all pictures share: Matplotlib when it is needed, axes to draw on, and colours."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

# Colours that stay apart for people who do not see all of them (Okabe & Ito, 2008), strongest contrasts first; with
# marks that stay apart in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#F0E442")
MARKS = "osD^vPX*"
# red-blue is safe for the usual kinds of colour blindness, and white is 0
DIVERGING, SEQUENTIAL, SHADES = "RdBu_r", "viridis", "Blues"
# points of a curve that has so few that a line alone would hide where they are
FEW_POINTS = 12


def pyplot() -> Any:
    """Import Matplotlib.

    Raises
    ------
    ImportError
        Where it is not installed, saying how to get it.
    """
    try:
        import matplotlib.pyplot
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise ImportError('drawing needs Matplotlib: pip install "fastmlp[plot]"') from error
    return matplotlib.pyplot


def one_axes(ax: Any, size: tuple[float, float] | None = None) -> "Axes":
    """Return ``ax``, or the axes of a new figure of such a size in inches (by default the user's own).

    Raises
    ------
    TypeError
        For anything that is not Matplotlib's axes.
    """
    return several_axes(ax, 1, 1, size)[0]


def several_axes(ax: Any, count: int, columns: int, size: tuple[float, float] | None = None) -> "list[Axes]":
    """Return ``count`` axes: those of ``ax``, or in a new figure row by row.

    Raises
    ------
    TypeError
        For anything that is not Matplotlib's axes.
    ValueError
        When it is another number of them.
    """
    plt = pyplot()
    if ax is None:
        rows = -(-count // columns)
        _, grid = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
        axes = list(grid.flat)
        for unused in axes[count:]:
            unused.remove()
        return axes[:count]
    from matplotlib.axes import Axes

    given = list(np.ravel(np.array(ax, object))) if isinstance(ax, (Iterable, np.ndarray)) else [ax]
    for one in given:
        if not isinstance(one, Axes):
            raise TypeError(f"ax must be Matplotlib axes, such as plt.subplots()[1], got {one!r}")
    if len(given) != count:
        needed = "axes of one picture" if count == 1 else f"{count} axes, such as plt.subplots(1, {count})[1]"
        raise ValueError(f"ax must be {needed}, got {len(given)}")
    return given


def whole_numbers(axis: "Axis") -> None:
    """Let an axis have ticks at whole numbers alone."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))


def marker(points: int) -> str:
    """Return the marker of a curve of so many points."""
    return "o" if points <= FEW_POINTS else ""


def palette(count: int) -> list[Any]:
    """Return colours for so many classes."""
    if count <= len(COLOURS):
        return list(COLOURS[:count])
    return list(pyplot().get_cmap("turbo")(np.linspace(0.05, 0.95, count))[:, :3])
