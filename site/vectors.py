"""What the page in JavaScript takes from Python: tables of the world and the zoo, and what its engine must compute.

python site/vectors.py
"""

import itertools
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import pusa_lab as pl
import small_models
from pusa_lab.noise import FRESH, noise_of
from pusa_lab.sampling_inputs import levels_of
from pusa_lab.schedules import SCHEDULES, SIGMAS, describe, faults
from pusa_lab.schedules.sigmas import levels
from pusa_lab.studio import edits
from pusa_lab.studio.editing import columns
from pusa_lab.types import Cond, Geometry, Rising
from small_models.models.text import split_words
from small_models.models.zoo import card
from small_models.world import COLOURS, DIRECTIONS, NANO, captions, draw_scenes, render

VECTORS = Path(__file__).parent / "engine" / "vectors.json"
TABLES = Path(__file__).parent / "models" / "tables.json"
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "synchronous": [{}],
    "hold": [{"at": [0]}, {"at": [0, -1]}],
    "pyramid": [{}, {"lag": 0.5}, {"lag": 3}],
    "autoregressive": [{}],
    "trapezoid": [{}, {"lag": 1.5}],
    "two_sided": [{}, {"outward": True, "lag": 2}],
    "rolling": [{}, {"window": 3}, {"window": 1}],
    "blockwise": [{}, {"block": 2, "lag": 2, "first_alone": True}, {"lag": 99}],
    "staircase": [{}, {"chunk": 3, "overlap": 1}],
    "repaint": [{}, {"jump_length": 1, "jump_n_sample": 2}],
    "restart": [{}, {"low": 0.2, "high": 0.9, "times": 1, "restart_steps": 2}],
}
OWN = [name for name in SCHEDULES if SCHEDULES[name].__module__.startswith("pusa_lab.")]
"""The zoo without what a person has registered."""
SIZES = [{"steps": 5, "frames": 8}, {"steps": 8, "frames": 7, "shift": 3.0}]
SIZES += [{"steps": 6, "frames": 5, "sigmas": name} for name in SIGMAS]
ODD = [
    [[1.0, 1.0, 1.0], [0.4, 0.5, 0.6], [0.5, 0.7, 0.7], [0.0, 0.25, 0.0]],
    [[1.5, -1.0], [0.5, 0.5], [0.0, 0.0]],
    [[1.0 + 1e-7, 1.0], [0.5, 0.5], [1e-7, -1e-7]],
    [[1.0], [0.0]],
    [[1.0, 0.3], [0.3, 1.0], [1.0, 0.2], [0.2, 1.0], [0.5, 0.5]],
]


class Simple:
    """A video model in one line, the same in JavaScript: v_i = (x_i - m) (1/2 + tau_i) + mean(x) / 10."""

    geometry = Geometry(stride=(1, 1, 1), channels=3, frames=4, size=(2, 2), fps=8)
    device = torch.device("cpu")

    def __call__(self, x: Tensor, tau: Tensor, m: Tensor) -> Tensor:
        """m is 0.2 with a caption, and -0.1 without."""
        mean = x.mean(dim=(1, 2, 3, 4), keepdim=True)
        return (x - m[:, None, None, None, None]) * (0.5 + tau[:, None, :, None, None]) + 0.1 * mean

    def encode_text(self, prompts: list[str]) -> Cond:
        """The number m of each caption."""
        return {"m": torch.tensor([0.2 if prompt else -0.1 for prompt in prompts])}

    def encode_video(self, clip: Tensor) -> Tensor:
        """Pixels as they are."""
        return clip

    decode = encode_video


def zoo() -> list[dict[str, Any]]:
    """Every member of the zoo, with every kind of sigmas and of argument."""
    rows = []
    for name, size in itertools.product(OWN, SIZES):
        for more in OPTIONS[name]:
            S = SCHEDULES.find(name)(**size, **more)
            about = {"rising": isinstance(S, Rising), **_told(describe(S))}
            rows.append({"name": name, "options": size | more, "levels": levels_of(S).tolist(), **about})
    return rows


def _told(d: Any) -> dict[str, Any]:
    return {"calls": d.calls, "order": list(map(list, d.order)), "clean": list(d.clean)}


def runs() -> list[dict[str, Any]]:
    """The sampling loop: Euler and Heun, guided or not, down and up, with known frames in every mode."""
    picture = (np.arange(12).reshape(2, 2, 3) * 20).astype(np.uint8)
    known = [[], *([{"at": 0, "noise": m, "mode": mode}] for mode in pl.tasks.MODES for m in (0.0, 0.4))]
    known = [one for one in known if not one or one[0]["mode"] != "freeze" or one[0]["noise"] == 0]
    known += [[{"at": 0, "noise": 0.0, "mode": "denoise"}, {"at": 3, "noise": 0.3, "mode": "denoise"}]]
    asked = [(kept, "pyramid", "euler", 1.0, 7) for kept in known]
    asked += itertools.product(known[:2], OWN, ("euler", "heun"), (1.0, 2.5), (0,))
    rows = []
    for kept, name, solver, guidance, seed in asked:
        if name == "hold" and not kept:
            continue  # refused: nothing is known of the frame that it holds
        at, noise = [one["at"] for one in kept], [one["noise"] for one in kept]
        task = pl.tasks.keyframes([picture] * len(at), at, noise, kept[0]["mode"]) if kept else None
        run = pl.prepare(Simple(), "words", task, schedule=name, steps=4, solver=solver, guidance=guidance, seed=seed)
        states = [[s.x.flatten().tolist(), None if s.x0 is None else s.x0.flatten().tolist()] for s in run.states()]
        about = {"schedule": name, "steps": 4, "solver": solver, "guidance": guidance, "seed": seed, "known": kept}
        rows.append(about | {"picture": picture.tolist(), "last": states[-1], "middle": states[len(states) // 2]})
    return rows


def refused() -> list[dict[str, Any]]:
    """Schedules that contradict what is known, and the sentence that refuses them."""
    picture, rows = np.zeros((2, 2, 3), np.uint8), []
    for noise, mode in [(None, "denoise"), (0.4, "denoise"), (0.4, "hold"), (1.0, "denoise")]:
        task = None if noise is None else pl.tasks.keyframes([picture], [0], [noise], mode)
        known = [] if noise is None else [{"at": 0, "noise": noise, "mode": mode}]
        try:
            pl.prepare(Simple(), "words", task, schedule="hold", steps=4)
        except ValueError as error:
            rows.append({"schedule": "hold", "steps": 4, "known": known, "fault": str(error).removeprefix("prepare: ")})
    return rows


def edited() -> list[dict[str, Any]]:
    """Edits of the studio, and fixes of every fault."""
    S = SCHEDULES.find("pyramid")(4, 5)
    asked = [
        ("drag", {"frame": 2, "row": 3, "level": 0.35}),
        ("paint", {"frames": [1, 3], "rows": [2], "level": 0.9}),
        ("freeze", {"frame": 4}),
        ("delay", {"frame": 1, "by": 3}),
        ("delay", {"frame": 4, "by": -6}),
        ("copy", {"frame": 0, "to": "1-2, -1"}),
    ]
    rows = []
    for kind, given in asked:
        read = given | ({"to": columns(given["to"], 5)} if "to" in given else {})
        rows.append({"kind": kind, "given": given, "from": S.tolist(), "to": edits.EDITS[kind](S, **read).tolist()})
    return rows


def fixed() -> list[dict[str, Any]]:
    """Every cell of matrices with faults, mended."""
    rows = []
    for matrix in ODD[:2]:
        S = torch.tensor(matrix)
        for row, frame in itertools.product(range(len(S)), range(S.shape[1])):
            mended, said = edits.fix(S, row, frame)
            rows.append({"from": S.tolist(), "row": row, "frame": frame, "to": mended.tolist(), "said": said})
    return rows


def scenes() -> dict[str, Any]:
    """Drawn scenes of the nano world: as numbers, in words, and every pixel of their clips, as bytes."""
    some = draw_scenes(6, 11, NANO)
    clips, said = pl.pixels.to_uint8(render(some)), captions(some)
    rows = []
    for n in range(len(some)):
        objects = [
            {
                "shape": NANO.nouns[some.shape[n, k]],
                "colour": list(COLOURS)[some.colour[n, k]],
                "direction": list(DIRECTIONS)[some.direction[n, k]],
                "speed": NANO.speeds[some.speed[n, k]][0],
                "x": some.start[n, k, 0].item(),
                "y": some.start[n, k, 1].item(),
            }
            for k in range(some.present.shape[1])
            if some.present[n, k]
        ]
        scene = {"level": some.level[n].item(), "objects": objects}
        rows.append({"scene": scene, "caption": said[n], "clip": clips[n].flatten().tolist()})
    return rows


def worded() -> list[dict[str, Any]]:
    """Captions as words and as indices; those that are refused as their sentence."""
    text = small_models.load("nano-vta", device="cpu").text
    asked = ["", "a red circle moves right.", "A  Blue square moves quickly up and left,a cyan triangle moves down"]
    asked += ["a pink circle moves right", "red " * 21, "A red circle.  \n"]
    rows = []
    for one in asked:
        try:
            rows.append({"caption": one, "words": split_words(one), "tokens": text.tokenize([one])[0].tolist()})
        except ValueError as error:
            rows.append({"caption": one, "words": split_words(one), "fault": str(error)})
    return rows


def vectors() -> dict[str, Any]:
    """All of them."""
    sigmas = [(name, n, s) for name in SIGMAS for n in (1, 2, 7, 30) for s in (1.0, 5.0)]
    noise = [((2, 3, 3, 3), 0, 0), ((3, 8, 16, 16), 12, 0), ((1, 1, 4, 4), 5, FRESH + 3)]
    return {
        "sigmas": [{"name": n, "steps": k, "shift": s, "levels": levels(n, k, s).tolist()} for n, k, s in sigmas],
        "zoo": zoo(),
        "faults": [{"matrix": m, "faults": faults(torch.tensor(m))} for m in ODD],
        "edits": edited(),
        "fixes": fixed(),
        "noise": [
            {"size": int(np.prod(shape)), "seed": seed, "row": row, "first": x[:50].tolist(), "last": x[-20:].tolist()}
            for shape, seed, row in noise
            for x in [noise_of((1, *shape), seed, row).flatten()]
        ],
        "runs": runs(),
        "refused": refused(),
        "scenes": scenes(),
        "words": worded(),
        "gaussian": gaussian(),
    }


def gaussian() -> list[dict[str, Any]]:
    """The exact velocity of two correlated frames of one number each."""
    rows = []
    for rho, x, tau in itertools.product((0.0, 0.9), ([1.0, -0.5], [0.3, 2.0]), ([0.5, 0.5], [0.0, 0.7], [1.0, 0.2])):
        exact = pl.analytic.GaussianDenoiser(torch.zeros(2), torch.tensor([[1.0, rho], [rho, 1.0]]))
        v = exact(torch.tensor(x).view(1, 1, 2, 1, 1), torch.tensor([tau]))
        rows.append({"rho": rho, "x": x, "tau": tau, "v": v.flatten().tolist()})
    return rows


def rounded(value: Any) -> Any:
    """The same with seven digits, which is what single precision has."""
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list | tuple) else value


def tables() -> dict[str, Any]:
    """What the page knows of the world, of the toys' words and of the zoo's sliders."""
    model = small_models.load("nano-vta", device="cpu")
    world = {"nouns": NANO.nouns, "colours": dict(list(COLOURS.items())[: NANO.colours]), "directions": DIRECTIONS}
    world |= {"speeds": dict(NANO.speeds), "radius": NANO.sizes[0][1], "size": NANO.size, "frames": NANO.frames}
    zoo = {
        name: [asdict(one) for one in edits.parameters(name, NANO.frames)] for name in edits.drawable() if name in OWN
    }
    text = {"words": model.text.words, "longest": model.text.longest}
    steps = {name: card(name)["config"]["max_steps"] for name in ("nano-base", "nano-vta")}
    told = {"text": text, "zoo": zoo, "sigmas": list(SIGMAS), "fps": model.geometry.fps, "steps": steps}
    return {"world": world, **told}


if __name__ == "__main__":
    TABLES.write_text(json.dumps(tables(), separators=(",", ":")) + "\n")
    VECTORS.write_text(json.dumps(rounded(vectors()), separators=(",", ":")) + "\n")
