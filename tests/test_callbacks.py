import keras
import numpy as np
import pytest

from astrokeras import callbacks, datasets
from astrokeras.callbacks import check_inputs


@pytest.fixture
def model():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", loss="sparse_categorical_crossentropy")
    return model


@pytest.fixture
def data(rng):
    return rng.random((30, 3)).astype("float32"), rng.integers(0, 3, 30)


def test_matrices_every_n_epochs_and_at_the_end(model, data, tmp_path, capsys):
    watcher = callbacks.ConfusionMatrix(*data, every=2, folder=tmp_path / "figures", names=["a", "b", "c"])
    model.fit(*data, epochs=5, verbose=0, callbacks=[watcher])
    files = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert files == [f"confusion_epoch_000{epoch}.png" for epoch in (2, 4, 5)]
    printed = capsys.readouterr().out
    assert printed.count("precision") == 3 and "epoch 5" in printed
    predicted = model.predict(data[0], verbose=0).argmax(1)
    np.testing.assert_array_equal(np.diag(watcher.matrix), [(predicted[data[1] == c] == c).sum() for c in range(3)])


def test_every_is_checked(data):
    with pytest.raises(ValueError, match="Expected every >= 1"):
        callbacks.ConfusionMatrix(*data, every=0)


BAD = [
    (lambda x, y: (x.__setitem__((4, 1), np.nan), y), r"x\[4\] holds NaN \(1 of 30 examples do\)"),
    (lambda x, y: (x.__setitem__((slice(5, 8), 0), np.inf), y), r"x\[5\] holds infinite values \(3 of 30"),
    (lambda x, y: (x, y.__setitem__(2, 3)), r"Expected labels in 0\.\.2; y\[2\] is 3 \(1 of 30"),
    (lambda x, y: (x, y.__setitem__(2, -1)), r"y\[2\] is -1"),
]


@pytest.mark.parametrize(("spoil", "sentence"), BAD)
def test_fit_stops_before_any_weight_changes(model, data, spoil, sentence):
    x, y = data
    spoil(x, y)
    before = model.get_weights()[0].copy()
    for watcher in (callbacks.CheckInputs(x, y), callbacks.CheckInputs(datasets.ImageDataset(x, y, 64, shuffle=False))):
        with pytest.raises(ValueError, match=sentence):
            model.fit(x, y, verbose=0, callbacks=[watcher])
    np.testing.assert_array_equal(model.get_weights()[0], before)


def test_check_inputs_accepts_and_refuses_shapes(data):
    x, y = data
    check_inputs(x, None, 3)
    check_inputs(x, y[:, None], 3)
    check_inputs((x * 255).astype("uint8"), np.eye(3)[y], 3)
    with pytest.raises(ValueError, match=r"one-hot \(n, 3\); received shape \(30, 5\)"):
        check_inputs(x, np.zeros((30, 5)), 3)
    with pytest.raises(ValueError, match="shares that are >= 0 and sum to 1; "):
        check_inputs(x, 2 * np.eye(3)[y], 3)
    with pytest.raises(ValueError, match="as many labels as inputs"):
        check_inputs(x, y[:5], 3)
    with pytest.raises(ValueError, match=r"y\[0\] is 0\.5"):
        check_inputs(x, np.full(30, 0.5), 3)


def test_nan_far_into_a_large_set_is_found():
    x = np.zeros((1000, 2), "float32")
    x[777, 0] = np.nan
    with pytest.raises(ValueError, match=r"x\[777\] holds NaN"):
        check_inputs(x, None, 2)


def test_check_inputs_of_other_kinds():
    x = np.zeros((4, 2), "float32")
    check_inputs(x, np.array([[0, 1], [1, 1], [0, 0], [1, 0]]), 2, kind="labels")
    check_inputs(x, np.full((4, 3), -1.5), 3, kind="values")
    for kind, value, sentence in (
        ("labels", 0.5, r"0 or 1 for each label; y\[2, 1\] is 0.5 \(1 of 4 rows"),
        ("votes", -1.0, r"vote counts >= 0; y\[2, 1\] is -1.0"),
        ("values", np.nan, r"finite values; y\[2, 1\] is nan"),
    ):
        y = np.zeros((4, 2))
        y[2, 1] = value
        with pytest.raises(ValueError, match=sentence):
            check_inputs(x, y, 2, kind=kind)
    with pytest.raises(ValueError, match=r"values of shape \(n, 3\), as the network's outputs; received \(4, 2\)"):
        check_inputs(x, np.zeros((4, 2)), 3, kind="values")
