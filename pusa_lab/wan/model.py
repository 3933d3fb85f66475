"""Wan as a `VideoModel`, with the same interface as the toy models, so that `generate` and every task work with it."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import WanPipeline
from torch import Tensor, nn

from pusa_lab.arguments import checked
from pusa_lab.digests import weights_digest
from pusa_lab.resting import Kept
from pusa_lab.types import Clip, Cond, Geometry, Schedule, Schedules, Tau, Video
from pusa_lab.wan import latents
from pusa_lab.wan.caches import CachedSteps, check_caches
from pusa_lab.wan.checks import check_weights
from pusa_lab.wan.experts import ROLES, Single, by_expert, check_experts, read_experts
from pusa_lab.wan.fastest_attention import choose_attention
from pusa_lab.wan.folders import Folder, check_wan_folder, find_folder, with_weights
from pusa_lab.wan.loading import (
    SIZE,
    Paths,
    check_offload,
    find_device,
    folder_sizes,
    read_codec,
    read_text_encoder,
    require_room,
    sizes,
    with_strengths,
)
from pusa_lab.wan.lora import EXPERT, LoRAReport
from pusa_lab.wan.lora.adapters import unwrapped
from pusa_lab.wan.offloading import take_over
from pusa_lab.wan.precision import settle_precision
from pusa_lab.wan.prompts import CACHE, PromptEncoder
from pusa_lab.wan.resting import check_resting
from pusa_lab.wan.transformer import VTAWanTransformer3DModel

SHIFT = 5.0
"""Default shift of the sigmas in sampling, that of Pusa for every Wan; Wan's own schedulers use 3 to 12."""


@checked
class WanModel:
    """A text-to-video Wan with one timestep per frame.

    Args:
        transformer: text-to-video, compiled or not; becomes a `VTAWanTransformer3DModel` in place, without copying its
            weights.
        codec: diffusers' AutoencoderKLWan.
        prompts: encoder of captions: a `PromptEncoder`, or a function (captions) -> embeddings (b, n, d).
        low: the second expert of Wan2.2-A14B, for low noise; None for models with one transformer.
        boundary: timestep tau below which the second expert takes over.
        geometry: default sizes; None means 480 x 832 and Wan's default length. Assign `model.geometry` to change them.
        device: on which the model computes.
        offload: one of `loading.OFFLOADS`.

    Raises:
        ValueError: the model is image-to-video, a size is not a multiple of the codec's stride and the patch, or device
            or offload is unknown.
    """

    loras: list[list[LoRAReport]]
    """Reports of the LoRAs that `from_pretrained` loaded, for each expert."""
    folder: Folder | None = None
    """The folder that `from_pretrained` loaded, as it was checked."""

    def __init__(
        self,
        transformer: nn.Module,
        codec: nn.Module,
        prompts: Callable[..., Tensor],
        *,
        low: nn.Module | None = None,
        boundary: float = 0.875,
        geometry: Geometry | None = None,
        device: str | torch.device = "cpu",
        offload: str = "none",
    ):
        check_offload(offload)
        config = latents.codec_config(codec)
        given: Any = [t for t in (transformer, low) if t is not None]
        for role, expert in zip(ROLES, given, strict=False):
            VTAWanTransformer3DModel.adopt(unwrapped(expert))
            unwrapped(expert).__dict__[EXPERT] = role if len(given) == 2 else None
        self.codec: Any = codec
        self.prompts, self.boundary, self.offload = prompts, boundary, offload
        self.device = find_device(device)
        self.experts: list[Any] = [expert.eval() for expert in given]
        self._cached = CachedSteps()
        self.geometry = geometry or sizes(config, given[0].config, SHIFT)
        self.loras = [[] for _ in self.experts]
        if isinstance(prompts, PromptEncoder):
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
    def transformer(self) -> Any:
        """The `VTAWanTransformer3DModel`, possibly compiled; of two experts, the one for high noise."""
        return self.experts[0]

    @property
    def geometry(self) -> Geometry:
        """Default sizes; new ones are checked against codec and transformer when they are assigned."""
        return self._geometry

    @geometry.setter
    def geometry(self, new: Geometry) -> None:
        fits = sizes(
            self.codec.config, self.transformer.config, new.shift, new.size, 1 + (new.frames - 1) * new.stride[0]
        )
        if (fits.stride, fits.channels) != (tuple(new.stride), new.channels):
            raise ValueError(
                f"stride {new.stride} and {new.channels} channels for a codec of stride {fits.stride} and "
                f"{fits.channels}: change only size, frames, fps and shift, with dataclasses.replace."
            )
        self._geometry = new

    @checked
    def geometry_at(self, size: tuple[int, int]) -> Geometry:
        """The model's geometry with another height and width, which `generate` takes as its own arguments.

        Args:
            size: height and width in pixels.

        Raises:
            ValueError: they are not multiples of the codec's stride times the patch.
        """
        return replace(self.geometry, size=sizes(self.codec.config, self.transformer.config, size=size).size)

    @checked
    def to(self, device: str | torch.device) -> "WanModel":
        """Move codec and transformers to a device; a model that is offloaded moves its own parts.

        Args:
            device: such as "cuda" or "cpu".

        Returns:
            The same object.

        Raises:
            ValueError: the device does not exist, or the model is offloaded.
        """
        if self.offload != "none":
            raise ValueError(
                f"with offload={self.offload!r} the model moves its own parts: load it with offload='none'."
            )
        self.device = find_device(device)
        for part in (self.codec, *self.experts):
            part.to(self.device)
        return self

    @classmethod
    @checked
    def from_pipeline(
        cls,
        pipe: WanPipeline,
        *,
        geometry: Geometry | None = None,
        device: str | torch.device | None = None,
        offload: str | None = None,
        cache: str | Path | None = None,
    ) -> "WanModel":
        """Wrap a pipeline with its adapters and precisions; its transformers become VTA models in place.

        Args:
            pipe: a loaded WanPipeline, compiled or not. If it is offloaded, its hooks are taken off: use the model
                instead of it from then on.
            geometry: as for `WanModel`.
            device: None takes that on which the pipeline computes.
            offload: as for `WanModel`; None offloads as the pipeline does, group for what it moves in pieces.
            cache: folder for embeddings of captions; None keeps them in memory.

        Raises:
            ValueError: the pipeline lacks a part, a part is offloaded to the disk, or as for `WanModel`.
        """
        for name in ("transformer", "vae", "text_encoder", "tokenizer"):
            if getattr(pipe, name) is None:
                raise ValueError(f"the pipeline has no {name}: load it with all of its parts.")
        way, own = take_over(pipe)
        prompts = PromptEncoder(lambda: (pipe.tokenizer, pipe.text_encoder), weights_digest(pipe.text_encoder), cache)
        boundary, low = pipe.config.boundary_ratio or 0.875, pipe.transformer_2
        place: dict[str, Any] = {"geometry": geometry, "device": device or own or pipe.device}
        place["offload"] = way if offload is None else offload
        return cls(pipe.transformer, pipe.vae, prompts, low=low, boundary=boundary, **place)

    @classmethod
    @checked
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        lora: Paths = (),
        strength: float | Sequence[float] = 1.0,
        lora_low: Paths = (),
        strength_low: float | Sequence[float] = 1.0,
        merged: bool = True,
        transformer: Single = None,
        transformer_low: Single = None,
        dtype: torch.dtype | None = None,
        precision: str | None = None,
        attention: str | None = None,
        device: str | torch.device | None = None,
        offload: str = "none",
        size: tuple[int, int] = SIZE,
        num_frames: int | None = None,
        shift: float = SHIFT,
        cache: str | Path | None = CACHE,
    ) -> "WanModel":
        """Load a Wan in diffusers' layout; all files are checked before the weights are read.

        Args:
            source: a folder, or a repository such as Wan-AI/Wan2.1-T2V-14B-Diffusers.
            lora: LoRA file or files for the transformer; of two experts, for the one for high noise. A file with the
                LoRAs of both experts is split between them.
            strength: of all LoRA files, or a list with one per file; 1.4 in the paper's runs.
            lora_low: LoRA file or files for the expert for low noise.
            strength_low: as strength.
            merged: add LoRAs to the weights, so that they cost no time or memory; False leaves them attached.
            transformer: a .safetensors file with other weights of the transformer, in Wan's or diffusers' names, or a
                folder of one, or of several with their index, as `train_wan` writes all weights.
            transformer_low: the same for the expert for low noise.
            dtype: in which transformer and text encoder compute, one of `precision.DTYPES`; the codec stays in float32.
                None means bfloat16, or float16 on a GPU without bfloat16 (compute capability below 8, such as a T4).
            precision: "float8" multiplies 8-bit numbers in the transformer's large layers, of merged weights (less time
                and memory, with an error that `float8_errors` measures; Ada, Hopper or newer GPUs); "float8-storage"
                only stores weights in 8 bits (half the memory). Attached LoRAs compute in dtype.
            attention: native (PyTorch's choice; the default), cudnn, fa4 (FlashAttention 4, from Hopper on), a backend
                of diffusers, or auto, which times these three once on such a GPU, and is native on others.
            device: None takes the GPU if there is one.
            offload: one of `loading.OFFLOADS`.
            size: height and width in pixels.
            num_frames: pixel frames, 1 + 4k; None takes Wan's default.
            shift: default shift of the sigmas in sampling, above 0.
            cache: folder for embeddings of captions; None keeps them in memory.

        Raises:
            FileNotFoundError: a LoRA or weight file does not exist.
            ValueError: an argument is not valid, the folder or a file is incomplete or does not fit the model, or the
                GPU has too little memory.
        """
        device = find_device(device)
        check_offload(offload)
        given = [with_strengths(lora, strength), with_strengths(lora_low, strength_low)]
        folder = check_wan_folder(find_folder(source, weights=False), weights=False)
        dtype = settle_precision(precision, dtype, device, folder.config("transformer"))
        updates = by_expert(folder, given)
        singles = check_experts(folder, [transformer, transformer_low], updates)
        geometry = folder_sizes(folder, shift, size, num_frames)
        attention = choose_attention(attention, device, dtype, folder.config("transformer"), geometry)
        folder = with_weights(folder, find_folder(source))
        check_weights(folder)
        require_room(folder, dtype, device, offload, precision, any(updates))

        how: dict[str, Any] = {"dtype": dtype, "precision": precision, "attention": attention}
        how |= {"merged": merged, "device": device, "offload": offload}
        experts, loras = read_experts(folder, singles, updates, **how)
        identity = f"{folder.identity('text_encoder')} {dtype}"
        prompts = PromptEncoder(lambda: read_text_encoder(folder, dtype), identity, cache)
        boundary = folder.index.get("boundary_ratio") or 0.875
        place: dict[str, Any] = {"geometry": geometry, "device": device, "offload": offload}
        model = cls(experts[0], read_codec(folder), prompts, low=(*experts, None)[1], boundary=boundary, **place)
        model.loras, model.folder = loras, folder
        return model

    @checked
    def encode_text(self, prompts: list[str]) -> Cond:
        """Encode captions, or read their embeddings from the cache, as keyword arguments of the denoiser.

        Args:
            prompts: b captions; "" is the null prompt.

        Returns:
            text: (b, 512, d).
        """
        return {"text": self.prompts(prompts).to(self.device, self.transformer.dtype)}

    @checked
    @torch.no_grad()
    def encode_video(self, clip: Clip) -> Video:
        """Encode pixels to normalised latents.

        Args:
            clip: pixels (b, 3, 1 + 4k, h, w) in [-1, 1].
        """
        with self._use(self.codec):
            return latents.encode_clip(self.codec, clip).to(self.device)

    @checked
    @torch.no_grad()
    def decode(self, latents_: Video) -> Clip:
        """Decode normalised latents (b, c, f, h, w) to pixels in [-1, 1]."""
        with self._use(self.codec):
            return latents.decode_latents(self.codec, latents_)

    def init_decoder(self) -> Callable[[Video], Clip]:
        """A function that decodes a video in parts, the first latent frame first: together the pixels of `decode`."""
        return latents.latent_decoder(self.codec, self._use)

    @property
    def num_layers(self) -> int:
        """Blocks of the transformer, of which `skip_layers` leaves some out; as many in both experts."""
        return unwrapped(self.transformer).config.num_layers

    def check_resting(self, frames: int, size: tuple[int, int]) -> None:
        """Refuse to keep keys and values of so many frames at rest, of latents (h, w), where that cannot be done.

        Raises:
            ValueError: as `resting.check_resting` of each transformer.
        """
        for expert in self.experts:
            check_resting(expert, frames, size, self.device)

    def check_caches(self, schedule: Schedule | Schedules, renewed: Sequence[int] = ()) -> None:
        """Refuse a schedule that a cache of diffusers cannot serve: see `caches.check_caches`."""
        check_caches(self.experts, schedule, renewed)

    def begin_step(self, step: int | None) -> None:
        """Begin a step of a run, from 0; None ends it. Caches of diffusers need to know."""
        self._cached.begin(self.experts, step)

    @checked
    def experts_at(self, tau: Tau) -> list[int]:
        """The transformer that computes each sample: 1 is the second expert, for low noise.

        Frames that are generated have the highest tau and decide; known frames may be cleaner.

        Args:
            tau: timesteps (b, f) in [0, 1].
        """
        if len(self.experts) == 1:
            return [0] * len(tau)
        return (tau.amax(1) < self.boundary).long().tolist()

    @checked
    def __call__(
        self, x: Video, tau: Tau, text: Tensor, skip_layers: Sequence[int] = (), kept: Kept | None = None
    ) -> Video:
        """Return the velocity (b, c, f, h, w) in the type of x; it is computed in the type of the weights.

        Args:
            x: latents (b, c, f, h, w).
            tau: timesteps (b, f) in [0, 1].
            text: embeddings (b, n, d), from `encode_text`.
            skip_layers: blocks of the transformer to leave out, see `guidance.skip_layer_guidance`.
            kept: of frames at rest, see `pusa_lab.resting`.
        """
        more = {name: given for name, given in (("skip_layers", skip_layers), ("kept", kept)) if given}
        if len(self.experts) == 1:
            return self._ask(0, x, tau, text, more)
        low = torch.tensor(self.experts_at(tau), device=tau.device) == 1
        if (tau[~low] < self.boundary).any():
            warnings.warn(
                f"some frames have tau below {self.boundary} while the expert for high noise is in use, which never "
                "saw such noise levels in its pre-training: expect lower quality, or keep these frames at more noise.",
                stacklevel=2,
            )
        v = torch.empty_like(x)
        for expert, rows in enumerate((~low, low)):
            if rows.any():
                v[rows] = self._ask(expert, x[rows], tau[rows], text[rows], more)
        return v

    def _ask(self, number: int, x: Video, tau: Tau, text: Tensor, more: dict[str, Any]) -> Video:
        expert = self.experts[number]
        if self.offload == "model":
            for other in self.experts:
                other.to(self.device if other is expert else "cpu")
        with self._cached.call(expert):
            v = expert(x.to(text.dtype), 1000 * tau.float(), text, return_dict=False, **more)[0]
        return v.to(x.dtype)

    @contextmanager
    def _use(self, part: nn.Module) -> Iterator[None]:
        """Context manager that moves the codec or text encoder to the device; with offloading, it is alone there."""
        for expert in self.experts if self.offload == "model" else ():
            expert.to("cpu")
        part.to(self.device)
        try:
            yield
        finally:
            if self.offload != "none":
                part.to("cpu")
