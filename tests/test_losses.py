"""Losses called on arrays, against the twin and at the ends of the number range."""

import naive
import numpy as np
import pytest

from fastmlp import losses

FOCAL = [
    losses.BinaryFocalCrossentropy(from_logits=True),
    losses.BinaryFocalCrossentropy(True, alpha=0.7, gamma=0.5, from_logits=True, label_smoothing=0.1),
    losses.BinaryFocalCrossentropy(gamma=0.0, from_logits=True),
    losses.CategoricalFocalCrossentropy(from_logits=True),
    losses.CategoricalFocalCrossentropy(alpha=2.0, gamma=0.5, from_logits=True, label_smoothing=0.1),
    losses.CategoricalFocalCrossentropy(gamma=0.0, from_logits=True),
]
LOGITS = ["binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"]
REGRESSION = [losses.MeanSquaredError(), losses.MeanAbsoluteError(), losses.Huber(0.5), losses.LogCosh()]


@pytest.mark.parametrize("name", LOGITS)
@pytest.mark.parametrize("size", [1.0, 50.0, 1e4])
def test_cross_entropies_are_stable_from_logits(name, size):
    loss = losses.TABLE[name](from_logits=True)
    z = np.array([[1, -1, 0], [-1, 1, 1], [0, 0, 0]], np.float32) * np.float32(size)
    y = np.array([1, 0, 2]) if name.startswith("sparse") else np.eye(3)[[1, 0, 2]]
    _, expected, _ = naive.loss_value_and_gradient(name, y, z.astype(float), from_logits=True)
    assert loss(y, z) == pytest.approx(expected, rel=1e-6)


def value_and_gradient(loss, y, out, *, logits=False):
    """The compiled loss and its gradient, without the mean over rows."""
    rows, columns = out.shape
    gradient = np.empty(out.size, np.float32)
    value = losses.table.loss_value_and_grad(
        loss.compiled_kind(logits), loss.compiled_parameters(), out.astype(np.float32).reshape(-1),
        y.astype(np.float32).reshape(-1), np.empty(0, np.float32), rows, columns, 1,
        np.empty(rows * (columns + 2), np.float32), gradient,
    )  # fmt: skip
    return value, gradient.reshape(out.shape)


@pytest.mark.parametrize("loss", FOCAL, ids=repr)
@pytest.mark.parametrize("size", [0.0, 1e-3, 1.0, 8.0, 20.0, 80.0, 1e4])
def test_focal_losses_are_exact_from_any_logits(loss, size):
    z = np.array([[1, -1, 0.5], [-1, 1, 1], [0, 0, 0], [1, 1, -1]], np.float32) * np.float32(size)
    y = np.array([[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1.0]])
    per_sample, _, gradient = naive.loss_value_and_gradient(loss.name, y, z.astype(float), **naive.settings(loss))
    value, found = value_and_gradient(loss, y, z)
    assert value == pytest.approx(per_sample.sum(), rel=2e-5, abs=1e-37)
    # exp(gamma log(m)) loses digits in proportion to the exponent
    assert found == pytest.approx(gradient * len(z), rel=2e-5 * max(1, min(size, 80)), abs=1e-30)


@pytest.mark.parametrize("size", [1.0, 80.0, 1e4])
def test_divergence_from_any_logits(size):
    z = np.array([[1, -1, 0], [-1, 1, 1], [0, 0, 0]], np.float32) * np.float32(size)
    y = np.array([[1, 0, 0], [0.2, 0.3, 0.5], [0.5, 0.5, 0]], np.float32)
    per_sample, _, gradient = naive.loss_value_and_gradient("kl_divergence", y, z.astype(float), from_logits=True)
    value, found = value_and_gradient(losses.KLDivergence(), y, z, logits=True)
    assert value == pytest.approx(per_sample.sum(), rel=1e-6)
    assert found == pytest.approx(gradient * len(z), rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("loss", [losses.BinaryFocalCrossentropy(gamma=0.5), losses.CategoricalFocalCrossentropy()])
def test_focal_losses_of_sure_probabilities_are_finite(loss):
    y = np.array([[1, 0], [1, 0], [1, 0.0]])
    value, gradient = value_and_gradient(loss, y, np.array([[1, 0], [0, 1], [1.5, -0.5]]))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_without_focus_they_are_cross_entropies():
    generator = np.random.default_rng(3)
    p = generator.dirichlet(np.ones(5), 7)
    y = np.eye(5)[generator.integers(0, 5, 7)]
    for focal, plain in (
        (losses.BinaryFocalCrossentropy(gamma=0.0), losses.BinaryCrossentropy()),
        (losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=0.0), losses.CategoricalCrossentropy()),
    ):
        assert focal(y, p) == pytest.approx(plain(y, p), rel=1e-6)


def test_pytorch_agrees_on_values_and_gradients():
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(8)
    z, d = generator.normal(0, 2, (2, 9, 4))
    p, q = generator.dirichlet(np.ones(4), (2, 9))
    y = (d > 0) * 1.0

    def focal(t, label):
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(t, label, reduction="none")
        return (0.25 * label + 0.75 * (1 - label)) * (1 - torch.exp(-entropy)) ** 2 * entropy

    cases = [
        (losses.BinaryFocalCrossentropy(True, from_logits=True), y, z, lambda t, c: focal(t, c).mean(1).sum()),
        (losses.KLDivergence(), p, q, lambda t, c: torch.nn.functional.kl_div(t.log(), c, reduction="sum")),
        (losses.Hinge(), y, z, lambda t, c: torch.clamp(1 - (2 * c - 1) * t, min=0).mean(1).sum()),
        (losses.Quantile(0.2), d, z, lambda t, c: torch.maximum(0.2 * (c - t), -0.8 * (c - t)).mean(1).sum()),
    ]
    for loss, label, out, function in cases:
        tensor = torch.tensor(out, requires_grad=True)
        expected = function(tensor, torch.tensor(label))
        expected.backward()
        value, gradient = value_and_gradient(loss, label, out)
        assert value == pytest.approx(expected.item(), rel=1e-5), loss
        assert gradient == pytest.approx(tensor.grad.numpy(), rel=1e-4, abs=1e-6), loss


def test_scikit_learn_agrees_on_quantiles_and_hinge():
    reference = pytest.importorskip("sklearn.metrics")
    y, p = np.random.default_rng(2).normal(size=(2, 13))
    for q in (0.1, 0.5, 0.9):
        assert losses.Quantile(q)(y, p) == pytest.approx(reference.mean_pinball_loss(y, p, alpha=q), rel=1e-5)
    signs = np.sign(y)
    assert losses.Hinge()(signs, p) == pytest.approx(reference.hinge_loss(signs, p), rel=1e-5)
    assert losses.Hinge()(signs > 0, p) == losses.Hinge()(signs, p)


def test_numbers_of_the_compiled_losses_are_different():
    kinds = [kind for loss in losses.TABLE.values() for kind in {loss.kind, loss.logits_kind} - {-1}]
    assert len(kinds) == len(set(kinds))


@pytest.mark.parametrize("loss", REGRESSION, ids=repr)
@pytest.mark.parametrize("distance", [0.0, 1e-4, 0.3, 0.7, 30.0, 1e4])
def test_regression_losses_at_every_distance(loss, distance):
    y = np.array([0.0, 1.0])
    p = y + np.array([distance, -distance])
    settings = {"delta": 0.5} if loss.name == "huber" else {}
    _, expected, _ = naive.loss_value_and_gradient(loss.name, y[:, None], p[:, None], **settings)
    # the difference of two float32 numbers is only as exact as they are
    assert loss(y, p) == pytest.approx(expected, rel=2e-3 if distance == 1e-4 else 1e-5)


def test_one_dimension_is_one_column():
    assert losses.MeanSquaredError()([1, 2, 3], [1, 2, 5]) == pytest.approx(4 / 3)
    assert losses.SparseCategoricalCrossentropy()([[1]], [[0.25, 0.75]]) == pytest.approx(-np.log(0.75))


@pytest.mark.parametrize(
    ("y", "p", "words"),
    [
        ([1, 2], [[1, 2], [3, 4]], "does not fit"),
        ([], np.empty((0, 1)), "empty"),
    ],
)
def test_shapes_that_do_not_fit(y, p, words):
    with pytest.raises(ValueError, match=words):
        losses.MeanSquaredError()(y, p)


@pytest.mark.parametrize("label", [2, -1, 0.5])
def test_labels_outside_the_classes(label):
    with pytest.raises(ValueError, match="class numbers 0 to 1"):
        losses.SparseCategoricalCrossentropy()([label], [[0.5, 0.5]])


@pytest.mark.parametrize("delta", [0, -1.0, float("nan"), float("inf")])
def test_huber_needs_a_positive_delta(delta):
    with pytest.raises(ValueError, match=r"delta must be a (positive|finite) number"):
        losses.Huber(delta)


@pytest.mark.parametrize("kind", [losses.BinaryCrossentropy, losses.CategoricalCrossentropy])
def test_smoothing_is_a_share(kind):
    with pytest.raises(ValueError, match="label_smoothing"):
        kind(label_smoothing=1.5)


@pytest.mark.parametrize("q", [0, 1, -0.5, 1e-50, float("nan")])
def test_a_quantile_is_a_share(q):
    with pytest.raises(ValueError, match="q must be"):
        losses.Quantile(q)


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (losses.BinaryFocalCrossentropy, {"gamma": -1}, "gamma must be"),
        (losses.BinaryFocalCrossentropy, {"alpha": 1.5}, "alpha must be"),
        (losses.CategoricalFocalCrossentropy, {"alpha": -1}, "alpha must be"),
        (losses.CategoricalFocalCrossentropy, {"gamma": float("inf")}, "gamma must be"),
    ],
)
def test_focal_settings(kind, settings, words):
    with pytest.raises(ValueError, match=words):
        kind(**settings)


def test_names():
    assert losses.get("bce") == losses.BinaryCrossentropy()
    assert losses.get("KLD") == losses.get("kld") == losses.KLDivergence()
    assert losses.get("mse") == losses.MeanSquaredError()
    assert losses.get("logcosh") == losses.LogCosh()
    with pytest.raises(TypeError, match="loss must be"):
        losses.get(3)


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("name", losses.TABLE)
def test_nan_stays(name, logits):
    """A training that has become NaN is seen to have."""
    loss = losses.TABLE[name]()
    if logits and loss.logits_of is None:
        pytest.skip("has no logits")
    out = np.full((2, 3), 0.25, np.float32)
    out[1, 1] = np.nan
    y = np.array([[1], [1]]) if loss.sparse else np.eye(3)[:2]
    value, gradient = value_and_gradient(loss, y, out, logits=logits)
    assert np.isnan(value)
    assert np.isfinite(gradient[0]).all()
