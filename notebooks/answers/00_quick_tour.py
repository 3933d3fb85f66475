# %% [markdown]
# **1 · Fill in.** A step is the velocity times the distance travelled in `tau`, and that distance is `tau_next - tau`,
# which is negative on the way down. Every frame has a distance of its own, so the difference keeps its axis of frames
# and gets axes of size 1 for channels, height and width. A frame that stays at 0 is multiplied by 0, which is why a
# known frame does not change.


# %% tags=["answer"]
def my_euler_step(x, v, tau, tau_next):
    return x + (tau_next - tau)[:, None, :, None, None] * v


# %% [markdown]
# **2 · Vary.** Column 0 starts at 0.3 instead of 0 and comes down with the others, so the model denoises the picture
# along with the rest. The first pixel frame is then close to the picture, but no longer identical to it: you will
# hardly see a change by eye, but the map of differences shows one. That is useful when the picture does not quite fit,
# be it the style, the light or the prompt, and a little freedom makes the video more coherent. The paper uses levels up
# to 0.3 for this reason.

# %% tags=["answer"]
task = tasks.image_to_video(picture, noise=0.3)
my_result = pl.generate(model, PROMPT, task, steps=6, guidance=GUIDANCE, seed=SEED)

# %% [markdown]
# **3 · Invent.** A pyramid whose columns are reversed starts with the last frame and ends with the first. Reversing the
# order of the columns leaves each column as it is, so all of them still start at 1, never rise, and end at 0. The model
# has no idea that this is unusual: it only ever sees one row at a time, and in every row there are cleaner frames to go
# by.

# %% tags=["answer"]
my_schedule = schedules.pyramid(6, frames).flip(1)
