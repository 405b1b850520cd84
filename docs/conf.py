"""Sphinx: `python -m sphinx -W --keep-going -b html docs docs/_build/html`; needs the extra `docs`.

Building needs no network; reading formulas does, since MathJax comes from its CDN.
"""

import os
import re
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS.parent), str(DOCS)]

import gathered  # noqa: E402
from docutils import nodes  # noqa: E402
from sphinx.domains.python import PyXRefRole  # noqa: E402

import astrokeras  # noqa: E402

project = "astrokeras"
copyright = "The astrokeras developers"
version = release = astrokeras.__version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_design",
]
exclude_patterns = ["_build", "notebooks/gallery.md"]
default_role = "name"

nb_execution_mode = "off"  # the committed outputs are shown
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autosummary_generate = False
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Reference", "Batch"]
python_maximum_signature_line_length = 100
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "pydata_sphinx_theme"
html_title = f"astrokeras {release}"
html_static_path = ["_static"]
html_css_files = ["astrokeras.css"]
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {"index": [], "changelog": [], "results": []}
html_theme_options = {
    "logo": {"text": "astrokeras"},
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "navigation_with_keys": False,
    "show_prev_next": True,
}


KERAS = {"build", "call", "compute_output_shape", "compute_output_spec", "get_config", "from_config"}
KERAS |= {"compile_from_config", "save_own_variables", "load_own_variables", "update_state", "reset_state"}
KERAS |= {f"on_{part}_{end}" for part in ("train", "epoch", "batch", "train_batch") for end in ("begin", "end")}


def _skip(app, kind, name, thing, skip, options):
    """Leave out what every layer, loss or callback of Keras has, and the fields of named tuples."""
    field = type(thing).__name__ == "_tuplegetter"
    return True if field or name in KERAS else None


def _code(app, kind, name, thing, options, lines):
    """Make single backticks double where they hold no public name, and bars plain, but not in examples.

    Napoleon takes a colon in single backticks for the end of a type, docutils bars for a substitution.
    """
    parts = re.split(r"(\n\s*\n)", "\n".join(lines))
    plain = [
        part if part.lstrip().startswith(">>>") else re.sub(r"(?<!`)`([^`]+)`(?!`)|``[^`]+``|\|", _code_or_name, part)
        for part in parts
    ]
    lines[:] = "".join(plain).split("\n")


def _code_or_name(match: re.Match) -> str:
    if match[1] is None:
        return "\\|" if match[0] == "|" else match[0]
    return match[0] if _bare(match[1]) in _Name.places else f"``{match[1]}``"


def _bare(text: str) -> str:
    return re.sub(r"\(.*\)$", "", text)


def _links_of_names() -> dict[str, str]:
    """Names that a docstring may write in backticks -> their place in the reference; ambiguous ones stay text."""
    found = {}
    for room in gathered.ROOMS:
        for full in gathered.public_names(room):
            last = full.rpartition(".")[2]
            for short in {full, full.removeprefix("astrokeras."), f"{room}.{last}"}:
                found[short] = full
            if "_" in last or last != last.lower():
                found[last] = "" if last in found and found[last] != full else full
    return {short: full for short, full in found.items() if full}


class _Name(PyXRefRole):
    """A text in single backticks: a link where it is a public name, and code in any case."""

    places: dict[str, str] = {}

    def __call__(self, name, rawtext, text, lineno, inliner, options=None, content=()):
        bare = _bare(text)
        if bare not in self.places:
            return [nodes.literal(rawtext, text.replace("\x00", "\\"), classes=["code"])], []
        text = f"{text} <{self.places[bare]}>"
        return super().__call__("py:obj", f"`{text}`", text, lineno, inliner, options or {}, content)


def _rewrite(app, docname, source):
    """Turn links that leave docs/ into links within the site."""
    if Path(app.env.doc2path(docname)).suffix == ".md":
        source[0] = gathered.site_links(source[0], docname.count("/"))


def setup(app):
    """Write what comes from outside of docs/, and connect the above."""
    gathered.gather(DOCS)
    _Name.places = _links_of_names()
    app.add_role("name", _Name())
    app.connect("autodoc-skip-member", _skip)
    app.connect("autodoc-process-docstring", _code, priority=400)  # before napoleon
    app.connect("source-read", _rewrite)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
