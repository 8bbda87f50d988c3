"""Files in the IDX format of MNIST, read strictly: a damaged or hostile file is an error, not a surprise.

The format (Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits"): two zero bytes, a
byte for the type, a byte for the number of dimensions, each dimension as a big-endian 32-bit number, and the
values in C order, big-endian. Any file may be compressed with gzip; its first bytes tell, not its name.
"""

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAXIMUM_DIMENSIONS = 8
GZIP_MAGIC = b"\x1f\x8b"
DEFLATE_RATIO = 1032  # no deflate stream grows by more when it is decompressed
CHUNK_BYTES = 1 << 20

Split = tuple[NDArray[Any], NDArray[np.uint8]]


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read one IDX file, compressed with gzip or not.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    ndarray of uint8, int8, int16, int32, float32 or float64
        In the dimensions of the file, native byte order, writable.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is no IDX file, or its length is not exactly what its header declares. Nothing is allocated
        for a header that declares more than the file can hold.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"path must be an IDX file, but there is no {str(path)!r}")
    with path.open("rb") as plain:
        bound = path.stat().st_size
        compressed = plain.read(2) == GZIP_MAGIC
        plain.seek(0)
        if not compressed:
            return _read(plain, path, bound)
        try:
            with gzip.GzipFile(fileobj=plain) as stream:
                return _read(stream, path, DEFLATE_RATIO * bound)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{str(path)!r} is damaged: gzip says {error}") from error


def _read(stream: BinaryIO | gzip.GzipFile, path: Path, bound: int) -> NDArray[Any]:
    """Read what the header declares and make sure that nothing follows; `bound` is the most there can be."""
    header = stream.read(4)
    if len(header) < 4 or header[:2] != b"\0\0" or header[2] not in DTYPES:
        raise ValueError(
            f"{str(path)!r} is no IDX file: it must begin with 00 00, one of 08 09 0b 0c 0d 0e, and the "
            f"number of dimensions, but begins with {header.hex(' ') or 'nothing'}"
        )
    rank = header[3]
    if not 1 <= rank <= MAXIMUM_DIMENSIONS:
        raise ValueError(f"{str(path)!r} must have 1 to {MAXIMUM_DIMENSIONS} dimensions, but declares {rank}")
    sizes = stream.read(4 * rank)
    if len(sizes) < 4 * rank:
        raise ValueError(f"{str(path)!r} is cut short: it ends within its header")
    shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
    if 0 in shape:
        raise ValueError(f"{str(path)!r} is empty: it declares the shape {shape}")
    dtype = np.dtype(DTYPES[header[2]])
    declared = math.prod(shape) * dtype.itemsize
    cut = f"{str(path)!r} is cut short: it declares the shape {shape} of {dtype.name}, {declared:,} bytes"
    if declared > bound:
        raise ValueError(f"{cut}, and cannot hold as many")
    values = np.empty(shape, dtype)
    flat = values.reshape(-1).view(np.uint8)
    filled = 0
    while filled < declared:
        chunk = stream.read(min(CHUNK_BYTES, declared - filled))
        if not chunk:
            raise ValueError(f"{cut}, but holds {filled:,}")
        flat[filled : filled + len(chunk)] = np.frombuffer(chunk, np.uint8)
        filled += len(chunk)
    if stream.read(1):
        raise ValueError(f"{str(path)!r} goes on after the {declared:,} bytes of its shape {shape}")
    return values.astype(dtype.newbyteorder("="), copy=False)


def _find(folder: Path, part: str, kind: str) -> Path:
    """Return the file of a part ("train", "t10k") and kind ("images-idx3"), under any of its usual names."""
    name = f"{part}-{kind}-ubyte"
    names = [name, f"{name}.gz", name.replace("-idx", ".idx"), f"{name.replace('-idx', '.idx')}.gz"]
    for candidate in names:
        if (folder / candidate).is_file():
            return folder / candidate
    raise FileNotFoundError(f"folder {str(folder)!r} must hold one of {', '.join(names)}")


def _load_part(folder: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read the images and labels of one part and make sure that they belong together."""
    arrays = []
    for kind, rank in (("images-idx3", 3), ("labels-idx1", 1)):
        path = _find(folder, part, kind)
        array = read_idx(path)
        if array.ndim != rank or array.dtype != np.uint8:
            raise ValueError(
                f"{str(path)!r} must hold uint8 values in {rank} dimension{'s' if rank > 1 else ''}, but "
                f"holds {array.dtype.name} in the shape {array.shape}"
            )
        arrays.append(array)
    images, labels = arrays
    if len(images) != len(labels):
        raise ValueError(
            f"folder {str(folder)!r} must hold a label for each {part} image, "
            f"but holds {len(images):,} images and {len(labels):,} labels"
        )
    return images, labels


def _prepare(images: NDArray[np.uint8], flatten: bool, scale: bool) -> NDArray[Any]:
    """Bring images into the shape and the range asked for."""
    shaped: NDArray[Any] = images.reshape(len(images), -1) if flatten else images
    if scale:
        shaped = shaped.astype(np.float32)
        shaped /= np.float32(255)
    return shaped


def load_idx(folder: str | os.PathLike[str], *, flatten: bool = False, scale: bool = False) -> tuple[Split, Split]:
    """Load a data set in the four files of MNIST, such as MNIST itself, Fashion-MNIST, KMNIST or EMNIST.

    Parameters
    ----------
    folder : path-like
        Holds ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte`` and
        ``t10k-labels-idx1-ubyte``; each may have a dot in place of the dash before ``idx``, and end in
        ``.gz``. An uncompressed file is preferred.
    flatten : bool
        Make each image one row.
    scale : bool
        Divide by 255.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuple of tuples of ndarray
        Images of shape (n, rows, columns), or (n, rows * columns) if flattened, uint8 in 0..255, or float32
        in [0, 1] if scaled. Labels of shape (n,), uint8.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        The folder, or one of its files, is missing.
    ValueError
        A file is damaged, or the files do not belong together.
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(f"folder must hold IDX files, but there is no {str(folder)!r}")
    if not folder.is_dir():
        raise NotADirectoryError(f"folder must be a folder of IDX files, got the file {str(folder)!r}")
    (train_images, train_labels), (test_images, test_labels) = (_load_part(folder, part) for part in ("train", "t10k"))
    if train_images.shape[1:] != test_images.shape[1:]:
        raise ValueError(
            f"folder {str(folder)!r} must hold train and t10k images of one size, "
            f"but holds {train_images.shape[1:]} and {test_images.shape[1:]}"
        )
    return (
        (_prepare(train_images, flatten, scale), train_labels),
        (_prepare(test_images, flatten, scale), test_labels),
    )
