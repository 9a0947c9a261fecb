"""The plan behind a retention table: distinct users by cohort and cell, for one bucket."""

from __future__ import annotations

import polars as pl

from events.activity import is_active
from events.contract import TIME
from features.definitions import value_amount
from features.time import Cutoff
from retention.asking import Question
from retention.between import between
from retention.cells import cell_of
from retention.groups import with_group
from retention.numbered import changed, length_of, numbered, offset, own_of
from retention.paired import paired
from retention.starts import starts_of

SIZE = -1  # the cell that counts a cohort's users


def cohort_plan(
    events: pl.LazyFrame,
    asked: Question,
    users: pl.LazyFrame | None = None,
    lies_in_order: bool = False,
) -> pl.LazyFrame:
    """Counts of one bucket: asked.keys, cell, users, value and squares (of money, the sum over
    users of what is theirs and of its square), latest (the last anchor among them).

    Cell -1 counts the cohort's users, the others those who are in the cell; in a rolling table
    the cell is the last period in which the user was. In a cumulative one `squares` is by how
    much the cell adds to the sum of squares of what users have spent in all.
    """
    starts, seen = start_and_seen(events, asked, users, lies_in_order)
    held = starts.select("who", "anchor", *asked.keys)
    money = [] if not asked.is_money else ["value", "squares"]
    columns = (*asked.keys, "cell", "latest", *money)
    none = {name: pl.lit(None, pl.Float64) for name in money}
    sizes = held.with_columns(cell=pl.lit(SIZE, pl.Int32), latest=pl.col("anchor"), **none)
    placed = seen.join(held, on="who").with_columns(latest=pl.lit(None, TIME))
    rows = pl.concat([sizes.select(columns), placed.select(columns)])
    return rows.group_by(*asked.keys, "cell").agg(
        pl.len().cast(pl.Int64).alias("users"),
        *(pl.col(name).sum() for name in money),
        pl.col("latest").max(),
    )


def start_and_seen(
    events: pl.LazyFrame,
    asked: Question,
    users: pl.LazyFrame | None,
    lies_in_order: bool,
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """The starts with asked.keys, and once for each cell that one of them is in: who, cell and,
    of money, value and squares."""
    rows = numbered(events, asked, lies_in_order).cache()
    starts = with_group(starts_of(events, rows, asked, users), rows, asked, users)
    told = rows.with_columns(
        here=own_of("ts", asked), value=value_amount(asked.settings.value), counts=_counts(asked)
    )
    if asked.anchor == "every":
        return starts, _seen_from_each(starts, _counted(told, asked), asked)
    followed = _followed(starts, told, asked)
    if asked.is_money:
        return starts, _spent(followed, asked)
    if asked.mode == "rolling":
        last = followed.group_by("who").agg(cell=offset(asked).max())
        return starts, _clipped(last, asked)
    seen = followed.select("who", cell=cell_of(offset(asked), asked.places))
    return starts, seen.filter(pl.col("cell").is_not_null()).filter(changed("who", "cell"))


def _counted(told: pl.LazyFrame, asked: Question) -> pl.LazyFrame:
    """The rows that count. By a column and not by what it is made of: Polars 1.44 fails on a
    plan in which nothing but filters reads a cached frame."""
    return told if _counts(asked).meta.eq(pl.lit(value=True)) else told.filter(pl.col("counts"))


def _counts(asked: Question) -> pl.Expr:
    """Whether a row counts in a cell."""
    if asked.measure == "users":
        if asked.back is None:
            return is_active(asked.settings.activity)
        return pl.col("event").is_in(list(asked.back))
    amount = value_amount(asked.settings.value)
    if asked.measure == "payers":
        return (amount > 0).fill_null(value=False)
    return amount.is_not_null()


def _followed(starts: pl.LazyFrame, told: pl.LazyFrame, asked: Question) -> pl.LazyFrame:
    """What counts of each user from the anchor on, in order of time: who, here, own, value."""
    if asked.start is None and not isinstance(asked.anchor, Cutoff):
        # The user's first row is the anchor. One out of the range is dropped with its start.
        first = pl.when(pl.col("new")).then(pl.col("here")).forward_fill()
        found = _counted(told.with_columns(who=pl.col("user"), own=first), asked)
    else:
        own = starts.select("user", "who", "own", "anchor")
        found = _counted(told, asked).join(own, on="user", maintain_order="left")
        found = found.filter(pl.col("ts") >= pl.col("anchor"))
    return found.select("who", "here", "own", "value")


def _spent(followed: pl.LazyFrame, asked: Question) -> pl.LazyFrame:
    cell = cell_of(offset(asked), asked.places)
    placed = followed.with_columns(cell=cell).filter(pl.col("cell").is_not_null())
    spent = placed.group_by("who", "cell").agg(pl.col("value").sum())
    if asked.measure != "cumulative":
        return spent.with_columns(squares=pl.col("value") * pl.col("value"))
    so_far = pl.col("value").cum_sum().over("who")
    before = so_far - pl.col("value")
    added = so_far * so_far - before * before
    return spent.sort("who", "cell").with_columns(squares=added)


def _seen_from_each(starts: pl.LazyFrame, back: pl.LazyFrame, asked: Question) -> pl.LazyFrame:
    if asked.mode == "rolling":
        last = back.group_by("user").agg(last=pl.col("ts").max(), here=pl.col("here").max())
        later = starts.select("user", "who", "anchor", "own").join(last, on="user")
        later = later.filter(pl.col("last") >= pl.col("anchor"))
        return _clipped(later.select("who", cell=offset(asked)), asked)
    if asked.clock == "calendar":
        found = paired(starts, back, asked)
    else:
        found = between(starts, back, asked.places, length_of(asked), with_value=asked.is_money)
    if not asked.is_money:
        return found.select("who", "cell")
    # Starts of one user share their money: no interval is told, and so no squares are.
    return found.select("who", "cell", "value", squares=pl.lit(None, pl.Float64))


def _clipped(seen: pl.LazyFrame, asked: Question) -> pl.LazyFrame:
    return seen.with_columns(pl.col("cell").clip(upper_bound=len(asked.cells) - 1))
