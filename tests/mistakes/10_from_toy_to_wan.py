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
        (COSTS.format(latent=LATENT, patch=16, vector="6 * config.dim"), "not bytes"),
        (COSTS.format(latent=LATENT, patch=16, vector="2 * config.dim"), "one vector for each frame or token"),
        ("def my_costs(height, width, frames):\n    return torch.tensor([1])", "its axes should be (tokens,"),
    ],
    [
        ("my_plan = plan('wan2.1-14b', '720p', gpu='rtx4090', compiled=True)", "it does not fit"),
        ("my_plan = plan('wan2.1-14b', '720p', gpu='rtx4090', offload='group')", "costs more than 16 cents"),
        ("my_plan = plan('wan2.1-14b', '720p', gpu='rtx4090', offload='group', price=0.1)", "a cheaper card or price"),
        ("my_plan = plan('wan2.1-14b', '480p', gpu='rtx4090', offload='group')", "another video is asked for"),
        ("my_plan = 'group'", "give what `plan(...)` returns"),
    ],
    [
        ("my_schedule = schedules.synchronous(8, 3, shift=5.0)", "too few of the calls"),
        ("my_schedule = schedules.synchronous(8, 3, shift=60.0)", "too many of the calls"),
        (
            "my_schedule = schedules.synchronous(8, 3, shift=12.0).clone()\nmy_schedule[4:, 0] = 0",
            "a frame is below 0.875",
        ),
        ("my_schedule = schedules.synchronous(9, 3, shift=12.0)", "should have 9 rows"),
        ("my_schedule = torch.cat([torch.full((6, 3), 0.9), torch.zeros(3, 3)])", "start with noise"),
    ],
]
