"""Adaptations of the base, trained once and measured on the way: at several budgets of one run."""

import fcntl
import json
import re
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.files import digest, writing
from pusa_lab.schedules.timestep_samplers import TimestepSampler, shared
from pusa_lab.sweeps.identity import digest_of
from pusa_lab.types import Tau
from small_models.experiments.held_out import trained_on
from small_models.experiments.lab import Lab, made_with
from small_models.models import zoo
from small_models.models.flow_map import FlowMapToy
from small_models.models.i2v import NEW_LAYERS, ImageToVideo
from small_models.models.lora import merge_update
from small_models.models.toy import ToyModel
from small_models.world import WORLDS

if TYPE_CHECKING:  # Lightning takes seconds to import, and reading results needs none of it
    from pusa_lab.training import InMemoryDataset, TrainConfig


@checked
@dataclass(frozen=True)
class Adaptation:
    """One way on from the base. The rate stays constant, as in the paper, so every budget is a stop on one run."""

    way: str = "vta"
    """vta; i2v: Wan's own way, with the picture as further input; or map: a flow map, see `pusa_lab.flow_maps`."""
    rank: int = 0
    """Rank of the LoRA; 0 trains all weights."""
    timestep_sampler: str = "independent"
    """A name in TIMESTEP_SAMPLERS."""
    p_async: float = 1.0
    """When timestep_sampler is mixed."""
    shift: float = 5.0
    """Shift of the sampled timesteps."""
    variant: Literal["lora", "rslora", "dora"] = "lora"
    """Variant of the LoRA, as `training.add_lora` takes it."""
    alpha: float | None = None
    """Scale of the LoRA's update, as `training.add_lora` takes it; None is the rank."""
    lr: float = 0.0
    """Learning rate; 0 is the shipped recipe's for a LoRA, 2e-3, and half of it for all weights."""
    ema: float = 0.999
    """Decay of the averaged weights; 0 averages nothing."""
    weight: str = "uniform"
    """Weight of each frame's loss, a name in losses.WEIGHTS. The paper counts frames at 0, and free_frames does not."""
    causal: int = 0
    """Frames of a block, `TrainConfig.causal`; 0 sees both ways."""
    history: str = "none"
    """What is shown of the past, a name in training.HISTORIES; none shows the frames as they are."""
    clean: tuple[int, ...] = ()
    """Latent frames always at 0 while all others share one timestep: a specialist of one task."""
    given: int = 1
    """Latent frames that Wan's own way is given as further input."""
    held_out: bool = False
    """Whether the combinations of `experiments.held_out` are left out of the training clips; the base saw them all."""
    seed: int = 0
    """Seed of training, added to that of the sizes."""

    def config(self, steps: int, batch: int, device: str, seed: int = 0) -> "TrainConfig":
        """The configuration of its training.

        Args:
            steps: of the optimizer.
            batch: clips per step.
            device: compiled on a GPU only, and not with a mask or for a flow map, where a step calls the model several
                times: so long a graph compiles for longer than a short training lasts.
            seed: of the sizes.
        """
        from pusa_lab.training import TrainConfig

        is_compiled = device == "cuda" and not self.causal and self.way != "map"
        return TrainConfig(
            max_steps=steps,
            global_batch_size=batch,
            lr=self.lr or (2e-3 if self.rank else 1e-3),
            lr_scheduler="constant",
            warmup=min(20, steps),
            ema=self.ema,
            timestep_sampler=f"{__name__}:keep_frames_clean(at={self.clean})" if self.clean else self.timestep_sampler,
            p_async=self.p_async,
            shift=self.shift,
            weight=self.weight,
            causal=self.causal,
            history=self.history,
            lora_rank=self.rank,
            compile="reduce-overhead" if is_compiled else "",
            seed=seed + self.seed,
        )


@checked
class ToyTrainer:
    """Trains adaptations and puts their weights together again; models, data and weights are kept between tables.

    Args:
        lab: models and sizes.
        wait: whether another process trains the same runs into the same folder, so that this one only waits for them.
    """

    def __init__(self, lab: Lab, wait: bool = False):
        self.lab, self.wait = lab, wait
        self.base = zoo.find_checkpoint(f"{lab.sizes.preset}-base")
        self.ready: dict[Any, tuple[ToyModel, dict[str, Tensor]]] = {}
        self.fresh: dict[str, tuple[ToyModel, dict[str, Tensor]]] = {}
        self.dataset: InMemoryDataset | None = None

    def steps(self, share: float) -> int:
        """Optimizer steps of this share of the base's training, counted in clips.

        Args:
            share: of the base's clips.
        """
        from small_models.training.recipes import RECIPES

        config = RECIPES[self.lab.sizes.preset, "base"].config
        return max(1, round(share * config.max_steps * config.global_batch_size / self.lab.sizes.batch))

    def updates(self, adaptation: Adaptation, shares: Sequence[float]) -> list[dict[str, Tensor]]:
        """The (averaged) weights of a run at these shares of the base's training; trained if they are not there.

        Args:
            adaptation: how.
            shares: of the base's clips, ascending.

        Returns:
            For each: low-rank factors, whole new layers, and for all weights their changes.
        """
        if not self.lab.sizes.train:
            raise ValueError("this table trains, but train=0 was set: leave it out, or ask for `tasks` or `inside`.")
        marks = [self.steps(share) for share in shares]
        folder = self.folder(adaptation)
        paths = [folder / f"{mark:06}.safetensors" for mark in marks]
        while self.wait and not all(_is_whole(path) for path in paths):
            time.sleep(1)
        if not all(_is_whole(path) for path in paths):
            sizes = self.lab.sizes
            # What other tables ask of the same run is kept beside.
            every = {self.steps(share) for share in (*sizes.budgets, *sizes.marks, sizes.brief)}
            self._train(adaptation, folder, sorted({m for m in every if m < marks[-1]} | set(marks)))
        return [load_file(path, device=self.lab.device) for path in paths]

    def model(self, adaptation: Adaptation, update: dict[str, Tensor], strength: float = 1.0) -> ToyModel:
        """A model ready to generate: W0 + strength * change. One object per way, so the last one made is gone.

        Args:
            adaptation: how it was trained.
            update: from `updates`.
            strength: of the change; layers that are new are always as trained.
        """
        if adaptation.way not in self.fresh:
            model = self._new(adaptation.way)
            self.fresh[adaptation.way] = model, {k: v.clone() for k, v in model.state_dict().items()}
        model, start = self.fresh[adaptation.way]
        model.load_state_dict(start)
        if adaptation.rank and adaptation.variant != "dora":
            merge_update(model, {name: value.float() for name, value in update.items()}, strength)
        else:
            state = model.state_dict()
            for name, change in update.items():
                whole = adaptation.way == "i2v" and re.search(NEW_LAYERS, name)
                state[name].copy_(change if whole else state[name] + strength * change)
        return model.requires_grad_(False).eval()

    def _new(self, way: str) -> ToyModel:
        torch.manual_seed(self.lab.sizes.seed)  # the new layers of Wan's own way start at random
        base = zoo.load(self.base, self.lab.device)
        made = {"i2v": ImageToVideo.from_base, "map": FlowMapToy.from_base}.get(way, lambda base: base)(base)
        return made.to(self.lab.device)

    def folder(self, adaptation: Adaptation) -> Path:
        """Where the weights of a run lie, named after everything that they depend on but the number of steps.

        Args:
            adaptation: how.
        """
        sizes = self.lab.sizes
        config = adaptation.config(1, sizes.batch, self.lab.device, sizes.seed)
        made = {**made_with(self.lab.device), "device": self.lab.device}  # by any number of threads, on any such GPU
        about = [adaptation, config, sizes.clips, digest(self.base), made]
        return self.lab.work / "weights" / digest_of(about)[:16]

    def _train(self, adaptation: Adaptation, folder: Path, marks: list[int]) -> None:
        from pusa_lab.training import FlowMapModule, LatentVideoDataModule, VTAModule, run

        sizes, device = self.lab.sizes, self.lab.device
        key = (adaptation.way, adaptation.rank, adaptation.variant, adaptation.alpha)
        if key not in self.ready:
            model = self._trainable(adaptation)
            self.ready[key] = model, {k: v.clone() for k, v in model.state_dict().items()}
        model, start = self.ready[key]
        model.to(device).load_state_dict(start)
        before = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}

        def keep(step: int, averaged: Any) -> None:
            update = _update(averaged, before, adaptation)
            with writing(folder / f"{step:06}.safetensors") as part:
                save_file({k: v.to("cpu", torch.float16).contiguous() for k, v in update.items()}, part)

        torch.manual_seed(sizes.seed + adaptation.seed)
        torch._dynamo.config.cache_size_limit = 64  # one for each model and way of training
        config = adaptation.config(marks[-1], sizes.batch, device, sizes.seed)
        module = (FlowMapModule if adaptation.way == "map" else VTAModule)(model, config)
        run(module, LatentVideoDataModule(self._data(adaptation)), marks=marks, keep=keep)
        model.to(device)

    def _trainable(self, adaptation: Adaptation) -> ToyModel:
        from pusa_lab.training import add_lora

        way = adaptation.way
        model = self._new(way).requires_grad_(True).train()
        if model.codec:
            model.codec.requires_grad_(False)
        model.text.requires_grad_(False)
        if adaptation.rank:
            layers = r"^(?!.*(image_embedder|add_k_proj|add_v_proj))"
            add_lora(model.dit, adaptation.rank, layers, adaptation.variant, adaptation.alpha)
            for name, p in model.dit.named_parameters():
                if way == "i2v" and re.search(NEW_LAYERS, name):
                    p.requires_grad_(True)
        return model

    def _data(self, adaptation: Adaptation) -> "InMemoryDataset":
        from pusa_lab.training import InMemoryDataset

        sizes = self.lab.sizes
        self.dataset = self.dataset or self.clips()
        dataset = InMemoryDataset(self.dataset.videos, self.dataset.captions, sizes.batch, sizes.seed + adaptation.seed)
        if adaptation.held_out:
            dataset = dataset.part(trained_on(dataset.captions, WORLDS[self.lab.geometry_world]))
        if adaptation.way == "i2v":
            videos = dataset.videos[:, :, : adaptation.given]
            dataset.extras = {"first": videos.float() / 127.5 - 1 if videos.dtype == torch.uint8 else videos}
        return dataset

    def clips(self) -> "InMemoryDataset":
        """The clips of all runs; latents are kept beside the weights, so that several processes encode them once."""
        from pusa_lab.training import InMemoryDataset
        from small_models.training.data import clips_of, latent_dataset, pixel_dataset

        sizes, base, device = self.lab.sizes, self.lab.model("base"), self.lab.device
        clips = clips_of(base.preset["world"], sizes.clips, sizes.seed, base.geometry, device)
        if not base.codec:
            return pixel_dataset(clips, sizes.batch, 0, device)
        about = [sizes.clips, sizes.seed, digest(self.base), made_with(device)["code"], device]
        path = self.lab.work / "clips" / f"{digest_of(about)[:16]}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        with (path.parent / "lock").open("a") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX)  # until the file is closed: other processes wait, and read what is there
            if not _is_whole(path):
                dataset = latent_dataset(clips, base, sizes.batch, 0)
                with writing(path) as part:
                    save_file({"videos": dataset.videos}, part, {"captions": json.dumps(dataset.captions)})
        with safe_open(path, "pt", device=device) as file:
            return InMemoryDataset(file.get_tensor("videos"), json.loads(file.metadata()["captions"]), sizes.batch, 0)


@checked
def keep_frames_clean(at: Sequence[int] = (0,)) -> TimestepSampler:
    """Timestep sampler that keeps some frames at 0 and gives all others one timestep.

    Args:
        at: latent frames.
    """

    def sample(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
        tau = shared(batch, frames, generator)
        tau[:, list(at)] = 0
        return tau

    return sample


def _is_whole(path: Path) -> bool:
    """Whether a file is there and can be read; a damaged one is to be made again."""
    if not path.is_file():
        return False
    try:
        with safe_open(path, "pt"):
            return True
    except SafetensorError:
        warnings.warn(f"{path} is damaged: it is made again and the file replaced.", stacklevel=3)
        return False


def _update(model: torch.nn.Module, before: dict[str, Tensor], adaptation: Adaptation) -> dict[str, Tensor]:
    """What training changed: low-rank factors and whole new layers, or the changes of weights."""
    from pusa_lab.training import lora_changes, lora_state

    if not adaptation.rank:
        return _changes(model, before, adaptation.way == "i2v")
    if adaptation.variant != "dora":
        return lora_state(model)
    new = {name: p.detach() for name, p in model.named_parameters() if name in before and re.search(NEW_LAYERS, name)}
    return lora_changes(model) | (new if adaptation.way == "i2v" else {})


def _changes(model: torch.nn.Module, before: dict[str, Tensor], new_layers: bool) -> dict[str, Tensor]:
    """What training changed, by name; if the model has layers of a picture, these whole."""
    now = dict(model.named_parameters())
    whole = {name for name in before if new_layers and re.search(NEW_LAYERS, name)}
    return {name: now[name].detach() - (0 if name in whole else old) for name, old in before.items()}
