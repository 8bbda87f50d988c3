"""The command line: ``python -m fastmlp train``, ``predict``, ``demo``, ``bench``, ``warmup`` and ``info``."""

import argparse
import math
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from . import __version__
from .commands.arguments import seconds, whole_number
from .commands.tables import INTERRUPTED, add_predict, add_train

DEMO_EPOCHS = 60
BENCH_SECONDS = 0.4  # for each library and network: all of it in less than a minute


def processor() -> str:
    """Return the name of the processor, or at least of its architecture."""
    try:
        if sys.platform == "darwin":
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    except (OSError, subprocess.SubprocessError):
        pass  # not this system; the line below answers
    return platform.processor() or platform.machine() or "unknown"


def facts() -> list[tuple[str, str]]:
    """Return what a bug report needs to say about this machine: names and values."""
    from .demo import blas
    from .kernels import cache, jit
    from .threads import available_cores, get_num_threads

    folder = cache.cache_folder()
    lanes = jit.SIMD_WIDTH
    compiler = "off (NUMBA_DISABLE_JIT is set)" if jit.JIT_DISABLED else "on"
    return [
        ("fastmlp", __version__),
        ("Python", f"{platform.python_version()} ({platform.python_implementation()})"),
        *((name, version(name)) for name in ("numpy", "numba", "llvmlite")),
        ("system", f"{platform.system()} {platform.machine()}"),
        ("processor", processor()),
        ("cores available", str(available_cores())),
        ("SIMD width", f"{lanes} float32 lanes ({32 * lanes} bits)"),
        ("threads", f"at most {get_num_threads()}"),
        ("threading layer", "fastmlp's own: Python threads that leave the GIL in compiled calls"),
        ("compilation", compiler),
        ("kernel cache", "none: no private writable folder" if folder is None else str(folder)),
        ("NumPy's BLAS", blas().removeprefix("BLAS ")),
    ]


def info() -> int:
    """Print a table of versions and of what the kernels are compiled for."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console = Console(width=1000)  # a pipe has no width that a path would have to be folded to
    table = Table(show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts():
        table.add_row(name, Text(value))
    console.print(table)
    return 0


def demo(seed: int, epochs: int) -> int:
    """Run the demo; 1 if fastmlp and NumPy disagree."""
    from rich.console import Console

    from . import demo as module

    try:
        outcome = module.run(Console(), seed=seed, epochs=epochs)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0 if outcome.agrees else 1


def bench(cases: Sequence[str], libraries: Sequence[str], threads: Sequence[int], seconds: float) -> int:
    """Run the comparison; 1 if libraries disagree or one could not run, 2 if the arguments ask for what is not."""
    from rich.console import Console

    from .ladder import command, runs
    from .ladder.cases import choose
    from .ladder.sides import check_names
    from .ladder.threads import cores_for

    try:
        chosen, names = choose(cases), check_names(libraries)
        for count in threads:
            cores_for(count)
    except ValueError as error:
        print(f"python -m fastmlp bench: error: {error}", file=sys.stderr)
        return 2
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)  # a pipe has no width that the table would have to be folded to
    try:
        return 0 if command.bench(console, chosen, names, threads, seconds) else 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except runs.WorkerError as error:
        print(f"python -m fastmlp bench: error: {error}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="python -m fastmlp", description="Trains multi-layer perceptrons on the CPU, fast."
    )
    top.add_argument("--version", action="version", version=f"fastmlp {__version__}")
    commands = top.add_subparsers(dest="command", metavar="command", title="commands")
    add_train(commands)
    add_predict(commands)
    text = "train on handwritten digits, and time the same training in NumPy"
    shown = commands.add_parser("demo", help=text, description=f"{text[0].upper()}{text[1:]}.")
    seed, count = whole_number(0, 2**64 - 1), whole_number(1, math.inf)
    shown.add_argument("--seed", type=seed, default=0, help="of weights and shuffling (default: %(default)s)")
    shown.add_argument("--epochs", type=count, default=DEMO_EPOCHS, help="length of a training (default: %(default)s)")
    text = "time training steps here, beside NumPy and whichever of PyTorch, JAX and scikit-learn is installed"
    shown = commands.add_parser("bench", help=text, description=text.capitalize() + ".")
    shown.add_argument(
        "--cases",
        nargs="+",
        default=["rungs"],
        metavar="CASE",
        help="networks, or rungs, other or all (default: rungs)",
    )
    shown.add_argument("--threads", nargs="+", type=count, default=[1], metavar="N", help="one or more (default: 1)")
    shown.add_argument(
        "--against", nargs="+", default=None, metavar="LIBRARY",
        help="numpy, torch, torch-compiled, jax, sklearn (default: all but torch-compiled)",
    )  # fmt: skip
    shown.add_argument(
        "--seconds", type=seconds, default=BENCH_SECONDS,
        help="to measure each library on each network (default: %(default)s)",
    )  # fmt: skip
    text = "compile all kernels ahead of the first training, in a container build say"
    commands.add_parser("warmup", help=text, description=f"{text[0].upper()}{text[1:]}.")
    text = "print versions, the processor, and where compiled kernels are kept"
    commands.add_parser("info", help=text, description=f"{text[0].upper()}{text[1:]}.")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.

    Returns
    -------
    int
        The exit status: 0 if all is well.
    """
    commands = parser()
    chosen = commands.parse_args(arguments)
    if chosen.command in ("train", "predict"):
        status: int = chosen.run(chosen)
        return status
    if chosen.command == "demo":
        return demo(chosen.seed, chosen.epochs)
    if chosen.command == "bench":
        from .ladder.sides import DEFAULT

        return bench(chosen.cases, chosen.against or DEFAULT, chosen.threads, chosen.seconds)
    if chosen.command == "warmup":
        from rich.console import Console

        from . import warmup

        return warmup.run(Console())
    if chosen.command == "info":
        return info()
    commands.print_help()
    return 0


if __name__ == "__main__":
    sys.exit(main())
