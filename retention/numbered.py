"""A bucket's rows in order, their users numbered: what all retention plans are made from.

Rows of a user lie side by side and in time, so that the first of them, and the first of a run,
are told by the row before. Numbers are quicker to join on than ids.
"""

from __future__ import annotations

import polars as pl

from events.calendar import period_of
from events.contract import ROW_ORDER
from retention.asking import ELAPSED_DAYS, Question

_MICROSECONDS_A_DAY = 86_400_000_000


def numbered(events: pl.LazyFrame, asked: Question, lies_in_order: bool) -> pl.LazyFrame:
    """The events with `new`, whether a row is its user's first, and `user`, a number.

    Where only what is in the range can anchor, what lies before it is left out.
    """
    ranged = asked.anchor in ("first_in_range", "every")
    rows = events.filter(pl.col("ts") >= asked.since) if ranged and asked.since else events
    if not lies_in_order:
        told = asked.by is not None and asked.by.kind != "attribute"
        rows = rows.sort(ROW_ORDER if told else ("user_id", "ts"))
    new = changed("user_id")
    return rows.with_columns(new=new, user=new.cast(pl.UInt32).cum_sum())


def where(rows: pl.LazyFrame, holds: pl.Expr) -> pl.LazyFrame:
    """The rows of which it holds; the frame itself where that is always so. Polars 1.44 fails on
    a plan that reads a cached frame through a filter which it finds to be always true."""
    return rows if holds.meta.eq(pl.lit(value=True)) else rows.filter(holds)


def changed(*columns: str) -> pl.Expr:
    """Whether a row differs in one of the columns from the row before."""
    first, *others = (pl.col(name).ne_missing(pl.col(name).shift()) for name in columns)
    for other in others:
        first = first | other
    return first


def length_of(asked: Question) -> int:
    """Microseconds of a period on the elapsed clock."""
    return ELAPSED_DAYS[asked.period] * _MICROSECONDS_A_DAY


def own_of(instant: str, asked: Question) -> pl.Expr:
    """Where an instant lies on the table's clock: the number of its period, or microseconds."""
    if asked.clock == "calendar":
        return period_of(pl.col(instant), asked.period, asked.zone)
    return pl.col(instant).cast(pl.Int64)


def offset(asked: Question) -> pl.Expr:
    """Whole periods from `own`, where the anchor lies on the clock, to `here`, Int32."""
    apart = pl.col("here") - pl.col("own")
    if asked.clock == "elapsed":
        apart = apart // length_of(asked)
    return apart.cast(pl.Int32)
