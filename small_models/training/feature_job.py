"""The job of training the feature network: `pusa-lab train --model mini --stage features`."""

from pathlib import Path
from typing import Any

from pusa_lab.training import ClipModule
from small_models.evaluation.evaluate import VALIDATION_SEED
from small_models.evaluation.measure_features import measure_features
from small_models.models.features import Features, feature_loss, labels_of, reduced
from small_models.models.toy import PRESETS, ToyModel
from small_models.models.zoo import load, save
from small_models.training.data import Part, clips_of, pixel_dataset, split_datasets, to_bytes
from small_models.training.recipes import Recipe
from small_models.world import WORLDS, draw_scenes


class FeatureJob:
    """Clips of a world to what is in them, from nothing.

    Args:
        preset: sizes of the clips, one of PRESETS.
        codec: file of the codec through which the result is also measured.
        data: one of WORLDS; empty is the preset's own.

    Raises:
        ValueError: data of which nobody knows what is in them.
    """

    def __init__(self, preset: str, codec: Path, data: str):
        self.source = data or PRESETS[preset]["world"]
        if self.source not in WORLDS:
            raise ValueError(f"no labels for {self.source}: features are learned from one of {', '.join(WORLDS)}.")
        self.codec = codec
        self.geometry = ToyModel(PRESETS[preset]).geometry

    def prepare(self, recipe: Recipe, device: str) -> None:
        """Build the network, and draw the clips and what is in them."""
        self.config = recipe.config
        self.model = Features({"world": self.source}).to(device)
        counts = (recipe.clips, min(512, recipe.clips) if recipe.config.validate_every else 0)
        self.dataset, self.val = split_datasets(
            self.source,
            lambda count, seed: clips_of(self.source, count, seed, self.geometry, device),
            lambda parts, batch, seed: pixel_dataset(map(_reduced, parts), batch, seed, device),
            counts=counts,
            batches=(recipe.config.global_batch_size, min(256, recipe.config.global_batch_size)),
            seeds=(recipe.config.seed, VALIDATION_SEED),
        )
        for dataset, count in zip((self.dataset, self.val), counts, strict=True):
            if dataset:
                labels = labels_of(
                    draw_scenes(count, dataset.seed, WORLDS[self.source])
                )  # the very scenes of its clips
                dataset.extras = {name: value.to(device) for name, value in labels.items()}

    def parts(self) -> dict[str, str]:
        """Names of the checkpoints that the card's numbers depend on."""
        return {"codec": self.codec.stem}

    def module(self, logs: Path | None) -> ClipModule:
        """What Lightning trains."""
        return ClipModule(self.model, self.config, feature_loss)

    def save(self, path: Path, about: dict[str, Any]) -> None:
        """Write the checkpoint and its card."""
        save(self.model, path, about)

    def measure(self, stored: Path, name: str, clips: int) -> dict[str, Any]:
        """Numbers for the card."""
        return measure_features(load(stored), load(self.codec), self.source, clips, self.geometry)


def _reduced(part: Part) -> Part:
    return to_bytes(reduced(part[0].float() / 127.5 - 1)), part[1]
