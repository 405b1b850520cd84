"""Models whose `fit` is more than a loss of labels and outputs."""

from astrokeras.models.autoencoder import Autoencoder as Autoencoder
from astrokeras.models.autoencoder import VariationalAutoencoder as VariationalAutoencoder
from astrokeras.models.diffusion import DiffusionModel as DiffusionModel
from astrokeras.models.gan import GAN as GAN
from astrokeras.models.principal_components import PrincipalComponents as PrincipalComponents
from astrokeras.models.sliding_window import SlidingWindowDetector as SlidingWindowDetector
from astrokeras.models.yolo_detector import YoloDetector as YoloDetector
