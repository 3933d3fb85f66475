"""Wan's transformer with one timestep per frame: diffusers' class with its checkpoints, tools and one more input shape.

The timestep gives six vectors per frame (shift, scale and gate, for attention and for the feed-forward). They stay
(b, f, 6, d): tokens are viewed frame by frame and the vectors are broadcast, so nothing is repeated per token.

Architecture: Wan2.1, arXiv 2503.20314; the timestep vector: arXiv 2507.16116.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from typing import Any, ClassVar

import torch
from diffusers import WanTransformer3DModel
from diffusers.hooks._helpers import TransformerBlockMetadata, TransformerBlockRegistry
from diffusers.models._modeling_parallel import ContextParallelInput
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from diffusers.utils import apply_lora_scale
from torch import Tensor, nn

from pusa_lab.arguments import checked
from pusa_lab.guidance import layer_indices
from pusa_lab.resting import Kept, TokenPart
from pusa_lab.sentences import counted
from pusa_lab.wan.resting import TensorPair, attend, fresh_tokens, keep, rotary_from
from pusa_lab.wan.spans import Spans, by_frame, frame_spans


def _modulate(x: Tensor, scale: Tensor, shift: Tensor, norm: nn.Module) -> Tensor:
    return (norm(x.float()) * (1 + scale) + shift).type_as(x)


def _add(x: Tensor, y: Tensor, gate: Tensor) -> Tensor:
    return (x.float() + y * gate).type_as(x)


def _block_by_frame(
    block: Any,
    x: Tensor,
    text: Tensor,
    temb: Tensor,
    rotary: Any,
    spans: Spans,
    mask: Tensor | None = None,
    attention: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """A block of Wan or SkyReels-V2 with six vectors per frame.

    Args:
        block: with diffusers' names of its layers.
        x: tokens (b, l, d).
        text: embeddings of captions (b, n, d).
        temb: vectors (b, f, 6, d).
        rotary: rotary embedding of the tokens.
        spans: from `frame_spans`.
        mask: which tokens (l, l) a token attends to; None is all.
        attention: self-attention of tokens (b, l, d); None is the block's.

    Returns:
        Tokens (b, l, d).
    """
    shift, scale, gate, c_shift, c_scale, c_gate = (block.scale_shift_table + temb.float()).unbind(2)
    y = by_frame(partial(_modulate, norm=block.norm1), spans, (x,), (scale, shift))
    y = attention(y) if attention else block.attn1(y, None, mask, rotary)
    x = by_frame(_add, spans, (x, y), (gate,))
    x = x + block.attn2(block.norm2(x.float()).type_as(x), text, None, None)
    y = by_frame(partial(_modulate, norm=block.norm3), spans, (x,), (c_scale, c_shift))
    return by_frame(_add, spans, (x, block.ffn(y)), (c_gate,))


def _embed_timesteps(embedder: Any, timestep: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Embed timesteps (b, f) to (b, f, d) and (b, f, 6, d).

    Frames are embedded one by one, as in a scalar call: a matrix product with more rows rounds each row in another
    way, and equal timesteps would no longer give the scalar model's output bit for bit.

    Args:
        embedder: the `condition_embedder` of Wan or SkyReels-V2.
        timestep: 1000 tau (b, f) in [0, 1000].
        dtype: of the embeddings (b, f, d).
    """
    width = next(iter(embedder.time_embedder.parameters())).dtype
    tembs, sixes = [], []
    for column in timestep.unbind(1):
        tembs.append(embedder.time_embedder(embedder.timesteps_proj(column).to(width)).to(dtype))
        sixes.append(embedder.time_proj(embedder.act_fn(tembs[-1])))
    return torch.stack(tembs, dim=1), torch.stack(sixes, dim=1).unflatten(2, (6, -1))


class FrameTimesteps:
    """Mixin for a subclass of a transformer of diffusers, before it among the bases: VTA(FrameTimesteps, Parent).

    The checkpoint is the parent's and is saved under its name, so plain diffusers opens its folders and pipelines.
    """

    block: ClassVar[Any]
    """Class of the blocks, a subclass of diffusers' own."""
    check_config: ClassVar[Any]
    """Refuses the config of a model whose frames cannot have timesteps of their own."""
    parent: ClassVar[Any]
    """The transformer of diffusers."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if FrameTimesteps not in cls.__bases__:  # a subclass of a VTA model, such as FSDP makes
            return
        parent: Any = cls.__bases__[1]
        cls.parent = parent

        @wraps(parent.__init__)  # from_config reads its arguments
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            parent.__init__(self, *args, **kwargs)
            self.check_config(self.config)
            self.use_frame_timesteps()

        cls.__init__ = init  # type: ignore[method-assign]
        cls.__name__, cls.__module__ = parent.__name__, parent.__module__

    @classmethod
    def adopt(cls, model: Any) -> Any:
        """Turn a loaded model into this class: the same object with the same weights, without copying.

        Args:
            model: of diffusers' class, before offloading or other hooks.

        Raises:
            ValueError: the model is of another class, `check_config` refuses it, or hooks already hold its old forward.
        """
        if isinstance(model, cls):
            return model
        if type(model) is not cls.parent:
            raise ValueError(
                f"a {type(model).__name__} cannot be made a VTA model: give diffusers' own {cls.parent.__name__}."
            )
        if any("forward" in vars(m) for m in (model, *cls._blocks(model))):
            raise ValueError(
                "this transformer already has hooks (offloading, caching or compilation): "
                "make it a VTA model first, then switch them on."
            )
        cls.check_config(model.config)
        model.__class__ = cls
        model.use_frame_timesteps()
        return model

    @classmethod
    def _blocks(cls, model: Any) -> list[nn.Module]:
        return [part for part in model.modules() if isinstance(part, cls.block.__base__)]

    def use_frame_timesteps(self) -> None:
        """Make the blocks those of this class."""
        for block in self._blocks(self):
            block.__class__ = self.block

    def enable_cache(self, config: Any) -> None:
        """Enable a cache as in diffusers, after registering this model's class of blocks, which caches must know."""
        TransformerBlockRegistry.register(self.block, TransformerBlockMetadata(0))
        super().enable_cache(config)  # type: ignore[misc]


class VTAWanTransformerBlock(WanTransformerBlock):
    """Wan's block; if `spans` are given, each frame has its own six vectors."""

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        temb: Tensor,
        rotary_emb: Any,
        spans: Spans | None = None,
        skipped: bool = False,
        rest: Tensor | None = None,
        kept: TensorPair | None = None,
        parts: Sequence[TokenPart] | None = None,
    ) -> Any:
        """Map tokens (b, l, d) to tokens; temb is (b, f, 6, d) with spans, and as in diffusers without.

        A skipped block is called all the same, so that hooks run, such as those that bring its weights. `rest`, `kept`
        and `parts` are those of `resting.attend`; with `rest`, what is to be kept is returned too.
        """
        x = hidden_states
        if skipped:
            return x
        if spans is None:
            return super().forward(x, encoder_hidden_states, temb, rotary_emb)
        if rest is None and kept is None and parts is None:
            return _block_by_frame(self, x, encoder_hidden_states, temb, rotary_emb, spans)
        found = None

        def attention(y: Tensor) -> Tensor:
            nonlocal found
            y, found = attend(self.attn1, y, rotary_emb, rest, kept, parts)
            return y

        x = _block_by_frame(self, x, encoder_hidden_states, temb, rotary_emb, spans, attention=attention)
        return x if rest is None else (x, found)


@checked
def check_text_to_video(config: Mapping[str, Any]) -> None:
    """Refuse models that cannot take one timestep per frame.

    Args:
        config: of a WanTransformer3DModel, with diffusers' names.

    Raises:
        ValueError: the model is image-to-video (takes a mask and a picture beside the latents), its patches span
            several frames, or the config is of another model.
    """
    if missing := [name for name in ("in_channels", "out_channels", "image_dim", "patch_size") if name not in config]:
        raise ValueError(f"the config has no {missing[0]}: give that of diffusers' WanTransformer3DModel.")
    if not isinstance(config["patch_size"], Sequence) or len(config["patch_size"]) != 3:
        raise ValueError(f"patch_size={config['patch_size']!r:.60}: give three numbers, such as (1, 2, 2).")
    given, made = config["in_channels"], config["out_channels"]
    if given != made or config["image_dim"] is not None:
        raise ValueError(
            f"this is an image-to-video Wan ({given} input channels for {made} latent channels): give a text-to-video "
            f"model, Wan2.1-T2V, Wan2.2-T2V-A14B or Wan2.2-TI2V-5B, which needs no picture input for these tasks."
        )
    if config["patch_size"][0] != 1:
        raise ValueError(
            f"patch_size={tuple(config['patch_size'])}: a patch must span one frame, so that each frame has a timestep."
        )


class VTAWanTransformer3DModel(FrameTimesteps, WanTransformer3DModel):
    """diffusers' Wan transformer, which also takes one `timestep` per frame (Sec. 2.3, arXiv 2507.16116).

    Checkpoints, adapters, offloading, casting, regional compilation and context parallelism work as in the parent.

    Raises:
        ValueError: the model is image-to-video, or a patch spans several frames.
    """

    block: ClassVar = VTAWanTransformerBlock
    check_config: ClassVar = staticmethod(check_text_to_video)
    _no_split_modules: ClassVar = ["VTAWanTransformerBlock"]
    _repeated_blocks: ClassVar = ["VTAWanTransformerBlock"]
    # One timestep per frame is not split over ranks; `shard` tells each rank which tokens it holds.
    _cp_plan: ClassVar = {
        **{k: v for k, v in WanTransformer3DModel._cp_plan.items() if k},
        "condition_embedder.time_embedder": {0: ContextParallelInput(split_dim=1, expected_dims=3, split_output=True)},
        "shard": {0: ContextParallelInput(split_dim=1, expected_dims=2, split_output=True)},
    }

    def use_frame_timesteps(self) -> None:
        """Also add `shard`, which tells each rank which tokens it holds."""
        super().use_frame_timesteps()
        self.shard = nn.Identity()

    @apply_lora_scale("attention_kwargs")
    def forward(
        self,
        hidden_states: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        encoder_hidden_states_image: Tensor | None = None,
        return_dict: bool = True,
        attention_kwargs: dict[str, Any] | None = None,
        skip_layers: Sequence[int] = (),
        kept: Kept | None = None,
    ) -> Transformer2DModelOutput | tuple[Tensor]:
        """Return the velocity (b, c, f, h, w) for one timestep per sample, frame or token.

        Args:
            hidden_states: latents (b, c, f, h, w).
            timestep: 1000 tau in [0, 1000]: (b,), (b, f), or (b, tokens), which diffusers uses for Wan2.2-TI2V-5B.
            encoder_hidden_states: embeddings of captions (b, 512, text_dim).
            encoder_hidden_states_image: must be None, as for every text-to-video Wan.
            return_dict: whether to wrap the velocity, as diffusers does.
            attention_kwargs: may hold "scale" for adapters, as in diffusers.
            skip_layers: blocks to leave out, with one timestep per frame.
            kept: which frames are computed and which they see, with one timestep per frame: see `pusa_lab.resting` and
                `pusa_lab.causal`.

        Raises:
            ValueError: the timestep has another shape, the frames cannot be divided into patches or have more of them
                than the model has positions, or a layer to skip does not exist.
        """
        x = hidden_states
        grid = _grid(x, self.config.patch_size)
        if max(grid) > (most := self.config.rope_max_seq_len):
            raise ValueError(
                f"latents of shape {tuple(x.shape)} are {max(grid)} patches long on one side, and this model has "
                f"{counted(most, 'position')}: give fewer frames or a smaller size."
            )
        tokens = grid[0] * grid[1] * grid[2]
        shape = tuple(timestep.shape)
        if shape not in {(len(x),), (len(x), grid[0]), (len(x), tokens)}:
            raise ValueError(
                f"timestep has shape {shape}, but latents of shape {tuple(x.shape)} (b c f h w) need ({len(x)},), "
                f"({len(x)}, {grid[0]}) for one per frame, or ({len(x)}, {tokens}) for one per token."
            )
        if shape == (len(x), grid[0]):
            skipped = layer_indices(skip_layers, len(self.blocks))
            sample = self._per_frame(x, timestep, encoder_hidden_states, grid, skipped, kept)
            return Transformer2DModelOutput(sample=sample) if return_dict else (sample,)
        if skip_layers or kept is not None:
            what = "skip_layers" if skip_layers else "kept"
            raise ValueError(f"{what} with a timestep of shape {shape}: give one per frame, ({len(x)}, {grid[0]}).")
        return WanTransformer3DModel.forward.__wrapped__(
            self, x, timestep, encoder_hidden_states, encoder_hidden_states_image, return_dict
        )

    def _per_frame(
        self,
        x: Tensor,
        timestep: Tensor,
        text: Tensor,
        grid: tuple[int, int, int],
        skipped: tuple[int, ...],
        kept: Kept | None,
    ) -> Tensor:
        frames, hw = grid[0], grid[1] * grid[2]
        rotary = rotary_from(self.rope, x, kept.first if kept else 0)
        rest = parts = None
        if kept is not None:
            cos, sin = (kept.cut(turn.unflatten(1, (frames, hw)), 1).flatten(1, 2) for turn in rotary)
            rotary = cos, sin
            x, timestep = kept.cut(x, 2), kept.cut(timestep, 1)
            rest, parts, frames = fresh_tokens(kept, hw, x.device), kept.parts(hw), x.shape[2]
        held = self.shard(torch.arange(frames * hw)[None])[0]
        whole = len(held) == frames * hw  # otherwise the share of one rank, which may begin and end inside a frame
        spans = frame_spans(0, frames * hw, hw) if whole else frame_spans(int(held[0]), int(held[-1]) + 1, hw)
        tokens = self.patch_embedding(x).flatten(2).transpose(1, 2).contiguous()

        temb, six = _embed_timesteps(self.condition_embedder, timestep, text.dtype)
        captions = self.condition_embedder.text_embedder(text)
        more = () if parts is None else (False, None, None, parts)
        for i, block in enumerate(self.blocks):
            if i in skipped:
                tokens = block(tokens, captions, six, rotary, spans, skipped=True)
            elif kept is not None and (rest is not None or not kept.whole):
                tokens = keep(block, kept, tokens, captions, six, rotary, spans, rest=rest, parts=parts)
            elif torch.is_grad_enabled() and self.gradient_checkpointing:
                tokens = self._gradient_checkpointing_func(block, tokens, captions, six, rotary, spans, *more)
            else:
                tokens = block(tokens, captions, six, rotary, spans, *more)

        shift, scale = (self.scale_shift_table.to(temb.device) + temb[:, :, None]).to(tokens.device).unbind(2)
        tokens = by_frame(partial(_modulate, norm=self.norm_out), spans, (tokens,), (scale, shift))
        v = _unpatch(self.proj_out(tokens), (frames, *grid[1:]), self.config.patch_size)
        return v if kept is None else kept.fill(v)


def _grid(x: Tensor, patch: Sequence[int]) -> tuple[int, int, int]:
    if x.shape[3] % patch[1] or x.shape[4] % patch[2]:
        raise ValueError(
            f"latents have frames of {x.shape[3]} x {x.shape[4]}: give multiples of the patch, {patch[1]} x {patch[2]}."
        )
    return x.shape[2], x.shape[3] // patch[1], x.shape[4] // patch[2]


def _unpatch(patches: Tensor, grid: tuple[int, int, int], patch: Sequence[int]) -> Tensor:
    """(b, f * h * w, ph * pw * c) -> (b, c, f, h * ph, w * pw)."""
    x = patches.unflatten(1, grid).unflatten(4, (patch[1], patch[2], -1))
    return x.permute(0, 6, 1, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)
