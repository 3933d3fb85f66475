"""The property suite of issue 17: every public function and command is right or refused in one clear sentence.

python -m tests.fuzz [--module pusa_lab.schedules] [--cases 20000] [--seed 0]

`targets` finds what is called, `values` and `recipes` draw the arguments as Python text (so that a failing call can be
pasted), `objects` holds what that text names, `judge` sorts the outcomes, `commands` and `files` draw command lines and
damaged files, and `run` counts.
"""
