"""The rows of a source with what its lookups say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from events.batches import Batch
from events.columns import as_text, nulled
from events.lookup_tables import DAY, LookupTable
from events.mapping import SourcePlan
from events.normalise import event_time
from runtime.errors import SchemaError
from runtime.settings_sources import Source

_ROW = "\0row"


@dataclass(frozen=True)
class LookedUp:
    """`matched`: how many rows have a key that is in the table, by the lookup's name."""

    batch: Batch
    matched: dict[str, int]


def looked_up(batch: Batch, plan: SourcePlan) -> LookedUp:
    """The rows in their order with all columns that the plan's tables add, null where a row's key
    is in none. Raises SchemaError where a column is called so already."""
    rows, matched = batch.rows, {}
    for table in plan.tables:
        keys = _keys(rows, table, plan.source)
        matched[table.lookup.name] = keys.join(table.rows, on=table.keys, how="semi").height
        if table.lookup.next is None:
            rows = _with(rows, _same(keys, table), table)
        else:
            rows = _with(rows, _next(keys, _days(rows, plan), table), table)
    return LookedUp(Batch(rows, batch.lines, batch.rejects), matched)


def with_same(rows: pl.DataFrame, tables: Sequence[LookupTable], source: Source) -> pl.DataFrame:
    """The rows with the columns of those tables that have one row for each key: nothing about
    their time need be known."""
    for table in tables:
        if table.lookup.next is None:
            rows = _with(rows, _same(_keys(rows, table, source), table), table)
    return rows


def _keys(rows: pl.DataFrame, table: LookupTable, source: Source) -> pl.DataFrame:
    """What the rows are found by, as text, null in all where they have no such column."""
    wanted = dict(zip(table.lookup.keys, table.keys, strict=True))
    known = nulled(rows.select(set(wanted) & set(rows.columns)), source.null_values)
    return rows.select(pl.int_range(rows.height).alias(_ROW)).with_columns(
        known.select(as_text(ours, known.schema[ours])).to_series().alias(key)
        if ours in known.columns
        else pl.lit(None, pl.String()).alias(key)
        for ours, key in wanted.items()
    )


def _same(keys: pl.DataFrame, table: LookupTable) -> pl.DataFrame:
    found = keys.join(table.rows, on=table.keys, how="left", maintain_order="left")
    return found.select(table.adds)


def _next(keys: pl.DataFrame, days: pl.Series, table: LookupTable) -> pl.DataFrame:
    """Of the table's rows with the row's key the first whose day is not before the row's."""
    timed = keys.with_columns(days.alias(DAY)).drop_nulls([DAY, *table.keys]).sort(DAY)
    found = timed.join_asof(
        table.rows, on=DAY, by=table.keys, strategy="forward", check_sortedness=False
    )
    return keys.join(found, on=_ROW, how="left", maintain_order="left").select(table.adds)


def _days(rows: pl.DataFrame, plan: SourcePlan) -> pl.Series:
    """The calendar day of each row in the source's zone."""
    known = nulled(rows, plan.source.null_values)
    instant = event_time(known.schema, plan)
    return known.select(instant.dt.convert_time_zone(plan.source.timezone).dt.date()).to_series()


def _with(rows: pl.DataFrame, found: pl.DataFrame, table: LookupTable) -> pl.DataFrame:
    if taken := set(found.columns) & set(rows.columns):
        raise SchemaError(
            f"lookup {table.lookup.name}: the source has a column '{min(taken)}' already; give the "
            "lookup another name"
        )
    return rows.hstack(found)
