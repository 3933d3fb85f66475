# %% [markdown]
# **1 · Fill in.** (This page was run with `FAST = True`: its numbers are of fewer clips than the chapter's.)
# Everything that both models share, above all how hard a scene is, cancels in the differences. What is left scatters
# by $\sigma$, and the mean of n independent differences by $\sigma / \sqrt{n}$; 95 % of a normal distribution lies
# within 1.96 of those. If the interval excludes 0, one may say "clearly".


# %% tags=["answer"]
def my_gap(ours, theirs):
    difference = ours - theirs
    return torch.stack([difference.mean(), 1.96 * difference.std() / len(difference) ** 0.5])


# %% [markdown]
# **2 · Vary.** The constraint comes first. Among the settings that keep it, completion is best served by a setting that
# the whole objective does not choose: another objective, another winner. That is why it was written down before the
# search.

# %% tags=["answer"]
allowed = [row for row in rounds["0"] if row["text_lost low"] <= 0]
my_setting = max(allowed, key=lambda row: row["completion skill"])["name"]
print(my_setting)

# %% [markdown]
# **3 · Invent.** Three groups of frames, one after the other, and each falls in two steps: a great one, which settles
# the outline, and the rest, which works out what one step would have averaged away. The next group starts when the one
# before is nearly done. The squared error likes great steps; the second one keeps the contrast. Before anybody uses
# it, it must be compared on unseen clips and with guidance: this score was beaten on the clips of the search, by a
# schedule chosen after looking at it.
#
# All numbers below are of the few clips of a `FAST` run, the start to be beaten as well, so do not compare them with
# the chapter's. On the chapter's own clips the schedule wins, too, but by less, and there its lead over blur has zero
# within its interval: the tick says that it lies above on average, not *clearly*. Run it in the chapter to see both.

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
