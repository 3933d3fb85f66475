"""Likely mistakes in the exercises of chapter 6, and what `check` must say of each."""

HEAD = "def my_schedule(sigmas, frames, known):\n    levels = torch.ones(frames)\n"
FILL = HEAD + "    for at, level in known.items():\n        levels[at] = level\n"
RETURN = FILL + "    return "

MISTAKES = [
    [
        (RETURN + "sigmas[:, None] * (1 - levels)", "known and free are exchanged"),
        (RETURN + "torch.minimum(sigmas[:, None], levels)", "should fall from the first step on"),
        (RETURN + "torch.where(levels < 1, levels, sigmas[:, None])", "should reach 0 in the last row"),
        (RETURN + "levels[:, None] * sigmas", "rows are frames"),
        (RETURN + "sigmas[:, None] * (levels == 1)", "always clean"),
        (FILL.replace("ones", "zeros") + "    return sigmas[:, None] * levels", "not named should be free"),
        (HEAD + "    levels[0] = known[0]\n    return sigmas[:, None] * levels", "in the dict it is -1"),
        (FILL + "    sigmas[:, None] * levels", "is a `return` missing?"),
        (RETURN + "torch.linspace(1, 0, len(sigmas))[:, None] * levels", "should follow `sigmas`"),
        (
            FILL + "    out = sigmas[:, None].repeat(1, frames)\n    out[0] *= levels\n    return out",
            "not in the first alone",
        ),
        (
            "def my_schedule(sigmas, frames, known):\n"
            "    return sigmas[:, None] * torch.tensor([known.get(i, 0) for i in range(frames)])",
            "-1 is the last",
        ),
    ],
    [
        ("my_delay = tasks.image_to_video(picture)", "has changed already"),
        ("my_delay = tasks.keyframes([picture, picture], pixel_at=[0, 12])", "changed in between"),
        ("my_delay = tasks.extension(np.stack([picture] * 17))", "more than four"),
        ("my_delay = picture", "give a task"),
    ],
    [
        ("my_task = tasks.start_end(video[0], video[end])", "knows just these frames"),
        ("my_task = tasks.Task('late', (tasks.Known(video[16], at=4),))", "at least two latent frames"),
        ("my_task = tasks.keyframes([video[0], video[16]], at=[0, 4], noise=0.3)", "a known frame is noised"),
        ("my_task = (tasks.Known(video[13:21], at=4),)", "give a tasks.Task"),
        ("my_task = tasks.Task('longer', (tasks.Known(video[:17], at=0),))", "an extension or a transition"),
    ],
]
