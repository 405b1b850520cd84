"""Training through CIANNA's calls follows CIANNA's rules, read here in NumPy with float64."""

import re
import threading

import keras
import numpy as np
import pytest

from astrokeras.cianna import interface as cnn
from astrokeras.cianna import state
from astrokeras.cianna.losses import SoftmaxError


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def begin(size, outputs, *, channels=1, batch=4, **options):
    cnn.init(size, channels, outputs, b_size=batch, network=0, no_logo=1, **options)
    return state.find(0)


def fill(net, inputs, targets, names=("TRAIN", "VALID")):
    for name in names:
        cnn.create_dataset(name, len(inputs), inputs, targets, silent=1)


def weights(net):
    """Return the arrays of all layers, float64."""
    found = []
    for layer in net.current_records().layers:
        arrays = [layer.weights] if hasattr(layer, "weights") else [layer.gamma, layer.beta]
        found += [np.array(values, "float64") for values in arrays]
    return found


class Rule:
    """CIANNA's update (README of its reference data, section 5)."""

    def __init__(self, arrays, batch, momentum=0.0, decay=0.0, kept=()):
        self.arrays, self.batch, self.momentum, self.decay = arrays, batch, momentum, decay
        self.kept = kept  # arrays without weight decay
        self.updates = [np.zeros_like(values) for values in arrays]

    def step(self, gradients, rate, corners=()):
        for i, gradient in enumerate(gradients):
            u = self.momentum * self.updates[i] + rate / self.batch * gradient
            u = u + rate * (0.0 if i in self.kept else self.decay) * self.arrays[i]
            if i in corners:
                u[-1, -1] = 0  # the corner of a dense layer is never touched
            self.updates[i] = u
            self.arrays[i] = self.arrays[i] - u


def relu(x):
    return np.where(x > 0, x, 0.05 * x)


def dense_stack_gradients(arrays, x, t, bias):
    """Return dL/dW of dense LIN -> dense RELU -> dense SMAX, summed over the images."""
    first, second, third = arrays
    x = np.concatenate([x, np.full((len(x), 1), bias)], axis=1)
    a = x @ first  # LIN: the pivot at the end goes on as bias input
    z = a @ second
    b = relu(z)
    b[:, -1] = 0  # RELU takes the pivot away
    logits = (b @ third)[:, :-1]
    o = np.exp(logits - logits.max(1, keepdims=True))
    o /= o.sum(1, keepdims=True)
    delta3 = np.concatenate([o - t, np.zeros((len(x), 1))], axis=1)
    delta2 = delta3 @ third.T * np.where(z > 0, 1, 0.05)
    delta2[:, -1] = 0
    delta1 = delta2 @ second.T
    return [x.T @ delta1, a.T @ delta2, b.T @ delta3], -(t * np.log(np.maximum(o, 1e-6))).sum()


def test_dense_layers_follow_the_rule_with_momentum_decay_pivot_and_a_partial_batch(rng, capsys):
    net = begin([5], 3, bias=0.3)
    cnn.dense(4, activation="LIN", bias=0.7)
    cnn.dense(3, activation="RELU", bias=0.2)
    cnn.dense(3, activation="SMAX")
    x, t = rng.normal(size=(10, 5)).astype("float32"), rng.random((10, 3)).astype("float32")  # t sums to no 1
    fill(net, x, t)
    rule = Rule(weights(net), 4, momentum=0.9, decay=0.02)
    corners = [values[-1, -1] for values in rule.arrays]
    assert corners[0] == pytest.approx(0.2 / 0.3)  # the bias of the next layer / that of this one, the first
    assert corners[1:] == [pytest.approx(0.1 / 0.2), 0]
    iterations, start, end, fall, losses = 3, 0.2, 0.05, 0.5, []
    cnn.train(iterations, start, end_learning_rate=end, momentum=0.9, lr_decay=fall, weight_decay=0.02, shuffle_every=0)
    for i in range(iterations):
        rate, loss = end + (start - end) * np.exp(-fall * i), 0.0
        for first in (0, 4, 8):
            rows = slice(first, first + 4)
            gradients, more = dense_stack_gradients(rule.arrays, x[rows].astype("float64"), t[rows], 0.3)
            loss += more
            rule.step(gradients, rate, corners=range(3))
        losses.append(loss / 10)
    shown = re.findall(r"Training perf.*Mean Loss: (\S+)", capsys.readouterr().out)
    assert [float(loss) for loss in shown] == pytest.approx(losses, rel=1e-4)
    for ours, theirs in zip(weights(net), rule.arrays, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert [values[-1, -1] for values in weights(net)] == pytest.approx(corners)


def conv_net(arrays, x):
    """Conv 3x2, stride 1x2, padding 1x0, LIN -> norm of 2 groups, RELU -> dense LOGI: `x` (image, channel, y, x)."""
    kernel, gamma, beta, matrix = arrays
    x = np.pad(x, ((0, 0), (0, 0), (0, 0), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (2, 3), axis=(2, 3))[:, :, ::2]  # n, c, y, x, ky, kx
    y = np.einsum("ncyxij,fcij->nfyx", windows, kernel[:, :-1].reshape(4, 2, 2, 3)) + 0.4 * kernel[:, -1, None, None]
    groups = y.reshape(len(y), 2, -1)
    mean, variance = groups.mean(-1, keepdims=True), groups.var(-1, keepdims=True)
    groups = gamma[:, None] * (groups - mean) / np.sqrt(variance + 1e-3) + beta[:, None]
    flat = np.concatenate([relu(groups).reshape(len(y), -1), np.full((len(y), 1), -0.6)], axis=1)
    return 1 / (1 + np.exp(-(flat @ matrix)[:, :-1]))


def numerical_gradients(loss, arrays):
    found = []
    for values in arrays:
        gradient = np.zeros_like(values)
        for place in np.ndindex(values.shape):
            kept = values[place]
            values[place] = kept + 1e-5
            above = loss()
            values[place] = kept - 1e-5
            gradient[place] = (above - loss()) / 2e-5
            values[place] = kept
        found.append(gradient)
    return found


def test_convolution_norm_and_dense_follow_the_rule(rng):
    net = begin([5, 4], 2, channels=2, bias=0.4)
    cnn.conv([3, 2], 4, stride=[1, 2], padding=[1, 0], activation="LIN", bias=9)  # the first takes the bias of init
    cnn.norm(group_size=2, activation="RELU")
    cnn.dense(2, activation="LOGI", bias=-0.6)
    x, t = rng.normal(size=(6, 2 * 4 * 5)).astype("float32"), rng.random((6, 2)).astype("float32")
    fill(net, x, t)
    rule = Rule(weights(net), 4, momentum=0.5, decay=0.1, kept=(1, 2))
    cnn.train(3, 0.3, end_learning_rate=0.3, momentum=0.5, weight_decay=0.1, shuffle_every=0, silent=1)
    images = x.reshape(6, 2, 4, 5).astype("float64")
    for _ in range(3):
        for rows in (slice(0, 4), slice(4, 6)):
            gradients = numerical_gradients(
                lambda rows=rows: 0.5 * ((conv_net(rule.arrays, images[rows]) - t[rows]) ** 2).sum(), rule.arrays
            )
            rule.step(gradients, 0.3, corners=[3])
    for ours, theirs in zip(weights(net), rule.arrays, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-6)
    assert np.abs(weights(net)[1] - 1).max() > 1e-3  # gamma did move


def test_the_gradient_of_softmax_is_output_minus_target_for_any_target_and_depth():
    logits = np.array([[0.0, 1.0, -200.0], [3.0, 3.0, 3.0]], "float32")
    targets = np.array([[0.0, 0.0, 1.0], [0.5, 2.0, 0.0]], "float32")
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    loss = SoftmaxError(reduction="sum")
    from astrokeras import backend

    slopes = keras.ops.convert_to_numpy(backend.gradient(lambda z: loss(targets, z), logits))
    np.testing.assert_allclose(slopes, shares - targets, atol=1e-6)
    values = keras.ops.convert_to_numpy(loss.call(targets, keras.ops.convert_to_tensor(logits)))
    np.testing.assert_allclose(values, -(targets * np.log(np.maximum(shares, 1e-6))).sum(1), rtol=1e-5)


def small(rng, count=12, **options):
    net = begin([4], 3, **options)
    cnn.dense(3, activation="SMAX")
    fill(net, rng.normal(size=(count, 4)), np.eye(3)[rng.integers(0, 3, count)])
    return net


def test_the_learning_rate_counts_all_iterations(rng, capsys):
    small(rng)
    for _ in range(3):
        cnn.train(1, 0.1, end_learning_rate=0.02, lr_decay=0.7)
    shown = [
        line.split("Learning rate: ")[1].split()[0] for line in capsys.readouterr().out.splitlines() if "Learn" in line
    ]
    assert shown == [f"{0.02 + 0.08 * np.exp(-0.7 * i):.5g}" for i in range(3)]


def test_frozen_layers_stay_until_they_thaw(rng):
    net = begin([4], 3)
    cnn.dense(4, activation="LIN")
    cnn.dense(3, activation="SMAX")
    fill(net, rng.normal(size=(12, 4)), np.eye(3)[rng.integers(0, 3, 12)])
    cnn.set_frozen_layers(np.array([1, 0]))
    before = weights(net)
    cnn.train(1, 0.1, weight_decay=0.1, silent=1)
    after = weights(net)
    assert np.array_equal(before[0], after[0]) and not np.allclose(before[1], after[1])
    cnn.set_frozen_layers([0])
    cnn.train(1, 0.1, silent=1)
    assert not np.allclose(after[0], weights(net)[0])
    with pytest.raises(ValueError, match="at most 2 flags"):
        cnn.set_frozen_layers([0, 0, 1])


def test_a_batch_of_one_draws_images_and_none_means_sixteen(rng, capsys):
    net = small(rng, batch=1)
    seen = []
    dataset = net.datasets["TRAIN"]
    take = dataset.images
    dataset.images = lambda rows, shape: seen.extend(rows.tolist()) or take(rows, shape)
    cnn.train(4, 0.01, control_interv=0, silent=1)
    assert len(seen) == 48 and len(set(seen)) > 5 and seen[:12] != seen[12:24]
    assert any(np.diff(np.sort(seen[:12])) == 0)  # drawn anew each time, not shuffled
    for size in (0, -3):
        assert begin([4], 3, batch=size).batch_size == 16
    assert "each step draws one image" in capsys.readouterr().out


def test_shuffling_follows_shuffle_every(rng):
    net = small(rng, count=50)
    dataset = net.datasets["TRAIN"]
    orders = []
    for _ in range(4):
        cnn.train(1, 0.0, control_interv=0, silent=1, shuffle_every=3)
        orders.append(dataset.order.copy())
    assert np.array_equal(orders[0], np.arange(50))  # CIANNA asks (iteration + 1) % 3, from iteration 1
    assert not np.array_equal(orders[1], orders[0])
    assert np.array_equal(orders[2], orders[1]) and np.array_equal(orders[3], orders[1])
    assert sorted(orders[1]) == list(range(50))


def test_a_buffer_is_filled_by_a_thread_while_the_network_trains(rng):
    net = small(rng, count=64)
    used = []
    for block in range(3):
        data = rng.normal(size=(32 + block, 4)).astype("float32")

        def augment(data=data):
            cnn.delete_dataset("TRAIN_buf", silent=1)
            cnn.create_dataset("TRAIN_buf", len(data), data, np.eye(3)[np.zeros(len(data), int)], silent=1)
            data[:] = 0  # the set is a copy

        thread = threading.Thread(target=augment)
        thread.start()
        cnn.train(1, 0.01, control_interv=0, silent=1)
        thread.join()
        used.append(len(net.datasets["TRAIN"]))
        cnn.swap_data_buffers("TRAIN")
        assert len(net.datasets["TRAIN"]) == 32 + block and np.abs(net.datasets["TRAIN"].inputs).max() > 0
    assert used == [64, 32, 33] and len(net.datasets["TRAIN_buf"]) == 33


def keras_twin(net, optimizer):
    """The same dense softmax network in plain Keras, with CIANNA's bias input as a column of the data."""
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, use_bias=False)])
    model.set_weights([weights(net)[0][:, :-1]])
    model.compile(optimizer, keras.losses.CategoricalCrossentropy(from_logits=True))
    return model


@pytest.mark.parametrize(
    "text, peer",
    [
        (cnn.adam(beta1=0.8), keras.optimizers.Adam(0.05, beta_1=0.8, epsilon=1e-8)),
        (cnn.rms_prop(alpha=0.9, momentum=0.5), keras.optimizers.RMSprop(0.05, rho=0.9, momentum=0.5, epsilon=1e-8)),
        (cnn.sgd(momentum=0.7), keras.optimizers.SGD(0.05, momentum=0.7)),
    ],
    ids=["adam", "rms_prop", "sgd"],
)
def test_the_optimizers_of_the_development_version_are_those_of_keras(text, peer, rng):
    net = small(rng, optimizer=text, batch=6)
    model = keras_twin(net, peer)
    data = net.datasets["TRAIN"]
    x = np.concatenate([data.inputs.reshape(12, 4), np.full((12, 1), 0.1, "float32")], axis=1)
    cnn.train(3, 0.05, end_learning_rate=0.05, shuffle_every=0, control_interv=0, silent=1)
    model.fit(x, data.targets, batch_size=6, epochs=3, shuffle=False, verbose=0)
    np.testing.assert_allclose(weights(net)[0][:, :-1], model.get_weights()[0], atol=2e-6)


def test_targets_follow_a_network_that_grows(rng):
    net = begin((4, 3), 2, batch=3)
    cnn.conv([1, 1], 2, activation="LIN")
    cnn.pool(p_global=1)
    fill(net, rng.random((6, 12)), [[1, 0]] * 6)
    cnn.train(1, 0.01, silent=1)
    cnn.conv([1, 1], 2, activation="SMAX")  # its targets are a map of one pixel
    cnn.train(300, 0.1, momentum=0.9, silent=1, control_interv=300)
    cnn.create_dataset("TEST", 6, net.datasets["VALID"].inputs, net.datasets["VALID"].targets)
    assert cnn.forward(saving=0, silent=1, return_output=1)[:, 0].min() > 0.9


def test_set_optimizer_param_begins_anew(rng):
    net = small(rng, optimizer=cnn.adam())
    cnn.train(1, 0.01, control_interv=0, silent=1)
    cnn.set_optimizer_param(cnn.adam(beta1=0.5))
    cnn.train(1, 0.01, control_interv=0, silent=1)
    assert net.trainer.optimizer.beta_1 == 0.5
    with pytest.raises(ValueError, match="settings of ADAM"):
        cnn.set_optimizer_param(cnn.rms_prop())
    with pytest.raises(ValueError, match="SGD, ADAM or RMSprop"):
        begin([4], 3, optimizer="LION")
    with pytest.raises(ValueError, match="b1, b2, eps, ams"):
        begin([4], 3, optimizer="ADAM_mom0.5")


def test_the_moving_average_is_what_is_saved_and_judged(rng):
    net = small(rng, wema=1, batch=12)
    first = weights(net)[0]
    cnn.train(1, 0.5, wema_rate=0.75, silent=1, shuffle_every=0)
    averaged, trained = weights(net)[0], net.trainer.trained.get_weights()[0]
    np.testing.assert_allclose(averaged[:-1, :-1], 0.75 * first[:-1, :-1] + 0.25 * trained, atol=1e-6)
    cnn.train(1, 0.5, wema_rate=0.75, wema_replace_every=2, silent=1, shuffle_every=0)
    np.testing.assert_allclose(weights(net)[0][:-1, :-1], net.trainer.trained.get_weights()[0], atol=1e-7)


def test_decoupled_weight_decay_shrinks_the_weights_alone(rng):
    net = small(rng, batch=12)
    first = weights(net)[0]
    cnn.train(1, 0.5, weight_decay=0.1, decoupled_wdecay=1, silent=1, shuffle_every=0)
    net_weights = weights(net)[0]
    other = small(np.random.default_rng(0), batch=12)
    other.records.layers[0].weights[:] = first
    cnn.train(1, 0.5, silent=1, shuffle_every=0)
    expected = weights(other)[0] - 0.05 * first
    np.testing.assert_allclose(net_weights[:, :-1], expected[:, :-1], atol=1e-6)


def test_what_cannot_be_trained_is_refused(rng, capsys):
    net = small(rng, inference_only=1)
    before = weights(net)[0]
    cnn.train(1, 0.1)
    assert "inference only" in capsys.readouterr().out and np.array_equal(before, weights(net)[0])
    small(rng)
    cnn.delete_dataset("VALID")
    with pytest.raises(ValueError, match="the set VALID for the control of every 1"):
        cnn.train(1, 0.1)
    cnn.delete_dataset("TRAIN")
    with pytest.raises(ValueError, match="the set TRAIN for train"):
        cnn.train(1, 0.1, control_interv=0)
    net = begin([4], 2)
    cnn.dense(3, activation="SMAX")
    fill(net, np.zeros((4, 4)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="to have the 2 outputs that init was told"):
        cnn.train(1, 0.1)
    net = begin([4], 2)
    cnn.dense(3, activation="SMAX")
    cnn.dense(2, activation="SMAX")
    fill(net, np.zeros((4, 4)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="in the last layer only"):
        cnn.train(1, 0.1)
    net = begin([4], 2)
    cnn.dense(2, activation="LIN")
    fill(net, np.full((4, 4), 1e30), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="diverged"):
        cnn.train(3, 1.0, silent=1)


def test_mixed_precision_is_said_and_used(rng, capsys):
    from astrokeras import backend

    net = begin([4], 3, mixed_precision="FP16C_FP32A")
    said = "so the network computes in float32" in capsys.readouterr().out
    assert said == (not backend.has_gpu())
    assert begin([4], 3, mixed_precision="FP16C_FP32A", comp_meth="C_BLAS").precision == "float32"
    net = small(rng, mixed_precision="BF16C_FP32A")
    cnn.train(1, 0.1, TC_scale_factor=8.0, silent=1)
    assert net.built().layers[1].compute_dtype in ("float32", "bfloat16")  # softmax stays float32
    assert net.built().dtype_policy.name == "mixed_bfloat16"
    assert keras.config.dtype_policy().name == "float32"  # of the session


def test_float16_trains_with_a_scaled_loss(rng, monkeypatch):
    from astrokeras import backend

    monkeypatch.setattr(backend, "has_gpu", lambda: True)  # dense layers have float16 on a CPU too
    net = small(rng, mixed_precision="FP16C_FP32A", batch=12)
    before = weights(net)[0]
    cnn.train(1, 0.1, TC_scale_factor=64.0, silent=1)
    optimizer = net.trainer.trained.optimizer
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer) and optimizer.initial_scale == 64
    moved = np.abs(weights(net)[0] - before)[:, :-1].max()
    twin = small(np.random.default_rng(0), batch=12)
    twin.records.layers[0].weights[:] = before
    cnn.train(1, 0.1, silent=1)
    assert moved > 1e-3
    np.testing.assert_allclose(weights(net)[0], weights(twin)[0], atol=2e-3)
