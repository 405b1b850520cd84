"""Training of lenet5 through astrokeras against the same network hand-written in plain Keras.

python benchmarks/plain_keras.py [--pairs 10]

Both train on the same arrays with the same batch, optimizer and steps_per_execution, in one process, in interleaved
pairs; the figure is the median of the ratios of images per second (ours / plain). A second plain network with Keras's
LeakyReLU, which has no saturation and so is not the same function, shows what the saturation costs.
"""

import argparse
import statistics
import time

import keras
import numpy as np
from keras import layers, ops
from machine import write

import astrokeras

BATCH, STEPS_PER_EXECUTION = 64, 10


def saturated(x):
    return ops.where(x > 800.0, 800.0 + 0.05 * (x - 800.0), ops.where(x > 0.0, x, 0.05 * x))


def plain(activation) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(8, 5, padding="same", activation=activation),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 5, padding="same", activation=activation),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(256, activation=activation),
            layers.Dropout(0.5),
            layers.Dense(128, activation=activation),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ]
    )


def rate(model: keras.Model, x, y) -> float:
    start = time.perf_counter()
    model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)
    return len(x) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--images", type=int, default=12800)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    x, y = rng.random((options.images, 28, 28, 1), "float32"), rng.integers(0, 10, options.images)
    models = {
        "astrokeras": astrokeras.applications.lenet5(),
        "plain Keras, same network": plain(saturated),
        "plain Keras, LeakyReLU instead": plain(layers.LeakyReLU(negative_slope=0.05)),
    }
    for model in models.values():
        model.compile("adam", "sparse_categorical_crossentropy", steps_per_execution=STEPS_PER_EXECUTION)
        rate(model, x, y)  # compilation
    rates = {name: [] for name in models}
    for pair in range(options.pairs):
        names = list(models) if pair % 2 == 0 else list(models)[::-1]
        for name in names:
            rates[name].append(rate(models[name], x, y))
    ours = rates.pop("astrokeras")
    rows = ["| against | median ratio ours / plain | smallest | largest |", "| --- | ---: | ---: | ---: |"]
    for name, theirs in rates.items():
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        rows.append(f"| {name} | **{statistics.median(ratios):.3f}** | {min(ratios):.3f} | {max(ratios):.3f} |")
    note = (
        f"\n{options.pairs} interleaved pairs, {options.images} images of 28x28 an epoch, batch {BATCH}, "
        f"steps_per_execution {STEPS_PER_EXECUTION}, float32, Adam."
    )
    command = f"python benchmarks/plain_keras.py --pairs {options.pairs} --images {options.images}"
    path = write("plain-keras", "Training of lenet5 against plain Keras", command, "\n".join([*rows, note]))
    print(path.read_text())


if __name__ == "__main__":
    main()
