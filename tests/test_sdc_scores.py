"""SDC1 and SDC2 scores by hand and against the official package `ska-sdc` 2.0.0, recorded and (slow) live."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy import units
from astropy.cosmology import LambdaCDM
from astropy.table import MaskedColumn, QTable, Table

from astrokeras import datasets
from astrokeras.survey.challenge_score import ChallengeScore, best_of, points_for
from astrokeras.survey.crossmatch import pairs_within
from astrokeras.survey.sdc1_score import SDC1_UNITS, sdc1_score
from astrokeras.survey.sdc2_score import REST_FREQUENCY, SDC2_UNITS, _angular_distance, sdc2_score
from astrokeras.survey.source_table import source_columns
from tests.sdc_catalogues import official_scores, sdc1_case, sdc2_case

HERE = Path(__file__).parent
RECORDED = json.loads((HERE / "data" / "sdc_scores.json").read_text())


def scored(case, protocol="official"):
    if case["challenge"] == "SDC2":
        return sdc2_score(case["submission"], case["truth"], protocol)
    position = ("core", "centroid")[case["mode"]]
    area = "train" if case["train"] else "test"
    return sdc1_score(case["submission"], case["truth"], case["frequency"], protocol, position=position, area=area)


def check_against_official(case, official):
    result = scored(case)
    for name in ("n_detections", "n_match", "n_bad", "n_false"):
        assert getattr(result, name) == official[name], name
    assert result.score == pytest.approx(official["score"], rel=1e-9, abs=1e-8)
    assert result.match_score == pytest.approx(official["match_score"], rel=1e-9, abs=1e-8)
    if not result.n_match:
        assert np.isnan(result.accuracy) and "accuracies" not in official
        return result
    assert result.accuracy == pytest.approx(official["accuracy"], rel=1e-9)
    assert result.accuracies.keys() == official["accuracies"].keys()
    for name, value in official["accuracies"].items():
        assert result.accuracies[name] == pytest.approx(value, rel=1e-9, abs=1e-10), name
    ids = [
        np.array(case[what]["id"])[rows] for what, rows in (("submission", result.rows), ("truth", result.truth_rows))
    ]
    order = np.argsort(ids[0], kind="stable")
    np.testing.assert_array_equal(ids[0][order], official["id"])
    np.testing.assert_array_equal(ids[1][order], official["id_t"])
    np.testing.assert_allclose(result.distance[order], official["distance"], rtol=1e-8, atol=1e-8)
    return result


@pytest.mark.parametrize("number", range(len(RECORDED)))
def test_equals_the_official_package(number):
    case = RECORDED[number]
    result = check_against_official(case, case["official"])
    expected = result.score if result.n_match or result.challenge == "SDC2" else -result.n_false
    assert result.gains.sum() == pytest.approx(expected)
    assert result.matched.sum() == result.n_match and result.judged.sum() == result.n_detections


@pytest.mark.slow
@pytest.mark.parametrize("make", [sdc1_case, sdc2_case])
def test_equals_the_official_package_live(make):
    python = os.environ.get("ASTROKERAS_SKA_SDC_PYTHON")
    if python is None:
        pytest.skip(
            "set ASTROKERAS_SKA_SDC_PYTHON to the python of an environment with the official package: "
            "pip install ska-sdc 'pandas<3' 'setuptools<81'"
        )
    rng = np.random.default_rng(7)
    cases = [make(rng, rough=number % 2 == 0) for number in range(20)]
    for case, official in zip(cases, official_scores(python, cases), strict=True):
        check_against_official(case, official)


def one(**changes):
    """Return a table of SDC1 with one star-forming galaxy of 2 arcsec in the test area, with changes."""
    values = {"id": 0, "ra_core": 1.0, "dec_core": -30.0, "ra_cent": 1.0, "dec_cent": -30.0, "flux": 1e-4}
    values |= {"core_frac": 0.0, "b_maj": 2.0, "b_min": 1.0, "pa": 0.0, "size": 2, "class": 3}
    return {name: np.atleast_1d(value).astype(float) for name, value in (values | changes).items()}


@pytest.mark.parametrize(
    ("found", "true", "official", "physical"),
    [(10, 100, 1.0, 10 / 90), (170, -10, 10 / 45, 1.0), (30, 50, 10 / 25, 10 / 20), (0, 5, 1.0, 1.0)],
)
def test_position_angles_by_hand(found, true, official, physical):
    for protocol, points in (("official", official), ("physical", physical)):
        result = sdc1_score(one(pa=found), one(pa=true), protocol=protocol)
        assert result.accuracies["pa"] == pytest.approx(points)
        assert result.score == pytest.approx((6 + points) / 7)


def test_points_by_hand():
    shift = 0.6 / 3600  # arcsec, of sqrt(4 * 0.625**2 + 1.5**2) = 1.9526
    found = one(dec_core=-30 + shift, dec_cent=-30 + shift, flux=1.5e-4, b_maj=3.0, b_min=0.5, core_frac=0.15)
    result = sdc1_score(found | {"class": np.array([1.0])}, one())
    expected = {"position": 0.3 / (0.6 / np.hypot(1.25, 1.5)), "flux": 0.2, "b_maj": 0.6, "b_min": 0.6, "pa": 1.0}
    expected |= {"core_frac": 0.05 / 0.2, "class": 0.0}
    assert result.accuracies == pytest.approx(expected, rel=1e-6)
    assert result.n_match == 1 and result.score == pytest.approx(sum(expected.values()) / 7)
    convolved = np.hypot(2.0, 0.625)
    parts = 0.6 / convolved / 0.93, 0.5 / 0.36, 0.25 / convolved / 4.38
    assert result.distance[0] == pytest.approx(np.sqrt(np.sum(np.square(parts))), rel=1e-6)
    assert "flux 0.200" in result.describe() and "detections 1, matched 1" in result.describe()


def test_sizes_of_another_kind_are_turned_into_the_true_kind():
    for found, true, factor in ((2, 3, 2**-0.5), (3, 2, 2**0.5), (1, 2, 2.355 / 5)):
        result = sdc1_score(one(size=found, b_maj=2 / factor, b_min=1 / factor), one(size=true))
        assert result.accuracies["b_maj"] == pytest.approx(1) and result.accuracies["b_min"] == pytest.approx(1)
    result = sdc1_score(one(size=1, b_min=9, pa=40), one(size=1))
    assert result.accuracies["b_min"] == 1 and result.accuracies["pa"] == 1, "free for steep-spectrum nuclei"


def test_physical_takes_angles_on_the_sky():
    shift = 2.3 / 3600  # degrees of right ascension; 1.99 arcsec on the sky, within 2.095
    found = one(ra_core=1 + shift, ra_cent=1 + shift)
    assert sdc1_score(found, one()).n_match == 0
    assert sdc1_score(found, one(), protocol="physical").n_match == 1
    around = one(ra_core=180.0001, ra_cent=180.0001), one(ra_core=179.9999, ra_cent=179.9999)
    assert sdc1_score(*around).n_match == 0 and sdc1_score(*around, protocol="physical").n_match == 1


def test_one_detection_and_one_source_match_once():
    two = {name: np.repeat(values, 2) for name, values in one().items()} | {"id": np.array([4, 5])}
    two["flux"] = np.array([1.2e-4, 1.0e-4])
    result = sdc1_score(two, one())
    assert result.rows.tolist() == [1] and result.n_false == 1 and result.purity == 0.5
    assert result.gains.tolist() == [-1, 1]
    result = sdc1_score(one(), two)
    assert result.truth_rows.tolist() == [1] and result.found.tolist() == [False, True] and result.completeness == 0.5
    two["id"] = np.array([4, 4])
    apart = one(ra_core=2, ra_cent=2, id=1)
    both = {name: np.concatenate([one()[name], apart[name]]) for name in two}
    two["ra_core"] = two["ra_cent"] = np.array([1.0, 2.0])
    assert sdc1_score(two, both).n_match == 1, "the official package matches one row of an id"
    assert sdc1_score(two, both, protocol="physical").n_match == 2


def test_no_match_and_empty():
    far = one(dec_core=-29.8, dec_cent=-29.8)
    assert sdc1_score(far, one()).score == 0 and sdc1_score(far, one(), protocol="physical").score == -1
    nothing = {name: np.zeros(0) for name in SDC1_UNITS}
    for protocol in ("official", "physical"):
        for pair in ((nothing, one()), (one(), nothing), (nothing, nothing)):
            assert sdc1_score(*pair, protocol=protocol).n_match == 0
    empty = sdc1_score(nothing, one())
    assert empty.score == 0 and np.isnan(empty.purity) and empty.completeness == 0
    assert "detections 0" in empty.describe()
    assert sdc2_score({name: np.zeros(0) for name in SDC2_UNITS}, galaxy()).score == 0


def test_areas():
    inside = one(ra_core=-0.3, dec_core=-29.7, ra_cent=-0.3, dec_cent=-29.7)
    assert [sdc1_score(inside, inside, area=area).n_match for area in ("test", "train", "all")] == [0, 1, 1]
    assert sdc1_score(inside, inside, 1400, area="test").n_match == 1
    assert not sdc1_score(inside, inside).judged.any()


def test_zeros_and_negatives():
    rows = [one(), one(core_frac=-0.1, ra_core=1.1), one(flux=-1, ra_core=1.2)]
    table = {name: np.concatenate([row[name] for row in rows]) for name in one()}
    assert sdc1_score(table, table).n_detections == 0, "one negative core fraction drops all zeros"
    assert sdc1_score(table, table, protocol="physical").n_detections == 1
    flat = one(b_min=0)
    assert sdc1_score(flat, flat).accuracies["b_min"] == 0
    assert sdc1_score(flat, flat, protocol="physical").accuracies["b_min"] == 1


def galaxy(**changes):
    """Return a table of SDC2 with one galaxy, with changes."""
    values = {"id": 0, "ra": 180.0, "dec": -30.0, "hi_size": 8.0, "line_flux_integral": 50.0, "central_freq": 1.1e9}
    values |= {"pa": 1.0, "i": 40.0, "w20": 200.0}
    return {name: np.atleast_1d(value).astype(float) for name, value in (values | changes).items()}


def test_sdc2_points_by_hand():
    width = 200 * 1e3 * 1.1e9**2 / (299792458 * REST_FREQUENCY)  # Hz
    found = galaxy(
        dec=-30 + 5.0 / 3600, central_freq=1.1e9 + 0.6 * width, line_flux_integral=60, hi_size=12, pa=181, i=60
    )
    for protocol in ("official", "physical"):
        result = sdc2_score(found, galaxy(), protocol)
        expected = {"position": 0.3 * np.hypot(14, 8) / 5, "central_freq": 0.5, "flux": 0.5, "hi_size": 0.6}
        expected |= {"pa": 10 / 180, "w20": 1.0, "i": 0.5}
        assert result.accuracies == pytest.approx(expected, rel=1e-5)
        assert result.score == pytest.approx(sum(expected.values()) / 7)


def test_sdc2_duplicates_share():
    three = {name: np.repeat(values, 3) for name, values in galaxy().items()} | {"id": np.arange(3)}
    three["line_flux_integral"] = np.array([50.0, 50.0, 5000.0])  # the third is rejected as too unlike
    official, physical = (sdc2_score(three, galaxy(), protocol) for protocol in ("official", "physical"))
    assert official.n_match == physical.n_match == 2 and official.n_bad == 1
    assert official.score == pytest.approx(2 / 3 - 1) and physical.score == pytest.approx(1 - 1)
    np.testing.assert_allclose(physical.gains, [0.5, 0.5, -1])


def test_sdc2_physical_candidates_go_by_the_true_size():
    width = 200 * 1e3 * 1.1e9**2 / (299792458 * REST_FREQUENCY)
    small = galaxy(hi_size=0.0, w20=0.0, central_freq=1.1e9 + 0.9 * width)
    assert sdc2_score(small, galaxy()).n_match == 0 and sdc2_score(small, galaxy(), "physical").n_match == 1


def test_sdc2_band_and_nan():
    outside = galaxy(central_freq=1.2e9)
    assert sdc2_score(outside, outside).score == -1 and sdc2_score(outside, outside).n_truth == 0
    assert sdc2_score(galaxy(pa=np.nan), galaxy()).n_detections == 0


def test_angular_distance_equals_astropy():
    frequency = np.linspace(0.9e9, 1.4e9, 50)
    expected = LambdaCDM(H0=67, Om0=0.32, Ode0=0.68).angular_diameter_distance(REST_FREQUENCY / frequency - 1).value
    np.testing.assert_allclose(_angular_distance(frequency), expected, rtol=1e-12)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_pairs_equal_brute_force(rng, dims):
    for scale in (1e-4, 1.0, 300.0):
        points = rng.random((300, dims)) * scale
        queries = np.concatenate([points[:40], (2 * rng.random((100, dims)) - 0.5) * scale])
        radii = rng.lognormal(-3, 2, len(queries)) * scale
        radii[:3] = 0
        near = ((queries[:, None] - points) ** 2).sum(axis=-1) <= radii[:, None] ** 2
        query, point = pairs_within(points, queries, radii)
        expected = np.nonzero(near)
        np.testing.assert_array_equal(query, expected[0])
        np.testing.assert_array_equal(point, expected[1])


def test_pairs_come_in_portions(rng, monkeypatch):
    points = rng.random((500, 2))
    whole = pairs_within(points, points, np.full(500, 0.2))
    monkeypatch.setattr("astrokeras.survey.crossmatch.PAIRS", 100)
    for part, other in zip(whole, pairs_within(points, points, np.full(500, 0.2)), strict=True):
        np.testing.assert_array_equal(part, other)
    for empty in (points[:0], points):
        assert len(pairs_within(empty, points[: 500 - len(empty)], np.ones(500 - len(empty)))[0]) == 0


def test_a_hundred_thousand_sources_in_seconds(rng):
    count = 100_000
    truth = {name: np.full(count, 1.0) for name in SDC1_UNITS} | {"id": np.arange(count)}
    truth["ra_core"] = truth["ra_cent"] = rng.uniform(0.01, 5, count)
    truth["dec_core"] = truth["dec_cent"] = rng.uniform(-32.5, -27.5, count)
    truth["flux"] = rng.lognormal(-10, 1, count)
    found = truth | {"ra_core": truth["ra_core"] + rng.normal(0, 0.1 / 3600, count)}
    start = time.perf_counter()
    result = sdc1_score(found, truth)
    assert time.perf_counter() - start < 10
    assert result.n_match > 0.999 * count


def test_best_of_and_points():
    group, distance = np.array([3, 1, 3, 1, 2]), np.array([2.0, np.nan, 1.0, 7.0, np.nan])
    assert best_of(group, distance).tolist() == [3, 4, 2]
    np.testing.assert_allclose(points_for(np.array([0, 0.1, 0.2, np.inf, np.nan]), 0.1), [1, 1, 0.5, 0, 0])
    assert isinstance(sdc1_score(one(), one()), ChallengeScore)


def test_tables_of_every_kind_score_the_same(tmp_path):
    case = next(case for case in RECORDED if case["challenge"] == "SDC1" and not case["train"])
    submission, truth = case["submission"], case["truth"]
    expected = scored(case).score
    table = Table(submission)
    with_units = QTable(
        {
            name: np.array(values) * (units.Unit(SDC1_UNITS[name]) if SDC1_UNITS[name] else 1)
            for name, values in submission.items()
        }
    )
    with_units["flux"] = with_units["flux"].to("uJy")
    with_units["b_maj"] = with_units["b_maj"].to("deg")
    masked = Table(submission)
    bad = np.isnan(masked["b_maj"])
    masked["b_maj"] = MaskedColumn(np.where(bad, 5.0, masked["b_maj"]), mask=bad, unit="arcsec")
    names = list(SDC1_UNITS)
    rows = np.array([submission[name] for name in names]).T
    np.savetxt(tmp_path / "plain.txt", rows)
    np.savetxt(tmp_path / "header.txt", rows[:, ::-1], header=" ".join(names[::-1]))
    np.savetxt(tmp_path / "title.csv", rows, delimiter=",", header="A catalogue\n" + ",".join(names), comments="")
    table.write(tmp_path / "table.fits")
    with_units.write(tmp_path / "table.ecsv")
    kinds = [table, with_units, masked, np.rec.fromarrays(list(rows.T), names=names)]
    kinds += [tmp_path / name for name in ("plain.txt", "header.txt", "title.csv", "table.fits")]
    kinds += [str(tmp_path / "table.ecsv")]
    for kind in kinds:
        result = sdc1_score(kind, truth, position=("core", "centroid")[case["mode"]])
        assert result.score == pytest.approx(expected, abs=1e-6), kind


def test_identifiers_may_be_names():
    table = one() | {"id": np.array(["J0001"])}
    assert sdc1_score(table, one()).n_match == 1
    assert source_columns(Table({"id": ["b", "a"]}), {"id": None})["id"].tolist() == [1, 0]


def test_refusals(tmp_path):
    short = {name: values for name, values in one().items() if name not in ("b_maj", "pa")}
    with pytest.raises(ValueError, match="Expected the submission to have the columns .*; it lacks b_maj, pa"):
        sdc1_score(short, one())
    with pytest.raises(ValueError, match="Expected the truth to have the columns .*it has none"):
        sdc2_score(galaxy(), 5)
    with pytest.raises(ValueError, match="flux of the submission; row 0 is infinite"):
        sdc1_score(one(flux=np.inf), one())
    with pytest.raises(ValueError, match="Expected numbers in the column pa"):
        sdc1_score(one() | {"pa": np.array(["north"])}, one())
    with pytest.raises(ValueError, match="one number a source in the column pa"):
        sdc1_score(one() | {"pa": np.zeros((1, 2))}, one())
    with pytest.raises(ValueError, match="to have one length; received .*pa 2"):
        sdc1_score(one() | {"pa": np.zeros(2)}, one())
    with pytest.raises(ValueError, match="in a unit like Jy; received arcsec"):
        source_columns({"flux": [1.0] * units.arcsec}, {"flux": "Jy"})
    with pytest.raises(ValueError, match="none.txt' to be a file"):
        sdc1_score(tmp_path / "none.txt", one())
    (tmp_path / "few.txt").write_text("1 2 3\n4 5 6\n")
    with pytest.raises(ValueError, match="Expected 12 columns .* received 3"):
        sdc1_score(tmp_path / "few.txt", one())
    (tmp_path / "ragged.txt").write_text("1 2 3\n4 5\n")
    with pytest.raises(ValueError, match="Expected rows of 12 numbers .*cannot be read"):
        sdc1_score(tmp_path / "ragged.txt", one())
    (tmp_path / "empty.txt").write_text("# nothing found\n")
    assert sdc1_score(tmp_path / "empty.txt", one()).n_detections == 0
    for arguments, match in (
        ({"frequency": 950}, "Expected frequency to be 560, 1400 or 9200"),
        ({"protocol": "fair"}, "Expected protocol to be one of official, physical"),
        ({"position": "peak"}, "Expected position to be 'core' or 'centroid'"),
        ({"area": "south"}, "Expected area to be 'test', 'train' or 'all'"),
    ):
        with pytest.raises(ValueError, match=match):
            sdc1_score(one(), one(), **arguments)
    with pytest.raises(ValueError, match="Expected protocol"):
        sdc2_score(galaxy(), galaxy(), "fair")


def test_the_witness_says_nothing_without_the_package():
    run = subprocess.run([sys.executable, "-c", "import tests.ska_sdc_witness"], cwd=HERE.parent, capture_output=True)
    assert run.returncode == 0, "it imports the package inside its function only"


def test_tables_of_the_simulators_are_read_by_their_path(tmp_path):
    field = datasets.simulated_continuum_field(tmp_path / "field.fits", size=128)
    cube = datasets.simulated_hi_cube(tmp_path / "cube.fits", size=32, channels=64, density=50)
    for score, truth in ((sdc1_score, field.truth), (sdc2_score, cube.truth)):
        more = {"area": "all"} if score is sdc1_score else {}
        result = score(truth, truth, protocol="physical", **more)
        assert result.n_detections > 5
        assert result.score == pytest.approx(result.n_detections)
