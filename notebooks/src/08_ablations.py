# %% [markdown]
# # 8 · Ablations: steps, rank, strength, timestep samplers
#
# *You need: chapters 3, 5 and 7. Time: 20 minutes of reading, about half a minute of CPU.*
#
# An ablation changes one setting, keeps all others, and measures. Earlier chapters showed results. Here we look behind
# those figures: what a setting does, what it costs, what a table can say and what it cannot. Then you run your own.
#
# **After this chapter you can**
#
# - say why the solver closest to the exact answer need not be the one closest to the truth;
# - scale an update, count what a rank costs, and compare timestep samplers prompt by prompt;
# - run an ablation of your own that survives being killed, and keep its result.

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
CLIPS = 5
STEPS = (1, 4, 8, 32)
EXACT = 64
FAST = False

# %%
import logging
import tempfile
from dataclasses import replace
from pathlib import Path

import lightning.pytorch
import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown, display

import small_models
from pusa_lab import compare, metrics, pixels, sweep, tasks, viz
from pusa_lab.evaluation import known_frames
from pusa_lab.generate import generate
from pusa_lab.notebook import check, setup
from pusa_lab.sweeps import averages
from pusa_lab.training import add_lora
from small_models import experiments, world
from small_models.evaluation import evaluate
from small_models.experiments import SMALL, Adaptation, Lab, ToyTrainer, verdicts
from small_models.experiments.claims import share
from small_models.experiments.rows import pick, values

device = setup(seed=SEED, shapes=True)
logging.getLogger(lightning.pytorch.__name__).setLevel(
    logging.ERROR
)  # otherwise the trainer reports the hardware it found
logging.captureWarnings(True)
CLIPS, STEPS, EXACT = (4, (1, 4, 8), 32) if FAST else (CLIPS, STEPS, EXACT)
names = ("steps", "lora", "timestep_samplers", "cost")
shelf = {name: experiments.read_results(experiments.RESULTS / f"{name}.json") for name in names}


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    display(Markdown("\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)))


# %% [markdown]
# ## Steps
#
# `steps.json` holds the shipped results: image to video with `mini-vta`, 64 unseen prompts with 5 seeds each. Chapter 7
# showed its Total. Here is the PSNR at few calls of the denoiser.
#
# **Predict.** Multistep solvers have a higher order (chapter 3). Are they ahead of Euler at four calls?

# %%
solvers = ("euler", "ab2", "dpmpp_2m", "unipc")
fig, ax = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
for i, solver in enumerate(solvers):
    rows = [row for row in pick(shelf["steps"]["rows"], solver=solver) if row["key"]["calls"] <= 20]
    mean, low, high = torch.tensor([row["scores"]["psnr"] for row in rows]).T
    calls = [row["key"]["calls"] * 1.02**i for row in rows]  # a little apart, so that the bars can be seen
    ax.errorbar(calls, mean, torch.stack([mean - low, high - mean]), marker="o", ms=4, capsize=2, label=solver)
ax.set(xscale="log", xlabel="calls of the denoiser", ylabel="PSNR of the free frames (dB)")
ax.set_xticks([2, 4, 5, 10, 20], ["2", "4", "5", "10", "20"])
ax.minorticks_off()
ax.set_title(f"{shelf['steps']['sizes']['preset']}-vta, guidance {shelf['steps']['sizes']['guidance']:g}")
ax.legend()
plt.show()


def shipped(solver, steps):
    return verdicts.find_row(shelf["steps"], solver=solver, steps=steps)


for other in solvers[1:]:
    gap = verdicts.lead(shipped("euler", 4), shipped(other, 4))
    print(f"4 calls: Euler is ahead of {other:8} by {gap.mean:.1f} dB ({gap.low:.1f} to {gap.high:.1f})")
    assert verdicts.clearly(gap) > 0, "with four calls Euler is clearly ahead"
    late = verdicts.lead(shipped("euler", 20), shipped(other, 20))
    assert max(abs(late.low), abs(late.high)) < 0.15, "with twenty they differ by little more than a tenth of a dB"

# %% [markdown]
# Does Euler then solve the equation better? Ask `nano-vta`, live: the same scenes, the same noise, and a sampling loop
# of many steps that stands for the **exact answer** of the ODE. Two distances can be measured for every video: to the
# exact answer, and to the truth.
#
# **Predict.** At 8 steps, what is closer to the exact answer: Euler or the multistep solvers? And what is closer to the
# truth?

# %%
nano = small_models.load("nano-vta", device=device)
scenes = world.draw_scenes(CLIPS, evaluate.EVAL_SEED + SEED, world.WORLDS[nano.preset["world"]])
truth = world.render(scenes, nano.geometry.frames, nano.geometry.size[0])
captions, clips = world.captions(scenes), pixels.to_uint8(truth)
picture = tasks.Task("frame 0", known_frames(clips, [0], nano.geometry))


def free(solver, steps):
    result = generate(nano, captions, picture, solver=solver, steps=steps, guidance=1.0, seed=SEED)
    return result.latents[:, :, 1:].cpu()


def psnr(latents):  # nano has no codec: its latents are pixels
    return metrics.psnr(latents.clamp(-1, 1), truth[:, :, 1:]).mean(dim=1)


exact = free("ab2", EXACT)
live = {(solver, steps): free(solver, steps) for solver in ("euler", "ab2", "unipc") for steps in STEPS}
away = {key: (x - exact).square().mean(dim=(1, 2, 3, 4)).sqrt() for key, x in live.items()}
true = {key: psnr(x) - psnr(exact) for key, x in live.items()}  # paired: clip by clip, against the exact answer


def with_error(v, digits=2):
    return f"{v.mean():+.{digits}f} ± {v.std() / len(v) ** 0.5:.{digits}f}"


table(
    ["solver", "steps", "distance to the exact answer", "PSNR to the truth, above the exact answer's (dB)"],
    [[*key, f"{away[key].mean():.3f}", with_error(true[key])] for key in live],
)
print(f"exact answer: {EXACT} steps of ab2, {psnr(exact).mean():.2f} dB; nano-vta, {CLIPS} clips, guidance 1")

# %%
fig, ax = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
for solver, marker in {"euler": "o", "ab2": "s", "unipc": "^"}.items():
    where = [(away[solver, n].mean(), true[solver, n].mean()) for n in STEPS]
    ax.plot(*zip(*where, strict=True), marker=marker, label=solver)
    if solver == "euler":
        for n, (x, y) in zip(STEPS, where, strict=True):
            ax.annotate(f"{n}", (x, y), xytext=(-3, 7), textcoords="offset points", fontsize=9)
ax.axhline(0, color="gray", lw=1)
ax.set(xlabel="distance to the exact answer", ylabel="PSNR above the\nexact answer's (dB)")
ax.set_title("numbers: Euler's steps; the others have the same, in the same order")
ax.margins(y=0.15)
ax.legend()
plt.show()

for other in ("ab2", "unipc"):
    assert (away["euler", 8] - away[other, 8]).mean() > 0.005, "Euler is farther from the exact answer"
    assert (true["euler", 8] - true[other, 8]).mean() > 0.05, "and closer to the truth"

# %% [markdown]
# **The two rankings are opposite.** The exact answer is *one sample*: one of the videos that may follow. PSNR rewards
# the *mean* of all of them, because the squared error is lowest there. One Euler step from pure noise lands on the
# model's estimate of exactly that mean ($x - \tau v$ at $\tau = 1$), and every further step moves from the mean towards
# a sample. A few Euler steps stay in between. Means are washed out: look at the contrast.

# %%
contrast = {key: x.std(dim=(1, 3, 4)).mean(dim=1) for key, x in live.items()}
sharp = exact.std(dim=(1, 3, 4)).mean(dim=1)
for n in STEPS:
    print(f"Euler, {n:2} steps: contrast {(contrast['euler', n] / sharp).mean():.3f} of the exact answer's")
assert (contrast["euler", 1] < sharp).all(), "one step gives a washed-out mean"
assert (contrast["euler", 1] / sharp).mean() < (contrast["euler", 8] / sharp).mean(), "more steps give it contrast"

shown = {f"Euler, {n}": pixels.to_uint8(live["euler", n].clamp(-1, 1))[0] for n in STEPS}
strip = viz.filmstrip({"truth": clips[0][1:], **shown, "exact": pixels.to_uint8(exact.clamp(-1, 1))[0]}, most=7)
strip.set_xticks(strip.get_xticks(), range(1, nano.geometry.frames))
plt.title(f"{captions[0]} (frames 1 to {nano.geometry.frames - 1}; nano-vta, guidance 1, seed {SEED})", fontsize=8)
plt.show()

# %% [markdown]
# So say what you rank by. For the order of a solver, use the distance to the exact answer. For the truth of *one* given
# future, use PSNR, knowing that it favours means. (The shipped table has guidance 3, and there very few steps are bad
# by either.)
#
# ## Strength
#
# An update changes the weights from $W_0$ to $W$. **Strength** continues along the same line, or stops short of its
# end:
#
# $$W_s = W_0 + s \, (W - W_0)$$
#
# For a LoRA, $W - W_0 = B A$, so `small_models.load(name, strength=s)` scales the product. The line is straight in the
# weights; the resulting videos do not lie on a line.
#
# **Predict.** On this one scene, which video is closer to the truth: the one at $s = 1$ or the one at $1.4$? And can
# one scene tell?

# %%
stretch = (0.0, 1.0, 1.4, 2.0)
minis = {s: small_models.load("mini-vta", device=device, strength=s) for s in stretch}
layer = "dit.blocks.0.attn1.to_q.weight"
weight = {s: model.state_dict()[layer] for s, model in minis.items()}
base = small_models.load("mini-base", device=device)
w0 = base.state_dict()[layer]
assert torch.equal(weight[0.0], w0), "strength 0 is the base"
assert torch.allclose(weight[1.4] - w0, 1.4 * (weight[1.0] - w0), atol=1e-5), "the change is 1.4 times as large"

mini = minis[1.0]
scene = world.draw_scenes(1, evaluate.EVAL_SEED + SEED, world.WORLDS[mini.preset["world"]])
target = world.render(scene, world.MINI.frames, world.MINI.size)
frame_0 = tasks.Task("frame 0", known_frames(pixels.to_uint8(target), [0], mini.geometry))
made = {
    s: generate(m, world.captions(scene), frame_0, steps=4, guidance=1.0, seed=SEED).video[0] for s, m in minis.items()
}
viz.filmstrip({"truth": pixels.to_uint8(target)[0], **{f"strength {s:g}": v for s, v in made.items()}}, most=9)
plt.title(f"{world.captions(scene)[0]} (mini-vta, 4 steps, guidance 1, seed {SEED})", fontsize=8)
plt.show()
for s, video in made.items():
    print(f"strength {s:g}: {metrics.psnr(pixels.to_pixels(video[None]), target)[:, 1:].mean():.2f} dB, one scene")
ends = [torch.as_tensor(made[s]).float() for s in (0.0, 1.0, 2.0)]
assert (ends[2] - (2 * ends[1] - ends[0])).abs().max() > 10, "a line in the weights is no line in the pixels"

# %% [markdown]
# One scene says little. `lora.json` has 64 prompts with 5 seeds, three ranks and all weights, four lengths of training,
# each at four strengths. Next to it is the paper's Table 4c (arXiv 2507.16116): Total after 150 to 1200 iterations at
# rank 512.
#
# **Predict.** The paper's best strength decreases as training grows. Is this so here, by PSNR? And by Total?

# %%
paper_at = (1.0, 1.4, 1.7, 2.0)
table_4c = {
    150: (78.23, 79.33, 82.79, 84.31),
    450: (79.27, 85.72, 87.37, 85.96),
    750: (80.17, 86.46, 87.11, 85.98),
    900: (81.78, 87.69, 86.93, 85.91),
    1200: (82.08, 87.32, 86.86, 86.01),
}
lora, (ranks, marks) = shelf["lora"]["rows"], (values(shelf["lora"]["rows"], key) for key in ("rank", "share"))


def best(rank, mark, score="psnr"):
    return max(pick(lora, rank=rank, share=mark), key=lambda row: row["scores"][score][0])


def at_best(score):
    return {rank: [best(rank, m, score)["key"]["strength"] for m in marks] for rank in ranks}


paper = [paper_at[totals.index(max(totals))] for totals in table_4c.values()]
found = {score: at_best(score) for score in ("psnr", "total")}
table(
    ["trained", *map(share, marks), ""],
    [[rank, *(f"{s:g}" for s in row), f"by {score}"] for score, rows in found.items() for rank, row in rows.items()],
)
print(f"paper, by Total, after {', '.join(map(str, table_4c))} iterations: {', '.join(f'{s:g}' for s in paper)}")
falls = [rank for rank, row in found["psnr"].items() if row == sorted(row, reverse=True) and row[0] > row[-1]]
assert paper == sorted(paper, reverse=True), "in the paper the best strength never rises"
assert falls == ranks, "here by PSNR it decreases too, for every rank and for all weights"
assert max(found["psnr"]["all weights"]) < max(paper), "but even short trainings need less scaling than the paper's"
level = [rank for rank, row in found["total"].items() if row != sorted(row, reverse=True)]
print(f"by Total it rises again somewhere for: {', '.join(map(str, level)) or 'none'}")

# %% [markdown]
# By PSNR the direction is the paper's: **an under-trained update gains from a higher strength, a well-trained one
# loses.** By Total it is less clear, because Totals near the ceiling differ by less than their intervals. The file has
# no numbers by prompt, so no difference in it is sharp. What supports the direction is that four separate trainings
# agree.
#
# **Predict.** What suffers from too much strength: motion, the known frame, or the prompt? The paper loses motion
# (dynamic degree falls from 63 to 41 in Table 4c).

# %%
columns = {"psnr": 1, "motion": 1, "dynamic_degree": 100, "known_psnr": 1, "text_alignment": 100, "physics_error": 1}
longest = {rank: {r["key"]["strength"]: r["scores"] for r in pick(lora, rank=rank, share=marks[-1])} for rank in ranks}
table(
    ["rank", "strength", *(name.replace("_", " ") for name in columns)],
    [
        [rank, s, *(f"{times * scores[name][0]:.{1 if times > 1 else 2}f}" for name, times in columns.items())]
        for rank in (64, "all weights")
        for s, scores in longest[rank].items()
    ],
)
for rank in ranks:
    one_, two = longest[rank][1.0], longest[rank][2.0]
    assert two["text_alignment"][2] < one_["text_alignment"][1], "twice the change follows the prompt clearly less"
    assert two["physics_error"][0] > one_["physics_error"][0], "and the law of motion less"
assert len({row["scores"]["known_psnr"][0] for row in lora}) == 1, "the known frame is the same in all rows"
for rank in ranks[:3]:
    ratio = longest[rank][1.7]["motion"][0] / longest[rank][1.0]["motion"][0]
    print(f"rank {rank}: motion at 1.7 is {ratio:.2f} of that at 1")
    assert longest[rank][1.7]["dynamic_degree"][1] > 0.9, (
        "and everything still moves: the paper's loss is not seen here"
    )

# %% [markdown]
# The known frame cannot suffer: its timestep is 0, so no step changes it. Motion is hardly affected here; the
# **prompt** is followed less, and with all weights trained, strength 2 breaks the model (look at PSNR and motion).
#
# ## Rank
#
# A LoRA of rank $r$ adds $r \, (\text{in} + \text{out})$ numbers to each linear layer (arXiv 2106.09685). Count them from the shapes.
#
# **Predict.** What share of the parameters does rank 8 have? And what share of the gain?


# %% tags=["nbval-check-output"]
def cells(numbers):
    return [f"{n:.2f}" for n in numbers]


linear = [m for m in mini.dit.modules() if isinstance(m, torch.nn.Linear)]
per_rank = sum(m.in_features + m.out_features for m in linear)
everything = sum(p.numel() for p in mini.dit.parameters())
size = {rank: everything if rank == "all weights" else rank * per_rank for rank in ranks}

add_lora(base.dit, ranks[0])
trainable = sum(p.numel() for p in base.dit.parameters() if p.requires_grad)
assert trainable == size[ranks[0]], "the count is that of the library's own LoRA"

untrained = verdicts.find_row(shelf["cost"], way="timestep vectors, no training")
start = sum(untrained["by_prompt"]["psnr"][:64]) / 64  # the 64 prompts of lora.json
gain = {rank: [best(rank, mark)["scores"]["psnr"][0] - start for mark in marks] for rank in ranks}
table(
    ["rank", "parameters", "of all", *(f"dB gained after {share(m)}" for m in marks), "dB per million, longest"],
    [
        [
            r,
            f"{size[r]:,}",
            f"{100 * size[r] / everything:.0f} %",
            *cells(gain[r]),
            *cells([1e6 * gain[r][-1] / size[r]]),
        ]
        for r in ranks
    ],
)
per_parameter = [gain[r][-1] / size[r] for r in ranks[:3]]
assert per_parameter == sorted(per_parameter, reverse=True), "the smaller the LoRA, the more each parameter gains"
assert gain["all weights"][-1] / everything > per_parameter[-1], "rank 128 gains less per parameter"
for i in range(len(marks)):
    by_size = [gain[r][i] for r in ranks]
    assert by_size == sorted(by_size), "and the larger, the greater the whole gain, after every length of training"
part = gain[8][-1] / gain["all weights"][-1]
print(f"rank 8 has {100 * size[8] / everything:.0f} % of the parameters and {100 * part:.0f} % of the gain")
assert size[8] / everything < 0.1 and part > 0.5, "a twentieth of the parameters, more than half of the gain"

# %% [markdown]
# Each number is at its best strength, which favours all of them alike. Note rank 128: nearly as many parameters as all
# weights, and less gain. On a toy of this width a "low" rank is not low, and it can be compared with Wan's 512 of 5120
# only as a fraction of the width.
#
# ## Timestep samplers
#
# The rows keep their numbers by prompt, so each timestep sampler can be compared with `independent` **prompt by
# prompt** at the same shift and strength (`verdicts.lead`, chapter 7).
#
# **Predict.** Which is the best training for image to video: independent timesteps, some clips with one timestep for
# all frames (PTSS), timesteps that never decrease from frame to frame (AR-Diffusion, arXiv 2503.07418), or frame 0
# always clean and one timestep for the rest? In the paper's Table 2 the first is best and the last is worst.

# %% tags=["nbval-check-output"]
compared, labels = shelf["timestep_samplers"], []
print(f"{len(compared['rows'])} rows, {compared['device']}, {compared['date']}")
against = {}
for row in compared["rows"]:
    key = row["key"]
    if key["timestep_sampler"] != "independent" and "task" not in key:
        other = verdicts.find_row(
            compared, timestep_sampler="independent", shift=key["shift"], strength=key["strength"]
        )
        against[tuple(key.values())] = [verdicts.lead(row, other, score) for score in ("psnr", "total")]


def cell(interval, times=1.0):
    return f"{times * interval.mean:+.2f} ({times * interval.low:+.2f} to {times * interval.high:+.2f})"


table(
    ["timestep sampler", "shift", "strength", "PSNR (dB)", "Total (of 100)"],
    [[*key, cell(db), cell(total, 100)] for key, (db, total) in against.items()],
)
for name in dict.fromkeys(key[0] for key in against):
    signs = [verdicts.clearly(db) for key, (db, _) in against.items() if key[0] == name]
    print(f"PSNR of {name}: clearly below independent in {signs.count(-1)} of {len(signs)}, above in {signs.count(1)}")
    assert set(signs) == {-1 if name.startswith("PTSS") else 1}, "PTSS is behind everywhere, the two others ahead"

# %%
fig, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
kinds = [name for name in values(compared["rows"], "timestep_sampler") if name != "independent"]
for i, name in enumerate(kinds):
    points = [(key[1], db) for key, (db, _) in against.items() if key[0] == name and key[2] == 1.4]
    at, db = [s + 0.12 * (i - 2) for s, _ in points], torch.tensor([db for _, db in points])
    ax.errorbar(at, db[:, 0], torch.stack([db[:, 0] - db[:, 1], db[:, 2] - db[:, 0]]), fmt="o", capsize=3, label=name)
ax.axhline(0, color="gray", lw=1)
ax.set(
    xlabel="shift of the timesteps", ylabel="PSNR against\nindependent (dB)", xticks=values(compared["rows"], "shift")
)
ax.set_title("the same prompts, strength 1.4, 95 % intervals of the paired difference")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

both = [verdicts.find_row(compared, timestep_sampler="independent", shift=s, strength=1.4) for s in (5.0, 1.0)]
shifted = verdicts.lead(*both)
print(f"independent, shift 5 against 1: PSNR {cell(shifted)} dB")
assert verdicts.clearly(shifted) > 0, "the shift of the trainer helps"
order = [against[name, 1.0, 1.4][0].mean for name in ("PTSS 0.8", "PTSS 0.5", "PTSS 0.2")]
assert order == sorted(order, reverse=True), "the fewer clips with independent timesteps, the worse"
text_rows = [
    row for row in compared["rows"] if row["key"].get("task") and row["key"]["timestep_sampler"] != "independent"
]
for row in text_rows:
    other = verdicts.find_row(compared, timestep_sampler="independent", shift=row["key"]["shift"], task="text_to_video")
    gap = verdicts.lead(row, other, "text_alignment")
    print(
        f"text to video, {row['key']['timestep_sampler']}, shift {row['key']['shift']:g}: text alignment {cell(gap, 100)}"
    )

# %% [markdown]
# So the paper's order is reproduced as far as it is about *how many* clips have independent timesteps. But its worst
# sampler is the best here: a model that always saw frame 0 clean is better at exactly that, and this table asks for
# exactly that. What it pays is in the lines above: text alignment. And its other tasks are not in this table at all;
# chapter 6 has them.
#
# **Predict.** A model trained for *one* task alone, against one with independent timesteps, after the same 1/20 of the
# base's training: how far ahead is each specialist at its own task?

# %%
solo = experiments.read_results(experiments.RESULTS / "tasks.json")
gains = {}
for row in pick(solo["rows"], model="specialist, same budget"):
    task = row["key"]["task"]
    gains[task] = verdicts.lead(row, verdicts.find_row(solo, task=task, model="VTA, same budget"))
    print(f"{task:15} {cell(gains[task])} dB")
    assert verdicts.clearly(gains[task]) > 0, "each specialist is ahead at its own task"
assert max(gains, key=lambda name: gains[name].mean) == "image_to_video", "most of all where least is known"
clean = verdicts.find_row(
    compared, timestep_sampler="first frame clean, the rest alike", shift=5.0, task="text_to_video"
)
alignment = verdicts.lead(
    clean,
    verdicts.find_row(compared, timestep_sampler="independent", shift=5.0, task="text_to_video"),
    "text_alignment",
)
print(f"text to video, frame 0 always clean in training: text alignment {cell(alignment, 100)} points")
assert verdicts.clearly(alignment) < 0, "and it pays in text alignment"

# %% [markdown]
# These differences are the price, at one task, of being able to do all of them. Each of these models was trained once.
#
# ## Run your own, and keep the result
#
# Whatever returns a number, or a video with a metric, can be swept. `sweep` keeps each row in a folder as soon as it is
# made, under a digest of all that it depends on. Here is a table that nobody has made yet: the strength of a LoRA that
# was trained for a single step. **`Sizes`** says how much of everything, **`Lab`** has models and unseen scenes, and a
# **trainer** trains an update and scales it. Everything is tiny; it demonstrates the method, not a result.

# %%
sizes = replace(SMALL, clips=16, batch=4, marks=(1e-6,), budgets=(1e-6,), brief=1e-6)
folder = tempfile.TemporaryDirectory()
trainer, how = ToyTrainer(Lab(sizes, Path(folder.name), device)), Adaptation(rank=4)
few = dict(zip(captions[:3], clips[:3], strict=True))


def stretched(strength, prompt, seed):
    (update,) = trainer.updates(how, [sizes.brief])  # trained the first time, then read from the folder
    model = trainer.model(how, update, strength)
    return generate(model, prompt, tasks.image_to_video(few[prompt][:1]), steps=4, seed=seed)


def psnr_later(result, there):
    return metrics.psnr(pixels.to_pixels(result.video), pixels.to_pixels(there[None]))[:, 1:].mean()


rows = Path(folder.name) / "rows"
every = {"prompts": list(few), "seeds": [0, 1], "metrics": {"psnr": psnr_later}, "truth": few, "cache": rows}
first = sweep(stretched, {"strength": [0.0, 2.0]}, **every)
kept = sorted(path.name for path in rows.glob("rows/*.json"))
print(f"steps of training: {trainer.steps(sizes.brief)}; rows kept: {len(kept)}")
assert len(first) == len(kept) == 2 * 3 * 2, "2 strengths, 3 prompts, 2 seeds"

# %% [markdown]
# Now suppose the run is killed after these rows, and with it goes all that was only in memory.
#
# **Predict.** The same sweep again, with one more strength. How many rows are made?

# %%
again = sweep(stretched, {"strength": [0.0, 2.0, 4.0]}, **every)
more = sorted(path.name for path in rows.glob("rows/*.json"))
print(f"rows made: {len(set(more) - set(kept))} of {len(again)}")
assert again[again.strength < 4].equals(first), "no row is made twice: even the seconds are those of the first run"

sizes = replace(sizes, batch=8)
try:
    sweep(stretched, {"strength": 0.0}, **every)
    refused = ""
except ValueError as error:
    refused = str(error).replace(f"{folder.name}/", "").partition(" (")[0]
print(refused)
assert refused.endswith("were made with another function"), "rows of other sizes do not mix"

# %% [markdown]
# The digest of a function covers its source and whatever it names: here the trained adaptation, `sizes` and the clips.
# Since all strengths saw the same prompts and seeds, `compare` takes the differences in pairs.

# %%
means = averages(again, "psnr")
table(["strength", "PSNR (dB)"], [[row.strength, f"{row['mean']:.2f}"] for _, row in means.iterrows()])
found = compare(again, {"strength": 0.0}, "psnr")
for _, row in found.iterrows():
    print(f"strength {row.strength:g} against 0: {row.difference:+.2f} dB ({row.low:+.2f} to {row.high:+.2f})")
assert (found.pairs == 6).all() and means["mean"].nunique() == 3
folder.cleanup()

# %% [markdown]
# The shipped tables are kept in the same kind of store. Their rows are settings, each sampled for all prompts at once,
# which fills a GPU; `prompt_table` gives what they hold by prompt the form of a sweep's table, so the same functions
# judge it. Here, the first question of this chapter again, for all solvers at four steps.

# %%
stored = experiments.prompt_table(shelf["steps"])
four = stored[(stored.steps == 4) & (stored.solver != "heun")]  # heun asks the model seven times
found = compare(four, {"solver": "euler"}, "psnr")
for _, row in found.iterrows():
    print(f"{row.solver:8} against Euler, 4 calls: {row.difference:+.1f} dB ({row.low:+.1f} to {row.high:+.1f})")
assert (found.high < 0).all() and (found.comparisons == 3).all(), (
    "with four calls Euler is clearly ahead, of all at once"
)

# %% [markdown]
# They are made by one command, which is resumed like the sweep above:
#
# ```
# pusa-lab bench paper --list
# pusa-lab bench paper --table steps --small                       # nano, under two minutes on two cores
# pusa-lab bench paper --table steps --small --set.swept 16 --set.steps [2,3,4]
# pusa-lab bench paper --table steps --small --show --figures      # print and plot what was measured
# ```
#
# `--set` changes any field of `Sizes`; `--out` says where the results go, `--work` where trained weights are kept for
# other tables. To make a table of your own permanent, write it as a function like those in
# `small_models/experiments/sampling_tables.py` and add it to `TABLES`.
#
# ## Exercises
#
# **1 · Fill in.** $W_0 + s \, (W - W_0)$ for whole state dicts. It scales any training, whereas `load` scales only
# low-rank updates.


# %% tags=["exercise"]
def my_stretch(start, end, s): ...  # two state dicts and a number -> a state dict


# %% tags=["check"]
states = {s: minis[s].state_dict() for s in (0.0, 1.0, 1.4)}
mine = my_stretch(states[0.0], states[1.0], 1.4)
some = [layer, "dit.blocks.1.ffn.up.weight", "dit.time_embedder.0.weight", "dit.time_embedder.0.bias"]
flat = None if mine is None else torch.cat([mine[name].flatten() for name in some])
check(flat, torch.cat([states[1.4][name].flatten() for name in some]))
if mine is not None:
    check(torch.tensor(list(mine) == list(states[1.0])), torch.tensor(True))

# %% [markdown]
# **2 · Vary.** From the shipped rows: a solver and a number of steps with at least 23.3 dB in at most 6 calls, and a
# strength at which rank 8, trained longest, has at least 21 dB.

# %% tags=["exercise"]
my_choice = None  # (solver, steps, strength)

# %% tags=["check"]
if my_choice is None:
    check(None, True)
else:
    sampled, stretched = (
        shipped(*my_choice[:2]),
        verdicts.find_row(shelf["lora"], rank=8, share=0.25, strength=my_choice[2]),
    )
    reached = [row["scores"]["psnr"][0] for row in (sampled, stretched)]
    print(f"{sampled['key']['calls']} calls, {reached[0]:.2f} dB; strength {my_choice[2]:g}, {reached[1]:.2f} dB")
    enough = [sampled["key"]["calls"] <= 6, reached[0] >= 23.3, reached[1] >= 21]
    check(torch.tensor(enough), torch.ones(3, dtype=torch.bool))

# %% [markdown]
# **3 · Invent.** A score of your own for an ablation, `(model, clips, captions) -> (b,)`: one number for each true clip
# (b, pf, h, w, 3) uint8. It must be finite, reproducible (so seed it), distinguish `nano-vta` from `nano-base`, depend
# on the truth, and leave the model unchanged. (The PSNR of a frame that was given exactly is infinite: omit such
# frames.)


# %% tags=["exercise"]
def my_score(model, clips, captions): ...


# %% tags=["check"]
few, prompts = clips[:2], captions[:2]
first = my_score(nano, few, prompts)
if first is None:
    check(None, True)
else:
    before = {name: value.clone() for name, value in nano.state_dict().items()}
    again, moved = my_score(nano, few, prompts), my_score(nano, few[:, ::-1].copy(), prompts)
    elsewhere = my_score(small_models.load("nano-base", device=device), few, prompts)
    whole = all(torch.equal(value, before[name]) for name, value in nano.state_dict().items())
    one_each = first.shape == (2,) and bool(first.isfinite().all())
    found_out = [one_each, torch.equal(first, again), not torch.allclose(first, elsewhere)]
    check(torch.tensor([*found_out, not torch.allclose(first, moved), whole]), torch.ones(5, dtype=torch.bool))

# %% [markdown]
# ## Recap
#
# | setting | what it does | found here |
# |---|---|---|
# | steps, solver | how close to the ODE's exact answer | PSNR favours means, so it may reverse the ranking |
# | strength | $W_0 + s (W - W_0)$ | helps an under-trained update; too much costs text alignment |
# | rank | $r$ (in + out) numbers per layer | more is better, but each parameter gains less |
# | timestep sampler | which timestep vectors training sees | independent ahead of PTSS; the shift matters too |
# | `sweep`, `compare` | every setting with the same prompts and seeds | no row is made twice, no runs are mixed |
#
# *What could go wrong:* ranking solvers by a score that favours means; reading a best strength off overlapping
# intervals; comparing rows of different shifts; forgetting the rows that are missing; taking one training run for a
# law.
#
# *Where the code lives:* `pusa_lab/sweeps/`, `small_models/experiments/` (tables, verdicts, and the command line),
# `small_models/models/lora.py` (strength), `small_models/results/paper/` (what was measured).
#
# *References:* Pusa V1.0, arXiv 2507.16116; LoRA, arXiv 2106.09685; AR-Diffusion, arXiv 2503.07418.
#
# *Next:* 9 · Inside.
