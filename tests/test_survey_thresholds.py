import numpy as np
import pytest
from astropy.table import Table

from astrokeras.survey.sdc1_score import sdc1_score
from astrokeras.survey.thresholds import Thresholds, tune_thresholds


def simulated(rng, counts=(2000, 800), slopes=(1.0, 3.0)):
    """Return a catalogue whose chance of being true grows with the score, at a pace of its prior's own."""
    prior = np.repeat(np.arange(len(counts)), counts)
    score = rng.random(len(prior))
    true = rng.random(len(prior)) < score ** np.array(slopes)[prior]
    return {"score": score, "prior": prior, "gain": np.where(true, 0.7, -1.0)}


def gain(rows):
    return rows["gain"]


def total(catalogue, values):
    kept = catalogue["score"] >= np.asarray(values)[catalogue["prior"]]
    return catalogue["gain"][kept].sum()


def test_no_threshold_of_a_fine_scan_does_better(rng):
    catalogue = simulated(rng)
    found = tune_thresholds(catalogue, gain)
    assert found.score_before == pytest.approx(catalogue["gain"].sum())
    assert found.score_after == pytest.approx(total(catalogue, found.values))
    for prior in range(2):
        for value in np.linspace(0, 1, 201):
            other = list(found.values)
            other[prior] = value
            assert total(catalogue, other) <= found.score_after + 1e-9
    # 0.7 p - (1 - p) = 0 at p = 0.588: score 0.588 of the first prior, 0.588 ** (1 / 3) = 0.838 of the second
    assert found.values == pytest.approx((0.588, 0.838), abs=0.08)
    np.testing.assert_array_equal(
        found.keep(catalogue), catalogue["score"] >= np.array(found.values)[catalogue["prior"]]
    )


def test_purity_is_held_by_each_prior(rng):
    catalogue = simulated(rng)
    found = tune_thresholds(catalogue, gain, "purity", 0.8)
    for prior, (_, _, kept, hit) in enumerate(found.counts):
        assert hit / kept >= 0.8
        chosen = catalogue["prior"] == prior
        looser = catalogue["score"][chosen] >= found.values[prior] - 0.1
        assert (catalogue["gain"][chosen][looser] > 0).mean() < 0.8, "as low as the purity allows"
    assert "purity 0.8" in found.describe() and found.describe().count("prior") == 2


def test_by_hand():
    catalogue = {"score": np.array([0.9, 0.8, 0.7, 0.6, 0.5]), "gain": np.array([0.5, -1, 0.9, 0.9, -1])}
    found = tune_thresholds(catalogue, gain, least=1)
    assert found.values == (0.55,) and found.score_after == pytest.approx(1.3) and found.counts == ((5, 3, 4, 3),)
    assert tune_thresholds(catalogue, gain, "purity", 1.0, least=1).values[0] == pytest.approx(0.85)
    everything = tune_thresholds(catalogue | {"gain": np.ones(5)}, gain, least=1)
    assert everything.values == (0.5,), "the lowest score that was seen"
    nothing = tune_thresholds(catalogue | {"gain": -np.ones(5)}, gain, least=1)
    assert nothing.values == (1.0,) and nothing.score_after == 0 and not nothing.keep(catalogue).any()


def test_equal_scores_stay_or_go_together():
    catalogue = {"score": np.array([0.9, 0.5, 0.5, 0.5]), "gain": np.array([0.5, 0.9, -1, -1])}
    assert tune_thresholds(catalogue, gain, least=1).values == (0.7,)


def test_what_is_not_judged_counts_for_nothing(rng):
    catalogue = simulated(rng)
    some = catalogue["score"].argsort()[::2]
    masked = catalogue | {"gain": catalogue["gain"].copy()}
    masked["gain"][some] = 0
    judged = {name: values[masked["gain"] != 0] for name, values in catalogue.items()}
    assert tune_thresholds(masked, gain).values == pytest.approx(tune_thresholds(judged, gain).values)


def test_a_rare_prior_takes_the_threshold_of_all(rng):
    catalogue = simulated(rng, (2000, 5, 0), (1, 1, 1))
    found = tune_thresholds(catalogue, gain, priors=3)
    assert found.values[1] == found.values[2] == pytest.approx(0.588, abs=0.08)
    assert found.counts[2] == (0, 0, 0, 0) and len(found.values) == 3


def test_what_is_left_is_scored_again():
    """A doubtful detection holds the true source of the surest one, until the threshold removes it."""
    kind = np.array(["robbed", "true", "true", *["false"] * 5, "robber", *["false"] * 5])
    catalogue = {"score": np.linspace(0.9, 0.1, len(kind)), "kind": kind}

    def score(rows):
        gains = np.where(rows["kind"] == "false", -1.0, 0.9)
        gains[rows["kind"] == "robbed"] = -1.0 if (rows["kind"] == "robber").any() else 0.8
        return gains

    found = tune_thresholds(catalogue, score, least=1)
    assert found.keep(catalogue).sum() == 3
    assert found.score_before == pytest.approx(-1 + 3 * 0.9 - 10)
    assert found.score_after == pytest.approx(0.8 + 2 * 0.9), "not the 0.8 that the first round promised"


def test_with_the_score_of_sdc1(rng):
    count = 400
    zeros = np.zeros(count)
    truth = {"id": np.arange(count), "ra_core": rng.uniform(0.1, 1, count), "dec_core": rng.uniform(-31, -30, count)}
    truth |= {"flux": zeros + 1e-4, "core_frac": zeros, "b_maj": zeros + 2, "b_min": zeros + 1, "pa": zeros}
    truth |= {"size": zeros + 2, "class": zeros + 3, "ra_cent": truth["ra_core"], "dec_cent": truth["dec_core"]}
    found = {name: np.concatenate([values, values]) for name, values in truth.items()} | {"id": np.arange(2 * count)}
    found["dec_core"][count:] += 0.01
    found["score"] = np.concatenate([rng.uniform(0.3, 1, count), rng.uniform(0, 0.7, count)])
    table = Table(found)
    result = tune_thresholds(table, lambda rows: sdc1_score(rows, truth))
    assert isinstance(result, Thresholds)
    kept = sdc1_score(table[result.keep(table)], truth)
    assert kept.score == pytest.approx(result.score_after) and kept.score > sdc1_score(table, truth).score
    assert 0.3 < result.values[0] < 0.7


def test_refusals():
    catalogue = {"score": np.array([0.5]), "prior": np.array([3])}
    with pytest.raises(ValueError, match="Expected objective to be one of score, purity"):
        tune_thresholds(catalogue, gain, "recall")
    with pytest.raises(ValueError, match="Expected target above 0"):
        tune_thresholds(catalogue, gain, "purity", 1.5)
    with pytest.raises(ValueError, match="to have a column objectness; it has score, prior"):
        tune_thresholds(catalogue, gain, column="objectness")
    with pytest.raises(ValueError, match="Expected priors from 0 to 1 .* received 3 to 3"):
        tune_thresholds(catalogue, gain, priors=2)
    with pytest.raises(ValueError, match="one gain for each of the 1 rows"):
        tune_thresholds(catalogue, lambda rows: np.zeros(4))
    with pytest.raises(ValueError, match="received an empty catalogue"):
        tune_thresholds({"score": np.zeros(0)}, gain)
