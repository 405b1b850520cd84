"""What the YOLO loss and the decoding cost beside the network itself: medians of interleaved pairs.

    python benchmarks/yolo_step.py [--pairs 20] [--write]

Training: a step of `yolo_voc` (batch 16, 56 objects an image) and of `yolo_sdc1` (batch 16, 256 x 256, 340 objects)
against the same network with the mean squared error of the same output. Detection: decoding and suppression of a
512 x 512 tile of `yolo_sdc1` with 500 boxes above the threshold against its forward pass.
"""

import argparse
import time

import keras
import numpy as np
from machine import write

import astrokeras
from astrokeras import applications


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--write", action="store_true", help="write the table into results/")
    arguments = parser.parse_args()
    astrokeras.configure(arguments.precision, seed=0)
    rows = [
        training("yolo_voc", applications.yolo_voc, (288, 288, 3), 56, 20, 1.10, arguments.pairs),
        training("yolo_sdc1", applications.yolo_sdc1, (256, 256, 1), 340, 0, 1.25, arguments.pairs),
        detection(arguments.pairs),
    ]
    head = "| what | with YOLO, s | without, s | ratio (median of pairs) | asked |\n| --- | --- | --- | --- | --- |"
    table = "\n".join([head, *rows])
    print(table)
    if arguments.write:
        options = f"--pairs {arguments.pairs} --precision {arguments.precision}"
        print(
            write(
                "yolo-step", "Cost of the YOLO loss and of decoding", f"python benchmarks/yolo_step.py {options}", table
            )
        )


def training(name: str, build, shape, objects: int, classes: int, asked: float, pairs: int) -> str:
    rng = np.random.default_rng(0)
    size = np.array(shape[1::-1])
    x = rng.random((16, *shape), "float32")
    low = rng.random((16, objects, 2)) * (size - 24)
    targets = {
        "boxes": np.concatenate([low, low + rng.uniform(6, 24, low.shape)], -1).astype("float32"),
        "labels": rng.integers(0, max(classes, 1), (16, objects)).astype("int32"),
    }
    detector = build(shape)
    if detector.box_parameters:
        targets["params"] = np.tile(np.float32([1e-5, 5, 3, 20]), (16, objects, 1))
    plain = keras.models.clone_model(keras.Model(detector.inputs[0], detector.outputs[0]))
    detector.compile("sgd")
    plain.compile("sgd", loss="mse")
    zeros = np.zeros((16, *detector.output_shape[1:]), "float32")
    times = interleaved(lambda: detector.train_on_batch(x, targets), lambda: plain.train_on_batch(x, zeros), pairs)
    return row(f"training step of {name}", times, asked)


def detection(pairs: int) -> str:
    model = applications.yolo_sdc1((512, 512, 1))
    x = np.random.default_rng(0).random((1, 512, 512, 1), "float32") * 4e-5
    grid = model.predict(x, verbose=0)
    scores = np.sort(grid.reshape(*grid.shape[:-1], 9, -1)[..., 7], axis=None)
    floor = float(scores[-500])
    decode = lambda: model._decode(grid[0], np.full(9, floor, "float32"), 0.05, None, None)  # noqa: E731
    print("detections after suppression:", len(decode()))
    seconds = interleaved(decode, lambda: model.predict_on_batch(x), pairs)
    return row("decoding and suppression of a 512 x 512 tile, 500 boxes", seconds, 0.02)


def interleaved(first, second, pairs: int) -> np.ndarray:
    """Return seconds `(pairs, 2)`, the order of each pair alternating, after two runs to warm up."""
    times = np.zeros((pairs, 2))
    for _ in range(2):
        first(), second()
    for pair in range(pairs):
        for which in (0, 1) if pair % 2 else (1, 0):
            start = time.perf_counter()
            (first, second)[which]()
            times[pair, which] = time.perf_counter() - start
    return times


def row(what: str, times: np.ndarray, asked: float) -> str:
    seconds, ratio = np.median(times, axis=0), np.median(times[:, 0] / times[:, 1])
    return f"| {what} | {seconds[0]:.4f} | {seconds[1]:.4f} | {ratio:.3f} | <= {asked} |"


if __name__ == "__main__":
    main()
