"""The job of training a toy that takes actions: `pusa-lab train --model nano --stage actions`."""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.losses import fafm_frame_loss
from pusa_lab.training import InMemoryDataset, VTAModule
from pusa_lab.types import Denoiser, Tau, Video
from small_models.evaluation.actions import measure_actions
from small_models.models.actions import ActionToy
from small_models.models.toy import PRESETS, ToyModel
from small_models.models.zoo import load, save
from small_models.training.data import to_bytes
from small_models.training.recipes import Recipe
from small_models.world import draw_scenes
from small_models.world.actions import ACTION_WORLD, draw_actions, name_objects, render_actions

PART, WINDOWS = 512, 3
"""Rollouts drawn at a time, and clips cut from each, so that in most of them earlier actions are at work."""


class ActionJob:
    """Clips with an action for each frame to the same toy, which takes them.

    Args:
        preset: sizes of the clips, one of PRESETS.
        base: file of the model to start from, with one timestep per frame.
        data: the preset's own world, or empty.

    Raises:
        ValueError: data of which nobody knows the actions.
    """

    def __init__(self, preset: str, base: Path, data: str):
        self.preset, self.base, self.source = preset, base, PRESETS[preset]["world"]
        if data not in ("", self.source):
            raise ValueError(f"no actions for {data}: they are drawn in {preset}'s own world, so leave data out.")

    def prepare(self, recipe: Recipe, device: str) -> None:
        """Load the base, and draw rollouts of which clips are cut."""
        self.config, base = recipe.config, load(self.base, device)
        if type(base) is not ToyModel or base.geometry != ToyModel(PRESETS[self.preset]).geometry:
            raise ValueError(f"{self.base} is not a model of {self.preset}: give one that --stage vta wrote.")
        self.config.check_frames(base.geometry.frames)
        self.model = ActionToy.from_base(base).requires_grad_(True).train()
        self.model.text.requires_grad_(False)
        size = self.config.global_batch_size
        self.dataset = action_dataset(recipe.clips, self.config.seed, base.geometry.frames, size, device)
        self.val = None

    def parts(self) -> dict[str, str]:
        """Names of the checkpoints that this one is built on."""
        return {"base": self.base.stem}

    def module(self, logs: Path | None) -> VTAModule:
        """What Lightning trains."""
        return VTAModule(self.model, self.config, loss=begun_frame_loss)

    def save(self, path: Path, about: dict[str, Any]) -> None:
        """Write the checkpoint and its card."""
        save(self.model, path, about)

    def measure(self, stored: Path, name: str, clips: int) -> dict[str, Any]:
        """Numbers for the card."""
        return measure_actions(load(stored), clips)


@checked
def action_dataset(clips: int, seed: int, frames: int, batch: int, device: str | torch.device) -> InMemoryDataset:
    """Clips with the action of each frame, WINDOWS of them cut from each rollout.

    Args:
        clips: about how many, at least 1.
        seed: of scenes, actions and batches.
        frames: of each clip.
        batch: clips per batch.
        device: where they are drawn and kept.
    """
    count = -(-clips // WINDOWS)
    scenes, actions = draw_scenes(count, seed, ACTION_WORLD), draw_actions(count, WINDOWS * frames, seed)
    videos = []
    for rows in torch.arange(count).split(PART):
        rollouts = to_bytes(render_actions(scenes[rows].to(device), actions[rows]))
        videos.append(rollouts.unflatten(2, (WINDOWS, frames)).transpose(1, 2).flatten(0, 1))
    captions = [caption for caption in name_objects(scenes) for _ in range(WINDOWS)]
    extras = {"actions": actions.reshape(-1, frames).to(device)}
    return InMemoryDataset(torch.cat(videos), captions, batch, seed, extras)


def begun_frame_loss(
    denoiser: Denoiser, x0: Video, tau: Tau, eps: Video, *, actions: Tensor, **cond: Any
) -> Float[Tensor, "b f"]:
    """The loss of each frame that has begun; those at timestep 1 have no action yet, as in a stream, and no loss.

    Args:
        denoiser: (x, tau, actions=..., **cond) -> v.
        x0: clean clips (b, c, f, h, w).
        tau: timesteps (b, f).
        eps: noise of x0's shape.
        actions: of each frame, (b, f).
        **cond: passed to the denoiser.
    """
    begun = tau < 1
    return fafm_frame_loss(denoiser, x0, tau, eps, actions=actions * begun, **cond) * begun
