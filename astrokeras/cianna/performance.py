"""How long each layer takes."""

import time

import keras
import numpy as np
import rich.box
import rich.table

from astrokeras.cianna import state
from astrokeras.cianna.training import layers_of
from astrokeras.plots import print_table

_REPEATS = 5


def perf_eval(network: int | None = None) -> None:
    """Print the time that each layer takes for an image, and the speed of the last training: CIANNA's `perf_eval`.

    Keras compiles training as a whole, where layers have no times of their own. So each layer is measured here alone,
    on a batch of zeros, forward and not compiled; the shares tell more than the times.

    Args:
        network: number of the network; the last one where it is not given.

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.init([4], 1, 3, network=0, no_logo=1)
        network 0: input 4x1x1, 1 channel; targets of 3; batch of 8; float32
        >>> cnn.dense(3, activation="SMAX")
        layer 1: dense 3 neurons, SMAX, bias 0.1: 3, 20 weights
        0
        >>> cnn.perf_eval()
        network 0: 20 weights
        ...
    """
    net = state.find(network)
    model, groups = net.built(), layers_of(net)
    x = keras.ops.zeros((net.batch_size, *model.input_shape[1:]), dtype=model.compute_dtype)
    times = []
    for group in groups.values():
        start = None
        for repeat in range(_REPEATS + 1):
            if repeat == 1:  # the first pass prepares
                start = time.perf_counter()
            y = x
            for layer in group:
                y = layer(y)
            np.asarray(keras.ops.convert_to_numpy(keras.ops.sum(y)))  # wait for the device
        times.append((time.perf_counter() - start) / _REPEATS / net.batch_size * 1e6)
        x = y
    weights = sum(layer.count_params() for layer in model.layers)
    trained = "" if net.trainer is None else f"; last trained at {net.trainer.rate:.2f} it/s"
    print(f"network {net.number}: {weights:,} weights{trained}")
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    for heading, justify in (("layer", "right"), ("name", "left"), ("forward [µs]", "right"), ("share", "right")):
        table.add_column(heading, justify=justify)
    for number, ((name, _), used) in enumerate(zip(groups.items(), times, strict=True), 1):
        table.add_row(
            str(number), name, f"{used:.1f}", f"{100 * used / sum(times):.1f} %", end_section=number == len(times)
        )
    table.add_row("", "all", f"{sum(times):.1f}", "")
    print_table(table)
