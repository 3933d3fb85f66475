# %% [markdown]
# # 0 · Quick tour: from a still picture to a video
#
# ***You have one photograph. How do you get a video that begins with exactly that photograph, from a model that was
# only ever trained to make videos out of words?***
#
# *You need: nothing. Time: 15 minutes of reading, about a minute of CPU.*
#
# The usual way is to train a second model, with the picture as an extra input. Pusa's answer (arXiv 2507.16116) is
# surprisingly small. A video diffusion model begins with nothing but noise and takes it away step by step. It has to
# know how much is left, and usually **one** number tells it so, for all frames together. Give every frame a number of
# its own, and your photograph is simply a frame whose number is already zero.
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
OTHERS = ["a big red square moves quickly left", "a big red square moves up and left"]
OUT = ""

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch

import pusa_lab as pl
import pusa_lab.notebook as nb
import small_models
from pusa_lab import data, media, metrics, pixels, schedules, tasks, viz
from pusa_lab.viz.animate import pictures
from small_models import world
from small_models.evaluation import evaluate, ways

device = nb.setup(seed=SEED, shapes=True)
STEPS, CLIPS, LAG, ROWS = (2, 2, 0.5, 3) if FAST else (STEPS, CLIPS, 2, 4)
out = Path(OUT or tempfile.mkdtemp())

# %% [markdown]
# ## First, a video
#
# A model, a picture, a sentence, and one call. Here it is called with three sentences:

# %%
model = small_models.load(MODEL, device=device)
picture = data.read_picture(nb.asset(IMAGE))


def set_in_motion(sentence):
    return pl.generate(model, sentence, tasks.image_to_video(picture), steps=STEPS, guidance=GUIDANCE, seed=SEED)


films = {sentence: set_in_motion(sentence).video[0] for sentence in (PROMPT, *OTHERS)}
nb.play(films, fps=model.geometry.fps, width=192)
viz.filmstrip(films, known=[0], most=6)
plt.show()

# %% [markdown]
# None of these videos existed a moment ago. All begin with the same picture, the one with the orange border; a small
# model on a CPU invented the rest from the sentence. (In the first, the square is at the right wall so soon that it
# bounces back.) `steps` says in how many steps the noise goes away, and `guidance` how much the words count.
#
# Change the sentences and run it again! `model.text.words` lists every word that the model understands, and `IMAGE` may
# be a picture of yours. The rest of this chapter takes the call apart. This drawing is the whole idea:

# %% tags=["hide-input"]
nb.diagram(
    "00_a_clock_for_every_frame",
    "Three rows of six frames: under one shared clock all frames are equally noisy; with a clock for every frame the "
    "first frame can be clean while the others are noisy, or the noise can grow from frame to frame.",
)

# %% [markdown]
# Picture the noise in a clip as time on a clock that runs backwards, from 1 (nothing but noise) to 0 (nothing but
# video). In the first row there is one clock on the wall, so you cannot say "this frame is already finished": either
# the whole clip is noisy, or none of it is. In the second row each frame wears its own watch. Stop the watch of frame 0
# at zero, put your photograph there, and let the others run. In the third row the watches were started one after the
# other, so that the past is always a little ahead of the future.
#
# (The clocks stay in this chapter. In the words of the field, a frame's number is its *timestep* or *noise level*,
# written `tau`, and the table of all of them is a *schedule*.)
#
# ## The model
#
# `mini` is Wan, a large open video model, in miniature: the same parts, but two thousand times smaller. A **codec**
# squeezes 33 pixel frames of 64 x 64 into a short stack of *latent frames* of 8 x 8: the first holds one pixel frame,
# each later one holds four. A **text encoder** reads the prompt. Between the two stands the **transformer**, which takes
# the noise away. It was first trained with one timestep for all frames, as usual: that is the *base*. Then it was
# *adapted*, by more training, to one timestep for each latent frame:

# %% tags=["nbval-check-output"]
card, geometry = small_models.card(MODEL), model.geometry
base_card = small_models.card(card["base"])
frames, pixel_frames = geometry.frames, geometry.pixel_frames(geometry.frames)
parameters = sum(p.numel() for p in model.dit.parameters())
print(f"{parameters:,} parameters, {frames} latent frames = {pixel_frames} pixel frames of {geometry.size}")
for name, c in {"base": base_card, "adapted": card}.items():
    print(f"{name:8} {c['config']['max_steps']:6,} steps of training, {c['seconds']:.0f} s on {c['device']}")

# %% [markdown]
# From here on, "frame" means latent frame, since these have timesteps. One picture of the video is a "pixel frame".
#
# ## What a timestep does
#
# Take one frame, and for a moment let it be a single number `x0`. Draw a random number `eps`: that is the noise. At
# noise level `tau` the frame is a mixture of the two,
#
# $$x=(1-\tau)\,x_0+\tau\,\varepsilon .$$
#
# Below are three frames at three levels.
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
# As `tau` goes from 0 to 1, `x` travels along a straight line from `x0` to `eps`, with the constant velocity
#
# $$v=\frac{dx}{d\tau}=\varepsilon-x_0 .$$
#
# Generating is the same journey backwards. The model sees the noisy frames and their timesteps and guesses `v`, and
# each frame moves a little way down, by **its own** difference of timesteps:
#
# $$x_i\leftarrow x_i+(\tau^{\text{next}}_i-\tau_i)\,v_i .$$
#
# A frame whose timestep is 0 now and 0 at the next step stays as it is. Yet the model still *sees* it while it guesses
# how the other frames should move.
#
# ## Watching it happen
#
# A **schedule** is the table of all these timesteps. Each column belongs to a frame, and each row is what the model is
# told in one call. Below, the schedule of our video stands on the left, dark for clean and bright for noise. On the
# right is what the model takes for the clean video in some of these calls: its guess `x - tau v`, where a single step to
# 0 would end. "To row 1" is the guess from row 0, all noise but for the picture.
#
# **Predict.** Before you scroll on: in which order will position, shape and colour of the square settle?


# %%
def states_of(task, **options):
    run = pl.prepare(model, PROMPT, task, guidance=GUIDANCE, seed=SEED, **options)
    return run, list(run.states())


def watch(run, states):
    called = [r for r, state in enumerate(states) if state.x0 is not None]  # those behind the first call of the model
    some = [called[round(k * (len(called) - 1) / (ROWS - 1))] for k in range(ROWS)]  # from the first to the last
    shown = {f"to row {r}": pictures(states[r].x0, model.decode) for r in some}
    _, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), width_ratios=(1, 4), layout="constrained")
    viz.plot_schedule(run.schedule, left, title="schedule")
    viz.filmstrip(shown, ax=right).set(xlabel="frame", title="the guess that leads to these rows")
    plt.show()


run, together = states_of(tasks.image_to_video(picture), steps=STEPS)
watch(run, together)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Position comes first: after a single step there is something in every frame, along the whole path of the square.
# Colour follows, later the further a frame is from the picture. In the next row most squares are red, but with ragged
# edges and patches of blue and green. Well before the last row all are plain red, and the rest only cleans up.
#
# </details>
#
# Column 0 is dark throughout, and its picture never changes. All other columns fade together: the whole clip takes
# shape at once, around the frame that was there from the beginning.
#
# ## Four tasks, one model
#
# Every **task** below is nothing but the answer to one question: *which frames do you already know?*
#
# | task | known | what it makes |
# |---|---|---|
# | `text_to_video` | nothing | a video from words alone |
# | `image_to_video` | the first frame | what happens next |
# | `start_end` | the first and the last frame, from two pictures | what happens in between |
# | `extension` | the first few frames, from a clip | how the clip goes on |
#
# **Predict.** In which columns of the four schedules will you see no bright cell at all?

# %%
clip = data.read_clip(nb.asset(VIDEO), last=pixel_frames, fps=geometry.fps)
known = max(1, min(frames // 3, 1 + (len(clip) - 1) // geometry.stride[0]))  # latent frames of the clip to extend
todo = {
    "text_to_video": (tasks.text_to_video(), []),
    "image_to_video": (tasks.image_to_video(picture), [0]),
    "start_end": (tasks.start_end(picture, picture[:, ::-1].copy()), [0, frames - 1]),  # its mirror image
    "extension": (tasks.extension(clip, known=geometry.pixel_frames(known)), list(range(known))),
}
results = {}
fig, axes = plt.subplots(4, 2, figsize=(9, 5.8), layout="constrained", width_ratios=(1, 5))
for (name, (task, _)), (left, right) in zip(todo.items(), axes, strict=True):
    made = results[name] = pl.generate(model, PROMPT, task, steps=STEPS, guidance=GUIDANCE, seed=SEED)
    viz.plot_schedule(made.schedule, left, title=name, colorbar=False)
    viz.filmstrip(made.video[0], made.known_pixels, right, most=9)
for ax in axes[:-1].flat:
    ax.set_xlabel("")
plt.show()

# %% [markdown]
# <details><summary>Answer</summary>
#
# None for `text_to_video`; column 0 for `image_to_video`; the first and the last column for `start_end`; the first few
# columns for `extension`. Known frames are dark from the first row to the last.
#
# </details>
#
# Known frames have an orange border. `text_to_video` invents a square and a background of its own, whereas the other
# three go on from what they were given. `start_end` has to arrive at the mirror image of the first picture: it goes the
# way of `image_to_video` until the square has to get up and to the left, in a hurry and with a smear. "Known" is meant
# literally, to the last bit, as the first lines of the next cell check. The videos follow:

# %%
for name, (task, at) in todo.items():
    start = pl.prepare(model, PROMPT, task, steps=STEPS, seed=SEED).x
    assert torch.equal(results[name].latents[:, :, at], start[:, :, at]), "a frame kept at tau = 0 does not change"
    assert (results[name].schedule[:, at] == 0).all(), "known frames have dark columns"

others = ("text_to_video", "start_end", "extension")  # the fourth was the first video of this chapter
nb.play({name: results[name].video[0] for name in others}, fps=geometry.fps, width=128)

# %% [markdown]
# ## The frames need not start together
#
# In a *pyramid* each frame starts a few rows after the one before it, so early frames are finished while late ones are
# still noise. No new model or code is needed for that, only another table:

# %%
S = schedules.pyramid(STEPS, frames, lag=LAG)
run, in_turn = states_of(tasks.image_to_video(picture), schedule=S)
results["pyramid"] = run.finish(in_turn[-1])
watch(run, in_turn)

assert (S.diff(dim=1) >= 0).all(), "in a pyramid the past is never noisier than the future"
first = [next(state.x0 for state in states if state.x0 is not None) for states in (together, in_turn)]
assert torch.allclose(*first, atol=1e-3), "the first guesses of both figures are the same"
waiting = in_turn[int(LAG * (frames - 1))]  # the last frame is about to start
assert torch.equal(waiting.x[:, :, -1], in_turn[0].x[:, :, -1]), "a frame that waits does not move"
assert (waiting.x0 - first[1])[:, :, -1].abs().max() > 0.05, "but the guess of it has changed"

# %% [markdown]
# The first row of guesses is the same as in the figure before. It must be: both times the model saw a clean frame 0
# beside the same pure noise. (Only the row's number is higher: before it no frame but the known one would have
# moved.) Then the two figures part. Look along the second row of pictures: the first frames are plain red squares,
# the later ones still blobs of orange and white. And compare its last picture with the one above it. Frame 8 has not
# moved yet, and still the guess of it has changed: its neighbours are clearer now.
#
# So the beginning of a video is finished while its end is open, which is how one model can make long videos. The price
# is more calls of the model (chapter 2).
#
# ## In numbers
#
# Did the pictures survive, and does anything move? Three numbers for each video tell:


# %% tags=["hide-input"]
def fitted(clip):
    return pixels.crop_and_resize(pixels.to_pixels(clip[None]), geometry.size)


given = dict.fromkeys(results, fitted(picture[None])) | {
    "extension": fitted(clip)[:, :, -geometry.pixel_frames(known) :]
}
rows = []
for name, made in results.items():
    video = pixels.to_pixels(made.video)
    off = 127.5 * (video[:, :, 0] - given[name][:, :, 0]).abs().mean().item()
    motion = metrics.motion(video).mean().item()
    rows.append([name, len(made.schedule) - 1, "" if name == "text_to_video" else round(off, 1), round(motion, 2)])
    media.write_clip(out / f"{name}.mp4", made.video[0], fps=geometry.fps, scale=max(1, 128 // geometry.size[0]))
table = pd.DataFrame(rows, columns=["video", "steps", "pixel frame 0 off by", "motion"])
table.to_csv(out / "metrics.csv", index=False)
assert (table.motion > 0).all(), "something moves in every video"
table.set_index("video")

# %% [markdown]
# *Steps* are the rows that the sampler goes down: the pyramid pays for its waiting. *Pixel frame 0 off by* is its
# mean difference from what you gave, in grey levels of 255. It is small, but not 0, since you see the frame through
# the codec. *Motion* is the mean difference between neighbouring pixel frames. A video that stands still would keep
# its first frame best of all, and have a motion of 0; none of these does.
#
# ## Could any video model do this?
#
# Nothing so far stops you from handing a vector of timesteps to a model that was trained with a single one. So was the
# adaptation needed at all? In this little world we know the truth: we draw scenes that no model has seen, give away the
# prompt and frame 0, and compare all later frames with what really happens. Four contestants:
#
# - the **base**, now given a vector of timesteps, which it has never seen;
# - the **base without the picture**, from the words alone;
# - the **adapted** model;
# - a **copy** of frame 0, repeated to the end: the answer of someone who knows nothing about motion.
#
# **Predict.** Does the base look at the picture at all? And will it do better or worse than the copy?

# %% tags=["hide-input"]
videos = {}  # name -> what it made


def keeping(name, make):
    def make_and_keep(captions, truth, seed):
        made = make(captions, truth, seed)
        videos.setdefault(name, []).extend(made)
        return made

    return make_and_keep


base, options = small_models.load(card["base"], device=device), {"steps": STEPS, "guidance": GUIDANCE}
contestants = {
    "copy of frame 0": ways.copy_of_frame_0,
    "base, no picture": ways.maker(base, known=(), **options),
    "base": ways.maker(base, **options),
    "adapted": ways.maker(model, **options),
}
raw = {name: evaluate.collect(keeping(name, make), model, CLIPS) for name, make in contestants.items()}
scores = {name: evaluate.image_to_video_scores(found, geometry.stride[0]) for name, found in raw.items()}
print(f"mean ± its standard error, over {CLIPS} clips")
for name, score in scores.items():
    error = f"{score['position_error_px']:.1f} px"
    print(f"{name:16} {score['psnr_db']:5.1f} ± {score['psnr_db_stderr']:.1f} dB, objects off by {error}")
print("how far the base is ahead, clip by clip")
for other in ("base, no picture", "copy of frame 0"):
    ahead = (raw["base"]["psnr_frame"] - raw[other]["psnr_frame"])[:, 1:].mean(dim=1)
    print(f"of {other:16} {ahead.mean():+.1f} ± {ahead.std() / CLIPS**0.5:.1f} dB")

assert scores["adapted"]["psnr_db"] > scores["base"]["psnr_db"], "adapting to a timestep for each frame helps"

# %% [markdown]
# <details><summary>Answer</summary>
#
# It does: with the picture it scores clearly better than without. But it makes little of what it sees. It ends no
# better than the copy, which at least gets the background and the starting place right.
#
# </details>
#
# The decibels (PSNR) measure agreement with the truth: 20 dB more mean a pixel error ten times smaller. The pixels say
# how far, on average, an object is from where it should be. The adapted model misses by little, all others by a sixth
# to a quarter of the picture's width. (Each ± is one standard error; chapter 8 says what to make of it.)
#
# Why is the base no better than a still picture? Below you see how agreement falls along the video, and one of these
# clips, on which the base's miss is about average.

# %%
fig, ax = plt.subplots(figsize=(9, 3), layout="constrained")
for (name, found), line in zip(raw.items(), (":", "-.", "--", "-"), strict=True):
    mean, error = found["psnr_frame"][:, 1:].mean(dim=0), found["psnr_frame"][:, 1:].std(dim=0) / CLIPS**0.5
    ax.plot(range(1, pixel_frames), mean, line, label=name)
    ax.fill_between(range(1, pixel_frames), mean - error, mean + error, alpha=0.15)
ax.set(xlabel="pixel frame", ylabel="PSNR against the truth (dB)", title="How far does frame 0 reach?")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

missed = raw["base"]["position_error"]
typical = (missed - missed.nanmean()).abs().nan_to_num(torch.inf).argmin().item()
scenes = world.draw_scenes(CLIPS, ways.EVAL_SEED, world.WORLDS[model.preset["world"]])[[typical]]
strip = {"truth": pixels.to_uint8(world.render(scenes))[0], **{name: made[typical] for name, made in videos.items()}}
fig, ax = plt.subplots(figsize=(9, 4.2), layout="constrained")
viz.filmstrip(strip, ax=ax, most=9)
ax.set_title(world.captions(scenes, ways.EVAL_SEED)[0])
plt.show()

# %% [markdown]
# Without the picture, the base is equally poor everywhere. With it, every method starts high and falls: the further a
# frame is from the picture, the harder it is to guess. But the copy and the base are down within a few frames, while the
# adapted model levels off far above.
#
# The strip shows why. Without the picture the base puts both things where it likes, since the words do not say where
# they start. With it, frame 0 is right, but soon there are *two* green crosses, one from the picture and one where the
# base would have put it anyway. The base sees the clean frame and does not rely on it. The adapted model goes on from
# the very picture it was given: one cross, which falls and comes up again like the true one.
#
# So the *sampler* needs no training, but the *model* does: it has to learn that a clean frame beside noisy ones can be
# relied on. How little training that takes is a claim of the Pusa paper about a large model. Our toy does not show it:
# its adaptation took almost half as many steps as its pretraining, and was done a little differently. Chapters 4 and 5
# go into that.

# %% [markdown]
# ## Exercises
#
# **1 · Fill in.** The velocity gave us a guess of the clean clip, $x-\tau v$. It holds a second guess: of the *noise*
# in every frame. Return that. You get the clip `x` and its velocity `v`, both `(batch, channels, frames, height,
# width)`, and the timesteps `tau`, `(batch, frames)`; return the noise, in the shape of `x`. If it is right, the cell
# draws the lines on which the frames travel.
#
# <details><summary>Hint</summary>
#
# The velocity is the same all along the line from `x0` to `eps`. How much of the line is left for a frame at `tau`, up
# to pure noise? (To multiply numbers `(batch, frames)` with a clip, give them the missing axes: `t[:, None, :, None,
# None]` has the shape `(batch, 1, frames, 1, 1)`.)
#
# </details>


# %% tags=["exercise"]
def my_noise(x, v, tau): ...


# %% tags=["check"]
levels = torch.tensor([[0.2, 0.5, 0.9], [0.6, 0.1, 0.3]])  # two clips of three frames, with other numbers on all axes
v, x = torch.randn(2, 4, 3, 5, 6), torch.randn(2, 4, 3, 5, 6)
t = levels[:, None, :, None, None]
nb.check(
    my_noise,
    pl.timesteps.eps_from_v,
    *(x, v, levels),
    axes="(batch, channels, frames, height, width)",
    mistakes={
        "this is the guess of the clean clip: go the other way.": x - t * v,
        "right direction, wrong length: tau is the piece of the line that lies behind a frame, not the rest.": x
        + t * v,
        "you go the whole length of the line, but every frame is already part of the way up.": x + v,
        "right length, wrong direction: v points towards the noise.": x - (1 - t) * v,
        "all frames go by the same amount: each has a timestep of its own.": x + (1 - levels.mean()) * v,
        "this is the way that is left, not where it ends: it is added to something.": (1 - t) * v,
        "this would be the noise if the clean clip were 0 everywhere.": x / t,
    },
)
if not nb.unwritten(my_noise):
    plt.figure(figsize=(9, 2.5), layout="constrained")
    levels = levels[:1]  # now the three numbers of *What a timestep does*
    v, x = pl.timesteps.velocity(x0, eps), pl.timesteps.interpolate(x0, eps, levels)
    guess = my_noise(x, v, levels).flatten()
    for k, colour in enumerate(("#0072B2", "#D55E00", "#009E73")):
        plt.plot([0, 1], [x0.flatten()[k], guess[k]], color=colour, label=f"frame {k}")
        plt.plot([levels[0, k], 1], [x.flatten()[k], guess[k]], "o", color=colour)
    plt.xlabel("tau (dots: the noised frame, and your noise)")
    plt.legend()
    plt.show()

# %% [markdown]
# **2 · Vary.** `tasks.image_to_video` takes an argument `noise`, from 0 to 1: the level at which the picture is *kept*.
# At 0 the picture is untouchable; a little noise allows the model to alter it, in case it does not quite fit the
# prompt. Generate a video from `picture` with a level of 0.3, and with the same prompt, `STEPS`, `GUIDANCE` and `SEED`
# as above, so that nothing else differs. Assign what `pl.generate` returns to `my_result`. If it is right, the cell
# below shows its schedule, and how much the first pixel frame has changed.
#
# **Predict.** What will happen to column 0 of the schedule? And will you be able to *see* the change?
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
        "this is not what `pl.generate` returns.": lambda r: isinstance(r, type(results["pyramid"])),
        "no picture was given: the task should be image_to_video.": lambda r: r.task == "image_to_video",
        "the number of steps is another than `STEPS`.": lambda r: len(r.schedule) == STEPS + 1,
        "frame 0 starts clean: did the task get its `noise`?": lambda r: r.schedule[0, 0] > 0,
        "frame 0 starts as pure noise, so nothing is left of the picture.": lambda r: r.schedule[0, 0] < 1,
        "frame 0 is kept at another level than the exercise asks for.": lambda r: abs(r.schedule[0, 0] - 0.3) < 1e-3,
        "the prompt, the guidance or the seed differs too from those of *First, a video*.": lambda r: (
            (r.request.prompts, r.request.guidance, r.request.seeds) == ([PROMPT], GUIDANCE, [SEED])
        ),
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
# <details><summary>Answer</summary>
#
# Column 0 starts at 0.3 and comes down with the others, so the model denoises the picture along with the rest. By eye
# you can hardly tell the first pixel frame from that at noise 0, but the map of differences lights up along the edges.
#
# </details>
#
# **3 · Invent.** Make a schedule in which the *last* frame is finished before all others. (The video itself still runs
# forwards.) `my_schedule` is a tensor `(rows, frames)`, with as many columns as the model has frames. Three properties
# make it a schedule: every column starts at 1, never rises, and ends at 0. If it is right, you see the video grow from
# its end.
#
# <details><summary>Hint</summary>
#
# You may write the rows by hand (`1.0` and not `1`), or start from something you have met: which schedule of this
# chapter finishes one frame after another, and how could its columns change places?
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
            isinstance(S, torch.Tensor) and S.ndim == 2 and S.shape[1] == frames and S.is_floating_point()
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
    watch(*states_of(tasks.text_to_video(), schedule=my_schedule))

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
# did above; and a video may keep its first frame by not moving, so look at the motion too.
#
# *Where the code lives:* `pusa_lab/tasks/` (`tasks.image_to_video` and the other tasks), `pusa_lab/generate.py`
# (`generate.generate`), `pusa_lab/samplers.py` (`samplers.sample_steps`, the loop over the rows),
# `pusa_lab/schedules/matrices.py` (`schedules.pyramid` and its relatives), `small_models/models/dit.py` (the
# transformer).
#
# *References:* Pusa V1.0, arXiv 2507.16116; Diffusion Forcing, arXiv 2407.01392; Wan, arXiv 2503.20314.
