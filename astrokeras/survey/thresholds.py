"""The score threshold of each prior, tuned on a catalogue whose truth is known."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

TARGETS = {"score": None, "purity": 0.9}


@dataclass(frozen=True)
class Thresholds:
    """Result of `tune_thresholds`.

    Attributes:
        values: lowest score of each prior, in their order: the `score_threshold` of a detector.
        objective: what was tuned for.
        score_before: sum of the gains of the whole catalogue.
        score_after: sum of the gains of what the thresholds keep.
        counts: for each prior detections and matches before, detections and matches after.
        column: the catalogue's column of scores.
        prior_column: the catalogue's column of priors.

    Example:
        >>> from astrokeras.survey.thresholds import Thresholds
        >>> result = Thresholds((0.5, 0.25), "score", 1.0, 3.5, ((4, 2, 2, 2), (3, 2, 3, 2)), "objectness", "prior")
        >>> result.keep({"objectness": [0.4, 0.4], "prior": [0, 1]})
        array([False,  True])
    """

    values: tuple[float, ...]
    objective: str
    score_before: float
    score_after: float
    counts: tuple[tuple[int, int, int, int], ...]
    column: str
    prior_column: str

    def keep(self, catalogue) -> np.ndarray:
        """Return which rows of a catalogue reach the threshold of their prior, `(n,)` bool."""
        scores, priors = _scores(catalogue, self.column, self.prior_column, len(self.values))
        return scores >= np.array(self.values)[priors]

    def describe(self) -> str:
        """Return thresholds and purity of each prior, before and after, as text."""
        lines = [f"thresholds for {self.objective}: score {self.score_before:.2f} -> {self.score_after:.2f}"]
        for prior, (value, (n, match, kept, hit)) in enumerate(zip(self.values, self.counts, strict=True)):
            purity = f"purity {_share(match, n)} -> {_share(hit, kept)}"
            lines.append(f"prior {prior}: {value:.4f}, detections {n} -> {kept}, {purity}")
        return "\n".join(lines)


def tune_thresholds(
    catalogue,
    score: Callable,
    objective: str = "score",
    target: float | None = None,
    *,
    priors: int | None = None,
    column: str = "score",
    prior_column: str = "prior",
    least: int = 10,
    rounds: int = 4,
) -> Thresholds:
    """Find the score threshold of each prior that serves an objective best.

    The catalogue comes from a detection with low thresholds on an area whose truth is known, and not the one that is
    judged later. All of it is scored; each prior's detections are then added from the surest down, and the threshold
    stands where the sum of the gains is largest, or as low as the purity allows. Because a detection that goes can
    leave its true source to another, what is kept is scored again, up to `rounds` times; the best of the rounds is
    returned. CIANNA's post_process.py does the same in bins of objectness.

    Args:
        catalogue: table or dict of arrays with a column of scores and one of prior numbers (0 for all without it).
        score: function of a catalogue (rows of this one) that returns a `ChallengeScore`, or the gain of each row,
            `(n,)`: the points of a match (> 0), -1 for a false detection, 0 for what is not judged.
        objective: `"score"` for the largest sum of gains, `"purity"` for as many detections as keep each prior's
            purity at the target.
        target: purity, above 0 to 1; `None` is 0.9.
        priors: number of priors; `None` is that of the catalogue.
        column: name of the column of scores.
        prior_column: name of the column of priors.
        least: a prior with fewer judged detections takes the threshold of all priors together.
        rounds: how often the rest is scored again, at most.

    Returns:
        `Thresholds`; a prior that only harms has a threshold of 1 or above.

    Raises:
        ValueError: if the objective, the target or a prior is out of range, a column is missing, or the score function
            returns another number of gains than rows.

    Example:
        >>> import numpy as np
        >>> from astrokeras.survey.thresholds import tune_thresholds
        >>> catalogue = {"score": np.array([0.9, 0.8, 0.3, 0.2]), "true": np.array([1, 1, 0, 0])}
        >>> found = tune_thresholds(catalogue, lambda rows: np.where(rows["true"], 0.8, -1.0), least=1)
        >>> print(found.describe())
        thresholds for score: score -0.40 -> 1.60
        prior 0: 0.5500, detections 4 -> 2, purity 0.500 -> 1.000
    """
    if objective not in TARGETS:
        raise ValueError(f"Expected objective to be one of {', '.join(TARGETS)}; received {objective!r}.")
    target = TARGETS[objective] if target is None else target
    if target is not None and not 0 < target <= 1:
        raise ValueError(f"Expected target above 0 and up to 1; received {target!r}.")
    scores, which = _scores(catalogue, column, prior_column, priors)
    if not len(scores):
        raise ValueError(
            "Expected detections to tune thresholds on; received an empty catalogue: lower its thresholds."
        )
    priors = int(which.max()) + 1 if priors is None else priors
    kept = np.ones(len(scores), bool)
    values = np.full(priors, scores.min())
    first = best = None
    for _ in range(max(rounds, 1) + 1):
        gains = np.zeros(len(scores))
        gains[kept] = _gains(score(_rows(catalogue, kept)), int(kept.sum()))
        judged = gains != 0
        first = gains if first is None else first
        worth = _worth(gains, objective, target)
        if best is None or worth > best[0]:
            best = worth, values, gains
        pooled = _cut(scores[judged], gains[judged], objective, target)
        values = np.full(priors, pooled)
        for prior in range(priors):
            some = judged & (which == prior)
            if some.sum() >= least:
                values[prior] = _cut(scores[some], gains[some], objective, target)
        now = kept & (scores >= values[which])
        if (now == kept).all():
            break
        kept = now
    _, _, gains = best
    counts = []
    for prior in range(priors):
        mine = which == prior
        counts.append(tuple(int(part[mine].sum()) for part in (first != 0, first > 0, gains != 0, gains > 0)))
    return Thresholds(
        values=tuple(map(float, best[1])),
        objective=objective if target is None else f"{objective} {target:g}",
        score_before=float(first.sum()),
        score_after=float(gains.sum()),
        counts=tuple(counts),
        column=column,
        prior_column=prior_column,
    )


def _cut(scores: np.ndarray, gains: np.ndarray, objective: str, target: float | None) -> float:
    """Return the threshold of some judged detections: halfway between the last that stays and the first that goes."""
    if not len(scores):
        return 1.0
    order = np.argsort(-scores, kind="stable")
    scores, gains = scores[order], gains[order]
    ends = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # equal scores stay or go together
    if objective == "score":
        total = np.cumsum(gains)[ends]
        place = total.argmax() if total.max() > 0 else None
    else:
        pure = np.flatnonzero(np.cumsum(gains > 0)[ends] >= target * (ends + 1))
        place = pure[-1] if len(pure) else None
    if place is None:
        return max(1.0, float(np.nextafter(scores[0], np.inf)))
    last = ends[place]
    return float(scores[last] if last == len(scores) - 1 else (float(scores[last]) + float(scores[last + 1])) / 2)


def _worth(gains: np.ndarray, objective: str, target: float | None) -> float:
    """Return what the rounds are compared by: the score, or the matches at the wanted purity."""
    if objective == "score":
        return gains.sum()
    matches, judged = (gains > 0).sum(), (gains != 0).sum()
    return matches if matches >= target * judged else matches / judged - 1


def _gains(result, count: int) -> np.ndarray:
    gains = np.asarray(getattr(result, "gains", result), float)
    if gains.shape != (count,):
        raise ValueError(
            f"Expected the score function to give one gain for each of the {count} rows; received shape {gains.shape}."
        )
    return gains


def _rows(catalogue, kept: np.ndarray):
    if hasattr(catalogue, "colnames"):
        return catalogue[kept]
    return {name: np.asarray(values)[kept] for name, values in catalogue.items()}


def _scores(catalogue, column: str, prior_column: str, priors: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and prior numbers of a catalogue."""
    has = catalogue.colnames if hasattr(catalogue, "colnames") else list(catalogue)
    if column not in has:
        raise ValueError(f"Expected the catalogue to have a column {column}; it has {', '.join(has)}: name another.")
    scores = np.asarray(catalogue[column], float)
    which = np.asarray(catalogue[prior_column], int) if prior_column in has else np.zeros(len(scores), int)
    if len(which) and (which.min() < 0 or (priors is not None and which.max() >= priors)):
        raise ValueError(
            f"Expected priors from 0 to {'one less than their number' if priors is None else priors - 1} in the column "
            f"{prior_column}; received {which.min()} to {which.max()}."
        )
    return scores, which


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "-"
