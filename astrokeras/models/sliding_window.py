"""A classifier of cutouts slid over images: the course's first detector."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from astrokeras.boxes import suppress
from astrokeras.detections import Detections


@keras.saving.register_keras_serializable(package="astrokeras")
class SlidingWindowDetector(keras.Model):
    """A classifier that looks at an image through square windows of several sizes: `detect` gives boxes.

    An image of 288 x 288 pixels is cut into 1 + 9 + 49 chunks by default. Each is resized to the input of the
    classifier (bilinear, averaging where it shrinks, as `datasets.cutouts` does), and all chunks of a batch of images
    are classified in one call. A chunk whose best class is not the background, which is the last one, is a detection:
    its box is the window.

    Called on images `(batch, y, x, channels)` the model gives the answers of the classifier, `(batch, chunks, classes +
    1)`, window sizes in the order given and each line by line. Train the classifier alone, then wrap it; the
    detector is saved with it.

    Args:
        classifier: from images `(batch, y, x, channels)` of fixed size, in the range of the images to come, to `(batch,
            classes + 1)` probabilities, such as `applications.voc_cutout_classifier(background=True)`.
        windows: side of the window in pixels, for each size.
        strides: pixels from one window to the next, for each size; 0 for a window that is the whole image.
        class_names: of the classes, without the background.
        score_threshold: default of `detect`.
        nms_threshold: default of `detect`; a window and one of half its size inside it overlap by 0.25.
        **kwargs: `name`, `dtype`.

    Raises:
        ValueError: if the classifier has no fixed image size or fewer than two outputs, or the windows, strides or
            names do not fit; when called, if the windows do not tile the images.

    Reference:
        Course, slides on detection: windows of 288, 144 and 72 pixels with strides of 72 and 36.

    Example:
        >>> import numpy as np, astrokeras
        >>> classifier = astrokeras.applications.voc_cutout_classifier((32, 32, 3), classes=2, background=True)
        >>> model = astrokeras.models.SlidingWindowDetector(classifier, class_names=["cat", "dog"])
        >>> model.predict(np.zeros((1, 288, 288, 3)), verbose=0).shape
        (1, 59, 3)
        >>> model.detect(np.zeros((1, 288, 288, 3)), score_threshold=1.0)
        [Detections(0 boxes in 2-D)]
    """

    def __init__(
        self,
        classifier: keras.Model,
        windows: Sequence[int] = (288, 144, 72),
        strides: Sequence[int] = (0, 72, 36),
        *,
        class_names: Sequence[str] | None = None,
        score_threshold: float = 0.5,
        nms_threshold: float | Sequence[float] = 0.2,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.classifier = classifier
        self.windows = tuple(int(window) for window in windows)
        self.strides = tuple(int(stride) for stride in strides)
        self.class_names = None if class_names is None else tuple(map(str, class_names))
        self.score_threshold = float(score_threshold)
        self.nms_threshold = nms_threshold if np.ndim(nms_threshold) == 0 else tuple(nms_threshold)
        self._check()
        self.built = True  # it has no weights but those of the classifier

    @property
    def classes(self) -> int:
        """Number of classes, without the background."""
        return self.classifier.output_shape[-1] - 1

    def window_boxes(self, image_shape: Sequence[int]) -> np.ndarray:
        """Return the windows of an image in the order of the model's answers.

        Args:
            image_shape: `(y, x, channels)`.

        Returns:
            `(chunks, 4)` float32, corners with x first, in pixels.

        Raises:
            ValueError: if a window is larger than the image, or the windows leave pixels out.
        """
        boxes = []
        for window, lines, columns in self._layout(image_shape):
            y, x = np.meshgrid(lines, columns, indexing="ij")
            low = np.stack([x.ravel(), y.ravel()], axis=1)
            boxes.append(np.concatenate([low, low + window], axis=1))
        return np.concatenate(boxes).astype("float32")

    def call(self, images, training=False):
        """Cut, resize and classify."""
        shape = images.shape[1:]
        size = self.classifier.input_shape[1:]
        images = ops.cast(images, "float32")
        chunks = []
        for window, lines, columns in self._layout(shape):
            within = np.arange(window)
            cut = ops.take(images, lines[:, None] + within, axis=1)  # (batch, rows, window, x, c)
            cut = ops.take(cut, columns[:, None] + within, axis=3)  # (batch, rows, window, columns, window, c)
            cut = ops.reshape(ops.transpose(cut, (0, 1, 3, 2, 4, 5)), (-1, window, window, shape[-1]))
            if (window, window) != size[:2]:
                cut = ops.image.resize(cut, size[:2], antialias=True, data_format="channels_last")
            chunks.append(ops.reshape(cut, (-1, len(lines) * len(columns), *size)))
        chunks = ops.concatenate(chunks, axis=1)
        count = chunks.shape[1]
        answers = self.classifier(ops.reshape(chunks, (-1, *size)), training=training)
        return ops.reshape(answers, (-1, count, self.classes + 1))

    def detect(
        self,
        images,
        *,
        score_threshold: float | None = None,
        nms_threshold: float | Sequence[float] | None = None,
        max_detections: int | None = None,
        batch_size: int = 4,
    ) -> list[Detections]:
        """Find the objects in images.

        The score of a box is the probability of its best class; its `probability` and `objectness` are that of any
        class but the background, its `priors` the number of the window size.

        Args:
            images: `(n, y, x, channels)`, or a sequence of such images.
            score_threshold: lowest score; `None` takes the model's.
            nms_threshold: a box is dropped if a better one of its class overlaps it by more (IoU); a pair
                `(same class, other class)` also compares classes with each other. `None` takes the model's.
            max_detections: keep so many of the best at most (warns where that drops some); `None` keeps all.
            batch_size: images whose chunks the classifier sees at once.

        Returns:
            One `Detections` per image, best first; boxes in pixels of the image.

        Raises:
            ValueError: if the images have other channels than the classifier, or the windows do not tile them.
        """
        score_threshold = self.score_threshold if score_threshold is None else score_threshold
        nms_threshold = self.nms_threshold if nms_threshold is None else nms_threshold
        same, other = (nms_threshold, None) if np.ndim(nms_threshold) == 0 else nms_threshold
        found = []
        for start in range(0, len(images), 32 * batch_size):
            part = np.asarray(images[start : start + 32 * batch_size])
            boxes = self.window_boxes(part.shape[1:])
            sizes = np.repeat(
                np.arange(len(self.windows)), [len(y) * len(x) for _, y, x in self._layout(part.shape[1:])]
            )
            for answer in self.predict(part, batch_size=batch_size, verbose=0):
                labels, scores = answer.argmax(axis=1), answer.max(axis=1)
                kept = np.flatnonzero((labels < self.classes) & (scores >= score_threshold))
                best = suppress(
                    boxes[kept],
                    scores[kept],
                    labels[kept],
                    threshold=same,
                    other_threshold=other,
                    max_detections=max_detections,
                )
                kept = kept[best]
                anything = 1 - answer[kept, -1]
                found.append(
                    Detections(
                        boxes[kept],
                        scores[kept],
                        labels[kept],
                        anything,
                        anything,
                        sizes[kept],
                        class_names=self.class_names,
                    )
                )
        return found

    def get_config(self):
        """Return the arguments, the classifier among them."""
        own = ("windows", "strides", "class_names", "score_threshold", "nms_threshold")
        return {
            "classifier": keras.saving.serialize_keras_object(self.classifier),
            **{name: getattr(self, name) for name in own},
            "name": self.name,
            "dtype": keras.saving.serialize_keras_object(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Build the detector of such a config."""
        config = dict(config)
        for part in ("classifier", "dtype"):
            config[part] = keras.saving.deserialize_keras_object(config[part], custom_objects=custom_objects)
        return cls(**config)

    def _check(self) -> None:
        size, answers = self.classifier.input_shape, self.classifier.output_shape
        if len(size) != 4 or None in size[1:] or len(answers) != 2 or answers[1] < 2:
            raise ValueError(
                "Expected a classifier from images (batch, y, x, channels) of fixed size to at least two outputs, the "
                f"last one for the background; received one from {size} to {answers}."
            )
        if not self.windows or len(self.windows) != len(self.strides) or min(self.windows) < 1 or min(self.strides) < 0:
            raise ValueError(
                "Expected windows >= 1 and for each a stride >= 0; received "
                f"windows={self.windows}, strides={self.strides}."
            )
        if self.class_names is not None and len(self.class_names) != self.classes:
            raise ValueError(
                f"Expected {self.classes} class names, without the background; received {len(self.class_names)}."
            )

    def _layout(self, image_shape) -> list[tuple[int, np.ndarray, np.ndarray]]:
        """Return for each window size where its windows begin in y and in x."""
        channels = self.classifier.input_shape[-1]
        if len(image_shape) != 3 or None in image_shape or image_shape[-1] != channels:
            raise ValueError(
                f"{self.name}: expected images (n, y, x, {channels}) of fixed size, as the classifier has {channels} "
                f"channels; received images of shape {tuple(image_shape)}."
            )
        layout = []
        for window, stride in zip(self.windows, self.strides, strict=True):
            left = [side - window for side in image_shape[:2]]
            if min(left) < 0 or any(rest % stride if stride else rest for rest in left):
                raise ValueError(
                    f"{self.name}: expected images that windows of {window} pixels with a stride of {stride} tile; "
                    f"received images of {image_shape[1]} x {image_shape[0]} pixels: resize them, or choose windows "
                    "for their size."
                )
            layout.append((window, *(np.arange(0, rest + 1, stride or 1) for rest in left)))
        return layout
