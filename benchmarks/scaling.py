"""How time and memory grow with the batch, the image, the objects and the tiles; each case in a process of its own.

    python benchmarks/scaling.py [--parts batch,image,objects,tiles] [--repeats 5] [--dry-run]

batch, image: inference and training steps of `yolo_voc` (56 objects an image). objects: training steps of `yolo_sdc1`
at 256 pixels, batch 8. tiles: `survey.detect` of noise with the small detector of `astrokeras demo`, tiles of 256
pixels, batches of 4.

Memory is the largest that the process held beyond what it held before the model was built and after another one had
run (on a GPU: that the backend held there); "by cost" is what `astrokeras.cost` says of the activations of that batch.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np

PARTS = {"batch": [1, 2, 4, 8, 16, 32], "image": [96, 192, 288, 384, 480], "objects": [10, 50, 150, 500]}
PARTS |= {"tiles": [4, 16, 64, 256]}
DRY = {"batch": [1, 2], "image": [64, 96], "objects": [2, 4], "tiles": [1, 4]}
TILE, OVERLAP = 256, 32


def held(peak: bool = False) -> float:
    """Return MiB that the backend holds on a GPU, or else this process; or the most since `forget`."""
    import keras

    import astrokeras

    if astrokeras.backend.has_gpu() and keras.config.backend() == "jax":
        import jax

        return jax.devices()[0].memory_stats()["peak_bytes_in_use" if peak else "bytes_in_use"] / 2**20
    if astrokeras.backend.has_gpu() and keras.config.backend() == "tensorflow":
        import tensorflow as tf

        return tf.config.experimental.get_memory_info("GPU:0")["peak" if peak else "current"] / 2**20
    key = "VmHWM" if peak else "VmRSS"
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) / 1024


def forget() -> None:
    """Let the peak of this process start again."""
    Path("/proc/self/clear_refs").write_text("5")


def timed(step, repeats: int) -> tuple[float, float]:
    """Return the median of seconds and the peak of memory."""
    forget()
    seconds = []
    for turn in range(repeats + 2):
        begun = time.perf_counter()
        step()
        if turn > 1:  # compilation
            seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds), held(peak=True)


def case(part: str, value: int, repeats: int, dry: bool, precision: str) -> dict:
    import astrokeras
    from astrokeras import applications, survey
    from astrokeras.demo import build

    warnings.filterwarnings("ignore", message="array has no WCS")

    astrokeras.configure(precision, seed=0)
    rng = np.random.default_rng(0)
    warmed = build(64)
    warmed.predict_on_batch(np.zeros((1, 64, 64, 1), "float32"))  # starts the backend
    begun = held()
    if part == "tiles":
        side = round(value**0.5) * (TILE - OVERLAP) + OVERLAP
        image, model = rng.normal(0, 2.6e-7, (side, side)).astype("float32"), build(TILE)
        settings = {"tile": TILE, "overlap": OVERLAP, "batch_size": 4, "verbose": 0, "score_threshold": 0.999}
        seconds, peak = timed(lambda: survey.detect(image, model, **settings), min(repeats, 3))
        return {"images": value, "inference": seconds, "inference_memory": peak - begun}
    if part == "objects":
        batch, size, objects, model = 8, 64 if dry else 256, value, applications.yolo_sdc1
    else:
        batch, size = (value, 64 if dry else 288) if part == "batch" else (4, value)
        objects, model = 56, applications.yolo_voc
    model = model((size, size, 1 if part == "objects" else 3))
    x = rng.random((batch, *model.input_shape[1:]), "float32") * (1 if part == "objects" else 255)
    low = rng.random((batch, objects, 2)) * (size - 24)
    y = {"boxes": np.concatenate([low, low + rng.uniform(6, 24, low.shape)], -1).astype("float32")}
    y["labels"] = rng.integers(0, max(model.settings.classes, 1), (batch, objects)).astype("int32")
    if model.box_parameters:
        y["params"] = np.tile(np.float32([1e-5, 5, 3, 20]), (batch, objects, 1))
    model.compile("sgd")
    price = astrokeras.cost(model)
    found = {"images": batch, "inference_cost": batch * price.inference_memory / 2**20}
    found["training_cost"] = batch * price.training_memory / 2**20
    found["inference"], peak = timed(lambda: model.predict_on_batch(x), repeats)
    found["inference_memory"] = peak - begun
    found["training"], peak = timed(lambda: model.train_on_batch(x, y), repeats)
    found["training_memory"] = peak - begun
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="batch,image,objects,tiles")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--dry-run", action="store_true", help="small sizes, 1 repeat, nothing written")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    repeats = 1 if options.dry_run else options.repeats
    if options.child:
        print(json.dumps(case(options.child[0], int(options.child[1]), repeats, options.dry_run, options.precision)))
        return
    columns = ["inference", "inference_memory", "inference_cost", "training", "training_memory", "training_cost"]
    rows = ["| what | value | inference, ms an image | MiB | MiB by cost | training, ms an image | MiB | MiB by cost |"]
    rows.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for part in options.parts.split(","):
        for value in (DRY if options.dry_run else PARTS)[part]:
            command = [sys.executable, __file__, "--child", part, str(value), "--repeats", str(repeats)]
            command += ["--precision", options.precision] + ["--dry-run"] * options.dry_run
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=os.environ, check=True)
            found = json.loads(done.stdout.strip().splitlines()[-1])
            for key in ("inference", "training"):
                if key in found:
                    found[key] *= 1e3 / found["images"]
            cells = ("" if key not in found else f"{found[key]:.3g}" for key in columns)
            rows.append(f"| {part} | {value} | {' | '.join(cells)} |")
            print(rows[-1], flush=True)
    rows.append(
        f"\n{options.precision}; medians of {repeats} repeats after two (tiles: at most 3). Each tile is an image."
    )
    table = "\n".join(rows)
    if options.dry_run:
        print(table)
        return
    from machine import write

    command = (
        f"python benchmarks/scaling.py --parts {options.parts} --repeats {repeats} --precision {options.precision}"
    )
    print(write(f"scaling-{options.precision}", "How time and memory grow", command, table).read_text())


if __name__ == "__main__":
    main()
