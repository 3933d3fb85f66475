# %% [markdown]
# # 5 · Train a toy: from one timestep to one per frame
#
# ***You have a model that makes videos from text. Can a minute of training, on a CPU, teach it to continue a picture?
# And what does it forget meanwhile?***
#
# *You need: chapters 1 and 4. Time: 25 minutes of reading, a few minutes of CPU.*
#
# The usual way to make a model continue a picture is to give its network a further input for pictures, with new
# weights, and to train that at length. Pusa (arXiv 2507.16116), whose method this course follows, adds nothing: a known
# frame is one at timestep 0. Our `nano-base` was trained with **one** timestep for all frames. Its architecture already
# takes one per frame (chapter 1); only its weights have never met unequal ones. Training them on such timesteps is
# called vectorized timestep adaptation (VTA). You will do it here, live, on a task small enough to be learned while you
# watch.
#
# **After this chapter you can**
#
# - measure whether a model uses a clean frame or ignores it;
# - adapt a base with `pusa_lab.training`, and judge the result against two baselines and a control;
# - say what the choice of training timesteps decides, and what it costs to specialise.

# %% tags=["setup"]
# build.py puts the installing cell here.

# %% tags=["parameters"]
SEED = 0
STEPS = 200
BATCH = 8
CLIPS = 32
FAST = False

# %%
import logging
import time
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import torch

import pusa_lab.notebook as nb
import small_models
from pusa_lab import losses, pixels, viz
from pusa_lab.schedules import task_shares, timestep_samplers
from pusa_lab.training import TrainConfig, VTAModule, run
from small_models import world
from small_models.evaluation import evaluate, ways
from small_models.training.data import clips_of, pixel_dataset
from small_models.world.reader import locate

device = nb.setup(seed=SEED, shapes=True)
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # otherwise the trainer reports the hardware it found
logging.captureWarnings(True)
STEPS, BATCH, CLIPS = (40, 2, 8) if FAST else (STEPS, BATCH, CLIPS)

# %% [markdown]
# ## Where we start
#
# `nano` is small enough to train while you wait. It has no codec, so its frames are pictures: 8 frames of 16 x 16
# pixels. Two checkpoints ship with the toolkit: the base, and `nano-vta`, which is the base after long training on
# other timesteps.

# %% tags=["nbval-check-output"]
base, shipped = (small_models.load(f"nano-{stage}", device=device) for stage in ("base", "vta"))
geometry = base.geometry
for stage in ("base", "vta"):
    card = small_models.card(f"nano-{stage}")
    seen = card["config"]["max_steps"] * card["config"]["global_batch_size"]
    print(f"nano-{stage:4}: {seen:,} clips on {card['device']}, timesteps {card['config']['timestep_sampler']}")

# %% [markdown]
# (`shared` is one timestep for all frames; the mixture is explained below.) Nobody waits for millions of clips, so we
# take a smaller task and learn it properly. `nano`'s world has circles, squares and triangles, one or two in a clip,
# that bounce off the walls. In our world there is **one ball per clip**, of any colour, speed and direction. Here is
# frame 0 of a clip that no model has seen, and two models continue it.

# %%
BALL = replace(world.NANO, objects=(1.0,), nouns=world.NANO.nouns[:1])  # one object, and of the nouns "circle" only
world.WORLDS.register(BALL, "ball")
scene = world.draw_scenes(12, evaluate.EVAL_SEED + SEED + 3, BALL)[:3]  # training draws from smaller seeds
truth, caption = pixels.to_uint8(world.render(scene, geometry.frames, geometry.size[0])), world.captions(scene)
OPTIONS = {"steps": 3, "guidance": 1.0} if FAST else {"steps": 6, "guidance": 2.0}


def continued(toy):
    return ways.maker(toy, **OPTIONS)(caption, truth, SEED)


shown = {"truth": truth[0], "nano-base": continued(base)[0], "nano-vta": continued(shipped)[0]}
print(caption[0])
nb.play(shown, fps=geometry.fps, width=192)

# %% [markdown]
# `nano-base` knows the words: a ball of the right colour moves. But it is not in the place where it was given: from
# frame 0 to frame 1 it jumps. `nano-vta` carries on from the picture.
#
# ## Does a model use a clean frame?
#
# One clip proves nothing, so let us measure. Take unseen clips and fixed noise. Compute the loss of frames 1 and later
# twice: with frame 0 as noisy as they are, and with frame 0 clean. Nothing else differs. If the model looks at the
# clean frame, its loss should fall, because the floor does (the part of the loss that no model can avoid, chapter 4).
#
# **Predict.** By how much does the loss of the base fall?

# %%
UNSEEN = CLIPS if FAST else 3 * CLIPS  # clips: a loss is cheap to compute, and its differences are small
clips = clips_of("ball", UNSEEN, evaluate.VALIDATION_SEED, geometry, device)
held = pixel_dataset(clips, UNSEEN, 0, device).chunks()[0]
eps = torch.randn(held.x0.shape, generator=torch.Generator().manual_seed(SEED)).to(device)
levels = torch.linspace(0.1, 0.9, 5)


# %%


@torch.no_grad()
def later_loss(toy, level, first):
    """The loss of frames 1 to 7 at one level, clip by clip, with frame 0 at a level of its own."""
    tau = torch.full((UNSEEN, geometry.frames), float(level), device=device)
    tau[:, 0] = first
    each = losses.fafm_frame_loss(toy, held.x0, tau, eps, **toy.encode_text(held.captions))
    return each[:, 1:].mean(dim=1).cpu()


def both_losses(toy):
    """(frame 0 as noisy as the rest, frame 0 clean), each (levels, clips)."""
    return tuple(torch.stack([later_loss(toy, t, t * noisy) for t in levels]) for noisy in (1, 0))


# %%
def half(values):
    """Half of the 95 % interval of a mean over clips."""
    return 1.96 * values.std() / len(values) ** 0.5


def summary(values, digits=1):
    return f"{values.mean():+.{digits}f} ± {half(values):.{digits}f}"


found = {"nano-base": both_losses(base), "nano-vta": both_losses(shipped)}
gain = {name: noisy - clean for name, (noisy, clean) in found.items()}
print(f"saved by a clean frame 0, at level {levels[0]:.1f} and {levels[-1]:.1f}, and on average:")
for name, saved in gain.items():
    print(f"{name:10}", *(f"{summary(each, 3)}  " for each in (saved[0], saved[-1], saved.mean(dim=0))))
assert gain["nano-vta"].mean() > 0 > gain["nano-base"].mean(), (
    "the adapted model uses the picture; it confuses the base"
)

# %% [markdown]
# <details><summary>Answer</summary>
#
# On average it does not fall, it rises: what is saved is negative. The base was given *more* to go by and does worse:
# unequal timesteps are something it has never met. The harm is at low noise, and the target says why it shows there.
# From $x = (1-\tau)\,x_0 + \tau\,\varepsilon$ follows $v = \varepsilon - x_0 = (x - x_0)/\tau$. So a model that
# guesses the clip as $\hat{x}_0$ has a squared error of $(\hat{x}_0 - x_0)^2/\tau^2$: the same slip costs
# $(0.9/0.1)^2 = 81$ times as much at level 0.1 as at 0.9.
#
# `nano-vta` does save something: not at 0.1, where every frame is visible on its own, but at 0.9, where noise hides the
# others. (The number after ± is half of a 95 % interval over clips; clips and noise are the same for both models.)
#
# </details>
#
# ## One training step

# %% tags=["hide-input"]
nb.diagram(
    "05_one_training_step",
    "A clip whose first frame is clean and whose other frames are noised goes through the model; the loss counts the "
    "noised frames only.",
)

# %% [markdown]
# The model stays as it is and so does the loss of chapter 4, except that each frame $i$ has its own timestep:
#
# $$x_i = (1 - \tau_i)\, x_{0,i} + \tau_i\, \varepsilon_i , \qquad
# \ell_i = \text{mean over pixels of } \big( v_\theta(x, \tau)_i - (\varepsilon_i - x_{0,i}) \big)^2 .$$
#
# To guess frame $i$, the model sees *all* frames of $x$ and all timesteps: that is how it can look at a clean one. What
# is left to decide is which $\tau$ to practise: a **timestep sampler** draws them. We begin with two.
#
# - **The specialist** sees frame 0 clean in every clip and one timestep for all others. It practises image-to-video and
#   nothing else.
# - **The control** trains just as long, on the same clips, as the base always did: one timestep for all frames. If it
#   gets as good, then training helped, or the smaller world, and not the timesteps.

# %%
samplers = {
    "specialist": timestep_samplers.clean_prefix(1, rest=timestep_samplers.shared),
    "control": timestep_samplers.shared,
}
for name, sampler in samplers.items():
    print(f"three draws of the {name}:")
    print(np.array2string(sampler(3, geometry.frames, torch.Generator().manual_seed(SEED)).numpy(), precision=2))

# %% [markdown]
# Known frames are left out of the loss (`free_frames`): at $\tau_i = 0$ the noise $\varepsilon_i$ is not in the input
# at all, so nobody could guess the target $\varepsilon_i - x_{0,i}$. With that, here is the whole of training, by hand:
# three steps of the specialist on the same few clips.

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
# cosine. In the toolkit `VTAModule` is the step and `run` the loop around it. We shift all timesteps towards noise,
# where a clean frame is worth most: $\tau$ becomes $5\tau / (1 + 4\tau)$ (chapter 2), so 0 stays 0, and half of all
# draws lie above 0.83. The set holds as many clips as will be drawn, so hardly anything can be learned by heart.
#
# Now and then we interrupt the loop to continue unseen clips from their first frame. Two numbers say how well: the PSNR
# of the seven frames that were not given (in decibels; 3 dB is half the squared error), and how far the ball is from
# its true place, in pixels. The ball is a good five pixels wide.


# %%
config = TrainConfig(
    max_steps=STEPS,
    global_batch_size=BATCH,
    lr=1.5e-3,
    warmup=STEPS // 10,
    ema=0.0,  # no running mean of the weights
    weight="free_frames",
    seed=SEED,
)
dataset = pixel_dataset(clips_of("ball", STEPS * BATCH, SEED, geometry, device), BATCH, SEED, device)
marks = [STEPS] if FAST else [STEPS // 4, STEPS // 2, STEPS]  # steps after which we look


# %%


def score(make, known=(0,), of="ball"):
    """PSNR of the frames that are not known, and the objects' distance from their places, clip by clip."""
    free = [i for i in range(geometry.frames) if i not in known]
    raw = evaluate.collect(make, base, CLIPS, world=of)
    return torch.stack([raw["psnr_frame"][:, free].mean(dim=1), raw["position_error"]])


# %%
def train(sampler, keep=None):
    began = time.process_time()
    toy = small_models.load("nano-base", device=device).requires_grad_(True).train()
    toy.text.requires_grad_(False)
    module = VTAModule(toy, config)
    module.timestep_sampler = timestep_samplers.shift_timesteps(sampler, 5.0)
    run(module, dataset, marks=marks if keep else (), keep=keep)
    print(f"{STEPS} steps took {time.process_time() - began:.0f} seconds of processor time")
    return toy.requires_grad_(False).eval().to(device)


# %% [markdown]
# What should count as success? Two baselines will tell. The **base** itself, before training. And **standing still**:
# repeat the known frame, which knows nothing of motion, but is hard to beat, since most pixels do not change.
#
# **Predict.** The specialist will see less than one clip for every thousand that `nano-vta` has seen. Is that enough to
# beat the base, or even standing still? And how far does the control get?


# %%
def watched(name):
    """Train; print the scores on the way; return the toy, its scores, and its continuations of our clip."""
    scores, clips = [score(ways.maker(base, **OPTIONS))], {"step 0": continued(base)[0]}

    def keep(step, now):
        scores.append(score(ways.maker(now, **OPTIONS)))
        clips[f"step {step}"] = continued(now)[0]
        print(f"{name}, step {step:3}: {scores[-1][0].mean():.1f} dB, {scores[-1][1].mean():.1f} pixels off")

    return train(samplers[name], keep), torch.stack(scores), clips


specialist, path, clips = watched("specialist")
control, flat, _ = watched("control")

# %% tags=["hide-input"]
viz.filmstrip(clips | {"truth": truth[0]}, known=[0]).set_title(caption[0])
plt.show()

# %% [markdown]
# *What to see:* above, our clip as the specialist continues it before, during and after training. At step 0 the ball
# starts again elsewhere. At the last step it sets out from where it was given and stays in one piece. Below, the scores
# over all unseen clips, with the control.


# %% tags=["hide-input"]
def stand_still(known):
    """Repeat the nearest known frame."""
    nearest = [min(known, key=lambda k: abs(k - i)) for i in range(geometry.frames)]
    return lambda prompts, truth, seed: truth[:, nearest]


COLOURS = {
    "nano-base": "#000000",
    "control": "#CC79A7",
    "specialist": "#D55E00",
    "generalist": "#009E73",
    "nano-vta": "#0072B2",
}
reached = {
    "nano-base": path[0],
    "standing still": score(stand_still((0,))),
    "control": flat[-1],
    "specialist": path[-1],
    "nano-vta": score(ways.maker(shipped, **OPTIONS)),
}
fig, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
for k, (ax, what) in enumerate(zip(axes, ("PSNR (dB)", "distance from the true place (pixels)"), strict=True)):
    for name, each, marker in (("specialist", path, "o"), ("control", flat, "v")):
        drawn = {"color": COLOURS[name], "marker": marker, "lw": 2, "capsize": 3, "label": f"{name}, live"}
        ax.errorbar([0, *marks], each[:, k].mean(dim=1), [half(x[k]) for x in each], **drawn)
    for name, style in (("nano-vta", "--"), ("standing still", ":")):
        ax.axhline(reached[name][k].mean(), color=COLOURS.get(name, "0.5"), ls=style, lw=1.5, label=name)
    ax.set(xlabel="training step", title=what)
axes[1].set_ylim(0, None)
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
plt.show()

# %%
whole = small_models.card("nano-vta")["config"]
share = whole["max_steps"] * whole["global_batch_size"] / (STEPS * BATCH)
print(f"{STEPS * BATCH:,} clips, one for every {share:,.0f} that nano-vta has seen")
gained = {}
for name, other in (("specialist", "nano-base"), ("specialist", "standing still"), ("control", "nano-base")):
    gained[name, other] = (reached[name] - reached[other])[0]
    print(f"{name:10} against {other:15} {summary(gained[name, other])} dB")
enough = 1 if FAST else 5
assert gained["specialist", "nano-base"].mean() > enough, "one timestep per frame: it learns to continue the picture"
assert gained["control", "nano-base"].mean() < enough, "one timestep for all: it does not"
assert (reached["specialist"] - reached["control"])[0].mean() > enough, "so it was the timesteps"
assert reached["specialist"][1].mean() < reached["nano-base"][1].mean() - enough / 4, "the ball is nearer its place"
assert FAST or gained["specialist", "standing still"].mean() > 2, "and that is more than repeating the picture"

# %% [markdown]
# <details><summary>Answer</summary>
#
# It is enough for both. The specialist leaves the base at once, passes standing still, and ends several decibels
# above it; the ball is about a pixel from its true place instead of four. The control, trained on the same clips for
# just as long, stays where the base was. So in these two trainings it was neither the training as such nor the
# smaller world: it was the timesteps. (Bars and ± are half of a 95 % interval over clips; the differences are paired,
# clip by clip. They do not say how another training would have ended: for that, change `SEED`. Processor time adds up
# all cores: a clock may show less.) `nano-vta`, with so many more clips, is still far ahead.
#
# </details>
#
# Here are three clips, to see what is still missing:

# %%
after = {"nano-base": continued(base), "specialist": continued(specialist), "truth": truth}
print(caption[0])
nb.play({name: each[0] for name, each in after.items()}, fps=geometry.fps, width=192)
viz.filmstrip({f"{name}, {n}": each[n] for n in (1, 2) for name, each in after.items()}, known=[0])
plt.title(f"1: {caption[1]}; 2: {caption[2]}")
plt.show()

# %% [markdown]
# *What to see:* in all three the base's ball jumps and the specialist's sets out from its picture, at first a little
# too fast. But then it stops (clip 1, from frame 3) or turns back (clip 2, from frame 4): so short a training teaches
# it to begin in the right place, not yet to keep moving.
#
# ## Has it learned the ball, or to look?
#
# The specialist has practised on single circles. So give it `nano`'s whole world: squares, triangles, two objects at
# once. The base has seen those, but never with a clean first frame. (Two objects have one distance, their mean.)
#
# **Predict.** Is it above the base there as well?

# %%
everything = {
    "nano-base": score(ways.maker(base, **OPTIONS), of="nano"),
    "control": score(ways.maker(control, **OPTIONS), of="nano"),
    "standing still": score(stand_still((0,)), of="nano"),
    "specialist": score(ways.maker(specialist, **OPTIONS), of="nano"),
}
for name, (db, off) in everything.items():
    print(f"{name:15} {db.mean():.1f} dB, {off.mean():.1f} pixels off")
carried = (everything["specialist"] - everything["nano-base"])[0]
print(f"specialist against nano-base {summary(carried)} dB")
share = carried.mean() / gained["specialist", "nano-base"].mean()
print(f"that is {share:.0%} of what it gained on balls")
assert carried.mean() > enough / 4, "what it learned on balls helps with squares, triangles and pairs"

# %% [markdown]
# <details><summary>Answer</summary>
#
# It is above the base, by a good part of what it gained on balls, and its mean is above that of standing still. A
# likely reading: the base knew what a triangle is and how things bounce. What it lacked was to look at a frame that
# is less noisy than the others, and that is the same skill whatever the frame shows.
#
# </details>
#
# ## What a specialist forgets
#
# Now a third sampler, from the same base and just as long. **The generalist** follows the recipe by which `nano-vta`
# was trained (chapter 12 tells how it was found). Half of the clips have independent timesteps, a new one for each
# frame, as in Pusa's paper. In the other half a random set of frames is known, as for one task or another, and the rest
# share one.

# %%
samplers["generalist"] = timestep_samplers.mixture([timestep_samplers.independent, timestep_samplers.task_mixture()])
print(np.array2string(samplers["generalist"](4, 8, torch.Generator().manual_seed(SEED)).numpy(), precision=2))
drawn_as = task_shares(samplers["generalist"], frames=geometry.frames, samples=4000)
print(f"clips in which the first frame is known, and no other: {drawn_as['first']:.0%}")
generalist = train(samplers["generalist"])

# %% tags=["hide-input"]
nb.diagram(
    "05_what_is_practised",
    "The timesteps that control, specialist and generalist practise on five frames: one for all frames; frame 0 known "
    "and one for the rest; and half of the time any level on any frame, otherwise a random set of known frames.",
)

# %% [markdown]
# Back to the loss of frames 1 to 7. What a clean frame *saves* is a difference, and a difference can also grow because
# its first part has got worse. So look at both parts, each as its distance from one and the same loss: the base's, with
# all frames equally noisy.
#
# **Predict.** With frame 0 clean, where is the loss furthest below the base's: at low or at high noise? And with all
# frames equally noisy, as in text-to-video: who has got worse?

# %% tags=["hide-input"]
live = {"control": control, "specialist": specialist, "generalist": generalist}
found |= {name: both_losses(toy) for name, toy in live.items()}
more = {name: [each - found["nano-base"][0] for each in pair] for name, pair in found.items()}
fig, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", sharey=True)
titles = ("all frames equally noisy", "frame 0 clean")
for i, (ax, title) in enumerate(zip(axes, titles, strict=True)):
    for name, colour in COLOURS.items():
        each = more[name][i]
        error = [half(at_level) for at_level in each]
        ax.errorbar(levels, each.mean(dim=1), yerr=error, color=colour, marker="o", ms=4, capsize=3, label=name)
    ax.axhline(0, color="0.7", lw=1, zorder=0)
    ax.set(title=title, xlabel="noise level of frames 1 to 7")
axes[0].set_ylabel("loss above that of nano-base\nwith all frames equally noisy")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
plt.show()

# %%
print("loss above the base's, mean of the five levels:  equally noisy      frame 0 clean")
for name in COLOURS:
    print(f"{name:47}", *(f"{summary(each.mean(dim=0), 3)}  " for each in more[name]))
for other in ("control", "generalist"):
    forgot = (more["specialist"][0] - more[other][0])[-2:].mean(dim=0)  # at the two highest levels
    assert FAST or forgot.mean() > half(forgot), "the specialist forgets more of text-to-video"
seen = more["specialist"][1][-1]  # frame 0 clean, the others at the highest level
assert FAST or seen.mean() < -1.6 * half(seen), "the specialist uses the picture"

# %% [markdown]
# <details><summary>Answer</summary>
#
# On the right, at high noise: there the other frames show nothing themselves, and the specialist, the generalist and
# `nano-vta` are far below the base. The control is not.
#
# On the left, every live model has got somewhat worse at low noise, probably because the shift towards noise showed
# them little of it. The specialist has got far worse at high noise as well. It has not met a noisy frame 0 since its
# training began, and it forgets. So part of what a clean frame "saves" it, the gap between the two panels, is no skill
# at all: the left one went up. The generalist practises every frame at every level. It loses on average no more than
# the control, though at 0.9 it is visibly above it. `nano-vta`, after its long training, loses nothing on average.
#
# </details>
#
# Does the loss on the left show in videos? Give the models no picture, only the caption, and let a program that reads
# the pictures (chapter 7) say how much of it came true (*text alignment*, in points of 100).

# %%
prompted = {"nano-base": base, **live}
aligned = {}
for name, toy in prompted.items():
    aligned[name] = 100 * evaluate.collect(ways.maker(toy, (), **OPTIONS), base, UNSEEN, world="ball")["text_alignment"]
    against = summary(aligned[name] - aligned["nano-base"])
    print(f"{name:10} {aligned[name].mean():.0f} of 100, against nano-base {against}")
print(f"specialist against the generalist: {summary(aligned['specialist'] - aligned['generalist'])}")
strips = {name: ways.maker(toy, (), **OPTIONS)(caption, truth, SEED)[0] for name, toy in prompted.items()}
viz.filmstrip(strips).set_title(f"from the caption alone: {caption[0]}")
plt.show()

# %% [markdown]
# *What to see:* every row has the ball, but the specialist's background has turned grey and its ball ragged. In points
# all three live models are below the base. With three comparisons at once intervals must be a little wider (chapter 8),
# and then only the specialist is clearly below; whether it is below the generalist, too, nobody can say.
#
# ## Tasks that it never practised
#
# The specialist has never filled in between a first and a last frame, nor continued four frames. The generalist has.
#
# **Predict.** Which of the two is ahead with one known frame, with two, and with four?

# %%
tasks = {"first frame": (0,), "first and last": (0, geometry.frames - 1), "four frames": (0, 1, 2, 3)}
models = {"nano-base": base, "specialist": specialist, "generalist": generalist}
table, later = {}, {}  # of all free frames; of frames 1 to 6, which are free with one known frame and with two
for task, at in tasks.items():
    makers = {name: ways.maker(toy, at, **OPTIONS) for name, toy in models.items()}
    for name, make in {"standing still": stand_still(at), **makers}.items():
        by_frame = evaluate.collect(make, base, CLIPS, world="ball")["psnr_frame"]
        free = [i for i in range(geometry.frames) if i not in at]
        table[name, task], later[name, task] = by_frame[:, free].mean(dim=1), by_frame[:, 1:-1].mean(dim=1)
print(f"{'PSNR (dB), given:':18}", *(f"{task:>15}" for task in tasks))
for name in ("standing still", *models):
    print(f"{name:18}", *(f"{table[name, task].mean():15.1f}" for task in tasks))
print("specialist, ahead of the generalist by, in dB:")
for task in tasks:
    print(f"  {task:15} {summary(table['specialist', task] - table['generalist', task])}")
    learned = table["generalist", task] - table["nano-base", task]
    assert FAST or learned.mean() > half(learned), "the generalist is above the base in every task"

# %%
print("gained on frames 1 to 6 by being given the last frame too, in dB:")
for name in ("standing still", *models):
    print(f"  {name:15} {summary(later[name, 'first and last'] - later[name, 'first frame'])}")

# %% [markdown]
# <details><summary>Answer</summary>
#
# With the first frame given, the specialist is clearly ahead: all of its clips looked like this task, and few of the
# generalist's (printed above). On the other two we expected the generalist ahead, and it is not: between two pictures
# neither is clearly ahead, and with four frames the specialist leads. But read the last lines, which compare the same
# frames 1 to 6. The last picture is worth about two decibels to the generalist (and nearly as much to standing still).
# To the specialist it is worth nothing that is clear: it probably continues frame 0 and makes no use of the end. So it
# keeps up there only by its lead from the first picture.
#
# </details>
#
# ## Your model, your picture
#
# You have trained a model that continues a picture. So choose the picture yourself, and let the words decide what comes
# next: four times the same ball in the same place, sent another way each time. A scene is a few numbers, so the true
# continuation is known here, too.
#
# **Predict.** In training no picture ever came with two captions. Will the specialist follow the words?

# %%
YOURS = specialist  # or generalist, or live["yours"] once exercise 3 is done
COLOUR, PLACE, SPEED = "blue", (0.5, 0.5), ""  # x and y from 0.2 to 0.8 of the side; "slowly", "" or "quickly"
WAYS = ("right", "down", "left", "up")


# %% tags=["hide-input"]
def number(table, name):
    return list(table).index(name)


four = torch.ones(len(WAYS), 1, dtype=torch.int64)


def same_ball():
    """A scene for each way, all with the same first frame."""
    return replace(
        world.draw_scenes(1, SEED, BALL)[torch.zeros(len(WAYS), dtype=torch.int64)],
        colour=four * number(world.COLOURS, COLOUR),
        speed=four * number(dict(BALL.speeds), SPEED),
        start=torch.tensor([[PLACE]] * len(WAYS)),
        direction=torch.tensor([[number(world.DIRECTIONS, way)] for way in WAYS]),
    )


# %%
own = same_ball()
asked, true = world.captions(own), pixels.to_uint8(world.render(own, geometry.frames, geometry.size[0]))
made = {name: ways.maker(toy, **OPTIONS)(asked, true, SEED) for name, toy in (("yours", YOURS), ("base", base))}
viz.filmstrip(dict(zip(asked, made["yours"], strict=True)), known=[0])
plt.show()

# %%
centres, missed = world.positions(own, geometry.frames), {}
for name, each in made.items():
    off = (locate(pixels.to_pixels(each), own.colour, BALL)[0] - centres)[:, 1:].norm(dim=-1)
    missed[name] = geometry.size[0] * off.nanmean(dim=(1, 2))
    print(f"{name:5}", *(f"{way} {miss:.1f}" for way, miss in zip(WAYS, missed[name], strict=True)), "pixels off")
assert FAST or (missed["yours"] < missed["base"]).all(), "all four go where they are sent, better than by the base"

# %% [markdown]
# <details><summary>Answer</summary>
#
# From this picture the specialist follows them: each ball leaves its place in the direction in which it was sent.
# Further on the paths get worse, and *up* drifts to the side. All four are nearer to the truth than the base's. Four
# clips are few: try other colours, places and speeds, and some will go astray.
#
# </details>
#
# Chapter 7 asks what longer training does, on a larger toy and beside a rival that takes the picture as a further input
# (all numbers are in `docs/claims.md`). To train on clips of your own, see `docs/own_clips.md`.

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
# Everything was used above: a sampler is called with `(batch, frames, generator)`, the model with
# `(x, tau, **toy.encode_text(words))`. `tau[:, None, :, None, None]` fits the clips. The loss of a frame is a mean over
# all axes but the clips' and the frames'.
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
# **3 · Invent.** A timestep sampler for *all three* tasks of the table that beats the generalist at them. It is
# called as above; timesteps lie in [0, 1]; in every clip at least one frame is exactly clean and at least one is not;
# and it must not be the same frames in every clip. The check trains the base with it, shifted and for just as long as
# ours, and subtracts the generalist's PSNR clip by clip. In the *mean* of the three tasks the whole 95 % interval
# must lie above 0, and in no task may it lie below. It also says how far you are from the specialist. With `FAST` it
# trains nothing and judges the form alone. Success: the tick, and your bars beside ours; your model is then
# `live["yours"]`, and can continue your picture above.
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


def gain_over(other, task):
    return table["yours", task] - table[other, task]


def beats_it(sampler):
    """Whether the base, trained with it, is clearly ahead of the generalist on average, and clearly behind nowhere."""
    toy = live["yours"] = train(sampler)
    for task, at in tasks.items():
        table["yours", task] = score(ways.maker(toy, at, **OPTIONS), at)[0]
        told = [summary(gain_over(other, task)) for other in ("specialist", "generalist")]
        print(f"{task:15} ahead of the specialist {told[0]} dB, of the generalist {told[1]}")
    gains = torch.stack([gain_over("generalist", task) for task in tasks])
    print(f"{'mean of them':15} ahead of the generalist {summary(gains.mean(dim=0))} dB")
    return gains.mean() > half(gains.mean(dim=0)) and all(gain.mean() > -half(gain) for gain in gains)


nb.check_that(
    my_own,
    {
        "it returns nothing: is a `return` missing?": lambda s: drawn(s) is not None,
        "the result must have one row per clip and one column per frame": lambda s: drawn(s).shape == (64, 8),
        "timesteps lie between 0 and 1": lambda s: drawn(s).min() >= 0 and drawn(s).max() <= 1,
        "in some clip no frame is known": lambda s: known(s).any(dim=1).all(),
        "in some clip every frame is known": lambda s: not known(s).all(dim=1).any(),
        "the same frames are known in every clip": lambda s: (known(s) != known(s)[0]).any(),
        "not clearly ahead of the generalist on average, or clearly behind in one: what does it practise?": lambda s: (
            FAST or beats_it(s)
        ),
    },
)
if my_own is not None and FAST:
    print("(its form; with FAST = True it was neither trained nor compared)")
elif my_own is not None:
    fig, ax = plt.subplots(figsize=(9.5, 3.2), layout="constrained")
    for place, name in enumerate(("specialist", "generalist", "yours")):
        ahead = [table[name, task] - table["nano-base", task] for task in tasks]
        look = {"color": COLOURS.get(name, "#F0E442"), "label": name, "capsize": 4}
        ax.bar(np.arange(3) + (place - 1) / 4, [x.mean() for x in ahead], 1 / 4, yerr=[half(x) for x in ahead], **look)
    ax.set(ylabel="ahead of nano-base (dB)", xticks=range(3), xticklabels=tasks)
    ax.legend(bbox_to_anchor=(1, 0.5), loc="center left")
    plt.show()

# %% [markdown]
# ## Recap
#
# | name | meaning |
# |---|---|
# | `clean_prefix(1, rest=shared)` | the specialist: frame 0 clean, one timestep for the rest |
# | `mixture([independent, task_mixture()])` | the generalist: the paper's timesteps, and every task |
# | `shared` | the control: one timestep for all frames, as the base was trained |
# | `weight="free_frames"` | leaves known frames out of the loss |
# | `VTAModule`, `run`, `TrainConfig` | the step, the loop, the settings |
# | nano-base, standing still | the two baselines that any adaptation has to beat |
#
# *What could go wrong:* judging by the training loss, which belongs to its sampler; leaving out the dull baseline;
# reading a difference of losses without its parts; taking an interval over clips, as ours, for one over trainings
# (change `SEED`); taking the ranking after a minute for that after a day.
#
# *Where the code lives:* `pusa_lab/training/module.py` (`training.VTAModule`), `pusa_lab/training/loop.py`
# (`training.run`, `training.fit`), `pusa_lab/schedules/timestep_samplers.py` (`timestep_samplers.mixture`),
# `small_models/training/recipes.py` (how the shipped checkpoints were trained), `small_models/world/scenes.py` (what a
# scene is).
#
# *References:* Pusa V1.0, arXiv 2507.16116; one timestep per frame from the start, FVDM, arXiv 2410.03160.
