"""Mistakes in the exercises of chapter 1, and what `check` must say of each."""

NOISED = "def my_interpolate(x0, eps, tau):\n    t = tau[:, None, :, None, None]\n    {}"
MEAN = (
    "x = torch.randn(SAMPLES, 1, 3, 1, 1)\n{}\n"
    "my_mean = samplers.sample(model, x, {}, solver='heun').view(SAMPLES, 3).mean(0)"
)

MISTAKES = [
    [
        (NOISED.format("return t * x0 + (1 - t) * eps"), "changed places"),
        (NOISED.format("return (1 - t) * x0"), "no noise comes in"),
        (NOISED.format("return x0 + t * eps"), "without taking away"),
        (NOISED.format("return torch.lerp(x0, eps, tau.mean())"), "the same noise level"),
        (NOISED.format("(1 - t) * x0 + t * eps"), "missing"),
    ],
    [
        (MEAN.format("x[:, :, 0] = picture", "schedules.hold(STEPS, 3)"), "known frame 0"),
        (MEAN.format("", "schedules.hold(STEPS, 3, at=[2])"), "nothing was known"),
        (MEAN.format("x[:, :, 2] = picture", "schedules.synchronous(STEPS, 3)"), "given but not held"),
    ],
    [
        ("my_schedule = torch.linspace(1, 0, 60)[:, None].expand(-1, 3)", "the diagonal"),
        ("my_schedule = schedules.pyramid(2, 3, lag=2).flip(1)", "too long"),
        ("my_schedule = schedules.pyramid(40, 3, lag=5)[:-5]", "does not end clean"),
        ("my_schedule = schedules.pyramid(40, 4, lag=5)", "(rows, 3)"),
        ("my_schedule = schedules.hold(40, 3)", "does not start as noise"),
    ],
]
