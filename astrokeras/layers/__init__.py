"""Layers that CIANNA has and Keras lacks, and a faster batch normalisation; all serve 1-D, 2-D and 3-D."""

from astrokeras.layers.activations import SaturatedLeakyReLU as SaturatedLeakyReLU
from astrokeras.layers.activations import SaturatedSigmoid as SaturatedSigmoid
from astrokeras.layers.activations import relu_leaky as relu_leaky
from astrokeras.layers.cianna import PivotDense as PivotDense
from astrokeras.layers.cianna import ScaledBias as ScaledBias
from astrokeras.layers.cianna import UnscaledDropout as UnscaledDropout
from astrokeras.layers.normalization import BatchNormalization as BatchNormalization
from astrokeras.layers.normalization import GroupNormalization as GroupNormalization
from astrokeras.layers.normalization import LocalResponseNormalization as LocalResponseNormalization
from astrokeras.layers.pooling import InternalPadding as InternalPadding
from astrokeras.layers.pooling import PaddedPooling as PaddedPooling
from astrokeras.layers.stretch import Stretch as Stretch
from astrokeras.layers.yolo_head import YoloHead as YoloHead
