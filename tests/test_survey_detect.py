"""Scans in tiles: the same catalogue whatever the tiling, after any stop, and on any engine."""

import json
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.wcs import WCS

import astrokeras
from astrokeras import survey
from astrokeras.survey.checkpoint import Checkpoint
from astrokeras.survey.scan import Scan, model_hash
from astrokeras.survey.tiles import Tiling
from tests.spots import spot_detector, spots

pytestmark = pytest.mark.filterwarnings("ignore:.*has no WCS")
COLUMNS = ("x_min", "y_min", "x_max", "y_max", "score", "prior")


def rows(table, columns=COLUMNS):
    """Return the rows of a catalogue in an order of their own, without the tile."""
    found = np.stack(
        [np.asarray(table[name].value if hasattr(table[name], "value") else table[name], float) for name in columns]
    )
    return found[:, np.lexsort(found)]


def same(one, other):
    return len(one) == len(other) and all((one[name] == other[name]).all() for name in one.colnames)


def centres(table):
    return np.stack([table[axis].value for axis in "xyz" if axis in table.colnames], axis=1)


@pytest.mark.parametrize("shape", [(200, 333), (64, 64), (40, 200), (8, 8), (129, 128)])
def test_tiles_own_each_pixel_once(shape):
    tiling = Tiling(shape, (64, 64), (16, 24), (8, 8))
    count = np.zeros(shape, int)
    for number in range(len(tiling)):
        count[tiling.owned(number)] += 1
        window = tiling.window(number)
        assert all(low % 8 == 0 for low, _ in window)
        assert all(high <= max(64, -(-size // 8) * 8) for (_, high), size in zip(window, shape, strict=True))
        owned = tiling.owned(number)
        assert all(low <= part.start < part.stop <= high for (low, high), part in zip(window, owned, strict=True))
    assert (count == 1).all()


@pytest.mark.parametrize(
    "shape, tile, overlap", [((200, 232), 64, 16), ((200, 232), (32, 104), (8, 24)), ((64, 96, 80), (32, 32, 48), 16)]
)
def test_tiled_and_untiled_agree(shape, tile, overlap):
    sky, places = spots(shape, 60)
    model = spot_detector((32,) * len(shape))
    tiled = survey.detect(sky, model, tile=tile, overlap=overlap, batch_size=3)
    whole = survey.detect(sky, model, tile=shape, overlap=0)
    assert len(whole) == 60 and whole.meta["tiles"] == 1 and tiled.meta["tiles"] > 1
    np.testing.assert_allclose(rows(tiled), rows(whole), atol=1e-4)
    gaps = np.abs(centres(tiled)[:, None] - places).max(axis=2)
    assert (gaps.min(axis=0) < 1).all()


def test_each_source_comes_once_where_grids_differ():
    sky, places = spots((400, 400), 300, seed=1)
    table = survey.detect(sky, spot_detector(), tile=64, overlap=20)  # 44 pixels on: no multiple of the cell
    gaps = np.abs(centres(table)[:, None] - places).max(axis=2)
    assert len(table) == 300
    assert (gaps.min(axis=0) < 1).all() and (gaps.min(axis=1) < 1).all()


def test_a_neighbour_in_the_same_tile_is_not_a_duplicate():
    sky = np.zeros((64, 112), "float32")
    sky[30, [54, 57]] = 1.0, 0.8  # two sources in two cells, on the border of two tiles
    table = survey.detect(sky, spot_detector(nms_threshold=0.6), tile=64, overlap=16, score_threshold=0.3)
    whole = survey.detect(sky, spot_detector(nms_threshold=0.6), tile=(64, 112), overlap=0, score_threshold=0.3)
    assert len(table) == 2
    np.testing.assert_allclose(rows(table), rows(whole), atol=1e-4)


def test_positions_on_the_sky(tmp_path):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---SIN", "DEC--SIN"], [150.0, -30.0], [60, 40]
    wcs.wcs.cdelt, wcs.wcs.radesys = [-1.7e-4, 1.7e-4], "ICRS"
    pixels = np.array([[20 - 0.5, 44 - 0.5], [100 - 0.5, 28 - 0.5]])  # x and y of middles of cells
    injected = wcs.pixel_to_world(*pixels.T)
    y, x = np.mgrid[:80, :136]
    sky = sum(np.exp(-((x - a) ** 2 + (y - b) ** 2) / 2) / (2 * np.pi) for a, b in pixels)
    path = tmp_path / "sky.fits"
    fits.PrimaryHDU(sky.astype(">f4"), wcs.to_header()).writeto(path)
    table = survey.detect(path, spot_detector(), tile=32, overlap=8)
    found = SkyCoord(table["ra"], table["dec"])
    index, apart, _ = injected.match_to_catalog_sky(found)
    assert len(table) == 2 and sorted(index) == [0, 1]
    assert (apart < 0.05 * 1.7e-4 * units.deg).all()


def test_pixels_without_a_value():
    sky, places = spots((128, 128), 12)
    sky[:64, :64] = np.nan  # four whole tiles of 32
    sky[0, 100] = np.inf
    model = spot_detector((32, 32))
    table = survey.detect(sky, model, tile=32, overlap=0, batch_size=4)
    seen = ~((places < 64).all(axis=1))
    assert 0 < seen.sum() == len(table) < 12
    assert table.meta["missing_fraction"] == (64 * 64 + 1) / 128**2
    assert np.isfinite(centres(table)).all()
    with pytest.raises(ValueError, match=r"1024 of 1024 in tile 0 .* are NaN"):
        survey.detect(sky, model, tile=32, overlap=0, nan_policy="raise")
    blank = survey.detect(np.full((100, 100), np.nan), model)
    assert len(blank) == 0 and blank.meta["missing_fraction"] == 1


@pytest.mark.parametrize("padding", ["reflect", "zero", "median", "noise"])
def test_beyond_the_edges(padding):
    sky, places = spots((75, 110), 20)  # 64 is no divisor, and neither is 8
    sky += np.random.default_rng(0).normal(0, 1e-3, sky.shape).astype("float32")
    table = survey.detect(sky, spot_detector(), tile=64, overlap=16, padding=padding)
    gaps = np.abs(centres(table)[:, None] - places).max(axis=2)
    assert len(table) == 20 and (gaps.min(axis=0) < 1.1).all()
    small = survey.detect(sky[:30, :20], spot_detector(), tile=64, padding=padding)  # smaller than a tile
    assert len(small) == (places < (20, 30)).all(axis=1).sum()


def test_scale_and_mask_of_a_cube():
    sky, _ = spots((48, 48, 48), 10, seed=3)
    scale = np.linspace(1e-6, 3e-6, 48)
    mask = np.zeros((48, 48), bool)
    mask[:, :24] = True
    model = spot_detector((16, 16, 16))
    whole = survey.detect(sky, model, overlap=8)
    scaled = survey.detect(sky * scale[:, None, None], model, overlap=8, scale=scale)
    np.testing.assert_allclose(centres(scaled), centres(whole), atol=1e-4)
    half = survey.detect(sky, model, overlap=8, mask=mask)
    assert len(half) == (centres(whole)[:, 0] > 24).sum()


def test_thresholds_of_priors():
    sky, _ = spots((64, 64), 5)
    model = spot_detector(priors=2, nms_threshold=1.0)
    assert len(survey.detect(sky, model)) == 10
    table = survey.detect(sky, model, score_threshold=[0.99, 0.4])
    assert table["prior"].tolist() == [1] * 5
    assert table.meta["score_threshold"] == [0.99, 0.4]


def test_an_empty_sky_has_the_same_columns():
    sky, _ = spots((64, 64), 5)
    full, empty = survey.detect(sky, spot_detector()), survey.detect(0 * sky, spot_detector())
    assert len(empty) == 0 and empty.colnames == full.colnames
    assert [empty[name].dtype for name in empty.colnames] == [full[name].dtype for name in full.colnames]


def test_metadata_and_files(tmp_path):
    sky, _ = spots((64, 64), 5)
    model = spot_detector()
    path = astrokeras.save_model(model, tmp_path / "spots.keras")
    table = survey.detect(sky, path)
    assert table.meta["model_file"] == str(path) and table.meta["model_hash"] == model_hash(spot_detector())
    assert same(table, survey.detect(sky, model))
    survey.write_catalogue(table, tmp_path / "table.ecsv")
    assert survey.read_catalogue(tmp_path / "table.ecsv").meta["tile"] == [64, 64]
    other = spot_detector()
    other.set_weights([2 * weights for weights in other.get_weights()])
    assert model_hash(other) != model_hash(model)


def test_a_stopped_scan_goes_on(tmp_path, monkeypatch):
    sky, _ = spots((256, 256), 100)
    settings = {"tile": 32, "overlap": 8, "batch_size": 4}
    whole = survey.detect(sky, spot_detector(), **settings)
    predict, calls = Scan.predict, []

    def stops(scan, *tiles):
        calls.append(1)
        if len(calls) == 9:
            raise KeyboardInterrupt
        return predict(scan, *tiles)

    monkeypatch.setattr(Scan, "predict", stops)
    with pytest.raises(KeyboardInterrupt):
        survey.detect(sky, spot_detector(), **settings, checkpoint=tmp_path / "scan")
    resumed = survey.detect(sky, spot_detector(), **settings, checkpoint=tmp_path / "scan")
    assert same(resumed, whole)
    done = len(calls)
    assert done <= 9 + 121 // 4 + 1 - 6  # the first batches were not done again
    assert same(survey.detect(sky, spot_detector(), **settings, checkpoint=tmp_path / "scan"), whole)
    assert len(calls) == done


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    sky, _ = spots((64, 64), 5)
    folder = tmp_path / "scan"
    survey.detect(sky, spot_detector(), checkpoint=folder)
    other = spot_detector()
    other.set_weights([2 * weights for weights in other.get_weights()])
    for change, what in (
        ({"image": sky + 1}, "image"),
        ({"model": other}, "model"),
        ({"tile": 32}, "tile"),
        ({"score_threshold": 0.1}, "score_threshold"),
        ({"nan_policy": "zero"}, "nan_policy"),
    ):
        arguments = {"image": sky, "model": spot_detector(), "checkpoint": folder} | change
        with pytest.raises(ValueError, match=f"is of another {what}"):
            survey.detect(**arguments)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("precious")
    with pytest.raises(ValueError, match="holds other files"):
        survey.detect(sky, spot_detector(), checkpoint=tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    with pytest.raises(NotADirectoryError, match="is a file"):
        survey.detect(sky, spot_detector(), checkpoint=tmp_path / "mine" / "notes.txt")
    part = next(folder.glob("tiles-*.npz"))
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(ValueError, match="cannot be read: remove it"):
        survey.detect(sky, spot_detector(), checkpoint=folder)


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    found = astrokeras.Detections.empty()
    kept = Checkpoint(tmp_path / "scan", {"image": "a"})
    kept.add(0, found, 0)
    kept.write()

    def full(path, **columns):
        with open(path, "wb") as file:
            file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    kept.add(1, found, 0)
    with pytest.raises(OSError, match="No space left"):
        kept.write()
    monkeypatch.undo()
    assert set(Checkpoint(tmp_path / "scan", {"image": "a"}).found) == {0}
    assert sorted(path.name for path in (tmp_path / "scan").iterdir()) == ["scan.json", "tiles-00000000.npz"]


SCAN = """
import json, sys, warnings
warnings.simplefilter("ignore")
from astrokeras import survey
from astrokeras.survey import checkpoint
checkpoint.SECONDS = 0
table = survey.detect(sys.argv[1], sys.argv[2], tile=32, overlap=8, batch_size=4, checkpoint=sys.argv[3])
survey.write_catalogue(table, sys.argv[4])
"""


def killed_scans(tmp_path, kills):
    """Kill a scan so many times, each time after a few more tiles; return how many kills met it at work."""
    sky, _ = spots((512, 512), 300)
    fits.PrimaryHDU(sky).writeto(tmp_path / "sky.fits")
    path = astrokeras.save_model(spot_detector((32, 32)), tmp_path / "spots.keras")
    whole = survey.detect(tmp_path / "sky.fits", path, tile=32, overlap=8, batch_size=4)
    folder = tmp_path / "scan"
    command = [sys.executable, "-c", SCAN, tmp_path / "sky.fits", path, folder, tmp_path / "found.ecsv"]
    hit = 0
    for _ in range(kills):
        before = len(list(folder.glob("tiles-*.npz")))
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(list(folder.glob("tiles-*.npz"))) < before + 8:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        hit += process.wait() == -signal.SIGKILL
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    resumed = survey.read_catalogue(tmp_path / "found.ecsv")
    assert len(whole) == 300 and same(resumed, whole)
    return hit


def test_a_killed_scan_goes_on(tmp_path):
    assert killed_scans(tmp_path, 1) == 1


@pytest.mark.slow
def test_a_scan_killed_ten_times_goes_on(tmp_path):
    assert killed_scans(tmp_path, 10) == 10


def test_dask_gives_the_same_catalogue_though_a_worker_dies(tmp_path):
    distributed = pytest.importorskip("distributed")
    sky, _ = spots((512, 512), 300)
    fits.PrimaryHDU(sky).writeto(tmp_path / "sky.fits")
    settings = {"tile": 32, "overlap": 8, "batch_size": 4}
    local = survey.detect(tmp_path / "sky.fits", spot_detector((32, 32)), **settings)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path)
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        pids = client.run(os.getpid)
        advance = survey.detect.__globals__["_Progress"].advance
        killed = []

        def kill_once(progress, tiles, again=False):
            advance(progress, tiles, again)
            if not again and not killed:
                killed.append(next(iter(pids.values())))
                os.kill(killed[0], signal.SIGKILL)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(survey.detect.__globals__["_Progress"], "advance", kill_once)
            found = survey.detect(tmp_path / "sky.fits", spot_detector((32, 32)), **settings, engine=client)
        assert killed and same(found, local)
        # An array is sent along; a bad tile is told as it is locally.
        assert same(survey.detect(sky, spot_detector((32, 32)), **settings, engine=client)["x", "y"], local["x", "y"])
        sky[5, 5] = np.nan
        with pytest.raises(ValueError, match="1 of 1024 in tile 0"):
            survey.detect(sky, spot_detector((32, 32)), **settings, engine=client, nan_policy="raise")


def test_what_does_not_fit_is_refused(tmp_path):
    sky, model = np.zeros((100, 100), "float32"), spot_detector()
    colour = keras.Input((64, 64, 3))
    head = astrokeras.layers.YoloHead([[6, 6]])(keras.layers.Conv2D(8, 8, strides=8)(colour))
    for change, message in (
        ({"model": astrokeras.applications.lenet5()}, "Expected a YoloDetector or the path of one; received"),
        ({"model": spot_detector((16, 16, 16))}, r"detector of 2 dimensions .* takes 3 dimensions and 1 channel"),
        ({"model": astrokeras.models.YoloDetector(colour, head)}, "takes 2 dimensions and 3 channels"),
        ({"image": np.zeros((20, 20, 20))}, "Expected a detector of 3 dimensions"),
        ({"tile": 60}, r"multiples of the detector's grid \(8, 8\); received \(60, 60\)"),
        ({"tile": 64.0}, "Expected tile as a whole number of pixels or 2 of them"),
        ({"tile": (64, 64, 64)}, "or 2 of them, one per axis"),
        ({"tile": 64, "overlap": 64}, "Expected overlap from 0 to below the tile"),
        ({"overlap": -1}, "Expected overlap from 0 to below the tile"),
        ({"batch_size": 0}, "batch_size >= 1"),
        ({"nan_policy": "mean"}, "nan_policy to be one of zero, median"),
        ({"padding": "wrap"}, "padding to be one of reflect"),
        ({"neighbour_threshold": 2}, r"neighbour_threshold in -1..1; received 2"),
        ({"score_threshold": [0.1, 0.2]}, "score_threshold as one number or one per prior"),
        ({"scale": np.ones(100)}, "one number per channel of a cube"),
        ({"mask": np.zeros((10, 10))}, r"Expected mask \(100, 100\)"),
        ({"engine": "dask"}, 'Expected engine="local" or a dask.distributed.Client'),
    ):
        arguments = {"image": sky, "model": model} | change
        with pytest.raises(ValueError, match=message):
            survey.detect(**arguments, checkpoint=tmp_path / "none")
    assert not (tmp_path / "none").exists()
    with pytest.raises(FileNotFoundError):
        survey.detect(tmp_path / "no.fits", model)


def test_an_image_without_sky_warns():
    with pytest.warns(UserWarning, match="has no WCS"):
        survey.detect(np.zeros((64, 64)), spot_detector())
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    assert "ra" in survey.detect(CCDData(np.zeros((64, 64)), unit="Jy", wcs=wcs), spot_detector()).colnames


def test_settings_are_json(tmp_path):
    survey.detect(np.zeros((64, 64)), spot_detector(), checkpoint=tmp_path / "scan")
    assert json.loads((tmp_path / "scan" / "scan.json").read_text())["overlap"] == [16, 16]
