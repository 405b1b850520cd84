import keras
import numpy as np
import pytest
import scipy.linalg
from scipy.spatial.distance import cdist
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import astrokeras
from astrokeras import judging, metrics
from astrokeras.metrics import generated
from astrokeras.models.principal_components import PrincipalComponents


def test_frechet_distance_of_diagonal_gaussians_by_hand():
    cross = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]) * np.sqrt(3 / 4)  # unit covariance
    moved = cross * [2.0, 3.0] + [1.0, -2.0]
    assert metrics.frechet_distance(moved, cross) == pytest.approx(1 + 4 + (2 - 1) ** 2 + (3 - 1) ** 2)
    assert metrics.frechet_distance(cross, moved) == pytest.approx(10)
    assert metrics.frechet_distance(moved, moved) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("rows", [400, 9])  # 9 rows leave covariances of 12 features singular
def test_frechet_distance_against_scipy(rng, rows):
    one = rng.normal(size=(rows, 12)) @ rng.normal(size=(12, 12)) + 3
    two = rng.normal(size=(500, 12)) @ rng.normal(size=(12, 12))
    means, covariances = zip(*((x.mean(axis=0), np.cov(x, rowvar=False)) for x in (one, two)), strict=True)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1] + 1e-12 * np.eye(12)).real
    expected = np.square(means[0] - means[1]).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert metrics.frechet_distance(one, two) == pytest.approx(expected, rel=1e-4)
    assert metrics.frechet_distance(one.astype("float32"), two.astype("float32")) == pytest.approx(expected, rel=1e-4)


def test_precision_recall_by_hand():
    real = np.array([[0.0], [1.0], [3.0], [10.0]])  # reach 1, 1, 2, 7 with one neighbour
    made = np.array([[-2.0], [4.5], [17.0], [17.5]])  # reach 6.5, 6.5, 0.5, 0.5
    # -2 is covered by nothing; 4.5 by the ball of 3 (1.5 <= 2); 17 by that of 10 (7 <= 7); 17.5 by none.
    # 0 and 1 lie in the ball of -2 (2, 3 <= 6.5), 3 and 10 in that of 4.5 (1.5, 5.5 <= 6.5).
    assert metrics.precision_recall(made, real, neighbours=1) == (0.5, 1.0)
    assert metrics.precision_recall(real, made, neighbours=1) == (1.0, 0.5)
    # With two neighbours real reaches 3, 2, 3, 9: -2 by 0 (2 <= 3), 4.5, 17 and 17.5 by 10 (7.5 <= 9).
    assert metrics.precision_recall(made, real, neighbours=2)[0] == 1.0


def test_precision_recall_in_blocks_far_from_the_origin(rng, monkeypatch):
    real, made = rng.normal(size=(211, 5)), 0.7 * rng.normal(size=(190, 5)) + 0.8

    def share(rows, others):
        own = np.sort(cdist(others, others), axis=1)[:, 3]  # the first is itself
        return (cdist(rows, others) <= own).any(axis=1).mean()

    expected = (share(made, real), share(real, made))
    assert 0.1 < expected[1] < expected[0] < 1
    assert metrics.precision_recall(made, real) == expected
    monkeypatch.setattr(generated, "NUMBERS_IN_A_BLOCK", 1000)
    assert metrics.precision_recall(made, real) == expected
    assert metrics.precision_recall(made + 1e6, real + 1e6) == expected


def test_nearest_images(rng, monkeypatch):
    images, samples = rng.random((50, 4, 4, 2)).astype("float32"), rng.random((7, 4, 4, 2)).astype("float32")
    samples[3] = images[20]
    distances = cdist(samples.reshape(7, -1).astype(float), images.reshape(50, -1).astype(float))
    for size in (2**22, 300):
        monkeypatch.setattr(generated, "NUMBERS_IN_A_BLOCK", size)
        found, far = metrics.nearest_images(samples, images, 5)
        np.testing.assert_array_equal(found, distances.argsort(axis=1)[:, :5])
        np.testing.assert_allclose(far, np.sort(distances, axis=1)[:, :5], atol=1e-6)
    assert found[3, 0] == 20 and far[3, 0] < 1e-6


@pytest.mark.parametrize("measure", [metrics.frechet_distance, metrics.precision_recall])
def test_refusals(measure, rng):
    good = rng.normal(size=(8, 3))
    bad = good.copy()
    bad[5, 1] = np.nan
    with pytest.raises(ValueError, match="finite features; received NaN or infinity in row 5"):
        measure(bad, good)
    with pytest.raises(ValueError, match="finite reference"):
        measure(good, bad)
    with pytest.raises(ValueError, match=r"received shapes \(8, 3\) and \(8, 2\)"):
        measure(good, good[:, :2])
    with pytest.raises(ValueError, match="at least 2 rows of features; received 1"):
        measure(good[:1], good)


def test_refusals_of_neighbours(rng):
    rows = rng.random((8, 3))
    for neighbours in (0, 8):
        with pytest.raises(ValueError, match="neighbours from 1 to 7"):
            metrics.precision_recall(rows, rows, neighbours)
    with pytest.raises(ValueError, match="count from 1 to 8"):
        metrics.nearest_images(rows, rows, 9)
    with pytest.raises(ValueError, match="of one shape"):
        metrics.nearest_images(rows, rows[:, :2], 1)
    with pytest.raises(ValueError, match="divide the integers by 255"):
        metrics.nearest_images(rows, np.zeros((8, 3), "uint8"), 1)
    with pytest.raises(ValueError, match="finite images; received NaN or infinity in row 2"):
        metrics.nearest_images(rows, np.where(np.arange(8)[:, None] == 2, np.nan, rows), 1)


def test_psnr_and_ssim_against_scikit_image(rng):
    truth = rng.random((5, 24, 20, 3)).astype("float32") * 255
    noisy = np.clip(truth + rng.normal(size=truth.shape) * np.array([1, 5, 20, 60, 120])[:, None, None, None], 0, 255)
    psnr, ssim = metrics.PSNR(max_value=255), metrics.SSIM(max_value=255)
    expected = [
        (
            peak_signal_noise_ratio(one, two, data_range=255),
            structural_similarity(
                one, two, data_range=255, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
            ),
        )
        for one, two in zip(truth.astype(float), noisy, strict=True)
    ]
    for part in (slice(0, 2), slice(2, 5)):
        psnr.update_state(truth[part], noisy[part])
        ssim.update_state(truth[part], noisy[part])
    np.testing.assert_allclose([float(psnr.result()), float(ssim.result())], np.mean(expected, axis=0), rtol=1e-4)
    psnr.reset_state()
    psnr.update_state(truth, noisy, sample_weight=np.array([0, 0, 1, 0, 0]))
    assert float(psnr.result()) == pytest.approx(expected[2][0], rel=1e-5)
    psnr.reset_state()
    psnr.update_state(truth, truth)
    assert float(psnr.result()) == pytest.approx(100)


@pytest.mark.parametrize("name", ["PSNR", "SSIM"])
def test_image_metrics_in_compile(name, rng, tmp_path):
    x = rng.random((6, 12, 12, 1)).astype("float32")
    model = keras.Sequential([keras.Input((12, 12, 1)), keras.layers.Conv2D(1, 3, padding="same")])
    metric = getattr(metrics, name)(max_value=2, name="alike")
    model.compile("adam", "mse", metrics=[metric])
    history = model.fit(x, x, epochs=1, batch_size=4, validation_data=(x, x), verbose=0).history
    other = getattr(metrics, name)(max_value=2)
    other.update_state(x, model.predict(x, verbose=0))
    assert history["val_alike"][0] == pytest.approx(float(other.result()), rel=1e-5)
    again = type(metric).from_config(metric.get_config())
    assert again.get_config() == metric.get_config() and again.max_value == 2
    model.save(tmp_path / "model.keras")
    reopened = keras.models.load_model(tmp_path / "model.keras")
    assert reopened.evaluate(x, x, verbose=0, return_dict=True)["alike"] == pytest.approx(
        float(other.result()), rel=1e-5
    )


def test_image_metrics_refuse():
    for kind in (metrics.PSNR, metrics.SSIM):
        with pytest.raises(ValueError, match="max_value > 0"):
            kind(max_value=0)
        with pytest.raises(ValueError, match="two sets of images"):
            kind().update_state(np.zeros((2, 12, 12, 1)), np.zeros((2, 12, 12, 3)))
    with pytest.raises(ValueError, match="11 pixels or more"):
        metrics.SSIM().update_state(np.zeros((2, 8, 12, 1)), np.zeros((2, 8, 12, 1)))


def test_judge_generated_with_lenet5(rng):
    images = rng.random((40, 28, 28, 1)).astype("float32")
    model = astrokeras.applications.lenet5(weights="mnist")
    judged = judging.judge_generated(images[:20], images[20:])
    assert isinstance(judged, judging.GeneratedJudgement) and judged.count == 20
    layer = keras.Model(model.inputs, model.get_layer("dense2").output)
    by_hand = layer.predict(images, verbose=0)
    np.testing.assert_allclose(judging.features_of(images), by_hand, atol=1e-5)
    assert judged.frechet == pytest.approx(metrics.frechet_distance(by_hand[:20], by_hand[20:]), rel=1e-4)
    assert (judged.precision, judged.recall) == metrics.precision_recall(by_hand[:20], by_hand[20:])
    probabilities = model.predict(images[:20], verbose=0)
    np.testing.assert_allclose(judged.shares, np.bincount(probabilities.argmax(1), minlength=10) / 20)
    assert judged.confidence == pytest.approx(float(probabilities.max(axis=1).mean()), rel=1e-5)
    assert "confidence" in judged.describe()


def test_judge_generated_with_an_encoder(rng):
    encoder = keras.Sequential([keras.Input((6, 1)), keras.layers.Conv1D(2, 3)])
    x = rng.random((12, 6, 1)).astype("float32")
    judged = judging.judge_generated(x, x, encoder, neighbours=1)
    assert judged.shares is None and judged.confidence is None and "confidence" not in judged.describe()
    np.testing.assert_allclose(judging.features_of(x, encoder), encoder.predict(x, verbose=0).reshape(12, 8))
    # A classifier whose softmax is within its dense layer.
    classifier = keras.Sequential(
        [keras.Input((6, 1)), keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
    )
    np.testing.assert_allclose(judging.features_of(x, classifier), x.reshape(12, 6))
    assert judging.judge_generated(x, x, classifier).shares.sum() == pytest.approx(1)


def test_judge_generated_refuses(rng):
    images = rng.random((8, 28, 28, 1)).astype("float32")
    for bad, what in ((255 * images, "samples in 0..1"), (2 * images - 1, "samples in 0..1")):
        with pytest.raises(ValueError, match=what):
            judging.judge_generated(bad, images)
    with pytest.raises(ValueError, match="reference in 0..1"):
        judging.judge_generated(images, (images * 255).astype("uint8"))
    with pytest.raises(ValueError, match=r"as lenet5 takes them; received \(8, 28, 28\)"):
        judging.judge_generated(images[..., 0], images)
    with pytest.raises(ValueError, match="reference of shape"):
        judging.judge_generated(images, images[:, :20])
    images[3, 5] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity"):
        judging.features_of(images, astrokeras.applications.lenet5())


def test_principal_components_against_svd(rng):
    images = (rng.normal(size=(200, 3)) @ rng.normal(size=(3, 24)) + rng.normal(size=(200, 24)) * 0.1 + 5).reshape(
        200, 6, 4
    )
    pca = PrincipalComponents(images, 2)
    rows = images.reshape(200, 24)
    left, singular, right = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    best = (left[:, :2] * singular[:2]) @ right[:2] + rows.mean(axis=0)
    np.testing.assert_allclose(pca.decode(pca.encode(images)), best.reshape(images.shape), rtol=1e-4)
    np.testing.assert_allclose(pca.variances, singular[:2] ** 2 / 199)
    assert pca.share == pytest.approx((singular[:2] ** 2).sum() / (singular**2).sum())
    assert pca.components.shape == (2, 6, 4) and pca.mean.shape == (6, 4)
    drawn = pca.generate(20000, seed=1)
    np.testing.assert_array_equal(drawn, pca.generate(20000, seed=1))
    np.testing.assert_allclose(pca.encode(drawn).var(axis=0), pca.variances, rtol=0.05)
    whole = PrincipalComponents(images, 24).generate(20000)
    assert metrics.frechet_distance(whole.reshape(-1, 24), rows) < 0.01 * np.cov(rows, rowvar=False).trace()


def test_principal_components_of_bytes_are_those_of_floats(rng):
    images = rng.integers(0, 256, (5000, 3, 3, 1)).astype("uint8")  # more than a block
    one, two = PrincipalComponents(images, 2), PrincipalComponents(images.astype("float64"), 2)
    np.testing.assert_allclose(one.variances, two.variances)
    np.testing.assert_allclose(one.decode(one.encode(images)), two.decode(two.encode(images)), rtol=1e-4)


def test_principal_components_refuse(rng):
    images = rng.random((5, 3, 2))
    for latent in (0, 5):
        with pytest.raises(ValueError, match="latent from 1 to 4"):
            PrincipalComponents(images, latent)
    pca = PrincipalComponents(images, 2)
    with pytest.raises(ValueError, match=r"images of shape \(3, 2\)"):
        pca.encode(images[:, :2])
    with pytest.raises(ValueError, match=r"latent vectors \(n, 2\)"):
        pca.decode(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="count >= 1"):
        pca.generate(0)
    images[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="finite images"):
        PrincipalComponents(images, 2)


def test_shipped_weights_make_digits():
    """What ships makes digits that the shipped LeNet-5 takes for digits; the auto-encoder rebuilds those."""
    from astrokeras import applications

    reader = applications.lenet5(weights="mnist")
    options = {"ddpm": {"sampler": "ddim", "steps": 25}}
    for name in ("variational_autoencoder", "gan", "ddpm"):
        made = getattr(applications, name)(weights="mnist").generate(40, seed=1, **options.get(name, {}))
        said = reader.predict(made, verbose=0)
        assert said.max(axis=1).mean() > 0.8, name
        assert len(np.unique(said.argmax(axis=1))) >= 7, name
        if name == "variational_autoencoder":
            rebuilt = applications.autoencoder(weights="mnist").predict(made, verbose=0)
            assert np.mean((rebuilt - made) ** 2) < 0.95 * np.mean((made.mean(axis=0) - made) ** 2)
