"""Noise schedules against the formulas of their papers, in float64."""

import numpy as np
import pytest

from astrokeras import schedules
from astrokeras.schedules import NoiseSchedule, noise_schedule


def test_linear_is_that_of_ho_et_al():
    schedule = noise_schedule("linear", 1000)
    beta = np.linspace(1e-4, 0.02, 1000)
    np.testing.assert_allclose(schedule.beta, beta, rtol=1e-9)
    assert schedule.alpha_bar[-1] == pytest.approx(4.0358e-5, rel=1e-3)  # product by hand: as published, about 4e-5
    few = noise_schedule("linear", 100).alpha_bar[-1]
    assert np.log(few) == pytest.approx(np.log(schedule.alpha_bar[-1]), rel=0.1)


def test_cosine_is_that_of_nichol_and_dhariwal():
    schedule, steps = noise_schedule("cosine", 1000), 1000
    t = np.arange(1, steps + 1)
    f = np.cos((t / steps + 0.008) / 1.008 * np.pi / 2) ** 2 / np.cos(0.008 / 1.008 * np.pi / 2) ** 2
    np.testing.assert_allclose(schedule.alpha_bar[:-1], f[:-1], rtol=1e-9)
    assert schedule.beta.max() == pytest.approx(0.999)


def test_signal_rate_is_that_of_the_course():
    steps, s = 200, 0.0008
    t = np.linspace(0, steps, steps)  # as the notebook writes it
    curve = np.cos((t / steps + s) / (1 + s) * np.pi / 2) ** 2
    curve = (curve - curve.min()) / (curve.max() - curve.min()) * (0.95**2 - 0.05**2) + 0.05**2
    np.testing.assert_allclose(noise_schedule("signal_rate", steps).alpha_bar, curve, rtol=1e-9)


@pytest.mark.parametrize("kind", schedules.KINDS)
def test_all_steps_with_noise_are_the_posterior(kind, rng):
    schedule = noise_schedule(kind, 50)
    rows = schedule.updates()
    image, noised = rng.normal(size=(2, 50, 3))
    steps = rows["time"]
    assert steps.tolist() == list(range(49, -1, -1))
    mean = rows["image_rate"][:, None] * image + rows["noised_rate"][:, None] * noised
    np.testing.assert_allclose(mean, schedule.posterior_mean(image, noised, steps), atol=1e-12)
    np.testing.assert_allclose(rows["spread"] ** 2, schedule.posterior_variance[steps], atol=1e-12)


def test_posterior_by_bayes(rng):
    """Precision-weighted mean of what is known of a step: from the image, and from the step behind it."""
    schedule = noise_schedule("cosine", 20)
    steps = np.arange(1, 20)
    image, noised = rng.normal(size=(2, 19))
    before, alpha = schedule.alpha_bar[steps - 1], 1 - schedule.beta[steps]
    first, second = 1 / (1 - before), alpha / (1 - alpha)
    mean = (first * np.sqrt(before) * image + second * noised / np.sqrt(alpha)) / (first + second)
    np.testing.assert_allclose(schedule.posterior_mean(image, noised, steps), mean, rtol=1e-9)
    np.testing.assert_allclose(schedule.posterior_variance[steps], 1 / (first + second), rtol=1e-9)


def test_ddim_by_its_definition(rng):
    schedule = noise_schedule("linear", 100)
    rows = schedule.updates(7, eta=0.0)
    image, noise = rng.normal(size=(2, 7))
    now, before = schedule.alpha_bar[rows["time"]], np.append(schedule.alpha_bar[rows["time"][1:]], 1)
    noised = schedule.add_noise(image, noise, rows["time"])
    np.testing.assert_allclose(noised, np.sqrt(now) * image + np.sqrt(1 - now) * noise)
    moved = rows["image_rate"] * image + rows["noised_rate"] * noised
    np.testing.assert_allclose(moved, np.sqrt(before) * image + np.sqrt(1 - before) * noise, atol=1e-12)
    assert not rows["spread"].any()


def test_refusals():
    with pytest.raises(ValueError, match="at least 2 steps"):
        NoiseSchedule([0.5])
    with pytest.raises(ValueError, match="alpha_bar to fall"):
        NoiseSchedule([0.5, 0.6])
    with pytest.raises(ValueError, match="alpha_bar to fall"):
        NoiseSchedule([0.5, np.nan])
    with pytest.raises(ValueError, match="schedule of linear, cosine"):
        noise_schedule("quadratic")
    for kind in schedules.KINDS:
        with pytest.raises(ValueError, match="Expected at least"):
            noise_schedule(kind, 1)
    with pytest.raises(ValueError, match="Expected 1 to 10 steps"):
        noise_schedule("cosine", 10).updates(11)
    with pytest.raises(ValueError, match="eta in 0..1"):
        noise_schedule("cosine", 10).updates(5, eta=2)
