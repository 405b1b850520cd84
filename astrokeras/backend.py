"""The one module that may import tensorflow, jax or torch (inside functions)."""

import importlib.util

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
