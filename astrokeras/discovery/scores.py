"""How unusual an object is, and how interesting a person finds it: the scores of the rating loop."""

import numpy as np

from astrokeras.discovery.features import standardised
from astrokeras.discovery.optional import extra
from astrokeras.discovery.ratings import LARGEST

METHODS = ("isolation_forest", "lof")
TREES = 100
NEIGHBOURS = 20  # of the local outlier factor
TRUST = 0.1, 0.85  # epsilon 1 and 2: the prediction stays within 0.1..0.95
FARTHEST = 30.0  # exponent beyond which the hyperbolic tangent is 1 whatever comes


def anomaly_scores(features: np.ndarray, method: str = "isolation_forest", *, seed: int = 0) -> np.ndarray:
    """Say how unusual each object is among the others.

    Args:
        features: `(n, features)`; they are standardised first.
        method: `"isolation_forest"`: few random cuts set an unusual object apart; `"lof"`, the local outlier factor:
            its neighbourhood of 20 objects is emptier than those of its neighbours.
        seed: of the forest.

    Returns:
        `(n,)` float64, from 0 for the most common object to 5 for the most unusual one; all 0 where none stands out.

    Raises:
        ValueError: if the method is another one, or the features are not as `standardised` wants them.
        ImportError: if scikit-learn is missing.

    Reference:
        Liu, Ting & Zhou 2008 (isolation forest); Breunig et al. 2000 (LOF); Lochner & Bassett 2021 (the scale).

    Example:
        >>> from astrokeras import discovery
        >>> discovery.anomaly_scores([[0.0], [0.1], [0.2], [9.0]]).argmax().item()
        3
    """
    if method not in METHODS:
        raise ValueError(f"Expected method to be one of {', '.join(METHODS)}; received {method!r}.")
    features = standardised(features)
    with extra("discovery"):
        from sklearn.ensemble import IsolationForest
        from sklearn.neighbors import LocalOutlierFactor
    if method == "isolation_forest":
        unusual = -IsolationForest(n_estimators=TREES, random_state=seed).fit(features).score_samples(features)
    else:
        finder = LocalOutlierFactor(min(NEIGHBOURS, len(features) - 1)).fit(features)
        unusual = -finder.negative_outlier_factor_
    unusual = unusual - unusual.min()
    return LARGEST * unusual / (unusual.max() or 1.0)


def predict_ratings(features: np.ndarray, rated: np.ndarray, ratings: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Predict the ratings of all objects from those of some, by a random forest of 100 regression trees.

    Args:
        features: `(n, features)`.
        rated: `(m,)` places of the rated objects.
        ratings: `(m,)` their ratings.
        seed: of the forest.

    Returns:
        `(n,)` float64.

    Raises:
        ImportError: if scikit-learn is missing.

    Example:
        >>> import numpy as np
        >>> from astrokeras import discovery
        >>> discovery.predict_ratings(np.array([[0.0], [0.1], [5.0], [5.1]]), [0, 3], [2, 2]).tolist()
        [2.0, 2.0, 2.0, 2.0]
    """
    with extra("discovery"):
        from sklearn.ensemble import RandomForestRegressor
    forest = RandomForestRegressor(TREES, random_state=seed)
    return forest.fit(np.asarray(features)[rated], np.asarray(ratings, "float64")).predict(features)


def distance_to_rated(features: np.ndarray, rated: np.ndarray) -> np.ndarray:
    """Return the distance of each object to the nearest rated one.

    Args:
        features: `(n, features)`, of one scale, as `standardised` makes them.
        rated: `(m,)` places of the rated objects.

    Returns:
        `(n,)` float64.

    Raises:
        ImportError: if scikit-learn is missing.

    Example:
        >>> import numpy as np
        >>> from astrokeras import discovery
        >>> discovery.distance_to_rated(np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 3.0]]), [0, 1]).tolist()
        [0.0, 0.0, 1.0]
    """
    with extra("discovery"):
        from sklearn.neighbors import NearestNeighbors
    nearest = NearestNeighbors(n_neighbors=1).fit(np.asarray(features)[rated])
    return nearest.kneighbors(features)[0][:, 0]


def trained_scores(
    scores: np.ndarray, predicted: np.ndarray, distances: np.ndarray, *, alpha: float = 1.0
) -> np.ndarray:
    """Combine how unusual an object is with how interesting it is likely to be, as far as that can be trusted.

    With S the anomaly score, U the predicted rating, d the distance to the nearest rated object in the space of the
    features and d0 its mean over all objects, the trained score is

        S tanh(delta - 1 + arctanh(U')),   delta = exp(alpha d / d0),   U' = 0.1 + 0.85 U / 5.

    At a rated object delta is 1 and the score is S U': there the person decides. Far from all of them the hyperbolic
    tangent is 1 and the score is S: there nothing is known of the person's taste. The larger `alpha`, the shorter the
    way on which the trust in the prediction decays.

    Args:
        scores: `(n,)` anomaly scores S.
        predicted: `(n,)` predicted ratings U, 0..5.
        distances: `(n,)` to the nearest rated object.
        alpha: decay of the trust; 1 in the paper.

    Returns:
        `(n,)` float64, 0 to S.

    Raises:
        ValueError: if `alpha` is below 0.

    Reference:
        Lochner & Bassett 2021, Astronomy and Computing 36, 100481, arXiv:2010.11202.

    Example:
        >>> from astrokeras import discovery
        >>> discovery.trained_scores([4.0, 4.0], [5.0, 0.0], [0.0, 0.0]).round(6).tolist()
        [3.8, 0.4]
    """
    if not alpha >= 0:
        raise ValueError(f"Expected alpha >= 0; received {alpha}.")
    scores, predicted, distances = (np.asarray(part, "float64") for part in (scores, predicted, distances))
    lowest, span = TRUST
    likely = lowest + span * np.clip(predicted / LARGEST, 0, 1)
    delta = np.exp(np.minimum(alpha * distances / (distances.mean() or 1.0), FARTHEST))
    return scores * np.tanh(delta - 1 + np.arctanh(likely))
