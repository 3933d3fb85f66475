"""A toy with everything Wan has: text encoder, transformer and codec behind the same five calls."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pusa_lab.arguments import checked
from pusa_lab.pixels import check_range
from pusa_lab.resting import Kept
from pusa_lab.types import Clip, Cond, Geometry, Tau, Video
from small_models.models.codec import Codec
from small_models.models.dit import ToyDiT
from small_models.models.presets import OddError, check_toy
from small_models.models.text import EMPTY, TextEncoder
from small_models.world import HANDWRITING, LONGEST, MINI, NANO, vocabulary

CODECS: dict[str, dict[str, Any]] = {
    "mini": {
        "base_dim": 16,
        "z_dim": 8,
        "dim_mult": [1, 2, 4, 4],
        "num_res_blocks": 1,
        "attn_scales": [],
        "temperal_downsample": [False, True, True],
    }
}
"""Name -> arguments of diffusers' AutoencoderKLWan."""
PRESETS: dict[str, dict[str, Any]] = {
    "nano": {
        "geometry": {"stride": (1, 1, 1), "channels": 3, "frames": 8, "size": (16, 16), "fps": 8},
        "world": "nano",
        "text": {"words": [EMPTY, *vocabulary(NANO)], "dim": 64, "layers": 1, "longest": 20},
        "dit": {
            "patch_size": (1, 4, 4),
            "num_attention_heads": 3,
            "attention_head_dim": 32,
            "in_channels": 3,
            "out_channels": 3,
            "text_dim": 64,
            "freq_dim": 64,
            "ffn_dim": 384,
            "num_layers": 5,
        },
    },
    "mini": {
        "geometry": {"stride": (4, 8, 8), "channels": 8, "frames": 9, "size": (64, 64), "fps": 16},
        "world": "mini",
        "text": {
            "words": [EMPTY, *sorted({*vocabulary(MINI), *vocabulary(HANDWRITING)})],
            "dim": 128,
            "layers": 3,
            "longest": LONGEST,
        },
        "dit": {
            "patch_size": (1, 2, 2),
            "num_attention_heads": 4,
            "attention_head_dim": 64,
            "in_channels": 8,
            "out_channels": 8,
            "text_dim": 128,
            "freq_dim": 256,
            "ffn_dim": 640,
            "num_layers": 8,
        },
    },
}
"""Name -> sizes. `nano` lives in pixel space, so that its frames are pictures; `mini` has a codec as Wan has."""


@checked
class ToyModel(nn.Module):
    """A `VideoModel`: in pixel space, or in the latents of a codec.

    Args:
        preset: sizes, see PRESETS.
        codec: for latents; None lives in pixels.

    Raises:
        ValueError: the codec's channels are not the model's.
    """

    def __init__(self, preset: dict[str, Any], codec: Codec | None = None):
        super().__init__()
        try:
            check_toy(preset, self.inward)
        except OddError as odd:
            raise ValueError(f"the preset cannot be built ({odd}): give one like PRESETS['nano'].") from odd
        sizes = preset["geometry"]
        self.preset = preset
        self.geometry = Geometry(**{**sizes, "stride": tuple(sizes["stride"]), "size": tuple(sizes["size"])})
        if codec is not None and codec.config["z_dim"] != self.geometry.channels:
            raise ValueError(
                f"a codec of {codec.config['z_dim']} channels for a model of {self.geometry.channels}: give its own."
            )
        self.text = TextEncoder(**preset["text"])
        self.dit = ToyDiT(**{**preset["dit"], "patch_size": tuple(preset["dit"]["patch_size"])})
        self.codec = codec

    @staticmethod
    def inward(channels: int) -> int:
        """Channels that the transformer takes for so many of the latents."""
        return channels

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.dit.proj_out.weight.device

    @checked
    def encode_text(self, prompts: list[str]) -> Cond:
        """Captions to the denoiser's keyword arguments; ValueError names words that are unknown."""
        return {"text": self.text(self.text.tokenize(prompts).to(self.device, non_blocking=True))}

    @checked
    def encode_video(self, clip: Clip) -> Video:
        """Pixels in [-1, 1] to latents; without a codec they are the same."""
        check_range(clip)
        return self.codec.encode(clip) if self.codec else clip

    def decode(self, latents: Video) -> Clip:
        """Latents to pixels; without a codec they are the same."""
        return self.codec.decode(latents) if self.codec else latents

    def init_decoder(self) -> Callable[[Video], Clip]:
        """A function that decodes a video in parts, the first latent frame first: together the pixels of `decode`."""
        return self.codec.init_decoder() if self.codec else self.decode

    @property
    def num_layers(self) -> int:
        """Blocks of the transformer, of which `skip_layers` leaves some out."""
        return self.dit.num_layers

    def check_resting(self, frames: int, size: tuple[int, int]) -> None:
        """Refuse to keep keys and values of so many frames at rest, of latents (h, w), where that cannot be done.

        Raises:
            ValueError: the transformer is compiled, or another one.
        """
        if not isinstance(self.dit, ToyDiT):
            raise ValueError(
                f"refresh and causal with a transformer of class {type(self.dit).__name__}, which keeps nothing of "
                f"frames at rest: leave them out, or do not compile the toy."
            )

    def forward(
        self, x: Video, tau: Tau, text: Tensor, *, skip_layers: Sequence[int] = (), kept: Kept | None = None
    ) -> Video:
        """The velocity, one timestep per frame, computed in the weights' precision and returned in x's."""
        return self.dit(x.to(text.dtype), tau, text, skip_layers=skip_layers, kept=kept).to(x.dtype)

    @checked
    def velocities(self, x: Video, tau: Tau, conds: Sequence[Cond]) -> Sequence[Video] | None:
        """The velocities under several captions in one pass, bit for bit those of one pass for each.

        None leaves them to separate calls: on a GPU, with more than captions of one length, if x holds no number, where
        somebody watches the calls by hooks or put a forward of their own.

        Args:
            x: latents (b, c, f, h, w).
            tau: timesteps (b, f).
            conds: keyword arguments of each call.
        """
        ours = getattr(self.forward, "__func__", None) is ToyModel.forward and isinstance(self.dit, ToyDiT)
        watched = self._forward_hooks or self._forward_pre_hooks
        shapes: set[tuple[int, ...]] = {
            getattr(cond["text"], "shape", ()) if set(cond) == {"text"} else () for cond in conds
        }
        captions = len(shapes) == 1 and all(len(shape) == 3 and shape[0] == len(x) for shape in shapes)
        if watched or not (ours and captions and x.is_cpu and x.numel()):
            return None
        return self(x, tau, torch.cat([cond["text"] for cond in conds])).chunk(len(conds))
