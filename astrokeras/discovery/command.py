"""What `astrokeras rate` does: images and features in, a page to rate them on."""

import argparse
from pathlib import Path

import numpy as np

from astrokeras.discovery.features import find_features
from astrokeras.discovery.images import ObjectImages
from astrokeras.discovery.page import HOST, PORT, serve
from astrokeras.discovery.recommender import Recommender
from astrokeras.discovery.scores import METHODS
from astrokeras.whole_file import replacing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `rate` to a parser.

    Args:
        parser: of the command.

    Example:
        >>> import argparse
        >>> from astrokeras import discovery
        >>> parser = argparse.ArgumentParser()
        >>> discovery.add_arguments(parser)
        >>> parser.parse_args(["galaxies"]).features
        'morphology'
    """
    parser.add_argument("images", metavar="IMAGES", help="a folder of FITS, PNG, JPEG or npy images, or an .npy stack")
    parser.add_argument(
        "--features",
        default="morphology",
        metavar="FEATURES",
        help="what tells objects apart: morphology (default), an encoder or network (.keras), or your own numbers "
        "(.npy, a row per image; .csv, the id first)",
    )
    parser.add_argument("--layer", metavar="NAME", help="with a .keras file: the layer whose output is taken")
    parser.add_argument("--save-features", metavar="FILE.npy", help="keep the features, to start faster the next time")
    parser.add_argument(
        "--scores", default=METHODS[0], choices=METHODS, help="how the unusual is found (default: isolation_forest)"
    )
    parser.add_argument("--database", metavar="FILE", help="where the ratings are (default: IMAGES.sqlite, here)")
    parser.add_argument("--alpha", type=float, default=1.0, help="how fast trust in predictions decays (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="of the forests (default: 0)")
    parser.add_argument(
        "--host", default=HOST, help=f"address to serve on (default: {HOST}, this machine alone; 0.0.0.0: everyone)"
    )
    parser.add_argument("--port", type=int, default=PORT, help=f"default: {PORT}")


def rate(options: argparse.Namespace) -> None:
    """Run the page until it is stopped with Ctrl-C.

    Args:
        options: as `add_arguments` describes them.

    Raises:
        ValueError: if images, features or database do not suit each other.
        OSError: if a file is missing, the database locked or the port in use.
        ImportError: if gradio or scikit-learn is missing.

    Example:
        >>> import argparse
        >>> from astrokeras import discovery
        >>> parser = argparse.ArgumentParser()
        >>> discovery.add_arguments(parser)
        >>> discovery.rate(parser.parse_args(["nowhere"]))
        Traceback (most recent call last):
        FileNotFoundError: Expected a folder of images or an .npy stack at nowhere; there is nothing: check the path.
    """
    images = ObjectImages(options.images)
    kept = options.save_features and Path(options.save_features)
    if kept and kept.suffix != ".npy":
        raise ValueError(f"Expected --save-features FILE.npy; received {options.save_features}.")
    print(f"{len(images)} images in {options.images}; features: {options.features}", flush=True)
    features, names = find_features(images, options.features, layer=options.layer)
    if kept:
        with replacing(kept) as temporary:
            np.save(temporary, features)
    recommender = Recommender(
        images.ids,
        features,
        options.database or f"{Path(images.name).stem}.sqlite",
        method=options.scores,
        alpha=options.alpha,
        seed=options.seed,
        fingerprint=images.fingerprint,
    )
    print(f"{features.shape[1]} features; ratings: {recommender.database}", flush=True)
    serve(recommender, images, host=options.host, port=options.port)
