"""The pages of the documentation: their blocks of code, in order, and how they are run.

A block of text right after one of Python is what that prints. ``python tests/pages.py docs/start.md`` writes it.
"""

import contextlib
import importlib.util
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
# what the site is built into is no page
PAGES = [ROOT / "README.md", *sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)]
# a comment right above a block says why it is not run: <!-- not run: it needs a cluster -->
BLOCK = re.compile(
    r"^(<!-- not run: [^\n]+ -->\n)?```(\w+)\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE
)
# libraries of which pages tell and that not every machine of the tests has
OPTIONAL = ("jax", "keras", "mpi4py", "onnx", "pandas", "polars", "pyarrow", "scipy", "sklearn", "torch")
# commands of fastmlp's that take long, or measure, and have tests of their own
LONG = ("bench", "demo", "warmup")


class Block(NamedTuple):
    """A block of code: its language and text, the line of the page where it begins, and the text after it."""

    language: str
    code: str
    line: int
    shown: str | None


def blocks(page):
    """Return a page's blocks of Python and of shell commands that are to be run."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(found[2], found[3], text.count("\n", 0, found.start(3)) + 1, found[4])
        for found in BLOCK.finditer(text)
        if found[2] in ("python", "sh") and not found[1]
    ]


def run_python(block, page, space):
    """Run a block among the names of the blocks before it, and return what it prints."""
    for library in OPTIONAL:
        if re.search(rf"^\s*(import|from) {library}\b", block.code, re.MULTILINE):
            pytest.importorskip(library)
    printed = io.StringIO()
    # lines in a traceback are those of the page
    code = compile("\n" * (block.line - 1) + block.code, str(page), "exec")
    with contextlib.redirect_stdout(printed):
        exec(code, space)
    return printed.getvalue()


def run_shell(block):
    """Run the commands of fastmlp's in a block; of others, look whether what they name is there."""
    for line in block.code.replace("\\\n", " ").splitlines():
        for command in re.split(r" && ", line.partition(" #")[0]):
            check_command(shlex.split(command, comments=True))


def check_command(words):
    """Run a command, or look at it."""
    variables = {}
    while words and re.match(r"\w+=", words[0]):
        name, _, value = words[0].partition("=")
        variables[name], words = value, words[1:]
    if not words:
        return
    program, *arguments = words
    program = Path(program).name
    if program == "pip" or arguments[:2] == ["-m", "pip"]:
        check_installation(arguments)
    elif program in ("python", "python3") and arguments[0] == "-m":
        module = arguments[1]
        assert importlib.util.find_spec(module) is not None, module
        if module == "fastmlp" and arguments[2:3] and arguments[2] not in LONG:
            paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
            done = subprocess.run(
                [sys.executable, *arguments], env={**os.environ, "PYTHONPATH": paths, **variables},
                capture_output=True, text=True, check=False, timeout=300,
            )  # fmt: skip
            assert done.returncode == 0, f"{words} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    elif program in ("python", "python3"):
        assert (ROOT / arguments[0]).is_file(), arguments[0]
    else:
        assert program in ("check", "mpirun", "mpiexec"), f"nobody has said what becomes of {words}"


def check_installation(arguments):
    """Look whether the extras of an installation are there."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for argument in arguments:
        for named in re.findall(r"\[([\w,]+)\]", argument):
            assert set(named.split(",")) <= set(extras), argument


def write_outputs(page):
    """Write what the blocks of a page print into the texts after them."""
    text, space = page.read_text(encoding="utf-8"), {"__name__": "__main__"}
    for block in blocks(page):
        if block.language == "python":
            printed = run_python(block, page, space)
            if block.shown is not None:
                before, after = text.split(f"{block.code}```\n\n```text\n{block.shown}", 1)
                text = f"{before}{block.code}```\n\n```text\n{printed}{after}"
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    import tempfile

    given = [Path(name).resolve() for name in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        sys.path.insert(0, folder)
        for each in given:
            write_outputs(each)
