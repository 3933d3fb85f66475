"""Videos that the real VBench scores, named and laid out as it reads them; README.md here says how it is run.

    pusa-lab bench vbench_export --own-world                       # the toy in its own world, as VBench-I2V
    pusa-lab bench vbench_export --model Wan-AI/Wan2.1-T2V-14B-Diffusers --lora pusa_v1.pt --strength 1.4 \\
        --info VBench/vbench2_beta_i2v/vbench2_i2v_full_info.json --pictures VBench/vbench2_beta_i2v/data/crop/7-4

A list that names pictures is VBench-I2V's; one that names none is VBench's own, text-to-video. Writes

    OUT/videos/PROMPT-INDEX.mp4   made with seed INDEX; nothing else may lie there: VBench takes its first file's suffix
    OUT/export.json               how they were made; an export is resumed where it stopped, with the same settings
    OUT/vbench2_beta_i2v/         with --own-world: its list and its pictures, in VBench's layout
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import imageio_ffmpeg
import numpy as np

import pusa_lab as pl
import small_models
from pusa_lab import cli
from pusa_lab.cli.terminal import say
from pusa_lab.files import check_folder, content_digest, digest, read_json, writing
from pusa_lab.pixels import to_uint8
from pusa_lab.progress import progress_bar
from small_models.evaluation.evaluate import EVAL_SEED
from small_models.machine import conditions
from small_models.world import WORLDS, captions, draw_scenes, render

LIST = Path("vbench2_beta_i2v") / "vbench2_i2v_full_info.json"
CROP = Path("vbench2_beta_i2v") / "data" / "crop" / "1-1"
"""Where VBench-I2V looks for its list and for square pictures, from the folder in which it is run."""
_QUALITY = "motion_smoothness dynamic_degree aesthetic_quality imaging_quality temporal_flickering"
DIMENSIONS = ["i2v_subject", "subject_consistency", *_QUALITY.split()]
"""What VBench-I2V scores where there is a subject, which our world always has."""
INDICES = 5
"""Videos of a prompt that VBench looks for."""
OWN, POOL = 20, 1000
"""Prompts of our world unless --limit says otherwise, and scenes from which they are the first with captions apart."""
LONGEST = 255 - len(".part-")
"""Bytes of a file's name, of which `media.write_clip` needs some while it writes."""


def read_list(path: Path, dimensions: Sequence[str] = ()) -> dict[str, str]:
    """VBench's list: prompt -> name of its picture, all of them "" if it is for text-to-video."""
    try:
        entries = read_json(path, "a list of prompts")
    except OSError as error:
        raise ValueError(f"no list of prompts at {path}: give VBench's vbench2_i2v_full_info.json.") from error
    except ValueError:
        entries = None
    if not (isinstance(entries, list) and entries and all(map(_is_entry, entries))):
        raise ValueError(
            f"{path} is not of VBench's form, a JSON list of entries with prompt_en, dimension and image_name: "
            f"give its vbench2_i2v_full_info.json or VBench_full_info.json."
        )
    wanted: dict[str, str] = {}
    for entry in entries:
        prompt, picture = entry["prompt_en"], entry.get("image_name", "")
        if dimensions and not set(dimensions) & set(entry["dimension"]):
            continue
        if wanted.setdefault(prompt, picture) != picture:
            raise ValueError(f"{path} gives {prompt!r} two pictures, but VBench tells videos by prompt: keep one.")
        if not _can_be_a_name(prompt):
            raise ValueError(f"{path}: no file can be named {prompt!r}, as VBench wants it: leave this prompt out.")
    if not wanted:
        there = sorted({name for entry in entries for name in entry["dimension"]})
        raise ValueError(f"{path} has no prompts of {', '.join(dimensions)}: it has {', '.join(there)}.")
    if (bare := [p for p, picture in wanted.items() if not picture]) and len(bare) < len(wanted):
        raise ValueError(
            f"{path} names no picture for {len(bare)} of {len(wanted)} prompts, first {bare[0]!r}: take a newer list."
        )
    return wanted


def _can_be_a_name(prompt: str) -> bool:
    return "/" not in prompt and len(f"{prompt}-0.mp4".encode()) <= LONGEST


def _is_entry(entry: Any) -> bool:
    kinds = {"prompt_en": str, "dimension": list, "image_name": str}
    given = {"image_name": "", **entry} if isinstance(entry, dict) else {}
    return all(isinstance(given.get(name), kind) for name, kind in kinds.items())


def check_pictures(wanted: dict[str, str], folder: Path | None) -> dict[str, str]:
    """Prompt -> a digest of its picture's pixels; every picture is read once, so that none stops the work later."""
    names = list(dict.fromkeys(name for name in wanted.values() if name))
    if bool(names) != (folder is not None):
        found = "pictures: say with --pictures where they are" if names else "no pictures: leave --pictures out"
        raise ValueError(f"this list names {found}.")
    if folder is None:
        return dict.fromkeys(wanted, "")
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise ValueError(
            f"{len(missing)} of {len(names)} pictures are not in {folder}, first {missing[0]!r}: "
            f"give the folder of one aspect ratio, such as vbench2_beta_i2v/data/crop/16-9."
        )
    found = {name: _digest(pl.data.read_picture(folder / name)) for name in names}
    return {prompt: found[name] for prompt, name in wanted.items()}


def _digest(picture: np.ndarray) -> str:
    return content_digest([repr(picture.shape), picture.tobytes()])[:16]


def own_world(model: small_models.ToyModel, count: int) -> dict[str, np.ndarray]:
    """Caption -> first frame (h, w, 3) uint8 of the first scenes of the toy's world, unseen in training."""
    scenes = draw_scenes(POOL, EVAL_SEED, WORLDS[model.preset["world"]])
    rows: dict[str, int] = {}
    for i, caption in enumerate(captions(scenes)):
        if _can_be_a_name(caption):
            rows.setdefault(caption, i)
    if count > len(rows):
        raise ValueError(f"--limit {count}: there are {len(rows)} captions of our world here, give at most as many.")
    size = model.geometry.size[0]
    return {p: to_uint8(render(scenes[i : i + 1], 1, size))[0, 0] for p, i in list(rows.items())[:count]}


def write_own_world(pictures: dict[str, np.ndarray], out: Path) -> None:
    """Our world's list and pictures, in VBench-I2V's layout; what is there already stays."""
    for caption, picture in pictures.items():
        if not (path := out / CROP / f"{caption}.png").is_file():
            pl.media.write_picture(path, picture)
    same = {"dimension": DIMENSIONS, "image_type": "other"}
    _write(out / LIST, [{"prompt_en": caption, **same, "image_name": f"{caption}.png"} for caption in pictures])


def open_model(name: str, lora: list[str], strength: float) -> Any:
    """A toy, or a Wan from a folder or from the Hub."""
    if not Path(name).is_dir() and (name.endswith(".safetensors") or "/" not in name):
        if lora:
            raise ValueError(f"--lora with {name}: a toy brings its own update, leave --lora out.")
        model = small_models.load(name, strength=strength)
        if isinstance(model, small_models.Codec):
            raise ValueError(f"{name} is a codec and makes no videos: choose a model built on it, such as mini-vta.")
        return model
    if strength != 1 and not lora:
        raise ValueError(f"--strength {strength:g} without --lora: it scales a LoRA, leave it out.")
    return pl.wan.WanModel.from_pretrained(name, **({"lora": lora, "strength": [strength] * len(lora)} if lora else {}))


def settings(model: Any, args: SimpleNamespace) -> dict[str, Any]:
    """Everything besides prompt, picture and seed on which a video depends."""
    g, name = model.geometry, args.model
    return {
        "model": str(Path(name).resolve()) if Path(name).exists() else name,
        "sha256": digest(small_models.models.zoo.find_checkpoint(name))
        if isinstance(model, small_models.ToyModel)
        else "not taken",
        "lora": [str(Path(path).resolve()) for path in args.lora],
        "strength": args.strength,
        "steps": args.steps,
        "guidance": args.guidance,
        "size": list(g.size),
        "pixel_frames": g.pixel_frames(g.frames),
        "fps": g.fps,
        "scale": max(1, 128 // g.size[0]),
        "code": code_version(),
    }


def code_version() -> str:
    """The clone's commit, or the package's version where git does not tell."""
    words = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return version("pusa_lab")


def manifest(out: Path, made_with: dict[str, Any], digests: dict[str, str]) -> dict[str, Any]:
    """What export.json is to say; ValueError if the folder holds videos that were made otherwise."""
    path = out / "export.json"
    if not path.is_file():
        if any((out / "videos").glob("*.mp4")):
            raise ValueError(f"{out}/videos has videos but no {path} says how they were made: give another --out.")
        return {"settings": made_with, "pictures": digests}
    try:
        old = read_json(path, "a manifest of an export", {"settings": dict, "pictures": dict})
        before, pictures = old["settings"], old["pictures"]
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} is not the manifest of an export: give another --out.") from error
    if other := [name for name in {**before, **made_with} if before.get(name) != made_with.get(name)]:
        differences = ", ".join(f"{name} {before.get(name)!r}, not {made_with.get(name)!r}" for name in other)
        raise ValueError(f"{out} was made with {differences}: give another --out, or the same settings.")
    if changed := [prompt for prompt, digest in digests.items() if pictures.get(prompt, digest) != digest]:
        raise ValueError(f"{out} was made with another picture for {changed[0]!r}: give another --out.")
    return {"settings": made_with, "pictures": pictures | digests}


def videos(
    model: Any, prompts: Sequence[str], seeds: int, folder: Path, options: dict[str, Any], picture: Callable[[str], Any]
) -> Iterator[tuple[Path, np.ndarray]]:
    """Where each video that is not there yet belongs, and the video (pixel frames, h, w, 3) uint8."""
    for prompt in prompts:
        paths = {seed: folder / f"{prompt}-{seed}.mp4" for seed in range(seeds)}
        if all(path.is_file() for path in paths.values()):
            continue
        first = picture(prompt)
        asked, task = model, None if first is None else pl.tasks.image_to_video(first)
        if first is not None and isinstance(model, small_models.ImageToVideo):
            asked, task = model.given(first), None
        for seed, path in paths.items():
            if not path.is_file():
                yield path, pl.generate(asked, prompt, task, seed=seed, **options).video[0]


def export(args: SimpleNamespace) -> str:
    """Check everything, then make what is missing; returns one line on what was done."""
    _check(args)
    if args.own_world:
        model, folder = open_model(args.model, args.lora, args.strength), args.out / CROP
        if not isinstance(model, small_models.ToyModel):
            raise ValueError(f"--own-world with {args.model}: only toys have a world, leave --own-world out.")
        own = own_world(model, args.limit or OWN)
        wanted, digests = {p: f"{p}.png" for p in own}, {p: _digest(picture) for p, picture in own.items()}
    else:
        wanted, folder, own = read_list(args.info, args.dimension), args.pictures, {}
        wanted = dict(list(wanted.items())[: args.limit])
        digests = check_pictures(wanted, folder)
        model = open_model(args.model, args.lora, args.strength)
    if isinstance(model, small_models.ToyModel):
        model.text.tokenize(list(wanted))
    about = manifest(args.out, settings(model, args), digests)
    if own:
        write_own_world(own, args.out)
    about |= conditions() | {"seed": "the index in a video's name"}
    _write(args.out / "export.json", about)

    def picture(prompt: str) -> Any:
        return pl.data.read_picture(folder / wanted[prompt]) if wanted[prompt] else None

    options, made = {"steps": args.steps, "guidance": args.guidance}, 0
    places = [args.out / "videos" / f"{prompt}-{seed}.mp4" for prompt in wanted for seed in range(args.seeds)]
    missing = sum(not path.is_file() for path in places)
    found = videos(model, list(wanted), args.seeds, args.out / "videos", options, picture)
    for path, video in progress_bar(found, missing, "export", "video"):
        pl.media.write_clip(path, video, model.geometry.fps, about["settings"]["scale"])
        made += 1
        sys.stderr.write(f"{path}\n")
    return f"{made} videos made, {len(wanted) * args.seeds - made} were there: {args.out / 'videos'}"


def _check(args: SimpleNamespace) -> None:
    check_folder(args.out, "--out")
    if args.own_world == bool(args.info):
        raise ValueError("give VBench's list with --info, or --own-world for the toy's own scenes, one of the two.")
    if args.own_world and (args.pictures or args.dimension):
        raise ValueError("--own-world brings its own pictures and dimensions: leave --pictures and --dimension out.")
    if not 1 <= args.seeds <= INDICES:
        raise ValueError(f"--seeds {args.seeds}: VBench reads the indices 0 to 4 of each prompt, give 1 to {INDICES}.")
    if args.steps < 1 or not np.isfinite(args.guidance) or (args.limit is not None and args.limit < 1):
        raise ValueError("--steps and --limit want 1 or more, and --guidance a finite number.")
    try:
        program = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:
        program = ""
    if not shutil.which(program):
        raise ValueError("no ffmpeg here to write videos: pip install imageio-ffmpeg, and unset IMAGEIO_FFMPEG_EXE.")


def _write(path: Path, found: Any) -> None:
    text = json.dumps(found, indent=2) + "\n"
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    with writing(path) as part:
        part.write_text(text, encoding="utf-8")


def main(
    *,
    model: str = "mini-vta",
    lora: str | list[str] | None = None,
    strength: float = 1.0,
    info: Path | None = None,
    pictures: Path | None = None,
    own_world: bool = False,
    out: Path = Path("outputs/vbench"),
    seeds: int = INDICES,
    steps: int = 10,
    guidance: float = 3.0,
    dimension: str | list[str] | None = None,
    limit: int | None = None,
) -> None:
    """Videos for the real VBench to score, in the folders and under the names that it looks for.

    Args:
        model: a toy, or a folder or repository of a text-to-video Wan.
        lora: file or files that adapt a Wan.
        strength: how much each LoRA adds; 1 is as trained.
        info: VBench's list, vbench2_i2v_full_info.json or VBench_full_info.json.
        pictures: folder of the list's pictures, such as data/crop/16-9.
        own_world: take the toy's own scenes instead of a list.
        out: folder of the export; an unfinished one is resumed.
        seeds: number of videos of each prompt, 1 to 5.
        steps: sampling steps.
        guidance: scale of text guidance, where 1 is none.
        dimension: one of VBench's dimensions or several, whose prompts are taken (default: all).
        limit: number of prompts, the first ones (default: all, but 20 of the toy's own world).

    Raises:
        ValueError: an option does not fit, or the folder holds another export.
    """
    args = SimpleNamespace(**locals())
    args.lora, args.dimension = ([one] if isinstance(one, str) else one or [] for one in (lora, dimension))
    say(export(args))


if __name__ == "__main__":
    sys.exit(cli.main(script=main))
