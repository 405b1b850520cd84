"""Train an application with the settings that suit it: what `astrokeras train` and the recipes run."""

import hashlib
import inspect
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np

from astrokeras import applications, augmentation, callbacks, datasets, runtime, saving

LOADERS = ("mnist", "cifar10", "simulated_digits")
NAMES = {"cifar10": datasets.CIFAR10_CLASSES}  # of the classes of a set; others go by number


@dataclass(frozen=True)
class Recipe:
    """How an application is trained unless the user says otherwise."""

    data: str  # a loader of astrokeras.datasets; a path is read by it
    epochs: int
    batch_size: int
    optimizer: Callable[[int], keras.optimizers.Optimizer]  # of the total number of steps
    augmentation: dict  # arguments of augmentation.images
    unit_range: bool = False  # the application takes 0..1 instead of 0..255


@dataclass(frozen=True)
class Result:
    """What `train` returns: `matrix` is `(true class, predicted class)` on the test images, `names` the classes'."""

    model: keras.Model
    matrix: np.ndarray
    names: tuple[str, ...] | None
    accuracy: float
    seconds: float
    history: dict = field(repr=False)


def adam(steps: int) -> keras.optimizers.Optimizer:
    """Adam, its rate falling from 0.001 to zero along half a cosine."""
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, steps))


def sgd(steps: int) -> keras.optimizers.Optimizer:
    """Nesterov momentum with warm-up to 0.15, then half a cosine to zero; weights decay, norms and biases not."""
    warm = max(1, steps // 10)
    rate = keras.optimizers.schedules.CosineDecay(0.01, max(1, steps - warm), warmup_target=0.15, warmup_steps=warm)
    optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=3e-3)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer


RECIPES = {
    "lenet5": Recipe("mnist", 20, 64, adam, {"rotation": 10, "scale": 0.1, "translation": 0.08}, unit_range=True),
    "resnet": Recipe("cifar10", 27, 128, sgd, {"flip": "horizontal", "crop": 4}),
}


def load_data(recipe: Recipe, data: str | os.PathLike | None = None) -> tuple[tuple, tuple]:
    """Load `(x_train, y_train), (x_test, y_test)` from a loader's name, a path, or the recipe's own set.

    Raises:
        FileNotFoundError: if `data` is neither a known name nor a file.

    Example:
        >>> from astrokeras import training
        >>> (x, y), _ = training.load_data(training.RECIPES["lenet5"], "simulated_digits")
        >>> x.shape
        (10000, 28, 28, 1)
    """
    if data is None or str(data) in LOADERS:
        return getattr(datasets, recipe.data if data is None else str(data))()
    if not Path(data).exists():
        raise FileNotFoundError(
            f"Expected data to be one of {', '.join(LOADERS)} or the path of a file; there is none at {data}."
        )
    return getattr(datasets, recipe.data)(data)


def train(
    name: str,
    data: str | os.PathLike | None = None,
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    augment: bool = False,
    seed: int = 0,
    precision: str = "auto",
    out: str | os.PathLike | None = None,
    arguments: dict | None = None,
    command: str = "",
    verbose: int = 1,
) -> Result:
    """Train an application and judge it once, at the end, on the test images.

    With `out`, the state is kept beside it after each epoch: the same call goes on from there if the
    training was stopped. The model, its card and `<out>.png`, the confusion matrix, are written at the end.

    Args:
        name: of the application.
        data: a loader's name, a path for the application's loader, or `None` for its own set.
        epochs: passes over the training images; default by the recipe.
        batch_size: images per step; default by the recipe.
        augment: change the training images at random, as the recipe says.
        seed: of weights, order and augmentation.
        precision: see `configure`.
        out: a `.keras` path, or `None` to save nothing.
        arguments: further arguments of the application, such as `{"depth": 32}`.
        command: recorded in the file's card.
        verbose: as in `fit`.

    Returns:
        A `Result` with model, matrix, accuracy, seconds and history.

    Raises:
        ValueError: if an argument is out of range or the data is bad; nothing has been written then.
        FileNotFoundError: if the data or the folder of `out` does not exist.

    Example:
        >>> from astrokeras import training
        >>> result = training.train("lenet5", "simulated_digits", epochs=1, batch_size=500, verbose=0)
        >>> int(result.matrix.sum())
        2000
    """
    if name not in RECIPES:
        raise ValueError(f"Expected an application, one of {', '.join(RECIPES)}; received {name!r}.")
    recipe = RECIPES[name]
    epochs = recipe.epochs if epochs is None else epochs
    batch_size = recipe.batch_size if batch_size is None else batch_size
    if epochs < 1 or batch_size < 1:
        raise ValueError(
            f"Expected epochs >= 1 and batch_size >= 1; received epochs={epochs}, batch_size={batch_size}."
        )
    out = None if out is None else saving.check_path(out)
    arguments = check_arguments(name, arguments or {})

    runtime.configure(precision, seed)
    (x, y), (x_test, y_test) = load_data(recipe, data)
    arguments = {"input_shape": tuple(x.shape[1:])} | arguments
    model = getattr(applications, name)(**arguments)
    classes = model.output_shape[-1]
    callbacks.check_inputs(x, y, classes, place="training set: ")
    callbacks.check_inputs(x_test, y_test, classes, place="test set: ")

    rescale = 1 / 255 if recipe.unit_range and x.dtype == np.uint8 else None
    change = augmentation.images(**recipe.augmentation) if augment else None
    batches = datasets.ImageDataset(
        x, y, batch_size, augmentation=change, rescale=rescale, seed=seed, workers=2 if augment else 1
    )
    test = datasets.ImageDataset(x_test, y_test, 500, rescale=rescale, shuffle=False)
    model.compile(recipe.optimizer(epochs * len(batches)), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    watchers, backup = [keras.callbacks.TerminateOnNaN()], None
    if out is not None:
        settings = json.dumps([name, str(data), epochs, batch_size, augment, seed, precision, repr(arguments)])
        backup = out.with_name(f".{out.stem}-{hashlib.sha256(settings.encode()).hexdigest()[:8]}.backup")
        # Kept until the model is saved, and twice, so that a stop at any moment loses one epoch at most.
        watchers.append(keras.callbacks.BackupAndRestore(str(backup), double_checkpoint=True, delete_checkpoint=False))
    start = time.perf_counter()
    history = model.fit(batches, epochs=epochs, verbose=verbose, callbacks=watchers).history
    seconds = time.perf_counter() - start
    if not np.isfinite(history.get("loss", [0])).all():
        _remove(backup)
        raise ValueError("Expected a finite loss; it became NaN or infinite: try a smaller batch or another precision.")

    matrix = callbacks.judge(model, test, verbose=bool(verbose))
    accuracy = float(np.trace(matrix) / matrix.sum())
    names = NAMES.get(str(data) if str(data) in LOADERS else recipe.data)
    names = names if names is not None and len(names) == classes else None
    if out is not None:
        measured = {"test_accuracy": accuracy, "train_seconds": round(seconds, 1), "epochs": epochs, "seed": seed}
        saving.save_model(model, out, command=command, data=str(data or recipe.data), metrics=measured, names=names)
        _remove(backup)
    return Result(model, matrix, names, accuracy, seconds, history)


def check_arguments(name: str, arguments: dict) -> dict:
    """Refuse arguments that an application does not have, naming those it has.

    Raises:
        ValueError: for an unknown argument.

    Example:
        >>> from astrokeras import training
        >>> training.check_arguments("resnet", {"depth": 32})
        {'depth': 32}
    """
    known = list(inspect.signature(getattr(applications, name)).parameters)
    unknown = [argument for argument in arguments if argument not in known]
    if unknown:
        raise ValueError(f"Expected arguments of {name} among {', '.join(known)}; received {', '.join(unknown)}.")
    return arguments


def _remove(backup: Path | None) -> None:
    if backup is not None:
        shutil.rmtree(backup, ignore_errors=True)
