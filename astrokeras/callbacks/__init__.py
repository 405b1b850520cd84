"""Callbacks for `fit`, and the functions behind them.

Keras has the others: `keras.callbacks.CSVLogger(path)`, last in the list, writes the history to a CSV file, and
`keras.callbacks.ModelCheckpoint(path, monitor="val_map", mode="max", save_best_only=True)`, behind `DetectionScore`,
keeps the model with the best detection score.
"""

from astrokeras.callbacks.check_inputs import CheckInputs as CheckInputs
from astrokeras.callbacks.check_inputs import check_inputs as check_inputs
from astrokeras.callbacks.confusion_matrix import ConfusionMatrix as ConfusionMatrix
from astrokeras.callbacks.cost import Cost as Cost
from astrokeras.callbacks.detection_preview import DetectionPreview as DetectionPreview
from astrokeras.callbacks.detection_score import DetectionScore as DetectionScore
from astrokeras.callbacks.latent_space import LatentSpace as LatentSpace
from astrokeras.callbacks.learning_rate import LearningRate as LearningRate
from astrokeras.callbacks.live_loss import LiveLoss as LiveLoss
from astrokeras.callbacks.non_finite import NonFinite as NonFinite
from astrokeras.callbacks.sample_images import SampleImages as SampleImages
from astrokeras.callbacks.timing import Timing as Timing
