import keras
import numpy as np
import pytest

from astrokeras import Network, explain


def small(rate=0.5, norm=True):
    net = Network((8, 8, 1))
    net.conv(4, 3)
    if norm:
        net.batch_norm()
    return net.dense(16, dropout=rate).dense(3, activation="softmax").build()


def test_uncertainty_varies_only_through_dropout(rng):
    model = small()
    model.compile("sgd", loss="sparse_categorical_crossentropy")
    x = rng.normal(2, 3, (40, 8, 8, 1)).astype("float32")
    model.fit(x, rng.integers(0, 3, 40), verbose=0)
    before = [weight.copy() for weight in model.get_weights()]
    plain = model.predict(x, verbose=0)
    found = explain.uncertainty(model, x, repeats=50)
    assert isinstance(found, explain.Uncertainty)
    assert found.mean.shape == found.std.shape == (40, 3) and found.entropy.shape == (40,)
    assert (found.std.max(axis=1) > 1e-3).all()
    assert np.abs(found.mean - plain).max() < 6 * found.std.max() / np.sqrt(50) + 0.1
    entropy = -(found.mean * np.log(found.mean)).sum(axis=1)
    np.testing.assert_allclose(found.entropy, entropy, rtol=1e-4)
    assert (found.information >= 0).all() and (found.information <= found.entropy + 1e-6).all()
    for ours, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, kept)
    np.testing.assert_array_equal(model.predict(x, verbose=0), plain)
    assert model.layers[1].output is not None, "the model's own graph is as it was"


def test_dropout_of_almost_nothing_gives_almost_no_scatter(rng):
    found = explain.uncertainty(small(1e-6), rng.random((5, 8, 8, 1)), repeats=3)
    assert found.std.max() < 1e-6 and found.information.max() < 1e-6


def test_regressions_have_no_entropy(rng):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Dropout(0.5)(inputs)))
    found = explain.uncertainty(model, rng.random((5, 4)), repeats=4)
    assert np.isnan(found.entropy).all() and np.isnan(found.information).all() and (found.std > 0).any()


def test_refusals():
    with pytest.raises(ValueError, match="'network' has none that acts"):
        explain.uncertainty(Network((4, 4, 1)).dense(2).build(), np.zeros((1, 4, 4, 1)))
    with pytest.raises(ValueError, match="Expected repeats >= 2"):
        explain.uncertainty(small(), np.zeros((1, 8, 8, 1)), repeats=1)
