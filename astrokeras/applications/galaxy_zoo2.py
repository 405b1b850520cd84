"""The course's Galaxy Zoo 2 network: the shape of a galaxy, or how volunteers will vote on it."""

from collections.abc import Sequence

import keras

from astrokeras.network import Network


def galaxy_zoo2(
    input_shape=(64, 64, 3),
    classes: int | None = None,
    *,
    questions: Sequence[int] | None = None,
    include_top: bool = True,
    normalization: tuple[float, float] | None = (0.0, 255.0),
    weights: str | None = None,
    name: str = "galaxy_zoo2",
) -> keras.Model:
    """Build the network of the Galaxy Zoo practical, for classes or for vote counts.

    Input: `(batch, y, x, channels)` in 0..255. Output: `(batch, classes)`, class probabilities; with `questions`
    `(batch, answers)`, the concentrations (1 to 101) of one Dirichlet distribution per question, to be trained on
    vote counts with `losses.VoteCounts(questions)`; without top the last map, 128 channels. 180,763
    parameters by default.

    Args:
        input_shape: `(y, x, channels)`; the course uses 64 and 128 pixels (one stage more from 128 on).
        classes: number of classes; `None` is the course's 3 (elliptical, barred spiral, spiral).
        questions: number of answers of each question, such as `(3, 2)`, in place of classes.
        include_top: end with the 1x1 convolution, global average pool and softmax (or concentrations).
        normalization: `(mean, scale)` of the first layer, `(x - mean) / scale`; `None` for the bare net.
        weights: `None`, or a `.keras` or `.weights.h5` file.
        name: of the model.

    Raises:
        ValueError: if the shape is too small for the pools, or an argument is out of range.

    Reference:
        Course, practical "Galaxy Zoo 2" (CIANNA). Vote counts: Walmsley et al. 2022 (Galaxy Zoo DECaLS),
        arXiv:2102.08414, section 4.

    Example:
        >>> import astrokeras
        >>> astrokeras.applications.galaxy_zoo2().output_shape
        (None, 3)
        >>> astrokeras.applications.galaxy_zoo2(questions=(3, 2)).output_shape
        (None, 5)
    """
    if questions is not None and (classes is not None or not questions or any(n < 2 for n in questions)):
        raise ValueError(
            f"{name}: expected either classes or questions, each with at least 2 answers; received "
            f"classes={classes!r}, questions={questions!r}."
        )
    net = Network(input_shape, activation="relu_leaky", name=name)
    if normalization is not None:
        net.rescale(*normalization)
    for filters, kernel_size, group_size in ((16, 5, 4), (32, 3, 4), (64, 3, 8)):
        net.conv(filters, kernel_size)
        net.pool(2)
        net.norm(group_size)
    for _ in range(2 if net.input_shape[0] >= 128 else 1):
        net.conv(128, 3)
        net.conv(64, 1)
        net.conv(128, 3)
        net.pool(2)
        net.norm(16)
    if include_top:
        outputs = sum(questions) if questions else 3 if classes is None else classes
        net.conv(outputs, 1, activation="linear", name="votes" if questions else "classes")
        net.global_pool("average", activation="sigmoid" if questions else "softmax")
        if questions:
            net.activation(keras.layers.Rescaling(100.0, 1.0, dtype="float32"), name="concentration")
    return net.build(weights, application="galaxy_zoo2")
