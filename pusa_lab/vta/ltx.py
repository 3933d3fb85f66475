"""LTX-Video's transformer with one timestep per frame: diffusers' class with its checkpoints and one more input shape.

The timestep gives six vectors per frame, which stay (b, f, 6 d); diffusers' own class has them once per token.

Architecture: LTX-Video, arXiv 2501.00103; the timestep vector: arXiv 2507.16116.
"""

from functools import partial
from typing import Any, ClassVar

import torch
from diffusers import LTXVideoTransformer3DModel
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.models.transformers.transformer_ltx import LTXVideoTransformerBlock
from diffusers.utils import apply_lora_scale
from torch import Tensor, nn

from pusa_lab.vta.adoption import check_frames_apart
from pusa_lab.wan.transformer import FrameTimesteps, Spans, by_frame, frame_spans


def _modulate(x: Tensor, scale: Tensor, shift: Tensor, norm: nn.Module) -> Tensor:
    return norm(x) * (1 + scale) + shift


def _add(x: Tensor, y: Tensor, gate: Tensor) -> Tensor:
    return x + y * gate


class VTALTXTransformerBlock(LTXVideoTransformerBlock):
    """LTX's block; if `spans` are given, each frame has its own six vectors."""

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        temb: Tensor,
        image_rotary_emb: Any = None,
        encoder_attention_mask: Tensor | None = None,
        spans: Spans | None = None,
    ) -> Tensor:
        """Map tokens (b, l, d) to tokens; temb is (b, f, 6 d) with spans, and as in diffusers without."""
        x, text = hidden_states, encoder_hidden_states
        if spans is None:
            return super().forward(x, text, temb, image_rotary_emb, encoder_attention_mask)
        vectors = self.scale_shift_table.to(temb.device) + temb.unflatten(2, (6, -1))
        shift, scale, gate, c_shift, c_scale, c_gate = vectors.unbind(2)

        y = by_frame(partial(_modulate, norm=self.norm1), spans, (x,), (scale, shift))
        x = by_frame(_add, spans, (x, self.attn1(y, image_rotary_emb=image_rotary_emb)), (gate,))
        x = x + self.attn2(x, text, encoder_attention_mask)
        y = by_frame(partial(_modulate, norm=self.norm2), spans, (x,), (c_scale, c_shift))
        return by_frame(_add, spans, (x, self.ff(y)), (c_gate,))


class VTALTXTransformer3DModel(FrameTimesteps, LTXVideoTransformer3DModel):
    """diffusers' LTX transformer, which also takes one `timestep` per frame (Sec. 2.3, arXiv 2507.16116).

    `adopt` makes it from a loaded one. Checkpoints, adapters and caches work as in the parent.

    Raises:
        ValueError: the input has other channels than the output, or a patch spans several frames.
    """

    block: ClassVar = VTALTXTransformerBlock
    check_config: ClassVar = staticmethod(check_frames_apart)
    _repeated_blocks: ClassVar = ["VTALTXTransformerBlock"]

    @apply_lora_scale("attention_kwargs")
    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        timestep: Tensor,
        encoder_attention_mask: Tensor,
        num_frames: int | None = None,
        height: int | None = None,
        width: int | None = None,
        rope_interpolation_scale: Any = None,
        video_coords: Tensor | None = None,
        attention_kwargs: dict[str, Any] | None = None,
        return_dict: bool = True,
    ) -> Transformer2DModelOutput | tuple[Tensor]:
        """Return the velocity (b, l, c) for one timestep per sample, frame or token.

        Args:
            hidden_states: latents as tokens (b, l, c), frame by frame.
            encoder_hidden_states: embeddings of captions (b, n, d).
            timestep: 1000 tau in [0, 1000]: (b,) or (b, 1), (b, f), or (b, l), as diffusers' image-to-video gives it.
            encoder_attention_mask: which embeddings are of the caption (b, n).
            num_frames: latent frames f; needed with one timestep per frame.
            height: of the latents.
            width: of the latents.
            rope_interpolation_scale: seconds per latent frame, and pixels per latent pixel.
            video_coords: positions of the tokens, if they are not those of a video of this size.
            attention_kwargs: may hold "scale" for adapters, as in diffusers.
            return_dict: whether to wrap the velocity, as diffusers does.

        Raises:
            ValueError: the timestep has another shape.
        """
        (b, length), shape = hidden_states.shape[:2], tuple(timestep.shape)
        if shape not in {(b,), (b, 1), (b, num_frames), (b, length)}:
            raise ValueError(
                f"timestep has shape {shape}, but {length} tokens of {num_frames} frames for {b} samples need ({b},), "
                f"({b}, {num_frames}) for one per frame, or ({b}, {length}) for one per token."
            )
        if shape != (b, num_frames) or num_frames in (1, length):
            return LTXVideoTransformer3DModel.forward.__wrapped__(
                self,
                hidden_states,
                encoder_hidden_states,
                timestep,
                encoder_attention_mask,
                num_frames,
                height,
                width,
                rope_interpolation_scale,
                video_coords,
                return_dict=return_dict,
            )
        rotary = self.rope(hidden_states, num_frames, height, width, rope_interpolation_scale, video_coords)
        sample = self._per_frame(hidden_states, timestep, encoder_hidden_states, encoder_attention_mask, rotary)
        return Transformer2DModelOutput(sample=sample) if return_dict else (sample,)

    def _per_frame(self, x: Tensor, timestep: Tensor, text: Tensor, mask: Tensor | None, rotary: Any) -> Tensor:
        if mask is not None and mask.ndim == 2:
            mask = (1 - mask.to(x.dtype))[:, None] * -10000.0
        spans = frame_spans(0, x.shape[1], x.shape[1] // timestep.shape[1])
        tokens = self.proj_in(x)
        # Frames are embedded one by one: with more rows a matrix product rounds otherwise than in a scalar call.
        found = [self.time_embed(column, batch_size=len(x), hidden_dtype=tokens.dtype) for column in timestep.unbind(1)]
        six, temb = (torch.stack(part, dim=1) for part in zip(*found, strict=True))
        captions = self.caption_projection(text).view(len(x), -1, tokens.shape[-1])
        for block in self.transformer_blocks:
            if torch.is_grad_enabled() and self.gradient_checkpointing:
                tokens = self._gradient_checkpointing_func(block, tokens, captions, six, rotary, mask, spans)
            else:
                tokens = block(tokens, captions, six, rotary, mask, spans)
        shift, scale = (self.scale_shift_table + temb[:, :, None]).unbind(2)
        return self.proj_out(by_frame(partial(_modulate, norm=self.norm_out), spans, (tokens,), (scale, shift)))
