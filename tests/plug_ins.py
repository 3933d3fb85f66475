"""A file of plug-ins for test_import_paths.py, which stands outside the package."""

SOURCE = '''
from dataclasses import dataclass, replace

import torch

import beside  # a module in the same folder
import pusa_lab as pl
from pusa_lab.tasks import Known, Mode, Task
from small_models.world import NANO


def late(steps, frames, shift=1.0, wait=1):
    """A schedule: a pyramid."""
    return pl.schedules.pyramid(steps, frames, lag=wait, shift=shift)


def averaged(denoiser, x, tau, tau_next, **cond):
    """A solver."""
    return pl.solvers.heun(denoiser, x, tau, tau_next, **cond)


@dataclass(frozen=True)
class Powered:
    """A stateful solver with a setting."""

    power: float = 1.0

    def init_state(self):
        def step(denoiser, x, tau, tau_next, **cond):
            x, v = pl.solvers.euler(denoiser, x, tau, tau_next, **cond)
            return x * self.power, v

        return step


def sharper(denoiser, null, scale=2.0):
    """A guider."""
    return pl.guidance.text_cfg(denoiser, null, scale + beside.MORE)


def bookends(picture, noise=0.0):
    """A task."""
    return Task("bookends", (Known(picture, at=0, noise=noise), Known(picture, at=-1, noise=noise)))


fading = Mode(levels=lambda column, m: torch.minimum(column, torch.full_like(column, m)), replaced=True)


def walk(split=2):
    """A timestep sampler."""

    def sample(batch, frames, generator=None):
        pair = torch.rand(batch, 2, generator=generator)
        return pair[:, (torch.arange(frames) >= split).long()]

    return sample


def middle(tau, power=1.0):
    """A weight."""
    return 6 * (tau * (1 - tau)) ** power


def brightness(result):
    """A metric."""
    return result.video.mean() / 255


def against(result, truth):
    """A metric with a truth."""
    return float(abs(result.video.mean() - truth))


prompts = ["a red circle moves right", "a blue square moves up"]
truth = dict.fromkeys(prompts, 100.0)
calm = replace(NANO, objects=(1.0,))


def make(device=None, which="nano-vta"):
    """A model."""
    return pl.load(which, device=device)
'''
BESIDE = "MORE = 1.0\n"


def write_plug_ins(folder):
    """Write them; gives the path of the file, and forgets what earlier tests imported."""
    folder.mkdir(exist_ok=True)
    (folder / "beside.py").write_text(BESIDE)
    (folder / "plugs.py").write_text(SOURCE)
    return folder / "plugs.py"
