# %% [markdown]
# # 3 · Solvers, and frames that wait
#
# ***Every call of a large video model takes seconds, and you can afford twenty of them. Where should they go, when every
# frame has a timestep of its own, and some frames wait while others move?***
#
# *You need: chapters 1 and 2. Time: 25 minutes of reading, three minutes of CPU.*
#
# A **solver** says how the frames get from one row of a schedule to the next, and how often it asks the model on the
# way. Most solvers were made for one timestep. With one per frame, a solver may remember a row in which a frame stood
# still, and draw the wrong conclusion from it. We first measure this on chapter 1's exact model, where we know the
# truth, and then ask whether a trained model cares.
#
# **After this chapter you can**
#
# - compare solvers at equal calls, and measure their order yourself;
# - derive how a solver uses its last velocity, and say why each frame needs a memory of its own;
# - say where twenty calls should go, or four, with and without guidance, also when some frames wait or never move.

# %% tags=["setup"]
# build.py puts the installing cell here.

# %% tags=["parameters"]
SEED = 0
STEPS = (4, 8, 16, 32, 64)
CLIPS = 16
FAST = False

# %%
import matplotlib.pyplot as plt
import torch

import pusa_lab.notebook as nb
import small_models
from pusa_lab import pixels, samplers, schedules, viz
from pusa_lab.analytic import GaussianDenoiser
from pusa_lab.metrics import bootstrap, psnr
from pusa_lab.solvers import euler, heun, midpoint
from small_models import world
from small_models.evaluation import evaluate, ways
from small_models.experiments.pairs import signed

device = nb.setup(seed=SEED, shapes=True)
STEPS, CLIPS = ((4, 8, 16, 32), 4) if FAST else (STEPS, CLIPS)

# %% [markdown]
# ## What a solver does
#
# Sampling follows a differential equation, in which each frame $i$ has its own time:
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
# In code, `v` is the model, `x` a frame at `tau`, and `h` its step. The last one, `ab2` (after Adams and Bashforth),
# also remembers `older`, the velocity one row before, which was a step `g` ago:


# %%
def euler_step(v, x, tau, h):
    return x + h * v(x, tau)


def heun_step(v, x, tau, h):
    guess = euler_step(v, x, tau, h)
    return x + h * (v(x, tau) + v(guess, tau + h)) / 2


def midpoint_step(v, x, tau, h):
    halfway = euler_step(v, x, tau, h / 2)
    return x + h * v(halfway, tau + h / 2)


def ab2_step(v, x, tau, h, older, g):
    slope = (v(x, tau) - older) / g
    return x + h * (v(x, tau) + h / 2 * slope)


# %% [markdown]
# How wrong is Euler's? By Taylor's formula the frame should move by $h\,v+\tfrac{h^2}{2}\,v'+\dots$, so Euler misses
# about $\tfrac{h^2}{2} v'$ in every step. There are about $1/|h|$ steps, so at the end it is off by something
# proportional to $h$. In general, a solver that misses $h^{n+1}$ per step is off by $h^n$ at the end: it has **order**
# $n$. Halve the step size, and its error shrinks by a factor of $2^n$. So by 2 for Euler, and by 4 for the others.
#
# ## How far off, for how many calls?
#
# Our exact model has four frames, each similar to its neighbours, with values that scatter by about 1:

# %%
times = torch.arange(4, dtype=torch.float64)
cov = torch.exp(-((times[:, None] - times) ** 2) / 4) + 0.1 * torch.eye(4, dtype=torch.float64)
gauss = GaussianDenoiser(torch.linspace(-1, 1, 4, dtype=torch.float64), cov)
start = torch.randn(8, 1, 4, 2, 2, dtype=torch.float64)

noise = torch.ones(8, 4, dtype=torch.float64)
for ours, library in ((euler_step, euler), (heun_step, heun), (midpoint_step, midpoint)):
    assert torch.allclose(ours(gauss, start, noise, -0.25), library(gauss, start, noise, noise - 0.25)[0])

# %% [markdown]
# The last lines check three of our four functions against the library's, which we use from here on.
#
# Where would a schedule lead without any error? To see that, we cut each of its rows into four, and let midpoint go
# down the finer one. A solver's **error** is how far it ends from there. Its **price** is how often it asks the model.
# We count that, since a solver may leave out a call:


# %%
def end(schedule, solver, model=gauss):
    return samplers.sample(model, start, schedule, solver)


def errors(make, *solvers, steps=STEPS, model=gauss):
    """Root mean squared error for every number of steps and every solver."""
    found = []
    for n in steps:
        true_end = end(schedules.stretch(make(n), 4), "midpoint", model)
        found.append([(end(make(n), solver, model) - true_end).square().mean().sqrt() for solver in solvers])
    return torch.tensor(found)


def calls(schedule, solver):
    asked = []
    end(schedule, solver, lambda x, tau: asked.append(tau) or gauss(x, tau))
    return len(asked)


# %% [markdown]
# Each solver gets three schedules. The third shifts the levels of chapter 2 towards noise by 5, as [Wan
# does](https://github.com/Wan-Video/Wan2.1/blob/main/wan/text2video.py) unless told otherwise: its steps are short at
# first and long at the end.
#
# **Predict.** With 20 calls, which is closer to the truth: Heun with 10 steps, or Euler with 20?

# %% tags=["hide-input"]
kinds = {
    "synchronous, even levels": lambda n: schedules.synchronous(n, 4),
    "pyramid, even levels": lambda n: schedules.pyramid(n, 4, lag=n // 4),
    "synchronous, shifted by 5": lambda n: schedules.shift_levels(schedules.synchronous(n, 4).double(), 5.0),
}
PER_ROW = {"euler": 1, "heun": 2, "midpoint": 2, "ab2": 1}  # calls of the model
COLOUR = {"euler": "#000000", "heun": "#0072B2", "midpoint": "#D55E00", "ab2": "#009E73", "one memory": "#E69F00"}
MARKER = {"euler": "o", "heun": "s", "midpoint": "D", "ab2": "^", "one memory": "X"}
off = {kind: errors(make, *PER_ROW) for kind, make in kinds.items()}
fig, axes = plt.subplots(1, 3, figsize=(10, 4.2), layout="constrained", sharey=True)
for ax, (kind, make) in zip(axes, kinds.items(), strict=True):
    ax.axvline(20, color="0.8", lw=6)
    for k, name in enumerate(PER_ROW):
        asked = [calls(make(n), name) for n in STEPS]
        ax.loglog(asked, off[kind][:, k], color=COLOUR[name], marker=MARKER[name], label=name)
    ax.set(title=kind, xlabel="calls of the model", xticks=(4, 8, 16, 32, 64, 128), xticklabels=(4, 8, 16, 32, 64, 128))
    ax.minorticks_off()
axes[0].set_ylabel("error at the end")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
plt.show()

# %% tags=["hide-input", "nbval-check-output"]
together, pyramid, shifted = kinds
fall, at_20 = {}, {}
print(f"{'synchronous':18}{'error with':>14}{'error with':>14}{'even levels: error':>25}")
print(f"{'':18}{'even levels':>14}{'shifted by 5':>14}{'ratio, 16 to 32 steps':>25}")
for k, (name, each) in enumerate(PER_ROW.items()):
    at_20[name] = [errors(kinds[kind], name, steps=[20 // each]).item() for kind in (together, shifted)]
    fall[name] = (off[together][2, k] / off[together][3, k]).item()
    asked = calls(kinds[together](20 // each), name)
    print(f"{asked} calls, {name:8} {at_20[name][0]:14.4f}{at_20[name][1]:14.4f}{fall[name]:25.1f}")
assert at_20["heun"][0] < at_20["euler"][0] / 5, "even levels: Heun wins"
assert at_20["heun"][1] > at_20["euler"][1], "shifted levels: Heun loses"
assert all(at_20["ab2"][k] < min(at_20["heun"][k], at_20["euler"][k] / 2) for k in (0, 1)), "a memory pays in both"
assert 1.6 < fall["euler"] < 2.4 and 3.4 < fall["heun"] < 4.6 and 3.4 < fall["ab2"] < 5, "orders 1, 2 and 2"

# %% [markdown]
# <details><summary>Answer</summary>
#
# Heun, with even levels, and by far: a second look in one long step buys more than two short steps. With shifted
# levels Heun is behind Euler at 20 calls, and ahead from about 32 on.
#
# </details>
#
# In the figure, the grey bars mark 20 calls, and a steeper line means a higher order. In the table, look at the last
# column: twice the steps halve Euler's error, and divide Heun's by about 4, as the theory says. So they do for `ab2`,
# at half of Heun's price: it makes one call per row and remembers its last answer.
#
# (Why Heun begins badly on the right, and why midpoint's error is divided by 8, the aside further down explains.)
#
# ## A memory for every frame
#
# Where does the line of `ab2` come from? A frame stands at $\tau_n$ with velocity $v_n$, came from $\tau_{n-1}$ with
# velocity $v_{n-1}$, and is about to take a step $h$. Write $g=\tau_n-\tau_{n-1}$ for its last step.
#
# 1. Draw a straight line through the two known velocities. At distance $s$ from $\tau_n$ it predicts
#    $v_n+s\,\dfrac{v_n-v_{n-1}}{g}$.
# 2. Move by the line's integral over the step, from $s=0$ to $h$: that is
#    $h\,v_n+\dfrac{h^2}{2}\,\dfrac{v_n-v_{n-1}}{g}$.
# 3. Sort by velocity: $h\left[\left(1+\dfrac{h}{2g}\right) v_n-\dfrac{h}{2g}\,v_{n-1}\right]$. With even steps,
#    $h=g$, these are the weights $\tfrac32$ and $-\tfrac12$ of Adams and Bashforth.
# 4. What is missed? A line misses a curve by about $\tfrac12 v''\,s\,(s+g)$, and its integral over the step is
#    $v''\left(\tfrac{h^3}{6}+\tfrac{g\,h^2}{4}\right)$: third order per step, **second** order at the end, however uneven the
#    rows, as long as $g$ is the true distance. With a *wrong* $g$ the slope is wrong by a factor, and one order is lost.
#
# Now to video: what is a frame's "last step" if frames move in different rows? Let even and odd frames take turns. In
# every row half of them wait, yet the model returns a velocity for them too. A solver made for a single timestep keeps
# one memory for the whole video, and these velocities go into it:


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


def by_turns(steps, frames=4):
    sigmas, rows = schedules.linear(steps), torch.arange(2 * steps + 1)
    return torch.stack([sigmas[(rows + (i + 1) % 2) // 2] for i in range(frames)], dim=1)


print(by_turns(2))

# %% [markdown]
# Our own `ab2` remembers for *every frame* how its velocity changed in the last row in which it moved, and how far it
# moved there. These two take the place of $v_n-v_{n-1}$ and of $g$ above. All our solvers with a memory keep it by frame,
# such as `unipc` (Wan's default; see chapter 14).
#
# **Predict.** With one memory for the whole video, which order remains in a pyramid, where a frame waits *before* its
# first step? And which in turns, where it waits *between* its steps?

# %% tags=["hide-input"]
memories = {"euler": "euler", "one memory for the video": OneMemory(), "one memory per frame": "ab2"}
STYLE = (("o-", 5, COLOUR["euler"]), ("X:", 10, COLOUR["one memory"]), ("^-", 5, COLOUR["ab2"]))
waits = {"synchronous": kinds[together], "pyramid": kinds[pyramid], "taking turns": by_turns}
waited = {kind: errors(make, *memories.values(), "midpoint") for kind, make in waits.items()}
fig, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained", sharey=True)
for ax, (kind, table) in zip(axes, waited.items(), strict=True):
    for error, label, (style, size, colour) in zip(table.T, memories, STYLE, strict=False):
        ax.loglog(STEPS, error, style, ms=size, color=colour, label=label)
    ax.set(title=kind, xlabel="steps of each frame", xticks=STEPS, xticklabels=STEPS)
    ax.minorticks_off()
axes[0].set_ylabel("error at the end")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
plt.show()

# %% tags=["hide-input", "nbval-check-output"]
print("error of 16 steps / of 32 steps   ", *(f"{kind:>13}" for kind in waits))
for k, label in enumerate(memories):
    print(f"{label:34}", *(f"{table[2, k] / table[3, k]:13.1f}" for table in waited.values()))
plain, shared, own = waited["taking turns"].T[:3]
unrelated = GaussianDenoiser(gauss.mean, gauss.cov.diag().diag())
alike = errors(kinds[pyramid], OneMemory(), "ab2", steps=STEPS[:3], model=unrelated).T
assert torch.allclose(*alike, rtol=1e-6) and (waited["pyramid"][:, 1] < waited["pyramid"][:, 2]).all(), "as answered"
assert torch.allclose(*waited["synchronous"].T[1:3], rtol=1e-3), "all together: the same"
assert all((table[:-1, 2] / table[1:, 2] > 3.8).all() for table in waited.values()), "one memory per frame: order 2"
assert (waited["pyramid"][:-1, 1] / waited["pyramid"][1:, 1] > 3.8).all(), "one for all, in a pyramid: still order 2"
assert (shared[:-1] / shared[1:] < 2.2).all() and (shared > 0.75 * plain).all(), "in turns: order 1, hardly below Euler"

# %% [markdown]
# <details><summary>Answer</summary>
#
# In a pyramid order 2 survives: only a frame's first step finds a wrong velocity in the memory. (Here it even ends a
# little closer, since that velocity shows what the neighbours have changed, which is a part of the slope. With unrelated
# frames both end alike.) In turns every step does, and order 1 is left.
#
# </details>

# %% tags=["hide-input"]
nb.diagram(
    "03_one_memory_per_frame",
    "Two frames take turns; a shared memory mixes steps that a frame made with steps at which it waited, while one "
    "memory per frame keeps only the steps that the frame itself made.",
)

# %% [markdown]
# On the right of the figure, one memory for the video lies almost on Euler's line. In that memory a frame that has just
# waited finds the velocity of its waiting row, when it stood at the *same* place. So the two velocities are nearly
# alike, $\tfrac32v-\tfrac12v$ is about $v$, and the gain is gone, without an error message. With a memory per frame the
# order is 2, waiting or not.
#
# ## A frame that never moves
#
# In image-to-video the first frame is *known*: its timestep is 0 in every row, so it waits all the way. What does a
# solver do with it?


# %% tags=["nbval-check-output"]
def first_is_known(n):
    levels = schedules.synchronous(n, 4).clone()
    levels[:, 0] = 0
    return levels


same = torch.equal(end(first_is_known(8), "ab2")[:, :, 0], start[:, :, 0])
eight, sixteen = errors(first_is_known, "ab2", steps=(8, 16)).flatten()
print(f"frame 0 ends as it was given: {same}; ab2's error, 8 steps / 16 steps: {eight / sixteen:.1f}")
assert same and eight / sixteen > 3.8, "untouched, and order 2 for the others"

# %% [markdown]
# The frame has no last step, hence no $g$ and no slope: it takes Euler's step, of length 0. So it stays as it is to the
# last bit, and the others keep their order 2.
#
# ## Aside: two riddles
#
# **Why does Heun begin badly with shifted levels?** Its second call belongs to the end of the step. Where that end is
# clean, no noise is left to look at, and the call is left out: the last step is Euler's. Shifted levels make that step
# the longest. To see whether this is the reason, we let midpoint make that one step, and Heun all others:


# %% tags=["nbval-check-output"]
def heun_then_midpoint(denoiser, x, tau, tau_next):
    last = not tau_next.any()
    return (midpoint if last else heun)(denoiser, x, tau, tau_next)


mended = errors(kinds[shifted], heun_then_midpoint, steps=[10]).item()
print(f"shifted by 5, ten steps: the last one goes from {kinds[shifted](10)[-2, 0]:.2f} to 0")
print(f"error: heun {at_20['heun'][1]:.4f}, with midpoint's last step {mended:.4f}, euler {at_20['euler'][1]:.4f}")
assert mended < at_20["euler"][1] / 5, "the last step was the reason"

# %% [markdown]
# With that one step changed, Heun's error falls far below Euler's: the last step was the reason.
#
# **Why is midpoint's error divided by 8,** as if its order were 3? Let us see on which schedules it is:

# %% tags=["hide-input", "nbval-check-output"]
lucky = {kind: table[:, 3] for kind, table in waited.items()}
lucky["pyramid, unrelated frames"] = errors(kinds[pyramid], "midpoint", steps=STEPS[:4], model=unrelated)[:, 0]
for kind, error in lucky.items():
    by = error[2] / error[3]
    print(f"midpoint, error of 16 steps / of 32 steps, {kind:26}{by:4.1f}")
    assert by < 5 if kind == "pyramid" else by > 7, "8, but not in a pyramid of related frames"

# %% [markdown]
# What midpoint misses per step is in general proportional to $h^3$. On a Gaussian this term is a multiple of the third
# derivative of $(1-\tau)^2c+\tau^2$, the variance of a noised clip (with $c$ that of clean ones). That is quadratic in
# $\tau$, so the term is 0 and the next order is left. But this needs all frames that move to be at *one* noise level. In
# a pyramid related frames move at different levels, and midpoint is back at its order 2.
#
# ## Does a trained model care?
#
# So let us ask one. `nano-vta` (8 frames of 16 x 16 pixels, small enough for a CPU) is given the first frame of
# unseen clips and makes the other seven, with every solver from the same noise. The reference is the same path with 40
# steps of midpoint for each frame; how close does each solver end to it? We count in decibels (PSNR): 6 dB more mean
# half the error.
#
# In four contests all frames move together: with 4 calls and with 20, without guidance and with **guidance 3**, where each
# call asks for two velocities, with the caption and without. (Heun leaves out one call.) In the fifth they take turns,
# and only solvers with one call per row take part: with two, and half as many rows, the turns would be longer, and
# that is another path with another end.
#
# **Predict.** On the exact model midpoint was far ahead with 20 calls. Is it here, too? And does guidance (Wan's default
# is 5) change who leads?

# %%
nano = small_models.load("nano-vta", device=device)
scenes = world.draw_scenes(CLIPS, evaluate.EVAL_SEED, world.NANO)
truth, words = pixels.to_uint8(world.render(scenes)), world.captions(scenes)


def clips(solver, schedule, guidance=1.0):
    """What the solver makes along the schedule, pixels in -1 .. 1; guidance 1 is none."""
    make = ways.maker(nano, schedule=schedule, guidance=guidance, solver=solver)
    return pixels.to_pixels(make(words, truth, SEED))


def decibels(one, other):
    """PSNR of the free frames, clip by clip."""
    return psnr(one, other)[:, 1:].mean(dim=1)


# %% tags=["hide-input"]
four, four_guided, twenty, twenty_guided, turns = contests = (
    "4 calls",
    "4 calls, guided",
    "20 calls",
    "20 calls, guided",
    "20 calls, in turns",
)
straight, stairs = schedules.synchronous(40, 8), schedules.stretch(by_turns(10, 8), 4)  # 40 steps of each frame
references, made, close = {}, {}, {}
for paths, fine, guidance in (
    ([four, twenty], straight, 1.0),
    ([four_guided, twenty_guided], straight, 3.0),
    ([turns], stairs, 1.0),
):
    reference = clips("midpoint", fine, guidance)
    agree = decibels(clips("ab2", fine, guidance), reference).mean()
    print(f"reference of {' and '.join(paths):36} midpoint and ab2 agree to {agree:.0f} dB")
    references |= dict.fromkeys(paths, reference)
for title, n, guidance in ((four, 4, 1.0), (four_guided, 4, 3.0), (twenty, 20, 1.0), (twenty_guided, 20, 3.0)):
    for name, each in PER_ROW.items():
        made[title, name] = clips(name, schedules.synchronous(n // each, 8), guidance)
for name, solver in {"euler": "euler", "ab2": "ab2", "one memory": OneMemory()}.items():
    made[turns, name] = clips(solver, by_turns(10, 8))
close = {(title, name): decibels(video, references[title]) for (title, name), video in made.items()}


def gap(title, one, other="euler"):
    """How much closer one ends than another (dB), clip by clip; fifteen comparisons share 5 %."""
    return bootstrap(close[title, one] - close[title, other], rounds=10_000, level=1 - 0.05 / 15)


print(f"\n{'':20}", *(f"{name:>10}" for name in COLOUR), "  ab2 over euler, in pairs")
for title in contests:
    row = [f"{close[title, name].mean():10.1f}" if (title, name) in close else f"{'':10}" for name in COLOUR]
    print(f"{title:20}", *row, f"  {signed(gap(title, 'ab2'), digits=1)}")

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 5, figsize=(10, 3.8), layout="constrained", sharey=True, width_ratios=(4, 4, 4, 4, 3))
for title, name in close:
    mean, low, high = gap(title, name) if name != "euler" else (0, 0, 0)
    look = {"color": COLOUR[name], "fmt": MARKER[name], "ms": 8, "capsize": 4}
    axes[contests.index(title)].errorbar(name, mean, [[mean - low], [high - mean]], **look)
for ax, title in zip(axes, contests, strict=True):
    ax.axhline(0, color="0.6", lw=1)
    ax.set_title(title)
    ax.margins(x=0.12)
    ax.tick_params(axis="x", rotation=60)
axes[0].set_ylabel("closer to the end of the path\nthan Euler (dB)")
plt.show()
path_end, real = references[four], pixels.to_pixels(truth)
worst = close[four, "euler"].argmin().item()
strip = {"true clip": real, "end of the path": path_end}
strip |= {"euler, 20 calls": made[twenty, "euler"], "euler, 4 calls": made[four, "euler"]}
fig, ax = plt.subplots(figsize=(10, 4.4), layout="constrained")
viz.filmstrip({name: pixels.to_uint8(each[worst : worst + 1])[0] for name, each in strip.items()}, ax=ax)
ax.set_title(words[worst])
plt.show()
path_off, euler_off = decibels(path_end, real), decibels(made[twenty, "euler"], real)
print(f"to the true clip: the end of the path {path_off.mean():.1f} dB, euler with 20 calls {euler_off.mean():.1f} dB")
print(f"difference in pairs: {signed(bootstrap(euler_off - path_off))} dB")

# %% tags=["hide-input"]
heun_calls = [calls(schedules.synchronous(n // 2, 4), "heun") for n in (4, 20)]
assert heun_calls == [3, 19], "as the text says"
for title in (four, twenty):
    assert FAST or min(gap(title, "midpoint").low, gap(title, "ab2").low) > 0, "both are clearly closer than Euler"
assert FAST or max(gap(four_guided, name).high for name in ("heun", "midpoint", "ab2")) < 0, "guided, Euler leads"
assert FAST or gap(twenty_guided, "ab2").low > 0, "and no longer with 20 calls"
assert FAST or gap(turns, "one memory").low < 0 < gap(turns, "one memory").high, "one memory gains nothing clear"
assert FAST or min(gap(turns, "ab2").low, gap(turns, "ab2", "one memory").low) > 1, "a memory per frame gains"
assert close[four, "euler"][worst] > path_off[worst], (
    "in the strip, both are further from the truth than from each other"
)
assert close[twenty, "euler"].mean() > path_off.mean() + 5, "Euler is nearer to the path's end than that to the truth"

# %% [markdown]
# <details><summary>Answer</summary>
#
# Without guidance midpoint is not alone at the top: `ab2` is with it. With 20 calls both end at 49 dB, and since the
# reference is good to about 54 dB, we give them no order. You would hardly see the gain: Euler has 44 dB, and the
# reference itself only about 24 dB to the true clip.
#
# Guidance does change who leads. With four calls Euler is clearly ahead of all others, of `ab2` by 3.5 dB; without
# guidance `ab2` was ahead by 2.8 dB. With twenty, `ab2` is clearly ahead of Euler again.
#
# </details>
#
# The first lines printed say how far two solvers agree on a reference: to 51 dB or better. The bars are 95 %
# intervals of the differences, clip by clip, widened for fifteen comparisons; where one contains 0, not even the sign is
# known. In turns, a memory per frame is clearly ahead of Euler, and one memory for the video gains nothing that could be
# told from 0. So the exact model was right about the memory.
#
# The strip shows, without guidance, the clip on which Euler's four calls miss the end of the path most. In frame 6 the
# square is beside the circle in the second row, and with twenty calls too; with four they overlap. Yet all three rows
# are much further from the true clip. That is partly the model's error, and partly that the truth is one future of
# several (chapter 8); a better solver removes neither.
#
# The last lines printed hold a trap: by its distance to the true clip Euler scores clearly *higher* than the very path
# that it fails to follow. Chapter 8 tells how a score can prefer the worse. That is why we measured the distance to the
# end of the path.
#
# ## So where should twenty calls go?
#
# - **Twenty, or four without guidance: into one call per row, with a memory.** `ab2` ends clearly closer than Euler.
# - **Four with guidance: into Euler.** The larger `mini` agrees: with five calls and guidance 3, Euler's videos score
#   25.0 dB, UniPC's 21.5 and `ab2`'s 19.7 ([table](../small_models/results/paper/steps.md)). With four, Euler is also
#   nearer to the exact solution, 0.116 off against `ab2`'s 0.268; without guidance it is further, 0.060 against 0.044
#   ([findings](../docs/findings.md#a-solvers-order-is-not-its-score)). With 20 calls the scores are within 0.1 dB.
# - **Always: one memory for each frame.** Where frames wait between their steps, one memory for the whole video loses the
#   gain of having any. Frames that wait before they move do little harm.
# - **Do not expect to see the difference with twenty calls;** with four you may, as in the strip.
#
# Both models are small: measure your own, with your guidance.

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
# level. Here frame 0 has made 0, 1, 1, 1, 1, 2, ... steps by rows 0, 1, 2, ... and frame 3 has made 0, 0, 0, 0, 1, 1, ...
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
    for error, label, (style, size, colour) in zip(
        errors(my_turns, *memories.values()).T, memories, STYLE, strict=True
    ):
        ax.loglog(STEPS, error, style, ms=size, color=colour, label=label)
    ax.set(title="one frame at a time", xlabel="steps of each frame", ylabel="error at the end")
    ax.set(xticks=STEPS, xticklabels=STEPS)
    ax.minorticks_off()
    ax.legend()
    plt.show()

# %% [markdown]
# **3 · Invent.** Write a solver that the chapter does not have: a function `(denoiser, x, tau, tau_next) -> (x_next,
# v)`. `x` has shape `(b, c, f, h, w)`, `tau` and `tau_next` have shape `(b, f)`, and `denoiser(x, tau)` returns a
# velocity like `x`. Return the moved `x` and the velocity used. On the pyramid above with 8 steps, its error must be at
# most a third of Euler's, its order must be at least 2 (twice the steps, about a quarter of the error), and a frame
# whose timestep does not change must stay as it is. It must not be Heun or midpoint. Call the model as often as you
# like; the picture puts your solver beside the chapter's at equal calls.
#
# <details><summary>Hint</summary>
#
# The line of `ab2` goes through the velocity here and an older one. Draw yours through the velocity here and one that
# you fetch *ahead*, at a place of your choice, and integrate it over the step as before. `(tau_next - tau)[:, None, :,
# None, None]` gives each frame its own step.
#
# </details>

# %% tags=["exercise"]
my_solver = None


# %% tags=["check"]
def far(solver, steps=8):
    return errors(kinds[pyramid], solver, steps=[steps]).item()


first, second = kinds[pyramid](8)[:2, None].expand(-1, 8, -1)  # only frame 0 moves between these rows


def pair(solver):
    return solver(gauss, start, first, second)


def asked(solver):  # every x and tau at which it calls the model
    places = []

    def spy(x, tau):
        places.append((x, tau))
        return gauss(x, tau)

    solver(spy, start, first, second)
    return places


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
        "the second look is at the place where x was: move x before it": lambda s: all(
            torch.equal(tau, first) or not torch.equal(x, start) for x, tau in asked(s)
        ),
        "this is Heun or midpoint, which the chapter has: look somewhere else, or more often": lambda s: (
            not any(torch.allclose(pair(s)[0], pair(known)[0]) for known in (heun, midpoint))
        ),
        "better than Euler, but its error is more than a third of Euler's": lambda s: far(s) <= far(euler) / 3,
        "with twice the steps its error falls by 2 or less: that is order 1, and 2 is asked for": lambda s: (
            far(s) / far(s, 16) > 2.8 or far(s) < far(euler) / 500  # too small for its fall to be seen
        ),
    },
)
if my_solver is not None:
    fig, ax = plt.subplots(figsize=(9, 3.2), layout="constrained")
    shown = {**{name: name for name in PER_ROW}, "yours": my_solver}
    for error, (label, solver) in zip(errors(kinds[pyramid], *shown.values()).T, shown.items(), strict=True):
        price = [calls(kinds[pyramid](n), solver) for n in STEPS]
        look = {
            "color": COLOUR.get(label, "#CC79A7"),
            "marker": MARKER.get(label, "*"),
            "lw": 3 if label == "yours" else 1,
        }
        ax.loglog(price, error, label=label, **look)
    ax.set(title="pyramid: the steeper, the higher the order", xlabel="calls of the model", ylabel="error at the end")
    ax.set(xticks=(8, 16, 32, 64, 128, 256), xticklabels=(8, 16, 32, 64, 128, 256))
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
# | `midpoint` | 2 | 2; on a Gaussian 3, if all that move are at one level |
# | `ab2`, one memory per frame | 1 | 2 |
# | `ab2`, one memory for the video | 1 | 1 where frames wait between steps |
#
# *What could go wrong:* one memory for all frames, some of which wait between steps; comparing solvers at equal steps
# instead of equal calls, by PSNR to the truth alone, or without the guidance you sample with; trusting the order in a
# name.
#
# *Where the code lives:* `pusa_lab/solvers/multistep.py` (`solvers.AdamsBashforth` is `ab2`; `solvers.DPMSolver`),
# `pusa_lab/memory.py` (what they remember of each frame), `pusa_lab/solvers/onestep.py` (`solvers.heun`,
# `solvers.midpoint`).
#
# *References:* DPM-Solver++, arXiv 2211.01095; UniPC, arXiv 2302.04867; Heun for diffusion, arXiv 2206.00364; Pusa,
# arXiv 2507.16116.
