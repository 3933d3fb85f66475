# %% [markdown]
# **1 · Fill in.** The line through both velocities has the slope $(v_n - v_{n-1})/g$, and its integral over a step
# $h$ is $h\,v_n + \tfrac{h^2}{2}\,(v_n - v_{n-1})/g$. Divide by $h$ and collect each velocity: the newest gets $1 +
# h/(2g)$, the older one $-h/(2g)$. With $h = g$ these are $\tfrac32$ and $-\tfrac12$.

# %% tags=["answer"]
def my_weights(h, before):
    lean = h / (2 * before)
    return torch.stack([1 + lean, -lean])


# %% [markdown]
# **2 · Vary.** The first frame needs 10 rows and each of the 8 others ends 2 rows later: 26 rows. Frames become clean
# at rows 10, 12, ..., 26, but at all of these except the last, later frames still move, so that the second call is
# needed. Only the very last row saves one.

# %% tags=["answer"]
my_calls = 2 * (10 + 8 * 2) - 1

# %% [markdown]
# **3 · Invent.** The midpoint rule: go half a step, ask the model there, and make the whole step with that answer.
# Each frame has its own half, and a frame that does not move has a step of 0, so it stays. Heun's second look at the
# end of the step would do as well. So would four small Euler steps, at twice the calls: a higher order is the cheaper
# way to the same accuracy.


# %% tags=["answer"]
def my_solver(denoiser, x, tau, tau_next):
    half = (tau_next - tau)[:, None, :, None, None] / 2
    v = denoiser(x + half * denoiser(x, tau), (tau + tau_next) / 2)
    return x + 2 * half * v, v
