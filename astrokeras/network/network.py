"""Network: build a network layer by layer, as the course and CIANNA write it."""

import numbers
from collections.abc import Sequence

import keras
import rich.console
import rich.table

from astrokeras import layers, plots
from astrokeras.layers.convolution import is_wide
from astrokeras.layers.pooling import per_axis
from astrokeras.models import YoloDetector
from astrokeras.network.activations import Activation, activation_layer, split_activation
from astrokeras.parameters import Parameter, columns
from astrokeras.weights import load

DEFAULT = "default"
WIDTH = 100  # characters of the table of the layers


class Network:
    """A network under construction; `build()` turns it into a `keras.Model`.

    Every method adds one layer of the course's listings behind the last one and returns the network. One
    code serves spectra `(x, channels)`, images `(y, x, channels)`, cubes `(z, y, x, channels)` and vectors `(values,)`:
    the length of `input_shape` decides. Layers are named by kind and order (`conv1`, `pool1`, ...) unless
    `name=` says otherwise.

    Args:
        input_shape: shape of one example without the batch axis, channels last.
        activation: of each `conv` and `dense` that names none: `"relu_leaky"` (CIANNA's RELU, the
            default), `"linear"`, any Keras name, a function, or a layer to copy.
        kernel_initializer: of each `conv` and `dense`.
        name: of the model.
        verbose: print each layer as it is added.

    Raises:
        ValueError: if the shape has more than 3 spatial axes and channels, a side is below 1, or
            keras.json says `channels_first`.

    Reference:
        The declarative interface of CIANNA (Cornu, https://github.com/Deyht/CIANNA).

    Example:
        >>> import astrokeras
        >>> net = astrokeras.Network((28, 28, 1), name="small")
        >>> model = net.conv(8, 5).pool(2).flatten().dense(10, activation="softmax").build()
        >>> model.output_shape
        (None, 10)
    """

    def __init__(
        self,
        input_shape,
        activation: Activation = "relu_leaky",
        *,
        kernel_initializer: str = "glorot_uniform",
        name: str = "network",
        verbose: bool = False,
    ):
        if keras.config.image_data_format() != "channels_last":
            raise ValueError(
                "Expected image_data_format 'channels_last' in keras.json; received 'channels_first': astrokeras "
                "knows one order, call keras.config.set_image_data_format('channels_last')."
            )
        shape = tuple(input_shape) if isinstance(input_shape, (tuple, list)) else (input_shape,)
        if not 1 <= len(shape) <= 4 or any(not isinstance(n, numbers.Integral) or n < 1 for n in shape):
            raise ValueError(
                f"{name}: expected input_shape to be (x, channels), (y, x, channels), (z, y, x, channels) or "
                f"(values,), each at least 1; received {input_shape!r}."
            )
        shape = tuple(map(int, shape))
        self.name = name
        self.input_shape = shape
        self.default_activation = activation
        self.kernel_initializer = kernel_initializer
        self.verbose = verbose
        self._input = self._x = keras.Input(shape, name="input")
        self._marks = {}
        self._counts = {}
        self._rows = []
        self._detector = None

    @classmethod
    def after(cls, model: keras.Model, activation: Activation = "relu_leaky", **kwargs) -> "Network":
        """Continue behind the output of a functional model, such as a pretrained one without its top.

        Args:
            model: with one input and one output; its layers, weights and names become part of the network.
            activation: as for `Network`, likewise the other arguments.
            **kwargs: `kernel_initializer`, `name`, `verbose`.
        """
        net = cls(model.input_shape[1:], activation, **kwargs)
        net._input, net._x = model.inputs[0], model.outputs[0]
        net._rows = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
        return net

    # ---- layers with weights

    def conv(
        self,
        filters: int,
        kernel_size,
        strides=1,
        padding="same",
        *,
        internal_padding=0,
        activation: Activation = DEFAULT,
        dropout: float = 0,
        use_bias: bool = True,
        name: str | None = None,
    ) -> "Network":
        """Add a convolution.

        Args:
            filters: number of filters.
            kernel_size: an integer or one per axis, (z, y, x) order; likewise `strides`.
            strides: step of the kernel.
            padding: `"same"`, `"valid"`, or zeros added on both sides (an integer or one per axis).
            internal_padding: zeros between neighbouring pixels; with `internal_padding=s - 1` and
                strides 1 a transposed convolution of stride s.
            activation: in place of the network's.
            dropout: rate, after the activation.
            use_bias: whether filters have a bias.
            name: in place of the automatic one.
        """
        name = self._name("conv", name)
        self._positive(name, "filters", filters)
        kernel = self._axes(kernel_size, "kernel_size", 1, name)
        strides = self._axes(strides, "strides", 1, name)
        if any(self._axes(internal_padding, "internal_padding", 0, name)):
            self._add(layers.InternalPadding(internal_padding, name=f"{name}_internal_padding"))
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(
                f'{self.name}, {name}: expected padding to be "same", "valid" or integers; received {padding!r}.'
            )
        if not isinstance(padding, str):
            pads = self._axes(padding, "padding", 0, name)
            centred = all(step == 1 and 2 * pad == k - 1 for step, pad, k in zip(strides, pads, kernel, strict=True))
            if not centred:
                self._pad(pads, name)
            padding = "same" if centred else "valid"
        if padding == "valid":
            self._needs(kernel, name)
        shape = {"filters": filters, "kernel_size": kernel, "strides": strides, "padding": padding}
        wide = len(kernel) == 2 and is_wide(self.output_shape, kernel, filters)
        kind = layers.Conv2D if wide else self._kind("Conv")
        return self._weighted(kind, shape, activation, dropout, use_bias, name)

    def dense(
        self,
        units: int,
        *,
        activation: Activation = DEFAULT,
        dropout: float = 0,
        use_bias: bool = True,
        name: str | None = None,
    ) -> "Network":
        """Add a fully connected layer; a map in front of it is flattened first.

        Args:
            units: number of neurons.
            activation: in place of the network's; softmax and sigmoid are computed in float32.
            dropout: rate, after the activation.
            use_bias: whether neurons have a bias.
            name: in place of the automatic one.
        """
        name = self._name("dense", name)
        self._positive(name, "units", units)
        if len(self._x.shape) > 2:
            self.flatten()
        return self._weighted(keras.layers.Dense, {"units": units}, activation, dropout, use_bias, name)

    def norm(
        self,
        group_size: int,
        *,
        per: str = "group",
        set_off: int = 0,
        activation: Activation = None,
        name: str | None = None,
    ) -> "Network":
        """Add a group normalisation (`layers.GroupNormalization`)."""
        name = self._name("norm", name)
        self._add(layers.GroupNormalization(group_size, per=per, set_off=set_off, name=name))
        return self._finish(activation, 0, name)

    def batch_norm(
        self, *, momentum: float = 0.99, epsilon: float = 1e-3, activation: Activation = None, name: str | None = None
    ) -> "Network":
        """Add a batch normalisation (`layers.BatchNormalization`)."""
        name = self._name("batch_norm", name)
        self._add(layers.BatchNormalization(momentum=momentum, epsilon=epsilon, name=name))
        return self._finish(activation, 0, name)

    def lrn(
        self,
        depth: int = 5,
        *,
        k: float = 1.0,
        alpha: float = 1.0,
        beta: float = 0.5,
        activation: Activation = None,
        name: str | None = None,
    ) -> "Network":
        """Add a local response normalisation (`layers.LocalResponseNormalization`)."""
        name = self._name("lrn", name)
        self._add(layers.LocalResponseNormalization(depth, k=k, alpha=alpha, beta=beta, name=name))
        return self._finish(activation, 0, name)

    # ---- layers that change the shape

    def pool(
        self,
        size=2,
        kind: str = "max",
        strides=None,
        padding=0,
        *,
        activation: Activation = None,
        name: str | None = None,
    ) -> "Network":
        """Add a pooling layer; its padding is never counted.

        Args:
            size: window, an integer or one per axis; likewise `strides` (default: `size`) and `padding`.
            kind: `"max"` or `"average"`.
            strides: step of the window.
            padding: pixels skipped around the image, smaller than `size`.
            activation: applied to the pooled map.
            name: in place of the automatic one.
        """
        name = self._name("pool", name)
        self._choice(name, kind)
        window = self._axes(size, "size", 1, name)
        strides = window if strides is None else self._axes(strides, "strides", 1, name)
        padding = self._axes(padding, "padding", 0, name)
        self._needs(tuple(w - 2 * p for w, p in zip(window, padding, strict=True)), name)
        if any(padding):
            self._add(layers.PaddedPooling(window, kind, strides=strides, padding=padding, name=name))
        else:
            pooling = self._kind("MaxPooling" if kind == "max" else "AveragePooling")
            self._add(pooling(_unpack(window), strides=_unpack(strides), name=name))
        return self._finish(activation, 0, name)

    def global_pool(
        self, kind: str = "average", *, activation: Activation = None, name: str | None = None
    ) -> "Network":
        """Pool the whole map to one value per channel; `kind` is `"average"` or `"max"`."""
        name = self._name("global_pool", name)
        self._choice(name, kind)
        self._spatial(name)
        self._add(self._kind("GlobalMaxPooling" if kind == "max" else "GlobalAveragePooling")(name=name))
        return self._finish(activation, 0, name)

    def upsample(self, size=2, *, name: str | None = None) -> "Network":
        """Repeat each pixel `size` times along each axis."""
        name = self._name("upsample", name)
        factor = self._axes(size, "size", 1, name)
        return self._add(self._kind("UpSampling")(_unpack(factor), name=name))

    def flatten(self, *, name: str | None = None) -> "Network":
        """Turn a map into a vector, in the order (z, y, x, channel)."""
        return self._add(keras.layers.Flatten(name=self._name("flatten", name)))

    def reshape(self, shape, *, name: str | None = None) -> "Network":
        """Give the values another shape, such as a vector the shape `(y, x, channels)` of a map."""
        name = self._name("reshape", name)
        held, asked = 1, 1
        for n in self._x.shape[1:]:
            held *= n
        for n in shape:
            asked *= n
        if held != asked or any(n < 1 for n in shape):
            raise ValueError(
                f"{self.name}, {name}: expected a shape of {held} values, as many as {self.output_shape}; "
                f"received {tuple(shape)} with {asked}."
            )
        return self._add(keras.layers.Reshape(tuple(shape), name=name))

    # ---- layers that keep the shape

    def rescale(self, mean: float = 0.0, scale: float = 1.0, *, name: str = "normalization") -> "Network":
        """Map the input to `(x - mean) / scale`, as the first, named layer of the model."""
        if not scale > 0:
            raise ValueError(f"{self.name}, {name}: expected scale > 0; received {scale!r}.")
        return self._add(keras.layers.Rescaling(1.0 / scale, -mean / scale, name=name))

    def stretch(self, *, name: str = "normalization", **settings) -> "Network":
        """Cut, scale and bend the input (`layers.Stretch`), as the first, named layer of the model."""
        return self._add(layers.Stretch(name=name, **settings))

    def activation(self, activation: Activation, *, name: str | None = None) -> "Network":
        """Apply an activation on its own."""
        name = self._name("activation", name)
        return self._add(activation_layer(activation, name, self.name))

    def dropout(self, rate: float, *, name: str | None = None) -> "Network":
        """Drop a share `rate` of the values in training (Keras's: the others are rescaled)."""
        name = self._name("dropout", name)
        if not 0 <= rate < 1:
            raise ValueError(f"{self.name}, {name}: expected a rate in 0..1, 1 excluded; received {rate!r}.")
        return self._add(keras.layers.Dropout(rate, name=name))

    # ---- branches

    def mark(self, name: str) -> "Network":
        """Remember this place under a name, for `at`, `add` and `concat`."""
        if name in self._marks:
            raise ValueError(f"{self.name}: the mark {name!r} is set already; choose another name.")
        self._marks[name] = self._x
        return self

    def at(self, mark: str) -> "Network":
        """Go back to a mark: the next layer starts a new branch there (a projection shortcut)."""
        self._x = self._marked(mark)
        return self

    def add(self, mark: str, *, activation: Activation = None, name: str | None = None) -> "Network":
        """Add the map remembered at a mark to this one (same shape)."""
        name = self._name("add", name)
        other = self._marked(mark)
        if tuple(other.shape) != tuple(self._x.shape):
            raise ValueError(
                f"{self.name}, {name}: expected two maps of one shape; received {self.output_shape} here and "
                f"{tuple(other.shape[1:])} at {mark!r}: project one with a convolution of size 1."
            )
        self._add(keras.layers.Add(name=name), other)
        return self._finish(activation, 0, name)

    def concat(self, mark: str, *, name: str | None = None) -> "Network":
        """Append the channels remembered at a mark to these (same spatial axes)."""
        name = self._name("concat", name)
        other = self._marked(mark)
        if tuple(other.shape[:-1]) != tuple(self._x.shape[:-1]):
            raise ValueError(
                f"{self.name}, {name}: expected two maps of one size; received {self.output_shape} here and "
                f"{tuple(other.shape[1:])} at {mark!r}: pool or upsample one."
            )
        return self._add(keras.layers.Concatenate(axis=-1, name=name), other)

    # ---- detection

    def yolo(
        self,
        priors,
        classes: int = 0,
        parameters: Sequence[Parameter] = (),
        *,
        class_softmax: bool = False,
        slopes: dict | None = None,
        fit_dims: int | None = None,
        loss: dict | None = None,
        **detector,
    ) -> "Network":
        """End with a YOLO detector: a linear 1x1 convolution and a `layers.YoloHead`; `build` makes a `YoloDetector`.

        Args:
            priors: sizes in pixels of the input, one row per box, x first.
            classes: number of classes.
            parameters: predicted for each box.
            class_softmax: classes exclude each other; `slopes`, `fit_dims`: as in `layers.YoloHead`.
            slopes: (slope, max, min) of each part.
            fit_dims: number of axes to fit.
            loss: settings of `losses.YoloLoss`.
            **detector: `class_names`, `score_threshold`, `nms_threshold`, ... of `models.YoloDetector`.
        """
        self._spatial("yolo")
        options = {"class_softmax": class_softmax, "slopes": slopes, "fit_dims": fit_dims}
        head = layers.YoloHead(priors, classes, columns(parameters), **options, name="yolo")
        self.conv(head.boxes * head.columns, 1, activation="linear", name="yolo_logits")
        self._detector = {"loss": loss, "parameters": parameters} | detector
        return self._add(head)

    # ---- the result

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape at this place, without the batch axis."""
        return tuple(self._x.shape[1:])

    def build(self, weights=None, application: str | None = None) -> keras.Model:
        """Return the functional `keras.Model` from the input to this place (a `YoloDetector` behind `yolo`).

        Args:
            weights: `None`, a name known for the application, or a `.keras` or `.weights.h5` file.
            application: whose names `weights` may use; defaults to the network's name.
        """
        if self._detector is None:
            model = keras.Model(self._input, self._x, name=self.name)
        else:
            model = YoloDetector(self._input, self._x, **self._detector, name=self.name)
        return load(model, weights, application or self.name)

    def summary(self) -> None:
        """Print the table of the layers so far."""
        plots.print_table(self.table())

    def table(self) -> rich.table.Table:
        """Return the table of the layers so far: name, kind, kernel (and strides), activation, shape, parameters."""
        return plots.layer_table(self._rows, f"{self.name}, input {self.input_shape}")

    def __repr__(self) -> str:
        """Return the table as text."""
        console = rich.console.Console(width=WIDTH)
        with console.capture() as captured:
            console.print(self.table())
        return captured.get()

    # ---- helpers

    def _add(self, layer: keras.layers.Layer, *others) -> "Network":
        self._x = layer([self._x, *others]) if others else layer(self._x)
        self._rows.append(layer)
        if self.verbose:
            columns = zip(plots.describe_layer(layer), (22, 20, 10, 12, 18, 10), strict=True)
            print("  ".join(text.ljust(width) for text, width in columns).rstrip())
        return self

    def _weighted(
        self, kind, shape: dict, activation: Activation, dropout: float, use_bias: bool, name: str
    ) -> "Network":
        """Add a convolution or dense layer, then what its activation and dropout need behind it."""
        activation = self.default_activation if _is_default(activation) else activation
        function, behind = split_activation(activation, f"{self.name}, {name}")
        initializer = self.kernel_initializer
        self._add(kind(**shape, activation=function, use_bias=use_bias, kernel_initializer=initializer, name=name))
        return self._finish(behind, dropout, name)

    def _finish(self, activation: Activation, dropout: float, name: str) -> "Network":
        if activation not in (None, "linear"):
            self._add(activation_layer(activation, f"{name}_activation", self.name))
        if dropout:
            self.dropout(dropout, name=f"{name}_dropout")
        return self

    def _name(self, kind: str, name: str | None) -> str:
        taken = {layer.name for layer in self._rows}
        while name is None or (name in taken and name == f"{kind}{self._counts.get(kind)}"):
            self._counts[kind] = self._counts.get(kind, 0) + 1
            name = f"{kind}{self._counts[kind]}"
        if name in taken:
            raise ValueError(f"{self.name}: a layer is named {name!r} already; choose another name.")
        return name

    def _spatial(self, name: str) -> int:
        rank = len(self._x.shape) - 2
        if rank < 1:
            raise ValueError(
                f"{self.name}, {name}: expected a map in front of it; received a vector of shape "
                f"{self.output_shape}: use reshape() first."
            )
        return rank

    def _kind(self, kind: str) -> type[keras.layers.Layer]:
        return getattr(keras.layers, f"{kind}{len(self._x.shape) - 2}D")

    def _axes(self, value, argument: str, minimum: int, name: str) -> tuple[int, ...]:
        try:
            return per_axis(value, self._spatial(name), argument, minimum)
        except TypeError:
            raise ValueError(
                f"{self.name}, {name}: expected {argument} to be an integer or one per axis; received {value!r}."
            ) from None

    def _pad(self, pads: tuple[int, ...], name: str) -> None:
        if any(pads):
            self._add(self._kind("ZeroPadding")(_unpack(pads), name=f"{name}_padding"))

    def _needs(self, window: tuple[int, ...], name: str) -> None:
        if any(n < w for n, w in zip(self.output_shape[:-1], window, strict=True)):
            raise ValueError(
                f"{self.name}, {name}: expected a map of at least {'x'.join(map(str, window))} pixels; received "
                f"{'x'.join(map(str, self.output_shape[:-1]))}: the input_shape {self.input_shape} is too small "
                "for the layers in front of it, use a larger one."
            )

    def _positive(self, name: str, argument: str, value: int) -> None:
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
            raise ValueError(f"{self.name}, {name}: expected {argument} to be an integer >= 1; received {value!r}.")

    def _choice(self, name: str, kind: str) -> None:
        if kind not in ("max", "average"):
            raise ValueError(f'{self.name}, {name}: expected kind to be "max" or "average"; received {kind!r}.')

    def _marked(self, mark: str):
        if mark not in self._marks:
            known = ", ".join(map(repr, self._marks)) or "none"
            raise ValueError(f"{self.name}: expected a mark that was set with mark() ({known}); received {mark!r}.")
        return self._marks[mark]


def _unpack(values: tuple[int, ...]):
    """Keras's 1-D layers take a number where the others take one per axis."""
    return values[0] if len(values) == 1 else values


def _is_default(activation: Activation) -> bool:
    return isinstance(activation, str) and activation == DEFAULT
