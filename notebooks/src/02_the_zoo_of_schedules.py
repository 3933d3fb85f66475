# %% [markdown]
# # 2 · The zoo of schedules
#
# *You need: chapter 1. Time: 25 minutes of reading, a few seconds of CPU.*
#
# A schedule says when each frame becomes clean. Every published one is a plain matrix, and here they all are: plotted,
# counted, checked against the exact model, taken apart and composed.
#
# **After this chapter you can**
#
# - read a schedule's picture, and say how many denoiser calls it costs;
# - spot three mistakes of published code at a glance;
# - write a schedule of your own in five lines and check that it is right.

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
STEPS = 40
SAMPLES = 4000
FAST = False

# %%
import inspect

import matplotlib.pyplot as plt
import torch

from pusa_lab import samplers, schedules, viz
from pusa_lab.analytic import GaussianDenoiser
from pusa_lab.notebook import check, setup
from pusa_lab.schedules import SCHEDULES

device = setup(seed=SEED, shapes=True)
STEPS, SAMPLES = (20, 1000) if FAST else (STEPS, SAMPLES)

# %% [markdown]
# ## All of them
#
# Rows are steps, downwards in time; columns are frames; bright is noise, dark is clean. All start at noise and end clean.
#
# **Predict.** Which one needs the most rows for eight frames of six steps each? In which two does no frame wait?

# %%
every = {name: make(6, 8) for name, make in SCHEDULES.items()}
zoo = {name: S for name, S in every.items() if not isinstance(S, schedules.Rising)}  # the others come below
fig, axes = plt.subplots(3, 3, figsize=(10, 8.5), layout="constrained")
for ax, (name, S) in zip(axes.flat, zoo.items(), strict=True):
    viz.plot_schedule(S, ax, title=name, colorbar=False)
plt.show()

longest = max(zoo, key=lambda name: len(zoo[name]))
assert longest == "autoregressive", "one frame after the other takes frames x steps rows"
assert all(schedules.faults(S) == [] for S in zoo.values()), "every one of them is a schedule"

# %% [markdown]
# Each comes with its formula, a description of its picture, and its source. For example:

# %% tags=["nbval-check-output"]
print(inspect.getdoc(schedules.trapezoid))

# %% [markdown]
# ## What does it cost?
#
# A row in which nothing changes costs no call of the denoiser, and a frame that is clean need not be updated any more.
# `describe` counts both.
#
# **Predict.** How many calls does the pyramid with a lag of 2 rows need for eight frames of six steps?

# %% tags=["nbval-check-output"]
for name in ("synchronous", "pyramid", "blockwise", "autoregressive"):
    print(f"--- {name}\n{schedules.describe(zoo[name])}")

lag_2 = schedules.describe(schedules.pyramid(6, 8, lag=2))
print(f"--- pyramid, lag 2\n{lag_2}")
assert lag_2.calls == 6 + 7 * 2, "the steps of one frame, and two more rows for each later frame"

# %% [markdown]
# ## Which noise levels? Sigmas
#
# A schedule says *when* a frame is denoised, its sigmas *through which noise levels*. Wan's shift spends more steps at
# high noise, where motion and layout are decided.

# %% tags=["nbval-check-output"]
fig, axes = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained", sharey=True)
for name, sigmas in schedules.SIGMAS.items():
    axes[0].plot(sigmas(20), marker=".", label=name)
for shift in (1, 3, 5, 12):
    axes[1].plot(schedules.shift_levels(schedules.linear(20), float(shift)), marker=".", label=f"linear, shift {shift}")
for ax in axes:
    ax.set(xlabel="row")
    ax.legend(fontsize=8)
axes[0].set_ylabel("tau")
plt.show()

mine = [1.0, 0.9, 0.35, 0.0]
S = schedules.pyramid(3, 4, sigmas=mine)
assert torch.equal(S[:4, 0], torch.tensor(mine)), "sigmas given by hand are kept exactly, never shifted again"
try:
    schedules.pyramid(3, 4, sigmas=mine, shift=5.0)
except ValueError as error:
    print(error)
else:
    raise AssertionError("explicit sigmas and a shift together must be refused")

# %% [markdown]
# ## Are they right?
#
# For a Gaussian video there is a perfect model (chapter 1), and *every* schedule must carry noise to the same
# distribution. So here is a test with a known answer: the covariance of five frames, sampled along each schedule. The
# remaining error comes from the finite number of samples and steps.

# %%
lags = (torch.arange(5)[:, None] - torch.arange(5)).abs()
cov = 0.8**lags
model = GaussianDenoiser(torch.zeros(5), cov)


def worst_error(S):
    clips = samplers.sample(model, torch.randn(SAMPLES, 1, 5, 1, 1), S, "heun").view(SAMPLES, 5)
    return (torch.cov(clips.T) - cov).abs().max().item()


errors = {name: worst_error(make(STEPS, 5)) for name, make in SCHEDULES.items() if name != "hold"}
tolerance = 5 * (2 / SAMPLES) ** 0.5
fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.barh(list(errors), list(errors.values()))
ax.axvline(tolerance, color="black", ls=":", label="five standard errors")
ax.set(xlabel="largest error of the covariance (its entries are up to 1)")
ax.legend()
plt.show()

assert max(errors.values()) < tolerance, "every schedule transports noise to the data"

# %% [markdown]
# (`hold` is omitted: it keeps frame 0 as it is given, and here that would be noise.)
#
# ## Going back up
#
# Two schedules of that figure go back up: `repaint` denoises every part of the way several times, so that frames come to
# agree with each other, and `restart` jumps from low noise to high noise, which shrinks the errors of earlier steps.
# Where a level rises, the sampler adds fresh noise that keeps the distribution. That takes no call of the denoiser.
#
# **Predict.** How many calls does `repaint` need for six steps, if it goes back by two rows, twice, from rows 3 and 5?

# %% tags=["nbval-check-output"]
rising = {"repaint": schedules.repaint(6, 8, jump_length=2, jump_n_sample=3), "restart": schedules.restart(6, 8)}
fig, axes = plt.subplots(1, 2, figsize=(8, 4.5), layout="constrained")
for ax, (name, S) in zip(axes, rising.items(), strict=True):
    viz.plot_schedule(S, ax, title=name, colorbar=False)
plt.show()

assert schedules.describe(rising["repaint"]).calls == 6 + 2 * 2 * 2, "six steps, and four times two steps again"
try:
    schedules.validate(rising["repaint"].levels)
except ValueError as error:
    print(error)
else:
    raise AssertionError("a matrix that rises must be refused: mostly it is a mistake")

# %% [markdown]
# A matrix of your own may go back up if you give it as a `Rising`. Try it with the pyramid,
# `S[schedules.repaint_rows(len(S) - 1, 4, 2)]`: which frames are noised again, and does `worst_error` stay small?
#
# ## Three mistakes you will meet
#
# Each occurs in published code, each is silent, and each is visible in the picture.


# %% tags=["nbval-check-output"]
def trapezoid_with_minus_t(steps, frames):
    S = torch.zeros(steps + frames // 2, frames)
    for t in range((frames + 1) // 2):
        for column in (t, -t):  # -0 is 0: the last column is one late
            S[:, column] = (1 - (torch.arange(len(S)) - t) / steps).clamp(0, 1)
    return S


dropped = schedules.blockwise(6, 6, block=3)  # 8 frames in blocks of 3, the last two forgotten
twice = schedules.shift_levels(schedules.synchronous(6, 8, shift=5.0), 5.0)  # shifted, and shifted again
wrong = {
    "trapezoid with index -t": trapezoid_with_minus_t(6, 8),
    "8 frames, last two dropped": dropped,
    "shifted twice": twice,
}
right = [schedules.trapezoid(6, 8), schedules.blockwise(6, 8, block=3), schedules.synchronous(6, 8, shift=5.0)]
fig, axes = plt.subplots(2, 3, figsize=(10, 6), layout="constrained")
for column, (name, bad) in enumerate(wrong.items()):
    viz.plot_schedule(bad, axes[0, column], title=name, colorbar=False)
    viz.plot_schedule(right[column], axes[1, column], title="right", colorbar=False)
plt.show()

bad = wrong["trapezoid with index -t"]
print(schedules.faults(bad)[:1], schedules.remarks(bad)[:1])
assert not torch.equal(bad[:, 0], bad[:, -1]), "its two ends are not denoised together"
assert (bad[0] == 0).any(), "and a middle frame counts as clean although it was never denoised"
assert torch.equal(right[0][:, 0], right[0][:, -1]), "the right one is symmetric"

# %% [markdown]
# ## Composing schedules
#
# Schedules are matrices, so they compose. A long video in chunks, a coarse pass followed by a fine one, two scenes side
# by side: no new code, only new matrices.

# %%
scene = schedules.pyramid(6, 4)
parts = {
    "two scenes, one after the other": schedules.concatenate_frames([scene, schedules.synchronous(6, 4)], wait="turn"),
    "every column for two frames": schedules.repeat_columns(scene, 2),
    "three steps for one": schedules.stretch(scene, 3),
}
fig, axes = plt.subplots(1, 3, figsize=(10, 4), layout="constrained")
for ax, (name, S) in zip(axes, parts.items(), strict=True):
    viz.plot_schedule(S, ax, title=name, colorbar=False)
plt.show()
assert torch.equal(parts["three steps for one"][::3], scene), "the old rows are kept exactly"

# %% [markdown]
# **An endless video.** One shift of a rolling window is itself a small matrix. Repeat it: take out the clean frame,
# append a frame of noise, start again.

# %%
window = schedules.rolling_window(8, window=4)
viz.plot_schedule(window, title="one shift of the window")
plt.show()
assert torch.equal(window[-1, 1:], window[0, :-1]), "after a shift every frame is where its neighbour was"

# %% [markdown]
# ## Your own, in five lines
#
# From the middle outwards, with both ends finishing together:


# %% tags=["nbval-check-output"]
def sunrise(steps, frames, shift=1.0):
    middle = (frames - 1) / 2
    delays = [int(abs(i - middle)) for i in range(frames)]
    return schedules.delayed(steps, delays, shift)


S = sunrise(6, 8)
viz.plot_schedule(S, title="sunrise")
plt.show()
print(schedules.describe(S))
assert worst_error(sunrise(STEPS, 5)) < tolerance, "mine is right too"

# %% [markdown]
# ## Exercises
#
# **1 · Fill in.** The shift of sigmas: $g' = s g / (1 + (s - 1) g)$.


# %% tags=["exercise"]
def my_shift(levels, shift): ...


# %% tags=["check"]
check(my_shift, schedules.shift_levels, torch.rand(50), 5.0)

# %% [markdown]
# **2 · Vary.** How many denoiser calls does a pyramid of 21 frames and 10 steps need, if each frame starts 3 rows after
# the one before? Write the number down before you ask `describe`.

# %% tags=["exercise"]
my_calls = None  # a number

# %% tags=["check"]
check(my_calls, schedules.describe(schedules.pyramid(10, 21, lag=3)).calls)

# %% [markdown]
# **3 · Invent.** A schedule of 4 steps for 5 frames in which the odd frames wait until the even ones are clean.

# %% tags=["exercise"]
my_schedule = None  # a tensor (rows, 5)

# %% tags=["check"]
if my_schedule is None:
    check(None, 0)
else:
    order = schedules.describe(my_schedule).order
    waits = (my_schedule[:, 1::2] == 1).all(1) | (my_schedule[:, ::2] == 0).all(1)
    check(torch.tensor([len(order), *order[0], *order[-1], waits.all()]), torch.tensor([2, 0, 2, 4, 1, 3, 1]))

# %% [markdown]
# ## Recap
#
# | name | picture | good for |
# |---|---|---|
# | `synchronous` | bands | ordinary video diffusion |
# | `hold` | a dark column | known frames |
# | `pyramid`, `blockwise` | diagonal bands, broad stairs | causal, streaming |
# | `autoregressive` | stairs | long video, one frame at a time |
# | `trapezoid`, `two_sided` | mountains | filling in from both ends |
# | `rolling` | a diagonal stripe | endless video |
# | `staircase` | stairs with a broad first step | chunks that overlap |
#
# *What could go wrong:* a column that starts clean although its frame is not known; last frames that are dropped;
# sigmas shifted twice.
#
# *Where the code lives:* `pusa_lab/schedules/`, and the property tests in `tests/test_zoo.py`.
#
# *References:* Diffusion Forcing, arXiv 2407.01392; Rolling Diffusion, arXiv 2402.09470; SkyReels-V2, arXiv 2504.13074;
# AR-Diffusion, arXiv 2503.07418.
