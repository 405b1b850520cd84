"""Weights that ship with the library, are published, or lie in a file, loaded into a built model."""

import os
import warnings
from pathlib import Path
from typing import NamedTuple

import keras

from astrokeras import saving
from astrokeras.weights.cianna import PUBLISHED, find_published, load_cianna


class Shipped(NamedTuple):
    """One set of weights that ships in `applications/weights/`."""

    file: str
    input_shape: tuple[int, ...]
    parameters: int
    about: str


_GENERATIVE = "recipes/mnist_generative.py on the 60 000 training images of MNIST"
SHIPPED = {
    ("lenet5", "mnist"): Shipped(
        "lenet5_mnist.weights.h5",
        (28, 28, 1),
        238_570,
        "recipes/lenet5_mnist.py on the 60 000 training images of MNIST",
    ),
    ("autoencoder", "mnist"): Shipped("autoencoder_mnist.weights.h5", (28, 28, 1), 928_707, _GENERATIVE),
    ("variational_autoencoder", "mnist"): Shipped(
        "variational_autoencoder_mnist.weights.h5", (28, 28, 1), 931_281, _GENERATIVE
    ),
    ("gan", "mnist"): Shipped("gan_mnist.weights.h5", (28, 28, 1), 270_882, _GENERATIVE),
    ("ddpm", "mnist"): Shipped("ddpm_mnist.weights.h5", (28, 28, 1), 590_627, _GENERATIVE),
}


def names(application: str) -> list[str]:
    """List the named weights of an application.

    Example:
        >>> import astrokeras
        >>> astrokeras.weights.names("lenet5")
        ['mnist']
    """
    return sorted(name for owner, name in (*SHIPPED, *PUBLISHED) if owner == application)


def load(model: keras.Model, weights: str | os.PathLike | None, application: str | None = None) -> keras.Model:
    """Load weights into a model.

    Args:
        model: a built model.
        weights: `None` (leave the random ones), a known name (`"cianna"`: the published file of CIANNA, looked for in
            the folder `ASTROKERAS_HOME`, `~/.astrokeras` by default, and downloaded there otherwise), or the path of a
            `.keras`, `.weights.h5` or CIANNA's `.dat` file of the same network.
        application: whose names to look up; defaults to the model's name.

    Returns:
        The same model.

    Raises:
        ValueError: if the name is unknown (the sentence lists the known ones), or the file does not
            fit the model.
        FileNotFoundError: if a path does not exist.
        ConnectionError: if a published file is neither there nor to be had; says where to get and to put it.

    Example:
        >>> import astrokeras
        >>> model = astrokeras.weights.load(astrokeras.applications.lenet5(), "mnist")
        >>> model.count_params()
        238570
    """
    if weights is None:
        return model
    application = application or model.name
    entry = SHIPPED.get((application, str(weights)))
    if entry is not None:
        _check_fits(model, str(weights), entry)
        path = Path(__file__).parent.parent / "applications" / "weights" / entry.file
        model.load_weights(path)
        return model
    if (application, str(weights)) in PUBLISHED:
        return load_cianna(model, find_published(application, str(weights)))
    path = Path(weights)
    if path.suffix not in (".keras", ".h5", ".dat"):
        raise ValueError(
            f"Expected weights of {application} to be None, "
            + "".join(f"{name!r}, " for name in names(application))
            + f"or the path of a .keras, .weights.h5 or (CIANNA) .dat file; received {str(weights)!r}."
        )
    if not path.is_file():
        raise FileNotFoundError(
            f"Expected a file with weights of {application}; there is none at {path}: check the path."
        )
    if path.suffix == ".dat":
        return load_cianna(model, path)
    try:
        if path.suffix == ".keras":
            model.set_weights(saving.load_model(path, compile=False).get_weights())
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # Keras only warns of weights that find no place
                model.load_weights(path)
    except (OSError, KeyError, ValueError, UserWarning) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(
            f"Expected {path} to hold weights of this {application} (input_shape {model.input_shape[1:]}, "
            f"{model.count_params()} parameters); it does not fit: {reason}"
        ) from error
    return model


def _check_fits(model: keras.Model, name: str, entry: Shipped) -> None:
    received = (tuple(model.input_shape[1:]), model.count_params())
    if received != (entry.input_shape, entry.parameters):
        raise ValueError(
            f"The weights {name!r} are for input_shape={entry.input_shape} and {entry.parameters} parameters, "
            f"the network that is built where weights={name!r} is the only argument; received "
            f"input_shape={received[0]} and {received[1]} parameters: build that network, or use weights=None."
        )
