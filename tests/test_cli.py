import subprocess
import sys

import numpy as np
import pytest
from astropy.table import QTable
from PIL import Image

import astrokeras
from astrokeras import demo
from astrokeras.cli import main
from tests.test_training import small_set


def test_list_shows_each_application(capsys):
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    assert "lenet5" in shown and "238,570" in shown and "1,018,752" in shown and "resnet" in shown
    last = shown.splitlines()[-1]
    assert "from Python" in last and "ddpm" in last and "unet" in last and "yolo_voc" not in last


def test_doctor_shows_the_report(capsys):
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    for word in ("backend", "devices", "precision", 'xla "auto"', "gpu", "keras", "numpy"):
        assert word in shown


def test_train_then_predict(tmp_path, rng, capsys):
    data = small_set(tmp_path / "two.npz", rng)
    out = tmp_path / "two.keras"
    line = ["train", "lenet5", "--data", str(data), "--epochs", "12", "--batch-size", "8", "--set", "classes=2"]
    assert main([*line, "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "precision" in shown and "accuracy 100.00 %" in shown and str(out) in shown.replace("\n", "")
    with Image.open(tmp_path / "two.png") as figure:
        assert figure.size[0] > 300
    assert astrokeras.read_card(out)["command"].startswith("astrokeras train lenet5 --data")

    Image.fromarray(np.full((50, 40), 220, "uint8")).save(tmp_path / "bright.png")
    Image.new("RGB", (12, 12), (10, 10, 10)).save(tmp_path / "dark.jpg")
    np.save(tmp_path / "array.npy", np.full((12, 12, 1), 0.8, "float32"))
    files = [str(tmp_path / name) for name in ("bright.png", "dark.jpg", "array.npy")]
    capsys.readouterr()
    assert main(["predict", str(out), *files]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if str(tmp_path)[:20] in line]
    assert [row[-2] for row in rows] == ["1", "0", "1"]
    assert main(["predict", str(out), files[0], "--invert", "--top", "2"]) == 0
    assert " 0 " in capsys.readouterr().out.splitlines()[3]


def test_demo_does_the_whole_job(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, value in {"FIELDS": 120, "VALIDATION": 10, "HELD_OUT": 128}.items():
        monkeypatch.setattr(f"astrokeras.demo.{name}", value)
    assert main(["demo", "--epochs", "4"]) == 0
    files = sorted(path.name for path in (tmp_path / "demo").iterdir())
    assert files == ["catalogue.ecsv", "detections.png", "radio_sources.keras", "report.md"]
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    shown = capsys.readouterr().out
    for step in ("1. Simulate", "2. Build", "3. Train", "4. Detect", "5. Save", "purity", "completeness", "average"):
        assert step in shown
    report = (tmp_path / "demo" / "report.md").read_text()
    assert "reopened in another process" in report and '"command": "astrokeras demo"' in report
    with Image.open(tmp_path / "demo" / "detections.png") as figure:
        assert figure.size[0] > 600
    catalogue = QTable.read(tmp_path / "demo" / "catalogue.ecsv")
    assert [str(catalogue[name].unit) for name in ("x_min", "flux", "bmaj", "bmin", "pa")] == [
        "pix", "Jy", "arcsec", "arcsec", "deg"
    ]  # fmt: skip
    detector = astrokeras.load_model(tmp_path / "demo" / "radio_sources.keras")
    _, held_out = astrokeras.datasets.simulated_radio_fields(1, 1, seed=1, **demo._sky(128))
    found = detector.detect(held_out.images)[0]
    assert len(found) == len(catalogue) > 0
    np.testing.assert_allclose(catalogue["flux"].value, found.params[:, 0], rtol=1e-3)


def test_demo_draws_a_bar_on_a_terminal(capsys):
    train, _ = astrokeras.datasets.simulated_radio_fields(16, 1, size=16, sources=(1, 3))
    assert demo._train(demo.build(16), train, 2, verbose=1) > 0
    shown = capsys.readouterr().out
    assert "loss" in shown and "IoU" in shown and "100%" in shown and "Epoch" not in shown


def test_demo_judges_purity_completeness_and_errors():
    truth = {"boxes": [[0, 0, 8, 8], [20, 20, 30, 30], [40, 0, 50, 8], [0, 40, 8, 50]], "labels": [0] * 4}
    truth["params"] = [[1e-5, 5, 2, 88], [2e-5, 4, 2, 10], [1e-5, 4, 4, 0], [1e-5, 4, 4, 0]]
    held_out = astrokeras.datasets.DetectionSet(np.zeros((1, 64, 64, 1), "float32"), [truth])
    faint = {"boxes": [*truth["boxes"], [50, 50, 61, 60]], "labels": [0] * 5}
    faint["params"] = [*truth["params"], [1e-6, 1, 1, 0]]
    with_faint = astrokeras.datasets.DetectionSet(held_out.images, [faint])
    boxes = [[0, 0, 8, 9], [20, 20, 30, 30], [50, 50, 60, 60], [0, 0, 9, 8], [40, 0, 50, 8], [0, 40, 8, 50]]
    params = [
        [1.2e-5, 5, 2, -88],
        [2e-5, 3, 2, 10],
        [1e-6, 1, 1, 0],
        [1.2e-5, 5, 2, -88],
        [1e-5, 4, 4, 50],
        [1e-5, 4, 4, 0],
    ]

    class Detector:
        def detect(self, images, score_threshold=0.5):
            found = astrokeras.Detections(boxes, [0.9, 0.8, 0.7, 0.6, 0.3, 0.2], params=params)
            return [found[found.scores >= score_threshold]]

    measured, found = demo._judge(Detector(), held_out, with_faint)
    assert (measured["objects"], measured["detections"], len(found)) == (4, 4, 4)
    assert measured["purity"] == 2 / 4, "a duplicate and a box on a faint source are false"
    assert measured["purity_with_faint"] == 3 / 4
    assert measured["completeness"] == 2 / 4
    assert measured["average_precision"] == pytest.approx(0.5 + 0.5 * 4 / 6)
    assert measured["flux_error"] == pytest.approx(0.2) and measured["bmaj_error"] == pytest.approx(0)
    assert measured["angle_error"] == pytest.approx(4), "88 and -88 degrees differ by 4"
    threshold = demo._best_threshold(Detector(), held_out)
    assert threshold == pytest.approx(0.2), "4 of 6 and 4 of 4: the harmonic mean is 0.8; 2 of 2 and 2 of 4: 0.67"


BAD = [
    (["train", "lenet"], "extinction_cnn; received 'lenet'"),
    (["train", "lenet5", "--data", "no.npz"], "there is nothing at no.npz"),
    (["train", "lenet5", "--out", "no/m.keras"], "create it first"),
    (["train", "lenet5", "--out", "m.h5"], "ends in .keras"),
    (["train", "lenet5", "--epochs", "0", "--data", "simulated_digits"], "Expected epochs >= 1"),
    (["train", "lenet5", "--set", "depth"], "Expected --set ARGUMENT=VALUE"),
    (["train", "lenet5", "--set", "depth=3"], "received depth"),
    (["train", "resnet", "--data", "simulated_digits", "--set", "depth=21"], "Expected depth to be one of"),
    (["train", "lenet5", "--data", "simulated_digits", "--set", "classes=5"], "Expected labels in 0..4"),
    (["predict", "no.keras", "a.png"], "there is none at no.keras"),
    (["predict", "unet", "a.png"], "unet is used from Python: astrokeras.applications.unet"),
    (["train", "unet"], "unet is used from Python: astrokeras.applications.unet"),
    (["predict", "lenet5", "a.png"], "Expected --weights with the network lenet5 (known: mnist)"),
    (["predict", "lenet5", "a.png", "--weights", "imagenet"], "'mnist', or the path"),
    (["predict", "lenet5", "no.png", "--weights", "mnist"], "there is none at no.png"),
    (["predict", "lenet5", "bad.png", "--weights", "mnist"], "bad.png is damaged or of another kind"),
    (["predict", "lenet5", "bad.npy", "--weights", "mnist"], "Expected an array of shape (28, 28, 1)"),
    (["predict", "lenet5", "bad.png", "--weights", "mnist", "--top", "11"], "Expected --top in 1..10"),
    (["predict", "bad.keras", "bad.png"], "damaged or of another kind"),
    (["predict", "m.keras", "a.png", "--weights", "mnist"], "Expected --weights with one of"),
    (["demo", "--epochs", "0"], "Expected epochs >= 1"),
    (["demo", "--out", "bad.png"], "is a file: choose another --out"),
]


@pytest.mark.parametrize(("line", "sentence"), BAD, ids=[" ".join(line) for line, _ in BAD])
def test_bad_input_is_one_line_and_code_2(line, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.png").write_text("no image")
    (tmp_path / "bad.keras").write_text("no model")
    np.save(tmp_path / "bad.npy", np.zeros((3, 3)))
    before = sorted(path.name for path in tmp_path.iterdir())
    assert main(line) == 2
    message = capsys.readouterr().err
    assert sentence in message and message.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before, "nothing half-written"


@pytest.mark.parametrize(
    "line",
    [[], ["trian"], ["train"], ["train", "lenet5", "--epochs", "ten"], ["train", "lenet5", "--precision", "half"]],
)
def test_bad_usage_is_one_line_and_code_2(line, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(line)
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "--help" in message


def test_help_shows_examples():
    done = subprocess.run([sys.executable, "-m", "astrokeras", "--help"], capture_output=True, text=True, check=True)
    assert "astrokeras train lenet5 --epochs 5" in done.stdout
    for command in ("demo", "doctor", "list", "train", "predict"):
        assert f"\n    {command}" in done.stdout


def test_ctrl_c_says_how_to_go_on(monkeypatch, capsys):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("astrokeras.training.train", stop)
    monkeypatch.setattr("astrokeras.training.compare", stop)
    monkeypatch.setattr("astrokeras.challenges.sdc1.detect", stop)
    assert main(["train", "lenet5"]) == 130
    assert "goes on from its last whole epoch" in capsys.readouterr().err
    assert main(["sdc1", "detect"]) == 130
    assert "goes on from its last tiles" in capsys.readouterr().err
    assert main(["compare", "lenet5"]) == 130
    assert capsys.readouterr().err == "astrokeras compare: stopped\n"


def test_compare_prints_a_table(tmp_path, rng, capsys):
    data = small_set(tmp_path / "two.npz", rng)
    line = ["compare", "lenet5", "resnet:depth=20", "--data", str(data), "--epochs", "1", "--batch-size", "16"]
    assert main(line) == 0
    shown = capsys.readouterr().out
    for word in ("lenet5", "resnet:depth=20", "accuracy", "parameters", "multiply-adds", "training s", "prediction s"):
        assert word in shown
    assert main(["compare", "lenet", "--data", str(data)]) == 2
    assert "one of lenet5" in capsys.readouterr().err


def test_predict_labels_and_values(tmp_path, rng, capsys):
    spectra = rng.random((8, 1024, 3)).astype("float32")
    np.save(tmp_path / "one.npy", spectra[0])
    np.savez(tmp_path / "m.npz", x_train=spectra, y_train=np.ones((8, 3), int), x_test=spectra, y_test=np.eye(8)[:, :3])
    out = str(tmp_path / "m.keras")
    assert (
        main(["train", "molecular_spectra_cnn", "--data", str(tmp_path / "m.npz"), "--epochs", "1", "--out", out]) == 0
    )
    assert "macro F1" in capsys.readouterr().out
    assert main(["predict", out, str(tmp_path / "one.npy"), "--top", "3"]) == 0
    shown = capsys.readouterr().out
    assert "label" in shown and len([line for line in shown.splitlines() if " 0." in line or " 1." in line]) == 3
    assert main(["predict", out, str(tmp_path / "one.npy"), "--top", "4"]) == 2

    small = rng.random((8, 8, 8, 1)).astype("float32")
    np.save(tmp_path / "two.npy", small[0])
    np.savez(tmp_path / "v.npz", x_train=small, y_train=rng.random((8, 2)), x_test=small, y_test=rng.random((8, 2)))
    out = str(tmp_path / "v.keras")
    assert main(["train", "extinction_cnn", "--data", str(tmp_path / "v.npz"), "--epochs", "1", "--out", out]) == 0
    assert "rmse" in capsys.readouterr().out
    assert main(["predict", out, str(tmp_path / "two.npy")]) == 0
    assert "value" in capsys.readouterr().out


def test_predict_prints_the_top_5_of_darknet19(tmp_path, rng, capsys, monkeypatch):
    model = astrokeras.applications.darknet19((32, 32, 3))
    model.save_weights(tmp_path / "d.weights.h5")
    model.save(tmp_path / "d.keras")
    Image.fromarray(rng.integers(0, 256, (50, 40, 3)).astype("uint8")).save(tmp_path / "photo.jpg")

    def names(predictions, top):
        return [[(f"n{i}", f"thing {i}", share) for i, share in enumerate(predictions[0])][:top]]

    monkeypatch.setattr("keras.applications.imagenet_utils.decode_predictions", names)
    for weights in ("d.keras", "d.weights.h5"):
        assert main(["predict", "darknet19", "--weights", str(tmp_path / weights), str(tmp_path / "photo.jpg")]) == 0
        assert capsys.readouterr().out.count("thing ") == 5
