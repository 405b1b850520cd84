"""What a scan costs beside its network: memory, time, and workers of a Dask cluster.

python benchmarks/survey_scan.py [--scratch FOLDER] [--parts memory,dask]

A light detector (that of `astrokeras demo`, 0.28 million parameters, tiles of 512 pixels with an overlap of 32) scans
float32 FITS files of noise; its score threshold is such that 50 boxes in a tile of 512 pixels are decoded and
suppressed. The files are made in the scratch folder (1.3 GB).

memory: in a process for each size, the largest memory that it held in its first scan (VmHWM), and the time of a scan
against that of the same number of calls of the network on tiles that are in memory already, in turn in one process.
Loading the detector and its first call are in the time of the scan.

dask: one and two workers against one and two plain processes that run the same number of calls of the network on tiles
in memory, in turn in one run. Each of them has one core to itself and one thread of TensorFlow. A scan of a smaller
file goes first, so that no worker starts TensorFlow in the measured time.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

TILE, OVERLAP, BATCH = 512, 32, 4
DETECTIONS = 50  # in a tile, before the suppression
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}


def make_image(folder: Path, size: int) -> Path:
    """Write noise as FITS, strip after strip."""
    from astropy.io import fits

    path = folder / f"noise_{size}.fits"
    if path.exists() and path.stat().st_size >= 4 * size**2:
        return path
    header = fits.Header({"SIMPLE": True, "BITPIX": -32, "NAXIS": 2, "NAXIS1": size, "NAXIS2": size})
    header.update({"CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN", "CRVAL2": -30.0, "CDELT1": -1.7e-4, "CDELT2": 1.7e-4})
    rng = np.random.default_rng(0)
    with fits.StreamingHDU(str(path), header) as file:
        for _ in range(size // 256):
            file.write(rng.normal(0, 2.6e-7, (256, size)).astype("float32"))
    return path


def make_detector(folder: Path) -> Path:
    """Save the detector with the threshold that lets so many boxes through."""
    import keras

    import astrokeras
    from astrokeras.demo import build

    keras.utils.set_random_seed(0)
    model = build(TILE)
    tile = np.random.default_rng(1).normal(0, 2.6e-7, (1, TILE, TILE, 1)).astype("float32")
    scores = np.sort(model.predict(tile, verbose=0).reshape(-1, len(model.settings.priors), 13)[..., 7].ravel())
    model.score_threshold = float(scores[-DETECTIONS])
    return astrokeras.save_model(model, folder / "light.keras")


def forward_seconds(model: Path, calls: int) -> float:
    """Time so many calls of the network on a batch in memory, the first one apart."""
    import astrokeras

    network = astrokeras.load_model(model, compile=False)
    batch = np.random.default_rng(2).normal(0, 2.6e-7, (BATCH, TILE, TILE, 1)).astype("float32")
    network.predict_on_batch(batch)
    begun = time.perf_counter()
    for _ in range(calls):
        network.predict_on_batch(batch)
    return time.perf_counter() - begun


def scan(image: Path, model: Path, engine="local") -> tuple[float, int, int]:
    """Return the seconds of a scan, the calls of the network, and the number of detections."""
    from astrokeras import survey

    begun = time.perf_counter()
    table = survey.detect(image, model, tile=TILE, overlap=OVERLAP, batch_size=BATCH, engine=engine)
    return time.perf_counter() - begun, -(-table.meta["tiles"] // BATCH), len(table)


def peak_mebibytes() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def child(arguments: list[str], threads: dict | None = None) -> subprocess.Popen:
    command = [sys.executable, __file__, "--child", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | (threads or {}))


def answer(process: subprocess.Popen) -> dict:
    out, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"a process of the benchmark failed with {process.returncode}")
    return json.loads(out.strip().splitlines()[-1])


def pin(core: int) -> None:
    """Keep all threads of this process, and those to come, on one core."""
    for thread in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(thread), {core})


def run_child(kind: str, *arguments: str) -> None:
    if kind == "scan":
        image, model, rounds = Path(arguments[0]), Path(arguments[1]), int(arguments[2])
        scan(make_image(image.parent, 1024), model)  # starts TensorFlow
        result = {"seconds": [], "plain": []}
        for _ in range(rounds):
            seconds, calls, found = scan(image, model)
            result.setdefault("peak", peak_mebibytes())
            result["seconds"].append(seconds)
            result["plain"].append(forward_seconds(model, calls))
        result |= {"calls": calls, "found": found}
    else:  # wait for the others, then run the network
        model, calls, start, core = Path(arguments[0]), int(arguments[1]), Path(arguments[2]), int(arguments[3])
        pin(core)
        forward_seconds(model, 1)
        start.with_name(f"{start.name}.{os.getpid()}").touch()
        while not start.exists():
            time.sleep(0.01)
        result = {"seconds": forward_seconds(model, calls)}
    print(json.dumps(result))


def memory(folder: Path, model: Path, rounds: int) -> str:
    rows = ["| image | MB | VmHWM (MiB) | scan (s) | network alone (s) | outside the network | detections |"]
    rows.append("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    peaks = []
    for size in (8192, 16384):
        image = make_image(folder, size)
        got = answer(child(["scan", image, model, rounds]))
        peaks.append(got["peak"])
        shares = [1 - plain / seconds for plain, seconds in zip(got["plain"], got["seconds"], strict=True)]
        rows.append(
            f"| {size} x {size} | {4 * size**2 / 1e6:.0f} | {got['peak']:.0f} | "
            f"{statistics.median(got['seconds']):.1f} | {statistics.median(got['plain']):.1f} | "
            f"{statistics.median(shares):.1%} ({min(shares):.1%} to {max(shares):.1%}) | {got['found']} |"
        )
    rows.append(f"\nMedians of {rounds} rounds. The larger image takes {peaks[1] / peaks[0] - 1:+.1%} of memory.")
    return "\n".join(rows)


def plain_processes(folder: Path, model: Path, count: int, calls: int) -> float:
    """Return the seconds of so many processes that run the network at once, each its share of the calls."""
    start = folder / f"start-{time.time_ns()}"
    processes = [child(["forward", model, calls // count, start, core], ONE_THREAD) for core in range(count)]
    while len(list(folder.glob(f"{start.name}.*"))) < count:
        time.sleep(0.05)
    start.touch()
    seconds = max(answer(process)["seconds"] for process in processes)
    for path in folder.glob(f"{start.name}*"):
        path.unlink()
    return seconds


def dask_workers(image: Path, warm: Path, model: Path, count: int) -> tuple[float, int]:
    """Return the seconds of a scan on so many workers, and the calls of the network."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        for core, worker in enumerate(client.scheduler_info(n_workers=-1)["workers"]):
            client.run(pin, core, workers=[worker])
        scan(warm, model, client)
        return scan(image, model, client)[:2]


def dask(folder: Path, model: Path, rounds: int) -> str:
    image, warm = make_image(folder, 8192), make_image(folder, 1024)
    os.environ |= ONE_THREAD
    times = {name: [] for name in ("plain 1", "plain 2", "dask 1", "dask 2")}
    for _ in range(rounds):
        for count in (1, 2):
            seconds, calls = dask_workers(image, warm, model, count)
            times[f"dask {count}"].append(seconds)
            times[f"plain {count}"].append(plain_processes(folder, model, count, calls))
            print(f"{count}: Dask {seconds:.1f} s, plain {times[f'plain {count}'][-1]:.1f} s", file=sys.stderr)
    rows = ["| | one (s) | two (s) | speed-up |", "| --- | ---: | ---: | ---: |"]
    gains = {}
    for kind, what in (("plain", "plain processes, network alone"), ("dask", "Dask workers, whole scan")):
        pairs = list(zip(times[f"{kind} 1"], times[f"{kind} 2"], strict=True))
        gains[kind] = [one / two for one, two in pairs]
        one, two = (statistics.median(column) for column in zip(*pairs, strict=True))
        rows.append(f"| {what} | {one:.1f} | {two:.1f} | {statistics.median(gains[kind]):.2f} |")
    share = statistics.median(ours / theirs for ours, theirs in zip(gains["dask"], gains["plain"], strict=True))
    rows.append(f"\nTwo Dask workers reach {share:.2f} of the speed-up of two plain processes (median of {rounds}).")
    return "\n".join(rows)


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        return run_child(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scratch", type=Path, default=Path("survey_scan"))
    parser.add_argument("--parts", default="memory,dask")
    parser.add_argument("--rounds", type=int, default=3, help="of each part")
    options = parser.parse_args()
    options.scratch.mkdir(parents=True, exist_ok=True)
    model = make_detector(options.scratch)
    parts = []
    if "memory" in options.parts:
        parts.append(memory(options.scratch, model, options.rounds))
    if "dask" in options.parts:
        parts.append(dask(options.scratch, model, options.rounds))
    from machine import write

    command = f"python benchmarks/survey_scan.py --parts {options.parts} --rounds {options.rounds}"
    print(write("survey-scan", "Scanning a survey", command, "\n\n".join(parts)).read_text())


if __name__ == "__main__":
    main()
