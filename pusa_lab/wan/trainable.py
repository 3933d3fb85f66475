"""A Wan for training on a latent cache: the transformer only, with embeddings instead of a text encoder."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from pusa_lab.arguments import checked
from pusa_lab.resting import Kept
from pusa_lab.types import Clip, Cond, Geometry, Tau, Video
from pusa_lab.wan import latents
from pusa_lab.wan.prompts import LENGTH
from pusa_lab.wan.resting import check_resting
from pusa_lab.wan.transformer import VTAWanTransformer3DModel


@checked
class TrainableWan(nn.Module):
    """A `VideoModel` that is an nn.Module, with a trainable transformer and without a text encoder.

    Args:
        transformer: text-to-video; becomes a `VTAWanTransformer3DModel` in place, without copying its weights.
        geometry: sizes of the latents.
        embeddings: caption -> embedding (n, d); "" is the null prompt, for caption dropout and guidance.
        codec: diffusers' AutoencoderKLWan, to encode and decode clips in validation; None if that is not needed.

    Raises:
        ValueError: as `VTAWanTransformer3DModel.adopt`.
    """

    def __init__(
        self,
        transformer: WanTransformer3DModel,
        geometry: Geometry,
        embeddings: Mapping[str, Tensor],
        codec: Any = None,
    ):
        super().__init__()
        self.transformer = VTAWanTransformer3DModel.adopt(transformer)
        self.geometry, self.embeddings = geometry, embeddings
        self._codec = [codec]  # in a list, so that it is neither trained nor stored
        self._dtype: torch.dtype | None = None

    @property
    def device(self) -> torch.device:
        """Device of the transformer."""
        return next(self.transformer.parameters()).device

    @checked
    def encode_text(self, prompts: Sequence[str | Tensor]) -> Cond:
        """Return captions or embeddings as keyword arguments of the denoiser, padded with zeros to (b, 512, d).

        Args:
            prompts: b captions, each one of `embeddings`, or embeddings (n, d).

        Raises:
            ValueError: a caption is not one of `embeddings`.
        """
        if unknown := [p for p in prompts if isinstance(p, str) and p not in self.embeddings]:
            raise ValueError(f"the caption {unknown[0]!r} was not encoded: give one of the cache's, or its embedding.")
        found = [self.embeddings[p] if isinstance(p, str) else p for p in prompts]
        padded = torch.stack([nn.functional.pad(t, (0, 0, 0, LENGTH - len(t))) for t in found])
        return {"text": padded.to(self.device, self._dtype or self.transformer.dtype, non_blocking=True)}

    def shard(self, mesh: Any, device: torch.device) -> None:
        """Shard all weights over processes (FSDP2); they are stored in float32, and computed in bfloat16 on a GPU.

        Args:
            mesh: one-dimensional device mesh of the processes.
            device: of this process; weights are moved there block by block.
        """
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        self._dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        # Inputs are not cast: timesteps would lose digits, and activation checkpointing would not cast them again.
        policy = MixedPrecisionPolicy(self._dtype, torch.float32, cast_forward_inputs=False)
        wide = MixedPrecisionPolicy(torch.float32, torch.float32, cast_forward_inputs=False)
        self.requires_grad_(True)
        for block in self.transformer.blocks:
            fully_shard(block.to(device, torch.float32), mesh=mesh, mp_policy=policy)
        fully_shard(
            self.transformer.condition_embedder.time_embedder.to(device, torch.float32), mesh=mesh, mp_policy=wide
        )
        self.to(device, torch.float32)
        fully_shard(self, mesh=mesh, mp_policy=policy)

    @checked
    @torch.no_grad()
    def encode_video(self, clip: Clip) -> Video:
        """Encode pixels to normalised latents.

        Args:
            clip: pixels (b, 3, 1 + 4k, h, w) in [-1, 1].

        Raises:
            ValueError: there is no codec.
        """
        return latents.encode_clip(self._need_codec(), clip).to(self.device)

    @checked
    @torch.no_grad()
    def decode(self, latents_: Video) -> Clip:
        """Decode normalised latents to pixels in [-1, 1].

        Args:
            latents_: (b, c, f, h, w).

        Raises:
            ValueError: there is no codec.
        """
        return latents.decode_latents(self._need_codec(), latents_)

    def _need_codec(self) -> Any:
        if self._codec[0] is None:
            raise ValueError("this Wan was made without a codec: give codec= to encode or decode clips.")
        return self._codec[0].to(self.device)

    def check_resting(self, frames: int, size: tuple[int, int]) -> None:
        """Refuse to keep keys and values of so many frames, of latents (h, w), where that cannot be done.

        Raises:
            ValueError: as `resting.check_resting` of the transformer.
        """
        check_resting(self.transformer, frames, size, self.device)

    def forward(self, x: Video, tau: Tau, text: Tensor, kept: Kept | None = None) -> Video:
        """Return the velocity (b, c, f, h, w) in the type of x; it is computed in the type of the weights.

        Args:
            x: latents (b, c, f, h, w).
            tau: timesteps (b, f) in [0, 1].
            text: embeddings (b, 512, d), from `encode_text`.
            kept: which frames see which, see `pusa_lab.causal`.
        """
        more = {} if kept is None else {"kept": kept}
        v = self.transformer(x.to(text.dtype), 1000 * tau.float(), text, return_dict=False, **more)[0]
        return v.to(x.dtype)
