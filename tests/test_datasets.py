import io
import pickle
import tarfile

import keras
import numpy as np
import pytest

from astrokeras import datasets
from astrokeras.datasets import files


@pytest.fixture
def small(rng):
    x = rng.integers(0, 256, (12, 32, 32, 3)).astype("uint8")
    return {"x_train": x[:10], "y_train": np.arange(10), "x_test": x[10:], "y_test": np.array([1, 2])}


def test_mnist_from_a_file(tmp_path, rng):
    x = rng.integers(0, 256, (6, 28, 28)).astype("uint8")
    np.savez(tmp_path / "mnist.npz", x_train=x[:4], y_train=np.arange(4, dtype="uint8"), x_test=x[4:], y_test=[5, 6])
    (x_train, y_train), (x_test, y_test) = datasets.mnist(tmp_path / "mnist.npz")
    assert x_train.shape == (4, 28, 28, 1) and x_train.dtype == np.uint8 and y_train.dtype == np.int64
    np.testing.assert_array_equal(x_test[..., 0], x[4:])
    assert y_test.tolist() == [5, 6]


def test_mnist_from_the_cache(tmp_path, monkeypatch, small):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "datasets").mkdir()
    np.savez(tmp_path / "datasets" / "mnist.npz", **small)
    assert datasets.mnist()[0][0].shape == (10, 32, 32, 3)


def test_without_a_network_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def offline(name, url, **kwargs):
        raise Exception(f"URL fetch failure on {url}")

    monkeypatch.setattr(keras.utils, "get_file", offline)
    for load, name in ((datasets.mnist, "mnist.npz"), (datasets.cifar10, "cifar-10-python.tar.gz")):
        sentence = f"download {name} from https://.* put it at {tmp_path}/datasets/{name}"
        with pytest.raises(ConnectionError, match=sentence):
            load()


def test_a_download_is_checked_and_moved(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "datasets").mkdir()
    asked = {}

    def download(name, url, file_hash, cache_dir):
        asked.update(name=name, url=url, hash=file_hash)
        path = tmp_path / "datasets" / name
        path.write_text("data")
        return str(path)

    monkeypatch.setattr(keras.utils, "get_file", download)
    assert files.fetch("a.npz", "https://somewhere/a.npz", "abc").read_text() == "data"
    assert asked == {"name": "a.npz.part", "url": "https://somewhere/a.npz", "hash": "abc"}
    assert [path.name for path in (tmp_path / "datasets").iterdir()] == ["a.npz"]


def test_cifar10_from_the_published_archive(tmp_path, small):
    path = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for i, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
            part = small["x_train"][2 * i : 2 * i + 2] if i < 5 else small["x_test"]
            batch = {b"data": part.transpose(0, 3, 1, 2).reshape(2, -1), b"labels": [i, i]}
            data = pickle.dumps(batch, protocol=2)
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    (x_train, y_train), (x_test, y_test) = datasets.cifar10(path)
    np.testing.assert_array_equal(x_train, small["x_train"])
    np.testing.assert_array_equal(x_test, small["x_test"])
    assert y_train.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4] and y_test.tolist() == [5, 5]


def test_a_pickle_with_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("run",)

    path = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        data = pickle.dumps({b"data": Evil()})
        member = tarfile.TarInfo("data_batch_1")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    with pytest.raises(ValueError, match=r"builtins\.print has no place"):
        datasets.cifar10(path)


def test_cifar10_packed_as_jpeg(tmp_path):
    from PIL import Image

    arrays = {}
    for part, count in (("train", 3), ("test", 2)):
        blobs = []
        for i in range(count):
            stream = io.BytesIO()
            Image.new("RGB", (32, 32), (60 * i, 128, 10)).save(stream, "JPEG", quality=95)
            blobs.append(stream.getvalue())
        arrays[f"jpeg_{part}"] = np.frombuffer(b"".join(blobs), "uint8")
        arrays[f"offsets_{part}"] = np.cumsum([0, *map(len, blobs)])
        arrays[f"y_{part}"] = np.arange(count)
    np.savez(tmp_path / "packed.npz", **arrays)
    (x_train, _), (x_test, _) = datasets.cifar10(tmp_path / "packed.npz")
    assert x_train.shape == (3, 32, 32, 3) and x_test.shape == (2, 32, 32, 3)
    np.testing.assert_allclose(x_train[2].mean(axis=(0, 1)), (120, 128, 10), atol=3)
    assert len(datasets.CIFAR10_CLASSES) == 10


def test_files_of_another_kind_are_refused(tmp_path, small):
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"PK nothing")
    with pytest.raises(ValueError, match="is damaged or of another kind"):
        datasets.mnist(broken)
    broken.rename(tmp_path / "broken.tar.gz")
    with pytest.raises(ValueError, match="is damaged or of another kind"):
        datasets.cifar10(tmp_path / "broken.tar.gz")
    np.savez(tmp_path / "other.npz", images=small["x_train"])
    with pytest.raises(ValueError, match="lacks x_train, y_train and holds images"):
        datasets.mnist(tmp_path / "other.npz")
    np.savez(tmp_path / "odd.npz", **(small | {"y_test": np.arange(5)}))
    with pytest.raises(ValueError, match="as many images"):
        datasets.mnist(tmp_path / "odd.npz")
    with pytest.raises(FileNotFoundError, match="there is nothing at"):
        files.existing(tmp_path / "no.npz", "a file")
    assert files.read_npz is not None


def test_simulated_digits_are_repeatable_balanced_and_varied():
    (x, y), (x_test, y_test) = datasets.simulated_digits(500, 100, seed=4)
    again = datasets.simulated_digits(500, 100, seed=4)
    np.testing.assert_array_equal(again[0][0], x)
    assert not np.array_equal(datasets.simulated_digits(500, 100, seed=5)[0][0], x)
    assert x.shape == (500, 28, 28, 1) and x_test.shape == (100, 28, 28, 1) and x.dtype == np.uint8
    assert np.bincount(y, minlength=10).min() > 25 and set(y_test) == set(range(10))
    zeros = x[y == 0].reshape(-1, 784)
    assert len(np.unique(zeros, axis=0)) == len(zeros)
    assert x.max() > 200 and np.median(x) < 60, "light strokes on dark"
    assert datasets.simulated_digits(3, 1, size=40)[0][0].shape == (3, 40, 40, 1)
    with pytest.raises(ValueError, match="size >= 8"):
        datasets.simulated_digits(size=4)


def test_simulated_digits_are_learnable_but_not_trivial():
    from sklearn.linear_model import LogisticRegression

    (x, y), (x_test, y_test) = datasets.simulated_digits(2000, 500)
    flat = LogisticRegression(max_iter=200).fit(x.reshape(2000, -1) / 255.0, y)
    accuracy = flat.score(x_test.reshape(500, -1) / 255.0, y_test)
    assert 0.2 < accuracy < 0.8  # a linear model sees that there are digits, no more


def test_image_dataset_covers_each_image_once_an_epoch(rng):
    x = np.arange(23, dtype="uint8").reshape(23, 1, 1, 1)
    batches = datasets.ImageDataset(x, np.arange(23), batch_size=5, rescale=0.5, seed=1)
    first = np.concatenate([batches[i][1] for i in range(len(batches))])
    images = np.concatenate([batches[i][0] for i in range(len(batches))])
    assert sorted(first) == list(range(23))
    np.testing.assert_array_equal(images.ravel(), first / 2)
    assert images.dtype == np.float32
    batches.on_epoch_begin()
    second = np.concatenate([batches[i][1] for i in range(len(batches))])
    assert sorted(second) == list(range(23)) and not np.array_equal(first, second)
    unlabelled = datasets.ImageDataset(x, batch_size=23, shuffle=False)
    np.testing.assert_array_equal(unlabelled[0], x.astype("float32"))


def test_what_workers_feed_does_not_depend_on_their_number(tmp_path):
    (x, y), _ = datasets.simulated_digits(96, 1)
    from astrokeras import augmentation

    losses = []
    for workers in (1, 3):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        batches = datasets.ImageDataset(
            x, y, 16, augmentation=augmentation.images(rotation=20), rescale=1 / 255, seed=5, workers=workers
        )
        losses.append(model.fit(batches, epochs=2, verbose=0).history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_image_dataset_reads_a_memmap_and_refuses(tmp_path):
    mapped = np.memmap(tmp_path / "images.dat", "uint8", "w+", shape=(10, 4, 4, 1))
    assert datasets.ImageDataset(mapped, batch_size=4, shuffle=True)[2].shape == (2, 4, 4, 1)
    with pytest.raises(ValueError, match="as many labels as images"):
        datasets.ImageDataset(mapped, np.arange(3))
    with pytest.raises(ValueError, match="received 0 images"):
        datasets.ImageDataset(mapped[:0])


# ---- simulators

SIMULATORS = {  # name -> small arguments, shape of one example, type, classes
    "simulated_spectra": ({"samples": 300}, (300, 1), "float32", 7),
    "simulated_galaxies": ({"size": 24}, (24, 24, 3), "uint8", 5),
    "simulated_textures": ({"size": 16}, (16, 16, 3), "uint8", 2),
}


@pytest.mark.parametrize("name", SIMULATORS)
def test_simulated_classes(name):
    arguments, shape, kind, classes = SIMULATORS[name]
    simulate = getattr(datasets, name)
    (x, y), (x_test, y_test) = simulate(70, 35, seed=1, **arguments)
    assert x.shape == (70, *shape) and x_test.shape == (35, *shape) and str(x.dtype) == kind
    assert x.min() >= 0 and x.max() <= (255 if kind == "uint8" else 1) and x.std() > 0.01
    counts = np.bincount(np.concatenate([y, y_test]), minlength=classes)
    assert len(counts) == classes and np.ptp(counts) <= 1, "all classes equally frequent"
    again = simulate(70, 35, seed=1, **arguments)[0]
    np.testing.assert_array_equal(again[0], x)
    assert (simulate(70, 35, seed=2, **arguments)[0][0] != x).any()
    with pytest.raises(ValueError, match="Expected train >= 1"):
        simulate(0, 5)


def test_simulated_molecular_spectra():
    (x, y), (x_test, y_test) = datasets.simulated_molecular_spectra(30, 10, samples=4000, species=6, seed=3)
    assert x.shape == (30, 4000, 3) and x.dtype == np.float16 and y_test.shape == (10, 6)
    assert set(np.unique(y)) == {0, 1} and (y.sum(axis=1) >= 1).all()
    assert x.min() >= 0 and x.max() <= 1 and (x[..., 0].max(axis=1) == 1).all()
    np.testing.assert_allclose(x[..., 1].astype("float32") ** 2, x[..., 0], atol=2e-3)
    other = datasets.simulated_molecular_spectra(30, 10, samples=4000, species=6, seed=4)[0][0]
    assert (other != x).any()
    with pytest.raises(ValueError, match="species >= 2"):
        datasets.simulated_molecular_spectra(species=1)


def test_a_species_shows_its_own_lines():
    (x, y), _ = datasets.simulated_molecular_spectra(400, 1, samples=2000, species=4)
    spectrum = x[..., 0].astype("float32")
    with_it, without = spectrum[y[:, 0] == 1].mean(axis=0), spectrum[y[:, 0] == 0].mean(axis=0)
    from astrokeras.datasets.simulated_molecular_spectra import _line_lists

    position, strength, _ = _line_lists(2000, 4)
    strongest = int(position[0][strength[0].argmax()])
    near = slice(max(0, strongest - 15), strongest + 16)
    assert with_it[near].max() > 2 * without[near].max()


def test_simulated_extinction():
    (x, y), _ = datasets.simulated_extinction(40, 5, size=16, distances=20, seed=1)
    assert x.shape == (40, 16, 16, 1) and y.shape == (40, 20) and x.dtype == y.dtype == np.float32
    assert (x >= 0).all() and (y > 0).all()
    colour = (x[..., 0] * np.arange(16)).sum(axis=(1, 2)) / x[..., 0].sum(axis=(1, 2))
    assert np.corrcoef(colour, y.mean(axis=1))[0, 1] > 0.7, "more dust, redder stars"
    with pytest.raises(ValueError, match="distances >= 2"):
        datasets.simulated_extinction(distances=1)
