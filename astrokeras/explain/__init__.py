"""Why does a network answer as it does, and how sure is it?"""

from astrokeras.explain import filters as filters
from astrokeras.explain.activation import activation_maximization as activation_maximization
from astrokeras.explain.calibration import Calibration as Calibration
from astrokeras.explain.calibration import calibration as calibration
from astrokeras.explain.calibration import temperature as temperature
from astrokeras.explain.features import feature_maps as feature_maps
from astrokeras.explain.features import first_filters as first_filters
from astrokeras.explain.grad_cam import grad_cam as grad_cam
from astrokeras.explain.occlusion import Occlusion as Occlusion
from astrokeras.explain.occlusion import occlusion as occlusion
from astrokeras.explain.occlusion import occlusion_map as occlusion_map
from astrokeras.explain.saliency import saliency as saliency
from astrokeras.explain.uncertainty import Uncertainty as Uncertainty
from astrokeras.explain.uncertainty import uncertainty as uncertainty
