import json

import keras
import numpy as np
import pytest
from astropy import units

from astrokeras.parameters import Parameter, columns, decode, encode, per_column

FLUX = Parameter("flux", "Jy", scale="log", range=(1e-7, 1e-3))
SIZE = Parameter("size", "arcsec", range=(2, 10))
AXIS = Parameter("pa", angle=180)
DIRECTION = Parameter("direction", "deg", angle=360, zero="y")
ALL = (FLUX, AXIS, SIZE, DIRECTION)


def test_linear_and_log_by_hand():
    assert SIZE.encode([2, 4, 10, 12, 0]).tolist() == [[0.0], [0.25], [1.0], [1.25], [-0.25]]  # not clipped
    np.testing.assert_allclose(FLUX.encode([[1e-7, 1e-6], [1e-3, 1e-8]])[..., 0], [[0, 0.25], [1, -0.25]], atol=1e-7)
    assert SIZE.decode([[0.5], [1.25]]).tolist() == [6.0, 12.0]
    np.testing.assert_allclose(FLUX.decode([[0.5], [-0.25]]), [1e-5, 1e-8], rtol=1e-6)


def test_angles_by_hand():
    third = np.sqrt(3) / 4 + 0.5
    np.testing.assert_allclose(AXIS.encode([15, -45]), [[third, 0.75], [0.5, 0]], atol=1e-7)  # 30 and -90 degrees
    np.testing.assert_allclose(DIRECTION.encode([30, 180]), [[third, 0.75], [0, 0.5]], atol=1e-7)
    np.testing.assert_allclose(AXIS.encode(-90), AXIS.encode(90), atol=1e-7)  # the ends meet


def test_angles_come_back_in_their_interval():
    angles = np.arange(-720.0, 720, 7.5)
    axis, direction = AXIS.decode(AXIS.encode(angles)), DIRECTION.decode(DIRECTION.encode(angles))
    assert axis.min() > -90 and axis.max() <= 90 and direction.min() >= 0 and direction.max() < 360
    np.testing.assert_allclose((axis - angles + 90) % 180, 90, atol=1e-4)
    np.testing.assert_allclose((direction - angles + 90) % 360, 90, atol=1e-4)
    assert AXIS.decode([[0.0, 0.5]]) == 90 and AXIS.oriented([-90.0, 90]).tolist() == [90, 90]
    assert AXIS.oriented([90 + 1e-12, 270]).tolist() == [90, 90]
    assert Parameter("d", angle=360).oriented([-1e-12, 360]).tolist() == [0, 0]


def test_there_and_back(rng):
    values = np.stack([10 ** rng.uniform(-8, -2, 500), rng.uniform(-90, 90, 500), *rng.uniform(1, 359, (2, 500))], -1)
    encoded = encode(ALL, values.reshape(5, 100, 4))
    assert encoded.shape == (5, 100, 6) and encoded.dtype == np.float32 and columns(ALL) == 6
    back = decode(ALL, encoded)
    assert back.dtype == np.float32
    np.testing.assert_allclose(back.reshape(500, 4)[:, 0], values[:, 0], rtol=1e-5)
    np.testing.assert_allclose(back.reshape(500, 4)[:, 1:], values[:, 1:], atol=2e-4)
    np.testing.assert_array_equal(encoded[..., 1:3], AXIS.encode(values[:, 1]).reshape(5, 100, 2))


def test_no_parameters_and_no_objects():
    assert encode((), np.zeros((3, 0))).shape == (3, 0) and decode((), np.zeros((2, 3, 0))).shape == (2, 3, 0)
    assert encode(ALL, np.zeros((0, 4))).shape == (0, 6) and decode(ALL, np.zeros((0, 6))).shape == (0, 4)


def test_padding_is_neither_checked_nor_encoded():
    values = np.array([[[1e-5, 4.0], [np.nan, 0.0]], [[0.0, 0.0], [1e-7, 2.0]]])
    encoded = encode((FLUX, SIZE), values, where=[[True, False], [False, True]])
    np.testing.assert_allclose(encoded, [[[0.5, 0.25], [0, 0]], [[0, 0], [0, 0]]], atol=1e-7)
    with pytest.raises(ValueError, match=r"flux > 0 .* received 0 at index \[1, 0\]"):
        encode((FLUX, SIZE), values, where=[[True, False], [True, True]])


def test_per_column():
    assert per_column(ALL, (1, 2, 3, 4)) == [1, 2, 2, 3, 4, 4]
    with pytest.raises(ValueError, match="one value for each of the 4 parameters; received 1"):
        per_column(ALL, [1])


def test_config_goes_through_json():
    for parameter in ALL:
        config = json.loads(json.dumps(keras.saving.serialize_keras_object(parameter)))
        assert config["registered_name"] == "astrokeras>Parameter"
        assert keras.saving.deserialize_keras_object(config) == parameter
        assert Parameter.from_config(json.loads(json.dumps(parameter.get_config()))) == parameter


def test_units_are_kept_as_text():
    assert Parameter("flux", units.Jy / units.beam).unit == "Jy / beam"
    assert Parameter("flux", np.str_("mJy")).unit == "mJy" and Parameter("n").unit is None
    assert AXIS.unit == "deg" and Parameter("pa", units.degree, angle=360).unit == "deg"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": ""}, "Expected a name"),
        ({"unit": "parsnip"}, "unit that astropy knows for p; received 'parsnip'"),
        ({"unit": ["Jy"]}, "unit that astropy knows"),
        ({"scale": "sqrt"}, 'scale "linear" or "log" for p'),
        ({"scale": "log", "range": (0, 1)}, r"with 0 < low < high for p; received \(0.0, 1.0\)"),
        ({"range": (2, 2)}, "with low < high for p"),
        ({"range": (0, np.nan)}, "with low < high for p"),
        ({"range": (0, np.inf)}, "with low < high for p"),
        ({"angle": 90}, "angle None, 180 or 360"),
        ({"zero": "z"}, 'zero "x" or "y"'),
        ({"angle": 180, "range": (-90, 90)}, "no scale and no range for the angle p"),
        ({"angle": 180, "unit": "rad"}, 'unit "deg" for the angle p'),
    ],
)
def test_refusals(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        Parameter(**({"name": "p"} | arguments))


def test_values_and_shapes_that_do_not_suit():
    with pytest.raises(ValueError, match=r"flux > 0 \(its scale is logarithmic\); received -2 at index \[1\]"):
        FLUX.encode([1.0, -2.0])
    with pytest.raises(ValueError, match=r"finite size; received nan at index \[0, 1\]"):
        SIZE.encode([[1.0, np.nan]])
    with pytest.raises(ValueError, match=r"Expected values \(\.\.\., 4\).* received shape \(2, 3\)"):
        encode(ALL, np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"Expected columns \(\.\.\., 6\).* received shape \(2, 4\)"):
        decode(ALL, np.ones((2, 4)))
