"""Mistakes in the exercises of chapter 0, and what `check` must say of each."""

NOISE = "def my_noise(x, v, tau):\n    t = tau[:, None, :, None, None]\n    return {}"
MADE = "my_result = pl.generate(model, PROMPT, {}, steps={}, guidance=1.0, output='latents')"

MISTAKES = [
    [
        (NOISE.format("x - t * v"), "guess of the clean clip"),
        (NOISE.format("x + t * v"), "wrong length"),
        (NOISE.format("x + v"), "the whole length"),
        (NOISE.format("x - (1 - t) * v"), "wrong direction"),
        (NOISE.format("x + (1 - tau.mean()) * v"), "by the same amount"),
        (NOISE.format("(1 - t) * v"), "not where it ends"),
        (NOISE.format("x / t"), "were 0 everywhere"),
        (NOISE.format("x + (1 - tau) * v"), "do not fit together"),
        (NOISE.format("x + (1 - tau[:, :, None, None]) * v"), "do not fit together"),
        (NOISE.format("0 * v").replace("return", "_ ="), "missing"),
    ],
    [
        (MADE.format("tasks.image_to_video(picture)", "STEPS"), "frame 0 starts clean"),
        (MADE.format("tasks.image_to_video(picture, noise=1.0)", "STEPS"), "pure noise"),
        (MADE.format("tasks.image_to_video(picture, noise=0.1)", "STEPS"), "another level"),
        (MADE.format("tasks.image_to_video(picture, noise=0.3)", 1), "another than `STEPS`"),
        (MADE.format("tasks.image_to_video(picture, noise=0.3)", "STEPS"), "the guidance or the seed differs"),
        (MADE.format("tasks.text_to_video()", 1), "no picture was given"),
        ("my_result = 0.3", "not what `pl.generate` returns"),
    ],
    [
        ("my_schedule = schedules.pyramid(4, frames, lag=2)", "the usual direction"),
        ("my_schedule = torch.ones(5, frames)", "does not end clean"),
        ("my_schedule = schedules.pyramid(4, frames - 1, lag=2).flip(1)", "a column for every frame"),
        ("my_schedule = schedules.pyramid(4, frames, lag=2).flip(0)", "does not start as noise"),
        ("my_schedule = schedules.synchronous(4, frames)", "not alone"),
        ("my_schedule = torch.tensor([[1] * frames, [1] * (frames - 1) + [0], [0] * frames])", "a tensor of floats"),
        ("my_schedule = [[1.0] * 9, [0.0] * 9]", "a column for every frame"),
    ],
]
