"""Files that are never torn: written beside, flushed, and renamed over the old one."""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path

# what one call is asked to write; Linux takes at most 2 GiB
MOST_BYTES_A_CALL = 1 << 30
# bits of a new file's mode, before the process' umask takes some away
NEW_FILE = 0o666
# what a file that is being written is named after the one it will be
PART = ".part"


def replace_file(path: str | os.PathLike[str], pieces: Iterable[bytes | memoryview]) -> None:
    """Give a file new content, so that at any moment it has the old or the new one whole, whatever happens.

    A process that is killed may leave a file ``.<name>.<random>.part`` beside.

    Parameters
    ----------
    path : path
        A link is followed. The mode of a file that exists is kept.
    pieces : iterable of bytes
        The content.

    Raises
    ------
    OSError
        When any step fails; what was written beside is removed, and the file is as it was unless only the flushing of
        its folder has failed.
    """
    target = Path(os.path.realpath(path))
    beside = target.with_name(f".{target.name}.{secrets.token_hex(8)}{PART}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), NEW_FILE)
    try:
        try:
            with contextlib.suppress(FileNotFoundError):
                mode = target.stat().st_mode
                if hasattr(os, "fchmod"):
                    os.fchmod(descriptor, stat.S_IMODE(mode))
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


def flush_folder(folder: Path) -> None:
    """Make names in a folder last: a rename is in memory until then."""
    if os.name != "posix":
        # only files can be flushed there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
