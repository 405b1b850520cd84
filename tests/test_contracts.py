"""The contracts, applied to every public application, layer, metric and callback."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import astrokeras
from astrokeras import applications, callbacks, layers, losses, metrics
from tests import contracts

# name -> arguments of a small model, output shape, arguments that are refused, the sentence
APPLICATIONS = {
    "lenet5": ({"input_shape": (12, 12, 1), "classes": 3}, (3,), {"input_shape": (2, 2, 1)}, "too small"),
    "asirra_cnn": ({"input_shape": (32, 32, 3)}, (2,), {"input_shape": (16, 16, 3)}, "too small"),
    "cifar10_cnn": (
        {"input_shape": (16, 16, 3), "classes": 3, "filters": (8, 16)},
        (3,),
        {"classes": 0},
        "classes: expected filters",
    ),
    "darknet19": ({"input_shape": (64, 64, 3), "classes": 3}, (3,), {"input_shape": (16, 32, 3)}, "too small"),
    "extinction_cnn": ({"input_shape": (8, 8, 1), "outputs": 5}, (5,), {"outputs": 0}, "expected units"),
    "galaxy_zoo2": (
        {"input_shape": (16, 16, 3)},
        (3,),
        {"classes": 3, "questions": (3, 2)},
        "expected either classes or questions",
    ),
    "molecular_spectra_cnn": (
        {"input_shape": (1024, 3), "classes": 4},
        (4,),
        {"input_shape": (512, 3)},
        "too small",
    ),
    "resnet": (
        {"input_shape": (16, 16, 3), "classes": 3, "depth": 18},
        (3,),
        {"input_shape": (16,)},
        "expected input_shape to be",
    ),
    "stellar_spectra_cnn": ({"input_shape": (128, 1)}, (7,), {"input_shape": (8, 1)}, "too small"),
    "voc_cutout_classifier": (
        {"input_shape": (32, 32, 3), "classes": 3, "background": True},
        (4,),
        {"input_shape": (31, 32, 3)},
        "too small",
    ),
}
LAYERS = {
    "SaturatedLeakyReLU": ({"leak": 0.1, "saturation": 6.0}, (5, 5, 4)),
    "BatchNormalization": ({"momentum": 0.9, "epsilon": 0.01}, (5, 5, 4)),
    "GroupNormalization": ({"group_size": 2, "per": "channel", "set_off": 1, "epsilon": 0.01}, (5, 5, 4)),
    "LocalResponseNormalization": ({"depth": 3, "k": 2.0, "alpha": 0.5, "beta": 0.75}, (5, 5, 4)),
    "PaddedPooling": ({"pool_size": 3, "kind": "average", "strides": 2, "padding": 1}, (5, 6, 4)),
    "InternalPadding": ({"amount": [1, 2]}, (4, 5, 2)),
}
LOSSES = {"VoteCounts": ({"questions": (3, 2)}, (5,))}
METRICS = {"ConfusionMatrix": {"classes": 3}}
CALLBACKS = {
    "CheckInputs": lambda x, y: callbacks.CheckInputs(x, y),
    "ConfusionMatrix": lambda x, y: callbacks.ConfusionMatrix(x, y, verbose=False),
}
REOPEN = """
import glob, json, sys
import astrokeras, keras, numpy
found = {}
for path in glob.glob(sys.argv[1] + "/*.keras"):
    case = numpy.load(path[:-6] + ".npz")
    found[path] = float(abs(keras.models.load_model(path).predict(case["x"], verbose=0) - case["y"]).max())
print(json.dumps(found))
"""


def classes_of(room):
    return {name for name in vars(room) if name[0].isupper() and isinstance(getattr(room, name), type)}


def test_every_public_name_has_a_case():
    builders = {name for name, value in vars(applications).items() if callable(value)} - {"decode_predictions"}
    assert builders == set(APPLICATIONS)
    assert classes_of(layers) == set(LAYERS)
    assert classes_of(losses) == set(LOSSES)
    assert classes_of(metrics) == set(METRICS)
    assert classes_of(callbacks) == set(CALLBACKS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("saved")


@pytest.mark.parametrize("name", APPLICATIONS)
def test_application(name, folder):
    contracts.check_application(getattr(applications, name), *APPLICATIONS[name], folder)


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_files_reopen_in_a_fresh_process(backend, folder):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    if len(list(folder.glob("*.keras"))) < len(APPLICATIONS):
        pytest.skip("run together with test_application, which writes the files")
    environment = os.environ | {"KERAS_BACKEND": backend}
    done = subprocess.run(
        [sys.executable, "-c", REOPEN, str(folder)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    differences = json.loads(done.stdout.splitlines()[-1])
    assert len(differences) == len(APPLICATIONS)
    assert max(differences.values()) <= 1e-5, differences


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name, tmp_path):
    arguments, shape = LAYERS[name]
    contracts.check_layer(getattr(layers, name), arguments, shape, tmp_path)


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name, rng, tmp_path):
    arguments, shape = LOSSES[name]
    y_true = rng.integers(0, 9, (6, *shape)).astype("float32")
    y_pred = rng.uniform(1, 50, (6, *shape)).astype("float32")
    contracts.check_loss(getattr(losses, name), arguments, y_true, y_pred, tmp_path)


@pytest.mark.parametrize("name", METRICS)
def test_metric(name, rng):
    y_pred = rng.random((20, 3)).astype("float32")
    contracts.check_metric(getattr(metrics, name), METRICS[name], np.arange(20) % 3, y_pred)


@pytest.mark.parametrize("name", CALLBACKS)
def test_callback(name, capsys):
    contracts.check_callback(CALLBACKS[name], capsys)


def test_top_level_names_exist():
    for name in astrokeras.__all__:
        assert getattr(astrokeras, name) is not None
    assert "Network" in dir(astrokeras)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = astrokeras.nothing
