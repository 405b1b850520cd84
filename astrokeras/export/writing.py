"""Write a model for other runtimes: ONNX, LiteRT, TensorFlow's SavedModel, OpenVINO."""

import functools
import importlib
import os
import tempfile
import types
import warnings
from pathlib import Path

import keras
import numpy as np
from keras import ops

from astrokeras import backend, layers
from astrokeras.boxes import decode_grid
from astrokeras.models import YoloDetector
from astrokeras.whole_file import replacing

SUFFIXES = {"onnx": ".onnx", "litert": ".tflite", "saved_model": "", "openvino": ".xml"}
PACKAGES = {
    "onnx": ("onnx", "tf2onnx", "onnxruntime"),
    "litert": ("ai_edge_litert",),
    "saved_model": (),
    "openvino": ("openvino",),
}


class Exported:
    """A model in the file of another runtime, which computes it.

    Args:
        path: of what `export` or `quantization.quantize` wrote: `.onnx`, `.tflite`, `.xml` or a folder.
        threads: that compute; `None` leaves it to the runtime (LiteRT: all cores).
        difference: from the answers of Keras, where it was measured.

    Attributes:
        format: `"onnx"`, `"litert"`, `"saved_model"` or `"openvino"`.

    Raises:
        ModuleNotFoundError: if the package of the runtime is missing.

    Example:
        >>> import numpy as np, keras, astrokeras
        >>> from astrokeras.export import Exported
        >>> model = astrokeras.applications.lenet5()
        >>> if keras.config.backend() == "tensorflow":
        ...     _ = astrokeras.export(model, "lenet5", "saved_model", verbose=False)
        ...     assert Exported("lenet5").predict(np.zeros((3, 28, 28, 1))).shape == (3, 10)
    """

    def __init__(self, path: str | os.PathLike, *, threads: int | None = None, difference: float | None = None):
        self.path = Path(path)
        self.format = next((name for name, suffix in SUFFIXES.items() if suffix == self.path.suffix), "saved_model")
        self.threads, self.difference = threads, difference
        needed(self.format)

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        files = self.path.rglob("*") if self.path.is_dir() else [self.path]
        if self.format == "openvino":
            files = [self.path, self.path.with_suffix(".bin")]
        return sum(file.stat().st_size for file in files if file.is_file())

    def predict(self, inputs, batch_size: int = 32) -> np.ndarray | list[np.ndarray]:
        """Compute the model, as `keras.Model.predict` does.

        Args:
            inputs: array `(n, ...)`, or a list of arrays where the model has several inputs.
            batch_size: examples that are computed at once.

        Returns:
            The output, or a list of them.
        """
        several = isinstance(inputs, list | tuple)
        arrays = [np.asarray(one) for one in (inputs if several else [inputs])]
        arrays = [one.astype("float32") if one.dtype.kind != "i" or not several else one for one in arrays]
        starts = range(0, len(arrays[0]), batch_size)
        found = [self._run([one[start : start + batch_size] for one in arrays]) for start in starts]
        outputs = [np.concatenate(parts) for parts in zip(*found, strict=True)]
        return outputs[0] if len(outputs) == 1 else outputs

    def __repr__(self) -> str:
        """Tell the file, and how far it is from Keras."""
        far = "" if self.difference is None else f", difference {self.difference:.2g}"
        return f"<Exported {self.path}{far}>"

    @functools.cached_property
    def _run(self):
        return {"onnx": self._onnx, "litert": self._litert, "saved_model": self._saved_model}.get(
            self.format, self._openvino
        )()

    def _onnx(self):
        runtime = needed("onnx")["onnxruntime"]
        options = runtime.SessionOptions()
        options.intra_op_num_threads = self.threads or 0
        session = runtime.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        names = [one.name for one in session.get_inputs()]
        return lambda arrays: session.run(None, dict(zip(names, arrays, strict=True)))

    def _litert(self):
        needed("litert")
        interpreter = importlib.import_module("ai_edge_litert.interpreter").Interpreter(
            str(self.path), num_threads=self.threads or os.cpu_count()
        )
        (key,) = interpreter.get_signature_list()
        names = interpreter.get_signature_list()[key]
        order = [one["name"] for one in interpreter.get_input_details()]  # that of the model; signatures are sorted
        inputs = sorted(names["inputs"], key=lambda name: f"{key}_{name}:0" in order and order.index(f"{key}_{name}:0"))
        outputs = sorted(names["outputs"], key=lambda name: (len(name), name))  # output_0, output_1, ...
        run = interpreter.get_signature_runner(key)

        def compute(arrays):
            found = run(**dict(zip(inputs, arrays, strict=True)))
            return [found[name].copy() for name in outputs]

        return compute

    def _saved_model(self):
        layer = keras.layers.TFSMLayer(str(self.path), call_endpoint="serve")

        def compute(arrays):
            found = keras.tree.flatten(layer(arrays if len(arrays) > 1 else arrays[0]))
            return [ops.convert_to_numpy(one) for one in found]

        return compute

    def _openvino(self):
        openvino = needed("openvino")["openvino"]
        options = {"INFERENCE_PRECISION_HINT": "f32"}  # else bfloat16, where the processor has it
        if self.threads:
            options["INFERENCE_NUM_THREADS"] = self.threads
        model = openvino.Core().compile_model(str(self.path), "CPU", options)

        def compute(arrays):
            found = model(arrays)
            return [found[index].copy() for index in range(len(model.outputs))]

        return compute


def export(
    model: keras.Model,
    path: str | os.PathLike,
    format: str = "onnx",
    *,
    decode: bool = False,
    saturation: bool = True,
    inputs=None,
    verbose: bool = True,
) -> Exported:
    """Write a model for another runtime, and compare its answers there with those of Keras.

    What is written is a float32 copy, also of a model of mixed precision, for batches of any size. A file that is there
    is replaced when the new one is complete and computes.

    Args:
        model: functional or sequential, or a detector; not changed.
        path: ends in `.onnx`, `.tflite` (LiteRT), `.xml` (OpenVINO; the weights stand in a `.bin` beside it), or is a
            folder (SavedModel).
        format: `"onnx"`, `"litert"`, `"saved_model"` or `"openvino"`.
        decode: of a detector: give boxes `(n, candidates, 2 * dims)` in pixels, x first, their scores and labels
            `(n, candidates)` in place of the grid, and the columns of parameters where there are some
            (`parameters.decode` turns them into physical values). What is left to do is to choose by score and
            `boxes.suppress`. Without it, `model.decode` takes what `predict` returns.
        saturation: write `relu_leaky` as it is. `False` leaves its saturation at 800 out: runtimes compute that faster,
            and the answers are the same unless an activation exceeds 800.
        inputs: examples to compare with; `None` draws four at random, in 0..255 where the model has a layer
            `normalization`, in 0..1 otherwise.
        verbose: print the file and the largest difference.

    Returns:
        An `Exported`, with `.predict(inputs)` and the largest absolute `.difference` from Keras.

    Raises:
        ValueError: if the format is unknown, the path does not fit it, the model cannot be copied, `decode` is asked of
            a model that is no detector, or the Keras backend is not TensorFlow.
        ModuleNotFoundError: if a package of the format is missing.

    Example:
        >>> import keras, astrokeras
        >>> model = astrokeras.applications.lenet5(weights="mnist")
        >>> if keras.config.backend() == "tensorflow":
        ...     exported = astrokeras.export(model, "lenet5", "saved_model", verbose=False)
        ...     assert exported.difference < 1e-5
    """
    path = checked_path(path, format, model)
    if decode and not isinstance(model, YoloDetector):
        raise ValueError(f"Expected a YoloDetector to decode; received {type(model).__name__}: leave decode out.")
    copy = float32_clone(model, saturation=saturation)
    reference = copy if saturation else float32_clone(model)
    if decode:
        copy, reference = _decoding(copy, model), _decoding(reference, model)
    given = inputs is not None
    inputs = inputs if given else _random_inputs(model)
    with _taking_place_of(path) as temporary:
        write(copy, temporary, format)
        expected = keras.tree.flatten(reference.predict(inputs, batch_size=32, verbose=0))
        found = keras.tree.flatten(Exported(temporary).predict(inputs))
        difference = max(float(np.abs(a - b).max()) for a, b in zip(expected, found, strict=True))
    exported = Exported(path, difference=difference)
    if verbose:
        count = len(keras.tree.flatten(inputs)[0])
        kind = "given" if given else "random"
        print(
            f"{path}: {exported.size:,} bytes; largest difference from Keras {difference:.2g} on {count} {kind} inputs"
        )
    return exported


def float32_clone(model: keras.Model, *, saturation: bool = True) -> keras.Model:
    """Return a functional copy of a model with the same weights, which computes in float32.

    Args:
        model: functional or sequential, or a detector; built.
        saturation: keep the saturation of `relu_leaky`; without it the activation is a plain leaky ReLU.

    Returns:
        A `keras.Model` without the methods of its class.

    Raises:
        ValueError: if the model has no inputs of known shape.

    Example:
        >>> import keras, astrokeras
        >>> from astrokeras.export import float32_clone
        >>> keras.config.set_dtype_policy("mixed_bfloat16")
        >>> model = astrokeras.applications.lenet5()
        >>> keras.config.set_dtype_policy("float32")
        >>> copy = float32_clone(model)
        >>> model.layers[1].compute_dtype, copy.layers[1].compute_dtype
        ('bfloat16', 'float32')
    """

    def clone(layer):
        if isinstance(layer, layers.SaturatedLeakyReLU) and not saturation:
            return keras.layers.LeakyReLU(negative_slope=layer.leak, name=layer.name, dtype="float32")
        copy = type(layer).from_config(_in_float32(layer.get_config()))
        if getattr(copy, "activation", None) is layers.relu_leaky and not saturation:
            copy.activation = _leaky
        return copy

    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # for the models inside of the model
    try:
        plain = plain_model(model)
        copy = keras.models.clone_model(plain, clone_function=clone, recursive=True)
    finally:
        keras.config.set_dtype_policy(policy)
    copy.set_weights(plain.get_weights())
    return copy


def plain_model(model: keras.Model) -> keras.Model:
    """Return the functional model from the inputs to the outputs of a model, with its layers.

    Args:
        model: functional or sequential, or a detector; built.

    Raises:
        ValueError: if the model has no inputs of known shape.

    Example:
        >>> import keras
        >>> from astrokeras.export import plain_model
        >>> type(plain_model(keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]))).__name__
        'Functional'
    """
    if not getattr(model, "inputs", None):
        raise ValueError(
            f"Expected a functional or sequential model that is built; {model.name!r} has no inputs: give it an Input, "
            "or export the network inside of it."
        )
    many = len(model.outputs) > 1
    inputs = model.inputs if len(model.inputs) > 1 else model.inputs[0]
    return keras.Model(inputs, model.outputs if many else model.outputs[0], name=model.name)


def write(model: keras.Model, path: Path, format: str) -> None:
    """Write a float32 model in a format, with Keras's export.

    Args:
        model: functional, in float32.
        path: of the file or folder.
        format: see `export`.

    Example:
        >>> import keras
        >>> from astrokeras.export.writing import write
        >>> if keras.config.backend() == "tensorflow":
        ...     write(keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]), "folder", "saved_model")
    """
    with backend.for_other_runtimes(), warnings.catch_warnings():
        model(model.inputs if len(model.inputs) > 1 else model.inputs[0])  # Keras exports what was called once
        warnings.simplefilter("ignore")  # of NumPy, about what tf2onnx asks of it
        model.export(str(path), format="tf_saved_model" if format == "saved_model" else format, verbose=False)


def needed(format: str) -> dict[str, types.ModuleType]:
    """Import the packages of a format; return name -> module.

    Args:
        format: see `export`.

    Raises:
        ModuleNotFoundError: if one is missing.

    Example:
        >>> from astrokeras.export.writing import needed
        >>> needed("saved_model")
        {}
    """
    found = {}
    for package in PACKAGES[format]:
        try:
            found[package] = importlib.import_module(package)
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"The format {format!r} needs the package {error.name}, which is not installed: "
                "pip install 'astrokeras[export]'.",
                name=error.name,
            ) from None
    return found


def checked_path(path: str | os.PathLike, format: str, model: keras.Model | None = None) -> Path:
    """Return the path, if format, path, packages, backend and model fit together.

    Args:
        path: of the file or folder to write.
        format: see `export`.
        model: to write.

    Raises:
        ValueError: if they do not.
        ModuleNotFoundError: if a package is missing.

    Example:
        >>> from astrokeras.export.writing import checked_path
        >>> checked_path("model.onnx", "tflite")
        Traceback (most recent call last):
        ValueError: Expected format among onnx, litert, saved_model, openvino; received 'tflite'.
    """
    path = Path(path)
    if format not in SUFFIXES:
        raise ValueError(f"Expected format among {', '.join(SUFFIXES)}; received {format!r}.")
    if path.suffix != SUFFIXES[format] and (SUFFIXES[format] or path.suffix in SUFFIXES.values()):
        wanted = f"a path that ends in {SUFFIXES[format]}" if SUFFIXES[format] else "a folder"
        raise ValueError(f"Expected {wanted} for the format {format!r}; received {str(path)!r}.")
    if keras.config.backend() != "tensorflow":
        raise ValueError(
            f"Expected TensorFlow as the Keras backend to export; it is {keras.config.backend()}: save the model as "
            ".keras and export it in a process with KERAS_BACKEND=tensorflow."
        )
    if format == "saved_model" and path.exists() and not (path / "saved_model.pb").is_file():
        if not path.is_dir() or any(path.iterdir()):
            raise ValueError(f"Expected a new folder or an older SavedModel; {str(path)!r} is something else.")
    pools = keras.layers.MaxPooling3D | keras.layers.AveragePooling3D | layers.PaddedPooling
    if format == "litert" and model is not None:
        for layer in model.layers:
            if isinstance(layer, pools) and len(layer.output.shape) == 5:
                raise ValueError(f"Expected no 3-D pooling, which LiteRT lacks; received {layer.name!r}: use ONNX.")
    needed(format)
    return path


def _taking_place_of(path: Path):
    """Give a path to write to, which takes the place of `path` at the end: a file, a file with its `.bin`, a folder."""
    return replacing(path) if path.suffix in (".onnx", ".tflite") else _replacing_several(path)


class _replacing_several:
    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> Path:
        self.folder = tempfile.TemporaryDirectory(dir=self.path.parent, prefix=f".{self.path.stem[:40]}-")
        return Path(self.folder.name) / self.path.name

    def __exit__(self, kind, *_) -> None:
        with self.folder:
            if kind is None:
                new = Path(self.folder.name) / self.path.name
                if self.path.is_dir():
                    self.path.rename(Path(self.folder.name) / "old")
                if new.with_suffix(".bin").is_file():
                    os.replace(new.with_suffix(".bin"), self.path.with_suffix(".bin"))
                os.replace(new, self.path)


def _in_float32(config):
    """Return a layer's config with each precision in it set to float32."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return "float32"
        half = isinstance(config.get("dtype"), str) and config["dtype"].endswith("float16")
        return {key: _in_float32(value) for key, value in config.items()} | ({"dtype": "float32"} if half else {})
    return [_in_float32(value) for value in config] if isinstance(config, list | tuple) else config


def _leaky(x):
    return ops.leaky_relu(x, negative_slope=layers.activations.LEAK)


def _random_inputs(model: keras.Model):
    rng = np.random.default_rng(0)
    scale = 255 if any(layer.name == "normalization" for layer in model.layers) else 1
    found = []
    for one in model.inputs:
        shape = [4, *(32 if side is None else side for side in one.shape[1:])]
        floats = keras.backend.is_float_dtype(one.dtype)
        found.append((rng.random(shape) * scale).astype("float32") if floats else np.zeros(shape, one.dtype))
    return found if len(found) > 1 else found[0]


def _decoding(network: keras.Model, detector: YoloDetector) -> keras.Model:
    """Return the network with boxes, scores, labels (and parameters) as its outputs."""
    outputs = _Decode(detector, dtype="float32", name="decode")(network.outputs[0])
    return keras.Model(network.inputs[0], outputs, name=network.name)


class _Decode(keras.layers.Layer):
    """The grid of a detector as boxes, scores, labels and parameters; lives in exported files only."""

    def __init__(self, detector: YoloDetector, **kwargs):
        super().__init__(**kwargs)
        self.settings = detector.settings

    def call(self, grid):
        settings, sides = self.settings, grid.shape[1:-1]
        candidates = int(np.prod(sides)) * len(settings.priors)
        outputs = ops.reshape(grid, (-1, *sides, len(settings.priors), grid.shape[-1] // len(settings.priors)))
        boxes = ops.reshape(decode_grid(outputs, settings.sides, settings.cell), (-1, candidates, 2 * len(sides)))
        outputs = ops.reshape(outputs, (-1, candidates, outputs.shape[-1]))
        scores = outputs[..., 7]
        labels = ops.zeros_like(scores, dtype="int32")
        end = 8 + settings.classes
        if settings.classes:
            scores = scores * ops.max(outputs[..., 8:end], axis=-1)
            best = outputs[..., 8:end] >= ops.max(outputs[..., 8:end], axis=-1, keepdims=True)
            numbers = ops.arange(settings.classes, dtype="int32")
            labels = ops.min(ops.where(best, numbers, settings.classes), axis=-1)  # Keras's argmax needs a Bitcast
        found = [boxes, scores, ops.cast(labels, "int32")]
        if settings.params:
            found.append(outputs[..., end:])
        return found
