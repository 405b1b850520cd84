"""Losses that the course uses and Keras lacks."""

from astrokeras.losses.vote_counts import VoteCounts as VoteCounts
