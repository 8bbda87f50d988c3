"""The documentation site: ``python -m sphinx -W docs docs/_build`` (the extra ``docs``).

The pages are the Markdown files beside this one, which a repository's web page shows as well, and the reference in
``api``, which is made of the docstrings. Nothing on the site is loaded from the network.
"""

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import fastmlp

project = "fastmlp"
author = "The fastmlp developers"
copyright = f"{author}; BSD 3-Clause"  # noqa: A001 - Sphinx' name
version = release = fastmlp.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc", "sphinx_copybutton"]
exclude_patterns = ["_build"]
nitpicky = True

# --- Markdown ---------------------------------------------------------------------------------------------
# the headings that links may go to, with the anchors that repositories' web pages give them
myst_heading_anchors = 3

# --- the reference ----------------------------------------------------------------------------------------
# types are in the docstrings, where they have shapes
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
toc_object_entries_show_parents = "hide"
numpydoc_class_members_toctree = False

# --- pages ------------------------------------------------------------------------------------------------
html_theme = "furo"
html_title = f"fastmlp {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "monokai"
# prompts are no part of what is copied
copybutton_prompt_text = ">>> |\\.\\.\\. |\\$ "
copybutton_prompt_is_regexp = True


# Links that leave this folder lead to the files themselves on a repository's web page. The site has pages of them.
ELSEWHERE = {
    r"\.\./examples/(\w+)\.py": r"programs.md#\1py",
    r"\.\./CONTRIBUTING\.md": "contributing.md",
    r"\.\./CHANGELOG\.md": "changelog.md",
    r"\.\./README\.md": "index.md",
}


def prepare(app: Any, docname: str, source: list[str]) -> None:
    """Lead links to files outside of this folder to the site's own pages."""
    for outside, page in ELSEWHERE.items():
        source[0] = re.sub(rf"\]\({outside}", f"]({page}", source[0])


def documented(name: str) -> Any:
    """Return what a dotted name stands for, or None."""
    parts = name.split(".")
    found: Any = sys.modules.get(parts[0])
    for part in parts[1:]:
        found = getattr(found, part, None)
    return found


def resolve(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Link a name that the reference has under another one, such as fastmlp.layers.Dense for fastmlp.Dense."""
    if node.get("refdomain") != "py":
        return None
    target, module = node["reftarget"], node.get("py:module")
    wanted = next(filter(None, (documented(name) for name in (target, f"{module}.{target}"))), None)
    if wanted is None:
        # a method that the docstring calls by its class alone, such as Sequential.fit
        wanted = documented(f"fastmlp.{target}")
    if wanted is None:
        return None
    domain = env.get_domain("py")
    for name, entry in domain.objects.items():
        same = documented(name)
        # a class makes a new bound method each time it is asked for one
        if not entry.aliased and (same is wanted or (callable(wanted) and same == wanted)):
            node["reftarget"] = name
            return domain.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], name, node, content)
    return None


def setup(app: Any) -> None:
    """Take part in the build."""
    app.connect("source-read", prepare)
    app.connect("missing-reference", resolve)
