"""The `astrokeras` command line: demo, doctor, list, train, compare, predict, convert, sdc1, sdc2, rate."""

import argparse
import ast
import contextlib
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import rich.box
import rich.table
from rich.progress import track

from astrokeras import applications, cianna, discovery, models, plots, runtime, saving, training, weights
from astrokeras.challenges import sdc1, sdc2
from astrokeras.cost import cost
from astrokeras.demo import EPOCHS, FIELDS, demo

DETECTORS = ("yolo_voc", "yolo_voc416", "yolo_coco", "yolo_sdc1", "yolo_sdc2", "yolo_lines")
EXAMPLES = """examples:
  astrokeras demo                                   the whole job on simulated radio fields, in a few minutes
  astrokeras train lenet5 --epochs 5 --out my.keras
  astrokeras train resnet --data cifar-10-python.tar.gz --augment --set depth=32 --out r32.keras
  astrokeras train galaxy_zoo2 --data gz2_images_64x64 --augment --out galaxies.keras
  astrokeras compare lenet5 resnet:depth=20 --data mnist --epochs 2
  astrokeras predict my.keras photo1.png photo2.png
  astrokeras convert cianna net0_s0020.dat net.keras
  astrokeras sdc1 train && astrokeras sdc1 detect && astrokeras sdc1 score
  astrokeras rate cutouts --features my.keras       a page that learns which objects you find interesting
"""
GOES_ON = {  # what the same command does after Ctrl-C
    "train": "; the same command goes on from its last whole epoch",
    "detect": "; the same command goes on from its last tiles",
}
CHALLENGES = {"sdc1": (sdc1, "an image of radio sources"), "sdc2": (sdc2, "a cube of galaxies in HI")}


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str):
        """Print the line; exit with code 2."""
        self.exit(2, f"{self.prog}: error: {message} (try {self.prog} --help)\n")


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments; those of the process where `None`.

    Returns:
        The exit code: 0, 2 for bad input (with one line on stderr), 130 when stopped with Ctrl-C.
    """
    argv = sys.argv[1:] if argv is None else argv
    options = _parser().parse_args(argv)
    options.line = shlex.join(["astrokeras", *argv])
    try:
        options.run(options)
    except (ValueError, OSError, ImportError) as error:
        print(f"astrokeras {options.command}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        step = getattr(options, "step", options.command)
        print(f"astrokeras {options.command}: stopped{GOES_ON.get(step, '')}", file=sys.stderr)
        return 130
    return 0


def _parser() -> _Parser:
    parser = _Parser(
        prog="astrokeras",
        description='The networks of the course "AI for Astrophysics", from the command line.',
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    sub = commands.add_parser("demo", help="train a detector of radio sources, judge, save, reopen it: a few minutes")
    sub.add_argument("--out", default="demo", metavar="FOLDER", help="where to write (default: demo)")
    sub.add_argument(
        "--epochs", type=int, default=EPOCHS, help=f"passes over the {FIELDS} simulated fields (default: {EPOCHS})"
    )
    sub.set_defaults(run=_demo)

    sub = commands.add_parser("doctor", help="what this machine offers, and why a GPU is not seen")
    sub.set_defaults(run=_doctor)

    sub = commands.add_parser("list", help="the networks, their input, parameters and multiply-adds")
    sub.set_defaults(run=_list)

    names = ", ".join(training.RECIPES)
    sub = commands.add_parser("train", help="train a network, judge it on the test data, save it")
    sub.add_argument("name", metavar="NAME", help=f"one of {names}")
    _add_training(sub)
    sub.add_argument(
        "--set", action="append", default=[], metavar="ARGUMENT=VALUE", help="argument of the network, such as depth=32"
    )
    sub.add_argument("--from", dest="start", metavar="FILE.keras", help="start from the weights of this file that fit")
    sub.add_argument("--layers", type=int, metavar="N", help="with --from: only its first N layers with weights")
    sub.add_argument(
        "--channels",
        choices=("mean", "repeat", "zero"),
        help="with --from: how its first convolution gets another number of input channels",
    )
    sub.add_argument("--freeze", action="store_true", help="with --from: keep the layers that were taken as they are")
    sub.add_argument(
        "--out", default=None, metavar="FILE.keras", help="where to save (default: NAME.keras); FILE.png is the figure"
    )
    sub.set_defaults(run=_train)

    sub = commands.add_parser(
        "compare",
        help="train several networks alike; tabulate accuracy, size, cost and time",
        description="What does a change of the architecture cost, and what does it bring? Each network is trained with "
        "the same settings on the same data and judged on the test data.",
    )
    sub.add_argument(
        "cases",
        nargs="+",
        metavar="NAME[:ARGUMENT=VALUE[:...]]",
        help=f"networks, such as resnet:depth=32; names: {names}",
    )
    _add_training(sub)
    sub.set_defaults(run=_compare)

    sub = commands.add_parser("predict", help="apply a saved or shipped network to images or arrays")
    sub.add_argument("model", metavar="MODEL", help="a .keras file, or the name of a network with --weights")
    sub.add_argument("files", nargs="+", metavar="FILE", help="images (PNG, JPEG, ...) or .npy arrays")
    sub.add_argument("--weights", help="where MODEL is a name: named weights, such as mnist for lenet5, or a file")
    sub.add_argument("--top", type=int, help="how many classes to print per image (default: 1, from 20 classes on 5)")
    sub.add_argument("--invert", action="store_true", help="for dark writing on light paper: swap black and white")
    sub.set_defaults(run=_predict)

    sub = commands.add_parser("convert", help="turn a model file of CIANNA into a .keras file, or back")
    sub.add_argument("format", choices=["cianna"], metavar="cianna", help="the other format")
    sub.add_argument("source", metavar="IN", help="a .dat file of CIANNA (binary or text), or a .keras file")
    sub.add_argument("target", metavar="OUT", help="a .keras file, or a .dat file for CIANNA")
    sub.add_argument(
        "--text", action="store_true", help="write CIANNA's text form (6 digits) instead of the binary one"
    )
    sub.add_argument("--layers", type=int, metavar="N", help="only the first N layers of CIANNA's file")
    sub.add_argument(
        "--check",
        metavar="FILE.npz",
        help="arrays input (image, channel, z, y, x) and output, CIANNA's own for it: print the largest difference",
    )
    sub.set_defaults(run=_convert)

    for name, (_, what) in CHALLENGES.items():
        number = name[-1]
        help_ = f"SKA's science data challenge {number}, {what}: train, detect, score"
        sub = commands.add_parser(name, help=help_, description=f"{help_}. On a simulation, or on the real files.")
        _add_challenge(sub, name)

    sub = commands.add_parser(
        "rate",
        help="a page on which you rate objects, and that learns what you find interesting",
        description="Which objects are worth a look? Ranks images by how unusual they are, shows them on a page of "
        "this machine, takes your ratings from 0 to 5, and learns from them what to show first.",
    )
    discovery.add_arguments(sub)
    sub.set_defaults(run=discovery.rate)
    return parser


def _add_challenge(sub: argparse.ArgumentParser, name: str) -> None:
    """Add the three steps of a challenge."""
    steps = sub.add_subparsers(dest="step", required=True, metavar="STEP", parser_class=_Parser)
    train = steps.add_parser("train", help="simulate, where no files are given, train a detector, tune its thresholds")
    detect = steps.add_parser("detect", help="scan it all with the detector, write the catalogue and the submission")
    score = steps.add_parser("score", help="score the catalogue where the detector was not trained, draw, report")
    for step in (train, detect, score):
        step.add_argument("--out", default=name, metavar="FOLDER", help=f"where all is written (default: {name})")
        step.add_argument(
            "--data", metavar="FOLDER", help="with the real files (default: a simulation, or as in train)"
        )
        step.set_defaults(run=_challenge)
    train.add_argument("--epochs", type=int, help="passes over the patches (default: the detector's own)")
    train.add_argument("--size", type=int, metavar="N", help="pixels along each side of the simulation")
    train.add_argument("--seed", type=int, default=0, help="of the simulation, weights and patches (default: 0)")
    _add_precision(train)
    train.add_argument("--full", action="store_true", help="CIANNA's network in place of the small one; for a GPU")
    detect.add_argument("--batch-size", type=int, metavar="N", help="tiles that the network sees at once")
    detect.add_argument("--workers", type=int, metavar="N", help="processes that share the tiles (needs dask)")
    score.add_argument(
        "--protocol",
        default="official",
        choices=("official", "physical"),
        help="as the challenge's package computes it (default), or with its quirks mended",
    )


def _add_training(sub: argparse.ArgumentParser) -> None:
    """Add the settings that train and compare share."""
    sub.add_argument(
        "--data",
        help=f"{', '.join(training.LOADERS)}; or a path: what the network's loader reads; a folder of images, one "
        "subfolder per class; or an .npz with x_train, y_train, x_test, y_test (default: the network's own set)",
    )
    sub.add_argument("--epochs", type=int, help="passes over the training data (default: the network's own)")
    sub.add_argument("--batch-size", type=int, metavar="N", help="examples per step (default: the network's own)")
    sub.add_argument("--augment", action="store_true", help="change the training images at random as they are fed")
    sub.add_argument("--seed", type=int, default=0, help="of weights, order and augmentation (default: 0)")
    _add_precision(sub)


def _add_precision(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--precision",
        default="auto",
        choices=runtime.PRECISIONS,
        help="auto: mixed_float16 on a GPU, float32 on a CPU (default)",
    )


def _settings(options: argparse.Namespace) -> dict:
    """Those settings (but the data), as `training` names them."""
    return {name: getattr(options, name) for name in ("epochs", "batch_size", "augment", "seed", "precision")}


def _demo(options: argparse.Namespace) -> None:
    demo(options.out, options.epochs, verbose=_verbosity())


def _doctor(options: argparse.Namespace) -> None:
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for key, value in runtime.report().items():
        table.add_row(key, value)
    plots.print_table(table)


def _list(options: argparse.Namespace) -> None:
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    for heading in ("network", "input shape", "output"):
        table.add_column(heading, no_wrap=True)
    for heading in ("parameters", "multiply-adds"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("weights")
    for name in (*training.RECIPES, *DETECTORS):
        model = getattr(applications, name)()
        price = cost(model)
        shapes = str(model.input_shape[1:]), str(model.output_shape[1:])
        known = ", ".join(weights.names(name)) or "-"
        table.add_row(name, *shapes, f"{price.parameters:,}", f"{price.multiply_adds:,}", known)
    plots.print_table(table)
    others = ", ".join(sorted(set(training.FROM_PYTHON) - set(DETECTORS)))
    print(f"more from Python (astrokeras.applications): {others}")


def _train(options: argparse.Namespace) -> None:
    out = saving.check_path(options.out or f"{options.name}.keras")
    result = training.train(
        options.name,
        options.data,
        **_settings(options),
        out=out,
        arguments=dict(_assignment(text) for text in options.set),
        start=options.start,
        transfer={"layers": options.layers, "channels": options.channels, "freeze": options.freeze},
        command=options.line,
        verbose=_verbosity(),
    )
    judgement = result.judgement
    judgement.figure(options.name).savefig(out.with_suffix(".png"), dpi=120)
    plots.print_table(judgement.table(f"{options.name} on the test data"))
    print(f"{judgement.describe()}, trained in {result.seconds:.0f} s\nwritten: {out}, {out.with_suffix('.png')}")


def _compare(options: argparse.Namespace) -> None:
    cases = {}
    for text in options.cases:
        name, *settings = text.split(":")
        cases[text] = name, dict(_assignment(setting) for setting in settings)
    rows = training.compare(
        cases,
        options.data,
        **_settings(options),
        verbose=_verbosity(),
    )
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    table.add_column("network")
    for heading in (*rows[0].scores, "parameters", "multiply-adds", "training s", "prediction s"):
        table.add_column(heading, justify="right")
    for row in rows:
        scores = (f"{value:.4f}" for value in row.scores.values())
        times = f"{row.train_seconds:.1f}", f"{row.predict_seconds:.2f}"
        table.add_row(row.label, *scores, f"{row.parameters:,}", f"{row.multiply_adds:,}", *times)
    plots.print_table(table)


def _predict(options: argparse.Namespace) -> None:
    model, names, kind = _model(options.model, options.weights)
    if isinstance(model, models.YoloDetector):
        raise ValueError(
            f"Expected a classifier or regressor; {options.model} is a detector: call "
            f"astrokeras.load_model({options.model!r}).detect(images) from Python."
        )
    if len(model.output_shape) != 2:
        raise ValueError(f"Expected a network with one row of outputs; {options.model} gives {model.output_shape[1:]}.")
    outputs = model.output_shape[-1]
    top = options.top or (5 if outputs >= 20 else 1)
    if not 1 <= top <= outputs:
        raise ValueError(f"Expected --top in 1..{outputs}; received {options.top}.")
    files = track(options.files, "reading", transient=True, disable=len(options.files) < 50)
    images = np.stack([_image(Path(file), model, options.invert) for file in files])
    scores = model.predict(images, verbose=_verbosity() if len(images) > 500 else 0)
    if names is None and kind == "classes" and outputs == 1000:
        names = _imagenet_names()
    names = names or [str(i) for i in range(outputs)]
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    headings = {"classes": ("class", "probability"), "labels": ("label", "probability")}.get(kind, ("output", "value"))
    for heading in ("file", *headings):
        table.add_column(heading, justify="left" if heading == "file" else "right")
    for file, row in zip(options.files, scores, strict=True):
        if kind == "classes":
            shown = np.argsort(-row)[:top]
        elif kind == "labels":
            shown = np.flatnonzero(row >= 0.5) if options.top is None else np.argsort(-row)[:top]
        else:
            shown = np.arange(outputs)
        for rank, index in enumerate(shown):
            table.add_row(file if rank == 0 else "", names[index], f"{row[index]:.4f}")
        if not len(shown):
            table.add_row(file, "none", "")
    plots.print_table(table)


def _convert(options: argparse.Namespace) -> None:
    source, target = Path(options.source), Path(options.target)
    if target.suffix == ".keras":
        saving.check_path(target)
        model = cianna.load_model(source, layers=options.layers)
    elif source.suffix == ".keras" and options.layers is None:
        model = saving.load_model(source, compile=False)
    else:
        raise ValueError(f"Expected one of IN and OUT to be a .keras file; received {source} and {target}.")
    plots.print_table(plots.layer_table(model.layers[1:], f"{source.name}, input {model.input_shape[1:]}"))
    if options.check:
        print(f"largest difference from {options.check}: {cianna.largest_difference(model, options.check):.1e}")
    if target.suffix == ".keras":
        last = cianna.records(model).layers[-1].activation
        kind = None if len(model.output_shape) > 2 else "classes" if last == "SMAX" else "values"
        saving.save_model(model, target, command=options.line, data=str(source), kind=kind)
    else:
        cianna.save_model(model, target, binary=not options.text)
    print(f"written: {target}")


def _challenge(options: argparse.Namespace) -> None:
    challenge, _ = CHALLENGES[options.command]
    shared = {"folder": options.out, "data": options.data, "verbose": _verbosity()}
    if options.step == "train":
        names = ("epochs", "size", "seed", "precision", "full")
        challenge.train(**shared, **{name: getattr(options, name) for name in names}, command=options.line)
    elif options.step == "detect":
        with _engine(options.workers) as engine:
            challenge.detect(**shared, engine=engine, batch_size=options.batch_size)
    else:
        challenge.score(**shared, protocol=options.protocol)


@contextlib.contextmanager
def _engine(workers: int | None) -> Iterator:
    """Give what scans: this process, or a Dask cluster of so many on this machine."""
    if workers is None:
        yield "local"
        return
    if workers < 1:
        raise ValueError(f"Expected --workers >= 1; received {workers}.")
    try:
        from dask.distributed import Client, LocalCluster
    except ImportError as error:
        raise ImportError('Expected dask for --workers: pip install "astrokeras[distributed]".') from error
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


def _imagenet_names() -> list[str] | None:
    """The names of ImageNet's classes, if Keras has them or can get them."""
    try:
        decoded = applications.decode_predictions(np.arange(1000, 0, -1, dtype="float32")[None], top=1000)[0]
    except Exception:  # no network, no cache: urllib, sockets and files fail in many ways
        print("astrokeras: the names of ImageNet's classes could not be downloaded; numbers instead", file=sys.stderr)
        return None
    return [name for name, _ in decoded]


def _model(name: str, named_weights: str | None) -> tuple[keras.Model, list[str] | None, str]:
    """The model, the names of its outputs, and what it predicts."""
    if name in training.RECIPES:
        known = ", ".join(weights.names(name)) or "none ship"
        if named_weights is None:
            raise ValueError(
                f"Expected --weights with the network {name} (known: {known}), or the path of a .keras file."
            )
        if named_weights.endswith(".keras") and Path(named_weights).is_file():
            return _model(named_weights, None)
        return getattr(applications, name)(weights=named_weights), None, training.RECIPES[name].kind
    if name in training.FROM_PYTHON:
        raise ValueError(
            f"Expected a .keras file, or one of {', '.join(training.RECIPES)}; {name} is used from Python: "
            f"astrokeras.applications.{name}."
        )
    if named_weights is not None:
        raise ValueError(f"Expected --weights with one of {', '.join(training.RECIPES)} only; received {name!r}.")
    card = saving.read_card(name)
    return saving.load_model(name, compile=False), card.get("names"), card.get("kind") or "classes"


def _image(path: Path, model: keras.Model, invert: bool) -> np.ndarray:
    """Read one image in the model's size, channels and range."""
    from PIL import Image, UnidentifiedImageError

    shape = model.input_shape[1:]
    raw = any(layer.name == "normalization" for layer in model.layers)  # it takes 0..255, else 0..1
    if not path.is_file():
        raise FileNotFoundError(f"Expected an image or .npy file; there is none at {path}.")
    if path.suffix == ".npy":
        image = np.load(path, allow_pickle=False).astype("float32")
        if image.shape != shape:
            raise ValueError(f"Expected an array of shape {shape} in {path}; received {image.shape}.")
        return image
    if len(shape) != 3 or shape[-1] not in (1, 3):
        raise ValueError(f"Expected .npy files for a network with input {shape}; received {path}.")
    try:
        with Image.open(path) as opened:
            small = opened.convert("L" if shape[-1] == 1 else "RGB").resize(
                (shape[1], shape[0]), Image.Resampling.BILINEAR
            )
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"Expected an image that Pillow can read; {path} is damaged or of another kind.") from error
    image = np.asarray(small, "float32").reshape(shape)
    image = 255 - image if invert else image
    return image if raw else image / 255


def _assignment(text: str) -> tuple[str, object]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise ValueError(f"Expected --set ARGUMENT=VALUE, such as --set depth=32; received {text!r}.")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def _verbosity() -> int:
    """A bar that moves on a terminal, a line per epoch in a log."""
    return 1 if sys.stdout.isatty() else 2
