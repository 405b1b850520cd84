"""How the time of greedy suppression grows with the number of boxes.

python benchmarks/suppression.py [--rounds 11]

Detections of point sources: small boxes, 2 of each source on average, one source on 768 square pixels (the 340 objects
of the densest tiles of 512 x 512 pixels in SDC1), in random order. Interleaved rounds; processor time, which for this
code of one thread is the time that passes on a machine with nothing else to do.
"""

import argparse
import resource
import statistics
import time

import numpy as np
from machine import write

from astrokeras.boxes import suppress

COUNTS = (10_000, 100_000, 1_000_000)
AREA = 768  # square pixels of sky for each source


def detections(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes `(count, 4)` and scores: each box is drawn around a random one of `count / 2` sources."""
    rng = np.random.default_rng(0)
    centers = rng.uniform(0, (count / 2 * AREA) ** 0.5, (count // 2, 2))
    sizes = rng.uniform(6, 12, (count // 2, 2))
    source = rng.integers(0, count // 2, count)
    center = centers[source] + rng.normal(0, 0.5, (count, 2))
    size = sizes[source] * rng.uniform(0.9, 1.1, (count, 2))
    boxes = np.concatenate([center - size / 2, center + size / 2], axis=1)
    return boxes.astype("float32"), rng.random(count).astype("float32")


def seconds(boxes, scores) -> tuple[float, int]:
    start = time.process_time()
    kept = suppress(boxes, scores, threshold=0.3)
    return time.process_time() - start, len(kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    lists = {count: detections(count) for count in COUNTS}
    for count in COUNTS:
        seconds(*lists[count])  # warm up
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = [{count: seconds(*lists[count]) for count in COUNTS} for _ in range(options.rounds)]
    rows = ["| boxes | kept | seconds of processor time (median) |", "| ---: | ---: | ---: |"]
    for count in COUNTS:
        median = statistics.median(times[count][0] for times in found)
        rows.append(f"| {count} | {found[0][count][1]} | {median:.4f} |")
    for small, large in zip(COUNTS, COUNTS[1:], strict=False):
        ratio = statistics.median(times[large][0] / times[small][0] for times in found)
        rows.append(f"\n{large} boxes take {ratio:.1f} times as long as {small} (median of {options.rounds} rounds).")
    rows.append(f"\nGreatest memory of the process: {before // 1024} MiB.")
    command = f"python benchmarks/suppression.py --rounds {options.rounds}"
    print(write("suppression", "Greedy suppression of duplicate boxes", command, "\n".join(rows)).read_text())


if __name__ == "__main__":
    main()
