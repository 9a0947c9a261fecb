"""Whether the ids are those of users: a handful of them in a long log, or one person under two."""

from __future__ import annotations

import polars as pl

from events.findings import Finding
from events.passes import each_bucket
from events.store import CPU, EventStore
from runtime.cluster import IN_PROCESS, Cluster
from runtime.counted import counted

HANDFUL = 20  # users
LONG_LOG = 2_000  # rows
MOST_ROWS = 5_000_000  # of a longer log a sample of the ids is held, by their lower case
CHANCE = 0.001  # of the ids: so many may differ in case because they are meant to


def user_findings(store: EventStore, cluster: Cluster = IN_PROCESS) -> list[Finding]:
    """Of the ids up to the as-of. Memory: the ids of MOST_ROWS rows at most."""
    one_in = store.table.rows() // MOST_ROWS + 1
    ids = pl.concat(each_bucket(lambda e: _ids(e, one_in), store, CPU, "ids", cluster=cluster))
    users, rows = int(ids["users"].sum()), int(ids["rows"].sum())
    found = [_handful(users, rows)] if users <= HANDFUL and rows >= LONG_LOG else []
    alike = ids.filter(pl.col("sampled") & (pl.col("sampled").sum().over("lower") > 1))
    return [*found, _case(alike, users, one_in)] if len(alike) else found


def _ids(events: pl.LazyFrame, one_in: int) -> pl.LazyFrame:
    """A sample of one bucket's ids, and beside the first of them how many users and rows the
    bucket has (0 beside the others); of ids that differ in case alone all are in it, or none."""
    first = pl.int_range(pl.len()) == 0
    lower = pl.col("user_id").str.to_lowercase()
    counts = events.group_by("user_id").agg(rows=pl.len().cast(pl.Int64))
    ids = counts.select(
        "user_id",
        lower=lower,
        sampled=lower.hash(seed=0) % one_in == 0,
        users=pl.when(first).then(pl.len().cast(pl.Int64)).otherwise(0),
        rows=pl.when(first).then(pl.col("rows").sum()).otherwise(0),
    )
    return ids.filter(pl.col("sampled") | (pl.col("users") > 0))


def _handful(users: int, rows: int) -> Finding:
    return Finding(
        severity="warning",
        kind="users",
        event=None,
        first_day=None,
        last_day=None,
        found=users,
        expected=None,
        message=f"the log's {rows:,} rows are of {counted(users, 'users')}: is columns.user_id "
        "another column, that of a type, a channel or a machine?",
    )


def _case(alike: pl.DataFrame, users: int, one_in: int) -> Finding:
    """`alike`: ids that differ from another in case alone, of one in `one_in`."""
    number, about = len(alike) * one_in, "about " if one_in > 1 else ""
    one, other = alike.sort("lower", "user_id")["user_id"].head(2)
    return Finding(
        severity="warning" if number > CHANCE * users else "info",
        kind="case",
        event=None,
        first_day=None,
        last_day=None,
        found=number,
        expected=0,
        message=f"{about}{number:,} ids differ from another only in case, as '{one}' and "
        f"'{other}': each counts as a user; if they are the same people, write the ids in one "
        "case and ingest into a new store",
    )
