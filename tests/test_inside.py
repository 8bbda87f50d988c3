"""What a model shows of itself: gradients and the layers' outputs, and that looking changes nothing."""

import naive
import numpy as np
import pytest

import fastmlp
from fastmlp import Dense, Input, Sequential, callbacks, losses, optimizers, regularizers
from fastmlp.engine.pace import Pace
from fastmlp.errors import NotBuiltError, NotCompiledError
from fastmlp.kernels.jit import JIT_DISABLED

jit_only = pytest.mark.jit_only


def network(sizes=(5, 7, 3), activation="tanh", last=None, seed=1, **options):
    hidden = [Dense(units, activation=activation, bias_initializer="random_normal", **options) for units in sizes[1:-1]]
    return Sequential([Input(sizes[:1]), *hidden, Dense(sizes[-1], activation=last, **options)], seed=seed)


def rows_for(loss, sizes, rows):
    rng = np.random.default_rng(rows)
    x = rng.normal(size=(rows, sizes[0])).astype(np.float32)
    name = losses.get(loss).name
    if name == "sparse_categorical_crossentropy":
        y = rng.integers(0, sizes[-1], rows)
    elif name == "categorical_crossentropy":
        y = np.eye(sizes[-1], dtype=np.float32)[rng.integers(0, sizes[-1], rows)]
    elif name == "binary_crossentropy":
        y = rng.integers(0, 2, (rows, sizes[-1])).astype(np.float32)
    elif name == "poisson":
        y = rng.poisson(2, (rows, sizes[-1])).astype(np.float32)
    else:
        y = rng.normal(size=(rows, sizes[-1])).astype(np.float32)
    return x, y, rng.uniform(0, 2, rows).astype(np.float32)


def state(model):
    """Every byte that training could change."""
    session = model._session
    return (
        session.plan.network.parameters.tobytes(), session._update.slots.tobytes(), session.iterations,
        session.epochs_trained, session.turns._kept.parameters.tobytes(), session._job.tobytes(), model.optimizer,
        session._update.settings.tobytes(), repr(session.results()) if session._sums[1] else None,
    )  # fmt: skip


def assert_near(ours, exact, tolerance=3e-6):
    assert len(ours) == len(exact)
    for mine, other in zip(ours, exact, strict=True):
        assert mine.dtype == np.float32
        assert mine.shape == other.shape
        assert np.abs(mine - other).max(initial=0) <= tolerance * np.abs(other).max(initial=0) + 1e-9


# --- gradients --------------------------------------------------------------------------------------------

# The last ones have more rows than two blocks and few parameters: gradients by shards.
CASES = {
    "plain": ((5, 7, 3), "tanh", None, "mse", 23, {}, False),
    "one of all": ((1, 1, 1), "sigmoid", None, "mse", 1, {}, False),
    "one layer": ((5, 3), "tanh", "sigmoid", "binary_crossentropy", 13, {}, True),
    "weighted softmax": ((7, 13, 11, 5), "relu", "softmax", "sparse_categorical_crossentropy", 31, {}, True),
    "one-hot": ((3, 17, 4), "gelu", "softmax", "categorical_crossentropy", 17, {}, False),
    "penalties": ((5, 17, 2), "elu", None, "huber", 29, {"kernel_regularizer": regularizers.L1L2(0.01, 0.02),
        "bias_regularizer": "l2"}, False),
    "no bias": ((5, 19, 33), "softplus", None, "log_cosh", 5, {"use_bias": False, "kernel_regularizer": "l2"}, True),
    "counts": ((3, 5, 2), "silu", "exponential", "poisson", 37, {}, False),
    "narrow": ((131, 67, 1), "selu", None, "mae", 47, {}, True),
}  # fmt: skip
SHARDS = {
    "shards": ((4, 32, 16, 4), "tanh", None, "mse", 3001, {"kernel_regularizer": "l1"}, True),
    "shards of classes": ((2, 25, 15, 3), "relu", "softmax", "sparse_categorical_crossentropy", 2003, {}, False),
}
MARKED = [*CASES, *(pytest.param(name, marks=jit_only) for name in SHARDS)]


def case(name):
    sizes, activation, last, loss, rows, options, weighted = {**CASES, **SHARDS}[name]
    model = network(sizes, activation, last, **options)
    model.compile("adam", loss)
    x, y, weights = rows_for(loss, sizes, rows)
    return model, x, y, weights if weighted else None


@pytest.mark.parametrize("name", MARKED)
def test_gradients_are_those_of_the_twin(twin, name):
    model, x, y, weights = case(name)
    value, pairs = naive.gradients(twin(model), x, y, model.loss.name, weights=weights)
    found = model.gradients(x, y, sample_weight=weights)
    assert found.loss == pytest.approx(value, rel=1e-6)
    assert_near(found.arrays, naive.flatten(pairs))


TORCH_ACTIVATIONS = {
    None: lambda z, torch: z,
    "tanh": lambda z, torch: torch.tanh(z),
    "relu": lambda z, torch: torch.relu(z),
    "sigmoid": lambda z, torch: torch.sigmoid(z),
    "gelu": lambda z, torch: torch.nn.functional.gelu(z),
    "elu": lambda z, torch: torch.nn.functional.elu(z),
    "softplus": lambda z, torch: torch.nn.functional.softplus(z),
    "silu": lambda z, torch: torch.nn.functional.silu(z),
    "selu": lambda z, torch: torch.selu(z),
    "exponential": lambda z, torch: torch.exp(z),
}


def torch_loss(loss, z, last, y, torch):
    """The losses of the rows, written for torch."""
    functions = torch.nn.functional
    if loss == "sparse_categorical_crossentropy":
        return functions.cross_entropy(z, torch.tensor(y), reduction="none")
    y = torch.tensor(np.asarray(y, np.float64))
    if loss == "categorical_crossentropy":
        return -(y * torch.log_softmax(z, 1)).sum(1)
    if loss == "binary_crossentropy":
        return functions.binary_cross_entropy_with_logits(z, y, reduction="none").mean(1)
    a = TORCH_ACTIVATIONS[last](z, torch)
    values = {
        "mse": lambda: (a - y) ** 2,
        "mae": lambda: (a - y).abs(),
        "huber": lambda: functions.huber_loss(a, y, reduction="none"),
        "log_cosh": lambda: torch.log(torch.cosh(a - y)),
        "poisson": lambda: a - y * torch.log(a + 1e-7),
    }
    return values[loss]().mean(1)


@pytest.mark.parametrize("name", MARKED)
def test_gradients_are_those_of_pytorch(name):
    torch = pytest.importorskip("torch")
    model, x, y, weights = case(name)
    _, activation, last, loss, *_ = {**CASES, **SHARDS}[name]
    a, leaves, penalty = torch.tensor(x, dtype=torch.float64), [], 0.0
    for layer in model.layers:
        tensors = [torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in layer.get_weights()]
        leaves += tensors
        z = a @ tensors[0] + (tensors[1] if layer.use_bias else 0)
        for tensor, penalised in zip(tensors, (layer.kernel_regularizer, layer.bias_regularizer), strict=False):
            if penalised:
                penalty = penalty + penalised.l1 * tensor.abs().sum() + penalised.l2 * (tensor**2).sum()
        a = TORCH_ACTIVATIONS[activation](z, torch)
    values = torch_loss(loss, z, last, y, torch)
    total = (values * torch.tensor(1.0 if weights is None else weights)).mean() + penalty
    total.backward()
    found = model.gradients(x, y, sample_weight=weights)
    assert found.loss == pytest.approx(float(total.detach()), rel=1e-6)
    assert_near(found.arrays, [leaf.grad.numpy() for leaf in leaves])


def test_class_weights_are_sample_weights():
    model, x, y, _ = case("weighted softmax")
    factors = {0: 1.0, 1: 2.0, 2: 0.0, 3: 0.5, 4: 3.0}
    weights = np.array([factors[number] for number in y])
    ours, others = model.gradients(x, y, class_weight=factors), model.gradients(x, y, sample_weight=weights)
    assert ours.loss == others.loss
    assert [g.tobytes() for g in ours.arrays] == [g.tobytes() for g in others.arrays]


def test_gradients_by_name_index_and_in_order():
    model = Sequential([Input((4,)), Dense(3, "relu", name="first"), Dense(2, use_bias=False, name="second")], seed=0)
    model.compile("sgd", "mse", metrics=["mae"])
    found = model.gradients(np.ones((2, 4)), np.ones((2, 2)))
    assert [layer.name for layer in found] == ["first", "second"]
    assert found["second"] is found[1] is found[-1]
    assert found[0:1] == (found["first"],)
    assert found["first"].dw.shape == (4, 3)
    assert found["first"].db.shape == (3,)
    assert found["second"].db is None
    assert [array.shape for array in found.arrays] == [weight.shape for weight in model.get_weights()]
    assert all(array.flags.c_contiguous and array.flags.owndata for array in found.arrays)
    assert repr(found).startswith("<Gradients of loss ")
    with pytest.raises(KeyError, match="did you mean 'first'"):
        found["frist"]


@pytest.mark.parametrize("clip", [{}, {"clipvalue": 1e-3}, {"clipnorm": 1e-3}, {"global_clipnorm": 1e-3}], ids=str)
def test_gradients_are_not_clipped_and_a_step_uses_them(clip):
    model, x, y, _ = case("plain")
    model.compile(optimizers.SGD(learning_rate=1.0, **clip), "mse")
    plain = model.gradients(x, y)
    before = model.get_weights()
    loss = model.train_on_batch(x, y)
    assert plain.loss == loss
    moved = [old - new for old, new in zip(before, model.get_weights(), strict=True)]
    if clip:
        assert max(np.abs(step).max() for step in moved) <= 1.1e-3
        assert max(np.abs(gradient).max() for gradient in plain.arrays) > 0.01
    else:
        assert_near(moved, plain.arrays, 1e-5)


def test_a_loss_that_is_infinite_is_no_error():
    model = Sequential([Input((1,)), Dense(1)], seed=0)
    model.compile("sgd", "mse")
    model.set_weights([[[1e30]], [0.0]])
    found = model.gradients([[1e5]], [[0.0]])
    assert found.loss == np.inf
    assert not np.isfinite(found["dense"].dw).any()


# --- forward ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [0, 1, 2, 17, 31, pytest.param(1009, marks=jit_only)])
@pytest.mark.parametrize(
    ("sizes", "activation", "last"),
    [((5, 7, 3), "tanh", "softmax"), ((1, 1), "relu", None), ((3, 19, 131, 2), "gelu", "sigmoid"),
     ((7, 5, 4, 3), "softmax", "mish")],
    ids=str,
)  # fmt: skip
def test_forward_is_that_of_the_twin(twin, sizes, activation, last, rows):
    model = network(sizes, activation, last)
    x = np.random.default_rng(rows).normal(size=(rows, sizes[0])).astype(np.float32)
    found = model.forward(x)
    assert [layer.name for layer in found] == [layer.name for layer in model.layers]
    for layer, (z, a) in zip(found, naive.forward(twin(model), x) if rows else [], strict=bool(rows)):
        assert_near([layer.z, layer.a], [z, a])
    assert [layer.z.shape for layer in found] == [(rows, units) for units in sizes[1:]]
    assert found[-1].a.tobytes() == model.predict(x).tobytes()


def test_forward_of_any_dtype_and_layout():
    model = network()
    x = np.random.default_rng(0).integers(-3, 3, (11, 5))
    expected = model.forward(x.astype(np.float32))
    for given in (x, np.asfortranarray(x.astype(np.float64)), x.tolist(), x.astype(">f4")):
        for ours, others in zip(model.forward(given), expected, strict=True):
            assert ours.z.tobytes() == others.z.tobytes()
            assert ours.a.tobytes() == others.a.tobytes()


# --- nothing changes, and always the same bits ------------------------------------------------------------

LOOKS = {
    "gradients": lambda model, x, y: model.gradients(x, y),
    "forward": lambda model, x, y: model.forward(x),
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("trained", [False, True], ids=["fresh", "trained"])
def test_looking_changes_nothing(look, trained):
    model, x, y, _ = case("penalties")
    model.compile(optimizers.Adam(clipnorm=0.1), "huber", metrics=["mae"])
    if trained:
        model.fit(x, y, epochs=2, batch_size=8, verbose=0)
    else:
        model.evaluate(x, y)  # the objective is set by any use
    before = state(model)
    LOOKS[look](model, x[:7], y[:7])
    LOOKS[look](model, x, y)
    assert state(model) == before


@pytest.mark.parametrize("look", LOOKS)
def test_training_goes_on_as_if_nobody_had_looked(look):
    """From hooks between epochs and between steps."""
    results = []
    for watched in (False, True):
        model, x, y, _ = case("plain")
        peek = callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs, model=model, x=x, y=y: LOOKS[look](model, x, y),
            on_train_batch_end=lambda batch, logs, model=model, x=x, y=y: LOOKS[look](model, x[:3], y[:3]),
        )
        history = model.fit(x, y, epochs=3, batch_size=8, verbose=0, callbacks=[peek] if watched else None)
        results.append([repr(history.history), *(weight.tobytes() for weight in model.get_weights())])
    assert results[0] == results[1]


@jit_only
@pytest.mark.parametrize("name", ["shards", "wide"])
def test_any_number_of_threads_gives_the_same_bits(name, monkeypatch):
    monkeypatch.setattr("fastmlp.engine.session.FLOPS_A_THREAD_AND_STEP", 1)
    monkeypatch.setattr("fastmlp.engine.pace.FLOPS_A_THREAD_AND_RUN", 1)
    monkeypatch.setattr(Pace, "threads", lambda self, team: team)
    if name == "shards":
        model, x, y, weights = case(name)
    else:
        model = network((33, 257, 5), "gelu", kernel_regularizer="l2")
        model.compile("adam", "mse")
        x, y, weights = rows_for("mse", (33, 257, 5), 1001)
    results = []
    for count in (1, 2, 3, 8):
        fastmlp.set_num_threads(count)
        found = model.gradients(x, y, sample_weight=weights)
        results.append([found.loss, *(gradient.tobytes() for gradient in found.arrays)])
    assert all(result == results[0] for result in results)


@pytest.mark.skipif(JIT_DISABLED, reason="nothing is compiled")
def test_looking_compiles_nothing_anew():
    from fastmlp.engine.epoch import run_steps
    from fastmlp.engine.trace import trace_stage

    for name in CASES:
        model, x, y, weights = case(name)
        model.gradients(x.astype(np.float64), y, sample_weight=weights)
        model.forward(x)
    assert len(run_steps.signatures) == len(trace_stage.signatures) == 1


# --- bad input --------------------------------------------------------------------------------------------


def test_bad_input_is_named():
    model = network()
    with pytest.raises(NotCompiledError, match="compile"):
        model.gradients(np.ones((2, 5)), np.ones((2, 3)))
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="x must have at least one row to compute gradients"):
        model.gradients(np.ones((0, 5)), np.ones((0, 3)))
    with pytest.raises(ValueError, match="5 features"):
        model.gradients(np.ones((2, 4)), np.ones((2, 3)))
    with pytest.raises(ValueError, match="y must have the shape"):
        model.gradients(np.ones((2, 5)), np.ones((2, 2)))
    with pytest.raises(ValueError, match="sample_weight must not be negative"):
        model.gradients(np.ones((2, 5)), np.ones((2, 3)), sample_weight=[1, -1])
    with pytest.raises(ValueError, match="5 features"):
        model.forward(np.ones((2, 4)))
    with pytest.raises(ValueError, match="finite"):
        model.forward(np.full((2, 5), np.nan))


def test_a_model_without_input_is_built_by_looking():
    model = Sequential([Dense(2, "tanh")], seed=0)
    with pytest.raises(NotBuiltError):
        model.get_weights()
    assert model.forward(np.ones((3, 4)))[0].z.shape == (3, 2)
    model = Sequential([Dense(2, "tanh")], seed=0)
    model.compile("sgd", "mse")
    assert model.gradients(np.ones((3, 4)), np.ones((3, 2)))[0].dw.shape == (4, 2)
