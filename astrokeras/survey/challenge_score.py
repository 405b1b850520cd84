"""What the scores of SDC1 and SDC2 have in common: the result, the sieve of candidates, the points for an error."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

PROTOCOLS = ("official", "physical")
SIGMAS = 5.0  # a candidate farther than this in the challenge's own distance is rejected


@dataclass(frozen=True, eq=False)
class ChallengeScore:
    """Result of `sdc1_score` and `sdc2_score`.

    Attributes:
        challenge: `"SDC1"` or `"SDC2"`.
        protocol: `"official"` or `"physical"`.
        score: the challenge's number: points of the matches less one for each false detection.
        n_detections: detections judged.
        n_match: of them, matched with a true source.
        n_bad: of them, near a true source but rejected as too unlike.
        n_false: detections less matches.
        n_truth: true sources judged.
        points: property -> `(n_match,)` points from 0 to 1 (in SDC2 before they are shared).
        share: `(n_match,)` what each match counts: 1, in SDC2 one over the detections of the same true source.
        rows: `(n_match,)` rows of the submission as given.
        truth_rows: `(n_match,)` rows of the truth as given.
        distance: `(n_match,)` the challenge's distance between detection and true source, below 5.
        judged: `(rows of the submission,)` whether the detection counts (inside the area, no bad value).
        truth_judged: `(rows of the truth,)` likewise.

    Example:
        >>> import numpy as np
        >>> from astrokeras.survey.challenge_score import ChallengeScore
        >>> result = ChallengeScore("SDC1", "physical", -0.2, 2, 1, 0, 1, 4, {"flux": np.array([0.8])}, np.ones(1),
        ...     np.array([1]), np.array([3]), np.array([0.5]), np.ones(2, bool), np.ones(4, bool))
        >>> result.purity, result.completeness, result.gains
        (0.5, 0.25, array([-1. ,  0.8]))
    """

    challenge: str
    protocol: str
    score: float
    n_detections: int
    n_match: int
    n_bad: int
    n_false: int
    n_truth: int
    points: Mapping[str, np.ndarray] = field(repr=False)
    share: np.ndarray = field(repr=False)
    rows: np.ndarray = field(repr=False)
    truth_rows: np.ndarray = field(repr=False)
    distance: np.ndarray = field(repr=False)
    judged: np.ndarray = field(repr=False)
    truth_judged: np.ndarray = field(repr=False)

    @property
    def match_score(self) -> float:
        """Sum of the points of the matches, `(n_match,)` means over the properties."""
        return float((self._means() * self.share).sum())

    @property
    def accuracy(self) -> float:
        """Mean points of a match, 0 to 1; NaN without matches."""
        return self.match_score / self.n_match if self.n_match else np.nan

    @property
    def accuracies(self) -> dict[str, float]:
        """Mean points of each property over the matches, 0 to 1; NaN without matches."""
        return {name: float(values.mean()) if len(values) else np.nan for name, values in self.points.items()}

    @property
    def purity(self) -> float:
        """Matches over detections; NaN without detections."""
        return self.n_match / self.n_detections if self.n_detections else np.nan

    @property
    def completeness(self) -> float:
        """True sources found over true sources judged, the undetectable ones included; NaN without any."""
        return float(self.found[self.truth_judged].mean()) if self.n_truth else np.nan

    @property
    def matched(self) -> np.ndarray:
        """Whether each row of the submission is a match, `(rows of the submission,)` bool."""
        return _marked(self.rows, len(self.judged))

    @property
    def found(self) -> np.ndarray:
        """Whether each row of the truth is matched, `(rows of the truth,)` bool."""
        return _marked(self.truth_rows, len(self.truth_judged))

    @property
    def gains(self) -> np.ndarray:
        """What each row of the submission adds to the score: its points, -1 if false, 0 if not judged."""
        gains = np.where(self.judged, -1.0, 0.0)
        gains[self.rows] = self._means() * self.share
        return gains

    def _means(self) -> np.ndarray:
        return np.mean(list(self.points.values()), axis=0)

    def describe(self) -> str:
        """Return the score in a few lines of text."""
        parts = ", ".join(f"{name} {value:.3f}" for name, value in self.accuracies.items())
        return (
            f"{self.challenge} score ({self.protocol}): {self.score:.2f}\n"
            f"detections {self.n_detections}, matched {self.n_match}, false {self.n_false} (of them near a source but "
            f"rejected {self.n_bad}); true sources {self.n_truth}\n"
            f"purity {self.purity:.4f}, completeness {self.completeness:.4f}, mean accuracy {self.accuracy:.4f}\n"
            f"accuracy of {parts}"
        )


def relative_error(found: np.ndarray, true: np.ndarray, official: bool) -> np.ndarray:
    """Return |found - true| / true: inf over 0; 0 / 0 is NaN in the official package, 0 else."""
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.abs(found - true) / true
    return error if official else np.where(found == true, 0.0, error)


def points_for(error: np.ndarray, limit: float) -> np.ndarray:
    """Return 1 for errors up to a limit, limit / error beyond, 0 for NaN."""
    with np.errstate(divide="ignore"):
        return np.nan_to_num(np.minimum(1.0, 1.0 / error * limit), nan=0.0)


def best_of(group: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Return the row with the smallest distance of each group, in the order of the groups; NaN counts as farthest."""
    order = np.lexsort((distance, group))
    first = np.diff(group[order], prepend=np.nan) != 0
    return order[first]


def check_protocol(protocol: str) -> None:
    """Refuse other protocols than those there are."""
    if protocol not in PROTOCOLS:
        raise ValueError(f"Expected protocol to be one of {', '.join(PROTOCOLS)}; received {protocol!r}.")


def separation(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray], which: str = "") -> np.ndarray:
    """Return the angles in arcsec between the positions of two tables (`ra`, `dec` + which), row by row."""
    from astropy.coordinates import angular_separation

    places = [np.radians(table[name + which]) for table in (one, other) for name in ("ra", "dec")]
    return np.degrees(angular_separation(*places)) * 3600


def directions(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Return unit vectors `(n, 3)` of sky positions in degrees."""
    ra, dec = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)


def chord(arcsec: np.ndarray) -> np.ndarray:
    """Return the length of the chord under an angle, on the unit sphere."""
    return 2 * np.sin(np.radians(np.minimum(arcsec / 3600, 180.0)) / 2)


def taken(columns: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return rows of a table of columns."""
    return {name: values[rows] for name, values in columns.items()}


def _marked(rows: np.ndarray, count: int) -> np.ndarray:
    marked = np.zeros(count, bool)
    marked[rows] = True
    return marked
