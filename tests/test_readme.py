"""The README is a test: two set-up commands, and every Python block runs as it stands."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.S)


def test_there_are_exactly_two_set_up_commands_of_one_line():
    commands = [line for block in blocks("bash") for line in block.splitlines() if "venv" in line]
    assert len(commands) == 2
    assert "astrokeras demo" in commands[0] and "pytest" in commands[1]


def test_python_blocks_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    assert blocks("python")
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), namespace)
    assert (tmp_path / "my_digits.keras").is_file()


def test_python_blocks_of_the_survey_pages_run(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.chdir(tmp_path)
    for page in ("survey.md", "cluster.md"):  # the second one goes on with the files of the first
        namespace = {}
        text = (Path(__file__).parent.parent / "docs" / page).read_text()
        for block in re.findall(r"```python\n(.*?)```", text, flags=re.S):
            exec(compile(block, page, "exec"), namespace)
    assert (tmp_path / "submission.txt").is_file()


def test_python_blocks_of_the_discovery_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, namespace = (Path(__file__).parent.parent / "docs" / "discovery.md").read_text(), {}
    found = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    assert found
    for block in found:
        exec(compile(block, "discovery.md", "exec"), namespace)


def test_commands_in_the_readme_exist():
    from astrokeras.cli import _parser

    lines = [line for block in blocks("bash") for line in block.splitlines() if line.startswith("astrokeras ")]
    assert len(lines) >= 4
    for line in lines:
        arguments = line.partition("#")[0].split()[1:]
        assert _parser().parse_args(arguments).run
