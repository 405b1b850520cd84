"""Metrics for `compile` and for looking back."""

from astrokeras.metrics.confusion_matrix import ConfusionMatrix as ConfusionMatrix
from astrokeras.metrics.generated import frechet_distance as frechet_distance
from astrokeras.metrics.generated import nearest_images as nearest_images
from astrokeras.metrics.generated import precision_recall as precision_recall
from astrokeras.metrics.images import PSNR as PSNR
from astrokeras.metrics.images import SSIM as SSIM
from astrokeras.metrics.labels import best_thresholds as best_thresholds
from astrokeras.metrics.labels import label_scores as label_scores
from astrokeras.metrics.mean_average_precision import AveragePrecision as AveragePrecision
from astrokeras.metrics.mean_average_precision import MeanAveragePrecision as MeanAveragePrecision
