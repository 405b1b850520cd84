"""What a training costs, and where it breaks."""

import keras
import numpy as np
import pytest

from astrokeras.callbacks import Cost, NonFinite


def small(*layers):
    model = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(2, name="last")])
    model.compile("sgd", "mse")
    return model


def fit(model, *watchers, x=None, **settings):
    x = np.ones((6, 4), "float32") if x is None else x
    settings = {"epochs": 2, "verbose": 0, "shuffle": False} | settings
    return model.fit(x, np.zeros((len(x), 2)), callbacks=list(watchers), **settings).history


# Cost


def test_cost_of_a_training(capsys):
    model, watcher = small(keras.layers.Dense(3)), Cost(6, validation_images=5, watts=50, carbon_intensity=720)
    for _ in range(2):  # from zero each time
        history = fit(model, watcher, validation_data=(np.ones((5, 4)), np.ones((5, 2))))
        each = 4 * 3 + 3 * 2
        assert history["total_multiply_adds"] == [each * (3 * 6 + 5), 2 * each * (3 * 6 + 5)]
        first, last = history["total_seconds"]
        assert 0 < first < last <= watcher.total["total_seconds"]
    if watcher.energy_source == "estimate from 50 W":
        assert watcher.total["total_joules"] == pytest.approx(50 * watcher.total["total_seconds"], rel=1e-3)
    assert watcher.total["total_co2"] == pytest.approx(watcher.total["total_joules"] / 5000, rel=1e-3)
    assert capsys.readouterr().out == ""


def test_cost_says_the_sum_if_asked(capsys):
    history = fit(small(), Cost(6, verbose=True), epochs=1)
    said = capsys.readouterr().out
    assert said.startswith("training of sequential") and "144 multiply-adds" in said and said.count("\n") == 1
    assert ("energy unknown" in said) == ("total_joules" not in history)
    assert "total_co2" not in history


def test_cost_refuses():
    with pytest.raises(ValueError, match="Expected images >= 1"):
        Cost(0)
    with pytest.raises(ValueError, match="Expected watts above 0"):
        Cost(3, watts=-5)


# NonFinite


class Blow(keras.layers.Layer):
    """Turns large values into infinite ones."""

    def call(self, inputs):
        return inputs * keras.ops.exp(keras.ops.maximum(inputs - 50.0, 0.0) * 100.0)


def nested():
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="calm"), Blow(name="hot")], name="inner")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2, name="last")(inner(inputs)))
    model.compile("sgd", "mse")
    inner.get_layer("calm").set_weights([np.eye(4) * 40, np.zeros(4)])
    return model


def test_the_first_layer_with_a_bad_output_is_named():
    model = nested()
    before = model.get_weights()
    x = np.ones((6, 4), "float32")
    x[4:] = 2  # the third batch
    guard = NonFinite(x[4:])
    with pytest.warns(RuntimeWarning, match="Stopped in epoch 1 at step 1"):
        fit(model, guard, x=x[4:], batch_size=2)
    assert "'hot' (Blow, 8 infinite of 8 values)" in guard.found and guard.found.count(".") == 1
    for kept, now in zip(before, model.get_weights(), strict=True):
        assert np.array_equal(kept, now), "the weights from before the bad step"
    assert not any("call" in vars(layer) for layer in model.get_layer("inner").layers)
    model.compile("sgd", "mse")
    assert np.isfinite(fit(model, guard, x=np.full((6, 4), 0.01, "float32"))["loss"][-1]) and guard.found is None


def test_weights_are_looked_through_where_outputs_are_finite():
    model = small(keras.layers.Dense(3, name="first"))
    x = np.ones((6, 4), "float32")
    x[4, 1] = np.nan
    with pytest.warns(RuntimeWarning) as said:
        history = fit(model, NonFinite(x[:2]), x=x, batch_size=2)
    sentence = str(said[0].message)
    assert "epoch 1 at step 3" in sentence and "all outputs before it were finite" in sentence
    assert "first/kernel (12 NaN of 12 values)" in sentence
    assert len(history["loss"]) == 1 and np.isfinite(np.concatenate([w.ravel() for w in model.get_weights()])).all()
    with pytest.warns(RuntimeWarning, match=r"inputs to look with are not finite themselves \(1 NaN of 8 values\)"):
        fit(small(), NonFinite(x[4:]), x=x, batch_size=2)


def test_finite_weights_point_to_the_data():
    x = np.ones((6, 4), "float32")
    x[2] = np.inf
    keras.config.set_dtype_policy("mixed_float16")  # whose loss scaling leaves out the step
    for watched, words in ((None, "all weights are finite, so look at the data"), (x[:2], "look at the targets")):
        with pytest.warns(RuntimeWarning, match=words):
            fit(small(), NonFinite(watched), x=x)


def test_looks_are_as_rare_as_asked(monkeypatch):
    kept = []
    monkeypatch.setattr(NonFinite, "_keep", lambda self: kept.append(self._next))
    fit(small(), NonFinite(every=2), batch_size=1)
    assert len(kept) == 1 + 2 * 3  # at the start, and at 3 of the 6 steps of an epoch
    with pytest.raises(ValueError, match="Expected every >= 1"):
        NonFinite(every=0)


def test_half_precision_overflows_are_found():
    keras.config.set_dtype_policy("mixed_float16")
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(3, name="fine"),
            keras.layers.Dense(2, name="over", dtype="mixed_float16"),
        ]
    )
    model.get_layer("over").set_weights([np.full((3, 2), 6e4), np.zeros(2)])
    model.get_layer("fine").set_weights([np.ones((4, 3)), np.zeros(3)])
    model.compile("sgd", "mse")
    guard = NonFinite(np.ones((2, 4), "float32"))
    with pytest.warns(RuntimeWarning, match=r"'over' \(Dense, 4 infinite of 4 values\)"):
        fit(model, guard)
