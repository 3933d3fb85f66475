# %% [markdown]
# # 9 · Inside: which weights change, which frames attend to which
#
# **You hand a video model a picture, and it makes a film. When does it look at the picture, and how would you find
# out?**
#
# *You need: chapters 0, 3 and 5. Time: 25 minutes of reading, about a minute of CPU.*
#
# Three models share one ancestor: the **base**, which makes videos from text; **VTA**, the base adapted to one timestep
# per frame (in half of its training each frame had its own noise level, in the other half some frames were given
# clean); and **Wan's way**, the base adapted to take a picture as an extra input. Pusa's paper (arXiv 2507.16116,
# section 3.4) looks inside such models. Here you follow three clues, in numbers, and test them: some mislead.
#
# **After this chapter you can**
#
# - say what a training run changed in a model, and what a low-rank update can never change;
# - measure how much one frame attends to another, without the mistake that is easiest to make;
# - tell *attending to* a frame from *using* it, by an experiment.

# %% tags=["setup"]
# build.py puts the installing cell here.

# %% tags=["parameters"]
SEED = 0
CLIPS = 4
STEPS = 10
FAST = False

# %%
import copy
from dataclasses import replace
from itertools import pairwise

import matplotlib.pyplot as plt
import torch
from matplotlib.colors import TwoSlopeNorm

import pusa_lab.notebook as nb
import small_models
from pusa_lab import pixels, samplers, schedules, viz
from pusa_lab.metrics.inside import attention_mass, frame_mass, kind_of, parameter_change
from pusa_lab.viz.inside import plot_attention
from small_models import world
from small_models.models.dit import sinusoid

device = nb.setup(seed=SEED, shapes=True)
torch.set_grad_enabled(False)  # nothing is trained here
CLIPS, STEPS = (1, 5) if FAST else (CLIPS, STEPS)
base, vta, wan = (small_models.load(f"mini-{stage}", device=device) for stage in ("base", "vta", "i2v"))
frames, half = vta.geometry.frames, STEPS // 2

# %% tags=["hide-input"]
nb.diagram(
    "09_two_ways_in",
    "Three copies of one transformer: the base gets no picture, VTA gets it as frame 0 with timestep 0, and Wan's way "
    "gets it as extra channels and in cross-attention.",
)

# %% [markdown]
# There are two ways in (yellow is noise, dark blue is clean). For VTA the picture *is* frame 0. Wan's way receives it
# beside the frames; its own frame 0 is generated like the others. (Below, the base is handed a clean frame 0 as well,
# although it was never trained for one.)
#
# ## First an experiment
#
# Take a scene's first frame and its mirror image. The caption says nothing of left or right, so it fits both. Let VTA
# begin with the first picture, and **exchange** it for the mirrored one half-way through sampling.
#
# **Predict.** At the end, on which side will the object be: where the first picture has it, or where the second has it?


# %% tags=["hide-input"]
def told(scene):  # what the caption says is true of the mirrored picture, too
    return ("moves slowly up on" in scene or "moves slowly down on" in scene) and "," not in scene


drawn = world.draw_scenes(2000, SEED, replace(world.MINI, grounds=2, spin=0.0))
aside = (drawn.start[:, 0, 0] - 0.5).abs() > 0.2  # far enough from the middle
right = [i for i, caption in enumerate(world.captions(drawn)) if told(caption) and aside[i]]
scenes = drawn[torch.tensor(right[:CLIPS])].to(device)
prompts = world.captions(scenes)
truth = world.render(scenes, world.MINI.frames, world.MINI.size)
first, other = (vta.encode_video(video[:, :, :1]) for video in (truth, truth.flip(-1)))
eps = torch.randn(vta.geometry.latent_shape(CLIPS, frames), generator=torch.Generator().manual_seed(SEED)).to(device)
print(*prompts, sep="\n")


# %%
def velocity(model, x, tau, picture):
    text = model.encode_text(prompts)
    if model is wan:
        return model(x, tau, first=picture, **text)
    return model(torch.cat([picture, x[:, :, 1:]], dim=2), tau, **text)


def rows_of(model):
    """Its schedule, for all clips: Wan's way denoises frame 0 as well, the others hold it clean."""
    S = schedules.synchronous(STEPS, frames) if model is wan else schedules.hold(STEPS, frames)
    return S[:, None].repeat(1, CLIPS, 1).to(device)  # (rows, clips, frames)


def sampled(model, exchange_at, begun=()):
    """The state after every step, with the picture exchanged before step `exchange_at`; `begun` is the same without."""
    states = [eps, *begun[:exchange_at]]  # up to the exchange nothing differs
    S = rows_of(model)
    for step in range(len(states) - 1, STEPS):
        v = velocity(model, states[step], S[step], first if step < exchange_at else other)
        states.append(samplers.euler_step(states[step], v, S[step], S[step + 1]))
    return torch.stack(states[1:])


# %%
FOREVER = STEPS  # an exchange before step STEPS never happens
ends = {("VTA", at): sampled(vta, at) for at in (FOREVER, half, 0)}


def film(at, clip=0):
    picture = first if at == FOREVER else other
    x = torch.cat([picture, ends["VTA", at][-1][:, :, 1:]], dim=2)
    return pixels.to_uint8(vta.decode(x[clip : clip + 1]).clamp(-1, 1))[0]


films = {"never": film(FOREVER), "half-way": film(half), "from the start": film(0)}
fig, ax = plt.subplots(figsize=(9.5, 3.4), layout="constrained")
viz.filmstrip(films, known=[0], ax=ax, most=9)
ax.set_ylabel("picture exchanged")
plt.show()
nb.play({f"exchanged {name}": film for name, film in films.items()}, fps=vta.geometry.fps)


# %%
def towards_second(name, at):
    """0: as if never exchanged; 1: as if exchanged from the start; one number per clip."""
    states = [ends[name, k][-1][:, :, 1:] for k in (at, FOREVER, 0)]
    one, two = ((states[0] - end).square().mean(dim=(1, 2, 3, 4)).sqrt() for end in states[1:])
    return (one / (one + two)).cpu()


print("half-way, towards the second picture:", *(f"{100 * part:.0f} %" for part in towards_second("VTA", half)))

# %% tags=["hide-input"]
assert (towards_second("VTA", half) < 0.5).all(), "every clip stays with the first picture"

# %% [markdown]
# Watch the middle row. Frame 0 shows the new picture, and frame 4 holds a faint ghost of it at the left. From there on the
# film carries on as though nothing had happened. The printed numbers say the same of every clip: 0 % would be the film
# of the top row, 100 % that of the bottom row.
#
# <details><summary>Answer</summary>
#
# Where the *first* picture has it. By half-way the other frames show the first picture's scene themselves. The second
# picture contradicts all of them, and they win.
#
# </details>
#
# So at some point another picture comes too late. Could we have known that from the weights, or from attention?
#
# ## Clue 1: which weights moved
#
# Both adaptations had equally many steps and the same kind of update, LoRA (arXiv 2106.09685), which adds to a matrix
# $W$ the product of two thin ones:
#
# $$W' = W + BA, \qquad W \in \mathbb{R}^{m \times n},\quad B \in \mathbb{R}^{m \times r},\quad A \in \mathbb{R}^{r \times n}$$
#
# Every column of $BA$ is a combination of the $r$ columns of $B$, so the rank of $W' - W$ is at most $r$, however long
# the training. And biases and the weights of norms, which are vectors, cannot take part at all. Both can be checked: in
# the shipped models the update is already added to the weights, so subtract the base's.

# %% tags=["nbval-check-output"]
before, after = base.dit.state_dict(), vta.dit.state_dict()
moved = [name for name in before if not torch.equal(before[name], after[name])]
rank = small_models.card("mini-vta")["config"]["lora_rank"]
name = "blocks.0.attn1.to_q.weight"
spread = torch.linalg.svdvals(after[name].double() - before[name].double())
print(f"{len(moved)} of {len(before)} tensors changed, all of them matrices")
print(f"{name}: singular values of the change")
for number in (1, rank, rank + 1):
    print(f"  no. {number:2}: {spread[number - 1]:.4f}")

assert all(before[name].ndim == 2 for name in moved), "only matrices changed"
assert "norms" not in map(kind_of, moved), "no norm did"
assert spread[rank] < 1e-3 * spread[0] < spread[rank - 1], "the change has the rank of the update"

# %% [markdown]
# After number 64, the rank of the update, nothing is left. How far did each *kind* of weight move? With all weights of a
# kind as one long vector:
#
# $$\text{relative change} = \frac{\lVert W' - W \rVert}{\lVert W \rVert}, \qquad
# \text{share} = \frac{\lVert W' - W \rVert^2}{\sum_\text{kinds} \lVert W' - W \rVert^2}$$
#
# The paper's pictures make three claims: Pusa changed almost only **self-attention**; Wan-I2V changed
# **cross-attention** and the text embedding most; and Wan-I2V moved **more than ten times as far**.
#
# **Predict.** Which of the three will hold for our two models?

# %% tags=["hide-input"]
changes = {"VTA": parameter_change(base.dit, vta.dit), "Wan's way": parameter_change(base.dit, wan.dit)}
COLOURS = {"base": "#009e73", "VTA": "#0072b2", "Wan's way": "#d55e00"}
kinds = [kind for kind in changes["VTA"] if kind != "new"]
fig, axes = plt.subplots(1, 2, figsize=(9.5, 3.6), layout="constrained", sharey=True)
for row, (name, change) in enumerate(changes.items()):
    heights = [k + 0.38 * row - 0.19 for k in range(len(kinds))]
    axes[0].barh(heights, [change[k]["share"] for k in kinds], 0.36, color=COLOURS[name], label=name)
    axes[1].plot([change[k]["relative"] for k in kinds], heights, "os"[row], color=COLOURS[name], label=name)
axes[0].set(yticks=range(len(kinds)), yticklabels=[k.replace("_", " ") for k in kinds], title="share of the change")
axes[1].set(title="relative change", xlim=(-0.02, 0.75))
axes[1].grid(axis="y", lw=0.4)
axes[0].invert_yaxis()
axes[0].legend()
plt.show()

# %%
ours, theirs = changes["VTA"], changes["Wan's way"]
for kind in ("self_attention", "cross_attention", "feed_forward"):
    print(f"{kind:16} share of VTA's change {ours[kind]['share']:.0%}, of Wan's way's {theirs[kind]['share']:.0%}")
further = theirs["self_attention"]["relative"] / ours["self_attention"]["relative"]
print(f"in self-attention, Wan's way moved {further:.2f} times as far as VTA")

# %% tags=["hide-input"]
assert max(kinds, key=lambda k: ours[k]["share"]) == "self_attention", "VTA changed self-attention most"
assert max(kinds, key=lambda k: theirs[k]["share"]) == "cross_attention", "Wan's way changed cross-attention most"
assert ours["self_attention"]["share"] < 0.5 and theirs["text"]["share"] < 0.01, "but neither is nearly all of it"
assert 0.5 < further < 2, "and both moved about as far"
assert theirs["patch_and_head"]["relative"] > 5 * ours["patch_and_head"]["relative"], "apart from patch and head"

# %% [markdown]
# On the left three kinds share nearly everything, in both models. On the right these three moved by about half of their
# own length, in Wan's way at most one and a half times as far as in VTA. The one large contrast is *patch and head*, which
# hardly counts in the sum. (Weights that Wan's way has *in addition* have no "before", and are left out.)
#
# <details><summary>Answer</summary>
#
# None, if taken literally. Self-attention has less than half of VTA's change, so "almost only" fails. In Wan's way
# cross-attention does lead, by a hair, but the text embedding moved only half as far. And "more than ten times as far"
# has become "about as far": our two models had the same budget, while the paper compares a short low-rank training with
# the whole training of Wan-I2V.
#
# </details>
#
# Mind the zeros in such figures: norms are at 0 because they were *not trained*.
#
# ## Clue 2: how a frame learns that it is clean
#
# How does a block know that frame 3 is clean? The frame's `tau` is written as sinusoids, a small network makes six
# vectors of it, and each block adds its own table of six: a **shift**, a **scale** and a **gate** for self-attention,
# and the same three for the feed-forward. They act on the tokens of that frame only. (The output layer takes a shift and
# a scale likewise. Nothing else reads a timestep.)


# %% tags=["nbval-check-output"]
def six_vectors(model, tau):
    dit = model.dit
    six = dit.time_proj(dit.time_embedder(sinusoid(tau, dit.config["freq_dim"]))).unflatten(2, (6, -1))
    return six + dit.blocks[0].scale_shift_table[:, None]  # (b, f, 6, d)


same = torch.full((1, frames), 0.7, device=device)
one_clean = same.clone()
one_clean[:, 3] = 0.0
differs = (six_vectors(vta, one_clean) - six_vectors(vta, same)).abs().amax(dim=(0, 2, 3)) > 1e-4
print("only frame 3's timestep was changed; its vectors changed in frames", differs.nonzero().flatten().tolist())
assert differs.nonzero().flatten().tolist() == [3], "a timestep modulates its own frame only"

# %% [markdown]
# How different does "clean" look from "noise" to a block? Let `tau` run from 0 to 1 and compare the six vectors with
# those at `tau` = 0 by their cosine: 1 means the same direction, 0 means orthogonal.

# %%
models = {"base": base, "VTA": vta, "Wan's way": wan}
run = torch.linspace(0, 1, 101, device=device)[None]  # 101 timesteps, as if they were frames
vectors = {name: six_vectors(model, run)[0].flatten(1) for name, model in models.items()}
alike = {name: torch.cosine_similarity(v, v[:1], dim=-1).cpu() for name, v in vectors.items()}
fig, ax = plt.subplots(figsize=(9, 3.2), layout="constrained")
for name, line in alike.items():
    ax.plot(run[0].cpu(), line, color=COLOURS[name], label=name)
ax.set(xlabel="tau", ylabel="cosine with tau = 0", title="six vectors of block 0", ylim=(0, 1.05))
ax.legend(loc="lower left")
plt.show()
assert alike["VTA"][-1] > alike["base"][-1] + 0.1, "VTA treats clean and noise more alike than its base does"

# %% [markdown]
# The green curve falls furthest, and orange follows it most of the way: for the base, noise and clean have little in
# common. VTA's blue curve stays far above. (At its left end it drops at once and recovers. Perhaps a `tau` of
# *exactly* 0 has become a mark of its own: in half of the training it is what given frames had.)
#
# A story is easily made up: in VTA clean and noisy frames meet in one attention, so they had to become alike. But these
# six vectors are made by layers that Pusa's published LoRA does not touch, so **Pusa's curve is its base's**. If the blue
# curve were what makes a picture count, Pusa could not work. So put our VTA into the same position: keep its blocks, and
# give it back the base's path of the timestep.
#
# **Predict.** VTA's blocks have never been trained with these six vectors. Will the hybrid still animate the picture?

# %%
hybrid = copy.deepcopy(vta)
for part in ("time_embedder", "time_proj"):  # the blocks' own tables were not trained, so they are the base's already
    getattr(hybrid.dit, part).load_state_dict(getattr(base.dit, part).state_dict())
models["hybrid"] = hybrid
assert torch.equal(six_vectors(hybrid, run), six_vectors(base, run)), "its six vectors are the base's"

for name in ("base", "hybrid", "Wan's way"):
    ends[name, FOREVER] = sampled(models[name], FOREVER)
goal = vta.encode_video(truth)[:, :, 1:]
missed = {
    name: ((ends[name, FOREVER][-1][:, :, 1:] - goal).square().mean(dim=(1, 2, 3, 4)) / goal.var()).cpu()
    for name in models
}
for name, each in missed.items():
    print(f"{name:10} squared error of the film / variance: {each.mean():.2f} ({each.min():.2f} to {each.max():.2f})")

# %% tags=["hide-input"]
assert (missed["hybrid"] < missed["base"]).all(), "in every clip the hybrid is better than the base"
if not FAST:
    assert missed["hybrid"].mean() < 0.3 * missed["base"].mean(), "and far better on average"

# %% [markdown]
# An error of 0 is the true film, about 1 a film of one value; in brackets, the best and worst clip.
#
# <details><summary>Answer</summary>
#
# Yes. Its error is most of the way from the base's to VTA's, but not all of it. So what the training did to the six
# vectors is a refinement, and not what makes VTA work. The clue was true, and led nowhere: two models may differ in
# something that hardly matters.
#
# </details>
#
# A frame's timestep, then, stays with that frame. What the others learn of frame 0 reaches them through self-attention,
# so look there next.
#
# ## Clue 3: attention between frames

# %% tags=["hide-input"]
nb.diagram(
    "09_attention_mass",
    "One token of frame 2 spreads weights over all keys; their sums by frame, averaged over the frame's tokens and all "
    "heads, are one row of the map between frames.",
)

# %% [markdown]
# A token of frame $i$ asks, with its query $q$, all tokens of all frames. Softmax turns the scores into weights that
# add up to 1. Add them up by frame, then average over the tokens of frame $i$ and over heads, and you have the
# **attention mass** from frame $i$ to frame $j$, with $d$ the size of a head:
#
# $$A_{ij} = \underset{\text{heads},\ q \in i}{\text{mean}} \ \sum_{k \in j} \text{softmax}_k \frac{q \cdot k}{\sqrt{d}}$$
#
# Each token's weights add up to 1, hence so do their sums by frame, hence so does the average: **rows of $A$ sum to
# 1**. An *even share* of $f$ frames is $1/f$.
#
# The order matters. The tool that made the paper's maps takes a short cut: it averages queries and keys over each
# frame's tokens *before* the softmax, which is not linear. The smallest example: two frames of two tokens, one head, $d
# = 1$. Frame 0 has tokens $+2$ and $-2$, each attracted to itself; frame 1 has zeros.
#
# **Predict.** How much does frame 0 attend to itself, in the right order and in the short cut?

# %% tags=["nbval-check-output"]
q = k = torch.tensor([2.0, -2.0, 0.0, 0.0])  # two tokens of frame 0, two of frame 1
weights = (q[:, None] * k).softmax(dim=-1)  # (query, key)
proper = weights.view(2, 2, 2, 2).sum(dim=3).mean(dim=1)
q_mean, k_mean = q.view(2, 2).mean(dim=1), k.view(2, 2).mean(dim=1)
short_cut = (q_mean[:, None] * k_mean).softmax(dim=-1)
print(f"frame 0 attends to itself: {proper[0, 0]:.2f}, and by the short cut {short_cut[0, 0]:.2f}")

# %% tags=["hide-input"]
assert torch.allclose(proper.sum(dim=1), torch.ones(2)), "rows sum to 1"
assert torch.allclose(frame_mass(q.view(1, 4, 1, 1), k.view(1, 4, 1, 1), (2, 1, 2))[0], proper), "as in the library"

# %% [markdown]
# <details><summary>Answer</summary>
#
# By hand: $+2$ scores 4 with itself, $-4$ with $-2$, and 0 with each token of frame 1, so at home it leaves $(e^4 +
# e^{-4}) / (e^4 + e^{-4} + 2)$, nearly everything; $-2$ likewise. The short cut averages them to 0 first, and frame 0's
# attention looks even although neither token's is.
#
# </details>
#
# So softmax first. Now the real models, at the first step: frame 0 is a clean picture, all others are
# noise. `attention_mass` watches the layers of a transformer while it runs.

# %%
tau = schedules.hold(STEPS, frames)[0].repeat(CLIPS, 1).to(device)
maps = {}
for name in ("base", "VTA"):
    with attention_mass(models[name].dit) as found:
        velocity(models[name], eps, tau, first)
    maps[name] = found[0].mean(dim=(0, 1))  # of blocks and clips
plot_attention({f"{name}, first step": one for name, one in maps.items()}).set_size_inches(9.5, 4.2)
plt.show()

on_picture = {name: frames * one[1:, 0].mean() for name, one in maps.items()}
for name, share in on_picture.items():
    by_frame = " ".join(f"{one:.1f}" for one in frames * maps[name][1:, 0])
    print(f"{name:4} attends to frame 0 with {share:.2f} even shares; frames 1 to {frames - 1}: {by_frame}")
assert on_picture["base"] < 1, "the base gives a clean frame 0 less than an even share"
assert on_picture["VTA"] > 1.5, "VTA attends to it"
assert frames * maps["base"][-1, 0] < 1 < frames * maps["VTA"][-1, 0], "from far away only VTA does"

# %% [markdown]
# Both maps have a diagonal: frames attend to themselves and their neighbours. They differ in the first column; read it
# from top to bottom, as in the printed lines. In the base only near frames give the clean frame an even share or more;
# from frame 4 on it is about half of one. In VTA it falls with distance, too, but the farthest frame still gives nearly
# two. It looks as if the base attended to frame 0 for being *near*, VTA for being *clean* as well. (Exercise 2 tests
# that for VTA.) Whether it matters, the next sections ask.
#
# ## When do they look?
#
# The paper reports that Wan-I2V attends to frame 0 at the first step only and Pusa at *all* steps. So follow both through
# all steps and all blocks. White is an even share, red is more, blue is less.
#
# Mind one thing: in VTA *frame 0* is the clean picture. In Wan's way it is a generated frame, as noisy as its neighbours,
# and the picture can also come in by two other doors: extra channels beside every frame, and cross-attention.
#
# **Predict.** If the paper's account held for our models, what would the two panels look like?


# %%
def watch(model):
    """At every step: mass on frame 0 (blocks, clips) in even shares, and the velocity with each of the two pictures."""
    x, masses, pairs = eps, [], []
    for tau, tau_next in pairwise(rows_of(model)):
        with attention_mass(model.dit) as found:
            v = velocity(model, x, tau, first)
        masses.append(frames * found[0][:, :, 1:, 0].mean(dim=2).cpu())
        pairs.append((v[:, :, 1:], velocity(model, x, tau, other)[:, :, 1:]))  # for the next section
        x = samplers.euler_step(x, v, tau, tau_next)
    return torch.stack(masses), pairs


runs = {name: watch(models[name]) for name in COLOURS}
looks = {name: masses for name, (masses, _) in runs.items()}  # (steps, blocks, clips)

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(9.5, 3.6), layout="constrained", sharey=True)
for ax, name in zip(axes, ("VTA", "Wan's way"), strict=True):
    blocks = looks[name].shape[1]
    image = ax.imshow(looks[name].mean(dim=2).T, aspect="auto", cmap="RdBu_r", norm=TwoSlopeNorm(1, 0.3, 4.5))
    ax.set(title=name, xlabel="sampling step", xticks=range(STEPS), xticklabels=range(1, STEPS + 1))
axes[0].set(ylabel="block", yticks=range(blocks), yticklabels=range(1, blocks + 1))
fig.colorbar(image, ax=axes, label="mass on frame 0, in even shares", ticks=[0.4, 0.7, 1, 2, 3, 4])
plt.show()

# %%
means = {name: looks[name].mean(dim=(1, 2)) for name in ("VTA", "Wan's way")}
for name, mean in means.items():
    above = f"above an even share in {(mean > 1).sum()} of {STEPS} steps"
    print(f"{name:10} {mean[0]:.2f} even shares at first, {mean[-1]:.2f} at last; {above}")

# %% tags=["hide-input"]
for mean in means.values():
    assert mean[0] > 1.4 > mean[-1] + 0.3, "both attend to frame 0 at first, and much less at last"
    if not FAST:
        assert 1 < (mean > 1).sum() < STEPS, "neither at the first step only, nor at all steps"
assert means["VTA"][0] > 1.2 * means["Wan's way"][0], "VTA starts higher"
assert looks["VTA"].mean(dim=2).std(dim=1).min() > 0.15, "blocks differ"

# %% [markdown]
# Read a panel from left to right. In VTA nearly every block starts red, two with about four even shares, and most are
# pale or blue at the end. Wan's way starts paler and fades later; its block 1 (here we count from 1) even gets redder.
#
# <details><summary>Answer</summary>
#
# VTA's panel would stay red to the last step, and that of Wan's way would turn pale after the first. Neither happens here:
# both begin above an even share and end below it, and VTA, which starts higher, fades *sooner*.
#
# </details>
#
# ## Attending is not using
#
# Attention says where weight lies, not what it does. A value may be carried over and then ignored, and what enters Wan's
# way by the other doors appears in no map of self-attention. So **intervene**: at every step call the model twice,
# once with each picture, and measure how much its velocity for the other frames changes. Noise, caption and timesteps
# are the same, so each clip is its own control. With $v$ from the first picture and $w$ from the second, both without
# frame 0, the **use** of a picture is $\lVert w - v \rVert / \lVert v \rVert$.
#
# **Predict.** The base attends to a clean frame 0 with less than an even share. Does it use it at all? And if so: more
# at the first step, or at the last?


# %%
def size(v):
    return v.square().mean(dim=(1, 2, 3, 4)).sqrt()


use = {name: torch.stack([size(w - v) / size(v) for v, w in pairs]).cpu() for name, (_, pairs) in runs.items()}

# %% tags=["hide-input"]
fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.6), layout="constrained")
levels = schedules.synchronous(STEPS, 1)[:-1, 0]
for name, colour in COLOURS.items():
    for ax, one in ((left, looks[name].mean(dim=1)), (right, use[name])):  # (steps, clips)
        ax.plot(levels, one, color=colour, lw=0.7, alpha=0.5)
        ax.plot(levels, one.mean(dim=1), color=colour, marker="o", label=name)
left.axhline(1, color="gray", lw=0.8)
left.set(title="attended to", ylabel="mass on frame 0, in even shares")
right.set(title="used", ylabel="change of velocity / velocity")
for ax in (left, right):
    ax.set(xlabel="tau of the generated frames", ylim=(0, None))
    ax.invert_xaxis()
right.legend()
plt.show()

# %%
early, late = ({name: one[part].mean() for name, one in use.items()} for part in (slice(half), slice(half, None)))
for name in COLOURS:
    mass, most = looks[name].mean(dim=(1, 2)), use[name].mean(dim=1).argmax() + 1
    print(f"{name:10} mass {mass[0]:.2f} -> {mass[-1]:.2f}; use {use[name][0].mean():.2f} -> ", end="")
    print(f"{use[name][-1].mean():.2f}, highest at step {most}, in the first half of the steps {early[name]:.2f}")

# %% tags=["hide-input"]
assert late["VTA"] < 0.8 * early["VTA"], "VTA uses its picture early"
assert (use["Wan's way"][half] > use["VTA"][half]).all(), "Wan's way uses it for longer, in every clip"
assert looks["base"][-1].mean() < looks["base"][0].mean(), "base: less attention,"
assert (use["base"][-1] > use["base"][0]).all(), "and yet more use"

# %% [markdown]
# Sampling runs from left to right; every thin line is a clip. For VTA (blue) both panels say "early": its use is high
# for three or four steps and low from `tau` = 0.4 on. Wan's way (orange) attends less from step to step, and yet uses
# its picture more and more up to about `tau` = 0.6: the map does not show what comes in by the other doors. The base
# (green) falls a little on the left; on the right it starts near zero and climbs.
#
# <details><summary>Answer</summary>
#
# It does, and more at the last step than at the first, while its attention *falls*. A map of attention alone would have
# misled us.
#
# </details>
#
# ## Back to the experiment
#
# If these curves are worth anything, they should tell how late an exchange can still win. So exchange the picture later
# and later, in all three models.
#
# **Predict.** How many steps can be made before the exchange, if the film is still to end nearer to the second picture?
# Name a number for VTA and one for Wan's way.

# %%
points = [*range(STEPS - 3), FOREVER]
shown = ("VTA", "Wan's way") if FAST else tuple(COLOURS)
for name in shown:
    for at in points:
        if (name, at) not in ends:
            ends[name, at] = sampled(models[name], at, ends[name, FOREVER])

fig, ax = plt.subplots(figsize=(9, 3.4), layout="constrained")
influence = {name: torch.stack([towards_second(name, at) for at in points]) for name in shown}  # (points, clips)
for name, one in influence.items():
    mean = one.mean(dim=1)
    for x, y, look in ((points[:-1], slice(-1), {}), (points[-2:], slice(-2, None), {"ls": ":"})):
        ax.plot(x, one[y], color=COLOURS[name], lw=0.7, alpha=0.5, **look)
        if name != "base":  # its clips differ too much for a mean
            ax.plot(x, mean[y], color=COLOURS[name], marker="o", **look)
    ax.plot([], [], color=COLOURS[name], lw=0.7 if name == "base" else 1.5, label=name)
ax.axhline(0.5, color="gray", lw=0.8)
ax.set(xlabel="steps made before the exchange", ylabel="towards the second picture", ylim=(0, 1.02))
ax.legend(title=f"thick: mean of {CLIPS} clips (thin)")
plt.show()

# %%
latest = {name: (one > 0.5).sum(dim=0) - 1 for name, one in influence.items()}  # of every clip; no exchange is not one
for name in shown:
    moved_by = size((ends[name, 0][-1] - ends[name, FOREVER][-1])[:, :, 1:]) / size(ends[name, FOREVER][-1][:, :, 1:])
    print(
        f"{name:10} the second picture wins after up to",
        *latest[name].tolist(),
        f"of {STEPS} steps (clip by clip); ",
        end="",
    )
    print(f"the two films differ by {moved_by.mean():.2f} of their size")

# %% tags=["hide-input"]
if not FAST:
    assert (latest["Wan's way"] > latest["VTA"]).all(), "the model that uses its picture for longer is bound later"

# %% [markdown]
# All curves start at 1 and end at 0 by definition; what is measured is where they fall. Blue falls first, orange a step
# or two later, in each clip (printed). The green lines scatter too widely for a mean. Dotted: nothing was tried.
#
# <details><summary>Answer</summary>
#
# Two or three steps for VTA, one or two more for Wan's way, in each clip. The curves of use suggested this order, but
# not these numbers. For the base there is little to win: its two films differ far less than those of the others (last
# numbers).
#
# </details>
#
# So when does a model look at its picture? VTA in the first few steps, Wan's way for a little longer, the base hardly
# at all while it matters. Could we have known? Not from the weights, and not from the six vectors. Attention gave two
# answers, depending on where one looked: VTA attends *more*, and it fades *sooner*. Use gave the right order, but with
# two models a coin would do so half of the time. Only the exchange itself gave the numbers.
#
# *What this does not say.* These are a few clips, one noise, one toy, one training of each kind. What carries over is the
# method, and `attention_mass` and `parameter_change` run on Wan-14B unchanged.

# %% [markdown]
# ## Exercises
#
# **1 · Fill in.** Write the attention mass. Your function gets queries and keys of shape (b, tokens, heads, size), with
# positions already applied and tokens ordered frame by frame, and `grid` = (frames, rows of tokens, columns of tokens).
# It returns $A$ of shape (b, frames, frames). Success: it equals `frame_mass` for several heads and frames.
#
# <details><summary>Hint</summary>
#
# `torch.einsum("bqnd,bknd->bnqk", q, k)` makes the scores of every query with every key, for each head. After the
# softmax, `.unflatten(-1, (frames, -1))` splits the axis of keys into frames and the tokens of a frame.
#
# </details>


# %% tags=["exercise"]
def my_mass(q, k, grid): ...


# %% tags=["check"]
def scored(q, k, scale):
    return torch.einsum("bqnd,bknd->bnqk", q, k) * scale


def by_frame(weights, f, keys="sum", queries="mean", heads="mean"):
    parts = weights.unflatten(-1, (f, -1)).unflatten(2, (f, -1))  # (b, heads, f, tokens, f, tokens)
    return getattr(getattr(getattr(parts, keys)(-1), queries)(3), heads)(1)


def slip(**how):
    return lambda q, k, grid: by_frame(scored(q, k, q.shape[-1] ** -0.5).softmax(-1), grid[0], **how)


def within(q, k, grid):
    scores = scored(q, k, q.shape[-1] ** -0.5).unflatten(-1, (grid[0], -1))
    return by_frame(scores.softmax(-1).flatten(-2), grid[0])


def heads_first(q, k, grid):
    scores = scored(q, k, q.shape[-1] ** -0.5).mean(1, keepdim=True)
    return by_frame(scores.softmax(-1), grid[0])


def strided(q, k, grid):
    weights = scored(q, k, q.shape[-1] ** -0.5).softmax(-1)
    return weights.unflatten(-1, (-1, grid[0])).sum(3).unflatten(2, (grid[0], -1)).mean(3).mean(1)


def mean_first(q, k, grid):
    q, k = (t.unflatten(1, (grid[0], -1)).mean(2) for t in (q, k))
    return scored(q, k, q.shape[-1] ** -0.5).softmax(-1).mean(1)


nb.check(
    my_mass,
    frame_mass,
    2 * torch.randn(2, 3 * 5, 2, 4),
    2 * torch.randn(2, 3 * 5, 2, 4),
    (3, 1, 5),
    axes="(batch, frame that asks, frame asked)",
    mistakes={
        "queries and keys were averaged before the softmax: see the example with +2 and -2.": mean_first,
        "your rows sum to the number of frames: a query has one softmax, over the keys of all frames.": within,
        "heads were averaged before the softmax: each head has a softmax of its own.": heads_first,
        "the scores are not divided by anything: look at the formula again.": lambda q, k, grid: by_frame(
            scored(q, k, 1.0).softmax(-1), grid[0]
        ),
        "your rows do not sum to 1: weights on the keys of one frame belong together, they are added up, "
        "not averaged.": slip(keys="mean"),
        "your rows sum to more than 1: heads are averaged, not added up.": slip(heads="sum"),
        "your rows sum to more than 1: each query of a frame spreads a whole 1, so queries are averaged, "
        "not added up.": slip(queries="sum"),
        "your rows sum to more than 1: queries and heads are averaged; only keys are added up.": slip(
            queries="sum", heads="sum"
        ),
        "rows and columns are exchanged: row i is the frame that asks.": lambda q, k, grid: slip()(q, k, grid).mT,
        "tokens are ordered frame by frame, so a frame's keys lie side by side: look at the order in "
        "`unflatten`.": strided,
        "the softmax runs over the queries: every query should spread a weight of 1 over the keys.": lambda q, k, grid: (
            by_frame(scored(q, k, q.shape[-1] ** -0.5).softmax(-2), grid[0])
        ),
    },
)

# %% [markdown]
# For the next exercise: how much VTA's other frames attend to frame 0 at the first step, if frame 0 is neither clean nor
# noise but has a level in between (picture and timestep together).


# %%
def even_shares(level):
    tau = torch.ones(CLIPS, frames, device=device)
    tau[:, 0] = level
    x = torch.cat([(1 - level) * first + level * eps[:, :, :1], eps[:, :, 1:]], dim=2)
    with attention_mass(vta.dit) as found:
        vta(x, tau, **vta.encode_text(prompts))
    return frames * found[0][:, :, 1:, 0].mean().item()


clean, noise = even_shares(0.0), even_shares(1.0)
print(f"clean {clean:.2f}, noise {noise:.2f} even shares")

# %% [markdown]
# **2 · Vary.** How noisy may a known frame be before VTA stops attending to it? Find the noise level `my_level` between 0
# and 1 at which half of the extra attention is lost: there it lies in the middle between the two printed values, to a
# twentieth of their distance. Success: your level appears on the curve, in the grey band.
#
# <details><summary>Hint</summary>
#
# Try `even_shares(0.5)` first and be surprised. Then halve the interval that must contain the place, and again.
#
# </details>

# %% tags=["exercise"]
my_level = None  # a number from 0 to 1


# %% tags=["check"]
def kept(level):
    """Of what a clean frame gains over noise."""
    return (even_shares(float(level)) - noise) / (clean - noise)


nb.check_that(
    my_level,
    {
        "a noise level is one number from 0, clean, to 1, noise.": lambda level: 0 <= float(level) <= 1,
        "at this level VTA still attends to frame 0 almost as if it were clean: add noise.": lambda level: (
            kept(level) < 0.75
        ),
        "at this level frame 0 is hardly more than noise to VTA: take some noise away.": lambda level: (
            kept(level) > 0.25
        ),
        "near: a little more is kept than half. Add some noise.": lambda level: kept(level) <= 0.55,
        "near: a little less is kept than half. Take some noise away.": lambda level: kept(level) >= 0.45,
    },
)
if not nb.unwritten(my_level):
    levels = [*torch.linspace(0, 0.75, 4).tolist(), *torch.linspace(0.8, 1, 6).tolist()]
    fig, ax = plt.subplots(figsize=(9, 2.8), layout="constrained")
    ax.plot(levels, [even_shares(level) for level in levels], color="#0072b2")
    ax.axhspan(*(noise + part * (clean - noise) for part in (0.45, 0.55)), color="lightgray", alpha=0.6)
    ax.plot(float(my_level), even_shares(float(my_level)), "o", color="#d55e00", label="yours")
    ax.set(xlabel="noise level of frame 0", ylabel="attention to it, in even shares")
    ax.legend()
    plt.show()

# %% [markdown]
# **3 · Invent.** Attention maps can mislead. Write your own measure of how much frame $i$ **depends on** frame $j$, for
# any denoiser `(x, tau) -> v`. It gets the denoiser, `x` and `tau`, and returns a matrix (frames, frames) with $i$ in its
# rows, in any unit. It is tried on denoisers whose dependencies are known. Success: where a frame depends on another, the
# size of your entry is above a hundredth of your largest, elsewhere it is below that; and you see your matrix for VTA.
# Expect a dark diagonal: a velocity $\epsilon - x_0$ contains its frame's own noise.
#
# <details><summary>Hint</summary>
#
# Intervene, as above. Which frame do you change, which ones answer, and which index of the matrix is which? A change can
# go up in one pixel and down in another.
#
# </details>


# %% tags=["exercise"]
def my_dependence(denoiser, x, tau): ...


# %% tags=["check"]
chain = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [0, -1, 1, 0], [1, 0, 0, 1.0]])  # frame 3 depends on 0 and itself
nothing, x4 = torch.zeros(4, 4), torch.randn(2, 2, 4, 4, 4, generator=torch.Generator().manual_seed(1)) + 0.5
tau4 = torch.full((2, 4), 0.5)
PLAIN, OPPOSED = torch.tensor([1, 0.7]), torch.tensor([1, -1.0])  # how the two channels answer


def tried(mine, wiring, answer=PLAIN, x=x4):
    def denoiser(x, tau):
        told = torch.einsum("bcjhw,c->bjhw", x, PLAIN.to(x)).tanh()
        return torch.einsum("ij,bjhw,c->bcihw", wiring.to(x), told, answer.to(x))

    found = mine(denoiser, x.clone(), tau4.clone())
    return found if found is None else torch.as_tensor(found).detach().abs()


def seen(mine, wiring, **how):
    return (matrix := tried(mine, wiring, **how)) > matrix.max() / 100


def overwrites(mine):
    given = x4.clone()
    mine(lambda x, tau: x.tanh(), given, tau4.clone())
    return not torch.equal(given, x4)


nb.check_that(
    my_dependence,
    {
        "your function returns nothing: is a `return` missing?": lambda mine: tried(mine, chain) is not None,
        "your function writes into x itself, so that later calls get a spoilt one: change a `clone()`.": lambda mine: (
            not overwrites(mine)
        ),
        "the result should be a matrix with one row and one column for every frame.": lambda mine: (
            tried(mine, chain).shape == chain.shape
        ),
        "your measure gives nan or infinity where a frame depends on nothing: what do you divide by?": lambda mine: (
            tried(mine, nothing).isfinite().all() and tried(mine, chain).isfinite().all()
        ),
        "your measure finds nothing at all: what a frame shows is in x. Is it x that you change?": lambda mine: (
            tried(mine, chain).max() > 0
        ),
        "rows and columns are exchanged: row i should say on which frames frame i depends.": lambda mine: (
            not torch.equal(seen(mine, chain), chain.T != 0)
        ),
        "your measure finds a dependence where there is none: a frame's velocity can be like another's without depending on "
        "it.": lambda mine: not (seen(mine, chain) & (chain == 0)).any(),
        "your measure misses a dependence that is there, or gives it less than a hundredth of the largest: is every frame "
        "changed in turn, also the one that answers, and by as much?": lambda mine: torch.equal(
            seen(mine, chain), chain != 0
        ),
        "in your measure a change that goes up in one place cancels one that goes down in another: take the size of each "
        "before you average.": lambda mine: (
            tried(mine, chain, answer=OPPOSED).max() > tried(mine, chain).max() / 100
            and torch.equal(seen(mine, chain, answer=OPPOSED), chain != 0)
        ),
        "your measure finds something in frames that depend on nothing at all, not even on themselves.": lambda mine: (
            not seen(mine, nothing).any()
        ),
    },
)
if not nb.unwritten(my_dependence):
    text = vta.encode_text(prompts[:1])
    mine = torch.as_tensor(my_dependence(lambda x, tau: vta(x, tau, **text), eps[:1], tau[:1])).abs()
    both = {"your dependence": mine / mine.sum(dim=1, keepdim=True), "attention mass": maps["VTA"].to(mine)}
    fig, axes = plt.subplots(1, 2, figsize=(9.5, 4), layout="constrained")
    for ax, (title, one) in zip(axes, both.items(), strict=True):
        image = ax.imshow(one, vmin=0, vmax=0.5, cmap="Blues")
        ax.set(title=f"{title}, rows sum to 1", ylabel="frame i that answers", xlabel="frame j")
    fig.colorbar(image, ax=axes, extend="max")
    plt.show()

# %% [markdown]
# ## Recap
#
# | measure | of | says | does not say |
# |---|---|---|---|
# | relative change, share | two sets of weights | what a training changed | whether it mattered |
# | six vectors by `tau` | a block | how a timestep modulates its frame | how others respond; whether it matters |
# | attention mass | queries and keys | where weight lies | what it does, or what enters by other paths |
# | exchange of a picture | the whole model | what is used, and when | by which path it entered |
#
# *What could go wrong:* a true difference taken for the cause; the mean before the softmax; one block and one scene;
# trainings with different budgets; compiled blocks, which hide layers from `attention_mass`.
#
# *Where the code lives:* `pusa_lab/metrics/inside.py` (`inside.attention_mass`, `inside.parameter_change`),
# `pusa_lab/viz/inside.py`, `small_models/models/dit.py` (the timestep's path), and
# `small_models/experiments/inside_table.py`, which measures the attention of the shipped models on more clips.
#
# *References:* Pusa V1.0, arXiv 2507.16116; Wan, arXiv 2503.20314; LoRA, arXiv 2106.09685.
