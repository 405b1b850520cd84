"""Features of objects: from an encoder, from a file, standardised, and in two dimensions for a map."""

import os
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from astrokeras.datasets.square_images import SquareImages
from astrokeras.discovery.images import ObjectImages, check_values
from astrokeras.discovery.morphology import morphology_features
from astrokeras.discovery.optional import extra
from astrokeras.saving import load_model

MAPS = ("pca", "tsne")


def encoder_features(
    images: np.ndarray | Sequence[np.ndarray],
    encoder: keras.Model,
    *,
    layer: str | None = None,
    batch_size: int = 64,
) -> np.ndarray:
    """Describe each image by what a network makes of it.

    Images of another size than the network's are padded to a square with zeros and resized; colours are averaged, or
    grey repeated, to the network's channels. Bytes are divided by 255 unless the network has a layer named
    `normalization`, as this package's applications for bytes do; other numbers go in as they are.

    Args:
        images: `(n, y, x, channels)`, or a sequence of images `(y, x, channels)` of any sizes; `ObjectImages`.
        encoder: a Keras model. Of an `Autoencoder` its encoder is taken, of a `VariationalAutoencoder` the means.
        layer: name of the layer whose output is taken in place of the last one's: of a classifier the one before.
        batch_size: images that the network sees at once.

    Returns:
        `(n, features)` float32. Maps are averaged over their pixels.

    Raises:
        ValueError: if there are no images, the network takes no images, has no such layer or answers with several
            arrays, or an image has pixels without a value.

    Example:
        >>> import numpy as np, astrokeras
        >>> model = astrokeras.applications.autoencoder((28, 28, 1), latent=2)
        >>> astrokeras.discovery.encoder_features(np.zeros((3, 40, 30, 3), "uint8"), model).shape
        (3, 2)
    """
    means = getattr(encoder, "latent", None) if hasattr(encoder, "encode") else None
    network = getattr(encoder, "encoder", encoder)
    if layer is not None:
        known = [one.name for one in network.layers]
        if layer not in known:
            raise ValueError(f"Expected a layer of {network.name}: {', '.join(known)}; received {layer!r}.")
        network, means = keras.Model(network.inputs, network.get_layer(layer).output), None
    shape = network.input_shape[1:] if isinstance(network.input_shape, tuple) else ()
    if len(shape) != 3 or shape[2] is None or isinstance(network.output, dict | list):
        raise ValueError(
            f"Expected a network of images (y, x, channels) with one output; {network.name} takes "
            f"{network.input_shape}: name a layer of it, or give its encoder."
        )
    if len(images) == 0:
        raise ValueError("Expected at least one image; received none.")
    as_bytes = any(one.name == "normalization" for one in encoder.layers + network.layers)
    labels, rows = getattr(images, "ids", range(len(images))), []
    for start in range(0, len(images), batch_size):
        places = range(start, min(start + batch_size, len(images)))
        batch = np.stack([_fitted(np.asarray(images[i]), shape, as_bytes, labels[i]) for i in places])
        out = np.asarray(network.predict_on_batch(batch), "float32")
        rows.append(out.mean(axis=tuple(range(1, out.ndim - 1))) if out.ndim > 2 else out)
    return np.concatenate(rows)[:, :means]


def find_features(
    images: ObjectImages, source: str | os.PathLike, *, layer: str | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Get the features of images from what a user names on the command line.

    Args:
        images: of the objects.
        source: `"morphology"`; a `.keras` file; an `.npy` file `(n, features)` in the order of `images.ids`; or a
            `.csv` file with a heading, the id in the first column and a number in each other one, in any order.
        layer: of the network of a `.keras` file, as in `encoder_features`.

    Returns:
        The features `(n, features)` float32 and their names.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is of another kind or does not suit the images.

    Example:
        >>> import numpy as np
        >>> from astrokeras import discovery
        >>> images = discovery.ObjectImages(np.zeros((2, 8, 8)))
        >>> with open("features.csv", "w") as file:
        ...     print("id,mass,size", "1,3,4", "0,1,2", sep=chr(10), file=file)
        >>> discovery.find_features(images, "features.csv")[0].tolist()
        [[1.0, 2.0], [3.0, 4.0]]
    """
    if source == "morphology":
        return morphology_features(images)
    path = Path(source)
    if path.suffix not in (".keras", ".npy", ".csv"):
        raise ValueError(f"Expected features: morphology, or a .keras, .npy or .csv file; received {str(source)!r}.")
    if not path.is_file():
        raise FileNotFoundError(f"Expected features in {path}; there is no such file: check the path.")
    if path.suffix == ".csv":
        return _from_csv(path, images.ids)
    if path.suffix == ".keras":
        features = encoder_features(images, load_model(path, compile=False), layer=layer)
    else:
        try:
            features = np.asarray(np.load(path, allow_pickle=False), "float32")
        except (ValueError, EOFError, OSError) as error:
            raise ValueError(f"Expected an array of numbers in {path}; it cannot be read as one.") from error
        if features.ndim != 2 or len(features) != len(images):
            raise ValueError(
                f"Expected features ({len(images)}, ...) in {path}, one row per image; received {features.shape}."
            )
    return features, tuple(f"feature_{i}" for i in range(features.shape[1]))


def standardised(features: np.ndarray, ids: Sequence[str] | None = None) -> np.ndarray:
    """Bring each feature to mean 0 and standard deviation 1; one that never varies becomes 0.

    Args:
        features: `(n, features)`.
        ids: of the objects, for the sentence if one is not a number.

    Returns:
        `(n, features)` float64.

    Raises:
        ValueError: if they have another shape, there are fewer than 2 objects, or a number is missing or infinite.

    Example:
        >>> from astrokeras import discovery
        >>> discovery.standardised([[1, 5], [3, 5]]).tolist()
        [[-1.0, 0.0], [1.0, 0.0]]
    """
    features = np.asarray(features, "float64")
    if features.ndim != 2 or len(features) < 2 or features.shape[1] == 0:
        raise ValueError(f"Expected features (objects, features) of at least 2 objects; received {features.shape}.")
    if not np.isfinite(features).all():
        row, column = np.argwhere(~np.isfinite(features))[0]
        raise ValueError(
            f"Expected numbers in all features; feature {column} of object {row if ids is None else ids[row]} is "
            f"{features[row, column]}: leave that object or that feature out."
        )
    centred = features - features.mean(axis=0)
    spread = centred.std(axis=0)
    constant = spread <= 1e-12 * np.abs(features).max(axis=0)
    return np.where(constant, 0.0, centred / np.where(constant, 1.0, spread))


def feature_map(features: np.ndarray, method: str = "pca", *, seed: int = 0) -> np.ndarray:
    """Place objects in a plane, similar ones near each other.

    Args:
        features: `(n, features)`; they are standardised first.
        method: `"pca"`, the two directions of the largest variance, or `"tsne"` (needs scikit-learn; some thousand
            objects take a minute).
        seed: of t-SNE.

    Returns:
        `(n, 2)` float32.

    Raises:
        ValueError: if the method is another one, or the features are not as `standardised` wants them.
        ImportError: if t-SNE lacks scikit-learn.

    Reference:
        van der Maaten & Hinton 2008, JMLR 9, 2579 (t-SNE).

    Example:
        >>> from astrokeras import discovery
        >>> abs(discovery.feature_map([[0, 0], [1, 1], [2, 2]])[:, 0] ** 2).round().tolist()
        [3.0, 0.0, 3.0]
    """
    if method not in MAPS:
        raise ValueError(f'Expected method="pca" or "tsne"; received {method!r}.')
    features = standardised(features)
    if features.shape[1] == 1:
        features = np.hstack([features, np.zeros_like(features)])
    if method == "pca":
        _, axes = np.linalg.eigh(features.T @ features)
        return (features @ axes[:, [-1, -2]]).astype("float32")
    with extra("discovery"):
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits  # comes with scikit-learn
    finder = TSNE(perplexity=min(30.0, (len(features) - 1) / 3), init="pca", random_state=seed)
    with threadpool_limits(1):  # on a busy machine its threads wait for each other for minutes
        return finder.fit_transform(features).astype("float32")


def _fitted(image: np.ndarray, shape: tuple, as_bytes: bool, label) -> np.ndarray:
    """Return an image in the network's size, channels and range."""
    image = image[..., None] if image.ndim == 2 else image
    check_values(image, label)
    scale = 1.0 if as_bytes or image.dtype != np.uint8 else 255.0
    height, width, channels = shape
    height, width = height or image.shape[0], width or image.shape[1]
    if image.shape[:2] != (height, width):
        if height != width:
            raise ValueError(
                f"Expected images of the network's {height}x{width} pixels; image {label} has "
                f"{image.shape[0]}x{image.shape[1]}: only square networks get images resized."
            )
        image = SquareImages([image], height)[0]
    image = image.astype("float32") / np.float32(scale)
    if image.shape[2] != channels:
        image = np.repeat(image.mean(axis=2, keepdims=True), channels, axis=2)
    return image


def _from_csv(path: Path, ids: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    import csv

    with open(path, newline="", encoding="utf-8") as file:
        heading, *lines = [line for line in csv.reader(file) if line] or [[]]
    rows = {line[0]: line[1:] for line in lines}
    missing = [name for name in ids if name not in rows]
    if len(heading) < 2 or missing:
        what = f"{len(missing)} images have none, the first {missing[0]}" if missing else "there are no features"
        raise ValueError(f"Expected a heading and a row per image, its id first, in {path}; {what}.")
    try:
        return np.array([rows[name] for name in ids], "float32"), tuple(heading[1:])
    except ValueError as error:
        raise ValueError(f"Expected a number in each column of {path} but the first: {error}.") from error
