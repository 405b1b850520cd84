"""Denoising diffusion models of the course."""

from collections.abc import Sequence

from astrokeras.applications.unet import unet
from astrokeras.models import DiffusionModel
from astrokeras.schedules import noise_schedule
from astrokeras.weights import load

TIMES = ("embedding", "channel", "blind")


def ddpm(
    input_shape=(28, 28, 1),
    classes: int | None = None,
    *,
    schedule: str = "cosine",
    steps: int = 1000,
    target: str = "velocity",
    time: str = "embedding",
    filters: Sequence[int] = (16, 32, 64),
    attention: bool = True,
    value_range: Sequence[float] = (0.0, 1.0),
    ema: float = 0.999,
    weights: str | None = None,
    name: str = "ddpm",
    **options,
) -> DiffusionModel:
    """Build a diffusion model with a U-Net, for small images such as MNIST.

    `fit(images)`, or `fit({"image": images, "class": labels})` with classes; then `generate(count)`.

    Args:
        input_shape: of an image; its sides can be halved `len(filters) - 1` times.
        classes: number of classes of a conditional model; `None` for none.
        schedule: `"linear"`, `"cosine"` or `"signal_rate"`, as of `schedules.noise_schedule`.
        steps: of the diffusion.
        target: what the network guesses: `"velocity"`, with which few steps of DDIM come closer to the data; `"noise"`,
            as Ho et al.; or `"image"`.
        time: how the network is told the step: `"embedding"`, in each block; `"channel"`, the noise rate as one more
            channel of the image; `"blind"`, not at all.
        filters: of the U-Net, from the full size down.
        attention: let all places of the smallest map look at each other.
        value_range: of the images.
        ema: rate of the moving average of the weights that makes the images.
        weights: `None`, `"mnist"`, or a `.keras` or `.weights.h5` file.
        name: of the model.
        **options: of `unet`, such as `blocks` and `dropout`.

    Raises:
        ValueError: if an argument is out of range, or the sides cannot be halved so often.

    Reference:
        Ho, Jain & Abbeel 2020, arXiv:2006.11239, whose choices are `schedule="linear", target="noise"`; Salimans & Ho
        2022, arXiv:2202.00512, for the velocity; the course's MNIST_diffusion notebook (which is `"blind"`).

    Example:
        >>> import numpy as np, astrokeras
        >>> model = astrokeras.applications.ddpm((8, 8, 1), 10, steps=20, filters=(8, 16))
        >>> model.generate(classes=[3, 7], guidance=2.0).shape
        (2, 8, 8, 1)
    """
    if time not in TIMES:
        raise ValueError(f"{name}: expected time to be one of {', '.join(TIMES)}; received {time!r}.")
    *sides, channels = map(int, input_shape)
    network = unet(
        (*sides, channels + (time == "channel")),
        channels,
        filters=filters,
        residual=True,
        attention=attention,
        time=time == "embedding",
        classes=classes,
        name="network",
        **options,
    )
    alpha_bar = noise_schedule(schedule, steps).alpha_bar
    model = DiffusionModel(
        network,
        alpha_bar,
        channels=channels,
        classes=classes,
        target=target,
        value_range=value_range,
        ema=ema,
        name=name,
    )
    return load(model, weights, application="ddpm")


def ddpm_galaxy_zoo2(
    input_shape=(64, 64, 3),
    classes: int | None = None,
    *,
    filters: Sequence[int] = (32, 64, 96, 128),
    **options,
) -> DiffusionModel:
    """Build the course's diffusion of galaxies: that of `ddpm_cats`, for images of `datasets.galaxy_zoo2`.

    Args:
        input_shape: of an image, in -1..1.
        classes: number of classes of a conditional model, such as those of `galaxy_zoo2`; `None` for none.
        filters: of the U-Net, from the full size down.
        **options: of `ddpm`.

    Returns:
        The `DiffusionModel`.

    Raises:
        ValueError: as `ddpm`.

    Reference:
        The course's gz2_diffusion notebook, which trains on spirals.

    Example:
        >>> import astrokeras
        >>> model = astrokeras.applications.ddpm_galaxy_zoo2((16, 16, 3), filters=(8, 16))
        >>> model.name, model.schedule.steps
        ('ddpm_galaxy_zoo2', 200)
    """
    return ddpm_cats(input_shape, classes, filters=filters, **{"name": "ddpm_galaxy_zoo2"} | options)


def ddpm_cats(
    input_shape=(64, 64, 3),
    classes: int | None = None,
    *,
    filters: Sequence[int] = (32, 64, 96, 128),
    **options,
) -> DiffusionModel:
    """Build the course's diffusion of cat faces: 200 steps of its signal-rate schedule, the noise rate as a channel.

    Its images are 64 pixels wide, in -1..1; `datasets.image_folder` reads them. For other arguments see `ddpm`.

    Args:
        input_shape: of an image.
        classes: number of classes of a conditional model; `None` for none.
        filters: of the U-Net, from the full size down.
        **options: of `ddpm`.

    Returns:
        The `DiffusionModel`.

    Raises:
        ValueError: as `ddpm`.

    Reference:
        The course's cat_faces_diffusion notebook (schedule, steps, noise rate); the U-Net is ours.

    Example:
        >>> import astrokeras
        >>> model = astrokeras.applications.ddpm_cats((16, 16, 3), filters=(8, 16))
        >>> model.schedule.steps, model.network.input_shape
        (200, (None, 16, 16, 4))
    """
    usual = {"schedule": "signal_rate", "steps": 200, "target": "noise", "time": "channel", "value_range": (-1, 1)}
    usual["name"] = "ddpm_cats"
    return ddpm(input_shape, classes, filters=filters, **usual | options)
