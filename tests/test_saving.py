"""Models as files: what comes back, exact resumption, and other programs' view of the file."""

import copy
import json
import pickle

import numpy as np
import pytest

import fastmlp
from fastmlp import (
    BatchNormalization,
    Dense,
    Dropout,
    Flatten,
    GaussianNoise,
    Input,
    LayerNormalization,
    Normalization,
    Rescaling,
    Residual,
    Sequential,
    activations,
    losses,
    metrics,
    optimizers,
)
from fastmlp.engine.pace import Pace
from fastmlp.errors import ModelFileError, NotBuiltError, TrainingDivergedError
from fastmlp.kernels.jit import JIT_DISABLED

X = np.random.default_rng(0).normal(size=(37, 5)).astype(np.float32)
Y = (X[:, :1] - X[:, 1:2] * X[:, 2:3]).astype(np.float32)


def network(optimizer="adam", seed=3):
    model = Sequential(
        [
            Input(shape=(5,)), Rescaling(0.5, 0.1), Dense(17, "relu", kernel_constraint="max_norm"),
            BatchNormalization(momentum=0.9), Dropout(0.3),
            Residual([Dense(3, "tanh", use_bias=False), LayerNormalization(), GaussianNoise(0.1), Dense(17)]),
            Dense(33, "elu"), Dense(1, kernel_regularizer="l2"),
        ],
        seed=seed,
    )  # fmt: skip
    model.compile(optimizer=optimizer, loss=losses.Huber(0.4), metrics=["mae", metrics.R2Score()])
    return model


def fit(model, last, first=0, **options):
    return model.fit(X, Y, epochs=last, initial_epoch=first, batch_size=8, verbose=0, **options)


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


OPTIMIZERS = [
    *(make() for make in optimizers.TABLE.values() if make is not optimizers.LBFGS),
    optimizers.Nadam(optimizers.schedules.CosineDecay(0.01, 30), gradient_accumulation_steps=2),
    optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    optimizers.Adam(amsgrad=True, clipnorm=1.0),
    optimizers.RMSprop(momentum=0.5, centered=True, global_clipnorm=1.0),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_training_goes_on_exactly(optimizer, path):
    never_stopped, stopped = network(copy.copy(optimizer)), network(copy.copy(optimizer))
    expected = fit(never_stopped, 4)
    fit(stopped, 2)
    stopped.save(path)
    loaded = fastmlp.load_model(path)
    history = fit(loaded, 4, 2)
    assert same(loaded, never_stopped)
    assert {name: values[2:] for name, values in expected.history.items()} == history.history
    # two files of one training have the same bytes
    loaded.history, never_stopped.history = None, None
    loaded.save(path)
    never_stopped.save(path.with_name("other"))
    assert path.read_bytes() == path.with_name("other").read_bytes()


@pytest.mark.skipif(JIT_DISABLED, reason="interpreted kernels use one thread")
def test_training_goes_on_exactly_with_other_numbers_of_threads(path, monkeypatch):
    # small work is not shared otherwise
    monkeypatch.setattr("fastmlp.engine.session.FLOPS_A_THREAD_AND_STEP", 1)
    monkeypatch.setattr("fastmlp.engine.pace.FLOPS_A_THREAD_AND_RUN", 1)
    monkeypatch.setattr(Pace, "threads", lambda self, team: team)
    never_stopped, model = network(), network()
    fit(never_stopped, 6)
    for first, threads in ((0, 2), (2, 1), (4, 3)):
        fastmlp.set_num_threads(threads)
        fit(model, first + 2, first)
        model.save(path)
        model = fastmlp.load_model(path)
    assert same(model, never_stopped)


def test_all_settings_come_back(path):
    model = network(optimizers.SGD(0.125, momentum=0.5, weight_decay=0.01))
    model.layers[1].trainable = False
    history = fit(model, 2)
    model.save(path)
    loaded = fastmlp.load_model(path)
    assert loaded.get_config() == model.get_config()
    assert loaded.get_compile_config() == model.get_compile_config()
    assert loaded.history.history == history.history
    assert loaded.history.epoch == [0, 1]
    assert loaded.history.params == history.params
    assert loaded.evaluate(X, Y) == model.evaluate(X, Y)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


def test_layers_added_later_start_alike(path):
    models = [network(), network()]
    models[0].save(path)
    models[0] = fastmlp.load_model(path)
    for model in models:
        model.add(Dense(2))
    assert same(*models)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_train_alike_and_apart(duplicate):
    model = network()
    fit(model, 2)
    other = duplicate(model)
    before = model.get_weights()
    fit(other, 4, 2)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    fit(model, 4, 2)
    assert same(model, other)


def test_models_that_are_not_built_or_compiled(path):
    adapted = Normalization()
    adapted.adapt(X)
    for model in (
        Sequential(seed=1),
        Sequential([Dense(2), Dense(1)], seed=1),
        Sequential([adapted, Dense(1)], seed=1),
    ):
        model.save(path)
        loaded = fastmlp.load_model(path)
        assert not loaded.built
        assert loaded.optimizer is None
        assert loaded.get_config() == model.get_config()
        if model.layers:
            np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
            model.save(path)
            np.testing.assert_array_equal(fastmlp.load_model(path).predict(X), model.predict(X))


def test_an_adapted_normalization_and_images(path):
    model = Sequential([Input(shape=(2, 3)), Flatten(), Normalization(), Dense(2)], seed=0)
    model.layers[1].adapt(np.arange(24).reshape(4, 6))
    model.save(path)
    images = np.arange(12.0).reshape(2, 2, 3)
    np.testing.assert_array_equal(fastmlp.load_model(path).predict(images), model.predict(images))


def test_without_the_optimizer(path):
    model = network()
    fit(model, 1)
    model.save(path, include_optimizer=False)
    loaded = fastmlp.load_model(path)
    assert same(loaded, model)
    assert loaded.optimizer is None
    assert loaded.history is None


def test_another_optimizer_or_frozen_layers_since_the_training(path):
    model = network()
    fit(model, 1)
    model.compile("sgd", "mse")
    model.save(path)
    loaded = fastmlp.load_model(path)
    for each in (model, loaded):
        each.layers[1].trainable = False
    model.save(path)
    again = fastmlp.load_model(path)
    for each in (model, loaded, again):
        fit(each, 2, 1)
    assert same(model, loaded)
    assert same(model, again)


def test_other_programs_read_the_weights(path):
    safetensors = pytest.importorskip("safetensors")
    model = Sequential([Input(shape=(5,)), Dense(17, name="first"), Residual([Dense(17)]), BatchNormalization()])
    model.save(path)
    with safetensors.safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert metadata["format"] == "fastmlp"
    assert json.loads(metadata["model"])["config"] == model.get_config()
    names = [
        "first.kernel", "first.bias", "dense.kernel", "dense.bias", "batch_normalization.gamma",
        "batch_normalization.beta", "batch_normalization.moving_mean", "batch_normalization.moving_variance",
    ]  # fmt: skip
    assert sorted(tensors) == sorted(names)
    for name, weight in zip(names, model.get_weights(), strict=True):
        np.testing.assert_array_equal(tensors[name], weight)
        assert tensors[name].dtype == np.float32


def test_slots_have_the_shapes_of_their_weights(path):
    from safetensors.numpy import load_file

    model = Sequential([Input(shape=(5,)), Dense(17)], seed=0)
    model.compile(optimizers.SGD(0.5, momentum=0.9), "mse")
    start = model.get_weights()
    model.fit(X, np.zeros((37, 17)), batch_size=37, verbose=0)
    model.save(path)
    tensors = load_file(path)
    # after one step the velocity is the change
    for name, before in zip(("dense.kernel", "dense.bias"), start, strict=True):
        np.testing.assert_allclose(tensors[f"{name}.slot0"], tensors[name] - before, atol=1e-6)
        assert np.abs(tensors[f"{name}.slot0"]).max() > 1e-3


def test_weights_alone(path):
    model, other = network(), network("sgd", seed=4)
    fit(model, 1)
    model.save_weights(path)
    other.load_weights(path)
    assert same(model, other)
    np.testing.assert_array_equal(model.predict(X), other.predict(X))
    assert path.stat().st_size < 30_000
    with pytest.raises(ModelFileError, match="load_weights"):
        fastmlp.load_model(path)
    fit(model, 2, 1)
    model.save(path)
    other.load_weights(path)
    assert same(model, other)


def test_weights_of_another_model(path):
    network().save_weights(path)
    for layers, message in (
        ([Dense(17)], "weights of layers that the model does not have"),
        ([Dense(16)], r"dense.kernel' must be float32 \(5, 16\), got float32 \(5, 17\)"),
        ([Dense(17, name="other")], "other.kernel' is missing"),
    ):
        model = Sequential([Input(shape=(5,)), *layers])
        before = model.get_weights()
        with pytest.raises(ModelFileError, match=message):
            model.load_weights(path)
        assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    with pytest.raises(NotBuiltError):
        Sequential([Dense(17)]).load_weights(path)


def test_an_existing_file_can_be_kept(path):
    model = network()
    model.save(path, overwrite=False)
    before = path.read_bytes()
    for save in (model.save, model.save_weights):
        with pytest.raises(FileExistsError, match="overwrite=False"):
            save(path, overwrite=False)
    assert path.read_bytes() == before
    with pytest.raises(TypeError, match="overwrite"):
        model.save(path, overwrite=1)
    with pytest.raises(FileNotFoundError):
        model.save(path.with_name("none") / "there")
    with pytest.raises(FileNotFoundError):
        fastmlp.load_model(path.with_name("none"))


def test_classes_of_ones_own_are_refused(path):
    class Own(Dense):
        pass

    model = Sequential([Input(shape=(5,)), Own(2)])
    for attempt in (lambda: model.save(path), lambda: copy.deepcopy(model), model.get_config):
        with pytest.raises(TypeError, match=r"Own.* cannot be written down"):
            attempt()
    assert not path.exists()
    # weights have names without a class
    model.save_weights(path)
    model.load_weights(path)


def test_weights_that_are_not_finite_are_not_saved(path):
    model = network()
    model.save(path)
    before = path.read_bytes()
    model.layers[1].own_weights()["bias"].write(np.full(17, np.nan, np.float32))
    with pytest.raises(TrainingDivergedError, match="not finite"):
        model.save(path)
    assert path.read_bytes() == before


def test_odd_names_of_layers(path):
    model = Sequential([Input(shape=(5,)), Dense(2, name="dense.kernel"), Dense(2, name="ein Name/ü 数"), Dense(1)])
    model.compile("adam", "mse")
    fit(model, 1)
    model.save(path)
    assert same(model, fastmlp.load_model(path))
    for make in (
        lambda name: Dense(2, name=name),
        lambda name: Sequential(name=name),
        lambda name: activations.Custom(abs, abs, name=name),
    ):
        with pytest.raises(ValueError, match="surrogates"):
            make("\ud800")


def test_weights_that_do_not_fit_change_nothing(path):
    def adapted():
        return Sequential([Input(shape=(5,)), Dense(5), Normalization(), Dense(1)], seed=0)

    class Picky(Dense):
        def set_weights(self, weights):
            raise ZeroDivisionError

    model = adapted()
    weights = model.get_weights()
    for count in (np.nan, 1e39):
        with pytest.raises(ValueError, match="must be finite"):
            model.layers[1].set_weights([*weights[2:4], np.float64(count)])
    model.set_weights([weight + 1 for weight in weights[:4]] + [np.float32(3e38)] + weights[5:])
    model.save_weights(path)
    other = adapted()
    other.load_weights(path)
    assert same(model, other)
    picky = Sequential([Input(shape=(5,)), Dense(5, name="dense"), Picky(1, name="last")], seed=0)
    plain = Sequential([Input(shape=(5,)), Dense(5, name="dense"), Dense(1, name="last")], seed=1)
    plain.save_weights(path)
    before = picky.get_weights()
    for change in (lambda: picky.load_weights(path), lambda: picky.set_weights(plain.get_weights())):
        with pytest.raises(ZeroDivisionError):
            change()
        assert all(np.array_equal(a, b) for a, b in zip(before, picky.get_weights(), strict=True))


def test_layers_can_only_be_nested_so_deeply(path):
    layer = Dense(5)
    for _ in range(50):
        layer = Residual([layer])
    with pytest.raises(ValueError, match="nested more deeply than 50"):
        Residual([layer])
    model = Sequential([Input(shape=(5,)), layer])
    config = model.get_config()
    for _ in range(300):
        config["layers"] = [{"kind": "layer", "class_name": "Residual", "config": {"layers": config["layers"]}}]
    with pytest.raises(ValueError, match="nested too deeply"):
        Sequential.from_config(config)
    model.save(path)
    assert same(model, fastmlp.load_model(path))
