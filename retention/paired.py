"""What users did in the periods after each of many starts, on the calendar clock.

There a user has one start a period at most, so rows are first summed to one for each user and
period. Starts and periods are then paired within spans as long as the table: a start looks into
its own span and the next, so that pairs grow with what the table shows and not with all that a
user ever did.
"""

from __future__ import annotations

import polars as pl

from retention.asking import Question
from retention.cells import cell_of


def paired(starts: pl.LazyFrame, rows: pl.LazyFrame, asked: Question) -> pl.LazyFrame:
    """who, cell (its position) and value, once for each start and cell that it has rows in.

    `starts`: who, user, own, anchor. `rows`: user, here, ts, value. In the anchor's own period
    only what lies at the anchor or after it is looked at.
    """
    last = asked.places[-1].end
    assert last is not None, "a rolling table has no pairs"
    own = starts.select("user", "who", "anchor", pl.col("own").alias("here"))
    same = rows.join(own, on=["user", "here"]).filter(pl.col("ts") >= pl.col("anchor"))
    same = same.select("who", "value", away=pl.lit(0, pl.Int32))
    width = last + 1
    by_period = rows.group_by("user", "here").agg(pl.col("value").sum())
    by_period = by_period.with_columns(span=pl.col("here") // width)
    looks = pl.concat(
        [starts.select("user", "who", "own", span=pl.col("own") // width + n) for n in (0, 1)]
    )
    away = (pl.col("here") - pl.col("own")).cast(pl.Int32)
    later = by_period.join(looks, on=["user", "span"]).select("who", "value", away=away)
    later = later.filter((pl.col("away") > 0) & (pl.col("away") <= last))
    placed = pl.concat([same, later]).with_columns(cell=cell_of(pl.col("away"), asked.places))
    placed = placed.filter(pl.col("cell").is_not_null())
    return placed.group_by("who", "cell").agg(pl.col("value").sum())
