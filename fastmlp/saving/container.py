"""The bytes of a model file: safetensors, with one JSON document and a checksum in its metadata.

    https://huggingface.co/docs/safetensors/index#format

The metadata are texts: ``format`` ("fastmlp"), ``version``, ``model`` (the document) and ``sha256``, which is over the
document, the names, types and shapes of all tensors, and their numbers. Any program that reads safetensors reads the
weights.
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from ..errors import ModelFileError

Tensors = dict[str, NDArray[Any]]
Bytes = bytes | memoryview

FORMAT = "fastmlp"
VERSION = 1
# the length of the header comes first, as a little-endian integer of so many bytes
LENGTH_BYTES = 8
# more is refused by safetensors itself
LONGEST_HEADER = 100_000_000
DTYPES = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "I64": np.dtype("<i8")}


def pack(document: dict[str, Any], tensors: Mapping[str, NDArray[Any]]) -> list[Bytes]:
    """Return the bytes of a file, in pieces; what is equal gives equal bytes.

    Parameters
    ----------
    document : dict
        What JSON can express, with finite numbers.
    tensors : dict of str to ndarray
        Of a dtype in :data:`DTYPES`.
    """
    text = json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    whole = {name: np.ascontiguousarray(tensor).reshape(tensor.shape) for name, tensor in tensors.items()}
    metadata = {"format": FORMAT, "version": str(VERSION), "sha256": _checksum(text, whole), "model": text}
    header: dict[str, Any] = {"__metadata__": metadata}
    pieces: list[Bytes] = []
    at = 0
    # the widest first, so that all lie at multiples of their widths
    for name in sorted(whole, key=lambda name: (-whole[name].itemsize, name)):
        data = _bytes(whole[name])
        code = next(code for code, dtype in DTYPES.items() if dtype == whole[name].dtype)
        header[name] = {"dtype": code, "shape": whole[name].shape, "data_offsets": [at, at + data.nbytes]}
        pieces.append(data)
        at += data.nbytes
    encoded = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    if len(encoded) > LONGEST_HEADER - LENGTH_BYTES:
        raise ValueError(f"the model's description has {len(encoded)} bytes, more than the format allows")
    encoded += b" " * (-len(encoded) % LENGTH_BYTES)
    return [len(encoded).to_bytes(LENGTH_BYTES, "little"), encoded, *pieces]


def unpack(data: bytes, source: str) -> tuple[dict[str, Any], Tensors]:
    """Return the document and the tensors of bytes that :func:`pack` made.

    Parameters
    ----------
    data : bytes
        Of anybody's making; memory and time stay in proportion to them.
    source : str
        Where they come from, for messages.

    Raises
    ------
    ModelFileError
        When they are not whole, or something else.
    """
    length = header_length(data[:LENGTH_BYTES], len(data), source)
    metadata = check_header(data[LENGTH_BYTES : LENGTH_BYTES + length], len(data) - LENGTH_BYTES - length, source)
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, TypeError, LookupError) as error:
        raise ModelFileError(f"{source} is damaged or not whole: {error}") from None
    text = metadata["model"]
    if _checksum(text, tensors) != metadata["sha256"]:
        raise ModelFileError(f"{source} is damaged: what it holds does not have the checksum that it holds")
    document = _parse(text, source)
    if not isinstance(document, dict):
        raise ModelFileError(f"{source} is no model: its description is no JSON object")
    return document, tensors


def read_file(path: str | bytes | os.PathLike[str]) -> bytes:
    """Return the bytes of a file whose head says that it is a model's; of another one, only the head is read.

    Raises
    ------
    ModelFileError
        For a directory or a device, or when the head is something else's.
    OSError
        When there is no such file, or it cannot be read.
    """
    source = describe(path)
    # a pipe would wait for its other end
    file = Path(os.fsdecode(path))
    if not stat.S_ISREG(file.stat().st_mode):
        raise ModelFileError(f"{source} is no file that could hold a model")
    with file.open("rb") as stream:
        head = stream.read(LENGTH_BYTES)
        size = os.fstat(stream.fileno()).st_size
        length = header_length(head, size, source)
        check_header(stream.read(length), size - LENGTH_BYTES - length, source)
        stream.seek(0)
        # no more, should it grow
        return stream.read(size)


def describe(path: str | bytes | os.PathLike[str]) -> str:
    """Return how messages call a file."""
    return f"model file {os.fsdecode(path)!r}"


def header_length(head: bytes, size: int, source: str) -> int:
    """Return how long the header is that follows the first bytes of ``size`` ones, or raise ModelFileError."""
    if size == 0:
        raise ModelFileError(f"{source} is empty")
    length = int.from_bytes(head, "little")
    if len(head) < LENGTH_BYTES or length > size - LENGTH_BYTES or length > LONGEST_HEADER:
        raise ModelFileError(
            f"{source} is no model or not whole: a safetensors file begins with the length of its header, and there "
            f"are {size} bytes that begin with {head!r}"
        )
    return length


def check_header(header: bytes, rest: int, source: str) -> dict[str, str]:
    """Return the metadata of a header, or raise ModelFileError if it is not that of a file of this version.

    Parameters
    ----------
    header : bytes
        JSON.
    rest : int
        How many bytes follow it.
    source : str
        Where it comes from, for messages.
    """
    parsed = _parse(header, source)
    metadata = parsed.pop("__metadata__", None) if isinstance(parsed, dict) else None
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise ModelFileError(f"{source} is no model of fastmlp: its header does not say that it is one")
    version = metadata.get("version")
    if version != str(VERSION):
        if isinstance(version, str) and re.fullmatch("[0-9]{1,9}", version) and int(version) > VERSION:
            raise ModelFileError(
                f"{source} has version {version} of the format, and this fastmlp reads version {VERSION}: it was "
                "written by a newer fastmlp, which is needed to read it"
            )
        raise ModelFileError(
            f"{source} has version {version!r} of the format, and this fastmlp reads version {VERSION}"
        )
    if not all(isinstance(metadata.get(key), str) for key in ("model", "sha256")):
        raise ModelFileError(f"{source} is damaged: its header has no description of the model, or no checksum")
    for name, tensor in parsed.items():
        # a list of names, since what is in the file may not be hashable
        if not isinstance(tensor, dict) or tensor.get("dtype") not in list(DTYPES):
            raise ModelFileError(f"{source} is damaged: tensor {name!r} has none of the types {', '.join(DTYPES)}")
    try:
        end = max((tensor["data_offsets"][1] for tensor in parsed.values()), default=0)
    except (LookupError, TypeError):
        end = None
    if end != rest:
        raise ModelFileError(f"{source} is damaged or not whole: its tensors end at byte {end!r} of {rest}")
    return metadata


def _parse(text: str | bytes, source: str) -> Any:
    """Parse strict JSON."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no number of JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise ModelFileError(f"{source} is damaged: its JSON is nested too deeply") from None
    except ValueError as error:
        raise ModelFileError(f"{source} is no model or damaged: its header is no JSON ({error})") from None


def _checksum(text: str, tensors: Mapping[str, NDArray[Any]]) -> str:
    names = sorted(tensors)
    listed = [[name, tensors[name].dtype.str, list(tensors[name].shape)] for name in names]
    digest = hashlib.sha256(json.dumps([text, listed]).encode())
    for name in names:
        digest.update(_bytes(tensors[name]))
    return digest.hexdigest()


def _bytes(tensor: NDArray[Any]) -> memoryview:
    """The numbers of a contiguous array, little-endian."""
    return tensor.astype(tensor.dtype.newbyteorder("<"), copy=False).reshape(-1).view(np.uint8).data
