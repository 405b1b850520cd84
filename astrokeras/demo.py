"""The main job, shown on simulated digits: build, train, judge, save, reopen elsewhere."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import rich.console

from astrokeras import applications, plots, runtime, saving, training
from astrokeras.cost import cost

EPOCHS = 6
REOPEN = """
import sys, numpy, astrokeras
images = numpy.load(sys.argv[2])
numpy.save(sys.argv[3], astrokeras.load_model(sys.argv[1]).predict(images, verbose=0))
"""


def demo(folder: str | os.PathLike = "demo", epochs: int = EPOCHS, verbose: int = 1) -> dict:
    """Run the demonstration; write the model, the confusion matrix and a report into a folder.

    Args:
        folder: made if missing; `lenet5_digits.keras`, `confusion_matrix.png` and `report.md` in it are replaced
            once all is done.
        epochs: of training.
        verbose: as in `fit`.

    Returns:
        What was measured: `accuracy`, `seconds` of training, `difference` of the reopened model.

    Raises:
        FileExistsError: if `folder` is a file.
        RuntimeError: if the reopened model does not predict the same.
    """
    console = rich.console.Console()
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"Expected a folder to write the demo to; {folder} is a file: choose another --out.")
    console.print("[bold]1. Build[/] LeNet-5, the course's first network")
    plots.print_table(cost(applications.lenet5()).table())
    console.print(f"[bold]2. Train[/] it on 10 000 simulated digits ({epochs} epochs)")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".demo-") as scratch:
        model_path = Path(scratch) / "lenet5_digits.keras"
        result = training.train(
            "lenet5",
            "simulated_digits",
            epochs=epochs,
            augment=False,
            out=model_path,
            command="astrokeras demo",
            verbose=verbose,
        )
        console.print("[bold]3. Judge[/] it on 2 000 digits that it has not seen (rows: truth, columns: prediction)")
        plots.print_table(result.judgement.table())
        figure = result.judgement.figure("LeNet-5, simulated digits")
        figure.savefig(Path(scratch) / "confusion_matrix.png", dpi=120)
        console.print("[bold]4. Save[/] it and [bold]reopen[/] the file in another process")
        difference = _reopen(result.model, model_path)
        measured = {"accuracy": result.judgement.score, "seconds": round(result.seconds, 1), "difference": difference}
        (Path(scratch) / "report.md").write_text(_report(measured, model_path, epochs))
        folder.mkdir(exist_ok=True)
        for written in ("lenet5_digits.keras", "confusion_matrix.png", "report.md"):
            os.replace(Path(scratch) / written, folder / written)
    console.print(
        f"accuracy {100 * result.judgement.score:.2f} %, trained in {result.seconds:.0f} s; reopened elsewhere, its "
        f"predictions differ by at most {difference:.1e}\n"
        f"written: {folder}/lenet5_digits.keras, confusion_matrix.png, report.md"
    )
    return measured


def _reopen(model: keras.Model, path: Path) -> float:
    """Let a fresh process open the file; return the largest difference of its predictions."""
    images = np.random.default_rng(0).random((64, *model.input_shape[1:]), "float32")
    given, answered = path.with_name("images.npy"), path.with_name("predictions.npy")
    np.save(given, images)
    subprocess.run([sys.executable, "-c", REOPEN, path, given, answered], check=True, capture_output=True)
    difference = float(np.abs(np.load(answered) - model.predict(images, verbose=0)).max())
    if difference > 1e-5:
        raise RuntimeError(f"The reopened model predicts differently, by {difference:.1e}: please report this.")
    return difference


def _report(measured: dict, path: Path, epochs: int) -> str:
    facts = "\n".join(f"| {key} | {value} |" for key, value in runtime.report().items())
    card = json.dumps(saving.read_card(path), indent=1)
    return (
        "# astrokeras demo\n\n"
        f"LeNet-5 on simulated digits (a simulation: this says nothing of MNIST), {epochs} epochs.\n\n"
        f"- accuracy on 2 000 unseen digits: {100 * measured['accuracy']:.2f} %\n"
        f"- training: {measured['seconds']} s\n"
        f"- reopened in another process: predictions differ by at most {measured['difference']:.1e}\n\n"
        "![confusion matrix](confusion_matrix.png)\n\n"
        "Open the model: `astrokeras.load_model('lenet5_digits.keras')`; its card says\n\n"
        f"```json\n{card}\n```\n\n## This machine\n\n| what | value |\n| --- | --- |\n{facts}\n"
    )
