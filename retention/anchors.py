"""From where a user's periods are counted."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import polars as pl

from events.contract import TIME
from events.store import EventStore
from events.users import scan_users, users_path
from features.definitions import Definitions
from features.eligible import eligible_plan
from features.matured import require_history
from features.time import Cutoff
from runtime.errors import StoreError, UsageError
from runtime.settings import Settings

# "first": the user's first event ever. "first_in_range": the first one at or after `since`.
# A Cutoff: that instant, for everyone who is eligible at it.
Anchor = Literal["first", "first_in_range"] | Cutoff


def check_anchor(
    anchor: Anchor, since: datetime | None, until: datetime | None, store: EventStore
) -> None:
    """Raises UsageError; LabelError for a cutoff with no event before it."""
    if isinstance(anchor, Cutoff):
        if since is not None or until is not None:
            raise UsageError("a cutoff as anchor takes no range; leave out since and until")
        require_history(store, anchor)
        return
    if anchor not in ("first", "first_in_range"):
        raise UsageError(
            f"anchor '{anchor}' is not known; choose 'first', 'first_in_range' or a cutoff"
        )
    if anchor == "first_in_range" and since is None:
        raise UsageError("anchor 'first_in_range' needs the start of the range; add --since")


def users_for(anchor: Anchor, settings: Settings) -> pl.LazyFrame | None:
    """The users table, where who is eligible at the anchor depends on it. Raises StoreError."""
    churn = settings.churn
    if not isinstance(anchor, Cutoff) or churn.kind != "active" or churn.date_column is None:
        return None
    users = scan_users(settings)
    if users is None:
        raise StoreError(
            f"{users_path(settings)}: there is no users table, which churn.date_column needs; "
            "run 'holdfast ingest'"
        )
    return users


def anchored(
    events: pl.LazyFrame,
    anchor: Anchor,
    since: datetime | None,
    until: datetime | None,
    definitions: Definitions,
    users: pl.LazyFrame | None,
) -> pl.LazyFrame:
    """One row a user: user_id, anchor.

    "first" and "first_in_range": those whose anchor lies in `[since, until)`; with "first", a
    user whose first event lies before the range is in no cohort of it.
    """
    if isinstance(anchor, Cutoff):
        eligible = eligible_plan(events, anchor, definitions, users)
        return eligible.with_columns(anchor=pl.lit(anchor.at, TIME))
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
