"""Likely mistakes in the exercises of chapter 7, and what `check` must say of each."""

MEAN = "def my_mean(scores, ranges, weights):\n    "
NORMAL = "n = {k: (scores[k] - ranges[k][0]) / (ranges[k][1] - ranges[k][0]) for k in weights}\n    "

MISTAKES = [
    [
        (MEAN + "return sum(weights[k] * scores[k] for k in weights) / sum(weights.values())", "onto its range"),
        (MEAN + NORMAL + "return sum(n.values()) / len(n)", "Where are the weights?"),
        (MEAN + NORMAL + "return sum(weights[k] * n[k] for k in n)", "not yet a weighted mean"),
        (
            MEAN + "return sum(w * scores[k] / ranges[k][1] for k, w in weights.items()) / sum(weights.values())",
            "lower end is not 0 everywhere",
        ),
        (MEAN + NORMAL + "sum(weights[k] * n[k] for k in n)", "is a `return` missing?"),
        (MEAN + NORMAL + "return sum(weights[k] * n[k] for k in n) / len(n)", "What do they add up to?"),
        (
            MEAN + "n = {k: (scores[k] - ranges[k][0]) / ranges[k][1] for k in weights}\n"
            "    return sum(weights[k] * n[k] for k in n) / sum(weights.values())",
            "How long is the range?",
        ),
        (MEAN + NORMAL + "return n", "returns a dict"),
        (MEAN + NORMAL + "return 100 * sum(weights[k] * n[k] for k in n) / sum(weights.values())", "not percent"),
        (MEAN + "return sum(weights[k] * scores[k] for k in scores)", "'i2v_subject' has no weight"),
        (
            MEAN + "n = {k: (scores[k] - ranges[k][0]) / (ranges[k][1] - ranges[k][0]) for k in scores}\n    "
            "return sum(weights.get(k, 1) * n[k] for k in n) / sum(weights.values())",
            "dimensions that `weights` does not name",
        ),
    ],
    [
        ("def my_damage(clip):\n    return suite.destroyed(clip)['blurred']", "motion_smoothness hardly falls"),
        ("def my_damage(clip):\n    return clip.flip(2)", "motion_smoothness hardly falls"),
        ("def my_damage(clip):\n    return suite.destroyed(clip)['noise']", "imaging_quality changes as well"),
        ("def my_damage(clip):\n    return clip[:, :, ::3]", "keep its shape"),
        ("def my_damage(clip):\n    return 3 * clip", "stay in [-1, 1]"),
    ],
    [
        (
            "def my_metric(clip):\n    want = metrics.motion(truth).mean()\n"
            "    return -(metrics.motion(clip).mean(1) - want).abs()",
            "looks at the truth",
        ),
        ("my_metric = metrics.motion_smoothness", "a frozen clip scores at least as high"),
        ("my_metric = metrics.imaging_quality", "scores at least as high"),
        ("def my_metric(clip):\n    return metrics.motion(clip).mean(1)", "noise scores at least as high"),
        ("def my_metric(clip):\n    return metrics.motion(clip)", "one number for each clip"),
        ("def my_metric(clip):\n    return 1 / metrics.motion(clip).mean(1)", "no finite score"),
    ],
]
