"""The work of a scan on one batch of tiles: read, predict, decode; and how it is done on one machine."""

import hashlib
import itertools
import json
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np

from astrokeras import saving
from astrokeras.detections import Detections
from astrokeras.models import YoloDetector
from astrokeras.survey.image import SurveyImage
from astrokeras.survey.missing import fill_missing, mostly_missing
from astrokeras.survey.tiles import Tiling

PADDINGS = ("reflect", "zero", "median", "noise")
AHEAD = 2  # batches that are read while one is predicted
Found = tuple[int, Detections, int]  # tile, its detections in pixels of the image, its own pixels without a value


@dataclass
class Scan:
    """What is to be done with each tile of an image; it travels to other processes, the model as a `.keras` file.

    Attributes:
        image: to scan.
        model: of the size of a tile.
        tiling: of the image.
        batch_size: tiles that the network sees at once.
        score_threshold: as of `YoloDetector.detect`.
        nms_threshold: likewise, inside a tile.
        nan_policy: as of `fill_missing`.
        padding: one of `PADDINGS`, what stands beyond the edges of the image.
        scale: `(z,)` by which channels are divided, or `None`.
        mask: `(y, x)` pixels that are set to 0, or `None`.
    """

    image: SurveyImage
    model: YoloDetector
    tiling: Tiling
    batch_size: int
    score_threshold: object
    nms_threshold: object
    nan_policy: str
    padding: str
    scale: np.ndarray | None
    mask: np.ndarray | None

    def __post_init__(self) -> None:
        """Prepare for threads."""
        self._lock = threading.Lock()

    def __getstate__(self) -> dict:
        """Return what is pickled."""
        state = {name: value for name, value in vars(self).items() if name != "_lock"}
        with tempfile.TemporaryDirectory() as folder:
            path = saving.save_model(self.model, Path(folder) / "model.keras")
            return state | {"model": path.read_bytes()}

    def __setstate__(self, state: dict) -> None:
        """Load the model."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.keras"
            path.write_bytes(state["model"])
            vars(self).update(state, model=saving.load_model(path, compile=False))
        self.__post_init__()

    def batches(self, done: Iterable[int] = ()) -> list[list[int]]:
        """Return the numbers of the tiles of each batch that is not all done; a batch is always of the same tiles."""
        done, count = set(done), len(self.tiling)
        every = (range(low, min(low + self.batch_size, count)) for low in range(0, count, self.batch_size))
        return [list(numbers) for numbers in every if not done.issuperset(numbers)]

    def read(self, numbers: list[int]) -> tuple[np.ndarray, list[np.ndarray | None]]:
        """Return the tiles `(batch_size, [z,] y, x, 1)` and where each has no value (`None`: nowhere)."""
        images = np.zeros((self.batch_size, *self.tiling.tile, 1), "float32")
        masks = []
        for row, number in enumerate(numbers):
            images[row, ..., 0], missing = self._tile(number)
            masks.append(missing)
        return images, masks

    def predict(self, images: np.ndarray, masks: list[np.ndarray | None]) -> np.ndarray | None:
        """Return what the network says; `None` where no tile has a pixel with a value."""
        if all(missing is not None and missing.all() for missing in masks):
            return None
        with self._lock:  # one at a time: the network uses all cores
            return self.model.predict_on_batch(images)

    def finish(self, numbers: list[int], masks: list[np.ndarray | None], outputs: np.ndarray | None) -> list[Found]:
        """Return the detections that each tile keeps."""
        if outputs is None:
            every = [self._nothing()] * len(numbers)
        else:
            every = self.model.decode(
                outputs[: len(numbers)], score_threshold=self.score_threshold, nms_threshold=self.nms_threshold
            )
        return [self._kept(*part) for part in zip(numbers, masks, every, strict=True)]

    def __call__(self, numbers: list[int]) -> list[Found]:
        """Do all of a batch."""
        images, masks = self.read(numbers)
        return self.finish(numbers, masks, self.predict(images, masks))

    def run(self, batches: Iterable[list[int]]) -> Iterator[list[Found]]:
        """Yield what each batch finds, in their order; tiles are read and decoded beside the network."""
        upcoming = iter(batches)
        with ThreadPoolExecutor(2, "astrokeras-scan") as pool:
            reading = deque((numbers, pool.submit(self.read, numbers)) for numbers in itertools.islice(upcoming, AHEAD))
            finishing = deque()
            while reading:
                numbers, tiles = reading.popleft()
                images, masks = tiles.result()
                reading.extend((later, pool.submit(self.read, later)) for later in itertools.islice(upcoming, 1))
                finishing.append(pool.submit(self.finish, numbers, masks, self.predict(images, masks)))
                while finishing and (finishing[0].done() or len(finishing) > AHEAD):
                    yield finishing.popleft().result()
            while finishing:
                yield finishing.popleft().result()

    def _tile(self, number: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the pixels of a tile and where there was no value."""
        window = self.tiling.window(number)
        inside = tuple(
            slice(max(0, -low), min(high, size) - low)
            for (low, high), size in zip(window, self.image.shape, strict=True)
        )
        tile = self.image.read(window)
        part = tile[inside]
        if self.scale is not None:
            channels = slice(window[0][0] + inside[0].start, window[0][0] + inside[0].stop)
            with np.errstate(divide="ignore", invalid="ignore"):
                part /= self.scale[channels, None, None]
        if self.mask is not None:
            rows, columns = (
                slice(low + some.start, low + some.stop)
                for (low, _), some in zip(window[-2:], inside[-2:], strict=True)
            )
            part[..., self.mask[rows, columns]] = 0
        filled, missing = fill_missing(
            part, self.nan_policy, seed=number, name=f"tile {number} {window} of {self.image.name}"
        )
        if part.shape == tile.shape:
            return filled, missing if missing.any() else None
        beyond = np.ones(tile.shape, bool)
        beyond[inside] = missing
        if self.padding == "reflect":
            widths = [(some.start, side - some.stop) for some, side in zip(inside, tile.shape, strict=True)]
            return np.pad(filled, widths, mode="symmetric"), beyond
        tile[inside] = filled
        return fill_missing(tile, self.padding, seed=(number, 1))[0], beyond

    def _kept(self, number: int, missing: np.ndarray | None, found: Detections) -> Found:
        """Move detections to pixels of the image; leave out those that are another tile's, or lie on nothing."""
        dims, owned = len(self.tiling.tile), self.tiling.owned(number)
        corner = np.array([low for low, _ in self.tiling.window(number)])
        boxes = found.boxes + np.tile(corner[::-1], 2).astype("float32")
        kept = self.tiling.keeps(number, (boxes[:, :dims].astype("float64") + boxes[:, dims:]) / 2)
        count = 0
        if missing is not None:
            own = tuple(slice(part.start - low, part.stop - low) for part, low in zip(owned, corner, strict=True))
            count = int(np.count_nonzero(missing[own]))
            kept &= ~mostly_missing(found.boxes, missing)
        return number, replace(found[kept], boxes=boxes[kept]), count

    def _nothing(self) -> Detections:
        return Detections.empty(len(self.tiling.tile), parameters=self.model.box_parameters)


def model_hash(model: keras.Model) -> str:
    """Return a short text that is the same for the same network with the same weights, for images of any size.

    Example:
        >>> import astrokeras
        >>> from astrokeras.survey.scan import model_hash
        >>> model = astrokeras.applications.lenet5(weights="mnist")
        >>> model_hash(model) == model_hash(astrokeras.applications.lenet5(weights="mnist"))
        True
    """
    settings = [model.settings.to_dict()] if isinstance(model, YoloDetector) else []
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]  # has the size
    layers = [(type(layer).__name__, layer.get_config() | {"name": ""}) for layer in layers]
    text = hashlib.sha256(json.dumps([settings, layers], sort_keys=True, default=repr).encode())
    for weights in model.get_weights():
        text.update(np.ascontiguousarray(weights).tobytes())
    return text.hexdigest()[:16]
