# %% [markdown]
# **1 · Fill in.** The frames' losses must still be apart when the weight meets them, so the first mean runs over
# channels, height and width alone. What is left has shape `(b, f)`, like `weight`, and the last mean makes it one
# number.

# %% tags=["answer"]
def my_loss(denoiser, x0, tau, eps, weight):
    t = tau[:, None, :, None, None]
    v = denoiser((1 - t) * x0 + t * eps, tau)
    frame_loss = (v - (eps - x0)).square().mean(dim=(1, 3, 4))
    return (weight * frame_loss).mean()


# %% [markdown]
# **2 · Vary.** The clean frame 1 has floor 1, the variance of the noise that it does not show. In a frame of pure
# noise the noise itself is fully visible, so only the clip is unknown; a clean neighbour with correlation 0.8
# explains $0.8^2 = 0.64$ of it and leaves 0.36. The other frame of noise, two away, adds nothing.

# %% tags=["answer"]
my_floor = torch.tensor([1 - 0.8**2, 1.0, 1 - 0.8**2])


# %% [markdown]
# **3 · Invent.** Three clips in ten are made to look like image-to-video: their uniform timesteps are squeezed below
# .05 for frame 0 and above .5 for the others. All other clips are left independent, and they alone give every tenth
# of [0, 1] a share of 7 %.


# %% tags=["answer"]
def my_sampler(batch, frames, generator=None):
    tau = timestep_samplers.independent(batch, frames, generator)
    picture = torch.cat([tau[:, :1] / 20, (1 + tau[:, 1:]) / 2], dim=1)
    return torch.where(torch.rand(batch, 1, generator=generator) < 0.3, picture, tau)
