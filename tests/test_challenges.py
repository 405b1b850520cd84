"""SDC1 as commands: conventions from detections to score, the whole job in small, what is refused."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from astropy.io import fits

import astrokeras
from astrokeras import datasets, survey
from astrokeras.challenges import pipeline, sdc1
from astrokeras.cli import main
from astrokeras.datasets.fits_blocks import FitsWindows
from astrokeras.datasets.sdc1 import SDC1_PARAMETERS
from astrokeras.detections import Detections

COLUMNS = ("flux", "b_maj", "b_min", "pa")


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """A field whose primary beam falls steeply, so that a flux without it is far off."""
    folder = tmp_path_factory.mktemp("field")
    field = datasets.simulated_continuum_field(folder / "f.fits", size=512, seed=3, noise=0, density=0.3)
    with fits.open(field.primary_beam, mode="update") as hdus:
        rows, columns = hdus[0].data.shape[-2:]
        hdus[0].data *= np.linspace(0.9, 0.4, columns) * np.linspace(0.5, 1, rows)[:, None]
    return field


def perfect(field, **changes):
    """Return the catalogue of a detector that finds the selected sources as they are."""
    boxes, params = datasets.sdc1_objects(field)
    low, high = (np.array([parameter.range[i] for parameter in SDC1_PARAMETERS[:3]]) for i in (0, 1))
    whole = ((params[:, :3] > 1.001 * low) & (params[:, :3] < 0.999 * high)).all(axis=1)  # not cut to the limits
    found = Detections(boxes[whole], np.ones(whole.sum()), params=params[whole], parameters=sdc1.PARAMETERS)
    return survey.catalogue(found, survey.open_image(field.image), primary_beam=str(field.primary_beam))


@pytest.mark.parametrize("protocol", ["physical", "official"])
def test_a_perfect_detector_loses_nothing_to_conventions(field, tmp_path, protocol):
    table = sdc1.with_constants(perfect(field))
    assert len(table) > 20 and np.ptp(table["flux"] / table["apparent_flux"]) > 0.5
    truth = datasets.sdc1_catalogue(field.truth)

    def accuracy(rows):
        path = survey.write_catalogue(rows, tmp_path / "submission.txt", "sdc1")
        result = survey.sdc1_score(path, truth, protocol=protocol, area="all")
        disc = np.asarray(truth["class"])[result.truth_rows] == 3
        assert result.n_match == len(rows) and disc.mean() > 0.5
        return {name: points[disc].mean() for name, points in result.points.items()}

    for name, mean in accuracy(table).items():
        assert mean > 0.999, name
    turned = table.copy()
    turned["pa"] = -table["pa"]  # the other direction of counting would be seen
    assert accuracy(turned)["pa"] < 0.8
    behind = table.copy()
    behind["flux"] = table["apparent_flux"]
    assert accuracy(behind)["flux"] < 0.9


def test_the_small_network_learns_the_same_conventions_and_fainter_sources(field):
    image = FitsWindows(field.image)
    theirs, ours = datasets.sdc1_objects(field, image), sdc1._objects(field, image)
    rows = {tuple(np.round(box, 2)): row for row, box in enumerate(ours[0])}
    both = [(i, rows[tuple(np.round(box, 2))]) for i, box in enumerate(theirs[0]) if tuple(np.round(box, 2)) in rows]
    assert len(ours[0]) > len(theirs[0]) and len(both) > 0.9 * len(theirs[0])
    mine, other = (part[1][[pair[k] for pair in both]] for k, part in ((1, ours), (0, theirs)))
    whole = other[:, 1] > 0.9001
    assert whole.sum() > 10
    np.testing.assert_allclose(mine[whole][:, [0, 1, 3]], other[whole][:, [0, 1, 3]], rtol=1e-5)


def test_the_training_area_is_cut_with_its_wcs(tmp_path):
    field = datasets.simulated_continuum_field(tmp_path / "f.fits", size=1024, density=0.1)
    whole, part = survey.open_image(field.image), sdc1._around_training(field.image)
    place = survey.sky_to_pixel(part.wcs, np.array([-0.02]), np.array([-29.93]))[0]
    there = survey.sky_to_pixel(whole.wcs, np.array([-0.02]), np.array([-29.93]))[0]
    corner = np.round(there - place).astype(int)
    np.testing.assert_allclose(there - place, corner, atol=1e-6)
    size_y, size_x = part.shape
    window = [(corner[1], corner[1] + size_y), (corner[0], corner[0] + size_x)]
    np.testing.assert_array_equal(part.read([(0, size_y), (0, size_x)]), whole.read(window))
    assert part.unit == whole.unit


def test_the_whole_job(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, value in {"PATCHES": 280, "BATCH": 8, "PURITY": 0.5}.items():
        monkeypatch.setattr(sdc1, name, value)
    assert main(["sdc1", "train", "--size", "1024", "--epochs", "2", "--seed", "5"]) == 0
    assert "SIMULATION" in capsys.readouterr().out
    card = astrokeras.read_card("sdc1/model.keras")
    assert card["command"].startswith("astrokeras sdc1 train --size") and "simulated" in card["data"]
    model = astrokeras.load_model("sdc1/model.keras")
    assert len(model.score_threshold) == len(sdc1.PRIORS) and min(model.score_threshold) > sdc1.FLOOR
    assert main(["sdc1", "detect"]) == 0
    table = survey.read_catalogue("sdc1/catalogue.ecsv")
    submission = survey.read_catalogue("sdc1/submission.txt", "sdc1")
    assert len(table) == len(submission) > 100 and "simulation" in table.meta
    np.testing.assert_allclose(submission["flux"].value, table["flux"].value, rtol=1e-5)
    assert main(["sdc1", "score", "--protocol", "physical"]) == 0
    shown = capsys.readouterr().out
    assert "SDC1 score (physical)" in shown and "completeness" in shown
    files = {path.name for path in (tmp_path / "sdc1").iterdir()}
    assert files == {
        *("survey.json", "simulation.fits", "simulation_truth.txt", "simulation_primary_beam.fits", "model.keras"),
        *("catalogue.ecsv", "submission.txt", "report.md", "recovery.png", "parameters.png", "sources.png"),
    }
    report = (tmp_path / "sdc1" / "report.md").read_text()
    assert "simulation" in report and "| flux from | to |" in report and "sources.png" in report
    measured = sdc1.score(protocol="official", verbose=0)
    truth = datasets.sdc1_catalogue("sdc1/simulation_truth.txt")
    again = survey.sdc1_score("sdc1/submission.txt", truth)
    assert measured["score"] == again.score and measured["purity"] == again.purity and again.n_match > 10
    assert measured["selected"] > 1000 and measured["accuracy_class"] > 0.9
    outside = datasets.sdc1_catalogue("sdc1/simulation_truth.txt")[again.truth_judged]
    inside = (outside["ra_core"] > -0.6723) & (outside["ra_core"] < 0) & (outside["dec_core"] > -29.94)
    assert not (inside & (outside["dec_core"] < -29.4061)).any()


def test_a_simulation_is_made_once(tmp_path):
    def make(size=64, seed=0):
        return pipeline.make_survey(tmp_path, None, datasets.sdc1, datasets.simulated_continuum_field, size, seed)

    first = make()
    told = first.image.stat().st_mtime_ns
    assert make() == first and first.image.stat().st_mtime_ns == told
    assert pipeline.is_simulation(tmp_path) and pipeline.find_survey(tmp_path, None, None, "sdc1") == first
    other = fits.getdata(first.image).copy()
    make(seed=1)
    assert (fits.getdata(first.image) != other).any()
    first.truth.unlink()
    assert make(seed=1).truth.is_file()
    (tmp_path / "survey.json").write_text('{"simulation": "sim')  # damaged
    with pytest.raises(FileNotFoundError, match="run astrokeras sdc1 train --out .* first"):
        pipeline.find_survey(tmp_path, None, None, "sdc1")
    assert make(seed=1).image.is_file()

    def stopped(path, size, seed):
        datasets.simulated_continuum_field(path, size, seed=seed)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline.make_survey(tmp_path, None, datasets.sdc1, stopped, 64, 2)
    assert not (tmp_path / "survey.json").exists()


def test_real_files_are_remembered(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    with pytest.raises(FileNotFoundError, match=r"SKAMid_B1_1000h_v3.fits .* from https"):
        pipeline.make_survey(tmp_path / "out", data, datasets.sdc1, None, 64, 0)
    for name in ("SKAMid_B1_1000h_v3.fits", "PrimaryBeam_B1.fits", "TrainingSet_B1_v2.txt", "True_560_v2.txt"):
        (data / name).touch()
    files = pipeline.make_survey(tmp_path / "out", data, datasets.sdc1, None, 64, 0)
    assert files.training.name == "TrainingSet_B1_v2.txt" and not pipeline.is_simulation(tmp_path / "out")
    assert pipeline.find_survey(tmp_path / "out", None, datasets.sdc1, "sdc1") == files
    assert json.loads((tmp_path / "out" / "survey.json").read_text()) == {"data": str(data)}


class Stopping(keras.utils.PyDataset):
    """Two batches an epoch; may stop the training before an epoch."""

    def __init__(self, stop=None):
        super().__init__()
        self.stop, self.begun = stop, 0

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return np.ones((2, 1), "float32"), np.ones((2, 1), "float32")

    def on_epoch_begin(self):
        self.begun += 1
        if self.begun == self.stop:
            raise KeyboardInterrupt


class OwnLoss(keras.Sequential):
    """A model whose loss is its own, as a detector's is, but quick to compile."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean((y_pred - y) ** 2)


def test_a_stopped_training_goes_on(tmp_path):
    def train(stop=None, **settings):
        model, batches = OwnLoss([keras.Input((1,)), keras.layers.Dense(1)]), Stopping(stop)
        settings = {"seed": 0} | settings
        pipeline.fit(model, batches, epochs=4, optimizer=sdc1._optimizer(8), folder=tmp_path, settings=settings)
        return int(model.optimizer.iterations), batches.begun

    with pytest.raises(KeyboardInterrupt):
        train(stop=3)
    assert train() == (8, 2)  # two of the four epochs were left
    assert train(seed=1) == (8, 4) and len(list(tmp_path.glob(".training-*.backup"))) == 2
    pipeline.forget(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_nan_loss_ends_the_training(tmp_path):
    model = OwnLoss([keras.Input((1,)), keras.layers.Dense(1, bias_initializer=keras.initializers.Constant(np.nan))])
    with pytest.raises(ValueError, match="Expected a finite loss"):
        pipeline.fit(model, Stopping(), epochs=2, optimizer="adam", folder=tmp_path, settings={}, verbose=0)
    assert not list(tmp_path.iterdir())


def test_each_step_names_the_one_before(tmp_path, capsys):
    assert main(["sdc1", "detect", "--out", str(tmp_path)]) == 2
    assert "run astrokeras sdc1 train first" in capsys.readouterr().err
    assert main(["sdc1", "score", "--out", str(tmp_path)]) == 2
    assert "run astrokeras sdc1 detect first" in capsys.readouterr().err
    sdc1.build(32).save(tmp_path / "model.keras")
    with pytest.raises(FileNotFoundError, match="Expected a survey in .* run astrokeras sdc1 train"):
        sdc1.detect(tmp_path)


def test_nothing_found_is_scored(tmp_path, capsys):
    pipeline.make_survey(tmp_path, None, datasets.sdc1, datasets.simulated_continuum_field, 64, 0, 0)
    model = sdc1.build(32)
    model.score_threshold = 1.0
    model.save(tmp_path / "model.keras")
    assert len(sdc1.detect(tmp_path, verbose=0)) == 0
    measured = sdc1.score(tmp_path, protocol="physical", verbose=0)
    assert measured["score"] == 0 and measured["detections"] == 0 and np.isnan(measured["purity"])
    assert not (tmp_path / ".tiles").exists() and "nan" in (tmp_path / "report.md").read_text()


def test_bad_input(tmp_path, capsys):
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="Expected a folder to work in; .*file is a file"):
        sdc1.train(tmp_path / "file")
    with pytest.raises(ValueError, match="Expected size >= 1024, .* received 512"):
        sdc1.train(tmp_path, size=512)
    with pytest.raises(ValueError, match="Expected epochs >= 1; received 0"):
        sdc1.train(tmp_path, epochs=0)
    with pytest.raises(ValueError, match="Expected epochs >= 1; received 0"):
        pipeline.fit(None, None, epochs=0, optimizer=None, folder=tmp_path, settings={})
    assert main(["sdc1", "train", "--out", str(tmp_path), "--data", str(tmp_path / "none")]) == 2
    assert "PrimaryBeam_B1.fits" in capsys.readouterr().err
    assert main(["sdc2", "detect", "--workers", "0", "--out", str(tmp_path)]) == 2
    assert "Expected --workers >= 1; received 0" in capsys.readouterr().err
    for line in (["sdc1"], ["sdc1", "paint"], ["sdc1", "score", "--protocol", "kind"]):
        with pytest.raises(SystemExit):
            main(line)
        assert "error" in capsys.readouterr().err


def test_with_constants_keeps_the_table(field):
    table = perfect(field)
    assert "size" not in table.colnames
    assert set(sdc1.with_constants(table).colnames) - set(table.colnames) == {"core_frac", "size", "class"}
    assert dataclasses.is_dataclass(pipeline.SurveyFiles)


def test_write_report(tmp_path, field, capsys):
    truth = datasets.sdc1_catalogue(field.truth)
    result = survey.sdc1_score(truth, truth, area="all")
    recovery = astrokeras.plots.recovery_by_flux(truth["flux"], truth["flux"], result.truth_rows, result.rows, bins=4)
    path = pipeline.write_report(
        tmp_path, "A test", result, lines=["one fact"], recovery=recovery, unit="Jy", figures={}, verbose=0
    )
    text = path.read_text()
    assert text.startswith("# A test") and "- one fact" in text and text.count("\n| ") > 6
    assert not capsys.readouterr().out and (tmp_path / "recovery.png").stat().st_size > 5000
