"""How sure and how right: the expected calibration error, the temperature, and their figure."""

import numpy as np
import pytest

from astrokeras import plots
from astrokeras.explain import Calibration, calibration, temperature


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def loss(logits, labels, temperature):
    """Mean negative log-likelihood: the witness."""
    return -np.log(softmax(logits / temperature)[np.arange(len(labels)), labels]).mean()


@pytest.fixture
def overconfident(rng):
    """Logits that say what is so, then made 2.5 times too sure."""
    logits = rng.normal(size=(4000, 5)) * 1.5
    labels = (softmax(logits).cumsum(axis=-1) < rng.random((4000, 1))).sum(axis=-1)
    return 2.5 * logits, labels


def test_bins_by_hand():
    sure = np.array([0.55, 0.6, 0.65, 0.7, 0.95, 1.0, 1.0])
    predicted = np.array([0, 1, 0, 1, 0, 1, 0])
    probabilities = np.where(np.arange(2) == predicted[:, None], sure[:, None], 1 - sure[:, None])
    labels = np.array([0, 0, 0, 1, 0, 1, 1])  # wrong: the second and the last
    found = calibration(probabilities, labels)
    assert isinstance(found, Calibration)
    assert found.counts.tolist() == [0, 0, 0, 0, 0, 2, 2, 0, 0, 3]  # the upper edge belongs to the bin
    np.testing.assert_allclose(found.confidence[[5, 6, 9]], [0.575, 0.675, 2.95 / 3])
    np.testing.assert_allclose(found.accuracy[[5, 6, 9]], [0.5, 1, 2 / 3])
    assert np.isnan(found.confidence[0]) and np.isnan(found.accuracy[7])
    assert found.error == pytest.approx((2 * 0.075 + 2 * 0.325 + 3 * (2.95 - 2) / 3) / 7)
    one_hot = calibration(probabilities, np.eye(2)[labels])
    np.testing.assert_array_equal(one_hot.accuracy, found.accuracy)


def test_scores_of_statements():
    found = calibration(np.array([0.0, 0.15, 0.2, 0.9]), np.array([0, 1, 0, 1]), bins=5)
    assert found.counts.tolist() == [3, 0, 0, 0, 1]
    np.testing.assert_allclose(found.accuracy[[0, 4]], [1 / 3, 1])
    assert found.error == pytest.approx(3 / 4 * (1 / 3 - 0.35 / 3) + 1 / 4 * 0.1)


def test_error_against_a_loop(overconfident):
    logits, labels = overconfident
    probabilities = softmax(logits)
    found, expected = calibration(probabilities, labels, bins=15), 0.0
    for low in range(15):
        inside = [p for p in zip(probabilities, labels, strict=True) if low / 15 < p[0].max() <= (low + 1) / 15]
        if inside:
            gap = np.mean([p.argmax() == label for p, label in inside]) - np.mean([p.max() for p, _ in inside])
            expected += len(inside) / len(labels) * abs(gap)
    assert found.error == pytest.approx(expected) and found.error > 0.1
    assert calibration(softmax(logits / 2.5), labels).error < 0.03  # as it was made


def test_temperature_against_a_dense_grid(overconfident):
    logits, labels = overconfident
    found = temperature(logits, labels)
    grid = np.linspace(2, 3, 2001)
    best = grid[np.argmin([loss(logits, labels, one) for one in grid])]
    assert found == pytest.approx(best, abs=0.0006) and abs(found - 2.5) < 0.15
    assert temperature(softmax(logits), labels) == pytest.approx(found, rel=1e-6)  # probabilities serve as well
    assert temperature(logits + 300, np.eye(5)[labels]) == pytest.approx(found)
    assert temperature(logits / 2, labels) == pytest.approx(found / 2)
    assert calibration(softmax(logits / found), labels).error < 0.03 < calibration(softmax(logits), labels).error


@pytest.mark.parametrize("wanted", [0.02, 0.4, 7.0])
def test_temperature_of_two_classes_by_hand(wanted):
    """Two logits (d, 0), right in 3 of 4: the best temperature makes the probability 3/4, d / T = log 3."""
    logits = np.tile([wanted * np.log(3), 0.0], (4, 1))
    assert temperature(logits, np.array([0, 0, 0, 1])) == pytest.approx(wanted, rel=1e-9)


SURE = np.array([[0.9, 0.1], [0.2, 0.8]])
BAD = [
    (lambda: calibration(SURE, [0]), r"one label for each; received shapes \(2, 2\) and \(1,\)"),
    (lambda: calibration(SURE, [0, 2]), r"labels in 0\.\.1, or one-hot; received shape \(2,\) with values 0 to 2"),
    (lambda: calibration(SURE, np.zeros((2, 2, 2))), "labels in 0..1, or one-hot"),
    (lambda: calibration(3 * SURE, [0, 1]), r"probabilities in 0\.\.1.*apply softmax"),
    (lambda: calibration(np.full((2, 2), np.nan), [0, 1]), "outside or NaN"),
    (lambda: calibration(SURE[:, 0], [0, 2]), r"labels in 0\.\.1"),
    (lambda: calibration(np.zeros((0, 2)), np.zeros(0)), "one label for each"),
    (lambda: calibration(SURE, [0, 1], bins=0), "Expected bins >= 1"),
    (lambda: temperature(SURE, [0, 1]), "at times wrong.*received 100% right"),
    (lambda: temperature(SURE, [1, 0]), "better than chance.*received 0% right"),
    (lambda: temperature(np.array([[np.inf, 0], [0, 1]]), [0, 1]), "finite predictions"),
    (lambda: temperature(SURE, [0, -1]), "labels in 0..1"),
    (lambda: temperature(SURE[0], [0, 1]), r"predictions \(n, classes\)"),
]


@pytest.mark.parametrize(("act", "sentence"), BAD)
def test_refusals(act, sentence):
    with pytest.raises(ValueError, match=sentence):
        act()


def test_figure_shows_the_numbers(overconfident):
    logits, labels = overconfident
    found = calibration(softmax(logits), labels)
    figure = plots.reliability(found, "a network")
    axes, below = figure.axes
    assert axes.get_title() == f"a network: expected calibration error {found.error:.3f}"
    known = found.counts > 0
    bars, gaps = axes.containers
    np.testing.assert_allclose([bar.get_height() for bar in bars], found.accuracy[known])
    np.testing.assert_allclose([gap.get_y() + gap.get_height() for gap in gaps], found.confidence[known])
    np.testing.assert_allclose([bar.get_height() for bar in below.containers[0]], found.counts / 4000)
    figure.canvas.draw()
