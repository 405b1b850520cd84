"""SKA's first and second science data challenge as commands: train, detect, score."""

from astrokeras.challenges import sdc1 as sdc1
from astrokeras.challenges import sdc2 as sdc2
