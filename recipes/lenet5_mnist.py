"""Make the shipped weights "mnist" of lenet5: train on MNIST with augmentation, store in half precision.

python recipes/lenet5_mnist.py [mnist.npz] [--model trained.keras]

Without --model it trains (20 epochs, seed 0). With it, it stores a model that `astrokeras train lenet5 --augment` made.
"""

import argparse
from pathlib import Path

import h5py
import numpy as np

import astrokeras
from astrokeras import training

TARGET = Path(astrokeras.__file__).parent / "applications" / "weights" / "lenet5_mnist.weights.h5"


def store_half(source: Path, target: Path) -> None:
    """Copy a .weights.h5 file with its numbers in float16, compressed; Keras reads it like the original."""
    with h5py.File(source) as full, h5py.File(target, "w") as half:

        def copy(name, item):
            if isinstance(item, h5py.Group):
                group = half.require_group(name)
            else:
                number = np.issubdtype(item.dtype, np.floating)
                values = item[()].astype("float16") if number else item[()]
                packed = {"compression": "gzip", "compression_opts": 9} if item.shape else {}
                group = half.create_dataset(name, data=values, **packed)
            group.attrs.update(item.attrs)

        full.visititems(copy)
        half.attrs.update(full.attrs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?")
    parser.add_argument("--model", type=Path)
    options = parser.parse_args()
    if options.model:
        model = astrokeras.load_model(options.model, compile=False)
    else:
        model = training.train("lenet5", options.data, augment=True, out="lenet5_mnist.keras").model
    TARGET.parent.mkdir(exist_ok=True)
    full = TARGET.with_name("full.weights.h5")
    model.save_weights(full)
    store_half(full, TARGET)
    full.unlink()
    stored = astrokeras.applications.lenet5(weights="mnist")
    x = np.random.default_rng(0).random((256, 28, 28, 1), "float32")
    difference = np.abs(stored.predict(x, verbose=0) - model.predict(x, verbose=0)).max()
    size = TARGET.stat().st_size / 1000
    print(f"{TARGET}: {size:.0f} kB; half precision changes probabilities by at most {difference:.1e}")


if __name__ == "__main__":
    main()
