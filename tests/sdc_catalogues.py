"""Random truths and submissions of SDC1 and SDC2, crowded and with everything that the official package trips over.

`python -m tests.sdc_catalogues PYTHON` records tests/data/sdc_scores.json with the package of that environment.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def sdc1_case(rng, count=200, rough=True):
    """Return a case of SDC1: sources in clumps around the training area, found with errors, twice, wrongly, or not."""
    clumps = np.stack([rng.uniform(-1.0, 0.4, count // 4), rng.uniform(-30.1, -29.3, count // 4)])
    ra, dec = clumps[:, rng.integers(0, count // 4, count)] + rng.normal(0, 1.2 / 3600, (2, count))
    core = rng.normal(0, 0.3 / 3600, (2, count))
    size = rng.integers(1, 4, count)
    b_maj = rng.lognormal(0.3, 0.9, count)
    truth = {
        "id": rng.permutation(count) + 1000,
        "ra_core": ra + core[0],
        "dec_core": dec + core[1],
        "ra_cent": ra,
        "dec_cent": dec,
        "flux": rng.lognormal(-12, 1.5, count),
        "core_frac": np.where(size == 1, rng.random(count), 0.0),
        "b_maj": b_maj,
        "b_min": b_maj * rng.uniform(0.2, 1, count),
        "pa": rng.uniform(-180, 360, count),
        "size": size,
        "class": np.where(size == 3, 3, rng.integers(1, 3, count)),
    }
    rows = np.concatenate([rng.permutation(count)[: 3 * count // 4], rng.integers(0, count, count // 4)])
    found = {name: values[rows].copy() for name, values in truth.items()}
    n = len(rows)
    found["id"] = rng.permutation(n)
    error = rng.choice([0.0, 0.05, 0.3, 1.5], n, p=[0.1, 0.4, 0.4, 0.1])
    for name in ("ra_core", "ra_cent", "dec_core", "dec_cent"):
        found[name] += error * rng.normal(0, 1.0 / 3600, n)
    for name in ("flux", "b_maj", "b_min"):
        found[name] *= np.exp(error * rng.normal(0, 1, n))
    found["pa"] += 60 * error * rng.normal(0, 1, n)
    found["core_frac"] += error * rng.uniform(0, 0.2, n)
    for name, kinds in (("size", 4), ("class", 4)):
        wrong = rng.random(n) < 0.2
        found[name][wrong] = rng.integers(1, kinds, wrong.sum())
    astray = rng.random(n) < 0.1
    found["dec_core"][astray] += 0.01
    found["dec_cent"][astray] += 0.01
    if rough:
        for name in ("ra_core", "ra_cent"):
            found[name][found[name] < 0] += 360
        for name in ("flux", "b_min", "core_frac"):
            found[name][rng.integers(0, n, 3)] *= -1
            found[name][rng.integers(0, n, 3)] = 0
        found["b_maj"][rng.integers(0, n, 3)] = np.nan
        found["id"][rng.integers(0, n, 10)] = found["id"][rng.integers(0, n, 10)]
        found["size"][rng.integers(0, n, 2)] = 4
        truth["b_min"][rng.integers(0, count, 4)] = 0
        truth["pa"][rng.integers(0, count, 4)] = np.nan
    frequency = int(rng.choice([560, 1400, 9200]))
    train = frequency == 560 and bool(
        rng.random() < 0.5
    )  # the smaller areas may hold nothing, which the package refuses
    case = {"challenge": "SDC1", "frequency": frequency, "mode": int(rng.integers(0, 2)), "train": train}
    return case | {"submission": _plain(found), "truth": _plain(truth)}


def sdc2_case(rng, count=150, rough=True):
    """Return a case of SDC2: galaxies in clumps on the sky and in frequency, found with errors, twice, or not."""
    clumps = np.stack([rng.uniform(179, 181, count // 4), rng.uniform(-31, -29, count // 4), rng.random(count // 4)])
    ra, dec, depth = clumps[:, rng.integers(0, count // 4, count)]
    truth = {
        "id": rng.permutation(count) + 500,
        "ra": ra + rng.normal(0, 4 / 3600, count),
        "dec": dec + rng.normal(0, 4 / 3600, count),
        "hi_size": rng.lognormal(2, 0.6, count),
        "line_flux_integral": rng.lognormal(3.5, 1, count),
        "central_freq": 0.945e9 + 0.21e9 * depth + rng.normal(0, 3e5, count),
        "pa": rng.uniform(0, 360, count),
        "i": rng.uniform(0, 90, count),
        "w20": rng.lognormal(5.3, 0.5, count),
    }
    rows = np.concatenate([rng.permutation(count)[: 3 * count // 4], rng.integers(0, count, count // 2)])
    found = {name: values[rows].copy() for name, values in truth.items()}
    n = len(rows)
    found["id"] = rng.permutation(n)
    error = rng.choice([0.0, 0.05, 0.3, 1.5], n, p=[0.1, 0.4, 0.4, 0.1])
    for name in ("ra", "dec"):
        found[name] += error * rng.normal(0, 6 / 3600, n)
    found["central_freq"] += error * rng.normal(0, 8e5, n)
    for name in ("hi_size", "line_flux_integral", "w20"):
        found[name] *= np.exp(error * rng.normal(0, 1, n))
    for name in ("pa", "i"):
        found[name] += 60 * error * rng.normal(0, 1, n)
    found["line_flux_integral"][rng.random(n) < 0.05] *= 8
    if rough:
        found["id"][rng.integers(0, n, 8)] = found["id"][rng.integers(0, n, 8)]
        found["w20"][rng.integers(0, n, 3)] = 0
        truth["hi_size"][rng.integers(0, count, 3)] = 0
    return {"challenge": "SDC2", "submission": _plain(found), "truth": _plain(truth)}


def _plain(table):
    """Return lists of rounded numbers, so that a table in a file is the table that was scored."""
    exact = ("ra", "dec", "central_freq")
    return {
        name: [float(f"{value:.{10 if name.startswith(exact) else 6}g}") for value in values]
        for name, values in table.items()
    }


def official_scores(python, cases):
    """Return what the official package of an environment makes of the cases."""
    run = subprocess.run(
        [python, str(HERE / "ska_sdc_witness.py")], input=json.dumps(cases), capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads(run.stdout)


def record(python):
    """Write small cases with the official results, the last two without any match."""
    rng = np.random.default_rng(2026)
    cases = [sdc1_case(rng, 60, number % 2 == 0) for number in range(6)]
    for number, case in enumerate(cases):
        case |= {"frequency": 560, "mode": number % 2, "train": number == 4}
    cases += [sdc2_case(rng, 60, number % 2 == 0) for number in range(4)]
    for case in (cases[1], cases[7]):
        few = {name: values[:5] for name, values in case["submission"].items()}
        few |= {name: [value + 0.5 for value in few[name]] for name in few if name.startswith("dec")}
        cases.append(case | {"submission": few})
    for case, official in zip(cases, official_scores(python, cases), strict=True):
        case["official"] = official
    (HERE / "data" / "sdc_scores.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    record(sys.argv[1])
