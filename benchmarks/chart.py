"""Draws the ladder: every library's time of a step, relative to fastmlp's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from fastmlp.ladder.command import microseconds
from fastmlp.ladder.runs import Result
from fastmlp.ladder.sides import LIBRARIES

# Colours that stay apart for people who do not see all of them (Okabe & Ito, 2008), and marks for print.
STYLES = {
    "fastmlp": ("#000000", "|"),
    "numpy": ("#0072B2", "o"),
    "torch": ("#D55E00", "s"),
    "torch-compiled": ("#E69F00", "D"),
    "jax": ("#009E73", "^"),
    "sklearn": ("#CC79A7", "v"),
}
INK, FAINT, BAND, GRID = "#222222", "#8A8A8A", "#F4F5F7", "#E3E6EA"
FINE_TICKS = (0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 5, 7, 10)
COARSE_TICKS = (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
SETTINGS = {
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.fonttype": "path",
    "svg.hashsalt": "fastmlp",
}


def draw(results: Sequence[Result], where: dict[str, Any], stem: Path) -> None:
    """Write ``stem.png`` and ``stem.svg``.

    Parameters
    ----------
    results : sequence of Result
        Of one or more numbers of threads; each is a panel.
    where : dict
        "processor" and "date" for the line below.
    stem : Path
        The files' name without its ending.
    """
    counts = sorted({result.threads for result in results})
    rows = max(sum(result.threads == count for result in results) for count in counts)
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(5.2 + 4.4 * len(counts), 1.9 + 0.52 * rows), facecolor="white", layout="constrained")
        figure.get_layout_engine().set(w_pad=0.15, h_pad=0.08, wspace=0.03)
        axes = figure.subplots(1, len(counts), squeeze=False)[0]
        ratios = [ratio for result in results for ratio in relative_times(result).values()]
        for ax, count in zip(axes, counts, strict=True):
            panel(ax, [result for result in results if result.threads == count], names=ax is axes[0])
            ax.set_title(f"{count} thread{'s' if count > 1 else ''}", loc="left", fontweight="bold", pad=8)
            relative_axis(ax, min(ratios), max(ratios))
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside upper left", ncols=len(labels), frameon=False, handletextpad=0.3,
            columnspacing=1.6,
        )  # fmt: skip
        figure.supxlabel(
            f"time of a training step over fastmlp's, which is written at the left; further right is slower\n"
            f"{where['processor']}, {where['date']}",
            fontsize=9,
            color=FAINT,
        )
        save(figure, stem)


def save(figure: Figure, stem: Path) -> None:
    """Write a figure as ``stem.png`` and ``stem.svg``; the same figure gives the same bytes."""
    for ending in (".png", ".svg"):
        figure.savefig(stem.with_suffix(ending), dpi=200, metadata={"Date": None} if ending == ".svg" else None)


def plain(ax: Axes) -> None:
    """Give a panel the look of all charts: a pale grid, no frame, no tick marks."""
    ax.grid(color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(length=0, which="both")
    ax.spines[:].set_visible(False)


def relative_times(result: Result) -> dict[str, float]:
    """Return each side's time over fastmlp's."""
    ours = result.microseconds("fastmlp") or float("nan")
    return {name: (result.microseconds(name) or float("nan")) / ours for name in result.seconds}


def panel(ax: Axes, results: Sequence[Result], *, names: bool) -> None:
    """Draw the results of one number of threads, the first on top, with or without the networks' names."""
    positions = list(range(len(results) - 1, -1, -1))
    for position, result in zip(positions, results, strict=True):
        ratios = relative_times(result).values()
        if position % 2 == 0:
            ax.axhspan(position - 0.5, position + 0.5, color=BAND, linewidth=0, zorder=0)
        ax.plot([min(ratios), max(ratios)], [position] * 2, color="#C9CDD2", linewidth=1.6, zorder=1)
        label(ax, position, result, names)
    for name in LIBRARIES:
        shown = [
            (ratio, position)
            for position, result in zip(positions, results, strict=True)
            if (ratio := relative_times(result).get(name))
        ]
        if not shown:
            continue
        color, marker = STYLES[name]
        own = name == "fastmlp"
        ax.scatter(
            *zip(*shown, strict=True), s=260 if own else 58, color=color, marker=marker, linewidth=2.2 if own else 0.8,
            edgecolor=None if own else "white", label=LIBRARIES[name].title, zorder=3 if own else 4,
        )  # fmt: skip
    ax.set_ylim(-0.5, len(results) - 0.5)
    ax.set_yticks([])


def label(ax: Axes, position: int, result: Result, names: bool) -> None:
    """Write fastmlp's time left of a row, and the network where names are wanted."""
    place = {"transform": ax.get_yaxis_transform(), "ha": "right"}
    time = f"{microseconds(result.microseconds('fastmlp') or float('nan'))} µs"
    if names:
        ax.text(-0.02, position + 0.05, result.case.name, fontweight="bold", va="bottom", **place)
        text = f"{result.case.network}, batch {result.case.batch}: {time}"
        ax.text(-0.02, position - 0.03, text, fontsize=8.5, color="#555555", va="top", **place)
    else:
        ax.text(-0.02, position, time, fontsize=8.5, color="#555555", va="center", **place)


def relative_axis(ax: Axes, low: float, high: float) -> None:
    """Give a panel a logarithmic axis that holds these ratios, with fastmlp at 1."""
    low, high = min(low, 1) / 1.12, max(high, 1) * 1.12
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ticks = COARSE_TICKS if high / low > 15 else FINE_TICKS
    ax.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.axvline(1, color=INK, linewidth=1, zorder=2)
    plain(ax)
