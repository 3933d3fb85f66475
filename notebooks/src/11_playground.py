# %% [markdown]
# # 11 · Playground: draw a schedule, run it
#
# *You need: chapters 1 and 2. Time: 15 minutes of reading, half a minute of CPU.*
#
# A schedule is a matrix, so it can be drawn by hand. The studio is the place for that: drag the columns of single
# frames, see at once what is wrong and what it costs, and watch the frames become clean.
#
# **After this chapter you can**
#
# - draw a schedule of your own, repair it, and copy the line of Python that rebuilds it;
# - follow a run state by state, and say at which row a frame first becomes recognisable;
# - compare two schedules from the same noise, frame by frame.

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
FAST = False

# %%
import matplotlib.pyplot as plt
import torch

import pusa_lab as pl
import small_models
from pusa_lab import data, schedules, tasks, viz
from pusa_lab.notebook import check, play, setup
from pusa_lab.studio import Editor, Player, ScheduleStudio

device = setup(seed=SEED, shapes=True)
ROWS, STEPS = STEPS, 2 if FAST else STEPS
model = small_models.load("mini-vta", device=device)
frames = model.geometry.frames
truth = data.read_clip("assets/clip.mp4")[:, ::4, ::4]
prompt = Path("assets/caption.txt").read_text().strip()

# %% [markdown]
# ## Drawing
#
# What the studio edits is an `Editor`: a matrix with a few editing operations. It needs no widget, so here it is in
# code.
#
# **Predict.** The column of frame 4 is dragged down to 0.2 early on, then frame 6 is delayed by three rows. What does
# each of the two do to the number of rows?

# %%
editor = Editor(frames, ROWS)
start = editor.schedule
editor.edit("drag", frame=4, row=2, level=0.2)
pulled = editor.schedule
editor.edit("delay", frame=6, by=3)
delayed = editor.schedule

fig, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained")
for ax, (name, S) in zip(
    axes, {"start": start, "frame 4 dragged": pulled, "frame 6 delayed": delayed}.items(), strict=True
):
    viz.plot_schedule(S, ax, title=name, colorbar=False)
plt.show()

assert len(pulled) == len(start), "dragging changes levels, not rows"
assert (pulled.diff(dim=0) <= 0).all(), "later rows follow, so no noise level rises"
assert len(delayed) == len(start) + 3, "a delay adds rows: no level is lost"
assert torch.equal(delayed[3:, 6], start[:, 6]), "frame 6 passes through the same levels, three rows later"

# %% [markdown]
# A cell painted by hand may be wrong. Then the studio says where, and what a repair would change.

# %% tags=["nbval-check-output"]
editor.edit("paint", frames=[2], rows=[3], level=1.0)
fault = editor.faults()[0]
print(fault.what)
print("fix:", fault.fix)
editor.fix(fault)
assert (fault.row, fault.frame) == (3, 2), "a fault is found where it is"
assert schedules.faults(editor.schedule) == [], "repaired"
editor.undo()
editor.undo()
assert torch.equal(editor.schedule, delayed), "two steps back: the repair and the painting"

# %% [markdown]
# You can export what you drew as one line of Python, or as a file:

# %%
editor.load("pyramid", steps=STEPS, lag=1)
print(editor.line())
assert torch.equal(eval(editor.line()), schedules.pyramid(STEPS, frames)), "the line rebuilds the matrix exactly"

# %% [markdown]
# ## The studio
#
# The same with the mouse. Without a kernel you see only a picture of it:
#
# ![The schedule studio: a heat map of noise levels with one column dragged and a fault marked](assets/studio.png)
#
# With a kernel, the next cell opens it. *Drag* changes a column's curve, *Paint* sets cells, *Freeze* makes a frame
# clean from the start, *Shift* delays a column, *Copy* gives its column to other frames. On the keyboard: arrows move,
# `+` and `-` change the level, `f` freezes, `[` and `]` shift, `Ctrl+Z` undoes. `studio.schedule` is the tensor, for
# reading and writing.

# %%
studio = ScheduleStudio(model, frames, STEPS, prompt=prompt, truth=truth)
display(studio)

# %%
studio.schedule = schedules.pyramid(STEPS, frames, lag=2)
assert len(studio.schedule) == STEPS + 2 * (frames - 1) + 1
try:
    studio.schedule = schedules.pyramid(STEPS, frames + 1)
except ValueError as error:
    print(error)
assert studio.schedule.shape[1] == frames, "a matrix of another length is refused, and the drawn one is kept"

# %% [markdown]
# ## Running it
#
# The first frame is known. At every row the model gives its estimate of the clean video: $\hat x_0 = x - \tau v$.
#
# **Predict.** Along a pyramid, which frames of the fifth row are already recognisable?

# %%
task = tasks.image_to_video(truth[0])
run = pl.prepare(model, prompt, task, schedule=schedules.pyramid(STEPS, frames), seed=SEED)
states = list(run.states())
sheets = viz.animate(states, model.decode)
play({"the model's estimate of the clean video, row by row": sheets}, fps=2, width=9 * 64)
fig, ax = plt.subplots(figsize=(9, 6), layout="constrained")
rows = [0, len(states) // 3, 2 * len(states) // 3, len(states) - 1]
ax.imshow(sheets[rows].reshape(-1, *sheets.shape[2:]))
ax.set(
    xticks=[64 * i + 32 for i in range(frames)],
    xticklabels=range(frames),
    xlabel="frame",
    yticks=[64 * k + 32 for k in range(len(rows))],
    yticklabels=rows,
    ylabel="row",
)
plt.show()

assert len(sheets) == len(run.schedule), "one picture for each row"
known = torch.as_tensor(sheets[:, :, :64]).float()
assert (known.diff(dim=0) == 0).all(), "the known frame is the same in every state"

# %% [markdown]
# The player moves through rows and frames. In the studio the same strip fills while the run continues:
#
# ![The studio after a run: every frame's clean estimate at the chosen row, with sliders](assets/studio-run.png)

# %%
display(Player(states[::4] if FAST else states, model.decode))

# %% [markdown]
# ## Comparing
#
# Same noise, same prompt, same known frame at its published level: only the schedules differ. The truth is known here,
# so every frame has a score.
#
# **Predict.** The pyramid finishes early frames first. Where should it differ most from the synchronous schedule: near
# the known frame, or far from it?

# %%
studio.schedule = schedules.pyramid(STEPS, frames)
studio.act(do="drop", name="still.png", at=0)
studio.act(do="pin")
studio.schedule = schedules.synchronous(STEPS, frames)
together = studio.run(compare=True)
staggered = studio.results["B"]
fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
for name, lane in {"synchronous": together, "pyramid": staggered}.items():
    ax.plot(lane.scores["psnr"], marker="o", label=name)
ax.set(xlabel="frame", ylabel="PSNR against the truth (dB)")
ax.legend()
plt.show()

assert len(together.scores["psnr"]) == frames, "a score for every latent frame"
assert not (together.video == staggered.video).all(), "the schedule alone changes the video"
given = tasks.image_to_video(data.read_picture("assets/still.png"), tasks.PRESETS["image_to_video"][0].noise)
by_hand = pl.generate(model, prompt, given, schedule=schedules.synchronous(STEPS, frames), seed=0)
assert (together.video == by_hand.video[0]).all(), "the studio runs what generate runs"

# %% [markdown]
# One video proves nothing about two schedules; chapter 7 compares schedules on many.
#
# ![Two schedules compared in the studio, with scores for each frame under each strip](assets/studio-compare.png)
#
# ## Exercises
#
# **1 · Fill in.** Dragging, on one column $c$: before row $r$ no level is below $m$, from $r$ on none is above it, and
# row $r$ has exactly $m$.


# %% tags=["exercise"]
def my_drag(column, row, level): ...


# %% tags=["check"]
column, S = torch.linspace(1, 0, 9), Editor(1, 8)
S.edit("drag", frame=0, row=5, level=0.7)
check(my_drag, lambda *_: S.schedule[:, 0], column, 5, 0.7)

# %% [markdown]
# **2 · Vary.** Start from one timestep for all frames, five frames of six steps. By how many rows must each frame be
# delayed to make `trapezoid` with a lag of 2? Five numbers.

# %% tags=["exercise"]
my_delays = ...

# %% tags=["check"]
if my_delays is ...:
    check(..., 0)
else:
    drawn = Editor(5, 6)
    for frame, by in enumerate(my_delays):
        drawn.edit("delay", frame=frame, by=by)
    check(drawn.schedule, schedules.trapezoid(6, 5, lag=2))

# %% [markdown]
# **3 · Invent.** Draw a schedule without faults for nine frames in which the middle frame is clean first and no two
# frames have the same column, in the studio or here with an `Editor`, and assign its tensor here.

# %% tags=["exercise"]
my_schedule = ...

# %% tags=["check"]
if my_schedule is ...:
    check(..., 0)
else:
    schedules.validate(my_schedule)
    first = schedules.describe(my_schedule).order[0]
    check(torch.tensor([*first, len(my_schedule.unique(dim=1).T)]), torch.tensor([4, 9]))

# %% [markdown]
# ## Recap
#
# | operation | what it does to $S$ |
# |---|---|
# | drag | sets one cell; earlier rows stay above it, later ones below |
# | paint | sets cells, whatever the neighbours are |
# | freeze | a column of zeros: the frame must be known |
# | delay | the same levels, later or earlier; rows are added where needed |
# | copy | one column for more frames |
#
# *What could go wrong:* a frame frozen in the matrix although it is not known; two schedules judged by one video.
#
# *Where the code lives:* `pusa_lab/studio/` (`edits.py` has all of the arithmetic), `pusa_lab/viz/animate.py`.
#
# *References:* Pusa V1.0, arXiv 2507.16116; Diffusion Forcing, arXiv 2407.01392.
