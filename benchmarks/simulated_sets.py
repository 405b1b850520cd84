"""How well are the simulated sets learned, and how far does a linear model on the same pixels get?

python benchmarks/simulated_sets.py [stellar_spectra_cnn galaxy_zoo2 ...] --scratch /tmp/simulated

Each network is trained through the command line with its own recipe on its own simulation (finished ones are read from
the scratch folder); the linear model is one dense layer on the same inputs, with twice the epochs.
"""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
from machine import write

import astrokeras
from astrokeras import training

AUGMENTED = ("galaxy_zoo2",)


def linear(name: str, seed: int = 0) -> dict[str, float]:
    """Train one dense layer on the raw inputs; return its scores on the test data."""
    recipe = training.RECIPES[name]
    (x, y), (x_test, y_test) = training.load_data(recipe)
    outputs = y.shape[1] if y.ndim == 2 else int(y.max()) + 1
    mean, scale = float(x[:200].mean(dtype="float64")), float(x[:200].std(dtype="float64"))
    keras.utils.set_random_seed(seed)
    kinds = {"classes": ("softmax", "sparse_categorical_crossentropy"), "labels": ("sigmoid", "binary_crossentropy")}
    activation, loss = kinds.get(recipe.kind, ("linear", "mse"))
    inputs = keras.Input(x.shape[1:])
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / scale, -mean / scale)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(outputs, activation=activation, kernel_initializer="zeros")(flat))
    batches = astrokeras.datasets.ImageDataset(x, y, recipe.batch_size, seed=seed)
    epochs = 2 * recipe.epochs
    rate = 1e-2 / np.sqrt(np.prod(x.shape[1:])) * 10  # Adam's steps add up over the inputs
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, epochs * len(batches))), loss=loss)
    model.fit(batches, epochs=epochs, verbose=0)
    test = astrokeras.datasets.ImageDataset(x_test, y_test, 200, shuffle=False)
    return astrokeras.judge(model, test, kind=recipe.kind).scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = ["stellar_spectra_cnn", "galaxy_zoo2", "molecular_spectra_cnn", "asirra_cnn", "extinction_cnn"]
    parser.add_argument("names", nargs="*", default=every)
    parser.add_argument("--scratch", type=Path, required=True)
    options = parser.parse_args()
    options.scratch.mkdir(parents=True, exist_ok=True)
    rows = [
        "| network | set | epochs | score on the test data | network | linear | training |",
        "| --- | --- | ---: | --- | ---: | ---: | ---: |",
    ]
    figures = []
    for name in options.names:
        recipe = training.RECIPES[name]
        out = options.scratch / f"{name}.keras"
        line = ["train", name, *(["--augment"] if name in AUGMENTED else []), "--out", str(out)]
        if not out.is_file():
            subprocess.run([sys.executable, "-m", "astrokeras", *line], check=True)
        found = astrokeras.read_card(out)["metrics"]
        begun = time.perf_counter()
        baseline = linear(name)
        print(f"{name}: {found}; linear {baseline} in {time.perf_counter() - begun:.0f} s", flush=True)
        score, below = next(iter(baseline.items()))
        reached = found[f"test_{score.replace(' ', '_')}"]
        shown = (f"{100 * value:.2f} %" if recipe.kind != "values" else f"{value:.4f}" for value in (reached, below))
        numbers = f"{found['epochs']:.0f} | {score} | " + " | ".join(shown)
        rows.append(f"| {name} | {recipe.data} | {numbers} | {found['train_seconds']:.0f} s |")
        figures.append((name, out.with_suffix(".png")))
    note = "The linear model is one dense layer on the same inputs, trained for twice the epochs."
    table = "\n".join([*rows, "", note, "", *(f"![{name}](simulated-{name}.png)" for name, _ in figures)])
    command = "python benchmarks/simulated_sets.py " + " ".join(options.names)
    path = write("simulated-sets", "The simulated sets", command, table)
    for name, figure in figures:
        shutil.copy(figure, path.with_name(f"simulated-{name}.png"))
    print(path.read_text())


if __name__ == "__main__":
    main()
