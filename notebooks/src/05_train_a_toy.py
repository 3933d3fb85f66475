# %% [markdown]
# # 5 · Train a toy: from one timestep to one per frame
#
# **You have a model that makes videos from text. Can one minute of training, on a laptop, teach it to continue a
# picture?**
#
# *You need: chapters 1 and 4. Time: 25 minutes of reading, two minutes of CPU.*
#
# `nano-base` was trained with **one** timestep for all frames. Its architecture already takes one per frame (chapter 1);
# only its weights have never met unequal ones. Training them on such timesteps is called vectorized timestep adaptation
# (VTA, arXiv 2507.16116). You will do it here, live, and measure whether it worked.
#
# **After this chapter you can**
#
# - measure whether a model uses a clean frame or ignores it;
# - adapt a base with `pusa_lab.training`, and judge the result against two honest baselines;
# - say what the timestep sampler decides, and what a minute of training can and cannot buy.

# %% tags=["setup"]
# build.py puts the installing cell here.

# %% tags=["parameters"]
SEED = 0
STEPS = 250
BATCH = 16
CLIPS = 32
FAST = False

# %%
import logging

import matplotlib.pyplot as plt
import torch

import pusa_lab.notebook as nb
import small_models
from pusa_lab import losses, pixels, viz
from pusa_lab.schedules import timestep_samplers
from pusa_lab.training import TrainConfig, VTAModule, run
from small_models import experiments, world
from small_models.evaluation import evaluate, ways
from small_models.training.data import clips_of, pixel_dataset

device = nb.setup(seed=SEED, shapes=True)
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # otherwise the trainer reports the hardware it found
logging.captureWarnings(True)
STEPS, BATCH, CLIPS = (20, 4, 4) if FAST else (STEPS, BATCH, CLIPS)

# %% tags=["hide-input"]
nb.diagram(
    "05_one_training_step",
    "A clip whose first frame is clean and whose other frames are noised goes through the model; the loss counts the "
    "noised frames only. Below are the timesteps that four samplers give to five frames.",
)

# %% [markdown]
# ## Where we start
#
# `nano` is small enough to train while you wait. It has no codec, so its frames are pictures: 8 frames of 16 x 16
# pixels, with one or two objects that bounce off the walls. Two checkpoints ship with the toolkit.

# %% tags=["nbval-check-output"]
base, shipped = (small_models.load(f"nano-{stage}", device=device) for stage in ("base", "vta"))
geometry, world_name = base.geometry, base.preset["world"]
for stage in ("base", "vta"):
    card = small_models.card(f"nano-{stage}")
    seen = card["config"]["max_steps"] * card["config"]["global_batch_size"]
    print(f"nano-{stage:4}: timesteps {card['config']['timestep_sampler']:11}, {seen:9,} clips on {card['device']}")

# %% [markdown]
# Ask both for the same thing: here is frame 0 of a clip that neither has seen, continue it.

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
# twice: with all frames at one timestep, and with frame 0 clean and the others as before. Nothing else differs. If the
# model looks at the clean frame, its loss must fall, because the floor falls (chapter 4).
#
# **Predict.** By how much does the loss of the base fall?

# %%
held = pixel_dataset(
    clips_of(world_name, CLIPS, evaluate.VALIDATION_SEED, geometry, device), CLIPS, 0, device
).chunks()[0]
eps = torch.randn(held.x0.shape, generator=torch.Generator().manual_seed(SEED)).to(device)
levels = torch.linspace(0.1, 0.9, 5)


@torch.no_grad()
def picture_gain(toy, level):
    """By how much a clean frame 0 lowers the loss of the other frames, clip by clip."""
    same = torch.full((CLIPS, geometry.frames), float(level), device=device)
    known = same.clone()
    known[:, 0] = 0
    text = toy.encode_text(held.captions)
    before, after = (losses.fafm_frame_loss(toy, held.x0, tau, eps, **text) for tau in (same, known))
    return (before - after)[:, 1:].mean(dim=1).cpu()


def summary(values):
    return f"{values.mean():+.3f} ± {values.std() / len(values) ** 0.5:.3f}"


gains = {name: torch.stack([picture_gain(toy, t) for t in levels]) for name, toy in (("base", base), ("vta", shipped))}
for name, gain in gains.items():
    print(f"nano-{name:4}: the clean frame lowers the loss by {summary(gain.mean(dim=0))}")
assert gains["vta"].mean() > 0 > gains["base"].mean(), "the adapted model uses the picture; it only confuses the base"

# %% [markdown]
# <details><summary>Answer</summary>
#
# It does not fall, it rises. The base was given *more* to go by and does worse: unequal timesteps are something it has
# never met, and they confuse it. The gain of `nano-vta` is positive. (After ± is the standard error over clips. The
# clips and the noise are the same for both, so differences are sharper than either number.)
#
# </details>
#
# ## One training step
#
# The model stays as it is and so does the loss, except that each frame has its own timestep. That leaves one decision,
# shown in the lower half of the drawing: which timesteps to practise. We try two samplers.
#
# - **The specialist** sees frame 0 clean in every clip and one timestep for all others:
#   `clean_prefix(1, rest=shared)`. It practises image-to-video and nothing else.
# - **The generalist** follows the recipe that this project found (`docs/claims.md`, "A better recipe"): half of the
#   clips have independent timesteps, as in the paper; in the other half a random set of frames is known,
#   `mixture([independent, task_mixture()])`.
#
# In both, known frames are left out of the loss (`weight="free_frames"`): a clean frame has nothing to teach.
#
# A step holds nothing new:
#
# 1. sample the timesteps, which is the only decision;
# 2. compute the loss of chapter 4 at them, `fafm_loss(toy, x0, tau, eps, weight=free_frames(tau))`;
# 3. go one step downhill, as with any network.
#
# In the toolkit `VTAModule` is this step and `run` the loop around it. Our settings are made for a sprint: a high
# learning rate (`lr`) that falls to zero along a cosine, because big strides find the region and small ones settle in
# it. Each clip is drawn about once, so nothing can be learned by heart. At some steps we interrupt the loop to continue
# unseen clips from their first frame, and compare with the truth in decibels (PSNR; 3 dB is half the squared error).


# %%
samplers = {
    "specialist": timestep_samplers.clean_prefix(1, rest=timestep_samplers.shared),
    "generalist": timestep_samplers.mixture([timestep_samplers.independent, timestep_samplers.task_mixture()]),
}
config = TrainConfig(
    max_steps=STEPS, global_batch_size=BATCH, lr=2e-3, warmup=STEPS // 10, ema=0.0, weight="free_frames", seed=SEED
)
dataset = pixel_dataset(clips_of(world_name, STEPS * BATCH, SEED, geometry, device), BATCH, SEED, device)
marks = [STEPS * part // 5 for part in range(1, 6)]


def score(make, known=(0,)):
    """PSNR of the frames that are not known, clip by clip."""
    free = [i for i in range(geometry.frames) if i not in known]
    return evaluate.collect(make, base, CLIPS)["psnr_frame"][:, free].mean(dim=1)


def train(sampler):
    toy = small_models.load("nano-base", device=device).requires_grad_(True).train()
    toy.text.requires_grad_(False)
    module, curve = VTAModule(toy, config), []
    module.timestep_sampler = sampler
    run(module, dataset, marks=marks, keep=lambda step, now: curve.append(score(ways.maker(now, **OPTIONS))))
    return toy.requires_grad_(False).eval().to(device), torch.stack(curve)


# %% [markdown]
# What should count as success? Two baselines will tell. The **base** itself, before training. And **standing still**:
# repeat the known frame, which knows nothing of motion, but is hard to beat, since most pixels do not change.
#
# **Predict.** The specialist will see about one clip for every 900 that `nano-vta` has seen. Is that enough to beat the
# base? To beat standing still?

# %%
specialist, curve = train(samplers["specialist"])


# %% tags=["hide-input"]
def stand_still(known):
    """Repeat the nearest known frame."""
    nearest = [min(known, key=lambda k: abs(k - i)) for i in range(geometry.frames)]
    return lambda prompts, truth, seed: truth[:, nearest]


reached = {
    "nano-base": score(ways.maker(base, **OPTIONS)),
    "standing still": score(stand_still((0,))),
    "specialist": curve[-1],
    "nano-vta": score(ways.maker(shipped, **OPTIONS)),
}
path = torch.stack([reached["nano-base"], *curve]).mean(dim=1)
fig, ax = plt.subplots(figsize=(9.5, 3.8), layout="constrained")
ax.plot([0, *marks], path, marker="o", lw=2, color="#D55E00", label="specialist, live")
for name, style in (("nano-vta", "--"), ("standing still", ":"), ("nano-base", "-.")):
    ax.axhline(reached[name].mean(), color="black", ls=style, lw=1, label=name)
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
    assert FAST or other == "nano-vta" or ahead.mean() > 2 * ahead.std() / CLIPS**0.5, "a minute is enough"

# %% [markdown]
# <details><summary>Answer</summary>
#
# Yes to both. In the figure, the orange line leaves the base at once and crosses the dotted line, standing still, before
# the training is half over. The printed differences are paired, clip by clip. Over the base the gain is many times its
# standard error, over standing still more than twice. `nano-vta`, with so many more clips, is still well ahead.
#
# </details>
#
# Would more training of the *old* kind have done it? No: the last figure of this chapter has that control. See for
# yourself what has been learned:

# %%
shown = {"nano-base": continued(base), "specialist": continued(specialist), "truth": truth[0]}
print(caption[0])
nb.play(shown, fps=geometry.fps, width=192)

# %% [markdown]
# In the very next frame the object now carries on from the picture, which the base never does. The middle of the clip is
# still shaky, where the object slips or comes apart, and then it ends about where it should. That is what a minute buys.
#
# ## What the clean frame is worth
#
# Back to the loss. Here is what the clean frame saves each model, at five noise levels of the other frames.
#
# **Predict.** At which noise levels is the picture worth most? (The map of chapter 4 knows.)

# %%
gains["specialist"] = torch.stack([picture_gain(specialist, t) for t in levels])
fig, ax = plt.subplots(figsize=(9.5, 3.4), layout="constrained")
looks = {
    "base": ("#000000", "-.", "nano-base"),
    "vta": ("#000000", "--", "nano-vta"),
    "specialist": ("#D55E00", "-", "specialist, live"),
}
for name, gain in gains.items():
    colour, style, label = looks[name]
    error = gain.std(dim=1) / CLIPS**0.5
    ax.errorbar(levels, gain.mean(dim=1), yerr=error, color=colour, ls=style, marker="o", ms=4, label=label)
ax.axhline(0, color="0.7", lw=1)
ax.set(xlabel="noise level of the other frames", ylabel="loss saved", title="what a clean frame 0 saves")
ax.legend(bbox_to_anchor=(1, 0.5), loc="center left")
plt.show()

most = {name: gain[-1].mean() for name, gain in gains.items()}  # at the highest noise level
assert FAST or min(most["specialist"], most["vta"]) > max(0, most["base"]), "both have learned to look"

# %% [markdown]
# <details><summary>Answer</summary>
#
# At high noise, on the right, where the other frames show nothing themselves. At low noise every frame is visible on its
# own and there is nothing to save. The specialist has learned to look at least as well as `nano-vta`; the base is below
# zero except where the others are nearly pure noise.
#
# </details>
#
# ## The price of specialising
#
# Now train the generalist, from the same base and just as long. Then ask both for image-to-video, and for two tasks that
# the specialist has never practised: filling in between a first and a last frame, and continuing a clip of four frames.
#
# **Predict.** Who is ahead where?

# %%
generalist, _ = train(samplers["generalist"])

# %%
tasks = {"first frame": (0,), "first and last": (0, geometry.frames - 1), "four frames": (0, 1, 2, 3)}
models = {"nano-base": base, "specialist": specialist, "generalist": generalist, "nano-vta": shipped}
table = {("standing still", task): score(stand_still(at), at) for task, at in tasks.items()}
for name, toy in models.items():
    table |= {(name, task): score(ways.maker(toy, at, **OPTIONS), at) for task, at in tasks.items()}
print(f"{'PSNR (dB), given:':18}", *(f"{task:>15}" for task in tasks))
for name in ("standing still", *models):
    print(f"{name:18}", *(f"{table[name, task].mean():15.1f}" for task in tasks))

lead = {task: table["generalist", task] - table["specialist", task] for task in tasks}
print("generalist over specialist:", ", ".join(f"{task} {summary(values)}" for task, values in lead.items()))
for task in tasks:
    gain = table["generalist", task] - table["nano-base", task]
    assert FAST or gain.mean() > 2 * gain.std() / CLIPS**0.5, "the generalist has learned every task"

# %% [markdown]
# <details><summary>Answer</summary>
#
# With the first frame given, the specialist is clearly ahead: all of its clips looked like this task, of the generalist's
# only about one in seven. On the two tasks that it has never practised this lead melts away, and with four frames given
# the two cannot be told apart (compare the differences with their errors). A surprise: it does use a last frame that it
# was never trained to expect.
#
# </details>
#
# Read down the columns, too. Standing still gets harder to beat when more frames are given. `nano-vta`, a generalist with
# some 900 times the training, is ahead of everybody everywhere, also with four frames, where a minute is not yet enough
# to beat standing still. A minute buys one task; patience buys them all.
#
# ## And with more training?
#
# Our minute is one end of a curve. The other end was measured once, on `mini` (a model with a codec) on a GPU:
# `pusa-lab bench paper` adapts the same base in several ways and measures image-to-video on the way. Pusa's paper puts
# the cost of its adaptation at no more than a two-hundredth of that of Wan's own image-to-video model.
#
# **Predict.** Which of two ways needs fewer clips to become good at image-to-video: one timestep per frame, or Wan's
# own way, which gives the picture to the model as a further input?

# %%
cost = experiments.read_results(experiments.RESULTS / "cost.json")
ways_shown = {
    "VTA, all weights": ("#0072B2", "o", "one timestep per frame (independent)"),
    "Wan's way, all weights": ("#D55E00", "s", "Wan's way: the picture as an input"),
    "control: one timestep, all weights": ("#000000", "v", "control: one timestep for all"),
}
fig, ax = plt.subplots(figsize=(9.5, 3.6), layout="constrained")
for way, (colour, marker, label) in ways_shown.items():
    rows = [row for row in cost["rows"] if row["key"]["way"] == way]
    mean, low, high = torch.tensor([row["scores"]["psnr"] for row in rows]).T
    share = [row["key"]["share"] for row in rows]
    ax.errorbar(share, mean, yerr=torch.stack([mean - low, high - mean]), color=colour, marker=marker, label=label)
ax.axvline(1 / 200, color="0.6", ls=":")
ax.set(xscale="log", xlabel="clips, as a share of the base's training (dotted: 1/200)", ylabel="PSNR (dB)")
ax.set_title(f"image to video, {cost['sizes']['preset']}, {cost['device']}, seed {cost['seed']}, {cost['date']}")
ax.legend(bbox_to_anchor=(1, 0.5), loc="center left")
plt.show()


# %%
def psnr(way):
    return {row["key"]["share"]: row["scores"]["psnr"][0] for row in cost["rows"] if row["key"]["way"] == way}


vta, wan, control = (psnr(way) for way in ways_shown)
assert vta[0.0025] > wan[0.0025] and all(wan[share] > vta[share] for share in wan if share > 0.004), "they cross early"
assert max(control.values()) < min(vta.values()), "as much training with one timestep for all frames teaches nothing"

# %% [markdown]
# <details><summary>Answer</summary>
#
# At the very start VTA does: it has no new layers to learn. Soon Wan's way is ahead and stays there, by 1 to 3 dB. It
# is a specialist, and can do only this one task.
#
# </details>
#
# Look at the black line too: as much training with *one* timestep for all frames gains nothing. So it is not training
# as such that helped, it is the timesteps. At the dotted line, a two-hundredth, VTA has made a part of its way; with
# more training it keeps getting better. And the generalist's recipe gets further than independent timesteps with the
# same clips, in every task it was tried on:

# %%
found = experiments.read_results(experiments.RESULTS / "recipes.json")
at = {(row["key"]["way"], row["key"]["task"]): row["scores"].get("psnr") for row in found["rows"]}
recipe, paper = "recipe: half, free frames in the loss", "independent timesteps"
print("mini after 1/20 of the base's training, PSNR (dB):  independent, recipe")
for way, task in at:
    if way == recipe and at[way, task]:
        print(f"{task:16} {at[paper, task][0]:.1f}  {at[recipe, task][0]:.1f}")
        assert at[recipe, task][0] > at[paper, task][0], "ahead in every row"

# %% [markdown]
# The gain is largest where the paper's sampler practises least: one clean frame beside equally noisy ones.
#
# To train on clips of your own, replace the world by a folder: `pusa-lab train --data FOLDER`. `docs/own_clips.md` goes
# through it, including what the codec does to footage it has never seen.
#
# ## Exercises
#
# **1 · Fill in.** A training step up to the loss of each frame. You get a model `toy`, clips `x0` of shape
# `(b, c, f, h, w)`, a list of prompts `words`, and a `seed`. Make one generator `g` from the seed; draw independent
# timesteps first and the noise second, both from `g`; mix; call the model; compare with the target. Return the losses
# `(b, f)`.
#
# <details><summary>Hint</summary>
#
# `g = torch.Generator().manual_seed(seed)`, `timestep_samplers.independent(b, f, g)`, and
# `torch.randn(x0.shape, generator=g)`. The velocity is `toy(x, tau, **toy.encode_text(words))`. The rest are the six
# lines of chapter 4.
#
# </details>


# %% tags=["exercise"]
def my_step(toy, x0, words, seed): ...  # losses (b, f)


# %% tags=["check"]
on_cpu, few, words = small_models.load("nano-vta", device="cpu"), held.x0[:3].cpu(), held.captions[:3]


def step(toy, x0, words, seed, sampler=timestep_samplers.independent, sign=1, noise_first=False):
    g = torch.Generator().manual_seed(seed)
    eps = torch.randn(x0.shape, generator=g) if noise_first else None
    tau = sampler(x0.shape[0], x0.shape[2], g)
    eps = torch.randn(x0.shape, generator=g) if eps is None else eps
    t = tau[:, None, :, None, None]
    v = toy((1 - t) * x0 + t * eps, tau, **toy.encode_text(words))
    return (v - sign * (eps - x0)).square().mean(dim=(1, 3, 4))


nb.check(
    my_step,
    step,
    *(on_cpu, few, words, SEED),
    axes="(clips, frames)",
    mistakes={
        "the target points from the clip to the noise; yours points the other way": lambda *a: step(*a, sign=-1),
        "all frames of a clip got the same timestep": lambda *a: step(*a, sampler=timestep_samplers.shared),
        "the noise was drawn before the timesteps": lambda *a: step(*a, noise_first=True),
        "this is one number: leave the loss of each frame apart": lambda *a: step(*a).mean(),
        "this is one number per clip: leave the loss of each frame apart": lambda *a: step(*a).mean(dim=1),
    },
)

# %% [markdown]
# **2 · Vary.** The specialist continues one picture. Give the timestep sampler of a specialist in *extension*: frames 0,
# 1 and 2 exactly clean in every clip, and one timestep for all the others, a new one for each clip.
#
# <details><summary>Hint</summary>
#
# The specialist's sampler is `timestep_samplers.clean_prefix(1, rest=timestep_samplers.shared)`. What does each of its
# two arguments do?
#
# </details>

# %% tags=["exercise"]
my_sampler = None  # a timestep sampler


# %% tags=["check"]
def drawn(sampler):
    return sampler(64, 8, torch.Generator().manual_seed(SEED))


nb.check_that(
    my_sampler,
    {
        "a timestep sampler is called with (batch, frames, generator) and returns (batch, frames)": lambda s: (
            callable(s) and drawn(s).shape == (64, 8)
        ),
        "only frame 0 is clean; in extension three frames are given": lambda s: (
            not ((drawn(s)[:, 0] == 0).all() and (drawn(s)[:, 1] > 0).any())
        ),
        "frames 0, 1 and 2 must be exactly clean in every clip": lambda s: (drawn(s)[:, :3] == 0).all(),
        "more than three frames are clean": lambda s: (drawn(s)[:, 3:] > 0).all(),
        "the frames that are not known must share one timestep": lambda s: (drawn(s)[:, 3:] == drawn(s)[:, 3:4]).all(),
        "that timestep must be a new one for each clip": lambda s: drawn(s)[:, 3].std() > 0.1,
    },
)
if my_sampler is not None:
    viz.plot_timestep_sampler(my_sampler, frames=8, title="yours: each frame by itself; frames 0 and 7 together")
    plt.show()

# %% [markdown]
# **3 · Invent.** A timestep sampler of your own, `(batch, frames, generator) -> tau` of shape `(batch, frames)` within
# [0, 1]: every frame's timestep is random, and in *no* clip do all frames lie within 0.3 of each other. (Independent
# timesteps sometimes do.) Then train with it: `toy, curve = train(my_own)`.
#
# <details><summary>Hint</summary>
#
# Spread the frames evenly, `torch.arange(frames) / frames`, and move all of them by one random number per clip. What
# falls off the end at 1 comes in again at 0: `% 1`.
#
# </details>

# %% tags=["exercise"]
my_own = None  # a function (batch, frames, generator)


# %% tags=["check"]
def many(sampler):
    return sampler(4096, 8, torch.Generator().manual_seed(SEED))


nb.check_that(
    my_own,
    {
        "it returns nothing: is a `return` missing?": lambda s: many(s) is not None,
        "the result must have one row per clip and one column per frame": lambda s: many(s).shape == (4096, 8),
        "timesteps lie between 0 and 1": lambda s: many(s).min() >= 0 and many(s).max() <= 1,
        "some frame has the same timestep in every clip": lambda s: (many(s).std(dim=0) > 0.02).all(),
        "in some clip all frames lie within 0.3 of each other": lambda s: (
            (many(s).amax(dim=1) - many(s).amin(dim=1)) > 0.3
        ).all(),
    },
)
if my_own is not None:
    viz.plot_timestep_sampler(my_own, frames=8, title="yours: each frame by itself; frames 0 and 7 together")
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
# comparing models on different scenes or noise, where a paired difference would have been sharper; taking the ranking
# after a minute for that after a day.
#
# *Where the code lives:* `pusa_lab/training/module.py` (`training.VTAModule`), `pusa_lab/training/loop.py`
# (`training.run`, `training.fit`), `pusa_lab/schedules/timestep_samplers.py` (`timestep_samplers.mixture`),
# `small_models/training/recipes.py` (how the shipped checkpoints were trained), `small_models/experiments/recipe.py`.
#
# *References:* Pusa V1.0, arXiv 2507.16116; Wan, arXiv 2503.20314; FVDM, arXiv 2410.03160.
