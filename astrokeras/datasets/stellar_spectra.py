"""The course's stellar spectra: seven spectral types of the Indo-US library."""

import os

import numpy as np

from astrokeras.datasets import files

SPECTRAL_TYPES = ("O", "B", "A", "F", "G", "K", "M")
SAMPLES, PADDED = 3753, 3776
TEST = 200
COURSE_TRAIN = (10, 30, 30, 20, 20, 30, 10)  # spectra of each class in the course's training set


def stellar_spectra(path: str | os.PathLike, *, course_split: bool = False) -> tuple[files.Split, files.Split]:
    """Load the spectra of the course: 1115 stars of types O, B, A, F, G, K, M.

    The flux becomes `tanh(40 * clip(flux, 0, 1))` and is padded with zeros from 3753 to 3776 samples, as the course
    does. The test set is the course's, the last 200 spectra. By default all the others are for training (915; classes
    from 7 to 279). `course_split=True` gives the course's training set, the first 10, 30, 30, 20, 20, 30, 10 spectra
    of the classes, counted over the whole file: 3 of the 5 test spectra of type O are among them (a leak), so
    its accuracy on that class is not to be trusted.

    Args:
        path: the folder `stellar_spectra_data` with `train.dat` (1115 x 3753) and `target.dat` (1115 x 7, one-hot).
        course_split: reproduce the course's training set, with its leak.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: spectra `(n, 3776, 1)` float32 in 0..1, labels `(n,)` int
        (`datasets.SPECTRAL_TYPES`).

    Raises:
        FileNotFoundError: if the folder or one of its files is missing.
        ValueError: if a table has another width, the two do not agree, or a class has no examples.

    Reference:
        Valdes et al. 2004 (Indo-US Library of Coude Feed Stellar Spectra); course, practical "Spectra".

    Example:
        >>> import astrokeras
        >>> astrokeras.datasets.stellar_spectra("nowhere")
        Traceback (most recent call last):
        FileNotFoundError: Expected the folder stellar_spectra_data; there is nothing at nowhere: check the path.
    """
    path = files.existing(path, "the folder stellar_spectra_data")
    flux = _table(path / "train.dat", SAMPLES)
    target = _table(path / "target.dat", len(SPECTRAL_TYPES))
    if len(flux) != len(target) or len(flux) <= TEST:
        raise ValueError(
            f"Expected as many rows in {path / 'train.dat'} as in target.dat, over {TEST}; received {len(flux)} and "
            f"{len(target)}."
        )
    labels = target.argmax(axis=1)
    missing = [name for i, name in enumerate(SPECTRAL_TYPES) if not (labels[:-TEST] == i).any()]
    if missing:
        raise ValueError(f"Expected spectra of every type outside the last {TEST}; there are none of {missing}.")
    before = (PADDED - SAMPLES) // 2
    spectra = np.zeros((len(flux), PADDED, 1), "float32")
    spectra[:, before : before + SAMPLES, 0] = np.tanh(40 * np.clip(flux, 0, 1))
    chosen = np.arange(len(flux) - TEST)
    if course_split:
        chosen = np.concatenate([np.flatnonzero(labels == i)[:n] for i, n in enumerate(COURSE_TRAIN)])
    return (spectra[chosen], labels[chosen]), (spectra[-TEST:], labels[-TEST:])


def _table(path, width: int) -> np.ndarray:
    path = files.existing(path, f"a table of {width} columns")
    if path.stat().st_size == 0:
        raise ValueError(f"Expected {path} to be a text table of {width} numbers a row; it is empty: get it again.")
    try:
        table = np.loadtxt(path, dtype="float32", ndmin=2)
    except ValueError as error:
        raise ValueError(
            f"Expected {path} to be a text table of {width} numbers a row; it is not: {str(error).splitlines()[0]}"
        ) from error
    if table.shape[1] != width:
        raise ValueError(f"Expected {path} to have {width} columns; received {table.shape[1]}.")
    if not np.isfinite(table).all():
        row = int(np.argmax(~np.isfinite(table).all(axis=1)))
        raise ValueError(f"Expected finite numbers in {path}; row {row + 1} has others: repair or drop it.")
    return table
