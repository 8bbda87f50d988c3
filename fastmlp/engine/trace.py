"""What every layer makes of some rows: z and a, for looking inside a network.

Training and prediction do not keep z. Here the kernels of both run stage by stage, and what they leave is copied out.
The entry is compiled or loaded when it is first used.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..kernels import memory
from ..kernels.extension import pack
from ..kernels.gemm import padded_rows
from ..kernels.jit import entry
from ..rows import Rows
from .chain import View
from .interruption import new_job
from .pace import MOST_BLOCKS
from .plan import Plan
from .rows import activate, compact, stage_forward
from .tables import CAPACITY, LEFT_STRIDE, OUT, OUT_STRIDE, UNITS, Float32, Int64, Network, Workspace
from .workspace import cut_batch, prediction_space


class LayerOutputs(NamedTuple):
    """What one layer made of some rows.

    Attributes
    ----------
    name : str
        The layer's.
    z : float32 (B, N)
        Before the activation: ``x w + b`` of a dense layer, the inputs of an activation layer.
    a : float32 (B, N)
        The layer's outputs.
    """

    name: str
    z: Float32
    a: Float32


@entry
def trace_stage(network: Network, space: Workspace, job: Int64, index: int, rows: int, z: Float32, a: Float32) -> None:
    """Run one stage over the first ``rows`` rows of the workspace.

    Parameters
    ----------
    z, a : float32 (rows, N), flat
        Before and after the stage's activation; overwritten.
    """
    stage = network.stages[index]
    out, stride, units = stage[OUT] * job[CAPACITY], stage[OUT_STRIDE], stage[UNITS]
    padded, frame = padded_rows(rows), pack((network, space, job))
    stage_forward(network, space, job, index, 0, 0, 0, padded, False, frame)
    compact(space.rows, out, stride, rows, units, z)
    # slopes are not written here
    activate(network, space.rows, space.rows, job[CAPACITY], index, 0, padded, False, frame)
    compact(space.rows, out, stride, rows, units, a)


def trace(plan: Plan, names: Sequence[str], x: Rows) -> list[LayerOutputs]:
    """Return z and a of every layer for checked features (n, K) of any real dtype and layout."""
    rows = len(x)
    units = plan.network.stages[:, UNITS]
    # of every stage z and a, and of what comes before the first one the inputs
    made = {View(-1, True): np.ascontiguousarray(x, np.float32)}
    for index, width in enumerate(units):
        made |= {View(index, after): memory.empty((rows, width)) for after in (False, True)}
    capacity = cut_batch(plan, MOST_BLOCKS, training=False).block
    space = prediction_space(plan, capacity)
    plan.prepare(space)
    job = new_job()
    job[CAPACITY] = capacity
    stride = plan.network.stages[0, LEFT_STRIDE]
    inputs = space.rows[: capacity * stride].reshape(capacity, stride)
    for first in range(0, rows, capacity):
        last = min(first + capacity, rows)
        inputs[: last - first, : plan.inputs] = x[first:last]
        for index in range(len(units)):
            z, a = (made[View(index, after)][first:last].reshape(-1) for after in (False, True))
            trace_stage(plan.network, space, job, index, last - first, z, a)
    return [LayerOutputs(name, made[z], made[a]) for name, (z, a) in zip(names, plan.views, strict=True)]
