# %% [markdown]
# **1 · Fill in.** The order is the whole exercise: scores of all queries with all keys, the softmax over all keys, and
# only then sums and means. Keys of a frame are *added up*, because their weights are parts of one whole; queries of a
# frame and heads are *averaged*, because each of them has a whole of its own. So rows sum to 1.

# %% tags=["answer"]
def my_mass(q, k, grid):
    scores = torch.einsum("bqnd,bknd->bnqk", q, k) / q.shape[-1] ** 0.5
    weights = scores.softmax(dim=-1)  # (b, heads, queries, keys)
    to_frames = weights.unflatten(-1, (grid[0], -1)).sum(dim=-1)
    return to_frames.unflatten(2, (grid[0], -1)).mean(dim=3).mean(dim=1)


# %% [markdown]
# **2 · Vary.** A frame at level 0.5 is attended to almost as much as a clean one; about half of the fall comes in the
# last fifth of the way to noise, where its scene can hardly be seen any more. That is why a known frame may be
# given noise (chapter 6) without being forgotten.

# %% tags=["answer"]
quiet, noisy = 0.0, 1.0
for _ in range(8):  # halve the interval in which half is lost
    my_level = (quiet + noisy) / 2
    half_lost = even_shares(my_level) < (clean + noise) / 2
    quiet, noisy = (quiet, my_level) if half_lost else (my_level, noisy)
print(f"{my_level:.3f}")

# %% [markdown]
# **3 · Invent.** Change one frame of the input, ask again, and see which frames of the velocity moved: an intervention,
# as with the exchanged pictures. The absolute value comes before the mean, or changes up and down would cancel; a sign
# that is kept elsewhere does no harm, since only sizes are compared. The frame that was changed is the *column*, so the
# results are stacked along the second axis. A measure that looks at the output alone, such as how alike two frames'
# velocities are, cannot tell who depends on whom. In the picture, compare the first columns. The diagonal is dark for a
# reason of its own: $v = \epsilon - x_0$ contains the frame's own noise, so changing a frame changes its own most.


# %% tags=["answer"]
def my_dependence(denoiser, x, tau):
    still, columns = denoiser(x, tau), []
    for j in range(x.shape[2]):
        changed = x.clone()
        changed[:, :, j] = 0
        columns.append((denoiser(changed, tau) - still).abs().mean(dim=(0, 1, 3, 4)))
    return torch.stack(columns, dim=1)
