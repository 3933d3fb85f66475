"""What readers are likely to get wrong in chapter 3, and a fragment of the sentence that each must be told."""

_WEIGHTS = "def my_weights(h, before):\n    return "
_SOLVER = (
    "def my_solver(denoiser, x, tau, tau_next):\n    dt = (tau_next - tau)[:, None, :, None, None]\n"
    "    v = denoiser(x, tau)\n    return "
)

MISTAKES = [
    [
        (_WEIGHTS + "torch.tensor([1.5, -0.5])", "for even steps"),
        (_WEIGHTS + "torch.stack([1 + before / h / 2, -before / h / 2])", "upside down"),
        (_WEIGHTS + "torch.stack([-h / before / 2, 1 + h / before / 2])", "in the other order"),
        (_WEIGHTS + "torch.stack([1 + h / before / 2, h / before / 2])", "do not add up to 1"),
        (_WEIGHTS + "torch.stack([1 + h / before, -h / before])", "half of h squared"),
        (_WEIGHTS + "torch.stack([1 - h / before / 2, h / before / 2])", "leans the other way"),
        (_WEIGHTS + "h * torch.stack([1 + h / before / 2, -h / before / 2])", "dividing by h"),
        (_WEIGHTS + "torch.stack([h / before, 1 - h / before])", "your answer is off"),
    ],
    [
        ("my_level = 0.0", "all five modes"),
        ("my_level = 2 / 3.1", "share of the picture"),
        ("my_level = 0.3", "still above"),
        ("my_level = 0.5", "already below"),
        ("my_level = 3.5", "between 0 and 1"),
        ("my_level = means('label', 0.35)", "could not be tried"),
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
        (_SOLVER + "x + dt * denoiser(x, (tau + tau_next) / 2), v", "hardly shrinks"),
    ],
]
