"""The documentation is a test: its blocks run, its links lead somewhere, the reference has every public name."""

import importlib.util
import json
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

import astrokeras
from tests.test_layout import public_things

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
WRITTEN = {"notebooks", "measured", "_build", "_static"}  # by the build, from elsewhere
PAGES = [page for page in sorted(DOCS.rglob("*.md")) if page.relative_to(DOCS).parts[0] not in WRITTEN]
PAGES = [page for page in PAGES if page.name not in ("changelog.md", "contributing.md")]
GOES_ON = {"survey.md": "cluster.md"}  # with its files
NEEDS = {"survey.md": "distributed", "discovery.md": "sklearn"}
MINUTES = ("survey.md", "generative.md", "howto/my_boxes.md", "howto/my_classes.md")  # these run with the slow checks
NOT_FOR_USERS = {"whole_file", "demo", "cli"}


def name_of(page):
    return str(page.relative_to(DOCS))


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.S | re.M)


def run(page):
    names = {}
    for block in blocks(page):
        exec(compile(block, name_of(page), "exec"), names)


@pytest.fixture(scope="module")
def gathered():
    spec = importlib.util.spec_from_file_location("gathered", DOCS / "gathered.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WITH_BLOCKS = [page for page in PAGES if blocks(page) and name_of(page) not in GOES_ON.values()]
PARAMETERS = [
    pytest.param(page, id=name_of(page), marks=[pytest.mark.slow] if name_of(page) in MINUTES else [])
    for page in WITH_BLOCKS
]


@pytest.mark.parametrize("page", PARAMETERS)
def test_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    needed = NEEDS.get(name_of(page))
    if needed:
        pytest.importorskip(needed, reason=f"{name_of(page)} needs {needed}")
    monkeypatch.chdir(tmp_path)
    run(page)
    if name_of(page) in GOES_ON:
        run(DOCS / GOES_ON[name_of(page)])
        assert (tmp_path / "submission.txt").is_file()


def test_pages_have_no_block_that_is_never_run():
    assert len(WITH_BLOCKS) >= 8
    for page in PAGES:  # a language is named, and python is written in one way
        for fence in re.findall(r"^```([^\n]+)", page.read_text(), flags=re.M):
            assert fence in ("python", "bash", "console", "text") or fence.startswith("{"), f"{name_of(page)}: {fence}"


def headings(page):
    lines = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M).splitlines()
    titles = [line.lstrip("#").strip() for line in lines if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.stem)
def test_links_lead_to_what_is_there(page, gathered):
    text = re.sub(r"^```(?!\{).*?^```", "", page.read_text(), flags=re.S | re.M)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if target.parent == DOCS / "api" and target.suffix == ".rst":  # written by the build
            assert target.stem in gathered.ROOMS, link
            continue
        assert target.exists(), f"{page.name}: nothing at {link}"
        assert not anchor or anchor in headings(target), f"{page.name}: no heading {link}"
    for link in re.findall(r"^:link: (\S+)", text, flags=re.M):
        assert (page.parent / f"{link}.md").is_file(), f"{page.name}: no page {link}"


def test_every_public_name_is_in_the_reference(gathered):
    index = (DOCS / "api" / "index.md").read_text()
    for room in gathered.ROOMS:
        assert re.search(rf"^{room}$", index, flags=re.M), f"{room} is in no toctree of docs/api/index.md"
    listed = {
        name
        for room in gathered.ROOMS
        for name in re.findall(r"^\.\. auto(?:class|function):: (\S+)", gathered.reference_page(room), flags=re.M)
    }
    assert len(listed) > 200
    for parameter in public_things():
        room, _, name = parameter.id.partition(".")
        if room not in NOT_FOR_USERS:
            assert {f"astrokeras.{room}.{name}", f"astrokeras.{name}"} & listed, f"{parameter.id} is missing"
    for name in set(astrokeras.__all__) - set(gathered.ROOMS):
        assert f"astrokeras.{name}" in listed
        assert re.search(rf"^   {name}$", index, flags=re.M), f"{name} is missing in docs/api/index.md"


def test_constants_of_a_room_are_in_the_reference(gathered):
    page = gathered.reference_page("datasets")
    assert ".. py:data:: datasets.VOC_CLASSES" in page and "aeroplane" in page
    challenges = gathered.public_names("challenges")
    assert "astrokeras.challenges.sdc1.train" in challenges and "astrokeras.challenges.sdc2.score" in challenges
    assert all(callable(thing) for thing in challenges.values())  # TYPE_CHECKING and sizes are theirs alone
    assert "astrokeras.explain.filters.KERNELS" in gathered.public_names("explain")


def test_links_out_of_the_folder_become_links_within_the_site(gathered):
    text = "[a](../benchmarks/results/x.md) [b](../../CHANGELOG.md) [c](https://x/docs/) [d](../benchmarks/results) "
    text += "[e](survey.md)"
    assert gathered.site_links(text, 1) == (
        "[a](../measured/x.md) [b](../changelog.md) [c](https://x/docs/) [d](../results.md) [e](survey.md)"
    )
    assert gathered.site_links("![f](../../docs/figures/a.png)", 1) == "![f](../figures/a.png)"


def test_numbers_of_the_results_page_are_those_of_the_tables():
    rows = [line for line in (DOCS / "results.md").read_text().splitlines() if "[table](" in line]
    assert len(rows) >= 10
    for row in rows:
        table = (DOCS / re.search(r"\]\((\.\./benchmarks/results/[^)]+\.md)\)", row)[1]).read_text()
        numbers = re.findall(r"\*\*([^*]+)\*\*", row)
        assert numbers, f"no number in bold: {row}"
        for number in numbers:
            assert re.search(rf"(?<![\d.]){re.escape(number)}(?!\.?\d)", table), (
                f"{number} is not in the table of: {row}"
            )


@pytest.mark.slow
def test_the_site_builds_without_warnings(tmp_path):
    pytest.importorskip("myst_nb", reason="the site needs the extra docs")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-b", "html", str(DOCS), str(tmp_path / "html")]
    made = subprocess.run([*command, "-d", str(tmp_path / "doctrees")], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr[-5000:]
    inventory = (tmp_path / "html" / "objects.inv").read_bytes().split(b"\n", 4)[4]
    known = {line.split(" ", 1)[0] for line in zlib.decompress(inventory).decode().splitlines()}
    for parameter in public_things():
        room, _, name = parameter.id.partition(".")
        if room not in NOT_FOR_USERS:
            assert {f"astrokeras.{room}.{name}", f"astrokeras.{name}"} & known, f"{parameter.id} is missing"
    for notebook in (ROOT / "notebooks").glob("[0-9]*.ipynb"):
        assert (tmp_path / "html" / "notebooks" / f"{notebook.stem}.html").is_file()


def test_notebooks_come_in_order_with_their_first_figure(gathered, tmp_path):
    source, target = tmp_path / "notebooks", tmp_path / "docs" / "notebooks"
    source.mkdir()
    target.mkdir(parents=True)
    (target / "99_gone.ipynb").write_text("{}")
    picture = {"output_type": "display_data", "data": {"image/png": "aGVsbG8="}}
    for name, outputs in (("02_second", [picture]), ("01_first", [])):
        cells = [
            {"cell_type": "markdown", "source": [f"# The {name[3:]}\n", "See [conventions](../docs/conventions.md)."]},
            {"cell_type": "code", "source": "1", "outputs": outputs},
        ]
        (source / f"{name}.ipynb").write_text(json.dumps({"cells": cells}))
    gathered._notebooks(source, target)
    gallery = (target / "gallery.md").read_text()
    assert re.findall(r"grid-item-card\} (.+)", gallery) == ["The first", "The second"]
    assert gallery.index("\nnotebooks/01_first\n") < gallery.index("\nnotebooks/02_second\n")
    assert ":img-bottom: notebooks/02_second.png" in gallery and "01_first.png" not in gallery
    assert (target / "02_second.png").read_bytes() == b"hello"
    assert "](../conventions.md)" in (target / "01_first.ipynb").read_text()
    assert not (target / "99_gone.ipynb").exists()
