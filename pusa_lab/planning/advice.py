"""What makes a run fit: changes of settings, ways that were measured first, and the smallest GPU that holds it."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import combinations, islice
from typing import Any

from pusa_lab.arguments import checked
from pusa_lab.planning import measured
from pusa_lab.planning.estimate import estimate, largest_stage
from pusa_lab.planning.result import Advice
from pusa_lab.planning.settings import Settings, _settle
from pusa_lab.planning.tables import GPUS, PRECISIONS

SAVING = ("compiled", "optimizer", "ac_save_attention", "ac_skip_blocks", "offload_activations")
"""Settings of a training that change its memory and time, and nothing of what is learned but rounding."""
MOST_CHANGES = 3
"""Changes at once."""


@checked
def advise(s: Settings) -> tuple[Advice, ...]:
    """The smallest sets of changes that fit, the four fastest of them, and the smallest GPU that fits as it is.

    Changes that leave the result what it is come first: only if none of them helps, others are tried.

    Args:
        s: settings of a run that does not fit.
    """
    same = _helpful(s, [*_ways(s), *_changes(s, _same(s))])
    found = _smallest(s, same) or _smallest(s, same + _helpful(s, [*_changes(s, _smaller(s))]))
    larger = sorted((card.memory, card.price, name) for name, card in GPUS.items() if card.memory > s.card.memory)
    cards = (advice for *_, name in larger if (advice := _try(s, {"gpu": name, "price": None})))
    return (*sorted(found, key=lambda advice: advice.seconds)[:4], *islice(cards, 1))


def _helpful(s: Settings, changes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that take less memory by themselves."""
    return [change for change in changes if _peak(_settle({**asdict(s), **change}, s.config)) < _peak(s)]


def _smallest(s: Settings, changes: Sequence[dict[str, Any]]) -> list[Advice]:
    """All that fit with the least number of changes."""
    for count in range(1, min(MOST_CHANGES, len(changes)) + 1):
        if found := [advice for chosen in combinations(changes, count) if (advice := _together(s, chosen))]:
            return found
    return []


def _together(s: Settings, chosen: Sequence[dict[str, Any]]) -> Advice | None:
    """Several changes at once, unless two of them are of one setting."""
    changes = {name: value for change in chosen for name, value in change.items()}
    return _try(s, changes) if len(changes) == sum(map(len, chosen)) else None


def _try(s: Settings, changes: dict[str, Any]) -> Advice | None:
    try:
        changed = _settle({**asdict(s), **changes}, s.config)
    except ValueError:  # a GPU without products of 8 bits
        return None
    if _peak(changed) > changed.card.memory:
        return None
    then = estimate(changed)
    return Advice(changes, then.peak, then.seconds["total"], then.money, then.sources["peak"])


def _peak(s: Settings) -> float:
    return sum(part.value for part in largest_stage(s)[1].values())


def _ways(s: Settings) -> Iterator[dict[str, Any]]:
    """Each measured way to train a LoRA, as one change."""
    seen: list[dict[str, Any]] = [{}]
    for other in (row.settings for row in measured.MEASURED if s.workload == "lora" == row.given.get("workload")):
        change = {name: getattr(other, name) for name in SAVING if getattr(other, name) != getattr(s, name)}
        # an option can be added, not taken back
        if other.config.num_layers == s.config.num_layers and False not in change.values() and change not in seen:
            seen.append(change)
            yield change


def _same(s: Settings) -> dict[str, list[Any]]:
    """Name -> values that save memory and leave the result what it is."""
    if not s.training:
        return {"offload": ["model", "group"], "cached_prompts": [True], "num_videos": [1]}
    at_once = s.micro_batch_size or 1
    shares = [n for n in (2, 4, 8) if n > s.gpus and not (s.global_batch_size or 1) % (n * at_once)]
    options: dict[str, list[Any]] = {"offload_activations": [True], "micro_batch_size": [1]}
    options |= {"ac_skip_blocks": [0], "ac_save_attention": [0]}
    return options | ({"optimizer": ["adamw8bit"]} if s.workload == "lora" else {"gpus": shares})


def _smaller(s: Settings) -> dict[str, list[Any]]:
    """Name -> values that change the result too."""
    options: dict[str, list[Any]] = {"num_frames": [1 + 4 * ((s.num_frames - 1) // 8)]}
    if _settle({**asdict(s), "size": "480p"}, s.config).tokens < s.tokens:
        options["size"] = ["480p"]
    if s.workload == "sample":
        multiplies = s.card.float8 and s.dtype == "bfloat16"
        options["precision"] = [name for name in PRECISIONS if multiplies or name != "float8"]
    if s.workload == "lora":
        options["lora_rank"] = [max(1, (s.lora_rank or 1) // 4)]
    return options | ({"workload": ["lora"]} if s.workload == "full" else {})


def _changes(s: Settings, options: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """One change for each value that is not there yet."""
    yield from ({name: value} for name, values in options.items() for value in values if getattr(s, name) != value)
