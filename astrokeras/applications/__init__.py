"""One function per network of the course; each returns a `keras.Model`."""

from astrokeras.applications.asirra_cnn import asirra_cnn as asirra_cnn
from astrokeras.applications.autoencoder import autoencoder as autoencoder
from astrokeras.applications.autoencoder import variational_autoencoder as variational_autoencoder
from astrokeras.applications.cifar10_cnn import cifar10_cnn as cifar10_cnn
from astrokeras.applications.darknet19 import darknet19 as darknet19
from astrokeras.applications.darknet19 import decode_predictions as decode_predictions
from astrokeras.applications.ddpm import ddpm as ddpm
from astrokeras.applications.ddpm import ddpm_cats as ddpm_cats
from astrokeras.applications.ddpm import ddpm_galaxy_zoo2 as ddpm_galaxy_zoo2
from astrokeras.applications.extinction_cnn import extinction_cnn as extinction_cnn
from astrokeras.applications.galaxy_zoo2 import galaxy_zoo2 as galaxy_zoo2
from astrokeras.applications.gan import gan as gan
from astrokeras.applications.lenet5 import lenet5 as lenet5
from astrokeras.applications.molecular_spectra_cnn import molecular_spectra_cnn as molecular_spectra_cnn
from astrokeras.applications.resnet import resnet as resnet
from astrokeras.applications.stellar_spectra_cnn import stellar_spectra_cnn as stellar_spectra_cnn
from astrokeras.applications.unet import unet as unet
from astrokeras.applications.voc_cutout_classifier import voc_cutout_classifier as voc_cutout_classifier
from astrokeras.applications.yolo import yolo as yolo
from astrokeras.applications.yolo import yolo_coco as yolo_coco
from astrokeras.applications.yolo import yolo_voc416 as yolo_voc416
from astrokeras.applications.yolo_lines import yolo_lines as yolo_lines
from astrokeras.applications.yolo_sdc1 import yolo_sdc1 as yolo_sdc1
from astrokeras.applications.yolo_sdc2 import yolo_sdc2 as yolo_sdc2
from astrokeras.applications.yolo_voc import yolo_voc as yolo_voc
