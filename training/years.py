"""What the season of a year ago says of the one to come, as far as one year is like the next.

Labels end at the present cutoff, and so does what is measured since the newest of them: a season
that is yet to begin is told by the year before alone. The log is cut into weeks back from the
present, 52 to a year. How many users were active (or bought) in a week is taken for the product of
how many came in which week, of how long ago that is, and of the week's own pace. So neither growth
nor leaving, which is fastest at first, is part of the pace.

How far one year is like the next is told by four weeks at a time: among users first active before
two neighbouring ones, the user-weeks in the later over those in the earlier; the correlation of
the logarithms with those of a year before, drawn to 0 by DOUBT months. A log of a year and a bit
has shown nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from events.store import EventStore, known_before
from features.definitions import Definitions, marked
from runtime.collect import collect
from runtime.device import Device
from runtime.settings import Settings
from training.metrics import Floats

Counts = npt.NDArray[np.int64]
Kinds = Mapping[str, pl.Expr]

WEEK = timedelta(days=7)
YEAR, MONTH = 52, 4  # weeks
LEAST_ACTIVE = 10  # user-weeks in a month, for a logarithm to say something
DOUBT = 2.0
ROUNDS = 60
MOST_CHANGE = 1.5
ACTIVE, PAID = "active", "paid"
KINDS: Kinds = {ACTIVE: pl.col("active"), PAID: pl.col("amount") > 0}  # of marked events
CPU = Device("cpu", "counts of users by week")


@dataclass(frozen=True)
class Year:
    """`alike`: in [0, 1], how far a year is like the next. Of each week, newest first, shape
    (weeks,): `seen`, user-weeks of activity; `told`, as many as there would have been at the same
    pace in all."""

    alike: float
    seen: Floats
    told: Floats

    def change(self, start: float, end: float, since: float, until: float = 0.0) -> float:
        """By how much the logarithm of the pace from `start` to `end` days after now is to differ
        from that from `since` to `until` days before now, drawn to none by its own noise (James &
        Stein 1961, positive part); 0.0 where the log does not reach so far."""
        then = YEAR * WEEK.days
        coming = self._counted(then - end, then - start)
        last = self._counted(then + until, then + since)
        if coming is None or last is None:
            return 0.0
        told = float(np.log(coming[0] / coming[1]) - np.log(last[0] / last[1]))
        noise = 1 / coming[0] + 1 / last[0]
        if told**2 <= noise:
            return 0.0
        sure = told * (1 - noise / told**2)
        return float(np.clip(self.alike * sure, -MOST_CHANGE, MOST_CHANGE))

    def _counted(self, newest: float, oldest: float) -> tuple[float, float] | None:
        """`seen` and `told` between two numbers of days before now."""
        edges = WEEK.days * np.arange(len(self.seen) + 1.0)
        if oldest > edges[-1] or oldest <= max(newest, 0.0):
            return None
        share = np.clip(np.minimum(edges[1:], oldest) - np.maximum(edges[:-1], newest), 0.0, None)
        seen, told = float(share @ self.seen) / WEEK.days, float(share @ self.told) / WEEK.days
        return (seen, told) if seen > 0 else None


NOTHING = Year(0.0, np.zeros(1), np.zeros(1))


def years_at(
    store: EventStore, settings: Settings, presents: Sequence[datetime], kinds: Kinds
) -> dict[str, dict[datetime, Year]]:
    """By kind and present, from what was known there; no year where the log is not longer."""
    long = [now for now in presents if (now - store.first) // WEEK > YEAR]
    found = _counts(store, settings, long, kinds)
    return {kind: {now: year_of(one) for now, one in each.items()} for kind, each in found.items()}


def year_of(counts: Counts) -> Year:
    """`counts[f, w]`: users first active in week f who were active in week w. Weeks are counted
    back from 0, the newest; the last row and column are of all before the oldest."""
    seen, told = _weeks(counts)
    if len(seen) <= YEAR:
        return NOTHING
    return Year(_alike(_turns(_by_months(counts))), seen, told)


def _weeks(counts: Counts) -> tuple[Floats, Floats]:
    """`Year.seen` and `told` of the whole weeks, as far back as anybody was active. By iterative
    proportional fitting (Deming & Stephan 1940) of counts a month and more after the first week; a
    trend that all three factors could have is where that leaves it."""
    weeks = len(counts)
    came, week = np.tril_indices(weeks, -MONTH)
    age, seen = came - week, counts[came, week].astype(np.float64)
    size, pace = np.diag(counts).astype(np.float64), np.ones(weeks)
    for _ in range(ROUNDS):
        stay = _share(age, seen, size[came] * pace[week], weeks)
        pace = _share(week, seen, size[came] * stay[age], weeks)
        size = _share(came, seen, stay[age] * pace[week], weeks)
    by_week = np.bincount(week, seen, weeks)
    known = int(np.flatnonzero(by_week).max(initial=-1)) + 1
    told = np.bincount(week, size[came] * stay[age], weeks)
    return by_week[:known].astype(np.float64), told[:known].astype(np.float64)


def _share(of: Counts, seen: Floats, told: Floats, size: int) -> Floats:
    """What `told` must be multiplied by for its sums to be those seen; 0 where it tells none."""
    wanted, found = np.bincount(of, seen, size), np.bincount(of, told, size)
    return np.divide(wanted, found, out=np.zeros(size), where=found > 0)


def _by_months(counts: Counts) -> Counts:
    """User-weeks, of whole months of four weeks and of all before the oldest."""
    months = (len(counts) - 1) // MONTH
    starts = MONTH * np.arange(months + 1)
    return np.add.reduceat(np.add.reduceat(counts, starts, 0), starts, 1)


def _turns(counts: Counts) -> Floats:
    """From each whole month to the next, newest first; NaN where users are too few to tell."""
    found = []
    for month in range(len(counts) - 2):
        known = counts[month + 2 :]
        here, before = known[:, month].sum(), known[:, month + 1].sum()
        enough = min(here, before) >= LEAST_ACTIVE
        found.append(np.log(here / before) if enough else np.nan)
    return np.array(found)


def _alike(turns: Floats) -> float:
    apart = YEAR // MONTH
    now, then = turns[: max(len(turns) - apart, 0)], turns[apart:]
    both = np.isfinite(now) & np.isfinite(then)
    pairs = int(both.sum())
    if pairs <= 1:
        return 0.0
    now, then = now[both] - now[both].mean(), then[both] - then[both].mean()
    size = float(np.sqrt((now @ now) * (then @ then)))
    correlation = float(now @ then) / size if size > 0 else 0.0
    return max(correlation, 0.0) * (pairs - 1) / (pairs - 1 + DOUBT)


def _counts(
    store: EventStore, settings: Settings, presents: Sequence[datetime], kinds: Kinds
) -> dict[str, dict[datetime, Counts]]:
    """A bucket at a time, each read once."""
    weeks = {now: (now - store.first) // WEEK for now in presents}
    found = {
        kind: {now: np.zeros((n + 1, n + 1), dtype=np.int64) for now, n in weeks.items()}
        for kind in kinds
    }
    for bucket in store.buckets if weeks and kinds else ():
        rows = marked(store.scan(bucket), Definitions.of(settings))
        held = collect(rows.select("user_id", "ts", "received", **kinds), CPU).lazy()
        for kind, each in found.items():
            for now, counts in each.items():
                _add(counts, held.filter(known_before(now) & pl.col(kind)), now)
    return found


def _add(counts: Counts, rows: pl.LazyFrame, now: datetime) -> None:
    age = (pl.lit(now) - pl.col("ts")).dt.total_microseconds() - 1
    week = (age // (WEEK // timedelta(microseconds=1))).clip(0, len(counts) - 1)
    first = pl.col("week").max().over("user_id").alias("first")
    seen = rows.select("user_id", week=week).unique()
    counted = collect(seen.select(first, "week").group_by("first", "week").len(), CPU)
    at = counted["first"].to_numpy(), counted["week"].to_numpy()
    counts[at] += counted["len"].to_numpy().astype(np.int64)
