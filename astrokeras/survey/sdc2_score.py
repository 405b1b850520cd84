"""The score of SKA Science Data Challenge 2 (neutral hydrogen): Hartley et al. 2023, MNRAS 523, 1967."""

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

SDC2_UNITS = {
    "id": None,
    "ra": "deg",
    "dec": "deg",
    "hi_size": "arcsec",
    "line_flux_integral": "Jy Hz",
    "central_freq": "Hz",
    "pa": "deg",
    "i": "deg",
    "w20": "km / s",
}
BAND = 0.95e9, 1.15e9  # Hz
BEAM = 7.0  # arcsec
REST_FREQUENCY = 1.420405752e9  # Hz
CENTRE = 180.0, -30.0  # right ascension and declination of the field, degrees
LIGHT = 299792.458  # km/s
HUBBLE, MATTER, VACUUM = 67.0, 0.32, 0.68
RADIAN = 206265  # arcsec, as the official package rounds it
LIMITS = {"position": 0.3, "central_freq": 0.3, "flux": 0.1, "hi_size": 0.3, "pa": 10.0, "w20": 0.3, "i": 10.0}


def sdc2_score(submission, truth, protocol: str = "official") -> ChallengeScore:
    """Score a catalogue as SKA Science Data Challenge 2 does.

    A detection's candidates are the true sources near it on the sky and in frequency; the nearest in position,
    frequency, flux, size and line width together is kept. A match at less than 5 in that distance has seven equal
    parts of at most 1/7: position, central frequency, line flux, HI size, position angle, line width, inclination.
    Several detections of one true source all match and share its points, so there may be more matches than true sources
    found, which completeness counts. The score is the sum of the points less one for each other detection. Rows with a
    NaN are dropped, those outside 0.95 to 1.15 GHz match nothing. Position angles are compared modulo 360 degrees in
    both protocols, since the challenge asks for the receding side of the major axis.

    `protocol="official"` gives the numbers of the official package `ska-sdc` 2.0.0 (BSD-3), with its quirks: candidates
    lie in a sphere whose radius is the larger of the detection's own beam-convolved size and its line width as a depth,
    both in Mpc, with the angular diameter distance as third coordinate; points are shared with detections that were
    rejected as too unlike; of rows of one `id` only one can match; a true value of 0 gives no points even where the
    submitted one is 0. `protocol="physical"` takes as candidates all detections within the true source's
    beam-convolved size and line width, shares among matches only, takes rows as they are, and gives equal values full
    points.

    Args:
        submission: table, dict of arrays, data frame or path (see `source_columns`) with the columns `id`, `ra`, `dec`
            (degrees), `hi_size` (arcsec), `line_flux_integral` (Jy Hz), `central_freq` (Hz), `pa`, `i` (degrees),
            `w20` (km/s).
        truth: the true sources, likewise.
        protocol: `"official"` or `"physical"`.

    Returns:
        A `ChallengeScore`.

    Raises:
        ValueError: if a column is missing or no numbers, or the protocol is unknown.

    Example:
        >>> import numpy as np
        >>> from astrokeras.survey.sdc2_score import SDC2_UNITS, sdc2_score
        >>> truth = dict.fromkeys(SDC2_UNITS, np.full(2, 50.0)) | {"id": np.arange(2), "central_freq": [1e9, 1.1e9]}
        >>> found = truth | {"line_flux_integral": [50.0, 60.0]}
        >>> print(sdc2_score(found, truth).describe())
        SDC2 score (official): 1.93
        detections 2, matched 2, false 0 (of them near a source but rejected 0); true sources 2
        purity 1.0000, completeness 1.0000, mean accuracy 0.9643
        accuracy of position 1.000, central_freq 1.000, flux 0.750, hi_size 1.000, pa 1.000, w20 1.000, i 1.000
    """
    check_protocol(protocol)
    official = protocol == "official"
    found, in_band, judged = _prepared(submission, "submission")
    true, truth_judged, _ = _prepared(truth, "truth")
    if official:
        places, queries = _places(true), _places(found)
        own_size = found["conv_size"] / RADIAN * _angular_distance(found["central_freq"])
        deeper = _angular_distance(found["central_freq"] + found["spectral_size"])
        own_depth = _angular_distance(found["central_freq"]) - deeper
        mine, theirs = pairs_within(places, queries, np.maximum(own_size, own_depth))
    else:
        places, queries = (directions(table["ra"], table["dec"]) for table in (found, true))
        theirs, mine = pairs_within(places, queries, chord(true["conv_size"]))
    parts = _parts(taken(found, mine), taken(true, theirs), official)
    close = (parts[0] < 1) & (parts[1] < 1)
    mine, theirs, distance = mine[close], theirs[close], np.sqrt(sum(part[close] ** 2 for part in parts))
    best = best_of((found["id"] if official else np.arange(len(found["id"])))[mine], distance)
    mine, theirs, distance = mine[best], theirs[best], distance[best]
    near = distance < SIGMAS
    n_bad = int((distance >= SIGMAS).sum())
    counted = np.ones_like(near) if official else near
    _, source = np.unique((true["id"] if official else np.arange(len(true["id"])))[theirs], return_inverse=True)
    share = 1 / np.maximum(np.bincount(source, counted), 1)[source]
    order = np.flatnonzero(near)
    order = order[np.argsort(mine[order], kind="stable")]
    mine, theirs, distance, share = mine[order], theirs[order], distance[order], share[order]
    points = _points(taken(found, mine), taken(true, theirs), official)
    n_match, n_detections = len(mine), int(judged.sum())
    score = float((np.mean(list(points.values()), axis=0) * share).sum()) - (n_detections - n_match)
    return ChallengeScore(
        challenge="SDC2",
        protocol=protocol,
        score=score,
        n_detections=n_detections,
        n_match=n_match,
        n_bad=n_bad,
        n_false=n_detections - n_match,
        n_truth=int(truth_judged.sum()),
        points=points,
        share=share,
        rows=np.flatnonzero(in_band)[mine],
        truth_rows=np.flatnonzero(truth_judged)[theirs],
        distance=distance,
        judged=judged,
        truth_judged=truth_judged,
    )


def _prepared(source, what: str) -> tuple[dict, np.ndarray, np.ndarray]:
    """Return the columns of the rows inside the band, which rows those are, and which have no NaN."""
    columns = source_columns(source, SDC2_UNITS, what)
    known = ~np.isnan(list(columns.values())).any(axis=0)
    kept = known & (columns["central_freq"] > BAND[0]) & (columns["central_freq"] < BAND[1])
    columns = taken(columns, kept)
    columns["conv_size"] = np.sqrt(columns["hi_size"] ** 2 + BEAM**2)
    columns["spectral_size"] = columns["w20"] * columns["central_freq"] ** 2 / (LIGHT * REST_FREQUENCY)  # Hz
    return columns, kept, known


def _angular_distance(frequency: np.ndarray) -> np.ndarray:
    """Return the angular diameter distance in Mpc of the line seen at a frequency (Hz), in the flat cosmology above."""
    redshift = REST_FREQUENCY / frequency - 1
    nodes, weights = np.polynomial.legendre.leggauss(20)  # to rounding, for redshifts below 1
    total = np.zeros_like(redshift)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        total += weight / np.sqrt(MATTER * (1 + node * redshift) ** 3 + VACUUM)
    return LIGHT / HUBBLE * redshift * total / (1 + redshift)


def _places(table: dict) -> np.ndarray:
    """Return offsets from the centre of the field and the angular diameter distance, in Mpc, `(n, 3)`."""
    ra, dec = np.radians(table["ra"] - CENTRE[0]), np.radians(table["dec"])
    centre = np.radians(CENTRE[1])
    toward = np.cos(dec) * np.cos(ra) * np.cos(centre) + np.sin(dec) * np.sin(centre)
    east = np.cos(dec) * np.sin(ra)
    north = np.sin(dec) * np.cos(centre) - np.cos(dec) * np.cos(ra) * np.sin(centre)
    angles = np.stack([np.arctan2(east, toward), np.arctan2(north, np.hypot(east, toward))], axis=1)
    distance = _angular_distance(table["central_freq"])[:, None]
    return np.concatenate([distance * angles, distance], axis=1)


def _parts(found: dict, true: dict, official: bool) -> list[np.ndarray]:
    """Return the five parts of the distance of pairs: position, frequency, flux, size, line width."""
    return [
        separation(true, found) / true["conv_size"],
        _frequency_error(found, true),
        relative_error(found["line_flux_integral"], true["line_flux_integral"], official),
        np.abs(found["hi_size"] - true["hi_size"]) / true["conv_size"],
        relative_error(found["w20"], true["w20"], official),
    ]


def _points(found: dict, true: dict, official: bool) -> dict[str, np.ndarray]:
    """Return the points of each property of each match."""
    errors = {
        "position": separation(true, found) / np.sqrt(4 * BEAM**2 + true["hi_size"] ** 2),
        "central_freq": _frequency_error(found, true),
        "flux": relative_error(found["line_flux_integral"], true["line_flux_integral"], official),
        "hi_size": relative_error(found["hi_size"], true["hi_size"], official),
        "pa": np.abs((found["pa"] - true["pa"] + 180) % 360 - 180),
        "w20": relative_error(found["w20"], true["w20"], official),
        "i": np.abs(found["i"] - true["i"]),
    }
    return {name: points_for(errors[name], limit) for name, limit in LIMITS.items()}


def _frequency_error(found: dict, true: dict) -> np.ndarray:
    """Return the shift in frequency over the true line width; a line without width is never met."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.abs(found["central_freq"] - true["central_freq"]) / true["spectral_size"]
