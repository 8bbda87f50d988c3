import numpy as np
import pytest

from fastmlp import Dense, Input, Sequential, callbacks, optimizers
from fastmlp.errors import TrainingDivergedError

X = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=(20, 1)).astype(np.float32)


def network(units=1, activation=None, loss="mse", **options):
    model = Sequential([Input(shape=(2,)), Dense(3, activation="tanh"), Dense(units, activation=activation)], seed=0)
    model.compile(optimizer=optimizers.SGD(learning_rate=0.1), loss=loss, **options)
    return model


class Script(callbacks.Callback):
    """Puts a sequence of values into the logs."""

    def __init__(self, values, name="seen"):
        super().__init__()
        self.values, self.name = values, name
        self.weights = []

    def on_epoch_end(self, epoch, logs=None):
        logs[self.name] = self.values[epoch]
        self.weights.append(self.model.get_weights())


def run(values, callback, model=None, name="seen"):
    model = model or network()
    script = Script(values, name)
    return model, script, model.fit(X, Y, epochs=len(values), verbose=0, callbacks=[script, callback])


def same(first, second):
    return all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("values", "options", "epochs", "best"),
    [
        ([3, 2, 2.5, 1, 0], {}, 3, 1),
        ([3, 2, 2.5, 1, 2, 2, 2], {"patience": 2}, 6, 3),
        ([3, 2.9, 2.8, 1], {"min_delta": 0.5}, 2, 0),
        ([1, 2, 1, 5], {"mode": "max"}, 3, 1),
        ([9, 8, 8, 6], {"baseline": 5, "patience": 2}, 3, 1),
        ([1, 5, 6, 4, 7, 3], {"start_from_epoch": 2}, 5, 3),
    ],
    ids=str,
)
def test_early_stopping(values, options, epochs, best):
    stopping = callbacks.EarlyStopping("seen", restore_best_weights=True, **options)
    model, script, history = run(values, stopping)
    assert history.epoch == list(range(epochs))
    assert stopping.stopped_epoch == epochs - 1
    if "baseline" not in options:
        assert stopping.best_epoch == best
        assert stopping.best == values[best]
    assert same(model.get_weights(), script.weights[stopping.best_epoch])


def test_early_stopping_knows_that_accuracy_is_to_rise():
    stopping = callbacks.EarlyStopping("val_accuracy")
    assert run([0.1, 0.2, 0.15, 1], stopping, name="val_accuracy")[2].epoch == [0, 1, 2]


def test_an_unknown_monitor_warns():
    with pytest.warns(UserWarning, match="'nothing'"):
        network().fit(X, Y, verbose=0, callbacks=[callbacks.EarlyStopping("nothing")])


def test_plateau():
    plateau = callbacks.ReduceLROnPlateau("seen", factor=0.5, patience=2, cooldown=1, min_lr=0.02)
    _, _, history = run([1, 1, 1, 1, 1, 1, 1, 1, 1, 1], plateau)
    expected = [0.1, 0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.02, 0.02, 0.02]
    assert history.history["learning_rate"] == pytest.approx(expected)
    with pytest.raises(ValueError, match="factor"):
        callbacks.ReduceLROnPlateau(factor=1.0)
    with pytest.raises(ValueError, match="mode"):
        callbacks.ReduceLROnPlateau(mode="up")


def test_the_scheduler_acts_from_the_epoch_it_begins():
    model = network()
    before = model.get_weights()
    scheduler = callbacks.LearningRateScheduler(lambda epoch, rate: 0.0 if epoch == 0 else 0.1)
    _, script, history = run([0, 0], scheduler, model)
    assert history.history["learning_rate"] == [0.0, 0.1]
    assert same(script.weights[0], before)
    assert not same(script.weights[1], before)


def test_the_scheduler_takes_functions_of_the_epoch_alone():
    for schedule in (lambda epoch: 0.1 / (1 + epoch), optimizers.schedules.InverseTimeDecay(0.1, 1, 1.0)):
        _, _, history = run([0, 0], callbacks.LearningRateScheduler(schedule))
        assert history.history["learning_rate"] == pytest.approx([0.1, 0.05])
    # not every function of C says what it takes
    _, _, history = run([0, 0], callbacks.LearningRateScheduler(max))
    assert history.history["learning_rate"][1] == 1.0


def test_order_of_the_hooks_and_params():
    seen = []
    names = ("train_begin", "train_end", "epoch_begin", "epoch_end", "train_batch_begin", "train_batch_end",
             "test_begin", "test_end")  # fmt: skip
    hooks = {f"on_{name}": lambda *args, name=name: seen.append((name, *args[:-1])) for name in names}
    callback = callbacks.LambdaCallback(**hooks)
    model = network()
    model.fit(X, Y, verbose=0, batch_size=10, validation_data=(X, Y), callbacks=[callback])
    assert seen == [
        ("train_begin",), ("epoch_begin", 0), ("train_batch_begin", 0), ("train_batch_end", 0),
        ("train_batch_begin", 1), ("train_batch_end", 1), ("test_begin",), ("test_end",), ("epoch_end", 0),
        ("train_end",),
    ]  # fmt: skip
    assert callback.model is model
    assert callback.params["steps"] == 2
    with pytest.raises(TypeError, match="on_nothing"):
        callbacks.LambdaCallback(on_nothing=print)


def test_batch_hooks_change_no_bit_even_if_they_use_the_model():
    plain, hooked = network(metrics=["mae"]), network(metrics=["mae"])
    hook = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: hooked.evaluate(X[:3], Y[:3]))
    first = plain.fit(X, Y, epochs=2, batch_size=3, verbose=0)
    second = hooked.fit(X, Y, epochs=2, batch_size=3, verbose=0, callbacks=[hook])
    assert same(plain.get_weights(), hooked.get_weights())
    assert first.history == second.history


def test_stop_in_a_batch():
    model, seen = network(), []

    def stop(batch, logs):
        seen.append(batch)
        model.stop_training = batch == 1

    history = model.fit(
        X, Y, epochs=3, batch_size=4, verbose=0, callbacks=[callbacks.LambdaCallback(on_train_batch_end=stop)]
    )
    assert seen == [0, 1]
    assert history.epoch == [0]


def test_a_callback_that_raises_leaves_a_model_that_trains():
    model = network()

    def fail(*_):
        raise RuntimeError("mine")

    for hook in ("on_epoch_end", "on_train_batch_end", "on_train_batch_begin", "on_epoch_begin"):
        with pytest.raises(RuntimeError, match="mine"):
            model.fit(X, Y, epochs=2, verbose=0, callbacks=[callbacks.LambdaCallback(**{hook: fail})])
        assert model.history.epoch == ([0] if hook == "on_epoch_end" else [])
        assert np.isfinite(model.predict(X)).all()
    assert model.fit(X, Y, verbose=0).epoch == [0]


def test_terminate_on_nan(capsys):
    model = network()
    model.optimizer.learning_rate = 1e30
    before = model.get_weights()
    history = model.fit(X, Y, epochs=3, verbose=0, batch_size=2, callbacks=[callbacks.TerminateOnNaN()])
    assert history.epoch == []
    assert same(model.get_weights(), before)
    assert "terminating" in capsys.readouterr().out


def test_csv_logger(tmp_path):
    path = tmp_path / "log.csv"
    for append in (False, True):
        logger = callbacks.CSVLogger(path, separator=";", append=append)
        network().fit(X, Y, epochs=2, verbose=0, callbacks=[logger])
    lines = path.read_text().splitlines()
    assert lines[0] == "epoch;loss"
    assert [line.split(";")[0] for line in lines[1:]] == ["0", "1", "0", "1"]


def test_a_history_in_the_list_is_returned():
    history = callbacks.History()
    assert network().fit(X, Y, epochs=2, verbose=0, callbacks=[history]) is history
    assert len(history.history["loss"]) == 2


@pytest.mark.parametrize("wrong", ["early", [print], 3, [callbacks.EarlyStopping]], ids=str)
def test_wrong_callbacks(wrong):
    with pytest.raises(TypeError, match="callbacks"):
        network().fit(X, Y, verbose=0, callbacks=wrong)


def test_epochs_and_validation():
    history = network().fit(
        X, Y, epochs=5, initial_epoch=1, validation_split=0.2, validation_freq=2, validation_batch_size=2, verbose=0
    )
    assert history.epoch == [1, 2, 3, 4]
    assert len(history.history["val_loss"]) == 2
    for options in ({"initial_epoch": -1}, {"validation_freq": 0}, {"steps_per_epoch": 9}):
        with pytest.raises(ValueError, match=next(iter(options))):
            network().fit(X, Y, verbose=0, **options)


def test_steps_per_epoch():
    limited, plain = network(), network()
    limited.fit(X, Y, batch_size=5, steps_per_epoch=2, shuffle=False, verbose=0)
    plain.fit(X[:10], Y[:10], batch_size=5, shuffle=False, verbose=0)
    assert same(limited.get_weights(), plain.get_weights())


@pytest.mark.parametrize("kind", ["sparse", "one_hot", "binary"])
def test_class_weight_is_a_sample_weight(kind):
    classes = np.arange(20) % (2 if kind == "binary" else 3)
    units, activation, loss, y = {
        "sparse": (3, "softmax", "sparse_categorical_crossentropy", classes),
        "one_hot": (3, "softmax", "categorical_crossentropy", np.eye(3)[classes]),
        "binary": (1, "sigmoid", "binary_crossentropy", classes[:, None]),
    }[kind]
    chosen = {0: 1.0, 1: 0.5, **({} if kind == "binary" else {2: 3.0})}
    rows = np.linspace(0, 1, 20)
    factors = np.array([chosen[number] for number in classes], np.float32) * rows.astype(np.float32)
    first, second = network(units, activation, loss), network(units, activation, loss)
    first.fit(X, y, verbose=0, class_weight=chosen, sample_weight=rows)
    second.fit(X, y, verbose=0, sample_weight=factors)
    assert same(first.get_weights(), second.get_weights())
    for wrong in ({0: 1.0}, {**chosen, 0: -1.0}, {**chosen, -7: 1.0}, {**chosen, 0: np.nan}):
        with pytest.raises(ValueError, match="class_weight"):
            first.fit(X, y, verbose=0, class_weight=wrong)
    with pytest.raises(TypeError, match="class_weight"):
        first.fit(X, y, verbose=0, class_weight=[1, 2])


def test_on_batch():
    stepped, fitted = network(metrics=["mae"]), network(metrics=["mae"])
    expected = fitted.fit(X, Y, batch_size=20, shuffle=False, verbose=0).history
    loss, mae = stepped.train_on_batch(X, Y)
    assert [loss, mae] == [expected["loss"][0], expected["mae"][0]]
    assert same(stepped.get_weights(), fitted.get_weights())
    assert stepped.test_on_batch(X, Y, return_dict=True) == fitted.evaluate(X, Y, return_dict=True)
    assert isinstance(network().train_on_batch(X, Y), float)
    np.testing.assert_array_equal(stepped.predict_on_batch(X), fitted.predict(X))
    # no call goes on with the metrics of another
    stepped.reset_metrics()
    again = stepped.evaluate(X[:5], Y[:5])
    assert stepped.train_on_batch(X[:5], Y[:5]) == pytest.approx(again, rel=1e-6)
    assert stepped.test_on_batch(X, Y) == stepped.evaluate(X, Y)
    stepped.optimizer.learning_rate = 1e38
    before = stepped.get_weights()
    with pytest.raises(TrainingDivergedError):
        stepped.train_on_batch(X, 1e6 * Y)
    assert same(stepped.get_weights(), before)


def test_evaluate_and_predict_call_back():
    seen = []
    hooks = {name: lambda logs, name=name: seen.append(name) for name in (
        "on_test_begin", "on_test_end", "on_predict_begin", "on_predict_end"
    )}  # fmt: skip
    callback = callbacks.LambdaCallback(**hooks)
    model = network()
    model.evaluate(X, Y, callbacks=[callback])
    model.predict(X, callbacks=[callback])
    assert seen == list(hooks)


def test_batch_hooks_of_evaluations_and_predictions():
    seen, parts = [], []
    model = network(metrics=["mae"])

    def outputs(batch, logs):
        seen.append(("predict_end", batch))
        parts.append(logs["outputs"])
        model.evaluate(X, Y)

    callback = callbacks.LambdaCallback(
        on_test_batch_begin=lambda batch, logs: seen.append(("test", batch)),
        on_test_batch_end=lambda batch, logs: (seen.append(("test_end", batch, logs["loss"])), model.evaluate(X, -Y)),
        on_predict_batch_begin=lambda batch, logs: seen.append(("predict", batch)),
        on_predict_batch_end=outputs,
    )
    found = model.evaluate(X, Y, batch_size=8, callbacks=[callback])
    assert found == pytest.approx(model.evaluate(X, Y), rel=1e-6)
    assert [entry[:2] for entry in seen] == [
        ("test", 0), ("test_end", 0), ("test", 1), ("test_end", 1), ("test", 2), ("test_end", 2)
    ]  # fmt: skip
    running = [model.evaluate(X[:rows], Y[:rows])[0] for rows in (8, 16, 20)]
    assert [entry[2] for entry in seen if entry[0] == "test_end"] == pytest.approx(running, rel=1e-6)
    seen.clear()
    predicted = model.predict(X, batch_size=12, callbacks=[callback])
    assert seen == [("predict", 0), ("predict_end", 0), ("predict", 1), ("predict_end", 1)]
    np.testing.assert_array_equal(predicted, model.predict(X))
    np.testing.assert_array_equal(np.concatenate(parts), predicted)
    assert model.predict(X[:0], callbacks=[callback]).shape == (0, 1)


def test_the_loss_of_a_test_batch_has_the_penalties():
    model = Sequential([Input(shape=(2,)), Dense(1, kernel_regularizer="l2")], seed=0)
    model.compile("sgd", "mse")
    losses = []
    hook = callbacks.LambdaCallback(on_test_batch_end=lambda batch, logs: losses.append(logs["loss"]))
    found = model.evaluate(X, Y, callbacks=[hook])
    assert losses == [found]
    assert found > np.mean(np.square(model.predict(X) - Y))


def test_hooks_of_batches_are_not_called_where_nobody_overrides_them(monkeypatch):
    def never(*_):
        raise AssertionError

    model = network()
    monkeypatch.setattr(model._session, "evaluate_blocks", never)
    monkeypatch.setattr(callbacks.Callback, "on_test_batch_end", never)
    monkeypatch.setattr(callbacks.Callback, "on_predict_batch_end", never)
    model.evaluate(X, Y, callbacks=[callbacks.Callback()])
    model.predict(X, callbacks=[callbacks.Callback()])


@pytest.mark.parametrize(
    ("kind", "argument", "wrong", "error"),
    [
        *(
            (kind, argument, wrong, error)
            for kind in (callbacks.EarlyStopping, callbacks.ReduceLROnPlateau)
            for argument, wrong, error in [
                ("monitor", 3, TypeError), ("monitor", "", TypeError), ("mode", "up", ValueError),
                ("mode", None, ValueError), ("mode", ["min"], ValueError), ("min_delta", "0.1", TypeError),
                ("min_delta", np.nan, ValueError), ("patience", -1, ValueError), ("patience", 2.5, ValueError),
                ("patience", True, ValueError), ("patience", None, ValueError), ("verbose", 2, ValueError),
                ("verbose", "auto", ValueError),
            ]
        ),
        (callbacks.EarlyStopping, "baseline", "low", TypeError),
        (callbacks.EarlyStopping, "baseline", np.inf, ValueError),
        (callbacks.EarlyStopping, "restore_best_weights", 1, TypeError),
        (callbacks.EarlyStopping, "start_from_epoch", -1, ValueError),
        (callbacks.ReduceLROnPlateau, "factor", 1.0, ValueError),
        (callbacks.ReduceLROnPlateau, "factor", -0.1, ValueError),
        (callbacks.ReduceLROnPlateau, "factor", "0.1", TypeError),
        (callbacks.ReduceLROnPlateau, "cooldown", -1, ValueError),
        (callbacks.ReduceLROnPlateau, "cooldown", 1.5, ValueError),
        (callbacks.ReduceLROnPlateau, "min_lr", -1e-3, ValueError),
        (callbacks.ReduceLROnPlateau, "min_lr", None, TypeError),
        (callbacks.LearningRateScheduler, "schedule", 0.1, TypeError),
        (callbacks.CSVLogger, "filename", 3, TypeError),
        (callbacks.CSVLogger, "separator", ", ", ValueError),
        (callbacks.CSVLogger, "separator", "\n", ValueError),
        (callbacks.CSVLogger, "append", "yes", TypeError),
    ],
    ids=lambda value: getattr(value, "__name__", repr(value)),
)  # fmt: skip
def test_wrong_arguments_of_callbacks(kind, argument, wrong, error):
    needed = {callbacks.LearningRateScheduler: "schedule", callbacks.CSVLogger: "filename"}
    given = {needed[kind]: "file.csv"} if kind in needed else {}
    with pytest.raises(error, match=argument):
        kind(**{**given, argument: wrong})


@pytest.mark.parametrize("rate", [None, "fast", np.nan, -0.1])
def test_a_scheduler_that_returns_no_rate(rate):
    with pytest.raises((TypeError, ValueError), match="what schedule returns for epoch 0"):
        network().fit(X, Y, verbose=0, callbacks=[callbacks.LearningRateScheduler(lambda epoch, before: rate)])
