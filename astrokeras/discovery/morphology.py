"""Simple numbers that describe the shape of a galaxy, of many images at once."""

from collections.abc import Sequence

import numpy as np

from astrokeras.discovery.images import check_values

NAMES = ("gini", "m20", "concentration", "asymmetry", "ellipticity", "size", "area", "inner", "peak")
NOISES = 3.0  # how far above the background, in its noise, a pixel belongs to the object
FAINTEST = 1e-4  # share of the second moment below which M20 stays at log10 of it
CHUNK = 256


def morphology_features(images: np.ndarray | Sequence[np.ndarray]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Measure the shape of the object in each image.

    The channels are averaged. Level and noise of the background are the median of the outermost ring of pixels, an
    eighth of the shorter side wide, and 1.4826 times the median distance from it. The object is every pixel more than
    3 times the noise above that level. Where there is none, all numbers are 0.

    - `gini`: 0 if all pixels of the object are equally bright, 1 if one has it all (Lotz et al. 2004, eq. 6).
    - `m20`: log10 of the share that the brightest 20 % of the light have in the second moment; bright knots far from
      the middle raise it (Lotz et al. 2004, eq. 8). Not below -4.
    - `concentration`: 5 log10(r80 / r20), from the radii around the middle of light that hold 80 % and 20 % of it
      (Conselice 2003, section 3.1). A radius is that of a circle with as many pixels.
    - `asymmetry`: sum of `|I - I180|` by the sum of `|I|` over the object and itself turned by 180 degrees around the
      middle of the image (Conselice 2003, section 3.2, without the background's own term): 0 to 2.
    - `ellipticity`: 1 - b / a, and `size`: sqrt(a b) by the square root of the image's area, of the second moments.
    - `area`: share of the image that the object covers.
    - `inner`, `peak`: share of its light within the half of the object's pixels nearest to the middle of light, and in
      the brightest pixel.
    - `channel_0` ...: share of each channel in the light, where there are several.

    Args:
        images: `(n, y, x, channels)` or `(n, y, x)`, or a sequence of images, which may differ in size; `ObjectImages`.

    Returns:
        The features `(n, number of names)` float32, and their names.

    Raises:
        ValueError: if there are no images, their channels differ, or one has pixels without a value; names the image.

    Reference:
        Lotz, Primack & Madau 2004, AJ 128, 163; Conselice 2003, ApJS 147, 1.

    Example:
        >>> import numpy as np
        >>> from astrokeras import discovery
        >>> image = np.zeros((1, 16, 16))
        >>> image[0, 7:9, 7:9] = 1
        >>> features, names = discovery.morphology_features(image)
        >>> dict(zip(names, features[0].tolist()))["peak"]
        0.25
    """
    if len(images) == 0:
        raise ValueError("Expected at least one image; received none.")
    labels = getattr(images, "ids", range(len(images)))
    rows, channels = [], None
    for start in range(0, len(images), CHUNK):
        batch = [np.asarray(images[i], "float64") for i in range(start, min(start + CHUNK, len(images)))]
        batch = [image[..., None] if image.ndim == 2 else image for image in batch]
        for place, image in enumerate(batch, start):
            channels = image.shape[-1] if channels is None else channels
            if image.ndim != 3 or image.shape[-1] != channels:
                raise ValueError(
                    f"Expected images (y, x, {channels}), as the first one; image {labels[place]} has {image.shape}."
                )
            check_values(image, labels[place])
        same = len({image.shape for image in batch}) == 1
        rows += [_measure(np.stack(batch))] if same else [_measure(image[None]) for image in batch]
    names = NAMES + (tuple(f"channel_{i}" for i in range(channels)) if channels > 1 else ())
    return np.concatenate(rows).astype("float32"), names


def _measure(images: np.ndarray) -> np.ndarray:
    """Return the features of images `(n, y, x, channels)`, float64."""
    count, height, width, channels = images.shape
    ring = np.ones((height, width), bool)
    edge = max(1, min(height, width) // 8)
    ring[edge : height - edge, edge : width - edge] = False
    level = np.median(images[:, ring], axis=1)  # (n, channels)
    images = images - level[:, None, None]
    light = images.mean(axis=-1)
    noise = 1.4826 * np.median(np.abs(light[:, ring] - np.median(light[:, ring], axis=1, keepdims=True)), axis=1)
    object_ = light > (NOISES * noise + 1e-9 * np.abs(light).max(axis=(1, 2)))[:, None, None]

    turned = object_ | object_[:, ::-1, ::-1]
    difference = (np.abs(light - light[:, ::-1, ::-1]) * turned).sum(axis=(1, 2))
    asymmetry = _ratio(difference, (np.abs(light) * turned).sum(axis=(1, 2)))

    flux = (light * object_).reshape(count, -1)
    pixels = object_.sum(axis=(1, 2)).astype("float64")
    total = flux.sum(axis=1)
    y, x = (axis.reshape(-1) for axis in np.mgrid[:height, :width].astype("float64"))
    share = _ratio(flux, total[:, None])
    dy, dx = y - (share @ y)[:, None], x - (share @ x)[:, None]
    squared = dy**2 + dx**2

    # Moments of square pixels rather than of points: a twelfth more.
    yy, xx, xy = ((share * part).sum(axis=1) for part in (dy**2 + 1 / 12, dx**2 + 1 / 12, dx * dy))
    mean, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    ellipticity = 1 - np.sqrt(_ratio(np.maximum(mean - spread, 0), mean + spread))
    size = np.maximum(mean**2 - spread**2, 0) ** 0.25 / np.sqrt(height * width)

    # Zeros outside of the object sort first, so the last ranks are the object's.
    rank = np.arange(1, height * width + 1) - (height * width - pixels[:, None])
    gini = _ratio(((2 * rank - pixels[:, None] - 1) * np.sort(flux, axis=1)).sum(axis=1), total * (pixels - 1))

    bright = np.argsort(-flux, axis=1, kind="stable")
    sorted_flux, moment = (np.take_along_axis(part, bright, axis=1) for part in (flux, flux * squared))
    before = np.cumsum(sorted_flux, axis=1) - sorted_flux
    chosen = before < 0.2 * total[:, None] * (1 - 1e-12)
    m20 = np.log10(np.maximum(_ratio((moment * chosen).sum(axis=1), moment.sum(axis=1)), FAINTEST))

    outward = np.argsort(np.where(flux > 0, squared, squared + 2 * height**2 + 2 * width**2), axis=1, kind="stable")
    grown = np.cumsum(np.take_along_axis(share, outward, axis=1), axis=1)
    concentration = 2.5 * np.log10(_ratio(_pixels_with(grown, 0.8), _pixels_with(grown, 0.2), empty=1.0))
    half = np.maximum(np.ceil(pixels / 2).astype(int), 1) - 1
    inner = np.take_along_axis(grown, half[:, None], axis=1)[:, 0]

    columns = [gini, m20, concentration, asymmetry, ellipticity, size, pixels / (height * width), inner, share.max(1)]
    if channels > 1:
        colours = (images * object_[..., None]).sum(axis=(1, 2))
        columns += list(_ratio(colours, colours.sum(axis=1, keepdims=True)).T)
    return np.stack(columns, axis=1) * (total > 0)[:, None]


def _ratio(above: np.ndarray, below: np.ndarray, empty: float = 0.0) -> np.ndarray:
    """Divide; `empty` where there is nothing below."""
    above, below = np.broadcast_arrays(above, below)
    return np.divide(above, below, out=np.full(above.shape, empty), where=below != 0)


def _pixels_with(grown: np.ndarray, share: float) -> np.ndarray:
    """Return how many pixels, outwards, hold a share of the light; parts of a pixel count."""
    place = np.argmax(grown >= share * (1 - 1e-12), axis=1)
    rows = np.arange(len(grown))
    before = np.where(place > 0, grown[rows, place - 1], 0.0)
    return place + _ratio(share - before, grown[rows, place] - before)
