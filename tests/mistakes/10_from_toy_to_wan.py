"""Wrong answers to the exercises of chapter 10, and what `check` must say of them."""

COSTS = (
    "def my_costs(height, width, frames):\n    f = {latent}\n    n = f * (height // {patch}) * (width // {patch})\n"
    "    return torch.tensor([n, n * {vector}, f * {vector}])"
)
LATENT, VECTOR = "1 + (frames - 1) // 4", "6 * config.dim * 2"

MISTAKES = [
    [
        (COSTS.format(latent=LATENT, patch=8, vector=VECTOR), "patches of them"),
        (COSTS.format(latent="frames // 4", patch=16, vector=VECTOR), "lose a latent frame"),
        (COSTS.format(latent=LATENT, patch=16, vector="6 * config.dim"), "2 bytes a number"),
        (COSTS.format(latent=LATENT, patch=16, vector="3 * config.dim * 2"), "*and* of the feed-forward"),
        (COSTS.format(latent=LATENT, patch=16, vector="12 * config.dim * 40"), "all blocks share them"),
        (COSTS.format(latent="frames", patch=16, vector=VECTOR), "you count pixel frames"),
        (COSTS.format(latent=f"({LATENT}) // 2", patch=16, vector=VECTOR), "time is not shortened again"),
        (COSTS.format(latent=LATENT, patch=16, vector=VECTOR).replace(", f *", ","), "all latent frames have"),
        (COSTS.format(latent=LATENT, patch=16, vector="2 * config.dim"), "one vector for each frame or token"),
        ("def my_costs(height, width, frames):\n    return torch.tensor([1])", "its axes should be (tokens,"),
    ],
    [
        ("my_frames = 141", "costs more than the budget"),
        ("my_frames = 105", "a longer video is still within"),
        ("my_frames = 30", "number of latent frames"),
        ("my_frames = 118", "1 + 4k"),
        ("my_frames = 117.0", "one whole number"),
    ],
    [
        ("my_schedule = schedules.synchronous(8, 3, shift=5.0)", "too few of the calls"),
        ("my_schedule = schedules.synchronous(8, 3, shift=60.0)", "too many of the calls"),
        (
            "my_schedule = schedules.synchronous(8, 3, shift=12.0).clone()\nmy_schedule[4:, 0] = 0",
            "a frame is below 0.875",
        ),
        ("my_schedule = schedules.synchronous(8, 3, shift=12.0).tolist()", "give a tensor"),
        ("my_schedule = schedules.synchronous(8, 3, shift=12.0)", "the same column"),
        ("my_schedule = schedules.synchronous(9, 3, shift=12.0)", "should have 9 rows"),
        ("my_schedule = torch.cat([torch.full((6, 3), 0.9), torch.zeros(3, 3)])", "start with noise"),
    ],
]
