"""CIANNA on Keras: its model files, and its Python interface (`from astrokeras import cianna as cnn`)."""

from astrokeras.cianna.interface import *  # noqa: F403  the calls of CIANNA
from astrokeras.cianna.reading import build as build
from astrokeras.cianna.reading import largest_difference as largest_difference
from astrokeras.cianna.reading import load_model as load_model
from astrokeras.cianna.writing import records as records
from astrokeras.cianna.writing import save_model as save_model
