import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmlp import Dense, Input, Sequential
from fastmlp.kernels.jit import JIT_DISABLED, SIMD_WIDTH
from fastmlp.optimizers import SGD

PROPERTY = settings(derandomize=True, max_examples=5 if JIT_DISABLED else 25, deadline=None)
SIZES = st.integers(1, 40)
ROWS = st.integers(0, 40)
SEEDS = st.integers(0, 2**32 - 1)


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def misaligned(x):
    memory = np.empty(x.nbytes + 1, np.uint8)
    view = memory[1:].view(np.float32).reshape(x.shape)
    view[...] = x
    return view


def every_second_row(x):
    return np.repeat(x, 2, axis=0)[::2]


def every_third_column(x):
    return np.repeat(x, 3, axis=1)[:, ::3]


def backwards(x):
    return x[::-1, ::-1].copy()[::-1, ::-1]


def inside(x):
    return np.pad(x, 2)[2:-2, 2:-2]


# All of them hold the same numbers, small integers.
LAYOUTS = {
    "fortran": np.asfortranarray,
    "read_only": read_only,
    "misaligned": misaligned,
    "rows": every_second_row,
    "columns": every_third_column,
    "backwards": backwards,
    "inside": inside,
    "transposed": lambda x: x.T.copy().T,
    "float16": lambda x: x.astype(np.float16),
    "float64": lambda x: x.astype(np.float64),
    "longdouble": lambda x: x.astype(np.longdouble),
    "int8": lambda x: x.astype(np.int8),
    "int64": lambda x: x.astype(np.int64),
    "big_endian": lambda x: x.astype(">f4"),
    "big_endian_float64": lambda x: x.astype(">f8"),
    "big_endian_int16": lambda x: x.astype(">i2"),
    "fortran_float64": lambda x: np.asfortranarray(x, np.float64),
    # an empty list has no second axis
    "lists": lambda x: x.tolist() if len(x) else x,
    "tuples": lambda x: tuple(map(tuple, x)) if len(x) else x,
}
UNSIGNED = {
    "bool": lambda x: x.astype(bool),
    "uint8": lambda x: x.astype(np.uint8),
    "uint64": lambda x: x.astype(np.uint64),
}


def integers(seed, rows, features):
    return np.random.default_rng(seed).integers(-3, 4, (rows, features)).astype(np.float32)


def network(features, units, seed=0, hidden=5):
    layers = [
        Input(shape=(features,)),
        Dense(hidden, activation="tanh"),
        Dense(units, bias_initializer="ones"),
    ]
    return Sequential(layers, seed=seed)


def content(x):
    return np.array(x).tobytes()


def check_predict(twin, convert, x, units, seed):
    model = network(x.shape[1], units, seed)
    given_x = convert(x)
    before = content(given_x)
    expected = model.predict(x)
    predicted = model.predict(given_x)
    assert predicted.dtype == np.float32
    assert predicted.shape == (len(x), units)
    assert predicted.flags.c_contiguous
    assert predicted.tobytes() == expected.tobytes()
    exact = naive.forward(twin(model), x)[-1][1]
    np.testing.assert_allclose(predicted, exact, rtol=1e-5, atol=1e-5)
    assert content(given_x) == before


@pytest.mark.parametrize("layout", LAYOUTS)
@PROPERTY
@given(rows=ROWS, features=SIZES, units=SIZES, seed=SEEDS)
def test_predict_takes_every_layout(twin, layout, rows, features, units, seed):
    check_predict(twin, LAYOUTS[layout], integers(seed, rows, features), units, seed)


@pytest.mark.parametrize("layout", UNSIGNED)
@PROPERTY
@given(rows=ROWS, features=SIZES, units=SIZES, seed=SEEDS)
def test_predict_takes_unsigned_numbers(twin, layout, rows, features, units, seed):
    check_predict(twin, UNSIGNED[layout], (integers(seed, rows, features) > 0).astype(np.float32), units, seed)


@PROPERTY
@given(rows=ROWS, features=SIZES, units=SIZES, batch=st.integers(1, 50), seed=SEEDS)
def test_float64_is_rounded_to_float32(rows, features, units, batch, seed):
    x = np.random.default_rng(seed).normal(0, 2, (rows, features))
    model = network(features, units, seed)
    assert model.predict(x, batch_size=batch).tobytes() == model.predict(x.astype(np.float32)).tobytes()


def trained(x, y, sample_weight, batch, seed, shuffle):
    model = network(np.shape(x)[1], 2, seed)
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    history = model.fit(x, y, batch_size=batch, epochs=2, verbose=0, shuffle=shuffle, sample_weight=sample_weight)
    return b"".join(map(content, model.get_weights())), history.history


@PROPERTY
@given(
    layout=st.sampled_from(sorted(LAYOUTS)),
    rows=st.integers(1, 40),
    features=SIZES,
    batch=st.integers(1, 50),
    seed=SEEDS,
    shuffle=st.booleans(),
    weighted=st.booleans(),
)
def test_training_has_the_same_bits_for_every_layout(twin, layout, rows, features, batch, seed, shuffle, weighted):
    x, y = integers(seed, rows, features), integers(seed + 1, rows, 2)
    sample_weight = np.abs(integers(seed + 2, 1, rows))[0] if weighted else None
    convert = LAYOUTS[layout]
    given_x, given_y = convert(x), convert(y)
    before = content(given_x), content(given_y)
    result = trained(given_x, given_y, sample_weight, batch, seed, shuffle)
    assert (content(given_x), content(given_y)) == before
    assert result == trained(x, y, sample_weight, batch, seed, shuffle)


@pytest.mark.parametrize("layout", ["fortran", "float64", "big_endian"])
def test_data_of_several_blocks_have_the_same_bits(monkeypatch, layout):
    monkeypatch.setattr("fastmlp.engine.feed.BLOCK_FLOATS", 20)
    monkeypatch.setattr("fastmlp.inputs.BLOCK_NUMBERS", 16)
    x, y = integers(1, 37, 3), integers(2, 37, 2)
    convert = LAYOUTS[layout]
    for batch in (1, 4, 7, 36):
        for shuffle in (True, False):
            assert trained(convert(x), y, None, batch, 3, shuffle) == trained(x, y, None, batch, 3, shuffle)
    model = network(3, 2)
    assert model.predict(convert(x), batch_size=4).tobytes() == model.predict(x).tobytes()


# Widths on both sides of a vector and a panel, and primes; a batch's rows likewise.
EDGES = sorted({1, 2, 3, 13, *(n + d for n in (SIMD_WIDTH, 2 * SIMD_WIDTH) for d in (-1, 0, 1))})


def check_step(twin, features, hidden, units, rows):
    rng = np.random.default_rng(features * 10007 + hidden * 101 + units)
    x = rng.normal(0, 1, (rows, features)).astype(np.float32)
    y = rng.normal(0, 1, (rows, units)).astype(np.float32)
    model = network(features, units, hidden=hidden)
    model.compile(optimizer=SGD(learning_rate=1.0), loss="mse")
    before = model.get_weights()
    value, pairs = naive.gradients(twin(model), x, y, "mean_squared_error")
    history = model.fit(x, y, batch_size=rows, verbose=0, shuffle=False)
    assert history.history["loss"] == pytest.approx([value], rel=1e-5)
    for old, new, exact in zip(before, model.get_weights(), naive.flatten(pairs), strict=True):
        gap = np.abs(old.astype(np.float64) - new - exact).max()
        assert gap <= 2e-5 * np.abs(exact).max() + np.spacing(np.abs(new).max())


@pytest.mark.parametrize("width", EDGES)
def test_a_step_at_the_edges_of_tiles(twin, width):
    check_step(twin, width, 3, 2, 7)
    check_step(twin, 3, width, 2, 7)
    check_step(twin, 3, 2, width, 7)
    check_step(twin, width, width, width, 5)


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 16, 17, 23, 24, 25, 31, 37])
def test_a_step_on_every_height_of_tile(twin, rows):
    check_step(twin, 5, 7, 3, rows)


@pytest.mark.jit_only
@pytest.mark.parametrize(("features", "hidden", "units"), [(127, 129, 131), (1, 257, 1), (63, 65, 64), (97, 1, 101)])
def test_a_step_of_wide_layers(twin, features, hidden, units):
    check_step(twin, features, hidden, units, 67)
