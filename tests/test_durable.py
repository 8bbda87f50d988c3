"""Files are whole, old or new: with every system call failing in turn, and with the writer killed at any moment."""

import contextlib
import errno
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import fastmlp
from fastmlp import Dense, Input, Sequential, callbacks
from fastmlp.saving.durable import _mark, leftovers, replace_file

CALLS = ("open", "stat", "fchmod", "write", "fsync", "close", "replace")
OLD, NEW = b"old" * 1000, [b"new", memoryview(b"er" * 5000), b""]
WHOLE = b"".join(NEW)


class Failing:
    """System calls of which the one with a given number fails, before it does anything or after."""

    def __init__(self, monkeypatch, fails, late):
        self.number, self.fails, self.late, self.failed = 0, fails, late, None
        for name in CALLS:
            monkeypatch.setattr(os, name, self.wrap(name, getattr(os, name)))

    def wrap(self, name, call):
        def wrapped(*arguments, **options):
            number, self.number = self.number, self.number + 1
            if number != self.fails:
                return call(*arguments, **options)
            self.failed = name
            # a descriptor is gone even if closing it has failed
            if self.late or name == "close":
                call(*arguments, **options)
            raise OSError(errno.ENOSPC, "No space left on device")

        return wrapped


@pytest.mark.skipif(os.name != "posix", reason="the calls are those of POSIX")
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("exists", [True, False], ids=["over a file", "new"])
def test_every_call_may_fail(exists, late, tmp_path, monkeypatch):
    path = tmp_path / "file"
    failures = []
    for fails in range(100):
        path.unlink(missing_ok=True)
        if exists:
            path.write_bytes(OLD)
        descriptors = len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0
        with monkeypatch.context() as patch:
            calls = Failing(patch, fails, late)
            with contextlib.suppress(OSError):
                replace_file(path, NEW)
        renamed = path.exists() and path.read_bytes() == WHOLE
        if calls.failed is None:
            assert renamed
            break
        failures.append(calls.failed)
        leaked = calls.failed == "open" and late
        if sys.platform == "linux" and not leaked:
            assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
        if not renamed:
            assert path.exists() == exists
            assert not exists or path.read_bytes() == OLD
        if not leaked:
            assert list(tmp_path.iterdir()) == ([path] if path.exists() else [])
        for left in tmp_path.iterdir():
            left.unlink()
    assert failures == [
        "stat", *(["open", "close", "open", "fchmod"] if exists else ["open"]),
        "write", "write", "fsync", "close", "replace",
        # of the folder
        "open", "fsync", "close",
    ]  # fmt: skip


def test_a_failure_leaves_model_and_file_as_they_were(tmp_path, monkeypatch):
    path = tmp_path / "model"
    model = Sequential([Input(shape=(3,)), Dense(2)], seed=0)
    model.save(path)
    before = path.read_bytes()
    model.set_weights([weight + 1 for weight in model.get_weights()])
    weights = model.get_weights()
    with monkeypatch.context() as patch:
        Failing(patch, 5, late=False)
        with pytest.raises(OSError, match="No space left") as caught:
            model.save(path)
    assert (caught.value.filename, caught.value.filename2) == (str(path), None)
    assert path.read_bytes() == before
    assert all((a == b).all() for a, b in zip(model.get_weights(), weights, strict=True))
    model.save(path)
    assert all((a == b).all() for a, b in zip(fastmlp.load_model(path).get_weights(), weights, strict=True))


LIMITED = """
import resource, sys
import fastmlp
path = sys.argv[1]
model = fastmlp.load_model(path)
model.set_weights([weight + 1 for weight in model.get_weights()])
size = len(open(path, "rb").read())
for limit in [*range(0, size, 97), size - 1, size]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        model.save(path)
    except OSError as error:
        print(limit, error.strerror)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit's error is Linux's")
def test_a_file_that_the_system_lets_grow_to_any_byte_alone(tmp_path):
    path = tmp_path / "model"
    model = Sequential([Input(shape=(30,)), Dense(20)], seed=0)
    model.save(path)
    size, old = path.stat().st_size, model.get_weights()
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, path], capture_output=True, text=True, check=True, timeout=120
    )
    refused = [int(line.split(" ", 1)[0]) for line in done.stdout.splitlines()]
    # each but the last was refused, by the kernel, and only that one has replaced the file
    assert refused == [*range(0, size, 97), size - 1]
    assert set(done.stdout.split(" ", 1)[1].splitlines()[:1]) == {"File too large"}
    assert list(tmp_path.iterdir()) == [path]
    for before, after in zip(old, fastmlp.load_model(path).get_weights(), strict=True):
        assert (after == before + 1).all()


def test_partial_writes_are_continued(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:7]))
    replace_file(tmp_path / "file", NEW)
    assert (tmp_path / "file").read_bytes() == WHOLE


@pytest.mark.skipif(os.name != "posix", reason="modes and links")
def test_modes_and_links_stay(tmp_path):
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_bytes(OLD)
    path.chmod(0o640)
    link.symlink_to(path)
    replace_file(link, NEW)
    assert link.is_symlink()
    assert path.read_bytes() == WHOLE
    assert path.stat().st_mode & 0o777 == 0o640
    # a new file has the mode that any file gets
    replace_file(tmp_path / "new", NEW)
    (tmp_path / "plain").touch()
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode


WRITER = """
import sys
from fastmlp.saving.durable import replace_file
print("ready", flush=True)
number = 0
while True:
    number += 1
    replace_file(sys.argv[1], [b"%08d" % number, bytes([number % 251]) * 300_000, b"%08d" % number])
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_killed_writer_leaves_a_whole_file(tmp_path):
    path = tmp_path / "file"
    replace_file(path, [b"%08d" % 0, bytes(300_000), b"%08d" % 0])
    last = 0
    for attempt in range(8):
        with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(0.003 + 0.007 * attempt)
            process.send_signal(signal.SIGKILL)
            process.wait()
        content = path.read_bytes()
        number = int(content[:8])
        assert content == b"%08d" % number + bytes([number % 251]) * 300_000 + b"%08d" % number
        last = max(last, number)
    assert last > 0
    assert all(left == path or left.suffix == ".part" for left in tmp_path.iterdir())


@contextlib.contextmanager
def unprivileged():
    """Root may do anything."""
    user = os.geteuid()
    os.seteuid(user or 65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.fixture
def open_folder():
    """A folder that anybody can use, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


@pytest.mark.skipif(os.name != "posix", reason="modes")
def test_permissions_are_those_that_open_asks_for(open_folder):
    path = open_folder / "file"
    path.write_bytes(OLD)
    path.chmod(0o444)
    with unprivileged(), pytest.raises(PermissionError) as caught:
        replace_file(path, NEW)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == OLD
    # a folder that cannot be read, and so not be flushed
    with unprivileged():
        (open_folder / "dropbox").mkdir()
        (open_folder / "dropbox").chmod(0o300)
        replace_file(open_folder / "dropbox" / "file", NEW)
    assert (open_folder / "dropbox" / "file").read_bytes() == WHOLE


@pytest.mark.skipif(os.name != "posix", reason="only POSIX flushes folders")
@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EIO], ids=errno.errorcode.get)
def test_a_folder_that_has_nothing_to_flush(number, tmp_path, monkeypatch):
    fsync = os.fsync

    def failing(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, "no")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="no") if number == errno.EIO else contextlib.nullcontext():
        replace_file(tmp_path / "file", NEW)
    assert (tmp_path / "file").read_bytes() == WHOLE


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
def test_only_regular_files_are_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, error in (
        ("pipe", "Not a regular file"), ("link", "Not a regular file"), ("folder", "Is a directory"),
        ("new/", "Is a directory"), ("folder/.", "Is a directory"),
    ):  # fmt: skip
        with pytest.raises(OSError, match=error) as caught:
            replace_file(f"{tmp_path}/{name}", NEW)
        assert caught.value.filename == f"{tmp_path}/{name}"
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "link", "pipe"]


def test_a_link_to_nowhere_is_not_overwritten(tmp_path):
    model, link = Sequential([Input(shape=(3,)), Dense(2)], seed=0), tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    with pytest.raises(FileExistsError, match="overwrite=False"):
        model.save(link, overwrite=False)
    model.save(link)
    assert link.is_symlink()
    assert fastmlp.load_model(tmp_path / "target").built


def test_names_as_long_as_names_can_be_and_of_bytes(tmp_path):
    model, path = Sequential([Input(shape=(3,)), Dense(2)], seed=0), tmp_path / ("n" * 255)
    model.save(os.fsencode(path))
    model.save_weights(path.with_name("weights"))
    model.load_weights(os.fsencode(path.with_name("weights")))
    loaded = fastmlp.load_model(os.fsencode(path))
    assert (loaded.get_weights()[0] == model.get_weights()[0]).all()
    with pytest.raises(OSError, match="too long") as caught:
        model.save(tmp_path / ("n" * 256))
    assert caught.value.filename == str(tmp_path / ("n" * 256))
    checkpoint = callbacks.ModelCheckpoint(os.fsencode(tmp_path / "{epoch}"))
    model.compile("sgd", "mse")
    model.fit([[0.0, 1.0, 2.0]], [[0.0, 1.0]], verbose=0, callbacks=[checkpoint])
    assert (tmp_path / "1").exists()


def test_what_a_killed_writer_leaves_is_found(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{_mark(tmp_path / name)}0.part").touch()
    (tmp_path / ".a.part").touch()
    (found,) = leftovers(tmp_path / "a")
    assert found.name.startswith(".fastmlp-")
