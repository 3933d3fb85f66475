# %% [markdown]
# **1 · Fill in.** Write $h$ for $g'$. From $h / (1 - h) = s g / (1 - g)$ follows $h (1 - g) = s g (1 - h)$, hence
# $h\,(1 - g + s g) = s g$, and $h = s g / (1 + (s - 1)\, g)$. This form has another advantage: at $g = 1$, where the
# ratio of noise to signal is infinite, it gives 1 without any special treatment. (Computing the ratio first, and the
# level from it, is right everywhere but there.)


# %% tags=["answer"]
def my_shift(levels, shift):
    return shift * levels / (1 + (shift - 1) * levels)


# %% [markdown]
# **2 · Vary.** The formula says calls = 20 + 20 · lag, because 21 frames have 20 gaps. So 20 · lag may be at most 80,
# and the largest whole lag is 4, with 100 calls. Whoever counts 21 gaps gets 3, and whoever forgets the steps of the
# last frame gets 5.

# %% tags=["answer"]
my_lag = (100 - 20) // (21 - 1)

# %% [markdown]
# **3 · Invent.** A frame of the second generation waits for four rows, the steps of the first generation; a frame of
# the third waits for eight. Twelve calls are enough for nine frames, where `autoregressive` would need 36, because
# frames of the same generation do not wait for each other. The price is that frame 1 is final only at the very end, so
# the length must be known from the start.

# %% tags=["answer"]
my_schedule = schedules.delayed(4, [0, 8, 4, 8, 0, 8, 4, 8, 0])
