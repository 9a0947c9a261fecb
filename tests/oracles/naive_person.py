"""One user's log before a cutoff, and the few words that every naive feature is made of."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from features.spec import FeatureSpec

Row = Mapping[str, Any]
Values = dict[str, Any]
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
LARGEST_AMOUNT = 1e30


@dataclass(frozen=True)
class Person:
    """`rows`: every event of the user before t, in order; `user`: the row of the users table."""

    rows: Sequence[Row]
    t: datetime
    spec: FeatureSpec
    user: Row

    @cached_property
    def active(self) -> list[Row]:
        """The events that count as activity."""
        return [row for row in self.rows if is_active(row, self.spec)]

    @cached_property
    def paid(self) -> list[Row]:
        """The events with an amount that counts toward value, in order."""
        chosen = self.spec.definitions.value.events
        return [row for row in self.priced if chosen is None or row["event"] in chosen]

    @cached_property
    def priced(self) -> list[Row]:
        """The events with any amount, in order."""
        held = [row for row in self.rows if row["amount"] is not None]
        return sorted(map(capped, held), key=place)

    @property
    def windows(self) -> list[tuple[str, int | None]]:
        """What a window is called and its days; 'total' for ever."""
        return [("total", None), *((f"{w.days}d", w.days) for w in self.spec.windows)]

    def since(self, rows: Sequence[Row], days: int | None) -> list[Row]:
        """Those of the last so many days; all of them for None."""
        return [row for row in rows if days is None or row["ts"] >= self.t - days * DAY]

    def age(self, row: Row) -> float:
        """Days from an event to the cutoff."""
        return (self.t - row["ts"]) / DAY

    def local(self, row: Row) -> datetime:
        """The clock on the wall."""
        return row["ts"].astimezone(ZoneInfo(self.spec.timezone))

    def days_of(self, rows: Iterable[Row]) -> list[int]:
        """The calendar days with one of the rows, each once, in order."""
        return sorted({self.local(row).date().toordinal() for row in rows})


def is_active(row: Row, spec: FeatureSpec) -> bool:
    chosen = spec.activity.events
    return (chosen is None or row["event"] in chosen) and row["event"] not in spec.activity.exclude


def capped(row: Row) -> Row:
    amount = min(max(row["amount"], -LARGEST_AMOUNT), LARGEST_AMOUNT)
    return {**row, "amount": amount}


def place(row: Row) -> tuple[Any, ...]:
    """Where a purchase stands among the others: by instant, then kind, amount and channel."""
    return row["ts"], row["event"], row["amount"], row["channel"] or ""


def amount(rows: Sequence[Row]) -> float:
    return math.fsum(row["amount"] for row in rows)


def over(above: float | None, below: float | None) -> float | None:
    """None where there is nothing to divide by."""
    return None if above is None or not below or below <= 0 else above / below


def mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def shares(things: Iterable[Hashable]) -> list[float]:
    counts = Counter(things)
    return [n / counts.total() for n in counts.values()]


def entropy(things: Sequence[Hashable]) -> float | None:
    """In bits; None of nothing."""
    return -math.fsum(p * math.log2(p) for p in shares(things)) if things else None


def herfindahl(things: Sequence[Hashable]) -> float | None:
    return math.fsum(p * p for p in shares(things)) if things else None
