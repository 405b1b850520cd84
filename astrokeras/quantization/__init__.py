"""Fewer bits: networks of 8-bit integers, training that expects the rounding, accuracy against the number of bits."""

from astrokeras.quantization.bits import accuracy_by_bits as accuracy_by_bits
from astrokeras.quantization.fake import FakeQuantized as FakeQuantized
from astrokeras.quantization.fake import fake_quantize as fake_quantize
from astrokeras.quantization.fake import round_to_bits as round_to_bits
from astrokeras.quantization.fake import without_fakes as without_fakes
from astrokeras.quantization.int8 import quantize as quantize
