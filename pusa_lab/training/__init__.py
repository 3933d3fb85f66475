"""Training with one clock per frame, on Lightning."""

from pusa_lab.training.config import TrainConfig
from pusa_lab.training.module import VTAModule, fit

__all__ = ["TrainConfig", "VTAModule", "fit"]
