import numpy as np
import pytest
import rich.console
from matplotlib.figure import Figure

import astrokeras
from astrokeras import plots

MATRIX = np.array([[9, 1, 0], [2, 6, 0], [0, 0, 0]])


def text_of(renderable):
    console = rich.console.Console(width=100)
    with console.capture() as captured:
        console.print(renderable)
    return captured.get()


def test_margins_by_hand():
    recall, precision, accuracy = plots.margins(MATRIX)
    np.testing.assert_allclose(recall, [0.9, 0.75, np.nan])
    np.testing.assert_allclose(precision, [9 / 11, 6 / 7, np.nan])
    assert accuracy == 15 / 18


def test_figure_shows_counts_recall_precision_and_accuracy(tmp_path):
    figure = plots.confusion_matrix(MATRIX, ["cat", "dog", "cow"], "pets")
    assert isinstance(figure, Figure)
    axes = figure.axes[0]
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    assert texts[(0, 0)] == "9" and texts[(1, 0)] == "1" and texts[(0, 1)] == "2"
    assert texts[(3, 0)] == "90.00%" and texts[(0, 3)] == "81.82%" and texts[(3, 2)] == "-"
    assert axes.get_title() == "pets, accuracy 83.33% of 18"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["cat", "dog", "cow", "recall"]
    figure.savefig(tmp_path / "figure.png")


def test_table_shows_the_same():
    lines = text_of(plots.confusion_table(MATRIX)).splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.strip()}
    assert rows["0"] == ["9", "1", "0", "90.00%"]
    assert rows["precision"] == ["81.82%", "85.71%", "-", "83.33%"]


def test_perfect_is_not_rounded_up():
    assert "99.99%" in text_of(plots.confusion_table(np.array([[9999, 1], [0, 10]])))
    assert "100%" in text_of(plots.confusion_table(np.array([[3, 0], [0, 3]])))


def test_layer_table_and_description():
    model = astrokeras.Network((8, 8, 1)).conv(4, 3, 2).batch_norm().build()
    assert plots.describe_layer(model.layers[1]) == ("conv1", "Conv2D", "3x3 / 2x2", "relu_leaky", "(4, 4, 4)", "40")
    assert "56" in text_of(plots.layer_table(model.layers[1:])).splitlines()[-2]


@pytest.mark.parametrize("draw", [plots.confusion_matrix, plots.confusion_table])
def test_refusals(draw):
    with pytest.raises(ValueError, match=r"Expected a matrix \(classes, classes\)"):
        draw(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="Expected 3 names"):
        draw(MATRIX, ["a"])


def test_print_table_cuts_nothing_in_a_narrow_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    plots.print_table(
        plots.confusion_table(np.diag(np.arange(100000, 100020)), [f"class number {i}" for i in range(20)])
    )
    shown = capsys.readouterr().out
    assert "…" not in shown and shown.count("class number 19") == 2 and "100019" in shown


def test_label_table_and_figure(rng):
    truth = rng.integers(0, 2, (30, 3))
    shown = text_of(plots.label_table(truth, truth.astype(float), 0.25, ["CO", "HCN", "CH3OH"], "species"))
    assert "species" in shown and "CH3OH" in shown and "0.25" in shown and shown.count("1.0000") == 12
    figure = plots.label_scores(truth, 1.0 - truth, names=["CO", "HCN", "CH3OH"])
    assert isinstance(figure, Figure) and "macro F1 0.000 of 30" in figure.axes[0].get_title()


def test_residual_table_and_figure(rng):
    truth = rng.normal(size=(50, 40))
    truth[3, :] = np.nan
    table = plots.residual_table(truth, truth + 0.5)
    assert table.row_count == 21
    shown = text_of(plots.residual_table(truth[:, :2], truth[:, :2] + 0.5, ["flux", "size"], "fit"))
    assert "flux" in shown and shown.count("0.5") >= 6
    figure = plots.residuals(truth, truth + 0.5, "fit")
    assert [axes.get_xlabel() for axes in figure.axes] == ["true", "predicted - true", "output"]
    assert figure.get_suptitle() == "fit, rmse 0.5 on 50 examples"
    assert len(plots.residuals(truth[:, :1], truth[:, :1]).axes) == 2
    with pytest.raises(ValueError, match=r"truth and prediction \(n, outputs\)"):
        plots.residuals(truth, truth[:, :3])


def test_image_grid(rng):
    images, labels = rng.integers(0, 256, (12, 8, 8, 3)).astype("uint8"), np.arange(12) % 3
    figure = plots.image_grid(images, labels, ["a", "b", "c"], columns=5)
    assert len(figure.axes) == 15 and sum(bool(axes.images) for axes in figure.axes) == 12
    np.testing.assert_array_equal(figure.axes[5].images[0].get_array(), images[1])
    assert figure.axes[5].get_ylabel() == "b"
    assert plots.image_grid(images[..., :1], labels).axes[0].get_ylabel() == "0"
    with pytest.raises(ValueError, match=r"images \(n, y, x, 1 or 3\)"):
        plots.image_grid(images, labels[:5])
