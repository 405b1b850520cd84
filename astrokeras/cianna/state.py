"""The networks that a CIANNA script sets up, and what each of them remembers."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from astrokeras import backend, runtime
from astrokeras.cianna_files import CiannaNetwork

if TYPE_CHECKING:
    from astrokeras.cianna.datasets import Dataset
    from astrokeras.cianna.yolo_setup import YoloSetup

METHODS = ("C_CUDA", "C_BLAS", "C_NAIV")
PRECISIONS = {  # CIANNA's name -> dtype policy of Keras
    "off": "float32",
    "on": "mixed_float16",
    "FP32C_FP32A": "float32",
    "TF32C_FP32A": "float32",
    "FP16C_FP32A": "mixed_float16",
    "FP16C_FP16A": "mixed_float16",
    "BF16C_FP32A": "mixed_bfloat16",
    "BF16C_FP16A": "mixed_bfloat16",
}


@dataclasses.dataclass
class NetworkState:
    """All that `init` and the calls after it settle about one network.

    Attributes:
        number: the `network` of the calls.
        records: the layers as CIANNA's files hold them; behind the weights of `model` once that is trained.
        outputs: length of a target vector (CIANNA's `out_dim`).
        bias: value of the bias input of the first layer.
        batch_size: images of a step.
        draws: each step draws its images at random (CIANNA's SGD, `b_size=1`).
        precision: dtype policy of the model.
        inference_only: `train` is refused.
        bar_width: of the progress line, in characters.
        optimizer: as `sgd`, `adam` and `rms_prop` write it.
        averaged: keep a moving average of the weights.
        datasets: `"TRAIN"`, `"VALID"`, `"TEST"` and their buffers.
        yolo: what `set_yolo_params` was given.
        frozen: one entry per layer from the first on, 1 where it is not trained.
        iteration: number of finished iterations; also the number in the names of files.
        rng: of initial weights and of the order of images.
        model: the Keras model; `None` until it is needed.
        trainer: what trains `model` (`training.Trainer`); `None` until it is needed.
        random_model: `model` with dropout drawn at random; `None` until it is needed.
        judge: model of the loss that YOLO displays; `None` until it is needed.
    """

    number: int
    records: CiannaNetwork
    outputs: int
    bias: float
    batch_size: int
    draws: bool
    precision: str
    inference_only: bool
    bar_width: int
    optimizer: str
    averaged: bool
    datasets: dict[str, Dataset] = dataclasses.field(default_factory=dict)
    yolo: YoloSetup | None = None
    frozen: list[int] = dataclasses.field(default_factory=list)
    iteration: int = 0
    rng: np.random.Generator = dataclasses.field(
        default_factory=lambda: np.random.default_rng(random.getrandbits(64))  # follows keras.utils.set_random_seed
    )
    model: keras.Model | None = None
    trainer: Any = None
    random_model: keras.Model | None = None
    judge: keras.Model | None = None

    @property
    def input_length(self) -> int:
        """Length of an input vector."""
        return int(np.prod(self.records.input_size)) * self.records.channels

    def current_records(self) -> CiannaNetwork:
        """Return the layers with the weights of today."""
        from astrokeras.cianna import writing

        if self.trainer is not None:
            with self.trainer.averages():
                return writing.records(self.model)
        return self.records

    def forget_model(self) -> None:
        """Keep the weights and drop the model, since the network is about to change."""
        if self.model is not None:
            self.set_records(self.current_records())

    def set_records(self, records: CiannaNetwork) -> None:
        """Take these layers; what was built of others is dropped."""
        self.records = records
        self.model = self.trainer = self.random_model = self.judge = None

    def built(self) -> keras.Model:
        """Return the Keras model, built on the first call."""
        from astrokeras.cianna import reading

        if self.model is None:
            if not self.records.layers:
                raise ValueError(f"Network {self.number} has no layers yet: add some with conv, dense, ... or load.")
            loss = None if self.yolo is None else self.yolo.loss_settings(self.records)
            outer = keras.config.dtype_policy()
            runtime.configure(self.precision)
            try:
                self.model = reading.build(self.records, name=f"network_{self.number}", loss=loss)
            finally:
                keras.config.set_dtype_policy(outer)
        return self.model


NETWORKS: dict[int, NetworkState] = {}
_LAST: list[int] = []  # numbers, in the order of their last init


def find(network: int | None) -> NetworkState:
    """Return a network; `None` is the one that was initialised last."""
    if network is None and _LAST:
        network = _LAST[-1]
    if network not in NETWORKS:
        known = ", ".join(map(str, NETWORKS)) or "none"
        raise ValueError(
            f"Expected the number of a network that was initialised ({known}); received network={network}: call "
            "init(...) first."
        )
    return NETWORKS[network]


def sizes(name: str, values: Any, default: Sequence[int], least: int = 1) -> tuple[int, int, int]:
    """Return three sizes x, y, z; those that are not given are the default's."""
    given = [] if values is None else np.ravel(np.asarray(values))[:3]
    found = [*given, *default[len(given) :]]
    if any(value != int(value) or value < least for value in found):
        raise ValueError(f"Expected {name} as up to three integers >= {least}, x first; received {values}.")
    return tuple(int(value) for value in found)


def init(
    in_dim: Sequence[int] | np.ndarray,
    in_nb_ch: int,
    out_dim: int,
    bias: float = 0.1,
    b_size: int = 8,
    comp_meth: str = "C_CUDA",
    network: int | None = None,
    dynamic_load: int = 1,
    mixed_precision: str = "off",
    inference_only: int = 0,
    no_logo: int = 0,
    adv_size: int = 0,
    *,
    optimizer: str = "SGD",
    wema: int = 0,
    use_wema: int = 0,
) -> None:
    """Begin a network: CIANNA's `init`.

    Args:
        in_dim: size of the input x, y, z; missing ones are 1.
        in_nb_ch: its channels.
        out_dim: length of a target vector.
        bias: value of the bias input of the first layer.
        b_size: images of a step; 1 draws one image at random each step, 0 and less mean 16.
        comp_meth: `"C_CUDA"`, `"C_BLAS"` or `"C_NAIV"`; Keras's backend decides, a GPU is used where there is one.
        network: its number in the other calls; the next free one where it is not given.
        dynamic_load: has no effect: images go to the device batch by batch.
        mixed_precision: `"FP16C_..."` is mixed_float16 on a GPU and float32 on a CPU, `"BF16C_..."` mixed_bfloat16, the
            others float32.
        inference_only: `train` is refused.
        no_logo: print no heading.
        adv_size: width of the progress line, 30 where it is not given.
        optimizer: `sgd(...)`, `adam(...)` or `rms_prop(...)` of CIANNA's development version.
        wema: keep a moving average of the weights, see `train`.
        use_wema: the same; an older name.

    Raises:
        ValueError: if a size is not positive, or the optimizer is unknown.

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.init([28, 28], 1, 10, b_size=16, comp_meth="C_BLAS", network=0, no_logo=1)
        network 0: input 28x28x1, 1 channel; targets of 10; batch of 16; float32
    """
    from astrokeras.cianna.optimizers import optimizer_settings

    size = sizes("in_dim", in_dim, (1, 1, 1))
    if in_nb_ch < 1 or out_dim < 1:
        raise ValueError(f"Expected in_nb_ch >= 1 and out_dim >= 1; received {in_nb_ch} and {out_dim}.")
    optimizer_settings(optimizer)
    number = max(NETWORKS, default=-1) + 1 if network is None else int(network)
    if not no_logo and not NETWORKS:
        print(f"astrokeras answers for CIANNA, on Keras {keras.__version__} with {keras.config.backend()}")
    batch = int(b_size) if b_size > 0 else 16
    state = NetworkState(
        number,
        CiannaNetwork(size, int(in_nb_ch), []),
        outputs=int(out_dim),
        bias=float(np.float32(bias)),
        batch_size=batch,
        draws=batch == 1,
        precision=_precision(comp_meth, mixed_precision),
        inference_only=bool(inference_only),
        bar_width=adv_size if adv_size > 0 else 30,
        optimizer=optimizer,
        averaged=bool(wema or use_wema),
    )
    NETWORKS[number] = state
    _LAST.append(number)
    print(
        f"network {number}: input {'x'.join(map(str, size))}, {in_nb_ch} channel{'s' * (in_nb_ch > 1)}; targets of "
        f"{out_dim}; batch of {batch}{' (each step draws one image)' * state.draws}; {state.precision}"
        f"{'; for inference only' * state.inference_only}"
    )


def free_network(network: int | None = None) -> None:
    """Forget a network with its data: `free_network` of CIANNA's development version.

    Args:
        network: its number; the last one where it is not given.

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.init([8], 1, 2, network=7, no_logo=1)
        network 7: input 8x1x1, 1 channel; targets of 2; batch of 8; float32
        >>> cnn.free_network(7)
    """
    number = find(network).number
    del NETWORKS[number]
    _LAST[:] = [other for other in _LAST if other != number]


def _precision(method: str, name: str) -> str:
    """Return the dtype policy of a network, and say so where it is not what was asked for."""
    if method not in METHODS:
        raise ValueError(f"Expected comp_meth to be one of {', '.join(METHODS)}; received {method!r}.")
    if name not in PRECISIONS:
        raise ValueError(f"Expected mixed_precision to be one of {', '.join(PRECISIONS)}; received {name!r}.")
    policy = PRECISIONS[name] if method == "C_CUDA" else "float32"  # CIANNA has mixed precision on GPUs only
    if policy == "mixed_float16" and not backend.has_gpu():
        print(f"mixed_precision {name!r}: a CPU is slow in float16, so the network computes in float32")
        return "float32"
    return policy
