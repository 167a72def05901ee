"""What a benchmark gives: lines with targets, curves to draw, and where the time goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Size:
    """How much to do: "tiny" to see that everything runs, "quick" (minutes), or "full".

    Parameters
    ----------
    name : str
    repeats : int
        Samples of every timing, of which the fastest counts.
    seconds : float
        The least length of a sample.
    """

    name: str
    repeats: int
    seconds: float

    def pick(self, tiny: T, quick: T, full: T) -> T:
        """The one of the three that belongs to this size."""
        return {"tiny": tiny, "quick": quick, "full": full}[self.name]


SIZES = {
    size.name: size for size in (Size("tiny", 1, 0.0), Size("quick", 5, 0.1), Size("full", 15, 0.3))
}


@dataclass(frozen=True)
class Line:
    """One row of the table.

    Parameters
    ----------
    name : str
        Unique, for the history.
    what : str
    measured : float
    unit : str
    yardstick : str
        What it is compared with, timed in the same run.
    yardstick_value : float, optional
        In the same unit.
    ratio : float, optional
        Yardstick over measured for times, the share of the yardstick for rates.
    target : float, optional
    sense : str
        "at most" or "at least".
    bounds : str
        What the target bounds: "measured" or "ratio".
    note : str
    """

    name: str
    what: str
    measured: float
    unit: str
    yardstick: str = ""
    yardstick_value: float | None = None
    ratio: float | None = None
    target: float | None = None
    sense: str = "at most"
    bounds: str = "measured"
    note: str = ""

    @property
    def score(self) -> float:
        """The number that the target bounds."""
        return (
            float("nan")
            if self.bounds == "ratio" and self.ratio is None
            else (self.ratio if self.bounds == "ratio" else self.measured)
        )

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without a target."""
        if self.target is None:
            return None
        return self.score <= self.target if self.sense == "at most" else self.score >= self.target

    def as_dict(self) -> dict[str, Any]:
        """For JSON, with the verdict."""
        return asdict(self) | {"met": self.met}


@dataclass(frozen=True)
class Curve:
    """Points (x, y) of one series in one panel of the plot (`plot.PANELS`)."""

    panel: str
    series: str
    points: list[tuple[float, float]]


@dataclass(frozen=True)
class Cost:
    """Where the time of a method goes: microseconds of each part."""

    method: str
    parts: Mapping[str, float]


@dataclass
class Result:
    """Of one benchmark, or of several put together."""

    lines: list[Line] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)

    def add(self, other: Result) -> None:
        """Append what another benchmark gave."""
        self.lines += other.lines
        self.curves += other.curves
        self.costs += other.costs
