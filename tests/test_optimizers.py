"""The configuration of optimizers; their steps are in test_training.py."""

import numpy as np
import pytest

from fastmlp import optimizers

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
