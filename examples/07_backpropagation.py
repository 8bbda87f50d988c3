"""7. Backpropagation: one step by hand for two weights, and central differences as a check."""

import math

import numpy as np
from picture import pyplot, save

from fastmlp import Dense, Input, Sequential, optimizers

# Change these numbers: one sample, the two weights, and the learning rate.
X, Y = 1.5, 1.0
W1, W2 = 0.8, -0.4
LEARNING_RATE = 0.5
STEPS = 30

plt = pyplot()  # None without --picture FILE


def loss_of(w1, w2):
    """Forward: x -> z = w1 x -> a = sigmoid(z) -> prediction w2 a -> squared error."""
    return (w2 / (1 + np.exp(-w1 * X)) - Y) ** 2


# Forward, keeping everything on the way.
z = W1 * X
a = 1 / (1 + math.exp(-z))
prediction = W2 * a
loss = (prediction - Y) ** 2
print(f"forward    z = {z:.4f}   a = {a:.4f}   prediction = {prediction:.4f}   loss = {loss:.4f}")

# Backward: from the loss to the weights, one factor of the chain rule at a time.
by_prediction = 2 * (prediction - Y)
by_w2 = by_prediction * a
by_a = by_prediction * W2
by_z = by_a * a * (1 - a)  # the derivative of the sigmoid is a (1 - a)
by_w1 = by_z * X
print(f"backward   dL/dprediction = {by_prediction:.4f}   dL/da = {by_a:.4f}   dL/dz = {by_z:.4f}")

# The same network in fastmlp: two layers of one unit, without biases.
model = Sequential(
    [Input(shape=(1,)), Dense(1, activation="sigmoid", use_bias=False), Dense(1, use_bias=False)], seed=0
)
model.compile(optimizer=optimizers.SGD(learning_rate=LEARNING_RATE), loss="mse")
model.set_weights([np.array([[W1]]), np.array([[W2]])])
gradients = model.gradients([[X]], [[Y]])

# Central differences know nothing of the chain rule: they change a weight a little and look at the loss.
h = 1e-5
difference_1 = (loss_of(W1 + h, W2) - loss_of(W1 - h, W2)) / (2 * h)
difference_2 = (loss_of(W1, W2 + h) - loss_of(W1, W2 - h)) / (2 * h)
print("\n           by hand   model.gradients   central difference")
print(f"dL/dw1   {by_w1:9.6f}   {gradients[0].dw[0, 0]:15.6f}   {difference_1:18.6f}")
print(f"dL/dw2   {by_w2:9.6f}   {gradients[1].dw[0, 0]:15.6f}   {difference_2:18.6f}")

# One step of gradient descent: against the gradient, times the learning rate.
model.fit([[X]], [[Y]], epochs=1, verbose=0)
new = [float(weight[0, 0]) for weight in model.get_weights()]
print("\nafter a step   by hand    model.fit")
print(f"w1           {W1 - LEARNING_RATE * by_w1:9.6f}   {new[0]:10.6f}")
print(f"w2           {W2 - LEARNING_RATE * by_w2:9.6f}   {new[1]:10.6f}")
print(f"loss         {loss_of(W1 - LEARNING_RATE * by_w1, W2 - LEARNING_RATE * by_w2):9.6f}   {loss_of(*new):10.6f}")
print(f"\nmodel.check_gradients: its differences agree within {model.check_gradients([[X]], [[Y]]).worst:.0e}")

if plt:
    model.set_weights([np.array([[W1]]), np.array([[W2]])])
    path = [(W1, W2)]
    for _ in range(STEPS):
        model.fit([[X]], [[Y]], epochs=1, verbose=0)
        path.append(tuple(float(weight[0, 0]) for weight in model.get_weights()))
    figure, ax = plt.subplots(figsize=(6, 4.5), layout="constrained")
    across, up = np.linspace(-0.5, 2, 120), np.linspace(-0.8, 2, 120)
    surface = ax.contourf(across, up, loss_of(*np.meshgrid(across, up)), levels=14, cmap="Blues")
    figure.colorbar(surface, ax=ax, label="loss")
    ax.plot(*zip(*path, strict=True), "o-", color="C1", markersize=4, label=f"{STEPS} steps of gradient descent")
    ax.plot(W1, W2, "s", color="black", label="start")
    ax.set(xlabel="w1", ylabel="w2", title="Down the slope of the loss")
    ax.legend(loc="upper right", frameon=True)
    save(figure)
