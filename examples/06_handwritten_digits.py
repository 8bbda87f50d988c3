"""6. Many classes: handwritten digits. First "is it a 0?", then "which digit is it?", and what cross-entropy is."""

import numpy as np
from picture import pyplot, save

from fastmlp import Dense, Input, Sequential, datasets

# Change these numbers.
HIDDEN = 32
EPOCHS = 30
SEED = 0

plt = pyplot()  # None without --picture FILE
# 1,437 images to learn from and 360 for the test; each is a row of 8 x 8 = 64 shades between 0 and 1.
(x, y), (x_test, y_test) = datasets.load_digits()

# Is it a 0? One sigmoid output says how probable that is.
zero = Sequential([Input(shape=(64,)), Dense(HIDDEN, activation="relu"), Dense(1, activation="sigmoid")], seed=SEED)
zero.compile(optimizer="adam", loss="binary_crossentropy")
zero.fit(x, (y == 0).astype(int), epochs=EPOCHS, verbose=0)
says_zero = zero.predict(x_test)[:, 0] >= 0.5
is_zero = y_test == 0
# Saying "no" every time is right for most images. So we also ask how many of the zeros were found.
print("is it a 0?")
print(f'  always "no"       {(~is_zero).mean():6.1%} right')
print(f"  the network       {(says_zero == is_zero).mean():6.1%} right")
print(f"  zeros found       {(says_zero & is_zero).sum()} of {is_zero.sum()}")
print(f"  false alarms      {(says_zero & ~is_zero).sum()}")

# Which digit is it? Ten outputs; softmax makes them probabilities that add up to 1.
model = Sequential([Input(shape=(64,)), Dense(HIDDEN, activation="relu"), Dense(10, activation="softmax")], seed=SEED)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x, y, epochs=EPOCHS, verbose=0)
a = model.predict(x_test)
answers = a.argmax(axis=1)
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print("which digit is it?")
print(f"  the network       {accuracy:6.1%} right")

# Cross-entropy looks at one output: that of the true class y. It is -log(a_y), next to nothing where the network was
# sure of the truth, and large where it thought the truth improbable.
own = a[np.arange(len(y_test)), y_test]
print("\nimage   digit   answer      a_y   -log(a_y)")
wrong = np.flatnonzero(answers != y_test)
shown = [0, 1, 2, *wrong[:3]]
for number in shown:
    print(f"{number:5}   {y_test[number]:5}   {answers[number]:6}   {own[number]:6.4f}   {-np.log(own[number]):9.4f}")
print(f"mean of -log(a_y) over the test   {-np.log(own.astype(float)).mean():.6f}")
print(f"the loss that evaluate gives      {loss:.6f}")

if plt:
    figure, axes = plt.subplots(2, len(shown), figsize=(10, 4), layout="constrained", height_ratios=[1.2, 1])
    for (top, bottom), number in zip(axes.T, shown, strict=True):
        top.imshow(x_test[number].reshape(8, 8), cmap="gray_r")
        if answers[number] == y_test[number]:
            top.set_title(f"{y_test[number]}, recognised", color="C0")
        else:
            top.set_title(f"{y_test[number]}, taken for {answers[number]}", color="C1")
        top.axis("off")
        bottom.bar(range(10), a[number], color=["C0" if digit == y_test[number] else "C1" for digit in range(10)])
        bottom.set(xticks=range(10), ylim=(0, 1), yticks=[0, 0.5, 1])
    axes[1, 0].set_ylabel("probability")
    figure.supxlabel("the network's probability of each digit; blue is the true one", fontsize=10)
    save(figure)
