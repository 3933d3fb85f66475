# %% [markdown]
# # 7 · Measuring: what the paper claims, at toy scale
#
# ***Your video model scores 105 of 100. Is it any good?***
#
# *You need: chapters 0, 5 and 6. Time: 25 minutes of reading, about half a minute of CPU.*
#
# It may be a model that returns its picture and does nothing. Video models are compared by VBench (arXiv 2311.17982),
# and so is Pusa (arXiv 2507.16116, Table 1), but VBench's dimensions are learned networks, and what a network rewards
# is hard to see. In the toys' world the truth is known. So here every score is a formula, and we can hand it a
# worthless clip and watch what it says.
#
# **After this chapter you can**
#
# - say what each score compares a clip with, and name a worthless clip that it rewards;
# - take a total apart, and find what it hides;
# - say how certain a number is, and compare two models sharply.

# %% tags=["setup"]
# build.py puts the installing cell here.

# %% tags=["parameters"]
SEED = 0
CLIPS = 6
FAST = False

# %%
import math

import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown, display

import pusa_lab.notebook as nb
from pusa_lab import metrics, pixels, viz
from small_models import experiments, world
from small_models.evaluation import evaluate, suite
from small_models.experiments.claims import share
from small_models.experiments.verdicts import OURS, THEIRS, clearly, find_row, lead
from small_models.world.reader import subjects

device = nb.setup(seed=SEED, shapes=True)
CLIPS = 4 if FAST else CLIPS

# %% [markdown]
# ## Compared with what?
#
# Every score compares the clip with something: with itself a moment later, with the picture it was given, with its
# prompt, or with the truth. A score is blind to whatever it does not compare with.

# %% tags=["hide-input"]
nb.diagram(
    "07_what_a_score_compares_with",
    "A generated clip is compared with four things: with itself, with its picture, with its prompt and with the truth; "
    "a clip that stands still passes the first two comparisons and fails the last two.",
)

# %% [markdown]
# Start with the simplest score of all, by hand. **Smoothness** asks whether each frame lies between its neighbours:
#
# $$\text{smoothness} = 1 - \text{mean}_t \left| x_t - \tfrac{1}{2} (x_{t-1} + x_{t+1}) \right|$$
#
# Take three frames of one grey pixel: 0, 0.5 and 0.8. The neighbours predict $(0 + 0.8) / 2 = 0.4$ for the middle,
# which is off by 0.1.
#
# **Predict.** What is the smoothness of these three frames? And of three equal frames?


# %% tags=["nbval-check-output"]
def grey_clip(values):  # (b, 3, frames, h, w) in [-1, 1], as every metric takes it
    return (2 * torch.tensor(values) - 1).view(1, 1, -1, 1, 1).repeat(1, 3, 1, 1, 1)


for values in ([0.0, 0.5, 0.8], [0.5, 0.5, 0.5]):
    print(f"{values}: {metrics.motion_smoothness(grey_clip(values)).item():.3f}")
assert math.isclose(metrics.motion_smoothness(grey_clip([0.0, 0.5, 0.8])).item(), 0.9, abs_tol=1e-6)

# %% [markdown]
# <details><summary>Answer</summary>
#
# 0.9, and 1. Equal frames predict one another perfectly. That is the whole story of this chapter in one line: a score
# that compares a clip with itself is *at its maximum* where nothing happens, and no model can beat that.
#
# </details>
#
# ## Which pixels?
#
# Two of VBench's dimensions ask whether the **subject** and the **background** keep their looks. VBench answers with
# features of large networks; we use masks. For true clips the world has them exactly, and in generated clips a
# small program, the *reader*, finds the objects by the colours that the prompt names.
#
# **Predict.** The reader knows colours only. Where will its masks be wrong?

# %%
scenes = world.draw_scenes(6, evaluate.EVAL_SEED + SEED, world.MINI)[:CLIPS]
length, size = world.MINI.frames, world.MINI.size
truth, exact = world.render(scenes, length, size), world.masks(scenes, length, size)
read = subjects(truth, scenes.colour, scenes.world) * scenes.present[:, :, None, None, None]


def as_video(mask):
    return pixels.to_uint8(2 * mask.sum(0).clamp(0, 1).expand(3, -1, -1, -1)[None] - 1)[0]


rows = {"the clip": pixels.to_uint8(truth)[1], "true masks": as_video(exact[1]), "reader's masks": as_video(read[1])}
_, ax = plt.subplots(figsize=(10, 3.6), layout="constrained")
viz.filmstrip(rows, most=9, ax=ax)
plt.show()

# %%
print(world.captions(scenes)[1])
known, found = (metrics.subject_consistency(truth, mask) for mask in (exact, read))
print(f"subject_consistency: {known.mean():.3f} with true masks, {found.mean():.3f} with the reader's")
assert (known - found).abs().mean() < 0.05, "the reader's masks do nearly as well"

# %% [markdown]
# <details><summary>Answer</summary>
#
# Where objects overlap, and at their soft edges. It costs little here. But remember it: a score that needs a mask
# measures the mask as well, so numbers made with different masks must not be compared.
#
# </details>
#
# ## Six ways to ruin a clip
#
# Now take true clips and ruin them. Three ways are crude: frames of other clips, pure noise, a blur. Three are subtle:
# frame 0 **frozen** for the whole clip, everything **darker from half-way** on, and left and right **mirrored**.
#
# To VBench's seven dimensions we add what only this world can offer. `text_alignment`: are these the objects of the
# prompt, and do they move as it says? `physics_error`: by how many pixels do they break the law of motion?
# `position_error`: how far are they from where they truly are?
#
# **Predict.** Write down for *frozen*, *darker* and *mirrored* which columns will notice.


# %%
def darker_half_way(clip):
    out, half = clip.clone(), clip.shape[2] // 2
    out[:, :, half:] = 0.7 * (out[:, :, half:] + 1) - 1
    return out


def measured(clip):
    found = suite.appearance(clip, scenes, truth[:, :, :1]) | suite.obedience(clip, scenes)
    found["position_error"] = suite.fidelity(clip, truth, scenes, [0])["position_error"]
    return suite.add_totals(found, shipped["scale"])


shipped = experiments.read_results(experiments.RESULTS / "suite.json")
still = truth[:, :, :1].repeat(1, 1, length, 1, 1)
clips = {"truth": truth, "frozen": still, "darker from half-way": darker_half_way(truth), "mirrored": truth.flip(-1)}
clips |= suite.destroyed(truth)
grid = {name: measured(clip) for name, clip in clips.items()}

# %% tags=["hide-input"]
columns = [*suite.VBENCH, "total", "text_alignment", "physics_error", "position_error"]
raw = torch.stack([torch.stack([grid[name][c].float().nanmean() for c in columns]) for name in grid])
errors = torch.tensor([c.endswith("error") for c in columns])
good = torch.where(errors, -raw, raw)
worst = good.nan_to_num(torch.inf).amin(0)
bright = ((good - worst) / (good[0] - worst)).clamp(0, 1)
fig, ax = plt.subplots(figsize=(10, 4.2), layout="constrained")
ax.imshow(bright, aspect="auto", vmin=0, vmax=1)
for (r, c), value in zip(torch.cartesian_prod(*map(torch.arange, raw.shape)).tolist(), raw.flatten(), strict=True):
    label = "none found" if value.isnan() else f"{value * (1 if errors[c] else 100):.1f}"
    ink = "white" if bright[r, c] < 0.5 else "black"
    ax.text(c, r, label, ha="center", va="center", color=ink, fontsize=9)
names = [c.replace("_", "\n") + ("\n(pixels)" if e else "") for c, e in zip(columns, errors, strict=True)]
ax.set_xticks(range(len(columns)), names, fontsize=8)
ax.set_yticks(range(len(grid)), list(grid))
ax.set_title(f"mean of {len(truth)} clips, of 100; yellow: as good as the truth, dark: worst of its column")
plt.show()

# %%
mean = {name: dict(zip(columns, row.tolist(), strict=True)) for name, row in zip(grid, raw, strict=True)}
frozen, true, dark, mirror = (mean[name] for name in ("frozen", "truth", "darker from half-way", "mirrored"))
looks = [c for c in suite.VBENCH if c not in ("dynamic_degree", "imaging_quality")]
assert all(frozen[c] >= true[c] - 1e-4 for c in looks), "frozen: as consistent, as smooth, as close to its picture"
assert frozen["dynamic_degree"] == 0 < true["dynamic_degree"], "dynamic_degree notices"
assert frozen["text_alignment"] < true["text_alignment"] - 0.2, "so does the prompt"
assert min(frozen["physics_error"], frozen["position_error"]) > 1, "and so does the truth"
assert dark["subject_consistency"] < true["subject_consistency"] - 0.03, "darker: subjects change their looks"
assert dark["position_error"] < true["position_error"] + 1, "but they are where they should be"
alone = ("subject_consistency", "background_consistency", "motion_smoothness", "dynamic_degree", "imaging_quality")
assert all(abs(mirror[c] - true[c]) < 0.01 for c in alone), "mirrored: by itself as good as ever"
assert mirror["position_error"] > true["position_error"] + 3, "and nothing is where it should be"

# %% [markdown]
# <details><summary>Answer</summary>
#
# Read the grid row by row. **Frozen** is yellow wherever looks are compared; of VBench's seven only `dynamic_degree`
# notices, and the prompt and the truth do. **Darker** is the opposite: the looks suffer, while every object is where it
# should be. **Mirrored** passes every comparison of the clip with itself: no such score can tell left from right.
#
# </details>
#
# Two more things hide in the grid. Noise has the best `imaging_quality` of all, because a measure of sharpness takes
# noise for detail. And a blur is *smoother* than the truth. Every column has a worthless clip that it loves.

# %%
assert max(mean, key=lambda name: mean[name]["imaging_quality"]) == "noise", "sharpness rewards noise"
assert mean["blurred"]["motion_smoothness"] > true["motion_smoothness"], "smoothness rewards blur"

# %% [markdown]
# ## Standing still scores 105
#
# So a benchmark takes several columns together. VBench brings each score $s$ onto its range,
# $n = (s - \text{low}) / (\text{high} - \text{low})$, forms a weighted mean for quality and another for closeness to
# the picture (I2V), and averages the two (arXiv 2311.17982, arXiv 2411.13503):
#
# $$\text{Total} = \tfrac{1}{2} \frac{\sum_k w_k n_k}{\sum_k w_k} + \tfrac{1}{2} \frac{\sum_j w_j n_j}{\sum_j w_j}$$
#
# Here about 100 is what true clips score that went through `mini`'s codec, the best that `mini` could reach.
#
# **Predict.** Of true clips and frozen clips, which have the higher Total?

# %% tags=["nbval-check-output"]
large = {row["key"]["clips"]: 100 * row["scores"]["total"][0] for row in shipped["rows"]}
for name in ("truth through the codec", "truth", "frame 0 repeated"):
    print(f"{name:24} Total {large[name]:.1f}")
assert large["frame 0 repeated"] > large["truth"], "standing still is the highest of all"

# %% [markdown]
# <details><summary>Answer</summary>
#
# On the 128 scenes of the shipped results, the frozen ones: 105, a touch above the truth. They lose
# `dynamic_degree` altogether and win a little in every other column, and that is enough.
#
# </details>
#
# Is this a flaw of our toy version? Take the nine published numbers of Pusa (Table 1, arXiv 2507.16116) and freeze its
# videos on paper: perfect consistency, smoothness and closeness to the picture, no motion, the rest as it was. From
# the equation, dimension $k$ moves the Total by
#
# $$\Delta_k = \tfrac{1}{2} \, \frac{w_k}{\sum w} \, (n_k' - n_k)$$
#
# **Predict.** Dynamic degree has half the weight of most others and falls from 52.6 to 0. Can the rest make up for it?

# %% tags=["nbval-check-output"]
pusa = {"subject_consistency": 92.27, "background_consistency": 96.02, "motion_smoothness": 98.49}
pusa |= {"dynamic_degree": 52.60, "aesthetic_quality": 63.15, "imaging_quality": 68.27}
pusa |= {"i2v_subject": 97.64, "i2v_background": 99.24, "camera_motion": 29.46}
scores = {name: value / 100 for name, value in pusa.items()}
formed = metrics.totals(scores)
perfect = ("subject_consistency", "background_consistency", "motion_smoothness", "i2v_subject", "i2v_background")
frozen_pusa = scores | {name: metrics.RANGES[name][1] for name in perfect} | {"dynamic_degree": 0.0}

lines, change = ["| dimension | Pusa | frozen | change of the Total |", "|---|---|---|---|"], {}
for name in (*perfect, "dynamic_degree"):
    part, (low, high) = metrics.QUALITY if name in metrics.QUALITY else metrics.I2V, metrics.RANGES[name]
    change[name] = 50 * part[name] / sum(part.values()) * (frozen_pusa[name] - scores[name]) / (high - low)
    lines.append(f"| {name} | {pusa[name]:.2f} | {100 * frozen_pusa[name]:.2f} | {change[name]:+.2f} |")
display(Markdown("\n".join(lines)))
frozen_total = 100 * metrics.totals(frozen_pusa)["total"]
print(f"Total: Pusa {100 * formed['total']:.2f}, Pusa frozen {frozen_total:.2f}")
assert abs(100 * formed["total"] - 87.32) < 0.011, "the paper's Total, up to rounding"
assert math.isclose(100 * formed["total"] + sum(change.values()), frozen_total, abs_tol=1e-3), "the changes add up"
assert frozen_total > 100 * formed["total"], "a frozen Pusa would be ahead of Pusa"

# %% [markdown]
# <details><summary>Answer</summary>
#
# They can: 87.54 against 87.32. Read the last column: five small gains outweigh the one loss. This is no criticism of
# the paper, which prints all nine columns, nor a secret: in the same table Animate-Anything moves in 2.68 % of its
# videos and has a Total of 86.48. But a Total alone cannot say that a picture was brought to life.
#
# </details>
#
# ## A score that standing still cannot win
#
# Weather forecasters met this problem long ago: "tomorrow will be like today" is a strong forecast. They ask for
# **skill**, the share of that forecast's error which a better one removes:
#
# $$\text{skill} = 1 - \frac{\text{MSE}(\text{clip}, \text{truth})}{\text{MSE}(\text{still}, \text{truth})}$$
#
# **Predict.** The skill of the truth, of the frozen clip, and of the mirrored one: above or below 0?

# %%
for name in ("truth", "frozen", "darker from half-way", "mirrored"):
    print(f"{name:22} skill {metrics.skill(clips[name], truth, [0]).mean():+.2f}")
assert (metrics.skill(truth, truth, [0]) == 1).all() and metrics.skill(still, truth, [0]).abs().max() < 1e-5
assert (metrics.skill(clips["mirrored"], truth, [0]) < 0).any(), "moving wrongly is worse than not moving"

# %% [markdown]
# <details><summary>Answer</summary>
#
# 1 for the truth and 0 for the frozen clip, by definition. Below 0 for the mirrored one: moving to the wrong place is
# worse than not moving. Skill has a price: it needs the truth, and like every squared error it prefers a blurred guess
# to a sharp one that is slightly off. No score is enough by itself; skill beside position errors is a good pair.
#
# </details>
#
# ## How certain is a number?
#
# A mean over 128 prompts with 5 seeds each is a mean of 640 clips. Is it as certain as a mean of 640 scenes? Split the
# score of a clip into what its prompt and what its seed contributes, with variances $\sigma_p^2$ and $\sigma_s^2$. For
# $P$ prompts with $n$ seeds
#
# $$\text{Var}(\text{mean}) = \frac{\sigma_p^2}{P} + \frac{\sigma_s^2}{P \, n}$$
#
# More seeds shrink the second term alone. Hard scenes are hard with every seed, so $\sigma_p$ is usually the larger,
# and it is **prompts** that must be resampled for an honest interval (`metrics.bootstrap`).
#
# **Predict.** Repeat every prompt's number five times, as if five seeds had agreed exactly. How much narrower does an
# interval get that takes the copies for independent clips? And what have we learned?

# %%
cost = experiments.read_results(experiments.RESULTS / "cost.json")
budgets = cost["sizes"]["budgets"]
ours = {s: find_row(cost, way=OURS, share=s) for s in budgets}
theirs = {s: find_row(cost, way=THEIRS, share=s) for s in budgets}
by_prompt = torch.tensor(ours[budgets[-1]]["by_prompt"]["psnr"])
five, group = by_prompt.repeat(5), torch.arange(len(by_prompt)).repeat(5)
once, copies, honest = metrics.bootstrap(by_prompt), metrics.bootstrap(five), metrics.bootstrap(five, group)
for name, i in {"128 prompts": once, "five copies of each": copies, "copies, by prompt": honest}.items():
    print(f"{name:20} {i.mean:.2f} dB ({i.low:.2f} to {i.high:.2f})")
assert copies.high - copies.low < 0.6 * (once.high - once.low), "copies look like information"
assert torch.allclose(torch.tensor(honest), torch.tensor(once)), "resampled by prompt, they add none"

# %% [markdown]
# <details><summary>Answer</summary>
#
# Narrower by $\sqrt{5}$, about 2.2 times, and we have learned nothing at all. Count scenes, not clips.
#
# </details>
#
# ## Two models: compare them in pairs
#
# The nuisance turns into a help when two models see the *same* prompts. What makes a scene hard is hard for both, and
# cancels in the difference:
#
# $$\text{Var}(A - B) = \text{Var}(A) + \text{Var}(B) - 2 \, \text{Cov}(A, B)$$
#
# Here are two ways to train for image to video, at nine budgets: one timestep per frame (VTA), and Wan's own way, which
# gives the picture to the network as a further input.
#
# **Predict.** From the left plot: at which budgets would you name a winner? The right plot has the differences.

# %% tags=["hide-input"]
pairs = {s: (ours[s]["scores"]["total"], theirs[s]["scores"]["total"]) for s in budgets}
leads = {s: lead(ours[s], theirs[s], "total") for s in budgets}
fig, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
for i, (way, marker, colour) in enumerate(((OURS, "o", "#0072B2"), (THEIRS, "s", "#D55E00"))):
    middle, low, high = 100 * torch.tensor([pairs[s][i] for s in budgets]).T
    at = torch.arange(len(budgets)) + 0.24 * i - 0.12
    axes[0].errorbar(at, middle, torch.stack([middle - low, high - middle]), fmt=marker, c=colour, capsize=3, label=way)
middle, low, high = 100 * torch.tensor(list(leads.values())).T
axes[1].errorbar(range(len(budgets)), middle, torch.stack([middle - low, high - middle]), fmt="D", capsize=3, c="black")
axes[1].axhline(0, color="gray", lw=1)
for ax in axes:
    ax.set_xticks(range(len(budgets)), map(share, budgets), fontsize=9)
    ax.set_xlabel("training, as a share of the base's")
axes[0].set(ylabel="Total, of 100", title="two intervals")
axes[0].legend(loc="lower right")
axes[1].set(ylabel="Total: VTA ahead by", title="one interval, of the difference by prompt")
plt.show()

# %%
overlap = [s for s, (a, b) in pairs.items() if a[1] < b[2] and b[1] < a[2]]
decided = [s for s in overlap if clearly(leads[s])]
print(f"intervals overlap at {len(overlap)} of {len(budgets)} budgets; in pairs, {len(decided)} of these are clear")
apart = sum(math.hypot(*(high - low for _, low, high in pairs[s])) for s in budgets)
sharper = apart / sum(i.high - i.low for i in leads.values())
print(f"the paired interval is {sharper:.1f} times as sharp")
assert sharper > 1.5 and decided, "overlapping intervals do not mean that nothing is known"

# %% [markdown]
# <details><summary>Answer</summary>
#
# On the left nearly all intervals overlap, and one might say "no difference". On the right several are clear. Look at
# the axis, though: most of these differences are below one point of 100. *Clear* means that the sign is certain, not
# that the difference matters.
#
# </details>
#
# ## The paper's headline, at toy scale
#
# Pusa's headline is image to video for 1/200 of the cost. Turn the question around: what budget does Wan's way need to
# reach the score of VTA? Above 1, VTA is the cheaper one.
#
# **Predict.** The ratio after very little training, and after much.

# %% tags=["nbval-check-output"]
ratios = {r["share"]: r for r in cost["ratios"]}
lines = ["| training of VTA | its PSNR | Wan's way needs | VTA ahead by, in Total |", "|---|---|---|---|"]
for s in (budgets[0], budgets[1], budgets[4], budgets[-1]):
    middle, low, high = ratios[s]["ratio"]
    needs = f"{middle:.2f} times that ({low:.2f} to {high:.2f})"
    lines.append(f"| {share(s)} | {ratios[s]['score']:.2f} dB | {needs} | {100 * leads[s].mean:+.2f} |")
display(Markdown("\n".join(lines)))
print(f"after {share(budgets[0])}: PSNR {lead(ours[budgets[0]], theirs[budgets[0]], 'psnr').mean:+.2f} dB for VTA")
assert clearly(lead(ours[budgets[0]], theirs[budgets[0]], "psnr")) > 0 > clearly(leads[budgets[0]])
assert ratios[budgets[0]]["ratio"][1] > 1 > ratios[budgets[-1]]["ratio"][2], "cheaper at first, dearer at last"

# %% [markdown]
# <details><summary>Answer</summary>
#
# Two scores, two answers. By PSNR, VTA is ahead after 1/400 of the base's training and level after 1/200; by Total it
# is *behind* at both. With more training Wan's way needs a third and at last a quarter of VTA's budget for the same
# PSNR, while by Total the two hardly differ. So the headline is not reproduced here, and whoever names a winner must
# name the score. The paper compares with Wan-I2V's whole training, which is another question; and what VTA gets in
# return, all other tasks, is not in this table.
#
# </details>
#
# And the model that scores 105? Ask for its skill, and watch three of its videos.
#
# No interval in this chapter says what *another training run* would give: each of these models was trained once. All
# claims of the paper, with figures and verdicts, are in `docs/claims.md`; `pusa-lab bench paper` measures them again.
#
# ## Exercises
#
# **1 · Fill in.** VBench's weighted mean. You get three dicts: `scores` by dimension, `ranges` with (low, high) by
# dimension, and `weights` for the dimensions that count (the others must be ignored). Return one number: the weighted
# mean of the normalised scores. With VBench's ranges it must give the quality and I2V scores of Pusa.
#
# <details><summary>Hint</summary>
#
# First a dict or list of $n_k$ for every $k$ in `weights`, then $\sum w_k n_k / \sum w_k$.
#
# </details>


# %% tags=["exercise"]
def my_mean(scores, ranges, weights): ...


# %% tags=["check"]
def both(mean_of):
    found = [mean_of(scores, metrics.RANGES, weights) for weights in (metrics.QUALITY, metrics.I2V)]
    return None if None in found else torch.tensor(found)


def normal(k, scores, ranges):
    return (scores[k] - ranges[k][0]) / (ranges[k][1] - ranges[k][0])


wrong = {
    "you average the scores as they are. First bring each onto its range.": both(
        lambda s, r, w: sum(w[k] * s[k] for k in w) / sum(w.values())
    ),
    "all dimensions count alike in your mean. Where are the weights?": both(
        lambda s, r, w: sum(normal(k, s, r) for k in w) / len(w)
    ),
    "this is a weighted sum, not yet a weighted mean.": both(lambda s, r, w: sum(w[k] * normal(k, s, r) for k in w)),
    "you divide by the upper end of the range. Its lower end is not 0 everywhere.": both(
        lambda s, r, w: sum(w[k] * s[k] / r[k][1] for k in w) / sum(w.values())
    ),
}
right = torch.tensor([formed["quality"], formed["i2v"]])
nb.check(my_mean if nb.unwritten(my_mean) else lambda: both(my_mean), right, mistakes=wrong)

# %% [markdown]
# **2 · Vary.** Ruin a clip so that `motion_smoothness` notices (it falls by at least 0.01) and `imaging_quality` does
# not (it stays within 0.01). Your function gets clips (b, 3, frames, h, w) in [-1, 1] and returns the same shape and
# range. Success is a filmstrip in which each picture is fine and the film is not.
#
# <details><summary>Hint</summary>
#
# `imaging_quality` looks at one frame at a time, so leave every frame as it is. What is left to change?
#
# </details>


# %% tags=["exercise"]
def my_damage(clip): ...


# %% tags=["check"]
def fall(metric, damage):
    return (metric(truth) - metric(damage(truth.clone()))).mean().item()


nb.check_that(
    my_damage,
    {
        "the clip must keep its shape.": lambda f: f(truth.clone()).shape == truth.shape,
        "values must stay in [-1, 1].": lambda f: f(truth.clone()).abs().max() <= 1,
        "motion_smoothness hardly falls: neighbours still predict each frame.": (
            lambda f: fall(metrics.motion_smoothness, f) >= 0.01
        ),
        "imaging_quality changes as well: your frames are no longer as sharp as they were.": (
            lambda f: abs(fall(metrics.imaging_quality, f)) <= 0.01
        ),
    },
)
if not nb.unwritten(my_damage):
    viz.filmstrip({"truth": pixels.to_uint8(truth)[0], "yours": pixels.to_uint8(my_damage(truth.clone()))[0]}, most=9)
    plt.show()

# %% [markdown]
# **3 · Invent.** A score of your own that needs no truth and no prompt, and yet puts every true clip above its frozen
# version *and* above noise. It gets clips (b, 3, frames, h, w) and returns (b,), high is good. None of VBench's seven
# does it: look at the grid. Success is a plot in which the true clips lie above all others.
#
# <details><summary>Hint</summary>
#
# One column of the grid punishes what does not move, another what does not move smoothly. Neither is enough alone.
# What would you do with two scores of which *both* must be good? `metrics.motion(clip)` is the mean change from frame
# to frame, (b, frames - 1).
#
# </details>


# %% tags=["exercise"]
def my_metric(clip): ...


# %% tags=["check"]
rivals = {name: clips[name] for name in ("truth", "frozen", "noise")}
nb.check_that(
    my_metric,
    {
        "return one number for each clip, shape (b,).": lambda f: f(truth).shape == (len(truth),),
        "a clip has no finite score.": lambda f: all(f(clip).isfinite().all() for clip in rivals.values()),
        "a frozen clip scores at least as high as its true one.": lambda f: (f(truth) > f(still)).all(),
        "noise scores at least as high as a true clip.": lambda f: (f(truth) > f(rivals["noise"])).all(),
    },
)
if not nb.unwritten(my_metric):
    _, ax = plt.subplots(figsize=(6, 3), layout="constrained")
    for i, clip in enumerate(rivals.values()):
        ax.plot([i] * len(clip), my_metric(clip), "o", color="#0072B2", alpha=0.6)
    ax.set(xticks=range(len(rivals)), xticklabels=list(rivals), xlim=(-0.5, 2.5), ylabel="your score")
    plt.show()

# %% [markdown]
# ## Recap
#
# | question | score | worthless clip that it rewards |
# |---|---|---|
# | does it keep its looks | `subject_consistency`, `background_consistency` | frozen |
# | does it match its picture | `i2v_subject`, `i2v_background` | frozen |
# | is it smooth, does it move | `motion_smoothness`, `dynamic_degree` | frozen or blurred; noise |
# | is it sharp | `imaging_quality` | noise |
# | does it obey | `text_alignment`, `physics_error` | (needs this world) |
# | is it true | `psnr`, `position_error`, `skill` | (need the truth; squared errors like blur) |
#
# *What could go wrong:* reading a Total without `dynamic_degree`; counting seeds as scenes; calling overlapping
# intervals "no difference"; comparing numbers from different masks; taking a clear difference for a large one.
#
# *Where the code lives:* `pusa_lab/metrics/vbench.py` (`metrics.totals`), `pusa_lab/metrics/skill.py`
# (`metrics.skill`), `pusa_lab/metrics/intervals.py` (`metrics.bootstrap`), `small_models/evaluation/suite.py`
# (`suite.fidelity`), `small_models/experiments/pairs.py` (`pairs.lead`).
#
# *References:* Pusa V1.0, arXiv 2507.16116; VBench, arXiv 2311.17982; VBench++, arXiv 2411.13503; skill: Murphy,
# Monthly Weather Review 116, 1988.
