"""2. The perceptron: one unit separates AND and OR, but cannot separate XOR; two layers can."""

import numpy as np
from picture import pyplot, save

from fastmlp import Dense, Input, Sequential, optimizers

# Change these numbers.
ROUNDS = 100
EPOCHS = 200
INPUTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
GATES = {"AND": np.array([0, 0, 0, 1]), "OR": np.array([0, 1, 1, 1]), "XOR": np.array([0, 1, 1, 0])}

plt = pyplot()  # None without --picture FILE


def perceptron(x, y):
    """Learn by Rosenblatt's rule: where the answer is wrong, move the weights by the input."""
    weights, bias = np.zeros(2), -0.5  # a half, so that no point ever lies on the line itself
    for _ in range(ROUNDS):
        for row, target in zip(x, y, strict=True):
            answer = int(row @ weights + bias > 0)
            weights += (target - answer) * row  # the factor is 0 where the answer is right
            bias += target - answer
    return weights, bias


print("one unit: the answer is 1 where w1 x1 + w2 x2 + b > 0")
print("gate    w1    w2     b   answers   wanted    wrong")
models = {}
for gate, y in GATES.items():
    weights, bias = perceptron(INPUTS, y)
    answers = (INPUTS @ weights + bias > 0).astype(int)
    wrong = int((answers != y).sum())
    print(f"{gate:4} {weights[0]:5.0f} {weights[1]:5.0f} {bias:5.1f}   {answers}   {y}   {wrong} of 4")
    # The same unit with a sigmoid, which is above 1/2 where z > 0. It answers alike, and can be drawn.
    models[gate] = Sequential([Input(shape=(2,)), Dense(1, activation="sigmoid")])
    models[gate].set_weights([weights.reshape(2, 1), np.array([bias])])

# XOR wants b <= 0, w1 + b > 0, w2 + b > 0 and w1 + w2 + b <= 0. The two in the middle say w1 + w2 + 2 b > 0, so
# w1 + w2 + b > -b >= 0, which is not <= 0. There are no such weights, however long we search.

# Two layers: two units draw a line each, and the third one combines what they say.
xor = Sequential([Input(shape=(2,)), Dense(2, activation="tanh"), Dense(1, activation="sigmoid")], seed=1)
xor.compile(optimizer=optimizers.Adam(learning_rate=0.1), loss="binary_crossentropy")
xor.fit(INPUTS, GATES["XOR"], epochs=EPOCHS, verbose=0)
models["XOR, two layers"] = xor
outputs = xor.predict(INPUTS)[:, 0]
print("\ntwo layers, trained on XOR")
print("x1   x2   output   answer   wanted")
for (x1, x2), output, target in zip(INPUTS, outputs, GATES["XOR"], strict=True):
    print(f"{x1:2}   {x2:2}   {output:6.3f}   {int(output > 0.5):6}   {target:6}")

if plt:
    figure, axes = plt.subplots(1, 4, figsize=(10, 3.3), layout="constrained", sharey=True)
    side = np.linspace(-0.4, 1.4, 100)
    mesh = np.array([[x1, x2] for x2 in side for x1 in side])
    for ax, (name, model) in zip(axes, models.items(), strict=True):
        ax.contourf(side, side, model.predict(mesh).reshape(100, 100), [0, 0.5, 1], colors=["C0", "C1"], alpha=0.3)
        for (x1, x2), target in zip(INPUTS, GATES[name.split(",")[0]], strict=True):
            ax.plot(x1, x2, "os"[target], color=f"C{target}", markeredgecolor="black", markersize=10)
        ax.set(title=name, xlabel="x1", xticks=[0, 1], yticks=[0, 1], aspect="equal")
    axes[0].set_ylabel("x2")
    figure.supxlabel("blue circles want a 0, orange squares a 1; the ground has the colour of the answer", fontsize=9)
    save(figure)
