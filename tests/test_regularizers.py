import dataclasses

import numpy as np
import pytest

from fastmlp import Dense, Input, Sequential, regularizers
from fastmlp.regularizers import L1, L1L2, L2

WEIGHTS = np.array([[1.0, -2.0], [0.5, 0.0]], np.float32)


@pytest.mark.parametrize(
    ("regularizer", "l1", "l2", "penalty"),
    [
        (L1(0.5), 0.5, 0.0, 1.75),
        (L2(0.5), 0.0, 0.5, 2.625),
        (L1L2(0.5, 2.0), 0.5, 2.0, 12.25),
        (L1L2(), 0.0, 0.0, 0.0),
        (L1(), 0.01, 0.0, 0.035),
        (L2(), 0.0, 0.01, 0.0525),
    ],
)
def test_penalty(regularizer, l1, l2, penalty):
    assert (regularizer.l1, regularizer.l2) == (l1, l2)
    result = regularizer(WEIGHTS)
    assert type(result) is float
    assert result == pytest.approx(penalty, rel=1e-12)
    assert type(regularizer)(**regularizer.get_config()) == regularizer


def test_large_arrays_are_summed_in_double():
    weights = np.full(1_000_000, 0.1, np.float32)
    value = float(np.float32(0.1))
    assert L1L2(1.0, 1.0)(weights) == pytest.approx(1e6 * (value + value**2), rel=1e-12)


def test_get():
    assert regularizers.get(None) is None
    regularizer = L2(1)
    assert regularizers.get(regularizer) is regularizer
    assert {name: type(regularizers.get(name)) for name in ("l1", "l2", "l1_l2")} == regularizers.TABLE
    with pytest.raises(ValueError, match=r"unknown regularizer 'l3'\. Valid names: l1, l2, l1_l2"):
        regularizers.get("l3")
    for wrong in (L2, 0.01):
        with pytest.raises(TypeError, match="regularizer must be a name or an instance such as"):
            regularizers.get(wrong)


@pytest.mark.parametrize("kind", [L1, L2, L1L2])
def test_factors_are_checked_and_fixed(kind):
    for wrong in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"^l[12] must be a finite number of at least 0, got "):
            kind(wrong)
    with pytest.raises(TypeError, match=r"^l[12] must be a finite number of at least 0, got '1'"):
        kind("1")
    name = next(iter(kind().get_config()))
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(kind(), name, 1.0)


def test_penalties_by_rows_are_those_of_a_batch_divided_by_its_rows():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(13, 3)).astype(np.float32), rng.normal(size=(13, 2)).astype(np.float32)

    def network(l1, l2, **options):
        layer = Dense(2, kernel_regularizer=L1L2(l1, l2, **options), bias_regularizer=L2(0.3))
        model = Sequential([Input((3,)), layer], seed=0)
        model.compile("sgd", "mse")
        return model

    divided, per_batch = network(0.7, 1.3, by_rows=True), network(0.7 / 5, 1.3 / 5)
    last = network(0.7 / 3, 1.3 / 3)
    history = divided.fit(x, y, 5, shuffle=False, verbose=0)
    losses = [per_batch.train_on_batch(x[:5], y[:5]), per_batch.train_on_batch(x[5:10], y[5:10])]
    last.set_weights(per_batch.get_weights())
    losses.append(last.train_on_batch(x[10:], y[10:]))
    for weight, expected in zip(divided.get_weights(), last.get_weights(), strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-6)
    assert history.history["loss"][0] == pytest.approx(np.average(losses, weights=[5, 5, 3]), rel=1e-6)
    # an evaluation is one batch
    whole = network(0.7 / 13, 1.3 / 13)
    whole.set_weights(divided.get_weights())
    assert divided.evaluate(x, y) == pytest.approx(whole.evaluate(x, y), rel=1e-6)
    assert divided.gradients(x, y).loss == pytest.approx(whole.gradients(x, y).loss, rel=1e-6)
    again = Sequential.from_config(divided.get_config())
    assert again.layers[0].kernel_regularizer == L1L2(0.7, 1.3, by_rows=True)


def test_by_rows_is_a_flag():
    with pytest.raises(TypeError, match="by_rows must be True or False, got 2"):
        L1L2(by_rows=2)
