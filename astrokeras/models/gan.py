"""Generative adversarial networks: one network makes images, the other tells them from real ones."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from astrokeras import backend
from astrokeras.models.checks import check_images
from astrokeras.models.nested import OwnLoss

LOSSES = ("non_saturating", "minmax", "hinge", "wasserstein")
PENALTY = 10.0  # weight of the gradient penalty


@keras.saving.register_keras_serializable(package="astrokeras")
class GAN(OwnLoss):
    """A generator and a discriminator that are trained against each other by `fit(images)`.

    Both take a step on each batch: the discriminator to tell real from made, the generator to be taken for real. The
    log shows both losses. `model(images)` is what the discriminator says of them, above 0 for real.

    Args:
        generator: functional, from `(batch, latent)` to images in 0..1; with classes from a dict of `latent` and
            `class`.
        discriminator: functional, from images to `(batch, 1)`, without an activation; with classes from a dict of
            `image` and `class`.
        loss: `"minmax"`, the game of the paper; `"non_saturating"`, where the generator maximises the probability to be
            taken for real; `"hinge"`; `"wasserstein"`, with gradient penalty.
        classes: number of classes of a conditional model; `fit` then takes `{"image": ..., "class": ...}`.
        seed: of the latent vectors of the training.
        name: of the model.

    Raises:
        ValueError: if generator and discriminator do not fit each other, or the loss is unknown.

    Reference:
        Goodfellow et al. 2014, arXiv:1406.2661; Lim & Ye 2017, arXiv:1705.02894 (hinge); Gulrajani et al. 2017,
        arXiv:1704.00028 (gradient penalty).

    Example:
        >>> import astrokeras
        >>> model = astrokeras.applications.gan((28, 28, 1), latent=16, filters=(8, 16))
        >>> model.generate(3, seed=0).shape
        (3, 28, 28, 1)
    """

    networks = ("generator", "discriminator")

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        *,
        loss: str = "non_saturating",
        classes: int | None = None,
        seed: int = 0,
        name: str = "gan",
    ):
        if loss not in LOSSES:
            raise ValueError(f"{name}: expected a loss of {', '.join(LOSSES)}; received {loss!r}.")
        shape, wanted = generator.output_shape[1:], 1 if classes is None else 2
        seen = next(tensor for tensor in discriminator.inputs if len(tensor.shape) > 1).shape[1:]
        if tuple(seen) != tuple(shape) or {len(generator.inputs), len(discriminator.inputs)} != {wanted}:
            raise ValueError(
                f"{name}: expected a discriminator of the generator's images {shape}, and a class as second input of "
                f"both where there are classes; received images of {tuple(seen)} and classes={classes}."
            )
        image = keras.Input(shape, name="image")
        inputs = image if classes is None else {"image": image, "class": keras.Input((), dtype="int32", name="class")}
        super().__init__(inputs, discriminator(inputs), name=name)
        self.generator, self.discriminator = generator, discriminator
        self.objective, self.classes, self.seed = loss, classes, int(seed)
        self.random = keras.random.SeedGenerator(self.seed)
        self._monitored = {side: keras.metrics.Mean(f"{side}_loss") for side in ("generator", "discriminator")}

    @property
    def latent(self) -> int:
        """Number of latent variables."""
        return next(tensor for tensor in self.generator.inputs if len(tensor.shape) > 1).shape[-1]

    def fit(self, x=None, y=None, **kwargs):
        """Train, as `keras.Model.fit` does; arrays are checked first. There are no targets."""
        check_images(x, (0.0, 1.0), self.name, self.classes)
        return super().fit(x, y, **kwargs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the sum of both losses, each with a gradient to its own network alone."""
        real, label = (x, None) if self.classes is None else (x["image"], x["class"])
        real = ops.cast(real, "float32")
        drawn = keras.random.normal((ops.shape(real)[0], self.latent), dtype="float32", seed=self.random)
        made = self.generator(drawn if label is None else {"latent": drawn, "class": label}, training=training)
        made = ops.cast(made, "float32")
        judged = ops.cast(y_pred, "float32")
        caught = ops.cast(self.discriminator(_with(ops.stop_gradient(made), label), training=training), "float32")
        frozen = self.discriminator.stateless_call(
            [ops.stop_gradient(ops.convert_to_tensor(weight)) for weight in self.discriminator.trainable_variables],
            [ops.stop_gradient(ops.convert_to_tensor(weight)) for weight in self.discriminator.non_trainable_variables],
            _with(made, label),
            training=training,
        )[0]
        generator, discriminator = _game(self.objective, judged, caught, ops.cast(frozen, "float32"))
        if self.objective == "wasserstein" and training:
            discriminator = discriminator + PENALTY * self._penalty(real, made, label)
        for side, value in (("generator", generator), ("discriminator", discriminator)):
            self._monitored[side].update_state(value)
        return (sum(self.losses) + generator + discriminator) / backend.replicas()

    def generate(
        self, count: int | None = None, seed: int = 0, *, classes: int | Sequence[int] | None = None, batch_size=256
    ) -> np.ndarray:
        """Make new images.

        Args:
            count: number of images; may be left out where `classes` tells one for each.
            seed: the same seed gives the same images.
            classes: of a conditional model: one for all images, or one for each; `None` draws them.
            batch_size: images that the network makes at once.

        Returns:
            `(count, ..., channels)` float32 in 0..1.

        Raises:
            ValueError: if `count` is below 1 or differs from the number of classes, a class is unknown, or classes are
                asked of an unconditional model.
        """
        if self.classes is None and classes is not None:
            raise ValueError(f"{self.name} is not conditional: leave out classes, or build it with classes.")
        if count is None:
            count = np.size(classes) if classes is not None else 1
        if count < 1 or (np.ndim(classes) and np.shape(classes) != (count,)):
            raise ValueError(f"Expected count >= 1 and as many classes; received {count} and {classes}.")
        random = np.random.default_rng(seed)
        drawn = random.standard_normal((count, self.latent)).astype("float32")
        if self.classes is None:
            return self.generator.predict(drawn, batch_size=batch_size, verbose=0)
        labels = np.broadcast_to(random.integers(0, self.classes, count) if classes is None else classes, count)
        if labels.min() < 0 or labels.max() >= self.classes:
            raise ValueError(f"Expected classes from 0 to {self.classes - 1}; received {classes}.")
        inputs = {"latent": drawn, "class": labels.astype("int32")}
        return self.generator.predict(inputs, batch_size=batch_size, verbose=0)

    def get_config(self):
        """Return the arguments."""
        return super().get_config() | {"loss": self.objective, "classes": self.classes, "seed": self.seed}

    def _penalty(self, real, made, label):
        """Return how far the slope of the discriminator is from 1, between real and made images."""
        shape = (ops.shape(real)[0], *[1] * (len(real.shape) - 1))
        share = keras.random.uniform(shape, dtype="float32", seed=self.random)
        between = ops.stop_gradient(share * real + (1 - share) * made)
        slope = backend.gradient(
            lambda images: ops.sum(ops.cast(self.discriminator(_with(images, label), training=True), "float32")),
            between,
        )
        length = ops.sqrt(ops.sum(ops.square(slope), axis=tuple(range(1, len(shape)))) + 1e-12)
        return ops.mean(ops.square(length - 1))


def _with(images, label):
    return images if label is None else {"image": images, "class": label}


def _game(objective: str, judged, caught, frozen) -> tuple:
    """Return the losses of generator and discriminator, given what was said of real and of made images."""
    if objective == "hinge":
        return -ops.mean(frozen), ops.mean(ops.relu(1 - judged)) + ops.mean(ops.relu(1 + caught))
    if objective == "wasserstein":
        return -ops.mean(frozen), ops.mean(caught) - ops.mean(judged)
    discriminator = ops.mean(ops.softplus(-judged)) + ops.mean(ops.softplus(caught))
    generator = ops.softplus(-frozen) if objective == "non_saturating" else -ops.softplus(frozen)
    return ops.mean(generator), discriminator
