"""From where a user's periods are counted."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import polars as pl

from events.contract import TIME
from features.time import Cutoff
from runtime.errors import UsageError

# "first": the user's first event ever. "first_in_range": the first one at or after `since`.
# A Cutoff: that instant, for every user who is in `members`.
Anchor = Literal["first", "first_in_range"] | Cutoff


def check_anchor(anchor: Anchor, since: datetime | None) -> None:
    """Raises UsageError."""
    if not isinstance(anchor, Cutoff) and anchor not in ("first", "first_in_range"):
        raise UsageError(
            f"anchor '{anchor}' is not known; choose 'first', 'first_in_range' or a cutoff"
        )
    if anchor == "first_in_range" and since is None:
        raise UsageError("anchor 'first_in_range' needs the start of the range; add --since")


def anchored(
    events: pl.LazyFrame, anchor: Anchor, since: datetime | None, until: datetime | None
) -> pl.LazyFrame:
    """One row a user whose anchor lies in `[since, until)`: user_id, anchor.

    With "first", a user whose first event lies before the range is in no cohort of it.
    """
    if isinstance(anchor, Cutoff):
        before = events.filter(pl.col("ts") < anchor.at).select("user_id").unique()
        return before.with_columns(anchor=pl.lit(anchor.at, TIME))
    if anchor == "first_in_range":
        events = events.filter(within("ts", since, until))
    first = events.group_by("user_id").agg(anchor=pl.col("ts").min())
    return first.filter(within("anchor", since, until))


def within(column: str, since: datetime | None, until: datetime | None) -> pl.Expr:
    inside = pl.lit(value=True)
    if since is not None:
        inside &= pl.col(column) >= since
    if until is not None:
        inside &= pl.col(column) < until
    return inside
