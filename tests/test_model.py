import naive
import numpy as np
import pytest

import fastmlp
from fastmlp import Dense, Input, Sequential, losses, metrics, optimizers
from fastmlp.errors import NotBuiltError, NotCompiledError


def problem(rows=20, features=2, units=1):
    rng = np.random.default_rng(3)
    return rng.normal(0, 1, (rows, features)), rng.normal(0, 1, (rows, units))


def network(units=1, last=None, features=2, seed=0):
    layers = [Input(shape=(features,)), Dense(4, activation="tanh"), Dense(units, activation=last)]
    return Sequential(layers, seed=seed)


def assert_equal_weights(first, second):
    assert [weight.tobytes() for weight in first] == [weight.tobytes() for weight in second]


# --- the code of courses ----------------------------------------------------------------------------------


def test_the_code_of_the_course():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (200, 2))
    y = (X.sum(axis=1, keepdims=True) > 0).astype(int)
    fastmlp.set_random_seed(1234)
    model = fastmlp.Sequential(
        [
            fastmlp.Input(shape=(2,)),
            fastmlp.Dense(3, activation="sigmoid", name="layer1"),
            fastmlp.Dense(1, activation="sigmoid", name="layer2"),
        ]
    )
    model.compile(
        loss=fastmlp.losses.BinaryCrossentropy(),
        optimizer=fastmlp.optimizers.Adam(learning_rate=0.01),
    )
    history = model.fit(X, y, epochs=10)
    assert len(history.history["loss"]) == 10
    assert history.history["loss"][-1] < history.history["loss"][0]
    W1, b1 = model.get_layer("layer1").get_weights()
    W2, b2 = model.get_layer("layer2").get_weights()
    assert (W1.shape, b1.shape, W2.shape, b2.shape) == ((2, 3), (3,), (3, 1), (1,))
    W1 = np.array([[-8.9, 0.3, 12.9], [-0.1, -7.3, 10.8]])
    b1 = np.array([-9.8, -9.3, 1.0])
    model.get_layer("layer1").set_weights([W1, b1])
    np.testing.assert_array_equal(model.get_layer("layer1").get_weights()[0], W1.astype(np.float32))
    predictions = model.predict(X[:5])
    assert predictions.shape == (5, 1)
    decisions = (predictions >= 0.5).astype(int)
    assert set(decisions.ravel()) <= {0, 1}


# --- the stack --------------------------------------------------------------------------------------------


def test_add_and_layers():
    model = Sequential()
    model.add(Input(shape=(3,)))
    first, second = Dense(4), Dense(2)
    model.add(first)
    model.add(second)
    assert model.layers == [first, second]
    model.layers.clear()
    assert model.layers == [first, second]
    assert model.get_layer(index=0) is first
    assert model.get_layer(index=-1) is second
    assert model.get_layer("dense_1") is second


def test_default_names():
    model = Sequential([Dense(1), Dense(1, name="own"), Dense(1)])
    assert [layer.name for layer in model.layers] == ["dense", "own", "dense_1"]
    model = Sequential([Dense(1, name="dense_1"), Dense(1), Dense(1)])
    names = [layer.name for layer in model.layers]
    assert len(set(names)) == 3


def test_add_keeps_the_weights_that_are_there():
    model = Sequential([Input(shape=(3,)), Dense(4)], seed=0)
    weights = model.get_weights()
    model.add(Dense(2))
    assert_equal_weights(model.get_weights()[:2], weights)
    assert model.predict(np.ones((5, 3))).shape == (5, 2)


def test_pop_returns_the_layer_with_its_weights():
    model = network()
    weights = model.get_weights()
    layer = model.pop()
    assert_equal_weights(layer.get_weights(), weights[2:])
    assert_equal_weights(model.get_weights(), weights[:2])
    assert model.predict(np.ones((3, 2))).shape == (3, 4)
    model.add(layer)
    assert_equal_weights(model.get_weights(), weights)
    while model.layers:
        model.pop()
    with pytest.raises(IndexError, match="empty"):
        model.pop()


def test_a_popped_layer_moves_to_another_model():
    model, other = network(), Sequential([Input(shape=(4,))])
    layer = model.pop()
    weights = layer.get_weights()
    other.add(layer)
    assert_equal_weights(other.get_weights(), weights)


def test_a_popped_layer_of_another_width_is_refused():
    layer = network().pop()
    weights = layer.get_weights()
    other = Sequential([Input(shape=(7,)), Dense(3)])
    with pytest.raises(ValueError, match=r"shape|features|inputs"):
        other.add(layer)
    assert_equal_weights(layer.get_weights(), weights)
    assert len(other.layers) == 1
    assert other.predict(np.ones((2, 7))).shape == (2, 3)


def test_training_goes_on_after_add_and_pop():
    x, y = problem()
    model = network()
    model.compile(optimizer="adam", loss="mse")
    model.fit(x, y, verbose=0)
    model.add(Dense(1))
    model.fit(x, y, verbose=0)
    model.pop()
    model.pop()
    model.add(Dense(1, name="new"))
    model.fit(x, y, verbose=0)
    assert model.predict(x).shape == (20, 1)


@pytest.mark.parametrize("shape", [(5,), (None, 5)])
def test_build(shape):
    model = Sequential([Dense(3), Dense(2)], seed=1)
    assert not model.built
    for unbuilt in (model.get_weights, model.count_params, model.layers[0].get_weights):
        with pytest.raises(NotBuiltError):
            unbuilt()
    model.build(shape)
    assert model.built
    assert [weight.shape for weight in model.get_weights()] == [(5, 3), (3,), (3, 2), (2,)]
    before = model.get_weights()
    model.build(shape)
    assert_equal_weights(model.get_weights(), before)
    assert_equal_weights(before, Sequential([Input(shape=(5,)), Dense(3), Dense(2)], seed=1).get_weights())


@pytest.mark.parametrize("use", ["fit", "evaluate", "predict"])
def test_the_first_data_build_a_lazy_model(use):
    x, y = problem(features=6)
    model = Sequential([Dense(3), Dense(1)])
    model.compile(loss="mse")
    if use == "predict":
        model.predict(x)
    else:
        getattr(model, use)(x, y, verbose=0)
    assert model.get_weights()[0].shape == (6, 3)
    with pytest.raises(ValueError, match="6 features"):
        model.predict(x[:, :5])


def test_count_params_and_summary(capsys):
    model = Sequential([Input(shape=(64,)), Dense(128, name="wide"), Dense(10, use_bias=False)], name="little")
    assert model.count_params() == 64 * 128 + 128 + 1280
    model.summary()
    text = capsys.readouterr().out
    for word in ("little", "wide", "dense", "(None, 128)", "(None, 10)", "8,320", "1,280", "9,600"):
        assert word in text


def test_summary_of_a_model_without_weights(capsys):
    Sequential([Dense(3)]).summary()
    assert "(None, 3)" in capsys.readouterr().out


def test_repr_shows_the_layers():
    assert "Dense(4, activation='tanh'" in repr(network())


@pytest.mark.parametrize("name", ["nothing", None])
def test_get_layer_of_no_name(name):
    with pytest.raises(ValueError, match="name"):
        network().get_layer(name)


# --- weights ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("sizes", [(1, 1), (17, 33), (100, 5), (5, 100), (16, 16), (3, 31, 8, 1)], ids=str)
def test_weights_round_trip_exactly(sizes, use_bias):
    layers = [Dense(units, use_bias=use_bias, activation="tanh") for units in sizes[1:]]
    model = Sequential([Input(shape=sizes[:1]), *layers])
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=weight.shape).astype(np.float32) for weight in model.get_weights()]
    assert len(weights) == (2 if use_bias else 1) * len(layers)
    model.set_weights(weights)
    assert_equal_weights(model.get_weights(), weights)
    per_layer = [weight for layer in model.layers for weight in layer.get_weights()]
    assert_equal_weights(per_layer, weights)
    assert model.count_params() == sum(weight.size for weight in weights)
    x = rng.normal(size=(3, sizes[0])).astype(np.float32)
    predicted = model.predict(x)
    for weight in model.get_weights():
        weight[...] = np.nan
    assert_equal_weights([model.predict(x)], [predicted])


def test_a_copy_of_the_weights_trains_as_the_original():
    x, y = problem()
    model, other = network(seed=0), network(seed=1)
    other.set_weights(model.get_weights())
    for each in (model, other):
        each.compile(optimizer="sgd", loss="mse")
        each.fit(x, y, epochs=3, verbose=0, shuffle=False)
    assert_equal_weights(model.get_weights(), other.get_weights())


# --- randomness -------------------------------------------------------------------------------------------


def test_set_random_seed_makes_models_reproducible():
    x, y = problem()
    results = []
    for seed in (7, 7, 8):
        fastmlp.set_random_seed(seed)
        models = [Sequential([Input(shape=(2,)), Dense(3), Dense(1)]) for _ in range(2)]
        assert not np.array_equal(models[0].get_weights()[0], models[1].get_weights()[0])
        for model in models:
            model.compile(optimizer="sgd", loss="mse")
            model.fit(x, y, batch_size=4, verbose=0)
        results.append(models[0].get_weights() + models[1].get_weights())
    assert_equal_weights(results[0], results[1])
    assert not np.array_equal(results[0][0], results[2][0])


@pytest.mark.parametrize("seed", [-1, 1.5, "1", True, 2**64])
def test_a_bad_seed(seed):
    with pytest.raises(ValueError, match="seed"):
        fastmlp.set_random_seed(seed)
    with pytest.raises(ValueError, match="seed"):
        Sequential(seed=seed)


# --- fit --------------------------------------------------------------------------------------------------


def test_history_has_every_loss_and_metric():
    x, y = problem()
    model = network()
    model.compile(loss="mse", metrics=["mae", metrics.R2Score()])
    history = model.fit(x, y, epochs=3, verbose=0, validation_split=0.25)
    assert history is model.history
    assert list(history.history) == ["loss", "mae", "r2_score", "val_loss", "val_mae", "val_r2_score"]
    assert all(len(values) == 3 for values in history.history.values())
    assert all(type(value) is float for values in history.history.values() for value in values)
    assert history.epoch == [0, 1, 2]
    assert history.params["epochs"] == 3


def test_the_default_batch_has_32_rows():
    x, y = problem(rows=70)
    models = [network(), network()]
    for model, options in zip(models, ({}, {"batch_size": 32}), strict=True):
        model.compile(optimizer="sgd", loss="mse")
        model.fit(x, y, verbose=0, **options)
    assert_equal_weights(models[0].get_weights(), models[1].get_weights())


def test_validation_split_takes_the_last_rows():
    x, y = problem(rows=21)
    sample_weight = np.random.default_rng(0).uniform(0, 2, 21)
    split, given = network(), network()
    kept = 16  # int(21 * 0.8)
    histories = []
    for model, rows, options in (
        (split, 21, {"validation_split": 0.2}),
        (given, kept, {"validation_data": (x[kept:], y[kept:], sample_weight[kept:])}),
    ):
        model.compile(optimizer="sgd", loss="mse")
        histories.append(
            model.fit(
                x[:rows],
                y[:rows],
                sample_weight=sample_weight[:rows],
                epochs=2,
                batch_size=3,
                verbose=0,
                **options,
            ).history
        )
    assert histories[0] == histories[1]
    assert_equal_weights(split.get_weights(), given.get_weights())
    expected = given.evaluate(x[kept:], y[kept:], sample_weight=sample_weight[kept:])
    assert histories[0]["val_loss"][-1] == pytest.approx(expected, rel=1e-6)


def test_validation_data_go_before_validation_split():
    x, y = problem()
    results = []
    for options in ({}, {"validation_split": 0.5}):
        model = network()
        model.compile(optimizer="sgd", loss="mse")
        results.append(model.fit(x, y, verbose=0, validation_data=(x[:3], y[:3]), **options).history)
    assert results[0] == results[1]


def test_targets_of_one_output_may_be_flat():
    x, y = problem()
    results = []
    for targets in (y, y[:, 0]):
        model = network()
        model.compile(optimizer="sgd", loss="mse")
        results.append(model.fit(x, targets, verbose=0).history)
    assert results[0] == results[1]


def test_verbose(capsys):
    x, y = problem()
    model = network()
    model.compile(loss="mse", metrics=["mae"])
    model.fit(x, y, epochs=2, verbose=0)
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
    assert capsys.readouterr() == ("", "")
    model.fit(x, y, epochs=2, verbose=2, validation_split=0.5)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("Epoch 1/2")
    assert lines[1].startswith("Epoch 2/2")
    assert all(word in lines[1] for word in ("loss: ", "mae: ", "val_loss: ", "val_mae: "))
    model.fit(x, y, epochs=2, verbose="auto")
    assert len(capsys.readouterr().out.splitlines()) == 2
    for verbose in (1, 2):
        model.evaluate(x, y, batch_size=len(x) - 1, verbose=verbose)
        (line,) = capsys.readouterr().out.splitlines()
        assert line.startswith("2/2 steps  ")
        assert "mae: " in line


def test_a_new_learning_rate_counts_from_the_next_fit():
    x, y = problem()
    model = network()
    model.compile(optimizer=optimizers.SGD(), loss="mse")
    model.optimizer.learning_rate = 0.0
    before = model.get_weights()
    model.fit(x, y, verbose=0)
    assert_equal_weights(model.get_weights(), before)


# --- evaluate, predict ------------------------------------------------------------------------------------


def test_evaluate_returns_a_number_a_list_or_a_dict():
    x, y = problem()
    model = network()
    model.compile(loss="mse")
    loss = model.evaluate(x, y)
    assert type(loss) is float
    assert loss == pytest.approx(naive.mse(y, model.predict(x)), rel=1e-5)
    assert model.evaluate(x, y, return_dict=True) == {"loss": loss}
    model.compile(loss="mse", metrics=["mae", "rmse"])
    values = model.evaluate(x, y)
    assert isinstance(values, list)
    assert model.evaluate(x, y, return_dict=True) == dict(zip(("loss", "mae", "rmse"), values, strict=True))
    for batch in (1, 3, 20, 100):
        assert model.evaluate(x, y, batch_size=batch) == pytest.approx(values, rel=1e-6)


def test_evaluate_changes_nothing():
    x, y = problem()
    model = network()
    model.compile(loss="mse")
    before = model.get_weights()
    model.evaluate(x, y)
    model.predict(x)
    assert_equal_weights(model.get_weights(), before)


def test_evaluate_adds_the_penalties():
    x, y = problem()
    regularizer = fastmlp.regularizers.L1L2(l1=0.1, l2=0.2)
    model = Sequential([Input(shape=(2,)), Dense(1, kernel_regularizer=regularizer)])
    model.compile(loss="mse", metrics=["mse"])
    loss, mse = model.evaluate(x, y, batch_size=7)
    kernel = model.get_weights()[0].astype(np.float64)
    assert loss - mse == pytest.approx(0.1 * np.abs(kernel).sum() + 0.2 * np.square(kernel).sum(), rel=1e-4)


def test_weighted_evaluation_divides_by_the_number_of_rows():
    x, y = problem()
    sample_weight = np.random.default_rng(0).uniform(0, 2, 20)
    model = network()
    model.compile(loss="mse", metrics=["mae"])
    loss, mae = model.evaluate(x, y, sample_weight=sample_weight)
    error = model.predict(x) - y
    assert loss == pytest.approx(float(np.mean(sample_weight * error[:, 0] ** 2)), rel=1e-5)
    assert mae == pytest.approx(float(np.abs(error).mean()), rel=1e-5)


def test_call_is_predict():
    x, _ = problem()
    model = network()
    np.testing.assert_array_equal(model(x), model.predict(x))


def test_predict_of_no_rows():
    assert network(units=3).predict(np.empty((0, 2))).shape == (0, 3)


# --- metrics ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("mse", "mse"), ("mae", "mae"), ("rmse", "rmse"), ("r2", "r2"), ("mean_squared_error", "mse"),
        ("root_mean_squared_error", "rmse"), ("mean_absolute_error", "mae"), ("r2_score", "r2"),
    ],
)  # fmt: skip
def test_metrics_of_regression_equal_the_twins(name, twin):
    x, y = problem(rows=37, units=3)
    model = network(units=3)
    model.compile(loss="huber", metrics=[name])
    values = model.evaluate(x, y, batch_size=5, return_dict=True)
    assert list(values) == ["loss", name]
    assert values[name] == pytest.approx(naive.METRICS[twin](y, model.predict(x)), rel=1e-5)


def classes(rows, units):
    return np.random.default_rng(1).integers(0, units, rows)


@pytest.mark.parametrize("k", [1, 2, 5, 9])
def test_metrics_of_class_numbers_equal_the_twins(k):
    x, _ = problem(rows=60)
    y = classes(60, 7)
    model = network(units=7, last="softmax")
    chosen = [
        "accuracy",
        "sparse_categorical_accuracy",
        metrics.SparseTopKCategoricalAccuracy(k=k),
        "top_k_accuracy",
    ]
    model.compile(loss="sparse_categorical_crossentropy", metrics=chosen)
    values = model.evaluate(x, y, batch_size=7, return_dict=True)
    out = model.predict(x)
    accuracy = naive.METRICS["sparse_categorical_accuracy"](y, out)
    top = naive.METRICS["sparse_top_k_categorical_accuracy"]
    assert values["accuracy"] == values["sparse_categorical_accuracy"] == accuracy
    assert values["sparse_top_k_categorical_accuracy"] == top(y, out, k)
    assert values["top_k_accuracy"] == top(y, out, 5)


def test_metrics_of_one_hot_targets_equal_the_twins():
    x, _ = problem(rows=60)
    y = np.eye(7)[classes(60, 7)]
    model = network(units=7, last="softmax")
    chosen = ["acc", "categorical_accuracy", metrics.TopKCategoricalAccuracy(k=3), "top_k_accuracy", "mse"]
    model.compile(loss="categorical_crossentropy", metrics=chosen)
    values = model.evaluate(x, y, batch_size=7, return_dict=True)
    out = model.predict(x)
    accuracy = naive.METRICS["categorical_accuracy"](y, out)
    top = naive.METRICS["top_k_categorical_accuracy"]
    assert values["acc"] == values["categorical_accuracy"] == accuracy
    assert values["top_k_categorical_accuracy"] == top(y, out, 3)
    assert values["top_k_accuracy"] == top(y, out, 5)
    assert values["mse"] == pytest.approx(naive.mse(y, out), rel=1e-5)


@pytest.mark.parametrize("units", [1, 3])
def test_binary_metrics_equal_the_twins(units):
    x, _ = problem(rows=40)
    y = np.random.default_rng(1).integers(0, 2, (40, units))
    model = network(units=units, last="sigmoid")
    model.compile(loss="binary_crossentropy", metrics=["binary_accuracy"])
    out = model.predict(x)
    twin = naive.METRICS["binary_accuracy"]
    assert model.evaluate(x, y)[1] == twin(y, out)
    model.compile(loss="binary_crossentropy", metrics=[metrics.BinaryAccuracy(threshold=0.4)])
    assert model.evaluate(x, y)[1] == twin(y, out, 0.4)
    if units == 1:
        model.compile(loss="binary_crossentropy", metrics=["accuracy"])
        assert model.evaluate(x, y)[1] == twin(y, out)


@pytest.mark.parametrize(
    ("loss", "last"),
    [
        (losses.BinaryCrossentropy(), "sigmoid"),
        (losses.BinaryCrossentropy(from_logits=True), None),
        (losses.CategoricalCrossentropy(), "softmax"),
        (losses.CategoricalCrossentropy(from_logits=True), None),
        (losses.CategoricalCrossentropy(label_smoothing=0.1), "softmax"),
        (losses.SparseCategoricalCrossentropy(), "softmax"),
        (losses.SparseCategoricalCrossentropy(from_logits=True), None),
        (losses.Poisson(), "softplus"),
        (losses.LogCosh(), None),
        (losses.Huber(delta=0.3), None),
    ],
    ids=str,
)
def test_the_loss_of_evaluate_is_the_loss_of_the_predictions(loss, last):
    x, _ = problem(rows=30)
    y = classes(30, 4) if loss.sparse else np.eye(4)[classes(30, 4)]
    model = network(units=4, last=last)
    model.compile(loss=loss)
    out = model.predict(x).astype(np.float64)
    expected = naive.loss_value_and_gradient(loss.name, y, out, **naive.settings(loss))[1]
    assert model.evaluate(x, y, batch_size=7) == pytest.approx(expected, rel=2e-5)
    assert loss(y, out) == pytest.approx(expected, rel=2e-5)


def test_not_compiled():
    x, y = problem()
    for method in (network().fit, network().evaluate):
        with pytest.raises(NotCompiledError, match="compile"):
            method(x, y)
