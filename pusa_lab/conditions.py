"""From a task to what the sampler needs: known frames found, checked, encoded, and put where they belong."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pusa_lab.pixels import fit, to_pixels
from pusa_lab.schedules import frame_indices, noise_levels
from pusa_lab.tasks import Known, Task
from pusa_lab.timesteps import interpolate
from pusa_lab.types import Clip, Geometry, Schedule, Tau, Video, VideoModel


@dataclass(frozen=True, eq=False)
class Conditions:
    """A task whose frames are found, checked and, after `encode`, known as latents: what the sampler needs of it."""

    at: list[int]
    """Known latent frames."""
    noise: list[float]
    """Level kept for each."""
    held: list[bool]
    """Whether each is in mode "hold"."""
    clips: list[Tensor]
    """The known pixels in the model's size, each (b or 1, 3, its own pixel frames, h, w)."""
    latents: Video | None = None
    """Clean latents (b or 1, c, n, h, w) of the known frames, in the order of `at`; None when nothing is known."""

    def schedule(self, schedule: Schedule) -> Schedule:
        """The same schedule with the columns of known frames at their level.

        S'[r, i] = m_i S[r, i] (denoise), or m_i until the last row, which is 0 (hold); a column that already starts
        at m_i stays as it is

        Args:
            schedule: clocks (rows, f).

        Raises:
            ValueError: a known frame's column starts below 1, but not at the level the task keeps it at.
        """
        out = schedule.clone()
        for i, m, held in zip(self.at, self.noise, self.held, strict=True):
            start = schedule[0, i].item()
            if start < 1 and abs(start - m) > 1e-6:
                raise ValueError(f"the schedule keeps frame {i} at {start:.4g}, the task at {m:.4g}: say it once.")
            out[:, i] *= m if start == 1 else 1
            if held:
                out[:-1, i] = m
        return out

    def encode(self, model: VideoModel) -> "Conditions":
        """The same with latents, from the model's codec."""
        if not self.clips:
            return self
        latents, start = [], 0
        for clip in self.clips:
            found = encode_at(model, clip.to(model.device), self.at[start])
            latents.append(found)
            start += found.shape[2]
        batch = max(len(x) for x in latents)
        return replace(self, latents=torch.cat([x.expand(batch, -1, -1, -1, -1) for x in latents], dim=2))

    def start(self, eps: Video, tau: Tau) -> Video:
        """Noise eps (b, c, f, h, w) with every known frame put at its level in tau (b, f)."""
        return self._put(eps, eps, tau, [True] * len(self.at))

    def impose(self, x: Video, eps: Video, tau: Tau) -> Video:
        """x with every held frame set anew to its level in tau (b, f), with the noise eps."""
        return self._put(x, eps, tau, self.held)

    def _put(self, x: Video, eps: Video, tau: Tau, which: list[bool]) -> Video:
        if self.latents is None or not any(which):
            return x
        at = [i for i, yes in zip(self.at, which, strict=True) if yes]
        known = self.latents[:, :, which].to(x).expand(len(x), -1, -1, -1, -1)
        x = x.clone()
        x[:, :, at] = interpolate(known, eps[:, :, at], tau[:, at])
        return x


def encode_at(model: VideoModel, clip: Clip, at: int) -> Video:
    """The latents (b, c, n, h, w) of a clip that starts at latent frame `at`.

    Codecs give the first latent one pixel frame and every later one `stride` of them. So what starts later is encoded
    behind a standstill; of 1 + stride * (n - 1) pixel frames the first is repeated to fill a latent frame of its own.

    Args:
        model: gives codec and geometry.
        clip: pixels (b, 3, pf, h, w), pf = 1 + stride * (n - 1), or stride * n if at is above 0.
        at: latent frame where it will stand.
    """
    stride = model.geometry.stride[0]
    if at == 0 or stride == 1:
        return model.encode_video(clip)
    still = clip[:, :, :1].expand(-1, -1, stride if clip.shape[2] % stride else 1, -1, -1)
    return model.encode_video(torch.cat([still, clip], dim=2))[:, :, 1:]


def place(task: Task, geometry: Geometry, frames: int, batch: int = 1) -> Conditions:
    """Find the latent frames of a task's known clips and check them all; nothing is encoded yet.

    Args:
        task: what is known.
        geometry: of the model.
        frames: latent frames of the video.
        batch: samples; a known clip is one for all, or one each.

    Raises:
        ValueError: a clip does not fit the video or the batch, two meet at one frame, or a level is out of range.
    """
    at: list[int] = []
    noise: list[float] = []
    held: list[bool] = []
    clips = []
    for known in task.known:
        clip = to_pixels(known.clip)
        if len(clip) not in (1, batch):
            raise ValueError(
                f"a known clip for {len(clip)} samples, but {batch} prompts: give one for all, or one each."
            )
        n = _length(known, clip.shape[2], geometry)
        at += _span(known, n, frames, geometry)
        noise += noise_levels(known.noise, n)
        held += [known.mode == "hold"] * n
        clips.append(fit(clip, geometry.size))
    at = frame_indices(at, frames)
    if len(at) == frames and not any(noise):
        raise ValueError(f"all {frames} latent frames are known and kept clean: nothing is left to generate.")
    return Conditions(at, noise, held, clips)


def _length(known: Known, pixel_frames: int, geometry: Geometry) -> int:
    """Latent frames of a known clip; behind the first latent frame, whole groups of pixel frames fit too."""
    stride = geometry.stride[0]
    if (known.at or known.pixel_at) and pixel_frames % stride == 0:
        return pixel_frames // stride
    return geometry.latent_frames(pixel_frames)


def _span(known: Known, n: int, frames: int, geometry: Geometry) -> list[int]:
    at = known.at if known.at is not None else geometry.latent_at(known.pixel_at or 0)
    first = frame_indices([at], frames)[0] - (n - 1 if at < 0 else 0)
    if first < 0 or first + n > frames:
        raise ValueError(
            f"a known clip of {n} latent frames at latent frame {at} reaches past the end of a video of "
            f"{frames} latent frames ({geometry.pixel_frames(frames)} pixel frames): shorten it or ask for more frames."
        )
    return list(range(first, first + n))
