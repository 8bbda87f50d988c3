"""Sequential: the model API, with Keras 3's names and meanings."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import display, judging, losses, optimizers
from . import metrics as metrics_table
from .agreement import agree, refuse_together
from .blocks import Blocks, are_blocks, missing_targets, refuse, unpacked
from .data.source import Source
from .distributed import MPI, Group, fit_together
from .engine.feed import NO_WEIGHTS, Feed
from .engine.session import Order, Session
from .engine.stream import Stream
from .errors import NotCompiledError, check_count, check_flag
from .fitting import (
    DEFAULT_BATCH,
    BlockRun,
    Callbacks,
    FullBatchRun,
    Run,
    TrainingData,
    chosen_batch,
    class_weights,
    start_alike,
)  # fmt: skip
from .history import History
from .inputs import as_rows, check_indices, check_sample_weight, check_x, check_y, floats, plain
from .inspection import Inspection
from .layers import (
    BatchNormalization,
    Dropout,
    GaussianNoise,
    Input,
    Layer,
)  # fmt: skip
from .layers.base import nested
from .rows import Rows, SparseRows
from .saving.model import Saving
from .stack import Stack
from .streaming import StreamRun, make_stream, predict_stream, set_centre, sourced

Float32 = NDArray[np.float32]


class Sequential(Stack, Inspection, Saving):
    """A stack of layers, each fed with the output of the one before.

    Parameters
    ----------
    layers : iterable of Input and Layer, optional
        An :class:`Input` may come first; without it the model is built from the first data it sees.
    name : str, optional
        The model's name.
    seed : int, optional
        Initial weights, shuffling and every other random choice follow from it; by default from
        :func:`fastmlp.set_random_seed`, or from the operating system.

    Examples
    --------
    >>> model = Sequential([Input(shape=(2,)), Dense(3, activation="relu"), Dense(1)], seed=0)
    >>> model.compile(loss="mse")
    >>> model.predict([[1.0, 2.0]]).shape
    (1, 1)
    """

    def __init__(
        self,
        layers: Iterable[Input | Layer] | None = None,
        name: str | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        self.optimizer: optimizers.Optimizer | optimizers.LBFGS | None = None
        self.loss: losses.Loss | None = None
        self._metrics: list[str | metrics_table.Metric] = []
        self._weighted_metrics: list[str | metrics_table.Metric] = []
        # a session need not be told again what it measures for this call of compile
        self._compilation = object()
        self.history: History | None = None
        self.stop_training = False
        super().__init__(layers, name, seed=seed)

    def compile(
        self,
        optimizer: str | optimizers.Optimizer | optimizers.LBFGS = "rmsprop",
        loss: str | losses.Loss | None = None,
        metrics: Sequence[str | metrics_table.Metric] | None = None,
        weighted_metrics: Sequence[str | metrics_table.Metric] | None = None,
    ) -> None:
        """Say how the model learns.

        Parameters
        ----------
        optimizer : str, Optimizer or LBFGS
            Such as ``"adam"`` or ``fastmlp.optimizers.Adam(learning_rate=0.01)``.
        loss : str or Loss
            Such as ``"mse"`` or ``fastmlp.losses.BinaryCrossentropy(from_logits=True)``.
        metrics : list of str or Metric, optional
            Such as ``["accuracy"]``; every row counts alike.
        weighted_metrics : list of str or Metric, optional
            Metrics in which rows count by ``sample_weight`` and ``class_weight``. One that is in ``metrics`` too
            has the key ``weighted_`` and its name.

        Raises
        ------
        ValueError
            For an unknown name; the message has the nearest valid ones.
        TypeError
            For an argument of another type, or without a loss.
        """
        if loss is None:
            raise TypeError("loss must be given, such as loss='mse' or loss=fastmlp.losses.BinaryCrossentropy()")
        for argument, value in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
            if isinstance(value, str) or not isinstance(value, (Sequence, type(None))):
                raise TypeError(f"{argument} must be a list such as ['accuracy'], got {value!r}")
        chosen = optimizers.get(optimizer)
        measured = [metrics_table.check(metric) for metric in metrics or ()]
        weighted = [metrics_table.check(metric) for metric in weighted_metrics or ()]
        for metric in (*measured, *weighted):
            if isinstance(metric, metrics_table.Metric):
                # more outputs have no fewer
                _check_figures(metric, 1)
        self.loss = losses.get(loss)
        self.optimizer, self._metrics, self._weighted_metrics = chosen, measured, weighted
        self._compilation = object()

    def _compiled(self) -> tuple[optimizers.Optimizer | optimizers.LBFGS, losses.Loss]:
        if not isinstance(self.loss, losses.Loss) or not isinstance(
            self.optimizer, (optimizers.Optimizer, optimizers.LBFGS)
        ):
            raise NotCompiledError("the model must be compiled first: model.compile(optimizer='adam', loss=...)")
        return self.optimizer, self.loss

    def _set_objective(self, session: Session, loss: losses.Loss) -> None:
        """Resolve metrics, and take logits where the output activation belongs to the loss."""
        if session.measures(self._compilation):
            return
        plan = session.plan
        units, activation = plan.units, plan.stages[-1].activation.name
        from_logits = bool(getattr(loss, "from_logits", False))
        if loss.logits_of == activation and from_logits:
            raise ValueError(
                f"the loss is {loss.name} with from_logits=True, but the last layer applies {activation} itself; "
                "use a linear last layer, or from_logits=False"
            )
        groups: list[list[tuple[str, metrics_table.Metric]]] = [[], []]
        for group, identifiers in zip(groups, (self._metrics, self._weighted_metrics), strict=True):
            for identifier in identifiers:
                name, metric = metrics_table.resolve(identifier, sparse=loss.sparse, columns=units)
                _check_metric(metric, loss, units)
                group.append((name, metric))
        keys = metrics_table.keys(*groups)
        plain = len(groups[0])
        named = [
            (key, metric, place >= plain)
            for place, (key, (_, metric)) in enumerate(zip(keys, [*groups[0], *groups[1]], strict=True))
        ]
        session.set_objective(loss, named, logits=loss.logits_of == activation, purpose=self._compilation)

    def fit(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | str | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | Order = True,
        sample_weight: Any = None,
        callbacks: Any = None,
        class_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
        *,
        rows: Any = None,
        validation_rows: Any = None,
        distribute: MPI | Group | None = None,
    ) -> History:
        """Train the model.

        Parameters
        ----------
        x : array_like (n, features), Source, or blocks
            Real numbers; C-contiguous float32 is used as it is, everything else is converted when it is used. Data
            that may be larger than memory are a :class:`fastmlp.data.Source`; an ``np.memmap``, an array of Zarr's or
            h5py's, and other objects with ``__getitem__`` and ``shape``, are one from the size on that a Source has in
            memory at a time (a memory map only where nothing is asked for that needs arrays, such as
            ``validation_split``). Blocks
            are a generator or any other iterable of ``(x, y)`` or ``(x, y, sample_weight)``, or an object with
            ``__len__`` and ``__getitem__`` such as ``keras.utils.PyDataset``. Each block is a batch, of any number of
            rows, in the order in which they come.
        y : array_like (n, units) or (n,)
            Targets as the loss takes them; not with blocks or a Source, which have their own. With a dataset of
            pyarrow's, the name of a column, or a list of such.
        batch_size : int or "auto", optional
            Rows a step, 32 by default. "auto" follows from the number of rows: the largest power of two that is not
            above its square root, but at least 32 and at most 1024; so 32 below 4096 rows, 64 below 16,384, 128
            below 65,536. With :class:`fastmlp.optimizers.LBFGS` all rows. Not with blocks.
        epochs : int
            How many times every row is seen.
        verbose : {"auto", 0, 1, 2}
            Nothing (0), a progress bar (1), a line an epoch (2); "auto" is a bar on a terminal, else lines.
        validation_split : float
            The share of rows, from the end and before any shuffling, that is kept out for validation. Not with blocks.
        validation_data : (x, y), (x, y, sample_weight), or blocks, optional
            What to validate on; goes before ``validation_split``. Every validation goes through blocks from the
            beginning, but a generator can only go on.
        shuffle : bool or callable
            Whether every epoch has a new order of rows; ignored with blocks. A function is called with their number
            before each epoch and returns the order: as many indices, of which some may come often and others not.
        sample_weight : array_like (n,), optional
            A factor of each row's loss. Not with blocks, which have their own.
        callbacks : list of fastmlp.callbacks.Callback, optional
            What to call between epochs; hooks of single batches are slower.
        class_weight : dict of int to float, optional
            A factor of the loss of each class's rows, multiplied with ``sample_weight``.
        initial_epoch : int
            The number of the first epoch; training ends with epoch ``epochs``.
        steps_per_epoch : int, optional
            Steps an epoch, the first ones of its order of rows; by default all. Blocks go on in the next epoch, and
            begin anew when all have been used; a generator that never ends needs it. Where blocks run out in an
            epoch, a warning says so, and training ends if they cannot begin anew.
        validation_steps : int, optional
            Batches to validate on, the first ones; by default all.
        validation_batch_size : int, optional
            Rows at a time in validation, ``batch_size`` by default.
        validation_freq : int
            Validation takes place every so many epochs.
        rows : array_like of int (n,), optional
            Train on these rows of ``x`` and ``y`` alone, in this order where they are not shuffled; some may come
            often. No data are copied.
        validation_rows : array_like of int (n,), optional
            Validate on these rows of ``x`` and ``y``, as on ``validation_data``.
        distribute : fastmlp.distributed.MPI, optional
            Train together with the other processes of an MPI job, all of which call ``fit`` alike. ``batch_size`` is
            then of the rows that each of them takes in a step. Not with blocks, or a loss of one's own.

        Returns
        -------
        History
            Loss and metrics of each epoch; those of training are running means, as in Keras.

        Raises
        ------
        NotCompiledError
            Before :meth:`compile`.
        ValueError, TypeError
            For data that do not fit; nothing is changed.
        TrainingDivergedError
            When the loss is NaN or infinite; the weights are those of the last finite epoch.
        ModelBusyError
            While another thread is in ``fit`` of this model. Other threads may predict meanwhile; they get the outputs
            for the weights from before the present epoch.
        """
        if isinstance(distribute, Group):
            group: Group | None = distribute
        elif distribute is not None:
            arguments = {name: value for name, value in locals().items() if name not in {"self", "distribute", "group"}}
            return fit_together(self.fit, distribute, arguments)
        else:
            group = None
        optimizer, loss = self._compiled()
        chosen_batch(batch_size, 1)  # an error of this argument comes before those of the data
        epochs = check_count("epochs", epochs)
        if isinstance(initial_epoch, bool) or not isinstance(initial_epoch, (int, np.integer)) or initial_epoch < 0:
            raise ValueError(f"initial_epoch must be an integer from 0, got {initial_epoch!r}")
        validation_freq = check_count("validation_freq", validation_freq)
        if validation_batch_size is not None:
            check_count("validation_batch_size", validation_batch_size)
        if not callable(shuffle):
            shuffle = check_flag("shuffle", shuffle)
        called = Callbacks(callbacks, group)
        if (
            isinstance(validation_split, bool)
            or not isinstance(validation_split, (int, float, np.number))
            or not 0 <= validation_split < 1
        ):
            raise ValueError(
                f"validation_split must be a number with 0 <= validation_split < 1, got {validation_split!r}"
            )
        progress = display.progress(verbose)
        if steps_per_epoch is not None:
            steps_per_epoch = check_count("steps_per_epoch", steps_per_epoch)
        if validation_steps is not None:
            validation_steps = check_count("validation_steps", validation_steps)
        source, x, y, sample_weight = sourced(
            "fit", x, y, sample_weight, validation_split=validation_split or None, rows=rows,
            validation_rows=validation_rows, shuffle=shuffle if callable(shuffle) else None,
            optimizer=optimizer if isinstance(optimizer, optimizers.LBFGS) else None,
        )  # fmt: skip
        if source is not None:
            refuse_together(group, "a Source")
            asked = chosen_batch(batch_size, source.rows)
            batch = min(asked, source.rows)
            steps = _limited("steps_per_epoch", steps_per_epoch, source.rows, batch)
            stream = make_stream(
                self, source, loss, "train on", batch, class_weight=class_weight, shuffled=bool(shuffle), steps=steps
            )
            given = TrainingData(stream, None, asked, steps)
        elif are_blocks(x):
            refuse_together(group, "blocks of data")
            refuse(
                "fit", y=y, sample_weight=sample_weight, batch_size=batch_size, validation_split=validation_split,
                rows=rows, validation_rows=validation_rows,
            )  # fmt: skip
            if isinstance(optimizer, optimizers.LBFGS):
                raise ValueError("LBFGS takes all rows at once, as arrays; blocks need an optimizer such as 'adam'")
            if any(backup.save_freq != "epoch" for backup in called.backups) or (called.backups and steps_per_epoch):
                raise ValueError(
                    "BackupAndRestore cannot find its place in blocks again but at the end of all of them: use "
                    "save_freq='epoch' without steps_per_epoch, or arrays"
                )
            blocks = self._blocks("x", x, steps_per_epoch, loss, "train on", class_weight)
            given = TrainingData(blocks, None, None, blocks.length)
        else:
            if validation_rows is not None and validation_data is not None:
                raise ValueError("validation_data and validation_rows must not both be given")
            split = 0.0 if validation_data is not None else float(validation_split)
            given = self._rows_to_fit(
                x, y, sample_weight, class_weight, batch_size, split, steps_per_epoch, rows, validation_rows, group
            )
        validation: Feed | Blocks | Stream | None = given.validation
        validated = validation_batch_size or given.batch_size or DEFAULT_BATCH
        if validation_data is not None:
            validation = self._validation(validation_data, loss, validation_steps, validation_batch_size, validated)
        if isinstance(validation, Feed) and validation_steps is not None:
            taken = _limited("validation_steps", validation_steps, validation.rows, validated)
            validation = validation.part(0, taken * validated)
        return self._run(
            given, validation, called, progress, shuffle=shuffle, validation_batch=validated,
            validation_freq=validation_freq, first=initial_epoch, last=epochs, verbose=verbose, group=group,
        )  # fmt: skip

    def _run(
        self,
        given: TrainingData,
        validation: Feed | Blocks | Stream | None,
        called: Callbacks,
        progress: display.Progress,
        *,
        shuffle: bool | Order,
        validation_batch: int,
        validation_freq: int,
        first: int,
        last: int,
        verbose: str | int,
        group: Group | None = None,
    ) -> History:
        """Train the epochs from ``first`` to ``last`` on data that have been checked."""
        optimizer, loss = self._compiled()
        session = self._ready()
        if group is not None:
            how = {
                "batch_size": given.batch_size, "steps_per_epoch": given.steps, "epochs": last, "initial_epoch": first,
                "shuffle": callable(shuffle) or shuffle, "validation_freq": validation_freq,
            }  # fmt: skip
            agree(group, self, session, given, validation, called, how)
            if not group.first:
                progress = display.progress(0)
        kind = (
            FullBatchRun if isinstance(optimizer, optimizers.LBFGS)
            else Run if isinstance(given.data, Feed)
            else StreamRun if isinstance(given.data, Stream)
            else BlockRun
        )  # fmt: skip
        with session.turns.fitting():
            self._set_objective(session, loss)
            if isinstance(optimizer, optimizers.Optimizer):
                session.set_optimizer(optimizer)
            if group is not None:
                start_alike(self, session, group)
            called.start(
                self,
                {
                    "epochs": last, "batch_size": given.batch_size, "samples": given.samples, "steps": given.steps,
                    "verbose": verbose, "order": given.order,
                },
            )  # fmt: skip
            self.history = called.history
            run = kind(
                self, session, given.data, validation, called, progress, batch=given.batch, steps=given.steps,
                shuffle=shuffle, validation_batch=validation_batch, validation_freq=validation_freq, group=group,
            )  # fmt: skip
            progress.begin(last, given.samples_an_epoch)
            self._running += 1
            try:
                run.train(first, last)
            finally:
                self._running -= 1
                progress.close()
        return called.history

    def _rows_to_fit(
        self,
        x: Any,
        y: Any,
        sample_weight: Any,
        class_weight: Any,
        batch_size: int | str | None,
        validation_split: float,
        steps_per_epoch: int | None,
        rows: Any,
        validation_rows: Any,
        group: Group | None,
    ) -> TrainingData:
        """The arrays of ``fit``, checked and split."""
        optimizer, loss = self._compiled()
        if y is None:
            missing_targets(x)
        features, targets, weights = self._checked(x, y, sample_weight, loss, "train on")
        if isinstance(optimizer, optimizers.LBFGS) and not isinstance(features, SparseRows):
            # converted once instead of by each iteration
            features = floats(features)
        chosen = None if rows is None else check_indices("rows", rows, len(features))
        training = Feed(features, targets, class_weights(class_weight, targets, weights, loss), chosen=chosen)
        validation: Feed | None = None
        if validation_rows is not None:
            kept_out = check_indices("validation_rows", validation_rows, len(features))
            validation = Feed(features, targets, weights, chosen=kept_out)
        elif validation_split:
            kept = int(training.rows * (1 - validation_split))
            if kept in (0, training.rows):
                raise ValueError(
                    f"validation_split={validation_split} leaves {kept} of {training.rows} rows for training and "
                    f"{training.rows - kept} for validation; both need at least one"
                )
            validation = Feed(features, targets, weights, chosen=chosen).part(kept, training.rows)
            training = training.part(0, kept)
        owners = group.size if group is not None and group.sharded else 1
        asked = chosen_batch(batch_size, training.rows) * (1 if group is None else group.size)
        if isinstance(optimizer, optimizers.LBFGS):
            check_deterministic(self._layers)
            if batch_size is not None and asked < training.rows:
                raise ValueError(
                    f"batch_size must be None or at least the {training.rows} rows to train on with LBFGS, which takes "
                    f"all rows at once, got {batch_size}"
                )
            asked = training.rows * owners
        samples = training.rows * owners
        steps = _limited("steps_per_epoch", steps_per_epoch, samples, min(asked, samples))
        return TrainingData(training, validation, asked, steps, owners)

    def train_on_batch(
        self, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None, return_dict: bool = False
    ) -> float | list[float] | dict[str, float]:
        """Make one step with all rows, and return the loss and the metrics of this batch alone.

        So does Keras since its pull request 22617; before, it went on with the metrics of earlier calls.

        Parameters
        ----------
        x, y, sample_weight, class_weight : array_like
            As for :meth:`fit`.
        return_dict : bool
            Whether to return a dict by name.

        Returns
        -------
        float, list of float, or dict
            The loss alone without metrics, else the loss and the metrics in their order, from before the step.

        Raises
        ------
        TrainingDivergedError
            When the loss or a weight becomes NaN or infinite; the weights are those from before.
        """
        if sample_weight is None and class_weight is None:
            logs = self._step_again(x, y, NO_WEIGHTS)
            if logs is not None:
                return _as_asked(logs, return_dict)
        optimizer, loss = self._compiled()
        if isinstance(optimizer, optimizers.LBFGS):
            raise ValueError("LBFGS trains on whole data sets by fit; train_on_batch needs an optimizer such as 'adam'")
        features, targets, weights = self._checked(x, y, sample_weight, loss, "train on")
        return _as_asked(
            self._make_step(Feed(features, targets, class_weights(class_weight, targets, weights, loss))), return_dict
        )

    def _step_again(self, x: Any, y: Any, weights: Float32) -> dict[str, float] | None:
        """Make the step of last time with other rows, and return what it has measured.

        None, and nothing is done, where it would be another step, or rows need a closer look.
        """
        session, loss = self._session, self.loss
        if session is None or type(x) is not np.ndarray or x.ndim != 2 or self._built_trainable != self._trainable():
            return None
        if not session.follows(self._compilation, self.optimizer) or not isinstance(loss, losses.Loss):
            return None
        if loss.sparse:
            y = check_y(y, len(x), session.plan.units, loss)
        features, targets = plain(x), plain(y)
        if features is None or targets is None:
            return None
        if targets.ndim == 1:
            targets = targets[:, None]
        return session.turns.once(session.train_again, features, targets, weights, loss.target_range)

    def _make_step(self, feed: Feed) -> dict[str, float]:
        """Make one step with all rows of a feed, which has been checked, and return what it has measured."""
        optimizer, loss = self._compiled()
        session = self._session
        assert session is not None
        assert isinstance(optimizer, optimizers.Optimizer)
        with session.turns.changing() as put_back:
            self._set_objective(session, loss)
            session.set_optimizer(optimizer)
            return session.train_batch(feed, put_back)

    def test_on_batch(
        self, x: Any, y: Any, sample_weight: Any = None, return_dict: bool = False
    ) -> float | list[float] | dict[str, float]:
        """Return the loss and the metrics of this batch alone; see :meth:`evaluate`."""
        return self.evaluate(x, y, sample_weight=sample_weight, return_dict=return_dict)

    def reset_metrics(self) -> None:
        """Do nothing: no metric outlives a call. Loops of ``train_on_batch`` written for Keras call it."""

    def predict_on_batch(self, x: Any) -> Float32:
        """Return the outputs for a batch; see :meth:`predict`."""
        return self(x)

    def _checked(
        self, x: Any, y: Any, sample_weight: Any, loss: losses.Loss, purpose: str
    ) -> tuple[Rows, Float32, Float32]:
        """Features, targets and weights of at least one row, checked; they may build the model."""
        features = check_x(x, self._inputs)
        if len(features) == 0:
            raise ValueError(f"x must have at least one row to {purpose}, got the shape {features.shape}")
        if not self._layers:
            raise ValueError("the model has no layers: add at least one Dense")
        shape = features.shape[1:]
        units = self._output_shape(shape)[-1] if self._plan is None else self._plan.units
        targets = check_y(y, len(features), units, loss)
        weights = class_weights(None, targets, check_sample_weight(sample_weight, len(features)), loss)
        self._ready(shape)
        return as_rows(features), targets, weights

    def _blocks(
        self, name: str, source: Any, steps: int | None, loss: losses.Loss, purpose: str, class_weight: Any = None
    ) -> Blocks:
        """Blocks of which an epoch has begun, with a first one that has built the model if it was not."""

        def check(block: Any) -> Feed:
            x, y, sample_weight = unpacked(block, targets=True)
            features, targets, weights = self._checked(x, y, sample_weight, loss, purpose)
            return Feed(features, targets, class_weights(class_weight, targets, weights, loss))

        blocks = Blocks(name, source, steps, check, resume=purpose == "train on")
        if purpose != "validate on":
            blocks.must_begin()
        return blocks

    def _validation(
        self, data: Any, loss: losses.Loss, steps: int | None, batch_size: int | None, batch: int
    ) -> Feed | Blocks | Stream:
        if isinstance(data, Source):
            data = (data,)
        elif are_blocks(data):
            refuse("fit", validation_batch_size=batch_size)
            return self._blocks("validation_data", data, steps, loss, "validate on")
        elif not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
            got = f"{len(data)} elements" if isinstance(data, (tuple, list)) else type(data).__name__
            raise ValueError(
                f"validation_data must be (x, y), (x, y, sample_weight), a Source, or blocks of these, got {got}"
            )
        try:
            source, x, y, weights = sourced("validation", *data)
            if source is None:
                return Feed(*self._checked(x, y, weights, loss, "validate on"))
            return self._stream(source, loss, "validate on", batch, "validation_steps", steps)
        except (ValueError, TypeError) as error:
            raise type(error)(f"validation_data: {error}") from None

    def _stream(
        self, source: Source, loss: losses.Loss | None, purpose: str, batch: int, argument: str, steps: int | None
    ) -> Stream:
        """A source to go through in its own order, by so many ``steps``, which are an ``argument``."""
        batch = min(batch, source.rows)
        return make_stream(self, source, loss, purpose, batch, steps=_limited(argument, steps, source.rows, batch))

    def evaluate(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = 0,
        sample_weight: Any = None,
        return_dict: bool = False,
        callbacks: Any = None,
        steps: int | None = None,
    ) -> float | list[float] | dict[str, float]:
        """Return the loss and the metrics over data.

        Parameters
        ----------
        x, y, sample_weight : array_like
            As for :meth:`fit`; x may be blocks.
        batch_size : int, optional
            Rows at a time, 32 by default; it changes nothing but memory and speed. Not with blocks.
        verbose : {"auto", 0, 1, 2}
            Nothing (0), a bar over the steps that leaves a line (1), a line (2); "auto" is a bar on a terminal, else
            a line.
        return_dict : bool
            Whether to return a dict by name.
        callbacks : list of fastmlp.callbacks.Callback, optional
            Of whom ``on_test_begin``, ``on_test_end`` and those of single batches are called; with the latter, rows
            go through by ``batch_size``, which is slower.
        steps : int, optional
            Batches to evaluate, the first ones; by default all.

        Returns
        -------
        float, list of float, or dict
            The loss alone without metrics, else the loss and the metrics in their order.
        """
        _, loss = self._compiled()
        batch = DEFAULT_BATCH if batch_size is None else check_count("batch_size", batch_size)
        progress = display.progress(verbose)
        steps = None if steps is None else check_count("steps", steps)
        data: Feed | Blocks | Stream
        source, x, y, sample_weight = sourced("evaluate", x, y, sample_weight)
        if source is not None:
            data = self._stream(source, loss, "evaluate", batch, "steps", steps)
        elif are_blocks(x):
            refuse("evaluate", y=y, sample_weight=sample_weight, batch_size=batch_size)
            data = self._blocks("x", x, steps, loss, "evaluate")
        else:
            if y is None:
                missing_targets(x)
            data = Feed(*self._checked(x, y, sample_weight, loss, "evaluate"))
            if steps is not None:
                data = data.part(0, _limited("steps", steps, data.rows, batch) * batch)
        session = self._ready()
        called = Callbacks(callbacks)
        samples = None if isinstance(data, Blocks) else data.rows
        called.start(self, {"samples": samples, "verbose": verbose})
        progress.begin(1, samples, batch)
        progress.epoch_begin(0)
        try:
            with session.turns.alone():
                self._set_objective(session, loss)
                if isinstance(data, Stream):
                    set_centre(data, session)
                called.call("on_test_begin", None)
                logs = judging.evaluate(session, data, batch, called.members, progress.update)
                called.call("on_test_end", dict(logs))
            progress.epoch_end(0, logs)
        finally:
            progress.close()
        if isinstance(data, Blocks):
            data.end()
        return _as_asked(logs, return_dict)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = 0,
        callbacks: Any = None,
        steps: int | None = None,
    ) -> Float32:
        """Return the outputs for data.

        Parameters
        ----------
        x : array_like (n, features), or blocks
            Real finite numbers; n may be 0. Blocks are an iterable of such arrays, or of tuples that begin with one, as
            for :meth:`fit`; a list is an array.
        batch_size : int, optional
            32 by default: what ``steps`` and hooks of single batches count. Otherwise rows go through the network in
            pieces that suit the caches, and the results have the same bits for any. Not with blocks.
        verbose : {"auto", 0, 1, 2}
            As for :meth:`evaluate`.
        callbacks : list of fastmlp.callbacks.Callback, optional
            Of whom ``on_predict_begin``, ``on_predict_end`` and those of single batches are called; with the latter,
            rows go through by ``batch_size``, which is slower.
        steps : int, optional
            Batches to predict, the first ones; by default all.

        Returns
        -------
        ndarray of float32 (n, units)
        """
        batch = DEFAULT_BATCH if batch_size is None else check_count("batch_size", batch_size)
        steps = None if steps is None else check_count("steps", steps)
        progress = display.progress(verbose)
        if verbose == 0 and callbacks is None and steps is None and type(x) is np.ndarray:
            # nobody to tell; for one row, telling would take longer than the network
            return self(x)
        called = Callbacks(callbacks)
        data: Rows | Blocks | Stream
        source, x, _, _ = sourced("predict", x)
        if source is not None:
            data = self._stream(source, None, "predict", batch, "steps", steps)
        elif are_blocks(x):
            refuse("predict", batch_size=batch_size)
            data = Blocks("x", x, steps, self._outputs_of, resume=False)
            data.must_begin()
        else:
            data = self._features(x)
            if steps is not None:
                data = data[: _limited("steps", steps, len(data), batch) * batch]
        samples = None if isinstance(data, Blocks) else data.rows if isinstance(data, Stream) else len(data)
        called.start(self, {"samples": samples, "verbose": verbose})
        progress.begin(1, samples, batch)
        progress.epoch_begin(0)
        try:
            called.call("on_predict_begin", None)
            assert self._predictor is not None
            hooks = judging.Hooks(called.members, *judging.PREDICT_HOOKS)
            update = partial(progress.update, logs={})
            if isinstance(data, Stream):
                outputs = predict_stream(self._predictor, data, self._ready().plan.units, hooks, update)
            else:
                outputs = judging.predict(self._predictor, data, batch, hooks, update)
            called.call("on_predict_end", None)
            progress.epoch_end(0, {})
        finally:
            progress.close()
        if isinstance(data, Blocks):
            data.end()
        return outputs

    def _outputs_of(self, block: Any) -> Feed:
        """A block of a prediction: its features, and no targets."""
        features = self._features(unpacked(block, targets=False)[0])
        return Feed(features, np.empty((len(features), 0), np.float32), np.empty(0, np.float32))

    def _features(self, x: Any) -> Rows:
        """Checked samples as rows; they may build the model."""
        features = check_x(x, self._inputs)
        if self._predictor is None:
            self._ready(features.shape[1:])
        return as_rows(features)

    def __call__(self, x: Any) -> Float32:
        """Return the outputs for a batch; see :meth:`predict`."""
        features = self._features(x)
        assert self._predictor is not None
        return self._predictor(features)


def check_deterministic(layers: Iterable[Layer]) -> None:
    """Raise ValueError for layers with which the loss is no function of the weights alone, as L-BFGS needs it."""
    for layer in nested(layers):
        noisy = isinstance(layer, (Dropout, GaussianNoise))
        if noisy or (isinstance(layer, BatchNormalization) and layer.trainable):
            raise ValueError(
                f"LBFGS needs a loss that follows from the weights alone, and layer {layer.name!r} "
                f"({type(layer).__name__}) {'draws random numbers' if noisy else 'keeps averages of batches'}; "
                "use an optimizer such as 'adam'"
            )
        if getattr(layer, "kernel_constraint", None) is not None:
            raise ValueError(f"LBFGS cannot keep the kernel_constraint of layer {layer.name!r}; use one such as 'adam'")


def _limited(argument: str, asked: int | None, rows: int, batch: int) -> int:
    """Return how many batches to take of so many rows, or raise ValueError if there are fewer than asked for."""
    there = -(-rows // batch)
    if asked is not None and asked > there:
        raise ValueError(f"{argument} must be at most the {there} batches of {batch} rows, got {asked}")
    return there if asked is None else asked


def _as_asked(logs: dict[str, float], return_dict: bool) -> float | list[float] | dict[str, float]:
    """Loss and metrics as Keras returns them: a dict, a list, or the loss alone where there is no metric."""
    if return_dict:
        return logs
    return logs["loss"] if len(logs) == 1 else list(logs.values())


def _check_metric(metric: metrics_table.Metric, loss: losses.Loss, units: int) -> None:
    """Raise ValueError if a metric does not fit the loss' targets, or has more than one number for the logs."""
    _check_figures(metric, units)
    if metric.sparse != loss.sparse:
        wants, has = ("class numbers", "an array of targets") if metric.sparse else (
            "targets in the outputs' shape", "class numbers",
        )  # fmt: skip
        raise ValueError(f"metric {metric.name} needs {wants}, but {loss.name} takes {has}")


def _check_figures(metric: metrics_table.Metric, units: int) -> None:
    """Raise ValueError if a metric has more than one number for the logs."""
    if metric.figures(units) != 1:
        raise ValueError(
            f"metric {metric!r} has {metric.figures(units)} numbers, and logs take one; "
            "give it one threshold or an average, or call it with targets and predictions instead"
        )
