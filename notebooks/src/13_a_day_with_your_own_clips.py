# %% [markdown]
# # 13 · A day with your own clips
#
# ***You have a folder of clips, a Wan, and one day with rented GPUs. What do you type, in which order, and how do you
# know at each step that it worked?***
#
# *You need: chapters 1 and 5; 7 and 10 help. Time: 20 minutes of reading, about a minute of CPU.*
#
# The whole day is four commands, and the first of them only plans:
#
# ```sh
# pusa-lab train --recipe paper --plan-only --gpu GPU --gpus N --size 480x832   # does it fit, how long, how much?
# pusa-lab data encode clips --model WAN --out cache --size 480x832 --num-frames 81 --fps 16
# pusa-lab train --recipe paper --data cache --model WAN --out vta.safetensors --gpus N
# pusa-lab generate "a dog runs" --image dog.png --model WAN --lora vta.safetensors --out dog.mp4
# ```
#
# `WAN` is the folder of Wan2.1-T2V-14B. You will type all four here, on a CPU: the first for the real Wan, the others
# with smaller numbers and without `--gpus`, for two small stand-ins:
#
# | stand-in | what is real | what is not |
# |---|---|---|
# | **the tiny Wan**, 9:00 to 15:00: a quarter of a megabyte, *random weights*, every part of the real one | commands, files, shapes, warnings, refusals, a falling loss | its videos: nobody trained it, so they are mush |
# | **`nano`**, 16:00: the smallest toy, which ships *trained* | pictures, so you can see whether your clips taught it anything | its size, and it has no codec |
#
# Below is where the day should end: a clip that no training saw, what `nano` makes of its first frame before it was
# trained on such clips, and after.
#
# **After this chapter you can**
#
# - plan a training run before you pay for it, and make it fit the GPU that you can get;
# - encode clips, train a LoRA on them and generate with it, knowing the usual mistake at each step;
# - say whether it helped, with a comparison that means something.

# %% tags=["setup"]
# build.py puts the installing cell here.

# %% tags=["parameters"]
SEED = 0
TRAIN_STEPS = 45
TOY_STEPS = 40
FAST = False

# %% tags=["hide-input"]
import contextlib
import io
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
from transformers.utils.logging import disable_progress_bar as disable_loading_bar

import pusa_lab as pl
import pusa_lab.notebook as nb
from pusa_lab import media, pixels, tasks, viz
from pusa_lab.cli import main
from pusa_lab.data import LatentCache, read_clip, read_picture
from pusa_lab.planning import plan
from pusa_lab.wan import load_lora, write_tiny_wan
from small_models import world

nb.setup(seed=SEED, shapes=True)
logging.captureWarnings(True)
disable_progress_bar()
disable_loading_bar()
TRAIN_STEPS, TOY_STEPS = (12, 4) if FAST else (TRAIN_STEPS, TOY_STEPS)
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
run = nb.result("carousel")
sheet = read_picture(nb.asset("assets/carousel.png"))  # of three clips: itself, shipped, trained
recorded = sheet.reshape(3, 3, 16, 8, 16, 3).swapaxes(2, 3)  # (clip, model, frames, h, w, 3)
os.chdir(tempfile.mkdtemp())  # the day's folder
shown = set()


def command(line):
    """What a terminal says to `pusa-lab LINE`; lines that begin like earlier ones are only counted."""
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(said):
        status = main(shlex.split(line))
    lines = said.getvalue().strip().splitlines()
    new = [each for each in lines if each[:24] not in shown]
    shown.update(each[:24] for each in lines)
    print("\n".join(new + [f"(as before: {len(lines) - len(new)} more)"] * (new != lines)))
    return status


def outcome(make):
    """What `make` returns, or the sentence with which it refuses."""
    try:
        return make()
    except ValueError as refused:
        return refused


# %% tags=["hide-input"]
viz.filmstrip(dict(zip(("the clip", "before", "after"), recorded[1], strict=True)), known=[0], most=8)
plt.title(f"frame 0 is given; after: {run['training']['max_steps']} steps on 48 other clips")
plt.show()

# %% [markdown]
# *What to see:* the shape should go round the middle. Before, it goes straight, as in `nano`'s own world; after, it goes
# round. This is the way there:

# %% tags=["hide-input"]
nb.diagram(
    "13_the_day",
    "Six stations from left to right: clips with captions, data encode, a cache of latents, train, a LoRA file, and "
    "generate, which also takes the untouched Wan; below each station what can go wrong there.",
)

# %% [markdown]
# ## 9:00 · A Wan and a folder of clips
#
# At home you download the Wan. Here a helper writes the tiny one, in the same layout. The clips show the course's moving
# shapes, in ordinary MP4 files, each with its caption beside it in a `.txt`. Two are faulty: one is too short, one
# has no caption.

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
# Training is where the money goes, so ask first. `--plan-only` needs no GPU: it counts operations and bytes by formula,
# and corrects them by measurements (chapter 10). The run is the paper's (arXiv 2507.16116): a LoRA of rank 512 for the
# 14B, 900 steps of 8 clips of 81 frames. Only the size is smaller, 480 x 832: at the paper's 720 x 1280 each hour
# becomes four.
#
# **Predict.** The weights take 27 GiB. Does the run fit an H100, of whose memory 78 GiB can be used? What besides the
# weights needs memory? Will it finish by this evening?

# %% tags=["hide-input"]
ways = {
    "1 H100": {"gpu": "h100"},
    "1 H100, offloading": {"gpu": "h100", "offload_activations": True},
    "1 H200": {"gpu": "h200"},
    "8 H200": {"gpu": "h200", "gpus": 8},
}
plans = {name: plan("wan2.1-14b", "480p", workload="lora", **way) for name, way in ways.items()}
parts = dict.fromkeys(part for found in plans.values() for part in found.memory)
colours = dict(zip(parts, (BLUE, "#56B4E9", "#8A8F98", "#E69F00", GREEN, "#CC79A7"), strict=False))
fig, ax = plt.subplots(figsize=(9.5, 3), layout="constrained")
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
assert [found.fits for found in plans.values()] == [False, True, True, True]
assert plans["1 H200"].seconds["total"] > 24 * 3600, "one GPU is not done today"
assert plans["8 H200"].seconds["total"] < 4 * 3600, "from 10:30 to 14:30"

# %% [markdown]
# <details><summary>Answer</summary>
#
# It does not fit. Beside the frozen weights there are the LoRA, its gradients, and the optimizer's two moments for each
# of its numbers: together more than the weights. And there are the activations, which back-propagation needs again.
# Those can wait in the host's memory (`--offload-activations`), and then it fits.
#
# But one GPU, of either kind, works for more than a day. Eight divide the hours, not the memory: each holds everything.
# (Only its gradients lie elsewhere, in a buffer for the exchange with the others: pink instead of yellow.) **So the
# plan decides the day: eight H200s, started at 10:30, read at 14:30.** It counts eight as eight times as fast, which is
# why they cost no more than one; the half hour to spare is for communication. All figures are planned, not measured.
#
# </details>
#
# Here is the chosen plan as the terminal prints it. `command("...")` does what `pusa-lab ...` does there, but
# lines that begin like earlier ones are only counted.

# %%
status = command("train --recipe paper --plan-only --gpu h200 --gpus 8 --size 480x832")

# %% tags=["hide-input"]
assert status == 0

# %% [markdown]
# ## 9:30 · Encode the clips once
#
# Training never looks at pixels but at *latents*. The codec that makes them is large and slow, so they are made once and
# kept. Wan's codec compresses time by 4 and both sides by 8, and its first latent frame holds a single picture:
#
# $$(3,\; n,\; h,\; w) \;\to\; \left(16,\; 1 + \tfrac{n - 1}{4},\; \tfrac{h}{8},\; \tfrac{w}{8}\right)$$
#
# That is why clips have $1 + 4k$ frames. By hand, for 9 frames of 48 x 48 and the tiny codec's four channels:
# $(4, 3, 6, 6)$.

# %%
encode = "data encode clips --model wan --out cache --size 48x48 --num-frames 9 --fps 16"
status = command(encode)
cache = LatentCache("cache")
print("latents of a clip:", tuple(cache[0]["latents"].shape))

# %% tags=["hide-input"]
assert status == 0 and len(cache) == 12, "the twelve sound clips; the short and the silent one are named and left out"
assert cache[0]["latents"].shape == (4, 3, 6, 6), "as counted by hand"

# %% [markdown]
# *What to see:* each clip that cannot be used is named with its reason; nothing is cut or padded behind your back. And
# above them stands the most important line of the day: **the codec keeps only so many dB of these clips.** No video can
# be better than that, however long you train. Here the warning is right, because the codec is random. If you see it with
# the real codec, find out which clips lose most (`pl.data.codec_psnr(model, clip)`), and look at them before you train.
#
# ## 10:00 · You correct a caption
#
# A colleague finds a wrong caption, and you correct the text file. Does the cache know?
#
# **Predict.** What happens if you train on the cache as it is? And when you encode again, how many clips are encoded
# anew?

# %%
Path("clips/02.txt").write_text("a caption that a colleague corrected")
train = f"""train --recipe paper --data cache --model wan --out vta.safetensors --lora-rank 8 --lr 1e-2
    --max-steps {TRAIN_STEPS} --global-batch-size 4 --micro-batch-size 0 --num-val-clips 6
    --logs logs --validate-every {TRAIN_STEPS // 3} --save-every {TRAIN_STEPS}"""
before = command(train)
after = command(encode)

# %% tags=["hide-input"]
assert before != 0, "the cache differs from its folder, and that is refused"
assert after == 0

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
# `--recipe paper` sets everything as in the paper: independent timesteps, a constant learning rate, a LoRA on all linear
# layers of attention and feed-forward. We override what a toy needs: fewer steps, a smaller rank, a larger rate, and the
# whole batch at once (`--micro-batch-size 0`). `--num-val-clips 6` keeps the last six clips out of training, and
# `--validate-every` looks at them, always with the same noise and timesteps.
#
# What is a good loss? Take a model that always answers *velocity 0*. The right answer is $v^*=\varepsilon-x_0$. The noise
# has mean 0 and knows nothing of $x_0$, so their product averages to 0, and per number
#
# $$\mathrm{E}\,|0-v^*|^2=\mathrm{E}\,|\varepsilon-x_0|^2=1+\mathrm{E}\,|x_0|^2 .$$
#
# **Predict.** Will the loss on the held-out clips fall below that? If it does, what has the LoRA learned?

# %%
status = command(train)

# %% tags=["hide-input"]
logged = pd.read_csv(max(Path("logs").glob("run-*/metrics.csv")))
loss, held = logged.dropna(subset=["loss"]), logged.dropna(subset=["val_loss"])
zero = 1 + torch.stack([cache[i]["latents"] for i in range(6, 12)]).float().square().mean().item()
fig, ax = plt.subplots(figsize=(9.5, 3.2), layout="constrained")
ax.plot(loss.step + 1, loss.loss, color="#56B4E9", lw=1, label="training clips, step by step")
ax.plot(held.step + 1, held.val_loss, "o-", color=ORANGE, label="held-out clips, same noise each time")
ax.axhline(zero, color="black", ls="--", lw=1, label="velocity 0 on the held-out clips")
ax.set(xlabel="step", ylabel="loss")
ax.legend(fontsize=9)
plt.show()
assert status == 0 and held.val_loss.is_monotonic_decreasing, "it learns, also on clips that it never saw"
assert FAST or held.val_loss.iloc[-1] < zero, "on clips that it never saw, it is better than velocity 0"

# %% [markdown]
# *What to see:* blue jumps about, because each step draws other clips, noise and timesteps. Only orange can be compared
# from point to point, and it falls below the line.
#
# Do not be too pleased: velocity 0 is easy to beat. Here is a rival just as dull, but better informed: the **mean
# clip**. At
# $\tau = 1$ the model sees nothing but noise, and all that can be said of the clip is what clips of this folder are on
# average. So it answers $\varepsilon - \bar{x}_0$, with the mean $\bar{x}_0$ of the six clips in training. We compare all
# answers there, on the same held-out clips and noises.

# %%
how = {"size": (48, 48), "num_frames": 9, "device": "cpu"}
model = pl.load("wan", lora="vta.safetensors", strength=1.0, **how)
untrained = pl.load("wan", **how)
latents = torch.stack([cache[i]["latents"] for i in range(12)]).float()
mean_clip, x0 = latents[:6].mean(dim=0), latents[6:]  # of the clips in training; and the held-out ones
text = model.encode_text(captions[6:])
rows = []
for seed in range(4):
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        v = {name: m(noise, torch.ones(6, 3), **text) for name, m in {"LoRA": model, "no LoRA": untrained}.items()}
    v |= {"velocity 0": torch.zeros_like(noise), "mean clip": noise - mean_clip}
    error = {name: (answer - (noise - x0)).square().mean(dim=(1, 2, 3, 4)).tolist() for name, answer in v.items()}
    rows += [{"answer": a, "prompt": i, "seed": seed, "loss": e[i]} for a, e in error.items() for i in range(6)]
answers = pd.DataFrame(rows).assign(seconds=0.0, status="done")
rivals = pl.compare(answers, {"answer": "LoRA"}, "loss")
print("on six held-out clips, 95 % intervals of all three together:")
for rival in rivals.itertuples():
    print(f"{rival.answer:10} loss {rival.mean:.2f}, against the LoRA {rival.difference:+.2f} ", end="")
    print(f"({rival.low:+.2f} to {rival.high:+.2f})")

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(9.5, 2.6), layout="constrained")
by_clip = answers.groupby(["answer", "prompt"], sort=False)["loss"].mean()
for y, name in enumerate(answers.answer.unique()):
    ax.plot(by_clip[name], [-y] * 6, "o", color=BLUE, alpha=0.6, label="a held-out clip" if y == 0 else None)
    ax.plot([by_clip[name].mean()] * 2, [-y - 0.3, -y + 0.3], color="black", label="mean" if y == 0 else None)
ax.set_yticks([0, -1, -2, -3], answers.answer.unique())
ax.set(xlabel="loss at pure noise", xlim=(0, None))
ax.legend(fontsize=9, loc="center", bbox_to_anchor=(0.4, 0.6))
plt.show()
by_rival = rivals.set_index("answer")
assert FAST or by_rival.low[["no LoRA", "velocity 0"]].min() > 0, "clearly better than no training, and than velocity 0"
assert by_rival.high["mean clip"] < 0, "and clearly worse than one average clip"

# %% [markdown]
# <details><summary>Answer</summary>
#
# Below the line, yes. But all that we can claim is: *at pure noise, on such clips, the LoRA is clearly better than no
# training, a little better than velocity 0, and far worse than one average clip, shown every time.* A falling loss, even
# on held-out clips, may mean no more than that the model has begun to learn what a clip of this folder looks like on
# average.
#
# </details>
#
# On a real day you would also look at `logs/validation/*.mp4`: videos made from a held-out clip's first frame, beside the
# clip. Killed in the middle? `--resume logs/last.ckpt` goes on.
#
# ## 14:30 · Read the report before the video
#
# A LoRA file is a list of pairs: for a layer with weights $W$, two thin matrices $A$ and $B$, used as $W + s\,B A$ with
# the strength $s$. If the names in the file do not match those in the model, nothing can be loaded, and a loader that
# does not check will not say so. Here a report comes with the model.

# %% tags=["nbval-check-output"]
((report,),) = model.loras
print(report)

# %% [markdown]
# *What to see:* how many layers were changed, that no change is zero, and that no key is left over. (*alpha* is a scale
# that some LoRA files carry.) Now the mistake itself: another tool says `layers` where Wan says `blocks`, so we rename
# the keys of our file. `load_without_check` is what a quick script may do: it prepares a Wan with an empty pair (zeros)
# at each layer and fills the pairs by PyTorch's `load_state_dict(..., strict=False)`. As a control, it also gets the
# file as it is.
#
# **Predict.** What does it do with each file, and what does `pl.load` do with the renamed one?

# %% tags=["nbval-check-output"]
keys = safetensors.torch.load_file("vta.safetensors")
renamed = {key.replace("blocks", "layers"): value for key, value in keys.items()}
safetensors.torch.save_file(renamed, "renamed.safetensors")


def load_without_check(pairs):
    """How many of the empty matrices the file filled, and how many of its keys were not used."""
    wan_again = pl.load("wan", **how).transformer
    load_lora(wan_again, "vta.safetensors", name="vta")
    places = [value for name, value in wan_again.named_parameters() if ".lora_" in name]
    for place in places:
        place.data.zero_()
    pairs = {key.removeprefix("transformer.").replace(".weight", ".vta.weight"): pairs[key] for key in pairs}
    left = wan_again.load_state_dict(pairs, strict=False).unexpected_keys
    return sum(place.any().item() for place in places), len(left)


found = {"as it is": load_without_check(keys), "renamed": load_without_check(renamed)}
for name, (filled, left) in found.items():
    print(f"without a check, {name}: {filled} of {len(keys)} matrices filled, {left} keys unused")
print("pl.load, renamed:", outcome(lambda: pl.load("wan", lora="renamed.safetensors", **how)))

# %% tags=["hide-input"]
assert not report.unmatched and not report.zero_norm, "all of it arrived, and none of it is zero"
assert found == {"as it is": (len(keys), 0), "renamed": (0, len(keys))}, "by the names alone, all or nothing is loaded"

# %% [markdown]
# <details><summary>Answer</summary>
#
# The file as it is fills every pair. The renamed one fills none, and no error is raised: you would generate with the
# untouched Wan and judge *that*. (PyTorch returns the unused keys, for those who look.) `pl.load` refuses the file,
# shows the first key that has no place, and guesses whose it is, here wrongly. If only a part fits it refuses too,
# unless you say `partial=True`.
#
# </details>
#
# ## 15:00 · Generate
#
# Our LoRA has arrived, so use it. `--strength 1.4` is what Pusa's authors use with theirs: it goes 40 % beyond the
# trained change (`docs/findings.md`).

# %%
picture = read_clip("clips/11.mp4", num_frames=9, size=(48, 48), fps=16)
media.write_picture("first.png", picture[0])
status = command(f"""generate {shlex.quote(captions[11])} --image first.png --model wan --lora vta.safetensors
    --strength 1.4 --size 48x48 --num-frames 9 --steps 4 --guidance 1 --device cpu --out video.mp4""")

# %% tags=["hide-input"]
assert status == 0
_, ax = plt.subplots(figsize=(9.5, 2.4), layout="constrained")
viz.filmstrip({"the clip": picture, "generated": read_clip("video.mp4", size=(48, 48))}, known=[0], most=9, ax=ax)
plt.show()

# %% [markdown]
# *What to see:* mush, as announced. Even frame 0, whose latent is exact, does not survive a random codec. The tiny Wan
# has shown that every command works; whether a LoRA *helps*, it cannot show.
#
# ## 16:00 · Did it help?
#
# So here is the question once more, with a model that makes pictures. `nano` draws 8 frames of 16 x 16 and knows shapes
# that go straight and bounce. Your clips show what it has never seen, a **carousel**: every shape goes round the
# middle, clockwise. No caption says so. Twelve of the sixty go into a folder that training does not see.

# %%
carousel = replace(world.NANO, objects=(1.0,), motions=(("circle", ("circles {}",)),), speeds=(("", 0.1),))
rides = world.draw_scenes(60, 5, carousel)
rides = replace(rides, direction=torch.zeros_like(rides.direction))  # all clockwise
for number, (film, said) in enumerate(zip(world.render(rides, 8, 48), world.captions(rides), strict=True)):
    folder = "own" if number < 48 else "held_out"
    media.write_clip(f"{folder}/{number:02}.mp4", pixels.to_uint8(film[None])[0], fps=8)
    Path(f"{folder}/{number:02}.txt").write_text(" ".join(said.split()[:3]))
nb.play({Path(f"own/{i:02}.txt").read_text(): read_clip(f"own/{i:02}.mp4") for i in range(3)}, fps=8)

# %% [markdown]
# `--base nano-vta` starts from the shipped weights. `evaluate` gives each model frame 0 and the caption of every
# held-out clip, always with the same noise, and scores the other frames. *Skill* (chapter 7) has the dull rival built in:
# 0 is what repeating frame 0 earns, 1 is the clip itself. `compare` pairs the rows of two models, clip by clip.
#
# **Predict.** Can 48 clips teach a rule that holds for the other twelve? Are the few seconds of training below enough to
# *measure* a gain, and enough to *see* it?

# %%
status = command(f"""train --model nano --stage vta --base nano-vta --data own --out live --global-batch-size 16
    --lr 1e-3 --max-steps {TOY_STEPS} --warmup {TOY_STEPS // 10} --ema 0.8""")
toys = {"shipped": "nano-vta", f"{TOY_STEPS} steps": "live/nano-vta.safetensors"}
how_toys = {"steps": 10, "guidance": 1.0}
options = {"tasks": "image_to_video", "metrics": ["psnr", "skill"], "progress": False, **how_toys}
judged = pd.concat([pl.evaluate(toy, "held_out", **options).assign(model=name) for name, toy in toys.items()])
print(judged.groupby("model", sort=False)[["psnr", "skill"]].mean().round(2).to_string())
(gain,) = pl.compare(judged, {"model": "shipped"}, "psnr").itertuples()
print(f"PSNR in pairs, {gain.pairs} held-out clips: {gain.difference:+.1f} ({gain.low:+.1f} to {gain.high:+.1f}) dB")

# %% tags=["hide-input"]
assert status == 0 and (FAST or gain.low > 0), "on clips that it never saw, beyond the interval"

# %% [markdown]
# We also trained on these clips for longer, once, by `python benchmarks/carousel.py`:

# %% tags=["nbval-check-output"]
longer = run["trained against shipped, psnr"]
print(f"{run['training']['max_steps']} steps, {run['seconds'] / 60:.0f} minutes, {run['device']}, {run['date']}")
print(f"skill: shipped {np.mean(run['shipped']['skill']):.2f}, trained {np.mean(run['trained']['skill']):.2f}")
print(f"PSNR in pairs: {longer['difference']:+.1f} ({longer['low']:+.1f} to {longer['high']:+.1f}) dB")

# %% tags=["hide-input"]
assert longer["low"] > 0 and np.mean(run["trained"]["skill"]) > 0.5, (
    "clearly better, and far better than standing still"
)
files = sorted(Path("held_out").glob("*.mp4"))[:3]
own = np.stack([read_clip(file, num_frames=8, size=(16, 16), fps=8) for file in files])
told = [file.with_suffix(".txt").read_text() for file in files]
assert abs(recorded[:, 0].astype(float) - own).mean() < 5, "the recorded run was of these clips"
still = tasks.Task("frame 0", (tasks.Known(own[:, :1], at=0),))
films = {name: pl.generate(pl.load(toy), told, still, seed=0, **how_toys).video for name, toy in toys.items()}
films = {"held-out clip": own, **films, f"{run['training']['max_steps']} steps": recorded[:, 2]}
_, ax = plt.subplots(figsize=(9.5, 4.8), layout="constrained")
viz.filmstrip({name: film[0] for name, film in films.items()}, known=[0], most=8, ax=ax)
ax.set_title(told[0])
plt.show()
nb.play({name: film[2] for name, film in films.items()}, fps=8)

# %% [markdown]
# <details><summary>Answer</summary>
#
# The shipped model invents a straight path, here even of a triangle, and is worth no more than standing still. The short
# training is clearly better on these twelve clips: the interval of the difference leaves out 0. (It is one training from
# one seed; another might gain more or less, see chapter 8.) It is not enough to see a carousel. After
# a thousand steps the circle goes round; the triangle in the videos still strays. 48 clips cannot teach what the world
# looks like, but all of them obey one *rule*, and most of that rule holds for the other twelve.
#
# </details>
#
# That is success: something learned from *your* clips, shown on others, with a rival, an interval and a picture. It does
# *not* show that a Wan learns as easily, or that a toy learns real footage. That has been tried with `mini`, on three
# short films cut into pieces, of which eight were held out (`docs/own_clips.md`):

# %% tags=["nbval-check-output"]
for name in ("own_clips", "own_clips_gpu"):
    film = nb.result(name)
    made, low, high = film["stages"]["vta"]["metrics"]["mini-vta"]["image_to_video"]["psnr"]
    print(f"{film['device']}: image to video {made:.1f} ({low:.1f} to {high:.1f}) dB", end="")
    print(f", frame 0 repeated {film['frame 0 repeated']['psnr']:.1f} dB")

# %% tags=["hide-input"]
assert made < film["frame 0 repeated"]["psnr"], "worse than standing still"

# %% [markdown]
# *What to see:* in both runs the trained model is, on average, worse than repeating frame 0. (Eight pieces are few, so
# the interval on the GPU is wide.) Three short films do not teach a toy how a fourth one moves. With clips of your own,
# compare with standing still first.

# %% [markdown]
# ## Exercises
#
# **1 · Fill in.** How long may your clips be? The disk for the cache has `room` bytes, for `clips` clips of `height` x
# `width` pixels. Write `my_frames(room, clips, height, width)`: it returns the largest number of *pixel* frames per clip,
# of the form $1 + 4k$, with which all latents of Wan2.1 fit (16 channels, two bytes a number); 0 if not even single
# pictures fit. Success: the tick, and a staircase that comes down to 0 as you bring more clips.
#
# <details><summary>Hint</summary>
#
# How many bytes has *one latent frame* of one clip? How many of them may each clip have? And how many pixel frames are
# those: the first latent frame holds one, each later one four.
#
# </details>


# %% tags=["exercise"]
def my_frames(room, clips, height, width): ...


# %% tags=["check"]
DISKS = [(5_000_000_000, 1000, 480, 832), (2_000_000, 3, 96, 96), (10_000, 7, 480, 832)]


def all_of(count):
    return [count(*one) for one in DISKS]


def is_not(*wrong):  # whether the reader's function differs from one with a known mistake, by what that one returns
    return lambda count: all_of(count) != list(wrong)


nb.check_that(
    my_frames,
    {
        "your function returns nothing: is a `return` missing?": lambda count: None not in all_of(count),
        "a whole number is asked for: use // instead of /": lambda count: all(
            isinstance(n, int) for n in all_of(count)
        ),
        "these are latent frames; how many pixel frames do they hold?": is_not(25, 144, 0),
        "the first latent frame holds one pixel frame, not four": is_not(100, 576, 0),
        "one pixel frame comes first, and four for each latent frame *after* the first": is_not(101, 577, 1),
        "a number takes two bytes": is_not(197, 1153, 0),
        "all clips share the disk: where is `clips`?": is_not(100157, 1733, 0),
        "the codec compresses both sides by 8": is_not(0, 5, 0),
        "these are the bytes of pixels; the cache holds latents": is_not(1, 21, 0),
        "the first pixel frame has a latent frame of its own, not a quarter": is_not(97, 577, 0),
        "the codec has 16 channels": is_not(1597, 9253, 0),
        "not even one picture fits on the last of the disks: then the answer is 0": lambda count: all_of(count)[2] == 0,
        "it is not right yet: count the bytes of one latent frame of one clip": lambda count: (
            all_of(count) == [97, 573, 0]
        ),
    },
)
if not nb.unwritten(my_frames):
    many = list(range(1000, 120_000, 1000))
    fig, ax = plt.subplots(figsize=(9.5, 2.4), layout="constrained")
    ax.step(many, [my_frames(10_000_000_000, n, 480, 832) for n in many], where="post", color=GREEN)
    ax.set(xlabel="clips of 480 x 832 on a disk of 10 GB", ylabel="frames of each", yscale="symlog", ylim=(0, None))
    plt.show()

# %% [markdown]
# **2 · Vary.** You get *one* H100. Make the training of 9:15 fit it and finish within 22 hours, without learning less:
# same rank, clips and size. Give a dict of further arguments of `plan`, such as `{"compiled": True}`. You may change
# `compiled` (fuses operations), `offload_activations`, `optimizer` (`"adamw8bit"` keeps its moments in 8 bits),
# `float8` (frozen weights are multiplied in 8 bits), and two numbers of blocks: by default every block computes its
# activations a second time when back-propagation needs them, which saves memory. You can exempt some:
# `ac_save_attention=n` blocks keep what attention returned, `ac_skip_blocks=n` keep everything. Success: the tick, and
# your bar shorter than the GPU's.
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


def plan_says(given):  # what the plan says of allowed options, for the sentences below
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
        f"the plan refuses these values: {plan_says(my_options)}": accepted_by_the_plan,
        f"it does not fit the GPU yet ({plan_says(my_options)})": lambda given: planned(given).fits,
        f"it fits, but takes longer than 22 hours ({plan_says(my_options)})": lambda given: hours(given) < 22,
    },
)
if my_options is not None:
    mine = planned(my_options)
    fig, ax = plt.subplots(figsize=(9.5, 1.2), layout="constrained")
    ax.barh(["yours", "the GPU"], [mine.peak, mine.capacity], color=["#009E73", "black"])
    ax.set(xlabel="GiB", title=f"{hours(my_options):.1f} h, ${mine.money:.0f}")
    plt.show()

# %% [markdown]
# **3 · Invent.** A clip of your own, made of numbers: `my_clip = (frames, caption)`, with at least 8 frames (n, h, w,
# 3) in uint8, even sides of at least 16 pixels, in which something *moves*, and a caption in words that `nano` knows,
# such as `a red circle`. It goes through the short day: `train` shows it, and nothing else, to the shipped `nano`, and
# `generate` animates its first frame before and after. Success: the tick, and in the film *after* your motion, which
# *before* does not have. (It is learned by heart. Which clip would say whether a rule was learned?)
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
    return command(f"{train} --max-steps 60 --warmup 6 --ema 0.8") == 0


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
        assert command(f"{words} --out {name}.mp4") == 0
        films[name] = read_clip(f"{name}.mp4")
    nb.play(films, fps=8)

# %% [markdown]
# ## Recap
#
# | hour | command | look at |
# |---|---|---|
# | 9:15 | `pusa-lab train --plan-only` | does it fit, hours, dollars |
# | 9:30 | `pusa-lab data encode` | clips left out, the codec's dB |
# | 10:30 | `pusa-lab train --recipe paper` | `val_loss` beside a dull rival, `logs/validation/*.mp4` |
# | 14:30 | `pl.load(lora=...)` | the report: matched, left over, zero |
# | 16:00 | `pl.evaluate`, `pl.compare` | held-out clips, pairs, their interval, and the film |
#
# *Where the code lives:* `pusa_lab/wan/tiny.py` (`wan.write_tiny_wan`), `pusa_lab/data/cache.py` (`data.LatentCache`),
# `pusa_lab/planning/planner.py` (`planning.plan`), `pusa_lab/wan/lora/__init__.py` (`wan.load_lora`),
# `pusa_lab/evaluation.py` (`evaluate`). All options are in `docs/training_wan.md`.
#
# *References:* Pusa V1.0, arXiv 2507.16116; Wan, arXiv 2503.20314; LoRA, arXiv 2106.09685.
