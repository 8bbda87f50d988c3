"""Runs the examples and writes what they print and draw into the course: ``python -m benchmarks.course``.

Each has a place in docs/course.md between two markers, and a picture in docs/course.
"""

import argparse
import ast
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .report import insert

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("[0-9][0-9]_*.py"))
# a page of eleven pictures should load at once
MOST_BYTES = 60_000
COLOURS = 128


def title(example: Path) -> str:
    """Return an example's first line without its number."""
    text = ast.get_docstring(ast.parse(example.read_text(encoding="utf-8"))) or ""
    return text.splitlines()[0].partition(" ")[2]


def run(example: Path, picture: Path) -> str:
    """Return what an example prints, without the line about its picture."""
    # Matplotlib tells on standard error which fonts are missing, which is nothing for the page
    done = subprocess.run(
        [sys.executable, str(example), "--picture", str(picture)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{example.name} failed:\n{done.stderr}")
    return done.stdout.rpartition("\nThe picture is in ")[0].rstrip()


def shrink(picture: Path) -> None:
    """Write a picture again with a palette, which is enough for charts."""
    from PIL import Image

    with Image.open(picture) as image:
        small = image.convert("RGB").quantize(COLOURS)
    small.save(picture, optimize=True)
    size = picture.stat().st_size
    if size > MOST_BYTES:
        raise RuntimeError(f"{picture} has {size:,} bytes, more than {MOST_BYTES:,}")


def block(example: Path, printed: str, picture: str) -> str:
    """Return an example's part of the page."""
    number = example.name[:2]
    command = f"python examples/{example.name} --picture {number}.png"
    link = f"[examples/{example.name}](../examples/{example.name})"
    return f"{link}\n\n```sh\n{command}\n```\n\n```text\n{printed}\n```\n\n![{title(example)}]({picture})"


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.course", description="Writes the page of the course.")
    parser.add_argument("--only", nargs="+", metavar="NN", help="some examples, such as 04 11 (default: all)")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "course.md", help="(default: docs/course.md)")
    options = parser.parse_args(given)
    folder = options.page.parent / "course"
    folder.mkdir(exist_ok=True)
    for example in EXAMPLES:
        number = example.name[:2]
        if options.only and number not in options.only:
            continue
        insert(options.page, None, number)
        picture = folder / f"{number}.png"
        printed = run(example, picture)
        shrink(picture)
        insert(options.page, block(example, printed, f"course/{number}.png"), number)
        print(f"{example.name}: {picture.stat().st_size:,} bytes of picture", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
