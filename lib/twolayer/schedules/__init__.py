"""Learning rates that change: functions of time, of steps or of samples, that say what they are.

Each is a frozen dataclass that is called with its clock, compares by its numbers, and is kept in
the files of results.  `solve` and `simulate` take them as ``learning_rate``.

Builds on checks.
"""

from twolayer.schedules.clock import clock_after, rate_of_time
from twolayer.schedules.files import plain, restored
from twolayer.schedules.functions import constant, cosine, piecewise, power, warmup
from twolayer.schedules.schedule import Schedule, of_schedule
from twolayer.schedules.shapes import Constant
from twolayer.schedules.shifted import shifted

__all__ = [
    "Constant",
    "Schedule",
    "clock_after",
    "constant",
    "cosine",
    "of_schedule",
    "piecewise",
    "plain",
    "power",
    "rate_of_time",
    "restored",
    "shifted",
    "warmup",
]
