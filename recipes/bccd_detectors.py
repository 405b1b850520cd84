"""Train detectors of blood cells on BCCD from scratch, and judge them on its test images.

    python recipes/bccd_detectors.py yolo_voc --data BCCD_FOLDER --out yolo_voc_bccd.keras
    python recipes/bccd_detectors.py fine --data BCCD_FOLDER --out fine_bccd.keras

BCCD (Shenggan/BCCD_Dataset, MIT) is a folder in VOC layout. Priors and settings come from its train part, `--judge val`
looks at the val part; the test part is for the end. A run that was stopped goes on from its last epoch.
"""

import argparse
import dataclasses
import sys
import time
from pathlib import Path

import keras
import numpy as np

import astrokeras
from astrokeras import applications, augmentation, boxes, datasets, metrics, plots
from astrokeras.applications.yolo import NMS, SLOPES, photograph_settings

SCORE = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detector", choices=sorted(DETECTORS))
    parser.add_argument("--data", required=True, help="folder of BCCD")
    parser.add_argument("--out", required=True, type=Path, help=".keras file")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--judge", default="test", choices=("val", "test"))
    parser.add_argument("--precision", default="mixed_bfloat16")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    recipe = DETECTORS[arguments.detector]
    epochs = arguments.epochs or recipe["epochs"]
    astrokeras.configure(arguments.precision, seed=arguments.seed)
    train, judged = (datasets.voc_folder(arguments.data, split) for split in ("train", arguments.judge))

    seconds = 0.0
    if not arguments.out.exists():
        seconds = fit(recipe, train, epochs, arguments.seed, arguments.out)
    model = astrokeras.load_model(arguments.out)
    judge(model, judged, arguments.out.with_suffix(".png"))
    print(
        f"{arguments.detector}: {epochs} epochs in {seconds:.0f} s, {model.count_params():,} parameters;",
        " ".join(sys.argv),
    )


def fit(recipe: dict, train, epochs: int, seed: int, out: Path) -> float:
    """Train one detector, save it, and return the seconds that it took."""
    size, canvas = recipe["size"], recipe["canvas"]
    small = train.resized(size)  # what the detector will see
    priors = boxes.kmeans_priors(np.concatenate([one["boxes"] for one in small.objects]), recipe["priors"], seed=seed)
    priors = [[float(round(side)) for side in prior] for prior in priors]
    print("priors:", priors)
    colours = augmentation.images(contrast=0.2, hue=6, saturation=20, value=10)
    moves = augmentation.fields(
        crop=size, zoom=tuple(size / canvas * factor for factor in recipe["scales"]), visible=0.4
    )

    def augment(image, objects, seed):
        return moves(colours(image[None], seed)[0], objects, seed)

    batches = datasets.DetectionDataset(
        train.resized(canvas),
        batch_size=recipe["batch_size"],
        augmentation=augment,
        seed=seed,
        workers=2,
        max_queue_size=8,
    )
    model = recipe["build"](priors, train.class_names)
    steps = epochs * len(batches)
    rate = keras.optimizers.schedules.CosineDecay(
        recipe["rate"] / 20, steps, alpha=0.01, warmup_target=recipe["rate"], warmup_steps=steps // 20
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=recipe["weight_decay"], use_ema=True, ema_momentum=0.998, clipnorm=10)
    )
    backup = out.with_suffix(".backup")
    clock, start = out.with_suffix(".seconds"), time.perf_counter()
    before = float(clock.read_text()) if clock.exists() else 0.0
    count = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: clock.write_text(str(before + time.perf_counter() - start))
    )
    model.fit(batches, epochs=epochs, verbose=2, callbacks=[count, keras.callbacks.BackupAndRestore(str(backup))])
    astrokeras.save_model(model, out)
    return float(clock.read_text())


def judge(model, judged, picture: Path) -> None:
    """Print the average precision in original pixels, by our metrics and by pycocotools, and draw some images."""
    size = model.input_shape[1]
    small = judged.resized(size)
    found = model.detect(small.images, score_threshold=SCORE)
    found = [
        dataclasses.replace(one, boxes=small.to_original(i, one.boxes).astype("float32")) for i, one in enumerate(found)
    ]
    for protocol in ("voc", "coco"):
        metric = metrics.MeanAveragePrecision(protocol, class_names=judged.class_names)
        metric.update_state(judged.objects, found)
        result = metric.result()
        each = zip(judged.class_names, result.per_class, strict=True)
        print(f"{protocol}: {result.describe()}; " + ", ".join(f"{name} {value:.3f}" for name, value in each))
    print("pycocotools:", coco_evaluation(judged, found))
    figure = plots.detections(judged.images[0], found[0][found[0].scores > 0.5], judged.objects[0], judged.class_names)
    figure.savefig(picture, dpi=100)


def coco_evaluation(judged, found) -> str:
    """Return AP50-95 and AP50 as pycocotools computes them."""
    import contextlib
    import io

    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, results = [], []
    for image, (objects, one) in enumerate(zip(judged.objects, found, strict=True)):
        for box, label in zip(objects["boxes"].tolist(), objects["labels"].tolist(), strict=True):
            size = [box[2] - box[0], box[3] - box[1]]
            truth.append(
                {
                    "id": len(truth) + 1,
                    "image_id": image,
                    "category_id": label,
                    "bbox": [*box[:2], *size],
                    "area": size[0] * size[1],
                    "iscrowd": 0,
                }
            )
        for box, label, score in zip(one.boxes.tolist(), one.labels.tolist(), one.scores.tolist(), strict=True):
            results.append(
                {
                    "image_id": image,
                    "category_id": label,
                    "bbox": [*box[:2], box[2] - box[0], box[3] - box[1]],
                    "score": score,
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": image} for image in range(len(found))],
            "annotations": truth,
            "categories": [{"id": label} for label in range(len(judged.class_names))],
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return f"AP50-95 {evaluation.stats[0]:.4f}, AP50 {evaluation.stats[1]:.4f}"


def yolo_voc(priors, class_names):
    return applications.yolo_voc(
        priors=priors, classes=len(class_names), class_names=class_names, loss={"random_startup": 0, "difficult": False}
    )


def fine(priors, class_names):
    """A residual network with batch normalisation on a grid of 16 pixels, which also sees a coarser map."""
    net = astrokeras.Network((384, 384, 3), name="fine").rescale(100, 155)

    def conv(filters, size, strides=1):
        net.conv(filters, size, strides, activation=None, use_bias=False)
        net.batch_norm(momentum=0.97, activation="relu_leaky")

    def block(filters, number):
        net.mark(f"block{number}")
        conv(filters // 2, 1)
        conv(filters, 3)
        net.add(f"block{number}")

    conv(24, 5, 2)
    conv(48, 3, 2)
    conv(64, 3)
    conv(96, 3, 2)
    block(96, 1)
    block(96, 2)
    conv(192, 3, 2)
    block(192, 3)
    block(192, 4)
    net.mark("grid")
    conv(256, 3, 2)
    block(256, 5)
    conv(128, 1)
    net.upsample(2).concat("grid")
    conv(192, 1)
    conv(256, 3)
    net.dropout(0.1)
    loss = photograph_settings(priors, {"random_startup": 0, "difficult": False})
    head = {"class_softmax": True, "slopes": SLOPES, "nms_threshold": NMS, "class_names": class_names}
    return net.yolo(priors, len(class_names), loss=loss, **head).build()


DETECTORS = {
    "yolo_voc": {
        "build": yolo_voc,
        "size": 288,
        "canvas": 384,
        "scales": (0.83, 1.25),
        "priors": 5,
        "batch_size": 16,
        "rate": 1e-3,
        "weight_decay": 0.05,
        "epochs": 260,
    },
    "fine": {
        "build": fine,
        "size": 384,
        "canvas": 512,
        "scales": (0.75, 1.35),
        "priors": 7,
        "batch_size": 16,
        "rate": 2e-3,
        "weight_decay": 0.05,
        "epochs": 170,
    },
}

if __name__ == "__main__":
    main()
