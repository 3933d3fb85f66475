"""FLOPs, seconds and GiB of one transformer and what stands around it: closed formulas, calibrated on `MEASURED`."""

from statistics import mean

from pusa_lab.arguments import checked
from pusa_lab.wan.configs import UMT5_PARAMETERS, WAN_CONFIGS, WanConfig
from pusa_lab.wan.plan_settings import Settings
from pusa_lab.wan.plan_tables import DTYPES, GPUS, MEASURED, Measurement

GIB = 2**30
WORDS = 512
"""Tokens of a caption, padded."""
HOST_BYTES = 20e9
"""Bytes a second between host and GPU: assumed, what pinned memory reaches on PCIe 4 x 16."""
CODEC_EFFICIENCY = 0.1
"""Share of the peak that the codec's convolutions reach in float32: assumed."""
BUCKETS = 2 * 5e8 * 2
"""Bytes in which ZeRO-2 exchanges gradients and weights: DeepSpeed's default, two of 5e8 bfloat16 numbers."""


@checked
def flops(config: WanConfig, tokens: int, *, batch: int = 1, clocks: int = 1, words: int = WORDS) -> dict[str, float]:
    """Floating point operations of one forward, a multiply-add counted as two; norms and softmax are left out.

    With N tokens, M words, F clocks, L layers, d wide, m in the feed-forward, p latents a patch, s wide sinusoids and
    t wide text, for each sample:
    linear = 2 N (L (6 d^2 + 2 d m) + 2 p d) + 2 M (t d + d^2 + 2 L d^2) + 2 F (s d + 7 d^2)
    self-attention = 4 L N^2 d
    cross-attention = 4 L N M d

    Args:
        config: the transformer's sizes.
        tokens: N, of one video.
        batch: videos.
        clocks: F, 1 or latent frames.
        words: M.
    """
    d, layers = config.dim, config.num_layers
    patch = config.channels * config.patch_size[0] * config.patch_size[1] * config.patch_size[2]
    linear = 2 * tokens * (layers * (6 * d * d + 2 * d * config.ffn_dim) + 2 * patch * d)
    linear += 2 * words * (config.text_dim * d + d * d + 2 * layers * d * d)
    linear += 2 * clocks * (config.freq_dim * d + 7 * d * d)
    attention = 4 * layers * tokens * d
    parts = {"linear": linear, "self-attention": attention * tokens, "cross-attention": attention * words}
    return {name: float(batch * n) for name, n in parts.items()}


@checked
def forward_flops(s: Settings) -> dict[str, float]:
    """`flops` of what was asked, one clock per frame.

    Args:
        s: settings.
    """
    clocks = 1 + (s.frames - 1) // s.config.stride[0]
    return flops(s.config, s.tokens // s.batch, batch=s.batch, clocks=clocks)


@checked
def efficiency(gpu: str, compiled: bool) -> float:
    """Share of the peak that a forward reaches: the mean of the rows measured on this GPU, else of all rows.

    Args:
        gpu: name in GPUS.
        compiled: whether the blocks are.
    """
    rows = _rows(compiled)
    return mean(
        sum(flops(WAN_CONFIGS[m.model], _tokens(m)).values()) / (m.seconds * GPUS[m.gpu].tflops * 1e12)
        for m in [m for m in rows if m.gpu == gpu] or rows
    )


@checked
def activation_bytes(config: WanConfig, tokens: int, compiled: bool) -> float:
    """Peak of a forward beyond the weights, in bytes: measured over counted, times counted.

    Counted in bfloat16 numbers a token: 11 d where a gate is added in float32, or 4 d + 2 m inside the feed-forward.

    Args:
        config: the transformer's sizes.
        tokens: of all videos of a batch.
        compiled: whether the blocks are.
    """
    rows = [(m, WAN_CONFIGS[m.model]) for m in _rows(compiled)]
    measured = sum(m.peak * GIB - 2 * known.parameters for m, known in rows)
    return _counted(config, tokens) * measured / sum(_counted(known, _tokens(m)) for m, known in rows)


@checked
def training_bytes(config: WanConfig, tokens: int, rank: int = 0) -> float:
    """Peak of activations while one block is recomputed and differentiated, in bytes, blocks' inputs apart.

    Counted (eager, bfloat16 numbers a token): 24.5 d + 3.6 m + 10 r for a LoRA; 38 d + 2.5 m with all weights, where
    the gradients of the six vectors keep float32 tensors.

    Args:
        config: the transformer's sizes.
        tokens: of all videos of a batch.
        rank: r of the LoRA; 0 trains all weights.
    """
    d, m = config.dim, config.ffn_dim
    return 2 * tokens * (24.5 * d + 3.6 * m + 10 * rank if rank else 38 * d + 2.5 * m)


@checked
def stages(s: Settings) -> dict[str, dict[str, float]]:
    """GiB on one GPU, by stage and part.

    Args:
        s: settings.
    """
    c = s.config
    if s.mode != "sample":
        return {"training": {name: n / GIB for name, n in _training(s).items()}}
    size, frame = DTYPES[s.dtype], s.size[0] * s.size[1]
    weights = {"text encoder": 2 * UMT5_PARAMETERS, "transformer": size * c.parameters, "codec": 4 * c.codec_parameters}
    if s.cached_prompts:
        del weights["text encoder"]
    if s.offload == "none":
        weights["transformer"] *= c.experts
    elif s.offload == "group":
        weights["transformer"] -= size * (c.num_layers - 2) * c.block_parameters
    work = {
        "text encoder": 0.0,
        "transformer": activation_bytes(c, s.tokens, s.compiled),
        "codec": s.batch * frame * (c.codec_bytes + 12 * s.frames),  # and the video so far: 3 colours in float32
    }
    names = {"text encoder": "encoding text", "transformer": "denoising", "codec": "decoding"}
    found = {}
    for part in weights:
        held = weights if s.offload == "none" else {part: weights[part]}
        found[names[part]] = {k: n / GIB for k, n in {**held, "activations": work[part]}.items()}
    return found


@checked
def seconds(s: Settings) -> dict[str, float]:
    """Seconds by part; reading weights from disk and compiling are not counted.

    A training step computes forward, again (checkpointing) and backward: linear layers 4 times a forward, or 3 where
    frozen, attention 4.5 times; each LoRA number 8 times a token.

    Args:
        s: settings.
    """
    c, rate = s.config, s.card.tflops * 1e12
    useful = rate * efficiency(s.gpu, s.compiled)
    work = forward_flops(s)
    weights = DTYPES[s.dtype] * c.parameters
    forward = sum(work.values()) / useful
    if s.mode != "sample":
        attention = 4.5 * (work["self-attention"] + work["cross-attention"])
        adapter = 8 * s.tokens * c.lora_parameters(s.rank or 0) if s.mode == "lora" else work["linear"]
        step = (3 * work["linear"] + adapter + attention) / useful
        if s.offload == "checkpoints":
            step = max(step, 2 * _checkpoints(s) / HOST_BYTES)
        return {"forward": forward, "step": step, "total": s.calls * step}
    if s.offload == "group":
        forward = max(forward, weights / HOST_BYTES)
    text = 0 if s.cached_prompts else 2 * UMT5_PARAMETERS
    moved = text + 4 * c.codec_parameters + (weights * c.experts if s.offload == "model" else 0)
    pixels = s.batch * s.frames * s.size[0] * s.size[1]
    parts = {
        "text": s.batch * (1 if s.guidance == 1 else 2) * text * WORDS / useful,
        "denoising": s.calls * forward,
        "decoding": pixels * c.codec_flops / (rate * CODEC_EFFICIENCY),
        "moving": 0.0 if s.offload == "none" else moved / HOST_BYTES,
    }
    return {"forward": forward, **parts, "total": sum(parts.values())}


def _training(s: Settings) -> dict[str, float]:
    """Bytes: LoRA weights, gradients and AdamW's moments in float32; all weights in 16 bits with a float32 copy."""
    c = s.config
    parts = {"transformer": float(DTYPES[s.dtype] * c.parameters)}
    if s.mode == "lora":
        parts["LoRA"] = 4.0 * c.lora_parameters(s.rank or 0)
        parts["gradients"], parts["optimizer"] = parts["LoRA"] / s.gpus, 2 * parts["LoRA"] / s.gpus
    else:
        parts["gradients"], parts["optimizer"] = 2 * c.parameters / s.gpus, 12 * c.parameters / s.gpus
    if s.gpus > 1:
        parts["buckets"] = BUCKETS
    if s.offload == "none":
        parts["checkpoints"] = _checkpoints(s)
    parts["activations"] = training_bytes(c, s.tokens, s.rank or 0)
    return parts


def _checkpoints(s: Settings) -> float:
    return 2.0 * s.config.num_layers * s.tokens * s.config.dim


def _counted(config: WanConfig, tokens: int) -> float:
    return 2.0 * tokens * max(11 * config.dim, 4 * config.dim + 2 * config.ffn_dim)


def _rows(compiled: bool) -> list[Measurement]:
    return [m for m in MEASURED if m.variant == ("per frame, compiled" if compiled else "per frame")]


def _tokens(m: Measurement) -> int:
    return WAN_CONFIGS[m.model].tokens(m.size, m.frames)
