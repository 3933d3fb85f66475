# %% [markdown]
# # 0 · Quick tour: a still picture set in motion by clocks
#
# *You need: nothing. Time: 10 minutes of reading, about half a minute of CPU.*
#
# A video diffusion model starts from noise and removes it step by step. Ordinarily one clock `tau` says how noisy
# **the whole clip** is: 1 is noise, 0 is clean. Pusa's idea (arXiv 2507.16116) is to give **every frame its own
# clock**. Then a picture needs no special model to be continued: put it in frame 0, set frame 0's clock to 0, and
# let the other clocks run.
#
# **After this chapter you can**
#
# - run four tasks with one trained model: text to video, image to video, start and end, extension;
# - read a schedule: which frame is how noisy at which step;
# - say what fine-tuning with one clock per frame has brought, in numbers.

# %% tags=["setup"]
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

if any(importlib.util.find_spec(name) is None for name in ("pusa_lab", "mediapy", "jaxtyping")):
    # Colab or a bare kernel: install from the clone that this notebook is in, or that lies beside it
    here = Path.cwd().resolve()
    clones = [p for p in (here, *here.parents, *here.iterdir()) if (p / "pusa_lab" / "__init__.py").is_file()]
    if not clones:
        raise RuntimeError(
            f"pusa_lab is not installed and no clone of it is in or beside {here}: clone it there first."
        )
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "-e", f"{clones[0]}[notebooks]"], check=True)
    sys.path.insert(0, str(clones[0]))
    os.chdir(clones[0] / "notebooks")

# %% tags=["parameters"]
SEED = 0
STEPS = 10
CLIPS = 32
FAST = False
MODEL = "nano-vta"
IMAGE = "assets/still.png"
VIDEO = "assets/clip.mp4"
PROMPT = "a red square moves quickly up and right"
OUT = ""

# %%
import csv
import tempfile

import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown, display

import pusa_lab as pl
import small_models
from pusa_lab import media, metrics, pixels, schedules, tasks, viz
from pusa_lab.notebook import check, play, setup
from small_models import evaluate

device = setup(seed=SEED, shapes=True)
STEPS, CLIPS = (4, 8) if FAST else (STEPS, CLIPS)
out = Path(OUT or tempfile.mkdtemp())

# %% [markdown]
# ## The model
#
# `nano` is a whole Wan in miniature: Wan's transformer block, 3-D rotary positions, cross-attention to the caption.
# It works on 8 frames of 16 x 16 pixels and was trained on a world of moving shapes, first with one clock for all
# frames, then adapted to one clock per frame. Its card says how.

# %%
model = small_models.load(MODEL, device=device)
card = small_models.card(MODEL)
frames, (height, width) = model.geometry.frames, model.geometry.size
print(f"{card['parameters']:,} parameters, clips of {frames} frames, {height} x {width} pixels")
print(f"adapted in {card['config']['steps']:,} steps, {card['seconds']:.0f} s on {card['device']}")

# %% [markdown]
# ## The input
#
# A picture and a clip from disk, of any size: they are cropped to the model's aspect ratio and shrunk to its size.

# %%
picture, clip = media.read_picture(IMAGE), media.read_clip(VIDEO, last=frames)
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 2), width_ratios=(1, 4), layout="constrained")
left.imshow(picture)
left.set(title=f"picture {picture.shape[1]} x {picture.shape[0]}", xticks=[], yticks=[])
viz.filmstrip(clip, ax=right)
right.set_title(f"the last {len(clip)} frames of the clip")
plt.show()
# %% [markdown]
# ## A clock by hand
#
# Three frames at the clocks 0, 1/2 and 1. A frame at clock `tau` is the mixture `(1 - tau) x0 + tau eps`.
#
# **Predict.** Which of the three numbers below is still the clean one, and which is pure noise?

# %%
tau = torch.tensor([[0.0, 0.5, 1.0]])
x0 = torch.tensor([0.2, 0.4, 0.6]).view(1, 1, 3, 1, 1)
eps = torch.tensor([-1.0, 2.0, -0.5]).view(1, 1, 3, 1, 1)
x = pl.timesteps.interpolate(x0, eps, tau)
print("clean ", x0.flatten())
print("noise ", eps.flatten())
print("noised", x.flatten())

assert x[0, 0, 0] == x0[0, 0, 0], "a frame at clock 0 is clean"
assert x[0, 0, 2] == eps[0, 0, 2], "a frame at clock 1 is pure noise"

# %% [markdown]
# ## Four tasks, one model
#
# A task only says which frames are known. Each picture below shows the clocks on the left (frames across, steps
# downwards, dark is clean) and on the right the video they made; known frames are framed in orange.
#
# **Predict.** In which columns of the four schedules will you see no bright cell at all?

# %%
known = max(1, min(len(clip), frames // 3))
todo = {
    "text_to_video": (tasks.text_to_video(), []),
    "image_to_video": (tasks.image_to_video(picture), [0]),
    "start_end": (tasks.start_end(picture, clip[-1]), [0, frames - 1]),
    "extension": (tasks.extension(clip, known=known), list(range(known))),
}
results = {}
for name, (task, at) in todo.items():
    results[name] = pl.generate(model, PROMPT, task, steps=STEPS, guidance=2.0, seed=SEED)
    viz.plot_result(results[name], known=at)
    plt.show()

# %% [markdown]
# The columns of known frames are dark from the first row to the last: their clocks stand at 0, so the sampler never
# moves them. That is all that image-to-video is.

# %%
for name, (task, at) in todo.items():
    start = pl.prepare(model, PROMPT, task, steps=STEPS, seed=SEED).x
    assert torch.equal(results[name].latents[:, :, at], start[:, :, at]), "a frame whose clock stays at 0 does not move"
    assert (results[name].schedule[:, at] == 0).all(), "known frames have dark columns"

play({name: result.video[0] for name, result in results.items()}, fps=model.geometry.fps)

# %% [markdown]
# ## Another schedule, the same model
#
# The clocks need not start together. In a *pyramid* each frame starts a few rows after the one before, so the past
# is always cleaner than the future.

# %%
S = schedules.pyramid(STEPS, frames, lag=2)
results["pyramid"] = pl.generate(model, PROMPT, tasks.image_to_video(picture), schedule=S, seed=SEED, guidance=2.0)
viz.plot_result(results["pyramid"], known=[0], title="image_to_video along a pyramid")

assert (S.diff(dim=1) >= 0).all(), "in a pyramid the past is never noisier than the future"
assert results["pyramid"].latents.shape == results["image_to_video"].latents.shape

# %% [markdown]
# ## In numbers
#
# For each video: rows of its schedule, seconds, the largest change of a known frame (it should be 0), and how much
# moves between neighbouring frames. The table is also written to `metrics.csv`, beside one MP4 per video.

# %%
rows = []
for name, result in results.items():
    at = todo.get(name, todo["image_to_video"])[1]
    task = todo.get(name, todo["image_to_video"])[0]
    start = pl.prepare(model, PROMPT, task, steps=STEPS, seed=SEED).x[:, :, at]
    change = (result.latents[:, :, at] - start).abs().amax().item() if at else 0.0
    moved = metrics.motion(result.latents.clamp(-1, 1)).mean().item()
    rows.append([name, len(result.schedule) - 1, f"{result.seconds:.2f}", f"{change:g}", f"{moved:.2f}"])
    media.write_clip(out / f"{name}.mp4", result.video[0], fps=model.geometry.fps, scale=8)

header = ["video", "rows", "seconds", "largest change of a known frame", "motion (grey levels per frame)"]
with (out / "metrics.csv").open("w", newline="") as file:
    csv.writer(file).writerows([header, *rows])
table = [header, ["---"] * len(header), *rows]
print(f"written to {out}")
display(Markdown("\n".join("| " + " | ".join(map(str, row)) + " |" for row in table)))

assert all(float(row[3]) == 0 for row in rows), "known frames are kept exactly"
assert all(float(row[4]) > 0 for row in rows), "something moves in every video"

# %% [markdown]
# ## What did the fine-tuning bring?
#
# The world's truth is known: we can draw scenes that the model has never seen, give it caption and frame 0, and
# compare its frames 1..7 with what really happens. Three contestants:
#
# - the **base**, trained with one clock for all frames, now given a vector of clocks it has never met;
# - the **adapted** model;
# - a **copy** of frame 0, the best guess of somebody who knows nothing of motion.
#
# **Predict.** Will the untrained base be better or worse than the copy?

# %%
scenes = evaluate.draw_scenes(CLIPS, evaluate.EVAL_SEED)
truth = evaluate.render(scenes, frames, width)
guess = {"copy of frame 0": truth[:, :, :1].expand_as(truth)}
for name in ("nano-base", "nano-vta"):
    toy = small_models.load(name, device=device)
    guess[name] = evaluate.predict(toy, scenes, schedules.hold(STEPS, frames), truth[:, :, :1], 2.0, SEED)
scores = {name: evaluate.image_to_video_scores(video, scenes) for name, video in guess.items()}
for name, score in scores.items():
    error = f"{score['position_error_px']:.2f} px"
    print(f"{name:16} {score['psnr_db']:5.1f} ± {score['psnr_db_stderr']:.1f} dB, objects off by {error}")

assert scores["nano-vta"]["psnr_db"] > scores["nano-base"]["psnr_db"] + 1, "fine-tuning with a clock per frame helps"
assert scores["nano-vta"]["frame0_max_error"] == 0, "frame 0 is exact"

# %%
fig, ax = plt.subplots(figsize=(7.5, 2.8), layout="constrained")
for name, video in guess.items():
    ax.plot(range(1, frames), metrics.psnr(video, truth)[:, 1:].mean(dim=0), marker="o", label=name)
ax.set(xlabel="frame", ylabel="PSNR against the truth (dB)", title="how far does frame 0 reach?")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

one = slice(2, 3)
viz.filmstrip({name: pixels.to_uint8(v[one])[0] for name, v in {"truth": truth, **guess}.items()}, known=[0])
plt.title(evaluate.captions(scenes[one])[0])
plt.show()
# %% [markdown]
# The base ignores the picture: it makes *a* video of the caption, not a continuation of this frame. The adapted
# model starts from the very picture it was given. The card holds the same comparison on 512 scenes.

# %%
full = small_models.card("nano-vta")["metrics"]
for key in ("nano-vta", "base_with_untrained_vector_clocks", "copy_of_frame_0"):
    score = full[key]["image_to_video"]
    print(f"{key:34} {score['psnr_db']:5.2f} dB, objects off by {score['position_error_px']:.2f} px")

# %% [markdown]
# ## Exercises
#
# **1 · Fill in.** The heart of the sampler: move every frame by its own time difference. One line.


# %% tags=["exercise"]
def my_euler_step(x, v, tau, tau_next): ...


# %% tags=["check"]
v = pl.timesteps.velocity(x0, eps)
check(my_euler_step, pl.samplers.euler_step, x, v, tau, tau * 0.5)

# %% [markdown]
# **2 · Vary.** Keep the picture only loosely: pass `noise=0.3` to `tasks.image_to_video`. What happens to its column in
# the schedule, and what to frame 0 of the video? Why could that be useful when the picture comes from elsewhere?

# %% tags=["exercise"]
my_result = None  # pl.generate(model, PROMPT, tasks.image_to_video(picture, noise=...), steps=STEPS, seed=SEED)

# %% tags=["check"]
check(None if my_result is None else bool(my_result.schedule[0, 0] > 0), True)

# %% [markdown]
# **3 · Invent.** Make a schedule in which the *last* frame is finished first. It must keep the property that every
# schedule has: clocks never rise, and all end at 0 (`schedules.validate` says what is wrong).

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
# | `tau` | (b, f) | one clock per sample and frame: 0 clean, 1 noise |
# | `S` | (rows, f) | a schedule: the path of every clock |
# | `x`, `v` | (b, c, f, h, w) | noisy video and its velocity `eps - x0` |
#
# *What could go wrong:* a model that never saw unequal clocks in training ignores the clean frame (the base above).
#
# *Where the code lives:* `pusa_lab/tasks.py` (known frames), `pusa_lab/samplers.py` (the loop),
# `pusa_lab/schedules/matrices.py` (the zoo), `small_models/dit.py` (the transformer).
#
# *References:* Pusa V1.0, arXiv 2507.16116; Diffusion Forcing, arXiv 2407.01392; Wan, arXiv 2503.20314.
#
# *Next:* 1 · One clock per frame, by hand.
