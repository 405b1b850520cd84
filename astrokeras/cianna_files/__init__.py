"""CIANNA's model files <-> plain records; NumPy only, no model."""

from astrokeras.cianna_files.files import read as read
from astrokeras.cianna_files.files import write as write
from astrokeras.cianna_files.records import LEAST_RATE as LEAST_RATE
from astrokeras.cianna_files.records import CiannaNetwork as CiannaNetwork
from astrokeras.cianna_files.records import Conv as Conv
from astrokeras.cianna_files.records import Dense as Dense
from astrokeras.cianna_files.records import LocalNorm as LocalNorm
from astrokeras.cianna_files.records import Norm as Norm
from astrokeras.cianna_files.records import Pool as Pool
from astrokeras.cianna_files.records import Yolo as Yolo
from astrokeras.cianna_files.records import activation_values as activation_values
from astrokeras.cianna_files.records import output_size as output_size
from astrokeras.cianna_files.shapes import cianna_refuses as cianna_refuses
from astrokeras.cianna_files.shapes import first_problem as first_problem
