"""Votes against scipy's log-gamma function and against counting."""

import itertools
import math

import keras
import numpy as np
import pytest
from scipy.special import gammaln

from astrokeras.losses import VoteCounts
from astrokeras.losses.vote_counts import log_gamma


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def test_log_gamma_is_scipys():
    x = np.linspace(0.05, 400, 5000).astype("float32")
    expected = gammaln(x.astype("float64"))
    found = array(log_gamma(keras.ops.convert_to_tensor(x)))
    assert (np.abs(found - expected) / np.maximum(1, np.abs(expected))).max() < 1e-5


def test_vote_counts_is_the_dirichlet_multinomial_distribution(rng):
    questions = (3, 2, 4)
    counts = rng.integers(0, 30, (7, 9)).astype("float32")
    alpha = rng.uniform(1, 101, (7, 9)).astype("float32")
    expected = np.zeros(7)
    start = 0
    for n in questions:
        k, a = counts[:, start : start + n].astype("float64"), alpha[:, start : start + n].astype("float64")
        log_p = gammaln(k.sum(1) + 1) - gammaln(k + 1).sum(1) + gammaln(a.sum(1)) - gammaln((k + a).sum(1))
        expected -= log_p + (gammaln(k + a) - gammaln(a)).sum(1)
        start += n
    found = array(VoteCounts(questions).call(keras.ops.convert_to_tensor(counts), keras.ops.convert_to_tensor(alpha)))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-3)


def test_probabilities_of_all_outcomes_sum_to_one():
    alpha = np.array([[2.5, 1.0, 7.0]], "float32")
    outcomes = [k for k in itertools.product(range(6), repeat=3) if sum(k) == 5]
    loss = VoteCounts((3,))
    total = sum(math.exp(-float(loss(np.array([k], "float32"), alpha))) for k in outcomes)
    assert total == pytest.approx(1, abs=1e-4)


def test_a_question_that_nobody_was_asked_adds_nothing():
    counts, alpha = np.array([[4.0, 2.0, 0.0, 0.0]]), np.array([[3.0, 5.0, 2.0, 9.0]])
    both, first = VoteCounts((2, 2))(counts, alpha), VoteCounts((2,))(counts[:, :2], alpha[:, :2])
    assert float(both) == pytest.approx(float(first), abs=1e-5)


def test_fit_finds_the_concentrations(rng):
    """Votes drawn from one known distribution: the mean share is found."""
    shares = rng.dirichlet([12.0, 4.0, 4.0], 400)
    votes = np.array([rng.multinomial(20, p) for p in shares]).astype("float32")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(3, activation="softplus", use_bias=False)])
    model.compile(keras.optimizers.Adam(0.1), loss=VoteCounts((3,)))
    model.fit(np.ones((400, 1)), votes, epochs=40, batch_size=100, verbose=0)
    alpha = model.predict(np.ones((1, 1)), verbose=0)[0]
    np.testing.assert_allclose(alpha / alpha.sum(), [0.6, 0.2, 0.2], atol=0.03)


def test_refusals():
    with pytest.raises(ValueError, match="at least 2 answers"):
        VoteCounts((3, 1))
    with pytest.raises(ValueError, match=r"Expected 5 columns, .*received counts of shape \(2, 4\)"):
        VoteCounts((3, 2))(np.ones((2, 4)), np.ones((2, 4)))
