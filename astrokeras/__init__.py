"""astrokeras: the networks and tools of the course "AI for Astrophysics" on Keras 3."""

import os

try:
    import keras as _keras
except ModuleNotFoundError as error:
    if error.name not in ("tensorflow", "jax", "torch"):
        raise
    raise ModuleNotFoundError(
        f"Keras is set to the backend {error.name!r}, which is not installed: pip install 'astrokeras[cpu]' "
        "(TensorFlow), or set KERAS_BACKEND to an installed one of tensorflow, jax, torch.",
        name=error.name,
    ) from None

from astrokeras import applications, augmentation, backend, callbacks, datasets, layers, metrics, plots, runtime, weights
from astrokeras.cost import cost
from astrokeras.network import Network
from astrokeras.runtime import configure
from astrokeras.saving import load_model, read_card, save_model
