"""Runs the benchmarks and prints fastmlp next to NumPy: ``python -m benchmarks [--quick] [--threads N]``."""

import argparse
import json
import os
import platform
import sys
import tempfile
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastmlp.ladder.threads import VARIABLES

HERE = Path(__file__).parent
# set in the environment, these can slow one side down, so the report names them
OVERRIDES = ("OPENBLAS_", "MKL_", "NPY_DISABLE_CPU_FEATURES", "NUMBA_", "FASTMLP_")
HEADINGS = {
    "training": ("Training with Adam", "rung", "us/step"),
    "product": ("Products", "product BxKxN", "us"),
    "activation": ("Activations of 65536 numbers", "activation", "us"),
    "optimizer": ("Optimizer steps on 1e6 parameters", "optimizer", "us"),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="fastmlp against NumPy")
    parser.add_argument("--quick", action="store_true", help="few rounds: a first look, with more noise")
    parser.add_argument("--threads", type=int, default=1, help="of fastmlp and of NumPy's BLAS (default: 1)")
    parser.add_argument("--only", metavar="EXPRESSION", help="pytest's -k, such as 'coffee or adam'")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also keep pytest-benchmark's data")
    options = parser.parse_args()
    if options.threads < 1:
        parser.error("--threads must be at least 1")
    return options


def conditions(report: dict[str, Any], threads: int) -> str:
    """Say what the numbers were measured with."""
    cpu = report["machine_info"].get("cpu", {}).get("brand_raw") or platform.processor() or "unknown CPU"
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba", "llvmlite"))
    from fastmlp import __version__

    overrides = sorted(
        f"{name}={value}" for name, value in os.environ.items() if name.startswith(OVERRIDES) and name not in VARIABLES
    )
    lines = [
        f"- CPU: {cpu}",
        f"- threads of fastmlp and of NumPy's BLAS: {threads}",
        f"- fastmlp {__version__}, Python {platform.python_version()}, {versions}",
        f"- overrides in the environment: {', '.join(overrides) or 'none'}",
        f"- date: {datetime.now().astimezone():%Y-%m-%d}",
    ]
    return "\n".join(lines)


def tables(report: dict[str, Any]) -> str:
    """Return the medians as Markdown tables; the ratio is NumPy's time over fastmlp's."""
    cells: dict[str, dict[str, dict[str, float]]] = {}
    for entry in report["benchmarks"]:
        info = entry["extra_info"]
        microseconds = entry["stats"]["median"] * 1e6 / info["calls"]
        rows = cells.setdefault(info["table"], {})
        rows.setdefault(info["row"], {})[info["implementation"]] = microseconds
    parts = []
    for key, (title, first, unit) in HEADINGS.items():
        if key not in cells:
            continue
        lines = [f"## {title}", "", f"| {first} | fastmlp {unit} | NumPy {unit} | ratio |"]
        lines.append("| --- | ---: | ---: | ---: |")
        for row, times in cells[key].items():
            ours, theirs = times.get("fastmlp"), times.get("numpy")
            shown = ["-" if t is None else f"{t:.1f}" for t in (ours, theirs)]
            ratio = f"{theirs / ours:.2f}" if ours and theirs else "-"
            lines.append(f"| {row} | {shown[0]} | {shown[1]} | {ratio} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def main() -> int:
    options = arguments()
    for name in VARIABLES:  # read when NumPy is imported, which happens below
        os.environ[name] = str(options.threads)
    import pytest

    with tempfile.TemporaryDirectory() as directory:
        file = options.json or Path(directory) / "benchmarks.json"
        command = [str(HERE), "--benchmark-only", "--benchmark-group-by=group", f"--benchmark-json={file}", "-q"]
        command += ["--benchmark-quiet", "-p", "no:cacheprovider", "--rootdir", str(HERE.parent)]
        if options.quick:
            command += ["--benchmark-max-time=0.1", "--benchmark-min-rounds=3"]
        if options.only:
            command += ["-k", options.only]
        code = int(pytest.main(command))
        report = json.loads(file.read_text()) if file.exists() and file.stat().st_size else None
    if report is not None:
        print(f"\n{conditions(report, options.threads)}\n\n{tables(report)}")
    return code


if __name__ == "__main__":
    sys.exit(main())
