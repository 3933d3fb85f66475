"""Likely mistakes in the exercises of chapter 8, and what `check` must say of each."""

STRETCH = "def my_stretch(start, end, s):\n    return {k: "
END = " for k in end}"

MISTAKES = [
    [
        (STRETCH + "s * end[k]" + END, "the trained weights themselves"),
        (STRETCH + "end[k] + s * (end[k] - start[k])" + END, "starts at the trained model"),
        (STRETCH + "start[k] + s * (start[k] - end[k])" + END, "the wrong way along the line"),
        (STRETCH + "s * (end[k] - start[k])" + END, "the base is missing"),
        ("def my_stretch(start, end, s):\n    start = {k: start[k] for k in end}", "is a `return` missing?"),
    ],
    [
        ("my_choice = ('euler', 4)", "half a decibel or more behind"),
        ("my_choice = ('heun', 5)", "needs fewer calls"),
        ("my_choice = ('euler', 7)", "that were measured"),
        ("my_choice = ('dpmpp_2m', 5)", "half a decibel or more behind"),
    ],
    [
        ("my_table = rows", "no difference is clear"),
        ("my_table = rows[rows.guidance == 1]", "one setting only"),
        ("my_table = rows[rows.prompt.isin(rows.prompt.unique()[:3])]", "fewer than ten pairs"),
        ("my_table = found", "a column psnr"),
    ],
]
