"""Wrong answers to the exercises of chapter 9, and what `check` must say of them."""

SCORES = "    a = torch.einsum('bqnd,bknd->bnqk', q, k)"
FRAMES = "    a = a.unflatten(2, (grid[0], -1)).unflatten(-1, (grid[0], -1))\n"
SPREAD = f"def my_mass(q, k, grid):\n{SCORES} * q.shape[-1] ** -0.5\n    a = a.softmax(-1)\n"
SUMMED = f"{FRAMES}    return a.sum(-1).mean(3).mean(1)"
LISTEN = (
    "def my_dependence(denoiser, x, tau):\n    found = []\n    for j in range(x.shape[2]):\n"
    "        y = x.clone()\n        y[:, :, j] = 0\n"
    "        found.append((denoiser(y, tau) - denoiser(x, tau)){size}.mean((0, 1, 3, 4)))\n"
    "    {end}"
)

MISTAKES = [
    [
        (f"def my_mass(q, k, grid):\n{SCORES}.softmax(-1)\n{SUMMED}", "not divided by anything"),
        (
            "def my_mass(q, k, grid):\n    q, k = (t.unflatten(1, (grid[0], -1)).mean(2) for t in (q, k))\n"
            "    return (torch.einsum('bind,bjnd->bnij', q, k) * q.shape[-1] ** -0.5).softmax(-1).mean(1)",
            "averaged before the softmax",
        ),
        (
            f"def my_mass(q, k, grid):\n{SCORES} * q.shape[-1] ** -0.5\n    a = a.softmax(-1)\n{FRAMES}"
            "    return a.mean(-1).mean(3).mean(1)",
            "your rows do not sum to 1",
        ),
        (
            f"def my_mass(q, k, grid):\n{SCORES} * q.shape[-1] ** -0.5\n    a = a.softmax(-2)\n{SUMMED}",
            "the softmax runs over the queries",
        ),
        (f"def my_mass(q, k, grid):\n{SCORES}", "is a `return` missing?"),
        (f"{SPREAD}{FRAMES}    return a.sum(-1).mean(3).sum(1)", "heads are averaged"),
        (f"{SPREAD}{FRAMES}    return a.sum(-1).sum(3).mean(1)", "queries are averaged"),
        (f"{SPREAD}{FRAMES}    return a.sum(-1).sum(3).sum(1)", "only keys are added up"),
        (f"{SPREAD}{FRAMES}    return a.sum(-1).mean(3).mean(1).mT", "row i is the frame that asks"),
        (
            f"{SPREAD}    a = a.unflatten(-1, (-1, grid[0])).sum(3)\n"
            "    return a.unflatten(2, (grid[0], -1)).mean(3).mean(1)",
            "the order in `unflatten`",
        ),
        (
            f"def my_mass(q, k, grid):\n{SCORES} * q.shape[-1] ** -0.5\n{FRAMES}"
            "    return a.softmax(-1).sum(-1).mean(3).mean(1)",
            "one softmax, over the keys of all frames",
        ),
        (
            f"def my_mass(q, k, grid):\n{SCORES}.mean(1, keepdim=True) * q.shape[-1] ** -0.5\n"
            f"    a = a.softmax(-1)\n{SUMMED}",
            "heads were averaged before the softmax",
        ),
        ("def my_mass(q, k, grid):\n    return q @ k.flatten(1)", "look at their shapes"),
    ],
    [
        ("my_level = 0.5", "almost as if it were clean"),
        ("my_level = 1.0", "hardly more than noise"),
        ("my_level = 50", "one number from 0, clean, to 1"),
    ],
    [
        (LISTEN.format(size=".abs()", end="return torch.stack(found, 0)"), "rows and columns are exchanged"),
        (LISTEN.format(size="", end="return torch.stack(found, 1)"), "goes down in another"),
        (LISTEN.format(size="", end="return torch.stack(found, 1).abs()"), "goes down in another"),
        (LISTEN.format(size="", end="return torch.stack(found, 1)").replace("= 0", "+= 1"), "goes down in another"),
        (
            LISTEN.format(size=".abs()", end="return torch.stack(found, 1)").replace("y = x.clone()", "y = x"),
            "change a `clone()`",
        ),
        (
            "def my_dependence(denoiser, x, tau):\n    found = []\n    for j in range(x.shape[2]):\n"
            "        t = tau.clone()\n        t[:, j] = 0\n"
            "        found.append((denoiser(x, t) - denoiser(x, tau)).abs().mean((0, 1, 3, 4)))\n"
            "    return torch.stack(found, 1)",
            "Is it x that you change?",
        ),
        (
            LISTEN.format(size=".abs()", end="m = torch.stack(found, 1)\n    return m / m.sum(1, keepdim=True)"),
            "nan or infinity",
        ),
        (LISTEN.format(size=".abs()", end="return torch.stack(found, 1).sum(1)"), "should be a matrix"),
        (LISTEN.format(size=".abs()", end="torch.stack(found, 1)"), "is a `return` missing?"),
        (
            "def my_dependence(denoiser, x, tau):\n    v = denoiser(x, tau).transpose(0, 2).flatten(1)\n"
            "    return (v @ v.T).softmax(-1)",
            "a dependence where there is none",
        ),
        (
            LISTEN.format(size=".abs()", end="return torch.stack(found, 1).fill_diagonal_(0)"),
            "misses a dependence that is there",
        ),
    ],
]
