# %% [markdown]
# **1 · Fill in.** Timesteps and noise come from one generator, in the order given, so that the same seed always makes
# the same step. The rest is the loss of chapter 4, kept apart by frame: the trainer weighs known frames with 0 before
# it averages.

# %% tags=["answer"]
def my_step(toy, x0, words, seed):
    g = torch.Generator().manual_seed(seed)
    tau = timestep_samplers.independent(x0.shape[0], x0.shape[2], g)
    eps = torch.randn(x0.shape, generator=g)
    t = tau[:, None, :, None, None]
    v = toy((1 - t) * x0 + t * eps, tau, **toy.encode_text(words))
    return (v - (eps - x0)).square().mean(dim=(1, 3, 4))


# %% [markdown]
# **2 · Vary.** One timestep for each clip, on all frames, and then the two known frames are put to 0. `-1` means the
# last frame, however many there are. (`shared` makes a new tensor at every call, so it may be changed in place.)


# %% tags=["answer"]
def my_sampler(batch, frames, generator=None):
    tau = timestep_samplers.shared(batch, frames, generator)
    tau[:, [0, -1]] = 0
    return tau


# %% [markdown]
# **3 · Invent.** Three specialists in turn: each clip practises one of the three tasks, and no clip anything else. So
# every clip is spent on what will be asked, and the model is clearly ahead of the generalist on average, and in no task
# behind. With a first frame alone the specialist stays ahead (printed): all of its clips were that task, and a third of
# ours. Our model is a narrower generalist than the chapter's, and what it does not practise it may forget:
# text-to-video, and schedules with many levels at once. (This page is of a run in full: it trains this model as long as
# the chapter's, and compares.)


# %% tags=["answer"]
my_own = timestep_samplers.mixture(
    [
        timestep_samplers.clean_prefix(1, rest=timestep_samplers.shared),
        timestep_samplers.clean_prefix(4, rest=timestep_samplers.shared),
        my_sampler,
    ]
)
