# %% [markdown]
# # 6 · Tasks without training
#
# *You need: chapters 0 and 1. Time: 20 minutes of reading, about half a minute of CPU.*
#
# A model with one timestep per frame was trained on one thing only: to remove noise, however it is spread over the
# frames. Which frames are known is decided at sampling time. So image to video, two ends, key frames, a gap to fill, a
# transition, an extension and a loop are the same call with different lists (arXiv 2507.16116).
#
# **After this chapter you can**
#
# - run every task, and make one of your own, by listing known frames;
# - tell latent frames from pixel frames, and place a picture or a clip where it fits;
# - use the two knobs, noise on the known frames and strength of the update, and say in numbers what each does.

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
STEPS = 8
GUIDANCE = 3.0
MODEL = "mini-vta"
SCENE = 16
FAST = False

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Markdown, display

import pusa_lab as pl
import small_models
from pusa_lab import metrics, pixels, tasks, viz
from pusa_lab.conditions import encode_at, place
from pusa_lab.notebook import check, play, setup
from small_models import experiments, world
from small_models.evaluation import evaluate, suite
from small_models.experiments.figures import figure
from small_models.world.reader import locate

device = setup(seed=SEED, shapes=True)
STEPS = 4 if FAST else STEPS
how = f"{STEPS} steps, guidance {GUIDANCE:g}, seed {SEED}"

# %% [markdown]
# ## A scene whose truth is known
#
# The model has never seen this scene, because its seed is not one of the training seeds. So whatever the model makes of
# a few known frames can be compared with what really happens.

# %%
model = small_models.load(MODEL, device=device)
geometry = model.geometry
frames, length = geometry.frames, geometry.pixel_frames(geometry.frames)
scene = world.draw_scenes(24, evaluate.EVAL_SEED, world.WORLDS[model.preset["world"]])[SCENE : SCENE + 1]
truth, caption = world.render(scene, length), world.captions(scene)[0]
video = pixels.to_uint8(truth)[0]
viz.filmstrip(video)
plt.title(caption)
plt.show()

# %% [markdown]
# ## Latent frames and pixel frames
#
# Timesteps belong to latent frames; pictures are pixel frames. The codec packs four pixel frames into each latent
# frame, except that the first holds only one: latent frame $i \ge 1$ holds pixel frames $1 + 4 (i - 1)$ to $4 i$.
#
# **Predict.** Which latent frame will a picture at pixel frame 16 belong to? Can a clip begin at pixel frame 16?

# %% tags=["nbval-check-output"]
print(tasks.frame_table(geometry))
assert geometry.latent_at(16) == 4, "pixel frame 16 is the last of latent frame 4"
assert list(geometry.pixels_at(frames - 1)) == [29, 30, 31, 32], "the last latent frame holds four pixel frames"
try:
    pl.prepare(model, caption, tasks.Task("clip", (tasks.Known(video[16:20], pixel_at=16),)))
except ValueError as error:
    print(f"\nA clip there: {error}")
else:
    raise AssertionError("a clip that cuts through latent frames must be refused")

# %% [markdown]
# ## Every task is a list of known frames
#
# `Known(clip, at)` says what is known and where. That is the whole difference between tasks: no task has a pipeline of
# its own, and the model was trained for none of them. (Algorithm 1 and App. D, arXiv 2507.16116.)
#
# **Predict.** For each line, write down which of the nine latent frames it makes known. The next cell compares.

# %% tags=["nbval-check-output"]
end = list(geometry.pixels_at(frames - 1))
todo = {
    "image_to_video": tasks.image_to_video(video[0]),
    "start_end": tasks.start_end(video[0], video[end]),
    "keyframes": tasks.keyframes([video[0], video[16], video[32]], pixel_at=[0, 16, 32]),
    "completion": tasks.completion(video, [range(0, 5), range(29, 33)]),
    "transition": tasks.transition(video[:9], video[-12:]),
    "extension": tasks.extension(video[:13]),
    "loop": tasks.loop(video[0]),
}
conditions = {name: place(task, geometry, frames) for name, task in todo.items()}
known = {name: found.at for name, found in conditions.items()}
for name, at in known.items():
    print(f"{name:15} {at}")

assert known["keyframes"] == [0, 4, 8]
assert known["completion"] == [0, 1, 8], "five pixel frames fill two latent frames, the last four fill one"
assert known["transition"] == [0, 1, 2, 6, 7, 8] and known["extension"] == [0, 1, 2, 3]
assert known["start_end"] == known["loop"], "a loop is start and end with one picture"

# %% [markdown]
# Now one call of `pl.generate` for each. First the schedules: frames across, rows downwards, dark is clean.


# %%
def make(task, model=model):
    return pl.generate(model, caption, task, steps=STEPS, guidance=GUIDANCE, seed=SEED)


def held(at):
    return [p for i in at for p in geometry.pixels_at(i)]


skipped = ("keyframes", "completion") if FAST else ()
results = {name: make(task) for name, task in todo.items() if name not in skipped}
fig, axes = plt.subplots(2, 4, figsize=(10, 4.6), layout="constrained", sharex=True, sharey=True)
for ax, (name, result) in zip(axes.flat, results.items(), strict=False):
    viz.plot_schedule(result.schedule, ax, title=name, colorbar=False)
    ax.label_outer()
for ax in axes.flat[len(results) :]:
    ax.set_axis_off()
plt.show()

# %%
for name, result in results.items():
    at = known[name]
    with torch.no_grad():
        given = conditions[name].encode(model).latents
    assert (result.schedule[:, at] == 0).all(), "the columns of known frames are dark"
    assert torch.equal(result.latents[:, :, at], given), "and so these frames come out exactly as given"
    free = [i for i in range(frames) if i not in at]
    assert (result.schedule[0, free] == 1).all(), "all others start from noise"

# %% [markdown]
# And the videos, next to the truth. Watch the corners: which object bounces where?

# %%
print(f"{caption}\n{how}, noise 0, strength 1, every second pixel frame; below each name the known latents")
shown = {f"{name}<br>{', '.join(map(str, known[name]))}": r.video[0, ::2] for name, r in results.items()}
shown = list({"truth<br>all": video[::2], **shown}.items())
play(dict(shown[:4]), fps=geometry.fps / 2)
play(dict(shown[4:]), fps=geometry.fps / 2)

# %% [markdown]
# ## How much the known frames help
#
# The same scene, the same seed, more or fewer known frames. `suite.fidelity` compares with the truth, over the pixel
# frames that were **not** given: PSNR, by how many pixels objects are off, and whether the mean colour jumps where
# known and generated frames meet (`metrics.boundary_jump`). A loop has no truth to compare with, because this scene
# does not return to its start.
#
# **Predict.** Where will image to video be worst? And extension, and transition?

# %%
found = {
    name: suite.fidelity(pixels.to_pixels(r.video), truth, scene, held(known[name]))
    for name, r in results.items()
    if name != "loop"
}
rows = ["| task | known of 33 | PSNR of the others | objects off by | colour jump |", "|---|---|---|---|---|"]
for name, f in found.items():
    psnr, off, jump = (f[key].item() for key in ("psnr", "position_error", "boundary_colour"))
    rows.append(f"| {name} | {len(held(known[name]))} | {psnr:.1f} dB | {off:.1f} px | {jump:+.1f} of 255 |")
display(Markdown("\n".join(rows)))

fig, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
for name, marker in {"image_to_video": "o", "extension": "s", "transition": "^"}.items():
    (line,) = ax.plot(found[name]["psnr_frame"][0], label=f"{name}, {how}")
    ax.plot(held(known[name]), found[name]["psnr_frame"][0, held(known[name])], marker, color=line.get_color())
ax.set(xlabel="pixel frame (marked: known)", ylabel="PSNR against the truth (dB)", ylim=(10, 36))
ax.legend(fontsize=8, loc="lower left")
plt.show()

both_free = held([3, 4, 5])
few, many = (found[name]["psnr_frame"][0, both_free].mean() for name in ("image_to_video", "transition"))
print(f"pixel frames 9 to 20: image to video {few:.1f} dB, transition {many:.1f} dB")
assert many > few, "frames known on both sides help those between them"

back = metrics.psnr(*(pixels.to_pixels(v) for v in (results["loop"].video[0, -1], video[0])))
away = metrics.psnr(*(pixels.to_pixels(v) for v in (results["image_to_video"].video[0, -1], video[0])))
print(f"last frame against frame 0: loop {back.item():.1f} dB, image to video {away.item():.1f} dB")
assert back > away + 3, "a loop returns to its picture"

# %% [markdown]
# Even known frames stay near 30 dB, because they pass through the codec, and the codec loses detail.
#
# ## A picture at the end, or the last four frames?
#
# A single picture at the last latent frame has to fill four pixel frames, so it is encoded as a still clip. On Wan this
# is said to show: the video freezes for its last four frames, and it is better to give those four as a clip (App. D,
# arXiv 2507.16116). `start_end` takes either.
#
# **Predict.** How far will the objects travel in the last latent frame of `mini`, in pixels per frame, given the
# picture? And given the clip?


# %%
def travel(clip):
    where, _ = locate(clip, scene.colour, scene.world)
    return where.diff(dim=1)[0, -3:, scene.present[0]].norm(dim=-1).mean().item() * clip.shape[-1]


ends = {"the truth": video, "the clip": results["start_end"].video[0]}
ends["a picture"] = make(tasks.start_end(video[0], video[-1])).video[0]
standstill = np.repeat(video[-1:], length, axis=0)
with torch.no_grad():
    through = model.decode(model.encode_video(pixels.to_pixels(standstill).to(device)))
ends["still clip, coded"] = pixels.to_uint8(through)[0]
moved = {name: travel(pixels.to_pixels(clip)) for name, clip in ends.items()}
viz.filmstrip({f"{name}: {moved[name]:.2f} px per frame": clip[-4:] for name, clip in ends.items()})
plt.gca().set_xticks([])
plt.gca().set_xlabel("the last four pixel frames")
plt.show()

assert moved["a picture"] > 0.7 * moved["the clip"], "on mini the picture does not freeze the end"
assert moved["still clip, coded"] < 0.3 * moved["a picture"], "although the codec can show things that stand still"
with torch.no_grad():
    still = encode_at(model, pixels.to_pixels(video[-1]).to(device), frames - 1)
    moving = encode_at(model, pixels.to_pixels(video[-4:]).to(device), frames - 1)
print(f"latents of picture and clip differ by {(still - moving).square().mean().sqrt():.2f} (root mean square)")
assert not torch.equal(still, moving), "the two are encoded differently all the same"

# %% [markdown]
# On `mini`, in this scene, the freeze does **not** show. Its small decoder seems to take the motion from the frames
# before: after moving frames, even the latent of a still clip keeps moving, nearly as fast as with the clip. What is
# true of Wan's codec need not hold for another. The advice stays the same: if you have the last four frames, give them.
#
# ## Longer videos
#
# `pl.extend_to` repeats the extension, window after window, each starting from the last frames generated so far.
#
# **Predict.** At which pixel frame is the first generated frame of the second window?

# %%
seconds = 57 / geometry.fps
longer = pl.extend_to(
    model, caption, results["extension"], seconds, overlap=3, steps=STEPS, guidance=GUIDANCE, seed=SEED
)
(seam,) = longer.seams
beyond = world.render(scene, longer.video.shape[1])
jump = metrics.boundary_jump(pixels.to_pixels(longer.video), [seam]).item()
viz.filmstrip({"truth": pixels.to_uint8(beyond)[0], "made": longer.video[0]}, known=range(13), most=9)
plt.title(f"extension to {seconds:.2f} seconds, seam at pixel frame {seam}, colour jump there {jump:+.2f} of 255")
plt.show()

assert longer.video.shape[1] == 57 and seam == length, "the second window continues where the first ended"
assert np.array_equal(longer.video[:, :seam], results["extension"].video), "the existing frames stay as they are"

# %% [markdown]
# Each window sees only the end of the one before, so errors are passed on: watch the colour of the cross. Chapter 7
# measures this drift on many scenes.
#
# ## Two knobs
#
# **Noise** on a known frame: with the noise level $m$, its timestep follows $m S$ instead of 0. The frame starts noised
# to $m$ and is denoised with the others, so it may change to fit them (App. B, arXiv 2507.16116, which advises 0.2 for
# a picture). **Strength** scales the low-rank update that adapted the model to one timestep per frame, $W + s B A$: 0
# is the base, 1 is as trained, the paper's runs use 1.4.
#
# **Predict.** Which knob changes frame 0? And does the other one change it too once the first is above 0?

# %%
NOISES, STRENGTHS = ((0.0, 0.6), (1.0,)) if FAST else ((0.0, 0.3, 0.6), (1.0, 1.4))
models = {s: model if s == 1 else small_models.load(MODEL, device=device, strength=s) for s in STRENGTHS}
grid = {(1.0, 0.0): results["image_to_video"]}
for s, m in [(s, m) for s in STRENGTHS for m in NOISES if (s, m) not in grid]:
    grid[s, m] = make(tasks.image_to_video(video[0], noise=m), models[s])

fig, axes = plt.subplots(1, len(NOISES), figsize=(3.2 * len(NOISES), 2.6), layout="constrained")
for ax, m in zip(axes, NOISES, strict=True):
    S = grid[1.0, m].schedule
    viz.plot_schedule(S, ax, title=f"noise {m:g}", colorbar=False)
    assert torch.allclose(S[:, 0], m * S[:, 1]), "the column of frame 0 is m times that of a free frame"
plt.show()

# %%
scores = {key: suite.fidelity(pixels.to_pixels(r.video), truth, scene, [0]) for key, r in grid.items()}
print(f"{caption}\nimage to video, {how}; every second pixel frame")
for s in STRENGTHS:
    row = {}
    for m in NOISES:
        kept, psnr = (scores[s, m][key].item() for key in ("known_psnr", "psnr"))
        row[f"noise {m:g}, strength {s:g}<br>frame 0 {kept:.1f} dB<br>others {psnr:.1f} dB"] = grid[s, m].video[0, ::2]
    play(row, fps=geometry.fps / 2)

for s in STRENGTHS:
    kept = [scores[s, m]["known_psnr"].item() for m in NOISES]
    assert kept == sorted(kept, reverse=True) and kept[0] > kept[-1] + 3, "the more noise, the more frame 0 changes"
    assert torch.equal(grid[s, 0.0].latents[:, :, 0], results["image_to_video"].latents[:, :, 0]), "not at noise 0"

# %% [markdown]
# Without noise, frame 0 is the same for every strength, because no step changes it. With noise, both knobs change it.
#
# ## Measured on many scenes
#
# One scene proves little. The shipped results hold many unseen scenes, and 95 % intervals from resampling them. Where
# intervals overlap much, the order is uncertain.
#
# **Predict.** Does the PSNR of the *other* frames fall as noise is added to the known ones, and from which level on?

# %% tags=["nbval-check-output"]
names = ("noise", "tasks", "lora")
noise, measured, lora = (experiments.read_results(experiments.RESULTS / f"{name}.json") for name in names)
sizes = noise["sizes"]
print(f"noise: {sizes['swept']} scenes with {sizes['seeds']} seed(s) each, on {sizes['preset']}, {noise['date']}")

curves = {}  # one level for all known frames; published lists of levels are omitted here
for row in noise["rows"]:
    if row["key"]["mode"] == "denoise" and not isinstance(row["key"]["noise"], list):
        curves.setdefault(row["key"]["task"], []).append(row)
labels = {
    "known_psnr": "PSNR of known frames (dB)",
    "psnr": "PSNR of the others (dB)",
    "motion": "motion / true motion",
}
fig, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
for ax, (score, label) in zip(axes, labels.items(), strict=True):
    for task, rows in curves.items():
        level = [row["key"]["noise"] for row in rows]
        mean, low, high = np.array([row["scores"][score] for row in rows]).T
        ax.errorbar(level, mean, [mean - low, high - mean], marker="o", capsize=3, label=task)
    ax.set(xlabel="noise on the known frames", ylabel=label)
axes[0].legend(fontsize=8)
plt.show()

for task, rows in curves.items():
    ends = [next(r for r in rows if r["key"]["noise"] == m)["scores"]["known_psnr"] for m in (0.0, 1.0)]
    assert ends[1][2] < ends[0][1], f"{task}: at noise 1 the known frames are forgotten"

# %% [markdown]
# Now every task with the shipped model, which was trained for none of them; for image-to-video also Wan's own approach,
# which was trained for exactly that.
#
# **Predict.** Which task is the easiest, and why?

# %%
figure(measured)
plt.show()

table = {(row["key"]["task"], row["key"]["model"]): row for row in measured["rows"]}
gain = {t: table[t, "VTA, shipped"]["scores"]["psnr"][0] for t in ("image_to_video", "extension")}
print(", ".join(f"{t} {db:.1f} dB" for t, db in gain.items()))
assert gain["extension"] > gain["image_to_video"], "several known frames show the motion, a single picture does not"

# %% [markdown]
# And strength, for updates of several ranks and lengths of training; for the longest training the best strength is
# printed. In the paper the best strength is above 1 and decreases with longer training (Tables 4a and 4c).

# %% tags=["nbval-check-output"]
figure(lora).set_dpi(64)  # sixteen panels: the notebook stays under a megabyte
plt.show()

longest = max(row["key"]["share"] for row in lora["rows"])
for rank in dict.fromkeys(row["key"]["rank"] for row in lora["rows"]):
    rows = [r for r in lora["rows"] if r["key"]["rank"] == rank and r["key"]["share"] == longest]
    best = max(rows, key=lambda r: r["scores"]["total"][0])["key"]["strength"]
    print(f"{rank if isinstance(rank, str) else f'rank {rank}'}: best Total at strength {best:g}")

# %% [markdown]
# ## Exercises
#
# **1 · Fill in.** The list of known frames for start and end: the picture `first` at the beginning, and the clip `last`
# such that it ends where the video ends, both at the noise level `noise`.


# %% tags=["exercise"]
def my_start_end(first, last, noise): ...  # a tuple of two tasks.Known


# %% tags=["check"]
def begun(listed):
    if listed is None or listed is Ellipsis:
        return None
    run = pl.prepare(model, caption, tasks.Task("mine", tuple(listed)), steps=2, guidance=1.0, seed=SEED)
    return torch.cat([run.x.flatten(), run.schedule.flatten()])


given = (video[0], video[end], 0.4)
check(begun(my_start_end(*given)), begun(tasks.start_end(*given).known))

# %% [markdown]
# **2 · Vary.** Find a noise level at which image to video takes frame 0 only as a suggestion: regenerated so freely
# that its PSNR against the picture is between 20 and 27 dB. (At noise 0 it is above 30, at noise 1 near 12.)

# %% tags=["exercise"]
my_noise = None  # a number in [0, 1]

# %% tags=["check"]
if my_noise is None:
    check(None, True)
else:
    mine = make(tasks.image_to_video(video[0], noise=my_noise)).video[0, 0]
    db = metrics.psnr(pixels.to_pixels(mine), pixels.to_pixels(video[0])).item()
    print(f"frame 0 against the picture: {db:.1f} dB")
    check(20 < db < 27, True)

# %% [markdown]
# **3 · Invent.** A task of your own: known frames in positions that none of the tasks above uses, at least two of them,
# and unchanged at the end. Which question does it ask the model?

# %% tags=["exercise"]
my_task = None  # tasks.Task("...", (tasks.Known(..., at=...), ...))

# %% tags=["check"]
if my_task is None:
    check(None, True)
else:
    mine, asked = make(my_task), pl.prepare(model, caption, my_task, steps=STEPS, seed=SEED).conditions
    kept = len(asked.at) > 1 and torch.equal(mine.latents[:, :, asked.at], asked.latents)
    check(torch.tensor([kept, sorted(asked.at) not in known.values()]), torch.tensor([True, True]))
    viz.plot_result(mine, held(asked.at), title=f"{my_task.name}: {how}")
    plt.show()

# %% [markdown]
# ## Recap
#
# | task | known latent frames of nine | how |
# |---|---|---|
# | `image_to_video` | 0 | a picture |
# | `start_end`, `loop` | 0, 8 | two pictures, or a picture and a clip of the last four pixel frames |
# | `keyframes` | any | pictures, `at` latent frames or `pixel_at` pixel frames |
# | `completion` | any | parts of a video, whole latent frames, each encoded alone |
# | `transition` | first and last few | two clips |
# | `extension`, `extend_to` | first few | a clip; repeated for longer videos |
#
# *What could go wrong:* counting pixel frames where latent frames are meant; a clip that begins inside a latent frame;
# cutting known latents out of a whole encoded video, which leaks what came before them; judging a knob by a single
# seed.
#
# *Where the code lives:* `pusa_lab/tasks/`, `pusa_lab/conditions.py` (placing and encoding), `pusa_lab/extend.py`;
# `tasks.PRESETS` holds the levels that were published for Wan; the sweeps are made by `pusa-lab bench paper`.
#
# *References:* Pusa V1.0, arXiv 2507.16116; LoRA, arXiv 2106.09685.
#
# *Next:* 7 · Measuring.
