"""Wrong answers to the exercises of chapter 13, and a part of what `check` must say."""

_LONG = (
    "def my_frames(room, clips, height, width):\n"
    "    k = room // (clips * {} * (height // 8) * (width // 8))\n    return {}"
)
_FRAMES = "np.random.default_rng(0).integers(0, 255, ({}), dtype=np.uint8)"
MISTAKES = [
    [
        (_LONG.format("32", "k"), "these are latent frames"),
        (_LONG.format("32", "4 * k"), "one pixel frame, not four"),
        (_LONG.format("32", "1 + 4 * k"), "*after* the first"),
        (_LONG.format("16", "max(0, 4 * k - 3)"), "takes two bytes"),
        (_LONG.format("2", "max(0, 4 * k - 3)"), "16 channels"),
        (_LONG.format("32", "4 * k - 3"), "the answer is 0"),
        (_LONG.format("32", "max(0, 4 * k - 3) / 1"), "a whole number"),
        (_LONG.format("32", "None"), "is a `return` missing"),
        (_LONG.format("32", "frames"), "could not be tried: NameError"),
        (_LONG.format("32", "max(0, 4 * k - 3)").replace("clips * ", ""), "where is `clips`?"),
        (_LONG.format("32", "max(0, 4 * k - 3)").replace(" // 8", ""), "both sides by 8"),
        (
            _LONG.format("8", "max(0, (k - 1) // 4 * 4 + 1)"),
            "not a quarter",
        ),
        (
            "def my_frames(room, clips, height, width):\n    k = room // (clips * 3 * height * width)\n"
            "    return max(0, (k - 1) // 4 * 4 + 1)",
            "bytes of pixels",
        ),
        (_LONG.format("64", "max(0, 4 * k - 3)"), "not right yet"),
    ],
    [
        ("my_options = {'lora_rank': 128}", "by learning less"),
        ("my_options = {'gpu': 'h200'}", "not what you have"),
        ("my_options = {'compiled': True}", "does not fit"),
        ("my_options = {'compiled': True, 'optimizer': 'adamw8bit'}", "longer than 22 hours (72.3 GiB, 25.0 hours)"),
        ("my_options = {'float8': True, 'compiled': True, 'optimizer': 'adamw8bit'}", "longer than 22 hours"),
        ("my_options = {'workload': 'sample'}", "you may change only"),
        ("my_options = {'magic': True}", "you may change only"),
        ("my_options = True", "give a dict"),
        ("my_options = {'ac_skip_blocks': 1000}", "the plan refuses these values: "),
    ],
    [
        (f"my_clip = ({_FRAMES.format('9, 48, 48, 3')}.astype(float), 'noise')", "as uint8"),
        (f"my_clip = ({_FRAMES.format('5, 48, 48, 3')}, 'noise')", "n at least 8"),
        ("my_clip = (np.zeros((9, 48, 48, 3), np.uint8), 'black')", "nothing moves"),
        (f"my_clip = ({_FRAMES.format('9, 48, 48, 3')}, ' ')", "caption is empty"),
    ],
]
