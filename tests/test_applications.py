"""Parameter and operation counts against the papers and published implementations."""

import numpy as np
import pytest

import astrokeras
from astrokeras.applications import lenet5, resnet


def trainable(model):
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


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
