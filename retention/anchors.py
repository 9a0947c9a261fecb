"""From where a user's periods are counted."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import polars as pl

from events.store import EventStore
from events.users import scan_users, users_path
from features.matured import require_history
from features.time import Cutoff
from runtime.errors import StoreError, UsageError
from runtime.settings import Settings

# "first": the user's first event ever. "first_in_range": the first one at or after `since`.
# "every": on the calendar clock the first one of each period in the range, on the elapsed clock
# each instant in it at which there is one. A Cutoff: that instant, for everyone who is eligible
# at it. With `start` only events of those names anchor.
Anchor = Literal["first", "first_in_range", "every"] | Cutoff


def check_anchor(
    anchor: Anchor, since: datetime | None, until: datetime | None, store: EventStore
) -> None:
    """Raises UsageError; LabelError for a cutoff with no event before it."""
    if isinstance(anchor, Cutoff):
        if since is not None or until is not None:
            raise UsageError("a cutoff as anchor takes no range; leave out since and until")
        require_history(store, anchor)
        return
    if anchor not in ("first", "first_in_range", "every"):
        raise UsageError(
            f"anchor '{anchor}' is not known; choose 'first', 'first_in_range', 'every' or a cutoff"
        )
    if anchor == "first_in_range" and since is None:
        raise UsageError("anchor 'first_in_range' needs the start of the range; add --since")
    if since is not None and until is not None and until <= since:
        raise UsageError(
            f"until {until.isoformat()} is not after since {since.isoformat()}; the range is empty"
        )


def users_of(settings: Settings, store: EventStore, bucket: int) -> pl.LazyFrame:
    """The users table of a bucket. Raises StoreError where there is none."""
    users = scan_users(settings, bucket, store.parted_in)
    if users is None:
        raise StoreError(
            f"{users_path(settings)}: there is no users table, which the question needs; "
            "run 'holdfast ingest'"
        )
    return users


def within(column: str, since: datetime | None, until: datetime | None) -> pl.Expr:
    inside = pl.lit(value=True)
    if since is not None:
        inside &= pl.col(column) >= since
    if until is not None:
        inside &= pl.col(column) < until
    return inside
