"""How much of what the machine can multiply the networks reach, in one process, in turn.

    python benchmarks/limits.py [--rounds 15] [--batch 16] [--precision float32] [--dry-run]

The limits are measured: a chain of matrix products of 2048 x 2048, and a chain of convolutions 3x3 from 256 to 256
channels on maps of 36 x 36, batch 16, both without bias and activation. Then inference of three networks at batch 16,
with their own activation (a leaky ReLU that saturates) and with plain ReLU in its place, which the backend can fuse
with the convolution. A multiply-add counts as two operations; those of `astrokeras.cost`. Inputs lie on the device.
The share is the median over the rounds of network / convolution of the same round.
"""

import argparse
import statistics
import time

import keras
import numpy as np
from machine import write

import astrokeras
from astrokeras import applications

NETWORKS = {
    "yolo_voc": (applications.yolo_voc, 288),
    "voc_cutout_classifier": (applications.voc_cutout_classifier, 128),
    "darknet19": (applications.darknet19, 448),
}


def gemm(size: int, depth: int) -> keras.Model:
    products = [keras.layers.Dense(size, use_bias=False) for _ in range(depth)]
    return keras.Sequential([keras.Input((size,)), *products, keras.layers.Dense(1)])


def convolutions(side: int, depth: int) -> keras.Model:
    layers = [keras.layers.Conv2D(256, 3, padding="same", use_bias=False) for _ in range(depth)]
    return keras.Sequential([keras.Input((side, side, 256)), *layers, keras.layers.GlobalAveragePooling2D()])


def with_relu(model: keras.Model) -> keras.Model:
    """Return a copy in which ReLU stands for the course's activation."""

    def copied(layer):
        config = layer.get_config()
        if getattr(getattr(layer, "activation", None), "__name__", "") == "relu_leaky":
            config["activation"] = "relu"
        return type(layer).from_config(config)

    return keras.models.clone_model(model, clone_function=copied)


def rate(model: keras.Model, x) -> float:
    """Return operations a second of one call."""
    begun = time.perf_counter()
    model.predict_on_batch(x)
    return 2 * multiply_adds(model) * len(x) / (time.perf_counter() - begun)


def multiply_adds(model: keras.Model, known={}) -> int:  # noqa: B006  (remembers)
    if model not in known:
        known[model] = astrokeras.cost(model).multiply_adds
    return known[model]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--depth", type=int, help="products in a chain: 4, or 32 on a GPU")
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--dry-run", action="store_true", help="small sizes, 2 rounds, nothing written")
    options = parser.parse_args()
    dry = options.dry_run
    rounds, batch = (2, 2) if dry else (options.rounds, options.batch)
    depth = options.depth or (32 if astrokeras.backend.has_gpu() else 4)
    astrokeras.configure(options.precision, seed=0)
    rng = np.random.default_rng(0)

    limits = {
        "limit: matrix products": (gemm(256 if dry else 2048, depth), 256 if dry else 2048),
        "limit: convolutions": (convolutions(12 if dry else 36, depth), batch),
    }
    cases = {
        name: (model, rng.standard_normal((n, *model.input_shape[1:]), "float32"))
        for name, (model, n) in limits.items()
    }
    for name in options.networks.split(","):
        build, side = NETWORKS[name]
        built = build((64, 64, 3) if dry else (side, side, 3))
        plain = keras.Model(built.inputs[0], built.outputs[0], name=name)
        x = 255 * rng.random((batch, *plain.input_shape[1:]), "float32")
        cases[f"{name}, its activation"] = plain, x
        cases[f"{name}, ReLU"] = with_relu(plain), x
    cases = {name: (model, keras.ops.convert_to_tensor(x)) for name, (model, x) in cases.items()}
    for model, x in cases.values():
        for _ in range(2):  # compilation
            rate(model, x)
    found = {name: [] for name in cases}
    for turn in range(rounds):
        for name in list(cases)[:: 1 if turn % 2 else -1]:
            found[name].append(rate(*cases[name]))

    peak = found["limit: convolutions"]
    rows = ["| what | multiply-adds of an example | ms a batch | GFLOP/s | share of the convolutions |"]
    rows.append("| --- | ---: | ---: | ---: | ---: |")
    for name, rates in found.items():
        model, x = cases[name]
        speed = statistics.median(rates)
        adds = multiply_adds(model)
        share = statistics.median(a / b for a, b in zip(rates, peak, strict=True))
        rows.append(f"| {name} | {adds:.3g} | {2e3 * adds * len(x) / speed:.1f} | {speed / 1e9:.0f} | {share:.0%} |")
    note = f"\n{rounds} rounds, batch {batch}, chains of {depth}, {options.precision}; medians."
    table = "\n".join([*rows, note])
    print(table)
    if not dry:
        command = f"python benchmarks/limits.py --rounds {rounds} --batch {batch} --depth {depth} "
        command += f"--networks {options.networks} --precision {options.precision}"
        print("written:", write(f"limits-{options.precision}", "Share of the machine's limit", command, table))


if __name__ == "__main__":
    main()
