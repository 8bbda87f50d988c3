"""What layers lay themselves out as: a chain of stages over tensors of a batch's rows.

A stage reads one tensor and writes the next one. In training every element of a tensor has a *slope* beside it: the
derivative of what produced it. Whoever reads the tensor multiplies the slope by its own gradient on the way back,
so that the slopes become the gradient with respect to the producer's ``z``. This holds for all kinds of stages, and
so an activation belongs to any of them.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from ..activations import Activation, Linear, Softmax
from ..constraints import Constraint
from ..layers import Layer, Weight
from ..regularizers import Regularizer
from . import tables as t

NO_SKIP = -1


@dataclass(frozen=True, eq=False)
class Variable:
    """A weight as a part of the flat parameter buffer."""

    weight: Weight
    trainable: bool
    regularizer: Regularizer | None
    constraint: Constraint | None


@dataclass(frozen=True)
class Noise:
    """Noise on a stage's outputs in training."""

    kind: int
    amount: float
    seed: int | None


@dataclass(eq=False)
class Stage:
    """One step of the chain, from the tensor ``left`` to the tensor ``out``.

    Attributes
    ----------
    kind : int
        One of ``tables``' kinds of stages.
    units : int
        Columns of ``out``.
    kernel, bias : Variable, optional
        w and b; scale and offset.
    mean, variance : Variable, optional
        Those that a stage by columns takes, or moves.
    skip : int
        Another tensor: what a join adds, or for a fork the join's sum, whose gradient passes by.
    epsilon, momentum : float
        Of the stages that standardise.
    by_batch : bool
        Whether training standardises by the batch's own mean and variance.
    """

    kind: int
    left: int
    out: int
    units: int
    kernel: Variable | None = None
    bias: Variable | None = None
    mean: Variable | None = None
    variance: Variable | None = None
    activation: Activation = field(default_factory=Linear)
    noise: Noise | None = None
    skip: int = NO_SKIP
    epsilon: float = 0.0
    momentum: float = 0.0
    by_batch: bool = False

    @property
    def takes_activation(self) -> bool:
        """Whether an activation can be its own."""
        return isinstance(self.activation, Linear) and self.noise is None

    @property
    def takes_noise(self) -> bool:
        """Whether noise can be its own."""
        return not isinstance(self.activation, Softmax) and self.noise is None


class View(NamedTuple):
    """What a layer takes or makes: a stage's result before or after its activation; the inputs come after stage -1."""

    stage: int
    after: bool


class Chain:
    """The stages of a model, as its layers add them.

    Parameters
    ----------
    inputs : int
        Features of a sample: columns of the first tensor.
    """

    def __init__(self, inputs: int) -> None:
        self.widths = [inputs]
        self.stages: list[Stage] = []
        # of every layer what its activation takes, and what it makes
        self.views: list[tuple[View, View]] = []

    @property
    def width(self) -> int:
        """Columns of the last tensor."""
        return self.widths[-1]

    def variable(
        self,
        weight: Weight,
        trainable: bool,
        *,
        regularizer: Regularizer | None = None,
        constraint: Constraint | None = None,
    ) -> Variable:
        """Name a weight that the next stage uses."""
        return Variable(weight, trainable, regularizer, constraint)

    def _add(self, kind: int, units: int, **settings: object) -> Stage:
        stage = Stage(kind, len(self.widths) - 1, len(self.widths), units, **settings)  # type: ignore[arg-type]
        self.widths.append(units)
        self.stages.append(stage)
        return stage

    def dense(self, units: int, kernel: Variable, bias: Variable | None, activation: Activation) -> None:
        """``a = f(x w + b)``."""
        self._add(t.DENSE, units, kernel=kernel, bias=bias, activation=activation)

    def affine(self, scale: Variable, offset: Variable) -> None:
        """``x * scale + offset``, a number each for every column."""
        self._add(t.AFFINE, self.width, kernel=scale, bias=offset)

    def standardise_columns(
        self, mean: Variable, variance: Variable, scale: Variable, offset: Variable, epsilon: float, momentum: float,
        *, by_batch: bool,
    ) -> None:  # fmt: skip
        """``(x - mean) / sqrt(variance + epsilon) * scale + offset``, by columns."""
        self._standardise(
            t.STANDARD_COLUMNS, kernel=scale, bias=offset, mean=mean, variance=variance, epsilon=epsilon,
            momentum=momentum, by_batch=by_batch,
        )  # fmt: skip

    def standardise_rows(self, scale: Variable, offset: Variable, epsilon: float) -> None:
        """``(x - mean) / sqrt(variance + epsilon) * scale + offset``, with the moments of a row."""
        self._standardise(t.STANDARD_ROWS, kernel=scale, bias=offset, epsilon=epsilon)

    def _standardise(self, kind: int, **settings: object) -> None:
        """Add a stage that writes over its inputs, which softmax would need again on the way back."""
        if self.stages and isinstance(self.stages[-1].activation, Softmax):
            self._add(t.COPY, self.width)
        self._add(kind, self.width, **settings)

    def activation(self, activation: Activation) -> None:
        """``f(x)``: of the last stage where it has none, else of a stage of its own."""
        if self.stages and self.stages[-1].takes_activation:
            self.stages[-1].activation = activation
        else:
            self._add(t.COPY, self.width, activation=activation)

    def noise(self, kind: int, amount: float, seed: int | None) -> None:
        """Noise: on the last stage where it has none, else on a stage of its own."""
        if not (self.stages and self.stages[-1].takes_noise):
            self._add(t.COPY, self.width)
        self.stages[-1].noise = Noise(kind, amount, seed)

    def fork(self) -> Stage:
        """Begin what :meth:`join` ends: what follows works on a copy."""
        return self._add(t.COPY, self.width)

    def join(self, fork: Stage) -> None:
        """Add what the fork has copied."""
        join = self._add(t.JOIN, self.width, skip=fork.left)
        fork.skip = join.out

    def lay(self, layer: Layer) -> None:
        """Add the stages of a layer of the model, and take note of where its outputs are."""
        stages, before = len(self.stages), self._present()
        linear = before.stage < 0 or isinstance(self.stages[-1].activation, Linear)
        layer.lay(self)
        after = self._present()
        changed = len(self.stages) > stages or (linear and after.after != before.after)
        self.views.append((View(after.stage, False) if changed else before, after))

    def _present(self) -> View:
        """The outputs so far; of a stage without an activation those before one, which it may yet get."""
        last = len(self.stages) - 1
        return View(last, last < 0 or not isinstance(self.stages[last].activation, Linear))

    def finish(self) -> None:
        """Close the chain: there is a stage, and the last one's outputs are what the loss and predictions take."""
        if not self.stages or self.stages[-1].noise is not None:
            self._add(t.COPY, self.width)
