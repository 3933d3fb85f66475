# %% [markdown]
# # 13 · A day with your own clips
#
# **You have a folder of clips, a Wan, and one day with rented GPUs. What do you type, in which order, and how do you
# know at each step that it worked?**
#
# *You need: chapters 1 and 5; 7 and 10 help. Time: 30 minutes of reading, about a minute of CPU.*
#
# This chapter goes through that day, from the clips to a LoRA and to a video made with it. Every command is the one
# that you would type for the real Wan2.1-14B. Only the model is another: **a Wan of one megabyte, with random
# weights**. It has every part of the real one (transformer, codec, text encoder, tokenizer, published layout), so files,
# shapes, warnings and losses are real. Its *pictures* are noise, because nobody trained it. So at 17:00 the same
# commands train a toy that does make pictures, and there you see it learn.
#
# **After this chapter you can**
#
# - plan a training run before you pay for it, and make it fit the GPU that you can get;
# - encode clips, train a LoRA on them, watch it, and generate with it, knowing the usual mistakes at each step;
# - compare a trained model with the untrained one so that the answer means something.

# %% tags=["setup"]
# build.py puts the installing cell here.

# %% tags=["parameters"]
SEED = 0
TRAIN_STEPS = 60
TOY_STEPS = 40
FAST = False

# %%
import contextlib
import io
import json
import logging
import os
import shlex
import tempfile
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import safetensors.torch
import torch
from diffusers.utils.logging import disable_progress_bar
from IPython.display import Markdown, display
from transformers.utils.logging import disable_progress_bar as disable_loading_bar

import pusa_lab as pl
import pusa_lab.notebook as nb
from pusa_lab import media, pixels, tasks, viz
from pusa_lab.cli import main
from pusa_lab.data import LatentCache, read_clip, read_picture
from pusa_lab.planning import plan
from pusa_lab.wan import write_tiny_wan
from pusa_lab.wan.configs import WAN_CONFIGS
from small_models import world

nb.setup(seed=SEED, shapes=True)
logging.captureWarnings(True)
disable_progress_bar()
disable_loading_bar()
TRAIN_STEPS, TOY_STEPS = (12, 4) if FAST else (TRAIN_STEPS, TOY_STEPS)
os.chdir(tempfile.mkdtemp())  # the day's folder


def pusa_lab(command, quiet="never said"):
    print(f"$ pusa-lab {command}")
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(said):
        status = main(shlex.split(command))
    print("\n".join(line for line in said.getvalue().splitlines() if quiet not in line))
    return status


# %% tags=["hide-input"]
nb.diagram(
    "13_the_day",
    "Six stations from left to right: clips with captions, data encode, a cache of latents, train, a LoRA file, and "
    "generate, which also takes the untouched Wan; below each station what can go wrong there.",
)

# %% [markdown]
# ## 9:00 · A Wan and a folder of clips
#
# At home you would write `Wan-AI/Wan2.1-T2V-14B-Diffusers` and wait for the download. Here a helper writes the tiny
# one. The clips are of the course's moving shapes, in ordinary MP4 files, each with a caption beside it in a `.txt`. Two
# are not right: one is too short, and one has no caption.

# %%
wan = write_tiny_wan("wan", seed=SEED)
print("wan/ holds", ", ".join(sorted(path.name for path in wan.iterdir())))

scenes = world.draw_scenes(12, SEED + 3, world.WORLDS["mini"])
films, captions = pixels.to_uint8(world.render(scenes, 17, 48)), world.captions(scenes)
for number, (film, caption) in enumerate(zip(films, captions, strict=True)):
    media.write_clip(f"clips/{number:02}.mp4", film, fps=16)
    Path(f"clips/{number:02}.txt").write_text(caption)
media.write_clip("clips/short.mp4", films[0][:5], fps=16)
Path("clips/short.txt").write_text(captions[0])
media.write_clip("clips/silent.mp4", films[1], fps=16)
nb.play({" ".join(captions[i].split()[:4]): films[i] for i in range(3)}, fps=16)

# %% [markdown]
# ## 9:15 · Plan before you pay
#
# Training is where the money goes, so ask first. `plan` loads nothing and needs no GPU: it counts operations and bytes by
# formula, corrects them by measurements, and says for each figure which of the two it is (chapter 10). Rank, steps and clips are the paper's (arXiv 2507.16116): a LoRA of rank 512 for the 14B, 900 steps of 8
# clips of 81 frames. Only our size is smaller, 480 x 832: at the paper's 720 x 1280 each hour becomes four.
#
# **Predict.** The weights alone take 27 GiB. Does the run fit an H100 with 78 GiB that can be used? What besides
# the weights needs memory? And is it done by the evening?

# %%
ways = {
    "h100": {"gpu": "h100"},
    "h100, offloading": {"gpu": "h100", "offload_activations": True},
    "h200": {"gpu": "h200"},
    "8 x h100, offloading": {"gpu": "h100", "gpus": 8, "offload_activations": True},
    "8 x h100, 8-bit Adam": {"gpu": "h100", "gpus": 8, "optimizer": "adamw8bit"},
    "8 x h200": {"gpu": "h200", "gpus": 8},
}
plans = {name: plan("wan2.1-14b", "480p", workload="lora", **way) for name, way in ways.items()}
parts = dict.fromkeys(part for found in plans.values() for part in found.memory)
colours = dict(zip(parts, ("#0072B2", "#56B4E9", "#8A8F98", "#E69F00", "#009E73", "#CC79A7"), strict=False))
fig, ax = plt.subplots(figsize=(9.5, 3.8), layout="constrained")
for y, found in enumerate(plans.values()):
    left = 0.0
    for part, gib in found.memory.items():
        ax.barh(-y, gib, left=left, color=colours[part])
        left += gib
    ax.plot([found.capacity] * 2, [-y - 0.45, -y + 0.45], color="black", lw=3)
    hours, fits = found.seconds["total"] / 3600, "fits" if found.fits else "does not fit"
    ax.text(146, -y, f"{fits}, {hours:.1f} h, ${found.money:.0f}", va="center", fontsize=10)
ax.set_yticks([-y for y in range(len(plans))], plans)
ax.set(xlabel="GiB on each GPU at the peak (black bar: what it has)", xlim=(0, 190))
for part, colour in colours.items():
    ax.plot([], [], "s", ms=9, color=colour, label=part)
fig.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=9)
plt.show()

# %% tags=["hide-input"]
assert not plans["h100"].fits and plans["h100, offloading"].fits and plans["h200"].fits
assert plans["h200"].seconds["total"] > 24 * 3600, "one GPU is not done today"
assert not plans["8 x h100, offloading"].fits and plans["8 x h100, 8-bit Adam"].fits, (
    "offloading, eight need more room than one"
)
today = plans["8 x h200"]
assert today.fits and today.seconds["total"] < 4 * 3600, "from 10:30 to 14:30"

# %% [markdown]
# <details><summary>Answer</summary>
#
# It does not fit. Beside the frozen weights there are the LoRA itself, its gradients, and two moments of each of its
# numbers for the optimizer: together more than the weights. And there are the activations, which back-propagation needs
# again. Those can wait in the host's memory (`--offload-activations`), and then it fits.
#
# But one GPU, of either kind, works for more than a day. Eight GPUs divide the hours, not the memory: each holds
# everything, and also a copy of its gradients to exchange with the others (pink). With offloading, gradients *and* copy
# are whole at the peak, and so eight H100s do not fit where one just did.
#
# That leaves two offers for today. Eight H100s hold the run if the optimizer keeps its moments in 8 bits, which changes
# the recipe a little. Eight H200s hold it unchanged, for the price that you can read off. We pay it, because a first run
# should not differ in two things at once. **So the plan decides the day: eight H200s, started at 10:30, read at 14:30.** It
# counts eight GPUs as eight times as fast; half an hour is left for the time in which they wait for one another.
#
# </details>
#
# On the command line this is `pusa-lab train --recipe paper --plan-only --gpu h200 --gpus 8`. All figures are
# planned, not measured: no Wan was downloaded, and no clip encoded.
#
# ## 9:30 · Encode the clips once
#
# Training never looks at pixels, but at *latents*. The codec that makes them is large and slow, so they are made once and
# kept. Wan's codec compresses time by 4 and both sides by 8, and its first latent frame holds a single picture:
#
# $$(3,\; n,\; h,\; w) \;\to\; \left(16,\; 1 + \tfrac{n - 1}{4},\; \tfrac{h}{8},\; \tfrac{w}{8}\right)$$
#
# That is why clips have $1 + 4k$ frames. By hand, for 9 frames of 48 x 48 and the tiny codec's four channels: $(4, 3, 6, 6)$.

# %%
status = pusa_lab("data encode clips --model wan --out cache --size 48x48 --num-frames 9 --fps 16")
cache = LatentCache("cache")
clip = cache[0]
print(
    {name: tuple(value.shape) for name, value in clip.items() if isinstance(value, torch.Tensor)}, clip["latents"].dtype
)
assert status == 0 and len(cache) == 12, "the twelve sound clips; the short and the silent one are named and left out"
assert clip["latents"].shape == (4, 3, 6, 6), "as counted by hand"

# %% [markdown]
# *What to see:* each clip that cannot be used is named with its reason; nothing is cut or padded behind your back. And one
# **warning**, the most important line of the day: *the codec keeps only so many dB of these clips*. No video can be
# better than what the codec keeps, however long you train. Here the warning is right: the weights are random.
#
# > **With the real weights.** Wan's codec was made for natural clips; we have not measured it on yours. If this warning
# > appears there, `pl.data.codec_psnr(model, clip)` says which clips lose most: look at them before you train.
#
# How large will a real cache be? By the formula, a clip of 81 frames of 480 x 832 becomes 16 channels of 21 frames of
# 60 x 104. A number is stored in two bytes:

# %% tags=["nbval-check-output"]
config = WAN_CONFIGS["wan2.1-14b"]
numbers = np.prod((16, 21, 60, 104))
raw = 3 * 81 * 480 * 832
print(
    f"a clip of 81 frames of 480 x 832: {numbers:,} numbers, {2 * numbers / 1e6:.1f} MB; its pixels: {raw / 1e6:.0f} MB"
)
assert config.tokens((480, 832), 81) == numbers / 16 / 4, "four latents of each channel make one token"

# %% [markdown]
# ## 10:00 · You correct a caption
#
# A colleague finds a wrong caption. You correct the text file. Does the cache know?
#
# **Predict.** What happens if you now train on the cache as it is? And when you encode again, how many clips are
# encoded anew?

# %%
Path("clips/02.txt").write_text("a caption that a colleague corrected")
settings = "--global-batch-size 4 --micro-batch-size 0 --lr 1e-2 --lora-rank 8 --num-val-clips 6"
train = f"train --recipe paper --data cache --model wan --out vta.safetensors --logs logs {settings}"
train += f" --max-steps {TRAIN_STEPS} --validate-every {TRAIN_STEPS // (2 if FAST else 4)} --save-every {TRAIN_STEPS}"
codec = "the codec of wan keeps only"  # this warning was read above
as_it_is = pusa_lab(train)
again = pusa_lab("data encode clips --model wan --out cache --size 48x48 --num-frames 9 --fps 16", quiet=codec)

# %% tags=["hide-input"]
assert as_it_is != 0, "the cache differs from its folder, and that is refused"
assert again == 0

# %% [markdown]
# <details><summary>Answer</summary>
#
# Training is refused, in one sentence, before any time is lost. Encoding again takes only the clip with the new caption;
# the others are in the cache already. A cache remembers what each clip was made from.
#
# </details>
#
# ## 10:30 · Train
#
# `--recipe paper` sets everything as in the paper: independent timesteps, a constant learning rate, a LoRA on all
# linear layers of attention and feed-forward. We override what a toy needs (fewer steps, a smaller rank, a larger
# rate; `--micro-batch-size 0` means the whole batch at once). `--num-val-clips 6` keeps the last six clips out of
# training; the LoRA file will name them. `--validate-every` looks at them from time to time, always with the same
# noise, so that their curve is smooth and comparable.
#
# What is a good loss? Take a model that always answers *velocity 0*. The right answer is $v^*=\varepsilon-x_0$. The noise
# has mean 0 and knows nothing of $x_0$, so their product averages to 0, and per number
#
# $$\mathrm{E}\,|0-v^*|^2=\mathrm{E}\,|\varepsilon-x_0|^2=1+\mathrm{E}\,|x_0|^2\approx 2 .$$
#
# The untrained tiny Wan starts near 2.5: its random answer has nothing to do with $v^*$, so its own square comes on top.
#
# **Predict.** Will this short run get below 2? And on the held-out clips?

# %%
assert pusa_lab(train, quiet=codec) == 0
print(*sorted(str(path) for path in [*Path("logs").rglob("*.mp4"), *Path().glob("*.safetensors")]), sep="\n")

# %% tags=["hide-input"]
logged = pd.read_csv(max(Path("logs").glob("run-*/metrics.csv")))
fig, ax = plt.subplots(figsize=(9.5, 3.4), layout="constrained")
loss, held = logged.dropna(subset=["loss"]), logged.dropna(subset=["val_loss"])
ax.plot(loss.step + 1, loss.loss, color="#56B4E9", lw=1, label="training clips, step by step")
ax.plot(held.step + 1, held.val_loss, "o-", color="#D55E00", label="held-out clips, same noise each time")
ax.axhline(2, color="black", ls="--", lw=1, label="about what velocity 0 costs")
ax.set(xlabel="step", ylabel="loss")
ax.legend(fontsize=9)
plt.show()
assert loss.loss[-5:].mean() < loss.loss[:5].mean(), "it learns"
assert held.val_loss.is_monotonic_decreasing, "also on clips that it never saw"
if not FAST:
    assert held.val_loss.iloc[-1] < 2, "on clips it never saw, it is better than velocity 0"

# %% [markdown]
# <details><summary>Answer</summary>
#
# Yes, and the held-out clips follow. Blue jumps about because each step draws new timesteps, and a frame at a low noise
# level is much harder than one at a high level (chapter 4). Only orange can be compared from point to point.
#
# </details>
#
# Do not be too pleased. A squared error has three parts, $|v|^2 - 2\,v\cdot v^* + |v^*|^2$: the size of the answer, how
# far it points the right way, and the size of the right answer, which nobody can change. A smaller answer alone makes the
# loss fall, too. And the right answer is noise minus clip, $v^* = \varepsilon - x_0$, so pointing the right way can mean
# two things: to see the noise, or to know the clip. Which was it? And is it *this* clip, or any clip of the folder?

# %%
how = {"size": (48, 48), "num_frames": 9, "device": "cpu"}
latents = torch.stack([cache[i]["latents"] for i in range(12)]).float()
mean_clip, latents = latents[:6].mean(dim=0), latents[6:]  # of the clips in training; and the clips that were held out
noise, tau = torch.randn_like(latents), torch.full((6, 3), 0.5)


def parts_of_the_loss(strength):
    model = pl.load("wan", lora="vta.safetensors", strength=strength, **how)
    x, target = (latents + noise) / 2, noise - latents
    with torch.no_grad():
        v = model(x, tau, **model.encode_text(captions[6:]))
    return [(v * other).mean().item() for other in (v, noise, -latents, -mean_clip)] + [target.square().mean().item()]


names = r"$\lvert v \rvert^2$ | $v \cdot \varepsilon$ | $v \cdot (-x_0)$ | $v \cdot (-\text{mean clip})$ | loss"
lines = [f"| held-out clips, half noise | {names} |", "|" + "---|" * 6]
for name, strength in {"untrained": 0.0, "trained": 1.0}.items():
    size, noisy, own, mean, right = parts_of_the_loss(strength)
    parts = (size, noisy, own, mean, size - 2 * (noisy + own) + right)
    lines.append(f"| {name} | {' | '.join(f'{part:.2f}' for part in parts)} |")
display(Markdown("\n".join(lines)))

# %% [markdown]
# *What to see:* the answer became smaller, but most of the fall comes from pointing better (the second and third column
# count twice), and all of that from the clip: the noise it sees no better than before. But it agrees just as well with the
# *mean* of the six clips in training. So it has learned what a clip of this folder looks like on average, and nothing of
# the one before it.
#
# On a real day, look at `logs/validation/*.mp4` before any number: videos made from a held-out clip's first frame, beside
# the clip. Killed in the middle? `--resume logs/last.ckpt` goes on.
#
# ## 14:30 · Read the report before the video
#
# A LoRA file is a list of pairs: for a layer with weights $W$, two thin matrices $A$ and $B$, used as $W + s\,B A$ with
# the strength $s$. If the names in the file do not match the names in the model, many tools load *nothing* and say so
# nowhere. Here a report comes with the model.

# %% tags=["nbval-check-output"]
model = pl.load("wan", lora="vta.safetensors", strength=1.0, **how)
((report,),) = model.loras
print(report)
assert not report.unmatched and not report.zero_norm, "all of it arrived, and none of it is zero"

# %% [markdown]
# *What to see:* how many layers were changed, that no key is left over, and that no update is zero. (*alpha*: a scale
# that some LoRA files carry.)
#
# Now the mistake itself. Another tool says `layers` where Wan says `blocks`: rename the keys of our file so.
#
# **Predict.** What does PyTorch's usual `load_state_dict(..., strict=False)` do with such a file, and what does
# `pl.load`?

# %% tags=["nbval-check-output"]
keys = safetensors.torch.load_file("vta.safetensors")
renamed = {key.replace("blocks", "layers"): value for key, value in keys.items()}
safetensors.torch.save_file(renamed, "renamed.safetensors")

weights = {name: value.clone() for name, value in model.transformer.state_dict().items()}
silent = model.transformer.load_state_dict(renamed, strict=False)
changed = sum(not torch.equal(weights[name], value) for name, value in model.transformer.state_dict().items())
print(f"load_state_dict: no error; {changed} weights changed, {len(silent.unexpected_keys)} of {len(keys)} keys unused")
try:
    pl.load("wan", lora="renamed.safetensors", **how)
except ValueError as refused:
    print("pl.load:", refused)

# %% tags=["hide-input"]
assert changed == 0 and len(silent.unexpected_keys) == len(keys), "nothing was loaded, and nobody said so"

# %% [markdown]
# <details><summary>Answer</summary>
#
# The first raises nothing and changes nothing: you would generate with the untouched Wan and judge *that*. (It returns
# the unused keys, for those who look.) `pl.load` refuses the file, shows the first key that has no place, and
# guesses whose it is (wrongly, here). If only a part fits it refuses too, unless you say `partial=True`.
#
# </details>
#
# Ours has arrived, so generate, without and with it. `--strength 1.4` is what Pusa's authors use with their own LoRA:
# it goes 40 % beyond the trained change (`docs/findings.md`). `--guidance 1` means none: text guidance would call the model twice
# per row, and at 16:00 we want to judge exactly what is made here.

# %%
picture = read_clip("clips/11.mp4", num_frames=9, size=(48, 48), fps=16)
media.write_picture("first.png", picture[0])
sampling = "--image first.png --size 48x48 --num-frames 9 --steps 4 --guidance 1 --device cpu"
lora = "--lora vta.safetensors --strength 1.4"
prompt = shlex.quote(captions[11])
assert pusa_lab(f"generate {prompt} --model wan {sampling} --out plain.mp4", quiet=codec) == 0
assert pusa_lab(f"generate {prompt} --model wan {sampling} {lora} --out tuned.mp4", quiet=codec) == 0

# %% tags=["hide-input"]
strips = {name: read_clip(f"{name}.mp4", size=(48, 48)) for name in ("plain", "tuned")}
change = strips["tuned"].astype(float) - strips["plain"]
strips["tuned - plain"] = (128 + 127 * change / np.abs(change).max()).astype(np.uint8)
viz.filmstrip({"the clip": picture, **strips}, known=[0], most=9)
plt.title("a random codec makes mush of both; last row: their difference, enlarged, grey where there is none")
plt.show()
assert not np.array_equal(strips["plain"], strips["tuned"]), "the LoRA changes the video"

# %% [markdown]
# *What to see:* in the pictures, nothing. Even frame 0, whose latent is exact, is mush after a random codec. The last row is
# not grey, so the LoRA acts; whether it *helps* no eye can tell.
#
# ## 16:00 · Did it help?
#
# What no eye can tell, numbers can. Latents need no decoding, and the encoder, though random, is the same for all. So:
# for each clip **that was held out** (the LoRA file names them) give frame 0, generate, and compare the latents of the
# *other* frames with the clip's. To be fair, all models start from the same noise, with the steps and guidance of
# 14:30. And there are two simple answers (*baselines*) that every model must beat: **velocity 0**, which leaves the noise
# as it is, and the **mean clip** of the six in training, the same for every clip.
#
# **Predict.** Sort three answers by their error: strength 1, velocity 0, the mean clip.

# %%
with safetensors.safe_open("vta.safetensors", "pt") as file:
    held_out = json.loads(file.metadata()["held_out"])
print("held out:", *held_out)
truth = np.stack([read_clip(f"clips/{name}", num_frames=9, size=(48, 48), fps=16) for name in held_out])
words = [Path("clips", name).with_suffix(".txt").read_text() for name in held_out]
task = tasks.Task("frame 0", (tasks.Known(truth[:, :1], at=0),))
error = {}
for strength in (0.0, 1.0, 1.4) if FAST else (0.0, 0.5, 1.0, 1.4):
    model = pl.load("wan", lora="vta.safetensors", strength=strength, **how)
    z = model.encode_video(pixels.to_pixels(truth))
    made = pl.generate(model, words, task, steps=4, guidance=1.0, seed=SEED).latents
    error[f"strength {strength:g}"] = (made - z)[:, :, 1:].square().mean(dim=(1, 2, 3, 4))
error["mean clip"] = (mean_clip - z)[:, :, 1:].square().mean(dim=(1, 2, 3, 4))
error["velocity 0"] = 1 + z[:, :, 1:].square().mean(dim=(1, 2, 3, 4))  # noise that stays as it is: its variance on top

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(9.5, 3.2), layout="constrained")
for x, each in enumerate(error.values()):
    ax.plot([x] * len(each), each, "o", color="#0072B2", alpha=0.6, label="a held-out clip" if x == 0 else None)
    ax.plot([x - 0.2, x + 0.2], [each.mean()] * 2, color="black", label="mean" if x == 0 else None)
ax.set_xticks(range(len(error)), [name.replace(" ", "\n", 1) for name in error])
ax.set(ylabel="squared error of latents", ylim=(0, None))
ax.legend(fontsize=9)
plt.show()


# %%
def apart(one, other):  # mean of the differences clip by clip, and half of its interval (chapter 8)
    d = error[one] - error[other]
    assert len(d) == 6
    return d.mean().item(), 3.81 * d.std().item() / 6**0.5  # of Student's t: six clips, four differences, 95 % for all


pairs = [("strength 1", name) for name in ("strength 0", "velocity 0", "mean clip")] + [("strength 1.4", "strength 1")]
print(f"squared error, difference over {len(truth)} held-out clips ± half of its interval (95 % for all four together)")
for one, other in pairs:
    mean, half = apart(one, other)
    print(f"  {one} against {other}: {mean:+.2f} ± {half:.2f}")

# %% tags=["hide-input"]
ahead, half = apart("strength 1", "velocity 0")
assert FAST or ahead < 0 < ahead + half, "on average ahead of velocity 0, but not beyond the interval"
assert FAST or sum(apart("strength 1", "strength 0")) < 0, "better than the untrained model, beyond the interval"
assert np.subtract(*apart("strength 1", "mean clip")) > 0, "and worse than the mean clip, beyond the interval"

# %% [markdown]
# <details><summary>Answer</summary>
#
# The mean clip by far, then strength 1, then velocity 0, which is within the interval. Strength
# 1.4 is nearly a tie with 1. The untrained model is the worst of all.
#
# </details>
#
# The loss was below **velocity 0**, the dashed line of 10:30; of the videos, six clips cannot tell. The **mean clip** is a much better answer. As a velocity it is not 0 but
# $(x - \text{mean clip})/\tau$, and our model does not even get there, although it is all that it had learned at 10:30:
# being below a line means little if the line is low. The honest sentence about this LoRA is: *on clips that it never saw,
# it is clearly better than no training and clearly worse than one average clip shown every time*. No video shown alone
# would have told you.
#
# Six clips of one world are few; the interval speaks of *such* clips, not of yours.
#
# ## 17:00 · A success
#
# All of this was real, except the pictures. So here is the day once more, with a model that makes some: `nano`, the
# smallest toy, which ships trained. It draws 8 frames of 16 x 16, without a codec, and knows shapes that go straight
# and bounce. Your clips show what it has never seen, a **carousel**: every shape goes round the middle, clockwise. No
# caption says so:

# %%
carousel = replace(world.NANO, objects=(1.0,), motions=(("circle", ("circles {}",)),), speeds=(("", 0.1),))
rides = world.draw_scenes(60, 5, carousel)
rides = replace(rides, direction=torch.zeros_like(rides.direction))  # all clockwise
for number, (film, said) in enumerate(zip(world.render(rides, 8, 48), world.captions(rides), strict=True)):
    media.write_clip(f"own/{number:02}.mp4", pixels.to_uint8(film[None])[0], fps=8)
    Path(f"own/{number:02}.txt").write_text(" ".join(said.split()[:3]))
nb.play({Path(f"own/{i:02}.txt").read_text(): read_clip(f"own/{i:02}.mp4") for i in range(3)}, fps=8)

# %% [markdown]
# `--base nano-vta` starts from the shipped weights; the last twelve files are held out, as this morning. `evaluate` makes
# a row for every held-out clip and metric, and `compare` pairs the rows of two models. Skill (chapter 7) has the dull
# rival built in: 0 is what repeating frame 0 earns, 1 the clip itself.
#
# **Predict.** What will the shipped model make of frame 0 and "a green circle"? And can 48 clips teach it something
# about the other twelve?

# %%
toy = "train --model nano --stage vta --base nano-vta --data own --num-val-clips 12 --global-batch-size 16 --lr 1e-3"
assert pusa_lab(f"{toy} --max-steps {TOY_STEPS} --warmup {TOY_STEPS // 10} --ema 0.8 --out live") == 0
files = sorted(Path("own").glob("*.mp4"))[-12:]
own = np.stack([read_clip(file, num_frames=8, size=(16, 16), fps=8) for file in files])
told = [file.with_suffix(".txt").read_text() for file in files]
toys = {"shipped": pl.load("nano-vta"), f"{TOY_STEPS} steps": pl.load("live/nano-vta.safetensors")}
how_toys = {"steps": 10, "guidance": 1.0}
options = {"tasks": "image_to_video", "metrics": ["psnr", "skill"], "progress": False, **how_toys}
judged = pd.concat([pl.evaluate(toy, own, told, **options).assign(model=name) for name, toy in toys.items()])
print(judged.groupby("model", sort=False)[["psnr", "skill"]].mean().round(2).to_string())
(gain,) = pl.compare(judged, {"model": "shipped"}, "psnr").itertuples()
print(f"PSNR in pairs, {gain.pairs} held-out clips: {gain.difference:+.2f} ({gain.low:+.2f} to {gain.high:+.2f}) dB")

# %% tags=["hide-input"]
assert FAST or gain.low > 0, "on clips that it never saw, beyond the interval"

# %% [markdown]
# Even a few seconds of training show: skill has left 0, and the interval of the difference excludes it. The same clips,
# with more steps, were learned once by `python benchmarks/carousel.py`:

# %% tags=["nbval-check-output"]
run = nb.result("carousel")
print(f"{run['training']['max_steps']} steps, {run['seconds'] / 60:.0f} minutes, {run['device']}, {run['date']}")
for name in ("shipped", "trained"):
    print(f"{name}: PSNR {np.mean(run[name]['psnr']):.1f} dB, skill {np.mean(run[name]['skill']):.2f}")
gain = run["trained against shipped, psnr"]
print(
    f"in pairs, {gain['pairs']} held-out clips: {gain['difference']:+.1f} ({gain['low']:+.1f} to {gain['high']:+.1f}) dB"
)

# %% tags=["hide-input"]
assert gain["low"] > 0 and np.mean(run["trained"]["skill"]) > 0.5, "clearly better, and far better than standing still"
still = tasks.Task("frame 0", (tasks.Known(own[:3, :1], at=0),))
films = {name: pl.generate(toy, told[:3], still, seed=0, **how_toys).video for name, toy in toys.items()}
sheet = read_picture(nb.asset("assets/carousel.png"))  # of three clips: itself, shipped, trained
recorded = sheet.reshape(3, 3, 16, 8, 16, 3).swapaxes(2, 3)  # (clip, model, frames, h, w, 3)
assert abs(recorded[:, 0].astype(float) - own[:3]).mean() < 5, "the recorded run was of these clips"
films = {"held-out clip": own[:3], **films, f"{run['training']['max_steps']} steps": recorded[:, 2]}
fig, ax = plt.subplots(figsize=(9.5, 4.8), layout="constrained")
viz.filmstrip({name: film[0] for name, film in films.items()}, known=[0], most=8, ax=ax)
ax.set_title(told[0])
plt.show()
nb.play({name: film[1] for name, film in films.items()}, fps=8)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Something straight, in a direction that it makes up, here even a triangle (second row), and worth no more than
# standing still. 48 clips cannot teach what the world looks like, but they all obey one *rule*, and the rule holds for
# the other twelve: after a thousand steps the shape goes round from wherever it starts, and the interval is far above
# 0.
#
# </details>
#
# That is success: something learned from *your* clips, shown on others, with a number beside the picture. Real footage
# obeys no such simple rule; `docs/own_clips.md` tells how far the same commands get there.

# %% [markdown]
# ## Exercises
#
# **1 · Fill in.** The disk for your cache has room for `room` bytes, and you have `clips` clips of `height` x `width`. How
# long may they be? Write `my_frames(room, clips, height, width)`, which returns the largest number of *pixel* frames per
# clip, of the form $1 + 4k$, with which all latents of Wan2.1 (16 channels, two bytes a number) fit; 0 if not even single
# pictures fit. (5 000 000 000 bytes and 1000 clips of 480 x 832 give 97.)
#
# <details><summary>Hint</summary>
#
# How many bytes has *one latent frame*? How many latent frames may each clip have? And how many pixel frames are those:
# one for the first, four for each later one.
#
# </details>


# %% tags=["exercise"]
def my_frames(room, clips, height, width): ...


# %% tags=["check"]
DISKS = [(5_000_000_000, 1000, 480, 832), (2_000_000, 3, 96, 96), (10_000, 7, 480, 832)]


def all_of(count):
    return [count(*one) for one in DISKS]


def latent_frames(room, clips, height, width, number=32):
    return room // (clips * number * (height // 8) * (width // 8))


def is_not(wrong):  # whether the reader's function differs from a wrong one
    return lambda count: all_of(count) != all_of(wrong)


def to_pixel_frames(latent):
    return max(0, 4 * latent - 3)


def whole_latents(pixel_frames):  # the largest 1 + 4k that is not above
    return max(0, (pixel_frames - 1) // 4 * 4 + 1)


nb.check_that(
    my_frames,
    {
        "your function returns nothing: is a `return` missing?": lambda count: None not in all_of(count),
        "a whole number is asked for: use // instead of /": lambda count: all(
            isinstance(n, int) for n in all_of(count)
        ),
        "these are latent frames; how many pixel frames do they hold?": is_not(latent_frames),
        "the first latent frame holds one pixel frame, not four": is_not(lambda *a: 4 * latent_frames(*a)),
        "one pixel frame comes first, and four for each latent frame *after* the first": is_not(
            lambda *a: 1 + 4 * latent_frames(*a)
        ),
        "a number takes two bytes": is_not(lambda *a: to_pixel_frames(latent_frames(*a, number=16))),
        "all clips share the disk: where is `clips`?": is_not(
            lambda *a: to_pixel_frames(latent_frames(a[0], 1, *a[2:]))
        ),
        "the codec compresses both sides by 8": is_not(
            lambda *a: to_pixel_frames(latent_frames(*a[:2], 8 * a[2], 8 * a[3]))
        ),
        "these are the bytes of pixels; the cache holds latents": is_not(
            lambda *a: whole_latents(a[0] // (3 * a[1] * a[2] * a[3]))
        ),
        "the first pixel frame has a latent frame of its own, not a quarter": is_not(
            lambda *a: whole_latents(latent_frames(4 * a[0], *a[1:]))
        ),
        "the codec has 16 channels": is_not(lambda *a: to_pixel_frames(latent_frames(*a, number=2))),
        "not even one picture fits on the last of the disks: then the answer is 0": lambda count: all_of(count)[2] == 0,
        "it is not right yet: count the bytes of one latent frame of one clip": lambda count: (
            all_of(count) == all_of(lambda *a: to_pixel_frames(latent_frames(*a)))
        ),
    },
)

# %% [markdown]
# **2 · Vary.** You get *one* H100 instead. Make the training of 9:15 fit it and finish within 22 hours, without learning
# less: same rank, same number of clips, same size. Give a dict of further arguments of `plan`, such as
# `{"compiled": True}`. You may change `compiled` (fuses operations), `offload_activations`, `optimizer` (`"adamw8bit"`
# keeps its moments in 8 bits) and `float8` (frozen weights are multiplied in 8 bits). To save memory, a block computes its
# activations a second time when back-propagation needs them: with `ac_save_attention` so many blocks keep what attention
# returned, with `ac_skip_blocks` so many keep all. Success: the tick and your plan's bar beside the GPU's.
#
# <details><summary>Hint</summary>
#
# Try them one at a time: `plan(...).peak` is the memory in GiB, `.seconds["total"]` the time. Then combine what makes it
# faster with the cheapest thing that makes room. `plan(...).advice` knows a part of the answer, not all.
#
# </details>

# %% tags=["exercise"]
my_options = None  # a dict


# %% tags=["check"]
MAY = {"compiled", "offload_activations", "optimizer", "ac_save_attention", "ac_skip_blocks", "float8"}
LESS = {"lora_rank", "max_steps", "global_batch_size", "num_frames"}


def planned(given):
    return plan("wan2.1-14b", "480p", workload="lora", gpu="h100", **given)


def hours(given):
    return planned(given).seconds["total"] / 3600


def told(given):  # what the plan says of allowed options, for the sentences below
    if not (isinstance(given, dict) and given.keys() <= MAY):
        return ""
    try:
        return f"{planned(given).peak:.1f} GiB, {hours(given):.1f} hours"
    except ValueError as refused:
        return str(refused)


def accepted_by_the_plan(given):
    try:
        return bool(planned(given))
    except ValueError:
        return False


nb.check_that(
    my_options,
    {
        "give a dict: argument -> value": lambda given: isinstance(given, dict),
        "a smaller rank, fewer clips or frames make it cheaper by learning less": lambda given: not given.keys() & LESS,
        "another GPU, or several, is not what you have": lambda given: not given.keys() & {"gpu", "gpus"},
        f"you may change only {', '.join(sorted(MAY))}": lambda given: given.keys() <= MAY,
        f"the plan refuses these values: {told(my_options)}": accepted_by_the_plan,
        f"it does not fit the GPU yet ({told(my_options)})": lambda given: planned(given).fits,
        f"it fits, but takes longer than 22 hours ({told(my_options)})": lambda given: hours(given) < 22,
    },
)
if my_options is not None:
    mine = planned(my_options)
    fig, ax = plt.subplots(figsize=(9.5, 1.2), layout="constrained")
    ax.barh(["yours", "the GPU"], [mine.peak, mine.capacity], color=["#009E73", "black"])
    ax.set(xlabel="GiB", title=f"{hours(my_options):.1f} h, ${mine.money:.0f}")
    plt.show()

# %% [markdown]
# **3 · Invent.** A clip of your own, made of numbers: `my_clip = (frames, caption)`, with frames (n, h, w, 3) in uint8,
# at least 8 of them, at least 16 pixels on each side (and even), in which something *moves*, and a caption that says
# what. It goes through the short day: `train` shows it, and nothing else, to the shipped `nano`, and `generate` animates
# its first frame before and after. Success: the tick, and your clip beside both films. (It is learned by heart. Which
# clip would say whether a rule was learned?)
#
# <details><summary>Hint</summary>
#
# Start with `np.zeros((8, 16, 16, 3), np.uint8)` and, for each frame, paint a square at another place.
#
# </details>

# %% tags=["exercise"]
my_clip = None  # (frames, caption)


# %% tags=["check"]
def accepted(given):
    media.write_clip("mine/clip.mp4", given[0], fps=8)
    Path("mine/clip.txt").write_text(given[1])
    train = "train --model nano --stage vta --base nano-vta --data mine --out learned --global-batch-size 4 --lr 1e-3"
    return pusa_lab(f"{train} --max-steps 60 --warmup 6 --ema 0.8") == 0


nb.check_that(
    my_clip,
    {
        "give two things: the frames and the caption": lambda given: len(given) == 2,
        "frames must be whole numbers from 0 to 255, as uint8": lambda given: given[0].dtype == np.uint8,
        "frames must be (n, h, w, 3), n at least 8, even sides of at least 16": lambda given: (
            given[0].ndim == 4
            and len(given[0]) >= 8
            and min(given[0].shape[1:3]) >= 16
            and not any(side % 2 for side in given[0].shape[1:3])
        ),
        "nothing moves: all frames are the same": lambda given: (given[0] != given[0][:1]).any(),
        "the caption is empty: what should the text encoder say?": lambda given: bool(given[1].strip()),
        "the command refused it, see above": accepted,
    },
)
if my_clip is not None:
    seen = read_clip("mine/clip.mp4", num_frames=8, size=(16, 16), fps=8)
    media.write_picture("mine.png", seen[0])
    films = {"yours": seen}
    for name, model in {"before": "nano-vta", "after": "learned/nano-vta.safetensors"}.items():
        words = f"generate {shlex.quote(my_clip[1])} --model {model} --image mine.png --steps 10 --guidance 1"
        assert pusa_lab(f"{words} --out {name}.mp4") == 0
        films[name] = read_clip(f"{name}.mp4")
    nb.play(films, fps=8)

# %% [markdown]
# ## Recap
#
# | hour | command | look at |
# |---|---|---|
# | 9:15 | `pusa-lab train --plan-only` | does it fit, how many GPUs, hours, dollars |
# | 9:30 | `pusa-lab data encode` | clips left out, the codec's dB |
# | 10:00 | `pusa-lab data encode`, again | is the cache newer than its captions |
# | 10:30 | `pusa-lab train --recipe paper` | `val_loss`, `logs/validation/*.mp4` |
# | 14:30 | `pl.load(lora=...)`, `pusa-lab generate --lora` | the report: matched, left over, zero |
# | 16:00 | `pl.generate` on held-out clips | the same noise for all, dull rivals |
# | 17:00 | `pl.evaluate`, `pl.compare` | pairs, their interval, and the film |
#
# *What could go wrong:* a run that does not fit, after hours of encoding; a cache older than its captions; a loss read
# from step to step; a LoRA that matched nothing; a pretty video compared with no rival.
#
# *Where the code lives:* `pusa_lab/wan/tiny.py` (`wan.write_tiny_wan`), `pusa_lab/data/cache.py` (`data.LatentCache`),
# `pusa_lab/planning/planner.py` (`planning.plan`), `pusa_lab/wan/lora/__init__.py` (`wan.load_lora`). All options are
# in `docs/training_wan.md`, and a toy on your own clips in `docs/own_clips.md`.
#
# *References:* Pusa V1.0, arXiv 2507.16116; Wan, arXiv 2503.20314; LoRA, arXiv 2106.09685.
