"""Training, evaluation and prediction on data that come block by block."""

import array
from collections import deque

import numpy as np
import pytest

from fastmlp import BatchNormalization, Dense, Dropout, Input, Sequential, callbacks, optimizers, set_num_threads
from fastmlp.blocks import are_blocks
from fastmlp.engine.epoch import run_steps
from fastmlp.engine.predictor import predict_rows

ROWS, BATCH = 50, 8
X = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=(ROWS, 2)).astype(np.float32)
W = np.random.default_rng(2).uniform(0, 2, ROWS).astype(np.float32)


def network(*between, optimizer="adam", **options):
    model = Sequential([Input(shape=(3,)), Dense(5, activation="tanh"), *between, Dense(2)], seed=0)
    model.compile(optimizer=optimizer, loss="mse", **options)
    return model


def blocks(*arrays, batch=BATCH):
    arrays = arrays or (X, Y)
    return [tuple(part[at : at + batch] for part in arrays) for at in range(0, len(arrays[0]), batch)]


class ByIndex:
    """As keras.utils.PyDataset: no IndexError ends it."""

    def __init__(self, *arrays):
        self.arrays, self.seen = arrays or (X, Y), []

    def __len__(self):
        return -(-ROWS // BATCH)

    def __getitem__(self, index):
        self.seen.append(index)
        return tuple(part[index * BATCH : (index + 1) * BATCH] for part in self.arrays)

    def on_epoch_end(self):
        self.seen.append("end")


class Loader:
    """As PyTorch's loaders: lists, and no item by its index."""

    def __init__(self, *arrays):
        self.arrays = arrays or (X, Y)

    def __len__(self):
        return -(-ROWS // BATCH)

    def __iter__(self):
        return iter([list(block) for block in blocks(*self.arrays)])


def endless():
    while True:
        yield from blocks()


def same(first, second):
    return all(np.array_equal(one, other) for one, other in zip(first.get_weights(), second.get_weights(), strict=True))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("source", [blocks, ByIndex, Loader])
@pytest.mark.parametrize(
    ("between", "options"),
    [
        ((), {"metrics": ["mae", "r2"]}),
        ((), {"optimizer": optimizers.Lion(use_ema=True, gradient_accumulation_steps=3)}),
        ((Dropout(0.3), BatchNormalization()), {"weighted_metrics": ["mse"]}),
    ],
    ids=["plain", "averages", "layers"],
)
def test_the_same_bits_as_arrays(weighted, source, between, options):
    def made():
        return network(*(type(layer)(**({"rate": 0.3} if isinstance(layer, Dropout) else {})) for layer in between),
                       **{**options, "optimizer": options.get("optimizer", "adam")})  # fmt: skip

    arrays = (X, Y, W) if weighted else (X, Y)
    by_rows, by_blocks = made(), made()
    expected = by_rows.fit(
        X, Y, BATCH, sample_weight=W if weighted else None, epochs=3, shuffle=False, verbose=0,
        validation_data=arrays, validation_freq=2,
    )  # fmt: skip
    found = by_blocks.fit(
        source(*arrays), epochs=3, verbose=0, validation_data=source(*arrays), validation_freq=2
    )  # fmt: skip
    assert same(by_rows, by_blocks)
    assert found.epoch == expected.epoch
    assert found.history.keys() == expected.history.keys()
    for key, values in expected.history.items():
        exact = "r2" not in key  # the middle of the targets is that of the first block
        assert found.history[key] == (values if exact and "val" not in key else pytest.approx(values, rel=1e-6)), key


def test_a_model_without_an_input_is_built_by_the_first_block():
    model, other = (Sequential([Dense(5, activation="tanh"), Dense(2)], seed=0) for _ in range(2))
    for one in (model, other):
        one.compile("adam", "mse")
    model.fit(iter(blocks()), verbose=0)
    other.fit(X, Y, batch_size=BATCH, shuffle=False, verbose=0)
    assert same(model, other)


def test_blocks_of_all_sizes_and_dtypes():
    sizes = [1, 7, 2, 31, 1, 8]
    ends = np.cumsum(sizes)
    parts = [(X[end - size : end], Y[end - size : end].tolist()) for size, end in zip(sizes, ends, strict=True)]
    parts[2] = (parts[2][0].astype(">f8"), parts[2][1])
    model, stepped = network(metrics=["mae"]), network(metrics=["mae"])
    history = model.fit(parts, verbose=0)
    losses = [stepped.train_on_batch(*part) for part in parts]
    assert same(model, stepped)
    means = np.average(losses, axis=0, weights=sizes)
    assert [history.history[key][0] for key in ("loss", "mae")] == pytest.approx(list(means), rel=1e-6)


@pytest.mark.jit_only
@pytest.mark.parametrize("threads", [1, 3])
def test_large_blocks_in_threads(threads):
    set_num_threads(threads)
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(6600, 3)).astype(np.float32), rng.normal(size=(6600, 2)).astype(np.float32)
    by_rows, by_blocks = network(Dense(100, activation="relu")), network(Dense(100, activation="relu"))
    # those of 2200 rows come between and are cut in other pieces
    by_rows.fit(x, y, 1100, shuffle=False, verbose=0)
    by_blocks.fit([*blocks(x[:4400], y[:4400], batch=1100)], verbose=0)
    by_blocks.evaluate(blocks(x, y, batch=2200))
    by_blocks.fit(blocks(x[4400:], y[4400:], batch=1100), verbose=0)
    assert same(by_rows, by_blocks)
    by_rows.fit(x, y, 2200, shuffle=False, verbose=0)
    by_blocks.fit(blocks(x, y, batch=2200), verbose=0)
    assert same(by_rows, by_blocks)


def test_other_numbers_of_rows_use_the_same_memory():
    model = network()
    model.fit(blocks(batch=50), verbose=0)
    rooms = dict(model._session._rooms)
    model.fit(blocks(batch=7), verbose=0)
    assert all(model._session._rooms[key] is room for key, room in rooms.items())
    assert len(model._session._rooms) == len(rooms)


def test_a_generator_goes_on_in_the_next_epoch():
    model, other = network(), network()
    history = model.fit(endless(), epochs=3, steps_per_epoch=4, verbose=0)
    assert history.epoch == [0, 1, 2]
    assert history.params["steps"] == 4
    taken = (blocks() * 2)[:12]
    other.fit(taken, verbose=0)
    assert same(model, other)


def test_a_generator_that_ends():
    model = network()
    with pytest.warns(UserWarning, match="ran out of data"):
        history = model.fit(iter(blocks()), epochs=3, verbose=0)
    assert history.epoch == [0]
    with pytest.warns(UserWarning, match="ran out of data"):
        history = model.fit(iter(blocks()), epochs=3, steps_per_epoch=5, verbose=0)
    assert history.epoch == [0, 1]
    # what can begin anew does: 4 and 3 blocks, then all again
    with pytest.warns(UserWarning, match="ran out of data"):
        history = model.fit(blocks(), epochs=3, steps_per_epoch=4, verbose=0)
    assert history.epoch == [0, 1, 2]


def test_steps_that_divide_the_blocks_warn_of_nothing(recwarn):
    for source in (blocks()[:6], Loader(X[:48], Y[:48])):
        assert network().fit(source, epochs=5, steps_per_epoch=3, verbose=0).epoch == [0, 1, 2, 3, 4]
    assert not recwarn.list


def test_hooks_of_a_dataset():
    data = ByIndex()
    network().fit(data, epochs=2, verbose=0, validation_data=ByIndex(), validation_steps=2)
    assert data.seen == [*range(7), "end"] * 2


def test_callbacks_hear_of_blocks():
    seen, model = [], network(metrics=["mae"])
    names = ("epoch_begin", "train_batch_begin", "train_batch_end", "test_batch_begin", "test_batch_end")
    hooks = {f"on_{name}": lambda number, logs, name=name: seen.append((name, number)) for name in names}
    hooks["on_train_batch_end"] = lambda number, logs: (
        seen.append(("train_batch_end", number)), model.evaluate(X[:3], Y[:3]), model.gradients(X, Y)
    )  # fmt: skip
    history = model.fit(
        blocks()[:2], verbose=0, validation_data=blocks()[:1], callbacks=[callbacks.LambdaCallback(**hooks)]
    )
    assert seen == [
        ("epoch_begin", 0), ("train_batch_begin", 0), ("train_batch_end", 0), ("train_batch_begin", 1),
        ("train_batch_end", 1), ("test_batch_begin", 0), ("test_batch_end", 0),
    ]  # fmt: skip
    plain = network(metrics=["mae"])
    assert plain.fit(blocks()[:2], verbose=0, validation_data=blocks()[:1]).history == history.history
    assert same(plain, model)


def test_a_generator_that_uses_the_model_changes_nothing():
    model, plain = network(metrics=["r2"]), network(metrics=["r2"])

    def curious():
        for block in blocks():
            model.evaluate(X[:5] + 1, Y[:5] - 3)
            model.predict(X)
            yield block

    assert model.fit(curious(), verbose=0).history == plain.fit(blocks(), verbose=0).history
    assert same(model, plain)


def test_stop_in_a_block():
    model = network()

    def stop(number, logs):
        model.stop_training = number == 2

    history = model.fit(
        endless(), epochs=4, verbose=0, callbacks=[callbacks.LambdaCallback(on_train_batch_end=stop)]
    )  # fmt: skip
    assert history.epoch == [0]


def test_a_generator_that_raises_leaves_the_weights_of_the_last_step():
    model, other = network(), network()

    def fails():
        yield from blocks()[:3]
        raise RuntimeError("no more disk")

    with pytest.raises(RuntimeError, match="no more disk"):
        model.fit(fails(), verbose=0)
    other.fit(blocks()[:3], verbose=0)
    assert same(model, other)
    # the sums of what was interrupted are gone
    assert model.fit(blocks(), verbose=0).history == other.fit(blocks(), verbose=0).history


def test_divergence_gives_the_weights_of_the_last_epoch():
    model = network(optimizer=optimizers.SGD(learning_rate=1e30))
    before = model.get_weights()
    with pytest.raises(ArithmeticError, match="diverged"):
        model.fit(blocks(), epochs=2, verbose=0)
    assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("source", [blocks, ByIndex, Loader, lambda *arrays: iter(blocks(*arrays))])
def test_evaluate_and_predict(source):
    model = network(metrics=["mae", "r2"])
    expected = model.evaluate(X, Y, sample_weight=W, return_dict=True)
    assert model.evaluate(source(X, Y, W), return_dict=True) == pytest.approx(expected, rel=1e-6)
    assert model.evaluate(source(), steps=2) == pytest.approx(model.evaluate(X[:16], Y[:16]), rel=1e-6)
    assert model.evaluate(X, Y, batch_size=8, steps=2) == pytest.approx(model.evaluate(X[:16], Y[:16]), rel=1e-6)
    if source is not blocks:  # a list is an array
        np.testing.assert_array_equal(model.predict(source()), model.predict(X))
        np.testing.assert_array_equal(model.predict(source(X), steps=3), model.predict(X[:24]))
    np.testing.assert_array_equal(model.predict(part for part, _ in blocks()), model.predict(X))
    np.testing.assert_array_equal(model.predict(X, batch_size=10, steps=2), model.predict(X[:20]))


def test_validation_begins_anew_and_a_generator_does_not():
    model = network(optimizer=optimizers.SGD(learning_rate=0.0))
    history = model.fit(X, Y, epochs=3, verbose=0, validation_data=Loader(), validation_steps=2)
    assert len(set(history.history["val_loss"])) == 1
    assert history.history["val_loss"][0] == pytest.approx(model.evaluate(X[:16], Y[:16]), rel=1e-6)
    limited = model.fit(X, Y, verbose=0, validation_data=(X, Y), validation_batch_size=8, validation_steps=2)
    assert limited.history["val_loss"] == pytest.approx(history.history["val_loss"][:1], rel=1e-6)
    with pytest.warns(UserWarning, match="validation_steps"):
        history = model.fit(X, Y, epochs=3, verbose=0, validation_data=iter(blocks()), validation_steps=4)
    assert history.epoch == [0, 1, 2]
    assert len(history.history["val_loss"]) == 2


def test_class_weight_of_blocks():
    classes = np.arange(ROWS) % 2
    models = []
    for _ in range(2):
        models.append(Sequential([Input(shape=(3,)), Dense(1, activation="sigmoid")], seed=0))
        models[-1].compile("sgd", "binary_crossentropy")
    chosen = {0: 1.0, 1: 0.25}
    models[0].fit(X, classes, BATCH, shuffle=False, verbose=0, class_weight=chosen, sample_weight=W)
    models[1].fit(blocks(X, classes, W), verbose=0, class_weight=chosen)
    assert same(*models)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"y": Y}, "y must not be given to fit"),
        ({"sample_weight": W}, "third of each block"),
        ({"batch_size": 4}, "each block is a batch"),
        ({"validation_split": 0.1}, "give validation_data"),
        ({"validation_data": blocks(), "validation_batch_size": 3}, "validation_batch_size"),
        ({"steps_per_epoch": 0}, "steps_per_epoch"),
        ({"validation_steps": 1.5}, "validation_steps"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_arguments_that_go_with_arrays_alone(options, message):
    with pytest.raises(ValueError, match=message):
        network().fit(blocks(), verbose=0, **options)


@pytest.mark.parametrize(
    ("block", "error", "message"),
    [
        (X[:8], ValueError, "block 1 of x: it must be"),
        ((X[:8],), ValueError, "1 elements"),
        ((X[:8], Y[:8], W[:8], W[:8]), ValueError, "4 elements"),
        ((X[:8], Y[:7]), ValueError, "block 1 of x: y must have as many rows"),
        ((X[:8, :2], Y[:8]), ValueError, "block 1 of x: x must have 3 features"),
        ((X[:8] * np.nan, Y[:8]), ValueError, "block 1 of x: x must be finite"),
        ((X[:0], Y[:0]), ValueError, "block 1 of x: x must have at least one row"),
        ((X[:8], Y[:8], -W[:8]), ValueError, "block 1 of x: sample_weight"),
        ((X[:8], np.full((8, 2), "a")), TypeError, "block 1 of x: y"),
        (None, ValueError, "got None"),
    ],
)
def test_wrong_blocks(block, error, message):
    model, other = network(), network()
    with pytest.raises(error, match=message):
        model.fit(iter([*blocks()[:1], block]), verbose=0)
    other.fit(blocks()[:1], verbose=0)
    assert same(model, other)


def test_nothing_to_train_on():
    for call in (
        lambda model: model.fit(iter([]), verbose=0),
        lambda model: model.evaluate(iter([])),
        lambda model: model.predict(iter([])),
        lambda model: model.fit(X, Y, verbose=0, validation_data=iter([])),
    ):
        with pytest.raises(ValueError, match="at least one block"):
            call(network())


def test_targets_that_are_missing():
    for x, message in (
        (X, "y must be given"),
        (X.tolist(), "y must be given"),
        (endless, "call it"),
        (3, "of type int"),
    ):
        for method in (network().fit, network().evaluate):
            with pytest.raises(TypeError, match=message):
                method(x)


def test_lbfgs_takes_no_blocks():
    with pytest.raises(ValueError, match="LBFGS"):
        network(optimizer="lbfgs").fit(blocks(), verbose=0)


def test_what_blocks_are():
    for arrays in (X, X.tolist(), tuple(X), deque(X), range(3), array.array("f", [1]), memoryview(X), b"12", {1: 2}, [],
                   [(1.0, 2.0)], 1.0, None, "text"):  # fmt: skip
        assert not are_blocks(arrays), arrays
    for source in (blocks(), tuple(blocks()), iter(blocks()), endless(), ByIndex(), Loader(), map(len, [])):
        assert are_blocks(source), source


@pytest.mark.parametrize("verbose", [1, 2])
def test_shown(verbose, capsys):
    model = network()
    model.fit(blocks(), epochs=2, verbose=verbose, validation_data=blocks())
    model.evaluate(Loader(), verbose=verbose)
    model.predict(Loader(), verbose=verbose)
    model.predict(X, verbose=verbose)
    out = capsys.readouterr().out
    assert "Epoch 2/2" in out
    assert "val_loss" in out
    assert out.count("50 samples  ") == 2
    assert "2/2 steps" in out


def unaligned(array):
    memory = np.zeros(array.nbytes + 1, np.uint8)[1:]
    memory[:] = np.frombuffer(array.tobytes(), np.uint8)
    return memory.view(array.dtype).reshape(array.shape)


@pytest.mark.jit_only
def test_no_layout_compiles_anything():
    """Machine code is called without a look at types after the first call, so all calls must have the same ones."""
    model, plain = network(metrics=["mae"]), network(metrics=["mae"])
    layouts = [np.asfortranarray, unaligned, lambda array: array.astype(">f4"), lambda array: array[::-1][::-1]]
    for layout in layouts:
        arrays = [layout(part) for part in (X, Y, W)]
        model.fit([tuple(arrays)], verbose=0)
        model.fit(*arrays[:2], sample_weight=arrays[2], verbose=0)
        model.train_on_batch(*arrays)
        assert model.evaluate(*arrays[:2]) == model.evaluate(X, Y)
        np.testing.assert_array_equal(model.predict(arrays[0]), model.predict(X))
        plain.fit([(X, Y, W)], verbose=0)
        plain.fit(X, Y, sample_weight=W, verbose=0)
        plain.train_on_batch(X, Y, W)
        assert same(model, plain)
    assert len(run_steps.overloads) == len(predict_rows.overloads) == 1


def test_loaders_of_torch():
    data = pytest.importorskip("torch.utils.data")
    torch = pytest.importorskip("torch")
    loader = data.DataLoader(data.TensorDataset(torch.tensor(X), torch.tensor(Y)), batch_size=BATCH)
    model, other = network(), network()
    model.fit(loader, epochs=2, verbose=0, validation_data=loader)
    other.fit(X, Y, BATCH, epochs=2, shuffle=False, verbose=0)
    assert same(model, other)
    np.testing.assert_array_equal(model.predict(loader), other.predict(X))


def test_an_empty_list_is_no_block():
    model = Sequential([Input(shape=(2,)), Dense(1)], seed=0)
    with pytest.raises(ValueError, match="x must"):
        model.predict(iter([[]]))
