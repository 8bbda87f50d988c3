"""Objects as plain data, and made again from them; names resolve in closed tables alone."""

import dataclasses
import inspect
import json
import math

import numpy as np
import pytest

from fastmlp import (
    Activation,
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
    configs,
    constraints,
    initializers,
    layers,
    metrics,
    optimizers,
    regularizers,
)

CLASSES = [
    (kind, member)
    for kind, table in configs.tables().items()
    for name, member in table.items()
    # test_custom.py has those of functions
    if kind != "layer" and name != "Custom"
]
LAYERS = [
    Activation(activations.LeakyReLU(0.3)),
    BatchNormalization(0.9, 0.01, gamma_initializer=initializers.Constant(2), beta_regularizer="l1"),
    BatchNormalization(scale=False, center=False),
    Dense(3, activations.ELU(0.5), kernel_regularizer=regularizers.L1L2(0.1, 0.2), kernel_constraint="unit_norm"),
    Dense(2, use_bias=False, kernel_initializer=initializers.RandomNormal(0.5, 0.1)),
    Dropout(0.3, seed=2**64 - 1),
    Flatten(),
    GaussianNoise(0.1),
    LayerNormalization(0.5, scale=False),
    Normalization(),
    Normalization(mean=[1.0, 2.0, 3.0, 0.1], variance=4.0),
    Rescaling(1 / 255, -0.5),
    Residual([Dense(3, "tanh", name="inside"), Residual([Dense(3)]), Dense(4)], name="skip"),
]


# what 0.5 will not do for
SPECIAL = {"boundaries": [3, 5], "values": [0.1, 0.2, 0.3], "total_steps": 10}


def through_json(value):
    return configs.decode(json.loads(json.dumps(configs.encode(value), allow_nan=False)))


@pytest.mark.parametrize(("kind", "member"), CLASSES, ids=lambda value: getattr(value, "__name__", value))
def test_every_object_comes_back(kind, member):
    required = [
        name
        for name, parameter in inspect.signature(member).parameters.items()
        if parameter.default is inspect.Parameter.empty
    ]
    one = member(**{name: SPECIAL.get(name, 0.5) for name in required})
    again = through_json(one)
    assert type(again) is member
    assert again.get_config() == one.get_config()
    assert member.from_config(one.get_config()).get_config() == one.get_config()
    if dataclasses.is_dataclass(one):
        assert again == one
        assert set(one.get_config()) == {field.name for field in dataclasses.fields(one) if field.init}


@pytest.mark.parametrize(
    "one",
    [
        optimizers.SGD(0.1, momentum=0.9, nesterov=True, clipnorm=2.0),
        optimizers.AdamW(np.float32(0.1), global_clipnorm=1),
        regularizers.L1L2(0.1, 1e-30),
        constraints.MaxNorm(3.5),
        initializers.RandomUniform(-1, 2),
        metrics.TopKCategoricalAccuracy(k=np.int64(3)),
    ],
    ids=lambda one: type(one).__name__,
)
def test_arguments_come_back(one):
    assert through_json(one) == one


def test_every_layer_has_an_example():
    assert {type(layer) for layer in LAYERS} == set(layers.TABLE.values())


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_every_layer_comes_back(layer):
    again = through_json(layer)
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
    assert not again.built
    config = type(layer).from_config(layer.get_config()).get_config()
    assert config == layer.get_config()


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_names_and_shapes_of_weights_are_those_of_the_weights(layer):
    layer = through_json(layer)
    assert layer.own_weights() == {}
    layer.build((4,), np.random.default_rng(0))
    named = layer.own_weights()
    assert layer.weight_shapes((4,)) == {name: weight.shape for name, weight in named.items()}
    inside = [weight for each in layers.base.nested([layer]) for weight in each.own_weights().values()]
    assert [weight for weight, _ in layer.weights_of_parts()] == inside


def test_frozen_layers_stay_frozen():
    frozen = Dense(3)
    frozen.trainable = False
    assert through_json(frozen).trainable is False
    skip = through_json(Residual([through_json(frozen), Dense(4)]))
    assert [layer.trainable for layer in skip.layers] == [False, True]


@pytest.mark.parametrize("number", [math.inf, -math.inf, 1e-300, 0.1, 2**64 - 1, True, None, "text", [1, [2.5, "x"]]])
def test_plain_values_come_back(number):
    assert through_json(number) == number


def test_nan_comes_back():
    assert math.isnan(through_json([math.nan])[0])


class Own(activations.ReLU):
    pass


class Impostor(layers.Layer):
    pass


Impostor.__name__ = "Dense"


@pytest.mark.parametrize(
    "value", [Own(), Impostor(), object(), {"a": 1}, {1}, len, Dense, 1j], ids=lambda value: type(value).__name__
)
def test_what_is_not_ours_cannot_be_written(value):
    with pytest.raises(TypeError, match="cannot be written down"):
        configs.encode(value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"kind": "activation", "class_name": "rleu", "config": {}}, "unknown activation"),
        ({"kind": "activation", "class_name": "Dense", "config": {}}, "unknown activation"),
        ({"kind": "os", "class_name": "system", "config": {}}, "unknown kind"),
        ({"kind": ["os"], "class_name": "system", "config": {}}, "unknown kind"),
        ({"kind": "layer", "class_name": {}, "config": {}}, "unknown layer"),
        ({"kind": "layer", "class_name": "Layer", "config": {}}, "unknown layer"),
        ({"kind": "layer", "class_name": "Dense", "config": {"units": 0}}, "units must be"),
        ({"kind": "layer", "class_name": "Dense", "config": {"unit": 3}}, "unit"),
        ({"kind": "layer", "class_name": "Dense", "config": []}, "config of Dense must be a dict"),
        ({"kind": "loss", "class_name": "Huber", "config": {1: 2}}, "config of Huber must be a dict"),
        ({"class_name": "Dense", "config": {"units": 1}}, "must have the keys"),
        ({"float": "1"}, "unknown float"),
        ({}, "must have the keys"),
    ],
    ids=str,
)
def test_what_stands_for_nothing_is_named(data, message):
    with pytest.raises((TypeError, ValueError), match=message):
        configs.decode(data)


def test_an_object_of_another_kind_is_refused():
    config = Dense(2, "relu").get_config()
    config["activation"] = configs.encode(initializers.Zeros())
    with pytest.raises(TypeError, match="activation must be a name"):
        Dense.from_config(config)


def test_a_model_comes_back():
    model = Sequential([Input(shape=(4,)), Dense(3, "relu"), Residual([Dense(3)]), Dense(1)], name="m", seed=5)
    again = Sequential.from_config(json.loads(model.to_json(indent=1)))
    assert again.get_config() == model.get_config()
    for one, other in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_without_an_input_comes_back():
    model = Sequential([Dense(3), Dense(1)], seed=5)
    again = Sequential.from_config(model.get_config())
    assert not again.built
    again.build((2,))
    assert [layer.name for layer in again.layers] == ["dense", "dense_1"]


def test_compile_settings_come_back():
    model = Sequential([Input(shape=(4,)), Dense(1)])
    assert model.get_compile_config() is None
    model.compile("adam", "huber", metrics=["mae", metrics.BinaryAccuracy(0.2)])
    model.optimizer.learning_rate = 0.25
    again = Sequential.from_config(model.get_config())
    again.compile_from_config(json.loads(json.dumps(model.get_compile_config())))
    assert again.get_compile_config() == model.get_compile_config()
    assert again.optimizer == model.optimizer


@pytest.mark.parametrize(
    "config",
    [
        None,
        {},
        {"name": "m", "seed": 1, "input_shape": None, "layers": {}},
        {"name": "m", "seed": 1, "input_shape": None, "layers": [], "more": 1},
    ],
    ids=str,
)
def test_a_bad_config_of_a_model(config):
    with pytest.raises(TypeError, match="config"):
        Sequential.from_config(config)
