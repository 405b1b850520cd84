"""Train and store the shipped weights "mnist" of autoencoder, variational_autoencoder, gan and ddpm.

python recipes/mnist_generative.py autoencoder mnist.npz [--epochs N] [--scratch FOLDER]

Trains on the 60 000 training images alone, in 0..1, without augmentation. A stopped run goes on from its last epoch
when it is started again with the same scratch folder, where the trained `.keras` file is left as well. The weights are
stored in half precision in astrokeras/applications/weights/. Those of the auto-encoder that ship were stopped after 9
of its 15 epochs.
"""

import argparse
import math
from pathlib import Path

import keras
import numpy as np
from lenet5_mnist import store_half

import astrokeras
from astrokeras import applications
from astrokeras.applications.autoencoder import SMALL_FILTERS, SMALL_UNITS

WEIGHTS = Path(astrokeras.__file__).parent / "applications" / "weights"
EPOCHS = {"autoencoder": 15, "variational_autoencoder": 8, "gan": 10, "ddpm": 20}
BATCH = {"autoencoder": 128, "variational_autoencoder": 128, "gan": 128, "ddpm": 64}


def build(name: str) -> keras.Model:
    sizes = {"filters": SMALL_FILTERS, "units": SMALL_UNITS} if name.endswith("autoencoder") else {}
    return getattr(applications, name)(**sizes)


def optimizer(name: str, steps: int) -> keras.optimizers.Optimizer:
    if name == "gan":
        return keras.optimizers.Adam(2e-4, beta_1=0.5)
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3 if name == "ddpm" else 1e-3, steps, 0.01))


def store(name: str, trained: keras.Model) -> None:
    """Write the weights of a new model, which has no optimizer, in half precision; say what that changes."""
    model = build(name)
    model.set_weights(trained.get_weights())
    full, target = WEIGHTS / "full.weights.h5", WEIGHTS / f"{name}_mnist.weights.h5"
    model.save_weights(full)
    store_half(full, target)
    full.unlink()
    print(f"{target}: {target.stat().st_size / 1000:.0f} kB, {model.count_params()} parameters")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=EPOCHS)
    parser.add_argument("data", help="mnist.npz")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--trained", type=Path, help="store this .keras file of an earlier run; train nothing")
    parser.add_argument("--scratch", type=Path, default=Path("mnist_generative"))
    parser.add_argument("--precision", default="float32")
    options = parser.parse_args()
    if options.trained:
        return store(options.model, astrokeras.load_model(options.trained, compile=False))
    epochs, batch = options.epochs or EPOCHS[options.model], BATCH[options.model]
    options.scratch.mkdir(parents=True, exist_ok=True)
    astrokeras.configure(options.precision, seed=0)
    (images, _), _ = astrokeras.datasets.mnist(options.data)
    images = images.astype("float32") / 255
    model = build(options.model)
    model.compile(optimizer(options.model, epochs * math.ceil(len(images) / batch)))
    backup = keras.callbacks.BackupAndRestore(options.scratch / f"{options.model}_backup")
    model.fit(images, batch_size=batch, epochs=epochs, verbose=2, callbacks=[backup])
    astrokeras.save_model(model, options.scratch / f"{options.model}.keras")
    store(options.model, model)
    if isinstance(model, astrokeras.models.Autoencoder):
        error = np.mean((model.predict(images[:10_000], verbose=0) - images[:10_000]) ** 2)
        print(f"mean squared error of 10 000 training images: {error:.4f}")


if __name__ == "__main__":
    main()
