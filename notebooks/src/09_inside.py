# %% [markdown]
# # 9 · Inside: which weights change, which frames attend to which
#
# *You need: chapters 0, 3 and 5. Time: 25 minutes of reading, about half a minute of CPU.*
#
# Pusa's paper (arXiv 2507.16116, section 3.4) looks inside its models in two ways: which weights did the adaptation
# change, and which frames attend to which? It prints pictures and no numbers. Here both are numbers: for the toy's
# **base** (one timestep for all frames), for **VTA** (the base adapted to one timestep per frame), and for **Wan's
# way** (the base adapted to take a picture as further input).
#
# **After this chapter you can**
#
# - say what a training changed, and what a low-rank update cannot change;
# - follow a frame's timestep from `tau` to the six vectors that modulate a block;
# - measure attention between frames, and say why the order of softmax and mean matters;
# - distinguish attending to a frame from using it, with an experiment.

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
CLIPS = 3
STEPS = 10
FAST = False

# %%
from itertools import pairwise

import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown, display
from matplotlib.colors import TwoSlopeNorm

import small_models
from pusa_lab import pixels, samplers, schedules, viz
from pusa_lab.metrics.inside import attention_mass, frame_mass, kind_of, parameter_change
from pusa_lab.notebook import check, play, setup
from pusa_lab.viz.inside import plot_attention, plot_change
from small_models import experiments, world
from small_models.evaluation import evaluate, ways
from small_models.models.dit import rope, rotate, sinusoid
from small_models.models.i2v import ImageToVideo

device = setup(seed=SEED, shapes=True)
CLIPS, STEPS = (2, 5) if FAST else (CLIPS, STEPS)
base, vta, wan = (small_models.load(f"mini-{stage}", device=device) for stage in ("base", "vta", "i2v"))
geometry = vta.geometry
frames = geometry.frames

# %% [markdown]
# ## What a low-rank update can change
#
# Both adaptations started from the same base, with the same number of steps and the same kind of update: $W' = W + BA$, where
# $B$ has only 64 columns (LoRA, arXiv 2106.09685). The update is already merged here, so we compare plain weights by name.
#
# **Predict.** Which of these has VTA changed: the matrices, the biases, the weights of the norms?

# %%
before, after = base.dit.state_dict(), vta.dit.state_dict()
moved = [name for name in before if not torch.equal(before[name], after[name])]
for name in ("blocks.0.attn1.to_q.weight", "blocks.0.attn1.to_q.bias", "blocks.0.attn1.norm_q.weight"):
    print(f"{name:30} {'changed' if name in moved else 'as before'}")
print(f"{len(moved)} of {len(before)} tensors changed, of the kinds {', '.join(dict.fromkeys(map(kind_of, moved)))}")

rank = small_models.card("mini-vta")["config"]["lora_rank"]
delta = after["blocks.0.attn1.to_q.weight"].double() - before["blocks.0.attn1.to_q.weight"].double()
spread = torch.linalg.svdvals(delta)
print(
    f"singular values of one change: no. 1 {spread[0]:.2f}, no. {rank} {spread[rank - 1]:.3f}, "
    f"no. {rank + 1} {spread[rank]:.5f}"
)

assert all(before[name].ndim == 2 for name in moved), "only matrices changed"
assert not [name for name in moved if kind_of(name) == "norms"], "no norm did"
assert spread[rank] < 1e-3 * spread[0] < spread[rank - 1], "the change of a matrix has the rank of the update"

# %% [markdown]
# ## How far each kind of weight moved
#
# $$\text{relative} = \frac{\lVert W' - W \rVert}{\lVert W \rVert}, \qquad
# \text{share} = \frac{\lVert W' - W \rVert^2}{\sum_\text{kinds} \lVert W' - W \rVert^2}$$
#
# with Frobenius norms over all weights of a kind. According to the paper's pictures, Wan-I2V differs from its base most
# in **cross-attention** and the text embedding; Pusa almost only in **self-attention**, and **ten times less**.
#
# **Predict.** Three claims about our two models: VTA changed self-attention most; Wan's way changed cross-attention
# most; Wan's way moved ten times as far. Which will hold?


# %%
def largest(change):
    return max((kind for kind in change if kind != "new"), key=lambda kind: change[kind]["share"])


changes = {"VTA": parameter_change(base.dit, vta.dit), "Wan's way": parameter_change(base.dit, wan.dit)}
plot_change(changes, title="distance from the common base")
plt.show()

lines = ["| model | steps | most of the change lies in | share of self-, cross-attention, feed-forward | new weights |"]
lines.append("|---|---|---|---|---|")
for (name, change), stage in zip(changes.items(), ("vta", "i2v"), strict=True):
    parts = ", ".join(
        f"{100 * change[k]['share']:.0f} %" for k in ("self_attention", "cross_attention", "feed_forward")
    )
    steps = small_models.card(f"mini-{stage}")["config"]["max_steps"]
    new = change.get("new", {}).get("parameters", 0)
    lines.append(f"| {name} | {steps:,} | {largest(change).replace('_', '-')} | {parts} | {new:,} |")
display(Markdown("\n".join(lines)))

# %%
ours, theirs = changes["VTA"], changes["Wan's way"]
ratio = theirs["self_attention"]["relative"] / ours["self_attention"]["relative"]
print(f"Wan's way moved self-attention {ratio:.2f} times as far as VTA did")

assert largest(ours) == "self_attention", "reproduced: most of VTA's change lies in self-attention"
assert largest(theirs) == "cross_attention", "reproduced: most of the change in Wan's way lies in cross-attention"
assert 0.5 < ratio < 2, "not reproduced: both moved about as far"
assert ours["norms"]["relative"] == theirs["norms"]["relative"] == 0, "norms did not move at all"

# %% [markdown]
# The *where* is reproduced, but only as a tendency: much of VTA's change also lies in cross-attention and feed-forward,
# and in Wan's way cross-attention leads by a hair. The *how far* is not reproduced. How far weights move depends on
# steps and learning rate before anything else. Our two models had the same budget. The paper compares a short low-rank
# training with Wan-I2V's whole training, so its factor of ten does not compare two methods.
#
# A "0" in such a picture can also have two meanings. Norms are 0 here because they were *not trained*. In Pusa's
# released update the matrices of timestep embedding, text embedding and head are not trained either; here they are, and
# they moved:

# %%
for kind in ("modulation", "text", "norms"):
    print(f"{kind:10} VTA {ours[kind]['relative']:.2f}, Wan's way {theirs[kind]['relative']:.2f}")
assert ours["modulation"]["relative"] > 0.1, "where it is trained, the timestep's path changes"
shipped = experiments.read_results(experiments.RESULTS / "inside.json")
for label, change in {"VTA, shipped": ours, "Wan's way, shipped": theirs}.items():
    (row,) = (r for r in shipped["rows"] if r["key"].get("change") == label)
    for kind, numbers in row["kinds"].items():
        assert kind == "new" or abs(numbers["relative"] - change[kind]["relative"]) < 1e-3, "as in the shipped results"

# %% [markdown]
# ## The path of the timestep
#
# How does a block learn that frame 3 is clean? A frame's `tau` is encoded as sinusoids, a small network turns them into
# six vectors, and each block adds its own table of six: a **shift**, a **scale** and a **gate** for self-attention, and
# three more for the feed-forward. They act on all tokens of that frame and on no others. That is the only place where a
# timestep enters.


# %% tags=["nbval-check-output"]
def six_vectors(model, tau):
    dit = model.dit
    six = dit.time_proj(dit.time_embedder(sinusoid(tau, dit.config["freq_dim"]))).unflatten(2, (6, -1))
    return six + dit.blocks[0].scale_shift_table[:, None]  # (b, f, 6, d)


together = torch.full((1, frames), 0.7, device=device)
apart = together.clone()
apart[:, 3] = 0.0
differs = (six_vectors(vta, apart) - six_vectors(vta, together)).abs().amax(dim=(0, 2, 3)) > 1e-4
print("frames whose six vectors change when only frame 3's timestep does:", differs.nonzero().flatten().tolist())
assert differs.nonzero().flatten().tolist() == [3], "a timestep modulates its own frame only"

# %% [markdown]
# Now let `tau` run from 0 to 1, and compare the six vectors of block 0 with those at `tau` = 0 by their cosine: 1 is
# the same direction, 0 is orthogonal.
#
# **Predict.** VTA must distinguish clean frames from noisy ones *within* one clip. Will its vectors for 0 and 1 be
# further apart than the base's, or closer together?

# %%
run = torch.linspace(0, 1, 101, device=device)[None]  # 101 timesteps, as if they were frames
vectors = {name: six_vectors(model, run)[0] for name, model in {"base": base, "Wan's way": wan, "VTA": vta}.items()}
alike = {name: torch.cosine_similarity(v, v[:1], dim=-1) for name, v in vectors.items()}
whole = {name: torch.cosine_similarity(v.flatten(1), v[:1].flatten(1), dim=-1) for name, v in vectors.items()}
parts = [f"{what} of {part}" for part in ("self-attention", "feed-forward") for what in ("shift", "scale", "gate")]

fig, axes = plt.subplots(2, 3, figsize=(11, 5), layout="constrained", sharex=True, sharey=True)
for i, (ax, part) in enumerate(zip(axes.ravel(), parts, strict=True)):
    for name, lines in alike.items():
        ax.plot(run[0].cpu(), lines[:, i].cpu(), label=name)
    ax.set_title(part)
    ax.axhline(0, color="gray", lw=0.5)
axes[0, 0].legend(loc="lower left")
fig.supxlabel("tau", fontsize=10)
fig.supylabel("cosine with tau = 0", fontsize=10)
fig.suptitle("the six vectors of block 0")
plt.show()

for name in vectors:
    print(f"{name:10} all six, cosine of tau = 0 and 1: {whole[name][-1]:.2f}")
assert whole["VTA"][-1] > whole["base"][-1] + 0.1, "VTA treats clean and noise more alike than its base does"
assert (whole["VTA"][20:] > whole["base"][20:]).all(), "and so at every tau from 0.2 on"

# %% [markdown]
# Closer together. In the base, all frames share one timestep, so block 0 may work in quite different ways at 0 and at
# 1. In VTA a clean frame and a noisy one meet in the same attention and need compatible features. That is only a guess:
# Wan's way, which keeps one timestep, moved in the same direction by about half as much, so further training with the
# same settings plays a part too.
#
# ## Attention between frames, by hand
#
# In self-attention every query token attends to all tokens of all frames. The **mass** from frame $i$ to frame $j$ is
# the weight that the queries of $i$ give to the keys of $j$, averaged over heads and queries:
#
# $$A_{ij} = \underset{\text{heads},\ q \in i}{\text{mean}} \ \sum_{k \in j} \text{softmax}_k \frac{q \cdot k}{\sqrt{d}}$$
#
# Softmax runs over *all* keys, so a row of $A$ sums to 1. Take two frames of two tokens each, one head, $d = 1$. Frame
# 0 has one positive and one negative token, each strongly attracted to itself; the tokens of frame 1 are zero.
#
# The tool that made the paper's maps reverses the order: it averages queries and keys over each frame's tokens *before*
# the softmax, as if that were the same.
#
# **Predict.** How much does frame 0 attend to itself, in the right order, and in the reverse order?

# %% tags=["nbval-check-output"]
q = k = torch.tensor([2.0, -2.0, 0.0, 0.0])  # two tokens of frame 0, two of frame 1
weights = (q[:, None] * k).softmax(dim=-1)  # (query, key)
proper = weights.view(2, 2, 2, 2).sum(dim=3).mean(dim=1)
early = (q.view(2, 2).mean(1)[:, None] * k.view(2, 2).mean(1)).softmax(dim=-1)
print("softmax first\n", proper.numpy().round(3))
print("mean first\n", early.numpy().round(3))

assert torch.allclose(proper.sum(dim=1), torch.ones(2)), "rows sum to 1"
assert torch.allclose(frame_mass(q.view(1, 4, 1, 1), k.view(1, 4, 1, 1), [2, 1, 2])[0], proper), "as in the library"
assert proper[0, 0] > 0.9 and early[0, 0] == 0.5, "positive and negative average to zero, so attention becomes uniform"

# %% [markdown]
# So averaging first can lose everything. Does it, on a real model? Take queries and keys of VTA's last block, at the
# first step: frame 0 is a clean picture, the others are noise.

# %%
scenes = world.draw_scenes(4, evaluate.EVAL_SEED + SEED, world.MINI)[:CLIPS].to(device)
truth = world.render(scenes, world.MINI.frames, world.MINI.size)
prompts = world.captions(scenes)
first = vta.encode_video(truth[:, :, :1])  # pictures, as latents (b, c, 1, h, w)
other = first.roll(1, 0)  # the picture of another scene, for later
eps = torch.randn(geometry.latent_shape(CLIPS, frames), generator=torch.Generator().manual_seed(SEED)).to(device)
x = torch.cat([first, eps[:, :, 1:]], dim=2)
tau = schedules.hold(STEPS, frames)[0].repeat(CLIPS, 1).to(device)

attn, seen = vta.dit.blocks[-1].attn1, {}
hooks = [
    getattr(attn, f"norm_{n}").register_forward_hook(lambda m, a, out, n=n: seen.update({n: out})) for n in ("q", "k")
]
with attention_mass(vta.dit) as found:
    vta(x, tau, **vta.encode_text(prompts))
for hook in hooks:
    hook.remove()

side = [n // 2 for n in geometry.latent_shape(1, frames)[3:]]  # a token is a patch of 2 x 2
turn = rope((frames, *side), vta.dit.config["attention_head_dim"], first.device)
q, k = (rotate(seen[n].flatten(1, 2).unflatten(-1, (attn.heads, -1)), turn) for n in ("q", "k"))
mass = frame_mass(q, k, [frames, *side]).cpu()
qm, km = (t.unflatten(1, (frames, -1)).mean(dim=2).cpu() for t in (q, k))
early = (torch.einsum("bind,bjnd->bnij", qm, km) * q.shape[-1] ** -0.5).softmax(-1).mean(1)
plot_attention({"softmax first": mass[0], "mean first": early[0], "difference": (mass - early)[0].abs()}, columns=3)
plt.show()

kl = (mass * (mass / early).log()).sum(-1)
print(f"largest difference {(mass - early).abs().max():.3f}, KL {kl.mean():.4f} on average, {kl.max():.4f} at most")
assert torch.allclose(mass, found[0][-1], atol=1e-5), "by hand and by the library the same"
assert (mass - early).abs().max() > 0.02 and kl.max() > 1e-3, "the two orders differ on real queries and keys"
assert kl.mean() < 0.05, "but here not by much"

# %% [markdown]
# They differ by several hundredths, so the claim that they are the same is wrong. But the pictures would have looked
# much alike: in this model the average is not as misleading as it was by hand. Nobody has shown that for the 14B model;
# the right order costs little, so from here on it is softmax first.
#
# ## Which frame attends to which
#
# One scene, four ways to generate it, and the last block at the first, the middle and the last step. The paper reports
# for its models: text-to-video is a diagonal; Wan-I2V attends to frame 0 at the first step only; Pusa attends to it at
# all steps.
#
# **Predict.** Where will column 0 be dark?

# %%
contestants = {
    "base, text alone": (base, []),
    "base, clean frame 0": (base, [0]),
    "VTA, clean frame 0": (vta, [0]),
    "Wan's way, picture": (wan, [0]),
}
clip = pixels.to_uint8(truth[:1])
looks = {}
for name, (model, known) in contestants.items():
    with attention_mass(model.dit) as found:
        ways.generate_from(model, prompts[:1], clip, known, steps=STEPS, guidance=1.0, seed=SEED)
    looks[name] = torch.stack(found)[:, :, 0]  # (steps, blocks, f, f)
maps = {
    f"{name}\nstep {s + 1} of {STEPS}": one[s, -1]
    for name, one in looks.items()
    for s in (0, STEPS // 2 - 1, STEPS - 1)
}
plot_attention(maps, columns=3, most=0.6, title="attention between frames, last block")
plt.show()


def on_frame_0(one):
    return one[..., 1:, 0].mean(-1)  # of the generated frames


start = {name: on_frame_0(one)[0].mean() for name, one in looks.items()}
for name, one in looks.items():
    print(
        f"{name:20} on frame 0, all blocks: {100 * start[name]:.1f} % at first, {100 * on_frame_0(one)[-1].mean():.1f} % at last"
    )
diagonal = looks["base, text alone"][:, -1].diagonal(dim1=1, dim2=2).mean()
assert diagonal > 2 / frames, "reproduced: text to video attends along the diagonal"
assert start["base, clean frame 0"] < 1 / frames, "the base gives a clean frame 0 less than an even share"
assert start["VTA, clean frame 0"] > 1.5 / frames, "VTA has learnt to attend to it"

# %% [markdown]
# In all four, frames attend to themselves and their neighbours. Given a clean frame 0 with timestep 0, the base attends
# to it *less* than an even share of $1/9$; VTA attends to it about twice as much as an even share.
#
# ## At which step, in which block
#
# One scene is an anecdote. The shipped results hold the same for 8 clips, in every block and at each of 10 steps. White
# is an even share, red is more, blue is less.
#
# **Predict.** If the paper's account holds here, VTA's panel stays red up to the last step, and that of Wan's way turns
# pale after the first. Does it?

# %%
rows = {r["key"]["attention"]: torch.tensor(r["on_frame_0"]) for r in shipped["rows"] if "attention" in r["key"]}
fig, axes = plt.subplots(2, 2, figsize=(10, 6.2), layout="constrained", sharex=True, sharey=True)
for ax, (name, one) in zip(axes.ravel(), rows.items(), strict=True):
    steps, blocks = one.shape
    drawn = ax.imshow(frames * one.T, aspect="auto", cmap="RdBu_r", norm=TwoSlopeNorm(1, 0.3, 3))
    ax.set_title(f"{name}: {100 * one.mean():.1f} %")
    ax.set_xticks(range(steps), range(1, steps + 1))
    ax.set_yticks(range(blocks), range(1, blocks + 1))
fig.colorbar(drawn, ax=axes, label="mass on frame 0, in even shares", ticks=[0.4, 0.7, 1, 2, 3])
fig.supxlabel("sampling step", fontsize=10)
fig.supylabel("block", fontsize=10)
plt.show()

ours, theirs = (rows[name].mean(1) * frames for name in ("VTA, frame 0 clean", "Wan's way, its picture"))
for name, shares in {"VTA": ours, "Wan's way": theirs}.items():
    print(f"{name:10} in even shares, by step: {', '.join(f'{s:.2f}' for s in shares)}")
assert rows["VTA, frame 0 clean"].mean() > 1.3 * rows["base, frame 0 clean"].mean(), "VTA attends more than its base"
assert ours[0] > 1.5 and ours[-1] < 1, "not reproduced: VTA attends to frame 0 at first, and no longer at last"
assert (theirs[:5] > 1).all(), "not reproduced: Wan's way attends to it beyond the first step"
assert (theirs > 1).sum() > (ours > 1).sum(), "and even for longer than VTA"

# %% [markdown]
# On this toy it is the other way round: VTA takes what it needs in the first steps, and Wan's way attends for longer.
# Blocks differ more than models do: each has its own pattern. A map of the last block alone, as in the paper, is one of
# eight.
#
# ## Attending is not using
#
# Attention says where weight lies, not what it does. So **intervene**: at every step of an ordinary sampling loop, call
# the model a second time with the picture of *another* scene, and see how much its velocity for the other frames
# changes. All else is the same (noise, prompt, timesteps), so each clip is its own control. For Wan's way the picture
# is exchanged in its extra input channels and in cross-attention, neither of which a map of self-attention shows.
#
# **Predict.** Sketch three curves over the steps: VTA, Wan's way, and the base with a clean frame 0.


# %%
def asked(model, x, tau, picture):
    text = model.encode_text(prompts)
    if isinstance(model, ImageToVideo):
        return model(x, tau, first=picture, **text)
    return model(torch.cat([picture, x[:, :, 1:]], dim=2), tau, **text)


def size(v):
    return v[:, :, 1:].square().mean(dim=(1, 2, 3, 4)).sqrt()


def used(model, S):
    found, states = [], [eps]
    for tau, tau_next in pairwise(row.repeat(CLIPS, 1) for row in S.to(device)):
        v, w = (asked(model, states[-1], tau, picture) for picture in (first, other))
        found.append(size(w - v) / size(v))
        states.append(samplers.euler_step(states[-1], v, tau, tau_next))
    return torch.stack(found).cpu(), torch.stack(states[1:])  # (steps, clips), and the trajectory


hold, together = schedules.hold(STEPS, frames), schedules.synchronous(STEPS, frames)
todo = {"VTA": (vta, hold), "Wan's way": (wan, together), "base, clean frame 0": (base, hold)}
sampled = {name: used(model, S) for name, (model, S) in todo.items()}
uses = {name: found for name, (found, states) in sampled.items()}
names = dict(zip(uses, ("VTA, frame 0 clean", "Wan's way, its picture", "base, frame 0 clean"), strict=True))

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
for i, (name, one) in enumerate(uses.items()):
    left.plot(together[:-1, 1], one, color=f"C{i}", lw=0.7, alpha=0.5)
    left.plot(together[:-1, 1], one.mean(1), color=f"C{i}", marker="o")
    right.plot(
        schedules.synchronous(10, 1)[:-1, 0], frames * rows[names[name]].mean(1), color=f"C{i}", marker="o", label=name
    )
right.axhline(1, color="gray", lw=0.5)
left.set(ylabel="change of velocity / velocity", title=f"used: another picture, {CLIPS} clips (thin) and their mean")
right.set(ylabel="mass on frame 0, in even shares", title="attended to: shipped results, mean of all blocks")
for ax in (left, right):
    ax.set(xlabel="tau of the generated frames")
    ax.invert_xaxis()
    ax.set_ylim(bottom=0)
right.legend()
plt.show()

half = STEPS // 2
early, late = ({name: one[part].mean(0) for name, one in uses.items()} for part in (slice(half), slice(half, None)))
left_over = {name: (one[half - 1] / one[0]).mean() for name, one in uses.items()}
for name in uses:
    print(
        f"{name:20} first half {early[name].mean():.2f}, second half {late[name].mean():.2f}; "
        f"step {half} relative to step 1: {left_over[name]:.2f}"
    )
assert (late["VTA"] < 0.8 * early["VTA"]).all(), "VTA uses its picture early, in every clip"
assert left_over["Wan's way"] > 1.3 * left_over["VTA"], "Wan's way uses it for longer"
assert early["base, clean frame 0"].mean() < 0.7 * early["VTA"].mean(), "the base uses it least when it matters most"

# %% [markdown]
# For VTA both measures agree: it attends early and uses early. The base is the counterexample. Its mass on frame 0
# hardly changes, and even falls a little, while its use of frame 0 *grows* from the first step to the last:

# %%
look, use = rows["base, frame 0 clean"].mean(1), uses["base, clean frame 0"]
print(f"base: mass {100 * look[0]:.1f} % to {100 * look[-1]:.1f} %, use {use[0].mean():.2f} to {use[-1].mean():.2f}")
assert look[-1] < look[0] and (use[-1] > use[0]).all(), "less attention, and yet more use"

# %% [markdown]
# ## Exchange the picture half-way
#
# The most direct test: let VTA start with one picture, and put **another** into frame 0 half-way.
#
# **Predict.** Which scene will the other frames show, the first or the second?


# %%
def trajectory(pictures):
    x, states = eps, []
    taus = pairwise(row.repeat(CLIPS, 1) for row in hold.to(device))
    for picture, (tau, tau_next) in zip(pictures, taus, strict=True):
        x = samplers.euler_step(x, asked(vta, x, tau, picture), tau, tau_next)
        states.append(x)
    return torch.stack(states)


ends = {"never": STEPS, "half-way": half, "from the start": 0}
trajectories = {name: trajectory([first] * at + [other] * (STEPS - at)) for name, at in ends.items() if at < STEPS}
trajectories["never"] = sampled["VTA"][1]
made = {
    name: vta.decode(
        torch.cat([other[:1] if at < STEPS else first[:1], trajectories[name][-1, :1, :, 1:]], dim=2)
    ).clamp(-1, 1)
    for name, at in ends.items()
}
films = {f"exchanged {name}": pixels.to_uint8(video)[0] for name, video in made.items()}
viz.filmstrip(films, known=[0], most=9)
plt.show()
play(films, fps=geometry.fps)

# %%
from_first, from_second = (
    torch.stack([size(a - b) for a, b in zip(trajectories["half-way"], trajectories[name], strict=True)]).cpu()
    for name in ("never", "from the start")
)
fig, ax = plt.subplots(figsize=(6.5, 3), layout="constrained")
for i, (name, one) in enumerate({"never exchanged": from_first, "exchanged from the start": from_second}.items()):
    ax.plot(range(1, STEPS + 1), one, color=f"C{i}", lw=0.7, alpha=0.5)
    ax.plot(range(1, STEPS + 1), one.mean(1), color=f"C{i}", marker="o", label=f"from the one {name}")
ax.axvline(half + 0.5, color="gray", ls=":")
ax.set(xlabel="after step", ylabel="distance of latents (rms)", title="trajectory with the picture exchanged half-way")
ax.legend(loc="upper left")
plt.show()

print(
    f"at the end {from_first[-1].mean():.2f} from the trajectory of the first picture, {from_second[-1].mean():.2f} of the second"
)
assert (from_first[:half] == 0).all(), "up to the exchange nothing differs"
assert (from_first[-1] > 0).all(), "the second picture does change something"
assert (from_first[-1] < 0.5 * from_second[-1]).all(), "but every clip stays with the first picture"

# %% [markdown]
# The first, except for traces of the new picture in the frames next to it. By half-way the frames carry the scene
# themselves and pass it on to each other; they need frame 0 much less. In practice, whatever is done to a known frame,
# such as adding noise to it, matters early. (All three films keep the first scene's prompt, so an exchanged picture
# always contradicts it.)
#
# *What this does not say:* these are three clips, one toy, one training each. It is a method, and it runs on Wan-14B
# unchanged.
#
# ## Exercises
#
# **1 · Fill in.** The mass between frames, from queries and keys (b, tokens, heads, size) with positions already
# applied; `grid` is the number of frames, and of rows and columns of tokens. Return (b, f, f). Mind the order, and
# $\sqrt{d}$.


# %% tags=["exercise"]
def my_mass(q, k, grid): ...


# %% tags=["check"]
check(my_mass, frame_mass, 2 * torch.randn(2, 3 * 5, 2, 4), 2 * torch.randn(2, 3 * 5, 2, 4), [3, 1, 5])
check(my_mass, frame_mass, q, k, [frames, *side])

# %% [markdown]
# **2 · Vary.** How noisy may frame 0 be before VTA stops attending to it? Give frame 0 a noise level `my_level`
# (picture and timestep together) at the first step, where all others are at 1. Clean, it gets about two even shares; as
# noise, about one. Find a level in between, at which the gain over noise is between a quarter and three quarters of
# that of a clean frame.


# %%
def even_shares(level):
    tau = torch.ones(CLIPS, frames, device=device)
    tau[:, 0] = level
    x = torch.cat([(1 - level) * first + level * eps[:, :, :1], eps[:, :, 1:]], dim=2)
    with attention_mass(vta.dit) as found:
        vta(x, tau, **vta.encode_text(prompts))
    return frames * on_frame_0(found[0]).mean().item()


# %% tags=["exercise"]
my_level = None  # a number from 0 to 1

# %% tags=["check"]
if my_level is not None:
    mine, clean, noise = (even_shares(level) for level in (my_level, 0.0, 1.0))
check(None if my_level is None else 0.25 < (mine - noise) / (clean - noise) < 0.75, True)

# %% [markdown]
# **3 · Invent.** Attention maps need access to the inside of a model, and say only where attention goes. Write your own
# measure of how much frame $i$ **depends on** frame $j$, for any denoiser (x, tau) -> v: a matrix (f, f) with $i$ in
# its rows, never negative. It is checked on a denoiser whose dependencies are known: where a frame depends on another
# the number must be positive, elsewhere 0 up to rounding.


# %% tags=["exercise"]
def my_listening(denoiser, x, tau): ...


# %% tags=["check"]
wiring = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 0, 1.0]])  # frame 3 depends on 0 and itself


def wired(x, tau):
    return torch.einsum("ij,bcjhw->bcihw", wiring.to(x), x.tanh())


mine = my_listening(wired, torch.randn(2, 3, 4, 2, 2), torch.full((2, 4), 0.5))
check(None if mine is None else (torch.as_tensor(mine) > 1e-4).float(), wiring)

# %% [markdown]
# Then try yours on `lambda x, tau: vta(x, tau, **vta.encode_text(prompts))`, and compare it with the mass in
# `plot_attention`.
#
# ## Recap
#
# | measure | of | says | does not say |
# |---|---|---|---|
# | relative change, share | two sets of weights | what a training changed | which part of it mattered; which method is gentler, unless budgets are equal |
# | six vectors by `tau` | a block | how a timestep modulates its frame | how other frames respond |
# | attention mass | queries and keys | where weight lies | what it does, or what enters by other paths |
# | exchange of a picture | the whole model | what is used, and when | by which path it entered |
#
# *What could go wrong:* the mean before the softmax; a map of one block and one scene; caches or compiled blocks that
# hide layers.
#
# *Where the code lives:* `pusa_lab/metrics/inside.py`, `pusa_lab/viz/inside.py`, `small_models/models/dit.py` (the timestep's
# path), and the measured table in `small_models/experiments/inside_table.py` (`pusa-lab bench paper --table inside`).
#
# *References:* Pusa V1.0, arXiv 2507.16116; Wan, arXiv 2503.20314; LoRA, arXiv 2106.09685.
#
# *Next:* 10 · From toy to Wan-14B.
