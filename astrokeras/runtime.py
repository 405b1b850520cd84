"""How the session computes: precision, seed, and a report of what the machine offers."""

import importlib.metadata
import os
import platform
import shutil
import sys

import keras

from astrokeras import backend

PRECISIONS = ("auto", "float32", "mixed_float16", "mixed_bfloat16")
PACKAGES = (
    "astrokeras",
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "jax",
    "torch",
    "numpy",
    "albumentations",
    "astropy",
    "matplotlib",
)
BFLOAT16_UNITS = {"avx512_bf16": "AVX512-BF16", "amx_bf16": "AMX"}  # flag of the processor -> name


def configure(precision: str = "auto", seed: int | None = None, compile_cache: str | os.PathLike | None = None) -> str:
    """Choose the precision, the random seed and a compile cache for this session.

    Call it once, before building a model; importing astrokeras changes nothing by itself.
    In the mixed precisions, heads, losses, softmax outputs and the statistics of the
    normalisation layers stay in float32.

    Args:
        precision: `"auto"` is `"mixed_float16"` on a GPU and `"float32"` on a CPU; or one of
            `"float32"`, `"mixed_float16"`, `"mixed_bfloat16"`.
        seed: seeds Python, NumPy and the backend; `None` leaves them as they are.
        compile_cache: folder in which the JAX backend keeps what it compiles, so that the next session does not compile
            it again; made where it is missing.

    Returns:
        The name of the Keras dtype policy that is now in force.

    Raises:
        ValueError: if `precision` is unknown, `seed` is not an integer >= 0, or a `compile_cache` is given to
            another backend than JAX.

    Example:
        >>> import astrokeras
        >>> astrokeras.configure("float32", seed=1)
        'float32'
    """
    if precision not in PRECISIONS:
        raise ValueError(f"Expected precision to be one of {', '.join(PRECISIONS)}; received {precision!r}.")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32):
        raise ValueError(f"Expected seed to be None or an integer in 0..2^32-1; received {seed!r}.")
    if compile_cache is not None:
        backend.keep_compiled(compile_cache)
    if precision == "auto":
        precision = "mixed_float16" if backend.has_gpu() else "float32"
    keras.config.set_dtype_policy(precision)
    if seed is not None:
        keras.utils.set_random_seed(seed)
    return precision


def report() -> dict[str, str]:
    """Describe what this session runs on.

    Returns:
        `backend`, `devices`, `precision` (the policy in force), `precision "auto"` (what
        `configure("auto")` would choose), `xla "auto"` (whether Keras's `jit_compile="auto"` compiles
        with XLA here), `bfloat16 on the CPU` (whether the processor computes in it, and what to do),
        `gpu` with the likely reason where none is seen, `python`, and the versions of the packages.

    Example:
        >>> import astrokeras
        >>> astrokeras.runtime.report()["backend"] in ("tensorflow", "jax", "torch")
        True
    """
    gpu = backend.has_gpu()
    facts = {
        "backend": keras.config.backend(),
        "devices": ", ".join(backend.devices()),
        "precision": keras.config.dtype_policy().name,
        'precision "auto"': "mixed_float16" if gpu else "float32",
        'xla "auto"': "on" if _auto_compiles() else "off",
        "bfloat16 on the CPU": _bfloat16_advice(bfloat16_units(), gpu),
        "gpu": "seen" if gpu else missing_gpu_reason(),
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
    }
    return facts | versions()


def versions() -> dict[str, str]:
    """Return the versions of the packages that matter here, those that are installed.

    Example:
        >>> import keras
        >>> from astrokeras import runtime
        >>> runtime.versions()["keras"] == keras.__version__
        True
    """
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def bfloat16_units(cpuinfo: str | os.PathLike = "/proc/cpuinfo") -> list[str]:
    """Name the units of this processor that multiply in bfloat16; without one it is slower there than in float32.

    Args:
        cpuinfo: where Linux tells the processor's flags; no such file counts as no such unit.

    Example:
        >>> from astrokeras import runtime
        >>> runtime.bfloat16_units("no such file")
        []
    """
    try:
        with open(cpuinfo) as lines:
            flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    except OSError:
        return []
    return [name for flag, name in BFLOAT16_UNITS.items() if flag in flags]


def _bfloat16_advice(units: list[str], gpu: bool) -> str:
    if not units:
        return "not seen (no AVX512-BF16, no AMX): stay with float32 there"
    use = "" if gpu else ": configure('mixed_bfloat16') may be faster than float32; time both, auto stays with float32"
    return " and ".join(units) + use


def missing_gpu_reason(driver: bool | None = None, built_for_gpu: bool | None = None) -> str:
    """Say in one sentence why the backend probably sees no GPU, and what to do.

    Args:
        driver: whether an NVIDIA driver answers on this machine; `None` looks.
        built_for_gpu: whether the backend's package contains CUDA code; `None` looks.

    Example:
        >>> from astrokeras import runtime
        >>> runtime.missing_gpu_reason(driver=False)
        'none seen: no NVIDIA driver on this machine (nvidia-smi is missing)'
    """
    if driver is None:
        driver = shutil.which("nvidia-smi") is not None or os.path.exists("/proc/driver/nvidia/version")
    if built_for_gpu is None:
        built_for_gpu = backend.built_for_gpu()
    if sys.platform == "darwin":
        return "none seen: Keras's backends use NVIDIA GPUs, which Macs lack; the CPU does the work"
    if not driver:
        return "none seen: no NVIDIA driver on this machine (nvidia-smi is missing)"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and hidden.strip() in ("", "-1"):
        return f"none seen: CUDA_VISIBLE_DEVICES={hidden!r} hides it; unset that variable"
    if not built_for_gpu:
        extra = {"tensorflow": "astrokeras[cuda]", "jax": "jax[cuda12]", "torch": "torch"}[keras.config.backend()]
        return f"none seen: the installed {keras.config.backend()} is a CPU build; pip install '{extra}'"
    return (
        "none seen: a driver is present but the backend could not load CUDA; compare the driver's CUDA "
        "version (nvidia-smi) with the one the backend asks for and reinstall with pip install 'astrokeras[cuda]'"
    )


def _auto_compiles() -> bool:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(loss="mse", jit_compile="auto")
    return bool(model.jit_compile)


class StepSeed(keras.random.SeedGenerator):
    """A seed for one step of a loop inside a graph, where a `SeedGenerator` would stand still.

    Args:
        seed: integer, or integer tensor.
        step: likewise; of the same seed and step the same is drawn.

    Example:
        >>> import keras, astrokeras
        >>> seed = astrokeras.runtime.StepSeed(7, 3)
        >>> a, b = keras.random.normal((2,), seed=seed), keras.random.normal((2,), seed=seed)
        >>> bool(keras.ops.all(a == b))
        True
    """

    def __init__(self, seed, step):  # without a state of its own
        self.pair = (seed, step)

    def next(self, ordered: bool = True):
        """Return seed and step as keras.random wants them."""
        seed, step = (keras.ops.cast(part, "int32") for part in self.pair)
        pair = keras.ops.stack([seed + step * 40503, step])  # torch takes their sum
        return pair if keras.backend.backend() == "torch" else keras.ops.cast(pair, "uint32")
