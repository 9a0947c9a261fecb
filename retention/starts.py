"""Who is anchored where: one row for each user, or for each of a user's starts."""

from __future__ import annotations

import polars as pl

from events.calendar import period_of
from events.contract import TIME
from features.definitions import Definitions
from features.eligible import eligible_plan
from features.time import Cutoff
from retention.anchors import within
from retention.asking import Question
from retention.numbered import changed, own_of, where


def starts_of(
    events: pl.LazyFrame, rows: pl.LazyFrame, asked: Question, users: pl.LazyFrame | None
) -> pl.LazyFrame:
    """`who` (one number for each row of the result), user, user_id, anchor, own (where it lies on
    the clock), cohort, and the columns of the event that anchors: of several at that instant the
    first in the log's order of rows, which compares event, amount, channel, source, event id and
    properties.

    "first" and "first_in_range": those whose anchor lies in `[since, until)`; with "first", a
    user whose first event lies before the range is in no cohort of it.
    """
    if isinstance(asked.anchor, Cutoff):
        definitions = Definitions.of(asked.settings)
        eligible = eligible_plan(events, asked.anchor, definitions, users)
        found = rows.filter(pl.col("new")).join(eligible, on="user_id", how="semi")
        found = found.with_columns(anchor=pl.lit(asked.anchor.at, TIME))
    else:
        found = _by_event(rows, asked).with_columns(anchor=pl.col("ts"))
    who = pl.col("user")
    if asked.anchor == "every":
        found, who = found.with_row_index("number"), pl.col("number")
    return found.with_columns(
        who=who,
        own=own_of("anchor", asked),
        cohort=period_of(pl.col("anchor"), asked.cohort, asked.zone),
    )


def _by_event(rows: pl.LazyFrame, asked: Question) -> pl.LazyFrame:
    ranged = within("ts", asked.since, asked.until)
    can = pl.lit(value=True)
    if asked.start is not None:
        can = pl.col("event").is_in(list(asked.start))
    found = where(rows, can)
    if asked.anchor == "first":
        new = pl.col("new") if asked.start is None else changed("user")
        return where(found.filter(new), ranged)
    found = where(found, ranged)
    if asked.anchor == "first_in_range":
        return found.filter(changed("user"))
    return found.with_columns(here=own_of("ts", asked)).filter(changed("user", "here"))
