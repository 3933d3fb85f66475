"""The commands `pusa-lab data encode` and `pusa-lab data show`."""

import argparse
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pusa_lab.arguments import checked

if TYPE_CHECKING:
    from pusa_lab.training.encode import Step


@checked
def add_data(data: argparse.ArgumentParser) -> None:
    """Put the commands under `data`.

    Args:
        data: its parser.
    """
    commands = data.add_subparsers(required=True, metavar="encode | show")
    encode = commands.add_parser("encode", help="encode a folder of clips and captions once, into a latent cache")
    encode.add_argument(
        "folder", help="MP4, WebM and MOV files; captions in a .txt beside each, captions.csv or captions.jsonl"
    )
    encode.add_argument("--model", default="mini-vta", help="a shipped toy, or a Wan: folder or repository's name")
    encode.add_argument(
        "--out", type=Path, required=True, help="folder of the cache; one that was begun is gone on with"
    )
    encode.add_argument("--size", type=_size, help="HEIGHTxWIDTH in pixels (default: the model's own)")
    encode.add_argument("--frames", type=int, help="pixel frames of each clip, 1 + 4k (default: the model's own)")
    encode.add_argument(
        "--fps", type=float, help="frames per second to read (default: the model's own, Wan2.1's is 16)"
    )
    encode.add_argument("--start", type=float, default=0.0, help="seconds into each file (default 0)")
    encode.set_defaults(run=_encode)

    show = commands.add_parser("show", help="what a latent cache holds")
    show.add_argument("cache", type=Path, help="its folder")
    show.set_defaults(run=_show)


@checked
def number_or_text(word: str) -> float | str:
    """A word of a command line that is a number, or else a text such as a guider's.

    Args:
        word: as typed.
    """
    try:
        return float(word)
    except ValueError:
        return word


def _encode(args: argparse.Namespace) -> None:
    from pusa_lab.training.encode import check_encode, encode_steps, report
    from pusa_lab.training.manifest import check_times

    # before gigabytes of a model are read
    check_times(args.fps, args.start)
    name = Path(args.model).resolve().name
    given = {"model": name, "size": args.size, "pixel_frames": args.frames, "fps": args.fps, "start": args.start}
    check_encode(args.folder, args.out, {key: value for key, value in given.items() if value is not None})
    sizes = {"size": args.size, "frames": args.frames}
    model, toy = _load(args.model, sizes)
    steps = encode_steps(
        args.folder,
        model,
        args.out,
        name,
        fps=args.fps,
        start=args.start,
        **sizes,
    )
    say(str(report(_shown(steps))), _then(args, toy))


def _then(args: argparse.Namespace, toy: bool) -> str:
    """What to do with the cache next."""
    look = f"{args.out}: look at it with `{shlex.join(['pusa-lab', 'data', 'show', str(args.out)])}`"
    if toy:
        return f"{look}, and read it in Python with pusa_lab.training.LatentCache; the commands train on caches of Wan"
    model = args.model if Path(args.model).is_dir() else "FOLDER"
    command = ["pusa-lab", "train", "--recipe", "paper", "--data", str(args.out), "--model", model]
    command += ["--expert", "high"] if (Path(model) / "transformer_2").is_dir() else []
    where = "" if model != "FOLDER" else f", where FOLDER holds {args.model}"
    return f"{look}, and train on it with `{shlex.join(command)}`{where}"


def _show(args: argparse.Namespace) -> None:
    from pusa_lab.training.latents import LatentCache

    cache = LatentCache(args.cache)
    m = cache.manifest
    shape = " x ".join(str(n) for n in m["clips"][0]["latents"]) if len(cache) else "none"
    size = sum(path.stat().st_size for path in args.cache.iterdir())
    rows = {
        "clips": f"{len(cache)} of {m['pixel_frames']} frames at {m['fps']:g} a second from {m['start']:g} s, "
        f"{m['size'][0]} x {m['size'][1]}",
        "latents": f"{shape}, {m['dtype']}",
        "model": f"{m['model']}, codec {m['codec']}, text encoder {m['text_encoder']}",
        "folder": _source(m),
        "written": f"by pusa_lab {m['version']}, format {m['format']}, {size / 2**20:,.1f} MiB",
    }
    table = [f"{name:10}{_plain(text)}" for name, text in rows.items()]
    clips = [_plain(f"  {clip['name']}: {clip['caption']}") for clip in m["clips"]]
    broken = [_plain(f"  {entry['name']} {entry['reason']}") for entry in m["broken"]]
    say(*table, *clips, *(["skipped", *broken] if broken else []))


def _source(manifest: dict[str, Any]) -> str:
    """The folder of clips, and how it differs from the cache."""
    from pusa_lab.training.manifest import source_differences

    source = manifest["source"]
    if not source:
        return "unknown"
    if not Path(source).is_dir():
        return f"{source}, which no longer exists"
    differences = ", ".join(source_differences(manifest))
    return f"{source}, which has changed: {differences}" if differences else f"{source}, unchanged"


def _load(name: str, sizes: dict[str, Any]) -> tuple[Any, bool]:
    """Load a toy by its name or file, else the two encoders of a Wan; the second value is True for a toy."""
    import small_models

    if name in small_models.list_models() or name.endswith(".safetensors"):
        model = small_models.load(name)
        if not hasattr(model, "encode_text"):
            raise ValueError(f"{name} reads no captions: choose a whole model, such as mini-vta.")
        return model, True
    if not Path(name).is_dir() and "/" not in name:
        names = ", ".join(small_models.list_models())
        raise ValueError(f"no model {name!r}: choose one of {names}, or a Wan's folder or repository.")
    from pusa_lab.wan.encoders import WanEncoders

    return WanEncoders.from_pretrained(name, **sizes), False


def _shown(steps: Iterator["Step"]) -> Iterator["Step"]:
    """The same steps; on a terminal a line tells how far they are."""
    for step in steps:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{step.number}/{step.total} {_plain(step.name)} {step.outcome}")
            sys.stderr.flush()
        yield step
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")


def _size(word: str) -> tuple[int, int]:
    height, _, width = word.partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise argparse.ArgumentTypeError(f"{word!r} is no size: give HEIGHTxWIDTH, such as 480x832.")
    return int(height), int(width)


def _plain(text: str) -> str:
    """Escape control characters, with which an untrusted file could change the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@checked
def say(*lines: str) -> None:
    """Write lines to the standard output; characters that its encoding lacks are escaped.

    Args:
        *lines: without line breaks at their ends.
    """
    coding = sys.stdout.encoding or "utf-8"
    sys.stdout.write("".join(f"{line}\n" for line in lines).encode(coding, "backslashreplace").decode(coding))
