"""Known frames: where they stand, how noisy they are, and how they are kept.

`Known.mode` says how a known frame is kept; m is its `noise`, and S the noise level that it would have if generated:

| mode          | timestep given | latents given                        | at the end  | who does this                |
| ------------- | -------------- | ------------------------------------ | ----------- | ---------------------------- |
| `freeze`      | 0              | clean, never changed                 | as given    | Pusa with m = 0              |
| `denoise`     | m S            | noised once to m S[0], then denoised | regenerated | Pusa, 2507.16116 App. B      |
| `hold`        | m              | level m, fresh noise at every row    | as given    | SkyReels-V2, 2504.13074      |
| `replacement` | m S            | level m S, fresh noise at every row  | as given    | Wan TI2V-5B with m = 0       |
| `label`       | m              | clean, although the timestep is m    | as given    | Diffusion Forcing 2407.01392 |

With m = 0 all five modes keep the frame exactly, and on Gaussian data the other frames are then samples of the exact
conditional distribution. With m > 0 every mode is biased in its own way, and the bias vanishes as m goes to 0:

- `denoise`: the known frame itself drifts towards the other frames, more so for larger m; with m = 1 it is forgotten.
- `hold`: the other frames follow it too little, as if it had been observed once, through noise of level m. Over many
  rows the fresh noise averages out, and they are samples of the conditional given (1 - m) x0 observed at level m.
- `label`: the other frames are samples of the conditional given x0 observed at level m. The timestep tells the
  model that it sees (1 - m) times the frame, so it takes the frame for a larger one: at small m the other frames
  overreact, at large m they follow too little.
- `replacement`: the observation becomes sharper as m S falls, but earlier steps are not undone. With the same timestep
  for all frames (m = 1, as in SDEdit) the other frames follow too little, and more rows do not help; going back up
  does, as in RePaint: `schedules.repaint`.

tests/test_policies.py checks all of this against closed forms.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.pixels import pixels_of
from pusa_lab.registry import Registry
from pusa_lab.schedules import noise_levels
from pusa_lab.types import Levels

Column = Float[Tensor, " rows"]


@checked
@dataclass(frozen=True)
class Mode:
    """How a known frame is kept while the others are generated."""

    levels: Callable[[Column, float], Column]
    """(column, m) -> the noise levels (rows,) that the model is given for the frame: column (rows,) is what the
    schedule has for it, m the level that the task gives it. The last level is 0."""
    replaced: bool = False
    """Whether its latents are set anew at every row, noised to that row's level with fresh noise."""
    noisy: bool = True
    """Whether its latents are noised to the level at all; if not, the model is given clean ones."""
    exact: bool = False
    """Whether it can only be kept exactly, with m = 0."""


@checked
def scaled(column: Column, m: float) -> Column:
    """The level falls with the schedule: m S.

    Args:
        column: noise levels (rows,) of the frame in the schedule.
        m: level of the known frame, in [0, 1].
    """
    return noise_levels(m, 1)[0] * column


@checked
def constant(column: Column, m: float) -> Column:
    """The level stays at m until the last row, which is clean.

    Args:
        column: noise levels (rows,) of the frame in the schedule.
        m: level of the known frame, in [0, 1].
    """
    levels = column.new_full(column.shape, noise_levels(m, 1)[0])
    levels[-1:] = 0
    return levels


MODES: Registry[Mode] = Registry(
    "mode",
    "pusa_lab.modes",
    {
        "freeze": Mode(scaled, exact=True),
        "denoise": Mode(scaled),
        "hold": Mode(constant, replaced=True),
        "replacement": Mode(scaled, replaced=True),
        "label": Mode(constant, replaced=True, noisy=False),
    },
    Mode,
)
"""Name -> how a known frame is kept: see the table at the top of this module. `MODES.register` adds one."""


@checked
@dataclass(frozen=True, eq=False)
class Known:
    """A known picture or clip, and its place in the video.

    Raises:
        ValueError: not exactly one of `at` and `pixel_at` is given, or a field is not valid.
    """

    clip: Any
    """(h, w, 3), (pixel frames, h, w, 3) or, for one clip per sample, (b, pixel frames, h, w, 3), uint8 or floats in
    [0, 1]; an array, a tensor, nested lists or, for a picture, a Pillow image."""
    at: int | None = None
    """Latent frame where it starts; a negative number counts from the end and says where it ends: -1 is the last."""
    pixel_at: int | None = None
    """The same as a pixel frame, 0 or more; give one of the two. A picture goes to the latent frame that holds it, a
    clip must start where a latent frame starts: see `frame_table`."""
    noise: Levels = 0.0
    """Level m in [0, 1], one for all latent frames of the clip or one per latent frame: 0 is exact, 1 is free."""
    mode: str = "denoise"
    """How it is kept, one of `MODES`: see the table at the top of this module. `freeze` needs `noise` = 0. For `label`,
    the code of Diffusion Forcing also scales the latents by 1 - noise, which is not done here."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "clip", pixels_of(self.clip, "a known picture or clip"))
        if (self.at is None) == (self.pixel_at is None):
            raise ValueError(f"at={self.at}, pixel_at={self.pixel_at}: give exactly one of the two for a known frame.")
        if self.pixel_at is not None and self.pixel_at < 0:
            raise ValueError(f"pixel_at={self.pixel_at}: give 0 or more, or use at=-1 for the last latent frame.")
        noise_levels(self.noise, torch.as_tensor(self.noise).numel())
        MODES.find(self.mode)


@checked
@dataclass(frozen=True, eq=False)
class Task:
    """A name, and the known frames."""

    name: str
    """Name to show, such as "image_to_video"."""
    known: tuple[Known, ...] = ()
    """Known pictures and clips with their places; empty for text-to-video."""
