"""Parameter and operation counts against the papers and published implementations."""

import keras
import numpy as np
import pytest

import astrokeras
from astrokeras import applications
from astrokeras.applications import lenet5, resnet


def trainable(model):
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


# trainable parameters, convolutions, pixels of a grid cell
@pytest.mark.parametrize(
    ("name", "parameters", "convolutions", "cell"),
    [
        ("yolo_voc", 1_842_108, 9, (32, 32)),
        ("yolo_voc416", 48_269_516, 22, (32, 32)),
        ("yolo_coco", 48_577_016, 22, (32, 32)),
        ("yolo_sdc1", 12_621_373, 17, (16, 16)),  # 12.62 M in Cornu et al. 2024
        ("yolo_sdc2", 3_847_234, 23, (8, 8, 16)),
        ("yolo_lines", 157_080, 8, (16,)),
    ],
)
def test_detectors_are_the_published_networks(name, parameters, convolutions, cell):
    model = getattr(applications, name)()
    assert trainable(model) == model.count_params() == parameters
    assert sum("Conv" in type(layer).__name__ for layer in model.layers) == convolutions
    assert model.settings.cell == cell
    assert f"{parameters:,}" in getattr(applications, name).__doc__


def test_detectors_have_cianna_settings():
    """examples/PASCAL/pascal_train.py and examples/SKAO_SDC1/train_network.py of CIANNA 1.0."""
    voc = applications.yolo_voc().settings
    assert (voc.iou, voc.prior_distance, voc.strict_priors, voc.class_softmax) == ("diou", "offset", 3, True)
    assert voc.noobj == [0.05, 0.1, 0.1, 0.1, 0.1]
    assert voc.scales == {"position": 12, "size": 6, "probability": 0.5, "objectness": 6, "classes": 0.4, "params": 1}
    assert voc.slopes["size"] == (0.5, 1.6, -1.6) and voc.difficult
    assert [
        layer.filters for layer in applications.yolo_voc().layers if "conv" in layer.name and hasattr(layer, "filters")
    ] == [
        *(24, 48, 96, 128, 256, 256, 256, 512),
    ]
    sdc1 = applications.yolo_sdc1()
    assert sdc1.settings.noobj == [0.15] * 6 + [0.01] * 3
    assert sdc1.settings.param_scales == [2, 2, 1, 0.5, 0.5]
    assert [parameter.name for parameter in sdc1.box_parameters] == ["flux", "bmaj", "bmin", "pa"]
    assert sdc1.settings.limits["params"] == -0.1 and sdc1.settings.best_prior_rate == 0.9
    assert sdc1.get_layer("conv16").filters == 2048 and sdc1.get_layer("norm1").group_size == 4


def test_yolo_takes_any_backbone():
    x = keras.Input((32, 32, 1), name="image")
    features = keras.layers.Conv2D(16, 8, strides=8, name="stem")(x)
    backbone = keras.Model(x, features)
    model = applications.yolo((32, 32, 1), 0, backbone=backbone, priors=[[8, 8]], name="mine")
    assert model.get_layer("stem") is backbone.get_layer("stem")
    assert model.output_shape == (None, 4, 4, 8)
    with pytest.raises(ValueError, match="backbone from images to a map"):
        applications.yolo(backbone=keras.Model(x, keras.layers.Flatten()(features)))


def test_lenet5_is_the_course_network():
    model = lenet5()
    # 8*(25+1) + 16*(200+1) + 256*(784+1) + 128*(256+1) + 10*(128+1)
    assert model.count_params() == 208 + 3216 + 200960 + 32896 + 1290
    assert [layer.name for layer in model.layers if layer.count_params()] == [
        "conv1",
        "conv2",
        "dense1",
        "dense2",
        "dense3",
    ]
    assert [model.get_layer(f"dense{i}_dropout").rate for i in (1, 2)] == [0.5, 0.2]
    assert model.get_layer("conv1").activation is astrokeras.layers.relu_leaky


# depth -> trainable parameters with 1000 classes (torchvision's models) and 10^9 multiply-adds (the paper's Table 1)
@pytest.mark.parametrize(
    ("depth", "parameters", "billions"), [(18, 11689512, 1.8), (34, 21797672, 3.6), (50, 25557032, 3.8)]
)
def test_large_resnets_agree_with_the_paper(depth, parameters, billions):
    model = resnet((224, 224, 3), classes=1000, depth=depth)
    assert trainable(model) == parameters
    assert astrokeras.cost(model).multiply_adds / 1e9 == pytest.approx(billions, abs=0.07)


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "parameters", "billions"), [(101, 44549160, 7.6), (152, 60192808, 11.3)])
def test_largest_resnets_agree_with_the_paper(depth, parameters, billions):
    test_large_resnets_agree_with_the_paper(depth, parameters, billions)


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85)])
def test_small_resnets_agree_with_the_paper(depth, millions):
    model = resnet(depth=depth)
    assert trainable(model) / 1e6 == pytest.approx(millions, abs=0.01)
    weighted = [layer for layer in model.layers if hasattr(layer, "kernel") and "shortcut" not in layer.name]
    assert len(weighted) == depth


def test_resnet_without_top_and_in_other_dimensions():
    assert resnet(include_top=False).output_shape == (None, 64)
    assert resnet((64, 2), classes=3).output_shape == (None, 3)
    assert resnet((8, 8, 8, 1), classes=3).output_shape == (None, 3)
    assert resnet(normalization=None).layers[1].name == "stem_conv"


def test_refusals():
    with pytest.raises(ValueError, match="Expected depth to be one of 18, 20, 32"):
        resnet(depth=21)
    with pytest.raises(ValueError, match="expected units to be an integer >= 1; received 0"):
        resnet(classes=0)
    with pytest.raises(ValueError, match="lenet5, pool2: expected a map of at least 2x2 pixels"):
        lenet5((3, 3, 1))
    with pytest.raises(ValueError, match="None, 'mnist', or the path"):
        lenet5(weights="imagenet")


PARAMETERS = {
    "asirra_cnn": 586_114,
    "cifar10_cnn": 1_647_242,
    "darknet19": 20_835_944,
    "extinction_cnn": 53_748_152,
    "galaxy_zoo2": 180_763,
    "stellar_spectra_cnn": 556_415,
    "voc_cutout_classifier": 15_751_092,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name):
    build = getattr(applications, name)
    assert build().count_params() == PARAMETERS[name]
    assert f"{PARAMETERS[name]:,} parameters" in " ".join(build.__doc__.split())


def listing(model):
    """Kind and size of each layer that the course's listings count."""
    words = []
    for layer in model.layers:
        kind = type(layer).__name__
        if kind.startswith("Conv"):
            activation = "" if layer.activation is astrokeras.layers.relu_leaky else "-"
            words.append(f"C{layer.kernel_size[0]}.{layer.filters}{activation}")
        elif "Pooling" in kind:
            words.append("G" if "Global" in kind else f"P{layer.pool_size[0]}")
        elif kind == "GroupNormalization":
            words.append(f"N{layer.group_size}")
        elif kind == "Dense":
            words.append(f"D{layer.units}")
        elif kind == "Activation":
            words.append(getattr(layer.activation, "__name__", ""))
    return " ".join(words)


DARKNET19 = """
C3.32 N4 P2 C3.64 N8 P2
C3.128 N8 C1.64 N8 C3.128 N8 P2
C3.256 N16 C1.128 N16 C3.256 N16 P2
C3.512 N16 C1.256 N16 C3.512 N16 C1.256 N16 C3.512 N16 P2
C3.1024 N32 C1.512 N16 C3.1024 N32 C1.512 N16 C3.1024 N32
C1.1000- G softmax
"""
COURSE = {
    "darknet19": DARKNET19,
    "asirra_cnn": """
        C3.16- P2 N2 relu_leaky C3.32- P2 N2 relu_leaky C3.64- P2 N4 relu_leaky
        C3.128 C1.64 C3.128- P2 N4 relu_leaky C3.192 C1.96 C3.192- P2 N8 relu_leaky C1.2- G softmax""",
    "cifar10_cnn": """
        C3.32- N8 relu_leaky C3.64- P2 N8 relu_leaky C3.64- N8 relu_leaky C3.64- N8 relu_leaky
        C3.128- P2 N8 relu_leaky C3.256- P2 N8 relu_leaky C3.256- N8 relu_leaky C3.256- N8 relu_leaky
        C1.10- G softmax""",
    "galaxy_zoo2": "C5.16 P2 N4 C3.32 P2 N4 C3.64 P2 N8 C3.128 C1.64 C3.128 P2 N16 C1.3- G softmax",
    "stellar_spectra_cnn": "C8.8 C8.16 C8.32 D256 D256 D7 softmax",
    "voc_cutout_classifier": "C3.16 P2 C3.32 P2 C3.64 P2 C3.128 P2 C3.256 P2 C3.512 C3.1024 C3.1024 C1.20- G softmax",
    "extinction_cnn": "C5.12 P2 D3072 D3072 D2048 D128 linear",
}


@pytest.mark.parametrize("name", COURSE)
def test_layers_are_those_of_the_listing(name):
    assert listing(getattr(applications, name)()).split() == COURSE[name].split()


def test_plain_darknet19_costs_what_the_paper_says():
    """YOLO9000, table 6 and section 3: 5.58 billion operations at 224 pixels, two a multiply-add."""
    model = applications.darknet19((224, 224, 3))
    assert 2 * astrokeras.cost(model).multiply_adds / 1e9 == pytest.approx(5.58, abs=0.005)


def test_molecular_spectra_cnn_has_14_convolutions_and_independent_outputs():
    model = applications.molecular_spectra_cnn()
    words = listing(model).split()
    assert sum(word.startswith("C") for word in words) == 14 and words[-2:] == ["D20", "sigmoid"]


def test_galaxy_zoo2_of_128_pixels_and_of_votes(rng):
    assert listing(applications.galaxy_zoo2((128, 128, 3))).count("C1.64") == 2
    model = applications.galaxy_zoo2((16, 16, 3), questions=(3, 2))
    alpha = model.predict(rng.uniform(0, 255, (4, 16, 16, 3)), verbose=0)
    assert alpha.shape == (4, 5) and (alpha > 1).all() and (alpha < 101).all()


@pytest.mark.parametrize(("name", "shape"), [("darknet19", (64, 64, 3)), ("asirra_cnn", (64, 64, 3))])
def test_features_without_top(name, shape):
    model = getattr(applications, name)(shape, include_top=False)
    assert model.output_shape == (None, 2, 2, 1024 if name == "darknet19" else 192)


def test_decode_predictions():
    shares = np.array([[0.1, 0.7, 0.2], [0.5, 0.1, 0.4]])
    decoded = applications.decode_predictions(shares, ["a", "b", "c"], top=2)
    assert decoded == [[("b", 0.7), ("c", 0.2)], [("a", 0.5), ("c", 0.4)]]
    for arguments, sentence in (
        ({"predictions": shares[0]}, r"predictions \(batch, classes\)"),
        ({"predictions": shares, "names": ["a"]}, "Expected 3 names"),
        ({"predictions": shares, "top": 1}, "Expected names for 3 classes"),
        ({"predictions": shares, "names": list("abc"), "top": 4}, r"top in 1\.\.3"),
    ):
        with pytest.raises(ValueError, match=sentence):
            applications.decode_predictions(**arguments)
