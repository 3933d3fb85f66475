# %% [markdown]
# # 10 · From the toy to Wan-14B
#
# **Everything so far ran on a laptop. What changes when the model has 14 billion weights, what stays as it was, and what
# will it cost you to find out?**
#
# *You need: chapters 0 and 1; chapter 6 helps. Time: 25 minutes of reading, about half a minute of CPU. No GPU.*
#
# Wan2.1-14B does not fit into this notebook, so you meet it in three ways: at full size but without numbers in it, at
# tiny size with random numbers, and as we measured it on a GPU. Near the end there are cells for the real weights:
# before you rent a machine for those, be sure that your code is right, and know the bill.
#
# **After this chapter you can**
#
# - say what toy and Wan-14B have in common, and what they do not;
# - work out how much memory, time and money a run takes, before you rent a GPU;
# - load a LoRA file into a Wan, find the key that does not fit, and write a file of your own.

# %% tags=["setup"]
# build.py puts the installing cell here.

# %% tags=["parameters"]
SEED = 0
STEPS = 8
DRAWS = 6
PROMPT = "a cat bakes a cake in a kitchen full of light"
GPU_AND_WEIGHTS = False
WEIGHTS = "Wan-AI/Wan2.1-T2V-14B-Diffusers"
LORA = "pusa_v1.pt"
PICTURE = "assets/still.png"
FAST = False

# %%
import tempfile
from pathlib import Path
from unittest import mock

import matplotlib.pyplot as plt
import numpy as np
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from IPython.display import Markdown, display
from matplotlib.colors import LogNorm
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

import pusa_lab as pl
import pusa_lab.notebook as nb
import small_models
from pusa_lab import data, schedules, tasks
from pusa_lab.planning import GPUS, measured, plan, require_fit
from pusa_lab.types import Geometry
from pusa_lab.wan import VTAWanTransformer3DModel, WanModel, load_lora, merge, unload_lora, unmerge
from pusa_lab.wan.configs import WAN_CONFIGS
from small_models import world

nb.setup(seed=SEED, shapes=True)
torch.set_grad_enabled(False)  # nothing is trained here
STEPS, DRAWS = (3, 2) if FAST else (STEPS, DRAWS)

# %% tags=["hide-input"]
nb.diagram(
    "10_same_and_different",
    "The toy nano beside Wan2.1-14B: text encoder and transformer have more than ten thousand times as many weights, Wan "
    "has a codec too, and the sampling loop is the same code.",
)

# %% [markdown]
# Every mark on the rulers is a factor of ten. Text encoder and transformer have small counterparts in the toy; the codec
# has none in `nano`, which works on pixels (`mini` has one); and the sampling loop is the same code. Let us test that.
#
# ## The same: the architecture
#
# `ToyDiT` was written to be read. Its arguments have diffusers' names, and its weights convert. So take the trained
# `nano`, convert it to diffusers' Wan, and compare three implementations: the toy; **diffusers as it is**, which
# accepts one timestep per sample or one per *token*; and **ours**, the same class of diffusers with one more shape for
# `timestep`: (b, f).
#
# **Predict.** Will the three agree when every frame has a different timestep? And which of them has the most weights?

# %%
toy = small_models.load("nano-vta", device="cpu")
theirs = toy.dit.to_diffusers().eval()
x = torch.randn(toy.geometry.latent_shape(1, toy.geometry.frames))
text = toy.encode_text(["a red circle moves right"])["text"]
tau = torch.rand(1, x.shape[2])
_, ph, pw = toy.dit.config["patch_size"]
tokens = x.shape[3] // ph * (x.shape[4] // pw)  # of one frame

answers = {
    "the toy, (b, f)": toy(x, tau, text),
    "diffusers, (b, tokens)": theirs(x, 1000 * tau.repeat_interleave(tokens, 1), text).sample,
}
before = set(theirs.state_dict())
ours = VTAWanTransformer3DModel.adopt(theirs)  # the same object and weights
answers["ours, (b, f)"] = ours(x, 1000 * tau, text).sample

# %%
first, *others = answers.values()
for name, v in answers.items():
    off = ((v - first).abs().max() / first.std()).item()
    print(f"{name:24}agrees with the toy to 1e-4: {off < 1e-4}")
    assert off < 1e-4, "one architecture, three implementations"
assert set(ours.state_dict()) == before, "one timestep per frame adds no weights"

# %% [markdown]
# <details><summary>Answer</summary>
#
# They agree up to rounding, and have exactly the same weights (section 2.3 of arXiv 2507.16116): the weights that read a
# timestep are simply asked once per frame. So any checkpoint of Wan can be *run* with one timestep per frame. To be *good*
# at it, it needs training, which changes weights and adds none.
#
# </details>
#
# ## The same: the path of a timestep

# %% tags=["hide-input"]
nb.diagram(
    "10_timestep_to_block",
    "In Wan2.1-14B the timestep of each of 21 frames becomes sinusoids, then six vectors of 5,120 numbers, which shift, scale "
    "and gate self-attention and feed-forward in each of 40 blocks.",
)

# %% [markdown]
# Follow the orange frame. Its timestep becomes 256 sinusoids, a small network widens them to 5,120 numbers, and one
# more layer makes six vectors: 1, 2 and 3 steer self-attention in every block, 4, 5 and 6 the feed-forward. (The output
# layer takes a shift and a scale likewise.) The toy does the same with smaller numbers.
#
# How many tokens share these six vectors? Count step by step, for 81 frames of 480 x 832:
#
# 1. The codec turns the first frame into one latent frame, and then every 4 into one: $1 + 80 / 4 = 21$ latent frames.
# 2. It shrinks height and width 8 times: $60 \times 104$ latents per frame.
# 3. The transformer takes patches of $2 \times 2$: $30 \times 52 = 1560$ tokens per frame, $21 \cdot 1560 = 32\,760$ in all.
#
# One could copy the vectors, of width $d$, to every token, as the released code does: (b, 6, tokens, d). Or one views the
# tokens frame by frame and lets six vectors broadcast: (b, f, 6, d). On two frames of three tokens:

# %%
tokens, scale, shift = torch.randn(1, 6, 4), torch.randn(1, 2, 4), torch.randn(1, 2, 4)
copied = tokens * (1 + scale.repeat_interleave(3, 1)) + shift.repeat_interleave(3, 1)
viewed = (tokens.unflatten(1, (2, 3)) * (1 + scale[:, :, None]) + shift[:, :, None]).flatten(1, 2)
assert torch.equal(copied, viewed), "bit for bit the same"

# %% [markdown]
# **Predict.** The result is the same bit for bit. How many bytes does the copy take at 480 x 832, with 5,120 numbers of
# 2 bytes in each vector?

# %%
config = WAN_CONFIGS["wan2.1-14b"]
timed = nb.result("wan_forward")
lines = ["| six vectors | they take | a forward | peak memory |", "|---|---|---|---|"]
all_tokens = config.tokens((480, 832), 81)
for way, n in {"per token": all_tokens, "per frame": 21}.items():
    label = {"per token": "a copy for each of the tokens", "per frame": "one set for each of the 21 frames"}[way]
    run = timed["480p eager"][way]
    took = f"{6 * config.dim * 2 * n / 1e6:,.1f} MB"
    lines.append(f"| {label} | {took} | {run['seconds']:.2f} s | {run['peak_gib']:.1f} GiB |")
display(Markdown("\n".join(lines)))

assert all_tokens == 21 * 30 * 52 == 32_760, "as counted by hand"
copy, run = 6 * config.dim * 2 * all_tokens, timed["480p eager"]
saved = (run["per token"]["peak_gib"] - run["per frame"]["peak_gib"]) * 2**30
print(f"the peak falls by {saved / copy:.1f} times the copy")
assert saved > 2 * copy, "every block adds its table to the copy, in float32"

# %% [markdown]
# Compare the rows: the second needs less of everything. (Its two columns on the right were measured at full size with
# random weights; `benchmarks/results/wan_forward.json` says how, and why both peaks are too high by the same 2.6 GiB.)
#
# <details><summary>Answer</summary>
#
# Six vectors of 5,120 numbers of 2 bytes for 32,760 tokens: two gigabytes, against about one *megabyte* for all 21
# frames together. And the copy does not come alone. While a block works, it holds the copy (1), the copy plus its own
# table in float32, so twice as many bytes (2), and one plus the scale, one vector of the six in float32 (1/3). Together
# $3\tfrac13$ copies, near to what was measured. The time falls, too, by about a tenth.
#
# </details>
#
# ## The same: the rules
#
# Now a Wan that runs here: diffusers' own classes, tiny sizes, random weights. A stand-in that gives every letter a
# random vector takes the place of the text encoder of 11 GB. The video will be noise; shapes, schedules and rules are
# the real ones.


# %% tags=["hide-input"]
LETTERS = torch.randn(128, 16)
TINY = {"num_attention_heads": 2, "attention_head_dim": 12, "ffn_dim": 48, "num_layers": 2, "freq_dim": 32}


def encode_letters(prompts):
    found = torch.zeros(len(prompts), 512, 16)
    for row, prompt in enumerate(prompts):
        found[row, : len(prompt)] = LETTERS[[ord(letter) % 128 for letter in prompt]]
    return found


def tiny_transformer(seed):
    torch.manual_seed(seed)
    made = WanTransformer3DModel(in_channels=4, out_channels=4, text_dim=16, **TINY).eval()
    torch.nn.init.normal_(made.proj_out.weight, std=0.2)
    return made


def tiny_wan(seed=SEED, low=None):
    transformer = tiny_transformer(seed)
    moments = {"latents_mean": [0.0] * 4, "latents_std": [1.0] * 4}
    codec = AutoencoderKLWan(base_dim=4, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, **moments).eval()
    geometry = Geometry((4, 8, 8), 4, 5, (48, 80), fps=16, shift=5.0)
    return WanModel(transformer, codec, encode_letters, low=low, geometry=geometry)


model = tiny_wan()

# %% [markdown]
# **Predict.** After all steps, will the latent of a known frame equal the codec's bit for bit, or only approximately?

# %% tags=["nbval-check-output"]
ramp = np.linspace(0, 255, 80, dtype=np.uint8)
picture = np.stack([np.tile(ramp, (48, 1)), np.tile(ramp[::-1], (48, 1)), np.full((48, 80), 128, np.uint8)], -1)
todo = {"image_to_video": tasks.image_to_video(picture), "start_end": tasks.start_end(picture, picture[:, ::-1])}
for name, task in todo.items():
    made = pl.generate(model, PROMPT, task, steps=STEPS, guidance=3.0, seed=SEED)
    known = pl.prepare(model, PROMPT, task).conditions
    print(f"{name}: latent frames {known.at} are known, the video has shape {made.video.shape}")
    assert torch.equal(made.latents[:, :, known.at], known.latents), "known frames come out bit for bit"
    assert made.latents.isfinite().all(), "and the others are finite"

# %% [markdown]
# <details><summary>Answer</summary>
#
# Bit for bit. That is a property of the sampling loop, which does not move a frame whose timestep is 0, and not of a
# model's size or training. At 14B it held as well (asserted below).
#
# </details>
#
# Two more rules hold for any weights. **A constant vector equals the scalar**: with equal timesteps the model computes
# what it computed before (on the CPU bit for bit; an earlier version on a GPU, in bfloat16, differed by rounding). And
# **a frame's timestep belongs to that frame**: others are affected through attention only. How strongly?
#
# **Predict.** Tell a model that one frame is clean: let its timestep fall from 0.9 to 0. How much do the velocities of the
# *other* frames change, with three sets of weights: `nano`'s, shuffled within each tensor so that all training is lost;
# `nano-base`, trained with one timestep for all; and `nano-vta`? And does it matter whether the frame really *is* clean?


# %%
def ask(tau):
    return model.transformer(x, 1000 * tau, caption, return_dict=False)[0]


x, caption = torch.randn(1, 4, 5, 6, 10), model.encode_text([PROMPT])["text"]
scalar, vector = ask(torch.tensor([0.9])), ask(torch.full((1, 5), 0.9))
assert torch.equal(scalar, vector), "equal timesteps give the scalar model, bit for bit"


def change(toy, x, frame, text):  # of the velocity, if the timestep of one frame falls and nothing else
    high = torch.full((len(x), 8), 0.9)
    low = high.clone()
    low[:, frame] = 0.0
    return (toy(x, low, **text) - (v := toy(x, high, **text))).square().mean(dim=(1, 3, 4)).sqrt(), v


def felt(toy, noisy, scenes, is_clean):  # (draws, frame whose timestep falls, frame that responds)
    grid, text = torch.zeros(len(noisy), 8, 8), toy.encode_text(world.captions(scenes))
    for frame in range(8):
        x = noisy.clone()
        if is_clean:
            x[:, :, frame] = world.render(scenes, 8, 16)[:, :, frame]
        grid[:, frame], v = change(toy, x, frame, text)
    return grid / v.flatten(1).std(dim=1)[:, None, None]


# %%
models = {name: small_models.load(name, device="cpu") for name in ("nano-base", "nano-vta")}
shuffled = small_models.load("nano-vta", device="cpu")
for p in shuffled.dit.parameters():
    p.copy_(p.flatten()[torch.randperm(p.numel())].view_as(p))
models = {"shuffled": shuffled, **models}
scenes = world.draw_scenes(DRAWS, SEED, world.WORLDS["nano"])
noisy = 0.1 * world.render(scenes, 8, 16) + 0.9 * torch.randn(DRAWS, 3, 8, 16, 16)
kinds = {"noisy": False, "clean": True}
grids = {
    (name, kind): felt(m, noisy, scenes, is_clean) for kind, is_clean in kinds.items() for name, m in models.items()
}

# %% tags=["hide-input"]
fig, axes = plt.subplots(2, 3, figsize=(9.5, 6.4), sharex=True, sharey=True, layout="constrained")
for ax, ((name, kind), grid) in zip(axes.flat, grids.items(), strict=True):
    image = ax.imshow(grid.mean(dim=0), norm=LogNorm(0.01, 1.5))
    ax.set(title=f"{name}, the frame is {kind}", xticks=range(8), yticks=range(8))
for ax in axes[1]:
    ax.set_xlabel("frame whose velocity changes")
for ax in axes[:, 0]:
    ax.set_ylabel("frame whose timestep falls")
fig.colorbar(image, ax=axes, label="change / spread of the velocity")
plt.show()

# %%
elsewhere = ~torch.eye(8, dtype=torch.bool)
others = {key: grid[:, elsewhere].mean(dim=1) for key, grid in grids.items()}  # draw by draw
lines = ["| weights | own frame, noisy | others | own frame, clean | others |", "|" + "---|" * 5]
for name in models:
    own = [grids[name, kind].diagonal(dim1=1, dim2=2).mean() for kind in kinds]
    cells = [f"{own[i]:.2f} | {others[name, kind].mean():.3f}" for i, kind in enumerate(kinds)]
    lines.append(f"| {name} | " + " | ".join(cells) + " |")
display(Markdown("\n".join(lines)))
for kind in ("noisy", "clean"):
    more = others["nano-vta", kind] - others["nano-base", kind]
    print(f"{kind}: nano-vta's others change more than nano-base's in {(more > 0).sum()} of {DRAWS} draws")
    assert (others["nano-base", kind] > 1.5 * others["shuffled", kind]).all(), "training makes frames respond"
assert (others["nano-vta", "noisy"] > 2 * others["nano-base", "noisy"]).all(), "adaptation more so, to a frame of noise"
base_gain = others["nano-base", "clean"].mean() / others["nano-base", "noisy"].mean()
assert base_gain > 3, "and the base does respond if the frame really is clean"

# %% [markdown]
# In each panel the timestep of frame $i$, down the side, falls, and frame $j$, along the bottom, responds; the diagonal
# is the frame itself. Colours are on a logarithmic scale. The table has their means, in units of the velocity's spread.
#
# <details><summary>Answer</summary>
#
# With shuffled weights, by one or two hundredths of the spread: attention alone carries a little to every frame.
# Training makes it more, and how much more depends on what the frame contains. In the upper row it *still contains
# noise* and is only declared clean, which no training ever showed. The base hardly responds to that. `nano-vta`
# believes what it is told: it responds several times as strongly, in every draw, the frame itself most of all. In the
# lower row the frame really is clean, and then the base, too, responds strongly. The adaptation adds to that in every
# draw, but far less.
#
# So the architecture *allows* a response, and training makes use of it. (Whether Pusa differs from Wan like the third
# column from the second, we have not measured.)
#
# </details>
#
# ## The size differs
#
# On PyTorch's *meta* device a tensor has a shape and no memory. So the whole 14B model can be built here, and even run,
# and operations can be counted.
#
# **Predict.** Which part holds the most weights? And what share belongs to the parts that read timesteps?

# %% tags=["nbval-check-output"]
with torch.device("meta"):
    wan = VTAWanTransformer3DModel(**config.transformer)
    latents, tau, caption14 = torch.empty(1, 16, 21, 60, 104), torch.empty(1, 21), torch.empty(1, 512, 4096)
    with FlopCounterMode(display=False) as counter:
        v = wan(latents, tau, caption14, return_dict=False)[0]
counted, flops = sum(p.numel() for p in wan.parameters()), counter.get_total_flops()
print(f"{counted:,} parameters, {2 * counted / 2**30:.1f} GiB at 2 bytes each")
print(f"one forward: {flops:.3e} floating point operations")
assert counted == config.parameters, "counted, and by the formula of wan/configs.py"
assert v.shape == latents.shape, "a velocity for every latent"

# %% tags=["hide-input"]
PARTS = {
    "self-attention": "attn1",
    "cross-attention": "attn2",
    "feed-forward": ".ffn",
    "timesteps": "time_ scale_shift",
    "prompts": "text_embedder",
    "patches, norms, output": "patch_ proj_out norm",
}
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#1b1f24", "#cc79a7", "#8a8f98")


def share(model):
    found = dict.fromkeys(PARTS, 0)
    for name, p in model.named_parameters():
        kind = next(k for k, parts in PARTS.items() if any(w in name for w in parts.split()))
        found[kind] += p.numel()
    return {kind: n / sum(found.values()) for kind, n in found.items()}


shares = {"nano": share(ours), "Wan2.1-14B": share(wan)}
fig, ax = plt.subplots(figsize=(9.5, 2.9), layout="constrained")
left = np.zeros(2)
for kind, colour in zip(PARTS, COLOURS, strict=True):
    width = np.array([100 * s[kind] for s in shares.values()])
    ax.barh(list(shares), width, left=left, label=f"{kind} ({width[0]:.1f} and {width[1]:.1f} %)", color=colour)
    for row in np.flatnonzero(width > 4):
        ax.text(left[row] + width[row] / 2, row, f"{width[row]:.0f}", ha="center", va="center", color="white")
    left += width
ax.invert_yaxis()
ax.set(xlabel="per cent of the weights", xlim=(0, 100))
fig.legend(loc="outside lower center", ncols=3, frameon=False)
plt.show()
large = shares["Wan2.1-14B"]
assert max(large, key=large.get) == "feed-forward", "the feed-forward, then the two attentions"
assert large["timesteps"] < 0.03 < shares["nano"]["timesteps"], "what reads a timestep is a sliver of Wan"

# %% [markdown]
# Attention and feed-forward fill most of both bars. The black part, everything that reads a timestep, is a sliver in Wan.
# Its numbers are in the legend, `nano` first.
#
# <details><summary>Answer</summary>
#
# The feed-forward, then the two attentions. The parts that read timesteps have between one and two per cent of the 14B
# model's weights.
#
# </details>
#
# ## The time differs
#
# Where do all those operations come from? A weight matrix costs one multiplication and one addition per weight and
# token. With $N$ weights and $n$ tokens that is $2Nn$. In self-attention every token also meets every token: $n^2$ scores
# $QK^\top$ at width $d$ take $2n^2d$ operations, and the weighted values as many again, in each of $L$ layers. Together
#
# $$\text{FLOPs} \approx 2Nn + 4Ln^2d .$$
#
# **Predict.** 720 x 1280 has 2.3 times as many tokens as 480 x 832. How many times as long does a forward take?

# %%
linear, quadratic = 2 * counted * all_tokens, 4 * config.num_layers * all_tokens**2 * config.dim
print(
    f"by the formula {linear + quadratic:.2e}, counted {flops:.2e}; {quadratic / flops:.0%} of the count is quadratic"
)
more = config.tokens((720, 1280), 81) / all_tokens
longer = (linear * more + quadratic * more**2) / (linear + quadratic)
seconds = [timed[f"{size} eager"]["per frame"]["seconds"] for size in ("480p", "720p")]
print(
    f"{more:.2f} times the tokens: {longer:.1f} times the operations, measured {seconds[1] / seconds[0]:.1f} times the time"
)
assert abs((linear + quadratic) / flops - 1) < 0.1, "two terms explain the count"
assert abs(longer / (seconds[1] / seconds[0]) - 1) < 0.1, "and the measured time"

# %% [markdown]
# <details><summary>Answer</summary>
#
# Almost four times: half of the work at 480p is quadratic in the number of tokens, and that half grows more than fivefold.
# (The formula comes out a little high: the keys and values of cross-attention come from 512 tokens only.)
#
# </details>
#
# ## Memory and money differ
#
# `plan` knows these formulas, and needs no GPU. It corrects its arithmetic by measurements on an H200 and an H100, and
# says of every figure where it comes from. Other cards are assumed to reach the same fraction of their peak, and prices
# are rough guesses. `offload` says what stays on the GPU: everything (`"none"`), only the part at work
# (`"model"`), or two blocks of the transformer at a time (`"group"`).
#
# **Predict.** In bfloat16 the weights alone take 27 GiB. Can a card with 24 GB make 81 frames of 720 x 1280?

# %%
OFFLOADS = ("none", "model", "group")
SIZES = ("480p", "720p")
KEPT = {"transformer": "#0072b2", "text encoder": "#cc79a7", "codec": "#1b1f24", "activations": "#e69f00"}
planned = {(s, offload): plan("wan2.1-14b", s, gpu="h200", offload=offload) for s in SIZES for offload in OFFLOADS}
fig, ax = plt.subplots(figsize=(9.5, 3.2), layout="constrained")
for (size, offload), p in planned.items():
    y, left = OFFLOADS.index(offload) + 0.36 * SIZES.index(size), 0.0
    for part, colour in KEPT.items():
        ax.barh(y, p.memory.get(part, 0), 0.34, left=left, color=colour)
        left += p.memory.get(part, 0)
    ax.text(max(left, GPUS["rtx4090"].memory) + 0.8, y, f"{size}, {p.stage}", va="center", fontsize=9)
for part, colour in KEPT.items():
    ax.barh(0, 0, color=colour, label=part)
for gpu in ("rtx4090", "h100"):
    ax.axvline(GPUS[gpu].memory, color="#d55e00", ls="--")
    ax.text(GPUS[gpu].memory + 0.6, -0.42, gpu, color="#d55e00", va="center")
stays = ("none: all\nstays on the card", "model: one part\nat a time", "group: two blocks\nat a time")
ax.set(
    yticks=np.arange(3) + 0.18, yticklabels=stays, xlabel="planned peak memory in GiB", xlim=(0, 88), ylim=(2.7, -0.6)
)
ax.legend(loc="lower right", bbox_to_anchor=(0.88, 0.02))
plt.show()
small = {offload: plan("wan2.1-14b", "720p", gpu="rtx4090", offload=offload) for offload in OFFLOADS}
fits = {offload: p.fits for offload, p in small.items()}
room = GPUS["rtx4090"].memory - small["group"].peak
print(f"group on an rtx4090: planned {small['group'].peak:.1f} GiB, which leaves {room:.1f} GiB")
assert fits == {"none": False, "model": False, "group": True}, "not as a whole, but two blocks at a time"

# %% [markdown]
# The bars are planned, not measured. Each shows the moment of the highest peak, and beside it the stage in which that
# comes; one that ends to the left of a dashed line fits into that card. Blue is $2N$ bytes, at either size; orange,
# activations, grows with the video. With *group* the blocks at work hardly count any more, and the peak moves elsewhere:
# at 480p to the text encoder, at 720p to the codec, which decodes all pixels in the end.
#
# <details><summary>Answer</summary>
#
# By the plan, yes, with little room, and only with two blocks on the card at a time. (The others wait in the host's
# memory: with the text encoder, some 40 GiB.) We have never used this card, and the arithmetic was corrected on far larger
# ones. Renting one for an hour is the test.
#
# </details>
#
# Now the bill. What does a video cost, and what did the **paper's training** take: a LoRA of rank 512, 900 steps of 8
# clips (section 3.1 and appendix C of arXiv 2507.16116)? It reports 8 GPUs of 80 GB and 500 dollars. Here it is on one
# such GPU, with 8-bit optimiser states and activations offloaded to the host.

# %%
bare = plan("wan2.1-14b", "720p", workload="lora", gpu="h100")
saving = {"compiled": True, "ac_save_attention": 40, "offload_activations": True, "optimizer": "adamw8bit"}
bill = {
    "a video, 480p": plan("wan2.1-14b", "480p", gpu="h100"),
    "a video, 720p": plan("wan2.1-14b", "720p", gpu="h100"),
    "the same, 720p": plan("wan2.1-14b", "720p", gpu="rtx4090", offload="group"),
    "the paper's training, 720p": plan("wan2.1-14b", "720p", workload="lora", gpu="h100", **saving),
}
lines = ["| what | card | time | rent, dollars |", "|---|---|---|---|"]
for what, p in bill.items():
    minutes = p.seconds["total"] / 60
    time = f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"
    lines.append(f"| {what} | {p.settings.gpu} | {time} | {p.money:,.2f} |")
display(Markdown("\n".join(lines)))
paper = bill["the paper's training, 720p"]
assert paper.fits and not bare.fits, "it fits in 80 GB with these options, and not without them"
assert bare.advice[0].changes == saving, "as `plan` itself advises"
assert paper.money < 500, "not counting loading, encoding and failed runs"

# %% [markdown]
# A video is ten steps with guidance, so 20 forwards, and costs cents. From the first row to the second only the size
# changes; the third is a slower, cheaper card, and about as expensive in the end. The last row is another kind of work, and
# costs a few hundred dollars. The paper's 500 may include more than the training steps, which are all that we count.
#
# ## What the toys do not have: a file of weights
#
# Pusa is published as a LoRA of rank 512: $W' = W + \text{strength} \cdot BA$. Its keys follow Wan's own naming, as
# does DiffSynth, which trained it, and not diffusers'. Some LoRA files carry a scale of their own, called alpha; this
# kind has none, so the strength is the whole scale. Here is such a file with random numbers, for the tiny model.

# %% tags=["nbval-check-output"]
PLACES = {"self_attn.q": "attn1.to_q", "cross_attn.o": "attn2.to_out.0", "ffn.0": "ffn.net.0.proj"}
entries, expected = {}, {}
for block in range(2):
    for written, path in PLACES.items():
        layer = model.transformer.get_submodule(f"blocks.{block}.{path}")
        a, b = torch.randn(4, layer.in_features) / layer.in_features**0.5, torch.randn(layer.out_features, 4) / 4
        entries[f"blocks.{block}.{written}.lora_A.default.weight"] = a
        entries[f"blocks.{block}.{written}.lora_B.default.weight"] = b
        expected[f"blocks.{block}.{path}"] = layer.weight + 1.4 * b @ a  # by hand

plain = vector.clone()
with tempfile.TemporaryDirectory() as folder:
    save_file(entries, Path(folder) / "pusa_like.safetensors")
    report = load_lora(model.transformer, Path(folder) / "pusa_like.safetensors", strength=1.4)
print(report)
assert len(report.matched) == len(expected) and not report.unmatched, "every key found its layer"

# %% [markdown]
# All keys found a layer, none is left over. An *attached* LoRA costs two small products in each
# layer. *Merged* into the weights it costs nothing, and it can be taken out again:

# %%
tau = torch.full((1, 5), 0.9)
attached = ask(tau)
merge(model.transformer)
merged = ask(tau)
for path, weight in expected.items():
    assert torch.allclose(model.transformer.get_submodule(path).weight, weight, atol=1e-6), "W + 1.4 B A"
unmerge(model.transformer)
unload_lora(model.transformer, report.name)
without = ask(tau)


def differ(one, other):
    return ((one - other).abs().max() / other.std()).item()


assert differ(attached, plain) > 0.01, "the LoRA changes the output"
assert differ(merged, attached) < 1e-4, "merged and attached differ by rounding only"
assert differ(without, plain) < 1e-4, "and it can be removed"

# %% [markdown]
# Now a file from a friend, who renamed keys by hand. One of the six layers is misspelt.
#
# **Predict.** What should a loader do with keys that fit nothing? And how much of the LoRA would be lost if it said
# nothing?

# %% tags=["hide-input"]
typed = {key.replace("blocks.1.cross_attn.o", "blocks.1.cross_atn.o"): value for key, value in entries.items()}

# %% tags=["nbval-check-output"]
try:
    load_lora(model.transformer, typed, strength=1.4)
except ValueError as error:
    print(error)

report = load_lora(model.transformer, typed, strength=1.4, partial=True)  # as a tool would that says nothing
print(f"partial=True: {len(report.matched)} of {len(expected)} layers changed")
silent = ask(tau)
unload_lora(model.transformer, report.name)

# %%
print(
    f"the output is off by at most {differ(silent, attached):.2f} of its spread; the whole LoRA: {differ(attached, plain):.2f}"
)
assert differ(silent, attached) > 1e-3, "the misspelt key is missed"

# %% [markdown]
# <details><summary>Answer</summary>
#
# It should stop, and this one does. Its sentence names the first key that it could not place: look for the missing
# letter. In a tool that skips what it does not know, as with `partial=True`, one layer stays as it was, the output is
# off by the number printed, and nothing tells you.
#
# </details>
#
# ## The real weights
#
# These cells need a GPU, the weights (27 GiB in bfloat16, and 11 GiB for the text encoder), the LoRA file, and
# `GPU_AND_WEIGHTS = True` in the parameters. `WEIGHTS` may be a folder.

# %%
if GPU_AND_WEIGHTS:
    require_fit(plan("wan2.1-14b", "480p", gpu="h200"))  # name your card here, and offload in both calls
    wan = WanModel.from_pretrained(WEIGHTS, lora=LORA, strength=1.4, size=(480, 832))
    print(*wan.loras[0], sep="\n")

# %%
if GPU_AND_WEIGHTS:
    task = tasks.image_to_video(data.read_picture(nb.asset(PICTURE)), noise=0.2)
    real = pl.generate(wan, PROMPT, task, steps=10, guidance=3.0, seed=SEED)
    nb.play({f"{PROMPT}, 10 steps, guidance 3, noise 0.2": real.video[0]}, fps=wan.geometry.fps, width=832)

# %% [markdown]
# We did not have these weights, so we have not seen a video made by the 14B model. What we ran is
# **the same code at full size with random weights**: text encoder, codec, transformer, and a LoRA of rank 512.

# %% tags=["nbval-check-output"]
runs = nb.result("wan_end_to_end")
phases = [name for name, value in runs["plain"].items() if isinstance(value, dict)]
lines = ["| phase | without LoRA | LoRA attached | LoRA merged |", "|---|---|---|---|"]
ways = ("plain", "with the LoRA attached", "with the LoRA merged")
for phase in phases:
    lines.append(f"| {phase} | " + " | ".join(f"{runs[way][phase]['seconds']:.1f} s" for way in ways) + " |")
display(Markdown("\n".join(lines)))

others = [row for row in measured.MEASURED if "wan_end_to_end" not in row.source]
with mock.patch.object(measured, "MEASURED", others):  # `plan` must not know the run that it is to foretell
    guess = plan("wan2.1-14b", "480p", gpu="h200")
denoising, most = runs["plain"][phases[2]]["seconds"], max(runs["plain"][phase]["peak_gib"] for phase in phases)
print(f"{runs['device']}, {runs['date']}; planned without the measurements of this run:")
print(f"denoising {denoising:.1f} s, planned {guess.seconds['denoising']:.1f} s")
print(f"peak {most:.1f} GiB, planned {guess.peak:.1f} GiB")
assert all(runs[way]["frame 0 exact"] and runs[way]["finite"] for way in ways), "frame 0 is kept exactly at 14B too"
assert abs(guess.seconds["denoising"] / denoising - 1) < 0.1 and abs(guess.peak / most - 1) < 0.1, "within a tenth"
assert runs[ways[2]][phases[2]]["seconds"] < 1.02 * denoising, "merged, the LoRA costs no time"

# %% [markdown]
# Denoising takes nearly all of the time: a tenth more with the LoRA attached, no more once it is merged. (The first column
# ran first, so its short phases include warming up.) Frame 0 was kept bit for bit in all three.
#
# How good is the plan? It was made without this run, from single forwards on such a card (time) and from arithmetic
# (peak). Both come within a tenth: a mild test, since those who wrote the formulas knew the run.
#
# So what changes from the toy to Wan-14B? Not the sampling loop, and not the architecture: both were compared here. The
# codec, the text encoder, the names in files, the sizes and the bill do, and the bill you can now work out before you pay
# it. Whether the *behaviour* carries over, only the real weights can tell.

# %% [markdown]
# ## Exercises
#
# **1 · Fill in.** What do the six vectors take in Wan2.1-14B, for any size? Your function gets height, width and number
# of pixel frames, and returns a tensor of three numbers: how many tokens there are; how many bytes the vectors take in
# bfloat16 (2 bytes a number) if they are copied to every token; and how many if they are kept per frame. `config.dim`
# is the width. Success: it is right for two sizes.
#
# <details><summary>Hint</summary>
#
# Count as above: latent frames first (mind the frame that stands alone), then latents per frame, then patches. A
# frame's six vectors have `6 * config.dim` numbers.
#
# </details>


# %% tags=["exercise"]
def my_costs(height, width, frames): ...


# %% tags=["check"]
def costs(height, width, frames, patch=16, latent=None, vector=6 * config.dim * 2, kept=None):
    latent = 1 + (frames - 1) // 4 if latent is None else latent
    tokens = latent * (height // patch) * (width // patch)
    return torch.tensor([tokens, tokens * vector, (kept or latent) * vector])


def slip(**how):
    return lambda height, width, frames: costs(height, width, frames, **how)


for size in ((480, 832, 81), (704, 1280, 121)):
    nb.check(
        my_costs,
        costs,
        *size,
        axes="(tokens, bytes per token, bytes per frame)",
        mistakes={
            "you count latents, but the transformer takes patches of them.": slip(patch=8),
            "you lose a latent frame: the first pixel frame has one to itself.": lambda h, w, f: costs(
                h, w, f, latent=f // 4
            ),
            "you count pixel frames: the codec makes one latent frame of four.": lambda h, w, f: costs(
                h, w, f, latent=f
            ),
            "patches are 2 x 2 within a frame: time is not shortened again.": lambda h, w, f: costs(
                h, w, f, latent=(1 + (f - 1) // 4) // 2
            ),
            "your bytes are half of what they should be: do you count 2 bytes a number, and the vectors of "
            "self-attention *and* of the feed-forward?": slip(vector=6 * config.dim),
            "you count one vector for each frame or token: a block needs a shift, a scale and a gate, twice.": slip(
                vector=2 * config.dim
            ),
            "your bytes are those of all blocks together: the six vectors are made once, and all blocks share "
            "them.": slip(vector=12 * config.dim * config.num_layers),
            "your last number is of one frame: all latent frames have their vectors.": slip(kept=1),
            "your last number counts pixel frames: the vectors are kept per *latent* frame.": lambda h, w, f: costs(
                h, w, f, kept=f
            ),
            "your bytes are twice what they should be: bfloat16 takes 2 bytes a number.": slip(vector=24 * config.dim),
            "your bytes are not bytes: give them as they are, not in MB or GB.": lambda h, w, f: (
                costs(h, w, f) / torch.tensor([1, 1e6, 1e6])
            ),
            "your tokens are those of one frame: the video has all of its latent frames.": lambda h, w, f: costs(
                h, w, f, latent=1, kept=1 + (f - 1) // 4
            ),
        },
    )

# %% [markdown]
# **2 · Vary.** You have one RTX 4090, at the price that `GPUS` assumes, and 8 cents. What is the longest video of 480 x
# 832 that you can make with Wan2.1-14B, ten steps, the usual guidance, and `offload="group"`? `my_frames` is its number
# of pixel frames, $1 + 4k$. Predict it by $2Nn + 4Ln^2d$ first, from the rent of 81 frames; then ask `plan(...,
# num_frames=...)`, whose `.money` is in dollars. Success: your point lies on the curve, just below the budget.
#
# <details><summary>Hint</summary>
#
# Rent goes with operations, so the budget allows a known multiple of those of 81 frames. `linear` and `quadratic` hold
# their two parts; with $x$ times the tokens they become $x$ and $x^2$ times as many. Solve for $x$, and round to whole
# latent frames.
#
# </details>

# %% tags=["exercise"]
my_frames = None  # a whole number

# %% tags=["check"]
BUDGET = 0.08


def rent(frames):
    return plan("wan2.1-14b", "480p", gpu="rtx4090", offload="group", num_frames=int(frames)).money


nb.check_that(
    my_frames,
    {
        "give one whole number of pixel frames.": lambda mine: float(mine).is_integer() and mine > 0,
        "that is a number of latent frames, or a very short video: give pixel frames.": lambda mine: mine >= 41,
        "the codec makes 1 + 4k pixel frames: the first one, and then four by four.": lambda mine: mine % 4 == 1,
        "it costs more than the budget: does the rent grow as the number of frames, or faster?": lambda mine: (
            rent(mine) <= BUDGET
        ),
        "a longer video is still within the budget: not all of the work is quadratic.": lambda mine: (
            rent(mine + 4) > BUDGET
        ),
    },
)
if not nb.unwritten(my_frames):
    many = range(41, 162, 8)
    parts = [(1 + (f - 1) // 4) / 21 for f in many]  # of the tokens of 81 frames
    ruled = [100 * rent(81) * (linear * x + quadratic * x**2) / (linear + quadratic) for x in parts]
    fig, ax = plt.subplots(figsize=(9, 3), layout="constrained")
    ax.plot(many, [100 * rent(f) for f in many], color="#0072b2", label="plan")
    ax.plot(many, ruled, ":", color="#1b1f24", label="two terms, from 81 frames")
    ax.axhline(100 * BUDGET, color="#8a8f98", ls="--")
    ax.plot(my_frames, 100 * rent(my_frames), "o", color="#d55e00", label="yours")
    ax.set(xlabel="pixel frames", ylabel="rent (cents)")
    ax.legend()
    plt.show()

# %% [markdown]
# **3 · Invent.** Write a LoRA file that makes the tiny Wan **deaf to its prompt**: `my_file` is a dict, key to tensor,
# in the naming of the file above. Loaded at strength 1, the velocity must be the same for every prompt. You may change
# layers of cross-attention only (`cross_attn.q`, `.k`, `.v`, `.o` of both blocks), of any rank. Success: the tick, and
# a curve of how much two prompts still differ as the strength grows from 0 to 2.
#
# <details><summary>Hint</summary>
#
# Which of the four layers must give nothing? `model.transformer.get_submodule("blocks.0.attn2.to_out.0").weight` is the
# weight of `blocks.0.cross_attn.o`, and square. Which $B$ and $A$ have the product that takes it away?
#
# </details>

# %% tags=["exercise"]
my_file = None  # {"blocks.0.cross_attn....lora_A.default.weight": ..., ...}


# %% tags=["check"]
probe = torch.randn(1, 4, 5, 6, 10, generator=torch.Generator().manual_seed(1))


def two_prompts(file, strength=1.0):
    """How much the velocity depends on the prompt, and which layers the file changes."""
    loaded = load_lora(model.transformer, file, strength=strength)
    texts = (model.encode_text([p])["text"] for p in (PROMPT, "a ship in a storm"))
    one, other = (model.transformer(probe, torch.full((1, 5), 900.0), text, return_dict=False)[0] for text in texts)
    unload_lora(model.transformer, loaded.name)
    return differ(one, other), loaded.matched


def prompts_heard(file, strength=1.0):
    return two_prompts(file, strength)[0]


before = prompts_heard(entries, 0.0)
nb.check_that(
    my_file,
    {
        "give a dict: keys are strings, values are tensors.": lambda file: isinstance(file, dict) and len(file) > 0,
        "a layer outside cross-attention is changed: the rest of the model should stay as it is.": lambda file: all(
            "attn2" in layer for layer in two_prompts(file)[1]
        ),
        "the prompt is heard more than before: look at the sign.": lambda file: prompts_heard(file) < 1.5 * before,
        "in one of the two blocks the prompt is still heard.": lambda file: (
            prompts_heard(file) < 1e-4 * before or len({layer.split(".")[1] for layer in two_prompts(file)[1]}) > 1
        ),
        "the prompt is still heard: is the product $BA$ exactly what must be taken away, and does your layer pass on the "
        "values?": lambda file: prompts_heard(file) < 1e-4 * before,
    },
)
if not nb.unwritten(my_file):
    strengths = [k / 8 for k in range(17)]
    fig, ax = plt.subplots(figsize=(9, 2.8), layout="constrained")
    ax.plot(strengths, [prompts_heard(my_file, s) for s in strengths], "o-", color="#d55e00")
    ax.set(xlabel="strength", ylabel="two prompts differ by", title="your LoRA")
    plt.show()

# %% [markdown]
# ## Appendix: a Wan that is two
#
# Early steps settle the layout of a video, late ones its detail, and Wan2.2-A14B has a transformer for each: twice the
# weights, but the time of one. The high-noise expert works while the highest timestep is at least 0.875, the other one
# (`low`) below that. How often each works depends on the schedule's `shift` $s$ (chapter 2), which turns an evenly spaced
# $\tau$ into $s\tau / (1 + (s - 1)\tau)$.
#
# **Predict.** With ten even steps and shift 1, how many of the calls have $\tau \ge 0.875$? And with shift 5?


# %% tags=["nbval-check-output"]
def experts_asked(schedule):
    model, calls = tiny_wan(low=tiny_transformer(1)), [0, 0]
    for number, expert in enumerate(model.experts):
        expert.register_forward_pre_hook(lambda *_, n=number: calls.__setitem__(n, calls[n] + 1))
    pl.generate(model, PROMPT, schedule=schedule, guidance=1.0, latent_frames=3)
    return calls


for shift in (1.0, 5.0):
    high, low = experts_asked(schedules.synchronous(10, 3, shift=shift))
    print(f"10 steps, shift {shift:g}: {high} by the high-noise expert, {low} by the low-noise one")
    assert high == (schedules.synchronous(10, 3, shift=shift)[:-1, 0] >= 0.875).sum(), "the highest timestep decides"

# %% [markdown]
# <details><summary>Answer</summary>
#
# Two: 1 and 0.9. With shift 5 the levels stay high for longer, and about half of the calls go to the high-noise expert.
#
# </details>

# %% [markdown]
# ## Recap
#
# | | toy `nano` | tiny Wan | Wan2.1-14B |
# |---|---|---|---|
# | class | `ToyDiT` | `VTAWanTransformer3DModel` | the same |
# | call | `pl.generate(model, prompt, task)` | the same | the same |
# | `tau` | (b, f) | (b, f) | (b, f); the transformer receives 1000 tau |
# | codec | none: pixels | AutoencoderKLWan, 4 x 8 x 8 | the same |
# | weights | trained, shipped | random | bring your own |
#
# *What could go wrong:* vectors copied for every token; a LoRA whose keys fit nothing; a plan read as a promise.
#
# *Where the code lives:* `pusa_lab/wan/transformer.py` (`VTAWanTransformer3DModel`), `pusa_lab/wan/model.py`
# (`WanModel`), `pusa_lab/planning/planner.py` (`planning.plan`), `small_models/models/dit.py`, and
# `benchmarks/README.md`, which says what was measured, and how.
#
# *References:* Wan, arXiv 2503.20314; Pusa V1.0, arXiv 2507.16116; LoRA, arXiv 2106.09685.
