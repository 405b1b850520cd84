"""The contracts, applied to every public application, layer, metric and callback."""

import importlib.util
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import astrokeras
from astrokeras import applications, callbacks, layers, losses, metrics
from tests import contracts

BACKBONE = astrokeras.Network((64, 64, 3), name="backbone").conv(8, 3, strides=4).conv(16, 3, strides=2).build()
# name -> arguments of a small model, output shape, arguments that are refused, the sentence
APPLICATIONS = {
    "lenet5": ({"input_shape": (12, 12, 1), "classes": 3}, (3,), {"input_shape": (2, 2, 1)}, "too small"),
    "autoencoder": (
        {"input_shape": (16, 16, 1), "filters": (4, 8), "units": (16,)},
        (16, 16, 1),
        {"input_shape": (30, 28, 1)},
        "multiples of 4",
    ),
    "variational_autoencoder": (
        {"input_shape": (16, 16, 1), "filters": (4, 8), "units": (16,)},
        (16, 16, 1),
        {"latent": 0},
        "expected latent >= 1",
    ),
    "unet": (
        {"input_shape": (16, 16, 1), "filters": (4, 8)},
        (16, 16, 1),
        {"input_shape": (30, 32, 1)},
        "multiples of 4",
    ),
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
        "expected a map in front of it",
    ),
    "stellar_spectra_cnn": ({"input_shape": (128, 1)}, (7,), {"input_shape": (8, 1)}, "too small"),
    "yolo": (
        {"input_shape": (64, 64, 3), "classes": 2, "priors": [[16, 16], [32, 32]], "backbone": BACKBONE},
        (8, 8, 20),
        {"backbone": "darknet53"},  # the default is darknet19: tests/test_applications.py
        'expected backbone to be "darknet19"',
    ),
    "yolo_lines": ({"input_shape": (64, 1), "classes": 2}, (4, 30), {"input_shape": (72, 1)}, "multiples of 16"),
    "yolo_sdc1": ({"input_shape": (32, 32, 1)}, (2, 2, 117), {"input_shape": (40, 32, 1)}, "multiples of 16"),
    "yolo_sdc2": (
        {"input_shape": (32, 16, 16, 1)},
        (2, 2, 2, 14),
        {"input_shape": (32, 12, 16, 1)},
        r"multiples of 16 x 8 x 8 pixels.*try \(32, 16, 16, 1\)",
    ),
    "yolo_voc": ({"input_shape": (64, 64, 3)}, (2, 2, 140), {"priors": [[8, 8], [8]]}, "priors as rows"),
    "voc_cutout_classifier": (
        {"input_shape": (32, 32, 3), "classes": 3, "background": True},
        (4,),
        {"input_shape": (31, 32, 3)},
        "too small",
    ),
}
LAYERS = {
    "SaturatedLeakyReLU": ({"leak": 0.1, "saturation": 6.0}, (5, 5, 4)),
    "SaturatedSigmoid": ({"beta": 1.5, "saturation": 2.0}, (5, 5, 4)),
    "ScaledBias": ({"value": 0.5}, (5, 5, 4)),
    "UnscaledDropout": ({"rate": 0.25, "seed": 3}, (5, 5, 4)),
    "PivotDense": (
        {"units": 3, "dropout": 0.25, "bias_value": 0.5, "takes_pivot": True, "gives_pivot": True},
        (6,),
    ),
    "Conv2D": ({"filters": 4, "kernel_size": (3, 3), "padding": "same"}, (4, 4, 3)),
    "BatchNormalization": ({"momentum": 0.9, "epsilon": 0.01}, (5, 5, 4)),
    "GroupNormalization": ({"group_size": 2, "per": "channel", "set_off": 1, "epsilon": 0.01}, (5, 5, 4)),
    "LocalResponseNormalization": ({"depth": 3, "k": 2.0, "alpha": 0.5, "beta": 0.75}, (5, 5, 4)),
    "PaddedPooling": ({"pool_size": 3, "kind": "average", "strides": 2, "padding": 1}, (5, 6, 4)),
    "GaussianSampling": ({"seed": 3}, (6,)),
    "SinusoidalEmbedding": ({"width": 8, "longest": 50.0}, (1,)),
    "InternalPadding": ({"amount": [1, 2]}, (4, 5, 2)),
    "Stretch": (
        {"clip": [-1.0, 2.0], "offset": 0.5, "scale": 2.0, "function": "tanh", "sigma": [1.0, 2.0, 1.0, 0.5]},
        (5, 5, 4),
    ),
    "YoloHead": (
        {"priors": [[4.0, 6.0], [8.0, 8.0]], "classes": 2, "params": 1, "class_softmax": True, "fit_dims": 2},
        (3, 3, 22),
    ),
}
LOSSES = {"VoteCounts": ({"questions": (3, 2)}, (5,))}
METRICS = {"ConfusionMatrix": {"classes": 3}}
CALLBACKS = {
    "CheckInputs": lambda x, y: callbacks.CheckInputs(x, y),
    "ConfusionMatrix": lambda x, y: callbacks.ConfusionMatrix(x, y, verbose=False),
    "Cost": lambda x, y: callbacks.Cost(len(x), watts=50, carbon_intensity=400),
    "LatentSpace": lambda x, y: callbacks.LatentSpace(
        x, y, encoder=keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    ),
    "LearningRate": lambda x, y: callbacks.LearningRate(0.1, 0.01, 0.5, warmup=1),
    "LiveLoss": lambda x, y: callbacks.LiveLoss(),
    "NonFinite": lambda x, y: callbacks.NonFinite(x),
    "Timing": lambda x, y: callbacks.Timing(len(x)),
}
REOPEN = """
import glob, json, sys
import astrokeras, keras, numpy
found = {}
for path in glob.glob(sys.argv[1] + "/*.keras"):
    case = numpy.load(path[:-6] + ".npz")
    model = keras.models.load_model(path)
    found[path] = float(abs(model.predict(case["x"], verbose=0) - case["y"]).max())
    if "boxes" in case:
        boxes = model.detect(case["x"][:1], score_threshold=float(case["threshold"]), nms_threshold=1)[0].boxes
        assert boxes.shape == case["boxes"].shape and len(boxes) > 0, path
        apart = abs(boxes[:, None] - case["boxes"][None]).max(-1)
        assert max(apart.min(0).max(), apart.min(1).max()) < 1e-2, path
print(json.dumps(found))
"""


def classes_of(room, kind=object):
    things = {name: thing for name, thing in vars(room).items() if name[0].isupper() and isinstance(thing, type)}
    return {name for name, thing in things.items() if issubclass(thing, kind)}


def test_every_public_name_has_a_case():
    builders = {name for name, value in vars(applications).items() if callable(value)} - {"decode_predictions"}
    assert builders == set(APPLICATIONS) | {
        "yolo_voc416",
        "yolo_coco",
        "gan",
        "ddpm",
        "ddpm_galaxy_zoo2",
        "ddpm_cats",
    }  # the first two: `yolo`
    assert classes_of(layers) == set(LAYERS) | {"AddNoise", "AppendChannel", "DropClass"}  # tests/test_diffusion.py
    assert classes_of(losses, keras.losses.Loss) == set(LOSSES) | {"YoloLoss"}  # tests/test_yolo_loss.py
    assert classes_of(metrics, keras.metrics.Metric) == set(METRICS) | {"PSNR", "SSIM"}  # tests/test_generated.py
    own_tests = {"DetectionPreview", "DetectionScore", "SampleImages"}
    assert classes_of(callbacks) == set(CALLBACKS) | own_tests


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
    environment = {"XLA_FLAGS": "--xla_backend_optimization_level=0"} | os.environ | {"KERAS_BACKEND": backend}
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
