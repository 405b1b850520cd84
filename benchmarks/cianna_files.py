"""What reading a large CIANNA file costs beside `numpy.fromfile` of the same file.

python benchmarks/cianna_files.py [--megabytes 100] [--pairs 25]

A binary file of convolutions 3x3 with 1024 channels and a dense layer, generated into a temporary folder; every pair
reads the file both ways, in turns, from the page cache. The second row is `cianna.load_model` less the time of building
the same Keras model from its configuration, as a user would; the third is stricter, since there the model is full of
zeros instead of random numbers.
"""

import argparse
import copy
import gc
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from machine import write

from astrokeras import cianna
from astrokeras import cianna_files as files

SIZE, CHANNELS = (8, 8, 1), 1024


def network(megabytes: int) -> files.CiannaNetwork:
    """Return a network of about so many megabytes of weights, ending with a dense layer."""
    rng = np.random.default_rng(0)
    columns = 9 * CHANNELS + 1
    count = max(1, round(megabytes * 1e6 / (4 * CHANNELS * columns)))
    layers: list[files.Conv | files.Pool | files.Dense] = []
    for _ in range(count):
        weights = rng.standard_normal((CHANNELS, columns), "float32")
        one, pad, none = (1, 1, 1), (1, 1, 0), (0, 0, 0)
        layers.append(
            files.Conv(CHANNELS, (3, 3, 1), one, pad, none, SIZE, CHANNELS, 0.0, 0.1, "RELU_S800.00_L0.05", weights)
        )
    layers.append(files.Pool(SIZE, SIZE, (0, 0, 0), True, 0.0, "AVG", "LIN"))
    layers.append(files.Dense(1000, 0.0, 0.1, "SMAX", rng.standard_normal((CHANNELS + 1, 1001), "float32")))
    return files.CiannaNetwork(SIZE, CHANNELS, layers)


def seconds(action: Callable[[], object]) -> float:
    gc.collect()  # models of the pairs before
    start = time.perf_counter()
    result = action()
    taken = time.perf_counter() - start
    del result
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=25)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.dat"
        files.write(path, network(options.megabytes))
        size = path.stat().st_size / 1e6
        usual = cianna.load_model(path).get_config()
        zeros = copy.deepcopy(usual)
        for layer in zeros["layers"]:
            if "kernel_initializer" in layer["config"]:
                layer["config"]["kernel_initializer"] = "zeros"

        def build(config: dict) -> keras.Model:
            return keras.Model.from_config(copy.deepcopy(config))  # which takes its argument apart

        actions = {  # row -> what it does, and what of that does not count
            "`cianna_files.read`": (lambda: files.read(path), lambda: None),
            "`cianna.load_model` beyond building": (lambda: cianna.load_model(path), lambda: build(usual)),
            "`cianna.load_model` beyond building with zeros": (lambda: cianna.load_model(path), lambda: build(zeros)),
        }

        def plain() -> np.ndarray:
            return np.fromfile(path, "<f4")

        for whole, rest in actions.values():
            plain(), whole(), rest()  # warm up: the file is in the page cache
        pairs = {name: [] for name in actions}
        for _ in range(options.pairs):
            for name, (whole, rest) in actions.items():
                pairs[name].append((seconds(plain), seconds(whole) - seconds(rest)))
    rows = ["| | seconds | numpy.fromfile | ratio |", "| :--- | ---: | ---: | ---: |"]
    for name, found in pairs.items():
        ours = statistics.median(b for _, b in found)
        theirs = statistics.median(a for a, _ in found)
        ratio = statistics.median(b / a for a, b in found)
        rows.append(f"| {name} | {ours:.4f} | {theirs:.4f} | {ratio:.2f} |")
    rows.append(f"\nA file of {size:.0f} MB; medians of {options.pairs} pairs.")
    command = f"python benchmarks/cianna_files.py --megabytes {options.megabytes} --pairs {options.pairs}"
    print(write("cianna-files", "Reading a CIANNA file", command, "\n".join(rows)).read_text())


if __name__ == "__main__":
    main()
