"""Networks of 8-bit integers, in the files of ONNX Runtime and LiteRT."""

import os
import re
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from astrokeras import backend
from astrokeras.export import Exported, float32_clone
from astrokeras.export.writing import checked_path, needed, write
from astrokeras.quantization.fake import WITH_KERNEL, leaves, without_fakes
from astrokeras.whole_file import replacing

OPERATIONS = [  # of ONNX that compute with integers; what else there is stays in float32
    *(
        "Conv",
        "MatMul",
        "Gemm",
        "LeakyRelu",
        "Relu",
        "Clip",
        "Add",
        "Concat",
        "Resize",
        "Pad",
        "MaxPool",
        "AveragePool",
    ),
    *("GlobalAveragePool", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze"),
]


def quantize(
    model: keras.Model,
    calibration: np.ndarray,
    path: str | os.PathLike,
    runtime: str = "onnx",
    *,
    keep: Sequence[str] | None = None,
    batch_size: int = 8,
    verbose: bool = True,
) -> Exported:
    """Write a network whose weights and maps are 8-bit integers (post-training quantization).

    The calibration tells the range of each map; weights have one range per output channel. Inputs and outputs stay
    floats, and so do the head of a detector, the last convolution or dense layer and what follows it. The saturation of
    `relu_leaky` at 800 is left out if the answers to the calibration do not show it. On processors without VNNI or
    similar instructions, ONNX Runtime adds up products in 16 bits, which can overflow: use LiteRT there.

    Args:
        model: functional or sequential, or a detector; trained, perhaps through `fake_quantize`. Of one input.
        calibration: inputs `(n, ...)` as the network will see them; some 100 of the training set.
        path: of the file, `.onnx` or `.tflite`.
        runtime: `"onnx"` or `"litert"`.
        keep: names of the layers that stay in float32; `None` means from the last convolution or dense layer on.
        batch_size: of the calibration.
        verbose: print the file and the largest difference from the float32 answers on the calibration.

    Returns:
        An `Exported`, with `.predict(inputs)` in the shape of the model's, and the largest absolute `.difference`.
        For a detector: `model.decode(exported.predict(images))`.

    Raises:
        ValueError: if the runtime is unknown, the path does not fit it, the calibration does not fit the model, a layer
            to keep is unknown, or the Keras backend is not TensorFlow.
        ModuleNotFoundError: if a package of the runtime is missing.

    Reference:
        Jacob et al. 2018, arXiv:1712.05877; Krishnamoorthi 2018, arXiv:1806.08342.

    Example:
        >>> import keras, astrokeras
        >>> model = astrokeras.applications.lenet5(weights="mnist")
        >>> _, (x, _) = astrokeras.datasets.simulated_digits(train=10, test=50)
        >>> if keras.config.backend() == "tensorflow":
        ...     small = astrokeras.quantization.quantize(model, x / 255, "lenet5.tflite", "litert", verbose=False)
        ...     assert small.predict(x / 255).shape == (50, 10)
    """
    if runtime not in ("onnx", "litert"):
        raise ValueError(f"Expected runtime to be 'onnx' or 'litert'; received {runtime!r}.")
    path = checked_path(path, runtime, model)
    model = without_fakes(model)
    exact = float32_clone(model)
    calibration = np.asarray(calibration, "float32")
    if len(exact.inputs) > 1 or not len(calibration) or not _fits(calibration.shape[1:], exact.inputs[0].shape[1:]):
        raise ValueError(
            f"Expected a calibration (n, {', '.join(map(str, exact.inputs[0].shape[1:]))}) for a model of one input; "
            f"received shape {calibration.shape} for a model of {len(exact.inputs)}."
        )
    kept = _kept(exact, keep)
    simple = float32_clone(model, saturation=False)
    expected, seen = (_answers(one, calibration) for one in (exact, simple))
    far = max(np.abs(a - b).max() / max(np.abs(a).max(), 1e-6) for a, b in zip(expected, seen, strict=True))
    network = simple if far < 1e-4 else exact
    with replacing(path) as temporary:
        (_onnx if runtime == "onnx" else _litert)(network, calibration, temporary, kept, batch_size)
        found = keras.tree.flatten(Exported(temporary).predict(calibration))
        difference = max(float(np.abs(a - b).max()) for a, b in zip(expected, found, strict=True))
    exported = Exported(path, difference=difference)
    if verbose:
        count = len(calibration)
        print(f"{path}: {exported.size:,} bytes; largest difference from float32 {difference:.2g} on {count} inputs")
    return exported


def _onnx(network, calibration: np.ndarray, path: Path, kept: Callable[[str], bool], batch_size: int) -> None:
    onnx = needed("onnx")["onnx"]
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole, prepared = Path(folder) / "whole.onnx", Path(folder) / "prepared.onnx"
        write(network, whole, "onnx")
        quant_pre_process(str(whole), str(prepared), skip_symbolic_shape=True)
        graph = onnx.load(str(prepared)).graph
        batches = ({graph.input[0].name: batch} for batch in _batches(calibration, batch_size))

        class Reader(quantization.CalibrationDataReader):
            def get_next(self):
                return next(batches, None)

        quantization.quantize_static(
            str(prepared),
            str(path),
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            op_types_to_quantize=OPERATIONS,
            nodes_to_exclude=[node.name for node in graph.node if kept(node.name)],
        )


def _litert(network, calibration: np.ndarray, path: Path, kept: Callable[[str], bool], batch_size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write(network, Path(folder), "saved_model")
        path.write_bytes(backend.litert_int8(folder, calibration, kept))


def _kept(model: keras.Model, keep: Sequence[str] | None) -> Callable[[str], bool]:
    """Return which operations stay in float32, by their names, which have those of the layers between slashes."""
    every = list(leaves(model))
    at = [index for index, layer in enumerate(every) if isinstance(layer, WITH_KERNEL)]
    if not at:
        raise ValueError(f"Expected a model with convolutions or dense layers to quantize; {model.name!r} has none.")
    names = [layer.name for layer in every]
    chosen = set(names[at[-1] :]) if keep is None else set(keep)
    if chosen - set(names):
        raise ValueError(f"Expected layers to keep that are in the model; received {', '.join(chosen - set(names))}.")
    if all(every[index].name in chosen for index in at):
        raise ValueError("Expected a convolution or dense layer that is not kept in float32; received none: export it.")
    for index, layer in enumerate(every[:-1]):  # normalisation is merged into the layer in front of it
        if layer.name in chosen and isinstance(every[index + 1], keras.layers.BatchNormalization):
            chosen.add(every[index + 1].name)
    chosen |= set(names[: at[0]])  # what stands in front of the first layer with a kernel
    ends = "|^StatefulPartitionedCall(_\\d+)?:" if names[-1] in chosen else ""  # the last operation of a LiteRT file
    pattern = re.compile(rf"(^|[/;])({'|'.join(map(re.escape, sorted(chosen)))})(_\d+)?(/|;|$){ends}")
    return lambda name: pattern.search(name) is not None


def _answers(model: keras.Model, inputs: np.ndarray) -> list[np.ndarray]:
    return keras.tree.flatten(model.predict(inputs, batch_size=32, verbose=0))


def _batches(inputs: np.ndarray, size: int):
    for start in range(0, len(inputs), size):
        yield inputs[start : start + size]


def _fits(shape: tuple, wanted: tuple) -> bool:
    return len(shape) == len(wanted) and all(side in (None, own) for own, side in zip(shape, wanted, strict=True))
