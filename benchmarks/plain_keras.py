"""Every classifier of the course through astrokeras against the same network written by hand in plain Keras.

    python benchmarks/plain_keras.py [--pairs 7] [--networks lenet5 darknet19] [--precision float32] [--dry-run]

Training (`fit`, Adam) and inference (`predict`) on the same arrays in memory, in one process, in interleaved pairs; the
figures are medians of the ratios of images per second, ours / plain. Both have the same number of multiply-adds,
which is checked. Keras runs without XLA on a CPU, as it chooses by itself. `--processor-time` counts the time of the
processor in place of the clock's: the figure to ask for beside other work, with the process kept on one core
(`taskset -c 1`), where a clock also counts the others' turns.
"""

import argparse
import statistics
import time

import keras
import numpy as np
import plain_networks
from machine import write

import astrokeras
from astrokeras import applications

ASKED = 0.97
CASES = {  # input shape, outputs, batch size, batches in one timing
    "lenet5": ((28, 28, 1), 10, 64, 100),
    "asirra_cnn": ((128, 128, 3), 2, 16, 4),
    "cifar10_cnn": ((32, 32, 3), 10, 64, 4),
    "stellar_spectra_cnn": ((3776, 1), 7, 64, 20),
    "molecular_spectra_cnn": ((35000, 3), 20, 16, 4),
    "darknet19": ((128, 128, 3), 1000, 8, 2),
    "galaxy_zoo2": ((64, 64, 3), 3, 32, 6),
    "voc_cutout_classifier": ((128, 128, 3), 20, 16, 2),
    "extinction_cnn": ((64, 64, 1), 128, 64, 2),
    "resnet": ((32, 32, 3), 10, 64, 4),
}
LOSSES = {"molecular_spectra_cnn": "binary_crossentropy", "extinction_cnn": "mse"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--networks", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--processor-time", action="store_true", help="in place of the clock's")
    parser.add_argument("--dry-run", action="store_true", help="one pair of one batch; writes nothing")
    options = parser.parse_args()
    astrokeras.configure(options.precision, seed=0)
    pairs = 1 if options.dry_run else options.pairs
    rows = [
        "| network | input | batch | training: ours / plain (smallest, largest) | inference: ours / plain |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for name in options.networks:
        rows.append(measured(name, pairs, options.dry_run, options.processor_time))
        print(rows[-1], flush=True)
    if options.dry_run:
        return
    note = (
        f"\nMedians of {pairs} interleaved pairs of `fit` and of `predict`, {options.precision}, Adam; "
        f"both networks in one process{', time of the processor' if options.processor_time else ''}. "
        f"Asked: at least {ASKED}."
    )
    command = f"python benchmarks/plain_keras.py --pairs {pairs} --precision {options.precision}"
    if options.networks != list(CASES):
        command += " --networks " + " ".join(options.networks)
    command += " --processor-time" if options.processor_time else ""
    print(write("plain-keras", "Speed against hand-written Keras", command, "\n".join([*rows, note])).read_text())


def measured(name: str, pairs: int, dry: bool, processor: bool) -> str:
    """Return the row of a network, by the clock or by the time of the processor."""
    now = time.process_time if processor else time.perf_counter
    shape, outputs, batch, batches = CASES[name]
    batches = 1 if dry else batches
    rng = np.random.default_rng(0)
    x = rng.random((batch * batches, *shape), "float32")
    loss = LOSSES.get(name, "sparse_categorical_crossentropy")
    y = rng.integers(0, 2, (len(x), outputs)) if name in LOSSES else rng.integers(0, outputs, len(x))
    models = {
        "ours": getattr(applications, name)(shape, outputs),
        "plain": getattr(plain_networks, name)(shape, outputs),
    }
    adds = {way: astrokeras.cost(model).multiply_adds for way, model in models.items()}
    if adds["ours"] != adds["plain"]:
        raise SystemExit(
            f"{name}: expected equal multiply-adds; ours has {adds['ours']}, the plain one {adds['plain']}"
        )
    for model in models.values():
        model.compile(keras.optimizers.Adam(1e-4), loss)
    works = {
        "training": lambda model: model.fit(x, y, batch_size=batch, verbose=0),
        "inference": lambda model: model.predict(x, batch_size=batch, verbose=0),
    }
    cells = []
    for work in works.values():
        times = {way: [] for way in models}
        for pair in range(-1, pairs):  # the first one compiles
            for way in list(models)[:: 1 if pair % 2 else -1]:
                start = now()
                work(models[way])
                if pair >= 0:
                    times[way].append(now() - start)
        ratios = [plain / ours for ours, plain in zip(times["ours"], times["plain"], strict=True)]
        cells.append(f"**{statistics.median(ratios):.3f}** ({min(ratios):.2f}, {max(ratios):.2f})")
    return f"| {name} | {' x '.join(map(str, shape))} | {batch} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
