"""`planted-timm:MODEL:fault=NAME`: timm's models with deliberate faults, for what torchvision has not or is larger."""

from __future__ import annotations

from isotune.adapters.timm import TimmAdapter
from isotune_planted import Planting


class PlantedTimmAdapter(Planting, TimmAdapter):
    """timm's."""

    name = "planted-timm"
