"""Programs in processes of their own, for what a process cannot try on itself."""

import os
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def run(program, *arguments, cwd=None, remove=(), **environment):
    """Return what a Python program prints; it must end well, and a signal that ends it is a negative number."""
    paths = os.pathsep.join([str(PACKAGE), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    variables = {**os.environ, "PYTHONPATH": paths, **environment}
    for name in remove:
        variables.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        env=variables, cwd=cwd, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, f"ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()
