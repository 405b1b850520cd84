import numpy as np
import pytest

from astrokeras.datasets import RADIO_PARAMETERS, simulated_radio_fields

PIXEL, BEAM, NOISE = 0.604, 1.5, 2.6e-7
BEAM_AREA = np.pi / (4 * np.log(2)) * (BEAM / PIXEL) ** 2  # pixels


@pytest.fixture(scope="module")
def alone():
    """Fields with one bright source each, practically without noise: images, boxes, params."""
    fields, _ = simulated_radio_fields(400, 1, size=64, sources=(1, 1), flux=(9e-5, 1e-4), noise=1e-15)
    boxes, params = (np.concatenate([one[key] for one in fields.objects]) for key in ("boxes", "params"))
    whole = ((boxes[:, :2] > 8) & (boxes[:, 2:] < 56)).all(axis=1)
    assert whole.sum() > 100
    return fields.images[whole, ..., 0].astype("float64"), boxes[whole], params[whole].astype("float64")


def moments(images):
    """Middle (x, y) and second moments (xx, yy, xy) of images, in pixels; pixel i lies at i + 0.5."""
    at = np.arange(images.shape[1]) + 0.5
    total = images.sum(axis=(1, 2))
    x, y = (images.sum(axis=axis) @ at / total for axis in (1, 2))
    dx, dy = at - x[:, None], at - y[:, None]
    xx = np.einsum("nyx,nx->n", images, dx**2) / total
    yy = np.einsum("nyx,ny->n", images, dy**2) / total
    return x, y, xx, yy, np.einsum("nyx,ny,nx->n", images, dy, dx) / total


def test_the_map_holds_the_flux(alone):
    images, _, params = alone
    np.testing.assert_allclose(images.sum(axis=(1, 2)) / BEAM_AREA, params[:, 0], rtol=2e-3)
    convolved = (params[:, 1] ** 2 + BEAM**2) * (params[:, 2] ** 2 + BEAM**2)
    peak = params[:, 0] * BEAM**2 / np.sqrt(convolved)
    highest = images.max(axis=(1, 2))
    assert (highest <= peak * 1.0001).all() and (highest > 0.8 * peak).all()  # the peak may lie between four pixels


def test_sizes_and_angles_are_those_of_the_map(alone):
    images, _, params = alone
    *_, xx, yy, xy = moments(images)
    sigma = np.sqrt(8 * np.log(2)) * PIXEL  # from standard deviations in pixels to full widths in arcsec
    middle, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    for column, moment in ((1, middle + half), (2, middle - half)):
        np.testing.assert_allclose(sigma**2 * moment, params[:, column] ** 2 + BEAM**2, rtol=0.01)
    long = params[:, 1] > 1.5 * params[:, 2]
    angle = np.rad2deg(np.arctan2(2 * xy, xx - yy) / 2)  # of the major axis, from x towards y
    assert np.abs((angle - params[:, 3] + 90) % 180 - 90)[long].max() < 0.5
    assert long.sum() > 50


def test_boxes_bound_the_ellipse_at_one_full_width(alone):
    images, boxes, _ = alone
    x, y, xx, yy, _ = moments(images)
    # The half axis of an ellipse along x is the standard deviation along x, in the same units.
    half = np.sqrt(8 * np.log(2) * np.stack([xx, yy], axis=1))
    middle = np.stack([x, y], axis=1)
    np.testing.assert_allclose(boxes, np.concatenate([middle - half, middle + half], axis=1), atol=0.05)


def test_boxes_are_cut_at_the_edge():
    fields, _ = simulated_radio_fields(100, 1, size=32, sources=(20, 20), noise=1e-8)
    boxes = np.concatenate([one["boxes"] for one in fields.objects])
    assert boxes.min() == 0 and boxes.max() == 32 and (boxes[:, 2:] - boxes[:, :2]).min() > 2


def test_noise_is_that_of_the_beam():
    fields, _ = simulated_radio_fields(40, 1, sources=(0, 1), flux=(1e-12, 2e-12))
    assert all(len(one["labels"]) == 0 for one in fields.objects)
    noise = fields.images[..., 0].astype("float64")
    np.testing.assert_allclose(noise.std(), NOISE, rtol=0.02)
    assert abs(noise.mean()) < 0.02 * NOISE
    sigma = BEAM / PIXEL / np.sqrt(8 * np.log(2))
    for step in (1, 2, 3):  # white noise behind a Gaussian is correlated as a Gaussian of sqrt(2) times the width
        for axis in (1, 2):
            related = (noise * np.roll(noise, step, axis)).mean() / noise.var()
            np.testing.assert_allclose(related, np.exp(-(step**2) / (4 * sigma**2)), atol=0.03)


def test_only_bright_sources_are_objects():
    many, _ = simulated_radio_fields(20, 1, sources=(50, 50), snr=0)
    assert all(len(one["labels"]) == 50 for one in many.objects)
    bright, _ = simulated_radio_fields(20, 1, sources=(50, 50), snr=8)
    assert (bright.images == many.images).all(), "the faint ones are in the map all the same"
    for all_of_them, one in zip(many.objects, bright.objects, strict=True):
        params = all_of_them["params"].astype("float64")
        convolved = np.sqrt((params[:, 1] ** 2 + BEAM**2) * (params[:, 2] ** 2 + BEAM**2))
        kept = params[:, 0] * BEAM**2 / convolved >= 8 * NOISE
        assert (one["params"] == all_of_them["params"][kept]).all()
        assert (one["boxes"] == all_of_them["boxes"][kept]).all()


def test_values_are_in_their_ranges_and_the_fluxes_follow_the_power_law():
    fields, _ = simulated_radio_fields(200, 1, size=16, sources=(100, 100), snr=0)
    params = np.concatenate([one["params"] for one in fields.objects])
    for parameter, column in zip(RADIO_PARAMETERS, params.T, strict=True):
        low, high = (-90, 90) if parameter.angle else parameter.range
        assert low * (1 - 1e-6) <= column.min() or low == -90
        assert column.max() <= high * (1 + 1e-6)
    assert (params[:, 1] >= params[:, 2]).all() and np.median(params[:, 1] / params[:, 2]) > 1.2
    for limit in (2e-6, 5e-6, 2e-5):
        expected = (limit**-0.7 - 1e-4**-0.7) / (1e-6**-0.7 - 1e-4**-0.7)
        np.testing.assert_allclose((params[:, 0] > limit).mean(), expected, atol=0.015)
    assert [parameter.unit for parameter in RADIO_PARAMETERS] == ["Jy", "arcsec", "arcsec", "deg"]


def test_one_seed_one_set():
    arguments = {"size": 32, "sources": (0, 5)}
    (first, held), (again, _) = (simulated_radio_fields(6, 3, **arguments) for _ in range(2))
    other, _ = simulated_radio_fields(6, 3, seed=1, **arguments)
    assert (first.images == again.images).all() and (first.images != other.images).any()
    assert first.images.shape == (6, 32, 32, 1) and first.images.dtype == np.float32 and len(held) == 3
    first.checked(1, parameters=RADIO_PARAMETERS)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"train": 0}, "Expected train >= 1"),
        ({"size": 8}, "size >= 16"),
        ({"noise": 0}, "noise above 0"),
        ({"sources": (5, 2)}, r"Expected sources .* received sources=\(5, 2\)"),
        ({"flux": (0, 1e-6)}, "flux .lowest > 0"),
        ({"beam": 1.0}, "Expected a beam of at least 2 pixels"),
        ({"pixel": -1}, "Expected a beam of at least 2 pixels"),
    ],
)
def test_bad_arguments(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        simulated_radio_fields(**({"train": 2, "test": 1} | arguments))
