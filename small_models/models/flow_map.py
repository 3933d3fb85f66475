"""A toy that learns where a video arrives: a model of flow maps, with two timesteps per frame, from and to."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pusa_lab.arguments import checked
from pusa_lab.resting import Kept
from pusa_lab.types import Tau, Video
from small_models.models.codec import Codec
from small_models.models.dit import sinusoid
from small_models.models.toy import ToyModel


@checked
class FlowMapToy(ToyModel):
    """A toy whose call also takes the timesteps to reach: the mean velocity on the way, see `pusa_lab.flow_maps`.

    The length of the way, tau - to, is embedded as tau is, and added to its embedding.

    Args:
        preset: sizes.
        codec: of the latents.
    """

    def __init__(self, preset: dict[str, Any], codec: Codec | None = None):
        super().__init__(preset, codec)
        sizes = self.dit.config
        dim, waves = sizes["num_attention_heads"] * sizes["attention_head_dim"], sizes["freq_dim"]
        last = nn.Linear(dim, dim)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.way_embedder = nn.Sequential(nn.Linear(waves, dim), nn.SiLU(), last)

    @classmethod
    def from_base(cls, base: ToyModel) -> "FlowMapToy":
        """A toy with room for the timesteps to reach; until it is trained, it gives what the base gives."""
        model = cls(base.preset, base.codec)
        model.load_state_dict(base.state_dict(), strict=False)
        return model.to(base.device)

    def forward(
        self,
        x: Video,
        tau: Tau,
        text: Tensor,
        to: Tau | None = None,
        *,
        skip_layers: Sequence[int] = (),
        kept: Kept | None = None,
    ) -> Video:
        """The mean velocity on the way from tau to `to`.

        Args:
            x: latents (b, c, f, h, w).
            tau: timesteps (b, f).
            text: from `encode_text`.
            to: timesteps (b, f) to reach, at most tau; None is tau itself, where the mean velocity is the velocity.
            skip_layers: blocks of the transformer to leave out.
            kept: of frames at rest, see `pusa_lab.resting`.
        """
        way = torch.zeros_like(tau) if to is None else tau - to
        embedded = self.way_embedder(sinusoid(way, self.dit.config["freq_dim"]).to(text.dtype))
        return self.dit(x.to(text.dtype), tau, text, None, skip_layers, kept, embedded).to(x.dtype)
