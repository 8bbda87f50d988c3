"""What a classifier does: its decisions over two features, and whom it takes for whom."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import check_count
from ..inputs import check_array, check_x
from .canvas import MARKS, SHADES, one_axes, palette, pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Float64 = NDArray[np.float64]
# how far the picture goes beyond the data, as a share of their range
MARGIN = 0.08
MANY_POINTS = 400
# of the colours behind the data
STRENGTH = 0.5
# classes whose counts are still legible at the usual size, and which names still fit below without being turned
LEGIBLE_CLASSES, UPRIGHT_CLASSES = 25, 12


def probabilities(model: Any, x: Any) -> Float64:
    """Return the classes' probabilities (n, C) from a model's sigmoid, softmax or logit outputs; C is 2 at least.

    Raises
    ------
    ValueError
        When the outputs are neither probabilities nor logits.
    """
    outputs = np.asarray(model.predict(x), np.float64)
    activation = model.layers[-1].activation.name
    if getattr(model.loss, "from_logits", False):
        # shifted, so that exp cannot overflow; a single logit is one against 0
        z = np.hstack([np.zeros_like(outputs), outputs]) if outputs.shape[1] == 1 else outputs
        shares = np.exp(z - z.max(axis=1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))
    if activation not in ("sigmoid", "hard_sigmoid", "softmax"):
        raise ValueError(
            f"the model must be a classifier whose last layer is sigmoid or softmax, or whose loss has "
            f"from_logits=True; the last layer is {activation}"
        )
    return np.hstack([1 - outputs, outputs]) if outputs.shape[1] == 1 else outputs


def class_numbers(y: Any, rows: int, classes: int) -> NDArray[np.int64]:
    """Return targets (n,), (n, 1) or one-hot (n, C) as class numbers (n,)."""
    array = check_array("y", y)
    if len(np.atleast_1d(array)) != rows:
        raise ValueError(f"y must have as many rows as X, {rows}, got the shape {array.shape}")
    if array.ndim == 2 and array.shape[1] > 1:
        array = array.argmax(axis=1)
    array = array.reshape(rows, -1)[:, 0]
    if not (array == np.floor(array)).all() or not ((array >= 0) & (array < classes)).all():
        raise ValueError(f"y must hold class numbers 0 to {classes - 1}, or rows with a 1 in one of {classes} columns")
    return array.astype(np.int64)


def decision_boundary(
    model: Any, X: Any, y: Any, *, labels: Sequence[Any] | None = None, resolution: int = 200, ax: "Axes | None" = None
) -> "Axes":
    """Draw what a classifier of two features decides where, and the data.

    The stronger the colour of a class, the more probable it is; black lines are where the decision changes.

    Parameters
    ----------
    model : Sequential
        With two inputs, and sigmoid, softmax or (under a loss with ``from_logits=True``) linear outputs.
    X : array_like (n, 2)
        Features, as the model takes them.
    y : array_like (n,), (n, 1) or (n, C)
        Class numbers, or one-hot rows.
    labels : sequence, optional
        Names of the classes.
    resolution : int
        Points along each side at which the model is asked.
    ax : matplotlib.axes.Axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        When there are not two features, y holds no classes of the model, or the model is no classifier.
    """
    resolution = check_count("resolution", resolution)
    points = np.asarray(check_x(X, None), np.float64)
    if points.shape[1] != 2 or len(points) == 0:
        raise ValueError(f"X must have two columns and at least one row to be drawn in a plane, got {points.shape}")
    low, high = points.min(axis=0), points.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    low, high = low - MARGIN * span, high + MARGIN * span
    across, up = (np.linspace(low[axis], high[axis], resolution) for axis in (0, 1))
    mesh = np.column_stack([side.ravel() for side in np.meshgrid(across, up)])
    likely = probabilities(model, mesh)
    classes = likely.shape[1]
    numbers = class_numbers(y, len(points), classes)
    names = [str(name) for name in (range(classes) if labels is None else labels)]
    if len(names) != classes:
        raise ValueError(f"labels must have a name for each of {classes} classes, got {len(names)}")
    ax = one_axes(ax)
    colours = palette(classes)
    extent = (low[0], high[0], low[1], high[1])
    likely = likely.reshape(resolution, resolution, classes)
    if classes == 2:
        from matplotlib.colors import LinearSegmentedColormap

        mixed = LinearSegmentedColormap.from_list("two classes", [colours[0], "white", colours[1]])
        image = ax.imshow(
            likely[..., 1], cmap=mixed, vmin=0, vmax=1, origin="lower", extent=extent, aspect="auto", alpha=STRENGTH,
            interpolation="bilinear",
        )  # fmt: skip
        ax.figure.colorbar(image, ax=ax, label=f"probability of {names[1]}")
        ax.contour(across, up, likely[..., 1], [0.5], colors="black", linewidths=1.2)
    else:
        ax.imshow(
            _mixture(likely, colours), origin="lower", extent=extent, aspect="auto", interpolation="bilinear"
        )  # fmt: skip
        for number in range(classes):
            lead = likely[..., number] - np.delete(likely, number, axis=2).max(axis=2)
            if lead.min() < 0 < lead.max():
                ax.contour(across, up, lead, [0.0], colors="black", linewidths=0.8)
    many = len(points) > MANY_POINTS
    for number in range(classes):
        own = points[numbers == number]
        ax.scatter(
            own[:, 0], own[:, 1], s=18 if many else 32, color=[colours[number]], marker=MARKS[number % len(MARKS)],
            edgecolors="black", linewidths=0.3 if many else 0.6, label=names[number],
        )  # fmt: skip
    ax.set(xlim=extent[:2], ylim=extent[2:], xlabel="feature 0", ylabel="feature 1")
    ax.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=min(classes, 5), frameon=False, borderaxespad=0.2,
        handletextpad=0.2, columnspacing=1.2, markerscale=1.6 if many else 1,
    )  # fmt: skip
    return ax


def _mixture(likely: Float64, colours: Sequence[Any]) -> Float64:
    """Return an image (rows, columns, 3): the colour of the likeliest class, paler where it is less sure."""
    from matplotlib.colors import to_rgb

    classes = likely.shape[2]
    best = likely.argmax(axis=2)
    sure = (np.take_along_axis(likely, best[..., None], axis=2) - 1 / classes) / (1 - 1 / classes)
    pure = np.array([to_rgb(colour) for colour in colours])[best]
    strength = STRENGTH * np.clip(sure, 0, 1)
    return np.asarray(1 - strength * (1 - pure))


def confusion_matrix(
    y_true: Any, y_pred: Any, labels: Sequence[Any] | None = None, *, ax: "Axes | None" = None
) -> "Axes":
    """Draw how many rows of each class were taken for which class.

    Parameters
    ----------
    y_true : array_like (n,), (n, 1) or (n, C)
        Classes: numbers or texts, or one-hot rows.
    y_pred : array_like (n,), (n, 1) or (n, C)
        Classes likewise, or what ``predict`` returned: in one column, more than 1/2 is class 1; of several, the
        largest wins.
    labels : sequence, optional
        The classes in the order in which to show them; where ``y_true`` holds other things than these, the
        names of the classes 0, 1, 2...
    ax : matplotlib.axes.Axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        The rows are true classes. Colours are shares of a row, numbers are counts.

    Raises
    ------
    ValueError
        When lengths differ, there are no rows, or a class is not among the labels.
    """
    truth, guess = _classes("y_true", y_true), _classes("y_pred", y_pred)
    if len(truth) != len(guess) or not len(truth):
        raise ValueError(
            f"y_true and y_pred must have as many rows, and one at least, got {len(truth)} and {len(guess)}"
        )
    seen = np.unique(np.concatenate([truth, guess])) if truth.dtype.kind == guess.dtype.kind else None
    if seen is None:
        raise ValueError(f"y_true and y_pred must hold the same kind of classes, got {truth[0]!r} and {guess[0]!r}")
    order, names = _order(seen, labels)
    place = {value: index for index, value in enumerate(order)}
    counts = np.zeros((len(order), len(order)), np.int64)
    np.add.at(counts, ([place[value] for value in truth.tolist()], [place[value] for value in guess.tolist()]), 1)
    return _draw_counts(counts, names, ax)


def _classes(name: str, values: Any) -> NDArray[Any]:
    """Return classes (n,): numbers as integers, or texts."""
    array = np.asarray(values)
    if array.dtype.kind not in "biufUS" and not all(isinstance(value, str) for value in array.ravel()):
        raise TypeError(f"{name} must hold class numbers, texts or outputs of a model, got dtype {array.dtype}")
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[1] == 0):
        raise ValueError(f"{name} must have the shape (n,), (n, 1) or (n, C), got {array.shape}")
    if array.dtype.kind not in "biuf":
        return array.astype(str).ravel()
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must hold finite numbers, got NaN or infinity")
    if array.ndim == 2 and array.shape[1] > 1:
        classes: NDArray[np.int64] = array.argmax(axis=1)
        return classes
    array = array.ravel()
    if not (array == np.floor(array)).all():
        array = array > 0.5
    return array.astype(np.int64)


def _order(seen: NDArray[Any], labels: Sequence[Any] | None) -> tuple[list[Any], list[str]]:
    """Return the classes in the order to show, and their names."""
    values = seen.tolist()
    if labels is None:
        return values, [str(value) for value in values]
    given = [label.item() if isinstance(label, np.generic) else label for label in labels]
    if set(values) <= set(given):
        return given, [str(label) for label in given]
    names = all(isinstance(value, int) for value in values) and not any(isinstance(label, int) for label in given)
    classes = list(range(len(given))) if names else given
    missing = [value for value in values if value not in classes]
    if not missing:
        return classes, [str(label) for label in given]
    raise ValueError(f"labels must contain every class, or name the classes from 0 on; {missing[0]!r} is missing")


def _draw_counts(counts: NDArray[np.int64], names: list[str], ax: "Axes | None") -> "Axes":
    """Draw a matrix of counts (C, C)."""
    classes = len(counts)
    side = min(12.0, 0.45 * classes)
    ax = one_axes(ax, (side * 4 / 3, side) if classes > UPRIGHT_CLASSES else None)
    rows = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(rows, 1)
    image = ax.imshow(shares, cmap=SHADES, vmin=0, vmax=1)
    ax.figure.colorbar(image, ax=ax, label="share of the true class")
    if classes <= LEGIBLE_CLASSES:
        size = pyplot().rcParams["font.size"] * min(1.2, max(0.8, 9 / classes))
        for (row, column), count in np.ndenumerate(counts):
            # zeros are most of a good matrix, and would hide the rest
            colour = "white" if shares[row, column] > 0.5 else "black" if count else "0.75"
            ax.text(column, row, f"{count}", ha="center", va="center", color=colour, fontsize=size)
    turned = classes > UPRIGHT_CLASSES or max(map(len, names)) * classes > 40
    step = max(1, classes // 20)
    ax.set_xticks(
        range(0, classes, step), names[::step], rotation=45 if turned else 0, ha="right" if turned else "center"
    )
    if turned:
        for text in ax.get_xticklabels():
            text.set_rotation_mode("anchor")
    ax.set_yticks(range(0, classes, step), names[::step])
    ax.set(
        xlabel="predicted class", ylabel="true class",
        title=f"accuracy {100 * counts.trace() / counts.sum():.1f}% of {counts.sum():,}",
    )  # fmt: skip
    return ax
