"""Wrong answers to the exercises of chapter 14, and a part of what `check` must say."""

_ERRORS = (
    "def my_errors(gain, fault, blocks):\n    found = [{}]\n    for _ in range(blocks):\n"
    "        found.append({})\n    return torch.tensor(found[{}])"
)
_MOVES = "def my_moves(moves, cuts):\n    return {}"
MISTAKES = [
    [
        (_ERRORS.format("0.0", "gain * found[-1] + fault", ":-1"), "begins with e_0"),
        (_ERRORS.format("0.0", "gain * (found[-1] + fault)", "1:"), "a multiplies only what was there before"),
        (_ERRORS.format("fault / gain", "gain * found[-1]", "1:"), "the faults do not add up"),
        (_ERRORS.format("0.0", "found[-1] + fault", "1:"), "where is `gain`"),
        (_ERRORS.format("0.0", "gain * found[-1] + fault", ":"), "e_0 is returned as well"),
        (_ERRORS.format("0.0", "gain * found[-1] + fault", "-1"), "not the right shape"),
        ("def my_errors(gain, fault, blocks):\n    found = gain * fault", "is a `return` missing"),
        (
            "def my_errors(gain, fault, blocks):\n    k = torch.arange(1, blocks + 1)\n"
            "    return fault * (1 - gain**k) / (1 - gain)",
            "is something divided by zero",
        ),
    ],
    [
        ("my_schedule = 'autoregressive'", "(a) is not met"),
        ("my_schedule = 'rolling(window=6)'", "(b) is not met"),
        ("my_schedule = 'blockwise(block=2, lag=6)'", "(c) is not met"),
        ("my_schedule = 'synchronous'", "it cannot be streamed: the schedule synchronous never finishes a window"),
        ("my_schedule = schedules.rolling", "give the name of a schedule"),
    ],
    [
        (_MOVES.format("moves[:1] + moves"), "the same levels, in the same order"),
        (_MOVES.format("[Move((*range(min(m.seen)), *m.seen), m.to) for m in moves]"), "sees more than 8 frames"),
        (_MOVES.format("[Move((*m.seen[1:], END - 1), m.to) for m in moves[:-4]] + moves[-4:]"), "not made yet"),
        (_MOVES.format("moves"), "(a) is not met"),
        (_MOVES.format("anchored(moves)"), "(b) is not met"),
        (_MOVES.format("list(moves) if cuts else anchored(moves)"), "(c) is not met"),
        (_MOVES.format("[moves.pop(0) for _ in range(len(moves))]"), "(a) is not met"),
        (_MOVES.format("(move for move in anchored(moves))"), "give a list of moves"),
        (_MOVES.format("len(moves)"), "give a list of moves"),
        (_MOVES.format("moves + cuts + 1"), "could not be tried: TypeError"),
    ],
]
