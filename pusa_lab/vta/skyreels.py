"""SkyReels-V2's transformer with one timestep per frame, whose vectors are not repeated for every token.

SkyReels-V2's diffusion forcing has one timestep per frame too, but diffusers repeats its six vectors per token and
does not take the frame rate of more than one sample; here they stay (b, f, 6, d).

Architecture: SkyReels-V2, arXiv 2504.13074; the timestep vector: arXiv 2507.16116.
"""

from functools import partial
from typing import Any, ClassVar

import torch
from diffusers import SkyReelsV2Transformer3DModel
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.models.transformers.transformer_skyreels_v2 import SkyReelsV2TransformerBlock
from diffusers.utils import apply_lora_scale
from torch import Tensor

from pusa_lab.sentences import counted, shown
from pusa_lab.vta.adoption import check_frames_apart
from pusa_lab.wan.transformer import (
    FrameTimesteps,
    Spans,
    _block_by_frame,
    _embed_timesteps,
    _grid,
    _modulate,
    _unpatch,
    by_frame,
    frame_spans,
)


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
        return _block_by_frame(self, x, text, temb, rotary_emb, spans, attention_mask)


class VTASkyReelsTransformer3DModel(FrameTimesteps, SkyReelsV2Transformer3DModel):
    """diffusers' SkyReels-V2 transformer with its vectors per frame (Sec. 2.3, arXiv 2507.16116).

    `adopt` makes it from a loaded one. Checkpoints, adapters and both pipelines work as in the parent.

    Raises:
        ValueError: the model is image-to-video, or a patch spans several frames.
    """

    block: ClassVar = VTASkyReelsTransformerBlock
    check_config: ClassVar = staticmethod(check_frames_apart)
    _no_split_modules: ClassVar = ["VTASkyReelsTransformerBlock"]
    _repeated_blocks: ClassVar = ["VTASkyReelsTransformerBlock"]

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
            fps: b numbers, 0 for 16 frames per second and 1 for any other rate; only some checkpoints use it.
            return_dict: whether to wrap the velocity, as diffusers does.
            attention_kwargs: may hold "scale" for adapters, as in diffusers.

        Raises:
            ValueError: there is not one timestep per sample or frame, or the checkpoint uses the frame rate and fps is
                not one 0 or 1 per sample.
        """
        x, shape = hidden_states, tuple(timestep.shape)
        if self.config.inject_sample_info and not _are_rates(fps, len(x)):
            raise ValueError(
                f"fps is {shown(fps)}, but this checkpoint needs {counted(len(x), 'number')}, one per sample: 0 for 16 "
                "frames per second, 1 for any other rate."
            )
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

        temb, six = _embed_timesteps(self.condition_embedder, timestep, text.dtype)
        six, captions = self._with_rates(six, fps), self.condition_embedder.text_embedder(text)
        for block in self.blocks:
            if torch.is_grad_enabled() and self.gradient_checkpointing:
                tokens = self._gradient_checkpointing_func(block, tokens, captions, six, rotary, mask, spans)
            else:
                tokens = block(tokens, captions, six, rotary, mask, spans)
        shift, scale = (self.scale_shift_table + temb[:, :, None]).to(tokens.device).unbind(2)
        tokens = by_frame(partial(_modulate, norm=self.norm_out), spans, (tokens,), (scale, shift))
        return _unpatch(self.proj_out(tokens), grid, self.config.patch_size)

    def _with_rates(self, six: Tensor, fps: Any) -> Tensor:
        """Add the vectors of the samples' frame rates to those of the timesteps (b, f, 6, d)."""
        if not self.config.inject_sample_info:
            return six
        rates = self.fps_embedding(torch.as_tensor(fps, dtype=torch.long, device=six.device))
        return six + self.fps_projection(rates).unflatten(1, (6, -1))[:, None]


def _are_rates(fps: Any, batch: int) -> bool:
    rates = fps.tolist() if isinstance(fps, Tensor) else fps
    return isinstance(rates, list | tuple) and len(rates) == batch and all(rate in (0, 1) for rate in rates)


def _causal_mask(frames: int, block: int, per_frame: int, device: torch.device) -> Tensor | None:
    """Which tokens (l, l) a token attends to: those of its own block of frames and of earlier ones."""
    if block <= 1:
        return None
    blocks = (torch.arange(frames, device=device) // block).repeat_interleave(per_frame)
    return (blocks[None, :] <= blocks[:, None])[None, None]
