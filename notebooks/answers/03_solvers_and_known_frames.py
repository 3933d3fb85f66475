# %% [markdown]
# **1 · Fill in.** The line is $v_n + s\,(v_n - v_{n-1})/g$. Its integral from $-g$ to $h$ is
# $(h + g)\,v_n + \tfrac12 (h + g)(h - g)\,(v_n - v_{n-1})/g$. Divide by $h + g$ and collect each velocity: the newest
# gets $1 + (h - g)/(2g)$, the older one $-(h - g)/(2g)$. With $h = g$ these are 1 and 0: the newest velocity then
# stands in the middle of the two steps, and this is the midpoint rule, with a memory in place of the second call.


# %% tags=["answer"]
def my_weights(h, g):
    lean = (h - g) / (2 * g)
    return torch.stack([1 + lean, -lean])


# %% [markdown]
# **2 · Vary.** After $r$ rows, frame $i$ has made $\lfloor (r + 3 - i)/4 \rfloor$ steps. With three of four waiting,
# one memory for the video is still hardly better than Euler: the frame that moves next waited in the row before, so the
# velocity that the memory holds belongs to the place where it stands now. With a memory per frame the order is 2,
# although a frame's last step is four rows ago.


# %% tags=["answer"]
def my_turns(steps):
    sigmas, rows = schedules.linear(steps), torch.arange(4 * steps + 1)
    return torch.stack([sigmas[(rows + 3 - i) // 4] for i in range(4)], dim=1)


# %% [markdown]
# **3 · Invent.** Look ahead at two thirds of the step, say $a=\tfrac23$. The line through $v$ here and $v_a$ there has
# the slope $(v_a-v)/(a h)$, and its integral over the step is $h\,[(1-\tfrac{1}{2a})\,v+\tfrac{1}{2a}\,v_a]$: a
# quarter of the one and three quarters of the other. This is Ralston's method. Every $a$ gives order 2; $a=1$ is Heun,
# and $a=\tfrac12$ is midpoint, which needs $v$ only to get there. Each frame has its own step, and one that does not
# move has a step of 0, so it stays. Four small Euler steps would not do: with twice the calls their error is small
# enough, but their order is 1, so that it only halves where that of the others falls to a quarter.


# %% tags=["answer"]
def my_solver(denoiser, x, tau, tau_next):
    step = (tau_next - tau)[:, None, :, None, None]
    here = denoiser(x, tau)
    ahead = denoiser(x + 2 / 3 * step * here, tau + 2 / 3 * (tau_next - tau))
    v = here / 4 + 3 / 4 * ahead
    return x + step * v, v
