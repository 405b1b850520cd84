"""Train asirra_cnn on the cats and dogs of CIFAR-10, at 32x32 pixels; tabulate its accuracy on their test images.

python benchmarks/cats_and_dogs.py cifar10.npz [--seeds 0 1 2] [--epochs 40]
"""

import argparse
import statistics
from pathlib import Path

from machine import write

from astrokeras import datasets, plots, training

NAMES = ("cat", "dog")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=40)
    options = parser.parse_args()
    data = datasets.cifar10(options.data, classes=NAMES)
    runs = [
        training.train("asirra_cnn", data, epochs=options.epochs, augment=True, seed=seed, verbose=2)
        for seed in options.seeds
    ]
    middle = statistics.median_low(run.judgement.score for run in runs)
    shown = next(run for run in runs if run.judgement.score == middle)
    (x, _), (x_test, _) = data
    rows = [
        f"{len(x)} training and {len(x_test)} test images; the test images used once, after the last of "
        f"{options.epochs} epochs.\n",
        "| seed | accuracy | training |",
        "| ---: | ---: | ---: |",
        *(
            f"| {seed} | {100 * run.judgement.score:.2f} % | {run.seconds:.0f} s |"
            for seed, run in zip(options.seeds, runs, strict=True)
        ),
        f"| median | **{100 * middle:.2f} %** | |\n",
        "![confusion matrix of the median run](asirra_cnn-cats-and-dogs.png)",
    ]
    command = f"python benchmarks/cats_and_dogs.py {Path(options.data).name} --epochs {options.epochs} --seeds "
    command += " ".join(map(str, options.seeds))
    path = write("asirra_cnn-cats-and-dogs", "asirra_cnn on CIFAR-10's cats and dogs", command, "\n".join(rows))
    figure = plots.confusion_matrix(shown.judgement.matrix, NAMES, "asirra_cnn")
    figure.savefig(path.with_name("asirra_cnn-cats-and-dogs.png"), dpi=120)
    print(path.read_text())


if __name__ == "__main__":
    main()
