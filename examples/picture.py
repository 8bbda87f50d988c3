"""What all examples share: ``--picture FILE`` on the command line asks for a picture."""

import argparse
from pathlib import Path
from typing import Any

LOOK = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "font.size": 10,
    "legend.frameon": False,
}


def wanted() -> Path | None:
    """Return the file that ``--picture`` names, or None."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw a picture into this file, such as it.png")
    return parser.parse_args().picture


def pyplot() -> Any:
    """Return ``matplotlib.pyplot``, or None where no picture is wanted or Matplotlib is not installed."""
    if wanted() is None:
        return None
    try:
        import matplotlib as mpl
    except ModuleNotFoundError:
        print('No picture: it needs Matplotlib, pip install "fastmlp[plot]"\n')
        return None
    mpl.use("Agg")  # which writes files and needs no window
    import matplotlib.pyplot as plt
    from cycler import cycler

    from fastmlp.plotting.canvas import COLOURS

    plt.rcParams.update(LOOK | {"axes.prop_cycle": cycler(color=COLOURS)})
    return plt


def save(figure: Any) -> None:
    """Write the picture."""
    file = wanted()
    figure.savefig(file, dpi=100)
    print(f"\nThe picture is in {file}")
