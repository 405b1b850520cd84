"""What the commands of both challenges share: the survey in a folder, training that goes on, and the report."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from astrokeras import plots, runtime
from astrokeras.datasets.sdc1 import SurveyFiles
from astrokeras.survey import ChallengeScore
from astrokeras.whole_file import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SURVEY = "survey.json"  # says which survey a folder works on; written once its files are whole
MODEL, CATALOGUE, REPORT = "model.keras", "catalogue.ecsv", "report.md"


def make_survey(
    folder: str | os.PathLike,
    data: str | os.PathLike | None,
    find: Callable[[str | os.PathLike], SurveyFiles],
    simulate: Callable,
    size,
    seed: int,
    verbose: int = 1,
) -> SurveyFiles:
    """Choose the survey that a folder works on: the real files, or a simulation that is written into it once.

    A simulation of another size or seed takes the place of the one that is there; one that was stopped is made again.

    Args:
        folder: made if missing.
        data: folder of the real files; `None` for the simulation.
        find: such as `datasets.sdc1`: real files from their folder.
        simulate: such as `datasets.simulated_continuum_field`: called with `(path, size=, seed=)`.
        size: of the simulation, as `simulate` takes it.
        seed: of the simulation.
        verbose: 0 prints nothing; else the figures of a new simulation beside the published ones.

    Returns:
        The files; those of a simulation train and judge with one table.

    Raises:
        FileExistsError: if the folder is a file.
        FileNotFoundError: if a real file is missing.

    Example:
        >>> import astrokeras
        >>> from astrokeras.challenges.pipeline import find_survey, make_survey
        >>> files = make_survey("sdc1", None, None, astrokeras.datasets.simulated_continuum_field, 64, 0, 0)
        >>> files.image.name, find_survey("sdc1", None, None, "sdc1") == files
        ('simulation.fits', True)
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"Expected a folder to work in; {folder} is a file: choose another --out.")
    if data is not None:
        files, note = find(data), {"data": str(Path(data).resolve())}
    else:
        size = size if np.ndim(size) == 0 else list(map(int, size))
        files, note = None, {"simulation": simulate.__name__, "size": size, "seed": int(seed)}
    folder.mkdir(parents=True, exist_ok=True)
    known = _read_note(folder)
    if data is None and {name: known.get(name) for name in note} == note and _simulated(folder, known) is not None:
        return _simulated(folder, known)
    if data is None:
        (folder / SURVEY).unlink(missing_ok=True)
        made = simulate(folder / "simulation.fits", size=size, seed=seed)
        if verbose:
            print(made)
        paths = {"image": made.image, "truth": made.truth, "primary_beam": made.primary_beam}
        note |= {name: path.name for name, path in paths.items() if path is not None}
        files = _simulated(folder, note)
    with replacing(folder / SURVEY) as temporary:
        temporary.write_text(json.dumps(note, indent=1))
    return files


def find_survey(
    folder: str | os.PathLike, data: str | os.PathLike | None, find: Callable, challenge: str
) -> SurveyFiles:
    """Find the survey that a folder works on.

    Args:
        folder: of `make_survey`.
        data: folder of the real files, where it is not the one that was trained on.
        find: as in `make_survey`.
        challenge: `"sdc1"` or `"sdc2"`, for the error.

    Raises:
        FileNotFoundError: if there is none.
    """
    folder = Path(folder)
    if data is not None:
        return find(data)
    note = _read_note(folder)
    if "data" in note:
        return find(note["data"])
    files = _simulated(folder, note)
    if files is None:
        raise FileNotFoundError(
            f"Expected a survey in {folder}; there is none: run astrokeras {challenge} train --out {folder} first."
        )
    return files


def is_simulation(folder: str | os.PathLike, data: str | os.PathLike | None = None) -> bool:
    """Return whether the survey of a folder is a simulation.

    Example:
        >>> from astrokeras.challenges.pipeline import is_simulation
        >>> is_simulation("sdc1", data="real_files")
        False
    """
    return data is None and "simulation" in _read_note(Path(folder))


def existing(path: str | os.PathLike, command: str) -> Path:
    """Return the path of what an earlier command wrote.

    Raises:
        FileNotFoundError: if it is not there; names the command.

    Example:
        >>> from astrokeras.challenges.pipeline import existing
        >>> existing("nowhere/model.keras", "astrokeras sdc1 train")
        Traceback (most recent call last):
        FileNotFoundError: Expected nowhere/model.keras; there is no such file: run astrokeras sdc1 train first.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Expected {path}; there is no such file: run {command} first.")
    return path


def fit(
    model: keras.Model,
    patches,
    *,
    epochs: int,
    optimizer: keras.optimizers.Optimizer,
    folder: str | os.PathLike,
    settings: Mapping,
    verbose: int = 1,
) -> float:
    """Train a detector; a training of the same settings that was stopped goes on from its last whole epoch.

    Args:
        model: a `YoloDetector`.
        patches: `FieldPatches`.
        epochs: passes over them.
        optimizer: its rate follows its own steps.
        folder: where the state is kept until `forget` removes it.
        settings: all that makes this training another one; plain values.
        verbose: as in `fit`.

    Returns:
        Seconds of this run.

    Raises:
        ValueError: if the loss becomes NaN or infinite, or there are no epochs.
    """
    if epochs < 1:
        raise ValueError(f"Expected epochs >= 1; received {epochs}.")
    text = json.dumps(dict(settings) | {"epochs": epochs}, sort_keys=True, default=str)
    backup = Path(folder) / f".training-{hashlib.sha256(text.encode()).hexdigest()[:8]}.backup"
    model.compile(optimizer)
    watchers = [
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.BackupAndRestore(str(backup), double_checkpoint=True, delete_checkpoint=False),
    ]
    begun = time.perf_counter()
    history = model.fit(patches, epochs=epochs, verbose=verbose, callbacks=watchers).history
    if not np.isfinite(history.get("loss", [0])).all():
        shutil.rmtree(backup, ignore_errors=True)
        raise ValueError("Expected a finite loss; it became NaN or infinite: try another seed or precision.")
    return time.perf_counter() - begun


def forget(folder: str | os.PathLike) -> None:
    """Remove the states that `fit` keeps in a folder, once the model is saved."""
    for backup in Path(folder).glob(".training-*.backup"):
        shutil.rmtree(backup, ignore_errors=True)


def write_report(
    folder: str | os.PathLike,
    title: str,
    result: ChallengeScore,
    *,
    lines: list[str],
    recovery: Mapping[str, np.ndarray],
    unit: str,
    figures: Mapping[str, "Figure"],
    verbose: int = 1,
) -> Path:
    """Print the score and completeness, purity and flux against flux; write them and the figures into a folder.

    Args:
        folder: where `report.md` and `NAME.png` go.
        title: of the report.
        result: the score.
        lines: facts, one a line.
        recovery: what `plots.recovery_by_flux` returns; its figure is made here, `recovery.png`.
        unit: of the flux.
        figures: name -> figure.
        verbose: 0 prints nothing.

    Returns:
        The path of the report.
    """
    folder = Path(folder)
    if verbose:
        print(result.describe())
        plots.print_table(plots.recovery_table(recovery, unit, title))
    figures = {"recovery": plots.recovery(recovery, unit, title)} | dict(figures)
    for name, figure in figures.items():
        with replacing(folder / f"{name}.png") as temporary:
            figure.savefig(temporary, dpi=120)
    head = ["flux from", "to", "true", "completeness", "found", "purity", "found / true flux"]
    rows = [
        [f"{value:.3g}" for value in row]
        for row in zip(
            recovery["edges"][:-1],
            recovery["edges"][1:],
            *(recovery[name] for name in ("true", "completeness", "found", "purity", "ratio")),
            strict=True,
        )
    ]
    table = "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---:"] * len(head), *rows])
    facts = "\n".join(f"- {line}" for line in [*result.describe().splitlines(), *lines])
    shown = "\n".join(f"![{name.replace('_', ' ')}]({name}.png)\n" for name in figures)
    machine = "\n".join(f"| {key} | {value} |" for key, value in runtime.report().items())
    with replacing(folder / REPORT) as temporary:
        temporary.write_text(
            f"# {title}\n\n{facts}\n\nFluxes in {unit}.\n\n{table}\n\n{shown}\n## This machine\n\n| what | value |\n"
            f"| --- | --- |\n{machine}\n"
        )
    if verbose:
        print(f"written: {folder}/{', '.join([REPORT, *(f'{name}.png' for name in figures)])}")
    return folder / REPORT


def _read_note(folder: Path) -> dict:
    try:
        return json.loads((folder / SURVEY).read_text())
    except (OSError, ValueError):
        return {}


def _simulated(folder: Path, note: Mapping) -> SurveyFiles | None:
    """Return the files of a simulation, if all are there."""
    if "simulation" not in note:
        return None
    image, truth, beam = (folder / note[name] if name in note else None for name in ("image", "truth", "primary_beam"))
    if not all(path.is_file() for path in (image, truth, beam) if path is not None):
        return None
    return SurveyFiles(image, truth, truth, beam)
