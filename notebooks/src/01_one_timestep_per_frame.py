# %% [markdown]
# # 1 · One timestep per frame, by hand
#
# ***Can a single network denoise a clip in which every frame is at a different noise level? And if it can, does the
# order in which you clean the frames change the videos you get?***
#
# *You need: chapter 0, or nothing. Time: 30 minutes of reading, a few seconds of CPU.*
#
# Three frames of one pixel each are enough to answer both exactly. You will meet a model that is provably perfect, and
# see where perfection ends.
#
# **After this chapter you can**
#
# - say how a vector of timesteps enters the network, and why no new weights are needed for it;
# - sample along any schedule, and prove that a perfect model makes equally good videos along all of them;
# - explain image-to-video as *conditioning*, and check it against the exact answer.

# %% tags=["setup"]
# build.py puts the installing cell here.

# %% tags=["parameters"]
SEED = 0
STEPS = 50
SAMPLES = 4000
FAST = False

# %%
import matplotlib.pyplot as plt
import torch

import pusa_lab.notebook as nb
import small_models
from pusa_lab import samplers, schedules, timesteps, viz
from pusa_lab.analytic import GaussianDenoiser, condition
from small_models.models.dit import sinusoid

device = nb.setup(seed=SEED, shapes=True)
STEPS, SAMPLES = (20, 1000) if FAST else (STEPS, SAMPLES)

# %% [markdown]
# ## Where a timestep enters the network
#
# Start with the first half of the question. In Wan, as in most video transformers, the timestep does not touch the
# pixels. It acts on every layer through **six vectors**. Nothing stops you from computing them for each frame:

# %% tags=["hide-input"]
nb.diagram(
    "01_from_timesteps_to_the_block",
    "Each frame's timestep passes through the same small network and becomes six vectors, which shift, scale and gate "
    "that frame's tokens in a block; only attention mixes the frames.",
)

# %% [markdown]
# Follow one frame from left to right. Its timestep becomes six vectors: shift, scale and gate for the attention, and
# the same three for the MLP. They act on the tokens of this frame only. The one place where frames meet is attention,
# and it has always mixed frames. So the timesteps of a batch may be a tensor `(b, f)`, one for each sample and frame,
# as well as a tensor `(b,)`: **no weight has to be added or to change its shape.** Try it with `nano`, the smallest of
# our models:

# %%
nano = small_models.load("nano-vta", device="cpu").dit


def six_vectors(tau):
    time = nano.time_embedder(sinusoid(tau, nano.config["freq_dim"]))
    return nano.time_proj(time).unflatten(2, (6, -1))


with torch.no_grad():
    own, shared = six_vectors(torch.tensor([[0.0, 0.3, 0.6, 1.0]])), six_vectors(torch.full((1, 4), 0.6))
print("tau (1, 4) ->", tuple(own.shape), "six vectors for each of four frames")

assert torch.allclose(shared, shared[:, :1].expand_as(shared)), "equal timesteps make equal vectors: the scalar model"
assert torch.allclose(own[:, 2], shared[:, 2]), "a frame's vectors depend on its own timestep only"

# %% [markdown]
# The first assertion matters in practice. As long as all timesteps are equal, the extended network is *the same
# function* as the old one, so you can start from a pretrained model without breaking it. What it does with unequal
# ones depends on what it is trained to do.
#
# ## By hand
#
# A clip of three frames, each a single number, and three numbers of noise. Frame 0 is at noise level 0, frame 1 at 1/2,
# frame 2 at 1. For frame $i$, with clean value $x^0_i$, noise $\varepsilon_i$ and timestep $\tau_i$,
#
# $$x_i=(1-\tau_i)\,x^0_i+\tau_i\,\varepsilon_i .$$
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
# <details><summary>Answer</summary>
#
# The first number is the clean 0.2, the last is the noise 0.5, and the middle one lies midway between 0.5 and -1.
#
# </details>
#
# The library does the same with whole videos. A video is a tensor `(b, c, f, h, w)`: batch, channels, frames, height,
# width. Its timesteps are `(b, f)`, one for each sample and frame.


# %% tags=["nbval-check-output"]
def as_video(numbers):
    return torch.tensor(numbers).view(1, 1, -1, 1, 1)


x0, eps, tau = as_video(clean), as_video(noise), torch.tensor([levels])
x = timesteps.interpolate(x0, eps, tau)
print(f"{tuple(x.shape)} {x.flatten()}")

assert torch.allclose(x.flatten(), torch.tensor(noised)), "library and hand agree"

# %% [markdown]
# In tensors the formula needs one piece of care. `tau` has two axes and the video five, so `tau` gets the missing ones
# by `tau[:, None, :, None, None]`, of shape `(b, 1, f, 1, 1)`. Most diffusion code knows one timestep per *sample*, and
# would quietly spread a `(b,)` tensor over whatever axis happens to fit. Here that is refused:

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
# What a model learns to predict is the direction in which a frame moves as its noise level rises. Differentiate the
# mixture:
#
# $$v_i=\frac{dx_i}{d\tau_i}=\varepsilon_i-x^0_i .$$
#
# There is no $\tau$ on the right, so if somebody told us $v$, a single step would do, from $\tau$ straight to 0. Each
# frame moves by **its own** difference of timesteps, $x_i+(\tau^{\text{next}}_i-\tau_i)\,v_i$.
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
# <details><summary>Answer</summary>
#
# Not at all: its velocity is multiplied by 0. The other two frames jump to their clean values.
#
# </details>
#
# A *schedule* lists the timesteps of all frames, one row for each moment, and a sampler walks down its rows. Here is
# all of it in five lines, compared with the library. (All samples share the row, so its axis of frames
# and two axes of size 1 behind it are enough.)


# %%
def my_sample(denoiser, x, schedule):
    for tau, tau_next in zip(schedule[:-1], schedule[1:], strict=True):
        v = denoiser(x, tau.expand(len(x), -1))
        x = x + (tau_next - tau)[:, None, None] * v  # (frames, 1, 1)
    return x


S = schedules.pyramid(steps=4, frames=3, lag=2)
nb.check(my_sample, samplers.sample, lambda x, tau: eps - x0, eps, S)

# %% [markdown]
# ## Many paths, one end
#
# With two frames you can draw a schedule as a path in the plane: across, the timestep of frame 0; upwards, that of
# frame 1. Every path on which both frames are generated starts at the upper right, where all is noise; if frame 0 is
# known, it starts at the upper left. All end where all is clean.

# %% tags=["hide-input"]
nb.diagram(
    "01_paths_through_the_square",
    "The square of two timesteps: the synchronous schedule runs along its diagonal, the pyramid and the autoregressive "
    "schedule bend away from it, and a held frame 0 keeps to the left edge.",
)

# %% [markdown]
# A model with one timestep for all frames lives on the diagonal. Image-to-video is the left edge, where frame 0 is
# clean throughout. Below are three schedules for our three frames, with six steps for each frame; under each are the
# paths of the three numbers.
#
# **Predict.** In which of the three is frame 2 still pure noise when frame 0 is already clean?

# %%
zoo = {
    "synchronous": schedules.synchronous(6, 3),
    "pyramid": schedules.pyramid(6, 3, lag=2),
    "autoregressive": schedules.autoregressive(6, 3),
}
fig, axes = plt.subplots(2, 3, figsize=(10, 6.6), layout="constrained", height_ratios=(2.7, 1.4))
for column, (name, S) in enumerate(zoo.items()):
    viz.plot_schedule(S, axes[0, column], title=name, colorbar=column == 2)
    states = list(samplers.sample_steps(lambda x, tau: eps - x0, eps, S))
    path = torch.stack([state.x.flatten() for state in states])
    for frame, line in enumerate(("-o", "--s", ":^")):
        axes[1, column].plot(path[:, frame], line, markersize=3, label=f"frame {frame}")
    axes[1, column].set(xlabel="row", ylabel="x", xticks=range(0, len(S), 3))
    assert torch.allclose(states[-1].x, x0, atol=1e-6), "every path ends at the clean clip"
axes[1, 0].legend(fontsize=9)
plt.show()

S = zoo["autoregressive"]
assert ((S[:, 0] == 0) & (S[:, 2] == 1)).any(), "autoregressive: frame 2 waits until frame 0 is done"

# %% [markdown]
# <details><summary>Answer</summary>
#
# Only in the autoregressive one, where each frame waits for the one before it. In the pyramid frame 2 has made two of
# its six steps when frame 0 arrives.
#
# </details>
#
# All nine curves end at the clean values. The schedule decides *when* a frame gets there, not *where*. But that was too
# easy, because we used the true velocity, which nobody knows.
#
# ## Why one network can serve all timestep vectors
#
# A network sees the noisy clip $x$ and the timesteps $\tau$, and is trained to bring the mean square of $v_\theta(x,
# \tau) - (\varepsilon - x^0)$ down, over random clips, noise and timesteps. What would the best network return?
#
# *Step 1: fix the input.* Many pairs of clip and noise lead to the same $x$ at the same $\tau$, so the network gives
# one answer $c$ for all their targets $u=\varepsilon-x^0$. The $c$ with the least mean square error
# $\mathbb{E}[(c-u)^2]$ is the mean of $u$: set the derivative $2\,(c-\mathbb{E}[u])$ to zero. Hence the best answer
# is
#
# $$v(x,\tau)=\mathbb{E}[\,\varepsilon-x^0 \mid x,\tau\,].$$
#
# *Step 2: let the input vary.* $\tau$ is part of the input. So the loss is an average over timestep vectors, each of
# them has a best answer of its own, and none asks for anything that another forbids. One *function* of $(x,\tau)$ can
# be best everywhere. This is the same reason why one ordinary diffusion network can serve all scalar timesteps. (A
# finite network shares its weights among all of them, which may cost some quality: chapters 5 and 8.)
#
# *Step 3: only what is trained is learnt.* A model that was trained on the diagonal alone was never asked anything
# about the rest of the square. There its answers are whatever its weights happen to give; chapter 0 showed what that
# looks like. So the network *can* serve all timestep vectors, but it has to be shown them.
#
# ## A perfect model to play with
#
# We want to know what a *perfect* model does, without training one. Let the clips be jointly Gaussian with mean 0, and
# let neighbouring frames be alike: correlation 0.8 from one to the next.

# %% tags=["nbval-check-output"]
lags = (torch.arange(3)[:, None] - torch.arange(3)).abs()
cov = 0.8**lags
model = GaussianDenoiser(torch.zeros(3), cov)
print(cov)

# %% [markdown]
# Then $\mathbb{E}[\varepsilon-x^0 \mid x]$ is a formula. Write $C$ for the covariance, $A$ for the diagonal matrix of
# the $1-\tau_i$, and $B$ for that of the $\tau_i$, so that $x=A x^0+B \varepsilon$. For Gaussians with mean 0, the best
# guess of $u$ from $x$ is linear regression, $\mathrm{Cov}(u, x)\,\mathrm{Cov}(x)^{-1} x$. With $u=\varepsilon-x^0$,
# and because $x^0$ and $\varepsilon$ are independent,
#
# $$\mathrm{Cov}(x)=A C A+B^2,\qquad \mathrm{Cov}(u, x)=B-C A,$$
#
# $$v(x,\tau)=(B-C A)\,(A C A+B^2)^{-1}\,x .$$


# %%
def my_velocity(x, tau):
    A, B = (1 - tau).diag(), tau.diag()
    return (B - cov @ A) @ torch.linalg.inv(A @ cov @ A + B @ B) @ x


numbers, tau = torch.randn(3), torch.tensor([0.1, 0.5, 0.9])
nb.check(my_velocity(numbers, tau), model(numbers.view(1, 1, 3, 1, 1), tau[None]).flatten())

# %% [markdown]
# **How much does a clean neighbour help?** Keep frames 1 and 2 at pure noise, change only the level of frame 0, and
# measure the mean square error of the model's guess of frame 2. It guesses the clean clip as `x - tau v`, where a
# single step to 0 would end.
#
# **Predict** the curve: where is it highest, where lowest, and what are its two end values? (The frames have variance
# 1, and frames 0 and 2 correlate by $0.8^2=0.64$.)

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
fig, ax = plt.subplots(figsize=(9, 3), layout="constrained")
ax.plot(levels, errors, marker="o", label="measured")
ax.axhline(left[2, 2], ls=":", color="black", label="variance of frame 2 once frame 0 is known")
ax.axhline(1.0, ls="--", color="black", label="variance of frame 2 if nothing is known")
ax.set(xlabel="noise level of frame 0", ylabel="error of the guess for frame 2", ylim=(0, 1.15))
ax.legend(loc="lower right")
plt.show()

tolerance = 5 * (2 / SAMPLES) ** 0.5  # five standard errors of a variance of 1
assert abs(errors[0] - left[2, 2]) < tolerance, "a clean frame 0 leaves exactly the conditional variance"
assert abs(errors[-1] - 1) < tolerance, "a noisy frame 0 tells nothing"
assert errors[0] < errors[5] < errors[-1], "the cleaner frame 0, the better the guess for frame 2"

# %% [markdown]
# <details><summary>Answer</summary>
#
# It is highest on the right, where frame 0 is noise and tells nothing: the best guess is then the mean, and the error
# is the variance, 1. It is lowest on the left, where frame 0 is clean. What is left there is the part of frame 2 that
# frame 0 does not explain, $1-0.64^2 \approx 0.59$.
#
# </details>
#
# (The last dots miss the dashed line by sampling error.) So this is what the vector is good for: it tells the model
# which frames to believe, and **the clearer a frame, the more it says about its neighbours**.
#
# ## Image to video is conditioning
#
# (Here we use what the next section proves: with short steps a perfect model makes clips of the right distribution.)
#
# Freeze frame 0 at 0.7 and let the others run. If all is well, the samples follow the distribution of frames 1 and 2
# *given that frame 0 is 0.7*, which for Gaussians we know exactly. The schedule for this is `schedules.hold(steps,
# frames, at=...)`, where `at` lists the frames that are known, whose columns are 0 throughout. The known value itself
# goes into `x`, at the place of the noise. The solver is `"heun"`, which asks the model twice in each step and errs
# less than `my_sample` (the next section shows how much).
#
# Why? At $\tau_0=0$ frame 0 of the input *is* $x^0_0$, so the best answer of Step 1 is
#
# $$v(x,\tau)=\mathbb{E}[\,\varepsilon-x^0 \mid x,\tau\,]
# =\mathbb{E}[\,\varepsilon-x^0 \mid x_1, x_2,\tau;\; x^0_0=0.7\,].$$
#
# The right-hand side is the velocity of frames 1 and 2 by a perfect model for another world, that of all clips which
# begin with 0.7. Their start is right for that world too: pure noise, which knows nothing of the 0.7. So the samples
# should have the distribution of that world.

# %% tags=["nbval-check-output"]
picture = 0.7
S = schedules.hold(STEPS, 3, at=[0])
x = torch.randn(SAMPLES, 1, 3, 1, 1)
x[:, :, 0] = picture
video = samplers.sample(model, x, S, solver="heun").view(SAMPLES, 3)

mean, cov_given = condition(torch.zeros(3), cov, known=[0], values=torch.tensor([picture]))
for name, sampled, exact in (("mean", video.mean(0), mean), ("variance", video.var(0), cov_given.diag())):
    print(f"{name:8} sampled {[round(m, 2) for m in sampled.tolist()]}, exact {[round(m, 2) for m in exact.tolist()]}")

assert (video[:, 0] == picture).all(), "a frame kept at tau = 0 does not move"
assert (video.mean(0) - mean).abs().max() < 5 / SAMPLES**0.5, "the sampled clips have the exact mean"
assert (video.var(0) - cov_given.diag()).abs().max() < tolerance, "and the exact spread"

# %%
plain = samplers.sample(model, torch.randn(SAMPLES, 1, 3, 1, 1), schedules.synchronous(STEPS, 3), "heun")
fig, axes = plt.subplots(1, 2, figsize=(10, 3), sharey=True, layout="constrained")
for ax, clips, title in zip(axes, (plain.view(SAMPLES, 3), video), ("no frame known", "frame 0 known"), strict=True):
    ax.plot(range(3), clips[:60].T, color="tab:blue", alpha=0.25)
    ax.plot(range(3), clips.mean(0), color="black", lw=2, label="mean of all")
    ax.set(title=title, xlabel="frame", ylabel="pixel", xticks=range(3))
axes[1].legend(loc="lower left")
plt.show()
assert plain.view(SAMPLES, 3)[:, 0].std() > 0.9, "without a known frame the clips start anywhere"

# %% [markdown]
# On the left the clips start anywhere. On the right all start at the picture and then fan out, and the mean falls back
# towards 0 by the factor 0.8 per frame. No part of the model was made for this task. We only stopped one timestep at 0.
#
# ## Does the path matter?
#
# *The claim.* With the perfect velocity, every path of timesteps turns noise into clips of the right distribution.
#
# *The idea.* Compare two crowds: clips that somebody noised, and particles that the model moves. If both start alike
# and change by the same rule, they stay alike.
#
# *The proof.* Take any smooth function $\varphi$ of a clip (a pixel, its square, a product of two), and see how its
# mean over the *noised clips* changes when $\tau_i$ alone changes. By the chain rule, and because $x_i$ alone depends
# on $\tau_i$,
#
# $$\begin{aligned}
# \frac{\partial}{\partial \tau_i}\,\mathbb{E}[\varphi(x)]
# &= \mathbb{E}[\partial_i \varphi(x)\,(\varepsilon_i-x^0_i)] \\
# &= \mathbb{E}[\partial_i \varphi(x)\,v_i(x,\tau)] .
# \end{aligned}$$
#
# In the second line the bracket is averaged over all clips and noises that lead to the same $x$, and that mean is
# $v_i$. Along a path $\tau(s)$ all timesteps may change at once, and the chain rule adds up their effects:
#
# $$\frac{d}{ds}\,\mathbb{E}[\varphi(x)]=\sum_i \frac{d\tau_i}{ds}\,\mathbb{E}[\partial_i \varphi(x)\,v_i(x,\tau)] .$$
#
# Now let *particles* $X$ start as noise and move by $dX_i=v_i(X,\tau)\,d\tau_i$. For them, the chain rule alone
# gives
#
# $$\frac{d}{ds}\,\mathbb{E}[\varphi(X)]=\sum_i \frac{d\tau_i}{ds}\,\mathbb{E}[\partial_i \varphi(X)\,v_i(X,\tau)] .$$
#
# The first mean is over the noised clips, the second over the particles. But both distributions obey *the same
# equation* for every $\varphi$, from the same start. (Written for their density $p$ it is the continuity equation,
# $\partial_s p=-\sum_i \partial_i (p\,v_i\,d\tau_i / ds)$.) If $v$ is smooth, as it is here, the equation has one
# solution only. Hence the two agree all along **every path**, and at its end the particles are distributed like clean
# clips.
#
# Note the small print: the proof is about $d\tau$. A sampler makes steps of finite length, and for the whole step it
# trusts a velocity that was right at its beginning. How long may steps be? The perfect model is linear in $x$, so
# three unit vectors tell us exactly what a schedule makes of noise.
#
# **Predict.** Four paths, each with 2 to 32 steps per frame: what matters more for the error, path or steps?


# %%
def covariance(S, solver="euler"):
    M = samplers.sample(model, torch.eye(3).view(3, 1, 3, 1, 1), S, solver).view(3, 3)
    return M.T @ M  # noise with covariance 1 comes out with this one


def path_error(S, solver="euler"):
    return (covariance(S, solver) - cov).abs().max().item()


paths = {
    "synchronous": lambda n: schedules.synchronous(n, 3),
    "pyramid": lambda n: schedules.pyramid(n, 3, lag=n // 2),
    "pyramid backwards": lambda n: schedules.pyramid(n, 3, lag=n // 2).flip(1),
    "autoregressive": lambda n: schedules.autoregressive(n, 3),
}
counts, found = [2, 4, 8, 16, 32], {}
colours = ("#56B4E9", "#E69F00", "#009E73", "black")
fig, axes = plt.subplots(1, 2, figsize=(10, 3.4), sharey=True, layout="constrained")
for ax, solver in zip(axes, ("euler", "heun"), strict=True):
    for k, (name, make) in enumerate(paths.items()):  # wide lines below narrow ones, so that all can be seen
        found[solver, name] = [path_error(make(n), solver) for n in counts]
        ax.loglog(counts, found[solver, name], color=colours[k], lw=8 - 2.2 * k, label=name)
    ax.set(title=f"solver {solver}", xlabel="steps of each frame", xticks=counts, xticklabels=counts)
    ax.minorticks_off()
axes[0].set_ylabel("largest error of the covariance")
axes[1].legend(loc="lower left")
plt.show()

for solver in ("euler", "heun"):
    each = torch.tensor([found[solver, name] for name in paths])
    print(
        f"{solver:5}: the worst path errs at most {(each.amax(0) / each.amin(0)).max():.2f} times as much as the best"
    )
    assert (each.amax(0) < 1.4 * each.amin(0)).all(), "at equal steps the paths lie within two fifths of each other"
once = covariance(schedules.synchronous(1, 3))
assert once.abs().max() < 1e-6, "in a single step every clip lands on the mean"
for make in paths.values():
    assert path_error(make(4)) > 0.4, "four steps of Euler per frame are too long, whatever the path"
    assert path_error(make(64), "heun") < 0.01, "and with short steps every path is right"

# %% [markdown]
# <details><summary>Answer</summary>
#
# The steps. At equal steps the four orders hardly differ with Euler, and by about a third at most with Heun (printed;
# narrow lines lie on broad ones). Towards the right of each panel, doubling the steps about halves Euler's error and
# quarters Heun's.
#
# </details>
#
# So both halves are true: **any path is right, if its steps are short**. A valid schedule with four steps for each
# frame is off by half of the variance with Euler. With a single step every clip lands on the mean: at pure noise $x$
# says nothing, so the best guess of the clip *is* the mean, a grey blur.
#
# (The axis counts the steps of *each frame*; three frames in turn take three times as many calls.)
#
# Now watch the two crowds of the proof. Four hundred noises go along two of the paths; dots are the particles, seen in
# the plane of frames 0 and 1, and each black ellipse holds the *noised clips* at the timesteps above it (as far as two
# standard deviations). Four noises are coloured, the same in both rows.
#
# **Predict.** Will the dots fill the ellipses on the way, too? And will a noise end in the same clip on both paths?

# %% tags=["hide-input"]
angles = torch.linspace(0, 2 * torch.pi, 100)
circle = 2 * torch.stack([angles.cos(), angles.sin()])
same_noise = torch.randn(400, 1, 3, 1, 1)
same_noise[:4, 0, :2, 0, 0] = torch.tensor([[1.5, 1.5], [-1.5, 1.5], [-1.5, -1.5], [1.5, -1.5]])  # the coloured ones


def noised(tau):  # the covariance of noised clips
    A, B = (1 - tau).diag(), tau.diag()
    return A @ cov @ A + B @ B


def draw(ax, clips, tau):
    ax.plot(clips[:, 0], clips[:, 1], ".", ms=3, alpha=0.35, color="0.5")
    ax.plot(*(torch.linalg.cholesky(noised(tau)[:2, :2]) @ circle), color="black", lw=1.5)
    for clip, colour, marker in zip(clips, ("#0072B2", "#D55E00", "#009E73", "black"), "osD^", strict=False):
        ax.plot(clip[0], clip[1], marker, ms=9, color=colour, mec="white")
    ax.set_title(f"tau ({tau[0]:.2f}, {tau[1]:.2f})")


ends = {}
fig, axes = plt.subplots(2, 5, figsize=(10, 4.6), layout="constrained", sharex=True, sharey=True)
for row, (name, last) in zip(axes, {"synchronous": 32, "autoregressive": 64}.items(), strict=True):
    S = paths[name](32)
    states = list(samplers.sample_steps(model, torch.cat([same_noise, torch.eye(3).view(3, 1, 3, 1, 1)]), S, "heun"))
    for ax, r in zip(row, range(0, last + 1, last // 4), strict=True):  # from row 64 on only frame 2 moves
        clips, M = states[r].x.view(-1, 3).split([400, 3])  # what becomes of the noises, and of the unit vectors
        draw(ax, clips, S[r])
        assert (M.T @ M - noised(S[r])).abs().max() < 0.01, "particles and noised clips agree all along the path"
    row[0].set_ylabel(f"{name}\nframe 1")
    ends[name] = states[-1].x.view(-1, 3)[:400]
for ax in axes[1]:
    ax.set_xlabel("frame 0")
plt.show()

a, b = ends.values()
exact = [covariance(paths[name](32), "heun") for name in ends]
print(f"the exact covariances of the two clouds differ by at most {(exact[0] - exact[1]).abs().max():.3f}")
assert (exact[0] - exact[1]).abs().max() < 0.01, "both paths make the same cloud"
assert (a - b).abs().amax(dim=1).median() > 0.1, "most noises end in another clip on another path"

# %% [markdown]
# <details><summary>Answer</summary>
#
# They do, at every moment of both paths: the two crowds agree all the way. In between, the rows go through different
# ellipses (above, the round cloud shrinks and leans over; below, it is squeezed from the sides, round again, and leans
# over last), and the last ones are the same. But compare the coloured noises there: each ends in another clip of the
# same cloud.
#
# </details>
#
# So the order changes *which* clip you get from a given noise, but never, for a perfect model with short steps, *what
# kinds* of clips you get, or how often.

# %% [markdown]
# ## Exercises
#
# **1 · Fill in.** Some networks predict not the velocity but the clean clip. Write the adapter to our samplers. It gets
# the noisy clip `x` and the guess `x0_guess`, both `(b, c, f, h, w)`, and `tau` of shape `(b, f)`; it returns the
# velocity, in the shape of `x`. Derive the formula from those of the mixture and the velocity. Some frames are *known*:
# their `tau` is 0, and there your function must return 0, whatever the guess.
#
# <details><summary>Hint</summary>
#
# Solve $x=(1-\tau)\,x^0+\tau\,\varepsilon$ for $\varepsilon$, and put that into $v=\varepsilon-x^0$. Give
# `tau` the axes it lacks, as at the end of *By hand*. `torch.where(t == 0, a, b)` takes `a` where `t` is 0 and `b`
# elsewhere.
#
# </details>


# %% tags=["exercise"]
def my_velocity_from_x0(x, x0_guess, tau): ...


# %% tags=["check"]
x_, guess = torch.randn(2, 3, 4, 5, 5), torch.randn(2, 3, 4, 5, 5)
times = torch.tensor([[0.0, 0.2, 0.6, 0.8], [0.9, 0.0, 0.4, 0.3]])
wide = times[:, None, :, None, None]


def held(velocity):
    return torch.where(wide == 0, 0, velocity)


def known_moves(*given):  # the reader's own answer, if it moves a known frame
    mine = torch.as_tensor(my_velocity_from_x0(*given))
    known = (wide == 0).expand_as(x_)
    return mine if mine.shape == x_.shape and (mine[known] != 0).any() else None


nb.check(
    my_velocity_from_x0,
    held((x_ - guess) / wide),
    *(x_, guess, times),
    axes="(batch, channels, frames, height, width)",
    mistakes={
        "your velocity points from the noise to the clip: it should point the other way.": held((guess - x_) / wide),
        "this is how far x is from the guess; v is that for a whole unit of tau.": held(x_ - guess),
        "you multiplied by tau: look again at which of x - x0 and v is the longer way.": held(wide * (x_ - guess)),
        "1 - tau is the way from x up to the noise; you know the other end of the line.": held(
            (x_ - guess) / (1 - wide)
        ),
        "every frame is divided by the same number: tau has one for each.": held((x_ - guess) / times.mean()),
        "you took x for the noise: that is true at tau = 1 only.": x_ - guess,
        "this is the noise itself: the velocity is the noise minus the clip.": held((x_ - (1 - wide) * guess) / wide),
        "a known frame moves: where tau is 0 the velocity should be 0.": known_moves,
    },
)


def adapted(x, tau):  # a model that guesses clips, with your adapter
    return my_velocity_from_x0(x, timesteps.x0_from_v(x, model(x, tau), tau), tau)


if not nb.unwritten(my_velocity_from_x0):
    x = torch.randn(400, 1, 3, 1, 1)
    x[:, :, 0] = picture
    clips = samplers.sample(adapted, x, schedules.hold(STEPS, 3, at=[0]), "heun").view(-1, 3)
    plt.figure(figsize=(9, 2.5), layout="constrained")
    plt.plot(range(3), clips[:60].T, color="#0072B2", alpha=0.25)
    plt.plot(range(3), mean, "k--s", label="exact mean")
    plt.plot(range(3), clips.mean(0), "-o", color="#D55E00", label="a model that guesses clips, with your adapter")
    plt.xticks(range(3), [f"frame {i}" for i in range(3)])
    plt.legend(loc="lower left")
    plt.show()

# %% [markdown]
# **2 · Vary.** Let the *last* frame be known instead of the first: frame 2 is 0.7, frames 0 and 1 are generated. Before
# you compute anything, say which means you expect for frames 0 and 1. Then sample `SAMPLES` clips along a schedule of
# `STEPS` steps with the solver `"heun"`, and set `my_clips` to them, a tensor `(SAMPLES, 3)`.
#
# <details><summary>Hint</summary>
#
# Two places of the cell in *Image to video is conditioning* name the known frame.
#
# </details>

# %% tags=["exercise"]
my_clips = None  # the sampled clips, a tensor (SAMPLES, 3)


# %% tags=["check"]
def start_to_end(S):
    return samplers.sample(model, torch.eye(3).view(3, 1, 3, 1, 1), S, "heun").view(3, 3)


def has_mean(expected):
    return lambda clips: (clips.mean(0) - expected).abs().max() < 4 / SAMPLES**0.5


exact, spread = condition(torch.zeros(3), cov, [2], torch.tensor([picture]))
slips = {
    "this is the answer for a known frame 0: the schedule and the picture should be moved to frame 2.": mean,
    "all means are 0, so nothing was known: put the picture into frame 2 of x.": torch.zeros(3),
    "frame 2 was given but not held: its column in the schedule should be 0.": (
        picture * start_to_end(schedules.synchronous(STEPS, 3))[2]
    ),
    "the picture is in frame 2, but frame 0 is held: noise is kept there as if it were a picture.": (
        picture * start_to_end(schedules.hold(STEPS, 3, at=[0]))[2]
    ),
    "frame 2 is held, but the picture is in frame 0: noise is kept as if it were a picture.": (
        picture * start_to_end(schedules.hold(STEPS, 3, at=[2]))[0]
    ),
}
nb.check_that(
    my_clips,
    {
        "the clips are a tensor (SAMPLES, 3): all of them, not their mean.": lambda c: (
            isinstance(c, torch.Tensor) and c.shape == (SAMPLES, 3)
        ),
        **{words: lambda c, wrong=wrong: not has_mean(wrong)(c) for words, wrong in slips.items()},
        "frame 2 is not the picture in every clip.": lambda c: (c[:, 2] - picture).abs().max() < 1e-6,
        "the mean of frame 0 or 1 is wrong.": has_mean(exact),
        "the means are right, but the clips vary too little or too much: were they sampled?": lambda c: (
            (c.var(0) - spread.diag()).abs().max() < tolerance
        ),
    },
)
if my_clips is not None:
    plt.figure(figsize=(9, 2.5), layout="constrained")
    plt.plot(range(3), mean, "--s", label="frame 0 known (exact)")
    plt.plot(range(3), my_clips.mean(0), "-o", label="frame 2 known (yours)")
    plt.ylabel("mean of the pixel")
    plt.xticks(range(3), [f"frame {i}" for i in range(3)])
    plt.legend()
    plt.show()

# %% [markdown]
# **3 · Invent.** Any path is right if its steps are short. Invent one that is not in this chapter: `my_schedule` is a
# tensor `(rows, 3)` whose columns start at 1, never rise and end at 0. In this chapter all frames went through the same
# levels, some later than others. In yours they should not: however many rows you move it up or down, one frame should
# somewhere differ from frame 0 by more than 0.05. With the solver `"heun"` it must reach the covariance of the data to
# within 0.02 (`path_error` measures it).
#
# <details><summary>Hint</summary>
#
# Write down a few rows by hand, as `torch.tensor([[1.0, 1.0, 1.0], ...])`. Then `schedules.stretch(S, times)` makes
# every step into `times` shorter ones along the same path.
#
# </details>

# %% tags=["exercise"]
my_schedule = None  # a tensor (rows, 3) from all ones to all zeros


# %% tags=["check"]
def apart(one, other):  # the largest difference of two columns, for the delay at which it is least
    padded = torch.cat([torch.ones(len(one)), other, torch.zeros(len(one))])
    return (padded.unfold(0, len(one), 1) - one).abs().amax(dim=1).min()


nb.check_that(
    my_schedule,
    {
        "a schedule for three frames is a tensor of floats (rows, 3).": lambda S: (
            isinstance(S, torch.Tensor) and S.ndim == 2 and S.shape[1] == 3 and S.is_floating_point()
        ),
        "some frame does not start as noise: the first row should hold only ones.": lambda S: (S[0] == 1).all(),
        "some frame does not end clean: the last row should hold only zeros.": lambda S: (S[-1] == 0).all(),
        "some column rises, or leaves [0, 1]: noise only ever goes down.": lambda S: not schedules.faults(S),
        "all frames share a timestep: that is the diagonal, find another path.": lambda S: (
            (S - S[:, :1]).abs().max() > 0.05
        ),
        "all frames go through the same levels, some later: that is a pyramid, which this chapter has.": lambda S: (
            max(apart(S[:, 0], S[:, 1]), apart(S[:, 0], S[:, 2])) > 0.05
        ),
        "your path is fine but its steps are too long: divide them into shorter ones.": lambda S: (
            path_error(S.float(), "heun") < 0.02
        ),
    },
)
if my_schedule is not None:
    fig, axes = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
    viz.plot_schedule(my_schedule, axes[0], title="your schedule")
    times = [1, 2, 4, 8]
    axes[1].loglog(times, [path_error(schedules.stretch(my_schedule.float(), n), "heun") for n in times], "-o")
    axes[1].set(xlabel="every step divided into", ylabel="error", xticks=times, xticklabels=times)
    axes[1].minorticks_off()
    plt.show()

# %% [markdown]
# ## Recap
#
# | symbol | shape | meaning |
# |---|---|---|
# | `tau` | (b, f) | one timestep per sample and frame: 0 clean, 1 noise |
# | `x = (1 - tau) x0 + tau eps` | (b, c, f, h, w) | the clip at those noise levels (Eq. 10 of the Pusa paper) |
# | `v = eps - x0` | (b, c, f, h, w) | what the model predicts (its Eq. 9) |
# | `S` | (rows, f) | a schedule, a path from noise to clean |
#
# *What could go wrong:* a `(b,)` timestep that is spread over the frames; a step by the same difference for all frames;
# a model that saw the diagonal only; a valid schedule whose steps are too long.
#
# *Where the code lives:* `pusa_lab/timesteps.py` (`timesteps.interpolate`, the only place where `tau` broadcasts),
# `pusa_lab/samplers.py` (`samplers.sample`), `pusa_lab/analytic.py` (`analytic.GaussianDenoiser`, the perfect model;
# the tests run every schedule against it), `small_models/models/dit.py` (`dit.Block`, the six vectors).
#
# *References:* equations 6 to 11 of arXiv 2507.16116; Diffusion Forcing, arXiv 2407.01392; flow matching,
# arXiv 2210.02747.
