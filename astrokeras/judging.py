"""Judge a trained model on data that it has not seen: scores, a table, a figure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import keras
import numpy as np
import rich.table
from rich.progress import track

from astrokeras import applications, metrics, plots

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


@dataclass(frozen=True)
class GeneratedJudgement:
    """How a set of generated images compares with real ones.

    Attributes:
        count: number of generated images.
        frechet: Frechet distance of their features to those of the real images, 0 for equal ones.
        precision: share of them that look real.
        recall: share of the real images that could have been generated.
        shares: of each class among them, as the classifier sees it, `(classes,)`; `None` without a classifier.
        confidence: mean probability of the class that the classifier sees; `None` without one.

    Example:
        >>> from astrokeras.judging import GeneratedJudgement
        >>> GeneratedJudgement(2000, 3.14, 0.95, 0.9).describe()
        'Frechet distance 3.14, precision 95.0 %, recall 90.0 %'
    """

    count: int
    frechet: float
    precision: float
    recall: float
    shares: np.ndarray | None = None
    confidence: float | None = None

    def describe(self) -> str:
        """Say the measures in one line."""
        text = f"Frechet distance {self.frechet:.4g}, precision {100 * self.precision:.1f} %"
        text += f", recall {100 * self.recall:.1f} %"
        if self.shares is not None:
            text += f", classes {100 * self.shares.min():.1f} to {100 * self.shares.max():.1f} %"
            text += f", confidence {100 * self.confidence:.1f} %"
        return text


def judge_generated(
    samples, reference, encoder: keras.Model | None = None, *, neighbours: int = 3, batch_size: int = 256
) -> GeneratedJudgement:
    """Judge generated images by the features that a trained network sees in them and in real images.

    Take as many samples as real images, which the generator was not trained on, and compare only judgements of one
    encoder and one reference. The floor of the Frechet distance is that of real images in place of the samples.

    Args:
        samples: `(n, ...)` generated images.
        reference: `(m, ...)` real images in the same range.
        encoder: a classifier, whose features enter its last dense layer and which also gives shares and confidence; or
            any network whose outputs are the features. `None` for our LeNet-5 of MNIST, `(n, 28, 28, 1)` in 0..1.
        neighbours: of precision and recall (`metrics.precision_recall`).
        batch_size: images that the encoder sees at once.

    Returns:
        A `GeneratedJudgement`.

    Raises:
        ValueError: if the images do not fit the encoder, are too few, or hold NaN.

    Reference:
        Heusel et al. 2017, arXiv:1706.08500; Kynkaanniemi et al. 2019, arXiv:1904.06991.

    Example:
        >>> import numpy as np, astrokeras
        >>> images = np.random.default_rng(0).random((10, 28, 28, 1))
        >>> judged = astrokeras.judging.judge_generated(images, images)
        >>> round(judged.frechet, 3), judged.precision, judged.recall, judged.shares.shape
        (0.0, 1.0, 1.0, (10,))
    """
    (features, probabilities), (real, _) = _features(encoder, batch_size, samples=samples, reference=reference)
    precision, recall = metrics.precision_recall(features, real, neighbours)
    shares = confidence = None
    if probabilities is not None:
        seen = probabilities.argmax(axis=1)
        shares = np.bincount(seen, minlength=probabilities.shape[1]) / len(seen)
        confidence = float(probabilities.max(axis=1).mean())
    distance = metrics.frechet_distance(features, real)
    return GeneratedJudgement(len(features), distance, precision, recall, shares, confidence)


def features_of(images, encoder: keras.Model | None = None, *, batch_size: int = 256) -> np.ndarray:
    """Return what a trained network sees in images: a vector of each, for distances and similarity.

    Args:
        images: `(n, ...)`, as the encoder takes them.
        encoder: a classifier, whose features enter its last dense layer; or any network whose outputs are the features.
            `None` for our LeNet-5 of MNIST, `(n, 28, 28, 1)` in 0..1.
        batch_size: images that the encoder sees at once.

    Returns:
        `(n, width)` float32; LeNet-5 gives 128 features.

    Raises:
        ValueError: if the images do not fit the encoder, or hold NaN.

    Example:
        >>> import numpy as np, astrokeras
        >>> astrokeras.judging.features_of(np.zeros((2, 28, 28, 1))).shape
        (2, 128)
    """
    return _features(encoder, batch_size, images=images)[0][0]


def class_numbers(y: np.ndarray) -> np.ndarray:
    """Return class numbers `(n,)` of labels `(n,)`, `(n, 1)` or one-hot `(n, classes)`.

    Example:
        >>> import numpy as np
        >>> from astrokeras import judging
        >>> judging.class_numbers(np.array([[0, 1], [1, 0]])).tolist()
        [1, 0]
    """
    return y.argmax(axis=-1) if y.ndim == 2 and y.shape[1] > 1 else y.reshape(-1)


def _features(encoder: keras.Model | None, batch_size: int, **sets) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Features of each set of images, and class probabilities where the encoder is a classifier."""
    sets = {name: np.asarray(images) for name, images in sets.items()}
    if encoder is None:
        encoder = applications.lenet5(weights="mnist")
        for name, images in sets.items():
            low, high = images.min(initial=0), images.max(initial=0)
            if images.dtype.kind != "f" or low < -0.5 or high > 1.5:
                raise ValueError(
                    f"Expected {name} in 0..1, as LeNet-5 takes them; received {images.dtype} from {low:g} to {high:g}."
                )
    expected = encoder.input_shape
    for name, images in sets.items():
        fits = len(images.shape) == len(expected) and all(
            side in (None, own) for side, own in zip(expected, images.shape, strict=True)
        )
        if not fits or not len(images):
            raise ValueError(
                f"Expected {name} of shape {expected}, as {encoder.name} takes them; received {images.shape}."
            )
        if not np.isfinite(images).all():
            raise ValueError(f"Expected finite {name}; received NaN or infinity.")
    last = encoder.layers[-1]
    dense = [layer for layer in encoder.layers if isinstance(layer, keras.layers.Dense)]
    softmax = isinstance(last, keras.layers.Softmax) or getattr(last, "activation", None) is keras.activations.softmax
    if softmax and dense:
        encoder = keras.Model(encoder.inputs, [dense[-1].input, encoder.outputs[0]])
    found = []
    for images in sets.values():
        outputs = encoder.predict(images, batch_size=batch_size, verbose=0)
        features, probabilities = outputs if softmax and dense else (outputs, None)
        found.append((features.reshape(len(features), -1), probabilities))
    return found


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
