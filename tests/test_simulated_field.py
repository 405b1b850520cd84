import importlib
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from astrokeras.datasets.beam_noise import beam_kernel, noise_rows
from astrokeras.datasets.fits_blocks import FitsWindows, write_fits
from astrokeras.datasets.gaussian_stamps import draw_gaussians, ellipse_variances, exponential_as_gaussians
from astrokeras.datasets.sdc1 import primary_beam_at, sdc1_catalogue
from astrokeras.datasets.simulated_continuum_field import simulated_continuum_field

module = importlib.import_module("astrokeras.datasets.simulated_continuum_field")
PIXEL = 3600 * 0.000167847
BEAM_AREA = np.pi / (4 * np.log(2)) * (1.5 / PIXEL) ** 2  # pixels


def one_source(**values):
    """Columns of one source as the simulator draws them."""
    source = {"x": 60.3, "y": 59.8, "apparent": 1.0, "core_frac": 0.0, "b_maj": 6.0, "b_min": 2.0, "pa": 30.0}
    return {name: np.array([value]) for name, value in (source | {"size": 2} | values).items()}


def drawn(size=120, **values):
    image = np.zeros((size, size), "float32")
    module._draw(image, 0, one_source(**values))
    return image.astype("float64")


def moments(image):
    y, x = np.indices(image.shape) + 0.5
    total = image.sum()
    x0, y0 = (image * x).sum() / total, (image * y).sum() / total
    xx, yy, xy = ((image * a * b).sum() / total for a, b in ((x - x0, x - x0), (y - y0, y - y0), (x - x0, y - y0)))
    return x0, y0, xx, yy, xy


def test_field_has_the_published_figures(tmp_path):
    field = simulated_continuum_field(tmp_path / "field.fits", size=1024)
    assert len(field.figures) == 5
    for name, (ours, published) in field.figures.items():
        assert abs(ours / published - 1) < 0.2, name
    lines = str(field).splitlines()
    assert lines[0].startswith("SIMULATION field.fits") and len(lines) == 6 and "published" in lines[0]
    # Measured again, from the files.
    table = sdc1_catalogue(field.truth)
    x, y = WCS(fits.getheader(field.image)).celestial.wcs_world2pix(table["ra_core"], table["dec_core"], 0)
    inside = (table["ra_core"] > -0.6723) & (table["ra_core"] < 0) & (table["dec_core"] > -29.94)
    area = 512 * 0.000167847 * (512 * 0.000167847 - 0.06)
    np.testing.assert_allclose(inside.sum() / area, 611e3, rtol=0.2)
    assert -0.5 <= min(x.min(), y.min()) and max(x.max(), y.max()) <= 1023.5
    np.testing.assert_allclose((np.asarray(table["class"]) == 3).mean(), 0.97, atol=0.01)
    faint = np.sort(table["flux"][(table["flux"] > 4e-7) & (table["flux"] < 2.5e-6)])
    counts, edges = np.histogram(np.log(faint), 6)
    slope = np.polyfit((edges[1:] + edges[:-1]) / 2, np.log(counts), 1)[0] - 1  # per flux, not per logarithm of it
    np.testing.assert_allclose(slope, -1.7, rtol=0.1)


def test_files_say_what_they_are(tmp_path):
    field = simulated_continuum_field(tmp_path / "field.fits", size=100, seed=3)
    with fits.open(field.image) as hdus:
        hdus.verify("exception")
        header, data = hdus[0].header, hdus[0].data
    assert data.shape == (1, 1, 100, 100) and header["BUNIT"] == "Jy/beam" and data.dtype.kind == "f"
    assert header["OBJECT"] == "SIMULATION" and header["SIMULATN"] and "SIMULATION" in str(header["HISTORY"])
    np.testing.assert_allclose([header["BMAJ"] * 3600, header["CDELT2"], header["CRVAL2"]], [1.5, 0.000167847, -30])
    assert field.truth.read_text().startswith("# SIMULATION by astrokeras, seed 3: id ra_core dec_core")
    rows = np.loadtxt(field.truth)  # the official format: 12 columns
    assert rows.shape[1] == 12 and (rows[:, 0] == np.arange(len(rows))).all() and (abs(rows[:, 1]) < 1).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "field.fits",
        "field_primary_beam.fits",
        "field_truth.txt",
    ]


def test_flux_of_the_map_is_that_of_the_table(tmp_path):
    field = simulated_continuum_field(tmp_path / "field.fits", size=1400, noise=0, density=0.05)
    table = sdc1_catalogue(field.truth)
    assert len(table) > 200 and "noise (Jy/beam)" not in field.figures
    response = primary_beam_at(field.primary_beam, table["ra_core"], table["dec_core"])
    x, y = WCS(fits.getheader(field.image)).celestial.wcs_world2pix(table["ra_core"], table["dec_core"], 0)
    # The beam of a dish: a Gaussian of 1.02 wavelengths over 15 m.
    width = np.degrees(1.02 * 299792458 / 560e6 / 15) / 0.000167847
    expected = np.exp(-4 * np.log(2) * ((x - 700) ** 2 + (y - 700) ** 2) / width**2)
    np.testing.assert_allclose(response, expected, rtol=1e-5)
    # One source at a time: a window around the bright ones that have no bright neighbour.
    image = FitsWindows(field.image)
    flux = np.asarray(table["flux"] * response)
    bright = np.flatnonzero((flux > 3e-6) & (np.minimum(x, y) > 12) & (np.maximum(x, y) < 1387) & (table["b_maj"] < 2))
    checked = 0
    for i in bright:
        apart = np.hypot(x - x[i], y - y[i])
        if flux[(apart > 0) & (apart < 25)].sum() > 0.03 * flux[i]:
            continue
        column, row = int(x[i] + 0.5), int(y[i] + 0.5)
        window = image.read([(row - 12, row + 13), (column - 12, column + 13)]).astype("float64")
        assert abs(window.sum() / BEAM_AREA / flux[i] - 1) < 0.05
        x0, y0, *_ = moments(window)
        assert np.hypot(x0 - 0.5 + column - 12 - x[i], y0 - 0.5 + row - 12 - y[i]) < 0.2
        checked += 1
    assert checked >= 5


def test_one_gaussian_by_its_moments():
    image = drawn()
    x0, y0, xx, yy, xy = moments(image)
    np.testing.assert_allclose([x0, y0], [60.3, 59.8], atol=1e-3)
    np.testing.assert_allclose(image.sum() / BEAM_AREA, 1, rtol=1e-4)
    to_arcsec = 8 * np.log(2) * PIXEL**2
    middle, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    np.testing.assert_allclose([to_arcsec * (middle + half), to_arcsec * (middle - half)], [38.25, 6.25], rtol=2e-3)
    angle = np.rad2deg(np.arctan2(2 * xy, xx - yy) / 2)
    np.testing.assert_allclose(angle, -30, atol=0.05)  # pa runs clockwise where y points up


@pytest.mark.parametrize("axes", [(3.0, 3.0), (6.0, 2.5), (0.5, 0.3)])
def test_disc_is_a_convolved_exponential(axes):
    image = np.zeros((64, 64), "float32")
    source = one_source(x=32.3, y=31.8, b_maj=axes[0], b_min=axes[1], pa=0.0) | {"size": np.array([3])}
    module._draw(image, 0, source)
    # The same on a fine grid: b is the diameter that holds half of the light, over sqrt(2); 1.678 scale lengths.
    fine = 8
    y, x = ((np.indices((64 * fine, 64 * fine)) + 0.5) / fine - np.array([31.8, 32.3])[:, None, None]) * PIXEL
    scale = np.array(axes) / np.sqrt(2) / 1.67835
    disc = np.exp(-np.hypot(x / scale[0], y / scale[1]))
    frequency = np.fft.fftfreq(64 * fine) * fine / PIXEL
    beam = np.exp(-2 * (np.pi * 1.5 / np.sqrt(8 * np.log(2))) ** 2 * (frequency[:, None] ** 2 + frequency**2))
    seen = np.fft.ifft2(np.fft.fft2(disc / disc.sum()) * beam).real * fine**2 * BEAM_AREA
    here = (seen[fine // 2 :: fine, fine // 2 :: fine] + seen[fine // 2 - 1 :: fine, fine // 2 - 1 :: fine]) / 2
    assert np.abs(image - here).max() < 0.02 * here.max()
    np.testing.assert_allclose(image.sum(), here.sum(), rtol=0.01)


def test_core_of_a_nucleus_is_a_point():
    point = drawn(core_frac=1.0)
    *_, xx, yy, xy = moments(point)
    np.testing.assert_allclose([xx, yy], (1.5 / PIXEL) ** 2 / (8 * np.log(2)), rtol=1e-3)
    mixed = drawn(core_frac=0.25)
    np.testing.assert_allclose(mixed, 0.25 * point + 0.75 * drawn(), atol=1e-5)


def test_gaussians_of_a_disc():
    shares, variances = exponential_as_gaussians()
    r = np.linspace(0.2, 5, 100)
    disc = (shares / (2 * np.pi * variances) * np.exp(-(r[:, None] ** 2) / (2 * variances))).sum(axis=1)
    np.testing.assert_allclose(disc, np.exp(-r) / (2 * np.pi), atol=0.01 / (2 * np.pi))
    np.testing.assert_allclose((shares * variances).sum(), 3, rtol=0.01)  # <x^2> of exp(-r)


def test_stamps_are_the_same_in_a_part():
    rng = np.random.default_rng(0)
    middle = rng.uniform(-10, 210, (300, 2))
    variances = ellipse_variances(rng.uniform(1, 9, 300), rng.uniform(1, 3, 300), rng.uniform(0, 3, 300))
    peak = 10 ** rng.uniform(-3, 2, 300)
    whole = np.zeros((200, 200), "float32")
    draw_gaussians(whole, middle, peak, variances, 1e-2)
    part = np.zeros((37, 200), "float32")
    draw_gaussians(part, middle - [0, 80], peak, variances, 1e-2)
    assert (part == whole[80:117]).all()
    # The formula itself, for one of them.
    one = np.zeros((200, 200), "float32")
    i = int(np.argmax((peak > 1) & (np.abs(middle - 100) < 70).all(axis=1)))
    draw_gaussians(one, middle[i : i + 1], peak[i : i + 1], tuple(v[i : i + 1] for v in variances), 1e-3)
    matrix = np.linalg.inv([[variances[0][i], variances[2][i]], [variances[2][i], variances[1][i]]])
    offset = np.indices((200, 200))[::-1].reshape(2, -1).T + 0.5 - middle[i]
    expected = peak[i] * np.exp(-0.5 * np.einsum("ki,ij,kj->k", offset, matrix, offset)).reshape(200, 200)
    assert np.abs(one - expected).max() < 1.1e-3


def test_noise_is_that_of_the_beam_and_endless():
    sigma = 1.5 / PIXEL / np.sqrt(8 * np.log(2))
    noise = noise_rows(0, 600, 500, beam_kernel(sigma), (0, 0)).astype("float64")
    np.testing.assert_allclose(noise.std(), 1, rtol=0.02)
    for axis in (0, 1):
        for step in (1, 2, 3):
            related = (noise * np.roll(noise, step, axis)).mean() / noise.var()
            np.testing.assert_allclose(related, np.exp(-(step**2) / (4 * sigma**2)), atol=0.03)
    assert (noise_rows(123, 130, 500, beam_kernel(sigma), (0, 0)) == noise[123:130].astype("float32")).all()


def test_seed_decides_and_strips_do_not(tmp_path):
    arguments = {"size": 600, "density": 0.3}
    first, again = (simulated_continuum_field(tmp_path / f"{rows}.fits", rows=rows, **arguments) for rows in (600, 37))
    other = simulated_continuum_field(tmp_path / "other.fits", seed=1, **arguments)
    assert first.image.read_bytes() == again.image.read_bytes()
    assert first.truth.read_bytes() == again.truth.read_bytes()
    images = [FitsWindows(field.image).read([(0, 600), (0, 600)]) for field in (first, other)]
    assert abs(np.corrcoef(*(image.ravel() for image in images))[0, 1]) < 0.1


def test_memory_does_not_grow_with_the_field(tmp_path):
    peaks = []
    for size in (512, 2048):
        tracemalloc.start()
        simulated_continuum_field(tmp_path / "field.fits", size=size, density=0.02, rows=64)
        peaks.append(tracemalloc.get_traced_memory()[1] / 1e6)
        tracemalloc.stop()
    assert max(peaks) < 60  # MB, most of it stamps of up to a million pixels; the larger map alone takes 17


@pytest.mark.slow
def test_resident_memory_of_a_large_field(tmp_path):
    code = (
        "from astrokeras.datasets.simulated_continuum_field import simulated_continuum_field\n"
        "def peak():\n"
        "    lines = open('/proc/self/status').readlines()\n"
        "    return next(int(line.split()[1]) for line in lines if 'VmHWM' in line)\n"
        f"before = peak(); simulated_continuum_field({str(tmp_path / 'field.fits')!r}, size=8192)\n"
        "print(before, peak())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert after < 1e6 and after - before < 200e3  # kB; the map has 268 MB


def test_nothing_half_written_stays(tmp_path):
    header = fits.Header({"SIMPLE": True, "BITPIX": -32, "NAXIS": 2, "NAXIS1": 4, "NAXIS2": 3})
    path = tmp_path / "image.fits"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="Expected 12 pixels for .*image.fits; received 8"):
        write_fits(path, header, [np.zeros((2, 4))])
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1
    write_fits(path, header, [np.arange(8).reshape(2, 4), np.full((1, 4), 9.5)])
    np.testing.assert_array_equal(fits.getdata(path), [[0, 1, 2, 3], [4, 5, 6, 7], [9.5] * 4])
    assert path.stat().st_size % 2880 == 0
    np.testing.assert_array_equal(FitsWindows(path).read([(2, 4), (-1, 2)]), [[np.nan, 9.5, 9.5], [np.nan] * 3])


def test_other_fits_are_refused(tmp_path):
    fits.PrimaryHDU(np.zeros((4, 4), "int16")).writeto(tmp_path / "whole.fits")
    with pytest.raises(ValueError, match="Expected .*whole.fits to hold floats .* BITPIX=16"):
        FitsWindows(tmp_path / "whole.fits")
    fits.PrimaryHDU(np.zeros((64, 64), "float32")).writeto(tmp_path / "cut.fits")
    (tmp_path / "cut.fits").write_bytes((tmp_path / "cut.fits").read_bytes()[:9000])
    with pytest.raises(ValueError, match="Expected 19264 bytes in .*; received 9000"):
        FitsWindows(tmp_path / "cut.fits")
    (tmp_path / "text.fits").write_text("nothing of the kind" * 300)
    with pytest.raises(ValueError, match="Expected a FITS image in .*text.fits; it has no header"):
        FitsWindows(tmp_path / "text.fits")
    with pytest.raises(FileNotFoundError, match="Expected a FITS image"):
        FitsWindows(tmp_path / "none.fits")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"size": 8}, "Expected size >= 64"),
        ({"frequency": 1400}, "Expected frequency=560, .* received 1400"),
        ({"noise": -1}, "noise >= 0"),
        ({"rows": 0}, "Expected rows >= 1"),
    ],
)
def test_bad_arguments(tmp_path, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        simulated_continuum_field(tmp_path / "field.fits", **({"size": 64} | arguments))
    assert not list(tmp_path.iterdir())
