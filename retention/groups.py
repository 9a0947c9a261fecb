"""What users are told apart by beside their cohort: an attribute, a property, what they did."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from events.calendar import period_at, period_of
from events.columns import as_text
from events.properties import told_by_event
from events.users import VALID_FROM
from features.time import Cutoff
from retention.asking import Did, Question
from retention.between import between
from retention.cells import Cell

DID, DID_NOT = "did", "did not"
_MICROSECONDS_A_DAY = 86_400_000_000


def with_group(
    starts: pl.LazyFrame, rows: pl.LazyFrame, asked: Question, users: pl.LazyFrame | None
) -> pl.LazyFrame:
    """The starts with `group` (text, null where there is none) and `pooled`, whether it is one
    of the values that are not told apart; as they are where nothing is asked.

    Of those grouped by what they did, whose first days are not over has no group.
    """
    if asked.did is not None:
        return _by_did(starts, rows, asked, asked.did).with_columns(pooled=pl.lit(value=False))
    if asked.by is None:
        return starts
    if asked.by.kind == "attribute":
        assert users is not None, "asked.needs_users"
        found = _by_attribute(starts, asked.by.name, users, isinstance(asked.anchor, Cutoff))
    else:
        found = starts.with_columns(group=told_by_event(asked.by))
    if asked.kept is None:
        return found.with_columns(pooled=pl.lit(value=False))
    kept = pl.col("group").is_in(list(asked.kept)) | pl.col("group").is_null()
    return found.with_columns(group=pl.when(kept).then(pl.col("group")), pooled=~kept)


def _by_attribute(
    starts: pl.LazyFrame, name: str, users: pl.LazyFrame, at_cutoff: bool
) -> pl.LazyFrame:
    """By the row of the users table that is valid at the anchor: from that instant or before,
    and before a cutoff, at which nothing is known yet that happens then."""
    schema = users.collect_schema()
    held = users.select(
        "user_id",
        as_text(name, schema[name]).alias("group"),
        *([pl.col(VALID_FROM)] if VALID_FROM in schema else []),
    )
    if VALID_FROM not in schema:
        return starts.join(held, on="user_id", how="left", maintain_order="left")
    since = pl.col(VALID_FROM)
    valid = (since < pl.col("anchor")) if at_cutoff else (since <= pl.col("anchor"))
    rows = starts.select("user_id", "who", "anchor").join(held, on="user_id")
    rows = rows.filter(since.is_null() | valid).sort("who", VALID_FROM, nulls_last=False)
    last = rows.unique("who", keep="last", maintain_order=True).select("who", "group")
    return starts.join(last, on="who", how="left", maintain_order="left")


def _by_did(starts: pl.LazyFrame, rows: pl.LazyFrame, asked: Question, did: Did) -> pl.LazyFrame:
    """Users are counted from the anchor on: what they did before it is no part of it."""
    day, length = _day("anchor", asked), _length(asked)
    placed = starts.select("who", "user", "anchor", own=day)
    done = rows.filter(pl.col("event") == did.event)
    done = done.select("user", "ts", here=_day("ts", asked))
    first_days = (Cell(0, did.days - 1),)
    if asked.anchor == "every":
        times = between(placed, done, first_days, length, with_value=False)
    else:
        inside = done.join(placed, on="user").filter(
            (pl.col("ts") >= pl.col("anchor"))
            & (pl.col("here").cast(pl.Int64) < pl.col("own").cast(pl.Int64) + did.days * length)
        )
        times = inside.group_by("who").agg(hits=pl.len().cast(pl.Int64))
    found = starts.join(times, on="who", how="left", maintain_order="left")
    often = pl.col("hits").fill_null(0) >= did.at_least
    group = pl.when(often).then(pl.lit(DID)).otherwise(pl.lit(DID_NOT))
    return found.with_columns(group=pl.when(_over(asked, did)).then(group))


def _day(instant: str, asked: Question) -> pl.Expr:
    if asked.clock == "calendar":
        return period_of(pl.col(instant), "day", asked.zone)
    return pl.col(instant).cast(pl.Int64)


def _length(asked: Question) -> int:
    return 1 if asked.clock == "calendar" else _MICROSECONDS_A_DAY


def _over(asked: Question, did: Did) -> pl.Expr:
    """Whether the first days from the anchor have ended."""
    if asked.clock == "elapsed":
        return pl.col("anchor") <= asked.covered_until - timedelta(days=did.days)
    today = period_at(asked.covered_until, "day", asked.zone)
    return period_of(pl.col("anchor"), "day", asked.zone) + did.days <= today
