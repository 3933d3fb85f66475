"""A Wan to be trained on a cache of latents: the transformer alone, with captions that are encoded already."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from pusa_lab.arguments import checked
from pusa_lab.types import Clip, Cond, Geometry, Tau, Video
from pusa_lab.wan import latents
from pusa_lab.wan.prompts import LENGTH
from pusa_lab.wan.transformer import VTAWanTransformer3DModel


@checked
class TrainableWan(nn.Module):
    """A `VideoModel` that is an nn.Module: what is trained, and no text encoder.

    Args:
        transformer: text-to-video; becomes a `VTAWanTransformer3DModel`, its weights are not copied.
        geometry: sizes of the latents.
        words: caption -> embedding (n, d); "" is the empty caption, for text dropout and guidance.
        codec: diffusers' AutoencoderKLWan for validation clips; None decodes nothing.
    """

    def __init__(
        self,
        transformer: WanTransformer3DModel,
        geometry: Geometry,
        words: Mapping[str, Tensor],
        codec: Any = None,
    ):
        super().__init__()
        self.transformer = VTAWanTransformer3DModel.adopt(transformer)
        self.geometry, self.words = geometry, words
        self._codec = [codec]  # in a list, so that it is neither trained nor stored
        self._dtype: torch.dtype | None = None

    @property
    def device(self) -> torch.device:
        """Where the transformer is."""
        return next(self.transformer.parameters()).device

    @checked
    def encode_text(self, prompts: Sequence[str | Tensor]) -> Cond:
        """Captions, or embeddings (n, d), to the denoiser's keyword arguments; padded to 512 with zeros.

        Args:
            prompts: captions must be among `words`.

        Raises:
            ValueError: a caption was not encoded.
        """
        if unknown := [p for p in prompts if isinstance(p, str) and p not in self.words]:
            raise ValueError(f"the caption {unknown[0]!r} was not encoded: give one of the cache's, or its embedding.")
        found = [self.words[p] if isinstance(p, str) else p for p in prompts]
        padded = torch.stack([nn.functional.pad(t, (0, 0, 0, LENGTH - len(t))) for t in found])
        return {"text": padded.to(self.device, self._dtype or self.transformer.dtype, non_blocking=True)}

    def shard(self, mesh: Any, device: torch.device) -> None:
        """Split all weights over processes (FSDP2), kept in float32 and computed in bfloat16 on a GPU.

        Args:
            mesh: of the processes, one dimension.
            device: this process's; weights go there block by block.
        """
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        self._dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        # Inputs are not cast: clocks would lose digits, and what is computed again is not cast a second time.
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
        """Pixels in [-1, 1] to normalised latents."""
        return latents.encode(self._need_codec(), clip).to(self.device)

    @checked
    @torch.no_grad()
    def decode(self, latents_: Video) -> Clip:
        """Normalised latents to pixels in [-1, 1]."""
        return latents.decode(self._need_codec(), latents_)

    def _need_codec(self) -> Any:
        if self._codec[0] is None:
            raise ValueError("this Wan was made without a codec: give codec= to see pixels.")
        return self._codec[0].to(self.device)

    def forward(self, x: Video, tau: Tau, text: Tensor) -> Video:
        """The velocity, one clock per frame, computed in the weights' precision and returned in x's.

        Args:
            x: latents (b, c, f, h, w).
            tau: clocks (b, f) in [0, 1].
            text: from `encode_text`.
        """
        v = self.transformer(x.to(text.dtype), 1000 * tau.float(), text, return_dict=False)[0]
        return v.to(x.dtype)
