"""The finished part of a scan, kept in a folder, so that a scan that was stopped goes on."""

import json
import os
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from astrokeras.detections import Detections
from astrokeras.whole_file import replacing

SETTINGS = "scan.json"
SECONDS = 5.0  # between two writings
COLUMNS = ("boxes", "scores", "labels", "probability", "objectness", "priors", "params")


class Checkpoint:
    """Finished tiles in a folder; each file in it is whole, whenever the process dies.

    Args:
        folder: made if missing; `None` keeps the tiles in memory only.
        settings: what decides the result; a folder of other settings is refused.

    Raises:
        ValueError: if the folder holds a scan with other settings, or other files.
        NotADirectoryError: if it is a file.
    """

    def __init__(self, folder: str | os.PathLike | None, settings: Mapping):
        self.folder = None if folder is None else Path(folder)
        self.found: dict[int, tuple[Detections, int]] = {}  # tile: detections, pixels without a value
        self._new: list[int] = []
        self._written = time.monotonic()
        if self.folder is not None:
            self._open(dict(settings))

    def add(self, number: int, detections: Detections, missing: int) -> None:
        """Keep a finished tile; write every few seconds."""
        self.found[number] = detections, missing
        self._new.append(number)

    def write(self, now: bool = True) -> None:
        """Write what is new; with `now=False` only if the last time is some seconds ago."""
        if self.folder is None or not self._new or (not now and time.monotonic() - self._written < SECONDS):
            return
        parts = [self.found[number] for number in self._new]
        columns = {name: np.concatenate([getattr(found, name) for found, _ in parts]) for name in COLUMNS}
        columns |= {"tiles": np.array(self._new), "missing": np.array([missing for _, missing in parts])}
        columns["counts"] = np.array([len(found) for found, _ in parts])
        with replacing(self.folder / f"tiles-{min(self._new):08d}.npz") as path:
            np.savez(path, **columns)
        self._new, self._written = [], time.monotonic()

    def _open(self, settings: dict) -> None:
        settings = json.loads(json.dumps(settings))
        file = self.folder / SETTINGS
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(f"Expected a folder for the checkpoint; {self.folder} is a file: name another.")
        if not file.exists():
            if self.folder.exists() and any(not path.name.startswith(".") for path in self.folder.iterdir()):
                raise ValueError(
                    f"Expected an empty folder or one of a scan for the checkpoint; {self.folder} holds other files: "
                    "name another."
                )
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(file) as path:
                path.write_text(json.dumps(settings, indent=1))
            return
        known = json.loads(file.read_text())
        if known != settings:
            other = [name for name in settings if known.get(name) != settings[name]]
            raise ValueError(
                f"Expected the checkpoint of this scan; the one in {self.folder} is of another {', '.join(other)} "
                f"({'; '.join(f'{known.get(name)} there, {settings[name]} here' for name in other)}): name another "
                "folder, or remove that one."
            )
        for path in self.folder.glob(".tiles-*"):  # of a process that was killed while writing
            path.unlink(missing_ok=True)
        for path in sorted(self.folder.glob("tiles-*.npz")):
            self._read(path)

    def _read(self, path: Path) -> None:
        try:
            with open(path, "rb") as stream, np.load(stream) as file:
                columns = dict(file)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"Expected finished tiles in {path}; it cannot be read: remove it.") from error
        ends = np.cumsum(columns["counts"])
        for number, missing, count, end in zip(
            *(columns[name].tolist() for name in ("tiles", "missing", "counts")), ends, strict=True
        ):
            rows = slice(end - count, end)
            self.found[number] = Detections(**{name: columns[name][rows] for name in COLUMNS}), missing
