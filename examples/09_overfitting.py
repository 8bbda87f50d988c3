"""9. Overfitting and its cures: more data, a smaller net, L1, L2, dropout and early stopping, side by side."""

import numpy as np
from picture import pyplot, save

from fastmlp import Dense, Dropout, Input, Sequential, callbacks, optimizers, regularizers

# Change these numbers.
ROWS, MANY_ROWS = 100, 10_000
UNITS, FEW_UNITS = (32, 32), (2,)
L1, L2, DROPOUT = 0.05, 0.1, 0.5
EPOCHS = 200
NEARLY_ZERO = 0.01

plt = pyplot()  # None without --picture FILE


def data(rows, seed):
    """Ten features, of which only the first two matter, and noise of variance 1."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 10))
    return x, 2 * np.tanh(x[:, 0] + x[:, 1]) + rng.normal(size=rows)


validation, test = data(1000, seed=1), data(5000, seed=2)


def train(rows=ROWS, units=UNITS, regularizer=None, dropout=0.0, stop=None):
    """Train a network; return it and its history. The metric mse is the error without a regularizer's penalty."""
    x, y = data(rows, seed=0)
    hidden = []
    for count in units:
        hidden += [Dense(count, activation="tanh", kernel_regularizer=regularizer), Dropout(dropout)]
    model = Sequential([Input(shape=(10,)), *hidden, Dense(1)], seed=0)
    model.compile(optimizer=optimizers.Adam(learning_rate=0.003), loss="mse", metrics=["mse"])
    history = model.fit(x, y, epochs=EPOCHS, validation_data=validation, verbose=0, callbacks=[stop] if stop else None)
    return model, history


def hidden_weights(model):
    """Return all weights of the hidden layers' kernels, in one row."""
    return np.concatenate([weights.ravel() for weights in model.get_weights()[:-2] if weights.ndim == 2])


runs = {
    "no cure": train(),
    "more data": train(rows=MANY_ROWS),
    "smaller net": train(units=FEW_UNITS),
    "L1": train(regularizer=regularizers.L1(L1)),
    "L2": train(regularizer=regularizers.L2(L2)),
    "dropout": train(dropout=DROPOUT),
    "early stopping": train(stop=callbacks.EarlyStopping("val_mse", patience=10, restore_best_weights=True)),
}
# The noise has variance 1, so no network can do better than 1 on new rows. Less in training is learning by heart.
print("mean squared error   training    new rows   epochs   nearly zero weights")
for name, (model, history) in runs.items():
    weights = hidden_weights(model)
    zeros = f"{(np.abs(weights) < NEARLY_ZERO).sum():5} of {weights.size:5}"
    # the training rows once more, as the network is now: without dropout, and with the weights that were kept
    known = model.evaluate(*data(MANY_ROWS if name == "more data" else ROWS, seed=0), return_dict=True, verbose=0)
    new = model.evaluate(*test, return_dict=True, verbose=0)
    print(f"{name:18}   {known['mse']:8.3f}   {new['mse']:9.3f}   {len(history.epoch):6}   {zeros:>19}")

# L1 pulls every weight to 0 by the same force, however small it is. A step over 0 is pulled back, so weights tremble
# around 0; setting those to exactly 0 changes next to nothing. Of the inputs, the two that matter stand out.
model, _ = runs["L1"]
before = model.evaluate(*test, return_dict=True, verbose=0)["mse"]
pruned = [np.where(np.abs(w) < NEARLY_ZERO, 0, w) if w.ndim == 2 else w for w in model.get_weights()]
model.set_weights(pruned)
after = model.evaluate(*test, return_dict=True, verbose=0)["mse"]
largest = np.abs(pruned[0]).max(axis=1)
print(f"\nL1 with those set to exactly 0   {before:.4f} became {after:.4f}")
print(f"largest weight of each input     {'  '.join(f'{weight:.2f}' for weight in largest)}")

if plt:
    figure, axes = plt.subplots(2, 4, figsize=(10, 5), layout="constrained")
    for ax, (name, (_, history)) in zip(axes.flat, runs.items(), strict=False):
        epochs = range(1, len(history.epoch) + 1)
        ax.plot(epochs, history.history["mse"], label="training")
        ax.plot(epochs, history.history["val_mse"], label="validation")
        ax.axhline(1, color="grey", linewidth=0.8, linestyle=":", label="noise")
        ax.set(title=name, ylim=(0, 2.5), xlim=(0, EPOCHS))
    for ax in axes[1]:
        ax.set_xlabel("epoch")
    for ax in axes[:, 0]:
        ax.set_ylabel("mean squared error")
    for name in ("no cure", "L2", "L1"):
        sizes = np.sort(np.abs(hidden_weights(runs[name][0])))[::-1]
        axes[1, 3].plot(sizes, color={"no cure": "C2", "L2": "C4", "L1": "C3"}[name], label=name)
    axes[1, 3].set(title="sizes of the weights, sorted", xlabel="weight", ylim=(0, 1))
    axes[1, 3].legend()
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    save(figure)
