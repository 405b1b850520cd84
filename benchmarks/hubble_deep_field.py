"""A detector trained on simulated galaxies scans a real image, the Hubble extreme deep field, in tiles and whole.

python benchmarks/hubble_deep_field.py [--out hubble] [--epochs 8]

The image comes with scikit-image (`pip install scikit-image`): 872 x 1000 pixels, a colour picture of 8 bits. The
detector sees the mean of the colours. It learns from simulations alone: background, noise, its correlation and the
width of the point spread function are measured on the image; the sources are drawn here (stars with spikes, smooth and
clumpy discs, concentrated ellipticals). A box holds what stands out of the noise. There is no truth for the image
itself: purity and completeness are of held-out simulations, and of sources that are added to the real image.
"""

import argparse
import time
from pathlib import Path

import keras
import numpy as np
from machine import write

import astrokeras
from astrokeras import boxes, datasets, metrics, survey
from astrokeras.datasets.beam_noise import beam_kernel, noise_rows
from astrokeras.datasets.gaussian_stamps import draw_gaussians, ellipse_variances, exponential_as_gaussians

SIZE, TILE, OVERLAP = 128, 256, 96  # pixels; an answer depends on 71 pixels, fewer than the overlap
DENSITY = 1 / 180  # sources per square pixel, the faint ones included
FAINTEST, BRIGHTEST, SLOPE = 7.0, 500.0, -0.6  # peaks, in the levels of the image; of the number above a peak
LEAST = 3.5  # of the noise: the peak of an object
EDGE = 2.0, 0.06  # where a box ends: at so much of the noise, or of the peak
SIDES = (5.0, 90.0)  # pixels, of a box
IOU, FALSE = 0.3, 0.6  # overlap from which a detection is right; how many matches a false one costs
PRIORS = 6  # found by k-means; two more of the smallest, one of the largest
LARGEST = 64.0
PART = 620, 430, 900  # of the figure: left, top, right
FIGURE = Path(__file__).parents[1] / "docs" / "figures" / "hubble_deep_field.png"
LOSS = {
    "iou": "diou",
    "prior_distance": "size",
    "scales": {"position": 36.0, "size": 6.0, "probability": 0.5, "objectness": 2.0},
    "limits": {"good": 0.5, "low_best": -0.1, "probability": -0.3, "objectness": -0.3},
    "noobj": 0.15,
    "random_startup": 0,
}


def grey_image() -> tuple[np.ndarray, np.ndarray]:
    """Return the picture `(y, x, 3)` uint8 and the mean of its colours `(y, x)` float32."""
    from skimage import data

    picture = data.hubble_deep_field()
    return picture, picture.mean(axis=-1, dtype="float32")


def figures_of(grey: np.ndarray) -> dict[str, float]:
    """Measure background, noise, its correlation and the point spread function (sigma in pixels) of the image."""
    smooth = sum(np.roll(grey, (y, x), axis=(0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)) / 9
    for axis in (0, 1):  # the largest within 15 x 15 pixels
        smooth = np.max([np.roll(smooth, step, axis) for step in range(-7, 8)], axis=0)
    quiet = smooth < np.median(grey) + 9
    background, noise = grey[quiet].mean(), grey[quiet].std()
    both = quiet[:, 1:] & quiet[:, :-1]
    related = np.mean((grey[:, 1:][both] - background) * (grey[:, :-1][both] - background)) / noise**2
    # Compact peaks, from how far their four neighbours are below them: the narrowest are points.
    views = np.lib.stride_tricks.sliding_window_view(grey - background, (3, 3)).reshape(-1, 9)
    peaks = views[(views.argmax(axis=1) == 4) & (views[:, 4] > 60) & (views[:, 4] < 180)]
    widths = np.sqrt(-0.5 / np.log(peaks[:, [1, 3, 5, 7]].mean(axis=1) / peaks[:, 4]))
    return {
        "background": float(background),
        "noise": float(noise),
        "correlation": float(np.sqrt(-1 / (4 * np.log(related)))),
        "psf": float(np.quantile(widths, 0.1)),
    }


def sources(rng: np.random.Generator, size: int, sky: dict[str, float], density: float = DENSITY) -> dict:
    """Draw sources of a square: places, peaks, boxes `(k, 4)`, and the Gaussians they consist of."""
    count = rng.poisson(density * size**2)
    middle = rng.uniform(0, size, (count, 2))
    low, high = FAINTEST**SLOPE, BRIGHTEST**SLOPE
    peak = (low + rng.random(count) * (high - low)) ** (1 / SLOPE)
    radius = 0.9 * np.exp(0.5 * rng.standard_normal(count)) * (peak / 40) ** 0.3  # scale, pixels
    large = rng.random(count) < 0.015
    radius[large] = np.exp(rng.uniform(np.log(2.5), np.log(13), large.sum()))
    peak[large] = rng.uniform(60, BRIGHTEST, large.sum())
    star = ~large & (rng.random(count) < 0.06)
    radius[star] = 0.05
    kind = rng.choice(3, count, p=(0.2, 0.5, 0.3))  # Gaussian, exponential, concentrated
    flat = np.where(kind == 2, rng.uniform(0.6, 1, count), rng.uniform(0.2, 1, count))
    angle = rng.uniform(0, np.pi, count)

    shares, scales = exponential_as_gaussians(5)
    concentrated = np.array([0.3, 0.3, 0.4, 0, 0]), np.array([0.1, 1, 8, 1, 1])
    gaussian = np.array([1.0, 0, 0, 0, 0]), np.array([1.5, 1, 1, 1, 1])
    share, scale = (np.stack(column) for column in zip(gaussian, (shares, scales), concentrated, strict=True))
    width = len(shares)
    share, scale = share[kind], scale[kind]  # (k, Gaussians)
    major = np.sqrt(scale) * radius[:, None]
    axes = ellipse_variances(major, major * flat[:, None], angle[:, None])
    xx, yy, xy = axes[0] + sky["psf"] ** 2, axes[1] + sky["psf"] ** 2, axes[2]
    share = share / np.sqrt(xx * yy - xy**2)
    share *= (peak / share.sum(axis=1))[:, None]  # now the peaks of the Gaussians
    parts = [(np.repeat(middle, width, axis=0), share.ravel(), xx.ravel(), yy.ravel(), xy.ravel())]
    parts += _clumps(rng, middle, peak, np.where(kind == 2, 0, radius), flat, angle, sky["psf"])
    parts += _spikes(rng, middle[star], peak[star])
    return {"middle": middle, "peak": peak, "boxes": _boxes(middle, share, major, flat, angle, peak, sky)} | {
        "gaussians": [np.concatenate(columns) for columns in zip(*parts, strict=True)]
    }


def _clumps(rng, middle, peak, radius, flat, angle, psf: float) -> list[tuple]:
    """Return the knots of large galaxies, those with a radius."""
    owner = np.repeat(np.arange(len(peak)), np.where(radius > 1.5, rng.poisson(1.5 * radius), 0))
    u, v = rng.normal(0, 1.3, (2, len(owner))) * radius[owner]
    v = v * flat[owner]
    cosine, sine = np.cos(angle[owner]), np.sin(angle[owner])
    place = middle[owner] + np.stack([u * cosine - v * sine, u * sine + v * cosine], axis=1)
    variance = psf**2 + (rng.uniform(0.05, 0.3, len(owner)) * radius[owner]) ** 2
    return [(place, peak[owner] * rng.uniform(0.05, 0.8, len(owner)), variance, variance, np.zeros(len(owner)))]


def _spikes(rng, middle, peak) -> list[tuple]:
    """Return the four rays of bright stars, as two long Gaussians each."""
    bright = peak > 120
    length = rng.uniform(2, 7, bright.sum())
    turns = rng.uniform(0, np.pi / 2, bright.sum())
    return [
        (middle[bright], 0.25 * peak[bright], *ellipse_variances(length, np.full(len(length), 0.6), turns + quarter))
        for quarter in (0, np.pi / 2)
    ]


def _boxes(middle, share, major, flat, angle, peak, sky) -> np.ndarray:
    """Return boxes around the isophote at which the smooth model falls to the edge's level."""
    along = np.geomspace(0.3, 70, 90)
    level = np.maximum(EDGE[0] * sky["noise"], EDGE[1] * peak.clip(0, 255))
    reach = []
    for ratio in (np.ones(len(flat)), flat):
        variance = (major * ratio[:, None]) ** 2 + sky["psf"] ** 2
        profile = (share[:, None] * np.exp(-(along[:, None] ** 2) / 2 / variance[:, None])).sum(axis=-1)  # (k, 90)
        reach.append(along[(profile > level[:, None]).sum(axis=1).clip(1, len(along)) - 1])
    cosine, sine = np.cos(angle), np.sin(angle)
    half = [np.hypot(reach[0] * a, reach[1] * b) for a, b in ((cosine, sine), (sine, cosine))]
    half = np.stack(half, axis=1).clip(SIDES[0] / 2, SIDES[1] / 2)
    return np.concatenate([middle - half, middle + half], axis=1).astype("float32")


def add_sources(light: np.ndarray, drawn: dict, noise: float) -> np.ndarray:
    """Add sources to a map without noise, in place; return which of them stand out: above noise and neighbours."""
    place, peak, *variances = drawn["gaussians"]
    draw_gaussians(light, place, peak, tuple(variances), 0.05 * noise)
    x, y = np.floor(drawn["middle"]).astype(int).clip(0, light.shape[0] - 1).T
    return (drawn["peak"] > LEAST * noise) & (drawn["peak"] > 0.55 * light[y, x])


def simulated(count: int, sky: dict[str, float], seed: int) -> tuple[np.ndarray, list[dict]]:
    """Simulate fields `(count, SIZE, SIZE, 1)` and their objects."""
    images, objects, kernel = np.empty((count, SIZE, SIZE, 1), "float32"), [], beam_kernel(sky["correlation"])
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        light = np.zeros((SIZE, SIZE), "float32")
        drawn = sources(rng, SIZE, sky, DENSITY * rng.uniform(0.5, 1.5))
        kept = add_sources(light, drawn, sky["noise"])
        noise = noise_rows(0, SIZE, SIZE, kernel, (seed, number)) * np.float32(sky["noise"])
        images[number, ..., 0] = (light + noise + np.float32(sky["background"] + rng.normal(0, 1))).clip(0, 255)
        found = drawn["boxes"][kept].clip(0, SIZE)
        objects.append({"boxes": found, "labels": np.zeros(len(found), int)})
    return images, objects


def build(priors, sky: dict[str, float]) -> astrokeras.models.YoloDetector:
    """Build a YOLO whose answer depends on 71 x 71 pixels: no normalisation looks at the whole tile."""
    net = astrokeras.Network((SIZE, SIZE, 1), activation="relu_leaky", name="hubble")
    net.stretch(offset=sky["background"], scale=2 * sky["noise"], function="asinh")
    net.conv(16, 5, strides=2).conv(32, 3)
    net.conv(64, 2, strides=2, padding="valid").conv(64, 3).batch_norm()
    net.conv(128, 2, strides=2, padding="valid").conv(128, 3).conv(128, 3).conv(128, 3).batch_norm()
    net.conv(128, 1)
    return net.yolo(priors, 0, loss=LOSS, score_threshold=0.5, nms_threshold=0.3).build()


def train(sky: dict[str, float], options) -> tuple[astrokeras.models.YoloDetector, float]:
    """Train; return the detector and the seconds."""
    images, objects = simulated(options.fields, sky, seed=options.seed)
    every = np.concatenate([one["boxes"] for one in objects])
    priors = sorted(boxes.kmeans_priors(every, PRIORS, seed=0), key=np.prod)
    priors = [priors[0], priors[0], *priors, [LARGEST, LARGEST]]
    model = build(priors, sky)
    targets = datasets.DetectionSet(images, objects, ("source",), list(map(str, range(len(images))))).targets()
    steps = options.epochs * -(-len(images) // 8)
    rate = keras.optimizers.schedules.CosineDecay(2e-4, steps, 0.05, warmup_target=2e-3, warmup_steps=steps // 20 + 1)
    model.compile(keras.optimizers.Adam(rate))
    begun = time.perf_counter()
    model.fit(images, targets, batch_size=8, epochs=options.epochs, verbose=2)
    seconds = time.perf_counter() - begun
    return model, seconds


def judged(model, sky: dict[str, float], seed: int) -> dict[str, float]:
    """Choose the detector's thresholds on other fields; return what it reaches on yet others."""
    images, objects = simulated(80, sky, seed=seed + 1)
    model.score_threshold = thresholds(objects, model.detect(images, score_threshold=0.05), len(model.settings.priors))
    images, objects = simulated(80, sky, seed=seed + 2)
    result = scored(objects, model.detect(images)).curves[0]
    measured = {"objects": sum(len(one["boxes"]) for one in objects)}
    measured |= {"purity": float(result["precision"][-1]), "completeness": float(result["recall"][-1])}
    every = model.detect(images, score_threshold=0.05)
    return measured | {f"average_precision_{iou}": float(scored(objects, every, iou).map) for iou in (IOU, 0.5)}


def thresholds(objects: list[dict], found: list, priors: int) -> tuple[float, ...]:
    """Return one score threshold per prior, with the best sum of matches less what the false detections cost."""
    right = []
    for one, detections in zip(objects, found, strict=True):  # best score first
        overlap = boxes.iou(detections.boxes[:, None], one["boxes"][None])
        first = np.zeros(len(detections), bool)
        first[np.unique(overlap.argmax(axis=1), return_index=True)[1]] = True  # the first of each object
        right.append(first & (overlap.max(axis=1) >= IOU))
    columns = {"score": [one.scores for one in found], "prior": [one.priors for one in found], "right": right}
    every = {name: np.concatenate(values) for name, values in columns.items()}
    tuned = survey.tune_thresholds(every, lambda rows: np.where(rows["right"], 1.0, -FALSE), priors=priors, least=100)
    print(tuned.describe())
    return tuned.values


def scored(objects: list[dict], found: list, iou: float = IOU) -> metrics.AveragePrecision:
    metric = metrics.MeanAveragePrecision("voc", iou_thresholds=iou, class_names=["source"])
    metric.update_state(objects, found)
    return metric.result()


def corners(table) -> np.ndarray:
    return np.stack([np.asarray(table[name].value) for name in ("x_min", "y_min", "x_max", "y_max")], axis=1)


def compared(one, other) -> dict[str, float]:
    """Compare two catalogues: who has a partner within one pixel, and how much partners differ."""
    places = [(corners(table)[:, :2] + corners(table)[:, 2:]) / 2 for table in (one, other)]
    apart = np.linalg.norm(places[0][:, None] - places[1][None], axis=-1)  # (one, other)
    best = apart.argmin(axis=1)
    near = apart.min(axis=1) < 1
    sides = [corners(table)[:, 2:] - corners(table)[:, :2] for table in (one, other)]
    size = np.abs(sides[0][near] / sides[1][best[near]] - 1).max(axis=1)
    score = np.abs(np.asarray(one["score"])[near] - np.asarray(other["score"])[best[near]])
    return {
        "tiled with a partner": float(near.mean()),
        "whole with a partner": float((apart.min(axis=0) < 1).mean()),
        "position": float(np.median(apart.min(axis=1)[near])),
        "size": float(np.median(size)),
        "score": float(np.median(score)),
        "largest position": float(apart.min(axis=1)[near].max()),
        "largest score": float(score.max()),
    }


def injected(model, grey: np.ndarray, sky: dict[str, float], seed: int) -> list[tuple[float, float, int, int]]:
    """Add sources to the real image, few at once, and count by peak (in units of the noise) how many come back."""
    peaks, found = [], []
    for number in range(8):
        rng = np.random.default_rng([seed, 3, number])
        drawn = sources(rng, min(grey.shape), sky, 150 / min(grey.shape) ** 2)
        light = np.zeros((min(grey.shape),) * 2, "float32")
        alone = add_sources(light, drawn, sky["noise"])
        real = grey[: len(light), : len(light)]
        x, y = np.floor(drawn["middle"]).astype(int).T
        kept = alone & (real[y, x] - sky["background"] < 3 * sky["noise"])  # not on top of a real source
        table = survey.detect((real + light).clip(0, 255), model, tile=TILE, overlap=OVERLAP, verbose=0)
        overlap = boxes.iou(drawn["boxes"][kept][:, None], corners(table)[None].astype("float32"))
        peaks.append(drawn["peak"][kept] / sky["noise"])
        found.append(overlap.max(axis=1, initial=0) > IOU)
    peaks, found = np.concatenate(peaks), np.concatenate(found)
    edges = (LEAST, 5, 8, 15, 30, 60)
    inside = [(low, high, (peaks >= low) & (peaks < high)) for low, high in zip(edges[:-1], edges[1:], strict=True)]
    return [(low, high, int(some.sum()), int(found[some].sum())) for low, high, some in inside]


def draw(picture: np.ndarray, table, path: Path) -> None:
    """Draw the picture with the boxes, and a part of it larger; 256 colours keep the file small."""
    import io

    import matplotlib.pyplot as plt
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle
    from PIL import Image

    found = corners(table)
    shown = ((picture.astype("float32") - 14) * (255 / 241)).clip(0, 255).astype("uint8")
    small = (found[:, 2:] - found[:, :2]).max(axis=1) < 8
    height, width = picture.shape[:2]
    left, top, right = PART
    bottom = top + (right - left) * height / width
    figure, axes = plt.subplots(1, 2, figsize=(13.2, 5.76), facecolor="black")
    figure.subplots_adjust(0.003, 0.006, 0.997, 0.994, wspace=0.006)
    styles = ((small, "#3fb8c9", 0.3, 0.9), (~small, "#7dff8a", 0.7, 1.4))  # colour, width of the lines on either side
    for side, axis in enumerate(axes):
        axis.imshow(shown, extent=(0, width, height, 0), interpolation="bicubic" if side else "antialiased")
        for some, colour, *thick in styles:
            patches = [Rectangle(box[:2], *(box[2:] - box[:2])) for box in found[some]]
            axis.add_collection(PatchCollection(patches, facecolor="none", edgecolor=colour, linewidth=thick[side]))
        axis.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))
        axis.spines[:].set_color("#999999")
    axes[0].add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor="white", linewidth=1.2))
    axes[1].set(xlim=(left, right), ylim=(bottom, top))
    file = io.BytesIO()
    figure.savefig(file, dpi=100, facecolor="black")
    plt.close(figure)
    Image.open(file).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("hubble"), help="folder for the detector and the catalogues")
    parser.add_argument("--fields", type=int, default=800)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    astrokeras.configure(seed=options.seed)
    picture, grey = grey_image()
    sky = figures_of(grey)
    file = options.out / "hubble.keras"
    if file.is_file():  # trained before
        model, seconds = (
            astrokeras.load_model(file, compile=False),
            astrokeras.read_card(file)["metrics"]["train_seconds"],
        )
    else:
        model, seconds = train(sky, options)
    measured = judged(model, sky, options.seed) | {"train_seconds": seconds}
    command = "python benchmarks/hubble_deep_field.py"
    astrokeras.save_model(model, file, command=command, data="simulated galaxies", metrics=measured)
    catalogues, seconds = {}, {}
    for name, tile in (("tiled", TILE), ("whole", tuple(-(-side // 8) * 8 for side in grey.shape))):
        begun = time.perf_counter()
        catalogues[name] = survey.detect(grey, model, tile=tile, overlap=OVERLAP if tile == TILE else 0, verbose=0)
        seconds[name] = time.perf_counter() - begun
        survey.write_catalogue(catalogues[name], options.out / f"{name}.ecsv")
    draw(picture, catalogues["tiled"], FIGURE)
    table = report(model, sky, measured, catalogues, seconds, injected(model, grey, sky, options.seed))
    title = "A detector trained on simulations scans the Hubble extreme deep field"
    print(write("hubble-deep-field", title, "python benchmarks/hubble_deep_field.py", table).read_text())


def report(model, sky, measured, catalogues, seconds, back) -> str:
    """Return the tables."""
    tiled, whole = catalogues["tiled"], catalogues["whole"]
    agree = compared(tiled, whole)
    levels = ", ".join(f"{value:.2f}" for value in np.ravel(model.score_threshold))
    rows = ["| what | value |", "| --- | ---: |"]
    names = "background (of 255)", "noise (of 255)", "sigma of the noise's correlation (px)", "sigma of a point (px)"
    rows += [f"| {name} | {value:.2f} |" for name, value in zip(names, sky.values(), strict=True)]
    rows += [
        f"| training | {measured['train_seconds']:.0f} s |",
        f"| weights | {model.count_params()} |",
        f"| score thresholds of the priors | {levels} |",
        f"| held-out simulations: objects | {measured['objects']:.0f} |",
        f"| - purity, completeness (IoU {IOU}) | {measured['purity']:.3f}, {measured['completeness']:.3f} |",
        *(f"| - average precision (IoU {iou}) | {measured[f'average_precision_{iou}']:.3f} |" for iou in (IOU, 0.5)),
    ]
    for name, table in catalogues.items():
        text = f"{len(table)} in {seconds[name]:.1f} s ({table.meta['tiles']} tiles)"
        rows.append(f"| real image, {name}: detections | {text} |")
    rows += [
        f"| tiled ones with a partner in the other within 1 px | {100 * agree['tiled with a partner']:.2f} % |",
        f"| whole ones with a partner | {100 * agree['whole with a partner']:.2f} % |",
        f"| position of partners: median, largest difference | {agree['position']:.1e}, "
        f"{agree['largest position']:.1e} px |",
        f"| sides: median relative difference | {agree['size']:.1e} |",
        f"| score: median, largest difference | {agree['score']:.1e}, {agree['largest score']:.1e} |",
    ]
    rows += ["", f"Sources added to the real image, away from real ones (IoU {IOU}):", ""]
    rows += ["| peak / noise | added | found | share |", "| --- | ---: | ---: | ---: |"]
    for low, high, added, found in back:
        rows.append(f"| {low:g} - {high:g} | {added} | {found} | {found / max(added, 1):.3f} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
