"""Residual networks of He et al. 2015, for small and for large images."""

import keras

from astrokeras.network import Network

BASIC, BOTTLENECK = "basic", "bottleneck"
LARGE = {  # depth -> block and blocks per stage (the paper's Table 1)
    18: (BASIC, (2, 2, 2, 2)),
    34: (BASIC, (3, 4, 6, 3)),
    50: (BOTTLENECK, (3, 4, 6, 3)),
    101: (BOTTLENECK, (3, 4, 23, 3)),
    152: (BOTTLENECK, (3, 8, 36, 3)),
}
SMALL = (20, 32, 44, 56, 110)  # 6 n + 2 layers: three stages of n basic blocks


def resnet(
    input_shape=(32, 32, 3),
    classes: int = 10,
    *,
    depth: int = 20,
    include_top: bool = True,
    normalization: tuple[float, float] | None = (127.5, 127.5),
    weights: str | None = None,
    name: str = "resnet",
) -> keras.Model:
    """Build a residual network.

    Depths 20, 32, 44, 56 and 110 are the paper's networks for images of about 32 pixels (16, 32, 64
    filters); 18, 34, 50, 101 and 152 those for images of about 224 pixels. Where the size of the map
    changes, the shortcut is a projection (the paper's option B).

    Input: `(batch, [z, [y,]] x, channels)` in 0..255, as the loaders give it. Output: `(batch, classes)`,
    class probabilities; without top `(batch, channels)`, the pooled features.

    Args:
        input_shape: shape of one image; 1-D, 2-D and 3-D.
        classes: number of classes.
        depth: one of the depths above.
        include_top: end with the dense softmax layer.
        normalization: `(mean, scale)` of the first layer, `(x - mean) / scale`; `None` for the bare net.
        weights: `None`, or a `.keras` or `.weights.h5` file.
        name: of the model.

    Raises:
        ValueError: if `depth` is unknown or another argument is out of range.

    Reference:
        He et al. 2015, arXiv:1512.03385.

    Example:
        >>> import astrokeras
        >>> model = astrokeras.applications.resnet((64, 64, 1), classes=3, depth=18)
        >>> model.output_shape
        (None, 3)
    """
    if depth not in LARGE and depth not in SMALL:
        raise ValueError(
            f"Expected depth to be one of {', '.join(map(str, sorted([*SMALL, *LARGE])))}; received {depth!r}."
        )
    net = Network(input_shape, activation="linear", kernel_initializer="he_normal", name=name)
    if normalization is not None:
        net.rescale(*normalization)
    if depth in SMALL:
        kind, blocks, filters = BASIC, ((depth - 2) // 6,) * 3, 16
        _conv(net, filters, 3, 1, "stem")
    else:
        (kind, blocks), filters = LARGE[depth], 64
        _conv(net, filters, 7, 2, "stem")
        net.pool(3, strides=2, padding=1, name="stem_pool")
    for stage, count in enumerate(blocks):
        for block in range(count):
            strides = 2 if stage > 0 and block == 0 else 1
            _residual(net, kind, filters * 2**stage, strides, f"stage{stage + 1}_block{block + 1}")
    net.global_pool("average", name="global_pool")
    if include_top:
        net.dense(classes, activation="softmax", name="classes")
    return net.build(weights, application="resnet")


def _conv(net: Network, filters: int, kernel: int, strides: int, name: str, activation: str | None = "relu") -> None:
    """Convolution without bias, batch normalisation, activation."""
    net.conv(filters, kernel, strides, padding=kernel // 2, use_bias=False, name=f"{name}_conv")
    net.batch_norm(momentum=0.9, epsilon=1e-5, activation=activation, name=f"{name}_norm")


def _residual(net: Network, kind: str, filters: int, strides: int, name: str) -> None:
    """One block: the residual branch, a projection where shapes differ, their sum, ReLU."""
    net.mark(f"{name}_start")
    channels = net.output_shape[-1]
    if kind == BASIC:
        width = filters
        _conv(net, filters, 3, strides, f"{name}_1")
        _conv(net, filters, 3, 1, f"{name}_2", activation=None)
    else:
        width = 4 * filters
        _conv(net, filters, 1, strides, f"{name}_1")
        _conv(net, filters, 3, 1, f"{name}_2")
        _conv(net, width, 1, 1, f"{name}_3", activation=None)
    shortcut = f"{name}_start"
    if strides != 1 or channels != width:
        net.mark(f"{name}_end").at(shortcut)
        _conv(net, width, 1, strides, f"{name}_shortcut", activation=None)
        shortcut = f"{name}_end"
    net.add(shortcut, activation="relu", name=f"{name}_add")
