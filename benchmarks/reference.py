"""CIANNA's published speed beside ours: the same network, resolution and (on a GPU) precision, inference.

    python benchmarks/reference.py [--batch 64] [--rounds 9] [--precision auto] [--dry-run]

CIANNA's README gives inputs per second on an RTX 4090 in inference, in FP16C_FP32A (products in float16, sums in
float32), with the largest batch, "to saturate performances". Ours are on the machine named above the table: compare
where that is a GPU, and by the operations a second. The network alone is timed, without decoding, on a batch that lies
on the device; its answer is copied to the host. CIANNA's networks of that table are those of its examples; the detector
of SDC1 has 17 convolutions, ours too.
"""

import argparse
import statistics
import time

import keras
import numpy as np
from machine import write

import astrokeras
from astrokeras import applications

PUBLISHED = {  # name: application, shape, images/s of CIANNA, batch of ours relative to --batch
    "MNIST, lenet5": (applications.lenet5, (28, 28, 1), 630_000, 64),
    "ImageNet, darknet19": (applications.darknet19, (448, 448, 3), 740, 1),
    "COCO, yolo_coco": (applications.yolo_coco, (416, 416, 3), 690, 1),
    "extinction, extinction_cnn": (applications.extinction_cnn, (64, 64, 1), 120_000, 8),
    "SDC1, yolo_sdc1": (applications.yolo_sdc1, (512, 512, 1), 500, 1),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, help="64 on a GPU, 8 on a CPU; lenet5 takes 64 times as many")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--precision", default="auto")
    parser.add_argument(
        "--dry-run", action="store_true", help="batch 1, 2 rounds, images of 64 pixels, nothing written"
    )
    options = parser.parse_args()
    precision = astrokeras.configure(options.precision, seed=0)
    usual = options.batch or (64 if astrokeras.backend.has_gpu() else 8)
    usual, rounds = (1, 2) if options.dry_run else (usual, options.rounds)
    cases = {}
    for name, (build, shape, published, factor) in PUBLISHED.items():
        if options.dry_run and build is not applications.lenet5:
            shape = (64, 64, shape[-1])
        model = build(shape)
        batch = usual * factor
        x = keras.ops.convert_to_tensor(np.random.default_rng(0).random((batch, *shape), "float32"))
        for _ in range(2):  # compilation
            model.predict_on_batch(x)
        cases[name] = model, x, published
    seconds = {name: [] for name in cases}
    for turn in range(rounds):
        for name in list(cases)[:: 1 if turn % 2 else -1]:
            model, x, _ = cases[name]
            begun = time.perf_counter()
            model.predict_on_batch(x)
            seconds[name].append(time.perf_counter() - begun)
    rows = [
        "| what | size | multiply-adds | CIANNA: images/s | TFLOP/s | ours: images/s | TFLOP/s | batch | ratio |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, (model, x, published) in cases.items():
        adds = astrokeras.cost(model).multiply_adds
        ours = len(x) / statistics.median(seconds[name])
        size = " x ".join(map(str, model.input_shape[1:]))
        rows.append(
            f"| {name} | {size} | {adds:.4g} | {published:,} | {2e-12 * adds * published:.3g} | {ours:,.4g} | "
            f"{2e-12 * adds * ours:.3g} | {len(x)} | {ours / published:.4f} |"
        )
    rows.append(
        f"\n{rounds} rounds in turn, medians; ours in {precision}. CIANNA's on an RTX 4090 (README of Deyht/CIANNA)."
    )
    table = "\n".join(rows)
    print(table)
    if not options.dry_run:
        command = f"python benchmarks/reference.py --batch {usual} --rounds {rounds} --precision {precision}"
        print("written:", write(f"reference-{precision}", "CIANNA's published speed and ours", command, table))


if __name__ == "__main__":
    main()
