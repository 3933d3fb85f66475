# %% [markdown]
# **1 · Fill in.** The first pixel frame has a latent frame to itself, every 4 further ones share one. The codec shrinks
# height and width 8 times and a patch another 2 times, hence the 16. Both numbers of bytes have the same factor, 6
# vectors of `config.dim` numbers of 2 bytes; they differ by the number of tokens in a frame, and by nothing else.

# %% tags=["answer"]
def my_costs(height, width, frames):
    latent = 1 + (frames - 1) // 4
    tokens = latent * (height // 16) * (width // 16)
    vectors = 6 * config.dim * 2
    return torch.tensor([tokens, tokens * vectors, latent * vectors])


# %% [markdown]
# **2 · Vary.** `offload="group"` makes it fit, `compiled=True` makes it faster: compiled blocks fuse the small
# operations around the large matrix products, which otherwise write to memory and read again. Rent is price times time,
# so what is faster is also cheaper.

# %% tags=["answer"]
my_plan = plan("wan2.1-14b", "720p", gpu="rtx4090", offload="group", compiled=True)

# %% [markdown]
# **3 · Invent.** Kept together, the frames are all above 0.875 or all below, and a larger shift keeps more rows above.
# Shift 12, which is also what the official code of Wan2.2 takes, gives 6 of 8. Any schedule whose frames pass 0.875 in
# the same row would do, so they may spread before and after.

# %% tags=["answer"]
my_schedule = schedules.synchronous(8, 3, shift=12.0)
