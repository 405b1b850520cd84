"""astrokeras: the networks and tools of the course "AI for Astrophysics" on Keras 3."""

import importlib

try:
    import keras as _keras  # noqa: F401  (fails here, with our sentence, where its backend is missing)
except ModuleNotFoundError as error:
    if error.name not in ("tensorflow", "jax", "torch"):
        raise
    raise ModuleNotFoundError(
        f"Keras is set to the backend {error.name!r}, which is not installed: pip install 'astrokeras[cpu]' "
        "(TensorFlow), or set KERAS_BACKEND to an installed one of tensorflow, jax, torch.",
        name=error.name,
    ) from None

from astrokeras import layers as layers
from astrokeras import losses as losses
from astrokeras import metrics as metrics
from astrokeras import models as models
from astrokeras import quantization as quantization
from astrokeras.cost import cost as cost
from astrokeras.export import export as export
from astrokeras.parameters import Parameter as Parameter

__version__ = "0.1.0"

_ROOMS = ("applications", "augmentation", "backend", "boxes", "callbacks", "challenges", "cianna", "cianna_files")
_ROOMS += (
    "datasets",
    "detections",
    "discovery",
    "explain",
    "judging",
    "parameters",
    "plots",
    "runtime",
    "schedules",
    "survey",
    "training",
    "weights",
)
_NAMES = {
    "Detections": "detections",
    "Network": "network",
    "configure": "runtime",
    "judge": "judging",
    "judge_generated": "judging",
    "load_model": "saving",
    "read_card": "saving",
    "save_model": "saving",
}
_HERE = ("layers", "losses", "metrics", "models", "quantization", "cost", "export", "Parameter")
__all__ = sorted([*_HERE, *_ROOMS, *_NAMES])


def __getattr__(name: str):
    """Import a room, or a name of a room, when it is first used (PEP 562)."""
    if name in _ROOMS:
        return importlib.import_module(f"astrokeras.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(f"astrokeras.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'astrokeras' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the rooms and names, imported or not."""
    return sorted([*globals(), *_ROOMS, *_NAMES])
