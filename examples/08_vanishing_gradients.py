"""8. Vanishing gradients in ten layers of sigmoids, and dying ReLUs: made, and cured."""

import numpy as np
from picture import pyplot, save

from fastmlp import Dense, Input, Sequential, datasets, optimizers

# Change these numbers.
LAYERS, UNITS = 10, 32
EPOCHS = 20
SEED = 0

plt = pyplot()  # None without --picture FILE
(x, y), (x_test, y_test) = datasets.load_digits()


def deep(activation, initializer):
    """A network of many layers. Every activation gets the start weights that were made for it."""
    hidden = [Dense(UNITS, activation=activation, kernel_initializer=initializer) for _ in range(LAYERS - 1)]
    model = Sequential([Input(shape=(64,)), *hidden, Dense(10, activation="softmax")], seed=SEED)
    model.compile(optimizer=optimizers.SGD(0.05), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


# The slope of a sigmoid is 1/4 at most, and backpropagation multiplies by it in every layer: ten layers down,
# next to nothing of the gradient is left, and the first layers do not learn.
kinds = {"sigmoid": "glorot_uniform", "relu": "he_normal", "elu": "he_normal", "selu": "lecun_normal"}
norms, accuracies = {}, {}
for activation, initializer in kinds.items():
    model = deep(activation, initializer)
    norms[activation] = [float(np.linalg.norm(layer.dw)) for layer in model.gradients(x, y)]
    model.fit(x, y, epochs=EPOCHS, verbose=0)
    accuracies[activation] = model.evaluate(x_test, y_test, verbose=0)[1]
print("norm of the gradient before training")
print("layer      " + "".join(f"{name:>10}" for name in kinds))
for layer in range(LAYERS):
    print(f"{layer + 1:5}      " + "".join(f"{norms[name][layer]:10.1e}" for name in kinds))
print("last/first " + "".join(f"{norms[name][-1] / norms[name][0]:10,.0f}" for name in kinds))
print(f"accuracy   {''.join(f'{accuracies[name]:10.1%}' for name in kinds)}   after {EPOCHS} epochs")


def shallow(activation, learning_rate):
    """Train a usual network; return its accuracy, and the share of hidden units that are never above 0."""
    hidden = [Dense(UNITS, activation=activation), Dense(UNITS, activation=activation)]
    model = Sequential([Input(shape=(64,)), *hidden, Dense(10, activation="softmax")], seed=SEED)
    model.compile(optimizers.SGD(learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=EPOCHS, verbose=0)
    silent = np.concatenate([(layer.z <= 0).all(axis=0) for layer in model.forward(x)[:2]])
    return model.evaluate(x_test, y_test, verbose=0)[1], silent.mean(), history.history["accuracy"]


# One step too far, and a ReLU is 0 for every image. Its slope is then 0 as well: no gradient ever brings it back.
# Smaller steps do not kill it; a leaky ReLU has a small slope below 0, and finds back by itself.
runs = {
    "made: ReLU, learning rate 1": shallow("relu", 1.0),
    "cured: ReLU, learning rate 0.1": shallow("relu", 0.1),
    "cured: leaky ReLU, learning rate 1": shallow("leaky_relu", 1.0),
}
print("\ndying ReLUs                          never above 0   accuracy")
for name, (accuracy, silent, _) in runs.items():
    print(f"{name:34}   {silent:13.0%}   {accuracy:8.1%}")

if plt:
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    for (name, values), mark in zip(norms.items(), "osD^", strict=True):
        left.semilogy(range(1, LAYERS + 1), values, marker=mark, label=name)
    left.set(title="the gradient in each layer, before training", xlabel="layer, from the inputs", ylabel="its norm")
    left.set_xticks(range(1, LAYERS + 1))
    for name, (_, _, values) in runs.items():
        right.plot(range(1, EPOCHS + 1), values, label=name)
    right.set(title="dying ReLUs", xlabel="epoch", ylabel="accuracy in training", ylim=(0, 1.02))
    right.set_xticks(range(0, EPOCHS + 1, 5))
    left.legend()
    right.legend(loc="center right")
    save(figure)
