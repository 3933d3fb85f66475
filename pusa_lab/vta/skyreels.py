"""SkyReels-V2's transformer with one timestep per frame, whose vectors are not repeated for every token.

SkyReels-V2's diffusion forcing has one timestep per frame too, but diffusers repeats its six vectors per token and
does not take the frame rate of more than one sample; here they stay (b, f, 6, d).

Architecture: SkyReels-V2, arXiv 2504.13074; the timestep vector: arXiv 2507.16116.
"""

from functools import partial, wraps
from typing import Any, ClassVar

import torch
from diffusers import SkyReelsV2Transformer3DModel
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.models.transformers.transformer_skyreels_v2 import SkyReelsV2TransformerBlock
from diffusers.utils import apply_lora_scale
from torch import Tensor

from pusa_lab.vta.adoption import check_frames_apart
from pusa_lab.wan.transformer import Spans, _add, _grid, _modulate, _unpatch, by_frame, frame_spans


class VTASkyReelsTransformerBlock(SkyReelsV2TransformerBlock):
    """SkyReels' block; if `spans` are given, each frame has its own six vectors."""

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        temb: Tensor,
        rotary_emb: Any,
        attention_mask: Tensor | None = None,
        spans: Spans | None = None,
    ) -> Tensor:
        """Map tokens (b, l, d) to tokens; temb is (b, f, 6, d) with spans, and as in diffusers without."""
        x, text = hidden_states, encoder_hidden_states
        if spans is None:
            return super().forward(x, text, temb, rotary_emb, attention_mask)
        shift, scale, gate, c_shift, c_scale, c_gate = (self.scale_shift_table + temb.float()).unbind(2)

        y = by_frame(partial(_modulate, norm=self.norm1), spans, (x,), (scale, shift))
        x = by_frame(_add, spans, (x, self.attn1(y, None, attention_mask, rotary_emb)), (gate,))
        x = x + self.attn2(self.norm2(x.float()).type_as(x), text, None, None)
        y = by_frame(partial(_modulate, norm=self.norm3), spans, (x,), (c_scale, c_shift))
        return by_frame(_add, spans, (x, self.ffn(y)), (c_gate,))


class VTASkyReelsTransformer3DModel(SkyReelsV2Transformer3DModel):
    """diffusers' SkyReels-V2 transformer with its vectors per frame (Sec. 2.3, arXiv 2507.16116).

    `adopt` makes it from a loaded one. Checkpoints, adapters and both pipelines work as in the parent.

    Raises:
        ValueError: the model is image-to-video, or a patch spans several frames.
    """

    _no_split_modules: ClassVar = ["VTASkyReelsTransformerBlock"]
    _repeated_blocks: ClassVar = ["VTASkyReelsTransformerBlock"]

    @wraps(SkyReelsV2Transformer3DModel.__init__)  # type: ignore[misc]  # from_config reads its arguments
    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        check_frames_apart(self.config)
        self.use_frame_timesteps()

    def use_frame_timesteps(self) -> None:
        """Make the blocks those of this class."""
        for block in self.blocks:
            block.__class__ = VTASkyReelsTransformerBlock

    @apply_lora_scale("attention_kwargs")
    def forward(
        self,
        hidden_states: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        encoder_hidden_states_image: Tensor | None = None,
        enable_diffusion_forcing: bool = False,
        fps: Any = None,
        return_dict: bool = True,
        attention_kwargs: dict[str, Any] | None = None,
    ) -> Transformer2DModelOutput | tuple[Tensor]:
        """Return the velocity (b, c, f, h, w) for one timestep per sample or frame.

        Args:
            hidden_states: latents (b, c, f, h, w).
            timestep: 1000 tau in [0, 1000]: (b,) or (b, f).
            encoder_hidden_states: embeddings of captions (b, n, d).
            encoder_hidden_states_image: must be None, as for every model that this class takes.
            enable_diffusion_forcing: as in diffusers; timesteps (b, f) do not need it.
            fps: of every sample 0 for 16 frames per second and 1 for more; only some checkpoints use it.
            return_dict: whether to wrap the velocity, as diffusers does.
            attention_kwargs: may hold "scale" for adapters, as in diffusers.

        Raises:
            ValueError: there is not one timestep per sample or frame.
        """
        x, shape = hidden_states, tuple(timestep.shape)
        if shape == (len(x),):
            return SkyReelsV2Transformer3DModel.forward.__wrapped__(
                self, x, timestep, encoder_hidden_states, encoder_hidden_states_image, fps=fps, return_dict=return_dict
            )
        if shape != (len(x), x.shape[2]):
            raise ValueError(
                f"timestep has shape {shape}, but latents of shape {tuple(x.shape)} (b c f h w) need ({len(x)},), or "
                f"({len(x)}, {x.shape[2]}) for one per frame."
            )
        sample = self._per_frame(x, timestep, encoder_hidden_states, fps)
        return Transformer2DModelOutput(sample=sample) if return_dict else (sample,)

    def _per_frame(self, x: Tensor, timestep: Tensor, text: Tensor, fps: Any) -> Tensor:
        grid = _grid(x, self.config.patch_size)
        per_frame = grid[1] * grid[2]
        spans, rotary = frame_spans(0, grid[0] * per_frame, per_frame), self.rope(x)
        mask = _causal_mask(grid[0], self.config.num_frame_per_block, per_frame, x.device)
        tokens = self.patch_embedding(x).flatten(2).transpose(1, 2)

        temb, six, captions = self._embed(timestep, text, fps)
        for block in self.blocks:
            if torch.is_grad_enabled() and self.gradient_checkpointing:
                tokens = self._gradient_checkpointing_func(block, tokens, captions, six, rotary, mask, spans)
            else:
                tokens = block(tokens, captions, six, rotary, mask, spans)
        shift, scale = (self.scale_shift_table + temb[:, :, None]).to(tokens.device).unbind(2)
        tokens = by_frame(partial(_modulate, norm=self.norm_out), spans, (tokens,), (scale, shift))
        return _unpatch(self.proj_out(tokens), grid, self.config.patch_size)

    def _embed(self, timestep: Tensor, text: Tensor, fps: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Embed timesteps (b, f) to (b, f, d) and (b, f, 6, d), one frame after the other, and the captions.

        With more rows a matrix product would round otherwise than in a scalar call.
        """
        embed = self.condition_embedder
        width = next(iter(embed.time_embedder.parameters())).dtype
        columns = (embed.timesteps_proj(column).to(width) for column in timestep.unbind(1))
        tembs = [embed.time_embedder(column).type_as(text) for column in columns]
        sixes = [embed.time_proj(embed.act_fn(temb)) for temb in tembs]
        temb, six = torch.stack(tembs, dim=1), torch.stack(sixes, dim=1).unflatten(2, (6, -1))
        if self.config.inject_sample_info:
            rates = self.fps_embedding(torch.as_tensor(fps, dtype=torch.long, device=six.device))
            six = six + self.fps_projection(rates).unflatten(1, (6, -1))[:, None]
        return temb, six, embed.text_embedder(text)


def _causal_mask(frames: int, block: int, per_frame: int, device: torch.device) -> Tensor | None:
    """Which tokens (l, l) a token attends to: those of its own block of frames and of earlier ones."""
    if block <= 1:
        return None
    blocks = (torch.arange(frames, device=device) // block).repeat_interleave(per_frame)
    return (blocks[None, :] <= blocks[:, None])[None, None]


# The checkpoint is the same and is saved under the parent's name, so plain diffusers opens its folders and pipelines.
VTASkyReelsTransformer3DModel.__name__ = SkyReelsV2Transformer3DModel.__name__
VTASkyReelsTransformer3DModel.__module__ = SkyReelsV2Transformer3DModel.__module__
