# %% [markdown]
# # 5 · Train a toy: from one timestep to one per frame
#
# ***You have a model that makes videos from text. Can half a minute of training, on a laptop, teach it to continue a
# picture? And what does it forget meanwhile?***
#
# *You need: chapters 1 and 4. Time: 25 minutes of reading, a good minute of CPU.*
#
# The usual way to make a model continue a picture is to give its network a further input for pictures, with new
# weights, and to train that at length. Pusa adds nothing: a known frame is one at timestep 0. Our `nano-base` was
# trained with **one** timestep for all frames. Its architecture already takes one per frame (chapter 1); only its
# weights have never met unequal ones. Training them on such timesteps is called vectorized timestep adaptation (VTA,
# arXiv 2507.16116). You will do it here, live, and measure what it brings and what it costs.
#
# **After this chapter you can**
#
# - measure whether a model uses a clean frame or ignores it;
# - adapt a base with `pusa_lab.training`, and judge the result against two honest baselines;
# - say what the timestep sampler decides, and what it costs to specialise.

# %% tags=["setup"]
# build.py puts the installing cell here.

# %% tags=["parameters"]
SEED = 0
STEPS = 160
BATCH = 8
CLIPS = 32
FAST = False

# %%
import logging

import matplotlib.pyplot as plt
import numpy as np
import torch

import pusa_lab.notebook as nb
import small_models
from pusa_lab import losses, pixels, viz
from pusa_lab.schedules import timestep_samplers
from pusa_lab.training import TrainConfig, VTAModule, run
from small_models import experiments, world
from small_models.evaluation import evaluate, ways
from small_models.experiments.pairs import clearly, lead, signed
from small_models.training.data import clips_of, pixel_dataset

device = nb.setup(seed=SEED, shapes=True)
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # otherwise the trainer reports the hardware it found
logging.captureWarnings(True)
STEPS, BATCH, CLIPS = (10, 4, 4) if FAST else (STEPS, BATCH, CLIPS)

# %% tags=["hide-input"]
nb.diagram(
    "05_one_training_step",
    "A clip whose first frame is clean and whose other frames are noised goes through the model; the loss counts the "
    "noised frames only. Below are the timesteps that base, specialist and generalist practise on five frames.",
)

# %% [markdown]
# ## Where we start
#
# `nano` is small enough to train while you wait. It has no codec, so its frames are pictures: 8 frames of 16 x 16
# pixels, with one or two objects that bounce off the walls. Two checkpoints ship with the toolkit: the base, and
# `nano-vta`, which is the base after long training on other timesteps.

# %% tags=["nbval-check-output"]
base, shipped = (small_models.load(f"nano-{stage}", device=device) for stage in ("base", "vta"))
geometry, world_name = base.geometry, base.preset["world"]
for stage in ("base", "vta"):
    card = small_models.card(f"nano-{stage}")
    seen = card["config"]["max_steps"] * card["config"]["global_batch_size"]
    print(f"nano-{stage:4}: {seen:,} clips on {card['device']}, timesteps {card['config']['timestep_sampler']}")

# %% [markdown]
# (`shared` is one timestep for all frames; the mixture is explained below.) Ask both for the same thing: here is frame
# 0 of a clip that neither has seen, continue it.

# %%
scene = world.draw_scenes(1, evaluate.EVAL_SEED + SEED + 3, world.WORLDS[world_name])
truth, caption = pixels.to_uint8(world.render(scene, geometry.frames, geometry.size[0])), world.captions(scene)
OPTIONS = {"steps": 6, "guidance": 1.0}


def continued(toy):
    return ways.maker(toy, **OPTIONS)(caption, truth, SEED)[0]


shown = {"truth": truth[0], "nano-base": continued(base), "nano-vta": continued(shipped)}
print(caption[0])
nb.play(shown, fps=geometry.fps, width=192)

# %% [markdown]
# `nano-base` knows the words and paints a proper video, but from the second frame on it is *another* one: the object
# jumps. `nano-vta` carries on from the picture.
#
# ## Does a model use a clean frame?
#
# One clip proves nothing, so let us measure. Take unseen clips and fixed noise. Compute the loss of frames 1 and later
# twice: with frame 0 as noisy as they are, and with frame 0 clean. Nothing else differs. If the model looks at the
# clean frame, its loss must fall, because the floor falls (chapter 4).
#
# **Predict.** By how much does the loss of the base fall?

# %%
held = pixel_dataset(
    clips_of(world_name, CLIPS, evaluate.VALIDATION_SEED, geometry, device), CLIPS, 0, device
).chunks()[0]
eps = torch.randn(held.x0.shape, generator=torch.Generator().manual_seed(SEED)).to(device)
levels = torch.linspace(0.1, 0.9, 5)


@torch.no_grad()
def later_loss(toy, level, first):
    """The loss of frames 1 to 7 at one level, clip by clip, with frame 0 at a level of its own."""
    tau = torch.full((CLIPS, geometry.frames), float(level), device=device)
    tau[:, 0] = first
    each = losses.fafm_frame_loss(toy, held.x0, tau, eps, **toy.encode_text(held.captions))
    return each[:, 1:].mean(dim=1).cpu()


def both_losses(toy):
    """(frame 0 as noisy as the rest, frame 0 clean), each (levels, clips)."""
    return tuple(torch.stack([later_loss(toy, t, t * known) for t in levels]) for known in (1, 0))


def summary(values):
    return f"{values.mean():+.3f} ± {values.std() / len(values) ** 0.5:.3f}"


found = {"nano-base": both_losses(base), "nano-vta": both_losses(shipped)}
gain = {name: noisy - clean for name, (noisy, clean) in found.items()}
print(f"saved by a clean frame 0, at level {levels[0]:.1f} and {levels[-1]:.1f}, and on average:")
for name, saved in gain.items():
    print(f"{name:10} {summary(saved[0])}   {summary(saved[-1])}   {summary(saved.mean(dim=0))}")
assert gain["nano-vta"].mean() > 0 > gain["nano-base"].mean(), (
    "the adapted model uses the picture; it confuses the base"
)

# %% [markdown]
# <details><summary>Answer</summary>
#
# It does not fall, it rises. The base was given *more* to go by and does worse: unequal timesteps are something it has
# never met. Most of the harm is at low noise, and the target says why. From $x = (1-\tau)\,x_0 + \tau\,\varepsilon$
# follows $x - x_0 = \tau\,(\varepsilon - x_0)$, so the target is $v = (x - x_0)/\tau$. A model whose guess of the clip
# is $\hat{x}_0$ therefore misses the target by $\hat{v} - v = -(\hat{x}_0 - x_0)/\tau$, and the loss is the squared
# error of the guess *divided by* $\tau^2$. The same slip costs $(0.9/0.1)^2 = 81$ times as much at $\tau = 0.1$ as at
# 0.9. `nano-vta` does save something, all of it where noise is high and hides the other frames. (The number after ± is
# the standard error over clips; clips and noise are the same for both models.)
#
# </details>
#
# ## One training step
#
# The model stays as it is and so does the loss of chapter 4, except that each frame $i$ has its own timestep:
#
# $$x_i = (1 - \tau_i)\, x_{0,i} + \tau_i\, \varepsilon_i , \qquad
# \ell_i = \text{mean over pixels of } \big( v_\theta(x, \tau)_i - (\varepsilon_i - x_{0,i}) \big)^2 .$$
#
# To guess frame $i$, the model sees *all* frames of $x$ and all timesteps: that is how it can look at a clean one. What
# is left to decide, in the lower half of the drawing, is which $\tau$ to practise. We try two samplers.
#
# - **The specialist** sees frame 0 clean in every clip and one timestep for all others. It practises image-to-video and
#   nothing else.
# - **The generalist** follows the recipe that this project found (`docs/claims.md`, "A better recipe"), by which
#   `nano-vta` was trained too. Half of the clips have independent timesteps, as in the paper; in the other half a
#   random set of frames is known, as for one task or another.

# %%
samplers = {
    "specialist": timestep_samplers.clean_prefix(1, rest=timestep_samplers.shared),
    "generalist": timestep_samplers.mixture([timestep_samplers.independent, timestep_samplers.task_mixture()]),
}
for name, sampler in samplers.items():
    print(f"three draws of the {name}:")
    print(np.array2string(sampler(3, geometry.frames, torch.Generator().manual_seed(SEED)).numpy(), precision=2))

# %% [markdown]
# In both, known frames are left out of the loss (`free_frames`): at $\tau_i = 0$ the noise $\varepsilon_i$ is not in
# the input at all, so nobody could guess the target $\varepsilon_i - x_{0,i}$. With that, here is the whole of
# training, by hand: three steps of the specialist on the same few clips. (This toy is thrown away.)

# %%
toy, few = small_models.load("nano-base", device=device).requires_grad_(True), held.x0[:8]
noise, words = torch.randn_like(few), held.captions[:8]
tau = samplers["specialist"](len(few), geometry.frames, torch.Generator().manual_seed(SEED)).to(device)
optimizer = torch.optim.AdamW(toy.parameters(), lr=3e-4)
seen = []
for _ in range(3):
    loss = losses.fafm_loss(toy, few, tau, noise, weight=losses.free_frames(tau), **toy.encode_text(words))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    seen.append(loss.item())
print("loss:", *(f"{value:.3f}" for value in seen))
assert seen[-1] < seen[0], "downhill"

# %% [markdown]
# Real training draws new clips, timesteps and noise for each step, and lets the learning rate fall to zero along a
# cosine, because big strides find the region and small ones settle in it. In the toolkit `VTAModule` is the step and
# `run` the loop around it. As in the recipe, we shift all timesteps towards noise, where a clean frame is worth most:
# $\tau$ becomes $5\tau / (1 + 4\tau)$ (chapter 2), so 0 stays 0, and half of all draws lie above 0.83. The set holds as
# many clips as will be drawn, so hardly anything can be learned by heart. Now and then we interrupt the loop to
# continue unseen clips from their first frame, and compare with the truth in decibels (PSNR; 3 dB is half the squared
# error).


# %%
config = TrainConfig(
    max_steps=STEPS,
    global_batch_size=BATCH,
    lr=2e-3,
    warmup=STEPS // 10,
    ema=0.0,  # no running mean of the weights
    weight="free_frames",
    seed=SEED,
)
dataset = pixel_dataset(clips_of(world_name, STEPS * BATCH, SEED, geometry, device), BATCH, SEED, device)
marks = [STEPS * part // 4 for part in range(1, 5)]


def score(make, known=(0,)):
    """PSNR of the frames that are not known, clip by clip."""
    free = [i for i in range(geometry.frames) if i not in known]
    return evaluate.collect(make, base, CLIPS)["psnr_frame"][:, free].mean(dim=1)


def train(sampler, marks=()):
    toy = small_models.load("nano-base", device=device).requires_grad_(True).train()
    toy.text.requires_grad_(False)
    module, curve = VTAModule(toy, config), []
    module.timestep_sampler = timestep_samplers.shift_timesteps(sampler, 5.0)
    run(module, dataset, marks=marks, keep=lambda step, now: curve.append(score(ways.maker(now, **OPTIONS))))
    return toy.requires_grad_(False).eval().to(device), curve


# %% [markdown]
# What should count as success? Two baselines will tell. The **base** itself, before training. And **standing still**:
# repeat the known frame, which knows nothing of motion, but is hard to beat, since most pixels do not change.
#
# **Predict.** The specialist will see less than one clip for every thousand that `nano-vta` has seen. Is that enough to
# beat the base? To beat standing still?

# %%
specialist, curve = train(samplers["specialist"], marks)


# %% tags=["hide-input"]
def stand_still(known):
    """Repeat the nearest known frame."""
    nearest = [min(known, key=lambda k: abs(k - i)) for i in range(geometry.frames)]
    return lambda prompts, truth, seed: truth[:, nearest]


COLOURS = {"nano-base": "#000000", "specialist": "#D55E00", "generalist": "#009E73", "nano-vta": "#0072B2"}
reached = {
    "nano-base": score(ways.maker(base, **OPTIONS)),
    "standing still": score(stand_still((0,))),
    "specialist": curve[-1],
    "nano-vta": score(ways.maker(shipped, **OPTIONS)),
}
fig, ax = plt.subplots(figsize=(9.5, 3.8), layout="constrained")
path = torch.stack([reached["nano-base"], *curve])
ax.errorbar(
    *([0, *marks], path.mean(dim=1), path.std(dim=1) / CLIPS**0.5),
    **{"marker": "o", "lw": 2, "capsize": 3, "color": COLOURS["specialist"], "label": "specialist, live"},
)
for name, style in (("nano-vta", "--"), ("standing still", ":"), ("nano-base", "-.")):
    ax.axhline(reached[name].mean(), color=COLOURS.get(name, "0.5"), ls=style, lw=1.5, label=name)
ax.set(xlabel="training step", ylabel="PSNR (dB)", title="image to video: the seven frames that were not given")
ax.legend(bbox_to_anchor=(1, 0.5), loc="center left")
plt.show()

# %%
whole = small_models.card("nano-vta")["config"]
share = whole["max_steps"] * whole["global_batch_size"] / (STEPS * BATCH)
print(f"{STEPS * BATCH:,} clips, one for every {share:,.0f} that nano-vta has seen")
for other in ("nano-base", "standing still", "nano-vta"):
    ahead = reached["specialist"] - reached[other]
    print(f"specialist against {other:15} {summary(ahead)} dB")
    assert FAST or other != "nano-base" or ahead.mean() > 3 * ahead.std() / CLIPS**0.5, "half a minute beats the base"

# %% [markdown]
# <details><summary>Answer</summary>
#
# Yes to both. In the figure, the orange line leaves the base at once, reaches the dotted line, standing still, by the
# first mark, and ends about a decibel above it. The printed differences are paired, clip by clip. (Bars and ± are one
# standard error over clips. They do not say how another training would have ended: for that, change `SEED` and run
# again. When we did so once, numbers moved by up to half a decibel. So do not believe a smaller lead of a single
# training, whatever the ± says.) `nano-vta`, with so many more clips, is still far ahead.
#
# </details>
#
# Would more training of the *old* kind have done it? Not for `mini`: the last figure of this chapter has that control.
# See for yourself what has been learned:

# %%
shown = {"nano-base": continued(base), "specialist": continued(specialist), "truth": truth[0]}
print(caption[0])
nb.play(shown, fps=geometry.fps, width=192)

# %% [markdown]
# In the very next frame there is now something green where the triangle should be, which the base did not manage. Then
# it breaks in two, jumps down and at last up again, on grainy ground. So three decibels are not yet a good video: half
# a minute teaches the model to look at the picture, hardly to go on from it.
#
# ## What a specialist forgets
#
# Now train the generalist, from the same base and just as long.

# %%
generalist, _ = train(samplers["generalist"])

# %% [markdown]
# Back to the loss of frames 1 to 7, at five noise levels. What the clean frame *saves* is a difference of two losses,
# and a difference can also grow because its first part has got worse. So look at both parts, each beside the base's
# loss with all frames equally noisy, which is what it was trained for.
#
# **Predict.** With frame 0 clean, where is the loss furthest below the base's: at low or at high noise? And with all
# frames equally noisy, as in text-to-video: who has got worse?

# %% tags=["hide-input"]
found |= {"specialist": both_losses(specialist), "generalist": both_losses(generalist)}
more = {name: [each - found["nano-base"][0] for each in pair] for name, pair in found.items()}
fig, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", sharey=True)
titles = ("all frames equally noisy", "frame 0 clean")
for i, (ax, title) in enumerate(zip(axes, titles, strict=True)):
    for name, colour in COLOURS.items():
        each = more[name][i]
        error = each.std(dim=1) / CLIPS**0.5
        ax.errorbar(levels, each.mean(dim=1), yerr=error, color=colour, marker="o", ms=4, capsize=3, label=name)
    ax.axhline(0, color="0.7", lw=1, zorder=0)
    ax.set(title=title, xlabel="noise level of frames 1 to 7")
axes[0].set_ylabel("loss above that of nano-base\nwith all frames equally noisy")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
plt.show()

# %%
print("loss above the base's:  equally noisy          frame 0 clean")
for name in ("nano-base", "specialist", "generalist", "nano-vta"):
    print(f"{name:22} {summary(more[name][0].mean(dim=0))}   {summary(more[name][1].mean(dim=0))}")
forgot = more["specialist"][0].mean(dim=0) - more["generalist"][0].mean(dim=0)
assert FAST or forgot.mean() > 3 * forgot.std() / CLIPS**0.5, "the specialist forgets more of text-to-video"
seen = more["specialist"][1][-1]  # frame 0 clean, the others at the highest level
assert FAST or seen.mean() < -3 * seen.std() / CLIPS**0.5, "the specialist uses the picture"

# %% [markdown]
# <details><summary>Answer</summary>
#
# On the right, at high noise: there the other frames show nothing themselves, and all three trained models are below
# the base. At low noise every frame is visible on its own, and there is nothing to save. Both live models lie above
# zero there, whatever is given: the shift towards noise showed them little of it. *On average* over the levels
# (printed) both are therefore above the base without a clean frame, and hardly better than the base with one: what half
# a minute gains at high noise it loses again at low noise.
#
# On the left the specialist has got worse at every level. It has not met a noisy frame 0 since its training began, and
# it forgets. So part of what a clean frame "saves" it, the gap between the two panels, is no skill at all: the left one
# went up. The generalist, which practises every frame at every level, pays less (printed), and `nano-vta` shows that
# with time it need not pay.
#
# </details>
#
# ## And on other tasks?
#
# The specialist has never practised filling in between a first and a last frame, nor continuing a clip of four frames.
# The generalist has.
#
# **Predict.** Who is ahead where?

# %%
tasks = {"first frame": (0,), "first and last": (0, geometry.frames - 1), "four frames": (0, 1, 2, 3)}
models = {"nano-base": base, "specialist": specialist, "generalist": generalist, "nano-vta": shipped}
table = {("standing still", task): score(stand_still(at), at) for task, at in tasks.items()}
for name, toy in models.items():
    table |= {(name, task): score(ways.maker(toy, at, **OPTIONS), at) for task, at in tasks.items()}
print(f"{'PSNR (dB), given:':18}", *(f"{task:>15}" for task in tasks))
for name in ("standing still", *models):
    print(f"{name:18}", *(f"{table[name, task].mean():15.1f}" for task in tasks))
print("specialist, ahead of the generalist by, in dB:")
for task in tasks:
    print(f"  {task:15} {summary(table['specialist', task] - table['generalist', task])}")
    learned = table["generalist", task] - table["nano-base", task]
    assert FAST or learned.mean() > 2 * learned.std() / CLIPS**0.5, "the generalist is above the base in every task"

# %% [markdown]
# <details><summary>Answer</summary>
#
# With the first frame given, the specialist is clearly ahead: all of its clips looked like this task, but only about
# one in seven of the generalist's. On the other two tasks we expected the generalist ahead, and it is not: the leads
# printed there are so small that another seed may turn them round. After so short a training, most of what there is to
# learn may be to look at a clean frame at all, and that the specialist has practised most. It pays elsewhere: in
# text-to-video, as the left panel above shows.
#
# Read down the columns, too. Standing still is a strong rival: with four frames given neither live model beats it, and
# with one the generalist is only level with it. `nano-vta`, a generalist with almost three thousand times the training,
# is ahead of everybody everywhere.
#
# </details>
#
# Does the specialist really use a last frame, which it was never trained to expect? A control: give it the last frame
# of *another* clip.


# %%
def wrong_last(prompts, truth, seed):
    """The specialist between frame 0 of each clip and the last frame of another."""
    swapped = truth.copy()
    swapped[:, -1] = np.roll(truth[:, -1], 1, axis=0)
    return ways.maker(specialist, (0, geometry.frames - 1), **OPTIONS)(prompts, swapped, seed)


ends = tasks["first and last"]
makers = {
    "first frame": ways.maker(specialist, **OPTIONS),
    "first and last": ways.maker(specialist, ends, **OPTIONS),
    "first, and a wrong last": wrong_last,
}
middle = {name: score(make, ends) for name, make in makers.items()}
for name, values in middle.items():
    print(f"the six frames between, given {name:24} {values.mean():.1f} dB, {summary(values - middle['first frame'])}")
assert FAST or middle["first and last"].mean() > middle["first, and a wrong last"].mean(), "it looks at the last frame"

# %% [markdown]
# It does. The right last frame helps the six frames between, and a wrong one makes them worse than none. So the gain is
# not just that frames in the middle are easier: the specialist has learned to look at clean frames, even in a place
# where it has never met one.
#
# ## And with more training?
#
# Our half minute is one end of a curve. The other end was measured on `mini` (a model with a codec) on a GPU:
# `pusa-lab bench paper` adapts the same base in several ways and measures image-to-video on the way.
#
# One of them is **Wan's own way**. It keeps one timestep for all frames, and the picture comes in as a further input,
# twice: beside the noisy clip, as channels (its latent at frame 0, and a mask that says which frame is given), and in
# every block, as tokens that attention reads beside the caption. That takes new weights, which have to be learned.
#
# **Predict.** Which of two ways needs fewer clips to become good at image-to-video: one timestep per frame, drawn
# independently as in the paper, or Wan's own way?

# %% tags=["hide-input"]
cost = experiments.read_results(experiments.RESULTS / "cost.json")
ways_shown = {  # in the order of their last points
    "Wan's way, all weights": ("#D55E00", "s", "Wan's way: the picture as an input"),
    "recipe, all weights": ("#009E73", "D", "one timestep per frame (the recipe)"),
    "VTA, all weights": ("#0072B2", "o", "one timestep per frame (independent)"),
    "control: one timestep, all weights": ("#000000", "v", "control: one timestep for all"),
}
fig, ax = plt.subplots(figsize=(9.5, 3.6), layout="constrained")
for way, (colour, marker, label) in ways_shown.items():
    rows = [row for row in cost["rows"] if row["key"]["way"] == way]
    mean, low, high = torch.tensor([row["scores"]["psnr"] for row in rows]).T
    share = [row["key"]["share"] for row in rows]
    ax.errorbar(share, mean, yerr=torch.stack([mean - low, high - mean]), color=colour, marker=marker, label=label)
ax.axvline(1 / 200, color="0.6", ls=":")
ax.set(xscale="log", xlabel="clips, as a share of this base's own training (dotted: 1/200)", ylabel="PSNR (dB)")
ax.set_xticks([1 / n for n in (400, 200, 100, 40, 20, 10, 4, 2)], [f"1/{n}" for n in (400, 200, 100, 40, 20, 10, 4, 2)])
ax.minorticks_off()
ax.set_title(f"image to video, {cost['sizes']['preset']}, three trainings up to 1/10 (bars: 95 %)")
ax.legend(bbox_to_anchor=(1, 0.5), loc="center left")
plt.show()


# %%
def of_way(way):
    return {row["key"]["share"]: row for row in cost["rows"] if row["key"]["way"] == way}


wan, ours, vta, control = (of_way(way) for way in ways_shown)
once = {share: [lead(wan[share], other[share]) for other in (vta, ours)] for share in wan}  # paired
print("share   Wan's way, ahead of independent timesteps by (dB)   ahead of the recipe by")
for share in (share for share in once if 0.001 < share < 0.2):
    print(f"1/{1 / share:<5.0f} {signed(once[share][0], 1, 1):>48} {signed(once[share][1], 1, 1):>45}")
early, late = once[0.0025], [d for share, pair in once.items() if share > 0.03 for d in pair]
assert max(map(clearly, early)) < 0 < min(map(clearly, late)), "they cross in between"
best = max(row["scores"]["psnr"][0] for row in control.values())
assert best < min(row["scores"]["psnr"][0] for row in vta.values()), "the control learns nothing"

# %% [markdown]
# <details><summary>Answer</summary>
#
# At the very start one timestep per frame does: it has no new weights to learn. With independent timesteps the lines
# cross near the dotted line; with the recipe only several times further to the right, by 1/20 at the latest. From there
# on Wan's way is ahead. It is a specialist, too: it practises nothing else. (Up to 1/10 each way was trained three
# times, and the intervals are over prompts *and* trainings.)
#
# </details>
#
# (The dotted line is 1/200 of *this base's* training. Pusa's paper has a 1/200 too, but of the training of Wan's
# image-to-video model. That a crossing lies nearby is no comment on that.)
#
# Look at the black line too: training with *one* timestep for all frames gains nothing up to 1/10 (the control was not
# trained for longer). So it is not training as such that helped, it is the timesteps. And which ones? Here are all
# tasks in which the recipe was measured beside the paper's independent timesteps, trained on the same clips:

# %%
shelf = experiments.read_results(experiments.RESULTS / "recipes.json")
row = {(each["key"]["way"], each["key"]["task"], each["key"]["share"]): each for each in shelf["rows"]}
recipe, paper, theirs, pictured = (
    "recipe: half, free frames in the loss",
    "independent timesteps",
    "Wan's way",
    "image_to_video",
)
print(f"mini after 1/20 of the base's training, mean of {shelf['sizes']['training_seeds']} trainings, PSNR (dB)")
for task in (t for way, t, share in row if way == recipe and share == 0.05 and t != "text_to_video"):
    ours, other = row[recipe, task, 0.05], row[paper, task, 0.05]
    a, b = (each["scores"]["psnr"][0] for each in (other, ours))
    print(f"{task:16} independent {a:.1f}, recipe {b:.1f}, ahead by {signed(lead(ours, other), 1, 1)}")
assert clearly(lead(row[recipe, pictured, 0.05], row[paper, pictured, 0.05])) > 0

# %% [markdown]
# *What to see:* the recipe is ahead in all six. (In brackets: 95 % over prompts *and* trainings.) It gains most in
# three rows that are all image to video: `pyramid` and `autoregressive` are the same task on those two schedules of
# chapter 2. What they share is a single, exactly clean frame to start from, which independent timesteps never show.
#
# And what does the specialist pay? Ask Wan's way for a video from words alone. A small program that finds the objects
# in a video (the *reader*, chapter 7) counts how many of them are as the caption says:

# %%
print("share    Wan's way over the recipe, dB   words kept: Wan's way over base   recipe over base")
spoken = row["base", "text_to_video", 0.0]
for share in sorted(share for way, task, share in row if way == theirs and task == pictured):
    gained = lead(row[theirs, pictured, share], row[recipe, pictured, share])
    kept = [lead(row[way, "text_to_video", share], spoken, "text_alignment") for way in (theirs, recipe)]
    print(f"1/{1 / share:<5.0f} {signed(gained):>28} {signed(kept[0], 100, 1):>34} {signed(kept[1], 100, 1):>23}")
    agree = clearly(gained) == clearly(once[share][1]) == (share > 0.03)  # the table under the figure, and this one
    assert agree and clearly(kept[0]) < 0 <= clearly(kept[1]), "the specialist forgets its words, the other does not"

# %% [markdown]
# *What to see:* this is the price of specialising, over three trainings. The longer Wan's way trains, the further it is
# ahead with a picture, and the less it follows words without one (in points of 100). The generalist follows them as the
# base did. Which of the two you want depends on whether you will ever ask for anything else.
#
# Now compare the first row with the table under the figure, which has twice the scenes and more videos of each. At 1/40
# neither is sure who leads with a picture. An interval that contains 0 does not say that there is no lead. It says that
# *these* scenes and trainings cannot tell. From 1/20 on both are sure, and agree.
#
# To train on clips of your own, replace the world by a folder: `pusa-lab train --data FOLDER` (`docs/own_clips.md`).

# %% [markdown]
# ## Exercises
#
# **1 · Fill in.** A training step up to the loss of each frame. You get a model `toy`, clips `x0` of shape
# `(b, c, f, h, w)`, a list of prompts `words`, and a `seed`. Make one generator `g` from the seed; draw independent
# timesteps first and the noise second, both from `g`; mix; call the model; compare with the target. Return the losses
# `(b, f)`.
#
# <details><summary>Hint</summary>
#
# `g = torch.Generator().manual_seed(seed)`, `timestep_samplers.independent(b, f, g)`, and `torch.randn(x0.shape,
# generator=g)`. `tau[:, None, :, None, None]` fits the clips; $x=(1-\tau)\,x_0+\tau\,\varepsilon$. The velocity is
# `toy(x, tau, **toy.encode_text(words))`, its target $\varepsilon-x_0$. The loss of a frame is the mean square over all
# axes but the clips' and the frames'.
#
# </details>


# %% tags=["exercise"]
def my_step(toy, x0, words, seed): ...  # losses (b, f)


# %% tags=["check"]
on_cpu, few, words = small_models.load("nano-vta", device="cpu"), held.x0[:3].cpu(), held.captions[:3]


def miss(toy, x0, words, seed, sampler=timestep_samplers.independent, noise_first=False, swap=False, target=torch.sub):
    g = torch.Generator().manual_seed(seed)
    eps = torch.randn(x0.shape, generator=g) if noise_first else None
    tau = sampler(x0.shape[0], x0.shape[2], g)
    eps = torch.randn(x0.shape, generator=g) if eps is None else eps
    t = tau[:, None, :, None, None]
    x = t * x0 + (1 - t) * eps if swap else (1 - t) * x0 + t * eps
    return toy(x, tau, **toy.encode_text(words)) - target(eps, x0)


def step(*given, axes=(1, 3, 4), **other):
    return miss(*given, **other).square().mean(dim=axes)


nb.check(
    my_step,
    step,
    *(on_cpu, few, words, SEED),
    axes="(clips, frames)",
    mistakes={
        "the target points from the clip to the noise; yours points the other way": lambda *a: step(
            *a, target=lambda eps, x0: x0 - eps
        ),
        "the target is a velocity; yours is the noise": lambda *a: step(*a, target=lambda eps, x0: eps),
        "the target is a velocity; yours is the clean clip": lambda *a: step(*a, target=lambda eps, x0: x0),
        "mixed the wrong way round: at timestep 1 there should be only noise": lambda *a: step(*a, swap=True),
        "all frames of a clip got the same timestep": lambda *a: step(*a, sampler=timestep_samplers.shared),
        "the noise was drawn before the timesteps": lambda *a: step(*a, noise_first=True),
        "this is the mean distance; the loss is the mean of its square": lambda *a: miss(*a).abs().mean(dim=(1, 3, 4)),
        "this is a sum over the pixels of a frame; the loss is their mean": lambda *a: (
            miss(*a).square().sum(dim=(1, 3, 4))
        ),
        "this is one number: leave the loss of each frame apart": lambda *a: step(*a, axes=(0, 1, 2, 3, 4)),
        "this is one number per clip: leave the loss of each frame apart": lambda *a: step(*a, axes=(1, 2, 3, 4)),
        "you averaged over the frames: they are axis 2": lambda *a: step(*a, axes=(1, 2, 3)),
    },
)

# %% [markdown]
# **2 · Vary.** The specialist continues one picture. Write the timestep sampler of another specialist, who fills in
# *between two pictures*: a function `(batch, frames, generator) -> tau` of shape `(batch, frames)`, in which the first
# and the last frame are exactly clean in every clip, and all others share one timestep, a new one for each clip.
#
# <details><summary>Hint</summary>
#
# `clean_prefix` cannot do it: its clean frames are the first ones. `timestep_samplers.shared(batch, frames, generator)`
# gives each clip its timestep; what is left is to put two columns to 0.
#
# </details>

# %% tags=["exercise"]
my_sampler = None  # a function (batch, frames, generator)


# %% tags=["check"]
def drawn(sampler, frames=8):
    return sampler(64, frames, torch.Generator().manual_seed(SEED))


nb.check_that(
    my_sampler,
    {
        "a timestep sampler is called with (batch, frames, generator) and returns (batch, frames)": lambda s: (
            callable(s) and drawn(s) is not None and drawn(s).shape == (64, 8)
        ),
        "the same generator gave other timesteps: is `generator` passed on?": lambda s: torch.equal(drawn(s), drawn(s)),
        "only frame 0 is clean; here two pictures are given": lambda s: (
            not ((drawn(s)[:, 0] == 0).all() and (drawn(s)[:, 1:] > 0).all())
        ),
        "the first and the last frame must be exactly clean in every clip": lambda s: (drawn(s)[:, [0, 7]] == 0).all(),
        "with twelve frames the last one is not clean: is its number written as 7?": lambda s: (
            drawn(s, 12)[:, 11] == 0
        ).all(),
        "a frame in the middle is clean too": lambda s: (drawn(s)[:, 1:7] > 0).all(),
        "the frames that are not known must share one timestep": lambda s: (drawn(s)[:, 1:7] == drawn(s)[:, 1:2]).all(),
        "that timestep must be a new one for each clip": lambda s: drawn(s)[:, 1].std() > 0.1,
    },
)
if my_sampler is not None:
    viz.plot_timestep_sampler(my_sampler, frames=8, title="yours: each frame by itself; frames 0 and 7 together")
    plt.show()

# %% [markdown]
# **3 · Invent.** A timestep sampler for *all three* tasks of the table that beats our two at them. It is called as
# above; timesteps lie in [0, 1]; in every clip at least one frame is exactly clean and at least one is not; and it must
# not be the same frames in every clip. The check trains the base with it, shifted and for just as long as ours (some
# twenty seconds), and asks in *each* task for a mean PSNR above the generalist's and above the specialist's. (One
# training each: the tick is about these three models.) With `FAST` it trains nothing and judges the form alone.
# Success: the tick, and your bars beside ours.
#
# <details><summary>Hint</summary>
#
# Half of the generalist's clips have independent timesteps, which none of the three tasks ever shows. The specialist's
# show one task only. You have samplers for single tasks (of exercise 2, too), and `timestep_samplers.mixture` takes a
# list of samplers.
#
# </details>

# %% tags=["exercise"]
my_own = None  # a function (batch, frames, generator)


# %% tags=["check"]
def known(sampler):
    return drawn(sampler) == 0


def beats_both(sampler):
    """Whether the base, trained with it, is ahead of the generalist and of the specialist in each task."""
    toy, _ = train(sampler)
    table.update({("yours", task): score(ways.maker(toy, at, **OPTIONS), at) for task, at in tasks.items()})
    ahead = {t: [table["yours", t] - table[other, t] for other in ("specialist", "generalist")] for t in tasks}
    for task, (first, second) in ahead.items():
        print(f"{task:15} ahead of the specialist {summary(first)} dB, of the generalist {summary(second)}")
    return all(lead.mean() > 0 for pair in ahead.values() for lead in pair)


nb.check_that(
    my_own,
    {
        "it returns nothing: is a `return` missing?": lambda s: drawn(s) is not None,
        "the result must have one row per clip and one column per frame": lambda s: drawn(s).shape == (64, 8),
        "timesteps lie between 0 and 1": lambda s: drawn(s).min() >= 0 and drawn(s).max() <= 1,
        "in some clip no frame is known": lambda s: known(s).any(dim=1).all(),
        "in some clip every frame is known": lambda s: not known(s).all(dim=1).any(),
        "the same frames are known in every clip": lambda s: (known(s) != known(s)[0]).any(),
        "not ahead of both in every task: which tasks does it practise?": lambda s: FAST or beats_both(s),
    },
)
if my_own is not None and FAST:
    print("(its form; with FAST = True it was neither trained nor compared)")
elif my_own is not None:
    fig, ax = plt.subplots(figsize=(9.5, 3.2), layout="constrained")
    for place, (name, colour) in enumerate({**COLOURS, "yours": "#CC79A7"}.items()):
        heights = [table[name, task].mean() for task in tasks]
        ax.bar(np.arange(3) + (place - 2) / 6, heights, 1 / 6, color=colour, label=name)
    ax.set(ylim=(14, None), ylabel="PSNR (dB)", xticks=range(3), xticklabels=tasks)
    ax.legend(bbox_to_anchor=(1, 0.5), loc="center left")
    plt.show()

# %% [markdown]
# ## Recap
#
# | name | meaning |
# |---|---|
# | `clean_prefix(1, rest=shared)` | the specialist: frame 0 clean, one timestep for the rest |
# | `mixture([independent, task_mixture()])` | the generalist: the paper's timesteps, and every task |
# | `weight="free_frames"` | leaves known frames out of the loss |
# | `VTAModule`, `run`, `TrainConfig` | the step, the loop, the settings |
# | nano-base, standing still | the two baselines any adaptation has to beat |
#
# *What could go wrong:* judging by the training loss, which belongs to its sampler; leaving out the dull baseline;
# reading a difference of losses without its parts; taking an interval over clips, as ours, for one over trainings
# (change `SEED`); taking the ranking after half a minute for that after a day.
#
# *Where the code lives:* `pusa_lab/training/module.py` (`training.VTAModule`), `pusa_lab/training/loop.py`
# (`training.run`, `training.fit`), `pusa_lab/schedules/timestep_samplers.py` (`timestep_samplers.mixture`),
# `small_models/training/recipes.py` (how the shipped checkpoints were trained), `small_models/experiments/recipe.py`.
#
# *References:* Pusa V1.0, arXiv 2507.16116; Wan, arXiv 2503.20314; FVDM, arXiv 2410.03160.
