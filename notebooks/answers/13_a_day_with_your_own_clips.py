# %% [markdown]
# **1 · Fill in.** Latent frame 0 holds pixel frame 0 alone, so that a picture can be encoded without a video around it;
# the other $n - 1$ frames are packed in fours. Times two bytes, this is the size of a clip in the cache, to which only
# its caption is added.


# %% tags=["answer"]
def my_latents(num_frames, height, width):
    return 16 * (1 + (num_frames - 1) // 4) * (height // 8) * (width // 8)


# %% [markdown]
# **2 · Vary.** Offloading the activations makes room, but does not make it faster; compiling the blocks makes it
# faster, but needs the room first. Together they are enough. An 8-bit optimizer would make room too, for a little more
# time.

# %% tags=["answer"]
my_options = {"compiled": True, "offload_activations": True}

# %% [markdown]
# **3 · Invent.** A square that moves is a clip. Nine frames are three latent frames: one for frame 0, and one each for
# frames 1 to 4 and 5 to 8. A clip in which nothing moves would be encoded as well, and would teach the model to stand
# still.

# %% tags=["answer"]
frames = np.full((9, 48, 48, 3), 40, np.uint8)
for i in range(9):
    frames[i, 16:28, 3 * i : 3 * i + 12] = (213, 94, 0)
my_clip = (frames, "an orange square moves right")
