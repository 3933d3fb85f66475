"""Train the toys: `pusa-lab train --model mini --stage codec`, then features, base, and vta or i2v from the base."""

import json
import re
import secrets
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import torch

from pusa_lab.arguments import checked
from pusa_lab.data import codec_psnr, find_clips
from pusa_lab.data.quality import FEW, warn_of_codec
from pusa_lab.files import check_folder, check_writable, content_digest, digest
from pusa_lab.import_paths import is_import_path
from pusa_lab.requests import plugged_in
from pusa_lab.training import (
    CodecModule,
    InMemoryDataset,
    LatentVideoDataModule,
    TrainConfig,
    VTAModule,
    add_lora,
    check_run,
    lora_state,
    run,
)
from pusa_lab.training.rescue import save_or_rescue
from small_models.evaluation.evaluate import (
    VALIDATION_SEED,
    codec_scores,
    measure,
    measure_clips,
    measure_codec,
)
from small_models.evaluation.sheets import reporter
from small_models.files import promote
from small_models.machine import device_name, library_versions
from small_models.models.codec import Codec, calibrate, channels_last_, codec_loss, initialise
from small_models.models.i2v import NEW_LAYERS, ImageToVideo
from small_models.models.text import split_words
from small_models.models.toy import CODECS, PRESETS, ToyModel
from small_models.models.zoo import CHECKPOINTS, codec_of, find_checkpoint, load, save, save_update
from small_models.training.action_job import ActionJob
from small_models.training.data import (
    Part,
    clips_of,
    folder_captions,
    latent_dataset,
    pixel_dataset,
    split_datasets,
    split_folder,
    to_arrays,
)
from small_models.training.feature_job import FeatureJob
from small_models.training.recipes import FAST, RECIPES, Recipe
from small_models.world import LONGEST, WORLDS, add_world, vocabulary

NOT_CAUSAL = {"how": "not measured: the usual tasks show frames that a causal model never sees"}
MOST_CLIPS = 10_000_000
"""Most clips of a world in one run."""
OF_TIMESTEPS = (
    *("timestep_sampler", "p_async", "shift", "t_min", "t_max"),
    *("weight", "per_sample_weighting", "caption_dropout", "check_finite", "causal", "first_alone", "history"),
)
"""Fields of TrainConfig that codec and features do not ask."""
NONE_HELD_OUT = {"how": "not measured: no clips of the folder were held out, see num_val_clips"}


@checked
def train(
    preset: str = "nano",
    stage: str = "base",
    out: Path = CHECKPOINTS,
    base: str | Path | None = None,
    data: str = "",
    fast: bool = False,
    command: str = "",
    logs: Path | None = None,
    resume: Path | None = None,
    earlier: Sequence[Path] = (),
    **changes: Any,
) -> Path:
    """Train one stage, measure it, and write checkpoint and card; returns the checkpoint's path.

    Args:
        preset: sizes, one of PRESETS.
        stage: one that RECIPES has for it: codec, features, base, vta, actions, i2v.
        out: folder for the checkpoint; what the stage builds on is looked for there first, then among the shipped.
        base: where the vta and i2v stages start, and whose codec they use; None is `<preset>-base`. For actions, the
            same; None is `<preset>-vta`. For codec, the one to start from; None starts from nothing.
        data: a world's name or import path, or a folder of clips with captions; empty is the preset's own world.
        fast: a few small steps, to see that everything runs.
        command: written into the card.
        logs: folder for curves, sheets and checkpoints to resume from; None writes none.
        resume: such a checkpoint.
        earlier: checkpoints of stages that were trained before this one in the same run.
        **changes: fields of TrainConfig to change in the recipe, and `clips`: different clips of a world, or the most
            that are taken from a folder. With num_val_clips, the last videos of a folder are held out, and the card has
            scores on them.

    Raises:
        ValueError: an unknown preset, stage or source of data, nothing to start from, a field out of range or without
            effect on this stage, or a folder that cannot be written to.
        OSError: the disk is full at the end; the sentence says where the weights are.
    """
    world = add_world(data)
    if (preset, stage) not in RECIPES:
        raise ValueError(f"no stage {preset}-{stage}: there are {', '.join('-'.join(names) for names in RECIPES)}.")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        changes = {"compile": "", **changes}  # it pays on a GPU
    recipe = _changed(RECIPES[preset, stage], stage, fast, changes, bool(data) and world not in WORLDS)
    path = check_writable(check_folder(out, "out") / f"{preset}-{stage}.safetensors", "the checkpoint")
    job = _job(preset, stage, out, base, world, earlier)
    if job.source not in WORLDS and not Path(job.source).is_dir():
        raise ValueError(f"no data {job.source!r}: give a folder of clips, or one of {', '.join(WORLDS)}.")
    if job.source not in WORLDS:
        split_folder(job.source, recipe.config.num_val_clips)  # refuses what does not fit, before any work
    description = _about(job, path.stem, recipe) if recipe.config.save_every or resume else {}
    check_run(recipe.config, logs, resume, description)
    torch.manual_seed(recipe.config.seed)
    job.prepare(recipe, device)

    module = job.module(logs)
    module.about = description
    began = time.perf_counter()
    run(module, LatentVideoDataModule(job.dataset, job.val), logs, resume)
    seconds = time.perf_counter() - began
    job.model.to(device)  # Lightning leaves it on the CPU

    about = {"name": path.stem, "date": date.today().isoformat(), "command": command, "seconds": round(seconds, 1)}
    about |= _conditions(job, recipe, data)
    # Kept if measuring fails; until then the old one stays. Other processes may be training the same.
    stored = path.with_suffix(f".{secrets.token_hex(4)}.new{path.suffix}")
    save_or_rescue(lambda place: job.save(place, about), stored, logs)
    measured = job.measure(stored, path.stem, 2 if fast else recipe.measured)
    try:
        promote(stored, path, {"metrics": measured})
    except OSError as error:
        raise OSError(f"{error} The checkpoint is kept as {stored}.") from error
    return path


def _conditions(job: Any, recipe: Recipe, asked: str) -> dict[str, Any]:
    """What a card tells of how its model was trained."""
    about = {"device": device_name(), "versions": library_versions()}
    about |= {"data": f"{job.source}, {len(job.dataset.captions)} clips"}
    if job.source not in WORLDS:
        about["held_out"] = [clip.name for clip in split_folder(job.source, recipe.config.num_val_clips)[1]]
    own = (plugged_in([(WORLDS, asked)]) if is_import_path(asked) else {}) | recipe.config.plugged_in()
    return {**about, **job.parts(), "config": asdict(recipe.config), **({"own": own} if own else {})}


def _about(job: Any, stage: str, recipe: Recipe) -> dict[str, str]:
    """What a run is of, so that it is resumed with the same stage, data, base and codec alone."""
    source = job.source
    if source in WORLDS:
        data = f"{recipe.clips} clips of {source}"
    else:
        clips = [clip for clip in find_clips(source, need_captions=False) if not clip.problem]
        whole = json.dumps([[digest(clip.path), clip.caption] for clip in clips])
        data = f"{len(clips)} files {content_digest(whole)[:16]}"
        data += f", at most {recipe.clips} clips" * (recipe.clips < MOST_CLIPS)
    built_on = {name: getattr(job, name, None) for name in ("base", "codec")}
    parts = {name: digest(path)[:16] for name, path in built_on.items() if path}
    return {"stage": stage, "data": data, **parts, **recipe.config.code()}


def _changed(recipe: Recipe, stage: str, fast: bool, changes: dict[str, Any], folder: bool) -> Recipe:
    known = [field.name for field in fields(TrainConfig)]
    if unknown := [name for name in changes if name not in (*known, "clips")]:
        raise ValueError(f"no field {unknown[0]!r:.40} to set: choose from {', '.join(known)}, clips.")
    given, changes = dict(changes), {**(FAST if fast else {}), **changes}
    clips = changes.pop("clips", MOST_CLIPS if folder else recipe.clips)  # of a folder all
    if type(clips) is not int or not 1 <= clips <= MOST_CLIPS:
        raise ValueError(f"clips={clips!r:.40}: give a whole number from 1 to {MOST_CLIPS}.")
    config = replace(recipe.config, **changes)
    if folder and config.validate_every and not config.num_val_clips:
        raise ValueError(f"validate_every={config.validate_every}, num_val_clips=0: set num_val_clips to 1 or more.")
    idle = {"micro_batch_size": "a latent cache"}
    if not folder:
        idle["num_val_clips"] = "a folder of clips or a latent cache"
    if stage in ("codec", "features"):
        idle |= dict.fromkeys(OF_TIMESTEPS, "the stages base, vta and i2v")
    elif config.timestep_sampler != "mixed":
        idle["p_async"] = "timestep_sampler=mixed"
    for name, of in idle.items():
        if name in given and getattr(config, name) != getattr(recipe.config, name):
            raise ValueError(f"{name}={getattr(config, name)} has no effect on {stage}, it is for {of}: leave it out.")
    if config.lora_rank and stage in ("codec", "features", "base", "actions"):
        raise ValueError(f"lora_rank={config.lora_rank} for {stage}: low-rank updates need a base, so vta or i2v.")
    if config.causal and stage == "actions":
        raise ValueError(f"causal={config.causal} for actions: causal models take none yet, so leave it out.")
    return replace(recipe, clips=clips, config=config)


def _job(preset: str, stage: str, out: Path, base: str | Path | None, data: str, earlier: Sequence[Path]) -> Any:
    if stage == "codec":
        return _CodecJob(preset, out, data, base)
    if stage == "features":
        return FeatureJob(preset, _start(f"{preset}-codec", out), data)
    if stage == "actions":
        return ActionJob(preset, _start(base or f"{preset}-vta", out), data)
    job = _ModelJob(preset, stage, out, base, data)
    job.earlier = {path.resolve() for path in earlier}
    return job


class _CodecJob:
    """Pixels to latents and back, from nothing or from another codec."""

    def __init__(self, preset: str, out: Path, data: str, base: str | Path | None):
        self.preset, self.out, self.source = preset, out, data or PRESETS[preset]["world"]
        self.base = None if base is None else _start(base, out)

    def prepare(self, recipe: Recipe, device: str) -> None:
        self.config = recipe.config
        geometry = ToyModel(PRESETS[self.preset]).geometry
        if self.base:
            self.model = load(self.base, device)
            if type(self.model) is not Codec or self.model.config != CODECS[self.preset]:
                raise ValueError(f"{self.base} is not a codec of {self.preset}: give one that --stage codec wrote.")
            self.model.requires_grad_(True).train()
        else:
            self.model = Codec(CODECS[self.preset]).to(device)
            initialise(self.model)
        if device == "cuda":
            channels_last_(self.model)
        held = recipe.config.num_val_clips
        self.dataset, self.val = split_datasets(
            lambda count, seed, val: clips_of(self.source, count, seed, geometry, device, held, val),
            lambda parts, batch, seed: pixel_dataset(parts, batch, seed, device),
            counts=_counts(self.source, recipe, 64),
            batches=(recipe.config.global_batch_size, min(8, recipe.config.global_batch_size)),
            seeds=(recipe.config.seed, VALIDATION_SEED),
        )

    def parts(self) -> dict[str, str]:
        return {"base": self.base.stem} if self.base else {}

    def module(self, logs: Path | None) -> CodecModule:
        def loss(codec: Any, clip: torch.Tensor) -> Any:
            layout = torch.channels_last_3d if clip.is_cuda else torch.contiguous_format
            return codec_loss(codec, clip.contiguous(memory_format=layout))

        return CodecModule(self.model, self.config, loss)

    def save(self, path: Path, about: dict[str, Any]) -> None:
        self.model.eval()
        rows = torch.arange(min(512, len(self.dataset.captions))).split(8)
        calibrate(self.model, (self.dataset.rows(r).x0 for r in rows))
        save(self.model, path, about)

    def measure(self, stored: Path, name: str, clips: int) -> dict[str, Any]:
        if self.source in WORLDS:
            return measure_codec(load(stored), self.source, clips, ToyModel(PRESETS[self.preset]).geometry)
        if self.val is None:
            return NONE_HELD_OUT
        how = "posterior mean, float32, held-out clips; mean over clips of the mean over frames"
        parts = (batch.x0 for batch in self.val.chunks())
        return {"how": how, "clips": len(self.val.captions), **codec_scores(load(stored), parts)[0]}


class _ModelJob:
    """The transformer and its text encoder: from nothing, or adapted from a base."""

    earlier: Collection[Path] = ()
    """Checkpoints of the same run."""

    def __init__(self, preset: str, stage: str, out: Path, base: str | Path | None, data: str):
        self.preset, self.stage, self.out = preset, stage, out
        self.source = data or PRESETS[preset]["world"]
        self.base = None if stage == "base" else _start(base or f"{preset}-base", out)
        codec = codec_of(self.base) if self.base else None
        self.codec = codec or (_start(f"{preset}-codec", out) if preset in CODECS else None)

    def prepare(self, recipe: Recipe, device: str) -> None:
        self.recipe, self.config = recipe, recipe.config
        if self.base:
            self.model = load(self.base, device)
            if type(self.model) is not ToyModel or self.model.geometry != ToyModel(PRESETS[self.preset]).geometry:
                raise ValueError(f"{self.base} is not a base of {self.preset}: give one that --stage base wrote.")
            self.model.requires_grad_(True).train()
        else:
            codec = load(self.codec, device) if self.codec else None
            self.model = ToyModel(self._preset(), codec).to(device)
        if self.source in WORLDS:
            self.model.preset = {**self.model.preset, "world": self.source}
        self.config.check_frames(self.model.geometry.frames)
        self._warn_of_codec()
        self.dataset, self.val = split_datasets(
            lambda count, seed, val: clips_of(
                self.source, count, seed, self.model.geometry, device, self.config.num_val_clips, val
            ),
            self._dataset,
            counts=_counts(self.source, recipe, 512),
            batches=(recipe.config.global_batch_size, min(256, recipe.config.global_batch_size)),
            seeds=(recipe.config.seed, VALIDATION_SEED),
        )
        if self.stage == "i2v":
            self.model = ImageToVideo.from_base(self.model)
            for dataset in filter(None, (self.dataset, self.val)):
                dataset.extras = {"first": dataset.videos[:, :, :1]}
        if self.model.codec:
            self.model.codec.requires_grad_(False)
        if self.base:
            self.model.text.requires_grad_(False)
        if recipe.config.lora_rank:
            if self.base and self.base.parent not in (self.out, CHECKPOINTS):
                raise ValueError(
                    f"{self.base} is not where its update will look for it: give --out {self.base.parent}."
                )
            add_lora(self.model.dit, recipe.config.lora_rank, r"^(?!.*(image_embedder|add_k_proj|add_v_proj))")
            new = [p for name, p in self.model.dit.named_parameters() if re.search(NEW_LAYERS, name)]
            for p in new if self.stage == "i2v" else []:
                p.requires_grad_(True)

    def _preset(self) -> dict[str, Any]:
        """The sizes, with a vocabulary that has all words of the data's captions, and room for the longest."""
        preset = PRESETS[self.preset]
        if self.source == preset["world"]:
            return preset
        if self.source in WORLDS:
            more, longest = vocabulary(WORLDS[self.source]), LONGEST
        else:
            captions = [split_words(caption) for caption in folder_captions(Path(self.source))]
            more, longest = sorted({word for words in captions for word in words}), max(map(len, captions), default=0)
        text = preset["text"]
        words = list(dict.fromkeys([*text["words"], *more]))
        return {**preset, "text": {**text, "words": words, "longest": max(text["longest"], longest)}}

    def _dataset(self, parts: Iterator[Part], batch: int, seed: int) -> InMemoryDataset:
        read = self._read(parts)
        if self.model.codec:
            return latent_dataset(read, self.model, batch, seed)
        return pixel_dataset(read, batch, seed, self.model.device)

    def _read(self, parts: Iterator[Part]) -> Iterator[Part]:
        """The same parts, once all their words are known: not found out in the middle of the training."""
        for clips, captions in parts:
            self.model.text.tokenize(captions)
            yield clips, captions

    def parts(self) -> dict[str, str]:
        """Names of the checkpoints that this one is built on."""
        return {name: path.stem for name, path in (("base", self.base), ("codec", self.codec)) if path}

    def module(self, logs: Path | None) -> VTAModule:
        wanted = logs and self.config.validate_every and self.source in WORLDS and not self.config.causal
        return VTAModule(self.model, self.config, reporter(logs) if logs and wanted else None)

    def save(self, path: Path, about: dict[str, Any]) -> None:
        if self.config.lora_rank and self.base:
            save_update(self.model, path, about, self.base, lora_state(self.model))
        else:
            save(self.model, path, about, self.codec)

    def measure(self, stored: Path, name: str, clips: int) -> dict[str, Any]:
        if self.config.causal:
            return NOT_CAUSAL
        if self.source in WORLDS:
            return measure(load(stored), name, load(self.base) if self.base else None, clips)
        if self.val is None:
            return NONE_HELD_OUT
        if self.stage == "i2v":
            return {"how": "not measured: pusa_lab.evaluate gives pictures as known frames, which this model ignores"}
        models = {name: load(stored)} | ({self.base.stem: load(self.base)} if self.base else {})
        given = self.source, clips, 0, models[name].geometry, "cpu", self.config.num_val_clips, True
        parts, captions = zip(*clips_of(*given), strict=True)
        return measure_clips(models, to_arrays(torch.cat(parts)), [text for texts in captions for text in texts])

    def _warn_of_codec(self) -> None:
        """Say so before the training if the codec keeps too little of a folder's clips."""
        if self.source in WORLDS or not self.codec or (self.base and self.base.resolve() in self.earlier):
            return  # or it was said when the base was trained
        given = self.source, FEW, 0, self.model.geometry, self.model.device, self.config.num_val_clips
        kept = [codec_psnr(self.model, to_arrays(clips)).mean(1) for clips, _ in clips_of(*given)]
        warn_of_codec(self.codec.stem, torch.cat(kept).tolist(), self.codec.resolve() in self.earlier)


def _counts(source: str, recipe: Recipe, most: int) -> tuple[int, int]:
    """Clips to learn from and to hold out: of a world as many as asked for, of a folder what there is."""
    if source in WORLDS:
        return recipe.clips, min(most, recipe.clips) if recipe.config.validate_every else 0
    return recipe.clips, MOST_CLIPS if recipe.config.num_val_clips else 0


def _start(name: str | Path, out: Path) -> Path:
    """A checkpoint by name: in the folder being written to, or shipped."""
    beside = out / f"{name}.safetensors"
    return beside if isinstance(name, str) and beside.is_file() else find_checkpoint(name, "base")
