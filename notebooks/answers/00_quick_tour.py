# %% [markdown]
# **1 · Fill in.** A frame at `tau` has gone `tau` of the way from its clean value to its noise, so `1 - tau` is left,
# and it moves by `v` for each unit of it: the noise is `x + (1 - tau) v`. (Or solve `x = (1 - tau) x0 + tau eps` and
# `v = eps - x0` for `eps`.) At `tau = 1` that is `x` itself, as it should be. Each frame has a distance of its own, so
# `1 - tau` keeps its axis of frames and gets axes of size 1 for channels, height and width.


# %% tags=["answer"]
def my_noise(x, v, tau):
    return x + (1 - tau)[:, None, :, None, None] * v


# %% [markdown]
# **2 · Vary.** Column 0 starts at 0.3 instead of 0 and comes down with the others, so the model denoises the picture
# along with the rest. The first pixel frame is then close to the picture, but no longer identical to it: after the
# chapter's ten steps you will hardly see a change by eye (this page is built with two), but the map of differences
# shows one. That is useful when the picture does not quite fit, be it the style, the light or the prompt, and a little
# freedom makes the video more coherent. Pusa's authors advise 0.2 for a picture at the start, and show 0.3 and 0.7 for
# one at each end.

# %% tags=["answer"]
task = tasks.image_to_video(picture, noise=0.3)
my_result = pl.generate(model, PROMPT, task, steps=STEPS, guidance=GUIDANCE, seed=SEED)

# %% [markdown]
# **3 · Invent.** A pyramid whose columns are reversed starts with the last frame and ends with the first. Reversing the
# order of the columns leaves each column as it is, so all of them still start at 1, never rise, and end at 0. The model
# has no idea that this is unusual: it only ever sees one row at a time, and in every row there are cleaner frames to go
# by.

# %% tags=["answer"]
my_schedule = schedules.pyramid(4, frames).flip(1)
