"""Batches of a source as rows of the event contract; what cannot be one, with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from events.batches import REJECTS, Batch
from events.columns import (
    EXACT_FLOAT,
    as_amount,
    as_id,
    as_json_object,
    as_text,
    as_time,
    lost_digits,
    nulled,
    require,
)
from events.contract import EVENTS
from events.lines import RAW_CHARS
from runtime.clock import show
from runtime.settings import Source

ROW_COLUMNS = tuple(name for name in EVENTS.schema if name != "bucket")


@dataclass(frozen=True)
class SourcePlan:
    """A source with all that is decided before its rows are read. Times in [earliest, latest)."""

    source: Source
    time_format: str
    earliest: datetime
    latest: datetime

    @property
    def called(self) -> str:
        return f"source {self.source.name}"


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
    found = rows.select(*_contract(rows.schema, plan), _reason(rows.schema, plan).alias("reason"))
    usable = found["reason"].is_null()
    rejects = batch.rejects
    if not usable.all():
        rejects = pl.concat([rejects, _rejected(batch, found["reason"])])
    return Normalised(found.filter(usable).select(ROW_COLUMNS), rejects)


def _rejected(batch: Batch, reasons: pl.Series) -> pl.DataFrame:
    bad = reasons.is_not_null()
    rows = batch.rows.filter(bad)
    raw = as_json_object(rows.columns, rows.schema).fill_null("{}").str.slice(0, RAW_CHARS)
    return rows.select(
        batch.lines.filter(bad).alias("line"), reasons.filter(bad).alias("reason"), raw.alias("raw")
    ).select(pl.col(name).cast(dtype) for name, dtype in REJECTS.items())


def _contract(schema: pl.Schema, plan: SourcePlan) -> list[pl.Expr]:
    columns, constants = plan.source.columns, plan.source.constants
    user = _user(schema, plan)
    event = _filled(columns.event, schema, constants.event)
    if columns.event is None and constants.event is None:
        event = pl.lit(plan.source.name)
    made = {
        "user_id": user,
        "ts": _time(schema, plan),
        "event": event,
        "amount": _amount(schema, plan).fill_null(pl.lit(constants.amount, pl.Float64())),
        "channel": _filled(columns.channel, schema, constants.channel),
        "event_id": _filled(columns.event_id, schema, None),
        "source": pl.lit(plan.source.name),
        "properties": as_json_object(properties_in(plan.source, schema.names()), schema),
    }
    return [made[name].cast(EVENTS.schema[name]).alias(name) for name in ROW_COLUMNS]


def properties_in(source: Source, found: list[str]) -> list[str]:
    """The columns kept as properties: those named, or all that are mapped to nothing else."""
    if source.columns.properties is not None:
        return [name for name in source.columns.properties if name in found]
    mapped = set(mapped_columns(source))
    return [name for name in found if name not in mapped]


def mapped_columns(source: Source) -> list[str]:
    columns = source.columns
    named = (
        columns.user_id,
        columns.ts,
        columns.event,
        columns.amount,
        columns.channel,
        columns.event_id,
    )
    return [name for name in named if name is not None]


def check_columns(source: Source, found: list[str], called: str) -> None:
    """Raises SchemaError where a mapped column, or a property asked for, is not there."""
    require(called, [*mapped_columns(source), *(source.columns.properties or ())], found)


def _filled(column: str | None, schema: pl.Schema, constant: str | None) -> pl.Expr:
    """The column's text; the constant where the column is not there or null."""
    fill = pl.lit(constant, pl.String())
    if column is None or column not in schema:
        return fill
    return as_text(column, schema[column]).fill_null(fill)


def _user(schema: pl.Schema, plan: SourcePlan) -> pl.Expr:
    column = plan.source.columns.user_id
    if column not in schema:
        return pl.lit(None, pl.String())
    return as_id(column, schema[column], plan.called)


def _time(schema: pl.Schema, plan: SourcePlan) -> pl.Expr:
    column = plan.source.columns.ts
    if column not in schema:
        return pl.lit(None, pl.Datetime("us", "UTC"))
    return as_time(column, schema[column], plan.time_format, plan.source.timezone)


def _amount(schema: pl.Schema, plan: SourcePlan) -> pl.Expr:
    column = plan.source.columns.amount
    if column is None or column not in schema:
        return pl.lit(None, pl.Float64())
    return as_amount(column, schema[column], plan.source.decimal)


def _reason(schema: pl.Schema, plan: SourcePlan) -> pl.Expr:
    """Why a row cannot be used; null where it can. The first of several reasons."""
    return pl.coalesce(
        *_user_reasons(schema, plan), *_time_reasons(schema, plan), *_other_reasons(schema, plan)
    )


def _when(bad: pl.Expr, pattern: str, value: pl.Expr | None = None) -> pl.Expr:
    text = pl.lit(pattern) if value is None else pl.format(pattern, value.str.slice(0, 100))
    return pl.when(bad).then(text)


def _value(column: str, schema: pl.Schema) -> pl.Expr:
    if column not in schema:
        return pl.lit(None, pl.String())
    dtype = schema[column]
    if dtype.is_float():  # NaN and infinity by name
        return pl.col(column).cast(pl.String())
    return as_text(column, dtype)


def _user_reasons(schema: pl.Schema, plan: SourcePlan) -> list[pl.Expr]:
    column = plan.source.columns.user_id
    user = _user(schema, plan)
    reasons = []
    if column in schema:
        inexact = lost_digits(column, schema[column])
        pattern = f"user id {{}} in '{_braced(column)}' is a float beyond {EXACT_FLOAT}, inexact"
        reasons.append(_when(inexact, pattern, _value(column, schema)))
    blank = user.is_null() | (user.str.strip_chars() == "")
    return [*reasons, _when(blank, f"the user id in '{column}' is empty")]


def _time_reasons(schema: pl.Schema, plan: SourcePlan) -> list[pl.Expr]:
    column = plan.source.columns.ts
    time, text = _time(schema, plan), _value(column, schema)
    named = _braced(column)
    return [
        _when(text.is_null(), f"the time in '{column}' is empty"),
        _when(
            time.is_null(),
            f"unreadable time '{{}}' in '{named}'; expected {_braced(plan.time_format)}",
            text,
        ),
        _when(
            time < plan.earliest,
            f"time '{{}}' in '{named}' is before events.earliest, {show(plan.earliest)}",
            text,
        ),
        _when(
            time >= plan.latest,
            f"time '{{}}' in '{named}' is not before events.latest, {show(plan.latest)}",
            text,
        ),
    ]


def _other_reasons(schema: pl.Schema, plan: SourcePlan) -> list[pl.Expr]:
    columns, constants = plan.source.columns, plan.source.constants
    reasons = []
    if columns.amount is not None and columns.amount in schema:
        amount, text = _amount(schema, plan), _value(columns.amount, schema)
        named = _braced(columns.amount)
        unread = amount.is_null() & text.is_not_null()
        reasons.append(_when(unread, f"amount '{{}}' in '{named}' is not a number", text))
        reasons.append(
            _when(~amount.is_finite(), f"amount '{{}}' in '{named}' is not finite", text)
        )
    if columns.event is not None and constants.event is None:
        event = _filled(columns.event, schema, None)
        reasons.append(_when(event.is_null(), f"the event in '{columns.event}' is empty"))
    return reasons


def _braced(text: str) -> str:
    """For a pattern of pl.format, where braces stand for values."""
    return text.replace("{", "{{").replace("}", "}}")
