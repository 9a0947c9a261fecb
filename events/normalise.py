"""Batches of a source as rows of the event contract; what cannot be one, with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from events.batches import Batch
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

MOST_SHOWN = 100  # characters of a value in a reason
RAW = "raw "  # before the name of a column as it came, beside the contract's
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
    numbered = rows.with_columns(batch.lines.alias(RAW))  # a column, whatever the rows lack
    made = numbered.select(*_contract(rows.schema, plan), RAW).drop(RAW)
    both = made.hstack(rows.rename(lambda name: RAW + name).get_columns())
    faults = _faults(rows.schema, plan)
    bad = both.select(
        pl.any_horizontal(fault.bad.fill_null(value=False) for fault in faults).alias("bad")
    )["bad"]
    constant = pl.lit(plan.source.constants.amount, pl.Float64())
    made = made.with_columns(pl.col("amount").fill_null(constant))
    if not bad.any():
        return Normalised(made, batch.rejects)
    # Words are only made for the few rows that need them.
    rejected = _rejected(batch, bad, both.filter(bad), faults)
    return Normalised(made.filter(~bad), pl.concat([batch.rejects, rejected]))


def _rejected(
    batch: Batch, bad: pl.Series, both: pl.DataFrame, faults: Sequence[_Fault]
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
    event = _filled(columns.event, schema, constants.event)
    if columns.event is None and constants.event is None:
        event = pl.lit(plan.source.name)
    made = {
        "user_id": user,
        "ts": _time(schema, plan),
        "event": event,
        "amount": _amount(schema, plan),
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


@dataclass(frozen=True)
class _Fault:
    """What makes a row unusable, and the words for it, with `value` in their braces. Both look
    at the contract's columns and, under RAW, at the source's."""

    bad: pl.Expr
    pattern: str
    value: pl.Expr | None = None

    @property
    def words(self) -> pl.Expr:
        """Null where the row has not this fault."""
        if self.value is None:
            return pl.when(self.bad).then(pl.lit(self.pattern))
        shown = self.value.str.slice(0, MOST_SHOWN)
        return pl.when(self.bad).then(pl.format(self.pattern, shown))


def _faults(schema: pl.Schema, plan: SourcePlan) -> list[_Fault]:
    """In the order in which they are told: of several the first."""
    return [*_user_faults(schema, plan), *_time_faults(schema, plan), *_other_faults(schema, plan)]


def _value(column: str, schema: pl.Schema) -> pl.Expr:
    if column not in schema:
        return pl.lit(None, pl.String())
    dtype = schema[column]
    if dtype.is_float():  # NaN and infinity by name
        return pl.col(RAW + column).cast(pl.String())
    return as_text(RAW + column, dtype)


def _user_faults(schema: pl.Schema, plan: SourcePlan) -> list[_Fault]:
    column, user = plan.source.columns.user_id, pl.col("user_id")
    faults = []
    if column in schema:
        inexact = lost_digits(RAW + column, schema[column])
        pattern = f"user id {{}} in '{_braced(column)}' is a float beyond {EXACT_FLOAT}, inexact"
        faults.append(_Fault(inexact, pattern, _value(column, schema)))
    blank = user.is_null() | (user.str.strip_chars() == "")
    return [*faults, _Fault(blank, f"the user id in '{column}' is empty")]


def _time_faults(schema: pl.Schema, plan: SourcePlan) -> list[_Fault]:
    column, time = plan.source.columns.ts, pl.col("ts")
    text, named = _value(column, schema), _braced(column)
    unread = f"unreadable time '{{}}' in '{named}'; expected {_braced(plan.time_format)}"
    early = f"time '{{}}' in '{named}' is before events.earliest, {show(plan.earliest)}"
    late = f"time '{{}}' in '{named}' is not before events.latest, {show(plan.latest)}"
    return [
        _Fault(text.is_null(), f"the time in '{column}' is empty"),
        _Fault(time.is_null(), unread, text),
        _Fault(time < plan.earliest, early, text),
        _Fault(time >= plan.latest, late, text),
    ]


def _other_faults(schema: pl.Schema, plan: SourcePlan) -> list[_Fault]:
    columns, constants = plan.source.columns, plan.source.constants
    faults = []
    if columns.amount is not None and columns.amount in schema:
        amount, text = pl.col("amount"), _value(columns.amount, schema)
        named = _braced(columns.amount)
        unread = amount.is_null() & text.is_not_null()
        faults.append(_Fault(unread, f"amount '{{}}' in '{named}' is not a number", text))
        infinite = f"amount '{{}}' in '{named}' is not finite"
        faults.append(_Fault(~amount.is_finite(), infinite, text))
    if columns.event is not None and constants.event is None:
        faults.append(_Fault(pl.col("event").is_null(), f"the event in '{columns.event}' is empty"))
    return faults


def _braced(text: str) -> str:
    """For a pattern of pl.format, where braces stand for values."""
    return text.replace("{", "{{").replace("}", "}}")
