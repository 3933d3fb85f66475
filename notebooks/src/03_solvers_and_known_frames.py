# %% [markdown]
# # 3 · Solvers, and frames that are known
#
# ***Every call of a large video model takes seconds, and you can afford twenty of them. Where should they go, when every
# frame has a timestep of its own, and some frames wait while others move?***
#
# *You need: chapters 1 and 2. Time: 30 minutes of reading, a minute of CPU.*
#
# A **solver** says how the frames get from one row of a schedule to the next. It was made for one timestep. With one per
# frame, its steps are uneven, and what it remembers may belong to a row in which the frame stood still. First we
# measure all this on chapter 1's exact model; then we ask a trained one whether it matters.
#
# **After this chapter you can**
#
# - choose a solver by the calls it needs, and measure its order yourself;
# - derive the weights of a multistep solver for uneven steps, and say why each frame needs a memory of its own;
# - say what a solver does with a frame that is known.

# %% tags=["setup"]
# build.py puts the installing cell here.

# %% tags=["parameters"]
SEED = 0
STEPS = (4, 8, 16, 32, 64)
SIDE = 41
CLIPS = 32
FAST = False

# %%
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import torch

import pusa_lab as pl
import pusa_lab.notebook as nb
import small_models
from pusa_lab import pixels, samplers, schedules, tasks, viz
from pusa_lab.analytic import GaussianDenoiser, condition
from pusa_lab.metrics import psnr
from pusa_lab.solvers import euler
from pusa_lab.types import Geometry
from small_models import world
from small_models.evaluation import evaluate, ways

device = nb.setup(seed=SEED, shapes=True)
STEPS, SIDE, CLIPS = ((4, 8, 16, 32), 21, 4) if FAST else (STEPS, SIDE, CLIPS)

# %% [markdown]
# ## What a solver owes you
#
# Sampling follows a differential equation, in which each frame has its own time:
#
# $$\frac{\mathrm{d}x_i}{\mathrm{d}\tau_i}=v_i(x,\tau)$$
#
# A frame goes from $\tau$ to $\tau'$; let $h=\tau'-\tau$. It should move by $h$ times the *average* velocity on the
# way, which nobody knows. Solvers differ in what they use instead:

# %% tags=["hide-input"]
nb.diagram(
    "03_where_solvers_look",
    "Four panels with the same velocity curve: Euler takes its value at the start of the step, Heun the mean of both "
    "ends, midpoint the value in the middle, and ab2 a line through the last two values.",
)

# %% [markdown]
# - `euler`: $x'=x+h\,v(x,\tau)$.
# - `heun`: first $\tilde x=x+h\,v(x,\tau)$ as Euler, then $x'=x+\tfrac h2\,[v(x,\tau)+v(\tilde x,\tau')]$.
# - `midpoint`: half of Euler's step, $\tilde x=x+\tfrac h2\,v(x,\tau)$, and then
#   $x'=x+h\,v(\tilde x,\tau+\tfrac h2)$.
# - `ab2` (Adams and Bashforth): a straight line through the velocity here, $v_n$, and that of the row before, $v_{n-1}$,
#   a step $g$ ago: $x'=x+h\left[v_n+\tfrac{h}{2g}(v_n-v_{n-1})\right]$.
# - `dpmpp_2m`: such a line through the last two guesses $\hat x^0=x-\tau v$ of the clean frame, with $h$ and $g$ measured
#   in $\lambda=\log\frac{1-\tau}{\tau}$: $D=\hat x^0_n+\tfrac{h}{2g}(\hat x^0_n-\hat x^0_{n-1})$,
#   $x'=\frac{\tau'}{\tau}\,x+\left(1-\frac{\tau'}{\tau}\right) D$.
# - `unipc`: as `dpmpp_2m`, but the guess at the new place, needed for the next step anyway, also corrects the last one.
#
# How wrong is Euler's? By Taylor's formula the frame should move by $h\,v+\tfrac{h^2}{2}\,v'+\dots$, so it misses about
# $\tfrac{h^2}{2} v'$ in every step. There are about $1/|h|$ steps, so at the end it is off by something proportional to
# $h$. In general, a solver that misses $h^{n+1}$ per step is off by $h^n$ at the end, and we say it has **order** $n$.
# Halve the step size, and its error shrinks by a factor of $2^n$: for Euler by 2, for all others by 4. So much for
# theory; one of them will do better, and one worse.
#
# Our exact model has four frames, each similar to its neighbours. Very many small steps give every path's true end.


# %%
times = torch.arange(4, dtype=torch.float64)
cov = torch.exp(-((times[:, None] - times) ** 2) / 4) + 0.1 * torch.eye(4, dtype=torch.float64)
gauss = GaussianDenoiser(torch.linspace(-1, 1, 4, dtype=torch.float64), cov)
start = torch.randn(8, 1, 4, 2, 2, dtype=torch.float64)


def end(schedule, solver, model=gauss):
    return samplers.sample(model, start, schedule, solver, whole=False)


@cache
def true_end(make, model):
    return end(make(8 * STEPS[-1]), "midpoint", model)


def errors(make, solver, model=gauss, steps=STEPS):
    """Root mean squared error at the end, for every number of steps."""
    ends = torch.stack([end(make(n), solver, model) for n in steps])
    return (ends - true_end(make, model)).square().mean(dim=(1, 2, 3, 4, 5)).sqrt()


def ratios(error):
    """The factors by which the error shrinks whenever the steps are doubled."""
    return error[:-1] / error[1:]


# %% [markdown]
# Each solver gets three schedules. The third takes chapter 2's levels, shifted towards noise by 5 as in large video
# models: its steps are short at first and long at the end.
#
# **Predict.** With 20 calls, which is closer to the truth: Heun with 10 steps, or Euler with 20?

# %% tags=["hide-input"]
kinds = {
    "synchronous, even levels": lambda n: schedules.synchronous(n, 4),
    "pyramid, even levels": lambda n: schedules.pyramid(n, 4, lag=n // 4),
    "synchronous, shifted by 5": lambda n: schedules.shift_levels(schedules.synchronous(n, 4).double(), 5.0),
}
looks = {  # colour, marker, calls per row
    "euler": ("#000000", "o", 1),
    "heun": ("#0072B2", "s", 2),
    "midpoint": ("#D55E00", "D", 2),
    "ab2": ("#009E73", "^", 1),
    "dpmpp_2m": ("#CC79A7", "v", 1),
    "unipc": ("#E69F00", "x", 1),
}
off = {(kind, name): errors(make, name) for kind, make in kinds.items() for name in looks}
fig, axes = plt.subplots(1, 3, figsize=(10, 4.2), layout="constrained", sharey=True)
for ax, (kind, make) in zip(axes, kinds.items(), strict=True):
    ax.axvline(20, color="0.8", lw=6)
    for name, (colour, marker, calls) in looks.items():
        rows = [calls * (len(make(n)) - 1) for n in STEPS]
        ax.loglog(rows, off[kind, name], color=colour, marker=marker, label=name)
    ax.set(title=kind, xlabel="calls of the model", xticks=(4, 8, 16, 32, 64, 128), xticklabels=(4, 8, 16, 32, 64, 128))
    ax.minorticks_off()
axes[0].set_ylabel("error at the end")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
plt.show()

# %% tags=["nbval-check-output"]
together, pyramid, shifted = kinds
at20 = {}
print(f"error with 20 calls:{together:>28}{shifted:>28}")
for name, (_, _, calls) in looks.items():
    at20[name] = [errors(kinds[kind], name, steps=[20 // calls]).item() for kind in (together, shifted)]
    print(f"{name:20}{at20[name][0]:28.4f}{at20[name][1]:28.4f}")
assert at20["heun"][0] < at20["euler"][0] / 5 and at20["heun"][1] > at20["euler"][1], "Heun wins, and then loses"
assert all(max(at20[name]) < at20["euler"][1] / 2 for name in ("ab2", "dpmpp_2m", "unipc")), "a memory always pays"
for kind in (together, pyramid):
    assert 1.6 < ratios(off[kind, "euler"])[-1] < 2.4, "Euler: half the step, half the error"
    assert 3.4 < ratios(off[kind, "heun"])[-1] < 4.6, "Heun: half the step, a quarter of the error"
    steep = min(ratios(off[kind, name])[-1] for name in ("ab2", "unipc"))
    assert FAST or steep > 3.4, "and so do ab2 and unipc, at half the price"
    assert FAST or off[kind, "dpmpp_2m"][-1] > off[kind, "heun"][-2], "dpmpp_2m ends above Heun, at equal calls"

# %% [markdown]
# <details><summary>Answer</summary>
#
# With even levels Heun, by far: two calls in one long step buy more than two short steps. With shifted levels it is
# behind Euler. Its second call belongs to the end of the step, and where that end is clean it is left out (no noise is
# left to look at), so its last step is Euler's. Shifted, that step is the longest: with 10 steps from $\tau=0.36$ to 0.
#
# </details>
#
# Look at three things (the grey bars mark 20 calls). Euler has the flattest line: every doubling of the calls divides
# its error by 2, Heun's by 4. `ab2` and `unipc`, which remember earlier answers, are as steep as Heun at half its
# price; `dpmpp_2m` flattens, and with even levels it ends above Heun. And far below all others runs **midpoint**.
# Should you take it?
#
# ## A lucky solver
#
# Midpoint has order 2, so its error should fall by a factor of 4:

# %%
for kind in (together, pyramid):
    print(f"{kind:25}", " ".join(f"{r:5.2f}" for r in ratios(off[kind, "midpoint"])[:3]))
assert (ratios(off[together, "midpoint"])[:3] > 7).all(), "synchronous: about 8, as if its order were 3"
assert (ratios(off[pyramid, "midpoint"])[:3] < 5).all(), "pyramid: 4, its true order"

# %% [markdown]
# When all frames move together, it falls by 8. That is luck. Gaussian clips split into independent directions, and along
# one with variance $c$ a noised sample has the variance $q(\tau)=(1-\tau)^2c+\tau^2$. Expand the true step and midpoint's
# in powers of $h$, and they differ first by $\tfrac{h^3}{48}\,q'''\!/q$ times the distance from the mean. But $q$ is
# quadratic in $\tau$, so $q'''=0$. In a pyramid the frames have different noise levels, $q$ is no longer one quadratic,
# and the luck is gone: back to 4. One timestep for all flatters midpoint: its order was luck. It still
# leads here, by less.
#
# ## How a multistep solver remembers, step by step
#
# Where does the line of `ab2` come from? A frame stands at $\tau_n$ with velocity $v_n$, came from $\tau_{n-1}$ with
# velocity $v_{n-1}$, and is about to take a step $h$. Write $g=\tau_n-\tau_{n-1}$ for its last step.
#
# 1. Draw a straight line through the two known velocities: at distance $s$ from $\tau_n$ it predicts
#    $v_n+s\,\dfrac{v_n-v_{n-1}}{g}$.
# 2. Move by the line's integral over the step, from $s=0$ to $h$: that is
#    $h\,v_n+\dfrac{h^2}{2}\,\dfrac{v_n-v_{n-1}}{g}$.
# 3. Sort by velocity: $h\left[\left(1+\dfrac{h}{2g}\right) v_n-\dfrac{h}{2g}\,v_{n-1}\right]$. With even steps,
#    $h=g$, these are the weights $\tfrac32$ and $-\tfrac12$ of Adams and Bashforth.
# 4. What is missed? A line misses a curve by about $\tfrac12 v''\,s\,(s+g)$, and its integral over the step is
#    $v''\left(\tfrac{h^3}{6}+\tfrac{g\,h^2}{4}\right)$: third order per step, **second** order at the end, however uneven the
#    rows, as long as $g$ is the true distance. With a *wrong* $g$ the slope is wrong by a factor, and one order is lost.
#
# Now to video: what is a frame's "last step" if frames move at different rows? Let even and odd frames take turns. In
# every row half of them wait, yet the model returns a velocity for them too. Libraries made for a single timestep keep
# one memory for the whole video, and put all of these velocities into it:


# %%
class OneMemory:
    """ab2 for a single timestep: it keeps the last velocity of the video, whether a frame moved or not."""

    def init_state(self):
        before = []

        def step(denoiser, x, tau, tau_next, **cond):
            v = denoiser(x, tau, **cond)
            used = 1.5 * v - 0.5 * before[-1] if before else v
            before.append(v)
            return x + (tau_next - tau)[:, None, :, None, None] * used, v

        return step


def by_turns(steps):
    sigmas, rows = schedules.linear(steps), torch.arange(2 * steps + 1)
    return torch.stack([sigmas[(rows + (i + 1) % 2) // 2] for i in range(4)], dim=1)


print(by_turns(4))

# %% tags=["hide-input"]
nb.diagram(
    "03_one_memory_per_frame",
    "Two frames take turns; a shared memory mixes steps that a frame made with steps at which it waited, while one "
    "memory per frame keeps only the steps that the frame itself made.",
)

# %% [markdown]
# To see the effect of the memory alone, we make the frames independent.
#
# **Predict.** With one memory for all, which order remains?

# %% tags=["hide-input"]
unrelated = GaussianDenoiser(gauss.mean, gauss.cov.diag().diag())
solvers = {"euler": "euler", "ab2, one memory for the video": OneMemory(), "ab2, one memory per frame": "ab2"}
fig, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained", sharey=True)
turns, SHOWN = {}, (("o-", "#000000"), ("D:", "#E69F00"), ("^-", "#0072B2"))
for ax, (title, make) in zip(axes, {together: kinds[together], "taking turns": by_turns}.items(), strict=True):
    for (label, solver), (style, colour) in zip(solvers.items(), SHOWN, strict=True):
        turns[title, label] = errors(make, solver, unrelated)
        ax.loglog(STEPS, turns[title, label], style, ms=10 if style == "D:" else 5, color=colour, label=label)
    ax.set(title=title, xlabel="steps of each frame", xticks=STEPS, xticklabels=STEPS)
    ax.minorticks_off()
axes[0].set_ylabel("error at the end")
axes[0].legend()
plt.show()

# %%
plain, shared, own = (turns["taking turns", label] for label in solvers)
assert torch.allclose(*(turns[together, label] for label in list(solvers)[1:]), rtol=1e-3), "all together: the same"
assert (ratios(own) > 3.8).all(), "one memory per frame: order 2, though every frame stops at every other row"
assert torch.allclose(shared, plain, rtol=1e-3), "one memory for all: exactly Euler"

# %% [markdown]
# <details><summary>Answer</summary>
#
# Order 1: on the right, the diamonds lie exactly on Euler's line. A frame that has just waited finds in the memory the
# velocity of its waiting row, where it stood at the *same* place. The two velocities are equal, so
# $\tfrac32v-\tfrac12v=v$: the gain is gone, without an error message.
#
# </details>
#
# So our solvers remember, for every frame, the last velocities *of rows at which that frame moved*, and how far it
# moved: the green box of the drawing.
#
# ## Two orders that go missing
#
# `dpmpp_2m` has order 2, and `ab3` has order 3, but with even steps from pure noise to clean the measured factors do
# not settle at 4 and 8.
#
# **Predict.** Where does each lose its order? What is $\lambda$ at both ends of the schedule? And what has `ab3`, which
# draws a parabola through three velocities, in its memory when it starts?


# %%
def even_in_lambda(n):
    levels = torch.linspace(4, -4, n + 1, dtype=torch.float64).sigmoid()
    return levels[:, None].expand(-1, 4)


def small_first_step(n):
    levels = torch.linspace(1, 0, n + 1, dtype=torch.float64)
    return torch.cat([levels[:1], levels[:1] - 1 / n**2, levels[1:]])[:, None].expand(-1, 4)


table = {
    "dpmpp_2m, even steps in tau": ratios(off[together, "dpmpp_2m"]),
    "  the same, 4 times the steps": ratios(errors(kinds[together], "dpmpp_2m", steps=[4 * n for n in STEPS])),
    "dpmpp_2m, even steps in lambda": ratios(errors(even_in_lambda, "dpmpp_2m")),
    "ab3, even steps in tau": ratios(errors(kinds[together], "ab3")),
    "ab3, first step small": ratios(errors(small_first_step, "ab3")),
}
for name, found in table.items():
    print(f"{name:31}", " ".join(f"{r:5.2f}" for r in found[-3:]))
lost, late, kept, slow, quick = (found[-1] for found in table.values())
assert lost < late < 3.5 < kept < 4.3, "dpmpp_2m shows order 2 where its steps are even in lambda"
assert slow < 4.5 and quick > 7, "ab3 shows order 3 once its first step is small"

# %% [markdown]
# <details><summary>Answer</summary>
#
# $\lambda$ runs from $-\infty$ at pure noise to $+\infty$ at clean. Even steps in $\tau$ are huge in $\lambda$ at both
# ends, however many you take, and there a line through two points means little. With even steps in $\lambda$, from
# $\tau$ = .98 to .02, the factor is close to 4.
#
# `ab3` starts with one Euler step, which misses $h^2$, and that one miss hides an order of 3. With a first step as
# small as $h^2$ the factor is close to 8.
#
# </details>
#
# ## So where should twenty calls go?
#
# An order is a promise about *small enough* steps, and the exact model is a Gaussian. So ask a trained one: `nano-vta`
# (8 frames of 16 x 16 pixels, small enough for 32 clips on a CPU) continues the first frames of unseen clips, with every
# solver from the same noise, at equal calls. How close does a solver come to the end of *its model's* path, which very
# many small steps would reach? And how close is the video to the *true* clip?
#
# **Predict.** On the exact model, the errors with 20 calls lay far apart. Which of the two questions will show that?


# %%
nano = small_models.load("nano-vta", device=device)
FEW, MANY = {1: 5, 2: 3}, {1: 20, 2: 10}  # calls per row -> steps
scenes = world.draw_scenes(CLIPS, evaluate.EVAL_SEED, world.NANO)
truth, words = pixels.to_uint8(world.render(scenes)), world.captions(scenes)


@cache
def video(solver, steps):
    return pixels.to_pixels(ways.maker(nano, steps=steps, guidance=1.0, solver=solver)(words, truth, SEED))


def decibels(one, other):
    """PSNR of frames 1 and later, clip by clip."""
    return psnr(one, other)[:, 1:].mean(dim=1)


finest, real = video("ab3", 2 * MANY[1]), pixels.to_pixels(truth)  # a solver that takes no part
close, good = {}, {}  # (solver, calls) -> decibels to the end of the path, and to the true clip
for budget in (FEW, MANY):
    for name, (_, _, calls) in looks.items():
        key = name, budget[calls] * calls - (name == "heun")
        close[key], good[key] = (decibels(video(name, budget[calls]), other) for other in (finest, real))
print(f"with 20 calls, euler to the end of its path: {close['euler', 20].mean():.1f} dB")
print(f"that end to the true clip: {decibels(finest, real).mean():.1f} dB")

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained", sharey=True)
for ax, most in zip(axes, (FEW[1], MANY[1]), strict=True):
    for (name, used), end_of_path in close.items():
        if abs(used - most) <= 1:
            colour, marker, _ = looks[name]
            behind = good[name, used] - good["euler", most]
            place, bar = (end_of_path.mean(), behind.mean()), behind.std() / CLIPS**0.5
            ax.errorbar(*place, yerr=bar, color=colour, fmt=marker, ms=8, label=name)
    ax.set(title=f"{most} calls (or one more or less)", xlabel="PSNR to the end of the path (dB)")
axes[0].set_ylabel("PSNR to the true clip,\nover Euler's (dB)")
axes[1].legend(bbox_to_anchor=(1, 0.5), loc="center left")
worst = close["euler", FEW[1]].argmin().item()
strip = {"true clip": real, "end of the path": finest, f"euler, {FEW[1]} calls": video("euler", FEW[1])}
fig, ax = plt.subplots(figsize=(10, 3.4), layout="constrained")
viz.filmstrip({name: pixels.to_uint8(each[worst : worst + 1])[0] for name, each in strip.items()}, ax=ax)
ax.set_title(words[worst])
plt.show()

# %%
by_end = sorted((key for key in close if key[1] in (19, 20)), key=lambda key: close[key].mean())
lost = good["euler", 20] - torch.stack([good[key] for key in by_end[1:]]).mean(dim=0)
assert FAST or [name for name, _ in by_end[:3]] == ["euler", "heun", "dpmpp_2m"], "as on the exact model"
assert FAST or lost.mean() > 3 * lost.std() / CLIPS**0.5 > 0, "and upside down for the truth"
assert FAST or min(close["midpoint", 6].mean(), close["ab2", 5].mean()) > close["euler", 5].mean() + 2

# %% [markdown]
# <details><summary>Answer</summary>
#
# Only the first. From left to right at twenty calls: Euler is furthest from the end of its path, then come Heun and
# `dpmpp_2m`, as on the exact model; midpoint, `unipc` and `ab2` are closest.
#
# The second question, upwards, has another winner: Euler, which stops short of the end of its path, is ahead of all
# others, and these hardly differ. That is a few tenths of a decibel, several times the error bars, but no merit of it. Many
# clips fit a picture and a caption; PSNR is highest for their *mean* (chapter 7). A likely reason: every Euler step
# heads for the model's guess of the clean clip, which is just that mean (chapter 4), and big steps keep more of it.
#
# </details>
#
# The strip shows the clip on which Euler's five calls miss the end most: the squares part in the second row, and stay
# together in the third. Yet both rows miss the truth by more. That is the model's error, and no solver mends it.
#
# What does this support?
#
# - **With twenty calls it hardly matters.** Euler is much closer to the end of its path than that end is to the truth
#   (printed above the strip).
# - **With five or six it does**: midpoint (six) and `ab2` (five) come much closer to what the model would make.
# - **Do not choose a solver by its PSNR alone**: it favours one that stops short. (Chapter 8 tells why.)
#
# ## A frame that never moves
#
# The most uneven column belongs to a frame that is *known*, such as the picture in image-to-video: its timestep is 0 in
# every row. Every solver multiplies its velocity by a step of 0, so it stays as it is to the last bit, and with a memory
# per frame it disturbs nobody else's. That is `freeze`.
#
# With a little noise of level $m$ on it (Pusa's examples use about 0.2, to let the subject move) somebody must take care
# of the frame: the solver, or the sampler, which puts it back in every row. Papers mean any of five things by it; here
# they are one switch, `Known.mode`. $S$ is the frame's column of the schedule.

# %% tags=["hide-input"]
nb.diagram(
    "03_five_modes",
    "Five rows, one per mode: the noise in what the model sees of the known frame, and the timestep it is told, at four "
    "levels of the schedule; denoise carries one noisy frame on, hold and replacement noise the picture anew.",
)

# %% [markdown]
# Only in `denoise` does the solver move the known frame. Only in `label` do number and colour disagree. On the exact
# model the right answer is known: `condition` gives the mean of all frames, given frame 0.


# %% tags=["hide-input"]
class GaussianVideo:  # the exact model, wrapped for `generate`
    device = torch.device("cpu")
    geometry = Geometry(stride=(1, 1, 1), channels=3, frames=4, size=(SIDE, SIDE))

    def encode_text(self, prompts):
        return {}

    def encode_video(self, clip):
        return 6.0 * clip  # pixels end at -1 and 1, Gaussian numbers do not

    def decode(self, latents):
        return latents / 6

    def __call__(self, x, tau):
        return gauss(x, tau)


def made(mode, m):
    """Mean of every frame."""
    picture = np.full((SIDE, SIDE, 3), (1 / 6 + 1) / 2)  # 1.0 in the latents
    task = tasks.image_to_video(picture, noise=m, mode=mode)
    result = pl.generate(GaussianVideo(), "", task, steps=40, guidance=1.0, solver="heun", seed=SEED)
    return result.latents.double().mean(dim=(0, 1, 3, 4))


exact, _ = condition(gauss.mean, gauss.cov, [0], torch.ones(1, dtype=torch.float64))
assert (made("freeze", 0.0) - exact).abs().max() < 5 / SIDE, "a frozen frame gives exactly the conditional distribution"

# %% [markdown]
# At $m=0$ all five are `freeze`, and exact.
#
# **Predict.** Which mode changes frame 0 itself? And which one follows the picture least at $m=0.8$?

# %% tags=["hide-input"]
found = {(mode, m): made(mode, m) for mode in ("denoise", "hold", "replacement", "label") for m in (0.3, 0.8)}
styles = {
    "denoise": ("#0072B2", "o"),
    "hold": ("#D55E00", "s"),
    "replacement": ("#009E73", "v"),
    "label": ("#CC79A7", "^"),
}
fig, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", sharey=True)
for ax, m in zip(axes, (0.3, 0.8), strict=True):
    ax.plot(exact, color="black", lw=4, alpha=0.3, label="exact, frame 0 given")
    ax.plot(gauss.mean, color="black", ls=":", label="no frame given")
    for place, (mode, (colour, marker)) in enumerate(styles.items()):
        shift = (place - 1.5) / 25  # so that equal results stay visible side by side
        ax.plot(torch.arange(4) + shift, found[mode, m], color=colour, marker=marker, label=mode)
    ax.set(title=f"noise level m = {m}", xlabel="frame", xticks=range(4))
axes[0].set_ylabel("mean of the samples")
axes[1].legend(bbox_to_anchor=(1, 0.5), loc="center left")
plt.show()

# %%
assert found["denoise", 0.8][0] < 1 - 5 / SIDE, "denoise: frame 0 itself drifts towards what is likely"
for mode in ("hold", "replacement", "label"):
    assert abs(found[mode, 0.8][0] - 1) < 1e-3, "the others give frame 0 back as it was"
for m in (0.3, 0.8):
    print(f"m = {m}: frame 1 should be {exact[1]:.2f};", *(f"{mode} {found[mode, m][1]:.2f}" for mode in styles))
assert min(styles, key=lambda mode: found[mode, 0.8][1]) == "hold", "hold follows the picture least"

# %% [markdown]
# <details><summary>Answer</summary>
#
# Only `denoise` changes frame 0: there the solver finds a compromise between the picture and the rest of the video. The
# others return it untouched, and pay in frame 1. `hold` follows least: it shows mostly noise to the end, and says so.
# `label` calls a clean frame faded, so that it counts for more than it is: at $m=0.3$ it even overshoots.
#
# </details>
#
# So noise on a known frame is a dial between obedience and freedom. The other dial is *guidance*, which exaggerates what
# the words or the known frames change. It changes velocities, not steps, so a solver need not know of it. It has a page of
# its own, `docs/guidance.md`, and chapter 6 meets it in a transition.

# %% [markdown]
# ## Exercises
#
# **1 · Fill in.** Another solver with the same memory: go back to where the frame stood *before* its last step, and
# move from there over both steps at once, by the same straight line through $v_{n-1}$ and $v_n$. So integrate the line
# of step 1 from $s=-g$ to $h$, and sort by velocity as in step 3. You get the two steps `h` and `g` as tensors of one
# number. Return a tensor of two numbers, divided by the whole length $h+g$: the weight of $v_n$, then that of
# $v_{n-1}$. They must be right for any two steps of the same sign.
#
# <details><summary>Hint</summary>
#
# The integral of $s$ from $-g$ to $h$ is $\tfrac12 (h^2-g^2)$, and $h^2-g^2=(h+g)(h-g)$. Both weights add up to
# 1: if the velocity is constant, the solver must move by it.
#
# </details>


# %% tags=["exercise"]
def my_weights(h, g): ...  # a tensor of two numbers: for the newest velocity, for the older one


# %% tags=["check"]
def pair_of(lean):  # weights that add up to 1
    return torch.stack([1 + lean, -lean])


nb.check(
    my_weights,
    lambda h, g: pair_of((h - g) / (2 * g)),
    torch.tensor(0.3),
    torch.tensor(0.1),
    axes="(two weights: newest, older)",
    mistakes={
        "these are the weights of ab2, which integrates from 0; here the integral starts at -g": lambda h, g: pair_of(
            h / (2 * g)
        ),
        "that is right for even steps; here the step to come is longer than the last one": torch.tensor([1.0, 0.0]),
        "the slope is a change of velocity per step g, not per h": lambda h, g: pair_of((h - g) / (2 * h)),
        "both weights are there, but in the other order": lambda h, g: pair_of((h - g) / (2 * g)).flip(0),
        "the line leans the other way: is the integral of s from -g to h positive here?": lambda h, g: pair_of(
            (g - h) / (2 * g)
        ),
        "these are not divided by the whole length yet": lambda h, g: (h + g) * pair_of((h - g) / (2 * g)),
        "these are divided by h alone; the frame moves over h + g": lambda h, g: (
            (h + g) / h * pair_of((h - g) / (2 * g))
        ),
        "the integral of s is half of its square": lambda h, g: pair_of((h - g) / g),
        "these do not depend on h and g: they are ab2's for even steps": torch.tensor([1.5, -0.5]),
        "these do not depend on h and g: a plain mean": torch.tensor([0.5, 0.5]),
        "do they add up to 1? The line also has a constant part, v_n": lambda h, g: (
            pair_of((h - g) / (2 * g)) - pair_of(0 * h)
        ),
        "do they add up to 1? The slope holds the older velocity with a minus": lambda h, g: pair_of(
            (h - g) / (2 * g)
        ).abs(),
    },
)
if not nb.unwritten(my_weights):
    longer = torch.linspace(0.25, 3, 40)  # h / g
    both = torch.stack([my_weights(h, torch.tensor(1.0)) for h in longer])
    plt.figure(figsize=(9, 2.6), layout="constrained")
    for k, (name, colour) in enumerate({"newest": "#0072B2", "older": "#D55E00"}.items()):
        plt.plot(longer, both[:, k], color=colour, label=f"yours, {name}")
        plt.plot(longer, (k == 0) + (-1) ** k * longer / 2, ":", color=colour, label=f"ab2, {name}")
    plt.xlabel("how many times as long the step to come is as the last one, h / g")
    plt.ylabel("weight")
    plt.legend(ncols=2)
    plt.show()

# %% [markdown]
# **2 · Vary.** Four frames take turns, *one* per row. Write a function `my_turns(steps)` that returns the schedule: a
# tensor of $4\cdot\text{steps}+1$ rows and 4 columns. In each row exactly one frame takes a step, first frame 0, then 1,
# 2, 3, then 0 again, and so on. Every frame goes from 1 to 0 through the levels `schedules.linear(steps)`. The picture
# shows whether one memory for the video still costs an order when three frames of four are waiting.
#
# <details><summary>Hint</summary>
#
# `by_turns` does it for two groups of frames: it asks how many steps frame $i$ has made by row $r$, and looks up its
# level. Here frame 0 has made 0, 1, 1, 1, 1, 2, ... steps by rows 0, 1, 2, ... and frame 3 has made 0, 0, 0, 0, 1, 1, ...:
# divide by 4 and round down.
#
# </details>


# %% tags=["exercise"]
def my_turns(steps): ...  # noise levels (4 * steps + 1, 4)


# %% tags=["check"]
def moves(make, steps=5):  # how many levels each frame goes down in each row
    return (make(steps).double().diff(dim=0) * -steps).round()


nb.check_that(
    my_turns,
    {
        "it returns nothing: is a `return` missing?": lambda make: make(5) is not None,
        "it must have 4 * steps + 1 rows and 4 columns": lambda make: make(5).shape == (21, 4),
        "every frame starts at noise level 1 and ends at 0": lambda make: (
            (make(5)[0] == 1).all() and not make(5)[-1].any()
        ),
        "in some row two frames move, or none": lambda make: ((moves(make) != 0).sum(dim=1) == 1).all(),
        "a frame moves again before all others had their turn": lambda make: (
            (moves(make).unflatten(0, (5, 4)) != 0).sum(dim=1) == 1
        ).all(),
        "the frames take turns, but frame 0 does not come first, or 3 not last": lambda make: (
            (moves(make).unflatten(0, (5, 4)) != 0) == torch.eye(4, dtype=torch.bool)
        ).all(),
        "a frame's steps must be even, as in schedules.linear(steps)": lambda make: (
            (torch.stack([make(5)[4 * n] for n in range(6)]).double() - torch.linspace(1, 0, 6)[:, None]).abs().max()
            < 1e-6
        ),
        "with other numbers of steps it has another form": lambda make: make(3).shape == (13, 4),
    },
)
if not nb.unwritten(my_turns):
    fig, ax = plt.subplots(figsize=(9, 3), layout="constrained")
    for (label, solver), (style, colour) in zip(solvers.items(), SHOWN, strict=True):
        ax.loglog(STEPS, errors(my_turns, solver, unrelated), style, color=colour, label=label)
    ax.set(title="one frame at a time", xlabel="steps of each frame", ylabel="error at the end")
    ax.set(xticks=STEPS, xticklabels=STEPS)
    ax.minorticks_off()
    ax.legend()
    plt.show()

# %% [markdown]
# **3 · Invent.** Write a solver: a function `(denoiser, x, tau, tau_next) -> (x_next, v)`. `x` has shape `(b, c, f, h,
# w)`, `tau` and `tau_next` have shape `(b, f)`, and `denoiser(x, tau)` returns a velocity like `x`. Return the moved
# `x` and the velocity used. On a pyramid of 8 steps its error must be at most a third of Euler's, its order must be at
# least 2 (twice the steps, about a quarter of the error), and a frame whose timestep does not change must stay as it
# is. Call the model as often as you like.
#
# <details><summary>Hint</summary>
#
# Ask the model a second time from somewhere further along the step: at its end, as Heun does, or in its middle.
# `(tau_next - tau)[:, None, :, None, None]` gives each frame its own step.
#
# </details>

# %% tags=["exercise"]
my_solver = None

# %% tags=["check"]
S, fine = schedules.pyramid(8, 4), schedules.stretch(schedules.pyramid(8, 4), 16)
goal = end(fine, "ab3")


@cache
def far(solver):
    return (end(S, solver) - goal).square().mean().sqrt()


first, second = S[:2, None].expand(-1, 8, -1)  # only frame 0 moves between these rows


def pair(solver):
    return solver(gauss, start, first, second)


def unmoved():  # second looks at the middle or the end of the step, at an x that stayed behind
    dt = (second - first)[:, None, :, None, None]
    here, middle, there = (gauss(start, tau) for tau in (first, (first + second) / 2, second))
    return [start + dt * v for v in (middle, there, (here + there) / 2)]


nb.check_that(
    my_solver,
    {
        "return two things: the moved x, and the velocity you moved it by": lambda s: (
            isinstance(pair(s), tuple) and len(pair(s)) == 2
        ),
        "both must have the shape of x": lambda s: all(y.shape == start.shape for y in pair(s)),
        "a frame whose timestep stays the same was moved": lambda s: torch.equal(pair(s)[0][:, :, 1:], start[:, :, 1:]),
        "it ends further from the truth than Euler: is the sign of the step right?": lambda s: (
            far(s) < 1.5 * far(euler)
        ),
        "it is no better than Euler: let a second look at the velocity matter": lambda s: far(s) < 0.9 * far(euler),
        "better than Euler, but its error is more than a third of Euler's": lambda s: far(s) <= far(euler) / 3,
        "the second look is at the place where x was: move x before it": lambda s: (
            not any(torch.allclose(pair(s)[0], one) for one in unmoved())
        ),
        "with twice the steps its error falls by 2 or less: that is order 1, and 2 is asked for": lambda s: (
            ratios(errors(kinds[pyramid], s))[1] > 2.8 or far(s) < far(euler) / 500  # too small for its fall to be seen
        ),
    },
)
if my_solver is not None:
    fig, ax = plt.subplots(figsize=(9, 3.2), layout="constrained")
    for label, solver in {"euler": euler, "heun": "heun", "yours": my_solver}.items():
        ax.loglog(STEPS, errors(kinds[pyramid], solver), marker="o", lw=3 if label == "yours" else 1, label=label)
    ax.set(title="pyramid: the steeper, the higher the order", xlabel="steps", ylabel="error at the end")
    ax.set(xticks=STEPS, xticklabels=STEPS)
    ax.minorticks_off()
    ax.legend()
    plt.show()

# %% [markdown]
# ## Recap
#
# | solver | calls per row | order |
# |---|---|---|
# | `euler` | 1 | 1 |
# | `heun` | 2; the last 1 | 2; its last step is Euler's |
# | `midpoint` | 2 | 2; 3 by luck |
# | `ab2`, `unipc`, `dpmpp_2m` | 1 | 2; `dpmpp_2m` only if steps are even in $\lambda$ |
# | `ab3` | 1 | 3 after a small first step |
#
# *What could go wrong:* one memory for all frames; taking the wrong last step for uneven rows; comparing solvers at equal
# steps instead of equal calls, or by PSNR alone; trusting the order in a name; taking replacement for conditioning.
#
# *Where the code lives:* `pusa_lab/solvers/multistep.py` (`solvers.AdamsBashforth`, `solvers.DPMSolver`),
# `pusa_lab/solvers/onestep.py` (`solvers.heun`, `solvers.midpoint`), `pusa_lab/tasks/known.py` (the five modes).
#
# *References:* DPM-Solver++, arXiv 2211.01095; UniPC, arXiv 2302.04867; Heun for diffusion, arXiv 2206.00364; Pusa,
# arXiv 2507.16116; SkyReels-V2, arXiv 2504.13074; Diffusion Forcing, arXiv 2407.01392.
