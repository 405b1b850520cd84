"""CIANNA's Python interface: its names, keywords, defaults and results, on Keras."""

from astrokeras.cianna.activations import linear, logistic, relu, softmax, yolo
from astrokeras.cianna.architecture import print_arch_tex
from astrokeras.cianna.datasets import create_dataset, delete_dataset, swap_data_buffers
from astrokeras.cianna.evaluation import forward
from astrokeras.cianna.layers import conv, dense, lrn, merge, norm, pool, set_frozen_layers
from astrokeras.cianna.model_files import load, save
from astrokeras.cianna.optimizers import adam, rms_prop, set_optimizer_param, sgd
from astrokeras.cianna.performance import perf_eval
from astrokeras.cianna.state import free_network, init
from astrokeras.cianna.training import train
from astrokeras.cianna.yolo_setup import (
    set_error_scales,
    set_fit_parts,
    set_IoU_limits,
    set_slopes_and_maxes,
    set_sm_single,
    set_yolo_params,
)

__all__ = [
    "adam",
    "conv",
    "create_dataset",
    "delete_dataset",
    "dense",
    "forward",
    "free_network",
    "init",
    "linear",
    "load",
    "logistic",
    "lrn",
    "merge",
    "norm",
    "perf_eval",
    "pool",
    "print_arch_tex",
    "relu",
    "rms_prop",
    "save",
    "set_IoU_limits",
    "set_error_scales",
    "set_fit_parts",
    "set_frozen_layers",
    "set_optimizer_param",
    "set_slopes_and_maxes",
    "set_sm_single",
    "set_yolo_params",
    "sgd",
    "softmax",
    "swap_data_buffers",
    "train",
    "yolo",
]
