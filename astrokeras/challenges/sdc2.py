"""SKA's second science data challenge, from cube to score: train, detect, score."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from astrokeras import applications, datasets, plots, runtime, saving, survey
from astrokeras.applications.yolo_sdc2 import LOSS, STRETCH, WEIGHTS
from astrokeras.challenges import pipeline
from astrokeras.cost import cost
from astrokeras.datasets.fits_blocks import FitsWindows
from astrokeras.datasets.sdc1 import SurveyFiles, sky_to_pixels
from astrokeras.datasets.sdc2 import SDC2_PARAMETERS, measured_noise
from astrokeras.datasets.simulated_hi_cube import BAND, CHANNEL, LIGHT, REST
from astrokeras.datasets.simulated_survey import SimulatedSurvey
from astrokeras.models import YoloDetector
from astrokeras.network import Network
from astrokeras.parameters import per_column
from astrokeras.survey.formats import CHALLENGES

if TYPE_CHECKING:
    from astropy.table import QTable, Table
    from distributed import Client

SIZE, CHANNELS = 1024, 1024  # pixels along each side and channels of the simulated cube
DENSITY = 30  # of the simulated cube to train on, times the published number of sources
PRIOR = (9, 9, 42)  # pixels, pixels, channels: the median box of the selected sources
PATCH, BATCH, PATCHES, EPOCHS = (128, 48, 48), 8, 1000, 60
RATE = 2e-3
FULL_PATCH, FULL_PATCHES, FULL_EPOCHS = (256, 64, 64), 1600, 400
CENTRED = 0.6  # share of the patches with a source drawn at random
TUNING = (0, 1 / 2)  # share of the rows of a simulated cube that the threshold is tuned on; those behind are judged
REAL_TUNING = (0.6, 0.7)  # likewise of a real one, which is trained on in the rows before
PURITY = 0.9  # of the tuning rows; some 30 detections there promise less than that elsewhere
LOWEST = 0.1  # score from which on detections are looked at for the tuning
TILE, OVERLAP, AT_ONCE = (512, 128, 128), (64, 16, 16), 4  # of the scan, and how many tiles at once
SUBMISSION, TRAINING, TILES = "submission.txt", "training.fits", ".tiles"
FLUXES = (10, 15, 20, 30, 50, 80, 150, 2000)  # Jy Hz, edges of the bins
SMOOTHED = 16  # channels, for the figure
COMMAND = "astrokeras sdc2"
FIELDS = CHALLENGES["sdc2"]


def train(
    folder: str | os.PathLike = "sdc2",
    data: str | os.PathLike | None = None,
    *,
    epochs: int | None = None,
    size: int | None = None,
    seed: int = 0,
    precision: str = "auto",
    full: bool = False,
    command: str = "",
    verbose: int = 1,
) -> dict:
    """Train a 3-D detector of galaxies, and choose its score threshold; write `model.keras` into a folder.

    Without real files, two cubes are simulated: one at the published number of sources, whose first half of rows
    serves to choose the threshold and whose other rows `score` judges, and one of 30 times as many sources to train on.
    Of a real cube, the first 60 % of the rows are trained on, the next 10 % choose the threshold, the others are
    judged. The threshold is the lowest that keeps the purity at 0.9 on rows that the detector was not trained on.

    A training that was stopped goes on from its last whole epoch.

    Args:
        folder: made if missing.
        data: folder with the files of `datasets.sdc2`; `None` for the simulation.
        epochs: of training; by default 60 of 1000 patches, with `full` 400 of 1600.
        size: pixels along each side of the simulated cube; 1024 by default (5.4 GB with the one to train on).
        seed: of the simulation, the weights and the patches.
        precision: see `configure`.
        full: train `applications.yolo_sdc2` in place of the small detector; that is for a GPU.
        command: recorded in the file's card.
        verbose: as in `fit`.

    Returns:
        What was measured: `seconds` of training, `threshold`, and on the rows that it was chosen on `tuning_purity`,
        `tuning_detections` and `tuning_selected` (true sources that `datasets.sdc2_selection` takes).

    Raises:
        ValueError: if an argument is out of range.
        FileNotFoundError: if a real file is missing.
        FileExistsError: if the folder is a file.

    Reference:
        CIANNA's pipeline of SDC2 (Cornu et al. 2026, A&A 707, A203): selection, boxes, input and loss. Ours: the small
        network, the crowded cube to train on, the share of centred patches and the tuning of the threshold.

    Example:
        >>> from astrokeras.challenges import sdc2
        >>> sdc2.train("sdc2", epochs=0)
        Traceback (most recent call last):
        ValueError: Expected epochs >= 1; received 0.
    """
    epochs = (FULL_EPOCHS if full else EPOCHS) if epochs is None else epochs
    if epochs < 1:
        raise ValueError(f"Expected epochs >= 1; received {epochs}.")
    folder = Path(folder)
    policy = runtime.configure(precision, seed)
    size = SIZE if size is None else size
    files = pipeline.make_survey(folder, data, datasets.sdc2, simulated_hi_cubes, size, seed, verbose)
    simulated = pipeline.is_simulation(folder, data)
    image = survey.open_image(files.image)
    rows, _ = areas(image.shape[1], simulated)
    cube, area = files, [(0, image.shape[0]), (0, rows[0]), (0, image.shape[2])]
    if simulated:
        path = files.image.with_name(TRAINING)
        truth = path.with_name(f"{path.stem}_truth.txt")
        cube, area = SurveyFiles(path, truth, truth), None
    patch, patches = (FULL_PATCH, FULL_PATCHES) if full else (PATCH, PATCHES)
    batches = datasets.sdc2_patches(
        cube, patch, area=area, patches=patches, batch_size=BATCH, centred=CENTRED, seed=seed
    )
    model = applications.yolo_sdc2((*patch, 1)) if full else build(patch)
    if verbose:
        plots.print_table(cost(model).table())
    steps = epochs * len(batches)
    rate = keras.optimizers.schedules.CosineDecay(
        RATE / 10, steps, alpha=0.02, warmup_target=RATE, warmup_steps=max(1, steps // 20)
    )
    settings = {"image": image.fingerprint, "seed": seed, "full": full, "precision": policy, "patches": patches}
    optimizer = keras.optimizers.Adam(rate)
    seconds = pipeline.fit(
        model, batches, epochs=epochs, optimizer=optimizer, folder=folder, settings=settings, verbose=verbose
    )
    measured = {"seconds": round(seconds, 1), "epochs": epochs} | _tune(model, files, rows, verbose)
    source = "simulated_hi_cube (a simulation)" if simulated else str(files.image)
    saving.save_model(model, folder / pipeline.MODEL, command=command, data=source, metrics=measured, names=["galaxy"])
    pipeline.forget(folder)
    shutil.rmtree(folder / TILES, ignore_errors=True)  # of an earlier model
    if verbose:
        print(f"trained in {seconds:.0f} s\nwritten: {folder / pipeline.MODEL}")
    return measured


def detect(
    folder: str | os.PathLike = "sdc2",
    data: str | os.PathLike | None = None,
    *,
    engine: "str | Client" = "local",
    batch_size: int | None = None,
    verbose: int = 1,
) -> "QTable":
    """Scan the whole cube with the trained detector; write `catalogue.ecsv` and the challenge's `submission.txt`.

    A scan that was stopped goes on from its finished tiles.

    Args:
        folder: of `train`.
        data: folder of the real files, where it is not the one that was trained on.
        engine: as of `survey.detect`.
        batch_size: tiles at once; 4 by default.
        verbose: 1 for a progress bar, 0 for none.

    Returns:
        The catalogue, best score first.

    Raises:
        FileNotFoundError: if `train` has not run.

    Example:
        >>> from astrokeras.challenges import sdc2
        >>> sdc2.detect("nowhere")
        Traceback (most recent call last):
        FileNotFoundError: Expected nowhere/model.keras; there is no such file: run astrokeras sdc2 train ... first.
    """
    folder = Path(folder)
    path = pipeline.existing(folder / pipeline.MODEL, f"{COMMAND} train --out {folder}")
    files = pipeline.find_survey(folder, data, datasets.sdc2, "sdc2")
    checkpoint = folder / TILES
    noise = measured_noise(FitsWindows(files.image))
    table = _scan(
        survey.open_image(files.image),
        saving.load_model(path, compile=False),
        noise,
        batch_size=AT_ONCE if batch_size is None else batch_size,
        checkpoint=checkpoint,
        engine=engine,
        verbose=verbose,
    )
    if pipeline.is_simulation(folder, data):
        table.meta["simulation"] = "this cube is a simulation"
    survey.write_catalogue(table, folder / SUBMISSION, "sdc2")
    survey.write_catalogue(table, folder / pipeline.CATALOGUE)
    shutil.rmtree(checkpoint, ignore_errors=True)
    if verbose:
        print(f"{len(table)} sources\nwritten: {folder}/{pipeline.CATALOGUE}, {SUBMISSION}")
    return table


def score(
    folder: str | os.PathLike = "sdc2",
    data: str | os.PathLike | None = None,
    *,
    protocol: str = "official",
    verbose: int = 1,
) -> dict:
    """Score what was found in the rows that are judged; write `report.md` and its figures.

    Args:
        folder: of `detect`.
        data: folder of the real files, where it is not the one that was trained on.
        protocol: as of `survey.sdc2_score`.
        verbose: 0 prints nothing.

    Returns:
        `score`, `purity`, `completeness` (of all sources, the undetectable ones included), `completeness_selected` (of
        those that `datasets.sdc2_selection` takes), `accuracy`, and the counts `detections`, `matches`, `sources` and
        `selected`.

    Raises:
        FileNotFoundError: if `detect` has not run.
        ValueError: if the protocol is unknown.

    Example:
        >>> from astrokeras.challenges import sdc2
        >>> sdc2.score("nowhere")
        Traceback (most recent call last):
        FileNotFoundError: Expected nowhere/catalogue.ecsv; there is no such file: run astrokeras sdc2 detect ... first.
    """
    folder = Path(folder)
    first = f"{COMMAND} detect --out {folder}"
    table = survey.read_catalogue(pipeline.existing(folder / pipeline.CATALOGUE, first))
    submission = survey.read_catalogue(pipeline.existing(folder / SUBMISSION, first), "sdc2")
    files = pipeline.find_survey(folder, data, datasets.sdc2, "sdc2")
    simulated = pipeline.is_simulation(folder, data)
    image = survey.open_image(files.image)
    _, rows = areas(image.shape[1], simulated)
    y = np.asarray(table["y"].value) + 0.5  # to box coordinates
    judged = (y >= rows[0]) & (y < rows[1])
    table, submission = table[judged], submission[judged]
    truth = _true_sources(files, rows)
    result = survey.sdc2_score(submission, truth, protocol)
    selected = np.asarray(truth["selected"])
    measured = {
        "score": result.score,
        "purity": result.purity,
        "completeness": result.completeness,
        "completeness_selected": float(result.found[selected].mean()) if selected.any() else float("nan"),
        "accuracy": result.accuracy,
        "detections": result.n_detections,
        "matches": result.n_match,
        "sources": result.n_truth,
        "selected": int(selected.sum()),
    }
    lines = [
        f"judged: rows {rows[0]} to {rows[1]} of {image.name} ({' x '.join(map(str, image.shape))}), which served "
        "neither the training nor the threshold",
        f"sources there that datasets.sdc2_selection takes: {measured['selected']}, found "
        f"{measured['completeness_selected']:.4f}",
        f"detector: {table.meta.get('model', 'unknown')} ({table.meta.get('model_hash', 'unknown')}), scores from "
        f"{np.min(table.meta.get('score_threshold', np.nan)):.4f} on",
    ]
    fluxes = [np.asarray(columns["line_flux_integral"], float) for columns in (truth, submission)]
    about = "a simulated cube (a simulation: this says nothing of real ones)" if simulated else "the sky"
    pipeline.write_report(
        folder,
        f"SDC2 on {about}",
        result,
        lines=lines,
        recovery=plots.recovery_by_flux(*fluxes, result.truth_rows, result.rows, FLUXES),
        unit="Jy Hz",
        figures=_figures(image, rows, table, submission, truth, result),
        verbose=verbose,
    )
    return measured


def simulated_hi_cubes(path: str | os.PathLike, size: int, seed: int) -> SimulatedSurvey:
    """Simulate the highest 1024 channels of the challenge's band twice: to judge, and, beside it, to train on.

    Args:
        path: of the cube to judge, at the published number of sources; that to train on is `training.fits` beside it,
            half as large along each side but not smaller than 512 pixels, with 30 times as many sources.
        size: pixels along each side.
        seed: of both.

    Example:
        >>> from astrokeras.challenges.sdc2 import simulated_hi_cubes
        >>> cube = simulated_hi_cubes("cube.fits", 16, seed=0)
        >>> cube.truth.name, cube.image.with_name("training.fits").is_file()
        ('cube_truth.txt', True)
    """
    path = Path(path)
    start = BAND[1] - CHANNEL * CHANNELS
    beside = path.with_name(TRAINING)
    smaller = min(size, max(size // 2, 512))
    datasets.simulated_hi_cube(beside, smaller, CHANNELS, seed + 10_000, start=start, density=DENSITY)
    return datasets.simulated_hi_cube(path, size, CHANNELS, seed, start=start)


def build(patch: tuple[int, int, int] = PATCH, *, name: str = "hi_galaxies") -> YoloDetector:
    """Build the small detector: 8 convolutions, a grid of 16 x 8 x 8 pixels, one box a cell.

    Args:
        patch: `(z, y, x)`, multiples of 16, 8 and 8.
        name: of the model.

    Example:
        >>> from astrokeras.challenges.sdc2 import build
        >>> build((32, 16, 16)).output_shape  # 8 + 6 columns
        (None, 2, 2, 2, 14)
    """
    net = Network((*patch, 1), activation="relu_leaky", name=name)
    net.stretch(**STRETCH)
    net.conv(16, (8, 3, 3), strides=(8, 2, 2)).conv(24, 3)
    net.conv(32, 2, strides=2, padding="valid").conv(48, 3).conv(48, 3)
    net.conv(64, (1, 2, 2), strides=(1, 2, 2), padding="valid").conv(96, 3)
    net.norm(4)
    net.conv(128, 1)
    scales = per_column(SDC2_PARAMETERS, [WEIGHTS[parameter.name] for parameter in SDC2_PARAMETERS])
    loss = LOSS | {"param_scales": scales, "random_startup": 0}
    net.yolo([PRIOR], 0, SDC2_PARAMETERS, loss=loss, score_threshold=0.3, nms_threshold=-0.1)
    return net.build()


def areas(height: int, simulated: bool) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the rows `(start, stop)` that the threshold is tuned on, and those that are judged.

    Args:
        height: rows of the cube.
        simulated: whether it is a simulation, which has a cube of its own to train on.

    Example:
        >>> from astrokeras.challenges.sdc2 import areas
        >>> areas(1000, True), areas(1000, False)
        (((0, 500), (500, 1000)), ((600, 700), (700, 1000)))
    """
    low, high = (int(share * height) for share in (TUNING if simulated else REAL_TUNING))
    return (low, high), (high, height)


def _true_sources(files: SurveyFiles, rows: tuple[int, int]) -> "Table":
    """Return the true sources whose middle lies in rows of a cube.

    Args:
        files: of the cube.
        rows: `(start, stop)`.

    Returns:
        What `datasets.sdc2_catalogue` returns, and the columns `x`, `y` (pixels, box coordinates) and `selected`, by
        `datasets.sdc2_selection`.
    """
    table = datasets.sdc2_catalogue(files.truth)
    header = FitsWindows(files.image).header
    table["x"], table["y"] = sky_to_pixels(header, table["ra"], table["dec"])
    flux, size, w20, frequency = (
        np.asarray(table[name]) for name in ("line_flux_integral", "hi_size", "w20", "central_freq")
    )
    depth = w20 / LIGHT * frequency**2 / REST / header["CDELT3"]
    table["selected"] = datasets.sdc2_selection(flux, size, depth)
    return table[(table["y"] >= rows[0]) & (table["y"] < rows[1])]


def _as_submitted(table: "QTable") -> dict:
    """Return the columns of a catalogue under the challenge's names, as `survey.sdc2_score` takes them.

    Args:
        table: as of `survey.catalogue`.
    """
    return {field.name: table[next(name for name in field.ours if name in table.colnames)] for field in FIELDS}


def _scan(image: survey.SurveyImage, model: YoloDetector, noise: np.ndarray, **arguments) -> "QTable":
    """Scan a cube in tiles that are no larger than need be."""
    cell = [int(side) for side in model.settings.cell[::-1]]
    tile = [min(most, -(-size // step) * step) for most, size, step in zip(TILE, image.shape, cell, strict=True)]
    overlap = [min(part, side // 2) for part, side in zip(OVERLAP, tile, strict=True)]
    return survey.detect(image, model, tile=tile, overlap=overlap, scale=noise, **arguments)


def _tune(model: YoloDetector, files: SurveyFiles, rows: tuple[int, int], verbose: int) -> dict:
    """Set the score threshold by rows that were not trained on; return what was measured there."""
    image = survey.open_image(files.image)
    part = image.part([(0, image.shape[0]), rows, (0, image.shape[2])])
    noise = measured_noise(FitsWindows(files.image))
    table = _scan(part, model, noise, batch_size=AT_ONCE, score_threshold=LOWEST, verbose=verbose)
    truth = _true_sources(files, rows)
    measured = {"tuning_selected": int(np.sum(truth["selected"])), "tuning_detections": 0}
    if len(table):
        found = survey.tune_thresholds(
            table,
            lambda some: survey.sdc2_score(_as_submitted(some), truth),
            "purity",
            PURITY,
            priors=len(model.settings.priors),
        )
        model.score_threshold = list(found.values)
        kept, hit = (sum(column) for column in list(zip(*found.counts, strict=True))[2:])
        measured["tuning_detections"] = kept
        measured |= {"tuning_purity": hit / kept} if kept else {}
        if verbose:
            print(found.describe())
    return measured | {"threshold": float(np.min(model.score_threshold))}


def _figures(image, rows, table, submission, truth, result) -> dict:
    """Draw the parameters of the matches, and the sources on the brightest channels of each place."""
    columns = {"flux": ("line_flux_integral", "Jy Hz"), "hi_size": ("hi_size", "arcsec"), "w20": ("w20", "km/s")}
    columns |= {"pa": ("pa", "deg"), "inclination": ("i", "deg")}
    true = {name: np.asarray(truth[column], float)[result.truth_rows] for name, (column, _) in columns.items()}
    found = {name: np.asarray(submission[column].value)[result.rows] for name, (column, _) in columns.items()}
    units = {name: unit for name, (_, unit) in columns.items()}
    boxes = np.stack([np.asarray(table[name].value) for name in ("x_min", "y_min", "x_max", "y_max")], axis=1)
    missed = np.asarray(truth["selected"]) & ~result.found
    return {
        "parameters": plots.predicted_against_true(true, found, units, {"pa": 360}),
        "sources": plots.sources_on_image(
            _brightest(image, rows),
            boxes,
            result.matched,
            np.stack([truth["x"][missed], truth["y"][missed]], axis=1),
            corner=(0, rows[0]),
            title=f"brightest {SMOOTHED} channels",
        ),
    }


def _brightest(image: survey.SurveyImage, rows: tuple[int, int]) -> np.ndarray:
    """Return the largest mean over some neighbouring channels at each place, `(y, x)`."""
    depth, _, width = image.shape
    best = np.full((rows[1] - rows[0], width), -np.inf, "float32")
    for low in range(0, depth, SMOOTHED):
        some = image.read([(low, min(low + SMOOTHED, depth)), rows, (0, width)])
        np.maximum(best, np.nan_to_num(some).mean(axis=0), out=best)
    return best
