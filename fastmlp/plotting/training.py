"""Curves of a training: losses and metrics, the gradients of each layer, and a sweep of the learning rate."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .canvas import COLOURS, SEQUENTIAL, marker, one_axes, pyplot, several_axes, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# what :func:`gradient_flow` can draw: its label, and whether only its order of magnitude matters
QUANTITIES = {
    "gradient_norm": ("norm of the gradient", True),
    "weight_norm": ("norm of the weights", True),
    "update_ratio": ("update / weight", True),
    "dead": ("share of dead units", False),
    "saturated": ("share of saturated units", False),
}
# losses that go down by more than this factor are clearer on a logarithmic axis
LARGE_SPAN = 100.0
MOST_LEGENDS = 12


def history(record: Any, ax: Any = None) -> "np.ndarray[Any, np.dtype[np.object_]]":
    """Draw loss and metrics over the epochs, those of training and of validation together.

    Parameters
    ----------
    record : History
        What ``fit`` returned.
    ax : sequence of matplotlib.axes.Axes, optional
        One for the loss, and one for each metric (and ``learning_rate``) in the order of ``record.history``; a new
        figure by default.

    Returns
    -------
    ndarray of matplotlib.axes.Axes
        The loss first.

    Raises
    ------
    ValueError
        When there is no finished epoch, or ``ax`` has another number of axes.
    """
    if not record.epoch:
        raise ValueError("there is nothing to draw: the history has no finished epoch")
    names = [name for name in record.history if not (name.startswith("val_") and name[4:] in record.history)]
    names.sort(key=lambda name: name != "loss")
    columns = min(len(names), 2 if len(names) in (2, 4) else 3)
    rows = -(-len(names) // columns)
    axes = several_axes(ax, len(names), columns, None if len(names) == 1 else (1.2 + 3.8 * columns, 0.6 + 3.2 * rows))
    best = record.best_epoch
    for one, name in zip(axes, names, strict=True):
        for key, label, colour, style in (
            (name, "training", COLOURS[0], "-"), (f"val_{name}", "validation", COLOURS[1], "--")
        ):  # fmt: skip
            if key not in record.history:
                continue
            epochs, values = np.array(record.epochs_of(key)) + 1, np.array(record.history[key])
            one.plot(epochs, values, style, marker=marker(len(epochs)), markersize=4, color=colour, label=label)
            if best is not None and best + 1 in epochs:
                one.plot(best + 1, values[list(epochs).index(best + 1)], "o", color=colour, markersize=6)
        if best is not None:
            one.axvline(best + 1, color="grey", linewidth=1, linestyle=":", label=f"best epoch ({best + 1})", zorder=0)
        one.set(title=name.replace("_", " "), xlabel="epoch")
        whole_numbers(one.xaxis)
        if name in ("loss", "learning_rate") and _is_wide(record.history[name]):
            one.set_yscale("log")
        one.grid(alpha=0.25)
    axes[0].legend()
    return np.array(axes, object)


def _is_wide(values: Sequence[float]) -> bool:
    """Say whether a logarithmic axis would show more of some values."""
    finite = np.array([value for value in values if np.isfinite(value)])
    return bool(finite.size and finite.min() > 0 and finite.max() > LARGE_SPAN * finite.min())


def gradient_flow(diagnostics: Any, quantity: str = "gradient_norm", *, ax: "Axes | None" = None) -> "Axes":
    """Draw how large each layer's gradient is in each epoch; the first layers dark, the last ones light.

    Gradients vanish where the dark lines lie orders of magnitude below the light ones, and explode where they rise
    by orders of magnitude (Glorot & Bengio, AISTATS 2010).

    Parameters
    ----------
    diagnostics : callbacks.Diagnostics or mapping
        For each layer's name, first to last, a mapping of ``quantity`` to its values, one an epoch.
    quantity : {"gradient_norm", "weight_norm", "update_ratio", "dead", "saturated"}
        What to draw; the norms and ratios on a logarithmic axis, on which a triangle at the bottom stands for 0.
    ax : matplotlib.axes.Axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        For another quantity, one that was not recorded, or when there are no epochs.
    """
    if quantity not in QUANTITIES:
        raise ValueError(f"quantity must be one of {', '.join(map(repr, QUANTITIES))}, got {quantity!r}")
    layers: Any = diagnostics if isinstance(diagnostics, Mapping) else getattr(diagnostics, "history", None)
    if not isinstance(layers, Mapping):
        raise TypeError(f"diagnostics must be a callbacks.Diagnostics or its history, got {diagnostics!r}")
    curves = {
        str(name): np.array(record[quantity], float) for name, record in layers.items() if len(record.get(quantity, ()))
    }
    if not curves:
        raise ValueError(f"there is nothing to draw: the diagnostics have no {quantity} of a finished epoch")
    label, logarithmic = QUANTITIES[quantity]
    ax = one_axes(ax)
    # the lightest colours of the map would be lost on white
    shades = pyplot().get_cmap(SEQUENTIAL)(np.linspace(0, 0.88, len(curves)))
    for (name, values), colour in zip(curves.items(), shades, strict=True):
        epochs = np.arange(1, len(values) + 1)
        drawn = np.where(values > 0, values, np.nan) if logarithmic else values
        ax.plot(epochs, drawn, marker=marker(len(values)), markersize=4, color=colour, label=name)
        zero = epochs[values == 0] if logarithmic else epochs[:0]
        if zero.size:
            ax.plot(
                zero, np.full(zero.size, 0.015), "v", color=colour, transform=ax.get_xaxis_transform(), clip_on=False
            )
    if logarithmic:
        ax.set_yscale("log")
    ax.set(title=f"{label[0].upper()}{label[1:]} of each layer", xlabel="epoch", ylabel=label)
    whole_numbers(ax.xaxis)
    ax.grid(alpha=0.25)
    _legend_beside(ax, len(curves))
    return ax


def _legend_beside(ax: "Axes", lines: int) -> None:
    """Name the lines at the right, in their order from the first layer; only some of very many."""
    handles, names = ax.get_legend_handles_labels()
    keep = sorted(set(np.linspace(0, lines - 1, min(lines, MOST_LEGENDS)).round().astype(int)))
    ax.legend(
        [handles[i] for i in keep], [names[i] for i in keep], loc="upper left", bbox_to_anchor=(1.01, 1),
        borderaxespad=0, title="first to last layer" if lines > 1 else None, fontsize="small", title_fontsize="small",
        frameon=False,
    )  # fmt: skip


def learning_rates(
    rates: Sequence[float], losses: Sequence[float], smoothed: Sequence[float], suggestion: float | None = None,
    *, ax: "Axes | None" = None,
) -> "Axes":  # fmt: skip
    """Draw the loss over the learning rates of a sweep, with the suggested one.

    Parameters
    ----------
    rates, losses, smoothed : sequence of float
        The learning rate of each step, its loss, and the loss with less noise.
    suggestion : float, optional
        Is marked.
    ax : matplotlib.axes.Axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = one_axes(ax)
    ax.plot(rates, losses, color=COLOURS[0], alpha=0.3, linewidth=1, label="loss of the step")
    ax.plot(rates, smoothed, color=COLOURS[0], label="smoothed")
    if suggestion is not None:
        height = float(np.interp(np.log(suggestion), np.log(rates), smoothed))
        ax.axvline(suggestion, color="grey", linewidth=1, linestyle=":", zorder=0)
        ax.plot(suggestion, height, "o", color=COLOURS[1], markersize=8, label=f"suggestion {suggestion:.1e}")
    ax.set_xscale("log")
    # the last steps diverge, and would press everything else flat
    low, start = float(np.min(smoothed)), float(smoothed[0])
    span = max(start - low, 0.02 * abs(start), 1e-12)
    ax.set_ylim(low - 0.1 * span, max(start, float(np.max(smoothed[: max(1, len(smoothed) // 2)]))) + 0.6 * span)
    ax.set(title="Learning-rate sweep", xlabel="learning rate", ylabel="loss")
    ax.grid(alpha=0.25)
    ax.legend()
    return ax
