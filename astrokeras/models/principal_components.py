"""Principal component analysis, the linear auto-encoder: what a network has to surpass."""

import numpy as np


class PrincipalComponents:
    """The best linear compression of images to a few numbers, to set beside an auto-encoder.

    Args:
        images: `(n, ...)`, the training images or feature vectors.
        latent: number of components to keep.

    Attributes:
        mean: `(...)`, of the images.
        components: `(latent, ...)`, of unit length, the largest variance first.
        variances: `(latent,)` along them.
        share: of the whole variance that they hold.

    Raises:
        ValueError: if `latent` is out of range, or a value is not finite.

    Example:
        >>> import numpy as np
        >>> from astrokeras.models.principal_components import PrincipalComponents
        >>> line = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
        >>> pca = PrincipalComponents(line, 1)
        >>> pca.decode(pca.encode(line)).round(6).tolist()
        [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]
    """

    def __init__(self, images, latent: int = 2):
        images = np.asarray(images)
        rows = images.reshape(len(images), -1)
        most = min(len(rows) - 1, rows.shape[1])
        if not 1 <= latent <= most:
            raise ValueError(
                f"Expected latent from 1 to {most}, for images of shape {images.shape}; received {latent}."
            )
        blocks = range(0, len(rows), 4096)
        self._centre = sum(rows[i : i + 4096].sum(axis=0, dtype="float64") for i in blocks) / len(rows)
        covariance = 0.0
        for i in blocks:
            centred = rows[i : i + 4096] - self._centre
            covariance = covariance + centred.T @ centred / (len(rows) - 1)
        if not np.isfinite(covariance).all():
            raise ValueError("Expected finite images; received NaN or infinity.")
        values, vectors = np.linalg.eigh(covariance)
        self._axes = vectors[:, : -latent - 1 : -1].T
        self.variances = np.maximum(values[: -latent - 1 : -1], 0)
        self.share = float(self.variances.sum() / max(values.sum(), np.finfo(float).tiny))
        self.mean = self._centre.reshape(images.shape[1:])
        self.components = self._axes.reshape(latent, *images.shape[1:])

    def encode(self, images) -> np.ndarray:
        """Return the components `(n, latent)` of images `(n, ...)`."""
        images = np.asarray(images)
        if images.shape[1:] != self.mean.shape:
            raise ValueError(f"Expected images of shape {self.mean.shape}; received {images.shape[1:]}.")
        return ((images.reshape(len(images), -1) - self._centre) @ self._axes.T).astype("float32")

    def decode(self, latent) -> np.ndarray:
        """Return the images `(n, ...)` of components `(n, latent)`."""
        latent = np.asarray(latent)
        if latent.ndim != 2 or latent.shape[1] != len(self._axes):
            raise ValueError(f"Expected latent vectors (n, {len(self._axes)}); received shape {latent.shape}.")
        return (latent @ self._axes + self._centre).reshape(-1, *self.mean.shape).astype("float32")

    def generate(self, count: int, seed: int = 0) -> np.ndarray:
        """Return images drawn from the normal distribution of the training images in these components.

        Args:
            count: number of images.
            seed: the same seed gives the same images.

        Returns:
            `(count, ...)`; values may lie a little beyond the range of the training images.

        Raises:
            ValueError: if `count` is below 1.
        """
        if count < 1:
            raise ValueError(f"Expected count >= 1; received {count}.")
        drawn = np.random.default_rng(seed).standard_normal((count, len(self._axes)))
        return self.decode(drawn * np.sqrt(self.variances))
