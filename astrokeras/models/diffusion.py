"""Diffusion: a network that learns to remove noise, and makes images out of noise alone."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from astrokeras import backend
from astrokeras.layers import AddNoise, AppendChannel, DropClass
from astrokeras.models.checks import check_images
from astrokeras.models.nested import OwnLoss
from astrokeras.runtime import StepSeed
from astrokeras.schedules import NoiseSchedule

SAMPLERS = ("ancestral", "ddim")
DDIM_STEPS = 50


@keras.saving.register_keras_serializable(package="astrokeras")
class DiffusionModel(OwnLoss):
    """A denoising diffusion model: `fit(images)` trains it, `generate(count)` makes images.

    In training each image is taken to a random step of the diffusion, and the network guesses the noise (or the
    `target`); the loss is the mean squared error. A moving average of the network's weights makes the images.

    Args:
        network: functional, from noised images to images of the same shape, as `applications.unet` builds it. How it
            learns the step follows from its inputs: an input named `time` is told the step; one channel more than
            the images have holds the noise rate; without either it has to see how much noise there is. With an input
            named `class` the model is conditional, and takes `{"image": ..., "class": ...}`.
        alpha_bar: `(steps,)` of a `NoiseSchedule`.
        channels: of the images; `None` where the network has as many.
        classes: number of classes of a conditional model; the network takes one number more, for no class.
        target: what the network guesses: `"noise"`, `"velocity"` or `"image"`.
        value_range: of the images.
        ema: rate of the moving average, 0 to less than 1.
        class_dropout: share of the images whose class is told as unknown in training.
        seed: of what is drawn in training.
        name: of the model.

    Raises:
        ValueError: if the network's inputs or outputs do not suit, or an argument is out of range.

    Reference:
        Ho, Jain & Abbeel 2020, arXiv:2006.11239; Song, Meng & Ermon 2021, arXiv:2010.02502 (DDIM); Ho & Salimans 2022,
        arXiv:2207.12598 (guidance). Temperatures of diffusion models are compared by Xu et al. 2025, arXiv:2510.01184.

    Example:
        >>> import numpy as np, astrokeras
        >>> model = astrokeras.applications.ddpm((8, 8, 1), steps=20, filters=(8, 16))
        >>> model.generate(3, seed=0, sampler="ddim", steps=5).shape
        (3, 8, 8, 1)
    """

    networks = ("network",)

    def __init__(
        self,
        network: keras.Model,
        alpha_bar,
        *,
        channels: int | None = None,
        classes: int | None = None,
        target: str = "noise",
        value_range: Sequence[float] = (0.0, 1.0),
        ema: float = 0.999,
        class_dropout: float = 0.1,
        seed: int = 0,
        name: str = "ddpm",
    ):
        if not 0 <= ema < 1:
            raise ValueError(f"{name}: expected ema from 0 to less than 1; received {ema!r}.")
        told = _inputs(network)
        shape, given = tuple(network.output_shape[1:]), tuple(told["image"].shape[1:])
        channels = shape[-1] if channels is None else channels
        if shape[-1] != channels or given[:-1] != shape[:-1] or given[-1] - channels not in (0, 1):
            raise ValueError(
                f"{name}: expected a network from noised images of {channels} channels (or one more, for the noise "
                f"rate) to images of the same; received {given} to {shape}."
            )
        if ("class" in told) != (classes is not None):
            raise ValueError(
                f"{name}: expected a network with an input named class where there are classes, and only there; "
                f"received classes={classes} and the inputs {sorted(told)}."
            )
        image = keras.Input(shape, name="image")
        noising = AddNoise(alpha_bar, target, value_range, seed, name="add_noise")
        noised, inputs, label = noising(image), image, None
        if classes is not None:
            label = keras.Input((), dtype="int32", name="class")
            inputs = {"image": image, "class": label}
            label = DropClass(classes, class_dropout, seed + 1, name="drop_class")(label)
        guess = _guess(network, noised["noised"], noised["time"], noised["noise_rate"], label)
        super().__init__(inputs, {"guess": guess, "target": noised["target"]}, name=name)
        self.network, self.noising = network, noising
        self.averaged = keras.models.clone_model(network)
        self.averaged.trainable = False
        self.averaged.set_weights(network.get_weights())
        self.classes, self.ema, self.class_dropout, self.seed = classes, float(ema), float(class_dropout), int(seed)
        self.seen = self.add_weight(name="seen", shape=(), initializer="zeros", trainable=False, dtype="float32")
        self._samplers = _Samplers()

    @property
    def schedule(self) -> NoiseSchedule:
        """The noise of each step."""
        return self.noising.schedule

    def fit(self, x=None, y=None, **kwargs):
        """Train, as `keras.Model.fit` does; arrays are checked first. There are no targets."""
        check_images(x, self.noising.value_range, self.name, self.classes)
        return super().fit(x, y, **kwargs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the mean squared error of the guess; follow the weights with their average."""
        if training:
            self._average()
        error = ops.square(ops.cast(y_pred["guess"], "float32") - y_pred["target"])
        return (sum(self.losses) + ops.mean(error)) / backend.replicas()

    def generate(
        self,
        count: int | None = None,
        seed: int = 0,
        *,
        sampler: str = "ancestral",
        steps: int | None = None,
        eta: float | None = None,
        classes: int | Sequence[int] | None = None,
        guidance: float | None = None,
        temperature: float = 1.0,
        clip: bool = True,
        batch_size: int = 64,
    ) -> np.ndarray:
        """Make new images out of noise.

        Args:
            count: number of images; may be left out where `classes` tells one for each.
            seed: the same seed gives the same images (of the same `batch_size`, where noise is drawn on the way).
            sampler: `"ancestral"`, all steps with noise at each (Ho et al.), or `"ddim"`, fewer steps without noise.
            steps: to take; `None` is all, or 50 for `"ddim"`.
            eta: noise on the way, from 0 to 1, if other than the sampler's 1 or 0.
            classes: of a conditional model: one for all images, or one for each; `None` for no class.
            guidance: how far to go from the guess without class towards, or beyond, that with it: 1 is the class's own
                guess, more makes images more typical.
            temperature: noise that is drawn is multiplied by it, noise that is guessed divided. A little below 1 makes
                images more typical, and fewer of them fall between two kinds; with few steps that helps.
            clip: keep the guessed image inside of the value range at each step.
            batch_size: images made at once; the last batch is filled up.

        Returns:
            `(count, ..., channels)` float32 in the range of the training images.

        Raises:
            ValueError: if an argument is out of range, or classes or guidance are asked of an unconditional model.
        """
        labels, how = self._plan(count, sampler, steps, eta, classes, guidance, temperature, clip)
        start = self._start(len(labels), seed, how["temperature"])
        parts = [
            self._samplers.run(self, part, label, seed + index, **how)
            for index, (part, label) in enumerate(_batches(batch_size, start, labels))
        ]
        return self._finished(np.concatenate(parts)[: len(labels)])

    def inpaint(
        self,
        images: np.ndarray,
        mask: np.ndarray,
        seed: int = 0,
        *,
        batch_size: int = 64,
        **options,
    ) -> np.ndarray:
        """Fill in parts of images: at each step the known pixels are put in place, with the noise of that step.

        Args:
            images: `(count, ..., channels)` in the range of the training images.
            mask: `True` where a pixel is to be made; of the images' shape, or with 1 for the number of images or of
                channels.
            seed: the same seed gives the same images.
            batch_size: as of `generate`.
            **options: `sampler`, `steps`, `eta`, `classes`, `guidance`, `temperature` and `clip` of `generate`.

        Returns:
            `(count, ..., channels)` float32; outside of the mask the images as given.

        Raises:
            ValueError: as `generate`, or if images or mask do not suit.

        Reference:
            Song et al. 2021, arXiv:2011.13456, appendix I.2.

        Example:
            >>> import numpy as np, astrokeras
            >>> model = astrokeras.applications.ddpm((8, 8, 1), steps=20, filters=(8, 16))
            >>> mask = np.zeros((1, 8, 8, 1), bool)
            >>> mask[:, :, 4:] = True
            >>> float(model.inpaint(np.ones((2, 8, 8, 1)), mask)[:, :, :4].min())
            1.0
        """
        images = np.asarray(images, "float32")
        check_images(images, self.noising.value_range, self.name, shape=self.network.output_shape[1:])
        try:
            made = np.broadcast_to(np.asarray(mask, bool), images.shape)
        except ValueError as error:
            raise ValueError(
                f"Expected a mask that suits images of shape {images.shape}; received {np.shape(mask)}."
            ) from error
        labels, how = self._plan(len(images), **options)
        start, known = self._start(len(labels), seed, how["temperature"]), self.noising.scaled(images)
        arrays = _batches(batch_size, start, labels, known, made.astype("float32"))
        parts = [
            self._samplers.run(self, part, label, seed + index, known=some, where=where, **how)
            for index, (part, label, some, where) in enumerate(arrays)
        ]
        return np.where(made, self._finished(np.concatenate(parts)[: len(images)]), images)

    def chain(self, count: int, seed: int = 0, *, frames: int = 10, **options) -> np.ndarray:
        """Make images, and show how they come out of the noise.

        Args:
            count: number of images.
            seed: the same seed gives the same images.
            frames: pictures of each, evenly over the steps: the first is noise, the last the image.
            **options: `sampler`, `steps`, `eta`, `classes`, `guidance`, `temperature` and `clip` of `generate`.

        Returns:
            `(count, frames, ..., channels)` float32; early ones go beyond the range of the images.

        Raises:
            ValueError: as `generate`, or if there are fewer than 2 frames or more than steps.
        """
        labels, how = self._plan(count, **options)
        tables = how.pop("tables")
        total = len(tables["time"])
        if not 2 <= frames <= total + 1:
            raise ValueError(f"Expected 2 to {total + 1} frames; received {frames}.")
        states = [self._start(count, seed, how["temperature"])]
        cuts = np.round(np.linspace(0, total, frames)).astype(int)
        for low, high in zip(cuts[:-1], cuts[1:], strict=True):
            some = {name: column[low:high] for name, column in tables.items()}
            states.append(self._samplers.run(self, states[-1], labels, seed, tables=some, **how))
        return self.noising.unscaled(np.stack(states, axis=1))

    def get_config(self):
        """Return the arguments."""
        return super().get_config() | {
            "alpha_bar": self.schedule.alpha_bar.tolist(),
            "channels": self.network.output_shape[-1],
            "classes": self.classes,
            "target": self.noising.target,
            "value_range": self.noising.value_range,
            "ema": self.ema,
            "class_dropout": self.class_dropout,
            "seed": self.seed,
        }

    def _average(self) -> None:
        """Move the averages towards the weights; faster in the beginning."""
        self.seen.assign(self.seen + 1)
        rate = ops.minimum(self.ema, self.seen / (9 + self.seen))
        for mean, weight in zip(self.averaged.weights, self.network.weights, strict=True):
            if "float" in str(mean.dtype):
                weight = ops.stop_gradient(ops.cast(weight, "float32"))
                mean.assign(ops.cast(rate * ops.cast(mean, "float32") + (1 - rate) * weight, mean.dtype))

    def _plan(
        self,
        count,
        sampler="ancestral",
        steps=None,
        eta=None,
        classes=None,
        guidance=None,
        temperature=1.0,
        clip=True,
    ) -> tuple[np.ndarray, dict]:
        """Return the class of each image, and how the samplers are to run."""
        if not temperature > 0 or (temperature != 1 and not clip):
            raise ValueError(
                f"Expected temperature > 0, and clip=True where it is not 1; received temperature={temperature}, "
                f"clip={clip}."
            )
        labels, tables = self._labels(count, classes, guidance), self._tables(sampler, steps, eta)
        tables["spread"] = tables["spread"] * temperature
        return labels, {"tables": tables, "guidance": guidance, "temperature": temperature, "clip": clip}

    def _labels(self, count, classes, guidance) -> np.ndarray:
        """Return the class of each image; the number of classes stands for none."""
        if self.classes is None:
            if classes is not None or guidance is not None:
                raise ValueError(
                    f"{self.name} is not conditional: leave out classes and guidance, or build it with classes."
                )
            labels = np.zeros(1 if count is None else count, "int32")
        else:
            labels = np.asarray(self.classes if classes is None else classes)
            if labels.dtype.kind not in "iu" or np.any((labels < 0) | (labels > self.classes)) or labels.ndim > 1:
                raise ValueError(f"Expected classes from 0 to {self.classes - 1}; received {classes}.")
            labels = np.full(1 if count is None else count, labels) if labels.ndim == 0 else labels
        if len(labels) < 1 or (count is not None and len(labels) != count):
            raise ValueError(f"Expected count >= 1 and as many classes; received {count} and {classes}.")
        if guidance is not None and classes is None:
            raise ValueError(f"Expected classes where there is guidance; received guidance={guidance} alone.")
        return labels.astype("int32")

    def _tables(self, sampler: str, steps: int | None, eta: float | None) -> dict[str, np.ndarray]:
        if sampler not in SAMPLERS:
            raise ValueError(f"Expected a sampler of {', '.join(SAMPLERS)}; received {sampler!r}.")
        if sampler == "ddim" and steps is None:
            steps = min(DDIM_STEPS, self.schedule.steps)
        return self.schedule.updates(steps, float(sampler == "ancestral") if eta is None else eta)

    def _start(self, count: int, seed: int, temperature: float) -> np.ndarray:
        shape = self.network.output_shape[1:]
        return np.float32(temperature) * np.random.default_rng(seed).standard_normal((count, *shape), dtype="float32")

    def _finished(self, images: np.ndarray) -> np.ndarray:
        return np.clip(self.noising.unscaled(images), *self.noising.value_range)


def _inputs(network: keras.Model) -> dict:
    """Return the network's inputs by name; the only one is the image, whatever its name."""
    if len(network.inputs) == 1:
        return {"image": network.inputs[0]}
    return {tensor.name.split(":")[0]: tensor for tensor in network.inputs}


def _guess(network, noised, time, rate, label):
    """Call the network with what it is to be told."""
    told = _inputs(network)
    if told["image"].shape[-1] > noised.shape[-1]:
        noised = AppendChannel(name="append_noise_rate")(noised, rate)
    more = {"time": time, "class": label}
    more = {name: more[name] for name in ("time", "class") if name in told}
    return network({"image": noised, **more} if more else noised)


def _batches(size: int, *arrays):
    """Cut arrays into batches of one size; the last is filled up with what there is."""
    if size < 1:
        raise ValueError(f"Expected batch_size >= 1; received {size}.")
    count = len(arrays[0])
    size = min(size, count)
    for low in range(0, count, size):
        rows = np.arange(low, low + size) % count
        yield [array[rows] for array in arrays]


class _Samplers:
    """The compiled loops, one for each way to be called; Keras does not see them in the model, nor save them."""

    def __init__(self):
        self.known: dict[tuple, _Sampler] = {}

    def run(
        self, model, start, labels, seed, *, tables, guidance, temperature, clip, known=None, where=None
    ) -> np.ndarray:
        """Take noise through the steps of the tables."""
        kind = (guidance is not None, clip, known is not None)
        if kind not in self.known:
            self.known[kind] = _Sampler(model, *kind)
        tables = {name: column.astype("int32" if name == "time" else "float32") for name, column in tables.items()}
        inputs = {"tables": tables, "start": start, "class": labels, "seed": np.int32([seed % 2**31])}
        inputs["excess"] = np.float32([1 / temperature - 1])  # of the guessed noise
        if known is not None:
            inputs |= {"known": known, "where": where}
        if guidance is not None:
            inputs["guidance"] = np.float32([guidance])
        return self.known[kind].predict_on_batch(inputs)


class _Sampler(keras.Model):
    """All steps from noise to image as one graph."""

    def __init__(self, model: DiffusionModel, guided: bool, clip: bool, inpaint: bool):
        super().__init__(name="sampler", dtype="float32")
        self.averaged = model.averaged
        self._model, self.guided, self.clip, self.inpaint = (model,), guided, clip, inpaint

    def build(self, input_shape=None):
        """Nothing is to be made."""

    def call(self, inputs):
        """Run the loop."""
        model = self._model[0]
        start, label, seed = ops.cast(inputs["start"], "float32"), inputs["class"], inputs["seed"][0]
        many = 2 if self.guided else 1
        unknown = 0 if model.classes is None else model.classes
        label = ops.concatenate([label, ops.full_like(label, unknown)]) if self.guided else label

        def guess(x, time, rate):
            x = ops.concatenate([x] * many) if self.guided else x
            numbers = ops.zeros((ops.shape(x)[0],), "float32")
            out = _guess(self.averaged, x, numbers + time, numbers + rate, label)
            out = ops.cast(out, "float32")
            if not self.guided:
                return out
            told, untold = ops.split(out, 2)
            return untold + inputs["guidance"][0] * (told - untold)

        def step(index, x):
            row = {name: ops.take(column, index, axis=0) for name, column in inputs["tables"].items()}
            signal, rate = ops.sqrt(row["alpha_bar"]), ops.sqrt(1 - row["alpha_bar"])
            out = guess(x, ops.cast(row["time"], "float32"), rate)
            if model.noising.target == "noise":
                image = (x - rate * out) / signal
            elif model.noising.target == "velocity":
                image = signal * x - rate * out
            else:
                image = out
            if self.clip:  # (x - rate noise / temperature) / signal
                noise = (x - signal * image) / rate
                image = ops.clip(image - inputs["excess"][0] * rate / signal * noise, -1.0, 1.0)
            drawn = keras.random.normal(ops.shape(x), dtype="float32", seed=StepSeed(seed, row["time"]))
            x = row["image_rate"] * image + row["noised_rate"] * x + row["spread"] * drawn
            if self.inpaint:
                fresh = keras.random.normal(ops.shape(x), dtype="float32", seed=StepSeed(seed + 1, row["time"]))
                known = ops.sqrt(row["before"]) * inputs["known"] + ops.sqrt(1 - row["before"]) * fresh
                x = inputs["where"] * x + (1 - inputs["where"]) * known
            return x

        return ops.fori_loop(0, ops.shape(inputs["tables"]["time"])[0], step, start)
