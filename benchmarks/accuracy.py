"""Train an application with several seeds through the command line; tabulate its accuracy on the test images.

python benchmarks/accuracy.py lenet5 --data mnist.npz --seeds 0 1 2 --augment --scratch /tmp/accuracy
"""

import argparse
import shlex
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from machine import write

import astrokeras


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--data", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--augment", action="store_true")
    parser.add_argument("--precision", default="auto")
    parser.add_argument(
        "--scratch", type=Path, required=True, help="keeps the models; finished seeds are not run again"
    )
    options = parser.parse_args()
    options.scratch.mkdir(parents=True, exist_ok=True)

    label = f"{options.name}-{Path(options.data).stem.partition('_')[0]}{'-augmented' if options.augment else ''}"
    line = ["train", options.name, "--data", options.data, "--precision", options.precision]
    line += ["--augment"] if options.augment else []
    line += ["--epochs", str(options.epochs)] if options.epochs else []
    runs = []
    for seed in options.seeds:
        out = options.scratch / f"{label}-{seed}.keras"
        if not out.is_file():
            command = [sys.executable, "-m", "astrokeras", *line, "--seed", str(seed), "--out", str(out)]
            subprocess.run(command, check=True)
        runs.append((astrokeras.read_card(out)["metrics"], seed, out))
    runs.sort(key=lambda run: run[0]["test_accuracy"])
    median = runs[(len(runs) - 1) // 2]
    rows = [
        f"| {seed} | {100 * found['test_accuracy']:.2f} % | {found['train_seconds']:.0f} s |"
        for found, seed, _ in sorted(runs, key=lambda run: run[1])
    ]
    middle = statistics.median(found["test_accuracy"] for found, _, _ in runs)
    table = "\n".join(
        [
            f"Accuracy on the test images, used once, after the last of {median[0]['epochs']:.0f} epochs.\n",
            "| seed | accuracy | training |\n| ---: | ---: | ---: |",
            *rows,
            f"| median | **{100 * middle:.2f} %** | |\n",
            f"![confusion matrix of seed {median[1]}]({label}.png)",
        ]
    )
    shown = "astrokeras " + shlex.join(line) + " --seed SEED"
    path = write(label, f"{options.name} on {Path(options.data).name}", shown, table)
    shutil.copy(median[2].with_suffix(".png"), path.with_name(f"{label}.png"))
    print(path.read_text())


if __name__ == "__main__":
    main()
