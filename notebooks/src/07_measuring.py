# %% [markdown]
# # 7 · Measuring: what the paper claims, at toy scale
#
# *You need: chapters 0, 5 and 6. Time: 25 minutes of reading, about half a minute of CPU.*
#
# Pusa's claims are VBench-I2V scores (arXiv 2507.16116, Table 1), and VBench's dimensions are learned networks (arXiv
# 2311.17982). In the toys' world the truth is known, so here every number is exact, and one can test what the metrics
# themselves respond to.
#
# **After this chapter you can**
#
# - say what each dimension measures, and name a worthless clip that it rewards;
# - compute VBench's totals from their dimensions, and see what a total hides;
# - say how certain a number is, and compare two models precisely;
# - read the paper's claims next to those measured here.

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
CLIPS = 6
VIDEO = "assets/clip.mp4"
FAST = False

# %%
import math

import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown, display

from pusa_lab import data, metrics, pixels, viz
from pusa_lab.notebook import check, setup
from pusa_lab.viz import results
from small_models import experiments, world
from small_models.evaluation import evaluate, suite
from small_models.experiments.claims import claims, share
from small_models.experiments.figures import figure
from small_models.experiments.verdicts import OURS, THEIRS, clearly, find_row, lead
from small_models.world.reader import subjects

device = setup(seed=SEED, shapes=True)
CLIPS = 4 if FAST else CLIPS

# %% [markdown]
# ## By hand
#
# A metric takes clips (b, 3, pixel frames, h, w) in [-1, 1] and returns one number per clip. Take three frames of one
# grey pixel: 0, 0.5 and 0.8. The neighbours predict $(0 + 0.8) / 2 = 0.4$ for the middle, which is off by 0.1.

# %%
grey = 2 * torch.tensor([0.0, 0.5, 0.8]) - 1  # from [0, 1] to [-1, 1]
tiny = grey.view(1, 1, 3, 1, 1).repeat(1, 3, 1, 1, 1)
smooth = metrics.motion_smoothness(tiny).item()
print(f"motion_smoothness {smooth:.3f}")
assert math.isclose(smooth, 1 - abs(0.5 - (0.0 + 0.8) / 2), abs_tol=1e-6), "1 minus the neighbours' prediction error"

# %% [markdown]
# Consistency needs to know what is subject and what is background. VBench uses features of networks; we use **masks**.
# For true clips the world has them exactly. For generated clips, a reader finds them by the colours that the prompt
# names.
#
# **Predict.** Will the reader's masks give the same subject consistency as the true ones?

# %%
scenes = world.draw_scenes(6, evaluate.EVAL_SEED + SEED, world.MINI)[:CLIPS]
length, size = world.MINI.frames, world.MINI.size
truth, exact = world.render(scenes, length, size), world.masks(scenes, length, size)
read = subjects(truth, scenes.colour, scenes.world) * scenes.present[:, :, None, None, None]


def grey_video(mask):
    return pixels.to_uint8(2 * mask.sum(0).clamp(0, 1).expand(3, -1, -1, -1)[None] - 1)[0]


viz.filmstrip(
    {
        "the clip": pixels.to_uint8(truth)[1],
        "true masks": grey_video(exact[1]),
        "masks of the reader": grey_video(read[1]),
    },
    most=9,
)
plt.title(world.captions(scenes)[1], fontsize=8)
plt.show()

known, found = (metrics.subject_consistency(truth, mask) for mask in (exact, read))
for name, values in {"true masks": known, "masks of the reader": found}.items():
    print(f"subject_consistency by {name}: {', '.join(f'{v:.3f}' for v in values.tolist())}")
assert (known - found).abs().mean() < 0.05, "the reader's masks do nearly as well"

# %% [markdown]
# ## Which damage does each dimension detect?
#
# Now damage the clips. Three kinds are worthless on purpose (`suite.destroyed`): frames of other clips, noise, and a
# blur. Three are subtle: frame 0 **frozen** for the whole clip, everything **darker from half-way** on, and the clip
# **mirrored**, with left and right exchanged.
#
# To the right of VBench's dimensions are scores that only this world can provide: `text_alignment` (are the objects
# those of the prompt, and do they move as it says), `physics_error` (by how many pixels they violate its law of motion)
# and `position_error` (how far they are from where they truly are).
#
# **Predict.** Write down for frozen, darker and mirrored which columns will turn dark.


# %%
def darker_half_way(clip):
    out = clip.clone()
    out[:, :, clip.shape[2] // 2 :] = 0.7 * (out[:, :, clip.shape[2] // 2 :] + 1) - 1
    return out


def measured(clip):
    found = suite.appearance(clip, scenes, truth[:, :, :1]) | suite.obedience(clip, scenes)
    found["position_error"] = suite.fidelity(clip, truth, scenes, [0])["position_error"]
    return suite.add_totals(found, scale)


tables = ("suite", "cost", "preserved", "steps", "schedules")
shelf = {name: experiments.read_results(experiments.RESULTS / f"{name}.json") for name in tables}
scale = shelf["suite"]["scale"]  # for VBENCH: the scores of worthless and of true clips
clips = {
    "truth": truth,
    "frozen": truth[:, :, :1].repeat(1, 1, length, 1, 1),
    "darker from half-way": darker_half_way(truth),
    "mirrored": truth.flip(-1),
    **suite.destroyed(truth),
}
grid = {name: measured(clip) for name, clip in clips.items()}

# %%
hundred = [*suite.VBENCH, "total", "text_alignment"]
columns = [*suite.VBENCH, "total", "flicker", "text_alignment", "physics_error", "position_error"]
raw = torch.stack([torch.stack([grid[name][c].float().nanmean() for c in columns]) for name in grid])
times = torch.tensor([100.0 if c in hundred else 1.0 for c in columns])
sign = torch.tensor([-1.0 if c == "flicker" or c.endswith("error") else 1.0 for c in columns])  # low is good
good = sign * raw
worst = good.nan_to_num(torch.inf).amin(0)
bright = ((good - worst) / (good[0] - worst)).clamp(0, 1)

fig, ax = plt.subplots(figsize=(12, 4.4), layout="constrained")
ax.imshow(bright, aspect="auto", vmin=0, vmax=1)
for r, row in enumerate((times * raw).tolist()):
    for c, value in enumerate(row):
        ink, label = "white" if bright[r, c] < 0.5 else "black", "none found" if math.isnan(value) else f"{value:.1f}"
        ax.text(c, r, label, ha="center", va="center", color=ink, fontsize=9)
units = {
    "flicker": "flicker\n(of 255)",
    "physics_error": "physics error\n(pixels)",
    "position_error": "position error\n(pixels)",
}
ax.set_xticks(range(len(columns)), [units.get(c, c.replace("_", "\n")) for c in columns], fontsize=8)
ax.set_yticks(range(len(grid)), list(grid))
ax.set_title(
    f"mean of {len(truth)} clips; yellow: as good as the truth or better, dark: worst of its column; no unit: of 100"
)
plt.show()

# %% [markdown]
# What the figure shows, computed. **A frozen clip is as good as the truth, or better, wherever appearance is
# compared**: what never changes is consistent, smooth and just like the given picture. Of VBench's seven, only
# `dynamic_degree` objects.

# %%
mean = {name: dict(zip(columns, row.tolist(), strict=True)) for name, row in zip(grid, raw, strict=True)}
frozen, true = mean["frozen"], mean["truth"]
looks = [c for c in suite.VBENCH if c not in ("dynamic_degree", "imaging_quality")]
assert all(frozen[c] >= true[c] - 1e-4 for c in looks), "frozen is as consistent, as smooth and as close to its picture"
assert abs(frozen["imaging_quality"] - true["imaging_quality"]) < 0.05, "and each frame looks as good"
assert frozen["dynamic_degree"] == 0 < true["dynamic_degree"], "dynamic_degree detects it"
assert frozen["text_alignment"] < true["text_alignment"] - 0.2, "so does the prompt"
assert frozen["physics_error"] > true["physics_error"] + 1, "so does the law of motion"
assert frozen["position_error"] > true["position_error"] + 1, "and so does the truth"
print(f"Total of 100: truth {100 * true['total']:.1f}, frozen {100 * frozen['total']:.1f}")
large = {row["key"]["clips"]: row["scores"]["total"] for row in shelf["suite"]["rows"]}
print(
    ", ".join(f"{name} {100 * large[name][0]:.1f}" for name in ("truth", "frame 0 repeated")), "on 128 scenes (shipped)"
)
assert large["frame 0 repeated"][0] > large["truth"][0] - 0.03, "the Total hardly penalises that nothing moves"

# %% [markdown]
# The other two are opposites. Only the appearance scores detect the darkening; the objects are still where they should
# be. Only the world's truth detects the mirroring; no measure of appearance can tell left from right.

# %%
dark, mirror = mean["darker from half-way"], mean["mirrored"]
assert dark["subject_consistency"] < true["subject_consistency"] - 0.03, "darker: subjects change"
assert dark["background_consistency"] < true["background_consistency"] - 0.005, "and the background"
assert dark["position_error"] < true["position_error"] + 1, "but the objects are where they should be"
alone = ("subject_consistency", "background_consistency", "motion_smoothness", "dynamic_degree", "imaging_quality")
assert all(abs(mirror[c] - true[c]) < 0.01 for c in alone), "mirrored: the clip by itself looks as good as before"
assert mirror["text_alignment"] < true["text_alignment"] - 0.1, "but it does not move as the prompt says"
assert mirror["position_error"] > true["position_error"] + 3, "and is not where the truth is"

# %% [markdown]
# Two more things to notice in the grid: **noise has the best `imaging_quality` of all**, because a measure of sharpness
# takes noise for detail; and a blur is smoother than the truth. No single column is safe. That is why there are
# several.

# %%
assert max(mean, key=lambda name: mean[name]["imaging_quality"]) == "noise", "sharpness rewards noise"
assert mean["blurred"]["motion_smoothness"] > true["motion_smoothness"], "smoothness rewards blur"

# %% [markdown]
# ## VBench's totals
#
# Each dimension has a range, and is normalised to $n = (s - \text{low}) / (\text{high} - \text{low})$. Quality and I2V
# are weighted means of these, and the Total is the mean of the two (arXiv 2311.17982, 2411.13503):
#
# $$Q = \frac{\sum_k w_k n_k}{\sum_k w_k}, \qquad \text{Total} = \frac{Q + I}{2}$$
#
# Here are Pusa's nine numbers of Table 1 (arXiv 2507.16116), with range and weight.
#
# **Predict.** Dynamic degree has only half the weight of most others, and consistency lies near the top of its range.
# By how much would the Total fall if Pusa's videos did not move at all?

# %% tags=["nbval-check-output"]
pusa = {
    "subject_consistency": 92.27,
    "background_consistency": 96.02,
    "motion_smoothness": 98.49,
    "dynamic_degree": 52.60,
    "aesthetic_quality": 63.15,
    "imaging_quality": 68.27,
    "i2v_subject": 97.64,
    "i2v_background": 99.24,
    "camera_motion": 29.46,
}
table_1 = {"quality": 79.80, "i2v": 94.84, "total": 87.32}
scores = {name: value / 100 for name, value in pusa.items()}
formed = metrics.totals(scores)
lines = ["| dimension | Pusa | range | normalised | weight |", "|---|---|---|---|---|"]
for name, value in scores.items():
    (low, high), weight = metrics.RANGES[name], (metrics.QUALITY | metrics.I2V)[name]
    n = (value - low) / (high - low)
    lines.append(f"| {name} | {pusa[name]:.2f} | {100 * low:.2f} to {100 * high:.2f} | {100 * n:.2f} | {weight:g} |")
display(Markdown("\n".join(lines)))
for name, printed in table_1.items():
    print(f"{name:8} {100 * formed[name]:.2f}, in the paper {printed:.2f}")
    assert abs(100 * formed[name] - printed) < 0.011, "the paper's, up to the rounding of the nine numbers"

# %% [markdown]
# Now freeze the videos, on paper: perfect consistency, smoothness and similarity, no motion, and the other three as
# they are.

# %% tags=["nbval-check-output"]
perfect = ("subject_consistency", "background_consistency", "motion_smoothness", "i2v_subject", "i2v_background")
still = scores | {name: metrics.RANGES[name][1] for name in perfect} | {"dynamic_degree": 0.0}
total = 100 * metrics.totals(still)["total"]
print(f"Pusa {table_1['total']:.2f}, Pusa frozen {total:.2f}")
assert total > table_1["total"], "a frozen Pusa would have the higher Total"

# %% [markdown]
# So a Total alone cannot say that an image was brought to life. Read `dynamic_degree` next to it, as Table 1 allows:
# Animate-Anything moves in 2.68 % of its videos and still has a Total of 86.48. That is why the truth is measured here
# too; it is no criticism of the paper, which prints all columns.
#
# ## How certain is a number?
#
# The shipped results come from an H200. In `cost.json` a number is the mean over 128 unseen prompts with 5 seeds each,
# and the means by prompt are kept. Resampling *prompts* asks: what if the scenes had been others? (`metrics.bootstrap`)
#
# The seeds of one prompt give similar scores, because a hard scene is hard with every seed. Treating every clip as
# independent claims more information than there is. The extreme case: each prompt's number repeated five times.
#
# **Predict.** How much narrower does the interval get, and have we learned anything?

# %%
cost = shelf["cost"]
budgets = cost["sizes"]["budgets"]
ours = {s: find_row(cost, way=OURS, share=s) for s in budgets}
theirs = {s: find_row(cost, way=THEIRS, share=s) for s in budgets}


def width(interval):
    return interval.high - interval.low


def with_interval(interval, unit=" dB"):
    return f"{interval.mean:.2f}{unit} ({interval.low:.2f} to {interval.high:.2f})"


by_prompt = torch.tensor(ours[budgets[-1]]["by_prompt"]["psnr"])
prompts = torch.arange(len(by_prompt))
once, copies = metrics.bootstrap(by_prompt), metrics.bootstrap(by_prompt.repeat(5))
grouped = metrics.bootstrap(by_prompt.repeat(5), prompts.repeat(5))
for name, interval in {"prompts": once, "five copies, ungrouped": copies, "five copies, by prompt": grouped}.items():
    print(f"{name:22} {with_interval(interval)}")
assert torch.allclose(torch.tensor(once), torch.tensor(ours[budgets[-1]]["scores"]["psnr"]), atol=0.01), (
    "as in the file"
)
assert width(copies) < 0.6 * width(once), "copies look like information"
assert torch.allclose(torch.tensor(grouped), torch.tensor(once)), "grouped by prompt they add none"

# %% [markdown]
# Now real numbers that are correlated but no copies: the same prompts at all nine budgets. How good is VTA over all of
# them?

# %%
rows = torch.tensor([ours[s]["by_prompt"]["psnr"] for s in budgets])
group = torch.arange(rows.shape[1]).repeat(len(rows))
naive, honest = metrics.bootstrap(rows.flatten()), metrics.bootstrap(rows.flatten(), group)
print(f"{rows.numel():,} independent clips {with_interval(naive)}")
print(f"{rows.shape[1]:>5} prompts           {with_interval(honest)}")
alike = torch.corrcoef(rows)[~torch.eye(len(rows), dtype=torch.bool)].mean()
print(f"mean correlation of two budgets over prompts: {alike:.2f}")
assert alike > 0.3, "hard scenes are hard at every budget"
assert width(honest) > 1.4 * width(naive), "so the honest interval is wider"

# %% [markdown]
# The same correlation *helps* where two models are compared prompt by prompt: what makes a scene hard cancels.
# `verdicts.lead` does that.
#
# **Predict.** On the left are VTA and Wan's way with their intervals. At which budgets could you name a winner?

# %%
pairs = {s: (ours[s]["scores"]["total"], theirs[s]["scores"]["total"]) for s in budgets}
leads = {s: lead(ours[s], theirs[s], "total") for s in budgets}
fig, axes = plt.subplots(1, 2, figsize=(12, 3.6), layout="constrained")
for i, (way, marker) in enumerate({OURS: "o", THEIRS: "s"}.items()):
    means, low, high = 100 * torch.tensor([pairs[s][i] for s in budgets]).T
    at = torch.arange(len(budgets)) + 0.2 * i - 0.1
    axes[0].errorbar(at, means, torch.stack([means - low, high - means]), fmt=marker, capsize=3, label=way)
means, low, high = 100 * torch.tensor(list(leads.values())).T
axes[1].errorbar(
    range(len(budgets)), means, torch.stack([means - low, high - means]), fmt="D", capsize=3, color="black"
)
axes[1].axhline(0, color="gray", lw=1)
for ax in axes:
    ax.set_xticks(range(len(budgets)), map(share, budgets))
    ax.set_xlabel("budget, as a share of the base's training")
axes[0].set(ylabel="Total, of 100", title="two intervals")
axes[0].legend(loc="lower right")
axes[1].set(ylabel="Total: VTA ahead by", title="one interval, of the difference by prompt")
plt.show()

overlap = [s for s, (a, b) in pairs.items() if a[1] < b[2] and b[1] < a[2]]
decided = [s for s in overlap if clearly(leads[s])]
print(
    f"intervals overlap at {len(overlap)} of {len(budgets)} budgets; of these, {len(decided)} are clear prompt by prompt"
)
apart = [math.hypot(*(high - low for _, low, high in pairs[s])) for s in budgets]
sharper = sum(apart) / sum(width(leads[s]) for s in budgets)
print(f"the paired interval is {sharper:.1f} times as sharp as that of two independent means")
assert all(width(leads[s]) < w for s, w in zip(budgets, apart, strict=True)), "pairing is sharper at every budget"
assert sharper > 1.5 and decided, "overlapping intervals do not mean that nothing is known"

# %% [markdown]
# A clear difference need not be a large one: look at the axis on the right. And a difference that is clear in one score
# need not be in another. At the smallest budget, compare who is ahead in the Total and in the PSNR against the truth:

# %%
least = budgets[0]
by_score = {name: lead(ours[least], theirs[least], name) for name in ("total", "psnr")}
print(f"{share(least)} of the base's training, VTA ahead by")
print(f"  Total {100 * by_score['total'].mean:+.2f} of 100, PSNR {by_score['psnr'].mean:+.2f} dB")
assert clearly(by_score["psnr"]) > 0 > clearly(by_score["total"]), "two scores, two clear and opposite answers"

# %% [markdown]
# So always name the score. And no interval here says what *another training run* would give: each of these models was
# trained once.
#
# ## The paper's claims
#
# ### One two-hundredth of the cost
#
# Chapter 5 showed the curves. Here the question is turned around: **what budget does Wan's way need to reach the PSNR
# of VTA?** The answer is a multiple of VTA's budget: above 1, VTA is cheaper.
#
# **Predict.** The ratio at the smallest budget, and at the largest.

# %% tags=["nbval-check-output"]
ratios = {r["share"]: r for r in cost["ratios"]}
lines = ["| budget of VTA | its PSNR | Wan's way needs | |", "|---|---|---|---|"]
for s, r in ratios.items():
    middle, low, high = r["ratio"]
    verdict = "VTA is cheaper" if low > 1 else "Wan's way is cheaper" if high < 1 else "no clear difference"
    lines.append(
        f"| {share(s)} | {r['score']:.2f} dB | {r['bound']} {middle:.2f} times ({low:.2f} to {high:.2f}) | {verdict} |"
    )
display(Markdown("\n".join(lines)))
cheaper = [share(s) for s, r in ratios.items() if r["ratio"][1] > 1]
dearer = [share(s) for s, r in ratios.items() if r["ratio"][2] < 1]
print(f"VTA is clearly cheaper at {', '.join(cheaper)} of the base's training, Wan's way at {', '.join(dearer)}.")
assert ratios[min(ratios)]["ratio"][1] > 1, "at the smallest budget VTA is cheaper"
assert ratios[max(ratios)]["ratio"][2] < 1, "at the largest Wan's way is"

# %% [markdown]
# So on this toy VTA is the quick start: it needs no new input, and with very little training it is ahead. A model made
# for image to video alone soon overtakes it and stays ahead at that one task. VTA spends its budget on *every*
# combination of timesteps, and gets all other tasks in return (chapter 6). The paper's 1/200 compares with Wan-I2V's
# whole training, at an estimated number of samples, not with the same budget; Table 5a does, and has VTA ahead
# throughout. That is not what is found here.
#
# ### What is kept
#
# The paper shows text-to-video after the adaptation in pictures and does not measure it. Here is the text alignment of
# the base, and of the models adapted in either way.
#
# **Predict.** How well does Wan's way follow the prompt when its picture is omitted?

# %%
preserved = shelf["preserved"]
figure(preserved)
plt.show()
kept, base = (find_row(preserved, model=name)["scores"]["text_alignment"] for name in ("VTA, shipped", "base"))
gone = find_row(preserved, model="Wan's way, shipped, without its picture")["scores"]["text_alignment"]
assert kept[2] > base[1], "VTA follows prompts no worse than its base"
assert gone[2] < base[1], "Wan's way forgets how to work without a picture"

# %% [markdown]
# ### How many steps
#
# **Predict.** From how many steps on does nothing change any more? And which solver is best with five calls?

# %%
figure(shelf["steps"])
plt.show()
two, ten, fifty = (find_row(shelf["steps"], solver="euler", steps=n)["scores"]["total"] for n in (2, 10, 50))
print(f"Euler, Total of 100: 2 steps {100 * two[0]:.1f}, 10 steps {100 * ten[0]:.1f}, 50 steps {100 * fifty[0]:.1f}")
assert two[2] < ten[1], "two steps are too few"
assert ten[1] < fifty[0] < ten[2], "ten are as good as fifty"
five = {r["key"]["solver"]: r["scores"]["psnr"][0] for r in shelf["steps"]["rows"] if r["key"]["calls"] == 5}
print("PSNR with five calls, in dB: " + ", ".join(f"{name} {five[name]:.1f}" for name in sorted(five, key=five.get)))
assert max(five, key=five.get) == "euler", "with five calls the simplest solver is best here"

# %% [markdown]
# ### The suite on clips of known quality, and long videos
#
# The grid from above on more scenes, including clips that went through the codec: the best that `mini` can reach. In
# the totals a dimension counts as 100 when it equals that of true clips through the codec, so a clip without the
# codec's loss can exceed 100.
#
# **Predict.** Which of the rows has the highest Total?

# %%
figure(shelf["suite"])
plt.show()
alignment = {row["key"]["clips"]: row["scores"]["text_alignment"] for row in shelf["suite"]["rows"]}
print(f"the highest Total: {max(large, key=lambda name: large[name][0])}")
assert alignment["truth"][1] > 0.95, "the reader finds what true clips show"
assert alignment["frame 0 repeated"][2] < alignment["truth through the codec"][1], "and what frozen clips lack"

# %% [markdown]
# And long videos by extension, window after window, with the schedules of chapter 2. The paper has no such table.
#
# **Predict.** Some schedules take nine times as many rows as others. Are their videos closer to the truth?

# %%
long = shelf["schedules"]
fig, axes = plt.subplots(1, 2, figsize=(10, 2.8), layout="constrained", sharey=True)
for ax, name, label in zip(axes, ("psnr", "position_error"), ("PSNR (dB)", "objects off by (pixels)"), strict=True):
    labels = [f"{r['key']['schedule']}, {r['key']['rows a window']} rows" for r in long["rows"]]
    results.plot_bars(
        ax, {"": dict(zip(labels, [r["scores"][name] for r in long["rows"]], strict=True))}, from_zero=False
    )
    ax.set_xlabel(label)
fig.suptitle(f"{long['title']}: mean and 95 % interval over prompts", fontsize=10)
plt.show()
ends = [row["scores"]["psnr"] for row in long["rows"]]
best, last = max(ends), min(ends)
print(f"best and worst mean are {best[0] - last[0]:.2f} dB apart, an interval is {best[2] - best[1]:.2f} dB wide")
assert best[1] < last[2], "these intervals do not separate the schedules"

# %% [markdown]
# ### All claims side by side

# %%
lines = ["| claim | paper | here |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in claims())]
display(Markdown("\n".join(lines)))

# %% [markdown]
# Read it for what it is: toys in a world of moving shapes, each model trained once. Where a direction agrees, the idea
# holds at this scale too; where it does not, this scale does not show it. `pusa-lab bench paper` measures all of it
# again.
#
# ## Clips without a known truth
#
# For a clip from a file, no masks are known. `metrics.foreground` takes whatever differs from its own median over time.
#
# **Predict.** It finds what moves. What does it find in a frozen clip?

# %%
video = data.read_clip(VIDEO)
clip = pixels.to_pixels(video)
order = torch.randperm(clip.shape[2], generator=torch.Generator().manual_seed(SEED))
real = {"the clip": clip, "frozen": clip[:, :, :1].repeat(1, 1, clip.shape[2], 1, 1), "shuffled": clip[:, :, order]}
moving = {name: metrics.foreground(x) for name, x in real.items()}
viz.filmstrip({"the clip": video, "foreground": grey_video(moving["the clip"][0])}, most=9)
plt.show()

lines = ["| | subject | background | smoothness | moves | sharpness | flicker |", "|---|---|---|---|---|---|---|"]
seen = {}
for name, x in real.items():
    with_mask = [f(x, moving[name]) for f in (metrics.subject_consistency, metrics.background_consistency)]
    alone = [f(x) for f in (metrics.motion_smoothness, metrics.dynamic_degree, metrics.imaging_quality)]
    seen[name] = [v.item() for v in (*with_mask, *alone, metrics.flicker(x, moving[name]))]
    lines.append(f"| {name} | {' | '.join(f'{v:.3f}' for v in seen[name])} |")
display(Markdown("\n".join(lines)))
assert math.isnan(seen["frozen"][0]), "where nothing moves no subject is found"
assert seen["shuffled"][2] < seen["the clip"][2], "shuffled frames are less smooth"
assert math.isclose(seen["shuffled"][4], seen["the clip"][4], abs_tol=1e-4), "but each as sharp as before"

# %% [markdown]
# The subject's score is low, although nothing is wrong with the clip. Is it the clip or the mask? On our own scenes
# both masks are available.

# %%
guessed = metrics.subject_consistency(truth, metrics.foreground(truth)).nanmean()
print(f"true clips, subject_consistency: true masks {known.nanmean():.3f}, foreground {guessed:.3f}")
assert guessed < known.nanmean() - 0.05, "it is the mask: compare only numbers that were made with the same one"

# %% [markdown]
# ## Exercises
#
# **1 · Fill in.** VBench's normalisation and weighted mean, for the dimensions that `weights` names.


# %% tags=["exercise"]
def my_mean(scores, ranges, weights): ...  # three dicts by dimension; ranges hold (low, high)


# %% tags=["check"]
means = [my_mean(scores, metrics.RANGES, weights) for weights in (metrics.QUALITY, metrics.I2V)]
check(None if None in means else torch.tensor(means), torch.tensor([formed["quality"], formed["i2v"]]))

# %% [markdown]
# **2 · Vary.** A kind of damage that `motion_smoothness` detects, falling by at least 0.01, and `imaging_quality` does
# not: it must stay within 0.01.


# %% tags=["exercise"]
def my_damage(clip): ...  # (b, 3, pf, h, w) to the same shape, in [-1, 1]


# %% tags=["check"]
damaged = my_damage(truth.clone())
if damaged is None:
    check(None, True)
else:
    fell = [(f(truth) - f(damaged)).mean() for f in (metrics.motion_smoothness, metrics.imaging_quality)]
    print(f"smoothness fell by {fell[0]:.3f}, sharpness by {fell[1]:.3f}")
    check(torch.tensor([fell[0] > 0.01, abs(fell[1]) < 0.01]), torch.tensor([True, True]))

# %% [markdown]
# **3 · Invent.** A metric of your own that puts every true clip above its frozen version *and* above noise. None of the
# seven does: look at the grid.


# %% tags=["exercise"]
def my_metric(clip): ...  # (b, 3, pf, h, w) to (b,), high is good


# %% tags=["check"]
mine = {name: my_metric(clips[name]) for name in ("truth", "frozen", "noise")}
if mine["truth"] is None:
    check(None, True)
else:
    above = torch.stack([mine["truth"] > mine["frozen"], mine["truth"] > mine["noise"]])
    check(above, torch.ones(2, len(truth), dtype=torch.bool))

# %% [markdown]
# ## Recap
#
# | question | measure | weakness |
# |---|---|---|
# | is it consistent | `subject_consistency`, `background_consistency` | rewards frozen clips |
# | does it match its picture | `i2v_subject`, `i2v_background` | rewards frozen clips |
# | is it smooth, does it move | `motion_smoothness`, `dynamic_degree` | rewards frozen or blurred clips, and noise |
# | is it sharp | `imaging_quality` | rewards noise |
# | does it follow the prompt | `text_alignment`, `physics_error` | needs this world |
# | is it true | `psnr`, `ssim`, `position_error` | needs the truth |
# | how certain is it | `metrics.bootstrap` by prompt, `verdicts.lead` in pairs | covers a single training run |
#
# *What could go wrong:* reading a Total without `dynamic_degree`; counting seeds as scenes; calling overlapping intervals
# "no difference"; comparing numbers from different masks; taking a clear difference for a large one.
#
# *Where the code lives:* `pusa_lab/metrics/`, `small_models/evaluation/suite.py`, `small_models/experiments/` (tables, verdicts,
# figures), `small_models/results/paper/` (what was measured).
#
# *References:* Pusa V1.0, arXiv 2507.16116; VBench, arXiv 2311.17982; VBench++, arXiv 2411.13503.
#
# *Next:* 8 · Ablations.
