"""Scenes of the toys' world for noise.yaml: their captions, their first pictures, and how they really continue."""

from pusa_lab import metrics, tasks
from pusa_lab.pixels import to_pixels, to_uint8
from small_models import world

SCENES = world.draw_scenes(8, seed=7, world=world.MINI)
CLIPS = dict(zip(world.captions(SCENES), to_uint8(world.render(SCENES)), strict=True))
prompts = list(CLIPS)


def truth(prompt):
    """The clip that a caption describes."""
    return CLIPS[prompt]


def first_frame(prompt, noise=0.0):
    """Image to video from the first frame of that clip."""
    return tasks.image_to_video(CLIPS[prompt][0], noise=noise)


def psnr(result, truth):
    """PSNR in dB of the frame that was given, and mean of those that were made."""
    found = metrics.psnr(to_pixels(result.video), to_pixels(truth))[0]
    return {"given": found[0], "made": found[1:].mean()}
