"""The users behind a figure of a retention table, written bucket by bucket."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import polars as pl

from events.calendar import period_at
from events.passes import each_bucket
from events.store import EventStore
from retention.anchors import users_of
from retention.asking import Question
from retention.cells import Cell
from retention.cohorts import start_and_seen
from retention.curve import RetentionTable
from runtime.clock import local_midnight
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.errors import UsageError
from runtime.lists import check_list, write_list


@dataclass(frozen=True)
class Figure:
    """One of a table's counts: of a cohort, or of all whose cell is complete; of a group (by the
    name it is shown with), or of all; those retained in the cell, or those lost."""

    cell: str
    cohort: date | None = None
    group: str | None = None
    lost: bool = False


@dataclass(frozen=True)
class Wanted:
    place: int
    cohorts: tuple[int, ...]
    who: tuple[str | None, str | None] | None  # kind and group
    lost: bool


def count_of(table: RetentionTable, figure: Figure) -> int:
    """What the table says: how many users the list will hold. Raises UsageError."""
    _place(table.asked.cells, figure)
    who = _who(table, figure)
    if table.asked.is_money:
        raise UsageError(
            f"measure '{table.measure}' sums money and counts nobody; list the users of measure "
            "'users' or 'payers'"
        )
    rows = _rows(table, figure).filter(cell=figure.cell)
    if who is not None:
        rows = rows.filter(pl.col("kind") == who[0], pl.col("group").eq_missing(who[1]))
    if figure.cohort is not None:
        rows = rows.filter(cohort=figure.cohort)
        if rows.is_empty():
            raise UsageError(f"cohort {figure.cohort}: nobody came then; name one of the table's")
        if figure.lost and not rows["complete"].all():
            raise UsageError(
                f"cohort {figure.cohort}, cell '{figure.cell}' has not ended, so nobody is lost "
                "in it yet; name a cell that is complete"
            )
    part = rows["users"] - rows["retained"] if figure.lost else rows["retained"]
    return int(part.sum())


def _rows(table: RetentionTable, figure: Figure) -> pl.DataFrame:
    if figure.cohort is not None:
        return table.cells
    return table.overall if figure.group is None else table.groups


def write_users(
    path: Path,
    table: RetentionTable,
    figure: Figure,
    store: EventStore,
    device: Device,
    cluster: Cluster = IN_PROCESS,
) -> int:
    """Writes user_id, cohort (first day), anchor (UTC) and, with groups, group, one row for each
    counted; whole or not at all. The rows, as many as `count_of` says. Memory: some buckets'.
    Raises UsageError, OutputError."""
    check_list(path)
    count_of(table, figure)
    wanted = Wanted(
        _place(table.asked.cells, figure),
        tuple(_number(day, table.asked) for day in _days(table, figure)),
        _who(table, figure),
        figure.lost,
    )
    work = partial(_bucket_plan, table.asked, wanted, store)
    parts = each_bucket(work, store, device, "users", with_bucket=True, cluster=cluster)
    return write_list(path, _named(parts, table))


def _place(cells: tuple[Cell, ...], figure: Figure) -> int:
    names = [cell.name for cell in cells]
    if figure.cell not in names:
        raise UsageError(f"cell '{figure.cell}' is not in the table; it has {', '.join(names)}")
    return names.index(figure.cell)


def _who(table: RetentionTable, figure: Figure) -> tuple[str | None, str | None] | None:
    if figure.group is None:
        return None
    for who, label in table.labels.items():
        if label == figure.group:
            return who
    known = ", ".join(table.labels.values()) or "none, as it is asked for without --by or --did"
    raise UsageError(f"group '{figure.group}' is not in the table; it has {known}")


def _days(table: RetentionTable, figure: Figure) -> list[date]:
    if figure.cohort is not None:
        return [figure.cohort]
    known = table.cells.filter("complete", pl.col("cell") == figure.cell)
    return known["cohort"].unique().sort().to_list()


def _number(day: date, asked: Question) -> int:
    return period_at(local_midnight(day, asked.zone), asked.cohort, asked.zone)


def _bucket_plan(
    asked: Question, wanted: Wanted, store: EventStore, events: pl.LazyFrame, bucket: int
) -> pl.LazyFrame:
    users = users_of(asked.settings, store, bucket) if asked.needs_users else None
    return listed_plan(events, asked, wanted, users, store.in_order(bucket))


def listed_plan(
    events: pl.LazyFrame,
    asked: Question,
    wanted: Wanted,
    users: pl.LazyFrame | None = None,
    lies_in_order: bool = False,
) -> pl.LazyFrame:
    """user_id, cohort, anchor (and group, pooled) of the starts that a figure counts, by the
    plan that counts them."""
    starts, seen = start_and_seen(events, asked, users, lies_in_order)
    here = pl.col("cell") == wanted.place
    if asked.mode == "rolling":
        here = pl.col("cell") >= wanted.place
    held = starts.filter(pl.col("cohort").is_in(list(wanted.cohorts)))
    if asked.did is not None:
        held = held.filter(pl.col("group").is_not_null())
    if wanted.who is not None:
        kind, group = wanted.who
        same = pl.col("group").is_null() if kind != "value" else pl.col("group") == group
        held = held.filter(same & (pl.col("pooled") == (kind == "other")))
    found = held.join(seen.filter(here), on="who", how="anti" if wanted.lost else "semi")
    return found.select("user_id", "anchor", *asked.keys).sort("user_id", "anchor")


def _named(parts: Iterator[pl.DataFrame], table: RetentionTable) -> Iterator[pl.DataFrame]:
    """As people read them: the cohort's first day, and the group as the table shows it."""
    days = table.cells.select("cohort").unique()
    numbers = [_number(day, table.asked) for day in days["cohort"]]
    named = days.with_columns(number=pl.Series(numbers, dtype=pl.Int32))
    for part in parts:
        rows = part.rename({"cohort": "number"}).join(named, on="number", maintain_order="left")
        columns = [pl.col("user_id"), pl.col("cohort"), pl.col("anchor")]
        if "group" in table.asked.keys:
            columns.append(_label(table).alias("group"))
        yield rows.select(columns)


def _label(table: RetentionTable) -> pl.Expr:
    kinds = {kind: label for (kind, _), label in table.labels.items() if kind != "value"}
    missing, other = (pl.lit(kinds.get(kind), pl.String) for kind in ("missing", "other"))
    known = pl.when(pl.col("group").is_null()).then(missing).otherwise(pl.col("group"))
    return pl.when(pl.col("pooled")).then(other).otherwise(known)
