"""MNIST training through CIANNA's calls against the same network through `model.fit`.

python benchmarks/cianna_training.py [--rounds 10] [--images 9600]

The network and the batch of CIANNA's MNIST example, momentum SGD, random images, one process, rounds whose order turns.
Three trainings: `cnn.train`; `fit` of the Keras model that CIANNA's calls build; `fit` of the network hand-written in
plain Keras (ordinary biases, dropout behind the activation). The figure is the median of the ratios of images per
second, ours / theirs.
"""

import argparse
import contextlib
import io
import statistics
import time

import keras
import numpy as np
from keras import layers
from machine import write

from astrokeras.cianna import interface as cnn
from astrokeras.cianna import reading, state
from astrokeras.layers import relu_leaky

BATCH, RATE, MOMENTUM = 16, 0.004, 0.8


def through_cianna(x: np.ndarray, y: np.ndarray) -> None:
    """Set up the network of examples/MNIST/mnist_train.py."""
    cnn.init([28, 28], 1, 10, bias=0.1, b_size=BATCH, no_logo=1)
    cnn.create_dataset("TRAIN", len(x), x.reshape(len(x), -1), y)
    cnn.conv([5, 5], 8, padding=[2, 2])
    cnn.pool([2, 2])
    cnn.conv([5, 5], 16, padding=[2, 2])
    cnn.pool([2, 2])
    cnn.dense(256, drop_rate=0.5)
    cnn.dense(128, drop_rate=0.2)
    cnn.dense(10, activation="SMAX")


def plain() -> keras.Model:
    """Return the same network in Keras's own layers."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(8, 5, padding="same", activation=relu_leaky),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 5, padding="same", activation=relu_leaky),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(256, activation=relu_leaky),
            layers.Dropout(0.5),
            layers.Dense(128, activation=relu_leaky),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ]
    )


def fitting(model: keras.Model, x: np.ndarray, y: np.ndarray):
    """Return a function that trains a model for one epoch."""
    model.compile(keras.optimizers.SGD(RATE, momentum=MOMENTUM), "categorical_crossentropy")
    return lambda: model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--images", type=int, default=9600)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    x, y = (
        rng.random((options.images, 28, 28, 1), "float32"),
        np.eye(10, dtype="float32")[rng.integers(0, 10, options.images)],
    )
    with contextlib.redirect_stdout(io.StringIO()):
        through_cianna(x, y)
    trainings = {
        "cnn.train": lambda: cnn.train(1, RATE, momentum=MOMENTUM, control_interv=0, silent=1),
        "fit of the model that the calls build": fitting(reading.build(state.find(None).records), x, y),
        "fit of plain Keras": fitting(plain(), x, y),
    }
    for train in trainings.values():
        train()  # compilation
    rates: dict[str, list[float]] = {name: [] for name in trainings}
    names = list(trainings)
    for turn in range(options.rounds):
        for name in names[turn % 3 :] + names[: turn % 3]:
            start = time.perf_counter()
            trainings[name]()
            rates[name].append(options.images / (time.perf_counter() - start))
    ours = rates.pop("cnn.train")
    rows = ["| against | median ratio | smallest | largest | images/s |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, theirs in rates.items():
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        rows.append(
            f"| {name} | **{statistics.median(ratios):.3f}** | {min(ratios):.3f} | {max(ratios):.3f} | "
            f"{statistics.median(theirs):.0f} |"
        )
    note = (
        f"\n`cnn.train`: {statistics.median(ours):.0f} images/s (median). {options.rounds} rounds of {options.images} "
        f"images of 28x28, batch {BATCH}, float32."
    )
    command = f"python benchmarks/cianna_training.py --rounds {options.rounds} --images {options.images}"
    title = "MNIST training through CIANNA's calls against model.fit"
    print(write("cianna-training", title, command, "\n".join([*rows, note])).read_text())


if __name__ == "__main__":
    main()
