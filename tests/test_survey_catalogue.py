"""Catalogues: where a source lies on the sky, angles, frequencies, primary beam, and the files."""

import json
import os
import resource
import sys
import warnings

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs import WCS

from astrokeras import Detections, Parameter, survey

FLUX = Parameter("flux", "Jy", scale="log", range=(1e-7, 1e-3))
SIZES = Parameter("bmaj", "arcsec", range=(0.0, 9.0)), Parameter("bmin", "arcsec", range=(0.0, 9.0))
PA = Parameter("pa", "deg", angle=180)
PARAMETERS = (FLUX, *SIZES, PA)


def sky(projection="SIN", *, ra=0.001, dec=-30.0, turn=0.0, east=-1, kind=("RA--", "DEC-"), **more):
    """Return a header of 0.6 arcsec pixels, turned and with east to the left (-1) or to the right (1)."""
    header, scale = fits.Header(), 1.67847e-4
    cosine, sine = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    header["CTYPE1"], header["CTYPE2"] = (f"{axis}-{projection}" for axis in kind)
    header["CRVAL1"], header["CRVAL2"], header["CRPIX1"], header["CRPIX2"] = ra, dec, 40.0, 25.0
    header["CD1_1"], header["CD1_2"] = east * scale * cosine, -east * scale * sine
    header["CD2_1"], header["CD2_2"] = scale * sine, scale * cosine
    header.update(more)
    return header


HEADERS = {
    "SDC1": sky(EQUINOX=2000.0),
    "turned": sky("TAN", ra=359.99, dec=60.0, turn=30.0, RADESYS="ICRS"),
    "mirrored": sky("TAN", ra=180.0, dec=5.0, turn=-75.0, east=1, RADESYS="ICRS"),
    "near the pole": sky("ZEA", ra=75.0, dec=89.995, RADESYS="ICRS"),
    "galactic": sky("CAR", ra=120.0, dec=0.0, turn=12.0, kind=("GLON", "GLAT")),
    "B1950": sky("SIN", ra=83.0, dec=22.0, EQUINOX=1950.0, RADESYS="FK4"),
}


def image_of(header, shape=(50, 80)):
    return survey.open_image(fits.ImageHDU(np.zeros(shape, "float32"), header))


def at(pixels, size=6.0, **columns):
    """Return detections whose boxes lie around pixels `(n, 2)`."""
    middle = np.asarray(pixels, "float64") + 0.5
    return Detections(np.concatenate([middle - size / 2, middle + size / 2], axis=1), np.ones(len(middle)), **columns)


@pytest.mark.parametrize("name", HEADERS)
def test_positions_agree_with_astropy_and_come_back(rng, name):
    header = HEADERS[name]
    pixels = np.stack([rng.uniform(-0.5, 79.5, 50), rng.uniform(-0.5, 49.5, 50)], axis=1)
    image = image_of(header)
    table = survey.catalogue(at(pixels), image)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        there = WCS(header).pixel_to_world(*pixels.T)
    there = there if name in ("SDC1", "turned", "mirrored", "near the pole") else there.icrs
    found = SkyCoord(table["ra"], table["dec"], frame=there.frame)
    assert found.separation(there).arcsec.max() < 0.604 * 0.001  # boxes are float32
    assert (table["ra"] >= 0).all() and (table["ra"] < 360 * units.deg).all()
    assert table.meta["frame"] == survey.frame_of(image.wcs) == ("fk5" if name == "SDC1" else "icrs")
    back = survey.sky_to_pixel(image.wcs, table["ra"].value, table["dec"].value)
    assert np.abs(back - pixels).max() < 0.001
    assert np.abs(np.stack([table["x"].value, table["y"].value], axis=1) - pixels).max() < 1e-5


def test_an_injected_source_comes_back(tmp_path):
    """Written as FITS at a known place by astropy's WCS, measured in pixels read by us, looked up on the sky."""
    truth = SkyCoord([0.003, 359.9985], [-30.001, -29.999], unit="deg", frame="fk5")
    wcs = WCS(sky(EQUINOX=2000.0))
    x, y = wcs.world_to_pixel(truth)
    rows, columns = np.mgrid[:50, :80]
    values = sum(np.exp(-((columns - a) ** 2 + (rows - b) ** 2) / 8) for a, b in zip(x, y, strict=True))
    fits.writeto(tmp_path / "s.fits", values.astype(">f4")[None, None], sky(EQUINOX=2000.0))
    image = survey.open_image(tmp_path / "s.fits")
    boxes = []
    for a, b in zip(x.astype(int), y.astype(int), strict=True):
        tile = image.read([(b - 6, b + 8), (a - 6, a + 8)])
        inside = np.arange(14) + 0.5  # pixel i covers [i, i + 1)
        middle_x, middle_y = (tile.sum(axis=axis) @ inside / tile.sum() for axis in (0, 1))
        boxes.append([a - 6 + middle_x - 4, b - 6 + middle_y - 4, a - 6 + middle_x + 4, b - 6 + middle_y + 4])
    table = survey.catalogue(Detections(boxes, [0.9, 0.8]), image)
    found = SkyCoord(table["ra"], table["dec"], frame="fk5")
    assert found.separation(truth).arcsec.max() < 0.05 * 0.604
    back = survey.sky_to_pixel(image.wcs, truth.ra.deg, truth.dec.deg) + 0.5
    np.testing.assert_allclose(back, (np.array(boxes)[:, :2] + np.array(boxes)[:, 2:]) / 2, atol=0.05)


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("zero", ["x", "y"])
def test_angles_point_where_astropy_points(rng, name, zero):
    """A second point, offset on the sky at a position angle, gives the angle on the image that must come back."""
    header = HEADERS[name]
    wcs = WCS(header)
    pixels = np.stack([rng.uniform(5, 75, 40), rng.uniform(5, 45, 40)], axis=1)
    angle = rng.uniform(0, 360, 40)
    there = wcs.pixel_to_world(*pixels.T).transform_to("fk5" if name == "SDC1" else "icrs")
    beyond = there.directional_offset_by(angle * units.deg, 0.1 * units.arcsec)
    step = np.stack(wcs.world_to_pixel(beyond), axis=1) - pixels
    on_image = np.rad2deg(np.arctan2(step[:, 1], step[:, 0])) - (90 if zero == "y" else 0)
    image = image_of(header)
    full = Parameter("direction", angle=360, zero=zero)
    half = Parameter("pa", angle=180, zero=zero)
    table = survey.catalogue(at(pixels, params=np.stack([on_image, on_image], 1), parameters=(full, half)), image)
    assert table["pa"].unit == units.deg and (table["pa"] > -90 * units.deg).all() and (table["pa"].value <= 90).all()
    assert (table["direction"].value >= 0).all() and (table["direction"].value < 360).all()
    for column, period in (("direction", 360), ("pa", 180)):
        error = (table[column].value - angle + period / 2) % period - period / 2
        assert np.abs(error).max() < 0.02  # the offset point lies on a great circle, ours on a straight line


def test_sky_angles_by_hand():
    """North is up; east is left as in the sky, or right in a mirrored image; a turned image turns them."""
    middle, angles = [[39, 24]] * 3, [90, 180, 45]
    plain = image_of(sky(RADESYS="ICRS")).wcs
    np.testing.assert_allclose(survey.sky_angles(plain, middle, angles), [360, 90, 315], atol=1e-5)
    mirrored = image_of(sky(RADESYS="ICRS", east=1)).wcs
    np.testing.assert_allclose(survey.sky_angles(mirrored, middle, angles), [360, 270, 45], atol=1e-5)
    assert survey.sky_angles(plain, np.zeros((0, 2)), []).shape == (0,)


def cube_header(**more):
    return sky(RADESYS="ICRS", CTYPE3="FREQ", CRVAL3=1.0e9, CD3_3=3e4, CRPIX3=2.0, CUNIT3="Hz", **more)


def test_cube():
    image = image_of(cube_header(), (6, 50, 80))
    boxes = [[10, 10, 1, 20, 14, 4], [0, 0, 0, 1, 1, 1]]
    table = survey.catalogue(Detections(boxes, [0.5, 0.25]), image)
    assert table.colnames[:7] == ["id", "ra", "dec", "x", "y", "z", "frequency"]
    assert table.colnames[7:13] == ["x_min", "y_min", "z_min", "x_max", "y_max", "z_max"]
    assert table["z"].value.tolist() == [2.0, 0.0] and table["frequency"].unit == units.Hz
    np.testing.assert_allclose(table["frequency"].value, [1e9 + 3e4, 1e9 - 3e4], rtol=1e-12)
    ra, dec, _ = WCS(cube_header()).all_pix2world([[14.5, 11.5, 2]], 0)[0]
    assert table["ra"].value[0] == pytest.approx(ra, abs=1e-9) and table["dec"].value[0] == pytest.approx(dec, abs=1e-9)
    back = survey.sky_to_pixel(image.wcs, table["ra"].value, table["dec"].value, table["frequency"].value)
    np.testing.assert_allclose(back, [[14.5, 11.5, 2], [0, 0, 0]], atol=1e-4)
    assert survey.sky_to_pixel(image.wcs, table["ra"].value, table["dec"].value).shape == (2, 2)


def test_velocity_axes_become_frequencies():
    rest, light = 1.420405752e9, 299792458.0
    axis = {"CRVAL3": 1e6, "CD3_3": 5e3, "CRPIX3": 1.0, "CUNIT3": "m/s", "RADESYS": "ICRS"}
    channels = np.array([[40.0, 25.0, 0.0], [40.0, 25.0, 9.0]])
    velocity = 1e6 + 5e3 * channels[:, 2]
    formula = {"VRAD": rest * (1 - velocity / light), "VOPT": rest / (1 + velocity / light)}
    for kind, expected in formula.items():
        header = sky(CTYPE3=kind, RESTFRQ=rest, **axis)
        image = image_of(header, (10, 50, 80))
        np.testing.assert_allclose(survey.pixel_to_sky(image.wcs, channels)["frequency"], expected, rtol=1e-9)
        header["CDELT1"], header["CDELT2"], header["CDELT3"] = header["CD1_1"], header["CD2_2"], header["CD3_3"]
        del header["CD?_?"]
        image = image_of(header, (10, 50, 80))
        np.testing.assert_allclose(survey.pixel_to_sky(image.wcs, channels)["frequency"], expected, rtol=1e-9)
    image = image_of(sky(CTYPE3="VRAD", **axis), (10, 50, 80))  # no rest frequency
    table = survey.catalogue(Detections([[39, 24, 8.5, 42, 27, 10.5]], [0.5]), image)
    assert "frequency" not in table.colnames and table["velocity"].to_value("km/s")[0] == pytest.approx(1045)


def test_columns_units_and_metadata():
    found = at(
        [[10, 20], [30, 5.5]],
        labels=[1, 0],
        class_names=("star", "galaxy"),
        probability=[0.9, 0.8],
        objectness=[0.7, 0.6],
        priors=[4, 2],
        params=[[1e-5, 3, 2, 30], [2e-5, 4, 3, -80]],
        parameters=PARAMETERS,
    )
    image = image_of(sky(EQUINOX=2000.0, BUNIT="Jy/beam", BMAJ=1e-4, BMIN=1e-4, BPA=0.0))
    table = survey.catalogue(found, image, tiles=[3, 8], meta={"model": "yolo_sdc1", "thresholds": [0.1, 0.2]})
    names = "id ra dec x y x_min y_min x_max y_max objectness probability score label class_name prior tile"
    assert table.colnames == names.split() + ["flux", "bmaj", "bmin", "pa"]
    assert [table[name].unit for name in ("ra", "x", "x_min", "flux", "bmaj", "pa")] == [
        units.deg, units.pix, units.pix, units.Jy, units.arcsec, units.deg,
    ]  # fmt: skip
    assert table["class_name"].tolist() == ["galaxy", "star"] and table["tile"].tolist() == [3, 8]
    assert table["x_min"].value.tolist() == [7.5, 27.5] and table["prior"].tolist() == [4, 2]
    assert all(table[name].info.description for name in table.colnames)
    meta = table.meta
    assert meta["model"] == "yolo_sdc1" and meta["fingerprint"] == image.fingerprint and meta["shape"] == [50, 80]
    assert meta["image_unit"] == "Jy / beam" and meta["beam_degrees"] == [1e-4, 1e-4, 0.0]
    assert meta["versions"]["astrokeras"] and json.dumps(meta)
    again = WCS(fits.Header(meta["wcs"]))
    np.testing.assert_allclose(again.all_pix2world([[3, 4]], 0), image.wcs.all_pix2world([[3, 4]], 0), atol=1e-9)


def test_empty_sky():
    full = survey.catalogue(at([[1, 1]], params=[[1e-5, 3, 2, 30]], parameters=PARAMETERS), image_of(HEADERS["SDC1"]))
    empty = survey.catalogue(Detections.empty(2, parameters=PARAMETERS), image_of(HEADERS["SDC1"]))
    assert len(empty) == 0 and empty.colnames == full.colnames
    for name in full.colnames:
        assert getattr(empty[name], "unit", None) == getattr(full[name], "unit", None)
        assert empty[name].dtype == full[name].dtype
    nothing = survey.catalogue(
        Detections.empty(3), image_of(cube_header(), (6, 50, 80)), primary_beam=lambda ra, dec: ra
    )
    assert {"frequency", "z", "z_max"} <= set(nothing.colnames)


def test_no_wcs_gives_pixels_and_one_warning():
    found = at([[10, 20]], params=[[1e-5, 3, 2, 30]], parameters=PARAMETERS)
    with pytest.warns(UserWarning, match="array has no WCS") as caught:
        table = survey.catalogue(found, survey.open_image(np.zeros((50, 80))))
    assert len(caught) == 1 and not {"ra", "dec", "frequency"} & set(table.colnames) and "wcs" not in table.meta
    assert table["x"].value.tolist() == [10.0] and table["pa"].value.tolist() == [30.0]


def plane(x, y):
    """A primary beam that is linear in the pixels, for linear interpolation to be exact."""
    return 0.9 - 0.004 * x - 0.002 * y


def test_primary_beam(tmp_path, monkeypatch):
    pixels = np.array([[10.25, 20.75], [62.5, 3.0], [0.0, 49.0], [79.0, 0.0]])
    found = at(pixels, params=[[1e-5, 3, 2, 30]] * 4, parameters=PARAMETERS)
    image, expected = image_of(HEADERS["SDC1"]), 1e-5 / plane(*pixels.T)
    rows, columns = np.mgrid[:50, :80]
    array = plane(columns, rows).astype("float32")
    coarse = sky(EQUINOX=2000.0, CRPIX1=20.0, CRPIX2=12.5)  # pixels 3 times as wide
    for name in ("CD1_1", "CD1_2", "CD2_1", "CD2_2"):
        coarse[name] *= 3
    rows, columns = np.mgrid[:40, :50]
    x, y = image.wcs.all_world2pix(*WCS(coarse).all_pix2world(columns.ravel(), rows.ravel(), 0), 0)
    fits.writeto(tmp_path / "beam.fits", plane(x, y).reshape(1, 1, 40, 50).astype("f4"), coarse)

    def function(ra, dec):
        return plane(*survey.sky_to_pixel(image.wcs, ra, dec).T)

    beams = {"ndarray": array, str(tmp_path / "beam.fits"): str(tmp_path / "beam.fits"), "function": function}
    for name, beam in beams.items():
        table = survey.catalogue(found, image, primary_beam=beam)
        np.testing.assert_allclose(table["flux"].to_value("Jy"), expected, rtol=1e-5)
        assert table["flux"].dtype == "float32" and table["flux"].unit == table["apparent_flux"].unit == units.Jy
        np.testing.assert_allclose(table["apparent_flux"].value, 1e-5, rtol=1e-6)
        assert table["bmaj"].value.tolist() == [3.0] * 4 and table.meta["primary_beam"] == name
        assert "primary beam" in table["flux"].info.description
    module = sys.modules["astrokeras.survey.catalogue"]  # the function hides the module of its name
    monkeypatch.setattr(module, "BLOCK", 16)  # many parts
    table = survey.catalogue(found, image, primary_beam=survey.open_image(array))
    np.testing.assert_allclose(table["flux"].value, expected, rtol=1e-5)


def test_primary_beam_that_ends_or_does_not_suit():
    pixels = np.array([[10, 20], [62, 3], [90, 3]])
    found = at(pixels, params=[[1e-5, 3, 2, 30]] * 3, parameters=PARAMETERS)
    image, beam = image_of(HEADERS["SDC1"]), np.full((50, 80), 0.5)
    beam[3, 62] = 0
    with pytest.warns(UserWarning, match="not above 0 at 2 of 3 sources") as caught:
        table = survey.catalogue(found, image, primary_beam=beam)
    assert len(caught) == 1 and np.isnan(table["flux"].value).tolist() == [False, True, True]
    assert table["flux"].value[0] == np.float32(2e-5)
    for wrong, match in (
        (np.ones((4, 4)), r"own pixels \(50, 80\), or one with a WCS .*received shape \(4, 4\)"),
        (np.ones((3, 50, 80)), "primary beam .y, x."),
        (lambda ra, dec: 1.0, r"to return \(3,\) values"),
    ):
        with pytest.raises(ValueError, match=match):
            survey.catalogue(found, image, primary_beam=wrong)
    bare = survey.open_image(np.zeros((50, 80)))
    with (
        pytest.warns(UserWarning, match="no WCS"),
        pytest.raises(ValueError, match="image with a WCS for a primary beam"),
    ):
        survey.catalogue(found, bare, primary_beam=lambda ra, dec: ra)


def test_refuses():
    image = image_of(HEADERS["SDC1"])
    with pytest.raises(ValueError, match="boxes of 2 dimensions for array"):
        survey.catalogue(Detections([[0, 0, 0, 1, 1, 1]], [1]), image)
    with pytest.raises(ValueError, match=r"tiles \(1,\), one per detection"):
        survey.catalogue(at([[1, 1]]), image, tiles=[1, 2])
    with pytest.raises(ValueError, match="second 'x'"):
        survey.catalogue(at([[1, 1]], params=[[1.0]], parameters=(Parameter("x"),)), image)


@pytest.fixture
def table():
    found = at(
        [[10, 20], [30, 5.5], [61.25, 41]],
        labels=[1, 0, 0],
        class_names=("l'étoile", "galaxy"),
        params=[[1e-5, 3, 2, 30], [2e-5, 4, 3, -80], [3e-6, 2.5, 1.5, 0]],
        parameters=PARAMETERS,
    )
    return survey.catalogue(found, image_of(HEADERS["SDC1"]), meta={"model": "m'odèle", "hash": np.int64(5)})


@pytest.mark.parametrize("rows", [3, 0])
@pytest.mark.parametrize("name", ["c.ecsv", "c.fits", "c.vot", "c.csv"])
def test_files_give_back_the_table(tmp_path, table, name, rows):
    table = table[:rows]
    if rows:
        table["flux"][1] = np.nan
    path = survey.write_catalogue(table, tmp_path / name)
    again = survey.read_catalogue(path)
    assert isinstance(again, QTable) and again.colnames == table.colnames
    for column in table.colnames:
        values, expected = np.asarray(again[column]).tolist(), np.asarray(table[column]).tolist()
        if (name, column) == ("c.fits", "class_name"):
            expected = [word.replace("é", "e") for word in expected]
        assert values == (expected if column == "class_name" else pytest.approx(expected, rel=1e-7, nan_ok=True))
        assert getattr(again[column], "unit", None) == getattr(table[column], "unit", None)
    if name != "c.csv":
        assert again.meta["model"] == "m'odèle" and again.meta["hash"] == 5 and again.meta["wcs"] == table.meta["wcs"]
        assert again["ra"].info.description == "right ascension"
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert (path.stat().st_mode & 0o777) == 0o666 & ~_umask()


def _umask():
    umask = os.umask(0)
    os.umask(umask)
    return umask


def test_ds9_regions(tmp_path, table):
    boxes = survey.write_catalogue(table, tmp_path / "c.reg").read_text().splitlines()
    assert boxes[2] == "image" and boxes[3] == "box(11.000,21.000,6.000,6.000,0) # text={0}"  # from 1, at pixel centres
    assert len(boxes) == 6
    lines = survey.write_catalogue(table, tmp_path / "e.reg", "ds9-ellipses").read_text().splitlines()
    ra, dec, pa = (table[name].value[1] for name in ("ra", "dec", "pa"))
    assert lines[2] == "fk5"
    assert lines[4] == f'ellipse({ra:.9f},{dec:.9f},2.0000",1.5000",{(pa + 90) % 360:.3f}) # text={{1}}'


def test_sdc1_text(tmp_path, table):
    table["ra"][0] = 359.75 * units.deg
    table["flux"] = table["flux"].to("mJy")
    path = survey.write_catalogue(table, tmp_path / "sub.txt", "sdc1")
    lines = path.read_text().splitlines()
    assert lines[0] == "id ra_core dec_core ra_cent dec_cent flux core_frac b_maj b_min pa size class"
    dec, pa = table["dec"].value[0], table["pa"].value[0]
    place = f"-0.250000000 {dec:.9f}"
    assert (
        lines[1] == f"0 {place} {place} 1e-05 0.037500 3.000000 2.000000 {(90 - pa) % 180:.4f} 2 3" and len(lines) == 4
    )
    again = survey.read_catalogue(path, "sdc1")
    assert again["flux"].unit == units.Jy and again["b_maj"].value.tolist() == [3.0, 4.0, 2.5]
    assert again["class"].tolist() == [3, 3, 3] and again["ra_core"].value[0] == -0.25
    table["core_frac"], table["size"], table["class"] = 0.5, 1, 2
    assert survey.write_catalogue(table, path, "sdc1").read_text().splitlines()[2].endswith("1 2")
    empty = survey.read_catalogue(survey.write_catalogue(table[:0], path, "sdc1"), "sdc1")
    assert len(empty) == 0 and empty["pa"].unit == units.deg


def test_sdc1_angle_by_hand(tmp_path):
    """Clockwise from x in an image with north up and east left: 30 degrees is 60 east of north."""
    header = sky("TAN", ra=10.0, dec=0.0, RADESYS="ICRS")
    params = [[1e-5, 3, 2, -30]]  # from x towards y is the other way round
    table = survey.catalogue(at([[39, 24]], params=params, parameters=PARAMETERS), image_of(header))
    assert table["pa"].value[0] == pytest.approx(60, abs=1e-3)
    again = survey.read_catalogue(survey.write_catalogue(table, tmp_path / "c.txt", "sdc1"), "sdc1")
    assert again["pa"].value[0] == pytest.approx(30, abs=1e-3)


def test_sdc2_text(tmp_path):
    parameters = (
        Parameter("flux", "Jy Hz", scale="log", range=(1.0, 1000.0)),
        Parameter("hi_size", "arcsec", range=(0.0, 60.0)),
        Parameter("w20", "km / s", scale="log", range=(10.0, 1000.0)),
        Parameter("pa", "deg", angle=360, zero="y"),
        Parameter("inclination", "deg", range=(0.0, 90.0)),
    )
    params = [[25.5, 12, 220, 200, 60]]
    found = Detections([[38, 23, 0, 41, 26, 3]], [0.9], params=params, parameters=parameters)
    table = survey.catalogue(found, image_of(cube_header(), (6, 50, 80)))
    lines = survey.write_catalogue(table, tmp_path / "s.txt", "sdc2").read_text().splitlines()
    assert lines[0] == "id ra dec hi_size line_flux_integral central_freq pa i w20"
    numbers = np.array(lines[1].split(), float)
    np.testing.assert_allclose(numbers, [0, 0.001, -30, 12, 25.5, 1e9, 200, 60, 220], atol=1e-4)
    again = survey.read_catalogue(tmp_path / "s.txt", "sdc2")
    assert again["central_freq"].unit == units.Hz and again["line_flux_integral"].unit == units.Unit("Jy Hz")
    table["flux"] = [1.0] * units.Jy
    with pytest.raises(ValueError, match="column flux in Jy Hz; it is in Jy"):
        survey.write_catalogue(table, tmp_path / "s.txt", "sdc2")


def test_files_refuse(tmp_path, table):
    with pytest.raises(ValueError, match=r"format of .*c.txt to be one of ecsv, fits.*received '.txt'"):
        survey.write_catalogue(table, tmp_path / "c.txt")
    with pytest.raises(ValueError, match="astropy table as catalogue; received dict"):
        survey.write_catalogue({}, tmp_path / "c.csv")
    with pytest.raises(FileNotFoundError, match="make it first"):
        survey.write_catalogue(table, tmp_path / "no" / "c.csv")
    pixels_only = table["id", "x", "y"]
    for format, match in (
        ("sdc1", "column ra_core or ra for the format sdc1"),
        ("ds9", "x_min"),
        ("ds9-ellipses", "bmaj"),
    ):
        with pytest.raises(ValueError, match=match):
            survey.write_catalogue(pixels_only, tmp_path / "c.txt", format)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError, match="no such file"):
        survey.read_catalogue(tmp_path / "c.csv")
    with pytest.raises(ValueError, match="received 'ds9'"):
        survey.read_catalogue(tmp_path / "c.reg")
    for name in ("c.fits", "c.ecsv", "c.vot"):
        (tmp_path / name).write_text("not this\n")
        with pytest.raises(ValueError, match="Could not read .* as a catalogue"):
            survey.read_catalogue(tmp_path / name)


@pytest.mark.parametrize("name", ["c.ecsv", "c.fits", "c.vot", "c.csv", "c.reg"])
def test_a_full_disk_leaves_the_old_catalogue(tmp_path, table, name):
    path = survey.write_catalogue(table, tmp_path / name)
    before = path.read_bytes()
    many = table[np.arange(3000) % 3]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))  # writing beyond fails, as on a full disk
    try:
        with pytest.raises(OSError, match="Could not write .* what was there is as it was"):
            survey.write_catalogue(many, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before and [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", HEADERS)
def test_an_angle_of_the_image_is_astropys_on_the_sky(name):
    image = survey.open_image(fits.PrimaryHDU(np.zeros((50, 80), "float32"), HEADERS[name]))
    assert isinstance(image, survey.SurveyImage)
    pixel = np.array([[30.0, 20.0]])
    here = survey.pixel_to_sky(image.wcs, pixel)
    center = SkyCoord(here["ra"], here["dec"], unit="deg")
    for angle in (0.0, 77.0, 200.0):
        there = center.directional_offset_by(angle * units.deg, 1 * units.arcsec)
        apart = survey.sky_to_pixel(image.wcs, there.ra.deg, there.dec.deg)[0] - pixel[0]
        turned = np.rad2deg(np.arctan2(apart[1], apart[0]))
        found = survey.sky_angles(image.wcs, pixel, [turned])[0]
        assert abs((found - angle + 180) % 360 - 180) < 0.05
