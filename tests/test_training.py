import naive
import numpy as np
import pytest

from fastmlp import Dense, Input, Sequential, datasets, losses, metrics, optimizers, regularizers
from fastmlp.engine.epoch import run_steps
from fastmlp.errors import TrainingDivergedError
from fastmlp.fitting import automatic_batch
from fastmlp.kernels.jit import JIT_DISABLED

# The twin's optimizer of the same settings is naive's class of the same name.
OPTIMIZERS = {
    "sgd": ("SGD", {"learning_rate": 0.1}),
    "sgd_decay": ("SGD", {"learning_rate": 0.1, "weight_decay": 0.1}),
    "momentum": ("SGD", {"learning_rate": 0.05, "momentum": 0.9}),
    "nesterov": ("SGD", {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True}),
    "adam": ("Adam", {"learning_rate": 0.02}),
    "adam_betas": ("Adam", {"learning_rate": 0.02, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}),
    "amsgrad": ("Adam", {"learning_rate": 0.02, "beta_2": 0.5, "amsgrad": True}),
    "adamw": ("AdamW", {"learning_rate": 0.02, "weight_decay": 0.1}),
    "rmsprop": ("RMSprop", {"learning_rate": 0.01}),
    "rmsprop_momentum": ("RMSprop", {"learning_rate": 0.01, "momentum": 0.5}),
    "centered": ("RMSprop", {"learning_rate": 0.01, "centered": True}),
    "centered_momentum": ("RMSprop", {"learning_rate": 0.01, "centered": True, "momentum": 0.5}),
    "adagrad": ("Adagrad", {"learning_rate": 0.05}),
    "adagrad_start": ("Adagrad", {"learning_rate": 0.05, "initial_accumulator_value": 0.0, "epsilon": 0.01}),
    "nadam": ("Nadam", {"learning_rate": 0.02}),
    "nadam_betas": ("Nadam", {"learning_rate": 0.02, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}),
    "lion": ("Lion", {"learning_rate": 0.01}),
    "lion_betas": ("Lion", {"learning_rate": 0.01, "beta_1": 0.5, "beta_2": 0.8, "weight_decay": 0.1}),
}
REGULARIZERS = {
    "none": None,
    "l1": regularizers.L1(0.01),
    "l2": regularizers.L2(0.02),
    "l1_l2": regularizers.L1L2(0.01, 0.02),
}
ROWS, BATCH, EPOCHS = 29, 8, 5  # 20 steps; the last batch of an epoch has 5 rows


def problem(rows=ROWS, features=3, units=2):
    rng = np.random.default_rng(5)
    x = rng.normal(0, 1, (rows, features)).astype(np.float32)
    return x, rng.normal(0, 1, (rows, units)).astype(np.float32), rng.uniform(0, 2, rows).astype(np.float32)


def network(sizes=(3, 5, 2), activation="tanh", last=None, seed=4, **options):
    hidden = [Dense(units, activation=activation, **options) for units in sizes[1:-1]]
    model = [Input(shape=sizes[:1]), *hidden, Dense(sizes[-1], activation=last, **options)]
    return Sequential(model, seed=seed)


def check_training(twin, name, options, *, weighted=False, loss="mean_squared_error", **layer_options):
    x, y, weights = problem()
    kind, settings = OPTIMIZERS[name]
    model = network(bias_initializer="random_normal", **layer_options)
    model.compile(optimizer=getattr(optimizers, kind)(**settings, **options), loss=loss)
    layers = twin(model)
    batches = [
        (x[at : at + BATCH], y[at : at + BATCH], *([weights[at : at + BATCH]] if weighted else []))
        for at in range(0, ROWS, BATCH)
    ]
    optimizer = getattr(naive, kind)(**settings, **options)
    steps = naive.train(layers, batches * EPOCHS, loss, optimizer)
    counts = [len(batch[0]) for batch in batches]
    expected = [np.average(steps[at : at + 4], weights=counts) for at in range(0, 20, 4)]
    history = model.fit(
        x, y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0,
        sample_weight=weights if weighted else None,
    )  # fmt: skip
    np.testing.assert_allclose(history.history["loss"], expected, rtol=2e-5)
    trained = naive.flatten([(layer.kernel, layer.bias) for layer in layers])
    optimizer.finish(trained)
    for weight, exact in zip(model.get_weights(), trained, strict=True):
        assert np.abs(weight - exact).max() <= 1e-4 * np.abs(exact).max()


@pytest.mark.parametrize("regularizer", REGULARIZERS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_twenty_steps_follow_the_twin(twin, name, regularizer):
    penalty = REGULARIZERS[regularizer]
    check_training(twin, name, {}, kernel_regularizer=penalty, bias_regularizer=penalty)


@pytest.mark.parametrize("clip", [{"clipvalue": 0.05}, {"clipnorm": 0.1}, {"global_clipnorm": 0.1}], ids=str)
@pytest.mark.parametrize("name", ["sgd", "nesterov", "adam", "adamw", "rmsprop", "adagrad", "nadam"])
def test_clipped_steps_follow_the_twin(twin, name, clip):
    check_training(twin, name, clip, kernel_regularizer=regularizers.L2(0.1))


# 20 steps leave gradients of 2 batches when 3 make an update
AVERAGED_AND_ACCUMULATED = [
    {"use_ema": True},
    {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3},
    {"use_ema": True, "ema_momentum": 0.8, "global_clipnorm": 0.1},
    {"gradient_accumulation_steps": 3},
    {"gradient_accumulation_steps": 2, "clipnorm": 0.1},
    {"gradient_accumulation_steps": 4, "clipvalue": 0.05},
    {"gradient_accumulation_steps": 3, "use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 2},
    {"gradient_accumulation_steps": 2, "use_ema": True, "ema_momentum": 0.7, "clipnorm": 0.1},
]


@pytest.mark.parametrize("options", AVERAGED_AND_ACCUMULATED, ids=str)
@pytest.mark.parametrize("name", ["sgd", "nesterov", "adam", "adamw", "adagrad", "nadam", "lion"])
def test_averaged_and_accumulated_steps_follow_the_twin(twin, name, options):
    check_training(twin, name, options, kernel_regularizer="l2")


@pytest.mark.parametrize("clip", [{"clipvalue": 1e6}, {"clipnorm": 1e6}, {"global_clipnorm": 1e6}], ids=str)
def test_a_limit_that_is_not_reached_changes_no_bit(clip):
    x, y, _ = problem()
    weights = []
    for options in ({}, clip):
        model = network()
        model.compile(optimizer=optimizers.Adam(**options), loss="mse")
        model.fit(x, y, batch_size=BATCH, epochs=2, verbose=0)
        weights.append(model.get_weights())
    assert_same_bits(*weights)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop"])
@pytest.mark.parametrize("use_bias", [True, False], ids=["bias", "no_bias"])
def test_weighted_steps_follow_the_twin(twin, name, use_bias):
    check_training(twin, name, {}, weighted=True, use_bias=use_bias)


@pytest.mark.parametrize("clip", [{"clipnorm": 0.1}, {"global_clipnorm": 0.1}], ids=str)
def test_without_bias_norms_are_of_the_kernels_alone(twin, clip):
    check_training(twin, "sgd", clip, use_bias=False, kernel_regularizer="l1")


def test_a_bias_regularizer_of_no_bias_is_no_penalty(twin):
    check_training(twin, "sgd", {}, use_bias=False, bias_regularizer="l2")


def test_huber_steps_follow_the_twin(twin):
    check_training(twin, "adam", {}, loss="huber", kernel_regularizer="l2")


def assert_same_bits(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.dtype == other.dtype == np.float32
        assert one.tobytes() == other.tobytes()


# --- by hand ----------------------------------------------------------------------------------------------


def golden(optimizer, activation=None, loss="mse"):
    model = Sequential([Input(shape=(2,)), Dense(1, activation=activation)])
    model.set_weights([[[0.5], [-0.25]], [0.1]])
    model.compile(optimizer=optimizer, loss=loss)
    history = model.fit([[1.0, 2.0]], [[1.0]], verbose=0)
    kernel, bias = model.get_weights()
    return history.history["loss"][0], [*kernel[:, 0], *bias]


def test_golden_step_of_sgd():
    # z = 0.5 - 0.5 + 0.1 = 0.1, loss = 0.9^2, dz = -1.8, dw = (-1.8, -3.6), db = -1.8
    loss, weights = golden(optimizers.SGD(learning_rate=0.1))
    assert loss == pytest.approx(0.81)
    assert weights == pytest.approx([0.68, 0.11, 0.28])


def test_golden_step_of_adam():
    # the first step is the learning rate times the sign of the gradient
    _, weights = golden(optimizers.Adam(learning_rate=0.1))
    assert weights == pytest.approx([0.6, -0.15, 0.2], rel=1e-5)


def test_golden_step_of_adamw():
    # 0.5 - 0.5 * 0.5 * 0.1 + 0.1, ...
    _, weights = golden(optimizers.AdamW(learning_rate=0.1, weight_decay=0.5))
    assert weights == pytest.approx([0.575, -0.1375, 0.195], rel=1e-5)


def test_golden_step_of_rmsprop():
    # v = 0.1 g^2, so the first step is 0.01 / sqrt(0.1) = 0.0316228
    _, weights = golden(optimizers.RMSprop(learning_rate=0.01))
    assert weights == pytest.approx([0.5316228, -0.2183772, 0.1316228], rel=1e-5)


def test_golden_step_through_a_sigmoid():
    # p = 1 / (1 + exp(-0.1)) = 0.5249792, loss = -log p = 0.6443967, dz = p - 1 = -0.4750208
    loss, weights = golden(optimizers.SGD(learning_rate=1.0), "sigmoid", "binary_crossentropy")
    assert loss == pytest.approx(0.6443967, rel=1e-6)
    assert weights == pytest.approx([0.9750208, 0.7000416, 0.5750208], rel=1e-6)


# --- the same bits ----------------------------------------------------------------------------------------


def trained(fits, seed=4, shuffle=True, **options):
    x, y, weights = problem()
    model = network(seed=seed)
    model.compile(optimizer=optimizers.Adam(learning_rate=0.01), loss="mse")
    losses_seen = []
    for epochs in fits:
        history = model.fit(
            x,
            y,
            batch_size=BATCH,
            epochs=epochs,
            verbose=0,
            shuffle=shuffle,
            sample_weight=weights,
            **options,
        )
        losses_seen += history.history["loss"]
    return model.get_weights(), losses_seen


@pytest.mark.parametrize("shuffle", [True, False], ids=["shuffled", "in_order"])
def test_the_same_seed_gives_the_same_bits(shuffle):
    first, second = trained([3], shuffle=shuffle), trained([3], shuffle=shuffle)
    assert_same_bits(first[0], second[0])
    assert first[1] == second[1]


def test_another_seed_gives_other_weights():
    assert not np.array_equal(trained([1], seed=4)[0][0], trained([1], seed=5)[0][0])


def test_shuffling_has_a_new_order_every_epoch():
    assert not np.array_equal(trained([2])[0][0], trained([2], shuffle=False)[0][0])


@pytest.mark.parametrize("shuffle", [True, False], ids=["shuffled", "in_order"])
def test_two_fits_are_one_long_fit(shuffle):
    twice, once = trained([1, 1], shuffle=shuffle), trained([2], shuffle=shuffle)
    assert_same_bits(twice[0], once[0])
    assert twice[1] == once[1]


def test_validation_does_not_change_training():
    x, y, weights = problem()
    alone, watched = trained([2]), trained([2], validation_data=(x[:5], y[:5], weights[:5]))
    assert_same_bits(alone[0], watched[0])


def test_compile_again_forgets_the_moments():
    x, y, _ = problem()
    model, other = network(), network()
    for each in (model, other):
        each.compile(optimizer="adam", loss="mse")
    model.fit(x, y, verbose=0)
    other.set_weights(model.get_weights())
    model.compile(optimizer="adam", loss="mse")
    for each in (model, other):
        each.fit(x, y, verbose=0, shuffle=False)
    assert_same_bits(model.get_weights(), other.get_weights())


def test_predictions_have_the_same_bits_for_any_batch_size():
    x = problem(rows=41, features=7)[0]
    model = network((7, 13, 3), "gelu", "softmax")
    whole = model.predict(x, batch_size=41)
    for batch in (1, 2, 5, 7, 16, 40, 1000):
        assert_same_bits([model.predict(x, batch_size=batch)], [whole])
    assert_same_bits([np.concatenate([model.predict(x[:3]), model.predict(x[3:])])], [whole])


def test_the_split_into_calls_changes_no_bit(monkeypatch):
    x, y, weights = problem()
    results = []
    for seconds in (10.0, 0.0):
        monkeypatch.setattr("fastmlp.engine.session.SECONDS_A_CALL", seconds)
        for given in (x, x.astype(np.float64)):
            model = network(last="softmax")
            model.compile(optimizer="adam", loss="mse", metrics=["mae"])
            history = model.fit(given, y, batch_size=4, epochs=2, verbose=0, sample_weight=weights)
            judged = model.evaluate(given, y, batch_size=4, sample_weight=weights)
            predicted = model.predict(given, batch_size=4)
            results.append([*model.get_weights(), predicted, *np.float32([*history.history["loss"], *judged])])
    for result in results[1:]:
        assert_same_bits(results[0], result)


def test_a_batch_larger_than_the_data_is_the_data():
    x, y, _ = problem()
    weights = []
    for batch in (ROWS, 10 * ROWS):
        model = network()
        model.compile(optimizer="sgd", loss="mse")
        model.fit(x, y, batch_size=batch, verbose=0)
        weights.append(model.get_weights())
    assert_same_bits(*weights)


def test_sample_weights_of_one_are_no_weights():
    x, y, _ = problem()
    results = []
    for sample_weight in (None, np.ones(ROWS)):
        model = network()
        model.compile(optimizer="sgd", loss="mse")
        model.fit(x, y, batch_size=BATCH, verbose=0, sample_weight=sample_weight)
        results.append(model.get_weights())
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_rows_of_weight_zero_do_not_matter():
    x, y, _ = problem(rows=8)
    sample_weight = np.array([1, 0, 1, 1, 0, 1, 1, 1], np.float32)
    results = []
    for value in (0.0, 1000.0):
        targets = y.copy()
        targets[sample_weight == 0] = value
        model = network()
        model.compile(optimizer="sgd", loss="mse")
        history = model.fit(x, targets, verbose=0, shuffle=False, sample_weight=sample_weight)
        results.append([*model.get_weights(), np.float32(history.history["loss"])])
    assert_same_bits(*results)


def test_a_function_gives_the_order_of_rows():
    x, y, weights = problem()
    rng = np.random.default_rng(0)
    # rows may come often, or not at all
    orders = [rng.permutation(ROWS), rng.integers(0, ROWS, ROWS).astype(np.uint8)]
    called, expected = network(), network()
    for model in (called, expected):
        model.compile(optimizer="adam", loss="mse")
    calls = []

    def order(rows):
        calls.append(rows)
        return orders[len(calls) - 1]

    history = called.fit(x, y, BATCH, 2, verbose=0, sample_weight=weights, shuffle=order)
    assert calls == [ROWS, ROWS]
    for number, rows in enumerate(orders):
        loss = expected.fit(x[rows], y[rows], BATCH, verbose=0, sample_weight=weights[rows], shuffle=False).history[
            "loss"
        ]
        assert loss == history.history["loss"][number : number + 1]
    assert_same_bits(called.get_weights(), expected.get_weights())


# --- one compilation --------------------------------------------------------------------------------------


@pytest.mark.skipif(JIT_DISABLED, reason="nothing is compiled")
def test_no_model_makes_the_engine_compile_again():
    x, y, weights = problem()
    network_ = network()
    network_.compile(optimizer="sgd", loss="mse")
    network_.fit(x, y, verbose=0)
    signatures = len(run_steps.signatures)
    assert signatures == 1

    model = network((3, 17, 9, 1), "relu", "sigmoid")
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy", "mse"])
    model.fit(x, y[:, 0] > 0, verbose=0, validation_split=0.2, sample_weight=weights)
    model.predict(x.astype(np.float64))

    model = network((3, 4), last="softmax", kernel_regularizer="l1_l2")
    model.compile(optimizer="adamw", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, np.arange(ROWS) % 4, verbose=0, shuffle=False)
    model.evaluate(x, np.arange(ROWS) % 4)

    model = network((3, 64, 64, 2), "softmax", use_bias=False)
    model.compile(optimizer=optimizers.RMSprop(centered=True, clipnorm=1.0), loss="huber", metrics=["r2"])
    model.fit(np.asfortranarray(x), y.tolist(), verbose=0)

    model = network((3, 5, 2), "elu", "exponential")
    model.compile(optimizer=optimizers.SGD(momentum=0.9, clipvalue=1.0), loss=losses.Poisson())
    frozen = x.copy()
    frozen.flags.writeable = False
    model.fit(frozen, np.abs(y), verbose=0, batch_size=1)
    model.predict(frozen[:0])

    model = network((3, 1))
    model.compile(loss="mae", metrics=[metrics.RootMeanSquaredError()])
    model.fit(x.astype(">f4"), y[:, :1], verbose=0, batch_size=1000, validation_data=(x, y[:, 0], weights))
    assert len(run_steps.signatures) == signatures


# --- learning ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["binary_crossentropy", "mse"])
def test_xor_is_learnt(loss):
    x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    model = network((2, 8, 1), "tanh", "sigmoid", seed=1)
    model.compile(optimizer=optimizers.Adam(learning_rate=0.1), loss=loss, metrics=["accuracy"])
    history = model.fit(x, y, epochs=100, verbose=0)
    assert history.history["accuracy"][-1] == 1
    assert history.history["loss"][-1] < 0.05
    np.testing.assert_array_equal(model.predict(x)[:, 0] > 0.5, y)


@pytest.mark.jit_only
def test_digits_are_learnt():
    (x, y), (x_test, y_test) = datasets.load_digits()
    model = network((64, 128, 10), "relu", "softmax", seed=0)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=40, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0] / 10
    result = model.evaluate(x_test, y_test, return_dict=True)
    assert result["accuracy"] >= 0.97
    assert result["accuracy"] == np.mean(model.predict(x_test).argmax(axis=1) == y_test)


# --- divergence -------------------------------------------------------------------------------------------


def test_a_diverging_run_says_so_and_keeps_the_weights():
    x, y, _ = problem()
    model = network()
    before = model.get_weights()
    model.compile(optimizer=optimizers.SGD(learning_rate=1e30), loss="mse")
    with pytest.raises(TrainingDivergedError, match="epoch 1"):
        model.fit(x, y, batch_size=BATCH, epochs=3, verbose=0)
    assert_same_bits(model.get_weights(), before)
    assert np.isfinite(model.predict(x)).all()


def test_divergence_in_a_later_epoch_keeps_the_epochs_before():
    x, y, _ = problem()
    optimizer = optimizers.SGD(learning_rate=3.0)
    model, again = network(activation="relu"), network(activation="relu")
    for each in (model, again):
        each.compile(optimizer=optimizer, loss="mse")
    with pytest.raises(TrainingDivergedError, match=r"epoch \d+") as caught:
        model.fit(x, y, batch_size=ROWS, epochs=1000, verbose=0, shuffle=False)
    epoch = int(str(caught.value).split("epoch ")[1].split(":")[0])
    assert epoch > 1
    assert model.history.epoch == list(range(epoch - 1))
    again.fit(x, y, batch_size=ROWS, epochs=epoch - 1, verbose=0, shuffle=False)
    assert_same_bits(model.get_weights(), again.get_weights())
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_after_a_divergence_the_model_trains_as_if_nothing_had_happened():
    x, y, _ = problem()
    model, other = network(), network()
    model.compile(optimizer=optimizers.SGD(learning_rate=1e30, momentum=0.9), loss="mse")
    with pytest.raises(TrainingDivergedError):
        model.fit(x, y, batch_size=BATCH, verbose=0, shuffle=False)
    model.optimizer.learning_rate = 0.01
    other.compile(optimizer=optimizers.SGD(learning_rate=0.01, momentum=0.9), loss="mse")
    for each in (model, other):
        each.fit(x, y, batch_size=BATCH, epochs=2, verbose=0, shuffle=False)
    assert_same_bits(model.get_weights(), other.get_weights())


@pytest.mark.jit_only
def test_centered_rmsprop_survives_a_gradient_that_hardly_changes():
    model = Sequential([Input(shape=(1,)), Dense(1)], seed=0)
    model.compile(optimizers.RMSprop(1e-9, centered=True), "mse")
    history = model.fit(np.full((3200, 1), 3.0), np.full((3200, 1), 10.0), epochs=20, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


@pytest.mark.parametrize(
    ("rows", "size"),
    [(1, 32), (332, 32), (4095, 32), (4096, 64), (16_383, 64), (16_384, 128), (60_000, 128), (65_536, 256),
     (1 << 20, 1024), (10**9, 1024)],
)  # fmt: skip
def test_the_automatic_batch_is_the_power_of_two_below_the_root(rows, size):
    assert automatic_batch(rows) == size


def test_a_batch_size_of_auto_follows_from_the_rows_that_train():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5000, 2)).astype(np.float32), rng.normal(size=(5000, 1)).astype(np.float32)

    def trained(**options):
        model = Sequential([Input(shape=(2,)), Dense(1)], seed=0)
        model.compile("adam", "mse")
        return model.fit(x, y, verbose=0, **options), model.get_weights()

    for split, size in ((0.0, 64), (0.5, 32)):
        auto, weights = trained(batch_size="auto", validation_split=split)
        assert auto.params["batch_size"] == size
        same, expected = trained(batch_size=size, validation_split=split)
        assert auto.history == same.history
        for one, two in zip(weights, expected, strict=True):
            np.testing.assert_array_equal(one, two)
    with pytest.raises(ValueError, match="batch_size must be a positive integer or 'auto', got 'big'"):
        trained(batch_size="big")
