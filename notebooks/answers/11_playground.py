# %% [markdown]
# **1 · Fill in.** Rows before may not be below the level, or the noise would rise into this row; rows after may not be
# above it, or the noise would rise out of it. A maximum and a minimum do that, and change nothing where the column is
# in order already.

# %% tags=["answer"]
def my_drag(column, row, level):
    out = column.clone()
    out[:row] = out[:row].clamp(min=level)
    out[row] = level
    out[row + 1 :] = out[row + 1 :].clamp(max=level)
    return out


# %% [markdown]
# **2 · Vary.** The ends wait for nobody, their neighbours two rows, the middle four, so it is settled last, among
# finished frames on both sides.

# %% tags=["answer"]
my_delays = [0, 2, 4, 2, 0]

# %% [markdown]
# **3 · Invent.** Frame 4 falls in the same even steps twice, first before all others and then after them; the others
# only fall at other rows. Its company is the one thing that differs. Abridged, as here, there is one noise, and quiet
# company seems to win. In full there are three, and in none of them does it win clearly: what held for frame 8 does not
# hold for every frame. What holds here as well is the other half: among *true* frames the score is higher, and the
# noises agree. Frames that were finished with mistakes are quiet, too, and frame 4 has to fit in between them.

# %% tags=["answer"]
my_experiment = (4, in_turn([4]), in_turn([0, 1, 2, 3, 5, 6, 7, 8]))
