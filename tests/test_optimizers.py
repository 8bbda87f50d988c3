"""The configuration of optimizers; their steps are in test_training.py."""

import pytest

from fastmlp import optimizers

# The order of the arguments in Keras 3, whose code is often called by position.
ARGUMENTS = {
    "SGD": ("learning_rate", "momentum", "nesterov"),
    "Adam": ("learning_rate", "beta_1", "beta_2", "epsilon", "amsgrad"),
    "AdamW": ("learning_rate", "weight_decay", "beta_1", "beta_2", "epsilon", "amsgrad"),
    "RMSprop": ("learning_rate", "rho", "momentum", "epsilon", "centered"),
    # Keras has none; these are SciPy's options
    "LBFGS": ("maxcor", "ftol", "gtol", "maxls"),
}
VALUES = {
    "learning_rate": 0.5, "momentum": 0.25, "nesterov": True, "beta_1": 0.1, "beta_2": 0.2, "epsilon": 0.3,
    "amsgrad": True, "weight_decay": 0.75, "rho": 0.4, "centered": True, "maxcor": 3, "ftol": 0.5,
    "gtol": 0.25, "maxls": 7,
}  # fmt: skip


@pytest.mark.parametrize("kind", [kind.__name__ for kind in optimizers.TABLE.values()])
def test_arguments_have_the_order_of_keras(kind):
    names = ARGUMENTS[kind]
    optimizer = getattr(optimizers, kind)(*(VALUES[name] for name in names))
    assert {name: getattr(optimizer, name) for name in names} == {name: VALUES[name] for name in names}
    with pytest.raises(TypeError, match="positional"):
        getattr(optimizers, kind)(*(VALUES[name] for name in names), 1.0)


def test_names_are_found_in_any_case():
    assert optimizers.get("AdamW") == optimizers.AdamW()
    with pytest.raises(ValueError, match="did you mean 'adam'"):
        optimizers.get("adm")
