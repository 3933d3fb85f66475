"""Likely mistakes in the exercises of chapter 8, and what `check` must say of each."""

INTERVAL = "def my_interval(a, b):\n    d = (b - a).mean(dim=1)\n    "
MIXTURE = "def my_mixture(a, b):\n    return "

MISTAKES = [
    [
        (
            "def my_interval(a, b):\n    d = (b - a).flatten()\n"
            "    return torch.stack([d.mean(), 1.96 * d.std() / len(d) ** 0.5])",
            "you count every video",
        ),
        (
            INTERVAL + "s = (a.mean(1).var() + b.mean(1).var()).sqrt()\n"
            "    return torch.stack([d.mean(), 1.96 * s / len(d) ** 0.5])",
            "not of the pairs",
        ),
        (INTERVAL + "return torch.stack([d.mean(), 1.96 * d.std()])", "how far one prompt scatters"),
        (INTERVAL + "return torch.stack([d.mean(), 1.96 * d.std() / len(d)])", "not by its root"),
        (INTERVAL + "return torch.stack([d.mean(), d.std() / len(d) ** 0.5])", "the standard error"),
        (INTERVAL + "return torch.stack([d.mean(), 2 * 1.96 * d.std() / len(d) ** 0.5])", "the full width"),
        (INTERVAL + "return torch.stack([d.mean(), 1.96 * d.std() / a.numel() ** 0.5])", "fewer numbers than videos"),
        (
            INTERVAL.replace("dim=1", "dim=0") + "return torch.stack([d.mean(), 1.96 * d.std() / len(d) ** 0.5])",
            "average the prompts away",
        ),
        (INTERVAL + "return torch.stack([-d.mean(), 1.96 * d.std() / len(d) ** 0.5])", "the sign is turned round"),
        (
            INTERVAL + "h = 1.96 * d.std() / len(d) ** 0.5\n    return torch.stack([d.mean() - h, d.mean() + h])",
            "not the two ends",
        ),
        (INTERVAL + "d.mean()", "is a `return` missing?"),
    ],
    [
        (MIXTURE + "a", "one of the two samples"),
        (MIXTURE + "a + b", "no mixture of the two"),
        (MIXTURE + "0.9 * a + 0.1 * b", "not the best"),
        (MIXTURE + "torch.maximum(a, b)", "or the brighter"),
        (MIXTURE + "((a + b) / 2).mean(dim=0)", "in the shape of a"),
    ],
    [
        ("my_sign = None\nmy_table = rows[rows.guidance <= 1.5]", "the prediction is missing"),
        ("my_sign = 0.3\nmy_table = rows[rows.guidance <= 1.5]", "the prediction is missing"),
        ("my_table = rows", "more than two settings"),
        ("my_table = rows[rows.guidance == 1]", "one setting only"),
        ("my_table = rows[rows.prompt.isin(rows.prompt.unique()[:3]) & (rows.guidance <= 1.5)]", "too few prompts"),
        ("my_table = found", "a column psnr"),
    ],
]
