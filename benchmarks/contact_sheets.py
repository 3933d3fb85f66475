"""Draw what the shipped toy does in every task, beside the truth: python benchmarks/contact_sheets.py

Writes small_models/results/<model>-<task>.png. Two rows a scene: the video made, and what really happens; known frames
are the same in both. Scenes and seeds are fixed, so nothing is picked.
"""

import argparse
from pathlib import Path

import numpy as np

import small_models
from pusa_lab import generate, media, tasks
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


def main() -> None:
    """Draw all sheets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini-vta")
    args = parser.parse_args()
    model = small_models.load(args.model)
    frames = model.geometry.pixel_frames(model.geometry.frames)
    long, captions = sheets.truth(model, SCENES, 2 * frames - 1)
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
            made[name] += [generate(model, caption, task, **OPTIONS).video[0], clip]
        made["extension"] += [extended(model, clip, caption, frames - 1), future]
    for name, rows in made.items():
        shown = 17 if name == "extension" else 9
        media.write_picture(OUT / f"{args.model}-{name}.png", sheets.contact_sheet(rows, shown))
    (OUT / f"{args.model}-captions.txt").write_text("\n".join(captions) + "\n")


if __name__ == "__main__":
    main()
