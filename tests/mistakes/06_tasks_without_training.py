"""Likely mistakes in the exercises of chapter 6, and what `check` must say of each."""

HEAD = "def my_schedule(sigmas, levels):\n    return "

MISTAKES = [
    [
        (HEAD + "sigmas[:, None] * (1 - levels)", "known and free are exchanged"),
        (HEAD + "torch.minimum(sigmas[:, None], levels)", "should fall from the first step on"),
        (HEAD + "(sigmas[:, None] + levels - 1).clamp(min=0)", "the ratio that should stay constant"),
        (HEAD + "torch.where(levels < 1, levels, sigmas[:, None])", "should reach 0 in the last row"),
        (HEAD + "levels[:, None] * sigmas", "rows are frames"),
        (HEAD + "sigmas[:, None] * (levels == 1)", "always clean"),
        ("def my_schedule(sigmas, levels):\n    sigmas[:, None] * levels", "is a `return` missing?"),
    ],
    [
        ("my_noise = 0.2", "still too red"),
        ("my_noise = 0.6", "white already"),
        ("my_noise = 25", "one number from 0 to 1"),
    ],
    [
        ("my_task = tasks.start_end(video[0], video[end])", "knows just these frames"),
        ("my_task = tasks.Task('late', (tasks.Known(video[16], at=4),))", "at least two latent frames"),
        ("my_task = tasks.keyframes([video[0], video[16]], at=[0, 4], noise=0.3)", "a known frame is noised"),
        ("my_task = (tasks.Known(video[13:21], at=4),)", "give a tasks.Task"),
    ],
]
