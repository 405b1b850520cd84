"""The main job, shown on simulated radio fields: build a detector, train, detect, judge, save, reopen elsewhere."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import rich.console
import rich.progress

from astrokeras import boxes, datasets, metrics, plots, runtime, saving
from astrokeras.cost import cost
from astrokeras.detections import Detections
from astrokeras.models import YoloDetector
from astrokeras.network import Network

EPOCHS = 12
FIELDS = 1200  # to train on
VALIDATION = 100  # to choose the score threshold on
SIZE, HELD_OUT = 128, 512  # pixels along each side of these, and of the field that is held out
SOURCES = (10, 40)  # per field of 128 pixels
SNR = 5.0
NOISE = 2.6e-7  # Jy/beam
BATCH = 8
IOU = 0.5  # from which overlap on a source counts as found
PRIORS = ((6, 6), (6, 6), (6, 6), (12, 8), (8, 12))
LOSS = {
    "iou": "diou",
    "prior_distance": "offset",
    "scales": {"position": 36.0, "size": 4.0, "probability": 0.5, "objectness": 2.0, "params": 5.0},
    "param_scales": (2.0, 2.0, 1.0, 0.5),
    "limits": {"good": 0.5, "low_best": -0.1, "probability": -0.3, "objectness": -0.3, "params": -0.1},
    "noobj": (0.15, 0.15, 0.15, 0.05, 0.05),
    "random_startup": 0,
}
FILES = ("radio_sources.keras", "catalogue.ecsv", "detections.png", "report.md")
REOPEN = """
import sys, numpy, astrokeras
found = astrokeras.load_model(sys.argv[1]).detect(numpy.load(sys.argv[2]))[0]
numpy.savez(sys.argv[3], boxes=found.boxes, scores=found.scores, params=found.params)
"""


def demo(folder: str | os.PathLike = "demo", epochs: int = EPOCHS, verbose: int = 1) -> dict:
    """Run the demonstration; write the detector, the catalogue, a figure and a report into a folder.

    A small YOLO learns from simulated radio fields of 128 pixels and detects in one of 512 pixels that it has not seen.
    Its score threshold is chosen on other fields.

    Args:
        folder: made if missing; `radio_sources.keras`, `catalogue.ecsv`, `detections.png` and `report.md` in it are
            replaced once all is done.
        epochs: of training.
        verbose: as in `fit`.

    Returns:
        What was measured on that field: `purity`, `purity_with_faint` (where detections of fainter sources are right,
        too), `completeness`, `average_precision`, `objects`, `detections`, the median errors `flux_error`, `bmaj_error`
        (relative) and `angle_error` (degrees; NaN where nothing was found), `seconds` of training, `difference` of the
        reopened detector in pixels.

    Raises:
        ValueError: if `epochs` is below 1.
        FileExistsError: if `folder` is a file.
        RuntimeError: if the reopened detector does not detect the same.
    """
    console = rich.console.Console()
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"Expected a folder to write the demo to; {folder} is a file: choose another --out.")
    if epochs < 1:
        raise ValueError(f"Expected epochs >= 1; received {epochs}.")
    runtime.configure("auto", seed=0)
    console.print(f"[bold]1. Simulate[/] {FIELDS} radio fields with sources, their fluxes, sizes and angles")
    train, validation = datasets.simulated_radio_fields(FIELDS, VALIDATION, size=SIZE, **_sky(SIZE))
    sky = _sky(HELD_OUT)
    _, held_out = datasets.simulated_radio_fields(1, 1, size=HELD_OUT, seed=1, **sky)
    _, with_faint = datasets.simulated_radio_fields(1, 1, size=HELD_OUT, seed=1, **sky | {"snr": 0})
    model = build(SIZE)
    console.print("[bold]2. Build[/] a small YOLO that also predicts flux, major and minor axis, and angle")
    plots.print_table(cost(model).table())
    console.print(f"[bold]3. Train[/] it ({epochs} epochs)")
    seconds = _train(model, train, epochs, verbose)
    console.print(f"[bold]4. Detect[/] in a field of {HELD_OUT} x {HELD_OUT} pixels that it has not seen, and judge")
    detector = build(HELD_OUT, _best_threshold(model, validation))
    detector.set_weights(model.get_weights())
    measured, found = _judge(detector, held_out, with_faint)
    measured["seconds"] = round(seconds, 1)
    console.print(_describe(measured, detector.score_threshold))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".demo-") as scratch:
        paths = [Path(scratch) / name for name in FILES]
        console.print("[bold]5. Save[/] it and [bold]reopen[/] the file in another process")
        scores = {name: value for name, value in measured.items() if np.isfinite(value)}
        saving.save_model(
            detector,
            paths[0],
            command="astrokeras demo",
            data="simulated_radio_fields",
            metrics=scores,
            names=["source"],
        )
        measured["difference"] = _reopen(paths[0], held_out.images, found)
        found.to_table().write(paths[1])
        _figure(held_out, found).savefig(paths[2], dpi=150)
        paths[3].write_text(_report(measured, detector.score_threshold, paths[0], epochs))
        folder.mkdir(exist_ok=True)
        for path in paths:
            os.replace(path, folder / path.name)
    console.print(
        f"trained in {seconds:.0f} s; reopened elsewhere, its boxes differ by at most {measured['difference']:.1e} "
        f"pixels\nwritten: {folder}/{', '.join(FILES)}"
    )
    return measured


def build(size: int, score_threshold: float = 0.5) -> YoloDetector:
    """Build the demo's detector for fields of so many pixels along each side, a multiple of 8.

    Example:
        >>> from astrokeras.demo import build
        >>> build(64).output_shape  # 5 boxes of 8 + 5 columns in a grid of 8 pixels
        (None, 8, 8, 65)
    """
    net = Network((size, size, 1), activation="relu_leaky", name="radio_sources")
    net.stretch(scale=2 * NOISE, function="asinh")
    net.conv(16, 5, strides=2).conv(32, 3)
    net.conv(48, 2, strides=2, padding="valid").conv(64, 3)
    net.conv(96, 2, strides=2, padding="valid").conv(128, 3)
    net.norm(4)
    net.conv(128, 1)
    parameters = datasets.RADIO_PARAMETERS
    net.yolo(PRIORS, 0, parameters, loss=LOSS, score_threshold=score_threshold, nms_threshold=0.3)
    return net.build()


def _sky(size: int) -> dict:
    """Arguments of the simulation: as many sources per area in fields of any size."""
    return {"sources": tuple(count * (size // SIZE) ** 2 for count in SOURCES), "snr": SNR, "noise": NOISE}


def _train(model: YoloDetector, train, epochs: int, verbose: int) -> float:
    """Train, and return the seconds that it took."""
    steps = epochs * -(-len(train) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(
        2e-4, steps, alpha=0.2, warmup_target=2e-3, warmup_steps=max(1, steps // 20)
    )
    model.compile(keras.optimizers.Adam(rate))
    begun = time.perf_counter()
    with rich.progress.Progress(*rich.progress.Progress.get_default_columns(), disable=verbose != 1) as progress:
        bar = progress.add_task("training", total=steps)

        def advance(batch, logs):
            progress.update(bar, advance=1, description=f"loss {logs['loss']:.2f}, IoU {logs['mean_iou']:.2f}")

        watch = keras.callbacks.LambdaCallback(on_train_batch_end=advance)
        lines = 2 if verbose == 2 else 0
        model.fit(train.images, train.targets(), batch_size=BATCH, epochs=epochs, verbose=lines, callbacks=[watch])
    return time.perf_counter() - begun


def _best_threshold(model: YoloDetector, validation) -> float:
    """Return the score above which the harmonic mean of purity and completeness is largest."""
    curve = _scored(validation.objects, model.detect(validation.images, score_threshold=0.05)).curves[0]
    purity, completeness = curve["precision"], curve["recall"]
    if not purity.any():
        return model.score_threshold
    return float(curve["scores"][np.argmax(purity * completeness / np.maximum(purity + completeness, 1e-9))])


def _judge(detector: YoloDetector, held_out, with_faint) -> tuple[dict, Detections]:
    """Return what is measured, and the detections above the detector's threshold.

    The second set is the same field with the sources that are too faint to be objects.
    """
    truth = held_out.objects[0]
    everything = detector.detect(held_out.images, score_threshold=0.05)
    found = detector.detect(held_out.images)[0]
    curve = _scored(held_out.objects, [found]).curves[0]
    overlap = boxes.iou(found.boxes[:, None], truth["boxes"][None])  # (found, true)
    right = overlap.max(axis=1) >= IOU
    params, expected = found.params[right], truth["params"][overlap.argmax(axis=1)[right]]
    relative = np.abs(params[:, :2] / expected[:, :2] - 1)
    turn = np.abs((params[:, 3] - expected[:, 3] + 90) % 180 - 90)
    long = (expected[:, 1] > 1.5 * expected[:, 2]) & (expected[:, 1] > 3)  # elongated, and larger than two beams
    measured = {
        "purity": _last(curve["precision"]),
        "purity_with_faint": _last(_scored(with_faint.objects, [found]).curves[0]["precision"]),
        "completeness": _last(curve["recall"]),
        "average_precision": float(_scored(held_out.objects, everything).map),
        "objects": len(truth["boxes"]),
        "detections": len(found),
        "flux_error": _median(relative[:, 0]),
        "bmaj_error": _median(relative[:, 1]),
        "angle_error": _median(turn[long]),
    }
    return measured, found


def _scored(objects: list[dict], found: list[Detections]) -> metrics.AveragePrecision:
    metric = metrics.MeanAveragePrecision("voc", iou_thresholds=IOU, class_names=["source"])
    metric.update_state(objects, found)
    return metric.result()


def _last(values: np.ndarray) -> float:
    return float(values[-1]) if len(values) else 0.0


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def _figure(held_out, found: Detections):
    """Draw the field, its noise stretched to see the faint, with what was found and what is there."""
    image = np.arcsinh(held_out.images[0] / (2 * NOISE))
    return plots.detections(
        image, found, held_out.objects[0], ["source"], origin="lower", title="simulated radio field"
    )


def _reopen(path: Path, images: np.ndarray, found: Detections) -> float:
    """Let a fresh process open the file and detect; return the largest difference of its boxes in pixels."""
    given, answered = path.with_name("field.npy"), path.with_name("found.npz")
    np.save(given, images)
    subprocess.run([sys.executable, "-c", REOPEN, path, given, answered], check=True, capture_output=True)
    with np.load(answered) as again:
        same = len(again["scores"]) == len(found) and np.allclose(again["params"], found.params, rtol=1e-3, atol=1e-9)
        difference = float(np.abs(again["boxes"] - found.boxes).max(initial=0)) if same else float("inf")
    if not difference < 1e-2:
        raise RuntimeError(
            f"The reopened detector detects differently, by {difference:.1e} pixels: please report this."
        )
    return difference


def _describe(measured: dict, threshold: float) -> str:
    return (
        f"purity {measured['purity']:.3f}, completeness {measured['completeness']:.3f}, average precision "
        f"{measured['average_precision']:.3f} ({measured['detections']} detections with a score from {threshold:.2f} "
        f"on, {measured['objects']} sources from {SNR:g} times the noise on, boxes right from IoU {IOU:g} on)\n"
        f"purity {measured['purity_with_faint']:.3f} if the fainter sources in the map count, too\n"
        f"median errors: flux {100 * measured['flux_error']:.0f} %, major axis {100 * measured['bmaj_error']:.0f} %, "
        f"position angle of long sources {measured['angle_error']:.0f} degrees"
    )


def _report(measured: dict, threshold: float, path: Path, epochs: int) -> str:
    facts = "\n".join(f"| {key} | {value} |" for key, value in runtime.report().items())
    card = json.dumps(saving.read_card(path), indent=1)
    results = "\n".join(f"- {line}" for line in _describe(measured, threshold).splitlines())
    return (
        "# astrokeras demo\n\n"
        f"A small YOLO on simulated radio fields (a simulation: this says nothing of real ones), {epochs} epochs on "
        f"{FIELDS} fields of {SIZE} pixels, judged on one of {HELD_OUT} pixels with {measured['objects']} sources.\n\n"
        f"{results}\n"
        f"- training: {measured['seconds']} s\n"
        f"- reopened in another process: boxes differ by at most {measured['difference']:.1e} pixels\n\n"
        "![detections: solid, truth: dashed](detections.png)\n\n"
        "Open the catalogue: `astropy.table.QTable.read('catalogue.ecsv')`; the detector:\n"
        "`astrokeras.load_model('radio_sources.keras')`. Its card says\n\n"
        f"```json\n{card}\n```\n\n## This machine\n\n| what | value |\n| --- | --- |\n{facts}\n"
    )
