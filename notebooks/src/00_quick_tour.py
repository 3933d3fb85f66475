# %% [markdown]
# # 0 · Quick tour: from a still picture to a video
#
# *You need: nothing. Time: 10 minutes of reading, about a minute of CPU.*
#
# A video diffusion model starts from noise and removes it step by step. Ordinarily a single timestep `tau` says how
# noisy **the whole clip** is: 1 is noise, 0 is clean. Pusa's idea (arXiv 2507.16116) is to give **every frame its own
# timestep**, as if each had its own clock. Image-to-video then needs no special model: put the picture in frame 0, set
# that frame's timestep to 0, and let the other frames run from 1 to 0.
#
# **After this chapter you can**
#
# - run four tasks with one trained model: text to video, image to video, start and end, extension;
# - read a schedule: how noisy each frame is at each step;
# - say in numbers what fine-tuning with one timestep per frame improves.

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
STEPS = 10
GUIDANCE = 3.0
CLIPS = 8
FAST = False
MODEL = "mini-vta"
IMAGE = "assets/still.png"
VIDEO = "assets/clip.mp4"
PROMPT = "a big red square bounces down and right"
OUT = ""

# %%
import csv
import tempfile

import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown, display

import pusa_lab as pl
import small_models
from pusa_lab import data, media, metrics, pixels, schedules, tasks, viz
from pusa_lab.notebook import check, play, setup
from small_models import world
from small_models.evaluation import evaluate, ways

device = setup(seed=SEED, shapes=True)
STEPS, CLIPS = (2, 2) if FAST else (STEPS, CLIPS)
out = Path(OUT or tempfile.mkdtemp())

# %% [markdown]
# ## The model
#
# `mini` is a whole Wan in miniature. A codec of Wan's kind turns 33 pixel frames of 64 x 64 into 9 *latent frames* of
# 8 x 8: the first holds one pixel frame, each later one four. A small text encoder reads the prompt. Between the two
# stands Wan's transformer. It was trained on a world of moving shapes with one timestep for all frames, and then
# adapted, by a low-rank update of its weights (LoRA), to one timestep per latent frame. Its card has the details.

# %% tags=["nbval-check-output"]
model = small_models.load(MODEL, device=device)
card = small_models.card(MODEL)
geometry = model.geometry
frames, pixel_frames = geometry.frames, geometry.pixel_frames(geometry.frames)
parameters = sum(p.numel() for p in model.dit.parameters())
print(f"{parameters:,} parameters, {frames} latent frames = {pixel_frames} pixel frames of {geometry.size}")
print(f"adapted in {card['config']['max_steps']:,} steps, {card['seconds']:.0f} s on {card['device']}")

# %% [markdown]
# ## The input
#
# A picture and a clip from disk, of any size: both are cropped to the model's aspect ratio and resized. The clip is
# read at the model's frame rate, so that objects keep their speed.

# %%
picture, clip = data.read_picture(IMAGE), data.read_clip(VIDEO, last=pixel_frames, fps=geometry.fps)
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 2), width_ratios=(1, 4), layout="constrained")
left.imshow(picture)
left.set(title=f"picture {picture.shape[1]} x {picture.shape[0]}", xticks=[], yticks=[])
viz.filmstrip(clip, ax=right)
right.set_title(f"the last {len(clip)} frames of the clip")
plt.show()
# %% [markdown]
# ## Noise levels by hand
#
# Three frames at the noise levels 0, 1/2 and 1. A frame at level `tau` is the mixture `(1 - tau) x0 + tau eps`.
#
# **Predict.** Which of the three noised numbers is still the clean one, and which is pure noise?

# %% tags=["nbval-check-output"]
tau = torch.tensor([[0.0, 0.5, 1.0]])
x0 = torch.tensor([0.2, 0.4, 0.6]).view(1, 1, 3, 1, 1)
eps = torch.tensor([-1.0, 2.0, -0.5]).view(1, 1, 3, 1, 1)
x = pl.timesteps.interpolate(x0, eps, tau)
print("clean ", x0.flatten())
print("noise ", eps.flatten())
print("noised", x.flatten())

assert x[0, 0, 0] == x0[0, 0, 0], "a frame at tau = 0 is clean"
assert x[0, 0, 2] == eps[0, 0, 2], "a frame at tau = 1 is pure noise"

# %% [markdown]
# ## Four tasks, one model
#
# A task only says which frames are known. Each picture below shows the schedule on the left (frames across, steps
# downwards, dark is clean) and the resulting video on the right; known frames have an orange border.
#
# **Predict.** In which columns of the four schedules will you see no bright cell at all?

# %%
known = max(1, min(frames // 3, 1 + (len(clip) - 1) // geometry.stride[0]))  # latent frames of the clip to extend
todo = {
    "text_to_video": (tasks.text_to_video(), []),
    "image_to_video": (tasks.image_to_video(picture), [0]),
    "start_end": (tasks.start_end(picture, clip[-1]), [0, frames - 1]),
    "extension": (tasks.extension(clip, known=geometry.pixel_frames(known)), list(range(known))),
}
results = {}
for name, (task, at) in todo.items():
    results[name] = pl.generate(model, PROMPT, task, steps=STEPS, guidance=GUIDANCE, seed=SEED)
    viz.plot_result(results[name], known=[p for i in at for p in geometry.pixels_at(i)])
    plt.show()

# %% [markdown]
# The columns of known frames are dark from the first row to the last: their timestep is 0 throughout, so the sampler
# never changes them. That is all there is to image-to-video.

# %%
for name, (task, at) in todo.items():
    start = pl.prepare(model, PROMPT, task, steps=STEPS, seed=SEED).x
    assert torch.equal(results[name].latents[:, :, at], start[:, :, at]), "a frame kept at tau = 0 does not change"
    assert (results[name].schedule[:, at] == 0).all(), "known frames have dark columns"

play({name: result.video[0] for name, result in results.items()}, fps=geometry.fps)

# %% [markdown]
# ## Another schedule, the same model
#
# The frames need not start together. In a *pyramid* each frame starts a few rows after the one before it, so the past
# is always cleaner than the future.

# %%
S = schedules.pyramid(STEPS, frames, lag=2)
results["pyramid"] = pl.generate(model, PROMPT, tasks.image_to_video(picture), schedule=S, seed=SEED, guidance=GUIDANCE)
viz.plot_result(results["pyramid"], known=[0], title="image_to_video along a pyramid")

assert (S.diff(dim=1) >= 0).all(), "in a pyramid the past is never noisier than the future"
assert results["pyramid"].latents.shape == results["image_to_video"].latents.shape

# %% [markdown]
# ## In numbers
#
# For each video: the rows of its schedule, the seconds it took, the largest change of a known latent frame (it should
# be 0), and how much moves between neighbouring pixel frames. The table is also written to `metrics.csv`, next to one
# MP4 per video.

# %%
rows = []
for name, result in results.items():
    at = todo.get(name, todo["image_to_video"])[1]
    task = todo.get(name, todo["image_to_video"])[0]
    start = pl.prepare(model, PROMPT, task, steps=STEPS, seed=SEED).x[:, :, at]
    change = (result.latents[:, :, at] - start).abs().amax().item() if at else 0.0
    moved = metrics.motion(torch.cat([pixels.to_pixels(v) for v in result.video])).mean().item()
    rows.append([name, len(result.schedule) - 1, f"{result.seconds:.2f}", f"{change:g}", f"{moved:.2f}"])
    media.write_clip(out / f"{name}.mp4", result.video[0], fps=geometry.fps, scale=max(1, 128 // geometry.size[0]))

header = ["video", "rows", "seconds", "largest change of a known latent frame", "motion (grey levels per frame)"]
with (out / "metrics.csv").open("w", newline="") as file:
    csv.writer(file).writerows([header, *rows])
table = [header, ["---"] * len(header), *rows]
print(f"written to {out}")
display(Markdown("\n".join("| " + " | ".join(map(str, row)) + " |" for row in table)))

assert all(float(row[3]) == 0 for row in rows), "known frames are kept exactly"
assert all(float(row[4]) > 0 for row in rows), "something moves in every video"

# %% [markdown]
# ## What did fine-tuning improve?
#
# In this world the truth is known: we can render scenes that the model has never seen, give it the prompt and frame 0,
# and compare all later frames with what really happens. Three contestants:
#
# - the **base**, trained with one timestep for all frames, now given a timestep vector, which it has never seen;
# - the **adapted** model;
# - a **copy** of frame 0, the best guess of someone who knows nothing about the motion.
#
# **Predict.** Will the base do better or worse than the copy?

# %%
base = small_models.load(MODEL.rsplit("-", 1)[0] + "-base", device=device)
contestants = {
    "copy of frame 0": ways.copy_of_frame_0,
    "base": ways.maker(base, steps=STEPS, guidance=GUIDANCE),
    "adapted": ways.maker(model, steps=STEPS, guidance=GUIDANCE),
}
raw = {name: evaluate.collect(make, model, CLIPS) for name, make in contestants.items()}
scores = {name: evaluate.image_to_video_scores(found, geometry.stride[0]) for name, found in raw.items()}
for name, score in scores.items():
    error = f"{score['position_error_px']:.1f} px"
    print(f"{name:16} {score['psnr_db']:5.1f} ± {score['psnr_db_stderr']:.1f} dB, objects off by {error}")

assert scores["adapted"]["psnr_db"] > scores["base"]["psnr_db"], "fine-tuning with one timestep per frame helps"

# %%
fig, ax = plt.subplots(figsize=(7.5, 2.8), layout="constrained")
for name, found in raw.items():
    ax.plot(range(1, pixel_frames), found["psnr_frame"][:, 1:].mean(dim=0), label=name)
ax.set(xlabel="pixel frame", ylabel="PSNR against the truth (dB)", title="how far does frame 0 reach?")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

scene = world.draw_scenes(1, SEED + 1, world.WORLDS[model.preset["world"]])
truth = pixels.to_uint8(world.render(scene))
made = {name: make(world.captions(scene), truth, SEED)[0] for name, make in contestants.items()}
viz.filmstrip({"truth": truth[0], **made}, known=[0])
plt.title(world.captions(scene)[0])
plt.show()
# %% [markdown]
# The base hardly uses the picture: it drifts off into *some* video that fits the prompt. The adapted model continues
# from the very picture it was given. The card holds the same comparison on many more scenes.

# %% tags=["nbval-check-output"]
for key, score in card["metrics"].items():
    if isinstance(score, dict) and (score := score.get("image_to_video")):
        print(f"{key:36} {score['psnr_db']:5.2f} dB, objects off by {score['position_error_px']:.2f} px")

# %% [markdown]
# ## Exercises
#
# **1 · Fill in.** The heart of the sampler: move every frame by its own difference of timesteps. One line.


# %% tags=["exercise"]
def my_euler_step(x, v, tau, tau_next): ...


# %% tags=["check"]
v = pl.timesteps.velocity(x0, eps)
check(my_euler_step, pl.samplers.euler_step, x, v, tau, tau * 0.5)

# %% [markdown]
# **2 · Vary.** Keep the picture only loosely: pass `noise=0.3` to `tasks.image_to_video`. What happens to its column in
# the schedule, and to frame 0 of the video? When could that be useful?

# %% tags=["exercise"]
my_result = None  # pl.generate(model, PROMPT, tasks.image_to_video(picture, noise=...), steps=STEPS, seed=SEED)

# %% tags=["check"]
check(None if my_result is None else bool(my_result.schedule[0, 0] > 0), True)

# %% [markdown]
# **3 · Invent.** Make a schedule in which the *last* frame is finished first. It must keep the property that every
# schedule has: noise levels never rise, and all end at 0 (`schedules.validate` says what is wrong).

# %% tags=["exercise"]
my_schedule = None  # a tensor (rows, frames)

# %% tags=["check"]
if my_schedule is not None:
    schedules.validate(my_schedule)
done_at = None if my_schedule is None else (my_schedule > 0).sum(dim=0)
check(None if done_at is None else bool(done_at[-1] == done_at.min() < done_at.max()), True)

# %% [markdown]
# ## Recap
#
# | symbol | shape | meaning |
# |---|---|---|
# | `tau` | (b, f) | one timestep per sample and frame: 0 clean, 1 noise |
# | `S` | (rows, f) | a schedule: the noise level of every frame at every step |
# | `x`, `v` | (b, c, f, h, w) | noisy video and its velocity `eps - x0` |
#
# *What could go wrong:* a model that never saw unequal timesteps in training ignores the clean frame (the base above).
#
# *Where the code lives:* `pusa_lab/tasks/` (known frames), `pusa_lab/samplers.py` (the loop),
# `pusa_lab/schedules/matrices.py` (the zoo), `small_models/models/dit.py` (the transformer).
#
# *References:* Pusa V1.0, arXiv 2507.16116; Diffusion Forcing, arXiv 2407.01392; Wan, arXiv 2503.20314.
#
# *Next:* 1 · One timestep per frame, by hand.
