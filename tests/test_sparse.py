"""Sparse features: SciPy's matrices and arrays wherever rows may be given, dense by the block alone."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse

from fastmlp import Dense, Flatten, Input, LearningRateFinder, Sequential

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 40)).astype(np.float32) * (RNG.random((300, 40)) < 0.1)
Y = np.stack([X[:, 0] - X[:, 1], X[:, 2]], 1)


def network(inputs=40, seed=1):
    model = Sequential([Input((inputs,)), Dense(9, "relu"), Dense(2)], seed=seed)
    model.compile("adam", "mse", metrics=["mae"])
    return model


def everything(x):
    """What a model makes of rows, as bytes."""
    model = network()
    history = model.fit(x, Y, 32, 3, validation_split=0.2, verbose=0).history
    numbers = [*history.values(), model.evaluate(x, Y), model.gradients(x, Y).loss, model.train_on_batch(x, Y)]
    arrays = [model.predict(x), model(x), model.forward(x)[0].z, *model.get_weights()]
    return [repr(numbers).encode(), *(array.tobytes() for array in arrays)]


@pytest.mark.jit_only
@pytest.mark.parametrize(
    "make",
    [scipy.sparse.csr_matrix, scipy.sparse.csc_matrix, scipy.sparse.coo_matrix, scipy.sparse.csr_array,
     scipy.sparse.csc_array, scipy.sparse.lil_array, lambda x: scipy.sparse.csr_array(x.astype(np.float64))],
)  # fmt: skip
def test_sparse_rows_have_the_bits_of_dense_ones(make):
    assert everything(make(X)) == everything(X)


@pytest.mark.jit_only
def test_blocks_and_finders_take_sparse_rows():
    x = scipy.sparse.csr_matrix(X)
    dense, model = network(), network()
    dense.fit([(X[:100], Y[:100]), (X[100:], Y[100:])], epochs=2, verbose=0)
    model.fit([(x[:100], Y[:100]), (x[100:], Y[100:])], epochs=2, verbose=0)
    assert model.predict(x).tobytes() == dense.predict(X).tobytes()
    assert LearningRateFinder().find(model, x, Y).losses == LearningRateFinder().find(dense, X, Y).losses


@pytest.mark.jit_only
def test_wide_rows_never_become_dense_as_a_whole():
    rows, features = 2000, 20_000
    x = scipy.sparse.random_array((rows, features), density=1e-3, format="csr", dtype=np.float32, rng=RNG)
    model = network(features)
    targets = np.zeros((rows, 2), np.float32)
    model.fit(x, targets, verbose=0)
    tracemalloc.start()
    try:
        model.fit(x, targets, verbose=0)
        model.predict(x)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # the whole would be 160 MB
    assert peak < 40e6


def test_bad_sparse_rows_are_refused():
    x = scipy.sparse.csr_matrix(X)
    x.data[3] = np.nan
    with pytest.raises(ValueError, match="x must be finite in float32, got nan"):
        network().predict(x)
    with pytest.raises(ValueError, match="x must have 40 features as the model's input, got 3"):
        network().fit(scipy.sparse.csr_matrix((5, 3)), np.zeros((5, 2)), verbose=0)
    with pytest.raises(TypeError, match="x must hold real numbers, got dtype complex128"):
        network().predict(scipy.sparse.csr_matrix(X.astype(complex)))
    with pytest.raises(ValueError, match=r"x must have the shape \(rows, 28, 28\), got \(300, 40\)"):
        Sequential([Input((28, 28)), Flatten(), Dense(1)]).predict(scipy.sparse.csr_matrix(X))
