"""Who is scored at a cutoff, from events before it alone.

Everyone is eligible who had an active event before t, within `eligible.within_days` if that is
set, and for whom churn can still happen:

passive   always
active    no churn event before t, or an active event of another kind strictly after the last
          one (the user came back, by subscribing anew or however activity is defined), and the
          users table's churn date not before t: a date happens once
lapse     the last renewal before t still covers t: renewal + period + grace > t
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import polars as pl

from events.store import known_before
from features.attributes import held, in_frame, keys, latest, valid_at
from features.definitions import Definitions, marked
from features.measure import ROW, Measure
from features.time import Cutoff, at_instant
from runtime.settings import Churn


def eligibility_measures(definitions: Definitions) -> Mapping[str, Measure]:
    """What `eligible_at` reads of a user's rows."""
    ends = pl.col("ends")
    found = {"last_active": Measure("active", ROW, "latest")}
    if definitions.churn.kind != "passive":
        found["last_end"] = Measure("events", ends, "latest")
    if definitions.churn.kind == "active":
        found["last_other"] = Measure("active", ~ends, "latest")
    return found


def eligible_at(definitions: Definitions) -> pl.Expr:
    """Whether a user is scored; reads `cutoff`, the measures and the users' date column."""
    since = definitions.eligible.within_days
    seen = pl.col("last_active").is_not_null()
    if since is not None:
        seen &= pl.col("last_active") >= pl.col("cutoff") - timedelta(days=since)
    return (seen & _churnable(definitions.churn)).fill_null(value=False)


def _churnable(churn: Churn) -> pl.Expr:
    cutoff = pl.col("cutoff")
    if churn.kind == "passive":
        return pl.lit(value=True)
    last_end = pl.col("last_end")
    if churn.kind == "lapse":
        return (last_end + covered(churn) > cutoff).fill_null(value=False)
    back = (pl.col("last_other") > last_end).fill_null(value=False)
    stays = last_end.is_null() | back
    if churn.date_column is None:
        return stays
    return stays & ~(pl.col(in_frame(churn.date_column)) < cutoff).fill_null(value=False)


def covered(churn: Churn) -> timedelta:
    """How long a renewal lasts, grace included."""
    return timedelta(days=(churn.period_days or 0) + churn.grace_days)


def with_dates(
    frame: pl.LazyFrame, users: pl.LazyFrame | None, definitions: Definitions
) -> pl.LazyFrame:
    """The frame with the users table's churn date, where churn is defined by one.

    Of several rows a user the latest is read: right for labels. Who is eligible is to be told
    by what was valid then: give `valid_at(users, cutoff)`.
    """
    column = definitions.churn.date_column
    if definitions.churn.kind != "active" or column is None:
        return frame
    if users is None:
        raise ValueError(f"churn.date_column '{column}' needs the users table")
    on = keys(users)
    return frame.join(latest(users).select(*on, held(column)), on=on, how="left")


def eligible_plan(
    events: pl.LazyFrame, cutoff: Cutoff, definitions: Definitions, users: pl.LazyFrame | None
) -> pl.LazyFrame:
    """The `user_id` of everyone who is scored at the cutoff, in no order."""
    rows = marked(events.filter(known_before(cutoff.at)), definitions)
    sums = {
        name: pl.when(measure.value & (pl.col("active") | (measure.stream == "events")))
        .then(pl.col("ts"))
        .max()
        for name, measure in eligibility_measures(definitions).items()
    }
    people = rows.group_by("user_id").agg(**sums).with_columns(cutoff=at_instant(cutoff))
    valid = None if users is None else valid_at(users, cutoff.at)
    known = with_dates(people, valid, definitions)
    return known.filter(eligible_at(definitions)).select("user_id")
