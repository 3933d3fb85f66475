"""Video without end: a window of frames that moves down the rows of a steady schedule, see `stream`."""

from pusa_lab.streaming.actions import ActionConditioned, Actions, FrameActions
from pusa_lab.streaming.decoding import decoder_of
from pusa_lab.streaming.moves import Move, anchored, early_steps, queue_moves, scheduled_moves, step_first_moves
from pusa_lab.streaming.plan import SteadyWindow, Track, steady_window
from pusa_lab.streaming.sampling import sample_moves
from pusa_lab.streaming.start import stream
from pusa_lab.streaming.window import Stream, Streamed

__all__ = [
    "ActionConditioned",
    "Actions",
    "FrameActions",
    "Move",
    "SteadyWindow",
    "Stream",
    "Streamed",
    "Track",
    "anchored",
    "decoder_of",
    "early_steps",
    "queue_moves",
    "sample_moves",
    "scheduled_moves",
    "steady_window",
    "step_first_moves",
    "stream",
]
