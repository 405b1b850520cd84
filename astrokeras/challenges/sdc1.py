"""SKA's first science data challenge, from the image to the scored catalogue."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from astrokeras import applications, datasets, plots, runtime, saving, survey
from astrokeras.applications.yolo_sdc1 import LOSS as PUBLISHED_LOSS
from astrokeras.applications.yolo_sdc1 import SLOPES
from astrokeras.challenges import pipeline
from astrokeras.cost import cost
from astrokeras.datasets.field_patches import FieldPatches, touching
from astrokeras.datasets.fits_blocks import FitsWindows
from astrokeras.datasets.sdc1 import primary_beam_at, sky_to_pixels, training_window
from astrokeras.datasets.simulated_continuum_field import BEAM, NOISE
from astrokeras.models import YoloDetector
from astrokeras.network import Network
from astrokeras.parameters import Parameter

if TYPE_CHECKING:
    from astropy.table import QTable
    from distributed import Client

SIZE = 4096  # pixels along a side of the simulated field
SMALLEST = 1024  # below that the training area holds no patch
PATCH, PATCHES, BATCH, EPOCHS = 128, 1600, 8, 60  # of the small network
FULL_BATCH, FULL_EPOCHS = 16, 400  # of CIANNA's, patches of 256
RATE = 2e-3
PURITY = 0.92  # that the thresholds keep on the training area
FAINTEST = 2.5  # peaks in units of the noise from which the small network learns sources
FLOOR = 0.1  # lowest score among which thresholds are tuned
MARGIN = 64  # pixels around the training area that are scanned with it
PRIORS = ((6, 6), (6, 6), (14, 14))
PARAMETERS = (
    Parameter("flux", "Jy", scale="log", range=(3e-7, 2e-3)),
    Parameter("bmaj", "arcsec", scale="log", range=(0.3, 60.0)),
    Parameter("bmin", "arcsec", scale="log", range=(0.2, 30.0)),
    Parameter("pa", "deg", angle=180),
)
LOSS = PUBLISHED_LOSS | {
    "param_scales": (12.0, 5.0, 3.0, 0.5),
    "noobj": (0.15, 0.15, 0.01),
    "random_startup": 0,
}
SUBMISSION, TILES = "submission.txt", ".tiles"
CONSTANTS = {"core_frac": 0.0375, "size": 3, "class": 3}
CUTOUT = 300  # pixels along a side of the part that is drawn
COMMAND = "astrokeras sdc1"


def train(
    folder: str | os.PathLike = "sdc1",
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
    """Train a detector on the training area, and choose its score thresholds there; write `model.keras` into a folder.

    Without real files, a field is simulated into the folder, once. A training that was stopped goes on from its last
    whole epoch. The thresholds, one per prior, are those with the best score of the challenge on the training area,
    but keep a purity of 0.92 there.

    Args:
        folder: made if missing.
        data: folder with the files of `datasets.sdc1`; `None` for the simulation.
        epochs: of training; by default 60 of 1600 patches of 128 pixels, with `full` 400 of 1600 of 256 pixels.
        size: pixels along each side of the simulated field, at least 1024; 4096 by default.
        seed: of the simulation, the weights and the patches.
        precision: see `configure`.
        full: train `applications.yolo_sdc1` as CIANNA does, in place of the small detector; that is for a GPU.
        command: recorded in the file's card.
        verbose: as in `fit`.

    Returns:
        What was measured: `seconds` of training, and of the training area `train_score`, `train_purity`,
        `train_detections` with these thresholds.

    Raises:
        ValueError: if `epochs` or `size` is too small, or the loss is not finite.
        FileNotFoundError: if a real file is missing.

    Example:
        >>> from astrokeras.challenges import sdc1
        >>> sdc1.train("sdc1", size=512)
        Traceback (most recent call last):
        ValueError: Expected size >= 1024, so that the training area holds a patch; received 512.
    """
    if size is not None and size < SMALLEST:
        raise ValueError(f"Expected size >= {SMALLEST}, so that the training area holds a patch; received {size}.")
    epochs = (FULL_EPOCHS if full else EPOCHS) if epochs is None else epochs
    if epochs < 1:
        raise ValueError(f"Expected epochs >= 1; received {epochs}.")
    runtime.configure(precision, seed)
    folder = Path(folder)
    simulate = datasets.simulated_continuum_field
    field = pipeline.make_survey(folder, data, datasets.sdc1, simulate, SIZE if size is None else size, seed, verbose)
    model = applications.yolo_sdc1() if full else build()
    patches = _patches(field, model, full, seed)
    if verbose:
        plots.print_table(cost(model).table())
    settings = {"survey": survey.open_image(field.image).fingerprint, "full": full, "seed": seed}
    seconds = pipeline.fit(
        model,
        patches,
        epochs=epochs,
        optimizer=_optimizer(epochs * len(patches)),
        folder=folder,
        settings=settings | {"precision": precision},
        verbose=verbose,
    )
    thresholds, result = _tuned(model, field, verbose)
    model.score_threshold = list(thresholds.values)
    measured = {
        "seconds": round(seconds, 1),
        "train_score": result.score,
        "train_purity": result.purity,
        "train_detections": result.n_detections,
    }
    name = "a simulated field" if pipeline.is_simulation(folder, data) else str(data)
    known = {key: value for key, value in measured.items() if np.isfinite(value)}
    saving.save_model(model, folder / pipeline.MODEL, command=command, data=f"SDC1, {name}", metrics=known)
    pipeline.forget(folder)
    shutil.rmtree(folder / TILES, ignore_errors=True)  # of an earlier model
    print(f"{thresholds.describe()}\ntrained in {seconds:.0f} s\nwritten: {folder / pipeline.MODEL}")
    return measured


def detect(
    folder: str | os.PathLike = "sdc1",
    data: str | os.PathLike | None = None,
    *,
    engine: "str | Client" = "local",
    batch_size: int | None = None,
    verbose: int = 1,
) -> "QTable":
    """Scan the whole image with the detector of a folder; write `catalogue.ecsv` and `submission.txt` into it.

    A scan that was stopped goes on from its last tiles. What is not measured stands in the submission as constants:
    every source is a star-forming galaxy (class 3) without a core (fraction 0.0375).

    Args:
        folder: of `train`.
        data: folder of the real files, where it is not the survey that was trained on.
        engine: as of `survey.detect`.
        batch_size: tiles of 512 pixels that the network sees at once; 8 by default.
        verbose: as of `survey.detect`.

    Returns:
        The catalogue, as of `survey.detect`.

    Raises:
        FileNotFoundError: if there is no model, or no survey.

    Example:
        >>> from astrokeras.challenges import sdc1
        >>> sdc1.detect("nowhere")
        Traceback (most recent call last):
        FileNotFoundError: Expected nowhere/model.keras; there is no such file: run astrokeras sdc1 train first.
    """
    folder = Path(folder)
    model = pipeline.existing(folder / pipeline.MODEL, f"{COMMAND} train")
    field = pipeline.find_survey(folder, data, datasets.sdc1, "sdc1")
    table = survey.detect(
        field.image,
        model,
        batch_size=8 if batch_size is None else batch_size,
        primary_beam=field.primary_beam,
        checkpoint=folder / TILES,
        engine=engine,
        verbose=verbose,
    )
    table = with_constants(table)
    if pipeline.is_simulation(folder, data):
        table.meta["simulation"] = "this image is a simulation"
    survey.write_catalogue(table, folder / SUBMISSION, "sdc1")
    survey.write_catalogue(table, folder / pipeline.CATALOGUE)
    shutil.rmtree(folder / TILES, ignore_errors=True)
    print(f"{len(table)} sources\nwritten: {folder}/{pipeline.CATALOGUE}, {SUBMISSION}")
    return table


def score(
    folder: str | os.PathLike = "sdc1",
    data: str | os.PathLike | None = None,
    *,
    protocol: str = "official",
    verbose: int = 1,
) -> dict:
    """Score the catalogue of a folder on the image less the training area; write `report.md` and figures into it.

    Args:
        folder: of `train` and `detect`.
        data: folder of the real files, where it is not the survey that was trained on.
        protocol: `"official"` or `"physical"`, see `survey.sdc1_score`.
        verbose: 0 prints nothing.

    Returns:
        `score`, `detections`, `matches`, `purity`, `completeness` (of all true sources), `selected` (true sources that
        CIANNA's selection calls detectable), `selected_completeness`, `accuracy` (mean points of a match), and
        `accuracy_NAME` of each property.

    Raises:
        FileNotFoundError: if there is no catalogue, or no survey.
        ValueError: if the protocol is unknown.

    Example:
        >>> from astrokeras.challenges import sdc1
        >>> sdc1.score("nowhere")
        Traceback (most recent call last):
        FileNotFoundError: Expected nowhere/catalogue.ecsv; there is no such file: run astrokeras sdc1 detect first.
    """
    folder = Path(folder)
    table = survey.read_catalogue(pipeline.existing(folder / pipeline.CATALOGUE, f"{COMMAND} detect"))
    given = survey.read_catalogue(pipeline.existing(folder / SUBMISSION, f"{COMMAND} detect"), "sdc1")
    field = pipeline.find_survey(folder, data, datasets.sdc1, "sdc1")
    truth = _Truth(field)
    result = survey.sdc1_score(given, truth.table, protocol=protocol)
    selected = truth.selected & result.truth_judged
    measured = {
        "score": result.score,
        "detections": result.n_detections,
        "matches": result.n_match,
        "purity": result.purity,
        "completeness": result.completeness,
        "selected": int(selected.sum()),
        "selected_completeness": float(result.found[selected].mean()) if selected.any() else float("nan"),
        "accuracy": result.accuracy,
    } | {f"accuracy_{name}": value for name, value in result.accuracies.items()}
    simulated = pipeline.is_simulation(folder, data)
    title = f"SDC1 on {'a simulated field (a simulation: this says nothing of real ones)' if simulated else 'the sky'}"
    lines = [
        f"selected true sources outside of the training area (those that CIANNA trains on): {measured['selected']}, "
        f"found {measured['selected_completeness']:.4f}",
        f"image: {field.image.name}, {' x '.join(map(str, truth.image.shape))} pixels; detector: "
        f"{table.meta.get('model', 'unknown')} ({table.meta.get('model_hash', 'unknown')})",
    ]
    pipeline.write_report(
        folder,
        title,
        result,
        lines=lines,
        recovery=_recovery(result, table, truth),
        unit="Jy, behind the primary beam",
        figures=_figures(result, table, given, truth),
        verbose=verbose,
    )
    return measured


def build(size: int = PATCH) -> YoloDetector:
    """Build the small detector for images of so many pixels along each side, a multiple of 4.

    Its 111,847 parameters train on two CPU cores in less than half an hour; `applications.yolo_sdc1` is CIANNA's. In a
    grid of 4 pixels, a fourth of CIANNA's, hardly ever two of its sources share a cell.

    Example:
        >>> from astrokeras.challenges import sdc1
        >>> sdc1.build(64).output_shape  # 3 boxes of 8 + 5 columns in a grid of 4 pixels
        (None, 16, 16, 39)
    """
    net = Network((size, size, 1), activation="relu_leaky", name="sdc1_small")
    net.stretch(scale=2 * NOISE, function="asinh")
    net.conv(16, 5, strides=2).conv(32, 3)
    net.conv(48, 2, strides=2, padding="valid").conv(64, 3).conv(96, 3)
    net.norm(4)
    net.conv(128, 1)
    net.yolo(PRIORS, 0, PARAMETERS, loss=LOSS, slopes=SLOPES, score_threshold=0.3, nms_threshold=0.05)
    return net.build()


def with_constants(table: "QTable") -> "QTable":
    """Return a catalogue with what the challenge asks for and the detector does not measure.

    Sizes are what the truth calls those of an exponential disc (`size` 3), as they were learned from, of class 3.

    Example:
        >>> from astropy.table import QTable
        >>> from astrokeras.challenges import sdc1
        >>> sdc1.with_constants(QTable({"id": [0, 1]}))["size"].tolist()
        [3, 3]
    """
    table = table.copy()
    for name, value in CONSTANTS.items():
        table[name] = np.full(len(table), value)
    return table


def _patches(field, model: YoloDetector, full: bool, seed: int) -> FieldPatches:
    """Return the patches to train on: CIANNA's, or those of the small network, which learns fainter sources."""
    if full:
        return datasets.sdc1_patches(field, model.input_shape[1], patches=PATCHES, batch_size=FULL_BATCH, seed=seed)
    image = FitsWindows(field.image)
    window = training_window(image)
    boxes, params = _objects(field, image)
    inside = touching(boxes, window)
    boxes, params = boxes[inside], params[inside]
    if not len(boxes):
        raise ValueError(f"Expected sources to train on in the training area of {field.image}; none is bright enough.")
    side = model.input_shape[1]
    return FieldPatches(
        image,
        boxes,
        params,
        PARAMETERS,
        size=(side, side),
        area=window,
        patches=PATCHES,
        batch_size=BATCH,
        seed=seed,
    )


def _objects(field, image: FitsWindows) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes and params of the sources whose peak, seen with the beam, is well above the noise."""
    table = datasets.sdc1_catalogue(getattr(field, "training", field.truth))
    names = ("ra_core", "dec_core", "flux", "b_maj", "b_min", "pa", "size")
    ra, dec, flux, major, minor, pa, kind = (np.asarray(table[name]) for name in names)
    flux = flux * (primary_beam_at(field.primary_beam, ra, dec) if field.primary_beam else 1)
    # To the full width of a Gaussian, as the score turns one kind of size into another.
    factor = np.select([kind == 1, kind == 3], [2.355 / 5, np.sqrt(2)], 1.0)
    spread = np.hypot(BEAM, factor * major) * np.hypot(BEAM, factor * minor) / BEAM**2
    kept = flux > FAINTEST * NOISE * spread
    ra, dec, flux, major, minor, pa = (values[kept] for values in (ra, dec, flux, major, minor, pa))
    boxes = datasets.sdc1_boxes(*sky_to_pixels(image.header, ra, dec), major, minor, pa)
    columns = [
        np.clip(values, 1.01 * parameter.range[0], 0.99 * parameter.range[1])
        for values, parameter in zip((flux, major, minor), PARAMETERS, strict=False)
    ]
    return boxes, np.stack([*columns, 90 - (90 + pa) % 180], axis=1).astype("float32")  # from x towards y: -pa


def _optimizer(steps: int) -> keras.optimizers.Optimizer:
    """Return Adam with a warm-up, its rate falling along half a cosine."""
    rate = keras.optimizers.schedules.CosineDecay(
        RATE / 20, steps, alpha=0.02, warmup_target=RATE, warmup_steps=max(1, steps // 25)
    )
    return keras.optimizers.Adam(rate)


def _tuned(model: YoloDetector, field, verbose: int) -> tuple[survey.Thresholds, survey.ChallengeScore]:
    """Return the thresholds that serve the score best on the training area, and the score there."""
    from tempfile import TemporaryDirectory

    table = with_constants(
        survey.detect(
            _around_training(field.image),
            model,
            score_threshold=FLOOR,
            primary_beam=field.primary_beam,
            verbose=min(verbose, 1),
        )
    )
    truth = datasets.sdc1_catalogue(field.training)

    def judge(rows):
        with TemporaryDirectory() as scratch:
            path = survey.write_catalogue(rows, Path(scratch) / SUBMISSION, "sdc1")
            return survey.sdc1_score(path, truth, area="train")

    priors = len(model.settings.priors)
    thresholds = survey.tune_thresholds(table, judge, priors=priors)
    result = judge(table[thresholds.keep(table)])
    if not result.purity >= PURITY:
        thresholds = survey.tune_thresholds(table, judge, "purity", PURITY, priors=priors)
        result = judge(table[thresholds.keep(table)])
    return thresholds, result


def _around_training(path: Path) -> survey.SurveyImage:
    """Return the training area of an image and a margin."""
    image = survey.open_image(path)
    area = zip(training_window(FitsWindows(path)), image.shape, strict=True)
    return image.part([(max(0, low - MARGIN), min(size, high + MARGIN)) for (low, high), size in area])


class _Truth:
    """The true sources of a field: the table, places in pixels, fluxes as the image shows them, which are selected."""

    def __init__(self, field):
        self.image = FitsWindows(field.image)
        self.path = field.image
        self.table = datasets.sdc1_catalogue(field.truth)
        ra, dec = (np.asarray(self.table[name]) for name in ("ra_core", "dec_core"))
        self.x, self.y = sky_to_pixels(self.image.header, ra, dec)
        beam = primary_beam_at(field.primary_beam, ra, dec) if field.primary_beam else 1
        self.flux = np.asarray(self.table["flux"]) * beam
        self.selected = datasets.sdc1_selection(self.flux, self.table["b_maj"], self.table["b_min"])


def _recovery(result, table: "QTable", truth: _Truth) -> Mapping[str, np.ndarray]:
    found = table["apparent_flux" if "apparent_flux" in table.colnames else "flux"].to_value("Jy")
    true = np.where(result.truth_judged, truth.flux, np.nan)
    return plots.recovery_by_flux(true, np.where(result.judged, found, np.nan), result.truth_rows, result.rows)


def _figures(result, table: "QTable", given: "QTable", truth: _Truth) -> dict:
    """Draw the parameters of the matches, and a part of the image."""
    units = {"flux": "Jy", "b_maj": "arcsec", "b_min": "arcsec", "pa": "deg"}
    pairs = [
        {name: np.asarray(columns[name])[rows] for name in units}
        for columns, rows in ((truth.table, result.truth_rows), (given, result.rows))
    ]
    low = [int(0.3 * size) for size in truth.image.shape]
    window = [(start, min(start + CUTOUT, size)) for start, size in zip(low, truth.image.shape, strict=True)]
    image = survey.open_image(truth.path)
    boxes = np.stack([np.asarray(table[name].value) for name in ("x_min", "y_min", "x_max", "y_max")], axis=1)
    missed = truth.selected & ~result.found
    return {
        "parameters": plots.predicted_against_true(*pairs, units, {"pa": 180}, "SDC1"),
        "sources": plots.sources_on_image(
            image.read(window),
            boxes,
            result.matched,
            np.stack([truth.x, truth.y], axis=1)[missed],
            corner=(window[1][0], window[0][0]),
            title=f"{truth.path.name} (missed: of the selected ones)",
        ),
    }
