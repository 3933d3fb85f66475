# %% [markdown]
# **1 · Fill in.** The mask multiplies the column that all free frames share. A free frame has $m = 1$ and gets the
# column itself; a clean frame has $m = 0$ and gets a column of zeros; anything between keeps its *ratio* to the free
# frames, so that all of them arrive at 0 in the last row. That one product is the only difference between tasks.


# %% tags=["answer"]
def my_schedule(sigmas, frames, known):
    levels = torch.ones(frames)
    for at, level in known.items():
        levels[at] = level
    return sigmas[:, None] * levels


# %% [markdown]
# **2 · Vary.** A second picture at frame 12 is not enough: between the two the object becomes white, and turns red
# again for the second. The words win wherever frames are free. So none must be free: a clip that stands still for 13
# pixel frames fills latent frames 0 to 3. From frame 13 on the change is as quick as before.

# %% tags=["answer"]
my_delay = tasks.extension(np.stack([picture] * 13))

# %% [markdown]
# **3 · Invent.** Two latent frames in the middle ask for a past *and* a future: what led to this moment, and what comes
# of it? No part of the training singled this question out. It is one of the 510 masks, and one training serves them
# all.

# %% tags=["answer"]
my_task = tasks.Task("a moment in the middle", (tasks.Known(video[13:21], at=4),))
