"""Wrong answers to the exercises of chapter 12, and a part of what `check` must say."""

_GAP = "def my_gap(ours, theirs):\n    d = {}\n    return torch.stack([d.mean(), 1.96 * {}])"
WAVE = (
    "my_schedule = torch.ones(4, 8)\nmy_schedule[1, :{first}] = {level}\nmy_schedule[2] = {level}\n"
    "my_schedule[2, :{first}] = 0\nmy_schedule[3] = 0"
)
MISTAKES = [
    [
        (_GAP.format("theirs - ours", "d.std() / len(d) ** 0.5"), "the sign is reversed"),
        (_GAP.format("ours - theirs", "((ours.var() + theirs.var()) / len(d)).sqrt()"), "two separate means"),
        (_GAP.format("ours - theirs", "d.std()"), "how much single scenes scatter"),
        (_GAP.format("ours - theirs", "d.std() / len(d)"), "square root of n"),
        (_GAP.format("ours - theirs", "d.std() / len(d) ** 0.5 / 1.96"), "95 % need 1.96"),
        (_GAP.format("ours - theirs", "2 * d.std() / len(d) ** 0.5"), "full width"),
        (
            "def my_gap(ours, theirs):\n    m, h = paired_gap(ours, theirs)\n    return torch.stack([m - h, m + h])",
            "the two ends of the interval",
        ),
    ],
    [
        ("my_setting = 'text CFG 2'", "no setting of round 0"),
        ("my_setting = 'task mixture, more image-to-video'", "clearly loses words"),
        ("my_setting = 'task mixture'", "best by the whole objective"),
        ("my_setting = 'independent'", "has a higher skill"),
    ],
    [
        ("my_schedule = torch.linspace(1, 0, 5)", "two axes"),
        ("my_schedule = schedules.synchronous(8, 8)", "n rows are n - 1 calls"),
        ("my_schedule = torch.stack([torch.full((8,), 0.9), torch.zeros(8)])", "first row must be all 1"),
        ("my_schedule = torch.stack([torch.ones(8), torch.full((8,), 0.1)])", "last row must be all 0"),
        ("my_schedule = torch.tensor([1.0, 0.2, 0.5, 0.0])[:, None].expand(-1, 8)", "rises from one row"),
        (WAVE.format(first=3, level=0.4), "not above that of the best start"),
        (WAVE.format(first=1, level=0.1), "washed out"),
        ("my_schedule = learned.matrix", "without the search"),
        ("my_schedule = torch.tensor([1.0, 0.4, 0.0])[:, None].repeat(1, 8)", "the same column"),
    ],
]
