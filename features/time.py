"""Time as a type: cutoffs, windows and the half-open spans they name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl


@dataclass(frozen=True, order=True)
class Span:
    """`[start, end)` in UTC."""

    start: datetime
    end: datetime

    def holds(self, column: str = "ts") -> pl.Expr:
        """Whether an instant lies in the span; false for null."""
        inside = (pl.col(column) >= self.start) & (pl.col(column) < self.end)
        return inside.fill_null(value=False)


@dataclass(frozen=True, order=True)
class Window:
    days: int

    @property
    def length(self) -> timedelta:
        return timedelta(days=self.days)

    def __str__(self) -> str:
        return f"{self.days}d"


@dataclass(frozen=True, order=True)
class Cutoff:
    """The instant that separates known (before it) from unknown (at it and after)."""

    at: datetime

    def observed(self, window: Window) -> Span:
        """`[t - w, t)`: feeds features."""
        return Span(self.at - window.length, self.at)

    def horizon(self, gap_days: int, horizon_days: int) -> Span:
        """`[t + gap, t + gap + horizon)`: feeds labels."""
        start = self.at + timedelta(days=gap_days)
        return Span(start, start + timedelta(days=horizon_days))


def at_instant(cutoff: Cutoff) -> pl.Expr:
    """The cutoff as a column's value."""
    return pl.lit(cutoff.at, dtype=pl.Datetime("us", "UTC"))
