"""Scenes in plain English, and plain English back to what it says."""

import random
import re
from dataclasses import dataclass
from typing import Any

from pusa_lab.arguments import checked
from small_models.world.scenes import Scenes
from small_models.world.tables import COLOURS, DIRECTIONS, GROUNDS, MINI, MOTIONS, OTHER_WORDS, PANS, TURNS, World

JOINTS = (", ", " and ", " while ")
PAN_WORDS = (", the camera pans {}", " as the camera pans {}")


@checked
@dataclass(frozen=True)
class Phrase:
    """What a caption says of one object; None is left open."""

    colour: str
    shape: str
    motion: str
    direction: str
    speed: str
    size: str | None = None
    spin: bool = False


@checked
@dataclass(frozen=True)
class Meaning:
    """What a caption says."""

    objects: tuple[Phrase, ...]
    ground: str | None = None
    pan: str = ""


@checked
def captions(scenes: Scenes, seed: int | None = None) -> list[str]:
    """One sentence a scene, such as "a small red circle moves quickly up and right, a big blue ring falls down".

    Args:
        scenes: n scenes.
        seed: of the wording, in worlds with paraphrases; None says everything in the first words of the tables.
    """
    rows = zip(*(getattr(scenes, name).tolist() for name in FIELDS), strict=True)
    choice = random.Random(seed) if seed is not None and scenes.world.paraphrases else None
    return [_sentence(scenes.world, choice, *row) for row in rows]


FIELDS = ("present", "colour", "shape", "motion", "direction", "speed", "size", "spin", "ground", "pan")


def _sentence(world: World, choice: random.Random | None, *row: Any) -> str:
    *objects, ground, pan = row
    parts = [_object(world, choice, *one[1:]) for one in zip(*objects, strict=True) if one[0]]
    text = parts[0]
    for part in parts[1:]:
        text += (choice.choice(JOINTS) if choice else JOINTS[0]) + part
    if world.grounds > 1 and (choice is None or choice.random() < 0.5):
        text += f" on a {GROUNDS[ground]} ground"
    if pan:
        text += (choice.choice(PAN_WORDS) if choice else PAN_WORDS[0]).format("right" if pan > 0 else "left")
    return text


def _object(
    world: World,
    choice: random.Random | None,
    colour: int,
    shape: int,
    motion: int,
    direction: int,
    speed: int,
    size: int,
    spin: bool,
) -> str:
    adjective = world.sizes[size][0] if choice is None or choice.random() < 0.7 else ""
    noun = " ".join(filter(None, [adjective, "spinning" if spin else "", list(COLOURS)[colour], world.nouns[shape]]))
    words = dict(world.motions)[MOTIONS[motion]]
    if MOTIONS[motion] == "circle":
        where = list(TURNS)[direction % 2]
    else:
        where = list(DIRECTIONS)[direction]
        where = OTHER_WORDS[where] if choice and choice.random() < 0.5 else where
    verb = choice.choice(words) if choice else words[0]
    how = " ".join(filter(None, [world.speeds[speed][0], where]))
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun} {verb.format(how)}"


@checked
def parse(caption: str, world: World = MINI) -> Meaning:
    """Read a caption back.

    Args:
        caption: in the words of `captions`.
        world: whose words they are.

    Raises:
        ValueError: the caption, or a part of it, is not in the world's grammar.
    """
    rest = " ".join(caption.lower().rstrip(". ").split())
    ends = rf"(?: on a (?P<ground>{'|'.join(GROUNDS)}) ground)?(?:(?:,| as) the camera pans (?P<pan>left|right))?$"
    end = re.search(ends, rest)
    assert end is not None  # the pattern also matches nothing
    rest, objects = rest[: end.start()], []
    pattern = _object_pattern(world)
    while True:
        found = pattern.match(rest)
        if not found:
            raise ValueError(
                f"cannot read {rest!r} in {caption!r}: tell each object as in 'a red circle moves slowly up and right'."
            )
        objects.append(_phrase(found, world))
        rest = rest[found.end() :]
        if not rest:
            return Meaning(tuple(objects), end["ground"], end["pan"] or "")
        joint = next((j for j in JOINTS if rest.startswith(j)), "")
        rest = rest[len(joint) :]


def _object_pattern(world: World) -> re.Pattern[str]:
    def any_of(words: list[str]) -> str:
        return "|".join(sorted(map(re.escape, filter(None, words)), key=len, reverse=True))

    sizes, speeds = any_of([w for w, _ in world.sizes]), any_of([w for w, _ in world.speeds])
    where, turn = any_of([*DIRECTIONS, *OTHER_WORDS.values()]), any_of([*TURNS])
    how = rf"(?:(?P<speed{{0}}>{speeds}) )?(?P<where{{0}}>{{1}})"
    verbs = [v for _, words in world.motions for v in words]
    ways_to = [turn if name == "circle" else where for name, words in world.motions for _ in words]
    # Longer endings first, so that "moves right and stops" is not read as "moves right".
    order = sorted(range(len(verbs)), key=lambda i: -len(verbs[i].split("{}")[1]))
    ways = [rf"(?P<verb{i}>{verbs[i].format(how.format(i, ways_to[i]))})" for i in order]
    size = rf"(?:(?P<size>{sizes}) )?" if sizes else ""
    colours, nouns = any_of(list(COLOURS)[: world.colours]), any_of(list(world.nouns))
    noun = rf"an? {size}(?P<spin>spinning )?(?P<colour>{colours}) (?P<shape>{nouns})"
    return re.compile(rf"{noun} (?:{'|'.join(ways)})(?={'|'.join(JOINTS)}|$)")


def _phrase(found: re.Match[str], world: World) -> Phrase:
    motions = [name for name, words in world.motions for _ in words]
    i = next(i for i in range(len(motions)) if found[f"verb{i}"])
    where = {v: k for k, v in OTHER_WORDS.items()}.get(found[f"where{i}"], found[f"where{i}"])
    size = found["size"] if "size" in found.re.groupindex else None
    return Phrase(
        found["colour"], found["shape"], motions[i], where, found[f"speed{i}"] or "", size, bool(found["spin"])
    )


@checked
def vocabulary(world: World) -> list[str]:
    """Every word that captions of a world can hold, and the comma.

    Args:
        world: the world.
    """
    texts = [", a an", *JOINTS, *PAN_WORDS, *OTHER_WORDS.values()] if world.paraphrases else [", a and"]
    texts += [*world.nouns, *list(COLOURS)[: world.colours], *DIRECTIONS, *(w for w, _ in world.speeds)]
    texts += [verb for _, words in world.motions for verb in words]
    texts += [w for w, _ in world.sizes]
    if world.grounds > 1:
        texts += [*GROUNDS, "on ground spinning", *TURNS, *PANS]
    return sorted(set(re.findall(r"\w+|,", " ".join(texts))))
