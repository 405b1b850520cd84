"""Images of a survey: every way in gives the same pixels, by windows; missing pixels."""

import bz2
import gzip
import lzma
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.wcs import WCS

from astrokeras import survey

SHAPE = (30, 40)
WINDOWS = [((0, 30), (0, 40)), ((3, 9), (5, 40)), ((7, 8), (0, 40)), ((-4, 6), (33, 55)), ((28, 31), (-2, 1))]


def sky_header(**more):
    header = fits.Header()
    header["CTYPE1"], header["CTYPE2"], header["CUNIT1"], header["CUNIT2"] = "RA---SIN", "DEC--SIN", "deg", "deg"
    header["CRVAL1"], header["CRVAL2"], header["CRPIX1"], header["CRPIX2"] = 0.01, -30.0, 20.0, 15.0
    header["CDELT1"], header["CDELT2"], header["EQUINOX"] = -1.67847e-4, 1.67847e-4, 2000.0
    header.update(more)
    return header


def test_a_part_is_an_image_of_its_own(tmp_path, rng):
    values = rng.normal(size=SHAPE).astype(">f4")
    fits.PrimaryHDU(values, sky_header(BUNIT="Jy/beam", BMAJ=4e-4, BMIN=3e-4, BPA=10.0)).writeto(tmp_path / "sky.fits")
    image = survey.open_image(tmp_path / "sky.fits")
    part = image.part([(4, 20), (10, 40)])
    assert part.shape == (16, 30) and part.beam == image.beam and part.unit == image.unit
    np.testing.assert_array_equal(
        part.read([(-2, 5), (25, 32)]), np.pad(values[4:9, 35:40], [(2, 0), (0, 2)], constant_values=np.nan)
    )
    here, there = survey.pixel_to_sky(part.wcs, [[3.0, 5.0]]), survey.pixel_to_sky(image.wcs, [[13.0, 9.0]])
    assert here["ra"] == pytest.approx(there["ra"], abs=1e-12) and here["dec"] == pytest.approx(there["dec"], abs=1e-12)
    assert pickle.loads(pickle.dumps(part)).fingerprint == part.fingerprint != image.fingerprint
    for window in ([(0, 31), (0, 40)], [(0, 4)], [(3, 3), (0, 4)], [(-1, 3), (0, 4)]):
        with pytest.raises(ValueError, match="Expected a part of .* within"):
            image.part(window)


@pytest.fixture
def pixels(rng):
    values = rng.integers(-300, 300, SHAPE).astype("float32") / 4
    values[4, 35] = values[29, 0] = np.nan
    return values


def window_of(values, window):
    """Read a window by padding the whole."""
    wide = np.pad(values.astype("float32"), 60, constant_values=np.nan)
    return wide[tuple(slice(start + 60, stop + 60) for start, stop in window)]


def integers(values):
    return np.where(np.isnan(values), -9999, values * 4 + 3000).astype("int16")


def plain(folder, values):
    fits.writeto(folder / "a.fits", values, sky_header())
    return folder / "a.fits"


def scaled(folder, values):
    with fits.open(plain(folder, values)) as hdus:
        header = hdus[0].header.copy()
    header.update({"BITPIX": 16, "BSCALE": 0.25, "BZERO": -750.0, "BLANK": -9999})
    raw = integers(values).astype(">i2").tobytes()  # astropy would scale: write the bytes ourselves
    (folder / "s.fits").write_bytes(header.tostring().encode() + raw + b"\0" * (-len(raw) % 2880))
    return folder / "s.fits"


def compressed(kind, **options):
    def write(folder, values):
        hdu = fits.CompImageHDU(values, sky_header(), compression_type=kind, **options)
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(folder / "c.fits")
        return folder / "c.fits"

    return write


def compressed_integers(folder, values):
    hdu = fits.CompImageHDU(integers(values), sky_header(BLANK=-9999), compression_type="RICE_1", tile_shape=(8, 16))
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(folder / "c.fits")
    return folder / "c.fits"


def packed(opener, ending):
    def write(folder, values):
        path = folder / f"a.fits{ending}"
        with opener(path, "wb") as file:
            file.write(plain(folder, values).read_bytes())
        return path

    return write


def unread(path, index):
    with fits.open(path) as hdus:
        return hdus[index]


def read_hdu(folder, values):
    with fits.open(plain(folder, values), memmap=False) as hdus:
        assert hdus[0].data.shape == SHAPE
        return hdus[0]


def mapped(folder, values):
    np.concatenate([np.zeros(7, "f8"), values.astype("f8").ravel()]).tofile(folder / "raw")
    return np.memmap(folder / "raw", "f8", "r", 56, SHAPE)


SOURCES = {
    "file": plain,
    "float64 file": lambda folder, values: plain(folder, values.astype("f8")),
    "scaled integers": scaled,
    "RICE": compressed("RICE_1", quantize_level=-1e-4, tile_shape=(7, 9)),
    "GZIP": compressed("GZIP_2", quantize_level=0),
    "gzip": packed(gzip.open, ".gz"),
    "bzip2": packed(bz2.open, ".bz2"),
    "xz": packed(lzma.open, ".xz"),
    "HDU list": lambda folder, values: fits.open(plain(folder, values)),
    "HDU": lambda folder, values: unread(plain(folder, values), 0),
    "compressed HDU": lambda folder, values: unread(compressed("GZIP_1", quantize_level=0)(folder, values), 1),
    "HDU once read": read_hdu,
    "HDU in memory": lambda folder, values: fits.ImageHDU(values, sky_header()),
    "array": lambda folder, values: values,
    "big-endian array": lambda folder, values: values.astype(">f8")[None, None],
    "memmap": mapped,
    "masked array": lambda folder, values: np.ma.masked_array(np.nan_to_num(values), np.isnan(values)),
    "quantity": lambda folder, values: values * units.Jy,
    "CCDData": lambda folder, values: CCDData(np.nan_to_num(values), mask=np.isnan(values), unit="Jy"),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_gives_the_same_windows(tmp_path, pixels, kind):
    source = SOURCES[kind](tmp_path, pixels)
    image = survey.open_image(source)
    assert isinstance(image, survey.SurveyImage) and image.shape == SHAPE and survey.open_image(image) is image
    for one in (image, pickle.loads(pickle.dumps(image))):
        for window in WINDOWS:
            tile = one.read(window)
            assert tile.dtype == np.dtype("float32") and tile.dtype.isnative
            np.testing.assert_allclose(tile, window_of(pixels, window), atol=1e-4 if kind == "RICE" else 0)
        assert np.isnan(one.read([(40, 45), (0, 3)])).all() and one.read([(3, 3), (0, 3)]).shape == (0, 3)
    if isinstance(source, fits.HDUList):
        source.close()


def test_compressed_integers_with_blank(tmp_path, pixels):
    image = survey.open_image(compressed_integers(tmp_path, pixels))
    expected = np.where(np.isnan(pixels), np.nan, integers(pixels))
    np.testing.assert_array_equal(image.read([(0, 30), (0, 40)]), expected.astype("float32"))
    assert image.name.endswith("c.fits[1]") and image.wcs is not None


@pytest.mark.parametrize("narrow", [0, 1 << 14])
def test_rows_one_by_one_and_together(tmp_path, rng, monkeypatch, narrow):
    from astrokeras.survey import pixels as reading

    monkeypatch.setattr(reading, "NARROW", narrow)
    for shape in ((30, 40), (6, 8, 9), (1, 40), (30, 1)):
        values = rng.normal(size=shape).astype(">f4")
        fits.writeto(tmp_path / "n.fits", values, overwrite=True)
        image = survey.open_image(tmp_path / "n.fits")
        for _ in range(20):
            edges = np.sort(rng.integers(-2, np.array(shape) + 3, (2, len(shape))), axis=0).T
            np.testing.assert_array_equal(image.read(edges), window_of(values, edges.tolist()))


def test_compressed_rows_are_read_in_bands(tmp_path, pixels, monkeypatch):
    from astrokeras.survey import pixels as reading

    image = survey.open_image(compressed("GZIP_1", quantize_level=0, tile_shape=(4, 40))(tmp_path, pixels))
    whole = image.read([(1, 29), (3, 20)])
    monkeypatch.setattr(reading, "BAND", 400)  # two rows of tiles at once
    np.testing.assert_array_equal(image.read([(1, 29), (3, 20)]), whole)


def test_unsigned_and_large_integers(tmp_path):
    fits.writeto(tmp_path / "u.fits", np.array([[0, 65535], [32768, 1]], "uint16"))
    assert survey.open_image(tmp_path / "u.fits").read([(0, 2), (0, 2)]).tolist() == [[0, 65535], [32768, 1]]
    fits.writeto(tmp_path / "l.fits", np.array([[2**40, -5]], "int64"))
    assert survey.open_image(tmp_path / "l.fits").read([(0, 1), (0, 2)]).tolist() == [[2.0**40, -5]]


def test_radio_image_of_four_axes(tmp_path, pixels):
    header = sky_header(CTYPE3="FREQ", CRVAL3=5.6e8, CTYPE4="STOKES", CRVAL4=1.0, BUNIT="JY/BEAM", BMAJ=2e-4, BMIN=1e-4)
    fits.writeto(tmp_path / "r.fits", pixels[None, None], header)
    image = survey.open_image(str(tmp_path / "r.fits"))
    assert image.shape == SHAPE and image.unit == units.Jy / units.beam and image.beam == (2e-4, 1e-4, 0.0)
    assert image.wcs.naxis == 2 and image.name == str(tmp_path / "r.fits")
    ra, dec = WCS(header).all_pix2world([[3, 7, 0, 0]], 0)[0, :2]
    sky = survey.pixel_to_sky(image.wcs, [[3, 7]])
    assert sky["ra"][0] == pytest.approx(ra, abs=1e-10) and sky["dec"][0] == pytest.approx(dec, abs=1e-10)
    np.testing.assert_array_equal(image.read(WINDOWS[3]), window_of(pixels, WINDOWS[3]))


@pytest.mark.parametrize("shape", [(6, 8, 9), (6, 1, 8, 9), (1, 6, 8, 9)])
def test_cube(tmp_path, rng, shape):
    cube = rng.normal(size=shape).astype("f4")
    axis = 3 if shape[0] == 1 or len(shape) == 3 else 4
    header = sky_header(**{f"CTYPE{axis}": "FREQ", f"CRVAL{axis}": 9.5e8, f"CDELT{axis}": 3e4, f"CRPIX{axis}": 1.0})
    if len(shape) == 4:
        header[f"CTYPE{7 - axis}"] = "STOKES"
    fits.writeto(tmp_path / "q.fits", cube, header)
    image = survey.open_image(tmp_path / "q.fits")
    assert image.shape == (6, 8, 9) and image.wcs.naxis == 3 and image.wcs.wcs.spec == 2
    window = ((-1, 4), (2, 10), (0, 9))
    np.testing.assert_array_equal(image.read(window), window_of(cube.reshape(6, 8, 9), window))
    assert survey.pixel_to_sky(image.wcs, [[0, 0, 2]])["frequency"].tolist() == [9.5e8 + 6e4]
    np.testing.assert_array_equal(survey.open_image(cube).read(window), image.read(window))


def test_extensions_by_number_and_name(tmp_path, pixels):
    table = fits.BinTableHDU.from_columns([fits.Column("a", "E", array=[1.0])], name="TABLE")
    hdus = fits.HDUList(
        [fits.PrimaryHDU(), table, fits.ImageHDU(pixels, name="SCI"), fits.ImageHDU(-pixels, name="NEG")]
    )
    hdus.writeto(tmp_path / "m.fits")
    path = tmp_path / "m.fits"
    first = ((0, 1), (0, 1))
    for source in (path, hdus):
        assert survey.open_image(source).read(first) == pixels[0, 0]
        assert survey.open_image(source, "neg").read(first) == survey.open_image(source, 3).read(first) == -pixels[0, 0]
    assert survey.open_image(path, ("SCI", 1)).name == f"{path}[2]"
    for wrong in ("OTHER", 7, 2.5):
        with pytest.raises(ValueError, match=r"hdu to name one of 0 PRIMARY \(no image\), 1 TABLE .*NEG \(30 x 40\)"):
            survey.open_image(path, wrong)
    with pytest.raises(ValueError, match="image of at least 2 axes in hdu 'TABLE'"):
        survey.open_image(path, "TABLE")
    with pytest.raises(ValueError, match="hdu with a file or an HDU list only"):
        survey.open_image(pixels, 1)
    with pytest.raises(ValueError, match="an HDU with an image; received a BinTableHDU 'TABLE'"):
        survey.open_image(table)


def test_header_of_an_unread_hdu_may_be_mended(tmp_path, pixels):
    fits.writeto(tmp_path / "bare.fits", pixels)
    with fits.open(tmp_path / "bare.fits") as hdus:
        assert survey.open_image(hdus).wcs is None
        hdus[0].header.update(sky_header())
        assert survey.open_image(hdus[0]).wcs is not None


def test_no_image_and_damaged_files(tmp_path, pixels):
    fits.PrimaryHDU().writeto(tmp_path / "none.fits")
    with pytest.raises(ValueError, match=r"Expected an image .*none.fits; it holds 0 PRIMARY \(no image\)"):
        survey.open_image(tmp_path / "none.fits")
    with pytest.raises(FileNotFoundError, match="there is nothing"):
        survey.open_image(tmp_path / "absent.fits")
    with pytest.raises(FileNotFoundError, match="there is a folder"):
        survey.open_image(tmp_path)
    for name, content in (("empty", b""), ("text", b"hello\n" * 100), ("cut", b"SIMPLE  =                    T")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="Expected a FITS file"):
            survey.open_image(tmp_path / name)
    path = plain(tmp_path, pixels)
    content = path.read_bytes()
    path.write_bytes(content[: 2880 + 4000])
    with pytest.raises(ValueError, match="ends after 6880 bytes of at least 7680"):
        survey.open_image(path)
    (tmp_path / "z.gz").write_bytes(gzip.compress(content)[:-200])
    with pytest.raises(ValueError, match="does not unpack"):
        survey.open_image(tmp_path / "z.gz")
    squeezed = compressed("GZIP_2", quantize_level=0)(tmp_path, pixels)
    squeezed.write_bytes(squeezed.read_bytes()[:-2880])
    with pytest.raises(ValueError, match="Expected a whole FITS file"):
        survey.open_image(squeezed)


def test_a_file_that_shrinks_while_it_is_read(tmp_path, pixels):
    path = plain(tmp_path, pixels)
    image = survey.open_image(path)
    os.truncate(path, 4000)
    assert image.read([(0, 1), (0, 4)]).shape == (1, 4)
    with pytest.raises(ValueError, match="more bytes .* it ends there"):
        image.read([(20, 30), (0, 40)])


def test_refuses_what_is_no_image(pixels):
    for wrong, received in ((5, "int"), ([1, 2], "list"), (pixels + 1j, "array of complex64"), (None, "NoneType")):
        with pytest.raises(ValueError, match=f"image; received .*{received}"):
            survey.open_image(wrong)
    for shape in ((7,), (2, 3, 4, 5), (0, 4)):
        with pytest.raises(ValueError, match="image of 2 axes or a cube of 3"):
            survey.open_image(np.zeros(shape))
    image = survey.open_image(pixels)
    for window in ([(0, 1)], [(0, 1), (5, 2)], [(0, 1), (1, 2, 3)]):
        with pytest.raises(ValueError, match="Expected a window of 2 pairs"):
            image.read(window)


def test_wcs_unit_and_beam_may_be_missing_or_strange(tmp_path, pixels):
    bare = survey.open_image(pixels)
    assert (bare.wcs, bare.unit, bare.beam, bare.name) == (None, None, None, "array")
    odd = fits.ImageHDU(pixels, sky_header(BUNIT="furlong per parsec", BMAJ="wide", BMIN=1.0))
    odd.header["DATE-OBS"] = "31/12/98"  # astropy would fix it with a warning
    assert survey.open_image(odd).unit is None and survey.open_image(odd).beam is None
    aips = fits.ImageHDU(pixels, sky_header())
    aips.header["HISTORY"] = "AIPS   CLEAN BMAJ=  1.5000E-03 BMIN=  1.2000E-03 BPA= -10.00"
    assert survey.open_image(aips).beam == (1.5e-3, 1.2e-3, -10.0)
    spectrum = fits.ImageHDU(pixels, fits.Header({"CTYPE1": "WAVE", "CTYPE2": "OFFSET", "CDELT1": 1.0}))
    assert survey.open_image(spectrum).wcs is None  # no position on the sky
    broken = fits.ImageHDU(pixels, sky_header(CTYPE1="RA---XXX", CTYPE2="DEC--XXX"))
    with pytest.warns(UserWarning, match="WCS of array cannot be used") as caught:
        assert survey.open_image(broken).wcs is None
    assert len(caught) == 1
    ours = CCDData(pixels, unit="adu", wcs=WCS(sky_header()), meta={"BMAJ": 1e-3, "BMIN": 1e-3, "BPA": 5})
    image = survey.open_image(ours)
    assert image.wcs.naxis == 2 and image.unit == units.adu and image.beam == (1e-3, 1e-3, 5.0)


def test_fingerprint(tmp_path, rng, pixels):
    path = plain(tmp_path, pixels)
    same = survey.open_image(path).fingerprint
    with fits.open(path) as hdus:
        assert survey.open_image(hdus[0]).fingerprint == same == survey.open_image(path).fingerprint
    assert pickle.loads(pickle.dumps(survey.open_image(path))).fingerprint == same and len(same) == 16
    other = pixels.copy()
    other[11, 13] += 1
    prints = {survey.open_image(fits.ImageHDU(values, sky_header())).fingerprint for values in (pixels, other)}
    prints |= {survey.open_image(fits.ImageHDU(pixels, sky_header(CRVAL2=-31.0))).fingerprint}
    assert len(prints) == 3 and same in prints
    cube = rng.normal(size=(40, 30, 20))
    assert survey.open_image(cube).fingerprint != survey.open_image(cube + 1).fingerprint


@pytest.mark.parametrize("kind", ["file", "GZIP"])
def test_many_threads_read_at_once(tmp_path, pixels, kind):
    image = survey.open_image(SOURCES[kind](tmp_path, pixels))
    windows = [((y, y + 7), (x, x + 9)) for y in range(-2, 28, 3) for x in range(-3, 38, 4)]
    with ThreadPoolExecutor(8) as pool:
        for window, tile in zip(windows, pool.map(image.read, windows), strict=True):
            np.testing.assert_array_equal(tile, window_of(pixels, window))


MEMORY = """
import sys
import numpy as np
from astrokeras import survey

def peak():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024

image = survey.open_image(sys.argv[1])
mapped = survey.open_image(np.memmap(sys.argv[1], ">f4", "r", 2880, image.shape))
image.fingerprint, mapped.read([(0, 512), (0, 512)])
before, read = peak(), 0
for y in range(0, image.shape[0], 512):
    for x in range(0, image.shape[1], 512):
        read += image.read([(y, y + 512), (x, x + 512)]).nbytes
        mapped.read([(y, y + 512), (x, x + 512)])
print(read / 2**20, peak() - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="peak memory is read from /proc")
def test_memory_does_not_follow_the_size_of_the_file(tmp_path):
    path = tmp_path / "big.fits"
    header = fits.Header({"SIMPLE": True, "BITPIX": -32, "NAXIS": 2, "NAXIS1": 7168, "NAXIS2": 7168})
    path.write_bytes(header.tostring().encode())
    os.truncate(path, 2880 + 7168 * 7168 * 4 + (-7168 * 7168 * 4) % 2880)  # sparse: 196 MiB of zeros
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MEMORY, str(path)],
        env=os.environ | {"KERAS_BACKEND": "numpy"},  # light to import
        capture_output=True,
        text=True,
        check=True,
    )
    read, rise = map(float, found.stdout.split())
    assert read == 196 and rise < 30


def test_fill_missing(rng):
    tile = rng.normal(5, 2, (40, 50)).astype("float32")
    tile[3, 4:30] = np.nan
    tile[7, 9] = np.inf
    gone = ~np.isfinite(tile)
    for policy, value in (("zero", 0), ("median", np.median(tile[~gone]))):
        filled, missing = survey.fill_missing(tile, policy)
        assert filled.dtype == "float32" and np.array_equal(missing, gone) and (filled[gone] == value).all()
        assert np.array_equal(filled[~gone], tile[~gone]) and np.isnan(tile[3, 4])
    noisy, _ = survey.fill_missing(tile, "noise", seed=(3, 5))
    assert np.array_equal(noisy, survey.fill_missing(tile, "noise", seed=(3, 5))[0])
    assert not np.array_equal(noisy, survey.fill_missing(tile, "noise", seed=(3, 6))[0])
    whole, missing = survey.fill_missing(np.ones((2, 2)), "raise")
    assert not missing.any() and (whole == 1).all()


def test_fill_missing_with_noise_like_the_rest(rng):
    tile = rng.normal(5, 2, (200, 200))
    tile[:, 100:] = np.nan
    tile[0, :50] = 1e6  # sources do not count
    filled, missing = survey.fill_missing(tile, "noise")
    assert abs(filled[missing].mean() - 5) < 0.1 and abs(filled[missing].std() - 2) < 0.1


@pytest.mark.parametrize("policy", ["zero", "median", "noise"])
def test_fill_missing_of_an_empty_tile(policy):
    filled, missing = survey.fill_missing(np.full((2, 3, 4), np.nan), policy)
    assert missing.all() and not filled.any()


def test_fill_missing_raises():
    tile = np.zeros((4, 6))
    tile[0, :2], tile[3, 5] = np.nan, np.nan
    with pytest.raises(ValueError, match="3 of 24 in tile 7 are NaN, blank or infinite"):
        survey.fill_missing(tile, "raise", name="tile 7")
    inside = (slice(1, 3), slice(0, 6))  # beyond is padding
    assert survey.fill_missing(tile, "raise", inside=inside)[1].sum() == 3
    with pytest.raises(ValueError, match="nan_policy to be one of zero, median, noise, raise; received 'skip'"):
        survey.fill_missing(tile, "skip")
    assert survey.NAN_POLICIES == ("zero", "median", "noise", "raise")


@pytest.mark.parametrize("shape", [(12, 15), (5, 6, 7)])
def test_mostly_missing_counts_pixel_by_pixel(rng, shape):
    dims = len(shape)
    missing = rng.random(shape) < 0.5
    low = rng.uniform(-3, max(shape), (60, dims))
    boxes = np.concatenate([low, low + rng.uniform(0.2, 6, (60, dims))], axis=1)

    def share(box):
        ranges = [range(int(np.floor(a)), int(np.ceil(b))) for a, b in zip(box[:dims], box[dims:], strict=True)]
        cells = np.stack(np.meshgrid(*ranges[::-1], indexing="ij"), axis=-1).reshape(-1, dims)  # in order of the array
        gone = [
            not all(0 <= i < size for i, size in zip(cell, shape, strict=True)) or missing[tuple(cell)]
            for cell in cells
        ]
        return np.mean(gone)

    shares = np.array([share(box) for box in boxes])
    for limit in (0.3, 0.5):
        assert survey.mostly_missing(boxes, missing, limit).tolist() == (shares > limit).tolist()
    assert survey.mostly_missing(np.zeros((0, 2 * dims)), missing).shape == (0,)
