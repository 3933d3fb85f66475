# %% [markdown]
# **1 · Fill in.** `tau` has the axes `(b, f)`. Indexing with `None` adds axes of size 1 for channels, height and width,
# so that each number is spread over the one frame it belongs to, and over nothing else. Then the formula can be written
# as it stands. At `tau = 0` it gives the clip, at `tau = 1` the noise.


# %% tags=["answer"]
def my_interpolate(x0, eps, tau):
    t = tau[:, None, :, None, None]
    return (1 - t) * x0 + t * eps


# %% [markdown]
# **2 · Vary.** Correlation has no direction, so the answer is the mirror image of that for a known frame 0: frame 1 is
# one frame away from the picture, and its mean is 0.8 times the picture; frame 0 is two frames away, and its mean is
# 0.64 times the picture. Two things had to be moved to frame 2: the column of zeros in the schedule, and the picture in
# `x`. If you move only one of them, either noise is held as if it were a picture, or the picture is denoised as if it
# were noise.

# %% tags=["answer"]
x = torch.randn(SAMPLES, 1, 3, 1, 1)
x[:, :, 2] = picture
my_clips = samplers.sample(model, x, schedules.hold(STEPS, 3, at=[2]), solver="heun").view(SAMPLES, 3)

# %% [markdown]
# **3 · Invent.** This path first brings the *middle* frame half-way down, then the outer two all the way, and finishes
# the middle frame last. With its four rows it fails although it is valid: from 1 to 0 in one go is far too long a step.
# Dividing every step by sixteen stays on the same path and makes it right. By the proof in the chapter, this works for
# every path.

# %% tags=["answer"]
corners = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.5, 1.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.0]])
my_schedule = schedules.stretch(corners, 16)
