# %% [markdown]
# # 3 · Solvers, and frames that are known
#
# *You need: chapters 1 and 2. Time: 25 minutes of reading, a few seconds of CPU.*
#
# A schedule says which noise level each frame reaches at each step; a **solver** says how the frames get there. And
# when a frame is known, there are five ways to keep it, which papers seldom distinguish. With the exact model each of
# them can be measured.
#
# **After this chapter you can**
#
# - choose a solver by its calls, not by its steps, and say why a multistep solver needs one history per frame;
# - tell the five ways to keep a known frame apart by their results;
# - write a solver of your own and measure its order.

# %% tags=["setup"]
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

if any(importlib.util.find_spec(name) is None for name in ("pusa_lab", "mediapy", "jaxtyping", "lightning")):
    # Colab or a bare kernel: install from the clone that this notebook is in, or that lies beside it
    here = Path.cwd().resolve()
    clones = [p for p in (here, *here.parents, *here.iterdir()) if (p / "pusa_lab" / "__init__.py").is_file()]
    if not clones:
        raise RuntimeError(
            f"pusa_lab is not installed and no clone of it is in or beside {here}: clone it there first."
        )
    newer = ["torchao>=0.16"] if importlib.util.find_spec("torchao") else []  # Colab's peft refuses Colab's torchao
    words = [sys.executable, "-m", "pip", "install", "-q", *newer, "-e", f"{clones[0]}[notebooks,train]"]
    subprocess.run(words, check=True)
    sys.path.insert(0, str(clones[0]))
    os.chdir(clones[0] / "notebooks")

# %% tags=["parameters"]
SEED = 0
STEPS = (4, 8, 16, 32)
SIDE = 41
FAST = False

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.ticker import NullFormatter

import pusa_lab as pl
from pusa_lab import samplers, schedules, tasks
from pusa_lab.analytic import GaussianDenoiser, condition
from pusa_lab.notebook import check, setup
from pusa_lab.solvers import euler
from pusa_lab.types import Geometry

device = setup(seed=SEED, shapes=True)
STEPS, SIDE = ((4, 8, 16), 21) if FAST else (STEPS, SIDE)

# %% [markdown]
# ## How fast does the error fall?
#
# The exact model again: four frames, each similar to its neighbours. Along a schedule, every start leads to one exact end,
# which sampling with very many steps finds. The error of a solver of order *n* falls by a factor of $2^n$ when the step
# size is halved.
#
# **Predict.** Which is better at equal *calls* of the model: Heun with 8 steps, or Euler with 16?

# %%
times = torch.arange(4, dtype=torch.float64)
cov = torch.exp(-((times[:, None] - times) ** 2) / 4) + 0.1 * torch.eye(4, dtype=torch.float64)
gauss = GaussianDenoiser(torch.linspace(-1, 1, 4, dtype=torch.float64), cov)
start = torch.randn(8, 1, 4, 2, 2, dtype=torch.float64)
kinds = {
    "synchronous": schedules.synchronous,
    "pyramid": lambda steps, frames: schedules.pyramid(steps, frames, lag=steps // 4),
    "autoregressive": schedules.autoregressive,
}
names = ["euler", "heun", "midpoint", "ab2", "ab3", "dpmpp_2m", "unipc"]


def counted(denoiser):
    def call(x, tau):
        call.number += 1
        return denoiser(x, tau)

    call.number = 0
    return call


def end(schedule, solver, model=gauss):
    return samplers.sample(model, start, schedule, solver)


# %% tags=["nbval-check-output"]
fig, axes = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained", sharey=True)
errors = {}
for ax, (kind, make) in zip(axes, kinds.items(), strict=True):
    truth = end(make(8 * STEPS[-1], 4), "ab3")
    for name in names:
        calls = []
        for steps in STEPS:
            model = counted(gauss)
            errors[kind, name, steps] = (end(make(steps, 4), name, model) - truth).square().mean().sqrt().item()
            calls.append(model.number)
        ax.loglog(calls, [errors[kind, name, steps] for steps in STEPS], marker="o", label=name)
    ax.set(title=kind, xlabel="calls of the denoiser")
    ax.xaxis.set_minor_formatter(NullFormatter())
axes[0].set_ylabel("error at the end")
axes[0].legend(fontsize=8)
plt.show()

for kind in kinds:
    few, many = (errors[kind, "euler", steps] for steps in STEPS[-2:])
    assert 1.6 < few / many < 2.6, "Euler: half the step, half the error"
    few, many = (errors[kind, "heun", steps] for steps in STEPS[-2:])
    assert few / many > 3, "Heun: half the step, about a quarter"
print(f"Heun, 8 steps {errors['synchronous', 'heun', 8]:.1e}; Euler, 16 steps {errors['synchronous', 'euler', 16]:.1e}")

# %% [markdown]
# Multistep solvers (`ab2`, `ab3`, `dpmpp_2m`, `unipc`) call the model once per row and reuse its earlier outputs:
# higher order at Euler's price.
#
# ## One history per frame
#
# But *earlier* means something else for every frame. What the model predicted for a frame while it waited is not a step
# of that frame's path. Let even and odd frames take turns, and make the frames independent, so that only the history
# matters. Compare with what most libraries have, one history for the whole video:


# %% tags=["nbval-check-output"]
class OneHistory:
    def init_state(self):
        before = []

        def step(denoiser, x, tau, tau_next, **cond):
            v = denoiser(x, tau, **cond)
            used = 1.5 * v - 0.5 * before[-1] if before else v
            before.append(v)
            return x + (tau_next - tau)[:, None, :, None, None] * used, v

        return step


def by_turns(steps, frames):
    sigmas, rows = schedules.linear(steps), torch.arange(2 * steps + 1)
    return torch.stack([sigmas[(rows + (i + 1) % 2) // 2] for i in range(frames)], dim=1)


fig, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained", sharey=True)
kinds["by turns"] = by_turns
unrelated = GaussianDenoiser(gauss.mean, gauss.cov.diag().diag())
for ax, kind in zip(axes, ("synchronous", "by turns"), strict=True):
    make = kinds[kind]
    truth = end(make(8 * STEPS[-1], 4), "ab3", unrelated)
    for label, solver in {"euler": "euler", "one history for all": OneHistory(), "one per frame": "ab2"}.items():
        off = [(end(make(n, 4), solver, unrelated) - truth).square().mean().sqrt().item() for n in STEPS]
        errors[kind, label] = off
        ax.loglog(STEPS, off, marker="o", label=label)
    ax.set(title=kind, xlabel="steps of each frame", xticks=STEPS, xticklabels=STEPS)
    ax.minorticks_off()
axes[0].set_ylabel("error at the end")
axes[0].legend()
plt.show()

same = torch.tensor(errors["synchronous", "one history for all"]) / torch.tensor(errors["synchronous", "one per frame"])
assert (same - 1).abs().max() < 1e-3, "with one timestep for all frames the two are the same solver"
worse = errors["by turns", "one history for all"][-1] / errors["by turns", "one per frame"][-1]
print(f"by turns, {STEPS[-1]} steps: the error with one history for all is {worse:.1f} times as large")
assert worse > 3, "with one timestep per frame they are not"

# %% [markdown]
# ## Five ways to keep a known frame
#
# Frame 0 is known. The switch is `Known.mode`, with a noise level `m`; `S` is the frame's column of the schedule:
#
# | mode | `tau` of frame 0 | the latents the model sees | at the end |
# |---|---|---|---|
# | `freeze` | 0 | clean | as given |
# | `denoise` | m S | noised once, then denoised (Pusa) | regenerated |
# | `hold` | m | level m, fresh noise each row (SkyReels) | as given |
# | `replacement` | m S | level m S, fresh noise each row (Wan TI2V at m = 0, classic replacement at m = 1) | as given |
# | `label` | m | clean, whatever `tau` says (Diffusion Forcing) | as given |
#
# To measure them, the exact model needs the interface of a video model: five short members, and `generate` takes it
# like any other.


# %%
class GaussianVideo:
    device = torch.device("cpu")
    geometry = Geometry(stride=(1, 1, 1), channels=3, frames=4, size=(SIDE, SIDE))

    def encode_text(self, prompts):
        return {}

    def encode_video(self, clip):
        return 6.0 * clip

    def decode(self, latents):
        return latents / 6

    def __call__(self, x, tau):
        return gauss(x, tau)


def means(mode, m, seed=0):
    value = np.full((SIDE, SIDE, 3), (1.0 / 6 + 1) / 2)  # 1.0 in the latents
    task = tasks.image_to_video(value, noise=m, mode=mode)
    result = pl.generate(GaussianVideo(), "", task, steps=40, guidance=1.0, solver="heun", seed=seed)
    return result.latents.mean(dim=(0, 1, 3, 4)).double()


exact = condition(gauss.mean, gauss.cov, [0], torch.ones(1, dtype=torch.float64))[0]
cases = [("freeze", 0.0), *((mode, m) for mode in ("denoise", "hold", "replacement", "label") for m in (0.3, 0.8))]
found = {case: means(*case) for case in cases}

# %% [markdown]
# **Predict.** Which mode changes frame 0 itself? Which one, at m = 0.8, follows the picture least?

# %%
fig, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained", sharey=True)
for ax, m in zip(axes, (0.3, 0.8), strict=True):
    ax.plot(exact, color="black", lw=3, alpha=0.4, label="exact: given frame 0")
    ax.plot(gauss.mean, color="black", ls=":", label="no frame known")
    for mode, marker in zip(("denoise", "hold", "replacement", "label"), "osv^", strict=True):
        ax.plot(found[mode, m], marker=marker, label=mode)
    ax.set(title=f"m = {m}", xlabel="frame", xticks=range(4))
axes[0].set_ylabel("mean of the samples")
axes[1].legend(fontsize=8, loc="lower right")
plt.show()

spread = 5 / SIDE
assert (found["freeze", 0.0] - exact).abs().max() < spread, "frozen: exactly the conditional distribution"
assert found["denoise", 0.8][0] < 1 - spread, "denoise lets frame 0 itself drift towards the likely"
for mode in ("hold", "replacement", "label"):
    assert abs(found[mode, 0.8][0] - 1) < 1e-3, "the others give frame 0 back as it was"
assert (found["hold", 0.8] - exact)[1].abs() > (found["hold", 0.3] - exact)[1].abs(), "more noise, less influence"

# %% [markdown]
# At m = 0 all five are the same, and exact. Noise on a known frame buys freedom: `denoise` lets the frame adapt to the
# video, `hold` and `label` let the video depart from the frame. On a trained model this is how to set a frozen subject
# in motion (chapter 0); here you see what it costs.
#
# ## History guidance
#
# History guidance compares the model *with* known frames to the model *without* them, and extrapolates along the
# difference. Weight 1 changes nothing and is exact. What do larger weights do to frame 1?

# %%
from pusa_lab.guidance import history_guidance, vanilla

S = schedules.hold(40, 4)
x = torch.randn(400, 1, 4, 3, 3, dtype=torch.float64)
x[:, :, 0] = 1.0
eps = torch.randn_like(x)
for weight in (1.0, 2.0, 3.0):
    guided = history_guidance(gauss, vanilla([0], weight), eps)
    last = samplers.sample(guided, x, S, "heun")[:, :, 1]
    print(
        f"weight {weight:g}: frame 1 has mean {last.mean():.2f}, spread {last.std():.2f}; {guided.calls} call(s) a step"
    )
    if weight == 1:
        assert abs(last.mean() - exact[1]) < 0.1, "weight 1 is the model itself"

# %% [markdown]
# Larger weights move the mean past the truth and narrow the spread: more faithful, less varied. In videos this shows as
# clips that hardly move.
#
# ## Exercises
#
# **1 · Fill in.** The weights of two velocities in a second-order step of size `h` after one of size `before`:
# $w_{\text{now}} = 1 + h / (2\,\text{before})$, and both add up to 1.


# %% tags=["exercise"]
def my_weights(h, before): ...  # a tensor of two: now, before


# %% tags=["check"]
def reference(h, before):
    return torch.stack([1 + h / (2 * before), -h / (2 * before)])


check(my_weights, reference, torch.tensor(0.2), torch.tensor(0.1))

# %% [markdown]
# **2 · Vary.** How many calls does `heun` need for a pyramid of 9 frames, 10 steps, lag 2? Write the number down first.
# Heun calls the model twice per row, but never at $\tau = 0$: a row in which every frame that changes becomes clean
# costs one call.

# %% tags=["exercise"]
my_calls = None  # a number

# %% tags=["check"]
check(my_calls, 2 * schedules.describe(schedules.pyramid(10, 9, lag=2)).calls - 1)

# %% [markdown]
# **3 · Invent.** A solver of your own: a function `(denoiser, x, tau, tau_next) -> (x_next, v)` whose error is at most
# a third of Euler's, with as many steps. Call the model as often as you like.

# %% tags=["exercise"]
my_solver = None

# %% tags=["check"]
if my_solver is None:
    check(None, 0)
else:
    S, truth = schedules.pyramid(8, 4), end(schedules.stretch(schedules.pyramid(8, 4), 16), "ab3")
    off = [(end(S, solver) - truth).square().mean().sqrt().item() for solver in (my_solver, euler)]
    check(torch.tensor(off[0] < off[1] / 3), torch.tensor(True))

# %% [markdown]
# ## Recap
#
# | name | calls per row | order |
# |---|---|---|
# | `euler` | 1 | 1 |
# | `heun` | 2, but 1 where every frame that changes becomes clean: it makes no call at $\tau = 0$ | 2 |
# | `midpoint` | 2 | 2 |
# | `ab2`, `dpmpp_2m`, `unipc` | 1 | 2 |
# | `ab3` | 1 | 3 if the first step is small; 2 on even steps, because it starts with Euler |
# | `churn`, `consistency` | 1 | with fresh noise, for few steps |
#
# *What could go wrong:* one history for all frames; comparing solvers at equal steps instead of equal calls; mistaking
# replacement for conditioning.
#
# *Where the code lives:* `pusa_lab/solvers/`, `pusa_lab/tasks/known.py` (the table of the five modes), `pusa_lab/guidance/`.
#
# *References:* DPM-Solver++, arXiv 2211.01095; UniPC, arXiv 2302.04867; history guidance, arXiv 2502.06764; Pusa, arXiv
# 2507.16116.
