"""What can be seen in the world, and in which words: the tables behind scenes, pictures and captions."""

from dataclasses import dataclass, replace

from pusa_lab.arguments import checked
from pusa_lab.import_paths import is_import_path
from pusa_lab.registry import Registry
from pusa_lab.sentences import counted

SHAPES = ("circle", "square", "triangle", "cross", "ring")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COLOURS = {
    "red": (0.90, 0.15, 0.15),
    "green": (0.15, 0.75, 0.20),
    "blue": (0.20, 0.35, 0.95),
    "yellow": (0.95, 0.85, 0.15),
    "purple": (0.75, 0.20, 0.85),
    "cyan": (0.15, 0.85, 0.90),
    "orange": (0.95, 0.50, 0.10),
    "white": (0.97, 0.97, 0.97),
}
DIRECTIONS = {
    "right": (1, 0),
    "down and right": (1, 1),
    "down": (0, 1),
    "down and left": (-1, 1),
    "left": (-1, 0),
    "up and left": (-1, -1),
    "up": (0, -1),
    "up and right": (1, -1),
}
OTHER_WORDS = {
    "right": "to the right",
    "down and right": "to the lower right",
    "down": "downwards",
    "down and left": "to the lower left",
    "left": "to the left",
    "up and left": "to the upper left",
    "up": "upwards",
    "up and right": "to the upper right",
}
"""A second wording of each direction."""
TURNS = {"clockwise": 1, "counterclockwise": -1}
"""Ways round a circle, as seen on the screen, where y points down."""
MOTIONS = ("straight", "bounce", "gravity", "circle", "stop")
GROUNDS = ("plain", "shaded", "striped", "checkered")
PANS = {"": 0, "left": -1, "right": 1}


@checked
@dataclass(frozen=True)
class World:
    """Which scenes can occur. Lengths are in units of the picture's side, times in frames."""

    size: int
    """Height and width of a clip in pixels."""
    frames: int
    """Pixel frames of a clip."""
    objects: tuple[float, ...]
    """Probability of one, two, ... objects."""
    nouns: tuple[str, ...]
    """What occurs: the first of SHAPES, or DIGITS."""
    colours: int
    """How many of COLOURS occur."""
    motions: tuple[tuple[str, tuple[str, ...]], ...]
    """Each motion that occurs, with its wordings; {} is where speed and direction go."""
    speeds: tuple[tuple[str, float], ...]
    """Adverb and distance per frame."""
    sizes: tuple[tuple[str, float], ...]
    """Adjective and radius of the circle; the other shapes are about as large."""
    spin: float = 0.0
    """Share of objects that turn on the spot, by SPIN radians a frame."""
    grounds: int = 1
    """How many of GROUNDS occur."""
    pan: float = 0.0
    """Share of the patterned grounds that pass by, because the camera follows the objects."""
    apart: int = 1
    """Places tried for each object; the one farthest from the others is taken."""
    paraphrases: bool = False
    """Whether captions vary in their wording and leave out sizes and grounds."""

    def __post_init__(self) -> None:
        if not self.nouns or self.nouns not in (SHAPES[: len(self.nouns)], DIGITS):
            raise ValueError(f"nouns={self.nouns!r:.80}: give the first of {', '.join(SHAPES)}, or DIGITS.")
        names = [name for name, _ in self.motions]
        if not names or not set(names) <= set(MOTIONS) or not all(wordings for _, wordings in self.motions):
            raise ValueError(f"motions={names!r:.80}: give some of {', '.join(MOTIONS)}, each with its wordings.")
        if not self.speeds or not self.sizes:
            raise ValueError(
                f"{counted(len(self.speeds), 'speed')} and {counted(len(self.sizes), 'size')}: give at least one of "
                "each."
            )
        limits = {"colours": len(COLOURS), "grounds": len(GROUNDS), "size": 2**12, "frames": 2**12, "apart": 100}
        for name, most in limits.items():
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name}={getattr(self, name)}: give a number from 1 to {most}.")
        if not 1 <= len(self.objects) <= self.colours or min(self.objects) < 0 or not 0 < sum(self.objects) < 1e6:
            raise ValueError(
                f"objects={self.objects!r:.80}: give the probability of one, two, ... objects, at most one for each of "
                f"the {counted(self.colours, 'colour')}."
            )
        if not (0 <= self.spin <= 1 and 0 <= self.pan <= 1):
            raise ValueError(f"spin={self.spin}, pan={self.pan}: give shares from 0 to 1.")


NANO = World(
    size=16,
    frames=8,
    objects=(0.6, 0.4),
    nouns=SHAPES[:3],
    colours=6,
    motions=(("bounce", ("moves {}",)),),
    speeds=(("slowly", 0.03), ("", 0.06), ("quickly", 0.09)),
    sizes=(("", 0.17),),
)
"""Few pixels: large objects that bounce off the walls on a plain ground."""

MINI = World(
    size=64,
    frames=33,
    objects=(0.4, 0.4, 0.2),
    nouns=SHAPES,
    colours=8,
    motions=(
        ("straight", ("moves {}", "drifts {}", "slides {}")),
        ("bounce", ("bounces {}", "bounces around {}")),
        ("gravity", ("is thrown {}", "is tossed {}")),
        ("circle", ("circles {}", "orbits {}")),
        ("stop", ("moves {} and stops", "rolls {} and comes to rest")),
    ),
    speeds=(("slowly", 0.5 / 64), ("", 1.0 / 64), ("quickly", 1.5 / 64)),
    sizes=(("small", 0.14), ("big", 0.19)),
    spin=0.25,
    grounds=4,
    pan=0.4,
    apart=8,
    paraphrases=True,
)
"""Everything there is."""

HANDWRITING = replace(MINI, nouns=DIGITS, objects=(0.5, 0.5), sizes=(("small", 0.17), ("big", 0.23)), spin=0.0)
"""The same with handwritten digits: real texture."""


@checked
def world_named(name: str) -> World:
    """A world by its name.

    Args:
        name: one of WORLDS.

    Raises:
        ValueError: there is no such world.
    """
    return WORLDS.find(name)


@checked
def add_world(name: str) -> str:
    """The name of a world; one that is given by its import path is registered under its own name first.

    Args:
        name: of a world, or an import path such as mine.py:calm; other text, such as a folder, is returned as it is.

    Raises:
        ValueError: it cannot be imported, is not a world, or has the name of one of the toolkit's.
    """
    if not is_import_path(name):
        return name
    own = name.rpartition(":")[2].rpartition(".")[2]
    WORLDS.register(WORLDS.find(name), own)
    return own


LONGEST = 60
"""Words and commas that no caption exceeds."""
WORLDS: Registry[World] = Registry(
    "world", "small_models.worlds", {"nano": NANO, "mini": MINI, "digits": HANDWRITING}, World
)
"""Name -> world. `WORLDS.register` adds one."""
SPIN = 0.07
"""Radians per frame of a spinning object, clockwise."""
GRAVITY = 0.001
"""Downward acceleration of what is thrown, in sides per frame squared."""
STOP = 16
"""Frame at which what stops has come to rest."""
PAN = 0.4 / 64
"""Distance per frame by which a ground passes."""
