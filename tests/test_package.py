"""The package as a whole: imports, names, metadata, and the README's commands."""

import ast
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path

import pytest

import fastmlp

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def python(code):
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_import_loads_nothing_heavy():
    heavy = ("numba", "llvmlite", "scipy", "rich", "sklearn", "safetensors", "matplotlib")
    done = python(f"import sys, fastmlp; print([name for name in {heavy} if name in sys.modules])")
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


# docs/design.md, "Floors"; a module that is on none of these is at the top.
FLOORS = {
    "kernels": 1,
    **dict.fromkeys(
        (
            "activations", "configs", "constraints", "errors", "initializers", "inputs", "layers", "losses", "metrics",
            "names", "optimizers", "regularizers", "rows", "schedules", "seeds", "threads",
        ),
        2,
    ),
    "engine": 3,
}  # fmt: skip
TOP = 4
SOURCES = sorted((ROOT / "fastmlp").rglob("*.py"))


def imports(tree):
    """What a module imports when it runs: absolute names, and those of the package with a leading dot."""
    if isinstance(tree, ast.If) and ast.unparse(tree.test) == "TYPE_CHECKING":
        return
    if isinstance(tree, ast.Import):
        yield from (name.name for name in tree.names)
    elif isinstance(tree, ast.ImportFrom):
        module = [tree.module] if tree.module else [name.name for name in tree.names]
        yield from (f"{'.' * tree.level}{name}" for name in module)
    for child in ast.iter_child_nodes(tree):
        yield from imports(child)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT / "fastmlp").as_posix())
def test_imports_only_go_down(path):
    place = path.relative_to(ROOT / "fastmlp").with_suffix("").parts
    folders = len(place) - 1
    for name in imports(ast.parse(path.read_text(encoding="utf-8"))):
        dots = len(name) - len(name.lstrip("."))
        if dots == 0:
            assert place[0] == "kernels" or name.split(".")[0] not in ("numba", "llvmlite"), f"{name} is for kernels"
        elif dots == folders + 1:
            other = name.lstrip(".").split(".")[0]
            assert FLOORS.get(other, TOP) <= FLOORS.get(place[0], TOP), f"{name} is above"


def test_all_names_resolve():
    assert len(set(fastmlp.__all__)) == len(fastmlp.__all__)
    for name in fastmlp.__all__:
        assert getattr(fastmlp, name) is not None
    assert set(fastmlp.__all__) <= set(dir(fastmlp))


def test_star_import():
    done = python("from fastmlp import *; print(Sequential.__name__, losses.__name__)")
    assert done.stdout == "Sequential fastmlp.losses\n"


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="no attribute 'Conv2D'"):
        _ = fastmlp.Conv2D
    assert not hasattr(fastmlp, "Conv2D")


def test_version_is_that_of_the_metadata():
    try:
        installed = version("fastmlp")
    except PackageNotFoundError:
        pytest.skip("fastmlp runs from its sources and is not installed")
    assert fastmlp.__version__ == installed


def test_version_is_in_the_changelog():
    assert fastmlp.__version__ in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_package_is_typed():
    assert files("fastmlp").joinpath("py.typed").is_file()


def test_ci_runs_the_readme_test_command():
    """The README's second command and .ci/run make the environment and run the tests in the same way."""
    command = next(line for line in README.splitlines() if "-m pytest" in line)
    ours = [part.split(maxsplit=1)[1] for part in command.split(" && ")]
    assert ours == ["-m venv .venv", 'install -e ".[test]"', "-m pytest -n 2"]
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    lines = [line for line in script.splitlines() if line and not line.startswith("#")]
    for part in ("-m venv ", 'install --quiet -e ".[test]"', '"$python" -m pytest -n 2'):
        assert any(part in line for line in lines), part
    # Whoever reads the log takes the summary of the last run of pytest for the result.
    assert lines[-1] == '"$python" -m pytest -n 2'
