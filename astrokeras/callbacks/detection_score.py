"""The mean average precision on validation images while training."""

import math
from collections.abc import Sequence

from astrokeras.callbacks.watcher import Watcher, check_detects
from astrokeras.metrics import MeanAveragePrecision


class DetectionScore(Watcher):
    """Score a detector on held-out images every few epochs, as `val_map` in the logs.

    Best weights by this score: `keras.callbacks.ModelCheckpoint(path, monitor="val_map", mode="max",
    save_best_only=True)`, behind this callback in the list. Epochs without a score have minus infinity, which any score
    exceeds. Never score on the images of the final test.

    Args:
        images: as `model.detect` takes them.
        targets: list with one dict per image (`"boxes"`, `"labels"`, optional `"difficult"`), or the padded arrays of
            all images in one dict; boxes in pixels of the images.
        protocol: `"voc"`, `"voc07"`, `"coco"` or `"cianna"`, see `metrics.MeanAveragePrecision`; COCO also logs
            `val_map50` and `val_map75`.
        every: epochs between two scores; the last epoch always gets one.
        score_threshold: of `detect`; the area under the curve needs it low.
        nms_threshold: of `detect`; `None` takes the model's own.
        batch_size: of the predictions.
        class_names: of the classes; `None` takes those of the model.
        verbose: print one line.

    Attributes:
        result: the latest `metrics.AveragePrecision`.

    Raises:
        ValueError: if `every` < 1; in `fit`, if the model has no `detect`.

    Example:
        >>> import numpy as np, keras
        >>> from astrokeras.callbacks import DetectionScore
        >>> from astrokeras.detections import Detections
        >>> class Detector(keras.Sequential):
        ...     def detect(self, images, **settings):
        ...         return [Detections([[0, 0, 4, 4]], [0.9])] * len(images)
        >>> model = Detector([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile(loss="mse")
        >>> score = DetectionScore(np.zeros((1, 2)), [{"boxes": [[0, 0, 4, 4]], "labels": [0]}], verbose=False)
        >>> model.fit(np.zeros((6, 2)), np.zeros((6, 1)), callbacks=[score], verbose=0).history["val_map"]
        [1.0]
    """

    def __init__(
        self,
        images,
        targets,
        *,
        protocol: str = "voc",
        every: int = 1,
        score_threshold: float | Sequence[float] = 0.01,
        nms_threshold=None,
        batch_size: int = 16,
        class_names: Sequence[str] | None = None,
        verbose: bool = True,
    ):
        super().__init__(every)
        MeanAveragePrecision(protocol)  # refuses an unknown one before the training
        self.images = images
        self.targets = targets
        self.protocol = protocol
        self.settings = {"score_threshold": score_threshold, "batch_size": batch_size}
        if nms_threshold is not None:
            self.settings["nms_threshold"] = nms_threshold
        self.class_names = class_names
        self.verbose = verbose
        self.result = None

    def on_train_begin(self, logs=None) -> None:
        """Refuse a model that cannot detect."""
        check_detects(self.model)

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        """Detect, score, log, print."""
        logs = {} if logs is None else logs
        names = ("map", "map50", "map75") if self.protocol == "coco" else ("map",)
        if not self.is_due(epoch):
            logs.update({f"val_{name}": -math.inf for name in names})  # ModelCheckpoint never gets over a first NaN
            return
        class_names = getattr(self.model, "class_names", None) if self.class_names is None else self.class_names
        metric = MeanAveragePrecision(self.protocol, class_names=class_names)
        metric.update_state(self.targets, self.model.detect(self.images, **self.settings))
        self.result = metric.result()
        logs.update({f"val_{name}": self.result.scores[name] for name in names})
        if self.verbose:
            print(f"\nepoch {epoch + 1}: {self.result.describe()}")
