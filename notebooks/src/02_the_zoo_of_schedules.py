# %% [markdown]
# # 2 · The zoo of schedules
#
# ***All frames at once, one after the other, from both ends towards the middle: in which order should the frames of a
# video be denoised, what does each order cost, and how would you make one up yourself?***
#
# *You need: chapter 1. Time: 30 minutes of reading, about ten seconds of CPU.*
#
# The order decides what a video costs, and whether you can watch its first second while the last is still noise. Papers
# give their orders impressive names: diffusion forcing, rolling diffusion, autoregressive diffusion. As matrices they
# turn out to be close relatives.
#
# **After this chapter you can**
#
# - read the picture of a schedule, and say how many calls of the model it costs;
# - spot three mistakes of published code at a glance, and know where they were made;
# - design a schedule in five lines, check that it is right, and make a video with it.

# %% tags=["setup"]
# build.py puts the installing cell here.

# %% tags=["parameters"]
SEED = 0
STEPS = 40
VIDEO_STEPS = 10
SAMPLES = 4000
FAST = False

# %%
import inspect

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
STEPS, VIDEO_STEPS, SAMPLES = (20, 2, 1000) if FAST else (STEPS, VIDEO_STEPS, SAMPLES)

# %% [markdown]
# ## How to read a schedule
#
# A schedule is a matrix `S` of noise levels, with a row for each moment of sampling and a column for each frame.

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
# With the sigmas $g_0=1>g_1>\dots>g_n=0$ and the delay $d_i$ of frame $i$,
#
# $$S_{r,i}=g_{\,\mathrm{clip}(r-d_i,\; 0,\; n)} .$$
#
# The clipping does the waiting: before row $d_i$ the index is 0, which is noise, and after row $d_i+n$ it is $n$,
# which is clean. In code that is a single line.


# %%
def my_delayed(g, delays):
    rows = torch.arange(len(g) + max(delays))[:, None]
    return g[(rows - torch.tensor(delays)).clamp(0, len(g) - 1)]


g = torch.linspace(1, 0, 7)
nb.check(my_delayed(g, [0, 1, 2, 3]), schedules.pyramid(6, 4))
nb.check(my_delayed(g, [0, 1, 1, 0]), schedules.trapezoid(6, 4))

# %% [markdown]
# ## All of them
#
# Here are the schedules of the library for eight frames of six steps each. The eight small pictures share one scale of
# rows (`autoregressive` is too tall for it): the longer a picture, the more calls of the model it costs.
#
# **Predict.** In which of them does no frame ever wait? How many rows will `autoregressive` need?

# %%
every = {name: make(6, 8) for name, make in SCHEDULES.items()}
zoo = {name: S for name, S in every.items() if not isinstance(S, schedules.Rising)}  # the others come below
tall = max(len(S) for name, S in zoo.items() if name != "autoregressive")
fig, places = plt.subplot_mosaic("0123a;4567a", figsize=(10, 6.4), layout="constrained")
short = dict(zip([name for name in zoo if name != "autoregressive"], "01234567", strict=True))
for name, place in {**short, "autoregressive": "a"}.items():
    picture = places[place].imshow(zoo[name], vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    places[place].set(title=name, xticks=range(8), ylim=(max(tall, len(zoo[name])) - 0.5, -0.5))
for place in "04":
    places[place].set_ylabel("row")
fig.supxlabel("frame", fontsize=10)
fig.colorbar(picture, ax=list(places.values()), label="tau: 1 is noise, 0 is clean", shrink=0.6, aspect=40)
plt.show()

longest = max(zoo, key=lambda name: len(zoo[name]))
assert longest == "autoregressive", "one frame after the other takes frames x steps rows"
assert all(schedules.faults(S) == [] for S in zoo.values()), "every one of them is a schedule"
assert (zoo["hold"][:, 0] == 0).all(), "the frame that hold keeps is clean in every row"
assert all((S[0] == 1).all() for name, S in zoo.items() if name != "hold"), "all others start as noise"

# %% [markdown]
# <details><summary>Answer</summary>
#
# In `synchronous` and `hold` no frame waits. `autoregressive` needs a row for each of frames times steps, and one for
# the start: its eight flights of stairs do not overlap.
#
# </details>
#
# Three families are easy to tell apart.
#
# *Together.* `synchronous` is ordinary video diffusion. `hold` is the same, except that frame 0 is known: its column is
# dark from the first row to the last.
#
# *From left to right.* Five schedules finish the past before the future:
#
# - `pyramid`, of Diffusion Forcing, is the general one: you choose the lag between neighbours.
# - `autoregressive` is a pyramid whose lag is the whole number of steps.
# - `rolling`, of Rolling Diffusion, has a lag of a quarter of the steps, so that about four frames are in progress at a
#   time. Here that is 1.5 rows, so every other frame ends with half a step: the small dark blue cells.
# - `blockwise`, as in SkyReels-V2, gives three neighbours the same delay.
# - `staircase` is for a model that sees five frames at a time: a chunk of five, then three more beside two finished
#   ones.
#
# *From the ends.* `trapezoid` and `two_sided` close in on the middle. In `trapezoid` the ends are made first.
# `two_sided` is meant for ends that are *known* (a task then sets those two columns to 0), so nobody waits for them.
#
# Every one comes with its formula and its source. For example:

# %% tags=["nbval-check-output"]
words = inspect.getdoc(schedules.pyramid)
print(words.split("Args:")[0] + words[words.index("Source:") :])
assert torch.equal(schedules.pyramid(6, 8, lag=6), zoo["autoregressive"]), "the lag that makes frames take turns"

# %% [markdown]
# ## What does it cost?
#
# The model is called once for each row in which something moves. Frame $i$ moves from row $d_i$ to row $d_i+n$, so if
# the delays leave no gaps, the last move is that of the last frame to start, and
#
# $$\text{calls}=n+\max_i d_i .$$
#
# For a pyramid with a lag of $\ell$ rows between neighbours, the last of $f$ frames starts after $(f-1)\,\ell$ rows.
#
# What a call costs depends on the attention of the model.
#
# - *In both directions*, as in Wan and `mini`: every frame looks at every other, finished ones included, for these are
#   what it has to fit. So all frames are computed in every call, and the price is the number of **calls**.
# - *Causal*, as in models for streaming: a frame looks only at earlier ones. What a final frame has computed never
#   changes again and is kept in a *cache*, and no earlier frame looks at those that still wait. Only the frames that
#   **move** have to be computed, and each moves in $n$ rows, whatever its delay, if that is a whole number! The *causal
#   work* is the number of frames that move, added over all calls and divided by the same for `synchronous`.
#
# **Predict.** How many calls does the pyramid with a lag of 2 rows need for eight frames of six steps?

# %% tags=["nbval-check-output"]
zoo["pyramid, lag 2"] = schedules.pyramid(6, 8, lag=2)
for name in ("synchronous", "blockwise", "staircase", "pyramid", "rolling", "pyramid, lag 2", "autoregressive"):
    cost = schedules.describe(zoo[name])
    causal = sum(cost.active) / (6 * 8)
    print(f"{name:15} {cost.calls:2} calls, at most {max(cost.active)} frames moving, causal work {causal:.2f}")
    assert causal == 1 or name == "rolling", "with whole delays a frame moves as often as it has steps"

lag_2 = schedules.describe(zoo["pyramid, lag 2"])
assert sum(schedules.describe(zoo["rolling"]).active) == 6 * 8 + 4, "each of the four late frames moves once more"
assert lag_2.calls == 6 + 7 * 2, "the steps of one frame, and two more rows for each later frame"

# %% [markdown]
# <details><summary>Answer</summary>
#
# Twenty: six for the steps of one frame, and two more for each of the seven frames behind it.
#
# </details>
#
# (`rolling` has more causal work: four of its frames make one step in two halves.)
#
# The more the frames take turns, the more calls there are, until in the end a single frame moves in each: eight times
# the price for Wan, nothing extra for a causal model. So why would anybody pay for turns? Because the first frames are
# final after $n$ calls, long before the last ones have begun, and a causal model can go on for ever.
#
# ## Sigmas: through which levels?
#
# The delays say *when* a frame is denoised, its sigmas *through which levels*. The tool is the **shift**, for which Wan
# uses 3 to 12. Look at the ratio of noise to signal at level $g$, which is $g / (1-g)$, and multiply it by a number
# $s$:
#
# $$\frac{g'}{1-g'}=s\,\frac{g}{1-g} .$$
#
# Solving this for $g'$ is exercise 1. Two things can be seen without solving it. The ends stay where they are, for
# ratios of 0 and infinity do not change. And shifting twice, by $s$ and by $t$, is a single shift by $s\,t$.
#
# Why would one shift? In a large picture many pixels show the same thing. Their noise averages out, so at the same
# level you recognise more than in a small one, and what matters is decided at higher noise (arXiv 2403.03206). Take $N$
# pixels that are all alike, of variance 1, and add them up, divided by $\sqrt N$: of $N$ equal signals that makes
# variance $N$, and of $N$ independent noises variance 1. So the noise is $\sqrt N$ times weaker beside its signal than
# in one pixel, and a shift by $s=\sqrt N$ would make up for it. We measure how wrong ten steps of a perfect model make
# the variance of this sum.
#
# **Predict.** Which shift is best for a single pixel? And for a thousand that are alike?


# %%
def spread_error(pixels, shift):
    one = GaussianDenoiser(torch.zeros(1), torch.full((1, 1), float(pixels)))
    end = samplers.sample(one, torch.ones(1, 1, 1, 1, 1), schedules.synchronous(10, 1, shift=shift), "heun")
    return abs(end.item() ** 2 / pixels - 1)


shifts = torch.logspace(-0.6, 1.8, 25).tolist()  # from 1/4 to 63
colours = ("#0072B2", "#E69F00", "#009E73", "#D55E00")
fig, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
for shift, colour in zip((1.0, 3.0, 5.0, 12.0), colours, strict=True):
    after = schedules.shift_levels(schedules.linear(20), shift)
    axes[0].plot(schedules.linear(20), after, "-o", ms=3, color=colour, label=f"{shift:g}")
errors = {pixels: [spread_error(pixels, shift) for shift in shifts] for pixels in (1, 10, 100, 1000)}
for (pixels, found), colour, marker in zip(errors.items(), colours, "os^D", strict=True):
    least = found.index(min(found))
    axes[1].loglog(shifts, found, f"-{marker}", color=colour, label=f"{pixels} alike", markevery=[least])
ticks = [0.3, 1, 3, 12, 50]
axes[0].set(xlabel="level before", ylabel="level after", title="shifts")
axes[1].set(xlabel="shift", ylabel="relative error of the variance", title="ten steps of Heun; marks: the best shift")
axes[1].set(xticks=ticks, xticklabels=ticks)
axes[1].minorticks_off()
for ax in axes:
    ax.legend(fontsize=9)
plt.show()

levels = schedules.linear(20)
twice = schedules.shift_levels(schedules.shift_levels(levels, 3.0), 4.0)
assert torch.allclose(twice, schedules.shift_levels(levels, 12.0)), "shifts multiply"
best = [min(zip(found, shifts, strict=True))[1] for found in errors.values()]
assert best == sorted(best), "the more pixels are alike, the larger the best shift"
assert shifts[0] < best[0] < 1 and 15 < best[-1] < shifts[-1], "from below 1 to about 20"

# %% [markdown]
# <details><summary>Answer</summary>
#
# For a single pixel one *below* 1, about 2/3. For a thousand one of about 20. A hundred times as many pixels want about
# ten times the shift, which is $\sqrt{100}$. In between lie the 3 to 12 of Wan.
#
# </details>
#
# On the left, the larger the shift, the closer the dots stand at the top, and the longer the last steps.
#
# ## Are they right?
#
# Chapter 1 proved that a perfect model turns noise into the right clips along *every* path, if the steps are short.
# That gives us a test with a known answer: as there, unit vectors tell us exactly which covariance a schedule reaches.
# And we can ask what its cost buys.
#
# **Predict.** You can afford 45 calls for nine frames. Which gets closer to the data: `synchronous` with 45 steps, or
# `autoregressive` with five steps for each frame? And at equal *causal* work?

# %%
lags = (torch.arange(9)[:, None] - torch.arange(9)).abs()
cov = 0.8**lags
model = GaussianDenoiser(torch.zeros(9), cov)


def worst_error(S):
    M = samplers.sample(model, torch.eye(9).view(9, 1, 9, 1, 1), S, "heun").view(9, 9)
    return (M.T @ M - cov).abs().max().item()


counts = [3, 5, 10, 20]
fig, axes = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True, layout="constrained")
styles = {
    "synchronous": ("-o", "#0072B2"),
    "blockwise": (":s", "#E69F00"),
    "pyramid": ("--^", "#009E73"),
    "staircase": ("-.v", "#D55E00"),
    "rolling": (":P", "#CC79A7"),
    "autoregressive": ("-D", "black"),
}
for name, (line, colour) in styles.items():
    tried = [SCHEDULES[name](n, 9) for n in ([*counts, 45] if name == "synchronous" else counts)]
    costs, errors = [schedules.describe(S) for S in tried], [worst_error(S) for S in tried]
    axes[0].loglog([cost.calls for cost in costs], errors, line, color=colour, label=name)
    axes[1].loglog([sum(cost.active) / 9 for cost in costs], errors, line, color=colour, label=name)
for ax, label in zip(axes, ("calls", "causal work, in calls of synchronous"), strict=True):
    ticks = [5, 10, 25, 50, 100, 200][: 6 if label == "calls" else 4]
    ax.set(xlabel=label, xticks=ticks, xticklabels=ticks)
    ax.minorticks_off()
axes[0].axvline(45, color="gray", lw=1, ls=":")
axes[0].set_ylabel("largest error of the covariance")
axes[1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

tested = [name for name in every if name not in ("hold", "repaint", "restart")]
assert all(worst_error(SCHEDULES[name](STEPS, 9)) < 0.01 for name in tested), "with short steps every schedule is right"
dear, cheap, causal = schedules.autoregressive(5, 9), schedules.synchronous(45, 9), schedules.synchronous(5, 9)
assert schedules.describe(dear).calls == schedules.describe(cheap).calls == 45
assert worst_error(dear) > 100 * worst_error(cheap), "at equal calls, taking turns is the worse bargain"
assert worst_error(dear) < 1.5 * worst_error(causal), "at equal causal work it makes little difference"

# %% [markdown]
# <details><summary>Answer</summary>
#
# At equal calls `synchronous`, by far: along the dotted line its error is less than a hundredth of the other's. The 45
# calls of `autoregressive` are five long steps for each frame, those of `synchronous` 45 short ones for all frames at
# once. At equal causal work the two are nearly the same.
#
# </details>
#
# All curves go on falling with more steps, so all schedules are right in the end. On the left, with attention in both
# directions, they lie far apart: taking turns costs a multiple. (The pyramid is steeper, for its waiting costs eight
# calls however many steps there are.) On the right they lie together: with a causal model turns are free, and buy a
# perfect model nothing. (Our perfect model looks both ways, so strictly this holds only where all later frames are pure
# noise and tell it nothing, as in `autoregressive`.)
#
# So for a perfect model the order does not matter. A *trained* model may hardly ever have seen some timestep vectors,
# and an error in an early frame is passed on. Here is what was measured for long videos of `mini-vta`, made in windows
# with ten steps for each frame. PSNR says how close a video comes to the true one.

# %% tags=["nbval-check-output"]
rows = experiments.read_results(experiments.RESULTS / "schedules.json")["rows"]
for row in rows:
    name, price = row["key"]["schedule"], row["key"]["rows a window"]
    over = "" if row is rows[0] else f", over synchronous {signed(lead(row, rows[0]))}"
    print(f"{name:15} {price:2} calls a window, PSNR {row['scores']['psnr'][0]:.1f} dB{over}")
    assert row is rows[0] or lead(row, rows[0]).low < 0, "none is clearly better than all frames at once"

# %% [markdown]
# The six lie within half a decibel, although the price differs up to nine times. Compared prompt by prompt (in
# brackets: 95 % intervals), `autoregressive` and `rolling` are even a little worse than `synchronous`, and none is
# clearly better. That answers the question at the top for this model: all frames at once, unless somebody waits for the
# beginning.
#
# As a rule of thumb: begin with `synchronous`. Take `pyramid` or `blockwise` if the beginning should be ready early,
# and `hold` or `two_sided` if some frames are given.
#
# ## Going back up
#
# Two members of the zoo are missing from the figures: `repaint` makes most of its steps several times, so that frames
# come to agree with each other, and `restart` jumps from low noise back to high noise, which washes out the errors of
# earlier steps. Where a level rises, the sampler adds just as much fresh noise as belongs to the new level. That takes
# no call.
#
# **Predict.** `repaint` goes down six steps. After the third and again after the fifth it jumps back by two
# (`jump_length=2`), until it has gone down these two steps three times in all (`jump_n_sample=3`). How many calls?

# %% tags=["nbval-check-output"]
rising = {"repaint": schedules.repaint(6, 8, jump_length=2, jump_n_sample=3), "restart": schedules.restart(6, 8)}
fig, axes = plt.subplots(1, 2, figsize=(9.5, 3), sharey=True, layout="constrained")
for ax, (name, S) in zip(axes, rising.items(), strict=True):
    ax.plot(S.levels[:, 0], "-o", markersize=4)
    ax.set(title=name, xlabel="row", xticks=range(0, len(S.levels), 3))
axes[0].set_ylabel("tau of every frame")
plt.show()

assert schedules.describe(rising["repaint"]).calls == 6 + 2 * 2 * 2, "six steps, and four times two steps again"
clips = samplers.sample(model, torch.randn(SAMPLES, 1, 9, 1, 1), schedules.repaint(STEPS, 9), "heun").view(SAMPLES, 9)
assert (torch.cov(clips.T) - cov).abs().max() < 5 * (2 / SAMPLES) ** 0.5, "the way back up keeps the distribution"
try:
    schedules.validate(rising["repaint"].levels)
except ValueError as error:
    print(str(error).split(";")[0])
else:
    raise AssertionError("a matrix that rises must be refused: mostly it is a mistake")

# %% [markdown]
# <details><summary>Answer</summary>
#
# Fourteen. It makes its six steps, and at each of the two places it makes two steps again, twice: 6 + 2 · 2 · 2.
#
# </details>
#
# Every rise in these saws is noise put back. (All frames share one level here, so one line shows everything.) A plain
# matrix that rises is refused as a likely mistake. If you mean it, wrap it: `schedules.Rising(S)`.
#
# ## Three mistakes you will meet
#
# All three were made in published code, run without an error, and are plain to see in the picture.


# %%
def trapezoid_with_minus_t(steps, frames):
    S = torch.zeros(steps + frames // 2, frames)
    for t in range((frames + 1) // 2):
        for column in (t, -t):  # -0 is 0: the last column is one late
            S[:, column] = (1 - (torch.arange(len(S)) - t) / steps).clamp(0, 1)
    return S


five_times_five = schedules.shift_levels(schedules.synchronous(6, 8, shift=5.0), 5.0)
wrong = {
    "index -t": trapezoid_with_minus_t(6, 8),
    "last two frames dropped": schedules.blockwise(6, 6, block=3),  # 8 frames in blocks of 3, the rest forgotten
    "shifted twice": five_times_five,
}
right = [schedules.trapezoid(6, 8), schedules.blockwise(6, 8, block=3), schedules.synchronous(6, 8, shift=5.0)]
fig, axes = plt.subplots(2, 3, figsize=(10, 6), layout="constrained")
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
# frame late, and one column in the middle was never written: noise would be shown as a finished frame. (This is the
# trapezoid of [Diffusion Forcing](https://github.com/buoyancy99/diffusion-forcing), and of many projects that copied
# it.)
#
# *Middle:* eight frames do not divide into blocks of three, and the last two are gone. (The pipelines of SkyReels-V2,
# [diffusers #13609](https://github.com/huggingface/diffusers/issues/13609).)
#
# *Right:* the shift was applied twice. 5 and 5 make 25: the frames stay bright until the very end, and the last step
# has to come down nearly all the way. (The flow-matching scheduler of diffusers shifted the ends of its levels once and
# then all levels again, [#13243](https://github.com/huggingface/diffusers/issues/13243).)
#
# `schedules.faults` lists what makes a matrix invalid, and `schedules.remarks` what is allowed but rarely meant. Do
# they find the three? And what if you give levels by hand, and ask to shift them?

# %% tags=["nbval-check-output"]
for name, S in wrong.items():
    print(f"{name}: faults {schedules.faults(S)}, remarks {schedules.remarks(S)}")
try:
    schedules.pyramid(3, 4, sigmas=[1.0, 0.9, 0.35, 0.0], shift=5.0)
except ValueError as error:
    print(error)
else:
    raise AssertionError("explicit sigmas and a shift together must be refused")

# %% [markdown]
# They find the first. The other two are valid schedules; only you know that they were not meant. So count the columns,
# and look at the last step. Levels given by hand are never shifted again.
#
# ## Composing schedules
#
# Schedules are matrices, so they can be put together:

# %%
scene = schedules.pyramid(6, 4)
parts = {
    "two scenes in turn": schedules.concatenate_frames([scene, schedules.synchronous(6, 4)], wait="turn"),
    "every column for two frames": schedules.repeat_columns(scene, 2),
    "every step in three": schedules.stretch(scene, 3),
    "one shift of a window": schedules.rolling_window(8, window=4),
}
fig, axes = plt.subplots(1, 4, figsize=(10, 4), layout="constrained")
for ax, (name, S) in zip(axes, parts.items(), strict=True):
    viz.plot_schedule(S, ax, title=name, colorbar=False)
plt.show()

window = parts["one shift of a window"]
assert torch.equal(parts["every step in three"][::3], scene), "the old rows are kept exactly"
assert torch.equal(window[-1, 1:], window[0, :-1]), "after a shift every frame is where its neighbour was"

# %% [markdown]
# From left to right: a second scene that waits for the first, latents in pairs, the same path in shorter steps, and a
# video without an end. In its last row frame 0 is clean, and each other frame is where its left neighbour was in row 0.
# So take frame 0 out, append noise on the right, and start again at row 0.
#
# ## Invent your own
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


print(schedules.describe(sunrise(6, 9)))
assert worst_error(sunrise(STEPS, 9)) < 0.01, "a perfect model makes the right clips along it"

# %% [markdown]
# It costs four calls more than `synchronous` and passes the test of the perfect model. (The last line counts a third
# price: frames are computed until they are final, waiting ones included.) A function of `(steps, frames, shift)` can
# stand wherever a schedule's name can. The strip shows the model's guess `x - tau v` of the clean video, and the curves
# how far a frame's guess is from its end.
#
# **Predict.** `sunrise` starts its middle first. Is frame 4 ready after fewer calls than in `synchronous`?

# %%
mini = small_models.load("mini-vta", device=device)
words = "a big red square bounces down and right"
options = {"steps": VIDEO_STEPS, "guidance": 3.0, "seed": SEED}
runs = {make.__name__: pl.prepare(mini, words, schedule=make, **options) for make in (sunrise, schedules.synchronous)}
states = {name: list(run.states()) for name, run in runs.items()}
final = {name: run.finish(states[name][-1]) for name, run in runs.items()}

grown = states["sunrise"]
rows = torch.linspace(1, len(grown) - 1, 3 if FAST else 5).round().int().tolist()
ax = viz.filmstrip({f"to row {r}": pictures(grown[r].x0, mini.decode) for r in rows})
ax.set(xlabel="frame", title="sunrise: the guess that leads to these rows")
fig, ax = plt.subplots(figsize=(10, 3), layout="constrained")
for (name, walked), style in zip(states.items(), ("-o", "--s"), strict=True):
    off = torch.stack([(state.x0 - walked[-1].x).square().mean(dim=(0, 1, 3, 4)).sqrt() for state in walked[1:]])
    for frame, colour in ((4, "#0072B2"), (0, "#D55E00")):
        ax.plot(range(1, len(walked)), off[:, frame], style, ms=4, color=colour, label=f"{name}, frame {frame}")
ax.set(xlabel="calls", ylabel="guess - end result (rms)")
ax.legend(fontsize=9)
plt.show()
nb.play({name: result.video[0] for name, result in final.items()}, fps=mini.geometry.fps, width=192)

# %% [markdown]
# <details><summary>Answer</summary>
#
# No: each frame makes the same number of steps, and in both schedules frame 4 begins at once. It is early only beside
# the ends of its own video, which wait for it.
#
# </details>
#
# (The first row is the guess from noise alone, a blur that the decoder paints in false colours.) In the second the
# middle frames are red and nearly square, while those of both ends still have patches of orange and white. The solid
# curves say the same: frame 4 settles well before frame 0. The two videos have the same words, noise and number of
# steps for each frame, and they differ. Which order is *better* cannot be judged from one pair; chapter 7 measures.

# %% [markdown]
# ## Exercises
#
# **1 · Fill in.** Solve the equation of the shift for $g'$ and write it as a function. It gets a tensor of levels
# between 0 and 1, and the number $s$; it returns the shifted levels, in the same shape.
#
# <details><summary>Hint</summary>
#
# Multiply by the denominators, and bring everything with $g'$ to one side. At $g=1$ the result must be 1.
#
# </details>


# %% tags=["exercise"]
def my_shift(levels, shift): ...


# %% tags=["check"]
some = torch.linspace(0, 1, 21)[:-1]
nb.check(
    my_shift,
    schedules.shift_levels,
    *(some, 4.0),
    axes="(levels,)",
    mistakes={
        "your levels never reach 1: look at the numerator.": some / (1 + 3 * some),
        "you shift the other way, so that a frame spends more steps at low noise.": some / (4 - 3 * some),
        "you multiplied the level itself, so some levels exceed 1: it is the ratio that is multiplied.": 4 * some,
        "this is the ratio of noise to signal, not yet the level that has this ratio.": 4 * some / (1 - some),
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
# | name | picture | good for | from |
# |---|---|---|---|
# | `synchronous`, `hold` | bands, beside a dark column | the cheapest; known frames | every model; Pusa |
# | `pyramid`, `autoregressive` | a diagonal band, stairs | an early beginning; streaming | Diffusion Forcing |
# | `rolling` | a diagonal stripe | endless video | Rolling Diffusion |
# | `blockwise`, `staircase` | broad stairs | streaming; long video in chunks | SkyReels-V2 |
# | `trapezoid`, `two_sided` | a bright wedge in the middle | from both ends | Diffusion Forcing; this project |
# | `repaint`, `restart` | saws | agreement; washing out errors | RePaint; Restart sampling |
#
# *What could go wrong:* dropped frames; sigmas shifted twice; too few steps; turns that nobody needed.
#
# *Where the code lives:* `pusa_lab/schedules/matrices.py` (`schedules.delayed` and its relatives),
# `pusa_lab/schedules/sigmas.py` (`schedules.shift_levels`), `pusa_lab/schedules/compose.py`,
# `pusa_lab/schedules/checks.py` (`schedules.describe`, `schedules.faults`), and the property tests in
# `tests/test_zoo.py`.
#
# *References:* Pusa, arXiv 2507.16116; Diffusion Forcing, arXiv 2407.01392; Rolling Diffusion, arXiv 2402.09470;
# SkyReels-V2, arXiv 2504.13074; RePaint, arXiv 2201.09865; Restart sampling, arXiv 2306.14878.
