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
# **2 · Vary.** In a frame of pure noise the noise itself is visible, so only the clip is unknown. A clean frame 0, two
# away, explains $0.64^2$ of frame 2. A clean frame 1 explains $0.8^2$, and then frame 0 adds nothing: these clips go on
# from each frame without remembering the one before it. But from both sides is better than from one: guess frame 1 by
# $k\,(x_0 + x_2)$. The sum has variance $2 + 2 \cdot 0.64$ and covariance $1.6$ with frame 1, so
# $1 - 1.6^2 / 3.28 \approx 0.22$ is left. That is why keyframes on both sides are worth more than a longer past.

# %% tags=["answer"]
my_floors = torch.tensor([1 - 0.64**2, 1 - 0.8**2, 1 - 1.6**2 / 3.28])


# %% [markdown]
# **3 · Invent.** Three clips in ten are made to look like image-to-video: their uniform timesteps are squeezed below
# .05 for frame 0 and above .5 for the others. All other clips are left independent, and they alone give every tenth
# of [0, 1] a share of 7 %.


# %% tags=["answer"]
def my_sampler(batch, frames, generator=None):
    tau = timestep_samplers.independent(batch, frames, generator)
    picture = torch.cat([tau[:, :1] / 20, (1 + tau[:, 1:]) / 2], dim=1)
    return torch.where(torch.rand(batch, 1, generator=generator) < 0.3, picture, tau)
