"""Optimizers by their names, and by the kinds that compiled steps know them by."""

from ..kernels.jit import kernel
from ..names import find
from .adagrad import ADAGRAD_KIND, Adagrad, adagrad_step
from .adam import ADAM_KIND, Adam, AdamW, adam_factors, adam_step
from .base import (
    AVERAGE_REST,
    BATCHES,
    BATCHES_AN_UPDATE,
    DECAY,
    EPSILON,
    FIRST,
    GRADIENT_RATE,
    LEARNING_RATE,
    MOMENTUM,
    OPTION,
    OVERWRITE,
    OVERWRITE_EVERY,
    RATE,
    REST,
    REST_OF_AVERAGE,
    SCHEDULE,
    SECOND,
    SETTINGS,
    SMALL,
    VARIANT,
    WEIGHT_DECAY,
    ZERO,
    Buffer,
    Optimizer,
    Settings,
)
from .lbfgs import LBFGS
from .lion import LION_KIND, Lion, lion_step
from .nadam import NADAM_KIND, Nadam, nadam_factors, nadam_step
from .rmsprop import RMSPROP_KIND, RMSprop, rmsprop_step
from .schedules.curves import CONSTANT, scheduled_rate
from .sgd import SGD, sgd_step

TABLE: dict[str, type[Optimizer] | type[LBFGS]] = {
    optimizer.name: optimizer for optimizer in (SGD, Adam, AdamW, RMSprop, Adagrad, Nadam, Lion, LBFGS)
}


@kernel
def step_factors(kind: int, settings: Settings, batch: int, factors: Buffer) -> None:
    """Write what the settings come to in one step, for :func:`optimizer_step` and what goes with it.

    Parameters
    ----------
    kind : int
        Of the optimizer.
    settings : float64 (SETTINGS + numbers of the schedule,)
        The row that :meth:`Optimizer.settings` makes.
    batch : int
        The number of the batch, from 1.
    factors : float32 (FACTORS,)
        Overwritten.
    """
    together, every, schedule = settings[BATCHES_AN_UPDATE], settings[OVERWRITE_EVERY], settings[SCHEDULE]
    update, batches = batch, together
    if together > 1:
        update = -int(-batch // together)
        if update * together != batch:
            batches = 0.0
    rate = settings[LEARNING_RATE]
    if schedule != CONSTANT:
        # Keras counts batches here, even where several make an update
        rate = scheduled_rate(int(schedule), settings[SETTINGS:], float(batch - 1))
    common_factors(kind, settings, rate, update, factors)
    factors[BATCHES] = batches
    factors[REST_OF_AVERAGE] = 1.0 if update == 1 else settings[AVERAGE_REST]
    factors[OVERWRITE] = every > 0 and update % every == 0
    if kind == NADAM_KIND:
        nadam_factors(settings, rate, update, factors)


@kernel
def common_factors(kind: int, settings: Settings, rate: float, update: int, factors: Buffer) -> None:
    """:func:`step_factors` for the common optimizers, with a rate that stands and no accumulation."""
    factors[RATE] = rate
    factors[DECAY] = rate * settings[WEIGHT_DECAY]
    factors[FIRST] = settings[MOMENTUM]
    factors[REST] = 1 - settings[SECOND]
    factors[SMALL] = settings[EPSILON]
    factors[OPTION] = settings[VARIANT]
    factors[BATCHES] = 1
    if kind == ADAM_KIND:
        adam_factors(settings, rate, update, factors)


def is_common(optimizer: Optimizer, settings: Settings) -> bool:
    """Say whether the engine has inside all that an optimizer with these settings needs."""
    simple = settings[SCHEDULE] == CONSTANT and settings[BATCHES_AN_UPDATE] == 1 and not optimizer.use_ema
    clips = (optimizer.clipvalue, optimizer.clipnorm, optimizer.global_clipnorm) != (None, None, None)
    return bool(simple and not clips and optimizer.kind in (SGD.kind, ADAM_KIND))


@kernel
def optimizer_step(
    kind: int, factors: Buffer, parameters: Buffer, at: int, gradients: Buffer, first: int, slots: Buffer, count: int
) -> None:
    """Update ``parameters[at : at + count]`` from ``gradients[first : first + count]``.

    Parameters
    ----------
    kind : int
        Of the optimizer.
    factors : float32 (FACTORS,)
        From :func:`step_factors`.
    slots : flat buffer
        Slot s of parameter i is at ``s * parameters.size + i``; an optimizer touches only the slots it has.
    count : int
        Whole vectors.
    """
    size = parameters.size
    decay, rate, small = factors[DECAY], factors[RATE], factors[SMALL]
    # views, because an index that might be negative keeps a loop from being vectorised
    w, g = parameters[at : at + count], gradients[first : first + count]
    slot_0 = slots[at : at + count]
    slot_1 = slots[size + at : size + at + count]
    slot_2 = slots[2 * size + at : 2 * size + at + count]
    if decay != ZERO:
        for i in range(count):
            w[i] -= w[i] * decay
    if kind == ADAGRAD_KIND:
        adagrad_step(w, g, slot_0, rate, small)
    elif kind == NADAM_KIND:
        nadam_step(w, g, slot_0, slot_1, rate, factors[GRADIENT_RATE], factors[FIRST], factors[REST], small)
    elif kind == LION_KIND:
        lion_step(w, g, slot_0, rate, factors[FIRST], factors[REST])
    elif kind == RMSPROP_KIND:
        centred = factors[OPTION] != ZERO
        rmsprop_step(w, g, slot_0, slot_1, slot_2, rate, factors[REST], factors[FIRST], small, centred)
    else:
        common_step(kind, factors, w, g, slot_0, slot_1, slot_2)


@kernel
def common_step(
    kind: int, factors: Buffer, w: Buffer, g: Buffer, slot_0: Buffer, slot_1: Buffer, slot_2: Buffer
) -> None:
    """A step of the optimizers that the engine has inside: views of a range, after weight decay."""
    rate, small, option = factors[RATE], factors[SMALL], factors[OPTION] != ZERO
    if kind == ADAM_KIND:
        adam_step(w, g, slot_0, slot_1, slot_2, rate, factors[FIRST], factors[REST], small, option)
    else:
        sgd_step(w, g, slot_0, rate, factors[FIRST], option)


@kernel
def common_optimizer_step(
    kind: int, factors: Buffer, parameters: Buffer, at: int, gradients: Buffer, first: int, slots: Buffer, count: int
) -> None:
    """:func:`optimizer_step` for the common optimizers."""
    size, decay = parameters.size, factors[DECAY]
    w, g = parameters[at : at + count], gradients[first : first + count]
    if decay != ZERO:
        for i in range(count):
            w[i] -= w[i] * decay
    common_step(
        kind, factors, w, g, slots[at : at + count], slots[size + at : size + at + count],
        slots[2 * size + at : 2 * size + at + count],
    )  # fmt: skip


def get(identifier: str | Optimizer | LBFGS) -> Optimizer | LBFGS:
    """Return the optimizer that a name or an instance stands for.

    Raises
    ------
    ValueError
        For a name that is not in :data:`TABLE`.
    TypeError
        For anything else.
    """
    if isinstance(identifier, str):
        identifier = identifier.lower()
    return find("optimizer", identifier, TABLE, (Optimizer, LBFGS), "Adam(learning_rate=0.01)")
