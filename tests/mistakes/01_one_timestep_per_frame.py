"""Mistakes in the exercises of chapter 1, and what `check` must say of each."""

NOISED = "def my_interpolate(x0, eps, tau):\n    t = tau[:, None, :, None, None]\n    {}"
MEAN = (
    "x = torch.randn(SAMPLES, 1, 3, 1, 1)\n{}\nmy_clips = samplers.sample(model, x, {}, solver='heun').view(SAMPLES, 3)"
)

MISTAKES = [
    [
        (NOISED.format("return t * x0 + (1 - t) * eps"), "changed places"),
        (NOISED.format("return (1 - t) * x0"), "no noise comes in"),
        (NOISED.format("return x0 + t * eps"), "without taking away"),
        (NOISED.format("return torch.lerp(x0, eps, tau.mean())"), "the same noise level"),
        (NOISED.format("return torch.lerp(x0, eps, t[:, :, :1])"), "all frames of a sample"),
        (NOISED.format("return torch.lerp(x0, eps, t.mean(2, True))"), "the mean of tau"),
        (NOISED.format("return (1 - t).sqrt() * x0 + t.sqrt() * eps"), "square roots"),
        (NOISED.format("return (1 - t**2).sqrt() * x0 + t * eps"), "squares add up to 1"),
        (NOISED.format("return (1 - tau) * x0 + tau * eps"), "do not fit together"),
        (NOISED.format("return x0 + tau[:, :, None, None, None] * eps"), "do not fit together"),
        (NOISED.format("(1 - t) * x0 + t * eps"), "missing"),
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
        ("my_schedule = [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]", "(rows, 3)"),
        ("my_schedule = schedules.pyramid(40, 3, lag=5)[:-5]", "does not end clean"),
        ("my_schedule = schedules.pyramid(40, 4, lag=5)", "(rows, 3)"),
        ("my_schedule = schedules.hold(40, 3)", "does not start as noise"),
    ],
]
