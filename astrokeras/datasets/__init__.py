"""Loaders and simulators: arrays of images and labels; they know no model."""

from astrokeras.datasets.cifar10 import CLASSES as CIFAR10_CLASSES
from astrokeras.datasets.cifar10 import cifar10 as cifar10
from astrokeras.datasets.image_dataset import ImageDataset as ImageDataset
from astrokeras.datasets.mnist import mnist as mnist
from astrokeras.datasets.simulated_digits import simulated_digits as simulated_digits

__all__ = ["CIFAR10_CLASSES", "ImageDataset", "cifar10", "mnist", "simulated_digits"]
