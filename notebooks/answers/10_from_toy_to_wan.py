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
# **2 · Vary.** The budget allows about 1.8 times the operations of 81 frames. In proportion to frames that would be far
# more frames than you get, because half of the work is quadratic; if all of it were, you would get fewer. The two terms
# together hit it to the latent frame.

# %% tags=["answer"]
allowed = 0.08 / plan("wan2.1-14b", "480p", gpu="rtx4090", offload="group").money * (linear + quadratic)
x = (-linear + (linear**2 + 4 * quadratic * allowed) ** 0.5) / (2 * quadratic)  # linear x + quadratic x^2 = allowed
my_frames = 1 + 4 * (int(21 * x) - 1)

# %% [markdown]
# **3 · Invent.** After 5 of 8 even steps $\tau$ is 3/8, after 6 it is 1/4. Solve the formula for the shift that takes
# them to exactly 0.875: 35/3, and 21. Any shift from the first to just below the second gives 6 high rows, so three
# different ones make three different columns that pass 0.875 together. (The official code of Wan2.2 takes 12.)

# %% tags=["answer"]
my_schedule = torch.cat([schedules.synchronous(8, 1, shift=shift) for shift in (12.0, 15.0, 20.0)], dim=1)
