"""The notebooks of the practicals: sound as committed, and four of them, others each day, run from top to bottom."""

import ast
import datetime
import functools
import re
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest

import astrokeras

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LARGEST = 1_500_000  # bytes
A_DAY = 4  # notebooks that run
LONGEST = 1500  # seconds that a cell may take on a busy machine
IMPORTS = {"astrokeras", "keras", "matplotlib", "numpy"} | set(sys.stdlib_module_names)
SHOWING = {"print", "print_table", "subplots", "summary"}  # calls after which a cell has something to show


def of_the_day(day, notebooks, count=A_DAY):
    """Return the notebooks whose turn it is; none is left out for longer than they need to go round."""
    return [notebooks[i % len(notebooks)] for i in range(count * day, count * day + min(count, len(notebooks)))]


TODAY = of_the_day(datetime.date.today().timetuple().tm_yday, NOTEBOOKS) if NOTEBOOKS else []


def name_of(path):
    return path.stem


@functools.cache
def read(path):
    return nbformat.read(path, as_version=4)


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tree_of(cell):
    """Parse a cell without its magics."""
    return ast.parse(re.sub(r"^[%!].*$", "", cell.source, flags=re.M))


def called(call):
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def written(node):
    """Return a chain of names such as `astrokeras.plots.image_grid`, or '' for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and written(node.value):
        return f"{written(node.value)}.{node.attr}"
    return ""


def shows(cell):
    """Whether a cell surely has an output: it prints or draws outside of functions and conditions."""
    tree = tree_of(cell)
    if tree.body and isinstance(tree.body[-1], ast.Expr) and isinstance(tree.body[-1].value, ast.Call):
        if written(tree.body[-1].value.func).startswith("astrokeras.plots."):
            return True
    waiting = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.If, ast.Try)):
            continue
        if isinstance(node, ast.Call) and called(node) in SHOWING:
            return True
        waiting += ast.iter_child_nodes(node)
    return False


def execute(notebook, folder):
    """Run all cells in a folder, in a kernel of this environment; raise where one fails."""
    client = nbclient.NotebookClient(
        notebook, timeout=LONGEST, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    return client.execute()


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= A_DAY


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_notebook_is_sound(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert path.stat().st_size < LARGEST
    badge = rf"\[!\[Open In Colab\]\([^)]*\)\]\(https://colab\.research\.google\.com/\S*/notebooks/{path.name}\)"
    first = notebook.cells[0]
    assert first.cell_type == "markdown" and first.source.startswith("# ")
    assert re.search(badge, first.source) and "**Goal.**" in first.source
    texts = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert "<details>" in texts, "exercises with hints"
    cells = code_of(notebook)
    assert "pip install" in cells[0].source and 'os.environ.get("ASTROKERAS_FAST") == "1"' in cells[0].source
    assert any(isinstance(node, ast.Assert) for node in tree_of(cells[-1]).body), "it ends by asserting what it claims"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_notebook_was_run_from_top_to_bottom(path):
    cells = code_of(read(path))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        where = cell.source.splitlines()[0]
        assert cell.outputs or not shows(cell), f"an output of the cell {where!r}"
        for output in cell.outputs:
            assert output.output_type != "error", f"{where!r} failed"
            assert output.get("name") != "stderr", f"{where!r} wrote to stderr"
            data = output.get("data", {})
            drawn = data.get("text/plain", "").startswith("<Figure")
            assert not drawn or "image/png" in data, f"the figure of {where!r} is not seen"
            assert "WARNING" not in output.get("text", ""), f"{where!r} warns"
    figures = sum("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs)
    assert figures >= 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_notebook_uses_public_names_only(path):
    for cell in code_of(read(path)):
        for node in ast.walk(tree_of(cell)):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                modules = [node.module]
                assert not any(alias.name.startswith("_") for alias in node.names)
            for module in modules:
                assert module.split(".")[0] in IMPORTS, f"{module} is neither ours, nor keras, numpy, matplotlib"
                assert not module.startswith("keras.src")
            if isinstance(node, ast.Attribute):
                assert not re.match(r"_[^_]", node.attr), f".{node.attr} is private"
                first, *names = written(node).split(".")
                if first == "astrokeras":
                    assert names[0] in astrokeras.__all__ or names[0] == "__version__", f"{written(node)} is not public"
                    functools.reduce(getattr, names, astrokeras)


def test_each_notebook_has_its_day():
    for count in (4, 7, 18):
        notebooks = list(range(count))
        days = [of_the_day(day, notebooks) for day in range(1, count + 1)]
        assert all(len(set(day)) == A_DAY for day in days)
        assert {one for day in days for one in day} == set(notebooks)
    assert of_the_day(3, [0, 1]) == [0, 1]


def test_a_failing_cell_is_noticed(tmp_path):
    lines = ["from pathlib import Path; Path('here').touch()", "assert 1 == 2"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(line) for line in lines])
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="assert 1 == 2"):
        execute(notebook, tmp_path)
    assert (tmp_path / "here").exists()


def run_fast(path, folder, monkeypatch):
    monkeypatch.setenv("ASTROKERAS_FAST", "1")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.delenv("ASTROKERAS_DATA", raising=False)
    execute(nbformat.read(path, as_version=4), folder)


@pytest.mark.parametrize("path", TODAY, ids=name_of)
def test_notebook_of_the_day_runs(path, tmp_path, monkeypatch):
    run_fast(path, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_notebook_runs(path, tmp_path, monkeypatch):
    run_fast(path, tmp_path, monkeypatch)
