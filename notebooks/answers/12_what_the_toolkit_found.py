# %% [markdown]
# **1 · Fill in.** Everything that both models share, above all how hard a scene is, cancels in the differences. What is
# left scatters by $\sigma$, and the mean of n independent differences by $\sigma / \sqrt{n}$; 95 % of a normal
# distribution lies within 1.96 of those. If the interval excludes 0, one may say "clearly".


# %% tags=["answer"]
def my_gap(ours, theirs):
    difference = ours - theirs
    return torch.stack([difference.mean(), 1.96 * difference.std() / len(difference) ** 0.5])


# %% [markdown]
# **2 · Vary.** The constraint comes first: the highest skill of all belongs to a draw with many pictures, which loses
# words. Among the rest, another objective chooses another setting. That is why the objective was written down before
# the search.

# %% tags=["answer"]
allowed = [row for row in rounds["0"] if row["text_lost low"] <= 0]
my_setting = max(allowed, key=lambda row: row["autoregressive skill"])["name"]
print(my_setting)

# %% [markdown]
# **3 · Invent.** Three groups of frames, one after the other, and each falls in two steps: a great one, which settles
# the outline, and the rest, which works out what one step would have averaged away. The next group starts when the one
# before is nearly done. The squared error likes great steps; the second one keeps the contrast. Before anybody uses
# it, it must be compared on unseen clips, with guidance, and with blur of the same contrast: this score was beaten on
# the clips of the search, by a schedule chosen after looking at it.

# %% tags=["answer"]
my_schedule = torch.tensor(
    [
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        [0.3, 0.3, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        [0.0, 0.0, 0.3, 0.3, 0.3, 1.0, 1.0, 1.0],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.3, 0.3, 0.3],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    ]
)
