"""Wrong answers to the exercises of chapter 11, and what `check` must say of them."""

DRAG = "def my_drag(column, row, level):\n    out = column.clone()\n"

MISTAKES = [
    [
        (f"{DRAG}    out[row] = level\n    return out", "the rows before do not follow"),
        (
            f"{DRAG}    out[row] = level\n    out[row + 1 :] = out[row + 1 :].clamp(max=level)\n    return out",
            "the rows before do not follow",
        ),
        (
            f"{DRAG}    out[:row] = out[:row].clamp(min=level)\n"
            "    out[row + 1 :] = out[row + 1 :].clamp(max=level)\n    return out",
            "the row itself is not set",
        ),
        (f"{DRAG}    out[:] = level\n    return out", "every row has the level"),
        (
            "def my_drag(column, row, level):\n    column[:row] = column[:row].clamp(min=level)\n"
            "    column[row:] = column[row:].clamp(max=level)\n    column[row] = level\n    return column",
            "you changed the old column",
        ),
        (
            f"{DRAG}    out[:row] = out[:row].clamp(min=level)\n    out[row] = level\n    return out",
            "the rows after do not follow",
        ),
        (
            f"{DRAG}    out[:row] = out[:row].clamp(max=level)\n    out[row:] = out[row:].clamp(min=level)\n"
            "    out[row] = level\n    return out",
            "before and after are exchanged",
        ),
        (f"{DRAG}    out[row] = level", "is a `return` missing?"),
        (f"{DRAG}    return out[row:]", "its axes should be (rows,)"),
    ],
    [
        ("my_delays = [0, 2, 4, 6, 8]", "that is a pyramid"),
        ("my_delays = [4, 2, 0, 2, 4]", "the middle frame is finished first"),
        ("my_delays = [0, 1, 2, 1, 0]", "look at the lag"),
        ("my_delays = [1, 3, 5, 3, 1]", "somebody must not wait at all"),
        ("my_delays = [0, 2, 2, 2, 0]", "should be finished last"),
        ("my_delays = [2, 4, 6, 4, 0]", "neither of them waits"),
        ("my_delays = 2", "a list of five numbers"),
    ],
    [
        ("my_schedule = schedules.pyramid(4, 9)", "frame 4 is not clean before all others"),
        (
            "my_schedule = schedules.delayed(4, [abs(i - 4) for i in range(9)])",
            "two frames have the same column",
        ),
        ("my_schedule = schedules.pyramid(4, 9).tolist()", "give a tensor"),
        ("my_schedule = torch.ones(3, 9)", "end with all frames clean"),
        ("my_schedule = schedules.pyramid(4, 8)", "one column for each of 9 frames"),
        ("my_schedule = schedules.pyramid(4, 9).clone()\nmy_schedule[6, 0] = 1", "it has faults"),
    ],
]
