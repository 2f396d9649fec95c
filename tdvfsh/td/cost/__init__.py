"""What accepting costs: constants with low, likely and high values and a source each, and the times made of them.

Every time is modelled; none was measured here. Presets are data files (``presets/NAME.toml``).
"""

from tdvfsh.td.cost.constants import CONSTANTS, Constant, Unit
from tdvfsh.td.cost.model import AcceptCounts, CostModel
from tdvfsh.td.cost.modelled import NO_TIME, Modelled
from tdvfsh.td.cost.words import DEFAULT_PRESET, PRESETS, checked_words, cost_model

__all__ = [
    "CONSTANTS",
    "DEFAULT_PRESET",
    "NO_TIME",
    "PRESETS",
    "AcceptCounts",
    "Constant",
    "CostModel",
    "Modelled",
    "Unit",
    "checked_words",
    "cost_model",
]
