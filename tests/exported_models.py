"""Models with every layer and every activation, for the tests of what writes models in other formats."""

import numpy as np

from fastmlp import Dense, Input, Sequential, activations, layers

K = 7
ACTIVATIONS = {
    **{name: made() for name, made in activations.TABLE.items()},
    "elu_half": activations.ELU(np.float64(0.5)),
    "leaky_negative": activations.LeakyReLU(-0.3),
    "gelu_tanh": activations.GELU(approximate=True),
}
# every layer, by what it is to show
STACKS = {
    "no_bias": lambda: [Dense(5, use_bias=False), Dense(1)],
    "activation_first": lambda: [layers.Activation("tanh"), Dense(3, "softmax"), layers.Activation("softmax")],
    "rescaling": lambda: [layers.Rescaling(0.25, -1.0), Dense(3), layers.Rescaling(3)],
    "noise": lambda: [layers.Dropout(0.5), Dense(3), layers.GaussianNoise(2.0)],
    "batch": lambda: [layers.BatchNormalization(), Dense(5), layers.BatchNormalization(center=False)],
    "batch_bare": lambda: [
        layers.BatchNormalization(scale=False),
        layers.BatchNormalization(center=False, scale=False),
    ],
    "rows": lambda: [layers.LayerNormalization(), Dense(5), layers.LayerNormalization(1e-2, center=False)],
    "rows_bare": lambda: [layers.LayerNormalization(scale=False), layers.LayerNormalization(center=False, scale=False)],
    "one_feature": lambda: [Dense(1), layers.LayerNormalization(), Dense(1)],
    "given_moments": lambda: [layers.Normalization(mean=range(K), variance=4.0), Dense(2)],
    "residual": lambda: [
        Dense(6),
        layers.Residual([Dense(4, "relu"), layers.Residual([Dense(4, "tanh")]), Dense(6)]),
        layers.Residual([layers.LayerNormalization(), Dense(6)]),
    ],
    "names": lambda: [Dense(3, name='"""\nraise SystemExit("\\'), Dense(2, name="λ 😀"), Dense(2, name="{0}")],
}  # fmt: skip


def stacked(name):
    model = Sequential([Input(shape=(K,)), *STACKS[name]()], seed=1)
    randomise(model)
    return model


def randomise(model):
    """Weights as after a training: biases, gammas and averages are not 0 and 1; variances stay positive."""
    rng = np.random.default_rng(3)
    model.set_weights([rng.uniform(0.2, 1.2, weight.shape) for weight in model.get_weights()])


def every_model():
    """Yield models with a name and inputs for each."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1.5, (13, K)).astype(np.float32)
    for name, activation in ACTIVATIONS.items():
        model = Sequential([Input(shape=(K,)), Dense(19, activation), Dense(3)], seed=2)
        yield f"activation_{name}", model, x
        if name not in ("exponential", "softmax"):
            wide = np.linspace(-100, 100, 13 * K, dtype=np.float32).reshape(13, K)
            yield f"far_{name}", Sequential([Input(shape=(K,)), layers.Activation(activation)]), wide
    for name in STACKS:
        yield f"stack_{name}", stacked(name), x
    images = rng.normal(0, 1, (5, 4, 3)).astype(np.float32)
    image = [Input(shape=(4, 3)), layers.Rescaling(2.0), layers.Activation("tanh"), layers.Flatten(), Dense(2)]
    yield "images", Sequential(image, seed=0), images
    normalization = layers.Normalization()
    normalization.adapt(x * 10 + 300)
    yield "adapted", Sequential([Input(shape=(K,)), normalization, Dense(2)], seed=0), x * 10 + 300
    yield "no_rows", stacked("rows"), x[:0]
    yield "one_row", stacked("rows"), x[:1]
