"""Files that are never torn: written beside, flushed, and renamed over the old one."""

import contextlib
import errno
import os
import secrets
import stat
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

# what one call is asked to write; Linux takes at most 2 GiB
MOST_BYTES_A_CALL = 1 << 30
# bits of a new file's mode, before the process' umask takes some away
NEW_FILE = 0o666
# what a folder says that cannot be flushed, as on some network file systems
NOTHING_TO_FLUSH = (errno.EINVAL, errno.ENOTSUP)


def replace_file(path: str | bytes | os.PathLike[str], pieces: Iterable[bytes | memoryview]) -> None:
    """Give a file new content, so that at any moment it has the old or the new one whole, whatever happens.

    A process that is killed may leave a file ``.fastmlp-<digits>.part`` beside.

    Parameters
    ----------
    path : path
        A link is followed. The mode of a file that exists is kept.
    pieces : iterable of bytes
        The content.

    Raises
    ------
    OSError
        When any step fails, or there is something that is no regular file, or a file that may not be written to. What
        was written beside is removed, and the file is as it was, unless only the flushing of its folder has failed:
        then it has the new content, which a crash of the system may take back.
    """
    given = os.fsdecode(path)
    try:
        _replace(given, pieces)
    except OSError as error:
        # not the name of the file beside
        raise OSError(error.errno, error.strerror, given) from error


def leftovers(path: Path) -> Iterator[Path]:
    """Yield what processes that were killed while they wrote a file have left beside it."""
    return path.parent.glob(f"{_mark(path)}*.part")


def _mark(target: Path) -> str:
    """How names of files beside a target begin; short, since the target's name may be as long as names can be."""
    return f".fastmlp-{zlib.crc32(os.fsencode(target.name)):08x}-"


def _replace(given: str, pieces: Iterable[bytes | memoryview]) -> None:
    if os.path.split(given)[1] in ("", os.curdir, os.pardir):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    target = Path(os.path.realpath(given))
    mode = _mode_of(target)
    beside = target.with_name(f"{_mark(target)}{secrets.token_hex(8)}.part")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), NEW_FILE)
    try:
        try:
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)
            for piece in pieces:
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(descriptor, rest[:MOST_BYTES_A_CALL]) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        beside.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    flush_folder(target.parent)


def _mode_of(target: Path) -> int | None:
    """The mode of a file that may be replaced, None where there is none, or OSError as ``open`` would raise it."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Not a regular file, and would be replaced by one")
    # renaming asks for the folder's permission alone
    os.close(os.open(target, os.O_WRONLY))
    return stat.S_IMODE(mode)


def flush_folder(folder: Path) -> None:
    """Make names in a folder last, where that can be done: a rename is in memory until then."""
    if os.name != "posix":
        # only files can be flushed there
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        # files can be made in it, but it cannot be read
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NOTHING_TO_FLUSH:
            raise
    finally:
        os.close(descriptor)
