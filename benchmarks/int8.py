"""8-bit integers against float32: speed and answers of Keras, ONNX Runtime and LiteRT, in one process.

python benchmarks/int8.py --mnist mnist.npz --detector yolo_voc_bccd.keras --bccd BCCD_FOLDER

Speed: interleaved rounds, each variant runs once to warm up and once against the clock; ratios are medians over the
rounds. "leaky" is the same network without the saturation of `relu_leaky` at 800, which the integer networks leave out
too. Answers: the share of MNIST's test images with the same class as in float32, and the mAP of a detector on the val
and test parts of BCCD (a file of recipes/bccd_detectors.py), calibrated with images of the train parts.
"""

import argparse
import dataclasses
import importlib.metadata
import statistics
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
from machine import write

import astrokeras
from astrokeras import applications, datasets, metrics
from astrokeras.export import export, float32_clone
from astrokeras.quantization import quantize

RUNTIMES = {"ONNX Runtime": ("onnx", ".onnx"), "LiteRT": ("litert", ".tflite")}
SCORE = 0.01


def variants(model, calibration, folder: Path) -> dict:
    """Return name -> function of a batch."""
    plain, leaky = float32_clone(model), float32_clone(model, saturation=False)
    found = {"Keras float32": plain.predict_on_batch, "Keras float32, leaky": leaky.predict_on_batch}
    for name, (runtime, suffix) in RUNTIMES.items():
        exported = {
            "float32": export(model, folder / f"{model.name}{suffix}", runtime),
            "float32, leaky": export(model, folder / f"{model.name}-leaky{suffix}", runtime, saturation=False),
            "INT8": quantize(model, calibration, folder / f"{model.name}-int8{suffix}", runtime),
        }
        found |= {f"{name} {kind}": one for kind, one in exported.items()}
    return {name: getattr(one, "predict", one) for name, one in found.items()}


def seconds(function, batch) -> float:
    function(batch)
    start = time.perf_counter()
    function(batch)
    return time.perf_counter() - start


def speed(name: str, model, batch_size: int, rounds: int, folder: Path, images=None) -> str:
    rng = np.random.default_rng(0)
    if images is None:
        images = (rng.random((max(batch_size, 16), *model.input_shape[1:])) * 255).astype("float32")
    functions = variants(model, images[:8], folder)
    batch = np.resize(images, (batch_size, *images.shape[1:]))
    times = {variant: [] for variant in functions}
    for number in range(rounds):
        for variant in list(functions)[:: 1 if number % 2 == 0 else -1]:
            times[variant].append(seconds(functions[variant], batch))

    def ratio(below: str, above: str) -> str:
        return f"{statistics.median(b / a for a, b in zip(times[below], times[above], strict=True)):.2f}"

    rows = []
    for variant, found in times.items():
        runtime = variant.partition(" float32")[0].partition(" INT8")[0]
        compared = [ratio(variant, f"{runtime} float32"), ratio(variant, f"{runtime} float32, leaky")]
        compared.append(ratio(variant, "Keras float32"))
        rate = batch_size / statistics.median(found)
        rows.append(f"| {name}, batch {batch_size} | {variant} | {rate:.1f} | {' | '.join(compared)} |")
    return "\n".join(rows)


def agreement(path: str, folder: Path) -> str:
    with np.load(path) as data:
        train, x, y = data["x_train"][:256], data["x_test"], data["y_test"]
    train, x = ((images[..., None] / 255).astype("float32") for images in (train, x))
    model = applications.lenet5(weights="mnist")
    answers = model.predict(x, batch_size=500, verbose=0).argmax(axis=1)
    rows = ["| lenet5 on MNIST, 10 000 test images | same class as Keras float32 | accuracy | bytes |"]
    rows += ["| --- | ---: | ---: | ---: |", f"| Keras float32 | 100 % | {np.mean(answers == y):.4f} | |"]
    for name, (runtime, suffix) in RUNTIMES.items():
        whole = export(model, folder / f"lenet5{suffix}", runtime)
        small = quantize(model, train, folder / f"lenet5-int8{suffix}", runtime)
        for kind, one in (("float32", whole), ("INT8", small)):
            found = one.predict(x, batch_size=500).argmax(axis=1)
            same, right = np.mean(found == answers), np.mean(found == y)
            rows.append(f"| {name} {kind} | {100 * same:.2f} % | {right:.4f} | {one.size:,} |")
    return "\n".join(rows)


def detector_scores(model, bccd: str, part: str, examples: int, folder: Path) -> str:
    train, test = (datasets.voc_folder(bccd, part) for part in ("train", part))
    size = model.input_shape[1]
    calibration = np.stack(train.resized(size).images[:examples]).astype("float32")
    small = test.resized(size)
    images = np.stack(small.images).astype("float32")
    whole = float32_clone(model)
    outputs = {"Keras float32": whole.predict(images, batch_size=8, verbose=0)}
    for name, (runtime, suffix) in RUNTIMES.items():
        exported = quantize(model, calibration, folder / f"detector-int8{suffix}", runtime)
        outputs[f"{name} INT8"] = exported.predict(images, batch_size=8)
    rows = [
        f"| {model.name} on BCCD, {len(images)} images of {part} | mAP@50, VOC | mAP@50-95, COCO | "
        "lower by, VOC | lower by, COCO |"
    ]
    rows.append("| --- | ---: | ---: | ---: | ---: |")
    first = None
    for name, grid in outputs.items():
        scores = [one_score(model, test, small, grid, protocol) for protocol in ("voc", "coco")]
        first = first or scores
        lower = [a - b for a, b in zip(first, scores, strict=True)]
        rows.append(f"| {name} | {scores[0]:.4f} | {scores[1]:.4f} | {lower[0]:+.4f} | {lower[1]:+.4f} |")
    return "\n".join(rows)


def one_score(model, test, small, grid, protocol: str) -> float:
    found = model.decode(grid, score_threshold=SCORE)
    found = [
        dataclasses.replace(one, boxes=small.to_original(i, one.boxes).astype("float32")) for i, one in enumerate(found)
    ]
    metric = metrics.MeanAveragePrecision(protocol, class_names=test.class_names)
    metric.update_state(test.objects, found)
    return metric.result().scores["map"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", help="mnist.npz")
    parser.add_argument("--detector", nargs="*", default=[], help=".keras files of recipes/bccd_detectors.py")
    parser.add_argument("--bccd", help="folder of BCCD")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, nargs="*", default=[1, 16])
    parser.add_argument("--calibration", type=int, default=64, help="images of the detector's calibration")
    parser.add_argument("--trial", action="store_true", help="print, but write no result")
    options = parser.parse_args()
    keras.utils.set_random_seed(0)
    heading = "| network | runtime | images/s | x float32 | x float32, leaky | x Keras float32 |"
    parts, rows = [], [heading, "| --- | --- | ---: | ---: | ---: | ---: |"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for batch in options.batch:
            for build in (applications.yolo_voc, applications.voc_cutout_classifier):
                rows.append(speed(build.__name__, build(), batch, options.rounds, folder))
        parts.append("\n".join(rows))
        if options.mnist:
            parts.append(agreement(options.mnist, folder))
        for file in options.detector if options.bccd else []:
            model = astrokeras.load_model(file)
            for part in ("val", "test"):
                parts.append(detector_scores(model, options.bccd, part, options.calibration, folder))
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    vnni = "has" if "vnni" in flags else "lacks"
    packages = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("onnxruntime", "ai-edge-litert"))
    parts.append(
        f"{options.rounds} interleaved rounds; medians. The processor {vnni} VNNI. Factors above 1 are faster than "
        f"what stands in the heading (the same runtime's float32). {packages}."
    )
    arguments = [f"--rounds {options.rounds}"] + (["--mnist mnist.npz"] if options.mnist else [])
    if options.detector and options.bccd:
        names = " ".join(Path(file).name for file in options.detector)
        arguments.append(f"--detector {names} --bccd BCCD --calibration {options.calibration}")
    table = "\n\n".join(parts)
    if options.trial:
        print(table)
    else:
        command = f"python benchmarks/int8.py {' '.join(arguments)}"
        print(write("int8", "8-bit integers against float32", command, table).read_text())


if __name__ == "__main__":
    main()
