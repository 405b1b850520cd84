"""Boxes in 1, 2 and 3 dimensions: overlap, the grid of a detector, suppression of duplicates, priors.

Boxes are corners with x first: `(x_min, x_max)`, `(x_min, y_min, x_max, y_max)` or
`(x_min, y_min, z_min, x_max, y_max, z_max)`. Edges are continuous: pixel i covers `[i, i + 1)`, its centre is i + 0.5.
"""

from astrokeras.boxes.geometry import IOU_KINDS as IOU_KINDS
from astrokeras.boxes.geometry import centers_and_sizes as centers_and_sizes
from astrokeras.boxes.geometry import decode_grid as decode_grid
from astrokeras.boxes.geometry import from_centers_and_sizes as from_centers_and_sizes
from astrokeras.boxes.geometry import grid_intervals as grid_intervals
from astrokeras.boxes.geometry import interval_iou as interval_iou
from astrokeras.boxes.geometry import intervals as intervals
from astrokeras.boxes.geometry import iou as iou
from astrokeras.boxes.priors import kmeans_priors as kmeans_priors
from astrokeras.boxes.suppression import suppress as suppress
from astrokeras.boxes.suppression import suppress_padded as suppress_padded
