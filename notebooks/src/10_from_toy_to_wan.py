# %% [markdown]
# # 10 · From the toy to Wan-14B
#
# **You want to give every frame of Wan2.1-14B a timestep of its own. What exactly has to change in the model, and how
# do you find out that you changed it correctly, before you rent a GPU?**
#
# *You need: chapters 0 and 1. Time: 25 minutes of reading, about ten seconds of CPU. No GPU.*
#
# Wan2.1-14B does not fit into this notebook: its weights alone take 27 GiB. But code that handles timesteps wrongly is
# wrong at any size. So you work on a tiny Wan, whose code, files and names are the real ones, and whose weights are few
# and random.
#
# **After this chapter you can**
#
# - say what a timestep steers in Wan, and write the change that a vector of timesteps needs;
# - test such a change in three ways, and say which mistakes each of them cannot see;
# - load a LoRA file, notice a key that does not fit, and write a file of your own.

# %% tags=["setup"]
# build.py puts the installing cell here.

# %% tags=["parameters"]
SEED = 0
STEPS = 8
PROMPT = "a cat bakes a cake in a kitchen full of light"
FAST = False

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from diffusers import WanTransformer3DModel
from diffusers.utils.logging import disable_progress_bar
from IPython.display import Markdown, display
from safetensors.torch import save_file
from transformers.utils.logging import disable_progress_bar as disable_loading_bar

import pusa_lab as pl
import pusa_lab.notebook as nb
from pusa_lab import samplers, schedules, tasks
from pusa_lab.planning import plan
from pusa_lab.wan import WanModel, load_lora, merge, unload_lora, unmerge, write_tiny_wan
from pusa_lab.wan.configs import WAN_CONFIGS
from small_models.models.dit import ToyDiT

nb.setup(seed=SEED, shapes=True)
torch.set_grad_enabled(False)  # nothing is trained here
disable_progress_bar()
disable_loading_bar()
STEPS = 3 if FAST else STEPS

# %% [markdown]
# ## A Wan that runs here
#
# `write_tiny_wan` writes a folder like the one that you would download, and `from_pretrained` loads either:

# %%
folder = write_tiny_wan(Path(tempfile.mkdtemp()) / "wan", seed=SEED)
model = WanModel.from_pretrained(folder, size=(48, 80), num_frames=17, dtype=torch.float32)

# %% tags=["hide-input"]
config, tiny = WAN_CONFIGS["wan2.1-14b"], model.transformer.config
lines = ["| transformer | tiny Wan | Wan2.1-14B |", "|---|---|---|"]
lines.append(f"| blocks | {tiny.num_layers} | {config.num_layers} |")
lines.append(f"| width $d$ | {tiny.num_attention_heads * tiny.attention_head_dim} | {config.dim:,} |")
lines.append(f"| weights | {sum(p.numel() for p in model.transformer.parameters()):,} | {config.parameters:,} |")
lines.append(f"| latent frames of a usual video | {model.geometry.frames} | 21 |")
display(Markdown("\n".join(lines)))

# %% [markdown]
# The two differ in these numbers, and in what their weights have learned: the tiny one's are random and know nothing.
# The layers and their order are the same, line by line of code.
#
# ## What a timestep does in Wan

# %% tags=["hide-input"]
nb.diagram(
    "10_timestep_to_block",
    "In Wan2.1-14B the timestep of each of 21 frames becomes sinusoids, then six vectors of 5,120 numbers, which shift, scale "
    "and gate self-attention and feed-forward in each of 40 blocks.",
)

# %% [markdown]
# Follow the orange frame. Its timestep becomes 256 sinusoids, a small network widens them to 5,120 numbers, and one
# more layer makes six vectors: 1, 2 and 3 steer self-attention in every block, 4, 5 and 6 the feed-forward. Each trio
# is a shift and a scale for what goes into the layer, and a gate for what comes out. (The output layer gets a shift and
# a scale likewise.)
#
# The published Wan knows one timestep for the whole video, and six vectors. Which of these layers must change, if there
# is one timestep per frame? None: they are simply asked once per frame. Try it with the layers of the tiny Wan (Wan
# counts timesteps from 0 to 1000, hence the factor):

# %% tags=["nbval-check-output"]
embed = model.transformer.condition_embedder


def widened(tau):  # one timestep or many -> d numbers for each
    return embed.time_embedder(embed.timesteps_proj(1000 * tau.flatten())).unflatten(0, tau.shape)


def six_vectors(tau):  # and six vectors of d numbers for each
    return embed.time_proj(embed.act_fn(widened(tau))).unflatten(-1, (6, -1))


for name, tau in {"one timestep": torch.tensor([0.9]), "one per frame": torch.rand(1, 5)}.items():
    print(f"{name}: tau {tuple(tau.shape)}, six vectors {tuple(six_vectors(tau).shape)}")

# %% [markdown]
# What has to change is the place where the vectors meet the tokens (a token is a patch of 2 x 2 latents). In a block all
# tokens of a video stand in a single row, frame after frame, and those of each frame must be scaled and shifted by the
# vectors of that frame. The plain way, which Pusa's released code takes, is to *copy* the vectors of a frame for each
# of its tokens:


# %% tags=["nbval-check-output"]
def for_tokens(vectors, tokens):  # (b, frames, d) -> (b, frames * n, d): n copies of each frame's vector, one per token
    return vectors.repeat_interleave(tokens.shape[1] // vectors.shape[1], 1)


def copied(tokens, scale, shift):  # tokens (b, frames * n, d), scale and shift (b, frames, d)
    return tokens * (1 + for_tokens(scale, tokens)) + for_tokens(shift, tokens)


ones, scale, shift = torch.ones(1, 6, 1), torch.tensor([[[0.0], [1.0]]]), torch.tensor([[[0.0], [0.5]]])
print("six tokens, of two frames:", copied(ones, scale, shift).flatten().tolist())

# %% [markdown]
# The three tokens of the first frame stay 1, since its scale and shift are 0; those of the second become
# $1 \cdot (1 + 1) + 0.5$. With that, a whole block of Wan fits into six lines. All of its layers are the published ones:


# %%
def block_by_frame(block, tokens, text, six, positions, by_frame=copied):  # six: (b, frames, 6, d)
    shift, scale, gate, shift2, scale2, gate2 = (block.scale_shift_table + six).unbind(2)
    found = block.attn1(by_frame(block.norm1(tokens), scale, shift), None, None, positions)  # every token looks at all
    tokens = tokens + found * for_tokens(gate, tokens)
    tokens = tokens + block.attn2(block.norm2(tokens), text, None, None)  # at the prompt: no timestep here
    found = block.ffn(by_frame(block.norm3(tokens), scale2, shift2))
    return tokens + found * for_tokens(gate2, tokens)


# %% [markdown]
# In the published block, scale, shift and gate are one vector each for all tokens. Nothing else differs, apart from the
# output layer, whose shift and scale become those of the frame in the same way. No weight is added.
#
# The library's block (`_block_by_frame` in `pusa_lab/wan/transformer.py`) copies nothing. It *views* the row of tokens
# as frames, so that a single vector applies to all tokens of its frame; in exercise 1 you write that yourself.
#
# Copied or viewed, the result is the same. The memory is not. Count the tokens of Wan-14B for 81 frames of 480 x 832:
#
# 1. The codec turns the first frame into one latent frame, and then every 4 into one: $1 + 80 / 4 = 21$ latent frames.
# 2. It shrinks height and width 8 times: $60 \times 104$ latents per frame.
# 3. The transformer takes patches of $2 \times 2$: $30 \times 52 = 1560$ tokens per frame, $21 \cdot 1560 = 32\,760$ in
#    all.
#
# **Predict.** How much memory do the six vectors take if there are six for every token, and how much if there are six
# for every frame, with 5,120 numbers of 2 bytes in each vector?

# %%
tokens = config.tokens((480, 832), 81)
assert tokens == 21 * 30 * 52 == 32_760, "as counted by hand"

# %% tags=["hide-input"]
timed = nb.result("wan_forward")["480p eager"]  # measured at full size
copy = 6 * config.dim * tokens  # numbers
saved = (timed["per token"]["peak_gib"] - timed["per frame"]["peak_gib"]) * 2**30
assert saved > (2 + 4) * copy, "the peak falls by more than a copy in numbers of 2 bytes and one in numbers of 4"
lines = ["| timesteps | six vectors, 2 bytes a number | 4 bytes a number | one call of Wan-14B | peak memory |"]
lines.append("|---|---|---|---|---|")
for way, n in {"per token": tokens, "per frame": 21, "scalar": 1}.items():
    two, four = (f"{6 * config.dim * size * n / 2**20:,.2f} MiB" for size in (2, 4))
    run = timed[way]
    lines.append(f"| {n:,} ({way}) | {two} | {four} | {run['seconds']:.2f} s | {run['peak_gib']:.1f} GiB |")
display(Markdown("\n".join(lines)))

# %% [markdown]
# <details><summary>Answer</summary>
#
# $6 \cdot 5120 \cdot 2$ bytes for each of 32,760 tokens are almost 2 GiB; for 21 frames they are little more than 1
# MiB. The measured peak falls by more. Every block adds its own table to the six vectors, and does that in numbers of 4
# bytes, so there is a second, larger copy while it works. Add the two columns (1024 MiB are 1 GiB), and you have most
# of the difference.
#
# </details>
#
# (The two columns on the right were measured at full size on an H200, with random weights; `docs/wan.md` says how. By
# the last two rows, a timestep for every frame takes hardly longer than a single one for all. The single one even needs
# a little more memory: it goes another way through the code, by diffusers' own block.)
#
# So the whole change is: ask the timestep layers once per frame, and give each token the vectors of its frame. It is a
# few lines of code, and a few lines are easily wrong.
#
# ## Is it right?
#
# Random weights make noise, and nobody can see whether it is the right noise. What you can do is compare. Three checks
# come to mind:
#
# 1. **Equal timesteps.** With 0.9 for every frame the model must compute what it computes with a single 0.9.
# 2. **A known frame.** A frame whose timestep is 0 throughout sampling must come out as it went in.
# 3. **Unequal timesteps.** With a different timestep in every frame the model must agree with another implementation.
#
# For the third there are two candidates. The transformer of this course's toys, `ToyDiT`, was written to be read, and
# takes `(b, f)`; the weights of a Wan fit into it. But the library's authors wrote it, and may have erred twice in the
# same way. Only diffusers' own Wan is by others. So we use both. The toy is the reference; diffusers' Wan must agree
# with it, and so must the block from above, for which the rest of the model is here:

# %%
theirs = WanTransformer3DModel.from_pretrained(folder / "transformer").eval()  # diffusers' class, the same weights
toy = ToyDiT.from_diffusers(theirs)
text = model.encode_text([PROMPT])["text"]
x = torch.randn(1, 4, 5, 6, 10)  # noise: (b, c, f, h, w), five latent frames
N = 3 * 5  # tokens of one frame: patches of 2 x 2


def by_hand(x, tau, by_frame=copied):
    tokens = theirs.patch_embedding(x).flatten(2).transpose(1, 2)  # patches become a row of tokens
    for block in theirs.blocks:
        six, texts = six_vectors(tau), embed.text_embedder(text)
        tokens = block_by_frame(block, tokens, texts, six, theirs.rope(x), by_frame)
    shift, scale = (theirs.scale_shift_table + widened(tau)[:, :, None]).unbind(2)
    return unpatched(theirs.proj_out(by_frame(theirs.norm_out(tokens), scale, shift)))


def unpatched(tokens):  # the row of tokens becomes frames again: (b, 5 * 3 * 5, 2 * 2 * c) -> (b, c, 5, 6, 10)
    patches = tokens.unflatten(1, (5, 3, 5)).unflatten(4, (2, 2, -1))  # b, frame, row, column, y, x, channel
    patches = torch.einsum("bfrsyxc->bcfrysx", patches)  # the same numbers, with the axes in another order
    return patches.flatten(5, 6).flatten(3, 4)  # column and x are the width, row and y the height


# %% [markdown]
# Diffusers' Wan accepts one timestep per *token*, if you spread those of the frames over the tokens. There is more than
# one way to get that wrong, so let us take some on purpose. Each attempt returns a velocity. The first three are right,
# if we are:


# %%
def per_token(spread):  # diffusers' Wan, with a function that spreads (b, f) over the tokens
    return lambda x, tau: theirs(x, 1000 * spread(tau), text).sample


def ours(x, tau):  # the library's: diffusers' class, with (b, f) as one more shape for the timestep
    return model.transformer(x, 1000 * tau, text, return_dict=False)[0]


attempts = {
    "the block above": by_hand,
    "the library's, per frame": ours,
    "copied to its frame's tokens": per_token(lambda tau: tau.repeat_interleave(N, 1)),
    "copied in the wrong order": per_token(lambda tau: tau.repeat(1, N)),
    "frames reversed": per_token(lambda tau: tau.flip(1).repeat_interleave(N, 1)),
    "the mean for all frames": per_token(lambda tau: tau.mean(1, keepdim=True).expand(1, 5 * N)),
    "0 to 1 instead of 0 to 1000": per_token(lambda tau: tau.repeat_interleave(N, 1) / 1000),
}
assert set(model.transformer.state_dict()) == set(theirs.state_dict()), "one timestep per frame adds no weights"

# %% [markdown]
# **Predict.** The last four attempts are wrong. Which of them does each of the three checks notice?


# %%
def off(mine, right):  # frame by frame, in units of the velocity's standard deviation
    return (mine - right).abs().amax(dim=(0, 1, 3, 4)) / right.std()


even, uneven = torch.full((1, 5), 0.9), torch.tensor([[0.0, 0.3, 0.5, 0.7, 0.9]])
one_for_all, by_frame = theirs(x, torch.tensor([900.0]), text).sample, toy(x, uneven, text)
found = {
    "1: equal timesteps": torch.stack([off(attempt(x, even), one_for_all) for attempt in attempts.values()]),
    "3: unequal timesteps": torch.stack([off(attempt(x, uneven), by_frame) for attempt in attempts.values()]),
}
ends = [samplers.sample(attempt, x, schedules.hold(STEPS, 5), "euler") for attempt in attempts.values()]
kept = [torch.equal(end[:, :, 0], x[:, :, 0]) for end in ends]  # 2: frame 0 is known

for t in (0.1, 0.5, 0.9):
    assert torch.equal(ours(x, torch.full((1, 5), t)), ours(x, torch.tensor([t]))), "equal timesteps: bit for bit"
for tau in torch.rand(3, 1, 5):
    for name in list(attempts)[:3]:
        assert off(attempts[name](x, tau), toy(x, tau, text)).max() < 1e-4, "right for other timesteps, too"

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
for ax, (title, grid) in zip(axes, found.items(), strict=True):
    image = ax.imshow(grid, vmin=0, vmax=1, aspect="auto")
    for (row, frame), value in np.ndenumerate(grid.numpy()):
        colour = "black" if value > 0.6 else "white"
        ax.text(frame, row, f"{value:.2f}" if value > 1e-4 else "0", ha="center", va="center", color=colour)
    ax.set(title=title, xlabel="frame", xticks=range(5), yticks=range(len(attempts)), yticklabels=list(attempts))
fig.colorbar(image, ax=axes, label="off by at most (standard deviations)")
plt.show()

# %% tags=["nbval-check-output"]
for name, same, *grids in zip(attempts, kept, *found.values(), strict=True):
    said = ["passes" if grid.max() < 1e-4 else "NOTICED" for grid in grids]
    said.insert(1, "passes" if same else "NOTICED")
    print(f"{name:29}" + "   ".join(f"{k}: {word:7}" for k, word in enumerate(said, 1)))
right, wrong = found["3: unequal timesteps"][:3], found["3: unequal timesteps"][3:]
assert right.max() < 1e-4 < 0.1 < wrong.amax(dim=1).min(), "the third check tells right from wrong"
assert found["1: equal timesteps"][:6].max() < 1e-4, "the first notices only the wrong unit"
assert all(kept), "the second notices nothing"

# %% [markdown]
# In the figure a row is an attempt, a column a frame, and a bright cell an output that is off; a plain 0 stands for a
# difference below one ten-thousandth, which is rounding. The lines below it add the second check.
#
# <details><summary>Answer</summary>
#
# *Equal timesteps* notice only the wrong unit: five times the same number can be shuffled, reversed or averaged, and
# stays what it is. *A known frame* notices nothing at all: the sampling loop never moves a frame whose timestep stays
# at 0, whatever the model says. This check tests the loop, not the model. Only *unequal timesteps*, compared with
# another implementation, tell the three right attempts from the four wrong ones.
#
# </details>
#
# Two dark cells on the right are worth a look. Frame 2 of "frames reversed" stands in the middle, so it got its own
# timestep, and frame 0 of the last row has 0 in either unit. Yet both are off a little: they attend to frames that got
# something wrong. A mistake in one frame's timestep reaches all others.
#
# All three checks are worth their second of CPU. The first says that you broke nothing: with a single timestep the
# model computes what it did before. The second says that the loop keeps a given picture; it passed for every wrong
# model. Only the third looks at what is new. Diffusers, the toy, the library and your block agree, also for three
# random vectors. So any text-to-video checkpoint of this architecture can be *run* with one timestep per frame.
#
# ## The weights that make it good
#
# It runs, but it does not run well: chapter 0 showed that a model trained with one timestep for all does not rely on a
# clean frame. For that its weights have to change (section 2.3 of arXiv 2507.16116). Pusa publishes the change as a
# **LoRA**: for each changed layer two thin matrices, $A$ (rank x inputs) and $B$ (outputs x rank), with a rank of 512,
# whose product is added to the weight:
#
# $$W' = W + \text{strength} \cdot BA .$$
#
# A file raises the same question as the code: is it applied as it should be? Its keys name the layers as Wan's own code
# does, and not as diffusers does, so a loader has to translate. And the answer is the same, too: compare. Here is such
# a file of rank 4 with random numbers, for three layers in each of the two blocks; beside it we compute the new weights
# by hand.

# %% tags=["nbval-check-output"]
PLACES = {"self_attn.q": "attn1.to_q", "cross_attn.o": "attn2.to_out.0", "ffn.0": "ffn.net.0.proj"}  # Wan's: diffusers'
file, expected = {}, {}
for block in range(2):
    for written, path in PLACES.items():
        layer = model.transformer.get_submodule(f"blocks.{block}.{path}")
        A = torch.randn(4, layer.in_features) / layer.in_features**0.5
        B = torch.randn(layer.out_features, 4) / 4
        file[f"blocks.{block}.{written}.lora_A.default.weight"] = A
        file[f"blocks.{block}.{written}.lora_B.default.weight"] = B
        expected[f"blocks.{block}.{path}"] = layer.weight + 1.4 * B @ A

plain = ours(x, uneven)
save_file(file, folder / "pusa_like.safetensors")
report = load_lora(model.transformer, folder / "pusa_like.safetensors", strength=1.4)
print(report)
assert len(report.matched) == len(expected) and not report.unmatched, "every key found its layer"

# %% [markdown]
# Read the report: the names are those of DiffSynth, the library in which Pusa was trained; six layers changed, no key
# is left over, and the strength (1.4, as in Pusa's runs) is the whole scale. (Other files carry a scale of their own,
# called alpha.) The LoRA is now *attached*: each of its layers computes two small products more. *Merged* into the
# weights it costs no time:

# %%
attached = ours(x, uneven)
merge(model.transformer)
merged = ours(x, uneven)
for path, weight in expected.items():
    assert torch.allclose(model.transformer.get_submodule(path).weight, weight, atol=1e-6), "W + 1.4 B A"
unmerge(model.transformer)
unload_lora(model.transformer, report.name)

assert off(attached, plain).min() > 0.01, "the LoRA changes every frame"
assert off(merged, attached).max() < 1e-4, "merged and attached differ by rounding only"
assert off(ours(x, uneven), plain).max() < 1e-4, "and it can be removed"

# %% [markdown]
# Now suppose that a friend sends the same file, and typed some of its keys by hand.
#
# **Predict.** One of the six layers is misspelt. What should a loader do? And if it said nothing, how far off would the
# model be?

# %% tags=["hide-input"]
typed = {key.replace("blocks.1.cross_attn.o", "blocks.1.cross_atn.o"): value for key, value in file.items()}

# %% tags=["nbval-check-output"]
try:
    load_lora(model.transformer, typed, strength=1.4)
except ValueError as error:
    print(error)

report = load_lora(model.transformer, typed, strength=1.4, partial=True)  # as a tool would that says nothing
print(f"partial=True: {len(report.matched)} of {len(expected)} layers changed")
silent = ours(x, uneven)
unload_lora(model.transformer, report.name)

# %%
print(f"without that layer off by {off(silent, attached).max():.2f}, without LoRA by {off(plain, attached).max():.2f}")
assert off(silent, attached).max() > 0.01, "the misspelt layer is missed"

# %% [markdown]
# <details><summary>Answer</summary>
#
# It should stop, and this one does. Its sentence names the first key that it could not place: look for the missing
# letter. A tool that skips what it does not know, as with `partial=True`, leaves one layer as it was. The output is off
# by the first of the two numbers (in standard deviations of the velocity), and nothing tells you.
#
# </details>
#
# ## The same call, and its bill
#
# Everything above was one part, the transformer. With text encoder, codec and sampling loop around it, the call is the
# one of chapter 0:

# %%
picture = np.tile(np.linspace(0, 255, 80, dtype=np.uint8)[:, None], (48, 1, 3))  # a ramp from black to white
made = pl.generate(model, PROMPT, tasks.image_to_video(picture), steps=STEPS, guidance=3.0, seed=SEED)
assert made.video.shape == (1, 17, 48, 80, 3), "17 frames, of noise: the weights are random"

p = plan("wan2.1-14b", "480p", gpu="h100", steps=STEPS, guidance=3.0)  # loads nothing
for line in str(p).splitlines():
    if line.startswith(("run", "calls", "total", "peak", "money")):
        print(line)

# %% [markdown]
# For the real model, `from_pretrained` gets `"Wan-AI/Wan2.1-T2V-14B-Diffusers"` instead of our folder, and
# `lora="pusa_v1.pt", strength=1.4` besides; the call of `generate` stays. `pusa-lab plan` works out the bill for any
# size, card and way of offloading. By this one, for the same few steps, a video costs cents (50 steps, the default of
# diffusers, take about six times as long), but it needs a card that holds the peak. (*Arithmetic* is a formula, here
# corrected by a measurement.)
#
# What a tiny model cannot show is what depends on size: rounding in bfloat16, memory, time, and how good the videos
# are. We did not have the real weights, so we have never seen a video of the 14B model. What we ran at its width is the
# same code with random weights:

# %%
full = nb.result("wan_forward")
same = full["480p constant vector equals scalar bit for bit"]
apart = full["accuracy_4_layers"]["float32 per token against float32 per frame"]
print(f"{full['date']}, {full['device']}, random weights, 81 frames of 480 x 832")
print(f"check 1, all 40 blocks in bfloat16: {'the same bit for bit' if same else 'NOT the same'}")
print(f"check 3, 4 blocks in float32, against diffusers per token: off by {apart:.0e} (relative)")
rounded, rounding = (
    full["accuracy_4_layers"][f"bf16 {pair}"] for pair in ("per token against bf16 per frame", "eager against float32")
)
print(f"the same in bfloat16: off by {rounded:.1%}; bfloat16 itself is off from float32 by {rounding:.1%}")
assert same and apart < 1e-5 and rounded < rounding, "equal and unequal timesteps are right at full width"

# %% [markdown]
# So the first check was passed by the whole model, and the third by a model of four such blocks in float32. In bfloat16
# the two ways differ by less than rounding does, which would hide a small mistake. Whether your change is *right* you
# can largely know before you pay. Whether the videos are *good*, only the real weights can tell.

# %% [markdown]
# ## Exercises
#
# **1 · Fill in.** The change itself: do what `copied` does without copying. `my_viewed` gets `tokens` (b, frames * n, d),
# and `scale` and `shift` (b, frames, d). View the row as frames of tokens, so that a frame's vectors reach all of its
# tokens by broadcasting, and return a row again, (b, frames * n, d). Success: the tick, and a picture: with your
# function in every block the model agrees with the toy at unequal timesteps, and no scale or shift is copied.
#
# <details><summary>Hint</summary>
#
# `unflatten` cuts one axis into two, `flatten` joins two. Write down the three shapes, and which axis a frame's vector
# has to stretch along. (`x[:, :, None]` puts in an axis of length 1.)
#
# </details>


# %% tags=["exercise"]
def my_viewed(tokens, scale, shift): ...


# %% tags=["check"]
class Copying(torch.overrides.TorchFunctionMode):
    """Counts the numbers of all tensors that are larger in memory than what they are made from."""

    numbers = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        made, taken = func(*args, **(kwargs or {})), [a for a in args if isinstance(a, torch.Tensor)]
        if taken and isinstance(made, torch.Tensor):
            grown = made.untyped_storage().nbytes() > max(each.untyped_storage().nbytes() for each in taken)
            self.numbers += grown * made.numel()
        return made


def copies(f):
    with Copying() as counted:
        f(*given)
    return counted.numbers


def same(f, made):
    return torch.allclose(f(*given), made(*given), atol=1e-5)


def by_wrong_frame(tokens, scale, shift):
    groups = tokens.unflatten(1, (-1, scale.shape[1]))
    return (groups * (1 + scale[:, None]) + shift[:, None]).flatten(1, 2)


given = torch.randn(2, 12, 8), torch.randn(2, 3, 8), torch.randn(2, 3, 8)  # three frames of four tokens
slips = {
    "with a scale of 0 tokens should keep their size: what is added to the scale in `copied`?": lambda tokens, *to: (
        copied(tokens, to[0] - 1, to[1])
    ),
    "scale and shift have changed places.": lambda tokens, scale, shift: copied(tokens, shift, scale),
    "you shift before you scale, so the shift is scaled too.": lambda tokens, scale, shift: copied(
        tokens, scale, shift * (1 + scale)
    ),
    "the tokens of a frame stand side by side in the row; you take every third.": by_wrong_frame,
    "all frames get the same vector: each has its own.": lambda tokens, scale, shift: copied(
        tokens, scale[:, :1], shift[:, :1]
    ),
}
nb.check_that(
    my_viewed,
    {
        "your function returns nothing: is a `return` missing?": lambda f: f(*given) is not None,
        "the axes should be (b, frames * n, d) again: a row of tokens.": lambda f: f(*given).shape == given[0].shape,
        **{says: lambda f, made=made: not same(f, made) for says, made in slips.items()},
        "some tokens are not what `copied` makes of them.": lambda f: same(f, copied),
        "the numbers are right, but vectors are still copied: broadcasting needs an axis of length 1, no copies.": (
            lambda f: not copies(f)
        ),
    },
)
if not nb.unwritten(my_viewed):
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 2), layout="constrained", width_ratios=[2, 1])
    ways = {"copied": copied, "yours": my_viewed}
    grid = torch.stack([off(by_hand(x, uneven, way), by_frame) for way in ways.values()])
    left.imshow(grid, vmin=0, vmax=1, aspect="auto")
    for (row, frame), value in np.ndenumerate(grid.numpy()):
        left.text(frame, row, f"{value:.2f}" if value > 1e-4 else "0", ha="center", va="center", color="white")
    left.set(title="3: unequal timesteps, off by", xlabel="frame", yticks=range(2), yticklabels=list(ways))
    right.barh(list(ways), [copies(way) for way in ways.values()], color="#d55e00")
    right.set(title="in one call", xlabel="numbers copied")
    right.invert_yaxis()
    plt.show()

# %% [markdown]
# **2 · Vary.** The third check is as good as its timesteps. Find a vector that is a bad choice: `my_tau`, of shape (1,
# 5), with at least three different values from 0 to 1, for which "frames reversed" *passes*, while "copied in the wrong
# order" and "the mean for all frames" are still noticed. Success: the tick, and a picture of how far each attempt is
# off.
#
# <details><summary>Hint</summary>
#
# A model with reversed frames gets `tau.flip(1)`, and must compute what the right one computes from `tau`. Write both
# below each other, for a vector of your choice: which of its frames would notice?
#
# </details>

# %% tags=["exercise"]
my_tau = None  # a tensor of shape (1, 5)


# %% tags=["check"]
def noticed(name, tau):
    return off(attempts[name](x, tau), toy(x, tau, text)).max() > 1e-4


nb.check_that(
    my_tau,
    {
        "give a tensor of floats: one sample, five frames.": lambda tau: (
            isinstance(tau, torch.Tensor) and tau.shape == (1, 5) and tau.is_floating_point()
        ),
        "a timestep lies between 0 and 1: the factor 1000 comes later.": lambda tau: ((tau >= 0) & (tau <= 1)).all(),
        "equal timesteps hide every mistake in their order: some should differ.": lambda tau: len(tau.unique()) > 1,
        "two different values are not yet three.": lambda tau: len(tau.unique()) > 2,
        "the reversed model is noticed: what does frame 4 get there, and what should it get?": lambda tau: (
            not noticed("frames reversed", tau)
        ),
        "your values are so close to each other that other mistakes pass as well.": lambda tau: (
            noticed("copied in the wrong order", tau) and noticed("the mean for all frames", tau)
        ),
    },
)
if not nb.unwritten(my_tau):
    errors = [off(attempt(x, my_tau), toy(x, my_tau, text)).max() for attempt in attempts.values()]
    fig, ax = plt.subplots(figsize=(9, 2.4), layout="constrained")
    ax.barh(list(attempts), errors, color=["#0072b2" if error < 1e-4 else "#d55e00" for error in errors])
    ax.set(xlabel="off by, at most (standard deviations)", title=f"tau = {[round(t, 2) for t in my_tau[0].tolist()]}")
    ax.invert_yaxis()
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


def two_prompts(mine, strength=1.0):
    """How much the velocity depends on the prompt, and which layers the file changes."""
    loaded = load_lora(model.transformer, mine, strength=strength)
    texts = (model.encode_text([p])["text"] for p in (PROMPT, "a ship in a storm"))
    one, other = (model.transformer(probe, torch.full((1, 5), 900.0), t, return_dict=False)[0] for t in texts)
    unload_lora(model.transformer, loaded.name)
    return off(one, other).max(), loaded.matched


def prompts_heard(mine, strength=1.0):
    return two_prompts(mine, strength)[0]


before = prompts_heard(file, 0.0)
nb.check_that(
    my_file,
    {
        "give a dict: keys are strings, values are tensors.": lambda mine: isinstance(mine, dict) and len(mine) > 0,
        "a layer outside cross-attention is changed: the rest of the model should stay as it is.": lambda mine: all(
            "attn2" in layer for layer in two_prompts(mine)[1]
        ),
        "the prompt is heard more than before: look at the sign.": lambda mine: prompts_heard(mine) < 1.5 * before,
        "in one of the two blocks the prompt is still heard.": lambda mine: (
            prompts_heard(mine) < 0.01 * before or len({layer.split(".")[1] for layer in two_prompts(mine)[1]}) > 1
        ),
        "the prompt is still heard: is the product $BA$ exactly what must be taken away, and does your layer pass on the "
        "values?": lambda mine: prompts_heard(mine) < 0.01 * before,
    },
)
if not nb.unwritten(my_file):
    strengths = [k / 8 for k in range(17)]
    fig, ax = plt.subplots(figsize=(9, 2.8), layout="constrained")
    ax.plot(strengths, [prompts_heard(my_file, s) for s in strengths], "o-", color="#d55e00")
    ax.set(xlabel="strength", ylabel="two prompts differ by", title="your LoRA")
    plt.show()

# %% [markdown]
# ## Recap
#
# | | tiny Wan | Wan2.1-14B |
# |---|---|---|
# | call | `pl.generate(model, prompt, task)` | the same |
# | class | `VTAWanTransformer3DModel` | the same |
# | `tau` | (b, f); the transformer receives 1000 tau | the same |
# | six vectors | (b, f, 6, d), one set per frame | the same |
# | codec | `AutoencoderKLWan`, 4 x 8 x 8 | the same |
# | weights | random | bring your own |
#
# *What could go wrong:* vectors copied for every token; a test with equal timesteps only; a LoRA whose keys fit
# nothing.
#
# *Where the code lives:* `pusa_lab/wan/transformer.py` (`VTAWanTransformer3DModel`), `pusa_lab/wan/model.py`
# (`WanModel`), `pusa_lab/wan/lora/__init__.py` (`wan.load_lora`), `pusa_lab/planning/planner.py` (`planning.plan`),
# `small_models/models/dit.py` (`dit.ToyDiT`), and `tests/test_wan_transformer.py`, which holds all this to more sizes.
#
# *References:* Wan, arXiv 2503.20314; Pusa V1.0, arXiv 2507.16116; LoRA, arXiv 2106.09685.
