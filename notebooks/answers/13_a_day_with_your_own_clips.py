# %% [markdown]
# **1 · Fill in.** Latent frame 0 holds pixel frame 0 alone, so that a picture can be encoded without a video around it;
# the other $n - 1$ frames are packed in fours. Times two bytes, this is the size of a clip in the cache, to which only
# its caption is added.


# %% tags=["answer"]
def my_latents(num_frames, height, width):
    return 16 * (1 + (num_frames - 1) // 4) * (height // 8) * (width // 8)


# %% [markdown]
# **2 · Vary.** Compiling and float8 each make it faster, but not smaller. Of the two that make room, offloading costs
# no time in this plan, and the 8-bit optimizer some: with it the training takes a little more than 22 hours. So the
# three together, and the optimizer as it was. No plan says what float8 does to the loss: watch `val_loss`.

# %% tags=["answer"]
my_options = {"compiled": True, "float8": True, "offload_activations": True}

# %% [markdown]
# **3 · Invent.** A square that moves is a clip. Nine frames are three latent frames: one for frame 0, and one each for
# frames 1 to 4 and 5 to 8. A clip in which nothing moves would be encoded as well, and would teach the model to stand
# still.

# %% tags=["answer"]
frames = np.full((9, 48, 48, 3), 40, np.uint8)
for i in range(9):
    frames[i, 16:28, 3 * i : 3 * i + 12] = (213, 94, 0)
my_clip = (frames, "an orange square moves right")
