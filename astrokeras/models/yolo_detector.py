"""A network with a YOLO head that trains on boxes and gives detections."""

import dataclasses
from collections.abc import Mapping, Sequence

import keras
import numpy as np
from keras import ops

from astrokeras import backend
from astrokeras import parameters as parameter_columns
from astrokeras.boxes import decode_grid, suppress
from astrokeras.datasets import check_targets
from astrokeras.detections import Detections
from astrokeras.layers import YoloHead
from astrokeras.losses import YoloSettings, pack_targets, yolo_loss
from astrokeras.models.nested import Recompiled
from astrokeras.parameters import Parameter

_WATCHED = {  # metric -> (sum of this term, per sum of that term)
    "mean_iou": ("iou", "found"),
    "mean_objectness": ("found_objectness", "found"),
    "good": ("good", "objects"),
}
PARTS = ("position", "size", "probability", "objectness", "classes", "params")


@keras.saving.register_keras_serializable(package="astrokeras")
class YoloDetector(Recompiled):
    """A functional model that ends in a `YoloHead`: `fit` takes boxes, `detect` gives them.

    `compile(optimizer)` is enough: the loss is `losses.YoloLoss` with the settings given here. `fit` takes images and a
    dict of targets (arrays, a `datasets.DetectionDataset` or a `tf.data.Dataset`) and logs each part of the loss, the
    mean IoU and objectness of the boxes that learn an object, the share of objects above the good limit, and how many
    objects found no box. `predict` returns the activated grid.

    Args:
        inputs: of the network, `(batch, [z, [y,]] x, channels)`, of fixed size.
        outputs: of its `YoloHead`.
        loss: settings of `YoloLoss` beyond those of the head (`iou`, `scales`, `limits`, ...).
        parameters: what is predicted for each box; `fit` takes and `detect` gives their physical values.
        class_names: of the classes.
        score_threshold: default of `detect`.
        nms_threshold: default of `detect`.
        nms_kind: IoU of the suppression; `None` takes that of the loss.
        seed: of the random rules of the loss.
        **kwargs: `name`, `dtype`.

    Raises:
        ValueError: if the last layer is no `YoloHead`, the grid does not divide the image, or widths do not agree.

    Reference:
        Cornu et al. 2024, YOLO-CIANNA.

    Example:
        >>> import keras, numpy as np, astrokeras
        >>> priors = [[8, 8], [16, 16]]
        >>> x = keras.Input((32, 32, 1))
        >>> y = keras.layers.Conv2D(20, 8, strides=8)(x)
        >>> y = astrokeras.layers.YoloHead(priors, classes=2)(y)
        >>> model = astrokeras.models.YoloDetector(x, y, loss={"iou": "diou", "random_startup": 0})
        >>> model.compile("adam")
        >>> targets = {"boxes": np.array([[[4, 4, 12, 12]]] * 6), "labels": np.array([[1]] * 6)}
        >>> history = model.fit(np.zeros((6, 32, 32, 1)), targets, verbose=0)
        >>> len(model.detect(np.zeros((3, 32, 32, 1)), score_threshold=0))
        3
    """

    def __init__(
        self,
        inputs,
        outputs,
        *,
        loss: Mapping | None = None,
        parameters: Sequence[Parameter] = (),
        class_names: Sequence[str] | None = None,
        score_threshold: float | Sequence[float] = 0.3,
        nms_threshold: float | Sequence[float] = 0.5,
        nms_kind: str | None = None,
        seed: int = 0,
        **kwargs,
    ):
        unknown = set(kwargs) - {"name", "dtype", "trainable"}
        if unknown:
            raise ValueError(f"Expected arguments of YoloDetector; received {', '.join(sorted(unknown))}.")
        policy = kwargs.pop("dtype", None)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        if policy is not None:
            self.dtype_policy = keras.dtype_policies.get(policy)
        head = self.layers[-1]
        if not isinstance(head, YoloHead):
            raise ValueError(f"Expected the last layer to be a YoloHead; received {type(head).__name__}.")
        cell = _cell(inputs.shape[1:-1], outputs.shape[1:-1])
        self.settings = YoloSettings.checked(
            priors=head.priors,
            cell=cell,
            classes=head.classes,
            params=head.params,
            class_softmax=head.class_softmax,
            slopes=head.slopes,
            fit_dims=head.fit_dims,
            **_converted(loss, parameters),
        )
        self.box_parameters = tuple(parameters)  # torch modules have a method `parameters`
        if parameter_columns.columns(self.box_parameters) != head.params:
            raise ValueError(
                f"Expected parameters of {head.params} columns, as the head has; received "
                f"{parameter_columns.columns(self.box_parameters)} (an angle takes two)."
            )
        if class_names is not None and len(class_names) != head.classes:
            raise ValueError(f"Expected {head.classes} class names; received {len(class_names)}.")
        self.class_names = None if class_names is None else tuple(class_names)
        self.score_threshold = _plain(score_threshold)
        self.nms_threshold = _plain(nms_threshold)
        self.nms_kind = nms_kind or self.settings.iou
        self.seed = seed
        self._draws = keras.random.SeedGenerator(seed)
        self._seen = keras.random.SeedGenerator(0)  # its counter counts images: a state that is no weight of the model
        self._calm = dataclasses.replace(self.settings, best_prior_rate=0, random_rate=0, random_startup=0)
        self._means = [keras.metrics.Mean(name) for name in (*self._parts(), *_WATCHED)]
        self._without_box = keras.metrics.Sum("without_box")

    @property
    def images_seen(self) -> int:
        """Number of images that the model was trained on; saved with it."""
        return int(self._seen.state[1])

    def compile(self, optimizer="adam", loss=None, **kwargs):
        """Choose the optimizer, as `keras.Model.compile` does; the loss is the detector's own."""
        if loss is not None:
            raise ValueError(
                f"{self.name}: expected compile(optimizer) without a loss, since a detector has its own; received "
                f"loss={loss!r}: give its settings to the application or to Network.yolo."
            )
        super().compile(optimizer=optimizer, **kwargs)

    def fit(self, x=None, y=None, *, validation_data=None, **kwargs):
        """Train, as `keras.Model.fit` does; targets given as arrays are checked first."""
        if validation_data is not None and isinstance(validation_data, tuple):
            images, targets, *weights = validation_data
            validation_data = (images, self._checked(images, targets), *weights)
        return super().fit(x, self._checked(x, y), validation_data=validation_data, **kwargs)

    def evaluate(self, x=None, y=None, **kwargs):
        """Compute the loss and what is watched, as `keras.Model.evaluate` does."""
        return super().evaluate(x, self._checked(x, y), **kwargs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the mean loss of the batch, and update what is watched."""
        targets = dict(y)
        labels = targets["labels"] = targets.pop("classes") if "classes" in targets else targets["labels"]
        if self.box_parameters:
            targets["params"] = parameter_columns.encode(self.box_parameters, targets["params"], where=labels != -1)
        else:
            targets.pop("params", None)
        terms = yolo_loss(
            pack_targets({name: ops.convert_to_tensor(values) for name, values in targets.items()}),
            y_pred,
            self.settings if training else self._calm,
            images_seen=self._seen.state[1] if training else None,
            seed=self._draws,
        )
        if training:
            state = self._seen.state
            state.assign(state + ops.cast(ops.stack([0, ops.shape(y_pred)[0] * backend.replicas()]), state.dtype))
        weights = [] if sample_weight is None else keras.tree.flatten(sample_weight)
        weight = ops.cast(ops.reshape(weights[0], (-1,)), "float32") if weights else None
        for mean in self._means:
            if mean.name in _WATCHED:
                above, below = (terms[name] for name in _WATCHED[mean.name])
                mean.update_state(above / ops.maximum(below, 1.0), sample_weight=below)
            else:
                mean.update_state(terms[mean.name], sample_weight=weight)
        self._without_box.update_state(terms["objects"] - terms["found"])
        loss = terms["loss"] if weight is None else terms["loss"] * weight
        return sum(self.losses, start=ops.mean(loss)) / backend.replicas()

    def detect(
        self,
        images,
        *,
        score_threshold: float | Sequence[float] | None = None,
        nms_threshold: float | Sequence[float] | None = None,
        max_detections: int | None = None,
        batch_size: int = 16,
    ) -> list[Detections]:
        """Find the objects in images.

        The score of a box is its objectness, times the share of its best class where there are classes.

        Args:
            images: `(n, [z, [y,]] x, channels)`, or a sequence of such images.
            score_threshold: lowest score, one for all or one per prior; `None` takes the model's.
            nms_threshold: a box is dropped if a better one of its class overlaps it by more; a pair
                `(same class, other class)` also compares classes with each other. `None` takes the model's.
            max_detections: keep so many of the best at most (warns where that drops some); `None` keeps all.
            batch_size: images that the network sees at once.

        Returns:
            One `Detections` per image, best first; boxes in pixels of the image, params in physical values.

        Raises:
            ValueError: if the images are of another shape, or thresholds are neither one nor one per prior.
        """
        found = []
        for start in range(0, len(images), 32 * batch_size):
            chunk = np.asarray(images[start : start + 32 * batch_size])
            if chunk.shape[1:] != self.input_shape[1:]:
                raise ValueError(
                    f"{self.name}: expected images (n, {', '.join(map(str, self.input_shape[1:]))}); received shape "
                    f"{chunk.shape}: resize them, or resize the detector: model.resized({chunk.shape[1:]})."
                )
            outputs = self.predict(chunk, batch_size=batch_size, verbose=0)
            found += self.decode(
                outputs,
                score_threshold=score_threshold,
                nms_threshold=nms_threshold,
                max_detections=max_detections,
            )
        return found

    def decode(
        self,
        outputs: np.ndarray,
        *,
        score_threshold: float | Sequence[float] | None = None,
        nms_threshold: float | Sequence[float] | None = None,
        max_detections: int | None = None,
    ) -> list[Detections]:
        """Turn what `predict` returns into detections, as `detect` does.

        Args:
            outputs: activated grids, `(n, [z, [y,]] x, columns)`.
            score_threshold: see `detect`.
            nms_threshold: see `detect`.
            max_detections: see `detect`.

        Returns:
            One `Detections` per image, best first.

        Raises:
            ValueError: if thresholds are neither one nor one per prior.
        """
        score_threshold = self.score_threshold if score_threshold is None else score_threshold
        nms_threshold = self.nms_threshold if nms_threshold is None else nms_threshold
        floor = np.broadcast_to(_per_prior(score_threshold, len(self.settings.priors)), len(self.settings.priors))
        same, other = (nms_threshold, None) if np.ndim(nms_threshold) == 0 else nms_threshold
        return [self._decode(grid, floor, same, other, max_detections) for grid in np.asarray(outputs)]

    def resized(self, input_shape: Sequence[int]) -> "YoloDetector":
        """Return the same detector, with a copy of the weights, for images of another size.

        Args:
            input_shape: `([z, [y,]] x, channels)`; each side a multiple of the grid's cell.

        Raises:
            ValueError: if the shape has other dimensions or channels, or the grid does not divide it.

        Example:
            >>> import astrokeras
            >>> model = astrokeras.applications.yolo_sdc1((64, 64, 1))
            >>> model.resized((96, 128, 1)).output_shape
            (None, 6, 8, 117)
        """
        shape, own = tuple(map(int, input_shape)), self.input_shape[1:]
        cells = (*self.settings.cell[::-1], 1)
        fits = len(shape) == len(own) and shape[-1] == own[-1] and min(shape) > 0
        if not fits or any(side % cell for side, cell in zip(shape, cells, strict=True)):
            sides = ", ".join(f"a multiple of {cell:g}" for cell in cells[:-1])
            raise ValueError(f"{self.name}: expected a shape ({sides}, {own[-1]}); received {shape}.")
        config = self.get_config()
        for layer in config["network"]["layers"]:
            layer.pop("build_config", None)  # of the other size
            if layer["class_name"] == "InputLayer":
                layer["config"]["batch_shape"] = (None, *shape)
        model = type(self).from_config(config)
        model.set_weights(self.get_weights())
        return model

    def get_config(self):
        """Return the arguments; the network stands under `network`."""
        loss = {name: value for name, value in self.settings.to_dict().items() if name not in _OF_HEAD}
        return {
            "network": keras.Model(self.inputs[0], self.outputs[0], name=self.name).get_config(),
            "loss": loss,
            "parameters": [parameter.get_config() for parameter in self.box_parameters],
            "class_names": self.class_names,
            "score_threshold": self.score_threshold,
            "nms_threshold": self.nms_threshold,
            "nms_kind": self.nms_kind,
            "seed": self.seed,
            "name": self.name,
            "dtype": keras.saving.serialize_keras_object(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Build the detector of such a config."""
        config = dict(config)
        network = keras.Model.from_config(config.pop("network"), custom_objects=custom_objects)
        config["parameters"] = [Parameter.from_config(values) for values in config["parameters"]]
        config["dtype"] = keras.saving.deserialize_keras_object(config["dtype"])
        return cls(network.inputs[0], network.outputs[0], **config)

    def save_own_variables(self, store):
        """Save the images seen and the state of chance with the weights."""
        store["images_seen"] = np.asarray(self.images_seen)
        store["draws"] = ops.convert_to_numpy(self._draws.state)

    def load_own_variables(self, store):
        """Take up the images seen and the state of chance."""
        self._seen.state.assign(np.array([0, store["images_seen"][()]]))
        self._draws.state.assign(np.asarray(store["draws"]))

    def _parts(self) -> list[str]:
        return [part for part in PARTS if self.settings.fit[part] != -1]

    def _checked(self, images, targets):
        """Check targets that came as arrays; other sources are checked where they are made."""
        if not isinstance(targets, Mapping) or not all(isinstance(value, np.ndarray) for value in targets.values()):
            return targets
        if len(images) != len(targets.get("boxes", ())):
            raise ValueError(
                f"Expected targets of {len(images)} images; received boxes of {len(targets.get('boxes', ()))}."
            )
        return check_targets(
            targets, image_shape=self.input_shape[1:], classes=self.settings.classes, params=self.box_parameters
        )

    def _decode(self, grid, floor, same, other, max_detections) -> Detections:
        """Turn the activated grid of one image into its detections."""
        settings = self.settings
        outputs = grid.reshape(*grid.shape[:-1], len(settings.priors), -1)
        scores, labels = outputs[..., 7], None
        if settings.classes:
            classes = outputs[..., 8 : 8 + settings.classes]
            scores, labels = scores * classes.max(axis=-1), classes.argmax(axis=-1)
        kept = np.nonzero(scores >= floor)
        boxes = decode_grid(outputs[None], settings.sides, settings.cell)[0][kept]
        scores, priors, outputs = scores[kept], kept[-1], outputs[kept]
        labels = np.zeros(len(scores), int) if labels is None else labels[kept]
        best = suppress(
            boxes,
            scores,
            labels,
            threshold=same,
            other_threshold=other,
            kind=self.nms_kind,
            max_detections=max_detections,
        )
        return Detections(
            boxes=boxes[best],
            scores=scores[best],
            labels=labels[best],
            probability=outputs[best, 6],
            objectness=outputs[best, 7],
            priors=priors[best],
            params=parameter_columns.decode(self.box_parameters, outputs[best, 8 + settings.classes :]),
            class_names=self.class_names,
            parameters=self.box_parameters,
        )


_OF_HEAD = ("priors", "cell", "classes", "params", "class_softmax", "slopes", "fit_dims")


def _cell(image: Sequence[int | None], grid: Sequence[int | None]) -> list[int]:
    """Return the size of a grid cell in pixels, x first."""
    if None in (*image, *grid) or any(n % cells for n, cells in zip(image, grid, strict=True)):
        raise ValueError(
            f"Expected an image of fixed size that the grid divides; received {tuple(image)} pixels and a grid of "
            f"{tuple(grid)} cells: change the input_shape to a multiple of the network's reduction."
        )
    return [n // cells for n, cells in zip(image, grid, strict=True)][::-1]


def _converted(loss: Mapping | None, parameters: Sequence[Parameter]) -> dict:
    """Give each column of a parameter the weight of the parameter, where there is one weight per parameter."""
    loss = dict(loss or {})
    scales = loss.get("param_scales")
    if scales is not None and np.ndim(scales) == 1 and len(scales) == len(parameters):
        loss["param_scales"] = parameter_columns.per_column(parameters, scales)
    return loss


def _plain(value):
    return float(value) if np.ndim(value) == 0 else [None if one is None else float(one) for one in value]


def _per_prior(threshold, count: int) -> np.ndarray:
    threshold = np.asarray(threshold, "float32")
    if threshold.ndim and threshold.shape != (count,):
        raise ValueError(
            f"Expected score_threshold as one number or one per prior ({count}); received {threshold.shape}."
        )
    return threshold
