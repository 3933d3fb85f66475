"""Codec and text encoder of a Wan without its transformer: all that encoding a folder of clips needs."""

from pathlib import Path

import torch
from diffusers import AutoencoderKLWan

from pusa_lab.arguments import checked
from pusa_lab.types import Clip, Cond, Geometry, Video
from pusa_lab.wan import latents
from pusa_lab.wan.folders import check, find
from pusa_lab.wan.loading import SIZE, folder_sizes, read_codec, read_text_encoder
from pusa_lab.wan.prompts import CACHE, PromptEncoder


@checked
class WanEncoders:
    """Half a `WanModel`: the same `encode_text` and `encode_video`, without the gigabytes of the transformer.

    Args:
        codec: diffusers' AutoencoderKLWan.
        prompts: reads captions.
        geometry: default sizes.
        device: where the codec computes.
    """

    def __init__(self, codec: AutoencoderKLWan, prompts: PromptEncoder, geometry: Geometry, device: torch.device):
        self.codec, self.prompts, self.geometry, self.device = codec.to(device), prompts, geometry, device

    @classmethod
    @checked
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        dtype: torch.dtype = torch.bfloat16,
        device: str | torch.device | None = None,
        size: tuple[int, int] | None = None,
        frames: int | None = None,
        cache: str | Path | None = CACHE,
    ) -> "WanEncoders":
        """Load them from a Wan in diffusers' layout.

        Args:
            source: a folder, or a repository such as Wan-AI/Wan2.1-T2V-14B-Diffusers.
            dtype: of the text encoder; the codec computes in float32.
            device: None is the GPU if there is one.
            size: height and width in pixels; None is 480 x 832.
            frames: pixel frames, 1 + 4k; None is Wan's own.
            cache: folder for encoded captions; None keeps them in memory.

        Raises:
            ValueError: with one sentence on what was received and what to do.
        """
        folder = check(find(source, weights=False), weights=False)
        geometry = folder_sizes(folder, size=size or SIZE, frames=frames)
        folder = check(find(source))
        place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))

        def parts() -> tuple[object, torch.nn.Module]:
            tokenizer, encoder = read_text_encoder(folder, dtype)
            return tokenizer, encoder.to(place)

        identity = f"{folder.identity('text_encoder')} {dtype}"
        prompts = PromptEncoder(parts, identity, None if cache is None else Path(cache).expanduser())
        return cls(read_codec(folder), prompts, geometry, place)

    @checked
    def encode_text(self, prompts: list[str]) -> Cond:
        """Captions to the denoiser's keyword arguments, from the cache where they are in it."""
        return {"text": self.prompts(prompts).to(self.device)}

    @checked
    @torch.no_grad()
    def encode_video(self, clip: Clip) -> Video:
        """Pixels (b, 3, 1 + 4k, h, w) in [-1, 1] to normalised latents."""
        return latents.encode(self.codec, clip)
