"""From the counts of the buckets to a table: every cohort, every cell, what is known of it."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from events.calendar import first_day, period_at
from retention.asking import ELAPSED_DAYS, Question
from retention.cells import Cell
from retention.cohorts import SIZE
from retention.groups import DID, DID_NOT
from retention.shares import with_mean, with_share

WHO = ("kind", "group")  # of a row: "value", "missing" or "other", null where none is asked
FIGURES = (
    "users",
    "cell",
    "start",
    "end",
    "retained",
    "value",
    "share",
    "mean",
    "low",
    "high",
)
_SUMS = ("users", "retained", "value", "squares", "base")


def grid_of(counts: pl.DataFrame, asked: Question, other: str | None) -> pl.DataFrame:
    """One row for each cohort, group and cell: day (the cohort's first), kind, group, users,
    place, cell, start, end, retained, value, squares, base (the value of the first cell), and
    whether the cell's periods have ended for all of the cohort. `counts` have group and pooled;
    without groups both are null. `other`: what the pooled are called."""
    sizes = counts.filter(pl.col("cell") == SIZE)
    last = sizes.group_by("cohort").agg(pl.col("latest").max())
    cohorts = last.select(
        "cohort",
        ended=pl.Series([_ended(at, asked) for at in last["latest"]], dtype=pl.Int32),
        day=pl.Series([first_day(n, asked.cohort) for n in last["cohort"]], dtype=pl.Date),
    )
    keys = ["cohort", "group", "pooled"]
    money = [pl.col(name).alias(name) for name in ("value", "squares") if name in counts.columns]
    seen = counts.select(*keys, pl.col("cell").alias("place"), *money, retained=pl.col("users"))
    grid = sizes.select(*keys, "users").join(cohorts, on="cohort")
    grid = grid.join(columns_of(asked.cells), how="cross")
    grid = grid.join(seen, on=[*keys, "place"], how="left", nulls_equal=True)
    none = [pl.lit(0.0).alias(n) for n in ("value", "squares") if n not in counts.columns]
    grid = grid.with_columns(
        *none, kind=_kind(asked), complete=pl.col("decided_by") < pl.col("ended")
    )
    grid = grid.with_columns(pl.col("retained", "value", "squares").fill_null(0))
    grid = grid.with_columns(group=pl.when("pooled").then(pl.lit(other)).otherwise("group"))
    return _summed_along(_in_order(grid, asked), asked)


def _kind(asked: Question) -> pl.Expr:
    if asked.by is None and asked.did is None:
        return pl.lit(None, pl.String)
    named = pl.when(pl.col("group").is_null()).then(pl.lit("missing")).otherwise(pl.lit("value"))
    return pl.when(pl.col("pooled")).then(pl.lit("other")).otherwise(named)


def _in_order(grid: pl.DataFrame, asked: Question) -> pl.DataFrame:
    """By day; then those who did before the others, or values by users of all cohorts, then the
    pooled, then those without a value."""
    sizes = grid.filter(pl.col("place") == 0).group_by(*WHO).agg(all_users=pl.col("users").sum())
    ranks = {"value": 0, "other": 1, "missing": 2}
    rank = pl.col("kind").replace_strict(ranks, default=0, return_dtype=pl.Int32)
    if asked.did is not None:
        did = {DID: 0, DID_NOT: 1}
        rank = pl.col("group").replace_strict(did, default=2, return_dtype=pl.Int32)
    ranked = sizes.with_columns(rank=rank).sort(
        ["rank", "all_users", "group"], descending=[False, True, False]
    )
    ranked = ranked.with_row_index("order").select(*WHO, "order")
    return grid.join(ranked, on=WHO, how="left", nulls_equal=True).sort("day", "order", "place")


def _summed_along(grid: pl.DataFrame, asked: Question) -> pl.DataFrame:
    """What a cell counts that includes others, and the first cell's value beside each."""
    line = ["day", *WHO]
    if asked.mode == "rolling":
        grid = grid.with_columns(pl.col("retained").cum_sum(reverse=True).over(line))
    if asked.measure == "cumulative":
        grid = grid.with_columns(pl.col("value", "squares").cum_sum().over(line))
    return grid.with_columns(base=pl.col("value").first().over(line))


def columns_of(cells: tuple[Cell, ...]) -> pl.DataFrame:
    """place, cell, start, end, decided_by: one row a cell."""
    rows = [
        {"place": n, "cell": c.name, "start": c.start, "end": c.end, "decided_by": c.decided_by}
        for n, c in enumerate(cells)
    ]
    integers = dict.fromkeys(("place", "start", "end", "decided_by"), pl.Int32)
    return pl.DataFrame(rows, schema_overrides=integers)


def _ended(latest: datetime, asked: Question) -> int:
    """How many whole periods from the anchor on have ended for the cohort's last user."""
    until = asked.covered_until
    if asked.clock == "calendar":
        now = period_at(until, asked.period, asked.zone)
        return now - period_at(latest, asked.period, asked.zone)
    return (until - latest) // timedelta(days=ELAPSED_DAYS[asked.period])


def over_cohorts(grid: pl.DataFrame, asked: Question, by: tuple[str, ...]) -> pl.DataFrame:
    """The grid summed by `by` and cell over the cohorts whose cell is complete; figures of it."""
    known = grid.filter("complete").group_by(*by, "place").agg(pl.col(*_SUMS).sum())
    lines = columns_of(asked.cells)
    if by:
        order = grid.select(*by, "order").unique().sort("order")
        lines = order.join(lines, how="cross")
    whole = lines.join(
        known, on=[*by, "place"], how="left", nulls_equal=True, maintain_order="left"
    )
    whole = whole.with_columns(pl.col(*_SUMS).fill_null(0), complete=pl.lit(value=True))
    return figures(whole, asked).select(*by, *FIGURES)


def figures(frame: pl.DataFrame, asked: Question) -> pl.DataFrame:
    """Adds share, mean, low and high; what the measure does not tell is null."""
    known = pl.col("complete")
    if not asked.is_money:
        none = [pl.lit(None, pl.Float64).alias(name) for name in ("value", "mean")]
        return _independent(with_share(frame, "retained", "users", known), asked).with_columns(none)
    frame = with_mean(frame, "value", "squares", "users", known)
    frame = frame.with_columns(
        retained=pl.lit(None, pl.Int64), low=pl.col("mean_low"), high=pl.col("mean_high")
    )
    known = known & (pl.col("users") > 0)
    frame = frame.with_columns(value=pl.when(known).then(pl.col("value")))
    if asked.measure != "revenue":
        return _independent(frame.with_columns(share=pl.lit(None, pl.Float64)), asked)
    share = pl.when(known & (pl.col("base") > 0)).then(pl.col("value") / pl.col("base"))
    bounds = [pl.lit(None, pl.Float64).alias(name) for name in ("low", "high")]
    return frame.with_columns(*bounds, share=share)


def _independent(frame: pl.DataFrame, asked: Question) -> pl.DataFrame:
    """Without bounds where one user is counted several times: they would be too narrow."""
    if asked.anchor != "every":
        return frame
    return frame.with_columns(pl.lit(None, pl.Float64).alias(name) for name in ("low", "high"))
