import keras
import numpy as np
import pytest
from sklearn import metrics as witness

import astrokeras
from astrokeras import datasets, judging, metrics


class Given(keras.layers.Layer):
    """Predicts its input."""

    def call(self, x):
        return x


def echo(columns):
    return keras.Sequential([keras.Input((columns,)), Given()])


def test_classes(rng):
    scores, y = rng.random((60, 4)).astype("float32"), rng.integers(0, 4, 60)
    judged = judging.judge(echo(4), scores, y, names=list("abcd"), batch_size=11)
    assert isinstance(judged, judging.Judgement)
    np.testing.assert_array_equal(judged.matrix, witness.confusion_matrix(y, scores.argmax(1)))
    assert judged.scores == {"accuracy": pytest.approx(witness.accuracy_score(y, scores.argmax(1)))}
    assert judged.score == judged.scores["accuracy"] and judged.describe().startswith("accuracy ")
    again = astrokeras.judge(echo(4), datasets.ImageDataset(scores, y, 7, shuffle=False))
    np.testing.assert_array_equal(again.matrix, judged.matrix)
    one_hot = astrokeras.judge(echo(4), scores, np.eye(4)[y])
    np.testing.assert_array_equal(one_hot.matrix, judged.matrix)
    assert judged.table("t").row_count == 5 and len(judged.figure().axes) == 1


def test_class_numbers_of_every_form():
    y = np.array([2, 0, 1])
    for form in (y, y[:, None], np.eye(3)[y]):
        np.testing.assert_array_equal(judging.class_numbers(form), y)


def test_top_5_from_20_classes_on(rng):
    scores, y = rng.random((200, 20)).astype("float32"), rng.integers(0, 20, 200)
    judged = judging.judge(echo(20), scores, y)
    assert judged.scores["top 5"] == pytest.approx(witness.top_k_accuracy_score(y, scores, k=5, labels=range(20)))


def test_labels(rng):
    truth = rng.integers(0, 2, (80, 5))
    scores = np.clip(truth * 0.4 + rng.random((80, 5)) * 0.7, 0, 1).astype("float32")
    judged = judging.judge(echo(5), scores, truth, kind="labels", thresholds=0.6)
    assert judged.scores["macro F1"] == pytest.approx(
        witness.f1_score(truth, scores >= np.float32(0.6), average="macro")
    )
    assert judged.scores["all right"] == pytest.approx(witness.accuracy_score(truth, scores >= np.float32(0.6)))
    assert judged.table().row_count == 6 and "macro F1" in judged.figure("x").axes[0].get_title()


def test_label_scores_and_best_thresholds(rng):
    truth = rng.integers(0, 2, (90, 3))
    truth[:, 2] = 0
    scores = np.round(np.clip(truth * 0.3 + rng.random((90, 3)) * 0.7, 0, 1), 1)  # with ties
    found = metrics.label_scores(truth, scores, 0.5)
    expected = witness.precision_recall_fscore_support(truth, scores >= 0.5, zero_division=0)
    for name, values in zip(("precision", "recall", "F1"), expected, strict=False):
        np.testing.assert_allclose(found[name], values)
    best = metrics.best_thresholds(truth, scores)
    reached = metrics.label_scores(truth, scores, best)["F1"]
    every = np.array([metrics.label_scores(truth, scores, limit)["F1"] for limit in np.arange(-0.05, 1.1, 0.1)])
    np.testing.assert_allclose(reached, every.max(axis=0))
    assert best[2] == 0.5
    with pytest.raises(ValueError, match="Expected truth and scores"):
        metrics.label_scores(truth, scores[:, :2])


def test_values(rng):
    truth = rng.normal(size=(70, 3)).astype("float32")
    predicted = (truth + rng.normal(0.1, 0.2, truth.shape)).astype("float32")
    judged = judging.judge(echo(3), predicted, truth, kind="values")
    assert judged.score == pytest.approx(np.sqrt(witness.mean_squared_error(truth, predicted)), rel=1e-5)
    assert judged.scores["bias"] == pytest.approx((predicted - truth).mean(), rel=1e-4)
    expected = witness.r2_score(truth, predicted, multioutput="variance_weighted")
    assert judged.scores["R2"] == pytest.approx(expected, rel=1e-5)
    assert judged.table().row_count == 4 and len(judged.figure().axes) == 3


def test_votes_are_judged_as_shares():
    counts = np.array([[3, 1, 0, 0], [0, 4, 2, 2]], "float32")
    alpha = np.array([[3, 1, 1, 1], [2, 2, 1, 3]], "float32")
    judged = judging.judge(echo(4), alpha, counts, kind="votes", questions=(2, 2))
    errors = np.array([0, 0, 0.5, -0.5, -0.25, 0.25])  # the second question of the first galaxy was not asked
    assert judged.score == pytest.approx(np.sqrt((errors**2).mean()))
    assert judged.table().row_count == 5 and judged.figure() is not None


def test_refusals(rng):
    with pytest.raises(ValueError, match="one of classes, labels, values, votes; received 'boxes'"):
        judging.judge(echo(2), np.zeros((3, 2)), np.zeros(3), kind="boxes")
    with pytest.raises(ValueError, match=r"truth of shape \(3, 2\), as the model predicts; received \(3, 4\)"):
        judging.judge(echo(2), np.zeros((3, 2)), np.zeros((3, 4)), kind="values")
