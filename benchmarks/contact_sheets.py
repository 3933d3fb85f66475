"""Pictures of what the shipped toy does in every task, beside the truth: pusa-lab bench contact_sheets"""

import sys
from pathlib import Path

import numpy as np

import small_models
from pusa_lab import cli, generate, media, tasks
from pusa_lab.files import writing
from small_models.evaluation import sheets

OUT = Path(__file__).resolve().parents[1] / "small_models" / "results"
SCENES = 5
OPTIONS = {"steps": 20, "guidance": 3.0, "seed": 0}
KNOWN = 9
"""Pixel frames, three latent ones, that an extension or a transition starts from; a transition ends with 8, two."""


def extended(model: small_models.ToyModel, clip: np.ndarray, caption: str, length: int) -> np.ndarray:
    """A clip made longer by `length` frames, 24 at a time, each time from its last KNOWN frames."""
    whole = clip
    while len(whole) < len(clip) + length:
        more = generate(model, caption, tasks.extension(whole, known=KNOWN), **OPTIONS).video[0]
        whole = np.concatenate([whole, more[KNOWN:]])
    return whole[: len(clip) + length]


def main(*, model: str = "mini-vta") -> None:
    """Pictures of what a shipped toy makes in every task, beside the truth.

    Writes small_models/results/<model>-<task>.png. Two rows a scene: the video made, and what really happens; known
    frames are the same in both. Scenes and seeds are fixed, so nothing is picked.

    Args:
        model: name of the toy.
    """
    toy = small_models.load(model)
    frames = toy.geometry.pixel_frames(toy.geometry.frames)
    long, captions = sheets.truth(toy, SCENES, 2 * frames - 1)
    clips = long[:, :frames]
    made: dict[str, list[np.ndarray]] = {name: [] for name in ("text_to_video", "image_to_video", "start_end")}
    made |= {"extension": [], "transition": []}
    for clip, future, caption in zip(clips, long, captions, strict=True):
        jobs = {
            "text_to_video": tasks.text_to_video(),
            "image_to_video": tasks.image_to_video(clip[0]),
            "start_end": tasks.start_end(clip[0], clip[-1]),
            "transition": tasks.transition(clip[:KNOWN], clip[-(KNOWN - 1) :]),
        }
        for name, task in jobs.items():
            made[name] += [generate(toy, caption, task, **OPTIONS).video[0], clip]
        made["extension"] += [extended(toy, clip, caption, frames - 1), future]
    for name, rows in made.items():
        shown = 17 if name == "extension" else 9
        media.write_picture(OUT / f"{model}-{name}.png", sheets.contact_sheet(rows, shown))
    with writing(OUT / f"{model}-captions.txt") as part:
        part.write_text("\n".join(captions) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(cli.main(script=main))
