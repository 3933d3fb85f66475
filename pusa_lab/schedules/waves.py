"""The zoo's moving fronts: from both ends, from the middle, through a window, in blocks, in chunks.

Every one is the grid g walked with a delay for each frame, so each frame makes the same `steps` moves.
"""

import torch

from pusa_lab.arguments import checked
from pusa_lab.schedules.checks import check_size
from pusa_lab.schedules.grids import Grid, levels, linear
from pusa_lab.schedules.matrices import check_frames, delayed, scale_columns, whole_rows
from pusa_lab.types import Levels, Schedule


@checked
def trapezoid(
    steps: int, frames: int, lag: float | int = 1, shift: float | int = 1.0, grid: Grid = "linear"
) -> Schedule:
    """Both ends are made first, the middle last; no frame is known.

    S[r, i] = g[clip(r - floor(lag min(i, frames - 1 - i)), 0, steps)], picture: a mountain, its flanks at both ends

    Args:
        steps: moves of each frame, at least 1.
        frames: latent frames, at least 1.
        lag: rows between neighbouring frames, at least 0; a fraction lets some neighbours move together.
        shift: as `synchronous`.
        grid: as `synchronous`.

    Raises:
        ValueError: an argument is out of range.

    Source: Diffusion Forcing, arXiv 2407.01392; its code has the last column one frame late, and for an even number
        of frames a middle column clean from the start.
    """
    return delayed(steps, [whole_rows(lag, min(i, frames - 1 - i)) for i in check_frames(frames, lag)], shift, grid)


@checked
def two_sided(
    steps: int,
    frames: int,
    lag: float | int = 1,
    noise: Levels = 1.0,
    outward: bool = False,
    shift: float | int = 1.0,
    grid: Grid = "linear",
) -> Schedule:
    """Known at both ends, unknown between: the unknown frames run inward, those beside a known one from row 0.

    S[r, i] = g[clip(r - floor(lag (d_i - 1)), 0, steps)], d_i >= 1 frames to the nearest known one; S[r, i] = m_i g[r]
    for a known one; picture: a mountain between two known columns; outward: a valley around the known middle

    `trapezoid` makes its ends, and only then what is beside them; here nothing waits for the ends.

    Args:
        steps: moves of each frame, at least 1.
        frames: latent frames, at least 1.
        lag: rows between neighbouring unknown frames, at least 0; may be a fraction.
        noise: multiplier m in [0, 1] of the known frames, one for all or one each; 0 keeps them clean, 1 leaves it
            to the task or to `scale_columns`.
        outward: the inverse: the middle frame is known (the two middle ones of an even number), the ends come last.
        shift: as `synchronous`.
        grid: as `synchronous`.

    Raises:
        ValueError: an argument is out of range.
    """
    known = sorted({(frames - 1) // 2, frames // 2} if outward else {0, frames - 1})
    away = [min(abs(i - k) for k in known) for i in check_frames(frames, lag)]
    return scale_columns(delayed(steps, [whole_rows(lag, max(d - 1, 0)) for d in away], shift, grid), known, noise)


@checked
def rolling(steps: int, frames: int, window: int = 4, shift: float | int = 1.0, grid: Grid = "linear") -> Schedule:
    """A window of at most `window` frames in progress rolls over the video: it fills, moves on, and empties.

    S[r, i] = g[clip(r - i lag, 0, steps)], lag = steps / window, picture: a diagonal stripe

    Where the lag is a fraction, the linear grid, shifted or not, is read between its levels, so that every row is
    clip((k + t) / window, 0, 1) of the source: a frame may then start or end in the middle of a row, which makes
    steps + 1 moves of the `steps`. All other grids are kept as they are: their frames start floor(i lag) rows late.

    Args:
        steps: moves of each frame, at least 1; a multiple of `window` gives all frames the same levels.
        frames: latent frames of the whole video, at least 1.
        window: most frames in progress at a time, at least 1 (1 is `autoregressive`).
        shift: as `synchronous`.
        grid: as `synchronous`.

    Raises:
        ValueError: an argument is out of range.

    Source: Rolling Diffusion, arXiv 2402.09470: the ramps are its start with clip(k / window + t, 0, 1) and its end.
    """
    _check_window(window)
    ahead = [i * steps for i in check_frames(frames)]
    if steps % window == 0 or not (grid is linear or (isinstance(grid, str) and grid == "linear")):
        return delayed(steps, [n // window for n in ahead], shift, grid)
    rows = steps - (-ahead[-1] // window) + 1
    check_size(rows, frames)
    fine = levels("linear", steps * window, shift)  # has a level for each row of every frame
    row = torch.arange(rows)[:, None]
    return fine[(row * window - torch.tensor(ahead)).clamp(0, steps * window)]


@checked
def rolling_window(steps: int, window: int = 4, shift: float | int = 1.0, grid: Grid = "linear") -> Schedule:
    """The rows in which the window of `rolling` moves on by one frame: repeat them and the video never ends.

    S[j, k] = g[clip(steps - lag (k + 1) + j, 0, steps)], j = 0..lag, lag = ceil(steps / window);
    S[lag, k + 1] = S[0, k]

    It is a part of a schedule, which samplers take with whole=False. Frame 0 becomes final: take it out, append a
    frame of noise, and start again at row 0:

        last = sample(denoiser, x, rolling_window(steps, window), whole=False)
        video.append(last[:, :, :1])
        x = torch.cat([last[:, :, 1:], noise], dim=2)

    With R = `rolling(steps, window, window)` the window fills along R[: steps - lag + 1] (whole=False too) and empties
    along R[steps - lag :], `steps` being the multiple of the window that is used.

    Args:
        steps: moves of each frame, at least 1; every shift takes equally many rows, so it is rounded up to a multiple
            of `window`, unless the grid is a list of levels.
        window: frames in progress, at least 1.
        shift: as `synchronous`.
        grid: as `synchronous`.

    Raises:
        ValueError: an argument is out of range.

    Source: arXiv 2402.09470; without training for it, FIFO-Diffusion.
    """
    _check_window(window)
    lag = -(-steps // window)
    steps = lag * window if isinstance(grid, str) or callable(grid) else steps
    # The same rows of a full roll, from where the first frame of the window has one shift to go.
    return delayed(steps, [k * lag for k in check_frames(window)], shift, grid)[steps - lag : steps + 1]


def _check_window(window: int) -> None:
    if window < 1:
        raise ValueError(f"window={window}: a rolling window holds at least 1 frame.")


@checked
def blockwise(
    steps: int,
    frames: int,
    block: int = 3,
    lag: float | int = 1,
    first_alone: bool = False,
    shift: float | int = 1.0,
    grid: Grid = "linear",
) -> Schedule:
    """Blocks of frames share a clock, each block `lag` rows behind the one before; a shorter last block counts too.

    S[r, i] = g[n_b], n_b[r] = clip(n_(b-1)[r] - lag, 0, steps), and a block moves on once the one before is final;
    that is g[clip(r - floor(b min(lag, steps)), 0, steps)], b = i // block; picture: broad stairs

    Args:
        steps: moves of each frame, at least 1.
        frames: latent frames, at least 1; no multiple of `block` is needed.
        block: frames that share a clock, at least 1.
        lag: rows between neighbouring blocks, at least 0, may be a fraction; `steps` or more is one block after the
            other.
        first_alone: whether frame 0 is a block by itself, as a first latent that holds one pixel frame may be.
        shift: as `synchronous`.
        grid: as `synchronous`.

    Raises:
        ValueError: an argument is out of range.

    Source: ar_step of SkyReels-V2, arXiv 2504.13074, and AR-Diffusion, arXiv 2503.07418; blocks of 3: CausVid,
        arXiv 2412.07772.
    """
    if block < 1:
        raise ValueError(f"block={block}: a block holds at least 1 frame.")
    frame, ahead = check_frames(frames, lag), block - 1 if first_alone else 0
    return delayed(steps, [whole_rows(min(lag, steps), (i + ahead) // block) for i in frame], shift, grid)


@checked
def staircase(
    steps: int, frames: int, chunk: int = 5, overlap: int = 2, shift: float | int = 1.0, grid: Grid = "linear"
) -> Schedule:
    """A long video in chunks, one after the other, each seeing `overlap` finished frames of the one before.

    S[r, i] = g[clip(r - steps c_i, 0, steps)], c_i = max(0, ceil((i + 1 - chunk) / (chunk - overlap))) the chunk that
    makes frame i; picture: broad stairs, the first the broadest

    Chunk c alone is S[steps c : steps (c + 1) + 1, w], w = chunk_windows(frames, chunk, overlap)[c]: the frames known
    to it are columns at 0.

    Args:
        steps: moves of each frame, at least 1.
        frames: latent frames of the whole video, at least 1.
        chunk: frames that the model sees at a time, at least 1.
        overlap: finished frames among them, from 0 to chunk - 1.
        shift: as `synchronous`.
        grid: as `synchronous`.

    Raises:
        ValueError: an argument is out of range.

    Source: overlap_history of SkyReels-V2, arXiv 2504.13074.
    """
    new = _new_frames(chunk, overlap)
    delays = [steps * max(0, -(-(i + 1 - chunk) // new)) for i in check_frames(frames)]
    return delayed(steps, delays, shift, grid)


@checked
def chunk_windows(frames: int, chunk: int = 5, overlap: int = 2) -> list[range]:
    """The frames that each chunk of `staircase` sees, the known ones first. Arguments and errors as `staircase`.

    All windows are `chunk` frames long, and so the last one may know more than `overlap` of them.
    """
    new = _new_frames(chunk, overlap)
    stops = range(min(chunk, len(check_frames(frames))), frames + new, new)
    return [range(max(0, min(stop, frames) - chunk), min(stop, frames)) for stop in stops]


def _new_frames(chunk: int, overlap: int) -> int:
    if not 0 <= overlap < chunk:
        raise ValueError(
            f"overlap={overlap} of chunks of {chunk} frames: give 0 to chunk - 1, so that each makes some."
        )
    return chunk - overlap
