"""FLOPs, seconds and bytes of sampling by closed formulas, whose constants were measured."""

from functools import cache
from statistics import mean

from pusa_lab.arguments import checked
from pusa_lab.planning import measured
from pusa_lab.planning.measured import Measured
from pusa_lab.planning.settings import Settings
from pusa_lab.wan.configs import WanConfig

GIB = 2**30
TEXT_TOKENS = 512
"""Tokens of a caption, padded."""
TEXT_BYTES = 0.65 * GIB / 4096
"""What a text encoder works with, for each number of its width (UMT5-XXL in wan_end_to_end.json)."""
HOST_BYTES = 20e9
"""Bytes a second between host and GPU: assumed, what pinned memory reaches on PCIe 4 x 16."""
FLOAT8_SPEED = 1.5
"""How much faster frozen products are in 8 bits: from two pairs of rows of wan_train.json."""
CODEC_EFFICIENCY = 0.1
"""Share of the peak that the codec's convolutions reach in float32: assumed."""


@checked
def flops(
    config: WanConfig, tokens: int, *, batch: int = 1, timesteps: int = 1, text_tokens: int = TEXT_TOKENS
) -> dict[str, float]:
    """Floating point operations of one forward, a multiply-add counted as two; norms and softmax are left out.

    With N tokens, M text tokens, F timesteps, L layers, d wide, m in the feed-forward, p latents a patch, sinusoids s
    wide and text t wide, for each sample:
    linear = 2 N (L (6 d^2 + 2 d m) + 2 p d) + 2 M (t d + d^2 + 2 L d^2) + 2 F (s d + 7 d^2)
    self-attention = 4 L N^2 d
    cross-attention = 4 L N M d

    Args:
        config: the transformer's sizes.
        tokens: N, of one video.
        batch: videos.
        timesteps: F, 1 or latent frames.
        text_tokens: M.
    """
    d, layers = config.dim, config.num_layers
    patch = config.channels * config.patch_size[0] * config.patch_size[1] * config.patch_size[2]
    linear = 2 * tokens * (layers * (6 * d * d + 2 * d * config.ffn_dim) + 2 * patch * d)
    linear += 2 * text_tokens * (config.text_dim * d + d * d + 2 * layers * d * d)
    linear += 2 * timesteps * (config.freq_dim * d + 7 * d * d)
    attention = 4 * layers * tokens * d
    parts = {"linear": linear, "self-attention": attention * tokens, "cross-attention": attention * text_tokens}
    return {name: float(batch * n) for name, n in parts.items()}


@checked
def forward_flops(s: Settings) -> dict[str, float]:
    """`flops` of what was asked, one timestep per frame; with a LoRA also 2 N (r in + r out) for all its layers.

    Args:
        s: settings.
    """
    timesteps = 1 + (s.num_frames - 1) // s.config.stride[0]
    batch = s.num_videos or s.micro_batch_size or 1
    parts = flops(s.config, s.tokens // batch, batch=batch, timesteps=timesteps)
    return parts | ({"LoRA": 2.0 * s.tokens * s.lora_parameters} if s.lora_rank else {})


@checked
def efficiency(gpu: str, compiled: bool) -> float:
    """Share of the peak that a forward reaches: the mean of the rows measured on this GPU, else of all rows.

    Args:
        gpu: name in GPUS.
        compiled: whether the blocks are.
    """
    rows = _forwards(compiled)
    return _mean_efficiency(tuple(row for row in rows if row.settings.gpu == gpu) or rows)


@checked
def activation_bytes(s: Settings) -> float:
    """Peak of a forward beyond the weights, in bytes: measured over counted, times counted.

    Args:
        s: settings of sampling.
    """
    return forward_bytes(s) * _activations_over_counted(_forwards(s.compiled))


@checked
def forward_bytes(s: Settings) -> float:
    """Bytes of the tensors of a forward that are alive together at the most.

    Counted in bfloat16 numbers a token: 11 d where a gate is added in float32, or 4 d + 2 m inside the feed-forward,
    where a LoRA adds another m.

    Args:
        s: settings.
    """
    d, m = s.config.dim, s.config.ffn_dim
    return 2.0 * s.tokens * max(11 * d, 4 * d + (3 if s.lora_rank else 2) * m)


@checked
def sampling_seconds(s: Settings) -> dict[str, float]:
    """Seconds of captions, one forward, decoding, and moving weights between host and GPU.

    Reading weights from disk and compiling are not counted.

    Args:
        s: settings of sampling.
    """
    c, rate = s.config, s.card.tflops * 1e12
    useful = rate * efficiency(s.gpu, s.compiled)
    work = forward_flops(s)
    if s.precision == "float8":
        work["linear"] /= FLOAT8_SPEED
    forward = sum(work.values()) / useful
    if s.offload == "group":
        forward = max(forward, s.transformer_bytes / HOST_BYTES)
    text = 0 if s.cached_prompts else 2 * c.text_parameters
    moved = text + 4 * c.codec_parameters + (s.transformer_bytes * c.experts if s.offload == "model" else 0)
    videos = s.num_videos or 1
    return {
        "text": videos * (1 if s.guidance == 1 else 2) * text * TEXT_TOKENS / useful,
        "forward": forward,
        "decoding": videos * s.num_frames * s.size[0] * s.size[1] * c.codec_flops / (rate * CODEC_EFFICIENCY),
        "moving": 0.0 if s.offload == "none" else moved / HOST_BYTES,
    }


@checked
def sampling_bytes(s: Settings) -> dict[str, dict[str, float]]:
    """Bytes on one GPU, by stage and part.

    Args:
        s: settings of sampling.
    """
    c = s.config
    videos, frame = s.num_videos or 1, s.size[0] * s.size[1]
    adapter = {"LoRA": 2.0 * s.lora_parameters} if s.lora_rank else {}
    transformer = {"transformer": float(s.transformer_bytes)} | adapter
    if s.offload == "none":
        transformer = {name: n * c.experts for name, n in transformer.items()}
    elif s.offload == "group":
        transformer["transformer"] -= (c.num_layers - 2) * s.block_bytes
    stages = {
        "encoding text": ({"text encoder": 2.0 * c.text_parameters}, TEXT_BYTES * c.text_dim),
        "denoising": (transformer, activation_bytes(s)),
        # and the video so far: 3 colours in float32
        "decoding": ({"codec": 4.0 * c.codec_parameters}, videos * frame * (c.codec_bytes + 12.0 * s.num_frames)),
    }
    if s.cached_prompts:
        del stages["encoding text"]
    everything = {name: n for weights, _ in stages.values() for name, n in weights.items()}
    return {
        stage: {**(everything if s.offload == "none" else weights), "activations": work}
        for stage, (weights, work) in stages.items()
    }


def _forwards(compiled: bool) -> tuple[Measured, ...]:
    """Forwards of the transformer alone, in 16 bits and with PyTorch's attention."""
    rows = (row for row in measured.MEASURED if row.given.get("offload") == "model" and "attention" not in row.given)
    return tuple(row for row in rows if row.settings.compiled == compiled and row.settings.precision is None)


@cache
def _mean_efficiency(rows: tuple[Measured, ...]) -> float:
    done = ((row, sum(forward_flops(row.settings).values()) / row.seconds["forward"]) for row in rows)
    return mean(each / (row.settings.card.tflops * 1e12) for row, each in done)


@cache
def _activations_over_counted(rows: tuple[Measured, ...]) -> float:
    peaks = sum(row.peaks["denoising"] * GIB - 2 * row.settings.config.parameters for row in rows)
    return peaks / sum(forward_bytes(row.settings) for row in rows)
