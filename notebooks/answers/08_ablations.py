# %% [markdown]
# **1 · Fill in.** One number for every prompt: then the scenes cancel in the difference, and what is left to scatter is
# how differently the prompts react to the setting. Counting videos makes the interval too narrow, as if a second seed
# were a second scene; leaving out the pairs makes it several times too wide.


# %% tags=["answer"]
def my_interval(a, b):
    d = (b - a).mean(dim=1)
    return torch.stack([d.mean(), 1.96 * d.std() / len(d) ** 0.5])


# %% [markdown]
# **2 · Vary.** The mean. The miss of a mixture is the same for all weights that add up to 1, and the spread is least
# with equal weights, where half of it is left: miss + spread / 2. With $K$ samples it is miss + spread / $K$, which
# goes to what one Euler step reaches with a single call. The picture shows the price: where the two futures
# differ, both are there, each half transparent.


# %% tags=["answer"]
def my_mixture(a, b):
    return (a + b) / 2


# %% [markdown]
# **3 · Invent.** Was it the training with a timestep per frame that made `nano-vta` good at image to video? We predict
# that it is ahead, since the base has never seen a clean frame beside noisy ones. The prediction stands in the first
# line, so the result cannot change it.

# %% tags=["answer"]
my_sign = +1
my_table = sweep(None, {"model": ["nano-base", "nano-vta"], "task": [start], "steps": [2]}, **same)
