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
# **2 · Vary.** The ends wait for nobody, their neighbours two rows, the middle four. So the middle is settled last, in
# the company of finished frames on both sides.

# %% tags=["answer"]
my_delays = [0, 2, 4, 2, 0]

# %% [markdown]
# **3 · Invent.** Nine different delays, with the smallest for frame 4. It does not beat the plainest schedule: frame 4
# has to decide first, in the company of noise. Few drawings do beat it on this clip, which is a good reason to draw,
# and to measure.

# %% tags=["answer"]
drawn = Editor(9, 4)
for frame, by in enumerate([5, 4, 3, 2, 0, 1, 6, 7, 8]):
    drawn.edit("delay", frame=frame, by=by)
my_schedule = drawn.schedule
