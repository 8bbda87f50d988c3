"""The documentation site: it builds without a warning, needs no network, and its reference names everything public."""

import importlib
import inspect
import os
import re
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pages
import pytest

import fastmlp

for needed in ("sphinx", "myst_parser", "numpydoc", "furo", "sphinx_copybutton"):
    pytest.importorskip(needed)

# the whole file: a site is what it is, compiled kernels or not
pytestmark = pytest.mark.jit_only

# folders with nothing for users
INSIDE = ("engine", "kernels", "ladder")


def modules():
    """The modules below fastmlp that say what in them is public."""
    for path in sorted((pages.ROOT / "fastmlp").rglob("*.py")):
        place = path.relative_to(pages.ROOT / "fastmlp").with_suffix("").parts
        says = re.search(r"^__all__ = ", path.read_text(encoding="utf-8"), re.MULTILINE)
        if says and place[0] not in (*INSIDE, "__init__"):
            yield ".".join(place).removesuffix(".__init__")


MODULES = list(modules())
# attributes that load something when a browser meets them
LOADING = {
    "audio": ("src",), "embed": ("src",), "iframe": ("src",), "image": ("href",), "img": ("src", "srcset"),
    "input": ("src",), "link": ("href",), "object": ("data",), "script": ("src",), "source": ("src", "srcset"),
    "use": ("href",), "video": ("src", "poster"),
}  # fmt: skip
# of <link>, those that only say where something is
POINTING = {"author", "index", "next", "prev", "search", "canonical", "help", "license"}


def build(source, target, *options):
    return subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", *options, str(source), str(target)],
        cwd=pages.ROOT, env={**os.environ, "PYTHONPATH": str(pages.ROOT)},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


class Page(HTMLParser):
    """What a built page loads, what it links to, and the anchors that it has."""

    def __init__(self, path):
        super().__init__()
        self.loaded, self.links, self.anchors = [], [], set()
        self.styles, self._style = [], False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self._style = tag == "style"
        if "id" in given:
            self.anchors.add(given["id"])
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag == "link" and set((given.get("rel") or "").split()) <= POINTING:
            return
        self.loaded += [given[name] for name in LOADING.get(tag, ()) if given.get(name)]
        self.styles.append(given.get("style") or "")

    def handle_data(self, data):
        if self._style:
            self.styles.append(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site: its folder, and its pages by their paths."""
    target = tmp_path_factory.mktemp("site")
    done = build(pages.DOCS, target)
    assert (done.returncode, done.stderr) == (0, "")
    return target, {path: Page(path) for path in target.rglob("*.html")}


def test_nothing_comes_from_the_network(site):
    folder, built = site
    assert len(built) > 30
    for path, page in built.items():
        for loaded in page.loaded:
            assert not urlsplit(loaded).scheme or loaded.startswith("data:"), f"{path} loads {loaded}"
            assert not loaded.startswith("//"), f"{path} loads {loaded}"
    styles = [(path, style) for path, page in built.items() for style in page.styles]
    styles += [(path, path.read_text(encoding="utf-8")) for path in folder.rglob("*.css")]
    for path, style in styles:
        assert not re.search(r"(@import|url\()\s*[\"']?\s*(https?:)?//", style), f"{path} loads from the network"
    for path in folder.rglob("*.js"):
        script = path.read_text(encoding="utf-8")
        assert not re.search(
            r"(fetch|import|importScripts|\.open|\.src\s*=)\s*\(?[^;\n]{0,40}[\"'`]https?://", script
        ), path


def test_every_link_and_anchor_is_there(site):
    folder, built = site
    for path, page in built.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                assert parts.scheme in ("http", "https", "mailto"), f"{path} links to {link}"
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file(), f"{path.relative_to(folder)} links to {link}"
            if parts.fragment and target.suffix == ".html":
                # furo's own links to the top of a page
                assert unquote(parts.fragment) in built[target].anchors, f"{path.relative_to(folder)} links to {link}"


@pytest.fixture(scope="module")
def reference(site):
    """The names that the reference explains."""
    # four lines of text, and then compressed ones: name, kind, and where it is
    *_, packed = (site[0] / "objects.inv").read_bytes().split(b"\n", 4)
    lines = zlib.decompress(packed).decode().splitlines()
    return {line.split()[0] for line in lines if line.split()[1].startswith("py:")}


def found(name):
    """What a dotted name below fastmlp stands for."""
    value = fastmlp
    for part in name.split(".")[1:]:
        value = getattr(value, part, None) or importlib.import_module(f"{value.__name__}.{part}")
    return value


def test_the_reference_has_every_public_name(reference):
    public = {f"fastmlp.{name}": getattr(fastmlp, name) for name in fastmlp.__all__}
    for module in MODULES:
        loaded = importlib.import_module(f"fastmlp.{module}")
        public |= {f"fastmlp.{module}.{name}": getattr(loaded, name) for name in loaded.__all__}
    # under this name or another one
    explained = {id(found(name)) for name in reference if name.count(".") < 4}
    assert not {name for name, value in public.items() if name not in reference and id(value) not in explained}


def test_modules_are_all_there_are():
    """Nothing public is in a module that the test above does not look at."""
    assert {"optimizers.schedules", "sklearn"} <= set(MODULES)
    assert {name for name in fastmlp.__all__ if inspect.ismodule(getattr(fastmlp, name))} <= set(MODULES)


@pytest.mark.parametrize(
    "of", ["Sequential", "Ensemble", "LearningRateFinder", "callbacks.Callback", "callbacks.Diagnostics"]
)
def test_the_reference_has_what_classes_can_do(reference, of):
    kind = found(f"fastmlp.{of}")
    hooks = () if of == "callbacks.Callback" else dir(fastmlp.callbacks.Callback)
    own = {name for name in dir(kind) if not name.startswith("_") and name not in hooks}
    own = {
        name
        for name in own
        if callable(getattr(kind, name)) or isinstance(inspect.getattr_static(kind, name), property)
    }
    assert {f"fastmlp.{of}.{name}" for name in own} <= reference


BROKEN = {
    "[there](other.md)": "other.md",
    "[there](#here)": "here",
    "[there](page.md#nowhere)": "nowhere",
    "{py:func}`fastmlp.nothing`": "fastmlp.nothing",
    "![a picture](picture.png)": "picture.png",
}


def test_what_is_broken_fails_the_build(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    settings = (pages.DOCS / "conf.py").read_text(encoding="utf-8")
    # without what is beside them
    settings = re.sub(r"^html_(static_path|css_files) = .*$", "", settings, flags=re.MULTILINE)
    (source / "conf.py").write_text(settings, encoding="utf-8")
    (source / "index.md").write_text(
        f"# A title\n\n{' '.join(BROKEN)}\n\n```{{toctree}}\npage\n```\n", encoding="utf-8"
    )
    (source / "page.md").write_text("# Another page\n", encoding="utf-8")
    done = build(source, tmp_path / "built", "-b", "dummy")
    assert done.returncode != 0
    warnings = done.stderr.splitlines()
    for text, message in BROKEN.items():
        assert any("WARNING" in line and message in line for line in warnings), f"{text} is not seen: {done.stderr}"
