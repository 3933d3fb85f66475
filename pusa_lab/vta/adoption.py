"""Which transformers can be given one timestep per frame, and what to do with those that cannot."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from pusa_lab.arguments import checked
from pusa_lab.types import Tau

ADOPTED = {
    "WanTransformer3DModel": ("pusa_lab.wan.transformer", "VTAWanTransformer3DModel"),
    "LTXVideoTransformer3DModel": ("pusa_lab.vta.ltx", "VTALTXTransformer3DModel"),
    "SkyReelsV2Transformer3DModel": ("pusa_lab.vta.skyreels", "VTASkyReelsTransformer3DModel"),
}
"""diffusers' class -> module and name of the class with one timestep per frame."""


@checked
def adopt(transformer: nn.Module) -> nn.Module:
    """Give a loaded transformer of diffusers one timestep per frame, in place and without copying its weights.

    Args:
        transformer: a WanTransformer3DModel, LTXVideoTransformer3DModel or SkyReelsV2Transformer3DModel, before
            offloading, caching or compilation.

    Returns:
        The same object, whose forward also takes timesteps (b, f).

    Raises:
        ValueError: the model is of another kind, cannot have one timestep per frame, or has hooks.

    Source: Sec. 2.3, arXiv 2507.16116.
    """
    name = type(transformer).__name__
    if name not in ADOPTED:
        raise ValueError(f"a {name} cannot be adopted: give one of diffusers' {', '.join(ADOPTED)}.")
    module, own = ADOPTED[name]
    kind: Any = getattr(import_module(module), own)
    return kind.adopt(transformer)


@checked
def shared_timestep(tau: Tau) -> Float[Tensor, " b"]:
    """Return the timestep that all frames of each sample share, for a model that takes only one.

    Args:
        tau: timesteps (b, f) in [0, 1], equal within each sample.

    Returns:
        Timesteps (b,).

    Raises:
        ValueError: the frames of a sample have different timesteps.
    """
    if tau.shape[1] == 0 or (tau != tau[:, :1]).any():
        raise ValueError(
            "tau differs between the frames, but this model takes one timestep for all of them: use the synchronous "
            "schedule, and keep known frames with noise=1.0, mode='replacement'."
        )
    return tau[:, 0].contiguous()


@checked
def check_frames_apart(config: Mapping[str, Any]) -> None:
    """Refuse a transformer whose frames cannot have timesteps of their own.

    Args:
        config: of the transformer, with diffusers' names.

    Raises:
        ValueError: the model takes a picture beside the latents, a patch spans several frames, or the config is of
            another model.
    """
    if missing := [name for name in ("in_channels", "out_channels", "patch_size") if name not in config]:
        raise ValueError(f"the config has no {missing[0]}: give that of a transformer of diffusers.")
    given, made = config["in_channels"], config["out_channels"]
    if given != made or config.get("image_dim") is not None:
        raise ValueError(
            f"this is an image-to-video model ({given} input channels for {made} latent channels): give the "
            "text-to-video or diffusion-forcing model, which needs no picture input for these tasks."
        )
    patch = config.get("patch_size_t") or config["patch_size"]
    frames = patch[0] if isinstance(patch, list | tuple) else patch
    if frames != 1:
        raise ValueError(f"a patch spans {frames} latent frames: it must span one, so that each frame has a timestep.")
