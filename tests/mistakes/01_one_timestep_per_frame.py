"""Mistakes in the exercises of chapter 1, and what `check` must say of each."""

VELOCITY = "def my_velocity_from_x0(x, x0_guess, tau):\n    t = tau[:, None, :, None, None]\n    {}"
KNOWN = VELOCITY.format("return torch.where(t == 0, 0, {})")
MEAN = (
    "x = torch.randn(SAMPLES, 1, 3, 1, 1)\n{}\nmy_clips = samplers.sample(model, x, {}, solver='heun').view(SAMPLES, 3)"
)

MISTAKES = [
    [
        (KNOWN.format("(x0_guess - x) / t"), "the other way"),
        (KNOWN.format("x - x0_guess"), "for a whole unit"),
        (KNOWN.format("(x - x0_guess) * t"), "multiplied by tau"),
        (KNOWN.format("(x - x0_guess) / (1 - t)"), "up to the noise"),
        (KNOWN.format("(x - x0_guess) / tau.mean()"), "by the same number"),
        (VELOCITY.format("return x - x0_guess"), "at tau = 1 only"),
        (VELOCITY.format("return (x - x0_guess) / t"), "divided by zero"),
        (VELOCITY.format("return (x - x0_guess) / t.clamp(min=1e-3)"), "a known frame moves"),
        (VELOCITY.format("return (x - x0_guess) / t.clamp(min=1e-6)"), "a known frame moves"),
        (VELOCITY.format("return torch.where(t == 0, x, (x - x0_guess) / t)"), "a known frame moves"),
        (KNOWN.format("(x - (1 - t) * x0_guess) / t"), "the noise itself"),
        (VELOCITY.format("return (x - x0_guess) / tau"), "do not fit together"),
        (VELOCITY.format("torch.where(t == 0, 0, (x - x0_guess) / t)"), "missing"),
    ],
    [
        (MEAN.format("x[:, :, 0] = picture", "schedules.hold(STEPS, 3)"), "known frame 0"),
        (MEAN.format("", "schedules.hold(STEPS, 3, at=[2])"), "nothing was known"),
        (MEAN.format("x[:, :, 2] = picture", "schedules.synchronous(STEPS, 3)"), "given but not held"),
        (MEAN.format("x[:, :, 2] = picture", "schedules.hold(STEPS, 3, at=[0])"), "but frame 0 is held"),
        (MEAN.format("x[:, :, 0] = picture", "schedules.hold(STEPS, 3, at=[2])"), "but the picture is in frame 0"),
        ("my_clips = torch.tensor([0.448, 0.56, 0.7])", "not their mean"),
        ("my_clips = torch.tensor([0.448, 0.56, 0.7]).expand(SAMPLES, 3)", "were they sampled"),
    ],
    [
        ("my_schedule = torch.linspace(1, 0, 60)[:, None].expand(-1, 3)", "the diagonal"),
        ("my_schedule = torch.tensor([[1.0, 1, 1], [1, 0.5, 1], [0, 0.5, 0], [0, 0, 0]])", "too long"),
        ("my_schedule = schedules.pyramid(32, 3, lag=2)", "that is a pyramid"),
        ("my_schedule = schedules.pyramid(32, 3, lag=2)\nmy_schedule[3, 0] -= 1e-4", "that is a pyramid"),
        ("my_schedule = schedules.synchronous(40, 3)\nmy_schedule[3, 1] -= 1e-4", "the diagonal"),
        ("my_schedule = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 0, 0]])", "a tensor of floats"),
        ("my_schedule = [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]", "(rows, 3)"),
        ("my_schedule = schedules.pyramid(40, 3, lag=5)[:-5]", "does not end clean"),
        ("my_schedule = schedules.pyramid(40, 4, lag=5)", "(rows, 3)"),
        ("my_schedule = schedules.hold(40, 3)", "does not start as noise"),
    ],
]
