"""The settings of the search for a recipe: how timesteps are drawn in training, and ways to sample."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from pusa_lab.arguments import checked
from small_models.experiments.adapt import Adaptation

SEARCHED_TASKS: dict[str, tuple[str, str]] = {
    "image_to_video": ("image_to_video", "synchronous"),
    "start_end": ("start_end", "synchronous"),
    "extension": ("extension", "synchronous"),
    "completion": ("completion", "synchronous"),
    "pyramid": ("image_to_video", "pyramid"),
    "autoregressive": ("image_to_video", "autoregressive"),
}
"""Column -> task and schedule of the objective."""
HALF = "mixture(samplers=[independent, task_mixture])"
QUARTER = "mixture(samplers=[independent, task_mixture], weights=[0.25, 0.75])"
PICTURES = "task_mixture(first=0.6, ends=0.05, keyframes=0.05, prefix=0.1, subset=0.1, none=0.1)"
WORDS = "task_mixture(first=0.2, ends=0.1, keyframes=0.1, prefix=0.15, subset=0.15, none=0.3)"
TRAINING: dict[str, dict[str, Any]] = {
    "independent": {"timestep_sampler": "independent"},
    "non-decreasing": {"timestep_sampler": "nondecreasing"},
    "task mixture": {"timestep_sampler": "task_mixture"},
    "half": {"timestep_sampler": HALF},
    "quarter": {"timestep_sampler": QUARTER},
    "half non-decreasing": {"timestep_sampler": "mixture(samplers=[nondecreasing, task_mixture])"},
    "quarter, LoRA 64": {"timestep_sampler": QUARTER, "rank": 64},
    "quarter, LoRA 64, alpha 128": {"timestep_sampler": QUARTER, "rank": 64, "alpha": 128.0},
    "quarter, rsLoRA 64": {"timestep_sampler": QUARTER, "rank": 64, "variant": "rslora"},
    "quarter, DoRA 64": {"timestep_sampler": QUARTER, "rank": 64, "variant": "dora"},
    "quarter, LoRA 128": {"timestep_sampler": QUARTER, "rank": 128},
    "task mixture, more words": {"timestep_sampler": WORDS},
    "task mixture, more image-to-video": {"timestep_sampler": PICTURES},
    "task mixture, known at .02": {"timestep_sampler": "task_mixture(known_level=0.02)"},
    "task mixture, free frames in the loss": {"timestep_sampler": "task_mixture", "weight": "free_frames"},
    "more words, free frames in the loss": {"timestep_sampler": WORDS, "weight": "free_frames"},
    "more image-to-video, free frames in the loss": {"timestep_sampler": PICTURES, "weight": "free_frames"},
    "quarter, free frames in the loss": {"timestep_sampler": QUARTER, "weight": "free_frames"},
    "half, free frames in the loss": {"timestep_sampler": HALF, "weight": "free_frames"},
    "quarter, shift 3": {"timestep_sampler": QUARTER, "shift": 3.0},
    "quarter, shift 8": {"timestep_sampler": QUARTER, "shift": 8.0},
    "quarter, weight bell": {"timestep_sampler": QUARTER, "weight": "bell"},
    "quarter, weight min-SNR": {"timestep_sampler": QUARTER, "weight": "min_snr"},
    "quarter, lr 5e-4": {"timestep_sampler": QUARTER, "lr": 5e-4},
    "quarter, lr 2e-3": {"timestep_sampler": QUARTER, "lr": 2e-3},
    "quarter, lr 4e-3": {"timestep_sampler": QUARTER, "lr": 4e-3},
    "quarter, EMA .99": {"timestep_sampler": QUARTER, "ema": 0.99},
    "quarter, no EMA": {"timestep_sampler": QUARTER, "ema": 0.0},
}
"""Name -> fields of `Adaptation`."""
TEXT = "text_cfg(scale=3)"
SAMPLING: dict[str, dict[str, Any]] = {
    "text CFG 3": {},
    "text CFG 3, 5 steps": {"steps": 5},
    "text CFG 3, 20 steps": {"steps": 20},
    "no guidance, 20 steps": {"guidance": "text_cfg(scale=1)", "steps": 20},
    "text CFG 2": {"guidance": "text_cfg(scale=2)"},
    "text CFG 5": {"guidance": "text_cfg(scale=5)"},
    "picture guidance 1.5": {"guidance": f"picture_guidance(scale=1.5) | {TEXT}"},
    "picture guidance 1.5, 5 steps": {"guidance": f"picture_guidance(scale=1.5) | {TEXT}", "steps": 5},
    "picture guidance 2": {"guidance": f"picture_guidance(scale=2) | {TEXT}"},
    "picture guidance 2, blurred at .3": {"guidance": f"picture_guidance(scale=2, level=0.3) | {TEXT}"},
    "history guidance 1.25, 5 steps": {"history": 1.25, "steps": 5},
    "history guidance 2, 5 steps": {"history": 2.0, "steps": 5},
    "history guidance 1.5 by halves, 3 steps": {"history": 1.5, "halves": True, "steps": 3},
    "solver unipc": {"solver": "unipc"},
    "solver dpmpp_2m": {"solver": "dpmpp_2m"},
    "solver heun, 5 steps": {"solver": "heun", "steps": 5},
    "known frames at .05": {"noise": 0.05},
    "known frames at .1": {"noise": 0.1},
    "known frames at .2": {"noise": 0.2},
    "strength 1.2": {"strength": 1.2},
    "strength 1.4": {"strength": 1.4},
}
"""Name -> how the best few are sampled. Picture guidance is history guidance by all known frames, at any scale."""


@checked
def with_history(guidance: str, known: Sequence[int], weight: float | int, halves: bool = False) -> str:
    """Guidance with that by the history inside it, as text: v_null + sum_i w_i (v(H_i) - v_null).

    Args:
        guidance: as text, or as `generate` takes it.
        known: latent frames of the history; none leaves the guidance as it is.
        weight: sum of all w_i; 1 is no guidance.
        halves: whether H_i are the two halves of the history, each with half of the weight; else it is one part.

    Source: Eq. 5, arXiv 2502.06764.
    """
    half = (len(known) + 1) // 2 if halves else len(known)
    parts = [list(part) for part in (known[:half], known[half:]) if part]
    terms = [(part, 0, weight / len(parts)) for part in parts]
    return f"history_guidance(terms={terms}) | {guidance}" if terms else guidance


@checked
def recipe_of(name: str, rank: int = 0, seed: int = 0) -> Adaptation:
    """The adaptation of a setting, as the tables train it beside others.

    Args:
        name: of the recipe, in TRAINING.
        rank: of the LoRA; 0 is the setting's own.
        seed: of training.

    Raises:
        ValueError: the search has no such setting.
    """
    if name not in TRAINING:
        near = get_close_matches(name, TRAINING, 1) or [next(iter(TRAINING))]
        raise ValueError(
            f"recipe={name!r:.60}: give the name of a setting, such as {near[0]!r}; `pusa-lab bench recipe --show` "
            f"lists all {len(TRAINING)}."
        )
    return Adaptation(seed=seed, **TRAINING[name] | ({"rank": rank} if rank else {}))
