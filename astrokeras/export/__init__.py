"""A model in the file of another runtime: ONNX, LiteRT, SavedModel, OpenVINO."""

from astrokeras.export.writing import Exported as Exported
from astrokeras.export.writing import export as export
from astrokeras.export.writing import float32_clone as float32_clone
from astrokeras.export.writing import plain_model as plain_model
