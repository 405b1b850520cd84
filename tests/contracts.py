"""One contract per kind of thing: what every application, layer, metric and callback must hold."""

import json
import zipfile

import keras
import numpy as np
import pytest

import astrokeras

MIXED = "mixed_float16" if astrokeras.backend.has_gpu() else "mixed_bfloat16"  # CPUs lack float16 kernels


def random_batch(model, count=4, seed=0):
    """Inputs in the range that the model takes, and class labels or boxes."""
    rng = np.random.default_rng(seed)
    if isinstance(model, astrokeras.models.YoloDetector):
        return random_scene(model, count, rng)
    x = rng.random((count, *model.input_shape[1:]), "float32")
    if any(layer.name == "normalization" for layer in model.layers):
        x *= 255
    if len(model.output_shape) > 2:  # images to images
        return x, rng.random((count, *model.output_shape[1:]), "float32")
    return x, rng.integers(0, model.output_shape[-1], count)


def random_scene(model, count, rng):
    """Noise, and three objects in each image (the last one padding) with the parameters that the model asks for."""
    size = np.array(model.input_shape[1:-1][::-1])
    x = rng.random((count, *model.input_shape[1:]), "float32") * 255
    centers, halves = rng.uniform(0.1, 0.9, (count, 3, len(size))) * size, rng.uniform(1, 8, (count, 3, len(size)))
    y = {"boxes": np.concatenate([centers - halves, centers + halves], -1).astype("float32")}
    y["labels"] = np.array([[0, max(0, model.settings.classes - 1), -1]] * count, "int32")
    if model.box_parameters:
        ranges = [(0, 90) if one.angle else one.range for one in model.box_parameters]
        y["params"] = np.array([[[high / 2 for _, high in ranges]] * 3] * count, "float32")
    return x, y


def decisive_threshold(detector, image):
    """A score in the widest gap below the best few: rounding cannot change on which side of it a box is."""
    scores = np.sort(detector.detect(image, score_threshold=0, nms_threshold=1)[0].scores)[::-1][:50]
    widest = 2 + np.argmax(-np.diff(scores)[2:])
    return (scores[widest] + scores[widest + 1]) / 2


def fit_once(model, x, y, eager=False):
    """One step of `fit`; return the loss."""
    eager = eager and keras.config.backend() != "jax"  # where it is slower
    if isinstance(y, dict):
        model.compile("sgd", run_eagerly=eager)
        return model.fit(x, y, batch_size=len(x), epochs=1, verbose=0).history["loss"][0]
    if y.ndim > 2:
        model.compile("sgd", **({} if hasattr(model, "encoder") else {"loss": "mse"}), run_eagerly=eager)
        return model.fit(x, y, batch_size=len(x), epochs=1, verbose=0).history["loss"][0]
    last = model.layers[-1].get_config().get("activation")
    if last != "softmax":  # labels, values
        y = np.eye(model.output_shape[-1], dtype="float32")[y]
    loss = "sparse_categorical_crossentropy" if last == "softmax" else "mse"
    model.compile("sgd", loss=loss, run_eagerly=eager)
    return model.fit(x, y, batch_size=len(x), epochs=1, verbose=0).history["loss"][0]


def check_application(build, arguments, output_shape, bad, sentence, folder):
    """Check one application on a small case; leave `<name>.keras` and `<name>.npz` in the folder.

    Args:
        build: the application.
        arguments: of a small model.
        output_shape: promised, without the batch axis.
        bad: arguments that must be refused.
        sentence: pattern of the refusal.
        folder: where files for other processes go.
    """
    model = build(**arguments)
    assert isinstance(model, keras.Model) and model.name == build.__name__
    assert model.output_shape == (None, *output_shape)
    names = [layer.name for layer in model.layers]
    assert len(set(names)) == len(names)
    assert names == [layer.name for layer in build(**arguments).layers], "layer names are not stable"

    x, y = random_batch(model)
    path = folder / f"{build.__name__}.keras"
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    assert "keras.src" not in json.dumps(config["config"]), "a private path of Keras in a user's file"
    found = {"x": x, "y": model.predict(x, verbose=0)}
    if isinstance(y, dict):
        found["threshold"] = decisive_threshold(model, x[:1])
        found["boxes"] = model.detect(x[:1], score_threshold=found["threshold"], nms_threshold=1)[0].boxes
    np.savez(path.with_suffix(".npz"), **found)

    assert np.isfinite(fit_once(model, x, y))
    before = keras.config.dtype_policy()
    try:
        astrokeras.configure(MIXED)
        mixed = build(**arguments)
        assert np.isfinite(fit_once(mixed, x, y, eager=True))
        assert mixed.output.dtype == "float32", "the output must stay float32 under mixed precision"
    finally:
        keras.config.set_dtype_policy(before)
    with pytest.raises(ValueError, match=sentence):
        build(**bad)


def check_layer(layer_class, arguments, input_shape, folder):
    """Check config, shapes, precision, one training step and a saved file of one layer."""
    layer = layer_class(**arguments)
    config = json.loads(json.dumps(layer.get_config()))
    again = layer_class.from_config(config)
    assert again.get_config() == layer.get_config()
    assert {key: config[key] for key in arguments} == json.loads(json.dumps(arguments))

    x = np.random.default_rng(0).normal(size=(3, *input_shape)).astype("float32")
    inputs = keras.Input(input_shape)
    outputs = layer(inputs)
    assert tuple(outputs.shape) == tuple(layer.compute_output_shape((None, *input_shape)))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(outputs)))
    model.compile("sgd", loss="mse")
    assert np.isfinite(model.fit(x, np.zeros((3, 1)), verbose=0).history["loss"][0])
    model.save(folder / "layer.keras")
    loaded = keras.models.load_model(folder / "layer.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)

    mixed = layer_class(**arguments, dtype="mixed_bfloat16")
    exact = layer_class(**arguments)
    exact.build(x.shape)
    mixed.build(x.shape)
    mixed.set_weights(exact.get_weights())
    result = mixed(x)
    assert keras.backend.standardize_dtype(result.dtype) == "bfloat16"
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(keras.ops.cast(result, "float32")),
        keras.ops.convert_to_numpy(exact(x)),
        atol=0.05,
        rtol=0.05,
    )


def check_loss(loss_class, arguments, y_true, y_pred, folder):
    """Check config, one value an example, float32 under half precision, a step and a saved file of one loss."""
    loss = loss_class(**arguments)
    config = json.loads(json.dumps(loss.get_config()))
    assert loss_class.from_config(config).get_config() == loss.get_config()
    values = keras.ops.convert_to_numpy(
        loss.call(keras.ops.convert_to_tensor(y_true), keras.ops.convert_to_tensor(y_pred))
    )
    assert values.shape == (len(y_true),)
    assert float(loss(y_true, y_pred)) == pytest.approx(values.mean(), rel=1e-5)
    half = keras.ops.cast(y_pred, "float16")
    assert keras.backend.standardize_dtype(loss.call(keras.ops.convert_to_tensor(y_true), half).dtype) == "float32"
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(y_pred.shape[1], activation="softplus")])
    model.compile("adam", loss=loss)
    x = np.random.default_rng(0).normal(size=(len(y_true), 4))
    assert np.isfinite(model.fit(x, y_true, verbose=0).history["loss"][0])
    model.save(folder / "loss.keras")
    assert keras.models.load_model(folder / "loss.keras").loss.get_config() == loss.get_config()


def check_metric(metric_class, arguments, y_true, y_pred):
    """Check config, reset, and use in compile and evaluate of one metric."""
    metric = metric_class(**arguments)
    again = metric_class.from_config(json.loads(json.dumps(metric.get_config())))
    assert again.get_config() == metric.get_config()
    metric.update_state(y_true, y_pred)
    first = float(metric.result())
    metric.reset_state()
    assert float(metric.result()) == 0
    metric.update_state(y_true, y_pred)
    assert float(metric.result()) == first
    model = keras.Sequential([keras.Input(y_pred.shape[1:]), keras.layers.Activation("linear")])
    model.compile(loss="sparse_categorical_crossentropy", metrics=[metric_class(**arguments)])
    evaluated = model.evaluate(y_pred, y_true, verbose=0, return_dict=True)
    assert evaluated[metric.name] == pytest.approx(first)


def check_callback(build, capsys):
    """Check that one callback serves two trainings and, told so, prints nothing.

    Args:
        build: function of inputs and labels that returns the callback.
        capsys: pytest's.
    """
    x, y = np.random.default_rng(0).random((8, 4)).astype("float32"), np.arange(8) % 3
    callback = build(x, y)
    capsys.readouterr()
    for _ in range(2):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
        model.compile("sgd", loss="sparse_categorical_crossentropy")
        history = model.fit(x, y, epochs=2, verbose=0, callbacks=[callback]).history
        assert len(history["loss"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
