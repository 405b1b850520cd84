import keras
import numpy as np
import pytest

from astrokeras import Network, applications, explain

HEIGHT, WIDTH, CHANNELS, FILTERS, CLASSES = 4, 6, 2, 3, 3


def small(rng, fused=True, skip=False):
    """1 x 1 convolution with ReLU, mean over positions, dense: returns model, kernel, dense weights."""
    inputs = keras.Input((HEIGHT, WIDTH, CHANNELS))
    conv = keras.layers.Conv2D(FILTERS, 1, activation="relu", use_bias=False, name="conv")
    dense = keras.layers.Dense(CLASSES, use_bias=False, name="dense", activation="softmax" if fused else None)
    x = conv(inputs)
    if skip:  # around the convolution: the answer depends on the image without it too
        x = keras.layers.Concatenate()([x, inputs])
    x = dense(keras.layers.GlobalAveragePooling2D()(x))
    if not fused:
        x = keras.layers.Activation("softmax")(x)
    model = keras.Model(inputs, x, name="small")
    for layer in (conv, dense):
        layer.set_weights([rng.normal(size=weight.shape).astype("float32") for weight in layer.get_weights()])
    return model, conv.get_weights()[0][0, 0], dense.get_weights()[0]


def by_hand(image, kernel, dense, target):
    """Feature maps, and gradient of the score before the softmax with respect to the image."""
    linear = image @ kernel  # (y, x, filters)
    weights = dense[:FILTERS, target] / (HEIGHT * WIDTH)
    return np.maximum(linear, 0), ((linear > 0) * weights) @ kernel.T


@pytest.mark.parametrize("fused", [True, False])
def test_saliency_by_hand(rng, fused):
    model, kernel, dense = small(rng, fused)
    image = rng.normal(size=(HEIGHT, WIDTH, CHANNELS)).astype("float32")
    before = model.predict(image[None], verbose=0)
    for target in (0, 2):
        found = explain.saliency(model, image, target)
        np.testing.assert_allclose(found, np.abs(by_hand(image, kernel, dense, target)[1]).max(-1), atol=1e-6)
        assert found.shape == (HEIGHT, WIDTH) and found.dtype == np.float32 and found.max() > 1e-3
    np.testing.assert_array_equal(model.predict(image[None], verbose=0), before)
    assert model.layers[-1].activation is keras.activations.softmax, "the model is as it was"
    model.set_weights([3 * weight for weight in model.get_weights()])
    np.testing.assert_allclose(explain.saliency(model, image, 2), 9 * found, rtol=1e-4, atol=1e-6)


def test_smoothgrad_is_the_mean_over_noisy_images(rng):
    model, kernel, dense = small(rng)
    image = rng.normal(size=(HEIGHT, WIDTH, CHANNELS)).astype("float32")
    found = explain.saliency(model, image, 1, samples=20, noise=0.5, seed=3)
    draws = np.random.default_rng(3)  # in parts of 10
    noise = np.concatenate([draws.normal(0, 0.5 * np.ptp(image), (10, *image.shape)) for _ in range(2)])
    slopes = [by_hand(image + one, kernel, dense, 1)[1] for one in noise.astype("float32")]
    np.testing.assert_allclose(found, np.abs(np.mean(slopes, axis=0)).max(-1), atol=1e-6)
    assert np.abs(found - explain.saliency(model, image, 1)).max() > 1e-3


@pytest.mark.parametrize("skip", [False, True])
def test_grad_cam_by_hand(rng, skip):
    model, kernel, dense = small(rng, skip=skip)
    image = rng.normal(size=(HEIGHT, WIDTH, CHANNELS)).astype("float32")
    maps = np.maximum(image @ kernel, 0)
    for target in range(CLASSES):
        expected = np.maximum(maps @ (dense[:FILTERS, target] / (HEIGHT * WIDTH)), 0)
        np.testing.assert_allclose(explain.grad_cam(model, image, target), expected, atol=1e-6)
    np.testing.assert_array_equal(explain.grad_cam(model, image, 2), explain.grad_cam(model, image, 2, layer="conv"))


def test_grad_cam_interpolates_between_pixel_centres():
    inputs = keras.Input((4, 1))
    conv = keras.layers.Conv1D(1, 2, strides=2, use_bias=False)
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(keras.layers.Flatten()(conv(inputs))))
    model.set_weights([np.ones((2, 1, 1)), np.ones((2, 1))])
    found = explain.grad_cam(model, np.array([[1.0], [1], [3], [3]]), 0)  # maps 2 and 6, weight 1
    np.testing.assert_allclose(found, [2, 3, 5, 6], rtol=1e-6)


def test_maps_of_cubes_detectors_and_trained_networks(rng):
    cube = Network((4, 6, 6, 1)).conv(3, 3).dense(2, activation="softmax").build()
    image = rng.random((4, 6, 6, 1))
    assert explain.grad_cam(cube, image, 1).shape == explain.saliency(cube, image, 1).shape == (4, 6, 6)
    net = (
        Network((32, 48, 1), name="detector")
        .conv(4, 4, strides=4, padding=0, name="first")
        .conv(8, 2, strides=2, padding=0)
    )
    detector, field = net.yolo([[8, 8]], classes=2).build(), rng.random((32, 48, 1))
    found = explain.saliency(detector, field, (37, 9))  # the cell of rows 8 to 15 and columns 32 to 39
    assert found[8:16, 32:40].min() > 0 and found.sum() == pytest.approx(found[8:16, 32:40].sum())
    found = explain.grad_cam(detector, field, (37, 9))
    assert found.shape == (32, 48)
    assert [layer.name for layer in explain.followed.convolutions(detector)][-2] == "conv1"
    np.testing.assert_array_equal(found, explain.grad_cam(detector, field, (37, 9), layer="conv1"))
    lenet = applications.lenet5(weights="mnist")
    one = np.zeros((28, 28, 1))
    one[4:24, 13:16] = 1
    assert lenet.predict(one[None], verbose=0)[0, 1] > 0.99, "the softmax has hardly any gradient left"
    near = explain.saliency(lenet, one, 1, samples=8)
    assert near[4:24, 9:20].mean() > 2 * near[:, :6].mean()


def test_refusals_of_maps(rng):
    model, _, _ = small(rng)
    image = np.zeros((HEIGHT, WIDTH, CHANNELS))
    for explained in (explain.saliency, explain.grad_cam):
        with pytest.raises(
            ValueError, match="small: expected a target from 0 to 2, an output of the model; received 3"
        ):
            explained(model, image, 3)
        with pytest.raises(ValueError, match=r"expected one image \(4, 6, 2\)"):
            explained(model, image[..., :1], 1)
    with pytest.raises(ValueError, match="small: expected layer to be one of .*, conv, .*dense; received 'conf'"):
        explain.grad_cam(model, image, 1, layer="conf")
    with pytest.raises(ValueError, match=r"expected a layer with feature maps, such as conv; received 'dense'"):
        explain.grad_cam(model, image, 1, layer="dense")
    flat = Network((4, 4, 1), name="flat").dense(2).build()
    with pytest.raises(ValueError, match="flat: expected a model with a convolution"):
        explain.grad_cam(flat, np.zeros((4, 4, 1)), 0)
    with pytest.raises(ValueError, match="flat: expected a model with a convolution"):
        explain.first_filters(flat)
    with pytest.raises(ValueError, match="Expected samples >= 1 and noise > 0; received samples=0"):
        explain.saliency(model, image, 1, samples=0)
    with pytest.raises(ValueError, match="Expected samples >= 1 and noise > 0; received samples=5 and noise=0"):
        explain.saliency(model, image, 1, samples=5, noise=0)


def test_feature_maps_and_first_filters(rng):
    model, kernel, dense = small(rng)
    image = rng.normal(size=(HEIGHT, WIDTH, CHANNELS)).astype("float32")
    maps = explain.feature_maps(model, image, "conv")
    np.testing.assert_allclose(maps, np.maximum(image @ kernel, 0), atol=1e-6)
    answer = model.predict(image[None], verbose=0)[0]
    np.testing.assert_allclose(explain.feature_maps(model, image, "dense"), answer, atol=1e-6)
    with pytest.raises(ValueError, match="expected layer to be one of .*conv, .*; received 'conv9'"):
        explain.feature_maps(model, image, "conv9")
    np.testing.assert_array_equal(explain.first_filters(model), kernel.T[:, None, None])

    inputs = keras.Input((8, 8, 2))
    depthwise = keras.layers.DepthwiseConv2D(3, depth_multiplier=2)
    model = keras.Model(inputs, depthwise(inputs))
    found, kernel = explain.first_filters(model), depthwise.get_weights()[0]  # (y, x, channels, multiplier)
    assert found.shape == (4, 3, 3, 1)
    np.testing.assert_array_equal(found[3, ..., 0], kernel[:, :, 1, 1])
    transposed = keras.layers.Conv2DTranspose(5, 3)
    model = keras.Model(inputs, transposed(inputs))
    kernel = transposed.get_weights()[0]  # (y, x, filters, channels)
    np.testing.assert_array_equal(explain.first_filters(model)[4], kernel[:, :, 4])


def test_activation_maximization_by_hand(rng):
    inputs = keras.Input((5, 5, 1))
    model = keras.Model(inputs, keras.layers.Dense(2, activation="sigmoid")(keras.layers.Flatten()(inputs)))
    signs = rng.choice([-1.0, 1.0], (25, 2))
    model.set_weights([signs, np.zeros(2)])
    for target in (0, 1):
        found = explain.activation_maximization(
            model, target, jitter=0, blur=0, steps=20, rate=0.1
        )  # white where the weight is positive
        np.testing.assert_allclose(found, (signs[:, target] > 0).reshape(5, 5, 1), atol=1e-6)
    found = explain.activation_maximization(model, 1, jitter=0, blur=0, steps=20, rate=0.1, value_range=(-3, 5))
    np.testing.assert_allclose(found, np.where(signs[:, 1] > 0, 5, -3).reshape(5, 5, 1), atol=1e-5)


def test_activation_maximization_of_classes_and_filters(rng):
    model = applications.lenet5(weights="mnist")
    image = explain.activation_maximization(model, 4, steps=25)
    assert image.shape == (28, 28, 1) and image.min() >= 0 and image.max() <= 1
    assert model.predict(image[None], verbose=0)[0, 4] > 0.9
    np.testing.assert_array_equal(image, explain.activation_maximization(model, 4, steps=25))
    rough = explain.activation_maximization(model, 4, steps=25, blur=0)
    assert np.abs(np.diff(rough, axis=0)).mean() > 1.2 * np.abs(np.diff(image, axis=0)).mean(), "blur calms"
    best = explain.activation_maximization(model, 5, layer="conv2", steps=25)
    noise = rng.random((28, 28, 1)).astype("float32")
    means = [explain.feature_maps(model, shown, "conv2")[..., 5].mean() for shown in (best, noise)]
    assert means[0] > 2 * abs(means[1])
    bytes_net = Network((8, 8, 1)).rescale(100, 155).conv(2, 3).dense(2).build()
    assert explain.activation_maximization(bytes_net, 0, steps=25).max() > 100, "a net that rescales takes 0..255"


def test_refusals_of_activation_maximization():
    model = applications.lenet5()
    for message, settings in {
        "Expected a target from 0 to 15, a filter of conv2; received 16": {"target": 16, "layer": "conv2"},
        "lenet5: expected a target from 0 to 9": {"target": 10},
        "lenet5: expected layer to be one of .*conv1.*; received 'conv7'": {"target": 0, "layer": "conv7"},
        "Expected steps >= 1, rate > 0, jitter >= 0 and blur >= 0; received steps=0": {"target": 0, "steps": 0},
        r"Expected value_range \(lowest, highest\); received \(1, 1\)": {"target": 0, "value_range": (1, 1)},
    }.items():
        with pytest.raises(ValueError, match=message):
            explain.activation_maximization(model, **settings)
    inputs = keras.Input((None, None, 1))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs), name="any")
    with pytest.raises(ValueError, match=r"any: expected a model of images of fixed size"):
        explain.activation_maximization(model, 0)
