"""CIANNA's model files as Keras models, and back."""

import importlib
import json
import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

import astrokeras
from astrokeras import Network, applications, cianna, cianna_files
from astrokeras.cli import main
from tests.cianna_reference import reference_networks

REFERENCES = reference_networks()


def channels_last(values, shape):
    """CIANNA's (image, channel, z, y, x), or (image, neuron), in the shape of a Keras tensor."""
    return np.moveaxis(values, 1, -1).reshape(len(values), *shape)


def predict(model, x):
    return keras.ops.convert_to_numpy(model(x, training=False))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cianna")


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "text"])
@pytest.mark.parametrize("name", REFERENCES)
def test_output_equals_the_peers(name, binary, folder):
    reference = REFERENCES[name]
    path = reference.write(folder, binary)
    model = cianna.load_model(path)
    output = predict(model, channels_last(reference.input, model.input_shape[1:]))
    expected = channels_last(reference.output, model.output_shape[1:])
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-5 if binary else 1e-4)
    cianna.save_model(model, folder / "again.dat", binary)
    assert (folder / "again.dat").read_bytes() == path.read_bytes()
    if binary:
        model.save(folder / f"{name}.keras")
        np.savez(folder / f"{name}.npz", x=channels_last(reference.input, model.input_shape[1:]), y=expected)


REOPEN = """
import glob, json, sys
import astrokeras, keras, numpy
found = {}
for path in glob.glob(sys.argv[1] + "/*.keras"):
    case = numpy.load(path[:-6] + ".npz")
    model = keras.models.load_model(path)
    y = keras.ops.convert_to_numpy(model(case["x"], training=False))
    found[path] = float(abs(y - case["y"]).max())
    for form, scale in (("bin", 1), ("txt", 10)):  # CIANNA's own files, on this backend; text has 6 digits
        read = astrokeras.cianna.load_model(path[:-6] + f".{form}.dat")
        y = keras.ops.convert_to_numpy(read(case["x"], training=False))
        found[path] = max(found[path], float(abs(y - case["y"]).max()) / scale)
    astrokeras.cianna.save_model(model, path[:-6] + ".new")
print(json.dumps(found))
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_keras_files_open_elsewhere_and_go_back(backend, folder):
    pytest.importorskip(backend)
    if len(list(folder.glob("*.keras"))) < len(REFERENCES):
        pytest.skip("run together with test_output_equals_the_peers, which writes the files")
    environment = {"XLA_FLAGS": "--xla_backend_optimization_level=0"} | os.environ | {"KERAS_BACKEND": backend}
    done = subprocess.run(
        [sys.executable, "-c", REOPEN, str(folder)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    differences = json.loads(done.stdout.splitlines()[-1])
    assert len(differences) == len(REFERENCES) and max(differences.values()) <= 1e-5
    for name, reference in REFERENCES.items():
        old, new = (cianna_files.read(path) for path in (reference.write(folder), folder / f"{name}.new"))
        for before, after in zip(old.layers, new.layers, strict=True):
            for part in ("weights", "gamma", "beta"):
                np.testing.assert_array_equal(getattr(after, part, 0), getattr(before, part, 0))


def test_a_detector_comes_out_of_a_yolo_file(folder):
    reference = REFERENCES["mini_yolo2d"]
    model = cianna.load_model(reference.write(folder), loss={"random_startup": 0}, score_threshold=0)
    assert isinstance(model, astrokeras.models.YoloDetector)
    assert model.settings.classes == 2 and model.settings.class_softmax and len(model.box_parameters) == 1
    assert model.settings.priors == [[6.0, 8.0], [12.0, 10.0], [20.0, 24.0]]
    x = channels_last(reference.input, model.input_shape[1:])
    found = model.detect(x, nms_threshold=1)[0]
    columns = reference.output_boxes[0].reshape(3, -1, 24)  # box, column, cell
    theirs = np.moveaxis(columns[:, [0, 1, 3, 4]], 1, -1).reshape(-1, 4)
    assert len(found) == len(theirs)
    apart = np.abs(found.boxes[:, None] - theirs[None]).max(axis=-1)
    assert apart.min(axis=1).max() < 1e-3 and apart.min(axis=0).max() < 1e-3
    model.compile("sgd")
    y = {"boxes": np.tile([[[4.0, 4.0, 12.0, 14.0]]], (3, 1, 1)), "labels": np.ones((3, 1), int)}
    y["params"] = np.full((3, 1, 1), 0.5)
    assert np.isfinite(model.fit(x, y, verbose=0).history["loss"][0])
    assert cianna.load_model(reference.write(folder), input_shape=(64, 64, 1)).output_shape == (None, 8, 8, 33)


def test_resolution_layers_and_names_can_change(folder):
    path = REFERENCES["mini_darknet"].write(folder)
    model = cianna.load_model(path)
    assert [layer.name for layer in model.layers][1:4] == ["conv1", "conv1_bias", "conv1_activation"]
    wide = cianna.load_model(path, input_shape=(64, 96, 3), name="wide")
    assert wide.output_shape == (None, 7) and wide.name == "wide"
    first = cianna.load_model(path, layers=3)
    assert [layer.name for layer in first.layers][-2:] == ["norm1", "pool1"]
    x = np.random.default_rng(0).random((2, 32, 32, 3), "float32")
    inner = keras.Model(model.input, model.get_layer("pool1").output)
    np.testing.assert_array_equal(predict(first, x), predict(inner, x))
    line = cianna.load_model(REFERENCES["conv1d"].write(folder), input_shape=(1, 24, 2), layers=2)
    assert line.output_shape == (None, 1, 12, 3), "as many axes as input_shape has"
    with pytest.raises(ValueError, match=r"conv1d.bin.dat: layer 3: expected 36 inputs; received 60"):
        cianna.load_model(REFERENCES["conv1d"].write(folder), input_shape=(40, 2))
    with pytest.raises(ValueError, match=r"2 to 3 sizes and 3 channels; received \(32, 32, 1\)"):
        cianna.load_model(path, input_shape=(32, 32, 1))
    with pytest.raises(ValueError, match="only where the last layer is YOLO"):
        cianna.load_model(path, loss={"iou": "diou"})
    with pytest.raises(ValueError, match="parameters of 1 columns, as the file has"):
        cianna.load_model(REFERENCES["mini_yolo2d"].write(folder), parameters=())
    with pytest.raises(FileNotFoundError, match="there is none at"):
        cianna.load_model(folder / "no.dat")


def test_a_loaded_model_trains(folder, rng):
    reference = REFERENCES["dropout_all"]
    model = cianna.load_model(reference.write(folder))
    model.compile(keras.optimizers.SGD(0.05), loss="sparse_categorical_crossentropy")
    x = rng.normal(size=(32, *model.input_shape[1:])).astype("float32")
    before = [weight.copy() for weight in model.get_weights()]
    history = model.fit(x, np.arange(32) % 3, epochs=3, batch_size=16, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    names = [weight.path for weight in model.weights]
    kept = {name.split("/")[-1] for name, moved in zip(names, changed, strict=True) if not moved}
    assert kept == {"bias_kernel", "pivot_kernel", "corner"}, "behind a rectified dense layer there is no bias"
    assert sum(changed) == 7


def test_uncertainty_draws_as_the_mc_model(folder, rng):
    reference = REFERENCES["mnist_lenet"]
    model = cianna.load_model(reference.write(folder))
    x = channels_last(reference.input, model.input_shape[1:])
    found = astrokeras.explain.uncertainty(model, x, repeats=5)
    assert (found.std.max(axis=1) > 1e-4).all()
    calm = cianna_files.read(folder / "mnist_lenet.bin.dat")
    for record in calm.layers:
        if isinstance(record, cianna_files.Dense):
            record.dropout = 0.0
    uncertainty_of = importlib.import_module("astrokeras.explain.uncertainty")  # the room has a function of that name
    once = uncertainty_of._with_dropout(model)
    for layer in once.layers:
        if isinstance(layer, uncertainty_of._Always):
            layer.dropout._dropout.rate = 0.0
    np.testing.assert_allclose(predict(once, x), predict(cianna.build(calm), x), atol=1e-6)


def randomised(model, rng):
    model.set_weights([w + 0.1 * rng.normal(size=w.shape).astype("float32") for w in model.get_weights()])
    return model


NETWORKS = {
    "lenet5": lambda: applications.lenet5(),
    "asirra_cnn": lambda: applications.asirra_cnn((32, 32, 3)),
    "spectra": lambda: applications.stellar_spectra_cnn((256, 1)),
    "galaxies": lambda: applications.galaxy_zoo2((32, 32, 3)),
    "yolo": lambda: applications.yolo_voc((64, 64, 3)),
    "odd": lambda: (
        Network((9, 11, 2))
        .conv(4, (5, 4), strides=(2, 3), dropout=0.3)
        .upsample(2)
        .conv(3, 3, activation="sigmoid")
        .pool(2, "average", padding=1)
        .dense(7, activation="relu", dropout=0.2)
        .dense(6, activation="linear", dropout=0.4)
        .dense(12)
        .dense(5, activation="sigmoid")
        .dense(3, activation="softmax")
        .build()
    ),
    "dense_to_map": lambda: (
        Network((12, 2))
        .conv(6, 4, strides=2, internal_padding=2)
        .lrn(3)
        .dense(24, activation="linear")
        .reshape((4, 3, 2))
        .conv(4, 2)
        .global_pool("max")
        .dense(3)
        .build()
    ),
    "cube": lambda: (
        Network((6, 6, 6, 1))
        .conv(3, 3, padding=2)
        .norm(3)
        .dense(8)
        .dense(8)
        .dense(64)
        .reshape((4, 4, 4))
        .conv(2, 3, activation="linear")
        .global_pool(activation="softmax")
        .build()
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_what_network_builds_goes_to_cianna_and_back(name, tmp_path, rng):
    model = randomised(NETWORKS[name](), rng)
    cianna.save_model(model, tmp_path / "net.dat")
    again = cianna.load_model(tmp_path / "net.dat")
    x = rng.random((3, *model.input_shape[1:]), "float32")
    expected = predict(model, x)
    np.testing.assert_allclose(predict(again, x).reshape(expected.shape), expected, rtol=1e-4, atol=1e-4)
    assert np.ptp(expected) > 1e-3
    assert not [path for path in tmp_path.iterdir() if path.name != "net.dat"]


def residual():
    return Network((8, 8, 4)).mark("a").conv(4, 3).add("a").build()


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (residual, "network, add1: expected a chain of layers"),
        (lambda: Network((8, 8, 1)).conv(4, 3, activation="tanh").build(), "network, conv1: received the activation"),
        (lambda: Network((8, 8, 1)).conv(4, 3).batch_norm().build(), "batch_norm1: received the layer BatchNorm"),
        (lambda: Network((8, 8, 1)).norm(1).build(), "norm1: a normalisation stands behind a convolution"),
        (lambda: Network((8, 8, 1)).conv(3, 2, strides=3, padding="valid").build(), "conv1: expected strides"),
        (
            lambda: Network((8, 8, 1)).conv(3, 2, dropout=0.5).pool(2).build(),
            "pool1: a pooling does not follow dropout",
        ),
        (lambda: Network((8, 8, 1)).conv(4, 3, activation="softmax").build(), "softmax over the channels of each"),
        (lambda: Network((8, 8, 1)).pool(2).dropout(0.5).build(), "dropout1: received a dropout that is neither"),
        (lambda: Network((8, 8, 1)).stretch(function="asinh").conv(4, 3).build(), "with normalization=None"),
        (
            lambda: randomised(Network((8, 8, 1)).conv(4, 3).norm(2, per="channel").build(), np.random.default_rng(0)),
            "norm1: received a gamma and beta per channel",
        ),
        (lambda: Network((8, 8, 1)).conv(4, 3).reshape((4, 16, 4)).conv(1, 1).build(), "a reshape between two maps"),
    ],
)
def test_what_cianna_lacks_is_refused_by_name(build, sentence, tmp_path):
    with pytest.raises(ValueError, match=sentence):
        cianna.save_model(build(), tmp_path / "net.dat")
    assert not list(tmp_path.iterdir())


def test_records_tell_what_is_written():
    net = Network((8, 6, 3)).rescale(100, 155).conv(4, 3).dense(5)
    found = cianna.records(net.build())
    assert (found.input_size, found.channels) == ((6, 8, 1), 3)
    assert [type(record).__name__ for record in found.layers] == ["Conv", "Conv", "Dense"]
    assert cianna.build(found).output_shape == (None, 5)
    assert cianna_files.first_problem(found) is None
    found.layers[1].strides = (4, 4, 1)
    assert cianna_files.first_problem(found)[0] == 2
    head = applications.yolo_voc((64, 64, 3)).layers[-1]
    assert astrokeras.weights.yolo_record(head).priors[1].tolist() == [48, 64, 0]


# ---- published weights, and files of CIANNA as weights


def test_a_dat_file_is_weights_of_an_application(tmp_path, rng, monkeypatch):
    old = randomised(applications.darknet19((64, 64, 3), classes=4, normalization=None), rng)
    cianna.save_model(old, tmp_path / "d.dat")
    new = applications.darknet19((64, 64, 3), classes=4, normalization=None, weights=tmp_path / "d.dat")
    x = rng.random((2, 64, 64, 3), "float32")
    np.testing.assert_allclose(predict(new, x), predict(old, x), rtol=1e-4, atol=1e-5)
    dense = randomised(Network((8, 8, 2)).conv(3, 3, dropout=0.3).dense(4, activation="softmax").build(), rng)
    cianna.save_model(dense, tmp_path / "n.dat")
    again = Network((8, 8, 2)).conv(3, 3, dropout=0.3).dense(4, activation="softmax").build(tmp_path / "n.dat")
    x = rng.random((2, 8, 8, 2), "float32")
    np.testing.assert_allclose(predict(again, x), predict(dense, x), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="Conv number 1 does not fit the layer 'conv1'"):
        applications.darknet19((64, 64, 3), classes=4, weights=tmp_path / "n.dat")
    with pytest.raises(ValueError, match=r"hold the 3 layers with weights of network; it has 2"):
        Network((8, 8, 2)).conv(3, 3).dense(4).dense(4).build(tmp_path / "n.dat")


def test_published_weights_are_looked_for_and_never_half_there(tmp_path, rng, monkeypatch):
    published = astrokeras.weights.PUBLISHED["yolo_voc416", "cianna"]
    assert isinstance(published, astrokeras.weights.Published) and "cianna" in astrokeras.weights.names("darknet19")
    monkeypatch.setenv("ASTROKERAS_HOME", str(tmp_path / "home"))

    def no_network(*arguments, **options):
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    with pytest.raises(ConnectionError, match=f"no network. Get https://zenodo.*put it at {tmp_path}/home/CIANNA_net"):
        applications.yolo_voc416((64, 64, 3), weights="cianna")
    assert not list((tmp_path / "home").iterdir())

    model = randomised(applications.yolo_voc416((64, 64, 3), normalization=None), rng)
    cianna.save_model(model, tmp_path / "home" / published.file)
    x = rng.random((1, 64, 64, 3), "float32")
    found = applications.yolo_voc416((64, 64, 3), normalization=None, weights="cianna")
    np.testing.assert_allclose(predict(found, x), predict(model, x), atol=1e-3)
    sdc1 = applications.yolo_sdc1((64, 64, 1), normalization=None)
    file = tmp_path / "home" / astrokeras.weights.PUBLISHED["yolo_sdc1", "cianna"].file
    cianna.save_model(sdc1, file)
    found = applications.yolo_sdc1((64, 64, 1), weights="cianna")
    assert [one.name for one in found.box_parameters] == ["flux", "bmaj", "bmin", "cos_pa", "sin_pa"]
    dropped = sdc1.get_layer("conv16").get_weights()[0]
    np.testing.assert_allclose(found.get_layer("conv16").get_weights()[0], dropped, rtol=1e-5, atol=1e-8)
    with pytest.raises(ValueError, match=r"priors.*build the network with these"):
        applications.yolo_voc416((64, 64, 3), priors=[[8, 8]] * 5, weights=tmp_path / "home" / published.file)


class Answer:
    """A server's, cut short."""

    def __init__(self, content, length):
        self.content, self.headers = content, {"Content-Length": str(length)}

    def read(self, size=-1):
        content, self.content = self.content, b""
        return content

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        return None


@pytest.mark.parametrize("whole", [False, True])
def test_a_download_is_checked_before_it_is_kept(tmp_path, monkeypatch, whole):
    net = Network((8, 8, 3)).conv(2, 3).build()
    cianna.save_model(net, tmp_path / "net.dat")
    content = (tmp_path / "net.dat").read_bytes()
    monkeypatch.setenv("ASTROKERAS_HOME", str(tmp_path / "home"))
    sent = content if whole else content[:-7]
    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: Answer(sent, len(content)))
    sentence = "does not fit the layer" if whole else f"{len(content) - 7} of {len(content)} bytes"
    with pytest.raises((ValueError, ConnectionError), match=sentence):
        applications.darknet19((64, 64, 3), weights="cianna")
    assert len(list((tmp_path / "home").iterdir())) == (1 if whole else 0)


# ---- the command line


def test_convert_there_and_back(folder, tmp_path, capsys):
    reference = REFERENCES["mini_darknet"]
    source = reference.write(folder)
    np.savez(tmp_path / "check.npz", input=reference.input, output=reference.output)
    line = ["convert", "cianna", str(source), str(tmp_path / "n.keras"), "--check", str(tmp_path / "check.npz")]
    assert main(line) == 0
    shown = capsys.readouterr().out
    assert "conv1" in shown and "GroupNormalization" in shown
    assert float(re.search(r"check.npz: (\S+?)written", shown.replace("\n", ""))[1]) < 1e-5
    assert astrokeras.read_card(tmp_path / "n.keras")["kind"] == "classes"
    assert main(["convert", "cianna", str(tmp_path / "n.keras"), str(tmp_path / "n.dat")]) == 0
    np.testing.assert_array_equal(
        cianna_files.read(tmp_path / "n.dat").layers[0].weights, cianna_files.read(source).layers[0].weights
    )
    assert main(["convert", "cianna", str(tmp_path / "n.keras"), str(tmp_path / "t.dat"), "--text"]) == 0
    assert (tmp_path / "t.dat").read_text().startswith("32x32x1x3\nC8f3x3x1.")
    assert main(["convert", "cianna", str(source), str(tmp_path / "f.keras"), "--layers", "2"]) == 0
    assert astrokeras.load_model(tmp_path / "f.keras").layers[-1].name == "norm1"
    capsys.readouterr()
    assert main(["convert", "cianna", str(source), str(tmp_path / "n.dat")]) == 2
    assert "one of IN and OUT to be a .keras file" in capsys.readouterr().err
    (tmp_path / "bad.dat").write_bytes(reference.binary[:-5])
    assert main(["convert", "cianna", str(tmp_path / "bad.dat"), str(tmp_path / "b.keras")]) == 2
    error = capsys.readouterr().err
    assert "bad.dat, layer" in error and "byte" in error and not (tmp_path / "b.keras").exists()
    with pytest.raises(ValueError, match="with the channels second"):
        cianna.largest_difference(cianna.load_model(source), REFERENCES["conv1d"].write(folder))
