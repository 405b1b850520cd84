"""Discovery: images, features, scores, ratings that survive, and the ranking that learns."""

import argparse
import math
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time

import keras
import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

import astrokeras
from astrokeras import discovery
from astrokeras.cli import main
from astrokeras.discovery import drawing
from astrokeras.discovery.images import check_values
from astrokeras.discovery.optional import extra

pytest.importorskip("sklearn")


def gaussian(sigma_x=3.0, sigma_y=3.0, size=32):
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.exp(-(x**2) / (2 * sigma_x**2) - y**2 / (2 * sigma_y**2))


@pytest.fixture
def folder(tmp_path):
    """Return a folder with an image of each kind."""
    folder = tmp_path / "galaxies"
    (folder / "deep").mkdir(parents=True)
    grey = np.arange(30, dtype="uint8").reshape(5, 6)
    Image.fromarray(grey).save(folder / "grey.png")
    Image.fromarray(np.repeat(grey[..., None], 3, axis=2)).save(folder / "deep" / "colour.JPG", format="PNG")
    Image.fromarray(grey.astype("uint16") * 1000).save(folder / "bits16.png")
    fits.PrimaryHDU(grey.astype(">f4") / 7).writeto(folder / "sky.fits")
    fits.PrimaryHDU(np.stack([grey, grey + 1, grey + 2]).astype(">i2")).writeto(folder / "rgb.fits")
    np.save(folder / "plain.npy", grey / 3)
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


# ---- images


def test_each_kind_of_file_is_read_by_its_path(folder):
    images, grey = discovery.ObjectImages(folder), np.arange(30).reshape(5, 6)
    assert images.ids == ["bits16.png", "deep/colour.JPG", "grey.png", "plain.npy", "rgb.fits", "sky.fits"]
    assert images.fingerprint == "" and images.name == "galaxies" and len(images) == 6
    np.testing.assert_array_equal(images["grey.png"][..., 0], grey)
    np.testing.assert_array_equal(images["bits16.png"][..., 0], grey * 1000)
    np.testing.assert_array_equal(images["deep/colour.JPG"], np.repeat(grey[..., None], 3, axis=2))
    np.testing.assert_allclose(images["sky.fits"][..., 0], grey / 7, rtol=1e-6)
    np.testing.assert_allclose(images["plain.npy"][..., 0], grey / 3, rtol=1e-6)
    np.testing.assert_array_equal(images["rgb.fits"], np.stack([grey, grey + 1, grey + 2], axis=2))
    assert [str(image.dtype) for image in images] == ["float32", "uint8", "uint8", "float32", "float32", "float32"]


def test_a_stack_goes_by_its_numbers(tmp_path, rng):
    stack = rng.random((5, 4, 4, 3))
    np.save(tmp_path / "stack.npy", stack)
    images = discovery.ObjectImages(tmp_path / "stack.npy")
    assert images.ids == list("01234") and images.name == "stack.npy"
    np.testing.assert_allclose(images["3"], stack[3], rtol=1e-6)
    same, other = discovery.ObjectImages(stack), discovery.ObjectImages(stack[::-1])
    assert images.fingerprint == same.fingerprint != other.fingerprint


def test_no_file_outside_of_the_folder_is_read(folder, tmp_path):
    np.save(tmp_path / "secret.npy", np.zeros((4, 4)))
    link = folder / "link.npy"
    link.symlink_to(tmp_path / "secret.npy")
    with pytest.raises(ValueError, match="the link link.npy leads out of it"):
        discovery.ObjectImages(folder)
    link.unlink()
    link.symlink_to(folder / "plain.npy")
    images = discovery.ObjectImages(folder)
    assert images["link.npy"].shape == (5, 6, 1)
    link.unlink()
    link.symlink_to(tmp_path / "secret.npy")  # exchanged while the page runs
    with pytest.raises(ValueError, match="leads out of it"):
        images["link.npy"]
    with pytest.raises(KeyError):
        images["../secret.npy"]


def test_bad_images_are_named(folder, tmp_path):
    images = discovery.ObjectImages(folder)
    (folder / "grey.png").unlink()
    with pytest.raises(ValueError, match="the image grey.png in .*no longer there"):
        images["grey.png"]
    (folder / "bits16.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match="bits16.png is damaged"):
        images["bits16.png"]
    (folder / "sky.fits").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match="FITS image in sky.fits"):
        images["sky.fits"]
    np.save(folder / "plain.npy", np.zeros((9, 9, 9)))
    with pytest.raises(ValueError, match=r"plain.npy has shape \(9, 9, 9\)"):
        images["plain.npy"]
    np.save(folder / "plain.npy", np.array([["a"]]))
    with pytest.raises(ValueError, match="numbers in plain.npy"):
        images["plain.npy"]
    (folder / "plain.npy").write_bytes(b"none")
    with pytest.raises(ValueError, match="plain.npy; it cannot be read"):
        images["plain.npy"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="there are none"):
        discovery.ObjectImages(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="there is nothing"):
        discovery.ObjectImages(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="another file"):
        discovery.ObjectImages(folder / "notes.txt")
    with pytest.raises(ValueError, match=r"received float64 of shape \(4, 4\)"):
        discovery.ObjectImages(np.zeros((4, 4)))


def test_pictures_keep_bytes_and_stretch_floats():
    grey = np.arange(12, dtype="uint8").reshape(3, 4, 1)
    np.testing.assert_array_equal(discovery.picture(grey, 100), np.repeat(grey, 3, axis=2))
    assert discovery.picture(np.zeros((50, 100, 3), "uint8"), 20).shape == (10, 20, 3)
    faint = np.linspace(0, 1, 1001, dtype="float32").reshape(7, 143, 1)
    drawn = discovery.picture(faint, 200).astype(int)[..., 0].ravel()
    assert drawn[0] == 0 and drawn[-1] == 255 and (np.diff(drawn) >= 0).all()
    share = (0.5 - 0.005) / (0.998 - 0.005)
    assert drawn[500] == round(255 * math.asinh(10 * share) / math.asinh(10))
    assert not discovery.picture(np.full((4, 4, 1), np.nan, "float32"), 9).any()


# ---- features


def test_morphology_of_a_square_worked_by_hand():
    image = np.zeros((16, 16))
    image[6:10, 6:10] = 7.0
    features, names = discovery.morphology_features(image[None] + 100)  # the level of the background is taken off
    found = dict(zip(names, features[0].tolist(), strict=True))
    wanted = {
        "gini": 0.0,
        "m20": math.log10(14 / 40),  # the first row of pixels: 4.5 + 2.5 + 2.5 + 4.5 of 16 * 2.5
        "concentration": 2.5 * math.log10(12.8 / 3.2),
        "asymmetry": 0.0,
        "ellipticity": 0.0,
        "size": math.sqrt(1.25 + 1 / 12) / 16,
        "area": 16 / 256,
        "inner": 0.5,
        "peak": 1 / 16,
    }
    assert found == pytest.approx(wanted, abs=1e-6)


def test_gini_asymmetry_and_ellipticity_worked_by_hand():
    images = np.zeros((3, 16, 16, 2))
    images[0, 8, 7], images[0, 8, 8] = 1, 3  # (1 * -1 + 3 * 1) / (4 * 1)
    images[1, 5, 5, 0], images[1, 5, 5, 1] = 1, 3  # one pixel and its image elsewhere: nothing in common
    images[2, 7, 6:10] = 1  # four pixels in a row: b / a = sqrt((1/12) / (5/4 + 1/12))
    features, names = discovery.morphology_features(images)
    column = {name: features[:, i] for i, name in enumerate(names)}
    assert column["gini"] == pytest.approx([0.5, 0.0, 0.0])
    assert column["asymmetry"][1:] == pytest.approx([2.0, 2.0])
    assert column["ellipticity"][2] == pytest.approx(0.75)
    assert column["channel_0"] == pytest.approx([0.5, 0.25, 0.5])
    assert column["m20"][1] == pytest.approx(-4.0)
    blank, _ = discovery.morphology_features(np.full((1, 16, 16), 3.0))
    assert not blank.any()


def test_morphology_tells_galaxies_apart_whatever_their_noise(rng):
    shapes = [gaussian(), gaussian(6, 2), gaussian(1, 1) + 0.1 * gaussian(4, 4)]
    images = np.stack(shapes) + rng.normal(scale=0.003, size=(3, 32, 32))
    features, names = discovery.morphology_features(images)
    column = {name: features[:, i] for i, name in enumerate(names)}
    assert column["ellipticity"][1] > 0.5 > 0.1 > column["ellipticity"][0]
    assert column["concentration"].argmax() == 2 and column["gini"].argmax() == 2
    assert column["size"][0] == pytest.approx(3.0 / 32, rel=0.15)
    one_by_one = np.concatenate([discovery.morphology_features([image])[0] for image in images])
    np.testing.assert_allclose(one_by_one, features, rtol=1e-5, atol=1e-6)
    sizes, _ = discovery.morphology_features([images[0][..., None], images[1, 2:-2, 2:-2, None]])  # of different sizes
    np.testing.assert_allclose(sizes[0], features[0], rtol=1e-5, atol=1e-6)


def test_bad_images_have_no_morphology():
    image = np.zeros((2, 8, 8, 1))
    image[1, 2, 2:4] = np.nan
    with pytest.raises(ValueError, match="image 1 has 2 without a value"):
        discovery.morphology_features(image)
    with pytest.raises(ValueError, match="image 1 has"):
        discovery.morphology_features([image[0], np.zeros((8, 8, 3))])
    with pytest.raises(ValueError, match="at least one image"):
        discovery.morphology_features([])
    check_values(image[0], "fine")


def test_encoder_features_are_the_encoders_answers(rng):
    pixels = (255 * rng.random((3, 28, 28, 1))).astype("uint8")
    plain = astrokeras.applications.autoencoder((28, 28, 1), latent=3, filters=(4, 8), units=(8,))
    wanted = plain.encoder.predict(pixels / 255.0, verbose=0)
    np.testing.assert_allclose(discovery.encoder_features(pixels, plain, batch_size=2), wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(discovery.encoder_features(pixels, plain.encoder), wanted, rtol=1e-4, atol=1e-5)
    variational = astrokeras.applications.variational_autoencoder((28, 28, 1), latent=2, filters=(4, 8), units=(8,))
    found = discovery.encoder_features(pixels / np.float32(255), variational)
    np.testing.assert_allclose(found, variational.encode(pixels / 255.0), rtol=1e-4, atol=1e-5)


def test_images_are_brought_to_the_networks_size_channels_and_range():
    inputs = keras.Input((4, 4, 1))
    mean = keras.Model(inputs, keras.layers.Identity(name="map")(inputs))  # a map: averaged over its pixels
    images = [np.full((8, 8, 3), 51, "uint8"), np.full((2, 4, 1), 102, "uint8"), np.full((4, 4, 1), 0.5, "float32")]
    assert discovery.encoder_features(images, mean)[:, 0] == pytest.approx([0.2, 0.2, 0.5])  # the second: half padding
    scaled = keras.Model(inputs, keras.layers.Rescaling(1 / 102, name="normalization")(inputs))
    assert discovery.encoder_features(images[:1], scaled)[0] == pytest.approx(0.5)
    named = keras.Model(inputs, keras.layers.Dense(1)(scaled.layers[1](inputs)))
    assert discovery.encoder_features(images[:1], named, layer="normalization")[0] == pytest.approx(0.5)
    with pytest.raises(ValueError, match="expected a layer|Expected a layer of"):
        discovery.encoder_features(images, mean, layer="none")
    with pytest.raises(ValueError, match="image 0 has 1 without a value"):
        discovery.encoder_features([np.array([[[np.nan]]])], mean)
    with pytest.raises(ValueError, match="network of images"):
        discovery.encoder_features(images, keras.Model(flat := keras.Input((4,)), flat))
    wide = keras.Model(oblong := keras.Input((2, 4, 1)), oblong)
    with pytest.raises(ValueError, match="only square networks"):
        discovery.encoder_features(images, wide)
    with pytest.raises(ValueError, match="at least one"):
        discovery.encoder_features([], mean)


def test_features_come_from_what_the_user_names(folder, tmp_path):
    images = discovery.ObjectImages(np.stack([gaussian(), gaussian(5, 2)]))
    features, names = discovery.find_features(images, "morphology")
    assert features.shape == (2, len(names)) and names[0] == "gini"
    model = astrokeras.applications.autoencoder((28, 28, 1), latent=2, filters=(4, 8), units=(8,))
    model.save(tmp_path / "net.keras")
    assert discovery.find_features(images, tmp_path / "net.keras")[0].shape == (2, 2)
    np.save(tmp_path / "own.npy", np.eye(2))
    assert discovery.find_features(images, tmp_path / "own.npy")[1] == ("feature_0", "feature_1")
    np.save(tmp_path / "own.npy", np.eye(3))
    with pytest.raises(ValueError, match=r"features \(2, ...\).*received \(3, 3\)"):
        discovery.find_features(images, tmp_path / "own.npy")
    (tmp_path / "own.csv").write_text("id,mass\n0,1\n")
    with pytest.raises(ValueError, match="1 images have none, the first 1"):
        discovery.find_features(images, tmp_path / "own.csv")
    (tmp_path / "own.csv").write_text("id,mass\n0,1\n1,heavy\n")
    with pytest.raises(ValueError, match="a number in each column"):
        discovery.find_features(images, tmp_path / "own.csv")
    with pytest.raises(FileNotFoundError, match="no such file"):
        discovery.find_features(images, "nowhere.npy")
    with pytest.raises(ValueError, match="morphology, or a .keras"):
        discovery.find_features(images, "shapes")


def test_standardised_refuses_what_is_no_number():
    features = np.array([[1.0, 2.0], [3.0, np.inf]])
    with pytest.raises(ValueError, match="feature 1 of object b is inf"):
        discovery.standardised(features, ["a", "b"])
    with pytest.raises(ValueError, match="at least 2 objects"):
        discovery.standardised(features[:1])


def test_the_map_keeps_neighbours_together(rng):
    features = np.concatenate([rng.normal(size=(20, 5)), rng.normal(size=(20, 5)) + 9])
    for method in ("pca", "tsne"):
        positions = discovery.feature_map(features, method)
        assert positions.shape == (40, 2)
        middle = positions[:20].mean(axis=0), positions[20:].mean(axis=0)
        apart = np.linalg.norm(middle[0] - middle[1])
        assert np.linalg.norm(positions[:20] - middle[0], axis=1).mean() < apart / 2
    variances = discovery.feature_map(features).var(axis=0)
    singular = np.linalg.svd(discovery.standardised(features), compute_uv=False)
    np.testing.assert_allclose(variances, singular[:2] ** 2 / 40, rtol=1e-4)
    with pytest.raises(ValueError, match="pca"):
        discovery.feature_map(features, "umap")


# ---- scores


@pytest.mark.parametrize("method", ["isolation_forest", "lof"])
def test_the_odd_one_out_has_the_highest_score(method, rng):
    features = np.concatenate([rng.normal(size=(60, 3)), [[8.0, -8.0, 8.0]]])
    scores = discovery.anomaly_scores(features, method)
    assert scores.argmax() == 60 and scores.max() == 5 and scores.min() == 0
    np.testing.assert_allclose(scores, discovery.anomaly_scores(features * 1000 + 7, method), atol=1e-9)
    assert not discovery.anomaly_scores(np.ones((5, 2)), method).any()


def test_unknown_method_is_refused():
    with pytest.raises(ValueError, match="isolation_forest, lof"):
        discovery.anomaly_scores(np.eye(3), "svm")


def test_trained_scores_worked_by_hand():
    """Through tanh(a + b) = (tanh a + tanh b) / (1 + tanh a tanh b), with distances whose mean is 1."""
    distances, likely = np.array([0.0, 1.0, 2.0]), 0.1 + 0.85 * 2.5 / 5
    far = [math.tanh(math.exp(d) - 1) for d in distances]
    wanted = [4 * (t + likely) / (1 + t * likely) for t in far]
    assert wanted[0] == pytest.approx(2.1) and wanted[2] == pytest.approx(4, abs=1e-4)
    found = discovery.trained_scores(np.full(3, 4.0), np.full(3, 2.5), distances)
    assert found == pytest.approx(wanted, rel=1e-12)
    trusting = discovery.trained_scores(np.full(3, 4.0), np.full(3, 2.5), distances, alpha=0)
    assert trusting == pytest.approx([2.1] * 3)  # no decay: the prediction alone decides
    assert discovery.trained_scores([3.0], [5.0], [0.0]) == pytest.approx([2.85])  # all rated: d0 is 0
    assert np.isfinite(discovery.trained_scores([3.0] * 2, [0.0] * 2, [1e9, 0.0], alpha=1e9)).all()
    with pytest.raises(ValueError, match="alpha >= 0"):
        discovery.trained_scores([1.0], [1.0], [1.0], alpha=-1)


def test_ratings_are_predicted_and_distances_measured_from_the_rated(rng):
    features = rng.normal(size=(50, 2))
    rated = np.arange(0, 50, 2)
    predicted = discovery.predict_ratings(features, rated, np.where(features[rated, 0] > 0, 5, 0))
    assert predicted[(features[:, 0] > 0.5)].min() > 2.5 > predicted[(features[:, 0] < -0.5)].max()
    distances = discovery.distance_to_rated(features, rated)
    wanted = np.linalg.norm(features[:, None] - features[rated], axis=2).min(axis=1)
    np.testing.assert_allclose(distances, wanted, atol=1e-7)


# ---- ratings on the disk


def test_ratings_stand_are_undone_and_deleted(tmp_path):
    ratings = discovery.Ratings(tmp_path / "r.sqlite", list("abc"))
    for name, value in [("a", 1), ("b", 2), ("a", np.int64(3))]:
        ratings.rate(name, value)
    assert {name: rating.value for name, rating in ratings.all().items()} == {"b": 2, "a": 3}
    assert ratings.all()["a"].time.endswith("+00:00") and isinstance(ratings.all()["a"], discovery.Rating)
    assert ratings.undo() == "a" and ratings.all()["a"].value == 1
    assert ratings.delete() == 2 and ratings.all() == {} and ratings.delete() == 0
    ratings.rate("c", 5)
    again = discovery.Ratings(tmp_path / "r.sqlite", list("abc"))
    assert again.made() == 0 and ratings.made() == 3
    assert [again.undo(), again.undo()] == ["c", ""]  # across programs
    assert {name: rating.value for name, rating in ratings.all().items()} == {"a": 1, "b": 2}
    assert [ratings.undo() for _ in range(3)] == ["b", "a", None]


def test_bad_ratings_are_refused(tmp_path):
    ratings = discovery.Ratings(tmp_path / "r.sqlite", ["a"])
    for bad in (-1, 6, 2.5, True, "3", None):
        with pytest.raises(ValueError, match=r"whole number in 0\.\.5"):
            ratings.rate("a", bad)
    with pytest.raises(ValueError, match="none named 'b'"):
        ratings.rate("b", 1)
    assert ratings.all() == {}


def test_ratings_survive_a_killed_process(tmp_path):
    code = """if True:
        import sys, time
        from astrokeras.discovery import Ratings
        ratings = Ratings(sys.argv[1], [str(i) for i in range(9)])
        for i in range(5):
            ratings.rate(str(i), i)
            print(i, flush=True)
        time.sleep(600)
    """
    path = tmp_path / "r.sqlite"
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True) as process:
        assert [process.stdout.readline().strip() for _ in range(5)] == list("01234")
        os.kill(process.pid, signal.SIGKILL)
    found = discovery.Ratings(path, [str(i) for i in range(9)]).all()
    assert {name: rating.value for name, rating in found.items()} == {str(i): i for i in range(5)}


def test_a_locked_database_is_waited_for_then_named(tmp_path, monkeypatch):
    monkeypatch.setattr("astrokeras.discovery.ratings.SECONDS", 2.0)
    path = tmp_path / "r.sqlite"
    ratings = discovery.Ratings(path, ["a"])
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    released = threading.Thread(target=lambda: (time.sleep(0.3), other.execute("COMMIT")))
    released.start()
    ratings.rate("a", 2)  # after the other one has finished
    released.join()
    monkeypatch.setattr("astrokeras.discovery.ratings.SECONDS", 0.1)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(TimeoutError, match="r.sqlite; another program has locked it"):
        ratings.rate("a", 4)
    with pytest.raises(TimeoutError, match="nothing is lost"):
        discovery.Ratings(path, ["a"])
    other.close()
    assert ratings.all()["a"].value == 2


def test_foreign_databases_are_refused_and_left_as_they_are(tmp_path):
    foreign = tmp_path / "foreign.sqlite"
    with sqlite3.connect(foreign) as file:
        file.execute("CREATE TABLE songs (title TEXT)")
    file.close()
    before = foreign.read_bytes()
    with pytest.raises(ValueError, match="another program's"):
        discovery.Ratings(foreign, ["a"])
    (tmp_path / "text.sqlite").write_text("this is no database, but long enough to look at" * 9)
    with pytest.raises(ValueError, match="damaged or of another kind"):
        discovery.Ratings(tmp_path / "text.sqlite", ["a"])
    assert foreign.read_bytes() == before
    with pytest.raises(OSError, match="can be read and written"):
        discovery.Ratings(tmp_path / "nowhere" / "r.sqlite", ["a"])


def test_ratings_of_other_images_are_refused(tmp_path):
    path = tmp_path / "r.sqlite"
    ratings = discovery.Ratings(path, list("abc"), "stack one")
    for name in "abc":
        ratings.rate(name, 3)
    with pytest.raises(ValueError, match="another stack"):
        discovery.Ratings(path, list("abc"), "stack two")
    with pytest.raises(ValueError, match="rates 2 others, such as a"):
        discovery.Ratings(path, list("cde"), "stack one")
    grown = discovery.Ratings(path, list("bcd"), "stack one")  # one image gone, one come
    assert set(grown.all()) == {"b", "c"}
    path.unlink()
    with pytest.raises(OSError, match="can be read and written"):
        grown.rate("b", 1)  # nothing is written where nobody will find it


# ---- the loop


@pytest.fixture
def recommender(tmp_path, rng):
    """Return one of 40 common objects and 6 odd ones, of two kinds: odd0..2 and odd3..5."""
    common = rng.normal(scale=0.3, size=(40, 2))
    odd = np.repeat([[9.0, 0.0], [-9.0, 0.0]], 3, axis=0) + rng.normal(scale=0.001, size=(6, 2))
    ids = [f"common{i}" for i in range(40)] + [f"odd{i}" for i in range(6)]
    return discovery.Recommender(ids, np.concatenate([common, odd]), tmp_path / "loop.sqlite")


def test_the_ranking_learns_what_is_interesting(recommender, tmp_path):
    assert recommender.raw[40:].min() > np.percentile(recommender.raw[:40], 75)
    assert recommender.rank("trained") == recommender.rank() and np.isnan(recommender.predicted).all()
    with pytest.raises(ValueError, match="at least one rating"):
        recommender.retrain()
    for name, rating in {"odd0": 0, "odd1": 0, "odd3": 5, "common0": 0, "common1": 0}.items():
        recommender.rate(name, rating)
    recommender.retrain()
    order = recommender.rank("trained")
    assert max(map(order.index, ["odd3", "odd4", "odd5"])) < min(map(order.index, ["odd0", "odd1", "odd2"]))
    assert recommender.predicted[recommender.places["odd4"]] > recommender.predicted[recommender.places["odd2"]]
    unrated = recommender.rank("trained", unrated_first=True)
    assert set(unrated[-5:]) == set(recommender.ratings) and unrated.index("odd4") < order.index("odd4") + 1
    assert recommender.progress == discovery.Progress(5, 46, 5, (4, 0, 0, 0, 0, 1))

    again = discovery.Recommender(recommender.ids, recommender.features, tmp_path / "loop.sqlite")
    np.testing.assert_allclose(again.trained, recommender.trained)
    assert again.progress.session == 0 and again.progress.rated == 5


def test_deleted_ratings_come_back(recommender):
    recommender.rate("odd0", 0)
    recommender.retrain()
    trained = recommender.trained
    assert recommender.delete_ratings() == 1 and recommender.ratings == {}
    np.testing.assert_array_equal(recommender.trained, recommender.raw)
    assert recommender.undo() == "" and recommender.ratings["odd0"].value == 0
    np.testing.assert_array_equal(recommender.trained, trained)
    assert recommender.undo() == "odd0" and recommender.undo() is None


def test_random_order_similar_objects_and_the_table(recommender, tmp_path):
    first, second = recommender.rank("random", seed=1), recommender.rank("random", seed=2)
    assert sorted(first) == sorted(recommender.ids) and first != second
    assert first == recommender.rank("random", seed=1)
    assert set(recommender.similar("odd4", 2)) == {"odd3", "odd5"}
    assert "odd4" not in recommender.similar("odd4", 99) and len(recommender.similar("odd4", 99)) == 45
    recommender.rate("odd1", 4)
    assert recommender.csv().splitlines()[42].split(",")[4] == ""  # nothing predicted yet
    recommender.retrain()
    rows = [row.split(",") for row in recommender.export_csv(tmp_path / "all.csv").read_text().splitlines()]
    assert rows[0] == ["id", "rating", "time", "raw_score", "predicted_rating", "trained_score"] and len(rows) == 47
    assert rows[42][:2] == ["odd1", "4"] and float(rows[42][4]) == 4
    assert float(rows[42][5]) == pytest.approx(float(rows[42][3]) * 0.78, abs=1e-3)  # 0.1 + 0.85 * 4 / 5


def test_a_recommender_refuses_what_does_not_fit(tmp_path):
    with pytest.raises(ValueError, match="feature 0 of object b is nan"):
        discovery.Recommender("ab", [[1.0], [np.nan]], tmp_path / "r.sqlite")
    with pytest.raises(ValueError, match="1 different ids of 2 and 2 rows"):
        discovery.Recommender("aa", np.eye(2), tmp_path / "r.sqlite")
    recommender = discovery.Recommender("ab", np.eye(2), tmp_path / "r.sqlite")
    with pytest.raises(ValueError, match="raw, trained, random"):
        recommender.rank("best")
    with pytest.raises(ValueError, match="n >= 1"):
        recommender.similar("c")


# ---- the command and the page's parts; the page itself: test_rating_page.py


def test_names_are_escaped_on_the_page():
    bad = '"><script>x</script>'
    card = drawing.object_card(bad, "data:", "", 1, [("raw", np.nan, bad)])
    small = drawing.thumbnails([0], 0, [bad], lambda place: None, {}, bad)
    for text in (card, small, drawing.message_line(bad, True)):
        assert "<script>" not in text and "&lt;script&gt;" in text


def test_missing_packages_are_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "gradio", None)
    recommender = discovery.Recommender("01", np.eye(2), tmp_path / "r.sqlite")
    images = discovery.ObjectImages(np.zeros((2, 4, 4)))
    with pytest.raises(ImportError, match=r'gradio: pip install "astrokeras\[web\]"'):
        discovery.rating_page(recommender, images)
    with pytest.raises(ImportError, match=r'gradio: pip install "astrokeras\[web\]"'):
        discovery.serve(recommender, images)
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(ImportError, match=r'sklearn: pip install "astrokeras\[discovery\]"'):
        discovery.anomaly_scores(np.eye(3))
    with pytest.raises(ImportError, match="astrokeras"), extra("web"):
        import a_package_that_is_not_there  # noqa: F401


def test_the_page_is_for_this_machine_unless_told_otherwise():
    parser = argparse.ArgumentParser()
    discovery.add_arguments(parser)
    options = parser.parse_args(["galaxies"])
    assert (options.host, options.port, options.scores, options.alpha) == ("127.0.0.1", 7860, "isolation_forest", 1.0)


def test_a_port_in_use_is_named(tmp_path):
    recommender = discovery.Recommender("01", np.eye(2), tmp_path / "r.sqlite")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"free port; 127.0.0.1:{port} cannot be served on"):
            discovery.serve(recommender, discovery.ObjectImages(np.zeros((2, 4, 4))), port=port)


def test_the_command_says_in_one_line_what_is_wrong(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("stack.npy", np.stack([gaussian(), gaussian(5, 2), gaussian(2, 2)]))
    bad = {
        "nowhere": "there is nothing",
        "stack.npy --features shapes": "morphology, or a .keras",
        "stack.npy --save-features shapes.txt": "--save-features FILE.npy",
        "stack.npy --database nowhere/r.sqlite": "can be read and written",
    }
    for line, sentence in bad.items():
        assert main(["rate", *line.split()]) == 2
        shown = capsys.readouterr().err
        assert sentence in shown and shown.count("\n") == 1
    served = []
    monkeypatch.setattr("astrokeras.discovery.command.serve", lambda *given, **more: served.append((given, more)))
    assert main(["rate", "stack.npy", "--save-features", "shapes.npy", "--scores", "lof", "--port", "9"]) == 0
    assert main(["rate", "stack.npy", "--features", "shapes.npy"]) == 0
    (first, images), more = served[0]
    assert more == {"host": "127.0.0.1", "port": 9} and images.ids == first.ids == list("012")
    np.testing.assert_array_equal(first.features, served[1][0][0].features)
    assert first.database == tmp_path / "stack.sqlite"
