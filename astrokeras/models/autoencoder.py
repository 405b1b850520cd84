"""Auto-encoders: an encoder to a few numbers, and a decoder back, as one model."""

import keras
import numpy as np
from keras import ops

from astrokeras.layers import GaussianSampling
from astrokeras.models.checks import check_images, range_of
from astrokeras.models.nested import Nested, OwnLoss


@keras.saving.register_keras_serializable(package="astrokeras")
class Autoencoder(Nested):
    """An encoder, and a decoder that rebuilds the image from the latent vector.

    `compile("adam")` takes the mean squared error; `fit(x)` rebuilds the input, `fit(noisy, clean)` learns to remove
    noise. With a `classifier` the latent vector also has to tell the class, which keeps classes apart in the latent
    space: the outputs are then a dict of `image` and `class`, and `fit` takes the class numbers as `y`, or a dict of
    both. `pretrain(x, classes)` trains encoder and classifier alone, before `fit`.

    Args:
        encoder: functional, from images to `(batch, latent)`, or to a map.
        decoder: likewise, from there to images.
        classifier: from there to class probabilities, or `None`.
        class_weight: of the classification beside the mean squared error; 0 to 1 is usual, and 0.01 keeps the two
            errors on MNIST of one size.
        name: of the model.

    Raises:
        ValueError: if the shapes do not fit each other.

    Example:
        >>> import numpy as np, astrokeras
        >>> model = astrokeras.applications.autoencoder((28, 28, 1), latent=2)
        >>> model.encoder.output_shape, model.decoder.output_shape
        ((None, 2), (None, 28, 28, 1))
    """

    networks = ("encoder", "decoder", "classifier")

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        classifier: keras.Model | None = None,
        *,
        class_weight: float = 0.01,
        name: str = "autoencoder",
    ):
        inputs = keras.Input(encoder.input_shape[1:], name="input")
        latent = encoder(inputs)
        for what, net in (("decoder", decoder), ("classifier", classifier)):
            if net is not None and tuple(net.input_shape) != tuple(encoder.output_shape):
                raise ValueError(
                    f"{name}: expected a {what} of {encoder.output_shape[1:]}, which the encoder gives; received one "
                    f"of {net.input_shape[1:]}."
                )
        outputs = decoder(latent)
        if classifier is not None:
            outputs = {"image": outputs, "class": classifier(latent)}
        super().__init__(inputs=inputs, outputs=outputs, name=name)
        self.encoder, self.decoder = encoder, decoder
        self.classifier, self.class_weight = classifier, float(class_weight)

    def compile(self, optimizer="adam", loss=None, **kwargs):
        """Choose the optimizer; the loss is the mean squared error, with that of the classes where there are any."""
        if loss is None:
            loss = "mse"
            if self.classifier is not None:
                loss = {"image": "mse", "class": "sparse_categorical_crossentropy"}
                kwargs.setdefault("loss_weights", {"image": 1.0, "class": self.class_weight})
        super().compile(optimizer=optimizer, loss=loss, **kwargs)

    def pretrain(self, x, y, optimizer="adam", **options) -> keras.callbacks.History:
        """Train the encoder and the classifier to tell classes; a `fit` that follows starts from this encoder.

        Args:
            x: images `(count, ..., channels)`.
            y: class numbers `(count,)`.
            optimizer: as of `keras.Model.compile`.
            **options: of `keras.Model.fit`, such as `epochs` and `batch_size`.

        Returns:
            Loss and accuracy of each epoch.

        Raises:
            ValueError: if there is no classifier.

        Reference:
            The course's practical work on auto-encoders, last question.

        Example:
            >>> import numpy as np, astrokeras
            >>> model = astrokeras.applications.autoencoder(filters=(2, 2), units=(8,), classes=10)
            >>> sorted(model.pretrain(np.zeros((4, 28, 28, 1)), np.arange(4), verbose=0).history)
            ['accuracy', 'loss']
        """
        if self.classifier is None:
            raise ValueError(f"{self.name} has no classifier to train: build it with classes.")
        answers = self.classifier(self.encoder.outputs[0])
        network = keras.Model(self.encoder.inputs, answers, name=f"{self.name}_classes")
        network.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        return network.fit(x, y, **options)

    def fit(self, x=None, y=None, **kwargs):
        """Train, as `keras.Model.fit` does; arrays are checked first."""
        check_images(x, None, self.name)
        clean = y.get("image") if isinstance(y, dict) else y if self.classifier is None else None
        check_images(x if clean is None else clean, range_of(self.decoder), self.name)
        return super().fit(x, y, **kwargs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Compare with the target, or with the input where there is none."""
        return super().compute_loss(x, self._target(x, y), y_pred, sample_weight, training)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Update the metrics likewise."""
        return super().compute_metrics(x, self._target(x, y), y_pred, sample_weight)

    def get_config(self):
        """Return the arguments."""
        return super().get_config() | {"class_weight": self.class_weight}

    def _target(self, x, y):
        if self.classifier is None:
            return x if y is None else y
        return y if isinstance(y, dict) else {"image": x, "class": y}


@keras.saving.register_keras_serializable(package="astrokeras")
class VariationalAutoencoder(OwnLoss):
    """An auto-encoder whose latent vectors follow a normal distribution, so that `generate` makes new images.

    The loss is the reconstruction, summed over the pixels of an image, and `beta` times the Kullback-Leibler divergence
    of the latent distribution of the image from the standard normal one, both in nats for `"binary_crossentropy"`.
    `fit(x)` is enough; the log shows `reconstruction` and `kl`. In `predict` and `evaluate` the mean of the latent
    distribution is decoded.

    Args:
        encoder: functional, from images to `(batch, 2 * latent)`: means, then logarithms of variances.
        decoder: from `(batch, latent)` to images in 0..1.
        beta: weight of the divergence.
        reconstruction: `"binary_crossentropy"`, for images in 0..1, or `"mse"`: half of the squared difference, a
            normal distribution of variance 1 around each pixel.
        seed: of the latent vectors drawn in training.
        name: of the model.

    Raises:
        ValueError: if the encoder's outputs are not twice the decoder's inputs, or an argument is out of range.

    Reference:
        Kingma & Welling 2014, arXiv:1312.6114; Higgins et al. 2017 (beta).

    Example:
        >>> import numpy as np, astrokeras
        >>> model = astrokeras.applications.variational_autoencoder((28, 28, 1), latent=2)
        >>> model.generate(3, seed=0).shape
        (3, 28, 28, 1)
    """

    networks = ("encoder", "decoder")

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        *,
        beta: float = 1.0,
        reconstruction: str = "binary_crossentropy",
        seed: int = 0,
        name: str = "variational_autoencoder",
    ):
        if reconstruction not in ("binary_crossentropy", "mse") or beta < 0:
            raise ValueError(
                f'{name}: expected reconstruction="binary_crossentropy" or "mse" and beta >= 0; received '
                f"{reconstruction!r} and {beta!r}."
            )
        wanted = 2 * decoder.input_shape[-1]
        if len(encoder.output_shape) != 2 or len(decoder.input_shape) != 2 or encoder.output_shape[-1] != wanted:
            raise ValueError(
                f"{name}: expected an encoder with {wanted} outputs, mean and logarithm of the variance of each of the "
                f"decoder's inputs; received {encoder.output_shape[1:]}."
            )
        inputs = keras.Input(encoder.input_shape[1:], name="input")
        sampling = GaussianSampling(seed=seed, name="sampling")
        super().__init__(inputs=inputs, outputs=decoder(sampling(encoder(inputs))), name=name)
        self.encoder, self.decoder = encoder, decoder
        self.beta, self.reconstruction, self.seed = float(beta), reconstruction, int(seed)
        self._reconstruction = keras.metrics.Mean("reconstruction")
        self._divergence = keras.metrics.Mean("kl")

    @property
    def latent(self) -> int:
        """Number of latent variables."""
        return self.decoder.input_shape[-1]

    def fit(self, x=None, y=None, **kwargs):
        """Train, as `keras.Model.fit` does; arrays are checked first."""
        check_images(x, None, self.name)
        check_images(x if y is None else y, range_of(self.decoder), self.name)
        return super().fit(x, y, **kwargs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return reconstruction plus beta times divergence, the mean over the batch."""
        target = ops.cast(x if y is None else y, "float32")
        output = ops.cast(y_pred, "float32")
        axes = tuple(range(1, len(output.shape)))
        if self.reconstruction == "mse":
            error = ops.sum(ops.square(target - output), axis=axes) / 2
        else:
            output = ops.clip(output, 1e-6, 1 - 1e-6)
            error = -ops.sum(target * ops.log(output) + (1 - target) * ops.log(1 - output), axis=axes)
        divergence = self.losses[0]  # of the sampling layer
        self._reconstruction.update_state(error)
        self._divergence.update_state(divergence)
        return ops.mean(error) + self.beta * divergence

    def encode(self, images, batch_size: int = 256) -> np.ndarray:
        """Return the mean of the latent distribution of each image.

        Args:
            images: `(n, [z, [y,]] x, channels)`.
            batch_size: images that the network sees at once.

        Returns:
            `(n, latent)`.
        """
        return self.encoder.predict(images, batch_size=batch_size, verbose=0)[:, : self.latent]

    def generate(self, count: int, seed: int = 0, batch_size: int = 256) -> np.ndarray:
        """Make new images: decode latent vectors drawn from the standard normal distribution.

        Args:
            count: number of images.
            seed: the same seed gives the same images.
            batch_size: images that the network makes at once.

        Returns:
            `(count, [z, [y,]] x, channels)` in the range of the training images.

        Raises:
            ValueError: if `count` is below 1.
        """
        if count < 1:
            raise ValueError(f"Expected count >= 1; received {count}.")
        drawn = np.random.default_rng(seed).standard_normal((count, self.latent)).astype("float32")
        return self.decoder.predict(drawn, batch_size=batch_size, verbose=0)

    def get_config(self):
        """Return the arguments."""
        own = {"beta": self.beta, "reconstruction": self.reconstruction, "seed": self.seed}
        return super().get_config() | own
