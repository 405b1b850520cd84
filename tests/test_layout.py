"""The rooms stand in one order; a room imports only rooms above it. Small files, documented names."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

import astrokeras

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "astrokeras"
ROOMS = [
    "backend",
    "whole_file",
    "boxes",
    "parameters",
    "runtime",
    "schedules",
    "cianna_files",
    "layers",
    "losses",
    "metrics",
    "plots",
    "detections",
    "augmentation",
    "datasets",
    "models",
    "saving",
    "weights",
    "network",
    "applications",
    "cost",
    "judging",
    "callbacks",
    "explain",
    "export",
    "quantization",
    "training",
    "demo",
    "cianna",
    "survey",
    "discovery",
    "challenges",
    "cli",
    "__main__",
    "__init__",
]
BACKENDS = {"tensorflow", "jax", "torch"}
INSIDE_FUNCTIONS = {
    "matplotlib",
    "albumentations",
    "cv2",
    "astropy",
    "sklearn",
    "dask",
    "distributed",
    "gradio",
    "onnx",
    "onnxruntime",
    "tf2onnx",
    "ai_edge_litert",
    "openvino",
    "PIL",
}
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree):
    """Yield (imported module path, whether at the top level)."""
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in top
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module, id(node) in top
            if node.module == "astrokeras":
                for alias in node.names:
                    yield f"astrokeras.{alias.name}", id(node) in top


def test_each_room_is_listed():
    assert {room_of(path) for path in FILES} == set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_file(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 500, "no file over 500 lines"
    room = room_of(path)
    for module, at_top in imports(ast.parse(text)):
        first, *rest = module.split(".")
        assert first not in BACKENDS or room == "backend", f"{module} belongs in backend.py"
        assert first not in INSIDE_FUNCTIONS or not at_top, f"{module} is imported inside functions only"
        assert not module.startswith("keras.src"), "keras.src is private"
        if first == "astrokeras" and rest and rest[0] in ROOMS and room != "__init__":
            assert rest[0] == room or ROOMS.index(rest[0]) < ROOMS.index(room), f"{room} stands above {rest[0]}"


def public_things():
    for room in ROOMS:
        if room.startswith("__"):
            continue
        module = importlib.import_module(f"astrokeras.{room}")
        for name, thing in vars(module).items():
            ours = getattr(thing, "__module__", "").startswith(f"astrokeras.{room}")
            if not name.startswith("_") and callable(thing) and ours and not isinstance(thing, dict):
                yield pytest.param(thing, id=f"{room}.{name}")


NO_EXAMPLE = {"Shipped", "LayerCost", "Cost", "Recipe", "Result", "Compared", "Judgement", "Uncertainty"}
NO_EXAMPLE |= {"main", "demo", "adam", "sgd", "Published"}
NO_EXAMPLE |= {"CiannaNetwork", "Conv", "Pool", "Norm", "LocalNorm", "Dense", "Yolo"}  # records


@pytest.mark.parametrize("thing", list(public_things()))
def test_public_thing_is_documented_annotated_and_tested(thing):
    assert thing.__doc__, "a docstring"
    name = thing.__name__
    if name not in NO_EXAMPLE:
        assert ">>>" in inspect.getdoc(thing), "an example that the suite runs"
    if inspect.isfunction(inspect.unwrap(thing)) and name not in ("relu_leaky", "cost", "log_gamma"):
        hints = inspect.unwrap(thing).__annotations__
        assert "return" in hints, "an annotated result"
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").glob("*.py") if path.name != "test_layout.py")
    assert re.search(rf"\b{name}\b", sources), f"{name} is used by no test"


def test_version_is_in_the_changelog_and_citation():
    assert f"## {astrokeras.__version__}" in (ROOT / "CHANGELOG.md").read_text()
    assert f"version: {astrokeras.__version__}" in (ROOT / "CITATION.cff").read_text()
