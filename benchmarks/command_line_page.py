"""Writes into docs/command-line.md what its commands print: ``python -m benchmarks.command_line_page``."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "command-line.md"
# a block of Python to run, or one of commands with what they print
BLOCK = re.compile(
    r"^```python\n(?P<python>.*?)^```$|^```sh\n(?P<sh>.*?)^```\n\n^```text\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


def run_block(block: re.Match[str], folder: Path) -> str:
    """Run a block in a folder, and return what it prints, errors in their places."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    if block["python"] is not None:
        command = [sys.executable, "-W", "error", "-c", block["python"]]
    else:
        # the interpreter at hand, whatever is in the path
        command = ["sh", "-c", block["sh"].replace("python -m", f"'{sys.executable}' -m")]
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if block["python"] is not None and done.returncode:
        raise RuntimeError(done.stdout)
    return "\n".join(line.rstrip() for line in done.stdout.splitlines()) + "\n"


def main() -> None:
    """Run all blocks, and write the page."""
    with tempfile.TemporaryDirectory() as folder:

        def written(block: re.Match[str]) -> str:
            printed = run_block(block, Path(folder))
            if block["python"] is not None:
                return block[0]
            return f"```sh\n{block['sh']}```\n\n```text\n{printed}```"

        page = BLOCK.sub(written, PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
