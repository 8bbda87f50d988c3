"""Looking inside a model: gradients, their check, and what every layer makes of some rows."""

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from . import gradient_check
from .engine.feed import Feed
from .engine.session import Session
from .engine.trace import LayerOutputs, trace
from .fitting import class_weights
from .gradient_check import GradientCheck
from .gradients import Gradients, by_layer
from .inputs import as_rows, check_x, floats
from .kernels import memory

if TYPE_CHECKING:
    from .model import Sequential

Float32 = NDArray[np.float32]


class Inspection:
    """What shows the inside of a model and changes nothing; ``Sequential`` has these methods."""

    def gradients(self, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None) -> Gradients:
        """Return the loss of some rows as one batch, and its gradients with respect to the weights.

        They are computed as in training: of the loss with the regularizers' penalties, before any clipping.
        Nothing changes: neither weights nor the optimizer's state. Memory is needed as for a step with so many rows.

        Parameters
        ----------
        x, y, sample_weight, class_weight : array_like
            As for :meth:`fit`.

        Returns
        -------
        Gradients
            ``g.loss``, ``g["dense"].dw (K, N)`` and ``.db (N,)``, and ``g.arrays`` in the order of
            :meth:`get_weights`. A loss that is not finite is no error; its gradients are not finite either.

        Raises
        ------
        NotCompiledError
            Before :meth:`compile`, which chooses the loss.
        ValueError, TypeError
            For data that do not fit.
        """
        model = cast("Sequential", self)
        _, loss = model._compiled()
        features, targets, weights = model._checked(x, y, sample_weight, loss, "compute gradients of")
        weights = class_weights(class_weight, targets, weights, loss)
        session = model._ready()
        with session.turns.alone(), session.aside():
            model._set_objective(session, loss)
            logs, flat = session.gradients(Feed(floats(features), targets, weights))
        return by_layer(session.plan, model._layers, logs["loss"], flat)

    def check_gradients(self, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None) -> GradientCheck:
        """Compare :meth:`gradients` with differences of the loss itself, for each array of weights.

        An array's weights are moved along a few directions, by ever smaller steps, and the change of the loss is
        compared with what the gradient says. The loss is the engine's, in float32, so this tells a right gradient
        from a wrong one, and does not count its digits: in smooth networks the two agree to about 1e-5, and with kinks
        (ReLU, absolute errors, an L1 penalty) often to 1e-3 alone. Gradients of a layer that are next to nothing
        beside the loss cannot be resolved; ``resolution`` then says so. A few dozen rows are enough; the loss is
        computed 170 times for each array.

        Parameters
        ----------
        x, y, sample_weight, class_weight : array_like
            As for :meth:`fit`.

        Returns
        -------
        GradientCheck
            A sequence with the ``layer``, ``array``, ``norm``, ``error``, ``resolution`` and ``verdict`` of each array,
            with ``worst`` and ``passed``; it prints as a table.

        Raises
        ------
        NotCompiledError, ValueError, TypeError
            As :meth:`gradients`.
        """
        model = cast("Sequential", self)
        found = self.gradients(x, y, sample_weight, class_weight)
        _, loss = model._compiled()
        features, targets, weights = model._checked(x, y, sample_weight, loss, "compute gradients of")
        feed = Feed(floats(features), targets, class_weights(class_weight, targets, weights, loss))
        session = model._ready()
        # the model's own weights stay where they are
        with session.turns.reading() as network:
            plan = session.plan.over(memory.zeros(network.parameters.size))
            np.copyto(plan.network.parameters, network.parameters)
        apart = Session(plan, model.seed)
        apart.draw_as(session)
        model._set_objective(apart, loss)

        def loss_at(variable: int, value: Float32) -> float:
            before = plan.read(variable)
            plan.write(variable, value)
            try:
                return apart.gradients(feed)[0]["loss"]
            finally:
                plan.write(variable, before)

        return gradient_check.check(found, plan, loss_at, model.seed)

    def forward(self, x: Any) -> list[LayerOutputs]:
        """Return what every layer makes of some rows.

        Parameters
        ----------
        x : array_like (n, features)
            Real finite numbers; n may be 0.

        Returns
        -------
        list of LayerOutputs
            For each layer its ``name``, ``z (n, N)`` before and ``a (n, N)`` after the activation, in float32; the
            last ``a`` has the bits of :meth:`predict`. The first call compiles or loads a kernel of its own.
        """
        model = cast("Sequential", self)
        features = check_x(x, model._inputs)
        session = model._ready(features.shape[1:])
        with session.turns.reading() as network:
            return trace(
                session.plan.over(network.parameters), [str(layer.name) for layer in model._layers], as_rows(features)
            )
