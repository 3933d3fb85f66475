"""The toys: a world whose truth is known, a Wan in miniature, and their shipped checkpoints."""

from small_models import world
from small_models.models.codec import Codec
from small_models.models.features import Features
from small_models.models.i2v import ImageToVideo
from small_models.models.toy import CODECS, PRESETS, ToyModel
from small_models.models.zoo import card, list_models, load, save

__all__ = [
    "CODECS",
    "PRESETS",
    "Codec",
    "Features",
    "ImageToVideo",
    "ToyModel",
    "card",
    "list_models",
    "load",
    "save",
    "world",
]
