"""From classifier to detector, as the course tells it: train on cutouts of simulated scenes, then slide over scenes.

    python recipes/scene_cutouts.py [--out scene_cutouts.keras]

The set-up is the slide's at half the size: scenes of 144 pixels, windows of 144, 72 and 36 pixels. A few minutes on two
cores. Prints the accuracy on the objects and the recall of the background on cutouts of other scenes, then the mean
average precision of the detector on these scenes, and draws the first one. Chunks with a part of an object are neither
among the training cutouts nor among the empty ones; that the classifier takes them for objects costs most precision.
"""

import argparse
import time
from pathlib import Path

import keras
import numpy as np

import astrokeras
from astrokeras import boxes, datasets, metrics, plots

SIZE, CUTOUT = 144, 48
WINDOWS, STRIDES = (144, 72, 36), (0, 36, 18)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default="scene_cutouts.keras")
    parser.add_argument("--scenes", type=int, default=1500)
    parser.add_argument("--cutouts", type=int, default=12_000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    astrokeras.configure(seed=options.seed)
    scenes = {"size": SIZE, "objects": (1, 4), "shape_size": (0.22, 0.5), "seed": options.seed}
    train, test = datasets.simulated_scenes(options.scenes, 300, **scenes)

    classifier = build(len(train.class_names))
    images, labels = datasets.cutouts(train, CUTOUT, count=options.cutouts, seed=options.seed)
    steps = options.epochs * -(-len(images) // 64)
    classifier.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    start = time.perf_counter()
    classifier.fit(images, labels, batch_size=64, epochs=options.epochs, verbose=2)
    print(f"{len(images)} cutouts, {options.epochs} epochs in {time.perf_counter() - start:.0f} s")

    images, labels = datasets.cutouts(test, CUTOUT, validation=True, background=0.5)
    answers = classifier.predict(images, verbose=0).argmax(axis=1)
    empty = labels == len(train.class_names)
    print(f"accuracy on {np.sum(~empty)} objects: {100 * np.mean(answers[~empty] == labels[~empty]):.2f} %")
    print(f"recall of {np.sum(empty)} empty cutouts: {100 * np.mean(answers[empty] == labels[empty]):.2f} %")

    detector = astrokeras.models.SlidingWindowDetector(classifier, WINDOWS, STRIDES, class_names=train.class_names)
    astrokeras.save_model(detector, options.out)
    start = time.perf_counter()
    found = detector.detect(test.images, score_threshold=0.01)
    print(f"{len(test)} scenes in {time.perf_counter() - start:.1f} s")
    for threshold in (0.5, 0.3):  # windows of three sizes seldom fit well
        metric = metrics.MeanAveragePrecision("voc", iou_thresholds=threshold, class_names=train.class_names)
        metric.update_state(test.objects, found)
        print(metric.result().describe())
    windows = detector.window_boxes(test.images.shape[1:])
    best = [boxes.iou(windows[:, None], one["boxes"][None]).max(axis=0) for one in test.objects]
    print(f"share of objects with a window that overlaps by 0.5: {np.mean(np.concatenate(best) >= 0.5):.3f}")
    shown = found[0][found[0].scores > 0.9]
    plots.detections(test.images[0], shown, test.objects[0]).savefig(options.out.with_suffix(".png"), dpi=100)


def build(classes: int) -> keras.Model:
    """A small relative of `applications.voc_cutout_classifier`."""
    net = astrokeras.Network((CUTOUT, CUTOUT, 3), name="scene_cutouts")
    net.rescale(100, 155)
    for filters in (16, 32, 64, 128):
        net.conv(filters, 3).norm(4).pool(2)
    net.conv(256, 3).norm(8)
    net.conv(classes + 1, 1, activation="linear", name="classes")
    return net.global_pool("average", activation="softmax").build()


if __name__ == "__main__":
    main()
