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

from features.attributes import held, in_frame, latest, valid_at
from features.definitions import Definitions, marked
from features.time import Cutoff
from runtime.settings import Churn


def eligibility_sums(definitions: Definitions) -> Mapping[str, pl.Expr]:
    """Aggregations over a user's marked rows that `eligible_at` reads."""
    ends = pl.col("ends")
    if definitions.churn.kind == "passive":
        return {}
    last_end = {"last_end": pl.when(ends).then(pl.col("ts")).max()}
    if definitions.churn.kind == "lapse":
        return last_end
    other = pl.col("active") & ~ends
    return last_end | {"last_other": pl.when(other).then(pl.col("ts")).max()}


def eligible_at(cutoff: Cutoff, definitions: Definitions) -> pl.Expr:
    """Whether a user is scored; reads `last_active`, the sums and the users' date column."""
    since = definitions.eligible.within_days
    seen = pl.col("last_active").is_not_null()
    if since is not None:
        seen &= pl.col("last_active") >= cutoff.at - timedelta(days=since)
    return (seen & _churnable(cutoff, definitions.churn)).fill_null(value=False)


def _churnable(cutoff: Cutoff, churn: Churn) -> pl.Expr:
    if churn.kind == "passive":
        return pl.lit(value=True)
    last_end = pl.col("last_end")
    if churn.kind == "lapse":
        return (last_end + covered(churn) > cutoff.at).fill_null(value=False)
    back = (pl.col("last_other") > last_end).fill_null(value=False)
    stays = last_end.is_null() | back
    if churn.date_column is None:
        return stays
    return stays & ~(pl.col(in_frame(churn.date_column)) < cutoff.at).fill_null(value=False)


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
    return frame.join(latest(users).select("user_id", held(column)), on="user_id", how="left")


def eligible_plan(
    events: pl.LazyFrame, cutoff: Cutoff, definitions: Definitions, users: pl.LazyFrame | None
) -> pl.LazyFrame:
    """The `user_id` of everyone who is scored at the cutoff, in no order."""
    rows = marked(events.filter(pl.col("ts") < cutoff.at), definitions)
    people = rows.group_by("user_id").agg(
        pl.when(pl.col("active")).then(pl.col("ts")).max().alias("last_active"),
        **eligibility_sums(definitions),
    )
    valid = None if users is None else valid_at(users, cutoff.at)
    known = with_dates(people, valid, definitions)
    return known.filter(eligible_at(cutoff, definitions)).select("user_id")
