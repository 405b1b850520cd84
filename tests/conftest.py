import os

import keras
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def same_start(monkeypatch):
    """Each test starts from float32 and one seed, and leaves no policy behind."""
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def real_data():
    """Folder of the real sets (mnist.npz, cifar10_jpeg.npz), named by ASTROKERAS_TEST_DATA."""
    folder = os.environ.get("ASTROKERAS_TEST_DATA")
    if folder is None:
        pytest.skip("the real sets are elsewhere: set ASTROKERAS_TEST_DATA to the folder with mnist.npz")
    return folder
