"""Wrong answers to the exercises of chapter 12, and a part of what `check` must say."""

_SKILL = (
    "def my_skill(made, truth, known):\n"
    "    free = [i for i in range(truth.shape[2]) if i not in known]\n"
    "    still = {still}\n"
    "    left, whole = ((x - {of})[:, :, free].square() for x in (made, still))\n"
    "    return {skill}"
)
_CLIP, _STILL = "dim=(1, 2, 3, 4)", "metrics.repeat_known(truth, known)"
_RIGHT = f"1 - left.mean({_CLIP}) / whole.mean({_CLIP})"
_CLAIM = "def my_claim(search, fresh):\n    best = int((search - search[0]).mean(dim=1).argmax())\n    "
_RIVALS = (
    "rows = [row for row in rounds['0'] if row['text_lost low'] <= 0]\n"
    "best = max(rows, key=lambda row: row['objective'])\n"
    "my_rivals = [row['name'] for row in rows if {test}]"
)
MISTAKES = [
    [
        (
            _SKILL.format(still=_STILL, of="truth", skill=_RIGHT.removeprefix("1 - ")),
            "the part of the error that is left",
        ),
        (
            _SKILL.format(still=_STILL, of="truth", skill=f"1 - whole.mean({_CLIP}) / left.mean({_CLIP})"),
            "upside down",
        ),
        (_SKILL.format(still=_STILL, of="truth", skill="1 - left.mean() / whole.mean()"), "one number for all clips"),
        (_SKILL.format(still="truth[:, :, :1].expand_as(truth)", of="truth", skill=_RIGHT), "frame 0 only"),
        (
            _SKILL.format(
                still=_STILL,
                of="truth",
                skill="(1 - left.mean(dim=(1, 3, 4)) / whole.mean(dim=(1, 3, 4))).mean(dim=1)",
            ),
            "frame by frame",
        ),
        (
            _SKILL.format(still=_STILL, of="truth", skill=_RIGHT).replace(
                "    return", "    whole = (made - still)[:, :, free].square()\n    return"
            ),
            "compared with the truth, not with what was made",
        ),
        ("def my_skill(made, truth, known):\n    1 - made", "is a `return` missing?"),
    ],
    [
        ("my_rivals = ['text CFG 2']", "each of a setting of round 0"),
        ("my_rivals = len(rounds['0'])", "a list of names"),
        ("my_rivals = ['task mixture, more image-to-video']", "clearly loses words"),
        (_RIVALS.format(test="True"), "the winner is among them"),
        (_RIVALS.format(test="row is not best"), "ends below the winner's"),
        (_RIVALS.format(test="row is not best and row['objective low'] >= best['objective low']"), "some are missing"),
        ("my_rivals = []", "some are missing"),
    ],
    [
        (_CLAIM + "return best", "winners where nothing differs"),
        (
            _CLAIM + "d = search[best] - search[0]\n"
            "    return best if d.mean() > 1.96 * d.std() / len(d) ** 0.5 else None",
            "winners where nothing differs",
        ),
        (
            _CLAIM.replace("search - search", "fresh - fresh") + "d = fresh[best] - fresh[0]\n"
            "    return best if d.mean() > 1.96 * d.std() / len(d) ** 0.5 else None",
            "winners where nothing differs",
        ),
        (
            _CLAIM + "a, b = fresh[best], fresh[0]\n"
            "    return best if a.mean() - b.mean() > 1.96 * ((a.var() + b.var()) / len(a)) ** 0.5 else None",
            "widen your interval",
        ),
        ("def my_claim(search, fresh):\n    return None if len(search) else 1", "never claims anything"),
        (_CLAIM + "return bool(fresh[best].mean() > fresh[0].mean())", "the number of a setting"),
    ],
]
