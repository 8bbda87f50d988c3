"""Ensembles: several networks for one task, whose predictions are averaged, voted on, and compared."""

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ModelFileError
from .model import Sequential
from .saving import state
from .saving.container import Tensors, describe, pack, read_file, unpack
from .saving.durable import replace_file
from .saving.model import check_overwrite, paused

Float32 = NDArray[np.float32]


class Ensemble:
    """Networks with the same inputs and outputs, such as those of :func:`fastmlp.fit_many`.

    Parameters
    ----------
    models : iterable of Sequential
        At least one; built.

    Raises
    ------
    ValueError, TypeError
        When there is none, or they differ in inputs or outputs.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp import Dense, Ensemble, Input, Sequential, fit_many
    >>> model = Sequential([Input((1,)), Dense(8, "tanh"), Dense(1)])
    >>> model.compile("adam", "mse")
    >>> x = np.linspace(-2, 2, 200).reshape(-1, 1)
    >>> ensemble = Ensemble(fit_many(model, x, np.sin(x), seeds=range(5), epochs=20, verbose=0).models)
    >>> ensemble.predict([[0.5]]).shape, ensemble.spread([[0.5]]).shape
    ((1, 1), (1, 1))
    """

    def __init__(self, models: Iterable[Sequential]) -> None:
        self.models = list(models)
        if not self.models:
            raise ValueError("models must hold at least one model")
        for number, model in enumerate(self.models):
            if not isinstance(model, Sequential):
                raise TypeError(f"models must hold instances of Sequential, got {model!r}")
            shapes = model.input_shape, model.output_shape
            first = self.models[0].input_shape, self.models[0].output_shape
            if shapes != first:
                raise ValueError(
                    f"all models must have the same inputs and outputs, and models[{number}] has {shapes}, the first "
                    f"one {first}"
                )

    def __len__(self) -> int:
        return len(self.models)

    def __iter__(self) -> Iterator[Sequential]:
        return iter(self.models)

    def __repr__(self) -> str:
        return f"<Ensemble: {len(self)} models, inputs {self.models[0].input_shape}>"

    def predictions(self, x: Any) -> Float32:
        """Return every model's outputs for data: float32 (models, n, units)."""
        return np.stack([model.predict(x) for model in self.models])

    def predict(self, x: Any) -> Float32:
        """Return the mean of the models' outputs for data: float32 (n, units)."""
        mean: Float32 = self.predictions(x).mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean

    def spread(self, x: Any) -> Float32:
        """Return the standard deviation of the models' outputs: float32 (n, units), how little the models agree."""
        deviation: Float32 = self.predictions(x).std(axis=0, dtype=np.float64).astype(np.float32)
        return deviation

    def vote(self, x: Any) -> NDArray[np.int64]:
        """Return the class that most models choose; of those with as many votes, the lowest.

        Returns
        -------
        ndarray of int64 (n,)
            The place of the largest output; with one output, whether it is above 0.5.
        """
        outputs = self.predictions(x)
        chosen = outputs.argmax(axis=2) if outputs.shape[2] > 1 else (outputs[:, :, 0] > 0.5).astype(np.int64)
        classes = max(outputs.shape[2], 2)
        votes = np.zeros((outputs.shape[1], classes), np.int64)
        for choice in chosen:
            votes[np.arange(len(choice)), choice] += 1
        return np.asarray(votes.argmax(axis=1), np.int64)

    def save(self, filepath: str | bytes | os.PathLike[str], overwrite: bool = True) -> None:
        """Write all models to one file, as :meth:`Sequential.save` writes one; :meth:`load` reads it.

        Raises
        ------
        FileExistsError
            When there is such a file, and it is not to be replaced.
        OSError, TrainingDivergedError, TypeError
            As :meth:`Sequential.save`.
        """
        check_overwrite(filepath, overwrite)
        documents: list[dict[str, Any]] = []
        tensors: Tensors = {}
        for number, model in enumerate(self.models):
            with paused(model):
                document, own = state.capture(model)
            documents.append(document)
            tensors |= {f"{number}.{name}": tensor for name, tensor in own.items()}
        replace_file(filepath, pack({"content": "ensemble", "models": documents}, tensors))

    @classmethod
    def load(
        cls, filepath: str | bytes | os.PathLike[str], custom_objects: Mapping[str, Any] | None = None
    ) -> "Ensemble":
        """Return the ensemble that :meth:`save` has written.

        Parameters
        ----------
        filepath : path
            The file.
        custom_objects : dict, optional
            As for :func:`fastmlp.load_model`.

        Raises
        ------
        ModelFileError
            For a file that is damaged, or holds no ensemble.
        OSError
            When there is no such file, or it cannot be read.
        """
        source = describe(filepath)
        document, tensors = unpack(read_file(filepath), source)
        documents = document.get("models")
        if document.get("content") != "ensemble" or not isinstance(documents, list):
            raise ModelFileError(f"{source} holds {document.get('content')!r}, not an ensemble")
        parts: list[Tensors] = [{} for _ in documents]
        for name, tensor in tensors.items():
            number, _, own = name.partition(".")
            if not number.isdecimal() or int(number) >= len(parts):
                raise ModelFileError(f"{source} has a tensor {name!r} that belongs to no model")
            parts[int(number)][own] = tensor
        models = [
            state.restore(each if isinstance(each, dict) else {}, own, f"model {number} of {source}", custom_objects)
            for number, (each, own) in enumerate(zip(documents, parts, strict=True))
        ]
        try:
            return cls(models)
        except (ValueError, TypeError) as error:
            raise ModelFileError(f"{source}: {error}") from None
