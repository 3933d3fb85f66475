"""Draw the tour's picture and clip, and the README's figure: python notebooks/assets/make.py.

The scene is one of the toy's world; the figure is what `mini-vta` makes of it.
"""

from pathlib import Path

import mediapy

from pusa_lab import generate, media, viz
from pusa_lab.pixels import to_uint8
from pusa_lab.tasks import image_to_video
from small_models import load
from small_models.world import MINI, captions, draw_scenes, render

SEED = 12
SCENE = slice(901, 902)
HERE = Path(__file__).parent


def main() -> None:
    """Write still.png (frame 0), clip.mp4 (all 33 frames), caption.txt and tour.png."""
    scene = draw_scenes(2000, SEED, MINI)[SCENE]
    video = to_uint8(render(scene, size=256))[0]
    mediapy.write_image(HERE / "still.png", video[0])
    media.write_clip(HERE / "clip.mp4", video, fps=16)
    prompt = captions(scene)[0]
    (HERE / "caption.txt").write_text(prompt + "\n")

    result = generate(load("mini-vta", device="cpu"), prompt, image_to_video(video[0]), steps=10, guidance=3.0)
    viz.plot_result(result, known=[0], title=f"image to video: {prompt}").savefig(HERE / "tour.png", dpi=100)


if __name__ == "__main__":
    main()
