"""Weights that ship, are published or lie in a file, and transfer between networks."""

from astrokeras.weights.cianna import PUBLISHED as PUBLISHED
from astrokeras.weights.cianna import Published as Published
from astrokeras.weights.cianna import yolo_record as yolo_record
from astrokeras.weights.load import SHIPPED as SHIPPED
from astrokeras.weights.load import Shipped as Shipped
from astrokeras.weights.load import load as load
from astrokeras.weights.load import names as names
from astrokeras.weights.transfer import transfer as transfer
