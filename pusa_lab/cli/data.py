"""`pusa-lab data encode` and `pusa-lab data show`."""

import shlex
from functools import partial
from pathlib import Path
from typing import Any

from pusa_lab.cli.terminal import escaped, say
from pusa_lab.cli.values import given, pixels


def encode(
    folder: str,
    *,
    out: Path,
    model: str = "mini-vta",
    size: str | None = None,
    num_frames: int | None = None,
    fps: float | None = None,
    start: float = 0.0,
    devices: int = 1,
) -> None:
    """Encode a folder of clips and captions once, into a latent cache for training.

    Args:
        folder: clips (MP4, WebM, MOV and other video files), with captions in a .txt beside each, in captions.csv or in
            captions.jsonl.
        out: folder of the cache; an unfinished one is resumed.
        model: a shipped toy, or the folder or repository of a Wan model.
        size: HEIGHTxWIDTH in pixels (default: the model's own).
        num_frames: pixel frames of each clip, 1 + 4k (default: the model's own).
        fps: frames per second to read (default: the model's own, Wan2.1's is 16).
        start: time in each file at which its clip begins, in seconds.
        devices: processes that share the clips, each on a GPU of its own, or on the CPU where there is none; under
            torchrun, all that it started.

    Raises:
        ValueError: an option does not fit, no clip can be encoded, or the cache is of other settings.
    """
    from pusa_lab.cli.launch import processes, shared_work
    from pusa_lab.data.clips import check_times
    from pusa_lab.data.encode import check_encode, encode_report, encode_steps
    from pusa_lab.models import find_family, load_encoders

    # before gigabytes of a model are read
    sizes: dict[str, Any] = {"size": pixels(size), "num_frames": num_frames}
    check_times(fps, start)
    name = Path(model).resolve().name
    settings = {"model": name, "size": sizes["size"], "num_frames": num_frames, "fps": fps, "start": start}
    each, hosts = processes("--devices", devices, "data encode")
    check = partial(check_encode, folder, out, given(settings), processes=each * hosts)
    args = (folder, model, out, name, sizes, {"fps": fps, "start": start})
    with shared_work(each * hosts, check, _encode_share, *args) as work:
        if work.rank:
            _encode_share(work, *args)
            return
        encoders, by_recipe = load_encoders(model, **sizes), find_family(model).train is None
        steps = encode_steps(folder, encoders, out, name, fps=fps, start=start, **sizes, work=work)
        say(str(encode_report(steps)), _then(out, model, by_recipe))


def _encode_share(
    work: Any, folder: str, model: str, out: Path, name: str, sizes: dict[str, Any], times: dict[str, Any]
) -> None:
    """What a process does beside the first one."""
    from pusa_lab.data.pieces import encode_share
    from pusa_lab.models import load_encoders

    encode_share(folder, load_encoders(model, **sizes), out, name, work, **sizes, **times)


def _then(out: Path, model: str, by_recipe: bool) -> str:
    """What to do with the cache next."""
    look = f"{out}: look at it with `{shlex.join(['pusa-lab', 'data', 'show', str(out)])}`"
    if not by_recipe:
        return f"{look}, and read it in Python with pusa_lab.data.LatentCache; the commands train on caches of Wan"
    there = model if Path(model).is_dir() else "FOLDER"
    command = ["pusa-lab", "train", "--recipe", "paper", "--data", str(out), "--model", there]
    command += ["--expert", "high"] if (Path(there) / "transformer_2").is_dir() else []
    where = "" if there != "FOLDER" else f", where FOLDER holds {model}"
    return f"{look}, and train on it with `{shlex.join(command)}`{where}"


def show(cache: Path) -> None:
    """Show what a latent cache holds.

    Args:
        cache: folder of the cache.

    Raises:
        ValueError: it is not a latent cache, or is damaged.
    """
    from pusa_lab.data.latents import LatentCache
    from pusa_lab.data.manifest import codec_psnrs

    found = LatentCache(cache)
    m = found.manifest
    shape = " x ".join(str(n) for n in m["clips"][0]["latents"]) if len(found) else "none"
    bytes_ = sum(path.stat().st_size for path in cache.iterdir())
    rows = {
        "clips": f"{len(found)} of {m['num_frames']} frames at {m['fps']:g} a second from {m['start']:g} s, "
        f"{m['size'][0]} x {m['size'][1]}",
        "latents": f"{shape}, {m['dtype']}",
        "model": f"{m['model']}, codec {m['codec']}, text encoder {m['text_encoder']}",
        "folder": _source(m),
        "kept": _kept(codec_psnrs(m)),
        "written": f"by pusa_lab {m['version']}, format {m['format']}, {bytes_ / 2**20:,.1f} MiB",
    }
    table = [f"{name:10}{escaped(text)}" for name, text in rows.items()]
    clips = [escaped(f"  {clip['name']}: {clip['caption']}") for clip in m["clips"]]
    broken = [escaped(f"  {entry['name']} {entry['reason']}") for entry in m["broken"]]
    say(*table, *clips, *(["skipped", *broken] if broken else []))


def _kept(db: list[float]) -> str:
    """What the codec keeps of the clips."""
    from pusa_lab.sentences import counted  # brings torch, which help does without

    if not db:
        return "not measured"
    return f"{sum(db) / len(db):.1f} dB by the codec (mean PSNR of the beginnings of {counted(len(db), 'clip')})"


def _source(manifest: dict[str, Any]) -> str:
    """The folder of clips, and how it differs from the cache."""
    from pusa_lab.data.manifest import source_differences

    source = manifest["source"]
    if not source:
        return "unknown"
    if not Path(source).is_dir():
        return f"{source}, which no longer exists"
    differences = ", ".join(source_differences(manifest))
    return f"{source}, which has changed: {differences}" if differences else f"{source}, unchanged"
