"""Judge a trained model on data that it has not seen: scores, a table, a figure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import keras
import numpy as np
import rich.table
from rich.progress import track

from astrokeras import metrics, plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = ("classes", "labels", "values", "votes")


@dataclass(frozen=True)
class Judgement:
    """What a model got right.

    Attributes:
        kind: what it predicts, one of `"classes"`, `"labels"`, `"values"`, `"votes"`.
        scores: name -> value; the first is the one to compare models by.
        names: of the classes, labels, outputs or answers; `None` where they go by number.
        truth: what was expected: `(n,)` class numbers, or `(n, columns)`; of votes their shares, NaN where none.
        prediction: what came out, `(n, columns)`; of votes the expected shares.
        matrix: of classes: `(true class, predicted class)` counts; else `None`.
        thresholds: of labels: score from which on each counts as present, `(labels,)`; else `None`.
    """

    kind: str
    scores: dict[str, float]
    names: tuple[str, ...] | None
    truth: np.ndarray = field(repr=False)
    prediction: np.ndarray = field(repr=False)
    matrix: np.ndarray | None = field(default=None, repr=False)
    thresholds: np.ndarray | None = field(default=None, repr=False)

    @property
    def score(self) -> float:
        """The first of the scores."""
        return next(iter(self.scores.values()))

    def table(self, title: str = "") -> rich.table.Table:
        """Return the confusion matrix, the scores per label, or the residuals per output, for `rich.print`."""
        if self.kind == "classes":
            return plots.confusion_table(self.matrix, self.names, title)
        if self.kind == "labels":
            return plots.label_table(self.truth, self.prediction, self.thresholds, self.names, title)
        return plots.residual_table(self.truth, self.prediction, self.names, title)

    def figure(self, title: str = "") -> "Figure":
        """Draw the same as a matplotlib Figure."""
        if self.kind == "classes":
            return plots.confusion_matrix(self.matrix, self.names, title)
        if self.kind == "labels":
            return plots.label_scores(self.truth, self.prediction, self.thresholds, self.names, title)
        return plots.residuals(self.truth, self.prediction, title)

    def describe(self) -> str:
        """Say the scores in one line: `accuracy 99.30 %`."""
        shares = ("accuracy", "top 5", "macro F1")
        return ", ".join(
            f"{name} {100 * value:.2f} %" if name in shares else f"{name} {value:.4g}"
            for name, value in self.scores.items()
        )


def judge(
    model: keras.Model,
    x,
    y=None,
    *,
    kind: str = "classes",
    names: Sequence[str] | None = None,
    questions: Sequence[int] | None = None,
    thresholds=0.5,
    batch_size: int = 256,
    verbose: bool = False,
) -> Judgement:
    """Judge a model on held-out data.

    Scores by `kind`: `"classes"` (softmax): accuracy, and top 5 from 20 classes on. `"labels"` (independent sigmoids):
    macro F1, the mean over the labels, and the share of examples with all labels right. `"values"` (regression): root
    mean square error, mean error (bias), and the share of the variance that is explained (R2). `"votes"`: root
    mean square error and bias of the predicted vote shares, over the questions with votes.

    Args:
        model: gives `(batch, columns)`.
        x: inputs `(n, ...)`, or a `PyDataset` of inputs and truth that is not shuffled.
        y: `(n,)` class numbers or `(n, columns)`; `None` with a `PyDataset`.
        kind: see above.
        names: of the columns.
        questions: number of answers of each question, for `"votes"`.
        thresholds: of labels, one for all or one each (see `metrics.best_thresholds`).
        batch_size: of the predictions.
        verbose: show a progress bar.

    Returns:
        A `Judgement` with `.scores`, `.table()`, `.figure()`, and `.matrix` for classes.

    Raises:
        ValueError: if `kind` is unknown, or the truth does not fit the outputs.

    Example:
        >>> import numpy as np, keras, astrokeras
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, activation="softmax")])
        >>> judged = astrokeras.judge(model, np.zeros((4, 2)), np.array([0, 1, 2, 2]))
        >>> judged.matrix.sum(axis=1).tolist()
        [1, 1, 2]
    """
    if kind not in KINDS:
        raise ValueError(f"Expected kind to be one of {', '.join(KINDS)}; received {kind!r}.")
    truth, prediction = _predict(model, x, y, batch_size, verbose)
    names = None if names is None else tuple(map(str, names))
    columns = prediction.shape[-1]
    if kind == "classes":
        truth = class_numbers(truth)
        metric = metrics.ConfusionMatrix(columns)
        metric.update_state(truth, prediction)
        matrix = metric.matrix().astype(int)
        scores = {"accuracy": float(np.trace(matrix) / matrix.sum())}
        if columns >= 20:
            best = np.argpartition(-prediction, 4, axis=1)[:, :5]
            scores["top 5"] = float((best == truth[:, None]).any(axis=1).mean())
        return Judgement(kind, scores, names, truth, prediction, matrix=matrix)
    if truth.shape != prediction.shape:
        raise ValueError(f"Expected truth of shape {prediction.shape}, as the model predicts; received {truth.shape}.")
    if kind == "labels":
        thresholds = np.broadcast_to(np.asarray(thresholds, "float32"), (columns,))
        scores = {
            "macro F1": float(metrics.label_scores(truth, prediction, thresholds)["F1"].mean()),
            "all right": float(((prediction >= thresholds) == (truth > 0.5)).all(axis=1).mean()),
        }
        return Judgement(kind, scores, names, truth, prediction, thresholds=thresholds)
    if kind == "votes":
        truth, prediction = _vote_shares(truth, prediction, questions or (columns,))
    known = np.isfinite(truth)
    error = (prediction - truth)[known]
    scores = {"rmse": float(np.sqrt((error**2).mean())), "bias": float(error.mean())}
    if kind == "values":
        spread = ((truth - truth.mean(axis=0)) ** 2).sum()
        scores["R2"] = float(1 - (error**2).sum() / spread) if spread > 0 else float("nan")
    return Judgement(kind, scores, names, truth, prediction)


def class_numbers(y: np.ndarray) -> np.ndarray:
    """Return class numbers `(n,)` of labels `(n,)`, `(n, 1)` or one-hot `(n, classes)`.

    Example:
        >>> import numpy as np
        >>> from astrokeras import judging
        >>> judging.class_numbers(np.array([[0, 1], [1, 0]])).tolist()
        [1, 0]
    """
    return y.argmax(axis=-1) if y.ndim == 2 and y.shape[1] > 1 else y.reshape(-1)


def _predict(model: keras.Model, x, y, batch_size: int, verbose: bool) -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction of all examples, in float32."""
    places = range(len(x)) if y is None else range(0, len(x), batch_size)
    truth, prediction = [], []
    for place in track(places, "judging", transient=True, disable=not verbose):
        part = slice(place, place + batch_size)
        inputs, expected = x[place] if y is None else (x[part], y[part])
        prediction.append(np.asarray(model.predict_on_batch(np.asarray(inputs)), "float32"))
        truth.append(np.asarray(expected))
    return np.concatenate(truth), np.concatenate(prediction)


def _vote_shares(counts: np.ndarray, alpha: np.ndarray, questions: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Shares of votes of each answer, NaN where nobody was asked, and those that the concentrations expect."""
    truth, prediction = counts.astype("float32"), alpha.copy()
    start = 0
    for n in questions:
        part = slice(start, start + n)
        with np.errstate(invalid="ignore", divide="ignore"):
            truth[:, part] /= truth[:, part].sum(axis=1, keepdims=True)
        prediction[:, part] /= prediction[:, part].sum(axis=1, keepdims=True)
        start += n
    return truth, prediction
