"""How often something is saved: at the end of epochs, or every so many batches."""

from ..errors import check_count


def check_save_freq(save_freq: object) -> int:
    """Return the number of batches, 0 for "epoch", or raise ValueError."""
    if save_freq == "epoch":
        return 0
    if isinstance(save_freq, str):
        raise ValueError(f"save_freq must be 'epoch' or a number of batches, got {save_freq!r}")
    return check_count("save_freq", save_freq)
