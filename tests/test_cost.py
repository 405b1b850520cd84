import keras
import pytest

import astrokeras
from astrokeras.cost import Cost, LayerCost


def test_lenet5_by_hand():
    found = astrokeras.cost(astrokeras.applications.lenet5())
    # 5*5*1*8*28*28 + 5*5*8*16*14*14 + 784*256 + 256*128 + 128*10
    assert found.multiply_adds == 156800 + 627200 + 200704 + 32768 + 1280
    assert found.parameters == 238570
    by_name = {layer.name: layer for layer in found.layers}
    assert by_name["conv2"] == LayerCost("conv2", "Conv2D", (14, 14, 16), 3216, 627200)


def build(shape, *layers):
    return keras.Sequential([keras.Input(shape), *layers])


@pytest.mark.parametrize(
    ("model", "multiply_adds"),
    [
        (build((10, 2), keras.layers.Conv1D(4, 3)), 8 * 3 * 2 * 4),
        (build((6, 6, 4), keras.layers.Conv2D(8, 3, groups=2, padding="same")), 36 * 9 * 2 * 8),
        (build((4, 4, 4, 2), keras.layers.Conv3D(3, 2, strides=2)), 8 * 8 * 2 * 3),
        (build((5, 5, 2), keras.layers.Conv2DTranspose(3, 2, strides=2)), 25 * 4 * 2 * 3),
        (build((6, 6, 4), keras.layers.DepthwiseConv2D(3, padding="same")), 36 * 9 * 4),
        (build((6, 6, 4), keras.layers.SeparableConv2D(5, 3, padding="same")), 36 * 9 * 4 + 36 * 4 * 5),
        (build((7, 3), keras.layers.Dense(5)), 7 * 3 * 5),
        (build((4, 4, 1), build((4, 4, 1), keras.layers.Conv2D(2, 3)), keras.layers.Flatten()), 4 * 9 * 2),
    ],
)
def test_layers_by_hand(model, multiply_adds):
    assert astrokeras.cost(model).multiply_adds == multiply_adds
    assert astrokeras.cost(model).parameters == model.count_params()


def test_the_table_ends_with_the_total():
    found = astrokeras.cost(astrokeras.applications.lenet5())
    assert isinstance(found, Cost)
    assert list(found.table().columns[-1].cells)[-1] == "1,018,752"


def test_refusals():
    with pytest.raises(ValueError, match="Expected a built model"):
        astrokeras.cost(keras.Sequential([keras.layers.Dense(2)]))
    with pytest.raises(ValueError, match="Expected a fixed input size"):
        astrokeras.cost(build((None, None, 1), keras.layers.Conv2D(2, 3)))
