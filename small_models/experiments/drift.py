"""The drift laboratory: videos of many lengths of the model, in scenes whose truth is known for ever."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab import metrics
from pusa_lab.arguments import checked
from pusa_lab.extend import extend_to
from pusa_lab.noise import noise_of
from pusa_lab.pixels import to_pixels, to_uint8
from pusa_lab.streaming import Move, decoder_of, sample_moves
from pusa_lab.types import Clip, Geometry, Video, VideoModel
from small_models.evaluation import suite
from small_models.evaluation.ways import EVAL_SEED, parts
from small_models.experiments.drift_rows import LongVideo, Way, drift_ways
from small_models.experiments.lab import Rows
from small_models.models.toy import ToyModel
from small_models.world import Scenes, World, captions, draw_scenes, world_named

ENDLESS = ("bounce", "gravity", "circle")
"""Motions that neither leave the picture nor come to rest."""
SCORES = ("psnr", "position_error", "colour_error", "motion")
"""What is measured against length: dB; pixels; grey levels of 255; the change between frames, 1 is the truth's."""
BATCH = {"cpu": 8, "cuda": 96}
ByLength = Float[Tensor, "b lengths"]
Make = Callable[[Scenes, Clip, list[int]], Clip]
"""Scenes, true clips and the seeds of the videos -> long videos, as long as the clips."""


@checked
@dataclass(frozen=True)
class DriftSizes:
    """How much is measured; the defaults are for a GPU."""

    preset: str = "mini"
    """Whose checkpoint is used: mini or nano."""
    lengths: int = 16
    """Length of the videos, in lengths of the model's own."""
    scenes: int = 32
    """Unseen scenes."""
    seeds: int = 3
    """Videos of each scene."""
    calls: int = 4
    """Calls for each latent frame, guidance aside, an even number."""
    guidance: float = 3.0
    """Scale of text guidance."""
    seed: int = 0
    """Of the noise."""

    def __post_init__(self) -> None:
        if self.lengths < 2 or self.scenes < 2 or self.seeds < 1 or self.calls < 2 or self.calls % 2:
            raise ValueError(
                f"lengths={self.lengths}, scenes={self.scenes}, seeds={self.seeds}, calls={self.calls}: give at least "
                f"2 lengths and 2 scenes for a slope and its interval, at least 1 seed, and an even number of calls."
            )

    def video(self, geometry: Geometry) -> LongVideo:
        """The video in latent frames; a third of the model's own length is known."""
        return LongVideo(self.lengths * geometry.frames, geometry.frames // 3, geometry.frames, self.calls)


SMALL_DRIFT = DriftSizes(preset="nano", lengths=3, scenes=4, seeds=1, guidance=2.0)
"""Under two minutes on two cores."""


@checked
def endless(world: World) -> World:
    """The part of a world in which objects stay in the picture and in motion for ever.

    Args:
        world: with at least one of the motions ENDLESS.

    Raises:
        ValueError: it has none of them.
    """
    if not (kept := tuple(motion for motion in world.motions if motion[0] in ENDLESS)):
        raise ValueError(f"no motion of this world stays for ever: give one with {', '.join(ENDLESS)}.")
    return replace(world, motions=kept)


@checked
def drift_rows(model: ToyModel, sizes: DriftSizes) -> Rows:
    """The rows of the table: two without sampling, then every way.

    Args:
        model: the toy.
        sizes: of the measurement.
    """
    video = sizes.video(model.geometry)
    stands: dict[str, Make] = {
        "truth through the codec": partial(_through_the_codec, model),
        "the last known frame, still": partial(_still, model, video.known),
    }
    for name, stand in stands.items():
        yield {"way": name, "change": "none"}, partial(_measured, model, sizes, stand, [])
    plain = drift_ways(video)
    anew = replace(plain[0], change="overlap encoded anew")
    for way in plain:
        yield {"way": way.name, "change": way.change}, partial(measure_way, model, sizes, way)
    make = partial(extended, model, video, sizes.guidance)
    yield {"way": anew.name, "change": anew.change}, partial(measure_way, model, sizes, anew, make)


@checked
def measure_way(model: VideoModel, sizes: DriftSizes, way: Way, make: Make | None = None) -> dict[str, Any]:
    """A row of the table: the scores of one way.

    Args:
        model: a toy, or a causal one.
        sizes: of the measurement.
        way: how the videos are made.
        make: makes them; None follows the moves of the way.
    """
    video = sizes.video(model.geometry)
    make = make or partial(_followed, model, video, sizes.guidance, way)
    about = {"source": way.source, "calls a latent frame": len(way.moves) / video.made}
    return _measured(model, sizes, make, seams(way.moves, video.known), **about)


@checked
@torch.no_grad()
def sampled(
    model: VideoModel, way: Way, known: int, scale: float, scenes: Scenes, truth: Clip, seeds: list[int]
) -> Video:
    """Latents of long videos that go on from the first frames of true ones.

    Args:
        model: a toy, or a causal one.
        way: how.
        known: latent frames that are given.
        scale: of text guidance, whose two velocities are computed in one call.
        scenes: whose captions are given.
        truth: pixels (b, 3, pf, h, w) in [-1, 1], as long as the videos are to be.
        seeds: of each video's noise.
    """
    geometry = model.geometry
    start = model.encode_video(truth[:, :, : geometry.pixel_frames(known)])
    shape = geometry.latent_shape(len(truth), geometry.latent_frames(truth.shape[2]) - known)
    texts = captions(scenes, EVAL_SEED)
    cond = model.encode_text([*texts, *("" for _ in texts)])

    def guided(x: Video, tau: Tensor) -> Video:
        v, null = model(torch.cat([x, x]), torch.cat([tau, tau]), **cond).chunk(2)
        return null + scale * (v - null)

    x = torch.cat([start, noise_of(shape, seeds).to(start)], dim=2)
    return sample_moves(guided, x, way.moves, known, way.solver, way.history, seeds)


@checked
def seams(moves: list[Move], known: int) -> list[int]:
    """Latent frames that begin anew: they never move in the same call as the frame before.

    Args:
        moves: of a long video.
        known: frames that are final from the start.
    """
    together = {i for move in moves for i in move.to if i - 1 in move.to}
    return sorted({i for move in moves for i in move.to} - together - {known})


@checked
def extended(model: ToyModel, video: LongVideo, scale: float, scenes: Scenes, truth: Clip, seeds: list[int]) -> Clip:
    """The full sequence with overlap as `extend_to` makes it: the last pixel frames are encoded anew for every window.

    Args:
        model: the toy.
        video: its sizes.
        scale: of text guidance.
        scenes: whose captions are given.
        truth: pixels (b, 3, pf, h, w) in [-1, 1], as long as the videos are to be.
        seeds: of each video's noise in the first window, one after the other.
    """
    begin, windows = model.geometry.pixel_frames(video.known), -(-video.made // video.new)
    options: dict[str, Any] = {"steps": video.calls * video.new, "guidance": scale, "progress": False}
    prompts = [captions(scenes, EVAL_SEED)] * windows
    seconds = truth.shape[2] / model.geometry.fps
    made = extend_to(model, prompts, to_uint8(truth[:, :, :begin]), seconds, video.known, seed=seeds[0], **options)
    return to_pixels(made.video).to(truth)


def _followed(
    model: VideoModel, video: LongVideo, scale: float, way: Way, scenes: Scenes, truth: Clip, seeds: list[int]
) -> Clip:
    return long_clip(model, sampled(model, way, video.known, scale, scenes, truth, seeds))


def _through_the_codec(model: ToyModel, scenes: Scenes, truth: Clip, seeds: list[int]) -> Clip:
    return long_clip(model, torch.cat([model.encode_video(part) for part in truth.split(BATCH["cpu"])]))


def _still(model: ToyModel, known: int, scenes: Scenes, truth: Clip, seeds: list[int]) -> Clip:
    last = model.geometry.pixel_frames(known)
    return _through_the_codec(model, scenes, truth[:, :, [min(i, last - 1) for i in range(truth.shape[2])]], [])


@torch.no_grad()
def _measured(model: Any, sizes: DriftSizes, make: Make, at: list[int], **about: Any) -> dict[str, Any]:
    """A row: every score by length, its slope and its last value, and the jumps at seams, which are latent frames."""
    geometry, video = model.geometry, sizes.video(model.geometry)
    scenes = draw_scenes(sizes.scenes, EVAL_SEED, endless(world_named(model.preset["world"])))
    found = dict[str, list[Tensor]]()
    numbers = list[Tensor]()
    frames, size = geometry.pixel_frames(video.frames), BATCH[model.device.type]
    for some, truth, which in parts(scenes, geometry, model.device, size, sizes.seeds, frames):
        first = sizes.seed * 1_000_003 + int(which[0]) * sizes.seeds
        clip = make(some, truth, list(range(first, first + len(which))))
        scores = by_length(clip, truth, some, geometry, video)
        for name, value in {**scores, "jumps": jumps(clip, [geometry.pixels_at(i).start for i in at])}.items():
            found.setdefault(name, []).append(value.cpu())
        numbers.append(which)
    joined, groups = {name: torch.cat(values) for name, values in found.items()}, torch.cat(numbers)
    each = joined.pop("jumps")
    row = {
        **about,
        "scores": {name: over_scenes(value, groups) for name, value in joined.items()},
        "clips": len(groups),
    }
    return row | ({"seam": {"colour": _interval(each.mean(1), groups), "each": each.mean(0).tolist()}} if at else {})


@checked
def long_clip(model: VideoModel, latents: Video) -> Clip:
    """Pixels of long videos, decoded window by window and rounded to bytes.

    Args:
        model: a toy, or a causal one.
        latents: (b, c, f, h, w).
    """
    decode = decoder_of(model)
    with torch.no_grad():
        found = [decode(part).clamp(-1, 1) for part in latents.split(model.geometry.frames, dim=2)]
    return to_pixels(to_uint8(torch.cat(found, dim=2))).to(latents.device)


@checked
def by_length(clip: Clip, truth: Clip, scenes: Scenes, geometry: Geometry, video: LongVideo) -> dict[str, ByLength]:
    """SCORES of each length of the model's own, the given frames left out.

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1].
        truth: pixels of the same shape.
        scenes: what it shows.
        geometry: of the model.
        video: its sizes.
    """
    raw = suite.fidelity(clip, truth, scenes)
    frames = {name: raw[f"{name}_frame"] for name in SCORES if name != "motion"}
    change = {name: metrics.motion(one) for name, one in (("made", clip), ("true", truth))}
    edges = [max(video.known, i) for i in range(0, video.frames + 1, video.window)]
    spans = [slice(geometry.pixel_frames(a), geometry.pixel_frames(b)) for a, b in pairwise(edges)]
    found = {name: torch.stack([value[:, s].nanmean(1) for s in spans], 1) for name, value in frames.items()}
    moved = [[x[:, s.start - 1 : s.stop - 1].mean(1) for x in change.values()] for s in spans]
    return found | {"motion": torch.stack([made / true.clamp(min=0.1) for made, true in moved], 1)}


@checked
def jumps(clip: Clip, at: list[int]) -> Float[Tensor, "b seams"]:
    """How much more the mean colour changes at each seam than it usually does, as `metrics.boundary_jump` counts it.

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1].
        at: pixel frames, each the first after a seam; if all steps are seams, nothing is usual and all are NaN.
    """
    if len(at) >= clip.shape[2] - 1:
        return clip.new_full((len(clip), len(at)), torch.nan)
    step = 127.5 * clip.float().mean((3, 4)).diff(dim=2).abs().mean(1)
    usual = step[:, [t - 1 for t in range(1, clip.shape[2]) if t not in set(at)]].quantile(0.5, dim=1, keepdim=True)
    return step[:, [t - 1 for t in at]] - usual


@checked
def over_scenes(values: ByLength, groups: Tensor) -> dict[str, Any]:
    """Means by length; slope and last length with intervals over scenes, and scene by scene.

    slope = sum_k (k - mean k) y_k / sum_k (k - mean k)^2, a change a length

    Args:
        values: of every clip.
        groups: scene (b,) of every clip.
    """
    k = torch.arange(values.shape[1]) - (values.shape[1] - 1) / 2
    alone = {"slope": (values * k).sum(1) / k.square().sum(), "last": values[:, -1]}
    scenes = {name: [round(v[groups == g].nanmean().item(), 5) for g in groups.unique()] for name, v in alone.items()}
    ends = {name: _interval(value, groups) for name, value in alone.items()}
    return {"by length": values.nanmean(0).tolist(), **ends, "by scene": scenes}


@checked
def changes(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What every change does to its way: the difference of slope and last value, on the same scenes.

    Args:
        rows: of the table.
    """
    plain = {row["key"]["way"]: row for row in rows if row["key"]["change"] == "none"}
    found = []
    for row in rows:
        if row["key"]["change"] != "none":
            base = plain[row["key"]["way"]]["scores"]
            for name, score in row["scores"].items():
                pairs = {
                    part: torch.tensor(score["by scene"][part]) - torch.tensor(base[name]["by scene"][part])
                    for part in ("slope", "last")
                }
                differences = {part: list(metrics.bootstrap(value)) for part, value in pairs.items()}
                found.append({**row["key"], "score": name, **differences})
    return found


def _interval(values: Tensor, groups: Tensor) -> list[float]:
    return list(metrics.bootstrap(values.float(), groups))
