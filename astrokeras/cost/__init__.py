"""What a model costs: parameters, multiply-adds, memory, time, energy and CO2."""

from astrokeras.cost.counting import Cost as Cost
from astrokeras.cost.counting import LayerCost as LayerCost
from astrokeras.cost.counting import cost as cost
from astrokeras.cost.energy import EnergyMeter as EnergyMeter
from astrokeras.cost.speed import Measured as Measured
