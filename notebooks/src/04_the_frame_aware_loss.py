# %% [markdown]
# # 4 · The frame-aware flow-matching loss
#
# *You need: chapter 1. Time: 25 minutes of reading, a quarter of a minute of CPU.*
#
# Training with one clock per frame needs one formula and three decisions: what the model is asked for, how the frames are
# weighted, and **how the clocks are drawn**. The formula is six lines. The decisions look harmless and are not: the code
# that was released with the paper takes two of them otherwise than the paper says.
#
# **After this chapter you can**
#
# - write the loss in six lines, and say why its best model is an average;
# - compute the least loss that any model can reach, for any vector of clocks, and see what a neighbour's clock changes;
# - tell a weight per frame from a weight per clip, and say what a draw of the clocks shows the model and what it hides.

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
SIDE = 256
GRID = 21
CLIPS = 400_000
FAST = False

# %%
import matplotlib.pyplot as plt
import torch

from pusa_lab import losses, pixels, schedules, timesteps, viz
from pusa_lab.analytic import GaussianDenoiser
from pusa_lab.notebook import check, setup
from pusa_lab.schedules import timestep_samplers
from small_models import world

device = setup(seed=SEED, shapes=True)
SIDE, GRID, CLIPS = (100, 11, 100_000) if FAST else (SIDE, GRID, CLIPS)

# %% [markdown]
# ## By hand
#
# Every frame walks on a straight line from its clean value to its noise, each by its own clock (Eq. 6 and 10, arXiv
# 2507.16116):
#
# $$x_i = (1 - \tau_i)\, x^0_i + \tau_i\, \varepsilon_i$$
#
# The model learns the direction of that line, the **target** (Eq. 9). On a straight line it is the same everywhere:
#
# $$u_i = \frac{\partial x_i}{\partial \tau_i} = \varepsilon_i - x^0_i$$
#
# Three frames of one number each. **Predict**: a model that always answers 0, what is its loss?

# %% tags=["nbval-check-output"]
clean = [0.5, 0.0, -0.5]
noise = [1.0, -1.0, 0.5]
target = [e - a for a, e in zip(clean, noise, strict=True)]
squares = [(0 - u) ** 2 for u in target]
print("target", target, " squares", squares, " loss", sum(squares) / 3)

for clock in (0.1, 0.5, 0.8):
    here, further = ([(1 - t) * a + t * e for a, e in zip(clean, noise, strict=True)] for t in (clock, clock + 0.1))
    slope = [(b - a) / 0.1 for a, b in zip(here, further, strict=True)]
    assert max(abs(s - u) for s, u in zip(slope, target, strict=True)) < 1e-9, "the target does not depend on the clock"

# %% [markdown]
# Clocks decide what the model *sees*, not what it is asked. So one clip can be shown in as many ways as there are vectors
# of clocks. Here is one, and what a model gets to see of it in training. (The last row is drawn as in the released trainer;
# more of that below.)
#
# **Predict.** In which row would a model learn to look at another frame?

# %%
grid = schedules.shift_levels(torch.arange(1, 1001) / 1000, 5.0)


def released(batch, frames, generator=None):
    return grid[torch.randint(1000, (batch, frames), generator=generator)]


scene = world.draw_scenes(1, SEED + 3, world.WORLDS["nano"])
clip = world.render(scene)
rows, g = {"clean": pixels.to_uint8(clip)[0]}, torch.Generator().manual_seed(SEED)
for name, draw in {
    "shared": timestep_samplers.shared,
    "independent": timestep_samplers.independent,
    "released": released,
}.items():
    tau = draw(1, clip.shape[2], g)
    print(f"{name:11} tau =", " ".join(f"{t:.2f}" for t in tau[0]))
    rows[name] = pixels.to_uint8(timesteps.interpolate(clip, torch.randn(clip.shape, generator=g), tau).clamp(-1, 1))[0]
fig, ax = plt.subplots(figsize=(9, 4.6), layout="constrained")
viz.filmstrip(rows, ax=ax)
plt.show()

# %% [markdown]
# ## In six lines
#
# The loss (Eq. 11) is the mean square of what is missing to the target:
#
# $$L = \mathbb{E}\; \frac1f \sum_i \ell_i, \qquad \ell_i = \lVert v(x, \tau)_i - u_i \rVert^2$$
#
# with the mean over channels and pixels inside $\ell_i$. The loss of each frame comes before the mean over frames; keep it,
# for everything in this chapter is about it.


# %%
def six_lines(denoiser, x0, tau, eps):
    t = tau[:, None, :, None, None]  # (b, f) beside (b, c, f, h, w)
    x = (1 - t) * x0 + t * eps
    u = eps - x0
    v = denoiser(x, tau)
    frame_loss = (v - u).square().mean(dim=(1, 3, 4))
    return frame_loss.mean(), frame_loss


def some_denoiser(x, tau):
    return torch.sin(x) * (1 + tau)[:, None, :, None, None] - x.mean(dim=2, keepdim=True)


x0, eps, tau = torch.randn(4, 3, 5, 6, 7), torch.randn(4, 3, 5, 6, 7), torch.rand(4, 5)
loss, frame_loss = six_lines(some_denoiser, x0, tau, eps)
print(f"loss {loss:.4f}, loss of each frame", tuple(frame_loss.shape))

want = losses.fafm_frame_loss(some_denoiser, x0, tau, eps)
assert torch.allclose(loss, losses.fafm_loss(some_denoiser, x0, tau, eps)), "six lines are the library's loss"
assert torch.allclose(frame_loss, want), "and frame by frame too"

# %% [markdown]
# ## The best answer is an average
#
# The same `x` can come from many clips and many noises, with different targets. A square is least at the mean, so the best
# model answers
#
# $$v^*(x, \tau) = \mathbb{E}[\,\varepsilon - x^0 \mid x\,]$$
#
# and what remains is the **conditional variance** of the target. It is not 0, and no network can go below it.
#
# For Gaussian clips both are formulas. Three frames, correlation 0.8 from one to the next; with covariance $C$ and the
# matrices $A = \mathrm{diag}(1 - \tau)$, $B = \mathrm{diag}(\tau)$:
#
# $$\mathrm{Var}(u \mid x) = C + 1 - K M^{-1} K^\top, \qquad M = A C A + B^2 = \mathrm{Var}(x), \qquad K = B - C A = \mathrm{Cov}(u, x)$$


# %%
def exact_loss(tau, cov):
    """The least loss of each frame (..., f) at clocks tau (..., f)."""
    a, b = torch.diag_embed(1 - tau), torch.diag_embed(tau)
    m, k = a @ cov @ a + b @ b, b - cov @ a
    return (cov + torch.eye(len(cov)) - k @ torch.linalg.solve(m, k.mT)).diagonal(dim1=-2, dim2=-1)


def neighbours(frames):
    return 0.8 ** (torch.arange(frames)[:, None] - torch.arange(frames)).abs()


cov = neighbours(3)
model = GaussianDenoiser(torch.zeros(3), cov)

# %% [markdown]
# Pixels of our Gaussian clips are independent, so one big clip is thousands of draws. Frame 2 stands at clock 0.8, once
# beside noise and once beside a clean frame 1.
#
# **Predict.** Around which line do the points scatter? And where do they scatter less?

# %%
cases = {"beside noise": torch.tensor([[1.0, 1.0, 0.8]]), "beside a clean frame 1": torch.tensor([[1.0, 0.0, 0.8]])}
fig, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained", sharey=True, sharex=True)
x0 = model.sample((1, 1, 3, SIDE, SIDE))
eps = torch.randn_like(x0)
for ax, (name, tau) in zip(axes, cases.items(), strict=True):
    answer = model(timesteps.interpolate(x0, eps, tau), tau)[0, 0, 2].flatten()
    u = (eps - x0)[0, 0, 2].flatten()
    least = exact_loss(tau, cov)[0, 2]
    bins = answer.argsort().tensor_split(12)
    means = torch.tensor([[answer[i].mean(), u[i].mean()] for i in bins])
    ax.plot(answer[:3000], u[:3000], ".", ms=2, alpha=0.4)
    ax.plot([-4, 4], [-4, 4], color="grey", lw=1)
    ax.plot(*means.T, "o", color="tab:orange", label="mean of the targets")
    ax.set(title=f"{name}: least loss {least:.3f}", xlabel="what the best model answers")
    error = (least / len(bins[-1])) ** 0.5  # of a mean of targets: their spread is the least loss
    assert (means[:, 0] - means[:, 1]).abs().max() < 5 * error, "the best answer is the mean of the targets"
    assert abs((answer - u).square().mean() / least - 1) < 5 * (2 / len(u)) ** 0.5, "what remains is their variance"
axes[0].set_ylabel("target")
axes[0].legend(loc="upper left")
plt.show()

few, many = (exact_loss(tau, cov)[0, 2] for tau in reversed(cases.values()))
assert few < many / 2, "a clean neighbour takes more than half of the uncertainty away"

# %% [markdown]
# And every other model? Its loss is this floor and its mean squared distance from the best one, nothing else:
#
# $$\mathbb{E}\lVert v - u \rVert^2 = \mathbb{E}\lVert v^* - u \rVert^2 + \mathbb{E}\lVert v - v^* \rVert^2$$
#
# Three models with a fault, at clocks (0.1, 0.5, 0.9): one does not look at other frames, one is told the mean clock in
# place of three (a scalar model in an asynchronous world), and one is shy and answers 0.7 times what it should.
#
# **Predict.** Which fault costs most? Does "told one clock" cost anything in frame 1, whose clock *is* the mean?

# %%
deaf = GaussianDenoiser(torch.zeros(3), cov.diag().diag())
models = {
    "deaf to neighbours": deaf,
    "told one clock": lambda x, tau: model(x, tau.mean(dim=1, keepdim=True).expand_as(tau)),
    "shy": lambda x, tau: 0.7 * model(x, tau),
}
tau = torch.tensor([[0.1, 0.5, 0.9]])
x, floor, u = timesteps.interpolate(x0, eps, tau), exact_loss(tau, cov)[0], eps - x0
best = model(x, tau)
fig, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained", sharey=True)
for ax, (name, other) in zip(axes, models.items(), strict=True):
    distance = (other(x, tau) - best).square().mean(dim=(0, 1, 3, 4))
    measured = losses.fafm_frame_loss(other, x0, tau, eps)[0]
    ax.bar(range(3), floor, color="0.75", label="floor")
    ax.bar(range(3), distance, bottom=floor, color="tab:orange", label="squared distance")
    ax.plot(range(3), measured, "k_", ms=26, label="loss, measured")
    ax.set(title=name, xticks=range(3), xticklabels=[f"frame {i}\ntau {t:.1f}" for i, t in enumerate(tau[0])])
    rest = (other(x, tau) - u).square() - (best - u).square() - (other(x, tau) - best).square()  # its mean is 0
    assert (rest.mean(dim=(3, 4)).abs() <= 5 * rest.std(dim=(3, 4)) / SIDE).all(), "loss = floor + squared distance"
    assert measured.mean() > losses.fafm_loss(model, x0, tau, eps), "any other model is worse"
    if name == "told one clock":
        assert distance[1] > 0.1, "a right clock of its own is not enough: the others' clocks matter"
axes[0].set_ylabel("loss")
axes[2].legend(loc="upper left", bbox_to_anchor=(1, 1))
plt.show()

# %% [markdown]
# Telling one clock hurts even the frame for which it is right, because the model now trusts its neighbours wrongly. And a
# loss can be read only against its floor: a loss of 1 may be perfect.
#
# ## What a neighbour's clock does
#
# The floor of frame 2 for all pairs of clocks: its own, and that of frame 1. (Frame 0 is noise throughout.) On the left the
# formula, in the middle the library's loss of the exact model on random clips: every cell has its own vector of clocks.
#
# **Predict.** Along which edge does the neighbour's clock make no difference at all? At which own clock does a clean
# neighbour save most?

# %%
clocks = torch.linspace(0, 1, GRID)
own, beside = torch.meshgrid(clocks, clocks, indexing="ij")
tau = torch.stack([torch.ones_like(own), beside, own], dim=-1).flatten(0, 1)  # one vector of clocks a cell
formula = exact_loss(tau, cov)[:, 2].view(GRID, GRID)
x0 = model.sample((len(tau), 1, 3, SIDE // 4, SIDE // 4))
measured = losses.fafm_frame_loss(model, x0, tau, torch.randn_like(x0))[:, 2].view(GRID, GRID)

fig, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
for ax, loss, title in zip(axes, (formula, measured), ("loss of frame 2: closed form", "Monte Carlo"), strict=False):
    picture = ax.imshow(loss.T, origin="lower", extent=(0, 1, 0, 1), vmin=0, vmax=2, aspect="auto")
    ax.set(title=title, xlabel="own clock", ylabel="clock of frame 1")
fig.colorbar(picture, ax=axes[1])
for i, colour in zip((0, GRID // 2, GRID - 1), ("tab:blue", "tab:green", "tab:red"), strict=True):
    axes[2].plot(clocks, formula[:, i], color=colour, label=f"{clocks[i]:g}")
    axes[2].plot(clocks, measured[:, i], "o", ms=3, color=colour)
axes[2].set(title="three rows of both", xlabel="own clock", ylabel="loss of frame 2", ylim=0)
axes[2].legend(title="clock of frame 1", fontsize=8)
plt.show()

clean_beside, noise_beside = formula[:, 0], formula[:, -1]
most = clocks[(noise_beside - clean_beside).argmax()]
print(f"a clean neighbour saves most at own clock {most:.2f}: {(noise_beside - clean_beside).max():.2f} of the loss")
print(f"at own clock 1 it leaves {clean_beside[-1]:.2f} of {noise_beside[-1]:.2f}")

off = measured / formula - 1  # a mean of n squares of Gaussians is off by sqrt(2 / n)
scale = (2 / (SIDE // 4) ** 2) ** 0.5
assert off.abs().max() < 6 * scale and off.mean().abs() < 5 * scale / GRID, "library and formula agree in every cell"
assert torch.allclose(formula[0], torch.ones(GRID), atol=1e-5), "a clean frame has loss 1, whatever its neighbour"
assert (formula.diff(dim=1) > -1e-5).all(), "a cleaner neighbour never harms"
assert 0.5 < most < 1, "it saves most between the middle and noise"
assert (clean_beside / noise_beside).argmin() == GRID - 1, "but the greatest share of the loss at clock 1"
assert abs(clean_beside[-1] - (1 - 0.8**2)) < 1e-5, "there it leaves the variance that is not explained"

# %% [markdown]
# Two things to take along. A **clean** frame is no lesson about itself: its noise is invisible, so its loss cannot fall below
# 1, the variance of the noise, however good the model. And a model with one clock for all lives on the **diagonal** of this map: the
# lower right corner, noisy beside clean, it has never seen. That corner is image-to-video.
#
# ## Reduce last
#
# One may wish to weight frames: some clocks teach more. A weight is a number for each frame, so it must meet the loss **of
# that frame**. The released trainer has a weight, a bell over the clocks; but what it multiplies is already the mean of all
# frames, and then it takes the mean of the weights. By hand, for three frames:

# %% tags=["nbval-check-output"]
tau = torch.tensor([[0.02, 0.5, 0.98]])
weight, frame_loss = losses.bell(tau), exact_loss(tau, cov)
print("loss of each frame  ", frame_loss[0])
print("weight of each frame", weight[0])
print(f"weighted, then reduced    {(weight * frame_loss).mean():.4f}")
print(f"reduced, then weighted    {weight.mean() * frame_loss.mean():.4f}")

gradient = {"weighted first": weight, "reduced first": weight.mean().expand_as(weight)}
for name, w in gradient.items():
    print(f"{name:14} every frame's pull on the model:", (w / w.sum())[0])
assert gradient["weighted first"][0, 1] > 10 * gradient["weighted first"][0, 0], "per frame: the middle counts"
assert gradient["reduced first"].std() == 0, "per clip: all count the same"

# %% [markdown]
# Now 21 frames, as in the paper's runs, with the clocks of the released trainer, and its weight set to mean 1 over them.
#
# **Predict.** The weight of a frame has a spread of about 2/3. What is left of it after a mean over 21 independent frames?

# %%
FRAMES = 21
g = torch.Generator().manual_seed(SEED)
tau = released(CLIPS // 10, FRAMES, g)
scale = losses.bell(grid[None]).mean()
weight = losses.bell(tau) / scale
per_clip = weight.mean(dim=1)
assert abs(losses.bell(torch.tensor([[0.5]])) / scale - 2.076) < 0.01, "the released weight: 2.076 in the middle"
print(f"spread of the weights: per frame {weight.std():.3f}, per clip {per_clip.std():.3f}")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
t = torch.linspace(0.005, 1, 200)
for name, width in (("uniform", 1.5), ("bell", 1.5), ("min_snr", 5)):
    left.plot(t, losses.WEIGHTS[name](t[:, None]), lw=width, alpha=1 if width < 2 else 0.4, label=name)
after = {
    first: losses.fused_min_snr(torch.stack([torch.full_like(t, first), t], dim=1))[:, 1] for first in (0.05, 0.95)
}
for (first, fused), style in zip(after.items(), ("--", ":"), strict=True):
    left.plot(t, fused, style, color="tab:red", label=f"fused_min_snr, after one at {first:g}")
left.set(xlabel="tau of the frame", ylabel="weight", title="weights per frame", ylim=(0, 2.8))
left.legend(fontsize=8, ncols=2, loc="upper center")

bins = tau[:, 0].argsort().tensor_split(15)
met = torch.tensor([[tau[i, 0].mean(), per_clip[i].mean(), weight[i, 0].mean()] for i in bins])
right.plot(t, losses.bell(t[:, None]) / scale, label="bell, weighted first")
right.plot(t, (losses.bell(t[:, None]) / scale + FRAMES - 1) / FRAMES, label="bell, reduced first")
right.plot(met[:, 0], met[:, 1], "o", ms=4, color="tab:orange", label="the same, measured")
right.set(xlabel="tau of the frame", ylabel="weight it really gets", title=f"{FRAMES} frames", ylim=(0, 2.8))
right.legend(fontsize=8, loc="upper left")
plt.show()

tolerance = 5 * per_clip.std() / len(bins[-1]) ** 0.5
assert (met[:, 1] - (met[:, 2] + FRAMES - 1) / FRAMES).abs().max() < tolerance, "20 strangers share the weight of each"
assert abs(per_clip.std() - weight.std() / FRAMES**0.5) < 0.01, "the spread shrinks by the root of 21"
assert (after[0.95] - losses.min_snr(t[:, None])[:, 0]).abs().max() < 0.01, "after noise, fused is min_snr"
assert after[0.05][-1] > after[0.95][-1] + 0.3, "after a clean frame a noisy one counts more"
assert abs(weight.std() - 0.68) < 0.01 and abs(per_clip.std() - 0.148) < 0.01, "from .68 to .148"

# %% [markdown]
# A weight reduced last is a curve; reduced first it is a flat line, for 20 other frames vote on it. (`fused_min_snr` on the
# left looks at the frames before: after a noisy one it is `min_snr`, after a clean one a noisy frame counts more.) What
# reaches the model? The share of the loss that comes from frames above clock 0.9, where the bell is low:

# %%
frame_loss, late = exact_loss(tau[:2000], neighbours(FRAMES)), tau[:2000] > 0.9
shares = {}
for name, w in {
    "no weight": torch.ones(2000, 1),
    "reduced first": per_clip[:2000, None],
    "weighted first": weight[:2000],
}.items():
    shares[name] = ((w * frame_loss * late).sum() / (w * frame_loss).sum()).item()
    print(f"{name:14} {shares[name]:.1%}")

assert abs(shares["reduced first"] - shares["no weight"]) < 0.05, "reduced first is close to no weight at all"
assert shares["weighted first"] < shares["no weight"] / 2, "weighted first, late frames count less than half"

# %% [markdown]
# So the released runs were in effect trained unweighted, which is what the paper writes. `fafm_loss(..., weight=)` takes one
# number per frame and reduces last.
#
# ## How clocks are drawn
#
# The floor tells what *can* be learned at a vector of clocks; the **draw** says which vectors the model meets. On the left of
# each picture every frame by itself, on the right frames 0 and 8 together.
#
# **Predict.** The corner at the lower right holds "frame 8 clean, frame 0 noisy", the one at the upper left
# image-to-video. Which draw never goes there?

# %% tags=["nbval-check-output"]
zoo = {
    "shared": timestep_samplers.shared,
    "independent (the paper)": timestep_samplers.independent,
    "mixed, p_async = 0.5": timestep_samplers.mixed(0.5),
    "released trainer: grid of shift 5": released,
}
for name, draw in zoo.items():
    viz.plot_timestep_sampler(draw, frames=9, title=name)
    plt.show()

print(f"the released grid: median {grid.quantile(0.5):.3f}, lowest {grid.min():.5f}")
assert abs(grid.quantile(0.5) - 0.834) < 0.001, "half of the released clocks are above .834"
assert grid.min() > 0, "a clean frame never occurs in the released training"

tau = timestep_samplers.shift_timesteps(timestep_samplers.independent, 5.0)(
    CLIPS // 10, 9, torch.Generator().manual_seed(SEED)
)
assert abs(tau.median() - grid.median()) < 0.01, "`timestep_samplers.shift_timesteps` is the same draw without the grid"

# %% [markdown]
# ## How often does training look like image-to-video?
#
# Say: frame 0 nearly clean (below .05), all eight others above some level. Clocks are independent, so the share of clips is
# a product of marginals: $P(\tau < .05)\, P(\tau > \text{level})^{8}$.
#
# **Predict.** The paper draws a nearly clean frame five times as often as its released code. Which of the two shows more
# clips that look like image-to-video?

# %% tags=["nbval-check-output"]
NEARLY, BATCH = 0.05, 8
levels = torch.arange(19) / 20


def meets(tau, level):
    return (tau[:, 0] < NEARLY) & (tau[:, 1:] > level).all(dim=1)


def share(marginal, frames, level):
    return (marginal < NEARLY).double().mean() * (marginal > level).double().mean() ** (frames - 1)


marginals = {
    "independent (the paper)": (torch.arange(100_000) + 0.5) / 100_000,
    "released trainer: grid of shift 5": grid,
}
fig, ax = plt.subplots(figsize=(8, 3.8), layout="constrained")
at_half = {}
for (name, draw), colour in zip(zoo.items(), ("tab:green", "tab:blue", "tab:cyan", "tab:orange"), strict=True):
    tau = draw(CLIPS, 9, torch.Generator().manual_seed(SEED))
    found = torch.stack([meets(tau, level).double().mean() for level in levels])
    at_half[name] = found[levels == 0.5].item()
    ax.semilogy(
        levels,
        found.where(found >= 10 / CLIPS, torch.nan),
        "o",
        ms=9 if name == "shared" else 4,
        color=colour,
        label=name,
    )
    if name in marginals:
        product = torch.stack([share(marginals[name], 9, level) for level in levels])
        ax.semilogy(levels, product, color=colour)
        error = (product / CLIPS).sqrt() * 5 + 5 / CLIPS
        assert ((found - product).abs() < error).all(), "clocks are independent: the product of the marginals"
ax.set(xlabel="all other frames above this clock", ylabel="share of clips", ylim=(1e-6, 0.1), xlim=(-0.02, 0.92))
ax.set_title("frame 0 below .05, 9 frames (lines: closed form; dots: counted, if 10 or more)")
ax.legend(loc="lower left", fontsize=8)
plt.show()

paper, code = (torch.stack([share(m, 9, level) for level in levels]) for m in marginals.values())
assert at_half["shared"] == 0, "one clock for all: never"
assert code[0] < paper[0] / 4, "the paper shows a nearly clean frame 0 more often"
assert code[levels == 0.5] > 5 * paper[levels == 0.5], "but beside noisy frames the released code does"
print(f"the lines cross at level {levels[(code > paper).nonzero()[0, 0]]:.2f}")

# %% [markdown]
# The shift makes a clean frame rare and noisy *others* common, and there are more others than first frames: eight here, 20 in
# the paper's clips. Count it in batches of 8 and over the whole fine-tuning of the paper, 900 steps:

# %%
expected = {}
for frames in (9, 21):
    for name, marginal in marginals.items():
        p = share(marginal, frames, 0.5).item()
        expected[name, frames] = 900 * BATCH * p
        print(
            f"{frames:2} frames, {name:34} batches {1 - (1 - p) ** BATCH:.1e}, in 7,200 clips {expected[name, frames]:.4f}"
        )

assert expected["independent (the paper)", 21] < 0.01, "by the paper's draw it would not have occurred in the whole run"
assert 0.5 < expected["released trainer: grid of shift 5", 21] < 5, "by the released one, once or a few times"

# %% [markdown]
# So training hardly shows image-to-video, and still the models do it. A fair reading, not a proof: independent clocks teach
# to use *whatever* frame is cleaner, and that lesson is in every clip. Whether a draw that shows the corner more often does
# better is a question for experiments: chapter 5 trains, chapter 8 compares.
#
# ## A lower loss is not a better model
#
# Each draw has its own floor. So training losses of two draws cannot be compared, not even for a perfect model.
#
# **Predict.** Which draw has the lowest floor?

# %%
floors = {
    name: exact_loss(draw(4000, 9, torch.Generator().manual_seed(SEED)), neighbours(9)).mean()
    for name, draw in zoo.items()
}
for name, floor in floors.items():
    print(f"{name:34} {floor:.3f}")
assert max(floors.values()) > 1.1 * min(floors.values()), "the same perfect model, losses apart by over a tenth"

# %% [markdown]
# ## Exercises
#
# **1 · Fill in.** The six lines again, without looking, and with a weight `(b, f)` for every frame. Give the loss, one number.


# %% tags=["exercise"]
def my_loss(denoiser, x0, tau, eps, weight): ...  # t, x, u, v, loss of each frame, weighted mean


# %% tags=["check"]
x0, eps, tau = torch.randn(4, 3, 5, 6, 7), torch.randn(4, 3, 5, 6, 7), torch.rand(4, 5)
check(my_loss, losses.fafm_loss, some_denoiser, x0, tau, eps, losses.min_snr(tau))

# %% [markdown]
# **2 · Vary.** Frame 1 is clean, frames 0 and 2 are pure noise; correlation 0.8 as before. What is the least loss of each of the
# three frames? Find it by thought; no formula above is needed.

# %% tags=["exercise"]
my_floor = None  # a tensor of three numbers

# %% tags=["check"]
check(my_floor, exact_loss(torch.tensor([1.0, 0.0, 1.0]), cov), tolerance=0.005)

# %% [markdown]
# **3 · Invent.** A draw for 9 frames that looks like image-to-video in at least one clip of five (frame 0 below .05, all others
# above .5), and yet shows every frame at every noise level: each tenth of [0, 1] in at least 2 % of the clips, for every frame.


# %% tags=["exercise"]
def my_draw(batch, frames, generator=None): ...  # tau (batch, frames)


# %% tags=["check"]
tau = my_draw(20_000, 9, torch.Generator().manual_seed(SEED))
if tau is None:
    check(None, True)
else:
    tenths = torch.stack([torch.histc(column, 10, 0, 1) for column in tau.T]) / 20_000
    valid = tau.shape == (20_000, 9) and tau.min() >= 0 and tau.max() <= 1
    check(bool(valid and meets(tau, 0.5).double().mean() >= 0.2 and tenths.min() >= 0.02), True)

# %% [markdown]
# ## Recap
#
# | name | meaning |
# |---|---|
# | `u = eps - x0` | the target, the same at every clock (Eq. 9) |
# | `fafm_frame_loss` | loss of every sample and frame, unreduced |
# | `fafm_loss(weight=)` | its mean; a weight acts on each frame first (Eq. 11) |
# | `timestep_samplers.independent` | a clock for every frame, uniform: the paper |
# | `timestep_samplers.shift_timesteps(timestep_samplers.independent, 5)` | the same pushed to noise: the released trainer |
#
# *What could go wrong:* reducing before weighting; comparing losses of different draws; taking a loss above 0 for a bad
# model; wondering why the loss of clean frames does not fall.
#
# *Where the code lives:* `pusa_lab/losses.py`, `pusa_lab/schedules/timestep_samplers.py`, `pusa_lab/analytic.py`.
#
# *References:* Pusa, arXiv 2507.16116, equations 6 to 11; FVDM and its mixed draw, arXiv 2410.03160; Min-SNR, arXiv
# 2303.09556; fused SNR weights, Diffusion Forcing, arXiv 2407.01392.
#
# *Next:* 5 · Train a toy.
