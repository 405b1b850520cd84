"""Losses that the course uses and Keras lacks."""

from astrokeras.losses.targets import pack_targets as pack_targets
from astrokeras.losses.vote_counts import VoteCounts as VoteCounts
from astrokeras.losses.yolo import YoloLoss as YoloLoss
from astrokeras.losses.yolo import yolo_loss as yolo_loss
from astrokeras.losses.yolo_settings import YoloSettings as YoloSettings
