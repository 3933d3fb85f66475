"""The schedule studio: draw the clocks, watch the frames."""

from pusa_lab.widgets.editing import Editor, Fault

__all__ = ["Editor", "Fault"]
