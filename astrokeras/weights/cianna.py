"""Weights in CIANNA's files, in networks of this library."""

import math
import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from astrokeras import cianna_files, layers
from astrokeras.layers.yolo_head import PARTS
from astrokeras.whole_file import replacing

ZENODO = "https://zenodo.org/records/12801421/files/"
LICENCE = "D. Cornu, doi:10.5281/zenodo.12801421, Creative Commons 4.0"


class Published(NamedTuple):
    """One file of CIANNA's author; we do not host it."""

    file: str
    about: str


PUBLISHED = {
    ("darknet19", "cianna"): Published(
        "CIANNA_net_model_imagenet_v1.0_darknet19custom_res448_acc74.dat", "ImageNet, 448 pixels, 74.7 % top-1"
    ),
    ("yolo_voc416", "cianna"): Published(
        "CIANNA_net_model_pascal_v1.0_darknet19custom_res416_map50_75.3_fp16.dat", "VOC, mAP@50 75.3 %"
    ),
    ("yolo_coco", "cianna"): Published(
        "CIANNA_net_model_coco_v1.0_darknet19custom_res416_map50_39.9_fp16.dat", "COCO, mAP@50 39.9 %"
    ),
    ("yolo_sdc1", "cianna"): Published("YOLO_CIANNA_ref_SDC1_s480k_MINERVA_Cornu2024.dat", "SDC1, score 480 k"),
}


def find_published(application: str, name: str) -> Path:
    """Find a published file in `ASTROKERAS_HOME` (`~/.astrokeras` by default), or download it there.

    Raises:
        ConnectionError: if it is not there and cannot be downloaded whole; says where to get and to put it.
    """
    published = PUBLISHED[application, name]
    home = Path(os.environ.get("ASTROKERAS_HOME", "~/.astrokeras")).expanduser()
    path, url = home / published.file, ZENODO + published.file
    if path.is_file():
        return path
    home.mkdir(parents=True, exist_ok=True)
    print(f"downloading {url} ({LICENCE})")
    try:
        with replacing(path) as temporary:
            with open(temporary, "wb") as stream, urllib.request.urlopen(url, timeout=30) as answer:
                shutil.copyfileobj(answer, stream)
                expected = int(answer.headers.get("Content-Length") or -1)
            received = os.path.getsize(temporary)
            if expected not in (-1, received):
                raise OSError(f"{received} of {expected} bytes")
            cianna_files.read(temporary)  # whole, and such a file
    except (OSError, ValueError, urllib.error.URLError) as error:
        raise ConnectionError(
            f"Could not download the weights {name!r} of {application} ({published.about}; {LICENCE}): {error}. Get "
            f"{url} and put it at {path}."
        ) from error
    return path


def load_cianna(model: keras.Model, path: str | os.PathLike) -> keras.Model:
    """Load the weights of a CIANNA model file into a network of the same layers.

    The file's convolutions, norms and dense layers meet those of the model in their order. What CIANNA does before its
    activation in inference, multiply by `1 - drop_rate`, goes into the weights.

    Args:
        model: built by `Network`, an application, or `cianna.load_model`.
        path: of the file.

    Returns:
        The same model.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if the file is damaged or its layers are others; names the first that differs.
    """
    found = [record for record in cianna_files.read(path).layers if not isinstance(record, cianna_files.Pool)]
    kinds = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D, keras.layers.Dense)
    ours = [layer for layer in model.layers if isinstance(layer, (*kinds, layers.GroupNormalization))]
    taken = []
    for layer, record in zip(ours, found, strict=False):
        values = _values(layer, record, model)
        if values is None or [value.shape for value in values] != [tuple(weight.shape) for weight in layer.weights]:
            raise ValueError(
                f"Expected {path} to hold weights of {model.name}; its {type(record).__name__} number "
                f"{len(taken) + 1} does not fit the layer {layer.name!r}: build the network as it was trained."
            )
        taken.append((layer, values))
    if len(ours) != len(found):
        raise ValueError(
            f"Expected {path} to hold the {len(ours)} layers with weights of {model.name}; it has {len(found)}: build "
            "the network as it was trained."
        )
    _check_head(model, found[-1], path)
    for layer, values in taken:
        layer.set_weights(values)
    return model


def yolo_record(head: layers.YoloHead) -> cianna_files.Yolo:
    """Return what CIANNA's files say of a head.

    Example:
        >>> import astrokeras
        >>> head = astrokeras.layers.YoloHead(priors=[[24, 48]], classes=3)
        >>> astrokeras.weights.yolo_record(head).priors.tolist()
        [[24.0, 48.0, 0.0]]
    """
    priors = np.zeros((head.boxes, 3), "float32")
    priors[:, : head.fit_dims] = np.asarray(head.priors, "float32")[:, : head.fit_dims]
    slopes = np.array([head.slopes[part] for part in PARTS], "float32")
    return cianna_files.Yolo(head.boxes, head.classes, head.params, head.fit_dims, head.class_softmax, priors, slopes)


def _values(layer, record, model) -> list[np.ndarray] | None:
    """A record's weights as a Keras layer has them; None where they are of another kind."""
    if isinstance(record, cianna_files.Norm) and isinstance(layer, layers.GroupNormalization):
        if (record.group_size, record.set_off) != (layer.group_size, layer.set_off):
            return None
        repeats = layer.group_size if layer.per == "channel" else 1
        return [np.repeat(record.gamma, repeats), np.repeat(record.beta, repeats)]
    if isinstance(layer, layers.GroupNormalization) or not isinstance(record, (cianna_files.Conv, cianna_files.Dense)):
        return None
    kept = np.float32(1 - record.dropout if record.dropout > cianna_files.LEAST_RATE else 1)
    if isinstance(layer, keras.layers.Dense):
        if not isinstance(record, cianna_files.Dense):
            return None
        kernel, bias = record.weights[:-1, :-1], record.weights[-1, :-1] * np.float32(record.bias_value)
        before = model.layers[model.layers.index(layer) - 1]
        if isinstance(before, keras.layers.Flatten) and len(before.input.shape) > 2:
            *pixels, channels = before.input.shape[1:]
            if len(kernel) != math.prod(pixels) * channels:
                return None
            kernel = np.moveaxis(kernel.reshape(channels, *pixels, -1), 0, -2).reshape(kernel.shape)
        elif isinstance(before, keras.layers.Dense) and before.activation is not keras.activations.linear:
            bias = np.zeros_like(bias)  # CIANNA's pivot
    else:
        if not isinstance(record, cianna_files.Conv):
            return None
        rank = layer.rank
        size = record.kernel_size[:rank][::-1]
        if (*size, record.channels, record.filters) != tuple(layer.kernel.shape) or any(
            n > 1 for n in record.kernel_size[rank:]
        ):
            return None
        kernel = record.weights[:, :-1].reshape(record.filters, record.channels, *size)
        kernel = np.moveaxis(kernel, (0, 1), (-1, -2))
        bias = record.weights[:, -1] * np.float32(record.bias_value)
    return [kernel * kept, bias * kept] if layer.use_bias else [kernel * kept]


def _check_head(model: keras.Model, record, path) -> None:
    """Refuse a head with other priors or slopes than the file's."""
    head = model.layers[-1]
    yolo = getattr(record, "yolo", None)
    if not isinstance(head, layers.YoloHead) or yolo is None:
        return
    ours = yolo_record(head)
    same = (ours.boxes, ours.classes, ours.params) == (yolo.boxes, yolo.classes, yolo.params)
    if not same or not np.allclose(ours.priors, yolo.priors) or ours.class_softmax != yolo.class_softmax:
        raise ValueError(
            f"Expected {path} to have the priors, classes and parameters of {model.name}; it has the priors "
            f"{yolo.priors[:, : yolo.fit_dims].tolist()} for {yolo.classes} classes (softmax {yolo.class_softmax}) and "
            f"{yolo.params} parameters: build the network with these."
        )
    if not np.allclose(ours.slopes, yolo.slopes):
        raise ValueError(f"Expected {path} to have the slopes of {model.name}; it has {yolo.slopes.tolist()}.")
