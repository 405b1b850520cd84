"""The one module that may import tensorflow, jax or torch (inside functions)."""

import contextlib
import contextvars
import functools
import importlib.util
import os
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import keras

PACKAGES = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}

_exporting = contextvars.ContextVar("exporting", default=False)


def devices() -> list[str]:
    """List the devices that the Keras backend sees, GPUs first.

    Returns:
        Names as the backend writes them, such as `"gpu:0"` or `"cpu:0"`.

    Example:
        >>> import astrokeras
        >>> any(name.startswith(("cpu", "gpu")) for name in astrokeras.backend.devices())
        True
    """
    name = keras.config.backend()
    if name == "tensorflow":
        import tensorflow as tf

        found = [
            f"{device.device_type.lower()}:{device.name.rsplit(':', 1)[-1]}"
            for device in tf.config.list_physical_devices()
            if device.device_type in ("CPU", "GPU")
        ]
    elif name == "jax":
        import jax

        found = [f"{device.platform}:{device.id}".replace("cuda", "gpu") for device in jax.devices()]
    elif name == "torch":
        import torch

        found = [f"gpu:{i}" for i in range(torch.cuda.device_count())] + ["cpu:0"]
    else:
        raise ValueError(
            f"Expected the Keras backend to be one of {sorted(PACKAGES)}, received {name!r}: "
            "set the environment variable KERAS_BACKEND to one of them before Python starts."
        )
    return sorted(found, key=lambda device: not device.startswith("gpu"))


def has_gpu() -> bool:
    """Tell whether the Keras backend sees a GPU.

    Example:
        >>> import astrokeras
        >>> astrokeras.backend.has_gpu() in (True, False)
        True
    """
    return devices()[0].startswith("gpu")


def built_for_gpu() -> bool:
    """Tell whether the installed package of the backend contains CUDA code at all.

    Example:
        >>> import astrokeras
        >>> astrokeras.backend.built_for_gpu() in (True, False)
        True
    """
    name = keras.config.backend()
    if name == "tensorflow":
        import tensorflow as tf

        return bool(tf.test.is_built_with_cuda())
    if name == "jax":
        return any(importlib.util.find_spec(f"jax_cuda{major}_plugin") for major in (12, 13))
    import torch

    return torch.version.cuda is not None


@contextlib.contextmanager
def distribute(devices: Sequence[str] | None = None) -> Iterator[list[str]]:
    """Train on several devices: inside, each batch is shared among them, and the weights are the same on all.

    Build, compile and train the model inside. JAX: `keras.distribution.DataParallel`. TensorFlow:
    `tf.distribute.MirroredStrategy`. The batch size is that of all devices together; give multiples of their number.

    Args:
        devices: names as `devices()` lists them; `None` takes all GPUs, or all CPU devices where there is none.

    Returns:
        A context manager that gives the names of the devices.

    Raises:
        ValueError: if a device is unknown, or the backend is torch.

    Example:
        >>> import astrokeras
        >>> with astrokeras.backend.distribute() as used:
        ...     model = astrokeras.applications.lenet5()
        >>> len(used) >= 1
        True
    """
    name = keras.config.backend()
    if name not in ("tensorflow", "jax"):
        raise ValueError(
            f"Expected TensorFlow or JAX to train on several devices; the Keras backend is {name}: set the environment "
            "variable KERAS_BACKEND to one of them before Python starts."
        )
    if name == "jax":
        known = {device.replace("cuda", "gpu"): device for device in keras.distribution.list_devices()}
    else:
        import tensorflow as tf

        logical = (device.name.removeprefix("/device:") for device in tf.config.list_logical_devices())
        known = {device.lower(): device for device in logical if device.startswith(("CPU", "GPU"))}
    used = [device for device in known if device.startswith("gpu")] or list(known) if devices is None else list(devices)
    unknown = [device for device in used if device not in known]
    if unknown or not used:
        raise ValueError(f"Expected devices among {', '.join(known)}; received {', '.join(unknown) or 'none'}.")
    if name == "tensorflow":
        with _strategy(tuple(known[device] for device in used)).scope():
            yield used
        return
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=[known[device] for device in used]))
    try:
        yield used
    finally:
        keras.distribution.set_distribution(before)


@functools.cache  # two strategies on the same devices get into each other's way
def _strategy(devices: tuple[str, ...]):
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(list(devices))


def replicas() -> int:
    """Return by how many devices the loss of a step is summed, each with its own share of the batch.

    That is so under TensorFlow's strategies; JAX sees the whole batch at once. A loss divides by it.

    Example:
        >>> import astrokeras
        >>> astrokeras.backend.replicas()
        1
    """
    if keras.config.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def fused_batch_norm(x, gamma, beta, epsilon: float) -> tuple:
    """Normalise a batch by its own statistics in TensorFlow's fused kernel.

    Args:
        x: map `(batch, y, x, channels)` of float32, float16 or bfloat16.
        gamma: scale `(channels,)`, float32; likewise `beta`, the offset.
        beta: see `gamma`.
        epsilon: added to the variance.

    Returns:
        The normalised map in the type of `x`, and mean and biased variance `(channels,)` in float32.

    Example:
        >>> import keras, numpy as np
        >>> from astrokeras import backend
        >>> x = np.arange(8, dtype="float32").reshape(4, 1, 1, 2)
        >>> if keras.config.backend() == "tensorflow":
        ...     mean = backend.fused_batch_norm(x, np.ones(2, "float32"), np.zeros(2, "float32"), 1e-3)[1]
        ...     assert np.allclose(mean, x.mean((0, 1, 2)))
    """
    import tensorflow as tf

    x = tf.convert_to_tensor(x)
    none = tf.zeros(0)
    y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=gamma, offset=beta, mean=none, variance=none, epsilon=epsilon, is_training=True
    )
    count = tf.cast(tf.size(x) // x.shape[-1], "float32")  # the kernel's variance is the unbiased one
    return y, mean, variance * (count - 1) / count


def runs_step_by_step() -> bool:
    """Whether what is traced now will run operation by operation: by TensorFlow on a CPU, for this runtime.

    There, each operation goes over the whole map, and no compiler joins it with the next; see `for_other_runtimes`.

    Example:
        >>> from astrokeras import backend
        >>> with backend.for_other_runtimes():
        ...     print(backend.runs_step_by_step())
        False
    """
    return keras.config.backend() == "tensorflow" and not _exporting.get() and not has_gpu()


@contextlib.contextmanager
def for_other_runtimes() -> Iterator[None]:
    """Trace models without what only helps TensorFlow on a CPU: other runtimes fuse and quantize the plain operations.

    Example:
        >>> import astrokeras
        >>> with astrokeras.backend.for_other_runtimes():
        ...     model = astrokeras.applications.lenet5()
    """
    token = _exporting.set(True)
    try:
        yield
    finally:
        _exporting.reset(token)


def saturated_leaky_relu(x, leak: float, saturation: float) -> Any:
    """Return `layers.relu_leaky(x)`, in the few passes over a map that TensorFlow needs on a CPU.

    The leaky part is one with a convolution in front of it, as its gradient asks for the output and not for the input.
    The saturation is computed only where a value exceeds it.

    Args:
        x: tensor of any shape.
        leak: slope below 0 and above the saturation.
        saturation: end of the linear part.

    Returns:
        Tensor of the shape and dtype of `x`.

    Example:
        >>> import keras
        >>> from astrokeras import backend
        >>> if keras.config.backend() == "tensorflow":
        ...     y = backend.saturated_leaky_relu(keras.ops.array([-4.0, 2.0, 10.0]), 0.5, 6.0)
        ...     assert y.numpy().tolist() == [-2.0, 2.0, 8.0]
    """
    import tensorflow as tf

    @tf.custom_gradient
    def activation(x):
        y = tf.nn.leaky_relu(x, leak)
        small = tf.reduce_max(y) <= saturation  # not so where there is a NaN
        z = tf.cond(small, lambda: y, lambda: y - (1.0 - leak) * tf.nn.relu(y - saturation))

        def slope(upstream):
            cut = tf.cond(small, lambda: upstream, lambda: tf.where(y > saturation, leak * upstream, upstream))
            return tf.raw_ops.LeakyReluGrad(gradients=cut, features=y, alpha=leak)

        return z, slope

    return activation(x)


def keep_compiled(folder: str | os.PathLike) -> None:
    """Let the JAX backend keep what it compiles in a folder, and find it there the next time.

    Raises:
        ValueError: on the other backends.

    Example:
        >>> import keras
        >>> from astrokeras import backend
        >>> if keras.config.backend() == "jax":
        ...     backend.keep_compiled("compiled")
    """
    if keras.config.backend() != "jax":
        raise ValueError(
            f"Expected compile_cache with the JAX backend only; received {os.fspath(folder)!r} with "
            f"{keras.config.backend()}: leave it out."
        )
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    jax.config.update("jax_compilation_cache_dir", os.path.abspath(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    compilation_cache.reset_cache()  # JAX looks for the folder once, at the first compilation


def gradient(function, x, *, compiled: bool = False) -> Any:
    """Return the gradient of a function with one scalar result, which `keras.ops` cannot give.

    Args:
        function: takes a tensor, returns a scalar tensor.
        x: tensor or array of float32.
        compiled: compile with XLA first (TensorFlow, JAX).

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> import numpy as np, keras
        >>> from astrokeras import backend
        >>> slope = backend.gradient(lambda x: keras.ops.sum(x**2), np.array([1.0, 2.0], "float32"))
        >>> keras.ops.convert_to_numpy(slope).tolist()
        [2.0, 4.0]
    """
    name = keras.config.backend()
    if name == "tensorflow":
        import tensorflow as tf

        def derive(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = function(x)
            return tape.gradient(y, x)

        return (tf.function(derive, jit_compile=True) if compiled else derive)(tf.convert_to_tensor(x))
    if name == "jax":
        import jax

        derive = jax.grad(function)
        return (jax.jit(derive) if compiled else derive)(jax.numpy.asarray(x))
    import torch

    x = keras.ops.convert_to_tensor(x).clone().detach().requires_grad_(True)
    return torch.autograd.grad(function(x), x, create_graph=torch.is_grad_enabled())[0]


def litert_int8(folder: str, examples, keep) -> bytes:
    """Convert a SavedModel to LiteRT with 8-bit weights and activations, with TensorFlow's converter.

    Args:
        folder: of the SavedModel.
        examples: inputs of the model to calibrate with, `(n, ...)`, float32.
        keep: function of a tensor's name; where it is true, the operation stays in float32.

    Returns:
        What belongs in a `.tflite` file.

    Raises:
        ValueError: if the Keras backend is not TensorFlow.

    Example:
        >>> import keras, numpy as np
        >>> from astrokeras import backend
        >>> if keras.config.backend() == "tensorflow":
        ...     model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 3)])
        ...     model.export("folder", format="tf_saved_model", verbose=False)
        ...     content = backend.litert_int8("folder", np.zeros((1, 4, 4, 1), "float32"), lambda name: False)
        ...     assert content[4:8] == b"TFL3"
    """
    if keras.config.backend() != "tensorflow":
        raise ValueError(f"Expected TensorFlow as the Keras backend; it is {keras.config.backend()}.")
    import tensorflow as tf

    def quantizer(count, **options):
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([examples[i : i + 1]] for i in range(count))
        options = tf.lite.experimental.QuantizationDebugOptions(**options)
        dataset = converter.representative_dataset
        return tf.lite.experimental.QuantizationDebugger(
            converter=converter, debug_dataset=dataset, debug_options=options
        )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that TensorFlow's interpreter, which the quantizer uses, has moved
        names = [
            tensor["name"]
            for tensor in tf.lite.Interpreter(model_content=quantizer(1).calibrated_model).get_tensor_details()
        ]
        kept = [name for name in dict.fromkeys(names) if keep(name)]
        return quantizer(len(examples), denylisted_nodes=kept).get_nondebug_quantized_model()
