"""Files of anybody's making: whatever is wrong, a ModelFileError says so, and nothing else happens."""

import copy
import functools
import hashlib
import json
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

import fastmlp
from fastmlp import BatchNormalization, Dense, Dropout, Input, Residual, Sequential, layers, metrics
from fastmlp.errors import ModelFileError
from fastmlp.saving import container, state
from fastmlp.saving.model import to_pieces

X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)


@functools.cache
def trained():
    model = Sequential(
        [Input(shape=(3,)), Dense(4, "relu", kernel_constraint="max_norm"), BatchNormalization(), Dropout(0.5),
         Residual([Dense(4, "elu")]), Dense(1, kernel_regularizer="l2")],
        seed=1,
    )  # fmt: skip
    model.compile("adam", "mse", metrics=["mae", metrics.R2Score()])
    model.fit(X, X[:, :1], epochs=1, verbose=0)
    return model


@functools.cache
def good():
    return b"".join(to_pieces(trained()))


@functools.cache
def parts():
    return container.unpack(good(), "a test")


def loads(data):
    return state.restore(*container.unpack(data, "the file"), "the file")


def repacked(change, tensors=None):
    """The bytes of a file with a changed document or tensors and a right checksum."""
    document, own = copy.deepcopy(parts())
    return b"".join(container.pack(change(document) or document, own if tensors is None else tensors(own)))


def header(metadata=None, tensors=None, data=b""):
    text = json.dumps({"__metadata__": metadata, **(tensors or {})}).encode()
    return len(text).to_bytes(8, "little") + text + data


def ours(**changes):
    document, tensors = parts()
    text = json.dumps(document)
    return {"format": "fastmlp", "version": "1", "sha256": container._checksum(text, tensors), "model": text, **changes}


def in_config(**changes):
    return lambda document: document["config"].update(changes)


def tower(depth):
    layer = {"kind": "layer", "class_name": "Dense", "config": {"units": 3}}
    for _ in range(depth):
        layer = {"kind": "layer", "class_name": "Residual", "config": {"layers": [layer]}}
    return layer


def described(name, config):
    return {"kind": "layer", "class_name": name, "config": config}


def auc(count):
    return {"kind": "metric", "class_name": "AUC", "config": {"num_thresholds": count}}


def renamed(old, new):
    return lambda tensors: {new if name == old else name: tensor for name, tensor in tensors.items()}


def replaced(name, tensor):
    return lambda tensors: {**tensors, name: tensor(tensors[name])}


def with_nan(tensor):
    tensor = tensor.copy()
    tensor.flat[-1] = np.nan
    return tensor


F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
CASES = {
    "empty": (lambda: b"", "is empty"),
    "one byte": (lambda: b"\x00", "begins with the length"),
    "only zeros": (lambda: bytes(100), "header is no JSON"),
    "a picture": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(100), "begins with the length"),
    "a pickle": (lambda: b"\x80\x04\x95" + bytes(100), "begins with the length"),
    "huge header": (lambda: (2**64 - 1).to_bytes(8, "little") + bytes(100), "begins with the length"),
    "header longer than the file": (lambda: (101).to_bytes(8, "little") + bytes(100), "begins with the length"),
    "truncated": (lambda: good()[:-1], "damaged or not whole"),
    "truncated in the header": (lambda: good()[:200], "not whole"),
    "something behind": (lambda: good() + b"x", "damaged or not whole"),
    "deep header": (lambda: (10**6).to_bytes(8, "little") + b"[" * 10**6, "nested too deeply|no JSON"),
    "header is a list": (lambda: (2).to_bytes(8, "little") + b"[]", "no model of fastmlp"),
    "another model": (lambda: save({"weight": np.zeros(3, np.float32)}), "no model of fastmlp"),
    "another format": (lambda: header({"format": "pt"}), "no model of fastmlp"),
    "newer": (lambda: header(ours(version="2")), "version 2 .* newer fastmlp"),
    "odd version": (lambda: header(ours(version="1.0")), r"version '1\.0'"),
    "no version": (lambda: header({"format": "fastmlp"}), "version None"),
    "no checksum": (lambda: header({"format": "fastmlp", "version": "1", "model": "{}"}), "no checksum"),
    "huge shape": (
        lambda: header(ours(), {"dense.kernel": {**F32, "shape": [2**40, 2**40]}}, bytes(8)), "damaged or not whole",
    ),
    "huge offsets": (
        lambda: header(ours(), {"a": {**F32, "shape": [2**40], "data_offsets": [0, 2**42]}}, bytes(8)), "damaged",
    ),
    "overlapping": (
        lambda: header(ours(), {"a": F32, "b": {**F32, "data_offsets": [4, 12]}}, bytes(12)), "damaged or not whole",
    ),
    "a gap": (lambda: header(ours(), {"a": F32, "b": {**F32, "data_offsets": [12, 20]}}, bytes(20)), "damaged"),
    "negative offsets": (lambda: header(ours(), {"a": {**F32, "data_offsets": [-8, 0]}}, bytes(8)), "damaged"),
    "a list for a type": (lambda: header(ours(), {"a": {**F32, "dtype": ["F32"]}}, bytes(8)), "none of the types"),
    "unknown type": (lambda: header(ours(), {"a": {**F32, "dtype": "F16"}}, bytes(8)), "none of the types"),
    "a tensor that is none": (lambda: header(ours(), {"a": 3}), "none of the types"),
    "another checksum": (lambda: header(ours(sha256="0" * 64)), "does not have the checksum"),
    "NaN": (lambda: repacked(lambda d: None, replaced("dense.bias", with_nan)), "dense.bias' must be finite"),
    "infinite": (
        lambda: repacked(lambda d: None, replaced("dense.kernel", lambda t: t + np.inf)), "dense.kernel' must be fin",
    ),
    "float64": (
        lambda: repacked(lambda d: None, replaced("dense.kernel", lambda t: t.astype(np.float64))), "must be float32",
    ),
    "another shape": (
        lambda: repacked(lambda d: None, replaced("dense.kernel", lambda t: np.ascontiguousarray(t.T))), r"\(3, 4\)",
    ),
    "a missing tensor": (lambda: repacked(lambda d: None, renamed("dense.bias", "dense.offset")), "dense.bias' is"),
    "a missing slot": (
        lambda: repacked(lambda d: None, renamed("dense.bias.slot1", "dense.bias.slot2")), "dense.bias.slot1' is miss",
    ),
    "one tensor more": (
        lambda: repacked(lambda d: None, lambda t: {**t, "more.kernel": np.zeros(3, np.float32)}), "no layer: more",
    ),
    "unknown layer": (
        lambda: repacked(in_config(layers=[described("Conv2D", {})])), "unknown layer 'Conv2D'.*Valid names",
    ),
    "unknown kind": (
        lambda: repacked(in_config(layers=[{"kind": "os", "class_name": "system", "config": {"command": "true"}}])),
        "unknown kind 'os'",
    ),
    "no layer": (lambda: repacked(in_config(layers=["Dense"])), "layers must be Input or a layer"),
    "a class that is no member": (lambda: repacked(in_config(layers=[described("Layer", {})])), "unknown layer"),
    "a huge layer": (
        lambda: repacked(in_config(layers=[described("Dense", {"units": 10**12, "name": "dense"})])), "too few weights",
    ),
    "a huge input": (lambda: repacked(in_config(input_shape=[10**15])), "too few weights"),
    "a huge image": (lambda: repacked(in_config(input_shape=[10**9] * 9)), "damaged|takes rows|too few weights"),
    "many layers": (
        lambda: repacked(in_config(layers=[described("Flatten", {})] * 10**5)), "at most 4096 layers, got 100000",
    ),
    "many layers inside": (
        lambda: repacked(in_config(layers=[described("Residual", {"layers": [described("Activation", {
            "activation": "relu"})] * 5000})])), "at most 4096 layers",
    ),
    "a tower": (lambda: repacked(in_config(layers=[tower(51)])), "nested more deeply than 50 times"),
    "a deep tower": (lambda: repacked(in_config(layers=[tower(250)])), "nested too deeply"),
    "built without weights": (
        lambda: repacked(
            lambda d: d.update(
                config={**d["config"], "layers": [described("Dense", {"units": 5_000_000, "name": "a"})]}, shapes={},
                training=None,
            ),
            lambda tensors: {"more.kernel": np.zeros(40, np.float32)},
        ),
        "no weights of layer 'a'",
    ),
    "many sums": (
        lambda: repacked(lambda d: d["compile"].update(metrics=[auc(65_536)] * 3)), "metrics would sum up",
    ),
    "many thresholds": (
        lambda: repacked(lambda d: d["compile"].update(metrics=[auc(50_000_000)])), "num_thresholds must be",
    ),
    "several figures": (
        lambda: repacked(lambda d: d["compile"].update(metrics=[
            {"kind": "metric", "class_name": "Precision", "config": {"thresholds": [1] * 50}}])), "50 numbers",
    ),
    "a huge seed": (lambda: repacked(in_config(seed=2**64)), "seed must be"),
    "no config": (lambda: repacked(lambda d: d.pop("config") and None), "KeyError: 'config'"),
    "no document": (lambda: b"".join(container.pack([], {})), "no JSON object"),
    "weights alone": (lambda: b"".join(to_pieces(trained(), weights_only=True)), "holds 'weights', not a whole model"),
    "another shape of a built layer": (lambda: repacked(lambda d: d["shapes"].update(dense=[4])), r"float32 \(4, 4\)"),
    "negative counts": (lambda: repacked(lambda d: d["training"].update(epochs=-1)), "integers from 0"),
    "huge counts": (lambda: repacked(lambda d: d["training"].update(draws=2**63)), "integers from 0"),
    "broken counts": (lambda: repacked(lambda d: d["training"].update(iterations=1.5)), "integers from 0"),
    "other slots": (lambda: repacked(lambda d: d["training"].update(slots=7)), "has 2 slots, got 7"),
    "a training without an optimizer": (lambda: repacked(lambda d: d.update(compile=None)), "the model has none"),
    "a training without weights": (
        lambda: repacked(lambda d: d.update(built=False, shapes={}), lambda tensors: {}), "not built",
    ),
    "a bad generator": (lambda: repacked(lambda d: d.update(generator={"bit_generator": "MT19937"})), "not describe"),
    "a bad history": (lambda: repacked(lambda d: d.update(history={"epoch": "x"})), "not describe"),
    "an unknown optimizer": (
        lambda: repacked(lambda d: d["compile"]["optimizer"].update(class_name="Adamm")), "unknown optimizer 'Adamm'",
    ),
    "a bad setting": (
        lambda: repacked(lambda d: d["compile"]["optimizer"]["config"].update(beta_1=2)), "beta_1 must be",
    ),
    "a loss as an optimizer": (
        lambda: repacked(lambda d: d["compile"].update(optimizer=d["compile"]["loss"])), "optimizer must be a name",
    ),
    "an argument more": (lambda: repacked(lambda d: d["compile"].update(run_eagerly=True)), "run_eagerly"),
}  # fmt: skip


def test_the_good_file_is_good():
    assert loads(good()).get_config() == trained().get_config()
    assert b"".join(to_pieces(loads(good()))) == good()
    assert repacked(lambda document: None) == good()


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_named(case, tmp_path):
    make, message = CASES[case]
    path = tmp_path / "the file"
    path.write_bytes(make())
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match=rf"(?s)^model file '.*the file'.*({message})"):
            fastmlp.load_model(path)
        assert tracemalloc.get_traced_memory()[1] < 40 * path.stat().st_size + 30_000_000
    finally:
        tracemalloc.stop()
    model = Sequential([Input(shape=(3,)), Dense(2)], seed=0)
    before = model.get_weights()
    with pytest.raises(ModelFileError):
        model.load_weights(path)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_a_directory_and_a_device(tmp_path):
    for path in (tmp_path, *filter(Path.exists, [Path("/dev/zero")])):
        with pytest.raises(ModelFileError, match="no file that could hold a model"):
            fastmlp.load_model(path)


def test_a_file_that_is_much_longer_than_its_header_says_is_not_read(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(good())
    for size in (8 << 40, len(good()) + 1, len(good()) - 1):
        os.truncate(path, size)
        with pytest.raises(ModelFileError, match="damaged or not whole: its tensors end at byte"):
            container.read_file(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelFileError, match="no file that could hold a model"):
        fastmlp.load_model(tmp_path / "pipe")


def test_a_pickle_is_as_safe():
    model = trained().__reduce_ex__(4)[0](type(trained()))
    with pytest.raises(ModelFileError, match="the pickled model is damaged"):
        model.__setstate__({"file": good()[:-1]})


# What a long run outside of the suite takes: FASTMLP_FUZZ_EXAMPLES=100000
EXAMPLES = int(os.environ.get("FASTMLP_FUZZ_EXAMPLES", "150"))
fuzzed = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES == 150, database=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip


def refused_or_alike(data):
    """Load: a ModelFileError is right, and so is a model whose own file can be made and loaded."""
    try:
        model = loads(data)
    except ModelFileError:
        return None
    return b"".join(to_pieces(model))


@fuzzed
@given(st.binary(max_size=300))
@example(b"\x08" + bytes(7) + b'{"a":{}}')
def test_any_bytes(data):
    with pytest.raises(ModelFileError):
        loads(data)
    framed = len(data).to_bytes(8, "little") + data
    with pytest.raises(ModelFileError):
        loads(framed)


@fuzzed
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 7)), min_size=1, max_size=4, unique=True))
def test_flipped_bits(flips):
    data = bytearray(good())
    for place, bit in flips:
        data[place % len(data)] ^= 1 << bit
    if bytes(data) != good():
        with pytest.raises(ModelFileError):
            loads(bytes(data))


@fuzzed
@given(st.integers(0, 10**6), st.integers(0, 10**6), st.binary(max_size=40))
def test_pieces_cut_out_and_put_in(start, length, put_in):
    start %= len(good())
    data = good()[:start] + put_in + good()[start + length % 100 :]
    if data != good():
        with pytest.raises(ModelFileError):
            loads(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "relu", "adam", "Dense", "layer", "inf", "\x00", "ü"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["kind", "class_name", "config", "float", "name", "units"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def places(value, way=()):
    """Every place in a document."""
    yield way
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*way, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from places(each, (*way, index))


@fuzzed
@given(st.integers(0, 10**6), json_values, st.booleans())
def test_changed_documents(place, value, remove):
    document, tensors = copy.deepcopy(parts())
    ways = list(places(document))[1:]
    *way, last = ways[place % len(ways)]
    at = document
    for key in way:
        at = at[key]
    if remove:
        del at[last]
    else:
        at[last] = value
    data = b"".join(container.pack(document, tensors))
    again = refused_or_alike(data)
    if again is not None:
        assert refused_or_alike(again) == again


@fuzzed
@given(st.lists(st.sampled_from(list(layers.TABLE)), max_size=4), st.data())
def test_architectures_of_anybody(names, data):
    document, tensors = copy.deepcopy(parts())
    arguments = [
        "units",
        "activation",
        "rate",
        "stddev",
        "scale",
        "offset",
        "epsilon",
        "layers",
        "mean",
        "name",
        "seed",
    ]
    document["config"]["layers"] = [
        {"kind": "layer", "class_name": name, "config": data.draw(
            st.dictionaries(st.sampled_from(arguments), json_values, max_size=3))} for name in names
    ]  # fmt: skip
    document["built"], document["shapes"] = data.draw(st.booleans()), data.draw(st.sampled_from([{}, {"dense": [3]}]))
    refused_or_alike(b"".join(container.pack(document, data.draw(st.sampled_from([tensors, {}])))))


def test_the_checksum_is_what_the_format_says():
    """Computed from the file by other means."""
    data = good()
    length = int.from_bytes(data[:8], "little")
    parsed = json.loads(data[8 : 8 + length])
    metadata = parsed.pop("__metadata__")
    names = sorted(parsed)
    types = {"F32": "<f4", "F64": "<f8", "I64": "<i8"}
    listed = [[name, types[parsed[name]["dtype"]], parsed[name]["shape"]] for name in names]
    digest = hashlib.sha256(json.dumps([metadata["model"], listed]).encode())
    for name in names:
        start, end = parsed[name]["data_offsets"]
        digest.update(data[8 + length + start : 8 + length + end])
    assert digest.hexdigest() == metadata["sha256"]
