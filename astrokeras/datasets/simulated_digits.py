"""Simulated digits: printed glyphs, distorted, for work without any download."""

from functools import cache
from pathlib import Path

import numpy as np

from astrokeras.datasets.files import Split
from astrokeras.datasets.simulation import check_at_least

FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSansMono-Bold")
FONTS += (
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "STIXGeneral",
    "STIXGeneralItalic",
    "cmr10",
    "cmss10",
)
GLYPH = 64  # pixels of the drawn glyphs before distortion


def simulated_digits(train: int = 10000, test: int = 2000, *, size: int = 28, seed: int = 0) -> tuple[Split, Split]:
    """Simulate handwritten-like digits. A simulation: results on it say nothing of MNIST.

    Digits of twelve printed fonts (those that come with matplotlib) are rotated, sheared, scaled and
    shifted at random, their strokes blurred and dimmed, and Gaussian noise is added.

    Args:
        train: number of training images.
        test: number of test images.
        size: pixels along each side, at least 8.
        seed: of the simulation; one seed, one set.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images `(n, size, size, 1)` uint8 in 0..255, light on dark,
        labels `(n,)` int in 0..9.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> import astrokeras
        >>> (x, y), _ = astrokeras.datasets.simulated_digits(train=20, test=10)
        >>> x.shape, str(x.dtype), y.shape
        ((20, 28, 28, 1), 'uint8', (20,))
    """
    check_at_least(train=(train, 1), test=(test, 1), size=(size, 8))
    rng = np.random.default_rng(seed)
    images, labels = _distort(rng, train + test, size)
    return (images[:train], labels[:train]), (images[train:], labels[train:])


@cache
def _glyphs() -> np.ndarray:
    """Draw each digit of each font, light on dark: (fonts, 10, GLYPH, GLYPH) float32 in 0..1."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    glyphs = np.zeros((len(FONTS), 10, GLYPH, GLYPH), "float32")
    for i, font in enumerate(FONTS):
        face = ImageFont.truetype(str(folder / f"{font}.ttf"), 56)
        for digit in range(10):
            image = Image.new("L", (GLYPH, GLYPH))
            ImageDraw.Draw(image).text((GLYPH / 2, GLYPH / 2), str(digit), fill=255, font=face, anchor="mm")
            glyphs[i, digit] = np.asarray(image) / 255.0
    return glyphs


def _distort(rng: np.random.Generator, count: int, size: int) -> Split:
    glyphs = _glyphs()
    labels = rng.integers(0, 10, count)
    fonts = rng.integers(0, len(FONTS), count)
    angle = np.deg2rad(rng.normal(0, 12, count))
    shear = rng.normal(0, 0.2, count)
    zoom = GLYPH / size * rng.uniform(0.85, 1.35, (2, count))
    shift = rng.normal(0, 0.06 * size, (2, count))
    # Backward map: where each output pixel lies in the drawn glyph.
    y, x = np.mgrid[:size, :size].reshape(2, 1, -1) - (size - 1) / 2 - shift[..., None]  # (count, pixels) each
    turned_x = np.cos(angle)[:, None] * x + np.sin(angle)[:, None] * y
    turned_y = np.cos(angle)[:, None] * y - np.sin(angle)[:, None] * x
    source_x = zoom[0][:, None] * (turned_x + shear[:, None] * turned_y) + (GLYPH - 1) / 2
    source_y = zoom[1][:, None] * turned_y + (GLYPH - 1) / 2
    strokes = _bilinear(glyphs, fonts, labels, source_y, source_x).reshape(count, size, size)
    spread = rng.uniform(0, 0.5, count)[:, None, None]
    strokes = (1 - spread) * strokes + spread * _blur(strokes)
    level = rng.uniform(0.6, 1.0, count)[:, None, None] * strokes
    noisy = level + rng.normal(0, 0.12, strokes.shape)
    return (np.clip(noisy, 0, 1) * 255).round().astype("uint8")[..., None], labels


def _bilinear(glyphs, fonts, labels, y, x) -> np.ndarray:
    y, x = np.clip(y, 0, GLYPH - 1.001), np.clip(x, 0, GLYPH - 1.001)
    row, column = y.astype(int), x.astype(int)
    below, right = (y - row).astype("float32"), (x - column).astype("float32")
    f, d = fonts[:, None], labels[:, None]
    top = glyphs[f, d, row, column] * (1 - right) + glyphs[f, d, row, column + 1] * right
    bottom = glyphs[f, d, row + 1, column] * (1 - right) + glyphs[f, d, row + 1, column + 1] * right
    return top * (1 - below) + bottom * below


def _blur(images: np.ndarray) -> np.ndarray:
    for axis in (1, 2):
        images = (np.roll(images, 1, axis) + 2 * images + np.roll(images, -1, axis)) / 4
    return images
