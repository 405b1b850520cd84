import keras
import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from astrokeras.metrics import ConfusionMatrix


def test_equals_scikit_learn(rng):
    metric = ConfusionMatrix(4)
    true, scores = rng.integers(0, 4, 200), rng.random((200, 4)).astype("float32")
    for start in range(0, 200, 64):
        metric.update_state(true[start : start + 64], scores[start : start + 64])
    expected = confusion_matrix(true, scores.argmax(1), labels=range(4))
    np.testing.assert_array_equal(metric.matrix(), expected)
    assert float(metric.result()) == pytest.approx(np.trace(expected) / 200)


def test_one_hot_columns_and_weights_mean_the_same(rng):
    true, scores = rng.integers(0, 3, 30), rng.random((30, 3)).astype("float32")
    plain, one_hot, column, weighted = (ConfusionMatrix(3) for _ in range(4))
    plain.update_state(true, scores)
    one_hot.update_state(np.eye(3, dtype="float32")[true], scores)
    column.update_state(true[:, None], scores)
    weighted.update_state(true, scores, sample_weight=np.full(30, 0.5))
    np.testing.assert_array_equal(one_hot.matrix(), plain.matrix())
    np.testing.assert_array_equal(column.matrix(), plain.matrix())
    np.testing.assert_array_equal(2 * weighted.matrix(), plain.matrix())


def test_empty_is_zero_and_refusals():
    assert float(ConfusionMatrix(2).result()) == 0
    with pytest.raises(ValueError, match="Expected classes >= 1"):
        ConfusionMatrix(0)
    with pytest.raises(ValueError, match="expected predictions of 3 classes"):
        ConfusionMatrix(3).update_state(np.array([0]), np.zeros((1, 2)))


def test_in_fit_it_reads_as_the_accuracy(rng):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy", ConfusionMatrix(3)])
    x, y = rng.random((30, 4)), rng.integers(0, 3, 30)
    model.fit(x, y, verbose=0)
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    assert found["confusion_matrix"] == pytest.approx(found["accuracy"])
