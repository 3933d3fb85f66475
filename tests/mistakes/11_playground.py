"""Wrong answers to the exercises of chapter 11, and what `check` must say of them."""

REST, TOGETHER = "in_turn([0, 1, 2, 3, 5, 6, 7, 8])", "schedules.synchronous(STEPS, 9)"
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
        (f"{DRAG}    out[row:] = out[row:].clamp(max=level)\n    return out", "only later rows are pulled down"),
        (
            f"{DRAG}    out[:row] = out[:row].clamp(min=level)\n    out[row:] = level\n    return out",
            "all later rows have the level",
        ),
        (
            f"{DRAG}    out[: row + 1] = level\n    out[row + 1 :] = out[row + 1 :].clamp(max=level)\n    return out",
            "all earlier rows have the level",
        ),
    ],
    [
        ("my_delays = [0, 2, 4, 6, 8]", "that is a pyramid"),
        ("my_delays = [4, 2, 0, 2, 4]", "the middle frame is finished first"),
        ("my_delays = [0, 1, 2, 1, 0]", "look at the lag"),
        ("my_delays = [1, 3, 5, 3, 1]", "at least one frame must not wait"),
        ("my_delays = [0, 2, 2, 2, 0]", "should be finished last"),
        ("my_delays = [2, 4, 6, 4, 0]", "neither of them waits"),
        ("my_delays = torch.tensor([0, 1, 2, 1, 0])", "look at the lag"),
        ("my_delays = 2", "a list of five numbers"),
    ],
    [
        ("my_experiment = schedules.pyramid(4, 9)", "give three things"),
        ("my_experiment = (4, in_turn([4]))", "give three things"),
        ("my_experiment = (8, in_turn([8]), in_turn(range(8)))", "choose a frame from 1 to 7"),
        ("my_experiment = (4, schedules.pyramid(4, 8), schedules.pyramid(4, 8))", "one column for each of 9 frames"),
        ("my_experiment = (4, torch.ones(3, 9), torch.ones(3, 9))", "end with all frames clean"),
        ("rising = in_turn([4])\nrising[3, 0] = 0.5\nmy_experiment = (4, rising, in_turn([4]))", "one has faults"),
        (
            "drawn = Editor(9, STEPS)\ndrawn.edit('drag', frame=4, row=1, level=0.0)\n"
            f"my_experiment = (4, drawn.schedule, {REST})",
            "two things change at once",
        ),
        (
            "drawn = Editor(9, STEPS)\ndrawn.edit('drag', frame=2, row=1, level=0.0)\n"
            f"my_experiment = (4, drawn.schedule, {REST})",
            "another frame falls in other steps",
        ),
        (f"my_experiment = (4, {REST}, in_turn([4]))", "exchange them"),
        (f"my_experiment = (4, {TOGETHER}, {TOGETHER})", "hardly differ"),
    ],
]
