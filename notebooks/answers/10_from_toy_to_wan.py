# %% [markdown]
# **1 · Fill in.** `unflatten` cuts the axis of tokens into frames and tokens of a frame; its -1 stands for the number
# of tokens, n, whatever the size. The vectors get an axis of length 1 in the place of n, which broadcasting stretches:
# it reads the same vector n times and never writes it down n times. In the picture both rows agree with the toy, and
# only the first has a bar.


# %% tags=["answer"]
def my_viewed(tokens, scale, shift):
    frames = tokens.unflatten(1, (scale.shape[1], -1))  # (b, frames, n, d)
    return (frames * (1 + scale[:, :, None]) + shift[:, :, None]).flatten(1, 2)


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
