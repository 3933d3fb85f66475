# %% [markdown]
# # 1 · One timestep per frame, by hand
#
# *You need: chapter 0, or nothing. Time: 20 minutes of reading, a few seconds of CPU.*
#
# Three frames of one pixel are enough to see everything: what a vector of timesteps does to a clip, what the model
# learns to predict, how a step moves each frame by its own amount, and why a clean frame informs the others.
#
# **After this chapter you can**
#
# - noise a clip with one timestep per frame and undo it by hand;
# - sample along any schedule, and say why the end does not depend on the path;
# - explain image-to-video as *conditioning*, and check it against the exact answer.

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
STEPS = 50
SAMPLES = 4000
FAST = False

# %%
import matplotlib.pyplot as plt
import torch

from pusa_lab import samplers, schedules, timesteps, viz
from pusa_lab.analytic import GaussianDenoiser, condition
from pusa_lab.notebook import check, setup

device = setup(seed=SEED, shapes=True)
STEPS, SAMPLES = (20, 1000) if FAST else (STEPS, SAMPLES)


# %% [markdown]
# ## By hand
#
# A clip of three frames, each a single number, and three numbers of noise. Frame 0 is at noise level 0, frame 1 at 1/2,
# frame 2 at 1.
#
# $$x_i = (1 - \tau_i)\, x^0_i + \tau_i\, \varepsilon_i$$
#
# **Predict** the three numbers before you run the cell.

# %% tags=["nbval-check-output"]
clean = [0.2, 0.5, 0.8]
noise = [1.0, -1.0, 0.5]
levels = [0.0, 0.5, 1.0]
noised = [(1 - t) * a + t * e for a, e, t in zip(clean, noise, levels, strict=True)]
print(noised)

assert noised[0] == clean[0], "at tau = 0 a frame is clean"
assert noised[2] == noise[2], "at tau = 1 a frame is noise"
assert noised[1] == (clean[1] + noise[1]) / 2, "at tau = 1/2 it is halfway"

# %% [markdown]
# The library does the same with videos `(b, c, f, h, w)` and timesteps `(b, f)`: batch, channels, frames, height,
# width.


# %% tags=["nbval-check-output"]
def as_video(numbers):
    return torch.tensor(numbers).view(1, 1, -1, 1, 1)


x0, eps, tau = as_video(clean), as_video(noise), torch.tensor([levels])
x = timesteps.interpolate(x0, eps, tau)
print(tuple(x.shape), x.flatten())

assert torch.allclose(x.flatten(), torch.tensor(noised)), "library and hand agree"

# %% [markdown]
# One timestep per *sample* is the commonest mistake in other code: `(b,)` or `(b, 1)` would be broadcast over the
# frames silently. Here it is refused, and the message says what to do.

# %% tags=["nbval-check-output"]
try:
    timesteps.interpolate(x0, eps, torch.tensor([0.5]))
except ValueError as error:
    print(error)
else:
    raise AssertionError("a (b,) tau must be refused")

# %% [markdown]
# ## The velocity, and one step
#
# What a model learns to predict is the direction in which `x` moves as its noise level rises:
#
# $$v = \frac{dx_i}{d\tau_i} = \varepsilon_i - x^0_i$$
#
# It does not depend on `tau`. So if `v` were known exactly, a single step would suffice: from `tau` straight to 0. Each
# frame moves by **its own** difference of timesteps.
#
# **Predict.** By how much does frame 0 move?

# %% tags=["nbval-check-output"]
v = timesteps.velocity(x0, eps)
step = samplers.euler_step(x, v, tau, torch.zeros(1, 3))
print("before", x.flatten())
print("after ", step.flatten())

assert torch.allclose(step, x0), "with the true velocity one step ends at the clean clip"
assert step[0, 0, 0] == x[0, 0, 0], "a frame whose timestep does not change does not move"

# %% [markdown]
# The whole sampler in six lines. It is the library's `sample`, with an Euler step written out:


# %%
def my_sample(denoiser, x, schedule):
    for tau, tau_next in zip(schedule[:-1], schedule[1:], strict=True):
        v = denoiser(x, tau.expand(len(x), -1))
        x = x + (tau_next - tau)[:, None, None] * v
    return x


S = schedules.pyramid(steps=4, frames=3, lag=2)
check(my_sample, samplers.sample, lambda x, tau: eps - x0, eps, S)

# %% [markdown]
# ## Many paths, one end
#
# A schedule is a matrix: rows are steps, columns are frames. With the true velocity every schedule ends at the same
# clip; what differs is *when* each frame gets there.
#
# **Predict.** In which of the three is frame 2 still pure noise when frame 0 is already clean?

# %%
zoo = {
    "synchronous": schedules.synchronous(6, 3),
    "pyramid": schedules.pyramid(6, 3, lag=2),
    "autoregressive": schedules.autoregressive(3, 3),
}
fig, axes = plt.subplots(2, 3, figsize=(10, 5), layout="constrained", height_ratios=(2, 1.4))
for column, (name, S) in enumerate(zoo.items()):
    viz.plot_schedule(S, axes[0, column], title=name, colorbar=column == 2)
    states = list(samplers.sample_steps(lambda x, tau: eps - x0, eps, S))
    path = torch.stack([state.x.flatten() for state in states])
    axes[1, column].plot(path, label=[f"frame {i}" for i in range(3)])
    axes[1, column].set(xlabel="row", ylabel="x", xticks=range(0, len(S), 3))
    assert torch.allclose(states[-1].x, x0, atol=1e-6), "every path ends at the clean clip"
axes[1, 2].legend()
plt.show()

S = zoo["autoregressive"]
assert ((S[:, 0] == 0) & (S[:, 2] == 1)).any(), "autoregressive: frame 2 waits until frame 0 is done"

# %% [markdown]
# ## But nobody knows the true velocity
#
# A model sees `x` and `tau`, never `x0`. The best it can do is the average of all velocities that could have led here,
# $\mathbb{E}[\varepsilon - x^0 \mid x]$. For clips whose frames are jointly Gaussian this average is a formula, so we have
# a *perfect model* to play with. Let neighbouring frames be alike: correlation 0.8 from one to the next.

# %% tags=["nbval-check-output"]
lags = (torch.arange(3)[:, None] - torch.arange(3)).abs()
cov = 0.8**lags
model = GaussianDenoiser(torch.zeros(3), cov)
print(cov)

# %% [markdown]
# **How much does a clean neighbour help?** Keep frames 1 and 2 pure noise, vary only the noise level of frame 0, and
# ask how well the model can guess frame 2 (mean squared error of its clean estimate `x - tau v`).
#
# **Predict** the curve: where is it highest, where lowest, and what are its two end values? (The frames have variance 1,
# and frames 0 and 2 correlate by 0.64.)

# %%
x0 = model.sample((SAMPLES, 1, 3, 1, 1))
eps = torch.randn_like(x0)
levels = torch.linspace(0, 1, 11)
errors = []
for level in levels:
    tau = torch.tensor([level, 1.0, 1.0]).expand(SAMPLES, 3)
    x = timesteps.interpolate(x0, eps, tau)
    guess = timesteps.x0_from_v(x, model(x, tau), tau)
    errors.append((guess - x0)[:, :, 2].square().mean().item())

_, left = condition(torch.zeros(3), cov, known=[0], values=torch.zeros(1))
fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.plot(levels, errors, marker="o", label="measured")
ax.axhline(left[2, 2], ls=":", color="grey", label="variance of frame 2 once frame 0 is known")
ax.axhline(1.0, ls="--", color="grey", label="variance of frame 2 if nothing is known")
ax.set(xlabel="noise level of frame 0", ylabel="error of the guess for frame 2", ylim=(0, None))
ax.legend(loc="lower right")
plt.show()

tolerance = 5 * (2 / SAMPLES) ** 0.5
assert abs(errors[0] - left[2, 2]) < tolerance, "a clean frame 0 leaves exactly the conditional variance"
assert abs(errors[-1] - 1) < tolerance, "a noisy frame 0 tells nothing"
assert errors[0] < errors[5] < errors[-1], "the cleaner frame 0, the better the guess for frame 2"

# %% [markdown]
# This is the whole point of the vector: **information flows from frames with low noise to frames with high noise**. A
# model with one timestep for all frames never meets a clean frame beside a noisy one, so it never learns to use it.
#
# ## Image to video is conditioning
#
# Freeze frame 0 at 0.7 and let the others run. The samples must follow the distribution of frames 1 and 2 given that
# frame 0 is 0.7, and for Gaussians we know that distribution exactly.

# %%
picture = 0.7
x = torch.randn(SAMPLES, 1, 3, 1, 1)
x[:, :, 0] = picture
S = schedules.hold(STEPS, 3)
video = samplers.sample(model, x, S, solver="heun").view(SAMPLES, 3)

mean, cov_given = condition(torch.zeros(3), cov, known=[0], values=torch.tensor([picture]))
for name, exact, sampled in [("mean", mean, video.mean(0)), ("variance", cov_given.diag(), video.var(0))]:
    print(f"{name:9} exact {exact.numpy().round(3)}  sampled {sampled.numpy().round(3)}")

assert (video[:, 0] == picture).all(), "a frame kept at tau = 0 does not move"
assert (video.mean(0) - mean).abs().max() < tolerance, "the others have the right mean"
assert (video.var(0) - cov_given.diag()).abs().max() < tolerance, "and the right spread"

# %%
plain = samplers.sample(model, torch.randn(SAMPLES, 1, 3, 1, 1), schedules.synchronous(STEPS, 3), "heun")
fig, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True, layout="constrained")
for ax, clips, title in zip(axes, (plain.view(SAMPLES, 3), video), ("no frame known", "frame 0 known"), strict=True):
    ax.plot(range(3), clips[:60].T, color="tab:blue", alpha=0.25)
    ax.set(xlabel="frame", title=title, xticks=range(3))
axes[0].set_ylabel("pixel")
plt.show()
assert plain.view(SAMPLES, 3)[:, 0].std() > 0.9, "without a known frame the clips start anywhere"

# %% [markdown]
# ## Exercises
#
# **1 · Fill in.** Noise a clip with one timestep per frame. Mind the shapes: `tau` is `(b, f)`, the clip
# `(b, c, f, h, w)`.


# %% tags=["exercise"]
def my_interpolate(x0, eps, tau): ...


# %% tags=["check"]
clip, dirt, times = torch.randn(2, 3, 4, 5, 5), torch.randn(2, 3, 4, 5, 5), torch.rand(2, 4)
check(my_interpolate, timesteps.interpolate, clip, dirt, times)

# %% [markdown]
# **2 · Vary.** Let the *last* frame be known instead of the first. Which mean do you expect for frames 0 and 1? Sample it, and
# give the mean of the three frames.

# %% tags=["exercise"]
my_mean = None  # a tensor of three numbers, from samples with frame 2 held at 0.7

# %% tags=["check"]
check(my_mean, condition(torch.zeros(3), cov, [2], torch.tensor([0.7]))[0], tolerance=tolerance)

# %% [markdown]
# **3 · Invent.** If the model is perfect, every schedule carries noise to the right distribution. Invent a schedule of
# your own for three frames (noise levels never rise, all end at 0, any number of rows) and watch the covariance come
# out.

# %% tags=["exercise"]
my_schedule = None  # a tensor (rows, 3) from all ones to all zeros

# %% tags=["check"]
if my_schedule is None:
    check(None, cov)
else:
    clips = samplers.sample(model, torch.randn(SAMPLES, 1, 3, 1, 1), my_schedule, "heun").view(SAMPLES, 3)
    check(torch.cov(clips.T), cov, tolerance=0.02 + tolerance)

# %% [markdown]
# ## Recap
#
# | symbol | shape | meaning |
# |---|---|---|
# | `tau` | (b, f) | one timestep per sample and frame: 0 clean, 1 noise |
# | `x = (1 - tau) x0 + tau eps` | (b, c, f, h, w) | the clip at those noise levels (Eq. 10) |
# | `v = eps - x0` | (b, c, f, h, w) | what the model predicts (Eq. 9) |
# | `S` | (rows, f) | a schedule |
#
# *What could go wrong:* a `(b,)` timestep broadcast over the frames; a step with the same difference for all frames; a
# model that never saw unequal timesteps.
#
# *Where the code lives:* `pusa_lab/timesteps.py` (the only place where `tau` broadcasts), `pusa_lab/samplers.py`,
# `pusa_lab/analytic.py` (the perfect model; the tests run the whole zoo against it).
#
# *References:* equations 6 to 11 of arXiv 2507.16116; Diffusion Forcing, arXiv 2407.01392.
