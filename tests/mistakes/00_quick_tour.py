"""Mistakes in the exercises of chapter 0, and what `check` must say of each."""

STEP = "def my_euler_step(x, v, tau, tau_next):\n    return x + {}"
MADE = "my_result = pl.generate(model, PROMPT, {}, steps=2, guidance=1.0)"

MISTAKES = [
    [
        (STEP.format("(tau - tau_next)[:, None, :, None, None] * v"), "the wrong way"),
        (STEP.format("(tau_next - tau).mean() * v"), "by the same amount"),
        (STEP.format("tau_next[:, None, :, None, None] * v"), "you moved by tau_next itself"),
        (STEP.format("-tau[:, None, :, None, None] * v"), "all the way to the clean clip"),
        (STEP.format("0 * v").replace("return", "_ ="), "missing"),
        (STEP.format("-tau_next[:, None, :, None, None] * v"), "minus tau_next"),
        (
            "def my_euler_step(x, v, tau, tau_next):\n    return (tau_next - tau)[:, None, :, None, None] * v",
            "not where they",
        ),
    ],
    [
        (MADE.format("tasks.image_to_video(picture)"), "frame 0 starts clean"),
        (MADE.format("tasks.image_to_video(picture, noise=1.0)"), "pure noise"),
        (MADE.format("tasks.image_to_video(picture, noise=0.1)"), "another level"),
        (MADE.format("tasks.text_to_video()"), "no picture was given"),
        ("my_result = 0.3", "not what `pl.generate` returns"),
    ],
    [
        ("my_schedule = schedules.pyramid(4, frames, lag=2)", "the usual direction"),
        ("my_schedule = torch.ones(5, frames)", "does not end clean"),
        ("my_schedule = schedules.pyramid(4, frames - 1, lag=2).flip(1)", "a column for every frame"),
        ("my_schedule = schedules.pyramid(4, frames, lag=2).flip(0)", "does not start as noise"),
        ("my_schedule = schedules.synchronous(4, frames)", "not alone"),
        ("my_schedule = [[1.0] * 9, [0.0] * 9]", "a column for every frame"),
    ],
]
