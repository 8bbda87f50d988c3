"""Where compiled kernels are kept between processes, and when an entry may be used.

Numba's own cache looks at one source file: a change in a callee of another file, or in a compiler flag,
goes unseen, and an unwritable folder or a truncated entry raises. Here an entry is named by a digest of
everything that its machine code follows from, is verified before it is loaded, and every failure means
no more than a recompilation.
"""

import hashlib
import os
import pickle
import platform
import stat
import sys
import tempfile
import uuid
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core import config
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

PACKAGE = Path(__file__).parent.parent
# Numba's settings, by environment variables NUMBA_<name>, that change the machine code
NUMBA_SETTINGS = (
    "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "DISABLE_INTEL_SVML", "ENABLE_PROFILING", "EXTEND_VARIABLE_LIFETIMES",
    "LLVM_REFPRUNE_FLAGS", "LLVM_REFPRUNE_PASS", "LOOP_VECTORIZE", "OPT", "SLP_VECTORIZE", "USING_SVML",
)  # fmt: skip
DIGEST_BYTES = hashlib.sha256().digest_size


@cache
def sources_digest() -> str:
    """SHA-256 over the package's own Python sources: any edit of any kernel makes all entries stale."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def numba_settings() -> str:
    """Numba's settings that change the machine code, as text; an entry made with others is not used."""
    # the level of optimisation is a class of Numba's that is an int
    return repr([(name, str(getattr(config, name, None))) for name in NUMBA_SETTINGS])


@cache
def cache_folder() -> Path | None:
    """The folder that holds compiled kernels, or None where no safe one can be had.

    ``FASTMLP_CACHE_DIR`` names it; otherwise it is ``fastmlp`` in the user's cache folder
    (``XDG_CACHE_HOME``, or ``~/.cache``). Cached machine code is executed, so a folder that somebody else
    can write to is refused with a warning.
    """
    try:
        named = os.environ.get("FASTMLP_CACHE_DIR")
        base = os.environ.get("XDG_CACHE_HOME")
        folder = Path(named) if named else (Path(base) if base else Path.home() / ".cache") / "fastmlp"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        status = folder.stat()
    except (OSError, RuntimeError):
        return None
    if os.name == "posix" and (status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or status.st_uid != os.geteuid()):
        warnings.warn(
            f"the kernel cache folder {str(folder)!r} can be written by other users, so it is not used and "
            "kernels are compiled anew in each process; make it private (chmod 700) or name another one in "
            "FASTMLP_CACHE_DIR",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return folder


class PackageCache(_Cache):  # type: ignore[misc]
    """Numba's cache protocol over :func:`cache_folder`; one file an entry, named by its digest.

    Parameters
    ----------
    function : callable
        The Python function whose compilations are kept.
    settings : str
        Everything beside the sources that changes the machine code (flags, vector width).
    """

    def __init__(self, function: Callable[..., Any], settings: str) -> None:
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._settings = settings

    @property
    def cache_path(self) -> str | None:
        """The folder as text, as Numba's statistics show it."""
        folder = cache_folder()
        return None if folder is None else str(folder)

    def _entry(self, folder: Path, signature: Any, codegen: Any) -> Path:
        made_from = (
            self._name,
            self._settings,
            numba_settings(),
            sources_digest(),
            str(signature),
            repr(codegen.magic_tuple()),
            numba.__version__,
            llvmlite.__version__,
            sys.version,
            platform.machine(),
        )
        digest = hashlib.sha256("\0".join(made_from).encode()).hexdigest()
        return folder / f"{self._name}-{digest[:32]}.bin"

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """The compilation for ``signature``, or None: missing, damaged and foreign entries are all misses."""
        folder = cache_folder()
        if folder is None:
            return None
        target_context.refresh()
        try:
            stored = self._entry(folder, signature, target_context.codegen()).read_bytes()
            digest, payload = stored[:DIGEST_BYTES], stored[DIGEST_BYTES:]
            if hashlib.sha256(payload).digest() != digest:
                return None
            return CompileResult._rebuild(target_context, *pickle.loads(payload))
        except Exception:
            # Whatever is wrong with an entry, compiling again is right.
            return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep a compilation; written beside and renamed, so that no reader sees half of it."""
        folder = cache_folder()
        if folder is None:
            return
        entry = self._entry(folder, signature, compiled.codegen)
        beside = entry.with_suffix(f".{uuid.uuid4().hex}.tmp")
        try:
            payload = dumps(compiled._reduce())
            beside.write_bytes(hashlib.sha256(payload).digest() + payload)
            beside.replace(entry)
        except OSError:
            beside.unlink(missing_ok=True)

    def enable(self) -> None:
        """Part of Numba's protocol; this cache is always on."""

    def disable(self) -> None:
        """Part of Numba's protocol; this cache is always on."""

    def flush(self) -> None:
        """Remove this function's entries."""
        folder = cache_folder()
        if folder is not None:
            for entry in folder.glob(f"{self._name}-*.bin"):
                entry.unlink(missing_ok=True)
