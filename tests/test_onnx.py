"""ONNX files: checked, and run by ONNX's reference and, where it is installed, by ONNX Runtime."""

import sys
import warnings

import numpy as np
import pytest
from exported_models import K, every_model, stacked

import fastmlp
from fastmlp import Dense, Input, Sequential, activations, errors, layers


def test_without_onnx(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"fastmlp\[onnx\]"):
        fastmlp.onnx.export(stacked("no_bias"), tmp_path / "m.onnx")


def exported(model, tmp_path, **names):
    onnx = pytest.importorskip("onnx")
    fastmlp.onnx.export(model, tmp_path / "m.onnx", **names)
    proto = onnx.load(tmp_path / "m.onnx")
    onnx.checker.check_model(proto, full_check=True)
    return proto


def by_reference(proto, x, name="input"):
    from onnx.reference import ReferenceEvaluator

    with warnings.catch_warnings():
        # the reference computes branches that it does not take
        warnings.simplefilter("ignore", RuntimeWarning)
        return ReferenceEvaluator(proto).run(None, {name: x})[0]


def by_runtime(proto, x):
    runtime = pytest.importorskip("onnxruntime")
    return runtime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"]).run(
        ["output"], {"input": x}
    )[0]


def is_old(version):
    """Whether ONNX is older than 1.18."""
    return tuple(map(int, version.split(".")[:2])) < (1, 18)


@pytest.mark.parametrize("run", [by_reference, by_runtime])
def test_files_predict_as_their_models(run, tmp_path):
    """Over every layer and every activation."""
    onnx = pytest.importorskip("onnx")
    shown = set()
    wrong = []
    for name, model, x in every_model():
        proto = exported(model, tmp_path)
        shown.update(name.split("activation_")[1:])
        got, outputs = run(proto, x), model.predict(x)
        assert (got.dtype, got.shape) == (np.float32, outputs.shape), name
        # the reference of ONNX before 1.18 has log(1 + exp(x)) for a softplus, which overflows; files say Softplus
        overflows = run is by_reference and name == "far_softplus" and is_old(onnx.__version__)
        if not overflows and not np.allclose(got, outputs, rtol=1e-5, atol=1e-5):
            wrong.append(name)
    assert wrong == []
    assert shown >= set(activations.TABLE)


def test_what_a_file_says(tmp_path):
    proto = exported(stacked("no_bias"), tmp_path, input_name="x", output_name="dense.kernel")
    assert [(each.domain, each.version) for each in proto.opset_import] == [("", fastmlp.onnx.OPSET)]
    assert (proto.producer_name, proto.producer_version) == ("fastmlp", fastmlp.__version__)
    (given,), (made,) = proto.graph.input, proto.graph.output
    assert (given.name, made.name) == ("x", "dense.kernel")
    rows, features = given.type.tensor_type.shape.dim
    assert (rows.dim_param, features.dim_value) == ("batch", K)
    x = np.ones((3, K), np.float32)
    np.testing.assert_allclose(by_reference(proto, x, "x"), stacked("no_bias").predict(x), rtol=1e-5)


def test_weights_are_exact(tmp_path):
    onnx = pytest.importorskip("onnx")
    model = stacked("residual")
    kept = {each.name: onnx.numpy_helper.to_array(each) for each in exported(model, tmp_path).graph.initializer}
    name = model.layers[0].name
    assert [kept[f"{name}.kernel"].tobytes(), kept[f"{name}.bias"].tobytes()] == [
        weight.tobytes() for weight in model.layers[0].get_weights()
    ]


def test_equal_models_have_equal_files(tmp_path):
    bytes_of = []
    for _ in range(2):
        exported(stacked("residual"), tmp_path)
        bytes_of.append((tmp_path / "m.onnx").read_bytes())
    assert bytes_of[0] == bytes_of[1]


def test_a_model_that_changes_nothing(tmp_path):
    proto = exported(Sequential([Input(shape=(K,)), layers.Dropout(0.5)]), tmp_path)
    x = np.ones((2, K), np.float32)
    assert (by_reference(proto, x) == x).all()


def test_what_cannot_be_written(tmp_path, monkeypatch):
    pytest.importorskip("onnx")
    path = tmp_path / "m.onnx"
    custom = activations.Custom(lambda z: z * z, lambda z, a: 2 * z, name="tanh")
    with pytest.raises(TypeError, match="custom activation 'tanh', which cannot be written to ONNX"):
        fastmlp.onnx.export(Sequential([Input(shape=(4,)), Dense(2, custom)]), path)
    with pytest.raises(errors.NotBuiltError):
        fastmlp.onnx.export(Sequential([Dense(2)]), path)
    with pytest.raises(ValueError, match="must differ"):
        fastmlp.onnx.export(stacked("no_bias"), path, input_name="a", output_name="a")
    with pytest.raises(TypeError, match="input_name must be a text"):
        fastmlp.onnx.export(stacked("no_bias"), path, input_name="")
    monkeypatch.setattr(fastmlp.onnx, "MOST_BYTES", 100)
    with pytest.raises(ValueError, match="at most 2 GiB"):
        fastmlp.onnx.export(stacked("no_bias"), path)
    assert not path.exists()
