"""Members of the zoo in which frames start at different rows: from both ends, in a window, in blocks, in chunks.

All of them give each frame a delay on the same sigmas g, so every frame makes the same `steps` steps.
"""

import torch

from pusa_lab.arguments import checked
from pusa_lab.schedules.checks import check_size
from pusa_lab.schedules.matrices import check_frames, delayed, whole_rows
from pusa_lab.schedules.sigmas import Sigmas, levels, linear
from pusa_lab.types import Schedule


@checked
def trapezoid(
    steps: int, frames: int, lag: float | int = 1, shift: float | int = 1.0, sigmas: Sigmas = "linear"
) -> Schedule:
    """Both ends are made first, the middle last; no frame is known.

    S[r, i] = g[clip(r - floor(lag min(i, frames - 1 - i)), 0, steps)], picture: a mountain, its flanks at both ends

    Args:
        steps: steps of each frame, at least 1.
        frames: latent frames, at least 1.
        lag: rows between neighbouring frames, at least 0; a fraction lets some neighbours move together.
        shift: as `synchronous`.
        sigmas: as `synchronous`.

    Raises:
        ValueError: an argument is out of range.

    Source: Diffusion Forcing, arXiv 2407.01392; its code has the last column one frame late, and for an even number
        of frames a middle column clean from the start.
    """
    return delayed(steps, [whole_rows(lag, min(i, frames - 1 - i)) for i in check_frames(frames, lag)], shift, sigmas)


@checked
def two_sided(
    steps: int,
    frames: int,
    lag: float | int = 1,
    outward: bool = False,
    shift: float | int = 1.0,
    sigmas: Sigmas = "linear",
) -> Schedule:
    """For known ends: the unknown frames follow inward, and those next to a known frame start at row 0.

    S[r, i] = g[clip(r - floor(lag (d_i - 1)), 0, steps)] for a frame d_i >= 1 frames from the nearest known one;
    S[r, i] = g[r] for a known frame, whose level the task sets, or `scale_columns` where there is none;
    picture: a mountain; outward: a valley

    Unlike in `trapezoid`, where the ends are generated first, no frame waits for the ends.

    Args:
        steps: steps of each frame, at least 1.
        frames: latent frames, at least 1.
        lag: rows between neighbouring unknown frames, at least 0; may be a fraction.
        outward: whether the middle frame is known instead (the two middle ones if the number of frames is even), and
            the ends are generated last.
        shift: as `synchronous`.
        sigmas: as `synchronous`.

    Raises:
        ValueError: an argument is out of range.
    """
    known = sorted({(frames - 1) // 2, frames // 2} if outward else {0, frames - 1})
    away = [min(abs(i - k) for k in known) for i in check_frames(frames, lag)]
    return delayed(steps, [whole_rows(lag, max(d - 1, 0)) for d in away], shift, sigmas)


@checked
def rolling(steps: int, frames: int, window: int = 4, shift: float | int = 1.0, sigmas: Sigmas = "linear") -> Schedule:
    """A window of at most `window` frames in progress moves over the video, filling at its start, emptying at its end.

    S[r, i] = g[clip(r - i lag, 0, steps)], lag = steps / window, picture: a diagonal stripe

    If the lag is a fraction, the linear sigmas, shifted or not, are interpolated, so that every row has the levels
    clip((k + t) / window, 0, 1) of the source. A frame may then start or end between two rows and make steps + 1 steps.
    Other sigmas are not interpolated: their frames start floor(i lag) rows late.

    Args:
        steps: steps of each frame, at least 1; with a multiple of `window`, all frames go through the same levels.
        frames: latent frames of the whole video, at least 1.
        window: largest number of frames in progress, at least 1 (1 is `autoregressive`).
        shift: as `synchronous`.
        sigmas: as `synchronous`.

    Raises:
        ValueError: an argument is out of range.

    Source: Rolling Diffusion, arXiv 2402.09470; the first rows are its start with clip(k / window + t, 0, 1), and the
        last rows its end.
    """
    _check_window(window)
    ahead = [i * steps for i in check_frames(frames)]
    if steps % window == 0 or not (sigmas is linear or (isinstance(sigmas, str) and sigmas == "linear")):
        return delayed(steps, [n // window for n in ahead], shift, sigmas)
    rows = steps - (-ahead[-1] // window) + 1
    check_size(rows, frames)
    fine = levels("linear", steps * window, shift)  # fine enough to hold every level of every frame
    row = torch.arange(rows)[:, None]
    return fine[(row * window - torch.tensor(ahead)).clamp(0, steps * window)]


@checked
def rolling_window(steps: int, window: int = 4, shift: float | int = 1.0, sigmas: Sigmas = "linear") -> Schedule:
    """The rows in which the window of `rolling` moves on by one frame; repeat them for an endless video.

    S[j, k] = g[clip(steps - lag (k + 1) + j, 0, steps)], j = 0..lag, lag = ceil(steps / window);
    S[lag, k + 1] = S[0, k]

    This is a part of a schedule, which the sampling loop takes with whole=False. At its end frame 0 is final: take it
    out, append a frame of noise, and start again at row 0:

        last = sample(denoiser, x, rolling_window(steps, window), whole=False)
        video.append(last[:, :, :1])
        x = torch.cat([last[:, :, 1:], noise], dim=2)

    This is exact for solvers without a memory; `pusa_lab.stream` takes the matrix as its schedule, and moves the memory
    of the others along.

    With R = `rolling(steps, window, window)`, where `steps` is the rounded number, the rows R[: steps - lag + 1] fill
    the window (with whole=False too), and the rows R[steps - lag :] empty it.

    Args:
        steps: steps of each frame, at least 1; rounded up to a multiple of `window`, so that the window moves after a
            constant number of rows, unless sigmas is a list of levels.
        window: frames in progress, at least 1.
        shift: as `synchronous`.
        sigmas: as `synchronous`.

    Raises:
        ValueError: an argument is out of range.

    Source: arXiv 2402.09470; for a model that was not trained for it, FIFO-Diffusion.
    """
    _check_window(window)
    lag = -(-steps // window)
    steps = lag * window if isinstance(sigmas, str) or callable(sigmas) else steps
    # The rows of a full roll from where the first frame of the window has `lag` rows to go.
    return delayed(steps, [k * lag for k in check_frames(window)], shift, sigmas)[steps - lag : steps + 1]


def _check_window(window: int) -> None:
    if window < 1:
        raise ValueError(f"window={window}: give the frames of a window, at least 1.")


@checked
def blockwise(
    steps: int,
    frames: int,
    block: int = 3,
    lag: float | int = 1,
    first_alone: bool = False,
    shift: float | int = 1.0,
    sigmas: Sigmas = "linear",
) -> Schedule:
    """Frames in a block share a timestep, and each block is `lag` rows behind the one before; the last may be shorter.

    S[r, i] = g[n_b], n_b[r] = clip(n_(b-1)[r] - lag, 0, steps), and a block continues once the one before is final;
    that is g[clip(r - floor(b min(lag, steps)), 0, steps)], b = i // block; picture: broad stairs

    Args:
        steps: steps of each frame, at least 1.
        frames: latent frames, at least 1; need not be a multiple of `block`.
        block: frames per block, at least 1.
        lag: rows between neighbouring blocks, at least 0, may be a fraction; with `steps` or more, each block starts
            when the one before is final.
        first_alone: whether frame 0 is a block by itself, which suits a first latent frame that holds one pixel frame.
        shift: as `synchronous`.
        sigmas: as `synchronous`.

    Raises:
        ValueError: an argument is out of range.

    Source: ar_step of SkyReels-V2, arXiv 2504.13074, and AR-Diffusion, arXiv 2503.07418; blocks of 3: CausVid,
        arXiv 2412.07772.
    """
    if block < 1:
        raise ValueError(f"block={block}: give the frames of a block, at least 1.")
    frame, ahead = check_frames(frames, lag), block - 1 if first_alone else 0
    return delayed(steps, [whole_rows(min(lag, steps), (i + ahead) // block) for i in frame], shift, sigmas)


@checked
def staircase(
    steps: int, frames: int, chunk: int = 5, overlap: int = 2, shift: float | int = 1.0, sigmas: Sigmas = "linear"
) -> Schedule:
    """A long video in chunks, generated one after the other; each sees `overlap` finished frames of the one before.

    S[r, i] = g[clip(r - steps c_i, 0, steps)], where chunk c_i = max(0, ceil((i + 1 - chunk) / (chunk - overlap)))
    generates frame i; picture: broad stairs, the first the broadest

    With w = chunk_windows(frames, chunk, overlap)[c], the schedule of chunk c is S[steps c : steps (c + 1) + 1, w]; the
    columns of the frames that it knows are 0.

    Args:
        steps: steps of each frame, at least 1.
        frames: latent frames of the whole video, at least 1.
        chunk: frames that the model sees at a time, at least 1.
        overlap: finished frames among them, from 0 to chunk - 1.
        shift: as `synchronous`.
        sigmas: as `synchronous`.

    Raises:
        ValueError: an argument is out of range.

    Source: overlap_history of SkyReels-V2, arXiv 2504.13074.
    """
    new = _new_frames(chunk, overlap)
    delays = [steps * max(0, -(-(i + 1 - chunk) // new)) for i in check_frames(frames)]
    return delayed(steps, delays, shift, sigmas)


@checked
def chunk_windows(frames: int, chunk: int = 5, overlap: int = 2) -> list[range]:
    """Frames that each chunk of `staircase` sees, the known ones first.

    All windows have `chunk` frames (fewer only if the video is shorter), so the last one may overlap by more.

    Args:
        frames: latent frames of the whole video, at least 1.
        chunk: frames that the model sees at a time, at least 1.
        overlap: finished frames among them, from 0 to chunk - 1.

    Raises:
        ValueError: an argument is out of range.
    """
    new = _new_frames(chunk, overlap)
    stops = range(min(chunk, len(check_frames(frames))), frames + new, new)
    return [range(max(0, min(stop, frames) - chunk), min(stop, frames)) for stop in stops]


def _new_frames(chunk: int, overlap: int) -> int:
    if not 0 <= overlap < chunk:
        raise ValueError(
            f"overlap={overlap} for chunks of {chunk} frames: give 0 to chunk - 1, so that each chunk has new frames."
        )
    return chunk - overlap
