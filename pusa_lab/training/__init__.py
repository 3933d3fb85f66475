"""Training with one timestep per frame, on Lightning."""

from pusa_lab.training.cache import CacheWriter
from pusa_lab.training.config import TrainConfig
from pusa_lab.training.data import Bank, LatentVideoDataModule
from pusa_lab.training.encode import codec_hash, encode_folder, encode_steps, text_hash
from pusa_lab.training.latents import CacheSettings, LatentCache
from pusa_lab.training.loop import check_run, fit, run
from pusa_lab.training.lora import add_lora, lora_state
from pusa_lab.training.module import ClipModule, CodecModule, TrainedModule, VTAModule

__all__ = [
    "Bank",
    "CacheSettings",
    "CacheWriter",
    "ClipModule",
    "CodecModule",
    "LatentCache",
    "LatentVideoDataModule",
    "TrainConfig",
    "TrainedModule",
    "VTAModule",
    "add_lora",
    "check_run",
    "codec_hash",
    "encode_folder",
    "encode_steps",
    "fit",
    "lora_state",
    "run",
    "text_hash",
]
