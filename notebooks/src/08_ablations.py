# %% [markdown]
# # 8 · Ablations: steps, rank, strength, timestep samplers
#
# ***You changed one setting, and the number went up. Was it the setting?***
#
# *You need: chapters 3, 5 and 7. Time: 25 minutes of reading, about half a minute of CPU.*
#
# It may have been the scene, or the seed. An ablation changes one thing, holds everything else, and measures both
# sides on the same prompts with the same seeds. In this chapter you run one in ten lines, and then read those that led
# to this toolkit's best way of training.
#
# **After this chapter you can**
#
# - run an ablation of your own, judge it in pairs, and resume it after a crash;
# - say why the most exact solver need not come closest to the truth;
# - say what strength, rank and the timestep sampler do, and which timesteps are worth training on.

# %% tags=["setup"]
# build.py puts the installing cell here.

# %% tags=["parameters"]
SEED = 0
PROMPTS = 12
CLIPS = 5
STEPS = (1, 4, 8, 32)
EXACT = 64
FAST = False

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown, display

import pusa_lab.notebook as nb
import small_models
from pusa_lab import compare, metrics, pixels, sweep, tasks, viz
from pusa_lab.generate import generate
from pusa_lab.training import add_lora
from small_models import experiments, world
from small_models.evaluation import evaluate
from small_models.experiments.claims import share
from small_models.experiments.recipe import read_search
from small_models.experiments.rows import pick, values
from small_models.experiments.verdicts import clearly, find_row, lead

device = nb.setup(seed=SEED, shapes=True)
PROMPTS, CLIPS, STEPS, EXACT = (6, 4, (1, 4, 8), 32) if FAST else (PROMPTS, CLIPS, STEPS, EXACT)
names = ("steps", "lora", "timestep_samplers", "cost", "recipes")
shelf = {name: experiments.read_results(experiments.RESULTS / f"{name}.json") for name in names}
search = read_search(experiments.RESULTS / "recipe.json")["rows"]


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    display(Markdown("\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)))


# %% [markdown]
# ## Same prompts, same seeds
#
# Scenes differ far more than settings do. An easy scene may score ten decibels above a hard one with *every* setting,
# so two means tell little. The differences, prompt by prompt, tell a lot.

# %% tags=["hide-input"]
nb.diagram(
    "08_same_prompts_same_seeds",
    "Bars of scores for settings A and B on four prompts differ much from prompt to prompt, but the bars of their "
    "differences, prompt by prompt, are all short and of about the same length.",
)

# %% [markdown]
# ## Your own ablation, in ten lines
#
# Does **guidance** help the small model `nano-vta` at image to video? `sweep` takes a model, the settings to try, and
# what all of them share. Every row is one video, scored against the truth. `compare` takes the differences in pairs.

# %%
scenes = world.draw_scenes(PROMPTS, evaluate.EVAL_SEED + SEED, world.NANO)
clips = pixels.to_uint8(world.render(scenes, world.NANO.frames, world.NANO.size))
truth = dict(zip(world.captions(scenes), clips, strict=True))
folder = tempfile.TemporaryDirectory()


def start(prompt):
    return tasks.image_to_video(truth[prompt][0])


same = {"prompts": list(truth), "seeds": [0, 1], "metrics": ["psnr"], "truth": truth, "cache": folder.name}
rows = sweep("nano-vta", {"task": [start], "steps": [4], "guidance": [1.0, 2.0]}, **same)
found = compare(rows, {"guidance": 1.0}, "psnr")

# %% [markdown]
# **Predict.** Two seeds and a dozen prompts. Will the mean go up, and will you be able to say so?

# %%
by_prompt = rows.pivot_table(index="prompt", columns="guidance", values="psnr")
(one,) = found.itertuples()
fig, axes = plt.subplots(1, 2, figsize=(9.5, 3.2), layout="constrained", width_ratios=(1, 1.6))
for pair in by_prompt.values:
    axes[0].plot([0, 1], pair, "o-", color="#0072B2", alpha=0.5)
axes[0].set(xticks=[0, 1], xticklabels=["1", "2"], xlim=(-0.3, 1.3), xlabel="guidance", ylabel="PSNR (dB)")
axes[1].bar(range(len(by_prompt)), (by_prompt[2.0] - by_prompt[1.0]).sort_values(), color="#0072B2")
axes[1].axhspan(one.low, one.high, color="#D55E00", alpha=0.25, label="95 % interval of the mean")
axes[1].axhline(one.difference, color="#D55E00", label=f"mean {one.difference:+.2f} dB")
axes[1].set(xlabel="prompts, sorted", ylabel="gain (dB)", xticks=[])
axes[1].legend(loc="upper left")
plt.show()
print(f"guidance 2 against 1: {one.difference:+.2f} dB ({one.low:+.2f} to {one.high:+.2f}), {one.pairs} pairs")
assert one.low < 0 < one.high, "these pairs do not decide it"

# %% [markdown]
# <details><summary>Answer</summary>
#
# On the left, lines that slope gently and lie far apart: the scenes. On the right, their slopes: some prompts gain by
# guidance, others lose, and the interval of the mean contains 0. So the honest sentence is "this table does not say".
# Had you tried a single prompt, you would have been certain, of whatever that prompt happened to show.
#
# </details>
#
# The interval resamples *prompts*, each with its two seeds. If you compare several settings with a baseline, `compare`
# widens every interval, so that all of them hold at once: of twenty settings that do nothing, one would otherwise look
# clear by chance.
#
# ## Killed, and resumed
#
# Each row was written to a folder as soon as it was made, under a digest of all that it depends on: model, setting,
# prompt, seed, and the source of your functions. Suppose the machine died here. We run the sweep again, with one more
# value of guidance.
#
# **Predict.** How many rows are made now?

# %%
kept = sorted(path.name for path in Path(folder.name).glob("rows/*.json"))
more = sweep("nano-vta", {"task": [start], "steps": [4], "guidance": [1.0, 2.0, 4.0]}, **same)
there = sorted(path.name for path in Path(folder.name).glob("rows/*.json"))
print(f"rows in the table: {len(more)}, made just now: {len(set(there) - set(kept))}")
assert len(set(there) - set(kept)) == 2 * PROMPTS, "only the rows of the new setting"
assert more[more.guidance < 4].psnr.tolist() == rows.psnr.tolist(), "the others are those of the first run"

# %% [markdown]
# <details><summary>Answer</summary>
#
# Only those of guidance 4. And if you edit `start`, or load other weights, the digests change and nothing old is mixed
# in. An ablation can grow for days this way, on several machines.
#
# </details>
#
# ## Steps: closer to what?
#
# Now to tables that took a GPU, measured in the same way. `steps.json` has image to video with `mini-vta`, for 64
# unseen prompts with 5 seeds each.
#
# **Predict.** Multistep solvers have a higher order (chapter 3). Are they ahead of Euler at four calls?

# %% tags=["hide-input"]
solvers = {"euler": "#0072B2", "ab2": "#D55E00", "dpmpp_2m": "#009E73", "unipc": "#CC79A7"}
fig, ax = plt.subplots(figsize=(9.5, 3.4), layout="constrained")
for i, (solver, colour) in enumerate(solvers.items()):
    shown = [row for row in pick(shelf["steps"]["rows"], solver=solver) if row["key"]["calls"] <= 20]
    mean, low, high = torch.tensor([row["scores"]["psnr"] for row in shown]).T
    calls = [row["key"]["calls"] * 1.02**i for row in shown]  # a little apart, so that no curve hides another
    ax.errorbar(calls, mean, torch.stack([mean - low, high - mean]), fmt="o-", ms=4, capsize=2, c=colour, label=solver)
ax.set(xscale="log", xlabel="calls of the denoiser", ylabel="PSNR of the free frames (dB)")
ax.set_xticks([2, 4, 5, 10, 20], ["2", "4", "5", "10", "20"])
ax.minorticks_off()
ax.legend()
plt.show()


# %%
def shipped(solver, steps):
    return find_row(shelf["steps"], solver=solver, steps=steps)


for other in ("ab2", "dpmpp_2m", "unipc"):
    gap = lead(shipped("euler", 4), shipped(other, 4))
    print(f"4 calls: Euler is ahead of {other:8} by {gap.mean:.1f} dB ({gap.low:.1f} to {gap.high:.1f})")
    assert clearly(gap) > 0, "with four calls Euler is clearly ahead"

# %% [markdown]
# <details><summary>Answer</summary>
#
# No: with four calls the *simplest* solver is clearly ahead of all others, and from ten calls on they are level.
#
# </details>
#
# Does Euler solve the equation better, then? Ask `nano-vta`, live. Same scenes, same noise, and a sampling loop with
# many steps stands for the **exact answer** of the differential equation. For every video we measure two distances: to
# the exact answer, and to the truth.
#
# **Predict.** At 8 steps, which is closer to the exact answer, Euler or a multistep solver? And to the truth?

# %%
nano = small_models.load("nano-vta", device=device)
some, future = list(truth)[:CLIPS], pixels.to_pixels(clips[:CLIPS])
given = tasks.Task("frame 0", (tasks.Known(clips[:CLIPS, :1], at=0),))


def free(solver, steps):
    made = generate(nano, some, given, solver=solver, steps=steps, guidance=1.0, seed=SEED)
    return made.latents[:, :, 1:].cpu()  # nano has no codec: its latents are pixels


def psnr(latents):
    return metrics.psnr(latents.clamp(-1, 1), future[:, :, 1:]).mean(dim=1)


exact = free("ab2", EXACT)
live = {(solver, n): free(solver, n) for solver in ("euler", "ab2", "unipc") for n in STEPS}
away = {key: (x - exact).square().mean(dim=(1, 2, 3, 4)).sqrt() for key, x in live.items()}
true = {key: psnr(x) - psnr(exact) for key, x in live.items()}  # in pairs, clip by clip

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(9.5, 3.4), layout="constrained")
for (solver, marker), colour in zip({"euler": "o", "ab2": "s", "unipc": "^"}.items(), solvers.values(), strict=False):
    where = [(away[solver, n].mean(), true[solver, n].mean()) for n in STEPS]
    ax.plot(*zip(*where, strict=True), marker=marker, color=colour, label=solver)
    if solver == "euler":
        for n, (x, y) in zip(STEPS, where, strict=True):
            ax.annotate(f"{n}", (x, y), xytext=(-3, 8), textcoords="offset points")
ax.axhline(0, color="gray", lw=1)
ax.set(xlabel="distance to the exact answer", ylabel="closer to the truth than\nthe exact answer, by (dB)")
ax.set_title("numbers: steps of Euler; the others have the same, in the same order")
ax.margins(y=0.2)
ax.legend()
plt.show()

# %%
for other in ("ab2", "unipc"):
    assert (away["euler", 8] - away[other, 8]).mean() > 0.005, "Euler is farther from the exact answer"
    assert (true["euler", 8] - true[other, 8]).mean() > 0.05, "and closer to the truth"
assert true["euler", 1].mean() > true["euler", 8].mean() > 0, "a single step is the closest of all"

# %% [markdown]
# <details><summary>Answer</summary>
#
# The two rankings are *opposite*. Follow the blue curve from left to right: the farther Euler is from the exact answer,
# the closer it is to the truth, and a single step is the closest of all.
#
# </details>
#
# How can a worse solution be nearer to the truth? Let $X$ be what follows the given picture. Several futures are
# possible, with mean $\mu$ and variance $\sigma^2$ per pixel, and the truth is one of them.
#
# 1. A *perfect* sampler returns another one, $X'$, independent of it: $\mathbb{E}\,|X - X'|^2 = 2 \sigma^2$.
# 2. A model that returns the mean has $\mathbb{E}\,|X - \mu|^2 = \sigma^2$, half as much. In decibels that is
#    $10 \log_{10} 2 \approx 3$ ahead.
# 3. One Euler step from $\tau = 1$ to 0 returns the mean: $x - v = \varepsilon - \mathbb{E}[\varepsilon - x_0 \mid
#    \varepsilon] = \mathbb{E}[x_0] = \mu$, because at $\tau = 1$ the input is noise, which says nothing about $x_0$.
#
# So PSNR pays up to 3 dB for *not deciding*. A few Euler steps lie between the mean and a sample, and collect a part of
# it. What they lose can be seen, because a mean of several futures is washed out:

# %%
contrast = {n: (live["euler", n].std(dim=(1, 3, 4)) / exact.std(dim=(1, 3, 4))).mean().item() for n in STEPS}
print("contrast, of the exact answer's: " + ", ".join(f"{n} steps {c:.2f}" for n, c in contrast.items()))
assert contrast[1] < contrast[8] and contrast[1] < 0.95, "one step gives a washed-out mean"
shown = {f"Euler, {n}": pixels.to_uint8(live["euler", n].clamp(-1, 1))[0] for n in STEPS}
_, ax = plt.subplots(figsize=(8, 1.05 * len(shown) + 1.6), layout="constrained")
viz.filmstrip({"truth": clips[0][1:], **shown}, most=7, ax=ax)
ax.set_title(some[0])
ax.set_xlabel("free frames")
ax.set_xticks([])
plt.show()

# %% [markdown]
# So say what you rank by. For the order of a solver, take the distance to the exact answer. For fidelity to *one*
# future, take PSNR, and remember that it likes means.
#
# ## Strength
#
# An update changes the weights from $W_0$ to $W$. **Strength** goes on along the same straight line, or stops short:
#
# $$W_s = W_0 + s \, (W - W_0)$$

# %% tags=["hide-input"]
nb.diagram(
    "08_strength_is_a_line",
    "A straight line in weight space: the base at strength 0, the trained model at 1, and points beyond at 1.4 and 2.",
)

# %% [markdown]
# For a LoRA, $W - W_0 = B A$, and `small_models.load(name, strength=s)` scales that product. The paper's runs use 1.4.
#
# **Predict.** The line is straight in the weights. Will the video at strength 2 show twice the change?

# %%
stretch = (0.0, 1.0, 1.4, 2.0)
minis = {s: small_models.load("mini-vta", device=device, strength=s) for s in stretch}
layer = "dit.blocks.0.attn1.to_q.weight"
w0, w1, w14 = (minis[s].state_dict()[layer] for s in (0.0, 1.0, 1.4))
assert torch.allclose(w14 - w0, 1.4 * (w1 - w0), atol=1e-5), "the change is 1.4 times as large"

scene = world.draw_scenes(1, evaluate.EVAL_SEED + SEED, world.MINI)
target = pixels.to_uint8(world.render(scene, world.MINI.frames, world.MINI.size))[0]
prompt, task = world.captions(scene)[0], tasks.image_to_video(target[0])
made = {s: generate(m, prompt, task, steps=4, guidance=1.0, seed=SEED).video[0] for s, m in minis.items()}
_, ax = plt.subplots(figsize=(10, 5.4), layout="constrained")
viz.filmstrip({"truth": target, **{f"strength {s:g}": video for s, video in made.items()}}, most=9, ax=ax)
ax.set_title(prompt)
plt.show()
ends = [torch.as_tensor(made[s]).float() for s in (0.0, 1.0, 2.0)]
assert (ends[2] - (2 * ends[1] - ends[0])).abs().max() > 10, "a line in the weights is no line in the pixels"

# %% [markdown]
# <details><summary>Answer</summary>
#
# At 0 the base does not know what a clean frame 0 is for. At 1 and 1.4 the square obeys. At 2 it dissolves into colours
# that nobody asked for: a network is far from linear in its weights.
#
# </details>
#
# Which strength is best? One scene cannot tell; `lora.json` has 64 prompts, for trainings of four lengths. In the
# paper's Table 4c the best strength falls from 2.0 to 1.4 as training grows (arXiv 2507.16116).
#
# **Predict.** Why might an *under*-trained update gain from a strength above 1?

# %%
marks = values(shelf["lora"]["rows"], "share")
fig, ax = plt.subplots(figsize=(9.5, 3.2), layout="constrained")
best = {}
for mark, colour in zip(marks, ("#CC79A7", "#009E73", "#D55E00", "#0072B2"), strict=True):
    by_strength = {
        r["key"]["strength"]: r["scores"]["psnr"][0] for r in pick(shelf["lora"]["rows"], rank=64, share=mark)
    }
    best[mark] = max(by_strength, key=by_strength.get)
    ax.plot(
        list(by_strength), list(by_strength.values()), "o-", color=colour, label=f"{share(mark)} of the base's training"
    )
    ax.plot(best[mark], by_strength[best[mark]], "*", ms=16, color=colour)
ax.set(xlabel="strength (star: best)", ylabel="PSNR (dB)", title="LoRA of rank 64", xticks=list(by_strength))
ax.legend(fontsize=9)
plt.show()
assert best[marks[0]] == 1.4 and best[marks[-1]] == 1.0, "short trainings like 1.4, the longest likes 1"

# %% [markdown]
# <details><summary>Answer</summary>
#
# A plausible reason: training finds the direction of the change early, and its length later. If it was stopped early,
# going on in the same direction makes up for some of what is missing. The stars agree: 1.4 after short trainings, 1
# after the longest. By Total the effect is less clear (`docs/claims.md`).
#
# </details>
#
# ## Rank
#
# A LoRA of rank $r$ replaces the update of an $m \times n$ matrix by a product of $m \times r$ and $r \times n$. It has
# $r \, (m + n)$ numbers instead of $m \, n$ (arXiv 2106.09685).
#
# **Predict.** Rank 8 has a few percent of the parameters. What share of the gain does it have?

# %% tags=["nbval-check-output"]
base = small_models.load("mini-base", device=device)
linear = [m for m in base.dit.modules() if isinstance(m, torch.nn.Linear)]
everything = sum(p.numel() for p in base.dit.parameters())
per_rank = sum(m.in_features + m.out_features for m in linear)
untrained = find_row(shelf["cost"], way="timestep vectors, no training")["by_prompt"]["psnr"]
before = sum(untrained[:64]) / 64  # these are the prompts of lora.json
gain, size = {}, {}
for rank in values(shelf["lora"]["rows"], "rank"):
    ends = pick(shelf["lora"]["rows"], rank=rank, share=marks[-1])
    gain[rank] = max(row["scores"]["psnr"][0] for row in ends) - before
    size[rank] = everything if rank == "all weights" else rank * per_rank
part = {r: (100 * size[r] / everything, 100 * gain[r] / gain["all weights"]) for r in gain}
table(
    ["rank", "parameters", "dB gained"], [[r, f"{a:.0f} %", f"{gain[r]:.1f} ({b:.0f} %)"] for r, (a, b) in part.items()]
)

print(f"rank 8: {part[8][0]:.0f} % of the parameters, {part[8][1]:.0f} % of the gain")
add_lora(base.dit, 8)
assert sum(p.numel() for p in base.dit.parameters() if p.requires_grad) == size[8], "the library's LoRA has as many"
assert part[8][0] < 10 and part[8][1] > 50, "a twentieth of the parameters, more than half of the gain"
assert sorted(gain.values()) == list(gain.values()), "a larger rank gains more"

# %% [markdown]
# <details><summary>Answer</summary>
#
# More than half. From rank to rank, each further parameter gains less. Rank 128 has nearly as many parameters as all
# weights and gains less, so on a toy of this width it is not low at all: Wan's 512 of 5120 is a tenth of the width.
#
# </details>
#
# ## Which timesteps should training see?
#
# The paper's answer is *independent* timesteps, one for each frame (Table 2, arXiv 2507.16116). We tried others at
# equal training: some clips with one timestep for all frames (PTSS, with the share of independent clips), timesteps
# that never decrease from frame to frame (AR-Diffusion, arXiv 2503.07418), and frame 0 always clean with one timestep
# for the rest.
#
# **Predict.** All are judged by image to video. Which is the best, and what might it cost?

# %% tags=["hide-input"]
compared, gaps = shelf["timestep_samplers"], {}
for row in pick(compared["rows"], shift=5.0, strength=1.4):
    name = row["key"]["timestep_sampler"]
    if name != "independent" and "task" not in row["key"]:
        gaps[name] = lead(row, find_row(compared, timestep_sampler="independent", shift=5.0, strength=1.4))
fig, ax = plt.subplots(figsize=(9.5, 2.8), layout="constrained")
for y, gap in enumerate(gaps.values()):
    colour = "#0072B2" if gap.mean > 0 else "#D55E00"
    ax.errorbar(gap.mean, y, xerr=[[gap.mean - gap.low], [gap.high - gap.mean]], fmt="o", capsize=4, color=colour)
ax.axvline(0, color="gray", lw=1)
ax.set_yticks(range(len(gaps)), list(gaps))
ax.set(xlabel="PSNR against independent timesteps (dB), prompt by prompt", ylim=(-0.6, len(gaps) - 0.4))
plt.show()

# %%
text = {
    name: find_row(compared, timestep_sampler=name, shift=5.0, task="text_to_video")
    for name in ("independent", "first frame clean, the rest alike")
}
words = lead(text["first frame clean, the rest alike"], text["independent"], "text_alignment")
print(f"frame 0 always clean: text alignment without a picture {100 * words.mean:+.0f} points")
assert clearly(words) < 0 < clearly(gaps["first frame clean, the rest alike"]), "it wins one task and pays in words"
assert gaps["PTSS 0.8"].mean > gaps["PTSS 0.5"].mean > gaps["PTSS 0.2"].mean, "fewer independent clips, worse"

# %% [markdown]
# <details><summary>Answer</summary>
#
# Frame 0 always clean is ahead, since this is exactly the task it is judged by, and it pays with its prompts. The more
# clips with one common timestep, the worse. And non-decreasing timesteps are ahead of independent ones. So the paper's
# choice is good at everything and best at nothing. Is there something better at everything?
#
# </details>
#
# ## The winner
#
# Yes, and the idea is chapter 6 read backwards. If a task is a mask, train on masks: draw a *set of known frames*, put
# these at 0, and give one common timestep to all others. This is the **task mixture**. For half of the clips keep
# independent timesteps, so that odd schedules still work. The search (`pusa-lab bench recipe`) tried 28 settings for a
# short time, and the better ones for longer. Its measure is skill (chapter 7), the mean over four tasks and two
# asynchronous schedules; its condition is that prompts must not clearly suffer.
#
# **Predict.** In the next plot, up is better and right is worse. In which corner should we look?

# %% tags=["hide-input"]
short = [row for row in search if row["rung"] == "0"]
told = {
    "independent": ("independent (the paper)", (2, -18)),
    "task mixture": ("task mixture", (-72, 12)),
    "half, free frames in the loss": ("half and half (star)", (-110, -26)),
    "task mixture, more image-to-video": ("more image to video", (8, 8)),
    "quarter, lr 4e-3": ("four times the learning rate", (-60, 12)),
}
fig, ax = plt.subplots(figsize=(9.5, 4), layout="constrained")
for row in short:
    clear, name = row["text_lost low"] > 0, row["name"]
    at = (100 * row["text_lost"], row["objective"])
    marker = "*" if name == "half, free frames in the loss" else "x" if clear else "o"
    ax.plot(*at, marker, color="#D55E00" if clear else "#0072B2", ms=14 if marker == "*" else 7)
    if name in told:
        ax.annotate(told[name][0], at, xytext=told[name][1], textcoords="offset points")
ax.plot([], [], "o", color="#0072B2", label="keeps its words")
ax.plot([], [], "x", color="#D55E00", label="clearly loses words")
ax.set(xlabel="text alignment lost (points)", ylabel="skill (1 is the truth)", xlim=(-3, 19), ylim=(0.59, 0.76))
ax.legend(loc="lower right")
plt.show()

# %%
last = [row for row in search if row["rung"] == "2" and row["text_lost low"] <= 0]
winner = max(last, key=lambda row: row["objective"])
print(f"after {share(winner['share'])} of the base's training, the best that keeps its words: {winner['name']}")
assert winner["name"] == "half, free frames in the loss"

# %% [markdown]
# <details><summary>Answer</summary>
#
# At the upper left. Timestep samplers with masks form a band near .72, far above independent timesteps at .61. A little
# farther up, crosses: settings that buy skill with words. Trained for longer, the best that keeps its words is *half
# independent, half task mixture*, with known frames left out of the loss (nothing can be learned from a frame without
# noise).
#
# </details>
#
# A winner of 28 has been lucky, too: whoever comes first in a search looks better than it is. So it was trained again,
# with three seeds, on scenes that the search had not used, and compared with independent timesteps in pairs:

# %%
fresh, recipe = shelf["recipes"], "recipe: half, free frames in the loss"
lines = []
for row in pick(fresh["rows"], way=recipe):
    if (task_name := row["key"]["task"]) != "text_to_video":
        gap = lead(row, find_row(fresh, way="independent timesteps", task=task_name))
        lines.append([task_name.replace("_", " "), f"{gap.mean:+.2f} dB", f"{gap.low:+.2f} to {gap.high:+.2f}"])
        assert clearly(gap) > 0, "ahead at every task and schedule"
table(["task, or schedule of image to video", "recipe ahead by", "95 %"], lines)
specialist = lead(
    find_row(fresh, way=recipe, task="image_to_video"), find_row(fresh, way="Wan's way", task="image_to_video")
)
print(f"against Wan's own way, at image to video: {specialist.mean:+.2f} dB")

# %% [markdown]
# Every interval lies above 0: most at image to video, least where several frames are known anyway. Wan's own way, which
# can do one task only, stays half a decibel ahead at it. `pusa-lab train --recipe mixture` trains this way.
#
# ## Exercises
#
# **1 · Fill in.** Strength for *any* training, not only for LoRA. You get two state dicts, `start` and `end`, with the
# same names, and a number `s`. Return a new state dict with $W_0 + s \, (W - W_0)$ under every name. For the states of
# strength 0 and 1 and `s = 1.4` it must give the weights of `small_models.load("mini-vta", strength=1.4)`.
#
# <details><summary>Hint</summary>
#
# A dict comprehension over the names of `end`, with the equation inside.
#
# </details>


# %% tags=["exercise"]
def my_stretch(start, end, s): ...


# %% tags=["check"]
some_layers = [layer, "dit.blocks.1.ffn.up.weight", "dit.time_embedder.0.weight", "dit.time_embedder.0.bias"]


def flat(states):
    return None if states is None else torch.cat([states[name].flatten() for name in some_layers])


zero, whole = minis[0.0].state_dict(), minis[1.0].state_dict()
wrong = {
    "you scale the trained weights themselves. What should be scaled is the change.": (
        flat({k: 1.4 * whole[k] for k in some_layers})
    ),
    "your line starts at the trained model instead of the base.": (
        flat({k: whole[k] + 1.4 * (whole[k] - zero[k]) for k in some_layers})
    ),
    "you go the wrong way along the line: strength 1 should be the trained model.": (
        flat({k: zero[k] + 1.4 * (zero[k] - whole[k]) for k in some_layers})
    ),
    "this is the change alone: the base is missing.": flat({k: 1.4 * (whole[k] - zero[k]) for k in some_layers}),
}
mine = my_stretch if nb.unwritten(my_stretch) else lambda: flat(my_stretch(zero, whole, 1.4))
nb.check(mine, flat(minis[1.4].state_dict()), mistakes=wrong)

# %% [markdown]
# **2 · Vary.** Every call costs money on a large model. From the rows of `steps.json`, find the solver and number of
# steps with the *fewest calls* that is less than half a decibel behind 50 Euler steps, in pairs. `shipped(solver,
# steps)` gives a row, `lead(a, b)` by how much a is ahead of b, and `row["key"]["calls"]` what it costs.
#
# <details><summary>Hint</summary>
#
# Steps of 2, 4, 5, 10, 20 and 50 were measured for `euler`, `heun`, `ab2`, `dpmpp_2m` and `unipc`. The plot under
# "Steps: closer to what?" shows where to look. `heun` calls the model almost twice in each step.
#
# </details>

# %% tags=["exercise"]
my_choice = None  # ("solver", steps)


# %% tags=["check"]
def behind(choice):
    return lead(shipped("euler", 50), shipped(*choice)).mean


nb.check_that(
    my_choice,
    {
        "give a solver and a number of steps that were measured, such as ('heun', 4).": (
            lambda c: len(pick(shelf["steps"]["rows"], solver=c[0], steps=c[1])) == 1
        ),
        "this is half a decibel or more behind.": lambda c: behind(c) < 0.5,
        "it is close enough, but another one needs fewer calls.": lambda c: shipped(*c)["key"]["calls"] <= 5,
    },
)
if my_choice is not None:
    plt.figure(figsize=(7, 3), layout="constrained")
    for row in shelf["steps"]["rows"]:
        key = row["key"]
        chosen = (key["solver"], key["steps"]) == tuple(my_choice)
        look = {"marker": "*", "ms": 18, "color": "#D55E00"} if chosen else {"marker": ".", "ms": 7, "color": "#0072B2"}
        plt.semilogx(key["calls"], behind((key["solver"], key["steps"])), **look)
    plt.axhline(0.5, color="gray", lw=1)
    plt.gca().set(xlabel="calls", ylabel="behind 50 Euler steps (dB)", title="star: yours")
    plt.show()

# %% [markdown]
# **3 · Invent.** An ablation of your own on a nano model, with a *clear* answer. Assign the table that `sweep` returns:
# at least two settings, at least ten pairs (prompts times seeds), the metric `psnr`, and `cache=folder.name`. The first
# setting is the baseline. Success is a plot in which one interval does not touch 0.
#
# <details><summary>Hint</summary>
#
# Copy the call from "Your own ablation, in ten lines". A clear answer needs a large effect or many pairs: compare one
# step with four, or two models (`sweep(None, {"model": ["nano-base", "nano-vta"], …})`), or two schedules.
#
# </details>

# %% tags=["exercise"]
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
        "there are fewer than ten pairs of prompt and seed.": lambda df: len(df) >= 10 * settings_of(df),
        "no difference is clear: every interval contains 0. Take a larger effect, or more pairs.": (
            lambda df: ((against_first(df).low > 0) | (against_first(df).high < 0)).any()
        ),
    },
)
if my_table is not None:
    plt.figure(figsize=(7, 2), layout="constrained")
    for y, line in enumerate(against_first(my_table).itertuples()):
        plt.errorbar(line.difference, y, xerr=[[line.difference - line.low], [line.high - line.difference]], fmt="o")
    plt.axvline(0, color="gray", lw=1)
    plt.gca().set(xlabel="PSNR against your first setting (dB)", yticks=[])
    plt.show()
folder.cleanup()

# %% [markdown]
# ## Recap
#
# | setting | what it does | found here |
# |---|---|---|
# | steps, solver | how close to the exact answer | PSNR likes means, and may reverse the ranking |
# | strength | $W_0 + s (W - W_0)$ | above 1 helps a short training; 2 breaks it |
# | rank | $r (m + n)$ numbers a layer | rank 8 has more than half of the gain |
# | timestep sampler | which timestep vectors training sees | half independent, half task mixture: ahead at every task |
# | known frames in the loss | a frame without noise teaches nothing | leave them out |
#
# *What could go wrong:* one prompt, one seed, great certainty; two overlapping intervals read as "no difference";
# ranking solvers by a score that likes means; quoting the winner of a search with the score that made it win; taking
# one training run for a law.
#
# *Where the code lives:* `pusa_lab/sweeps/run.py` (`pusa_lab.sweep`), `pusa_lab/sweeps/compare.py`
# (`pusa_lab.compare`), `small_models/models/lora.py` (strength), `small_models/experiments/recipe_search.py` (the
# search), `docs/claims.md` (all tables).
#
# *References:* Pusa V1.0, arXiv 2507.16116; LoRA, arXiv 2106.09685; AR-Diffusion, arXiv 2503.07418.
