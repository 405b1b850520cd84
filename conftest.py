"""Doctests write their files into a scratch folder."""

import pytest


@pytest.fixture(autouse=True)
def scratch_folder(request):
    """Run an example of a docstring in an empty folder of its own."""
    if isinstance(request.node, pytest.DoctestItem):
        tmp_path, monkeypatch = request.getfixturevalue("tmp_path"), request.getfixturevalue("monkeypatch")
        monkeypatch.chdir(tmp_path)
