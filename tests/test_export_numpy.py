"""The Python file of a model, run in a process that can import neither fastmlp nor Numba."""

import ast
import runpy
import subprocess
import sys

import numpy as np
import pytest

import fastmlp
from fastmlp import Dense, Input, Sequential, activations, errors, layers

K = 7
RUN = """
import pathlib, runpy, sys, warnings
for name in ("fastmlp", "numba", "torch", "sklearn", "scipy"):
    sys.modules[name] = None  # importing it fails
import numpy as np
warnings.simplefilter("error")
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.py")):
    x = np.load(path.with_suffix(".x.npy"))
    before = x.copy()
    result = runpy.run_path(path)["predict"](x)
    assert (x == before).all(), "predict changes its inputs"
    np.save(path.with_suffix(".y.npy"), result)
"""
ACTIVATIONS = {
    **{name: made() for name, made in activations.TABLE.items()},
    "elu_half": activations.ELU(np.float64(0.5)),
    "leaky_negative": activations.LeakyReLU(-0.3),
    "gelu_tanh": activations.GELU(approximate=True),
}
# every layer, by what it is to show
STACKS = {
    "no_bias": lambda: [Dense(5, use_bias=False), Dense(1)],
    "activation_first": lambda: [layers.Activation("tanh"), Dense(3, "softmax"), layers.Activation("softmax")],
    "rescaling": lambda: [layers.Rescaling(0.25, -1.0), Dense(3), layers.Rescaling(3)],
    "noise": lambda: [layers.Dropout(0.5), Dense(3), layers.GaussianNoise(2.0)],
    "batch": lambda: [layers.BatchNormalization(), Dense(5), layers.BatchNormalization(center=False)],
    "batch_bare": lambda: [
        layers.BatchNormalization(scale=False),
        layers.BatchNormalization(center=False, scale=False),
    ],
    "rows": lambda: [layers.LayerNormalization(), Dense(5), layers.LayerNormalization(1e-2, center=False)],
    "rows_bare": lambda: [layers.LayerNormalization(scale=False), layers.LayerNormalization(center=False, scale=False)],
    "one_feature": lambda: [Dense(1), layers.LayerNormalization(), Dense(1)],
    "given_moments": lambda: [layers.Normalization(mean=range(K), variance=4.0), Dense(2)],
    "residual": lambda: [
        Dense(6),
        layers.Residual([Dense(4, "relu"), layers.Residual([Dense(4, "tanh")]), Dense(6)]),
        layers.Residual([layers.LayerNormalization(), Dense(6)]),
    ],
    "names": lambda: [Dense(3, name='"""\nraise SystemExit("\\'), Dense(2, name="λ 😀"), Dense(2, name="{0}")],
}  # fmt: skip


def stacked(name):
    model = Sequential([Input(shape=(K,)), *STACKS[name]()], seed=1)
    randomise(model)
    return model


def randomise(model):
    """Weights as after a training: biases, gammas and averages are not 0 and 1; variances stay positive."""
    rng = np.random.default_rng(3)
    model.set_weights([rng.uniform(0.2, 1.2, weight.shape) for weight in model.get_weights()])


def every_model():
    """Yield models with a name and inputs for each."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1.5, (13, K)).astype(np.float32)
    for name, activation in ACTIVATIONS.items():
        model = Sequential([Input(shape=(K,)), Dense(19, activation), Dense(3)], seed=2)
        yield f"activation_{name}", model, x
        if name not in ("exponential", "softmax"):
            wide = np.linspace(-100, 100, 13 * K, dtype=np.float32).reshape(13, K)
            yield f"far_{name}", Sequential([Input(shape=(K,)), layers.Activation(activation)]), wide
    for name in STACKS:
        yield f"stack_{name}", stacked(name), x
    images = rng.normal(0, 1, (5, 4, 3)).astype(np.float32)
    image = [Input(shape=(4, 3)), layers.Rescaling(2.0), layers.Activation("tanh"), layers.Flatten(), Dense(2)]
    yield "images", Sequential(image, seed=0), images
    normalization = layers.Normalization()
    normalization.adapt(x * 10 + 300)
    yield "adapted", Sequential([Input(shape=(K,)), normalization, Dense(2)], seed=0), x * 10 + 300
    yield "no_rows", stacked("rows"), x[:0]
    yield "one_row", stacked("rows"), x[:1]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    expected = {}
    for name, model, x in every_model():
        fastmlp.export_numpy(model, folder / f"{name}.py")
        np.save(folder / f"{name}.x.npy", x)
        expected[name] = model.predict(x)
    done = subprocess.run(
        [sys.executable, "-I", "-c", RUN, str(folder)], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return folder, expected


def test_files_predict_as_their_models(results):
    folder, expected = results
    for name, outputs in expected.items():
        got = np.load(folder / f"{name}.y.npy")
        assert got.dtype == np.float32, name
        assert got.shape == outputs.shape, name
        np.testing.assert_allclose(got, outputs, rtol=1e-5, atol=1e-5, err_msg=name)


def test_files_import_numpy_alone(results):
    folder, expected = results
    for name in expected:
        tree = ast.parse((folder / f"{name}.py").read_text(encoding="ascii"))
        imported = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
        assert [ast.unparse(node) for node in imported] == ["import base64", "import numpy as np"]
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and hasattr(node.func, "id")}
        # a model without weights leaves the reader of weights idle
        assert {"predict"} <= functions - called <= {"predict", "floats"}, "a function that nobody calls"


def test_weights_are_exact(tmp_path):
    model = stacked("no_bias")
    kernel, _ = model.layers[1].get_weights()
    model.layers[1].set_weights([np.nextafter(kernel, np.float32(9)), np.full(1, 1e-42)])
    fastmlp.export_numpy(model, tmp_path / "m.py")
    kept = runpy.run_path(str(tmp_path / "m.py"))["W"]
    assert [kept[name].tobytes() for name in ("dense.kernel", "dense_1.kernel", "dense_1.bias")] == [
        weight.tobytes() for weight in model.get_weights()
    ]


def test_a_wrong_shape_is_refused(tmp_path):
    fastmlp.export_numpy(stacked("no_bias"), tmp_path / "m.py")
    predict = runpy.run_path(str(tmp_path / "m.py"))["predict"]
    for x in (np.zeros(K), np.zeros((2, K + 1)), 1.0):
        with pytest.raises(ValueError, match=r"x must have the shape \(rows, 7\), got \("):
            predict(x)


def test_what_cannot_be_written(tmp_path):
    path = tmp_path / "m.py"
    path.write_text("old")
    square = activations.Custom(lambda z: z * z, lambda z, a: 2 * z, name="square")
    inside = layers.Residual([Dense(4), layers.Activation(square)])
    with pytest.raises(TypeError, match="layer 'activation' has the custom activation 'square'"):
        fastmlp.export_numpy(Sequential([Input(shape=(4,)), inside]), path)

    class Doubled(Dense):
        pass

    with pytest.raises(TypeError, match="class Doubled"):
        fastmlp.export_numpy(Sequential([Input(shape=(4,)), Doubled(2)]), path)
    with pytest.raises(errors.NotBuiltError):
        fastmlp.export_numpy(Sequential([Dense(2)]), path)
    with pytest.raises(TypeError, match=r"must be a fastmlp.Sequential"):
        fastmlp.export_numpy(Dense(2), path)
    assert path.read_text() == "old"
    with pytest.raises(FileNotFoundError):
        fastmlp.export_numpy(stacked("no_bias"), tmp_path / "none" / "m.py")
    assert [each.name for each in tmp_path.iterdir()] == ["m.py"]
