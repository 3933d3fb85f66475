# %% [markdown]
# **1 · Fill in.** One latent frame of one clip takes 16 numbers of two bytes for each 8 x 8 pixels. So many of them fit
# for each clip, rounded down. The first holds a single picture, so that one can be encoded without a video around it;
# each later one holds four: $1 + 4 (k - 1) = 4k - 3$, and 0 where $k = 0$.


# %% tags=["answer"]
def my_frames(room, clips, height, width):
    latent = room // (clips * 16 * 2 * (height // 8) * (width // 8))
    return max(0, 4 * latent - 3)


# %% [markdown]
# **2 · Vary.** Compiling and float8 each make it faster, but not smaller. Of the two that make room, offloading costs
# no time in this plan, and the 8-bit optimizer some: with it the training takes a little more than 22 hours, unless
# a few blocks also keep what attention returned (`"ac_save_attention": 5` passes). Simplest are the three together,
# with the optimizer as it was. No plan says what float8 does to the loss: watch `val_loss`.

# %% tags=["answer"]
my_options = {"compiled": True, "float8": True, "offload_activations": True}

# %% [markdown]
# **3 · Invent.** A square that goes and comes back is a clip. Before, the shipped model paints a square in the red that
# it knows and lets it go straight on; after sixty steps on this one clip it keeps the colour, and turns round where it
# should. That is learned by heart: only a held-out clip, in which the square starts elsewhere, could say whether a rule
# was learned.

# %% tags=["answer"]
frames = np.full((8, 48, 48, 3), 40, np.uint8)
for i, x in enumerate((3, 11, 19, 27, 27, 19, 11, 3)):
    frames[i, 16:28, x : x + 12] = (213, 94, 0)
my_clip = (frames, "a red square moves right")
