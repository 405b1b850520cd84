"""What the site takes from outside of docs/: the public names, the notebooks, the measured tables, two root pages.

`gather(docs)` writes it beside the pages before Sphinx reads them; git ignores what is written. Links between pages are
written as they work in the repository; `site_links` turns those that leave docs/ into links within the site.
"""

import importlib
import inspect
import json
import re
import textwrap
import types
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import astrokeras

ROOT = Path(__file__).resolve().parent.parent
MODULES = ("cost", "export", "network", "saving")  # offered through the names in astrokeras, with what else they have
PARTS = {"challenges": ("sdc1", "sdc2"), "explain": ("filters",)}  # modules that a room offers as such
OFFERED = {name for name in astrokeras.__all__ if isinstance(getattr(astrokeras, name), types.ModuleType)}
ROOMS = sorted({*OFFERED, *MODULES})
LINKS = (  # as written in the repository -> within the site; the first that fits counts
    (r"(\.\./)+benchmarks/results/?(?=[)#])", "results.md"),
    (r"(\.\./)*benchmarks/results/", "measured/"),
    (r"(\.\./)+notebooks/?(?=\))", "notebooks.md"),
    (r"(\.\./)+notebooks/", "notebooks/"),
    (r"(\.\./)*README\.md", "install.md"),
    (r"(\.\./)*CHANGELOG\.md", "changelog.md"),
    (r"(\.\./)*CONTRIBUTING\.md", "contributing.md"),
    (r"(\.\./)*docs/", ""),
)


def gather(docs: Path) -> None:
    """Write the reference, the notebooks with their gallery, the measured tables, changelog and contributing."""
    for room in ROOMS:
        _write(docs / "api" / f"{room}.rst", reference_page(room))
    _notebooks(ROOT / "notebooks", docs / "notebooks")
    for path in sorted((ROOT / "benchmarks" / "results").iterdir()):
        target = docs / "measured" / path.name
        _write(target, site_links(path.read_text(), 1) if path.suffix == ".md" else path.read_bytes())
    for name in ("CHANGELOG.md", "CONTRIBUTING.md"):
        _write(docs / name.lower(), site_links((ROOT / name).read_text(), 0))


def public_names(room: str) -> dict[str, object]:
    """Return the public names of a room, by the path under which a user writes them.

    A package offers what its `__init__` imports (or its `__all__`); a module its own functions and classes. What
    `astrokeras` itself offers (`astrokeras.Network`) goes by that shorter name.
    """
    module = importlib.import_module(f"astrokeras.{room}")
    package = hasattr(module, "__path__")
    names = {}
    for name, thing in sorted(vars(module).items(), key=lambda item: item[0].lower()):
        own = getattr(thing, "__module__", "").startswith(module.__name__) and callable(thing)
        constant = package and name.isupper() and not isinstance(thing, types.ModuleType)
        if not name.startswith("_") and (own or constant):
            short = room in (*MODULES, *astrokeras._NAMES.values(), "parameters") and name in astrokeras.__all__
            names[f"astrokeras.{name}" if short else f"{module.__name__}.{name}"] = thing
        elif name in PARTS.get(room, ()):
            names |= {f"{module.__name__}.{name}.{key}": own for key, own in _functions(thing)}
    return dict(sorted(names.items(), key=lambda item: _part(item[0])))


def reference_page(room: str) -> str:
    """Return the page of a room: what its docstring says, a table of its names, and each with its docstring."""
    module = importlib.import_module(f"astrokeras.{room}")
    title = f"astrokeras.{room}"
    lines = [title, "=" * len(title), "", inspect.getdoc(module), "", ".. currentmodule:: astrokeras", ""]
    names = public_names(room)
    called = {name: thing for name, thing in names.items() if callable(thing)}
    part = ""
    lines += [".. autosummary::", "   :nosignatures:", "", *(f"   {_short(name)}" for name in called), ""]
    for name, thing in called.items():
        if _part(name) != part:
            part = _part(name)
            lines += [_short(part), "-" * len(part), ""]
        lines += [f".. autoclass:: {name}\n   :members:" if inspect.isclass(thing) else f".. autofunction:: {name}", ""]
    for name, thing in names.items():
        if name not in called:
            lines += [f".. py:data:: {_short(name)}", "", f"   ``{textwrap.shorten(repr(thing), 300)}``", ""]
    return "\n".join(lines)


def site_links(text: str, depth: int) -> str:
    """Turn links of a page that leave docs/ into links within the site; the page lies `depth` folders below docs/."""

    def within(match: re.Match) -> str:
        for written, path in LINKS:
            found = re.match(written, match[2])
            if found:
                return f"{match[1]}{'../' * depth}{path}{match[2][found.end() :]}"
        return match[0]

    return re.sub(r"(\]\()([^)\s]+\))", within, text)


def _functions(module: types.ModuleType) -> Iterator[tuple[str, object]]:
    """Yield the functions of a module, and those of its constants of which a function tells."""
    things = {name: thing for name, thing in sorted(vars(module).items()) if not name.startswith("_")}
    own = {name: f for name, f in things.items() if inspect.isfunction(f) and f.__module__ == module.__name__}
    told = {name for name in things if name.isupper() and any(f"`{name}`" in (f.__doc__ or "") for f in own.values())}
    yield from ((name, thing) for name, thing in things.items() if name in own or name in told)


def _part(name: str) -> str:
    """Return the module of `PARTS` that a name is of, or nothing."""
    where, _, _ = name.rpartition(".")
    return where if where.count(".") > 1 else ""


def _short(name: str) -> str:
    return name.removeprefix("astrokeras.")


def _notebooks(source: Path, target: Path) -> None:
    """Copy the notebooks in the order of their numbers, and write a gallery with the first figure of each."""
    cards = []
    kept = {"gallery.md"}
    for path in sorted(source.glob("[0-9][0-9]_*.ipynb")):
        notebook = json.loads(path.read_text())
        markdown = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
        for cell in notebook["cells"]:
            if cell["cell_type"] == "markdown":
                cell["source"] = site_links("".join(cell["source"]), 1)
        _write(target / path.name, json.dumps(notebook, indent=1))
        kept.add(path.name)
        heading = re.search(r"^# (.+)$", "\n".join(markdown), flags=re.M)
        figures = (
            output["data"]["image/png"]
            for cell in notebook["cells"]
            for output in cell.get("outputs", ())
            if "image/png" in output.get("data", {})
        )
        figure = next(figures, None)
        card = [f":::{{grid-item-card}} {heading[1] if heading else path.stem}", f":link: notebooks/{path.stem}"]
        card.append(":link-type: doc")
        if figure is not None:
            picture = f"{path.stem}.png"
            _write(target / picture, b64decode("".join(figure)))
            kept.add(picture)
            card.append(f":img-bottom: notebooks/{picture}")
        cards.append("\n".join([*card, ":::"]))
    pages = sorted(f"notebooks/{name.removesuffix('.ipynb')}" for name in kept if name.endswith(".ipynb"))
    grid = ["::::{grid} 1 2 3 3", ":gutter: 3", ":class-container: notebooks", "", *cards, "::::", ""]
    grid += ["```{toctree}", ":hidden:", "", *pages, "```"]
    _write(target / "gallery.md", "\n".join(grid) if cards else "The notebooks are not in this copy.")
    for path in target.iterdir():
        if path.name not in kept:
            path.unlink()


def _write(path: Path, content: str | bytes) -> None:
    """Write a file where its content is new, so that Sphinx reads again only what has changed."""
    content = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(exist_ok=True)
    if not path.is_file() or path.read_bytes() != content:
        path.write_bytes(content)
