"""The likelihood of volunteers' votes: a Dirichlet-multinomial distribution for each question."""

import math
from collections.abc import Sequence

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="astrokeras")
class VoteCounts(keras.losses.Loss):
    """Minus the log-likelihood of vote counts, summed over the questions.

    The network predicts, for each question, the concentrations alpha of a Dirichlet distribution over its answers; the
    counts k of N volunteers then follow a Dirichlet-multinomial distribution,
    `p(k) = N! / prod(k_i!) * B(k + alpha) / B(alpha)` with B the multivariate beta function. A question that nobody
    was asked (N = 0) adds exactly 0.

    Args:
        questions: number of answers of each question, in the order of the columns, such as `(3, 2)`.
        name: of the loss.
        reduction: as in every Keras loss.

    Shapes: `y_true` `(batch, answers)` counts >= 0, `y_pred` `(batch, answers)` concentrations > 0, the loss
    `(batch,)`. Computed in float32.

    Raises:
        ValueError: if a question has fewer than 2 answers, or the columns are not as many as the answers.

    Reference:
        Walmsley et al. 2020, arXiv:1905.07424 (one question), and 2022, arXiv:2102.08414, equation 3.

    Example:
        >>> import numpy as np
        >>> from astrokeras.losses import VoteCounts
        >>> loss = VoteCounts((2,))  # alpha = 1, 1: each of the 4 outcomes of 3 votes has probability 1/4
        >>> round(float(loss(np.array([[1.0, 2.0]]), np.array([[1.0, 1.0]]))), 4)
        1.3863
    """

    def __init__(self, questions: Sequence[int], *, name: str = "vote_counts", reduction="sum_over_batch_size"):
        super().__init__(name=name, reduction=reduction)
        questions = tuple(int(n) for n in questions)
        if not questions or min(questions) < 2:
            raise ValueError(f"Expected questions of at least 2 answers each; received questions={questions}.")
        self.questions = questions

    def call(self, y_true, y_pred):
        """Return the loss of each example, `(batch,)`."""
        answers = sum(self.questions)
        if y_true.shape[-1] != answers or y_pred.shape[-1] != answers:
            raise ValueError(
                f"Expected {answers} columns, one per answer of questions={self.questions}; received counts of "
                f"shape {tuple(y_true.shape)}, predictions of shape {tuple(y_pred.shape)}."
            )
        counts, alpha = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
        by_answer = log_gamma(counts + alpha) - log_gamma(alpha) - log_gamma(counts + 1.0)  # (batch, answers)
        total = 0.0
        start = 0
        for n in self.questions:
            part = slice(start, start + n)
            votes, sum_alpha = ops.sum(counts[:, part], axis=-1), ops.sum(alpha[:, part], axis=-1)
            total = total + ops.sum(by_answer[:, part], axis=-1)
            total = total + log_gamma(votes + 1.0) + log_gamma(sum_alpha) - log_gamma(votes + sum_alpha)
            start += n
        return -total

    def get_config(self):
        """Return the arguments."""
        return super().get_config() | {"questions": list(self.questions)}


def log_gamma(x):
    """Return the logarithm of the gamma function of x > 0, any shape (keras.ops has none).

    Stirling's series at x + 6, brought back by the recurrence; in float32 within 1e-5 of max(1, |result|) for x in
    0.05..400.

    Args:
        x: float tensor, > 0.

    Reference:
        Abramowitz & Stegun 1964, 6.1.15 and 6.1.41.

    Example:
        >>> from keras import ops
        >>> from astrokeras.losses.vote_counts import log_gamma
        >>> round(float(ops.exp(log_gamma(ops.convert_to_tensor(5.0)))), 3)  # 4!
        24.0
    """
    z = x + 6.0
    inverse = 1.0 / z
    series = inverse * (1 / 12 - inverse * inverse * (1 / 360 - inverse * inverse / 1260))
    product = x * (x + 1.0) * (x + 2.0) * (x + 3.0) * (x + 4.0) * (x + 5.0)
    return (z - 0.5) * ops.log(z) - z + 0.5 * math.log(2 * math.pi) + series - ops.log(product)
