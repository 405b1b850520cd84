"""What a training costs: time, multiply-adds, energy, CO2."""

import keras

from astrokeras.cost import EnergyMeter, cost


class Cost(keras.callbacks.Callback):
    """Add up what a training costs; the log of each epoch tells the sums so far, so the history's last is the whole.

    The log gets `total_seconds`, `total_multiply_adds` and, where they are known, `total_joules` and `total_co2`
    (grams). Validation and the other callbacks are in time and energy. A training step counts as three forward passes:
    the pass, the gradient of the maps and that of the weights.

    Args:
        images: number of images in an epoch.
        validation_images: number of images in a validation, a forward pass each.
        watts: power of the whole machine at work, from which energy is estimated where the machine does not tell
            (see `cost.EnergyMeter`).
        carbon_intensity: grams of CO2 for a kWh, as the supplier of the electricity states it.
        verbose: print the sums in one line at the end.

    Attributes:
        total: the sums by name, as in the log.
        energy_source: who told the energy, such as `"RAPL"` or `"estimate from 65 W"`.

    Raises:
        ValueError: if `images` < 1, `validation_images` < 0, or `watts` or `carbon_intensity` is not above 0; in
            `fit`, if the cost of the model cannot be counted.

    Example:
        >>> import numpy as np, keras
        >>> from astrokeras.callbacks import Cost
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> history = model.fit(np.zeros((6, 2)), np.zeros((6, 1)), epochs=2, callbacks=[Cost(6)], verbose=0).history
        >>> history["total_multiply_adds"]
        [36, 72]
    """

    def __init__(
        self,
        images: int,
        *,
        validation_images: int = 0,
        watts: float | None = None,
        carbon_intensity: float | None = None,
        verbose: bool = False,
    ):
        super().__init__()
        if images < 1 or validation_images < 0:
            raise ValueError(
                "Expected images >= 1, the number of images in an epoch, and validation_images >= 0; received "
                f"{images} and {validation_images}."
            )
        self.images = images
        self.validation_images = validation_images
        self.verbose = verbose
        self.total: dict[str, float] = {}
        self._meter = EnergyMeter(watts, carbon_intensity=carbon_intensity)
        self._each, self._multiply_adds = 0, 0

    @property
    def energy_source(self) -> str:
        """Who told the energy."""
        return self._meter.source

    def on_train_begin(self, logs=None) -> None:
        """Start from zero."""
        self._each, self._multiply_adds, self.total = cost(self.model).multiply_adds, 0, {}
        self._meter.start()

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        """Log the sums so far."""
        self._multiply_adds += (3 * self.images + self.validation_images) * self._each
        self._sum()
        if logs is not None:
            logs.update(self.total)

    def on_train_end(self, logs=None) -> None:
        """Stop the meter, and say the sums if asked."""
        self._meter.stop()
        self._sum()
        if self.verbose:
            counted = f"{self._meter.seconds:.3g} s, {self._multiply_adds:.3g} multiply-adds"
            print(f"training of {self.model.name}: {counted}, {self._meter.describe()}")

    def _sum(self) -> None:
        meter = self._meter
        joules = meter.joules
        found = {"seconds": meter.seconds, "multiply_adds": self._multiply_adds, "joules": joules, "co2": meter.co2}
        self.total = {f"total_{name}": value for name, value in found.items() if value is not None}
