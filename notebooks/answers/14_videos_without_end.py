# %% [markdown]
# **1 · Fill in.** After one block the error is $b$, after two $a b + b$, after three $a^2 b + a b + b$: each fault
# fades by $a$ in every block after its own, and all are added. For $a = 1$ nothing fades, so the sum grows by $b$ for
# ever; the formula $b\,(1 - a^n) / (1 - a)$ would divide by 0 there, and a loop does not. That is the case of equal
# signs. Measured is the other: faults of random sign cancel in part, so the squares follow this line (with $a^2$ and
# $b^2$), and the error grows like the root of the number of blocks. (These answers are built with
# two scenes, which are too few to tell; the chapter has twelve.)


# %% tags=["answer"]
def my_errors(gain, fault, blocks):
    found = [0.0]
    for _ in range(blocks):
        found.append(gain * found[-1] + fault)
    return torch.tensor(found[1:])


# %% [markdown]
# **2 · Vary.** Twelve steps and at most 3 rows a frame means that 4 frames are in progress at a time; a window of 8 has
# room for just these and 4 final ones. Blocks of two, each 6 rows behind the one before, cost as much, but frames come
# in pairs. So it has to be a ramp of single frames: `rolling(window=4)`, or `pyramid(lag=3)`, which is the same here.

# %% tags=["answer"]
my_schedule = "rolling(window=4)"

# %% [markdown]
# **3 · Invent.** The anchor is the first frame of the newest scene that has already left the window. As long as that
# frame is in view by itself, nothing has to be put in its place. It cannot guess where a scene begins: somebody must
# say so, as an editor does, or whoever changes the prompt. And it still cannot follow a slow change such as a sunset;
# an anchor that moves along at a distance could, and would forgive less.


# %% tags=["answer"]
def my_moves(moves, cuts):
    found = []
    for move in moves:
        anchor = max([0, *(cut for cut in cuts if cut <= move.seen[0])])
        there = anchor in move.seen or move.seen[0] in move.to
        found.append(move if there else Move((anchor, *move.seen[1:]), move.to))
    return found
