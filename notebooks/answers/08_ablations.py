# %% [markdown]
# **1 · Fill in.** Nothing in the equation needs a LoRA: any two trainings that start at the same weights span a line.
# `load` scales the product $B A$ instead, because then $W$ itself never has to be stored.


# %% tags=["answer"]
def my_stretch(start, end, s):
    return {name: start[name] + s * (end[name] - start[name]) for name in end}


# %% [markdown]
# **2 · Vary.** Five Euler steps. Remember the caveat, though: this is PSNR, which pays for not deciding. Before you
# save half of your calls, look at a few of the videos.

# %% tags=["answer"]
my_choice = ("euler", 5)

# %% [markdown]
# **3 · Invent.** Was it the training with a timestep per frame that made `nano-vta` good at image to video? A large
# effect needs few pairs: the base has never seen a clean frame beside noisy ones, and every prompt shows it.

# %% tags=["answer"]
my_table = sweep(None, {"model": ["nano-base", "nano-vta"], "task": [start], "steps": [2]}, **same)
