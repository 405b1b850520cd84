"""Sets of images with objects: readers of published formats, checks, sizes, statistics."""

import json
import tarfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from astrokeras import datasets, plots
from astrokeras.parameters import Parameter

OBJECT = "<object><name>{}</name>{}<bndbox>{}</bndbox></object>"
CORNERS = "<xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax>"


def save_image(path, size=(40, 30), value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path)


def voc(folder, annotations, split="train"):
    """Write a small VOC folder: {name: [(class, corners, difficult or None), ...]}."""
    for made in ("Annotations", "ImageSets/Main"):
        (folder / made).mkdir(parents=True, exist_ok=True)
    for i, (stem, objects) in enumerate(annotations.items()):
        save_image(folder / "JPEGImages" / f"{stem}.jpg", value=10 * i)
        rows = [
            OBJECT.format(name, "" if hard is None else f"<difficult>{hard}</difficult>", CORNERS.format(*corners))
            for name, corners, hard in objects
        ]
        text = f"<annotation><part><name>no object</name></part>{''.join(rows)}</annotation>"
        (folder / "Annotations" / f"{stem}.xml").write_text(text)
    (folder / "ImageSets/Main" / f"{split}.txt").write_text("\n".join(annotations) + "\n")
    return folder


def one_box(box, label=0, **more):
    return {"boxes": np.array([box], "float32"), "labels": np.array([label]), **more}


# ---- VOC


def test_voc_corners_names_and_difficult(tmp_path):
    voc(tmp_path, {"a": [("dog", (1, 2, 20, 30), None), ("cat", (5, 5, 6.5, 9), 1)], "b": []})
    train = datasets.voc_folder(tmp_path)
    image, objects = train[0]
    assert image.shape == (30, 40, 3) and image.dtype == np.uint8 and train.sizes.tolist() == [[40, 30]] * 2
    assert objects["boxes"].tolist() == [[0, 1, 20, 30], [4, 4, 6.5, 9]] and objects["boxes"].dtype == np.float32
    assert train.class_names == datasets.VOC_CLASSES and objects["labels"].tolist() == [11, 7]
    assert objects["difficult"].tolist() == [0, 1] and train.names == ["a.jpg", "b.jpg"]
    assert train[1][1]["boxes"].shape == (0, 4)
    plain = datasets.voc_folder(tmp_path, one_based=False, class_names=["cat", "dog"])
    assert plain.objects[0]["boxes"][0].tolist() == [1, 2, 20, 30] and plain.objects[0]["labels"].tolist() == [1, 0]


def test_voc_names_come_from_all_annotations(tmp_path):
    voc(tmp_path, {"b": [("star", (1, 1, 5, 5), 0)], "c": [("ring", (1, 1, 5, 5), 0)]}, "val")
    voc(tmp_path, {"a": [("dog", (1, 1, 5, 5), 0)]})
    assert datasets.voc_folder(tmp_path, "train").class_names == ("dog", "ring", "star")
    assert datasets.voc_folder(tmp_path, "val").class_names == ("dog", "ring", "star")
    assert len(datasets.voc_folder(tmp_path, None)) == 3
    with pytest.raises(ValueError, match=r"Expected classes among dog; .*b\.xml has 'star'"):
        datasets.voc_folder(tmp_path, "val", class_names=["dog"])


def test_degenerate_boxes_are_dropped_with_one_warning(tmp_path):
    boxes = [(9, 9, 4, 12), (7, 7, 7, 7), (50, 5, 60, 9), ("nan", 1, 5, 5), (30, 20, 41, 31), (30, 20, 60, 25)]
    voc(tmp_path, {"a": [("dog", (2, 2, 4, 4), 0)], "b": [("cat", box, 0) for box in boxes]})
    with pytest.warns(UserWarning) as told:
        found = datasets.voc_folder(tmp_path)
    assert len(told) == 1 and told[0].filename == __file__
    message = str(told[0].message)
    assert "Dropped 4 of 7 boxes" in message and "b.xml, object 0: [9.0, 9.0, 4.0, 12.0]" in message
    assert "Cut 1 at the edges" in message and "b.xml, object 5" in message  # object 4 is out by 1 pixel only
    assert found.objects[1]["boxes"].tolist() == [[29, 19, 40, 30], [29, 19, 40, 25]]
    with pytest.raises(ValueError, match=r"Expected boxes with min < max .*b\.xml, object 0"):
        datasets.voc_folder(tmp_path, invalid="raise")
    with pytest.raises(ValueError, match='invalid to be "drop" or "raise"'):
        datasets.voc_folder(tmp_path, invalid="keep")


def test_voc_names_what_is_wrong(tmp_path):
    voc(tmp_path, {"a": [("dog", (2, 2, 4, 4), 0)]})
    lists = tmp_path / "ImageSets" / "Main"
    with pytest.raises(FileNotFoundError, match=r"val\.txt"):
        datasets.voc_folder(tmp_path, "val")
    (lists / "empty.txt").write_text("\n")
    with pytest.raises(ValueError, match="Expected images in the split 'empty'"):
        datasets.voc_folder(tmp_path, "empty")
    (lists / "more.txt").write_text("a 1\nc -1\n")
    with pytest.raises(FileNotFoundError, match=r"the annotation of c; there is nothing at .*c\.xml"):
        datasets.voc_folder(tmp_path, "more")
    (tmp_path / "Annotations" / "c.xml").write_text("<annotation></annotation>")
    with pytest.raises(FileNotFoundError, match=r"the image of c; there is nothing at .*c\.jpg"):
        datasets.voc_folder(tmp_path, "more")
    (tmp_path / "JPEGImages" / "c.jpg").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"c\.jpg is missing, damaged"):
        datasets.voc_folder(tmp_path, "more")
    (tmp_path / "Annotations" / "a.xml").write_text("<annotation><object><name>dog</name></object></annotation>")
    with pytest.raises(ValueError, match=r"a\.xml, object 0 has others"):
        datasets.voc_folder(tmp_path)
    (tmp_path / "Annotations" / "a.xml").write_text("<annotation>")
    with pytest.raises(ValueError, match=r"a\.xml is damaged"):
        datasets.voc_folder(tmp_path)
    with pytest.raises(ValueError, match="is a file: unpack it first"):
        datasets.voc_folder(lists / "more.txt")


def test_a_written_voc_folder_reads_back_equal(tmp_path, rng):
    boxes = np.array([[0.25, 1, 7.125, 20], [3, 4, 5, 6]], "float32")
    objects = [{"boxes": boxes, "labels": [1, 0], "difficult": [0, 1]}, one_box([0, 0, 16, 24])]
    images = [rng.integers(0, 256, (24, 16, 3), "uint8"), rng.integers(0, 256, (24, 16, 1), "uint8")]
    train = datasets.DetectionSet(images, objects, ["star", "ring"], ["a.fits", "b"])
    train.write_voc(tmp_path, "train")
    train[1:].write_voc(tmp_path, "val")
    back = datasets.voc_folder(tmp_path, class_names=train.class_names)
    np.testing.assert_array_equal(back[0][0], images[0])
    assert (back[1][0] == images[1]).all() and len(datasets.voc_folder(tmp_path, "val")) == 1
    for ours, theirs in zip(train.objects, back.objects, strict=True):
        for key in ("boxes", "labels", "difficult"):
            np.testing.assert_array_equal(ours[key], theirs[key])
    with pytest.raises(ValueError, match="Expected uint8 images"):
        datasets.DetectionSet(np.zeros((1, 4, 4, 3)), objects[1:], ["star"]).write_voc(tmp_path)
    with pytest.raises(ValueError, match="Expected labels of the 0 class_names"):
        datasets.DetectionSet(images[1:], objects[1:]).write_voc(tmp_path)
    with pytest.raises(ValueError, match="images of different names"):
        datasets.DetectionSet(images, objects, ["star", "ring"], ["a.png", "a.jpg"]).write_voc(tmp_path)


@pytest.mark.data
def test_bccd_as_published(real_data, tmp_path):
    with tarfile.open(Path(real_data) / "bccd_voc.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    with pytest.warns(UserWarning, match=r"Dropped 1 .*BloodImage_00343\.xml, object 3"):
        train = datasets.voc_folder(tmp_path / "BCCD", "train")
    test = datasets.voc_folder(tmp_path / "BCCD", "test")
    assert train.class_names == test.class_names == ("Platelets", "RBC", "WBC")
    assert len(train) == 205 and len(test) == 72 and test[3][0].shape == (480, 640, 3)
    assert train.statistics().per_class.tolist() == [209, 2381, 214] and sum(test.statistics().per_class) == 945


# ---- COCO, YOLO text, CIANNA


def coco(folder, **changes):
    content = {
        "images": [{"id": 7, "file_name": "a.png", "width": 40, "height": 30}, {"id": 3, "file_name": "b.png"}],
        "categories": [{"id": 90, "name": "star"}, {"id": 4, "name": "ring"}],
        "annotations": [
            {"image_id": 3, "category_id": 90, "bbox": [1, 2, 10, 20]},
            {"image_id": 7, "category_id": 4, "bbox": [0.5, 1, 2, 3], "iscrowd": 1},
            {"image_id": 3, "category_id": 4, "bbox": [5, 6, 7, 8], "iscrowd": 0},
        ],
    }
    content["images"][1] |= {"width": 40, "height": 30}
    for picture in content["images"]:
        save_image(folder / picture["file_name"], value=picture["id"])
    (folder / "set.json").write_text(json.dumps(content | changes))
    return folder / "set.json"


def test_coco_json(tmp_path):
    found = datasets.coco_json(coco(tmp_path), tmp_path)
    assert found.class_names == ("ring", "star") and found.names == ["a.png", "b.png"]
    assert found.objects[0]["boxes"].tolist() == [[0.5, 1, 2.5, 4]] and found.objects[0]["difficult"].tolist() == [3]
    assert found.objects[1]["boxes"].tolist() == [[1, 2, 11, 22], [5, 6, 12, 14]]
    assert found.objects[1]["labels"].tolist() == [1, 0] and found[1][0][0, 0, 0] == 3
    with pytest.raises(ValueError, match=r"set\.json to be a JSON file of COCO .*KeyError 5"):
        datasets.coco_json(coco(tmp_path, categories=[{"id": 5, "name": "x"}], annotations=[{"image_id": 5}]), tmp_path)
    with pytest.raises(ValueError, match=r"Expected images in .*set\.json; there are none"):
        datasets.coco_json(coco(tmp_path, images=[], annotations=[]), tmp_path)
    with pytest.raises(FileNotFoundError, match=r"an image that set\.json names; there is nothing at .*c\.png"):
        lost = [{"id": 7, "file_name": "c.png", "width": 40, "height": 30}]
        datasets.coco_json(coco(tmp_path, images=lost, annotations=[]), tmp_path)
    wrong = [{"id": 7, "file_name": "a.png", "width": 30, "height": 40}]
    found = datasets.coco_json(coco(tmp_path, images=wrong, annotations=[]), tmp_path)
    with pytest.raises(ValueError, match=r"a\.png to have 30x40 pixels, .* it has 40x30"):
        found[0]


def test_yolo_text(tmp_path):
    save_image(tmp_path / "images" / "b.png", (40, 20))
    save_image(tmp_path / "images" / "a.png", (8, 8))
    (tmp_path / "labels").mkdir()
    with pytest.raises(ValueError, match="found 2 images, no such file"):
        datasets.yolo_text(tmp_path / "images", tmp_path / "labels", ["ring"])
    text = tmp_path / "labels" / "b.txt"
    text.write_text("1 0.5 0.25 0.2 0.1\n\n0 0.25 0.5 0.5 1\n")
    found = datasets.yolo_text(tmp_path / "images", tmp_path / "labels", ["ring", "star"])
    np.testing.assert_allclose(found.objects[1]["boxes"], [[16, 4, 24, 6], [0, 0, 20, 20]], rtol=1e-6)
    assert found.objects[1]["labels"].tolist() == [1, 0] and len(found.objects[0]["labels"]) == 0
    with pytest.raises(ValueError, match=r"Expected classes 0\.\.0; .*b\.txt, object 0 has 1"):
        datasets.yolo_text(tmp_path / "images", tmp_path / "labels", ["ring"])
    text.write_text("0 0.1 0.1 0.2 0.2 0.3 0.3\n")
    with pytest.raises(ValueError, match=r"x_center, y_center, width, height in .*b\.txt"):
        datasets.yolo_text(tmp_path / "images", tmp_path / "labels", ["ring"])


def test_cianna_vectors_both_ways(tmp_path):
    vectors = np.array(
        [
            [2, 3, 1, 2, 0, 5, 6, 1, 0.5, 2, 9, 1, 1, 0, 4, 4, 1, 0.7, 0],  # class 9 of 5: no class
            [-1, 1, 1, 2, 0, 5, 6, 1, 0.2, 0, *[7] * 9],  # class only; what follows is not read
            [0, *[7] * 18],
        ]
    )
    targets = datasets.cianna_targets(vectors, classes=5, params=1)
    assert targets["labels"].tolist() == [[2, -2], [0, -1], [-1, -1]]
    assert targets["boxes"][0].tolist() == [[1, 2, 5, 6], [1, 1, 4, 4]] and (targets["boxes"][2] == 0).all()
    assert targets["difficult"].tolist() == [[2, 0], [0, 0], [0, 0]]
    np.testing.assert_allclose(targets["params"][..., 0], [[0.5, 0.7], [0.2, 0], [0, 0]], rtol=1e-6)
    assert targets["class_only"].tolist() == [False, True, False]
    back = datasets.to_cianna_targets(targets)
    expected = vectors.copy()
    expected[0, 10], expected[1, 10:], expected[2, 1:] = 0, 0, 0
    np.testing.assert_allclose(back, expected, rtol=1e-6)
    back.tofile(tmp_path / "targets.dat")
    again = datasets.cianna_targets(tmp_path / "targets.dat", classes=5, params=1, max_objects=2)
    np.testing.assert_array_equal(again["boxes"], targets["boxes"])
    with pytest.raises(ValueError, match="rows of 28 float32 for max_objects=3"):
        datasets.cianna_targets(tmp_path / "targets.dat", classes=5, params=1, max_objects=3)
    with pytest.raises(ValueError, match="Expected max_objects to read"):
        datasets.cianna_targets(tmp_path / "targets.dat", classes=5)


@pytest.mark.parametrize("dims, unused", [(1, [0, 0, 1, 1]), (2, [0, 1]), (3, [])])
def test_cianna_axes_and_padding_anywhere(dims, unused):
    boxes = np.arange(2 * 2 * dims).reshape(1, 2, 2 * dims)
    vector = datasets.to_cianna_targets({"boxes": boxes, "labels": np.array([[-1, 0]])}, difficult=False)[0]
    low, high, box = unused[: 3 - dims], unused[3 - dims :], boxes[0, 1].tolist()
    assert vector[:8].tolist() == [1, 1, *box[:dims], *low, *box[dims:], *high] and not vector[8:].any()
    targets = datasets.cianna_targets(vector[None], classes=0, dims=dims, difficult=False)
    assert targets["labels"].tolist() == [[0, -1]] and targets["boxes"][0, 0].tolist() == box


def test_cianna_refusals():
    with pytest.raises(ValueError, match=r"vectors \(n, 1 \+ M \* 8\), .*received shape \(1, 8\)"):
        datasets.cianna_targets(np.zeros((1, 8)), classes=2)
    with pytest.raises(ValueError, match=r"counts in 0\.\.1, .*image 1 has 2"):
        datasets.cianna_targets(np.eye(9)[[1, 0]] * 2, classes=2)
    with pytest.raises(ValueError, match="Expected dims 1, 2 or 3"):
        datasets.cianna_targets(np.zeros((1, 9)), classes=2, dims=4)
    with pytest.raises(ValueError, match="Expected boxes"):
        datasets.to_cianna_targets({"boxes": np.zeros((1, 2, 5)), "labels": np.zeros((1, 2))})


# ---- the set itself


def test_set_indexing_and_joining(rng):
    images = rng.integers(0, 256, (5, 8, 12, 3), "uint8")
    objects = [one_box([0, 0, 2 + i, 4], i % 2) for i in range(5)]
    objects[2] = {"boxes": [], "labels": []}
    objects[3]["difficult"] = [2]
    whole = datasets.DetectionSet(images, objects, ["ring", "star"])
    assert whole.sizes.tolist() == [[12, 8]] * 5 and whole.objects[0]["difficult"].tolist() == [0]
    part = whole[[4, 1]]
    assert part.names == ["000004", "000001"] and part.objects[0]["boxes"][0, 2] == 6
    np.testing.assert_array_equal(part.images, images[[4, 1]])
    np.testing.assert_array_equal((whole[:2] + whole[2:]).images, images)
    targets = whole.targets()
    assert targets["labels"].tolist() == [[0], [1], [-1], [1], [0]] and targets["difficult"][3, 0] == 2
    assert whole.targets(4)["boxes"].shape == (5, 4, 4)
    again = datasets.DetectionSet(list(images), targets, ["ring", "star"])
    np.testing.assert_array_equal((again + whole).targets()["boxes"][:5], targets["boxes"])
    with pytest.raises(ValueError, match=r"max_objects=1 objects in an image; image 1 \(000001\) has 2"):
        two = {"boxes": np.zeros((2, 4)), "labels": np.zeros(2)}
        datasets.DetectionSet(images[:2], [objects[0], two]).targets(1)
    with pytest.raises(ValueError, match="two sets of the same classes"):
        whole + datasets.DetectionSet(images, objects)


def test_set_refuses():
    images = np.zeros((2, 8, 8, 3), "uint8")
    with pytest.raises(ValueError, match="received 2 images, the objects of 1"):
        datasets.DetectionSet(images, [one_box([0, 0, 2, 2])])
    with pytest.raises(ValueError, match=r"Expected boxes \(1, 4\).*; image 1 \(b\) has boxes \(1, 6\)"):
        datasets.DetectionSet(images, [one_box([0, 0, 2, 2]), one_box([0, 0, 0, 2, 2, 2])], names=["a", "b"])
    with pytest.raises(ValueError, match=r"image 0 \(000000\) has params \(0,\)"):
        pair = [one_box([0, 0, 2, 2]), one_box([0, 0, 2, 2], params=[[1.0]])]
        datasets.DetectionSet(images, pair)
    with pytest.raises(ValueError, match="labels .* whole"):
        datasets.DetectionSet(images, [one_box([0, 0, 2, 2], 0.5)] * 2)
    with pytest.raises(ValueError, match="received weight"):
        datasets.DetectionSet(images, [one_box([0, 0, 2, 2], weight=3)] * 2)


def test_resized_as_cianna_pads_and_back(rng):
    """Pad in the middle of a square with Pillow, resize: what examples/PASCAL/data_prep.py does."""
    images = [rng.integers(0, 256, (30, 47, 3), "uint8"), rng.integers(0, 256, (64, 20, 3), "uint8")]
    boxes = np.array([[3, 2, 41, 30]], "float32"), np.array([[0, 10, 20, 64]], "float32")
    original = datasets.DetectionSet(images, [{"boxes": b, "labels": [0]} for b in boxes])
    square = original.resized(32)
    assert square.images.shape == (2, 32, 32, 3) and square.images.dtype == np.uint8
    for i, image in enumerate(images):
        side = max(image.shape)
        x, y = int((side - image.shape[1]) / 2), int((side - image.shape[0]) / 2)
        canvas = Image.new("RGB", (side, side))
        canvas.paste(Image.fromarray(image), (x, y))
        expected = np.asarray(canvas.resize((32, 32), Image.Resampling.BILINEAR))
        np.testing.assert_array_equal(square.images[i], expected)
        np.testing.assert_allclose(square.objects[i]["boxes"], (boxes[i] + [x, y, x, y]) * 32 / side, rtol=1e-6)
        np.testing.assert_allclose(square.to_original(i, square.objects[i]["boxes"]), boxes[i], atol=1e-5)
    twice = square.resized(24, pad=False)[1:]
    np.testing.assert_allclose(twice.to_original(0, twice.objects[0]["boxes"]), boxes[1], atol=1e-4)
    together = np.concatenate([one["boxes"] for one in square.objects])
    np.testing.assert_allclose(square.to_original(np.array([0, 1]), together), np.concatenate(boxes), atol=1e-5)
    lazy = original.resized(32, in_memory=False)
    np.testing.assert_array_equal(lazy[1][0], square.images[1])
    np.testing.assert_array_equal(lazy[[1]][0][0], square.images[1])
    stretched = original.resized(16, pad=False)
    np.testing.assert_allclose(
        stretched.objects[0]["boxes"][0], [3 * 16 / 47, 2 * 16 / 30, 41 * 16 / 47, 16], rtol=1e-6
    )
    assert original.to_original(0, boxes[0]) is boxes[0]
    with pytest.raises(ValueError, match="Expected 2-D images"):
        datasets.DetectionSet(np.zeros((1, 8, 1)), [one_box([0, 4])]).resized(4)


def test_resized_keeps_floats_and_channels():
    image = np.linspace(-5, 9, 8 * 8 * 2).reshape(1, 8, 8, 2)
    square = datasets.DetectionSet(image, [one_box([0, 0, 8, 8])]).resized(4)
    assert square.images.dtype == np.float32
    np.testing.assert_allclose(square.images.mean(), 2, atol=1e-3)
    assert square.images.min() < -3 and square.images.max() > 7


def test_original_images_refuse_what_would_lose_bits(tmp_path, rng):
    Image.fromarray(np.full((4, 4), 40000, "uint16")).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"8 bits a channel; .*a\.png"):
        datasets.OriginalImages([tmp_path / "a.png"])[0]
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), "uint8")).save(tmp_path / "b.jpg")
    whole = (tmp_path / "b.jpg").read_bytes()
    (tmp_path / "b.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"b\.jpg is damaged"):
        datasets.OriginalImages([tmp_path / "b.jpg"])[0]


def test_statistics_and_figure():
    objects = [
        {"boxes": [[0, 0, 4, 2], [1, 1, 11, 7]], "labels": [0, 2], "difficult": [0, 1]},
        {"boxes": [[2, 2, 8, 6]], "labels": [2]},
        {"boxes": [], "labels": []},
    ]
    found = datasets.DetectionSet(np.zeros((3, 12, 12, 1)), objects, ["ring", "disc", "star"])
    numbers = found.statistics()
    assert isinstance(numbers, datasets.SetStatistics) and numbers.per_image.tolist() == [2, 1, 0]
    assert numbers.per_class.tolist() == [1, 0, 2] and numbers.images_with.tolist() == [1, 0, 2]
    assert numbers.percentiles(50).tolist() == [6, 4] and numbers.percentiles([0, 100], 2).tolist() == [[6, 4], [10, 6]]
    text = str(numbers)
    assert "3 images, 3 objects: 1.0 an image (0 to 2)" in text
    assert [line.split() for line in text.splitlines() if "star" in line] == [
        ["star", "2", "2", "1", *"6 - 8 - 10".split(), *"4 - 5 - 6".split()]
    ]
    assert "nan" in next(line for line in text.splitlines() if "disc" in line)
    figure = plots.box_statistics(found.objects, found.class_names, priors=[[4, 4]], title="test")
    assert figure._suptitle.get_text() == "test, 3 images, 3 objects"
    assert [bar.get_width() for bar in figure.axes[0].patches] == [1, 0, 1, 0, 0, 1]  # plain, then difficult
    many = [{"boxes": np.tile([[0, 0, 3, 5]], (6000, 1)), "labels": np.zeros(6000, int)}]
    assert len(plots.box_statistics(many).axes) == 4  # with a colour bar
    line = datasets.DetectionSet(np.zeros((1, 12, 1)), [one_box([3, 5])])
    assert len(plots.box_statistics(line.objects, priors=[[2]]).axes) == 3
    with pytest.raises(ValueError, match=r"priors \(priors, 1\)"):
        plots.box_statistics(line.objects, priors=[[2, 2]])


# ---- check_targets


def good(**changes):
    targets = {
        "boxes": np.array([[[1, 1, 5, 5], [0, 0, 0, 0]], [[2, 2, 9, 7], [-3, 0, 5, 4]]], "float64"),
        "labels": np.array([[0, -1], [2, -2]]),
        "params": np.array([[[1.0], [np.nan]], [[2.0], [3.0]]]),
        "difficult": np.array([[0, 9], [3, 1]]),
    }
    return targets | changes


def check(targets, classes=3, params=1, **more):
    return datasets.check_targets(targets, image_shape=(8, 10, 3), classes=classes, params=params, **more)


def test_good_targets_come_back_plain():
    found = check(good())
    assert found["boxes"].dtype == found["params"].dtype == np.float32
    assert found["labels"].dtype == found["difficult"].dtype == np.int32
    assert found["params"].ravel().tolist() == [1, 0, 2, 3] and found["difficult"].ravel().tolist() == [0, 0, 3, 1]
    renamed = good()
    renamed["classes"] = renamed.pop("labels").astype("float32")
    assert check(renamed)["labels"].tolist() == [[0, -1], [2, -2]]
    only = {"boxes": np.ones((1, 1, 4)) * [1, 1, 5, 5], "labels": [[0]], "class_only": [1]}
    assert check(only, 0, 0)["class_only"].tolist() == [True]
    free = datasets.check_targets(only, image_shape=(None, None, 3), classes=1)
    assert free["boxes"].shape == (1, 1, 4)


def changed(key, index, value):
    targets = good()
    targets[key] = targets[key].astype("float64")
    targets[key][index] = value
    return targets


@pytest.mark.parametrize(
    "targets, message",
    [
        (changed("boxes", (1, 0, 2), 2), r"min < max; image 1 \(b\), object 0 has \[2\.0, 2\.0, 2\.0, 7\.0\]"),
        (changed("boxes", (1, 1, 0), np.nan), r"finite numbers; image 1 \(b\), object 1"),
        (changed("boxes", (0, 0, 2), 19), r"inside the image of 10 x 8 \(x first\); image 0 \(a\), object 0"),
        (changed("boxes", (0, 0, 1), -6), r"inside the image of 10 x 8 \(x first\); image 0 \(a\), object 0"),
        (changed("labels", (1, 0), 3), r"labels in 0\.\.2, -1 .* image 1 \(b\), object 0 has 3"),
        (changed("labels", (1, 0), -3), r"labels in 0\.\.2, -1 .* image 1 \(b\), object 0 has -3"),
        (changed("labels", (1, 0), 1.5), r"whole numbers in labels; image 1, object 0 has 1\.5"),
        (changed("params", (0, 0, 0), np.inf), r"finite params; image 0 \(a\), object 0"),
        (changed("difficult", (1, 1), 4), r"difficult in 0\.\.3; image 1 \(b\), object 1 has 4"),
        (good(params=np.zeros((2, 2, 2))), r"params of shape \(2, 2, 1\) .*received \(2, 2, 2\)"),
        (good(boxes=np.zeros((2, 2, 5))), r"boxes of shape \(2, 2, 2 \* dims\) .*received \(2, 2, 5\)"),
        (good(boxes=np.zeros((2, 2, 6))), "as many dimensions as the images have axes"),
        (good(labels=np.zeros(2)), r"shape \(B, M\), labels first"),
        (good(class_only=[True, True]), r"exactly one object .*; image 1 \(b\) has 2"),
        (good(weights=np.ones((2, 2))), "received boxes, difficult, labels, params, weights"),
    ],
)
def test_bad_targets_are_named(targets, message):
    with pytest.raises(ValueError, match=message):
        check(targets, names=["a", "b"])


def test_more_refusals_of_targets():
    with pytest.raises(ValueError, match=r"labels in 0 \(there are no classes\).* object 0 has 2"):
        check(good(), classes=0)
    with pytest.raises(ValueError, match="Expected params"):
        check({key: good()[key] for key in ("boxes", "labels")})
    with pytest.raises(ValueError, match="max_objects=1 objects in an image; image 1 has 2"):
        check(good(), max_objects=1)
    flux = Parameter("flux", "Jy", scale="log", range=(0.1, 10))
    assert check(good(), params=[flux])["params"].shape == (2, 2, 1)
    with pytest.raises(ValueError, match=r"flux > 0 \(a log scale\); image 0, object 0 has"):
        check(changed("params", (0, 0, 0), -1), params=[flux])
    sizes = np.array([[8, 10, 3], [8, 4, 3]])  # each image with its own size
    with pytest.raises(ValueError, match="inside the image of its pixels .*; image 1, object 0"):
        datasets.check_targets(good(), image_shape=sizes, classes=3, params=1)
    with pytest.raises(ValueError, match="with one row each; image 0 has"):
        datasets.pad_objects([{"boxes": np.zeros((2, 4)), "labels": np.zeros(1)}])


def test_padding_and_back(rng):
    counts = [3, 0, 5]
    objects = [{"boxes": rng.random((k, 6)).astype("float32"), "labels": np.arange(k, dtype="int32")} for k in counts]
    targets = datasets.pad_objects(objects)
    assert targets["boxes"].shape == (3, 5, 6) and (targets["labels"] >= 0).sum(1).tolist() == counts
    for one, back in zip(objects, datasets.unpad_targets(targets), strict=True):
        np.testing.assert_array_equal(one["boxes"], back["boxes"])
        np.testing.assert_array_equal(one["labels"], back["labels"])


def test_no_warning_without_reason(tmp_path):
    voc(tmp_path, {"a": [("dog", (1, 1, 40, 30), 0)]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert datasets.voc_folder(tmp_path).objects[0]["boxes"].tolist() == [[0, 0, 40, 30]]
