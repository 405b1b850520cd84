import keras
import numpy as np
import pytest
from PIL import Image

import astrokeras
from astrokeras.models import SlidingWindowDetector

COLOURS = ("red", "green", "blue")


def by_colour(size=16, gain=1.0, background=200):
    """A classifier of the mean colour: red, green, blue, or none of them where all are below `background`."""
    x = keras.Input((size, size, 3))
    mean = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(x, keras.layers.Dense(4, activation="softmax", name="answer")(mean))
    kernel = np.concatenate([gain * np.eye(3), np.zeros((3, 1))], axis=1)
    model.get_layer("answer").set_weights([kernel, np.array([0, 0, 0, gain * background])])
    return model


def pictures():
    """A black picture with a red and a green square, and one that is blue all over."""
    images = np.zeros((2, 288, 288, 3), "uint8")
    images[0, 36:108, 180:252, 0] = 255  # rows 36 to 108, columns 180 to 252: a window of 72 pixels
    images[0, 144:288, 72:216, 1] = 255  # a window of 144 pixels
    images[1, :, :, 2] = 255
    return images


def test_windows_are_those_of_the_slide():
    boxes = SlidingWindowDetector(by_colour()).window_boxes((288, 288, 3))
    assert boxes.shape == (1 + 9 + 49, 4) and boxes.dtype == np.float32
    assert boxes[0].tolist() == [0, 0, 288, 288]
    starts = [(x, y) for y in (0, 72, 144) for x in (0, 72, 144)]
    assert boxes[1:10].tolist() == [[x, y, x + 144, y + 144] for x, y in starts]
    starts = [(x, y) for y in range(0, 217, 36) for x in range(0, 217, 36)]
    assert boxes[10:].tolist() == [[x, y, x + 72, y + 72] for x, y in starts]


def test_images_need_not_be_square():
    model = SlidingWindowDetector(by_colour(), windows=(8, 4), strides=(8, 2))
    assert model.window_boxes((8, 16, 3)).tolist()[:3] == [[0, 0, 8, 8], [8, 0, 16, 8], [0, 0, 4, 4]]
    images = np.zeros((1, 8, 16, 3))
    images[0, :, 8:, 1] = 255
    assert model(images).shape == (1, 2 + 3 * 7, 4)
    assert model.detect(images)[0].boxes.tolist() == [[8, 0, 16, 8]]


def test_answers_are_those_of_the_classifier_for_each_window(rng):
    classifier = by_colour(gain=0.01)
    model = SlidingWindowDetector(classifier)
    images = np.repeat(np.repeat(rng.integers(0, 256, (3, 16, 16, 3)), 18, axis=1), 18, axis=2).astype("uint8")
    answers = np.asarray(model(images))
    cuts = []
    for image in images:
        for x0, y0, x1, y1 in model.window_boxes(image.shape).astype(int):
            cut = Image.fromarray(image[y0:y1, x0:x1]).resize((16, 16), Image.Resampling.BILINEAR)
            cuts.append(np.asarray(cut, "float32"))
    expected = classifier.predict(np.stack(cuts), verbose=0).reshape(answers.shape)
    np.testing.assert_allclose(answers, expected, atol=4e-3)  # Pillow rounds to whole values
    for image, answer in zip(images, answers, strict=True):
        np.testing.assert_allclose(np.asarray(model(image[None]))[0], answer, atol=1e-6)


def test_detect_finds_the_windows_and_drops_background_and_duplicates():
    model = SlidingWindowDetector(by_colour(), class_names=COLOURS)
    first, second = model.detect(pictures())
    assert len(first) == 2
    found = {first.name_of(one.labels[0]): one for one in first}
    assert found["red"].boxes.tolist() == [[180, 36, 252, 108]] and found["red"].priors.tolist() == [2]
    # Small windows inside the large green one are just as green (1 in float32): of equals the first wins.
    assert found["green"].boxes.tolist() == [[72, 144, 216, 288]] and found["green"].priors.tolist() == [1]
    assert len(second) > 1, "windows of 72 pixels overlap the whole image by less than the default"
    second = model.detect(pictures(), nms_threshold=0.05)[1]
    assert second.boxes.tolist() == [[0, 0, 288, 288]] and second.name_of(second.labels[0]) == "blue"
    assert first.scores.min() > 0.99 and np.allclose(first.probability, first.scores, atol=1e-6)
    assert len(model.detect(np.zeros((1, 288, 288, 3)))[0]) == 0, "all is background"


def test_thresholds_of_detect():
    model = SlidingWindowDetector(by_colour(gain=0.05, background=100), nms_threshold=1.0)
    image = pictures()[:1]
    answers = np.asarray(model(image))[0]
    best = answers.argmax(axis=1)
    for threshold in (0.0, 0.6, 0.99):
        found = model.detect(image, score_threshold=threshold)[0]
        assert len(found) == ((best < 3) & (answers.max(axis=1) >= threshold)).sum()
        assert (np.diff(found.scores) <= 0).all()
    red, green = (best == label for label in (0, 1))
    assert red.sum() > 1 and green.sum() > 1
    labels = model.detect(image, score_threshold=0, nms_threshold=(0.0, 1.0))[0].labels
    assert 2 <= len(labels) < red.sum() + green.sum()
    with pytest.warns(UserWarning, match="max_detections=1 drops"):
        assert len(model.detect(image, max_detections=1)[0]) == 1


def test_batches_and_lists_of_images_give_the_same():
    model = SlidingWindowDetector(by_colour())
    images = pictures()[[0, 1, 0, 1, 1]]
    together = model.detect(images)
    for batch_size in (1, 3):
        for one, other in zip(model.detect(list(images), batch_size=batch_size), together, strict=True):
            assert one.boxes.tolist() == other.boxes.tolist()
            np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)


def test_it_is_saved_with_its_classifier(tmp_path):
    model = SlidingWindowDetector(
        by_colour(), (288, 72), (0, 36), class_names=COLOURS, score_threshold=0.7, nms_threshold=(0.1, 0.9), name="slid"
    )
    path = astrokeras.save_model(model, tmp_path / "slid.keras")
    again = astrokeras.load_model(path)
    assert (again.windows, again.strides, again.class_names) == ((288, 72), (0, 36), COLOURS)
    assert (again.score_threshold, again.nms_threshold, again.name) == (0.7, (0.1, 0.9), "slid")
    for one, other in zip(again.detect(pictures()), model.detect(pictures()), strict=True):
        assert one.boxes.tolist() == other.boxes.tolist() and one.scores.tolist() == other.scores.tolist()


def test_a_trained_classifier_of_cutouts_becomes_a_detector():
    train, test = astrokeras.datasets.simulated_scenes(
        300, 20, size=96, classes=("disc", "cross"), objects=(1, 1), shape_size=(0.45, 0.55), noise=0.01
    )
    images, labels = astrokeras.datasets.cutouts(train, 16, count=900, background=0.3)
    net = astrokeras.Network((16, 16, 3), name="cutouts")
    net.rescale(128, 64).conv(16, 3).norm(4).pool(2).conv(32, 3).norm(4).pool(2).flatten()
    classifier = net.dense(3, activation="softmax").build()
    classifier.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    classifier.fit(images, labels, epochs=8, verbose=0)
    model = SlidingWindowDetector(classifier, (96, 48), (0, 12), class_names=train.class_names)
    metric = astrokeras.metrics.MeanAveragePrecision("voc", class_names=train.class_names)
    metric.update_state(test.objects, model.detect(test.images, score_threshold=0.01))
    assert metric.result().map > 0.4


def test_what_does_not_fit_is_refused():
    classifier = by_colour()
    for bad in ((keras.Input((16, 16, 3)), 1), (keras.Input((None, 16, 3)), 3)):
        other = keras.Sequential([bad[0], keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(bad[1])])
        with pytest.raises(ValueError, match=r"Expected a classifier .* at least two outputs"):
            SlidingWindowDetector(other)
    for windows, strides in (((288, 144), (0,)), ((), ()), ((0,), (0,)), ((72,), (-1,))):
        with pytest.raises(ValueError, match="Expected windows >= 1 and for each a stride >= 0"):
            SlidingWindowDetector(classifier, windows, strides)
    with pytest.raises(ValueError, match="Expected 3 class names, without the background; received 4"):
        SlidingWindowDetector(classifier, class_names=("a", "b", "c", "background"))
    model = SlidingWindowDetector(classifier)
    for shape in ((280, 288, 3), (144, 144, 3), (288, 432, 3)):
        with pytest.raises(ValueError, match="windows of 288 pixels with a stride of 0 tile"):
            model.detect(np.zeros((1, *shape)))
    with pytest.raises(
        ValueError, match="windows of 144 pixels with a stride of 100 tile; received images of 288 x 288"
    ):
        SlidingWindowDetector(classifier, (144,), (100,)).detect(np.zeros((1, 288, 288, 3)))
    for shape in ((1, 288, 288, 1), (1, 288, 288)):
        with pytest.raises(ValueError, match="the classifier has 3 channels; received images of shape"):
            model.detect(np.zeros(shape))
