"""The rating loop: which object to look at next, given what a person found interesting so far."""

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from astrokeras.discovery.features import standardised
from astrokeras.discovery.ratings import LARGEST, Rating, Ratings
from astrokeras.discovery.scores import anomaly_scores, distance_to_rated, predict_ratings, trained_scores
from astrokeras.whole_file import replacing

ORDERS = ("raw", "trained", "random")


class Progress(NamedTuple):
    """How far the rating has come: `rated` of `total`, `session` ratings since the start, `counts` of each rating 0..5.

    Example:
        >>> from astrokeras import discovery
        >>> discovery.Progress(1, 3, 1, (0, 0, 0, 0, 1, 0)).counts[4]
        1
    """

    rated: int
    total: int
    session: int
    counts: tuple[int, ...]


class Recommender:
    """Rank objects by how unusual they are, and by how interesting you are likely to find them.

    Rate some objects from 0 (boring) to 5 (exciting), `retrain()`, and look at what then comes first. The ratings are
    in a SQLite file; the next `Recommender` of the same file goes on with them.

    Args:
        ids: of the objects, all different.
        features: `(n, features)`, in the order of the ids; they are standardised.
        database: path of the file with the ratings; it is made if missing.
        method: of `anomaly_scores`: `"isolation_forest"` or `"lof"`.
        alpha: how fast the trust in predicted ratings decays, see `trained_scores`.
        seed: of the forests; the same ratings and seed give the same scores.
        fingerprint: of the images, as `ObjectImages` has it.

    Attributes:
        ids: of the objects; `places` leads from an id to its place among them.
        features: `(n, features)`, standardised.
        raw: `(n,)` anomaly scores 0..5.
        predicted: `(n,)` predicted ratings 0..5, NaN where nothing was rated.
        trained: `(n,)` trained scores 0..5; the raw ones where nothing was rated.

    Raises:
        ValueError: if ids and features do not suit each other, a feature is no number, or the database is of another
            program or of other images.
        TimeoutError: if another program has locked the database.
        ImportError: if scikit-learn is missing.

    Reference:
        Lochner & Bassett 2021, Astronomy and Computing 36, 100481, arXiv:2010.11202.

    Example:
        >>> import numpy as np
        >>> from astrokeras import discovery
        >>> features = np.array([[0.0], [0.1], [0.2], [0.3], [7.0], [-6.0]])
        >>> recommender = discovery.Recommender("abcdef", features, "letters.sqlite")
        >>> sorted(recommender.rank()[:2])
        ['e', 'f']
        >>> recommender.rate("e", 0)
        >>> recommender.rate("f", 5)
        >>> recommender.retrain()
        >>> recommender.rank("trained")[0]
        'f'
    """

    def __init__(
        self,
        ids: Sequence[str],
        features: np.ndarray,
        database: str | os.PathLike,
        *,
        method: str = "isolation_forest",
        alpha: float = 1.0,
        seed: int = 0,
        fingerprint: str = "",
    ):
        self.ids = [str(name) for name in ids]
        self.places = {name: place for place, name in enumerate(self.ids)}
        self.features = standardised(features, self.ids)
        if len(self.places) != len(self.ids) or len(self.ids) != len(self.features):
            raise ValueError(
                f"Expected as many different ids as rows of features; received {len(self.places)} different ids of "
                f"{len(self.ids)} and {len(self.features)} rows."
            )
        self.alpha, self.seed = alpha, seed
        self._ratings = Ratings(database, self.ids, fingerprint)
        self.raw = anomaly_scores(self.features, method, seed=seed)
        self._reset()
        if self.ratings:
            self.retrain()

    @property
    def database(self) -> Path:
        """Path of the file with the ratings."""
        return self._ratings.path

    @property
    def ratings(self) -> dict[str, Rating]:
        """The ratings that stand: id -> value and time, the latest last."""
        return self._ratings.all()

    @property
    def progress(self) -> Progress:
        """How many objects are rated, of how many, and how."""
        values = [rating.value for rating in self.ratings.values()]
        counts = np.bincount(np.array(values, int), minlength=LARGEST + 1)
        return Progress(len(values), len(self.ids), self._ratings.made(), tuple(counts.tolist()))

    def rate(self, name: str, rating: int) -> None:
        """Rate an object from 0 (boring) to 5 (exciting); it is on the disk when this returns.

        Raises:
            ValueError: if there is no such object, or the rating is not a whole number in 0..5.
            OSError: if the database cannot be written.
        """
        self._ratings.rate(name, rating)

    def delete_ratings(self) -> int:
        """Delete all ratings, and return how many there were; `undo` brings them back."""
        count = self._ratings.delete()
        self._reset()
        return count

    def undo(self) -> str | None:
        """Undo the latest rating, or deletion of ratings, that is not undone yet; step by step also older ones.

        Returns:
            The id of the object whose rating was undone, `""` for a deletion, `None` if there is nothing to undo.
        """
        undone = self._ratings.undo()
        if undone == "":  # all is as it was before the deletion
            self.retrain()
        return undone

    def retrain(self) -> None:
        """Learn from the ratings: predict those of all objects, and combine them with the raw scores.

        Raises:
            ValueError: if nothing is rated.
        """
        ratings = self.ratings
        if not ratings:
            raise ValueError("Expected at least one rating to learn from; there is none: rate some objects first.")
        rated = np.array([self.places[name] for name in ratings])
        values = [rating.value for rating in ratings.values()]
        predicted = predict_ratings(self.features, rated, values, seed=self.seed)
        distances = distance_to_rated(self.features, rated)
        self.predicted, self.trained = predicted, trained_scores(self.raw, predicted, distances, alpha=self.alpha)

    def rank(self, by: str = "raw", *, unrated_first: bool = False, seed: int = 0) -> list[str]:
        """Return the ids, the most interesting first.

        Args:
            by: `"raw"`, the anomaly score; `"trained"`, which knows the ratings of the last `retrain`; `"random"`.
            unrated_first: put what is rated behind everything else.
            seed: of the random order.

        Raises:
            ValueError: if `by` is another word.
        """
        return [self.ids[place] for place in self.order(by, unrated_first=unrated_first, seed=seed)]

    def order(self, by: str = "raw", *, unrated_first: bool = False, seed: int = 0) -> np.ndarray:
        """Return the same as `rank`, as places `(n,)` in `ids`."""
        if by not in ORDERS:
            raise ValueError(f"Expected by to be one of {', '.join(ORDERS)}; received {by!r}.")
        if by == "random":
            order = np.random.default_rng(seed).permutation(len(self.ids))
        else:
            order = np.argsort(-(self.raw if by == "raw" else self.trained), kind="stable")
        if unrated_first:
            rated = np.isin(order, [self.places[name] for name in self.ratings])
            order = np.concatenate([order[~rated], order[rated]])
        return order

    def similar(self, name: str, n: int = 10) -> list[str]:
        """Return the ids of the `n` objects whose standardised features are nearest to those of one, nearest first.

        Raises:
            ValueError: if there is no such object, or `n` is below 1.
        """
        if name not in self.places or n < 1:
            raise ValueError(f"Expected the id of an object and n >= 1; received {name!r} and {n}.")
        place = self.places[name]
        distances = np.square(self.features - self.features[place]).sum(axis=1)
        distances[place] = -1
        return [self.ids[i] for i in np.argsort(distances, kind="stable")[1 : n + 1]]

    def csv(self) -> str:
        """Return a table of all objects: id, rating and its time, raw score, predicted rating, trained score."""
        ratings, text = self.ratings, io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["id", "rating", "time", "raw_score", "predicted_rating", "trained_score"])
        scores = zip(self.ids, self.raw, self.predicted, self.trained, strict=True)
        for name, raw, predicted, trained in scores:
            likely = "" if np.isnan(predicted) else f"{predicted:.4f}"
            table.writerow([name, *ratings.get(name, ("", "")), f"{raw:.4f}", likely, f"{trained:.4f}"])
        return text.getvalue()

    def export_csv(self, path: str | os.PathLike) -> Path:
        """Write that table to a file.

        Raises:
            OSError: if it cannot be written.
        """
        with replacing(path) as temporary:
            temporary.write_text(self.csv(), encoding="utf-8")
        return Path(path)

    def _reset(self) -> None:
        self.predicted, self.trained = np.full(len(self.ids), np.nan), self.raw.copy()
