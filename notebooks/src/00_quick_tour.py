# %% [markdown]
# # 0 · Quick tour: from a still picture to a video
#
# ***You have one photograph. How do you get a video that begins with exactly that photograph, from a model that was
# only ever trained to make videos out of words?***
#
# *You need: nothing. Time: 15 minutes of reading, about a minute of CPU.*
#
# The answer of Pusa (arXiv 2507.16116) is surprisingly small. A video diffusion model has to know how much noise there
# is in the clip, and usually **one** number tells it so, for all frames together. Give every frame a number of its own,
# and your photograph is simply a frame whose number is already zero.
#
# **After this chapter you can**
#
# - turn a picture into a video, fill in a video between two pictures, and extend a clip, all with one trained model;
# - read a schedule, the table that says how noisy each frame is at each step;
# - tell from a measurement what it takes for a model to work in this way.

# %% tags=["setup"]
# build.py puts the installing cell here.

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
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown, display

import pusa_lab as pl
import pusa_lab.notebook as nb
import small_models
from pusa_lab import data, media, metrics, pixels, schedules, tasks, viz
from pusa_lab.viz.animate import pictures
from small_models import world
from small_models.evaluation import evaluate, ways

device = nb.setup(seed=SEED, shapes=True)
STEPS, CLIPS = (2, 2) if FAST else (STEPS, CLIPS)
out = Path(OUT or tempfile.mkdtemp())

# %% [markdown]
# ## First, a video
#
# A model, a picture, a sentence, and one call:

# %%
model = small_models.load(MODEL, device=device)
picture = data.read_picture(nb.asset(IMAGE))
result = pl.generate(model, PROMPT, tasks.image_to_video(picture), steps=STEPS, guidance=GUIDANCE, seed=SEED)
nb.play({"made from the picture": result.video[0]}, fps=model.geometry.fps, width=192)

# %% [markdown]
# You are looking at a video that did not exist a moment ago. Its first frame is the picture in `assets/still.png`;
# everything after that was invented by a small model on your CPU, which followed the sentence in `PROMPT`. (The square
# of this picture is close to the right wall, so it soon bounces off.) `steps` says in how many steps the noise goes
# away, and `guidance` how much the words count: above 1, their effect on the model's guess is exaggerated. Change the
# sentence in the parameters above and run the cells again: the model knows the shapes, colours, sizes and directions of
# its own little world, and `model.text.words` lists every word it understands. `IMAGE` may be a picture of yours.
#
# The rest of this chapter takes the call apart. This drawing is the whole idea:

# %% tags=["hide-input"]
nb.diagram(
    "00_a_clock_for_every_frame",
    "Three rows of six frames: under one shared clock all frames are equally noisy; with a clock for every frame the "
    "first frame can be clean while the others are noisy, or the noise can grow from frame to frame.",
)

# %% [markdown]
# Picture the noise in a clip as time on a clock that runs backwards, from 1 (nothing but noise) to 0 (nothing but
# video). In the first row there is one clock on the wall, and every frame goes by it. If all frames share a clock, you
# cannot say "this frame is already finished": either the whole clip is noisy, or none of it is. In the second row each
# frame wears its own watch. Stop the watch of frame 0 at zero, put your photograph there, and let the others run. In
# the third row the watches were started one after the other, so that the past is always a little ahead of the future.
#
# (The clocks stay in this chapter. From chapter 1 on we use the words of the field: a frame's number is its *timestep*
# or *noise level*, written `tau`, and the table of all of them is a *schedule*.)
#
# ## The model
#
# `mini` is Wan, a large open video model, in miniature: the same parts, but two thousand times smaller. A **codec**
# squeezes 33 pixel frames of 64 x 64 into a short stack of *latent frames* of 8 x 8: the first latent frame holds one
# pixel frame, each later one holds four. A **text encoder** reads the prompt. Between the two stands the
# **transformer**, which does the denoising. It was first trained with one timestep for all frames, as usual: that is
# the *base*. Then it was *adapted* to one timestep for each latent frame.

# %% tags=["nbval-check-output"]
card, geometry = small_models.card(MODEL), model.geometry
base_card = small_models.card(card["base"])
frames, pixel_frames = geometry.frames, geometry.pixel_frames(geometry.frames)
parameters = sum(p.numel() for p in model.dit.parameters())
print(f"{parameters:,} parameters, {frames} latent frames = {pixel_frames} pixel frames of {geometry.size}")
for name, c in {"base": base_card, "adapted": card}.items():
    print(f"{name:8} {c['config']['max_steps']:6,} steps of training, {c['seconds']:.0f} s on {c['device']}")

# %% [markdown]
# From here on, "frame" means latent frame, because it is latent frames that have timesteps. Where single pictures of
# the video are meant, we say "pixel frame".
#
# ## What a timestep does
#
# Take one frame, and for a moment let it be a single number `x0`. Draw a random number `eps`: that is the noise. At
# noise level `tau` the frame is a mixture of the two,
#
# $$x = (1 - \tau)\, x_0 + \tau\, \varepsilon .$$
#
# The three frames below are at three different levels.
#
# **Predict.** Which of the three mixtures is still the clean number, and which is pure noise?

# %% tags=["nbval-check-output"]
tau = torch.tensor([[0.0, 0.5, 1.0]])  # (batch, frames)
x0 = torch.tensor([0.2, 0.4, 0.6]).view(1, 1, 3, 1, 1)  # (batch, channels, frames, height, width)
eps = torch.tensor([-1.0, 2.0, -0.5]).view(1, 1, 3, 1, 1)
x = pl.timesteps.interpolate(x0, eps, tau)
print("clean ", x0.flatten())
print("noise ", eps.flatten())
print("noised", x.flatten())

assert x[0, 0, 0] == x0[0, 0, 0], "a frame at tau = 0 is clean"
assert x[0, 0, 2] == eps[0, 0, 2], "a frame at tau = 1 is pure noise"

# %% [markdown]
# <details><summary>Answer</summary>
#
# Frame 0 is clean: at `tau = 0` the noise is multiplied by 0. Frame 2 is pure noise: at `tau = 1` the picture is
# multiplied by 0. Frame 1, at one half, lies midway between its picture and its noise.
#
# </details>
#
# As `tau` goes from 0 to 1, `x` travels along a straight line from `x0` to `eps`, so it moves with the constant
# velocity
#
# $$v = \frac{dx}{d\tau} = \varepsilon - x_0 .$$
#
# Generating is the same journey backwards. Nobody tells the model `x0` or `eps`; it sees the noisy frames and their
# timesteps, guesses `v`, and the sampler moves each frame a little way down, by **its own** difference of timesteps:
#
# $$x_i \leftarrow x_i + (\tau^{\text{next}}_i - \tau_i)\, v_i .$$
#
# Look at what this says about a frame whose timestep is 0 now and 0 at the next step: it is multiplied by nothing and
# added to nothing. It stays as it is. Yet the model still *sees* it while it guesses how the other frames should move.
# That is all there is to image-to-video.
#
# ## Watching it happen
#
# A **schedule** is the table of all these timesteps. Each column belongs to a frame and each row to a moment of the
# sampling, so one row is what the model is told in one call. Below, the schedule of our video stands on the left, dark
# for clean and bright for noise. On the right is what the model takes for the clean video at some of these rows: its
# guess `x - tau v`, where a single step to 0 would end. (The noisy frames `x` themselves would mislead you. The codec
# was trained on clean videos, and draws false colours when it has to decode a half-noisy one.)
#
# **Predict.** Before you scroll on: in which order will position, shape and colour of the square settle?


# %%
def watch(task, count=4, **options):
    run = pl.prepare(model, PROMPT, task, guidance=GUIDANCE, seed=SEED, **options)
    states = list(run.states())
    rows = [r for r, state in enumerate(states) if state.x0 is not None]  # those behind the first call of the model
    rows = rows[:: max(1, (len(rows) - 1) // (count - 1))]
    shown = {f"row {r}": pictures(states[r].x0, model.decode) for r in rows}
    _, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), width_ratios=(1, 2.2), layout="constrained")
    viz.plot_schedule(run.schedule, left, title="schedule")
    viz.filmstrip(shown, ax=right).set(xlabel="frame", title="the guess of the clean video at these rows")
    return run.finish(states[-1])


watch(tasks.image_to_video(picture), steps=STEPS)
plt.show()

# %% [markdown]
# <details><summary>Answer</summary>
#
# Position comes first: after a single step there is a blob in every frame, along the whole path of the square. Then
# the shape sharpens and the colour settles, well before the last row. The rest of the way only cleans up.
#
# </details>
#
# Column 0 is dark from the first row to the last, and the picture in it never changes. All other columns fade from
# bright to dark together. Read the right half row by row and you see the whole clip take shape at once, arranged around
# the one frame that was there from the beginning.
#
# ## Four tasks, one model
#
# What else can you do with a table like this? Every **task** below consists of nothing but the answer to one question:
# *which frames do you already know?*
#
# | task | known | what it makes |
# |---|---|---|
# | `text_to_video` | nothing | a video from words alone |
# | `image_to_video` | the first frame | what happens next |
# | `start_end` | the first and the last frame, from two pictures | what happens in between |
# | `extension` | the first few frames, from a clip | how the clip goes on |
#
# Pictures and clips may be of any size. They are cropped to the shape of the model's frames and resized, and a clip is
# read at the model's frame rate, so that things keep their speed.
#
# **Predict.** In which columns of the four schedules will you see no bright cell at all?

# %%
clip = data.read_clip(nb.asset(VIDEO), last=pixel_frames, fps=geometry.fps)
known = max(1, min(frames // 3, 1 + (len(clip) - 1) // geometry.stride[0]))  # latent frames of the clip to extend
todo = {
    "text_to_video": (tasks.text_to_video(), []),
    "image_to_video": (tasks.image_to_video(picture), [0]),
    "start_end": (tasks.start_end(picture, clip[-1]), [0, frames - 1]),
    "extension": (tasks.extension(clip, known=geometry.pixel_frames(known)), list(range(known))),
}
results = {}
for name, (task, _) in todo.items():
    results[name] = pl.generate(model, PROMPT, task, steps=STEPS, guidance=GUIDANCE, seed=SEED)
    viz.plot_result(results[name], known=results[name].known_pixels)
    plt.show()

# %% [markdown]
# <details><summary>Answer</summary>
#
# None for `text_to_video`; column 0 for `image_to_video`; the first and the last column for `start_end`; the first few
# columns for `extension`. Known frames are dark from the first row to the last.
#
# </details>
#
# Each row of pictures starts at pixel frame 0 on the left, and known frames have an orange border. Notice how
# `text_to_video` invents a square and a background of its own, whereas the other three have to go on from what they
# were given, and `start_end` has to arrive where it was told to. (Its last latent frame holds four pixel frames, all of
# them the picture that you gave, so for these four the clip stands still.) "Never changes" is meant literally, to the
# last bit:

# %%
for name, (task, at) in todo.items():
    start = pl.prepare(model, PROMPT, task, steps=STEPS, seed=SEED).x
    assert torch.equal(results[name].latents[:, :, at], start[:, :, at]), "a frame kept at tau = 0 does not change"
    assert (results[name].schedule[:, at] == 0).all(), "known frames have dark columns"

shown = {name: result.video[0] for name, result in results.items()}
nb.play({name: shown[name] for name in ("text_to_video", "image_to_video")}, fps=geometry.fps, width=192)
nb.play({name: shown[name] for name in ("start_end", "extension")}, fps=geometry.fps, width=192)

# %% [markdown]
# ## The frames need not start together
#
# Back to the third row of the drawing. In a *pyramid* each frame starts a few rows after the one before it, so early
# frames are finished while late ones are still noise. No new model and no new code are needed for that, only another
# table:

# %%
S = schedules.pyramid(STEPS, frames, lag=2)
results["pyramid"] = watch(tasks.image_to_video(picture), schedule=S)
plt.show()

assert (S.diff(dim=1) >= 0).all(), "in a pyramid the past is never noisier than the future"
assert results["pyramid"].latents.shape == results["image_to_video"].latents.shape

# %% [markdown]
# Compare the first rows of the right half with the figure before. The schedule on the left says where a guess is final:
# in a row in which the left end is dark and the right end bright, the first frames are a finished video, and the last
# are still open. This is how one model can make long videos, or show you the beginning of one while it works on the
# end. The price stands in the left half: the table has more rows, so the model is called more often. Chapter 2 is about
# such tables and what they cost.
#
# ## In numbers
#
# The table below puts a number on what you have seen. It is also written to `metrics.csv`, with one MP4 for each video.

# %% tags=["hide-input"]
rows = []
for name, result in results.items():
    task, at = todo.get(name, todo["image_to_video"])
    start = pl.prepare(model, PROMPT, task, steps=STEPS, seed=SEED).x[:, :, at]
    change = (result.latents[:, :, at] - start).abs().amax().item() if at else 0.0
    moved = metrics.motion(torch.cat([pixels.to_pixels(v) for v in result.video])).mean().item()
    rows.append([name, len(result.schedule) - 1, f"{change:g}", f"{moved:.2f}"])
    media.write_clip(out / f"{name}.mp4", result.video[0], fps=geometry.fps, scale=max(1, 128 // geometry.size[0]))

header = ["video", "steps", "change of known frames", "motion"]
with (out / "metrics.csv").open("w", newline="") as file:
    csv.writer(file).writerows([header, *rows])
table = [header, ["---"] * len(header), *rows]
print(f"written to {out}")
display(Markdown("\n".join("| " + " | ".join(map(str, row)) + " |" for row in table)))

assert all(float(row[2]) == 0 for row in rows), "known frames are kept exactly"
assert all(float(row[3]) > 0 for row in rows), "something moves in every video"

# %% [markdown]
# *Steps* are the rows that the sampler goes down, and in each the model is called for all frames. *Change of known
# frames* is the largest difference between a known frame before and after sampling, and it is zero throughout. *Motion*
# is the mean difference between neighbouring pixel frames, in grey levels; it is there because a video that stands
# perfectly still would get full marks for keeping its first frame.
#
# ## Could any video model do this?
#
# Nothing in the code so far stops you from handing a vector of timesteps to a model that was trained with a single one.
# So was the adaptation needed at all? In this little world we can find out, because we know the truth: we draw scenes
# that no model has seen, give away the prompt and frame 0, and compare all later frames with what really happens. Four
# contestants:
#
# - the **base**, trained with one timestep for all frames, and now given a vector, which it has never seen;
# - the **base without the picture**, from the words alone: what the base can do if it does not look at frame 0 at all;
# - the **adapted** model, which is the base plus an update of its weights (of low rank, called LoRA);
# - a **copy** of frame 0, repeated to the end: the answer of someone who knows nothing about motion.
#
# **Predict.** Does the base look at the picture at all? And will it do better or worse than the copy?

# %%
base, options = small_models.load(card["base"], device=device), {"steps": STEPS, "guidance": GUIDANCE}
contestants = {
    "copy of frame 0": ways.copy_of_frame_0,
    "base, no picture": ways.maker(base, known=(), **options),
    "base": ways.maker(base, **options),
    "adapted": ways.maker(model, **options),
}
raw = {name: evaluate.collect(make, model, CLIPS) for name, make in contestants.items()}
scores = {name: evaluate.image_to_video_scores(found, geometry.stride[0]) for name, found in raw.items()}
for name, score in scores.items():
    error = f"{score['position_error_px']:.1f} px"
    print(f"{name:16} {score['psnr_db']:5.1f} ± {score['psnr_db_stderr']:.1f} dB, objects off by {error}")
gained = (raw["base"]["psnr_frame"] - raw["base, no picture"]["psnr_frame"])[:, 1:].mean(dim=1)
print(f"\nclip by clip, the picture is worth {gained.mean():.1f} ± {gained.std() / CLIPS**0.5:.1f} dB to the base")

assert scores["adapted"]["psnr_db"] > scores["base"]["psnr_db"], "adapting to a timestep for each frame helps"

# %% [markdown]
# <details><summary>Answer</summary>
#
# It looks: with the picture it scores clearly better than without. But it makes little of what it sees, and ends no
# better than the copy, which at least gets the background and the starting place right. (The difference of these two is
# within their errors.)
#
# </details>
#
# PSNR measures agreement with the truth in decibels, and more is better: 20 dB more means a pixel error ten times
# smaller. The second number is easier to imagine. It is how far, on average, an object is from where it should be, in a
# picture 64 pixels wide. The adapted model misses by little, all others by a good part of the picture.

# %%
fig, ax = plt.subplots(figsize=(9, 3), layout="constrained")
for (name, found), line in zip(raw.items(), (":", "-.", "--", "-"), strict=True):
    mean, error = found["psnr_frame"][:, 1:].mean(dim=0), found["psnr_frame"][:, 1:].std(dim=0) / CLIPS**0.5
    ax.plot(range(1, pixel_frames), mean, line, label=name)
    ax.fill_between(range(1, pixel_frames), mean - error, mean + error, alpha=0.15)
ax.set(xlabel="pixel frame", ylabel="PSNR against the truth (dB)", title="How far does frame 0 reach?")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

scene = world.draw_scenes(1, SEED + 1, world.WORLDS[model.preset["world"]])
truth = pixels.to_uint8(world.render(scene))
made = {name: make(world.captions(scene), truth, SEED)[0] for name, make in contestants.items()}
fig, ax = plt.subplots(figsize=(9, 4.2), layout="constrained")
viz.filmstrip({"truth": truth[0], **made}, ax=ax, most=9)
ax.set_title(world.captions(scene)[0])
plt.show()

# %% [markdown]
# The curves (with bands of one standard error) tell how far a picture reaches. Without it, the base is equally poor
# everywhere. With it, everybody starts high and falls, the adapted model too: the further a frame is from the picture,
# the harder it is to guess. But the copy and the base are down within a few frames, a few decibels above the base without a
# picture, while the adapted model levels off far above them. (Small ups and downs, such as those of the
# copy, are chance in so few clips.) The strip shows why. Compare its lower rows with the truth at the top: the copy
# stands still; the base's ring follows the path, a little too high, as it does even without the picture; and the
# adapted model goes on from the very picture it was given.
#
# The model's card holds the same comparison on many more scenes (without the control):

# %% tags=["nbval-check-output"]
names = {"copy_of_frame_0": "copy of frame 0", "base_with_untrained_timestep_vectors": "base", MODEL: "adapted"}
for key, name in names.items():
    score = card["metrics"][key]["image_to_video"]
    dB = f"{score['psnr_db']:4.1f} ± {score['psnr_db_stderr']:.1f} dB"
    print(f"{name:16} {dB}, objects off by {score['position_error_px']:4.1f} px ({card['metrics']['clips']} clips)")

# %% [markdown]
# So the *sampler* needs no training, but the *model* does: it has to learn that a clean frame beside noisy ones can be
# relied on. How little training that takes is a claim of the Pusa paper, about a large model whose pretraining cost
# incomparably more. Our toy does not show it: as the lines under *The model* say, its adaptation took almost half as
# many steps as its pretraining. Chapters 4 and 5 go into what is trained, and how much of it is needed.

# %% [markdown]
# ## Exercises
#
# The cell under each exercise checks your answer at once and tells you what went wrong.
#
# **1 · Fill in.** Write the heart of the sampler: the step that moves every frame by its own difference of timesteps.
# You get the clip `x` and its velocity `v`, both `(batch, channels, frames, height, width)`, and the timesteps `tau`
# and `tau_next`, both `(batch, frames)`. Return the moved clip, in the shape of `x`. It is one line, and is called an
# *Euler step*.
#
# <details><summary>Hint</summary>
#
# The update is written out above under *What a timestep does*. To multiply numbers `(batch, frames)` with a clip, give
# them the missing axes: `t[:, None, :, None, None]` has the shape `(batch, 1, frames, 1, 1)`, and axes of size 1
# stretch to fit.
#
# </details>


# %% tags=["exercise"]
def my_euler_step(x, v, tau, tau_next): ...


# %% tags=["check"]
v, tau_next = pl.timesteps.velocity(x0, eps), tau / 4


def after(delta):
    return x + delta[:, None, :, None, None] * v


nb.check(
    my_euler_step,
    pl.samplers.euler_step,
    *(x, v, tau, tau_next),
    axes="(batch, channels, frames, height, width)",
    mistakes={
        "your frames move the wrong way, towards the noise: look at the order of the difference.": after(
            tau - tau_next
        ),
        "all frames move by the same amount: each has a difference of its own.": x + (tau_next - tau).mean() * v,
        "your step goes all the way to the clean clip: it should stop at tau_next.": after(-tau),
        "you moved by tau_next itself: a step is as long as the way from tau to tau_next.": after(tau_next),
        "you moved by minus tau_next: a step is as long as the way from tau to tau_next.": after(-tau_next),
        "this is the way that the frames move, not where they arrive: it is added to something.": after(tau_next - tau)
        - x,
    },
)

# %% [markdown]
# **2 · Vary.** `tasks.image_to_video` takes an argument `noise`, from 0 to 1: the level at which the picture is *kept*.
# At 0 the picture is untouchable; a little noise allows the model to alter it, in case it does not quite fit the
# prompt. Generate a video from `picture` with a level of 0.3 and assign what `pl.generate` returns to `my_result`.
# Before you do: what will happen to column 0 of the schedule? And will you be able to *see* a change of the first pixel
# frame? If your result is right, the cell below shows both.
#
# <details><summary>Hint</summary>
#
# Copy the call from *First, a video*, and give `noise=0.3` to the task, not to `generate`.
#
# </details>

# %% tags=["exercise"]
my_result = None  # what pl.generate returns

# %% tags=["check"]
nb.check_that(
    my_result,
    {
        "this is not what `pl.generate` returns.": lambda r: isinstance(r, type(result)),
        "no picture was given: the task should be image_to_video.": lambda r: r.task == "image_to_video",
        "frame 0 starts clean: did the task get its `noise`?": lambda r: r.schedule[0, 0] > 0,
        "frame 0 starts as pure noise, so nothing is left of the picture.": lambda r: r.schedule[0, 0] < 1,
        "frame 0 is kept at another level than the exercise asks for.": lambda r: abs(r.schedule[0, 0] - 0.3) < 1e-3,
    },
)
if my_result is not None:
    kept = {"noise 0": results["image_to_video"], "yours": my_result}
    fig, axes = plt.subplots(1, 5, figsize=(10, 2.6), layout="constrained", width_ratios=(1.4, 1, 1, 1, 1))
    viz.plot_schedule(my_result.schedule, axes[0], title="your schedule", colorbar=False)
    for k, (name, made) in enumerate(kept.items()):
        change = abs(made.video[0, 0].astype(float) - results["image_to_video"].video[0, 0])
        axes[1 + 2 * k].imshow(made.video[0, 0])
        axes[1 + 2 * k].set_title(f"first pixel frame,\n{name}")
        axes[2 + 2 * k].imshow(change.mean(axis=2), vmin=0, vmax=40)
        axes[2 + 2 * k].set_title(f"change: {change.mean():.1f}\ngrey levels")
    for ax in axes[1:]:
        ax.set_axis_off()
    plt.show()

# %% [markdown]
# **3 · Invent.** Make a schedule of your own in which the frames are finished in the opposite order: the *last* frame
# before all others. (The video itself still runs forwards.) `my_schedule` is a tensor `(rows, frames)`, with as many
# columns as the model has frames. Three properties make it a schedule: every column starts at 1, never rises, and ends
# at 0. If it is right, the cell generates a video along it, and you see it grow from its end.
#
# <details><summary>Hint</summary>
#
# You may write the rows by hand, or start from something you have met: which schedule of this chapter finishes one
# frame after another, and how could its columns change places?
#
# </details>

# %% tags=["exercise"]
my_schedule = None  # a tensor (rows, frames)


# %% tags=["check"]
def final_at(S):
    return (S > 0).sum(dim=0)


nb.check_that(
    my_schedule,
    {
        "a schedule is a tensor of floats (rows, frames) with a column for every frame of the model.": lambda S: (
            isinstance(S, torch.Tensor) and S.ndim == 2 and S.shape[1] == frames
        ),
        "some frame does not start as noise.": lambda S: (S[0] == 1).all(),
        "some column is not a way down: it rises, or leaves [0, 1].": lambda S: not schedules.faults(S, whole=False),
        "some frame does not end clean: the last row should hold only zeros.": lambda S: (S[-1] == 0).all(),
        "the first frame is finished before the last: that is the usual direction.": lambda S: (
            final_at(S)[0] >= final_at(S)[-1]
        ),
        "the last frame is not alone in being finished first.": lambda S: final_at(S)[:-1].min() > final_at(S)[-1],
    },
)
if my_schedule is not None:
    watch(tasks.text_to_video(), schedule=my_schedule)
    plt.show()

# %% [markdown]
# ## Recap
#
# | symbol | shape | meaning |
# |---|---|---|
# | `tau` | (b, f) | one timestep per sample and frame: 0 clean, 1 noise |
# | `S` | (rows, f) | a schedule: the noise level of every frame at every step |
# | `x`, `v` | (b, c, f, h, w) | noisy video and its velocity `eps - x0` |
#
# *What could go wrong:* a model that never saw unequal timesteps in training uses the clean frame badly, as the base
# did above; and a video may keep its first frame perfectly by not moving at all, so look at the motion too.
#
# *Where the code lives:* `pusa_lab/tasks/` (`tasks.image_to_video` and the other tasks), `pusa_lab/generate.py`
# (`generate.generate`), `pusa_lab/samplers.py` (`samplers.sample_steps`, the loop over the rows),
# `pusa_lab/schedules/matrices.py` (`schedules.pyramid` and its relatives), `small_models/models/dit.py` (the
# transformer).
#
# *References:* Pusa V1.0, arXiv 2507.16116; Diffusion Forcing, arXiv 2407.01392; Wan, arXiv 2503.20314.
