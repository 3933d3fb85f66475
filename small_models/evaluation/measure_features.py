"""What the feature network reads on scenes it has never seen, and what its Frechet distance says of damaged videos."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pusa_lab.arguments import checked, returned
from pusa_lab.metrics import frechet_distance
from pusa_lab.types import Clip, Geometry
from small_models.evaluation.ways import EVAL_SEED
from small_models.models.codec import Codec
from small_models.models.features import ABSENT, Features, Labels, Logits, check_labels, labels_of
from small_models.world import Scenes, draw_scenes, render, world_named

OTHERS = EVAL_SEED + 2
"""Seed of the clips that the distances are taken to."""
Damage = Callable[[Clip], Clip]


@checked
def true(clip: Clip) -> Clip:
    """No damage.

    Args:
        clip: pixels (b, 3, pf, h, w).
    """
    return clip


def _check_not_empty(clip: Clip) -> None:
    if not clip.numel():
        raise ValueError(f"clip has shape {tuple(clip.shape)}: give at least one clip with a frame.")


@checked
def blurred(clip: Clip, side: int = 5) -> Clip:
    """Every frame averaged over squares.

    Args:
        clip: pixels (b, 3, pf, h, w).
        side: of the squares, odd.
    """
    _check_not_empty(clip)
    if not 1 <= side <= min(clip.shape[-2:]) or side % 2 == 0:
        raise ValueError(f"side={side} for pictures of shape {tuple(clip.shape[-2:])}: give an odd number within them.")
    wide = clip.float() if clip.element_size() < 4 else clip  # the CPU averages no smaller numbers
    if not (clip.abs() <= 2).all():
        raise ValueError(f"clip reaches {clip.abs().amax():.3g}: give pixels in [-1, 1].")
    return F.avg_pool3d(wide, (1, side, side), 1, (0, side // 2, side // 2), count_include_pad=False).to(clip.dtype)


@checked
def shuffled(clip: Clip) -> Clip:
    """Every clip's frames in a random order of its own, always the same one.

    Args:
        clip: pixels (b, 3, pf, h, w).
    """
    _check_not_empty(clip)
    order = torch.rand(len(clip), clip.shape[2], generator=torch.Generator().manual_seed(0)).argsort(1)
    return torch.stack([one[:, at] for one, at in zip(clip, order.to(clip.device), strict=True)])


@checked
def torn(clip: Clip, pixels: int = 4) -> Clip:
    """The red channel moved to the right of the other two.

    Args:
        clip: pixels (b, 3, pf, h, w).
        pixels: by how many.
    """
    return torch.cat([clip[:, :1].roll(pixels, dims=4), clip[:, 1:]], dim=1)


@checked
def frozen(clip: Clip) -> Clip:
    """Frame 0 all the time.

    Args:
        clip: pixels (b, 3, pf, h, w).
    """
    return clip[:, :, :1].expand_as(clip)


DAMAGES: dict[str, Damage] = {
    "blurred_3": lambda clip: blurred(clip, 3),
    "blurred_5": blurred,
    "blurred_9": lambda clip: blurred(clip, 9),
    "red_4_pixels_right": torn,
    "shuffled_frames": shuffled,
    "frame_0_repeated": frozen,
}


@checked
@torch.no_grad()
def features_of(model: Features, scenes: Scenes, geometry: Geometry, ways: dict[str, Damage]) -> dict[str, Tensor]:
    """Features (n, 64) of scenes after each change, rendered in parts that fit in memory.

    Args:
        model: ready to use.
        scenes: n scenes.
        geometry: their frames and size.
        ways: what is done to the clips first, by name.
    """
    found: dict[str, list[Tensor]] = {name: [] for name in ways}
    for i in range(0, len(scenes), 16):
        some = scenes[i : i + 16].to(model.device)
        clip = render(some, geometry.pixel_frames(geometry.frames), geometry.size[0])
        for name, change in ways.items():
            changed = returned(change(clip), Clip, f"the way {name!r:.60}")
            found[name].append(model.features(changed).cpu())
    return {name: torch.cat(parts) for name, parts in found.items()}


@checked
def shares(logits: Logits, labels: Labels) -> dict[str, float]:
    """Shares of right answers, with standard errors: colours over all colours and clips, shape, size, motion, direction
    (8 ways) and turn (2 ways) over the objects that can be asked, ground and pan over clips.

    Args:
        logits: from `Features`.
        labels: from `labels_of`, of the same clips.
    """
    check_labels(logits, labels)
    out: dict[str, float] = {}
    for name, answer in logits.items():
        wanted = labels[name]
        right = (answer > 0) == wanted.bool() if name == "present" else answer.argmax(-1) == wanted
        asked = right[wanted != ABSENT]
        if len(asked):
            share = asked.double().mean().item()
            out |= {name: share, f"{name}_stderr": (share * (1 - share) / len(asked)) ** 0.5}
    return out


@checked
def ladder(found: dict[str, Tensor], others: Tensor) -> dict[str, float]:
    """Frechet distance of each set of features to those of other true clips.

    It wants many more clips than features: between 64 and 64 true clips it is about as far as most damage brings it.

    Args:
        found: name -> features (n, 64).
        others: features (n, 64) of true clips of other scenes.
    """
    return {name: frechet_distance(features, others) for name, features in found.items()}


@checked
@torch.no_grad()
def measure_features(model: Features, codec: Codec, world: str, clips: int, geometry: Geometry) -> dict[str, Any]:
    """What is read right, from true clips and through the codec, and distances of damaged clips to other true ones.

    Args:
        model: ready to use.
        codec: of the same clips.
        world: one of WORLDS.
        clips: number of unseen scenes.
        geometry: their frames and size.
    """
    scenes = draw_scenes(clips, EVAL_SEED, world_named(world))
    found = features_of(model, scenes, geometry, {"truth": true, "through_the_codec": codec, **DAMAGES})
    others = features_of(model, draw_scenes(clips, OTHERS, world_named(world)), geometry, {"truth": true})["truth"]
    labels = labels_of(scenes)
    read = {
        name: shares({k: v.cpu() for k, v in model.answer(found[name].to(model.device)).items()}, labels)
        for name in ("truth", "through_the_codec")
    }
    return {
        "how": "float32, unseen scenes; shares of right answers over what can be asked, with standard errors",
        "clips": clips,
        **read,
        "frechet_distance": {
            "how": f"{clips} clips, changed as named, to {clips} true clips of other scenes; truth is the floor",
            **ladder(found, others),
        },
    }
