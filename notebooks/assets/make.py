"""Draw the tour's picture and clip: python notebooks/assets/make.py. The scene is one of the toy's world."""

from pathlib import Path

import mediapy

from pusa_lab import media
from pusa_lab.pixels import to_uint8
from small_models.world import captions, draw_scenes, render

SEED = 12
SCENE = slice(39, 40)
HERE = Path(__file__).parent


def main() -> None:
    """Write still.png (frame 0), clip.mp4 (all 8 frames) and caption.txt."""
    scene = draw_scenes(100, SEED)[SCENE]
    video = to_uint8(render(scene, frames=8, size=256))[0]
    mediapy.write_image(HERE / "still.png", video[0])
    media.write_clip(HERE / "clip.mp4", video, fps=8)
    (HERE / "caption.txt").write_text(captions(scene)[0] + "\n")


if __name__ == "__main__":
    main()
