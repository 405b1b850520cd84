"""The README is a test: two set-up commands, and every Python block runs as it stands."""

import re
from pathlib import Path

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


def test_commands_in_the_readme_exist():
    from astrokeras.cli import _parser

    lines = [line for block in blocks("bash") for line in block.splitlines() if line.startswith("astrokeras ")]
    assert len(lines) >= 4
    for line in lines:
        arguments = line.partition("#")[0].split()[1:]
        assert _parser().parse_args(arguments).run


def test_the_table_has_every_application_with_its_weights():
    from astrokeras import applications, weights

    rows = {}
    for line in README.splitlines():
        cells = line.strip("| ").split(" | ")
        if len(cells) == 3 and line.startswith("| `"):
            names = re.findall(r"`(\w+)`", cells[0])
            rows |= {name: re.findall(r"`\"(\w+)\"`", cells[2]) for name in names}
            listed = re.findall(r"`(\w+)`", cells[1])
            rows |= {name: [] for name in listed if name.startswith(f"{names[0]}_")}
    built = {name for name in vars(applications) if not name.startswith("_") and name != "decode_predictions"}
    assert rows == {name: weights.names(name) for name in built if callable(getattr(applications, name))}
