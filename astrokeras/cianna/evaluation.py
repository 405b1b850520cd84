"""Passes over a set without training: the control of `train`, and `forward`."""

import contextlib
import dataclasses
import time

import keras
import numpy as np

from astrokeras.cianna import state
from astrokeras.cianna.datasets import Dataset, filled
from astrokeras.cianna.displays import ProgressLine, best, confusion_text
from astrokeras.cianna.losses import PARTS, TERMS, displayed, image_losses, terms_model
from astrokeras.cianna.results import ResultFile, channels_first, note_losses, pixel_boxes
from astrokeras.cianna.shapes import last_shape
from astrokeras.cianna.targets import target_converter
from astrokeras.cianna_files import Conv, Dense
from astrokeras.losses import pack_targets

DROP_MODES = ("AVG_MODEL", "MC_MODEL")


def forward(
    saving: int = 1,
    drop_mode: str = "AVG_MODEL",
    no_error: int = 0,
    repeat: int = 1,
    network: int | None = None,
    silent: int = 0,
    *,
    return_output: int = 0,
) -> np.ndarray | None:
    """Send the set TEST through a network: CIANNA's `forward`.

    The results go to `fwd_res/net<network>_<iteration, 4 digits>.dat`: for each batch and each repetition one row per
    image. Behind a dense layer a row ends with one number more, the pivot; maps are in the order filter, z, y, x.

    Args:
        saving: 0 writes no file, 1 text, 2 float32.
        drop_mode: `"AVG_MODEL"` scales by the share that dropout leaves, `"MC_MODEL"` draws dropout at random.
        no_error: 1 computes no loss, so that targets do not matter.
        repeat: passes of each batch, for `"MC_MODEL"`.
        network: number of the network; the last one where it is not given.
        silent: 1 prints nothing.
        return_output: 1 returns the results too, without the pivots.

    Returns:
        `None`, or `(repeat * n, outputs)` in the order of the file.

    Raises:
        ValueError: if there is no set TEST, or its targets do not fit the outputs.

    Example:
        >>> import numpy as np
        >>> from astrokeras import cianna as cnn
        >>> cnn.init([4], 1, 3, network=0, no_logo=1)
        network 0: input 4x1x1, 1 channel; targets of 3; batch of 8; float32
        >>> cnn.dense(3, activation="SMAX")
        layer 1: dense 3 neurons, SMAX, bias 0.1: 3, 20 weights
        0
        >>> cnn.create_dataset("TEST", 5, np.zeros((5, 4)), np.zeros((5, 3)), silent=1)
        >>> cnn.forward(saving=0, no_error=1, silent=1, return_output=1).shape
        (5, 3)
    """
    net = state.find(network)
    if drop_mode not in DROP_MODES:
        raise ValueError(f"Expected drop_mode AVG_MODEL or MC_MODEL; received {drop_mode!r}.")
    if repeat < 1:
        raise ValueError(f"Expected repeat >= 1; received {repeat}.")
    test = filled(net, "TEST", "for forward")
    kept = [] if return_output else None
    with averages(net):
        run(
            net,
            test,
            saving=saving,
            random=drop_mode == "MC_MODEL",
            errors=not no_error,
            repeat=repeat,
            silent=silent == 1,
            keep=kept,
        )
    return np.concatenate(kept) if kept is not None else None


def averages(net: state.NetworkState):
    """Return a context in which the model has the moving average of its weights, where one is kept."""
    return net.trainer.averages() if net.trainer is not None else contextlib.nullcontext()


@dataclasses.dataclass
class Totals:
    """Sums over the images of a pass; `terms` as `losses.TERMS`, of YOLO only."""

    loss: float = 0.0
    terms: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(len(TERMS)))
    matrix: np.ndarray | None = None


def run(
    net: state.NetworkState,
    dataset: Dataset,
    *,
    saving: int = 0,
    random: bool = False,
    errors: bool = True,
    confmat: int = 0,
    repeat: int = 1,
    silent: bool = False,
    keep: list | None = None,
) -> Totals:
    """Pass once over a set; print and note what CIANNA does.

    Args:
        net: the network.
        dataset: the set.
        saving: see `forward`.
        random: draw dropout at random.
        errors: compute losses.
        confmat: which confusion matrix to print, 0 for none.
        repeat: passes of each batch.
        silent: print nothing, and leave `error.txt` alone.
        keep: takes the outputs of each pass, flat.
    """
    model = net.built()
    predict = (_with_dropout(net) if random else model).predict_on_batch
    last, size = net.records.layers[-1], net.batch_size
    yolo = last.yolo if isinstance(last, Conv) else None
    boxes = yolo is not None and not net.yolo.raw_output
    judge = _judge(net, dataset) if errors else None
    totals, batches, start = Totals(), -(-len(dataset) // size), time.perf_counter()
    if confmat and errors:
        totals.matrix = np.zeros((net.outputs, net.outputs), int)
    shape, pivots = model.input_shape[1:], _pivots(net) if saving and isinstance(last, Dense) else None
    with (
        ResultFile(net.number, net.iteration, saving, one_line=boxes) as file,
        ProgressLine("Fwd ", net.iteration, batches, net.bar_width, silent) as line,
    ):
        for rows, real in dataset.batches(size):
            images, before = dataset.images(rows, shape), totals.loss
            for _ in range(repeat):
                outputs = np.asarray(predict(images))
                if judge is not None:
                    judge(totals, outputs, rows, real)
                if not saving and keep is None:
                    continue
                flat = outputs[:real] if isinstance(last, Dense) else channels_first(outputs[:real])
                if boxes:
                    flat = pixel_boxes(flat, yolo, net.records.input_size, last_shape(net.records)[:3])
                flat = flat.reshape(real, -1).astype("float32")
                if keep is not None:
                    keep.append(flat)
                if pivots is not None:
                    flat = np.concatenate([flat, pivots(images)[:real, None]], axis=1)
                file.write(flat)
            line.advance(size, (totals.loss - before) / (real * repeat))
    count = len(dataset) * repeat
    if not silent:
        _report(net, totals, count, len(dataset) / (time.perf_counter() - start), errors, yolo is not None)
    if errors and np.isnan(totals.loss):
        raise ValueError(
            f"Network {net.number} diverged: its loss is no number after iteration {net.iteration}; lower the learning "
            "rate."
        )
    if totals.matrix is not None and totals.matrix.any() and repeat == 1 and not silent:
        print(confusion_text(totals.matrix, confmat))
    return totals


def _pivots(net: state.NetworkState):
    """Return a function of images: the last number of each row behind a dense layer, its pivot."""
    layer = net.built().layers[-1]
    column, corner = (np.asarray(keras.ops.convert_to_numpy(part)) for part in (layer.pivot_kernel, layer.corner))
    if net.records.layers[-1].activation != "LIN" or not (column.any() or corner):
        return lambda images: np.zeros(len(images), "float32")
    before = keras.Model(net.model.inputs, layer.input)

    def pivots(images: np.ndarray) -> np.ndarray:
        inputs = np.asarray(before.predict_on_batch(images))
        given = inputs[:, -1] if layer.takes_pivot else layer.bias_value
        return inputs[:, : len(column)] @ column + given * corner

    return pivots


def _judge(net: state.NetworkState, dataset: Dataset):
    """Return a function that adds the losses of a batch to the totals."""
    model, last = net.built(), net.records.layers[-1]
    convert = target_converter(net)
    if isinstance(last, Conv) and last.yolo is not None:
        packed = pack_targets(dataset.converted(convert, model))
        if net.judge is None:
            settings = displayed(model.settings, net.yolo.error_type)
            net.judge = terms_model(settings, packed.shape[1:], model.output_shape[1:])
        judge = net.judge

        def add(totals, outputs, rows, real):
            terms = np.asarray(judge.predict_on_batch([packed[rows], outputs]))[:real].sum(axis=0, dtype="float64")
            totals.terms += terms
            totals.loss += float(terms[0])

        return add
    targets, softmax = dataset.converted(convert, model), last.activation == "SMAX"

    def add(totals, outputs, rows, real):
        truth = targets[rows[:real]]
        totals.loss += float(image_losses(outputs[:real], truth, softmax).sum())
        if totals.matrix is not None and truth[0].size == truth.shape[-1]:
            flat = outputs[:real].reshape(real, -1)
            np.add.at(totals.matrix, (best(truth.reshape(real, -1)), best(flat)), 1)

    return add


def _report(net, totals: Totals, count: int, rate: float, errors: bool, yolo: bool) -> None:
    loss = f" | Mean Loss: {totals.loss / count:.5g}" if errors else ""
    print(f"{'':14}Average forward perf : {rate:.2f} it/s{loss}")
    if not errors:
        return
    terms = dict(zip(TERMS, totals.terms, strict=True))
    parts = [terms[part] / count for part in PARTS] if yolo else []
    if yolo:
        names = ("Pos", "Size", "Prob", "Obj", "Class", "Param")
        shown = " |".join(f"{name}: {part:.5f}" for name, part in zip(names, parts, strict=True))
        found = max(terms["found"], 1.0)
        watched = [terms[name] / found for name in ("iou", "found_objectness", "good")]
        print(f"Loss dist. ||{shown} ||M IoU = {watched[0]:.4f} |M Obj = {watched[1]:.4f} |P Good = {watched[2]:.4f}")
    note_losses(net.iteration, [totals.loss / count, *parts])


def _with_dropout(net: state.NetworkState) -> keras.Model:
    """Return the model with dropout drawn at random, made once."""
    model = net.built()
    if net.random_model is None:
        inputs = keras.Input(model.input_shape[1:])
        net.random_model = keras.Model(inputs, _AsInTraining(model)(inputs))
    return net.random_model


class _AsInTraining(keras.layers.Layer):
    """A model whose dropout acts in `predict` too: the call of an outer model decides for models inside it."""

    def __init__(self, model: keras.Model):
        super().__init__(dtype=model.dtype_policy)
        self.model = model

    def call(self, inputs):
        return self.model(inputs, training=True)

    def compute_output_shape(self, input_shape):
        return self.model.output_shape
