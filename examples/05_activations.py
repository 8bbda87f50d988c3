"""5. Activation functions and their derivatives: sigmoid, tanh, ReLU, ELU, SELU, softplus and softmax."""

import numpy as np
from picture import pyplot, save

from fastmlp import activations

# Change these numbers.
ALPHA = 1.0  # of ELU
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
STEP = 1e-6

plt = pyplot()  # None without --picture FILE


def sigmoid(z):
    """Return a number between 0 and 1: a probability."""
    return 1 / (1 + np.exp(-z))


# The function, its derivative, and what fastmlp has under that name.
FUNCTIONS = {
    "sigmoid": (sigmoid, lambda z: sigmoid(z) * (1 - sigmoid(z)), activations.Sigmoid()),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2, activations.Tanh()),
    "ReLU": (lambda z: np.maximum(0, z), lambda z: np.where(z > 0, 1.0, 0.0), activations.ReLU()),
    "ELU": (
        lambda z: np.where(z > 0, z, ALPHA * (np.exp(z) - 1)),
        lambda z: np.where(z > 0, 1.0, ALPHA * np.exp(z)),
        activations.ELU(alpha=ALPHA),
    ),
    "SELU": (
        lambda z: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * (np.exp(z) - 1)),
        lambda z: SELU_SCALE * np.where(z > 0, 1.0, SELU_ALPHA * np.exp(z)),
        activations.SELU(),
    ),
    "softplus": (lambda z: np.log(1 + np.exp(z)), sigmoid, activations.Softplus()),
}

# Is the derivative the slope? A central difference says so: how much f changes a little right and left of z.
points = np.array([-3.0, -1.0, -0.3, 0.3, 1.0, 3.0])
print("            f(-1)    f(1)  f'(-1)   f'(1)   slope by differences   fastmlp's f")
for name, (f, derivative, library) in FUNCTIONS.items():
    slope = (f(points + STEP) - f(points - STEP)) / (2 * STEP)
    off = np.abs(slope - derivative(points)).max(), np.abs(library(points) - f(points)).max()
    values = "".join(f"{float(value):8.4f}" for value in (f(-1.0), f(1.0), derivative(-1.0), derivative(1.0)))
    print(f"{name:9}{values}   differs by {off[0]:7.0e}   differs by {off[1]:7.0e}")

# Softplus, log(1 + exp(z)), is the smooth ReLU, and its derivative is the sigmoid. Softmax has a similar name only:
# it takes all units of a layer at once and makes probabilities of them, which add up to 1.
z = np.array([1.0, 2.0, 3.0])
softmax = np.exp(z) / np.exp(z).sum()
jacobian = np.diag(softmax) - np.outer(softmax, softmax)  # how every output follows every z
print("\nsoftplus of 1, 2, 3  ", np.round(np.log(1 + np.exp(z)), 4), " each on its own")
print("softmax of 1, 2, 3   ", np.round(softmax, 4), f" sum {softmax.sum():.4f}")
print("d softmax_1 / d z    ", np.round(jacobian[0], 4), f" sum {jacobian[0].sum():.4f}: what one gains, others lose")

# An ELU with another alpha is still an ELU. A SELU also has a scale, and only this pair of constants keeps numbers of
# mean 0 and variance 1 at mean 0 and variance 1, layer after layer.
normal = np.random.default_rng(0).standard_normal(100_000)
print("\nfrom mean 0, variance 1     mean   variance")
elu = activations.ELU(alpha=SELU_ALPHA)
for name, values in (("ELU, alpha 1.6733", elu(normal)), ("SELU", FUNCTIONS["SELU"][0](normal))):
    print(f"{name:22}   {abs(values.mean()):7.2f}   {values.var():8.2f}")

if plt:
    figure, axes = plt.subplots(2, 4, figsize=(10, 5), layout="constrained")
    z = np.linspace(-4, 4, 401)
    for ax, (name, (f, derivative, _)) in zip(axes.flat, FUNCTIONS.items(), strict=False):
        ax.plot(z, f(z), linewidth=2, label="function")
        ax.plot(z, derivative(z), "--", label="derivative")
        ax.set(title=name, ylim=(-2.1, 3.1))
    rows = np.exp(np.column_stack([z, 0 * z, 0 * z + 1]))
    shares = rows / rows.sum(axis=1, keepdims=True)
    for column, (label, place) in enumerate((("of z", -1), ("of 0", 0), ("of 1", 0))):
        axes[1, 2].plot(z, shares[:, column], "grey" if column else "C0")
        axes[1, 2].text(z[place], shares[place, column] + 0.03, label, ha="left" if column else "right")
    axes[1, 2].set(title="softmax of (z, 0, 1)", ylim=(-0.05, 1.15))
    axes[1, 3].plot(z, FUNCTIONS["ReLU"][0](z), "C2", label="ReLU")
    axes[1, 3].plot(z, FUNCTIONS["softplus"][0](z), "C0", label="softplus")
    axes[1, 3].set(title="softplus, a smooth ReLU", ylim=(-2.1, 3.1))
    axes[1, 3].legend(loc="lower right")
    for ax in axes.flat:
        ax.set_xticks([-4, -2, 0, 2, 4])
        ax.axhline(0, color="grey", linewidth=0.5)
        ax.axvline(0, color="grey", linewidth=0.5)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    save(figure)
