"""Saving and loading: methods of a model, and ``load_model``."""

import json
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Self, cast

from ..configs import decode, encode, knowing
from ..errors import check_flag
from . import state
from .container import Bytes, describe, pack, read_file, unpack
from .durable import replace_file

if TYPE_CHECKING:
    from ..model import Sequential

PICKLED = "the pickled model"


def to_pieces(model: "Sequential", *, weights_only: bool = False, optimizer: bool = True) -> list[Bytes]:
    """Return the bytes of a model's file, or of one with its weights alone, in pieces.

    Raises
    ------
    TrainingDivergedError
        When a weight is not finite, as in the midst of an epoch that diverges.
    TypeError
        When something in the model is of a class that is in no table of this package.
    ValueError
        When functions of the user's have the same name.
    """
    with paused(model):
        if weights_only:
            document, tensors = state.capture_weights(model)
        else:
            # names must tell functions apart
            state.custom_objects(model)
            document, tensors = state.capture(model, optimizer=optimizer)
    return pack(document, tensors)


def load_model(path: str | bytes | os.PathLike[str], custom_objects: Mapping[str, Any] | None = None) -> "Sequential":
    """Return the model that :meth:`Sequential.save` has written, ready to predict, and to train on.

    A file from anywhere can be loaded: nothing in it is executed, and memory and time are in proportion to its size.

    Parameters
    ----------
    path : path
        The file.
    custom_objects : dict, optional
        The functions of one's own that the model has, of which the file has the names alone: for a loss
        ``{function.__name__: function}``, for an activation ``{custom.name: custom}`` with a
        :class:`fastmlp.activations.Custom`. Nothing else can come from there.

    Raises
    ------
    ModelFileError
        When `custom_objects` lacks a name, and for a file that is damaged, or not whole, or none of this package's; the
        message says what is wrong.
    OSError
        When there is no such file, or it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from fastmlp import Dense, Input, Sequential
    >>> model = Sequential([Input(shape=(2,)), Dense(1)], seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/model.safetensors")
    ...     again = load_model(f"{folder}/model.safetensors")
    >>> bool((again.predict([[1, 2]]) == model.predict([[1, 2]])).all())
    True
    """
    source = describe(path)
    return state.restore(*unpack(read_file(path), source), source, custom_objects)


class Saving:
    """What a model can do about files, configs and copies; ``Sequential`` has these methods."""

    def get_config(self) -> dict[str, Any]:
        """Return the architecture as plain data: name, seed, shape of a sample, and layers.

        Raises
        ------
        TypeError
            When a layer, or an object in one, is of a class that is not this package's own.
        """
        model = cast("Sequential", self)
        shape = model._inputs
        return {
            "name": model.name,
            "seed": model.seed,
            "input_shape": None if shape is None else list(shape),
            "layers": [encode(layer) for layer in model.layers],
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """Make a model from what :meth:`get_config` returned, with new weights that follow from its seed.

        Parameters
        ----------
        config : dict
            As returned.
        custom_objects : dict, optional
            Activations of one's own by their names; see :func:`fastmlp.load_model`.

        Raises
        ------
        TypeError, ValueError
            For names that are in no table, or what constructors do not take.
        """
        if not isinstance(config, Mapping) or not {"name", "seed", "input_shape", "layers"} <= config.keys():
            raise TypeError(f"config must be what get_config() returned, got {config!r}")
        with knowing(custom_objects):
            model = state.skeleton(cast("type[Sequential]", cls), config)
        model._build_rows()
        return cast("Self", model)

    def to_json(self, **options: Any) -> str:
        """Return the architecture as JSON; ``options`` are those of ``json.dumps``."""
        return json.dumps(self.get_config(), **options)

    def get_compile_config(self) -> dict[str, Any] | None:
        """Return the arguments of :meth:`compile` as plain data, the optimizer's with its present settings."""
        model = cast("Sequential", self)
        if model.optimizer is None:
            return None
        return {
            "optimizer": encode(model.optimizer),
            "loss": encode(model.loss),
            "metrics": [encode(metric) for metric in model._metrics],
            "weighted_metrics": [encode(metric) for metric in model._weighted_metrics],
        }

    def compile_from_config(self, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> None:
        """Compile the model with what :meth:`get_compile_config` returned; see :meth:`from_config`."""
        with knowing(custom_objects):
            arguments = {name: decode(value) for name, value in config.items()}
        cast("Sequential", self).compile(**arguments)

    def save(
        self, filepath: str | bytes | os.PathLike[str], overwrite: bool = True, include_optimizer: bool = True
    ) -> None:
        """Write the model to one file: architecture, weights, how it was compiled, and where its training stands.

        The file is in the format of safetensors, and never torn: it is written beside, flushed to the disk, and
        renamed. A training of the model in another thread is waited for.

        Parameters
        ----------
        filepath : path
            The file; its name may end in anything.
        overwrite : bool
            Whether to replace a file that exists; nothing but a regular file is ever replaced.
        include_optimizer : bool
            Whether to keep all that a training needs to go on exactly; without, the model is not compiled when loaded.

        Raises
        ------
        FileExistsError
            When there is such a file, and it is not to be replaced.
        OSError
            When it cannot be written; an old file is as it was, unless the very last step has failed, which makes the
            new one outlast a crash of the system.
        TrainingDivergedError
            When a weight is not finite.
        TypeError
            When something in the model is of a class that is not this package's own.
        ValueError
            When different functions of one's own have the same name: the file has no more of them.
        """
        optimizer = check_flag("include_optimizer", include_optimizer)
        _write(filepath, overwrite, cast("Sequential", self), weights_only=False, optimizer=optimizer)

    def save_weights(self, filepath: str | bytes | os.PathLike[str], overwrite: bool = True) -> None:
        """Write the weights alone to a file, as :meth:`save` does."""
        _write(filepath, overwrite, cast("Sequential", self), weights_only=True)

    def load_weights(self, filepath: str | bytes | os.PathLike[str]) -> None:
        """Take the weights from a file that :meth:`save_weights` or :meth:`save` has written.

        Raises
        ------
        ModelFileError
            For a file that is damaged, or of a model with other layers; nothing is changed.
        OSError
            When there is no such file, or it cannot be read.
        NotBuiltError
            When the model has no weights yet.
        ModelBusyError
            While another thread is in ``fit``.
        """
        model, source = cast("Sequential", self), describe(filepath)
        model._ready()
        _, tensors = unpack(read_file(filepath), source)
        model.set_weights(state.read_weights(model, tensors, source))

    def __getstate__(self) -> dict[str, Any]:
        """Return the bytes of a file, and the user's functions, which Python pickles in its own way."""
        model = cast("Sequential", self)
        functions = state.custom_objects(model)
        return {"file": b"".join(to_pieces(model)), **({"custom_objects": functions} if functions else {})}

    def __setstate__(self, pickled: dict[str, Any]) -> None:
        document, tensors = unpack(pickled["file"], PICKLED)
        self.__dict__.update(vars(state.restore(document, tensors, PICKLED, pickled.get("custom_objects"))))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a copy that has the very functions of this one."""
        twin = memo[id(self)] = type(self).__new__(type(self))
        twin.__setstate__(self.__getstate__())
        return twin


def paused(model: "Sequential") -> AbstractContextManager[Any]:
    """Keep trainings of a model in other threads waiting."""
    return nullcontext() if model._session is None else model._session.turns.lock


def check_overwrite(filepath: str | bytes | os.PathLike[str], overwrite: bool) -> None:
    """Raise FileExistsError for a file that is there and is not to be replaced."""
    # a link to nowhere is something, too
    if not check_flag("overwrite", overwrite) and os.path.lexists(os.fsdecode(filepath)):
        raise FileExistsError(f"there is a file {os.fsdecode(filepath)!r} already, and overwrite=False")


def _write(
    filepath: str | bytes | os.PathLike[str],
    overwrite: bool,
    model: "Sequential",
    *,
    weights_only: bool,
    optimizer: bool = True,
) -> None:
    check_overwrite(filepath, overwrite)
    replace_file(filepath, to_pieces(model, weights_only=weights_only, optimizer=optimizer))
