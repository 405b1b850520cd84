"""CIANNA's YOLO loss in 1, 2 and 3 dimensions."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from astrokeras.layers.yolo_head import straight_through
from astrokeras.losses.targets import HEAD
from astrokeras.losses.yolo_association import associate, take_cells
from astrokeras.losses.yolo_settings import PARTS, STARTUP, YoloSettings

_HIGH, _LOW = 0.98, 0.02  # targets of sigmoids


@keras.saving.register_keras_serializable(package="astrokeras")
class YoloLoss(keras.losses.Loss):
    """The loss of YOLO-CIANNA (Cornu et al. 2024): one number per image whose gradient is CIANNA's.

    Through `layers.YoloHead` the gradient with respect to the logits equals what CIANNA 1.0 computes on a GPU. The
    association of objects and boxes, the IoU and the targets are constants in it. Not CIANNA's, on purpose:

    - a prior that fits an object exactly belongs to its closest priors (`strict_priors`), and `smallest_prior_scale`
      finds all boxes with the smallest prior: CIANNA's code misses them, evidently not as meant;
    - an object of no class (label -2) gives no softmax class term, since CIANNA's is no gradient of any function. Its
      sigmoid targets are all 0.02, as in CIANNA.

    Args:
        priors: sizes of the boxes in pixels, one row per box, x first, one entry per fitted axis; at least 1 is taken.
        cell: size of a grid cell in pixels, one per grid axis, x first.
        classes: number of classes.
        params: number of parameter columns.
        **settings: in brackets CIANNA's name.

            - `iou` [IoU_type]: "iou", "giou" (default), "diou" or "diou2", see `boxes.iou`;
            - `prior_distance` [prior_dist_type]: "iou", "size" (default) or "offset";
            - `scales` [error_scales]: part -> weight; position, size, probability, objectness, classes, params;
            - `param_scales` [param_ind_scales]: weight of each parameter column;
            - `limits` [IoU_limits]: good, low_best, probability, objectness, classes, params, difficult_iou,
              difficult_objectness; the defaults depend on `iou`;
            - `fit` [fit_parts]: part -> 1 fit, 0 pull to neutral, -1 leave out;
            - `noobj` [prior_noobj_prob]: weight of empty boxes, one or one per box (0.2);
            - `strict_priors` [strict_box_size]: only so many closest priors may take an object; 0 for all;
            - `best_prior_rate` [rand_prob_best_box_assoc]: chance that an object takes its closest prior;
            - `random_rate` [rand_prob]: chance that an object takes a random box (1 used alone: always the same ones);
            - `random_startup` [rand_startup]: so many images at the start of the training take random boxes; `None` is
              CIANNA's 64000 inside a `YoloDetector`, 0 where the loss is used alone;
            - `smallest_prior_scale` [min_prior_forced_scaling]: objects smaller than so many times the smallest prior
              take that prior; 0 for never;
            - `class_softmax`, `slopes`, `fit_dims`: as in `YoloHead`;
            - `difficult` [diff_flag]: use the difficulties of the targets: 1 is learned only where it is already found,
              2 also without class and parameters, 3 also without position and size;
            - `name`, `reduction`, `dtype` of Keras's losses.

    Call: `y_true` `(batch, M, 3 + 2 * dims + params)` from `pack_targets`, `y_pred` the head's output
    `(batch, [z, [y,]] x, boxes * (8 + classes + params))`. Returns `(batch,)`.

    Raises:
        ValueError: if a setting is unknown or out of range, or `y_true` is of another width; on call if a rate is
            neither 0 nor 1, or `random_startup` is not 0: chance needs a state, which only `YoloDetector` keeps.

    Example:
        >>> import numpy as np, astrokeras
        >>> priors = [[24, 24], [48, 64]]
        >>> loss = astrokeras.losses.YoloLoss(priors, cell=(32, 32), classes=3, iou="diou")
        >>> targets = {"boxes": np.array([[[10, 20, 40, 60]]]), "labels": np.array([[2]])}
        >>> outputs = astrokeras.layers.YoloHead(priors, classes=3)(np.zeros((1, 9, 9, 22), "float32"))
        >>> round(float(loss(astrokeras.losses.pack_targets(targets), outputs)), 3)
        12.187
    """

    def __init__(
        self, priors: Sequence[Sequence[float]], cell: Sequence[float], classes: int = 0, params: int = 0, **settings
    ):
        keras_own = {key: settings.pop(key) for key in ("name", "reduction", "dtype") if key in settings}
        super().__init__(**({"name": "yolo_loss"} | keras_own))
        self.settings = YoloSettings.checked(priors, cell, classes, params, **settings)

    def call(self, y_true, y_pred):
        """Return the loss of each image."""
        chances = self.settings.chances + ["random_startup"] * bool(self.settings.random_startup)
        if chances:
            raise ValueError(
                f"Expected YoloLoss used alone to have no chance in it; received {', '.join(chances)}: set rates to 0 "
                "or 1 and random_startup to 0, or train a models.YoloDetector, which keeps the state of chance."
            )
        return yolo_loss(y_true, y_pred, self.settings)["loss"]

    def get_config(self):
        """Return the arguments."""
        return super().get_config() | self.settings.to_dict()


def yolo_loss(y_true, y_pred, settings: YoloSettings, *, images_seen=None, seed=None) -> dict:
    """Compute the parts of the YOLO loss, and what one likes to watch: a pure function.

    Args:
        y_true: `(batch, M, 3 + 2 * dims + params)`, see `pack_targets`.
        y_pred: `(batch, [z, [y,]] x, boxes * (8 + classes + params))`, activated.
        settings: complete.
        images_seen: integer tensor, images trained on so far, for the random start; `None` for no random start.
        seed: integer or `keras.random.SeedGenerator` for the random rules.

    Returns:
        Tensors `(batch,)`: `"loss"`, their sum; one for each part `"position"`, `"size"`, `"probability"`,
        `"objectness"`, `"classes"`, `"params"`; and sums to watch: `"objects"`, `"found"` (objects with a box),
        `"iou"` and `"found_objectness"` (summed over found objects), `"good"` (found with more than the good limit).

    Raises:
        ValueError: if `y_true` or `y_pred` is of another width.

    Example:
        >>> import numpy as np, astrokeras
        >>> settings = astrokeras.losses.YoloSettings(priors=[[8]], cell=[16])
        >>> targets = astrokeras.losses.pack_targets({"boxes": np.array([[[10, 20]]]), "labels": np.array([[0]])})
        >>> outputs = np.array([[[0.5, 0.5, 0.5, 0.0, 0.0, 0.0, 0.7, 0.2]]], "float32")  # a single cell
        >>> terms = astrokeras.losses.yolo_loss(targets, outputs, settings)
        >>> round(float(terms["size"][0]), 4), round(float(np.log(10 / 8) ** 2), 4)
        (0.0498, 0.0498)
    """
    dims, columns = len(settings.cell), 8 + settings.classes + settings.params
    width = HEAD + 2 * dims + settings.params
    if y_true.shape[-1] != width or y_pred.shape[-1] != len(settings.priors) * columns or len(y_pred.shape) != dims + 2:
        raise ValueError(
            f"Expected y_true (batch, objects, {width}) from pack_targets and y_pred with {dims} grid axes and "
            f"{len(settings.priors)} x {columns} columns; received {tuple(y_true.shape)} and {tuple(y_pred.shape)}: "
            "boxes have 2 columns per grid axis, params one each."
        )
    y_true, y_pred = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
    objects = {name: y_true[..., index] for index, name in enumerate(("label", "difficult", "class_only"))}
    objects["boxes"] = y_true[..., HEAD : HEAD + 2 * dims]
    objects["params"] = y_true[..., HEAD + 2 * dims :]
    objects = {name: ops.stop_gradient(values) for name, values in objects.items()}
    outputs = ops.reshape(y_pred, (-1, *y_pred.shape[1:-1], len(settings.priors), columns))
    startup = None
    if images_seen is not None and settings.random_startup != 0:
        startup = images_seen < (STARTUP if settings.random_startup is None else settings.random_startup)
    found = associate(objects, outputs, settings, startup, seed)
    terms = _found_terms(objects, take_cells(outputs, found.cell), found, settings)
    empty = ops.cast(found.background, "float32") * _constant(settings.noobj)  # (B, N, K)
    for part, column in (("probability", 6), ("objectness", 7)):
        if settings.fit[part] >= 0:
            target = _LOW if settings.fit[part] else 0.5
            errors = ops.square(ops.reshape(outputs[..., column], ops.shape(empty)) - target)
            terms[part] = terms[part] + 0.5 * settings.scales[part] * ops.sum(empty * errors, axis=(1, 2))
    terms["loss"] = sum(terms[part] for part in PARTS)
    there = ops.cast(found.found, "float32")
    watched = {
        "objects": objects["label"] != -1,
        "found": found.found,
        "iou": found.iou * there,
        "found_objectness": there
        * ops.stop_gradient(ops.sum(found.box * take_cells(ops.stop_gradient(outputs), found.cell)[..., 7], axis=-1)),
        "good": (found.iou >= settings.limits["good"]) & found.found,
    }
    return terms | {name: ops.sum(ops.cast(values, "float32"), axis=-1) for name, values in watched.items()}


def _found_terms(objects: dict, mine, found, settings: YoloSettings) -> dict:
    """Return what the boxes that learn an object contribute, part by part, `(batch,)`."""
    output = ops.sum(mine * found.box[..., None], axis=2)  # (B, M, columns)
    level = objects["difficult"] if settings.difficult else ops.zeros_like(objects["difficult"])
    placed = (objects["class_only"] == 0) & (level < 3)
    above = {part: found.iou > settings.limits[part] for part in ("probability", "objectness", "classes", "params")}
    placed_at, sizes = [], []
    for axis in range(settings.fit_dims):
        low, high = objects["boxes"][..., axis], objects["boxes"][..., len(settings.cell) + axis]
        placed_at.append((low + high) / 2 / settings.cell[axis] - found.place[axis])
        prior = ops.sum(found.box * _constant(settings.sides[:, axis]), axis=-1)
        sizes.append(settings.size_target(high - low, ops.maximum(prior, 1.0)))
    labels = objects["label"][..., None] == ops.arange(settings.classes, dtype="float32")
    end = 8 + settings.classes
    # part -> its columns, their targets, their weights, neutral target, condition
    fitted = slice(0, settings.fit_dims)
    parts = {
        "position": (output[..., 0:3][..., fitted], ops.stack(placed_at, axis=-1), 1.0, 0.5, placed),
        "size": (output[..., 3:6][..., fitted], ops.stack(sizes, axis=-1), 1.0, 0.0, placed),
        "probability": (output[..., 6:7], _HIGH, 1.0, 0.5, above["probability"]),
        "objectness": (output[..., 7:8], (1 + found.iou[..., None]) / 2, 1.0, 0.5, above["objectness"]),
        "classes": (output[..., 8:end], ops.where(labels, _HIGH, _LOW), 1.0, 0.5, above["classes"] & (level < 2)),
        "params": (
            output[..., end:],
            objects["params"],
            _constant(settings.param_scales),
            0.5,
            above["params"] & (level < 2),
        ),
    }
    terms = {}
    for part, (values, target, weight, neutral, condition) in parts.items():
        if settings.fit[part] == -1 or (part == "classes" and settings.class_softmax and not settings.fit[part]):
            terms[part] = ops.zeros_like(found.iou[:, 0])
            continue
        if not settings.fit[part]:
            target, condition = neutral, ops.ones_like(condition)
        if part == "classes" and settings.class_softmax:
            of_one = ops.any(labels, axis=-1)
            each, condition = _cross_entropy(values, ops.cast(labels, "float32")), condition & of_one
        else:
            each = 0.5 * ops.sum(weight * ops.square(values - target), axis=-1)
        learned = ops.cast(condition & found.found, "float32")
        terms[part] = settings.scales[part] * ops.sum(learned * each, axis=-1)
    return terms


def _constant(values):
    return ops.convert_to_tensor(np.asarray(values, "float32"))


def _cross_entropy(shares, labels):
    """Return -ln(share of the label), whose gradient is shares - labels: the head hands it on to the logits."""
    surrogate = ops.sum(ops.stop_gradient(shares - labels) * shares, axis=-1)
    value = -ops.log(ops.maximum(ops.sum(labels * shares, axis=-1), 1e-7))
    return straight_through(surrogate, value)
