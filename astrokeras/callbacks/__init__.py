"""Callbacks for `fit`, and the functions behind them."""

from astrokeras.callbacks.check_inputs import CheckInputs as CheckInputs
from astrokeras.callbacks.check_inputs import check_inputs as check_inputs
from astrokeras.callbacks.confusion_matrix import ConfusionMatrix as ConfusionMatrix
from astrokeras.callbacks.detection_score import DetectionScore as DetectionScore
from astrokeras.callbacks.sample_images import SampleImages as SampleImages
