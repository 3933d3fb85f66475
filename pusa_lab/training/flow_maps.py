"""Training of flow maps, which need one call where a velocity needs many steps."""

from dataclasses import replace

import torch
from torch import Tensor

from pusa_lab.flow_maps import MAPS, flow_map_frame_loss
from pusa_lab.sentences import counted
from pusa_lab.training.batch import Batch
from pusa_lab.training.config import TrainConfig
from pusa_lab.training.module import Report, VTAModule

ALL_THE_WAY = 0.25
"""Share of the maps that lead to clean frames."""


class FlowMapModule(VTAModule):
    """Training of a flow map with one timestep per frame, from `flow_maps.flow_map_frame_loss`.

    reach = max(0, (r - a) / (1 - a)), r ~ U[0, 1), with a = ALL_THE_WAY; in half of the clips all frames have the same,
    as where frames are made together, and in the others each has its own

    Args:
        model: a `VideoModel` that is an nn.Module, whose call also takes `to` (b, f).
        config: of the run, without causal and history.
        report: called at every validation, with the averaged weights in place.

    Raises:
        ValueError: the configuration asks for causal or history, or for so few clips at a time that none learns a
            map.
    """

    def __init__(self, model: torch.nn.Module, config: TrainConfig, report: Report | None = None):
        if config.causal or config.history != "none":
            raise ValueError(
                f"causal={config.causal}, history={config.history!r:.60}: flow maps are trained without both, so "
                "leave them out."
            )
        clips = config.micro_batch_size or config.global_batch_size
        if not round(MAPS * clips):
            raise ValueError(f"{counted(clips, 'clip')} at a time, of which {MAPS:g} learn a map: give 3 or more.")
        super().__init__(model, config, report, flow_map_frame_loss)

    def frame_loss(
        self, batch: Batch, step: int, dropout: float, part: int = 0, parts: int = 1
    ) -> tuple[Tensor, Tensor]:
        """As that of `VTAModule`, with timesteps to reach."""
        b, frames = len(batch.x0), batch.x0.shape[2]
        g = self.generator("cpu", step, 3)
        one = torch.rand(b * parts, frames, generator=g)
        r = torch.where(torch.rand(b * parts, 1, generator=g) < 0.5, one[:, :1], one)
        reach = ((r - ALL_THE_WAY) / (1 - ALL_THE_WAY)).clamp(min=0)[part * b : (part + 1) * b]
        more = {**batch.extras, "reach": reach.to(batch.x0.device, non_blocking=True)}
        return super().frame_loss(replace(batch, extras=more), step, dropout, part, parts)
