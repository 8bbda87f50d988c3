"""Many models at once, each as if it were alone."""

import json
import threading

import numpy as np
import pytest
import scipy.sparse
from sklearn.model_selection import KFold, StratifiedKFold

import fastmlp
from fastmlp import BatchNormalization, Dense, Dropout, Flatten, Input, Sequential, callbacks, fit_many

pytestmark = pytest.mark.jit_only

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 6)).astype(np.float32)
Y = (X[:, 0] * X[:, 1]).astype(np.float32)


def network(seed=0, optimizer="adam", units=9):
    layers = [Input((6,)), Dense(units, "relu"), BatchNormalization(), Dropout(0.2), Dense(1)]
    model = Sequential(layers, seed=seed)
    model.compile(optimizer, "mse", metrics=["mae", "r2"])
    return model


def bits(model):
    return [weight.tobytes() for weight in model.get_weights()]


def alone(model, rows=slice(None), kept=None, **options):
    """Train on copies of the rows."""
    validation = None if kept is None else (X[kept], Y[kept])
    return model.fit(X[rows], Y[rows], 32, 3, verbose=0, validation_data=validation, **options)


def many(models, x=X, **options):
    return fit_many(models, x, Y, batch_size=32, epochs=3, verbose=0, **options)


@pytest.mark.parametrize("n_jobs", [1, 2, 7, None])
def test_copies_with_seeds_are_those_models(n_jobs):
    fits = many(network(), seeds=[5, 6, 7, 8], n_jobs=n_jobs)
    assert [fit.error for fit in fits] == [None] * 4
    for fit, seed in zip(fits, [5, 6, 7, 8], strict=True):
        expected = network(seed)
        assert alone(expected).history == fit.history.history
        assert bits(expected) == bits(fit.model)


def test_models_of_ones_own_train_in_place():
    models = [network(1), network(2, "sgd", 17), lambda: network(3, "lion")]
    fits = many(models)
    assert fits.models[:2] == models[:2]
    for model, expected in zip(fits.models, [network(1), network(2, "sgd", 17), network(3, "lion")], strict=True):
        alone(expected)
        assert bits(model) == bits(expected)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, scipy.sparse.csr_array], ids=lambda k: k.__name__)
def test_subsets_are_as_good_as_copies_of_rows(kind, shuffle):
    x = kind(X) if kind is scipy.sparse.csr_array else (X * 3).astype(kind)
    subsets = [RNG.integers(0, 150, 150), np.arange(40), [3, 1, 2], RNG.permutation(150)[:77].astype(np.int16)]
    fits = fit_many(network(), x, Y, subsets=subsets, batch_size=32, epochs=3, verbose=0, shuffle=shuffle)
    for fit, rows in zip(fits, subsets, strict=True):
        expected = network()
        history = expected.fit(x[np.array(rows, int)], Y[rows], 32, 3, verbose=0, shuffle=shuffle)
        assert history.history == fit.history.history
        assert bits(expected) == bits(fit.model)


@pytest.mark.parametrize(
    "folds", [3, KFold(3), [(rows, kept) for rows, kept in KFold(3).split(X)]], ids=["n", "s", "l"]
)
def test_folds(folds):
    fits = many(network(), folds=folds, seeds=range(3))
    for number, (rows, kept) in enumerate(KFold(3).split(X)):
        expected = network(number)
        assert alone(expected, rows, kept).history == fits[number].history.history
        assert bits(expected) == bits(fits[number].model)


def test_a_splitter_sees_the_targets():
    classes = (Y > 1).astype(int)
    model = Sequential([Input((6,)), Dense(1, "sigmoid")], seed=0)
    model.compile("sgd", "binary_crossentropy")
    fits = fit_many(model, X, classes, folds=StratifiedKFold(4), verbose=0)
    for (rows, kept), fit in zip(StratifiedKFold(4).split(X, classes), fits, strict=True):
        expected = Sequential.from_config(model.get_config())
        expected.compile("sgd", "binary_crossentropy")
        history = expected.fit(X[rows], classes[rows], verbose=0, validation_data=(X[kept], classes[kept]))
        assert history.history == fit.history.history


def test_copies_begin_with_the_models_own_weights():
    model = network()
    alone(model)
    before = bits(model)
    fits = many(model, subsets=[np.arange(50), np.arange(100)])
    assert bits(model) == before
    expected = network()
    expected.set_weights(model.get_weights())
    alone(expected, np.arange(50))
    assert bits(fits[0].model) == bits(expected)


def test_rows_of_a_split_and_weights():
    rows, weights = RNG.permutation(150)[:120], RNG.uniform(size=150)
    model, expected = network(), network()
    history = model.fit(X, Y, 32, 3, verbose=0, rows=rows, validation_split=0.25, sample_weight=weights)
    other = expected.fit(X[rows], Y[rows], 32, 3, verbose=0, validation_split=0.25, sample_weight=weights[rows])
    assert history.history == other.history
    assert bits(model) == bits(expected)
    model.compile("lbfgs", "mse", metrics=["r2"])
    with pytest.raises(ValueError, match="LBFGS needs a loss"):
        model.fit(X, Y, rows=rows, verbose=0)


def test_lbfgs_takes_rows():
    rows = RNG.permutation(150)[:99]
    histories = []
    for data in ({"x": X, "y": Y, "rows": rows}, {"x": X[rows], "y": Y[rows]}):
        model = Sequential([Input((6,)), Dense(5, "tanh"), Dense(1)], seed=0)
        model.compile("lbfgs", "mse", metrics=["r2"])
        histories.append(model.fit(**data, epochs=5, verbose=0).history)
    assert histories[0] == histories[1]


def test_images_keep_their_shape():
    model = Sequential([Input((2, 3)), Flatten(), Dense(1)], seed=0)
    model.compile("sgd", "mse")
    fits = fit_many(model, X.reshape(150, 2, 3), Y, folds=2, verbose=0)
    assert fits[0].model.predict(X.reshape(150, 2, 3)).shape == (150, 1)


def test_a_model_that_fails_ends_no_other():
    diverging = network(optimizer=fastmlp.optimizers.SGD(1e30))
    other = Sequential([Input((7,)), Dense(1)])
    other.compile("sgd", "mse")

    def broken():
        raise OSError("no such model")

    with pytest.warns(RuntimeWarning, match="4 of 5 models failed; model 0: TrainingDivergedError: training diverged"):
        fits = many([diverging, network(3), other, broken, lambda: 7])
    assert list(fits.errors) == [0, 2, 3, 4]
    assert [type(error).__name__ for error in fits.errors.values()] == [
        "TrainingDivergedError", "ValueError", "OSError", "TypeError",
    ]  # fmt: skip
    assert fits[3].model is None
    assert fits[1].error is None
    assert len(fits.models) == len(fits.histories) == 1
    assert repr(fits) == "<Fits: 5 models, 4 failed>"
    assert len(fits[:2]) == 2


def test_each_model_has_callbacks_of_its_own():
    made = {}

    def own(number):
        made[number] = [callbacks.EarlyStopping("loss", min_delta=100, patience=number)]
        return made[number]

    fits = fit_many(network(), X, Y, seeds=[1, 2, 3], epochs=10, verbose=0, callbacks=own)
    assert [len(fit.history.epoch) for fit in fits] == [2, 2, 3]
    assert sorted(made) == [0, 1, 2]


def test_an_interruption_ends_all(monkeypatch):
    models = [network(seed) for seed in range(4)]
    begun = threading.Event()

    def interrupt(*arguments, **options):
        monkeypatch.undo()
        assert begun.wait(30)
        raise KeyboardInterrupt

    monkeypatch.setattr("fastmlp.jobs.wait", interrupt)
    tell = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: begun.set())
    with pytest.raises(KeyboardInterrupt):
        fit_many(models, X, Y, epochs=10**6, verbose=0, n_jobs=2, callbacks=lambda number: [tell])
    for model in models:
        # those that had begun are whole, and nothing trains any more
        model.fit(X, Y, verbose=0)


def test_what_is_shown(capsys):
    many(network(), seeds=[1, 2])
    assert capsys.readouterr().out == ""
    fit_many(network(), X, Y, seeds=[1, 2], verbose=2)
    lines = sorted(capsys.readouterr().out.splitlines())
    assert [line[:9] for line in lines] == ["Model 1/2", "Model 2/2"]
    assert all("loss: " in line and "r2: " in line for line in lines)
    fit_many(network(), X, Y, seeds=[1, 2], verbose=1)
    capsys.readouterr()


@pytest.mark.parametrize(
    ("models", "options", "error", "text"),
    [
        (network(), {"seeds": [1, 2], "folds": 3}, ValueError, "got 2 seeds, 3 subsets or folds"),
        (network(), {"subsets": [[1]], "folds": 3}, ValueError, "must not both be given"),
        (network(), {"folds": 1}, ValueError, "folds must be from 2 to the 150 rows, got 1"),
        (network(), {"folds": [[1, 2, 3]]}, ValueError, r"folds\[0\] must be \(rows, validation_rows\)"),
        (network(), {"folds": [([1], [150])]}, ValueError, r"validation_rows of folds\[0\] must be indices"),
        (network(), {"subsets": [[0], [-1]]}, ValueError, r"subsets\[1\] must be indices from 0 to 149"),
        (network(), {"subsets": [[]]}, ValueError, r"subsets\[0\] must be a list of indices"),
        (network(), {"subsets": [[True]]}, ValueError, r"subsets\[0\] must be a list of indices, got dtype bool"),
        (network(), {"seeds": [-1]}, ValueError, "seed must be an integer"),
        (network(), {"rows": [1]}, TypeError, "fit_many must not have 'rows', which is given by subsets or folds"),
        (network(), {"n_jobs": 0}, ValueError, "n_jobs"),
        ([], {}, ValueError, "at least one"),
        ([network(), 3], {}, TypeError, r"models\[1\] must be a Sequential, a config, or a function"),
        ([network()], {"seeds": [1]}, ValueError, "seeds are for copies of one model"),
        ([network()], {"folds": 2}, ValueError, "as many models as subsets or folds, got 1 and 2"),
        (Sequential([Input((6,)), Dense(1)]), {"seeds": [1]}, fastmlp.errors.NotCompiledError, "compiled first"),
    ],
)  # fmt: skip
def test_what_does_not_belong_together_is_refused(models, options, error, text):
    with pytest.raises(error, match=text):
        many(models, **options)


def test_a_model_cannot_be_trained_twice_at_once():
    model = network()
    with pytest.raises(ValueError, match=r"models\[1\] is in the list twice"):
        many([model, model])


def config(seed=0, optimizer="adam", units=9):
    model = network(seed, optimizer, units)
    return {**model.get_config(), "compile_config": model.get_compile_config()}


def test_configs_are_models():
    fits = many([config(1), json.loads(json.dumps(config(2, "sgd", 17))), network(3)])
    for fit, expected in zip(fits, [network(1), network(2, "sgd", 17), network(3)], strict=True):
        assert alone(expected).history == fit.history.history
        assert bits(expected) == bits(fit.model)


def test_a_config_is_a_pattern_with_an_optimizer_for_each():
    given = {**config(), "compile_config": {"optimizer": fastmlp.optimizers.SGD(0.05), "loss": "mse"}}
    fits = many(given, seeds=[5, 6])
    assert len({id(fit.model.optimizer) for fit in fits} | {id(given["compile_config"]["optimizer"])}) == 3
    expected = network(6)
    expected.compile(fastmlp.optimizers.SGD(0.05), "mse")
    alone(expected)
    assert bits(expected) == bits(fits[1].model)


def test_models_have_settings_of_their_own():
    classes = (Y > 0).astype(int)
    settings = [{"epochs": 2}, {"class_weight": {0: 1.0, 1: 5.0}, "batch_size": 16}, {}]
    model = Sequential([Input((6,)), Dense(4, "tanh"), Dense(1, "sigmoid")], seed=0)
    model.compile("adam", "binary_crossentropy")
    fits = fit_many(model, X, classes, settings=settings, epochs=3, verbose=0)
    assert [len(fit.history.epoch) for fit in fits] == [2, 3, 3]
    for fit, setting in zip(fits, settings, strict=True):
        expected = Sequential.from_config(model.get_config())
        expected.compile("adam", "binary_crossentropy")
        history = expected.fit(X, classes, verbose=0, **{"epochs": 3, **setting})
        assert history.history == fit.history.history
        assert bits(expected) == bits(fit.model)


def without(key):
    return {name: value for name, value in config().items() if name != key}


@pytest.mark.parametrize(
    ("models", "options", "error", "text"),
    [
        (network(), {"settings": [{"rate": 1}]}, ValueError, r"unknown argument of fit in settings\[0\] 'rate'"),
        (network(), {"settings": [{}, {"callbacks": 1}]}, TypeError, r"settings\[1\] must not have 'callbacks', which"),
        (network(), {"settings": [3]}, TypeError, r"settings\[0\] must be a dict of arguments of fit, got 3"),
        (network(), {"settings": []}, ValueError, "settings must have one element at least"),
        (network(), {"seeds": []}, ValueError, "seeds must have one element at least"),
        (network(), {"subsets": []}, ValueError, "subsets must have one element at least"),
        (network(), {"folds": []}, ValueError, "folds must have one element at least"),
        (network(), {"settings": [{}] * 2, "seeds": [1]}, ValueError, "got 1 seeds, 2 settings"),
        (network(), {"epoch": 3}, ValueError, "unknown argument of fit in fit_many 'epoch': did you mean 'epochs'"),
        ([network()], {"settings": [{}] * 2}, ValueError, "as many models as settings, got 1 and 2"),
        ([without("compile_config")], {}, ValueError, r"models\[0\] must have the keys .*'compile_config' is missing"),
        (without("layers"), {}, ValueError, "the config must have the keys .*'layers' is missing"),
        ([{**config(), "more": 1}], {}, TypeError, r"models\[0\]: a model's config has the keys"),
        ([{**config(), "compile_config": "adam"}], {}, TypeError, r"models\[0\]: compile_config must be a dict"),
        ([{**config(), "compile_config": {"loss": "msa"}}], {}, ValueError, r"models\[0\]: unknown loss 'msa'"),
    ],
)  # fmt: skip
def test_settings_and_configs_that_are_none_are_refused(models, options, error, text):
    with pytest.raises(error, match=text):
        many(models, **options)
