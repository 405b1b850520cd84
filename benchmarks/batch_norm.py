"""What batch normalisation costs in a training step of resnet (depth 20, 32x32x3, mixed_bfloat16, TensorFlow on a CPU).

python benchmarks/batch_norm.py [--rounds 5]

The same network with Keras's layer, with ours (TensorFlow's fused kernel) and with none, in interleaved rounds.
"""

import argparse
import statistics
import time

import keras
import numpy as np
from machine import write

import astrokeras

BATCH = 128
OURS = astrokeras.layers.BatchNormalization


def none(momentum, epsilon, name):
    return keras.layers.Activation("linear", name=name)


def build(layer) -> keras.Model:
    astrokeras.layers.BatchNormalization = layer
    try:
        model = astrokeras.applications.resnet()
    finally:
        astrokeras.layers.BatchNormalization = OURS
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True), "sparse_categorical_crossentropy")
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    astrokeras.configure("mixed_bfloat16", seed=0)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (8 * BATCH, 32, 32, 3)).astype("float32")
    y = rng.integers(0, 10, len(x))
    models = {"Keras's layer": build(keras.layers.BatchNormalization), "ours": build(OURS), "none": build(none)}
    rates = {name: [] for name in models}
    for model in models.values():
        model.fit(x[: 2 * BATCH], y[: 2 * BATCH], batch_size=BATCH, verbose=0)
    for _ in range(options.rounds):
        for name, model in models.items():
            start = time.perf_counter()
            model.fit(x, y, batch_size=BATCH, verbose=0)
            rates[name].append(len(x) / (time.perf_counter() - start))
    rows = ["| batch normalisation | speed of training relative to Keras's layer (median) |", "| --- | ---: |"]
    for name, found in rates.items():
        ratio = statistics.median(a / b for a, b in zip(found, rates["Keras's layer"], strict=True))
        rows.append(f"| {name} | {ratio:.2f} |")
    command = f"python benchmarks/batch_norm.py --rounds {options.rounds}"
    print(write("batch-norm", "Batch normalisation in a training step of resnet", command, "\n".join(rows)).read_text())


if __name__ == "__main__":
    main()
