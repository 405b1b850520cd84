"""Train an application with the settings that suit it: what `astrokeras train`, `compare` and the recipes run."""

import hashlib
import inspect
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import keras
import numpy as np

from astrokeras import applications, augmentation, callbacks, datasets, judging, losses, runtime, saving, weights
from astrokeras.cost import cost
from astrokeras.datasets.image_files import class_folders

LOADERS = ("mnist", "cifar10", "simulated_digits", "simulated_spectra", "simulated_molecular_spectra")
LOADERS += ("simulated_galaxies", "simulated_textures", "simulated_extinction")  # those that need no path
NAMES = {  # of the classes of a set; others go by number or bring their own
    "cifar10": datasets.CIFAR10_CLASSES,
    "simulated_galaxies": datasets.GALAXY_CLASSES,
    "simulated_spectra": datasets.SPECTRAL_TYPES,
    "simulated_textures": ("striped", "spotted"),
    "stellar_spectra": datasets.SPECTRAL_TYPES,
    "asirra": ("cat", "dog"),
}
OF_IMAGES = ("mnist", "cifar10", "asirra", "galaxy_zoo2")  # loaders beside which image_folder reads class folders
ASIRRA_FOLDERS = {"cat", "cats", "dog", "dogs", "train", "test", "test1", "val", "validation"}  # in which ASIRRA comes
MOST_CLASSES = 100_000


@dataclass(frozen=True)
class Recipe:
    """How an application is trained unless the user says otherwise."""

    data: str | None  # its own set, one of LOADERS; None where the user must bring one
    reader: str  # the loader of astrokeras.datasets that reads the user's path
    epochs: int
    batch_size: int
    optimizer: Callable[[int], keras.optimizers.Optimizer]  # of the total number of steps
    augmentation: dict = field(default_factory=dict)  # arguments of augmentation.images; none: it has no --augment
    kind: str = "classes"  # what it predicts, see judging.KINDS
    unit_range: bool = False  # the application takes 0..1 instead of 0..255
    label_smoothing: float = 0.0


@dataclass(frozen=True)
class Result:
    """What `train` returns: the model, its `Judgement` on the test data, seconds of training, losses per epoch."""

    model: keras.Model
    judgement: judging.Judgement
    seconds: float
    history: dict = field(repr=False)


def adam(steps: int) -> keras.optimizers.Optimizer:
    """Adam, its rate falling from 0.001 to zero along half a cosine."""
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, steps))


def sgd(steps: int, rate: float = 0.1) -> keras.optimizers.Optimizer:
    """Nesterov momentum with warm-up to `rate`, then half a cosine to zero; weights decay, norms and biases not."""
    warm = max(1, steps // 10)
    decay = keras.optimizers.schedules.CosineDecay(0.01, max(1, steps - warm), warmup_target=rate, warmup_steps=warm)
    optimizer = keras.optimizers.SGD(decay, momentum=0.9, nesterov=True, weight_decay=5e-3)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer


DIGITS = {"rotation": 10, "scale": 0.1, "translation": 0.08}
CUT_PHOTOGRAPHS = {"flip": "horizontal", "crop": 4, "cutout": 10, "rotation": 10, "scale": 0.15, "contrast": 0.2}
SMALL_PHOTOGRAPHS = {"flip": "horizontal", "crop": 4, "rotation": 10, "scale": 0.15, "contrast": 0.2}
PHOTOGRAPHS = {"flip": "horizontal", "rotation": 10, "scale": 0.2, "translation": 0.1, "contrast": 0.2}
RECIPES = {
    "lenet5": Recipe("mnist", "mnist", 20, 64, adam, DIGITS, unit_range=True),
    "resnet": Recipe("cifar10", "cifar10", 38, 64, sgd, SMALL_PHOTOGRAPHS, label_smoothing=0.1),
    "cifar10_cnn": Recipe("cifar10", "cifar10", 40, 64, partial(sgd, rate=0.05), CUT_PHOTOGRAPHS, label_smoothing=0.1),
    "asirra_cnn": Recipe("simulated_textures", "asirra", 20, 64, adam, PHOTOGRAPHS),
    "stellar_spectra_cnn": Recipe("simulated_spectra", "stellar_spectra", 25, 32, adam),
    "molecular_spectra_cnn": Recipe("simulated_molecular_spectra", "arrays", 30, 32, adam, kind="labels"),
    "darknet19": Recipe(None, "image_folder", 40, 32, adam, PHOTOGRAPHS),
    "galaxy_zoo2": Recipe("simulated_galaxies", "galaxy_zoo2", 15, 64, adam, {"flip": "both", "rotation": 180}),
    "voc_cutout_classifier": Recipe(None, "image_folder", 40, 32, adam, PHOTOGRAPHS),
    "extinction_cnn": Recipe("simulated_extinction", "arrays", 10, 64, adam, kind="values"),
}
FROM_PYTHON = tuple(  # the applications that no recipe trains
    name
    for name, build in vars(applications).items()
    if inspect.isfunction(build) and inspect.isclass(build.__annotations__["return"]) and name not in RECIPES
)


def load_data(recipe: Recipe, data=None, size: int | None = None) -> tuple[tuple, tuple]:
    """Load `(x_train, y_train), (x_test, y_test)` from a loader's name, a path, or the recipe's own set.

    Args:
        recipe: of the application.
        data: one of `LOADERS`; a path, read by the recipe's loader, by `datasets.image_folder` where it is a folder of
            images with one subfolder per class (cats and dogs alone are ASIRRA's to `asirra_cnn`), or by
            `datasets.arrays` where it ends in `.npz` and that loader reads no such files; `None` for the recipe's own
            set; or the arrays themselves.
        size: pixels along each side, where the loader resizes.

    Raises:
        FileNotFoundError: if `data` is neither a known name nor a path.
        ValueError: if the recipe has no set of its own and `data` is `None`.

    Example:
        >>> from astrokeras import training
        >>> (x, y), _ = training.load_data(training.RECIPES["lenet5"], "simulated_digits")
        >>> x.shape
        (10000, 28, 28, 1)
    """
    if isinstance(data, (tuple, list)):
        return data
    if data is None and recipe.data is None:
        raise ValueError(
            "Expected --data with the path of a folder of images, one subfolder per class: this network has no set of "
            "its own."
        )
    if data is None or str(data) in LOADERS:
        return getattr(datasets, recipe.data if data is None else str(data))()
    if not Path(data).exists():
        raise FileNotFoundError(
            f"Expected data to be one of {', '.join(LOADERS)}, or a path; there is nothing at {data}."
        )
    reader = getattr(datasets, _reader(recipe, Path(data)))
    resizes = size is not None and "size" in inspect.signature(reader).parameters
    return reader(data, size=size) if resizes else reader(data)


def train(
    name: str,
    data=None,
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    augment: bool = False,
    seed: int = 0,
    precision: str = "auto",
    out: str | os.PathLike | None = None,
    arguments: dict | None = None,
    start: str | os.PathLike | None = None,
    transfer: dict | None = None,
    command: str = "",
    verbose: int = 1,
) -> Result:
    """Train an application and judge it once, at the end, on the test data.

    The network takes its input shape and its number of classes (outputs) from the data, unless `arguments` say
    otherwise. With `out`, the state is kept beside it after each epoch: the same call goes on from there if the
    training was stopped. The model and its card are written at the end.

    Args:
        name: of the application.
        data: a loader's name, a path for the application's loader, `((x, y), (x_test, y_test))`, or `None` for its
            own set.
        epochs: passes over the training data; default by the recipe.
        batch_size: examples per step; default by the recipe.
        augment: change the training images at random, as the recipe says.
        seed: of weights, order and augmentation.
        precision: see `configure`.
        out: a `.keras` path, or `None` to save nothing.
        arguments: further arguments of the application, such as `{"depth": 32}`.
        start: a `.keras` file to start from; layers that do not fit start anew.
        transfer: arguments of `weights.transfer` for it: `layers`, `channels`, `freeze`.
        command: recorded in the file's card.
        verbose: as in `fit`.

    Returns:
        A `Result` with model, judgement, seconds and history.

    Raises:
        ValueError: if an argument is out of range or the data is bad; nothing has been written then.
        FileNotFoundError: if the data or the folder of `out` does not exist.

    Example:
        >>> from astrokeras import training
        >>> result = training.train("lenet5", "simulated_digits", epochs=1, batch_size=500, verbose=0)
        >>> int(result.judgement.matrix.sum())
        2000
    """
    recipe = _recipe(name)
    epochs = recipe.epochs if epochs is None else epochs
    batch_size = recipe.batch_size if batch_size is None else batch_size
    if epochs < 1 or batch_size < 1:
        raise ValueError(
            f"Expected epochs >= 1 and batch_size >= 1; received epochs={epochs}, batch_size={batch_size}."
        )
    if augment and not recipe.augmentation:
        raise ValueError(f"Expected no augmentation with {name}: its data are no photographs; leave out --augment.")
    out = None if out is None else saving.check_path(out)
    arguments = check_arguments(name, arguments or {})
    kind = _kind(name, arguments)

    runtime.configure(precision, seed)
    (x, y), (x_test, y_test) = load_data(recipe, data, _size(name, arguments))
    if kind == "classes":
        y, y_test = judging.class_numbers(y), judging.class_numbers(y_test)
    names = _names(recipe, data, x)
    arguments = {"input_shape": tuple(x.shape[1:])} | _outputs(name, kind, y, names, arguments) | arguments
    model = getattr(applications, name)(**arguments)
    outputs = model.output_shape[-1]
    names = names if names is not None and len(names) == outputs else None
    callbacks.check_inputs(x, y, outputs, kind=kind, place="training set: ")
    callbacks.check_inputs(x_test, y_test, outputs, kind=kind, place="test set: ")
    if start is not None:
        copied = weights.transfer(model, start, **(transfer or {}))
        if verbose:
            print(f"{len(copied)} layers start from {start}: {', '.join(copied)}")

    rescale = _rescale(recipe, x)
    change = augmentation.images(**recipe.augmentation) if augment else None
    y_fed = np.eye(outputs, dtype="float32")[y] if kind == "classes" and recipe.label_smoothing else y
    batches = datasets.ImageDataset(
        x, y_fed, batch_size, augmentation=change, rescale=rescale, seed=seed, workers=2 if augment else 1
    )
    test = datasets.ImageDataset(x_test, y_test, min(500, 8 * batch_size), rescale=rescale, shuffle=False)
    loss, metrics = _objective(recipe, kind, arguments)
    model.compile(recipe.optimizer(epochs * len(batches)), loss=loss, metrics=metrics)
    watchers, backup = [keras.callbacks.TerminateOnNaN()], None
    if out is not None:
        settings = json.dumps([name, _describe(data), epochs, batch_size, augment, seed, precision, repr(arguments)])
        backup = out.with_name(f".{out.stem}-{hashlib.sha256(settings.encode()).hexdigest()[:8]}.backup")
        # Kept until the model is saved, and twice, so that a stop at any moment loses one epoch at most.
        watchers.append(keras.callbacks.BackupAndRestore(str(backup), double_checkpoint=True, delete_checkpoint=False))
    begun = time.perf_counter()
    history = model.fit(batches, epochs=epochs, verbose=verbose, callbacks=watchers).history
    seconds = time.perf_counter() - begun
    if not np.isfinite(history.get("loss", [0])).all():
        _remove(backup)
        raise ValueError("Expected a finite loss; it became NaN or infinite: try a smaller batch or another precision.")

    judgement = judging.judge(
        model, test, kind=kind, names=names, questions=arguments.get("questions"), verbose=bool(verbose)
    )
    if out is not None:
        measured = {f"test_{score.replace(' ', '_')}": value for score, value in judgement.scores.items()}
        measured |= {"train_seconds": round(seconds, 1), "epochs": epochs, "seed": seed}
        source = _describe(data) or recipe.data
        saving.save_model(model, out, command=command, data=source, metrics=measured, names=names, kind=kind)
        _remove(backup)
    return Result(model, judgement, seconds, history)


@dataclass(frozen=True)
class Compared:
    """One row of a comparison; `scores` as in a `Judgement`, seconds of training and of predicting the test set."""

    label: str
    scores: dict[str, float]
    parameters: int
    multiply_adds: int
    train_seconds: float
    predict_seconds: float


def compare(cases: dict[str, tuple[str, dict]], data=None, *, verbose: int = 0, **settings) -> list[Compared]:
    """Train several networks on the same data with the same settings: what does a change of the architecture cost?

    Args:
        cases: label -> (application, its arguments), such as `{"wide": ("cifar10_cnn", {"filters": (64, 128, 256)})}`.
        data: as in `train`; `None` takes the first application's own set.
        verbose: as in `fit`.
        **settings: `epochs`, `batch_size`, `augment`, `seed`, `precision` of `train`, for all alike.

    Returns:
        One `Compared` a case, in their order. Predictions are timed on the whole test set, after one that is not.

    Raises:
        ValueError: if there are no cases, or their kinds of output differ; see also `train`.

    Example:
        >>> from astrokeras import training
        >>> cases = {"full": ("lenet5", {}), "again": ("lenet5", {})}
        >>> rows = training.compare(cases, "simulated_digits", epochs=1, batch_size=500)
        >>> [row.parameters for row in rows]
        [238570, 238570]
    """
    if not cases:
        raise ValueError("Expected at least one network to compare; received none.")
    for name, arguments in cases.values():
        check_arguments(name, arguments)
    kinds = {_kind(name, arguments) for name, arguments in cases.values()}
    if len(kinds) > 1:
        raise ValueError(f"Expected networks with one kind of output; received {', '.join(sorted(kinds))}.")
    first, arguments = next(iter(cases.values()))
    (x, y), test = load_data(RECIPES[first], data, _size(first, arguments))
    rows = []
    for label, (name, arguments) in cases.items():
        result = train(name, ((x, y), test), arguments=arguments, verbose=verbose, **settings)
        price = cost(result.model)
        batches = datasets.ImageDataset(test[0], None, 250, rescale=_rescale(RECIPES[name], x), shuffle=False)
        result.model.predict(batches, verbose=0)
        begun = time.perf_counter()
        result.model.predict(batches, verbose=0)
        seconds = time.perf_counter() - begun
        scores = result.judgement.scores
        rows.append(Compared(label, scores, price.parameters, price.multiply_adds, result.seconds, seconds))
    return rows


def check_arguments(name: str, arguments: dict) -> dict:
    """Refuse arguments that an application does not have, naming those it has.

    Raises:
        ValueError: for an unknown application or argument.

    Example:
        >>> from astrokeras import training
        >>> training.check_arguments("resnet", {"depth": 32})
        {'depth': 32}
    """
    _recipe(name)
    known = list(inspect.signature(getattr(applications, name)).parameters)
    unknown = [argument for argument in arguments if argument not in known]
    if unknown:
        raise ValueError(f"Expected arguments of {name} among {', '.join(known)}; received {', '.join(unknown)}.")
    return arguments


def _reader(recipe: Recipe, path: Path) -> str:
    """The name of the loader that reads what is at a path."""
    if path.suffix == ".npz" and recipe.reader not in ("mnist", "cifar10", "arrays"):
        return "arrays"
    if recipe.reader in OF_IMAGES and path.is_dir():
        names = {name.lower() for name in class_folders(path)}
        own = recipe.reader == "asirra" and names <= ASIRRA_FOLDERS
        return recipe.reader if own or len(names) < 2 else "image_folder"
    return recipe.reader


def _recipe(name: str) -> Recipe:
    if name not in RECIPES and name.startswith("yolo"):
        raise ValueError(
            f"Expected an application that learns classes or values, one of {', '.join(RECIPES)}; {name} learns boxes: "
            "train it from Python with fit(DetectionDataset(...)), as in recipes/bccd_detectors.py."
        )
    if name in FROM_PYTHON:
        raise ValueError(
            f"Expected an application that learns classes or values, one of {', '.join(RECIPES)}; {name} is used from "
            f"Python: astrokeras.applications.{name}."
        )
    if name not in RECIPES:
        raise ValueError(f"Expected an application, one of {', '.join(RECIPES)}; received {name!r}.")
    return RECIPES[name]


def _kind(name: str, arguments: dict) -> str:
    """What the network predicts, with these arguments."""
    return "votes" if arguments.get("questions") else _recipe(name).kind


def _rescale(recipe: Recipe, x) -> float | None:
    """The factor that brings the data into the network's range."""
    return 1 / 255 if recipe.unit_range and x.dtype == np.uint8 else None


def _size(name: str, arguments: dict) -> int:
    """Pixels along a side that the network expects."""
    default = inspect.signature(getattr(applications, name)).parameters["input_shape"].default
    return tuple(arguments.get("input_shape", default))[0]


def _describe(data) -> str:
    return "" if data is None else "arrays" if isinstance(data, (tuple, list)) else str(data)


def _names(recipe: Recipe, data, x) -> tuple[str, ...] | None:
    """Names of the classes: those that the images bring, or those of the set."""
    if getattr(x, "names", None):
        return x.names
    if isinstance(data, (tuple, list)):
        return None
    if data is not None and str(data) not in LOADERS:
        return NAMES.get(recipe.reader)
    return NAMES.get(recipe.data if data is None else str(data))


def _outputs(name: str, kind: str, y: np.ndarray, names, arguments: dict) -> dict:
    """The argument that sets the number of outputs, from the data."""
    if kind == "votes" or {"classes", "outputs"} & set(arguments):
        return {}
    if kind != "classes":
        if y.ndim != 2:
            raise ValueError(f"Expected {kind} of shape (n, columns) for {name}; received shape {y.shape}.")
        return {"outputs" if kind == "values" else "classes": y.shape[1]}
    if not np.issubdtype(y.dtype, np.integer) or y.min() < 0 or y.max() >= MOST_CLASSES:
        raise ValueError(
            f"training set: Expected class numbers 0, 1, 2, ... as integers; received {y.dtype} from {y.min()} to "
            f"{y.max()}."
        )
    counts = np.bincount(y.reshape(-1), minlength=len(names) if names else 2)
    if (counts == 0).any():
        empty = int(np.argmin(counts))
        label = names[empty] if names and empty < len(names) else empty
        raise ValueError(
            f"training set: Expected examples of each of {len(counts)} classes; there are none of class {label}: "
            "number the classes from 0 without gaps, or pass classes=."
        )
    count = len(counts)
    background = inspect.signature(getattr(applications, name)).parameters.get("background")
    return {"classes": count - 1 if background is not None and arguments.get("background") else count}


def _objective(recipe: Recipe, kind: str, arguments: dict) -> tuple:
    """Loss and metrics by what is predicted."""
    if kind == "votes":
        return losses.VoteCounts(arguments["questions"]), []
    if kind == "values":
        return "mse", [keras.metrics.RootMeanSquaredError(name="rmse")]
    if kind == "labels":
        return "binary_crossentropy", [keras.metrics.F1Score(average="macro", threshold=0.5, name="f1")]
    if recipe.label_smoothing:
        return keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing), ["accuracy"]
    return "sparse_categorical_crossentropy", ["accuracy"]


def _remove(backup: Path | None) -> None:
    if backup is not None:
        shutil.rmtree(backup, ignore_errors=True)
