# %% [markdown]
# **1 · Fill in.** The range does two things: it makes dimensions comparable, and it decides what a point is worth. The
# range of `dynamic_degree` is all of 0 to 1, whereas `motion_smoothness` lives in its upper third. So a hundredth more
# smoothness moves the mean further than a hundredth more motion, before any weight is applied.


# %% tags=["answer"]
def my_mean(scores, ranges, weights):
    n = {k: (scores[k] - ranges[k][0]) / (ranges[k][1] - ranges[k][0]) for k in weights}
    return sum(weights[k] * n[k] for k in weights) / sum(weights.values())


# %% [markdown]
# **2 · Vary.** The same frames in another order. Sharpness is a property of single frames and cannot notice; smoothness
# compares neighbours, and these are no longer neighbours. Reversing the order would *not* do: played backwards, every
# frame still lies between the same two.


# %% tags=["answer"]
def my_damage(clip):
    return clip[:, :, torch.arange(clip.shape[2]) * 7 % clip.shape[2]]


# %% [markdown]
# **3 · Invent.** A product is a strict "and": it is small as soon as one factor is. Motion is 0 in a frozen clip, and
# noise moves more than anything, but is not smooth. The second factor is 0 below a smoothness that every real clip
# exceeds, and so is 0 for noise. Now ask which worthless clip *your* score rewards: there is one.


# %% tags=["answer"]
def my_metric(clip):
    return metrics.motion(clip).mean(1) * (metrics.motion_smoothness(clip) - 0.9).clamp(min=0)
