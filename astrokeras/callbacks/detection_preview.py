"""Show what a detector finds, while it is trained."""

import os
from collections.abc import Sequence

import numpy as np

from astrokeras import plots
from astrokeras.callbacks.watcher import Watcher, check_detects


class DetectionPreview(Watcher):
    """Detect in a few images every few epochs, always the same; draw the boxes, the true ones dashed.

    Args:
        images: a few, as `model.detect` takes them.
        targets: of these images, as `DetectionScore` takes them; `None` draws the detections alone.
        every: epochs between two figures; the last epoch always gets one.
        folder: where `detections_epoch_0001.png` and so on go; `None` saves none.
        score_threshold: of `detect`; `None` takes the model's own.
        nms_threshold: likewise.
        class_names: of the classes; `None` takes those of the model.
        origin: where row 0 is: `"upper"` for photographs, `"lower"` for sky images.
        show: in a notebook, also show the figure, each in the place of the last.

    Attributes:
        detections: the latest, one `Detections` per image.

    Raises:
        ValueError: if `every` < 1, or there are no images, or as many targets as images are not there; in `fit`, if the
            model has no `detect`.

    Example:
        >>> import numpy as np, keras
        >>> from astrokeras.callbacks import DetectionPreview
        >>> from astrokeras.detections import Detections
        >>> class Detector(keras.Sequential):
        ...     def detect(self, images, **settings):
        ...         return [Detections([[0, 0, 4, 4]], [0.9])] * len(images)
        >>> model = Detector([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
        >>> model.compile(loss="mse")
        >>> preview = DetectionPreview(np.zeros((2, 8, 8, 1)), every=5)
        >>> history = model.fit(np.zeros((6, 8, 8, 1)), np.zeros((6, 1)), callbacks=[preview], verbose=0)
        >>> len(preview.detections)
        2
    """

    def __init__(
        self,
        images,
        targets=None,
        *,
        every: int = 1,
        folder: str | os.PathLike | None = None,
        score_threshold: float | Sequence[float] | None = None,
        nms_threshold=None,
        class_names: Sequence[str] | None = None,
        origin: str = "upper",
        show: bool = True,
    ):
        super().__init__(every, folder, show)
        if isinstance(targets, dict):  # padded arrays of all images
            count = len(targets["boxes"])
            targets = [{key: value[index] for key, value in targets.items()} for index in range(count)]
        if not len(images) or (targets is not None and len(targets) != len(images)):
            raise ValueError(
                f"Expected one image or more, and targets of each or None; received {len(images)} images and "
                f"{'no' if targets is None else len(targets)} targets."
            )
        self.images, self.targets = images, targets
        settings = {"score_threshold": score_threshold, "nms_threshold": nms_threshold}
        self.settings = {name: value for name, value in settings.items() if value is not None}
        self.class_names, self.origin = class_names, origin
        self.detections = None

    def on_train_begin(self, logs=None) -> None:
        """Refuse a model that cannot detect."""
        super().on_train_begin(logs)
        check_detects(self.model)

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        """Detect, draw."""
        if not self.is_due(epoch):
            return
        self.detections = self.model.detect(self.images, **self.settings)
        if not self.draws:
            return
        names = getattr(self.model, "class_names", None) if self.class_names is None else self.class_names
        targets = [None] * len(self.images) if self.targets is None else self.targets
        figures = [
            plots.detections(np.asarray(image), found, true, names, origin=self.origin, title=f"epoch {epoch + 1}")
            for image, found, true in zip(self.images, self.detections, targets, strict=True)
        ]
        self.keep(f"detections_epoch_{epoch + 1:04d}", *figures)
