# %% [markdown]
# # 2 · The zoo of schedules
#
# ***All frames at once, one after the other, from both ends towards the middle: in which order should the frames of a
# video be denoised, what does each order cost, and how would you make one up yourself?***
#
# *You need: chapters 0 and 1. Time: 25 minutes of reading, about ten seconds of CPU.*
#
# The order decides what a video costs, and whether its first frames can be finished before anybody knows how long it
# will be. Papers give their orders impressive names: diffusion forcing, rolling diffusion, autoregressive diffusion. As
# matrices they turn out to be close relatives.
#
# **After this chapter you can**
#
# - read the picture of a schedule, and say how many calls of the model it costs;
# - recognise three mistakes that were made in published code;
# - design a schedule in three lines, check that it is right, and make a video with it.

# %% tags=["setup"]
# build.py puts the installing cell here.

# %% tags=["parameters"]
SEED = 0
STEPS = 40
VIDEO_STEPS = 10
FAST = False

# %%
import matplotlib.pyplot as plt
import torch

import pusa_lab as pl
import pusa_lab.notebook as nb
import small_models
from pusa_lab import samplers, schedules, viz
from pusa_lab.analytic import GaussianDenoiser
from pusa_lab.schedules import SCHEDULES
from pusa_lab.viz.animate import pictures
from small_models import experiments
from small_models.experiments.pairs import lead, signed

device = nb.setup(seed=SEED, shapes=True)
STEPS, VIDEO_STEPS = (20, 2) if FAST else (STEPS, VIDEO_STEPS)

# %% [markdown]
# ## How to read a schedule
#
# A schedule is a matrix `S` of noise levels, with a row for each moment of sampling and a column for each frame. A call
# of the model leads from a row to the next; in the last one the video is finished.

# %% tags=["hide-input"]
nb.diagram(
    "02_how_to_read_a_schedule",
    "A pyramid of six frames: each row is the timestep vector of one call, each column is one frame's way from noise to "
    "clean, and bright cells are noisy.",
)

# %% [markdown]
# Read it **by rows** and you see what the model is told: in row 4 frame 0 is clean, frames 1 to 3 are on their way, and
# the last two are still noise. Read it **by columns**: a frame waits at noise, comes down through a series of levels
# (its *sigmas*), and then rests, clean.
#
# Most schedules are nothing more than one such column, copied for every frame and moved down by a *delay*:

# %% tags=["hide-input"]
nb.diagram(
    "02_one_column_and_its_delays",
    "One column of five sigmas is copied for five frames and moved down; the delays 0 0 0 0 0, 0 1 2 3 4, 0 4 8 12 16 and "
    "0 1 2 1 0 make the synchronous, pyramid, autoregressive and trapezoid schedules.",
)

# %% [markdown]
# With the sigmas $g_0=1>g_1>\dots>g_n=0$ of $n$ steps, and the delay $d_i$ of frame $i$, row $r$ has
#
# $$S_{r,i}=g_{\,\mathrm{clip}(r-d_i,\; 0,\; n)} .$$
#
# The clipping does the waiting: before row $d_i$ the index is 0, which is noise, and after row $d_i+n$ it is $n$,
# which is clean. In code it is a `clamp` of the index. The library has all this as `schedules.delayed`, and makes
# most of its schedules with it:


# %%
def my_delayed(g, delays):
    rows = torch.arange(len(g) + max(delays))[:, None]
    return g[(rows - torch.tensor(delays)).clamp(0, len(g) - 1)]


g = torch.linspace(1, 0, 7)  # six even steps
nb.check(my_delayed(g, [0, 1, 2, 3]), schedules.pyramid(6, 4))
nb.check(my_delayed(g, [0, 1, 1, 0]), schedules.trapezoid(6, 4))

# %% [markdown]
# ## Six orders
#
# Here are six schedules for eight frames, each of which makes six steps. All pictures share one scale of rows: where
# one ends, its video is finished.
#
# **Predict.** In which of them does no frame ever wait? How many rows will `autoregressive` need?

# %%
names = ("synchronous", "hold", "pyramid", "blockwise", "trapezoid", "autoregressive")
zoo = {name: SCHEDULES[name](6, 8) for name in names}  # six steps, eight frames

# %% tags=["hide-input"]
tall = len(zoo["autoregressive"])
fig, axes = plt.subplots(1, 6, figsize=(10, 5.4), sharey=True, layout="constrained")
for ax, (name, S) in zip(axes, zoo.items(), strict=True):
    picture = ax.imshow(S, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    ax.set(title=name, xticks=range(0, 8, 2), ylim=(tall - 0.5, -0.5))
axes[0].set_ylabel("row")
fig.supxlabel("frame", fontsize=10)
fig.colorbar(picture, ax=axes, label="tau: 1 is noise, 0 is clean", shrink=0.6, aspect=40)
plt.show()

assert all(schedules.faults(S) == [] for S in zoo.values()), "every one of them is a schedule"
assert (zoo["hold"][:, 0] == 0).all(), "the frame that hold keeps is clean in every row"
assert all((S[0] == 1).all() for name, S in zoo.items() if name != "hold"), "all others start as noise"
assert torch.equal(zoo["autoregressive"], schedules.pyramid(6, 8, lag=6)), "a pyramid whose frames take turns"

# %% [markdown]
# <details><summary>Answer</summary>
#
# In `synchronous` and `hold` no frame waits for another. `autoregressive` needs a row for each of 8 times 6 steps, and one for the
# start, so it has 49: its eight flights of stairs do not overlap.
#
# </details>
#
# There are three ideas in them:
#
# - **Together.** `synchronous` is ordinary video diffusion. `hold` is the same, except that frame 0 is known: its
#   column is dark from the first row to the last.
# - **From left to right.** In a `pyramid`, of Diffusion Forcing, you choose the *lag*, the delay between neighbours
#   (here 1 row). With a lag of all 6 steps it becomes `autoregressive`: frames take turns. `blockwise`, as in
#   SkyReels-V2, gives three neighbours the same delay.
# - **From the ends.** In `trapezoid` the two ends are made first, and the middle has to fit them.
#
# The rest of the library's zoo is variations, for you to look up when you need one:

# %% tags=["hide-input"]
rest = {name: SCHEDULES[name](6, 8) for name in ("rolling", "staircase", "two_sided", "repaint", "restart")}
fig, axes = plt.subplots(1, 5, figsize=(10, 2.6), layout="constrained")
for ax, name in zip(axes, rest, strict=True):
    S = getattr(rest[name], "levels", rest[name])
    ax.imshow(S, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    ax.set(title=name, xticks=range(0, 8, 2), yticks=range(0, len(S), 4), xlabel="frame")
axes[0].set_ylabel("row")
plt.show()

# %% [markdown]
# (Each picture has a scale of rows of its own.)
#
# | schedule | how it differs | from |
# |---|---|---|
# | `rolling` | a pyramid whose lag is a quarter of the steps: about four frames in progress | Rolling Diffusion |
# | `staircase` | chunks of five frames, for a model that sees no more at a time | SkyReels-V2 |
# | `two_sided` | a trapezoid for *known* ends: nobody waits for them, and the task sets their columns | this project |
# | `repaint`, `restart` | goes back up now and then, with fresh noise | RePaint, Restart sampling |
#
# (`docs/schedules.md` shows how they are called, and how schedules are put together.)
#
# ## What does it cost?
#
# The model is called once for each row in which something moves. Frame $i$ moves from row $d_i$ to row $d_i+n$, so if
# the delays leave no gaps, the last move is that of the last frame to start, and
#
# $$\text{calls}=n+\max_i d_i .$$
#
# For a pyramid with a lag of $\ell$ rows, the last of $f$ frames starts after $(f-1)\,\ell$ rows. A call costs about
# the same whether one frame moves in it or all of them: in Wan every frame looks at every other, so all are computed.
#
# **Predict.** How many calls does the pyramid with a lag of 2 rows need for eight frames of six steps?

# %% tags=["nbval-check-output"]
zoo["pyramid, lag 2"] = schedules.pyramid(6, 8, lag=2)
for name in ("synchronous", "blockwise", "trapezoid", "pyramid", "pyramid, lag 2", "autoregressive"):
    S, cost = zoo[name], schedules.describe(zoo[name])
    first = 1 + int((S[1:, 0] > 0).sum())
    print(f"{name:15} {cost.calls:2} calls, frames moving at once: {max(cost.active)}, frame 0 is final after {first}")
    delays = (S == 1).sum(dim=0) - 1
    assert cost.calls == 6 + delays.max() and first == 6, "calls as in the formula; frame 0 never waits here"

# %% [markdown]
# <details><summary>Answer</summary>
#
# It needs twenty: six for the steps of one frame, and two more for each of the seven frames behind it.
#
# </details>
#
# The more the frames take turns, the more calls there are, up to eight times as many. What do they buy? Not an earlier
# beginning: frame 0 is final after six calls in every line, and in `synchronous` the whole video is final by then.
# Turns pay in two other cases:
#
# - **The length is open.** When frame 0 of `autoregressive` is final, nothing has been done yet for those behind it. So
#   you need not know how many will follow, or what their prompt will be (chapter 14).
# - **The model is causal**: a frame looks only at earlier ones. Such a model remembers frames that are final, and
#   computes only those that move. Then turns take hardly more computation, and frame 0 really comes early, because a
#   call for one frame is cheaper than a call for eight (`docs/streaming.md`).
#
# ## What does it buy?
#
# Chapter 1 proved that a perfect model turns noise into the right clips along *every* path, if the steps are short.
# That gives us a test with a known answer. As there, the clips are jointly normal, so sampling is linear: noise $z$, a
# row of nine numbers, becomes the clip $x=zM$, and the rows of $M$ are what becomes of the nine unit vectors. The
# covariance of $z$ is the identity, so that of $x$ is $M^TM$, and we see how far it is from the right one.
#
# **Predict.** You can afford 45 calls for nine frames. Which gets closer to the data: `synchronous` with 45 steps, or
# `autoregressive` with five steps for each frame?

# %%
lags = (torch.arange(9)[:, None] - torch.arange(9)).abs()
cov = 0.8**lags  # of nine frames of one pixel each: neighbours are alike
model = GaussianDenoiser(torch.zeros(9), cov)


def worst_error(S, solver="euler"):  # Euler's method makes one call per row
    M = samplers.sample(model, torch.eye(9).view(9, 1, 9, 1, 1), S, solver).view(9, 9)
    return (M.T @ M - cov).abs().max().item()


# %% tags=["hide-input"]
styles = {
    "synchronous": ("-o", "#0072B2"),
    "blockwise": (":s", "#E69F00"),
    "pyramid": ("--^", "#009E73"),
    "trapezoid": ("-.v", "#D55E00"),
    "autoregressive": ("-D", "black"),
}
tried = {name: [SCHEDULES[name](n, 9) for n in (3, 5, 10, 20)] for name in styles}
tried["synchronous"].append(schedules.synchronous(45, 9))
fig, ax = plt.subplots(figsize=(9, 3.8), layout="constrained")
for name, (line, colour) in styles.items():
    costs = [schedules.describe(S).calls for S in tried[name]]
    ax.loglog(costs, [worst_error(S) for S in tried[name]], line, color=colour, label=name)
ticks = [3, 5, 10, 20, 45, 90, 180]
ax.set(xlabel="calls", xticks=ticks, xticklabels=ticks, ylabel="largest error of the covariance")
ax.set(yticks=[0.05, 0.1, 0.2, 0.5], yticklabels=[0.05, 0.1, 0.2, 0.5])
ax.minorticks_off()
ax.axvline(45, color="gray", lw=1, ls=":")
ax.legend()
plt.show()

# %% tags=["hide-input"]
in_turn, together = schedules.autoregressive(5, 9), schedules.synchronous(45, 9)
assert schedules.describe(in_turn).calls == schedules.describe(together).calls == 45
print(f"45 calls: autoregressive {worst_error(in_turn):.2f}, synchronous {worst_error(together):.2f}")
assert worst_error(in_turn) > 6 * worst_error(together), "at equal calls, taking turns is the worse bargain"
same_steps = [worst_error(SCHEDULES[name](5, 9)) for name in styles]
print(f"five steps for each frame: all five from {min(same_steps):.2f} to {max(same_steps):.2f}")
assert max(same_steps) < 1.5 * min(same_steps), "with equal steps for each frame, the order makes little difference"
falling = [make(STEPS, 9) for name, make in SCHEDULES.items() if name not in ("hold", "repaint", "restart")]
most = max(worst_error(S, "heun") for S in falling)
print(f"{STEPS} of Heun's more exact steps for each frame: at most {most:.4f} in {len(falling)} schedules")
assert most < 0.01, "all that fall from noise are right in short steps"

# %% [markdown]
# <details><summary>Answer</summary>
#
# `synchronous` does: on the dotted line its error is less than a sixth of the other's. The 45 calls of
# `autoregressive` are five long steps for each frame, those of `synchronous` 45 short ones for all frames at once.
#
# </details>
#
# All curves fall. Their first points stand at about the same height, and so do their second ones, and so on: what
# decides is the number of steps of *each frame*. Turns only move the points to the right. And in short steps every
# order is right, as chapter 1 promised: the last line tries all schedules of the library that start from noise alone
# and only fall. (Heun's steps are more exact, but ask the model twice; chapter 3 compares them at equal calls.)
#
# So for a perfect model the order hardly matters *at equal steps for each frame*. A *trained* one may hardly ever have
# seen some timestep vectors, and may pass on the error of an early frame. What comes out then? The next table was
# measured on long videos of `mini-vta`, made nine frames (a *window*) at a time, of which three are known from the
# window before, with ten of Euler's steps for each of the others. PSNR, in decibels, says how close a video comes to the
# true one; higher is closer.

# %% tags=["nbval-check-output"]
rows = experiments.read_results(experiments.RESULTS / "schedules.json")["rows"]
for row in rows:
    name = row["key"]["schedule"]
    window = SCHEDULES[name](10, 9).clone()
    window[:, :3] = 0  # its first three frames are known, the last of the window before
    price = schedules.describe(window).calls
    over = "" if row is rows[0] else f", over synchronous {signed(lead(row, rows[0]))}"
    print(f"{name:15} {price:2} calls a window, PSNR {row['scores']['psnr'][0]:.1f} dB{over}")
    assert row is rows[0] or lead(row, rows[0]).low < 0, "none is clearly better than all frames at once"

# %% [markdown]
# The six lie within half a decibel, although the price differs up to six times. Compared prompt by prompt (in
# brackets: 95 % intervals), none is clearly better than `synchronous`, and `autoregressive` and `rolling` are even a
# little worse. (With five comparisons at once, intervals should be about a third wider, as chapter 8 explains. Then
# `autoregressive` is still worse, by a hair, and for `rolling` it can be chance.) By this score and for this one
# trained model, the answer to the question at the top is: all frames at once, and `hold` if some are given. Let them
# take turns, in a `pyramid` or `blockwise`, where the length is open or the model is causal.
#
# ## Through which levels?
#
# The delays say *when* a frame is denoised, its sigmas *through which levels*. So far the levels were evenly spaced. In
# large models they are *shifted* towards noise, in Wan by a **shift** of 3 to 12. Take the ratio of noise to signal at
# level $g$, which is $g / (1-g)$, and multiply it by the shift $s$:
#
# $$\frac{g'}{1-g'}=s\,\frac{g}{1-g} .$$
#
# Solving this for $g'$ is exercise 1. Two things can be seen without solving it. The ends stay where they are, for
# ratios of 0 and infinity do not change. And shifting twice, by $s$ and by $t$, is a single shift by $s\,t$.

# %% tags=["hide-input"]
even = schedules.linear(10)
plt.figure(figsize=(9, 3), layout="constrained")
colours = ("#0072B2", "#E69F00", "#009E73", "#D55E00")
for shift, marker, colour in zip((1, 3, 5, 12), "os^D", colours, strict=True):
    plt.plot(schedules.shift_levels(even, shift), f"-{marker}", ms=5, color=colour, label=f"shift {shift}")
plt.xlabel("row")
plt.ylabel("level")
plt.legend()
plt.show()

twice = schedules.shift_levels(schedules.shift_levels(even, 3.0), 4.0)
assert torch.allclose(twice, schedules.shift_levels(even, 12.0)), "shifts multiply"

# %% [markdown]
# The larger the shift, the longer a frame stays near noise, and the longer its last steps become. Why would one want
# that? In a large picture many pixels show the same thing. Together they give it away even through strong noise, so
# what matters is decided at higher levels than in a small picture, and the steps are better spent there
# (arXiv 2403.03206).
#
# ## Three mistakes you will meet
#
# All three run without an error.


# %%
def trapezoid_with_minus_t(steps, frames):
    S = torch.zeros(steps + frames // 2, frames)
    for t in range((frames + 1) // 2):
        for column in (t, -t):  # -0 is 0: the last column is one late
            S[:, column] = (1 - (torch.arange(len(S)) - t) / steps).clamp(0, 1)
    return S


shifted = schedules.synchronous(6, 8, shift=5.0)
wrong = {
    "index -t": trapezoid_with_minus_t(6, 8),
    "last two frames dropped": schedules.blockwise(6, 6, block=3),  # 8 frames in blocks of 3, the rest forgotten
    "shifted twice": schedules.shift_levels(shifted, 5.0),
}
right = [schedules.trapezoid(6, 8), schedules.blockwise(6, 8, block=3), shifted]

# %% tags=["hide-input"]
fig, axes = plt.subplots(2, 3, figsize=(9.5, 5.4), layout="constrained")
for column, (name, bad) in enumerate(wrong.items()):
    for ax, S, title in zip(axes[:, column], (bad, right[column]), (f"wrong: {name}", "right"), strict=True):
        ax.imshow(S, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        ax.set(xlabel="frame", ylabel="row", title=title)
plt.show()

bad = wrong["index -t"]
assert not torch.equal(bad[:, 0], bad[:, -1]), "its two ends are not denoised together"
assert (bad[0] == 0).any(), "and a middle frame counts as clean although it was never denoised"
assert torch.equal(right[0][:, 0], right[0][:, -1]), "the right one is symmetric"

# %% [markdown]
# *Left:* somebody wrote `-t` for "the same place, counted from the end". But `-0` is 0, so the whole right half is one
# row late, and one column in the middle was never written: noise would be shown as a finished frame. (This is the
# trapezoid of [Diffusion Forcing](https://github.com/buoyancy99/diffusion-forcing), and of projects that copied
# it.)
#
# *Middle:* eight frames do not divide into blocks of three, and the last two are gone. (The pipelines of SkyReels-V2,
# [diffusers #13609](https://github.com/huggingface/diffusers/issues/13609).)
#
# *Right:* the shift was applied twice. 5 and 5 make 25: the frames stay bright until the very end, and the last step
# has to come down nearly all the way. (The picture exaggerates: in the flow-matching scheduler of diffusers only the
# lowest level is shifted twice, [#13243](https://github.com/huggingface/diffusers/issues/13243).)
#
# `schedules.faults` lists what makes a matrix invalid, and `schedules.remarks` what is allowed but rarely meant. Do
# they find the three mistakes?

# %% tags=["nbval-check-output"]
for name, S in wrong.items():
    print(f"{name}: faults {schedules.faults(S)}, remarks {schedules.remarks(S)}")

# %% [markdown]
# The remarks find the first. The other two are valid schedules, and only you know that they were not meant. So count
# the columns, and look at the last step.
#
# ## Make up your own
#
# To design a schedule, answer three questions. *Which frames are known?* The task settles that: it sets their columns.
# *Who waits for whom?* Those are the delays. *Through which levels?* Those are the sigmas. Say you want a video that
# grows from its middle, so that the two ends are made to fit it. Then a frame waits in proportion to its distance from
# the middle:


# %% tags=["nbval-check-output"]
def sunrise(steps, frames, shift=1.0):
    middle = (frames - 1) / 2
    delays = [int(abs(i - middle)) for i in range(frames)]
    return schedules.delayed(steps, delays, shift)


plan = schedules.describe(sunrise(6, 9))
print(f"{plan.calls} calls, {min(plan.active)} to {max(plan.active)} frames moving at a time")
assert worst_error(sunrise(STEPS, 9), "heun") < 0.01, "a perfect model makes the right clips along it"

# %% [markdown]
# It costs four calls more than `synchronous` and passes the test of the perfect model. A function of `(steps, frames,
# shift)` can stand wherever a schedule's name can, so a trained model can follow it, too:
#
# **Predict.** `sunrise` starts its middle first. Is frame 4 ready after fewer calls than in `synchronous`?

# %%
mini = small_models.load("mini-vta", device=device)
words = "a big red square bounces down and right"
options = {"steps": VIDEO_STEPS, "guidance": 3.0, "seed": SEED}
makers = {"sunrise": sunrise, "synchronous": schedules.synchronous}
runs = {name: pl.prepare(mini, words, schedule=make, **options) for name, make in makers.items()}
states = {name: list(run.states()) for name, run in runs.items()}
final = {name: run.finish(states[name][-1]) for name, run in runs.items()}

# %% tags=["hide-input"]
grown = states["sunrise"]
rows = torch.linspace(1, len(grown) - 1, 3 if FAST else 5).round().int().tolist()
ax = viz.filmstrip({f"call {r}": pictures(grown[r].x0, mini.decode) for r in rows})
ax.set(xlabel="frame", title="sunrise: in each call the model guesses the clean video")
fig, ax = plt.subplots(figsize=(10, 3), layout="constrained")
for (name, walked), style in zip(states.items(), ("-o", "--s"), strict=True):
    off = torch.stack([(state.x0 - walked[-1].x).square().mean(dim=(0, 1, 3, 4)).sqrt() for state in walked[1:]])
    for frame, colour in ((4, "#0072B2"), (0, "#D55E00")):
        ax.plot(range(1, len(walked)), off[:, frame], style, ms=4, color=colour, label=f"{name}, frame {frame}")
ax.set(xlabel="calls", ylabel="guess - end result (rms)")
ax.legend(fontsize=9)
plt.show()

# %%
nb.play({name: result.video[0] for name, result in final.items()}, fps=mini.geometry.fps, width=192)

# %% [markdown]
# <details><summary>Answer</summary>
#
# No: each frame makes the same number of steps, and in both schedules frame 4 begins at once. It is early only in
# comparison with the ends of its own video, which wait for it. As above, turns make nothing earlier in a model that
# computes all frames in every call.
#
# </details>
#
# The strip shows the model's guess `x - tau v` of the clean video (chapter 0). Its first row is the guess from noise
# alone, a blur that the decoder paints in false colours. In the second the middle frames are red already, while those
# of both ends still have patches of orange and white. The two videos have the same words, noise and number of steps
# for each frame, and they differ, for instance in the ground, which the words leave open; a single pair does not say
# which order is better (chapter 7 measures that). The curves, which say how far a frame's guess is from its end
# result (in latents), show that the delays do what they were made for: in `sunrise` (solid) frame 4 settles well
# before frame 0.

# %% [markdown]
# ## Exercises
#
# **1 · Fill in.** Solve the equation of the shift for $g'$ and write it as a function. It gets a tensor of levels
# between 0 and 1, and the number $s$; it returns the shifted levels, in the same shape.
#
# <details><summary>Hint</summary>
#
# Multiply by the denominators, and bring everything with $g'$ to one side. At $g=1$ the ratio is infinite, but the
# result must be 1: your formula may not divide by $1-g$.
#
# </details>


# %% tags=["exercise"]
def my_shift(levels, shift): ...


# %% tags=["check"]
some = torch.linspace(0, 1, 21)
nb.check(
    my_shift,
    schedules.shift_levels,
    *(some, 4.0),
    axes="(levels,)",
    mistakes={
        "your levels never reach 1: look at the numerator.": some / (1 + 3 * some),
        "you shift the other way, so that a frame spends more steps at low noise.": some / (4 - 3 * some),
        "you multiplied the level itself, so some levels exceed 1: it is the ratio that is multiplied.": 4 * some,
        "at g = 1 your level stays below 1: one term got lost when you collected those with g'.": (
            4 * some / (1 + 4 * some)
        ),
        "at g = 1 your level is s: in the denominator, s has gone to the wrong term.": 4 * some / (4 - 3 * some),
        "a sign in your denominator is wrong, so it has a zero between 0 and 1.": 4 * some / (1 - 3 * some),
        "your low levels hardly move: look at the term of the denominator without g.": 4 * some / (4 + 3 * some),
        "at g = 1 your level stays below 1: check the signs of the terms with g'.": 4 * some / (1 + 5 * some),
    },
)
if my_shift(some, 4.0) is not None:
    plt.figure(figsize=(9, 2.5), layout="constrained")
    plt.plot(some, some, ":", label="shift 1")
    plt.plot(some, my_shift(some, 4.0), "-o", label="yours, shift 4")
    plt.xlabel("level before")
    plt.ylabel("level after")
    plt.legend()
    plt.show()

# %% [markdown]
# **2 · Vary.** Wan makes 21 latent frames, and you want twenty steps for each. You can afford 100 calls of the model.
# What is the largest *whole* lag of a pyramid that stays within them? Work it out from the formula before you try
# `schedules.describe`, and set `my_lag` to it.
#
# <details><summary>Hint</summary>
#
# How many gaps do 21 frames have? A pyramid with your lag is `schedules.pyramid(20, 21, lag=my_lag)`, and
# `schedules.describe(...).calls` counts its calls.
#
# </details>

# %% tags=["exercise"]
my_lag = None  # a whole number


# %% tags=["check"]
def calls(lag):
    return schedules.describe(schedules.pyramid(20, 21, lag=lag)).calls


nb.check_that(
    my_lag,
    {
        "a lag is a single number of rows, at least 0.": lambda lag: getattr(lag, "ndim", 0) == 0 and float(lag) >= 0,
        "a whole number is asked for.": lambda lag: lag == int(lag),
        "this pyramid needs more than 100 calls: did you leave any for the steps of a frame?": lambda lag: (
            calls(int(lag)) <= 100
        ),
        "it fits, but a larger lag would fit as well: did you count the gaps?": lambda lag: calls(int(lag) + 1) > 100,
    },
)
if my_lag is not None:
    viz.plot_schedule(schedules.pyramid(20, 21, lag=int(my_lag)), title="twenty steps, 21 frames")
    plt.show()

# %% [markdown]
# **3 · Invent.** *Keyframes first.* Animators draw a few keyframes, then the frames between them, then those between
# these. Make a schedule `(rows, 9)` that does so: four steps for every frame; frames 0, 4 and 8 start at once; frames 2
# and 6 start when those are clean; the odd frames start when these are clean. Nothing should wait longer than it must.
# If it is right, you will see the video that a trained model makes along it.
#
# <details><summary>Hint</summary>
#
# Only the delays are yours to choose: `schedules.delayed(steps, delays)` makes the matrix.
#
# </details>

# %% tags=["exercise"]
my_schedule = None  # a tensor (rows, 9)


# %% tags=["check"]
def starts(S):
    return [int((S[:, i] == 1).sum()) - 1 for i in range(9)]


nb.check_that(
    my_schedule,
    {
        "a schedule for nine frames is a tensor of floats (rows, 9); delays alone are not one yet.": lambda S: (
            isinstance(S, torch.Tensor) and S.ndim == 2 and S.shape[1] == 9 and S.is_floating_point()
        ),
        "this is not a valid schedule: `schedules.faults` says why.": lambda S: not schedules.faults(S),
        "every frame should start as noise: no frame is known here.": lambda S: (S[0] == 1).all(),
        "every frame should make four steps.": lambda S: ((S.diff(dim=0) < 0).sum(dim=0) == 4).all(),
        "frames 0, 4 and 8 should start at once.": lambda S: starts(S)[::4] == [0, 0, 0],
        "frames 2 and 6 should not move before frames 0, 4 and 8 are clean.": lambda S: min(starts(S)[2::4]) >= 4,
        "the odd frames should not move before frames 2 and 6 are clean.": lambda S: (
            min(starts(S)[1::2]) >= 4 + max(starts(S)[2::4])
        ),
        "some frames wait longer than they must: your last frame is clean too late.": lambda S: (
            schedules.describe(S).calls == 12 and len(S) == 13
        ),
    },
)
if my_schedule is not None:
    viz.plot_result(pl.generate(mini, words, schedule=my_schedule, guidance=3.0, seed=SEED), title="keyframes first")
    plt.show()

# %% [markdown]
# ## Recap
#
# | question | answer | picture |
# |---|---|---|
# | Which frames are known? | the task: `hold` | a dark column |
# | Who waits for whom? | the delays: `schedules.delayed` | bands, stairs, wedges |
# | Through which levels? | the sigmas, and their shift | how bright the last rows are |
# | How many calls? | steps + largest delay | the height |
# | Is it right? | `schedules.faults`, what the picture shows, and a perfect model | the number of columns, the last step |
#
# *What could go wrong:* dropped frames; sigmas shifted twice; comparing orders at equal steps, though their calls
# differ; turns that buy nothing.
#
# *Where the code lives:* `pusa_lab/schedules/matrices.py` (`schedules.delayed` and its relatives),
# `pusa_lab/schedules/sigmas.py` (`schedules.shift_levels`), `pusa_lab/schedules/checks.py` (`schedules.describe`,
# `schedules.faults`), and the property tests in `tests/test_zoo.py`.
#
# *References:* Pusa, arXiv 2507.16116; Diffusion Forcing, arXiv 2407.01392; Rolling Diffusion, arXiv 2402.09470;
# SkyReels-V2, arXiv 2504.13074; RePaint, arXiv 2201.09865; Restart sampling, arXiv 2306.14878.
