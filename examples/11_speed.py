"""11. The same training in NumPy, scikit-learn and fastmlp: the same losses, and how long each takes."""

import warnings
from time import perf_counter

import numpy as np
from picture import pyplot, save
from sklearn.neural_network import MLPClassifier

from fastmlp import Dense, Input, Sequential, datasets, optimizers

# Change these numbers.
HIDDEN = 64
EPOCHS = 50
BATCH = 32
LEARNING_RATE = 0.1

plt = pyplot()  # None without --picture FILE
(x, y), _ = datasets.load_digits()


def train_numpy(weights):
    """Return the loss of each epoch; forward and backward as in the lecture."""
    w1, b1, w2, b2 = (array.copy() for array in weights)
    losses = []
    for _ in range(EPOCHS):
        total = 0.0
        for first in range(0, len(x), BATCH):
            rows, digits = x[first : first + BATCH], y[first : first + BATCH]
            number = np.arange(len(rows))
            a1 = np.maximum(0, rows @ w1 + b1)
            z2 = a1 @ w2 + b2
            a2 = np.exp(z2 - z2.max(axis=1, keepdims=True))
            a2 /= a2.sum(axis=1, keepdims=True)
            total -= np.log(a2[number, digits]).sum()
            # cross-entropy after softmax has the gradient a - y
            dz2 = a2
            dz2[number, digits] -= 1
            dz2 /= len(rows)
            dz1 = (dz2 @ w2.T) * (a1 > 0)
            w2 -= LEARNING_RATE * (a1.T @ dz2)
            b2 -= LEARNING_RATE * dz2.sum(axis=0)
            w1 -= LEARNING_RATE * (rows.T @ dz1)
            b1 -= LEARNING_RATE * dz1.sum(axis=0)
        losses.append(total / len(x))
    return losses


# scikit-learn cannot be given start weights, but it can go on: one epoch of it is the start for all three.
theirs = MLPClassifier(
    (HIDDEN,), solver="sgd", learning_rate_init=LEARNING_RATE, momentum=0, alpha=0, batch_size=BATCH, shuffle=False,
    tol=0, n_iter_no_change=EPOCHS + 1, max_iter=1, warm_start=True, random_state=0,
)  # fmt: skip
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns that a single epoch is not the end of learning
    theirs.fit(x, y)
start = [theirs.coefs_[0], theirs.intercepts_[0], theirs.coefs_[1], theirs.intercepts_[1]]
start = [array.astype(np.float32) for array in start]


def train_sklearn():
    """Return the loss of each epoch."""
    theirs.set_params(max_iter=EPOCHS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.fit(x, y)
    return theirs.loss_curve_[-EPOCHS:]


def train_fastmlp():
    """Return the loss of each epoch."""
    return model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0).history["loss"]


model = Sequential([Input(shape=(64,)), Dense(HIDDEN, activation="relu"), Dense(10, activation="softmax")])
model.compile(optimizer=optimizers.SGD(LEARNING_RATE), loss="sparse_categorical_crossentropy")
model.fit(x, y, batch_size=BATCH, verbose=0)  # so that loading or compiling the kernels is not measured
model.set_weights(start)

print(f"network 64-{HIDDEN}-10, {len(x)} images, {EPOCHS} epochs of batches of {BATCH}")
print("               loss, first epoch   loss, last epoch   seconds   steps a second")
seconds = {}
for name, training in (
    ("NumPy", lambda: train_numpy(start)),
    ("scikit-learn", train_sklearn),
    ("fastmlp", train_fastmlp),
):
    begun = perf_counter()
    losses = training()
    seconds[name] = perf_counter() - begun
    speed = EPOCHS * -(-len(x) // BATCH) / seconds[name]
    print(f"{name:12}   {losses[0]:17.5f}   {losses[-1]:16.5f}   {seconds[name]:7.3f}   {speed:14,.0f}")
# Times differ from run to run and from machine to machine; the losses do not.

if plt:
    figure, ax = plt.subplots(figsize=(7, 2.6), layout="constrained")
    bars = ax.barh(list(seconds), list(seconds.values()), color=["C0", "C1", "C2"])
    ax.bar_label(bars, [f"{value:.3f} s" for value in seconds.values()], padding=4)
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.set(title=f"{EPOCHS} epochs of the same training; shorter is faster", xlabel="seconds")
    save(figure)
