"""The one module that may import tensorflow, jax or torch (inside functions)."""

import importlib.util
from typing import Any

import keras

PACKAGES = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}


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
    return torch.autograd.grad(function(x), x)[0]
