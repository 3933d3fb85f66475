"""A small network that reads a clip of the world: its features carry the toys' Frechet video distance."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from pusa_lab.arguments import checked, shown
from pusa_lab.types import Clip
from small_models.records import check_entries
from small_models.world import COLOURS, DIRECTIONS, GROUNDS, MOTIONS, TURNS, Scenes, world_named

SLOT, SCENE = 7, 8
"""Features of each colour, and of the clip as a whole: 8 * 7 + 8 = 64."""
NEAR, FAINT = 0.25, 0.002
"""Distance in [-1, 1]^3 at which a colour counts less, and the share of a picture that hardly counts."""
MOMENTS = ("area", "x", "y", "step x", "step y", "xx", "yy", "xy")
"""What is measured of each colour in every reduced frame."""
EVERY, GLIMPSE, LOOK = 4, 16, 48
"""One in how many reduced frames the convolutions see, how many of its pixels around a colour's middle, and how many
numbers they make of these."""
PARTS = 6
"""Number of consecutive parts into which a clip of any length is averaged."""
ABSENT = -1
"""Label of what is not there, or cannot be asked: it is left out of the loss and of all shares."""
Logits = dict[str, Tensor]
Labels = dict[str, Tensor]
Small = Float[Tensor, "b 3 f small_h small_w"]
"""Every second frame at half the size."""


@checked
class Features(nn.Module):
    """What is in a clip, colour by colour, through 64 numbers.

    Every second frame at half the size is asked how near each pixel is to each colour. Where that colour's middle is,
    and what convolutions see around it, goes through convolutions over the frames, and becomes 7 features a colour;
    other convolutions make 8 features of the whole. All questions are answered from these alone.

    Why 64: a Frechet distance estimates d (d + 3) / 2 moments, 2,144 for d = 64, and 512 clips tell clear damage from
    truth (the card has the floor); the 400 features of an I3D have 80,600 moments and want thousands of clips.

    Args:
        config: {"world": one of WORLDS}; decides how many shapes and sizes can be told apart.
    """

    palette: Tensor

    def __init__(self, config: dict[str, Any]):
        super().__init__()
        check_entries(config, {"world": str}, "config", ("world",))
        self.config = dict(config)
        world = world_named(config["world"])
        self.register_buffer("palette", torch.tensor(list(COLOURS.values())) * 2 - 1, persistent=False)
        self.look = nn.Sequential(
            *(_conv(1, 16, 5, 2), _conv(16, 32, 3, 2), nn.Flatten()),
            *(nn.Linear(32 * (GLIMPSE // 4) ** 2, LOOK, bias=False), nn.BatchNorm1d(LOOK), nn.ReLU()),
        )
        self.ground = nn.Sequential(_conv(4, 16, 5, 2), _conv(16, 32, 3, 1), _conv(32, 48, 3, 2))
        self.walk = _walk(LOOK + len(MOMENTS), 96, SLOT)
        self.whole = _walk(48, 64, SCENE)
        answers = {"present": 1, "shape": len(world.nouns), "size": len(world.sizes), "motion": len(MOTIONS)}
        answers |= {"direction": len(DIRECTIONS), "turn": len(TURNS)}
        self.slot_heads = _heads(SLOT, answers)
        self.scene_heads = _heads(SCENE, {"ground": len(GROUNDS), "pan": 3})

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.palette.device

    def features(self, clip: Clip) -> Float[Tensor, "b 64"]:
        """The features, without an activation, so that they may be negative as a Gaussian's.

        Args:
            clip: pixels (b, 3, pf, h, w) in [-1, 1], pf >= 9; other lengths than 33 are read in the same six parts.

        Raises:
            ValueError: another shape, fewer frames, or sides that are not multiples of 8.
        """
        return self.read(reduced(clip.to(self.palette.dtype)))

    def forward(self, clip: Clip) -> Logits:
        """Logits of present (b, 8), shape, size, motion, direction, turn (b, 8, classes), ground and pan (b, classes).

        Args:
            clip: as for `features`.
        """
        return self.answer(self.features(clip))

    def read(self, small: Small) -> Float[Tensor, "b 64"]:
        """The features of a clip that is already `reduced`.

        Args:
            small: (b, 3, f, h, w) in [-1, 1], sides multiples of 4.
        """
        frames = small.transpose(1, 2)
        grey = frames.mean(2, keepdim=True)
        change = 4 * (grey - torch.cat([grey[:, :1], grey[:, :-1]], dim=1))
        shown = self._shown(frames)
        moments = _moments(shown)
        # What things look like changes slowly, so the convolutions see one frame in EVERY.
        looks = self.look(_glimpses(shown[:, ::EVERY], moments[:, ::EVERY, :, 1:3])[:, None])
        looks = looks.view(len(small), -1, *moments.shape[2:3], LOOK).repeat_interleave(EVERY, dim=1)
        seen = torch.cat([looks[:, : frames.shape[1]], moments], dim=3).permute(0, 2, 3, 1)  # b, colours, c, frames
        slots = self.walk(seen.flatten(0, 1)).unflatten(0, seen.shape[:2])
        ground = self.ground(torch.cat([frames, change], dim=2)[:, ::EVERY].flatten(0, 1))
        scene = self.whole(ground.mean((2, 3)).unflatten(0, (len(small), -1)).transpose(1, 2))
        return torch.cat([slots.flatten(1), scene], dim=1)

    def answer(self, found: Float[Tensor, "b 64"]) -> Logits:
        """The logits that `forward` returns.

        Args:
            found: features.
        """
        slots = found[:, :-SCENE].unflatten(1, (len(COLOURS), SLOT))
        out = {name: head(slots) for name, head in self.slot_heads.items()}
        out |= {name: head(found[:, -SCENE:]) for name, head in self.scene_heads.items()}
        return out | {"present": out["present"][..., 0]}

    @torch.no_grad()
    def _shown(self, frames: Tensor) -> Float[Tensor, "b f k h w"]:
        """How near each pixel is to each colour: exp(-|pixel - colour|^2 / (2 NEAR^2))."""
        pixels = frames.flatten(3)
        far = (self.palette @ pixels).mul_(2).sub_(pixels.square().sum(2, keepdim=True))
        far.sub_(self.palette.square().sum(1)[:, None])
        return far.div_(2 * NEAR**2).exp_().unflatten(3, frames.shape[3:])


@checked
def reduced(clip: Clip) -> Small:
    """Every second frame at half the size, which is all that the network sees.

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1].

    Raises:
        ValueError: another shape, fewer than 9 frames, or sides that are not multiples of 8.
    """
    sizes = clip.shape
    if len(sizes) != 5 or 0 in sizes or sizes[1] != 3 or sizes[2] < 9 or sizes[3] % 8 or sizes[4] % 8:
        raise ValueError(
            f"a clip of shape {tuple(sizes)} cannot be read: give (b, 3, frames, height, width) with at least 9 "
            "frames, height and width multiples of 8."
        )
    wide = clip.float() if clip.element_size() < 4 else clip  # the CPU averages no smaller numbers
    return F.avg_pool3d(wide[:, :, ::2], (1, 2, 2)).to(clip.dtype)


@checked
def labels_of(scenes: Scenes) -> Labels:
    """What there is to read in scenes, by colour: present (n, 8) in {0, 1}; shape, size, motion, direction and turn
    (n, 8), indices into the tables or ABSENT; ground (n), and pan (n): 0 left, 1 none, 2 right.

    What circles has a turn and no direction; everything else a direction and no turn.

    Args:
        scenes: n scenes.
    """
    circles = scenes.motion == MOTIONS.index("circle")
    answers = {name: getattr(scenes, name) for name in ("shape", "size", "motion")}
    answers["direction"] = scenes.direction.where(~circles, ABSENT)
    answers["turn"] = (scenes.direction % len(TURNS)).where(circles, ABSENT)
    empty = torch.full((len(scenes), len(COLOURS) + 1), ABSENT, device=scenes.colour.device)
    at = scenes.colour.where(scenes.present, len(COLOURS))  # what is absent goes into a column that is cut off
    out = {name: empty.scatter(1, at, value)[:, :-1] for name, value in answers.items()}
    return {"present": (out["shape"] != ABSENT).long(), **out, "ground": scenes.ground, "pan": scenes.pan + 1}


@checked
def feature_loss(model: Features, small: Small, labels: Labels) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Cross-entropy of every question, each averaged over those that can be asked it, summed.

    Args:
        model: in training.
        small: clips that are already `reduced`.
        labels: from `labels_of`, in any type.

    Returns:
        the loss, and each question's part by name, detached.

    Raises:
        ValueError: there are no clips, or pixels are outside [-1, 1] (checked on the CPU only).
    """
    if not small.numel():
        raise ValueError(f"small is {shown(small)}: give at least one clip from `reduced`.")
    if small.device.type == "cpu" and not (small.abs() <= 1.001).all():
        raise ValueError(f"small is {shown(small)}, with numbers outside [-1, 1]: give clips from `reduced`.")
    parts, answers = {}, model.answer(model.read(small.to(next(model.parameters()).dtype)))
    check_labels(answers, labels)
    for name, logits in answers.items():
        wanted = labels[name]
        if name == "present":
            parts[name] = F.binary_cross_entropy_with_logits(logits, wanted.to(logits.dtype)) * math.sqrt(8)
        else:
            total = F.cross_entropy(
                logits.flatten(0, -2), wanted.long().flatten(), ignore_index=ABSENT, reduction="sum"
            )
            parts[name] = total / (wanted != ABSENT).sum().clamp(min=1)
    return torch.stack(list(parts.values())).sum(), {name: part.detach() for name, part in parts.items()}


@checked
def check_labels(logits: Logits, labels: Labels) -> None:
    """Refuse labels that are not of the same questions and clips as the logits.

    Args:
        logits: from `Features`.
        labels: from `labels_of`.

    Raises:
        ValueError: labels of a question are missing, or have another shape.
    """
    check_entries(labels, {}, "labels", tuple(logits))
    for name, answer in logits.items():
        wanted = tuple(answer.shape if name == "present" else answer.shape[:-1])
        if tuple(labels[name].shape) != wanted:
            raise ValueError(f"{name!r:.60} of labels has shape {tuple(labels[name].shape)}: its logits need {wanted}.")


def _conv(before: int, after: int, kernel: int, stride: int) -> nn.Module:
    conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after), nn.ReLU())


def _walk(before: int, middle: int, after: int) -> nn.Module:
    """What a sequence of any length (n, before, f) says, read in PARTS that keep their order, in even scales."""
    return nn.Sequential(
        nn.BatchNorm1d(before),
        *(nn.Conv1d(before, middle, 3, padding=1, bias=False), nn.BatchNorm1d(middle), nn.ReLU()),
        *(nn.Conv1d(middle, middle, 3, padding=1, bias=False), nn.BatchNorm1d(middle), nn.ReLU()),
        *(nn.AdaptiveAvgPool1d(PARTS), nn.Flatten()),
        *(nn.Linear(PARTS * middle, 96, bias=False), nn.BatchNorm1d(96), nn.ReLU()),
        *(nn.Linear(96, after), nn.BatchNorm1d(after, affine=False)),
    )


def _heads(before: int, answers: dict[str, int]) -> nn.ModuleDict:
    return nn.ModuleDict(
        {name: nn.Sequential(nn.Linear(before, 64), nn.ReLU(), nn.Linear(64, n)) for name, n in answers.items()}
    )


def _glimpses(shown: Tensor, centre: Tensor) -> Float[Tensor, "n side side"]:
    """The surroundings of each colour's middle, GLIMPSE pixels wide."""
    h, w = shown.shape[-2:]
    way = torch.linspace(1 - GLIMPSE, GLIMPSE - 1, GLIMPSE, device=shown.device, dtype=shown.dtype)
    y, x = torch.meshgrid(way / h, way / w, indexing="ij")
    grid = torch.stack([x, y], dim=-1) + centre.flatten(0, 2)[:, None, None]
    return F.grid_sample(shown.flatten(0, 2)[:, None], grid, align_corners=False)[:, 0]


def _moments(shown: Tensor) -> Float[Tensor, "b f k 8"]:
    """MOMENTS of each colour, with the picture in [-1, 1]: area, middle, its step since the last frame, and spread."""
    h, w = shown.shape[-2:]
    y, x = torch.meshgrid(
        *(torch.linspace(1 / n - 1, 1 - 1 / n, n, device=shown.device, dtype=shown.dtype) for n in (h, w)),
        indexing="ij",
    )
    basis = torch.stack([torch.ones_like(x), x, y, x * x, y * y, x * y], dim=-1).flatten(0, 1)
    area, mx, my, xx, yy, xy = (shown.flatten(-2) @ basis / (h * w)).unbind(-1)
    whole = area + FAINT
    cx, cy = mx / whole, my / whole
    steps = (10 * torch.cat([torch.zeros_like(c[:, :1]), c.diff(dim=1)], dim=1) for c in (cx, cy))
    spread = (10 * (second / whole - first) for second, first in ((xx, cx * cx), (yy, cy * cy), (xy, cx * cy)))
    return torch.stack([10 * area, cx, cy, *steps, *spread], dim=-1)
