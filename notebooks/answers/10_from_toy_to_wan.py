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
# **2 · Vary.** A vector that reads the same from both ends cannot tell a reversed model from a right one. The schedule
# of `start_end` (chapter 0) has nothing but such rows: both ends are known, and the frames between share a level. A Wan
# that takes its timesteps in reverse would pass every test between two pictures, and fail with the first single one. In
# the picture the three right attempts and the reversed one have no bar. So test with timesteps that rise from frame to
# frame, or with random ones.

# %% tags=["answer"]
my_tau = torch.tensor([[0.0, 0.5, 0.9, 0.5, 0.0]])

# %% [markdown]
# **3 · Invent.** All that the prompt does passes through the output layer of cross-attention, so take its weight away:
# $W + BA = 0$ with $B = -W$ and $A$ the identity. Only the bias is left, the same for every prompt. $W$ has full rank,
# so no file of lower rank could do it exactly here. In the picture the prompt's effect shrinks to nothing at strength 1
# and returns beyond it, with the opposite sign: a strength above 1, such as Pusa's 1.4, always overshoots what was
# trained. (Taking away the *values* works as well; taking away queries or keys does not: attention is then even, and
# still carries the values.)

# %% tags=["answer"]
my_file = {}
for block in range(2):
    weight = model.transformer.get_submodule(f"blocks.{block}.attn2.to_out.0").weight
    my_file[f"blocks.{block}.cross_attn.o.lora_A.default.weight"] = torch.eye(len(weight))
    my_file[f"blocks.{block}.cross_attn.o.lora_B.default.weight"] = -weight.clone()
