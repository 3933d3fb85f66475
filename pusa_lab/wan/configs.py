"""Published Wan models that can take one timestep per frame: sizes and default settings, without diffusers."""

import math
from dataclasses import dataclass
from typing import Any

UMT5_PARAMETERS = 5_680_910_336
"""Parameters of the text encoder of every Wan, UMT5-XXL without its decoder."""


@dataclass(frozen=True)
class WanConfig:
    """Sizes of one published model and its default settings for sampling."""

    repo: str
    """Repository on the Hugging Face Hub."""
    num_attention_heads: int
    """Number of attention heads."""
    ffn_dim: int
    """Inner width of the feed-forward layer."""
    num_layers: int
    """Number of transformer blocks."""
    size: tuple[int, int]
    """Default height and width in pixels."""
    shift: float
    """Default shift of the sigmas in sampling."""
    guidance: tuple[float, ...]
    """Default scale of text guidance, one per expert."""
    steps: int = 50
    """Default number of sampling steps, without distillation."""
    channels: int = 16
    """Latent channels of input and output."""
    stride: tuple[int, int, int] = (4, 8, 8)
    """Pixels per latent along frames, height and width."""
    num_frames: int = 81
    """Default pixel frames, 1 + 4k."""
    fps: int = 16
    """Frames per second of its videos."""
    boundary: float | None = None
    """Timestep tau below which the second expert takes over; None if there is only one expert."""
    codec_parameters: int = 126_892_531
    """Parameters of the AutoencoderKLWan, encoder and decoder."""
    text_parameters: int = UMT5_PARAMETERS
    """Parameters of the text encoder."""
    codec_flops: float = 8.55e6
    """FLOPs to decode one pixel of one frame (counted by torch's FlopCounterMode, diffusers 0.42.1)."""
    codec_bytes: float = 19.5e3
    """Peak bytes of float32 activations in decoding, per pixel of a frame, without the video (counted on meta)."""
    attention_head_dim: int = 128
    """Width of a head."""
    text_dim: int = 4096
    """Width of the text encoder's output."""
    freq_dim: int = 256
    """Width of the sinusoidal embedding of a timestep."""
    patch_size: tuple[int, int, int] = (1, 2, 2)
    """Latents per token along frames, height and width."""

    @property
    def dim(self) -> int:
        """Width of a token."""
        return self.num_attention_heads * self.attention_head_dim

    @property
    def experts(self) -> int:
        """Number of transformers, which share the sampling steps."""
        return 1 if self.boundary is None else 2

    @property
    def transformer(self) -> dict[str, Any]:
        """Arguments of diffusers' WanTransformer3DModel; the others keep their defaults."""
        names = ("num_attention_heads", "attention_head_dim", "ffn_dim", "num_layers", "text_dim", "freq_dim")
        given = {name: getattr(self, name) for name in names}
        return given | {"patch_size": self.patch_size, "in_channels": self.channels, "out_channels": self.channels}

    @property
    def block_parameters(self) -> int:
        """Parameters of one block: 8 linears d x d, the feed-forward d x m and m x d, biases, norms and 6 vectors.

        8 (d^2 + d) + 2 d m + m + d + 12 d
        """
        d, m = self.dim, self.ffn_dim
        return 8 * (d * d + d) + 2 * d * m + m + 13 * d

    @property
    def large_parameters(self) -> int:
        """Weights of one block's layers that see every token, which precision="float8" multiplies in 8 bits.

        6 d^2 + 2 d m: all linears but keys and values of cross-attention
        """
        return 6 * self.dim * self.dim + 2 * self.dim * self.ffn_dim

    @property
    def parameters(self) -> int:
        """Parameters of one transformer: its blocks, patch, timestep and text embeddings, and the output layer."""
        d, patch = self.dim, self.channels * math.prod(self.patch_size)
        timestep = (self.freq_dim + 1) * d + (d + 1) * d + (d + 1) * 6 * d
        text = (self.text_dim + 1) * d + (d + 1) * d
        return self.num_layers * self.block_parameters + (patch + 1) * d + timestep + text + (d + 1) * patch + 2 * d

    def tokens(self, size: tuple[int, int], num_frames: int) -> int:
        """Return the number of tokens of one video: latent frames times patches per frame.

        Args:
            size: height and width in pixels, multiples of stride times patch.
            num_frames: pixel frames, 1 + 4k.
        """
        latent = (1 + (num_frames - 1) // self.stride[0], size[0] // self.stride[1], size[1] // self.stride[2])
        return math.prod(n // p for n, p in zip(latent, self.patch_size, strict=True))

    def lora_parameters(self, rank: int) -> int:
        """Return the parameters of a LoRA on every linear layer of attention and feed-forward: r (in + out) each.

        Args:
            rank: r, at least 1.

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
        num_frames=121,
        fps=24,
        codec_parameters=704_688_668,
        codec_flops=18.5e6,
        codec_bytes=21.5e3,
    ),
}
"""Name -> published sizes; the defaults are from Wan's own repositories (README and wan/configs)."""
