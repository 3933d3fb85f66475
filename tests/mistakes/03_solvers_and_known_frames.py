"""What readers are likely to get wrong in chapter 3, and a fragment of the sentence that each must be told."""

_WEIGHTS = "def my_weights(h, g):\n    return torch.stack([{}])"
_TURNS = (
    "def my_turns(steps):\n    sigmas, rows = schedules.linear(steps), torch.arange(4 * steps + 1)\n"
    "    return torch.stack([sigmas[{}] for i in range(4)], dim=1)"
)
_SOLVER = (
    "def my_solver(denoiser, x, tau, tau_next):\n    dt = (tau_next - tau)[:, None, :, None, None]\n"
    "    v = denoiser(x, tau)\n    return "
)

MISTAKES = [
    [
        (_WEIGHTS.format("1 + h / g / 2, -h / g / 2"), "the weights of ab2"),
        (_WEIGHTS.format("h / h, 0 * h"), "right for even steps"),
        (_WEIGHTS.format("1 + (h - g) / h / 2, -(h - g) / h / 2"), "not per h"),
        (_WEIGHTS.format("-(h - g) / g / 2, 1 + (h - g) / g / 2"), "in the other order"),
        (_WEIGHTS.format("1 - (h - g) / g / 2, (h - g) / g / 2"), "leans the other way"),
        (_WEIGHTS.format("h + g + (h * h - g * g) / g / 2, -(h * h - g * g) / g / 2"), "by the whole length yet"),
        (_WEIGHTS.format("1 + g / h + (h * h - g * g) / g / h / 2, -(h * h - g * g) / g / h / 2"), "by h alone"),
        (_WEIGHTS.format("1 + (h - g) / g, -(h - g) / g"), "half of its square"),
        (_WEIGHTS.format("1.5 + 0 * h, -0.5 + 0 * h"), "ab2's for even steps"),
        (_WEIGHTS.format("0.5 + 0 * h, 0.5 + 0 * h"), "a plain mean"),
        (_WEIGHTS.format("(h - g) / g / 2, -(h - g) / g / 2"), "a constant part"),
        (_WEIGHTS.format("1 + (h - g) / g / 2, (h - g) / g / 2"), "older velocity with a minus"),
        (_WEIGHTS.format("h, g"), "your answer is off"),
    ],
    [
        (_TURNS.format("(rows + 3 - i) // 4").replace("return ", ""), "is a `return` missing"),
        ("my_turns = by_turns", "4 * steps + 1 rows"),
        (_TURNS.format("((rows + 4 - i) // 4).clamp(max=steps)"), "starts at noise level 1"),
        (_TURNS.format("(rows + 3 - i % 2) // 4"), "two frames move, or none"),
        (_TURNS.format("(rows - i * steps).clamp(0, steps)"), "before all others had their turn"),
        (_TURNS.format("(rows + i) // 4"), "frame 0 does not come first"),
        (_TURNS.format("(rows + 3 - i) // 4").replace("linear(steps)", "linear(steps) ** 1.2"), "must be even"),
        (
            _TURNS.format("(rows + 3 - i) // 4").replace("linear(steps)", "linear(5)").replace("4 * steps", "20"),
            "another form",
        ),
    ],
    [
        ("my_solver = euler", "no better than Euler"),
        (_SOLVER + "x + dt * v", "return two things"),
        (_SOLVER + "x - dt * v, v", "sign of the step"),
        (_SOLVER + "x + (tau_next - tau).mean() * v, v", "was moved"),
        (
            _SOLVER + "x + dt * (0.75 * v + 0.25 * denoiser(x + dt * v, tau_next)), v",
            "more than a third",
        ),
        (_SOLVER + "x + dt * denoiser(x, (tau + tau_next) / 2), v", "move x before it"),
        (_SOLVER + "x + dt * (v / 4 + 0.75 * denoiser(x, tau + 2 / 3 * (tau_next - tau))), v", "move x before it"),
        ("my_solver = midpoint", "which the chapter has"),
        ("my_solver = heun", "which the chapter has"),
        (
            "def my_solver(denoiser, x, tau, tau_next):\n    part = (tau_next - tau) / 4\n    for k in range(4):\n"
            "        v = denoiser(x, tau + k * part)\n        x = x + part[:, None, :, None, None] * v\n"
            "    return x, v",
            "that is order 1",
        ),
    ],
]
