"""Convolution by hand against Keras's, forward and backward."""

import numpy as np
import pytest
from keras import ops

from astrokeras import backend, layers
from astrokeras.explain.filters import KERNELS, col2im, convolve, im2col, insert_zeros

CASES = [  # image, kernel, strides, padding
    ((9, 2), (3,), 2, 1),
    ((7, 8, 3), (3, 3), 1, 0),
    ((7, 8, 3), (3, 2), (2, 3), (1, 2)),
    ((5, 6, 7, 2), (2, 3, 3), (1, 2, 1), (0, 1, 2)),
]


def numbers(tensor):
    return ops.convert_to_numpy(tensor)


def keras_convolution(image, kernel, strides, padding):
    """Keras's, of an image that is padded before."""
    dims = len(image.shape) - 1
    pads = [(one, one) for one in np.broadcast_to(padding, dims).tolist()]
    padded = ops.pad(image, [*pads, (0, 0)])
    steps = np.broadcast_to(strides, dims).tolist()
    return ops.conv(padded[None], kernel, steps, "valid", "channels_last")[0]


@pytest.mark.parametrize(("shape", "size", "strides", "padding"), CASES)
def test_forward_is_the_convolution_of_keras(rng, shape, size, strides, padding):
    image = rng.normal(size=shape).astype("float32")
    kernel = rng.normal(size=(*size, shape[-1], 5)).astype("float32")
    expected = numbers(keras_convolution(ops.convert_to_tensor(image), ops.convert_to_tensor(kernel), strides, padding))
    found = convolve(image, kernel, strides=strides, padding=padding)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    product = im2col(image, size, strides=strides, padding=padding) @ kernel.reshape(-1, 5)
    np.testing.assert_allclose(product.reshape(expected.shape), expected, atol=1e-5)


@pytest.mark.parametrize(("shape", "size", "strides", "padding"), CASES)
def test_backward_is_the_gradient(rng, shape, size, strides, padding):
    image = rng.normal(size=shape).astype("float32")
    kernel = rng.normal(size=(*size, shape[-1], 5)).astype("float32")
    columns = im2col(image, size, strides=strides, padding=padding)
    slope = rng.normal(size=(len(columns), 5)).astype("float32")  # of some loss with respect to the outputs
    outputs = convolve(image, kernel, strides=strides, padding=padding).shape

    def loss(image, kernel):
        made = keras_convolution(image, kernel, strides, padding)
        return ops.sum(made * ops.reshape(ops.convert_to_tensor(slope), outputs))

    to_kernel = backend.gradient(lambda one: loss(ops.convert_to_tensor(image), one), kernel)
    np.testing.assert_allclose((columns.T @ slope).reshape(kernel.shape), numbers(to_kernel), rtol=1e-4, atol=1e-4)
    to_image = backend.gradient(lambda one: loss(one, ops.convert_to_tensor(kernel)), image)
    back = col2im(slope @ kernel.reshape(-1, 5).T, shape, size, strides=strides, padding=padding)
    np.testing.assert_allclose(back, numbers(to_image), rtol=1e-4, atol=1e-4)


def test_col2im_counts_by_hand():
    # rows of two pixels and a zero on each side; places of two pixels at 0 and 2: each sees one pixel of the image
    seen = col2im(np.arange(1.0, 13).reshape(6, 2), (3, 2, 1), (1, 2), strides=(1, 2), padding=(0, 1))
    assert seen[..., 0].tolist() == [[2, 3], [6, 7], [10, 11]]


@pytest.mark.parametrize(
    ("shape", "size", "strides"), [((6, 2), (3,), 2), ((4, 5, 3), (3, 3), 2), ((4, 5, 3), (2, 4), 3)]
)
def test_inserted_zeros_make_a_transposed_convolution(rng, shape, size, strides):
    image = rng.normal(size=shape).astype("float32")
    kernel = rng.normal(size=(*size, 4, shape[-1])).astype("float32")  # filters before channels
    expected = numbers(ops.conv_transpose(image[None], kernel, strides, "valid", data_format="channels_last"))[0]
    turned = np.flip(kernel, tuple(range(len(size)))).swapaxes(-1, -2)
    found = convolve(insert_zeros(image, strides - 1), turned, padding=[one - 1 for one in size])
    # Keras fills up with zeros where the kernel is smaller than the stride.
    np.testing.assert_allclose(found, expected[tuple(slice(n) for n in found.shape)], atol=1e-5)
    assert found.shape == expected.shape or min(size) < strides
    if min(size) < strides:
        rest = expected.copy()
        rest[tuple(slice(n) for n in found.shape)] = 0
        assert not rest.any()


def test_inserted_zeros_are_those_of_the_layer(rng):
    cube = rng.normal(size=(3, 4, 5, 2)).astype("float32")
    for amount in (0, 1, [2, 0, 3]):
        expected = numbers(layers.InternalPadding(amount)(cube[None]))[0]
        np.testing.assert_array_equal(insert_zeros(cube, amount), expected)


def test_transposed_convolution_is_the_way_back_of_a_convolution(rng):
    """What a transposed convolution makes is the gradient of the convolution with its kernel: `col2im`."""
    small = rng.normal(size=(4, 5, 3)).astype("float32")
    kernel = rng.normal(size=(3, 3, 2, 3)).astype("float32")
    made = numbers(ops.conv_transpose(small[None], kernel, 2, "valid", data_format="channels_last"))[0]
    back = col2im(small.reshape(20, 3) @ kernel.reshape(-1, 3).T, made.shape, 3, strides=2)
    np.testing.assert_allclose(back, made, atol=1e-5)


def test_each_kernel_does_what_its_name_says():
    assert set(KERNELS) == {"sharpen", "blur", "edge", "elevation"}
    sums = {name: kernel.sum() for name, kernel in KERNELS.items()}
    assert sums == pytest.approx({"sharpen": 1, "blur": 1, "edge": 0, "elevation": 1})
    flat = np.full((5, 5), 7.0)
    for name, kernel in KERNELS.items():
        np.testing.assert_allclose(convolve(flat, kernel), np.full((3, 3), 7.0 * sums[name]))
    point = np.zeros((3, 3))
    point[1, 1] = 1
    for kernel in KERNELS.values():  # not turned round: a point shows the kernel from behind
        np.testing.assert_allclose(convolve(point, kernel, padding=1), kernel[::-1, ::-1])
    rising = np.add.outer(np.arange(5.0), np.arange(5.0))
    np.testing.assert_allclose(convolve(rising, KERNELS["elevation"]), rising[1:-1, 1:-1] + 12)  # a slope is lit


def test_axes_that_a_kernel_may_have(rng):
    image, kernel = rng.normal(size=(6, 7, 3)), KERNELS["edge"]
    one_by_one = np.stack([convolve(image[..., channel], kernel, padding=1) for channel in range(3)], axis=-1)
    np.testing.assert_allclose(convolve(image, kernel, padding=1), one_by_one)
    assert one_by_one.shape == image.shape
    layer = np.einsum("yx,cf->yxcf", kernel, np.eye(3))  # each filter sees its own channel
    np.testing.assert_allclose(convolve(image, layer, padding=1), one_by_one)
    np.testing.assert_allclose(convolve([1, 2, 4, 8], [1, -1]), [-1, -2, -4])  # a spectrum
    bright = np.full((3, 3), 200, "uint8")
    assert convolve(bright, np.ones((3, 3))).tolist() == [[1800.0]]  # bytes do not overflow


BAD = [
    (
        lambda: convolve(np.ones((4, 4)), np.ones((3, 3, 1, 1))),
        r"image \(4, 4\) and kernel \(3, 3, 1, 1\): add or drop",
    ),
    (lambda: convolve(np.ones((4, 4, 2)), np.ones((3, 3, 3, 1))), "channels of the image"),
    (lambda: convolve(np.ones((2, 5)), np.ones((3, 3))), "a kernel of 2 x 5 pixels at most.*received 3 x 3"),
    (lambda: convolve(np.ones((5, 5)), np.ones((3, 3)), strides=0), "Expected strides as an integer >= 1"),
    (lambda: convolve(np.ones((5, 5)), np.ones((3, 3)), padding=(1, 1, 1)), "padding .* one for each of 2 axes"),
    (lambda: im2col(np.ones((5, 5, 1)), 0), "Expected size as an integer >= 1"),
    (lambda: im2col(np.ones(5), 2), "axes in front of the channels"),
    (lambda: im2col(np.ones((5, 5, 1)), 6), "a kernel of 5 x 5 pixels at most"),
    (lambda: col2im(np.ones((4, 9)), (5, 5, 1), 3), r"columns of shape \(9, 9\).*\(5, 5, 1\); received \(4, 9\)"),
    (lambda: insert_zeros(np.ones((5, 5, 1)), -1), "Expected amount as an integer >= 0"),
    (lambda: insert_zeros(np.ones((5, 5, 1)), 0.5), "Expected amount as an integer >= 0"),
]


@pytest.mark.parametrize(("act", "sentence"), BAD)
def test_refusals(act, sentence):
    with pytest.raises(ValueError, match=sentence):
        act()
