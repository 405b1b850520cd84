"""Does the training wait for its images? Decoding, resizing and augmentation for `yolo_voc` against its steps.

    python benchmarks/input_pipeline.py [--images 512] [--rounds 5] [--folder FOLDER] [--dry-run]

The images are simulated scenes of 400 pixels with 1 to 6 objects, written as JPEG files in VOC's layout, or those of
--folder. Each batch of 16 is decoded, brought to 288 pixels and augmented as photographs are, by so many workers.

- feeding: images a second of the pipeline alone.
- step: a training step on a batch that is in memory; pipeline: a step of `fit` from the files. Both in one process, in
  turn. The share of waiting is 1 - step / pipeline: on a CPU the workers take cores from the step, and that is in it.
- needed: images a second that one GPU would take. On a GPU it is measured (the step); else it is an estimate from
  CIANNA's 690 images/s of its COCO detector on an RTX 4090, by the multiply-adds, a training step as three passes.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import keras
from machine import write

import astrokeras
from astrokeras import applications, augmentation, datasets

CIANNA_COCO = 690  # images/s at 416 pixels, README of Deyht/CIANNA


class Same(keras.utils.PyDataset):
    """One batch in memory, again and again."""

    def __init__(self, batch, steps: int):
        super().__init__()
        self.batch, self.steps = batch, steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int):
        return self.batch


def make_folder(folder: Path, images: int, size: int) -> None:
    """Write scenes as JPEG in VOC's layout."""
    from PIL import Image

    scenes, _ = datasets.simulated_scenes(train=images, test=1, size=size)
    scenes.write_voc(folder)
    for path in (folder / "JPEGImages").glob("*.png"):
        Image.open(path).save(path.with_suffix(".jpg"), quality=90)
        path.unlink()
    for path in (folder / "Annotations").glob("*.xml"):
        path.write_text(path.read_text().replace(".png<", ".jpg<"))


def batches_of(scenes, size: int, batch: int, workers: int) -> datasets.DetectionDataset:
    augment = augmentation.photographs(size)
    return datasets.DetectionDataset(
        scenes, batch_size=batch, augmentation=augment, max_objects=56, workers=workers, max_queue_size=8
    )


class Reader(keras.Model):
    """Takes batches and does nothing with them."""

    def test_step(self, data):
        return {"images": keras.ops.shape(data[0])[0]}


def feeding(batches, reader: Reader) -> float:
    """Return images a second of the workers alone, through Keras's queue."""
    begun = time.perf_counter()
    reader.evaluate(batches, verbose=0)
    return len(batches.set) / (time.perf_counter() - begun)


def step_seconds(model, batches) -> float:
    begun = time.perf_counter()
    model.fit(batches, epochs=1, verbose=0)
    return (time.perf_counter() - begun) / len(batches)


def needed_rate(model) -> float:
    ours, theirs = (astrokeras.cost(one).multiply_adds for one in (model, applications.yolo_coco((416, 416, 3))))
    return CIANNA_COCO * theirs / (3 * ours)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", default="1,2,4")
    parser.add_argument("--folder", help="a folder in VOC's layout, with its train part")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--dry-run", action="store_true", help="small sizes, 1 round, nothing written")
    options = parser.parse_args()
    count, rounds, size, batch = (8, 1, 64, 4) if options.dry_run else (options.images, options.rounds, 288, 16)
    precision = astrokeras.configure(options.precision, seed=0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(options.folder or scratch)
        if not options.folder:
            make_folder(folder, count, 96 if options.dry_run else 400)
        scenes = datasets.voc_folder(folder, "train", class_names=None if options.folder else datasets.SCENE_CLASSES)
        model = applications.yolo_voc((size, size, 3), len(scenes.class_names), class_names=scenes.class_names)
        model.compile("sgd")
        found = {workers: batches_of(scenes, size, batch, workers) for workers in map(int, options.workers.split(","))}
        first = next(iter(found.values()))
        fixed = Same(first[0], len(first))
        reader = Reader()
        reader.compile()
        for batches in (fixed, first):  # compilation
            step_seconds(model, batches)
            reader.evaluate(batches, verbose=0)
        times = {key: [] for key in ("fixed", *found)}
        rates = {workers: [] for workers in found}
        for _ in range(rounds):
            times["fixed"].append(step_seconds(model, fixed))
            for workers, batches in found.items():
                rates[workers].append(feeding(batches, reader))
                times[workers].append(step_seconds(model, batches))
    step = statistics.median(times["fixed"])
    rows = [
        "| workers | feeding, images/s | step, ms | pipeline, ms | waiting |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for workers in found:
        waiting = statistics.median(1 - a / b for a, b in zip(times["fixed"], times[workers], strict=True))
        pipeline = statistics.median(times[workers])
        rows.append(
            f"| {workers} | {statistics.median(rates[workers]):.0f} | {1e3 * step:.0f} | {1e3 * pipeline:.0f} | "
            f"{waiting:.1%} |"
        )
    if astrokeras.backend.has_gpu():
        told = f"{batch / step:,.0f} images/s, its measured step"
    else:
        told = f"about {needed_rate(model):,.0f} images/s (an estimate from CIANNA's figure on an RTX 4090)"
    rows.append(
        f"\n{len(scenes)} images, batch {batch}, {precision}, medians of {rounds} rounds. One GPU would need {told}."
    )
    table = "\n".join(rows)
    print(table)
    if not options.dry_run:
        given = f"--folder {options.folder}" if options.folder else f"--images {count}"
        command = f"python benchmarks/input_pipeline.py {given} --rounds {rounds} --workers {options.workers}"
        print("written:", write("input-pipeline", "Does the training wait for its images?", command, table))


if __name__ == "__main__":
    main()
