"""Members of the zoo whose levels never rise: the others return a `Rising`, see tests/test_rising.py."""

from pusa_lab.schedules import SCHEDULES

FALLING = sorted(set(SCHEDULES) - {"repaint", "restart"})
