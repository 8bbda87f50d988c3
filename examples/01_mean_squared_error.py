"""1. How wrong are predictions? The mean squared error and its root, with and without a library."""

import math

import numpy as np
from picture import pyplot, save
from sklearn.metrics import mean_squared_error, root_mean_squared_error

from fastmlp import metrics

# Change these numbers. Rent in hundreds of euros: what it was, and what somebody predicted.
TRUE = [4.0, 6.0, 5.5, 8.0, 9.5]
PREDICTED = [4.5, 5.0, 6.5, 7.5, 9.0]

plt = pyplot()  # None without --picture FILE

# By hand. Squares make every error positive, and large ones count more: twice the error is four times the square.
print("true   predicted   error   squared error")
total = 0.0
for true, predicted in zip(TRUE, PREDICTED, strict=True):
    error = predicted - true
    total += error**2
    print(f"{true:4.1f}   {predicted:9.1f}   {error:+5.1f}   {error**2:13.2f}")
mse = total / len(TRUE)
# The mean of squares has squared units. Its root is in hundreds of euros again.
rmse = math.sqrt(mse)

# NumPy does the same for all numbers at once; the libraries have it ready.
difference = np.array(PREDICTED) - np.array(TRUE)
results = {
    "by hand": (mse, rmse),
    "NumPy": (np.mean(difference**2), np.sqrt(np.mean(difference**2))),
    "fastmlp": (metrics.MeanSquaredError()(TRUE, PREDICTED), metrics.RootMeanSquaredError()(TRUE, PREDICTED)),
    "scikit-learn": (mean_squared_error(TRUE, PREDICTED), root_mean_squared_error(TRUE, PREDICTED)),
}
print("\n                    MSE       RMSE")
for name, (squares, root) in results.items():
    print(f"{name:12}   {squares:8.6f}   {root:8.6f}")

if plt:
    figure, ax = plt.subplots(figsize=(5, 5), layout="constrained")
    ax.axline((0, 0), slope=1, color="grey", linewidth=1, label="where predicted = true")
    for number, (true, predicted) in enumerate(zip(TRUE, PREDICTED, strict=True)):
        # a square whose side is the error; it lies beside the line, at whose other end the point is
        side = predicted - true
        square = plt.Rectangle((true, true), -side, side, color="C1", alpha=0.35, linewidth=0)
        square.set_label(None if number else "squared error")
        ax.add_patch(square)
        ax.plot([true, true], [true, predicted], color="C1", label=None if number else "error")
    ax.plot(TRUE, PREDICTED, "o", color="C0", label="predictions")
    ax.set(xlabel="true", ylabel="predicted", xlim=(3, 10.5), ylim=(3, 10.5), aspect="equal")
    ax.set_title(f"MSE {mse:.2f} is the mean area of the squares,\nRMSE {rmse:.2f} the side of a square of that area")
    ax.legend(loc="upper left")
    save(figure)
