"""The configuration of optimizers; their steps are in test_training.py."""

import numpy as np
import pytest

from fastmlp import BatchNormalization, Dense, Input, LayerNormalization, Sequential, optimizers
from fastmlp.engine.tables import COUNT
from fastmlp.kernels.jit import SIMD_WIDTH
from fastmlp.optimizers.adam import adam_step

# The order of the arguments in Keras 3, whose code is often called by position.
ARGUMENTS = {
    "SGD": ("learning_rate", "momentum", "nesterov"),
    "Adam": ("learning_rate", "beta_1", "beta_2", "epsilon", "amsgrad"),
    "AdamW": ("learning_rate", "weight_decay", "beta_1", "beta_2", "epsilon", "amsgrad"),
    "RMSprop": ("learning_rate", "rho", "momentum", "epsilon", "centered"),
    "Adagrad": ("learning_rate", "initial_accumulator_value", "epsilon"),
    "Nadam": ("learning_rate", "beta_1", "beta_2", "epsilon"),
    "Lion": ("learning_rate", "beta_1", "beta_2"),
    # Keras has none; these are SciPy's options
    "LBFGS": ("maxcor", "ftol", "gtol", "maxls", "maxfun"),
}
VALUES = {
    "learning_rate": 0.5, "momentum": 0.25, "nesterov": True, "beta_1": 0.1, "beta_2": 0.2, "epsilon": 0.3,
    "amsgrad": True, "weight_decay": 0.75, "rho": 0.4, "centered": True,
    "initial_accumulator_value": 0.6, "maxcor": 3, "ftol": 0.5, "gtol": 0.25, "maxls": 7, "maxfun": 99,
}  # fmt: skip


@pytest.mark.parametrize("kind", [kind.__name__ for kind in optimizers.TABLE.values()])
def test_arguments_have_the_order_of_keras(kind):
    names = ARGUMENTS[kind]
    optimizer = getattr(optimizers, kind)(*(VALUES[name] for name in names))
    assert {name: getattr(optimizer, name) for name in names} == {name: VALUES[name] for name in names}
    with pytest.raises(TypeError, match="positional"):
        getattr(optimizers, kind)(*(VALUES[name] for name in names), 1.0)


def test_every_step_has_a_kind_of_its_own():
    kinds = {}
    for optimizer in set(optimizers.TABLE.values()) - {optimizers.LBFGS}:
        kinds.setdefault(optimizer.kind, []).append(optimizer)
    # those that share one are the same step with other defaults
    for family in kinds.values():
        assert any(all(issubclass(other, base) for other in family) for base in family)
    assert sorted(kinds) == list(range(len(kinds)))


def test_slots_are_named_and_say_what_they_start_from():
    assert optimizers.SGD().slots == {}
    options = {"use_ema": True, "gradient_accumulation_steps": 2}
    assert list(optimizers.Adam(**options).slots) == ["momentum", "velocity", "average", "accumulated"]
    assert optimizers.Adagrad(initial_accumulator_value=0.5).slots == {"accumulator": 0.5}


def test_names_are_found_in_any_case():
    assert optimizers.get("AdamW") == optimizers.AdamW()
    with pytest.raises(ValueError, match="did you mean 'adam'"):
        optimizers.get("adm")


@pytest.mark.parametrize("kind", sorted(optimizers.TABLE))
def test_settings_that_are_none_cannot_be_set(kind):
    optimizer = optimizers.TABLE[kind]()
    if isinstance(optimizer, optimizers.Optimizer):
        with pytest.raises(AttributeError, match="has no setting 'lr'; there are learning_rate, weight_decay"):
            optimizer.lr = 0.1
        optimizer.learning_rate = 0.1
        assert optimizer.learning_rate == 0.1


@pytest.mark.parametrize("name", ["clipvalue", "clipnorm", "global_clipnorm"])
def test_a_limit_is_one_number(name):
    with pytest.raises((TypeError, ValueError), match=f"{name} must be"):
        optimizers.SGD(**{name: np.ones(2)})


@pytest.mark.parametrize("amsgrad", [False, True])
def test_a_step_of_adam_is_exact_to_a_few_units_of_the_last_place(amsgrad):
    """Root and quotient may be estimates; both moments from 1e-37 to 1e37, and zeros."""
    rng = np.random.default_rng(0)
    size = 64 * SIMD_WIDTH
    w, g = np.zeros(size, np.float32), rng.standard_normal(size).astype(np.float32)
    scales = (10.0 ** rng.uniform(-18, 18, size)).astype(np.float32)
    m, v = (
        g * scales * rng.uniform(0.5, 2, size).astype(np.float32),
        (rng.uniform(0.5, 2, size) * scales * scales).astype(np.float32),
    )
    g *= scales
    m[:SIMD_WIDTH] = g[:SIMD_WIDTH] = 0
    v[: 2 * SIMD_WIDTH] = g[: 2 * SIMD_WIDTH] = 0
    largest = v * rng.uniform(0.5, 2, size).astype(np.float32)
    exact = [array.astype(np.float64) for array in (g, m, v, largest)]
    first = exact[1] + 0.25 * (exact[0] - exact[1])
    second = exact[2] + 0.125 * (exact[0] ** 2 - exact[2])
    under = np.maximum(exact[3], second) if amsgrad else second
    adam_step(
        w, g, m, v, largest, np.float32(0.5), np.float32(0.25), np.float32(0.125), np.float32(1e-7), amsgrad
    )  # fmt: skip
    np.testing.assert_allclose(v, second, rtol=3e-7, atol=1e-37)
    np.testing.assert_allclose(m, first, rtol=3e-7, atol=1e-37)
    np.testing.assert_allclose(w, -0.5 * first / (np.sqrt(under) + np.float64(np.float32(1e-7))), rtol=1e-6)


@pytest.mark.parametrize("units", [1, 3, 17, 64])
def test_what_an_optimizer_steps_at_once_are_whole_vectors(units):
    layers = [Dense(units, "relu"), BatchNormalization(), Dense(37), LayerNormalization(), Dense(units, use_bias=False)]
    model = Sequential([Input((5,)), *layers])
    model.build()
    counts = model._session.plan.network.items[:, COUNT]
    assert len(counts) > 5
    assert not (counts % SIMD_WIDTH).any()
