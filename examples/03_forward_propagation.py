"""3. Forward propagation by hand: z and a of every layer, written out with the weights."""

import math

import numpy as np
from picture import pyplot, save

from fastmlp import Dense, Input, Sequential

# Change these numbers. weights[k][n] leads from input k to unit n.
X = [0.5, -1.0]
WEIGHTS_1 = [[1.0, -2.0, 0.5], [0.5, 1.0, -1.5]]
BIASES_1 = [0.0, 1.0, -1.0]
WEIGHTS_2 = [[2.0], [-1.0], [1.5]]
BIASES_2 = [0.5]

plt = pyplot()  # None without --picture FILE


def dense(a, weights, biases):
    """One layer by hand: every unit adds up its inputs by their weights, and squeezes the sum with the sigmoid."""
    z_of_all, a_of_all = [], []
    for unit, bias in enumerate(biases):
        z = bias
        text = f"{bias:g}"
        for number, value in enumerate(a):
            z += value * weights[number][unit]
            text += f" + ({value:.4g})({weights[number][unit]:g})"
        z_of_all.append(z)
        a_of_all.append(1 / (1 + math.exp(-z)))
        print(f"  unit {unit + 1}:  z = {text} = {z:.4f},  a = sigmoid(z) = {a_of_all[-1]:.4f}")
    return z_of_all, a_of_all


print(f"inputs: {X}\nlayer 1")
z1, a1 = dense(X, WEIGHTS_1, BIASES_1)
print("layer 2")
z2, a2 = dense(a1, WEIGHTS_2, BIASES_2)

# The same with fastmlp, which shows z and a of every layer.
model = Sequential([Input(shape=(2,)), Dense(3, activation="sigmoid"), Dense(1, activation="sigmoid")])
model.set_weights([np.array(array) for array in (WEIGHTS_1, BIASES_1, WEIGHTS_2, BIASES_2)])
layers = model.forward([X])
print("\n           by hand                    model.forward")
for name, mine, theirs in (
    ("layer 1 z", z1, layers[0].z[0]),
    ("layer 1 a", a1, layers[0].a[0]),
    ("layer 2 z", z2, layers[1].z[0]),
    ("layer 2 a", a2, layers[1].a[0]),
):
    left, right = ("  ".join(f"{value:7.4f}" for value in values) for values in (mine, theirs))
    print(f"{name}  {left:25}  {right}")

if plt:
    figure, ax = plt.subplots(figsize=(8, 4.2), layout="constrained")
    columns = [(0, X), (1, a1), (2, a2)]
    places = [
        [(2.2 * across, (len(values) - 1) / 2 - unit) for unit in range(len(values))] for across, values in columns
    ]
    for starts, ends, weights in ((places[0], places[1], WEIGHTS_1), (places[1], places[2], WEIGHTS_2)):
        for number, (x, y) in enumerate(starts):
            for unit, (to_x, to_y) in enumerate(ends):
                weight = weights[number][unit]
                colour = "C1" if weight < 0 else "C0"
                ax.plot([x, to_x], [y, to_y], color=colour, linewidth=1 + abs(weight), alpha=0.6, zorder=1)
                # the number stands nearer to where the line begins, where fewer lines cross
                ax.text(x + 0.22 * (to_x - x), y + 0.22 * (to_y - y), f"{weight:g}", ha="center", va="center",
                        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1}, zorder=2)  # fmt: skip
    for (_, values), spots in zip(columns, places, strict=True):
        for value, (x, y) in zip(values, spots, strict=True):
            ax.scatter(x, y, s=1700, color="white", edgecolor="black", zorder=3)
            ax.text(x, y, f"{value:.3g}", ha="center", va="center", zorder=4)
    for spots, z, bias in ((places[1], z1, BIASES_1), (places[2], z2, BIASES_2)):
        for (x, y), own, b in zip(spots, z, bias, strict=True):
            ax.text(x, y - 0.33, f"z = {own:.3g}  (b = {b:g})", ha="center", va="top", fontsize=9)
    for x, title in ((0, "inputs"), (2.2, "layer 1: a"), (4.4, "layer 2: a")):
        ax.text(x, 1.55, title, ha="center", weight="bold")
    ax.set(xlim=(-0.5, 5), ylim=(-1.6, 1.75))
    ax.axis("off")
    save(figure)
