"""Where does the NaN come from?"""

import contextlib
import math
import warnings
from collections.abc import Iterator

import keras
import numpy as np
from keras import ops


class NonFinite(keras.callbacks.Callback):
    """Stop the training at a loss that is not finite, and name the first layer where that begins, in one sentence.

    The sentence comes as a warning, and stays in `found`. The model gets its last finite weights back. With these, the
    layers are tried on `x` in their order; where all their outputs are finite, the weights after the bad step are
    looked through. In mixed_float16, Keras's loss scaling skips steps whose gradients are not finite; this callback
    stops at the loss itself.

    Args:
        x: inputs of a few examples, as the model takes them; `None` looks at the weights alone.
        every: steps from one look to the next. At each look the weights are copied into the host's memory, and a GPU
            is waited for.

    Raises:
        ValueError: if `every` < 1.

    Example:
        >>> import keras, numpy as np, warnings
        >>> from astrokeras.callbacks import NonFinite
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="last")])
        >>> model.compile(keras.optimizers.SGD(1e30), "mse")
        >>> guard = NonFinite()
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     history = model.fit(np.ones((8, 2)), np.ones(8), batch_size=2, callbacks=[guard], verbose=0)
        >>> guard.found is not None and bool(np.isfinite(model.get_weights()[0]).all())
        True
    """

    def __init__(self, x=None, *, every: int = 1):
        super().__init__()
        if every < 1:
            raise ValueError(f"Expected every >= 1 step; received {every}.")
        self.x = x
        self.every = every
        self.found: str | None = None
        self._kept, self._step, self._epoch, self._next = None, 0, 0, 0

    def on_train_begin(self, logs=None) -> None:
        """Keep the weights."""
        self.found, self._step, self._next = None, 0, 0
        self._keep()

    def on_epoch_begin(self, epoch: int, logs=None) -> None:
        """Remember which epoch it is."""
        self._epoch, self._next = epoch, 0

    def on_train_batch_end(self, batch: int, logs=None) -> None:
        """Look at the loss, which is the mean of the epoch so far: once it is not finite it stays so."""
        if self.found is not None or batch < self._next or "loss" not in (logs or {}):
            return
        self._next = batch + self.every
        loss = float(logs["loss"])
        if math.isfinite(loss):
            self._keep()
            return
        after = [(weight.path, _counts(weight)) for weight in self.model.weights]
        self.model.set_weights(self._kept)
        self.model.stop_training = True
        self.found = (
            f"Stopped in epoch {self._epoch + 1} at step {batch + 1}, where the loss is {loss}: {self._where(after)}"
        )
        warnings.warn(self.found, RuntimeWarning, stacklevel=2)

    def on_train_end(self, logs=None) -> None:
        """Forget the copy."""
        self._kept = None

    def _keep(self) -> None:
        self._kept = [np.array(values) for values in self.model.get_weights()]

    def _where(self, after: list) -> str:
        """Return the part of the sentence that says where the trouble begins."""
        if self.x is not None:
            for values in keras.tree.flatten(self.x):
                if any(_counts(values)):
                    return f"the inputs to look with are not finite themselves ({_described(_counts(values))})."
            name = _first_layer(self.model, self.x)
            if name is not None:
                return f"the first layer whose output is not finite is {name}; the model has the weights from before."
        for path, counts in after:
            if any(counts):
                return (
                    f"the first weight that is not finite after it is {path} ({_described(counts)})"
                    f"{', and all outputs before it were finite' * (self.x is not None)}; the model has the weights "
                    "from before."
                )
        return (
            "outputs and weights are finite, so look at the targets and the loss itself."
            if self.x is not None
            else ("all weights are finite, so look at the data, or give x= to look at the layers' outputs.")
        )


def _first_layer(model: keras.Model, x) -> str | None:
    """Return name, class and counts of the first layer with an output that is not finite."""
    found = []
    with contextlib.ExitStack() as stack:
        for layer in _leaves(model):
            stack.enter_context(_watched(layer, found))
        model(keras.tree.map_structure(ops.convert_to_tensor, x), training=False)
    return found[0] if found else None


def _leaves(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        elif not isinstance(layer, keras.layers.InputLayer):
            yield layer


@contextlib.contextmanager
def _watched(layer: keras.layers.Layer, found: list) -> Iterator[None]:
    """Look at what a layer returns, for a while."""
    call = layer.call

    def looking(*args, **kwargs):
        outputs = call(*args, **kwargs)
        for values in keras.tree.flatten(outputs):
            if not found and any(_counts(values)):
                found.append(f"{layer.name!r} ({type(layer).__name__}, {_described(_counts(values))})")
        return outputs

    layer.call = looking
    try:
        yield
    finally:
        del layer.call


def _counts(values) -> tuple[int, int, int]:
    """Return how many are NaN, how many infinite, and, where any is, how many there are."""
    values = ops.convert_to_numpy(ops.cast(ops.convert_to_tensor(values), "float32"))
    nan, infinite = int(np.isnan(values).sum()), int(np.isinf(values).sum())
    return nan, infinite, values.size * bool(nan + infinite)


def _described(counts: tuple[int, int, int]) -> str:
    nan, infinite, size = counts
    parts = [f"{count} {word}" for count, word in ((nan, "NaN"), (infinite, "infinite")) if count]
    return f"{' and '.join(parts)} of {size} values"
