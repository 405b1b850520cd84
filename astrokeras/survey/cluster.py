"""A scan on the workers of a Dask cluster."""

import functools
import pickle
import uuid
from collections.abc import Iterable, Iterator

from astrokeras.survey.scan import Found, Scan

RETRIES = 3  # of a batch that failed
_sent: dict[str, bytes] = {}  # on a worker: scans by key


def run_on(client, scan: Scan, batches: Iterable[list[int]]) -> Iterator[list[Found]]:
    """Yield what each batch finds, as the workers finish them.

    The scan, model included, goes once to each worker, also to one that joins later or starts again. Batches of a
    worker that dies go to others.

    Args:
        client: `dask.distributed.Client`.
        scan: to do; its image is a file that all workers see, or an array, which is sent.
        batches: of `Scan.batches`.
    """
    from distributed import WorkerPlugin, as_completed

    class Sender(WorkerPlugin):
        """Puts the scan where the tasks look for it."""

        def __init__(self, key: str, scan: bytes):
            self.name, self.key, self.scan = key, key, scan

        def setup(self, worker) -> None:
            from astrokeras.survey import cluster

            cluster._sent[self.key] = self.scan

        def teardown(self, worker) -> None:
            from astrokeras.survey import cluster

            cluster._sent.pop(self.key, None)

    key = f"astrokeras-scan-{uuid.uuid4().hex[:12]}"
    client.register_plugin(Sender(key, pickle.dumps(scan)))
    upcoming, futures = iter(batches), as_completed()
    try:
        ahead = 2 * max(2, sum(client.nthreads().values()))

        def submit_next() -> None:
            for numbers in upcoming:
                name = f"{key}-{numbers[0]}"
                futures.add(client.submit(_do, key, numbers, key=name, retries=RETRIES, pure=False))
                return

        for _ in range(ahead):
            submit_next()
        for future in futures:
            submit_next()
            yield future.result()
    finally:
        client.cancel(list(futures.futures))
        client.unregister_worker_plugin(key)


def _do(key: str, numbers: list[int]) -> list[Found]:
    return _scan(key)(numbers)


@functools.lru_cache(maxsize=2)
def _scan(key: str) -> Scan:
    """Return the scan, unpacked once in each process."""
    return pickle.loads(_sent[key])
