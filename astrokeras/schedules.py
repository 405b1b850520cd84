"""How much noise a diffusion adds at each step."""

import dataclasses
import functools

import numpy as np

KINDS = ("linear", "cosine", "signal_rate")


@dataclasses.dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """The share of the image that is left after each step of a diffusion, and what follows from it.

    A noised image is `sqrt(alpha_bar[t]) image + sqrt(1 - alpha_bar[t]) noise`, with noise of variance 1. Step 0 adds
    the least noise; in front of it stands the image itself.

    Attributes:
        alpha_bar: `(steps,)` float64, falling, in 0..1.

    Raises:
        ValueError: if there are fewer than 2 steps, or the numbers do not fall within 0..1.

    Reference:
        Ho, Jain & Abbeel 2020, arXiv:2006.11239, section 2.

    Example:
        >>> import astrokeras
        >>> schedule = astrokeras.schedules.NoiseSchedule([0.9, 0.5, 0.1])
        >>> schedule.steps, schedule.beta.round(3).tolist()
        (3, [0.1, 0.444, 0.8])
    """

    alpha_bar: np.ndarray

    def __post_init__(self):
        """Check the numbers."""
        values = np.array(self.alpha_bar, "float64")
        if values.ndim != 1 or len(values) < 2:
            raise ValueError(f"Expected a schedule of at least 2 steps; received shape {values.shape}.")
        if not (np.all(np.diff(values) < 0) and values[0] < 1 and values[-1] > 0):
            raise ValueError(f"Expected alpha_bar to fall, from below 1 to above 0; received {values}.")
        values.setflags(write=False)
        object.__setattr__(self, "alpha_bar", values)

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.alpha_bar)

    @functools.cached_property
    def before(self) -> np.ndarray:
        """`(steps,)`: `alpha_bar` of the step before; 1 in front of the first."""
        return np.append(1.0, self.alpha_bar[:-1])

    @functools.cached_property
    def beta(self) -> np.ndarray:
        """`(steps,)`: variance of the noise that a step adds."""
        return 1 - self.alpha_bar / self.before

    @functools.cached_property
    def posterior_variance(self) -> np.ndarray:
        """`(steps,)`: variance of the step before, where the image and the step are known (Ho et al., equation 7)."""
        return (1 - self.before) / (1 - self.alpha_bar) * self.beta

    def add_noise(self, images: np.ndarray, noise: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Return noised images (Ho et al., equation 4).

        Args:
            images: `(batch, ...)`.
            noise: likewise, of variance 1.
            steps: `(batch,)` from 0 on.

        Example:
            >>> import numpy as np, astrokeras
            >>> schedule = astrokeras.schedules.NoiseSchedule([0.64, 0.36])
            >>> schedule.add_noise(np.array([10.0]), np.array([1.0]), np.array([1]))
            array([6.8])
        """
        rates = self.alpha_bar[steps].reshape(-1, *[1] * (np.ndim(images) - 1))
        return np.sqrt(rates) * images + np.sqrt(1 - rates) * noise

    def posterior_mean(self, images: np.ndarray, noised: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Return the mean of the step before, where the image and the step are known (Ho et al., equation 7).

        Args:
            images: `(batch, ...)`.
            noised: likewise, at these steps.
            steps: `(batch,)` from 0 on.

        Example:
            >>> import numpy as np, astrokeras
            >>> schedule = astrokeras.schedules.NoiseSchedule([0.64, 0.36])
            >>> schedule.posterior_mean(np.array([3.0]), np.array([8.0]), np.array([0]))  # before step 0: the image
            array([3.])
        """
        shape = (-1, *[1] * (np.ndim(images) - 1))
        now, before, beta = (column[steps].reshape(shape) for column in (self.alpha_bar, self.before, self.beta))
        return (np.sqrt(before) * beta * images + np.sqrt(1 - beta) * (1 - before) * noised) / (1 - now)

    def updates(self, steps: int | None = None, eta: float = 1.0) -> dict[str, np.ndarray]:
        """Return what leads from noise to image: one row for each step that is taken, the noisiest first.

        An update is `image * image_rate + noised * noised_rate + noise * spread`, where `image` is the network's guess.
        With `eta=1` and all steps it draws from the posterior of Ho et al.; with `eta=0` it is DDIM, which draws
        nothing.

        Args:
            steps: to take, evenly among all; `None` takes all.
            eta: from 0 (DDIM) to 1 (ancestral).

        Returns:
            `time` int32, `image_rate`, `noised_rate`, `spread`, and `alpha_bar` and `before` of the steps, float64.

        Raises:
            ValueError: if `steps` is not from 1 to all, or `eta` not from 0 to 1.

        Reference:
            Song, Meng & Ermon 2021, arXiv:2010.02502, equations 12 and 16.

        Example:
            >>> import astrokeras
            >>> schedule = astrokeras.schedules.noise_schedule("cosine", 1000)
            >>> schedule.updates(5, eta=0.0)["time"].tolist()
            [999, 749, 500, 250, 0]
        """
        steps = self.steps if steps is None else steps
        if not 1 <= steps <= self.steps or not 0 <= eta <= 1:
            raise ValueError(f"Expected 1 to {self.steps} steps and eta in 0..1; received {steps} and {eta}.")
        times = np.round(np.linspace(self.steps - 1, 0, steps)).astype("int32")
        now = self.alpha_bar[times]
        before = np.append(now[1:], 1.0)
        spread = eta * np.sqrt((1 - before) / (1 - now) * (1 - now / before))
        noised = np.sqrt(np.maximum(1 - before - spread**2, 0) / (1 - now))
        return {
            "time": times,
            "image_rate": np.sqrt(before) - noised * np.sqrt(now),
            "noised_rate": noised,
            "spread": spread,
            "alpha_bar": now,
            "before": before,
        }


def noise_schedule(kind: str = "cosine", steps: int = 1000) -> NoiseSchedule:
    """Make a schedule by name.

    Args:
        kind: `"linear"`: the variance that is added grows from 0.0001 to 0.02 in 1000 steps, and reaches as much noise
            in fewer (Ho et al. 2020); `"cosine"`: `alpha_bar` falls as a squared cosine (Nichol & Dhariwal 2021);
            `"signal_rate"`: the course's squared cosine, from 0.95 squared to 0.05 squared.
        steps: number of steps, at least 2.

    Raises:
        ValueError: if the kind is unknown, or there are too few steps.

    Reference:
        arXiv:2006.11239, section 4; arXiv:2102.09672, equation 17; the course's diffusion notebooks.

    Example:
        >>> import astrokeras
        >>> schedule = astrokeras.schedules.noise_schedule("signal_rate", 200)
        >>> schedule.alpha_bar[[0, -1]].round(4).tolist()
        [0.9025, 0.0025]
    """
    if kind not in KINDS:
        raise ValueError(f"Expected a schedule of {', '.join(KINDS)}; received {kind!r}.")
    if steps < 2 or (kind == "linear" and steps < 21):
        raise ValueError(f"Expected at least {21 if kind == 'linear' else 2} steps; received {steps}.")
    if kind == "linear":
        return NoiseSchedule(np.cumprod(1 - np.linspace(1e-4, 0.02, steps) * 1000 / steps))
    offset = 0.008 if kind == "cosine" else 0.0008
    if kind == "cosine":
        curve = np.cos((np.arange(steps + 1) / steps + offset) / (1 + offset) * np.pi / 2) ** 2
        return NoiseSchedule(np.cumprod(1 - np.minimum(1 - curve[1:] / curve[:-1], 0.999)))
    curve = np.cos((np.linspace(0, 1, steps) + offset) / (1 + offset) * np.pi / 2) ** 2
    curve = (curve - curve.min()) / np.ptp(curve)
    return NoiseSchedule(curve * (0.95**2 - 0.05**2) + 0.05**2)
