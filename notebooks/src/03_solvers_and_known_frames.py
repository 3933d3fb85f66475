# %% [markdown]
# # 3 · Solvers, and frames that wait
#
# ***Every call of a large video model takes seconds, and you can afford twenty of them. Where should they go, when every
# frame has a timestep of its own, and some frames wait while others move?***
#
# *You need: chapters 1 and 2. Time: 25 minutes of reading, a minute of CPU.*
#
# A **solver** says how the frames get from one row of a schedule to the next, and how often it asks the model on the
# way. Most solvers were made for one timestep. With one per frame, a solver may remember a row in which a frame stood
# still. First we measure what this does on chapter 1's exact model; then we see whether it matters to a trained one.
#
# **After this chapter you can**
#
# - compare solvers at equal calls, and measure their order yourself;
# - derive the weights of a multistep solver for uneven steps, and say why each frame needs a memory of its own;
# - say where twenty calls should go, also when some frames wait, or never move.

# %% tags=["setup"]
# build.py puts the installing cell here.

# %% tags=["parameters"]
SEED = 0
STEPS = (4, 8, 16, 32, 64)
CLIPS = 16
FAST = False

# %%
from functools import cache

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
# - `euler`: $x'=x+h\,v(x,\tau)$.
# - `heun`: first $\tilde x=x+h\,v(x,\tau)$ as Euler, then $x'=x+\tfrac h2\,[v(x,\tau)+v(\tilde x,\tau')]$.
# - `midpoint`: half of Euler's step, $\tilde x=x+\tfrac h2\,v(x,\tau)$, and then
#   $x'=x+h\,v(\tilde x,\tau+\tfrac h2)$.
# - `ab2` (Adams and Bashforth): a straight line through the velocity here, $v_n$, and that of the row before, $v_{n-1}$,
#   a step $g$ ago: $x'=x+h\left[v_n+\tfrac{h}{2g}(v_n-v_{n-1})\right]$.
#
# (Two more solvers with a memory, DPM-Solver++ and UniPC, draw their line through guesses of the clean frame, and
# measure steps by $\log\frac{1-\tau}{\tau}$. They are in `pusa_lab/solvers/multistep.py`.)
#
# How wrong is Euler's? By Taylor's formula the frame should move by $h\,v+\tfrac{h^2}{2}\,v'+\dots$, so it misses about
# $\tfrac{h^2}{2} v'$ in every step. There are about $1/|h|$ steps, so at the end it is off by something proportional to
# $h$. In general, a solver that misses $h^{n+1}$ per step is off by $h^n$ at the end, and we say it has **order** $n$.
# Halve the step size, and its error shrinks by a factor of $2^n$: by theory 2 for Euler, and 4 for the three others.
#
# Our exact model has four frames, each similar to its neighbours, with values that scatter by about 1. The true end of
# a schedule's path is what very many small steps give: the same rows, each cut into eight.


# %%
times = torch.arange(4, dtype=torch.float64)
cov = torch.exp(-((times[:, None] - times) ** 2) / 4) + 0.1 * torch.eye(4, dtype=torch.float64)
gauss = GaussianDenoiser(torch.linspace(-1, 1, 4, dtype=torch.float64), cov)
start = torch.randn(8, 1, 4, 2, 2, dtype=torch.float64)


def end(schedule, solver, model=gauss):
    return samplers.sample(model, start, schedule, solver, whole=False)


@cache
def true_end(make, n, model=gauss):
    return end(schedules.stretch(make(n), 8), "midpoint", model)


def errors(make, solver, model=gauss, steps=STEPS):
    """Root mean squared error at the end of the path, for every number of steps."""
    off = torch.stack([end(make(n), solver, model) - true_end(make, n, model) for n in steps])
    return off.square().mean(dim=(1, 2, 3, 4, 5)).sqrt()


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
PER_ROW = {"euler": 1, "heun": 2, "midpoint": 2, "ab2": 1}  # calls of the model
COLOUR = {"euler": "#000000", "heun": "#0072B2", "midpoint": "#D55E00", "ab2": "#009E73"}
MARKER = {"euler": "o", "heun": "s", "midpoint": "D", "ab2": "^"}


def calls(name, rows):
    left_out = 1 if name == "heun" else 0  # Heun's last step has no second call
    return PER_ROW[name] * rows - left_out


off = {(kind, name): errors(make, name) for kind, make in kinds.items() for name in PER_ROW}
fig, axes = plt.subplots(1, 3, figsize=(10, 4.2), layout="constrained", sharey=True)
for ax, (kind, make) in zip(axes, kinds.items(), strict=True):
    ax.axvline(20, color="0.8", lw=6)
    for name in PER_ROW:
        asked = [calls(name, len(make(n)) - 1) for n in STEPS]
        ax.loglog(asked, off[kind, name], color=COLOUR[name], marker=MARKER[name], label=name)
    ax.set(title=kind, xlabel="calls of the model", xticks=(4, 8, 16, 32, 64, 128), xticklabels=(4, 8, 16, 32, 64, 128))
    ax.minorticks_off()
axes[0].set_ylabel("error at the end")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
plt.show()

# %% tags=["nbval-check-output"]
together, pyramid, shifted = kinds
even_20 = {}  # errors with 20 calls
shifted_20 = {}
print(f"error with at most 20 calls:{together:>27}{shifted:>28}")
for name, each in PER_ROW.items():
    even_20[name] = errors(kinds[together], name, steps=[20 // each]).item()
    shifted_20[name] = errors(kinds[shifted], name, steps=[20 // each]).item()
    print(f"{name:10}({calls(name, 20 // each)} calls){even_20[name]:33.4f}{shifted_20[name]:28.4f}")
assert even_20["heun"] < even_20["euler"] / 5, "even levels: Heun wins"
assert shifted_20["heun"] > shifted_20["euler"], "shifted levels: Heun loses"
assert even_20["ab2"] < even_20["heun"] and shifted_20["ab2"] < shifted_20["euler"] / 2, "a memory pays in both"
for kind in (together, pyramid):
    assert 1.6 < ratios(off[kind, "euler"])[-1] < 2.4, "Euler: half the step, half the error"
    assert 3.4 < ratios(off[kind, "heun"])[-1] < 4.6, "Heun: half the step, a quarter of the error"
    assert FAST or ratios(off[kind, "ab2"])[-1] > 3.4, "and so does ab2, at half the price"

# %% [markdown]
# <details><summary>Answer</summary>
#
# With even levels Heun is closer by far, even with a call less: a second look in one long step buys more than two short
# steps. With shifted levels it is behind Euler at 20 calls, and ahead from about 32 on.
#
# </details>
#
# Look at the lines (the grey bars mark 20 calls). With even levels every doubling of the calls divides Euler's error by
# 2, and Heun's by 4. `ab2`, which remembers its last answer, falls about as steeply as Heun at half its price. Why
# does Heun begin so badly on the right, and why does midpoint run so far below all others? The aside further down answers both.
# First comes the memory, since frames that wait between their steps spoil it.
#
# ## A memory for every frame
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
# Now to video: what is a frame's "last step" if frames move in different rows? Let even and odd frames take turns. In
# every row half of them wait, yet the model returns a velocity for them too. Solvers made for a single timestep keep
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


def by_turns(steps, frames=4):
    sigmas, rows = schedules.linear(steps), torch.arange(2 * steps + 1)
    return torch.stack([sigmas[(rows + (i + 1) % 2) // 2] for i in range(frames)], dim=1)


print(by_turns(2))

# %% tags=["hide-input"]
nb.diagram(
    "03_one_memory_per_frame",
    "Two frames take turns; a shared memory mixes steps that a frame made with steps at which it waited, while one "
    "memory per frame keeps only the steps that the frame itself made.",
)

# %% [markdown]
# Our solvers do it as in the green box: for every frame they remember how its velocity changed in *the last row in
# which it moved*, and how far it moved there. In step 2, that change takes the place of $v_n-v_{n-1}$, and that
# distance the place of $g$.
#
# **Predict.** With one memory for the whole video, which order remains?

# %% tags=["hide-input"]
solvers = {"euler": "euler", "ab2, one memory for the video": OneMemory(), "ab2, one memory per frame": "ab2"}
fig, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained", sharey=True)
SHOWN = (("o-", "#000000"), ("D:", "#E69F00"), ("^-", "#0072B2"))  # style and colour of each
turns = {}
for ax, (title, make) in zip(axes, {together: kinds[together], "taking turns": by_turns}.items(), strict=True):
    for (label, solver), (style, colour) in zip(solvers.items(), SHOWN, strict=True):
        turns[title, label] = errors(make, solver)
        ax.loglog(STEPS, turns[title, label], style, ms=10 if style == "D:" else 5, color=colour, label=label)
    ax.set(title=title, xlabel="steps of each frame", xticks=STEPS, xticklabels=STEPS)
    ax.minorticks_off()
axes[0].set_ylabel("error at the end")
axes[0].legend()
plt.show()

# %%
in_pyramid = {label: errors(kinds["pyramid, even levels"], solver) for label, solver in solvers.items()}
for label in solvers:
    print(f"in a pyramid, {label:30}", " ".join(f"{r:5.2f}" for r in ratios(in_pyramid[label])))
for label in solvers:
    print(f"taking turns, {label:30}", " ".join(f"{r:5.2f}" for r in ratios(turns["taking turns", label])))
one_memory, own_memory = "ab2, one memory for the video", "ab2, one memory per frame"
plain, shared, own = (
    turns["taking turns", "euler"],
    turns["taking turns", one_memory],
    turns["taking turns", own_memory],
)
assert torch.allclose(turns[together, one_memory], turns[together, own_memory], rtol=1e-3), "all together: the same"
assert (ratios(own) > 3.8).all(), "one memory per frame: order 2, though every frame waits in every other row"
waiting_first = in_pyramid[one_memory]
assert (ratios(waiting_first) > 3.8).all() and (waiting_first < in_pyramid["euler"] / 4).all(), "still order 2"
assert (ratios(shared) < 2.2).all() and (shared > 0.75 * plain).all(), "one memory for all: order 1, hardly below Euler"

# %% [markdown]
# <details><summary>Answer</summary>
#
# Order 1: on the right, the diamonds run close to Euler's line, and their factors are below 2. A frame that has just
# waited finds in the memory the velocity of its waiting row, when it stood at the *same* place. The two differ only by
# what the other frames did meanwhile, which says nothing about its own path. So $\tfrac32v-\tfrac12v$ is about $v$: the
# gain is gone, without an error message. With a memory per frame the factors go to 4, waiting or not.
#
# It matters *when* a frame waits. In a pyramid it waits before it moves: only its first step finds a wrong velocity in
# the memory, and order 2 survives (the first lines printed). Between steps, every one of them does.
#
# </details>
#
# ## A frame that never moves
#
# In image-to-video the first frame is *known*: its timestep is 0 in every row, so it waits all the way. What does a
# solver do with it?


# %%
def first_is_known(n):
    levels = schedules.synchronous(n, 4).clone()
    levels[:, 0] = 0
    return levels


same = torch.equal(end(first_is_known(8), "ab2")[:, :, 0], start[:, :, 0])
print("frame 0 ends as it was given:", same)
print("ab2's factors:", " ".join(f"{r:.2f}" for r in ratios(errors(first_is_known, "ab2"))))
assert same and (ratios(errors(first_is_known, "ab2")) > 3.8).all(), "untouched, and order 2 for the others"

# %% [markdown]
# The frame has no last step, hence no $g$ and no slope: it takes Euler's step, of length 0. So it stays as it is to the
# last bit, and the others keep their order 2. (Some noise on a known frame, to let the subject move, is another matter: papers mean five different
# things by it, which `docs/findings.md` compares.)
#
# ## Aside: two riddles of the first figure
#
# **Heun behind Euler at few calls.** Heun's second call belongs to the end of the step. Where that end is clean, no noise is left to
# look at, and the call is left out: the last step is Euler's. Shifted levels make that step the longest. To see
# whether this is the reason, let midpoint make that one step, and Heun all others:


# %%
def heun_then_midpoint(denoiser, x, tau, tau_next):
    last = not tau_next.any()
    return (midpoint if last else heun)(denoiser, x, tau, tau_next)


mended = errors(kinds[shifted], heun_then_midpoint, steps=[10]).item()
print(f"shifted by 5: the last step starts at {kinds[shifted](10)[-2, 0]:.2f}")
print(f"error, heun {shifted_20['heun']:.4f}, with midpoint's last step {mended:.4f}")
assert mended < shifted_20["euler"] / 5, "the last step was the reason"

# %% [markdown]
# With that one step changed, Heun's error falls far below Euler's, so the last step was the reason.
#
# **Midpoint ahead of its order.** Its order is 2, so its error should fall by a factor of 4:

# %%
unrelated = GaussianDenoiser(gauss.mean, gauss.cov.diag().diag())
lucky = {
    "synchronous": ratios(off[together, "midpoint"]),
    "pyramid": ratios(off[pyramid, "midpoint"]),
    "pyramid, unrelated frames": ratios(errors(kinds[pyramid], "midpoint", unrelated)),
}
for name, found in lucky.items():
    print(f"midpoint, {name:26}", " ".join(f"{r:5.2f}" for r in found[:3]))
assert (lucky["synchronous"][:3] > 7).all(), "synchronous: about 8, as if its order were 3"
assert (lucky["pyramid"][:3] < 5).all(), "pyramid: 4, its true order"
assert (lucky["pyramid, unrelated frames"][:3] > 7).all(), "8 again, if every frame is alone"

# %% [markdown]
# When all frames move together, it falls by 8, as if the order were 3. That is luck. A Gaussian clip splits into
# independent directions; along each, the distance $y$ from the mean follows
#
# $$y'=\frac{q'}{2q}\,y,\qquad q(\tau)=(1-\tau)^2c+\tau^2,$$
#
# where $c$ is the variance of clean clips in that direction, and $q$ that of noised ones. Midpoint's first miss, the
# term in $h^3$, happens to contain only $q'''$, and $q$ is quadratic, so it is 0. In a pyramid, related frames have
# different noise levels, such a direction has no single $\tau$, and the factor is 4. With unrelated frames each is a
# direction by itself, and it is 8 again. Frames of videos are related, so with a timestep per frame expect order 2.
#
# ## Does a trained model care?
#
# The exact model is a Gaussian. So we ask a trained one: `nano-vta` (8 frames of 16 x 16 pixels, small enough for a
# CPU) is given the first frame of unseen clips and makes the other seven, with every solver from the same noise. No
# solver gets more calls than another, except that Heun, which has no second call in its last step, gets one less. There
# are three contests: all frames together with 6 calls, together with 20, and in turns with 20. How close does each
# solver come to the end of its path? For that end we take what midpoint makes in 80 rows, and see how much 40 would
# change it. We count in decibels (PSNR): 6 dB more mean half the error.
#
# **Predict.** On the exact model, errors at 20 calls lay far apart. Will the same show here, and would you see it?


# %%
nano = small_models.load("nano-vta", device=device)
scenes = world.draw_scenes(CLIPS, evaluate.EVAL_SEED, world.NANO)
truth, words = pixels.to_uint8(world.render(scenes)), world.captions(scenes)
real = pixels.to_pixels(truth)


@cache
def video(solver, rows, turn=False, fine=1):
    """Videos of all clips, pixels in -1 .. 1; `fine` cuts every row of the schedule into so many."""
    schedule = by_turns(rows // 2, 8) if turn else schedules.synchronous(rows, 8)
    make = ways.maker(nano, schedule=schedules.stretch(schedule, fine), guidance=1.0, solver=solver)
    return pixels.to_pixels(make(words, truth, SEED))


def decibels(one, other):
    """PSNR of the free frames, clip by clip."""
    return psnr(one, other)[:, 1:].mean(dim=1)


end_together = video("midpoint", 20, fine=4)
end_in_turns = video("midpoint", 20, turn=True, fine=4)
half_together = decibels(video("midpoint", 20, fine=2), end_together).mean()
half_in_turns = decibels(video("midpoint", 20, turn=True, fine=2), end_in_turns).mean()
print(f"40 rows end as 80 do, to {half_together:.0f} dB together and {half_in_turns:.0f} dB in turns")
assert min(half_together, half_in_turns) > 52, "80 rows are fine enough"

# %%
few = {name: decibels(video(name, 6 // each), end_together) for name, each in PER_ROW.items()}
most = {name: decibels(video(name, 20 // each), end_together) for name, each in PER_ROW.items()}
by_turn = {name: decibels(video(solver, 20, turn=True), end_in_turns) for name, solver in solvers.items()}
contests = {"together, 6 calls": few, "together, 20 calls": most, "in turns, 20 calls": by_turn}
for title, close in contests.items():
    print(f"{title:18}", ", ".join(f"{name} {each.mean():.1f}" for name, each in close.items()))

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 3, figsize=(10, 3.8), layout="constrained", sharey=True, width_ratios=(4, 4, 3))
SHORT = {one_memory: "one memory", own_memory: "ab2"}
for ax, (title, close) in zip(axes, contests.items(), strict=True):
    for name, each in close.items():
        label = SHORT.get(name, name)
        mean, low, high = bootstrap(each - close["euler"]) if name != "euler" else (0, 0, 0)
        colour, marker = COLOUR.get(label, "#E69F00"), MARKER.get(label, "D")
        bars = [[mean - low], [high - mean]]
        ax.errorbar(label, mean, bars, color=colour, fmt=marker, ms=8, capsize=4)
    ax.axhline(0, color="0.6", lw=1)
    ax.set_title(title)
    ax.margins(x=0.12)
    ax.tick_params(axis="x", rotation=35)
axes[0].set_ylabel("closer to the end of the path\nthan Euler (dB)")
plt.show()
worst = few["euler"].argmin().item()
strip = {"true clip": real, "end of the path": end_together}
strip |= {f"euler, {n} calls": video("euler", n) for n in (20, 6)}
fig, ax = plt.subplots(figsize=(10, 4.4), layout="constrained")
viz.filmstrip({name: pixels.to_uint8(each[worst : worst + 1])[0] for name, each in strip.items()}, ax=ax)
ax.set_title(words[worst])
plt.show()

# %%
path_off, euler_off = decibels(end_together, real), decibels(video("euler", 20), real)
mean, low, high = bootstrap(euler_off - path_off)
print(f"to the true clip: the end of the path {path_off.mean():.1f} dB, euler with 20 calls {euler_off.mean():.1f} dB")
print(f"difference in pairs: {mean:+.2f} dB ({low:+.2f} to {high:+.2f})")
gain = bootstrap(by_turn[own_memory] - by_turn[one_memory])
assert FAST or gain.low > 2, "a memory per frame is clearly closer than one for all"
assert FAST or min(few["midpoint"].mean(), few["ab2"].mean()) > few["euler"].mean() + 2
assert FAST or few["heun"].mean() < few["euler"].mean() < most["euler"].mean()
assert few["euler"][worst] > path_off[worst], "in the strip, both are further from the truth than from each other"
assert most["euler"].mean() > path_off.mean() + 5, "Euler is far nearer to the path's end than that end to the truth"

# %% [markdown]
# <details><summary>Answer</summary>
#
# The differences are there. (Bars are 95 % intervals of the differences in pairs, clip by clip; where one contains 0,
# not even the sign is known.) With 6 calls Heun is clearly further from the end of the path than Euler; midpoint and
# `ab2` are clearly closer, `ab2` by some 4 dB. With 20 calls the interval of Heun contains 0, and midpoint, far ahead
# of all on the exact model, is about level with `ab2`. In turns, one memory for the video gains nothing that could be
# told from 0, and a memory per frame almost 4 dB.
#
# To the eye they are small. With 20 calls Euler ends at 44 dB from the end of the path, and that end is itself only
# about 24 dB from the true clip.
#
# </details>
#
# The strip shows the clip on which Euler's six calls miss the end of the path most. In frame 5 the square is beside the
# circle in the second row, and with twenty calls too; with six it is still below. Yet all three rows are much further
# from the true clip. That distance is partly the model's error, and partly that the truth is one future of several
# (chapter 8); a better solver removes neither.
#
# Do not choose a solver by closeness to the true clip, the last lines printed: there Euler scores clearly higher than the
# very path that it fails to follow. Chapter 8 tells how a score can prefer the worse.
#
# ## So where should twenty calls go?
#
# - **Into one call per row with a memory, or into midpoint.** In the table of the exact model and in all three contests
#   `ab2` is ahead of Euler, and of Heun in the table and in the two contests that Heun entered. Midpoint is ahead of
#   `ab2` on the exact model, in the pyramid even without luck (the first figure); on the trained one it is behind with
#   6 calls, by the mean, and about level with 20. In turns neither it nor Heun was tried on the trained model.
# - **With one memory for each frame.** Where frames wait between their steps, one memory for the whole video loses the
#   gain of having any. Frames that wait before they move, or never move, do little harm.
# - **With twenty calls, do not expect to see the difference; with six you may.** We looked at one small model only.
#
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
        ax.loglog(STEPS, errors(my_turns, solver), style, color=colour, label=label)
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
# like.
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
@cache
def far(solver):
    return errors(kinds[pyramid], solver, steps=[8]).item()


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
# | `ab2`, one memory per frame | 1 | 2 |
# | `ab2`, one memory for the video | 1 | 1 where frames wait between steps |
#
# *What could go wrong:* one memory for all frames, some of which wait between steps; a wrong distance $g$ for uneven rows;
# comparing solvers at equal steps instead of equal calls, or by PSNR to the truth alone; trusting the order in a
# name.
#
# *Where the code lives:* `pusa_lab/solvers/multistep.py` (`solvers.AdamsBashforth` is `ab2`; `solvers.DPMSolver`),
# `pusa_lab/memory.py` (what they remember of each frame), `pusa_lab/solvers/onestep.py` (`solvers.heun`,
# `solvers.midpoint`).
#
# *References:* DPM-Solver++, arXiv 2211.01095; UniPC, arXiv 2302.04867; Heun for diffusion, arXiv 2206.00364; Pusa,
# arXiv 2507.16116.
