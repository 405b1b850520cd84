"""Figures: each function takes arrays and returns a matplotlib Figure (or a table); none calls show()."""

from astrokeras.plots.box_statistics import box_statistics as box_statistics
from astrokeras.plots.confusion_matrix import confusion_matrix as confusion_matrix
from astrokeras.plots.confusion_matrix import confusion_table as confusion_table
from astrokeras.plots.confusion_matrix import margins as margins
from astrokeras.plots.detections import detections as detections
from astrokeras.plots.image_grid import image_grid as image_grid
from astrokeras.plots.labels import label_scores as label_scores
from astrokeras.plots.labels import label_table as label_table
from astrokeras.plots.layer_table import describe_layer as describe_layer
from astrokeras.plots.layer_table import layer_table as layer_table
from astrokeras.plots.precision_recall import precision_recall as precision_recall
from astrokeras.plots.print_table import print_table as print_table
from astrokeras.plots.residuals import residual_table as residual_table
from astrokeras.plots.residuals import residuals as residuals
from astrokeras.plots.survey import predicted_against_true as predicted_against_true
from astrokeras.plots.survey import recovery as recovery
from astrokeras.plots.survey import recovery_by_flux as recovery_by_flux
from astrokeras.plots.survey import recovery_table as recovery_table
from astrokeras.plots.survey import sources_on_image as sources_on_image
