# %% [markdown]
# # 9 · Inside: which weights change, which frames attend to which
#
# **You hand a video model a picture, and it animates it. When does it look at the picture, and how would you find
# out?**
#
# *You need: chapters 0, 3 and 5. Time: 25 minutes of reading, about half a minute of CPU.*
#
# This chapter opens three models that share one ancestor: the **base**, which makes videos from text; **VTA**, the base
# adapted to one timestep per frame; and **Wan's way**, the base adapted to take a picture as further input. Pusa's
# paper (arXiv 2507.16116, section 3.4) opens its own models in the same way and prints the pictures. Here you get
# numbers, and an experiment that tests what the numbers seem to say.
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
CLIPS = 3
STEPS = 10
FAST = False

# %%
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
from small_models import experiments, world
from small_models.models.dit import sinusoid

device = nb.setup(seed=SEED, shapes=True)
torch.set_grad_enabled(False)  # nothing is trained here
CLIPS, STEPS = (2, 5) if FAST else (CLIPS, STEPS)
base, vta, wan = (small_models.load(f"mini-{stage}", device=device) for stage in ("base", "vta", "i2v"))
frames, half = vta.geometry.frames, STEPS // 2

# %% tags=["hide-input"]
nb.diagram(
    "09_two_ways_in",
    "Three copies of one transformer: the base gets no picture, VTA gets it as frame 0 with timestep 0, and Wan's way "
    "gets it as extra channels and in cross-attention.",
)

# %% [markdown]
# Two ways in: for VTA the picture *is* frame 0; Wan's way receives it beside the frames.
#
# ## First an experiment
#
# Take a scene, its first frame, and the mirror image of that frame. The caption speaks of a movement up or down and
# says nothing of left or right, so it fits both pictures equally well. Now let VTA begin with the first picture, and
# **exchange** it for the mirrored one half-way through sampling. Nothing else changes: same noise, same caption.
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


def sampled(model, exchange_at, begun=()):
    """The state after every step, with the picture exchanged before step `exchange_at`; `begun` is the same without."""
    states = list(begun[:exchange_at])  # up to the exchange nothing differs
    make, x = schedules.synchronous if model is wan else schedules.hold, states[-1] if states else eps
    rows = [row.repeat(CLIPS, 1) for row in make(STEPS, frames).to(device)]
    for step, (tau, tau_next) in list(enumerate(pairwise(rows)))[len(states) :]:
        v = velocity(model, x, tau, first if step < exchange_at else other)
        states.append(x := samplers.euler_step(x, v, tau, tau_next))
    return torch.stack(states)


# %%
FOREVER = STEPS  # an exchange before step STEPS never happens
ends = {(name, at): sampled(model, at) for name, model in {"VTA": vta}.items() for at in (FOREVER, half, 0)}


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
assert (towards_second("VTA", half) < 0.5).all(), "every clip stays with the first picture"

# %% [markdown]
# Watch the middle row. Frame 0 shows the new picture, and the rest of the film carries on as though nothing had
# happened. The printed numbers say the same of every clip: 0 % would be the video of the top row, 100 % that of the
# bottom row.
#
# <details><summary>Answer</summary>
#
# Where the *first* picture has it. Half-way, the other frames have followed the first picture for five steps and show
# its scene themselves. The second picture contradicts all of them, and they win.
#
# </details>
#
# So there is a point after which another picture comes too late. Could we have known that from the weights? From the
# attention? The rest of this chapter looks for the cause, one layer deeper at a time.
#
# ## Clue 1: which weights moved
#
# Both adaptations were trained for equally many steps with the same kind of update, LoRA (arXiv 2106.09685):
#
# $$W' = W + BA, \qquad W \in \mathbb{R}^{m \times n},\quad B \in \mathbb{R}^{m \times r},\quad A \in \mathbb{R}^{r \times n}$$
#
# Every column of $BA$ is a combination of the $r$ columns of $B$, so the rank of $W' - W$ is at most $r$, however long
# the training. And since $BA$ is a matrix, biases and the weights of the norms, which are vectors, cannot take part at
# all. Both consequences can be checked: the shipped models have the update merged, so we subtract.

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
# After number 64, the rank of the update, nothing is left. How far did each *kind* of weight move? We compare Frobenius
# norms over all weights of a kind, relative to where they started:
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

assert max(kinds, key=lambda k: ours[k]["share"]) == "self_attention", "VTA changed self-attention most"
assert max(kinds, key=lambda k: theirs[k]["share"]) == "cross_attention", "Wan's way changed cross-attention most"
assert ours["self_attention"]["share"] < 0.5 and theirs["text"]["share"] < 0.01, "but neither is nearly all of it"
assert 0.5 < further < 2, "and both moved about as far"
assert theirs["patch_and_head"]["relative"] > 5 * ours["patch_and_head"]["relative"], "apart from patch and head"

# %% [markdown]
# On the left three kinds share nearly everything, in both models; on the right the kinds of a block moved by about the
# same factor. The one large contrast is *patch and head*, which Wan's way moved several times as far as VTA did, though
# it hardly counts in the sum. (Weights that only Wan's way has, for its picture, have no "before" and are left out.)
#
# <details><summary>Answer</summary>
#
# None, taken at its word. Self-attention has less than half of VTA's change, so "almost only" fails. Cross-attention
# leads in Wan's way by a hair, but the text embedding has next to no share and moved half as far as the attentions. And
# "ten times" is about once. What survives is a ranking: self-attention first in VTA, cross-attention first in Wan's
# way. How far weights move depends on the number of steps and the learning rate before anything else: our two models
# had the same budget, while the paper compares a short low-rank training with the whole training of Wan-I2V.
#
# </details>
#
# Mind the zeros in such a picture. The norms are 0 here because they were *not trained*. Nor were the embeddings of
# timestep and text in the update that Pusa published: that zero was decided before the first step.
#
# ## Clue 2: how a frame learns that it is clean
#
# How does a block know that frame 3 is clean? The frame's `tau` is written as sinusoids, a small network makes six
# vectors of it, and each block adds its own table of six: a **shift**, a **scale** and a **gate** for self-attention,
# and the same three for the feed-forward. They act on the tokens of that frame and on no others. (The output layer
# takes a shift and a scale in the same way. Nothing else in the model reads a timestep.)


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
#
# **Predict.** VTA has to handle clean and noisy frames *in one clip*. Will its vectors for 0 and 1 be further apart
# than the base's, or closer together?

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
# The green curve falls furthest: at the right edge, noise and clean have little in common for the base. The blue curve
# of VTA stays highest throughout.
#
# <details><summary>Answer</summary>
#
# Closer together. In the base all frames share a timestep, so a block may work in quite different ways at 0 and at 1.
# In VTA a clean frame and a noisy one meet in the same attention, and need features that fit each other. That is a
# guess, not a proof: Wan's way keeps one timestep and moved in the same direction, about half as far, so further
# training alone plays a part.
#
# </details>
#
# A frame's timestep stays with that frame, then. All that others learn of a clean frame 0 reaches them through
# self-attention, so that is where to look next.
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
# **attention mass** from frame $i$ to frame $j$:
#
# $$A_{ij} = \underset{\text{heads},\ q \in i}{\text{mean}} \ \sum_{k \in j} \text{softmax}_k \frac{q \cdot k}{\sqrt{d}}$$
#
# Each token's weights add up to 1, hence so do their sums by frame, hence so does the average: **rows of $A$ sum to
# 1**. If frame $i$ spread its attention evenly over $f$ frames, every entry would be $1/f$. We call that an *even
# share*.
#
# The tool that made the paper's maps takes a short cut: it averages queries and keys over each frame's tokens *before*
# the softmax. Softmax is not linear, so the mean of softmaxes is not the softmax of means. The smallest example: two
# frames of two tokens, one head, $d = 1$. Frame 0 has tokens $+2$ and $-2$, each attracted to itself; frame 1 has
# zeros.
#
# **Predict.** How much does frame 0 attend to itself, in the right order and in the short cut?

# %% tags=["nbval-check-output"]
q = k = torch.tensor([2.0, -2.0, 0.0, 0.0])  # two tokens of frame 0, two of frame 1
weights = (q[:, None] * k).softmax(dim=-1)  # (query, key)
proper = weights.view(2, 2, 2, 2).sum(dim=3).mean(dim=1)
q_mean, k_mean = q.view(2, 2).mean(dim=1), k.view(2, 2).mean(dim=1)
short_cut = (q_mean[:, None] * k_mean).softmax(dim=-1)
print(f"frame 0 attends to itself: {proper[0, 0]:.2f}, and by the short cut {short_cut[0, 0]:.2f}")

assert torch.allclose(proper.sum(dim=1), torch.ones(2)), "rows sum to 1"
assert torch.allclose(frame_mass(q.view(1, 4, 1, 1), k.view(1, 4, 1, 1), (2, 1, 2))[0], proper), "as in the library"

# %% [markdown]
# <details><summary>Answer</summary>
#
# For the token $+2$ the scores are $4, -4, 0, 0$, so nearly all of its weight stays at home; likewise for $-2$. The
# short cut averages $+2$ and $-2$ to 0 first: every score is 0, and attention looks uniform although no token's is.
#
# </details>
#
# From here on it is softmax first. Now the real models, at the first step: frame 0 is a clean picture, all others are
# noise. `attention_mass` watches the layers of a transformer while it runs.
#
# **Predict.** In which of the two maps will column 0 be darker: in the base's, which never met a clean frame among
# noisy ones, or in VTA's?

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
print(*(f"{name} attends to frame 0 with {share:.2f} even shares" for name, share in on_picture.items()), sep="\n")
assert on_picture["base"] < 1, "the base gives a clean frame 0 less than an even share"
assert on_picture["VTA"] > 1.5, "VTA has learnt to attend to it"

# %% [markdown]
# Both maps have a diagonal: frames attend to themselves and their neighbours. The difference is in the first column.
#
# <details><summary>Answer</summary>
#
# In VTA's. The base gives the clean frame less than an even share, VTA more than twice an even share. *That* is what
# the training taught it.
#
# </details>
#
# ## When do they look?
#
# That was the first step. The paper reports that Wan-I2V attends to frame 0 at the first step only and Pusa at *all*
# steps. The shipped results hold the mass on frame 0 for 8 clips, in every block and at each of 10 steps. White is an
# even share, red is more, blue is less.
#
# **Predict.** If the paper's account held for our models, what would the two panels look like?

# %%
shipped = experiments.read_results(experiments.RESULTS / "inside.json")
on_frame_0 = {r["key"]["attention"]: torch.tensor(r["on_frame_0"]) for r in shipped["rows"] if "attention" in r["key"]}
looks = {"VTA": on_frame_0["VTA, frame 0 clean"], "Wan's way": on_frame_0["Wan's way, its picture"]}
looks = {name: frames * one for name, one in looks.items()}  # (steps, blocks), in even shares
fig, axes = plt.subplots(1, 2, figsize=(9.5, 3.6), layout="constrained", sharey=True)
for ax, (name, one) in zip(axes, looks.items(), strict=True):
    steps, blocks = one.shape
    image = ax.imshow(one.T, aspect="auto", cmap="RdBu_r", norm=TwoSlopeNorm(1, 0.3, 3))
    ax.set(title=name, xlabel="sampling step", xticks=range(steps), xticklabels=range(1, steps + 1))
axes[0].set(ylabel="block", yticks=range(blocks), yticklabels=range(1, blocks + 1))
fig.colorbar(image, ax=axes, label="mass on frame 0, in even shares", ticks=[0.4, 0.7, 1, 2, 3])
plt.show()

ours, theirs = (one.mean(dim=1) for one in looks.values())
print(f"above an even share: VTA in {(ours > 1).sum()} of {steps} steps, Wan's way in {(theirs > 1).sum()}")
assert ours[0] > 1.5 and ours[-1] < 1, "VTA attends to frame 0 at first, and no longer at last"
assert (theirs > 1).sum() > (ours > 1).sum() > 1, "Wan's way attends for longer, and beyond the first step"
assert looks["Wan's way"][0].max() < looks["VTA"][0].sort().values[-2], "two blocks of VTA start darkest"
assert [b + 1 for b in range(blocks) if looks["Wan's way"][-1, b] > 1] == [1, 3, 5], "these stay red"
assert [b + 1 for b in range(blocks) if looks["VTA"][-1, b] > 1] == [3], "and this one"

# %% [markdown]
# Read a panel from left to right. In VTA most blocks start red and are pale or blue soon after the middle; only block 3
# stays red. In Wan's way no block starts as dark as VTA's 1 and 3, but block 1 gets redder, and 3 and 5 fade without
# ever falling below an even share. Now compare the rows of one panel: blocks differ more than the models do. A map of
# the last block alone, as the paper prints it, is one of eight.
#
# <details><summary>Answer</summary>
#
# VTA's panel would stay red up to the last step and that of Wan's way would turn pale after the first. On this toy it
# is the other way round: VTA takes what it needs early, Wan's way attends for longer.
#
# </details>
#
# That fits our experiment: VTA is down to an even share by the middle. Case closed? Not yet.
#
# ## Attending is not using
#
# Attention says where weight lies, not what it does. A value may be carried over and then ignored; and what enters
# Wan's way through channels and cross-attention appears in no map of self-attention. So **intervene**: at every step
# call the model twice, once with each picture, and measure how much its velocity for the other frames changes. Noise,
# caption and timesteps are the same, so each clip is its own control.
#
# **Predict.** The base attends to a clean frame 0 with less than an even share. Does it use it at all? And if so: more
# at the first step, or at the last?


# %%
def used(model):
    make, x, found = schedules.synchronous if model is wan else schedules.hold, eps, []
    for tau, tau_next in pairwise(row.repeat(CLIPS, 1) for row in make(STEPS, frames).to(device)):
        v, w = (velocity(model, x, tau, picture)[:, :, 1:] for picture in (first, other))
        found.append((w - v).square().mean(dim=(1, 2, 3, 4)).sqrt() / v.square().mean(dim=(1, 2, 3, 4)).sqrt())
        x = torch.cat([x[:, :, :1], samplers.euler_step(x[:, :, 1:], v, tau[:, 1:], tau_next[:, 1:])], dim=2)
    return torch.stack(found).cpu()  # (steps, clips)


uses = {name: used(model) for name, model in models.items()}

# %% tags=["hide-input"]
looks["base"] = frames * on_frame_0["base, frame 0 clean"]
fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.6), layout="constrained")
for name, colour in COLOURS.items():
    left.plot(schedules.synchronous(10, 1)[:-1, 0], looks[name].mean(dim=1), color=colour, marker="o", label=name)
    right.plot(levels := schedules.synchronous(STEPS, 1)[:-1, 0], uses[name], color=colour, lw=0.7, alpha=0.5)
    right.plot(levels, uses[name].mean(dim=1), color=colour, marker="o", label=name)
left.axhline(1, color="gray", lw=0.8)
left.set(title="attended to", ylabel="mass on frame 0, in even shares")
right.set(title="used", ylabel="change of velocity / velocity")
for ax in (left, right):
    ax.set(xlabel="tau of the generated frames", ylim=(0, None))
    ax.invert_xaxis()
right.legend()
plt.show()

# %%
early, late = ({name: one[part].mean() for name, one in uses.items()} for part in (slice(half), slice(half, None)))
for name in models:
    print(f"{name:10} use in the first half of the steps {early[name]:.2f}, in the second half {late[name]:.2f}")
mass = looks["base"].mean(dim=1)
print(
    f"base: mass {mass[0]:.2f} -> {mass[-1]:.2f} even shares, use {uses['base'][0].mean():.2f} -> {uses['base'][-1].mean():.2f}"
)

assert late["VTA"] < 0.8 * early["VTA"], "VTA uses its picture early"
assert late["Wan's way"] / early["Wan's way"] > late["VTA"] / early["VTA"], "Wan's way uses it for longer"
assert mass[-1] < mass[0] and (uses["base"][-1] > uses["base"][0]).all(), "base: less attention, and yet more use"

# %% [markdown]
# Sampling runs from left to right. (Left: the 8 shipped clips, so its first points are not the numbers under the maps.
# Right: our clips, each a thin line.) For VTA (blue) both panels tell much the same story: early, and over by the
# middle. For the others they do not. Wan's way (orange) attends less from step to step, and yet uses its picture more
# and more up to `tau` = 0.6: most of it comes in by the other doors. The base (green) hardly moves on the left, and
# falls a little; on the right it climbs.
#
# <details><summary>Answer</summary>
#
# It uses it, and more at the last step than at the first, while its attention to it *falls*. So a map of attention
# alone would have misled us about the base. And it uses frame 0 least at the start, when the scene is decided, which
# fits what you saw in chapter 5: it ignores the picture.
#
# </details>
#
# ## Back to the experiment
#
# The curves of use should tell how late an exchange can still win. So exchange the picture later and later.
#
# **Predict.** How many steps may pass before the exchange, so that the film still ends nearer to the second picture?
# Name a number for each model.

# %%
points = [*range(min(STEPS, 8)), FOREVER]
for name in ("VTA", "Wan's way"):
    for at in (FOREVER, *points):
        if (name, at) not in ends:
            ends[name, at] = sampled(models[name], at, ends.get((name, FOREVER), ()))

fig, ax = plt.subplots(figsize=(9, 3.4), layout="constrained")
influence = {name: torch.stack([towards_second(name, at) for at in points]) for name in ("VTA", "Wan's way")}
for name, one in influence.items():
    ax.plot(points, one, color=COLOURS[name], lw=0.7, alpha=0.5)
    ax.plot(points, one.mean(dim=1), color=COLOURS[name], marker="o", label=name)
ax.set(xlabel="steps made before the exchange", ylabel="towards the second picture", ylim=(0, 1.02))
ax.legend(title=f"mean of {CLIPS} clips (thin)")
plt.show()

for name, one in influence.items():
    latest = max(at for at, part in zip(points, one.mean(dim=1), strict=True) if part > 0.5)
    print(f"{name}: the second picture wins after up to {latest} of {STEPS} steps")
at_half = {name: one[points.index(half)] for name, one in influence.items()}
assert (at_half["Wan's way"] > 1.5 * at_half["VTA"]).all(), "the model that uses its picture for longer is bound later"

# %% [markdown]
# By definition both curves start at 1 and end at 0; what is measured is where they fall, and how steeply. The blue one
# drops within a single step, the orange one later and more slowly.
#
# <details><summary>Answer</summary>
#
# Two steps for VTA, four for Wan's way: the order that the curves of use foretold.
#
# </details>
#
# So when does a model look at its picture? VTA in the first few steps, Wan's way for several more, the base hardly at
# all while it matters. Could we have known? Not from the weights, which say where training changed something; nor from
# the six vectors, which stay with their frame. Attention gave a hint, right for VTA and wrong for the base. The
# exchange decided it. If you want to change *what* a known frame shows, do it in the first steps.
#
# *What this does not say.* These are a few clips, one toy, one training of each kind. And the second picture
# *contradicts* what the other frames have become; a late correction that agrees with them was not tried, so "too late
# to overrule" is shown, "deaf" is not. What you take away is the method: `attention_mass` and `parameter_change` run on
# Wan-14B unchanged.

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
# For the next exercise: the attention of VTA's other frames to frame 0, at the first step, if frame 0 has a noise level
# of its own (picture and timestep together).


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
# **2 · Vary.** How noisy may a known frame be before VTA stops attending to it? Find a noise level `my_level` between 0
# and 1 at which the attention lies between the two printed values, with at least a quarter of the distance to each.
# Success: your level appears on the curve, in the grey band.
#
# <details><summary>Hint</summary>
#
# Try `even_shares(0.5)` first and be surprised. Then halve the interval that must contain the fall, and again.
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
    },
)
if not nb.unwritten(my_level):
    levels = [*torch.linspace(0, 0.75, 4).tolist(), *torch.linspace(0.8, 1, 6).tolist()]
    fig, ax = plt.subplots(figsize=(9, 2.8), layout="constrained")
    ax.plot(levels, [even_shares(level) for level in levels], color="#0072b2")
    ax.axhspan(noise + (clean - noise) / 4, clean - (clean - noise) / 4, color="lightgray", alpha=0.6)
    ax.plot(float(my_level), even_shares(float(my_level)), "o", color="#d55e00", label="yours")
    ax.set(xlabel="noise level of frame 0", ylabel="attention to it, in even shares")
    ax.legend()
    plt.show()

# %% [markdown]
# **3 · Invent.** Attention maps need access to the inside of a model, and you have seen that they can mislead. Write
# your own measure of how much frame $i$ **depends on** frame $j$, for any denoiser `(x, tau) -> v`: a matrix (frames,
# frames) with $i$ in its rows, never negative. It is tried on two denoisers whose dependencies are known: it must be
# above 0.0001 where a frame depends on another, and below that elsewhere. Success: it is, and you see your matrix for
# VTA.
#
# <details><summary>Hint</summary>
#
# You have done it in this chapter: change one frame of `x`, ask again, and see which frames of the velocity changed.
# Which index of the matrix is the frame you changed? (If you would rather take gradients: they are switched off
# in this chapter, and `with torch.enable_grad():` switches them on.)
#
# </details>


# %% tags=["exercise"]
def my_dependence(denoiser, x, tau): ...


# %% tags=["check"]
chain = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 0, 1.0]])  # frame 3 depends on 0 and itself
x4, tau4 = torch.randn(2, 3, 4, 2, 2, generator=torch.Generator().manual_seed(1)), torch.full((2, 4), 0.5)


def tried(mine, wiring):
    return torch.as_tensor(mine(lambda x, tau: torch.einsum("ij,bcjhw->bcihw", wiring.to(x), x.tanh()), x4, tau4))


def seen(mine, wiring):
    return tried(mine, wiring) > 1e-4


nb.check_that(
    my_dependence,
    {
        "your function returns nothing: is a `return` missing?": lambda mine: (
            mine(lambda x, tau: x, x4, tau4) is not None
        ),
        "the result should be a matrix with one row and one column for every frame.": lambda mine: (
            tried(mine, chain).shape == chain.shape
        ),
        "your measure gives nan or infinity where a frame depends on nothing: what do you divide by?": lambda mine: (
            tried(mine, torch.zeros(4, 4)).isfinite().all() and tried(mine, chain).isfinite().all()
        ),
        "some entries are negative: a dependence has a size and no sign.": lambda mine: (tried(mine, chain) >= 0).all(),
        "rows and columns are exchanged: row i should say on which frames frame i depends.": lambda mine: (
            not (torch.equal(seen(mine, chain), chain.T > 0))
        ),
        "your measure finds a dependence where there is none: a frame's velocity can be like another's without depending on "
        "it.": lambda mine: not (seen(mine, chain) & (chain == 0)).any(),
        "your measure misses a dependence that is there: is every frame changed in turn, also the one that "
        "answers?": lambda mine: torch.equal(seen(mine, chain), chain > 0),
        "your measure fails for frames that depend on nothing at all, not even on themselves.": lambda mine: (
            not seen(mine, torch.zeros(4, 4)).any()
        ),
    },
)
if not nb.unwritten(my_dependence):
    text = vta.encode_text(prompts[:1])
    mine = torch.as_tensor(my_dependence(lambda x, tau: vta(x, tau, **text), eps[:1], tau[:1]))
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
# | six vectors by `tau` | a block | how a timestep modulates its frame | how other frames respond |
# | attention mass | queries and keys | where weight lies | what it does, or what enters by other paths |
# | exchange of a picture | the whole model | what is used, and when | by which path it entered |
#
# *What could go wrong:* the mean before the softmax; a conclusion from one block and one scene; a comparison of two
# trainings with different budgets; caches or compiled blocks, which hide layers from `attention_mass`.
#
# *Where the code lives:* `pusa_lab/metrics/inside.py` (`inside.attention_mass`, `inside.parameter_change`),
# `pusa_lab/viz/inside.py`, `small_models/models/dit.py` (the timestep's path), and
# `small_models/experiments/inside_table.py`, which measured the shipped results.
#
# *References:* Pusa V1.0, arXiv 2507.16116; Wan, arXiv 2503.20314; LoRA, arXiv 2106.09685.
