"""CIANNA's YOLO set-up: its calls, its sentinels for defaults, and the settings of our loss that they mean."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from astrokeras.cianna import state
from astrokeras.cianna_files import CiannaNetwork, Conv, Yolo
from astrokeras.layers.yolo_head import PARTS, SLOPES
from astrokeras.losses.yolo_settings import LIMITS, STARTUP

ERROR_TYPES = ("complete", "natural")
_IOU = {"IoU": "iou", "GIoU": "giou", "DIoU": "diou", "DIoU2": "diou2"}
_DISTANCES = {"IoU": "iou", "IOU": "iou", "SIZE": "size", "OFFSET": "offset"}


@dataclasses.dataclass
class YoloSetup:
    """What `set_yolo_params` settles.

    Attributes:
        layer: what the model file of the network holds; `None` where all of it comes from a file.
        most: objects of a target vector.
        loss: settings of `losses.YoloLoss`, those that depend on the number of boxes or parameters left out if unset.
        error_type: which loss is displayed, `"complete"` or `"natural"`.
        no_override: what a file says of its YOLO layer does not count.
        raw_output: results hold the activated values, else boxes in pixels.
    """

    layer: Yolo | None
    most: int
    loss: dict
    error_type: str = "natural"
    no_override: bool = False
    raw_output: bool = False

    def loss_settings(self, records: CiannaNetwork) -> dict | None:
        """Return the settings of the loss of these layers; `None` if they do not end in YOLO."""
        last = records.layers[-1]
        return dict(self.loss) if isinstance(last, Conv) and last.yolo is not None else None


def default_setup() -> YoloSetup:
    """Return what holds for a file whose script never calls `set_yolo_params`, where CIANNA crashes."""
    return YoloSetup(None, 0, {"iou": "giou", "prior_distance": "size", "random_startup": STARTUP})


def set_IoU_limits(
    good_IoU_lim: float = -2.0,
    low_IoU_best_box_assoc: float = -2.0,
    min_prob_IoU_lim: float = -2.0,
    min_obj_IoU_lim: float = -2.0,
    min_class_IoU_lim: float = -2.0,
    min_param_IoU_lim: float = -2.0,
    diff_IoU_lim: float = -2.0,
    diff_obj_lim: float = -2.0,
) -> np.ndarray:
    """Return the limits of the association as an array for `set_yolo_params`; -2 means the default of the IoU type.

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.set_IoU_limits(good_IoU_lim=0.5).tolist()
        [0.5, -2.0, -2.0, -2.0, -2.0, -2.0, -2.0, -2.0]
    """
    return np.array(
        [
            good_IoU_lim,
            low_IoU_best_box_assoc,
            min_prob_IoU_lim,
            min_obj_IoU_lim,
            min_class_IoU_lim,
            min_param_IoU_lim,
            diff_IoU_lim,
            diff_obj_lim,
        ],
        "float32",
    )


def set_fit_parts(
    position: int = -2,
    size: int = -2,
    probability: int = -2,
    objectness: int = -2,
    classes: int = -2,
    parameters: int = -2,
) -> np.ndarray:
    """Return which parts of the loss count: 1 fit, 0 pull to neutral, -1 leave out, -2 the default.

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.set_fit_parts(position=1, classes=-1).tolist()
        [1, -2, -2, -2, -1, -2]
    """
    return np.array([position, size, probability, objectness, classes, parameters], "int32")


def set_error_scales(
    position: float = -1.0,
    size: float = -1.0,
    probability: float = -1.0,
    objectness: float = -1.0,
    classes: float = -1.0,
    parameters: float = -1.0,
) -> np.ndarray:
    """Return the weights of the parts of the loss; 0 and less mean the default.

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.set_error_scales(size=0.25).tolist()
        [-1.0, 0.25, -1.0, -1.0, -1.0, -1.0]
    """
    return np.array([position, size, probability, objectness, classes, parameters], "float32")


def set_sm_single(slope: float = -1.0, fmin: float = -100000.0, fmax: float = 100000.0) -> np.ndarray:
    """Return slope, maximum and minimum of one part, in this order; the values given here mean the default.

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.set_sm_single(slope=0.5, fmax=6.0, fmin=-6.0).tolist()
        [0.5, 6.0, -6.0]
    """
    return np.array([slope, fmax, fmin], "float32")


def set_slopes_and_maxes(
    position: np.ndarray | None = None,
    size: np.ndarray | None = None,
    probability: np.ndarray | None = None,
    objectness: np.ndarray | None = None,
    classes: np.ndarray | None = None,
    parameters: np.ndarray | None = None,
) -> np.ndarray:
    """Return the `(6, 3)` array of slopes, maxima and minima; each part comes from `set_sm_single`.

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.set_slopes_and_maxes(size=cnn.set_sm_single(slope=0.5))[:2].tolist()
        [[-1.0, 100000.0, -100000.0], [0.5, 100000.0, -100000.0]]
    """
    rows = (position, size, probability, objectness, classes, parameters)
    return np.stack([set_sm_single() if row is None else np.asarray(row, "float32")[:3] for row in rows])


def set_yolo_params(
    nb_box: int = 0,
    nb_class: int = 0,
    nb_param: int = 0,
    max_nb_obj_per_image: int = 0,
    prior_size: np.ndarray | None = None,
    prior_noobj_prob: np.ndarray | None = None,
    error_scales: np.ndarray | None = None,
    slopes_and_maxes: np.ndarray | None = None,
    param_ind_scales: np.ndarray | None = None,
    IoU_limits: np.ndarray | None = None,
    fit_parts: np.ndarray | None = None,
    IoU_type: str = "empty",
    prior_dist_type: str = "empty",
    strict_box_size: int = 0,
    fit_dim: int = 0,
    rand_startup: int = -1,
    rand_prob_best_box_assoc: float = 0.0,
    rand_prob: float = 0.0,
    min_prior_forced_scaling: float = 0.0,
    class_softmax: int = 0,
    diff_flag: int = 0,
    network: int = 0,
    error_type: str = "empty",
    no_override: int = 0,
    raw_output: int = 0,
) -> int:
    """Set up the YOLO layer of a network before it is added or loaded: CIANNA's `set_yolo_params`.

    Args:
        nb_box: boxes of a grid cell.
        nb_class: number of classes.
        nb_param: number of parameters of a box.
        max_nb_obj_per_image: objects that a target vector has room for.
        prior_size: `(axes, nb_box)`, pixels, x first.
        prior_noobj_prob: `(nb_box,)`, weight of empty boxes (0.2).
        error_scales: from `set_error_scales`.
        slopes_and_maxes: from `set_slopes_and_maxes`.
        param_ind_scales: `(nb_param,)`, weight of each parameter (1).
        IoU_limits: from `set_IoU_limits`.
        fit_parts: from `set_fit_parts`.
        IoU_type: `"IoU"`, `"GIoU"` (also for unknown ones), `"DIoU"` or `"DIoU2"`.
        prior_dist_type: `"IOU"`, `"SIZE"` (also for unknown ones) or `"OFFSET"`.
        strict_box_size: only so many closest priors may take an object; 0 for all.
        fit_dim: axes to fit; as many as `prior_size` has where it is not given.
        rand_startup: images at the start that take random boxes; below 0 64000.
        rand_prob_best_box_assoc: chance that an object takes its closest prior.
        rand_prob: chance that an object takes a random box.
        min_prior_forced_scaling: objects smaller than so many times the smallest prior take it.
        class_softmax: classes exclude each other.
        diff_flag: targets end in a difficulty.
        network: number of the network; here 0 where it is not given, as in CIANNA.
        error_type: loss of the display: `"complete"`, or `"natural"` (also for unknown ones), without the rules that
            correct the association.
        no_override: keep these settings when a file is loaded.
        raw_output: `forward` saves the activated values, else boxes in pixels.

    Returns:
        The number of filters of the YOLO layer, `nb_box * (8 + nb_class + nb_param)`.

    Raises:
        ValueError: if the network has its set-up already, or sizes do not agree.

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.init([32, 32], 1, 1 + 4 * 7, network=0, no_logo=1)
        network 0: input 32x32x1, 1 channel; targets of 29; batch of 8; float32
        >>> cnn.set_yolo_params(nb_box=2, nb_class=3, max_nb_obj_per_image=4, prior_size=[[8, 16], [8, 16]])
        YOLO: 2 boxes, 3 classes, 0 parameters, 2 axes; IoU type giou, prior distance size
        22
    """
    net = state.find(network)
    if net.yolo is not None and net.yolo.layer is not None:
        raise ValueError(
            f"Expected one YOLO set-up for network {net.number}; it has one: pass network=... to set up another one, "
            "or call init again."
        )
    length = 1 + max_nb_obj_per_image * (7 + nb_param + diff_flag)
    if max_nb_obj_per_image > 0 and length != net.outputs:
        raise ValueError(
            f"Expected out_dim={length} of init for {max_nb_obj_per_image} objects of 7 + {nb_param} parameters"
            f"{' + difficulty' * bool(diff_flag)}; received out_dim={net.outputs}."
        )
    layer = _layer(nb_box, nb_class, nb_param, prior_size, fit_dim, slopes_and_maxes, class_softmax)
    iou, distance = _IOU.get(IoU_type, "giou"), _DISTANCES.get(prior_dist_type, "size")
    loss = {
        "iou": iou,
        "prior_distance": distance,
        "scales": _given(error_scales, PARTS, lambda value: value > 0),
        "limits": _given(IoU_limits, tuple(LIMITS[iou]), lambda value: value > -1.99),
        "fit": _given(fit_parts, PARTS, lambda value: value > -2),
        "strict_priors": max(0, int(strict_box_size)),
        "best_prior_rate": float(np.clip(rand_prob_best_box_assoc, 0, 1)),
        "random_rate": float(np.clip(rand_prob, 0, 1)),
        "random_startup": STARTUP if rand_startup < 0 else int(rand_startup),
        "smallest_prior_scale": max(0.0, float(min_prior_forced_scaling)),
        "difficult": bool(diff_flag),
    }
    if prior_noobj_prob is not None:
        loss["noobj"] = _per("prior_noobj_prob", prior_noobj_prob, nb_box)
    if param_ind_scales is not None:
        loss["param_scales"] = _per("param_ind_scales", param_ind_scales, nb_param)
    shown = error_type if error_type in ERROR_TYPES else "natural"
    net.yolo = YoloSetup(layer, int(max_nb_obj_per_image), loss, shown, bool(no_override), bool(raw_output))
    if layer is None:
        print("YOLO: boxes, classes and parameters will come from a file")
    else:
        print(
            f"YOLO: {nb_box} boxes, {nb_class} classes, {nb_param} parameters, {layer.fit_dims} axes; IoU type {iou}, "
            f"prior distance {distance}"
        )
    return int(nb_box * (8 + nb_class + nb_param))


def _layer(boxes, classes, params, priors, fit_dims, slopes_and_maxes, class_softmax) -> Yolo | None:
    """Return what a model file says of the YOLO layer."""
    if priors is None:
        if boxes > 0:
            raise ValueError(f"Expected prior_size as (axes, {boxes}) in pixels; received none.")
        return None
    priors = np.asarray(priors, "float32")
    fit_dims = fit_dims if fit_dims > 0 else len(priors)
    if priors.ndim != 2 or priors.shape[1] != boxes or not fit_dims <= len(priors) <= 3:
        raise ValueError(
            f"Expected prior_size as (axes, {boxes}) with fit_dim={fit_dims} to 3 axes; received shape {priors.shape}."
        )
    stored = np.zeros((boxes, 3), "float32")
    stored[:, :fit_dims] = priors[:fit_dims].T
    slopes = np.array([SLOPES[part] for part in PARTS], "float32")
    if slopes_and_maxes is not None:
        given = np.asarray(slopes_and_maxes, "float32")
        is_set = np.stack([given[:, 0] > 0, given[:, 1] < 1e5, given[:, 2] > -1e5], axis=1)
        slopes = np.where(is_set, given, slopes)
    return Yolo(int(boxes), int(classes), int(params), int(fit_dims), bool(class_softmax), stored, slopes)


def _given(values, names: Sequence[str], counts) -> dict:
    """Return the values that were set, by name."""
    if values is None:
        return {}
    values = np.asarray(values, "float64").ravel()
    if len(values) < len(names):
        raise ValueError(f"Expected {len(names)} values ({', '.join(names)}); received {len(values)}.")
    return {name: float(value) for name, value in zip(names, values, strict=False) if counts(value)}


def _per(what: str, values, count: int) -> list[float]:
    values = np.asarray(values, "float32").ravel()
    if len(values) != count:
        raise ValueError(f"Expected {what} as {count} values; received {len(values)}.")
    return values.tolist()
