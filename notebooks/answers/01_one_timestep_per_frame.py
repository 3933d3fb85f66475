# %% [markdown]
# **1 · Fill in.** From the mixture, $\varepsilon = (x - (1 - \tau)\, x^0) / \tau$. Subtract $x^0$, and what remains is
# $v = (x - x^0) / \tau$: the way from the clean clip to $x$, divided by the share of the line that it is. At $\tau = 0$
# this is 0 divided by 0 if the guess is right, and nothing sensible if it is not: a clean frame says nothing about its
# noise. A sampler moves such a frame by 0 times its velocity; but 0 times infinity would be `nan`, so the adapter must
# return a finite number, and 0 is the natural one.


# %% tags=["answer"]
def my_velocity_from_x0(x, x0_guess, tau):
    t = tau[:, None, :, None, None]
    return torch.where(t == 0, 0, (x - x0_guess) / t)


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
