import importlib
import types

import numpy as np
import pytest
from astropy.io import fits

import astrokeras
from astrokeras.applications.yolo_sdc1 import PARAMETERS as YOLO_SDC1
from astrokeras.applications.yolo_sdc2 import PARAMETERS as YOLO_SDC2
from astrokeras.datasets.field_patches import FieldPatches
from astrokeras.datasets.fits_blocks import FitsWindows
from astrokeras.datasets.simulated_continuum_field import simulated_continuum_field
from astrokeras.datasets.simulated_hi_cube import simulated_hi_cube

sdc1, sdc2 = (importlib.import_module(f"astrokeras.datasets.sdc{i}") for i in (1, 2))  # the modules, not the functions
HEADING = "COLUMN1: ID [none] Source ID\n" * 17 + "ID RA DEC\n"  # 18 lines, as in TrainingSet_B1_v2.txt


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    return simulated_continuum_field(tmp_path_factory.mktemp("sdc1") / "field.fits", size=1100, density=0.5)


@pytest.fixture(scope="module")
def cube(tmp_path_factory):
    return simulated_hi_cube(tmp_path_factory.mktemp("sdc2") / "cube.fits", size=64, channels=300, density=100)


def real(targets, key):
    return targets[key][targets["labels"] >= 0]


def test_missing_files_are_named_with_source_and_size(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"Expected SKAMid_B1_1000h_v3.fits, .*4.3 GB.*hbasFhd4YILNkCr/download"
    ):
        sdc1.sdc1(tmp_path)
    for name in ("SKAMid_B1_1000h_v3.fits", "PrimaryBeam_B1.fits", "True_560_v2.txt"):
        (tmp_path / name).touch()
    with pytest.raises(FileNotFoundError, match=r"Expected TrainingSet_B1_v2.txt in .*; .*iTOVkIL6EfXkcdR/download\.$"):
        sdc1.sdc1(tmp_path)
    (tmp_path / "TrainingSet_B1_v2.txt").touch()
    found = sdc1.sdc1(tmp_path)
    assert found.training.name == "TrainingSet_B1_v2.txt" and found.truth.name == "True_560_v2.txt"
    with pytest.raises(FileNotFoundError, match=r"sky_dev_v2.fits \(0.25 square degrees, 10 GB\) from https://sdc2"):
        sdc2.sdc2(tmp_path, "dev")
    with pytest.raises(ValueError, match='"dev" or "ldev"; received .full'):
        sdc2.sdc2(tmp_path, "full")


def test_training_catalogue_leaves_out_what_was_not_injected(tmp_path):
    row = "{} 359.5 -29.5 359.5 -29.5 1e-6 0.1 1.5 0.7 200.5 3 3 {} 100.5 200.5\n"
    (tmp_path / "train.txt").write_text(HEADING + row.format(7, 1) + row.format(8, 0))
    table = sdc1.sdc1_catalogue(tmp_path / "train.txt")
    assert list(table["id"]) == [7] and table["ra_core"][0] == -0.5 and table["pa"][0] == 200.5
    assert str(table["flux"].unit) == "Jy" and str(table["b_maj"].unit) == "arcsec"
    (tmp_path / "other.txt").write_text("1 2 3\n")
    with pytest.raises(ValueError, match="Expected a table of sources of SDC1 with 12 or 15 columns in .*; received 3"):
        sdc1.sdc1_catalogue(tmp_path / "other.txt")
    (tmp_path / "broken.txt").write_text("1 2 3 4 5 6 7 8 9\n1 2 x\n")
    with pytest.raises(ValueError, match="Expected a table of sources of SDC2 in .*broken.txt; it cannot be read"):
        sdc2.sdc2_catalogue(tmp_path / "broken.txt")
    with pytest.raises(FileNotFoundError, match="Expected a table of sources of SDC2"):
        sdc2.sdc2_catalogue(tmp_path / "none.txt")


def test_selection_of_sdc1_by_hand():
    pixel = 0.6  # arcsec: sizes of 1.2 and 0.6, the least that count, are 4 x 2 pixels when doubled
    cases = [  # flux, b_maj, b_min, kept
        (1.9e-6, 0.1, 0.1, False),  # 2.4e-7 a pixel
        (2.1e-6, 0.1, 0.1, True),  # 2.6e-7
        (2.1e-6, 1.3, 0.6, False),
        (6.9e-6, 3.0, 1.0, False),  # 33 pixels: 2.1e-7
        (7.0e-6, 3.0, 1.0, True),  # from here on 1e-7 is enough
        (7.0e-6, 6.0, 1.1, False),  # 73 pixels
        (1.0, 60.0, 30.0, True),
    ]
    flux, b_maj, b_min, kept = map(np.array, zip(*cases, strict=True))
    assert (sdc1.sdc1_selection(flux, b_maj, b_min, pixel) == kept).all()


def test_boxes_of_sdc1_bound_the_turned_rectangle():
    rng = np.random.default_rng(0)
    b_maj, pa = rng.uniform(0.5, 30, 200), rng.uniform(0, 360, 200)
    b_min = b_maj * rng.uniform(0.2, 1, 200)
    x, y = rng.uniform(0, 1000, (2, 200))
    boxes = sdc1.sdc1_boxes(x, y, b_maj, b_min, pa, 0.6)
    corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])[None] * np.stack([b_maj, b_min], 1)[:, None] / 0.6
    turn = np.deg2rad(pa)[:, None]
    turned = np.stack(
        [
            np.cos(turn) * corners[..., 0] + np.sin(turn) * corners[..., 1],
            -np.sin(turn) * corners[..., 0] + np.cos(turn) * corners[..., 1],
        ],
        axis=2,
    )
    sides = np.clip(np.ptp(turned, axis=1), 5, 64)
    np.testing.assert_allclose(boxes[:, 2:] - boxes[:, :2], sides, rtol=1e-4)
    np.testing.assert_allclose((boxes[:, 2:] + boxes[:, :2]) / 2, np.stack([x, y], 1), rtol=1e-5)


def test_objects_of_a_field_lie_on_their_sources(field):
    boxes, params = sdc1.sdc1_objects(field)
    assert len(boxes) > 300 and boxes.dtype == params.dtype == np.float32
    table = sdc1.sdc1_catalogue(field.truth)
    assert len(boxes) < 0.3 * len(table)
    image = FitsWindows(field.image).read([(0, 1100), (0, 1100)])
    middle = ((boxes[:, :2] + boxes[:, 2:]) / 2).astype(int)
    bright = params[:, 0] > 1e-5
    assert np.median(image[middle[bright, 1], middle[bright, 0]]) > 10 * np.median(image)
    # Flux is apparent: below that of the table, by the primary beam (1 in the middle, 0.95 at the corners).
    flux = np.sort(params[:, 0])[-20:] / np.sort(table["flux"])[-20:].clip(None, 2e-3)
    assert (flux <= 1.000001).all() and flux.min() > 0.9
    kept = [np.argmin(np.abs(np.asarray(table["b_maj"]) - b_maj)) for b_maj in params[bright & (params[:, 1] > 2), 1]]
    pa = params[bright & (params[:, 1] > 2), 3]
    assert len(pa) > 5
    apart = np.abs((pa + np.asarray(table["pa"])[kept] + 90) % 180 - 90)
    assert np.median(apart) < 1e-3  # the negative of the table's; a few have a namesake in b_maj
    for parameter, column in zip(sdc1.SDC1_PARAMETERS, params.T, strict=True):
        low, high = (-90, 90) if parameter.angle else parameter.range
        assert low * (1 - 1e-4 * np.sign(low)) - 4e-8 - 0.05 * (parameter.name == "flux") * low <= column.min()
        assert column.max() <= high * (1 + 1e-6)
    assert sdc1.SDC1_PARAMETERS == YOLO_SDC1


def test_training_area_is_inside_of_its_sky_limits(field):
    image = FitsWindows(field.image)
    (y_low, y_high), (x_low, x_high) = sdc1.training_window(image)
    from astropy.wcs import WCS

    ra, dec = WCS(image.header).celestial.wcs_pix2world(
        [x_low - 0.5, x_high - 0.5, x_low - 0.5], [y_low - 0.5, y_low - 0.5, y_high - 0.5], 0
    )
    ra = (ra + 180) % 360 - 180
    assert ra.min() > -0.6723 and ra.max() < 0 and dec.min() > -29.94 and dec.max() < -29.4061
    np.testing.assert_allclose(ra.max() * np.cos(np.deg2rad(30)), -10 * 0.000167847, atol=2e-4)  # 10 pixels in
    assert y_high == x_high == 1100 and abs(y_low - (550 + 0.06 / 0.000167847 + 10)) < 2


def test_patches_of_sdc1(field):
    batches = sdc1.sdc1_patches(field, 128, area="all", patches=40, batch_size=16, empty=0.25)
    assert len(batches) == 3 and batches[2][0].shape == (8, 128, 128, 1)
    empty = 0
    for i in range(3):
        images, targets = batches[i]
        astrokeras.datasets.check_targets(
            targets, image_shape=(128, 128, 1), classes=1, params=list(sdc1.SDC1_PARAMETERS)
        )
        counts = (targets["labels"] >= 0).sum(axis=1)
        empty += (counts == 0).sum()
        assert images.dtype == np.float32 and np.isfinite(images).all()
        noise = images[counts == 0]
        for one in noise:  # noise of the field's own strength, without sources
            assert 0.7e-6 > one.std() > 2e-7 and np.abs(one).max() < 6 * one.std()
        # Each box holds its source after flips and turns: the brightest ones shine in the middle.
        b, n = np.nonzero((targets["labels"] >= 0) & (targets["params"][..., 0] > 1e-5))
        middle = ((targets["boxes"][b, n, :2] + targets["boxes"][b, n, 2:]) / 2).astype(int)
        assert np.median(images[b, middle[:, 1], middle[:, 0], 0]) > 5 * np.median(images)
    assert 4 <= empty <= 16


def test_batches_depend_on_seed_and_epoch_not_on_order(field):
    arguments = {"size": 64, "patches": 12, "batch_size": 4, "empty": 0.3}  # of the training area
    first, again = (sdc1.sdc1_patches(field, **arguments) for _ in range(2))
    backwards = [again[i] for i in (2, 1, 0)][::-1]
    for i in range(3):
        assert (first[i][0] == backwards[i][0]).all()
        assert all((first[i][1][key] == backwards[i][1][key]).all() for key in first[i][1])
    before = first[0][0].copy()
    first.on_epoch_begin()
    assert (first[0][0] != before).any()
    other = sdc1.sdc1_patches(field, **arguments, seed=1)
    assert (other[0][0] != before).any()
    assert (other.max_objects, other[0][1]["labels"].shape[1]) == (first.max_objects,) * 2


def test_angle_turns_with_the_patch():
    # One long source at -30 degrees from x towards y, alone in a field.
    y, x = np.indices((96, 96)) + 0.5 - 48
    along, across = x * np.cos(np.pi / 6) - y * np.sin(np.pi / 6), x * np.sin(np.pi / 6) + y * np.cos(np.pi / 6)
    image = np.exp(-0.5 * ((along / 8) ** 2 + (across / 2) ** 2)).astype("float32")
    params = [[1e-5, 6.0, 2.0, -30.0]]
    batches = FieldPatches(
        image, [[30, 36, 66, 60]], params, sdc1.SDC1_PARAMETERS, size=(64, 64), patches=48, batch_size=48, centred=1.0
    )
    images, targets = batches[0]
    assert (targets["labels"][:, 0] == 0).all()
    seen = set()
    for one, box, values in zip(images[..., 0], targets["boxes"][:, 0], targets["params"][:, 0], strict=True):
        j, i = np.indices(one.shape) + 0.5
        mean = (one * i).sum() / one.sum(), (one * j).sum() / one.sum()
        u, v = i - mean[0], j - mean[1]
        moments = [(one * a * b).sum() for a, b in ((u, u), (v, v), (u, v))]
        angle = np.rad2deg(np.arctan2(2 * moments[2], moments[0] - moments[1]) / 2)
        assert abs((angle - values[3] + 90) % 180 - 90) < 3
        np.testing.assert_allclose(np.add(box[:2], box[2:]) / 2, mean, atol=1.5)
        np.testing.assert_allclose(values[:3], params[0][:3], rtol=1e-6)
        seen.add(round(float(values[3])))
    assert seen == {30, -30, 60, -60}


def test_selection_of_sdc2_by_hand():
    # A cylinder: hypot(24, 7) / 2.8 = 8.93 pixels, times 10 channels, 2505 voxels of 0.013: 32.6.
    kept = sdc2.sdc2_selection([32, 33, 17, 101], [24, 24, 0.1, 60], [10, 10, 1, 100])
    assert kept.tolist() == [False, True, False, True]


def test_boxes_of_sdc2_by_hand():
    box = sdc2.sdc2_boxes(*np.array([[30.0], [20], [100], [24], [45], [8]]))
    side = 25 / 2.8 * np.sqrt(2) / 2 + 2
    np.testing.assert_allclose(box, [[30 - side, 20 - side, 91, 30 + side, 20 + side, 109]], rtol=1e-6)


def test_objects_of_a_cube(cube):
    boxes, params = sdc2.sdc2_objects(cube)
    table = sdc2.sdc2_catalogue(cube.truth)
    assert 3 <= len(boxes) < 0.5 * len(table) and params.shape[1] == 5
    header = fits.getheader(cube.image)
    for box, values in zip(boxes, params, strict=True):
        row = table[np.argmin(np.abs(table["line_flux_integral"] - values[0]))]
        z = (row["central_freq"] - header["CRVAL3"]) / 3e4 + 0.5  # box coordinate: the first channel's middle is 0.5
        np.testing.assert_allclose((box[2] + box[5]) / 2, z, atol=1e-3)
        depth = row["w20"] / 299792.458 * row["central_freq"] ** 2 / 1.420405752e9 / 3e4
        np.testing.assert_allclose(box[5] - box[2], depth + 10, atol=1e-3)
    for ours, network in zip(sdc2.SDC2_PARAMETERS, YOLO_SDC2, strict=True):
        assert (ours.name, ours.unit, ours.range, ours.angle) == (
            network.name,
            network.unit,
            network.range,
            network.angle,
        )


def test_patches_of_sdc2(cube):
    batches = sdc2.sdc2_patches(cube, (128, 32, 32), patches=12, batch_size=6, centred=1.0)
    found = 0
    for i in range(2):
        images, targets = batches[i]
        astrokeras.datasets.check_targets(
            targets, image_shape=(128, 32, 32, 1), classes=1, params=list(sdc2.SDC2_PARAMETERS)
        )
        found += (targets["labels"] >= 0).any(axis=1).sum()
        np.testing.assert_allclose(images.std(), 1, atol=0.15)  # each channel in units of its noise
    assert found >= 8


def test_channels_are_divided_by_their_noise_and_bright_continuum_is_masked(tmp_path):
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((20, 40, 40)).astype("float32") * np.linspace(1, 3, 20)[:, None, None]
    fits.PrimaryHDU(noise).writeto(tmp_path / "cube.fits")
    np.testing.assert_allclose(
        sdc2.measured_noise(FitsWindows(tmp_path / "cube.fits")), np.linspace(1, 3, 20), rtol=0.1
    )
    continuum = np.zeros((2, 40, 40), "float32")
    continuum[1, 7, 9] = 4e-3
    fits.PrimaryHDU(continuum).writeto(tmp_path / "continuum.fits")
    assert np.argwhere(sdc2._bright(tmp_path / "continuum.fits")).tolist() == [[7, 9]]
    one = FieldPatches(
        noise, np.zeros((0, 6)), np.zeros((0, 5)), sdc2.SDC2_PARAMETERS, size=(20, 40, 40), patches=1, augment=False,
        scale=np.linspace(1, 3, 20), mask=sdc2._bright(tmp_path / "continuum.fits"),
    )[0][0][0, ..., 0]  # fmt: skip
    assert (one[:, 7, 9] == 0).all() and (one != 0).sum() == 20 * (1600 - 1)
    np.testing.assert_allclose(one[19, 3], noise[19, 3] / 3, rtol=1e-5)


def test_direction_of_rotation_turns_with_the_cube():
    # A source whose receding side (lower channels) lies at 110 degrees east of north.
    z, y, x = np.indices((48, 40, 40)) + 0.5 - np.array([24, 20, 20])[:, None, None, None]
    turn = np.deg2rad(110)
    shift = -0.6 * z  # pixels towards the receding side: it has the low channels
    image = np.exp(-0.5 * ((x + shift * np.sin(turn)) ** 2 + (y - shift * np.cos(turn)) ** 2 + (z / 5) ** 2) / 4)
    params = [[50.0, 20.0, 300.0, 110.0, 60.0]]
    batches = FieldPatches(
        image.astype("float32"), [[6, 6, 4, 34, 34, 44]], params, sdc2.SDC2_PARAMETERS, size=(48, 40, 40),
        patches=60, batch_size=60, turned_by_z=True,
    )  # fmt: skip
    images, targets = batches[0]
    seen = set()
    for one, box, values in zip(images[..., 0], targets["boxes"][:, 0], targets["params"][:, 0], strict=True):
        k, j, i = np.indices(one.shape) + 0.5 - np.array([24, 20, 20])[:, None, None, None]
        velocity = -k
        east, north = -(one * velocity * i).sum(), (one * velocity * j).sum()
        angle = np.rad2deg(np.arctan2(east, north))
        assert abs((angle - values[3] + 180) % 360 - 180) < 1
        np.testing.assert_allclose(box, [6, 6, 4, 34, 34, 44], atol=1e-5)
        seen.add(round(float(values[3])) % 360)
    assert len(seen) == 8


def test_objects_are_cut_off_by_no_limit():
    rng = np.random.default_rng(0)
    middle = rng.uniform(10, 190, (400, 2))
    boxes = np.concatenate([middle - 3, middle + 3], axis=1)
    params = np.tile([1e-5, 3.0, 2.0, 0.0], (400, 1))
    batches = FieldPatches(
        np.zeros((200, 200)), boxes, params, sdc1.SDC1_PARAMETERS, size=(64, 64), patches=300, batch_size=300
    )
    _, targets = batches[0]
    counts = (targets["labels"] >= 0).sum(axis=1)
    assert counts.max() <= batches.max_objects <= 3 * counts.max()
    few = FieldPatches(
        np.zeros((200, 200)), boxes, params, sdc1.SDC1_PARAMETERS, size=(64, 64), patches=9, batch_size=9, max_objects=5
    )
    assert few[0][1]["labels"].shape == (9, 5)


def test_sources_that_reach_over_the_edge_are_left_out_and_blanks_are_zero():
    image = np.ones((32, 32), "float32")
    image[3, 4] = np.nan
    boxes, params = [[-2, 5, 6, 12], [10, 10, 20, 20]], np.tile([1e-5, 3.0, 2.0, 0.0], (2, 1))
    images, targets = FieldPatches(
        image, boxes, params, sdc1.SDC1_PARAMETERS, size=(32, 32), patches=1, augment=False, max_objects=4
    )[0]
    assert real(targets, "boxes").tolist() == [[10, 10, 20, 20]]
    assert images[0, 3, 4, 0] == 0 and images.sum() == 32 * 32 - 1


def test_bad_patches(field, tmp_path):
    with pytest.raises(ValueError, match='Expected area to be "training" or "all"; received .half'):
        sdc1.sdc1_patches(field, area="half")
    with pytest.raises(ValueError, match=r"Expected patches within the area \[.*; received size=\(512, 512\)"):
        sdc1.sdc1_patches(field, 512)
    none = simulated_continuum_field(tmp_path / "none.fits", size=64, density=0)
    with pytest.raises(
        ValueError, match="Expected sources to train on in the all area of .*none.fits; none is selected"
    ):
        sdc1.sdc1_patches(none, 32, area="all")
    none = simulated_hi_cube(tmp_path / "none.fits", size=16, channels=16, density=0)
    with pytest.raises(ValueError, match="Expected sources to train on in .*none.fits; none is selected"):
        sdc2.sdc2_patches(none)
    arguments = {"size": (8, 8), "patches": 2}
    for wrong, sentence in (
        ({"empty": 0.5}, "blank= where empty > 0"),
        ({"centred": 2}, "centred and empty in 0..1"),
        ({"size": (8, 8, 8)}, "Expected size and area with the axes of the image"),
    ):
        with pytest.raises(ValueError, match=sentence):
            FieldPatches(
                np.zeros((16, 16)), np.zeros((0, 4)), np.zeros((0, 4)), sdc1.SDC1_PARAMETERS, **(arguments | wrong)
            )


def test_patches_of_other_images(field):
    reader = types.SimpleNamespace(shape=(64, 48), read=lambda window: np.full([b - a for a, b in window], 2.0))
    one = FieldPatches(reader, np.zeros((0, 4)), np.zeros((0, 4)), sdc1.SDC1_PARAMETERS, size=(32, 32), patches=1)
    images, targets = one[0]
    assert (images == 2).all() and targets["labels"].shape == (1, 1)


def test_a_detector_trains_on_the_patches(field):
    batches = sdc1.sdc1_patches(field, 64, area="all", patches=4, batch_size=2, workers=2)
    network = (
        astrokeras.Network((64, 64, 1)).stretch(scale=1e-6, function="tanh").conv(4, 16, strides=16, padding="valid")
    )
    model = network.yolo([(6, 6)], 0, sdc1.SDC1_PARAMETERS).build()
    model.compile(optimizer="sgd")
    history = model.fit(batches, epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"][0])
