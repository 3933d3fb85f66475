# %% [markdown]
# **1 · Fill in.** The mask multiplies the column that all free frames share. A free frame has $m = 1$ and gets the
# column itself; a clean frame has $m = 0$ and gets a column of zeros; anything between keeps its *ratio* to the free
# frames, so that all of them arrive at 0 in the last row. That one product is the only difference between tasks.


# %% tags=["answer"]
def my_schedule(sigmas, levels):
    return sigmas[:, None] * levels


# %% [markdown]
# **2 · Vary.** Within a narrow range about 0.27 the picture and the words hold the balance. The change is that steep
# because colour and outline of so small an object are among the first things to drown in noise: below 0.2 the network
# can still read them off frame 0, above 0.35 it has to take them from the prompt.

# %% tags=["answer"]
my_noise = 0.27

# %% [markdown]
# **3 · Invent.** Two latent frames in the middle ask for a past *and* a future: what led to this moment, and what comes
# of it? Nothing in training singled this question out. It is one of the 510 masks, and independent timesteps come near
# all of them.

# %% tags=["answer"]
my_task = tasks.Task("a moment in the middle", (tasks.Known(video[13:21], at=4),))
