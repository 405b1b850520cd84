import numpy as np
import pytest

import astrokeras
from astrokeras import Detections, datasets, survey
from astrokeras.challenges import pipeline
from astrokeras.challenges import sdc2 as hi
from astrokeras.datasets.sdc2 import SDC2_PARAMETERS

simulated_hi_cube = datasets.simulated_hi_cube


def crowded(*arguments, density=1.0, **others):
    """A cube so full that a small one holds sources to learn and to judge."""
    return simulated_hi_cube(*arguments, density=max(density, 2000), **others)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sdc2")


@pytest.fixture(scope="module")
def small(folder):
    """The pipeline on cubes so small that its commands run in seconds: nothing is learned."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "CHANNELS": 64, "DENSITY": 3000, "PATCH": (32, 16, 16), "PATCHES": 16, "TILE": (64, 32, 32), "LOWEST": 0.0,
        }.items():  # fmt: skip
            patch.setattr(hi, name, value)
        patch.setattr(hi.datasets, "simulated_hi_cube", crowded)
        yield


def test_a_perfect_detector_gets_a_point_a_source(tmp_path):
    cube = datasets.simulated_hi_cube(tmp_path / "cube.fits", size=64, channels=400, density=100, noise=0, start=1.13e9)
    boxes, params = datasets.sdc2_objects(cube)
    perfect = Detections(boxes, np.ones(len(boxes)), params=params, parameters=SDC2_PARAMETERS)
    table = survey.catalogue(perfect, survey.open_image(cube.image))
    path = survey.write_catalogue(table, tmp_path / "found.txt", "sdc2")
    truth = datasets.sdc2_catalogue(cube.truth)
    for protocol in ("official", "physical"):
        result = survey.sdc2_score(path, truth, protocol)
        assert len(boxes) > 20 and result.n_match == len(boxes)
        assert result.score == pytest.approx(len(boxes), abs=1e-6)
    # The points forgive 10 degrees or 30 %; the values themselves agree. The simulator's angles count from y, those of
    # the catalogue from north: 0.01 degrees apart at the edge.
    found, true = survey.read_catalogue(path, "sdc2")[result.rows], truth[result.truth_rows]
    assert (np.diff(np.sort(result.truth_rows)) > 0).all()
    for name, error in {"ra": 1e-6, "dec": 1e-6, "hi_size": 1e-3, "central_freq": 30, "pa": 0.1, "i": 1e-3}.items():
        np.testing.assert_allclose(found[name].value, true[name], rtol=0, atol=error, err_msg=name)
    for name in ("line_flux_integral", "w20"):
        np.testing.assert_allclose(found[name].value, true[name], rtol=1e-4, err_msg=name)


def test_areas_do_not_overlap():
    for height in (64, 643, 1286):
        for simulated in (True, False):
            tuning, judged = hi.areas(height, simulated)
            assert tuning[0] < tuning[1] == judged[0] < judged[1] == height
    assert hi.areas(1286, False)[0][0] == 771  # the rows in front of them are trained on


def test_rows_of_a_cube_keep_their_places(tmp_path):
    cube = datasets.simulated_hi_cube(tmp_path / "cube.fits", size=32, channels=20)
    image = survey.open_image(cube.image)
    part = image.part([(0, 20), (8, 24), (0, 32)])
    window = [(3, 9), (2, 20), (-2, 8)]
    expected = image.read([(3, 9), (10, 28), (-2, 8)])
    expected[:, 14:] = np.nan  # beyond the part
    np.testing.assert_array_equal(part.read(window), expected)
    assert part.shape == (20, 16, 32)
    box = np.array([[4, 5, 6, 9, 11, 16]], "float32")
    one, other = (
        survey.catalogue(Detections(boxes, [0.5]), which)
        for boxes, which in ((box, part), (box + np.array([0, 8, 0] * 2, "float32"), image))
    )
    for name in ("ra", "dec", "frequency"):
        np.testing.assert_allclose(one[name].value, other[name].value, rtol=1e-12)


def test_steps_that_are_missing_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="model.keras; there is no such file: run astrokeras sdc2 train --out"):
        hi.detect(tmp_path)
    with pytest.raises(FileNotFoundError, match="catalogue.ecsv; there .* run astrokeras sdc2 detect --out .* first"):
        hi.score(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="choose another --out"):
        hi.train(tmp_path / "file", size=16)
    with pytest.raises(FileNotFoundError, match="sky_ldev_v2.fits"):
        hi.train(tmp_path, data=tmp_path)


def test_train_detect_score(small, folder, capsys):
    with pytest.raises(ValueError, match="epochs >= 1; received 0"):
        hi.train(folder, epochs=0, size=32, verbose=0)
    assert not any(folder.iterdir())
    measured = hi.train(folder, epochs=1, size=32, verbose=0, command="astrokeras sdc2 train")
    assert measured["tuning_selected"] > 0 and measured["seconds"] > 0
    model = astrokeras.load_model(folder / pipeline.MODEL)
    assert min(np.ravel(model.score_threshold)) == pytest.approx(measured["threshold"])
    card = astrokeras.read_card(folder / pipeline.MODEL)
    assert card["command"] == "astrokeras sdc2 train" and "simulation" in card["data"]
    assert not list(folder.glob(".training-*")), "the state of the training is gone"

    model.score_threshold = 0.0  # to have something to score
    astrokeras.save_model(model, folder / pipeline.MODEL)
    table = hi.detect(folder, verbose=0)
    assert len(table) > 5 and not list(folder.glob(".tiles*"))
    submission = survey.read_catalogue(folder / "submission.txt", "sdc2")
    submitted = hi._as_submitted(table)
    for name in submission.colnames:
        mine, theirs = (
            np.asarray(getattr(column, "value", column), float) for column in (submission[name], submitted[name])
        )
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-4, err_msg=name)

    scored = hi.score(folder)
    files = pipeline.find_survey(folder, None, None, "sdc2")
    _, rows = hi.areas(32, True)
    truth = hi._true_sources(files, rows)
    assert (truth["y"] >= rows[0]).all() and scored["sources"] == len(truth) > 0
    judged = np.asarray(table["y"].value) + 0.5 >= rows[0]
    again = survey.sdc2_score(submission[judged], truth)
    assert (scored["detections"], scored["matches"]) == (judged.sum(), again.n_match)
    assert scored["score"] == pytest.approx(again.score)
    report = (folder / "report.md").read_text()
    assert (
        "a simulation: this says nothing of real ones" in report
        and f"rows {rows[0]} to {rows[1]}" in report
        and "completeness" in report
    )
    assert all((folder / f"{name}.png").stat().st_size > 1e4 for name in ("recovery", "sources", "parameters"))
    assert "SDC2 score (official)" in capsys.readouterr().out


@pytest.mark.parametrize("full", [False, True])
def test_real_files_are_trained_on_in_their_own_rows(small, tmp_path, monkeypatch, full):
    made = crowded(tmp_path / "sky_ldev_v2.fits", size=32, channels=64, seed=3)
    made.truth.rename(tmp_path / "sky_ldev_truthcat_v2.txt")
    asked = {}

    def fit(model, patches, **arguments):
        asked.update(arguments, model=model, patches=patches)
        return 1.0

    def tune(model, files, rows, verbose):
        return {"rows": rows[0]}

    monkeypatch.setattr(pipeline, "fit", fit)
    monkeypatch.setattr(hi, "_tune", tune)
    monkeypatch.setattr(hi, "FULL_PATCH", (32, 16, 16))
    measured = hi.train(tmp_path / "out", data=tmp_path, full=full, verbose=0)
    assert asked["patches"].area == [(0, 64), (0, 19), (0, 32)] and measured["rows"] == 19
    assert asked["model"].name == ("yolo_sdc2" if full else "hi_galaxies")
    assert asked["epochs"] == (hi.FULL_EPOCHS if full else hi.EPOCHS)
    assert "sky_ldev_v2.fits" in astrokeras.read_card(tmp_path / "out" / pipeline.MODEL)["data"]
    assert not pipeline.is_simulation(tmp_path / "out")


def test_nothing_found_is_no_error(small, folder):
    model = astrokeras.load_model(folder / pipeline.MODEL)
    model.score_threshold = 1.0
    astrokeras.save_model(model, folder / pipeline.MODEL)
    assert len(hi.detect(folder, verbose=0)) == 0
    scored = hi.score(folder)
    assert scored["detections"] == 0 and scored["score"] == 0
