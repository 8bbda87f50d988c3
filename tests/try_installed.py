"""Whether what is built works where there is no source tree: ``python tests/try_installed.py [wheel] [sdist]``.

Builds a wheel and a source distribution, installs each in a fresh environment, and there, from an empty folder, trains,
saves, loads and predicts. Needs pip, and a package index or a pip cache.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAM = """
import sys
from pathlib import Path
import numpy as np
import fastmlp
from fastmlp import Dense, Input, Sequential, load_model

assert Path(fastmlp.__file__).is_relative_to(sys.prefix), fastmlp.__file__
x = np.random.default_rng(0).standard_normal((500, 4), np.float32)
y = x[:, :1] * x[:, 1:2]
model = Sequential([Input((4,)), Dense(32, "relu"), Dense(1)], seed=0)
model.compile("adam", "mse")
losses = model.fit(x, y, epochs=30, verbose=0).history["loss"]
assert losses[-1] < losses[0] / 2, losses
model.save("model.safetensors")
assert (load_model("model.safetensors").predict(x) == model.predict(x)).all()
print(fastmlp.__version__, losses[-1])
"""


def build(kind: str, folder: Path, python: str) -> Path:
    """Build a distribution of this source tree and return its file."""
    if kind == "sdist":
        code = "import sys, hatchling.build as b; b.build_sdist(sys.argv[1])"
        subprocess.run([python, "-c", code, str(folder)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        return next(folder.glob("*.tar.gz"))
    command = [python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder), "."]
    subprocess.run(command, cwd=ROOT, check=True)
    return next(folder.glob("*.whl"))


def try_installed(kind: str) -> None:
    """Build, install and use one kind of distribution."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv.create(folder / "venv", with_pip=True)
        python, empty = str(folder / "venv" / "bin" / "python"), folder / "empty"
        empty.mkdir()
        subprocess.run([python, "-m", "pip", "install", "--quiet", "hatchling>=1.26"], check=True)
        file = build(kind, folder, python)
        subprocess.run([python, "-m", "pip", "install", "--quiet", str(file)], cwd=empty, check=True)
        done = subprocess.run([python, "-I", "-c", PROGRAM], cwd=empty, check=True, capture_output=True, text=True)
        print(f"{file.name}: {done.stdout.strip()}")


if __name__ == "__main__":
    for kind in sys.argv[1:] or ["wheel", "sdist"]:
        try_installed(kind)
