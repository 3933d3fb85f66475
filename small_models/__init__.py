"""The toys: a world whose truth is known, a Wan in miniature, and their shipped checkpoints."""

from small_models.model import PRESETS, ToyModel
from small_models.zoo import card, list_models, load, save

__all__ = ["PRESETS", "ToyModel", "card", "list_models", "load", "save"]
