"""The score of SKA Science Data Challenge 1 (continuum): Bonaldi et al. 2021, MNRAS 500, 3821."""

import numpy as np

from astrokeras.survey.challenge_score import (
    SIGMAS,
    ChallengeScore,
    best_of,
    check_protocol,
    chord,
    directions,
    points_for,
    relative_error,
    separation,
    taken,
)
from astrokeras.survey.crossmatch import pairs_within
from astrokeras.survey.source_table import source_columns

SDC1_UNITS = {
    "id": None,
    "ra_core": "deg",
    "dec_core": "deg",
    "ra_cent": "deg",
    "dec_cent": "deg",
    "flux": "Jy",
    "core_frac": None,
    "b_maj": "arcsec",
    "b_min": "arcsec",
    "pa": "deg",
    "size": None,
    "class": None,
}
TRAINING_AREA = {  # MHz -> right ascension from, to, declination from, to (degrees)
    560: (-0.6723, 0.0, -29.9400, -29.4061),
    1400: (-0.2688, 0.0, -29.9400, -29.7265),
    9200: (-0.04092, 0.0, -29.9400, -29.9074),
}
LARGEST, GAUSSIAN, EXPONENTIAL = 1, 2, 3  # what a size is: largest angular scale, full width at half maximum, scale
GAUSSIAN_OVER_LARGEST = 1.0 / (5.0 / 2.355)  # the largest scale is 5 sigma
GAUSSIAN_OVER_EXPONENTIAL = 2**0.5
DISTANCE_SCALES = {"position": 0.31 * 3.0, "flux": 0.12 * 3.0, "size": 1.46 * 3.0}
LIMITS = {"position": 0.3, "flux": 0.1, "b_maj": 0.3, "b_min": 0.3, "pa": 10.0, "core_frac": 0.05}


def sdc1_score(
    submission,
    truth,
    frequency: int = 560,
    protocol: str = "official",
    *,
    position: str = "core",
    area: str = "test",
) -> ChallengeScore:
    """Score a catalogue as SKA Science Data Challenge 1 does.

    A detection's candidates are the true sources within its size convolved with the beam; the nearest in position,
    flux and size together is kept, and of several detections of one true source the nearest. A match at less than 5 in
    that distance has seven equal parts of at most 1/7: position, flux, major and minor axis, position angle, core
    fraction, class. The score is their sum less one for each other detection.

    `protocol="official"` gives the numbers of the official package `ska-sdc` 2.0.0 (BSD-3), with its quirks: candidates
    lie in a circle of (right ascension, declination) taken as plane coordinates; angles lose 180, then 90, then 45
    degrees (10 and 100 count as equal, 170 and -10, the same axis, as 45 apart); where a column has a negative value
    its zeros are dropped as well; of rows of one `id` only one can match; a true value of 0 gives no points even where
    the submitted one is 0; without any match the score is 0, however many detections are false. `protocol="physical"`
    takes angles on the sky, position angles modulo 180 degrees, drops negative values only, takes rows as they are,
    gives equal values full points, and counts every false detection.

    Args:
        submission: table, dict of arrays, data frame or path (see `source_columns`) with the columns `id`, `ra_core`,
            `dec_core`, `ra_cent`, `dec_cent` (degrees), `flux` (Jy, corrected for the primary beam), `core_frac`,
            `b_maj`, `b_min` (arcsec), `pa` (degrees), `size` (1 largest angular scale, 2 Gaussian, 3 exponential),
            `class` (1 steep, 2 flat spectrum nucleus, 3 star-forming galaxy). Rows with a NaN are dropped.
        truth: the true sources, likewise.
        frequency: of the image in MHz: 560, 1400 or 9200; it gives the beam (0.25 arcsec at 1400) and training area.
        protocol: `"official"` or `"physical"`.
        position: which positions are compared for the candidates: `"core"` or `"centroid"`; the points for the
            position always go by the better of both.
        area: `"test"` leaves the training area out, `"train"` keeps it alone, `"all"` keeps everything.

    Returns:
        A `ChallengeScore`.

    Raises:
        ValueError: if a column is missing or no numbers, or an argument is none of those named.

    Example:
        >>> import numpy as np
        >>> from astrokeras.survey.sdc1_score import SDC1_UNITS, sdc1_score
        >>> truth = dict.fromkeys(SDC1_UNITS, np.full(2, 2.0)) | {"id": np.arange(2), "ra_core": np.array([1.0, 1.1])}
        >>> found = truth | {"ra_core": np.array([1.0, 1.2]), "pa": np.array([42.0, 0.0])}
        >>> print(sdc1_score(found, truth, protocol="physical").describe())
        SDC1 score (physical): -0.11
        detections 2, matched 1, false 1 (of them near a source but rejected 0); true sources 2
        purity 0.5000, completeness 0.5000, mean accuracy 0.8929
        accuracy of position 1.000, flux 1.000, b_maj 1.000, b_min 1.000, pa 0.250, core_frac 1.000, class 1.000
    """
    check_protocol(protocol)
    official = protocol == "official"
    if frequency not in TRAINING_AREA:
        raise ValueError(f"Expected frequency to be 560, 1400 or 9200 MHz; received {frequency!r}.")
    if position not in ("core", "centroid"):
        raise ValueError(f"Expected position to be 'core' or 'centroid'; received {position!r}.")
    if area not in ("test", "train", "all"):
        raise ValueError(f"Expected area to be 'test', 'train' or 'all'; received {area!r}.")
    beam = 0.25 / frequency * 1400
    where = "_core" if position == "core" else "_cent"
    found, judged = _prepared(submission, "submission", frequency, area, official)
    true, truth_judged = _prepared(truth, "truth", frequency, area, official)
    reach, true_size = _convolved(found, beam), _convolved(true, beam)
    if official:
        flat = [np.stack([table["ra" + where], table["dec" + where]], axis=1) for table in (true, found)]
        mine, theirs = pairs_within(*flat, reach * (1 / 3600))
    else:
        round_ = [directions(table["ra" + where], table["dec" + where]) for table in (true, found)]
        mine, theirs = pairs_within(*round_, chord(reach))
    distance = _distance(taken(found, mine), taken(true, theirs), true_size[theirs], where, official)
    best = best_of((found["id"] if official else np.arange(len(reach)))[mine], distance)
    mine, theirs, distance = mine[best], theirs[best], distance[best]
    best = best_of((true["id"] if official else np.arange(len(true_size)))[theirs], distance)
    best = best[np.argsort(mine[best], kind="stable")]
    mine, theirs, distance = mine[best], theirs[best], distance[best]
    near = distance < SIGMAS
    n_bad = int((distance >= SIGMAS).sum())
    mine, theirs, distance = mine[near], theirs[near], distance[near]
    points = _points(taken(found, mine), taken(true, theirs), beam, official)
    n_match, n_detections = len(mine), len(reach)
    score = float(np.mean(list(points.values()), axis=0).sum()) - (n_detections - n_match)
    if official and not n_match:
        score = 0.0
    return ChallengeScore(
        challenge="SDC1",
        protocol=protocol,
        score=score,
        n_detections=n_detections,
        n_match=n_match,
        n_bad=n_bad,
        n_false=n_detections - n_match,
        n_truth=len(true_size),
        points=points,
        share=np.ones(n_match),
        rows=np.flatnonzero(judged)[mine],
        truth_rows=np.flatnonzero(truth_judged)[theirs],
        distance=distance,
        judged=judged,
        truth_judged=truth_judged,
    )


def _prepared(source, what: str, frequency: int, area: str, official: bool) -> tuple[dict, np.ndarray]:
    """Return the columns of the rows that count, and which rows of the source those are."""
    columns = source_columns(source, SDC1_UNITS, what)
    kept = ~np.isnan(list(columns.values())).any(axis=0)
    for name in ("flux", "core_frac", "b_min", "b_maj"):
        if official:
            if (columns[name][kept] < 0).any():
                kept &= columns[name] > 0
        else:
            kept &= columns[name] >= 0
    for name in ("ra_core", "ra_cent"):
        columns[name] = np.where(columns[name] > 180, columns[name] - 360, columns[name])
    if area != "all":
        west, east, south, north = TRAINING_AREA[frequency]
        ra, dec = columns["ra_core"], columns["dec_core"]
        if area == "train":
            kept &= (ra > west) & (ra < east) & (dec > south) & (dec < north)
        else:
            kept &= (ra < west) | (ra > east) | (dec < south) | (dec > north)
    return taken(columns, kept), kept


def _to_gaussian(size: np.ndarray) -> np.ndarray:
    """Return the factor that makes a size a full width at half maximum; NaN for what is no kind of size."""
    factors = GAUSSIAN_OVER_LARGEST, 1.0, GAUSSIAN_OVER_EXPONENTIAL
    return np.select([size == LARGEST, size == GAUSSIAN, size == EXPONENTIAL], factors, np.nan)


def _convolved(table: dict, beam: float) -> np.ndarray:
    """Return the larger axis convolved with the beam, in arcsec."""
    factor = np.nan_to_num(_to_gaussian(table["size"]), nan=1.0)
    return np.sqrt((np.maximum(table["b_maj"], table["b_min"]) * factor) ** 2 + beam**2)


def _distance(found: dict, true: dict, true_size: np.ndarray, where: str, official: bool) -> np.ndarray:
    """Return the distance of pairs in position, flux and size together."""
    flux = relative_error(found["flux"], true["flux"], official)
    widths = [(table["b_maj"] + table["b_min"]) / 2 * _to_gaussian(table["size"]) for table in (true, found)]
    size = np.abs(widths[0] - widths[1]) / true_size
    parts = {"position": separation(true, found, where) / true_size, "flux": flux, "size": size}
    return np.sqrt(sum((parts[name] / scale) ** 2 for name, scale in DISTANCE_SCALES.items()))


def _points(found: dict, true: dict, beam: float, official: bool) -> dict[str, np.ndarray]:
    """Return the points of each property of each match."""
    size = np.sqrt(4 * beam**2 + ((true["b_maj"] + true["b_min"]) / 2) ** 2)
    shift = np.minimum(separation(true, found, "_cent") / size, separation(true, found, "_core") / size)
    resized = _resized(found["size"], true["size"])
    errors = {"position": shift, "flux": relative_error(found["flux"], true["flux"], official)}
    for name in ("b_maj", "b_min"):
        errors[name] = relative_error(found[name] * resized, true[name], official)
    if official:
        errors["pa"] = np.abs(_folded(found["pa"]) - _folded(true["pa"]))
    else:
        errors["pa"] = np.abs((found["pa"] - true["pa"] + 90) % 180 - 90)
    errors["core_frac"] = np.abs(found["core_frac"] - true["core_frac"]) / 0.75
    points = {name: points_for(errors[name], limit) for name, limit in LIMITS.items()}
    for name in ("b_min", "pa"):
        points[name][true["size"] == LARGEST] = 1.0  # not defined for steep-spectrum nuclei
    points["class"] = (found["class"] == true["class"]).astype(float)
    return points


def _resized(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return the factor that turns the found kind of size into the true kind, as the official package has it."""
    factors = {
        (LARGEST, GAUSSIAN): GAUSSIAN_OVER_LARGEST,
        (LARGEST, EXPONENTIAL): GAUSSIAN_OVER_LARGEST * (1 / GAUSSIAN_OVER_EXPONENTIAL),
        (GAUSSIAN, LARGEST): 5.0 / 2.355,
        (GAUSSIAN, EXPONENTIAL): 1 / GAUSSIAN_OVER_EXPONENTIAL,
        (EXPONENTIAL, LARGEST): 1 / (GAUSSIAN_OVER_LARGEST * (1 / GAUSSIAN_OVER_EXPONENTIAL)),
        (EXPONENTIAL, GAUSSIAN): GAUSSIAN_OVER_EXPONENTIAL,
    }
    conditions = [(found == a) & (true == b) for a, b in factors]
    return np.select(conditions, list(factors.values()), 1.0)


def _folded(angle: np.ndarray) -> np.ndarray:
    """Return position angles as the official package folds them."""
    for above, step in ((180, 180), (90, 90), (45, 45)):
        angle = np.where(angle > above, angle - step, angle)
    return np.where(angle < -45, angle + 45, angle)
