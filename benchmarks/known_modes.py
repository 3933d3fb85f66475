"""Noise on a known frame means five things: what each makes of the frame after it, on videos whose truth is known.

pusa-lab bench known_modes        # one core, a few seconds
"""

import sys

import numpy as np
import torch

import pusa_lab as pl
from pusa_lab import cli
from pusa_lab.analytic import GaussianDenoiser, condition
from pusa_lab.cli.terminal import say
from pusa_lab.types import Geometry

LEVELS = (0.3, 0.8)
TIMES = torch.arange(4, dtype=torch.float64)
COV = torch.exp(-((TIMES[:, None] - TIMES) ** 2) / 4) + 0.1 * torch.eye(4, dtype=torch.float64)


class GaussianVideo(GaussianDenoiser):
    """Four frames, each like its neighbours; a `VideoModel`."""

    device, geometry = torch.device("cpu"), Geometry((1, 1, 1), 3, 4, (41, 41))
    encode_video = staticmethod(lambda clip: 6 * clip)  # pixels end at -1 and 1, Gaussian numbers do not
    decode = staticmethod(lambda latents: latents / 6)

    def encode_text(self, prompts: list[str]) -> dict[str, torch.Tensor]:
        """It reads none."""
        return {}


def main() -> None:
    """The mean of frame 1 where frame 0 is kept at a noise level, by mode."""
    model = GaussianVideo(torch.linspace(-1, 1, 4, dtype=torch.float64), COV)
    exact, _ = condition(model.mean, model.cov, [0], torch.ones(1, dtype=torch.float64))
    say(f"frame 1 should have a mean of {exact[1]:.2f}, and without the picture it would have {model.mean[1]:.2f}\n")
    say(f"| mode | {' | '.join(f'm = {m}' for m in LEVELS)} |\n|{'---|' * (1 + len(LEVELS))}")
    for mode in ("denoise", "hold", "replacement", "label"):
        means = []
        for m in LEVELS:
            task = pl.tasks.image_to_video(np.full((41, 41, 3), (1 / 6 + 1) / 2), noise=m, mode=mode)  # 1 as a latent
            made = pl.generate(model, "", task, steps=40, guidance=1.0, solver="heun", seed=0)
            means.append(made.latents[:, :, 1].double().mean().item())
        say(f"| `{mode}` | {' | '.join(f'{mean:.2f}' for mean in means)} |")


if __name__ == "__main__":
    sys.exit(cli.main(script=main))
