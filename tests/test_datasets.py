import gzip
import struct

import numpy as np
import pytest

from fastmlp.datasets import load_digits, load_idx, read_idx

CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}


def idx_bytes(array):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, CODES[array.dtype.name], array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write(path, data, compressed=False):
    path.write_bytes(gzip.compress(data, mtime=0) if compressed else data)
    return path


@pytest.fixture
def parts():
    generator = np.random.default_rng(0)
    return {
        "train-images-idx3-ubyte": generator.integers(0, 256, (7, 4, 5), np.uint8),
        "train-labels-idx1-ubyte": generator.integers(0, 10, 7, np.uint8),
        "t10k-images-idx3-ubyte": generator.integers(0, 256, (3, 4, 5), np.uint8),
        "t10k-labels-idx1-ubyte": generator.integers(0, 10, 3, np.uint8),
    }


def write_parts(folder, parts, dotted=False, compressed=False):
    for name, array in parts.items():
        name = name.replace("-idx", ".idx") if dotted else name
        write(folder / (f"{name}.gz" if compressed else name), idx_bytes(array), compressed)


def test_digits_have_the_promised_shapes_and_ranges():
    (x_train, y_train), (x_test, y_test) = load_digits()
    assert (x_train.shape, y_train.shape) == ((1437, 64), (1437,))
    assert (x_test.shape, y_test.shape) == ((360, 64), (360,))
    for x, y in ((x_train, y_train), (x_test, y_test)):
        assert (x.dtype, y.dtype) == (np.float32, np.int64)
        assert (x.min(), x.max()) == (0.0, 1.0)
        assert x.flags.writeable
        assert x.flags.c_contiguous
        np.testing.assert_array_equal(x * 16, np.round(x * 16))
        counts = np.bincount(y, minlength=10)
        assert len(counts) == 10
        whole = np.bincount(np.concatenate([y_train, y_test]))
        assert np.all(np.abs(counts - whole * len(y) / 1797) <= 1)


def test_digits_are_new_at_every_call():
    load_digits()[0][0][:] = 7
    assert load_digits()[0][0].max() == 1


def test_digits_are_those_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    images, labels = datasets.load_digits(return_X_y=True)
    (x_train, y_train), (x_test, y_test) = load_digits()
    ours = np.column_stack([np.concatenate([x_train, x_test]) * 16, np.concatenate([y_train, y_test])])
    theirs = np.column_stack([images, labels])
    assert sorted(map(tuple, ours.tolist())) == sorted(map(tuple, theirs.tolist()))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", CODES)
def test_read_idx_of_every_type(tmp_path, name, compressed):
    array = (np.random.default_rng(1).normal(size=(3, 2, 4)) * 100).astype(np.int16).astype(name)
    read = read_idx(write(tmp_path / "any name", idx_bytes(array), compressed))
    assert read.dtype == array.dtype
    assert read.dtype.isnative
    assert read.flags.writeable
    np.testing.assert_array_equal(read, array)


def test_read_idx_of_more_than_one_chunk(tmp_path):
    array = np.arange(600_000, dtype=np.int32).reshape(600, 1000)
    for compressed in (False, True):
        path = write(tmp_path / "large", idx_bytes(array), compressed)
        np.testing.assert_array_equal(read_idx(str(path)), array)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "is no IDX file: .* begins with nothing"),
        (b"\0\0\x08", "is no IDX file: .* begins with 00 00 08"),
        (b"\x89PNG....", "is no IDX file"),
        (b"\0\0\x0a\1\0\0\0\1\0", "is no IDX file"),
        (b"\0\0\x08\0", "must have 1 to 8 dimensions, but declares 0"),
        (b"\0\0\x08\xff" + b"\0\0\0\1" * 255, "must have 1 to 8 dimensions, but declares 255"),
        (b"\0\0\x08\2\0\0\0\1", "ends within its header"),
        (b"\0\0\x08\2\0\0\0\0\0\0\0\1", r"is empty: it declares the shape \(0, 1\)"),
        (b"\0\0\x08\1\0\0\0\5abcd", r"cut short: it declares the shape \(5,\) of uint8, 5 bytes"),
        (b"\0\0\x08\1\0\0\0\5abcdef", r"goes on after the 5 bytes of its shape \(5,\)"),
        (b"\0\0\x0e\2" + b"\xff" * 8 + b"abc", "cut short: .*, and cannot hold as many"),
    ],
)
def test_damaged_files_are_named(tmp_path, data, match, compressed):
    path = write(tmp_path / "damaged", data, compressed)
    with pytest.raises(ValueError, match=match) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("cut", [3, 12, 60, -9, -1])
def test_a_damaged_gzip_file_is_named(tmp_path, cut):
    array = np.random.default_rng(0).integers(0, 256, (10, 10), np.uint8)
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(idx_bytes(array))[:cut])
    with pytest.raises(ValueError, match="damaged") as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_a_gzip_file_with_a_flipped_bit_is_refused(tmp_path):
    data = bytearray(gzip.compress(idx_bytes(np.zeros((10, 10), np.uint8))))
    data[-6] ^= 1
    path = tmp_path / "flipped.gz"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="is damaged: gzip says"):
        read_idx(path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"path must be an IDX file, but there is no .*nothing"):
        read_idx(tmp_path / "nothing")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dotted", [False, True])
def test_load_idx_under_every_name(tmp_path, parts, dotted, compressed):
    write_parts(tmp_path, parts, dotted, compressed)
    (x_train, y_train), (x_test, y_test) = load_idx(tmp_path)
    for array, name in zip((x_train, y_train, x_test, y_test), parts, strict=True):
        assert array.dtype == np.uint8
        np.testing.assert_array_equal(array, parts[name])


def test_load_idx_flattened_and_scaled(tmp_path, parts):
    write_parts(tmp_path, parts)
    images = parts["train-images-idx3-ubyte"]
    (flat, _), (flat_test, _) = load_idx(str(tmp_path), flatten=True)
    np.testing.assert_array_equal(flat, images.reshape(7, 20))
    assert flat_test.shape == (3, 20)
    (scaled, labels), _ = load_idx(tmp_path, flatten=True, scale=True)
    assert scaled.dtype == np.float32
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(scaled, images.reshape(7, 20).astype(np.float32) / np.float32(255))
    assert load_idx(tmp_path, scale=True)[0][0].shape == (7, 4, 5)


def test_load_idx_names_a_missing_folder_or_file(tmp_path, parts):
    with pytest.raises(FileNotFoundError, match="folder must hold IDX files, but there is no"):
        load_idx(tmp_path / "nothing")
    with pytest.raises(NotADirectoryError, match="folder must be a folder of IDX files"):
        load_idx(write(tmp_path / "file", b""))
    write_parts(tmp_path, parts)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match=r"one of t10k-labels-idx1-ubyte, .*t10k-labels\.idx1-ubyte\.gz"):
        load_idx(tmp_path)


@pytest.mark.parametrize(
    ("name", "array", "match"),
    [
        ("train-labels-idx1-ubyte", np.zeros(6, np.uint8), "holds 7 images and 6 labels"),
        (
            "t10k-images-idx3-ubyte",
            np.zeros((3, 5, 4), np.uint8),
            r"one size, but holds \(4, 5\) and \(5, 4\)",
        ),
        (
            "train-images-idx3-ubyte",
            np.zeros((7, 20), np.uint8),
            r"uint8 values in 3 dimensions, but holds uint8",
        ),
        ("train-images-idx3-ubyte", np.zeros((7, 4, 5), np.float32), "but holds float32"),
        ("t10k-labels-idx1-ubyte", np.zeros((3, 1), np.uint8), "uint8 values in 1 dimension, but"),
    ],
)
def test_load_idx_refuses_files_that_do_not_belong_together(tmp_path, parts, name, array, match):
    write_parts(tmp_path, {**parts, name: array})
    with pytest.raises(ValueError, match=match):
        load_idx(tmp_path)
