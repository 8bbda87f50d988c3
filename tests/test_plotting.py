"""What pictures show, read from their axes; nothing here looks at pixels."""

import subprocess
import sys

import matplotlib as mpl
import naive
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from fastmlp import Dense, History, Input, Sequential, activations, plotting
from fastmlp.errors import NotBuiltError

mpl.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")
DEFAULTS = dict(mpl.rcParams)


@pytest.fixture(autouse=True)
def _figures(monkeypatch):
    """Nothing is shown, no setting is changed, every figure can be drawn without a warning, and none is left."""
    monkeypatch.setattr(plt, "show", lambda: pytest.fail("shown"))
    yield
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
    plt.close("all")
    assert dict(mpl.rcParams) == DEFAULTS


class Fixed:
    """Stands for a model: its outputs are a function of the features."""

    def __init__(self, function, activation, from_logits=False):
        self.function = function
        self.layers = [Dense(1, activation=activation)]
        self.loss = type("Loss", (), {"from_logits": from_logits})

    def predict(self, x):
        return np.asarray(self.function(np.asarray(x)), np.float32)


def labelled(ax):
    return {line.get_label(): line for line in ax.get_lines()}


def record(**values):
    history = History()
    for epoch in range(max(map(len, values.values()))):
        history.append(epoch, {name: given[epoch] for name, given in values.items() if given[epoch] is not None})
    return history


def test_history_has_an_axes_for_each_value():
    history = record(
        accuracy=[0.5, 0.7, 0.8], loss=[3.0, 2.0, 1.0], val_loss=[3.5, 2.5, 2.75], learning_rate=[0.1, 0.1, 0.01]
    )
    axes = history.plot()
    assert [ax.get_title() for ax in axes] == ["loss", "accuracy", "learning rate"]
    loss = labelled(axes[0])
    np.testing.assert_array_equal(loss["training"].get_xydata(), [[1, 3], [2, 2], [3, 1]])
    np.testing.assert_array_equal(loss["validation"].get_xydata(), [[1, 3.5], [2, 2.5], [3, 2.75]])
    assert "validation" not in labelled(axes[1])
    for ax in axes:
        assert list(labelled(ax)["best epoch (2)"].get_xdata()) == [2, 2]
    assert [text.get_text() for text in axes[0].get_legend().get_texts()] == [
        "training", "validation", "best epoch (2)"
    ]  # fmt: skip


def test_history_with_validation_in_some_epochs_and_a_run_that_goes_on():
    history = History()
    for epoch in range(10, 14):
        history.append(epoch, {"loss": 14.0 - epoch, **({"val_loss": epoch} if epoch % 2 else {})})
    (ax,) = history.plot()
    np.testing.assert_array_equal(labelled(ax)["validation"].get_xydata(), [[12, 11], [14, 13]])
    assert "best epoch (12)" in labelled(ax)


def test_history_on_axes_of_ones_own():
    history = record(loss=[1.0, 1e-4, 1e-5], accuracy=[0.1, 0.2, 0.3])
    _, mine = plt.subplots(1, 2)
    drawn = history.plot(ax=mine)
    assert list(drawn) == list(mine)
    assert mine[0].get_yscale() == "log"
    with pytest.raises(ValueError, match="2 axes"):
        history.plot(ax=mine[0])
    with pytest.raises(TypeError, match="ax must be"):
        history.plot(ax=[1, 2])
    with pytest.raises(ValueError, match="no finished epoch"):
        History().plot()


def test_a_history_without_a_finite_loss_has_no_best_epoch():
    (ax,) = record(loss=[np.nan, np.inf]).plot()
    assert not [label for label in labelled(ax) if label.startswith("best")]


def test_gradient_flow_shows_orders_of_magnitude():
    layers = {f"dense_{i}": {"gradient_norm": [10.0 ** (i - 5), 10.0 ** (i - 4)], "dead": [0.0, 0.5]} for i in range(4)}
    ax = plotting.gradient_flow(layers)
    assert ax.get_yscale() == "log"
    for name, values in layers.items():
        np.testing.assert_allclose(
            labelled(ax)[name].get_xydata(), [*zip([1, 2], values["gradient_norm"], strict=True)]
        )
    brightness = [sum(to_rgb(labelled(ax)[name].get_color())) for name in layers]
    assert brightness == sorted(brightness)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(layers)
    ax = plotting.gradient_flow(layers, "dead")
    assert ax.get_yscale() == "linear"
    assert list(labelled(ax)["dense_0"].get_ydata()) == [0.0, 0.5]


def test_gradient_flow_marks_zeros_and_reads_a_callback():
    callback = type("Diagnostics", (), {"history": {"dense": {"gradient_norm": [1.0, 0.0, 2.0]}}})()
    ax = plotting.gradient_flow(callback)
    curve, zeros = ax.get_lines()
    np.testing.assert_array_equal(curve.get_ydata(), [1.0, np.nan, 2.0])
    assert list(zeros.get_xdata()) == [2]
    assert (
        len(plotting.gradient_flow({str(i): {"gradient_norm": [1.0]} for i in range(50)}).get_legend().get_texts())
        == 12
    )


@pytest.mark.parametrize(
    ("diagnostics", "quantity", "error"),
    [
        ({"a": {"gradient_norm": []}}, "gradient_norm", ValueError),
        ({}, "dead", ValueError),
        ({"a": {"dead": [1.0]}}, "gradient_norm", ValueError),
        ({"a": {"dead": [1.0]}}, "deaf", ValueError),
        (None, "dead", TypeError),
    ],
)
def test_gradient_flow_without_data(diagnostics, quantity, error):
    with pytest.raises(error):
        plotting.gradient_flow(diagnostics, quantity)


X = np.random.default_rng(0).normal(size=(40, 2))


@pytest.mark.parametrize(
    ("activation", "from_logits", "function"),
    [
        ("sigmoid", False, lambda x: 1 / (1 + np.exp(-3 * x[:, :1] + 1.5))),
        (None, True, lambda x: 3 * x[:, :1] - 1.5),
        (
            "softmax",
            False,
            lambda x: np.c_[1 / (1 + np.exp(3 * x[:, :1] - 1.5)), 1 / (1 + np.exp(-3 * x[:, :1] + 1.5))],
        ),
        (None, True, lambda x: np.c_[np.zeros(len(x)), 3 * x[:, 0] - 1.5] + 1000),
    ],
    ids=["sigmoid", "logit", "softmax", "logits"],
)
@pytest.mark.parametrize("shape", ["numbers", "column", "one hot"])
def test_decision_boundary_of_two_classes(activation, from_logits, function, shape):
    numbers = (X[:, 0] > 0.5).astype(int)
    y = {"numbers": numbers, "column": numbers[:, None], "one hot": np.eye(2)[numbers]}[shape]
    ax = plotting.decision_boundary(Fixed(function, activation, from_logits), X, y, labels=["bad", "good"])
    (image,) = ax.get_images()
    shown = np.asarray(image.get_array())
    across = np.linspace(*image.get_extent()[:2], shown.shape[1])
    np.testing.assert_allclose(shown, np.tile(1 / (1 + np.exp(-3 * across + 1.5)), (len(shown), 1)), rtol=1e-3)
    boundary, bad, good = ax.collections
    np.testing.assert_allclose(boundary.get_paths()[0].vertices[:, 0], 0.5, atol=0.01)
    np.testing.assert_array_equal(bad.get_offsets(), X[numbers == 0])
    np.testing.assert_array_equal(good.get_offsets(), X[numbers == 1])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["bad", "good"]
    assert ax.get_xlim()[0] < X[:, 0].min() < X[:, 0].max() < ax.get_xlim()[1]


def test_decision_boundary_of_three_classes():
    def outputs(x):
        return 4 * np.c_[x[:, 0], -x[:, 0], np.full(len(x), -9.0)]

    y = np.arange(40) % 3
    ax = plotting.decision_boundary(Fixed(outputs, "linear", from_logits=True), X, y, resolution=51)
    (image,) = ax.get_images()
    shown = np.asarray(image.get_array())
    assert shown.shape == (51, 51, 3)
    # class 0 is sure at the right, class 1 at the left, and between them it is pale
    colours = [to_rgb(points.get_facecolor()[0][:3]) for points in ax.collections[-3:]]
    for pixel, colour in ((shown[0, -1], colours[0]), (shown[0, 0], colours[1])):
        np.testing.assert_allclose(1 - pixel, 0.5 * (1 - np.array(colour)), atol=0.01)
    middle = int(np.abs(np.linspace(*image.get_extent()[:2], 51)).argmin())
    assert shown[0, middle].min() > shown[0, -1].min()
    assert len(ax.collections) == 2 + 3
    assert [len(points.get_offsets()) for points in ax.collections[-3:]] == [14, 13, 13]


@pytest.mark.jit_only
def test_decision_boundary_of_a_trained_model():
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    model = Sequential([Input(shape=(2,)), Dense(4, activation="tanh"), Dense(1, activation="sigmoid")], seed=0)
    _, mine = plt.subplots()
    assert plotting.decision_boundary(model, X, y, ax=mine) is mine


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": X[:, :1]}, "two columns"),
        ({"X": X[:0], "y": []}, "one row"),
        ({"y": np.zeros(39)}, "as many rows"),
        ({"y": np.full(40, 2)}, "0 to 1"),
        ({"y": np.full(40, 0.5)}, "0 to 1"),
        ({"model": Fixed(lambda x: x[:, :1], None)}, "sigmoid or softmax"),
        ({"labels": ["a"]}, "each of 2 classes"),
        ({"resolution": 0}, "resolution"),
    ],
)
def test_decision_boundary_of_what_has_none(change, message):
    model = Fixed(lambda x: x[:, :1] > 0, "sigmoid")
    with pytest.raises(ValueError, match=message):
        plotting.decision_boundary(**{"model": model, "X": X, "y": np.zeros(40)} | change)
    assert not plt.get_fignums()


def counts(ax):
    """The matrix as written, from the texts at their places."""
    size = len(ax.get_images()[0].get_array())
    matrix = np.full((size, size), -1)
    for text in ax.texts:
        column, row = text.get_position()
        matrix[row, column] = int(text.get_text())
    return matrix


def test_confusion_matrix():
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    truth, guess = rng.integers(0, 7, (2, 300))
    ax = plotting.confusion_matrix(truth, guess)
    expected = sklearn.confusion_matrix(truth, guess)
    np.testing.assert_array_equal(counts(ax), expected)
    np.testing.assert_allclose(ax.get_images()[0].get_array(), expected / expected.sum(axis=1, keepdims=True))
    assert [text.get_text() for text in ax.get_yticklabels()] == list("0123456")
    right = 100 * (truth == guess).mean()
    assert ax.get_title() == f"accuracy {right:.1f}% of 300"
    order = [3, 0, 1, 2, 4, 6, 5, 9]
    ax = plotting.confusion_matrix(truth[:, None], np.eye(7)[guess], labels=order)
    np.testing.assert_array_equal(counts(ax), sklearn.confusion_matrix(truth, guess, labels=order))


def test_confusion_matrix_of_probabilities_and_names():
    ax = plotting.confusion_matrix([0, 1, 1, 1], [[0.2], [0.9], [0.4], [0.5]], labels=["no", "yes"])
    np.testing.assert_array_equal(counts(ax), [[1, 0], [2, 1]])
    assert [text.get_text() for text in ax.get_xticklabels()] == ["no", "yes"]
    ax = plotting.confusion_matrix(["b", "a", "b"], ["b", "b", "b"])
    np.testing.assert_array_equal(counts(ax), [[0, 1], [0, 2]])
    assert not plotting.confusion_matrix(range(40), range(40)).texts


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [0]), "as many rows"),
        (([], []), "one at least"),
        (([0, 1], ["a", "b"]), "same kind"),
        (([0, 5], [0, 1], [0, 1]), "5 is missing"),
        (([0, 2], [0, 1], ["a", "b"]), "2 is missing"),
        (([np.nan, 2], [0, 1]), "finite"),
        ((3, [0, 1]), "shape"),
    ],
)
def test_confusion_matrix_of_what_has_none(arguments, message):
    with pytest.raises(ValueError, match=message):
        plotting.confusion_matrix(*arguments)


def test_weights():
    model = Sequential([Input(shape=(6,)), Dense(5)], seed=0)
    kernel = model.layers[0].get_weights()[0]
    matrix, histogram = plotting.weights(model.layers[0])
    (image,) = matrix.get_images()
    np.testing.assert_array_equal(image.get_array(), kernel)
    assert image.get_clim() == pytest.approx((-np.abs(kernel).max(), np.abs(kernel).max()))
    assert sum(bar.get_height() for bar in histogram.patches) == 30
    assert (matrix.get_xlabel(), matrix.get_ylabel()) == ("unit", "input")


def test_weights_as_images():
    model = Sequential([Input(shape=(6,)), Dense(5)], seed=0)
    kernel = model.layers[0].get_weights()[0]
    _, mine = plt.subplots(1, 2)
    matrix, _ = plotting.weights(model.layers[0], image_shape=(2, 3), ax=mine)
    picture = np.ma.filled(matrix.get_images()[0].get_array(), np.nan)
    np.testing.assert_array_equal(picture[:2, :3], kernel[:, 0].reshape(2, 3))
    np.testing.assert_array_equal(picture[3:5, :3], kernel[:, 2].reshape(2, 3))
    assert np.isfinite(picture).sum() == 30
    for shape in ((2, 2), (6,), 6):
        with pytest.raises(ValueError, match="image_shape"):
            plotting.weights(model.layers[0], image_shape=shape)
    with pytest.raises(NotBuiltError):
        plotting.weights(Dense(3))


def test_weights_of_zeros_and_of_many_units():
    model = Sequential([Input(shape=(4,)), Dense(150, kernel_initializer="zeros")], seed=0)
    matrix, _ = plotting.weights(model.layers[0], image_shape=(2, 2))
    assert "100 of 150 units" in matrix.get_title()
    assert matrix.get_images()[0].get_clim() == (-1, 1)


def test_activations():
    axes = plotting.activations()
    assert len(axes) == len(activations.TABLE)
    for ax, name in zip(axes, activations.TABLE, strict=True):
        assert ax.get_title().startswith(name)
        function, derivative = labelled(ax)["function"], labelled(ax)["derivative"]
        z = function.get_xdata()
        if name == "softmax":
            rows = np.column_stack([z, np.zeros_like(z), np.ones_like(z)])
            expected = np.exp(rows) / np.exp(rows).sum(axis=1, keepdims=True)
            value, slope = expected[:, 0], expected[:, 0] * (1 - expected[:, 0])
            drawn = [line.get_ydata() for line in ax.get_lines() if len(line.get_xdata()) == len(z)]
            np.testing.assert_allclose(drawn[2:], expected[:, 1:].T, atol=1e-6)
        else:
            options = {key: getattr(activations.TABLE[name](), key) for key in vars(activations.TABLE[name]())}
            value = naive.ACTIVATIONS[name](z, **options)
            slope = naive.ACTIVATION_BACKWARD[name](z, np.ones_like(z), **options)
        np.testing.assert_allclose(function.get_ydata(), value, atol=1e-5, rtol=1e-5, err_msg=name)
        # the difference quotient is not the derivative at a kink
        smooth = np.abs(np.gradient(slope, z)) < 3 * np.maximum(1, slope)
        assert smooth.mean() > 0.95
        np.testing.assert_allclose(derivative.get_ydata()[smooth], slope[smooth], atol=5e-3, rtol=1e-3, err_msg=name)


def test_matplotlib_is_imported_when_something_is_drawn():
    code = "import sys, fastmlp, fastmlp.plotting, fastmlp.history; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout == "False\n", done.stderr


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'pip install "fastmlp\[plot\]"'):
        record(loss=[1.0]).plot()
