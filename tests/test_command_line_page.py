"""docs/command-line.md: its blocks run in their order, and print what the page says but for the numbers."""

import re

import pytest

from benchmarks.command_line_page import BLOCK, PAGE, run_block

pytest.importorskip("polars")


def words(text):
    """Text without what may differ between machines: digits, and where lines are folded."""
    return re.sub(r"\s+", " ", re.sub(r"[-+]?[\d.,]*\d", "#", text)).strip()


@pytest.mark.jit_only
def test_the_page_says_what_is_printed(tmp_path):
    assert PAGE.name == "command-line.md"
    blocks = list(BLOCK.finditer(PAGE.read_text(encoding="utf-8")))
    assert sum(block["sh"] is not None for block in blocks) == 4
    for block in blocks:
        printed = run_block(block, tmp_path)
        if block["sh"] is not None:
            assert words(printed) == words(block["text"])
