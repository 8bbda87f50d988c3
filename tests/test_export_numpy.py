"""The Python file of a model, run in a process that can import neither fastmlp nor Numba."""

import ast
import runpy
import subprocess
import sys

import numpy as np
import pytest
from exported_models import K, every_model, stacked

import fastmlp
from fastmlp import Dense, Input, Sequential, activations, errors, layers

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
    wrong = []
    for name, outputs in expected.items():
        got = np.load(folder / f"{name}.y.npy")
        assert got.dtype == np.float32, name
        assert got.shape == outputs.shape, name
        if not np.allclose(got, outputs, rtol=1e-5, atol=1e-5):
            wrong.append(name)
    assert wrong == []


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
