# %% [markdown]
# **1 · Fill in.** Timesteps and noise come from one generator, in the order given, so that the same seed always makes
# the same step. The rest is the loss of chapter 4, kept apart by frame: the trainer weighs known frames with 0 before
# it averages.

# %% tags=["answer"]
def my_step(toy, x0, words, seed):
    g = torch.Generator().manual_seed(seed)
    tau = timestep_samplers.independent(x0.shape[0], x0.shape[2], g)
    eps = torch.randn(x0.shape, generator=g)
    t = tau[:, None, :, None, None]
    v = toy((1 - t) * x0 + t * eps, tau, **toy.encode_text(words))
    return (v - (eps - x0)).square().mean(dim=(1, 3, 4))


# %% [markdown]
# **2 · Vary.** The first argument is the number of clean frames, and `rest` samples the timesteps of all the others.
# Left at its default, `rest` would be `independent`, which sampling from a prefix never visits.

# %% tags=["answer"]
my_sampler = timestep_samplers.clean_prefix(3, rest=timestep_samplers.shared)


# %% [markdown]
# **3 · Invent.** The frames stand on a ring, an eighth apart, and one random number per clip turns the ring. Seen
# alone, each frame's timestep is uniform; seen together, they always cover the ring, so they can never come close. A
# model trained so never meets equal timesteps: would you expect it to do text-to-video?


# %% tags=["answer"]
def my_own(batch, frames, generator=None):
    return (torch.rand(batch, 1, generator=generator) + torch.arange(frames) / frames) % 1
