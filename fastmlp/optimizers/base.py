"""What all optimizers have: their common settings, and the rows of numbers that compiled steps read."""

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, overload

import numpy as np
from numpy.typing import NDArray

from ..configs import Configured
from ..errors import FLOAT32_LARGEST as LARGEST
from ..errors import check_flag
from .schedules import LearningRateSchedule
from .schedules.curves import CONSTANT

Buffer = NDArray[np.float32]
Settings = NDArray[np.float64]

# Columns of the settings row that the compiled step reads; a schedule's own numbers follow them.
(
    LEARNING_RATE, WEIGHT_DECAY, CLIP_VALUE, CLIP_NORM, GLOBAL_CLIP_NORM, MOMENTUM, SECOND, EPSILON, VARIANT,
    AVERAGE_REST, OVERWRITE_EVERY, BATCHES_AN_UPDATE, SCHEDULE, SETTINGS,
) = range(14)  # fmt: skip

# What the settings come to in one step. BATCHES is how many batches' gradients it applies the mean of: 0 while
# they are accumulated. GRADIENT_RATE is Nadam's; REST_OF_AVERAGE and OVERWRITE are about averages of the weights.
(
    RATE, DECAY, FIRST, REST, SMALL, OPTION, GRADIENT_RATE, BATCHES, REST_OF_AVERAGE, OVERWRITE, FACTORS,
) = range(11)  # fmt: skip

ZERO = np.float32(0)


def check_number(name: str, value: Any, low: float, high: float, *, below: bool = False) -> None:
    """Raise unless ``value`` is a number in [low, high], or [low, high) with ``below``."""
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not number or not (low <= value < high if below else low <= value <= high):
        bounds = f"{low:g} <= {name} {'<' if below else '<='} {high:g}"
        raise ValueError(f"{name} must be a number with {bounds}, got {value!r}")


def check_epsilon(value: Any) -> None:
    """Raise unless ``value`` is a positive number: without it, a weight whose gradients are all 0 becomes 0 / 0."""
    check_number("epsilon", value, 0, LARGEST)
    if not np.float32(value) > 0:
        raise ValueError(f"epsilon must be greater than 0 in float32, got {value!r}")


def check_steps(name: str, value: Any, least: int) -> None:
    """Raise unless ``value`` is None or an integer from ``least``."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least):
        raise ValueError(f"{name} must be None or an integer from {least}, got {value!r}")


class LearningRate:
    """The attribute ``learning_rate``: set to a number or a schedule, read as a number.

    A schedule says what the rate is in the next step, and cannot be replaced by a number, as in Keras.

    Parameters
    ----------
    default : float
        What a class has unless told otherwise.
    """

    def __init__(self, default: float) -> None:
        self.default = default

    @overload
    def __get__(self, optimizer: None, owner: type) -> float: ...
    @overload
    def __get__(self, optimizer: "Optimizer", owner: type) -> float: ...
    def __get__(self, optimizer: "Optimizer | None", owner: type) -> float:
        """Return the default of the class, or the present rate of an instance."""
        if optimizer is None:
            return self.default
        schedule = optimizer.schedule
        rate: float = vars(optimizer)["learning_rate"] if schedule is None else schedule(optimizer.batches)
        return rate

    def __set__(self, optimizer: "Optimizer", value: float | LearningRateSchedule) -> None:
        """Take a number or a schedule; numbers are checked before they are used."""
        if optimizer.schedule is not None and not isinstance(value, LearningRateSchedule):
            raise TypeError(
                f"learning_rate follows {optimizer.schedule!r}, so it cannot be set to {value!r}: give the optimizer a "
                "number when it is made, or set another schedule"
            )
        vars(optimizer)["learning_rate"] = value


@dataclass
class Optimizer(Configured):
    """How gradients change parameters. ``learning_rate`` may be changed between calls of ``fit``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        Step size, from 0; or what it is step by step, such as
        ``fastmlp.optimizers.schedules.CosineDecay(0.01, 1000)``.
    weight_decay : float, optional
        Decoupled decay: ``w -= w * weight_decay * learning_rate`` before each update.
    clipvalue, clipnorm, global_clipnorm : float, optional
        Limit for every gradient, for each variable's norm, or for the norm of all; at most one of them.
    use_ema : bool
        Whether to keep an exponential moving average of the trained weights,
        ``average = ema_momentum * average + (1 - ema_momentum) * w`` after each batch, and to put the averages in
        the weights' place at the end of ``fit``, where those of a kernel with a constraint are made to fulfil it.
    ema_momentum : float
        From 0 to 1.
    ema_overwrite_frequency : int, optional
        Put the averages in the weights' place every so many updates as well.
    gradient_accumulation_steps : int, optional
        Update once in so many batches, at least 2, by the mean of their gradients; batches are counted across
        epochs and calls of ``fit``.

    Attributes
    ----------
    batches : int
        Batches that the model which trained last has seen with this optimizer. A schedule counts these.
    """

    kind: ClassVar[int]
    name: ClassVar[str]

    learning_rate: LearningRate = LearningRate(0.001)
    weight_decay: float | None = field(default=None, kw_only=True)
    clipvalue: float | None = field(default=None, kw_only=True)
    clipnorm: float | None = field(default=None, kw_only=True)
    global_clipnorm: float | None = field(default=None, kw_only=True)
    use_ema: bool = field(default=False, kw_only=True)
    ema_momentum: float = field(default=0.99, kw_only=True)
    ema_overwrite_frequency: int | None = field(default=None, kw_only=True)
    gradient_accumulation_steps: int | None = field(default=None, kw_only=True)
    batches: int = field(default=0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.check()

    def __setattr__(self, name: str, value: Any) -> None:
        # a slip such as optimizer.lr would otherwise change nothing, and nobody would know
        if not hasattr(type(self), name):
            settings = ", ".join(field.name for field in fields(self) if field.init)
            raise AttributeError(f"{type(self).__name__} has no setting {name!r}; there are {settings}")
        super().__setattr__(name, value)

    def check(self) -> None:
        """Raise ValueError or TypeError for a setting out of its range; run again before each fit."""
        if self.schedule is None:
            if callable(self.learning_rate):
                raise TypeError(
                    "learning_rate must be a number or one of fastmlp.optimizers.schedules, which are compiled with "
                    f"the training, got {self.learning_rate!r}; for a function of the epoch there is "
                    "fastmlp.callbacks.LearningRateScheduler"
                )
            check_number("learning_rate", self.learning_rate, 0, LARGEST)
        else:
            self.schedule.compiled()
        if self.weight_decay is not None:
            check_number("weight_decay", self.weight_decay, 0, LARGEST)
        clips = {name: getattr(self, name) for name in ("clipvalue", "clipnorm", "global_clipnorm")}
        given = [name for name, value in clips.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"only one of clipvalue, clipnorm and global_clipnorm can be set, got {given}")
        for name in given:
            check_number(name, clips[name], 0, LARGEST)
            if clips[name] == 0:
                raise ValueError(f"{name} must be greater than 0, got {clips[name]!r}; None switches it off")
        check_flag("use_ema", self.use_ema)
        check_number("ema_momentum", self.ema_momentum, 0, 1)
        check_steps("ema_overwrite_frequency", self.ema_overwrite_frequency, 1)
        check_steps("gradient_accumulation_steps", self.gradient_accumulation_steps, 2)

    @property
    def schedule(self) -> LearningRateSchedule | None:
        """The schedule that the learning rate follows, if there is one."""
        given = vars(self).get("learning_rate")
        return given if isinstance(given, LearningRateSchedule) else None

    @property
    def iterations(self) -> int:
        """Updates so far, of the model that trained last with this optimizer."""
        return self.batches // (self.gradient_accumulation_steps or 1)

    @property
    def own_slots(self) -> dict[str, float]:
        """Names of the numbers that a parameter has beside itself for the update, with what they start from."""
        raise NotImplementedError

    @property
    def slots(self) -> dict[str, float]:
        """Names of all float32 numbers that a parameter has beside itself, in their order, with what they start from.

        The optimizer's own ones are followed by ``average`` and ``accumulated``, where those are asked for.
        """
        slots = dict(self.own_slots)
        if self.use_ema:
            slots["average"] = 0.0
        if self.gradient_accumulation_steps:
            slots["accumulated"] = 0.0
        return slots

    def _own_settings(self) -> tuple[float, float, float, bool]:
        """Momentum (or beta 1), second moment's factor, epsilon, variant."""
        raise NotImplementedError

    def settings(self) -> Settings:
        """The row that the compiled step reads."""
        self.check()
        kind, numbers = (CONSTANT, ()) if self.schedule is None else self.schedule.compiled()
        row = np.zeros(SETTINGS + len(numbers))
        row[LEARNING_RATE] = self.learning_rate
        row[WEIGHT_DECAY] = self.weight_decay or 0.0
        row[CLIP_VALUE] = self.clipvalue or 0.0
        row[CLIP_NORM] = self.clipnorm or 0.0
        row[GLOBAL_CLIP_NORM] = self.global_clipnorm or 0.0
        row[MOMENTUM : VARIANT + 1] = self._own_settings()
        row[AVERAGE_REST] = 1 - self.ema_momentum
        row[OVERWRITE_EVERY] = self.ema_overwrite_frequency or 0
        row[BATCHES_AN_UPDATE] = self.gradient_accumulation_steps or 1
        row[SCHEDULE] = kind
        row[SETTINGS:] = numbers
        return row
