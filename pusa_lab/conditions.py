"""From a task to what the sampler needs: known frames found, checked, encoded, and put where they belong."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pusa_lab.arguments import called, checked, returned
from pusa_lab.pixels import crop_and_resize, to_pixels
from pusa_lab.sampling_inputs import Matrix, levels_of, with_levels
from pusa_lab.schedules import frame_indices, noise_levels, starts_as_noise
from pusa_lab.schedules.checks import ROUNDING, faults, snapped
from pusa_lab.sentences import counted, listed
from pusa_lab.tasks import MODES, Known, Task
from pusa_lab.tasks.known import Column
from pusa_lab.timesteps import interpolate
from pusa_lab.types import Clip, Geometry, Rising, Schedule, Tau, Video, VideoModel


@dataclass(frozen=True, eq=False)
class Conditions:
    """A task whose frames are found, checked and, after `encode`, known as latents: what the sampler needs of it."""

    at: list[int]
    """Known latent frames."""
    noise: list[float]
    """Level kept for each."""
    mode: list[str]
    """How each is kept, one of `tasks.MODES`."""
    clips: list[Tensor]
    """The known pixels in the model's size, each (b or 1, 3, its own pixel frames, h, w)."""
    latents: Video | None = None
    """Clean latents (b or 1, c, n, h, w) of the known frames, in the order of `at`; None when nothing is known."""
    argument: str = ""
    """Argument of the denoiser call that is given the latents of a picture, instead of a known frame; "" is none."""

    @property
    def replaced(self) -> list[bool]:
        """Whether each is set anew at every row."""
        return [MODES.find(mode).replaced for mode in self.mode]

    @property
    def renewed(self) -> list[int]:
        """Frames that get fresh noise at every row, at a level above 0."""
        each = zip(self.at, self.noise, self.mode, self.replaced, strict=True)
        return [i for i, level, mode, replaced in each if replaced and level > 0 and MODES.find(mode).noisy]

    @checked
    def schedule(self, schedule: Matrix) -> Matrix:
        """The same schedule with the columns of known frames at the levels that the task, and it alone, gives them.

        S'[:, i] = levels(S[:, i], m_i), with `levels` of the frame's mode. A column that starts below noise has a level
        of its own: it is refused, unless it is already what the task makes it, as in the schedule of a result. Of a
        schedule that goes back up, a known frame that is not replaced follows the lowest level so far: it is not noised
        on.

        Args:
            schedule: valid noise levels, every column starting at noise: how the frames would run if nothing were
                known.

        Raises:
            ValueError: a column starts below noise and is not what the task makes it.
        """
        levels, rising = levels_of(schedule), isinstance(schedule, Rising)
        if levels.ndim == 2:
            return with_levels(schedule, self._with_known(levels, rising))
        each = [self._with_known(one, rising, f" of sample {i}") for i, one in enumerate(levels)]
        return with_levels(schedule, torch.stack(each))

    def _with_known(self, schedule: Schedule, rising: bool, whose: str = "") -> Schedule:
        out = schedule.clone()
        kept = dict(zip(self.at, self.noise, strict=True))
        for i, mode in zip(self.at, self.mode, strict=True):
            out[:, i] = _levels(mode, schedule[:, i], kept[i], rising)
        for i, start in enumerate(schedule[0].tolist()):
            if starts_as_noise(start):
                continue
            if i not in kept:
                raise ValueError(
                    f"frame {i}{whose} starts at {start:.4g} but nothing is known of it: start it at 1, or name it "
                    f"among the task's known frames."
                )
            if abs(start - kept[i]) > ROUNDING or not torch.allclose(out[:, i], schedule[:, i], rtol=0, atol=ROUNDING):
                raise ValueError(
                    f"known frame {i}{whose} starts at {start:.4g} in the schedule, but the task alone sets its level "
                    f"(noise={kept[i]:.4g}): start the frame at 1, as in schedule='synchronous'."
                )
        return out

    def as_input(self, argument: str) -> "Conditions":
        """The same for a model that takes its picture as an input: no frame is known.

        Args:
            argument: of the denoiser call.

        Raises:
            ValueError: more is known than frame 0, or it is noisy or kept otherwise.
        """
        if (self.at, self.noise, self.mode) != ([0], [0.0], ["denoise"]):
            raise ValueError(
                "the model takes one picture as its input, and no other known frames: give "
                "tasks.image_to_video(picture), without noise and mode, or text alone."
            )
        return Conditions([], [], [], self.clips, argument=argument)

    @property
    def inputs(self) -> dict[str, Video]:
        """Arguments of the denoiser call, after `encode`."""
        return {self.argument: self.latents} if self.argument and self.latents is not None else {}

    @checked
    def encode(self, model: VideoModel) -> "Conditions":
        """The same with latents, from the model's codec."""
        if not self.clips:
            return self
        latents, start = [], 0
        for clip in self.clips:
            found = encode_at(model, clip.to(model.device), self.at[start] if self.at else 0)
            latents.append(found)
            start += found.shape[2]
        batch = max(len(x) for x in latents)
        return replace(self, latents=torch.cat([x.expand(batch, -1, -1, -1, -1) for x in latents], dim=2))

    @checked
    def start(self, eps: Video, tau: Tau) -> Video:
        """Noise eps (b, c, f, h, w) with every known frame at its level in tau (b, f), or clean if its mode says so."""
        return self._put(eps, eps, tau, [True] * len(self.at))

    @checked
    def replace_known(self, x: Video, eps: Video, tau: Tau) -> Video:
        """x with every replaced frame noised anew by eps to its level in tau (b, f), or clean if its mode says so."""
        return self._put(x, eps, tau, self.replaced)

    def _put(self, x: Video, eps: Video, tau: Tau, which: list[bool]) -> Video:
        if self.latents is None or not any(which):
            return x
        at = [i for i, yes in zip(self.at, which, strict=True) if yes]
        noisy = [MODES.find(mode).noisy for mode, yes in zip(self.mode, which, strict=True) if yes]
        known = self.latents[:, :, which].to(x).expand(len(x), -1, -1, -1, -1)
        x = x.clone()
        x[:, :, at] = interpolate(known, eps[:, :, at], tau[:, at] * tau.new_tensor(noisy))
        return x


def _levels(mode: str, column: Column, m: float, rising: bool) -> Column:
    name, kind = f"the mode {mode}", MODES.find(mode)
    column = column.clone() if kind.replaced else column.cummin(0).values
    levels = returned(called(name, kind.levels, {"column": column, "m": m}), Column, name)
    if len(levels) != len(column):
        raise ValueError(f"{name} returned {len(levels)} levels for {len(column)} rows: it must keep them all.")
    if found := faults(levels[:, None], rising=rising and kind.replaced):
        raise ValueError(f"{name} returned levels that are not valid: {listed(found).replace(', frame 0', '')}.")
    return snapped(levels[:, None])[:, 0]


@checked
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


@checked
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
    found = Conditions([], [], [], [])
    for known in task.known:
        _check_shared(known, batch)
        clip = to_pixels(known.clip)
        if len(clip) not in (1, batch):
            raise ValueError(
                f"a known clip for {counted(len(clip), 'sample')}, but {counted(batch, 'prompt')}: give one for all, "
                f"or one each."
            )
        n = _length(known, clip.shape[2], geometry)
        found.at.extend(_span(known, n, frames, geometry))
        found.noise.extend(noise_levels(known.noise, n))
        found.mode.extend([known.mode] * n)
        found.clips.append(crop_and_resize(clip, geometry.size))
    found = replace(found, at=frame_indices(found.at, frames))
    _check_levels(found, frames)
    return found


def _check_shared(known: Known, batch: int) -> None:
    """Refuse a clip with as many frames as samples: it may be one clip for all or one picture for each sample."""
    if known.clip.ndim == 4 and len(known.clip) == batch > 1:
        raise ValueError(
            f"a known clip of {batch} frames for {batch} prompts may mean one clip for all or one picture for each: "
            f"give clip[None] for one clip, or clip[:, None] for one picture per prompt."
        )


def _check_levels(found: Conditions, frames: int) -> None:
    levels = list(zip(found.at, found.noise, found.mode, strict=True))
    if noisy := [(i, m, mode) for i, m, mode in levels if MODES.find(mode).exact and m > 0]:
        raise ValueError(
            f"frame {noisy[0][0]} is in mode {noisy[0][2]}, which keeps it exactly, but at noise {noisy[0][1]:.4g}: "
            f"give noise=0, or another mode."
        )
    if len(levels) == frames and all(m == 0 or MODES.find(mode).replaced for _, m, mode in levels):
        every = f"all {frames} latent frames are" if frames > 1 else "the only latent frame is"
        raise ValueError(f"{every} known and kept clean: nothing is left to generate.")


def _length(known: Known, pixel_frames: int, geometry: Geometry) -> int:
    """Latent frames of a known clip; behind the first latent frame, whole groups of pixel frames fit too."""
    stride, start = geometry.stride[0], known.pixel_at
    if start and pixel_frames > 1 and ((start - 1) % stride or pixel_frames % stride):
        last = start + pixel_frames - 1
        first_held, last_held = (geometry.pixels_at(geometry.latent_at(p)) for p in (start, last))
        raise ValueError(
            f"a known clip of pixel frames {start}..{last} cuts through latent frames, which hold {first_held[0]}.."
            f"{last_held[-1]}: give all of these, or fewer whole latent frames (tasks.frame_table shows them)."
        )
    if (known.at or start) and pixel_frames % stride == 0:
        return pixel_frames // stride
    return geometry.latent_frames(pixel_frames)


def _span(known: Known, n: int, frames: int, geometry: Geometry) -> list[int]:
    at = known.at if known.at is not None else geometry.latent_at(known.pixel_at or 0)
    first = frame_indices([at], frames)[0] - (n - 1 if at < 0 else 0)
    if first < 0 or first + n > frames:
        raise ValueError(
            f"a known clip of {counted(n, 'latent frame')} at latent frame {at} reaches past the end of a video of "
            f"{counted(frames, 'latent frame')} ({counted(geometry.pixel_frames(frames), 'pixel frame')}): shorten it "
            f"or ask for more frames."
        )
    return list(range(first, first + n))
