"""Random changes of images that keep their meaning, through Albumentations 2.0.8."""

import importlib.metadata
import os
import threading
import types
from collections.abc import Callable

import numpy as np

VERSION = "2.0.8"


def images(
    *,
    flip: str | None = None,
    crop: int = 0,
    cutout: int = 0,
    rotation: float = 0,
    scale: float = 0,
    translation: float = 0,
    contrast: float = 0,
    gamma: float = 0,
    blur: int = 0,
    hue: int = 0,
    saturation: int = 0,
    value: int = 0,
    probability: float = 0.5,
) -> "ImageAugmentation":
    """Compose the course's augmentation of labelled images; each argument switches one change on.

    Args:
        flip: `"horizontal"`, `"vertical"` or `"both"`, each with probability 0.5.
        crop: zero-pad by so many pixels, then cut the original size at a random place (always).
        cutout: blank a square of so many pixels along each side at a random place (always; DeVries and Taylor 2017,
            arXiv:1708.04552).
        rotation: angles up to +- this, in degrees.
        scale: zoom by 1 +- this.
        translation: shift by up to +- this share of the size.
        contrast: brightness and contrast by up to +- this share.
        gamma: exponent in 1 +- this.
        blur: median filter of up to this (odd) number of pixels; uint8 images.
        hue: shift by up to +- this; colour images, likewise `saturation` and `value`.
        saturation: shift by up to +- this.
        value: shift by up to +- this.
        probability: of each of affine, contrast, gamma, blur and colour.

    Returns:
        A callable `(images, seed) -> images` on batches `(batch, y, x, channels)`, uint8 in 0..255 or
        float32 in 0..1, for `datasets.ImageDataset`.

    Raises:
        ValueError: if an argument is out of range.
        ImportError: if Albumentations 2.0.8 is missing, or its AGPL successor is installed instead.

    Example:
        >>> import numpy as np, astrokeras
        >>> augment = astrokeras.augmentation.images(flip="horizontal", crop=4)
        >>> batch = np.zeros((2, 32, 32, 3), "uint8")
        >>> augment(batch, seed=1).shape
        (2, 32, 32, 3)
    """
    if flip not in (None, "horizontal", "vertical", "both"):
        raise ValueError(f'Expected flip to be None, "horizontal", "vertical" or "both"; received {flip!r}.')
    amounts = {"crop": crop, "cutout": cutout, "rotation": rotation}
    amounts |= {"hue": hue, "saturation": saturation, "value": value}
    shares = {
        "scale": scale,
        "translation": translation,
        "contrast": contrast,
        "gamma": gamma,
        "probability": probability,
    }
    for argument, received in amounts.items():
        if received < 0:
            raise ValueError(f"Expected {argument} >= 0; received {argument}={received}.")
    for argument, received in shares.items():
        if not 0 <= received <= 1:
            raise ValueError(f"Expected {argument} in 0..1; received {argument}={received}.")
    if blur and (blur < 3 or blur % 2 == 0):
        raise ValueError(f"Expected blur to be 0 or an odd number >= 3; received blur={blur}.")
    settings = amounts | shares | {"flip": flip, "blur": blur}
    check_version()
    return ImageAugmentation(settings)


class ImageAugmentation:
    """What `images()` returns: a callable on batches, safe to share between worker threads.

    Example:
        >>> import numpy as np, astrokeras
        >>> augment = astrokeras.augmentation.images(rotation=10)
        >>> first = augment(np.eye(8, dtype="float32")[None, ..., None], seed=3)
        >>> bool(np.array_equal(first, augment(np.eye(8, dtype="float32")[None, ..., None], seed=3)))
        True
    """

    def __init__(self, settings: dict):
        self.settings = settings
        self._local = threading.local()

    def __call__(self, images: np.ndarray, seed: int = 0) -> np.ndarray:
        """Change each image of a batch in its own way; one seed, one result."""
        colour = any(self.settings[name] for name in ("hue", "saturation", "value"))
        if images.ndim != 4 or (colour and images.shape[-1] != 3):
            raise ValueError(
                f"Expected images (batch, y, x, channels){' with 3 channels for hue, saturation, value' * colour}; "
                f"received shape {images.shape}."
            )
        if images.dtype != np.uint8:
            images = images.astype("float32")  # native byte order: OpenCV makes garbage of the other
            if images.size and not (images.min() >= 0 and images.max() <= 1):
                raise ValueError(
                    "Expected uint8 images in 0..255 or float images in 0..1; received values from "
                    f"{images.min():g} to {images.max():g}: rescale them first."
                )
        pipeline = self._pipeline(images.shape[1:3])
        pipeline.set_random_seed(seed)
        return np.stack([pipeline(image=image)["image"].reshape(image.shape) for image in images])

    def __getstate__(self) -> dict:
        """Leave the threads' pipelines behind when a worker process gets a copy."""
        return self.settings

    def __setstate__(self, settings: dict) -> None:
        """Start with the settings alone."""
        self.__init__(settings)

    def _pipeline(self, size: tuple[int, int]):
        """Return this thread's pipeline for images of this size."""
        pipelines = self._local.__dict__.setdefault("pipelines", {})
        if size not in pipelines:
            pipelines[size] = _compose(self.settings, size)
        return pipelines[size]


def check_version() -> None:
    """Refuse other Albumentations than 2.0.8, the last one under the MIT licence.

    Raises:
        ImportError: with what to install.

    Example:
        >>> from astrokeras import augmentation
        >>> augmentation.check_version()
    """
    advice = f"pip uninstall albumentationsx albumentations, then pip install albumentations=={VERSION}."
    try:
        importlib.metadata.version("albumentationsx")
    except importlib.metadata.PackageNotFoundError:
        pass
    else:
        raise ImportError(
            f"Expected albumentations {VERSION} (MIT); found AlbumentationsX, whose AGPL licence would reach "
            f"your own work: {advice}"
        )
    try:
        found = importlib.metadata.version("albumentations")
    except importlib.metadata.PackageNotFoundError:
        found = "none"
    if found != VERSION:
        raise ImportError(f"Expected albumentations {VERSION}; found {found}: {advice}")


def imported() -> types.ModuleType:
    """Return Albumentations, kept from asking the network for news."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations

    return albumentations


def _compose(settings: dict, size: tuple[int, int]) -> Callable:
    A = imported()
    p = settings["probability"]
    steps = []
    if settings["flip"] in ("horizontal", "both"):
        steps.append(A.HorizontalFlip(p=0.5))
    if settings["flip"] in ("vertical", "both"):
        steps.append(A.VerticalFlip(p=0.5))
    if settings["crop"]:
        height, width = (n + 2 * settings["crop"] for n in size)
        steps.append(A.PadIfNeeded(height, width, fill=0, p=1))
        steps.append(A.RandomCrop(*size, p=1))
    if settings["rotation"] or settings["scale"] or settings["translation"]:
        steps.append(
            A.Affine(
                rotate=(-settings["rotation"], settings["rotation"]),
                scale=(1 - settings["scale"], 1 + settings["scale"]),
                translate_percent=(-settings["translation"], settings["translation"]),
                p=p,
            )
        )
    if settings["contrast"]:
        limit = (-settings["contrast"], settings["contrast"])
        steps.append(A.RandomBrightnessContrast(limit, limit, p=p))
    if settings["gamma"]:
        limits = (100 * (1 - settings["gamma"]), 100 * (1 + settings["gamma"]))
        steps.append(A.RandomGamma(gamma_limit=limits, p=p))
    if settings["blur"]:
        steps.append(A.MedianBlur(blur_limit=(3, settings["blur"]), p=p))
    if settings["hue"] or settings["saturation"] or settings["value"]:
        steps.append(A.HueSaturationValue(settings["hue"], settings["saturation"], settings["value"], p=p))
    if settings["cutout"]:
        if settings["cutout"] > min(size):
            raise ValueError(f"Expected cutout <= {min(size)}, the size of the images; received {settings['cutout']}.")
        side = (settings["cutout"], settings["cutout"])
        steps.append(A.CoarseDropout((1, 1), side, side, fill=0, p=1))
    return A.Compose(steps, strict=True)
