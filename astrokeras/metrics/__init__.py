"""Metrics for `compile` and for looking back."""

from astrokeras.metrics.confusion_matrix import ConfusionMatrix as ConfusionMatrix
from astrokeras.metrics.labels import best_thresholds as best_thresholds
from astrokeras.metrics.labels import label_scores as label_scores
from astrokeras.metrics.mean_average_precision import AveragePrecision as AveragePrecision
from astrokeras.metrics.mean_average_precision import MeanAveragePrecision as MeanAveragePrecision
