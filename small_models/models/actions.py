"""A toy that takes an action for every frame, beside the timestep."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pusa_lab.arguments import checked
from pusa_lab.resting import Kept
from pusa_lab.types import Cond, Tau, Video
from small_models.models.codec import Codec
from small_models.models.toy import ToyModel
from small_models.world.actions import ACTIONS


@checked
class ActionToy(ToyModel):
    """A toy whose call also takes the action of each frame.

    The action is embedded, and added to the embedding of the frame's timestep.

    Args:
        preset: sizes.
        codec: of the latents.
    """

    actions = tuple(ACTIONS)
    """Names of the actions; the first is that of a frame for which none is given."""

    def __init__(self, preset: dict[str, Any], codec: Codec | None = None):
        super().__init__(preset, codec)
        sizes = self.dit.config
        self.action_embedder = nn.Embedding(len(ACTIONS), sizes["num_attention_heads"] * sizes["attention_head_dim"])
        nn.init.zeros_(self.action_embedder.weight)

    @classmethod
    def from_base(cls, base: ToyModel) -> "ActionToy":
        """A toy with room for actions; until it is trained, it gives what the base gives, whatever the actions."""
        model = cls(base.preset, base.codec)
        model.load_state_dict(base.state_dict(), strict=False)
        return model.to(base.device)

    @checked
    def encode_actions(self, names: list[str]) -> Cond:
        """The actions of a clip's frames to the denoiser's keyword arguments.

        Args:
            names: one of `actions` for each frame.

        Raises:
            ValueError: there is no such action.
        """
        if unknown := [name for name in names if name not in ACTIONS]:
            raise ValueError(f"no action {unknown[0]!r:.60}: choose one of {', '.join(ACTIONS)}.")
        return {"actions": torch.tensor([[self.actions.index(name) for name in names]], device=self.device)}

    def forward(
        self,
        x: Video,
        tau: Tau,
        text: Tensor,
        actions: Tensor | None = None,
        *,
        skip_layers: Sequence[int] = (),
        kept: Kept | None = None,
    ) -> Video:
        """The velocity, one timestep and one action per frame.

        Args:
            x: latents (b, c, f, h, w).
            tau: timesteps (b, f).
            text: from `encode_text`.
            actions: indices into `actions`, (b, f) or one row for all; None is the first for all.
            skip_layers: blocks of the transformer to leave out.
            kept: of frames at rest, see `pusa_lab.resting`.
        """
        index = torch.zeros_like(tau) if actions is None else actions.expand(len(x), -1)
        embedded = self.action_embedder(index.long())
        return self.dit(x.to(text.dtype), tau, text, None, skip_layers, kept, embedded).to(x.dtype)
