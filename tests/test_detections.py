from typing import NamedTuple

import numpy as np
import pytest
from astropy import units
from astropy.table import QTable
from matplotlib.figure import Figure

from astrokeras import detections as interchange
from astrokeras import plots
from astrokeras.detections import Detections
from astrokeras.survey import write_catalogue


class Named(NamedTuple):
    """What `Detections` uses of a `Parameter`."""

    name: str
    unit: str | None = None


PARAMETERS = (Named("flux", "Jy"), Named("angle", "deg"), Named("ratio"))


@pytest.fixture
def found():
    return Detections(
        [[0, 0.5, 4, 4], [3, 1, 9, 5.25], [1, 1, 2, 2]],
        [0.9, 0.1, 0.4],
        [1, 0, 7],
        probability=[0.95, 0.2, 0.5],
        objectness=[0.8, 0.1, 0.3],
        priors=[2, 0, 1],
        params=[[1e-6, 30, 0.1], [2e-6, 60, 0.2], [3e-6, 90, 0.3]],
        class_names=["cat", "dog"],
        parameters=PARAMETERS,
    )


def test_types_and_defaults(found):
    plain = Detections([[0, 1, 2, 3, 4, 5]], [0.25])
    assert plain.boxes.dtype == plain.scores.dtype == plain.params.dtype == "float32" and plain.labels.dtype == "int64"
    assert plain.labels.tolist() == [0] and plain.priors.tolist() == [-1] and plain.params.shape == (1, 0)
    assert plain.probability.tolist() == plain.objectness.tolist() == [0.25] and plain.dims == 3
    assert repr(plain) == "Detections(1 box in 3-D, best score 0.25)" and plain.name_of(0) == "0"
    assert len(found) == 3 and found.name_of(1) == "dog" and found.name_of(7) == "7"
    with pytest.raises(AttributeError, match="cannot assign"):
        plain.scores = np.zeros(1)


def test_empty():
    nothing = Detections.empty(1, ["star"], PARAMETERS)
    assert len(nothing) == 0 and nothing.boxes.shape == (0, 2) and nothing.params.shape == (0, 3)
    assert repr(nothing) == "Detections(0 boxes in 1-D)" and len(nothing[[]]) == 0
    assert len(nothing.to_table()) == 0 and nothing.to_dict()["boxes"].shape == (0, 2)


@pytest.mark.parametrize("index", [[0, 2], np.array([True, False, True]), slice(None, None, 2), np.array([0, 2])])
def test_indexing_keeps_everything(found, index):
    some = found[index]
    for name in ("boxes", "scores", "labels", "probability", "objectness", "priors", "params"):
        np.testing.assert_array_equal(getattr(some, name), getattr(found, name)[[0, 2]])
    assert some.class_names == ("cat", "dog") and some.parameters == PARAMETERS


def test_one_by_one_and_in_order(found):
    assert [one.scores[0] for one in found] == found.scores.tolist()
    assert found[-1].labels.tolist() == [7] and len(found[np.int64(1)]) == 1
    assert found[np.argsort(-found.scores)].labels.tolist() == [1, 7, 0]
    with pytest.raises(IndexError):
        _ = found[3]


def test_table_has_units_names_and_survives_a_file(found, tmp_path):
    table = found.to_table()
    assert table.colnames[:8] == ["x_min", "y_min", "x_max", "y_max", "score", "label", "class_name", "probability"]
    assert table.colnames[8:] == ["objectness", "prior", "flux", "angle", "ratio"]
    table.write(tmp_path / "found.ecsv")
    again = QTable.read(tmp_path / "found.ecsv")
    for read in (table, again):
        assert read["y_max"].unit == units.pixel and read["flux"].unit == units.Jy and read["angle"].unit == units.deg
        np.testing.assert_array_equal(read["x_max"].value, found.boxes[:, 2])
        np.testing.assert_array_equal(read["flux"].to_value(units.uJy), np.float32([1, 2, 3]))
        np.testing.assert_array_equal(read["ratio"], found.params[:, 2])
        np.testing.assert_array_equal(read["score"], found.scores)
        assert list(read["class_name"]) == ["dog", "cat", "7"] and list(read["prior"]) == [2, 0, 1]
        assert read["x_min"].info.description == "lower edge along x" and read["score"].info.description
        assert read.meta["class_names"] == ["cat", "dog"] and "pixel i covers" in read.meta["boxes"]
        assert read["x_min"].dtype == read["score"].dtype == "float32"


def test_table_shows_few_digits_and_writes_all(tmp_path):
    third = Detections([[1 / 3, 1, 1234 + 2 / 3, 2]], [2 / 3], params=[[1e-6 / 7]], parameters=PARAMETERS[:1])
    table = third.to_table()
    shown = table["x_min", "x_max", "score", "flux"].pformat()[-1].split()
    assert shown == ["0.333333", "1234.67", "0.666667", "1.42857e-07"]
    write_catalogue(table, tmp_path / "catalogue.csv")
    for name in ("found.ecsv", "found.fits"):
        table.write(tmp_path / name)
    for name in ("found.ecsv", "found.fits", "catalogue.csv"):
        read = QTable.read(tmp_path / name)
        for column, value in (("x_min", 1 / 3), ("x_max", 1234 + 2 / 3), ("score", 2 / 3), ("flux", 1e-6 / 7)):
            assert np.float32(getattr(read[column], "value", read[column])[0]) == np.float32(value), (name, column)


def test_table_in_other_dimensions():
    assert Detections([[0, 4]], [1]).to_table().colnames[:3] == ["x_min", "x_max", "score"]
    cube = Detections([[0, 1, 2, 4, 5, 6]], [1], params=[[3.0]]).to_table()
    assert cube.colnames[:7] == ["x_min", "y_min", "z_min", "x_max", "y_max", "z_max", "score"]
    assert cube["z_min"].value == 2 and cube["param_0"] == 3 and "class_name" not in cube.colnames
    with pytest.raises(
        ValueError, match="Expected parameters named unlike the other columns; received a second 'score'"
    ):
        Detections([[0, 4]], [1], params=[[1.0]], parameters=[Named("score")]).to_table()


def test_torchvision_dict(found):
    given = found.to_dict()
    assert {name: array.dtype.name for name, array in given.items()} == {
        "boxes": "float32",
        "labels": "int64",
        "scores": "float32",
    }
    np.testing.assert_array_equal(given["boxes"], found.boxes)


# The box x 2..6, y 4..14 in an image of 20 rows and 10 columns, in each of KerasCV's formats.
FORMATS = {
    "xyxy": [2, 4, 6, 14],
    "yxyx": [4, 2, 14, 6],
    "xywh": [2, 4, 4, 10],
    "center_xywh": [4, 9, 4, 10],
    "rel_xyxy": [0.2, 0.2, 0.6, 0.7],
    "rel_yxyx": [0.2, 0.2, 0.7, 0.6],
    "rel_xywh": [0.2, 0.2, 0.4, 0.5],
    "rel_center_xywh": [0.4, 0.45, 0.4, 0.5],
}


@pytest.mark.parametrize("name", interchange.BOX_FORMATS)
def test_box_formats_by_hand(name):
    one = Detections([[2, 4, 6, 14]], [0.5], [3])
    alone = one.to_keras_cv(name, image_shape=(20, 10, 3))
    np.testing.assert_allclose(alone["boxes"], [FORMATS[name]], rtol=1e-6)
    assert alone["classes"] == [3] and alone["confidence"] == [0.5] and alone["num_detections"] == 1
    batch = interchange.to_keras_cv([one], 2, name, (20, 10))
    np.testing.assert_allclose(batch["boxes"], [[FORMATS[name], [-1] * 4]], rtol=1e-6)
    (again,) = interchange.from_keras_cv(batch, name, (20, 10), ["a", "b", "c", "d"])
    np.testing.assert_allclose(again.boxes, one.boxes, rtol=1e-6)
    assert again.labels == [3] and again.scores == [0.5] and again.class_names[3] == "d"
    theirs = {"boxes": np.array([[FORMATS[name], [-1] * 4]]), "classes": np.array([[3.0, -1]])}
    ours = interchange.targets_from_keras_cv(theirs, name, (20, 10))
    np.testing.assert_allclose(ours["boxes"], [[[2, 4, 6, 14], [0] * 4]], rtol=1e-6)
    assert ours["labels"].tolist() == [[3, -1]] and ours["labels"].dtype == "int32" and ours["boxes"].dtype == "float32"
    back = interchange.targets_to_keras_cv(ours | {"difficult": np.array([[1, 0]])}, name, (20, 10))
    np.testing.assert_allclose(back["boxes"], theirs["boxes"], rtol=1e-6)
    assert back["classes"].tolist() == [[3, -1]] and back["difficult"].tolist() == [[1, 0]] and "labels" not in back


def test_keras_cv_formats_agree_with_keras():
    """Keras core has the same converter."""
    from keras.utils.bounding_boxes import convert_format

    rng = np.random.default_rng(0)
    low = rng.uniform(0, 50, (2, 5, 2))
    boxes = np.concatenate([low, low + rng.uniform(1, 40, (2, 5, 2))], axis=-1).astype("float32")
    targets = {"boxes": boxes, "labels": np.zeros((2, 5), "int32")}
    for name in interchange.BOX_FORMATS:
        ours = interchange.targets_to_keras_cv(targets, name, (70, 90))["boxes"]
        theirs = np.asarray(convert_format(boxes, source="xyxy", target=name, height=70, width=90))
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_keras_cv_batches(found):
    batch = interchange.to_keras_cv([found, Detections.empty(), found[:1]])
    assert batch["boxes"].shape == (3, 3, 4) and batch["num_detections"].tolist() == [3, 0, 1]
    assert batch["classes"].tolist() == [[1, 0, 7], [-1] * 3, [1, -1, -1]] and batch["confidence"][2, 1] == -1
    again = interchange.from_keras_cv(batch)
    assert [len(one) for one in again] == [3, 0, 1]
    np.testing.assert_array_equal(again[0].boxes, found.boxes)
    cut = interchange.to_keras_cv([found], max_detections=2)
    assert cut["classes"].tolist() == [[1, 0]] and cut["num_detections"].tolist() == [2]
    assert interchange.to_keras_cv([])["boxes"].shape == (0, 0, 4)


def test_refused_formats(found):
    with pytest.raises(ValueError, match="Expected bounding_box_format to be one of xyxy, .*; received 'coco'"):
        found.to_keras_cv("coco")
    with pytest.raises(ValueError, match=r"Expected image_shape=\(y, x\) with the format 'rel_xyxy'"):
        found.to_keras_cv("rel_xyxy")
    with pytest.raises(ValueError, match=r"Expected 2-D boxes \(..., 4\), all that KerasCV knows; .* \(1, 2\)"):
        Detections([[0, 4]], [1]).to_keras_cv()
    with pytest.raises(ValueError, match=r"Expected boxes \(images, M, 4\)"):
        interchange.from_keras_cv({"boxes": np.zeros((2, 4)), "classes": np.zeros(2), "confidence": np.zeros(2)})


REFUSED = [
    (([[0, 1, 2]], [1]), {}, r"Expected boxes \(n, 2, 4 or 6\); received shape \(1, 3\)"),
    (([[0, 1]], [1, 2]), {}, r"Expected scores \(1,\), one per box; received shape \(2,\)"),
    (([[0, 1]], [1]), {"labels": [1, 2]}, r"Expected labels \(1,\), one per box; received shape \(2,\)"),
    (([[0, 1]], [1]), {"params": [1.0]}, r"Expected params \(1, P\), one per box; received shape \(1,\)"),
    (([[0, 1]], [1]), {"parameters": PARAMETERS}, "Expected params of 3 columns, one per parameter; received 0"),
    (
        ([[0, 1], [0, np.inf], [np.nan, 1]], [1] * 3),
        {},
        r"detection 1 has \[0.0, inf\] and score 1.0 \(2 of 3 are so\)",
    ),
    (([[0, 1]], [np.nan]), {}, "Expected finite boxes and scores; detection 0"),
]


@pytest.mark.parametrize(("given", "more", "sentence"), REFUSED)
def test_refusals(given, more, sentence):
    with pytest.raises(ValueError, match=sentence):
        Detections(*given, **more)


# --- figures -----------------------------------------------------------------------------------------------------


def corners(axes):
    """Return the corners of all drawn boxes: solid ones, then dashed ones."""
    solid, dashed = [], []
    for collection in axes.collections:
        for path in collection.get_paths():
            box = path.get_extents()
            (solid if collection.get_linestyle()[0][1] is None else dashed).append([box.x0, box.y0, box.x1, box.y1])
    return solid, dashed


def test_figure_of_an_image(found, rng):
    targets = {"boxes": np.array([[0, 0, 4, 4], [9, 9, 12, 12]]), "labels": np.array([1, -1])}
    image = rng.integers(0, 256, (12, 20, 3)).astype("uint8")
    figure = found.plot(image, targets=targets, title="pets")
    (axes,) = figure.axes
    solid, dashed = corners(axes)
    assert sorted(solid) == sorted(found.boxes.tolist()) and dashed == [[0, 0, 4, 4]]
    assert isinstance(figure, Figure) and axes.get_xlim() == (0, 20) and axes.get_ylim() == (12, 0)
    assert [text.get_text() for text in axes.texts] == ["dog 0.90", "cat 0.10", "class 7 0.40"]
    assert axes.get_title() == "pets: 3 found, 1 true"
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert said == ["cat: 1 found, 0 true", "dog: 1 found, 1 true", "class 7: 1 found, 0 true", "true"]
    np.testing.assert_array_equal(axes.images[0].get_array(), image)
    assert axes.images[0].get_extent() == [0, 20, 12, 0] and axes.images[0].get_clim() == (0, 255)
    figure.draw_without_rendering()


def test_figure_of_the_sky(rng):
    sky = rng.normal(size=(30, 40)).astype(">f4")  # big-endian, as FITS has it
    sky[0, 0], sky[5, 5] = np.nan, 1e6
    many = Detections(np.repeat([[2.0, 3, 8, 9]], 50, axis=0), np.linspace(1, 0, 50))
    (axes,) = plots.detections(sky, many, origin="lower").axes
    assert axes.get_ylim() == (0, 30) and not axes.texts and len(axes.collections) == 1
    shown = axes.images[0].get_array()
    assert shown.min() == 0 and shown.max() == 1 and np.median(np.asarray(shown)) == pytest.approx(0.47, abs=0.1)
    assert plots.detections(sky[..., None], many).axes[0].images[0].get_array().shape == (30, 40)
    five = plots.detections(np.stack([sky] * 5, axis=-1), None, {"boxes": many.boxes[:2], "labels": np.zeros(2)})
    assert five.axes[0].images[0].get_array().shape == (30, 40) and five.axes[0].get_title() == "2 true"


def test_figures_of_spectra_and_cubes(rng):
    lines = Detections([[10, 14], [30, 36]], [0.9, 0.5], [0, 1], class_names=["Na", "Ca"])
    figure = lines.plot(rng.random((50, 2)), targets={"boxes": [[9, 15]], "labels": [0]})
    solid, dashed = corners(figure.axes[0])
    assert [box[::2] for box in solid] == lines.boxes.tolist() and [box[::2] for box in dashed] == [[9, 15]]
    assert figure.axes[0].get_xlim() == (0, 50) and figure.axes[0].texts[1].get_text() == "Ca 0.50"
    figure.draw_without_rendering()
    cube = rng.random((5, 8, 10))
    cube[3, 2, 4], cube[1, 2, 4] = 9, np.nan
    figure = Detections([[3, 1, 2, 6, 4, 5]], [0.9]).plot(cube)
    assert corners(figure.axes[0])[0] == [[3, 1, 6, 4]] and figure.axes[0].texts[0].get_text() == "0.90"
    shown = figure.axes[0].images[0].get_array()
    assert shown.shape == (8, 10) and np.unravel_index(shown.argmax(), shown.shape) == (2, 4)


def test_figure_without_image_and_refusals(found):
    axes = found.plot().axes[0]
    assert not axes.images and axes.get_xlim() == (0, 9) and axes.get_ylim() == (5.25, 0)
    assert Detections.empty(2).plot(np.zeros((4, 4))).axes[0].get_title() == "0 found"
    assert Detections.empty(1).plot(np.zeros(4)).axes[0].get_title() == "0 found"
    with pytest.raises(ValueError, match="Expected detections or targets to draw"):
        plots.detections(np.zeros((4, 4)), None)
    with pytest.raises(ValueError, match="Expected origin to be 'upper' or 'lower'; received 'left'"):
        found.plot(np.zeros((4, 4)), origin="left")
    with pytest.raises(ValueError, match=r"Expected an image of 2 axes, .*; received shape \(4,\)"):
        found.plot(np.zeros(4))
