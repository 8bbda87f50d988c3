"""What the ranks of a training must have in common, and how they are told where they do not."""

import re
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import __version__, judging
from .blocks import Blocks
from .engine import tables as t
from .engine.feed import Feed
from .engine.session import Session
from .engine.stream import Stream
from .inputs import floats
from .kernels.jit import SIMD_WIDTH
from .losses import Custom

if TYPE_CHECKING:
    from .distributed import Group
    from .fitting import Callbacks, TrainingData
    from .model import Sequential

# what something is called, and what it is
Facts = dict[str, str]
# rows of the data that are compared
SAMPLE = 16
# what differs between processes in the text of an object
ADDRESS = re.compile(r" at 0x[0-9a-f]+")
# columns of the stage table that are addresses, or follow from a seed
OWN_COLUMNS = [t.ACTIVATION_AT, t.CALLBACK, t.CALLBACK_FAILED, t.NOISE_SEED]


def refuse_together(group: "Group | None", what: str) -> None:
    """Raise ValueError for what several ranks cannot train on or with."""
    if group is not None:
        raise ValueError(f"distribute cannot train with {what}; without distribute, one process can")


def agree(
    group: "Group",
    model: "Sequential",
    session: Session,
    given: "TrainingData",
    validation: Feed | Blocks | Stream | None,
    called: "Callbacks",
    how: Mapping[str, Any],
) -> None:
    """Have the ranks of a training agree on what it is, or raise at all of them.

    Parameters
    ----------
    how : dict
        The arguments of ``fit`` by their names, as far as they are numbers, flags or texts.
    """
    if isinstance(model.loss, Custom):
        refuse_together(group, f"the loss {model.loss.function_name}, which wants all rows of a batch at once")
    hooks = bool(judging.Hooks(called.members, *judging.TEST_HOOKS))
    if isinstance(validation, Blocks):
        refuse_together(group, "blocks of validation data")
    elif isinstance(validation, Stream):
        refuse_together(group, "a Source of validation data")
    elif group.sharded and validation is not None and hooks:
        refuse_together(group, "hooks of single batches of a validation, whose rows are at several ranks")
    if group.sharded and session.plan.network.barriers.size:
        refuse_together(
            group, "batch normalization and sharded=True: statistics are put together of whole pieces of a batch, "
            "which the rows of a rank are not. Hand all rows to every rank, or use LayerNormalization"
        )  # fmt: skip
    assert isinstance(given.data, Feed)
    own = {
        "MPI's deterministic": group.deterministic,
        **how,
        "callbacks with hooks of validation batches": hooks,
        "BackupAndRestore": bool(called.backups),
    }
    if called.backups:
        own["callbacks, whose states are the first rank's,"] = [type(member).__name__ for member in called.members]
    group.check()
    group.agree(
        facts(model, session, given.data, validation if isinstance(validation, Feed) else None, own, group.sharded)
    )


def facts(
    model: "Sequential", session: Session, data: Feed, validation: Feed | None, how: Mapping[str, Any], sharded: bool
) -> Facts:
    """Return what must be the same at all ranks before they train together.

    Parameters
    ----------
    how : dict
        The arguments of ``fit`` by their names, as far as they are numbers, flags or texts.
    """
    found = {
        "the version of fastmlp": __version__,
        "floats in a vector of the processor, which FASTMLP_SIMD_WIDTH can set to the smallest of all": str(SIMD_WIDTH),
        "MPI's sharded": str(sharded),
        "the input shape": str(model.input_shape),
        "the number of layers": str(len(model.layers)),
        **{f"layer {number}": _text(layer) for number, layer in enumerate(model.layers)},
        "a digest of the network, of what is trained and how it is regularized": _digest(*_network(session)),
        "the optimizer": _text(model.optimizer),
        "the loss": _text(model.loss),
        "metrics": _text(model._metrics),
        "weighted_metrics": _text(model._weighted_metrics),
        **{name: _text(value) for name, value in how.items()},
    }
    for name, feed in (("rows to train on", data), ("rows to validate on", validation)):
        if feed is None:
            found[f"the number of {name}"] = "0"
            continue
        weights = "with" if feed.weights.size else "without"
        # the parts of a sharded validation may be of any length
        if not sharded or feed is data:
            found[f"the number of {name}"] = str(feed.rows)
        found[f"columns and weights of the {name}"] = f"{feed.x.shape[1]} and {feed.columns}, {weights} weights"
        if not sharded:
            found[f"a digest of some {name}, of which every rank must be handed all, unless MPI(sharded=True)"] = (
                _digest(*_sample(feed))
            )
    return found


def _text(value: object) -> str:
    return ADDRESS.sub("", repr(value))


def _network(session: Session) -> list[np.ndarray[Any, Any]]:
    network = session.plan.network
    return [
        np.delete(network.stages, OWN_COLUMNS, axis=1), network.settings, network.variables, network.penalties[:, :3],
        network.items,
    ]  # fmt: skip


def _sample(feed: Feed) -> list[np.ndarray[Any, Any]]:
    rows = np.unique(np.linspace(0, feed.rows - 1, SAMPLE).astype(np.int64))
    if feed.chosen is not None:
        rows = feed.chosen[rows]
    return [floats(feed.x[rows]), feed.y[rows], feed.weights[rows] if feed.weights.size else feed.weights]


def _digest(*arrays: np.ndarray[Any, Any]) -> str:
    return f"{checksum(*arrays):08x}"


def checksum(*arrays: np.ndarray[Any, Any]) -> int:
    """Return a number that arrays of other bits hardly have."""
    found = 0
    for array in arrays:
        found = zlib.crc32(np.ascontiguousarray(array).ravel().view(np.uint8).data, found)
    return found


def disagreement(told: Sequence[Facts]) -> str | None:
    """Return what the ranks, whose facts these are in their order, do not agree on first, or None."""
    names = list(dict.fromkeys(name for own in told for name in own))
    for name in names:
        values: dict[str, list[int]] = {}
        for rank, own in enumerate(told):
            values.setdefault(own.get(name, "none"), []).append(rank)
        if len(values) > 1:
            parts = [f"{value} at rank {_ranges(ranks)}" for value, ranks in values.items()]
            return f"all ranks must have the same, and do not for {name}: {'; '.join(parts)}"
    return None


def _ranges(ranks: Sequence[int]) -> str:
    """Numbers in order, such as ``0 to 2, 5``."""
    parts: list[list[int]] = []
    for rank in ranks:
        if parts and parts[-1][-1] == rank - 1:
            parts[-1].append(rank)
        else:
            parts.append([rank])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]} to {part[-1]}" for part in parts)
