"""The hooks that a callback may override."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

Logs = dict[str, float]


class Callback:
    """What a subclass overrides is called by ``fit``, ``evaluate`` and ``predict``.

    Hooks of single batches cost time only where overridden: each compiled call is then as short as a batch. With 32
    rows of a small net that was 9 us more a batch of training, 15 of an evaluation and 4 of a prediction.

    Attributes
    ----------
    model : Sequential
        The model that trains; ``model.stop_training = True`` ends the training.
    params : dict
        How ``fit`` was called: "epochs", "steps", "verbose", "batch_size" and "samples".
    """

    model: Any = None
    # Hooks of a higher order are called after all of a lower one; those above 0 hear of an epoch after the history.
    order: ClassVar[int] = 0
    # attributes that change in a training, for the state
    counted: ClassVar[tuple[str, ...]] = ()
    # Whether, of several processes that train together, only the first one calls the hooks, as of what writes files.
    first_rank_only: ClassVar[bool] = False

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Take note of the parameters of the run."""
        self.params = dict(params)

    def set_model(self, model: Any) -> None:
        """Take note of the model."""
        self.model = model

    def get_state(self) -> dict[str, Any]:
        """Return what a training has changed so far.

        None, bools, numbers, texts, arrays of real numbers, lists of these, and dicts with texts as keys.
        """
        return {name: getattr(self, name) for name in self.counted}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`get_state` returned; called after ``on_train_begin``.

        When one callback of a run refuses its state, all others get back what they had.

        Raises
        ------
        ValueError
            When it is the state of something else.
        """
        if state.keys() != set(self.counted):
            raise ValueError(f"the state of {type(self).__name__} has {sorted(self.counted)}, got {sorted(state)}")
        for name, value in state.items():
            setattr(self, name, value)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch, with its logs."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation; what is added to ``logs`` goes into the history."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a step, counted from 0 in each epoch."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a step, with the running means of the epoch so far."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of an evaluation or validation, counted from 0."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of an evaluation or validation, with the results of the rows so far."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of a prediction, counted from 0."""

    def on_predict_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """After a batch of a prediction, whose outputs are ``logs["outputs"]``."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation or validation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After an evaluation or validation, with its results."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before a prediction."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After a prediction."""


class LambdaCallback(Callback):
    """A callback made of functions.

    Parameters
    ----------
    on_epoch_begin, on_epoch_end : callable, optional
        Called with ``(epoch, logs)``.
    on_train_begin, on_train_end : callable, optional
        Called with ``(logs)``.
    on_train_batch_begin, on_train_batch_end : callable, optional
        Called with ``(batch, logs)``.
    **hooks : callable
        Other hooks of :class:`Callback` by their names.
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **hooks: Callable[..., Any],
    ) -> None:
        super().__init__()
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **hooks,
        }
        for name, function in given.items():
            if not (name.startswith("on_") and hasattr(Callback, name)):
                raise TypeError(f"LambdaCallback has no hook {name!r}")
            if function is None:
                continue
            if not callable(function):
                raise TypeError(f"{name} must be a function, got {function!r}")
            setattr(self, name, function)


def overrides(callback: Callback, hook: str) -> bool:
    """Say whether a callback has a hook of its own."""
    return hook in vars(callback) or getattr(type(callback), hook) is not getattr(Callback, hook)
