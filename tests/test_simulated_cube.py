import importlib

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from astrokeras.datasets.fits_blocks import FitsWindows
from astrokeras.datasets.sdc2 import sdc2_catalogue
from astrokeras.datasets.simulated_hi_cube import simulated_hi_cube

module = importlib.import_module("astrokeras.datasets.simulated_hi_cube")
BEAM_AREA = np.pi / (4 * np.log(2)) * (7 / 2.8) ** 2  # pixels


def whole(path):
    image = FitsWindows(path)
    return image.read([(0, n) for n in image.shape]).astype("float64")


def alone(size=48, channels=160, **values):
    """A cube with one galaxy in its middle, and its columns."""
    galaxy = {"x": size / 2, "y": size / 2, "central_freq": 1e9, "line_flux_integral": 100.0, "hi_size": 20.0}
    galaxy |= {"pa": 0.0, "i": 60.0, "rotation": 200.0} | values
    galaxy["w20"] = float(module._widths(galaxy["rotation"] * np.sin(np.deg2rad(galaxy["i"])))) * module.REST / 1e9
    galaxies = {name: np.array([float(value)]) for name, value in galaxy.items()}
    start = 1e9 - 3e4 * channels / 2
    slabs = module._slabs(galaxies, size, channels, start, 0, 0.0, np.zeros(channels))
    return np.concatenate(list(slabs)).astype("float64"), galaxy


def test_cube_has_the_published_figures(tmp_path):
    cube = simulated_hi_cube(tmp_path / "cube.fits", size=96, channels=400, density=30)
    expected = cube.figures.pop("sources")
    assert 10 < expected[0] / expected[1] < 60  # 30 times the published density, Poisson
    assert len(cube.figures) == 5
    for name, (ours, published) in cube.figures.items():
        assert abs(ours / published - 1) < 0.02, name
    np.testing.assert_allclose(cube.figures["noise (Jy/beam) of the lowest tenth"][1], 26.6e-6, rtol=0.01)
    table = sdc2_catalogue(cube.truth)
    header = fits.getheader(cube.image)
    assert header["OBJECT"] == "SIMULATION" and "SIMULATION" in str(header["HISTORY"])
    assert [header[f"NAXIS{i}"] for i in (1, 2, 3)] == [96, 96, 400] and header["CDELT3"] == 3e4
    x, y, z = WCS(header).wcs_world2pix(table["ra"], table["dec"], table["central_freq"], 0)
    for place, n in ((x, 96), (y, 96), (z, 400)):
        assert -0.5 <= place.min() and place.max() <= n - 0.5
    assert cube.truth.read_text().splitlines()[0] == "id ra dec hi_size line_flux_integral central_freq pa i w20"


def test_whole_band_has_the_published_number_and_nearer_galaxies_are_brighter():
    galaxies, expected = module._galaxies(np.random.default_rng(0), 1286, 6668, 9.5e8, 1.0)
    np.testing.assert_allclose([expected, len(galaxies["x"])], 233245 / 20, rtol=0.03)
    near = galaxies["central_freq"] > 1.05e9
    assert np.median(galaxies["line_flux_integral"][near]) > 1.5 * np.median(galaxies["line_flux_integral"][~near])
    # The same by astropy's cosmology.
    z = module.REST / galaxies["central_freq"] - 1
    from astropy.cosmology import FlatLambdaCDM

    cosmology = FlatLambdaCDM(67, 0.32, Tcmb0=0)
    mass = 49.8 * cosmology.luminosity_distance(z).value ** 2 * galaxies["line_flux_integral"]
    diameter = galaxies["hi_size"] / 206264.8 * cosmology.angular_diameter_distance(z).value * 1e3
    np.testing.assert_allclose(np.log10(diameter), 0.506 * np.log10(mass) - 3.293, atol=1e-3)
    assert mass.min() > 10**8.55 and mass.max() < 10**11.01


def test_flux_is_that_of_the_table(tmp_path):
    cube, galaxy = alone()
    np.testing.assert_allclose(cube.sum() / BEAM_AREA * 3e4, 100, rtol=2e-3)
    made = simulated_hi_cube(tmp_path / "cube.fits", size=96, channels=700, noise=0, density=3)
    table = sdc2_catalogue(made.truth)
    total = whole(made.image).sum() / BEAM_AREA * 3e4
    assert len(table) > 5
    np.testing.assert_allclose(total, table["line_flux_integral"].sum(), rtol=0.15)  # some reach over the edges


def test_profile_has_two_horns_and_its_width():
    cube, galaxy = alone()
    profile = cube.sum(axis=(1, 2))
    middle, peak = profile[78:82].mean(), profile.max()
    assert middle < 0.8 * peak
    horns = np.argmax(profile[:80]), 80 + np.argmax(profile[80:])
    above = np.flatnonzero(profile >= 0.2 * peak)
    width = (above[-1] - above[0] + 1) * 3e4 * module.LIGHT * module.REST / 1e18  # w20 by the challenge's formula
    np.testing.assert_allclose(width, galaxy["w20"], rtol=0.05)
    assert horns[1] - horns[0] > 0.6 * (above[-1] - above[0])
    face_on, _ = alone(i=0.0)
    profile = face_on.sum(axis=(1, 2))
    assert np.argmax(profile) in (79, 80) and (profile > 0.2 * profile.max()).sum() < 6  # 36 km/s of 9 km/s


@pytest.mark.parametrize("pa", [0.0, 70.0, 200.0, 310.0])
def test_receding_side_lies_at_pa(pa):
    cube, _ = alone(pa=pa)
    z = np.arange(len(cube)) + 0.5 - 80
    y, x = np.indices(cube.shape[1:]) + 0.5 - 24
    velocity = -np.einsum("z,zyx->yx", z, cube)  # lower frequency: going away
    east, north = -(velocity * x).sum(), (velocity * y).sum()
    assert abs((np.rad2deg(np.arctan2(east, north)) - pa + 180) % 360 - 180) < 0.5


def test_size_and_tilt():
    cube, galaxy = alone(i=0.0, hi_size=30.0)
    y, x = np.indices(cube.shape[1:]) + 0.5 - 24
    plane = cube.sum(axis=0)
    spread = ((plane * x**2).sum() / plane.sum(), (plane * y**2).sum() / plane.sum())
    beam = (7 / 2.8) ** 2 / (8 * np.log(2))
    scale = 30 / 4 / 2.8  # <x^2> of an exponential disc is 3 scale lengths squared
    np.testing.assert_allclose(spread, beam + 3 * scale**2, rtol=0.08)
    tilted, _ = alone(i=75.0, hi_size=30.0, pa=0.0)
    plane = tilted.sum(axis=0)
    across = (plane * x**2).sum() / plane.sum() - beam
    np.testing.assert_allclose(across / (spread[0] - beam), np.cos(np.deg2rad(75)) ** 2, rtol=0.05)


def test_noise_is_smooth_along_the_beam_not_along_frequency(tmp_path):
    made = simulated_hi_cube(tmp_path / "cube.fits", size=64, channels=64, density=0)
    assert "sources" not in made.figures and len(sdc2_catalogue(made.truth)) == 0
    noise = whole(made.image)
    np.testing.assert_allclose(noise.std(), 26.65e-6, rtol=0.02)
    sigma = 7 / 2.8 / np.sqrt(8 * np.log(2))
    related = [(noise * np.roll(noise, 1, axis)).mean() / noise.var() for axis in range(3)]
    np.testing.assert_allclose(related, [0, *[np.exp(-1 / (4 * sigma**2))] * 2], atol=0.03)


def test_seed_decides_and_slabs_do_not(tmp_path, monkeypatch):
    arguments = {"size": 40, "channels": 80, "density": 60}
    first = simulated_hi_cube(tmp_path / "first.fits", **arguments)
    other = simulated_hi_cube(tmp_path / "other.fits", seed=1, **arguments)
    monkeypatch.setattr(module, "VOXELS", 40 * 40 * 7)
    again = simulated_hi_cube(tmp_path / "again.fits", **arguments)
    assert first.truth.read_bytes() == again.truth.read_bytes() != other.truth.read_bytes()
    assert len(sdc2_catalogue(first.truth)) > 5
    np.testing.assert_allclose(whole(first.image), whole(again.image), rtol=0, atol=1e-11)
    assert abs(np.corrcoef(whole(first.image).ravel(), whole(other.image).ravel())[0, 1]) < 0.1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"size": 8}, "Expected size >= 16"),
        ({"density": -1}, "density >= 0"),
        (
            {"start": 1.149e9, "channels": 64},
            "Expected 64 channels of 30 kHz within 950..1150 MHz; received start=1149 MHz",
        ),
    ],
)
def test_bad_arguments(tmp_path, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        simulated_hi_cube(tmp_path / "cube.fits", **({"size": 16, "channels": 16} | arguments))
