"""Video without end: a window of frames that moves down the rows of a steady schedule, see `stream`."""

from pusa_lab.streaming.decoding import decoder_of
from pusa_lab.streaming.plan import SteadyWindow, Track, steady_window
from pusa_lab.streaming.start import stream
from pusa_lab.streaming.window import Stream, Streamed

__all__ = ["SteadyWindow", "Stream", "Streamed", "Track", "decoder_of", "steady_window", "stream"]
