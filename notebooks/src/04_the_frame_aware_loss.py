# %% [markdown]
# # 4 · The frame-aware flow-matching loss
#
# ***Your training loss sits at 0.6 and will not fall any more. Is the model poor, or is 0.6 the best that anyone could
# do?***
#
# *You need: chapter 1. Time: 35 minutes of reading, fifteen seconds of CPU.*
#
# This chapter derives the lowest loss that any model can reach, holds real curves against it, and asks which timestep
# vectors a model meets in training.
#
# **After this chapter you can**
#
# - write the loss in six lines, and derive its floor step by step;
# - read a loss as floor plus distance, and say how one frame's noise level moves the floor of another;
# - say which timestep vectors a timestep sampler shows, and why losses under two of them cannot be compared.

# %% tags=["setup"]
# build.py puts the installing cell here.

# %% tags=["parameters"]
SEED = 0
SIDE = 256
GRID = 21
STEPS = 1000
CLIPS = 200_000
HELD = 64
KNOWN = 1000
FAST = False

# %%
import matplotlib.pyplot as plt
import torch

import pusa_lab.notebook as nb
import small_models
from pusa_lab import losses, pixels, schedules, timesteps, viz
from pusa_lab.analytic import GaussianDenoiser
from pusa_lab.schedules import timestep_samplers
from small_models import world
from small_models.evaluation import evaluate

device = nb.setup(seed=SEED, shapes=True)
if FAST:
    SIDE, GRID, STEPS, CLIPS, HELD, KNOWN = 100, 11, 50, 50_000, 8, 100

# %% [markdown]
# ## By hand
#
# Every frame moves on a straight line from its clean value to its noise, by its own timestep (Eq. 6 and 10,
# arXiv 2507.16116):
#
# $$x_i=(1-\tau_i)\,x^0_i+\tau_i\,\varepsilon_i$$
#
# The model learns the direction of that line, the **target**, which is the same everywhere on it (Eq. 9):
#
# $$u_i=\frac{\partial x_i}{\partial \tau_i}=\varepsilon_i-x^0_i$$
#
# Take three frames of one number each.
#
# **Predict.** What is the loss of a model that always answers 0? Do you need the timesteps to say it?

# %% tags=["nbval-check-output"]
clean, noise = [0.5, 0.0, -0.5], [1.0, -1.0, 0.5]
target = [e - c for c, e in zip(clean, noise, strict=True)]
squares = [(0 - u) ** 2 for u in target]
print("target", target, " squares", squares, " loss", sum(squares) / 3)

# %% [markdown]
# <details><summary>Answer</summary>
#
# The mean of the squared targets; no timestep enters. Timesteps decide what the model *sees*, not what it must predict.
#
# </details>
#
# Here are three ways to noise one clip:
#
# - `shared`: one timestep for all frames, as usual;
# - `independent`: one for each, the idea of Diffusion Forcing and FVDM, with which Pusa fine-tunes;
# - `released`: what Pusa's published trainer does, which also shifts them towards noise (it multiplies the ratio of
#   noise to clip, $\tau/(1-\tau)$, by 5).

# %%
sigmas = schedules.shift_levels(torch.arange(1, 1001) / 1000, 5.0)


def released(batch, frames, generator=None):
    """The timesteps of Pusa's released trainer: each frame picks one of 1000 levels, shifted towards noise."""
    return sigmas[torch.randint(1000, (batch, frames), generator=generator)]


shared, independent = timestep_samplers.shared, timestep_samplers.independent
zoo = {"shared": shared, "independent": independent, "released": released}

# %% tags=["hide-input"]
clip = world.render(world.draw_scenes(1, SEED + 3, world.WORLDS["nano"]))
rows, g = {"clean": pixels.to_uint8(clip)[0]}, torch.Generator().manual_seed(SEED)
levels_shown = [torch.zeros(clip.shape[2])]
for name, sampler in zoo.items():
    tau = sampler(1, clip.shape[2], g)
    levels_shown.append(tau[0])
    noisy = timesteps.interpolate(clip, torch.randn(clip.shape, generator=g), tau)
    rows[name] = pixels.to_uint8(noisy.clamp(-1, 1))[0]
fig, ax = plt.subplots(figsize=(10, 5), layout="constrained")
viz.filmstrip(rows, ax=ax)
for tau, y in zip(levels_shown, ax.get_yticks(), strict=True):
    for level, x in zip(tau, ax.get_xticks(), strict=True):
        box = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none"}
        ax.text(x, y + clip.shape[3] * 0.38, f"{level:.2f}", ha="center", va="center", fontsize=10, bbox=box)
ax.set_xlabel("frame (on each: its timestep)")
plt.show()

# %% [markdown]
# In the row `independent` clear frames stand beside noisy ones: here a model learns to *look at its neighbours*. In
# `released` nearly all are noisy.
#
# ## In six lines
#
# The loss (Eq. 11) is the mean squared difference from the target. We also keep the loss of each frame. On a made-up
# denoiser we check that the library's loss is the same.


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
print(f"loss {loss:.4f}, of each frame: shape {tuple(frame_loss.shape)}")
assert torch.allclose(loss, losses.fafm_loss(some_denoiser, x0, tau, eps)), "the six lines are the library's loss"

# %% [markdown]
# ## How low can it go?
#
# Many clips and many noises lead to the same $x$, with different targets. The model sees only $x$ and $\tau$, so it
# has to give *one* answer $v$ to all of them. Call the mean of their targets $v^*=\mathbb{E}[u \mid x]$. Then
#
# $$\mathbb{E}\,(v-u)^2=\mathbb{E}\,(v-v^*)^2+2\,\mathbb{E}\,(v-v^*)(v^*-u)+\mathbb{E}\,(v^*-u)^2 .$$
#
# In the middle term $v-v^*$ depends on $x$ alone, and for each $x$ the mean of $v^*-u$ is 0. So it vanishes, and
#
# $$\underbrace{\mathbb{E}\,(v-u)^2}_{\text{loss}} \;=\;
# \underbrace{\mathbb{E}\,(v-v^*)^2}_{\text{squared distance from the best answer}} \;+\;
# \underbrace{\mathbb{E}\operatorname{Var}(u \mid x)}_{\text{floor}} .$$
#
# As a drawing:

# %% tags=["hide-input"]
nb.diagram(
    "04_floor_and_distance",
    "A right triangle: its legs are the floor, from the target to the best answer, and the distance, from the best "
    "answer to the model's; its hypotenuse is the loss. Beside it are bars of floor and distance for three models.",
)

# %% [markdown]
# No network, however large, gets below the floor. So how high is it?
#
# ## The floor, step by step
#
# For Gaussian clips the floor can be computed. Begin with one frame of mean 0 and variance $c$, and write $a = 1 -
# \tau$ and $b = \tau$, so $x = a x^0 + b\,\varepsilon$ and $u = \varepsilon - x^0$.
#
# 1. The pieces. Clip and noise are independent, with variances $c$ and 1, so $\operatorname{Var}(u)=c+1$,
#    $\;\operatorname{Var}(x)=a^2c+b^2$, and $\operatorname{Cov}(u, x)=b-a c$.
# 2. The best straight line through the cloud of pairs is $k\,x$ with
#    $k=\operatorname{Cov}(u, x) / \operatorname{Var}(x)$. What it leaves is uncorrelated with $x$, and for Gaussians
#    that means independent of it: nothing more can be had from $x$. So $v^*=k\,x$.
# 3. What it leaves is
#    $\operatorname{Var}(u \mid x) = \operatorname{Var}(u) - \dfrac{\operatorname{Cov}(u, x)^2}{\operatorname{Var}(x)}
#    = c + 1 - \dfrac{(b - a c)^2}{a^2 c + b^2}$.
# 4. Bring it over one denominator. The numerator is
#    $(c+1)(a^2c+b^2)-(b-a c)^2=a^2c+b^2c+2abc=c\,(a+b)^2$, and $a+b=1$. So
#
# $$\operatorname{Var}(u \mid x)=\frac{c}{(1-\tau)^2c+\tau^2}.$$
#
# Try both ends. At $\tau=1$ the floor is $c$: nothing is visible, so all of the clip's variance remains. At
# $\tau=0$ it is **1**, not 0: the clip is fully visible, but the *noise*, the other part of the target, is not. So the
# loss of a clean frame teaches a model nothing about denoising, and a good recipe leaves known frames out of it
# (`losses.free_frames`). In between it may be higher than at both ends: with $c=1$ and $\tau=\tfrac12$, $x$ is half the
# *sum* of clip and noise, the target is their *difference*, and the one says nothing of the other.
#
# With several frames, $c$ becomes their covariance matrix $C$, and $a$, $b$ become the diagonal matrices $A =
# \mathrm{diag}(1 - \tau)$, $B = \mathrm{diag}(\tau)$. Steps 1 to 3 are the same, with $K$ for the covariance of target
# and $x$, and $M$ for the variance of $x$:
#
# $$\operatorname{Var}(u \mid x)=C+I-K M^{-1} K^\top,\qquad M=A C A+B^2,\qquad K=B-C A,$$
#
# and the floor of frame $i$ is entry $i$ of its diagonal. Our clips have a correlation of 0.8 from each frame to the
# next.


# %%
def floor_of(tau, cov):
    """The lowest loss of each frame (..., f) at timesteps tau (..., f)."""
    a, b = torch.diag_embed(1 - tau), torch.diag_embed(tau)
    m, k = a @ cov @ a + b @ b, b - cov @ a
    return (cov + torch.eye(len(cov)) - k @ torch.linalg.solve(m, k.mT)).diagonal(dim1=-2, dim2=-1)


def neighbours(frames):
    return 0.8 ** (torch.arange(frames)[:, None] - torch.arange(frames)).abs()


cov = neighbours(3)
model = GaussianDenoiser(torch.zeros(3), cov)
t = torch.linspace(0, 1, 11)[:, None]
assert torch.allclose(floor_of(t, torch.full((1, 1), 0.3)), 0.3 / ((1 - t) ** 2 * 0.3 + t**2)), "one frame: as derived"

# %% [markdown]
# Here is the cloud of step 2. Frame 2 stands at noise level 0.8, once beside noise, once beside a clean frame 1.
#
# **Predict.** Around which line do the points scatter? Where do they scatter less?

# %% tags=["hide-input"]
cases = {"beside noise": torch.tensor([[1.0, 1.0, 0.8]]), "beside a clean frame 1": torch.tensor([[1.0, 0.0, 0.8]])}
fig, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained", sharey=True, sharex=True)
x0 = model.sample((1, 1, 3, SIDE, SIDE))
eps = torch.randn_like(x0)
for ax, (name, tau) in zip(axes, cases.items(), strict=True):
    answer = model(timesteps.interpolate(x0, eps, tau), tau)[0, 0, 2].flatten()
    u, floor = (eps - x0)[0, 0, 2].flatten(), floor_of(tau, cov)[0, 2]
    bins = answer.argsort().tensor_split(12)
    means = torch.tensor([[answer[i].mean(), u[i].mean()] for i in bins])
    ax.plot(answer[:3000], u[:3000], ".", ms=2, alpha=0.4, color="#0072B2")
    ax.plot([-4, 4], [-4, 4], color="grey", lw=1)
    ax.plot(*means.T, "o", color="#D55E00", label="mean of the targets")
    ax.set(title=f"{name}: floor {floor:.3f}", xlabel="what the best model answers")
    assert (means[:, 0] - means[:, 1]).abs().max() < 5 * (floor / len(bins[-1])) ** 0.5, "the best answer is the mean"
    assert abs((answer - u).square().mean() / floor - 1) < 5 * (2 / len(u)) ** 0.5, "what remains is the floor"
axes[0].set_ylabel("target")
axes[0].legend(loc="upper left")
plt.show()

# %% [markdown]
# <details><summary>Answer</summary>
#
# Around the diagonal: the best model's answer *is* the mean of the targets, as the orange dots show. The mean square of
# the points' distances from it, upwards or downwards, is the floor, and beside a clean frame it is less than half as
# large.
#
# </details>
#
# ## A curve that will not fall
#
# Back to the question at the top. We train two networks on clips of three numbers. The first sees all frames and
# timesteps; the second is shown each frame alone. (The numbers vary just so much that the first one's floor is the 0.6
# of the question.)
#
# **Predict.** Both curves will go flat. Which model is then as good as a model can be?

# %%
small = 0.225 * cov  # the covariance of three frames that vary little
views = {
    "sees all frames": (6, lambda x, tau: torch.cat([x, tau], dim=1)),
    "sees each frame alone": (2, lambda x, tau: torch.stack([x, tau], dim=2)),
}


def network(entries):
    middle = torch.nn.Linear(64, 64), torch.nn.SiLU(), torch.nn.Linear(64, entries // 2)
    return torch.nn.Sequential(torch.nn.Linear(entries, 64), torch.nn.SiLU(), *middle)


def batch(view):
    x0, eps, tau = torch.randn(256, 3) @ torch.linalg.cholesky(small).T, torch.randn(256, 3), torch.rand(256, 3)
    return view((1 - tau) * x0 + tau * eps, tau), eps - x0


def curve(net, view):
    optimizer, found = torch.optim.Adam(net.parameters(), 0.02), []
    slower = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.05, STEPS)
    for seen, target in (batch(view) for _ in range(STEPS)):
        found.append((net(seen).view(-1, 3) - target).square().mean())
        optimizer.zero_grad()
        found[-1].backward()
        optimizer.step(), slower.step()
    return torch.stack(found).detach()


# %% tags=["hide-input"]
many = torch.rand(20_000, 3)
fig, ax = plt.subplots(figsize=(10, 3.4), layout="constrained")
bests = floor_of(many, small).mean(), floor_of(many, small * torch.eye(3)).mean()
for (name, (entries, view)), best, colour in zip(views.items(), bests, ("#0072B2", "#D55E00"), strict=True):
    found = curve(network(entries), view)
    ax.plot(found, color=colour, lw=0.5, alpha=0.5)
    ax.plot(range(12, STEPS - 12), found.unfold(0, 25, 1).mean(dim=1), color=colour, lw=2, label=name)
    ax.axhline(best, color=colour, ls="--", label=f"its floor, {best:.2f}")
    assert FAST or abs(found[-200:].mean() / best - 1) < 0.04, "training ends near the floor"
ax.set(xlabel="step", ylabel="loss", ylim=(0.45, 1))
ax.legend(ncols=2)
plt.show()

# %% [markdown]
# <details><summary>Answer</summary>
#
# The one that sees all frames: it ends a few per cent above the lowest loss that anybody can reach. The other curve is
# just as flat, and it too ends on a floor, but on that of a harder task.
#
# </details>
#
# So a loss of 0.6 that will not fall *may* be the best there is. A flat curve says that training has come to an end,
# not that it has come far; only the floor (dashed) can say that.
#
# ## Three models with a fault
#
# Now the other leg of the triangle, the distance. At the timesteps (0.1, 0.5, 0.9) we give three models a fault each:
# one ignores the other frames; one is given the mean of the three timesteps, as a scalar model would be; one is too
# cautious and answers 0.7 times what it should.
#
# **Predict.** Which fault costs most? And does the mean timestep cost anything in frame 1, whose own timestep *is* the
# mean?

# %%
models = {
    "ignores neighbours": GaussianDenoiser(torch.zeros(3), torch.eye(3)),
    "mean timestep": lambda x, tau: model(x, tau.mean(dim=1, keepdim=True).expand_as(tau)),
    "too cautious": lambda x, tau: 0.7 * model(x, tau),
}
tau = torch.tensor([[0.1, 0.5, 0.9]])
x, floor = timesteps.interpolate(x0, eps, tau), floor_of(tau, cov)[0]
fig, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained", sharey=True)
for ax, (name, other) in zip(axes, models.items(), strict=True):
    distance = (other(x, tau) - model(x, tau)).square().mean(dim=(0, 1, 3, 4))
    measured = losses.fafm_frame_loss(other, x0, tau, eps)[0]
    ax.bar(range(3), floor, color="0.75", label="floor")
    ax.bar(range(3), distance, bottom=floor, color="#D55E00", label="squared distance")
    ax.plot(range(3), measured, "k_", ms=26, mew=2, label="loss, measured")
    ax.set(title=name, xticks=range(3), xticklabels=[f"frame {i}\ntau {t:.1f}" for i, t in enumerate(tau[0])])
    assert (measured - floor - distance).abs().max() < 15 / SIDE, "loss = floor + squared distance"
    assert name != "mean timestep" or distance[1] > 0.1, "a frame needs the right timesteps of the others, too"
axes[0].set_ylabel("loss")
axes[2].legend(loc="upper right", fontsize=9)
plt.show()

# %% [markdown]
# <details><summary>Answer</summary>
#
# The mean timestep, in sum: the model takes the nearly clean frame 0 for a half noisy one. And yes, it costs frame 1 as
# well: it trusts its neighbours wrongly.
#
# </details>
#
# In all three panels the black mark, the measured loss, sits on top of grey plus orange: the equation holds. In the
# first panel ignoring the neighbours costs frame 0 next to nothing, so little of its clip is hidden.
#
# ## What a neighbour's noise level changes
#
# Here is the floor of frame 1 of two frames for every pair of noise levels, its own and that of frame 0.
#
# **Predict.** On which edge of the map does the neighbour make no difference at all? Where does a clean neighbour save
# most?

# %% tags=["hide-input"]
levels = torch.linspace(0, 1, GRID)
own, beside = torch.meshgrid(levels, levels, indexing="ij")
tau = torch.stack([beside, own], dim=-1).flatten(0, 1)  # one timestep vector per cell
formula = floor_of(tau, neighbours(2))[:, 1].view(GRID, GRID)
pair = GaussianDenoiser(torch.zeros(2), neighbours(2))
many = pair.sample((len(tau), 1, 2, SIDE // 4, SIDE // 4))
measured = losses.fafm_frame_loss(pair, many, tau, torch.randn_like(many))[:, 1].view(GRID, GRID)

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
picture = left.imshow(formula.T, origin="lower", extent=(0, 1, 0, 1), aspect="auto")
left.plot([0, 1], [0, 1], "w--", lw=1)
arrow = {"arrowstyle": "->", "color": "white"}
left.annotate("image-to-video", (0.99, 0.01), (0.6, 0.13), color="white", ha="center", arrowprops=arrow)
left.set(title="floor of frame 1", xlabel="its own noise level", ylabel="noise level of frame 0")
fig.colorbar(picture, ax=left)
for i, colour in zip((0, GRID // 2, GRID - 1), ("#0072B2", "#009E73", "#D55E00"), strict=True):
    right.plot(levels, formula[:, i], color=colour, label=f"frame 0 at {levels[i]:g}")
    right.plot(levels, measured[:, i], "o", ms=3, color=colour)
right.set(title="three rows of it (dots: measured)", xlabel="own noise level", ylabel="floor of frame 1", ylim=0)
right.legend()
plt.show()

saved = formula[:, -1] - formula[:, 0]
print(f"a clean neighbour saves most at own tau {levels[saved.argmax()]:.2f}: {saved.max():.2f}")
assert (measured / formula - 1).abs().max() < 6 * (2 / (SIDE // 4) ** 2) ** 0.5, "library and formula agree everywhere"
assert torch.allclose(formula[0], torch.ones(GRID), atol=1e-5), "a clean frame has loss 1, whatever its neighbour"
assert abs(formula[-1, 0] - (1 - 0.8**2)) < 1e-5, "beside a clean frame, pure noise keeps the unexplained variance"

# %% [markdown]
# <details><summary>Answer</summary>
#
# On the left edge, where frame 1 itself is clean: its floor is 1 whatever stands beside it. A clean neighbour saves
# most when frame 1 is rather noisy (printed above). At pure noise it leaves $1-0.8^2=0.36$, the part of the frame that
# it does not explain.
#
# </details>
#
# The dashed diagonal is all that a model with one timestep for all frames ever sees. It never visits the lower right
# corner, a noisy frame 1 beside a clean frame 0, where the floor is lowest. That corner is image-to-video, which is why
# such a model has to be adapted to it.
#
# ## Weight first, average last
#
# A weight belongs to a frame, so it must multiply the loss *of that frame*. The released trainer of Pusa has such a
# weight, a bell $e^{-2 (\tau-1/2)^2}-e^{-1/2}$; but it averages both weight and loss over the frames of a clip
# before it multiplies them.
#
# **Predict.** The weights of single frames differ by a standard deviation of about 2/3. What is left of it after
# averaging over the 21 frames of the paper's clips?

# %% tags=["nbval-check-output"]
tau = released(4000, 21, torch.Generator().manual_seed(SEED))
weight = losses.bell(tau) / losses.bell(sigmas[None]).mean()  # mean 1
per_clip = weight.mean(dim=1, keepdim=True)
print(f"standard deviation of the weights: per frame {weight.std():.2f}, per clip {per_clip.std():.2f}")

frame_loss, late = floor_of(tau, neighbours(21)), tau > 0.9
for name, w in {"no weight": torch.ones(1), "per clip": per_clip, "per frame": weight}.items():
    share = (w * frame_loss * late).sum() / (w * frame_loss).sum()
    print(f"{name:10} share of the loss from frames above .9: {share:.0%}")
assert abs(per_clip.std() - weight.std() / 21**0.5) < 0.01, "it shrinks by the square root of 21"

# %% [markdown]
# <details><summary>Answer</summary>
#
# It shrinks by $\sqrt{21} \approx 4.6$, as every mean of independent numbers does.
#
# </details>
#
# So averaged over the clip, very noisy frames have almost the same share of the loss as with no weight at all, while a
# weight per frame would have cut it to a quarter. (These are Gaussian clips; real ones were not measured.)
# `losses.fafm_loss(..., weight=)` averages last.
#
# ## What a timestep sampler shows
#
# The **timestep sampler** decides which timestep vectors the model meets. Each dot below is one clip of training; the
# box is image-to-video as in the first half of sampling: frame 0 almost clean, frame 8 noisy.
#
# **Predict.** Which sampler never reaches the box? Of the other two, which reaches it more often?

# %%
fig, axes = plt.subplots(1, 3, figsize=(10, 3.5), layout="constrained", sharey=True)
for ax, (name, sampler) in zip(axes, zoo.items(), strict=True):
    tau = sampler(CLIPS, 9, torch.Generator().manual_seed(SEED))
    inside = (tau[:, 0] < 0.05) & (tau[:, 8] > 0.5)
    ax.plot(tau[:1500, 0], tau[:1500, 8], ".", ms=2, color="#0072B2")
    ax.add_patch(plt.Rectangle((0, 0.5), 0.05, 0.5, fill=False, ec="#D55E00", lw=2))
    ax.set(title=f"{name}: {inside.double().mean():.1%} in the box", xlabel="tau of frame 0")
    assert name != "shared" or not inside.any(), "one timestep for all frames never gets there"
assert abs(sigmas.median() - 0.83) < 0.01, "half of the released levels lie above .83"
axes[0].set_ylabel("tau of frame 8")
plt.show()

# %% [markdown]
# <details><summary>Answer</summary>
#
# `shared` never does: its dots are the diagonal. With two frames, `independent` gets there more often, because the
# released sampler rarely draws a clean frame: half of its levels lie above .83.
#
# </details>
#
# But real image-to-video has *all* the others noisy. The frames are independent, so the share of such clips is a
# product: $P(\tau<.05)\;P(\tau>.5)^{f-1}$.

# %% tags=["nbval-check-output"]
marginals = {"independent": (torch.arange(100_000) + 0.5) / 100_000, "released": sigmas}
share = {}
print("clips that look like image-to-video, in 900 steps of 8 clips (the paper's fine-tuning)")
for frames in (2, 9, 21):
    for name, level in marginals.items():
        p = (level < 0.05).double().mean() * (level > 0.5).double().mean() ** (frames - 1)
        share[name, frames] = p.item()
    print(f"{frames:2} frames:", ", ".join(f"{name} {900 * 8 * share[name, frames]:8.3f}" for name in marginals))

found = zoo["independent"](CLIPS, 3, torch.Generator().manual_seed(SEED))
counted = ((found[:, 0] < 0.05) & (found[:, 1:] > 0.5).all(dim=1)).double().mean()
assert abs(counted - 0.05 * 0.5**2) < 5 * (0.0125 / CLIPS) ** 0.5, "counting agrees with the product"
assert share["independent", 2] > share["released", 2] and share["independent", 9] < share["released", 9], "they cross"

# %% [markdown]
# Read the last line: with 21 latent frames, the paper's sampler would most likely not show a single such clip in the
# whole run, and the released one about two. And yet the models can do image-to-video. One possible reason, which
# nothing here tests: independent timesteps teach a model to use *whichever* frame is cleaner, and every clip does that.
#
# Could one simply show the tasks themselves? `task_mixture` picks a set of known frames for each clip, makes them
# clean, and gives all the others one timestep; `mixture` mixes samplers. Half of each is the recipe by which our toys
# are adapted (chapter 12 measures how much better it is). The bars show how often each sampler shows which task:
#
# | in the bars | known frames |
# |---|---|
# | first | frame 0: image-to-video |
# | ends | the first and the last |
# | keyframes | both ends and one between them |
# | prefix | the first few: extension |
# | subset | any others |
# | asynchronous | the noisy frames do not share a timestep |

# %%
half = timestep_samplers.mixture([independent, timestep_samplers.task_mixture()])
colours = ["#E69F00", "#56B4E9", "#F0E442", "#009E73", "#CC79A7", "#D55E00", "#CCCCCC"]
with plt.rc_context({"axes.prop_cycle": plt.cycler(color=colours)}):
    bars = viz.plot_task_shares({**zoo, "task mixture": timestep_samplers.task_mixture(), "half and half": half})
bars.set_size_inches(10, 3.6)
plt.show()
assert schedules.task_shares(independent)["asynchronous"] == 1, "independent timesteps show no task exactly"
assert min(schedules.task_shares(half).values()) > 0.02, "the mixture shows all of them"

# %% [markdown]
# The first three bars show no task but text to video: independent timesteps never leave all noisy frames at one level.
# The task mixture has every task, and half and half keeps the paper's asynchronous clips (grey) beside them.
#
# ## A lower loss is not a better model
#
# The same perfect model has a different loss under each timestep sampler:

# %%
floors = {}
for name, sampler in {**zoo, "half and half": half}.items():
    tau = sampler(4000, 9, torch.Generator().manual_seed(SEED))
    floors[name] = floor_of(tau, neighbours(9)).mean().item()
    alone = floor_of(tau, torch.eye(9)).mean()
    print(f"{name:14} {floors[name]:.3f}, and {alone:.3f} if frames were unrelated")
assert max(floors.values()) > 1.1 * min(floors.values()), "the same perfect model, losses more than a tenth apart"

# %% [markdown]
# `shared` is the highest, since frames of equal noise help each other less than a clear one helps a noisy one. If a
# colleague's loss is lower than yours, first ask which timesteps it was measured at.
#
# ## Reading a real loss
#
# Our trained toys' losses look different: far below 1, and *highest* at both ends, where these floors are lowest. Why?
#
# Our frames had variance $c=1$. Clips of `nano` vary a lot along a few directions (such as brightness), and hardly
# along all the others. Along such a *principal direction* a clip is one number that is uncorrelated with the rest, and
# so is its noise, with variance 1. Each direction is then a case of step 4 by itself, with a $c$ of its own, and the
# floor is the mean over all directions. (This holds for Gaussian clips whose frames share one timestep.)
#
# **Predict.** At which end does a direction with a small $c$ have its high floor, and at which one with a large $c$?

# %% tags=["hide-input"]
scenes = world.draw_scenes(HELD, evaluate.VALIDATION_SEED, world.WORLDS["nano"])
held, words = world.render(scenes), world.captions(scenes)
toys = {name: small_models.load(name, device="cpu") for name in ("nano-base", "nano-vta")}
eps = torch.randn(held.shape, generator=torch.Generator().manual_seed(SEED))
drawn_at, frame_losses = {}, {}
for name in ("shared", "independent"):
    tau = drawn_at[name] = zoo[name](HELD, held.shape[2], torch.Generator().manual_seed(SEED))
    with torch.no_grad():
        each = [losses.fafm_frame_loss(toy, held, tau, eps, **toy.encode_text(words)) for toy in toys.values()]
    frame_losses[name] = torch.stack(each)  # (toy, clip, frame)

many = world.render(world.draw_scenes(KNOWN, SEED, world.WORLDS["nano"])).flatten(1)
many = many - many.mean(dim=0)
variances = torch.linalg.eigvalsh(many @ many.T / (KNOWN - 1)).clamp(min=0)  # of the directions in which they differ
levels = torch.linspace(0.02, 1, 99)[:, None]


def step_4(c):
    return c / ((1 - levels) ** 2 * c + levels**2)


middles = torch.arange(0.1, 1, 0.2)


def by_level(values, tau):  # mean and standard error over clips: frames of one clip are not independent of each other
    near = [(tau - middle).abs() <= 0.1 for middle in middles]
    clips = [((values * here).sum(dim=1) / here.sum(dim=1))[here.any(dim=1)] for here in near]
    return torch.tensor([[v.mean(), v.std() / len(v) ** 0.5] for v in clips]).T


fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
for c, colour in zip(
    (100.0, 10.0, 1.0, 0.1, 0.01), ("#D55E00", "#E69F00", "#009E73", "#56B4E9", "#0072B2"), strict=True
):
    left.semilogy(levels, step_4(torch.tensor(c)), color=colour, label=f"c = {c:g}")
left.set(title="floor of one direction", xlabel="tau", ylim=(0.005, 200))
left.legend(fontsize=9, ncols=2)
linear = step_4(variances).sum(dim=1) / many.shape[1]  # the other directions are worth 0
right.plot(levels[8:], linear[8:], color="0.4", ls="--", label="best linear model")
for toy, measured, colour in zip(toys, frame_losses["shared"], ("#D55E00", "#0072B2"), strict=True):
    right.errorbar(middles, *by_level(measured, drawn_at["shared"]), fmt="-o", ms=4, color=colour, label=toy)
right.set(title="clips of nano, shared timesteps", xlabel="tau", ylabel="loss", ylim=0)
right.legend(fontsize=9)
plt.show()
assert FAST or linear[50] < linear[-1] < linear[8], "real variances make the dip in the middle"

# %% [markdown]
# <details><summary>Answer</summary>
#
# A small $c$ at low noise, where the hidden noise is all that is missing; a large $c$ at high noise, where the floor
# rises to $c$ itself. Their mean is lowest in between.
#
# </details>
#
# On the right, the dashed line is an estimate of that mean for `nano`: what the best *linear* model would lose. (Trust
# it from 0.7 on. Further left it is far too low, since `KNOWN` clips show only some of the 6144 directions.) Both toys
# dip in the middle too, but much deeper and at lower noise: they are not linear, and read the words. Their true floor
# nobody knows, so three habits take its place:
#
# - *fix* a set of held-out clips, their timesteps and their noise;
# - *split* the loss by noise level;
# - *subtract* the losses of two models, frame by frame: the floor cancels, and what remains is the difference of their
#   squared distances.
#
# Let us try this on the two toys: `nano-base` was trained with shared timesteps, and `nano-vta` from it with half and
# half.
#
# **Predict.** Measured at shared timesteps, which one has the lower loss? And at independent ones?

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
gain = {}
for ax, (name, (base, vta)) in zip(axes, frame_losses.items(), strict=True):
    gain[name] = (vta - base).mean(dim=1)
    mean, error = gain[name].mean(), gain[name].std() / HELD**0.5
    print(
        f"{name:11} base {base.mean():.3f}, vta {vta.mean():.3f}; difference {mean:+.4f} ± {error:.4f} (standard error)"
    )
    ax.errorbar(middles, *by_level(vta - base, drawn_at[name]), fmt="-o", color="#0072B2")
    ax.axhline(0, color="0.6", lw=1)
    ax.set(title=f"{name} timesteps", xlabel="tau", ylabel="vta - base")
plt.show()
spread = frame_losses["shared"][0].mean(dim=1).std()
print(f"standard deviation of the base's loss from clip to clip, at shared timesteps: {spread:.3f}")
assert gain["independent"].mean() < -2 * gain["independent"].std() / HELD**0.5, "at independent timesteps vta is ahead"
assert FAST or abs(gain["shared"].mean()) < 0.002, "at shared ones the two cannot be told apart by one number"

# %% [markdown]
# <details><summary>Answer</summary>
#
# At shared timesteps neither, at independent ones `nano-vta`, by far, and at every noise level. (Bars are standard errors
# over clips; mind the scales of the two panels.)
#
# </details>
#
# The tie on the left has two halves: `nano-vta` has become a little worse at low noise, and better in the middle. The
# losses of single clips scatter by many times that. We see such differences only because both models had the same
# clips, timesteps and noise.
#
# Back to the 0.6 at the top: alone it says nothing. Held against a floor, or against another model on the same clips,
# timesteps and noise, it says who is closer to the best, and where.

# %% [markdown]
# ## Exercises
#
# **1 · Fill in.** The six lines again, without looking, with a weight `(b, f)` for each frame. You get `denoiser(x,
# tau)`, clips `x0` and noise `eps` of shape `(b, c, f, h, w)`, and `tau` and `weight` of shape `(b, f)`. Return one
# number: the weighted loss, weighted first and averaged last.
#
# <details><summary>Hint</summary>
#
# `tau[:, None, :, None, None]` brings the timesteps beside the clips. Average over channels and pixels, multiply by
# `weight`, and only then average over clips and frames.
#
# </details>


# %% tags=["exercise"]
def my_loss(denoiser, x0, tau, eps, weight): ...  # one number


# %% tags=["check"]
x0_, eps_, tau_ = torch.randn(4, 3, 5, 6, 7), torch.randn(4, 3, 5, 6, 7), torch.rand(4, 5)


def wrong(target=lambda x0, eps: eps - x0, mix=lambda x0, eps, t: (1 - t) * x0 + t * eps):
    def loss(denoiser, x0, tau, eps, weight):
        v = denoiser(mix(x0, eps, tau[:, None, :, None, None]), tau)
        return (weight * (v - target(x0, eps)).square().mean(dim=(1, 3, 4))).mean()

    return loss


def per_clip_(denoiser, x0, tau, eps, weight):
    return (weight.mean(dim=1) * losses.fafm_frame_loss(denoiser, x0, tau, eps).mean(dim=1)).mean()


nb.check(
    my_loss,
    losses.fafm_loss,
    *(some_denoiser, x0_, tau_, eps_, losses.min_snr(tau_)),
    mistakes={
        "the target points from the clip to the noise; yours points the other way": wrong(lambda x0, eps: x0 - eps),
        "the target is the noise minus the clip; yours is the noise alone": wrong(lambda x0, eps: eps),
        "the weight was squared with the difference: it multiplies the square": lambda d, x0, tau, eps, weight: (
            losses.fafm_loss(d, x0, tau, eps, weight=weight**2)
        ),
        "the denoiser was given one timestep per clip: each frame has its own": lambda d, x0, tau, eps, weight: (
            losses.fafm_loss(lambda x, t: d(x, t.mean(dim=1, keepdim=True).expand_as(t)), x0, tau, eps, weight=weight)
        ),
        "channels and pixels were added up, not averaged": lambda d, x0, tau, eps, weight: (
            losses.fafm_loss(d, x0, tau, eps, weight=weight) * x0[0, :, 0].numel()
        ),
        "tau = 0 is the clean clip, tau = 1 is noise; yours has them the other way round": wrong(
            mix=lambda x0, eps, t: t * x0 + (1 - t) * eps
        ),
        "the weight was averaged over the frames of a clip before it multiplied their losses": per_clip_,
        "the weight was averaged before it multiplied the loss": lambda denoiser, x0, tau, eps, weight: (
            weight.mean() * losses.fafm_loss(denoiser, x0, tau, eps)
        ),
        "the sum was divided by the sum of the weights, not by the number of frames": lambda d, x0, tau, eps, weight: (
            losses.fafm_loss(d, x0, tau, eps, weight=weight) / weight.mean()
        ),
        "this is a sum; the loss is a mean": lambda d, x0, tau, eps, weight: (
            losses.fafm_loss(d, x0, tau, eps, weight=weight) * weight.numel()
        ),
        "the weight is not used": lambda denoiser, x0, tau, eps, weight: losses.fafm_loss(denoiser, x0, tau, eps),
        "this is the loss of each frame; average it over clips and frames": lambda denoiser, x0, tau, eps, weight: (
            weight * losses.fafm_frame_loss(denoiser, x0, tau, eps)
        ),
    },
)
if not nb.unwritten(my_loss):
    clips_, levels_ = model.sample((1, 1, 3, 64, 64)), torch.tensor([[0.1, 0.5, 0.9]])
    noise_ = torch.randn_like(clips_)
    each = [my_loss(model, clips_, levels_, noise_, weight[None]) for weight in 3 * torch.eye(3)]
    plt.figure(figsize=(9, 2.6), layout="constrained")
    plt.bar(range(3), each, color="#0072B2", label="your loss of the perfect model, all weight on one frame")
    sides = torch.arange(3) - 0.4, torch.arange(3) + 0.4
    plt.hlines(floor_of(levels_, cov)[0], *sides, color="black", lw=3, label="floor of this frame")
    plt.xticks(range(3), [f"frame {i}, tau {level:.1f}" for i, level in enumerate(levels_[0])])
    plt.ylim(0, 1.7)
    plt.legend(loc="upper right")
    plt.show()


# %% [markdown]
# **2 · Vary.** Three frames of variance 1, neighbours with correlation 0.8 as before (so frames 0 and 2 have 0.64).
# Some are clean, the others pure noise. Give three floors, as a tensor of three numbers to two decimals: that of frame
# 2 when only frame 0 is clean; that of frame 2 when frames 0 and 1 are; that of frame 1 when frames 0 and 2 are.
#
# <details><summary>Hint</summary>
#
# The floor of pure noise is what the clean frames do not explain of the clip. One with correlation $\rho$ explains
# $\rho^2$ of it. Frame 2 is 0.8 times frame 1 plus something that frame 0 knows nothing of. For the last number guess
# frame 1 by $k$ times the *sum* of its neighbours, and find $k$ as in step 2.
#
# </details>

# %% tags=["exercise"]
my_floors = None  # a tensor of three numbers


# %% tags=["check"]
def near(value, wanted):
    return abs(float(value) - wanted) < 0.006


right_floors = floor_of(torch.tensor([[0.0, 1, 1], [0, 0, 1], [0, 1, 0]]), cov)[range(3), [2, 2, 1]]
nb.check_that(
    my_floors,
    {
        "give a tensor of three numbers": lambda f: torch.as_tensor(f).shape == (3,),
        "variances are not negative: two neighbours that are alike partly tell the same, so do not subtract both": (
            lambda f: min(f) >= 0
        ),
        "1 is the floor of the clean frames; asked for is that of the frame of noise beside them": lambda f: (
            max(f) < 0.995
        ),
        "that is the part of the variance that the clean frame explains; the floor is the rest": lambda f: (
            not near(f[0], 0.64**2) and not near(f[1], 0.64)
        ),
        "correlation explains variance by its square": lambda f: not near(f[0], 0.36) and not near(f[1], 0.2),
        "the first number: what does a frame with correlation 0.64 leave?": lambda f: near(f[0], right_floors[0]),
        "frame 1 stands between frames 0 and 2: beside a clean frame 1, does frame 0 tell anything new?": lambda f: (
            near(f[1], right_floors[1])
        ),
        "the third number: the two neighbours tell partly different things, so both together leave less": lambda f: (
            not near(f[2], 0.36)
        ),
        "the third number: the two neighbours are correlated themselves, so what they leave does not multiply": (
            lambda f: not near(f[2], 0.36**2)
        ),
        "the first two are right; the third: how much does k (frame 0 + frame 2) leave, for the best k?": lambda f: (
            near(f[2], right_floors[2])
        ),
    },
)
if my_floors is not None:
    plt.figure(figsize=(9, 2.5), layout="constrained")
    plt.bar(["frame 2, 0 clean", "frame 2, 0 and 1 clean", "frame 1, 0 and 2 clean"], my_floors, color="#0072B2")
    plt.ylabel("your floors")
    plt.show()

# %% [markdown]
# **3 · Invent.** A timestep sampler `(batch, frames, generator) -> tau` of shape `(batch, frames)`, between 0 and 1.
# For 9 frames, at least one clip in five must look like image-to-video (frame 0 below .05, all the others above .5),
# and yet every frame must meet every noise level: each tenth of [0, 1] in at least 2 % of the clips.
#
# <details><summary>Hint</summary>
#
# Make two kinds of clips, one for each of the two conditions, and let `torch.where` choose between them, clip by clip.
#
# </details>


# %% tags=["exercise"]
my_sampler = None  # a function (batch, frames, generator)


# %% tags=["check"]
def drawn(sampler):
    return sampler(20_000, 9, torch.Generator().manual_seed(SEED))


def tenths(tau):
    return torch.stack([torch.histc(column, 10, 0, 1) for column in tau.T]) / len(tau)


def alike(tau):
    return ((tau[:, 0] < 0.05) & (tau[:, 1:] > 0.5).all(dim=1)).double().mean()


nb.check_that(
    my_sampler,
    {
        "it returns nothing: is a `return` missing?": lambda s: drawn(s) is not None,
        "the result must have one row per clip and one column per frame": lambda s: drawn(s).shape == (20_000, 9),
        "timesteps lie between 0 and 1": lambda s: drawn(s).min() >= 0 and drawn(s).max() <= 1,
        "the same generator must give the same timesteps: pass it on": lambda s: torch.equal(drawn(s), drawn(s)),
        "fewer than one clip in five looks like image-to-video": lambda s: alike(drawn(s)) >= 0.2,
        "some frame hardly meets some noise level (a tenth of them, in 2 % of the clips)": lambda s: (
            tenths(drawn(s)).min() >= 0.02
        ),
    },
)
if my_sampler is not None:
    viz.plot_timestep_sampler(my_sampler, frames=9, title="yours: each frame by itself; frames 0 and 8 together")
    plt.show()

# %% [markdown]
# ## Recap
#
# | name | meaning |
# |---|---|
# | `u = eps - x0` | the target, the same at every noise level (Eq. 9) |
# | floor | $\operatorname{Var}(u \mid x)$; for one frame $c / ((1-\tau)^2c+\tau^2)$ |
# | `fafm_frame_loss`, `fafm_loss` | the loss of each frame, and its weighted mean (Eq. 11) |
# | `independent`, `mixture([independent, task_mixture()])` | the paper's timesteps; half of the clips with tasks instead |
#
# *What could go wrong:* averaging before weighting; comparing losses under different timestep samplers; taking a loss
# above 0 for a poor model.
#
# *Where the code lives:* `pusa_lab/losses.py` (`losses.fafm_loss`, `losses.free_frames`),
# `pusa_lab/schedules/timestep_samplers.py` (`timestep_samplers.independent`, `timestep_samplers.task_mixture`),
# `pusa_lab/analytic.py` (`analytic.GaussianDenoiser`).
#
# *References:* Pusa, arXiv 2507.16116; FVDM, arXiv 2410.03160; Min-SNR, arXiv 2303.09556; Diffusion Forcing,
# arXiv 2407.01392.
