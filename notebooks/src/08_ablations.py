# %% [markdown]
# # 8 · Your own ablation
#
# **You changed one setting, and the number went up. Was it the setting?**
#
# *You need: chapters 3, 5 and 7. Time: 30 minutes of reading, about a minute of CPU.*
#
# It may have been the scene, the seed, or the score. An **ablation** changes one thing, holds everything else, and
# measures both sides on the same prompts with the same seeds. Running one takes ten lines; knowing what to believe
# afterwards is the harder part. You run two here, and each is out to mislead you: the first by chance, the second by
# its score. The third is your own.
#
# **After this chapter you can**
#
# - run an ablation of your own in ten lines, and judge it in pairs;
# - say what an undecided table still tells, and what it would take to decide it;
# - notice when a score rewards something other than what you want.

# %% tags=["setup"]
# build.py puts the installing cell here.

# %% tags=["parameters"]
SEED = 0
PROMPTS = 12
MORE = 48
MANY = 16
FAST = False

# %%
import tempfile

import matplotlib.pyplot as plt
import numpy as np
import torch

import pusa_lab.notebook as nb
from pusa_lab import compare, metrics, pixels, sweep, tasks, viz
from pusa_lab.sweeps import read_kept_clip
from small_models import world
from small_models.evaluation import evaluate

device = nb.setup(seed=SEED, shapes=True)
PROMPTS, MORE, MANY = (6, 8, 8) if FAST else (PROMPTS, MORE, MANY)
folder = tempfile.TemporaryDirectory()  # for the rows of the sweeps

# %% [markdown]
# ## Same prompts, same seeds
#
# Scenes differ far more than settings do. An easy scene may score ten decibels above a hard one with *every* setting,
# so two means tell little. The differences, prompt by prompt, tell a lot: what makes a scene easy cancels in them.

# %% tags=["hide-input"]
nb.diagram(
    "08_same_prompts_same_seeds",
    "Bars of the scores of two settings, A and B, on three prompts: far apart from prompt to prompt, and close "
    "together within each. The differences B - A, drawn larger, are all positive and alike.",
)

# %% [markdown]
# Let $d_p$ be the difference at prompt $p$ (the mean over its seeds), $\bar d$ their mean, and $s$ the standard
# deviation of these $n$ numbers. Other prompts would have given another $\bar d$. In about 95 of 100 such experiments,
# the mean over *all* prompts that one could ask lies within
#
# $$\bar{d} \pm h, \qquad h = 1.96 \, \frac{s}{\sqrt{n}}$$
#
# The $n$ counts *prompts*, not videos: two seeds of one prompt share its scene (chapter 7). If the interval contains 0,
# not even the sign is known, and we call the comparison *not decided*.
#
# ## Ten lines
#
# **Guidance** exaggerates, by a factor, what the prompt changes in the velocity; a factor of 1 is none. Which factor
# is best for the small model `nano-vta`, when it continues a picture? First we need scenes that it never saw, and the
# true clip of each prompt. (Where two scenes have the same caption, one of them stays.)

# %%
scenes = world.draw_scenes(MORE, evaluate.EVAL_SEED + SEED, world.NANO)
clips = pixels.to_uint8(world.render(scenes, world.NANO.frames, world.NANO.size))
truth = dict(zip(world.captions(scenes), clips, strict=True))
print(f"{MORE} scenes, {len(truth)} prompts; the ablation begins with {PROMPTS}")

# %% [markdown]
# Now the ablation, which you may copy for your own. `sweep` takes a model, the choices for every setting (here only
# guidance has more than one), and what all of them share. Every row is one video, scored against the truth; below are
# the first four. Rows and videos are kept in the folder `cache`, so that nothing is made twice. `compare` takes the
# differences in pairs, here against guidance 1.


# %%
def start(prompt):
    return tasks.image_to_video(truth[prompt][0])


few = list(truth)[:PROMPTS]
same = {"prompts": few, "seeds": [0, 1], "metrics": ["psnr"], "truth": truth, "cache": folder.name, "keep_clips": True}
guided = {"task": [start], "steps": [4], "guidance": [1.0, 1.5, 2.0]}
rows = sweep("nano-vta", guided, **same)
found = compare(rows, {"guidance": 1.0}, "psnr")
rows[["guidance", "prompt", "seed", "psnr"]].head(4).round(2)

# %% [markdown]
# **Predict.** With two seeds and a dozen prompts, will you be able to say which guidance is best?

# %% tags=["hide-input"]
by_prompt = rows.pivot_table(index="prompt", columns="guidance", values="psnr")
fig, axes = plt.subplots(1, 2, figsize=(9.5, 3.2), layout="constrained", width_ratios=(1.3, 1))
for scores in by_prompt.values:
    axes[0].plot(by_prompt.columns, scores, "o-", color="#0072B2", alpha=0.5)
axes[0].set(xlabel="guidance", ylabel="PSNR (dB)", title="a line for each prompt", xticks=by_prompt.columns)


def show(ax, table, x, label, colour, shift=0.0):
    bars = [table.difference - table.low, table.high - table.difference]
    ax.errorbar(table[x] + shift, table.difference, bars, fmt="o", capsize=4, color=colour, label=label)
    ax.axhline(0, color="gray", lw=1)


show(axes[1], found, "guidance", f"{PROMPTS} prompts", "#D55E00")
axes[1].set(xlabel="guidance", ylabel="against 1 (dB)", title="differences", xticks=[1.5, 2], xlim=(1.25, 2.25))
plt.show()


# %%
def tell(table, x, unit=" dB", digits=2):
    for line in table.to_dict("records"):
        mean, low, high = (f"{line[name]:+.{digits}f}" for name in ("difference", "low", "high"))
        verdict = "not decided" if line["low"] <= 0 <= line["high"] else "clear"
        print(f"{x} {line[x]}: {mean}{unit} ({low} to {high})  {verdict}")


tell(found, "guidance")
assert (found.low < 0).all() and (found.high > 0).all(), "these pairs decide nothing"

# %% [markdown]
# <details><summary>Answer</summary>
#
# No. On the left are the scenes: they lie far apart, and most lines slope little. On the right are the mean differences
# with their intervals, and both contain 0. All we can report is "this table does not say".
#
# </details>
#
# (These intervals are a little wider than $\bar{d} \pm h$: `compare` allows for few prompts, and for two comparisons
# at once, of which more below.)
#
# ## What would decide it?
#
# "No difference seen" is not "no difference". Nor is it nothing: an effect far outside the interval would have shown.
# To say more, we need a smaller $h$. It falls with $\sqrt{n}$, so half the width takes four times as many prompts.
# More seeds of the same prompts do not raise $n$. If new prompts react like the first, we can expect:

# %%
first = torch.tensor((by_prompt[1.5] - by_prompt[1.0]).values)
for n in (PROMPTS, len(truth) - PROMPTS, 400):
    print(f"{n:3} prompts: ± {1.96 * first.std() / n**0.5:.2f} dB expected, for guidance 1.5")

# %% [markdown]
# The second line is affordable. But whoever adds prompts until the answer is clear will find it clear sooner or later,
# effect or not. So we decide now: we look once more, at new prompts alone, which nobody has seen yet, and then no more.
#
# **Predict.** Will the new prompts decide it, for 1.5 and for 2?


# %%
new = [prompt for prompt in truth if prompt not in few]
rows_new = sweep("nano-vta", guided, **{**same, "prompts": new})
found_new = compare(rows_new, {"guidance": 1.0}, "psnr")
tell(found_new, "guidance")
by_new_prompt = rows_new.pivot_table(index="prompt", columns="guidance", values="psnr")
second = torch.tensor((by_new_prompt[1.5] - by_new_prompt[1.0]).values)
print(f"s, for guidance 1.5: {first.std():.2f} dB with the first prompts, {second.std():.2f} dB with the new ones")
if not FAST:
    assert found_new.low[0] > 0 > found_new.low[1] and found_new.high[1] > 0, "1.5 is clear now, and 2 is not"
    assert second.std() > 1.5 * first.std(), "the first prompts reacted more alike than most do"

# %% tags=["hide-input"]
_, ax = plt.subplots(figsize=(9.5, 2.8), layout="constrained")
show(ax, found, "guidance", f"the first {PROMPTS} prompts", "#D55E00", -0.02)
show(ax, found_new, "guidance", f"{len(truth) - PROMPTS} new prompts", "#0072B2", 0.02)
ax.set(xlabel="guidance", ylabel="against 1 (dB)", xticks=[1.5, 2], xlim=(1.25, 2.4))
ax.legend()
plt.show()

# %% [markdown]
# <details><summary>Answer</summary>
#
# For 1.5, yes: by PSNR, a little guidance is clearly ahead of none. (Whether PSNR is the right judge is asked at the end
# of the chapter.) For 2 the mean has changed its *sign*, and 0 is still inside. Whatever 2 does to the average PSNR of
# this model at four steps, it is probably less than a decibel, either way. Report it like that.
#
# </details>
#
# Yet for 1.5 the new interval is *wider* than the first, with three times the prompts. Our plan took $s$ from the first
# prompts, and the last printed line says what was wrong with that: by chance they reacted to guidance more alike than
# most do. The $s$ of a few prompts is itself a rough guess, so plan with a reserve.
#
# ## Twenty settings that do nothing
#
# Suppose you had tried twenty settings instead of one. Would one of them have looked clear? We can find out with fake
# settings, of which we *know* that they do nothing. For each of our prompts, old and new, toss a coin for which of its
# two scores, with guidance 1 or 1.5, is called "new". Whatever such a fake gains, it gains by chance.
#
# **Predict.** Of twenty fakes, how many will look clear, going by $\bar{d} \pm h$? And in how many experiments with
# twenty fakes will at least one?

# %%
both = torch.cat([first, second])
coins = torch.randint(0, 2, (1000, 20, len(both)), generator=torch.Generator().manual_seed(SEED))
fakes = (2 * coins - 1) * both  # (experiments, settings, prompts)
gains, errors = fakes.mean(-1), fakes.std(-1) / len(both) ** 0.5


def at_least_one(width):  # share of the experiments in which some interval excludes 0
    return (gains.abs() > width * errors).any(dim=1).double().mean()


single = (gains.abs() > 1.96 * errors).double().mean()
print(f"fakes that look clear: {single:.0%}; experiments with at least one: {at_least_one(1.96):.0%}")
assert at_least_one(1.96) > 0.5, "among twenty, one will do"

# %% [markdown]
# <details><summary>Answer</summary>
#
# About one in twenty looks clear: that is what 95 % means. Among twenty fakes that makes one on average, and in most
# experiments there is at least one: with 5 % each in $1 - 0.95^{20} = 64\,\%$ of them. (The printed share is a little
# higher, as 1.96 standard errors are a little short for so few prompts.)
#
# </details>
#
# The cure is to ask more of each, the more you try. If all of $k$ intervals are to hold at once with 95 %, let each
# miss in only $5/k$ % of cases (Bonferroni), which makes it wider:

# %% tags=["nbval-check-output"]
normal = torch.distributions.Normal(0, 1)
widths = {k: normal.icdf(torch.tensor(1 - 0.05 / 2 / k)).item() for k in (1, 2, 20, 100)}
for k, width in widths.items():
    print(f"comparisons: {k:3}, half width: {width:.2f} s / sqrt(n)")

# %%
print(f"experiments with at least one that looks clear: {at_least_one(widths[20]):.0%}")
assert FAST or at_least_one(widths[20]) < 0.15, "widened, hardly one"

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(9.5, 3), layout="constrained")
shown = next(k for k in range(1000) if (gains[k].abs() > 1.96 * errors[k]).sum() == 1)
order = gains[shown].argsort()
gain, error = gains[shown][order], errors[shown][order]
ax.errorbar(range(20), gain, widths[20] * error, fmt="none", color="0.6", lw=1, label="widened for twenty")
for clear, colour, label in ((False, "#0072B2", "does nothing"), (True, "#D55E00", "does nothing, and looks clear")):
    these = [i for i in range(20) if (gain[i].abs() > 1.96 * error[i]).item() == clear]
    ax.errorbar(these, gain[these], 1.96 * error[these], fmt="o", color=colour, lw=2.5, label=label)
ax.axhline(0, color="gray", lw=1)
ax.set(xlabel="fake settings, sorted", ylabel="gain (dB)", xticks=[])
ax.legend(loc="upper left", fontsize=9)
plt.show()

# %% [markdown]
# The figure shows the first experiment in which exactly one looks clear; its widened bar, in grey, reaches 0 again.
# `compare` widens by itself, for the settings in its table. What you tried and threw away it cannot count, so you have
# to.
#
# ## Clear, and still misleading
#
# The second ablation is of **steps**, without guidance. The more steps, the closer a clip comes to the end of its path
# (chapter 3). Sixteen steps stand for it here, and everything is compared with them.
#
# **Predict.** Which number of steps gives the highest PSNR?

# %%
counts = [MANY, 1] if FAST else [MANY, 4, 2, 1]
by_steps = {"task": [start], "guidance": [1.0], "steps": counts}
rows_steps = sweep("nano-vta", by_steps, **same)
fewer = compare(rows_steps, {"steps": MANY}, "psnr")
print(f"PSNR, against {MANY} steps")
tell(fewer, "steps")
assert (fewer.difference > 0).all() and (FAST or (fewer.low > 0).sum() >= 2), "fewer steps, and a higher score"

# %% [markdown]
# <details><summary>Answer</summary>
#
# In this table, two. Two and four steps are clearly ahead of sixteen. (Whether two beat four was not asked: everything
# was compared with sixteen. And these are the twelve prompts that happened to react to guidance so much alike; if they
# do so here too, the intervals are too narrow.)
#
# </details>
#
# A higher score, then. Is it a better video? Here is the scene whose two seeds differ most, made in sixteen steps, in
# two, and in one.


# %%
def free_frames(videos):  # (scenes, 3, frames, height, width), without frame 0
    return pixels.to_pixels(np.stack(videos))[:, :, 1:]


def made_in(steps):  # (seeds, scenes, ...), in the order of the prompts
    kept = rows_steps[rows_steps.steps == steps].set_index(["seed", "prompt"])["clip"]
    return torch.stack([free_frames([read_kept_clip(kept[i, p]) for p in few]) for i in same["seeds"]])


goal = free_frames([truth[p] for p in few])
made = {steps: made_in(steps) for steps in counts}
apart = (made[MANY][0] - made[MANY][1]).square().mean(dim=(1, 2, 3, 4)).argmax()

# %% tags=["hide-input"]
strip = {"truth": goal[apart]}
strip |= {f"{n} step{'s' * (n > 1)}, seed {i}": made[n][i, apart] for n in counts if n != 4 for i in (0, 1)}
_, ax = plt.subplots(figsize=(9, 7.6), layout="constrained")
viz.filmstrip({name: pixels.to_uint8(x[None])[0] for name, x in strip.items()}, most=7, ax=ax)
ax.set_title(few[apart])
ax.set_xlabel("free frames")
ax.set_xticks([])
plt.show()

# %% [markdown]
# Many steps give two sharp futures, neither of which has to be the true one. One step gives the same pale compromise
# with both seeds, and two steps give something in between. A squared error likes compromises, and we can say why.
#
# ### What a squared error is made of
#
# Take two samples $a$ and $b$ of one scene, made with two seeds, and the truth $t$. For every pixel
#
# $$\tfrac{1}{2} \left[ (a - t)^2 + (b - t)^2 \right] = \underbrace{(a - t)(b - t)}_{\text{miss}} +
# \underbrace{\tfrac{1}{2} (a - b)^2}_{\text{spread}}$$
#
# (Write $A = a - t$ and $B = b - t$; then $a - b = A - B$, and $(A - B)^2 = A^2 + B^2 - 2 A B$.) The **spread** says how
# much the two seeds differ. The **miss** is what they have in common: averaged over seeds it is $(m - t)^2$, where $m$
# is the mean of all that the sampler makes.
#
# **Predict.** If many steps become one, does the miss shrink, or the spread? Decide before you read on: first comes
# what theory says, and then what our model does.

# %% tags=["hide-input"]
nb.diagram(
    "08_miss_and_spread",
    "Left, a perfect sampler: two samples and the truth lie scattered alike around the mean of all futures. Right, a "
    "model that always returns the mean: both samples lie on it, and only the way from there to the truth is left.",
)

# %% [markdown]
# On the left is a *perfect* sampler. Several futures are possible, with mean $\mu$ and variance $\sigma^2$. The truth
# is one of them, so the miss is $\sigma^2$ on average; and as the samples vary like the truth, so is the spread. On the
# right is a model that always returns $\mu$. It has the same miss and no spread, so half the error, which puts it
# *ahead of perfect*.
#
# And one Euler step of a perfect model *is* that model. It follows the velocity at pure noise from $\tau = 1$ to 0. The
# best guess of $\varepsilon - x_0$ is its mean, and the noise says nothing about $x_0$, so (given frame 0 and the
# prompt)
#
# $$x - v = \varepsilon - \mathbb{E}[\varepsilon - x_0 \mid \varepsilon] = \mathbb{E}[x_0] = \mu$$
#
# So in theory a single step keeps the miss and loses the spread. And in a trained model?


# %%
def parts(two, target):  # (2, scenes, ...) -> miss and spread of every scene
    a, b = two - target
    return (a * b).mean(dim=(1, 2, 3, 4)), ((a - b) ** 2 / 2).mean(dim=(1, 2, 3, 4))


split = {steps: parts(two, goal) for steps, two in made.items()}
half_sum = (made[MANY] - goal).square().mean(dim=(0, 2, 3, 4, 5))
assert torch.allclose(sum(split[MANY]), half_sum, atol=1e-6), "miss and spread are the whole error"
ahead = 10 * (sum(split[MANY]).mean() / sum(split[1]).mean()).log10()
print(f"by its squared error, one step is {ahead:.2f} dB ahead of {MANY}")
assert split[1][1].mean() < 0.2 * split[MANY][1].mean(), "one step: the seeds agree"
assert FAST or abs(split[1][0].mean() / split[MANY][0].mean() - 1) < 0.35, "and miss by about as much"

# %% tags=["hide-input"]
miss, spread = 1000 * torch.tensor([[part.mean() for part in split[n]] for n in counts]).T
names = [f"{n} step{'s' * (n > 1)}" for n in counts]
_, ax = plt.subplots(figsize=(9.5, 2.8), layout="constrained")
ax.bar(names, miss, color="#0072B2", label="miss: the mean is off", width=0.6)
ax.bar(names, spread, bottom=miss, color="#E69F00", label="spread: the seeds differ", width=0.6)
ax.set(ylabel="squared error x 1000")
ax.legend(fontsize=9, loc="upper right")
plt.show()

# %% [markdown]
# <details><summary>Answer</summary>
#
# The spread shrinks. The orange part nearly vanishes, and the blue one does not go with it: the error falls because the
# samples stop differing, not because they come closer to the truth.
#
# </details>
#
# For a perfect model half the error would be left, so one step would be ahead by $10 \log_{10} 2 \approx 3$ dB. Ours
# is about 2 dB ahead, on only twelve scenes. (In the table above one step was not decided: there PSNR is a mean of
# decibels, and here we took the mean of the errors.)
#
# ### A second score
#
# **Contrast** is how much the pixels vary, as a part of how much the truth's do. Sharp videos have about 1, pale ones
# less. (It has a trap of its own: a film of mere noise has contrast too.) A score is any function of a result and the
# truth, and `sweep` computes it from the kept videos. So we ask again about the steps, and also about guidance 1.5,
# which we had preferred by PSNR alone.


# %%
def contrast(result, truth):
    return float(result.video[0][1:].std() / truth[1:].std())


two_scores = {**same, "metrics": ["psnr", contrast]}
again = sweep("nano-vta", by_steps, **two_scores)
paler = compare(again, {"steps": MANY}, "contrast")
print(f"contrast, against {MANY} steps")
tell(paler, "steps", unit="", digits=3)
guided_new = sweep("nano-vta", guided, **{**two_scores, "prompts": new})
print("contrast, against guidance 1, with the new prompts")
tell(compare(guided_new, {"guidance": 1.0}, "contrast"), "guidance", unit="", digits=3)
assert paler.iloc[-1].difference < 0 and (FAST or paler.iloc[-1].high < 0), "one step is paler"

# %% [markdown]
# Now sixteen steps are ahead: four, two and one are each clearly paler. Both tables are right, and say different things.
# Guidance 1.5, on the other hand, has a little *more* contrast than none, so its lead in PSNR is not that of a pale
# compromise. We can believe it more than before.
#
# So write down *before* you look what you rank by: fidelity to one future (PSNR, which likes means), sharpness, or what
# people see. Chapter 12 shows a whole search done that way. Other ablations of this toolkit (strength and rank of a
# LoRA, timestep samplers, solvers) are in `docs/claims.md` and `docs/findings.md`.

# %% [markdown]
# ## Exercises
#
# **1 · Fill in.** The interval of a paired difference. You get the scores `a` and `b` of two settings, each (prompts,
# seeds). Return two numbers as a tensor: by how much b is ahead of a in the mean, and the half width of the 95 %
# interval, $1.96 \, s / \sqrt{n}$, with `torch.std` as it is. Success is a picture in which yours agrees with
# `compare`.
#
# <details><summary>Hint</summary>
#
# First make one number of every prompt, then forget that there were seeds. What is $n$ now?
#
# </details>


# %% tags=["exercise"]
def my_interval(a, b): ...


# %% tags=["check"]
def mean_and_half(d, n, s=None):
    return torch.stack([d.mean(), 1.96 * (d.std() if s is None else s) / n**0.5])


def by_prompts(a, b):
    return mean_and_half((b - a).mean(1), len(a))


wrong = {
    "you count every video. Two seeds of a prompt share its scene: what is n?": (
        lambda a, b: mean_and_half((b - a).flatten(), a.numel())
    ),
    "your interval is not of the pairs: it has the scatter of the scenes in it.": (
        lambda a, b: mean_and_half((b - a).mean(1), len(a), (a.mean(1).var() + b.mean(1).var()).sqrt())
    ),
    "this is how far one prompt scatters, not how far the mean does.": lambda a, b: mean_and_half((b - a).mean(1), 1),
    "the sign is turned round: by how much is b ahead?": lambda a, b: by_prompts(b, a),
    "give the mean and the half width, not the two ends.": (
        lambda a, b: torch.stack([by_prompts(a, b)[0] - by_prompts(a, b)[1], by_prompts(a, b).sum()])
    ),
    "divide by the root of the number of prompts, not of seeds.": (
        lambda a, b: mean_and_half((b - a).mean(1), a.shape[1])
    ),
    "you average the prompts away. Average over the seeds: one number must be left for each prompt.": (
        lambda a, b: mean_and_half((b - a).mean(0), a.shape[1])
    ),
    "once the seeds are averaged, there are fewer numbers than videos: what is n?": (
        lambda a, b: mean_and_half((b - a).mean(1), a.numel())
    ),
    "you divide by n, not by its root.": lambda a, b: mean_and_half((b - a).mean(1), len(a) ** 2),
    "this is the full width of the interval: give half of it.": lambda a, b: by_prompts(a, b) * torch.tensor([1, 2]),
    "this is the standard error. An interval of 95 % reaches farther.": (
        lambda a, b: by_prompts(a, b) / torch.tensor([1, 1.96])
    ),
}
first_two = rows[rows.guidance <= 1.5]
(one,) = compare(first_two, {"guidance": 1.0}, "psnr").itertuples()
a, b = (
    torch.tensor(each.pivot_table(index="prompt", columns="seed", values="psnr").values)
    for _, each in first_two.groupby("guidance")
)
nb.check(my_interval, by_prompts, a, b, mistakes=wrong)
if not nb.unwritten(my_interval):
    plt.figure(figsize=(8, 2), layout="constrained")
    videos, unpaired = list(wrong.values())[:2]
    for y, f in enumerate((unpaired, videos, my_interval)):
        mean, half = f(a, b)
        plt.errorbar(mean, y, xerr=half, fmt="o", capsize=4, color="#D55E00" if y < 2 else "#0072B2")
    plt.errorbar(one.difference, 3, xerr=[[one.difference - one.low], [one.high - one.difference]], fmt="o", capsize=4)
    plt.gca().set(yticks=range(4), yticklabels=["not in pairs", "videos counted", "yours", "compare"])
    plt.axvline(0, color="gray", lw=1)
    plt.show()

# %% [markdown]
# **2 · Vary.** Fool PSNR by yourself. Your function gets two samples of every scene made in many steps, `a` and `b`,
# each (scenes, 3, frames, height, width), and returns one clip for every scene, of the same shape, from these two
# alone. Success: its squared error is at most miss + spread / 2, less than that of either sample, and a strip shows a
# film to which PSNR gives more than to both.
#
# <details><summary>Hint</summary>
#
# Which of the two parts can a mixture reduce? What would three hundred samples of every scene make possible?
#
# </details>


# %% tags=["exercise"]
def my_mixture(a, b): ...


# %% tags=["check"]
pair = made[MANY]
bound = (split[MANY][0] + split[MANY][1] / 2).mean().item()


def error_of(f):
    return (f(*pair.clone()) - goal).square().mean().item()


nb.check_that(
    my_mixture,
    {
        "return one clip for every scene, in the shape of a.": lambda f: f(*pair.clone()).shape == pair[0].shape,
        "some pixels are brighter than both samples, or darker: this is no mixture of the two.": lambda f: (
            (f(*pair.clone()) <= pair.amax(0) + 1e-5) & (f(*pair.clone()) >= pair.amin(0) - 1e-5)
        ).all(),
        "this is one of the two samples, with the error that it has.": lambda f: (
            min((f(*pair.clone()) - x).abs().max() for x in pair) > 1e-5
        ),
        "the darker, or the brighter, of the two everywhere: this knows no more than one of them.": lambda f: (
            min((f(*pair.clone()) - x).abs().max() for x in (pair.amin(0), pair.amax(0))) > 1e-5
        ),
        "better than one sample, or not even that, but not the best: are the two not worth the same?": lambda f: (
            error_of(f) <= bound + 1e-6
        ),
    },
)
if not nb.unwritten(my_mixture):
    alone = torch.stack([metrics.psnr(x, goal).mean(1) for x in pair]).mean(0)
    mean, low, high = metrics.bootstrap(metrics.psnr(my_mixture(*pair), goal).mean(1) - alone)
    print(f"PSNR {mean:+.2f} dB ({low:+.2f} to {high:+.2f}) above the samples")
    strip = {"truth": goal, "sample a": pair[0], "sample b": pair[1], "yours": my_mixture(*pair)}
    _, ax = plt.subplots(figsize=(9, 5), layout="constrained")
    viz.filmstrip({k: pixels.to_uint8(x[apart][None].clamp(-1, 1))[0] for k, x in strip.items()}, most=7, ax=ax)
    plt.show()

# %% [markdown]
# **3 · Invent.** An ablation of your own on a nano model, with the prediction written down first. Set `my_sign` to +1
# if you expect the second setting to have the higher PSNR, and to -1 if the first. Only then run the sweep, and assign
# `my_table`, the table that `sweep` returns: exactly two settings, at least as many prompts as `same` has, and the
# metric `psnr`; `**same` brings all that is to be shared. The first setting is the baseline. Success is an ablation
# judged in pairs, whatever it says: as predicted, against it, or undecided, with the effects that it rules out.
#
# <details><summary>Hint</summary>
#
# Copy the call from "Ten lines". You may compare one step with many, or two models
# (`sweep(None, {"model": ["nano-base", "nano-vta"], …})`), or two schedules. The larger the effect that you expect, the
# fewer prompts will decide it.
#
# </details>

# %% tags=["exercise"]
my_sign = None  # +1 or -1, before you run the sweep
my_table = None  # sweep(...)


# %% tags=["check"]
def against_first(df):
    names = list(df.columns)[: list(df.columns).index("prompt")]
    return compare(df, {name: df[name].iloc[0] for name in names}, "psnr")


def settings_of(df):
    return len(df) // len(df[["prompt", "seed"]].drop_duplicates())


nb.check_that(
    my_table,
    {
        "give the table that `sweep` returns, with a column psnr.": lambda df: {"psnr", "prompt"} <= set(df.columns),
        "there is one setting only: nothing to compare it with.": lambda df: settings_of(df) > 1,
        "there are more than two settings; one sign predicts one difference.": lambda df: settings_of(df) == 2,
        "there are too few prompts. Seeds do not replace them: each prompt is one scene.": (
            lambda df: df.prompt.nunique() >= PROMPTS
        ),
        "the prediction is missing: set my_sign to +1 or -1.": lambda df: my_sign in (1, -1),
    },
)
if my_table is not None:
    (line,) = against_first(my_table).itertuples()
    if line.low <= 0 <= line.high:
        print(f"undecided: effects above {max(-line.low, line.high):.2f} dB, either way, are ruled out")
    else:
        print("as predicted" if line.difference * my_sign > 0 else "clear, and against your prediction: ask why")
    plt.figure(figsize=(7, 1.6), layout="constrained")
    plt.errorbar(line.difference, 0, xerr=[[line.difference - line.low], [line.high - line.difference]], fmt="o")
    plt.axvline(0, color="gray", lw=1)
    plt.gca().set(xlabel="PSNR against your first setting (dB)", yticks=[])
    plt.show()

# %% [markdown]
# ## Recap
#
# | it was not the setting, it was | how to notice |
# |---|---|
# | the scene | the same prompts for both; take differences, then the mean |
# | the seed | an interval of these differences, counted in prompts |
# | too few prompts | 0 is inside: say how large an effect is ruled out; half the width takes four times the prompts |
# | the many things you tried | wider intervals, for all of them |
# | the score | a second one, chosen before, and your own eyes |
#
# *What could go wrong:* one prompt, one seed, great certainty; two overlapping intervals read as "no difference"; "not
# clear" read as "no effect"; adding prompts until it is clear, and then stopping; forgetting what was tried and thrown
# away; taking one *training* for a law, which no number of prompts can mend (chapter 7).
#
# *Where the code lives:* `pusa_lab/sweeps/run.py` (`pusa_lab.sweep`), `pusa_lab/sweeps/compare.py`
# (`pusa_lab.compare`), `pusa_lab/metrics/intervals.py` (`metrics.bootstrap`); `docs/sweep.md` has all that a sweep can
# do.
#
# *References:* Pusa V1.0, arXiv 2507.16116, whose ablations these are modelled on (its Tables 2 and 4); flow matching,
# arXiv 2210.02747, for the velocity as a conditional mean.
