"""Sets of labelled data: loaders of published ones, simulators, and batches for `fit`."""

from astrokeras.datasets.asirra import asirra as asirra
from astrokeras.datasets.cifar10 import CIFAR10_CLASSES as CIFAR10_CLASSES
from astrokeras.datasets.cifar10 import cifar10 as cifar10
from astrokeras.datasets.files import arrays as arrays
from astrokeras.datasets.galaxy_zoo2 import galaxy_zoo2 as galaxy_zoo2
from astrokeras.datasets.image_dataset import ImageDataset as ImageDataset
from astrokeras.datasets.image_files import ImageFiles as ImageFiles
from astrokeras.datasets.image_files import image_folder as image_folder
from astrokeras.datasets.mnist import mnist as mnist
from astrokeras.datasets.simulated_digits import simulated_digits as simulated_digits
from astrokeras.datasets.simulated_extinction import simulated_extinction as simulated_extinction
from astrokeras.datasets.simulated_galaxies import GALAXY_CLASSES as GALAXY_CLASSES
from astrokeras.datasets.simulated_galaxies import simulated_galaxies as simulated_galaxies
from astrokeras.datasets.simulated_molecular_spectra import simulated_molecular_spectra as simulated_molecular_spectra
from astrokeras.datasets.simulated_spectra import simulated_spectra as simulated_spectra
from astrokeras.datasets.simulated_textures import simulated_textures as simulated_textures
from astrokeras.datasets.stellar_spectra import SPECTRAL_TYPES as SPECTRAL_TYPES
from astrokeras.datasets.stellar_spectra import stellar_spectra as stellar_spectra
