"""Batches of a source as rows of the event contract; what cannot be one, with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from events.batches import Batch
from events.columns import (
    as_amount,
    as_clock,
    as_id,
    as_json_object,
    as_text,
    as_time,
    nulled,
    without_negative_zero,
)
from events.contract import EVENTS, TIME
from events.faults import RAW, Fault, faults_of
from events.lines import RAW_CHARS
from events.mapping import ROW_COLUMNS, SourcePlan, event_name, properties_in
from events.timestamps import at_clock


@dataclass(frozen=True)
class Normalised:
    """`rows` in ROW_COLUMNS; `rejects` as batches.REJECTS, those of the batch among them."""

    rows: pl.DataFrame
    rejects: pl.DataFrame


def normalise(batch: Batch, plan: SourcePlan) -> Normalised:
    """Raises SchemaError where a column's type cannot be what it is mapped to."""
    if batch.rows.height == 0:
        empty = pl.DataFrame(schema={name: EVENTS.schema[name] for name in ROW_COLUMNS})
        return Normalised(empty, batch.rejects)
    rows = nulled(batch.rows, plan.source.null_values)
    numbered = rows.with_columns(batch.lines.alias(RAW))  # a column, whatever the rows lack
    made = numbered.select(*_contract(rows.schema, plan), RAW).drop(RAW)
    both = made.hstack(rows.rename(lambda name: RAW + name).get_columns())
    faults = faults_of(rows.schema, plan)
    if (constant := plan.source.constants.amount) is not None:
        made = made.with_columns(pl.col("amount").fill_null(constant))
    some = both.select(pl.any_horizontal(fault.bad.any() for fault in faults).alias("bad"))
    if not some["bad"].any():
        return Normalised(made, batch.rejects)
    bad = both.select(
        pl.any_horizontal(fault.bad.fill_null(value=False) for fault in faults).alias("bad")
    )["bad"]
    # Words are only made for the few rows that need them.
    # In one chunk: of the several that a filter leaves Polars 1.44 can panic (`pl.format`).
    rejected = _rejected(batch, bad, both.filter(bad).rechunk(), faults)
    return Normalised(made.filter(~bad), pl.concat([batch.rejects, rejected]))


def _rejected(
    batch: Batch, bad: pl.Series, both: pl.DataFrame, faults: Sequence[Fault]
) -> pl.DataFrame:
    """`both`: what the faults look at, of the bad rows; `raw` shows them as they came."""
    came = batch.rows.with_columns(batch.lines.alias(RAW)).filter(bad)
    names = [name for name in came.columns if name != RAW]
    raw = as_json_object(names, came.schema).fill_null("{}").str.slice(0, RAW_CHARS)
    reason = pl.coalesce(fault.words for fault in faults)
    words = both.select(reason.alias("reason"), "user_id")  # a column beside it: never one row
    shown = came.select(pl.col(RAW).alias("line"), raw.alias("raw"))
    return shown.with_columns(words["reason"]).select("line", "reason", "raw")


def _contract(schema: pl.Schema, plan: SourcePlan) -> list[pl.Expr]:
    columns, constants = plan.source.columns, plan.source.constants
    user = _user(schema, plan)
    made = {
        "user_id": user,
        "ts": event_time(schema, plan),
        "event": _filled(columns.event, schema, event_name(plan.source)),
        "amount": _amount(schema, plan),
        "channel": _filled(columns.channel, schema, constants.channel),
        "event_id": _filled(columns.event_id, schema, None),
        "source": pl.lit(plan.source.name),
        "properties": as_json_object(properties_in(plan.source, schema.names()), schema),
        "received": _received(schema, plan),
    }
    return [made[name].cast(EVENTS.schema[name]).alias(name) for name in ROW_COLUMNS]


def _filled(column: str | None, schema: pl.Schema, constant: str | None) -> pl.Expr:
    """The column's text; the constant where the column is not there or null."""
    if column is None or column not in schema:
        return pl.lit(constant, pl.String())
    text = as_text(column, schema[column])
    return text if constant is None else text.fill_null(constant)


def _user(schema: pl.Schema, plan: SourcePlan) -> pl.Expr:
    column = plan.source.columns.user_id
    if column not in schema:
        return pl.lit(None, pl.String())
    return as_id(column, schema[column], plan.called)


def event_time(schema: pl.Schema, plan: SourcePlan) -> pl.Expr:
    """UTC microseconds of rows with these columns; null where they say none that can be read."""
    columns, zone = plan.source.columns, plan.source.timezone
    time = _time(columns.ts, plan.time_format, schema, plan)
    if columns.clock is None:
        return time
    if columns.clock not in schema:
        return pl.lit(None, TIME)
    return at_clock(time, as_clock(columns.clock, schema[columns.clock]), zone)


def _time(column: str, time_format: str, schema: pl.Schema, plan: SourcePlan) -> pl.Expr:
    if column not in schema:
        return pl.lit(None, TIME)
    return as_time(column, schema[column], time_format, plan.source.timezone)


def _received(schema: pl.Schema, plan: SourcePlan) -> pl.Expr:
    column = plan.source.columns.received
    if column is None or plan.received_format is None:
        return pl.lit(None, TIME)
    return _time(column, plan.received_format, schema, plan)


def _amount(schema: pl.Schema, plan: SourcePlan) -> pl.Expr:
    """Of all pieces of a row: not known where their number is not."""
    columns = plan.source.columns
    wanted = [columns.amount, *([columns.quantity] if columns.quantity else [])]
    found = [
        as_amount(column, schema[column], plan.source.decimal)
        for column in wanted
        if column is not None and column in schema
    ]
    if len(found) < len(wanted):
        return pl.lit(None, pl.Float64())
    return found[0] if len(found) == 1 else without_negative_zero(found[0] * found[1])
