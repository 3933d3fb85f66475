"""Wan as a `VideoModel`: the same five calls as the toy, so `generate` and every task run on it unchanged."""

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, WanPipeline, WanTransformer3DModel
from torch import Tensor, nn

from pusa_lab.types import Clip, Cond, Geometry, Tau, Video
from pusa_lab.wan import latents
from pusa_lab.wan.folders import check, find
from pusa_lab.wan.loading import (
    SIZE,
    Paths,
    check_offload,
    folder_sizes,
    read_codec,
    read_text_encoder,
    read_transformer,
    require_room,
    shift_of,
    sizes,
    with_strengths,
)
from pusa_lab.wan.lora import load_lora
from pusa_lab.wan.prompts import CACHE, PromptEncoder
from pusa_lab.wan.transformer import VTAWanTransformer3DModel, check_text_to_video


class WanModel:
    """A text-to-video Wan with one clock per frame.

    Args:
        transformer: text-to-video; becomes a `VTAWanTransformer3DModel`, its weights are not copied.
        codec: diffusers' AutoencoderKLWan.
        prompts: reads captions.
        low: the second expert of Wan2.2-A14B, for low noise; None for the others.
        boundary: clock below which it takes over.
        geometry: default sizes; None is 480 x 832 and Wan's usual length.
        device: where it computes.
        offload: one of `OFFLOADS`.

    Raises:
        ValueError: an image-to-video model, or sizes that do not divide.
    """

    def __init__(
        self,
        transformer: WanTransformer3DModel,
        codec: AutoencoderKLWan,
        prompts: PromptEncoder,
        *,
        low: WanTransformer3DModel | None = None,
        boundary: float = 0.875,
        geometry: Geometry | None = None,
        device: str | torch.device = "cpu",
        offload: str = "none",
    ):
        check_offload(offload)
        self.codec, self.prompts, self.boundary, self.offload = codec, prompts, boundary, offload
        self.device = torch.device(device)
        self.experts = [VTAWanTransformer3DModel.adopt(t).eval() for t in (transformer, low) if t is not None]
        self.geometry = geometry or sizes(codec.config, transformer.config)
        prompts.use = self._use
        for part in (codec, *self.experts) if offload == "none" else ():
            part.to(self.device)
        for expert in self.experts if offload == "group" else ():
            expert.enable_group_offload(
                onload_device=self.device,
                offload_device=torch.device("cpu"),
                offload_type="block_level",
                num_blocks_per_group=1,
                use_stream=self.device.type == "cuda",
            )

    @property
    def transformer(self) -> VTAWanTransformer3DModel:
        """The transformer; of two experts the one for high noise."""
        return self.experts[0]

    @classmethod
    def from_pipeline(cls, pipe: WanPipeline, *, cache: Path | None = None, **options: Any) -> "WanModel":
        """Wrap a pipeline, with its adapters and precisions; its transformers become VTA models in place.

        Args:
            pipe: a loaded WanPipeline, before offloading.
            cache: folder for encoded captions; None keeps them in memory.
            **options: as the class: geometry, device, offload; device None is the pipeline's.
        """
        prompts = PromptEncoder(lambda: (pipe.tokenizer, pipe.text_encoder), _fingerprint(pipe.text_encoder), cache)
        geometry = sizes(pipe.vae.config, pipe.transformer.config, shift_of(pipe.scheduler.config))
        boundary = pipe.config.boundary_ratio or 0.875
        options = {"geometry": geometry, "device": pipe.device, "boundary": boundary, **options}
        return cls(pipe.transformer, pipe.vae, prompts, low=pipe.transformer_2, **options)

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        lora: Paths = (),
        strength: float | Sequence[float] = 1.0,
        lora_low: Paths = (),
        strength_low: float | Sequence[float] = 1.0,
        transformer: str | Path | None = None,
        dtype: torch.dtype = torch.bfloat16,
        device: str | torch.device | None = None,
        offload: str = "none",
        size: tuple[int, int] = SIZE,
        frames: int | None = None,
        cache: Path | None = CACHE,
    ) -> "WanModel":
        """Load a Wan in diffusers' layout; everything is checked before the weights are read.

        Args:
            source: a folder, or a repository such as Wan-AI/Wan2.1-T2V-14B-Diffusers.
            lora: file or files put on the transformer, on the high-noise expert where there are two.
            strength: of each; 1.4 in the paper's runs.
            lora_low: file or files for the low-noise expert.
            strength_low: of each.
            transformer: a single .safetensors with the transformer's weights, in Wan's or diffusers' names.
            dtype: of transformer and text encoder; the codec stays in float32.
            device: None is the GPU if there is one.
            offload: one of `OFFLOADS`.
            size: height and width in pixels.
            frames: pixel frames, 1 + 4k; None is Wan's own.
            cache: folder for encoded captions; None keeps them in memory.

        Raises:
            ValueError: with one sentence on what was received and what to do.
        """
        device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        check_offload(offload)
        folder = check(find(source))
        for name in folder.experts:
            check_text_to_video({"image_dim": None, **folder.config(name)})
        updates = [with_strengths(lora, strength), with_strengths(lora_low, strength_low)]
        if updates[1] and len(folder.experts) == 1:
            raise ValueError(f"{folder.path} has one transformer: give its update as lora=, not lora_low=.")
        geometry = folder_sizes(folder, size, frames)
        require_room(folder, dtype, device, offload)

        experts = [read_transformer(folder, name, dtype, transformer) for name in folder.experts]
        for expert, pairs in zip(experts, updates, strict=False):
            for path, scale in pairs:
                load_lora(expert, path, strength=scale)
        identity = f"{folder.identity('text_encoder')} {dtype}"
        prompts = PromptEncoder(lambda: read_text_encoder(folder, dtype), identity, cache)
        options: dict[str, Any] = {"geometry": geometry, "device": device, "offload": offload}
        boundary = folder.index.get("boundary_ratio") or 0.875
        return cls(experts[0], read_codec(folder), prompts, low=(*experts, None)[1], boundary=boundary, **options)

    def encode_text(self, prompts: list[str]) -> Cond:
        """Captions to the denoiser's keyword arguments, from the cache where they are in it."""
        return {"text": self.prompts(prompts).to(self.device, self.transformer.dtype)}

    @torch.no_grad()
    def encode_video(self, clip: Clip) -> Video:
        """Pixels (b, 3, 1 + 4k, h, w) in [-1, 1] to normalised latents."""
        with self._use(self.codec):
            return latents.encode(self.codec, clip).to(self.device)

    @torch.no_grad()
    def decode(self, latents_: Video) -> Clip:
        """Normalised latents to pixels in [-1, 1]."""
        for expert in self.experts if self.offload == "model" else ():
            expert.to("cpu")
        with self._use(self.codec):
            return latents.decode(self.codec, latents_)

    def __call__(self, x: Video, tau: Tau, text: Tensor) -> Video:
        """The velocity, one clock per frame, computed in the weights' precision and returned in x's.

        Args:
            x: latents (b, c, f, h, w).
            tau: clocks (b, f) in [0, 1].
            text: from `encode_text`.
        """
        if len(self.experts) == 1:
            return self._ask(0, x, tau, text)
        # What is being generated carries the highest clock; frames kept cleaner do not decide.
        low = tau.amax(1) < self.boundary
        if (tau[~low] < self.boundary).any():
            warnings.warn(
                f"some frames' clocks are below {self.boundary} where the expert for high noise is at work, which it "
                "never saw in its pre-training: expect less of them, or keep them at more noise.",
                stacklevel=2,
            )
        v = torch.empty_like(x)
        for expert, rows in enumerate((~low, low)):
            if rows.any():
                v[rows] = self._ask(expert, x[rows], tau[rows], text[rows])
        return v

    def _ask(self, number: int, x: Video, tau: Tau, text: Tensor) -> Video:
        expert = self.experts[number]
        if self.offload == "model":
            for other in self.experts:
                other.to(self.device if other is expert else "cpu")
        v = expert(x.to(text.dtype), 1000 * tau.float(), text, return_dict=False)[0]
        return v.to(x.dtype)

    @contextmanager
    def _use(self, part: nn.Module) -> Iterator[None]:
        """The codec or the text encoder on the device, where it need not stay."""
        part.to(self.device)
        yield
        if self.offload != "none":
            part.to("cpu")


def _fingerprint(encoder: nn.Module) -> str:
    """Of some of the weights, which tell one encoder from another."""
    rows = [p.detach().flatten()[:64].float().cpu() for p in list(encoder.parameters())[::8]]
    return hashlib.sha256(torch.cat(rows).numpy().tobytes()).hexdigest()[:16]
