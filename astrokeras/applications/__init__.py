"""The networks of the course, each built by one call."""

from astrokeras.applications.lenet5 import lenet5 as lenet5
from astrokeras.applications.resnet import resnet as resnet
