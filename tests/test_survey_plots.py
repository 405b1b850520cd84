import numpy as np
import pytest
import rich.console
from astropy.wcs import WCS
from matplotlib.figure import Figure

from astrokeras.plots.survey import (
    predicted_against_true,
    recovery,
    recovery_by_flux,
    recovery_table,
    sources_on_image,
)


@pytest.fixture
def survey(rng):
    """Return true fluxes, found fluxes, rows of the true sources and rows of the detections of the matches."""
    true = rng.pareto(1.0, 3000) + 1
    true[:10] = np.nan
    chance = np.clip(true / 10, 0, 1)
    true_rows = np.flatnonzero(np.nan_to_num(rng.random(3000) < chance))
    found = np.concatenate([true[true_rows] * rng.normal(1.1, 0.05, len(true_rows)), rng.uniform(1, 3, 200)])
    return true, found, true_rows, np.arange(len(true_rows))


def test_recovery_equals_counting(survey):
    true, found, true_rows, rows = survey
    result = recovery_by_flux(*survey, bins=[1, 3, 10, 1000])
    hit = np.isin(np.arange(len(true)), true_rows)
    for index, (low, high) in enumerate(((1, 3), (3, 10), (10, 1000))):
        there = (true >= low) & (true < high)
        assert result["true"][index] == there.sum()
        assert result["completeness"][index] == pytest.approx(hit[there].mean())
        seen = (found >= low) & (found < high)
        assert result["purity"][index] == pytest.approx((np.flatnonzero(seen) < len(rows)).mean())
        pairs = (true[true_rows] >= low) & (true[true_rows] < high)
        assert result["ratio"][index] == pytest.approx(np.median((found[rows] / true[true_rows])[pairs]))
    assert result["completeness"][2] == 1 and result["ratio"][1] == pytest.approx(1.1, abs=0.02)
    for name in ("completeness", "purity", "ratio"):
        assert (result[f"{name}_low"] <= result[name] + 1e-12).all()
        assert (result[f"{name}_high"] >= result[name] - 1e-12).all()


def test_wilson_interval_by_hand():
    """3 of 4: (0.75 + 1 / 8) / 1.25 = 0.7, half width sqrt(0.75 * 0.25 / 4 + 1 / 64) / 1.25 = 0.2."""
    result = recovery_by_flux([1, 1, 1, 1], [1, 1, 1], [0, 1, 2], [0, 1, 2], bins=[0.5, 2])
    assert (result["completeness_low"][0], result["completeness_high"][0]) == pytest.approx((0.5, 0.9))


def test_bins_of_their_own_hold_all_detections(survey):
    result = recovery_by_flux(*survey, bins=8)
    true, found, *_ = survey
    assert len(result["edges"]) == 9 and result["found"].sum() == len(found)
    assert result["true"].sum() == (true >= found.min()).sum()
    alone = recovery_by_flux([5.0], [], [], [])
    assert alone["true"].sum() == 1 and alone["completeness"][0] == 0 and np.isnan(alone["purity"]).all()


def test_table_and_figure(survey, tmp_path):
    result = recovery_by_flux(*survey, bins=[0.1, 0.5, 3, 1000])
    console = rich.console.Console(width=120)
    with console.capture() as captured:
        console.print(recovery_table(result, "mJy"))
    lines = [line for line in captured.get().splitlines() if " - " in line]
    assert len(lines) == 3 and "flux (mJy)" in captured.get() and "0.672" in lines[2]
    figure = recovery(result, "mJy", "a field")
    shares = figure.axes[0]
    np.testing.assert_allclose(shares.lines[0].get_ydata(), result["completeness"][1:])
    assert shares.get_legend().get_texts()[1].get_text() == "purity (found flux)"
    assert figure.get_suptitle() == "a field" and figure.axes[2].get_xlabel() == "flux (mJy)"
    figure.savefig(tmp_path / "recovery.png")


def test_predicted_against_true(rng, tmp_path):
    flux = rng.lognormal(0, 2, 3000)
    true = {"flux": flux, "bmaj": rng.uniform(1, 2, 3000), "pa": rng.uniform(-90, 90, 3000), "i": np.full(3000, 5.0)}
    predicted = {"flux": 1.2 * flux, "bmaj": true["bmaj"] + 0.1, "pa": true["pa"] + 180 + 3, "i": true["i"]}
    true["bmaj"][0] = np.nan
    figure = predicted_against_true(true, predicted, {"flux": "Jy"}, {"pa": 180}, "sdc1")
    assert isinstance(figure, Figure) and figure.get_suptitle() == "sdc1: 3000 matched sources"
    axes = {panel.get_xlabel(): panel for panel in figure.axes}
    assert set(axes) == {"true flux (Jy)", "true bmaj", "true pa", "true i"}
    assert axes["true flux (Jy)"].get_xscale() == "log" and axes["true bmaj"].get_xscale() == "linear"
    assert axes["true flux (Jy)"].get_title().startswith("median +0.2,")
    assert "(relative)" in axes["true flux (Jy)"].get_title()
    assert axes["true bmaj"].get_title().startswith("median +0.1,")
    assert axes["true pa"].get_title().startswith("median +3,")
    figure.savefig(tmp_path / "parameters.png")
    assert len(predicted_against_true({"flux": []}, {"flux": []}).axes) == 1


def test_sources_on_image(rng, tmp_path):
    image = rng.normal(size=(40, 60))
    image[3, 4] = np.nan
    boxes = np.array([[1, 2, 5, 6], [10, 10, 20, 14], [100, 100, 110, 110.0]])
    figure = sources_on_image(image, boxes, [True, False, True], [[30, 30], [200, 5]], title="field")
    axes = figure.axes[0]
    assert axes.get_title() == "field: 1 matched, 1 false, 1 missed", "what lies outside is not counted"
    matched, false = axes.collections
    corners = matched.get_paths()[0].vertices
    np.testing.assert_allclose(corners[:4], [[0.5, 1.5], [4.5, 1.5], [4.5, 5.5], [0.5, 5.5]])  # pixel centre = integer
    assert not np.allclose(matched.get_edgecolor(), false.get_edgecolor())
    assert axes.xaxis.get_major_formatter()(9.5) == "10", "the axes count in edges of pixels"
    figure.savefig(tmp_path / "field.png")


def test_cut_out_of_a_larger_image_and_its_sky(tmp_path):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---SIN", "DEC--SIN"
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = (0.0, -30.0), (500.0, 500.0), (-1e-4, 1e-4)
    part = wcs[500:540, 400:460]
    figure = sources_on_image(np.zeros((40, 60)), [[405, 510, 409, 514]], corner=(400, 500), wcs=part)
    vertices = figure.axes[0].collections[0].get_paths()[0].vertices
    np.testing.assert_allclose(vertices[0], [4.5, 9.5])
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("RA", "DEC")
    assert figure.axes[0].wcs is part and figure.axes[0].get_title() == "1 found"
    figure.savefig(tmp_path / "sky.png")
    empty = sources_on_image(np.full((5, 5), np.nan), np.zeros((0, 4)), np.zeros(0, bool), [])
    assert empty.axes[0].get_title() == "0 matched, 0 false, 0 missed"
    empty.savefig(tmp_path / "empty.png")


def test_refusals():
    with pytest.raises(ValueError, match="one true row for each row of a match"):
        recovery_by_flux([1], [1], [0], [])
    with pytest.raises(ValueError, match="Expected fluxes above 0"):
        recovery_by_flux([], [], [], [])
    with pytest.raises(ValueError, match=r"same parameters in true and predicted; received \['flux'\] and \['pa'\]"):
        predicted_against_true({"flux": [1]}, {"pa": [1]})
    with pytest.raises(ValueError, match="as many predicted as true values of flux"):
        predicted_against_true({"flux": [1]}, {"flux": [1, 2]})
    with pytest.raises(ValueError, match=r"Expected an image \(y, x\), boxes"):
        sources_on_image(np.zeros((3, 3, 3)), [[0, 0, 1, 1]])
