"""Draw the tour's picture and clip, and the README's figure: python notebooks/assets/make.py.

The scene is one of the toy's world; the figure is what `nano-vta` makes of it.
"""

from pathlib import Path

import mediapy

from pusa_lab import generate, media, viz
from pusa_lab.pixels import to_uint8
from pusa_lab.tasks import image_to_video
from small_models import load
from small_models.world import captions, draw_scenes, render

SEED = 12
SCENE = slice(39, 40)
HERE = Path(__file__).parent


def main() -> None:
    """Write still.png (frame 0), clip.mp4 (all 8 frames), caption.txt and tour.png."""
    scene = draw_scenes(100, SEED)[SCENE]
    video = to_uint8(render(scene, frames=8, size=256))[0]
    mediapy.write_image(HERE / "still.png", video[0])
    media.write_clip(HERE / "clip.mp4", video, fps=8)
    prompt = captions(scene)[0]
    (HERE / "caption.txt").write_text(prompt + "\n")

    result = generate(load("nano-vta", device="cpu"), prompt, image_to_video(video[0]), steps=10, guidance=2.0)
    viz.plot_result(result, known=[0], title=f"image to video: {prompt}").savefig(HERE / "tour.png", dpi=100)


if __name__ == "__main__":
    main()
