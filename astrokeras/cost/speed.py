"""How long a model takes for a batch, and what that takes from the socket."""

import statistics
import time
from dataclasses import dataclass

import keras
import numpy as np

from astrokeras.cost.energy import EnergyMeter, co2, describe_energy

SECONDS, CALLS = 2.0, 5  # at least


@dataclass(frozen=True)
class Measured:
    """What one example took, in calls of `predict_on_batch` on this machine.

    Attributes:
        batch_size: examples in a call.
        latency: seconds of a call, the median.
        images_per_second: examples in a second, at that latency.
        joules: energy for one example; `None` if unknown.
        energy_source: who says so.
        co2: grams for one example; `None` if unknown.

    Example:
        >>> from astrokeras.cost import Measured
        >>> Measured(4, 0.002, 2000.0, 0.01, "RAPL", None).describe()
        'batches of 4: 2 ms each, 2,000 examples/s, 0.01 J an example (RAPL)'
    """

    batch_size: int
    latency: float
    images_per_second: float
    joules: float | None
    energy_source: str
    co2: float | None

    def describe(self) -> str:
        """Return all in one line."""
        rate = f"{self.images_per_second:,.3g}" if self.images_per_second < 100 else f"{self.images_per_second:,.0f}"
        energy = describe_energy(self.joules, self.energy_source, self.co2, " an example")
        return f"batches of {self.batch_size}: {1e3 * self.latency:.3g} ms each, {rate} examples/s, {energy}"


def measured(model: keras.Model, batch_size: int, watts: float | None, carbon_intensity: float | None) -> Measured:
    """Time the model on noise; see `cost`."""
    if batch_size < 1:
        raise ValueError(f"Expected batch_size >= 1; received {batch_size}.")
    meter = EnergyMeter(watts, carbon_intensity=carbon_intensity)
    rng = np.random.default_rng(0)

    def batch(tensor):
        shape = (batch_size, *tensor.shape[1:])
        return (rng.random(shape) if "float" in tensor.dtype else np.zeros(shape)).astype(tensor.dtype)

    x = keras.tree.map_structure(batch, model.input)
    for _ in range(2):  # compilation
        model.predict_on_batch(x)
    seconds = []
    with meter:
        while len(seconds) < CALLS or sum(seconds) < SECONDS:
            begun = time.perf_counter()
            model.predict_on_batch(x)
            seconds.append(time.perf_counter() - begun)
    latency = statistics.median(seconds)
    joules = None if meter.joules is None else meter.joules / (len(seconds) * batch_size)
    return Measured(batch_size, latency, batch_size / latency, joules, meter.source, co2(joules, carbon_intensity))
