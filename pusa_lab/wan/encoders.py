"""Codec and text encoder of a Wan without its transformer, enough to encode a folder of clips."""

from pathlib import Path

import torch
from diffusers import AutoencoderKLWan

from pusa_lab.arguments import checked
from pusa_lab.types import Clip, Cond, Geometry, Video
from pusa_lab.wan import latents
from pusa_lab.wan.folders import check_wan_folder, find_folder, with_weights
from pusa_lab.wan.loading import SIZE, folder_sizes, read_codec, read_text_encoder
from pusa_lab.wan.prompts import CACHE, PromptEncoder


@checked
class WanEncoders:
    """The encoders of a `WanModel`: `encode_text`, `encode_video` and `decode`, without the gigabytes of a transformer.

    Args:
        codec: diffusers' AutoencoderKLWan.
        prompts: encoder of captions.
        geometry: default sizes.
        device: on which the codec computes.
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
        num_frames: int | None = None,
        cache: str | Path | None = CACHE,
    ) -> "WanEncoders":
        """Load the encoders from a Wan in diffusers' layout.

        Args:
            source: a folder, or a repository such as Wan-AI/Wan2.1-T2V-14B-Diffusers.
            dtype: of the text encoder; the codec computes in float32.
            device: None takes the GPU if there is one.
            size: height and width in pixels; None means 480 x 832.
            num_frames: pixel frames, 1 + 4k; None takes Wan's default.
            cache: folder for encoded captions; None keeps them in memory.

        Raises:
            ValueError: the folder is incomplete, not a text-to-video Wan, or does not accept the sizes.
        """
        folder = check_wan_folder(find_folder(source, weights=False), weights=False)
        geometry = folder_sizes(folder, size=size or SIZE, num_frames=num_frames)
        folder = with_weights(folder, find_folder(source))
        place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))

        def parts() -> tuple[object, torch.nn.Module]:
            tokenizer, encoder = read_text_encoder(folder, dtype)
            return tokenizer, encoder.to(place)

        identity = f"{folder.identity('text_encoder')} {dtype}"
        prompts = PromptEncoder(parts, identity, None if cache is None else Path(cache).expanduser())
        return cls(read_codec(folder), prompts, geometry, place)

    @checked
    def encode_text(self, prompts: list[str]) -> Cond:
        """Encode captions, or read their embeddings from the cache, as keyword arguments of the denoiser.

        Args:
            prompts: b captions; "" is the null prompt.

        Returns:
            text: (b, 512, d).
        """
        return {"text": self.prompts(prompts).to(self.device)}

    @checked
    @torch.no_grad()
    def encode_video(self, clip: Clip) -> Video:
        """Encode pixels to normalised latents.

        Args:
            clip: pixels (b, 3, 1 + 4k, h, w) in [-1, 1].
        """
        return latents.encode_clip(self.codec, clip)

    @checked
    @torch.no_grad()
    def decode(self, latents_: Video) -> Clip:
        """Decode normalised latents to pixels.

        Args:
            latents_: (b, c, f, h, w).
        """
        return latents.decode_latents(self.codec, latents_)
