"""The published Wans that take one clock per frame: their sizes and their makers' defaults. No diffusers here."""

import math
from dataclasses import dataclass
from typing import Any

UMT5_PARAMETERS = 5_680_910_336
"""The text encoder of every Wan, UMT5-XXL without its decoder."""


@dataclass(frozen=True)
class WanConfig:
    """One family: what its transformer is built from, what stands around it, and how it is meant to be used."""

    repo: str
    """Repository on the Hugging Face Hub."""
    num_attention_heads: int
    """Heads, each 128 wide."""
    ffn_dim: int
    """Width inside the feed-forward."""
    num_layers: int
    """Transformer blocks."""
    size: tuple[int, int]
    """Default height and width in pixels."""
    shift: float
    """Default shift of the sampling grid."""
    guidance: tuple[float, ...]
    """Default scale of text guidance, one for each expert."""
    steps: int = 50
    """Default sampling steps, before any distillation."""
    channels: int = 16
    """Latent channels, in and out."""
    stride: tuple[int, int, int] = (4, 8, 8)
    """Pixels per latent along frames, height and width."""
    frames: int = 81
    """Default pixel frames, 1 + 4k."""
    fps: int = 16
    """Frames per second at which its videos are meant to be seen."""
    boundary: float | None = None
    """Clock below which the second expert takes over; None where there is one expert."""
    codec_parameters: int = 126_892_531
    """Of the AutoencoderKLWan, encoder and decoder."""
    codec_flops: float = 8.55e6
    """To decode one pixel of one frame (counted by torch's FlopCounterMode, diffusers 0.42.1)."""
    codec_bytes: float = 19.5e3
    """Peak of float32 activations in decoding, per pixel of a frame, the decoded video apart (counted on meta)."""
    attention_head_dim: int = 128
    """Width of a head."""
    text_dim: int = 4096
    """Width of the text encoder's output."""
    freq_dim: int = 256
    """Width of the sinusoids that stand for a clock."""
    patch_size: tuple[int, int, int] = (1, 2, 2)
    """Latents per token along frames, height and width."""

    @property
    def dim(self) -> int:
        """Width of a token."""
        return self.num_attention_heads * self.attention_head_dim

    @property
    def experts(self) -> int:
        """Transformers that share the sampling."""
        return 1 if self.boundary is None else 2

    @property
    def transformer(self) -> dict[str, Any]:
        """Arguments of diffusers' WanTransformer3DModel; what is not named keeps its default there."""
        names = ("num_attention_heads", "attention_head_dim", "ffn_dim", "num_layers", "text_dim", "freq_dim")
        given = {name: getattr(self, name) for name in names}
        return given | {"patch_size": self.patch_size, "in_channels": self.channels, "out_channels": self.channels}

    @property
    def block_parameters(self) -> int:
        """Of one block: 8 linears d x d, the feed-forward d x m and m x d, their biases, norms and 6 vectors.

        8 (d^2 + d) + 2 d m + m + d + 12 d
        """
        d, m = self.dim, self.ffn_dim
        return 8 * (d * d + d) + 2 * d * m + m + 13 * d

    @property
    def parameters(self) -> int:
        """Of one transformer: its blocks, and the patches, clock, text and output around them."""
        d, patch = self.dim, self.channels * math.prod(self.patch_size)
        clock = (self.freq_dim + 1) * d + (d + 1) * d + (d + 1) * 6 * d
        text = (self.text_dim + 1) * d + (d + 1) * d
        return self.num_layers * self.block_parameters + (patch + 1) * d + clock + text + (d + 1) * patch + 2 * d

    def tokens(self, size: tuple[int, int], frames: int) -> int:
        """Tokens of one video: latent frames times the patches of each.

        Args:
            size: height and width in pixels, multiples of stride times patch.
            frames: pixel frames, 1 + 4k.
        """
        latent = (1 + (frames - 1) // self.stride[0], size[0] // self.stride[1], size[1] // self.stride[2])
        return math.prod(n // p for n, p in zip(latent, self.patch_size, strict=True))

    def lora_parameters(self, rank: int) -> int:
        """Of an adapter on every linear of the blocks' attention and feed-forward: r (in + out) each.

        Args:
            rank: r >= 1.

        Source: the target modules of the released trainer of arXiv 2507.16116.
        """
        return self.num_layers * rank * (8 * 2 * self.dim + 2 * (self.dim + self.ffn_dim))


_14B: dict[str, Any] = {"num_attention_heads": 40, "ffn_dim": 13824, "num_layers": 40, "size": (720, 1280)}

WAN_CONFIGS: dict[str, WanConfig] = {
    "wan2.1-14b": WanConfig("Wan-AI/Wan2.1-T2V-14B-Diffusers", **_14B, shift=5.0, guidance=(5.0,)),
    "wan2.1-1.3b": WanConfig(
        "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        num_attention_heads=12,
        ffn_dim=8960,
        num_layers=30,
        size=(480, 832),
        shift=8.0,
        guidance=(6.0,),
    ),
    "wan2.2-a14b": WanConfig(
        "Wan-AI/Wan2.2-T2V-A14B-Diffusers", **_14B, shift=12.0, guidance=(4.0, 3.0), steps=40, boundary=0.875
    ),
    "wan2.2-5b": WanConfig(
        "Wan-AI/Wan2.2-TI2V-5B-Diffusers",
        num_attention_heads=24,
        ffn_dim=14336,
        num_layers=30,
        size=(704, 1280),
        shift=5.0,
        guidance=(5.0,),
        channels=48,
        stride=(4, 16, 16),
        frames=121,
        fps=24,
        codec_parameters=704_688_668,
        codec_flops=18.5e6,
        codec_bytes=21.5e3,
    ),
}
"""Name -> the published sizes; defaults from Wan's own repositories (README and wan/configs)."""
