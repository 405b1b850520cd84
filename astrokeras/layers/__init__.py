"""Layers that Keras lacks: those of CIANNA, a faster batch normalisation, drawing in a latent space."""

from astrokeras.layers.activations import SaturatedLeakyReLU as SaturatedLeakyReLU
from astrokeras.layers.activations import SaturatedSigmoid as SaturatedSigmoid
from astrokeras.layers.activations import relu_leaky as relu_leaky
from astrokeras.layers.cianna import PivotDense as PivotDense
from astrokeras.layers.cianna import ScaledBias as ScaledBias
from astrokeras.layers.cianna import UnscaledDropout as UnscaledDropout
from astrokeras.layers.convolution import Conv2D as Conv2D
from astrokeras.layers.embedding import SinusoidalEmbedding as SinusoidalEmbedding
from astrokeras.layers.noise import AddNoise as AddNoise
from astrokeras.layers.noise import AppendChannel as AppendChannel
from astrokeras.layers.noise import DropClass as DropClass
from astrokeras.layers.normalization import BatchNormalization as BatchNormalization
from astrokeras.layers.normalization import GroupNormalization as GroupNormalization
from astrokeras.layers.normalization import LocalResponseNormalization as LocalResponseNormalization
from astrokeras.layers.pooling import InternalPadding as InternalPadding
from astrokeras.layers.pooling import PaddedPooling as PaddedPooling
from astrokeras.layers.sampling import GaussianSampling as GaussianSampling
from astrokeras.layers.stretch import Stretch as Stretch
from astrokeras.layers.yolo_head import YoloHead as YoloHead
