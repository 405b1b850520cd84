"""The callback that shows what a generative model makes."""

import numpy as np
import pytest
from PIL import Image

from astrokeras import applications, callbacks


@pytest.fixture
def x(rng):
    return rng.random((8, 8, 8, 1)).astype("float32")


def test_grid_every_second_epoch_and_at_the_end(x, tmp_path):
    model = applications.gan((8, 8, 1), filters=(4, 8), latent=4)
    model.compile("adam")
    watcher = callbacks.SampleImages(6, every=2, folder=tmp_path / "new", seed=5)
    model.fit(x, epochs=3, callbacks=[watcher], verbose=0)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "samples_epoch_0002.png",
        "samples_epoch_0003.png",
    ]
    np.testing.assert_allclose(watcher.images, model.generate(6, seed=5), atol=1e-6)
    drawn = np.asarray(Image.open(tmp_path / "new" / "samples_epoch_0003.png").convert("L"))
    assert drawn.std() > 5


def test_chain_of_a_diffusion(x, tmp_path):
    model = applications.ddpm((8, 8, 1), steps=20, filters=(8, 16))
    model.compile("adam")
    watcher = callbacks.SampleImages(2, frames=4, folder=tmp_path, sampler="ddim", steps=6)
    model.fit(x, callbacks=[watcher], verbose=0)
    assert watcher.images.shape == (2, 4, 8, 8, 1) and (tmp_path / "samples_epoch_0001.png").is_file()
    np.testing.assert_allclose(watcher.images, model.chain(2, frames=4, sampler="ddim", steps=6), atol=1e-5)


@pytest.mark.parametrize("classes", [None, 3])
def test_reconstructions(x, tmp_path, classes):
    model = applications.autoencoder((8, 8, 1), filters=(4, 8), units=(8,), classes=classes)
    model.compile("adam")
    watcher = callbacks.SampleImages(originals=x[:5], folder=tmp_path)
    model.fit(x, np.arange(8) % 3 if classes else None, callbacks=[watcher], verbose=0)
    rebuilt = model.predict(x[:5], verbose=0)
    np.testing.assert_allclose(watcher.images, rebuilt["image"] if classes else rebuilt, atol=1e-6)
    assert np.asarray(Image.open(tmp_path / "reconstructions_epoch_0001.png").convert("L")).std() > 5


def test_refusals(x):
    with pytest.raises(ValueError, match="every >= 1"):
        callbacks.SampleImages(every=0)
    model = applications.autoencoder((8, 8, 1), filters=(4, 8), units=(8,))
    model.compile()
    with pytest.raises(ValueError, match=r"model with generate\(\)"):
        model.fit(x, callbacks=[callbacks.SampleImages()], verbose=0)
