"""Ensembles: means, votes and spreads of models, and one file for all of them."""

import numpy as np
import pytest

from fastmlp import Dense, Ensemble, Input, Sequential, fit_many, load_model
from fastmlp.errors import ModelFileError
from fastmlp.saving import container, state

pytestmark = pytest.mark.jit_only

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
CLASSES = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)


def trained(units=3, seeds=(1, 2, 3, 4), activation="softmax"):
    model = Sequential([Input((4,)), Dense(6, "tanh"), Dense(units, activation)], seed=0)
    model.compile("adam", "sparse_categorical_crossentropy" if units > 1 else "binary_crossentropy")
    return fit_many(model, X, CLASSES if units > 1 else CLASSES > 1, seeds=seeds, epochs=2, verbose=0).models


@pytest.mark.parametrize(("units", "activation"), [(3, "softmax"), (1, "sigmoid")])
def test_predictions(units, activation):
    models = trained(units, activation=activation)
    ensemble = Ensemble(models)
    assert len(ensemble) == 4
    assert list(ensemble) == models
    assert repr(ensemble) == "<Ensemble: 4 models, inputs (None, 4)>"
    outputs = np.stack([model.predict(X) for model in models]).astype(np.float64)
    assert np.array_equal(ensemble.predictions(X), outputs)
    np.testing.assert_allclose(ensemble.predict(X), outputs.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(ensemble.spread(X), outputs.std(axis=0), rtol=1e-5, atol=1e-8)
    chosen = outputs.argmax(axis=2) if units > 1 else (outputs[:, :, 0] > 0.5).astype(int)
    expected = [np.bincount(votes, minlength=3).argmax() for votes in chosen.T]
    np.testing.assert_array_equal(ensemble.vote(X), expected)
    assert ensemble.vote(X[:0]).shape == (0,)


def test_one_file_has_all_models(tmp_path):
    ensemble = Ensemble(trained())
    path = tmp_path / "ensemble"
    ensemble.save(path)
    again = Ensemble.load(path)
    assert again.predictions(X).tobytes() == ensemble.predictions(X).tobytes()
    for model, other in zip(ensemble, again, strict=True):
        # and their trainings go on
        model.fit(X, CLASSES, verbose=0)
        other.fit(X, CLASSES, verbose=0)
        assert model.predict(X).tobytes() == other.predict(X).tobytes()
    with pytest.raises(FileExistsError, match=r"there is a file .*ensemble.* already, and overwrite=False"):
        ensemble.save(path, overwrite=False)
    with pytest.raises(ModelFileError, match="holds 'ensemble', not a whole model"):
        load_model(path)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda d, t: d.update(content="model"), "holds 'model', not an ensemble"),
        (lambda d, t: d.update(models=7), "not an ensemble"),
        (lambda d, t: d.update(models=[]), "belongs to no model"),
        (lambda d, t: (d.update(models=[]), t.clear()), "at least one model"),
        (lambda d, t: d["models"].pop(), "tensor '1.dense.*' that belongs to no model"),
        (lambda d, t: d["models"].append(d["models"][0]), "model 2 of .* is missing"),
        (lambda d, t: d["models"].append(7), "model 2 of .*holds None"),
        (lambda d, t: t.update({"x.kernel": np.zeros(1, np.float32)}), "tensor 'x.kernel' that belongs to no model"),
        (lambda d, t: t.pop("0.dense.kernel"), "model 0 of .*tensor 'dense.kernel' is missing"),
    ],
)
def test_broken_files_are_refused(change, text, tmp_path):
    Ensemble(trained(seeds=(1, 2))).save(tmp_path / "file")
    document, tensors = container.unpack((tmp_path / "file").read_bytes(), "a test")
    tensors = dict(tensors)
    change(document, tensors)
    (tmp_path / "file").write_bytes(b"".join(container.pack(document, tensors)))
    with pytest.raises(ModelFileError, match=text):
        Ensemble.load(tmp_path / "file")


def test_models_of_different_shapes_in_a_file_are_refused(tmp_path):
    documents, tensors = [], {}
    for number, units in enumerate((1, 2)):
        document, own = state.capture(Sequential([Input((4,)), Dense(units)], seed=0))
        documents.append(document)
        tensors |= {f"{number}.{name}": tensor for name, tensor in own.items()}
    packed = container.pack({"content": "ensemble", "models": documents}, tensors)
    (tmp_path / "file").write_bytes(b"".join(packed))
    with pytest.raises(ModelFileError, match="all models must have the same inputs and outputs"):
        Ensemble.load(tmp_path / "file")


def test_what_is_no_ensemble_is_refused():
    with pytest.raises(ValueError, match="at least one model"):
        Ensemble([])
    with pytest.raises(TypeError, match="models must hold instances of Sequential, got 3"):
        Ensemble([3])
    with pytest.raises(ValueError, match=r"models\[1\] has"):
        Ensemble([Sequential([Input((4,)), Dense(1)]), Sequential([Input((4,)), Dense(2)])])
    assert Sequential([Dense(1)]).input_shape is None
    assert Sequential([Dense(1)]).output_shape is None
