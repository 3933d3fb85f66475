"""Mistakes in the exercises of chapter 2, and what `check` must say of each."""

SHIFT = "def my_shift(levels, shift):\n    return {}"

MISTAKES = [
    [
        (SHIFT.format("levels / (1 + (shift - 1) * levels)"), "never reach 1"),
        (SHIFT.format("levels / (shift - (shift - 1) * levels)"), "the other way"),
        (SHIFT.format("shift * levels"), "some levels exceed 1"),
        (SHIFT.format("shift * levels / (1 - levels)"), "is something divided by zero"),
        (
            "def my_shift(levels, shift):\n    r = shift * levels / (1 - levels)\n    return r / (1 + r)",
            "is something divided by zero",
        ),
        (SHIFT.format("shift * levels / (1 + shift * levels)"), "one term got lost"),
        (SHIFT.format("shift * levels / (shift + (1 - shift) * levels)"), "the wrong term"),
        (SHIFT.format("shift * levels / (1 - (shift - 1) * levels)"), "a sign in your denominator"),
        (SHIFT.format("shift * levels / (shift + (shift - 1) * levels)"), "hardly move"),
        (SHIFT.format("shift * levels / (1 + (shift + 1) * levels)"), "check the signs"),
        (SHIFT.format("levels @ levels[:3]"), "your function stops with RuntimeError"),
    ],
    [
        ("my_lag = 5", "needs more than 100"),
        ("my_lag = 3", "a larger lag would fit"),
        ("my_lag = 4.5", "a whole number"),
        ("my_lag = -1", "at least 0"),
        ("my_lag = torch.tensor(3)", "a larger lag would fit"),
        ("my_lag = (100 - 20) // 21", "did you count the gaps"),
        ("my_lag = 100 // 20", "did you leave any for the steps"),
    ],
    [
        ("my_schedule = schedules.pyramid(4, 9)", "frames 0, 4 and 8"),
        ("my_schedule = torch.ones(13, 9, dtype=int)", "a tensor of floats"),
        ("my_schedule = [0, 8, 4, 8, 0, 8, 4, 8, 0]", "delays alone are not one yet"),
        ("my_schedule = schedules.delayed(4, [0, 4, 4, 4, 0, 4, 4, 4, 0])", "the odd frames"),
        ("my_schedule = schedules.delayed(4, [0, 4, 0, 4, 0, 4, 0, 4, 0])", "frames 2 and 6"),
        ("my_schedule = schedules.delayed(5, [0, 10, 5, 10, 0, 10, 5, 10, 0])", "four steps"),
        ("my_schedule = schedules.delayed(4, [0, 9, 5, 9, 0, 9, 5, 9, 0])", "longer than they must"),
    ],
]
