"""10. A real problem from its table to a file: is a tumour benign? (Wisconsin breast cancer data, in scikit-learn)."""

import tempfile
from pathlib import Path

import numpy as np
import onnx.reference
from picture import pyplot, save
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

import fastmlp
from fastmlp import Dense, Input, Sequential, callbacks, layers, metrics, plotting

# Change these numbers.
HIDDEN = 16
PATIENCE = 20
SEED = 0

plt = pyplot()  # None without --picture FILE

# 1. Look at the table. Its columns differ by a factor of a million.
table = load_breast_cancer()
x, y = table.data, table.target
print(f"table         {x.shape[0]} rows, {x.shape[1]} columns; {y.mean():.0%} are {table.target_names[1]}")
for column in (int(x.mean(axis=0).argmin()), int(x.mean(axis=0).argmax())):
    print(f"  column      {table.feature_names[column]:23} {x[:, column].min():9.4f} to {x[:, column].max():9.4f}")

# 2. Put rows aside: some to decide when to stop, some for the test at the very end. Stratify keeps the shares.
x_rest, x_test, y_rest, y_test = train_test_split(x, y, test_size=0.2, stratify=y, random_state=SEED)
x_train, x_val, y_train, y_val = train_test_split(x_rest, y_rest, test_size=0.2, stratify=y_rest, random_state=SEED)
print(f"rows          {len(x_train)} to train, {len(x_val)} to validate, {len(x_test)} to test")

# 3. The model scales the columns itself, with what it knows of the training rows: whoever uses it gives raw numbers.
normalization = layers.Normalization()
normalization.adapt(x_train)
model = Sequential(
    [Input(shape=(x.shape[1],)), normalization, Dense(HIDDEN, activation="relu"), Dense(1, activation="sigmoid")],
    seed=SEED,
)
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
history = model.fit(
    x_train, y_train, epochs=500, validation_data=(x_val, y_val), verbose=0,
    callbacks=[callbacks.EarlyStopping("val_loss", patience=PATIENCE, restore_best_weights=True)],
)  # fmt: skip
print(f"training      {len(history.epoch)} epochs, the best one was {history.best_epoch + 1}")

# 4. The test, once. Which mistakes are made matters: a missed malignant tumour is worse than a false alarm.
probability = model.predict(x_test)
counts = metrics.confusion_matrix(y_test, (probability[:, 0] >= 0.5).astype(int))
print(
    f"test          {np.trace(counts) / counts.sum():.1%} right (always {table.target_names[1]}: {y_test.mean():.1%})"
)
print(f"  malignant   {counts[0, 0]} found, {counts[0, 1]} missed")
print(f"  benign      {counts[1, 1]} found, {counts[1, 0]} false alarms")

# 5. Save it, for fastmlp and for every program that reads ONNX; both must say the same as the model.
# Write a folder of your own in place of the temporary one, and the files stay.
with tempfile.TemporaryDirectory() as folder:
    saved, exported = Path(folder) / "tumours.safetensors", Path(folder) / "tumours.onnx"
    model.save(saved)
    fastmlp.onnx.export(model, exported)
    again = fastmlp.load_model(saved).predict(x_test)
    (elsewhere,) = onnx.reference.ReferenceEvaluator(str(exported)).run(None, {"input": x_test.astype(np.float32)})
    for name, file, result in (("saved", saved, again), ("ONNX", exported, elsewhere)):
        off, size = np.abs(result - probability).max(), file.stat().st_size / 1000
        print(f"{name:13} {file.name}, {size:.1f} kB; probabilities differ by {off:.0e} at most")

if plt:
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    epochs = range(1, len(history.epoch) + 1)
    left.plot(epochs, history.history["loss"], label="training")
    left.plot(epochs, history.history["val_loss"], label="validation")
    left.axvline(history.best_epoch + 1, color="grey", linestyle=":", label="best epoch")
    left.set(title="learning curves", xlabel="epoch", ylabel="cross-entropy")
    left.legend()
    plotting.confusion_matrix(y_test, probability, labels=list(table.target_names), ax=right)
    right.set_title("the test")
    save(figure)
