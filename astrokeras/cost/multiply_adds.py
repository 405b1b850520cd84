"""How many multiplications, each with its addition, one call of a layer takes."""

import math
import warnings
from collections.abc import Sequence

import keras

from astrokeras import layers

CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
CONVOLUTIONS += (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)
SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)


def multiply_adds(layer: keras.layers.Layer, given: Sequence[tuple], made: tuple) -> int:
    """Count those of one call for one example; a layer with matrices that is not known counts 0 and warns.

    Args:
        layer: built.
        given: shapes of its inputs without the batch axis.
        made: shape of its output, likewise.
    """
    if isinstance(layer, (keras.layers.Dense, layers.PivotDense)):
        return math.prod(made[:-1]) * math.prod(layer.kernel.shape)
    if isinstance(layer, TRANSPOSED):  # tested first: Keras derives some of them from the others
        return math.prod(given[0][:-1]) * math.prod(layer.kernel.shape)
    if isinstance(layer, CONVOLUTIONS):
        return math.prod(made[:-1]) * math.prod(layer.kernel.shape)
    if isinstance(layer, SEPARABLE):
        kernels = math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape)
        return math.prod(made[:-1]) * kernels
    if isinstance(layer, keras.layers.MultiHeadAttention):
        return _attention(layer, given)
    matrices = [weight for weight in layer.weights if len(weight.shape) > 1]
    if matrices and not isinstance(layer, keras.layers.Embedding):
        warnings.warn(
            f"The multiply-adds of layer {layer.name!r} ({type(layer).__name__}) are not known; it counts 0.",
            stacklevel=2,
        )
    return 0


def _attention(layer: keras.layers.MultiHeadAttention, given: Sequence[tuple]) -> int:
    """Count four projections, the scores of all pairs, and the weighted sums, as in Vaswani et al. 2017."""
    queries, values = given[0], given[min(1, len(given) - 1)]
    asked, held = math.prod(queries[:-1]), math.prod(values[:-1])
    sizes = [math.prod(one.kernel.shape) for one in (layer.query_dense, layer.output_dense)]
    others = [math.prod(one.kernel.shape) for one in (layer.key_dense, layer.value_dense)]
    depths = math.prod(layer.query_dense.kernel.shape[1:]) + math.prod(layer.value_dense.kernel.shape[1:])
    return asked * sum(sizes) + held * sum(others) + asked * held * depths
