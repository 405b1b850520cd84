"""What the custom models add to their networks' passes, and how much faster DDIM is than all steps.

python benchmarks/generative_speed.py [--pairs 20] [--quick]

Steps: in turn a training step of each custom model, and plain Keras training steps of the same networks: of encoder and
decoder in one (auto-encoders); of the U-Net on images and noise that lie ready (diffusion); of the discriminator on
real and on made images and of generator and discriminator together (GAN), without the update of the frozen part.
Sampling: 64 images of 32 x 32, 1000 ancestral steps against 50 of DDIM, each compiled before. `--quick` takes 200
ancestral steps of a diffusion of 200 steps, and scales the bound likewise.
"""

import argparse
import statistics
import time

import keras
import numpy as np
from machine import write

import astrokeras
from astrokeras import applications

BATCH = 128


def plain(inputs, outputs) -> keras.Model:
    model = keras.Model(inputs, outputs)
    model.compile("adam", "mse")
    return model


def steps_of() -> dict:
    """Return, by name, a function that makes a step of ours and one that makes those of the networks."""
    rng = np.random.default_rng(0)
    x = rng.random((BATCH, 28, 28, 1)).astype("float32")
    noise, time_of = rng.normal(size=x.shape).astype("float32"), rng.integers(0, 1000, BATCH).astype("float32")
    vector = rng.normal(size=(BATCH, 64)).astype("float32")
    small = {"filters": (8, 16, 32), "units": (256, 128)}
    pairs = {}
    for name in ("autoencoder", "variational_autoencoder", "ddpm", "gan"):
        model = getattr(applications, name)(**(small if name.endswith("encoder") else {}))
        model.compile("adam")
        other = getattr(applications, name)(**(small if name.endswith("encoder") else {}))
        if name.endswith("encoder"):
            image = keras.Input((28, 28, 1))
            code = other.encoder(image)
            code = code if name == "autoencoder" else keras.ops.split(code, 2, axis=-1)[0]
            net = plain(image, other.decoder(code))
            pairs[name] = (_step(model, x, x if name == "autoencoder" else None), _step(net, x, x))
        elif name == "ddpm":
            net = plain(other.network.input, other.network.output)
            pairs[name] = (_step(model, x), _step(net, {"image": x, "time": time_of}, noise))
        else:
            judge = plain(other.discriminator.input, other.discriminator.output)
            third = applications.gan()
            third.discriminator.trainable = False
            latent = keras.Input((64,))
            both = plain(latent, third.discriminator(third.generator(latent)))
            target = np.ones((BATCH, 1), "float32")
            parts = [_step(judge, x, target), _step(judge, x, 0 * target), _step(both, vector, target)]
            pairs[name] = (_step(model, x), lambda parts=parts: [part() for part in parts])
    return pairs


def _step(model: keras.Model, x, y=None):
    return lambda: model.train_on_batch(x, y)


def seconds(function, repeats: int = 1) -> float:
    begun = time.perf_counter()
    for _ in range(repeats):
        function()
    return (time.perf_counter() - begun) / repeats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    astrokeras.configure("float32", seed=0)
    rows = ["| training step of | ours / the networks' passes (median, quartiles) |", "| --- | ---: |"]
    for name, (ours, theirs) in steps_of().items():
        ours(), theirs()
        ratios = []
        for pair in range(options.pairs):
            both = {}
            for side in ((ours, theirs), (theirs, ours))[pair % 2]:
                both[side] = seconds(side, 2)
            ratios.append(both[ours] / both[theirs])
        low, middle, high = statistics.quantiles(ratios, n=4)
        rows.append(f"| {name} | {middle:.2f} ({low:.2f} to {high:.2f}) |")
        print(rows[-1], flush=True)
    total = 200 if options.quick else 1000
    model = applications.ddpm((32, 32, 1), steps=total)
    few, every = ({"sampler": "ddim", "steps": 50}, {})
    model.generate(64, **few), model.generate(64, steps=2)
    once = seconds(lambda: model.generate(64, **every))
    fast = statistics.median(seconds(lambda: model.generate(64, **few)) for _ in range(3))
    bound = 0.8 * total / 50
    body = "\n".join(rows) + (
        f"\n\n64 images of 32 x 32: 50 steps of DDIM are {once / fast:.1f} times as fast as {total} ancestral "
        f"steps (asked: at least {bound:.1f})."
    )
    command = f"python benchmarks/generative_speed.py --pairs {options.pairs}" + " --quick" * options.quick
    print(write("generative-speed", "Steps and samplers of the generative models", command, body).read_text())


if __name__ == "__main__":
    main()
