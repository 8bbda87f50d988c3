"""The pages of the documentation: every block of code runs, every link leads somewhere, tables name what there is."""

import importlib
import re
import sys

import pages
import pytest

# pages whose blocks another file of the tests runs, and looks at what they print
ELSEWHERE = {
    "command-line.md": "test_command_line_page.py",
    "distributed.md": "test_distributed.py",
    "many.md": "test_many_page.py",
}
pages_of_code = [page for page in pages.PAGES if pages.blocks(page) and page.name not in ELSEWHERE]
TEXTS = [*pages.PAGES, pages.ROOT / "CONTRIBUTING.md", pages.ROOT / "CHANGELOG.md"]
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
# the last digits of what is computed, and so of what is printed, are the processor's own
NUMBER = re.compile(r"(?<!\w)-?\d+(?:\.\d+)?(?:e[-+]\d+)?")
# what the blocks of a page draw
PICTURES = {"features.md": 7, "guide.md": 4, "start.md": 2}


def name(page):
    return page.relative_to(pages.ROOT).as_posix()


def numbers(text):
    return [float(number) for number in NUMBER.findall(text)]


def words(text):
    """Everything but numbers, the room they take, and which epoch was the best."""
    return [NUMBER.sub("#", line).replace("best:", "").split() for line in text.strip().splitlines()]


@pytest.mark.jit_only
@pytest.mark.parametrize("page", pages_of_code, ids=name)
def test_code_runs(page, tmp_path, monkeypatch):
    """A page is one session, in an empty folder."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    loaded = set(sys.modules)
    space = {"__name__": "__main__"}
    try:
        for block in pages.blocks(page):
            if block.language == "python":
                printed = pages.run_python(block, page, space)
                assert not re.search(r"\bnan\b", printed)
                if block.shown is not None:
                    assert words(printed) == words(block.shown)
                    assert numbers(printed) == pytest.approx(numbers(block.shown), rel=0.1, abs=0.03)
            else:
                pages.run_shell(block)
        assert len(pyplot.get_fignums()) == PICTURES.get(page.name, 0)
    finally:
        pyplot.close("all")
        for module in set(sys.modules) - loaded:
            if str(tmp_path) in str(getattr(sys.modules[module], "__file__", "")):
                del sys.modules[module]


def test_pages_that_run_elsewhere_do():
    for page, file in ELSEWHERE.items():
        assert f'"{page}"' in (pages.ROOT / "tests" / file).read_text(encoding="utf-8"), file


def anchors(page):
    """The anchors that web pages of repositories, and the site, give a page's headings."""
    # words of code in a heading stay, blocks go: in them a comment looks like one
    text = CODE.sub(lambda found: found[0].strip("`") if "\n" not in found[0] else "", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", TEXTS, ids=name)
def test_links_lead_somewhere(page):
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    for link in LINK.findall(text):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{name(page)} links to {link}"
        if anchor:
            assert target.suffix == ".md", f"{name(page)} links to {link}"
            assert anchor in anchors(target), f"{name(page)} links to {link}; there are {sorted(anchors(target))}"


TABLES = [page for page in pages.PAGES if "| Part | Names |" in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", TABLES, ids=name)
@pytest.mark.parametrize(
    ("part", "module"),
    [
        ("Activations", "activations"),
        ("Losses", "losses"),
        ("Optimizers", "optimizers"),
        ("Schedules", "optimizers.schedules"),
        ("Metrics", "metrics"),
        ("Initializers", "initializers"),
        ("Regularizers", "regularizers"),
        ("Constraints", "constraints"),
        ("Layers", "layers"),
    ],
)
def test_tables_name_everything(page, part, module):
    row = re.search(rf"^\| {part} \| (.*) \|$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert row, f"the table of {name(page)} has no row {part!r}"
    named = re.findall(r"`(\w+)`", row[1])
    assert sorted(named) == sorted(importlib.import_module(f"fastmlp.{module}").TABLE)


def test_there_is_such_a_table():
    assert pages.DOCS / "features.md" in TABLES


def test_the_site_shows_every_program():
    shown = re.findall(r"\.\./examples/(\S+)", (pages.DOCS / "programs.md").read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(file.name for file in (pages.ROOT / "examples").glob("*.py"))
