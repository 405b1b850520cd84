"""Where the time of a network goes: each layer by itself, forward, in the compiled `predict` of the backend.

    python benchmarks/layer_times.py [--networks yolo_voc darknet19] [--precision float32] [--dry-run]

A layer is timed on random input of its own shape, so what a compiler would do across layers is not seen; the sum of the
layers beside the time of the whole network says how much that is. Medians of rounds that go through all layers.
"""

import argparse
import statistics
import time

import keras
import numpy as np
from machine import write

import astrokeras
from astrokeras import applications

CASES = {  # input shape, batch
    "lenet5": ((28, 28, 1), 256),
    "asirra_cnn": ((128, 128, 3), 16),
    "cifar10_cnn": ((32, 32, 3), 64),
    "stellar_spectra_cnn": ((3776, 1), 64),
    "molecular_spectra_cnn": ((35000, 3), 16),
    "darknet19": ((224, 224, 3), 8),
    "galaxy_zoo2": ((64, 64, 3), 32),
    "voc_cutout_classifier": ((128, 128, 3), 16),
    "resnet": ((32, 32, 3), 64),
    "yolo_voc": ((288, 288, 3), 4),
    "yolo_sdc1": ((256, 256, 1), 4),
    "unet": ((64, 64, 1), 16),
}
SHOWN = 5  # layers of each network in the table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--networks", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--dry-run", action="store_true", help="one round of lenet5; writes nothing")
    options = parser.parse_args()
    astrokeras.configure(options.precision, seed=0)
    rows = [
        "| network | layer | output | share of the layers' time | billion multiply-adds a second |",
        "| --- | --- | --- | ---: | ---: |",
    ]
    for name in ["lenet5"] if options.dry_run else options.networks:
        found = profile(name, 1 if options.dry_run else options.rounds)
        print("\n".join(found), flush=True)
        rows += found
    if not options.dry_run:
        command = f"python benchmarks/layer_times.py --rounds {options.rounds} --precision {options.precision}"
        if options.networks != list(CASES):
            command += " --networks " + " ".join(options.networks)
        note = f"\nThe {SHOWN} slowest layers of each network; medians of {options.rounds} rounds, {options.precision}."
        print(write("layer-times", "Where the time of inference goes", command, "\n".join([*rows, note])))


def profile(name: str, rounds: int) -> list[str]:
    """Return the rows of a network: first the whole, then its slowest layers."""
    shape, batch = CASES[name]
    model = getattr(applications, name)(shape)
    adds = {layer.name: layer.multiply_adds for layer in astrokeras.cost(model).layers}
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    parts = {layer.name: keras.Model(layer.input, layer.output) for layer in layers} | {"": model}
    rng = np.random.default_rng(0)
    inputs = {part: _random(rng, network, batch) for part, network in parts.items()}
    times = {part: [] for part in parts}
    for turn in range(-1, rounds):  # the first one compiles
        for part, network in parts.items():
            start = time.perf_counter()
            network.predict_on_batch(inputs[part])
            if turn >= 0:
                times[part].append(time.perf_counter() - start)
    medians = {part: statistics.median(values) for part, values in times.items()}
    whole = medians.pop("")
    total = sum(medians.values())
    summed = f"layers one by one take {total / whole:.2f} of it"
    shown = " x ".join(map(str, shape))
    rate = sum(adds.values()) * batch / whole / 1e9
    rows = [f"| **{name}** {shown}, batch {batch} | the whole; {summed} | | 100 % | {rate:.1f} |"]
    for part in sorted(medians, key=medians.get, reverse=True)[:SHOWN]:
        count, seconds = adds.get(part, 0), medians[part]
        speed = f"{count * batch / seconds / 1e9:.1f}" if count else ""
        output = " x ".join(map(str, parts[part].output_shape[1:]))
        rows.append(f"| | {part} | {output} | {seconds / total:.0%} | {speed} |".replace("%", " %"))
    return rows


def _random(rng: np.random.Generator, network: keras.Model, batch: int):
    found = [rng.random((batch, *one.shape[1:]), "float32") for one in network.inputs]
    return found if len(found) > 1 else found[0]


if __name__ == "__main__":
    main()
