"""Wrong answers to the exercises of chapter 13, and a part of what `check` must say."""

_LATENTS = "def my_latents(num_frames, height, width):\n    return {}"
_FRAMES = "np.random.default_rng(0).integers(0, 255, ({}), dtype=np.uint8)"
MISTAKES = [
    [
        (_LATENTS.format("16 * (num_frames // 4) * (height // 8) * (width // 8)"), "a latent frame is missing"),
        (_LATENTS.format("(1 + (num_frames - 1) // 4) * (height // 8) * (width // 8)"), "16 channels"),
        (_LATENTS.format("16 * (1 + (num_frames - 1) // 4) * (height // 16) * (width // 16)"), "as tokens do"),
        (_LATENTS.format("4 * (1 + (num_frames - 1) // 4) * (height // 8) * (width // 8)"), "four channels are"),
        (_LATENTS.format("16 * (1 + (num_frames - 1) / 4) * (height / 8) * (width / 8)"), "one whole number"),
        (_LATENTS.format("None").replace("return None", "height // 8"), "is a `return` missing"),
        (_LATENTS.format("16 * frames"), "could not be tried: NameError"),
        (_LATENTS.format("num_frames * height * width"), "not right yet"),
        (_LATENTS.format("16 * num_frames * (height // 8) * (width // 8)"), "time is compressed too"),
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
    ],
    [
        (f"my_clip = ({_FRAMES.format('9, 48, 48, 3')}.astype(float), 'noise')", "as uint8"),
        (f"my_clip = ({_FRAMES.format('5, 48, 48, 3')}, 'noise')", "n at least 9"),
        ("my_clip = (np.zeros((9, 48, 48, 3), np.uint8), 'black')", "nothing moves"),
        (f"my_clip = ({_FRAMES.format('9, 48, 48, 3')}, ' ')", "caption is empty"),
    ],
]
