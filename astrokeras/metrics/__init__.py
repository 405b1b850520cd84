"""Metrics that Keras lacks."""

from astrokeras.metrics.confusion_matrix import ConfusionMatrix as ConfusionMatrix
