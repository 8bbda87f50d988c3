"""TerminateOnNaN: ends a diverging training without an error."""

from ..hooks import Callback


class TerminateOnNaN(Callback):
    """End the training when the loss becomes NaN or infinite, where ``fit`` would raise TrainingDivergedError.

    The weights are those from before the epoch that diverged, and that epoch is not in the history.
    """
