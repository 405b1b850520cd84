"""What a U-Net learns on simulated galaxies, with its shortcuts and without: masks, and images without noise.

python benchmarks/unet.py [--train 3000] [--epochs 6]

Images of 32 pixels of `datasets.simulated_galaxies` without noise, their channels averaged, are the truth; Gaussian
noise of 0.1 of the full range is added. A pixel belongs to the object where it is brighter than the sky by
0.05. Both networks are judged on 500 other images.
"""

import argparse

import keras
import numpy as np
from machine import write

import astrokeras
from astrokeras import applications, datasets

NOISE, OBJECT, TEST = 0.1, 0.05, 500


def galaxies(train: int) -> tuple[np.ndarray, np.ndarray]:
    (x, _), (test, _) = datasets.simulated_galaxies(train, TEST, size=32, noise=0.0, seed=0)
    return tuple(images.mean(axis=-1, keepdims=True, dtype="float32") / 255 for images in (x, test))


def masks(clean: np.ndarray) -> np.ndarray:
    sky = np.median(clean, axis=(1, 2, 3), keepdims=True)
    return (clean > sky + OBJECT).astype("float32")


def psnr(images: np.ndarray, clean: np.ndarray) -> float:
    return float(keras.ops.psnr(images, clean, 1.0))


def learn(x, y, epochs: int, shortcuts: bool, activation: str, loss: str) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = applications.unet(
        (32, 32, 1), filters=(16, 32, 64), shortcuts=shortcuts, output_activation=activation, residual=True
    )
    steps = epochs * -(-len(x) // 32)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps, 0.01)), loss)
    model.fit(x, y, batch_size=32, epochs=epochs, verbose=2)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args()
    astrokeras.configure("float32")
    clean, clean_test = galaxies(options.train)
    random = np.random.default_rng(1)
    noisy, noisy_test = (
        images + NOISE * random.standard_normal(images.shape, dtype="float32") for images in (clean, clean_test)
    )
    truth = masks(clean_test) > 0.5
    threshold = np.median(noisy_test, axis=(1, 2, 3), keepdims=True) + OBJECT
    plain = noisy_test > threshold
    before = psnr(noisy_test, clean_test)
    rows = ["| U-Net | IoU of masks | PSNR (dB) | gain (dB) |", "| --- | ---: | ---: | ---: |"]
    rows.append(f"| none: a threshold on the noisy image | {_iou(plain, truth):.3f} | {before:.2f} | |")
    for shortcuts in (True, False):
        found = learn(noisy, masks(clean), options.epochs, shortcuts, "sigmoid", "binary_crossentropy")
        found = found.predict(noisy_test, verbose=0) > 0.5
        rebuilt = learn(noisy, clean, options.epochs, shortcuts, "linear", "mse").predict(noisy_test, verbose=0)
        after = psnr(rebuilt, clean_test)
        name = "with shortcuts" if shortcuts else "without shortcuts"
        rows.append(f"| {name} | {_iou(found, truth):.3f} | {after:.2f} | {after - before:.2f} |")
        print(rows[-1], flush=True)
    command = f"python benchmarks/unet.py --train {options.train} --epochs {options.epochs}"
    print(write("unet", "U-Net on simulated galaxies", command, "\n".join(rows)).read_text())


def _iou(found: np.ndarray, truth: np.ndarray) -> float:
    return float((found & truth).sum() / (found | truth).sum())


if __name__ == "__main__":
    main()
