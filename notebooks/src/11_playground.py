# %% [markdown]
# # 11 · Playground: draw a schedule, run it
#
# **You have an idea for a schedule that has no name yet: settle the end of a video first, then fill in the rest. How
# long does it take to find out whether it is any good?**
#
# *You need: chapters 1 and 2. Time: 20 minutes of reading, one to two minutes of CPU.*
#
# About five minutes, in the studio: draw it, run it, be surprised, compare, and keep the line of Python. This chapter
# follows one such idea from the first stroke to the verdict. If you run the notebook, you can do every step with the
# mouse. If you only read it, you see pictures of the studio, and the same steps in code.
#
# **After this chapter you can**
#
# - draw a schedule of your own, repair it, and keep the line of Python that rebuilds it;
# - follow a run row by row, and say at which row a frame becomes recognisable;
# - compare schedules from the same noise, frame by frame, and test an explanation instead of believing it.

# %% tags=["setup"]
# build.py puts the installing cell here.

# %% tags=["parameters"]
SEED = 0
SEEDS = 3
STEPS = 10
FAST = False

# %%
from functools import wraps

import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown, display

import pusa_lab as pl
import pusa_lab.notebook as nb
import small_models
from pusa_lab import data, metrics, pixels, schedules, tasks, viz
from pusa_lab.evaluation import known_frames
from pusa_lab.studio import Editor, Player, ScheduleStudio

device = nb.setup(seed=SEED, shapes=True)
SEEDS, STEPS = (1, 3) if FAST else (SEEDS, STEPS)
model = small_models.load("mini-vta", device=device)
frames = model.geometry.frames
truth = data.read_clip(nb.asset("assets/clip.mp4"))[:, ::4, ::4]
picture = data.read_picture(nb.asset("assets/still.png"))
prompt = nb.asset("assets/caption.txt").read_text().strip()
print(prompt)

# %% [markdown]
# ## The idea
#
# The first frame of this video is given, and the prompt says what happens. Chapter 2's `pyramid` finishes the frames
# one after the other, from the given one on. By the time it reaches the last frame, small errors may have added up. So
# would it not be better to settle the *last* frame early as well, as a goal for the frames between? The zoo's
# `trapezoid` comes closest, but it works inwards from both ends; what we want is a pyramid whose last frame is moved to
# the front. A schedule is only a matrix, so let us draw it.
#
# The studio has five tools for that:

# %% tags=["hide-input"]
nb.diagram(
    "11_five_tools",
    "The five tools of the studio on one small schedule: Drag, Paint, Freeze, Shift and Copy; the cells that each one changes "
    "have an orange edge.",
)

# %% [markdown]
# An orange edge marks what a tool changed. *Drag* sets one cell, and the column follows so that no noise level ever
# rises: pull a cell down, as here, and those below it follow; pull one up, and those above do. In symbols, for a column
# $c$, row $r$ and level $m$:
#
# $$c'_q = \begin{cases} \max(c_q, m) & q < r \\ m & q = r \\ \min(c_q, m) & q > r \end{cases}$$
#
# If $c$ never rises, neither does $c'$: a maximum or minimum with a constant keeps the order within each part, and the
# parts meet at $m$, with nothing smaller before and nothing larger after. *Paint* sets cells and nothing else. *Shift*
# delays a whole column, which keeps its levels and adds rows where they are needed.
#
# ## Drawing it
#
# What the studio edits is an `Editor`, a matrix with these tools and an undo. It needs no widget, so here is the
# drawing in code: load a pyramid, then drag the last frame down to clean in row 4.
#
# **Predict.** In the pyramid, frame 8 is still pure noise in row 4. What will its column look like after the drag?

# %%
editor = Editor(frames, STEPS)
editor.load("pyramid", steps=STEPS, lag=1)
pyramid = editor.schedule
editor.edit("drag", frame=8, row=4, level=0.0)
dragged = editor.schedule

fig, axes = plt.subplots(1, 2, figsize=(9.5, 3.6), layout="constrained")
for ax, (name, S) in zip(axes, {"pyramid": pyramid, "frame 8 dragged": dragged}.items(), strict=True):
    viz.plot_schedule(S, ax, title=name, colorbar=False)
plt.show()
print("frame 8 from row to row:", *(f"{level:g}" for level in dragged[:7, 8].tolist()))

# %% tags=["hide-input"]
assert len(dragged) == len(pyramid), "dragging changes levels, not rows"
assert (dragged.diff(dim=0) <= 0).all(), "later rows follow, so no noise level rises"

# %% [markdown]
# <details><summary>Answer</summary>
#
# Noise in rows 0 to 3, clean from row 4 on: the rows above were at 1 already, and everything below follows down to 0.
# It is what was asked for. Remember the cliff between rows 3 and 4; it will matter. (What is drawn in column 0 will
# not: a given frame keeps the levels of its picture.)
#
# </details>
#
# In the studio it is one movement of the mouse. (The thin blue curve is that of the selected column, here frame 0, with
# rows downwards and levels across.)
#
# ![The studio: a pyramid with its last column dragged to clean in row 4, and a painted cell marked as a fault](assets/studio.png)
#
# The pink cell is a slip. Somebody painted a cell in frame 6, so that its noise level would *rise* from one row to the
# next. The studio says where, and what *Fix* would change. The same slip in code:

# %% tags=["nbval-check-output"]
slip = Editor(9, 10)
slip.load("pyramid", steps=10, lag=1)
before = slip.schedule
slip.edit("paint", frames=[6], rows=[12], level=0.9)
fault = slip.faults()[0]
print(fault.what)
print("fix:", fault.fix)
assert (fault.row, fault.frame) == (12, 6), "a fault is found where it is"
slip.fix(fault)
assert schedules.faults(slip.schedule) == [], "repaired"
slip.undo()
slip.undo()
assert torch.equal(slip.schedule, before), "two steps back: the repair and the painting"

# %% [markdown]
# In a running notebook the next cell opens the studio with our drawing in it. On the keyboard, arrows move, `+` and `-`
# change the level, `f` freezes, `[` and `]` shift, and `Ctrl+Z` undoes. `studio.schedule` is the tensor, for reading and
# writing.

# %%
studio = ScheduleStudio(model, frames, STEPS, prompt=prompt, truth=truth)
studio.schedule = dragged
display(studio)
assert torch.equal(studio.schedule, dragged), "what was set is what is drawn"

# %% [markdown]
# ## Running it
#
# *Run* samples with the schedule that is drawn. While it runs, the strip of frames shows the model's current estimate
# of the clean video. Where does that come from? A state is $x = (1 - \tau)\, x_0 + \tau\, \epsilon$, and the model
# estimates $v = \epsilon - x_0$. Insert $\epsilon = x_0 + v$:
#
# $$x = (1 - \tau)\, x_0 + \tau\, (x_0 + v) = x_0 + \tau v \quad\Longrightarrow\quad \hat x_0 = x - \tau v .$$
#
# (The task gives the picture with `noise=0.2`: frame 0 starts at that level and is denoised a little itself; chapter 6
# says why.)
#
# **Predict.** Which frames of the strip will be recognisable first? And will frame 8, clean from row 4 on, show where
# the square ends up, and in which colour?

# %%
task = tasks.image_to_video(picture, noise=0.2)
run = pl.prepare(model, prompt, task, schedule=dragged, seed=SEED)
states = list(run.states())
sheets = viz.animate(states[-4:] if FAST else states, model.decode)  # (rows, h, frames * w, 3)
nb.play({"the model's estimate of the clean video, row by row": sheets}, fps=2, width=9 * 64)

# %% tags=["hide-input"]
rows = range(len(states) - 4, len(states)) if FAST else [1, 4, len(states) // 2, len(states) - 1]
goal = truth[::4].swapaxes(0, 1).reshape(1, truth.shape[1], -1, 3)  # the true frames side by side
fig, ax = plt.subplots(figsize=(9.5, 5.6), layout="constrained")
chosen = sheets[[row - len(states) for row in rows]]
ax.imshow(torch.cat([torch.as_tensor(chosen), torch.as_tensor(goal.copy())]).flatten(0, 1))
ax.set(xticks=[64 * i + 32 for i in range(frames)], xticklabels=range(frames), xlabel="frame")
ax.set(yticks=[64 * k + 32 for k in range(5)], yticklabels=[*(f"row {row}" for row in rows), "truth"])
plt.show()
assert len(sheets) == len(states[-4:] if FAST else dragged), "one picture for each row"
assert torch.equal(states[4].x[:, :, 8], states[-1].x[:, :, 8]), "frame 8 is not changed after row 4"

# %% [markdown]
# Read the picture from the top down, and compare the last two rows. Frames near the given one become sharp and red
# first, as the pyramid wants. And the right-hand column?
#
# <details><summary>Answer</summary>
#
# Frame 0 is given, and its neighbours follow. Frame 8 is settled in row 4. Its square is about where it ends up, but it
# is yellow and white instead of red, and it remains the odd one out. Its latent is the same from row 4 to the end
# (asserted). Its pixels are not quite: they turn towards orange, because the decoder looks at neighbouring latent frames
# as well, and those get better.
#
# </details>
#
# In the studio the same strip fills while the run continues, and the sliders go back to any row:
#
# ![The studio after the run: the last frame shows a yellow square instead of a red one, and has the lowest score](assets/studio-run.png)
#
# In a running notebook, `Player` gives you the sliders alone:

# %%
display(Player(states[-1:] if FAST else states, model.decode))

# %% [markdown]
# ## The first surprise, and a repair
#
# Why is frame 8 yellow? Look at its column again: 1, 1, 1, 1, 0. It goes from pure noise to clean in *one* call of the
# model. At $\tau = 1$ the best estimate of $x_0$ is an average over all that the model still holds possible, so one
# suspect is "too few steps". But there is a second. Guidance, here 2, takes the model's velocity with the prompt and
# goes beyond it, away from the one without: $v = v_\varnothing + 2\,(v_\text{prompt} - v_\varnothing)$. That
# overshoots, and with a single call nothing comes after it that could put it right.
#
# **Predict.** Run the same drawing with guidance 1, so that only the first suspect is left. What will frame 8 be:
# yellow, blurred, or a red square? (One run may be luck. Below we check it with three noises, and with another schedule
# as a control.)

# %%
sober = pl.generate(model, prompt, task, schedule=dragged, seed=SEED, guidance=1.0).video[0]
lasts = {"guidance 2": sheets[-1][:, -64:], "guidance 1": sober[-1], "truth": truth[-1]}
fig, axes = plt.subplots(1, 3, figsize=(9.5, 3), layout="constrained")
for ax, (name, image) in zip(axes, lasts.items(), strict=True):
    ax.imshow(image)
    ax.set(title=f"frame 8, {name}", xticks=[], yticks=[])
plt.show()

# %% tags=["hide-input"]
error = {name: abs(image.astype(float) - truth[-1]).mean() for name, image in lasts.items()}
assert error["guidance 1"] < 0.7 * error["guidance 2"], "one call is not enough to explain it; one guided call is"

# %% [markdown]
# <details><summary>Answer</summary>
#
# A red square, with soft edges. So one call does not spoil the colour; one *guided* call does. The first explanation
# that fits is not always the right one, and it took one line to find out.
#
# </details>
#
# We wanted "early" and drew "at once". With guidance as it is, the repair is another tool. *Copy* gives frame 8 the
# column of frame 0, which falls in small steps. Undo the drag first:

# %%
editor.undo()
editor.edit("copy", frame=0, to=[8])
copied = editor.schedule
print("frame 8 from row to row:", *(f"{level:.2g}" for level in copied[:7, 8].tolist()))
assert torch.equal(copied[:, 8], copied[:, 0]), "first and last frame go together"
assert (copied.diff(dim=0)[:, 8] >= -1 / STEPS - 1e-6).all(), "now in small steps"

# %% [markdown]
# ## Comparing
#
# So the repair helps. But is the idea any good? It has to beat what is there already: the pyramid it was made from, and
# the plainest schedule of all, one timestep for all frames. Same prompt, same given picture, the same three noises for
# each; only the schedules differ. The truth is known here, so every frame gets a score, the PSNR in decibels: 6 dB more
# mean half the error (root mean square).
#
# **Predict.** Put the four in order of the score of frame 8. Will the order be the same for every noise? And which of
# them needs the fewest calls of the model?

# %%
tried = {"dragged": dragged, "copied": copied, "pyramid": pyramid, "synchronous": schedules.synchronous(STEPS, frames)}
COLOURS = dict(zip(tried, ("#d55e00", "#cc79a7", "#009e73", "#0072b2"), strict=True))
real = pixels.to_pixels(truth)


def scores(S, seed=SEED, guidance=2.0, given=task):
    """PSNR of every latent frame; each but the first stands for four pixel frames."""
    made = pl.generate(model, prompt, given, schedule=S, seed=seed, guidance=guidance).video[0]
    of_pixels = metrics.psnr(pixels.to_pixels(made), real)[0]
    return torch.stack([of_pixels[0], *of_pixels[1:].unflatten(0, (-1, 4)).mean(dim=1)])


def by_noise(S, **how):  # (noises, frames)
    return torch.stack([scores(S, SEED + n, **how) for n in range(SEEDS)])


psnr = {name: by_noise(S) for name, S in tried.items()}

# %%
lines = ["| schedule | calls | frame 8, mean | noise by noise | all frames |", "|" + "---|" * 5]
for name, S in tried.items():
    last, calls = psnr[name][:, 8], (S.diff(dim=0) != 0).any(dim=1).sum()
    each = ", ".join(f"{one:.1f}" for one in last)
    lines.append(f"| {name} | {calls} | {last.mean():.1f} dB | {each} | {psnr[name].mean():.1f} dB |")
display(Markdown("\n".join(lines)))
last = {name: one[:, 8] for name, one in psnr.items()}

# %% tags=["hide-input"]
assert all((last["dragged"] < one - 2).all() for name, one in last.items() if name != "dragged"), "worst in every noise"
assert last["copied"].mean() < last["synchronous"].mean(), "small steps help, but the idea does not win"
assert len(tried["synchronous"]) < len(pyramid), "and the plainest schedule is the cheapest"

# %% [markdown]
# In the studio, *Pin as B* keeps the first try, and *Compare* runs both from the same noise. The scores of frame 8
# stand in the table, as the first noise:
#
# ![Two schedules compared in the studio, the copied column above the dragged one, with scores under each frame](assets/studio-compare.png)
#
# *Dragged* is far behind, and the other three are within a decibel of one another. Is *copied* really worse than
# *synchronous* at frame 8? Both were run from the same three noises, and a noise that is hard for one is hard for the
# other. So do not compare two means; subtract, noise by noise. On the left of the figure are the scores, as means over
# noises; on the right the differences from *synchronous*. Each thin line is one noise, the thick line is their mean.

# %% tags=["hide-input"]
others = [name for name in psnr if name != "synchronous"]
fig, axes = plt.subplot_mosaic(
    [["scores", *others]], figsize=(9.5, 3.4), layout="constrained", width_ratios=(1.7, 1, 1, 1)
)
for name, one in psnr.items():
    axes["scores"].plot(one.mean(dim=0), marker=".", color=COLOURS[name], label=name, lw=2)
for name in others:
    ax, gap = axes[name], psnr[name] - psnr["synchronous"]  # in pairs
    ax.plot(gap.T, color=COLOURS[name], lw=0.8, alpha=0.7)
    ax.plot(gap.mean(dim=0), color=COLOURS[name], lw=2.4)
    ax.axhline(0, color=COLOURS["synchronous"], lw=1)
    ax.set(title=name, xlabel="frame", ylim=(-15, 6), xticks=range(0, frames, 2))
    ax.tick_params(labelleft=name == "dragged")
axes["dragged"].set(ylabel="above synchronous (dB)")
axes["scores"].set(xlabel="frame", ylabel="PSNR against the truth (dB)")
axes["scores"].legend()
plt.show()

# %%
control = {name: by_noise(tried[name], guidance=1.0) for name in ("dragged", "copied")}
for name, one in control.items():
    print(f"{name}, frame 8: guidance 2", *(f"{x:.1f}" for x in last[name]), end=" dB; guidance 1 ")
    print(*(f"{x:.1f}" for x in one[:, 8]), "dB")

# %% tags=["hide-input"]
free = {name: one[:, 8] - last[name] for name, one in control.items()}  # gained without guidance
assert (free["dragged"] > 2).all(), "without guidance the drag does not ruin frame 8, in any noise"
assert (free["copied"] < free["dragged"]).all(), "and copied gains less, if at all"

# %% [markdown]
# On the left, all lines end below their beginning. At frame 8 orange falls off a cliff, and on the right it does so
# in every noise.
#
# What else may be read on the right? Little. Even where there is no difference at all, three noises agree in sign by
# chance once in four ($2 \cdot \frac{1}{2^3}$). So a frame at which all three thin lines lie on one side says nothing
# yet, and a run of such frames is only a hint, because neighbours go wrong together.
#
# <details><summary>Answer</summary>
#
# Dragged is last for every noise, by some ten decibels. The other three are close together; the plainest is a hair
# ahead on average, not for every noise, and needs the fewest calls. Waiting is not free: a row in which only some frames
# move is a call of the model like any other.
#
# The printed lines are the promised check. Without guidance, *dragged* is saved in all three noises, and even beats
# *copied*. (Perhaps because a single call gives an average, which PSNR likes.) Is guidance simply harmful? The
# control says no: *copied*, with its small steps, does not gain by losing it. It takes both, guidance and a single
# call.
#
# </details>
#
# ## A theory, and how it fares
#
# Why did the repaired drawing not win? Here is a theory. While a frame $f$ is denoised, it can learn from the others
# only what they know already. So a frame that decides among noisy ones must guess, and *copied* makes frame 8 decide
# early. Let us give its company, the *other* frames, a number: their mean noise level, weighted by the steps of $f$:
#
# $$\text{company}_f = \frac{\sum_n (S_{n,f} - S_{n+1,f}) \cdot \text{mean}_{g \ne f}\, S_{n,g}}{S_{0,f} - S_{N,f}}$$
#
# The weights add up to the denominator, so this is an average: 1 if $f$ was settled among pure noise, 0 among finished
# frames.


# %%
def company(S, frame):
    S = pl.prepare(model, prompt, task, schedule=S).schedule  # the column of the given frame as it is
    others = torch.cat([S[:-1, :frame], S[:-1, frame + 1 :]], dim=1).mean(dim=1)
    return (others * -S[:, frame].diff()).sum() / (S[0, frame] - S[-1, frame])


print("company of frame 8:", *(f"{name} {company(S, 8):.2f} " for name, S in tried.items()))

# %% [markdown]
# Set beside the scores above, these numbers decide nothing. *Dragged* has the noisiest company and the worst score, as the
# theory says, but we know another reason for that. The other three differ much in company, and little in frame 8; and
# they differ in other things as well, such as how many rows the rest of the video waits.
#
# A theory deserves its most obvious experiment: **change the company and nothing else.** Let frame 8 fall in the same
# even steps every time, and let the others do so after it (*first*), with it (*together*), or before it (*last*). And
# since finished frames cannot change any more, it may matter whether they are *right*: in the fourth case frames 0 to 7
# are given, all true. And all of it without guidance, which we know to interfere.
#
# **Predict.** Put the four cases in order. Which step from one to the next will gain most?


# %%
def in_turn(frames_first):  # these fall in the first STEPS rows, the others in the next
    fall, S = torch.linspace(1, 0, STEPS + 1), torch.ones(2 * STEPS + 1, frames)
    for frame in range(frames):
        begin = 0 if frame in frames_first else STEPS
        S[begin : begin + STEPS + 1, frame], S[begin + STEPS :, frame] = fall, 0.0
    return S


together = tried["synchronous"]
eight = tasks.Task("eight true frames", known_frames(truth[None], list(range(8)), model.geometry))
cases = {"first": (in_turn([8]), task), "together": (together, task), "last": (in_turn(range(8)), task)}
cases["last, others true"] = (together, eight)
alone = {}
for case, (S, given) in cases.items():
    alone[case] = by_noise(S, guidance=1.0, given=given)[:, 8]
    about = f"company {company(S, 8):.2f}; " if given is task else ""
    print(f"{case}: {about}noise by noise", *(f"{x:.1f}" for x in alone[case]), "dB")
each = torch.stack([*alone.values()])  # (cases, noises)

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 4, figsize=(9.5, 3.2), layout="constrained", width_ratios=(1, 1, 1, 2.4))
for ax, case in zip(axes, ("first", "together", "last"), strict=False):
    viz.plot_schedule(cases[case][0], ax, title=f"frame 8 {case}", colorbar=False)
    ax.set(xticks=range(0, frames, 2), ylabel="row" if case == "first" else "")
axes[3].plot(each, color="#8a8f98", lw=0.8, marker=".")
axes[3].plot(each.mean(dim=1), color="#0072b2", lw=2.4, marker="o")
axes[3].set(xticks=range(4), xticklabels=[case.replace(", ", ",\n") for case in alone], xlim=(-0.3, 3.3))
axes[3].set(ylabel="PSNR of frame 8 (dB)")
plt.show()
if not FAST:
    assert (each.diff(dim=0) > 0).all(), "quieter company is better in every noise, and true company best"

# %% [markdown]
# On the left, the column of frame 8 falls in the same steps in each schedule. On the right each grey line is one noise,
# followed through the four cases; blue is their mean.
#
# <details><summary>Answer</summary>
#
# In the order in which they were listed, and so for every noise. Luck? If company did not matter, the first three cases
# would come in this order once in six, and so in three noises once in $6^3 = 216$. So for this frame, with nothing else
# changed, the theory holds. Which step gains most depends on the noise, but look at the right-hand end: with true
# company the three noises agree, and with finished company they lie many decibels apart. A frame that waits inherits
# what the others have decided, with their mistakes; company that is *right* is worth more than company that is merely
# finished.
#
# Does it explain the table above, then? No. There guidance was 2, and at frame 8 *copied*, which decides early, is level
# with *synchronous*, while *pyramid*, with the quietest company, is last of the three on average. In the guided comparison
# something else weighs as much. That a theory holds does not make it the reason for what you saw.
#
# </details>
#
# What holds here: one guided call ruins the frame, and neither guidance nor a single call does it alone; nothing we drew
# is clearly better than the plainest schedule. It is still one scene and three noises. Chapter 7 compares on many.
#
# ## Keeping the line
#
# A drawing that you want to keep is one line of Python, or a file. A schedule from the zoo is called by its name; one that
# was drawn has its columns in the line:

# %%
named = Editor(frames, STEPS)
named.load("pyramid", steps=STEPS, lag=1)
print(named.line())
print(editor.line()[:100], "...")
assert torch.equal(eval(named.line()), pyramid), "the line rebuilds the matrix exactly"
assert torch.equal(eval(editor.line()), copied), "also a drawn one"

# %% [markdown]
# So that was the five minutes: an idea, a slip, a surprise, a repair, a fair comparison, a line to keep. The idea did
# not win. Our theory held where it was tested alone, yet does not explain the first table. And was frame 8 a special
# case? That is Exercise 3.

# %% [markdown]
# ## Exercises
#
# **1 · Fill in.** Write *Drag* for one column. Your function gets a column of levels (rows,), a row, and a level, and
# returns a new column: before that row no level is below the given one, after it none is above, and the row itself has
# it exactly. Success: it equals the studio's, and you see your column beside the old one.
#
# <details><summary>Hint</summary>
#
# The formula above has three cases: `clamp(min=...)` for the rows before, `clamp(max=...)` for those after. Work on a
# `clone()`, so that the old column stays as it is.
#
# </details>


# %% tags=["exercise"]
def my_drag(column, row, level): ...


# %% tags=["check"]
def edited(before, after):
    def drag(column, row, level):
        parts = before(column[:row], level), column.new_tensor([level]), after(column[row + 1 :], level)
        return torch.cat(parts)

    return drag


def rows(row_itself):
    return lambda c, r, m: torch.cat([c[:r].clamp(min=m), row_itself(c, r, m), c[r + 1 :].clamp(max=m)])


@wraps(my_drag)
def watched(column, row, level):
    given = column.clone()
    out = my_drag(given, row, level)
    return out if out is None or torch.equal(given, column) else torch.full_like(column, -1)


old, by_hand = torch.linspace(1, 0, 9), Editor(1, 8)
by_hand.edit("drag", frame=0, row=5, level=0.7)
for row, level in ((5, 0.7), (2, 0.1)):
    nb.check(
        watched,
        edited(lambda c, m: c.clamp(min=m), lambda c, m: c.clamp(max=m)),
        old,
        row,
        level,
        axes="(rows,)",
        mistakes={
            "only later rows are pulled down: the row itself gets the level, and earlier rows may have to follow.": (
                lambda c, r, m: torch.cat([c[:r], c[r:].clamp(max=m)])
            ),
            "all later rows have the level now: those that were below it already keep theirs.": lambda c, r, m: (
                torch.cat([c[:r].clamp(min=m), torch.full_like(c[r:], m)])
            ),
            "all earlier rows have the level now: those that were above it already keep theirs.": lambda c, r, m: (
                torch.cat([torch.full_like(c[: r + 1], m), c[r + 1 :].clamp(max=m)])
            ),
            "before and after are exchanged: earlier rows are noisier.": edited(
                lambda c, m: c.clamp(max=m), lambda c, m: c.clamp(min=m)
            ),
            "the rows before do not follow: none of them may be below the level.": edited(
                lambda c, m: c, lambda c, m: c.clamp(max=m)
            ),
            "the rows after do not follow: none of them may be above the level.": edited(
                lambda c, m: c.clamp(min=m), lambda c, m: c
            ),
            "the row itself is not set to the level.": rows(lambda c, r, m: c[r : r + 1]),
            "you changed the old column: work on a copy of it, and return that.": lambda c, r, m: torch.full_like(
                c, -1
            ),
            "every row has the level now: rows that are in order already should keep theirs.": lambda c, r, m: (
                torch.full_like(c, m)
            ),
        },
    )
if not nb.unwritten(my_drag):
    assert torch.equal(my_drag(old, 5, 0.7), by_hand.schedule[:, 0]), "as in the studio"
    fig, ax = plt.subplots(figsize=(9, 2.6), layout="constrained")
    ax.plot(old, "o--", color="#8a8f98", label="before")
    ax.plot(my_drag(old, 5, 0.7), "o-", color="#d55e00", label="yours, row 5 dragged to 0.7")
    ax.set(xlabel="row", ylabel="noise level")
    ax.legend()
    plt.show()

# %% [markdown]
# **2 · Vary.** `trapezoid` finishes both ends first and the middle last; with a lag of 2, neighbours are two rows
# apart. Make it with *Shift* alone: you start from one timestep for all, five frames and six steps. By how many rows
# must each of the five frames be delayed? `my_delays` is a list of five numbers. Success: you see both schedules, and
# they are the same.
#
# <details><summary>Hint</summary>
#
# A frame that is delayed by more rows finishes later. The two ends finish first, so they wait for nobody. How far
# behind them is the next frame?
#
# </details>

# %% tags=["exercise"]
my_delays = ...

# %% tags=["check"]
delays = my_delays.tolist() if isinstance(my_delays, torch.Tensor) else my_delays
nb.check_that(
    delays,
    {
        "give a list of five numbers, one for each frame.": lambda d: hasattr(d, "__len__") and len(d) == 5,
        "that is a pyramid: one end waits for all others, but both should be finished first.": lambda d: (
            not (d[0] < d[1] < d[2] < d[3] < d[4] or d[0] > d[1] > d[2] > d[3] > d[4])
        ),
        "that way the middle frame is finished first.": lambda d: d[2] > min(d),
        "at least one frame must not wait: a delay of all frames only adds rows.": lambda d: min(d) == 0,
        "the two ends should be finished first, so neither of them waits.": lambda d: d[0] == d[4] == 0,
        "the middle frame should be finished last, after both of its neighbours.": lambda d: max(d[1], d[3]) < d[2],
        "neighbours should be two rows apart: look at the lag.": lambda d: (
            {abs(a - b) for a, b in zip(d[:-1], d[1:], strict=True)} == {2}
        ),
    },
)
if not nb.unwritten(my_delays):
    drawn = Editor(5, 6)
    for frame, by in enumerate(delays):
        drawn.edit("delay", frame=frame, by=by)
    fig, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
    viz.plot_schedule(drawn.schedule, axes[0], title="yours", colorbar=False)
    viz.plot_schedule(schedules.trapezoid(6, 5, lag=2), axes[1], title="trapezoid", colorbar=False)
    plt.show()
    assert torch.equal(drawn.schedule, schedules.trapezoid(6, 5, lag=2)), "the same matrix"

# %% [markdown]
# **3 · Invent.** Does the theory hold for *another* frame? Invent the experiment: `my_experiment = (frame, noisy,
# quiet)`, with a frame from 1 to 7 and two schedules for nine frames, drawn in the studio, with an `Editor`, or in code.
# In `noisy` your frame has company that is noisier by at least 0.5, as `company` counts it; and nothing else may change:
# every frame falls in the same steps in both, only at other rows. Success: both run, without guidance and from the same
# noises as above, and you see your frame's scores, with those among frames that are given and *true* beside them. Read
# them as above: in how many noises does quiet company win?
#
# <details><summary>Hint</summary>
#
# Who must wait for whom? In an `Editor`, `edit("delay", frame=..., by=...)` moves a whole column and keeps its levels; or
# look at `in_turn` above.
#
# </details>

# %% tags=["exercise"]
my_experiment = ...  # (frame, noisy, quiet)


# %% tags=["check"]
def falls_alike(e, frames):
    levels = [[S[:, frame].unique_consecutive() for S in e[1:]] for frame in frames]
    return all(a.shape == b.shape and torch.allclose(a, b, atol=1e-5) for a, b in levels)


def both(condition):
    return lambda e: all(condition(S) for S in e[1:])


nb.check_that(
    my_experiment,
    {
        "give three things: a frame, a schedule in which its company is noisy, and one in which it is quiet.": lambda e: (
            isinstance(e, tuple | list) and len(e) == 3 and all(isinstance(S, torch.Tensor) for S in e[1:])
        ),
        "choose a frame from 1 to 7: frame 0 is given, and 8 was tried above.": lambda e: e[0] in range(1, 8),
        "a schedule should be a matrix with one column for each of 9 frames.": both(
            lambda S: S.ndim == 2 and S.shape[1] == 9
        ),
        "both should start with noise and end with all frames clean.": both(
            lambda S: (S[0] == 1).all() and (S[-1] == 0).all()
        ),
        "one has faults: assign it to `studio.schedule`, and the studio says where.": both(
            lambda S: not schedules.faults(S)
        ),
        "your frame falls in other steps in one than in the other: then two things change at once.": lambda e: (
            falls_alike(e, e[:1])
        ),
        "another frame falls in other steps in one than in the other: change when it falls, and not how.": lambda e: (
            falls_alike(e, range(9))
        ),
        "the first schedule is the one with *quiet* company: exchange them.": lambda e: (
            company(e[1], e[0]) >= company(e[2], e[0])
        ),
        "the two companies hardly differ: should the others be finished before your frame begins, or begin after it?": (
            lambda e: company(e[1], e[0]) - company(e[2], e[0]) >= 0.5
        ),
    },
)
if not nb.unwritten(my_experiment):
    mine, noisy, quiet = my_experiment
    given = tasks.Task("true frames", known_frames(truth[None], [f for f in range(9) if f != mine], model.geometry))
    its_steps = noisy[:, mine].unique_consecutive()[:, None].repeat(1, 9)
    seen = {"noisy": (noisy, task), "quiet": (quiet, task), "quiet and true": (its_steps, given)}
    tests = [by_noise(S, guidance=1.0, given=known)[:, mine] for S, known in seen.values()]
    fig, axes = plt.subplots(1, 3, figsize=(9.5, 3.2), layout="constrained", width_ratios=(1, 1, 1.4))
    for ax, (name, (S, _)) in zip(axes, seen.items(), strict=False):
        viz.plot_schedule(S, ax, title=f"{name}: company {company(S, mine):.2f}", colorbar=False)
    axes[2].clear()
    axes[2].plot(torch.stack(tests), color="#8a8f98", lw=0.8, marker=".")
    axes[2].plot(torch.stack(tests).mean(dim=1), color="#0072b2", lw=2.4, marker="o")
    axes[2].set(xticks=range(3), xticklabels=list(seen), ylabel=f"PSNR of frame {mine} (dB)", xlim=(-0.3, 2.3))
    plt.show()

# %% [markdown]
# ## Recap
#
# | tool | what it does to $S$ | use it to |
# |---|---|---|
# | Drag | sets a cell; the rest of its column follows | bend a column |
# | Paint | sets cells, whatever the neighbours are | sketch, then *Fix* |
# | Freeze | a column of zeros: the frame must be known | hold a known frame |
# | Shift | the same levels, later or earlier; adds rows | make frames wait |
# | Copy | one column for more frames | keep frames together |
#
# *What could go wrong:* a column that falls in a single guided step; an explanation that was never tested, or tested where
# two things change at once; a frame frozen in the matrix although it is not known; two schedules compared that differ in
# calls, or judged by one video.
#
# *Where the code lives:* `pusa_lab/studio/studio.py` (`studio.ScheduleStudio`), `pusa_lab/studio/editing.py`
# (`studio.Editor`), `pusa_lab/studio/edits.py`, which has all of the arithmetic, `pusa_lab/viz/animate.py`, and
# `docs/studio.md`.
#
# *References:* Pusa V1.0, arXiv 2507.16116; Diffusion Forcing, arXiv 2407.01392.
