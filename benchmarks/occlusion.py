"""What an occlusion map costs beside one batched forward of as many images: medians of interleaved pairs.

    python benchmarks/occlusion.py [--pairs 11] [--networks asirra_cnn darknet19] [--write]

An image of 448 x 448 pixels, windows of 96 with stride 32, which are 144, filled with noise; against `predict` of 144
images that lie in memory, by the same network in batches of the same size. The map also needs the answer for the
image itself.
"""

import argparse
import statistics
import time

import numpy as np
from machine import write

import astrokeras
from astrokeras import applications, explain

SHAPE, WINDOW, STRIDE, WINDOWS, ASKED = (448, 448, 3), 96, 32, 144, 1.15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=11)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--networks", nargs="+", default=["asirra_cnn", "darknet19"])
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--write", action="store_true", help="write the table into results/")
    options = parser.parse_args()
    astrokeras.configure(options.precision, seed=0)
    rows = [
        "| network | map, s | 144 images, s | ratio (median of pairs) | asked |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    rows += [measured(name, options.batch_size, options.pairs) for name in options.networks]
    table = "\n".join(rows)
    print(table)
    if options.write:
        names = " ".join(options.networks)
        command = f"python benchmarks/occlusion.py --pairs {options.pairs} --batch-size {options.batch_size}"
        command += f" --networks {names} --precision {options.precision}"
        print(write("occlusion", "Cost of an occlusion map", command, table))


def measured(name: str, batch_size: int, pairs: int) -> str:
    """Return the row of a network."""
    model = getattr(applications, name)(SHAPE)
    images = np.random.default_rng(0).uniform(0, 255, (WINDOWS, *SHAPE)).astype("float32")
    ways = {
        "map": lambda: explain.occlusion(model, images[0], 0, window=WINDOW, stride=STRIDE, batch_size=batch_size),
        "forward": lambda: model.predict(images, batch_size=batch_size, verbose=0),
    }
    found = ways["map"]()  # compiles
    ways["forward"]()
    if len(found.boxes) != WINDOWS:
        raise SystemExit(f"expected {WINDOWS} windows; received {len(found.boxes)}")
    times = {way: [] for way in ways}
    for pair in range(pairs):
        for way in list(ways)[:: 1 if pair % 2 else -1]:
            start = time.perf_counter()
            ways[way]()
            times[way].append(time.perf_counter() - start)
    ratio = statistics.median(a / b for a, b in zip(*times.values(), strict=True))
    seconds = " | ".join(f"{statistics.median(values):.2f}" for values in times.values())
    return f"| {name} | {seconds} | {ratio:.3f} | {ASKED} |"


if __name__ == "__main__":
    main()
