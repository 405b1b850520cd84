"""Figures of training, of boxes and of batches: what is drawn, where, in which words."""

import itertools

import keras
import numpy as np
import pytest
from matplotlib.colors import to_rgb

import astrokeras
from astrokeras import boxes as geometry
from astrokeras import plots
from astrokeras.detections import Detections
from astrokeras.plots import style

# Machado, Oliveira & Fernandes 2009: what eyes without one kind of cone see, in linear RGB
COLOUR_BLIND = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
}


def lab(linear):
    """Return CIELAB of linear sRGB."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(to_xyz @ np.clip(linear, 0, 1) / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("kind", COLOUR_BLIND)
def test_colours_differ_for_colour_blind_eyes(kind):
    def seen(colour):
        linear = np.array([c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)])
        return lab(np.array(COLOUR_BLIND[kind]) @ linear)

    def nearest(colours):
        return min(np.linalg.norm(seen(a) - seen(b)) for a, b in itertools.combinations(colours, 2))

    assert nearest(style.COLOURS) > 15
    red, green = "#d73027", "#1a9850"
    assert nearest([red, green]) < 30 < nearest([style.SKY, style.VERMILION, style.YELLOW])


def test_colours_of_a_count():
    assert style.colours_of(3).tolist() == [list(to_rgb(colour)) for colour in style.COLOURS[:3]]
    assert len(np.unique(style.colours_of(80), axis=0)) == 80 and style.colours_of(0).shape == (0, 3)
    assert (style.box_colour(0, 1) < style.box_colour(0, 2)).any() and len({*map(str, map(box, range(-2, 30)))}) == 32


def box(label):
    return style.box_colour(label, 2).round(3)


# --- training ------------------------------------------------------------------------------------------------------

HISTORY = {
    "accuracy": [0.5, 0.8, 0.9],
    "loss": [100.0, 5.0, 1.0],
    "val_loss": [90.0, 4.0, 8.0],
    "val_accuracy": [0.4, np.nan, 0.7],
    "learning_rate": [1e-3, 1e-3, 1e-4],
}


def points(line):
    return line.get_xdata().tolist(), line.get_ydata().tolist()


def test_training_curves_of_one_run():
    figure = plots.training_curves(HISTORY, title="digits")
    loss, accuracy, rate = figure.axes
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy", "learning rate"]
    assert {axes.get_xlabel() for axes in figure.axes} == {"epoch"}
    assert [line.get_linestyle() for line in loss.lines] == ["-", "--", "None"]
    assert points(loss.lines[0]) == ([1, 2, 3], [100, 5, 1]) and points(loss.lines[2]) == ([2], [4])
    assert points(accuracy.lines[1]) == ([1, 3], [0.4, 0.7])  # without the NaN
    assert [axes.get_yscale() for axes in figure.axes] == ["log", "linear", "linear"]
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert said == ["training", "validation", "lowest validation loss"] and figure.get_suptitle() == "digits"
    assert len(rate.lines) == 1
    figure.draw_without_rendering()


def test_training_curves_of_keras_and_of_a_file(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    x = np.ones((8, 2), "float32")
    log = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    history = model.fit(x, x[:, :1], epochs=4, initial_epoch=2, validation_split=0.25, verbose=0, callbacks=[log])
    loss = plots.training_curves(history).axes[0]
    assert points(loss.lines[0]) == ([3, 4], history.history["loss"])
    columns = np.genfromtxt(tmp_path / "log.csv", delimiter=",", names=True)
    read = plots.training_curves({name: columns[name] for name in columns.dtype.names})
    assert [axes.get_ylabel() for axes in read.axes] == ["loss", "mae"]
    np.testing.assert_allclose(read.axes[0].lines[1].get_data(), loss.lines[1].get_data(), rtol=1e-6)


def test_training_curves_of_several_runs():
    figure = plots.training_curves({"adam": HISTORY, "sgd": {"loss": [3, 2]}}, ["loss"])
    (axes,) = figure.axes
    labels = [line.get_label() for line in axes.lines]
    assert labels == ["adam, training", "adam, validation", "lowest validation loss", "sgd, training"]
    assert axes.lines[0].get_color() is not axes.lines[3].get_color()
    assert (axes.lines[0].get_color() == axes.lines[1].get_color()).all()
    assert points(axes.lines[3]) == ([1, 2], [3, 2])


def test_training_curves_refuse():
    with pytest.raises(ValueError, match="Expected names among loss, accuracy, learning_rate; received mae"):
        plots.training_curves(HISTORY, ["mae"])
    with pytest.raises(ValueError, match="one epoch or more; received 0 epochs"):
        plots.training_curves({"loss": []})
    with pytest.raises(ValueError, match=r"quantity of 'b', .* received 2 epochs and \{'accuracy': 1\}"):
        plots.training_curves({"a": HISTORY, "b": {"loss": [1, 2], "accuracy": [1]}})
    with pytest.raises(ValueError, match="a dict of those by name; received list"):
        plots.training_curves([1, 2])


# --- boxes ---------------------------------------------------------------------------------------------------------


def drawn(axes):
    """Return the corners (x_min, y_min, x_max, y_max) of the boxes by their colour, as text, and line."""
    found = {}
    for collection in axes.collections:
        extents = [path.get_extents().extents.tolist() for path in collection.get_paths()]
        line = "-" if collection.get_linestyle()[0][1] is None else "--"
        found.setdefault((str(collection.get_edgecolor()[0][:3].round(2)), line), []).extend(extents)
    return found


def key(part):
    return str(np.array(to_rgb(style_of(part)["edgecolor"])).round(2)), style_of(part)["linestyle"]


def style_of(part):
    from astrokeras.plots.suppression_steps import SAID

    return SAID[part]


FOUND = Detections(
    [[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [0, 1, 10, 11], [0, 0, 10, 10]],
    [0.6, 0.9, 0.3, 0.5, 0.2],
    [0, 0, 0, 0, 1],
    class_names=["cat", "dog"],
)


def test_suppression_steps_by_hand():
    figure = plots.suppression_steps(np.zeros((12, 32)), FOUND, title="pets")
    assert [axes.get_title() for axes in figure.axes] == [
        "5 boxes", "1. take cat 0.90", "2. take cat 0.30", "3. take dog 0.20", "3 kept",
    ]  # fmt: skip
    everything, first, second, third, last = figure.axes
    assert drawn(everything) == {key("waits"): FOUND.boxes.tolist()}
    assert drawn(first)[key("the best that waits")] == [[1, 0, 11, 10]]
    assert drawn(first)[key("removed by it")] == [[0, 0, 10, 10], [0, 1, 10, 11]]
    assert drawn(first)[key("waits")] == [[20, 0, 30, 10], [0, 0, 10, 10]]
    assert drawn(second)[key("kept")] == [[1, 0, 11, 10]] and key("removed by it") not in drawn(second)
    assert drawn(third)[key("the best that waits")] == [[0, 0, 10, 10]] and key("waits") not in drawn(third)
    assert drawn(last) == {key("kept"): [[1, 0, 11, 10], [20, 0, 30, 10], [0, 0, 10, 10]]}
    assert [axes.get_xlabel() for axes in figure.axes[1:3]] == ["removes 2: IoU 0.82, 0.68", "removes none"]
    assert figure.get_suptitle() == "pets: suppression of boxes with IoU > 0.5"
    assert everything.get_xlabel() == "x (pixels)" and everything.get_xlim() == (0, 32)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(
        plots.suppression_steps.__globals__["SAID"]
    )
    figure.draw_without_rendering()


def test_suppression_steps_between_classes_and_few_steps():
    figure = plots.suppression_steps(None, FOUND, other_threshold=0.6, kind="giou", steps=1)
    assert [axes.get_title() for axes in figure.axes] == ["5 boxes", "1. take cat 0.90", "2 kept"]
    assert figure.axes[1].get_xlabel().startswith("removes 3: GIoU 0.82, 0.82, 0.6")
    assert figure.axes[-1].get_xlabel() == "after 1 more step"
    assert figure.get_suptitle() == "suppression of boxes with GIoU > 0.5 (another class: > 0.6)"


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("other", [None, 0.3])
def test_suppression_steps_keep_what_suppress_keeps(rng, dims, other):
    low = rng.uniform(0, 12, (20, dims))
    found = Detections(np.hstack([low, low + rng.uniform(4, 9, (20, dims))]), rng.random(20), rng.integers(0, 2, 20))
    settings = {"threshold": 0.2, "other_threshold": other, "kind": "diou"}
    figure = plots.suppression_steps(rng.random((32,) * dims), found, steps=50, **settings)
    kept = geometry.suppress(found.boxes, found.scores, found.labels, **settings)
    assert len(figure.axes) == len(kept) + 2
    removed = []
    for axes, best in zip(figure.axes[1:-1], kept, strict=True):
        assert f"{found.scores[best]:.2f}" in axes.get_title()
        removed += [len(c.get_paths()) for c in axes.collections if c.get_linestyle()[0][1] is not None]
    assert sum(removed) == 20 - len(kept)
    corners = found.boxes[kept][:, [0, dims] if dims == 1 else [0, 1, dims, dims + 1]]
    shown = np.concatenate(list(drawn(figure.axes[-1]).values()))
    np.testing.assert_allclose(shown[:, ::2] if dims == 1 else shown, corners)


def test_suppression_steps_refuse():
    with pytest.raises(ValueError, match="at least one box and steps >= 1; received 0 boxes"):
        plots.suppression_steps(None, Detections.empty())
    with pytest.raises(ValueError, match="steps=0"):
        plots.suppression_steps(None, FOUND, steps=0)
    with pytest.raises(ValueError, match="image of 2 axes"):
        plots.suppression_steps(np.zeros(4), FOUND)
    with pytest.raises(ValueError, match="threshold from -1 to 1; received 3"):
        plots.suppression_steps(None, FOUND, threshold=3)
    with pytest.raises(ValueError, match="origin to be 'upper' or 'lower'"):
        plots.suppression_steps(None, FOUND, origin="left")


def test_difficult_objects_are_dashed():
    targets = {"boxes": np.array([[0, 0, 4, 4], [5, 5, 9, 9], [0, 0, 0, 0]]), "labels": np.array([1, 1, -1])}
    targets["difficult"] = np.array([0, 2, 0])
    figure = plots.detections(np.zeros((12, 12)), None, targets)
    boxes = {line: some for (_, line), some in drawn(figure.axes[0]).items()}
    assert boxes == {"-": [[0, 0, 4, 4]], "--": [[5, 5, 9, 9]]}
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert said == ["class 1: 2 true", "difficult"] and figure.axes[0].get_title() == "2 true"
    both = plots.detections(np.zeros((12, 12)), Detections([[0, 0, 4, 5]], [0.5], [1]), targets)
    patterns = {
        tuple(c.get_paths()[0].get_extents().extents): c.get_linestyle()[0][1] for c in both.axes[0].collections
    }
    assert patterns[(0, 0, 4, 5)] is None
    assert patterns[(0, 0, 4, 4)] is not None and patterns[(0, 0, 4, 4)] != patterns[(5, 5, 9, 9)]
    said = [text.get_text() for text in both.legends[0].get_texts()]
    assert said == ["class 1: 1 found, 2 true", "true", "difficult"]


def test_prior_sizes_by_hand():
    boxes = [[0, 0, 10, 10], [0, 0, 20, 10], [5, 5, 45, 45], [0, 0, 10, 40]]
    figure = plots.prior_sizes(boxes, [[10, 10], [40, 40]], "pets")
    sizes, priors, overlaps = figure.axes
    assert figure.get_suptitle() == "pets: 2 priors, 4 boxes, mean IoU 0.688"  # (1 + 0.5 + 1 + 0.25) / 4
    order = np.random.default_rng(0).permutation(4)
    np.testing.assert_array_equal(
        sizes.collections[0].get_offsets(), np.array([[10, 10], [20, 10], [40, 40], [10, 40]])[order]
    )
    colours = sizes.collections[0].get_facecolors()[:, :3]
    np.testing.assert_allclose(colours, style.colours_of(2)[np.array([0, 0, 1, 0])[order]])
    assert [points(line) for line in sizes.lines[:2]] == [([10], [10]), ([40], [40])]
    assert [patch.get_bbox().extents.tolist() for patch in priors.patches] == [[-20, -20, 20, 20], [-5, -5, 5, 5]]
    said = [text.get_text() for text in priors.get_legend().get_texts()]
    assert said == ["10 × 10: 75 %", "40 × 40: 25 %"]
    assert sum(patch.get_height() for patch in overlaps.patches if patch.get_width() > 0) == 4
    assert [axes.get_xlabel() for axes in figure.axes][::2] == ["width (pixels)", "IoU with the prior, centres aligned"]
    figure.draw_without_rendering()


def test_prior_sizes_agree_with_the_priors_of_kmeans(rng):
    boxes = np.hstack([np.zeros((200, 2)), rng.uniform(5, 60, (200, 2))])
    one, many = (plots.prior_sizes(boxes, geometry.kmeans_priors(boxes, k)).get_suptitle() for k in (1, 9))
    assert float(one.split()[-1]) < 0.6 < 0.7 < float(many.split()[-1])


def test_prior_sizes_in_other_dimensions(rng):
    low = rng.uniform(0, 9, (30, 3))
    boxes = np.hstack([low, low + rng.uniform(2, 30, (30, 3))])
    figure = plots.prior_sizes(boxes, [[5, 5, 5], [20, 20, 20]])
    assert [axes.get_ylabel() for axes in figure.axes] == ["height (pixels)", "depth (pixels)", "y (pixels)", "boxes"]
    figure = plots.prior_sizes(boxes[:, [0, 3]], [[5], [20]])
    assert [axes.get_ylabel() for axes in figure.axes] == ["boxes", "boxes"] and len(figure.axes[0].lines) == 2
    figure.draw_without_rendering()


def test_prior_sizes_refuse():
    with pytest.raises(
        ValueError, match=r"priors \(priors, dims\) of the same dims; received shapes \(1, 4\) and \(1, 3\)"
    ):
        plots.prior_sizes([[0, 0, 1, 1]], [[1, 1, 1]])
    with pytest.raises(ValueError, match=r"boxes of sizes above 0; number 1 has \[1.0, 0.0\]"):
        plots.prior_sizes([[0, 0, 1, 1], [0, 0, 1, 0]], [[1, 1]])
    with pytest.raises(ValueError, match="priors of sizes above 0"):
        plots.prior_sizes([[0, 0, 1, 1]], [[-1, 1]])


# --- batches -------------------------------------------------------------------------------------------------------


def test_augmentation_mosaic_of_a_detector(rng):
    images = rng.integers(0, 256, (5, 40, 60, 3)).astype("float32")
    boxes = np.zeros((5, 2, 4))
    boxes[1, 0], boxes[4, :] = [5, 6, 20, 30], [[0, 0, 10, 10], [30, 2, 50, 12]]
    labels = np.full((5, 2), -1)
    labels[1, 0], labels[4] = 2, [0, 2]
    targets = {"boxes": boxes, "labels": labels, "difficult": np.array([[0, 0]] * 4 + [[0, 1]])}
    figure = plots.augmentation_mosaic(images, targets, ["cat", "dog", "cow"], columns=2)
    (axes,) = figure.axes
    sheet = axes.images[0].get_array()
    gap = 2  # 3 % of 60
    assert sheet.shape == (3 * 40 + 2 * gap, 2 * 60 + gap, 3)
    np.testing.assert_allclose(sheet[42:82, 62:122], images[3] / 255, rtol=1e-6)
    assert (sheet[:, 60:62] == 1).all() and (sheet[84:, 62:] == 1).all()
    found = drawn(axes)
    assert found[(str(box(0).round(2)), "-")] == [[0, 84, 10, 94]]
    assert found[(str(box(2).round(2)), "-")] == [[67, 6, 82, 30]]  # image 1: right of image 0
    assert found[(str(box(2).round(2)), "--")] == [[30, 86, 50, 96]]
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert said == ["cat: 1", "cow: 2", "difficult: 1"]
    assert axes.get_title() == "as the network sees it: 5 images of 60 × 40 pixels, values in 0..255"
    figure.draw_without_rendering()


def test_augmentation_mosaic_of_a_classifier():
    images = np.linspace(-1, 1, 4 * 8 * 8).reshape(4, 8, 8, 1)
    figure = plots.augmentation_mosaic(images, np.array([0, 1, 1, 7]), ["cat", "dog"], title="")
    texts = {text.get_text(): text.get_position() for text in figure.axes[0].texts}
    assert texts == {"cat": (0, 0), "dog": (0, 9), "class 7": (9, 9)}
    assert figure.axes[0].get_title() == "4 images of 8 × 8 pixels, values in -1..1"
    assert figure.axes[0].images[0].get_array()[0, 0].tolist() == [0, 0, 0]
    assert "0..1" in plots.augmentation_mosaic(images.clip(0)).axes[0].get_title()
    assert "0..255" in plots.augmentation_mosaic((images > 0).astype("uint8")).axes[0].get_title()


def test_augmentation_mosaic_of_a_real_batch_and_of_cubes(rng):
    train, _ = astrokeras.datasets.simulated_scenes(train=6, test=1, size=32)
    images, targets = astrokeras.datasets.DetectionDataset(train, batch_size=6)[0]
    figure = plots.augmentation_mosaic(images, targets, train.class_names)
    assert sum(len(c.get_paths()) for c in figure.axes[0].collections) == (targets["labels"] >= 0).sum()
    cubes = np.zeros((2, 4, 8, 6, 1))
    cubes[1, 2, 3, 5] = 1
    objects = [{"boxes": np.zeros((0, 6)), "labels": []}, {"boxes": [[1, 2, 0, 4, 6, 3]], "labels": [0]}]
    figure = plots.augmentation_mosaic(cubes, objects)
    assert list(drawn(figure.axes[0]).values()) == [[[8, 2, 11, 6]]]  # 6 pixels and a gap of 1 to the right
    assert figure.axes[0].images[0].get_array()[3, 12, 0] == 1 and "6 × 8 × 4 pixels" in figure.axes[0].get_title()


def test_augmentation_mosaic_refuses():
    images = np.zeros((2, 8, 8, 1))
    with pytest.raises(ValueError, match=r"with n > 0 and columns >= 1; received shape \(2, 8, 8\)"):
        plots.augmentation_mosaic(images[..., 0, :][..., 0][:, :, None] * np.ones(8))
    with pytest.raises(ValueError, match="targets for 2 images; received 3"):
        plots.augmentation_mosaic(images, [0, 1, 2])
    with pytest.raises(ValueError, match=r"class numbers \(2,\); received float64"):
        plots.augmentation_mosaic(images, [0.5, 0.1])
    with pytest.raises(ValueError, match="targets for 2 images; received {'boxes': 1, 'labels': 1}"):
        plots.augmentation_mosaic(images, {"boxes": np.zeros((1, 1, 4)), "labels": [[0]]})
    with pytest.raises(ValueError, match=r"boxes \(1, 4\), one per label; image 1 has \(1, 6\)"):
        plots.augmentation_mosaic(images, [{"boxes": [], "labels": []}, {"boxes": [[0] * 6], "labels": [0]}])
