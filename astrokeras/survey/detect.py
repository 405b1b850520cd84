"""From an image of any size to a catalogue: tiles, their overlaps, and one list of detections."""

import hashlib
import math
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import rich.console
import rich.progress

from astrokeras import saving
from astrokeras.boxes import suppress
from astrokeras.detections import Detections
from astrokeras.models import YoloDetector
from astrokeras.survey.catalogue import catalogue
from astrokeras.survey.checkpoint import COLUMNS, Checkpoint
from astrokeras.survey.cluster import run_on
from astrokeras.survey.image import SurveyImage, open_image
from astrokeras.survey.missing import NAN_POLICIES
from astrokeras.survey.scan import PADDINGS, Scan, model_hash
from astrokeras.survey.tiles import Tiling

if TYPE_CHECKING:
    from astropy.table import QTable
    from distributed import Client

TILE, OVERLAP = 512, 32  # pixels, of an image
CUBE_OVERLAP = (32, 8, 8)
NEIGHBOUR = 0.1  # overlap above which boxes of two tiles are of one object


def detect(
    image,
    model: YoloDetector | str | os.PathLike,
    *,
    tile: int | Sequence[int] | None = None,
    overlap: int | Sequence[int] | None = None,
    batch_size: int = 8,
    score_threshold: float | Sequence[float] | None = None,
    nms_threshold: float | Sequence[float] | None = None,
    neighbour_threshold: float | None = None,
    nan_policy: str = "median",
    padding: str = "reflect",
    scale: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    primary_beam=None,
    checkpoint: str | os.PathLike | None = None,
    engine: "str | Client" = "local",
    verbose: int | None = None,
) -> "QTable":
    """Scan an image or a cube of any size with a detector; return the catalogue of what it finds.

    The image is read, predicted and decoded in tiles of one size, a batch at a time: memory holds some batches and the
    detections, whatever the size of the image. Boxes are suppressed inside each tile; of the detections in an overlap a
    tile keeps those nearer to its own middle than to its neighbour's (and an eighth of the overlap more, since a source
    on the border may be found on either side); there, boxes of different tiles are then suppressed.

    Args:
        image: path of a FITS file, `SurveyImage`, array, or what else `open_image` takes.
        model: a `YoloDetector` of one channel, 2-D for an image, 3-D for a cube, or the path of its `.keras` file.
        tile: pixels along each side, one number or one per axis in array order, multiples of the detector's grid;
            `None` is 512 for an image (less for a small one), and the detector's own size for a cube.
        overlap: pixels that neighbouring tiles share, likewise; `None` is 32 for an image and (32, 8, 8) for a cube. It
            should exceed the largest box.
        batch_size: tiles that the network sees at once.
        score_threshold: lowest score, one or one per prior; `None` takes the detector's.
        nms_threshold: of the suppression inside a tile; `None` takes the detector's.
        neighbour_threshold: of that between tiles, of one class; `None` takes `nms_threshold`, but at most 0.1.
        nan_policy: what stands in for pixels without a value: `"zero"`, `"median"` or `"noise"` of the tile, or
            `"raise"`. Detections with more than half of their box on such pixels are dropped.
        padding: what stands beyond the edges of the image, where it is no multiple of the grid or smaller than a tile:
            `"reflect"`, `"zero"`, `"median"` or `"noise"`.
        scale: `(z,)` by which each channel of a cube is divided, such as its noise.
        mask: `(y, x)` bool, pixels that are set to 0, such as those of bright continuum.
        primary_beam: as of `catalogue`.
        checkpoint: folder in which finished tiles are kept; the same call goes on from them after a stop at any moment,
            to the same catalogue.
        engine: `"local"`, or a `dask.distributed.Client`, whose workers share the tiles.
        verbose: 1 for a progress bar and a line at the end, 0 for none, `None` for a bar in a terminal.

    Returns:
        Table with units as of `catalogue`, best score first; its metadata tell the model and its hash, the thresholds,
        the tiling, and the share of pixels without a value.

    Raises:
        ValueError: if image and detector differ in dimensions or channels, a tile is no multiple of the grid, a
            threshold or policy is none, or the checkpoint is of another image, model or setting.

    Reference:
        CIANNA 1.0, examples/SKAO_SDC1 (tiles of 512 with an overlap of 32, suppression in two stages). Ours: the
        ownership of the overlap.

    Example:
        >>> import numpy as np, astrokeras
        >>> from astropy.io import fits
        >>> header = fits.Header({"CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN"})
        >>> fits.PrimaryHDU(np.zeros((100, 120), "float32"), header).writeto("sky.fits")
        >>> model = astrokeras.applications.yolo_sdc1((64, 64, 1))
        >>> table = astrokeras.survey.detect("sky.fits", model, tile=64, overlap=16, score_threshold=1.0)
        >>> len(table), table.meta["tiles"]
        (0, 6)
    """
    image = open_image(image)
    model, model_file = _model(model, image)
    tiling = _tiling(image, model, tile, overlap)
    model = model if model.input_shape[1:-1] == tiling.tile else model.resized((*tiling.tile, 1))
    nms_threshold = model.nms_threshold if nms_threshold is None else nms_threshold
    score_threshold = model.score_threshold if score_threshold is None else score_threshold
    same = float(np.ravel(nms_threshold)[0])
    neighbour_threshold = min(same, NEIGHBOUR) if neighbour_threshold is None else float(neighbour_threshold)
    scale, mask = _checked(image, batch_size, nan_policy, padding, scale, mask, neighbour_threshold)
    if engine != "local" and not hasattr(engine, "register_plugin"):
        raise ValueError(f'Expected engine="local" or a dask.distributed.Client; received {engine!r}.')
    scan = Scan(image, model, tiling, batch_size, score_threshold, nms_threshold, nan_policy, padding, scale, mask)
    settings = {
        "image": image.fingerprint,
        "model": model_hash(model),
        "tile": list(tiling.tile),
        "overlap": list(tiling.overlap),
        "batch_size": batch_size,
        "score_threshold": np.asarray(score_threshold).tolist(),
        "nms_threshold": np.asarray(nms_threshold).tolist(),
        "nan_policy": nan_policy,
        "padding": padding,
        "scale": _hash(scale),
        "mask": _hash(mask),
    }
    model.decode(np.empty((0, *model.output_shape[1:])), score_threshold=score_threshold)  # refuses bad thresholds now
    kept = Checkpoint(checkpoint, settings)
    with _Progress(tiling, verbose) as progress:
        progress.advance(kept.found, again=True)
        batches = scan.batches(kept.found)
        results = scan.run(batches) if engine == "local" else run_on(engine, scan, batches)
        try:
            for found in results:
                for part in found:
                    kept.add(*part)
                kept.write(now=False)
                progress.advance([number for number, _, _ in found])
        finally:
            kept.write()
        found, tiles = _joined(kept, model, neighbour_threshold, tiling)
        missing = sum(count for _, count in kept.found.values()) / math.prod(image.shape)
        progress.close(len(found), missing)
    meta = settings | {"model": model.name, "model_hash": settings["model"], "tiles": len(tiling)}
    meta |= {"neighbour_threshold": neighbour_threshold, "missing_fraction": missing}
    meta |= {} if model_file is None else {"model_file": model_file}
    meta = {name: value for name, value in meta.items() if name != "image" and value is not None}
    return catalogue(found, image, tiles=tiles, primary_beam=primary_beam, meta=meta)


def _model(model, image: SurveyImage) -> tuple[YoloDetector, str | None]:
    file = None
    if isinstance(model, str | os.PathLike):
        model, file = saving.load_model(model, compile=False), str(model)
    if not isinstance(model, YoloDetector):
        raise ValueError(f"Expected a YoloDetector or the path of one; received {type(model).__name__}.")
    dims, channels = len(model.input_shape) - 2, model.input_shape[-1]
    if dims != len(image.shape) or channels != 1:
        raise ValueError(
            f"Expected a detector of {len(image.shape)} dimensions and 1 channel for {image.name}, whose shape is "
            f"{image.shape}; received {model.name}, which takes {dims} dimensions and {channels} "
            f"channel{'s' * (channels > 1)}: give the planes that it was trained on, one image each."
        )
    return model, file


def _tiling(image: SurveyImage, model: YoloDetector, tile, overlap) -> Tiling:
    cell, dims = [int(side) for side in model.settings.cell[::-1]], len(image.shape)
    if tile is None and dims == 2:
        tile = [min(-(-TILE // step), -(-size // step)) * step for size, step in zip(image.shape, cell, strict=True)]
    tile = _per_axis("tile", model.input_shape[1:-1] if tile is None else tile, dims)
    if overlap is None:
        usual = (OVERLAP, OVERLAP) if dims == 2 else CUBE_OVERLAP
        overlap = [min(part, side // 4) for part, side in zip(usual, tile, strict=True)]
    return Tiling(image.shape, tile, _per_axis("overlap", overlap, dims), cell)


def _per_axis(name: str, value, dims: int) -> tuple[int, ...]:
    value = np.asarray(value)
    if value.dtype.kind not in "iu" or value.shape not in ((), (dims,)):
        raise ValueError(
            f"Expected {name} as a whole number of pixels or {dims} of them, one per axis; received {value.tolist()}."
        )
    return tuple(np.broadcast_to(value, dims).tolist())


def _checked(image: SurveyImage, batch_size, nan_policy, padding, scale, mask, neighbour_threshold) -> tuple:
    """Refuse what does not fit; return scale and mask as arrays."""
    if batch_size < 1:
        raise ValueError(f"Expected batch_size >= 1; received {batch_size}.")
    for name, value, known in (("nan_policy", nan_policy, NAN_POLICIES), ("padding", padding, PADDINGS)):
        if value not in known:
            raise ValueError(f"Expected {name} to be one of {', '.join(known)}; received {value!r}.")
    if not -1 <= neighbour_threshold <= 1:
        raise ValueError(f"Expected neighbour_threshold in -1..1; received {neighbour_threshold}.")
    if scale is not None:
        scale = np.asarray(scale, "float32")
        if len(image.shape) != 3 or scale.shape != image.shape[:1]:
            raise ValueError(
                f"Expected scale as one number per channel of a cube; received shape {scale.shape} for {image.name} of "
                f"shape {image.shape}."
            )
    if mask is not None:
        mask = np.asarray(mask, bool)
        if mask.shape != image.shape[-2:]:
            raise ValueError(f"Expected mask {image.shape[-2:]}, as y and x of the image; received {mask.shape}.")
    return scale, mask


def _hash(array: np.ndarray | None) -> str | None:
    return None if array is None else hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def _joined(kept: Checkpoint, model: YoloDetector, threshold: float, tiling: Tiling) -> tuple[Detections, np.ndarray]:
    """Return the detections of all tiles, best first, without those of two tiles of one object, and their tiles."""
    parts = [(number, kept.found[number][0]) for number in sorted(kept.found) if len(kept.found[number][0])]
    about, dims = {"class_names": model.class_names, "parameters": model.box_parameters}, len(tiling.tile)
    if not parts:
        return Detections.empty(dims, **about), np.zeros(0, int)
    every = Detections(**{name: np.concatenate([getattr(one, name) for _, one in parts]) for name in COLUMNS}, **about)
    tiles = np.repeat([number for number, _ in parts], [len(one) for _, one in parts])
    # Only where two tiles keep detections can one object be there twice; and all its neighbours are there twice, too.
    shared = tiling.shared((every.boxes[:, :dims].astype("float64") + every.boxes[:, dims:]) / 2)
    chosen = [np.flatnonzero(~shared)]
    for label in np.unique(every.labels[shared]):
        rows = np.flatnonzero(shared & (every.labels == label))
        # What are classes to `suppress` are tiles here: boxes of one tile have been compared with each other before.
        best = suppress(
            every.boxes[rows],
            every.scores[rows],
            tiles[rows],
            threshold=1.0,
            other_threshold=threshold,
            kind=model.nms_kind,
        )
        chosen.append(rows[best])
    chosen = np.sort(np.concatenate(chosen))
    chosen = chosen[np.argsort(-every.scores[chosen], kind="stable")]
    return every[chosen], tiles[chosen]


class _Progress:
    """A bar with pixels per second and time left."""

    def __init__(self, tiling: Tiling, verbose: int | None):
        self.console = rich.console.Console(stderr=True)
        shown = self.console.is_terminal if verbose is None else bool(verbose)
        self.tiling, self.shown, self.begun, self.scanned = tiling, shown, time.perf_counter(), 0
        self.bar = rich.progress.Progress(
            rich.progress.TextColumn("scanning"),
            rich.progress.BarColumn(),
            rich.progress.TaskProgressColumn(),
            rich.progress.TextColumn("{task.fields[rate]}"),
            rich.progress.TimeRemainingColumn(),
            console=self.console,
            disable=not (shown and self.console.is_terminal),
        )
        self.task = self.bar.add_task("scan", total=math.prod(tiling.shape), rate="")

    def __enter__(self) -> "_Progress":
        self.bar.start()
        return self

    def __exit__(self, *error) -> None:
        self.bar.stop()

    def advance(self, tiles, again: bool = False) -> None:
        """Count finished tiles; with `again`, those of an earlier run."""
        owned = (self.tiling.owned(number) for number in tiles)
        pixels = sum(math.prod(part.stop - part.start for part in parts) for parts in owned)
        self.scanned += 0 if again else pixels
        self.bar.update(self.task, advance=pixels, rate=self._rate())

    def close(self, count: int, missing: float) -> None:
        """Say what was done."""
        self.bar.stop()
        if self.shown:
            seconds = time.perf_counter() - self.begun
            self.console.print(
                f"{count} detections; scanned {self.scanned / 1e6:.4g} Mpix in {seconds:.1f} s ({self._rate()})"
                + f"; {missing:.2%} of the pixels have no value" * (missing > 0)
            )

    def _rate(self) -> str:
        seconds = max(time.perf_counter() - self.begun, 1e-9)
        return f"{self.scanned / 1e6 / seconds:.3g} Mpix/s"
