"""The builder of networks, layer by layer."""

from astrokeras.network.network import Network as Network
