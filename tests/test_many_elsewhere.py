"""Models that are trained in other processes, where joblib is set to these, and come back."""

import copy
import sys

import numpy as np
import pytest

joblib = pytest.importorskip("joblib")

import fastmlp  # noqa: E402
from fastmlp import Dense, Dropout, Input, Sequential, callbacks, fit_many, jobs, optimizers  # noqa: E402
from fastmlp.saving.state import adopt  # noqa: E402

pytestmark = pytest.mark.jit_only

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 6)).astype(np.float32)
Y = (X[:, 0] * X[:, 1]).astype(np.float32)


def network(seed=0, optimizer="adam", inputs=True):
    layers = [*([Input((6,))] if inputs else []), Dense(9, "relu"), Dropout(0.2), Dense(1)]
    model = Sequential(layers, seed=seed)
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


def bits(model):
    return [weight.tobytes() for weight in model.get_weights()]


def slower(number):
    return [callbacks.ReduceLROnPlateau("loss", min_delta=100, patience=1, factor=0.5)]


def test_models_come_back_from_processes(capsys):
    """Into the objects that were given, with history and settings, and ready to go on."""

    def models():
        return [
            network(1),
            network(2, inputs=False),
            lambda: network(3),
            network(4, optimizers.SGD(1e30)),
            {**network(5).get_config(), "compile_config": network(5).get_compile_config()},
        ]

    def trained(given):
        with pytest.warns(RuntimeWarning, match="1 of 5 models failed; model 3: TrainingDivergedError"):
            return fit_many(given, X, Y, settings=[{"epochs": 2}, *[{}] * 4], epochs=3, verbose=2, callbacks=slower)

    here = trained(models())
    given = models()
    with joblib.parallel_config("loky", n_jobs=2):
        there = trained(given)
    shown = capsys.readouterr().out.splitlines()
    # what is not a matter of time; in the order of models there
    assert sorted(line[:9] for line in shown[:5]) == [line[:9] for line in shown[5:]]
    assert [there[number].model is given[number] for number in range(4)] == [True, True, False, True]
    assert list(there.errors) == [3]
    for one, other in zip(here.models, there.models, strict=True):
        assert bits(one) == bits(other)
        assert one.history.history == other.history.history
        assert one.optimizer.learning_rate == other.optimizer.learning_rate < 0.001
        assert one.fit(X, Y, epochs=2, verbose=0).history == other.fit(X, Y, epochs=2, verbose=0).history
        assert bits(one) == bits(other)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs", optimizers.SGD(0.1, momentum=0.9, use_ema=True)])
@pytest.mark.parametrize("inputs", [True, False])
def test_a_model_takes_over_what_a_copy_has_learned(optimizer, inputs):
    def made():
        layers = [*([Input((6,))] if inputs else []), Dense(9, "tanh"), Dense(1)]
        model = Sequential(layers, seed=3)
        model.compile(copy.deepcopy(optimizer), "mse")
        return model

    model, expected = made(), made()
    layer, own = model.layers[0], model.optimizer
    trained = copy.deepcopy(model)
    for one in (trained, expected):
        one.fit(X, Y, epochs=3, verbose=0)
    adopt(model, trained)
    assert model.layers[0] is layer
    assert model.optimizer is own
    assert bits(model) == bits(expected)
    assert model.history.history == expected.history.history
    for one in (model, expected):
        one.fit(X, Y, epochs=2, verbose=0)
    assert bits(model) == bits(expected)


class Counted:
    """A job that says with how many threads it was run."""

    def run(self):
        return fastmlp.get_num_threads()

    def stop(self):
        pass


def test_who_decides_how_many_at_a_time(monkeypatch):
    def threads(count, n_jobs=None):
        return jobs.run_jobs([Counted()] * count, (), n_jobs, lambda number, result: None)

    fastmlp.set_num_threads(6)
    assert threads(4) == [1] * 4
    assert threads(2) == [3] * 2
    assert threads(8, 2) == [3] * 8
    with joblib.parallel_config("threading", n_jobs=3):
        assert threads(8) == [2] * 8
        assert threads(8, 6) == [1] * 8
    with joblib.parallel_config(n_jobs=3):
        assert threads(8) == [2] * 8
    # inside a job of joblib's there are others beside it
    (inside,) = joblib.Parallel(2, prefer="threads")([joblib.delayed(threads)(8)])
    assert inside == [6] * 8
    with joblib.parallel_config("threading", n_jobs=-1):
        assert threads(1) == [6]
    # nobody has imported joblib
    monkeypatch.delitem(sys.modules, "joblib.parallel")
    assert threads(2) == [3] * 2
