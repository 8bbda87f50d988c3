"""The kernel cache where things are wrong with it: training works, at worst after a compilation."""

import os
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from programs import PACKAGE, run

pytestmark = [
    pytest.mark.jit_only,
    pytest.mark.skipif(os.name != "posix", reason="folders of POSIX"),
]

# a small entry; how often it was loaded
SMALL = """
import sys
import numpy as np
from fastmlp.kernels.random import shuffle
order = np.empty(5, np.int64)
shuffle(order, np.uint64(1), np.uint64(0))
print(sorted(order.tolist()) == [0, 1, 2, 3, 4], len(shuffle.stats.cache_hits))
"""
LIMITED = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"


def small(folder, before="", **options):
    return run(before + SMALL, FASTMLP_CACHE_DIR=str(folder), **options)


def test_no_home_at_all():
    variables = ("HOME", "XDG_CACHE_HOME", "FASTMLP_CACHE_DIR")
    assert run(SMALL, remove=variables).startswith("True")


def test_a_home_that_is_no_folder():
    assert run(SMALL, remove=("XDG_CACHE_HOME", "FASTMLP_CACHE_DIR"), HOME="/dev/null") == "True 0"


def test_a_full_folder_keeps_nothing_and_leaves_nothing_half(tmp_path):
    """A limit of file sizes stands for a full disk: both are an OSError in the midst of writing."""
    ignore = "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    assert small(tmp_path / "kernels", ignore + LIMITED) == "True 0"
    assert not list((tmp_path / "kernels").iterdir())
    assert small(tmp_path / "kernels") == "True 0"
    assert small(tmp_path / "kernels") == "True 1"


def test_a_folder_that_cannot_be_written(tmp_path):
    """Root may write everywhere, but not below a file or in /proc."""
    assert small("/proc/fastmlp") == "True 0"
    assert small("/dev/null/kernels") == "True 0"


def test_eight_processes_race_for_an_empty_folder(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: small(tmp_path / "kernels"), range(8))) <= {"True 0", "True 1"}
    (entry,) = (tmp_path / "kernels").iterdir()
    assert stat.S_IMODE(entry.parent.stat().st_mode) == 0o700
    assert small(tmp_path / "kernels") == "True 1"


def test_foreign_entries(tmp_path):
    """Of another function, by another program, and a folder or a dangling link in the entry's place."""
    folder = tmp_path / "kernels"
    small(folder)
    (entry,) = folder.iterdir()
    for content in (b"#!/bin/sh\n", b"\0" * 100_000, entry.read_bytes()[::-1]):
        entry.write_bytes(content)
        assert small(folder) == "True 0"
    entry.unlink()
    entry.symlink_to(tmp_path / "nowhere")
    assert small(folder) == "True 0"
    entry.unlink()
    entry.mkdir()
    assert small(folder) == "True 0"


def test_a_folder_that_others_can_write_to_is_refused_with_a_warning(tmp_path):
    folder = tmp_path / "kernels"
    folder.mkdir()
    folder.chmod(0o777)
    catch = (
        "import warnings\ncaught = warnings.catch_warnings(record=True).__enter__()\nwarnings.simplefilter('always')\n"
    )
    found = small(folder, catch).splitlines()
    assert found == ["True 0"]
    found = run(catch + SMALL + "print([str(w.message) for w in caught])", FASTMLP_CACHE_DIR=str(folder))
    assert "can be written by other users" in found
    assert not list(folder.iterdir())


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A copy of the package, which a test may edit, and its environment."""
    place = tmp_path_factory.mktemp("copied")
    shutil.copytree(PACKAGE / "fastmlp", place / "fastmlp", ignore=shutil.ignore_patterns("__pycache__"))
    return place


def from_copy(place, program=SMALL):
    variables = {**os.environ, "PYTHONPATH": str(place), "FASTMLP_CACHE_DIR": str(place / "kernels")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import fastmlp, sys\nassert fastmlp.__file__.startswith(sys.argv[1])\n"
         + program, str(place)],
        env=variables, cwd=place, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("edited", ["kernels/jit.py", "kernels/simd.py", "engine/rows.py"])
def test_sources_edited_after_caching_are_seen(edited, copied):
    """In another file than the cached function's; flags are in jit.py."""
    from_copy(copied)
    assert from_copy(copied) == "True 1"
    file = copied / "fastmlp" / edited
    file.write_text(file.read_text() + "\n# edited\n")
    assert from_copy(copied) == "True 0"


def test_an_edited_constant_changes_what_is_computed(copied):
    program = SMALL.replace("print(sorted", "print(order.tolist(), sorted")
    before = from_copy(copied, program)
    file = copied / "fastmlp/kernels/random.py"
    text = file.read_text()
    assert "0xD2511F53" in text
    file.write_text(text.replace("0xD2511F53", "0xD2511F55"))
    after = from_copy(copied, program)
    assert after.endswith("True 0")
    assert after != before.replace("True 1", "True 0")


def test_an_install_that_is_read_only(copied):
    for path in [*copied.glob("fastmlp/**/*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    (copied / "fastmlp").chmod(0o555)
    try:
        before = sorted(path for path in copied.glob("fastmlp/**/*") if "__pycache__" not in path.parts)
        assert from_copy(copied).startswith("True")
        assert sorted(path for path in copied.glob("fastmlp/**/*") if "__pycache__" not in path.parts) == before
    finally:
        for path in [copied / "fastmlp", *copied.glob("fastmlp/**/*")]:
            path.chmod(0o755)


def test_a_present_folder_that_has_been_deleted(tmp_path):
    """Numba asks where it is while it compiles, and when it is imported, which is its own affair."""
    deleted = (
        "import fastmlp.kernels.random, os, tempfile\nfolder = tempfile.mkdtemp()\nos.chdir(folder)\nos.rmdir(folder)\n"
    )
    assert small(tmp_path / "kernels", deleted) == "True 0"
    assert small(tmp_path / "kernels", deleted) == "True 1"
