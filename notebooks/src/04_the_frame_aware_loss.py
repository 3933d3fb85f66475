# %% [markdown]
# # 4 · The frame-aware flow-matching loss
#
# *You need: chapter 1. Time: 25 minutes of reading, a quarter of a minute of CPU.*
#
# Training with one timestep per frame needs one formula and three decisions: what the model predicts, how the frames
# are weighted, and **how the timesteps are sampled**. The formula takes six lines. The decisions look harmless and are
# not: in two of them the released code departs from the paper.
#
# **After this chapter you can**
#
# - write the loss in six lines, and say why its best model is an average;
# - compute the lowest loss that any model can reach, for any timestep vector, and see how a neighbour's noise level
#   changes it;
# - tell a weight per frame from a weight per clip, and say which timestep vectors a timestep sampler shows the model
#   and which it never does.

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
# Every frame moves on a straight line from its clean value to its noise, each by its own timestep (Eq. 6 and 10, arXiv
# 2507.16116):
#
# $$x_i = (1 - \tau_i)\, x^0_i + \tau_i\, \varepsilon_i$$
#
# The model learns the direction of that line, the **target** (Eq. 9). On a straight line it is the same everywhere:
#
# $$u_i = \frac{\partial x_i}{\partial \tau_i} = \varepsilon_i - x^0_i$$
#
# Three frames of one number each. **Predict.** What is the loss of a model that always answers 0?

# %% tags=["nbval-check-output"]
clean = [0.5, 0.0, -0.5]
noise = [1.0, -1.0, 0.5]
target = [e - a for a, e in zip(clean, noise, strict=True)]
squares = [(0 - u) ** 2 for u in target]
print("target", target, " squares", squares, " loss", sum(squares) / 3)

for level in (0.1, 0.5, 0.8):
    here, further = ([(1 - t) * a + t * e for a, e in zip(clean, noise, strict=True)] for t in (level, level + 0.1))
    slope = [(b - a) / 0.1 for a, b in zip(here, further, strict=True)]
    assert max(abs(s - u) for s, u in zip(slope, target, strict=True)) < 1e-9, "the target does not depend on tau"

# %% [markdown]
# Timesteps decide what the model *sees*, not what it must predict. So one clip can be shown in as many ways as there
# are timestep vectors. Here is a clip, and three ways in which a model may see it in training. (The timesteps of the
# last row are sampled as in the released trainer; more on that below.)
#
# **Predict.** In which row would a model learn to look at another frame?

# %%
sigmas = schedules.shift_levels(torch.arange(1, 1001) / 1000, 5.0)


def released(batch, frames, generator=None):
    return sigmas[torch.randint(1000, (batch, frames), generator=generator)]


scene = world.draw_scenes(1, SEED + 3, world.WORLDS["nano"])
clip = world.render(scene)
rows, g = {"clean": pixels.to_uint8(clip)[0]}, torch.Generator().manual_seed(SEED)
for name, sampler in {
    "shared": timestep_samplers.shared,
    "independent": timestep_samplers.independent,
    "released": released,
}.items():
    tau = sampler(1, clip.shape[2], g)
    print(f"{name:11} tau =", " ".join(f"{t:.2f}" for t in tau[0]))
    rows[name] = pixels.to_uint8(timesteps.interpolate(clip, torch.randn(clip.shape, generator=g), tau).clamp(-1, 1))[0]
fig, ax = plt.subplots(figsize=(9, 4.6), layout="constrained")
viz.filmstrip(rows, ax=ax)
plt.show()

# %% [markdown]
# ## In six lines
#
# The loss (Eq. 11) is the mean squared difference from the target:
#
# $$L = \mathbb{E}\; \frac1f \sum_i \ell_i, \qquad \ell_i = \lVert v(x, \tau)_i - u_i \rVert^2$$
#
# with the mean over channels and pixels inside $\ell_i$. The loss of each frame comes before the mean over frames; keep
# it, because this whole chapter is about it.


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
assert torch.allclose(loss, losses.fafm_loss(some_denoiser, x0, tau, eps)), "the six lines are the library's loss"
assert torch.allclose(frame_loss, want), "and so is the loss of each frame"

# %% [markdown]
# ## The best answer is an average
#
# The same `x` can come from many clips and many noises, with different targets. A mean squared error is lowest at the
# mean, so the best model answers
#
# $$v^*(x, \tau) = \mathbb{E}[\,\varepsilon - x^0 \mid x\,]$$
#
# and what remains is the **conditional variance** of the target. It is not 0, and no network can go below it: it is the
# floor.
#
# For Gaussian clips both have a closed form. Three frames, correlation 0.8 from one to the next; with covariance $C$
# and the matrices $A = \mathrm{diag}(1 - \tau)$, $B = \mathrm{diag}(\tau)$:
#
# $$\mathrm{Var}(u \mid x) = C + 1 - K M^{-1} K^\top, \qquad M = A C A + B^2 = \mathrm{Var}(x), \qquad K = B - C A = \mathrm{Cov}(u, x)$$


# %%
def exact_loss(tau, cov):
    """The lowest loss of each frame (..., f) at timesteps tau (..., f)."""
    a, b = torch.diag_embed(1 - tau), torch.diag_embed(tau)
    m, k = a @ cov @ a + b @ b, b - cov @ a
    return (cov + torch.eye(len(cov)) - k @ torch.linalg.solve(m, k.mT)).diagonal(dim1=-2, dim2=-1)


def neighbours(frames):
    return 0.8 ** (torch.arange(frames)[:, None] - torch.arange(frames)).abs()


cov = neighbours(3)
model = GaussianDenoiser(torch.zeros(3), cov)

# %% [markdown]
# The pixels of our Gaussian clips are independent, so one big clip holds thousands of samples. Frame 2 is at noise
# level 0.8, first with noise beside it and then with a clean frame 1.
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
    ax.set(title=f"{name}: lowest loss {least:.3f}", xlabel="what the best model answers")
    error = (least / len(bins[-1])) ** 0.5  # of a mean of targets, whose variance is the lowest loss
    assert (means[:, 0] - means[:, 1]).abs().max() < 5 * error, "the best answer is the mean of the targets"
    assert abs((answer - u).square().mean() / least - 1) < 5 * (2 / len(u)) ** 0.5, "what remains is their variance"
axes[0].set_ylabel("target")
axes[0].legend(loc="upper left")
plt.show()

few, many = (exact_loss(tau, cov)[0, 2] for tau in reversed(cases.values()))
assert few < many / 2, "a clean neighbour removes more than half of the uncertainty"

# %% [markdown]
# And every other model? Its loss is this floor plus its mean squared distance from the best model, and nothing else:
#
# $$\mathbb{E}\lVert v - u \rVert^2 = \mathbb{E}\lVert v^* - u \rVert^2 + \mathbb{E}\lVert v - v^* \rVert^2$$
#
# Three models with a fault, at the timesteps (0.1, 0.5, 0.9): one ignores the other frames, one receives the mean
# timestep instead of three (a scalar model in an asynchronous world), and one is too cautious and answers 0.7 times
# what it should.
#
# **Predict.** Which fault costs most? Does the mean timestep cost anything in frame 1, whose own timestep *is* the
# mean?

# %%
isolated = GaussianDenoiser(torch.zeros(3), cov.diag().diag())
models = {
    "ignores neighbours": isolated,
    "mean timestep": lambda x, tau: model(x, tau.mean(dim=1, keepdim=True).expand_as(tau)),
    "too cautious": lambda x, tau: 0.7 * model(x, tau),
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
    if name == "mean timestep":
        assert distance[1] > 0.1, "a frame's own correct timestep is not enough: those of the others matter"
axes[0].set_ylabel("loss")
axes[2].legend(loc="upper left", bbox_to_anchor=(1, 1))
plt.show()

# %% [markdown]
# The mean timestep hurts even the frame for which it is correct, because the model now trusts the neighbours wrongly.
# And a loss can be read only against its floor: a loss of 1 may be perfect.
#
# ## What a neighbour's noise level changes
#
# The floor of frame 2 for all pairs of noise levels: its own, and that of frame 1. (Frame 0 is noise throughout.) On
# the left is the closed form, in the middle the library's loss of the exact model on random clips, one timestep vector
# per cell.
#
# **Predict.** Along which edge does the neighbour's noise level make no difference at all? At which noise level of its own does frame 2 gain most from a clean neighbour?

# %%
levels = torch.linspace(0, 1, GRID)
own, beside = torch.meshgrid(levels, levels, indexing="ij")
tau = torch.stack([torch.ones_like(own), beside, own], dim=-1).flatten(0, 1)  # one timestep vector per cell
formula = exact_loss(tau, cov)[:, 2].view(GRID, GRID)
x0 = model.sample((len(tau), 1, 3, SIDE // 4, SIDE // 4))
measured = losses.fafm_frame_loss(model, x0, tau, torch.randn_like(x0))[:, 2].view(GRID, GRID)

fig, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
for ax, loss, title in zip(axes, (formula, measured), ("loss of frame 2: closed form", "Monte Carlo"), strict=False):
    picture = ax.imshow(loss.T, origin="lower", extent=(0, 1, 0, 1), vmin=0, vmax=2, aspect="auto")
    ax.set(title=title, xlabel="own noise level", ylabel="noise level of frame 1")
fig.colorbar(picture, ax=axes[1])
for i, colour in zip((0, GRID // 2, GRID - 1), ("tab:blue", "tab:green", "tab:red"), strict=True):
    axes[2].plot(levels, formula[:, i], color=colour, label=f"{levels[i]:g}")
    axes[2].plot(levels, measured[:, i], "o", ms=3, color=colour)
axes[2].set(title="three rows of both", xlabel="own noise level", ylabel="loss of frame 2", ylim=0)
axes[2].legend(title="frame 1", fontsize=8)
plt.show()

clean_beside, noise_beside = formula[:, 0], formula[:, -1]
most = levels[(noise_beside - clean_beside).argmax()]
print(f"a clean neighbour saves most at own tau {most:.2f}: {(noise_beside - clean_beside).max():.2f} of the loss")
print(f"at own tau 1 it leaves {clean_beside[-1]:.2f} of {noise_beside[-1]:.2f}")

off = measured / formula - 1  # a mean of n squares of Gaussians is off by sqrt(2 / n)
scale = (2 / (SIDE // 4) ** 2) ** 0.5
assert off.abs().max() < 6 * scale and off.mean().abs() < 5 * scale / GRID, "library and formula agree in every cell"
assert torch.allclose(formula[0], torch.ones(GRID), atol=1e-5), "a clean frame has loss 1, whatever its neighbour"
assert (formula.diff(dim=1) > -1e-5).all(), "a cleaner neighbour never harms"
assert 0.5 < most < 1, "it saves most between the middle and noise"
assert (clean_beside / noise_beside).argmin() == GRID - 1, "but the greatest share of the loss at tau = 1"
assert abs(clean_beside[-1] - (1 - 0.8**2)) < 1e-5, "what remains there is the unexplained variance"

# %% [markdown]
# Two things to remember. A **clean** frame teaches nothing about itself: its noise is invisible, so its loss cannot
# fall below 1, the variance of the noise, however good the model. And a model with one timestep for all frames only
# ever sees the **diagonal** of this map: it has never seen the lower right corner, a noisy frame beside a clean one.
# That corner is image-to-video.
#
# ## Reduce last
#
# One may wish to weight frames, because some noise levels teach more than others. A weight is a number for each frame,
# so it must multiply the loss **of that frame**. The released trainer has a weight, a bell over the noise levels; but
# it multiplies the mean loss of all frames, and is itself averaged afterwards. By hand, for three frames:

# %% tags=["nbval-check-output"]
tau = torch.tensor([[0.02, 0.5, 0.98]])
weight, frame_loss = losses.bell(tau), exact_loss(tau, cov)
print("loss of each frame  ", frame_loss[0])
print("weight of each frame", weight[0])
print(f"weighted before the mean {(weight * frame_loss).mean():.4f}")
print(f"weighted after the mean  {weight.mean() * frame_loss.mean():.4f}")

gradient = {"weighted first": weight, "reduced first": weight.mean().expand_as(weight)}
for name, w in gradient.items():
    print(f"{name:14} every frame's share of the gradient:", (w / w.sum())[0])
assert gradient["weighted first"][0, 1] > 10 * gradient["weighted first"][0, 0], "per frame: the middle one counts most"
assert gradient["reduced first"].std() == 0, "per clip: all frames count the same"

# %% [markdown]
# Now 21 frames, as in the paper's runs, with the timesteps of the released trainer and its weight normalised to mean 1
# over them.
#
# **Predict.** The weights of single frames have a standard deviation of about 2/3. What is left of it after a mean over
# 21 independent frames?

# %%
FRAMES = 21
g = torch.Generator().manual_seed(SEED)
tau = released(CLIPS // 10, FRAMES, g)
scale = losses.bell(sigmas[None]).mean()
weight = losses.bell(tau) / scale
per_clip = weight.mean(dim=1)
assert abs(losses.bell(torch.tensor([[0.5]])) / scale - 2.076) < 0.01, "the released weight: 2.076 in the middle"
print(f"standard deviation of the weights: per frame {weight.std():.3f}, per clip {per_clip.std():.3f}")

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
right.set(xlabel="tau of the frame", ylabel="its effective weight", title=f"{FRAMES} frames", ylim=(0, 2.8))
right.legend(fontsize=8, loc="upper left")
plt.show()

tolerance = 5 * per_clip.std() / len(bins[-1]) ** 0.5
assert (met[:, 1] - (met[:, 2] + FRAMES - 1) / FRAMES).abs().max() < tolerance, "20 other frames share each weight"
assert abs(per_clip.std() - weight.std() / FRAMES**0.5) < 0.01, "the deviation shrinks by the square root of 21"
assert (after[0.95] - losses.min_snr(t[:, None])[:, 0]).abs().max() < 0.01, "after noise, fused is min_snr"
assert after[0.05][-1] > after[0.95][-1] + 0.3, "after a clean frame a noisy one counts more"
assert abs(weight.std() - 0.68) < 0.01 and abs(per_clip.std() - 0.148) < 0.01, "from .68 to .148"

# %% [markdown]
# Weighted first, the effective weight is a curve; reduced first, it is almost flat, because the 20 other frames are
# averaged into it. (`fused_min_snr` on the left depends on the frames before: after a noisy one it equals `min_snr`,
# after a clean one a noisy frame counts more.) What reaches the model? The share of the loss that comes from frames
# above noise level 0.9, where the bell is low:

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
# So the released runs were in effect trained unweighted, which is what the paper describes. `fafm_loss(..., weight=)`
# takes one number per frame and reduces last.
#
# ## How timesteps are sampled
#
# The floor says what *can* be learned at a timestep vector; the **timestep sampler** decides which vectors the model
# meets. On the left of each picture is every frame by itself, on the right frames 0 and 8 together.
#
# **Predict.** The corner at the lower right holds "frame 8 clean, frame 0 noisy", the one at the upper left
# image-to-video. Which sampler never reaches it?

# %% tags=["nbval-check-output"]
zoo = {
    "shared": timestep_samplers.shared,
    "independent (the paper)": timestep_samplers.independent,
    "mixed, p_async = 0.5": timestep_samplers.mixed(0.5),
    "released trainer: sigmas of shift 5": released,
}
for name, sampler in zoo.items():
    viz.plot_timestep_sampler(sampler, frames=9, title=name)
    plt.show()

print(f"the released sigmas: median {sigmas.quantile(0.5):.3f}, lowest {sigmas.min():.5f}")
assert abs(sigmas.quantile(0.5) - 0.834) < 0.001, "half of the released timesteps are above .834"
assert sigmas.min() > 0, "a clean frame never occurs in the released training"

tau = timestep_samplers.shift_timesteps(timestep_samplers.independent, 5.0)(
    CLIPS // 10, 9, torch.Generator().manual_seed(SEED)
)
assert abs(tau.median() - sigmas.median()) < 0.01, (
    "`timestep_samplers.shift_timesteps` has the same distribution without the table of sigmas"
)

# %% [markdown]
# ## How often does training look like image-to-video?
#
# By that we mean: frame 0 is nearly clean (below .05), and all eight others are above some level. The timesteps are
# independent, so the share of such clips is a product of marginals: $P(\tau < .05)\, P(\tau > \text{level})^{8}$.
#
# **Predict.** The paper samples a nearly clean frame five times as often as its released code. Which of the two shows
# more clips that look like image-to-video?

# %% tags=["nbval-check-output"]
NEARLY, BATCH = 0.05, 8
levels = torch.arange(19) / 20


def meets(tau, level):
    return (tau[:, 0] < NEARLY) & (tau[:, 1:] > level).all(dim=1)


def share(marginal, frames, level):
    return (marginal < NEARLY).double().mean() * (marginal > level).double().mean() ** (frames - 1)


marginals = {
    "independent (the paper)": (torch.arange(100_000) + 0.5) / 100_000,
    "released trainer: sigmas of shift 5": sigmas,
}
fig, ax = plt.subplots(figsize=(8, 3.8), layout="constrained")
at_half = {}
for (name, sampler), colour in zip(zoo.items(), ("tab:green", "tab:blue", "tab:cyan", "tab:orange"), strict=True):
    tau = sampler(CLIPS, 9, torch.Generator().manual_seed(SEED))
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
        assert ((found - product).abs() < error).all(), "independent timesteps: the product of the marginals"
ax.set(xlabel="all other frames above this noise level", ylabel="share of clips", ylim=(1e-6, 0.1), xlim=(-0.02, 0.92))
ax.set_title("frame 0 below .05, 9 frames (lines: closed form; dots: counted, if 10 or more)")
ax.legend(loc="lower left", fontsize=8)
plt.show()

paper, code = (torch.stack([share(m, 9, level) for level in levels]) for m in marginals.values())
assert at_half["shared"] == 0, "one timestep for all frames: never"
assert code[0] < paper[0] / 4, "the paper shows a nearly clean frame 0 more often"
assert code[levels == 0.5] > 5 * paper[levels == 0.5], "but the released code shows it more often beside noisy frames"
print(f"the lines cross at level {levels[(code > paper).nonzero()[0, 0]]:.2f}")

# %% [markdown]
# The shift makes a clean frame rare and noisy *others* common, and there are more others than first frames: eight here,
# 20 in the paper's clips. Count it for batches of 8 and over the paper's whole fine-tuning of 900 steps:

# %%
expected = {}
for frames in (9, 21):
    for name, marginal in marginals.items():
        p = share(marginal, frames, 0.5).item()
        expected[name, frames] = 900 * BATCH * p
        print(
            f"{frames:2} frames, {name:34} batches {1 - (1 - p) ** BATCH:.1e}, in 7,200 clips {expected[name, frames]:.4f}"
        )

assert expected["independent (the paper)", 21] < 0.01, "with the paper's sampler it would hardly occur in a whole run"
assert 0.5 < expected["released trainer: sigmas of shift 5", 21] < 5, "with the released one, once or a few times"

# %% [markdown]
# So training hardly ever shows image-to-video, and still the models can do it. A fair reading, not a proof: independent
# timesteps teach the model to use *whichever* frame is cleaner, and that lesson is in every clip. Whether a sampler
# that shows the corner more often does better is a question for experiments: chapter 5 trains, chapter 8 compares.
#
# ## A sampler that shows every task
#
# The corner need not be left to chance. `task_mixture` chooses a random set of known frames for each clip, which are
# clean, and gives all others one timestep: what synchronous sampling visits. `mixture` picks one of several samplers
# for each clip. A bar shows how many clips look like text-to-video (no known frame), image-to-video (the first),
# start-end frames, keyframes, extension (a prefix) or completion (a subset); in the others, *asynchronous*, the frames
# that are not clean do not share a timestep.
#
# **Predict.** How many of these tasks do independent timesteps show?

# %%
every_task = timestep_samplers.task_mixture()
half = timestep_samplers.mixture([timestep_samplers.independent, every_task])
viz.plot_task_shares({**zoo, "task mixture": every_task, "half independent, half that": half})
plt.show()

tasks = schedules.task_shares(half)
shows = 1 - tasks["none"] - tasks["asynchronous"]
print(f"half and half: {shows:.0%} of the clips have known frames, and one timestep for all others")
assert schedules.task_shares(timestep_samplers.independent)["asynchronous"] == 1, "independent timesteps show none"
assert min(tasks.values()) > 0.02, "the mixture shows all of them"

# %% [markdown]
# ## A lower loss is not a better model
#
# Each timestep sampler has its own floor. So training losses under two samplers cannot be compared, not even for a
# perfect model.
#
# **Predict.** Which sampler has the lowest floor?

# %%
floors = {
    name: exact_loss(sampler(4000, 9, torch.Generator().manual_seed(SEED)), neighbours(9)).mean()
    for name, sampler in zoo.items()
}
for name, floor in floors.items():
    print(f"{name:34} {floor:.3f}")
assert max(floors.values()) > 1.1 * min(floors.values()), "the same perfect model, losses more than a tenth apart"

# %% [markdown]
# ## Exercises
#
# **1 · Fill in.** The six lines again, without looking, and with a weight `(b, f)` for every frame. Return the loss,
# one number.


# %% tags=["exercise"]
def my_loss(denoiser, x0, tau, eps, weight): ...  # t, x, u, v, loss of each frame, weighted mean


# %% tags=["check"]
x0, eps, tau = torch.randn(4, 3, 5, 6, 7), torch.randn(4, 3, 5, 6, 7), torch.rand(4, 5)
check(my_loss, losses.fafm_loss, some_denoiser, x0, tau, eps, losses.min_snr(tau))

# %% [markdown]
# **2 · Vary.** Frame 1 is clean, frames 0 and 2 are pure noise; correlation 0.8 as before. What is the lowest loss of
# each of the three frames? You can find it by reasoning; none of the formulas above is needed.

# %% tags=["exercise"]
my_floor = None  # a tensor of three numbers

# %% tags=["check"]
check(my_floor, exact_loss(torch.tensor([1.0, 0.0, 1.0]), cov), tolerance=0.005)

# %% [markdown]
# **3 · Invent.** A timestep sampler for 9 frames that looks like image-to-video in at least one clip in five (frame 0
# below .05, all others above .5), and yet shows every frame at every noise level: each tenth of [0, 1] in at least 2 %
# of the clips, for every frame.


# %% tags=["exercise"]
def my_sampler(batch, frames, generator=None): ...  # tau (batch, frames)


# %% tags=["check"]
tau = my_sampler(20_000, 9, torch.Generator().manual_seed(SEED))
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
# | `u = eps - x0` | the target, the same at every noise level (Eq. 9) |
# | `fafm_frame_loss` | loss of every sample and frame, unreduced |
# | `fafm_loss(weight=)` | its mean; a weight acts on each frame first (Eq. 11) |
# | `timestep_samplers.independent` | one timestep per frame, uniform: the paper |
# | `timestep_samplers.shift_timesteps(timestep_samplers.independent, 5)` | the same, shifted towards noise: the released trainer |
# | `timestep_samplers.task_mixture`, `timestep_samplers.mixture` | known frames of every task; one of several samplers for each clip |
#
# *What could go wrong:* reducing before weighting; comparing losses under different timestep samplers; taking a loss
# above 0 for a bad model; wondering why the loss of clean frames does not fall.
#
# *Where the code lives:* `pusa_lab/losses.py`, `pusa_lab/schedules/timestep_samplers.py`, `pusa_lab/analytic.py`.
#
# *References:* Pusa, arXiv 2507.16116, equations 6 to 11; FVDM and its mixed sampling of timesteps, arXiv 2410.03160;
# Min-SNR, arXiv 2303.09556; fused SNR weights, Diffusion Forcing, arXiv 2407.01392.
#
# *Next:* 5 · Train a toy.
